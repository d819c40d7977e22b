/*
 * The graph of a copy: images over unique manifests over unique blobs.
 *
 * Threads: while workers resolve, the functions here lock; a node's content is written by the one
 * worker that loads it and read after all have been joined.
 */
#ifndef COPY_GRAPH_H
#define COPY_GRAPH_H

#include <pthread.h>

#include "base/map.h"
#include "bundle/base.h"
#include "copy/copy.h"

/* Where something is read: a repository, or a layout. */
struct copy_origin {
    struct reg_repo repo;         /* host NULL for a layout */
    struct bundle_reader *reader; /* NULL for a registry */
    bool is_elsewhere;            /* see copy_site */
};

struct copy_blob {
    struct img_digest digest;
    uint64_t size;
    char *media_type; /* interned: not to be written to */
    char **urls;      /* of a foreign layer; NULL for others */
    size_t url_count;
    const struct copy_origin *origin;
    bool is_config;
    bool is_left_out; /* of the bundle that is written: --since's bundle holds it */
    bool is_missing;  /* a dry run found it nowhere */
    /* No source holds it, because the bundle left_out_by leaves it out; NULL for others. */
    const struct bundle_left_out *left_out;
    const struct bundle_reader *left_out_by;
    size_t planned; /* place in a bundle plan, from 0; SIZE_MAX if in none */
    size_t stamp;   /* of the walk that saw it last */
};

struct copy_child {
    struct copy_manifest *manifest;
    uint64_t size; /* as the parent has it */
    bool has_platform;
    struct img_platform platform;
};

/* Where a walk stands with a node. */
enum copy_check {
    COPY_CHECK_NONE,
    COPY_CHECK_SOUND,
    COPY_CHECK_BROKEN,
};

struct copy_manifest {
    struct img_digest digest;
    const char *media_type; /* interned */
    char *bytes;
    size_t len;
    bool is_index;
    bool is_sparse;   /* children were left out by --platform */
    bool has_foreign; /* layers with urls, which were left out */
    unsigned depth;   /* of the path it was first found on */
    const struct copy_origin *origin;
    struct copy_child *children;
    size_t child_count;
    struct copy_blob **blobs; /* config first, then layers, as the manifest lists them */
    size_t blob_count;
    struct mir_error *error; /* NULL: loaded */
    enum copy_check check;
    const struct mir_error *broken_by; /* BROKEN: its own error or a child's */
    size_t planned;                    /* place in a bundle plan, from 0; SIZE_MAX if in none */
    size_t stamp;                      /* of the walk that saw it last */
};

struct copy_graph {
    pthread_mutex_t lock;
    struct mir_map *manifests_by_digest, *blobs_by_digest, *words, *origins_by_name;
    struct copy_manifest **manifests;
    size_t manifest_count, manifest_capacity;
    struct copy_blob **blobs;
    size_t blob_count, blob_capacity;
    struct copy_origin **origins;
    size_t origin_count, origin_capacity;
    char **word_list;
    size_t word_count, word_capacity;
    size_t stamp;
};

void copy_graph_init(struct copy_graph *graph);
void copy_graph_release(struct copy_graph *graph);

/** The origin for a repository of a registry, or for a layout; lives as long as the graph. */
const struct copy_origin *copy_graph_repo(struct copy_graph *graph, const char *host,
                                          const char *repo);
/** The same for a place that the rules give. */
const struct copy_origin *copy_graph_site(struct copy_graph *graph, const struct copy_site *site);
const struct copy_origin *copy_graph_layout(struct copy_graph *graph, struct bundle_reader *reader);

/** The node of a manifest; *is_new when the caller is the one to load it. cut tells apart the
 * same index taken with different platforms; "" for the usual case of one choice for all. */
struct copy_manifest *copy_graph_manifest(struct copy_graph *graph, const struct img_digest *digest,
                                          const char *cut, const struct copy_origin *origin,
                                          unsigned depth, bool *is_new);

/** The node of a manifest taken whole, or NULL. */
const struct copy_manifest *copy_graph_find(const struct copy_graph *graph,
                                            const struct img_digest *digest);

/** The node of a blob. err: MIR_E_FORMAT when another manifest gave it another size. */
MIR_MUST_CHECK bool copy_graph_blob(struct copy_graph *graph, const struct img_descriptor *found,
                                    const struct copy_origin *origin, bool is_config,
                                    struct copy_blob **out, struct mir_error *err);

/* What a walk calls; either may be NULL. */
struct copy_visitor {
    void (*manifest)(void *ctx, struct copy_manifest *manifest);
    void (*blob)(void *ctx, struct copy_blob *blob);
    void *ctx;
};
/** Begin a walk, in which every node is seen once, whatever leads to it. */
void copy_graph_begin_walk(struct copy_graph *graph);
/** See a manifest, its blobs, and all below it, parents before children. */
void copy_graph_walk(const struct copy_graph *graph, struct copy_manifest *root,
                     const struct copy_visitor *visitor);

/** A media type's one copy; not to be written to. */
char *copy_graph_word(struct copy_graph *graph, const char *word);

/** A descriptor that borrows from the node. */
struct img_descriptor copy_blob_descriptor(const struct copy_blob *blob);

#endif
