/*
 * What the files that do one task share: transfer.c decides, transfer_layout.c and
 * transfer_registry.c bring it there.
 *
 * Threads: from any worker; a task is done by one.
 */
#ifndef COPY_TRANSFER_PRIV_H
#define COPY_TRANSFER_PRIV_H

#include "copy/copy_priv.h"

#define COPY_CHUNK_BYTES (256u << 10) /* a buffer for each worker */

/** How much of a blob is read at once, at this place. */
static inline size_t copy_chunk_at(uint64_t at, uint64_t end)
{
    return end - at < COPY_CHUNK_BYTES ? (size_t)(end - at) : COPY_CHUNK_BYTES;
}

/* ---- transfer.c ---- */

/** Bytes that came from a source. Negative takes back what a failed try had counted. */
void copy_count_bytes(struct copy *copy, int64_t bytes);
/** Bytes that were on the disk: of an earlier run, or in what stands under the destination's name.
 * Negative as above. */
void copy_count_reused(struct copy *copy, int64_t bytes);
/** What this task would bring is there. */
void copy_count_there(struct copy *copy, struct copy_task *task);

/** MIR_E_CANCELLED when the user stops us. */
MIR_MUST_CHECK bool copy_stop_if_cancelled(const struct copy *copy, struct mir_error *err);

/** The blob in its source, which is a layout. err: it is not there, or of another size. */
MIR_MUST_CHECK bool copy_source_find(const struct copy_blob *blob, const struct bundle_blob **out,
                                     struct mir_error *err);
/** A blob of a layout has other bytes than its digest says: add which file to look at, and what to
 * do. Of volumes, those the blob lies in are named: one of them is damaged, or has another's name.
 * Returns false. */
bool copy_source_damaged(const struct bundle_reader *reader, const struct bundle_blob *blob,
                         struct mir_error *err);

/* ---- transfer_layout.c ---- */

/** What is there already stays. A blob is finished only when its digest is right. */
MIR_MUST_CHECK bool copy_transfer_to_layout(struct copy_worker *worker, struct copy_task *task,
                                            struct mir_error *err);

/* ---- transfer_registry.c ---- */

/** Mounted, relayed or sent. err: of a refusal also what may be behind it, in the source too. */
MIR_MUST_CHECK bool copy_transfer_to_registry(struct copy_worker *worker, struct copy_task *task,
                                              struct mir_error *err);

#endif
