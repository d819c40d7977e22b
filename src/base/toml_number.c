/*
 * TOML's numbers: integers in four bases and decimal floats, with underscores between digits. Also
 * the place where a word that is no value at all is refused, with a guess at what was meant.
 *
 * Called with a whole token; true means that every byte of it was part of the number.
 */
#include "base/toml_priv.h"

#include <math.h>

#include "base/mem.h"

struct scan {
    struct mir_toml_reader *r;
    struct mir_span token;
    struct mir_toml_place begin;
    size_t at;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char peek(const struct scan *s)
{
    return s->at < s->token.len ? s->token.ptr[s->at] : '\0';
}

static bool fail_number(struct scan *s, const char *why)
{
    struct mir_span shown = mir_toml_shown(s->token);

    (void)mir_toml_fail_at(s->r, s->begin, MIR_E_FORMAT, "number %.*s: %s", MIR_SPAN_ARG(shown),
                           why);
    return false;
}

static bool fail_word(struct scan *s)
{
    struct mir_span shown = mir_toml_shown(s->token);

    return mir_toml_fail_at(
        s->r, s->begin, MIR_E_FORMAT,
        "'%.*s' is no value: strings stand in quotes, booleans are true and false",
        MIR_SPAN_ARG(shown));
}

/* 0..15, or 16 for what is no digit in any base. */
static unsigned digit_value(char c)
{
    char lower = (char)(c | 0x20);

    if (is_digit(c))
        return (unsigned)(c - '0');
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a' + 10) : 16;
}

/* One digit or more, with single underscores between them. */
static bool skip_digits(struct scan *s, unsigned base)
{
    bool after_digit = false;

    for (; s->at < s->token.len; s->at++) {
        bool underscore = peek(s) == '_';

        if (underscore && !after_digit)
            return fail_number(s, "an underscore stands between two digits");
        if (!underscore && digit_value(peek(s)) >= base)
            break;
        after_digit = !underscore;
    }
    if (after_digit)
        return true;
    if (s->at > 0 && s->token.ptr[s->at - 1] == '_')
        return fail_number(s, "an underscore stands between two digits");
    return fail_number(s, "a digit is missing");
}

/* The digits from offset from to the end, which skip_digits() has seen. */
static bool sum_digits(struct scan *s, size_t from, unsigned base, bool negative, int64_t *out)
{
    int64_t value = 0;

    for (size_t i = from; i < s->token.len; i++) {
        int64_t digit = digit_value(s->token.ptr[i]);

        if (s->token.ptr[i] == '_')
            continue;
        if (__builtin_mul_overflow(value, (int64_t)base, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return fail_number(s, "does not fit into 64 bits");
    }
    *out = value;
    return true;
}

/* 0x, 0o, 0b: no sign, and leading zeros are fine. */
static bool read_prefixed(struct scan *s, unsigned base, struct mir_toml_value *value)
{
    s->at = 2;
    if (!skip_digits(s, base))
        return false;
    if (s->at != s->token.len)
        return fail_number(s, base == 16  ? "has something else than hexadecimal digits"
                              : base == 8 ? "has something else than octal digits"
                                          : "has something else than binary digits");
    value->kind = MIR_TOML_INTEGER;
    return sum_digits(s, 2, base, false, &value->integer);
}

/* The grammar was checked; strtod only sees digits, point, exponent. This program never leaves the
 * "C" locale, so the point is a point. */
static bool convert_float(struct scan *s, struct mir_toml_value *value)
{
    auto_free char *plain = mir_alloc(s->token.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < s->token.len; i++)
        if (s->token.ptr[i] != '_')
            plain[len++] = s->token.ptr[i];
    value->kind = MIR_TOML_FLOAT;
    value->number = strtod(plain, NULL);
    if (isinf(value->number))
        return fail_number(s, "is beyond the range of 64-bit floats");
    return true;
}

/* Behind the whole part: fraction, exponent, end. */
static bool read_float(struct scan *s, struct mir_toml_value *value)
{
    if (peek(s) == '.') {
        s->at++;
        if (!skip_digits(s, 10))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        s->at += peek(s) == '+' || peek(s) == '-';
        if (!skip_digits(s, 10))
            return false;
    }
    if (s->at != s->token.len)
        return fail_number(s, "is neither an integer nor a float nor a date");
    return convert_float(s, value);
}

static bool read_decimal(struct scan *s, struct mir_toml_value *value)
{
    size_t sign = peek(s) == '+' || peek(s) == '-';

    s->at = sign;
    if (!skip_digits(s, 10))
        return false;
    if (s->token.ptr[sign] == '0' && s->at > sign + 1)
        return fail_number(s, "has a zero in front");
    if (s->at != s->token.len)
        return read_float(s, value);
    value->kind = MIR_TOML_INTEGER;
    return sum_digits(s, sign, 10, s->token.ptr[0] == '-', &value->integer);
}

/* inf and nan, with or without a sign. */
static bool is_endless(struct mir_span token, double *number)
{
    bool negative = mir_span_starts_with(token, "-");

    if (negative || mir_span_starts_with(token, "+"))
        token = mir_span_from(token, 1);
    if (mir_span_is(token, "inf"))
        *number = negative ? -(double)INFINITY : (double)INFINITY;
    else if (mir_span_is(token, "nan"))
        *number = negative ? -(double)NAN : (double)NAN;
    else
        return false;
    return true;
}

/* After a sign or not: is it meant as a number? */
static bool is_number_like(struct mir_span token)
{
    char first = token.ptr[0];

    return is_digit(first) || first == '+' || first == '-' || first == '.' || first == '_';
}

/* 0x and the like; a sign in front or a capital letter is no number of TOML's. */
static unsigned prefix_base(struct mir_span token)
{
    if (token.len < 2 || token.ptr[0] != '0')
        return 0;
    return token.ptr[1] == 'x' ? 16 : token.ptr[1] == 'o' ? 8 : token.ptr[1] == 'b' ? 2 : 0;
}

bool mir_toml_read_number(struct mir_toml_reader *r, struct mir_span token,
                          struct mir_toml_value *value)
{
    struct scan s = {.r = r, .token = token, .begin = value->at};
    double endless;
    unsigned base = prefix_base(token);

    if (is_endless(token, &endless)) {
        value->kind = MIR_TOML_FLOAT;
        value->number = endless;
        return true;
    }
    if (!is_number_like(token))
        return fail_word(&s);
    return base > 0 ? read_prefixed(&s, base, value) : read_decimal(&s, value);
}
