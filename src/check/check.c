/*
 * Asking places for images. Whatever a repository has to have (a manifest, a config, a layer) is a
 * part; parts are unique in their repository, so that what images share is asked for once.
 *
 * It goes in rounds: in each, every image that is still without a place asks the next one for its
 * manifest, and what that needs. Between rounds nothing runs, so that results can be read.
 *
 * Invariant: while workers run, the lists and the map are under the lock; a part's own fields
 * belong to the one job that asks for it.
 */
#include "check/check.h"

#include <pthread.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "copy/queue.h"
#include "http/http.h"
#include "image/manifest.h"

#define JOBS_DEFAULT 32

/* ---- what there is ---- */

/* A repository at a place. */
struct repo {
    struct reg_repo at; /* borrows from: */
    char *host, *name;
};

struct part {
    const struct repo *repo;
    char *reference; /* digest, or tag: what it is asked for by */
    bool is_manifest;
    bool is_queued;      /* somebody asks for it, or has */
    bool is_there;       /* of a manifest: it came, whatever it needs */
    unsigned depth;      /* of the way down that found it first */
    struct part **below; /* what it needs, in its own order */
    size_t below_count;
    struct mir_error *error; /* owned; NULL: it is there, and can be used */
    enum check_fault fault;  /* what the error is */
    bool is_judged;
    const struct part *bad; /* judged: the first with an error, of this and all below; or NULL */
};

struct image {
    struct part **places; /* the root at each place */
    struct check_try *tries;
    size_t count;
    size_t next; /* the place to ask next */
    size_t served_by;
};

struct worker {
    struct check *check;
    struct reg_session *session; /* NULL until it is needed */
};

struct check {
    struct check_options options;
    struct reg_client *client;
    pthread_mutex_t lock;
    struct mir_map *repos_by_name, *parts_by_name;
    struct repo **repos;
    size_t repo_count, repo_capacity;
    struct part **parts;
    size_t part_count, part_capacity;
    struct image *images;
    size_t image_count, image_capacity;
    struct copy_queue queue;
    struct worker *workers;
    size_t worker_count;
};

bool check_new(const struct check_options *options, struct check **out, struct mir_error *err)
{
    struct reg_options registry = options->registry;
    struct reg_client *client = NULL;
    struct check *check;

    registry.clock = options->clock;
    registry.cancel = options->cancel;
    registry.sink = options->sink;
    if (!reg_client_new(&registry, &client, err))
        return false;
    check = mir_alloc(sizeof(*check));
    check->options = *options;
    check->client = client;
    (void)pthread_mutex_init(&check->lock, NULL);
    check->repos_by_name = mir_map_new();
    check->parts_by_name = mir_map_new();
    check->worker_count = options->jobs ? options->jobs : JOBS_DEFAULT;
    check->workers = mir_alloc_array(check->worker_count, sizeof(*check->workers));
    for (size_t i = 0; i < check->worker_count; i++)
        check->workers[i].check = check;
    copy_queue_init(&check->queue, options->clock ? options->clock : mir_clock_real(),
                    options->cancel, (unsigned)check->worker_count);
    *out = check;
    return true;
}

static void part_free(struct part *part)
{
    free(part->reference);
    free(part->below);
    free(part->error);
    free(part);
}

static void repo_free(struct repo *repo)
{
    free(repo->host);
    free(repo->name);
    free(repo);
}

void check_free(struct check *check)
{
    if (!check)
        return;
    for (size_t i = 0; i < check->worker_count; i++)
        reg_session_free(check->workers[i].session);
    free(check->workers);
    copy_queue_release(&check->queue);
    reg_client_free(check->client);
    for (size_t i = 0; i < check->image_count; i++) {
        free(check->images[i].places);
        free(check->images[i].tries);
    }
    free(check->images);
    for (size_t i = 0; i < check->part_count; i++)
        part_free(check->parts[i]);
    free(check->parts);
    for (size_t i = 0; i < check->repo_count; i++)
        repo_free(check->repos[i]);
    free(check->repos);
    mir_map_free(check->parts_by_name);
    mir_map_free(check->repos_by_name);
    (void)pthread_mutex_destroy(&check->lock);
    free(check);
}

