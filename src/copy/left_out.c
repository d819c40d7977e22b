/*
 * Blobs that a differential leaves out, on their way to a destination. Called by the plan (copy.c,
 * tasks.c, tasks_layout.c), and by transfer.c and transfer_registry.c.
 *
 * Nothing is taken on trust: what mirror-base.json says is a blob's size and a repository to ask
 * for; whether it is there is always asked of the destination.
 */
#include "copy/left_out.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "bundle/pipe.h"

/* ---- where the bytes are ---- */

static bool holds(const struct bundle_reader *reader, const struct copy_blob *blob)
{
    const struct bundle_blob *found = bundle_reader_find(reader, &blob->digest);

    return found && found->size == blob->size;
}

static void find_one(const struct copy *copy, struct copy_blob *blob)
{
    for (size_t i = 0; i < copy->reader_count; i++) {
        if (!holds(copy->readers[i], blob))
            continue;
        blob->origin = copy->reader_origins[i];
        return;
    }
    for (size_t i = 0; i < copy->reader_count && !blob->left_out; i++) {
        const struct bundle_left_out *entry =
            bundle_reader_leaves_out(copy->readers[i], &blob->digest);

        if (!entry || entry->size != blob->size)
            continue;
        blob->left_out = entry;
        blob->left_out_by = copy->readers[i];
    }
}

void copy_left_out_find(struct copy *copy)
{
    bool has_base = false;

    for (size_t i = 0; i < copy->reader_count; i++)
        has_base |= bundle_reader_base(copy->readers[i]) != NULL;
    for (size_t i = 0; has_base && i < copy->graph.blob_count; i++) {
        struct copy_blob *blob = copy->graph.blobs[i];

        if (blob->origin->reader && !bundle_reader_may_hold(blob->origin->reader, &blob->digest))
            find_one(copy, blob);
    }
}

/* ---- saying what is missing ---- */

/* Where a bundle was read from, as it is written on the command line. */
static const char *bundle_of(const struct copy_blob *blob)
{
    return bundle_reader_path(blob->left_out_by);
}

/* The base is what a receipt says of a mirror. */
static bool missing_at_mirror(const struct copy_blob *blob, const struct bundle_base *base,
                              struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_NOT_FOUND,
                   "%s leaves it out, because %s had it by the receipt %s (%s), and it is not at "
                   "the destination",
                   bundle_of(blob), base->mirror, base->name, base->index.text);
    return mir_hint(err,
                    "load it into %s, or write the bundle again with a receipt of where it goes",
                    base->mirror);
}

bool copy_left_out_missing(const struct copy_blob *blob, struct mir_error *err)
{
    const struct bundle_base *base = bundle_reader_base(blob->left_out_by);

    if (base->mirror)
        return missing_at_mirror(blob, base, err);
    (void)mir_fail(err, MIR_E_NOT_FOUND,
                   "%s leaves it out, because its base %s has it (the bundle whose index.json is "
                   "%s), and it is not at the destination",
                   bundle_of(blob), base->name, base->index.text);
    if (mir_ends_with(base->name, ".json"))
        return mir_hint(err, "load the bundle that %s is of first, or give both bundles",
                        base->name);
    return mir_hint(err, "load %s first, or give both bundles", base->name);
}

/* ---- into a layout ---- */

bool copy_left_out_check(const struct copy *copy, struct mir_error *err)
{
    const struct copy_blob *first = NULL;
    char bytes[MIR_BYTES_TEXT_MAX];
    uint64_t missing = 0;
    size_t count = 0;

    for (size_t i = 0; i < copy->task_count; i++) {
        const struct copy_blob *blob = copy->tasks[i]->blob;

        if (!blob || !blob->left_out || (copy->standing && holds(copy->standing, blob)))
            continue;
        if (!first)
            first = blob;
        missing += blob->size;
        count++;
    }
    if (!first)
        return true;
    (void)copy_left_out_missing(first, err);
    return mir_context(err, "%s: %zu blob%s (%s) cannot be had: blob %s", copy->destination.text,
                       count, count == 1 ? "" : "s", mir_bytes_text(missing, bytes),
                       first->digest.text);
}

/* ---- into a registry ---- */

/* Of an image that was given a destination of its own, or by the rule for all. */
static bool land(const struct copy *copy, const struct img_ref *source, struct img_ref *out)
{
    struct mir_error ignored = MIR_ERROR_INIT;

    for (size_t i = 0; i < copy->image_count; i++) {
        const struct copy_image *image = copy->images[i];

        if (image->has_landing && image->destination.host &&
            strcmp(image->source.host, source->host) == 0 &&
            strcmp(image->source.repo, source->repo) == 0) {
            img_ref_copy(&image->destination, out);
            return true;
        }
    }
    return copy->has_destination && copy_land_source(copy, source, out, &ignored);
}

