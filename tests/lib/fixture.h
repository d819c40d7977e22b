/*
 * Small OCI image layouts in a directory, for tests: images with real layers, indexes, docker
 * schema 2, artifacts, attestations. Everything is computed from the arguments, so the same calls
 * give the same digests (as long as gzip and zstd pack alike: no test may know a digest by heart).
 *
 * Arguments have defaults and are named: fixture_image(f, .arch = "arm64", .layers = 3). A field
 * left out, or zero, is the default. A layout that cannot be written ends the program with a
 * message: a test has no use for a broken fixture.
 *
 * Threads: one fixture, one thread.
 */
#ifndef TESTS_LIB_FIXTURE_H
#define TESTS_LIB_FIXTURE_H

#include <stdint.h>

#include "base/span.h"
#include "image/descriptor.h"

struct fixture;

/* What something in the layout is called by those that refer to it. A plain value; strings are
 * static or the caller's. */
struct fixture_item {
    const char *media_type;
    struct img_digest digest;
    uint64_t size;
    const char *os, *arch, *variant; /* of an image; NULL: none */
    struct img_digest attests;       /* of an attestation: the image it is about */
};

/* How a layer is packed; the media type follows from it and from .docker. */
enum fixture_packing {
    FIXTURE_PACKING_GZIP,
    FIXTURE_PACKING_ZSTD,
    FIXTURE_PACKING_NONE,
    FIXTURE_PACKING_STORED, /* gzip that does not compress: as fast as the disk */
};

/* One layer: the bytes of the file in it, and what decides them. */
struct fixture_layer_args {
    uint64_t bytes;
    uint64_t seed;
};

struct fixture_image_args {
    const char *os;       /* "linux" */
    const char *arch;     /* "amd64" */
    const char *variant;  /* none */
    unsigned layers;      /* 1 */
    bool no_layers;       /* really none */
    uint64_t layer_bytes; /* 2000 bytes of file in each layer, which do not compress */
    unsigned seed;        /* layers are the same in images of one seed, the config never is
                             between platforms */
    const struct fixture_layer_args *own_layers; /* these, instead of layers, layer_bytes, seed */
    size_t own_layer_count;
    enum fixture_packing packing;
    bool docker;        /* docker schema 2 instead of OCI */
    bool foreign;       /* one more layer first, non-distributable, with urls, not in the layout */
    bool no_media_type; /* leave mediaType out of the manifest, as OCI allows */
    bool indented;      /* manifest JSON as people format it */
    const char *layer_type;             /* instead of the usual media type */
    const char *config_type;            /* instead of the usual media type */
    const char *annotation;             /* value of the manifest annotation "fixture" */
    const struct fixture_item *subject; /* what this refers to */
};

struct fixture_index_args {
    const struct fixture_item *children;
    size_t child_count;
    bool docker; /* a manifest list */
    bool no_media_type;
    const char *annotation; /* value of the annotation "fixture" */
};

struct fixture_artifact_args {
    const char *type;                   /* artifactType, "application/vnd.fixture" */
    const char *content;                /* of its one layer, "content" */
    const struct fixture_item *subject; /* what this refers to */
};

/** Make the directory and an empty layout in it. */
struct fixture *fixture_new(const char *dir);
/** Write index.json with the names given so far. May be called again after more names. */
void fixture_write(struct fixture *fixture);
/** fixture_write(), and free. The directory stays. NULL is fine. */
void fixture_free(struct fixture *fixture);
void fixture_auto_free(struct fixture **fixture);
#define auto_fixture __attribute__((cleanup(fixture_auto_free))) struct fixture

struct fixture_item fixture_add_image(struct fixture *fixture,
                                      const struct fixture_image_args *args);
struct fixture_item fixture_add_index(struct fixture *fixture,
                                      const struct fixture_index_args *args);
struct fixture_item fixture_add_artifact(struct fixture *fixture,
                                         const struct fixture_artifact_args *args);
#define fixture_image(fixture, ...)                                                                \
    fixture_add_image(fixture, &(const struct fixture_image_args){__VA_ARGS__})
#define fixture_index(fixture, ...)                                                                \
    fixture_add_index(fixture, &(const struct fixture_index_args){__VA_ARGS__})
/* An artifact as OCI 1.1 describes it: empty config "{}", one layer. */
#define fixture_artifact(fixture, ...)                                                             \
    fixture_add_artifact(fixture, &(const struct fixture_artifact_args){__VA_ARGS__})

/** A buildkit attestation manifest about an image, to be put beside it into an index. */
struct fixture_item fixture_attestation(struct fixture *fixture, const struct fixture_item *image);

/** Any bytes as a blob. */
struct fixture_item fixture_blob(struct fixture *fixture, const char *media_type,
                                 struct mir_span bytes);

/** Give an item a name in index.json; name NULL gives none, platforms NULL no annotation. */
void fixture_name(struct fixture *fixture, const char *name, const struct fixture_item *item);
void fixture_name_platforms(struct fixture *fixture, const char *name,
                            const struct fixture_item *item, const char *platforms);

/** Where a blob's file is; the caller frees. */
char *fixture_blob_path(const struct fixture *fixture, const struct img_digest *digest);

#endif
