/*
 * Writing a bundle: the public side. It keeps the state of every blob, checks what callers promise,
 * and leaves the bytes to the form's own file. Called by src/copy, from many threads.
 */
#include "bundle/bundle.h"

#include <assert.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/journal_priv.h"
#include "bundle/leftover_priv.h"
#include "bundle/pipe_priv.h"
#include "bundle/volumes_priv.h"
#include "bundle/writer_priv.h"

static void free_writer(struct bundle_writer *writer)
{
    free(writer->path);
    free(writer->states);
    free(writer->reached);
    free(writer->fds);
    free(writer->kept_images);
    free(writer->kept_blobs);
    free(writer->kept_left_out);
    bundle_volumes_free(writer->volumes);
    bundle_journal_close(writer->journal);
    for (size_t i = 0; i < BUNDLE_LEFTOVER_KINDS; i++)
        bundle_leftover_close(writer->leftovers[i]);
    if (writer->dir >= 0)
        (void)close(writer->dir);
    bundle_pipe_out_free(writer->out);
    free(writer);
}

static bool begin(struct bundle_writer *writer, struct mir_error *err)
{
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        return bundle_tar_begin(writer, err);
    case BUNDLE_FORM_DIR:
        return bundle_dir_begin(writer, err);
    case BUNDLE_FORM_PIPE:
        break;
    }
    assert(false); /* pipes begin with bundle_writer_begin_pipe() */
    return false;
}

static bool check_volume_bytes(enum bundle_form form, uint64_t bytes, struct mir_error *err)
{
    if (bytes == 0)
        return true;
    if (form != BUNDLE_FORM_TAR)
        return mir_fail(err, MIR_E_USAGE, "a layout in a directory is not cut into volumes");
    if (bytes % BUNDLE_VOLUME_UNIT != 0 || bytes < BUNDLE_VOLUME_MIN || bytes > INT64_MAX)
        return mir_fail(err, MIR_E_USAGE,
                        "volumes of %" PRIu64 " bytes: take a multiple of %d, at least %u", bytes,
                        BUNDLE_VOLUME_UNIT, BUNDLE_VOLUME_MIN);
    return true;
}

static struct bundle_writer *new_writer(const char *path, enum bundle_form form,
                                        const struct bundle_plan *plan, uint64_t volume_bytes)
{
    struct bundle_writer *writer = mir_alloc(sizeof(*writer));

    *writer =
        (struct bundle_writer){.form = form, .plan = plan, .volume_bytes = volume_bytes, .dir = -1};
    writer->path = mir_strdup(path);
    writer->states = mir_alloc_array(plan->blob_count, sizeof(*writer->states));
    writer->reached = mir_alloc_array(plan->blob_count, sizeof(*writer->reached));
    return writer;
}

bool bundle_writer_begin_pipe(int fd, const char *name, const struct bundle_plan *plan,
                              const struct mir_cancel *cancel, struct bundle_writer **out,
                              struct mir_error *err)
{
    struct bundle_writer *writer = new_writer(name, BUNDLE_FORM_PIPE, plan, 0);

    if (!bundle_pipe_begin(writer, fd, cancel, err)) {
        free_writer(writer);
        return false;
    }
    *out = writer;
    return true;
}

bool bundle_writer_begin(const char *path, enum bundle_form form, const struct bundle_plan *plan,
                         uint64_t volume_bytes, struct bundle_writer **out, struct mir_error *err)
{
    struct bundle_writer *writer;

    if (!check_volume_bytes(form, volume_bytes, err))
        return false;
    writer = new_writer(path, form, plan, volume_bytes);
    if (!begin(writer, err)) {
        bundle_writer_suspend(writer); /* what an earlier run brought is not lost with this one */
        return false;
    }
    *out = writer;
    return true;
}

bool bundle_writer_has(const struct bundle_writer *writer, size_t blob)
{
    assert(blob < writer->plan->blob_count);
    return atomic_load(&writer->states[blob]) != BUNDLE_BLOB_ABSENT;
}

/* ---- the bytes of a blob ---- */

uint64_t bundle_writer_reached(struct bundle_writer *writer, size_t blob)
{
    assert(blob < writer->plan->blob_count);
    if (bundle_writer_has(writer, blob))
        return writer->plan->blobs[blob].size;
    if (writer->form == BUNDLE_FORM_TAR)
        bundle_tar_gather(writer, blob);
    return writer->reached[blob];
}

bool bundle_writer_read(struct bundle_writer *writer, size_t blob, uint64_t offset, void *data,
                        size_t len, struct mir_error *err)
{
    assert(blob < writer->plan->blob_count && !bundle_writer_has(writer, blob));
    assert(offset <= writer->reached[blob] && len <= writer->reached[blob] - offset);
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        return bundle_volumes_pread(writer->volumes, data, len,
                                    writer->plan->blob_offsets[blob] + offset, err);
    case BUNDLE_FORM_DIR:
        return bundle_dir_read(writer, blob, offset, data, len, err);
    case BUNDLE_FORM_PIPE:
        return mir_fail(err, MIR_E_UNSUPPORTED, "%s cannot be read back", writer->path);
    }
    return false;
}

