/*
 * Following every image of a bundle to all it refers to. Called by verify.c after every blob was
 * hashed, in one thread.
 *
 * A manifest is visited once for each choice of platforms and each depth it is reached with, so
 * shared and even maliciously woven indexes cost little more than there are manifests.
 */
#include "bundle/verify_priv.h"

#include <inttypes.h>

#include "base/map.h"
#include "base/mem.h"
#include "image/manifest.h"

#define PLATFORMS_MAX 64

struct walk {
    struct bundle_check *check;
    const char *image;     /* what problems call it */
    const char *platforms; /* the annotation, "" without one */
    struct img_platform wants[PLATFORMS_MAX];
    size_t want_count;
    struct mir_map
        *visited; /* "DIGEST" of what was read, "DIGEST DEPTH PLATFORMS" of what was followed */
};

static void visit(struct walk *walk, const struct img_descriptor *descriptor, unsigned depth);

/* ---- one blob ---- */

/* Is it there, with its size, and sound? Says what is not. parent is NULL for the image itself. */
static bool check_blob(struct walk *walk, const struct img_descriptor *descriptor,
                       const struct img_digest *parent, const char *role)
{
    const struct bundle_reader *reader = walk->check->reader;
    const struct bundle_entry *entry = bundle_reader_entry(reader, &descriptor->digest);
    const char *in = parent ? parent->text : "", *colon = parent ? ": " : "";
    size_t index;

    if (!entry) {
        bundle_check_problem(walk->check, "image %s: %s%s%s %s is missing", walk->image, in, colon,
                             role, descriptor->digest.text);
        return false;
    }
    index = (size_t)(entry - reader->entries);
    walk->check->used[index] = true;
    if (walk->check->trouble[index]) {
        bundle_check_problem(walk->check, "image %s: %s%s%s %s %s", walk->image, in, colon, role,
                             descriptor->digest.text, walk->check->trouble[index]);
        return false;
    }
    if (entry->blob.size != descriptor->size) {
        bundle_check_problem(walk->check,
                             "image %s: %s%s%s %s has %" PRIu64 " bytes, not the %" PRIu64
                             " it was announced with",
                             walk->image, in, colon, role, descriptor->digest.text,
                             entry->blob.size, descriptor->size);
        return false;
    }
    return true;
}

/* A config or layer, which a differential may leave out. */
static void check_part(struct walk *walk, const struct img_descriptor *descriptor,
                       const struct img_digest *parent, const char *role)
{
    const struct bundle_left_out *entry =
        bundle_reader_leaves_out(walk->check->reader, &descriptor->digest);
    auto_free char *trouble = NULL;

    if (!entry) {
        (void)check_blob(walk, descriptor, parent, role);
        return;
    }
    trouble = bundle_check_left_out(walk->check, entry, descriptor->size);
    if (trouble)
        bundle_check_problem(walk->check, "image %s: %s: %s %s %s", walk->image, parent->text, role,
                             descriptor->digest.text, trouble);
}

/* ---- manifests ---- */

static void visit_image(struct walk *walk, const struct img_digest *digest,
                        const struct img_manifest *manifest)
{
    check_part(walk, &manifest->config, digest, "config");
    for (size_t i = 0; i < manifest->layer_count; i++) {
        const struct img_descriptor *layer = &manifest->layers[i];
        char role[48];

        if (img_type_is_nondistributable(layer->media_type) &&
            !bundle_reader_find(walk->check->reader, &layer->digest))
            continue;
        (void)snprintf(role, sizeof(role), "layer %zu,", i + 1);
        check_part(walk, layer, digest, role);
    }
}

/* An index may list things that are no manifests; they are not read as such. */
static bool is_blob(const struct img_descriptor *child)
{
    return child->media_type[0] != '\0' && !img_type_is_index(child->media_type) &&
           !img_type_is_manifest(child->media_type) && !img_type_is_schema1(child->media_type);
}

static void visit_index(struct walk *walk, const struct img_digest *digest,
                        const struct img_manifest *index, unsigned depth)
{
    auto_free bool *keep = mir_alloc_array(index->child_count, sizeof(*keep));

    img_manifest_select(index, walk->wants, walk->want_count, keep);
    for (size_t i = 0; i < index->child_count; i++) {
        const struct img_descriptor *child = &index->children[i];

        if (!keep[i])
            continue;
        if (is_blob(child))
            check_part(walk, child, digest, "blob");
        else if (check_blob(walk, child, digest, "manifest"))
            visit(walk, child, depth + 1);
    }
}

