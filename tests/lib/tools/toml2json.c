/*
 * toml2json FILE                        print a TOML document as tagged JSON, toml-test's form:
 *                                       {"type": "integer", "value": "1"} for 1, and so on
 * toml2json --expect JSON TOML ...      pairs: each document has the meaning that the JSON says
 * toml2json --refused TOML ...          each is refused, at a line and column that it has
 *
 * Called by tests/cli/toml-suite.sh. The last two print what does not hold and how many did, and
 * exit 1 if any did not. Floats are compared by value (with the sign of a zero), dates and times
 * without regard to zeros at the end of a fraction, everything else exactly.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/toml.h"

#define FILE_MAX  (32u << 20)
#define VALUE_MAX 64

/* jansson reads no NUL in keys. To compare, NUL is this private character on both sides. */
#define NUL_STAND_IN "\xef\xa3\xbf"

/* ---- TOML to tagged JSON ---- */

static const char *tag_of(enum mir_toml_kind kind)
{
    switch (kind) {
    case MIR_TOML_STRING:
        return "string";
    case MIR_TOML_INTEGER:
        return "integer";
    case MIR_TOML_FLOAT:
        return "float";
    case MIR_TOML_BOOLEAN:
        return "bool";
    case MIR_TOML_OFFSET_DATETIME:
        return "datetime";
    case MIR_TOML_LOCAL_DATETIME:
        return "datetime-local";
    case MIR_TOML_LOCAL_DATE:
        return "date-local";
    case MIR_TOML_LOCAL_TIME:
        return "time-local";
    case MIR_TOML_ARRAY:
    case MIR_TOML_TABLE:
        break;
    }
    return "";
}

/* The fewest digits that give the same number again. */
static void add_float(double number, struct mir_buf *out)
{
    char text[VALUE_MAX];

    if (isnan(number)) {
        mir_buf_text(out, "nan");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    mir_buf_text(out, text);
}

/* Three digits, six or nine, as few as hold it. */
static void add_fraction(uint32_t nanosecond, struct mir_buf *out)
{
    if (nanosecond == 0)
        return;
    if (nanosecond % 1000000 == 0)
        mir_buf_printf(out, ".%03" PRIu32, nanosecond / 1000000);
    else if (nanosecond % 1000 == 0)
        mir_buf_printf(out, ".%06" PRIu32, nanosecond / 1000);
    else
        mir_buf_printf(out, ".%09" PRIu32, nanosecond);
}

static void add_offset(int minutes, struct mir_buf *out)
{
    if (minutes == 0)
        mir_buf_char(out, 'Z');
    else
        mir_buf_printf(out, "%c%02d:%02d", minutes < 0 ? '-' : '+', abs(minutes) / 60,
                       abs(minutes) % 60);
}

static void add_time(const struct mir_toml_value *value, struct mir_buf *out)
{
    const struct mir_toml_time *t = &value->time;

    if (value->kind != MIR_TOML_LOCAL_TIME)
        mir_buf_printf(out, "%04u-%02u-%02u", t->year, t->month, t->day);
    if (value->kind == MIR_TOML_LOCAL_DATE)
        return;
    if (value->kind != MIR_TOML_LOCAL_TIME)
        mir_buf_char(out, 'T');
    mir_buf_printf(out, "%02u:%02u:%02u", t->hour, t->minute, t->second);
    add_fraction(t->nanosecond, out);
    if (value->kind == MIR_TOML_OFFSET_DATETIME)
        add_offset(t->offset_minutes, out);
}

/* Text with every NUL replaced; a buffer that is large enough. */
static void add_text(struct mir_span text, const char *nul, struct mir_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' && nul)
            mir_buf_text(out, nul);
        else
            mir_buf_char(out, text.ptr[i]);
    }
}

static json_t *scalar_to_json(const struct mir_toml_value *value, const char *nul)
{
    auto_buf text;

    mir_buf_init(&text, FILE_MAX);
    if (value->kind == MIR_TOML_STRING)
        add_text(value->string, nul, &text);
    else if (value->kind == MIR_TOML_INTEGER)
        mir_buf_printf(&text, "%" PRId64, value->integer);
    else if (value->kind == MIR_TOML_FLOAT)
        add_float(value->number, &text);
    else if (value->kind == MIR_TOML_BOOLEAN)
        mir_buf_text(&text, value->boolean ? "true" : "false");
    else
        add_time(value, &text);
    return json_pack("{s:s, s:o}", "type", tag_of(value->kind), "value",
                     json_stringn(text.ptr, text.len));
}

