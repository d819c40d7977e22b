/*
 * policy.json as bytes: JSON the way the operator's encoder lays it out. The names of transports
 * and scopes stand in byte order; the keys of a requirement in the order they were built in.
 */
#include "icsp/policy_priv.h"

#include "base/mem.h"

/* Where the bytes go, and in which layout. */
struct writer {
    struct icsp_json_style style;
    struct mir_buf *out;
};

/* How deep the parts whose keys are sorted lie. */
enum level {
    LEVEL_TRANSPORTS = 1, /* the object under "transports" */
    LEVEL_SCOPES = 2,     /* the object under a transport */
    LEVEL_OTHER = 3,      /* requirements and what is in them */
};

/* Between two parts of an object or array; depth counts levels. */
static void write_break(const struct writer *w, unsigned depth)
{
    if (w->style.indent == 0)
        return;
    mir_buf_char(w->out, '\n');
    for (unsigned i = 0; i < depth * w->style.indent; i++)
        mir_buf_char(w->out, ' ');
}

/* U+2028 and U+2029 are escaped, because JavaScript ends a line there. */
static bool is_line_separator(const char *text)
{
    return strncmp(text, "\xe2\x80\xa8", 3) == 0 || strncmp(text, "\xe2\x80\xa9", 3) == 0;
}

static void write_string(const struct writer *w, const char *text)
{
    static const char plain[] = "\t\n\r\"\\\b\f";
    static const char letters[] = "tnr\"\\bf";
    struct mir_buf *out = w->out;

    mir_buf_char(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *special = strchr(plain, *text);

        if (special && (w->style.short_escapes || !strchr("\b\f", *text))) {
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

static void write_value(const struct writer *w, json_t *value, enum level level, unsigned depth);

static void write_object(const struct writer *w, json_t *object, enum level level, unsigned depth)
{
    auto_free const char **keys = ordered_keys(object, level != LEVEL_OTHER);
    size_t count = json_object_size(object);
    enum level below = level == LEVEL_TRANSPORTS ? LEVEL_SCOPES : LEVEL_OTHER;

    if (count == 0) {
        mir_buf_text(w->out, "{}");
        return;
    }
    mir_buf_char(w->out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            mir_buf_char(w->out, ',');
        write_break(w, depth + 1);
        write_string(w, keys[i]);
        mir_buf_text(w->out, w->style.indent > 0 ? ": " : ":");
        write_value(w, json_object_get(object, keys[i]), below, depth + 1);
    }
    write_break(w, depth);
    mir_buf_char(w->out, '}');
}

static void write_array(const struct writer *w, json_t *array, unsigned depth)
{
    json_t *item;
    size_t i;

    if (json_array_size(array) == 0) {
        mir_buf_text(w->out, "[]");
        return;
    }
    mir_buf_char(w->out, '[');
    json_array_foreach (array, i, item) {
        if (i > 0)
            mir_buf_char(w->out, ',');
        write_break(w, depth + 1);
        write_value(w, item, LEVEL_OTHER, depth + 1);
    }
    write_break(w, depth);
    mir_buf_char(w->out, ']');
}

/* A policy holds strings, lists and objects; the rest is here so that no base file is changed. */
static void write_value(const struct writer *w, json_t *value, enum level level, unsigned depth)
{
    auto_free char *other = NULL;

    if (json_is_object(value)) {
        write_object(w, value, level, depth);
        return;
    }
    if (json_is_array(value)) {
        write_array(w, value, depth);
        return;
    }
    if (json_is_string(value)) {
        write_string(w, json_string_value(value));
        return;
    }
    other = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    mir_buf_text(w->out, other ? other : "null");
}

void icsp_policy_format(json_t *policy, struct icsp_json_style style, struct mir_buf *out)
{
    struct writer w = {.style = style, .out = out};
    json_t *transports = json_object_get(policy, "transports");
    const char *colon = style.indent > 0 ? ": " : ":";

    mir_buf_char(out, '{');
    write_break(&w, 1);
    mir_buf_printf(out, "\"default\"%s", colon);
    write_value(&w, json_object_get(policy, "default"), LEVEL_OTHER, 1);
    mir_buf_char(out, ',');
    write_break(&w, 1);
    mir_buf_printf(out, "\"transports\"%s", colon);
    if (transports)
        write_value(&w, transports, LEVEL_TRANSPORTS, 1);
    else
        mir_buf_text(out, "{}");
    write_break(&w, 0);
    mir_buf_char(out, '}');
}
