/*
 * Reading the blobs of a bundle that comes through a pipe: their bytes are there once, while they
 * pass by, and later only of those that are kept. Called by pipe_front.c, reader.c, verify_pipe.c
 * and src/copy.
 *
 * Invariant: one blob passes by at a time, read by one thread and in ascending order; of that one,
 * not more than the first BUNDLE_PIPE_REPLAY_MAX bytes can be read again.
 */
#include "bundle/pipe_in_priv.h"

#include <inttypes.h>

#include "base/map.h"
#include "base/mem.h"
#include "bundle/tar_entry_priv.h"

/* ---- blobs that were seen ---- */

static struct bundle_pipe_seen *find_seen(struct bundle_pipe_in *in,
                                          const struct img_digest *digest)
{
    struct bundle_pipe_seen *seen;

    (void)pthread_mutex_lock(&in->lock);
    seen = mir_map_find(in->by_digest, mir_span_of(digest->text));
    (void)pthread_mutex_unlock(&in->lock);
    return seen;
}

void bundle_pipe_set_current(struct bundle_pipe_in *in, struct bundle_pipe_seen *seen)
{
    (void)pthread_mutex_lock(&in->lock);
    in->current = seen;
    in->owner = pthread_self();
    (void)pthread_mutex_unlock(&in->lock);
}

static struct bundle_pipe_seen *add_seen(struct bundle_pipe_in *in, const struct img_digest *digest,
                                         uint64_t size)
{
    struct bundle_pipe_seen *seen = mir_alloc(sizeof(*seen));

    seen->blob = (struct bundle_blob){.digest = *digest, .size = size};
    (void)pthread_mutex_lock(&in->lock);
    mir_grow(&in->seen, in->seen_count, &in->seen_capacity, sizeof(struct bundle_pipe_seen *));
    in->seen[in->seen_count++] = seen;
    mir_map_set(in->by_digest, mir_span_of(seen->blob.digest.text), seen);
    (void)pthread_mutex_unlock(&in->lock);
    return seen;
}

bool bundle_pipe_meet(const struct bundle_reader *reader, const char *name,
                      const struct img_digest *digest, struct mir_error *err)
{
    struct bundle_pipe_in *in = reader->pipe;

    if (find_seen(in, digest))
        return bundle_entry_refuse(reader->path, name, BUNDLE_IS_TWICE, err);
    bundle_pipe_set_current(in, add_seen(in, digest, (uint64_t)archive_entry_size(in->entry)));
    in->at = 0;
    mir_buf_clear(&in->replay);
    return true;
}

const struct bundle_blob *bundle_pipe_find(struct bundle_pipe_in *in,
                                           const struct img_digest *digest)
{
    const struct bundle_pipe_seen *seen;

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
    if (!bundle_pipe_read_data(reader, to, len, err)) {
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
    auto_free char *data = in->at < offset ? mir_alloc(BUNDLE_PIPE_CHUNK) : NULL;

    while (in->at < offset) {
        uint64_t left = offset - in->at;

        if (!read_on(reader, data, left < BUNDLE_PIPE_CHUNK ? (size_t)left : BUNDLE_PIPE_CHUNK,
                     err))
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
static bool copy_kept(struct bundle_pipe_in *in, const struct bundle_pipe_seen *seen,
                      uint64_t offset, void *data, size_t len, bool *is_passing)
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
    const struct bundle_pipe_seen *seen = find_seen(reader->pipe, &blob->digest);
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
    if (!in->is_waiting && !bundle_pipe_go_on(reader, err)) {
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
    struct bundle_pipe_seen *seen = find_seen(reader->pipe, &blob->digest);

    if (!seen)
        return;
    (void)pthread_mutex_lock(&reader->pipe->lock);
    free(mir_steal(&seen->bytes));
    (void)pthread_mutex_unlock(&reader->pipe->lock);
}

bool bundle_reader_drain(struct bundle_reader *reader, struct mir_error *err)
{
    const struct bundle_blob *blob;

    do {
        if (!bundle_reader_next(reader, &blob, err))
            return false;
    } while (blob);
    return bundle_pipe_drain_rest(reader->pipe, err);
}
