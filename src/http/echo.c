/*
 * A server that puts what it was sent to log in with into where it sends us next: there it would
 * be logged, and told to another host. Asked when the header of an answer is complete.
 *
 * Invariant: only what can be nothing else counts, the value itself and USER:PASS. A password alone
 * may well be a word of a path.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <ctype.h>

#include "base/base64.h"

#define SECRET_MIN 12 /* bytes; a shorter one may occur anywhere */

static int hex_of(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Without its percent signs, as far as they stand for something. The caller frees. */
static char *unescaped(const char *text)
{
    char *out = mir_strdup(text);
    char *end = out;

    for (const char *at = text; *at; at++) {
        int high = *at == '%' ? hex_of(at[1]) : -1;
        int low = high >= 0 ? hex_of(at[2]) : -1;

        *end = *at;
        if (low >= 0) {
            *end = (char)(high * 16 + low);
            at += 2;
        }
        end++;
    }
    *end = '\0';
    return out;
}

static bool has(const char *text, const char *secret)
{
    return strlen(secret) >= SECRET_MIN && strstr(text, secret);
}

bool http_repeats_login(const char *text, const char *authorization)
{
    const char *value = authorization ? strchr(authorization, ' ') : NULL;
    auto_free_secret char *pair = NULL;
    auto_free_secret char *plain = NULL;
    size_t pair_len = 0;

    if (!value)
        return false;
    value += 1;
    plain = unescaped(text);
    if (has(text, value) || has(plain, value))
        return true;
    if (!mir_starts_with(authorization, "Basic ") ||
        !mir_base64_decode(mir_span_of(value), &pair, &pair_len))
        return false;
    return has(text, pair) || has(plain, pair);
}
