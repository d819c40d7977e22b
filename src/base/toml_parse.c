/*
 * The TOML document: a list of headers and "key = value" lines, read in one recursive descent that
 * builds tables as it goes. Strings, numbers and dates, and what may be said about a table twice,
 * are in files of their own.
 *
 * Invariant: recursion (inline tables and arrays) is bounded by MIR_TOML_DEPTH_MAX, and what was
 * built so far is always whole, so that it can be freed at any error.
 */
#include "base/toml_priv.h"

#include <stdio.h>

#include "base/mem.h"

static bool read_value(struct mir_toml_reader *r, unsigned depth, struct mir_toml_value *value);

/* ---- keys ---- */

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool read_part(struct mir_toml_reader *r, struct mir_toml_part *part)
{
    char first = mir_toml_peek(r, 0);
    size_t from = r->at;

    part->at = mir_toml_here(r);
    if (first == '"' || first == '\'')
        return mir_toml_read_quoted_key(r, &part->text);
    if (!is_bare(first))
        return mir_toml_fail_expected(r, "a key");
    while (is_bare(mir_toml_peek(r, 0)))
        r->at++;
    part->text = mir_span(r->text.ptr + from, r->at - from);
    return true;
}

typedef bool enter_fn(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                      const struct mir_toml_part *part);

/* A key and the blanks around it: *spot moves into the tables that its parts name, except the last,
 * which is *last. */
static bool read_key(struct mir_toml_reader *r, enter_fn *enter, struct mir_toml_spot *spot,
                     struct mir_toml_part *last)
{
    for (;;) {
        mir_toml_skip_blanks(r);
        if (!read_part(r, last))
            return false;
        mir_toml_skip_blanks(r);
        if (mir_toml_peek(r, 0) != '.')
            return true;
        r->at++;
        if (!enter(r, spot, last))
            return false;
    }
}

/* "key = value" in the table of spot. */
static bool read_pair(struct mir_toml_reader *r, struct mir_toml_spot spot)
{
    struct mir_toml_part last;
    struct mir_toml_value *value;

    if (!read_key(r, mir_toml_enter_dotted, &spot, &last))
        return false;
    if (mir_toml_peek(r, 0) != '=')
        return mir_toml_fail_expected(r, "'=' after the key");
    if (!mir_toml_add_key(r, spot.table, &last, &value))
        return false;
    r->at++;
    mir_toml_skip_blanks(r);
    return read_value(r, spot.depth + 1, value);
}

/* ---- values ---- */

/* It may have begun many lines ago. */
static bool fail_in_array(struct mir_toml_reader *r, const struct mir_toml_value *array)
{
    char what[80];

    (void)snprintf(what, sizeof(what), "',' or ']' in the array of line %u", array->at.line);
    return mir_toml_fail_expected(r, what);
}

/* The next byte is the bracket. */
static bool read_array(struct mir_toml_reader *r, unsigned depth, struct mir_toml_value *value)
{
    struct mir_toml_array *array = mir_alloc(sizeof(*array));

    value->kind = MIR_TOML_ARRAY;
    value->array = array;
    if (!mir_toml_check_depth(r, value->at, depth))
        return false;
    r->at++;
    for (;;) {
        struct mir_toml_value *item;

        mir_toml_skip_lines(r);
        if (mir_toml_peek(r, 0) == ']')
            break;
        if (r->at == r->text.len)
            return fail_in_array(r, value);
        if (!mir_toml_add_item(r, array, mir_toml_here(r), &item) ||
            !read_value(r, depth + 1, item))
            return false;
        mir_toml_skip_lines(r);
        if (mir_toml_peek(r, 0) == ']')
            break;
        if (mir_toml_peek(r, 0) != ',')
            return fail_in_array(r, value);
        r->at++;
    }
    r->at++;
    return true;
}

/* The next byte is the brace. */
static bool read_inline(struct mir_toml_reader *r, unsigned depth, struct mir_toml_value *value)
{
    struct mir_toml_table *table = mir_toml_table_new(MIR_TOML_INLINE, value->at);

    value->kind = MIR_TOML_TABLE;
    value->table = table;
    if (!mir_toml_check_depth(r, value->at, depth))
        return false;
    r->at++;
    mir_toml_skip_blanks(r);
    if (mir_toml_peek(r, 0) == '}') {
        r->at++;
        return true;
    }
    for (;;) {
        if (!read_pair(r, (struct mir_toml_spot){.table = table, .depth = depth}))
            return false;
        mir_toml_skip_blanks(r);
        if (mir_toml_peek(r, 0) == '}')
            break;
        if (mir_toml_peek(r, 0) != ',')
            return mir_toml_fail_expected(r, "',' or '}' in an inline table, on the same line");
        r->at++;
    }
    r->at++;
    return true;
}

