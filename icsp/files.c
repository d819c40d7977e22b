/*
 * The list of files that a compilation gives.
 */
#include "icsp/files_priv.h"

#include "base/map.h"
#include "base/mem.h"

/* Where every path is, while the list grows: a ConfigMap can have very many keys. */
struct number {
    struct number *next; /* all of the index, for release */
    size_t value;
};

struct icsp_file_index {
    struct mir_map *by_path; /* -> number */
    struct number *numbers;
};

static void index_free(struct icsp_files *files)
{
    struct icsp_file_index *index = files->index;

    files->index = NULL;
    if (!index)
        return;
    while (index->numbers) {
        struct number *first = index->numbers;

        index->numbers = first->next;
        free(first);
    }
    mir_map_free(index->by_path);
    free(index);
}

/* The last file of the list is new. */
static void index_last(struct icsp_files *files)
{
    struct number *number = mir_alloc(sizeof(*number));

    if (!files->index) {
        files->index = mir_alloc(sizeof(*files->index));
        files->index->by_path = mir_map_new();
    }
    number->value = files->count - 1;
    number->next = files->index->numbers;
    files->index->numbers = number;
    mir_map_set(files->index->by_path, mir_span_of(files->items[number->value].path), number);
}

static struct icsp_file *find(const struct icsp_files *files, const char *path)
{
    const struct number *number =
        files->index ? mir_map_find(files->index->by_path, mir_span_of(path)) : NULL;

    if (files->index)
        return number ? &files->items[number->value] : NULL;
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i].path, path) == 0)
            return &files->items[i];
    return NULL;
}

const struct icsp_file *icsp_files_find(const struct icsp_files *files, const char *path)
{
    return find(files, path);
}

static struct icsp_file *put(struct icsp_files *files, const char *path, struct mir_span data)
{
    struct icsp_file *file = find(files, path);

    if (!file) {
        mir_grow(&files->items, files->count, &files->capacity, sizeof(*files->items));
        file = &files->items[files->count++];
        *file = (struct icsp_file){.path = mir_strdup(path)};
        index_last(files);
    }
    free(file->data);
    file->data = mir_strndup(data.ptr, data.len);
    file->len = data.len;
    return file;
}

void icsp_files_set(struct icsp_files *files, const char *path, struct mir_span data)
{
    (void)put(files, path, data);
}

void icsp_files_set_base(struct icsp_files *files, const char *path, struct mir_span data)
{
    put(files, path, data)->is_base = true;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct icsp_file *)a)->path, ((const struct icsp_file *)b)->path);
}

void icsp_files_sort(struct icsp_files *files)
{
    index_free(files);
    if (files->count > 2)
        qsort(files->items + 2, files->count - 2, sizeof(*files->items), compare_paths);
}

void icsp_files_release(struct icsp_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].data);
    }
    free(files->items);
    index_free(files);
    *files = (struct icsp_files){0};
}
