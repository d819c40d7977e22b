/*
 * The list of files that a compilation gives.
 */
#ifndef ICSP_FILES_PRIV_H
#define ICSP_FILES_PRIV_H

#include "base/buf.h"
#include "icsp/icsp.h"

/** Append, or replace what stands under the path. Both are copied. */
void icsp_files_set(struct icsp_files *files, const char *path, struct mir_span data);
/** The same for a file that every node has. */
void icsp_files_set_base(struct icsp_files *files, const char *path, struct mir_span data);
/** The list is complete: from the third on by path; the first two are registries.conf and
 * policy.json. */
void icsp_files_sort(struct icsp_files *files);

#endif
