/*
 * Manifests: no input may crash the parser, and what it takes keeps its promises.
 */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "image/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_descriptor(const struct img_descriptor *descriptor)
{
    auto_descriptor copy = {.media_type = NULL};

    assert(descriptor->media_type);
    assert(descriptor->size <= IMG_BLOB_BYTES_MAX);
    assert(strlen(img_digest_hex(&descriptor->digest)) >= 64);
    img_descriptor_copy(descriptor, &copy);
    assert(img_digest_equal(&copy.digest, &descriptor->digest));
}

static void check_index(const struct img_manifest *m)
{
    static const struct img_platform want = {.os = "linux", .arch = "arm", .variant = "v7"};
    auto_free bool *keep = mir_alloc_array(m->child_count, sizeof(*keep));

    for (size_t i = 0; i < m->child_count; i++)
        check_descriptor(&m->children[i]);
    img_manifest_select(m, &want, 1, keep);
    img_manifest_select(m, NULL, 0, keep);
    for (size_t i = 0; i < m->child_count; i++)
        assert(keep[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest m = {.media_type = NULL};

    if (!img_manifest_parse(mir_span(data, size), NULL, &m, &err)) {
        assert(err.code != MIR_OK && err.text[0] != '\0');
        return 0;
    }
    assert(m.media_type[0] != '\0');
    if (m.kind == IMG_MANIFEST_KIND_INDEX)
        check_index(&m);
    else
        check_descriptor(&m.config);
    for (size_t i = 0; i < m.layer_count; i++)
        check_descriptor(&m.layers[i]);
    return 0;
}
