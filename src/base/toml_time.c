/*
 * TOML's dates and times, which are those of RFC 3339: date, time of day, both, both with an offset
 * from UTC. Every field is checked against its range, the day against its month.
 *
 * Called with a whole token; true means that every byte of it was part of the date or time.
 */
#include "base/toml_priv.h"

#define NANOSECOND_DIGITS 9

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

static bool fail_time(struct scan *s, const char *why)
{
    struct mir_span shown = mir_toml_shown(s->token);

    (void)mir_toml_fail_at(s->r, s->begin, MIR_E_FORMAT, "date or time %.*s: %s",
                           MIR_SPAN_ARG(shown), why);
    return false;
}

/* Exactly so many digits, with a value of low..high; why is the message if not. */
static bool read_field(struct scan *s, size_t digits, unsigned low, unsigned high, const char *why,
                       unsigned *out)
{
    unsigned value = 0;

    for (size_t i = 0; i < digits; i++) {
        if (!is_digit(peek(s)))
            return fail_time(s, why);
        value = value * 10 + (unsigned)(peek(s) - '0');
        s->at++;
    }
    if (is_digit(peek(s)) || value < low || value > high)
        return fail_time(s, why);
    *out = value;
    return true;
}

static bool read_char(struct scan *s, char c, const char *why)
{
    if (peek(s) != c)
        return fail_time(s, why);
    s->at++;
    return true;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool read_date(struct scan *s, struct mir_toml_time *time)
{
    unsigned year, month, day;

    if (!read_field(s, 4, 0, 9999, "a year has four digits", &year) ||
        !read_char(s, '-', "a date is YYYY-MM-DD") ||
        !read_field(s, 2, 1, 12, "a month is 01 to 12", &month) ||
        !read_char(s, '-', "a date is YYYY-MM-DD") ||
        !read_field(s, 2, 1, 31, "a day is 01 to 31", &day))
        return false;
    if (day > days_in(year, month))
        return fail_time(s, "that month has no such day");
    time->year = (uint16_t)year;
    time->month = (uint8_t)month;
    time->day = (uint8_t)day;
    return true;
}

/* What is finer than a nanosecond is dropped, as the specification wants it. */
static bool read_fraction(struct scan *s, struct mir_toml_time *time)
{
    uint32_t value = 0;
    size_t digits = 0;

    if (peek(s) != '.')
        return true;
    s->at++;
    if (!is_digit(peek(s)))
        return fail_time(s, "a digit is missing after the point");
    for (; is_digit(peek(s)); s->at++, digits++)
        if (digits < NANOSECOND_DIGITS)
            value = value * 10 + (uint32_t)(peek(s) - '0');
    for (; digits < NANOSECOND_DIGITS; digits++)
        value *= 10;
    time->nanosecond = value;
    return true;
}

/* Second 60 exists: leap seconds. */
static bool read_clock(struct scan *s, struct mir_toml_time *time)
{
    unsigned hour, minute, second;

    if (!read_field(s, 2, 0, 23, "an hour is 00 to 23", &hour) ||
        !read_char(s, ':', "a time is HH:MM:SS") ||
        !read_field(s, 2, 0, 59, "a minute is 00 to 59", &minute) ||
        !read_char(s, ':', "a time is HH:MM:SS") ||
        !read_field(s, 2, 0, 60, "a second is 00 to 60", &second))
        return false;
    time->hour = (uint8_t)hour;
    time->minute = (uint8_t)minute;
    time->second = (uint8_t)second;
    return read_fraction(s, time);
}

/* Nothing, "Z", or "+HH:MM". */
static bool read_offset(struct scan *s, struct mir_toml_value *value)
{
    static const char why[] = "an offset is Z, +HH:MM or -HH:MM";
    bool west = peek(s) == '-';
    unsigned hours, minutes;
    int total;

    value->kind = MIR_TOML_OFFSET_DATETIME;
    if (peek(s) == 'Z' || peek(s) == 'z') {
        s->at++;
        return true;
    }
    if (!west && peek(s) != '+') {
        value->kind = MIR_TOML_LOCAL_DATETIME;
        return true;
    }
    s->at++;
    if (!read_field(s, 2, 0, 23, why, &hours) || !read_char(s, ':', why) ||
        !read_field(s, 2, 0, 59, why, &minutes))
        return false;
    total = (int)(hours * 60 + minutes);
    value->time.offset_minutes = (int16_t)(west ? -total : total);
    return true;
}

static bool read_from_date(struct scan *s, struct mir_toml_value *value)
{
    value->kind = MIR_TOML_LOCAL_DATE;
    if (!read_date(s, &value->time))
        return false;
    if (s->at == s->token.len)
        return true;
    if (peek(s) != 'T' && peek(s) != 't' && peek(s) != ' ')
        return fail_time(s, "a T or a blank stands between date and time");
    s->at++;
    return read_clock(s, &value->time) && read_offset(s, value);
}

bool mir_toml_is_time_like(struct mir_span token)
{
    size_t digits = 0;

    while (digits < token.len && is_digit(token.ptr[digits]))
        digits++;
    return digits > 0 && digits < token.len &&
           (token.ptr[digits] == '-' || token.ptr[digits] == ':');
}

bool mir_toml_read_time(struct mir_toml_reader *r, struct mir_span token,
                        struct mir_toml_value *value)
{
    struct scan s = {.r = r, .token = token, .begin = value->at};
    size_t colon = 0;
    bool is_clock = mir_span_find(token, ':', &colon) && colon <= 2;

    value->kind = MIR_TOML_LOCAL_TIME;
    value->time = (struct mir_toml_time){0};
    if (is_clock ? !read_clock(&s, &value->time) : !read_from_date(&s, value))
        return false;
    if (s.at != s.token.len)
        return fail_time(&s, "something follows that is no part of it");
    return true;
}
