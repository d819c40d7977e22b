/*
 * Opening a descriptor that brings a bundle. Of a pipe, what stands in front of the first blob that
 * is no manifest is read now, so that everything can be planned before the rest comes; a plain file
 * is read in place like any other. Called by reader.c and verify_pipe.c, and by reader_pipe.c,
 * which goes on from there.
 *
 * Invariant: when a pipe is open, its names and manifests are there and the first other blob waits
 * to be handed out; what is kept is bounded by the limits in pipe.h.
 */
#include "bundle/pipe_in_priv.h"

#include <archive.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "bundle/tar_entry_priv.h"
#include "bundle/volumes_priv.h"
#include "image/manifest.h"

#define PIPE_SIZE (1 << 20)

#define ORDER_HINT "save it to a file first: a file is read in any order"

/* ---- manifests, while the pipe is opened ---- */

static bool is_to_keep(const struct bundle_pipe_in *in, const struct img_digest *digest)
{
    return mir_map_find(in->wanted, mir_span_of(digest->text)) != NULL &&
           archive_entry_size(in->entry) <= IMG_MANIFEST_BYTES_MAX;
}

static void want(struct bundle_pipe_in *in, const struct img_digest *digest, const char *type)
{
    char *copy;

    if (mir_map_find(in->wanted, mir_span_of(digest->text)))
        return;
    mir_grow(&in->types, in->type_count, &in->type_capacity, sizeof(char *));
    copy = mir_strdup(type ? type : "");
    in->types[in->type_count++] = copy;
    mir_map_set(in->wanted, mir_span_of(digest->text), copy);
}

/* An index may list things that are no manifests; they come with the layers. */
static bool is_manifest(const struct img_descriptor *child)
{
    return child->media_type[0] == '\0' || img_type_is_index(child->media_type) ||
           img_type_is_manifest(child->media_type) || img_type_is_schema1(child->media_type);
}

/* What is wrong with a manifest is said by whoever loads it; here it only leads nowhere. */
static void want_children(struct bundle_pipe_in *in, const struct bundle_pipe_seen *seen)
{
    const struct mir_span bytes = mir_span(seen->bytes, (size_t)seen->blob.size);
    struct mir_error ignored = MIR_ERROR_INIT;
    struct img_digest got;
    auto_manifest manifest = {0};

    img_digest_of(img_digest_algo(&seen->blob.digest), bytes, &got);
    if (!img_digest_equal(&got, &seen->blob.digest) ||
        !img_manifest_parse(bytes, mir_map_find(in->wanted, mir_span_of(seen->blob.digest.text)),
                            &manifest, &ignored))
        return;
    for (size_t i = 0; i < manifest.child_count; i++)
        if (is_manifest(&manifest.children[i]))
            want(in, &manifest.children[i].digest, manifest.children[i].media_type);
}

static bool keep_manifest(struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    in->manifest_count++;
    in->manifest_bytes += in->current->blob.size;
    if (in->manifest_count > BUNDLE_PIPE_MANIFESTS_MAX ||
        in->manifest_bytes > BUNDLE_PIPE_BYTES_MAX) {
        (void)mir_fail(err, MIR_E_LIMIT,
                       "%s: more than %d manifests, or %u bytes of them, cannot be kept",
                       reader->path, BUNDLE_PIPE_MANIFESTS_MAX, BUNDLE_PIPE_BYTES_MAX);
        return mir_hint(err, ORDER_HINT);
    }
    if (!bundle_reader_keep(reader, err))
        return false;
    want_children(in, in->current);
    return true;
}

size_t bundle_pipe_kept_count(const struct bundle_pipe_in *in)
{
    return in->manifest_count;
}

const struct bundle_blob *bundle_pipe_kept(const struct bundle_pipe_in *in, size_t i)
{
    return &in->seen[i]->blob;
}

bool bundle_pipe_check_late(const struct bundle_reader *reader, const struct bundle_blob *blob,
                            struct mir_error *err)
{
    if (blob->size > IMG_MANIFEST_BYTES_MAX ||
        !mir_map_find(reader->pipe->wanted, mir_span_of(blob->digest.text)))
        return true;
    (void)mir_fail(err, MIR_E_UNSUPPORTED,
                   "%s: the manifest %s comes after other blobs: of a pipe, manifests have to come"
                   " first",
                   reader->path, blob->digest.text);
    return mir_hint(err, ORDER_HINT);
}

