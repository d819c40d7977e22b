/*
 * registries.d/sigstore-registries.yaml: for which names a node looks for sigstore signatures.
 */
#ifndef ICSP_SIGSTORE_PRIV_H
#define ICSP_SIGSTORE_PRIV_H

#include "base/buf.h"
#include "icsp/registries_priv.h"

/** Append the bytes of the file. objects: for messages. scopes: all that policies name. registries:
 * what was written, or NULL when the base file stays. err: a scope whose mirrors make no canonical
 * reference. */
MIR_MUST_CHECK bool icsp_sigstore_format(const struct icsp_objects *objects,
                                         const struct icsp_list *scopes,
                                         const struct icsp_registries *registries,
                                         struct mir_buf *out, struct icsp_findings *findings,
                                         struct mir_error *err);

#endif
