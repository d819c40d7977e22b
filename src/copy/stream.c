/*
 * Copies from and to pipes. Called by copy.c and run.c.
 *
 * From a pipe: workers take turns at reading it. The one that meets a small blob keeps it, lets the
 * next worker read on, and brings it to its place meanwhile; a large one is brought while it
 * passes by, and the others wait. What nobody wants is passed over. All other tasks are done as
 * usual.
 *
 * To a pipe: blobs are taken in the order of the plan, whatever the queue does, and wait for their
 * turn in the writer. From a pipe to a pipe, they go in the order in which they come.
 */
#include "copy/stream.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/pipe.h"

#define SMALL_MAX (1u << 20) /* bytes of a blob that is kept while it is brought */
#define KEPT_MAX  (8u << 20) /* bytes of all of them */

/* ---- opening and checking ---- */

bool copy_stream_open(const struct copy *copy, struct bundle_reader **out, struct mir_error *err)
{
    return bundle_reader_open_pipe(STDIN_FILENO, BUNDLE_STDIN, copy->options.cancel, out, err);
}

struct bundle_reader *copy_stream_source(const struct copy *copy)
{
    for (size_t i = 0; i < copy->reader_count; i++)
        if (bundle_reader_is_pipe(copy->readers[i]))
            return copy->readers[i];
    return NULL;
}

static bool has_one_host(const struct copy *copy, struct mir_error *err)
{
    const char *first = NULL;

    for (size_t i = 0; i < copy->image_count; i++) {
        const char *host = copy->images[i]->destination.host;

        if (host && first && strcmp(host, first) != 0) {
            (void)mir_fail(err, MIR_E_USAGE,
                           "a bundle from a pipe comes by once and can go to one registry, not to"
                           " %s and %s",
                           first, host);
            return mir_hint(err, "save it to a file first, or copy to one registry after another");
        }
        first = host ? host : first;
    }
    return true;
}

bool copy_stream_check(const struct copy *copy, struct mir_error *err)
{
    if (copy_stream_source(copy) && !has_one_host(copy, err))
        return false;
    if (!copy_takes_stdout(copy) || copy->options.dry_run)
        return true;
    return bundle_pipe_check_output(STDOUT_FILENO, err);
}

/* ---- from a pipe ---- */

struct intake {
    struct copy *copy;
    struct bundle_reader *reader;
    struct mir_map *wanted; /* digest -> the task that waits for the blob */
    pthread_mutex_t lock;   /* of the pipe, and of what follows */
    bool is_over;
    atomic_size_t kept; /* bytes of small blobs */
};

/* Does it wait for the pipe? What was kept when that was opened, and what its base has, does not.
 */
static bool is_awaited(const struct intake *intake, const struct copy_task *task)
{
    const struct copy_blob *blob = task->blob;

    return task->kind == COPY_TASK_BLOB && !task->after && !blob->left_out &&
           blob->origin->reader == intake->reader &&
           !bundle_reader_find(intake->reader, &blob->digest);
}

static void end_intake(struct intake *intake, const struct mir_error *err)
{
    intake->is_over = true;
    if (err->code != MIR_OK)
        intake->copy->cut = *err;
}

/* Go on to the next blob somebody waits for; false when there is none. */
static bool next_wanted(struct intake *intake, const struct bundle_blob **blob,
                        struct copy_task **task)
{
    struct mir_error err = MIR_ERROR_INIT;

    while (!intake->is_over) {
        if (!bundle_reader_next(intake->reader, blob, &err) ||
            (!*blob && !bundle_reader_drain(intake->reader, &err)) || !*blob) {
            end_intake(intake, &err);
            return false;
        }
        *task = mir_map_find(intake->wanted, mir_span_of((*blob)->digest.text));
        if (*task)
            return true;
    }
    return false;
}

/* A blob to go out by another pipe goes in its turn. */
static bool is_to_keep(const struct intake *intake, const struct bundle_blob *blob)
{
    return intake->copy->destination.form != BUNDLE_FORM_PIPE && blob->size <= SMALL_MAX &&
           atomic_load(&intake->kept) + blob->size <= KEPT_MAX;
}

static void bring_kept(struct intake *intake, struct copy_worker *worker, struct copy_task *task,
                       const struct bundle_blob *blob)
{
    copy_run_task(worker, task);
    bundle_reader_forget(intake->reader, blob);
    atomic_fetch_sub(&intake->kept, (size_t)blob->size);
}

