/*
 * Descriptors. The parsers of manifests and of index.json read every descriptor here, so that one
 * place decides what a stranger may put into one. Fields nobody here needs are left alone: the
 * bytes of the manifest, not this view, are what is passed on.
 */
#include "image/descriptor.h"

#include <inttypes.h>

#include "base/mem.h"
#include "image/json_priv.h"
#include "image/text_priv.h"

#define MEDIA_TYPE_MAX 255 /* RFC 6838 allows 127 on each side of the slash */
#define URLS_MAX       64
#define URL_BYTES_MAX  2048

static const char *const descriptor_keys[] = {"mediaType", "digest",      "size", "urls",
                                              "platform",  "annotations", NULL};

static bool parse_digest(const json_t *value, struct img_digest *out, struct mir_error *err)
{
    const json_t *digest = img_json_find(value, "digest");

    if (!json_is_string(digest))
        return mir_fail(err, MIR_E_FORMAT, "digest is missing or not a string");
    return img_digest_parse(mir_span(json_string_value(digest), json_string_length(digest)), out,
                            err);
}

static bool parse_size(const json_t *value, uint64_t *out, struct mir_error *err)
{
    const json_t *size = img_json_find(value, "size");
    json_int_t bytes;

    if (!json_is_integer(size))
        return mir_fail(err, MIR_E_FORMAT, "size is missing or not an integer");
    bytes = json_integer_value(size);
    if (bytes < 0)
        return mir_fail(err, MIR_E_FORMAT, "size %" JSON_INTEGER_FORMAT " is negative", bytes);
    if ((uint64_t)bytes > IMG_BLOB_BYTES_MAX)
        return mir_fail(err, MIR_E_LIMIT,
                        "size %" JSON_INTEGER_FORMAT " is over the limit of %" PRIu64, bytes,
                        IMG_BLOB_BYTES_MAX);
    *out = (uint64_t)bytes;
    return true;
}

static bool parse_platform_part(const json_t *platform, const char *key,
                                char out[IMG_PLATFORM_PART_MAX], struct mir_error *err)
{
    const char *text;

    if (!img_json_text(platform, key, IMG_PLATFORM_PART_MAX - 1, &text, err))
        return mir_context(err, "platform");
    (void)snprintf(out, IMG_PLATFORM_PART_MAX, "%s", text);
    return true;
}

static bool parse_platform(const json_t *value, struct img_descriptor *out, struct mir_error *err)
{
    const json_t *platform = img_json_find(value, "platform");

    if (!platform)
        return true;
    if (!json_is_object(platform))
        return mir_fail(err, MIR_E_FORMAT, "platform is not an object");
    out->has_platform = true;
    return parse_platform_part(platform, "os", out->platform.os, err) &&
           parse_platform_part(platform, "architecture", out->platform.arch, err) &&
           parse_platform_part(platform, "variant", out->platform.variant, err);
}

static bool parse_annotations(const json_t *value, json_t **out, struct mir_error *err)
{
    const json_t *annotations = img_json_find(value, "annotations");
    const char *key;
    json_t *text;

    if (!annotations)
        return true;
    if (!json_is_object(annotations))
        return mir_fail(err, MIR_E_FORMAT, "annotations is not an object");
    *out = json_deep_copy(annotations);
    json_object_foreach (*out, key, text) {
        if (!json_is_string(text))
            return mir_fail(err, MIR_E_FORMAT, "annotation '%s' is not a string",
                            img_show(mir_span_of(key)).text);
    }
    return true;
}

static bool parse_url(const json_t *url, char **out, struct mir_error *err)
{
    struct mir_span text;

    if (!json_is_string(url))
        return mir_fail(err, MIR_E_FORMAT, "urls holds something that is not a string");
    text = mir_span(json_string_value(url), json_string_length(url));
    if (text.len > URL_BYTES_MAX || !img_is_printable(text))
        return mir_fail(err, MIR_E_FORMAT, "urls holds '%s', which is no URL", img_show(text).text);
    *out = mir_strndup(text.ptr, text.len);
    return true;
}

