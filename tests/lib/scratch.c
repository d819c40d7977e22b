/*
 * Directories and files of tests. Called by tests and by the programs of tests/lib/tools. Nothing
 * here returns an error: a test that cannot make its files ends, and says why.
 */
#include "lib/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

void scratch_die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

char *scratch_new(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = mir_format("%s/mirror-test-XXXXXX", base && *base ? base : "/tmp");

    if (!mkdtemp(dir))
        scratch_die("mkdtemp %s: %s", dir, strerror(errno));
    return dir;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

void scratch_remove(char *dir)
{
    if (!dir)
        return;
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

void scratch_auto_remove(char **dir)
{
    scratch_remove(*dir);
}

char *scratch_read(const char *path, size_t *len)
{
    struct mir_error err = MIR_ERROR_INIT;
    char *bytes = NULL;
    size_t count = 0;

    if (!mir_file_read(path, SIZE_MAX / 4, &bytes, &count, &err))
        scratch_die("%s", err.text);
    if (len)
        *len = count;
    return bytes;
}

/* Without the syncs of mir_file_write(): tests write thousands of files. */
void scratch_write(const char *path, struct mir_span bytes)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct mir_error err = MIR_ERROR_INIT;

    if (fd < 0)
        scratch_die("create %s: %s", path, strerror(errno));
    if (!mir_write_full(fd, bytes, &err))
        scratch_die("%s: %s", path, err.text);
}

bool scratch_exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

uint64_t scratch_size(const char *path)
{
    struct stat info;

    if (lstat(path, &info) != 0)
        scratch_die("stat %s: %s", path, strerror(errno));
    return (uint64_t)info.st_size;
}

size_t scratch_count(const char *dir)
{
    DIR *stream = opendir(dir);
    size_t count = 0;

    if (!stream)
        scratch_die("open %s: %s", dir, strerror(errno));
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            count++;
    (void)closedir(stream);
    return count;
}
