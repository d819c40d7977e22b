/*
 * What is served at one moment: open bundles, the catalog over them, the users. A request holds the
 * view it began with until it is completed, so that what is being sent goes on when a newer view
 * has taken its place.
 *
 * Threads: hold and drop from any; all else is read-only.
 */
#ifndef SERVE_VIEW_PRIV_H
#define SERVE_VIEW_PRIV_H

#include <stdatomic.h>

#include "serve/catalog_priv.h"
#include "serve/users_priv.h"

struct serve_view {
    atomic_size_t holders;
    struct bundle_reader **readers;
    size_t reader_count;
    struct serve_catalog *catalog;
    struct serve_users *users; /* NULL: everybody may come in */
};

/** Open and read all; the caller holds it. before may be NULL: what it knows of files that did not
 * change need not be found out again. */
MIR_MUST_CHECK bool serve_view_new(const struct serve_options *options,
                                   const struct serve_view *before, struct serve_view **out,
                                   struct mir_error *err);
void serve_view_hold(struct serve_view *view);
/** The last one frees. NULL is fine. */
void serve_view_drop(struct serve_view *view);

#endif
