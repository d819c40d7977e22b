/*
 * Asking a mirror what it holds. Called by mirror receipt.
 *
 * Three passes, each side by side over the same queue of ends: the tags of every repository; the
 * manifests, by a copy without a destination; then every config and layer, in one repository after
 * the other until one has it. Between passes nothing runs, so that results can be read.
 *
 * Invariants: a blob is held when a repository said that it has it, and that is the repository that
 * is written down. Manifests are read in each repository by themselves, since one may lack what
 * another has; so the outcome does not depend on who answers first.
 */
#include "copy/receipt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bundle/base.h"
#include "copy/copy_priv.h"

#define NODES_DEEP_MAX 64 /* manifests on one way down; indexes nest less deeply (check.c) */

/* A repository. */
struct place {
    struct copy_receipt *receipt;
    struct reg_repo at;
    char *name; /* of the repository: at borrows it */
    struct img_digest *digests;
    size_t digest_count, digest_capacity;
    struct reg_names tags;
    bool has_content;
};

/* A config or layer, and where it may be. */
struct item {
    const struct copy_blob *blob;
    const struct place **places;
    size_t count, capacity;
    size_t next;               /* the place to ask next */
    const struct place *found; /* or NULL */
};

struct worker {
    struct copy_receipt *receipt;
    struct reg_session *session; /* NULL until it is needed */
};

struct copy_receipt {
    struct copy_receipt_options options;
    struct copy_landing mirror; /* host and prefix */
    struct reg_client *client;
    struct mir_map *places_by_name, *items_by_digest;
    struct place **places; /* sorted from copy_receipt_run() on */
    size_t place_count, place_capacity;
    struct item **items;
    size_t item_count, item_capacity;
    struct copy *copy; /* the images, once they are read; NULL: none */
    struct copy_queue queue;
    struct worker *workers;
    size_t worker_count;
    pthread_mutex_t lock; /* of the troubles */
    size_t troubles;
    struct mir_error first_trouble;
};

/* ---- life ---- */

static void open_workers(struct copy_receipt *receipt)
{
    const struct copy_receipt_options *options = &receipt->options;

    receipt->worker_count = options->jobs ? options->jobs : COPY_JOBS_DEFAULT;
    receipt->workers = mir_alloc_array(receipt->worker_count, sizeof(*receipt->workers));
    for (size_t i = 0; i < receipt->worker_count; i++)
        receipt->workers[i].receipt = receipt;
    copy_queue_init(&receipt->queue, options->clock ? options->clock : mir_clock_real(),
                    options->cancel, (unsigned)receipt->worker_count);
}

bool copy_receipt_new(const struct copy_receipt_options *options, const char *mirror,
                      struct copy_receipt **out, struct mir_error *err)
{
    struct reg_options registry = options->registry;
    struct reg_client *client = NULL;
    auto_landing place = {.host = NULL};
    struct copy_receipt *receipt;

    registry.clock = options->clock;
    registry.cancel = options->cancel;
    registry.sink = options->sink;
    if (!copy_landing_parse_prefix(mirror, &place, err) || !reg_client_new(&registry, &client, err))
        return false;
    receipt = mir_alloc(sizeof(*receipt));
    receipt->options = *options;
    receipt->client = client;
    receipt->mirror = place;
    place = (struct copy_landing){.host = NULL};
    receipt->places_by_name = mir_map_new_borrowing();
    receipt->items_by_digest = mir_map_new_borrowing();
    (void)pthread_mutex_init(&receipt->lock, NULL);
    open_workers(receipt);
    *out = receipt;
    return true;
}

static void place_free(struct place *place)
{
    reg_names_release(&place->tags);
    free(place->digests);
    free(place->name);
    free(place);
}

