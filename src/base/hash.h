/*
 * Hashing while bytes stream by (OpenSSL EVP).
 *
 * Threads: one object, one thread.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/span.h"

enum mir_hash_algo {
    MIR_HASH_SHA256,
    MIR_HASH_SHA512,
};

#define MIR_HASH_HEX_MAX 129 /* the longest hex form with its NUL */

struct mir_hash;

/** Never NULL. */
struct mir_hash *mir_hash_new(enum mir_hash_algo algo);
void mir_hash_free(struct mir_hash *hash);
void mir_auto_hash_free(struct mir_hash **hash);
#define auto_hash __attribute__((cleanup(mir_auto_hash_free))) struct mir_hash

void mir_hash_update(struct mir_hash *hash, struct mir_span bytes);
/** Start over with the same algorithm. */
void mir_hash_reset(struct mir_hash *hash);
/** Lower-case hex of all bytes so far. The object takes no more bytes until mir_hash_reset(). */
void mir_hash_final(struct mir_hash *hash, char hex[MIR_HASH_HEX_MAX]);

/** All at once. */
void mir_hash_bytes(enum mir_hash_algo algo, struct mir_span bytes, char hex[MIR_HASH_HEX_MAX]);

#endif
