/*
 * powerlog.so, for LD_PRELOAD: writes down everything a program does to the files below a folder,
 * in the order in which it was done. tests/lib/tools/powerloss.c builds from that what a disk may
 * hold after the power failed. Called by tests/integration/power-loss.sh.
 *
 *   POWERLOG_ROOT  the folder, an absolute path without links
 *   POWERLOG_FILE  the record, outside of it; replaced
 *
 * One lock is held across each call and its record, so the record's order is the order of effects.
 * Calls that are not known here (mapped writes, exchanged names) would be missing from the record;
 * those of them that can be caught end the program.
 *
 * The record is a row of: struct record, text (path_len bytes), bytes (data_len).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "powerlog.h"

#define FILES_MAX 65536
#define CHUNK     65536u

/* Files below the folder that were opened: which number of ours an inode has. */
static struct {
    pthread_mutex_t lock;
    char root[PATH_MAX];
    size_t root_len;
    int log;
    struct {
        dev_t dev;
        ino_t ino;
        uint32_t id;
    } files[FILES_MAX];
    size_t count;
    uint32_t last_id;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

static void die(const char *why)
{
    (void)dprintf(2, "powerlog: %s\n", why);
    abort();
}

__attribute__((constructor)) static void start(void)
{
    const char *root = getenv("POWERLOG_ROOT");
    const char *file = getenv("POWERLOG_FILE");

    if (!root || !file || strlen(root) >= sizeof(state.root))
        return;
    state.root_len = strlen(root);
    memcpy(state.root, root, state.root_len);
    state.log = (int)syscall(SYS_openat, AT_FDCWD, file,
                             O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (state.log < 0)
        die("cannot write the record");
    /* Only the program itself, not what it starts. */
    (void)unsetenv("LD_PRELOAD");
}

/* ---- the record ---- */

static void put(const void *data, size_t len)
{
    if (len > 0 && syscall(SYS_write, state.log, data, len) != (long)len)
        die("cannot write the record");
}

static void note(enum powerlog_kind kind, uint32_t id, uint64_t offset, const char *path,
                 const void *data, size_t len)
{
    struct powerlog_record record = {.kind = (uint32_t)kind,
                                     .id = id,
                                     .offset = offset,
                                     .path_len = path ? (uint32_t)strlen(path) : 0,
                                     .data_len = (uint32_t)len};

    put(&record, sizeof(record));
    put(path, record.path_len);
    put(data, len);
}

/* A path as the record has it: relative to the folder, "" for the folder itself. False: outside. */
static bool place(int dir, const char *path, char out[PATH_MAX])
{
    char full[2 * PATH_MAX] = "";
    char link[64];
    size_t len = 0;

    if (state.log < 0 || !path)
        return false;
    if (path[0] != '/') {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
        ssize_t got = readlink(dir == AT_FDCWD ? "/proc/self/cwd" : link, full, PATH_MAX - 1);

        if (got < 0)
            return false;
        len = (size_t)got;
        full[len++] = '/';
    }
    (void)snprintf(full + len, sizeof(full) - len, "%s", path);
    len = strlen(full);
    while (len > 1 && full[len - 1] == '/')
        full[--len] = '\0';
    if (strncmp(full, state.root, state.root_len) != 0 ||
        (full[state.root_len] != '/' && full[state.root_len] != '\0'))
        return false;
    if (strstr(full, "/../") || strstr(full, "/./") || strstr(full, "//"))
        die("a path that is not plain");
    len -= state.root_len;
    memmove(out, full + state.root_len + (len > 0), len + (len == 0));
    return true;
}

/* The number of an open file; 0: not ours. */
static uint32_t id_of(int fd)
{
    struct stat info;

    if (state.log < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return 0;
    for (size_t i = 0; i < state.count; i++)
        if (state.files[i].ino == info.st_ino && state.files[i].dev == info.st_dev)
            return state.files[i].id;
    return 0;
}

static uint32_t give_id(int fd)
{
    struct stat info;
    size_t i = 0;

    if (fstat(fd, &info) != 0)
        die("fstat");
    while (i < state.count &&
           (state.files[i].ino != info.st_ino || state.files[i].dev != info.st_dev))
        i++;
    if (i == FILES_MAX)
        die("too many files");
    state.files[i].dev = info.st_dev;
    state.files[i].ino = info.st_ino;
    state.files[i].id = ++state.last_id;
    state.count += i == state.count;
    return state.last_id;
}

static void lock(void)
{
    pthread_mutex_lock(&state.lock);
}

/* Returns what the call did, with its errno. */
static long unlock(long result)
{
    int kept = errno;

    pthread_mutex_unlock(&state.lock);
    errno = kept;
    return result;
}

/* ---- opening ---- */

static int do_open(int dir, const char *path, int flags, mode_t mode)
{
    char at[PATH_MAX];
    struct stat before;
    bool ours, existed;
    uint32_t id;
    int fd;

    if (flags & O_TMPFILE & ~O_DIRECTORY && state.log >= 0)
        die("O_TMPFILE");
    lock();
    ours = place(dir, path, at);
    existed = ours && fstatat(dir, path, &before, AT_SYMLINK_NOFOLLOW) == 0;
    fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd < 0 || !ours || (existed && !S_ISREG(before.st_mode)))
        return (int)unlock(fd);
    if (existed) {
        id = id_of(fd);
        if (id == 0)
            note(POWERLOG_OPEN, id = give_id(fd), 0, at, NULL, 0);
        if (flags & O_TRUNC)
            note(POWERLOG_RESIZE, id, 0, NULL, NULL, 0);
    } else {
        note(POWERLOG_CREATE, give_id(fd), 0, at, NULL, 0);
    }
    return (int)unlock(fd);
}

static mode_t mode_argument(int flags, va_list list)
{
    return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? (mode_t)va_arg(list, int) : 0;
}

#define DEFINE_OPEN(name)                                                                          \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list list;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(list, flags);                                                                     \
        mode = mode_argument(flags, list);                                                         \
        va_end(list);                                                                              \
        return do_open(AT_FDCWD, path, flags, mode);                                               \
    }
#define DEFINE_OPENAT(name)                                                                        \
    int name(int dir, const char *path, int flags, ...)                                            \
    {                                                                                              \
        va_list list;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(list, flags);                                                                     \
        mode = mode_argument(flags, list);                                                         \
        va_end(list);                                                                              \
        return do_open(dir, path, flags, mode);                                                    \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* What the fortified headers call. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}
int __openat_2(int dir, const char *path, int flags)
{
    return do_open(dir, path, flags, 0);
}
int __openat64_2(int dir, const char *path, int flags)
{
    return do_open(dir, path, flags, 0);
}

static int do_mkostemp(char *name, int flags)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    char *end = name + strlen(name) - 6;

