/*
 * Writing a bundle to a pipe: the bytes of the tar, strictly one after the other. Blobs take turns;
 * whoever brings one waits here until it is its turn. Called by writer.c and src/copy, from many
 * threads.
 *
 * A blob of at most HOLD_MAX bytes is kept until its digest is known, so that several arrive while
 * a large one is written, and a wrong one can still be fetched again. Of a large one every byte
 * goes out as it comes.
 *
 * Invariant: only the thread whose blob has the turn writes to the descriptor. Once broken, nothing
 * is written any more, and the end of the archive never is.
 */
#include "bundle/pipe_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/base_priv.h"
#include "bundle/tar_priv.h"

#define HOLD_MAX  (256u << 10) /* bytes of a blob that is kept */
#define NEAR      (4u << 20)   /* bytes in front of a blob that are little */
#define LOOK_MS   100          /* how often a wait looks for Ctrl-C */
#define PIPE_SIZE (1 << 20)    /* what the kernel may keep for the reader; more than its usual */

struct bundle_pipe_out {
    int fd; /* ours */
    const struct mir_cancel *cancel;
    pthread_mutex_t lock; /* of what follows; not held while writing */
    pthread_cond_t changed;
    size_t first;     /* all blobs in front of this one are out */
    size_t turn;      /* the blob that goes next; blob_count when all have gone */
    bool is_open;     /* its header is out */
    uint64_t written; /* bytes of it that are out */
    bool is_broken;
    struct mir_error trouble; /* what broke it */
    char **held;              /* of each blob: its bytes while they are kept, or NULL */
    size_t blob_count;
};

/* ---- the descriptor ---- */

bool bundle_pipe_check_output(int fd, struct mir_error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return mir_fail(err, MIR_E_USAGE, "%s is not open for writing", BUNDLE_STDOUT);
    if (!isatty(fd))
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "a bundle is not written to a terminal");
    return mir_hint(err, "send %s to a file or a program: > FILE, or | ssh HOST ...",
                    BUNDLE_STDOUT);
}

/* A descriptor of our own. That of a pipe does not block, so that Ctrl-C ends a wait for a slow
 * reader; the caller's keeps its flags, for it may be shared with other programs. */
static int open_own(int fd)
{
    auto_free char *path = mir_format("/proc/self/fd/%d", fd);
    struct stat info;
    int own = -1;

    if (fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode))
        own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (own < 0)
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    (void)fcntl(own, F_SETPIPE_SZ, PIPE_SIZE); /* what the system does not allow is no matter */
    return own;
}

static bool cannot_write(const struct bundle_writer *writer, struct mir_error *err)
{
    if (errno != EPIPE)
        return mir_fail_errno(err, "write to %s", writer->path);
    (void)mir_fail_errno(err, "write to %s", writer->path);
    return mir_hint(err, "the program that read it has ended; its own message says why");
}

static bool wait_writable(const struct bundle_writer *writer, struct mir_error *err)
{
    struct pollfd poller = {.fd = writer->out->fd, .events = POLLOUT};

    while (!mir_is_cancelled(writer->out->cancel)) {
        int ready = poll(&poller, 1, LOOK_MS);

        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true; /* room, or trouble that writing tells */
    }
    return mir_fail(err, MIR_E_CANCELLED, "stopped");
}

static bool put(const struct bundle_writer *writer, struct mir_span bytes, struct mir_error *err)
{
    while (bytes.len > 0) {
        ssize_t put;

        if (!wait_writable(writer, err))
            return false;
        put = write(writer->out->fd, bytes.ptr, bytes.len);
        if (put < 0 && errno != EINTR && errno != EAGAIN)
            return cannot_write(writer, err);
        if (put > 0)
            bytes = mir_span_from(bytes, (size_t)put);
    }
    return true;
}

/* ---- pieces of a tar ---- */

static bool put_header(const struct bundle_writer *writer, const char *name, uint64_t size,
                       struct mir_error *err)
{
    auto_buf header;

    mir_buf_init(&header, BUNDLE_TAR_HEADER_MAX);
    return bundle_tar_header(name, size, writer->plan->epoch, &header, err) &&
           put(writer, mir_buf_span(&header), err);
}

static bool put_padding(const struct bundle_writer *writer, uint64_t size, struct mir_error *err)
{
    static const char zeros[BUNDLE_TAR_BLOCK];

    return put(writer, mir_span(zeros, (size_t)bundle_tar_padding(size)), err);
}

static bool put_small(const struct bundle_writer *writer, const char *name, struct mir_span bytes,
                      struct mir_error *err)
{
    return put_header(writer, name, bytes.len, err) && put(writer, bytes, err) &&
           put_padding(writer, bytes.len, err);
}

