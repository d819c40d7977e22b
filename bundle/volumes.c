/*
 * One stream of bytes in one file or in a set of volumes: the writing side and what it shares with
 * readers. Called by the writer of tars, its journal, and the reader.
 *
 * Invariant: a place in the stream is in volume place / volume_bytes, at place % volume_bytes; all
 * volumes but the last are full.
 */
#include "bundle/volumes_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bundle/writer_priv.h"

#define OPEN_TRIES   8
#define COPY_CHUNK   (1u << 20)
#define KERNEL_CHUNK (1u << 30)

/* ---- names ---- */

uint64_t bundle_volumes_needed(uint64_t bytes, uint64_t volume_bytes)
{
    if (volume_bytes == 0 || bytes == 0)
        return 1;
    return bytes / volume_bytes + (bytes % volume_bytes != 0);
}

char *bundle_volume_name(const char *base, size_t number, const char *suffix)
{
    if (number == 0)
        return mir_format("%s%s", base, suffix);
    return mir_format("%s.%03zu%s", base, number, suffix);
}

static size_t number_of(const struct bundle_volumes *set, size_t index)
{
    return set->volume_bytes == 0 ? 0 : index + 1;
}

char *bundle_volumes_name(const struct bundle_volumes *set, size_t index)
{
    return bundle_volume_name(set->base, number_of(set, index), set->suffix);
}

/* ---- places ---- */

/* A range of the stream, or as much of its start as lies in one file. */
struct piece {
    size_t index;
    uint64_t offset; /* in that file */
    uint64_t len;
};

static struct piece first_piece(const struct bundle_volumes *set, uint64_t offset, uint64_t len)
{
    struct piece piece = {.index = 0, .offset = offset, .len = len};

    assert(offset <= set->bytes && len <= set->bytes - offset);
    if (set->volume_bytes == 0)
        return piece;
    piece.index = (size_t)(offset / set->volume_bytes);
    piece.offset = offset % set->volume_bytes;
    if (len > set->volume_bytes - piece.offset)
        piece.len = set->volume_bytes - piece.offset;
    return piece;
}

static uint64_t size_of(const struct bundle_volumes *set, size_t index)
{
    if (index + 1 < set->count)
        return set->volume_bytes;
    return set->bytes - (set->count - 1) * set->volume_bytes;
}

bool bundle_volumes_is_in_one(const struct bundle_volumes *set, uint64_t offset, uint64_t len,
                              int *fd, uint64_t *fd_offset)
{
    struct piece piece = first_piece(set, offset, len);

    if (piece.len < len || piece.index >= set->count)
        return false;
    *fd = set->fds[piece.index];
    *fd_offset = piece.offset;
    return true;
}

char *bundle_volumes_where(const struct bundle_volumes *set, uint64_t offset, uint64_t len)
{
    auto_free char *first = NULL, *last = NULL;
    size_t from, to;

    if (set->count == 1 || len == 0)
        return mir_strdup("");
    from = first_piece(set, offset, 1).index;
    to = first_piece(set, offset + len - 1, 1).index;
    first = bundle_volumes_name(set, from);
    last = bundle_volumes_name(set, to);
    return from == to ? mir_format(", in %s", first) : mir_format(", in %s to %s", first, last);
}

/* ---- life ---- */

struct bundle_volumes *bundle_volumes_new(const char *base, const char *suffix,
                                          uint64_t volume_bytes, uint64_t bytes)
{
    struct bundle_volumes *set = mir_alloc(sizeof(*set));
    uint64_t count = bundle_volumes_needed(bytes, volume_bytes);

    assert(count <= BUNDLE_VOLUMES_MAX);
    set->base = mir_strdup(base);
    set->suffix = mir_strdup(suffix);
    set->volume_bytes = volume_bytes;
    set->bytes = bytes;
    set->count = (size_t)count;
    set->fds = mir_alloc_array(set->count, sizeof(*set->fds));
    for (size_t i = 0; i < set->count; i++)
        set->fds[i] = -1;
    return set;
}

void bundle_volumes_free(struct bundle_volumes *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        if (set->fds[i] >= 0)
            (void)close(set->fds[i]);
    free(set->fds);
    free(set->base);
    free(set->suffix);
    free(set);
}

