/*
 * Reading a bundle that comes through a pipe: libarchive reads header after header, and the bytes
 * of a blob are there once, while it passes by. What stands in front of the first blob that is no
 * manifest is read when the pipe is opened, so that everything can be planned before the rest
 * comes. Called by reader.c, verify_pipe.c and src/copy.
 *
 * Invariant: every header begins where the entry before it ended, as in reader_tar.c; what is kept
 * is bounded by the limits in pipe.h.
 */
#include "bundle/pipe_priv.h"

#include <archive.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "bundle/tar_entry_priv.h"
#include "bundle/tar_priv.h"
#include "bundle/volumes_priv.h"
#include "image/manifest.h"

#define CHUNK     (256u << 10)
#define PIPE_SIZE (1 << 20)
#define LOOK_MS   100         /* how often a wait looks for Ctrl-C */
#define DRAIN_MAX (64u << 20) /* bytes behind the archive that are waited for */

#define ORDER_HINT "save it to a file first: a file is read in any order"

/* A blob that was seen. Never moves. */
struct seen {
    struct bundle_blob blob;
    char *bytes; /* while they are kept, else NULL */
};

struct bundle_pipe_in {
    int fd; /* borrowed */
    const struct mir_cancel *cancel;
    struct archive *archive;
    struct archive_entry *entry;
    char *chunk;
    char start[8];     /* the first bytes of all */
    uint64_t total;    /* bytes read of the pipe */
    uint64_t expected; /* where the next header has to begin */
    size_t entries;
    bool at_eof;    /* the pipe gave all it has */
    bool has_ended; /* the archive too */
    bool has_layout, has_index;
    bool is_opened;              /* names and manifests are there */
    struct mir_error trouble;    /* what ended it; MIR_OK while all is well */
    struct mir_error pipe_error; /* of a read that failed */

    /* While it is opened: manifests that are still to come, with what they were announced as. */
    struct mir_map *wanted;
    char **types; /* what wanted points to */
    size_t type_count, type_capacity;
    size_t manifest_count;
    uint64_t manifest_bytes;

    uint64_t at;           /* bytes of the current blob that were read */
    struct mir_buf replay; /* the first of them */

    pthread_mutex_t lock; /* of what follows, and of all seen */
    struct seen *current; /* the blob that passes by, or NULL */
    bool is_waiting;      /* it was met when the pipe was opened, and is not handed out yet */
    pthread_t owner;      /* the thread that may read it */
    struct mir_map *by_digest;
    struct seen **seen;
    size_t seen_count, seen_capacity;
};

/* ---- the descriptor ---- */

static bool wait_readable(const struct bundle_pipe_in *in, struct mir_error *err)
{
    struct pollfd poller = {.fd = in->fd, .events = POLLIN};

    while (!mir_is_cancelled(in->cancel)) {
        int ready = poll(&poller, 1, LOOK_MS);

        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true; /* bytes, the end, or trouble that reading tells */
    }
    return mir_fail(err, MIR_E_CANCELLED, "stopped");
}

/* Some bytes, 0 at the end, or -1. */
static ssize_t read_pipe(struct bundle_pipe_in *in, char *to, size_t len, struct mir_error *err)
{
    for (;;) {
        ssize_t got;

        if (!wait_readable(in, err))
            return -1;
        got = read(in->fd, to, len);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            (void)mir_fail_errno(err, "read");
        return got;
    }
}

static la_ssize_t read_some(struct archive *archive, void *ctx, const void **bytes)
{
    struct bundle_pipe_in *in = ctx;
    size_t least = in->total == 0 ? BUNDLE_TAR_BLOCK : 1; /* enough to see what it is */
    size_t len = 0;

    while (len < least && !in->at_eof) {
        ssize_t got = read_pipe(in, in->chunk + len, CHUNK - len, &in->pipe_error);

        if (got < 0) {
            archive_set_error(archive, EIO, "%s", in->pipe_error.text);
            return -1;
        }
        in->at_eof = got == 0;
        len += (size_t)got;
    }
    if (in->total == 0)
        memcpy(in->start, in->chunk, len < sizeof(in->start) ? len : sizeof(in->start));
    in->total += len;
    *bytes = in->chunk;
    return (la_ssize_t)len;
}

