/*
 * What is accepted and still goes wrong: warnings that no cluster gives.
 */
#ifndef ICSP_LINT_PRIV_H
#define ICSP_LINT_PRIV_H

#include "icsp/generation_priv.h"
#include "icsp/guard_priv.h"
#include "icsp/registries_priv.h"

/* What a compilation came to. All borrowed. */
struct icsp_lint_input {
    const struct icsp_generation *generation;
    const struct icsp_objects *objects;
    const struct icsp_guarded *guarded;
    const struct icsp_registries *registries; /* NULL: the base file stays */
    const struct icsp_list *cluster_scopes;   /* of all ClusterImagePolicies */
    const struct icsp_list *scopes;           /* and of all ImagePolicies that have effect */
};

/** Warn of everything below but the API server's rules. */
void icsp_lint(const struct icsp_lint_input *input, struct icsp_findings *findings);

/** What the API server would refuse before the operator sees it. Looks at the objects alone, so it
 * can be asked about rejected ones too; a place that has an error gets no warning. */
void icsp_lint_api(const struct icsp_generation *generation, const struct icsp_objects *objects,
                   struct icsp_findings *findings);

/* ---- parts of icsp_lint() ---- */

struct icsp_lint_index;

/* What the parts hand on. */
struct icsp_lint {
    const struct icsp_lint_input *in;
    const struct icsp_image_spec *image;
    struct icsp_lint_index *index; /* made when it is first needed */
    struct icsp_findings *findings;
};

/** Files that a runtime would refuse to read, and mirrors it would refuse to use. */
void icsp_lint_files(struct icsp_lint *lint);
/** Entries of registries.conf that hide others. */
void icsp_lint_hiding(struct icsp_lint *lint);

/** Where a scope was first named: as the source of a mirror set, else in a list of the Image. The
 * field of *place is *field, which the caller frees; both are empty when it is nowhere. */
void icsp_lint_place_scope(struct icsp_lint *lint, struct mir_span scope, struct icsp_place *place,
                           char **field);
/** The same for one mirror of a source; where no set names it, the place of the scope. */
void icsp_lint_place_mirror(struct icsp_lint *lint, struct mir_span source, const char *mirror,
                            struct icsp_place *place, char **field);
/** Is the scope the source of a mirror set? */
bool icsp_lint_is_source(struct icsp_lint *lint, struct mir_span scope);
void icsp_lint_index_free(struct icsp_lint_index *index);

#endif
