/*
 * Going on where an earlier run stopped: what stands beside the bundle is looked at once, and is
 * then ours to continue, a leftover to take blobs from, or gone. Called by the writer of tars at
 * begin.
 *
 * Invariant: a killed run can be killed again. Every step leaves names that the next run reads the
 * same way: a journal is renamed before the files it speaks of, and of those the first one last.
 */
#include "bundle/previous_priv.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bundle/journal_priv.h"
#include "bundle/volumes_priv.h"

/* How often the look may have to be taken again: a commit finished, then a leftover made. */
#define LOOKS_MAX 8
/* Bytes that are taken over before that is noted; when room is short, that are in two places. */
#define TAKE_STEP  (64u << 20)
#define TIGHT_STEP (128u << 10)

/* What is there; one look. */
struct look {
    struct bundle_writer *writer;
    const struct bundle_record *plan; /* what we want to write */
    char *journal_name;               /* borrowed */
    struct bundle_volumes *files;     /* of our plan, the first one locked */
    bool fresh;                       /* the first one is empty: we just made it */
    struct bundle_journal *journal;   /* NULL: none that can be read */
    struct bundle_record found;       /* what it says */
    bool again;                       /* things changed; look again */
};

char *bundle_journal_name(const char *path)
{
    return mir_format("%s" BUNDLE_JOURNAL_SUFFIX, path);
}

static void look_release(struct look *look)
{
    bundle_volumes_free(look->files);
    bundle_journal_close(look->journal);
    bundle_record_release(&look->found);
}

static bool is_empty(int fd)
{
    struct stat info;

    return fstat(fd, &info) != 0 || info.st_size == 0;
}

static bool exists(const char *name)
{
    struct stat info;

    return lstat(name, &info) == 0;
}

