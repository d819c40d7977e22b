/*
 * What there is to serve: repositories, their tags, and all content the indexes of the bundles lead
 * to. Built once; read-only from then on, so any thread may ask.
 */
#ifndef SERVE_CATALOG_PRIV_H
#define SERVE_CATALOG_PRIV_H

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "bundle/bundle.h"

enum serve_content_kind {
    SERVE_CONTENT_BLOB,
    SERVE_CONTENT_PENDING,  /* while the catalog is built: called a manifest, not read yet */
    SERVE_CONTENT_MANIFEST, /* read, and it is one */
    SERVE_CONTENT_BROKEN,   /* called a manifest, but cannot be read as one; served as a blob */
};

struct serve_content {
    enum serve_content_kind kind;
    const struct bundle_reader *reader;
    const struct bundle_blob *blob;
    char *media_type; /* MANIFEST: what it has to be served as; else NULL */
};

/* What refers to one manifest: signatures, bills of materials. In the order of the bundles. */
struct serve_referrers {
    struct serve_referrer {
        char *artifact_type;
        char *descriptor; /* JSON text, as it stands in the list of referrers */
    } * items;
    size_t count, capacity;
};

/* Sorted by bytes, no name twice. */
struct serve_names {
    const char **names;
    size_t count;
};

struct serve_repo {
    struct serve_names tags;
    const struct serve_content **tagged; /* one for each of tags */
};

struct serve_catalog;

/** Reads every manifest. err: MIR_E_CANCELLED. */
MIR_MUST_CHECK bool serve_catalog_new(struct bundle_reader *const *readers, size_t reader_count,
                                      const struct mir_sink *sink, const struct mir_cancel *cancel,
                                      struct serve_catalog **out, struct mir_error *err);
void serve_catalog_free(struct serve_catalog *catalog);

const struct serve_names *serve_catalog_repos(const struct serve_catalog *catalog);
/** NULL when it is not there. */
const struct serve_repo *serve_catalog_find_repo(const struct serve_catalog *catalog,
                                                 const char *name);
const struct serve_content *serve_catalog_find_tag(const struct serve_repo *repo, const char *tag);
const struct serve_content *serve_catalog_find(const struct serve_catalog *catalog,
                                               const struct img_digest *digest);
/** NULL when nothing refers to it. */
const struct serve_referrers *serve_catalog_find_referrers(const struct serve_catalog *catalog,
                                                           const struct img_digest *subject);

#endif
