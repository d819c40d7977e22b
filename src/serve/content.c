/*
 * The walk from the images of a bundle to everything they refer to. It decides what may be served:
 * a blob that no image leads to is not here. Every digest is read once, however many images share
 * it, so an index that holds itself ends like any other.
 */
#include "serve/content_priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "image/manifest.h"

struct serve_store {
    struct bundle_reader *const *readers;
    size_t reader_count;
    struct mir_map *by_digest;
    struct serve_content **all;
    size_t count, capacity;
    struct serve_content **pending; /* a stack */
    size_t pending_count, pending_capacity;
    struct mir_map *by_subject; /* to struct serve_referrers */
    struct serve_referrers **lists;
    size_t list_count, list_capacity;
};

struct serve_store *serve_store_new(struct bundle_reader *const *readers, size_t reader_count)
{
    struct serve_store *store = mir_alloc(sizeof(*store));

    store->readers = readers;
    store->reader_count = reader_count;
    store->by_digest = mir_map_new();
    store->by_subject = mir_map_new();
    return store;
}

static void free_referrers(struct serve_referrers *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].artifact_type);
        free(list->items[i].descriptor);
    }
    free(list->items);
    free(list);
}

void serve_store_free(struct serve_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->list_count; i++)
        free_referrers(store->lists[i]);
    free(store->lists);
    mir_map_free(store->by_subject);
    for (size_t i = 0; i < store->count; i++) {
        free(store->all[i]->media_type);
        free(store->all[i]);
    }
    free(store->all);
    free(store->pending);
    mir_map_free(store->by_digest);
    free(store);
}

const struct serve_content *serve_store_find(const struct serve_store *store,
                                             const struct img_digest *digest)
{
    return mir_map_find(store->by_digest, mir_span_of(digest->text));
}

static struct serve_content *add_content(struct serve_store *store,
                                         const struct bundle_reader *reader,
                                         const struct bundle_blob *blob)
{
    struct serve_content *content = mir_alloc(sizeof(*content));

    content->reader = reader;
    content->blob = blob;
    mir_map_set(store->by_digest, mir_span_of(blob->digest.text), content);
    mir_grow(&store->all, store->count, &store->capacity, sizeof(struct serve_content *));
    store->all[store->count++] = content;
    return content;
}

/* The content of a digest, taken in if some bundle has it; NULL if none has. */
static struct serve_content *take_in(struct serve_store *store, const struct img_digest *digest)
{
    struct serve_content *known = mir_map_find(store->by_digest, mir_span_of(digest->text));

    if (known)
        return known;
    for (size_t i = 0; i < store->reader_count; i++) {
        const struct bundle_blob *blob = bundle_reader_find(store->readers[i], digest);

        if (blob)
            return add_content(store, store->readers[i], blob);
    }
    return NULL;
}

static struct serve_content *take_in_manifest(struct serve_store *store,
                                              const struct img_digest *digest,
                                              const char *media_type)
{
    struct serve_content *content = take_in(store, digest);

    if (!content || content->kind != SERVE_CONTENT_BLOB)
        return content;
    content->kind = SERVE_CONTENT_PENDING;
    content->media_type = mir_strdup(media_type);
    mir_grow(&store->pending, store->pending_count, &store->pending_capacity,
             sizeof(struct serve_content *));
    store->pending[store->pending_count++] = content;
    return content;
}

static void take_in_parts(struct serve_store *store, const struct img_manifest *manifest)
{
    for (size_t i = 0; i < manifest->child_count; i++)
        (void)take_in_manifest(store, &manifest->children[i].digest,
                               manifest->children[i].media_type);
    if (manifest->kind == IMG_MANIFEST_KIND_INDEX)
        return;
    (void)take_in(store, &manifest->config.digest);
    for (size_t i = 0; i < manifest->layer_count; i++)
        (void)take_in(store, &manifest->layers[i].digest);
}

/* ---- referrers ---- */

