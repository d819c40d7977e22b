/*
 * The unique manifests and blobs of a copy. Nodes are found by digest, created once, and never
 * move, so that workers can keep pointers to them.
 */
#include "copy/graph.h"

#include "base/mem.h"
#include "bundle/pipe.h"

void copy_graph_init(struct copy_graph *graph)
{
    *graph = (struct copy_graph){0};
    (void)pthread_mutex_init(&graph->lock, NULL);
    graph->manifests_by_digest = mir_map_new();
    graph->blobs_by_digest = mir_map_new_borrowing();
    graph->words = mir_map_new();
    graph->origins_by_name = mir_map_new();
}

static void free_manifest(struct copy_manifest *manifest)
{
    free(manifest->bytes);
    free(manifest->children);
    free(manifest->blobs);
    free(manifest->error);
    free(manifest);
}

static void free_blob(struct copy_blob *blob)
{
    for (size_t i = 0; i < blob->url_count; i++)
        free(blob->urls[i]);
    free(blob->urls);
    free(blob);
}

void copy_graph_release(struct copy_graph *graph)
{
    for (size_t i = 0; i < graph->manifest_count; i++)
        free_manifest(graph->manifests[i]);
    for (size_t i = 0; i < graph->blob_count; i++)
        free_blob(graph->blobs[i]);
    for (size_t i = 0; i < graph->origin_count; i++)
        free(graph->origins[i]);
    for (size_t i = 0; i < graph->word_count; i++)
        free(graph->word_list[i]);
    free(graph->manifests);
    free(graph->blobs);
    free(graph->origins);
    free(graph->word_list);
    mir_map_free(graph->manifests_by_digest);
    mir_map_free(graph->blobs_by_digest);
    mir_map_free(graph->words);
    mir_map_free(graph->origins_by_name);
    (void)pthread_mutex_destroy(&graph->lock);
}

/* The caller holds the lock. */
static char *word_locked(struct copy_graph *graph, const char *word)
{
    char *known = mir_map_find(graph->words, mir_span_of(word));

    if (known)
        return known;
    mir_grow(&graph->word_list, graph->word_count, &graph->word_capacity,
             sizeof(*graph->word_list));
    known = mir_strdup(word);
    graph->word_list[graph->word_count++] = known;
    mir_map_set(graph->words, mir_span_of(word), known);
    return known;
}

char *copy_graph_word(struct copy_graph *graph, const char *word)
{
    char *known;

    (void)pthread_mutex_lock(&graph->lock);
    known = word_locked(graph, word);
    (void)pthread_mutex_unlock(&graph->lock);
    return known;
}

static struct copy_origin *add_origin(struct copy_graph *graph)
{
    struct copy_origin *origin = mir_alloc(sizeof(*origin));

    mir_grow(&graph->origins, graph->origin_count, &graph->origin_capacity,
             sizeof(*graph->origins));
    graph->origins[graph->origin_count++] = origin;
    return origin;
}

static const struct copy_origin *registry_origin(struct copy_graph *graph, const char *host,
                                                 const char *repo, bool insecure, bool is_elsewhere)
{
    auto_free char *key = mir_format("%s/%s%s%s", host, repo, insecure ? " insecure" : "",
                                     is_elsewhere ? " elsewhere" : "");
    struct copy_origin *origin;

    (void)pthread_mutex_lock(&graph->lock);
    origin = mir_map_find(graph->origins_by_name, mir_span_of(key));
    if (!origin) {
        origin = add_origin(graph);
        origin->repo.host = word_locked(graph, host);
        origin->repo.name = word_locked(graph, repo);
        origin->repo.insecure = insecure;
        origin->is_elsewhere = is_elsewhere;
        mir_map_set(graph->origins_by_name, mir_span_of(key), origin);
    }
    (void)pthread_mutex_unlock(&graph->lock);
    return origin;
}

const struct copy_origin *copy_graph_repo(struct copy_graph *graph, const char *host,
                                          const char *repo)
{
    return registry_origin(graph, host, repo, false, false);
}

const struct copy_origin *copy_graph_site(struct copy_graph *graph, const struct copy_site *site)
{
    return registry_origin(graph, site->ref.host, site->ref.repo, site->insecure,
                           site->is_elsewhere);
}

const struct copy_origin *copy_graph_layout(struct copy_graph *graph, struct bundle_reader *reader)
{
    struct copy_origin *origin;

    (void)pthread_mutex_lock(&graph->lock);
    origin = add_origin(graph);
    origin->reader = reader;
    (void)pthread_mutex_unlock(&graph->lock);
    return origin;
}

