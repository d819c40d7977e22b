/*
 * Writing a bundle as one tar, in one file or cut into volumes. It grows under PATH.partial (or
 * PATH.001.partial, ...), locked, with its space claimed and all headers in place before the first
 * blob; blobs are written where the plan puts them, once. Called by writer.c.
 *
 * Invariant: whatever stands under PATH is whole. PATH.partial is ours only while its lock is.
 */
#include "bundle/writer_priv.h"

#include <assert.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bundle/base_priv.h"
#include "bundle/journal_priv.h"
#include "bundle/layout_priv.h"
#include "bundle/leftover_priv.h"
#include "bundle/previous_priv.h"
#include "bundle/tar_priv.h"
#include "bundle/volumes_priv.h"

/* What is reached is noted each time a multiple of this is crossed, and at the end of a blob. Less
 * would cost more than it can save; what a kill loses is at most this much of each blob at hand. */
#define NOTE_STEP (128u << 10)

/* ---- what may be written where ---- */

static bool check_target(const char *path, struct mir_error *err)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return true; /* not there, or opening the .partial tells what is wrong */
    if (S_ISDIR(info.st_mode)) {
        (void)mir_fail(err, MIR_E_USAGE, "%s is a directory, not a bundle file", path);
        return mir_hint(err, "name a file in it, or write a layout with oci:%s", path);
    }
    if (!S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_USAGE, "%s is not a regular file", path);
    return true;
}

static bool conflict(const char *there, const char *what, const char *way_out,
                     struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_CONFLICT, "%s is there, %s", there, what);
    return mir_hint(err, "move it away, or %s", way_out);
}

/* One file and volumes under one name: a reader could not tell which is meant. */
static bool check_neighbour(const struct bundle_writer *writer, struct mir_error *err)
{
    auto_free char *first = bundle_volume_name(writer->path, 1, "");
    auto_free char *other = NULL;

    if (writer->volume_bytes > 0 && access(writer->path, F_OK) == 0)
        return conflict(writer->path,
                        "a bundle in one file, and volumes of that name are asked for",
                        "write the volumes under another name", err);
    if (writer->volume_bytes == 0 && access(first, F_OK) == 0)
        return conflict(first, "a volume of a bundle of that name, and one file is asked for",
                        "write the file under another name", err);
    if (writer->volume_bytes == 0 && bundle_volumes_has_other(writer->path, &other))
        return conflict(other, "and with it the new file would be taken for a volume",
                        "write the file under a name without a number at its end", err);
    return true;
}

static bool check_count(const struct bundle_writer *writer, struct mir_error *err)
{
    size_t count;

    return bundle_volumes_count(writer->plan->bytes, writer->volume_bytes, &count, err) ||
           mir_context(err, "%s", writer->path);
}

/* ---- everything but blobs ---- */

/* A header, so that the bytes it announces begin at offset. */
static bool write_header(const struct bundle_volumes *set, const char *name, uint64_t size,
                         uint64_t offset, const struct bundle_plan *plan, struct mir_error *err)
{
    auto_buf header;

    mir_buf_init(&header, BUNDLE_TAR_HEADER_MAX);
    if (!bundle_tar_header(name, size, plan->epoch, &header, err))
        return false;
    assert(header.len <= offset);
    return bundle_volumes_pwrite(set, mir_buf_span(&header), offset - header.len, err);
}

/* A file's bytes begin on a block, so its end tells how much of the last block is left. */
static bool write_padding(const struct bundle_volumes *set, uint64_t end, struct mir_error *err)
{
    static const char zeros[BUNDLE_TAR_BLOCK];

    return bundle_volumes_pwrite(set, mir_span(zeros, (size_t)bundle_tar_padding(end)), end, err);
}

static bool write_small(const struct bundle_volumes *set, const char *name, struct mir_span bytes,
                        uint64_t offset, const struct bundle_plan *plan, struct mir_error *err)
{
    return write_header(set, name, bytes.len, offset, plan, err) &&
           bundle_volumes_pwrite(set, bytes, offset, err) &&
           write_padding(set, offset + bytes.len, err);
}

bool bundle_tar_write_front(const struct bundle_volumes *set, const struct bundle_plan *plan,
                            struct mir_error *err)
{
    if (!write_small(set, BUNDLE_LAYOUT_NAME, mir_span_of(BUNDLE_LAYOUT_TEXT), plan->layout_offset,
                     plan, err) ||
        !write_small(set, BUNDLE_INDEX_NAME, mir_span(plan->index, plan->index_len),
                     plan->index_offset, plan, err))
        return false;
    return !plan->base_text ||
           write_small(set, BUNDLE_BASE_FILE, mir_span(plan->base_text, plan->base_len),
                       plan->base_offset, plan, err);
}

bool bundle_tar_write_blob_header(const struct bundle_volumes *set, const struct bundle_plan *plan,
                                  size_t blob, struct mir_error *err)
{
    const struct bundle_blob *target = &plan->blobs[blob];
    char path[BUNDLE_PATH_MAX];

    return write_header(set, bundle_blob_path(&target->digest, path), target->size,
                        plan->blob_offsets[blob], plan, err);
}

bool bundle_tar_write_blob_padding(const struct bundle_volumes *set, const struct bundle_plan *plan,
                                   size_t blob, struct mir_error *err)
{
    return write_padding(set, plan->blob_offsets[blob] + plan->blobs[blob].size, err);
}

