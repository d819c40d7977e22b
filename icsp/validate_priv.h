/*
 * What MCO refuses in lists and mirror sets.
 */
#ifndef ICSP_VALIDATE_PRIV_H
#define ICSP_VALIDATE_PRIV_H

#include "icsp/generation_priv.h"

/** Every entry of a list, by the rule of the generation: not empty, '*' only as a leading "*.".
 * field names the list. */
MIR_MUST_CHECK bool icsp_check_list(const struct icsp_generation *generation,
                                    const struct icsp_origin *object, const char *field,
                                    const struct icsp_list *list, struct icsp_findings *findings,
                                    struct mir_error *err);

/** Every set, in this order: formats, one policy for each source, no source among the mirrors of
 * a source that is never to be contacted. */
MIR_MUST_CHECK bool icsp_check_sets(const struct icsp_generation *generation,
                                    const struct icsp_set *const *sets, size_t count,
                                    struct icsp_findings *findings, struct mir_error *err);

#endif
