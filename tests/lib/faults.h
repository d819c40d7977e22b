/*
 * System calls on files that misbehave on request: a process that is killed at one of them, writes
 * that are short or interrupted, disks that are full or cannot do something.
 *
 * The calls of a test program go through here when one of its files includes lib/faults_here.h.
 * Until something is asked for they do what they always do.
 *
 * Threads: the settings are changed when only one thread runs; counters are atomic.
 */
#ifndef TESTS_LIB_FAULTS_H
#define TESTS_LIB_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statfs.h>
#include <sys/types.h>

struct faults {
    atomic_size_t calls;    /* so far, of those below that change something */
    size_t kill_at;         /* SIGKILL in the middle of this one, counted from 1; 0: never */
    size_t write_max;       /* bytes that one write takes; 0: all */
    size_t interrupt_every; /* EINTR at every such call; 0: never */
    int allocate_error;     /* errno of every fallocate and copy_file_range; 0: none */
    int write_error;        /* errno of writes when write_budget is used up */
    atomic_llong write_budget;
    uint64_t size_max;     /* EFBIG for files longer than this; 0: none */
    atomic_ullong written; /* bytes, by all writes and copies */
    atomic_size_t syncs;   /* fsync calls */
};

/* The one set of settings: what a libc function does cannot be passed to it. */
extern struct faults faults;

/** Back to no faults, counters at 0. fsync is counted, and never done: tests of what a power loss
 * does to unsynced files are made of other stuff. */
void faults_clear(void);

ssize_t faults_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t faults_write(int fd, const void *data, size_t len);
ssize_t faults_copy(int from, off_t *from_offset, int to, off_t *to_offset, size_t len,
                    unsigned flags);
/** A disk, as long as fallocate shall fail: in memory it is not asked for. */
int faults_fstatfs(int fd, struct statfs *info);
int faults_fallocate(int fd, int mode, off_t offset, off_t len);
int faults_ftruncate(int fd, off_t len);
int faults_fsync(int fd);
int faults_rename(const char *from, const char *to);
int faults_renameat(int from_dir, const char *from, int to_dir, const char *to);
int faults_unlink(const char *path);
int faults_unlinkat(int dir, const char *path, int flags);

#endif