static bool put_front(const struct bundle_writer *writer, struct mir_error *err)
{
    const struct bundle_plan *plan = writer->plan;

    return put_small(writer, BUNDLE_LAYOUT_NAME, mir_span_of(BUNDLE_LAYOUT_TEXT), err) &&
           put_small(writer, BUNDLE_INDEX_NAME, mir_span(plan->index, plan->index_len), err) &&
           (!plan->base_text ||
            put_small(writer, BUNDLE_BASE_FILE, mir_span(plan->base_text, plan->base_len), err));
}

/* ---- turns; the lock is held in these ---- */

static bool is_sound(const struct bundle_pipe_out *out, struct mir_error *err)
{
    if (!out->is_broken)
        return !mir_is_cancelled(out->cancel) || mir_fail(err, MIR_E_CANCELLED, "stopped");
    *err = out->trouble;
    return false;
}

static void note_broken(struct bundle_pipe_out *out, const struct mir_error *err)
{
    if (!out->is_broken)
        out->trouble = *err;
    out->is_broken = true;
    (void)pthread_cond_broadcast(&out->changed);
}

/* Until something changed, or it is time to look for Ctrl-C. */
static void wait_a_little(struct bundle_pipe_out *out)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&out->changed, &out->lock, &until);
}

static bool wait_for_turn(struct bundle_pipe_out *out, size_t blob, struct mir_error *err)
{
    while (is_sound(out, err)) {
        if (out->turn == blob)
            return true;
        wait_a_little(out);
    }
    return false;
}

/* What goes in front of a blob and is not out yet. */
static bool is_near(const struct bundle_writer *writer, size_t blob)
{
    const struct bundle_pipe_out *out = writer->out;
    uint64_t ahead = 0;

    for (size_t i = out->turn; i < blob && ahead <= NEAR; i++)
        if (!bundle_writer_has(writer, i))
            ahead += writer->plan->blobs[i].size - (i == out->turn ? out->written : 0);
    return ahead <= NEAR;
}

/* ---- one blob ---- */

static bool take_turn(struct bundle_pipe_out *out, size_t blob, struct mir_error *err)
{
    bool taken;

    (void)pthread_mutex_lock(&out->lock);
    taken = wait_for_turn(out, blob, err);
    (void)pthread_mutex_unlock(&out->lock);
    return taken;
}

/* The thread has the turn, so nobody else changes is_open. */
static bool open_blob(const struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    const struct bundle_blob *target = &writer->plan->blobs[blob];
    char path[BUNDLE_PATH_MAX];

    if (writer->out->is_open)
        return true;
    writer->out->is_open = true;
    return put_header(writer, bundle_blob_path(&target->digest, path), target->size, err);
}

static bool put_bytes(const struct bundle_writer *writer, size_t blob, struct mir_span bytes,
                      struct mir_error *err)
{
    struct bundle_pipe_out *out = writer->out;

    if (!open_blob(writer, blob, err) || !put(writer, bytes, err))
        return false;
    (void)pthread_mutex_lock(&out->lock);
    out->written += bytes.len;
    (void)pthread_cond_broadcast(&out->changed);
    (void)pthread_mutex_unlock(&out->lock);
    return true;
}

/* Half of something is out: nothing can follow. */
static bool broken(struct bundle_writer *writer, const struct mir_error *err)
{
    bundle_writer_break(writer, err);
    return false;
}

static void hold(struct bundle_writer *writer, size_t blob, uint64_t offset, struct mir_span bytes)
{
    char **held = &writer->out->held[blob];

    if (!*held)
        *held = mir_alloc((size_t)writer->plan->blobs[blob].size);
    if (bytes.len > 0)
        memcpy(*held + offset, bytes.ptr, bytes.len);
}

bool bundle_pipe_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                       struct mir_span bytes, struct mir_error *err)
{
    struct bundle_pipe_out *out = writer->out;

    if (writer->plan->blobs[blob].size <= HOLD_MAX) {
        hold(writer, blob, offset, bytes);
        return true;
    }
    assert(offset == writer->reached[blob]);
    if (!take_turn(out, blob, err))
        return false;
    return put_bytes(writer, blob, bytes, err) || broken(writer, err);
}

void bundle_pipe_reset(struct bundle_writer *writer, size_t blob)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (writer->reached[blob] > 0 && !writer->out->held[blob]) {
        (void)mir_fail(&err, MIR_E_DIGEST,
                       "blob %s arrived wrong, and what has gone to %s cannot be taken back",
                       writer->plan->blobs[blob].digest.text, writer->path);
        (void)mir_hint(&err, "run the same command again");
        bundle_writer_break(writer, &err);
    }
    writer->reached[blob] = 0;
}

