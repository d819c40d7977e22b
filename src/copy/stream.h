/*
 * Copies from and to pipes ("bundle:-"): what comes by once is taken when it comes, and what goes
 * out goes in the order of the plan. Private to this directory.
 *
 * Threads: one calls these; workers are started and joined inside.
 */
#ifndef COPY_STREAM_H
#define COPY_STREAM_H

#include "copy/copy_priv.h"

/** Open the bundle that standard input brings. */
MIR_MUST_CHECK bool copy_stream_open(const struct copy *copy, struct bundle_reader **out,
                                     struct mir_error *err);
/** The reader of a pipe among the sources, or NULL. */
struct bundle_reader *copy_stream_source(const struct copy *copy);

/** Can this be done with pipes at all? Called once the destinations are known, before anything is
 * asked. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool copy_stream_check(const struct copy *copy, struct mir_error *err);

/** Do all tasks of a copy from a pipe. When the pipe did not bring what it should, copy->cut tells
 * why. */
void copy_stream_in(struct copy *copy);

/** Did the blob of this task pass by for another one, so that its bytes are only where that brought
 * them, if at all? */
bool copy_stream_has_passed(const struct copy_task *task);
/** Mount it from there or, where the registry does not mount, bring it from there. */
MIR_MUST_CHECK bool copy_stream_carry(struct copy_worker *worker, const struct copy_task *task,
                                      enum reg_put_outcome *outcome, struct mir_error *err);

/** Write the bundle to standard output. All or nothing: a blob that fails ends it. */
MIR_MUST_CHECK bool copy_stream_out(struct copy *copy, struct mir_error *err);

#endif
