/*
 * What a reader knows of its base: mirror-base.json, and the digest of index.json by which a
 * differential names the bundle it needs. Also the reader of an index.json that stands alone.
 * Called by reader.c when a bundle is opened, by src/copy, src/serve and src/cli afterwards.
 */
#include "bundle/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bundle/base_priv.h"
#include "bundle/reader_priv.h"

/* Is the file there? In a directory it has to be a regular one, as all that is read from it. */
static bool find_file(const struct bundle_reader *reader, bool *found, struct mir_error *err)
{
    struct stat info;

    *found = reader->base_file.found;
    if (reader->form == BUNDLE_FORM_TAR)
        return true;
    *found = fstatat(reader->fd, BUNDLE_BASE_FILE, &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*found)
        return errno == ENOENT || mir_fail_errno(err, "%s/" BUNDLE_BASE_FILE, reader->path);
    return S_ISREG(info.st_mode) ||
           mir_fail(err, MIR_E_FORMAT, "%s/" BUNDLE_BASE_FILE " is not a regular file",
                    reader->path);
}

bool bundle_reader_read_base(struct bundle_reader *reader, struct mir_error *err)
{
    auto_free char *name = mir_format("%s: " BUNDLE_BASE_FILE, reader->path);
    auto_free char *text = NULL;
    size_t len;
    bool found;

    if (!find_file(reader, &found, err))
        return false;
    if (!found)
        return true;
    return bundle_reader_read_small(reader, BUNDLE_BASE_FILE, &reader->base_file, BUNDLE_BASE_MAX,
                                    &text, &len, err) &&
           bundle_base_parse(mir_span(text, len), name, &reader->base, err);
}

const struct bundle_base *bundle_reader_base(const struct bundle_reader *reader)
{
    return reader->base ? &reader->base->base : NULL;
}

const struct bundle_left_out *bundle_reader_leaves_out(const struct bundle_reader *reader,
                                                       const struct img_digest *digest)
{
    if (!reader->base || bundle_reader_entry(reader, digest))
        return NULL;
    return bundle_base_find(&reader->base->base, digest);
}

const struct img_digest *bundle_reader_index_digest(const struct bundle_reader *reader)
{
    return &reader->index_digest;
}

/* ---- an index alone ---- */

static void close_reader(struct bundle_reader **reader)
{
    bundle_reader_close(*reader);
}

bool bundle_reader_open_index(const char *path, struct bundle_reader **out, struct mir_error *err)
{
    __attribute__((cleanup(close_reader))) struct bundle_reader *reader =
        mir_alloc(sizeof(*reader));
    auto_free char *text = NULL;
    size_t len;

    reader->form = BUNDLE_FORM_TAR; /* without an entry, so nothing is ever read of it */
    reader->path = mir_strdup(path);
    reader->fd = -1;
    if (!mir_file_read(path, BUNDLE_INDEX_MAX, &text, &len, err))
        return false;
    img_digest_of(MIR_HASH_SHA256, mir_span(text, len), &reader->index_digest);
    if (!bundle_names_parse(mir_span(text, len), path, &reader->names, err))
        return false;
    *out = mir_steal(&reader);
    return true;
}