static bool put_rest(struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    const struct bundle_blob *target = &writer->plan->blobs[blob];
    const char *held = writer->out->held[blob];

    assert(writer->reached[blob] == target->size);
    return put_bytes(writer, blob, mir_span(held ? held : "", held ? (size_t)target->size : 0),
                     err) &&
           put_padding(writer, target->size, err);
}

static void pass_turn(struct bundle_writer *writer)
{
    struct bundle_pipe_out *out = writer->out;

    (void)pthread_mutex_lock(&out->lock);
    out->is_open = false;
    out->written = 0;
    while (out->first < writer->plan->blob_count && bundle_writer_has(writer, out->first))
        out->first++;
    out->turn = out->first;
    (void)pthread_cond_broadcast(&out->changed);
    (void)pthread_mutex_unlock(&out->lock);
}

bool bundle_pipe_finish(struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    struct bundle_pipe_out *out = writer->out;

    if (!take_turn(out, blob, err))
        return false;
    if (!put_rest(writer, blob, err))
        return broken(writer, err);
    free(mir_steal(&out->held[blob]));
    atomic_store(&writer->states[blob], BUNDLE_BLOB_FINISHED);
    pass_turn(writer);
    return true;
}

/* ---- the whole ---- */

static void init(struct bundle_pipe_out *out)
{
    pthread_condattr_t monotonic;

    (void)pthread_mutex_init(&out->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&out->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

bool bundle_pipe_begin(struct bundle_writer *writer, int fd, const struct mir_cancel *cancel,
                       struct mir_error *err)
{
    struct bundle_pipe_out *out;

    if (!bundle_pipe_check_output(fd, err))
        return false;
    out = mir_alloc(sizeof(*out));
    init(out);
    out->cancel = cancel;
    out->blob_count = writer->plan->blob_count;
    out->held = mir_alloc_array(out->blob_count, sizeof(char *));
    out->fd = open_own(fd);
    writer->out = out;
    if (out->fd < 0)
        return mir_fail_errno(err, "open %s", writer->path);
    return put_front(writer, err);
}

bool bundle_writer_await(struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    struct bundle_pipe_out *out = writer->out;
    bool sound;

    (void)pthread_mutex_lock(&out->lock);
    for (sound = is_sound(out, err); sound && !is_near(writer, blob); sound = is_sound(out, err))
        wait_a_little(out);
    (void)pthread_mutex_unlock(&out->lock);
    return sound;
}

void bundle_writer_prefer(struct bundle_writer *writer, size_t blob)
{
    struct bundle_pipe_out *out = writer->out;

    (void)pthread_mutex_lock(&out->lock);
    assert(!bundle_writer_has(writer, blob));
    if (!out->is_open)
        out->turn = blob;
    (void)pthread_mutex_unlock(&out->lock);
}

void bundle_writer_break(struct bundle_writer *writer, const struct mir_error *err)
{
    (void)pthread_mutex_lock(&writer->out->lock);
    note_broken(writer->out, err);
    (void)pthread_mutex_unlock(&writer->out->lock);
}

const struct mir_error *bundle_writer_trouble(const struct bundle_writer *writer)
{
    const struct mir_error *trouble;

    (void)pthread_mutex_lock(&writer->out->lock);
    trouble = writer->out->is_broken ? &writer->out->trouble : NULL;
    (void)pthread_mutex_unlock(&writer->out->lock);
    return trouble;
}

/* What a file system promises with a write it may break when it syncs; a pipe cannot sync. */
static bool sync_output(const struct bundle_writer *writer, struct mir_error *err)
{
    if (fsync(writer->out->fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS)
        return true;
    return mir_fail_errno(err, "sync %s", writer->path);
}

bool bundle_pipe_commit(struct bundle_writer *writer, struct mir_error *err)
{
    static const char zeros[BUNDLE_TAR_END];
    struct bundle_pipe_out *out = writer->out;
    int fd;

    assert(!out->is_broken);
    if (!put(writer, mir_span(zeros, sizeof(zeros)), err) || !sync_output(writer, err))
        return false;
    fd = mir_steal_fd(&out->fd);
    return close(fd) == 0 || mir_fail_errno(err, "close %s", writer->path);
}

void bundle_pipe_out_free(struct bundle_pipe_out *out)
{
    if (!out)
        return;
    if (out->fd >= 0)
        (void)close(out->fd);
    for (size_t i = 0; i < out->blob_count; i++)
        free(out->held[i]);
    free(out->held);
    (void)pthread_cond_destroy(&out->changed);
    (void)pthread_mutex_destroy(&out->lock);
    free(out);
}