/* ---- opening ---- */

static bool cannot_open(const char *what, const char *name, struct mir_error *err)
{
    int number = errno;

    (void)mir_fail_errno(err, "%s %s", what, name);
    if (number == EMFILE)
        return mir_hint(err, "allow more open files (ulimit -n), or make volumes larger");
    if (number == ENOENT || number == ENOTDIR)
        return mir_hint(err, "create its directory first");
    return false;
}

/* Is the file we opened still the one under that name? Another run may have finished meanwhile. */
static bool is_current(int fd, const char *name)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && lstat(name, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

static bool open_file(const char *name, int flags, int *out, struct mir_error *err)
{
    auto_close int fd = open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0666);
    struct stat info;

    if (fd < 0)
        return cannot_open(flags & O_CREAT ? "create" : "open", name, err);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_IO, "%s is in the way: it is not a regular file", name);
    *out = mir_steal_fd(&fd);
    return true;
}

/* Open and lock. *out stays -1 when the name changed hands in between. */
static bool try_lock(const char *name, int *out, struct mir_error *err)
{
    auto_close int fd = -1;

    if (!open_file(name, O_CREAT, &fd, err))
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        (void)mir_fail(err, MIR_E_CONFLICT, "%s is being written by another process", name);
        return mir_hint(err, "wait for it to end, or write to another file");
    }
    /* A file system without locks: go on, as every other tool does. */
    if (is_current(fd, name))
        *out = mir_steal_fd(&fd);
    return true;
}

bool bundle_volumes_lock(struct bundle_volumes *set, struct mir_error *err)
{
    auto_free char *name = bundle_volumes_name(set, 0);

    assert(set->fds[0] < 0);
    for (int i = 0; i < OPEN_TRIES && set->fds[0] < 0; i++)
        if (!try_lock(name, &set->fds[0], err))
            return false;
    if (set->fds[0] < 0)
        return mir_fail(err, MIR_E_CONFLICT, "%s is being written by other processes", name);
    return true;
}

static bool open_others(struct bundle_volumes *set, int flags, struct mir_error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        auto_free char *name = bundle_volumes_name(set, i);

        if (set->fds[i] < 0 && !open_file(name, flags, &set->fds[i], err))
            return false;
    }
    return true;
}

bool bundle_volumes_create(struct bundle_volumes *set, struct mir_error *err)
{
    return open_others(set, O_CREAT, err);
}

bool bundle_volumes_open_all(struct bundle_volumes *set, struct mir_error *err)
{
    return open_others(set, 0, err);
}

/* ---- sizes ---- */

static bool set_size(const struct bundle_volumes *set, size_t index, uint64_t bytes,
                     struct mir_error *err)
{
    auto_free char *name = NULL;

    if (ftruncate(set->fds[index], (off_t)bytes) == 0)
        return true;
    name = bundle_volumes_name(set, index);
    return mir_fail_errno(err, "cut %s to %llu bytes", name, (unsigned long long)bytes);
}

bool bundle_volumes_empty(struct bundle_volumes *set, struct mir_error *err)
{
    for (size_t i = 0; i < set->count; i++)
        if (!set_size(set, i, 0, err))
            return false;
    return true;
}

bool bundle_volumes_stretch(struct bundle_volumes *set, struct mir_error *err)
{
    for (size_t i = 0; i < set->count; i++)
        if (!set_size(set, i, size_of(set, i), err))
            return false;
    return true;
}

/* Bytes on the disk that the set holds already. */
static uint64_t held_bytes(const struct bundle_volumes *set)
{
    uint64_t held = 0;

    for (size_t i = 0; i < set->count; i++) {
        uint64_t size = size_of(set, i);
        struct stat info;

        if (fstat(set->fds[i], &info) != 0 || info.st_blocks <= 0)
            continue;
        held += (uint64_t)info.st_blocks * 512 < size ? (uint64_t)info.st_blocks * 512 : size;
    }
    return held;
}

