/*
 * Descriptors: what some content is, how large, and its digest.
 *
 * Spec: OCI image-spec 1.1, descriptor.md. Threads: plain values.
 */
#ifndef IMAGE_DESCRIPTOR_H
#define IMAGE_DESCRIPTOR_H

#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "image/digest.h"
#include "image/platform.h"

/* Media types of the field. */
#define IMG_TYPE_OCI_INDEX             "application/vnd.oci.image.index.v1+json"
#define IMG_TYPE_OCI_MANIFEST          "application/vnd.oci.image.manifest.v1+json"
#define IMG_TYPE_DOCKER_LIST           "application/vnd.docker.distribution.manifest.list.v2+json"
#define IMG_TYPE_DOCKER_MANIFEST       "application/vnd.docker.distribution.manifest.v2+json"
#define IMG_TYPE_DOCKER_SCHEMA1        "application/vnd.docker.distribution.manifest.v1+json"
#define IMG_TYPE_DOCKER_SCHEMA1_SIGNED "application/vnd.docker.distribution.manifest.v1+prettyjws"
#define IMG_TYPE_OCI_CONFIG            "application/vnd.oci.image.config.v1+json"
#define IMG_TYPE_DOCKER_CONFIG         "application/vnd.docker.container.image.v1+json"
#define IMG_TYPE_OCI_EMPTY             "application/vnd.oci.empty.v1+json"

#define IMG_ANNOTATION_REF_NAME "org.opencontainers.image.ref.name"

#define IMG_BLOB_BYTES_MAX (UINT64_C(1) << 50) /* no blob is larger than 1 PiB */

struct img_descriptor {
    char *media_type; /* "" when the source named none */
    struct img_digest digest;
    uint64_t size; /* bytes */
    bool has_platform;
    struct img_platform platform;
    json_t *annotations; /* object of strings, or NULL */
    char **urls;         /* other places of a foreign layer; url_count of them */
    size_t url_count;
};

/** Read one from JSON. out only on success. Texts that may end up in a header (media type, urls)
 * are printable ASCII. err: MIR_E_FORMAT naming the field, MIR_E_LIMIT for a size over
 * IMG_BLOB_BYTES_MAX, MIR_E_UNSUPPORTED for a digest algorithm. */
MIR_MUST_CHECK bool img_descriptor_parse(const json_t *value, struct img_descriptor *out,
                                         struct mir_error *err);
void img_descriptor_release(struct img_descriptor *descriptor);
#define auto_descriptor __attribute__((cleanup(img_descriptor_release))) struct img_descriptor
void img_descriptor_copy(const struct img_descriptor *descriptor, struct img_descriptor *out);

/** An annotation's value, borrowed, or NULL. */
const char *img_descriptor_annotation(const struct img_descriptor *descriptor, const char *key);

/** By media type: an index or list; a manifest of one image or artifact; docker schema 1. */
bool img_type_is_index(const char *media_type);
bool img_type_is_manifest(const char *media_type);
bool img_type_is_schema1(const char *media_type);
/** Layers that registries need not hold: docker "foreign" and OCI "nondistributable" types. */
bool img_type_is_nondistributable(const char *media_type);

#endif
