/*
 * All content that the images of some bundles lead to, by digest.
 */
#ifndef SERVE_CONTENT_PRIV_H
#define SERVE_CONTENT_PRIV_H

#include "serve/catalog_priv.h"

struct serve_store;

/** options are borrowed as long as the store. */
struct serve_store *serve_store_new(const struct serve_catalog_options *options);
void serve_store_free(struct serve_store *store);

/** Take in a manifest and all that it leads to and that is there. *out is NULL when the manifest
 * itself is not there (warned about), or is no manifest. False only when cancelled. */
MIR_MUST_CHECK bool serve_store_add(struct serve_store *store, const struct bundle_image *image,
                                    const struct serve_content **out, struct mir_error *err);

/** After the last was added: hash what is to be hashed, and withdraw the manifests of images whose
 * config or layers are missing, of another size, or damaged, with a warning. err: MIR_E_CANCELLED.
 */
MIR_MUST_CHECK bool serve_store_settle(struct serve_store *store, struct mir_error *err);

/** NULL when it is not there. */
struct serve_content *serve_store_find(const struct serve_store *store,
                                       const struct img_digest *digest);

/** NULL when nothing refers to it. */
const struct serve_referrers *serve_store_find_referrers(const struct serve_store *store,
                                                         const struct img_digest *subject);

/** Warn of bundles that leave out what none of the others has (bases.c). */
void serve_warn_of_bases(struct bundle_reader *const *readers, size_t reader_count,
                         const struct mir_sink *sink);

#endif
