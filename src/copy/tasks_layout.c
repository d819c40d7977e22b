/*
 * What has to be done for a bundle or a layout directory: its plan, and a task for every file in
 * it. The order of files is fixed here: images by name, then manifests, configs, layers, each in
 * order of first use; so the same images give the same bytes however they were asked for.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "copy/copy_priv.h"
#include "copy/left_out.h"
#include "copy/since.h"

struct files {
    struct copy_manifest **manifests;
    size_t manifest_count, manifest_capacity;
    struct copy_blob **configs;
    size_t config_count, config_capacity;
    struct copy_blob **layers;
    size_t layer_count, layer_capacity;
};

static void files_release(struct files *files)
{
    free(files->manifests);
    free(files->configs);
    free(files->layers);
}

static void collect_manifest(void *ctx, struct copy_manifest *manifest)
{
    struct files *files = ctx;

    mir_grow(&files->manifests, files->manifest_count, &files->manifest_capacity,
             sizeof(struct copy_manifest *));
    files->manifests[files->manifest_count++] = manifest;
}

static void collect_blob(void *ctx, struct copy_blob *blob)
{
    struct files *files = ctx;

    if (blob->is_config) {
        mir_grow(&files->configs, files->config_count, &files->config_capacity,
                 sizeof(struct copy_blob *));
        files->configs[files->config_count++] = blob;
    } else {
        mir_grow(&files->layers, files->layer_count, &files->layer_capacity,
                 sizeof(struct copy_blob *));
        files->layers[files->layer_count++] = blob;
    }
}

static const char *bundle_name(const struct copy_image *image)
{
    return image->name ? image->name : image->pinned;
}

/* Those with all their platforms first. */
static int by_platforms(const struct copy_image *left, const struct copy_image *right)
{
    if (!left->platforms || !right->platforms)
        return (left->platforms != NULL) - (right->platforms != NULL);
    return strcmp(left->platforms, right->platforms);
}

static int by_name(const void *a, const void *b)
{
    const struct copy_image *const *left = a, *const *right = b;
    int order = strcmp(bundle_name(*left), bundle_name(*right));

    return order != 0 ? order : by_platforms(*left, *right);
}

/* The images to be written, sorted. Those of one name stand together and have one place in the
 * plan; they differ, if at all, in the platforms that two bundles have of one index. */
static struct copy_image **sorted_images(struct copy *copy, size_t *count)
{
    struct copy_image **images = mir_alloc_array(copy->image_count, sizeof(struct copy_image *));
    size_t found = 0, names = 0;

    for (size_t i = 0; i < copy->image_count; i++)
        if (copy_image_is_planned(copy->images[i]))
            images[found++] = copy->images[i];
    qsort(images, found, sizeof(struct copy_image *), by_name);
    for (size_t i = 0; i < found; i++) {
        if (i == 0 || strcmp(bundle_name(images[i - 1]), bundle_name(images[i])) != 0)
            names++;
        images[i]->planned = names - 1;
    }
    *count = found;
    return images;
}

/* ---- platforms that several bundles have of one image ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Both lists as one, in the order that check.c gives each. The caller frees. */
static char *unite_lists(const char *a, const char *b)
{
    auto_free char *both = mir_format("%s,%s", a, b);
    auto_free char **parts = mir_alloc_array(strlen(both) + 1, sizeof(*parts));
    struct mir_span rest = mir_span_of(both), one;
    auto_buf text;
    size_t count = 0;

    while (mir_span_next(&rest, ',', &one))
        parts[count++] = mir_strndup(one.ptr, one.len);
    qsort(parts, count, sizeof(*parts), by_text);
    mir_buf_init(&text, strlen(both) + 1);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(parts[i - 1], parts[i]) != 0)
            mir_buf_printf(&text, "%s%s", i > 0 ? "," : "", parts[i]);
    for (size_t i = 0; i < count; i++)
        free(parts[i]);
    return mir_buf_take(&text);
}

