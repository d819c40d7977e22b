/*
 * Reading JSON and YAML into jansson values: one recursive descent over libyaml's events, with
 * limits on depth and on the number of nodes that hold for aliases too. What an alias repeats is
 * shared, not copied, so that an alias bomb costs counting and no memory.
 *
 * Invariant: whatever is returned is within TREE_DEPTH_MAX and TREE_NODES_MAX, has unique string
 * keys, and no NUL in a string.
 */
#include "base/tree.h"

#include <yaml.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/tree_priv.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

/* ---- JSON ---- */

struct json_walk {
    const char *name;
    size_t nodes;
    struct mir_error *err;
};

/* The parser's own depth limit is far above ours, and it counts no nodes. */
static bool json_within_limits(struct json_walk *walk, json_t *value, unsigned depth)
{
    json_t *child;
    const char *key;
    size_t i;

    if (depth > TREE_DEPTH_MAX)
        return mir_fail(walk->err, MIR_E_LIMIT, "%s:1:1: nested deeper than %d levels", walk->name,
                        TREE_DEPTH_MAX);
    walk->nodes++;
    if (walk->nodes > TREE_NODES_MAX)
        return mir_fail(walk->err, MIR_E_LIMIT, "%s:1:1: more than %d values", walk->name,
                        TREE_NODES_MAX);
    json_array_foreach (value, i, child)
        if (!json_within_limits(walk, child, depth + 1))
            return false;
    json_object_foreach (value, key, child)
        if (!json_within_limits(walk, child, depth + 1))
            return false;
    return true;
}

/* Jansson passes over a NUL byte that follows a number, where other readers stop: no text has one.
 */
static bool has_nul(struct mir_span text)
{
    return text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL;
}

static bool fail_nul(struct mir_span text, const char *name, struct mir_error *err)
{
    size_t line = 1, column = 1;

    for (const char *c = text.ptr; *c != '\0'; c++, column++) {
        if (*c == '\n') {
            line++;
            column = 0;
        }
    }
    return mir_fail(err, MIR_E_FORMAT, "%s:%zu:%zu: a NUL byte", name, line, column);
}

/* secret: what stood at the fault is not repeated, as jansson does ("near '...'"). */
static bool fail_json(const json_error_t *why, const char *name, bool secret, struct mir_error *err)
{
    const char *near = secret ? strstr(why->text, " near ") : NULL;
    int len = near ? (int)(near - why->text) : (int)strlen(why->text);

    return mir_fail(err, MIR_E_FORMAT, "%s:%d:%d: %.*s", name, why->line > 0 ? why->line : 1,
                    why->column > 0 ? why->column : 1, len, why->text);
}

static bool json_parse(struct mir_span text, const char *name, bool secret, json_t **out,
                       struct mir_error *err)
{
    struct json_walk walk = {.name = name, .err = err};
    auto_json *value = NULL;
    json_error_t why;

    if (has_nul(text))
        return fail_nul(text, name, err);
    value = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                       &why);
    if (!value)
        return fail_json(&why, name, secret, err);
    if (!json_within_limits(&walk, value, 1))
        return false;
    *out = mir_steal(&value);
    return true;
}

bool mir_json_parse(struct mir_span text, const char *name, json_t **out, struct mir_error *err)
{
    return json_parse(text, name, false, out, err);
}

bool mir_json_parse_secret(struct mir_span text, const char *name, json_t **out,
                           struct mir_error *err)
{
    return json_parse(text, name, true, out, err);
}

/* Text without the blanks it begins with. */
static struct mir_span skip_blank_lines(struct mir_span text, unsigned *line)
{
    for (; text.len > 0 && mir_is_json_blank(text.ptr[0]); text = mir_span_from(text, 1))
        *line += text.ptr[0] == '\n';
    return text;
}

/* A run of JSON values one after the other, as tools write them. Quick, and right about what only
 * JSON has (surrogate pairs); anything it does not take is left to the YAML reader, whose error
 * says more. */