/* ---- words for what is wrong ---- */

static bool cut_short(const struct bundle_reader *reader, struct mir_error *err)
{
    const struct bundle_pipe_in *in = reader->pipe;

    if (in->total == 0)
        return mir_fail(err, MIR_E_FORMAT, "%s is empty: there is no bundle", reader->path);
    (void)mir_fail(err, MIR_E_FORMAT,
                   "%s is cut short: it ends after %" PRIu64
                   " bytes, without the end of the archive",
                   reader->path, in->total);
    return mir_hint(err, "see what stopped the program that sends it, and begin again");
}

/* libarchive gave up: because of the pipe, or of what came through it. */
static bool unreadable(const struct bundle_reader *reader, struct mir_error *err)
{
    const struct bundle_pipe_in *in = reader->pipe;
    const char *why = archive_error_string(in->archive);
    const struct bundle_compression *found =
        bundle_compression_of(mir_span(in->start, sizeof(in->start)));

    if (in->pipe_error.code != MIR_OK) {
        *err = in->pipe_error;
        return mir_context(err, "%s", reader->path);
    }
    if (in->at_eof && (in->total == 0 || in->entries > 0))
        return cut_short(reader, err);
    if (in->entries == 0 && found) {
        (void)mir_fail(err, MIR_E_UNSUPPORTED,
                       "%s is compressed (%s); a bundle is an uncompressed tar", reader->path,
                       found->what);
        return mir_hint(err, "unpack it on the way: %s -c | mirror ...", found->remedy);
    }
    return mir_fail(err, MIR_E_FORMAT, "%s: not a sound tar archive, at byte %" PRIu64 ": %s",
                    reader->path, in->expected, why ? why : "unreadable");
}

static bool wrong_order(const struct bundle_reader *reader, const char *name, struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_UNSUPPORTED,
                   "%s: entry %.300s comes too late: of a pipe, " BUNDLE_LAYOUT_NAME
                   " and " BUNDLE_INDEX_NAME " have to come first",
                   reader->path, name);
    return mir_hint(err, ORDER_HINT);
}

/* ---- entries ---- */

static bool check_place(const struct bundle_reader *reader, const char *name, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;
    uint64_t start = (uint64_t)archive_read_header_position(in->archive);
    uint64_t offset = (uint64_t)archive_filter_bytes(in->archive, 0);
    uint64_t size = (uint64_t)archive_entry_size(in->entry);
    uint64_t end;

    if (start != in->expected || !archive_entry_size_is_set(in->entry) || size > INT64_MAX)
        return bundle_entry_refuse(reader->path, name, BUNDLE_BAD_PLACE, err);
    if (__builtin_add_overflow(offset, size, &end) ||
        __builtin_add_overflow(end, bundle_tar_padding(size), &in->expected))
        return bundle_entry_refuse(reader->path, name, "is too large", err);
    return true;
}

/* One block of zeros does, as some tools write it. */
static bool check_end(const struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    if (in->total < in->expected + BUNDLE_TAR_BLOCK)
        return cut_short(reader, err);
    in->has_ended = true;
    return true;
}

/* The next entry that is a file; NULL at the end. */
static bool next_file(const struct bundle_reader *reader, const char **name, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    for (*name = NULL;; *name = NULL) {
        int status = archive_read_next_header2(in->archive, in->entry);

        if (status == ARCHIVE_EOF)
            return check_end(reader, err);
        /* A warning is about owners or character sets, which are of no interest here. */
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
            return unreadable(reader, err);
        in->entries++;
        if (in->entries > BUNDLE_ENTRIES_MAX)
            return mir_fail(err, MIR_E_LIMIT, "%s: more than %d entries", reader->path,
                            BUNDLE_ENTRIES_MAX);
        if (!bundle_entry_check(in->entry, reader->path, name, err) ||
            !check_place(reader, *name, err))
            return false;
        if (archive_entry_filetype(in->entry) != AE_IFDIR)
            return true;
    }
}

