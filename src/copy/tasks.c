/*
 * What has to be done at a registry: a task for each blob in each repository that needs it, and one
 * for each manifest and tag. A manifest waits for what it refers to; a blob in a second repository
 * of a host waits for the first, because it can then be mounted.
 */
#include "base/mem.h"
#include "copy/copy_priv.h"
#include "copy/left_out.h"

/* A blob somewhere. Nodes and interned words are the same where their pointers are, and there are
 * tens of thousands of these. */
struct blob_key {
    const struct copy_blob *blob;
    const char *host; /* interned */
    const char *repo; /* interned; NULL: anywhere on the host */
};

struct builder {
    struct copy *copy;
    struct mir_map *manifest_tasks; /* "HOST/REPO DIGEST[:TAG]" -> task */
    struct mir_map *blob_tasks;     /* blob_key -> task; the first of a host also without repo */
    struct mir_map *base_landings;  /* "HOST host/repo" of a base -> repository, "" for none */
    struct mir_map *known_on_host;  /* blob_key without repo -> repository that has the blob */
    const char *known_host;         /* whose blobs are being noted */
    char *known_repo;
};

struct copy_task *copy_task_new(struct copy *copy, enum copy_task_kind kind)
{
    struct copy_task *task = mir_alloc(sizeof(*task));

    task->kind = kind;
    mir_grow(&copy->tasks, copy->task_count, &copy->task_capacity, sizeof(*copy->tasks));
    copy->tasks[copy->task_count++] = task;
    return task;
}

void copy_task_free(struct copy_task *task)
{
    free(task->dependents);
    free(task->followers);
    free(task->error);
    free(task);
}

static void depend(struct copy_task *task, struct copy_task *on)
{
    mir_grow(&on->dependents, on->dependent_count, &on->dependent_capacity,
             sizeof(*on->dependents));
    on->dependents[on->dependent_count++] = task;
    task->waiting_for++;
}

static void follow(struct copy_task *task, struct copy_task *first)
{
    mir_grow(&first->followers, first->follower_count, &first->follower_capacity,
             sizeof(*first->followers));
    first->followers[first->follower_count++] = task;
    task->after = first;
    task->waiting_for++;
}

/* Where the copy of the base brought what is left out now; the same for many blobs. */
static const char *base_repo(struct builder *builder, const struct copy_blob *blob,
                             const char *host)
{
    auto_free char *key = NULL;
    char *known;

    if (!blob->left_out || !blob->left_out->repo)
        return NULL;
    key = mir_format("%s %s", host, blob->left_out->repo);
    known = mir_map_find(builder->base_landings, mir_span_of(key));
    if (!known) {
        const char *repo = copy_left_out_landing(builder->copy, blob, host);

        known = copy_graph_word(&builder->copy->graph, repo ? repo : "");
        mir_map_set(builder->base_landings, mir_span_of(key), known);
    }
    return known[0] != '\0' ? known : NULL;
}

static struct mir_span span_of_key(const struct blob_key *key)
{
    return mir_span((const char *)key, sizeof(*key));
}

static struct copy_task *blob_task(struct builder *builder, struct copy_blob *blob,
                                   const struct reg_repo *repo)
{
    const struct blob_key here = {.blob = blob, .host = repo->host, .repo = repo->name};
    const struct blob_key on_host = {.blob = blob, .host = repo->host};
    struct copy_task *task = mir_map_find(builder->blob_tasks, span_of_key(&here));
    struct copy_task *first = mir_map_find(builder->blob_tasks, span_of_key(&on_host));

    if (task)
        return task;
    task = copy_task_new(builder->copy, COPY_TASK_BLOB);
    task->blob = blob;
    task->repo = *repo;
    task->mount_repo = mir_map_find(builder->known_on_host, span_of_key(&on_host));
    task->base_repo = base_repo(builder, blob, repo->host);
    mir_map_set(builder->blob_tasks, span_of_key(&here), task);
    if (first) {
        follow(task, first);
    } else {
        task->moves = true;
        mir_map_set(builder->blob_tasks, span_of_key(&on_host), task);
    }
    return task;
}

/* Depth is bounded: copy_check() has walked every manifest that comes here. */
static struct copy_task *manifest_task(struct builder *builder, struct copy_manifest *manifest,
                                       const struct reg_repo *repo, const char *tag)
{
    auto_free char *key =
        mir_format("%s/%s %s:%s", repo->host, repo->name, manifest->digest.text, tag ? tag : "");
    struct copy_task *task = mir_map_find(builder->manifest_tasks, mir_span_of(key));

    if (task)
        return task;
    task = copy_task_new(builder->copy, COPY_TASK_MANIFEST);
    task->manifest = manifest;
    task->repo = *repo;
    task->tag = tag;
    mir_map_set(builder->manifest_tasks, mir_span_of(key), task);
    for (size_t i = 0; i < manifest->blob_count; i++)
        depend(task, blob_task(builder, manifest->blobs[i], repo));
    for (size_t i = 0; i < manifest->child_count; i++)
        depend(task, manifest_task(builder, manifest->children[i].manifest, repo, NULL));
    return task;
}

static void note_blob(void *ctx, struct copy_blob *blob)
{
    struct builder *builder = ctx;
    const struct blob_key key = {.blob = blob, .host = builder->known_host};

    mir_map_set(builder->known_on_host, span_of_key(&key), builder->known_repo);
}

/* What images that are there already brought with them can be mounted by the others. */
static void note_present(struct builder *builder, struct copy_image *image)
{
    const struct copy_visitor visitor = {.blob = note_blob, .ctx = builder};
    struct copy_graph *graph = &builder->copy->graph;

    builder->known_host = copy_graph_word(graph, image->destination.host);
    builder->known_repo = copy_graph_word(graph, image->destination.repo);
    copy_graph_begin_walk(graph);
    copy_graph_walk(graph, image->root, &visitor);
}

static void count_requests(struct copy *copy)
{
    for (size_t i = 0; i < copy->task_count; i++) {
        const struct copy_task *task = copy->tasks[i];

        if (task->kind == COPY_TASK_MANIFEST || !task->moves || task->blob->left_out)
            copy->totals.requests += 1;
        else
            copy->totals.requests += task->blob->origin->reader ? 2 : 3;
    }
}

void copy_tasks_for_registry(struct copy *copy)
{
    auto_map *manifest_tasks = mir_map_new();
    auto_map *blob_tasks = mir_map_new();
    auto_map *known_on_host = mir_map_new();
    auto_map *base_landings = mir_map_new();
    struct builder builder = {.copy = copy,
                              .manifest_tasks = manifest_tasks,
                              .blob_tasks = blob_tasks,
                              .known_on_host = known_on_host,
                              .base_landings = base_landings};

    for (size_t i = 0; i < copy->image_count; i++)
        if (copy->images[i]->outcome == COPY_OUTCOME_PRESENT && copy->images[i]->is_known)
            note_present(&builder, copy->images[i]);
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];
        const struct img_ref *to = &image->destination;
        struct reg_repo repo;

        if (!copy_image_is_planned(image) || !to->host)
            continue;
        repo = copy_graph_repo(&copy->graph, to->host, to->repo)->repo;
        repo.insecure = image->lands_insecure;
        image->task = manifest_task(&builder, image->root, &repo, to->tag);
    }
    count_requests(copy);
}
