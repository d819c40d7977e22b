/*
 * Digests: "sha256:" and 64 lower-case hex digits, or "sha512:" and 128.
 *
 * Spec: OCI image-spec 1.1, descriptor.md "Digests". Threads: plain values.
 */
#ifndef IMAGE_DIGEST_H
#define IMAGE_DIGEST_H

#include "base/error.h"
#include "base/hash.h"
#include "base/span.h"

#define IMG_DIGEST_MAX 136 /* "sha512:" + 128 + NUL */

struct img_digest {
    char text[IMG_DIGEST_MAX]; /* NUL-terminated; empty means none */
};

/** err: MIR_E_FORMAT, or MIR_E_UNSUPPORTED for another algorithm. out only on success. */
MIR_MUST_CHECK bool img_digest_parse(struct mir_span text, struct img_digest *out,
                                     struct mir_error *err);

bool img_digest_equal(const struct img_digest *a, const struct img_digest *b);
enum mir_hash_algo img_digest_algo(const struct img_digest *digest);
/** "sha256" or "sha512"; static storage. */
const char *img_digest_algo_name(const struct img_digest *digest);
/** The part after the colon; borrowed from digest. */
const char *img_digest_hex(const struct img_digest *digest);

/** The digest of some bytes. */
void img_digest_of(enum mir_hash_algo algo, struct mir_span bytes, struct img_digest *out);
/** The digest of what went into hash, which is finished by this. */
void img_digest_from_hash(enum mir_hash_algo algo, struct mir_hash *hash, struct img_digest *out);

/** MIR_E_DIGEST "digest mismatch: expected X, got Y" unless equal. */
MIR_MUST_CHECK bool img_digest_check(const struct img_digest *expected,
                                     const struct img_digest *got, struct mir_error *err);

#endif
