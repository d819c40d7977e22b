/*
 * What there is to serve: repositories, their tags, and all content the indexes of the bundles lead
 * to. Built once; from then on only what is proved of content changes, so any thread may ask.
 */
#ifndef SERVE_CATALOG_PRIV_H
#define SERVE_CATALOG_PRIV_H

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "bundle/bundle.h"
#include "serve/proof_priv.h"
#include "serve/serve.h"

enum serve_content_kind {
    SERVE_CONTENT_BLOB,
    SERVE_CONTENT_PENDING,    /* while the catalog is built: called a manifest, not read yet */
    SERVE_CONTENT_MANIFEST,   /* read, and it is one */
    SERVE_CONTENT_BROKEN,     /* called a manifest, but cannot be read as one; served as a blob */
    SERVE_CONTENT_INCOMPLETE, /* a manifest of an image that lacks something; served as a blob */
};

struct serve_content {
    enum serve_content_kind kind;
    const struct bundle_reader *reader;
    const struct bundle_blob *blob;
    char *media_type;             /* what a MANIFEST has to be served as; else NULL */
    struct serve_proof proof;     /* that its bytes are right */
    struct serve_content **parts; /* of an image: config and layers */
    size_t part_count;
    char *lacks; /* of an image: what is not there, in words; NULL: nothing */
};

/* What refers to one manifest: signatures, bills of materials. In the order of the bundles. */
struct serve_referrers {
    struct serve_referrer {
        char *artifact_type;
        char *descriptor; /* JSON text, as it stands in the list of referrers */
        const struct serve_content *content;
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

struct serve_catalog_options {
    struct bundle_reader *const *readers; /* borrowed as long as the catalog */
    size_t reader_count;
    const char *prefix; /* in front of every name; NULL: none */
    enum serve_verify verify;
    unsigned jobs; /* threads that hash */
    /* What an earlier catalog has proved of files nobody wrote to since is taken over; or NULL. */
    const struct serve_catalog *before;
    const struct mir_sink *sink;
    const struct mir_cancel *cancel;
};

/** Reads every manifest, and hashes what verify wants. err: MIR_E_CANCELLED. */
MIR_MUST_CHECK bool serve_catalog_new(const struct serve_catalog_options *options,
                                      struct serve_catalog **out, struct mir_error *err);
void serve_catalog_free(struct serve_catalog *catalog);

const struct serve_names *serve_catalog_repos(const struct serve_catalog *catalog);
/** NULL when it is not there. */
const struct serve_repo *serve_catalog_find_repo(const struct serve_catalog *catalog,
                                                 const char *name);
const struct serve_content *serve_catalog_find_tag(const struct serve_repo *repo, const char *tag);
struct serve_content *serve_catalog_find(const struct serve_catalog *catalog,
                                         const struct img_digest *digest);
/** NULL when nothing refers to it. */
const struct serve_referrers *serve_catalog_find_referrers(const struct serve_catalog *catalog,
                                                           const struct img_digest *subject);

#endif
