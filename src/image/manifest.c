/*
 * Manifests and indexes: from bytes to a view of what has to be brought along. The bytes themselves
 * stay with the caller; nothing is ever written back from this view.
 *
 * What decides the kind is the media type, and the shape has to agree with it: a document that
 * could be read as an image by one program and as an index by another is refused, because then a
 * digest would no longer pin one image.
 */
#include "image/manifest.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/tree.h"
#include "image/json_priv.h"
#include "image/text_priv.h"

#define MEDIA_TYPE_MAX 255

#define TYPE_OCI_ARTIFACT                                                                          \
    "application/vnd.oci.artifact.manifest.v1+json" /* withdrawn before 1.1                        \
                                                     */

#define ANNOTATION_REFERENCE_DIGEST "vnd.docker.reference.digest"
#define ANNOTATION_REFERENCE_TYPE   "vnd.docker.reference.type"

static const char *const manifest_keys[] = {"schemaVersion", "mediaType", "artifactType",
                                            "config",        "layers",    "manifests",
                                            "subject",       "fsLayers",  NULL};

static bool has(const json_t *root, const char *key)
{
    return img_json_find(root, key) != NULL;
}

/* ---- what it is ---- */

static bool refuse_schema1(struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_UNSUPPORTED,
                   "docker schema 1 manifest: its digests do not cover what is pulled");
    return mir_hint(err, "push the image again with a current tool, then mirror the new digest");
}

static bool refuse_old(const json_t *root, const char *type, struct mir_error *err)
{
    const json_t *version = img_json_find(root, "schemaVersion");

    if (img_type_is_schema1(type) || has(root, "fsLayers") ||
        (json_is_integer(version) && json_integer_value(version) == 1))
        return refuse_schema1(err);
    if (strcmp(type, TYPE_OCI_ARTIFACT) == 0) {
        (void)mir_fail(err, MIR_E_UNSUPPORTED,
                       "OCI artifact manifest, a format withdrawn before OCI 1.1");
        return mir_hint(err, "push the artifact again as an OCI image manifest with artifactType");
    }
    if (!json_is_integer(version) || json_integer_value(version) != 2)
        return mir_fail(err, MIR_E_FORMAT, "schemaVersion is not 2");
    return true;
}

/* An image must look like an image and an index like an index, whatever it calls itself. */
static bool check_shape(const json_t *root, const char *type, enum img_manifest_kind *kind,
                        struct mir_error *err)
{
    bool image = has(root, "config") || has(root, "layers");
    bool index = has(root, "manifests");

    if (image && index)
        return mir_fail(err, MIR_E_FORMAT,
                        "both an image (config, layers) and an index (manifests): ambiguous");
    if (img_type_is_index(type) && image)
        return mir_fail(err, MIR_E_FORMAT, "called an index (%s), but has config or layers", type);
    if (img_type_is_manifest(type) && index)
        return mir_fail(err, MIR_E_FORMAT, "called an image (%s), but has manifests", type);
    if (!image && !index && !img_type_is_index(type))
        return mir_fail(err, MIR_E_FORMAT, "neither config and layers nor manifests");
    *kind = image ? IMG_MANIFEST_KIND_IMAGE : IMG_MANIFEST_KIND_INDEX;
    return true;
}

static bool is_known_type(const char *type)
{
    return img_type_is_index(type) || img_type_is_manifest(type) || img_type_is_schema1(type);
}

/* The type inside the bytes wins; then what the caller was told, if that is a type of manifest at
 * all (registries say text/plain, too); "" when neither says. */
static bool find_type(const json_t *root, const char *told, const char **out, struct mir_error *err)
{
    if (!img_json_text(root, "mediaType", MEDIA_TYPE_MAX, out, err))
        return false;
    if ((*out)[0] == '\0' && told && is_known_type(told))
        *out = told;
    return true;
}

static const char *default_type(enum img_manifest_kind kind)
{
    return kind == IMG_MANIFEST_KIND_INDEX ? IMG_TYPE_OCI_INDEX : IMG_TYPE_OCI_MANIFEST;
}

/* ---- what it refers to ---- */

static bool read_list(const json_t *root, const char *key, struct img_descriptor **list,
                      size_t *count, struct mir_error *err)
{
    const json_t *array = img_json_find(root, key);
    size_t total = json_array_size(array);

    if (array && !json_is_array(array))
        return mir_fail(err, MIR_E_FORMAT, "%s is not an array", key);
    if (total > IMG_DESCRIPTORS_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%zu %s; at most %d are allowed", total, key,
                        IMG_DESCRIPTORS_MAX);
    *list = mir_alloc_array(total, sizeof(**list));
    for (size_t i = 0; i < total; i++) {
        if (!img_descriptor_parse(json_array_get(array, i), &(*list)[i], err))
            return mir_context(err, "%s[%zu]", key, i);
        *count = i + 1;
    }
    return true;
}

static bool read_image(const json_t *root, struct img_manifest *out, struct mir_error *err)
{
    const json_t *config = img_json_find(root, "config");

    if (!config)
        return mir_fail(err, MIR_E_FORMAT, "config is missing");
    if (!img_descriptor_parse(config, &out->config, err))
        return mir_context(err, "config");
    return read_list(root, "layers", &out->layers, &out->layer_count, err);
}

