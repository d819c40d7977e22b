/*
 * certs.d: the certificate authorities of registries, one folder each.
 */
#ifndef ICSP_CERTS_PRIV_H
#define ICSP_CERTS_PRIV_H

#include "icsp/model_priv.h"

/** Append etc/docker/certs.d/HOST/ca.crt for every entry of the two ConfigMaps. err: a key that no
 * ConfigMap can have, or binaryData that is not base64. */
MIR_MUST_CHECK bool icsp_certs(const struct icsp_objects *objects, struct icsp_files *files,
                               struct icsp_findings *findings, struct mir_error *err);

#endif