static bool json_stream_parse(struct mir_span text, const char *name, struct mir_lines *lines,
                              json_t **out)
{
    auto_json *documents = json_array();
    struct mir_error dropped = MIR_ERROR_INIT;
    struct json_walk walk = {.name = name, .err = &dropped};
    auto_line_list roots = {0};
    unsigned line = 1;

    if (has_nul(text))
        return false;
    for (text = skip_blank_lines(text, &line); text.len > 0; text = skip_blank_lines(text, &line)) {
        json_error_t why;
        json_t *value;

        if (text.ptr[0] != '{' && text.ptr[0] != '[')
            return false;
        value =
            json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &why);
        if (!value)
            return false;
        json_array_append_new(documents, value);
        if (!json_within_limits(&walk, value, 1))
            return false;
        mir_line_list_add(&roots, line);
        if (lines)
            line = mir_lines_walk_json(lines, text, line, value);
        text = mir_span_from(text, (size_t)why.position);
    }
    if (lines)
        mir_lines_set(lines, documents, &roots);
    *out = mir_steal(&documents);
    return true;
}

/* ---- YAML ---- */

struct anchor {
    json_t *value; /* owned; NULL while it is being read */
    size_t nodes;  /* of the whole subtree */
    unsigned height;
    struct anchor *next; /* all anchors of the document, for release */
};

struct reader {
    yaml_parser_t parser;
    const char *name;
    struct mir_span text;
    struct mir_map *anchors; /* of the current document */
    struct anchor *anchor_list;
    size_t nodes;
    struct mir_lines *lines; /* NULL: nobody asked */
    struct mir_error *err;
};

/* A value and how many levels it has. */
struct node {
    json_t *value;
    unsigned height;
};

static void auto_event_release(yaml_event_t *event)
{
    yaml_event_delete(event);
}
#define auto_event __attribute__((cleanup(auto_event_release))) yaml_event_t

static bool fail_at(struct reader *r, const yaml_mark_t *mark, enum mir_code code, const char *what)
{
    return mir_fail(r->err, code, "%s:%zu:%zu: %s", r->name, mark->line + 1, mark->column + 1,
                    what);
}

/* A byte the encoding does not allow has an offset and no line: the scanner is not there yet. */
static bool fail_byte(struct reader *r, size_t offset, const char *problem)
{
    size_t line = 1;
    size_t column = 1;

    for (size_t i = 0; i < offset && i < r->text.len; i++) {
        column++;
        if (r->text.ptr[i] != '\n')
            continue;
        line++;
        column = 1;
    }
    return mir_fail(r->err, MIR_E_FORMAT, "%s:%zu:%zu: byte %zu: %s", r->name, line, column, offset,
                    problem);
}

static bool fail_scanner(struct reader *r)
{
    const yaml_parser_t *parser = &r->parser;
    const char *problem = parser->problem ? parser->problem : "not readable";

    if (parser->error == YAML_READER_ERROR)
        return fail_byte(r, parser->problem_offset, problem);
    return fail_at(r, &parser->problem_mark, MIR_E_FORMAT, problem);
}

/* The value of this event is the next child of what list is for. */
static void note_line(const struct reader *r, const yaml_event_t *event, struct mir_line_list *list)
{
    if (r->lines)
        mir_line_list_add(list, (unsigned)event->start_mark.line + 1);
}

static void note_container(const struct reader *r, const json_t *container,
                           const struct mir_line_list *list)
{
    if (r->lines)
        mir_lines_set(r->lines, container, list);
}

static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (!yaml_parser_parse(&r->parser, event)) {
        *event = (yaml_event_t){.type = YAML_NO_EVENT};
        return fail_scanner(r);
    }
    return true;
}

