/*
 * Finding the files of a bundle to read: one file, or the volumes that stand for it. What can be
 * said of a set by its names and sizes alone is said here; what its headers tell is in
 * reader_volumes.c. Called by reader_tar.c.
 *
 * Invariant: in a set that was opened all files but the last have one size, none is empty, and
 * their sum is a size that a file could have.
 */
#include "bundle/volumes_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bundle/tar_priv.h"

#define FIRST_SUFFIX ".001"

/* Volumes in the making: what was found of a set. */
struct found {
    char *base;
    bool there[BUNDLE_VOLUMES_MAX + 1]; /* by number */
    size_t count;                       /* the highest number */
    int *fds;
    uint64_t *sizes;
};

static void found_release(struct found *found)
{
    for (size_t i = 0; found->fds && i < found->count; i++)
        if (found->fds[i] >= 0)
            (void)close(found->fds[i]);
    free(found->fds);
    free(found->sizes);
    free(found->base);
}

static char *name_of(const struct found *found, size_t index)
{
    return bundle_volume_name(found->base, index + 1, "");
}

/* ---- names ---- */

/* "april.tar.003" -> 3, for base "april.tar"; 0 for everything else. */
static size_t number_in(const char *name, const char *base)
{
    size_t len = strlen(base), number = 0;

    if (strncmp(name, base, len) != 0 || name[len] != '.' || strlen(name) != len + 4)
        return 0;
    for (const char *c = name + len + 1; *c; c++) {
        if (*c < '0' || *c > '9')
            return 0;
        number = 10 * number + (size_t)(*c - '0');
    }
    return number;
}

/* See which numbers are there. A directory that cannot be read has none: the caller then fails to
 * open the path, and says why. */
static void list_numbers(struct found *found)
{
    const char *slash = strrchr(found->base, '/');
    const char *name = slash ? slash + 1 : found->base;
    auto_free char *parent = !slash ? mir_strdup(".")
                             : slash == found->base
                                 ? mir_strdup("/")
                                 : mir_strndup(found->base, (size_t)(slash - found->base));
    DIR *stream = opendir(parent);

    if (!stream)
        return;
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        size_t number = number_in(entry->d_name, name);

        found->there[number] = number > 0;
        if (number > found->count)
            found->count = number;
    }
    (void)closedir(stream);
}

/* Is a copy into it under way, or was one stopped? Its files wait under other names. */
static bool is_being_written(const char *base)
{
    auto_free char *file = bundle_volume_name(base, 0, BUNDLE_PARTIAL_SUFFIX);
    auto_free char *first = bundle_volume_name(base, 1, BUNDLE_PARTIAL_SUFFIX);

    return access(file, F_OK) == 0 || access(first, F_OK) == 0;
}

static bool hint_missing(const char *base, struct mir_error *err)
{
    if (is_being_written(base))
        return mir_hint(err, "a copy into %s has not ended; if it was stopped, run it again", base);
    return mir_hint(err, "bring all volumes into one directory");
}

static bool check_gaps(const struct found *found, struct mir_error *err)
{
    for (size_t i = 0; i < found->count; i++) {
        auto_free char *missing = NULL, *last = NULL;

        if (found->there[i + 1])
            continue;
        missing = name_of(found, i);
        last = name_of(found, found->count - 1);
        (void)mir_fail(err, MIR_E_NOT_FOUND, "%s is missing; the volumes go on to %s", missing,
                       last);
        return hint_missing(found->base, err);
    }
    return true;
}

/* ---- files ---- */

static bool open_to_read(const char *path, int *out, uint64_t *size, struct mir_error *err)
{
    auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0) {
        bool many = errno == EMFILE;

        (void)mir_fail_errno(err, "open %s", path);
        if (many)
            (void)mir_hint(err, "allow more open files (ulimit -n)");
        return false;
    }
    if (S_ISDIR(info.st_mode)) {
        (void)mir_fail(err, MIR_E_FORMAT, "%s is a directory, not a bundle file", path);
        return mir_hint(err, "read a layout in a directory as oci:%s", path);
    }
    if (!S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_FORMAT, "%s is not a regular file", path);
    if (info.st_size == 0)
        return mir_fail(err, MIR_E_FORMAT, "%s is empty", path);
    *size = (uint64_t)info.st_size;
    *out = mir_steal_fd(&fd);
    return true;
}

static bool open_volumes(struct found *found, uint64_t *bytes, struct mir_error *err)
{
    found->fds = mir_alloc_array(found->count, sizeof(*found->fds));
    found->sizes = mir_alloc_array(found->count, sizeof(*found->sizes));
    for (size_t i = 0; i < found->count; i++)
        found->fds[i] = -1;
    *bytes = 0;
    for (size_t i = 0; i < found->count; i++) {
        auto_free char *name = name_of(found, i);

        if (!open_to_read(name, &found->fds[i], &found->sizes[i], err))
            return false;
        if (__builtin_add_overflow(*bytes, found->sizes[i], bytes) || *bytes > INT64_MAX)
            return mir_fail(err, MIR_E_LIMIT, "%s: the volumes up to here are too large for a file",
                            name);
    }
    return true;
}

/* ---- sizes ---- */

/* The size that most volumes but the last have, the larger of two that are as frequent. */
static uint64_t usual_size(const struct found *found)
{
    size_t most = 0;
    uint64_t usual = 0;

    for (size_t i = 0; i + 1 < found->count; i++) {
        size_t same = 0;

        for (size_t j = 0; j + 1 < found->count; j++)
            same += found->sizes[j] == found->sizes[i];
        if (same > most || (same == most && found->sizes[i] > usual)) {
            most = same;
            usual = found->sizes[i];
        }
    }
    return usual;
}

