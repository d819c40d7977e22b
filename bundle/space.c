/*
 * Room on the disk. Called by the writers before anything is fetched, so that a full disk fails at
 * the beginning, with the figures a person needs.
 */
#include "bundle/writer_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/num.h"

/* What this process may use. False: the file system does not say (all zeros). */
static bool find_available(int fd, uint64_t *bytes)
{
    struct statvfs info;
    uint64_t blocks;

    if (fstatvfs(fd, &info) != 0 || info.f_blocks == 0)
        return false;
    blocks = geteuid() == 0 ? info.f_bfree : info.f_bavail;
    if (__builtin_mul_overflow(blocks, (uint64_t)info.f_frsize, bytes))
        *bytes = UINT64_MAX;
    return true;
}

static bool no_room(int fd, const char *path, uint64_t bytes, int number, struct mir_error *err)
{
    char needed[MIR_BYTES_TEXT_MAX], there[MIR_BYTES_TEXT_MAX];
    uint64_t available;

    if (!find_available(fd, &available)) {
        (void)mir_fail(err, MIR_E_SPACE, "%s: no room for %s (%" PRIu64 " bytes)", path,
                       mir_bytes_text(bytes, needed), bytes);
    } else {
        (void)mir_fail(err, MIR_E_SPACE,
                       "%s: no room: %s needed (%" PRIu64 " bytes), %s available (%" PRIu64
                       " bytes)%s",
                       path, mir_bytes_text(bytes, needed), bytes, mir_bytes_text(available, there),
                       available, number == EDQUOT ? ", and the quota is less" : "");
    }
    err->sys = number;
    return mir_hint(err, "free some space, or write to another disk");
}

bool bundle_space_check(int fd, const char *path, uint64_t bytes, struct mir_error *err)
{
    uint64_t available;

    if (find_available(fd, &available) && available < bytes)
        return no_room(fd, path, bytes, ENOSPC, err);
    return true;
}

static bool too_large(const char *path, uint64_t bytes, struct mir_error *err)
{
    char needed[MIR_BYTES_TEXT_MAX];

    (void)mir_fail(err, MIR_E_SPACE,
                   "%s: this file system takes no file of %s (%" PRIu64
                   " bytes), or a limit on the "
                   "size of files is set",
                   path, mir_bytes_text(bytes, needed), bytes);
    return mir_hint(err,
                    "cut it into volumes: --volume-size fat32, or a size; or write to another file"
                    " system, or raise ulimit -f");
}

static bool failed(int fd, const char *path, uint64_t bytes, int number, struct mir_error *err)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return no_room(fd, path, bytes, number, err);
    case EFBIG:
        return too_large(path, bytes, err);
    default:
        errno = number;
        return mir_fail_errno(err, "%s: claim %" PRIu64 " bytes", path, bytes);
    }
}

/* In memory every page is reserved by itself, one after the other, while nothing else happens: a
 * third of a second for each GiB, and pages that are taken from everybody before there is anything
 * to put in. */
static bool is_in_memory(int fd)
{
    struct statfs info;

    return fstatfs(fd, &info) == 0 && info.f_type == TMPFS_MAGIC;
}

/* Reserve blocks; true also where the file system cannot, or better does not. *number is why it
 * failed. */
static bool reserve(int fd, int mode, uint64_t bytes, bool *reserved, int *number)
{
    int status;

    *reserved = false;
    if (is_in_memory(fd))
        return true;
    do
        status = bytes > 0 ? fallocate(fd, mode, 0, (off_t)bytes) : 0;
    while (status != 0 && errno == EINTR);
    *number = errno;
    *reserved = status == 0;
    return *reserved || *number == EOPNOTSUPP || *number == ENOSYS;
}

/* Blocks the file has already need not be there again. */
static bool check_beyond(int fd, const char *path, uint64_t bytes, uint64_t *size,
                         struct mir_error *err)
{
    struct stat info;
    uint64_t held;

    if (fstat(fd, &info) != 0)
        return mir_fail_errno(err, "%s: claim %" PRIu64 " bytes", path, bytes);
    held = (uint64_t)info.st_blocks * 512;
    *size = (uint64_t)info.st_size;
    return bundle_space_check(fd, path, held < bytes ? bytes - held : 0, err);
}

/* What was claimed in vain would be counted as used, in the message and by others. What was in the
 * file stays. */
static bool give_back(int fd, uint64_t size)
{
    return ftruncate(fd, (off_t)size) == 0;
}

bool bundle_space_claim(int fd, const char *path, uint64_t bytes, struct mir_error *err)
{
    uint64_t before = 0;
    bool reserved;
    int number;

    if (!check_beyond(fd, path, bytes, &before, err))
        return false;
    if (!reserve(fd, 0, bytes, &reserved, &number)) {
        (void)give_back(fd, before); /* failing changes only the figure in the message */
        return failed(fd, path, bytes, number, err);
    }
    /* Where nothing was reserved the file is left sparse; the check above has to do. */
    if ((!reserved || before > bytes) && ftruncate(fd, (off_t)bytes) != 0)
        return failed(fd, path, bytes, errno, err);
    return true;
}

bool bundle_space_reserve(int fd, const char *path, uint64_t bytes, struct mir_error *err)
{
    uint64_t before = 0;
    bool reserved;
    int number;

    if (!check_beyond(fd, path, bytes, &before, err))
        return false;
    if (reserve(fd, FALLOC_FL_KEEP_SIZE, bytes, &reserved, &number))
        return true;
    (void)give_back(fd, before); /* as above */
    return failed(fd, path, bytes, number, err);
}
