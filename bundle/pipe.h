/*
 * Bundles through pipes ("bundle:-"): written to one in the order of the plan, and read from one in
 * the order they come. What makes that possible is the order of the format: names, then manifests,
 * then all else. Nothing can be read back, and nothing that went out can be taken back.
 *
 * Threads: as in bundle.h, except where said.
 */
#ifndef BUNDLE_PIPE_H
#define BUNDLE_PIPE_H

#include "bundle/base.h"

#define BUNDLE_STDIN  "standard input"  /* what errors call them */
#define BUNDLE_STDOUT "standard output" /* ... */

#define BUNDLE_PIPE_MANIFESTS_MAX 1000000      /* manifests kept of a pipe */
#define BUNDLE_PIPE_BYTES_MAX     (512u << 20) /* bytes of them */
#define BUNDLE_PIPE_REPLAY_MAX    (4u << 20)   /* of the blob that passes by: can be read again */

/* ---- writing ---- */

/** May a bundle be written to this descriptor? err: MIR_E_USAGE for a terminal, or one that is
 * closed or not open for writing. */
MIR_MUST_CHECK bool bundle_pipe_check_output(int fd, struct mir_error *err);

/**
 * Begin to write to a descriptor, which is borrowed until the writer is gone; name is what errors
 * call it. The functions of bundle.h then mean: write and finish wait until all blobs in front of
 * this one are finished (small ones are kept in memory until then), and fail when the pipe broke or
 * the user stops us; reset and drop make the whole fail, unless nothing of the blob went out;
 * commit ends the archive; suspend and abort leave it cut, which every reader refuses.
 *
 * Whoever brings the blobs has to take them in the order of the plan, or nobody's turn comes.
 */
MIR_MUST_CHECK bool bundle_writer_begin_pipe(int fd, const char *name,
                                             const struct bundle_plan *plan,
                                             const struct mir_cancel *cancel,
                                             struct bundle_writer **out, struct mir_error *err);

/** Wait until there is little to be written in front of this blob: who asks a server for it earlier
 * keeps that waiting. err: what broke the pipe, or MIR_E_CANCELLED. */
MIR_MUST_CHECK bool bundle_writer_await(struct bundle_writer *writer, size_t blob,
                                        struct mir_error *err);

/** This blob, which is not finished, goes next, whatever the plan says. Called by the one thread
 * that writes then. */
void bundle_writer_prefer(struct bundle_writer *writer, size_t blob);

/** A blob cannot be completed, so nothing can: whoever waits gets this error. */
void bundle_writer_break(struct bundle_writer *writer, const struct mir_error *err);
/** What broke it first; NULL while it is sound. Borrowed from the writer. */
const struct mir_error *bundle_writer_trouble(const struct bundle_writer *writer);

/* ---- reading ---- */

/**
 * Open what a descriptor brings; name is what errors call it. A regular file at its beginning is
 * read in place like any other. Of all else, everything up to the last manifest is read now: the
 * names and the manifests, which are kept. MIR_E_UNSUPPORTED, with the way out, when the order of
 * the archive does not allow that, or it is compressed. What a reader refuses of a file it refuses
 * here, at the latest when it comes by.
 *
 * fd and cancel (may be NULL) are borrowed until the reader is closed.
 */
MIR_MUST_CHECK bool bundle_reader_open_pipe(int fd, const char *name,
                                            const struct mir_cancel *cancel,
                                            struct bundle_reader **out, struct mir_error *err);

/** Do its blobs come by once, in their order? Such a reader finds the blobs it has seen, reads
 * those it keeps and the one that is passing by, and can be told to go on to the next. */
bool bundle_reader_is_pipe(const struct bundle_reader *reader);

/** Is the blob there, or may it still come? */
bool bundle_reader_may_hold(const struct bundle_reader *reader, const struct img_digest *digest);

/**
 * The next blob of the pipe, by one thread at a time: NULL at the end of the archive. What was not
 * read of the one before is passed over. Of the blob that passes by, bytes are read in ascending
 * order, and again as long as not more than the first BUNDLE_PIPE_REPLAY_MAX were read.
 * err: what is wrong with the archive; the same each time it is called again.
 */
MIR_MUST_CHECK bool bundle_reader_next(struct bundle_reader *reader, const struct bundle_blob **out,
                                       struct mir_error *err);

/** Keep the blob that passes by, which is small, so that other threads can read it while the next
 * ones pass. */
MIR_MUST_CHECK bool bundle_reader_keep(struct bundle_reader *reader, struct mir_error *err);
/** Nobody will read it again. */
void bundle_reader_forget(struct bundle_reader *reader, const struct bundle_blob *blob);

/** Pass over what is left, up to the end of the archive, and what the writer sends behind it. */
MIR_MUST_CHECK bool bundle_reader_drain(struct bundle_reader *reader, struct mir_error *err);

/**
 * bundle_verify_with() of a pipe: every blob is hashed as it passes by, in this thread; jobs are
 * for the bases. err: also what is wrong with the archive, which opening tells of a file.
 */
MIR_MUST_CHECK bool bundle_verify_pipe(struct bundle_reader *reader,
                                       struct bundle_reader *const *bases, size_t base_count,
                                       unsigned jobs, const struct bundle_verify_sink *sink,
                                       struct bundle_verify_totals *totals, struct mir_error *err);

#endif
