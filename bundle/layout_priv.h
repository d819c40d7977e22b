/*
 * The names and the index of an OCI image layout. Private to bundle/.
 *
 * Threads: no shared state.
 */
#ifndef BUNDLE_LAYOUT_PRIV_H
#define BUNDLE_LAYOUT_PRIV_H

#include "base/buf.h"
#include "bundle/bundle.h"

#define BUNDLE_LAYOUT_NAME "oci-layout"
#define BUNDLE_LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define BUNDLE_LAYOUT_MAX  4096 /* bytes of oci-layout */
#define BUNDLE_INDEX_NAME  "index.json"
#define BUNDLE_PATH_MAX    160 /* "blobs/sha512/" + 128 + ".partial" + NUL, and a little */

/** "blobs/ALGO/HEX". Returns path. */
const char *bundle_blob_path(const struct img_digest *digest, char path[BUNDLE_PATH_MAX]);

/* What a name inside a layout is. */
enum bundle_name_kind {
    BUNDLE_NAME_BAD, /* absolute, with "..", "." or empty parts, or in blobs/ but no blob's name */
    BUNDLE_NAME_LAYOUT,
    BUNDLE_NAME_INDEX,
    BUNDLE_NAME_BASE,
    BUNDLE_NAME_BLOB,
    BUNDLE_NAME_OTHER, /* harmless, and of no interest */
};

/** What is this name of a file? One leading "./" is fine. For a blob, *digest is set. */
enum bundle_name_kind bundle_name_classify(const char *name, struct img_digest *digest);
/** May a directory be called this? "./" and a trailing "/" are fine. */
bool bundle_name_is_directory(const char *name);

/** Is this an oci-layout file of a version we read? name is what errors call it. */
MIR_MUST_CHECK bool bundle_layout_check(struct mir_span text, const char *name,
                                        struct mir_error *err);

/* ---- index.json ---- */

/* Names read from an index.json. */
struct bundle_names {
    struct bundle_image *images; /* borrow from texts */
    size_t count;
    char **texts; /* text_count of them, ours */
    size_t text_count;
    size_t text_capacity;
};

/** Read index.json. name is what errors call it. */
MIR_MUST_CHECK bool bundle_names_parse(struct mir_span text, const char *name,
                                       struct bundle_names *out, struct mir_error *err);
void bundle_names_release(struct bundle_names *names);

/** Order of images in index.json: by name, then by digest; those without a name last. */
int bundle_image_compare(const struct bundle_image *a, const struct bundle_image *b);

/** index.json for these images, in the given order of indexes into images. The bytes depend on the
 * images alone. The caller frees *out. */
MIR_MUST_CHECK bool bundle_index_format(const struct bundle_image *images, const size_t *order,
                                        size_t count, char **out, size_t *len,
                                        struct mir_error *err);

/** An old index.json with these images put in: what has the name of one of them (or is the same
 * nameless image) is replaced, all else stays as it was; sorted. old may be empty. The caller frees
 * *out. */
MIR_MUST_CHECK bool bundle_index_merge(struct mir_span old, const char *old_name,
                                       const struct bundle_image *images, const size_t *order,
                                       size_t count, char **out, size_t *len,
                                       struct mir_error *err);

#endif
