/*
 * Plain YAML scalars: what value a word without quotes stands for. Cluster objects are read by
 * Kubernetes through a YAML 1.1 reader with habits of its own; where it sees a number, we must see
 * the same number. The rules, in order:
 *
 *  - null words (~ null Null NULL and nothing), boolean words (y yes true on, n no false off, each
 *    also capitalised and in capitals), .inf and .nan;
 *  - what starts with a digit or a sign: a date stays a string; an integer with the prefixes of C
 *    and Go (0x, 0o, 0b, 0 for octal), underscores left out; else a decimal float;
 *  - what starts with a dot and is a decimal float;
 *  - anything else is a string. Base 60 (12:30) is a string, but the writer quotes it, because
 *    other YAML 1.1 readers make a number of it.
 */
#include "base/tree_priv.h"

#include <math.h>
#include <stdint.h>

#define NUMBER_TEXT_MAX 512 /* a longer run of digits is taken for a string */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t count_digits(struct mir_span text, size_t from)
{
    size_t at = from;

    while (at < text.len && is_digit(text.ptr[at]))
        at++;
    return at - from;
}

static bool is_one_of(struct mir_span text, const char *const *words)
{
    for (; *words; words++)
        if (mir_span_is(text, *words))
            return true;
    return false;
}

/* The words of the reader's table. */
static enum tree_scalar scalar_word(struct mir_span text)
{
    static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const true_words[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                             "True", "TRUE", "on",  "On",  "ON",  NULL};
    static const char *const false_words[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                              "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const endless_words[] = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
                                                ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
                                                "-.Inf", "-.INF", NULL};

    if (is_one_of(text, null_words))
        return TREE_SCALAR_NULL;
    if (is_one_of(text, true_words))
        return TREE_SCALAR_TRUE;
    if (is_one_of(text, false_words))
        return TREE_SCALAR_FALSE;
    if (is_one_of(text, endless_words))
        return TREE_SCALAR_ENDLESS;
    return mir_span_is(text, "<<") ? TREE_SCALAR_MERGE : TREE_SCALAR_STRING;
}

/* One or two digits at *at with a value within low..high; moves *at behind them. */
static bool date_field(struct mir_span text, size_t *at, unsigned low, unsigned high)
{
    unsigned value = 0;
    size_t digits = count_digits(text, *at);

    if (digits < 1 || digits > 2)
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)(text.ptr[*at + i] - '0');
    *at += digits;
    return value >= low && value <= high;
}

static bool date_char(struct mir_span text, size_t *at, char c)
{
    if (*at >= text.len || text.ptr[*at] != c)
        return false;
    (*at)++;
    return true;
}

/* "15:4:5" with an optional fraction. */
static bool date_time_of_day(struct mir_span text, size_t *at)
{
    size_t digits;

    if (!date_field(text, at, 0, 23) || !date_char(text, at, ':'))
        return false;
    if (!date_field(text, at, 0, 59) || !date_char(text, at, ':') || !date_field(text, at, 0, 59))
        return false;
    if (!date_char(text, at, '.'))
        return true;
    digits = count_digits(text, *at);
    *at += digits;
    return digits > 0;
}

/* "Z" or "+07:00". */
static bool date_zone(struct mir_span text, size_t *at)
{
    if (date_char(text, at, 'Z'))
        return true;
    if (!date_char(text, at, '+') && !date_char(text, at, '-'))
        return false;
    return date_field(text, at, 0, 24) && date_char(text, at, ':') && date_field(text, at, 0, 60);
}

static bool is_date(struct mir_span text)
{
    size_t at = 4;

    if (count_digits(text, 0) != 4 || !date_char(text, &at, '-'))
        return false;
    if (!date_field(text, &at, 1, 12) || !date_char(text, &at, '-') ||
        !date_field(text, &at, 1, 31))
        return false;
    if (at == text.len)
        return true;
    if (date_char(text, &at, ' '))
        return date_time_of_day(text, &at) && at == text.len;
    if (!date_char(text, &at, 'T') && !date_char(text, &at, 't'))
        return false;
    return date_time_of_day(text, &at) && date_zone(text, &at) && at == text.len;
}

