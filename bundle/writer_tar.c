/*
 * Writing a bundle as one tar. It grows under PATH.partial, locked, with its space claimed and all
 * headers in place before the first blob; blobs are written where the plan puts them, once. Called
 * by writer.c.
 *
 * Invariant: whatever stands under PATH is whole. PATH.partial is ours only while its lock is.
 */
#include "bundle/writer_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/layout_priv.h"
#include "bundle/tar_priv.h"

#define OPEN_TRIES 8

/* ---- the .partial file ---- */

static bool check_target(const char *path, struct mir_error *err)
{
    struct stat info;

    if (strcmp(path, "-") == 0)
        return mir_fail(err, MIR_E_UNSUPPORTED,
                        "a bundle cannot go to standard output: its blobs arrive in any order");
    if (stat(path, &info) != 0)
        return true; /* not there, or opening the .partial tells what is wrong */
    if (S_ISDIR(info.st_mode)) {
        (void)mir_fail(err, MIR_E_USAGE, "%s is a directory, not a bundle file", path);
        return mir_hint(err, "name a file in it, or write a layout with oci:%s", path);
    }
    if (!S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_USAGE, "%s is not a regular file", path);
    return true;
}

static bool cannot_create(const char *partial, struct mir_error *err)
{
    int number = errno;

    (void)mir_fail_errno(err, "create %s", partial);
    if (number == ENOENT || number == ENOTDIR)
        return mir_hint(err, "create its directory first");
    return false;
}

/* Is the file we opened still the one under that name? Another run may have finished meanwhile. */
static bool is_current(int fd, const char *partial)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && lstat(partial, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

/* Open and lock. *fd is -1 when the name changed hands in between. */
static bool try_open(const char *partial, int *out, struct mir_error *err)
{
    auto_close int fd = open(partial, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    struct stat info;

    if (fd < 0)
        return cannot_create(partial, err);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_IO, "%s is in the way: it is not a regular file", partial);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        (void)mir_fail(err, MIR_E_CONFLICT, "%s is being written by another process", partial);
        return mir_hint(err, "wait for it to end, or write to another file");
    }
    /* A file system without locks: go on, as every other tool does. */
    if (is_current(fd, partial))
        *out = mir_steal_fd(&fd);
    return true;
}

static bool open_partial(struct bundle_writer *writer, struct mir_error *err)
{
    for (int i = 0; i < OPEN_TRIES && writer->fd < 0; i++)
        if (!try_open(writer->partial, &writer->fd, err))
            return false;
    if (writer->fd < 0)
        return mir_fail(err, MIR_E_CONFLICT, "%s is being written by other processes",
                        writer->partial);
    /* What a killed run left is replaced. */
    if (ftruncate(writer->fd, 0) != 0)
        return mir_fail_errno(err, "empty %s", writer->partial);
    return true;
}

/* ---- everything but blobs ---- */

/* A header, so that the bytes it announces begin at offset. */
static bool write_header(int fd, const char *name, uint64_t size, uint64_t offset,
                         const struct bundle_plan *plan, struct mir_error *err)
{
    auto_buf header;

    mir_buf_init(&header, BUNDLE_TAR_HEADER_MAX);
    if (!bundle_tar_header(name, size, plan->epoch, &header, err))
        return false;
    assert(header.len <= offset);
    return mir_pwrite_full(fd, mir_buf_span(&header), offset - header.len, err);
}

/* A file's bytes begin on a block, so its end tells how much of the last block is left. */
static bool write_padding(int fd, uint64_t end, struct mir_error *err)
{
    static const char zeros[BUNDLE_TAR_BLOCK];

    return mir_pwrite_full(fd, mir_span(zeros, (size_t)bundle_tar_padding(end)), end, err);
}

static bool write_small(int fd, const char *name, struct mir_span bytes, uint64_t offset,
                        const struct bundle_plan *plan, struct mir_error *err)
{
    return write_header(fd, name, bytes.len, offset, plan, err) &&
           mir_pwrite_full(fd, bytes, offset, err) && write_padding(fd, offset + bytes.len, err);
}

bool bundle_tar_write_front(int fd, const struct bundle_plan *plan, struct mir_error *err)
{
    return write_small(fd, BUNDLE_LAYOUT_NAME, mir_span_of(BUNDLE_LAYOUT_TEXT), plan->layout_offset,
                       plan, err) &&
           write_small(fd, BUNDLE_INDEX_NAME, mir_span(plan->index, plan->index_len),
                       plan->index_offset, plan, err);
}

bool bundle_tar_write_blob_header(int fd, const struct bundle_plan *plan, size_t blob,
                                  struct mir_error *err)
{
    const struct bundle_blob *target = &plan->blobs[blob];
    char path[BUNDLE_PATH_MAX];

    return write_header(fd, bundle_blob_path(&target->digest, path), target->size,
                        plan->blob_offsets[blob], plan, err);
}

bool bundle_tar_write_blob_padding(int fd, const struct bundle_plan *plan, size_t blob,
                                   struct mir_error *err)
{
    return write_padding(fd, plan->blob_offsets[blob] + plan->blobs[blob].size, err);
}

/* Padding and the end of the archive are zeros, which a claimed file has. */
static bool write_frame(int fd, const struct bundle_plan *plan, struct mir_error *err)
{
    if (!bundle_tar_write_front(fd, plan, err))
        return false;
    for (size_t i = 0; i < plan->blob_count; i++)
        if (!bundle_tar_write_blob_header(fd, plan, i, err))
            return false;
    return true;
}

/* ---- the writer ---- */

bool bundle_tar_begin(struct bundle_writer *writer, struct mir_error *err)
{
    writer->partial = mir_format("%s.partial", writer->path);
    if (!check_target(writer->path, err) || !open_partial(writer, err))
        return false;
    if (!bundle_space_claim(writer->fd, writer->path, writer->plan->bytes, err))
        return false;
    if (!write_frame(writer->fd, writer->plan, err))
        return mir_context(err, "write %s", writer->partial);
    return true;
}

bool bundle_tar_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                      struct mir_span bytes, struct mir_error *err)
{
    if (!mir_pwrite_full(writer->fd, bytes, writer->plan->blob_offsets[blob] + offset, err))
        return mir_context(err, "write %s", writer->partial);
    return true;
}

bool bundle_tar_commit(struct bundle_writer *writer, struct mir_error *err)
{
    if (fsync(writer->fd) != 0)
        return mir_fail_errno(err, "sync %s", writer->partial);
    if (rename(writer->partial, writer->path) != 0)
        return mir_fail_errno(err, "rename %s to %s", writer->partial, writer->path);
    return mir_sync_parent(writer->path, err);
}

void bundle_tar_abort(struct bundle_writer *writer)
{
    /* After a rename that could not be synced the name is gone, or another run's. */
    if (writer->fd >= 0 && is_current(writer->fd, writer->partial))
        (void)unlink(writer->partial);
}