void bundle_writer_reset(struct bundle_writer *writer, size_t blob)
{
    assert(blob < writer->plan->blob_count && !bundle_writer_has(writer, blob));
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        bundle_tar_reset(writer, blob);
        break;
    case BUNDLE_FORM_DIR:
        bundle_dir_reset(writer, blob);
        break;
    case BUNDLE_FORM_PIPE:
        bundle_pipe_reset(writer, blob);
        break;
    }
}

/* Bytes beyond its size would land in the next file. */
static bool check_range(const struct bundle_plan *plan, size_t blob, uint64_t offset,
                        struct mir_span bytes, struct mir_error *err)
{
    const struct bundle_blob *target = &plan->blobs[blob];
    uint64_t end;

    if (!__builtin_add_overflow(offset, bytes.len, &end) && end <= target->size)
        return true;
    return mir_fail(err, MIR_E_DIGEST, "blob %s: more than the %" PRIu64 " bytes it should have",
                    target->digest.text, target->size);
}

static bool write_bytes(struct bundle_writer *writer, size_t blob, uint64_t offset,
                        struct mir_span bytes, struct mir_error *err)
{
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        return bundle_tar_write(writer, blob, offset, bytes, err);
    case BUNDLE_FORM_DIR:
        return bundle_dir_write(writer, blob, offset, bytes, err);
    case BUNDLE_FORM_PIPE:
        return bundle_pipe_write(writer, blob, offset, bytes, err);
    }
    return false;
}

bool bundle_writer_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                         struct mir_span bytes, struct mir_error *err)
{
    assert(blob < writer->plan->blob_count && !bundle_writer_has(writer, blob));
    if (!check_range(writer->plan, blob, offset, bytes, err))
        return false;
    assert(offset <= writer->reached[blob]);
    if (!write_bytes(writer, blob, offset, bytes, err))
        return false;
    writer->reached[blob] = offset + bytes.len;
    return true;
}

bool bundle_writer_finish(struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    assert(blob < writer->plan->blob_count && !bundle_writer_has(writer, blob));
    if (writer->form == BUNDLE_FORM_DIR && !bundle_dir_finish(writer, blob, err))
        return false;
    if (writer->form == BUNDLE_FORM_PIPE && !bundle_pipe_finish(writer, blob, err))
        return false;
    atomic_store(&writer->states[blob], BUNDLE_BLOB_FINISHED);
    return true;
}

static bool *copy_flags(const bool *flags, size_t count)
{
    bool *copy = mir_alloc_array(count, sizeof(*copy));

    if (count > 0)
        memcpy(copy, flags, count * sizeof(*copy));
    return copy;
}

bool bundle_writer_drop(struct bundle_writer *writer, const bool *keep_image, const bool *keep_blob,
                        struct mir_error *err)
{
    assert(!writer->kept_images);
    writer->kept_images = copy_flags(keep_image, writer->plan->image_count);
    writer->kept_blobs = copy_flags(keep_blob, writer->plan->blob_count);
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        return bundle_tar_drop(writer, err);
    case BUNDLE_FORM_DIR:
        bundle_dir_drop(writer);
        return true;
    case BUNDLE_FORM_PIPE:
        return mir_fail(err, MIR_E_UNSUPPORTED, "what has gone to %s cannot be taken back",
                        writer->path);
    }
    return false;
}

static bool all_finished(const struct bundle_writer *writer)
{
    for (size_t i = 0; i < writer->plan->blob_count; i++)
        if ((!writer->kept_blobs || writer->kept_blobs[i]) && !bundle_writer_has(writer, i))
            return false;
    return true;
}

bool bundle_writer_commit(struct bundle_writer *writer, struct mir_error *err)
{
    bool committed = false;

    assert(all_finished(writer));
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        committed = bundle_tar_commit(writer, err);
        break;
    case BUNDLE_FORM_DIR:
        committed = bundle_dir_commit(writer, err);
        break;
    case BUNDLE_FORM_PIPE:
        committed = bundle_pipe_commit(writer, err);
        break;
    }
    if (!committed) {
        bundle_writer_suspend(writer);
        return false;
    }
    free_writer(writer);
    return true;
}

void bundle_writer_suspend(struct bundle_writer *writer)
{
    if (!writer)
        return;
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        bundle_tar_suspend(writer);
        break;
    case BUNDLE_FORM_DIR:
        bundle_dir_suspend(writer);
        break;
    case BUNDLE_FORM_PIPE:
        break; /* it ends in the middle, which every reader sees */
    }
    free_writer(writer);
}

void bundle_writer_abort(struct bundle_writer *writer)
{
    if (!writer)
        return;
    switch (writer->form) {
    case BUNDLE_FORM_TAR:
        bundle_tar_abort(writer);
        break;
    case BUNDLE_FORM_DIR:
        bundle_dir_abort(writer);
        break;
    case BUNDLE_FORM_PIPE:
        break;
    }
    free_writer(writer);
}
