/*
 * Base64 as the cluster's reader takes it.
 */
#ifndef ICSP_BINARY_PRIV_H
#define ICSP_BINARY_PRIV_H

#include <stdbool.h>
#include <stddef.h>

/** Standard alphabet, padded; CR and LF are skipped. Unlike mir_base64_decode(), bits behind the
 * last byte may be set: the cluster drops them. The caller frees *out. */
bool icsp_base64_decode(const char *text, char **out, size_t *len);

#endif
