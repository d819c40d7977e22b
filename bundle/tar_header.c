/*
 * One tar header as bytes, made by libarchive. Called by the plan (how long is it?) and by the
 * writer (put it there). The same arguments give the same bytes.
 *
 * libarchive writes whole archives, and fills up a file of which it got only the header. So each
 * header comes from an archive that takes no more bytes once the header is out.
 */
#include "bundle/tar_priv.h"

#include <archive.h>
#include <archive_entry.h>

struct sink {
    struct mir_buf *out;
    bool full; /* the header is out */
};

static la_ssize_t collect(struct archive *archive, void *ctx, const void *bytes, size_t len)
{
    struct sink *sink = ctx;

    (void)archive;
    if (sink->full)
        return -1;
    mir_buf_add(sink->out, mir_span(bytes, len));
    return (la_ssize_t)len;
}

static void free_archive(struct archive **archive)
{
    (void)archive_write_free(*archive);
}

static void free_entry(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}

#define auto_archive __attribute__((cleanup(free_archive))) struct archive
#define auto_entry   __attribute__((cleanup(free_entry))) struct archive_entry

static bool write_header(struct archive *archive, struct archive_entry *entry, struct sink *sink)
{
    /* "Restricted" writes pax blocks only where ustar cannot say it. Block size 0: no buffering. */
    return archive_write_set_format_pax_restricted(archive) == ARCHIVE_OK &&
           archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK &&
           archive_write_open2(archive, sink, NULL, collect, NULL, NULL) == ARCHIVE_OK &&
           archive_write_header(archive, entry) == ARCHIVE_OK;
}

bool bundle_tar_header(const char *name, uint64_t size, int64_t epoch, struct mir_buf *out,
                       struct mir_error *err)
{
    struct sink sink = {.out = out}; /* outlives the archive, which writes when it is freed */
    auto_archive *archive = archive_write_new();
    auto_entry *entry = archive_entry_new();
    bool written;

    if (!archive || !entry)
        return mir_fail(err, MIR_E_LIMIT, "tar header of %s: out of memory", name);
    if (size > INT64_MAX)
        return mir_fail(err, MIR_E_LIMIT, "tar header of %s: too large", name);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    archive_entry_set_size(entry, (int64_t)size);
    archive_entry_set_mtime(entry, epoch, 0);
    written = write_header(archive, entry, &sink);
    sink.full = true;
    if (!written)
        (void)mir_fail(err, MIR_E_FORMAT, "tar header of %s: %s", name,
                       archive_error_string(archive) ? archive_error_string(archive) : "failed");
    return written && mir_buf_check(out, "tar header", err);
}