static bool count_nodes(struct reader *r, size_t more, const yaml_mark_t *mark)
{
    r->nodes += more;
    if (r->nodes > TREE_NODES_MAX)
        return fail_at(r, mark, MIR_E_LIMIT, "too many values, or aliases that multiply them");
    return true;
}

static void anchors_clear(struct reader *r)
{
    while (r->anchor_list) {
        struct anchor *first = r->anchor_list;

        r->anchor_list = first->next;
        json_decref(first->value);
        free(first);
    }
    mir_map_free(r->anchors);
    r->anchors = mir_map_new();
}

/* Remember the node under its name; its value comes when it is complete. NULL: no anchor. */
static struct anchor *anchor_open(struct reader *r, const yaml_char_t *name)
{
    struct anchor *anchor;

    if (!name)
        return NULL;
    anchor = mir_alloc(sizeof(*anchor));
    anchor->next = r->anchor_list;
    r->anchor_list = anchor;
    mir_map_set(r->anchors, mir_span_of((const char *)name), anchor);
    return anchor;
}

static bool read_alias(struct reader *r, const yaml_event_t *event, unsigned depth,
                       struct node *out)
{
    struct mir_span name = mir_span_of((const char *)event->data.alias.anchor);
    const struct anchor *anchor = mir_map_find(r->anchors, name);

    if (!anchor)
        return fail_at(r, &event->start_mark, MIR_E_FORMAT, "alias of an anchor that is not there");
    if (!anchor->value)
        return fail_at(r, &event->start_mark, MIR_E_FORMAT, "anchor that contains itself");
    if (depth + anchor->height - 1 > TREE_DEPTH_MAX)
        return fail_at(r, &event->start_mark, MIR_E_LIMIT, "nested too deep");
    if (!count_nodes(r, anchor->nodes, &event->start_mark))
        return false;
    *out = (struct node){.value = json_incref(anchor->value), .height = anchor->height};
    return true;
}

/* What the scalar is: by its tag, by its quotes, or by its text. *endless etc. are the caller's. */
static bool scalar_kind(struct reader *r, const yaml_event_t *event, enum tree_scalar *kind,
                        json_int_t *integer, double *number)
{
    const char *tag = (const char *)event->data.scalar.tag;
    struct mir_span text =
        mir_span((const char *)event->data.scalar.value, event->data.scalar.length);
    const char *name;

    *kind = TREE_SCALAR_STRING;
    if (!tag && event->data.scalar.plain_implicit)
        *kind = mir_tree_scalar(text, integer, number);
    if (!tag || strcmp(tag, "!") == 0)
        return true;
    name = mir_starts_with(tag, TAG_PREFIX) ? tag + strlen(TAG_PREFIX) : tag;
    if (strcmp(name, "str") == 0 || strcmp(name, "timestamp") == 0)
        return true;
    *kind = mir_tree_scalar(text, integer, number);
    if (strcmp(name, "null") == 0 && *kind == TREE_SCALAR_NULL)
        return true;
    if (strcmp(name, "bool") == 0 && (*kind == TREE_SCALAR_TRUE || *kind == TREE_SCALAR_FALSE))
        return true;
    if (strcmp(name, "int") == 0 && *kind == TREE_SCALAR_INTEGER)
        return true;
    if (strcmp(name, "float") == 0 && *kind == TREE_SCALAR_INTEGER) {
        *number = (double)*integer;
        *kind = TREE_SCALAR_FLOAT;
    }
    if (strcmp(name, "float") == 0 && *kind == TREE_SCALAR_FLOAT)
        return true;
    return fail_at(r, &event->start_mark, MIR_E_FORMAT, "tag that is unknown or does not fit");
}

static json_t *scalar_string(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;

    return memchr(text, '\0', len) ? NULL : json_stringn(text, len);
}