void copy_receipt_free(struct copy_receipt *receipt)
{
    if (!receipt)
        return;
    for (size_t i = 0; i < receipt->worker_count; i++)
        reg_session_free(receipt->workers[i].session);
    free(receipt->workers);
    copy_queue_release(&receipt->queue);
    reg_client_free(receipt->client);
    copy_free(receipt->copy);
    for (size_t i = 0; i < receipt->item_count; i++) {
        free(receipt->items[i]->places);
        free(receipt->items[i]);
    }
    free(receipt->items);
    for (size_t i = 0; i < receipt->place_count; i++)
        place_free(receipt->places[i]);
    free(receipt->places);
    mir_map_free(receipt->places_by_name);
    mir_map_free(receipt->items_by_digest);
    copy_landing_release(&receipt->mirror);
    (void)pthread_mutex_destroy(&receipt->lock);
    free(receipt);
}

/* ---- which repositories ---- */

static struct place *place_of(struct copy_receipt *receipt, const char *repo)
{
    struct place *place = mir_map_find(receipt->places_by_name, mir_span_of(repo));

    if (place)
        return place;
    place = mir_alloc(sizeof(*place));
    *place = (struct place){.receipt = receipt, .name = mir_strdup(repo)};
    place->at = (struct reg_repo){.host = receipt->mirror.host, .name = place->name};
    mir_map_set(receipt->places_by_name, mir_span_of(place->name), place);
    mir_grow(&receipt->places, receipt->place_count, &receipt->place_capacity,
             sizeof(*receipt->places));
    receipt->places[receipt->place_count++] = place;
    return place;
}

void copy_receipt_add(struct copy_receipt *receipt, const char *repo,
                      const struct img_digest *digest)
{
    struct place *place = place_of(receipt, repo);

    if (!digest)
        return;
    mir_grow(&place->digests, place->digest_count, &place->digest_capacity,
             sizeof(*place->digests));
    place->digests[place->digest_count++] = *digest;
}

/* May it be asked, and how? */
static bool apply_rules(const struct copy_receipt *receipt, const char *repo, bool *insecure,
                        struct mir_error *err)
{
    const struct copy_rules *rules = receipt->options.rules;
    auto_ref ref = {.host = mir_strdup(receipt->mirror.host), .repo = mir_strdup(repo)};

    *insecure = false;
    return !rules || !rules->land || rules->land(rules->ctx, &ref, insecure, err);
}

/* At the prefix, or below it. */
static bool is_meant(const struct copy_receipt *receipt, const char *repo)
{
    const char *prefix = receipt->mirror.path;
    size_t len = strlen(prefix);

    return len == 0 || (strncmp(repo, prefix, len) == 0 && (repo[len] == '/' || repo[len] == '\0'));
}

static struct reg_session *session_of(struct worker *worker)
{
    struct copy_receipt *receipt = worker->receipt;
    const struct mir_watch watch = copy_queue_watch(&receipt->queue, receipt->mirror.host);

    if (!worker->session)
        worker->session = reg_session_new(receipt->client);
    reg_session_watch(worker->session, &watch);
    return worker->session;
}

bool copy_receipt_find(struct copy_receipt *receipt, struct mir_error *err)
{
    auto_names repos = {0};
    bool insecure;

    if (!apply_rules(receipt, receipt->mirror.path, &insecure, err) ||
        !reg_repo_list(session_of(&receipt->workers[0]), receipt->mirror.host, insecure, &repos,
                       err))
        return false;
    for (size_t i = 0; i < repos.count; i++)
        if (is_meant(receipt, repos.names[i]))
            copy_receipt_add(receipt, repos.names[i], NULL);
    return true;
}

/* ---- what could not be seen ---- */

static void note_trouble(struct copy_receipt *receipt, const char *what,
                         const struct mir_error *err)
{
    if (err->code == MIR_E_CANCELLED)
        return;
    mir_log(receipt->options.sink, MIR_LEVEL_WARN, "%s: %s", what, err->text);
    (void)pthread_mutex_lock(&receipt->lock);
    if (receipt->troubles++ == 0)
        receipt->first_trouble = *err;
    (void)pthread_mutex_unlock(&receipt->lock);
}