struct copy_manifest *copy_graph_manifest(struct copy_graph *graph, const struct img_digest *digest,
                                          const char *cut, const struct copy_origin *origin,
                                          unsigned depth, bool *is_new)
{
    auto_free char *name = mir_format("%s %s", digest->text, cut);
    struct mir_span key = mir_span_of(name);
    struct copy_manifest *manifest;

    (void)pthread_mutex_lock(&graph->lock);
    manifest = mir_map_find(graph->manifests_by_digest, key);
    *is_new = !manifest;
    if (!manifest) {
        manifest = mir_alloc(sizeof(*manifest));
        manifest->digest = *digest;
        manifest->media_type = "";
        manifest->origin = origin;
        manifest->depth = depth;
        manifest->planned = SIZE_MAX;
        mir_grow(&graph->manifests, graph->manifest_count, &graph->manifest_capacity,
                 sizeof(*graph->manifests));
        graph->manifests[graph->manifest_count++] = manifest;
        mir_map_set(graph->manifests_by_digest, key, manifest);
    }
    (void)pthread_mutex_unlock(&graph->lock);
    return manifest;
}

const struct copy_manifest *copy_graph_find(const struct copy_graph *graph,
                                            const struct img_digest *digest)
{
    auto_free char *name = mir_format("%s ", digest->text);

    return mir_map_find(graph->manifests_by_digest, mir_span_of(name));
}

/* The caller holds the lock. */
static struct copy_blob *add_blob(struct copy_graph *graph, const struct img_descriptor *found,
                                  const struct copy_origin *origin, bool is_config)
{
    struct copy_blob *blob = mir_alloc(sizeof(*blob));

    blob->digest = found->digest;
    blob->size = found->size;
    blob->media_type = word_locked(graph, found->media_type);
    blob->origin = origin;
    blob->is_config = is_config;
    blob->planned = SIZE_MAX;
    if (found->url_count > 0) {
        blob->urls = mir_alloc_array(found->url_count, sizeof(*blob->urls));
        for (size_t i = 0; i < found->url_count; i++)
            blob->urls[i] = mir_strdup(found->urls[i]);
        blob->url_count = found->url_count;
    }
    mir_grow(&graph->blobs, graph->blob_count, &graph->blob_capacity, sizeof(*graph->blobs));
    graph->blobs[graph->blob_count++] = blob;
    mir_map_set(graph->blobs_by_digest, mir_span_of(blob->digest.text), blob);
    return blob;
}

/* A bundle may leave blobs out that a registry, or another bundle, has. */
static bool has_bytes(const struct copy_origin *origin, const struct copy_blob *blob)
{
    return !origin->reader || bundle_reader_may_hold(origin->reader, &blob->digest);
}

bool copy_graph_blob(struct copy_graph *graph, const struct img_descriptor *found,
                     const struct copy_origin *origin, bool is_config, struct copy_blob **out,
                     struct mir_error *err)
{
    struct copy_blob *blob;

    (void)pthread_mutex_lock(&graph->lock);
    blob = mir_map_find(graph->blobs_by_digest, mir_span_of(found->digest.text));
    if (!blob)
        blob = add_blob(graph, found, origin, is_config);
    else if (blob->origin != origin && !has_bytes(blob->origin, blob) && has_bytes(origin, blob))
        blob->origin = origin;
    (void)pthread_mutex_unlock(&graph->lock);
    if (blob->size != found->size)
        return mir_fail(
            err, MIR_E_FORMAT, "blob %s is %llu bytes here and %llu bytes in another manifest",
            found->digest.text, (unsigned long long)found->size, (unsigned long long)blob->size);
    *out = blob;
    return true;
}

void copy_graph_begin_walk(struct copy_graph *graph)
{
    graph->stamp++;
}

void copy_graph_walk(const struct copy_graph *graph, struct copy_manifest *root,
                     const struct copy_visitor *visitor)
{
    if (root->stamp == graph->stamp)
        return;
    root->stamp = graph->stamp;
    if (visitor->manifest)
        visitor->manifest(visitor->ctx, root);
    for (size_t i = 0; i < root->blob_count; i++) {
        if (root->blobs[i]->stamp == graph->stamp)
            continue;
        root->blobs[i]->stamp = graph->stamp;
        if (visitor->blob)
            visitor->blob(visitor->ctx, root->blobs[i]);
    }
    for (size_t i = 0; i < root->child_count; i++)
        copy_graph_walk(graph, root->children[i].manifest, visitor);
}

struct img_descriptor copy_blob_descriptor(const struct copy_blob *blob)
{
    return (struct img_descriptor){.media_type = blob->media_type,
                                   .digest = blob->digest,
                                   .size = blob->size,
                                   .urls = blob->urls,
                                   .url_count = blob->url_count};
}