    for (int try = 0; try < 100; try++) {
        unsigned char noise[6];
        int fd;

        if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
            return -1;
        for (int i = 0; i < 6; i++)
            end[i] = letters[noise[i] % 32];
        fd = do_open(AT_FDCWD, name, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}
int mkostemp(char *name, int flags)
{
    return do_mkostemp(name, flags);
}
int mkostemp64(char *name, int flags)
{
    return do_mkostemp(name, flags);
}
int mkstemp(char *name)
{
    return do_mkostemp(name, 0);
}
int mkstemp64(char *name)
{
    return do_mkostemp(name, 0);
}

/* ---- bytes ---- */

/* What a call wrote is read back, so that one way of recording does for all. */
static void note_written(int fd, uint64_t offset, uint64_t len)
{
    uint32_t id = id_of(fd);
    char chunk[CHUNK];

    if (id == 0)
        return;
    while (len > 0) {
        size_t part = len < CHUNK ? (size_t)len : CHUNK;
        char link[64];
        int reader;

        /* The file may be open for writing alone. */
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        reader = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        if (reader < 0 || syscall(SYS_pread64, reader, chunk, part, offset) != (long)part)
            die("cannot read back what was written");
        close(reader);
        note(POWERLOG_WRITE, id, offset, NULL, chunk, part);
        offset += part;
        len -= part;
    }
}

static ssize_t do_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    ssize_t put;

    lock();
    put = syscall(SYS_pwrite64, fd, data, len, offset);
    if (put > 0)
        note_written(fd, (uint64_t)offset, (uint64_t)put);
    return unlock(put);
}
ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return do_pwrite(fd, data, len, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return do_pwrite(fd, data, len, offset);
}

static ssize_t do_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t put;

    lock();
    put = syscall(SYS_pwritev, fd, parts, (long)count, (long)offset, 0L);
    if (put > 0)
        note_written(fd, (uint64_t)offset, (uint64_t)put);
    return unlock(put);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return do_pwritev(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return do_pwritev(fd, parts, count, offset);
}

/* Most writes are to sockets and the terminal. */
static bool is_file(int fd)
{
    struct stat info;

    return state.log >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}
ssize_t write(int fd, const void *data, size_t len)
{
    ssize_t put;

    if (!is_file(fd))
        return syscall(SYS_write, fd, data, len);
    lock();
    put = syscall(SYS_write, fd, data, len);
    if (put > 0)
        note_written(fd, (uint64_t)(lseek(fd, 0, SEEK_CUR) - put), (uint64_t)put);
    return unlock(put);
}
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t put;