/* Has this text been seen before? From now on it has. */
static bool is_first(struct walk *walk, const char *text)
{
    if (mir_map_find(walk->visited, mir_span_of(text)))
        return false;
    mir_map_set(walk->visited, mir_span_of(text), walk);
    return true;
}

/* Depth counts: what is fine here may be too deep elsewhere. */
static bool is_first_visit(struct walk *walk, const struct img_digest *digest, unsigned depth)
{
    auto_free char *key = mir_format("%s %u %s", digest->text, depth, walk->platforms);

    return is_first(walk, key);
}

/* Read a manifest that is there and sound, and go on to what it refers to. */
static void visit(struct walk *walk, const struct img_descriptor *descriptor, unsigned depth)
{
    auto_free char *bytes = NULL;
    auto_manifest manifest = {.media_type = NULL};
    struct mir_error err = MIR_ERROR_INIT;
    const struct img_digest *digest = &descriptor->digest;
    size_t len;

    if (!is_first_visit(walk, digest, depth))
        return;
    if (depth > IMG_NESTING_MAX) {
        bundle_check_problem(walk->check, "image %s: %s: indexes are nested deeper than %d",
                             walk->image, digest->text, IMG_NESTING_MAX);
        return;
    }
    if (!bundle_reader_load(walk->check->reader, digest, IMG_MANIFEST_BYTES_MAX, &bytes, &len,
                            &err) ||
        !img_manifest_parse(mir_span(bytes, len), descriptor->media_type, &manifest, &err)) {
        bundle_check_problem(walk->check, "image %s: manifest %s: %s", walk->image, digest->text,
                             err.text);
        return;
    }
    if (is_first(walk, digest->text))
        walk->check->totals->manifests++;
    switch (manifest.kind) {
    case IMG_MANIFEST_KIND_IMAGE:
        visit_image(walk, digest, &manifest);
        return;
    case IMG_MANIFEST_KIND_INDEX:
        visit_index(walk, digest, &manifest, depth);
        return;
    }
}

/* ---- images ---- */

static bool parse_platforms(struct walk *walk, struct mir_error *err)
{
    struct mir_span rest = mir_span_of(walk->platforms), piece;

    walk->want_count = 0;
    while (mir_span_next(&rest, ',', &piece)) {
        if (walk->want_count == PLATFORMS_MAX)
            return mir_fail(err, MIR_E_LIMIT, "more than %d platforms", PLATFORMS_MAX);
        if (!img_platform_parse(piece, &walk->wants[walk->want_count], err))
            return false;
        walk->want_count++;
    }
    return true;
}

static void walk_image(struct walk *walk, const struct bundle_image *image)
{
    struct img_descriptor descriptor = {.digest = image->digest, .size = image->size};
    auto_free char *media_type = mir_strdup(image->media_type);
    struct mir_error err = MIR_ERROR_INIT;

    descriptor.media_type = media_type;
    walk->platforms = image->platforms ? image->platforms : "";
    if (!parse_platforms(walk, &err)) {
        bundle_check_problem(walk->check,
                             "image %s: annotation " BUNDLE_ANNOTATION_PLATFORMS ": %s",
                             walk->image, err.text);
        return;
    }
    if (check_blob(walk, &descriptor, NULL, "manifest"))
        visit(walk, &descriptor, 0);
}

bool bundle_check_images(struct bundle_check *check, struct mir_error *err)
{
    auto_map *visited = mir_map_new();
    struct walk walk = {.check = check, .visited = visited};

    for (size_t i = 0; i < check->reader->names.count; i++) {
        const struct bundle_image *image = &check->reader->names.images[i];
        auto_free char *number = mir_format("@%zu", i);

        if (mir_is_cancelled(check->sink->cancel))
            return mir_fail(err, MIR_E_CANCELLED, "verify %s: cancelled", check->reader->path);
        walk.image = image->name ? image->name : number;
        walk_image(&walk, image);
    }
    return true;
}
