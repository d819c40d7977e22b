/*
 * What the configuration of this machine says of a copy: where an image is really asked for,
 * whether it may be copied at all, and how its destination is reached. Filled in by the command
 * line, which knows the files; a copy only asks.
 *
 * Threads: asked by one thread, before workers start.
 */
#ifndef COPY_RULES_H
#define COPY_RULES_H

#include "base/error.h"
#include "image/ref.h"

/* One place an image is asked for. */
struct copy_site {
    struct img_ref ref; /* as it is asked for there; host NULL where it is refused */
    bool insecure;
    bool is_elsewhere; /* on another host than the image's own: credentials that were given for
                          the image are not for it */
    struct mir_error refused; /* MIR_OK, or why it is not asked when its turn comes */
};

struct copy_sites {
    struct copy_site *items;
    size_t count, capacity;
};

/** A new one at the end, all zero. */
struct copy_site *copy_sites_add(struct copy_sites *sites);
void copy_sites_release(struct copy_sites *sites);
#define auto_sites __attribute__((cleanup(copy_sites_release))) struct copy_sites

/* An image about to be copied. */
struct copy_subject {
    const struct img_ref *image; /* by its own name; NULL for one in a layout: */
    const char *path; /* of a bundle's file or first volume's name, or of a directory; NULL
                         for standard input */
};

/* Each may be NULL: nothing is said. */
struct copy_rules {
    /* May it be copied? err: why not, and which file says so. */
    bool (*allow)(void *ctx, const struct copy_subject *subject, struct mir_error *err);
    /* Where it is asked for, in order; none: where its name says. err: there is no place. */
    bool (*find)(void *ctx, const struct img_ref *image, struct copy_sites *out,
                 struct mir_error *err);
    /* May this repository be pushed to, and is its host insecure? */
    bool (*land)(void *ctx, const struct img_ref *destination, bool *insecure,
                 struct mir_error *err);
    void *ctx;
};

#endif
