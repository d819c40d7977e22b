/*
 * What is accepted and still goes wrong on a node.
 */
#ifndef ICSP_LINT_PRIV_H
#define ICSP_LINT_PRIV_H

#include "icsp/guard_priv.h"
#include "icsp/registries_priv.h"

/** Warn. registries is NULL when the base file stays. */
void icsp_lint(const struct icsp_objects *objects, const struct icsp_guarded *guarded,
               const struct icsp_registries *registries, struct icsp_findings *findings);

#endif