/* While it passes by. */
static void bring_passing(struct intake *intake, struct copy_worker *worker, struct copy_task *task)
{
    struct bundle_writer *writer = intake->copy->writer;

    if (intake->copy->destination.form == BUNDLE_FORM_PIPE)
        bundle_writer_prefer(writer, task->blob->planned);
    copy_run_task(worker, task);
    if (intake->copy->destination.form == BUNDLE_FORM_PIPE && task->error)
        bundle_writer_break(writer, task->error);
}

/* Bring one blob; false when no more come. */
static bool bring_one(struct intake *intake, struct copy_worker *worker)
{
    struct mir_error err = MIR_ERROR_INIT;
    const struct bundle_blob *blob;
    struct copy_task *task;
    bool kept = false;

    (void)pthread_mutex_lock(&intake->lock);
    if (!next_wanted(intake, &blob, &task)) {
        (void)pthread_mutex_unlock(&intake->lock);
        return false;
    }
    if (!is_to_keep(intake, blob)) {
        bring_passing(intake, worker, task);
    } else if (bundle_reader_keep(intake->reader, &err)) {
        kept = true;
        atomic_fetch_add(&intake->kept, (size_t)blob->size);
    } else {
        end_intake(intake, &err);
    }
    (void)pthread_mutex_unlock(&intake->lock);
    if (kept)
        bring_kept(intake, worker, task, blob);
    return true;
}

/* What the queue holds: the intake itself, once for each worker, and tasks. */
static void do_item(void *context, void *item)
{
    struct copy_worker *worker = context;
    struct intake *intake = worker->intake;

    if (item != intake)
        copy_run_task(worker, item);
    else
        while (bring_one(intake, worker)) {
        }
}

static void run_queue(struct intake *intake)
{
    struct copy *copy = intake->copy;

    copy_queue_run(&copy->queue, (void *const *)copy->workers, copy->worker_count, do_item);
}

/* What the pipe did not bring. Those that follow find out by themselves. */
static void fail_awaited(struct intake *intake)
{
    struct copy *copy = intake->copy;

    for (size_t i = 0; i < copy->task_count; i++) {
        struct copy_task *task = copy->tasks[i];
        struct mir_error err = MIR_ERROR_INIT;

        if (task->kind != COPY_TASK_BLOB || task->state != COPY_TASK_WAITING ||
            mir_map_find(intake->wanted, mir_span_of(task->blob->digest.text)) != task)
            continue;
        if (copy->cut.code != MIR_OK)
            err = copy->cut;
        else
            (void)mir_fail(&err, MIR_E_NOT_FOUND, "%s ended, and did not bring it",
                           bundle_reader_path(intake->reader));
        (void)mir_context(&err, "blob %s", task->blob->digest.text);
        copy_fail_task(copy, task, &err);
    }
}

static void intake_init(struct intake *intake, struct copy *copy)
{
    *intake =
        (struct intake){.copy = copy, .reader = copy_stream_source(copy), .wanted = mir_map_new()};
    (void)pthread_mutex_init(&intake->lock, NULL);
    for (size_t i = 0; i < copy->task_count; i++)
        if (is_awaited(intake, copy->tasks[i]))
            mir_map_set(intake->wanted, mir_span_of(copy->tasks[i]->blob->digest.text),
                        copy->tasks[i]);
    for (size_t i = 0; i < copy->worker_count; i++)
        copy->workers[i]->intake = intake;
}

static void intake_release(struct intake *intake)
{
    for (size_t i = 0; i < intake->copy->worker_count; i++)
        intake->copy->workers[i]->intake = NULL;
    mir_map_free(intake->wanted);
    (void)pthread_mutex_destroy(&intake->lock);
}

void copy_stream_in(struct copy *copy)
{
    __attribute__((cleanup(intake_release))) struct intake intake;
    const char *host = copy->task_count > 0 ? copy->tasks[0]->repo.host : NULL;

    /* Also with nothing to do: the pipe is heard to its end. */
    intake_init(&intake, copy);
    for (size_t i = 0; i < copy->worker_count; i++)
        copy_queue_push_between(&copy->queue, NULL, host, &intake);
    for (size_t i = 0; i < copy->task_count; i++)
        if (copy->tasks[i]->waiting_for == 0 && !is_awaited(&intake, copy->tasks[i]))
            copy_enqueue(copy, copy->tasks[i]);
    run_queue(&intake);
    fail_awaited(&intake);
    run_queue(&intake);
}

/* ---- what went to a registry and is needed there again ---- */

bool copy_stream_has_passed(const struct copy_task *task)
{
    const struct bundle_reader *reader = task->blob->origin->reader;

    return reader && bundle_reader_is_pipe(reader) && task->after;
}

