/*
 * What is refused of a tar's entry whichever way it is read. Called by reader_tar.c, and by
 * pipe_entries.c, pipe_front.c and reader_pipe.c; the archive may be anybody's.
 */
#include "bundle/tar_entry_priv.h"

#include "bundle/layout_priv.h"

bool bundle_entry_refuse(const char *path, const char *name, const char *why, struct mir_error *err)
{
    return mir_fail(err, MIR_E_FORMAT, "%s: entry %.300s %s", path, name, why);
}

static bool is_link(struct archive_entry *entry)
{
    return archive_entry_filetype(entry) == AE_IFLNK || archive_entry_hardlink(entry) ||
           archive_entry_hardlink_utf8(entry) || archive_entry_symlink(entry);
}

static bool check_kind(struct archive_entry *entry, const char *path, const char *name,
                       struct mir_error *err)
{
    if (is_link(entry))
        return bundle_entry_refuse(path, name, "is a link", err);
    if (archive_entry_filetype(entry) == AE_IFDIR) {
        if (!bundle_name_is_directory(name))
            return bundle_entry_refuse(path, name, BUNDLE_BAD_NAME, err);
        return archive_entry_size(entry) == 0 ||
               bundle_entry_refuse(path, name, "is a directory with a size", err);
    }
    if (archive_entry_filetype(entry) != AE_IFREG)
        return bundle_entry_refuse(path, name, "is neither a file nor a directory", err);
    if (archive_entry_sparse_count(entry) > 0)
        return bundle_entry_refuse(path, name, "is a sparse file; blobs are read in place", err);
    return true;
}

bool bundle_entry_check(struct archive_entry *entry, const char *path, const char **name,
                        struct mir_error *err)
{
    const char *readable = archive_entry_pathname(entry);

    if (!readable)
        readable = archive_entry_pathname_utf8(entry);
    if (!readable)
        return bundle_entry_refuse(path, "without a readable name", "is refused", err);
    *name = readable;
    return check_kind(entry, path, readable, err);
}

const struct bundle_compression *bundle_compression_of(struct mir_span start)
{
    static const struct bundle_compression kinds[] = {
        {"\x1f\x8b", "gzip", "gunzip", 2},
        {"\x28\xb5\x2f\xfd", "zstd", "unzstd", 4},
        {"\xfd"
         "7zXZ",
         "xz", "unxz", 5},
        {"BZh", "bzip2", "bunzip2", 3},
        {"PK\x03\x04", "zip", "unzip", 4},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (start.len >= kinds[i].len && memcmp(start.ptr, kinds[i].magic, kinds[i].len) == 0)
            return &kinds[i];
    return NULL;
}
