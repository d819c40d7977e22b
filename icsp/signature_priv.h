/*
 * One requirement of policy.json from the policy of a ClusterImagePolicy or ImagePolicy.
 */
#ifndef ICSP_SIGNATURE_PRIV_H
#define ICSP_SIGNATURE_PRIV_H

#include "icsp/generation_priv.h"

/** *out is an object with its keys in the order of the file; the caller owns it. */
MIR_MUST_CHECK bool icsp_signature_requirement(const struct icsp_generation *generation,
                                               const struct icsp_signature_policy *policy,
                                               json_t **out, struct icsp_findings *findings,
                                               struct mir_error *err);

#endif