bool copy_stream_carry(struct copy_worker *worker, const struct copy_task *task,
                       enum reg_put_outcome *outcome, struct mir_error *err)
{
    const struct img_descriptor descriptor = copy_blob_descriptor(task->blob);
    const struct reg_repo *there = &task->after->repo;

    if (task->after->state != COPY_TASK_DONE) {
        *err = *task->after->failed_with->error;
        return false;
    }
    return reg_blob_relay(copy_worker_again(worker, there->host), there, worker->destination,
                          &task->repo, &descriptor, there->name, NULL, NULL, outcome, err);
}

/* ---- to a pipe ---- */

struct outflow {
    struct copy *copy;
    struct copy_task **tasks; /* by place in the plan */
    size_t count;
    atomic_size_t next;
};

static size_t place_of(const struct copy_task *task)
{
    return task->kind == COPY_TASK_BLOB ? task->blob->planned : task->manifest->planned;
}

/* The next task in the order of the plan, whichever job asks: a job that holds a later one then
 * never keeps an earlier one from being begun. */
static void bring_next(void *context, void *item)
{
    struct copy_worker *worker = context;
    struct outflow *outflow = item;
    struct copy_task *task = outflow->tasks[atomic_fetch_add(&outflow->next, 1)];
    struct bundle_writer *writer = outflow->copy->writer;
    struct mir_error ignored = MIR_ERROR_INIT; /* the transfer meets it again, and reports it */
    bool is_near = bundle_writer_await(writer, place_of(task), &ignored);

    (void)is_near;
    copy_run_task(worker, task);
    if (task->error)
        bundle_writer_break(writer, task->error);
}

/* Some of the plan's tasks: those of a kind that are not done. */
static void run_in_order(struct copy *copy, struct copy_task *const *by_place, bool manifests)
{
    auto_free struct copy_task **tasks = mir_alloc_array(copy->task_count, sizeof(*tasks));
    struct outflow outflow = {.copy = copy, .tasks = tasks};

    for (size_t i = 0; i < copy->task_count; i++)
        if (by_place[i]->state == COPY_TASK_WAITING &&
            (by_place[i]->kind == COPY_TASK_MANIFEST) == manifests)
            tasks[outflow.count++] = by_place[i];
    for (size_t i = 0; i < outflow.count; i++)
        copy_queue_push_between(&copy->queue, copy_task_source(tasks[i]), NULL, &outflow);
    copy_queue_run(&copy->queue, (void *const *)copy->workers, copy->worker_count, bring_next);
}

static int by_place(const void *a, const void *b)
{
    const struct copy_task *const *left = a, *const *right = b;
    size_t x = place_of(*left), y = place_of(*right);

    return x < y ? -1 : x > y;
}

/* Blobs of a pipe come before all others, since they cannot wait. */
static void take_in(struct copy *copy)
{
    __attribute__((cleanup(intake_release))) struct intake intake;

    intake_init(&intake, copy);
    copy_queue_push(&copy->queue, &intake);
    run_queue(&intake);
    fail_awaited(&intake);
    if (copy->cut.code != MIR_OK)
        bundle_writer_break(copy->writer, &copy->cut);
    for (size_t i = 0; i < copy->task_count; i++)
        if (copy->tasks[i]->error)
            bundle_writer_break(copy->writer, copy->tasks[i]->error);
}

static void settle(struct copy *copy, const struct mir_error *trouble)
{
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];

        if (!copy_image_is_planned(image))
            continue;
        if (trouble)
            copy_image_fail(copy, image, trouble);
        else
            image->outcome = COPY_OUTCOME_COPIED;
    }
}

static bool finish(struct copy *copy, struct mir_error *err)
{
    const struct mir_error *trouble = bundle_writer_trouble(copy->writer);

    atomic_store(&copy_progress_of(copy)->phase, COPY_PHASE_FINISH);
    if (trouble) {
        *err = *trouble;
        bundle_writer_abort(mir_steal(&copy->writer));
    } else if (bundle_writer_commit(mir_steal(&copy->writer), err)) {
        settle(copy, NULL);
        return true;
    }
    settle(copy, err);
    return mir_context(err, "the bundle was cut off");
}

bool copy_stream_out(struct copy *copy, struct mir_error *err)
{
    if (!bundle_writer_begin_pipe(STDOUT_FILENO, BUNDLE_STDOUT, copy->bundle_plan,
                                  copy->options.cancel, &copy->writer, err))
        return false;
    qsort(copy->tasks, copy->task_count, sizeof(struct copy_task *), by_place);
    copy_count_work(copy);
    run_in_order(copy, copy->tasks, true);
    if (copy_stream_source(copy))
        take_in(copy);
    run_in_order(copy, copy->tasks, false);
    return finish(copy, err);
}
