/*
 * policy.json as bytes: JSON the way the operator's encoder lays it out. The names of transports
 * and scopes stand in byte order; the keys of a requirement in the order they were built in.
 */
#include "icsp/policy_priv.h"

#include "base/mem.h"

/* How deep the parts whose keys are sorted lie. */
enum level {
    LEVEL_TRANSPORTS = 1, /* the object under "transports" */
    LEVEL_SCOPES = 2,     /* the object under a transport */
    LEVEL_OTHER = 3,      /* requirements and what is in them */
};

static void write_indent(unsigned indent, struct mir_buf *out)
{
    mir_buf_char(out, '\n');
    for (unsigned i = 0; i < indent; i++)
        mir_buf_text(out, "  ");
}

/* U+2028 and U+2029 are escaped, because JavaScript ends a line there. */
static bool is_line_separator(const char *text)
{
    return strncmp(text, "\xe2\x80\xa8", 3) == 0 || strncmp(text, "\xe2\x80\xa9", 3) == 0;
}

static void write_string(const char *text, struct mir_buf *out)
{
    static const char plain[] = "\b\t\n\f\r\"\\";
    static const char letters[] = "btnfr\"\\";

    mir_buf_char(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *special = strchr(plain, *text);

        if (special) {
            mir_buf_printf(out, "\\%c", letters[special - plain]);
        } else if (c < 0x20 || strchr("<>&", *text)) {
            mir_buf_printf(out, "\\u%04x", c);
        } else if (is_line_separator(text)) {
            mir_buf_text(out, text[2] == '\xa8' ? "\\u2028" : "\\u2029");
            text += 2;
        } else {
            mir_buf_char(out, *text);
        }
    }
    mir_buf_char(out, '"');
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of an object in the order they are written; the caller frees. */
static const char **ordered_keys(json_t *object, bool sorted)
{
    const char **keys = mir_alloc_array(json_object_size(object), sizeof(*keys));
    const char *key;
    const json_t *value;
    size_t count = 0;

    json_object_foreach (object, key, value) {
        (void)value;
        keys[count++] = key;
    }
    if (sorted)
        qsort(keys, count, sizeof(*keys), compare_keys);
    return keys;
}

static void write_value(json_t *value, enum level level, unsigned indent, struct mir_buf *out);

static void write_object(json_t *object, enum level level, unsigned indent, struct mir_buf *out)
{
    auto_free const char **keys = ordered_keys(object, level != LEVEL_OTHER);
    size_t count = json_object_size(object);
    enum level below = level == LEVEL_TRANSPORTS ? LEVEL_SCOPES : LEVEL_OTHER;

    if (count == 0) {
        mir_buf_text(out, "{}");
        return;
    }
    mir_buf_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            mir_buf_char(out, ',');
        write_indent(indent + 1, out);
        write_string(keys[i], out);
        mir_buf_text(out, ": ");
        write_value(json_object_get(object, keys[i]), below, indent + 1, out);
    }
    write_indent(indent, out);
    mir_buf_char(out, '}');
}

static void write_array(json_t *array, unsigned indent, struct mir_buf *out)
{
    json_t *item;
    size_t i;

    if (json_array_size(array) == 0) {
        mir_buf_text(out, "[]");
        return;
    }
    mir_buf_char(out, '[');
    json_array_foreach (array, i, item) {
        if (i > 0)
            mir_buf_char(out, ',');
        write_indent(indent + 1, out);
        write_value(item, LEVEL_OTHER, indent + 1, out);
    }
    write_indent(indent, out);
    mir_buf_char(out, ']');
}

/* A policy holds strings, lists and objects; the rest is here so that no base file is changed. */
static void write_value(json_t *value, enum level level, unsigned indent, struct mir_buf *out)
{
    auto_free char *other = NULL;

    if (json_is_object(value)) {
        write_object(value, level, indent, out);
        return;
    }
    if (json_is_array(value)) {
        write_array(value, indent, out);
        return;
    }
    if (json_is_string(value)) {
        write_string(json_string_value(value), out);
        return;
    }
    other = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    mir_buf_text(out, other ? other : "null");
}

void icsp_policy_format(json_t *policy, struct mir_buf *out)
{
    json_t *transports = json_object_get(policy, "transports");

    mir_buf_text(out, "{\n  \"default\": ");
    write_value(json_object_get(policy, "default"), LEVEL_OTHER, 1, out);
    mir_buf_text(out, ",\n  \"transports\": ");
    if (transports)
        write_value(transports, LEVEL_TRANSPORTS, 1, out);
    else
        mir_buf_text(out, "{}");
    mir_buf_text(out, "\n}");
}
