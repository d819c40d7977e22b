/*
 * Doing what the plan says: tasks become jobs when what they wait for is done, large blobs first;
 * what cannot be done fails what depends on it and nothing else. At the end every image is copied
 * or has an error, and a layout is committed without the images that are not complete.
 */
#include "base/mem.h"
#include "copy/copy_priv.h"
#include "copy/since.h"
#include "copy/stream.h"

/* ---- scheduling; the copy's lock is held in all of these ---- */

static void fail_dependents(struct copy_task *task, const struct copy_task *cause);

static void mark_failed(struct copy_task *task, const struct copy_task *cause)
{
    if (task->state != COPY_TASK_WAITING)
        return;
    task->state = COPY_TASK_FAILED;
    task->failed_with = cause;
    fail_dependents(task, cause);
}

static void fail_dependents(struct copy_task *task, const struct copy_task *cause)
{
    for (size_t i = 0; i < task->dependent_count; i++)
        mark_failed(task->dependents[i], cause);
}

void copy_enqueue(struct copy *copy, struct copy_task *task)
{
    copy_queue_push_between(&copy->queue, copy_task_source(task), task->repo.host, task);
}

static void release_one(struct copy *copy, struct copy_task *task)
{
    task->waiting_for--;
    if (task->waiting_for == 0 && task->state == COPY_TASK_WAITING)
        copy_enqueue(copy, task);
}

static void finish_task(struct copy *copy, struct copy_task *task, const struct mir_error *err)
{
    (void)pthread_mutex_lock(&copy->lock);
    if (err->code == MIR_OK) {
        task->state = COPY_TASK_DONE;
        for (size_t i = 0; i < task->dependent_count; i++)
            release_one(copy, task->dependents[i]);
    } else {
        task->error = mir_alloc(sizeof(*task->error));
        *task->error = *err;
        mark_failed(task, task);
    }
    for (size_t i = 0; i < task->follower_count; i++)
        release_one(copy, task->followers[i]);
    (void)pthread_mutex_unlock(&copy->lock);
}

/* ---- running ---- */

void copy_fail_task(struct copy *copy, struct copy_task *task, const struct mir_error *err)
{
    finish_task(copy, task, err);
}

void copy_run_task(struct copy_worker *worker, struct copy_task *task)
{
    struct mir_error err = MIR_ERROR_INIT;

    copy_worker_open(worker, copy_task_source(task), task->repo.host);
    if (!copy_transfer(worker, task, &err))
        mir_log(worker->copy->options.sink, MIR_LEVEL_DEBUG, "%s", err.text);
    if (task->kind == COPY_TASK_BLOB && task->moves)
        atomic_fetch_add(&copy_progress_of(worker->copy)->blobs_done, 1);
    finish_task(worker->copy, task, &err);
}

static void do_task(void *worker, void *task)
{
    copy_run_task(worker, task);
}

static uint64_t size_of(const struct copy_task *task)
{
    /* What a bundle leaves out is asked for first: without it the rest is in vain. */
    if (task->kind == COPY_TASK_BLOB && task->blob->left_out)
        return UINT64_MAX;
    return task->kind == COPY_TASK_BLOB ? task->blob->size : task->manifest->len;
}

static int by_size_down(const void *a, const void *b)
{
    const struct copy_task *const *left = a, *const *right = b;
    uint64_t left_size = size_of(*left), right_size = size_of(*right);

    return left_size > right_size ? -1 : left_size < right_size;
}

void copy_count_work(struct copy *copy)
{
    struct copy_progress *progress = copy_progress_of(copy);

    for (size_t i = 0; i < copy->task_count; i++) {
        const struct copy_task *task = copy->tasks[i];

        if (copy->writer && task->kind == COPY_TASK_MANIFEST)
            atomic_fetch_add(&progress->bytes, task->manifest->len);
        if (task->kind != COPY_TASK_BLOB || !task->moves)
            continue;
        atomic_fetch_add(&progress->blobs, 1);
        atomic_fetch_add(&progress->bytes, task->blob->size);
    }
    atomic_store(&progress->phase, COPY_PHASE_MOVE);
}

static void enqueue_if_free(struct copy *copy, struct copy_task *task)
{
    if (task->waiting_for == 0)
        copy_enqueue(copy, task);
}

/* The largest first, so that none is left over when the others are through; and by turns the
 * smallest, whose waiting for answers costs nothing while large ones fill the line. */
static void enqueue_from_both_ends(struct copy *copy)
{
    size_t first = 0, end = copy->task_count;

    while (first < end) {
        enqueue_if_free(copy, copy->tasks[first++]);
        if (first < end)
            enqueue_if_free(copy, copy->tasks[--end]);
    }
}