static bool read_scalar(struct reader *r, const yaml_event_t *event, struct node *out)
{
    enum tree_scalar kind;
    json_int_t integer = 0;
    double number = 0;
    json_t *value = NULL;

    if (!scalar_kind(r, event, &kind, &integer, &number))
        return false;
    switch (kind) {
    case TREE_SCALAR_NULL:
        value = json_null();
        break;
    case TREE_SCALAR_TRUE:
    case TREE_SCALAR_FALSE:
        value = json_boolean(kind == TREE_SCALAR_TRUE);
        break;
    case TREE_SCALAR_INTEGER:
        value = json_integer(integer);
        break;
    case TREE_SCALAR_FLOAT:
        value = json_real(number);
        break;
    case TREE_SCALAR_ENDLESS:
        return fail_at(r, &event->start_mark, MIR_E_FORMAT, "infinite or not a number");
    case TREE_SCALAR_STRING:
    case TREE_SCALAR_DATE:
    case TREE_SCALAR_MERGE:
        value = scalar_string(event);
        break;
    }
    if (!value)
        return fail_at(r, &event->start_mark, MIR_E_FORMAT, "NUL or invalid UTF-8 in a string");
    *out = (struct node){.value = value, .height = 1};
    return true;
}

/* Kubernetes' reader makes strings of keys that are numbers or booleans. */
static bool key_text(struct reader *r, const yaml_event_t *event, const json_t *key, char **out)
{
    char number[64];

    if (json_is_string(key)) {
        *out = mir_strdup(json_string_value(key));
        return true;
    }
    if (json_is_boolean(key)) {
        *out = mir_strdup(json_is_true(key) ? "true" : "false");
        return true;
    }
    if (json_is_integer(key)) {
        *out = mir_format("%" JSON_INTEGER_FORMAT, json_integer_value(key));
        return true;
    }
    if (json_is_real(key)) {
        (void)snprintf(number, sizeof(number), "%.7g", json_real_value(key));
        if (event->type == YAML_SCALAR_EVENT &&
            strcmp(number, (const char *)event->data.scalar.value) == 0) {
            *out = mir_strdup(number);
            return true;
        }
    }
    return fail_at(r, &event->start_mark, MIR_E_FORMAT, "key that is not a string: quote it");
}

static bool fail_twice(struct reader *r, const yaml_mark_t *mark, struct mir_span key)
{
    struct mir_span shown = mir_span_first(key, key.len < 100 ? key.len : 100);
    auto_free char *what = mir_format("key \"%.*s\" is given twice", MIR_SPAN_ARG(shown));

    return fail_at(r, mark, MIR_E_FORMAT, what);
}

static bool read_node(struct reader *r, const yaml_event_t *event, unsigned depth,
                      struct node *out);

static bool is_merge_key(const yaml_event_t *event)
{
    const char *tag;

    if (event->type != YAML_SCALAR_EVENT)
        return false;
    tag = (const char *)event->data.scalar.tag;
    if (tag && strcmp(tag, TAG_PREFIX "merge") == 0)
        return true;
    return !tag && event->data.scalar.plain_implicit &&
           strcmp((const char *)event->data.scalar.value, "<<") == 0;
}

/* A mapping while it is being read. */
struct mapping {
    json_t *object;
    json_t *merged; /* the value of "<<", or NULL */
    struct mir_line_list lines;
    unsigned height;
};

static void mapping_release(struct mapping *mapping)
{
    json_decref(mapping->object);
    json_decref(mapping->merged);
    mir_line_list_release(&mapping->lines);
}
#define auto_mapping __attribute__((cleanup(mapping_release))) struct mapping

/* Keys of object that are not in the mapping yet, with the lines they have there. */
static void merge_object(struct reader *r, struct mapping *mapping, json_t *object)
{
    const char *key;
    json_t *value;
    size_t index = 0;

    json_object_foreach (object, key, value) {
        if (!json_object_get(mapping->object, key)) {
            json_object_set(mapping->object, key, value);
            if (r->lines)
                mir_line_list_add(&mapping->lines, mir_lines_item(r->lines, object, index));
        }
        index++;
    }
}