/* ---- what comes first ---- */

static bool read_layout(struct bundle_reader *reader, struct mir_error *err)
{
    auto_free char *name = mir_format("%s: " BUNDLE_LAYOUT_NAME, reader->path);
    auto_free char *text = NULL;
    size_t len;

    if (reader->pipe->has_layout)
        return bundle_entry_refuse(reader->path, BUNDLE_LAYOUT_NAME, BUNDLE_IS_TWICE, err);
    reader->pipe->has_layout = true;
    return bundle_pipe_read_small(reader, BUNDLE_LAYOUT_NAME, BUNDLE_LAYOUT_MAX, &text, &len,
                                  err) &&
           bundle_layout_check(mir_span(text, len), name, err);
}

static bool read_index(struct bundle_reader *reader, struct mir_error *err)
{
    auto_free char *name = mir_format("%s: " BUNDLE_INDEX_NAME, reader->path);
    auto_free char *text = NULL;
    size_t len;

    if (reader->pipe->has_index)
        return bundle_entry_refuse(reader->path, BUNDLE_INDEX_NAME, BUNDLE_IS_TWICE, err);
    reader->pipe->has_index = true;
    if (!bundle_pipe_read_small(reader, BUNDLE_INDEX_NAME, BUNDLE_INDEX_MAX, &text, &len, err))
        return false;
    img_digest_of(MIR_HASH_SHA256, mir_span(text, len), &reader->index_digest);
    if (!bundle_names_parse(mir_span(text, len), name, &reader->names, err))
        return false;
    for (size_t i = 0; i < reader->names.count; i++)
        want(reader->pipe, &reader->names.images[i].digest, reader->names.images[i].media_type);
    return true;
}

static bool read_base(struct bundle_reader *reader, struct mir_error *err)
{
    auto_free char *name = mir_format("%s: " BUNDLE_BASE_FILE, reader->path);
    auto_free char *text = NULL;
    size_t len;

    if (reader->base)
        return bundle_entry_refuse(reader->path, BUNDLE_BASE_FILE, BUNDLE_IS_TWICE, err);
    return bundle_pipe_read_small(reader, BUNDLE_BASE_FILE, BUNDLE_BASE_MAX, &text, &len, err) &&
           bundle_base_parse(mir_span(text, len), name, &reader->base, err);
}

static bool wrong_order(const struct bundle_reader *reader, const char *name, struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_UNSUPPORTED,
                   "%s: entry %.300s comes too late: of a pipe, " BUNDLE_LAYOUT_NAME
                   " and " BUNDLE_INDEX_NAME " have to come first",
                   reader->path, name);
    return mir_hint(err, ORDER_HINT);
}

/* A small file of the layout. When the blobs have begun it is too late for those. */
static bool take_small(struct bundle_reader *reader, const char *name, enum bundle_name_kind kind,
                       struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;
    bool is_twice = (kind == BUNDLE_NAME_LAYOUT && in->has_layout) ||
                    (kind == BUNDLE_NAME_INDEX && in->has_index) ||
                    (kind == BUNDLE_NAME_BASE && reader->base);

    if (is_twice)
        return bundle_entry_refuse(reader->path, name, BUNDLE_IS_TWICE, err);
    if (in->seen_count > 0)
        return wrong_order(reader, name, err);
    if (kind == BUNDLE_NAME_LAYOUT)
        return read_layout(reader, err);
    return kind == BUNDLE_NAME_INDEX ? read_index(reader, err) : read_base(reader, err);
}

bool bundle_pipe_go_on(struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;
    struct img_digest digest;
    const char *name;

    bundle_pipe_set_current(in, NULL);
    while (!in->has_ended) {
        enum bundle_name_kind kind;

        if (!bundle_pipe_next_file(reader, &name, err))
            return false;
        if (!name)
            break;
        kind = bundle_name_classify(name, &digest);
        if (kind == BUNDLE_NAME_BAD)
            return bundle_entry_refuse(reader->path, name, BUNDLE_BAD_NAME, err);
        if (kind == BUNDLE_NAME_BLOB)
            return bundle_pipe_meet(reader, name, &digest, err);
        if (kind == BUNDLE_NAME_OTHER)
            reader->has_docker_manifest |= mir_ends_with(name, "manifest.json");
        else if (!take_small(reader, name, kind, err))
            return false;
    }
    return true;
}

