/*
 * Writing a bundle as one tar, in one file or cut into volumes. It grows under PATH.partial (or
 * PATH.001.partial, ...), locked, with its space claimed and all headers in place before the first
 * blob; blobs are written where the plan puts them, once. Called by writer.c.
 *
 * Invariant: whatever stands under PATH is whole. PATH.partial is ours only while its lock is.
 */
#include "bundle/writer_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/base_priv.h"
#include "bundle/layout_priv.h"
#include "bundle/tar_priv.h"
#include "bundle/volumes_priv.h"

/* ---- the .partial file ---- */

static bool check_target(const char *path, struct mir_error *err)
{
    struct stat info;

    if (strcmp(path, "-") == 0)
        return mir_fail(err, MIR_E_UNSUPPORTED,
                        "a bundle cannot go to standard output: its blobs arrive in any order");
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

    if (writer->volume_bytes > 0 && access(writer->path, F_OK) == 0)
        return conflict(writer->path,
                        "a bundle in one file, and volumes of that name are asked for",
                        "write the volumes under another name", err);
    if (writer->volume_bytes == 0 && access(first, F_OK) == 0)
        return conflict(first, "a volume of a bundle of that name, and one file is asked for",
                        "write the file under another name", err);
    return true;
}

static bool check_count(const struct bundle_writer *writer, struct mir_error *err)
{
    uint64_t bytes = writer->plan->bytes;
    uint64_t needed = bundle_volumes_needed(bytes, writer->volume_bytes);
    uint64_t least = bytes / BUNDLE_VOLUMES_MAX + BUNDLE_VOLUME_UNIT;

    if (needed <= BUNDLE_VOLUMES_MAX)
        return true;
    (void)mir_fail(err, MIR_E_LIMIT,
                   "%s: %" PRIu64 " bytes in volumes of %" PRIu64 " are %" PRIu64
                   " volumes; at most %d can be numbered",
                   writer->path, bytes, writer->volume_bytes, needed, BUNDLE_VOLUMES_MAX);
    return mir_hint(err, "take volumes of at least %" PRIu64 " bytes",
                    least - least % BUNDLE_VOLUME_UNIT);
}

static bool open_partial(struct bundle_writer *writer, struct mir_error *err)
{
    struct bundle_volumes *set = bundle_volumes_new(writer->path, BUNDLE_PARTIAL_SUFFIX,
                                                    writer->volume_bytes, writer->plan->bytes);

    writer->volumes = set;
    if (!bundle_volumes_lock(set, err))
        return false;
    /* What a killed run left is replaced. */
    if (set->volume_bytes > 0)
        bundle_volumes_remove_above(set->base, set->suffix, set->count);
    return bundle_volumes_create(set, err) && bundle_volumes_empty(set, err);
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

/* Padding and the end of the archive are zeros, which a claimed file has. */
static bool write_frame(const struct bundle_volumes *set, const struct bundle_plan *plan,
                        struct mir_error *err)
{
    if (!bundle_tar_write_front(set, plan, err))
        return false;
    for (size_t i = 0; i < plan->blob_count; i++)
        if (!bundle_tar_write_blob_header(set, plan, i, err))
            return false;
    return true;
}

/* ---- the writer ---- */

bool bundle_tar_begin(struct bundle_writer *writer, struct mir_error *err)
{
    if (!check_target(writer->path, err) || !check_neighbour(writer, err) ||
        !check_count(writer, err) || !open_partial(writer, err))
        return false;
    return bundle_volumes_claim(writer->volumes, err) &&
           write_frame(writer->volumes, writer->plan, err);
}

bool bundle_tar_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                      struct mir_span bytes, struct mir_error *err)
{
    return bundle_volumes_pwrite(writer->volumes, bytes, writer->plan->blob_offsets[blob] + offset,
                                 err);
}

bool bundle_tar_commit(struct bundle_writer *writer, struct mir_error *err)
{
    return bundle_volumes_sync(writer->volumes, err) &&
           bundle_volumes_rename(writer->volumes, "", err);
}

void bundle_tar_abort(struct bundle_writer *writer)
{
    /* After a commit that failed some may have their final name: then they stay, as bytes that were
     * synced, and only what is still ".partial" goes. */
    if (writer->volumes)
        bundle_volumes_remove(writer->volumes);
}
