/*
 * The archive that comes through a pipe: the descriptor is read, libarchive finds header after
 * header, and the entry at hand gives its bytes once. Called by pipe_front.c and reader_pipe.c.
 *
 * Invariant: every header begins where the entry before it ended, as in reader_tar.c; a wait for
 * the pipe ends when the user stops us.
 */
#include "bundle/pipe_in_priv.h"

#include <archive.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "bundle/tar_entry_priv.h"
#include "bundle/tar_priv.h"

#define LOOK_MS   100         /* how often a wait looks for Ctrl-C */
#define DRAIN_MAX (64u << 20) /* bytes behind the archive that are waited for */

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
        ssize_t got = read_pipe(in, in->chunk + len, BUNDLE_PIPE_CHUNK - len, &in->pipe_error);

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

/* ---- opening ---- */

bool bundle_pipe_open_archive(struct bundle_reader *reader, struct mir_error *err)
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

bool bundle_pipe_next_file(const struct bundle_reader *reader, const char **name,
                           struct mir_error *err)
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

bool bundle_pipe_read_data(const struct bundle_reader *reader, char *to, size_t len,
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

bool bundle_pipe_read_small(const struct bundle_reader *reader, const char *name, size_t max,
                            char **text, size_t *len, struct mir_error *err)
{
    uint64_t size = (uint64_t)archive_entry_size(reader->pipe->entry);
    auto_free char *bytes = NULL;

    if (size > max || !mir_size_from_u64(size, len))
        return mir_fail(err, MIR_E_LIMIT, "%s: %s of %" PRIu64 " bytes is over the limit of %zu",
                        reader->path, name, size, max);
    bytes = mir_alloc(*len + 1);
    if (!bundle_pipe_read_data(reader, bytes, *len, err))
        return false;
    *text = mir_steal(&bytes);
    return true;
}

/* ---- behind the archive ---- */

bool bundle_pipe_drain_rest(struct bundle_pipe_in *in, struct mir_error *err)
{
    for (uint64_t drained = 0; !in->at_eof && drained < DRAIN_MAX;) {
        ssize_t got = read_pipe(in, in->chunk, BUNDLE_PIPE_CHUNK, err);

        if (got < 0)
            return false;
        in->at_eof = got == 0;
        drained += (uint64_t)got;
    }
    return true;
}
