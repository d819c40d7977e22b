/*
 * The plan of a bundle: what is in it, in which order, at which offset. Called by src/copy before
 * anything is fetched, by the writers, and again when images are dropped. Everything here follows
 * from the arguments, so two plans of the same content are the same file.
 */
#include "bundle/bundle.h"

#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"
#include "bundle/base_priv.h"
#include "bundle/layout_priv.h"
#include "bundle/plan_priv.h"
#include "bundle/tar_priv.h"

/* ---- orders ---- */

/* What a sort of indexes compares; one of the two is set. */
struct items {
    const struct bundle_image *images;
    const struct bundle_blob *blobs;
};

static int compare_images(const void *a, const void *b, void *ctx)
{
    const struct items *items = ctx;

    return bundle_image_compare(&items->images[*(const size_t *)a],
                                &items->images[*(const size_t *)b]);
}

static int compare_blobs(const void *a, const void *b, void *ctx)
{
    const struct items *items = ctx;

    return strcmp(items->blobs[*(const size_t *)a].digest.text,
                  items->blobs[*(const size_t *)b].digest.text);
}

/* 0, 1, 2, ... sorted by what stands at these places; the caller frees. */
static size_t *sorted_indexes(size_t count, int (*compare)(const void *, const void *, void *),
                              struct items items)
{
    size_t *order = mir_alloc_array(count, sizeof(*order));

    for (size_t i = 0; i < count; i++)
        order[i] = i;
    qsort_r(order, count, sizeof(*order), compare, &items);
    return order;
}

/* ---- what must hold of the arguments ---- */

static bool names_are_unique(const struct bundle_plan *plan, struct mir_error *err)
{
    for (size_t i = 1; i < plan->image_count; i++) {
        const struct bundle_image *a = &plan->images[plan->image_order[i - 1]];
        const struct bundle_image *b = &plan->images[plan->image_order[i]];

        if (a->name && b->name && strcmp(a->name, b->name) == 0)
            return mir_fail(err, MIR_E_CONFLICT, "two images are named %s: %s and %s", a->name,
                            a->digest.text, b->digest.text);
        if (!a->name && !b->name && img_digest_equal(&a->digest, &b->digest))
            return mir_fail(err, MIR_E_CONFLICT, "the image %s, without a name, is there twice",
                            a->digest.text);
    }
    return true;
}