static const struct repo *repo_of(struct check *check, const struct check_place *place)
{
    auto_free char *key =
        mir_format("%s/%s %d", place->ref->host, place->ref->repo, place->insecure ? 1 : 0);
    struct repo *repo = mir_map_find(check->repos_by_name, mir_span_of(key));

    if (repo)
        return repo;
    repo = mir_alloc(sizeof(*repo));
    *repo =
        (struct repo){.host = mir_strdup(place->ref->host), .name = mir_strdup(place->ref->repo)};
    repo->at =
        (struct reg_repo){.host = repo->host, .name = repo->name, .insecure = place->insecure};
    mir_map_set(check->repos_by_name, mir_span_of(key), repo);
    mir_grow(&check->repos, check->repo_count, &check->repo_capacity, sizeof(*check->repos));
    check->repos[check->repo_count++] = repo;
    return repo;
}

/* The part of that name. A blob and a manifest of one digest are two: registries keep them apart.
 */
static struct part *part_locked(struct check *check, const struct repo *repo, const char *reference,
                                bool is_manifest)
{
    auto_free char *key =
        mir_format("%p %d %s", (const void *)repo, is_manifest ? 1 : 0, reference);
    struct part *part = mir_map_find(check->parts_by_name, mir_span_of(key));

    if (part)
        return part;
    part = mir_alloc(sizeof(*part));
    *part =
        (struct part){.repo = repo, .reference = mir_strdup(reference), .is_manifest = is_manifest};
    mir_map_set(check->parts_by_name, mir_span_of(key), part);
    mir_grow(&check->parts, check->part_count, &check->part_capacity, sizeof(*check->parts));
    check->parts[check->part_count++] = part;
    return part;
}

void check_add(struct check *check, const struct check_place *places, size_t count)
{
    struct image *image;

    mir_grow(&check->images, check->image_count, &check->image_capacity, sizeof(*check->images));
    image = &check->images[check->image_count++];
    *image = (struct image){.places = mir_alloc_array(count + 1, sizeof(struct part *)),
                            .tries = mir_alloc_array(count + 1, sizeof(struct check_try)),
                            .count = count,
                            .served_by = SIZE_MAX};
    for (size_t i = 0; i < count; i++) {
        const struct img_ref *ref = places[i].ref;

        image->places[i] = part_locked(check, repo_of(check, &places[i]),
                                       ref->has_digest ? ref->digest.text : ref->tag, true);
    }
}

/* ---- asking for one part ---- */

/* Under the lock, while workers run. */
static bool claim(struct part *part)
{
    bool ours = !part->is_queued;

    part->is_queued = true;
    return ours;
}

static void push(struct check *check, struct part *part)
{
    copy_queue_push_between(&check->queue, part->repo->at.host, NULL, part);
}

static void need(struct check *check, struct part *part, const char *digest, bool is_manifest)
{
    struct part *below;
    bool ours;

    (void)pthread_mutex_lock(&check->lock);
    below = part_locked(check, part->repo, digest, is_manifest);
    ours = claim(below);
    (void)pthread_mutex_unlock(&check->lock);
    part->below[part->below_count++] = below;
    if (!ours)
        return;
    below->depth = part->depth + 1;
    push(check, below);
}

/* Layers that need not be distributed are fetched from elsewhere, or not at all. */
static void need_image(struct check *check, struct part *part, const struct img_manifest *manifest)
{
    part->below = mir_alloc_array(manifest->layer_count + 1, sizeof(struct part *));
    if (check->options.depth >= CHECK_DEPTH_CONFIG)
        need(check, part, manifest->config.digest.text, false);
    for (size_t i = 0; i < manifest->layer_count; i++)
        if (check->options.depth >= CHECK_DEPTH_BLOBS &&
            !img_type_is_nondistributable(manifest->layers[i].media_type))
            need(check, part, manifest->layers[i].digest.text, false);
}

static bool is_blob(const struct img_descriptor *child)
{
    return child->media_type[0] != '\0' && !img_type_is_index(child->media_type) &&
           !img_type_is_manifest(child->media_type) && !img_type_is_schema1(child->media_type);
}