static bool read_subject(const json_t *root, struct img_manifest *out, struct mir_error *err)
{
    const json_t *subject = img_json_find(root, "subject");

    if (!subject)
        return true;
    if (!img_descriptor_parse(subject, &out->subject, err))
        return mir_context(err, "subject");
    out->has_subject = true;
    return true;
}

/* What registries show of a manifest in a list of referrers. Nothing here decides what is copied,
 * so a wrong type is no reason to refuse the manifest: it counts as absent. */
static void read_labels(const json_t *root, struct img_manifest *out)
{
    const json_t *annotations = img_json_find(root, "annotations");
    struct mir_error ignored = MIR_ERROR_INIT;
    const char *type = "";

    if (!img_json_text(root, "artifactType", MEDIA_TYPE_MAX, &type, &ignored) || type[0] == '\0')
        type = out->config.media_type ? out->config.media_type : "";
    out->artifact_type = mir_strdup(type);
    if (json_is_object(annotations))
        out->annotations = json_deep_copy(annotations);
}

static bool read_parts(const json_t *root, struct img_manifest *out, struct mir_error *err)
{
    if (!read_subject(root, out, err))
        return false;
    if (out->kind == IMG_MANIFEST_KIND_IMAGE)
        return read_image(root, out, err);
    return read_list(root, "manifests", &out->children, &out->child_count, err);
}

static bool read_root(const json_t *root, const char *told, struct img_manifest *out,
                      struct mir_error *err)
{
    const char *type;

    if (!json_is_object(root))
        return mir_fail(err, MIR_E_FORMAT, "not a JSON object");
    if (!img_json_check_case(root, manifest_keys, err) || !find_type(root, told, &type, err) ||
        !refuse_old(root, type, err) || !check_shape(root, type, &out->kind, err))
        return false;
    out->media_type = mir_strdup(type[0] ? type : default_type(out->kind));
    if (!read_parts(root, out, err))
        return false;
    read_labels(root, out);
    return true;
}

bool img_manifest_parse(struct mir_span bytes, const char *type, struct img_manifest *out,
                        struct mir_error *err)
{
    auto_manifest parsed = {.media_type = NULL};
    auto_json *root = NULL;

    if (bytes.len > IMG_MANIFEST_BYTES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "manifest of %zu bytes; at most %u are allowed",
                        bytes.len, IMG_MANIFEST_BYTES_MAX);
    if (!mir_json_parse(bytes, "manifest", &root, err))
        return false;
    if (!read_root(root, type, &parsed, err))
        return mir_context(err, "manifest");
    *out = parsed;
    parsed = (struct img_manifest){.media_type = NULL};
    return true;
}

static void release_list(struct img_descriptor *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        img_descriptor_release(&list[i]);
    free(list);
}

void img_manifest_release(struct img_manifest *manifest)
{
    free(manifest->media_type);
    free(manifest->artifact_type);
    json_decref(manifest->annotations);
    img_descriptor_release(&manifest->config);
    img_descriptor_release(&manifest->subject);
    release_list(manifest->layers, manifest->layer_count);
    release_list(manifest->children, manifest->child_count);
    *manifest = (struct img_manifest){.media_type = NULL};
}

/* ---- choosing children ---- */

bool img_is_attestation(const struct img_descriptor *child)
{
    if (!child->has_platform || strcmp(child->platform.os, "unknown") != 0 ||
        strcmp(child->platform.arch, "unknown") != 0)
        return false;
    return img_descriptor_annotation(child, ANNOTATION_REFERENCE_DIGEST) ||
           img_descriptor_annotation(child, ANNOTATION_REFERENCE_TYPE);
}

static bool is_wanted(const struct img_descriptor *child, const struct img_platform *wants,
                      size_t want_count)
{
    if (!child->has_platform)
        return img_type_is_index(child->media_type);
    for (size_t i = 0; i < want_count; i++) {
        if (img_platform_matches(&wants[i], &child->platform))
            return true;
    }
    return false;
}

/* Attestations name the child they speak of by its digest. */
static void select_attestations(const struct img_manifest *index, const struct mir_map *kept,
                                bool *keep)
{
    for (size_t i = 0; i < index->child_count; i++) {
        const struct img_descriptor *child = &index->children[i];
        const char *of = img_descriptor_annotation(child, ANNOTATION_REFERENCE_DIGEST);

        if (img_is_attestation(child) && of && mir_map_find(kept, mir_span_of(of)))
            keep[i] = true;
    }
}

void img_manifest_select(const struct img_manifest *index, const struct img_platform *wants,
                         size_t want_count, bool *keep)
{
    auto_map *kept = mir_map_new();

    for (size_t i = 0; i < index->child_count; i++) {
        struct img_descriptor *child = &index->children[i];

        keep[i] = want_count == 0 || is_wanted(child, wants, want_count);
        if (keep[i])
            mir_map_set(kept, mir_span_of(child->digest.text), child);
    }
    select_attestations(index, kept, keep);
}
