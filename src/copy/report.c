/*
 * What a copy has to say for itself, for programs: the report, the mapping, and the survey that
 * inspect shows. Formats are described in docs/report-format.md; they carry a version.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "copy/copy_priv.h"
#include "copy/since.h"

#define REPORT_VERSION    1
#define MAPPING_BYTES_MAX (1u << 30)

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        (void)json_object_set_new(object, key, json_string(text));
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

static json_t *error_json(const struct mir_error *err)
{
    json_t *object = json_object();

    set_text(object, "text", err->text);
    if (err->hint[0] != '\0')
        set_text(object, "hint", err->hint);
    if (err->sys != 0)
        (void)json_object_set_new(object, "status", json_integer(err->sys));
    return object;
}

static json_t *image_json(const struct copy *copy, size_t i)
{
    json_t *object = json_object();
    struct copy_result result;

    copy_get_result(copy, i, &result);
    set_text(object, "source", result.source);
    set_text(object, "image", result.pinned);
    set_text(object, "digest", result.digest);
    set_text(object, "servedBy", result.served_by);
    set_text(object, "destination", result.destination);
    set_number(object, "bytes", result.bytes);
    set_text(object, "outcome", copy_outcome_name(result.outcome));
    if (result.error)
        (void)json_object_set_new(object, "error", error_json(result.error));
    return object;
}

static json_t *totals_json(const struct copy *copy)
{
    json_t *object = json_object();
    struct copy_totals totals;

    copy_get_totals(copy, &totals);
    set_number(object, "images", totals.images);
    set_number(object, "failed", totals.failed);
    set_number(object, "present", totals.present);
    set_number(object, "manifests", totals.manifests);
    set_number(object, "blobs", totals.blobs);
    set_number(object, "bytes", totals.bytes);
    set_number(object, "blobsLeftOut", totals.blobs_left_out);
    set_number(object, "bytesLeftOut", totals.bytes_left_out);
    set_number(object, "bytesMoved", totals.bytes_moved);
    set_number(object, "bytesReused", totals.bytes_reused);
    set_number(object, "requestsSource", totals.requests_source);
    set_number(object, "requestsDestination", totals.requests_destination);
    if (totals.volumes > 0)
        set_number(object, "volumes", totals.volumes);
    return object;
}

static json_t *base_json(const struct bundle_base *base)
{
    json_t *object = json_object();

    set_text(object, "name", base->name);
    set_text(object, "index", base->index.text);
    set_text(object, "mirror", base->mirror);
    return object;
}

json_t *copy_report(const struct copy *copy)
{
    const struct bundle_base *base = copy_since_get_base(copy->since);

    json_t *report = json_object();
    json_t *images = json_array();

    set_number(report, "version", REPORT_VERSION);
    for (size_t i = 0; i < copy->image_count; i++)
        (void)json_array_append_new(images, image_json(copy, i));
    (void)json_object_set_new(report, "images", images);
    (void)json_object_set_new(report, "totals", totals_json(copy));
    if (base && base->count > 0)
        (void)json_object_set_new(report, "base", base_json(base));
    return report;
}

char *copy_mapping(const struct copy *copy)
{
    struct mir_buf text;

    mir_buf_init(&text, MAPPING_BYTES_MAX);
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_result result;

        copy_get_result(copy, i, &result);
        if (result.outcome == COPY_OUTCOME_FAILED || !result.pinned)
            continue;
        if (copy_goes_to_registry(copy))
            mir_buf_printf(&text, "%s=%s\n", result.pinned,
                           result.destination + strlen("docker://"));
        else
            mir_buf_printf(&text, "%s=%s\n", result.pinned, result.destination);
    }
    return mir_buf_take(&text);
}

/* ---- the survey ---- */

static json_t *blobs_json(const struct copy_manifest *manifest)
{
    json_t *list = json_array();

    for (size_t i = 0; i < manifest->blob_count; i++) {
        const struct copy_blob *blob = manifest->blobs[i];
        json_t *object = json_object();

        set_text(object, "digest", blob->digest.text);
        set_text(object, "mediaType", blob->media_type);
        set_number(object, "size", blob->size);
        if (blob->left_out)
            (void)json_object_set_new(object, "leftOut", json_true());
        (void)json_array_append_new(list, object);
    }
    return list;
}

/* Nesting is bounded: only manifests that copy_check() found sound come here. */
static json_t *manifest_json(const struct copy_manifest *manifest, const struct copy_child *as)
{
    json_t *object = json_object();
    json_t *children = json_array();
    char platform[IMG_PLATFORM_TEXT_MAX];

    set_text(object, "digest", manifest->digest.text);
    set_text(object, "mediaType", manifest->media_type);
    set_number(object, "size", manifest->len);
    if (as && as->has_platform)
        set_text(object, "platform", img_platform_format(&as->platform, platform));
    if (manifest->blob_count > 0)
        (void)json_object_set_new(object, "blobs", blobs_json(manifest));
    for (size_t i = 0; i < manifest->child_count; i++)
        (void)json_array_append_new(
            children, manifest_json(manifest->children[i].manifest, &manifest->children[i]));
    if (manifest->child_count > 0)
        (void)json_object_set(object, "manifests", children);
    json_decref(children);
    return object;
}

/* The bundles among the sources that leave something out, with what has it. */
static json_t *bases_json(const struct copy *copy)
{
    json_t *list = json_array();

    for (size_t i = 0; i < copy->reader_count; i++) {
        const struct bundle_base *base = bundle_reader_base(copy->readers[i]);
        json_t *object = base ? base_json(base) : NULL;

        if (!base)
            continue;
        set_text(object, "bundle", bundle_reader_path(copy->readers[i]));
        (void)json_array_append_new(list, object);
    }
    return list;
}

json_t *copy_survey(const struct copy *copy)
{
    json_t *survey = json_object();
    json_t *images = json_array();

    set_number(survey, "version", REPORT_VERSION);
    for (size_t i = 0; i < copy->image_count; i++) {
        json_t *object = image_json(copy, i);

        (void)json_object_del(object, "destination");
        (void)json_object_del(object, "outcome");
        if (copy_image_is_planned(copy->images[i]))
            (void)json_object_set_new(object, "manifest",
                                      manifest_json(copy->images[i]->root, NULL));
        (void)json_array_append_new(images, object);
    }
    (void)json_object_set_new(survey, "images", images);
    set_number(survey, "manifests", copy->totals.manifests);
    set_number(survey, "blobs", copy->totals.blobs);
    set_number(survey, "bytes", copy->totals.bytes);
    set_number(survey, "sharedBytes", copy->totals.shared);
    set_number(survey, "blobsLeftOut", copy->totals.blobs_left_out);
    set_number(survey, "bytesLeftOut", copy->totals.bytes_left_out);
    (void)json_object_set_new(survey, "bases", bases_json(copy));
    return survey;
}
