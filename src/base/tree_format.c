/*
 * Writing a tree as YAML the way Kubernetes tools write it: block style, two blanks per level, a
 * list at the indent of its key. A string stands bare where every YAML 1.1 reader sees that string;
 * it gets double quotes where one would see something else, single quotes where a character is in
 * the way, and double quotes with escapes where a character cannot be shown. Text of several lines
 * is a literal block where that is exact.
 *
 * What is written here and read by mir_yaml_parse() is the same tree (tests/unit/base_tree.c).
 */
#include "base/tree.h"

#include "base/tree_priv.h"

#define SIMPLE_KEY_MAX 128 /* bytes; a longer key is written with "? " */

static void write_value(json_t *value, unsigned indent, struct mir_buf *out);

static void write_indent(unsigned indent, struct mir_buf *out)
{
    for (unsigned i = 0; i < indent; i++)
        mir_buf_char(out, ' ');
}

/* ---- strings ---- */

/* Decode the UTF-8 character at *at, which is valid: jansson holds nothing else. */
static unsigned next_char(struct mir_span text, size_t *at)
{
    unsigned char first = (unsigned char)text.ptr[*at];
    unsigned extra = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    unsigned c = extra == 0 ? first : first & (0x3fu >> extra);

    for (unsigned i = 1; i <= extra && *at + i < text.len; i++)
        c = c << 6 | ((unsigned char)text.ptr[*at + i] & 0x3f);
    *at += 1 + extra;
    return c;
}

/* May it stand in the file as it is? Newlines are looked at by the caller. */
static bool is_printable(unsigned c)
{
    if (c < 0xa0)
        return c >= 0x20 && c < 0x7f;
    return c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff && c < 0x10000;
}

static bool all_printable(struct mir_span text, bool newlines)
{
    for (size_t at = 0; at < text.len;) {
        unsigned c = next_char(text, &at);

        if (!is_printable(c) && !(newlines && (c == '\n' || c == '\t')))
            return false;
    }
    return true;
}

static bool blank_or_end(struct mir_span text, size_t at)
{
    return at >= text.len || text.ptr[at] == ' ';
}

/* Can it stand without quotes in block style? It is printable and has no newline. */
static bool is_plain(struct mir_span text)
{
    if (text.len == 0 || text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ')
        return false;
    if (strchr("#,[]{}&*!|>'\"%@`", text.ptr[0]))
        return false;
    if (strchr("-?:", text.ptr[0]) && blank_or_end(text, 1))
        return false;
    if (mir_span_starts_with(text, "---") || mir_span_starts_with(text, "..."))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == ':' && blank_or_end(text, i + 1))
            return false;
        if (text.ptr[i] == '#' && text.ptr[i - 1] == ' ')
            return false;
    }
    return true;
}

static void write_single_quoted(struct mir_span text, struct mir_buf *out)
{
    mir_buf_char(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            mir_buf_char(out, '\'');
        mir_buf_char(out, text.ptr[i]);
    }
    mir_buf_char(out, '\'');
}

static void write_escaped(unsigned c, struct mir_buf *out)
{
    if (c == '\n')
        mir_buf_text(out, "\\n");
    else if (c == '\t')
        mir_buf_text(out, "\\t");
    else if (c == '\r')
        mir_buf_text(out, "\\r");
    else if (c <= 0xff)
        mir_buf_printf(out, "\\x%02X", c);
    else if (c <= 0xffff)
        mir_buf_printf(out, "\\u%04X", c);
    else
        mir_buf_printf(out, "\\U%08X", c);
}

static void write_double_quoted(struct mir_span text, struct mir_buf *out)
{
    mir_buf_char(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t from = at;
        unsigned c = next_char(text, &at);

        if (c == '"' || c == '\\')
            mir_buf_char(out, '\\');
        if (is_printable(c))
            mir_buf_add(out, mir_span(text.ptr + from, at - from));
        else
            write_escaped(c, out);
    }
    mir_buf_char(out, '"');
}