static bool is_token(char c)
{
    return is_bare(c) || c == '+' || c == '.' || c == ':';
}

/* The run of bytes that a number, a date or a word is written with. The blank between a date and a
 * time belongs to it. */
static struct mir_span take_token(struct mir_toml_reader *r)
{
    static const size_t date_len = sizeof("1979-05-27") - 1;
    size_t from = r->at;

    while (is_token(mir_toml_peek(r, 0)))
        r->at++;
    if (r->at - from == date_len && r->text.ptr[from + 4] == '-' && mir_toml_peek(r, 0) == ' ' &&
        mir_toml_peek(r, 1) >= '0' && mir_toml_peek(r, 1) <= '9') {
        r->at++;
        while (is_token(mir_toml_peek(r, 0)))
            r->at++;
    }
    return mir_span(r->text.ptr + from, r->at - from);
}

static bool read_token(struct mir_toml_reader *r, struct mir_toml_value *value)
{
    struct mir_span token = take_token(r);

    if (token.len == 0)
        return mir_toml_fail_expected(r, "a value");
    if (mir_span_is(token, "true") || mir_span_is(token, "false")) {
        value->kind = MIR_TOML_BOOLEAN;
        value->boolean = token.ptr[0] == 't';
        return true;
    }
    return mir_toml_is_time_like(token) ? mir_toml_read_time(r, token, value)
                                        : mir_toml_read_number(r, token, value);
}

static bool read_string(struct mir_toml_reader *r, struct mir_toml_value *value)
{
    struct mir_span text;

    if (!mir_toml_read_string(r, &text))
        return false;
    value->kind = MIR_TOML_STRING;
    value->string = mir_span(mir_strndup(text.ptr, text.len), text.len);
    return true;
}

/* Fill in a value that is an empty string until then. A table or array in it is on level depth. */
static bool read_value(struct mir_toml_reader *r, unsigned depth, struct mir_toml_value *value)
{
    value->at = mir_toml_here(r);
    switch (mir_toml_peek(r, 0)) {
    case '"':
    case '\'':
        return read_string(r, value);
    case '[':
        return read_array(r, depth, value);
    case '{':
        return read_inline(r, depth, value);
    default:
        return read_token(r, value);
    }
}

/* ---- the document ---- */

/* [table] or [[table]]; *section becomes that table. The next byte is the bracket. */
static bool read_header(struct mir_toml_reader *r, struct mir_toml_spot root,
                        struct mir_toml_spot *section)
{
    struct mir_toml_place at = mir_toml_here(r);
    bool is_item = mir_toml_peek(r, 1) == '[';
    struct mir_toml_spot spot = root;
    struct mir_toml_part last;

    r->at += is_item ? 2 : 1;
    if (!read_key(r, mir_toml_enter_header, &spot, &last))
        return false;
    if (mir_toml_peek(r, 0) != ']' || (is_item && mir_toml_peek(r, 1) != ']'))
        return mir_toml_fail_expected(r, is_item ? "']]' after the name of the table"
                                                 : "']' after the name of the table");
    if (is_item ? !mir_toml_append_table(r, &spot, &last, at)
                : !mir_toml_define_table(r, &spot, &last, at))
        return false;
    r->at += is_item ? 2 : 1;
    *section = spot;
    return mir_toml_end_line(r, "a header");
}

static bool read_document(struct mir_toml_reader *r, struct mir_toml_table *table)
{
    struct mir_toml_spot root = {.table = table, .depth = 1};
    struct mir_toml_spot section = root;

    for (;;) {
        mir_toml_skip_lines(r);
        if (r->at == r->text.len)
            return true;
        if (mir_toml_peek(r, 0) == '[') {
            if (!read_header(r, root, &section))
                return false;
        } else if (!read_pair(r, section) || !mir_toml_end_line(r, "a value")) {
            return false;
        }
    }
}

bool mir_toml_read(struct mir_span text, const char *name, struct mir_toml_table *root,
                   struct mir_error *err)
{
    struct mir_toml_reader r = {.text = text, .name = name, .err = err};
    bool ok;

    if (!mir_toml_begin_text(&r))
        return false;
    mir_buf_init(&r.scratch, text.len);
    ok = read_document(&r, root);
    mir_buf_release(&r.scratch);
    return ok;
}