static bool lacks_platform(const struct check *check, const struct img_manifest *index,
                           struct mir_error *err)
{
    const struct check_options *options = &check->options;

    for (size_t i = 0; i < options->platform_count; i++) {
        auto_free bool *keep = mir_alloc_array(index->child_count + 1, sizeof(*keep));
        char text[IMG_PLATFORM_TEXT_MAX];
        bool found = false;

        img_manifest_select(index, &options->platforms[i], 1, keep);
        for (size_t j = 0; j < index->child_count; j++)
            found |= keep[j];
        if (!found)
            return !mir_fail(err, MIR_E_NOT_FOUND, "the index has no %s",
                             img_platform_format(&options->platforms[i], text));
    }
    return false;
}

static bool need_children(struct check *check, struct part *part, const struct img_manifest *index,
                          struct mir_error *err)
{
    const struct check_options *options = &check->options;
    auto_free bool *keep = mir_alloc_array(index->child_count + 1, sizeof(*keep));

    if (part->depth >= IMG_NESTING_MAX && index->child_count > 0)
        return mir_fail(err, MIR_E_LIMIT, "indexes are nested deeper than %d levels",
                        IMG_NESTING_MAX);
    if (part->depth == 0 && lacks_platform(check, index, err)) {
        part->fault = CHECK_PLATFORM;
        return mir_hint(err, "mirror it again with that --platform, or without any");
    }
    img_manifest_select(index, options->platforms, options->platform_count, keep);
    part->below = mir_alloc_array(index->child_count + 1, sizeof(struct part *));
    for (size_t i = 0; i < index->child_count; i++)
        if (keep[i] && (!is_blob(&index->children[i]) || options->depth == CHECK_DEPTH_BLOBS))
            need(check, part, index->children[i].digest.text, !is_blob(&index->children[i]));
    return true;
}

static bool ask_manifest(struct worker *worker, struct part *part, struct mir_error *err)
{
    struct reg_manifest got = {0};
    auto_manifest manifest = {0};
    bool ok;

    ok = reg_manifest_get(worker->session, &part->repo->at, part->reference, &got, err);
    /* Runtimes do not look further for better bytes. */
    part->is_there = ok || err->code == MIR_E_DIGEST;
    if (!ok)
        return false;
    ok = img_manifest_parse(mir_span(got.bytes, got.len), got.media_type, &manifest, err);
    reg_manifest_release(&got);
    if (ok && manifest.kind == IMG_MANIFEST_KIND_INDEX)
        ok = need_children(worker->check, part, &manifest, err);
    else if (ok)
        need_image(worker->check, part, &manifest);
    return ok ||
           mir_context(err, "%s/%s@%s", part->repo->at.host, part->repo->at.name, part->reference);
}

static bool ask_blob(struct worker *worker, const struct part *part, struct mir_error *err)
{
    const struct reg_repo *repo = &part->repo->at;
    struct img_digest digest;
    bool found = false;

    if (!img_digest_parse(mir_span_of(part->reference), &digest, err) ||
        !reg_blob_find(worker->session, repo, &digest, &found, err))
        return false;
    if (found)
        return true;
    (void)mir_fail(err, MIR_E_NOT_FOUND,
                   "blob %s is not in %s/%s, though a manifest there needs it", part->reference,
                   repo->host, repo->name);
    return mir_hint(err, "copy the image there again");
}

static enum check_fault fault_of(const struct mir_error *err)
{
    switch (err->code) {
    case MIR_E_NOT_FOUND:
        return CHECK_ABSENT;
    case MIR_E_TLS:
        return err->sys == HTTP_SYS_NO_TLS ? CHECK_PLAIN_HTTP : CHECK_CERTIFICATE;
    case MIR_E_AUTH:
        return CHECK_LOGIN;
    case MIR_E_NETWORK:
        return CHECK_UNREACHABLE;
    default:
        return CHECK_BROKEN;
    }
}

static void record(struct part *part, const struct mir_error *err)
{
    part->error = mir_alloc(sizeof(*part->error));
    *part->error = *err;
    if (part->fault == CHECK_SOUND)
        part->fault = fault_of(err);
}

