/*
 * Loading differentials: the blobs that a bundle among the sources leaves out, and where they are
 * found instead.
 *
 * Threads: copy_left_out_bring() from any worker; the rest from the owner.
 */
#ifndef COPY_LEFT_OUT_H
#define COPY_LEFT_OUT_H

#include "copy/copy_priv.h"

/** After resolving: a blob that its own source leaves out is taken from another source that has it;
 * where none has, it is marked as left out. */
void copy_left_out_find(struct copy *copy);

/** Into a layout: does what stands there have what the sources leave out? err: MIR_E_NOT_FOUND
 * naming the base. */
MIR_MUST_CHECK bool copy_left_out_check(const struct copy *copy, struct mir_error *err);

/** The repository at the destination that the base's own copy filled, on this host, or that the
 * mirror's receipt names; NULL if it cannot be told. */
const char *copy_left_out_landing(struct copy *copy, const struct copy_blob *blob,
                                  const char *host);

/** Into a registry: mount it from where the base's copy brought it, or find it in place. Where the
 * registry mounts nothing, but has it, it is brought from there to here through this machine. err:
 * MIR_E_NOT_FOUND naming the base. */
MIR_MUST_CHECK bool copy_left_out_bring(struct copy_worker *worker, const struct copy_task *task,
                                        struct mir_error *err);
/** The same question without changing anything, for a dry run. False also when it cannot be asked.
 */
bool copy_left_out_is_there(struct copy_worker *worker, const struct copy_task *task);
/** After a dry run: images fail that need what is not there. */
void copy_left_out_judge(struct copy *copy);

/** MIR_E_NOT_FOUND: it is nowhere, and which bundle has it. */
bool copy_left_out_missing(const struct copy_blob *blob, struct mir_error *err);

#endif