/* Exactly len bytes of the entry at hand. */
static bool read_data(const struct bundle_reader *reader, char *to, size_t len,
                      struct mir_error *err)
{
    while (len > 0) {
        la_ssize_t got = archive_read_data(reader->pipe->archive, to, len);

        if (got == ARCHIVE_RETRY)
            continue;
        if (got <= 0)
            return unreadable(reader, err);
        to += got;
        len -= (size_t)got;
    }
    return true;
}

/* The whole of a small file of the layout. */
static bool read_small(const struct bundle_reader *reader, const char *name, size_t max,
                       char **text, size_t *len, struct mir_error *err)
{
    uint64_t size = (uint64_t)archive_entry_size(reader->pipe->entry);
    auto_free char *bytes = NULL;

    if (size > max || !mir_size_from_u64(size, len))
        return mir_fail(err, MIR_E_LIMIT, "%s: %s of %" PRIu64 " bytes is over the limit of %zu",
                        reader->path, name, size, max);
    bytes = mir_alloc(*len + 1);
    if (!read_data(reader, bytes, *len, err))
        return false;
    *text = mir_steal(&bytes);
    return true;
}

/* ---- blobs that were seen ---- */

static struct seen *find_seen(struct bundle_pipe_in *in, const struct img_digest *digest)
{
    struct seen *seen;

    (void)pthread_mutex_lock(&in->lock);
    seen = mir_map_find(in->by_digest, mir_span_of(digest->text));
    (void)pthread_mutex_unlock(&in->lock);
    return seen;
}

static void set_current(struct bundle_pipe_in *in, struct seen *seen)
{
    (void)pthread_mutex_lock(&in->lock);
    in->current = seen;
    in->owner = pthread_self();
    (void)pthread_mutex_unlock(&in->lock);
}

static struct seen *add_seen(struct bundle_pipe_in *in, const struct img_digest *digest,
                             uint64_t size)
{
    struct seen *seen = mir_alloc(sizeof(*seen));

    seen->blob = (struct bundle_blob){.digest = *digest, .size = size};
    (void)pthread_mutex_lock(&in->lock);
    mir_grow(&in->seen, in->seen_count, &in->seen_capacity, sizeof(struct seen *));
    in->seen[in->seen_count++] = seen;
    mir_map_set(in->by_digest, mir_span_of(seen->blob.digest.text), seen);
    (void)pthread_mutex_unlock(&in->lock);
    return seen;
}

/* The entry at hand is a blob: it passes by from now on. */
static bool meet_blob(const struct bundle_reader *reader, const char *name,
                      const struct img_digest *digest, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    if (find_seen(in, digest))
        return bundle_entry_refuse(reader->path, name, BUNDLE_IS_TWICE, err);
    set_current(in, add_seen(in, digest, (uint64_t)archive_entry_size(in->entry)));
    in->at = 0;
    mir_buf_clear(&in->replay);
    return true;
}

const struct bundle_blob *bundle_pipe_find(struct bundle_pipe_in *in,
                                           const struct img_digest *digest)
{
    const struct seen *seen;

    (void)pthread_mutex_lock(&in->lock);
    seen = mir_map_find(in->by_digest, mir_span_of(digest->text));
    if (in->is_waiting && seen == in->current)
        seen = NULL;
    (void)pthread_mutex_unlock(&in->lock);
    return seen ? &seen->blob : NULL;
}

/* ---- the blob that passes by ---- */

static void remember(struct bundle_pipe_in *in, const char *bytes, size_t len)
{
    if (in->replay.len == in->at && in->at < BUNDLE_PIPE_REPLAY_MAX) {
        size_t room = BUNDLE_PIPE_REPLAY_MAX - (size_t)in->at;

        mir_buf_add(&in->replay, mir_span(bytes, len < room ? len : room));
    }
    in->at += len;
}

static bool read_on(const struct bundle_reader *reader, char *to, size_t len, struct mir_error *err)
{
    if (!read_data(reader, to, len, err)) {
        reader->pipe->trouble = *err; /* whoever wants more of it hears the same */
        return false;
    }
    remember(reader->pipe, to, len);
    return true;
}