const char *copy_left_out_landing(struct copy *copy, const struct copy_blob *blob, const char *host)
{
    struct mir_error ignored = MIR_ERROR_INIT;
    auto_ref source = {.host = NULL};
    auto_ref to = {.host = NULL};

    if (!blob->left_out->repo ||
        !img_ref_parse(mir_span_of(blob->left_out->repo), &source, &ignored))
        return NULL;
    /* A receipt tells of the mirror's own repositories. The mirror may go by another name here. */
    if (bundle_reader_base(blob->left_out_by)->mirror)
        return copy_graph_word(&copy->graph, source.repo);
    if (!land(copy, &source, &to) || strcmp(to.host, host) != 0)
        return NULL;
    return copy_graph_word(&copy->graph, to.repo);
}

/* Repositories of the destination that may have it, the likeliest first; the task's own is not
 * among them. Returns how many. */
static size_t candidates(const struct copy_task *task, const char *repos[3])
{
    const char *all[] = {
        task->after && task->after->state == COPY_TASK_DONE ? task->after->repo.name : NULL,
        task->mount_repo, task->base_repo};
    size_t count = 0;

    for (size_t i = 0; i < 3; i++)
        if (all[i] && strcmp(all[i], task->repo.name) != 0)
            repos[count++] = all[i];
    return count;
}

/* A registry that mounts nothing may still have it there: then through here, and into place. */
static bool carry(struct copy_worker *worker, const struct copy_task *task, const char *from,
                  bool *there, struct mir_error *err)
{
    const struct reg_repo repo = {
        .host = task->repo.host, .name = from, .insecure = task->repo.insecure};
    const struct img_descriptor descriptor = copy_blob_descriptor(task->blob);
    struct mir_error unreadable = MIR_ERROR_INIT; /* a place that we may not look into */
    enum reg_put_outcome outcome;

    if (!reg_blob_find(worker->destination, &repo, &task->blob->digest, there, &unreadable)) {
        if (unreadable.code == MIR_E_AUTH)
            return true;
        *err = unreadable;
        return false;
    }
    if (!*there)
        return true;
    return reg_blob_relay(copy_worker_again(worker, repo.host), &repo, worker->destination,
                          &task->repo, &descriptor, NULL, NULL, NULL, &outcome, err);
}

bool copy_left_out_bring(struct copy_worker *worker, const struct copy_task *task,
                         struct mir_error *err)
{
    const struct img_digest *digest = &task->blob->digest;
    const char *repos[3];
    size_t count = candidates(task, repos);
    bool there = false;

    for (size_t i = 0; i < count && !there; i++)
        if (!reg_blob_mount(worker->destination, &task->repo, digest, repos[i], &there, err))
            return false;
    if (!there && !reg_blob_find(worker->destination, &task->repo, digest, &there, err))
        return false;
    for (size_t i = 0; i < count && !there; i++)
        if (!carry(worker, task, repos[i], &there, err))
            return false;
    return there || copy_left_out_missing(task->blob, err);
}

bool copy_left_out_is_there(struct copy_worker *worker, const struct copy_task *task)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* the copy itself meets it again */
    const char *repos[3];
    size_t count = candidates(task, repos);
    bool there = false;

    if (reg_blob_find(worker->destination, &task->repo, &task->blob->digest, &there, &ignored) &&
        there)
        return true;
    for (size_t i = 0; i < count; i++) {
        const struct reg_repo repo = {
            .host = task->repo.host, .name = repos[i], .insecure = task->repo.insecure};

        mir_error_clear(&ignored);
        if (reg_blob_find(worker->destination, &repo, &task->blob->digest, &there, &ignored) &&
            there)
            return true;
    }
    return false;
}

static void note_missing(void *ctx, struct copy_blob *blob)
{
    const struct copy_blob **missing = ctx;

    if (blob->is_missing && !*missing)
        *missing = blob;
}

void copy_left_out_judge(struct copy *copy)
{
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];
        const struct copy_blob *missing = NULL;
        const struct copy_visitor visitor = {.blob = note_missing, .ctx = &missing};
        struct mir_error err = MIR_ERROR_INIT;

        if (!copy_image_is_planned(image))
            continue;
        copy_graph_begin_walk(&copy->graph);
        copy_graph_walk(&copy->graph, image->root, &visitor);
        if (!missing)
            continue;
        (void)copy_left_out_missing(missing, &err);
        (void)mir_context(&err, "blob %s", missing->digest.text);
        copy_image_fail(copy, image, &err);
    }
}
