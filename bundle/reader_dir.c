/*
 * What is in a layout that lies in a directory. Called by reader.c.
 *
 * Invariant: only regular files are opened, and no link is followed below the directory, so a
 * layout from a stranger cannot point elsewhere on this machine.
 */
#include "bundle/reader_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static const char *const algos[] = {"sha256", "sha512"};
#define ALGO_COUNT (sizeof(algos) / sizeof(algos[0]))

static bool open_directory(struct bundle_reader *reader, struct mir_error *err)
{
    reader->fd = open(reader->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (reader->fd < 0 && errno == ENOTDIR) {
        (void)mir_fail(err, MIR_E_FORMAT, "%s is not a directory", reader->path);
        return mir_hint(err, "read a bundle file as bundle:%s", reader->path);
    }
    if (reader->fd < 0)
        return mir_fail_errno(err, "open %s", reader->path);
    return true;
}

/* The two files that make it a layout: there, regular, no links. */
static bool check_file(const struct bundle_reader *reader, const char *name, struct mir_error *err)
{
    struct stat info;

    if (fstatat(reader->fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return mir_fail(err, MIR_E_FORMAT, "%s is not an OCI image layout: it has no %s",
                        reader->path, name);
    if (!S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_FORMAT, "%s/%s is not a regular file", reader->path, name);
    return true;
}

static bool note_blob(struct bundle_reader *reader, int dir, const char *algo, const char *name,
                      struct mir_error *err)
{
    auto_free char *text = mir_format("%s:%s", algo, name);
    struct mir_error ignored = MIR_ERROR_INIT;
    struct img_digest digest;
    struct stat info;

    /* A file of another name is never opened; people leave notes and tools leave temporaries. */
    if (!img_digest_parse(mir_span_of(text), &digest, &ignored))
        return true;
    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return mir_fail_errno(err, "%s/blobs/%s/%s", reader->path, algo, name);
    if (!S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_FORMAT, "%s/blobs/%s/%s is a link or a special file, not a blob",
                        reader->path, algo, name);
    return bundle_reader_add(reader, &digest, (uint64_t)info.st_size, 0, err);
}

static bool note_blobs(struct bundle_reader *reader, DIR *stream, const char *algo,
                       struct mir_error *err)
{
    for (;;) {
        const struct dirent *entry;

        errno = 0;
        entry = readdir(stream);
        if (!entry)
            return errno == 0 || mir_fail_errno(err, "read %s/blobs/%s", reader->path, algo);
        if (!note_blob(reader, dirfd(stream), algo, entry->d_name, err))
            return false;
    }
}

static bool scan_algo(struct bundle_reader *reader, const char *algo, struct mir_error *err)
{
    auto_free char *name = mir_format("blobs/%s", algo);
    auto_close int fd = openat(reader->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream;
    bool noted;

    if (fd < 0)
        return errno == ENOENT || mir_fail_errno(err, "open %s/%s", reader->path, name);
    stream = fdopendir(fd);
    if (!stream)
        return mir_fail_errno(err, "read %s/%s", reader->path, name);
    (void)mir_steal_fd(&fd); /* closed with the stream */
    noted = note_blobs(reader, stream, algo, err);
    (void)closedir(stream);
    return noted;
}

bool bundle_dir_scan(struct bundle_reader *reader, struct mir_error *err)
{
    if (!open_directory(reader, err) || !check_file(reader, BUNDLE_LAYOUT_NAME, err) ||
        !check_file(reader, BUNDLE_INDEX_NAME, err))
        return false;
    for (size_t i = 0; i < ALGO_COUNT; i++)
        if (!scan_algo(reader, algos[i], err))
            return false;
    return true;
}

bool bundle_dir_open_blob(const struct bundle_reader *reader, const struct img_digest *digest,
                          int *out, struct mir_error *err)
{
    char path[BUNDLE_PATH_MAX];
    auto_close int fd = openat(reader->fd, bundle_blob_path(digest, path),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0)
        return mir_fail_errno(err, "open %s/%s", reader->path, path);
    if (!S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_FORMAT, "%s/%s is not a regular file", reader->path, path);
    *out = mir_steal_fd(&fd);
    return true;
}
