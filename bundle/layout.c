/*
 * Names inside an OCI image layout, and its oci-layout file. Called by the readers, the writers and
 * the plan. Names of strangers are matched against the grammar here, never cleaned up.
 */
#include "bundle/layout_priv.h"

#include "base/mem.h"
#include "base/tree.h"
#include "bundle/base_priv.h"

#define BLOBS "blobs/"

const char *bundle_blob_path(const struct img_digest *digest, char path[BUNDLE_PATH_MAX])
{
    (void)snprintf(path, BUNDLE_PATH_MAX, BLOBS "%s/%s", img_digest_algo_name(digest),
                   img_digest_hex(digest));
    return path;
}

static struct mir_span without_dot(const char *name)
{
    struct mir_span span = mir_span_of(name);

    return mir_span_starts_with(span, "./") ? mir_span_from(span, 2) : span;
}

/* Relative, and each part neither empty nor "." nor "..". */
static bool is_clean(struct mir_span name)
{
    struct mir_span part;

    if (name.len == 0 || name.ptr[0] == '/' || name.ptr[name.len - 1] == '/')
        return false;
    while (mir_span_next(&name, '/', &part))
        if (part.len == 0 || mir_span_is(part, ".") || mir_span_is(part, ".."))
            return false;
    return true;
}

/* "sha256/HEX". Algorithms that we do not know may lie there too. */
static enum bundle_name_kind classify_blob(struct mir_span name, struct img_digest *digest)
{
    struct mir_error err = MIR_ERROR_INIT; /* only its code matters; the caller names the entry */
    char text[IMG_DIGEST_MAX];
    size_t slash;

    if (name.len >= sizeof(text) || !mir_span_find(name, '/', &slash))
        return BUNDLE_NAME_BAD;
    memcpy(text, name.ptr, name.len);
    text[slash] = ':';
    if (img_digest_parse(mir_span(text, name.len), digest, &err))
        return BUNDLE_NAME_BLOB;
    return err.code == MIR_E_UNSUPPORTED ? BUNDLE_NAME_OTHER : BUNDLE_NAME_BAD;
}

enum bundle_name_kind bundle_name_classify(const char *name, struct img_digest *digest)
{
    struct mir_span span = without_dot(name);

    if (!is_clean(span))
        return BUNDLE_NAME_BAD;
    if (mir_span_is(span, BUNDLE_LAYOUT_NAME))
        return BUNDLE_NAME_LAYOUT;
    if (mir_span_is(span, BUNDLE_INDEX_NAME))
        return BUNDLE_NAME_INDEX;
    if (mir_span_is(span, BUNDLE_BASE_FILE))
        return BUNDLE_NAME_BASE;
    if (mir_span_is(span, "blobs"))
        return BUNDLE_NAME_BAD;
    if (!mir_span_starts_with(span, BLOBS))
        return BUNDLE_NAME_OTHER;
    return classify_blob(mir_span_from(span, strlen(BLOBS)), digest);
}

bool bundle_name_is_directory(const char *name)
{
    struct mir_span span = without_dot(name);

    if (span.len > 0 && span.ptr[span.len - 1] == '/')
        span.len--;
    if (span.len == 0)
        return strcmp(name, "./") == 0;
    return mir_span_is(span, ".") || is_clean(span);
}

bool bundle_layout_check(struct mir_span text, const char *name, struct mir_error *err)
{
    auto_json *layout = NULL;
    const json_t *version;

    if (!mir_json_parse(text, name, &layout, err))
        return false;
    version = json_object_get(layout, "imageLayoutVersion");
    if (!json_is_string(version))
        return mir_fail(err, MIR_E_FORMAT, "%s: no imageLayoutVersion", name);
    if (!mir_starts_with(json_string_value(version), "1."))
        return mir_fail(err, MIR_E_UNSUPPORTED, "%s: image layout version %.20s is not supported",
                        name, json_string_value(version));
    return true;
}
