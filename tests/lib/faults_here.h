/*
 * Include this in one file of a test program, and nowhere else: it defines the libc functions that
 * lib/faults.h lets misbehave, for the whole program. (The linker takes the first definition it
 * finds; a shared libc comes last.)
 */
#ifndef TESTS_LIB_FAULTS_HERE_H
#define TESTS_LIB_FAULTS_HERE_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/faults.h"

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return faults_pwrite(fd, data, len, offset);
}

ssize_t write(int fd, const void *data, size_t len)
{
    return faults_write(fd, data, len);
}

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t len,
                        unsigned flags)
{
    return faults_copy(from, from_offset, to, to_offset, len, flags);
}

int fstatfs(int fd, struct statfs *info)
{
    return faults_fstatfs(fd, info);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return faults_fallocate(fd, mode, offset, len);
}

int ftruncate(int fd, off_t len)
{
    return faults_ftruncate(fd, len);
}

int fsync(int fd)
{
    return faults_fsync(fd);
}

int rename(const char *from, const char *to)
{
    return faults_rename(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return faults_renameat(from_dir, from, to_dir, to);
}

int unlink(const char *path)
{
    return faults_unlink(path);
}

int unlinkat(int dir, const char *path, int flags)
{
    return faults_unlinkat(dir, path, flags);
}

#endif
