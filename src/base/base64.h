/*
 * Base64, standard alphabet, padded (RFC 4648 section 4).
 *
 * Threads: no state.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/span.h"

/** The caller frees. */
char *mir_base64_encode(struct mir_span bytes);

/** CR and LF inside are ignored, anything else outside the alphabet is refused, as are wrong
 * padding and non-zero trailing bits. *out is NUL-terminated; the caller frees. False: not valid
 * base64, nothing written. */
bool mir_base64_decode(struct mir_span text, char **out, size_t *len);

#endif
