/*
 * The plan as the writers see it. Private to bundle/.
 *
 * Threads: read-only after bundle_plan_new().
 */
#ifndef BUNDLE_PLAN_PRIV_H
#define BUNDLE_PLAN_PRIV_H

#include "bundle/base.h"

struct bundle_plan {
    const struct bundle_image *images; /* borrowed, in the order given */
    size_t image_count;
    size_t *image_order;             /* indexes into images, sorted as index.json has them */
    const struct bundle_blob *blobs; /* borrowed, in the order of the file */
    size_t blob_count;
    int64_t epoch;
    char *index; /* index.json */
    size_t index_len;
    const struct bundle_base *base; /* borrowed; NULL: a whole bundle */
    char *base_text;                /* mirror-base.json, or NULL */
    size_t base_len;
    uint64_t base_offset;   /* where its bytes begin in the tar */
    uint64_t layout_offset; /* ... those of oci-layout */
    uint64_t index_offset;  /* ... of index.json */
    uint64_t *blob_offsets; /* ... of each blob */
    uint64_t bytes;         /* of the tar */
};

#endif
