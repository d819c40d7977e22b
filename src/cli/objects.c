/*
 * Reading cluster objects from files and folders.
 */
#include "cli/objects.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define INPUT_MAX (256u << 20)

static bool add_file(struct icsp_objects *objects, const char *path, struct icsp_findings *findings,
                     struct mir_error *err)
{
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    auto_free char *text = NULL;
    auto_json *documents = NULL;
    size_t len;

    if (!mir_file_read(path, INPUT_MAX, &text, &len, err) ||
        !mir_yaml_parse_lines(mir_span(text, len), name, icsp_objects_lines(objects), &documents,
                              err)) {
        icsp_findings_add_error(findings, name, err);
        return false;
    }
    return icsp_objects_add(objects, documents, name, findings, err);
}

static bool is_object_file(const char *name)
{
    return name[0] != '.' && (mir_ends_with(name, ".yaml") || mir_ends_with(name, ".yml") ||
                              mir_ends_with(name, ".json"));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **items;
    size_t count, capacity;
};

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}
#define auto_names __attribute__((cleanup(names_release))) struct names

/* The object files of a folder, by name in byte order. */
static bool list_folder(const char *path, struct names *names, struct mir_error *err)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    if (!dir)
        return mir_fail_errno(err, "open %s", path);
    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!is_object_file(entry->d_name))
            continue;
        mir_grow(&names->items, names->count, &names->capacity, sizeof(*names->items));
        names->items[names->count++] = mir_format("%s/%s", path, entry->d_name);
    }
    (void)closedir(dir);
    if (names->count > 0)
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
    return true;
}

static bool add_folder(struct icsp_objects *objects, const char *path,
                       struct icsp_findings *findings, struct mir_error *err)
{
    auto_names names = {0};

    if (!list_folder(path, &names, err))
        return false;
    if (names.count == 0)
        return mir_fail(err, MIR_E_NOT_FOUND, "%s holds no .yaml, .yml or .json file", path);
    for (size_t i = 0; i < names.count; i++)
        if (!add_file(objects, names.items[i], findings, err))
            return false;
    return true;
}

bool cli_objects_read(struct icsp_objects *objects, const char *path,
                      struct icsp_findings *findings, struct mir_error *err)
{
    struct stat status;

    if (strcmp(path, "-") != 0 && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return add_folder(objects, path, findings, err);
    return add_file(objects, path, findings, err);
}
