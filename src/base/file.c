/*
 * Files: whole reads, positioned I/O that survives short counts and signals, and files that appear
 * under their name whole or not at all.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK 65536

static bool read_all(int fd, const char *path, size_t max, char **out, size_t *len,
                     struct mir_error *err)
{
    auto_free char *data = NULL;
    size_t used = 0, capacity = 0;

    for (;;) {
        ssize_t got;

        if (capacity - used < READ_CHUNK) {
            capacity = capacity < READ_CHUNK ? 2 * (size_t)READ_CHUNK : 2 * capacity;
            data = mir_realloc_array(data, capacity, 1);
        }
        got = read(fd, data + used, READ_CHUNK - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mir_fail_errno(err, "read %s", path);
        used += (size_t)got;
        if (used > max)
            return mir_fail(err, MIR_E_LIMIT, "%s is over the limit of %zu bytes", path, max);
        if (got == 0)
            break;
    }
    data[used] = '\0';
    *len = used;
    *out = mir_steal(&data);
    return true;
}

bool mir_file_read(const char *path, size_t max, char **out, size_t *len, struct mir_error *err)
{
    auto_close int fd = -1;

    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", max, out, len, err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mir_fail_errno(err, "open %s", path);
    return read_all(fd, path, max, out, len, err);
}

bool mir_pread_full(int fd, void *data, size_t len, uint64_t offset, struct mir_error *err)
{
    char *at = data;

    while (len > 0) {
        ssize_t got = pread(fd, at, len, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mir_fail_errno(err, "read");
        if (got == 0)
            return mir_fail(err, MIR_E_FORMAT, "unexpected end of file");
        at += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

bool mir_pwrite_full(int fd, struct mir_span data, uint64_t offset, struct mir_error *err)
{
    while (data.len > 0) {
        ssize_t put = pwrite(fd, data.ptr, data.len, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return mir_fail_errno(err, "write");
        data = mir_span_from(data, (size_t)put);
        offset += (uint64_t)put;
    }
    return true;
}

bool mir_write_full(int fd, struct mir_span data, struct mir_error *err)
{
    while (data.len > 0) {
        ssize_t put = write(fd, data.ptr, data.len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return mir_fail_errno(err, "write");
        data = mir_span_from(data, (size_t)put);
    }
    return true;
}

bool mir_make_dirs(const char *path, struct mir_error *err)
{
    auto_free char *part = mir_strdup(path);
    struct stat info;

    for (char *c = part + 1; *part != '\0'; c++) {
        char kept = *c;

        if (kept != '/' && kept != '\0')
            continue;
        *c = '\0';
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            return mir_fail_errno(err, "create directory %s", part);
        *c = kept;
        if (kept == '\0')
            break;
    }
    if (stat(path, &info) < 0)
        return mir_fail_errno(err, "create directory %s", path);
    if (!S_ISDIR(info.st_mode))
        return mir_fail(err, MIR_E_IO, "create directory %s: a file of that name stands there",
                        path);
    return true;
}

/* The directory that holds path: everything before the last '/', "." without one. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mir_strdup(".");
    return slash == path ? mir_strdup("/") : mir_strndup(path, (size_t)(slash - path));
}

bool mir_make_parent_dirs(const char *path, struct mir_error *err)
{
    auto_free char *parent = parent_of(path);

    return mir_make_dirs(parent, err);
}

bool mir_sync_parent(const char *path, struct mir_error *err)
{
    auto_free char *parent = parent_of(path);
    auto_close int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return mir_fail_errno(err, "open %s", parent);
    /* Some file systems cannot sync a directory; the rename is as lasting there as it gets. */
    if (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP)
        return mir_fail_errno(err, "sync %s", parent);
    return true;
}

static bool write_and_sync(int fd, struct mir_span data, unsigned mode, struct mir_error *err)
{
    if (fchmod(fd, mode) < 0)
        return mir_fail_errno(err, "set the mode");
    if (!mir_write_full(fd, data, err))
        return false;
    if (fsync(fd) < 0)
        return mir_fail_errno(err, "sync");
    return true;
}

bool mir_file_write(const char *path, struct mir_span data, unsigned mode, struct mir_error *err)
{
    auto_free char *name = mir_format("%s.XXXXXX", path);
    int fd = mkostemp(name, O_CLOEXEC);
    bool written;

    if (fd < 0)
        return mir_fail_errno(err, "create a file beside %s", path);
    written = write_and_sync(fd, data, mode, err);
    if (close(fd) < 0 && written)
        written = mir_fail_errno(err, "close");
    if (written && rename(name, path) < 0)
        written = mir_fail_errno(err, "rename to the final name");
    if (!written) {
        (void)unlink(name); /* the error that led here is the one to report */
        return mir_context(err, "write %s", path);
    }
    return mir_sync_parent(path, err);
}