    if (!is_file(fd))
        return syscall(SYS_writev, fd, parts, (long)count);
    lock();
    put = syscall(SYS_writev, fd, parts, (long)count);
    if (put > 0)
        note_written(fd, (uint64_t)(lseek(fd, 0, SEEK_CUR) - put), (uint64_t)put);
    return unlock(put);
}

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t len,
                        unsigned flags)
{
    off64_t at = to_offset ? *to_offset : lseek(to, 0, SEEK_CUR);
    ssize_t put;

    lock();
    put = syscall(SYS_copy_file_range, from, from_offset, to, to_offset, len, flags);
    if (put > 0)
        note_written(to, (uint64_t)at, (uint64_t)put);
    return unlock(put);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    void *argument;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    if ((request == FICLONE || request == FICLONERANGE) && id_of(fd) != 0)
        die("a clone of a file");
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static int do_resize(int fd, off_t size)
{
    int status;

    lock();
    status = (int)syscall(SYS_ftruncate, fd, size);
    if (status == 0 && id_of(fd) != 0)
        note(POWERLOG_RESIZE, id_of(fd), (uint64_t)size, NULL, NULL, 0);
    return (int)unlock(status);
}
int ftruncate(int fd, off_t size)
{
    return do_resize(fd, size);
}
int ftruncate64(int fd, off64_t size)
{
    return do_resize(fd, size);
}

/* A range of zeros, or a size that grows. */
static int do_fallocate(int fd, int mode, off_t offset, off_t len)
{
    struct stat before;
    struct stat after;
    int status;

    lock();
    if (fstat(fd, &before) != 0)
        die("fstat");
    status = (int)syscall(SYS_fallocate, fd, mode, offset, len);
    if (status != 0 || id_of(fd) == 0 || fstat(fd, &after) != 0)
        return (int)unlock(status);
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
        die("fallocate with another mode");
    if (mode & FALLOC_FL_PUNCH_HOLE && offset < before.st_size) {
        off_t end = offset + len < before.st_size ? offset + len : before.st_size;

        note_written(fd, (uint64_t)offset, (uint64_t)(end - offset));
    }
    if (after.st_size != before.st_size)
        note(POWERLOG_RESIZE, id_of(fd), (uint64_t)after.st_size, NULL, NULL, 0);
    return (int)unlock(status);
}
int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return do_fallocate(fd, mode, offset, len);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return do_fallocate(fd, mode, offset, len);
}
int posix_fallocate(int fd, off_t offset, off_t len)
{
    return do_fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return do_fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

/* ---- syncing ---- */

static int do_sync(int fd, long call)
{
    char at[PATH_MAX];
    char link[64];
    char name[PATH_MAX];
    struct stat info;
    ssize_t len;
    int status;

    lock();
    status = (int)syscall(call, fd);
    if (status != 0 || state.log < 0 || fstat(fd, &info) != 0)
        return (int)unlock(status);
    if (id_of(fd) != 0)
        note(POWERLOG_SYNC, id_of(fd), 0, NULL, NULL, 0);
    if (!S_ISDIR(info.st_mode))
        return (int)unlock(status);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, name, sizeof(name) - 1);
    if (len > 0) {
        name[len] = '\0';
        if (place(AT_FDCWD, name, at))
            note(POWERLOG_SYNC_DIR, 0, 0, at, NULL, 0);
    }
    return (int)unlock(status);
}
int fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}
int fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}
void sync(void)
{
    die("sync()");
}
int syncfs(int fd)
{
    (void)fd;
    die("syncfs()");
    return -1;
}

/* ---- names ---- */

static int do_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    char a[PATH_MAX];
    char b[PATH_MAX];
    bool ours;
    int status;

    lock();
    ours = place(from_dir, from, a);
    if (ours != place(to_dir, to, b) || (ours && (flags & RENAME_EXCHANGE)))
        die("a rename into or out of the folder, or an exchange");
    status = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    if (status == 0 && ours)
        note(POWERLOG_RENAME, 0, 0, a, b, strlen(b));
    return (int)unlock(status);
}
int rename(const char *from, const char *to)
{
    return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return do_rename(from_dir, from, to_dir, to, 0);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return do_rename(from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    char at[PATH_MAX];

    if (place(to_dir, to, at))
        die("a second name of a file");
    return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}
int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    char at[PATH_MAX];
    int status;

    lock();
    status = (int)syscall(SYS_unlinkat, dir, path, flags);
    if (status == 0 && place(dir, path, at))
        note(POWERLOG_UNLINK, 0, 0, at, NULL, 0);
    return (int)unlock(status);
}
int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}
int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}
int remove(const char *path)
{
    struct stat info;

    return unlinkat(AT_FDCWD, path,
                    lstat(path, &info) == 0 && S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    char at[PATH_MAX];
    int status;

    lock();
    status = (int)syscall(SYS_mkdirat, dir, path, mode);
    if (status == 0 && place(dir, path, at))
        note(POWERLOG_MKDIR, 0, 0, at, NULL, 0);
    return (int)unlock(status);
}
int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}
