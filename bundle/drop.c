/*
 * Taking images out of a tar that is being written, without a second copy: what stays moves towards
 * the start of the same file. Called by writer.c when some images could not be completed.
 *
 * Invariant: nothing moves up. Dropping takes entries away and makes index.json and
 * mirror-base.json no longer, so the new place of every blob is at or below its old one; going
 * through the blobs in the order of the file, no byte is overwritten before it was moved. The
 * journal says where each blob is meanwhile, so that a run that is killed here loses one blob and
 * not all.
 */
#include "bundle/writer_priv.h"

#include <assert.h>

#include "base/mem.h"
#include "bundle/journal_priv.h"
#include "bundle/leftover_priv.h"
#include "bundle/previous_priv.h"
#include "bundle/tar_priv.h"
#include "bundle/volumes_priv.h"

#define CHUNK (1u << 20)

static void free_plan(struct bundle_plan **plan)
{
    bundle_plan_free(*plan);
}

/* What is kept, in the same order. The caller frees both. */
static void select_kept(const struct bundle_writer *writer, struct bundle_image **images,
                        size_t *image_count, struct bundle_blob **blobs, size_t *blob_count)
{
    const struct bundle_plan *plan = writer->plan;

    *images = mir_alloc_array(plan->image_count, sizeof(**images));
    *blobs = mir_alloc_array(plan->blob_count, sizeof(**blobs));
    *image_count = 0;
    *blob_count = 0;
    for (size_t i = 0; i < plan->image_count; i++)
        if (writer->kept_images[i])
            (*images)[(*image_count)++] = plan->images[i];
    for (size_t i = 0; i < plan->blob_count; i++)
        if (writer->kept_blobs[i])
            (*blobs)[(*blob_count)++] = plan->blobs[i];
}

static bool move_down(const struct bundle_volumes *set, uint64_t from, uint64_t to, uint64_t size,
                      char *chunk, struct mir_error *err)
{
    assert(to <= from);
    if (from == to)
        return true;
    while (size > 0) {
        size_t len = size < CHUNK ? (size_t)size : CHUNK;

        if (!bundle_volumes_pread(set, chunk, len, from, err) ||
            !bundle_volumes_pwrite(set, mir_span(chunk, len), to, err))
            return false;
        from += len;
        to += len;
        size -= len;
    }
    return true;
}

static bool move_blobs(const struct bundle_writer *writer, const struct bundle_plan *kept,
                       struct mir_error *err)
{
    auto_free char *chunk = mir_alloc(CHUNK);
    const struct bundle_plan *plan = writer->plan;
    size_t to = 0;

    for (size_t from = 0; from < plan->blob_count; from++) {
        if (!writer->kept_blobs[from])
            continue;
        if (!move_down(writer->volumes, plan->blob_offsets[from], kept->blob_offsets[to],
                       kept->blobs[to].size, chunk, err) ||
            !bundle_journal_move(writer->journal, from, kept->blob_offsets[to],
                                 kept->blobs[to].size, err) ||
            !bundle_tar_write_blob_header(writer->volumes, kept, to, err) ||
            !bundle_tar_write_blob_padding(writer->volumes, kept, to, err))
            return false;
        to++;
    }
    return true;
}

static bool rewrite(const struct bundle_writer *writer, const struct bundle_plan *kept,
                    struct mir_error *err)
{
    static const char zeros[BUNDLE_TAR_END];

    assert(kept->bytes <= writer->plan->bytes);
    if (!bundle_tar_write_front(writer->volumes, kept, err) || !move_blobs(writer, kept, err))
        return false;
    if (!bundle_volumes_pwrite(writer->volumes, mir_span(zeros, sizeof(zeros)),
                               kept->bytes - sizeof(zeros), err))
        return false;
    return bundle_volumes_cut(writer->volumes, kept->bytes, err);
}

/* What is not kept is saved where it is not in the way, if there is room. */
static void save_dropped(struct bundle_writer *writer)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* what is not saved is fetched again, some day */
    bool saved;

    for (size_t i = 0; i < writer->plan->blob_count; i++)
        if (!writer->kept_blobs[i])
            bundle_tar_gather(writer, i);
    bundle_previous_remove_leftovers(writer); /* all that was asked for is taken */
    saved = bundle_leftover_save(writer, &ignored);
    (void)saved;
}

/* From here on blobs are where their lines say, and those that are not kept are nowhere. */
static bool begin_moving(struct bundle_writer *writer, struct mir_error *err)
{
    for (size_t i = 0; i < writer->plan->blob_count; i++) {
        if (writer->kept_blobs[i] || writer->reached[i] == 0)
            continue;
        writer->reached[i] = 0;
        if (!bundle_journal_note(writer->journal, i, 0, err))
            return false;
    }
    return bundle_journal_enter(writer->journal, BUNDLE_JOURNAL_MOVING, writer->volumes->bytes,
                                err);
}

bool bundle_tar_drop(struct bundle_writer *writer, struct mir_error *err)
{
    auto_free struct bundle_image *images = NULL;
    auto_free struct bundle_blob *blobs = NULL;
    __attribute__((cleanup(free_plan))) struct bundle_plan *kept = NULL;
    struct bundle_base base;
    auto_free struct bundle_left_out *left_out = bundle_writer_kept_base(writer, &base);
    size_t image_count, blob_count;

    (void)left_out; /* base points to it until the end */
    select_kept(writer, &images, &image_count, &blobs, &blob_count);
    if (!bundle_plan_new_since(images, image_count, blobs, blob_count, &base, writer->plan->epoch,
                               &kept, err))
        return mir_context(err, "leave out images of %s", writer->path);
    save_dropped(writer);
    if (!begin_moving(writer, err) || !rewrite(writer, kept, err))
        return mir_context(err, "leave out images of %s", writer->path);
    return true;
}