/* What was read before can be read again while all of it is still there. */
static size_t take_replay(const struct bundle_pipe_in *in, uint64_t offset, char *to, size_t len)
{
    size_t there = in->replay.len - (size_t)offset;
    size_t part = there < len ? there : len;

    memcpy(to, in->replay.ptr + offset, part);
    return part;
}

static bool has_passed(const struct bundle_reader *reader, const struct bundle_blob *blob,
                       struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_UNSUPPORTED,
                   "%s: blob %s has passed by and cannot be read a second time", reader->path,
                   blob->digest.text);
    return mir_hint(err, "save the bundle to a file first: transfers from a file can go on");
}

static bool skip_to(const struct bundle_reader *reader, uint64_t offset, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;
    auto_free char *data = in->at < offset ? mir_alloc(CHUNK) : NULL;

    while (in->at < offset) {
        uint64_t left = offset - in->at;

        if (!read_on(reader, data, left < CHUNK ? (size_t)left : CHUNK, err))
            return false;
    }
    return true;
}

static bool read_current(const struct bundle_reader *reader, uint64_t offset, char *to, size_t len,
                         struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    if (in->trouble.code != MIR_OK) {
        *err = in->trouble;
        return false;
    }
    if (offset < in->at) {
        size_t again;

        if (in->replay.len < in->at)
            return has_passed(reader, &in->current->blob, err);
        again = take_replay(in, offset, to, len);
        to += again;
        len -= again;
        offset += again;
    }
    return len == 0 || (skip_to(reader, offset, err) && read_on(reader, to, len, err));
}

/* From what is kept; if it is not, does it pass by, in this thread's hands? */
static bool copy_kept(struct bundle_pipe_in *in, const struct seen *seen, uint64_t offset,
                      void *data, size_t len, bool *is_passing)
{
    bool is_kept;

    (void)pthread_mutex_lock(&in->lock);
    is_kept = seen->bytes != NULL;
    *is_passing = seen == in->current && pthread_equal(in->owner, pthread_self());
    if (is_kept && len > 0)
        memcpy(data, seen->bytes + offset, len);
    (void)pthread_mutex_unlock(&in->lock);
    return is_kept;
}

bool bundle_pipe_read(const struct bundle_reader *reader, const struct bundle_blob *blob,
                      uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    const struct seen *seen = find_seen(reader->pipe, &blob->digest);
    bool is_passing;
    uint64_t end;

    if (!seen)
        return mir_fail(err, MIR_E_NOT_FOUND, "%s: the blob %s has not come", reader->path,
                        blob->digest.text);
    if (__builtin_add_overflow(offset, len, &end) || end > seen->blob.size)
        return mir_fail(err, MIR_E_FORMAT, "%s: blob %s has only %" PRIu64 " bytes", reader->path,
                        blob->digest.text, seen->blob.size);
    if (copy_kept(reader->pipe, seen, offset, data, len, &is_passing))
        return true;
    return is_passing ? read_current(reader, offset, data, len, err)
                      : has_passed(reader, blob, err);
}

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
static void want_children(struct bundle_pipe_in *in, const struct seen *seen)
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
    return read_small(reader, BUNDLE_LAYOUT_NAME, BUNDLE_LAYOUT_MAX, &text, &len, err) &&
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
    if (!read_small(reader, BUNDLE_INDEX_NAME, BUNDLE_INDEX_MAX, &text, &len, err))
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
    return read_small(reader, BUNDLE_BASE_FILE, BUNDLE_BASE_MAX, &text, &len, err) &&
           bundle_base_parse(mir_span(text, len), name, &reader->base, err);
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

/* Go to the next blob and stop there; all other files on the way are dealt with. current is NULL at
 * the end. */
