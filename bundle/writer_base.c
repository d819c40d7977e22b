/*
 * What a differential still leaves out when images are dropped from it. Called by src/copy, and by
 * drop.c, which plans the bundle anew.
 */
#include "bundle/base.h"

#include <assert.h>

#include "base/mem.h"
#include "bundle/writer_priv.h"

void bundle_writer_keep_left_out(struct bundle_writer *writer, const bool *keep)
{
    const struct bundle_base *base = writer->plan->base;

    assert(!writer->kept_left_out && !writer->kept_images);
    if (!base)
        return;
    writer->kept_left_out = mir_alloc_array(base->count, sizeof(*keep));
    for (size_t i = 0; i < base->count; i++)
        writer->kept_left_out[i] = keep[i];
}

struct bundle_left_out *bundle_writer_kept_base(const struct bundle_writer *writer,
                                                struct bundle_base *base)
{
    const struct bundle_base *whole = writer->plan->base;
    struct bundle_left_out *blobs;

    *base = (struct bundle_base){.name = NULL};
    if (!whole)
        return NULL;
    blobs = mir_alloc_array(whole->count, sizeof(*blobs));
    *base = (struct bundle_base){.name = whole->name, .index = whole->index, .blobs = blobs};
    for (size_t i = 0; i < whole->count; i++)
        if (!writer->kept_left_out || writer->kept_left_out[i])
            blobs[base->count++] = whole->blobs[i];
    return blobs;
}
