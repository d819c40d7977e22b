/*
 * The walk from the images of a bundle to everything they refer to. It decides what may be served:
 * a blob that no image leads to is not here. Every digest is read once, however many images share
 * it, so an index that holds itself ends like any other.
 */
#include "serve/content_priv.h"

#include <inttypes.h>

#include "base/map.h"
#include "base/mem.h"
#include "image/manifest.h"

#define WARNINGS_MAX 20 /* about images; a large bundle may have thousands of one kind */

struct serve_store {
    const struct serve_catalog_options *options;
    struct mir_map *by_digest;
    struct serve_content **all;
    size_t count, capacity;
    struct serve_content **pending; /* a stack */
    size_t pending_count, pending_capacity;
    struct mir_map *by_subject; /* to struct serve_referrers */
    struct serve_referrers **lists;
    size_t list_count, list_capacity;
};

struct serve_store *serve_store_new(const struct serve_catalog_options *options)
{
    struct serve_store *store = mir_alloc(sizeof(*store));

    store->options = options;
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

static void free_content(struct serve_content *content)
{
    serve_proof_release(&content->proof);
    free(content->parts);
    free(content->lacks);
    free(content->media_type);
    free(content);
}

void serve_store_free(struct serve_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->list_count; i++)
        free_referrers(store->lists[i]);
    free(store->lists);
    mir_map_free(store->by_subject);
    for (size_t i = 0; i < store->count; i++)
        free_content(store->all[i]);
    free(store->all);
    free(store->pending);
    mir_map_free(store->by_digest);
    free(store);
}

