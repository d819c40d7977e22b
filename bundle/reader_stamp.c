/*
 * Has anybody written to a blob since? What the file system says of the files it lies in. Called by
 * who keeps a bundle open for long; a bundle that is replaced by renaming another over it keeps its
 * stamp, because the open files stay what they were.
 */
#include <inttypes.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/reader_priv.h"
#include "bundle/volumes_priv.h"

#define STAMP_TEXT_MAX (128u << 10) /* of 999 volumes */

/* Not the time of the last change of the inode: giving the file another name, or none, counts there
 * too. */
static bool add_file(struct mir_buf *text, int fd, struct mir_error *err)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return mir_fail_errno(err, "fstat");
    mir_buf_printf(text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 ".%09ld\n",
                   (uint64_t)info.st_dev, (uint64_t)info.st_ino, (uint64_t)info.st_size,
                   (int64_t)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    return true;
}

static bool add_volumes(struct mir_buf *text, const struct bundle_volumes *set,
                        const struct bundle_entry *entry, struct mir_error *err)
{
    uint64_t end = entry->offset + (entry->blob.size > 0 ? entry->blob.size - 1 : 0);
    size_t first = set->volume_bytes > 0 ? (size_t)(entry->offset / set->volume_bytes) : 0;
    size_t last = set->volume_bytes > 0 ? (size_t)(end / set->volume_bytes) : 0;

    for (size_t i = first; i <= last && i < set->count; i++)
        if (!add_file(text, set->fds[i], err))
            return false;
    return true;
}

bool bundle_reader_stamp(const struct bundle_reader *reader, const struct bundle_blob *blob,
                         struct bundle_stamp *out, struct mir_error *err)
{
    const struct bundle_entry *entry = bundle_reader_entry(reader, &blob->digest);
    auto_close int fd = -1;
    auto_buf text;

    mir_buf_init(&text, STAMP_TEXT_MAX);
    if (!entry || reader->form == BUNDLE_FORM_PIPE)
        return mir_fail(err, MIR_E_NOT_FOUND, "%s: the blob %s is missing", reader->path,
                        blob->digest.text);
    if (reader->form == BUNDLE_FORM_TAR) {
        if (!add_volumes(&text, reader->volumes, entry, err))
            return mir_context(err, "%s", reader->path);
    } else if (!bundle_dir_open_blob(reader, &blob->digest, &fd, err) ||
               !add_file(&text, fd, err)) {
        return mir_context(err, "%s", reader->path);
    }
    mir_hash_bytes(MIR_HASH_SHA256, mir_buf_span(&text), out->text);
    return true;
}
