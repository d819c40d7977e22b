/*
 * Choosing the scopes of the mirror objects for a mapping, so that every image resolves to where
 * its copy is.
 */
#ifndef ICSP_COVER_PRIV_H
#define ICSP_COVER_PRIV_H

#include "icsp/icsp.h"

/* One scope and the mirrors that answer for it, in byte order of the scope. */
struct icsp_cover_scope {
    char *source;
    char **mirrors;
    size_t mirror_count, mirror_capacity;
    bool has_tag; /* an image below it, or below a scope around it, is known by tag */
};

struct icsp_cover {
    struct icsp_cover_scope *items;
    size_t count, capacity;
};

/** err: MIR_E_FORMAT for a source or mirror that no cluster takes, MIR_E_USAGE when nothing is left
 * to mirror. */
MIR_MUST_CHECK bool icsp_cover(const struct icsp_pair *pairs, size_t count,
                               enum icsp_scope_level level, struct icsp_cover *out,
                               struct icsp_findings *findings, struct mir_error *err);
void icsp_cover_release(struct icsp_cover *cover);
#define auto_cover __attribute__((cleanup(icsp_cover_release))) struct icsp_cover

#endif
