/*
 * Bytes of a blob from one bundle file to another without passing through this process, so that a
 * file system that can share blocks does. Called by src/copy for what stands under the
 * destination's name, and for bundles as sources.
 */
#include "bundle/bundle.h"

#include <assert.h>
#include <inttypes.h>

#include "bundle/journal_priv.h"
#include "bundle/reader_priv.h"
#include "bundle/volumes_priv.h"
#include "bundle/writer_priv.h"

/* Only what lies alike within a block can be shared; without that, copying in the kernel and
 * reading back costs a little more than passing the bytes through. */
static bool lies_alike(const struct bundle_entry *entry, const struct bundle_plan *plan,
                       size_t blob)
{
    return entry->offset % BUNDLE_SHARE_BLOCK == plan->blob_offsets[blob] % BUNDLE_SHARE_BLOCK;
}

bool bundle_writer_take(struct bundle_writer *writer, size_t blob,
                        const struct bundle_reader *reader, const struct bundle_blob *from,
                        uint64_t len, struct mir_error *err)
{
    const struct bundle_plan *plan = writer->plan;
    const struct bundle_entry *entry = bundle_reader_entry(reader, &from->digest);
    uint64_t at = writer->reached[blob];

    assert(blob < plan->blob_count && !bundle_writer_has(writer, blob));
    assert(at <= plan->blobs[blob].size && len <= plan->blobs[blob].size - at);
    if (writer->form != BUNDLE_FORM_TAR || reader->form != BUNDLE_FORM_TAR || !entry ||
        !lies_alike(entry, plan, blob))
        return mir_fail(err, MIR_E_UNSUPPORTED, "%s and %s cannot share blocks", reader->path,
                        writer->path);
    if (at > entry->blob.size || len > entry->blob.size - at)
        return mir_fail(err, MIR_E_DIGEST, "%s: blob %s has %" PRIu64 " bytes", reader->path,
                        from->digest.text, entry->blob.size);
    if (!bundle_volumes_copy(reader->volumes, entry->offset + at, writer->volumes,
                             plan->blob_offsets[blob] + at, len, err))
        return mir_context(err, "copy from %s", reader->path);
    writer->reached[blob] = at + len;
    return bundle_journal_note(writer->journal, blob, at + len, err);
}
