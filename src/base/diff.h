/*
 * What has to be done to one text to get another, line by line, as `diff -u` and git write it and
 * patch(1) reads it.
 *
 * The shortest script where texts are alike; where they have little in common, time is bounded and
 * the script may be longer than it need be, but never wrong.
 *
 * Threads: no shared state.
 */
#ifndef BASE_DIFF_H
#define BASE_DIFF_H

#include "base/buf.h"
#include "base/span.h"

#define MIR_DIFF_CONTEXT 3 /* lines around a change */

/** Append the hunks, "@@ -1,3 +1,4 @@" and so on; nothing when the texts are equal. The caller
 * writes the lines that name the files. */
void mir_diff_format(struct mir_span before, struct mir_span after, struct mir_buf *out);

#endif
