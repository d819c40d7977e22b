/*
 * Where the values of a tree stood in their text, for errors found long after reading. A value does
 * not know: words like null are one value for the whole program, and what aliases repeat is shared.
 * So the table has, for every object and array that was read, the lines of its children in order.
 *
 * Filled by the reader (tree.c) for callers that ask; looked up by whoever reports.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/tree_priv.h"

/* The children of one container. */
struct children {
    struct children *next; /* all of the table, for release */
    size_t count;
    unsigned lines[];
};

struct mir_lines {
    struct mir_map *by_container; /* the container's address -> its children */
    struct children *all;
};

struct mir_lines *mir_lines_new(void)
{
    struct mir_lines *lines = mir_alloc(sizeof(*lines));

    lines->by_container = mir_map_new();
    return lines;
}

void mir_lines_free(struct mir_lines *lines)
{
    if (!lines)
        return;
    while (lines->all) {
        struct children *first = lines->all;

        lines->all = first->next;
        free(first);
    }
    mir_map_free(lines->by_container);
    free(lines);
}

void mir_auto_lines_free(struct mir_lines **lines)
{
    mir_lines_free(*lines);
}

static unsigned line_of(const struct mir_lines *lines, const json_t *container, size_t index)
{
    struct mir_span key = mir_span(&container, sizeof(const json_t *));
    const struct children *children = lines ? mir_map_find(lines->by_container, key) : NULL;

    return children && index < children->count ? children->lines[index] : 0;
}

unsigned mir_lines_item(const struct mir_lines *lines, const json_t *array, size_t index)
{
    return line_of(lines, array, index);
}

unsigned mir_lines_member(const struct mir_lines *lines, json_t *object, const char *key)
{
    const char *member;
    const json_t *value;
    size_t index = 0;

    json_object_foreach (object, member, value) {
        (void)value;
        if (strcmp(member, key) == 0)
            return line_of(lines, object, index);
        index++;
    }
    return 0;
}

/* ---- filling ---- */

void mir_line_list_add(struct mir_line_list *list, unsigned line)
{
    mir_grow(&list->lines, list->count, &list->capacity, sizeof(*list->lines));
    list->lines[list->count++] = line;
}

void mir_line_list_release(struct mir_line_list *list)
{
    free(list->lines);
    *list = (struct mir_line_list){0};
}

void mir_lines_set(struct mir_lines *lines, const json_t *container,
                   const struct mir_line_list *list)
{
    struct children *children =
        mir_alloc(sizeof(*children) + list->count * sizeof(children->lines[0]));

    children->count = list->count;
    if (list->count > 0)
        memcpy(children->lines, list->lines, list->count * sizeof(*list->lines));
    children->next = lines->all;
    lines->all = children;
    mir_map_set(lines->by_container, mir_span(&container, sizeof(const json_t *)), children);
}

/* ---- JSON ---- */

/* A text that the parser has taken, walked once more beside the tree it gave. */
struct json_text {
    const char *at, *end;
    unsigned line;
    struct mir_lines *lines;
};

/* The parser has seen to it that what is looked for is there; all the same, nothing is read or
 * passed over beyond the end. */
static bool stands(const struct json_text *text, char c)
{
    return text->at < text->end && *text->at == c;
}

static void step(struct json_text *text)
{
    if (text->at < text->end)
        text->at++;
}

static void skip_blanks(struct json_text *text)
{
    for (; text->at < text->end && mir_is_json_blank(*text->at); text->at++)
        text->line += *text->at == '\n';
}

/* The quotes and all between them; a string holds no line feed. */
static void skip_string(struct json_text *text)
{
    for (step(text); text->at < text->end && *text->at != '"'; step(text))
        if (*text->at == '\\')
            step(text);
    step(text);
}

static void skip_scalar(struct json_text *text)
{
    if (stands(text, '"')) {
        skip_string(text);
        return;
    }
    while (text->at < text->end && !mir_is_json_blank(*text->at) && !strchr(",]}", *text->at))
        text->at++;
}

static void walk_value(struct json_text *text, json_t *value);

/* One child, and what stands before and behind it. */
static void walk_child(struct json_text *text, json_t *child, struct mir_line_list *list)
{
    skip_blanks(text);
    mir_line_list_add(list, text->line);
    walk_value(text, child);
    skip_blanks(text);
    if (stands(text, ','))
        step(text);
}

static void walk_member(struct json_text *text, json_t *child, struct mir_line_list *list)
{
    skip_blanks(text);
    skip_string(text);
    skip_blanks(text);
    step(text); /* the colon */
    walk_child(text, child, list);
}

/* Members come out of an object in the order they went in. Depth is bounded by the caller. */
static void walk_value(struct json_text *text, json_t *value)
{
    auto_line_list list = {0};
    const char *key;
    json_t *child;
    size_t i;

    if (!json_is_object(value) && !json_is_array(value)) {
        skip_scalar(text);
        return;
    }
    step(text);
    json_array_foreach (value, i, child)
        walk_child(text, child, &list);
    json_object_foreach (value, key, child) {
        (void)key;
        walk_member(text, child, &list);
    }
    skip_blanks(text);
    step(text);
    mir_lines_set(text->lines, value, &list);
}

unsigned mir_lines_walk_json(struct mir_lines *lines, struct mir_span text, unsigned line,
                             json_t *value)
{
    struct json_text walk = {
        .at = text.ptr, .end = text.ptr + text.len, .line = line, .lines = lines};

    skip_blanks(&walk);
    walk_value(&walk, value);
    return walk.line;
}