static void ask(void *worker_, void *part_)
{
    struct worker *worker = worker_;
    struct part *part = part_;
    struct check *check = worker->check;
    struct mir_watch watch = copy_queue_watch(&check->queue, part->repo->at.host);
    struct mir_error err = MIR_ERROR_INIT;
    bool ok;

    if (!worker->session)
        worker->session = reg_session_new(check->client);
    reg_session_watch(worker->session, &watch);
    if (mir_is_cancelled(check->options.cancel))
        ok = mir_fail(&err, MIR_E_CANCELLED, "stopped");
    else
        ok = part->is_manifest ? ask_manifest(worker, part, &err) : ask_blob(worker, part, &err);
    if (!ok)
        record(part, &err);
}

/* ---- rounds ---- */

/* The first part that is wrong, of this one and all it needs. The way down is bounded here too:
 * what one image calls its root may be deep below another's. */
static const struct part *judge(struct part *part, unsigned depth)
{
    struct mir_error too_deep = MIR_ERROR_INIT;

    if (part->is_judged)
        return part->bad;
    part->is_judged = true;
    if (!part->error && depth > 2 * IMG_NESTING_MAX &&
        !mir_fail(&too_deep, MIR_E_LIMIT, "indexes are nested too deeply"))
        record(part, &too_deep);
    part->bad = part->error ? part : NULL;
    for (size_t i = 0; i < part->below_count && !part->bad; i++)
        part->bad = judge(part->below[i], depth + 1);
    return part->bad;
}

static bool is_open(const struct image *image)
{
    return image->served_by == SIZE_MAX && image->next < image->count;
}

/* Every image without a place asks the next one. Returns how many there are. */
static size_t begin_round(struct check *check)
{
    size_t count = 0;

    for (size_t i = 0; i < check->image_count; i++) {
        struct image *image = &check->images[i];
        struct part *root;

        if (!is_open(image))
            continue;
        count++;
        root = image->places[image->next];
        image->tries[image->next].is_asked = true;
        if (claim(root))
            push(check, root);
    }
    return count;
}

static void note(struct check_try *attempt, const struct part *root, const struct part *bad)
{
    if (!bad)
        return;
    attempt->error = bad->error;
    attempt->fault = bad != root && bad->fault == CHECK_ABSENT ? CHECK_INCOMPLETE : bad->fault;
}

/* Who has the manifest is who is pulled from, even if a part is missing: no runtime looks further.
 */
static void end_round(struct check *check)
{
    for (size_t i = 0; i < check->image_count; i++) {
        struct image *image = &check->images[i];
        struct part *root;

        if (!is_open(image))
            continue;
        root = image->places[image->next];
        note(&image->tries[image->next], root, judge(root, 0));
        if (root->is_there)
            image->served_by = image->next;
        image->next++;
    }
}

bool check_run(struct check *check, struct mir_error *err)
{
    auto_free void **workers = mir_alloc_array(check->worker_count, sizeof(*workers));

    for (size_t i = 0; i < check->worker_count; i++)
        workers[i] = &check->workers[i];
    while (begin_round(check) > 0) {
        copy_queue_run(&check->queue, workers, check->worker_count, ask);
        if (mir_is_cancelled(check->options.cancel))
            return mir_fail(err, MIR_E_CANCELLED, "stopped");
        end_round(check);
    }
    return true;
}

/* ---- what came of it ---- */

const char *check_fault_name(enum check_fault fault)
{
    static const char *const names[] = {
        [CHECK_SOUND] = "sound",           [CHECK_ABSENT] = "absent",
        [CHECK_INCOMPLETE] = "incomplete", [CHECK_PLATFORM] = "platform",
        [CHECK_PLAIN_HTTP] = "plain-http", [CHECK_CERTIFICATE] = "certificate",
        [CHECK_LOGIN] = "login",           [CHECK_UNREACHABLE] = "unreachable",
        [CHECK_BROKEN] = "broken",
    };

    return names[fault];
}

void check_get_result(const struct check *check, size_t image, struct check_result *out)
{
    *out = (struct check_result){.served_by = check->images[image].served_by,
                                 .tries = check->images[image].tries};
}

uint64_t check_requests(const struct check *check)
{
    return reg_client_requests(check->client);
}