const struct serve_referrers *serve_store_find_referrers(const struct serve_store *store,
                                                         const struct img_digest *subject)
{
    return mir_map_find(store->by_subject, mir_span_of(subject->text));
}

static struct serve_referrers *referrers_of(struct serve_store *store,
                                            const struct img_digest *subject)
{
    struct mir_span key = mir_span_of(subject->text);
    struct serve_referrers *list = mir_map_find(store->by_subject, key);

    if (list)
        return list;
    list = mir_alloc(sizeof(*list));
    mir_map_set(store->by_subject, key, list);
    mir_grow(&store->lists, store->list_count, &store->list_capacity,
             sizeof(struct serve_referrers *));
    store->lists[store->list_count++] = list;
    return list;
}

/* What the list of referrers says of a manifest. */
static char *descriptor_text(const struct serve_content *content,
                             const struct img_manifest *manifest)
{
    auto_json *root =
        json_pack("{s:s, s:s, s:I}", "mediaType", manifest->media_type, "digest",
                  content->blob->digest.text, "size", (json_int_t)content->blob->size);

    if (manifest->artifact_type[0] != '\0')
        (void)json_object_set_new(root, "artifactType", json_string(manifest->artifact_type));
    if (manifest->annotations)
        (void)json_object_set(root, "annotations", manifest->annotations);
    return json_dumps(root, JSON_COMPACT);
}

static void take_in_referrer(struct serve_store *store, const struct serve_content *content,
                             const struct img_manifest *manifest)
{
    struct serve_referrers *list = referrers_of(store, &manifest->subject.digest);

    mir_grow(&list->items, list->count, &list->capacity, sizeof(*list->items));
    list->items[list->count++] =
        (struct serve_referrer){.artifact_type = mir_strdup(manifest->artifact_type),
                                .descriptor = descriptor_text(content, manifest)};
}

/* ---- the walk ---- */

static bool read_manifest(struct serve_content *content, struct img_manifest *out,
                          struct mir_error *err)
{
    auto_free char *bytes = NULL;
    size_t len;

    return bundle_reader_load(content->reader, &content->blob->digest, IMG_MANIFEST_BYTES_MAX,
                              &bytes, &len, err) &&
           img_manifest_parse(mir_span(bytes, len), content->media_type, out, err);
}

static void visit(struct serve_store *store, struct serve_content *content,
                  const struct mir_sink *sink)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest manifest = {.media_type = NULL};

    if (!read_manifest(content, &manifest, &err)) {
        /* One bad image does not keep the others from being served. */
        mir_log(sink, MIR_LEVEL_WARN, "%s: %s: not served as a manifest: %s",
                bundle_reader_path(content->reader), content->blob->digest.text, err.text);
        free(mir_steal(&content->media_type));
        content->kind = SERVE_CONTENT_BROKEN;
        return;
    }
    content->kind = SERVE_CONTENT_MANIFEST;
    take_in_parts(store, &manifest);
    if (manifest.has_subject)
        take_in_referrer(store, content, &manifest);
    free(content->media_type);
    content->media_type = mir_steal(&manifest.media_type);
}

bool serve_store_add(struct serve_store *store, const struct bundle_image *image,
                     const struct mir_sink *sink, const struct mir_cancel *cancel,
                     const struct serve_content **out, struct mir_error *err)
{
    struct serve_content *content = take_in_manifest(store, &image->digest, image->media_type);

    while (store->pending_count > 0) {
        if (mir_is_cancelled(cancel))
            return mir_fail(err, MIR_E_CANCELLED, "interrupted");
        store->pending_count--;
        visit(store, store->pending[store->pending_count], sink);
    }
    if (!content)
        mir_log(sink, MIR_LEVEL_WARN, "%s: manifest %s is not there",
                image->name ? image->name : "", image->digest.text);
    *out = content && content->kind == SERVE_CONTENT_MANIFEST ? content : NULL;
    return true;
}
