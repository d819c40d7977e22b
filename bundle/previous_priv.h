/*
 * What an earlier run with the same path left, and what becomes of it. Private to bundle/.
 *
 * Threads: bundle_previous_gather() from any, one per blob; all else by one.
 */
#ifndef BUNDLE_PREVIOUS_PRIV_H
#define BUNDLE_PREVIOUS_PRIV_H

#include "bundle/leftover_priv.h"
#include "bundle/writer_priv.h"

/** PATH.journal. The caller frees. */
char *bundle_journal_name(const char *path);

/**
 * Lock PATH.partial and open its journal. If both are of this plan, what is reached is known
 * afterwards, and true is written to *resumed; what belongs to another plan becomes a leftover;
 * everything else is replaced, and the files are empty. A commit that was cut short is finished
 * first.
 * err: MIR_E_CONFLICT when another process is writing there.
 */
MIR_MUST_CHECK bool bundle_previous_take_over(struct bundle_writer *writer, bool *resumed,
                                              struct mir_error *err);

/** Move what the leftovers hold of a blob to its place. */
MIR_MUST_CHECK bool bundle_previous_gather(struct bundle_writer *writer, size_t blob,
                                           struct mir_error *err);
/** Move all that the leftovers hold, giving its room back on the way, and remove them. */
MIR_MUST_CHECK bool bundle_previous_gather_all(struct bundle_writer *writer, struct mir_error *err);
/** The same without moving anything. */
void bundle_previous_remove_leftovers(struct bundle_writer *writer);

#endif