static void run_pass(struct copy_receipt *receipt, void (*job)(void *worker, void *item))
{
    auto_free void **workers = mir_alloc_array(receipt->worker_count, sizeof(*workers));

    for (size_t i = 0; i < receipt->worker_count; i++)
        workers[i] = &receipt->workers[i];
    copy_queue_run(&receipt->queue, workers, receipt->worker_count, job);
}

/* ---- tags ---- */

static void list_tags(void *worker, void *item)
{
    struct place *place = item;
    struct copy_receipt *receipt = place->receipt;
    struct mir_error err = MIR_ERROR_INIT;

    if (mir_is_cancelled(receipt->options.cancel))
        return;
    if (apply_rules(receipt, place->name, &place->at.insecure, &err) &&
        reg_tag_list(session_of(worker), &place->at, &place->tags, &err))
        return;
    if (err.code != MIR_E_NOT_FOUND)
        note_trouble(receipt, place->name, &err);
}

static int by_name(const void *a, const void *b)
{
    const struct place *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static void list_all(struct copy_receipt *receipt)
{
    if (receipt->place_count > 0)
        qsort(receipt->places, receipt->place_count, sizeof(*receipt->places), by_name);
    for (size_t i = 0; i < receipt->place_count; i++)
        copy_queue_push_between(&receipt->queue, receipt->mirror.host, NULL, receipt->places[i]);
    run_pass(receipt, list_tags);
}

/* ---- manifests ---- */

/* By its tag; digest: NULL, or what the reference is instead. */
static void add_image(struct copy *copy, const struct place *place, const char *reference,
                      const struct img_digest *digest)
{
    const struct copy_site site = {
        .ref = {.host = mir_strdup(place->at.host), .repo = mir_strdup(place->name)},
        .insecure = place->at.insecure};
    auto_free char *asked = mir_format("docker://%s/%s%s%s", place->at.host, place->name,
                                       digest ? "@" : ":", reference);
    struct copy_image *image = copy_image_new(copy, asked, NULL);
    struct img_ref ref = site.ref;

    if (!image) {
        img_ref_release(&ref);
        return;
    }
    image->origin = copy_graph_site(&copy->graph, &site);
    image->source = ref;
    if (!digest) {
        image->source.tag = mir_strdup(reference);
    } else {
        image->source.digest = *digest;
        image->source.has_digest = true;
        image->pinned = img_ref_format(&image->source);
    }
    image->cut = place->name; /* nodes of its own */
}

static bool read_manifests(struct copy_receipt *receipt, struct mir_error *err)
{
    const struct copy_receipt_options *how = &receipt->options;
    const struct copy_options options = {.source = how->registry,
                                         .jobs = how->jobs,
                                         .clock = how->clock,
                                         .cancel = how->cancel,
                                         .sink = how->sink};

    if (!copy_new(&options, NULL, &receipt->copy, err))
        return false;
    for (size_t i = 0; i < receipt->place_count; i++) {
        const struct place *place = receipt->places[i];

        for (size_t j = 0; j < place->tags.count; j++)
            add_image(receipt->copy, place, place->tags.names[j], NULL);
        for (size_t j = 0; j < place->digest_count; j++)
            add_image(receipt->copy, place, place->digests[j].text, &place->digests[j]);
    }
    return receipt->copy->image_count == 0 || copy_plan(receipt->copy, err);
}

/* ---- what they need ---- */

static void need_blob(struct copy_receipt *receipt, const struct place *place,
                      struct copy_blob *blob)
{
    struct item *item = mir_map_find(receipt->items_by_digest, mir_span_of(blob->digest.text));

    if (blob->stamp == receipt->copy->graph.stamp)
        return;
    blob->stamp = receipt->copy->graph.stamp;
    if (!item) {
        item = mir_alloc(sizeof(*item));
        item->blob = blob;
        mir_map_set(receipt->items_by_digest, mir_span_of(blob->digest.text), item);
        mir_grow(&receipt->items, receipt->item_count, &receipt->item_capacity,
                 sizeof(*receipt->items));
        receipt->items[receipt->item_count++] = item;
    }
    mir_grow(&item->places, item->count, &item->capacity, sizeof(*item->places));
    item->places[item->count++] = place;
}

/* An index may stand there without all its children, and a digest that was asked for need not be
 * there at all; a tag that was listed should. */
static void judge_manifest(struct copy_receipt *receipt, const struct place *place,
                           const struct copy_manifest *manifest)
{
    auto_free char *what = NULL;

    if (manifest->error->code == MIR_E_NOT_FOUND)
        return;
    what = mir_format("%s@%s", place->name, manifest->digest.text);
    note_trouble(receipt, what, manifest->error);
}

static void need_below(struct copy_receipt *receipt, struct place *place,
                       struct copy_manifest *manifest, unsigned depth)
{
    if (manifest->stamp == receipt->copy->graph.stamp || depth > NODES_DEEP_MAX)
        return;
    manifest->stamp = receipt->copy->graph.stamp;
    if (manifest->error) {
        judge_manifest(receipt, place, manifest);
        return;
    }
    place->has_content = true;
    for (size_t i = 0; i < manifest->blob_count; i++)
        need_blob(receipt, place, manifest->blobs[i]);
    for (size_t i = 0; i < manifest->child_count; i++)
        need_below(receipt, place, manifest->children[i].manifest, depth + 1);
}

/* Images stand in the order of places, each in one walk. */
static void need_all(struct copy_receipt *receipt)
{
    struct copy *copy = receipt->copy;
    struct place *last = NULL;

    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];
        struct place *place = place_of(receipt, image->source.repo);

        if (place != last)
            copy_graph_begin_walk(&copy->graph);
        last = place;
        if (image->root && !(image->root->error && image->source.tag))
            need_below(receipt, place, image->root, 0);
        else if (image->root)
            note_trouble(receipt, image->asked, image->root->error);
        else if (image->error)
            note_trouble(receipt, image->asked, image->error);
    }
}

