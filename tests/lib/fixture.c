/*
 * OCI layouts for tests. Manifests are built as JSON, written as blobs, and described to whoever
 * refers to them by a fixture_item. Called by unit tests and tests/lib/tools.
 */
#include "lib/fixture.h"

#include <inttypes.h>

#include "base/file.h"
#include "lib/fixture_priv.h"
#include "lib/scratch.h"

#define LAYER_FILE_BYTES 2000

struct fixture {
    char *dir;
    json_t *names; /* descriptors of index.json */
};

static const char *or_default(const char *text, const char *fallback)
{
    return text ? text : fallback;
}

/* ---- files ---- */

struct fixture *fixture_new(const char *dir)
{
    struct fixture *fixture = mir_alloc(sizeof(*fixture));
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *blobs = mir_format("%s/blobs/sha256", dir);
    auto_free char *marker = mir_format("%s/oci-layout", dir);

    if (!mir_make_dirs(blobs, &err))
        scratch_die("fixture: %s", err.text);
    scratch_write(marker, mir_span_of("{\"imageLayoutVersion\":\"1.0.0\"}"));
    fixture->dir = mir_strdup(dir);
    fixture->names = json_array();
    return fixture;
}

void fixture_write(struct fixture *fixture)
{
    auto_free char *path = mir_format("%s/index.json", fixture->dir);
    auto_json *index = json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType",
                                 IMG_TYPE_OCI_INDEX, "manifests", fixture->names);
    auto_free char *text = json_dumps(index, JSON_COMPACT);

    scratch_write(path, mir_span_of(text));
}

void fixture_free(struct fixture *fixture)
{
    if (!fixture)
        return;
    fixture_write(fixture);
    json_decref(fixture->names);
    free(fixture->dir);
    free(fixture);
}

void fixture_auto_free(struct fixture **fixture)
{
    fixture_free(*fixture);
}

char *fixture_blob_path(const struct fixture *fixture, const struct img_digest *digest)
{
    return mir_format("%s/blobs/%s/%s", fixture->dir, img_digest_algo_name(digest),
                      img_digest_hex(digest));
}

struct fixture_item fixture_blob(struct fixture *fixture, const char *media_type,
                                 struct mir_span bytes)
{
    struct fixture_item item = {.media_type = media_type, .size = bytes.len};
    auto_free char *path = NULL;

    img_digest_of(MIR_HASH_SHA256, bytes, &item.digest);
    path = fixture_blob_path(fixture, &item.digest);
    scratch_write(path, bytes);
    return item;
}

static struct fixture_item json_blob(struct fixture *fixture, const char *media_type,
                                     const json_t *value, bool indented)
{
    auto_free char *text = json_dumps(value, indented ? JSON_INDENT(3) : JSON_COMPACT);

    return fixture_blob(fixture, media_type, mir_span_of(text));
}

/* ---- descriptors ---- */

static json_t *bare_descriptor(const char *media_type, const struct img_digest *digest,
                               uint64_t size)
{
    return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest->text, "size",
                     (json_int_t)size);
}

static json_t *descriptor(const struct fixture_item *item)
{
    json_t *value = bare_descriptor(item->media_type, &item->digest, item->size);

    if (item->arch)
        (void)json_object_set_new(value, "platform",
                                  json_pack("{s:s, s:s, s:s*}", "architecture", item->arch, "os",
                                            item->os, "variant", item->variant));
    if (item->attests.text[0])
        (void)json_object_set_new(value, "annotations",
                                  json_pack("{s:s, s:s}", "vnd.docker.reference.digest",
                                            item->attests.text, "vnd.docker.reference.type",
                                            "attestation-manifest"));
    return value;
}

void fixture_name_platforms(struct fixture *fixture, const char *name,
                            const struct fixture_item *item, const char *platforms)
{
    json_t *value = bare_descriptor(item->media_type, &item->digest, item->size);
    json_t *annotations = json_object();

    if (name)
        (void)json_object_set_new(annotations, IMG_ANNOTATION_REF_NAME, json_string(name));
    if (platforms)
        (void)json_object_set_new(annotations, "mirror.platforms", json_string(platforms));
    if (json_object_size(annotations) > 0)
        (void)json_object_set(value, "annotations", annotations);
    json_decref(annotations);
    (void)json_array_append_new(fixture->names, value);
}

