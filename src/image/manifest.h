/*
 * Manifests and indexes, read. The parsed form is a view: what is hashed, kept and sent on are
 * always the bytes as they came.
 *
 * Spec: OCI image-spec 1.1, manifest.md and image-index.md; Docker image manifest v2, schema 2.
 * Threads: plain values.
 */
#ifndef IMAGE_MANIFEST_H
#define IMAGE_MANIFEST_H

#include "image/descriptor.h"

#define IMG_MANIFEST_BYTES_MAX (4u << 20) /* what registries take */
#define IMG_DESCRIPTORS_MAX    10000      /* layers or children of one manifest */
#define IMG_NESTING_MAX        8          /* indexes inside indexes */

enum img_manifest_kind {
    IMG_MANIFEST_KIND_IMAGE, /* config and layers; artifacts too */
    IMG_MANIFEST_KIND_INDEX, /* children */
};

struct img_manifest {
    enum img_manifest_kind kind;
    char *media_type;             /* what it has to be served as; never empty */
    struct img_descriptor config; /* IMAGE */
    struct img_descriptor *layers;
    size_t layer_count;
    struct img_descriptor *children; /* INDEX */
    size_t child_count;
    char *artifact_type; /* artifactType, else the config's media type; "" for a plain index */
    json_t *annotations; /* as they came: values may be anything; NULL: none */
    bool has_subject;
    struct img_descriptor subject; /* what this refers to; need not exist */
};

/**
 * Read a manifest or index.
 *
 * bytes  at most IMG_MANIFEST_BYTES_MAX; borrowed during the call.
 * type   what the registry or the descriptor called it, or NULL. The media type inside the bytes
 *        wins; without either the shape decides (OCI allows mediaType to be missing).
 * out    written only on success; empty it with img_manifest_release().
 * err    MIR_E_FORMAT (not JSON, wrong shape, both layers and children), MIR_E_LIMIT, or
 *        MIR_E_UNSUPPORTED for docker schema 1, with a hint.
 */
MIR_MUST_CHECK bool img_manifest_parse(struct mir_span bytes, const char *type,
                                       struct img_manifest *out, struct mir_error *err);
void img_manifest_release(struct img_manifest *manifest);
#define auto_manifest __attribute__((cleanup(img_manifest_release))) struct img_manifest

/** Is this child of an index an attestation (buildkit: platform unknown/unknown and a
 * vnd.docker.reference annotation)? */
bool img_is_attestation(const struct img_descriptor *child);

/**
 * Which children of an index serve the wanted platforms: every child that matches one of them,
 * attestations of such children, and children without a platform that are indexes themselves.
 * Without wants: all. keep has child_count elements.
 */
void img_manifest_select(const struct img_manifest *index, const struct img_platform *wants,
                         size_t want_count, bool *keep);

#endif