static bool go_on(struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;
    struct img_digest digest;
    const char *name;

    set_current(in, NULL);
    while (!in->has_ended) {
        enum bundle_name_kind kind;

        if (!next_file(reader, &name, err))
            return false;
        if (!name)
            break;
        kind = bundle_name_classify(name, &digest);
        if (kind == BUNDLE_NAME_BAD)
            return bundle_entry_refuse(reader->path, name, BUNDLE_BAD_NAME, err);
        if (kind == BUNDLE_NAME_BLOB)
            return meet_blob(reader, name, &digest, err);
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

    if (!go_on(reader, err) || !check_front(reader, err))
        return false;
    while (in->current && is_to_keep(in, &in->current->blob.digest))
        if (!keep_manifest(reader, err) || !go_on(reader, err))
            return false;
    in->is_waiting = in->current != NULL;
    in->is_opened = true;
    return true;
}

/* ---- opening ---- */

static bool open_archive(struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    in->archive = archive_read_new();
    in->entry = archive_entry_new();
    if (!in->archive || !in->entry)
        return mir_fail(err, MIR_E_LIMIT, "%s: out of memory", reader->path);
    if (archive_read_support_format_tar(in->archive) != ARCHIVE_OK ||
        archive_read_set_read_callback(in->archive, read_some) != ARCHIVE_OK ||
        archive_read_set_callback_data(in->archive, in) != ARCHIVE_OK ||
        archive_read_open1(in->archive) != ARCHIVE_OK)
        return unreadable(reader, err);
    return true;
}

static bool open_sequential(struct bundle_reader *reader, int fd, const struct mir_cancel *cancel,
                            struct mir_error *err)
{
    struct bundle_pipe_in *in = mir_alloc(sizeof(*in));

    reader->pipe = in;
    in->fd = fd;
    in->cancel = cancel;
    in->chunk = mir_alloc(CHUNK);
    in->wanted = mir_map_new();
    in->by_digest = mir_map_new();
    mir_buf_init(&in->replay, BUNDLE_PIPE_REPLAY_MAX);
    (void)pthread_mutex_init(&in->lock, NULL);
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE); /* what the system does not allow is no matter */
    return open_archive(reader, err) && read_front(reader, err);
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

/* ---- the public side ---- */

bool bundle_reader_is_pipe(const struct bundle_reader *reader)
{
    return reader->pipe != NULL;
}

bool bundle_reader_may_hold(const struct bundle_reader *reader, const struct img_digest *digest)
{
    if (bundle_reader_find(reader, digest))
        return true;
    return reader->pipe && !bundle_reader_leaves_out(reader, digest);
}

bool bundle_reader_next(struct bundle_reader *reader, const struct bundle_blob **out,
                        struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    if (in->trouble.code != MIR_OK) {
        *err = in->trouble;
        return false;
    }
    if (!in->is_waiting && !go_on(reader, err)) {
        in->trouble = *err;
        return false;
    }
    (void)pthread_mutex_lock(&in->lock);
    in->is_waiting = false;
    in->owner = pthread_self();
    (void)pthread_mutex_unlock(&in->lock);
    *out = in->current ? &in->current->blob : NULL;
    return true;
}

bool bundle_reader_keep(struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;
    size_t size = (size_t)in->current->blob.size;
    auto_free char *bytes = mir_alloc(size + 1);

    if (!read_current(reader, 0, bytes, size, err))
        return false;
    (void)pthread_mutex_lock(&in->lock);
    in->current->bytes = mir_steal(&bytes);
    (void)pthread_mutex_unlock(&in->lock);
    return true;
}

void bundle_reader_forget(struct bundle_reader *reader, const struct bundle_blob *blob)
{
    struct seen *seen = find_seen(reader->pipe, &blob->digest);

    if (!seen)
        return;
    (void)pthread_mutex_lock(&reader->pipe->lock);
    free(mir_steal(&seen->bytes));
    (void)pthread_mutex_unlock(&reader->pipe->lock);
}

/* So that the program that sends it does not end because nobody reads its last zeros. */
static bool drain_rest(struct bundle_pipe_in *in, struct mir_error *err)
{
    for (uint64_t drained = 0; !in->at_eof && drained < DRAIN_MAX;) {
        ssize_t got = read_pipe(in, in->chunk, CHUNK, err);

        if (got < 0)
            return false;
        in->at_eof = got == 0;
        drained += (uint64_t)got;
    }
    return true;
}

bool bundle_reader_drain(struct bundle_reader *reader, struct mir_error *err)
{
    const struct bundle_blob *blob;

    do {
        if (!bundle_reader_next(reader, &blob, err))
            return false;
    } while (blob);
    return drain_rest(reader->pipe, err);
}