/* "<<": what stands in the mapping itself wins, then the earlier of several. */
static bool merge_into(struct reader *r, const yaml_mark_t *mark, struct mapping *mapping)
{
    json_t *item;
    size_t i;

    if (json_is_object(mapping->merged)) {
        merge_object(r, mapping, mapping->merged);
        return true;
    }
    json_array_foreach (mapping->merged, i, item) {
        if (!json_is_object(item))
            return fail_at(r, mark, MIR_E_FORMAT, "\"<<\" takes a mapping or a list of mappings");
        merge_object(r, mapping, item);
    }
    if (json_is_array(mapping->merged))
        return true;
    return fail_at(r, mark, MIR_E_FORMAT, "\"<<\" takes a mapping or a list of mappings");
}

/* A key that has been read, and what follows it. */
static bool read_pair(struct reader *r, const yaml_event_t *key_event, unsigned depth,
                      struct mapping *mapping)
{
    struct node key = {0};
    struct node value = {0};
    auto_json *key_value = NULL;
    auto_free char *text = NULL;
    auto_event event = {0};

    if (key_event->type != YAML_SCALAR_EVENT && key_event->type != YAML_ALIAS_EVENT)
        return fail_at(r, &key_event->start_mark, MIR_E_FORMAT, "key that is not a string");
    if (!read_node(r, key_event, depth + 1, &key))
        return false;
    key_value = key.value;
    if (!key_text(r, key_event, key_value, &text))
        return false;
    if (json_object_get(mapping->object, text))
        return fail_twice(r, &key_event->start_mark, mir_span_of(text));
    if (!next_event(r, &event) || !read_node(r, &event, depth + 1, &value))
        return false;
    if (value.height > mapping->height)
        mapping->height = value.height;
    json_object_set_new(mapping->object, text, value.value);
    note_line(r, &event, &mapping->lines);
    return true;
}

static bool read_merge(struct reader *r, const yaml_event_t *key, unsigned depth,
                       struct mapping *mapping)
{
    auto_event event = {0};
    struct node value = {0};

    if (mapping->merged)
        return fail_at(r, &key->start_mark, MIR_E_FORMAT, "key \"<<\" is given twice");
    if (!next_event(r, &event) || !read_node(r, &event, depth + 1, &value))
        return false;
    if (value.height > mapping->height)
        mapping->height = value.height;
    mapping->merged = value.value;
    return true;
}

static bool read_mapping(struct reader *r, const yaml_mark_t *mark, unsigned depth,
                         struct node *out)
{
    auto_mapping mapping = {.object = json_object()};

    for (;;) {
        auto_event event = {0};
        bool ok;

        if (!next_event(r, &event))
            return false;
        if (event.type == YAML_MAPPING_END_EVENT)
            break;
        ok = is_merge_key(&event) ? read_merge(r, &event, depth, &mapping)
                                  : read_pair(r, &event, depth, &mapping);
        if (!ok)
            return false;
    }
    if (mapping.merged && !merge_into(r, mark, &mapping))
        return false;
    note_container(r, mapping.object, &mapping.lines);
    *out = (struct node){.height = mapping.height + 1};
    out->value = mir_steal(&mapping.object);
    return true;
}

static bool read_sequence(struct reader *r, unsigned depth, struct node *out)
{
    auto_json *array = json_array();
    auto_line_list lines = {0};
    unsigned height = 0;

    for (;;) {
        auto_event event = {0};
        struct node item = {0};

        if (!next_event(r, &event))
            return false;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (!read_node(r, &event, depth + 1, &item))
            return false;
        json_array_append_new(array, item.value);
        note_line(r, &event, &lines);
        if (item.height > height)
            height = item.height;
    }
    note_container(r, array, &lines);
    *out = (struct node){.value = mir_steal(&array), .height = height + 1};
    return true;
}

