/*
 * tar headers. Private to bundle/.
 *
 * Threads: no shared state.
 */
#ifndef BUNDLE_TAR_PRIV_H
#define BUNDLE_TAR_PRIV_H

#include <stdint.h>

#include "base/buf.h"

#define BUNDLE_TAR_BLOCK      512
#define BUNDLE_TAR_END        (2 * BUNDLE_TAR_BLOCK) /* zeros that end an archive */
#define BUNDLE_TAR_HEADER_MAX (16 * BUNDLE_TAR_BLOCK)

/** Append the header of a regular file: one ustar block, with pax blocks in front where the name or
 * the size needs them. Mode 0644, owner 0, no names of owners, time epoch. */
MIR_MUST_CHECK bool bundle_tar_header(const char *name, uint64_t size, int64_t epoch,
                                      struct mir_buf *out, struct mir_error *err);

/** Bytes that fill the last block of a file of this size. */
static inline uint64_t bundle_tar_padding(uint64_t size)
{
    return (BUNDLE_TAR_BLOCK - size % BUNDLE_TAR_BLOCK) % BUNDLE_TAR_BLOCK;
}

#endif
