/*
 * What is in a tar, found by one walk over its headers. libarchive reads the headers; blobs are
 * skipped, not read. Called by reader.c when a bundle is opened; the file may be anybody's.
 *
 * Invariant: what is noted of an entry lies inside the file, between its header and the next. The
 * walk checks that every header begins where the entry before it ended, so a size that libarchive
 * understands in another way than we do (sparse files, odd extensions) cannot slip through.
 */
#include "bundle/reader_priv.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "bundle/tar_entry_priv.h"
#include "bundle/tar_priv.h"
#include "bundle/volumes_priv.h"

/* Several small blobs with their headers come in one read, and little of a large one in vain. */
#define READ_CHUNK 16384

struct scan {
    struct bundle_reader *reader;
    uint64_t at;       /* where the next read begins */
    uint64_t expected; /* where the next header has to begin */
    uint64_t needed;   /* set when the file is too short: bytes it should have at least */
    bool no_header;    /* set when what stands at the expected place is none */
    size_t entries;
    struct mir_error read_error; /* of a read that failed */
    char chunk[READ_CHUNK];
};

/* ---- what libarchive reads through ---- */

static uint64_t bytes_left(const struct scan *scan)
{
    uint64_t bytes = scan->reader->volumes->bytes;

    return bytes > scan->at ? bytes - scan->at : 0;
}

static la_ssize_t read_some(struct archive *archive, void *ctx, const void **bytes)
{
    struct scan *scan = ctx;
    uint64_t left = bytes_left(scan);
    size_t len = left < sizeof(scan->chunk) ? (size_t)left : sizeof(scan->chunk);

    if (!bundle_volumes_pread(scan->reader->volumes, scan->chunk, len, scan->at,
                              &scan->read_error)) {
        archive_set_error(archive, EIO, "%s", scan->read_error.text);
        return -1;
    }
    scan->at += len;
    *bytes = scan->chunk;
    return (la_ssize_t)len;
}

static la_int64_t skip_some(struct archive *archive, void *ctx, la_int64_t request)
{
    struct scan *scan = ctx;
    uint64_t left = bytes_left(scan);
    uint64_t skipped = (uint64_t)request < left ? (uint64_t)request : left;

    (void)archive;
    scan->at += skipped;
    return (la_int64_t)skipped;
}

static void free_archive(struct archive **archive)
{
    (void)archive_read_free(*archive);
}

static void free_entry(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}

/* ---- one entry ---- */

static bool refuse(const struct scan *scan, const char *name, const char *why,
                   struct mir_error *err)
{
    return bundle_entry_refuse(scan->reader->path, name, why, err);
}

static bool note_once(const struct scan *scan, const char *name, struct bundle_extent *extent,
                      uint64_t offset, uint64_t size, struct mir_error *err)
{
    if (extent->found)
        return refuse(scan, name, BUNDLE_IS_TWICE, err);
    *extent = (struct bundle_extent){.found = true, .offset = offset, .size = size};
    return true;
}

static bool note_file(struct scan *scan, const char *name, uint64_t offset, uint64_t size,
                      struct mir_error *err)
{
    struct bundle_reader *reader = scan->reader;
    struct img_digest digest;

    switch (bundle_name_classify(name, &digest)) {
    case BUNDLE_NAME_BAD:
        return refuse(scan, name, BUNDLE_BAD_NAME, err);
    case BUNDLE_NAME_LAYOUT:
        return note_once(scan, name, &reader->layout, offset, size, err);
    case BUNDLE_NAME_INDEX:
        return note_once(scan, name, &reader->index, offset, size, err);
    case BUNDLE_NAME_BASE:
        return note_once(scan, name, &reader->base_file, offset, size, err);
    case BUNDLE_NAME_BLOB:
        return bundle_reader_add(reader, &digest, size, offset, err);
    case BUNDLE_NAME_OTHER:
        if (mir_ends_with(name, "manifest.json"))
            reader->has_docker_manifest = true;
        return true;
    }
    return false;
}

/* The least size of an archive that has this entry. */
static uint64_t end_after(uint64_t offset, uint64_t size)
{
    uint64_t end;

    if (__builtin_add_overflow(offset, size + bundle_tar_padding(size) + BUNDLE_TAR_END, &end))
        return UINT64_MAX;
    return end;
}

static bool note_entry(struct scan *scan, struct archive *archive, struct archive_entry *entry,
                       struct mir_error *err)
{
    const char *name;
    uint64_t start = (uint64_t)archive_read_header_position(archive);
    uint64_t offset = (uint64_t)archive_filter_bytes(archive, 0);
    uint64_t size = (uint64_t)archive_entry_size(entry);
    uint64_t bytes = scan->reader->volumes->bytes;

    scan->entries++;
    if (scan->entries > BUNDLE_ENTRIES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: more than %d entries", scan->reader->path,
                        BUNDLE_ENTRIES_MAX);
    if (!bundle_entry_check(entry, scan->reader->path, &name, err))
        return false;
    if (start != scan->expected || !archive_entry_size_is_set(entry) || size > INT64_MAX) {
        scan->no_header = true;
        return refuse(scan, name, BUNDLE_BAD_PLACE, err);
    }
    if (offset > bytes || size > bytes - offset) {
        scan->needed = end_after(offset, size);
        return refuse(scan, name, "reaches past the end of the file, which is cut short", err);
    }
    scan->expected = offset + size + bundle_tar_padding(size);
    if (archive_entry_filetype(entry) == AE_IFDIR)
        return true;
    return note_file(scan, name, offset, size, err);
}

/* ---- the whole ---- */

