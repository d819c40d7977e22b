/*
 * TOML 1.0: what is promised is every rule of the language, both ways: documents that are read and
 * to what, documents that are refused and where; the line and column of what was read; limits; and
 * that no document takes longer than its length explains.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/toml.h"

#define DUMP_MAX   (1u << 20)
#define COUNT(row) (sizeof(row) / sizeof((row)[0]))

/* ---- a document as one line of text ---- */

static void dump_value(const struct mir_toml_value *value, struct mir_buf *out);

/* In quotes; what is not printable ASCII is <hex>. */
static void dump_string(struct mir_span text, struct mir_buf *out)
{
    mir_buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c >= 0x7f)
            mir_buf_printf(out, "<%02x>", c);
        else
            mir_buf_char(out, (char)c);
    }
    mir_buf_char(out, '"');
}

/* Date, time, nanoseconds, offset: all fields, with a letter for the kind. */
static void dump_time(char letter, const struct mir_toml_time *t, struct mir_buf *out)
{
    mir_buf_printf(out, "%c(%u-%u-%u %u:%u:%u %" PRIu32 " %d)", letter, t->year, t->month, t->day,
                   t->hour, t->minute, t->second, t->nanosecond, t->offset_minutes);
}

static void dump_float(double number, struct mir_buf *out)
{
    if (isnan(number))
        mir_buf_text(out, "nan");
    else
        mir_buf_printf(out, "%s%.17gf", signbit(number) ? "-" : "", fabs(number));
}

static void dump_table(const struct mir_toml_table *table, struct mir_buf *out)
{
    mir_buf_char(out, '{');
    for (size_t i = 0; i < table->count; i++) {
        if (i > 0)
            mir_buf_text(out, ", ");
        dump_string(table->entries[i]->key, out);
        mir_buf_char(out, '=');
        dump_value(&table->entries[i]->value, out);
    }
    mir_buf_char(out, '}');
}

static void dump_array(const struct mir_toml_array *array, struct mir_buf *out)
{
    mir_buf_char(out, '[');
    for (size_t i = 0; i < array->count; i++) {
        if (i > 0)
            mir_buf_text(out, ", ");
        dump_value(&array->items[i], out);
    }
    mir_buf_char(out, ']');
}

static void dump_value(const struct mir_toml_value *value, struct mir_buf *out)
{
    switch (value->kind) {
    case MIR_TOML_STRING:
        dump_string(value->string, out);
        break;
    case MIR_TOML_INTEGER:
        mir_buf_printf(out, "%" PRId64, value->integer);
        break;
    case MIR_TOML_FLOAT:
        dump_float(value->number, out);
        break;
    case MIR_TOML_BOOLEAN:
        mir_buf_text(out, value->boolean ? "true" : "false");
        break;
    case MIR_TOML_OFFSET_DATETIME:
        dump_time('O', &value->time, out);
        break;
    case MIR_TOML_LOCAL_DATETIME:
        dump_time('L', &value->time, out);
        break;
    case MIR_TOML_LOCAL_DATE:
        dump_time('D', &value->time, out);
        break;
    case MIR_TOML_LOCAL_TIME:
        dump_time('T', &value->time, out);
        break;
    case MIR_TOML_ARRAY:
        dump_array(value->array, out);
        break;
    case MIR_TOML_TABLE:
        dump_table(value->table, out);
        break;
    }
}

/* ---- rows of documents that are read ---- */

struct row {
    const char *label;
    const char *toml;
    const char *expected;
};

static void check_row(const struct row *row)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    auto_buf text;

    mir_buf_init(&text, DUMP_MAX);
    if (!mir_toml_parse(mir_span_of(row->toml), "t", &doc, &err))
        fail_msg("%s: refused: %s", row->label, err.text);
    dump_table(mir_toml_root(doc), &text);
    if (strcmp(text.ptr, row->expected) != 0)
        fail_msg("%s: read as %s", row->label, text.ptr);
}

/* The rows hold the value of a key only. */
static void check_value_row(const struct row *row)
{
    auto_free char *toml = mir_format("v = %s", row->toml);
    auto_free char *expected = mir_format("{\"v\"=%s}", row->expected);

    check_row(&(struct row){.label = row->label, .toml = toml, .expected = expected});
}

