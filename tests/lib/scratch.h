/*
 * A directory for one test, and small file helpers that end the program when they fail.
 *
 * Threads: no shared state.
 */
#ifndef TESTS_LIB_SCRATCH_H
#define TESTS_LIB_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/** A new empty directory under TMPDIR; the caller frees the path, after scratch_remove(). */
char *scratch_new(void);
/** Remove it and all that is in it, and free the path. NULL is fine. */
void scratch_remove(char *dir);
void scratch_auto_remove(char **dir);
#define auto_scratch __attribute__((cleanup(scratch_auto_remove))) char

/** A whole file; the caller frees. len may be NULL. */
char *scratch_read(const char *path, size_t *len);
void scratch_write(const char *path, struct mir_span bytes);
bool scratch_exists(const char *path);
uint64_t scratch_size(const char *path);
/** How many entries a directory has, without "." and "..". */
size_t scratch_count(const char *dir);

/** Say why and exit with status 1. */
void scratch_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
