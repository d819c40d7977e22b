/*
 * Numbers from strangers: checked narrowing and parsing.
 *
 * Threads: no state.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/** False when the value does not fit. */
static inline bool mir_size_from_u64(uint64_t value, size_t *out)
{
    if (value > SIZE_MAX)
        return false;
    *out = (size_t)value;
    return true;
}

/** A whole decimal number without sign or blanks, at most max. */
bool mir_parse_u64(struct mir_span text, uint64_t max, uint64_t *out);

/** "1.4 GiB", "812 B": for people. Returns text. */
#define MIR_BYTES_TEXT_MAX 24
const char *mir_bytes_text(uint64_t bytes, char text[MIR_BYTES_TEXT_MAX]);

#endif