struct serve_content *serve_store_find(const struct serve_store *store,
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
    serve_proof_init(&content->proof);
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
    for (size_t i = 0; i < store->options->reader_count; i++) {
        const struct bundle_reader *reader = store->options->readers[i];
        const struct bundle_blob *blob = bundle_reader_find(reader, digest);

        if (blob)
            return add_content(store, reader, blob);
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

/* A config or layer of an image. */
static void take_in_part(struct serve_store *store, struct serve_content *image,
                         const struct img_descriptor *part)
{
    struct serve_content *content = take_in(store, &part->digest);

    if (content)
        image->parts[image->part_count++] = content;
    if (image->lacks || (!content && img_type_is_nondistributable(part->media_type)))
        return;
    if (!content)
        image->lacks = mir_format("%s is missing", part->digest.text);
    else if (content->blob->size != part->size)
        image->lacks =
            mir_format("%s has %" PRIu64 " bytes, not the %" PRIu64 " it was announced with",
                       part->digest.text, content->blob->size, part->size);
}

static void take_in_parts(struct serve_store *store, struct serve_content *content,
                          const struct img_manifest *manifest)
{
    for (size_t i = 0; i < manifest->child_count; i++)
        (void)take_in_manifest(store, &manifest->children[i].digest,
                               manifest->children[i].media_type);
    if (manifest->kind == IMG_MANIFEST_KIND_INDEX)
        return;
    content->parts = mir_alloc_array(manifest->layer_count + 1, sizeof(*content->parts));
    take_in_part(store, content, &manifest->config);
    for (size_t i = 0; i < manifest->layer_count; i++)
        take_in_part(store, content, &manifest->layers[i]);
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
                                .descriptor = descriptor_text(content, manifest),
                                .content = content};
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

static void visit(struct serve_store *store, struct serve_content *content)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest manifest = {.media_type = NULL};

    if (!read_manifest(content, &manifest, &err)) {
        /* One bad image does not keep the others from being served. */
        mir_log(store->options->sink, MIR_LEVEL_WARN, "%s: %s: not served as a manifest: %s",
                bundle_reader_path(content->reader), content->blob->digest.text, err.text);
        free(mir_steal(&content->media_type));
        content->kind = SERVE_CONTENT_BROKEN;
        return;
    }
    content->kind = SERVE_CONTENT_MANIFEST;
    take_in_parts(store, content, &manifest);
    if (manifest.has_subject)
        take_in_referrer(store, content, &manifest);
    free(content->media_type);
    content->media_type = mir_steal(&manifest.media_type);
}

bool serve_store_add(struct serve_store *store, const struct bundle_image *image,
                     const struct serve_content **out, struct mir_error *err)
{
    struct serve_content *content = take_in_manifest(store, &image->digest, image->media_type);

    while (store->pending_count > 0) {
        if (mir_is_cancelled(store->options->cancel))
            return mir_fail(err, MIR_E_CANCELLED, "interrupted");
        store->pending_count--;
        visit(store, store->pending[store->pending_count]);
    }
    if (!content)
        mir_log(store->options->sink, MIR_LEVEL_WARN, "%s: manifest %s is not there",
                image->name ? image->name : "", image->digest.text);
    *out = content && content->kind == SERVE_CONTENT_MANIFEST ? content : NULL;
    return true;
}

/* ---- is it right? ---- */

/* Take over what is known from before, and stamp what is not. How many are not known? */
static size_t begin_proofs(struct serve_store *store, const struct bundle_reader *reader)
{
    const struct serve_catalog *before = store->options->before;
    size_t unknown = 0;

    for (size_t i = 0; i < store->count; i++) {
        struct mir_error ignored = MIR_ERROR_INIT; /* hashing says it again */
        struct serve_content *content = store->all[i], *known;
        enum serve_proof_state state;
        struct bundle_stamp stamp;

        if (content->reader != reader)
            continue;
        known = before ? serve_catalog_find(before, &content->blob->digest) : NULL;
        if (known)
            serve_proof_take(content, known);
        if (serve_proof_get(content, &state, &stamp, &ignored) && state != SERVE_PROOF_NONE)
            continue;
        content->proof.stamp = stamp;
        unknown++;
    }
    return unknown;
}

static bool is_damaged(const struct serve_content *content)
{
    return content->proof.state == SERVE_PROOF_DAMAGED;
}

static void note_proof(void *ctx, const struct bundle_blob *blob, const char *why)
{
    struct serve_store *store = ctx;
    struct serve_content *content = serve_store_find(store, &blob->digest);
    struct bundle_stamp stamp;

    if (!content || content->blob != blob)
        return;
    stamp = content->proof.stamp;
    serve_proof_set(content, why ? SERVE_PROOF_DAMAGED : SERVE_PROOF_SOUND, &stamp);
    if (why)
        mir_log(store->options->sink, MIR_LEVEL_WARN, "%s: %s %s",
                bundle_reader_path(content->reader), blob->digest.text, why);
}

/* The same blob in another bundle, where it is sound. */
static bool find_sound_copy(struct serve_store *store, struct serve_content *content,
                            struct mir_error *err)
{
    const struct serve_catalog_options *options = store->options;
    const struct bundle_reader *damaged = content->reader;

    for (size_t i = 0; i < options->reader_count; i++) {
        struct mir_error trouble = MIR_ERROR_INIT; /* said already, of the first copy */
        const struct bundle_blob *blob =
            bundle_reader_find(options->readers[i], &content->blob->digest);

        if (!blob || options->readers[i] == damaged)
            continue;
        content->reader = options->readers[i];
        content->blob = blob;
        if (serve_proof_make(content, options->cancel, &trouble))
            return true;
        if (trouble.code == MIR_E_CANCELLED) {
            *err = trouble;
            return false;
        }
    }
    return true;
}

static bool replace_damaged(struct serve_store *store, struct mir_error *err)
{
    for (size_t i = 0; i < store->count; i++)
        if (is_damaged(store->all[i]) && !find_sound_copy(store, store->all[i], err))
            return false;
    return true;
}

static bool prove_all(struct serve_store *store, struct mir_error *err)
{
    const struct serve_catalog_options *options = store->options;

    for (size_t i = 0; i < options->reader_count; i++) {
        const struct bundle_reader *reader = options->readers[i];

        if (begin_proofs(store, reader) == 0 || options->verify != SERVE_VERIFY_FULL)
            continue;
        mir_log(options->sink, MIR_LEVEL_INFO, "hashing all of %s", bundle_reader_path(reader));
        if (!bundle_reader_hash_all(reader, options->jobs, options->cancel, note_proof, store, err))
            return false;
    }
    return options->verify != SERVE_VERIFY_FULL || replace_damaged(store, err);
}

/* What is wrong with an image, or NULL. The caller frees. */
static char *trouble_of(const struct serve_content *image)
{
    for (size_t i = 0; i < image->part_count; i++) {
        if (is_damaged(image->parts[i]))
            return mir_format("%s is damaged", image->parts[i]->blob->digest.text);
    }
    return mir_strdup(image->lacks);
}

/* A client that gets a manifest counts on the rest. Without it, it goes on to the next place. */
static void withdraw_incomplete(struct serve_store *store)
{
    size_t count = 0;

    for (size_t i = 0; i < store->count; i++) {
        struct serve_content *content = store->all[i];
        auto_free char *trouble = NULL;

        if (content->kind != SERVE_CONTENT_MANIFEST)
            continue;
        trouble = trouble_of(content);
        if (!trouble)
            continue;
        content->kind = SERVE_CONTENT_INCOMPLETE;
        if (count++ < WARNINGS_MAX)
            mir_log(store->options->sink, MIR_LEVEL_WARN, "%s: image %s is not served: %s",
                    bundle_reader_path(content->reader), content->blob->digest.text, trouble);
    }
    if (count > WARNINGS_MAX)
        mir_log(store->options->sink, MIR_LEVEL_WARN, "%zu more images are not served",
                count - WARNINGS_MAX);
}

bool serve_store_settle(struct serve_store *store, struct mir_error *err)
{
    if (store->options->verify == SERVE_VERIFY_NONE)
        return true;
    if (!prove_all(store, err))
        return false;
    withdraw_incomplete(store);
    return true;
}
