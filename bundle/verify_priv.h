/*
 * The two halves of verifying: hashing every blob, and walking every image. Private to bundle/.
 *
 * Threads: trouble is filled by many threads, each its own elements; all else by one.
 */
#ifndef BUNDLE_VERIFY_PRIV_H
#define BUNDLE_VERIFY_PRIV_H

#include "bundle/bundle.h"
#include "bundle/reader_priv.h"

struct bundle_check {
    const struct bundle_reader *reader;
    const struct bundle_verify_sink *sink;
    struct bundle_verify_totals *totals;
    char **trouble; /* of each entry: what hashing found wrong, or NULL */
    bool *used;     /* of each entry: an image refers to it */
};

/** Report one problem. */
void bundle_check_problem(struct bundle_check *check, const char *fmt, ...) MIR_PRINTF(2, 3);

/** Hash every blob with this many threads; fills trouble and totals->bytes. err: MIR_E_CANCELLED.
 */
MIR_MUST_CHECK bool bundle_check_hashes(struct bundle_check *check, unsigned jobs,
                                        struct mir_error *err);

/** Follow every image to all it refers to; fills used. err: MIR_E_CANCELLED. */
MIR_MUST_CHECK bool bundle_check_images(struct bundle_check *check, struct mir_error *err);

#endif
