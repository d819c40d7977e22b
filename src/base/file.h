/*
 * Files: whole reads, positioned I/O, and files that appear whole or not at all.
 *
 * Errors name the path. Threads: no shared state.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

/** Read a whole file of at most max bytes. "-" is standard input. *out is NUL-terminated (the NUL
 * is not counted in *len); the caller frees. err: MIR_E_LIMIT over max, else mir_fail_errno(). */
MIR_MUST_CHECK bool mir_file_read(const char *path, size_t max, char **out, size_t *len,
                                  struct mir_error *err);

/** Exactly len bytes, or an error: end of file is MIR_E_FORMAT "unexpected end". */
MIR_MUST_CHECK bool mir_pread_full(int fd, void *data, size_t len, uint64_t offset,
                                   struct mir_error *err);
MIR_MUST_CHECK bool mir_pwrite_full(int fd, struct mir_span data, uint64_t offset,
                                    struct mir_error *err);
MIR_MUST_CHECK bool mir_write_full(int fd, struct mir_span data, struct mir_error *err);

/** Create path's directories (mode 0777 less umask); what is there already is fine. */
MIR_MUST_CHECK bool mir_make_dirs(const char *path, struct mir_error *err);
/** The same for the directory that holds path. */
MIR_MUST_CHECK bool mir_make_parent_dirs(const char *path, struct mir_error *err);
/** fsync the directory that holds path, so that a rename in it lasts. */
MIR_MUST_CHECK bool mir_sync_parent(const char *path, struct mir_error *err);

/** Write a file whole: temporary name beside it, sync, rename, sync the directory. Whatever stood
 * under the name stays until the rename. mode is exact, whatever the umask. */
MIR_MUST_CHECK bool mir_file_write(const char *path, struct mir_span data, unsigned mode,
                                   struct mir_error *err);

#endif