/* Queue what waits for nothing, then let the workers run it, and what it releases, dry. */
static void run_tasks(struct copy *copy)
{
    if (copy->task_count > 0)
        qsort(copy->tasks, copy->task_count, sizeof(struct copy_task *), by_size_down);
    copy_count_work(copy);
    if (copy_stream_source(copy)) {
        copy_stream_in(copy);
        return;
    }
    enqueue_from_both_ends(copy);
    copy_queue_run(&copy->queue, (void *const *)copy->workers, copy->worker_count, do_task);
}

/* ---- the end of a copy into a registry ---- */

static void settle_registry_images(struct copy *copy)
{
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];

        if (!image->task)
            continue;
        if (image->task->state == COPY_TASK_DONE)
            image->outcome = COPY_OUTCOME_COPIED;
        else
            copy_image_fail(copy, image, image->task->failed_with->error);
    }
}

/* ---- the end of a copy into a layout ---- */

struct layout_check {
    const struct copy_task *const *task_of; /* by place in the plan */
    const struct mir_error *error;          /* the first of the image at hand */
    bool moved;
    bool *keep; /* by place in the plan */
    struct copy_since *since;
};

static void check_place(struct layout_check *check, size_t planned)
{
    const struct copy_task *task = check->task_of[planned];

    if (task->state != COPY_TASK_DONE && !check->error)
        check->error = task->failed_with->error;
    check->moved |= !task->was_there;
}

static void check_manifest(void *ctx, struct copy_manifest *manifest)
{
    check_place(ctx, manifest->planned);
}

static void check_blob(void *ctx, struct copy_blob *blob)
{
    if (!blob->is_left_out)
        check_place(ctx, blob->planned);
}

static void keep_manifest(void *ctx, struct copy_manifest *manifest)
{
    ((struct layout_check *)ctx)->keep[manifest->planned] = true;
}

static void keep_blob(void *ctx, struct copy_blob *blob)
{
    struct layout_check *check = ctx;

    if (blob->is_left_out)
        copy_since_keep(check->since, &blob->digest);
    else
        check->keep[blob->planned] = true;
}

static void settle_layout_image(struct copy *copy, struct copy_image *image,
                                struct layout_check *check)
{
    const struct copy_visitor look = {.manifest = check_manifest, .blob = check_blob, .ctx = check};
    const struct copy_visitor keep = {.manifest = keep_manifest, .blob = keep_blob, .ctx = check};

    check->error = NULL;
    check->moved = false;
    copy_graph_begin_walk(&copy->graph);
    copy_graph_walk(&copy->graph, image->root, &look);
    if (check->error) {
        copy_image_fail(copy, image, check->error);
        return;
    }
    copy_graph_begin_walk(&copy->graph);
    copy_graph_walk(&copy->graph, image->root, &keep);
    image->outcome = check->moved ? COPY_OUTCOME_COPIED : COPY_OUTCOME_PRESENT;
}

/* Images of one name are one entry of the bundle: all of them are in it, or none. */
static void settle_namesake(struct copy *copy, struct copy_image *image,
                            const struct mir_error *const *drop_images)
{
    bool is_settled =
        image->outcome == COPY_OUTCOME_COPIED || image->outcome == COPY_OUTCOME_PRESENT;

    if (is_settled && !image->error && drop_images[image->planned])
        copy_image_fail(copy, image, drop_images[image->planned]);
}

/* Has a blob come some way that is not going to be committed now? */
static bool is_blob_waiting(const struct copy *copy, const struct copy_task *task, bool is_over)
{
    if (task->kind != COPY_TASK_BLOB)
        return false;
    if (task->state == COPY_TASK_DONE)
        return is_over && !task->was_there;
    return bundle_writer_reached(copy->writer, task->blob->planned) > 0;
}

/* is_over: nothing is committed. */
static bool is_something_waiting(const struct copy *copy, bool is_over)
{
    for (size_t i = 0; i < copy->task_count; i++)
        if (is_blob_waiting(copy, copy->tasks[i], is_over))
            return true;
    return false;
}

/* Nothing was committed: no image is there, whatever its files had come to. */
static void forget_images(struct copy *copy)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (copy->cut.code != MIR_OK)
        err = copy->cut;
    else
        (void)mir_fail(&err, MIR_E_CANCELLED, "stopped");
    for (size_t i = 0; i < copy->image_count; i++)
        if (copy->images[i]->outcome != COPY_OUTCOME_FAILED)
            copy_image_fail(copy, copy->images[i], &err);
}

/* Commit what is complete, without the images that are not. What has come of those, and everything
 * if nothing is to be committed, is left for the next run to go on with. */