void fixture_name(struct fixture *fixture, const char *name, const struct fixture_item *item)
{
    fixture_name_platforms(fixture, name, item, NULL);
}

/* ---- images ---- */

static const char *packed_type(const struct fixture_image_args *args)
{
    if (args->layer_type)
        return args->layer_type;
    switch (args->packing) {
    case FIXTURE_PACKING_GZIP:
    case FIXTURE_PACKING_STORED:
        return args->docker ? "application/vnd.docker.image.rootfs.diff.tar.gzip"
                            : "application/vnd.oci.image.layer.v1.tar+gzip";
    case FIXTURE_PACKING_ZSTD:
        return args->docker ? "application/vnd.docker.image.rootfs.diff.tar.zstd"
                            : "application/vnd.oci.image.layer.v1.tar+zstd";
    case FIXTURE_PACKING_NONE:
        return args->docker ? "application/vnd.docker.image.rootfs.diff.tar"
                            : "application/vnd.oci.image.layer.v1.tar";
    }
    return NULL;
}

/* A layer that is not in the layout: what its url would give. */
static void add_foreign(const struct fixture_image_args *args, json_t *layers, json_t *diff_ids)
{
    const char *type = args->docker
                           ? "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
                           : "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    auto_free char *bytes = mir_format("foreign layer %u", args->seed);
    struct img_digest digest;
    json_t *layer;

    img_digest_of(MIR_HASH_SHA256, mir_span_of(bytes), &digest);
    layer = bare_descriptor(type, &digest, strlen(bytes));
    (void)json_object_set_new(layer, "urls",
                              json_pack("[s]", "https://layers.invalid/foreign/layer"));
    (void)json_array_append_new(layers, layer);
    (void)json_array_append_new(diff_ids, json_string(digest.text));
}

static void add_layer(struct fixture *fixture, const struct fixture_image_args *args,
                      struct fixture_layer_args own, json_t *layers, json_t *diff_ids)
{
    struct fixture_layer layer;

    fixture_layer_write(fixture->dir, args->packing, own.bytes, own.seed, &layer);
    (void)json_array_append_new(layers,
                                bare_descriptor(packed_type(args), &layer.digest, layer.size));
    (void)json_array_append_new(diff_ids, json_string(layer.diff_id.text));
}

static void add_layers(struct fixture *fixture, const struct fixture_image_args *args,
                       json_t *layers, json_t *diff_ids)
{
    unsigned count = args->no_layers || args->own_layers ? 0 : args->layers ? args->layers : 1;
    uint64_t bytes = args->layer_bytes ? args->layer_bytes : LAYER_FILE_BYTES;

    if (args->foreign)
        add_foreign(args, layers, diff_ids);
    for (size_t i = 0; i < args->own_layer_count; i++)
        add_layer(fixture, args, args->own_layers[i], layers, diff_ids);
    for (unsigned i = 0; i < count; i++) {
        struct fixture_layer_args own = {.bytes = bytes, .seed = args->seed * 1000ull + i};

        add_layer(fixture, args, own, layers, diff_ids);
    }
}

static json_t *config_descriptor(struct fixture *fixture, const struct fixture_image_args *args,
                                 json_t *diff_ids)
{
    auto_json *config =
        json_pack("{s:s, s:s, s:s*, s:s, s:{s:[s]}, s:{s:s, s:O}}", "architecture",
                  or_default(args->arch, "amd64"), "os", or_default(args->os, "linux"), "variant",
                  args->variant, "created", "1970-01-01T00:00:00Z", "config", "Cmd", "/data",
                  "rootfs", "type", "layers", "diff_ids", diff_ids);
    const char *usual = args->docker ? IMG_TYPE_DOCKER_CONFIG : IMG_TYPE_OCI_CONFIG;
    struct fixture_item item =
        json_blob(fixture, or_default(args->config_type, usual), config, args->indented);

    return descriptor(&item);
}

