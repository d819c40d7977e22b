/*
 * struct mir_error: filling it, adding context, and what its code means for retry and exit.
 *
 * Called from everywhere. Invariant: text and hint are always NUL-terminated, valid UTF-8 when the
 * input was, and free of control characters, so that any error can be shown as it is.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for the cause matters more than for the path that led to it. */
#define OUTER_MAX 400

/* Replace control characters and drop a character that was cut in half at the end. */
static void clean(char *text, size_t size)
{
    size_t len = strnlen(text, size - 1);
    size_t start = len;

    text[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    if (len < size - 1)
        return;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
        text[start - 1] = '\0';
}

static bool MIR_PRINTF(3, 0)
    fail_va(struct mir_error *err, enum mir_code code, const char *fmt, va_list args)
{
    if (err->code != MIR_OK)
        return false;
    err->code = code;
    err->hint[0] = '\0';
    err->sys = 0;
    (void)vsnprintf(err->text, sizeof(err->text), fmt, args);
    clean(err->text, sizeof(err->text));
    return false;
}

bool mir_fail(struct mir_error *err, enum mir_code code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fail_va(err, code, fmt, args);
    va_end(args);
    return false;
}

static enum mir_code code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return MIR_E_SPACE;
    case ENOENT:
        return MIR_E_NOT_FOUND;
    default:
        return MIR_E_IO;
    }
}

bool mir_fail_errno(struct mir_error *err, const char *fmt, ...)
{
    int number = errno;
    va_list args;
    size_t len;
    char words[128];

    if (err->code != MIR_OK)
        return false;
    va_start(args, fmt);
    (void)fail_va(err, code_of_errno(number), fmt, args);
    va_end(args);
    err->sys = number;
    len = strlen(err->text);
    (void)snprintf(err->text + len, sizeof(err->text) - len, ": %s",
                   strerror_r(number, words, sizeof(words)));
    return false;
}

bool mir_context(struct mir_error *err, const char *fmt, ...)
{
    char outer[OUTER_MAX];
    char inner[sizeof(err->text)];
    va_list args;

    if (err->code == MIR_OK)
        return false;
    va_start(args, fmt);
    (void)vsnprintf(outer, sizeof(outer), fmt, args);
    va_end(args);
    memcpy(inner, err->text, sizeof(inner));
    /* Cutting the end is right here: what does not fit was already a very long cause. */
    if (snprintf(err->text, sizeof(err->text), "%s: %s", outer, inner) >= (int)sizeof(err->text))
        err->text[sizeof(err->text) - 1] = '\0';
    clean(err->text, sizeof(err->text));
    return false;
}

bool mir_hint(struct mir_error *err, const char *fmt, ...)
{
    va_list args;

    if (err->hint[0] != '\0')
        return false;
    va_start(args, fmt);
    (void)vsnprintf(err->hint, sizeof(err->hint), fmt, args);
    va_end(args);
    clean(err->hint, sizeof(err->hint));
    return false;
}

void mir_error_clear(struct mir_error *err)
{
    err->code = MIR_OK;
    err->sys = 0;
    err->text[0] = '\0';
    err->hint[0] = '\0';
}

bool mir_may_retry(const struct mir_error *err)
{
    return err->code == MIR_E_NETWORK || err->code == MIR_E_SERVER || err->code == MIR_E_BUSY;
}

int mir_exit_status(const struct mir_error *err)
{
    switch (err->code) {
    case MIR_OK:
        return 0;
    case MIR_E_USAGE:
        return 2;
    case MIR_E_PARTIAL:
        return 3;
    case MIR_E_FORMAT:
    case MIR_E_LIMIT:
    case MIR_E_DIGEST:
    case MIR_E_NOT_FOUND:
    case MIR_E_AUTH:
    case MIR_E_CONFLICT:
    case MIR_E_UNSUPPORTED:
    case MIR_E_NETWORK:
    case MIR_E_SERVER:
    case MIR_E_BUSY:
    case MIR_E_TLS:
    case MIR_E_PROTOCOL:
    case MIR_E_IO:
    case MIR_E_SPACE:
    case MIR_E_CANCELLED:
        return 1;
    }
    return 1;
}