static bool finish_layout(struct copy *copy, struct mir_error *err)
{
    auto_free const struct copy_task **task_of =
        mir_alloc_array(copy->planned_blob_count, sizeof(struct copy_task *));
    auto_free bool *keep_blobs = mir_alloc_array(copy->planned_blob_count, sizeof(bool));
    auto_free bool *keep_images = mir_alloc_array(copy->planned_image_count, sizeof(bool));
    auto_free const struct mir_error **drop_images =
        mir_alloc_array(copy->planned_image_count, sizeof(struct mir_error *));
    struct layout_check check = {.task_of = task_of, .keep = keep_blobs, .since = copy->since};
    size_t kept = 0, dropped = 0;
    bool is_over;

    for (size_t i = 0; i < copy->task_count; i++)
        task_of[copy->tasks[i]->kind == COPY_TASK_BLOB ? copy->tasks[i]->blob->planned
                                                       : copy->tasks[i]->manifest->planned] =
            copy->tasks[i];
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];

        if (!copy_image_is_planned(image))
            continue;
        settle_layout_image(copy, image, &check);
        if (image->error)
            drop_images[image->planned] = image->error;
    }
    for (size_t i = 0; i < copy->image_count; i++)
        settle_namesake(copy, copy->images[i], drop_images);
    for (size_t i = 0; i < copy->planned_image_count; i++) {
        keep_images[i] = !drop_images[i];
        kept += keep_images[i];
        dropped += !keep_images[i];
    }
    is_over = kept == 0 || copy->cut.code != MIR_OK ||
              (dropped > 0 && mir_is_cancelled(copy->options.cancel));
    copy->is_suspended = is_something_waiting(copy, is_over);
    if (is_over) {
        if (copy->is_suspended)
            bundle_writer_suspend(mir_steal(&copy->writer));
        else
            bundle_writer_abort(mir_steal(&copy->writer)); /* manifests are read anew anyway */
        forget_images(copy);
        return true;
    }
    if (dropped > 0 && copy->since)
        bundle_writer_keep_left_out(copy->writer, copy_since_kept(copy->since));
    if (dropped > 0 && !bundle_writer_drop(copy->writer, keep_images, keep_blobs, err))
        return false;
    if (bundle_writer_commit(mir_steal(&copy->writer), err))
        return true;
    return mir_hint(err, "put that right and run the same command again: nothing is fetched twice");
}

static bool run_layout(struct copy *copy, struct mir_error *err)
{
    if (copy->planned_image_count == 0)
        return true;
    if (copy->destination.form == BUNDLE_FORM_PIPE)
        return copy_stream_out(copy, err);
    if (!bundle_writer_begin(copy->destination.path, copy->destination.form, copy->bundle_plan,
                             copy->options.volume_bytes, &copy->writer, err))
        return false;
    run_tasks(copy);
    atomic_store(&copy_progress_of(copy)->phase, COPY_PHASE_FINISH);
    return finish_layout(copy, err);
}

/* ---- the verdict ---- */

static bool judge(const struct copy *copy, const struct copy_totals *totals, struct mir_error *err)
{
    if (totals->failed == 0)
        return true;
    if (mir_is_cancelled(copy->options.cancel))
        return mir_fail(err, MIR_E_CANCELLED, "stopped before everything was copied");
    if (totals->failed < totals->images)
        return mir_fail(err, MIR_E_PARTIAL, "%zu of %zu images are missing at the destination",
                        totals->failed, totals->images);
    return mir_fail(err, MIR_E_NOT_FOUND,
                    totals->images == 1 ? "nothing was copied"
                                        : "none of the %zu images was copied",
                    totals->images);
}

bool copy_verdict(const struct copy *copy, struct mir_error *err)
{
    struct copy_totals totals;

    copy_get_totals(copy, &totals);
    if (judge(copy, &totals, err))
        return true;
    if (copy->is_suspended)
        return mir_hint(err, "run the same command again: it goes on from what has arrived");
    return false;
}

bool copy_run(struct copy *copy, struct mir_error *err)
{
    if (copy_goes_to_registry(copy)) {
        run_tasks(copy);
        settle_registry_images(copy);
        copy->is_suspended = mir_is_cancelled(copy->options.cancel);
    } else if (!run_layout(copy, err)) {
        return mir_context(err, "%s", copy->destination.text);
    }
    copy->totals.bytes_moved = atomic_load(&copy->moved);
    copy->totals.bytes_reused = atomic_load(&copy->reused);
    if (!copy_verdict(copy, err))
        return false;
    /* All that was asked for had come when the pipe ended too early. */
    *err = copy->cut;
    return copy->cut.code == MIR_OK;
}