/* On one line: a key, or a value that is no literal block. */
static void write_flow_string(struct mir_span text, struct mir_buf *out)
{
    if (!all_printable(text, false) || mir_tree_must_quote(text))
        write_double_quoted(text, out);
    else if (is_plain(text))
        mir_buf_add(out, text);
    else
        write_single_quoted(text, out);
}

/* A literal block keeps every byte if nothing needs an escape and the first line shows the indent.
 */
static bool is_literal(struct mir_span text)
{
    size_t at;

    if (!mir_span_find(text, '\n', &at) || at == 0)
        return false;
    return text.ptr[0] != ' ' && text.ptr[0] != '\t' && all_printable(text, true);
}

static void write_literal(struct mir_span text, unsigned indent, struct mir_buf *out)
{
    bool ends = text.ptr[text.len - 1] == '\n';
    bool more = text.len > 1 && ends && text.ptr[text.len - 2] == '\n';
    struct mir_span line;

    mir_buf_text(out, more ? "|+" : ends ? "|" : "|-");
    while (mir_span_next(&text, '\n', &line)) {
        mir_buf_char(out, '\n');
        if (line.len > 0)
            write_indent(indent, out);
        mir_buf_add(out, line);
    }
}

/* ---- values ---- */

/* json_dumps would give the shortest text that reads back; %.17g always reads back. A float keeps
 * its point, so that it stays one. */
static void write_real(double number, struct mir_buf *out)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%.17g", number);
    mir_buf_text(out, text);
    if (!strpbrk(text, ".e"))
        mir_buf_text(out, ".0");
}

/* Behind "key: " or "- ": a scalar, or an empty collection. indent is where its lines would go. */
static void write_scalar(const json_t *value, unsigned indent, struct mir_buf *out)
{
    struct mir_span text;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        mir_buf_text(out, "{}");
        break;
    case JSON_ARRAY:
        mir_buf_text(out, "[]");
        break;
    case JSON_STRING:
        text = mir_span(json_string_value(value), json_string_length(value));
        if (is_literal(text))
            write_literal(text, indent, out);
        else
            write_flow_string(text, out);
        break;
    case JSON_INTEGER:
        mir_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        write_real(json_real_value(value), out);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        mir_buf_text(out, json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        mir_buf_text(out, "null");
        break;
    }
    mir_buf_char(out, '\n');
}

static bool is_block(const json_t *value)
{
    return json_array_size(value) > 0 || json_object_size(value) > 0;
}

/* "key:" and its value, for a key short enough to stand before its colon. */
static void write_simple_pair(struct mir_span key, json_t *value, unsigned indent,
                              struct mir_buf *out)
{
    write_flow_string(key, out);
    mir_buf_char(out, ':');
    if (!is_block(value)) {
        mir_buf_char(out, ' ');
        write_scalar(value, indent + 2, out);
        return;
    }
    mir_buf_char(out, '\n');
    if (json_is_object(value))
        indent += 2;
    write_indent(indent, out);
    write_value(value, indent, out);
}

static void write_long_pair(struct mir_span key, json_t *value, unsigned indent,
                            struct mir_buf *out)
{
    mir_buf_text(out, "? ");
    write_flow_string(key, out);
    mir_buf_char(out, '\n');
    write_indent(indent, out);
    mir_buf_text(out, ": ");
    write_value(value, indent + 2, out);
}

/* The cursor stands at the indent of the first line. */
static void write_value(json_t *value, unsigned indent, struct mir_buf *out)
{
    json_t *child;
    const char *key;
    size_t i;
    bool first = true;

    if (!is_block(value)) {
        write_scalar(value, indent, out);
        return;
    }
    json_array_foreach (value, i, child) {
        if (i > 0)
            write_indent(indent, out);
        mir_buf_text(out, "- ");
        write_value(child, indent + 2, out);
    }
    json_object_foreach (value, key, child) {
        struct mir_span name = mir_span_of(key);

        if (!first)
            write_indent(indent, out);
        first = false;
        if (name.len > SIMPLE_KEY_MAX)
            write_long_pair(name, child, indent, out);
        else
            write_simple_pair(name, child, indent, out);
    }
}

void mir_yaml_format(json_t *value, struct mir_buf *out)
{
    write_value(value, json_is_string(value) ? 2 : 0, out);
}
