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
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/tar_priv.h"

/* Several small blobs with their headers come in one read, and little of a large one in vain. */
#define READ_CHUNK 16384

struct scan {
    struct bundle_reader *reader;
    uint64_t file_size;
    uint64_t at;       /* where the next read begins */
    uint64_t expected; /* where the next header has to begin */
    size_t entries;
    int sys; /* errno of a read that failed */
    char chunk[READ_CHUNK];
};

/* ---- what libarchive reads through ---- */

static la_ssize_t read_some(struct archive *archive, void *ctx, const void **bytes)
{
    struct scan *scan = ctx;
    ssize_t got;

    do
        got = pread(scan->reader->fd, scan->chunk, sizeof(scan->chunk), (off_t)scan->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        scan->sys = errno;
        archive_set_error(archive, errno, "%s", strerror(errno));
        return -1;
    }
    scan->at += (uint64_t)got;
    *bytes = scan->chunk;
    return got;
}

static la_int64_t skip_some(struct archive *archive, void *ctx, la_int64_t request)
{
    struct scan *scan = ctx;
    uint64_t left = scan->file_size > scan->at ? scan->file_size - scan->at : 0;
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
    return mir_fail(err, MIR_E_FORMAT, "%s: entry %.300s %s", scan->reader->path, name, why);
}

static bool note_once(const struct scan *scan, const char *name, struct bundle_extent *extent,
                      uint64_t offset, uint64_t size, struct mir_error *err)
{
    if (extent->found)
        return refuse(scan, name, "is there twice", err);
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
        return refuse(scan, name, "has a name that has no place in an OCI image layout", err);
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

static bool is_link(struct archive_entry *entry)
{
    return archive_entry_filetype(entry) == AE_IFLNK || archive_entry_hardlink(entry) ||
           archive_entry_hardlink_utf8(entry) || archive_entry_symlink(entry);
}

static bool check_kind(const struct scan *scan, const char *name, struct archive_entry *entry,
                       struct mir_error *err)
{
    if (is_link(entry))
        return refuse(scan, name, "is a link", err);
    if (archive_entry_filetype(entry) == AE_IFDIR) {
        if (!bundle_name_is_directory(name))
            return refuse(scan, name, "has a name that has no place in an OCI image layout", err);
        return archive_entry_size(entry) == 0 ||
               refuse(scan, name, "is a directory with a size", err);
    }
    if (archive_entry_filetype(entry) != AE_IFREG)
        return refuse(scan, name, "is neither a file nor a directory", err);
    if (archive_entry_sparse_count(entry) > 0)
        return refuse(scan, name, "is a sparse file; blobs are read in place", err);
    return true;
}

static bool note_entry(struct scan *scan, struct archive *archive, struct archive_entry *entry,
                       struct mir_error *err)
{
    const char *name = archive_entry_pathname(entry);
    uint64_t start = (uint64_t)archive_read_header_position(archive);
    uint64_t offset = (uint64_t)archive_filter_bytes(archive, 0);
    uint64_t size = (uint64_t)archive_entry_size(entry);

    if (!name)
        name = archive_entry_pathname_utf8(entry);
    if (!name)
        return refuse(scan, "without a readable name", "is refused", err);
    scan->entries++;
    if (scan->entries > BUNDLE_ENTRIES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: more than %d entries", scan->reader->path,
                        BUNDLE_ENTRIES_MAX);
    if (!check_kind(scan, name, entry, err))
        return false;
    if (start != scan->expected || !archive_entry_size_is_set(entry) || size > INT64_MAX)
        return refuse(scan, name, "does not begin where the one before it ends", err);
    if (offset > scan->file_size || size > scan->file_size - offset)
        return refuse(scan, name, "reaches past the end of the file, which is cut short", err);
    scan->expected = offset + size + bundle_tar_padding(size);
    if (archive_entry_filetype(entry) == AE_IFDIR)
        return true;
    return note_file(scan, name, offset, size, err);
}

/* ---- the whole ---- */

/* libarchive gave up: because of the disk, or of what is on it. */
static bool unreadable(const struct scan *scan, struct archive *archive, struct mir_error *err)
{
    const char *why = archive_error_string(archive);

    errno = scan->sys;
    if (scan->sys != 0)
        return mir_fail_errno(err, "read %s", scan->reader->path);
    return mir_fail(err, MIR_E_FORMAT, "%s: not a sound tar archive, at byte %" PRIu64 ": %s",
                    scan->reader->path, scan->expected, why ? why : "unreadable");
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
    if (scan->expected + BUNDLE_TAR_BLOCK > scan->file_size)
        return mir_fail(err, MIR_E_FORMAT, "%s is cut short: no end of the archive",
                        scan->reader->path);
    return true;
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

static bool open_file(struct bundle_reader *reader, uint64_t *size, struct mir_error *err)
{
    struct stat info;

    reader->fd = open(reader->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (reader->fd < 0 || fstat(reader->fd, &info) != 0)
        return mir_fail_errno(err, "open %s", reader->path);
    if (S_ISDIR(info.st_mode)) {
        (void)mir_fail(err, MIR_E_FORMAT, "%s is a directory, not a bundle file", reader->path);
        return mir_hint(err, "read a layout in a directory as oci:%s", reader->path);
    }
    if (!S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_FORMAT, "%s is not a regular file", reader->path);
    if (info.st_size == 0)
        return mir_fail(err, MIR_E_FORMAT, "%s is empty", reader->path);
    *size = (uint64_t)info.st_size;
    return true;
}

/* Compressed archives cannot be read in place; say so before libarchive calls them unknown. */
static bool refuse_compressed(const struct bundle_reader *reader, struct mir_error *err)
{
    static const struct {
        const char *magic, *what, *remedy;
        size_t len;
    } kinds[] = {
        {"\x1f\x8b", "gzip", "gunzip", 2},
        {"\x28\xb5\x2f\xfd", "zstd", "unzstd", 4},
        {"\xfd"
         "7zXZ",
         "xz", "unxz", 5},
        {"BZh", "bzip2", "bunzip2", 3},
        {"PK\x03\x04", "zip", "unzip", 4},
    };
    char start[8] = "";

    if (pread(reader->fd, start, sizeof(start), 0) < 0)
        return mir_fail_errno(err, "read %s", reader->path);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (memcmp(start, kinds[i].magic, kinds[i].len) != 0)
            continue;
        (void)mir_fail(err, MIR_E_UNSUPPORTED,
                       "%s is compressed (%s); a bundle is an uncompressed tar, read in place",
                       reader->path, kinds[i].what);
        return mir_hint(err, "unpack it first: %s %s", kinds[i].remedy, reader->path);
    }
    return true;
}

static bool check_complete(const struct bundle_reader *reader, struct mir_error *err)
{
    const char *missing = reader->layout.found ? BUNDLE_INDEX_NAME : BUNDLE_LAYOUT_NAME;

    if (reader->layout.found && reader->index.found)
        return true;
    (void)mir_fail(err, MIR_E_FORMAT, "%s is not an OCI image layout: it has no %s", reader->path,
                   missing);
    if (reader->has_docker_manifest)
        return mir_hint(err, "an archive of \"docker save\": convert it with skopeo copy "
                             "docker-archive:FILE oci-archive:FILE");
    return false;
}

bool bundle_tar_scan(struct bundle_reader *reader, struct mir_error *err)
{
    struct scan scan = {.reader = reader};

    return open_file(reader, &scan.file_size, err) && refuse_compressed(reader, err) &&
           walk_headers(&scan, err) && check_complete(reader, err);
}