static void add_optional(json_t *manifest, const char *annotation,
                         const struct fixture_item *subject)
{
    if (subject)
        (void)json_object_set_new(
            manifest, "subject",
            bare_descriptor(subject->media_type, &subject->digest, subject->size));
    if (annotation)
        (void)json_object_set_new(manifest, "annotations",
                                  json_pack("{s:s}", "fixture", annotation));
}

struct fixture_item fixture_add_image(struct fixture *fixture,
                                      const struct fixture_image_args *args)
{
    const char *type = args->docker ? IMG_TYPE_DOCKER_MANIFEST : IMG_TYPE_OCI_MANIFEST;
    auto_json *layers = json_array();
    auto_json *diff_ids = json_array();
    auto_json *manifest = NULL;
    struct fixture_item item;

    add_layers(fixture, args, layers, diff_ids);
    manifest = json_pack("{s:i, s:s*, s:o, s:O}", "schemaVersion", 2, "mediaType",
                         args->no_media_type ? NULL : type, "config",
                         config_descriptor(fixture, args, diff_ids), "layers", layers);
    add_optional(manifest, args->annotation, args->subject);
    item = json_blob(fixture, type, manifest, args->indented);
    item.os = or_default(args->os, "linux");
    item.arch = or_default(args->arch, "amd64");
    item.variant = args->variant;
    return item;
}

struct fixture_item fixture_add_artifact(struct fixture *fixture,
                                         const struct fixture_artifact_args *args)
{
    struct fixture_item config = fixture_blob(fixture, IMG_TYPE_OCI_EMPTY, mir_span_of("{}"));
    struct fixture_item layer = fixture_blob(fixture, "application/octet-stream",
                                             mir_span_of(or_default(args->content, "content")));
    auto_json *manifest = json_pack("{s:i, s:s, s:s, s:o, s:[o]}", "schemaVersion", 2, "mediaType",
                                    IMG_TYPE_OCI_MANIFEST, "artifactType",
                                    or_default(args->type, "application/vnd.fixture"), "config",
                                    descriptor(&config), "layers", descriptor(&layer));

    add_optional(manifest, NULL, args->subject);
    return json_blob(fixture, IMG_TYPE_OCI_MANIFEST, manifest, false);
}

struct fixture_item fixture_attestation(struct fixture *fixture, const struct fixture_item *image)
{
    auto_free char *text = mir_format("{\"_type\":\"https://in-toto.io/Statement/v0.1\","
                                      "\"subject\":[{\"digest\":\"%s\"}]}",
                                      image->digest.text);
    struct fixture_item config =
        fixture_blob(fixture, IMG_TYPE_OCI_CONFIG,
                     mir_span_of("{\"architecture\":\"unknown\",\"os\":\"unknown\",\"rootfs\":"
                                 "{\"type\":\"layers\",\"diff_ids\":[]}}"));
    struct fixture_item layer =
        fixture_blob(fixture, "application/vnd.in-toto+json", mir_span_of(text));
    auto_json *manifest =
        json_pack("{s:i, s:s, s:o, s:[o]}", "schemaVersion", 2, "mediaType", IMG_TYPE_OCI_MANIFEST,
                  "config", descriptor(&config), "layers", descriptor(&layer));
    struct fixture_item item = json_blob(fixture, IMG_TYPE_OCI_MANIFEST, manifest, false);

    item.os = "unknown";
    item.arch = "unknown";
    item.attests = image->digest;
    return item;
}

struct fixture_item fixture_add_index(struct fixture *fixture,
                                      const struct fixture_index_args *args)
{
    const char *type = args->docker ? IMG_TYPE_DOCKER_LIST : IMG_TYPE_OCI_INDEX;
    auto_json *children = json_array();
    auto_json *index = NULL;

    for (size_t i = 0; i < args->child_count; i++)
        (void)json_array_append_new(children, descriptor(&args->children[i]));
    index = json_pack("{s:i, s:s*, s:O}", "schemaVersion", 2, "mediaType",
                      args->no_media_type ? NULL : type, "manifests", children);
    add_optional(index, args->annotation, NULL);
    return json_blob(fixture, type, index, false);
}
