/*
 * Reading list files. Only the shape of a line is judged here; what the words mean is the plan's
 * business, which knows the line number for its errors.
 */
#include "copy/list.h"

#include <stdint.h>

#include "base/file.h"
#include "base/mem.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The line without its comment. */
static struct mir_span without_comment(struct mir_span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '#' && (i == 0 || is_blank(line.ptr[i - 1])))
            return mir_span_first(line, i);
    return line;
}

static bool next_word(struct mir_span *rest, struct mir_span *word)
{
    size_t end = 0;

    *rest = mir_span_trim(*rest);
    if (rest->len == 0)
        return false;
    while (end < rest->len && !is_blank(rest->ptr[end]))
        end++;
    *word = mir_span_first(*rest, end);
    *rest = mir_span_from(*rest, end);
    return true;
}

static void add(struct copy_list *list, size_t *capacity, struct mir_span source,
                struct mir_span destination, unsigned line)
{
    struct copy_list_item *item;

    mir_grow(&list->items, list->count, capacity, sizeof(*list->items));
    item = &list->items[list->count++];
    *item = (struct copy_list_item){.source = mir_strndup(source.ptr, source.len), .line = line};
    if (destination.len > 0)
        item->destination = mir_strndup(destination.ptr, destination.len);
}

static bool parse_line(struct mir_span text, unsigned line, struct copy_list *list,
                       size_t *capacity, struct mir_error *err)
{
    struct mir_span rest = without_comment(text);
    struct mir_span source, destination;
    size_t equals, before = list->count;

    if (!next_word(&rest, &source))
        return true;
    if (memchr(text.ptr, '\0', text.len))
        return mir_fail(err, MIR_E_USAGE, "%s:%u: a NUL byte", list->name, line);
    if (mir_span_find(source, '=', &equals)) {
        destination = mir_span_from(source, equals + 1);
        source = mir_span_first(source, equals);
        if (source.len == 0 || destination.len == 0)
            return mir_fail(err, MIR_E_USAGE, "%s:%u: \"SRC=DST\" needs both sides", list->name,
                            line);
        add(list, capacity, source, destination, line);
    }
    while (next_word(&rest, &destination))
        add(list, capacity, source, destination, line);
    if (list->count == before)
        add(list, capacity, source, mir_span_of(NULL), line);
    return true;
}

bool copy_list_parse(struct mir_span text, const char *name, struct copy_list *out,
                     struct mir_error *err)
{
    auto_list list = {.name = mir_strdup(name)};
    struct mir_span line;
    size_t capacity = 0;
    unsigned number = 0;

    while (mir_span_next(&text, '\n', &line))
        if (!parse_line(line, ++number, &list, &capacity, err))
            return false;
    *out = list;
    list = (struct copy_list){0};
    return true;
}

bool copy_list_read(const char *path, struct copy_list *out, struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (!mir_file_read(path, COPY_LIST_BYTES_MAX, &text, &len, err)) {
        err->code = MIR_E_USAGE;
        return mir_context(err, "list of images");
    }
    return copy_list_parse(mir_span(text, len), strcmp(path, "-") == 0 ? "standard input" : path,
                           out, err);
}

void copy_list_release(struct copy_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].source);
        free(list->items[i].destination);
    }
    free(list->items);
    free(list->name);
    *list = (struct copy_list){0};
}