/* ---- is it there? ---- */

static void ask(void *worker, void *item_)
{
    struct item *item = item_;
    struct copy_receipt *receipt = ((struct worker *)worker)->receipt;
    const struct place *place = item->places[item->next++];
    struct mir_error err = MIR_ERROR_INIT;
    bool found = false;

    if (mir_is_cancelled(receipt->options.cancel))
        return;
    if (!reg_blob_find(session_of(worker), &place->at, &item->blob->digest, &found, &err))
        note_trouble(receipt, place->name, &err);
    else if (found)
        item->found = place;
}

static bool is_open(const struct item *item)
{
    return !item->found && item->next < item->count;
}

static size_t begin_round(struct copy_receipt *receipt)
{
    size_t count = 0;

    for (size_t i = 0; i < receipt->item_count; i++) {
        if (!is_open(receipt->items[i]))
            continue;
        count++;
        copy_queue_push_between(&receipt->queue, receipt->mirror.host, NULL, receipt->items[i]);
    }
    return count;
}

static void note_missing(struct copy_receipt *receipt, const struct item *item)
{
    const struct place *first = item->places[0];
    struct mir_error err = MIR_ERROR_INIT;

    assert(first); /* somebody needs it */
    (void)mir_fail(&err, MIR_E_NOT_FOUND, "blob %s is not there, though a manifest there needs it",
                   item->blob->digest.text);
    (void)mir_hint(&err, "copy the image there again");
    note_trouble(receipt, first->name, &err);
}

static void ask_all(struct copy_receipt *receipt)
{
    for (size_t i = 0; i < receipt->item_count && receipt->options.trust; i++)
        receipt->items[i]->found = receipt->items[i]->places[0];
    while (!mir_is_cancelled(receipt->options.cancel) && begin_round(receipt) > 0)
        run_pass(receipt, ask);
    for (size_t i = 0; i < receipt->item_count; i++)
        if (!receipt->items[i]->found && !mir_is_cancelled(receipt->options.cancel))
            note_missing(receipt, receipt->items[i]);
}