bool bundle_volumes_claim(struct bundle_volumes *set, struct mir_error *err)
{
    if (!bundle_space_check(set->fds[0], set->base, set->bytes - held_bytes(set), err))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        auto_free char *name = bundle_volume_name(set->base, number_of(set, i), "");

        if (!bundle_space_claim(set->fds[i], name, size_of(set, i), err))
            return false;
    }
    return true;
}

bool bundle_volumes_cut(struct bundle_volumes *set, uint64_t bytes, struct mir_error *err)
{
    size_t count = (size_t)bundle_volumes_needed(bytes, set->volume_bytes);

    assert(bytes <= set->bytes);
    for (size_t i = count; i < set->count; i++) {
        auto_free char *name = bundle_volumes_name(set, i);

        if (unlink(name) != 0)
            return mir_fail_errno(err, "remove %s", name);
        (void)close(set->fds[i]);
        set->fds[i] = -1;
    }
    set->count = count;
    set->bytes = bytes;
    return set_size(set, count - 1, size_of(set, count - 1), err);
}

/* ---- bytes ---- */

static bool name_file(const struct bundle_volumes *set, size_t index, const char *what,
                      struct mir_error *err)
{
    auto_free char *name = bundle_volumes_name(set, index);

    return mir_context(err, "%s %s", what, name);
}

bool bundle_volumes_pwrite(const struct bundle_volumes *set, struct mir_span bytes, uint64_t offset,
                           struct mir_error *err)
{
    while (bytes.len > 0) {
        struct piece piece = first_piece(set, offset, bytes.len);
        struct mir_span here = mir_span_first(bytes, (size_t)piece.len);

        if (!mir_pwrite_full(set->fds[piece.index], here, piece.offset, err))
            return name_file(set, piece.index, "write", err);
        bytes = mir_span_from(bytes, (size_t)piece.len);
        offset += piece.len;
    }
    return true;
}

bool bundle_volumes_pread(const struct bundle_volumes *set, void *data, size_t len, uint64_t offset,
                          struct mir_error *err)
{
    char *at = data;

    while (len > 0) {
        struct piece piece = first_piece(set, offset, len);

        if (!mir_pread_full(set->fds[piece.index], at, (size_t)piece.len, piece.offset, err))
            return name_file(set, piece.index, "read", err);
        at += piece.len;
        len -= (size_t)piece.len;
        offset += piece.len;
    }
    return true;
}

/* How much to ask the kernel for at once. Where both files can come to the beginning of a block
 * together they do first, because only from there on can blocks be shared. */
static size_t kernel_chunk(off_t in, off_t out, uint64_t left)
{
    uint64_t into = (uint64_t)in % BUNDLE_SHARE_BLOCK;
    uint64_t chunk = KERNEL_CHUNK;

    if (into != 0 && into == (uint64_t)out % BUNDLE_SHARE_BLOCK)
        chunk = BUNDLE_SHARE_BLOCK - into;
    return (size_t)(left < chunk ? left : chunk);
}

/* By the kernel, as far as it does that. Returns the bytes copied; trouble is left to be found by
 * whoever copies the rest. */
static uint64_t copy_in_kernel(int from, uint64_t from_offset, int to, uint64_t to_offset,
                               uint64_t len)
{
    off_t in = (off_t)from_offset, out = (off_t)to_offset;
    uint64_t copied = 0;

    while (copied < len) {
        ssize_t got = copy_file_range(from, &in, to, &out, kernel_chunk(in, out, len - copied), 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        copied += (uint64_t)got;
    }
    return copied;
}

static bool copy_by_hand(const struct bundle_volumes *from, uint64_t from_offset,
                         const struct bundle_volumes *to, uint64_t to_offset, uint64_t len,
                         struct mir_error *err)
{
    auto_free char *chunk = mir_alloc(COPY_CHUNK);

    while (len > 0) {
        size_t part = len < COPY_CHUNK ? (size_t)len : COPY_CHUNK;

        if (!bundle_volumes_pread(from, chunk, part, from_offset, err) ||
            !bundle_volumes_pwrite(to, mir_span(chunk, part), to_offset, err))
            return false;
        from_offset += part;
        to_offset += part;
        len -= part;
    }
    return true;
}

bool bundle_volumes_copy(const struct bundle_volumes *from, uint64_t from_offset,
                         const struct bundle_volumes *to, uint64_t to_offset, uint64_t len,
                         struct mir_error *err)
{
    while (len > 0) {
        struct piece source = first_piece(from, from_offset, len);
        struct piece target = first_piece(to, to_offset, source.len);
        uint64_t copied = copy_in_kernel(from->fds[source.index], source.offset,
                                         to->fds[target.index], target.offset, target.len);

        if (copied < target.len && !copy_by_hand(from, from_offset + copied, to, to_offset + copied,
                                                 target.len - copied, err))
            return false;
        from_offset += target.len;
        to_offset += target.len;
        len -= target.len;
    }
    return true;
}

void bundle_volumes_punch(const struct bundle_volumes *set, uint64_t offset, uint64_t len)
{
    while (len > 0) {
        struct piece piece = first_piece(set, offset, len);

        /* A file system that cannot do it keeps the blocks; nobody relies on their being gone. */
        (void)fallocate(set->fds[piece.index], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)piece.offset, (off_t)piece.len);
        offset += piece.len;
        len -= piece.len;
    }
}