/* What was met first is a blob, or the end. */
static bool check_front(const struct bundle_reader *reader, struct mir_error *err)
{
    const struct bundle_pipe_in *in = reader->pipe;
    const char *missing = in->has_layout ? BUNDLE_INDEX_NAME : BUNDLE_LAYOUT_NAME;

    if (in->has_layout && in->has_index)
        return true;
    if (in->current) {
        (void)mir_fail(err, MIR_E_UNSUPPORTED,
                       "%s: blobs come before " BUNDLE_INDEX_NAME " and " BUNDLE_LAYOUT_NAME
                       ", so it cannot be read from a pipe",
                       reader->path);
        return mir_hint(err, ORDER_HINT);
    }
    (void)mir_fail(err, MIR_E_FORMAT, "%s is not an OCI image layout: it has no %s", reader->path,
                   missing);
    return reader->has_docker_manifest && mir_hint(err, BUNDLE_DOCKER_HINT);
}

static bool read_front(struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    if (!bundle_pipe_go_on(reader, err) || !check_front(reader, err))
        return false;
    while (in->current && is_to_keep(in, &in->current->blob.digest))
        if (!keep_manifest(reader, err) || !bundle_pipe_go_on(reader, err))
            return false;
    in->is_waiting = in->current != NULL;
    return true;
}

/* ---- opening ---- */

static bool open_sequential(struct bundle_reader *reader, int fd, const struct mir_cancel *cancel,
                            struct mir_error *err)
{
    struct bundle_pipe_in *in = mir_alloc(sizeof(*in));

    reader->pipe = in;
    in->fd = fd;
    in->cancel = cancel;
    in->chunk = mir_alloc(BUNDLE_PIPE_CHUNK);
    in->wanted = mir_map_new();
    in->by_digest = mir_map_new();
    mir_buf_init(&in->replay, BUNDLE_PIPE_REPLAY_MAX);
    (void)pthread_mutex_init(&in->lock, NULL);
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE); /* what the system does not allow is no matter */
    return bundle_pipe_open_archive(reader, err) && read_front(reader, err);
}

/* A regular file, from which nothing was read yet. */
bool bundle_pipe_is_plain(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
}

/* Read in place, like any other. */
static bool open_plain(struct bundle_reader *reader, int fd, struct mir_error *err)
{
    struct stat info;
    int own;

    if (fstat(fd, &info) != 0)
        return mir_fail_errno(err, "%s", reader->path);
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return mir_fail_errno(err, "open %s", reader->path);
    reader->form = BUNDLE_FORM_TAR;
    reader->volumes = bundle_volumes_new(reader->path, "", 0, (uint64_t)info.st_size);
    reader->volumes->fds[0] = own;
    return true;
}

bool bundle_pipe_open(struct bundle_reader *reader, int fd, const struct mir_cancel *cancel,
                      struct mir_error *err)
{
    if (fcntl(fd, F_GETFL) < 0)
        return mir_fail_errno(err, "%s", reader->path);
    if (isatty(fd)) {
        (void)mir_fail(err, MIR_E_USAGE, "a bundle is not read from a terminal");
        return mir_hint(err, "send %s a bundle: < FILE, or PROGRAM |", reader->path);
    }
    return bundle_pipe_is_plain(fd) ? open_plain(reader, fd, err)
                                    : open_sequential(reader, fd, cancel, err);
}

void bundle_pipe_in_free(struct bundle_pipe_in *in)
{
    if (!in)
        return;
    if (in->archive)
        (void)archive_read_free(in->archive);
    archive_entry_free(in->entry);
    for (size_t i = 0; i < in->seen_count; i++) {
        free(in->seen[i]->bytes);
        free(in->seen[i]);
    }
    for (size_t i = 0; i < in->type_count; i++)
        free(in->types[i]);
    free(in->seen);
    free(in->types);
    free(in->chunk);
    mir_map_free(in->wanted);
    mir_map_free(in->by_digest);
    mir_buf_release(&in->replay);
    (void)pthread_mutex_destroy(&in->lock);
    free(in);
}
