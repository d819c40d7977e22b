/*
 * The two halves of verifying: hashing every blob, and walking every image. Private to bundle/.
 *
 * Threads: trouble is filled by many threads, each its own elements; all else by one.
 */
#ifndef BUNDLE_VERIFY_PRIV_H
#define BUNDLE_VERIFY_PRIV_H

#include "bundle/base.h"
#include "bundle/reader_priv.h"

struct bundle_check {
    const struct bundle_reader *reader;
    const struct bundle_verify_sink *sink;
    struct bundle_verify_totals *totals;
    char **trouble;             /* of each entry: what hashing found wrong, or NULL */
    bool *used;                 /* of each entry: an image refers to it */
    const bool *wanted;         /* of each entry: it is to be hashed; NULL: all */
    bool *seen;                 /* of each blob of the reader's base: an image refers to it */
    struct bundle_check *bases; /* of what it leaves out */
    size_t base_count;
};

/** Report one problem. */
void bundle_check_problem(struct bundle_check *check, const char *fmt, ...) MIR_PRINTF(2, 3);

/** Hash every blob with this many threads; fills trouble and totals->bytes. err: MIR_E_CANCELLED.
 */
MIR_MUST_CHECK bool bundle_check_hashes(struct bundle_check *check, unsigned jobs,
                                        struct mir_error *err);

/** The same from what was hashed while a pipe passed by (verify_pipe.c). */
void bundle_check_take_hashes(struct bundle_check *check);

/** Hash what the bundle leaves out where its bases have it (verify_base.c). err: MIR_E_CANCELLED.
 */
MIR_MUST_CHECK bool bundle_check_bases(struct bundle_check *check,
                                       struct bundle_reader *const *bases, size_t base_count,
                                       unsigned jobs, struct mir_error *err);
void bundle_check_release_bases(struct bundle_check *check);

/** What is wrong with a blob that the bundle leaves out; NULL if nothing is. Counts it. The caller
 * frees. */
char *bundle_check_left_out(struct bundle_check *check, const struct bundle_left_out *entry,
                            uint64_t size);

/** Follow every image to all it refers to; fills used. err: MIR_E_CANCELLED. */
MIR_MUST_CHECK bool bundle_check_images(struct bundle_check *check, struct mir_error *err);

#endif