bool bundle_volumes_sync(const struct bundle_volumes *set, struct mir_error *err)
{
    for (size_t i = 0; i < set->count; i++)
        if (fsync(set->fds[i]) != 0) {
            auto_free char *name = bundle_volumes_name(set, i);

            return mir_fail_errno(err, "sync %s", name);
        }
    return true;
}

/* ---- names of whole sets ---- */

static bool exists(const char *name)
{
    struct stat info;

    return lstat(name, &info) == 0;
}

/* Rename one file; fine if that happened before. */
static bool rename_one(const struct bundle_volumes *set, size_t index, const char *suffix,
                       struct mir_error *err)
{
    auto_free char *from = bundle_volumes_name(set, index);
    auto_free char *to = bundle_volume_name(set->base, number_of(set, index), suffix);

    if (rename(from, to) == 0 || (errno == ENOENT && exists(to)))
        return true;
    return mir_fail_errno(err, "rename %s to %s", from, to);
}

static bool rename_volumes(const struct bundle_volumes *set, const char *suffix,
                           struct mir_error *err)
{
    auto_free char *from = bundle_volumes_name(set, 0);
    auto_free char *to = bundle_volume_name(set->base, 1, suffix);

    if (!exists(from) && exists(to))
        return true; /* it goes last */
    if (unlink(to) != 0 && errno != ENOENT)
        return mir_fail_errno(err, "replace %s", to);
    /* After a power loss, too, the old first volume must not stand beside new ones, nor the new one
     * before old ones that it does not have. */
    if (!mir_sync_parent(set->base, err))
        return false;
    bundle_volumes_remove_above(set->base, suffix, set->count);
    for (size_t i = 1; i < set->count; i++)
        if (!rename_one(set, i, suffix, err))
            return false;
    return mir_sync_parent(set->base, err) && rename_one(set, 0, suffix, err);
}

bool bundle_volumes_rename(struct bundle_volumes *set, const char *suffix, struct mir_error *err)
{
    if (set->volume_bytes == 0) {
        if (!rename_one(set, 0, suffix, err))
            return false;
    } else {
        if (!rename_volumes(set, suffix, err))
            return false;
        bundle_volumes_remove_above(set->base, suffix, set->count);
    }
    free(set->suffix);
    set->suffix = mir_strdup(suffix);
    return mir_sync_parent(set->base, err);
}

void bundle_volumes_remove(const struct bundle_volumes *set)
{
    /* After a rename that could not be synced a name is gone, or another run's. */
    for (size_t i = set->count; i-- > 0;) {
        auto_free char *name = bundle_volumes_name(set, i);

        if (set->fds[i] >= 0 && is_current(set->fds[i], name))
            (void)unlink(name);
    }
}

void bundle_volumes_remove_above(const char *base, const char *suffix, size_t count)
{
    for (size_t number = count + 1; number <= BUNDLE_VOLUMES_MAX; number++) {
        auto_free char *name = bundle_volume_name(base, number, suffix);

        (void)unlink(name);
    }
}