/* Put what another image of the same name has into the list of the first; there is none where they
 * have all there is. */
static void unite_platforms(struct copy_image *first, const struct copy_image *other)
{
    char *both = NULL;

    if (first->platforms && other->platforms && copy_is_cut(first->root))
        both = unite_lists(first->platforms, other->platforms);
    free(first->platforms);
    first->platforms = both;
}

static const struct copy_child *child_of(const struct copy_manifest *index,
                                         const struct img_digest *digest)
{
    for (size_t i = 0; i < index->child_count; i++)
        if (img_digest_equal(&index->children[i].manifest->digest, digest))
            return &index->children[i];
    return NULL;
}

/* Give a node the children that another of the same bytes has, in the order that these bytes list
 * them: so the files come in the order of an index that was taken with all its platforms at once.
 * Depth is that of the indexes, which is bounded. */
static void unite_nodes(struct copy_manifest *into, const struct copy_manifest *from)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* they were read before */
    auto_manifest view = {0};
    struct copy_child *children;
    size_t count = 0;

    if (into == from || !into->is_index ||
        !img_manifest_parse(mir_span(into->bytes, into->len), into->media_type, &view, &ignored))
        return;
    children = mir_alloc_array(view.child_count + 1, sizeof(*children));
    for (size_t i = 0; i < view.child_count; i++) {
        const struct copy_child *ours = child_of(into, &view.children[i].digest);
        const struct copy_child *theirs = child_of(from, &view.children[i].digest);

        if (ours && theirs)
            unite_nodes(ours->manifest, theirs->manifest);
        if (ours || theirs)
            children[count++] = ours ? *ours : *theirs;
    }
    free(into->children);
    into->children = children;
    into->child_count = count;
    into->is_sparse = count + into->blob_count < view.child_count;
}

static void unite_images(struct copy_image *const *images, size_t count)
{
    const struct copy_image *first = NULL;

    for (size_t i = 0; i < count; i++) {
        if (first && first->planned == images[i]->planned)
            unite_nodes(first->root, images[i]->root);
        else
            first = images[i];
    }
}

static void collect(struct copy *copy, struct copy_image *const *images, size_t count,
                    struct files *files)
{
    const struct copy_visitor visitor = {
        .manifest = collect_manifest, .blob = collect_blob, .ctx = files};

    copy_graph_begin_walk(&copy->graph);
    for (size_t i = 0; i < count; i++)
        copy_graph_walk(&copy->graph, images[i]->root, &visitor);
}

struct layout {
    struct bundle_blob *blobs;
    size_t count;
    struct mir_map *manifests; /* digest -> &blobs[i]: one may occur in several cuts, or as a blob;
                                  blobs are unique by themselves */
};

static struct bundle_blob *find_placed(const struct layout *layout, const struct img_digest *digest)
{
    return mir_map_find(layout->manifests, mir_span_of(digest->text));
}

static struct bundle_blob *append(struct layout *layout, const struct img_digest *digest,
                                  uint64_t size)
{
    struct bundle_blob *added = &layout->blobs[layout->count++];

    *added = (struct bundle_blob){.digest = *digest, .size = size};
    return added;
}

static void place_manifest(struct copy *copy, struct layout *layout, struct copy_manifest *manifest)
{
    struct bundle_blob *known = find_placed(layout, &manifest->digest);

    if (!known) {
        known = append(layout, &manifest->digest, manifest->len);
        mir_map_set(layout->manifests, mir_span_of(known->digest.text), known);
        copy_task_new(copy, COPY_TASK_MANIFEST)->manifest = manifest;
    }
    manifest->planned = (size_t)(known - layout->blobs);
}

static void place_blob(struct copy *copy, struct layout *layout, struct copy_blob *blob)
{
    struct bundle_blob *known = find_placed(layout, &blob->digest);

    /* A manifest that something else refers to as its blob is there in any case. */
    if (!known && copy_since_leave_out(copy->since, blob))
        return;
    if (!known) {
        struct copy_task *task = copy_task_new(copy, COPY_TASK_BLOB);

        known = append(layout, &blob->digest, blob->size);
        task->blob = blob;
        task->moves = true;
    }
    blob->planned = (size_t)(known - layout->blobs);
}