static void toml_reads_strings(void **state)
{
    static const struct row rows[] = {
        {"basic", "\"a b\"", "\"a b\""},
        {"basic, empty", "\"\"", "\"\""},
        {"every short escape", "\"\\b\\t\\n\\f\\r\\\"\\\\\"", "\"<08><09><0a><0c><0d>\"\\\""},
        {"\\u of one, two, three bytes", "\"\\u0041\\u00e9\\u20AC\"", "\"A<c3><a9><e2><82><ac>\""},
        {"\\U of four bytes", "\"\\U0001F600\\U0010ffff\"", "\"<f0><9f><98><80><f4><8f><bf><bf>\""},
        {"the first and last characters of each length",
         "\"\\u007f\\u0080\\u07ff\\u0800\\uffff\\U00010000\"",
         "\"<7f><c2><80><df><bf><e0><a0><80><ef><bf><bf><f0><90><80><80>\""},
        {"\\u0000 is a character", "\"a\\u0000b\"", "\"a<00>b\""},
        {"the characters around the surrogates", "\"\\ud7ff\\ue000\"",
         "\"<ed><9f><bf><ee><80><80>\""},
        {"UTF-8 as it is", "\"\xc3\xa9\"", "\"<c3><a9>\""},
        {"a tab may stand in a string", "\"a\tb\"", "\"a<09>b\""},
        {"a single quote in double quotes", "\"it's\"", "\"it's\""},
        {"# in a string is no comment", "\"a # b\" # c", "\"a # b\""},
        {"text before and after an escape", "\"ab\\tcd\\te\"", "\"ab<09>cd<09>e\""},
        {"literal", "'C:\\x\\u0041'", "\"C:\\x\\u0041\""},
        {"literal, empty", "''", "\"\""},
        {"literal with a tab and quotes", "'a\t\"b\"'", "\"a<09>\"b\"\""},
        {"multi-line", "\"\"\"a\nb\"\"\"", "\"a<0a>b\""},
        {"multi-line, empty", "\"\"\"\"\"\"", "\"\""},
        {"multi-line: a newline at the start is left out", "\"\"\"\na\n\"\"\"", "\"a<0a>\""},
        {"multi-line: only the first newline is", "\"\"\"\n\na\"\"\"", "\"<0a>a\""},
        {"multi-line: CR LF at the start is left out, elsewhere kept", "\"\"\"\r\na\r\nb\"\"\"",
         "\"a<0d><0a>b\""},
        {"multi-line with escapes", "\"\"\"\\t\\\"\\u0041\"\"\"", "\"<09>\"A\""},
        {"a backslash at the end of a line", "\"\"\"a \\\n   b\"\"\"", "\"a b\""},
        {"it takes blanks before and empty lines after", "\"\"\"a\\  \t\n\n \t\r\n b\"\"\"",
         "\"ab\""},
        {"it may be all there is", "\"\"\"\\\n  \"\"\"", "\"\""},
        {"one and two quotes inside", "\"\"\"a\"b\"\"c\"\"\"", "\"a\"b\"\"c\""},
        {"one quote before the end", "\"\"\"a\"\"\"\"", "\"a\"\""},
        {"two quotes before the end", "\"\"\"a\"\"\"\"\"", "\"a\"\"\""},
        {"two quotes at the start", "\"\"\"\"\"a\"\"\"", "\"\"\"a\""},
        {"only two quotes", "\"\"\"\"\"\"\"\"", "\"\"\"\""},
        {"an escaped quote before two", "\"\"\"a\\\"\"\"\"\"\"", "\"a\"\"\"\""},
        {"literal multi-line", "'''\na\\\nb'''", "\"a\\<0a>b\""},
        {"literal multi-line, quotes before the end", "'''a'''''", "\"a''\""},
        {"double quotes in literal multi-line", "'''\"\"\"'''", "\"\"\"\"\""},
        {"a comment follows without a blank", "'a'#b", "\"a\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_value_row(&rows[i]);
}

static void toml_reads_numbers(void **state)
{
    static const struct row rows[] = {
        {"zero", "[0, +0, -0]", "[0, 0, 0]"},
        {"signs", "[5, +5, -5]", "[5, 5, -5]"},
        {"underscores", "[1_000, 5_349_221, 1_2_3]", "[1000, 5349221, 123]"},
        {"largest and smallest", "[9223372036854775807, -9223372036854775808]",
         "[9223372036854775807, -9223372036854775808]"},
        {"hexadecimal", "[0xDEADBEEF, 0xdead_beef, 0x0]", "[3735928559, 3735928559, 0]"},
        {"largest in hexadecimal", "0x7fffffffffffffff", "9223372036854775807"},
        {"octal", "[0o755, 0o0_1]", "[493, 1]"},
        {"binary", "[0b11010110, 0b1_0]", "[214, 2]"},
        {"leading zeros behind a prefix", "[0x00f, 0o007, 0b001]", "[15, 7, 1]"},
        {"e and b are hexadecimal digits", "0xe0b", "3595"},
        {"fractions", "[1.5, +1.0, -0.25, 0.0]", "[1.5f, 1f, -0.25f, 0f]"},
        {"minus zero", "-0.0", "-0f"},
        {"exponents", "[5e+2, 1e06, -2E-2, 6.5e1, 0e5]", "[500f, 1000000f, -0.02f, 65f, 0f]"},
        {"underscores in floats", "[1_0.0_1, 1e1_0]", "[10.01f, 10000000000f]"},
        {"leading zeros in fraction and exponent", "[1.005, 1e005]",
         "[1.0049999999999999f, 100000f]"},
        {"infinity", "[inf, +inf, -inf]", "[inff, inff, -inff]"},
        {"not a number", "[nan, +nan, -nan]", "[nan, nan, nan]"},
        {"the largest float", "1.7976931348623157e308", "1.7976931348623157e+308f"},
        {"too small a float is zero", "1e-400", "0f"},
        {"booleans", "[true, false]", "[true, false]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_value_row(&rows[i]);
}

static void toml_reads_dates_and_times(void **state)
{
    static const struct row rows[] = {
        {"offset Z", "1979-05-27T07:32:00Z", "O(1979-5-27 7:32:0 0 0)"},
        {"offset west", "1979-05-27T00:32:00-07:00", "O(1979-5-27 0:32:0 0 -420)"},
        {"offset east, with minutes", "1979-05-27T00:32:00+05:30", "O(1979-5-27 0:32:0 0 330)"},
        {"the largest offsets", "[0001-01-01T00:00:00+23:59, 9999-12-31T23:59:59-23:59]",
         "[O(1-1-1 0:0:0 0 1439), O(9999-12-31 23:59:59 0 -1439)]"},
        {"unknown offset", "1979-05-27T00:32:00-00:00", "O(1979-5-27 0:32:0 0 0)"},
        {"small letters", "1979-05-27t07:32:00z", "O(1979-5-27 7:32:0 0 0)"},
        {"a blank instead of T", "1979-05-27 07:32:00Z", "O(1979-5-27 7:32:0 0 0)"},
        {"fraction", "1979-05-27T07:32:00.5Z", "O(1979-5-27 7:32:0 500000000 0)"},
        {"nine digits", "1979-05-27T07:32:00.123456789+01:00", "O(1979-5-27 7:32:0 123456789 60)"},
        {"more digits are dropped, not rounded", "00:00:00.1234567899999",
         "T(0-0-0 0:0:0 123456789 0)"},
        {"local date-time", "1979-05-27T07:32:00", "L(1979-5-27 7:32:0 0 0)"},
        {"local date-time with blank and fraction", "1979-05-27 07:32:00.001",
         "L(1979-5-27 7:32:0 1000000 0)"},
        {"local date", "1979-05-27", "D(1979-5-27 0:0:0 0 0)"},
        {"a blank and a comment behind a date", "1979-05-27 # 07:32:00", "D(1979-5-27 0:0:0 0 0)"},
        {"dates in an array", "[1979-05-27 ,1979-05-28]",
         "[D(1979-5-27 0:0:0 0 0), D(1979-5-28 0:0:0 0 0)]"},
        {"local time", "[07:32:00, 23:59:59.9]",
         "[T(0-0-0 7:32:0 0 0), T(0-0-0 23:59:59 900000000 0)]"},
        {"leap second", "2016-12-31T23:59:60Z", "O(2016-12-31 23:59:60 0 0)"},
        {"leap years", "[2000-02-29, 2024-02-29, 0000-02-29]",
         "[D(2000-2-29 0:0:0 0 0), D(2024-2-29 0:0:0 0 0), D(0-2-29 0:0:0 0 0)]"},
        {"last days of months", "[2023-01-31, 2023-02-28, 2023-04-30, 2023-12-31]",
         "[D(2023-1-31 0:0:0 0 0), D(2023-2-28 0:0:0 0 0), D(2023-4-30 0:0:0 0 0), "
         "D(2023-12-31 0:0:0 0 0)]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_value_row(&rows[i]);
}

static void toml_reads_arrays_and_inline_tables(void **state)
{
    static const struct row rows[] = {
        {"empty", "[]", "[]"},
        {"blanks only", "[ \t]", "[]"},
        {"mixed types", "[1, \"a\", 1.5, true, 1979-05-27, [], {}]",
         "[1, \"a\", 1.5f, true, D(1979-5-27 0:0:0 0 0), [], {}]"},
        {"nested", "[[1, 2], [[]], [\"a\"]]", "[[1, 2], [[]], [\"a\"]]"},
        {"trailing comma", "[1, 2,]", "[1, 2]"},
        {"no blanks", "[1,[2],3]", "[1, [2], 3]"},
        {"newlines and comments", "[ # a\n 1 # b,\n , # c\r\n\n 2\n ]", "[1, 2]"},
        {"trailing comma and comment", "[\n1, # ]\n]", "[1]"},
        {"inline table", "{ a = 1, b.c = \"x\" }", "{\"a\"=1, \"b\"={\"c\"=\"x\"}}"},
        {"empty inline table", "{ }", "{}"},
        {"no blanks in an inline table", "{a=1,b={c=2}}", "{\"a\"=1, \"b\"={\"c\"=2}}"},
        {"dotted keys join inside", "{a.b = 1, a.c.d = 2, a.c.e = 3}",
         "{\"a\"={\"b\"=1, \"c\"={\"d\"=2, \"e\"=3}}}"},
        {"newlines in values of an inline table", "{a = [\n1\n], b = \"\"\"\nx\n\"\"\"}",
         "{\"a\"=[1], \"b\"=\"x<0a>\"}"},
        {"tables in an array", "[{a=1}, {a=2}]", "[{\"a\"=1}, {\"a\"=2}]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_value_row(&rows[i]);
}

static void toml_reads_keys_and_tables(void **state)
{
    static const struct row rows[] = {
        {"nothing", "", "{}"},
        {"blanks, comments, newlines", " \t\n# a\n\r\n  # b", "{}"},
        {"a comment of any characters", "# \xc3\xa9 \xf0\x9f\x98\x80 \t\"[=\na = 1", "{\"a\"=1}"},
        {"no newline at the end", "a = 1", "{\"a\"=1}"},
        {"CR LF", "a = 1\r\n[b]\r\nc = 2 # d\r\n", "{\"a\"=1, \"b\"={\"c\"=2}}"},
        {"byte order mark",
         "\xef\xbb\xbf"
         "a = 1",
         "{\"a\"=1}"},
        {"only a byte order mark", "\xef\xbb\xbf", "{}"},
        {"blanks around the equals sign, or none", "a=1\n \tb\t=\t2 \n", "{\"a\"=1, \"b\"=2}"},
        {"bare keys", "a_-Z9 = 1\n1234 = 2\n- = 3\n2024-01-01 = 4\ntrue = 5",
         "{\"a_-Z9\"=1, \"1234\"=2, \"-\"=3, \"2024-01-01\"=4, \"true\"=5}"},
        {"quoted keys", "\"a b\" = 1\n'c.d' = 2\n\"\\u00e9\" = 3\n\"\" = 4",
         "{\"a b\"=1, \"c.d\"=2, \"<c3><a9>\"=3, \"\"=4}"},
        {"quotes make no other key", "\"a\".'b'.c = 1\na.b.d = 2",
         "{\"a\"={\"b\"={\"c\"=1, \"d\"=2}}}"},
        {"keys are told apart by case", "a = 1\nA = 2", "{\"a\"=1, \"A\"=2}"},
        {"a NUL does not end a key", "\"a\\u0000b\" = 1\n\"a\\u0000c\" = 2",
         "{\"a<00>b\"=1, \"a<00>c\"=2}"},
        {"dotted keys, blanks around dots", "a . b\t. c = 1", "{\"a\"={\"b\"={\"c\"=1}}}"},
        {"numbers as dotted key", "3.14 = 'pi'", "{\"3\"={\"14\"=\"pi\"}}"},
        {"empty parts in quotes", "''.\"\" = 1", "{\"\"={\"\"=1}}"},
        {"dotted keys out of order", "a.x = 1\nb.x = 2\na.y = 3",
         "{\"a\"={\"x\"=1, \"y\"=3}, \"b\"={\"x\"=2}}"},
        {"tables", "[a]\nb = 1\n[c]\n", "{\"a\"={\"b\"=1}, \"c\"={}}"},
        {"blanks in a header", "\t[ a . \"b.c\" ] # d\nx = 1", "{\"a\"={\"b.c\"={\"x\"=1}}}"},
        {"a table inside one that is not there yet", "[a.b.c]\n[a]\nx = 1",
         "{\"a\"={\"b\"={\"c\"={}}, \"x\"=1}}"},
        {"tables out of order", "[a.b]\n[c]\n[a.d]", "{\"a\"={\"b\"={}, \"d\"={}}, \"c\"={}}"},
        {"a table inside one of a dotted key", "[a]\nb.c = 1\n[a.b.d]\nx = 2",
         "{\"a\"={\"b\"={\"c\"=1, \"d\"={\"x\"=2}}}}"},
        {"a dotted key goes into an implied table", "[a.b.c]\n[a]\nb.x = 1",
         "{\"a\"={\"b\"={\"c\"={}, \"x\"=1}}}"},
        {"array of tables", "[[a]]\nx = 1\n[[a]]\n[[ a ]]\nx = 2",
         "{\"a\"=[{\"x\"=1}, {}, {\"x\"=2}]}"},
        {"tables inside the last of an array", "[[a]]\n[a.b]\nx = 1\n[[a]]\n[a.b]\nx = 2",
         "{\"a\"=[{\"b\"={\"x\"=1}}, {\"b\"={\"x\"=2}}]}"},
        {"arrays of tables inside each other", "[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\n[[a]]\n[[a.b]]",
         "{\"a\"=[{\"b\"=[{\"x\"=1}, {}]}, {\"b\"=[{}]}]}"},
        {"dotted keys anew in each table of an array", "[[a]]\nb.c = 1\n[[a]]\nb.c = 2",
         "{\"a\"=[{\"b\"={\"c\"=1}}, {\"b\"={\"c\"=2}}]}"},
        {"array of tables inside an implied table", "[[a.b]]\n[a]\nx = 1",
         "{\"a\"={\"b\"=[{}], \"x\"=1}}"},
        {"array of tables inside one of a dotted key", "[a]\nb.c = 1\n[[a.b.d]]",
         "{\"a\"={\"b\"={\"c\"=1, \"d\"=[{}]}}}"},
        {"a table after keys at the top", "x = 1\n[a]\ny = 2", "{\"x\"=1, \"a\"={\"y\"=2}}"},
        {"registries.conf",
         "unqualified-search-registries = ['a.io', 'b.io']\n\n[[registry]]\nprefix = \"\"\n"
         "location = \"q.io/x\"\n\n  [[registry.mirror]]\n    location = \"m:5000/x\"\n"
         "    insecure = true\n\n[aliases]\n\"fedora\" = \"r.io/fedora\"\n",
         "{\"unqualified-search-registries\"=[\"a.io\", \"b.io\"], \"registry\"=[{\"prefix\"=\"\", "
         "\"location\"=\"q.io/x\", \"mirror\"=[{\"location\"=\"m:5000/x\", \"insecure\"=true}]}], "
         "\"aliases\"={\"fedora\"=\"r.io/fedora\"}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_row(&rows[i]);
}

/* ---- rows of documents that are refused ---- */

struct refusal {
    const char *label;
    const char *toml;
    const char *text; /* how the message begins */
};

static void check_refusal(const struct refusal *row)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    auto_buf text;

    mir_buf_init(&text, DUMP_MAX);
    if (mir_toml_parse(mir_span_of(row->toml), "t", &doc, &err)) {
        dump_table(mir_toml_root(doc), &text);
        fail_msg("%s: was taken for %s", row->label, text.ptr);
    }
    if (err.code != MIR_E_FORMAT || !mir_starts_with(err.text, row->text))
        fail_msg("%s: code %d, %s", row->label, err.code, err.text);
}

#define UNKNOWN_ESCAPE ": unknown escape"
#define UNCLOSED       ": the string that begins here is not closed"
#define END_AFTER      ": expected the end of the line after a value, found "

static void toml_refuses_strings(void **state)
{
    static const struct refusal rows[] = {
        {"no closing quote", "a = 1\nb = \"x\nc = 2", "t:2:5" UNCLOSED " on its line"},
        {"no closing quote before CR LF", "b = \"x\r\n", "t:1:5" UNCLOSED " on its line"},
        {"no closing quote at the end", "b = \"x", "t:1:5" UNCLOSED " on its line"},
        {"a backslash and the end", "b = \"x\\", "t:1:5" UNCLOSED},
        {"a backslash and the end of the line", "b = \"x\\\ny\"", "t:1:5" UNCLOSED},
        {"an escaped quote does not close", "b = \"x\\\"", "t:1:5" UNCLOSED},
        {"literal, no closing quote", "b = 'x\n'", "t:1:5" UNCLOSED " on its line"},
        {"a literal string knows no escape", "b = 'x\\'y'", "t:1:9" END_AFTER "'y'"},
        {"multi-line, not closed", "a = 1\nb = \"\"\"x\ny\"\"", "t:2:5" UNCLOSED},
        {"literal multi-line, not closed", "b = '''x\ny''", "t:1:5" UNCLOSED},
        {"three quotes before the end", "b = \"\"\"x\"\"\"\"\"\"", "t:1:14" END_AFTER "'\"'"},
        {"three literal quotes before the end", "b = '''x''''''", "t:1:14" END_AFTER "'''"},
        {"\\x", "b = \"a\\x41\"", "t:1:7" UNKNOWN_ESCAPE},
        {"\\e", "b = \"\\e\"", "t:1:6" UNKNOWN_ESCAPE},
        {"\\/", "b = \"\\/\"", "t:1:6" UNKNOWN_ESCAPE},
        {"\\ and a blank", "b = \"\\ \"", "t:1:6" UNKNOWN_ESCAPE},
        {"an escape after characters of two bytes", "b = \"\xc3\xa9\xc3\xa9\\q\"",
         "t:1:8" UNKNOWN_ESCAPE},
        {"an escape in a later line", "b = \"\"\"\n\n  \\q\"\"\"", "t:3:3" UNKNOWN_ESCAPE},
        {"\\u of three digits", "b = \"\\u12g4\"", "t:1:6: \\u needs 4 hexadecimal digits"},
        {"\\u at the end", "b = \"\\u00", "t:1:6: \\u needs 4 hexadecimal digits"},
        {"\\U of seven digits", "b = \"\\U0001F60\"", "t:1:6: \\U needs 8 hexadecimal digits"},
        {"first surrogate", "b = \"\\ud800\"", "t:1:6: \\ud800 is no character"},
        {"last surrogate", "b = \"\\U0000DFFF\"", "t:1:6: \\U0000DFFF is no character"},
        {"a pair of surrogates", "b = \"\\ud83d\\ude00\"", "t:1:6: \\ud83d is no character"},
        {"beyond Unicode", "b = \"\\U00110000\"", "t:1:6: \\U00110000 is no character"},
        {"a backslash and blanks inside a line", "b = \"\"\"a\\  b\"\"\"",
         "t:1:9: only blanks may follow a backslash"},
        {"two strings", "b = \"x\" \"y\"", "t:1:9" END_AFTER "'\"'"},
        {"text behind a string", "b = 'x'y", "t:1:8" END_AFTER "'y'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refusal(&rows[i]);
}

static void toml_refuses_bytes(void **state)
{
    static const struct refusal rows[] = {
        {"a control character in a string", "b = \"x\x01y\"", "t:1:7: control character U+0001"},
        {"DEL in a string", "b = \"x\x7fy\"", "t:1:7: control character U+007F"},
        {"a control character in a comment", "# a\x1f", "t:1:4: control character U+001F"},
        {"a control character in a multi-line string", "b = '''\n\x08'''",
         "t:2:1: control character U+0008"},
        {"a form feed as blank", "a =\x0c 1", "t:1:4: control character U+000C"},
        {"CR alone", "a = 1\rb = 2", "t:1:6: carriage return without a line feed"},
        {"CR alone in a string", "a = \"\"\"x\r\"\"\"", "t:1:9: carriage return"},
        {"CR alone in a comment", "# a\r", "t:1:4: carriage return"},
        {"CR CR LF", "a = 1\r\r\n", "t:1:6: carriage return"},
        {"a stray byte", "a = 1\nb = \"\x80\"", "t:2:6: not UTF-8 (byte 0x80)"},
        {"a character cut short", "b = \"\xe2\x82\"", "t:1:6: not UTF-8 (byte 0xe2)"},
        {"a character cut short by the end", "# \xf0\x9f\x98", "t:1:3: not UTF-8 (byte 0xf0)"},
        {"longer than need be, two bytes", "# \xc0\xaf", "t:1:3: not UTF-8 (byte 0xc0)"},
        {"longer than need be, three bytes", "# \xe0\x80\xaf", "t:1:3: not UTF-8 (byte 0xe0)"},
        {"longer than need be, four bytes", "# \xf0\x80\x80\xaf", "t:1:3: not UTF-8 (byte 0xf0)"},
        {"a surrogate", "# \xed\xa0\x80", "t:1:3: not UTF-8 (byte 0xed)"},
        {"beyond Unicode", "# \xf4\x90\x80\x80", "t:1:3: not UTF-8 (byte 0xf4)"},
        {"a length that no character has", "# \xf5\x80\x80\x80", "t:1:3: not UTF-8 (byte 0xf5)"},
        {"a byte that is never UTF-8", "# \xff", "t:1:3: not UTF-8 (byte 0xff)"},
        {"UTF-16", "\xff\xfe", "t:1:1: not UTF-8 (byte 0xff)"},
        {"a second byte order mark", "\xef\xbb\xbf\xef\xbb\xbf", "t:1:1: expected a key, found"},
        {"a blank that is none", "a\xc2\xa0= 1",
         "t:1:2: expected '=' after the key, found '\xc2\xa0' (U+00A0)"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refusal(&rows[i]);
}

static void toml_refuses_nul_bytes(void **state)
{
    static const char text[] = "a = 1\nb = \"x\0y\"\n";
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;

    (void)state;
    assert_false(mir_toml_parse(mir_span(text, sizeof(text) - 1), "t", &doc, &err));
    assert_int_equal(err.code, MIR_E_FORMAT);
    assert_true(mir_starts_with(err.text, "t:2:7: control character U+0000"));
    mir_error_clear(&err);
    assert_false(mir_toml_parse(mir_span(text, sizeof(text)), "t", &doc, &err));
    mir_error_clear(&err);
    assert_false(mir_toml_parse(mir_span("\0", 1), "t", &doc, &err));
    assert_true(mir_starts_with(err.text, "t:1:1: control character U+0000"));
}

static void toml_refuses_numbers(void **state)
{
    static const struct refusal rows[] = {
        {"over 64 bits", "b = 9223372036854775808",
         "t:1:5: number 9223372036854775808: does not fit"},
        {"under 64 bits", "b = -9223372036854775809",
         "t:1:5: number -9223372036854775809: does not fit"},
        {"over 64 bits in hexadecimal", "b = 0x8000000000000000",
         "t:1:5: number 0x8000000000000000: does not fit"},
        {"far over 64 bits", "b = 100000000000000000000000000", "t:1:5: number 1000"},
        {"a zero in front", "b = 07", "t:1:5: number 07: has a zero in front"},
        {"two zeros", "b = 00", "t:1:5: number 00: has a zero in front"},
        {"a zero and an underscore in front", "b = 0_7", "t:1:5: number 0_7: has a zero in front"},
        {"a zero behind the sign", "b = -01", "t:1:5: number -01: has a zero in front"},
        {"underscore first", "b = _1", "t:1:5: number _1: an underscore stands"},
        {"underscore last", "b = 1_", "t:1:5: number 1_: an underscore stands"},
        {"two underscores", "b = 1__2", "t:1:5: number 1__2: an underscore stands"},
        {"underscore behind a prefix", "b = 0x_1", "t:1:5: number 0x_1: an underscore stands"},
        {"underscore before a prefix", "b = 0_x1", "t:1:5: number 0_x1: an underscore stands"},
        {"only a sign", "b = +", "t:1:5: number +: a digit is missing"},
        {"two signs", "b = --1", "t:1:5: number --1: a digit is missing"},
        {"only a prefix", "b = 0x", "t:1:5: number 0x: a digit is missing"},
        {"capital prefix", "b = 0X1", "t:1:5: number 0X1: is neither"},
        {"a sign before a prefix", "b = +0x1", "t:1:5: number +0x1: is neither"},
        {"8 in octal", "b = 0o18", "t:1:5: number 0o18: has something else than octal digits"},
        {"2 in binary", "b = 0b12", "t:1:5: number 0b12: has something else than binary"},
        {"g in hexadecimal", "b = 0xfg", "t:1:5: number 0xfg: has something else than hexadecimal"},
        {"point first", "b = .5", "t:1:5: number .5: a digit is missing"},
        {"point last", "b = 5.", "t:1:5: number 5.: a digit is missing"},
        {"point before the exponent", "b = 5.e1", "t:1:5: number 5.e1: a digit is missing"},
        {"two points", "b = 1.2.3", "t:1:5: number 1.2.3: is neither"},
        {"exponent without digits", "b = 1e", "t:1:5: number 1e: a digit is missing"},
        {"exponent of a sign", "b = 1e+", "t:1:5: number 1e+: a digit is missing"},
        {"exponent with a point", "b = 1e1.5", "t:1:5: number 1e1.5: is neither"},
        {"underscore before the point", "b = 1_.5", "t:1:5: number 1_.5: an underscore stands"},
        {"underscore behind the point", "b = 1._5", "t:1:5: number 1._5: an underscore stands"},
        {"underscore behind e", "b = 1e_5", "t:1:5: number 1e_5: an underscore stands"},
        {"a zero in front of a float", "b = 03.5", "t:1:5: number 03.5: has a zero in front"},
        {"a float beyond 64 bits", "b = 1e400", "t:1:5: number 1e400: is beyond the range"},
        {"capital infinity", "b = Inf", "t:1:5: 'Inf' is no value"},
        {"infinity and more", "b = +infinity", "t:1:5: number +infinity: a digit is missing"},
        {"capital boolean", "b = True", "t:1:5: 'True' is no value: strings stand in quotes"},
        {"a word", "b = docker.io", "t:1:5: 'docker.io' is no value"},
        {"a unit", "b = 10s", "t:1:5: number 10s: is neither"},
        {"hexadecimal float", "b = 0x1.8", "t:1:5: number 0x1.8: has something else"},
        {"digits of another script", "b = \xd9\xa1", "t:1:5: expected a value, found"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refusal(&rows[i]);
}

#define TIME "t:1:5: date or time "

static void toml_refuses_dates_and_times(void **state)
{
    static const struct refusal rows[] = {
        {"month 0", "b = 2021-00-01", TIME "2021-00-01: a month is 01 to 12"},
        {"month 13", "b = 2021-13-01", TIME "2021-13-01: a month is 01 to 12"},
        {"day 0", "b = 2021-01-00", TIME "2021-01-00: a day is 01 to 31"},
        {"day 32", "b = 2021-01-32", TIME "2021-01-32: a day is 01 to 31"},
        {"31 April", "b = 2021-04-31", TIME "2021-04-31: that month has no such day"},
        {"29 February, no leap year", "b = 2021-02-29",
         TIME "2021-02-29: that month has no such day"},
        {"29 February 1900", "b = 1900-02-29", TIME "1900-02-29: that month has no such day"},
        {"30 February", "b = 2024-02-30", TIME "2024-02-30: that month has no such day"},
        {"year of three digits", "b = 199-01-01", TIME "199-01-01: a year has four digits"},
        {"year of five digits", "b = 10000-01-01", TIME "10000-01-01: a year has four digits"},
        {"month of one digit", "b = 2021-1-01", TIME "2021-1-01: a month is"},
        {"day of one digit", "b = 2021-01-1", TIME "2021-01-1: a day is"},
        {"no dashes", "b = 2021-0101", TIME "2021-0101: a month is"},
        {"date and a T", "b = 2021-01-01T", TIME "2021-01-01T: an hour is 00 to 23"},
        {"date and another letter", "b = 2021-01-01x01:00:00",
         TIME "2021-01-01x01:00:00: a T or a blank"},
        {"hour 24", "b = 24:00:00", TIME "24:00:00: an hour is 00 to 23"},
        {"minute 60", "b = 00:60:00", TIME "00:60:00: a minute is 00 to 59"},
        {"second 61", "b = 00:00:61", TIME "00:00:61: a second is 00 to 60"},
        {"no seconds", "b = 07:32", TIME "07:32: a time is HH:MM:SS"},
        {"hour of one digit", "b = 7:32:00", TIME "7:32:00: an hour is"},
        {"a point without digits", "b = 07:32:00.", TIME "07:32:00.: a digit is missing"},
        {"a point and Z", "b = 2021-01-01T07:32:00.Z",
         TIME "2021-01-01T07:32:00.Z: a digit is missing"},
        {"a time with an offset", "b = 07:32:00Z", TIME "07:32:00Z: something follows"},
        {"a date with an offset", "b = 2021-01-01Z", TIME "2021-01-01Z: a T or a blank"},
        {"offset hour 24", "b = 2021-01-01T00:00:00+24:00",
         TIME "2021-01-01T00:00:00+24:00: an offset is"},
        {"offset minute 60", "b = 2021-01-01T00:00:00+00:60",
         TIME "2021-01-01T00:00:00+00:60: an offset is"},
        {"offset without minutes", "b = 2021-01-01T00:00:00+01",
         TIME "2021-01-01T00:00:00+01: an offset is"},
        {"offset without colon", "b = 2021-01-01T00:00:00+0100",
         TIME "2021-01-01T00:00:00+0100: an offset is"},
        {"two offsets", "b = 2021-01-01T00:00:00Z+01:00",
         TIME "2021-01-01T00:00:00Z+01:00: something follows"},
        {"two blanks between date and time", "b = 2021-01-01  00:00:00", "t:1:17" END_AFTER "'0'"},
        {"a blank and no time", "b = 2021-01-01 7", TIME "2021-01-01 7: an hour is"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refusal(&rows[i]);
}

static void toml_refuses_structure(void **state)
{
    static const struct refusal rows[] = {
        {"no value", "a = 1\nb =\nc = 2", "t:2:4: expected a value, found the end of the line"},
        {"no value at the end", "b =", "t:1:4: expected a value, found the end of the document"},
        {"a comment for a value", "b = # x", "t:1:5: expected a value, found '#'"},
        {"no equals sign", "b 1", "t:1:3: expected '=' after the key, found '1'"},
        {"a colon for the equals sign", "b: 1", "t:1:2: expected '=' after the key, found ':'"},
        {"only a key", "b\n= 1", "t:1:2: expected '=' after the key, found the end of the line"},
        {"no key", "= 1", "t:1:1: expected a key, found '='"},
        {"two equals signs", "b == 1", "t:1:4: expected a value, found '='"},
        {"two pairs in a line", "a = 1 b = 2", "t:1:7" END_AFTER "'b'"},
        {"a comma behind a value", "a = 1,", "t:1:6" END_AFTER "','"},
        {"a table in a line with a pair", "[a] b = 1",
         "t:1:5: expected the end of the line after a header, found 'b'"},
        {"a letter outside ASCII in a bare key", "caf\xc3\xa9 = 1",
         "t:1:4: expected '=' after the key, found '\xc3\xa9' (U+00E9)"},
        {"a dot first", ".a = 1", "t:1:1: expected a key, found '.'"},
        {"a dot last", "a. = 1", "t:1:4: expected a key, found '='"},
        {"two dots", "a..b = 1", "t:1:3: expected a key, found '.'"},
        {"a multi-line key", "\"\"\"a\"\"\" = 1",
         "t:1:1: a string in three quotes cannot be a key"},
        {"a multi-line literal key", "'''a''' = 1", "t:1:1: a string in three quotes cannot"},
        {"a key not closed", "\"a = 1\n", "t:1:1" UNCLOSED " on its line"},
        {"an escape in a key", "\"a\\q\" = 1", "t:1:3" UNKNOWN_ESCAPE},
        {"an array not closed", "a = [\n1,\n2",
         "t:3:2: expected ',' or ']' in the array of line 1, found the end of the document"},
        {"an array not closed behind a comma", "a = [1,\n",
         "t:2:1: expected ',' or ']' in the array of line 1, found"},
        {"no comma", "a = [1 2]", "t:1:8: expected ',' or ']' in the array of line 1, found '2'"},
        {"comma first", "a = [,1]", "t:1:6: expected a value, found ','"},
        {"two commas", "a = [1,,2]", "t:1:8: expected a value, found ','"},
        {"a bracket too many", "a = [1]]", "t:1:8" END_AFTER "']'"},
        {"a key in an array", "a = [b = 1]", "t:1:6: 'b' is no value"},
        {"a trailing comma in an inline table", "a = {b = 1,}",
         "t:1:12: expected a key, found '}'"},
        {"only a comma in an inline table", "a = {,}", "t:1:6: expected a key, found ','"},
        {"a newline in an inline table", "a = {b = 1,\nc = 2}",
         "t:1:12: expected a key, found the end of the line"},
        {"a newline before the brace", "a = {b = 1\n}",
         "t:1:11: expected ',' or '}' in an inline table, on the same line, found the end"},
        {"a newline behind the brace", "a = {\n}",
         "t:1:6: expected a key, found the end of the line"},
        {"a comment in an inline table", "a = {b = 1 # }",
         "t:1:12: expected ',' or '}' in an inline table"},
        {"an inline table not closed", "a = {b = 1",
         "t:1:11: expected ',' or '}' in an inline table"},
        {"no comma in an inline table", "a = {b = 1 c = 2}", "t:1:12: expected ',' or '}'"},
        {"a value in an inline table", "a = {1}", "t:1:7: expected '=' after the key, found '}'"},
        {"an empty header", "[]", "t:1:2: expected a key, found ']'"},
        {"an empty part in a header", "[a..b]", "t:1:4: expected a key, found '.'"},
        {"a header not closed", "[a\nb = 1",
         "t:1:3: expected ']' after the name of the table, found the end of the line"},
        {"a header closed once", "[[a]\n",
         "t:1:4: expected ']]' after the name of the table, found ']'"},
        {"a header closed with a blank", "[[a] ]", "t:1:4: expected ']]'"},
        {"a header opened with a blank", "[ [a]]", "t:1:3: expected a key, found '['"},
        {"a header closed twice", "[a]]",
         "t:1:4: expected the end of the line after a header, found ']'"},
        {"a comment in a header", "[a # b]", "t:1:4: expected ']'"},
        {"a pair in a header", "[a = 1]", "t:1:4: expected ']'"},
        {"a column behind wide characters", "a = \"\xf0\x9f\x98\x80\xe2\x82\xac\" x",
         "t:1:10" END_AFTER "'x'"},
        {"a line behind CR LF", "a = 1\r\n\r\nb", "t:3:2: expected '='"},
        {"a column behind a byte order mark", "\xef\xbb\xbf= 1", "t:1:1: expected a key"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refusal(&rows[i]);
}

#define TWICE " is given twice, first on line "

static void toml_refuses_redefinition(void **state)
{
    static const struct refusal rows[] = {
        {"a key twice", "a = 1\nb = 2\na = 3", "t:3:1: key \"a\"" TWICE "1"},
        {"a key twice, once in quotes", "a = 1\n\"\\u0061\" = 2", "t:2:1: key \"a\"" TWICE "1"},
        {"a dotted key twice", "a.b = 1\na.b = 2", "t:2:3: key \"b\"" TWICE "1"},
        {"a key twice in a table", "[t]\na = 1\na = 2", "t:3:1: key \"a\"" TWICE "2"},
        {"a key twice in an inline table", "t = {a = 1, a = 2}", "t:1:13: key \"a\"" TWICE "1"},
        {"a dotted key through a value", "a = 1\na.b = 2",
         "t:2:1: \"a\" is an integer since line 1"},
        {"a value for a table of dotted keys", "a.b = 1\na = 2", "t:2:1: key \"a\"" TWICE "1"},
        {"a value for a table", "[a.b]\n[a]\nb = 1", "t:3:1: key \"b\"" TWICE "1"},
        {"a value for an array of tables", "[[a.b]]\n[a]\nb = 1", "t:3:1: key \"b\"" TWICE "1"},
        {"a dotted key into an array of tables", "[[a.b]]\n[a]\nb.c = 1",
         "t:3:1: \"b\" is an array since line 1"},
        {"a table twice", "[a]\n[b]\n[a]",
         "t:3:2: \"a\" is a table since line 1; it cannot be defined twice"},
        {"a table twice after tables in it", "[a]\n[a.b]\n[a]",
         "t:3:2: \"a\" is a table since line 1"},
        {"an implied table defined twice", "[a.b]\n[a]\n[a]",
         "t:3:2: \"a\" is a table since line 2"},
        {"a header for a value", "a = 1\n[a]",
         "t:2:2: \"a\" is an integer since line 1; it cannot be a table too"},
        {"a header through a value", "a = ''\n[a.b]",
         "t:2:2: \"a\" is a string since line 1; there can be no table"},
        {"a header for a table of dotted keys", "[a]\nb.c = 1\n[a.b]",
         "t:3:4: \"b\" is a table since line 2, by a dotted key"},
        {"a header for a table of dotted keys at the top", "a.b = 1\n[a]",
         "t:2:2: \"a\" is a table since line 1, by a dotted key"},
        {"a header for an implied table that a dotted key took", "[a.b.c]\n[a]\nb.x = 1\n[a.b]",
         "t:4:4: \"b\" is a table since line 1, by a dotted key"},
        {"a dotted key into a table of a header", "[a.b]\n[a]\nb.c = 1",
         "t:3:1: \"b\" is a table since line 1, by a header"},
        {"a dotted key through a table of a header", "[a.b.c]\n[a.b]\n[a]\nb.c.d = 1",
         "t:4:1: \"b\" is a table since line 2, by a header"},
        {"a header for an array of tables", "[[a]]\n[a]",
         "t:2:2: \"a\" is an array since line 1, of tables; one more"},
        {"an array of tables for a table", "[a]\n[[a]]",
         "t:2:3: \"a\" is a table since line 1; it cannot be an array of tables too"},
        {"an array of tables for an implied table", "[a.b]\n[[a]]",
         "t:2:3: \"a\" is a table since line 1; it cannot be an array"},
        {"an array of tables for a value", "a = 1\n[[a]]",
         "t:2:3: \"a\" is an integer since line 1"},
        {"an array of tables for a written array", "a = []\n[[a]]",
         "t:2:3: \"a\" is an array since line 1, complete at its bracket"},
        {"a table in a written array", "a = [{}]\n[a.b]",
         "t:2:2: \"a\" is an array since line 1; there can be no table inside it"},
        {"an array of tables in a written array", "a = [{}]\n[[a.b]]",
         "t:2:3: \"a\" is an array since line 1"},
        {"a dotted key into an inline table", "a = {b = 1}\na.c = 2",
         "t:2:1: \"a\" is an inline table since line 1, complete at its brace"},
        {"a header for an inline table", "a = {}\n[a]",
         "t:2:2: \"a\" is an inline table since line 1; it cannot be defined twice"},
        {"a header into an inline table", "a = {}\n[a.b]",
         "t:2:2: \"a\" is an inline table since line 1, complete"},
        {"an array of tables into an inline table", "a = {b = [{}]}\n[[a.b]]",
         "t:2:3: \"a\" is an inline table since line 1, complete"},
        {"a header into a table inside an inline one", "a = {b.c = 1}\n[a.b.d]",
         "t:2:2: \"a\" is an inline table since line 1"},
        {"a dotted key into an inline table in one", "a = {b = {c = 1}, b.d = 2}",
         "t:1:19: \"b\" is an inline table since line 1"},
        {"a dotted key into an array in an inline table", "a = {b = [{}], b.c = 1}",
         "t:1:16: \"b\" is an array since line 1"},
        {"an inline table for a table of dotted keys", "a.b = 1\na = {}",
         "t:2:1: key \"a\"" TWICE "1"},
        {"a table twice in one of an array", "[[a]]\n[a.b]\n[a.b]",
         "t:3:4: \"b\" is a table since line 2"},
        {"a key twice in one of an array", "[[a]]\nx = 1\nx = 2", "t:3:1: key \"x\"" TWICE "2"},
        {"a long key is cut in the message",
         "a123456789b123456789c123456789d123456789e123456789f123456789g = 1\n"
         "a123456789b123456789c123456789d123456789e123456789f123456789g = 1\n",
         "t:2:1: key \"a123456789b123456789c123456789d123456789e123456789f123456789\"" TWICE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refusal(&rows[i]);
}

/* ---- places ---- */

static void dump_places(const struct mir_toml_value *value, struct mir_buf *out)
{
    mir_buf_printf(out, "@%" PRIu32 ":%" PRIu32, value->at.line, value->at.column);
    if (value->kind == MIR_TOML_ARRAY)
        for (size_t i = 0; i < value->array->count; i++) {
            mir_buf_printf(out, " [%zu]", i);
            dump_places(&value->array->items[i], out);
        }
    if (value->kind == MIR_TOML_TABLE)
        for (size_t i = 0; i < value->table->count; i++) {
            const struct mir_toml_entry *entry = value->table->entries[i];

            mir_buf_printf(out, " %s@%" PRIu32 ":%" PRIu32 "=", entry->key.ptr, entry->key_at.line,
                           entry->key_at.column);
            dump_places(&entry->value, out);
        }
}

static void toml_keeps_line_and_column(void **state)
{
    static const struct row rows[] = {
        {"key and value", "\n  a  = 1", " a@2:3=@2:8"},
        {"columns are characters", "\"\xc3\xa9\" = ['\xe2\x82\xac', 1]",
         " \xc3\xa9@1:1=@1:7 [0]@1:8 [1]@1:13"},
        {"behind CR LF and a byte order mark",
         "\xef\xbb\xbf"
         "a = 1\r\nb = 2",
         " a@1:1=@1:5 b@2:1=@2:5"},
        {"dotted keys: each part", "a.b . c = 1", " a@1:1=@1:1 b@1:3=@1:3 c@1:7=@1:11"},
        {"arrays over lines", "a = [ # x\n 1,\n  'b' ]", " a@1:1=@1:5 [0]@2:2 [1]@3:3"},
        {"behind a string of several lines", "a = '''\n\n''' # x\nb = 1", " a@1:1=@1:5 b@4:1=@4:5"},
        {"inline tables", "a = { b = 1, c.d = 2 }",
         " a@1:1=@1:5 b@1:7=@1:11 c@1:14=@1:14 d@1:16=@1:20"},
        {"headers: the bracket; keys: their first naming", "[a.b]\nx = 1\n [a]\ny = 2",
         " a@1:2=@3:2 b@1:4=@1:1 x@2:1=@2:5 y@4:1=@4:5"},
        {"arrays of tables: each bracket", "[[a]]\n[[a]]\n[[ a . b ]]",
         " a@1:3=@1:1 [0]@1:1 [1]@2:1 b@3:8=@3:1 [0]@3:1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct mir_toml_value root = {.kind = MIR_TOML_TABLE};
        auto_toml *doc = NULL;
        auto_free struct mir_toml_table *table = NULL;
        auto_buf text;

        mir_buf_init(&text, DUMP_MAX);
        if (!mir_toml_parse(mir_span_of(rows[i].toml), "t", &doc, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        table = mir_alloc(sizeof(*table));
        *table = *mir_toml_root(doc);
        root.table = table;
        dump_places(&root, &text);
        if (!mir_starts_with(text.ptr, "@0:0") || strcmp(text.ptr + 4, rows[i].expected) != 0)
            fail_msg("%s: %s", rows[i].label, text.ptr + 4);
    }
}

static void toml_remembers_how_a_table_was_made(void **state)
{
    static const char text[] = "a.b = 1\nc = {}\n[d.e]\n[[f]]\n";
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    const struct mir_toml_table *root;

    (void)state;
    assert_true(mir_toml_parse(mir_span_of(text), "t", &doc, &err));
    root = mir_toml_root(doc);
    assert_int_equal(root->origin, MIR_TOML_HEADER);
    assert_int_equal(mir_toml_find(root, "a")->table->origin, MIR_TOML_DOTTED);
    assert_int_equal(mir_toml_find(root, "c")->table->origin, MIR_TOML_INLINE);
    assert_int_equal(mir_toml_find(root, "d")->table->origin, MIR_TOML_IMPLIED);
    assert_int_equal(mir_toml_find(mir_toml_find(root, "d")->table, "e")->table->origin,
                     MIR_TOML_HEADER);
    assert_true(mir_toml_find(root, "f")->array->has_headers);
}

/* ---- getters ---- */

static const char getter_text[] = "s = 'x'\nn = 5\nf = 0.5\nb = true\nz = \"a\\u0000b\"\n"
                                  "list = ['p', 'q']\nmixed = ['p', 1]\n"
                                  "nul = ['p', \"\\u0000\"]\ninline = [{}, {}]\n"
                                  "[t]\nx = 1\n[[r]]\n[[r]]\n";

static void toml_getters_return_values(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    const struct mir_toml_table *root, *table = NULL;
    const struct mir_toml_array *array = NULL;
    const char *string = NULL;
    int64_t integer = 0;
    double number = 0;
    bool boolean = false;

    (void)state;
    assert_true(mir_toml_parse(mir_span_of(getter_text), "dir/t.conf", &doc, &err));
    assert_string_equal(mir_toml_name(doc), "dir/t.conf");
    root = mir_toml_root(doc);
    assert_true(mir_toml_get_string(doc, root, "s", &string, &err));
    assert_string_equal(string, "x");
    assert_true(mir_toml_get_integer(doc, root, "n", &integer, &err));
    assert_int_equal(integer, 5);
    assert_true(mir_toml_get_float(doc, root, "f", &number, &err));
    assert_true(number == 0.5);
    assert_true(mir_toml_get_boolean(doc, root, "b", &boolean, &err));
    assert_true(boolean);
    assert_true(mir_toml_get_table(doc, root, "t", &table, &err));
    assert_int_equal(table->count, 1);
    assert_true(mir_toml_get_array_of(doc, root, "list", MIR_TOML_STRING, &array, &err));
    assert_int_equal(array->count, 2);
    assert_true(mir_toml_get_array_of(doc, root, "r", MIR_TOML_TABLE, &array, &err));
    assert_true(array->has_headers);
    assert_true(mir_toml_get_array_of(doc, root, "inline", MIR_TOML_TABLE, &array, &err));
    assert_false(array->has_headers);
    assert_true(mir_toml_require(doc, root, "s", &err));
}

static void toml_getters_leave_the_default_when_absent(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    const struct mir_toml_table *root, *table = NULL;
    const struct mir_toml_array *array = NULL;
    const char *string = "default";
    int64_t integer = 7;
    double number = 7;
    bool boolean = true;

    (void)state;
    assert_true(mir_toml_parse(mir_span_of(""), "t", &doc, &err));
    root = mir_toml_root(doc);
    assert_null(mir_toml_find(root, "x"));
    assert_null(mir_toml_find_entry(root, mir_span_of("x")));
    assert_true(mir_toml_get_string(doc, root, "x", &string, &err));
    assert_true(mir_toml_get_integer(doc, root, "x", &integer, &err));
    assert_true(mir_toml_get_float(doc, root, "x", &number, &err));
    assert_true(mir_toml_get_boolean(doc, root, "x", &boolean, &err));
    assert_true(mir_toml_get_table(doc, root, "x", &table, &err));
    assert_true(mir_toml_get_array_of(doc, root, "x", MIR_TOML_STRING, &array, &err));
    assert_string_equal(string, "default");
    assert_int_equal(integer, 7);
    assert_true(number == 7);
    assert_true(boolean);
    assert_null(table);
    assert_null(array);
    assert_int_equal(err.code, MIR_OK);
}

static void expect_error(struct mir_error *err, bool ok, const char *text)
{
    if (ok || err->code != MIR_E_FORMAT || strcmp(err->text, text) != 0)
        fail_msg("wanted %s, got %s %s", text, ok ? "success" : "error", err->text);
    mir_error_clear(err);
}

static void toml_getters_say_where_and_what(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    const struct mir_toml_table *root, *table = NULL;
    const struct mir_toml_array *array = NULL;
    const char *string = "default";
    int64_t integer = 7;
    double number = 7;
    bool boolean = true;

    (void)state;
    assert_true(mir_toml_parse(mir_span_of(getter_text), "t", &doc, &err));
    root = mir_toml_root(doc);
    expect_error(&err, mir_toml_get_string(doc, root, "n", &string, &err),
                 "t:2:5: n: expected a string, found an integer");
    expect_error(&err, mir_toml_get_string(doc, root, "z", &string, &err),
                 "t:5:5: z: a string with a NUL in it");
    expect_error(&err, mir_toml_get_integer(doc, root, "f", &integer, &err),
                 "t:3:5: f: expected an integer, found a float");
    expect_error(&err, mir_toml_get_float(doc, root, "n", &number, &err),
                 "t:2:5: n: expected a float, found an integer");
    expect_error(&err, mir_toml_get_boolean(doc, root, "s", &boolean, &err),
                 "t:1:5: s: expected a boolean, found a string");
    expect_error(&err, mir_toml_get_table(doc, root, "r", &table, &err),
                 "t:12:1: r: expected a table, found an array");
    expect_error(&err, mir_toml_get_array_of(doc, root, "t", MIR_TOML_TABLE, &array, &err),
                 "t:10:1: t: expected an array, found a table");
    expect_error(&err, mir_toml_get_array_of(doc, root, "mixed", MIR_TOML_STRING, &array, &err),
                 "t:7:15: mixed: expected a string in the array, found an integer");
    expect_error(&err, mir_toml_get_array_of(doc, root, "nul", MIR_TOML_STRING, &array, &err),
                 "t:8:13: nul: a string with a NUL in it");
    table = mir_toml_find(root, "t")->table;
    expect_error(&err, mir_toml_require(doc, table, "y", &err), "t:10:1: y is missing");
    expect_error(&err, mir_toml_fail(doc, table->at, &err, "%d is wrong", 5), "t:10:1: 5 is wrong");
    assert_string_equal(string, "default");
    assert_int_equal(integer, 7);
    assert_null(array);
}

/* ---- limits and time ---- */

static void add_times(struct mir_buf *out, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        mir_buf_text(out, text);
}

struct nesting {
    const char *label;
    const char *start;
    const char *open;
    const char *middle;
    const char *close;
    const char *end;
    size_t most; /* times that open may stand, the document's own table counted */
};

static const struct nesting nestings[] = {
    {"arrays", "a = ", "[", "", "]", "", MIR_TOML_DEPTH_MAX - 1},
    {"inline tables", "", "a = {", "", "}", "", MIR_TOML_DEPTH_MAX - 1},
    {"inline tables in arrays", "a = ", "[{a=", "1", "}]", "", (MIR_TOML_DEPTH_MAX - 1) / 2},
    {"dotted keys", "", "a.", "a = 1", "", "", MIR_TOML_DEPTH_MAX - 1},
    {"dotted keys in an inline table", "a = {", "a.", "a = 1", "", "}", MIR_TOML_DEPTH_MAX - 2},
    {"headers", "[a", ".a", "", "", "]", MIR_TOML_DEPTH_MAX - 2},
    {"headers of arrays", "[[a", ".a", "", "", "]]", MIR_TOML_DEPTH_MAX - 3},
    {"dotted keys in a table of an array", "[[h]]\n", "a.", "a = 1", "", "",
     MIR_TOML_DEPTH_MAX - 3},
    {"dotted keys below a header", "[h]\n", "a.", "a = 1", "", "", MIR_TOML_DEPTH_MAX - 2},
};

static bool parse_nesting(const struct nesting *nesting, size_t times, struct mir_error *err)
{
    auto_toml *doc = NULL;
    auto_buf text;

    mir_buf_init(&text, MIR_TOML_BYTES_MAX);
    mir_buf_text(&text, nesting->start);
    add_times(&text, nesting->open, times);
    mir_buf_text(&text, nesting->middle);
    add_times(&text, nesting->close, times);
    mir_buf_text(&text, nesting->end);
    mir_error_clear(err);
    return mir_toml_parse(mir_buf_span(&text), "t", &doc, err);
}

static void toml_bounds_depth(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(nestings); i++) {
        const struct nesting *row = &nestings[i];
        struct mir_error err = MIR_ERROR_INIT;

        if (!parse_nesting(row, row->most, &err))
            fail_msg("%s: %zu levels: %s", row->label, row->most, err.text);
        for (size_t times = row->most + 1; times < 200000; times *= 10)
            if (parse_nesting(row, times, &err) || err.code != MIR_E_LIMIT ||
                !mir_starts_with(err.text, "t:") || !strstr(err.text, ": nested deeper than 64"))
                fail_msg("%s: %zu levels: code %d, %s", row->label, times, err.code, err.text);
    }
}

/* Through arrays of tables the levels add up although no header is long. */
static void toml_bounds_depth_through_arrays_of_tables(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    auto_buf text;
    auto_buf name;

    (void)state;
    mir_buf_init(&text, DUMP_MAX);
    mir_buf_init(&name, DUMP_MAX);
    for (size_t i = 0; i < 40; i++) {
        mir_buf_text(&name, i == 0 ? "a" : ".a");
        mir_buf_printf(&text, "[[%s]]\n", name.ptr);
    }
    assert_false(mir_toml_parse(mir_buf_span(&text), "t", &doc, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    /* Level 1 is the document; array and table take two each. */
    assert_true(mir_starts_with(err.text, "t:32:"));
}

static void toml_bounds_values_and_bytes(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    auto_buf text;

    (void)state;
    mir_buf_init(&text, 2 * (size_t)MIR_TOML_BYTES_MAX);
    mir_buf_text(&text, "a = [");
    add_times(&text, "1,", MIR_TOML_VALUES_MAX - 1);
    mir_buf_text(&text, "]");
    assert_true(mir_toml_parse(mir_buf_span(&text), "t", &doc, &err));
    text.ptr[text.len - 1] = '1';
    assert_false(mir_toml_parse(mir_buf_span(&text), "t", &doc, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    assert_string_equal(err.text, "t:1:2000004: more than 1000000 values");

    mir_buf_clear(&text);
    add_times(&text, "#1234567\n12345=7", MIR_TOML_BYTES_MAX / 16 + 1);
    mir_error_clear(&err);
    assert_false(mir_toml_parse(mir_buf_span(&text), "t", &doc, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    assert_string_equal(err.text, "t:1:1: longer than 33554432 bytes");
    text.len = MIR_TOML_BYTES_MAX;
    memset(text.ptr, ' ', text.len);
    mir_error_clear(&err);
    mir_toml_free(mir_steal(&doc));
    assert_true(mir_toml_parse(mir_buf_span(&text), "t", &doc, &err));
}

struct bulk {
    const char *label;
    const char *start;
    const char *before; /* before and behind a number, again and again */
    const char *behind;
    const char *end;
};

#define BULK_COUNT   200000
#define BULK_SECONDS 10

/* Each would take minutes if some step looked at all that was there before. */
static const struct bulk bulks[] = {
    {"keys", "", "key", " = \"value\"\n", ""},
    {"keys in an inline table", "a = {z = 1", ", key", " = 1", "}"},
    {"items on one line", "a = [", "'\xc3\xa9", "', ", "]"},
    {"tables", "", "[t.t", "]\n", ""},
    {"an array of tables", "", "[[t]]\nx = ", "\n", ""},
    {"an array of tables in a table of one", "[[a]]\n", "[[a.t]]\nx = ", "\n", ""},
    {"dotted keys", "", "a.b.c", " = 1\n", ""},
    {"dotted keys that make tables", "", "a", ".b.c = 1\n", ""},
    {"lines in a string", "a = '''\n", "line ", "\n", "'''"},
    {"escapes", "a = \"", "\\u00e9", "", "\""},
    {"escaped line ends", "a = \"\"\"", "\\\n   ", "", "\"\"\""},
    {"quotes in a string", "a = \"\"\"", "\"\"", "", "\"\"\""},
    {"comments", "", "# ", "\n", ""},
    {"digits", "a = 0.", "", "", ""},
};

static void build_bulk(const struct bulk *bulk, struct mir_buf *text)
{
    mir_buf_text(text, bulk->start);
    for (size_t n = 0; n < BULK_COUNT; n++)
        mir_buf_printf(text, "%s%zu%s", bulk->before, n, bulk->behind);
    mir_buf_text(text, bulk->end);
}

static void toml_takes_time_by_length_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bulks); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_toml *doc = NULL;
        auto_buf text;
        clock_t begin;
        double seconds;

        mir_buf_init(&text, MIR_TOML_BYTES_MAX);
        build_bulk(&bulks[i], &text);
        begin = clock();
        if (!mir_toml_parse(mir_buf_span(&text), "t", &doc, &err))
            fail_msg("%s: %s", bulks[i].label, err.text);
        mir_toml_free(mir_steal(&doc));
        seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (seconds > BULK_SECONDS)
            fail_msg("%s: %zu bytes took %.1f s", bulks[i].label, text.len, seconds);
    }
}

static void toml_finds_each_of_many_keys(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    auto_buf text;

    (void)state;
    mir_buf_init(&text, MIR_TOML_BYTES_MAX);
    for (int n = 0; n < 100000; n++)
        mir_buf_printf(&text, "key%d = %d\n", n, n);
    assert_true(mir_toml_parse(mir_buf_span(&text), "t", &doc, &err));
    assert_int_equal(mir_toml_root(doc)->count, 100000);
    for (int n = 0; n < 100000; n += 7) {
        auto_free char *key = mir_format("key%d", n);

        assert_int_equal(mir_toml_find(mir_toml_root(doc), key)->integer, n);
        assert_ptr_equal(mir_toml_find(mir_toml_root(doc), key),
                         &mir_toml_root(doc)->entries[n]->value);
    }
    assert_null(mir_toml_find(mir_toml_root(doc), "key100000"));
    /* A key twice is found as well when there are many. */
    mir_buf_text(&text, "key99998 = 1\n");
    mir_toml_free(mir_steal(&doc));
    assert_false(mir_toml_parse(mir_buf_span(&text), "t", &doc, &err));
    assert_string_equal(err.text,
                        "t:100001:1: key \"key99998\" is given twice, first on line 99999");
}

/* ---- damage ---- */

static const char sample[] =
    "# all of it\n\"q\\t\" = \"\"\"\na\\\n  b\\u00e9\"\"\"\nn = [0x1f, -1_0, 1.5e-3, inf, true,\n"
    "  'l', '''m\nn''', {a.b = 1, c = []},]\nd = [1979-05-27T07:32:00.5-07:00, 1979-05-27 "
    "07:32:00,\n1979-05-27, 07:32:00]\na.b.c = 1\n[t . 'u']\n x=1\n[[r]]\r\n[[r.s]]\nk = 1 # e\n";

/* The document ends somewhere, or one byte of it is another: read or refused with a place inside
 * it, and nothing worse. The text stands at the end of its memory, so that reading on is noticed.
 */
static void check_damaged(struct mir_span text)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *copy = mir_alloc(text.len);
    auto_toml *doc = NULL;
    unsigned long line;
    char *end;

    memcpy(copy, text.ptr, text.len);
    if (mir_toml_parse(mir_span(copy, text.len), "t", &doc, &err))
        return;
    assert_int_equal(err.code, MIR_E_FORMAT);
    assert_true(mir_starts_with(err.text, "t:"));
    line = strtoul(err.text + 2, &end, 10);
    assert_true(line >= 1 && line <= 20 && *end == ':');
    assert_true(strtoul(end + 1, &end, 10) >= 1 && mir_starts_with(end, ": "));
}

static void toml_survives_damage(void **state)
{
    static const char damage[] = "\"'\\[]{}.,=#\n\r\t \x01\x7f\x80\xff\xc3"
                                 "09-+_:eTZxu";

    (void)state;
    check_row(&(struct row){
        "the sample itself", sample,
        "{\"q<09>\"=\"ab<c3><a9>\", \"n\"=[31, -10, 0.0015f, inff, true, \"l\", \"m<0a>n\", "
        "{\"a\"={\"b\"=1}, \"c\"=[]}], \"d\"=[O(1979-5-27 7:32:0 500000000 -420), L(1979-5-27 "
        "7:32:0 0 0), D(1979-5-27 0:0:0 0 0), T(0-0-0 7:32:0 0 0)], \"a\"={\"b\"={\"c\"=1}}, "
        "\"t\"={\"u\"={\"x\"=1}}, \"r\"=[{\"s\"=[{\"k\"=1}]}]}"});
    for (size_t at = 0; at < sizeof(sample) - 1; at++) {
        char text[sizeof(sample)];

        check_damaged(mir_span(sample, at));
        memcpy(text, sample, sizeof(text));
        for (size_t d = 0; d < sizeof(damage); d++) {
            text[at] = damage[d];
            check_damaged(mir_span(text, sizeof(text) - 1));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toml_reads_strings),
        cmocka_unit_test(toml_reads_numbers),
        cmocka_unit_test(toml_reads_dates_and_times),
        cmocka_unit_test(toml_reads_arrays_and_inline_tables),
        cmocka_unit_test(toml_reads_keys_and_tables),
        cmocka_unit_test(toml_refuses_strings),
        cmocka_unit_test(toml_refuses_bytes),
        cmocka_unit_test(toml_refuses_nul_bytes),
        cmocka_unit_test(toml_refuses_numbers),
        cmocka_unit_test(toml_refuses_dates_and_times),
        cmocka_unit_test(toml_refuses_structure),
        cmocka_unit_test(toml_refuses_redefinition),
        cmocka_unit_test(toml_keeps_line_and_column),
        cmocka_unit_test(toml_remembers_how_a_table_was_made),
        cmocka_unit_test(toml_getters_return_values),
        cmocka_unit_test(toml_getters_leave_the_default_when_absent),
        cmocka_unit_test(toml_getters_say_where_and_what),
        cmocka_unit_test(toml_bounds_depth),
        cmocka_unit_test(toml_bounds_depth_through_arrays_of_tables),
        cmocka_unit_test(toml_bounds_values_and_bytes),
        cmocka_unit_test(toml_takes_time_by_length_alone),
        cmocka_unit_test(toml_finds_each_of_many_keys),
        cmocka_unit_test(toml_survives_damage),
    };

    return cmocka_run_group_tests_name("base/toml", tests, NULL, NULL);
}