static bool parse_urls(const json_t *value, struct img_descriptor *out, struct mir_error *err)
{
    const json_t *urls = img_json_find(value, "urls");
    size_t count = json_array_size(urls);

    if (!urls)
        return true;
    if (!json_is_array(urls))
        return mir_fail(err, MIR_E_FORMAT, "urls is not an array");
    if (count > URLS_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%zu urls; at most %d are allowed", count, URLS_MAX);
    out->urls = mir_alloc_array(count, sizeof(*out->urls));
    for (size_t i = 0; i < count; i++) {
        if (!parse_url(json_array_get(urls, i), &out->urls[i], err))
            return false;
        out->url_count++;
    }
    return true;
}

bool img_descriptor_parse(const json_t *value, struct img_descriptor *out, struct mir_error *err)
{
    auto_descriptor parsed = {.media_type = NULL};
    const char *media_type;

    if (!json_is_object(value))
        return mir_fail(err, MIR_E_FORMAT, "a descriptor has to be an object");
    if (!img_json_check_case(value, descriptor_keys, err) ||
        !img_json_text(value, "mediaType", MEDIA_TYPE_MAX, &media_type, err))
        return false;
    parsed.media_type = mir_strdup(media_type);
    if (!parse_digest(value, &parsed.digest, err) || !parse_size(value, &parsed.size, err) ||
        !parse_platform(value, &parsed, err) ||
        !parse_annotations(value, &parsed.annotations, err) || !parse_urls(value, &parsed, err))
        return false;
    *out = parsed;
    parsed = (struct img_descriptor){.media_type = NULL};
    return true;
}

void img_descriptor_release(struct img_descriptor *descriptor)
{
    free(descriptor->media_type);
    json_decref(descriptor->annotations);
    for (size_t i = 0; i < descriptor->url_count; i++)
        free(descriptor->urls[i]);
    free(descriptor->urls);
    *descriptor = (struct img_descriptor){.media_type = NULL};
}

static char **copy_urls(const struct img_descriptor *descriptor)
{
    char **urls;

    if (!descriptor->urls)
        return NULL;
    urls = mir_alloc_array(descriptor->url_count, sizeof(*urls));
    for (size_t i = 0; i < descriptor->url_count; i++)
        urls[i] = mir_strdup(descriptor->urls[i]);
    return urls;
}

void img_descriptor_copy(const struct img_descriptor *descriptor, struct img_descriptor *out)
{
    struct img_descriptor copy = *descriptor;

    copy.media_type = mir_strdup(descriptor->media_type);
    copy.annotations = json_deep_copy(descriptor->annotations);
    copy.urls = copy_urls(descriptor);
    *out = copy;
}

const char *img_descriptor_annotation(const struct img_descriptor *descriptor, const char *key)
{
    return json_string_value(json_object_get(descriptor->annotations, key));
}

/* ---- what a media type means ---- */

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(text, *list) == 0)
            return true;
    }
    return false;
}

bool img_type_is_index(const char *media_type)
{
    static const char *const types[] = {IMG_TYPE_OCI_INDEX, IMG_TYPE_DOCKER_LIST, NULL};

    return is_one_of(media_type, types);
}

bool img_type_is_manifest(const char *media_type)
{
    static const char *const types[] = {IMG_TYPE_OCI_MANIFEST, IMG_TYPE_DOCKER_MANIFEST, NULL};

    return is_one_of(media_type, types);
}

bool img_type_is_schema1(const char *media_type)
{
    static const char *const types[] = {IMG_TYPE_DOCKER_SCHEMA1, IMG_TYPE_DOCKER_SCHEMA1_SIGNED,
                                        NULL};

    return is_one_of(media_type, types);
}

bool img_type_is_nondistributable(const char *media_type)
{
    return mir_starts_with(media_type, "application/vnd.oci.image.layer.nondistributable.v1.") ||
           mir_starts_with(media_type, "application/vnd.docker.image.rootfs.foreign.");
}
