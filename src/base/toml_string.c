/*
 * TOML's strings: "basic" with escapes and 'literal' without, each of one line or, in three quotes,
 * of several. Called for values and for quoted keys.
 *
 * A string without escapes is handed back as it stands in the document; one with escapes is put
 * together in the reader's scratch buffer, which is never longer than what it was written as.
 */
#include "base/toml_priv.h"

#include <assert.h>

#define QUOTES_MULTI  3 /* that begin and end a string of several lines */
#define QUOTES_INSIDE 2 /* that may stand in it directly before its end */

struct style {
    char quote;
    bool multi;
    struct mir_toml_place begin;
};

static bool fail_unclosed(struct mir_toml_reader *r, const struct style *style)
{
    return mir_toml_fail_at(r, style->begin, MIR_E_FORMAT,
                            style->multi ? "the string that begins here is not closed"
                                         : "the string that begins here is not closed on its line");
}

/* ---- escapes ---- */

static void add_character(struct mir_buf *out, uint32_t c)
{
    if (c < 0x80) {
        mir_buf_char(out, (char)c);
        return;
    }
    if (c < 0x800) {
        mir_buf_char(out, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            mir_buf_char(out, (char)(0xe0 | c >> 12));
        } else {
            mir_buf_char(out, (char)(0xf0 | c >> 18));
            mir_buf_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        mir_buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    mir_buf_char(out, (char)(0x80 | (c & 0x3f)));
}

static bool hex_digit(char c, uint32_t *value)
{
    char lower = (char)(c | 0x20);

    if (c >= '0' && c <= '9')
        *value = (uint32_t)(c - '0');
    else if (lower >= 'a' && lower <= 'f')
        *value = (uint32_t)(lower - 'a' + 10);
    else
        return false;
    return true;
}

/* \uXXXX or \UXXXXXXXX; the next byte is the backslash. */
static bool read_unicode_escape(struct mir_toml_reader *r, size_t digits)
{
    uint32_t c = 0;

    for (size_t i = 0; i < digits; i++) {
        uint32_t digit;

        if (!hex_digit(mir_toml_peek(r, 2 + i), &digit))
            return mir_toml_fail_at(r, mir_toml_here(r), MIR_E_FORMAT,
                                    "\\%c needs %zu hexadecimal digits", mir_toml_peek(r, 1),
                                    digits);
        c = c << 4 | digit;
    }
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return mir_toml_fail_at(r, mir_toml_here(r), MIR_E_FORMAT, "%.*s is no character",
                                (int)(2 + digits), r->text.ptr + r->at);
    add_character(&r->scratch, c);
    r->at += 2 + digits;
    return true;
}

/* A backslash at the end of a line: nothing until the next character that is no blank. */
static bool skip_line_end(struct mir_toml_reader *r)
{
    struct mir_toml_place at = mir_toml_here(r);

    r->at++;
    mir_toml_skip_blanks(r);
    if (!mir_toml_at_newline(r))
        return mir_toml_fail_at(r, at, MIR_E_FORMAT,
                                "only blanks may follow a backslash up to the end of the line");
    while (mir_toml_at_newline(r) || mir_toml_peek(r, 0) == ' ' || mir_toml_peek(r, 0) == '\t')
        r->at++;
    return true;
}

/* The next byte is a backslash. */
static bool read_escape(struct mir_toml_reader *r, const struct style *style)
{
    static const char letters[] = "btnfr\"\\";
    static const char meanings[] = "\b\t\n\f\r\"\\";
    char letter = mir_toml_peek(r, 1);
    const char *known;

    if (letter == '\0')
        return fail_unclosed(r, style);
    known = strchr(letters, letter);
    if (known) {
        mir_buf_char(&r->scratch, meanings[known - letters]);
        r->at += 2;
        return true;
    }
    if (letter == 'u' || letter == 'U')
        return read_unicode_escape(r, letter == 'u' ? 4 : 8);
    if (style->multi && strchr(" \t\r\n", letter))
        return skip_line_end(r);
    if (letter == '\r' || letter == '\n')
        return fail_unclosed(r, style);
    return mir_toml_fail_at(r, mir_toml_here(r), MIR_E_FORMAT,
                            "unknown escape (TOML has \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX "
                            "\\UXXXXXXXX; a string in single quotes has none)");
}

/* ---- bodies ---- */

/* Move on to a quote, to a backslash that means something, or to where a string cannot go on. */
static void skip_plain(struct mir_toml_reader *r, const struct style *style)
{
    for (; r->at < r->text.len; r->at++) {
        char c = r->text.ptr[r->at];

        if (c == style->quote || (c == '\\' && style->quote == '"') ||
            (!style->multi && (c == '\r' || c == '\n')))
            return;
    }
}

/* At a quote: move behind the quotes here. True when they close the string; *inside is the number
 * of them that belong to it. */
static bool take_quotes(struct mir_toml_reader *r, const struct style *style, size_t *inside)
{
    size_t quotes = 0;

    *inside = 0;
    if (!style->multi) {
        r->at++;
        return true;
    }
    while (quotes < QUOTES_INSIDE + QUOTES_MULTI && mir_toml_peek(r, quotes) == style->quote)
        quotes++;
    r->at += quotes;
    *inside = quotes < QUOTES_MULTI ? quotes : quotes - QUOTES_MULTI;
    return quotes >= QUOTES_MULTI;
}

/* What was read since from, up to until: as it stands, or behind what scratch has already. */
static struct mir_span finish(struct mir_toml_reader *r, bool escaped, size_t from, size_t until)
{
    struct mir_span rest = mir_span(r->text.ptr + from, until - from);

    if (!escaped)
        return rest;
    mir_buf_add(&r->scratch, rest);
    assert(!r->scratch.overflow);
    return mir_buf_span(&r->scratch);
}

/* From behind the opening quotes to behind the closing ones. */
static bool read_body(struct mir_toml_reader *r, const struct style *style, struct mir_span *out)
{
    size_t from = r->at;
    bool escaped = false;

    mir_buf_clear(&r->scratch);
    for (;;) {
        size_t stop;
        size_t inside;

        skip_plain(r, style);
        stop = r->at;
        if (mir_toml_peek(r, 0) == style->quote) {
            if (!take_quotes(r, style, &inside))
                continue;
            *out = finish(r, escaped, from, stop + inside);
            return true;
        }
        if (mir_toml_peek(r, 0) != '\\')
            return fail_unclosed(r, style);
        mir_buf_add(&r->scratch, mir_span(r->text.ptr + from, stop - from));
        if (!read_escape(r, style))
            return false;
        escaped = true;
        from = r->at;
    }
}

static bool begins_multi(const struct mir_toml_reader *r)
{
    char quote = mir_toml_peek(r, 0);

    return mir_toml_peek(r, 1) == quote && mir_toml_peek(r, 2) == quote;
}

bool mir_toml_read_string(struct mir_toml_reader *r, struct mir_span *out)
{
    struct style style = {
        .quote = mir_toml_peek(r, 0), .multi = begins_multi(r), .begin = mir_toml_here(r)};

    r->at += style.multi ? QUOTES_MULTI : 1;
    if (style.multi) {
        /* A newline directly behind the opening quotes is not part of the string. */
        r->at += mir_toml_peek(r, 0) == '\r';
        r->at += mir_toml_peek(r, 0) == '\n';
    }
    return read_body(r, &style, out);
}

bool mir_toml_read_quoted_key(struct mir_toml_reader *r, struct mir_span *out)
{
    if (begins_multi(r))
        return mir_toml_fail_at(r, mir_toml_here(r), MIR_E_FORMAT,
                                "a string in three quotes cannot be a key");
    return mir_toml_read_string(r, out);
}