static json_t *to_json(const struct mir_toml_value *value, const char *nul);

static json_t *table_to_json(const struct mir_toml_table *table, const char *nul)
{
    json_t *object = json_object();

    for (size_t i = 0; i < table->count; i++) {
        auto_buf key;

        mir_buf_init(&key, FILE_MAX);
        add_text(table->entries[i]->key, nul, &key);
        json_object_setn_new(object, key.ptr, key.len, to_json(&table->entries[i]->value, nul));
    }
    return object;
}

/* nul is what stands for NUL; NULL keeps it. */
static json_t *to_json(const struct mir_toml_value *value, const char *nul)
{
    json_t *array;

    if (value->kind == MIR_TOML_TABLE)
        return table_to_json(value->table, nul);
    if (value->kind != MIR_TOML_ARRAY)
        return scalar_to_json(value, nul);
    array = json_array();
    for (size_t i = 0; i < value->array->count; i++)
        json_array_append_new(array, to_json(&value->array->items[i], nul));
    return array;
}

/* ---- comparing ---- */

static bool same_float(const char *a, const char *b)
{
    double x = strtod(a, NULL);
    double y = strtod(b, NULL);

    return (isnan(x) && isnan(y)) || (x == y && !signbit(x) == !signbit(y));
}

/* A date or time in capitals with the zeros at the end of a fraction left out. */
static void normalise_time(const char *text, char out[VALUE_MAX])
{
    size_t len = 0;
    bool fraction = false;

    for (; *text && len + 1 < VALUE_MAX; text++) {
        fraction = *text == '.' || (fraction && *text >= '0' && *text <= '9');
        out[len++] = (char)(*text == 't' || *text == ' ' ? 'T' : *text == 'z' ? 'Z' : *text);
        if (fraction && !(text[1] >= '0' && text[1] <= '9'))
            while (out[len - 1] == '0' || out[len - 1] == '.')
                if (out[--len] == '.')
                    break;
    }
    out[len] = '\0';
}

static bool same_time(const char *a, const char *b)
{
    char x[VALUE_MAX];
    char y[VALUE_MAX];

    normalise_time(a, x);
    normalise_time(b, y);
    return strcmp(x, y) == 0;
}

static bool same_scalar(json_t *a, json_t *b)
{
    const char *type = json_string_value(json_object_get(a, "type"));
    const char *x = json_string_value(json_object_get(a, "value"));
    const char *y = json_string_value(json_object_get(b, "value"));

    if (!json_equal(json_object_get(a, "type"), json_object_get(b, "type")) || !x || !y)
        return false;
    if (strcmp(type, "float") == 0)
        return same_float(x, y);
    if (strstr(type, "date") || strstr(type, "time"))
        return same_time(x, y);
    return json_equal(a, b);
}

/* The tag of a value, as opposed to a table that has a key "type". */
static bool is_scalar(json_t *value)
{
    return json_object_size(value) == 2 && json_is_string(json_object_get(value, "type")) &&
           json_is_string(json_object_get(value, "value"));
}

static bool same(json_t *a, json_t *b)
{
    const char *key;
    json_t *child;
    size_t i;

    if (is_scalar(a) || is_scalar(b))
        return is_scalar(a) && is_scalar(b) && same_scalar(a, b);
    if (json_typeof(a) != json_typeof(b) || json_array_size(a) != json_array_size(b) ||
        json_object_size(a) != json_object_size(b))
        return false;
    json_array_foreach (a, i, child)
        if (!same(child, json_array_get(b, i)))
            return false;
    json_object_foreach (a, key, child)
        if (!json_object_get(b, key) || !same(child, json_object_get(b, key)))
            return false;
    return json_is_array(a) || json_is_object(a);
}

/* ---- files ---- */

/* name is what the errors call it. */
static bool load_toml(const char *path, struct mir_toml **doc, struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len;

    return mir_file_read(path, FILE_MAX, &text, &len, err) &&
           mir_toml_parse(mir_span(text, len), path, doc, err);
}