static void place_files(struct copy *copy, struct layout *layout, const struct files *files)
{
    for (size_t i = 0; i < files->manifest_count; i++)
        place_manifest(copy, layout, files->manifests[i]);
    for (size_t i = 0; i < files->config_count; i++)
        place_blob(copy, layout, files->configs[i]);
    for (size_t i = 0; i < files->layer_count; i++)
        place_blob(copy, layout, files->layers[i]);
}

static void name_images(struct copy *copy, struct copy_image *const *images, size_t count)
{
    struct copy_image *first = NULL;

    copy->planned_images = mir_alloc_array(count, sizeof(*copy->planned_images));
    for (size_t i = 0; i < count; i++) {
        struct copy_image *image = images[i];

        if (first && first->planned == image->planned)
            unite_platforms(first, image);
        else
            first = image;
        copy->planned_image_count = image->planned + 1;
        copy->planned_images[image->planned] =
            (struct bundle_image){.name = bundle_name(first),
                                  .media_type = first->root->media_type,
                                  .digest = first->root->digest,
                                  .size = first->root->len,
                                  .platforms = first->platforms};
    }
}

static void count_fetches(struct copy *copy)
{
    for (size_t i = 0; i < copy->task_count; i++) {
        const struct copy_task *task = copy->tasks[i];
        const struct img_digest *digest =
            task->kind == COPY_TASK_BLOB ? &task->blob->digest : &task->manifest->digest;
        const struct bundle_blob *there =
            copy->standing ? bundle_reader_find(copy->standing, digest) : NULL;

        if (there)
            copy->totals.bytes_present += there->size;
        else if (task->kind == COPY_TASK_BLOB && !task->blob->origin->reader)
            copy->totals.requests++;
    }
}

static void count_left_out(struct copy *copy, const struct bundle_base *base)
{
    for (size_t i = 0; base && i < base->count; i++) {
        copy->totals.blobs_left_out++;
        copy->totals.bytes_left_out += base->blobs[i].size;
    }
}

static bool count_disk(struct copy *copy, struct mir_error *err)
{
    if (copy->destination.form == BUNDLE_FORM_PIPE)
        return true;
    copy->totals.disk = copy->destination.form == BUNDLE_FORM_TAR
                            ? bundle_plan_bytes(copy->bundle_plan)
                            : copy->totals.bytes - copy->totals.bytes_present;
    return copy->options.volume_bytes == 0 ||
           bundle_plan_volumes(copy->bundle_plan, copy->options.volume_bytes, &copy->totals.volumes,
                               err);
}

bool copy_tasks_for_layout(struct copy *copy, struct mir_error *err)
{
    __attribute__((cleanup(files_release))) struct files files = {0};
    auto_free struct copy_image **images = NULL;
    auto_map *manifests = mir_map_new_borrowing();
    struct layout layout = {.manifests = manifests};
    const struct bundle_base *base;
    size_t count;

    images = sorted_images(copy, &count);
    unite_images(images, count);
    collect(copy, images, count, &files);
    layout.blobs = mir_alloc_array(files.manifest_count + files.config_count + files.layer_count,
                                   sizeof(*layout.blobs));
    place_files(copy, &layout, &files);
    copy->planned_blobs = layout.blobs;
    copy->planned_blob_count = layout.count;
    name_images(copy, images, count);
    base = copy_since_base(copy->since);
    if (!copy_left_out_check(copy, err) ||
        !bundle_plan_new_since(copy->planned_images, copy->planned_image_count, copy->planned_blobs,
                               layout.count, base, copy->options.epoch, &copy->bundle_plan, err))
        return false;
    count_left_out(copy, base);
    count_fetches(copy);
    return count_disk(copy, err);
}
