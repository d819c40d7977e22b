/*
 * --since OLD: what an older bundle holds, so that a new one need not. OLD is read as a copy of its
 * own: its images are resolved to manifests, from the bundle itself or, where only its index.json
 * is there, from their source repositories. A receipt says by itself what its mirror holds.
 *
 * Threads: one thread calls these; reading starts workers and joins them.
 */
#ifndef COPY_SINCE_H
#define COPY_SINCE_H

#include "bundle/base.h"
#include "copy/copy.h"
#include "copy/graph.h"

struct copy_since;

/**
 * Open OLD and see that it is what it should be; nothing is asked of a registry. text is a bundle
 * (bundle:FILE, oci:DIR, or a path alone) or the path of an index.json or a receipt. *out is NULL
 * without text. err: MIR_E_USAGE, or what opening a bundle can give.
 */
MIR_MUST_CHECK bool copy_since_open(struct copy *copy, struct mir_error *err);
void copy_since_free(struct copy_since *since);

/** Will reading it ask registries? */
bool copy_since_asks(const struct copy_since *since);

/**
 * Find out what OLD holds, if it is a bundle: before anything else is read, so that not both have
 * to be kept at once. What cannot be read is an error.
 */
MIR_MUST_CHECK bool copy_since_read_bundle(struct copy *copy, struct mir_error *err);
/**
 * The same if it is an index.json alone: after the copy's own images were resolved, because then a
 * manifest that they share is not fetched again. What cannot be read is warned of, and not held.
 */
MIR_MUST_CHECK bool copy_since_read_registry(struct copy *copy, struct mir_error *err);

/** Does OLD hold this blob? If so it is noted as left out. since may be NULL. */
bool copy_since_leave_out(struct copy_since *since, struct copy_blob *blob);

/** What was left out, sorted, for the plan of the bundle; NULL if since is. Called once, when all
 * blobs have been asked for. */
const struct bundle_base *copy_since_base(struct copy_since *since);

/** The same afterwards. */
const struct bundle_base *copy_since_get_base(const struct copy_since *since);

/** For leaving out images: this blob, which is left out, is still needed by those that stay. */
void copy_since_keep(struct copy_since *since, const struct img_digest *digest);
/** What was kept so far; elements as copy_since_base() has them. */
const bool *copy_since_kept(const struct copy_since *since);

#endif