/* libarchive gave up: because of the disk, or of what is on it. */
static bool unreadable(struct scan *scan, struct archive *archive, struct mir_error *err)
{
    const char *why = archive_error_string(archive);

    if (scan->read_error.code != MIR_OK) {
        *err = scan->read_error;
        return mir_context(err, "%s", scan->reader->path);
    }
    scan->no_header = true;
    return mir_fail(err, MIR_E_FORMAT, "%s: not a sound tar archive, at byte %" PRIu64 ": %s",
                    scan->reader->path, scan->expected, why ? why : "unreadable");
}

/* One block of zeros does, as some tools write it; volumes have to be there to the last. */
static bool check_end(struct scan *scan, struct mir_error *err)
{
    const struct bundle_volumes *set = scan->reader->volumes;
    uint64_t end = scan->expected + (set->count == 1 ? BUNDLE_TAR_BLOCK : BUNDLE_TAR_END);

    if (end <= set->bytes)
        return true;
    scan->needed = scan->expected + BUNDLE_TAR_END;
    return mir_fail(err, MIR_E_FORMAT, "%s is cut short: no end of the archive",
                    scan->reader->path);
}

static bool walk(struct scan *scan, struct archive *archive, struct mir_error *err)
{
    __attribute__((cleanup(free_entry))) struct archive_entry *entry = archive_entry_new();

    for (;;) {
        int status = archive_read_next_header2(archive, entry);

        if (status == ARCHIVE_EOF)
            break;
        /* A warning is about owners or character sets, which are of no interest here. */
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
            return unreadable(scan, archive, err);
        if (!note_entry(scan, archive, entry, err))
            return false;
    }
    return check_end(scan, err);
}

static bool walk_headers(struct scan *scan, struct mir_error *err)
{
    __attribute__((cleanup(free_archive))) struct archive *archive = archive_read_new();

    if (!archive)
        return mir_fail(err, MIR_E_LIMIT, "%s: out of memory", scan->reader->path);
    if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_set_read_callback(archive, read_some) != ARCHIVE_OK ||
        archive_read_set_skip_callback(archive, skip_some) != ARCHIVE_OK ||
        archive_read_set_callback_data(archive, scan) != ARCHIVE_OK ||
        archive_read_open1(archive) != ARCHIVE_OK)
        return unreadable(scan, archive, err);
    return walk(scan, archive, err);
}

/* ---- what it should be ---- */

/* Compressed archives cannot be read in place; say so before libarchive calls them unknown. */
static bool refuse_compressed(const struct bundle_reader *reader, struct mir_error *err)
{
    const struct bundle_compression *found;
    char start[8] = "";
    uint64_t bytes = reader->volumes->bytes;
    size_t len = bytes < sizeof(start) ? (size_t)bytes : sizeof(start);

    if (!bundle_volumes_pread(reader->volumes, start, len, 0, err))
        return false;
    found = bundle_compression_of(mir_span(start, len));
    if (!found)
        return true;
    (void)mir_fail(err, MIR_E_UNSUPPORTED,
                   "%s is compressed (%s); a bundle is an uncompressed tar, read in place",
                   reader->path, found->what);
    return mir_hint(err, "unpack it first: %s %s", found->remedy, reader->path);
}

static bool check_complete(const struct bundle_reader *reader, struct mir_error *err)
{
    const char *missing = reader->layout.found ? BUNDLE_INDEX_NAME : BUNDLE_LAYOUT_NAME;

    if (reader->layout.found && reader->index.found)
        return true;
    (void)mir_fail(err, MIR_E_FORMAT, "%s is not an OCI image layout: it has no %s", reader->path,
                   missing);
    if (reader->has_docker_manifest)
        return mir_hint(err, BUNDLE_DOCKER_HINT);
    return false;
}

/* The walk failed. In volumes, what is wrong is one of them, more likely than not. */
static bool explain(struct scan *scan, const struct mir_error *plain, struct mir_error *err)
{
    struct bundle_volumes *set = scan->reader->volumes;

    if (set->volume_bytes == 0 && scan->expected == 0 && bundle_volumes_is_later(set->base, err))
        return false;
    if (set->volume_bytes > 0 && scan->needed > set->bytes)
        return bundle_set_is_short(set, scan->needed, err);
    if (set->count > 1 && scan->no_header && scan->expected < set->bytes)
        return bundle_set_is_misplaced(set, scan->expected, err);
    *err = *plain;
    return false;
}

static bool walk_volumes(struct bundle_reader *reader, struct mir_error *err)
{
    struct scan scan = {.reader = reader};
    struct mir_error plain = MIR_ERROR_INIT;

    if (!walk_headers(&scan, &plain))
        return explain(&scan, &plain, err);
    return reader->volumes->count == 1 ||
           bundle_set_check_end(reader->volumes, scan.expected + BUNDLE_TAR_END, err);
}

bool bundle_tar_is_sound(struct bundle_volumes *set)
{
    char path[] = "";
    struct bundle_reader reader = {.form = BUNDLE_FORM_TAR, .path = path, .volumes = set};
    struct scan scan = {.reader = &reader};
    struct mir_error ignored = MIR_ERROR_INIT;
    bool sound = walk_headers(&scan, &ignored) && check_complete(&reader, &ignored) &&
                 scan.expected + BUNDLE_TAR_END > (set->count - 1) * set->volume_bytes;

    free(reader.entries);
    return sound;
}

bool bundle_tar_scan(struct bundle_reader *reader, struct mir_error *err)
{
    return (reader->volumes || bundle_volumes_find(reader->path, &reader->volumes, err)) &&
           refuse_compressed(reader, err) && walk_volumes(reader, err) &&
           check_complete(reader, err);
}
