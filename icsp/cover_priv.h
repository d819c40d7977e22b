/*
 * Choosing the scopes of the mirror objects for a mapping, so that every image resolves to where
 * its copy is.
 */
#ifndef ICSP_COVER_PRIV_H
#define ICSP_COVER_PRIV_H

#include "icsp/icsp.h"

/* Places that a cluster's other objects name for what is in a scope, and that the scope's own entry
 * would hide: they are listed with the scope's own mirrors. */
struct icsp_cover_kept {
    char **items;
    size_t count, capacity;
};

/* One scope and the mirrors that answer for it, in byte order of the scope. */
struct icsp_cover_scope {
    char *source;
    char **mirrors;
    size_t mirror_count, mirror_capacity;
    bool has_tag; /* an image below it, or below a scope around it, is known by tag */
    bool never;   /* NeverContactSource, because the cluster says so of the source */
    struct icsp_cover_kept kept_digest, kept_tag;
};

struct icsp_cover {
    struct icsp_cover_scope *items;
    size_t count, capacity;
};

/* What scopes are wanted for. All borrowed. */
struct icsp_cover_request {
    const struct icsp_pair *pairs;
    size_t count;
    enum icsp_scope_level level;
    unsigned kinds;                      /* of the objects that will name them */
    const struct icsp_objects *with;     /* what else the cluster has; NULL: nothing is known */
    const struct icsp_image_spec *image; /* instead of the one among them; NULL: that one */
    const struct icsp_options *node;     /* NULL: a cluster of today */
};

/**
 * Choose. With ICSP_SCOPE_AUTO, or with objects of the cluster, the choice is proved: it is
 * compiled together with them, and every image is looked up in the result as a node would.
 *
 * err: MIR_E_FORMAT for a source or mirror that no cluster takes, MIR_E_USAGE when nothing is left
 * to mirror, MIR_E_CONFLICT when an image cannot be made to resolve, naming it and the reason.
 */
MIR_MUST_CHECK bool icsp_cover(const struct icsp_cover_request *request, struct icsp_cover *out,
                               struct icsp_findings *findings, struct mir_error *err);
void icsp_cover_release(struct icsp_cover *cover);
#define auto_cover __attribute__((cleanup(icsp_cover_release))) struct icsp_cover

/** Do the mirror objects of a kind list the scope? Those for tags leave out what nobody pulls by
 * tag.
 */
bool icsp_cover_lists(const struct icsp_cover_scope *scope, bool for_tags);

/* ---- the proof (cover_trial.c) ---- */

struct icsp_trial;

/** Compile what the cluster has already. err: it is refused by itself. */
MIR_MUST_CHECK bool icsp_trial_new(const struct icsp_cover_request *request,
                                   struct icsp_trial **out, struct mir_error *err);
void icsp_trial_free(struct icsp_trial *trial);

/** Fill in what each scope has to take along from the cluster's own entries. */
void icsp_trial_keep(const struct icsp_trial *trial, struct icsp_cover *cover);
/** Does the cluster say of this very source what a kind that is wanted cannot say? It then refuses
 * the two together. */
bool icsp_trial_excludes(const struct icsp_trial *trial, const char *source);
/** Compile both together. err: the cluster would refuse that. */
MIR_MUST_CHECK bool icsp_trial_run(struct icsp_trial *trial, const struct icsp_cover *cover,
                                   struct mir_error *err);
/** After a run: would a node that pulls from source ask at mirror? If not, *why says what it does
 * (the caller frees; why may be NULL). */
bool icsp_trial_reaches(const struct icsp_trial *trial, const char *source, const char *mirror,
                        bool by_tag, char **why);
/** After a run: a scope in which a place is not asked any more that the cluster asked before. NULL:
 * none. *at is where to go on, at first 0; *by_tag, for which pulls. Borrowed. */
const char *icsp_trial_next_lost(const struct icsp_trial *trial, const struct icsp_cover *cover,
                                 size_t *at, bool *by_tag);

#endif