static const yaml_char_t *event_anchor(const yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        return event->data.scalar.anchor;
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return event->data.sequence_start.anchor;
    return event->type == YAML_MAPPING_START_EVENT ? event->data.mapping_start.anchor : NULL;
}

/* A collection's tag may only say what it is. */
static bool collection_tag_is(const yaml_char_t *tag, const char *expected)
{
    const char *text = (const char *)tag;

    return !text || strcmp(text, "!") == 0 || strcmp(text, expected) == 0;
}

static bool read_content(struct reader *r, const yaml_event_t *event, unsigned depth,
                         struct node *out)
{
    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(r, event, out);
    if (event->type == YAML_SEQUENCE_START_EVENT &&
        collection_tag_is(event->data.sequence_start.tag, TAG_PREFIX "seq"))
        return read_sequence(r, depth, out);
    if (event->type == YAML_MAPPING_START_EVENT &&
        collection_tag_is(event->data.mapping_start.tag, TAG_PREFIX "map"))
        return read_mapping(r, &event->start_mark, depth, out);
    return fail_at(r, &event->start_mark, MIR_E_FORMAT, "tag that is unknown or does not fit");
}

/* The node that event begins. Recursion is bounded by TREE_DEPTH_MAX. */
static bool read_node(struct reader *r, const yaml_event_t *event, unsigned depth, struct node *out)
{
    struct anchor *anchor;
    size_t before = r->nodes;

    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(r, event, depth, out);
    if (depth > TREE_DEPTH_MAX)
        return fail_at(r, &event->start_mark, MIR_E_LIMIT, "nested too deep");
    if (!count_nodes(r, 1, &event->start_mark))
        return false;
    anchor = anchor_open(r, event_anchor(event));
    if (!read_content(r, event, depth, out))
        return false;
    if (anchor) {
        anchor->value = json_incref(out->value);
        anchor->nodes = r->nodes - before;
        anchor->height = out->height;
    }
    return true;
}

/* From after DOCUMENT-START to behind DOCUMENT-END. */
static bool read_document(struct reader *r, json_t *documents, struct mir_line_list *lines)
{
    auto_event event = {0};
    auto_event end = {0};
    struct node root = {0};

    anchors_clear(r);
    if (!next_event(r, &event) || !read_node(r, &event, 1, &root))
        return false;
    if (json_is_null(root.value)) {
        json_decref(root.value);
    } else {
        json_array_append_new(documents, root.value);
        note_line(r, &event, lines);
    }
    return next_event(r, &end);
}

static bool read_stream(struct reader *r, json_t *documents)
{
    auto_line_list lines = {0};

    for (;;) {
        auto_event event = {0};

        if (!next_event(r, &event))
            return false;
        if (event.type == YAML_STREAM_END_EVENT)
            break;
        if (event.type == YAML_DOCUMENT_START_EVENT && !read_document(r, documents, &lines))
            return false;
    }
    note_container(r, documents, &lines);
    return true;
}

bool mir_yaml_parse(struct mir_span text, const char *name, json_t **out, struct mir_error *err)
{
    return mir_yaml_parse_lines(text, name, NULL, out, err);
}

bool mir_yaml_parse_lines(struct mir_span text, const char *name, struct mir_lines *lines,
                          json_t **out, struct mir_error *err)
{
    struct reader r = {.name = name, .text = text, .lines = lines, .err = err};
    auto_json *documents = json_array();
    bool ok;

    if (json_stream_parse(text, name, lines, out))
        return true;
    if (!yaml_parser_initialize(&r.parser))
        return mir_fail(err, MIR_E_LIMIT, "%s: no memory for the YAML reader", name);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    ok = read_stream(&r, documents);
    anchors_clear(&r);
    mir_map_free(r.anchors);
    yaml_parser_delete(&r.parser);
    if (!ok)
        return false;
    *out = mir_steal(&documents);
    return true;
}
