/*
 * What the parts of making objects hand on: emit.c has the Image, the ConfigMap and the order of
 * things, emit_mirrors.c the mirror objects.
 */
#ifndef ICSP_EMIT_PRIV_H
#define ICSP_EMIT_PRIV_H

#include "icsp/cover_priv.h"
#include "icsp/model_priv.h"

#define ICSP_MIRROR_KINDS 3

struct icsp_emission {
    const struct icsp_pair *pairs;
    size_t pair_count;
    const struct icsp_emit_options *options;
    struct icsp_image_spec image; /* that will be written, as far as it decides where nodes ask */
    struct icsp_cover cover;
    struct icsp_object_files files;
    size_t
        highest[ICSP_MIRROR_KINDS]; /* number of an object of ours that the cluster has, by kind */
    struct icsp_findings *findings;
    struct mir_error *err;
};

/** Append a file; the object is taken. */
void icsp_emit_put(struct icsp_emission *e, const char *name, json_t *taken);
/** An object without a spec; the caller owns it. */
json_t *icsp_emit_object(const char *version, const char *kind, const char *name);

/** Take out of what the cluster has the objects that those to be written take the place of. */
void icsp_emit_forget_mirrors(struct icsp_emission *e);
/** The mirror objects for the scopes that were chosen. */
MIR_MUST_CHECK bool icsp_emit_mirrors(struct icsp_emission *e);
/** An earlier run wrote more objects than this one: the cluster still has the others. */
void icsp_emit_warn_left(const struct icsp_emission *e);

#endif