static bool file_has_size(const char *name, uint64_t bytes)
{
    struct stat info;

    return lstat(name, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == bytes;
}

/* The files the journal speaks of, under their names while they are written. */
static struct bundle_volumes *files_found(const struct look *look)
{
    return bundle_volumes_new(look->writer->path, BUNDLE_PARTIAL_SUFFIX, look->found.volume_bytes,
                              look->found.bytes);
}

/* Is the first file called the same, so that our lock is on it? */
static bool is_first_ours(const struct look *look)
{
    return (look->found.volume_bytes == 0) == (look->writer->volume_bytes == 0);
}

/* ---- a commit that was cut short ---- */

/* Every volume is there whole, under one of its names. */
static bool is_all_there(const struct bundle_volumes *files)
{
    for (size_t i = 0; i < files->count; i++) {
        auto_free char *partial = bundle_volumes_name(files, i);
        auto_free char *final = bundle_volume_name(files->base, i + 1, "");
        uint64_t rest = files->bytes - i * files->volume_bytes;
        uint64_t size = rest < files->volume_bytes ? rest : files->volume_bytes;

        if (!file_has_size(exists(partial) ? partial : final, size))
            return false;
    }
    return true;
}

static bool forget_journal(const struct look *look, struct mir_error *err)
{
    if (unlink(look->journal_name) != 0)
        return mir_fail_errno(err, "remove %s", look->journal_name);
    /* Else a power loss could bring it back, beside files of another plan. */
    return mir_sync_parent(look->journal_name, err);
}

static bool finish_commit(struct look *look, struct mir_error *err)
{
    struct bundle_volumes *files = files_found(look);
    bool done = true;

    if (look->fresh)
        bundle_volumes_remove(look->files); /* it would be taken for the first volume */
    if (is_all_there(files))
        done = bundle_volumes_rename(files, "", err);
    bundle_volumes_free(files);
    look->again = true;
    return done && forget_journal(look, err);
}

/* ---- the same plan ---- */

static bool is_same_plan(const struct look *look)
{
    const struct bundle_record *found = &look->found, *plan = look->plan;
    const struct bundle_blob *blobs = look->writer->plan->blobs;

    if (look->fresh || found->state != BUNDLE_JOURNAL_WRITING || found->count != plan->count ||
        strcmp(found->plan, plan->plan) != 0 || found->bytes != plan->bytes ||
        found->volume_bytes != plan->volume_bytes)
        return false;
    for (size_t i = 0; i < plan->count; i++)
        if (found->places[i].key != plan->places[i].key ||
            found->places[i].offset != plan->places[i].offset ||
            found->places[i].reached > blobs[i].size)
            return false;
    return true;
}

static void hand_over(struct look *look)
{
    struct bundle_writer *writer = look->writer;

    writer->volumes = mir_steal(&look->files);
    writer->journal = mir_steal(&look->journal);
}

static bool go_on(struct look *look, struct mir_error *err)
{
    struct bundle_writer *writer = look->writer;

    for (size_t i = 0; i < look->found.count; i++)
        writer->reached[i] = look->found.places[i].reached;
    hand_over(look);
    return bundle_volumes_create(writer->volumes, err);
}

/* ---- another plan ---- */

static void remove_found(const struct look *look, const struct bundle_volumes *files)
{
    (void)unlink(look->journal_name); /* what stays is replaced */
    bundle_volumes_remove(files);
}

/* Make what was found a leftover, in place of the one that may stand there. */
static bool make_leftover(const struct look *look, struct bundle_volumes *files,
                          struct bundle_leftover *other, struct mir_error *err)
{
    auto_free char *name = bundle_leftover_journal_name(look->writer->path, BUNDLE_LEFTOVER_OLD);

    bundle_leftover_remove(other);
    if (rename(look->journal_name, name) != 0)
        return mir_fail_errno(err, "rename %s to %s", look->journal_name, name);
    return bundle_volumes_rename(files, BUNDLE_LEFTOVER_SUFFIX, err);
}

/* Of what was found and the leftover that stands there, keep what holds more. */
static bool keep_better(const struct look *look, struct bundle_volumes *files,
                        struct mir_error *err)
{
    uint64_t reached = bundle_record_reached(&look->found);
    struct bundle_leftover *other;

    if (!bundle_leftover_open(look->writer->path, BUNDLE_LEFTOVER_OLD, &other, err))
        return false;
    if (reached > 0 && (!other || bundle_leftover_reached(other) < reached))
        return make_leftover(look, files, other, err);
    bundle_leftover_close(other);
    remove_found(look, files);
    return true;
}

/* Open all that the journal speaks of; *whole is false when that is not there. */
static bool open_found(struct bundle_volumes *files, bool *whole, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;

    *whole = !is_empty(files->fds[0]) && bundle_volumes_open_all(files, &trouble);
    if (*whole || bundle_journal_is_useless(&trouble))
        return true;
    *err = trouble;
    return false;
}

static bool set_aside(struct look *look, struct mir_error *err)
{
    struct bundle_volumes *files = files_found(look);
    bool done = true, whole = false;

    if (is_first_ours(look)) /* with the lock */
        files->fds[0] = mir_steal_fd(&look->files->fds[0]);
    else
        done = bundle_volumes_lock(files, err);
    done = done && open_found(files, &whole, err);
    if (done && whole)
        done = keep_better(look, files, err);
    else if (done) /* a journal alone, or some of its files */
        remove_found(look, files);
    bundle_volumes_free(files);
    look->again = true;
    return done;
}

/* ---- no journal ---- */

/* A run that was killed while it made a leftover has renamed the journal, and some of the files. */
static void finish_leftover(struct look *look)
{
    const char *path = look->writer->path;
    auto_free char *name = bundle_leftover_journal_name(path, BUNDLE_LEFTOVER_OLD);
    auto_free char *first =
        bundle_volume_name(path, look->writer->volume_bytes > 0, BUNDLE_LEFTOVER_SUFFIX);
    struct mir_error ignored = MIR_ERROR_INIT; /* then there is nothing to finish */
    struct bundle_volumes *files;

    if (look->fresh || exists(first) ||
        !bundle_journal_open(name, &look->journal, &look->found, &ignored) || !is_first_ours(look))
        return;
    files = files_found(look);
    look->again = bundle_volumes_rename(files, BUNDLE_LEFTOVER_SUFFIX, &ignored);
    bundle_volumes_free(files);
}

/* A run of the other kind (one file, volumes) that was killed before it had a journal. It is over,
 * or about to be refused because of ours. */
static void remove_other_kind(const struct bundle_writer *writer)
{
    auto_free char *file = bundle_volume_name(writer->path, 0, BUNDLE_PARTIAL_SUFFIX);
    auto_free char *volume = bundle_volume_name(writer->path, 1, BUNDLE_PARTIAL_SUFFIX);

    if (writer->volume_bytes > 0)
        (void)unlink(file);
    else if (exists(volume))
        bundle_volumes_remove_above(writer->path, BUNDLE_PARTIAL_SUFFIX, 0);
}

static bool start_over(struct look *look, struct mir_error *err)
{
    struct bundle_writer *writer = look->writer;

    (void)unlink(look->journal_name); /* what cannot be removed is in the way of the new one */
    bundle_journal_close(mir_steal(&look->journal));
    hand_over(look);
    if (writer->volume_bytes > 0)
        bundle_volumes_remove_above(writer->path, BUNDLE_PARTIAL_SUFFIX, writer->volumes->count);
    if (!bundle_volumes_create(writer->volumes, err) ||
        !bundle_volumes_empty(writer->volumes, err) ||
        !bundle_journal_create(look->journal_name, look->plan, &writer->journal, err))
        return false;
    remove_other_kind(writer);
    return true;
}

/* ---- the look ---- */

static bool look_once(struct look *look, bool *resumed, struct mir_error *err)
{
    const struct bundle_writer *writer = look->writer;
    struct mir_error trouble = MIR_ERROR_INIT;

    look->files = bundle_volumes_new(writer->path, BUNDLE_PARTIAL_SUFFIX, writer->volume_bytes,
                                     writer->plan->bytes);
    if (!bundle_volumes_lock(look->files, err))
        return false;
    look->fresh = is_empty(look->files->fds[0]);
    if (!bundle_journal_open(look->journal_name, &look->journal, &look->found, &trouble)) {
        if (!bundle_journal_is_useless(&trouble)) {
            *err = trouble;
            return false;
        }
        finish_leftover(look);
        return look->again || start_over(look, err);
    }
    if (look->found.state == BUNDLE_JOURNAL_COMMITTING)
        return finish_commit(look, err);
    if (is_same_plan(look)) {
        *resumed = true;
        return go_on(look, err);
    }
    return set_aside(look, err);
}

static bool settle(struct bundle_writer *writer, const struct bundle_record *plan, bool *resumed,
                   struct mir_error *err)
{
    auto_free char *journal_name = bundle_journal_name(writer->path);

    for (int i = 0; i < LOOKS_MAX; i++) {
        struct look look = {.writer = writer, .plan = plan, .journal_name = journal_name};
        bool done = look_once(&look, resumed, err);

        if (!done && look.fresh && look.files)
            bundle_volumes_remove(look.files); /* what we just made */
        look_release(&look);
        if (!done || !look.again)
            return done;
    }
    return mir_fail(err, MIR_E_CONFLICT, "%s is being written by other processes", writer->path);
}

bool bundle_previous_take_over(struct bundle_writer *writer, bool *resumed, struct mir_error *err)
{
    auto_record plan;

    *resumed = false;
    bundle_record_of_plan(writer->plan, writer->volume_bytes, &plan);
    if (!settle(writer, &plan, resumed, err))
        return false;
    for (enum bundle_leftover_kind kind = 0; kind < BUNDLE_LEFTOVER_KINDS; kind++) {
        if (!bundle_leftover_open(writer->path, kind, &writer->leftovers[kind], err))
            return false;
        if (writer->leftovers[kind])
            bundle_leftover_punch(writer->leftovers[kind]);
    }
    return true;
}

/* ---- taking from leftovers ---- */

/* From one leftover, at most step bytes at a time; what is noted to be in its new place is given
 * back when gives_back. */
static bool gather_from(struct bundle_writer *writer, struct bundle_leftover *leftover, size_t blob,
                        uint64_t step, bool gives_back, struct mir_error *err)
{
    const struct bundle_plan *plan = writer->plan;

    for (;;) {
        uint64_t before = writer->reached[blob];

        if (!bundle_leftover_take(leftover, &plan->blobs[blob], writer->volumes,
                                  plan->blob_offsets[blob], step, &writer->reached[blob], err))
            return false;
        if (writer->reached[blob] == before)
            return true;
        if (!bundle_journal_note(writer->journal, blob, writer->reached[blob], err))
            return false;
        if (gives_back)
            bundle_leftover_forget(leftover, &plan->blobs[blob], writer->reached[blob]);
    }
}

bool bundle_previous_gather(struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    for (size_t i = 0; i < BUNDLE_LEFTOVER_KINDS; i++)
        if (writer->leftovers[i] &&
            !gather_from(writer, writer->leftovers[i], blob, TAKE_STEP, false, err))
            return false;
    return true;
}

bool bundle_previous_gather_all(struct bundle_writer *writer, struct mir_error *err)
{
    for (size_t blob = 0; blob < writer->plan->blob_count; blob++)
        for (size_t i = 0; i < BUNDLE_LEFTOVER_KINDS; i++)
            if (writer->leftovers[i] &&
                !gather_from(writer, writer->leftovers[i], blob, TIGHT_STEP, true, err))
                return false;
    bundle_previous_remove_leftovers(writer);
    return true;
}

void bundle_previous_remove_leftovers(struct bundle_writer *writer)
{
    for (size_t i = 0; i < BUNDLE_LEFTOVER_KINDS; i++)
        bundle_leftover_remove(mir_steal(&writer->leftovers[i]));
}
