/*
 * Comparing two sets of images. Names are matched first, then the content is walked twice: the new
 * set to see what of it the old one has, the old one to see what is gone.
 */
#include "copy/diff.h"

#include <string.h>

#include "base/mem.h"
#include "copy/copy_priv.h"

/* ---- names ---- */

/* What a person calls the image: a bundle's own name for it, without the digest where there is a
 * tag, so that a tag that moved is one change. The caller frees. */
static char *name_of(const struct copy_image *image)
{
    const struct img_ref *source = &image->source;
    auto_free char *repo = img_ref_format_repo(source);

    if (image->label)
        return mir_strdup(image->label);
    if (source->tag)
        return mir_format("%s:%s", repo, source->tag);
    return mir_format("%s@%s", repo, source->digest.text);
}

static struct mir_map *images_by_name(const struct copy *copy)
{
    struct mir_map *map = mir_map_new();

    for (size_t i = 0; i < copy->image_count; i++) {
        auto_free char *name = name_of(copy->images[i]);

        mir_map_set(map, mir_span_of(name), copy->images[i]);
    }
    return map;
}

static void add_change(struct copy_difference *out, size_t *capacity, const char *name,
                       const struct copy_image *from, const struct copy_image *to)
{
    mir_grow(&out->changes, out->change_count, capacity, sizeof(*out->changes));
    out->changes[out->change_count++] =
        (struct copy_change){.name = mir_strdup(name),
                             .from = from ? from->source.digest.text : NULL,
                             .to = to ? to->source.digest.text : NULL};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct copy_change *)a)->name, ((const struct copy_change *)b)->name);
}

/* Of images with one name the last one counts, as it does where they are loaded in order. */
static void compare_names(const struct copy *from, const struct copy *to,
                          struct copy_difference *out)
{
    auto_map *old = images_by_name(from);
    auto_map *new = images_by_name(to);
    size_t capacity = 0;

    for (size_t i = 0; i < to->image_count; i++) {
        auto_free char *name = name_of(to->images[i]);
        const struct copy_image *was = mir_map_find(old, mir_span_of(name));

        if (mir_map_find(new, mir_span_of(name)) != to->images[i])
            continue;
        if (was && img_digest_equal(&was->source.digest, &to->images[i]->source.digest))
            out->same++;
        else
            add_change(out, &capacity, name, was, to->images[i]);
    }
    for (size_t i = 0; i < from->image_count; i++) {
        auto_free char *name = name_of(from->images[i]);

        if (!mir_map_find(new, mir_span_of(name)) &&
            mir_map_find(old, mir_span_of(name)) == from->images[i])
            add_change(out, &capacity, name, from->images[i], NULL);
    }
    if (out->change_count > 0)
        qsort(out->changes, out->change_count, sizeof(*out->changes), by_name);
}

/* ---- content ---- */

/* Digests of one set; the values are the nodes. */
struct content {
    struct mir_map *manifests, *blobs;
};

static void content_release(struct content *content)
{
    mir_map_free(content->manifests);
    mir_map_free(content->blobs);
}
#define auto_content __attribute__((cleanup(content_release))) struct content

static void collect_manifest(void *ctx, struct copy_manifest *manifest)
{
    struct content *content = ctx;

    mir_map_set(content->manifests, mir_span_of(manifest->digest.text), manifest);
}

static void collect_blob(void *ctx, struct copy_blob *blob)
{
    struct content *content = ctx;

    mir_map_set(content->blobs, mir_span_of(blob->digest.text), blob);
}

static void walk(struct copy *copy, const struct copy_visitor *visitor)
{
    copy_graph_begin_walk(&copy->graph);
    for (size_t i = 0; i < copy->image_count; i++)
        if (copy_image_is_planned(copy->images[i]))
            copy_graph_walk(&copy->graph, copy->images[i]->root, visitor);
}