/* [-+]? ( .digits | digits [. digits?] ) ( [eE] [-+]? digits )? */
static bool is_decimal_float(struct mir_span text)
{
    size_t at = text.len > 0 && (text.ptr[0] == '+' || text.ptr[0] == '-') ? 1 : 0;
    size_t whole = count_digits(text, at);
    size_t fraction = 0;

    at += whole;
    if (at < text.len && text.ptr[at] == '.') {
        fraction = count_digits(text, at + 1);
        at += 1 + fraction;
    }
    if (whole == 0 && fraction == 0)
        return false;
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        size_t digits;

        at++;
        if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-'))
            at++;
        digits = count_digits(text, at);
        if (digits == 0)
            return false;
        at += digits;
    }
    return at == text.len;
}

/* The base that a prefix names; *skip is the prefix's length. */
static int integer_base(const char *digits, size_t *skip)
{
    *skip = 0;
    if (digits[0] != '0' || digits[1] == '\0')
        return 10;
    *skip = 2;
    if (digits[1] == 'x' || digits[1] == 'X')
        return 16;
    if (digits[1] == 'o' || digits[1] == 'O')
        return 8;
    if (digits[1] == 'b' || digits[1] == 'B')
        return 2;
    *skip = 1;
    return 8;
}

/* All of text (NUL-terminated, no underscores) as an integer. *too_big: it is one, and does not
 * fit json_int_t. */
static bool parse_integer(const char *text, json_int_t *out, bool *too_big)
{
    bool negative = text[0] == '-';
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    size_t skip;
    int base = integer_base(digits, &skip);
    json_int_t value = 0;

    digits += skip;
    *too_big = false;
    if (!*digits)
        return false;
    for (; *digits; digits++) {
        int lower = *digits | 0x20;
        int digit = is_digit(*digits)              ? *digits - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : 99;

        if (digit >= base)
            return false;
        if (__builtin_mul_overflow(value, (json_int_t)base, &value) ||
            __builtin_add_overflow(value, (json_int_t)(negative ? -digit : digit), &value))
            *too_big = true;
    }
    *out = value;
    return !*too_big;
}

/* strtod depends on the locale's decimal point; this program never leaves the "C" locale. */
static bool parse_float(const char *text, double *out)
{
    double value = strtod(text, NULL);

    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

static enum tree_scalar scalar_number(struct mir_span text, json_int_t *integer, double *number)
{
    char plain[NUMBER_TEXT_MAX];
    size_t len = 0;
    bool too_big;

    if (text.len >= sizeof(plain))
        return TREE_SCALAR_STRING;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '_')
            plain[len++] = text.ptr[i];
    plain[len] = '\0';
    if (parse_integer(plain, integer, &too_big))
        return TREE_SCALAR_INTEGER;
    if (is_decimal_float(mir_span(plain, len)) && parse_float(plain, number))
        return TREE_SCALAR_FLOAT;
    return TREE_SCALAR_STRING;
}

enum tree_scalar mir_tree_scalar(struct mir_span text, json_int_t *integer, double *number)
{
    enum tree_scalar word = scalar_word(text);

    if (word != TREE_SCALAR_STRING)
        return word;
    if (is_digit(text.ptr[0]) || text.ptr[0] == '+' || text.ptr[0] == '-')
        return is_date(text) ? TREE_SCALAR_DATE : scalar_number(text, integer, number);
    if (text.ptr[0] == '.' && is_decimal_float(text))
        return scalar_number(text, integer, number);
    return TREE_SCALAR_STRING;
}

/* [-+]? [0-9] [0-9_]* ( : [0-5]? [0-9] )+ ( . [0-9_]* )?  */
static bool is_base60(struct mir_span text)
{
    size_t at = text.len > 0 && (text.ptr[0] == '+' || text.ptr[0] == '-') ? 1 : 0;
    size_t groups = 0;

    if (at >= text.len || !is_digit(text.ptr[at]))
        return false;
    while (at < text.len && (is_digit(text.ptr[at]) || text.ptr[at] == '_'))
        at++;
    for (; at < text.len && text.ptr[at] == ':'; groups++) {
        size_t digits = count_digits(text, at + 1);

        if (digits < 1 || digits > 2 || (digits == 2 && text.ptr[at + 1] > '5'))
            return false;
        at += 1 + digits;
    }
    if (at < text.len && text.ptr[at] == '.')
        for (at++; at < text.len && (is_digit(text.ptr[at]) || text.ptr[at] == '_');)
            at++;
    return groups > 0 && at == text.len;
}

bool mir_tree_must_quote(struct mir_span text)
{
    json_int_t integer;
    double number;

    return mir_tree_scalar(text, &integer, &number) != TREE_SCALAR_STRING || is_base60(text);
}