bool copy_receipt_run(struct copy_receipt *receipt, struct mir_error *err)
{
    struct copy_receipt_totals totals;

    list_all(receipt);
    if (!mir_is_cancelled(receipt->options.cancel) && !read_manifests(receipt, err))
        return false;
    if (mir_is_cancelled(receipt->options.cancel))
        return mir_fail(err, MIR_E_CANCELLED, "stopped");
    need_all(receipt);
    ask_all(receipt);
    if (mir_is_cancelled(receipt->options.cancel))
        return mir_fail(err, MIR_E_CANCELLED, "stopped");
    copy_receipt_get_totals(receipt, &totals);
    if (totals.troubles == 0 || totals.blobs > 0)
        return true;
    *err = receipt->first_trouble;
    return mir_context(err, "nothing of %s can be seen", receipt->mirror.host);
}

/* ---- what came of it ---- */

void copy_receipt_get_totals(const struct copy_receipt *receipt, struct copy_receipt_totals *out)
{
    struct copy_totals read = {0};

    if (receipt->copy)
        copy_get_totals(receipt->copy, &read);
    *out = (struct copy_receipt_totals){.troubles = receipt->troubles,
                                        .requests = reg_client_requests(receipt->client) +
                                                    read.requests_source};
    for (size_t i = 0; i < receipt->place_count; i++)
        out->repos += receipt->places[i]->has_content ? 1 : 0;
    for (size_t i = 0; receipt->copy && i < receipt->copy->image_count; i++) {
        const struct copy_image *image = receipt->copy->images[i];

        out->images += image->root && !image->root->error ? 1 : 0;
    }
    for (size_t i = 0; i < receipt->item_count; i++) {
        if (!receipt->items[i]->found)
            continue;
        out->blobs++;
        out->bytes += receipt->items[i]->blob->size;
    }
}

static int by_digest(const void *a, const void *b)
{
    const struct bundle_left_out *left = a, *right = b;

    return strcmp(left->digest.text, right->digest.text);
}

/* "host/repo" of every place that holds something, in a list of its own. */
static char **repo_texts(const struct copy_receipt *receipt, struct mir_map *texts)
{
    char **out = mir_alloc_array(receipt->place_count + 1, sizeof(*out));

    for (size_t i = 0; i < receipt->place_count; i++) {
        const struct place *place = receipt->places[i];

        out[i] = mir_format("%s/%s", place->at.host, place->name);
        mir_map_set(texts, mir_span_of(place->name), out[i]);
    }
    return out;
}

bool copy_receipt_format(const struct copy_receipt *receipt, char **out, size_t *len,
                         struct mir_error *err)
{
    auto_free struct bundle_left_out *blobs = mir_alloc_array(receipt->item_count, sizeof(*blobs));
    auto_free char *mirror =
        mir_format("%s%s%s", receipt->mirror.host, receipt->mirror.path[0] != '\0' ? "/" : "",
                   receipt->mirror.path);
    auto_map *texts = mir_map_new_borrowing();
    auto_free char **repos = repo_texts(receipt, texts);
    struct bundle_base base = {.mirror = mirror, .blobs = blobs};
    bool ok;

    for (size_t i = 0; i < receipt->item_count; i++) {
        const struct item *item = receipt->items[i];

        if (item->found)
            blobs[base.count++] = (struct bundle_left_out){
                .digest = item->blob->digest,
                .size = item->blob->size,
                .repo = mir_map_find(texts, mir_span_of(item->found->name))};
    }
    if (base.count > 0)
        qsort(blobs, base.count, sizeof(*blobs), by_digest);
    ok = bundle_receipt_format(&base, out, len, err);
    for (size_t i = 0; i < receipt->place_count; i++)
        free(repos[i]);
    return ok;
}
