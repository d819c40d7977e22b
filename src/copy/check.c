/*
 * Which images are complete. After the manifests are read, an image is sound when everything below
 * its root was loaded and has the size its parent promised; otherwise it fails here, before
 * anything is moved, and the others go on.
 */
#include <inttypes.h>

#include "base/buf.h"
#include "base/mem.h"
#include "copy/copy_priv.h"

/* Shared parts make paths longer than the nesting of any one image; still bounded. */
#define PATH_MAX_NODES 64

static bool broken(struct copy_manifest *node, const struct mir_error *by)
{
    node->check = COPY_CHECK_BROKEN;
    node->broken_by = by;
    return false;
}

static bool own_error(struct copy_manifest *node, enum mir_code code, const char *text)
{
    node->error = mir_alloc(sizeof(*node->error));
    (void)mir_fail(node->error, code, "manifest %s: %s", node->digest.text, text);
    return broken(node, node->error);
}

static bool has_promised_size(const struct copy_child *child, char *text, size_t text_max)
{
    if (child->size == child->manifest->len)
        return true;
    (void)snprintf(text, text_max, "says %s has %" PRIu64 " bytes, and it has %zu",
                   child->manifest->digest.text, child->size, child->manifest->len);
    return false;
}

static bool check_node(struct copy_manifest *node, unsigned depth)
{
    char text[256];

    if (node->check != COPY_CHECK_NONE)
        return node->check == COPY_CHECK_SOUND;
    if (node->error)
        return broken(node, node->error);
    if (depth > PATH_MAX_NODES)
        return own_error(node, MIR_E_LIMIT, "nested too deeply");
    for (size_t i = 0; i < node->child_count; i++) {
        const struct copy_child *child = &node->children[i];

        if (!check_node(child->manifest, depth + 1))
            return broken(node, child->manifest->broken_by);
        if (!has_promised_size(child, text, sizeof(text)))
            return own_error(node, MIR_E_DIGEST, text);
    }
    node->check = COPY_CHECK_SOUND;
    return true;
}

static bool add_size(uint64_t *sum, uint64_t size)
{
    return !__builtin_add_overflow(*sum, size, sum);
}

struct sizes {
    uint64_t bytes;
    uint64_t apart; /* as if no two manifests shared a blob */
    size_t manifests, blobs;
    size_t blobs_left_out; /* by bundles among the sources */
    uint64_t bytes_left_out;
    size_t leaves; /* manifests that are no index */
    bool overflow;
};

static void size_manifest(void *ctx, struct copy_manifest *manifest)
{
    struct sizes *sizes = ctx;

    sizes->manifests++;
    sizes->leaves += !manifest->is_index;
    sizes->overflow |= !add_size(&sizes->bytes, manifest->len);
    sizes->overflow |= !add_size(&sizes->apart, manifest->len);
    for (size_t i = 0; i < manifest->blob_count; i++)
        sizes->overflow |= !add_size(&sizes->apart, manifest->blobs[i]->size);
}

static void size_blob(void *ctx, struct copy_blob *blob)
{
    struct sizes *sizes = ctx;

    sizes->blobs++;
    if (blob->left_out) {
        sizes->blobs_left_out++;
        sizes->overflow |= !add_size(&sizes->bytes_left_out, blob->size);
    }
    sizes->overflow |= !add_size(&sizes->bytes, blob->size);
}

static void walk(struct copy *copy, struct copy_image *image, struct sizes *sizes)
{
    const struct copy_visitor visitor = {
        .manifest = size_manifest, .blob = size_blob, .ctx = sizes};

    copy_graph_walk(&copy->graph, image->root, &visitor);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The platforms asked for, sorted, so that the order of flags changes no byte; the caller frees. */
static char *platforms_text(const struct copy_image *image)
{
    auto_free char(*names)[IMG_PLATFORM_TEXT_MAX] =
        mir_alloc_array(image->want_count, sizeof(*names));
    auto_buf text;

    for (size_t i = 0; i < image->want_count; i++)
        (void)img_platform_format(&image->wants[i], names[i]);
    qsort(names, image->want_count, sizeof(*names), by_text);
    mir_buf_init(&text, image->want_count * IMG_PLATFORM_TEXT_MAX);
    for (size_t i = 0; i < image->want_count; i++)
        if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
            mir_buf_printf(&text, "%s%s", i > 0 ? "," : "", names[i]);
    return mir_buf_take(&text);
}

bool copy_is_cut(const struct copy_manifest *node)
{
    if (node->is_sparse)
        return true;
    for (size_t i = 0; i < node->child_count; i++)
        if (copy_is_cut(node->children[i].manifest))
            return true;
    return false;
}

static bool check_platforms(struct copy_image *image, const struct sizes *sizes,
                            struct mir_error *err)
{
    auto_free char *wanted = NULL;

    if (!copy_is_cut(image->root))
        return true;
    wanted = platforms_text(image);
    if (sizes->leaves == 0 && sizes->blobs == 0) {
        (void)mir_fail(err, MIR_E_NOT_FOUND, "no manifest for platform %s", wanted);
        return mir_hint(err, "\"mirror inspect %s\" lists the platforms", image->asked);
    }
    image->platforms = mir_steal(&wanted);
    return true;
}

static bool check_image(struct copy *copy, struct copy_image *image, struct mir_error *err)
{
    struct sizes sizes = {0};

    if (!check_node(image->root, 0)) {
        *err = *image->root->broken_by;
        return false;
    }
    copy_graph_begin_walk(&copy->graph);
    walk(copy, image, &sizes);
    if (sizes.overflow)
        return mir_fail(err, MIR_E_LIMIT, "the sizes in its manifests add up to nonsense");
    image->bytes = sizes.bytes;
    image->apart = sizes.apart;
    return check_platforms(image, &sizes, err);
}

void copy_add_up(struct copy *copy)
{
    struct sizes all = {0};
    uint64_t apart = 0;

    copy_graph_begin_walk(&copy->graph);
    for (size_t i = 0; i < copy->image_count; i++) {
        if (!copy_image_is_planned(copy->images[i]))
            continue;
        walk(copy, copy->images[i], &all);
        if (!add_size(&apart, copy->images[i]->apart))
            apart = UINT64_MAX;
    }
    copy->totals.manifests = all.manifests;
    copy->totals.blobs = all.blobs;
    copy->totals.bytes = all.bytes;
    copy->totals.shared = apart - all.bytes;
    /* A layout has what its sources leave out, or there is an error; --since counts for itself. */
    if (copy_goes_to_registry(copy)) {
        copy->totals.blobs_left_out = all.blobs_left_out;
        copy->totals.bytes_left_out = all.bytes_left_out;
    }
}

void copy_check(struct copy *copy)
{
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];
        struct mir_error err = MIR_ERROR_INIT;

        if (copy_image_is_planned(image) && !check_image(copy, image, &err))
            copy_image_fail(copy, image, &err);
        if (image->outcome == COPY_OUTCOME_PRESENT && image->root)
            image->is_known = check_node(image->root, 0);
    }
}
