/*
 * Leftovers: blobs, whole or not, that an earlier run brought and that are not where the plan of
 * this run wants them. Private to bundle/.
 *
 * A leftover is a set of files with a journal that tells where in it each blob is. There are two
 * kinds, which may both stand beside a bundle:
 *
 *     PATH.partial.old,   PATH.journal.old      what was being written with another plan
 *     PATH.partial.saved, PATH.journal.saved    what images that were dropped had come to
 *
 * Only who holds the lock on PATH.partial touches them. Nothing in them is trusted: the bytes are
 * copied to their new place, and hashed there.
 *
 * Threads: bundle_leftover_take() from any; all else by one.
 */
#ifndef BUNDLE_LEFTOVER_PRIV_H
#define BUNDLE_LEFTOVER_PRIV_H

#include "bundle/journal_priv.h"
#include "bundle/writer_priv.h"

struct bundle_leftover;

enum bundle_leftover_kind {
    BUNDLE_LEFTOVER_OLD,
    BUNDLE_LEFTOVER_SAVED,
};
#define BUNDLE_LEFTOVER_KINDS 2

/** PATH.journal.old, PATH.journal.saved. The caller frees. */
char *bundle_leftover_journal_name(const char *path, enum bundle_leftover_kind kind);

/** What stands beside path, or NULL. What can never be used is removed. */
MIR_MUST_CHECK bool bundle_leftover_open(const char *path, enum bundle_leftover_kind kind,
                                         struct bundle_leftover **out, struct mir_error *err);
/** NULL is fine. The files stay. */
void bundle_leftover_close(struct bundle_leftover *leftover);
/** Remove the files too. NULL is fine. */
void bundle_leftover_remove(struct bundle_leftover *leftover);

/** Bytes of all blobs in it. */
uint64_t bundle_leftover_reached(const struct bundle_leftover *leftover);

/** Copy what there is of a blob beyond the first *reached bytes, at most max of them, to its place
 * in another set, and count it in. What was tried once is not found again; false when it could not
 * be copied. */
MIR_MUST_CHECK bool bundle_leftover_take(struct bundle_leftover *leftover,
                                         const struct bundle_blob *blob,
                                         const struct bundle_volumes *to, uint64_t to_offset,
                                         uint64_t max, uint64_t *reached, struct mir_error *err);
/** Give the blocks back of the first bytes of a blob, up to end. */
void bundle_leftover_forget(struct bundle_leftover *leftover, const struct bundle_blob *blob,
                            uint64_t end);
/** Give the blocks back that hold nothing of a blob. */
void bundle_leftover_punch(struct bundle_leftover *leftover);

/** Copy what there is of blobs that are not kept into a BUNDLE_LEFTOVER_SAVED, in place of the one
 * that may stand there. */
MIR_MUST_CHECK bool bundle_leftover_save(const struct bundle_writer *writer, struct mir_error *err);

#endif