/* Tagged JSON from a file, with the stand-in for NUL. */
static json_t *load_json(const char *path, struct mir_error *err)
{
    auto_free char *text = NULL;
    auto_buf plain;
    json_error_t why;
    json_t *value;
    size_t len;

    if (!mir_file_read(path, FILE_MAX, &text, &len, err))
        return NULL;
    mir_buf_init(&plain, FILE_MAX);
    for (size_t i = 0; i < len; i++) {
        if (strncmp(text + i, "\\u0000", 6) == 0) {
            mir_buf_text(&plain, NUL_STAND_IN);
            i += 5;
        } else {
            mir_buf_char(&plain, text[i]);
            /* What follows a backslash is no escape of its own. */
            if (text[i] == '\\' && i + 1 < len)
                mir_buf_char(&plain, text[++i]);
        }
    }
    value = json_loadb(plain.ptr, plain.len, 0, &why);
    if (!value)
        (void)mir_fail(err, MIR_E_FORMAT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    return value;
}

static bool check_meaning(const char *json_path, const char *toml_path, struct mir_error *err)
{
    auto_json *expected = load_json(json_path, err);
    auto_json *found = NULL;
    auto_toml *doc = NULL;

    if (!expected || !load_toml(toml_path, &doc, err))
        return false;
    found = table_to_json(mir_toml_root(doc), NUL_STAND_IN);
    if (!same(expected, found)) {
        auto_free char *text = json_dumps(found, JSON_COMPACT);

        return mir_fail(err, MIR_E_FORMAT, "%s: read as %s", toml_path, text);
    }
    return true;
}

/* The length of a line of a text, in bytes; false when it has no such line. The line after the last
 * newline counts. */
static bool line_length(struct mir_span text, unsigned long line, size_t *len)
{
    size_t at = 0;

    for (; line > 1; line--) {
        if (!mir_span_find(text, '\n', &at))
            return false;
        text = mir_span_from(text, at + 1);
    }
    *len = mir_span_find(text, '\n', &at) ? at : text.len;
    return true;
}

/* A number from 1 between colons; *at moves to the second colon. */
static bool read_count(const char **at, unsigned long *count)
{
    char *end;

    if (**at != ':' || (*at)[1] < '1' || (*at)[1] > '9')
        return false;
    *count = strtoul(*at + 1, &end, 10);
    *at = end;
    return *end == ':';
}

/* "PATH:LINE:COLUMN: " with a place that the file has (or is directly behind a line of it). */
static bool has_place(const char *message, const char *path, struct mir_span text)
{
    const char *at = message + strlen(path);
    unsigned long line, column;
    size_t len;

    if (!mir_starts_with(message, path) || !read_count(&at, &line) || !read_count(&at, &column))
        return false;
    return at[1] == ' ' && at[2] != '\0' && line_length(text, line, &len) && column <= len + 1;
}

static bool check_refusal(const char *path, struct mir_error *err)
{
    struct mir_error refusal = MIR_ERROR_INIT;
    auto_free char *text = NULL;
    auto_toml *doc = NULL;
    size_t len;

    if (!mir_file_read(path, FILE_MAX, &text, &len, err))
        return false;
    if (mir_toml_parse(mir_span(text, len), path, &doc, &refusal))
        return mir_fail(err, MIR_E_FORMAT, "%s: was taken", path);
    if (refusal.code != MIR_E_FORMAT || !has_place(refusal.text, path, mir_span(text, len)))
        return mir_fail(err, MIR_E_FORMAT, "%s: refused without line and column: %s", path,
                        refusal.text);
    return true;
}

/* ---- command line ---- */

static int print(const char *path)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    auto_json *value = NULL;

    if (!load_toml(path, &doc, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    value = table_to_json(mir_toml_root(doc), NULL);
    return json_dumpf(value, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF ? 0 : 1;
}

static int check_all(char **paths, bool pairs)
{
    size_t held = 0;
    size_t broken = 0;

    for (; paths[0]; paths += pairs ? 2 : 1) {
        struct mir_error err = MIR_ERROR_INIT;

        if (pairs && !paths[1])
            return 2;
        if (pairs ? check_meaning(paths[0], paths[1], &err) : check_refusal(paths[0], &err)) {
            held++;
        } else {
            broken++;
            (void)printf("%s\n", err.text);
        }
    }
    (void)printf("%zu hold, %zu do not\n", held, broken);
    return broken == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--expect") == 0)
        return check_all(argv + 2, true);
    if (argc >= 3 && strcmp(argv[1], "--refused") == 0)
        return check_all(argv + 2, false);
    if (argc == 2 && argv[1][0] != '-')
        return print(argv[1]);
    (void)fputs("usage: toml2json FILE | --expect JSON TOML... | --refused TOML...\n", stderr);
    return 2;
}
