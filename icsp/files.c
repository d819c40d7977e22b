/*
 * The list of files that a compilation gives.
 */
#include "icsp/files_priv.h"

#include "base/mem.h"

static struct icsp_file *find(const struct icsp_files *files, const char *path)
{
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
    *files = (struct icsp_files){0};
}
