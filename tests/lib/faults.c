/*
 * System calls on files that misbehave on request. They are made directly, because the names that
 * libc has for them lead here.
 */
#include "lib/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct faults faults;

void faults_clear(void)
{
    faults = (struct faults){.kill_at = 0};
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* Count a call that changes something. True when the process shall end in the middle of it. */
static bool is_last(void)
{
    return atomic_fetch_add(&faults.calls, 1) + 1 == faults.kill_at;
}

static bool is_interrupted(void)
{
    return faults.interrupt_every != 0 && atomic_load(&faults.calls) % faults.interrupt_every == 0;
}

/* A call that either happens or not: one half of the kills comes before it, one after. */
static int whole(bool last, long result)
{
    if (last)
        die();
    return (int)result;
}

static bool is_before(bool last)
{
    return last && faults.kill_at % 2 == 0;
}

/* ---- writing ---- */

/* How many bytes a write may take. 0 with errno set: none. */
static size_t allowed(int fd, size_t len, uint64_t end)
{
    struct stat info;

    if (faults.write_max != 0 && len > faults.write_max)
        len = faults.write_max;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return len;
    if (faults.size_max != 0 && end > faults.size_max) {
        errno = EFBIG;
        return 0;
    }
    if (faults.write_error != 0 &&
        atomic_fetch_sub(&faults.write_budget, (long long)len) < (long long)len) {
        errno = faults.write_error;
        return 0;
    }
    return len;
}

static ssize_t put(int fd, const void *data, size_t len, off_t offset)
{
    ssize_t got = offset < 0 ? syscall(SYS_write, fd, data, len)
                             : syscall(SYS_pwrite64, fd, data, len, offset);

    if (got > 0)
        (void)atomic_fetch_add(&faults.written, (unsigned long long)got);
    return got;
}

static ssize_t misbehave(int fd, const void *data, size_t len, off_t offset)
{
    size_t part;

    if (len == 0)
        return put(fd, data, len, offset);
    if (is_last()) {
        (void)put(fd, data, len / 2, offset);
        die();
    }
    if (is_interrupted()) {
        errno = EINTR;
        return -1;
    }
    part = allowed(fd, len, offset < 0 ? 0 : (uint64_t)offset + len);
    return part == 0 ? -1 : put(fd, data, part, offset);
}

ssize_t faults_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return misbehave(fd, data, len, offset);
}

ssize_t faults_write(int fd, const void *data, size_t len)
{
    return misbehave(fd, data, len, -1);
}

ssize_t faults_copy(int from, off_t *from_offset, int to, off_t *to_offset, size_t len,
                    unsigned flags)
{
    ssize_t got;

    if (faults.allocate_error != 0) {
        errno = faults.allocate_error;
        return -1;
    }
    if (is_last()) {
        (void)syscall(SYS_copy_file_range, from, from_offset, to, to_offset, len / 2, flags);
        die();
    }
    if (is_interrupted()) {
        errno = EINTR;
        return -1;
    }
    len = allowed(to, len, (uint64_t)*to_offset + len);
    if (len == 0)
        return -1;
    got = syscall(SYS_copy_file_range, from, from_offset, to, to_offset, len, flags);
    if (got > 0)
        (void)atomic_fetch_add(&faults.written, (unsigned long long)got);
    return got;
}

/* ---- everything else ---- */

int faults_fstatfs(int fd, struct statfs *info)
{
    if (syscall(SYS_fstatfs, fd, info) != 0)
        return -1;
    if (faults.allocate_error != 0)
        info->f_type = EXT4_SUPER_MAGIC;
    return 0;
}

int faults_fallocate(int fd, int mode, off_t offset, off_t len)
{
    bool last = is_last();

    if (is_before(last))
        die();
    if (faults.allocate_error != 0) {
        errno = faults.allocate_error;
        return -1;
    }
    if (faults.size_max != 0 && (uint64_t)(offset + len) > faults.size_max) {
        errno = EFBIG;
        return -1;
    }
    if (is_interrupted()) {
        errno = EINTR;
        return -1;
    }
    return whole(last, syscall(SYS_fallocate, fd, mode, offset, len));
}

int faults_ftruncate(int fd, off_t len)
{
    bool last = is_last();

    if (is_before(last))
        die();
    if (faults.size_max != 0 && (uint64_t)len > faults.size_max) {
        errno = EFBIG;
        return -1;
    }
    return whole(last, syscall(SYS_ftruncate, fd, len));
}

int faults_fsync(int fd)
{
    bool last = is_last();

    (void)atomic_fetch_add(&faults.syncs, 1);
    if (is_before(last))
        die();
    return whole(last, fcntl(fd, F_GETFD) < 0 ? -1 : 0); /* a killed process loses nothing */
}

int faults_rename(const char *from, const char *to)
{
    return faults_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int faults_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    bool last = is_last();

    if (is_before(last))
        die();
    return whole(last, syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}

int faults_unlink(const char *path)
{
    return faults_unlinkat(AT_FDCWD, path, 0);
}

int faults_unlinkat(int dir, const char *path, int flags)
{
    struct stat info;
    bool last;

    if (fstatat(dir, path, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return -1; /* changes nothing, so it is not counted */
    last = is_last();
    if (is_before(last))
        die();
    return whole(last, syscall(SYS_unlinkat, dir, path, flags));
}