/* Everything but blobs, again: what is there need not be what we wrote. */
static bool write_zeros(const struct bundle_volumes *set, const struct bundle_plan *plan,
                        struct mir_error *err)
{
    static const char zeros[BUNDLE_TAR_END];

    for (size_t i = 0; i < plan->blob_count; i++)
        if (!bundle_tar_write_blob_padding(set, plan, i, err))
            return false;
    return bundle_volumes_pwrite(set, mir_span(zeros, sizeof(zeros)), plan->bytes - sizeof(zeros),
                                 err);
}

/* Padding and the end of the archive are zeros, which a new file has. */
static bool write_frame(const struct bundle_volumes *set, const struct bundle_plan *plan,
                        bool is_new, struct mir_error *err)
{
    if (!bundle_tar_write_front(set, plan, err))
        return false;
    for (size_t i = 0; i < plan->blob_count; i++)
        if (!bundle_tar_write_blob_header(set, plan, i, err))
            return false;
    return is_new || write_zeros(set, plan, err);
}

/* ---- the writer ---- */

/* When leftovers take the room that is needed, they are moved over now, and not when their blobs
 * are asked for. */
static bool claim(struct bundle_writer *writer, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;

    if (bundle_volumes_claim(writer->volumes, &trouble))
        return true;
    if (trouble.code == MIR_E_SPACE && (writer->leftovers[0] || writer->leftovers[1])) {
        struct mir_error ignored = MIR_ERROR_INIT; /* the trouble stays the one to report */

        if (bundle_volumes_stretch(writer->volumes, &ignored) &&
            bundle_previous_gather_all(writer, &ignored))
            return bundle_volumes_claim(writer->volumes, err);
    }
    *err = trouble;
    return false;
}

bool bundle_tar_begin(struct bundle_writer *writer, struct mir_error *err)
{
    bool resumed;

    if (!check_target(writer->path, err) || !check_neighbour(writer, err) ||
        !check_count(writer, err) || !bundle_previous_take_over(writer, &resumed, err))
        return false;
    /* A commit that was finished may have made a neighbour. */
    return check_neighbour(writer, err) && claim(writer, err) &&
           write_frame(writer->volumes, writer->plan, !resumed, err);
}

void bundle_tar_gather(struct bundle_writer *writer, size_t blob)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* what does not come from there is fetched */
    bool gathered = bundle_previous_gather(writer, blob, &ignored);

    (void)gathered;
}

void bundle_tar_reset(struct bundle_writer *writer, size_t blob)
{
    writer->reached[blob] = 0;
    bundle_journal_try_note(writer->journal, blob, 0);
}

bool bundle_tar_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                      struct mir_span bytes, struct mir_error *err)
{
    uint64_t end = offset + bytes.len;

    if (!bundle_volumes_pwrite(writer->volumes, bytes, writer->plan->blob_offsets[blob] + offset,
                               err))
        return false;
    if (offset / NOTE_STEP == end / NOTE_STEP && end < writer->plan->blobs[blob].size)
        return true;
    return bundle_journal_note(writer->journal, blob, end, err);
}

/* ---- the end ---- */

static void remove_journal(const struct bundle_writer *writer)
{
    auto_free char *name = bundle_journal_name(writer->path);

    if (writer->journal)
        (void)unlink(name); /* what stays belongs to no file, and goes at the next begin */
}

/* Volumes get their names one by one; a run that finds this begun finishes it. */
static bool rename_volumes(struct bundle_writer *writer, struct mir_error *err)
{
    if (!bundle_journal_enter(writer->journal, BUNDLE_JOURNAL_COMMITTING, writer->volumes->bytes,
                              err) ||
        !bundle_volumes_rename(writer->volumes, "", err))
        return false;
    remove_journal(writer);
    /* A power loss must not bring it back, beside files of another plan. */
    return mir_sync_parent(writer->path, err);
}

bool bundle_tar_commit(struct bundle_writer *writer, struct mir_error *err)
{
    if (!bundle_volumes_sync(writer->volumes, err))
        return false;
    if (writer->volume_bytes > 0) {
        if (!rename_volumes(writer, err))
            return false;
    } else if (!bundle_volumes_rename(writer->volumes, "", err)) {
        return false;
    }
    remove_journal(writer);
    if (writer->kept_blobs) /* what was dropped waits for the next run */
        bundle_leftover_close(mir_steal(&writer->leftovers[BUNDLE_LEFTOVER_SAVED]));
    bundle_previous_remove_leftovers(writer);
    return true;
}

static bool has_brought(const struct bundle_writer *writer)
{
    for (size_t i = 0; i < writer->plan->blob_count; i++)
        if (writer->reached[i] > 0)
            return true;
    return false;
}

void bundle_tar_suspend(struct bundle_writer *writer)
{
    if (!has_brought(writer)) {
        bundle_tar_abort(writer);
        return;
    }
    for (size_t i = 0; i < writer->plan->blob_count && writer->journal; i++)
        if (writer->reached[i] > 0 && !bundle_writer_has(writer, i))
            bundle_journal_try_note(writer->journal, i, writer->reached[i]);
}

void bundle_tar_abort(struct bundle_writer *writer)
{
    /* After a commit that failed some may have their final name: then they stay, as bytes that were
     * synced, and only what is still ".partial" goes. */
    if (writer->volumes)
        bundle_volumes_remove(writer->volumes);
    remove_journal(writer);
}