static bool find_sorted(const struct bundle_plan *plan, const size_t *order,
                        const struct img_digest *digest, const struct bundle_blob **out)
{
    size_t low = 0, high = plan->blob_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct bundle_blob *blob = &plan->blobs[order[middle]];
        int difference = strcmp(digest->text, blob->digest.text);

        if (difference == 0) {
            *out = blob;
            return true;
        }
        if (difference < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static bool images_have_manifests(const struct bundle_plan *plan, const size_t *order,
                                  struct mir_error *err)
{
    for (size_t i = 0; i < plan->image_count; i++) {
        const struct bundle_image *image = &plan->images[i];
        const char *name = image->name ? image->name : image->digest.text;
        const struct bundle_blob *blob;

        if (!find_sorted(plan, order, &image->digest, &blob))
            return mir_fail(err, MIR_E_NOT_FOUND, "image %s: its manifest %s is not in the plan",
                            name, image->digest.text);
        if (blob->size != image->size)
            return mir_fail(err, MIR_E_CONFLICT,
                            "image %s: its manifest %s has two sizes, %" PRIu64 " and %" PRIu64,
                            name, image->digest.text, image->size, blob->size);
    }
    return true;
}

static bool check_blobs(const struct bundle_plan *plan, struct mir_error *err)
{
    auto_free size_t *order =
        sorted_indexes(plan->blob_count, compare_blobs, (struct items){.blobs = plan->blobs});

    for (size_t i = 1; i < plan->blob_count; i++)
        if (img_digest_equal(&plan->blobs[order[i - 1]].digest, &plan->blobs[order[i]].digest))
            return mir_fail(err, MIR_E_CONFLICT, "the blob %s is in the plan twice",
                            plan->blobs[order[i]].digest.text);
    return images_have_manifests(plan, order, err);
}

static bool check_base(const struct bundle_plan *plan, struct mir_error *err)
{
    assert(bundle_base_is_sorted(plan->base));
    for (size_t i = 0; i < plan->blob_count; i++)
        if (bundle_base_find(plan->base, &plan->blobs[i].digest))
            return mir_fail(err, MIR_E_CONFLICT, "the blob %s is in the plan and left out",
                            plan->blobs[i].digest.text);
    return true;
}

/* ---- offsets ---- */

/* Put a file at the end of the plan: *at is where its header goes, and then where the next goes. */
static bool place(const char *name, uint64_t size, int64_t epoch, uint64_t *at, uint64_t *offset,
                  struct mir_error *err)
{
    auto_buf header;
    uint64_t end;

    mir_buf_init(&header, BUNDLE_TAR_HEADER_MAX);
    if (!bundle_tar_header(name, size, epoch, &header, err))
        return false;
    *offset = *at + header.len;
    if (__builtin_add_overflow(*offset, size, &end) || end > INT64_MAX - BUNDLE_TAR_HEADER_MAX)
        return mir_fail(err, MIR_E_LIMIT,
                        "the bundle is too large for a file: %s of %" PRIu64 " bytes does not fit",
                        name, size);
    *at = end + bundle_tar_padding(size);
    return true;
}

static bool place_all(struct bundle_plan *plan, struct mir_error *err)
{
    char path[BUNDLE_PATH_MAX];
    uint64_t at = 0;

    if (!place(BUNDLE_LAYOUT_NAME, strlen(BUNDLE_LAYOUT_TEXT), plan->epoch, &at,
               &plan->layout_offset, err))
        return false;
    if (!place(BUNDLE_INDEX_NAME, plan->index_len, plan->epoch, &at, &plan->index_offset, err))
        return false;
    if (plan->base_text &&
        !place(BUNDLE_BASE_FILE, plan->base_len, plan->epoch, &at, &plan->base_offset, err))
        return false;
    for (size_t i = 0; i < plan->blob_count; i++) {
        const struct bundle_blob *blob = &plan->blobs[i];

        if (!place(bundle_blob_path(&blob->digest, path), blob->size, plan->epoch, &at,
                   &plan->blob_offsets[i], err))
            return false;
    }
    plan->bytes = at + BUNDLE_TAR_END;
    return true;
}

/* ---- the public side ---- */

static void free_plan(struct bundle_plan **plan)
{
    bundle_plan_free(*plan);
}

/* The texts in front of the blobs. */
static bool write_texts(struct bundle_plan *plan, struct mir_error *err)
{
    if (!bundle_index_format(plan->images, plan->image_order, plan->image_count, &plan->index,
                             &plan->index_len, err))
        return false;
    if (!plan->base)
        return true;
    return check_base(plan, err) &&
           bundle_base_format(plan->base, &plan->base_text, &plan->base_len, err);
}

bool bundle_plan_new(const struct bundle_image *images, size_t image_count,
                     const struct bundle_blob *blobs, size_t blob_count, int64_t epoch,
                     struct bundle_plan **out, struct mir_error *err)
{
    return bundle_plan_new_since(images, image_count, blobs, blob_count, NULL, epoch, out, err);
}

bool bundle_plan_new_since(const struct bundle_image *images, size_t image_count,
                           const struct bundle_blob *blobs, size_t blob_count,
                           const struct bundle_base *base, int64_t epoch, struct bundle_plan **out,
                           struct mir_error *err)
{
    __attribute__((cleanup(free_plan))) struct bundle_plan *plan = mir_alloc(sizeof(*plan));

    plan->images = images;
    plan->image_count = image_count;
    plan->blobs = blobs;
    plan->blob_count = blob_count;
    plan->base = base && base->count > 0 ? base : NULL;
    plan->epoch = epoch;
    if (image_count > BUNDLE_IMAGES_MAX || blob_count > BUNDLE_ENTRIES_MAX - 3)
        return mir_fail(err, MIR_E_LIMIT,
                        "%zu images with %zu blobs are over the limit of a bundle"
                        " (%d and %d)",
                        image_count, blob_count, BUNDLE_IMAGES_MAX, BUNDLE_ENTRIES_MAX - 3);
    plan->image_order =
        sorted_indexes(image_count, compare_images, (struct items){.images = images});
    plan->blob_offsets = mir_alloc_array(blob_count, sizeof(*plan->blob_offsets));
    if (!names_are_unique(plan, err) || !check_blobs(plan, err) || !write_texts(plan, err) ||
        !place_all(plan, err))
        return false;
    *out = mir_steal(&plan);
    return true;
}

void bundle_plan_free(struct bundle_plan *plan)
{
    if (!plan)
        return;
    free(plan->image_order);
    free(plan->blob_offsets);
    free(plan->index);
    free(plan->base_text);
    free(plan);
}

uint64_t bundle_plan_bytes(const struct bundle_plan *plan)
{
    return plan->bytes;
}
