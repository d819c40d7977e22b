/*
 * The release guard: a cluster must not block the registry it runs from.
 */
#ifndef ICSP_GUARD_PRIV_H
#define ICSP_GUARD_PRIV_H

#include "icsp/generation_priv.h"
#include "icsp/merge_priv.h"
#include "icsp/reference_priv.h"

/* The lists that go into the files, after the guard. Strings are borrowed. */
struct icsp_guarded {
    struct icsp_list blocked;        /* for registries.conf */
    struct icsp_list policy_blocked; /* for policy.json */
    struct icsp_list allowed;
    char *payload; /* the repository of the release image; NULL when none is known */
};

void icsp_guarded_release(struct icsp_guarded *guarded);
#define auto_guarded __attribute__((cleanup(icsp_guarded_release))) struct icsp_guarded

/**
 * release_image may be NULL: then the lists pass unchanged.
 * digest: the merged digest sets. err: the release image is no canonical reference.
 */
MIR_MUST_CHECK bool icsp_guard(const struct icsp_generation *generation,
                               const struct icsp_image_spec *image, const char *release_image,
                               const struct icsp_merged *digest, struct icsp_guarded *out,
                               struct icsp_findings *findings, struct mir_error *err);

#endif