static void collect(struct copy *copy, struct content *out)
{
    const struct copy_visitor visitor = {
        .manifest = collect_manifest, .blob = collect_blob, .ctx = out};

    out->manifests = mir_map_new_borrowing();
    out->blobs = mir_map_new_borrowing();
    walk(copy, &visitor);
}

/* One set seen from the other. */
struct view {
    const struct content *other;
    struct copy_amount *own_manifests, *own_blobs;       /* the other has not got them */
    struct copy_amount *shared_manifests, *shared_blobs; /* both have; NULL: counted already */
};

static void count(struct copy_amount *amount, uint64_t bytes)
{
    if (!amount)
        return;
    amount->count++;
    amount->bytes += bytes;
}

static void view_manifest(void *ctx, struct copy_manifest *manifest)
{
    const struct view *view = ctx;
    bool is_shared = mir_map_find(view->other->manifests, mir_span_of(manifest->digest.text));

    count(is_shared ? view->shared_manifests : view->own_manifests, manifest->len);
}

static void view_blob(void *ctx, struct copy_blob *blob)
{
    const struct view *view = ctx;
    bool is_shared = mir_map_find(view->other->blobs, mir_span_of(blob->digest.text));

    count(is_shared ? view->shared_blobs : view->own_blobs, blob->size);
}

static void look(struct copy *copy, struct view *view)
{
    const struct copy_visitor visitor = {.manifest = view_manifest, .blob = view_blob, .ctx = view};

    walk(copy, &visitor);
}

static void compare_content(struct copy *from, struct copy *to, struct copy_difference *out)
{
    auto_content old = {0};
    auto_content new = {0};

    collect(from, &old);
    collect(to, &new);
    look(to, &(struct view){.other = &old,
                            .own_manifests = &out->manifests.added,
                            .own_blobs = &out->blobs.added,
                            .shared_manifests = &out->manifests.same,
                            .shared_blobs = &out->blobs.same});
    look(from, &(struct view){.other = &new,
                              .own_manifests = &out->manifests.removed,
                              .own_blobs = &out->blobs.removed});
}

void copy_diff(struct copy *from, struct copy *to, struct copy_difference *out)
{
    *out = (struct copy_difference){0};
    compare_names(from, to, out);
    compare_content(from, to, out);
}

void copy_difference_release(struct copy_difference *difference)
{
    for (size_t i = 0; i < difference->change_count; i++)
        free(difference->changes[i].name);
    free(difference->changes);
    *difference = (struct copy_difference){0};
}

static bool is_one_sided(const struct copy_contrast *contrast)
{
    return contrast->added.count > 0 || contrast->removed.count > 0;
}

bool copy_difference_is_empty(const struct copy_difference *difference)
{
    return difference->change_count == 0 && !is_one_sided(&difference->manifests) &&
           !is_one_sided(&difference->blobs);
}

/* ---- JSON ---- */

static json_t *amount_json(const struct copy_amount *amount)
{
    return json_pack("{s:I, s:I}", "count", (json_int_t)amount->count, "bytes",
                     (json_int_t)amount->bytes);
}

static json_t *contrast_json(const struct copy_contrast *contrast)
{
    return json_pack("{s:o, s:o, s:o}", "added", amount_json(&contrast->added), "removed",
                     amount_json(&contrast->removed), "same", amount_json(&contrast->same));
}

static json_t *change_json(const struct copy_change *change)
{
    return json_pack("{s:s, s:s*, s:s*}", "image", change->name, "from", change->from, "to",
                     change->to);
}

json_t *copy_difference_json(const struct copy_difference *difference)
{
    json_t *changes = json_array();

    for (size_t i = 0; i < difference->change_count; i++)
        (void)json_array_append_new(changes, change_json(&difference->changes[i]));
    return json_pack("{s:i, s:o, s:I, s:o, s:o}", "version", 1, "images", changes, "same",
                     (json_int_t)difference->same, "manifests",
                     contrast_json(&difference->manifests), "blobs",
                     contrast_json(&difference->blobs));
}
