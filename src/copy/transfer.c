/*
 * One task of a copy: bring one blob or manifest to where it belongs, which transfer_layout.c and
 * transfer_registry.c do; and what both need for it: figures for the display, and reading from a
 * source. Called by run.c and, for manifests, by whoever resolves.
 *
 * Invariant: no byte counts twice; a try that starts over takes back what it had counted.
 */
#include "copy/transfer_priv.h"

#include "base/mem.h"
#include "copy/left_out.h"

/* ---- progress ---- */

/* Bytes on their way. Negative takes back what a failed try had counted. */
static void show_bytes(struct copy *copy, int64_t bytes)
{
    atomic_fetch_add(&copy_progress_of(copy)->bytes_done, (uint64_t)bytes);
}

void copy_count_bytes(struct copy *copy, int64_t bytes)
{
    show_bytes(copy, bytes);
    atomic_fetch_add(&copy->moved, (uint64_t)bytes);
}

void copy_count_reused(struct copy *copy, int64_t bytes)
{
    show_bytes(copy, bytes);
    atomic_fetch_add(&copy->reused, (uint64_t)bytes);
}

void copy_count_there(struct copy *copy, struct copy_task *task)
{
    if (task->kind == COPY_TASK_MANIFEST) {
        show_bytes(copy, (int64_t)task->manifest->len);
        return;
    }
    task->was_there = true;
    if (task->moves)
        show_bytes(copy, (int64_t)task->blob->size);
}

/* ---- manifests ---- */

static bool read_from_layout(struct bundle_reader *reader, const char *reference,
                             struct reg_manifest *out, struct mir_error *err)
{
    struct img_digest digest;

    if (!img_digest_parse(mir_span_of(reference), &digest, err) ||
        !bundle_reader_load(reader, &digest, IMG_MANIFEST_BYTES_MAX, &out->bytes, &out->len, err))
        return false;
    out->digest = digest;
    out->media_type = mir_strdup("");
    return true;
}

bool copy_read_manifest(struct copy_worker *worker, const struct copy_origin *origin,
                        const char *reference, struct reg_manifest *out, struct mir_error *err)
{
    struct copy_breaker *breaker = &worker->copy->breaker;
    bool ok;

    if (origin->reader)
        return read_from_layout(origin->reader, reference, out, err);
    ok = copy_breaker_may_try(breaker, origin->repo.host, NULL, err) &&
         reg_manifest_get(copy_worker_source(worker, origin), &origin->repo, reference, out, err);
    copy_breaker_note(breaker, origin->repo.host, NULL, err);
    return ok;
}

/* ---- blobs of a source that is a layout ---- */

bool copy_source_find(const struct copy_blob *blob, const struct bundle_blob **out,
                      struct mir_error *err)
{
    *out = bundle_reader_find(blob->origin->reader, &blob->digest);
    if (!*out && blob->left_out)
        return copy_left_out_missing(blob, err);
    if (!*out)
        return mir_fail(err, MIR_E_NOT_FOUND, "%s does not hold it",
                        bundle_reader_path(blob->origin->reader));
    if ((*out)->size != blob->size)
        return mir_fail(err, MIR_E_DIGEST, "%s holds %llu bytes of it, the manifest says %llu",
                        bundle_reader_path(blob->origin->reader), (unsigned long long)(*out)->size,
                        (unsigned long long)blob->size);
    return true;
}

bool copy_source_damaged(const struct bundle_reader *reader, const struct bundle_blob *blob,
                         struct mir_error *err)
{
    auto_free char *where = bundle_reader_where(reader, &blob->digest);

    (void)mir_context(err, "%s is damaged%s", bundle_reader_path(reader), where);
    return mir_hint(err, "\"mirror verify\" names everything that is; copy it from the disk again");
}

/* ---- the task ---- */

bool copy_stop_if_cancelled(const struct copy *copy, struct mir_error *err)
{
    return !mir_is_cancelled(copy->options.cancel) || mir_fail(err, MIR_E_CANCELLED, "stopped");
}

static bool bring(struct copy_worker *worker, struct copy_task *task, struct mir_error *err)
{
    return worker->copy->writer ? copy_transfer_to_layout(worker, task, err)
                                : copy_transfer_to_registry(worker, task, err);
}

bool copy_transfer(struct copy_worker *worker, struct copy_task *task, struct mir_error *err)
{
    bool is_blob = task->kind == COPY_TASK_BLOB;
    const char *digest = is_blob ? task->blob->digest.text : task->manifest->digest.text;
    const char *source = is_blob ? task->blob->origin->repo.host : NULL;
    struct copy_breaker *breaker = &worker->copy->breaker;
    bool ok;

    if (!copy_stop_if_cancelled(worker->copy, err))
        return false;
    ok = copy_breaker_may_try(breaker, source, task->repo.host, err) && bring(worker, task, err);
    copy_breaker_note(breaker, source, task->repo.host, err);
    return ok || mir_context(err, "%s %s", is_blob ? "blob" : "manifest", digest);
}
