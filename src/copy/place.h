/*
 * Places images come from and go to, as users write them: docker://REFERENCE, bundle:FILE[:REF],
 * oci-archive:FILE[:REF] (the same), oci:DIR[:REF]. bundle:- is standard input or output.
 *
 * Spec: containers-transports(5), for the grammar. Threads: plain values.
 */
#ifndef COPY_PLACE_H
#define COPY_PLACE_H

#include "base/error.h"
#include "base/span.h"
#include "bundle/bundle.h"

enum copy_place_kind {
    COPY_PLACE_DOCKER,
    COPY_PLACE_LAYOUT,
};

struct copy_place {
    enum copy_place_kind kind;
    char *text; /* as written, with its transport */
    /* LAYOUT: */
    enum bundle_form form;
    char *path;
    char *ref; /* NULL: none given */
    /* DOCKER: what stands after "docker://"; parsed by whoever knows whether it is a reference or
     * a prefix */
    char *name;
};

/**
 * Parse a place. Without a transport it is a docker name when bare_is_docker, else an error that
 * lists the transports. err: MIR_E_USAGE.
 */
MIR_MUST_CHECK bool copy_place_parse(struct mir_span text, bool bare_is_docker,
                                     struct copy_place *out, struct mir_error *err);
void copy_place_release(struct copy_place *place);
#define auto_place __attribute__((cleanup(copy_place_release))) struct copy_place

#endif
