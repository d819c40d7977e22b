/*
 * Where a machine keeps what its container runtime is told, and reading it from there.
 */
#include "icsp/lookup.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define SYSTEM_FOLDER "/etc/containers"

/* ~/.config/containers/NAME; NULL for somebody without a home. */
static char *in_home(const char *name)
{
    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char space[4096];

    if ((!home || home[0] == '\0') &&
        getpwuid_r(getuid(), &entry, space, sizeof(space), &found) == 0 && found)
        home = found->pw_dir;
    return home && home[0] != '\0' ? mir_format("%s/.config/containers/%s", home, name) : NULL;
}

static bool is_there(const char *path)
{
    return path && access(path, F_OK) == 0;
}

static bool add_file(struct icsp_lookup *lookup, const char *path, enum icsp_conf_role role,
                     struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len;

    return mir_file_read(path, ICSP_CONF_MAX, &text, &len, err) &&
           icsp_lookup_add_registries(lookup, mir_span(text, len), path, role, err);
}

/* ---- drop-ins ---- */

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

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void auto_closedir(DIR **folder)
{
    if (*folder)
        (void)closedir(*folder);
}

/* A file, or a link to anything; folders are not looked into. */
static bool is_drop_in(const struct dirent *entry)
{
    return entry->d_type != DT_DIR && mir_ends_with(entry->d_name, ".conf");
}

/* In byte order. A folder that is not there is empty. */
static bool list_folder(const char *path, struct names *out, struct mir_error *err)
{
    __attribute__((cleanup(auto_closedir))) DIR *folder = opendir(path);
    const struct dirent *entry;

    if (!folder)
        return errno == ENOENT || mir_fail_errno(err, "open %s", path);
    errno = 0;
    for (entry = readdir(folder); entry; entry = readdir(folder)) {
        if (is_drop_in(entry)) {
            mir_grow(&out->items, out->count, &out->capacity, sizeof(*out->items));
            out->items[out->count++] = mir_format("%s/%s", path, entry->d_name);
        }
        if (out->count > ICSP_DROP_INS_MAX)
            return mir_fail(err, MIR_E_LIMIT, "%s: more than %d files", path, ICSP_DROP_INS_MAX);
        errno = 0;
    }
    if (errno != 0)
        return mir_fail_errno(err, "read %s", path);
    if (out->count > 0)
        qsort(out->items, out->count, sizeof(*out->items), compare_names);
    return true;
}

static bool add_folder(struct icsp_lookup *lookup, const char *path, struct mir_error *err)
{
    __attribute__((cleanup(names_release))) struct names names = {0};

    if (!path || path[0] == '\0')
        return true;
    if (!list_folder(path, &names, err))
        return false;
    /* The runtime passes over what is gone by now: a link to nowhere. */
    for (size_t i = 0; i < names.count; i++)
        if (is_there(names.items[i]) && !add_file(lookup, names.items[i], ICSP_CONF_DROP_IN, err))
            return false;
    return true;
}

/* ---- registries.conf ---- */

bool icsp_lookup_load_registries(struct icsp_lookup *lookup, const char *conf, const char *folder,
                                 struct mir_error *err)
{
    static const char system_conf[] = SYSTEM_FOLDER "/registries.conf";
    auto_free char *own_conf = in_home("registries.conf");
    auto_free char *own_folder = in_home("registries.conf.d");
    const char *variable = getenv("CONTAINERS_REGISTRIES_CONF");
    bool is_own = false;

    if (!conf && variable && variable[0] != '\0')
        conf = variable;
    if (!conf && is_there(own_conf)) {
        conf = own_conf;
        is_own = true;
    }
    if (!conf && is_there(system_conf))
        conf = system_conf;
    if (conf && !add_file(lookup, conf, ICSP_CONF_MAIN, err))
        return false;
    if (folder)
        return add_folder(lookup, folder, err);
    return (is_own || add_folder(lookup, SYSTEM_FOLDER "/registries.conf.d", err)) &&
           add_folder(lookup, own_folder, err);
}

/* ---- policy.json ---- */

bool icsp_lookup_load_policy(struct icsp_lookup *lookup, const char *path, struct mir_error *err)
{
    static const char system_policy[] = SYSTEM_FOLDER "/policy.json";
    auto_free char *own = in_home("policy.json");
    auto_free char *text = NULL;
    size_t len;

    if (!path && is_there(own))
        path = own;
    if (!path && is_there(system_policy))
        path = system_policy;
    if (!path)
        return true;
    return mir_file_read(path, ICSP_CONF_MAX, &text, &len, err) &&
           icsp_lookup_set_policy(lookup, mir_span(text, len), path, err);
}
