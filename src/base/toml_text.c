/*
 * The text of a TOML document as the reader sees it: checked for encoding first, then walked byte
 * by byte, with the line and column of a byte counted when they are asked for. Also the words for
 * what stands somewhere, for messages.
 *
 * Invariant: places are counted forward from the one asked for last, so that counting them costs
 * one pass over the text in all, however long its lines are.
 */
#include "base/toml_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* ---- errors ---- */

bool mir_toml_fail_at(struct mir_toml_reader *r, struct mir_toml_place at, enum mir_code code,
                      const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return mir_fail(r->err, code, "%s:%u:%u: %s", r->name, at.line, at.column, text);
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

struct mir_span mir_toml_shown(struct mir_span text)
{
    size_t len = MIR_TOML_SHOWN;

    if (text.len <= len)
        return text;
    while (len > 0 && is_continuation(text.ptr[len]))
        len--;
    return mir_span_first(text, len);
}

/* The character at p, which is valid UTF-8 of len bytes. */
static unsigned decode(const char *p, size_t len)
{
    unsigned c = len == 1 ? (unsigned char)*p : (unsigned char)*p & (0x7fu >> len);

    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    return c;
}

bool mir_toml_fail_expected(struct mir_toml_reader *r, const char *what)
{
    struct mir_toml_place at = mir_toml_here(r);
    const char *p = r->text.ptr + r->at;
    size_t len = 1;

    if (r->at >= r->text.len)
        return mir_toml_fail_at(r, at, MIR_E_FORMAT, "expected %s, found the end of the document",
                                what);
    if (mir_toml_at_newline(r))
        return mir_toml_fail_at(r, at, MIR_E_FORMAT, "expected %s, found the end of the line",
                                what);
    while (is_continuation(mir_toml_peek(r, len)))
        len++;
    if (len == 1)
        return mir_toml_fail_at(r, at, MIR_E_FORMAT, "expected %s, found '%c'", what, *p);
    /* Some of them cannot be seen, so that the number helps. */
    return mir_toml_fail_at(r, at, MIR_E_FORMAT, "expected %s, found '%.*s' (U+%04X)", what,
                            (int)len, p, decode(p, len));
}

/* ---- encoding ---- */

/* The length of the UTF-8 character at p, of which left bytes are there; 0 when it is not one. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (len == 0 || p[0] > 0xf4 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than need be, surrogates, beyond U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static bool fail_byte(struct mir_toml_reader *r)
{
    unsigned byte = (unsigned char)r->text.ptr[r->at];
    struct mir_toml_place at = mir_toml_here(r);

    if (byte >= 0x80)
        return mir_toml_fail_at(r, at, MIR_E_FORMAT, "not UTF-8 (byte 0x%02x)", byte);
    if (byte == '\r')
        return mir_toml_fail_at(r, at, MIR_E_FORMAT, "carriage return without a line feed");
    return mir_toml_fail_at(r, at, MIR_E_FORMAT,
                            "control character U+%04X (in double quotes, write \\u%04X)", byte,
                            byte);
}

/* Control characters are allowed nowhere: not in strings, not in comments. */
static bool is_allowed_control(const struct mir_toml_reader *r, char c)
{
    return c == '\t' || c == '\n' || (c == '\r' && mir_toml_peek(r, 1) == '\n');
}

static bool check_encoding(struct mir_toml_reader *r)
{
    while (r->at < r->text.len) {
        const char *p = r->text.ptr + r->at;
        size_t len;

        if (((unsigned char)*p < 0x20 || *p == 0x7f) && !is_allowed_control(r, *p))
            return fail_byte(r);
        len = utf8_length((const unsigned char *)p, r->text.len - r->at);
        if (len == 0)
            return fail_byte(r);
        r->at += len;
    }
    return true;
}

bool mir_toml_begin_text(struct mir_toml_reader *r)
{
    size_t start = mir_span_starts_with(r->text, BYTE_ORDER_MARK) ? strlen(BYTE_ORDER_MARK) : 0;

    r->mark.place = (struct mir_toml_place){.line = 1, .column = 1};
    if (r->text.len > MIR_TOML_BYTES_MAX)
        return mir_toml_fail_at(r, r->mark.place, MIR_E_LIMIT, "longer than %u bytes",
                                MIR_TOML_BYTES_MAX);
    r->at = start;
    r->mark.offset = start;
    if (!check_encoding(r))
        return false;
    r->at = start;
    return true;
}

/* ---- moving ---- */

char mir_toml_peek(const struct mir_toml_reader *r, size_t ahead)
{
    return ahead < r->text.len - r->at ? r->text.ptr[r->at + ahead] : '\0';
}

struct mir_toml_place mir_toml_here(struct mir_toml_reader *r)
{
    for (; r->mark.offset < r->at; r->mark.offset++) {
        char c = r->text.ptr[r->mark.offset];

        if (c == '\n')
            r->mark.place = (struct mir_toml_place){.line = r->mark.place.line + 1, .column = 1};
        else if (!is_continuation(c))
            r->mark.place.column++;
    }
    return r->mark.place;
}

bool mir_toml_at_newline(const struct mir_toml_reader *r)
{
    char c = mir_toml_peek(r, 0);

    return c == '\n' || c == '\r';
}

void mir_toml_skip_blanks(struct mir_toml_reader *r)
{
    while (mir_toml_peek(r, 0) == ' ' || mir_toml_peek(r, 0) == '\t')
        r->at++;
}

static void skip_comment(struct mir_toml_reader *r)
{
    size_t len;

    if (mir_toml_peek(r, 0) != '#')
        return;
    if (mir_span_find(mir_span_from(r->text, r->at), '\n', &len))
        r->at += len;
    else
        r->at = r->text.len;
}

void mir_toml_skip_lines(struct mir_toml_reader *r)
{
    for (;;) {
        mir_toml_skip_blanks(r);
        skip_comment(r);
        if (!mir_toml_at_newline(r))
            return;
        r->at++;
    }
}

bool mir_toml_end_line(struct mir_toml_reader *r, const char *after)
{
    char what[80];

    mir_toml_skip_blanks(r);
    skip_comment(r);
    if (mir_toml_at_newline(r) || r->at == r->text.len)
        return true;
    (void)snprintf(what, sizeof(what), "the end of the line after %s", after);
    return mir_toml_fail_expected(r, what);
}
