/*
 * Shared between the files that make fixtures.
 */
#ifndef TESTS_LIB_FIXTURE_PRIV_H
#define TESTS_LIB_FIXTURE_PRIV_H

#include "lib/fixture.h"

struct fixture_layer {
    struct img_digest digest;  /* of the packed bytes */
    struct img_digest diff_id; /* of the tar inside */
    uint64_t size;             /* packed bytes */
};

/** Write a layer (a tar with one file of pseudo-random bytes, which depend on seed) into the
 * layout dir's blobs, streaming. */
void fixture_layer_write(const char *dir, enum fixture_packing packing, uint64_t file_bytes,
                         uint64_t seed, struct fixture_layer *out);

#endif