/* Does this volume end as an archive does? */
static bool ends_an_archive(const struct found *found, size_t index)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* it only tells two messages apart */
    char end[BUNDLE_TAR_END];

    if (found->sizes[index] < sizeof(end) ||
        !mir_pread_full(found->fds[index], end, sizeof(end), found->sizes[index] - sizeof(end),
                        &ignored))
        return false;
    for (size_t i = 0; i < sizeof(end); i++)
        if (end[i] != 0)
            return false;
    return true;
}

bool bundle_volumes_swapped(const char *a, const char *b, struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_FORMAT, "%s and %s are swapped", a, b);
    return mir_hint(err, "give each the name of the other");
}

static bool odd_size(const struct found *found, size_t index, uint64_t usual, struct mir_error *err)
{
    size_t last = found->count - 1;
    auto_free char *name = name_of(found, index), *last_name = name_of(found, last);
    uint64_t size = found->sizes[index];

    if (index == last)
        return mir_fail(err, MIR_E_FORMAT,
                        "%s has %" PRIu64 " bytes, more than the %" PRIu64
                        " of the volumes before it",
                        name, size, usual);
    if (size < found->sizes[last] && ends_an_archive(found, index) && !ends_an_archive(found, last))
        return bundle_volumes_swapped(name, last_name, err);
    (void)mir_fail(err, MIR_E_FORMAT,
                   "%s has %" PRIu64 " bytes, and not the %" PRIu64
                   " of the other volumes: it was cut short, or the volumes are of two bundles",
                   name, size, usual);
    return mir_hint(err, "copy the volumes again, into an empty directory");
}

static bool check_sizes(const struct found *found, struct mir_error *err)
{
    size_t last = found->count - 1;
    uint64_t usual = last == 0 ? found->sizes[0] : usual_size(found);

    /* Of two, the first has to be the larger. */
    if (last == 1 && found->sizes[1] > usual)
        return odd_size(found, 0, found->sizes[1], err);
    for (size_t i = 0; i < last; i++)
        if (found->sizes[i] != usual)
            return odd_size(found, i, usual, err);
    return found->sizes[last] <= usual || odd_size(found, last, usual, err);
}

/* ---- the whole ---- */

static bool open_set(struct found *found, struct bundle_volumes **out, struct mir_error *err)
{
    uint64_t bytes;

    if (!check_gaps(found, err) || !open_volumes(found, &bytes, err) || !check_sizes(found, err))
        return false;
    *out = bundle_volumes_new(found->base, "", found->sizes[0], bytes);
    for (size_t i = 0; i < found->count; i++)
        (*out)->fds[i] = mir_steal_fd(&found->fds[i]);
    return true;
}

static bool open_one(const char *path, struct bundle_volumes **out, struct mir_error *err)
{
    uint64_t bytes = 0;
    int fd = -1;

    if (!open_to_read(path, &fd, &bytes, err))
        return false;
    *out = bundle_volumes_new(path, "", 0, bytes);
    (*out)->fds[0] = fd;
    return true;
}

/* "april.tar.003" -> "april.tar", which the caller frees, and 3; else NULL. */
static char *base_of(const char *path, size_t *number)
{
    size_t len = strlen(path);
    auto_free char *base = len > 4 ? mir_strndup(path, len - 4) : NULL;

    *number = base ? number_in(path, base) : 0;
    return *number > 0 ? mir_steal(&base) : NULL;
}

bool bundle_volumes_is_later(const char *path, struct mir_error *err)
{
    size_t number;
    auto_free char *base = base_of(path, &number);
    auto_free char *first = base ? bundle_volume_name(base, 1, "") : NULL;

    if (number < 2 || access(first, F_OK) != 0)
        return false;
    (void)mir_fail(err, MIR_E_FORMAT, "%s is one volume of %s", path, base);
    (void)mir_hint(err, "name the bundle without the number: bundle:%s", base);
    return true;
}

bool bundle_volumes_has_other(const char *path, char **other)
{
    __attribute__((cleanup(found_release))) struct found found = {.base = NULL};
    size_t number;

    found.base = base_of(path, &number);
    if (!found.base)
        return false;
    list_numbers(&found);
    for (size_t i = 0; i < found.count; i++) {
        if (!found.there[i + 1] || i + 1 == number)
            continue;
        *other = name_of(&found, i);
        return true;
    }
    return false;
}

bool bundle_volumes_find(const char *path, struct bundle_volumes **out, struct mir_error *err)
{
    __attribute__((cleanup(found_release))) struct found found = {.base = NULL};
    size_t len = strlen(path), suffix_len = strlen(FIRST_SUFFIX);
    bool is_first = len > suffix_len && mir_ends_with(path, FIRST_SUFFIX);
    bool is_there = access(path, F_OK) == 0 || errno != ENOENT;

    if (is_there && !is_first)
        return open_one(path, out, err);
    found.base = mir_strndup(path, is_first ? len - suffix_len : len);
    list_numbers(&found);
    if (found.count > 0)
        return open_set(&found, out, err);
    if (open_one(path, out, err))
        return true;
    return err->code == MIR_E_NOT_FOUND && is_being_written(path) && hint_missing(path, err);
}
