/*
 * The first pass: every source becomes a digest, every digest a manifest, every manifest its
 * children and blobs. Manifests are jobs of their own, so that the children of one index and the
 * images of a long list are fetched side by side. What a manifest lacks is recorded in its node;
 * whether an image is complete is decided afterwards (check.c).
 *
 * An image pinned by digest that the destination has already is not read at all: one HEAD tells.
 * Asking pays only where something is there, so a few images are asked first.
 */
#include <string.h>

#include "base/mem.h"
#include "copy/copy_priv.h"

#define PROBE_SAMPLE 4

enum job_kind {
    JOB_PROBE,
    JOB_PROBE_INDEX,
    JOB_IMAGE,
    JOB_MANIFEST,
};

struct job {
    enum job_kind kind;
    struct copy_image *image;
    struct copy_manifest *manifest;   /* of an IMAGE: the node it loads, once it does */
    size_t at;                        /* IMAGE: which of its tries */
    const struct img_platform *wants; /* of the image that led here */
    size_t want_count;
    const char *cut;
};

/* Where an image is asked for now. */
static const struct copy_origin *origin_of(const struct job *job)
{
    const struct copy_image *image = job->image;

    return image->try_count > 0 ? image->tries[job->at].origin : image->origin;
}

/* Who is asked; NULL: nobody, it is here. */
static const char *source_of(const struct job *job)
{
    switch (job->kind) {
    case JOB_PROBE:
    case JOB_PROBE_INDEX:
        return NULL;
    case JOB_IMAGE:
        return origin_of(job)->repo.host;
    case JOB_MANIFEST:
        return job->manifest->origin->repo.host;
    }
    return NULL;
}

static const char *destination_of(const struct job *job)
{
    bool is_asked = job->kind == JOB_PROBE || job->kind == JOB_PROBE_INDEX;

    return is_asked ? job->image->destination.host : NULL;
}

static void push(struct copy *copy, struct job job)
{
    struct job *item = mir_alloc(sizeof(*item));

    *item = job;
    copy_queue_push_between(&copy->queue, source_of(item), destination_of(item), item);
}

static bool stop_if_cancelled(const struct copy *copy, struct mir_error *err)
{
    if (!mir_is_cancelled(copy->options.cancel))
        return true;
    return mir_fail(err, MIR_E_CANCELLED, "stopped");
}

/* ---- reading one manifest into its node ---- */

static bool is_blob_child(const struct img_descriptor *child)
{
    return child->media_type[0] != '\0' && !img_type_is_index(child->media_type) &&
           !img_type_is_manifest(child->media_type) && !img_type_is_schema1(child->media_type);
}

/* The first layout among the sources that has it, or NULL. */
static const struct copy_origin *holder_of(const struct copy *copy, const struct img_digest *digest)
{
    for (size_t i = 0; i < copy->reader_count; i++)
        if (bundle_reader_find(copy->readers[i], digest))
            return copy->reader_origins[i];
    return NULL;
}

static bool add_blob(struct copy *copy, struct copy_manifest *node,
                     const struct img_descriptor *found, bool is_config, struct mir_error *err)
{
    const struct copy_origin *origin = node->origin;
    struct copy_blob *blob;

    if (!is_config && img_type_is_nondistributable(found->media_type) &&
        !copy->options.nondistributable) {
        origin = copy->options.nondistributable_held ? holder_of(copy, &found->digest) : NULL;
        node->has_foreign |= !origin;
    }
    if (!origin)
        return true;
    if (!copy_graph_blob(&copy->graph, found, origin, is_config, &blob, err))
        return false;
    node->blobs[node->blob_count++] = blob;
    return true;
}

static bool add_image_blobs(struct copy *copy, struct copy_manifest *node,
                            const struct img_manifest *manifest, struct mir_error *err)
{
    node->blobs = mir_alloc_array(manifest->layer_count + 1, sizeof(struct copy_blob *));
    if (!add_blob(copy, node, &manifest->config, true, err))
        return false;
    for (size_t i = 0; i < manifest->layer_count; i++)
        if (!add_blob(copy, node, &manifest->layers[i], false, err))
            return false;
    return true;
}

static void add_child(struct copy *copy, struct copy_manifest *node, const struct job *job,
                      const struct img_descriptor *child)
{
    struct copy_child *entry = &node->children[node->child_count++];
    bool is_new;

    entry->manifest = copy_graph_manifest(&copy->graph, &child->digest, job->cut, node->origin,
                                          node->depth + 1, &is_new);
    entry->size = child->size;
    entry->has_platform = child->has_platform;
    entry->platform = child->platform;
    if (is_new)
        push(copy, (struct job){.kind = JOB_MANIFEST,
                                .manifest = entry->manifest,
                                .wants = job->wants,
                                .want_count = job->want_count,
                                .cut = job->cut});
}

static bool add_children(struct copy *copy, struct copy_manifest *node, const struct job *job,
                         const struct img_manifest *index, struct mir_error *err)
{
    auto_free bool *keep = mir_alloc_array(index->child_count, sizeof(*keep));

    if (node->depth >= IMG_NESTING_MAX && index->child_count > 0)
        return mir_fail(err, MIR_E_LIMIT, "index %s is nested deeper than %d levels",
                        node->digest.text, IMG_NESTING_MAX);
    img_manifest_select(index, job->wants, job->want_count, keep);
    node->children = mir_alloc_array(index->child_count, sizeof(*node->children));
    node->blobs = mir_alloc_array(index->child_count, sizeof(struct copy_blob *));
    for (size_t i = 0; i < index->child_count; i++) {
        if (!keep[i]) {
            node->is_sparse = true;
        } else if (is_blob_child(&index->children[i])) {
            if (!add_blob(copy, node, &index->children[i], false, err))
                return false;
        } else {
            add_child(copy, node, job, &index->children[i]);
        }
    }
    return true;
}

/* Take over what arrived for a node that is new, and go on with what it refers to. */
static bool fill(struct copy *copy, struct copy_manifest *node, const struct job *job,
                 struct reg_manifest *got, struct mir_error *err)
{
    auto_manifest view = {0};

    if (!img_manifest_parse(mir_span(got->bytes, got->len), got->media_type, &view, err))
        return mir_context(err, "manifest %s", node->digest.text);
    node->len = got->len;
    node->bytes = mir_steal(&got->bytes);
    node->media_type = copy_graph_word(&copy->graph, view.media_type);
    node->is_index = view.kind == IMG_MANIFEST_KIND_INDEX;
    switch (view.kind) {
    case IMG_MANIFEST_KIND_IMAGE:
        return add_image_blobs(copy, node, &view, err);
    case IMG_MANIFEST_KIND_INDEX:
        return add_children(copy, node, job, &view, err);
    }
    return true;
}

static void record(struct copy_manifest *node, const struct mir_error *err)
{
    node->error = mir_alloc(sizeof(*node->error));
    *node->error = *err;
}

/* From where it is, unless it was read before on another occasion. */
static bool read_node(struct copy_worker *worker, const struct copy_manifest *node,
                      struct reg_manifest *got, struct mir_error *err)
{
    const struct copy_graph *graph = node->origin->reader ? NULL : worker->copy->known;
    const struct copy_manifest *known = graph ? copy_graph_find(graph, &node->digest) : NULL;

    if (!known || !known->bytes)
        return copy_read_manifest(worker, node->origin, node->digest.text, got, err);
    got->bytes = mir_strndup(known->bytes, known->len);
    got->len = known->len;
    got->media_type = mir_strdup(known->media_type);
    got->digest = known->digest;
    return true;
}

/* False when it could not be had from its origin; what is wrong with what came is in the node. */
static bool load_from_origin(struct copy_worker *worker, struct copy_manifest *node,
                             const struct job *job, struct mir_error *err)
{
    struct mir_error wrong = MIR_ERROR_INIT;
    struct reg_manifest got = {0};

    if (!stop_if_cancelled(worker->copy, err) || !read_node(worker, node, &got, err))
        return false;
    if (!fill(worker->copy, node, job, &got, &wrong))
        record(node, &wrong);
    reg_manifest_release(&got);
    return true;
}

static void load_node(struct copy_worker *worker, struct copy_manifest *node, const struct job *job)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (!load_from_origin(worker, node, job, &err))
        record(node, &err);
}

/* ---- one image ---- */

static void set_pinned(struct copy_image *image)
{
    free(image->pinned);
    image->pinned = img_ref_format(&image->source);
}

/* Ask for a tag, once; the digest is what counts from then on. */
static bool resolve_tag(struct copy_worker *worker, const struct job *job, struct mir_error *err)
{
    struct copy_image *image = job->image;
    struct copy *copy = worker->copy;
    struct reg_manifest got = {0};
    bool is_new;

    if (!stop_if_cancelled(copy, err) ||
        !copy_read_manifest(worker, origin_of(job), image->source.tag, &got, err))
        return false;
    image->source.digest = got.digest;
    image->source.has_digest = true;
    set_pinned(image);
    image->root =
        copy_graph_manifest(&copy->graph, &got.digest, image->cut, origin_of(job), 0, &is_new);
    if (is_new && !fill(copy, image->root, job, &got, err)) {
        record(image->root, err);
        mir_error_clear(err);
    }
    reg_manifest_release(&got);
    return true;
}

/* Images of one digest share a node, and whoever comes first loads it: from any of its places. */
static bool resolve_digest(struct copy_worker *worker, struct job *job, struct mir_error *err)
{
    struct copy_image *image = job->image;
    bool is_new = true;

    if (!job->manifest) {
        job->manifest = copy_graph_manifest(&worker->copy->graph, &image->source.digest, image->cut,
                                            origin_of(job), 0, &is_new);
        image->root = job->manifest;
    }
    if (!is_new)
        return true;
    image->was_asked_for = true;
    job->manifest->origin = origin_of(job);
    return load_from_origin(worker, job->manifest, job, err);
}

/* The next place that is not refused, from a given one on. */
static bool find_try(const struct copy_image *image, size_t *at)
{
    while (*at < image->try_count && !image->tries[*at].origin)
        (*at)++;
    return *at < image->try_count;
}

/* This place does not have it: the next one, or all have failed. */
static bool try_elsewhere(struct copy *copy, const struct job *job, struct mir_error *err)
{
    struct copy_image *image = job->image;
    struct job next = *job;

    if (image->try_count == 0 || err->code == MIR_E_CANCELLED)
        return false;
    copy_try_fail(&image->tries[job->at], err);
    next.at++;
    if (!find_try(image, &next.at)) {
        copy_tries_error(image, err);
        return false;
    }
    mir_log(copy->options.sink, MIR_LEVEL_DEBUG, "%s: %s; the next place is asked", image->asked,
            err->text);
    push(copy, next);
    return true;
}

static void resolve_image(struct copy_worker *worker, struct job *job)
{
    struct copy_image *image = job->image;
    struct copy *copy = worker->copy;
    struct mir_error err = MIR_ERROR_INIT;
    bool by_digest = image->source.has_digest;

    if (by_digest ? resolve_digest(worker, job, &err) : resolve_tag(worker, job, &err)) {
        image->origin = origin_of(job);
    } else {
        if (try_elsewhere(copy, job, &err))
            return;
        if (by_digest)
            record(job->manifest, &err);
        else
            copy_image_fail(copy, image, &err);
    }
    atomic_fetch_add(&copy_progress_of(copy)->images_done, 1);
}

/* ---- is it there already? ---- */

static bool can_probe(const struct copy_image *image)
{
    return image->source.has_digest && image->destination.host && !image->error &&
           !image->is_probed;
}

/* An index may stand there without all its children (registries that allow it keep what
 * --platform took), so only a plain manifest proves by itself that the image is whole. */
static bool is_whole(const char *media_type)
{
    return media_type[0] != '\0' && !img_type_is_index(media_type);
}

/* A failure here only costs the short cut: the push meets it again and reports it. */
static bool find(struct copy_worker *worker, const struct copy_image *image, const char *reference,
                 const struct img_digest *digest, struct reg_found *found)
{
    const struct reg_repo repo = {.host = image->destination.host,
                                  .name = image->destination.repo,
                                  .insecure = image->lands_insecure};
    struct mir_error err = MIR_ERROR_INIT;

    return reg_manifest_find(worker->destination, &repo, reference, found, &err) &&
           found->is_there && img_digest_equal(&found->digest, digest);
}

static void probe(struct copy_worker *worker, struct copy_image *image)
{
    const char *tag = image->destination.tag;
    const char *digest = image->source.digest.text;
    struct reg_found found;

    if (!find(worker, image, tag ? tag : digest, &image->source.digest, &found))
        return;
    if (is_whole(found.media_type))
        image->outcome = COPY_OUTCOME_PRESENT;
    else
        image->index_there = true;
}

static bool is_below_there(struct copy_worker *worker, const struct copy_image *image,
                           const struct copy_manifest *index)
{
    struct reg_found found;

    for (size_t i = 0; i < index->child_count; i++) {
        const struct copy_manifest *child = index->children[i].manifest;

        if (!find(worker, image, child->digest.text, &child->digest, &found))
            return false;
        if (child->is_index && !is_below_there(worker, image, child))
            return false;
    }
    return true;
}

static void probe_index(struct copy_worker *worker, struct copy_image *image)
{
    if (is_below_there(worker, image, image->root))
        image->outcome = COPY_OUTCOME_PRESENT;
}

/* ---- the pass ---- */

static void run_job(void *context, void *item)
{
    struct copy_worker *worker = context;
    struct job *job = item;

    copy_worker_open(worker, source_of(job), destination_of(job));
    switch (job->kind) {
    case JOB_PROBE:
        probe(worker, job->image);
        break;
    case JOB_PROBE_INDEX:
        probe_index(worker, job->image);
        break;
    case JOB_IMAGE:
        resolve_image(worker, job);
        break;
    case JOB_MANIFEST:
        load_node(worker, job->manifest, job);
        break;
    }
    free(job);
}

static void run(struct copy *copy)
{
    copy_queue_run(&copy->queue, (void *const *)copy->workers, copy->worker_count, run_job);
}

/* Ask for images that were not asked for yet, at most limit of them. */
static void probe_some(struct copy *copy, size_t limit)
{
    for (size_t i = 0; i < copy->image_count && limit > 0; i++) {
        if (!can_probe(copy->images[i]))
            continue;
        copy->images[i]->is_probed = true;
        push(copy, (struct job){.kind = JOB_PROBE, .image = copy->images[i]});
        copy->probed++;
        limit--;
    }
    run(copy);
}

static size_t count_there(const struct copy *copy)
{
    size_t there = 0;

    for (size_t i = 0; i < copy->image_count; i++)
        there += copy->images[i]->outcome == COPY_OUTCOME_PRESENT || copy->images[i]->index_there;
    return there;
}

/* Ask for every image whose digest is known by now, unless a sample says that it is no use. There
 * is one sample for all that is planned, whenever its digests become known. */
static void probe_destination(struct copy *copy)
{
    if (!copy->options.dry_run && count_there(copy) == 0 && copy->probed < PROBE_SAMPLE)
        probe_some(copy, PROBE_SAMPLE - copy->probed);
    if (copy->options.dry_run || count_there(copy) > 0)
        probe_some(copy, SIZE_MAX);
}

static void push_image(struct copy *copy, struct copy_image *image)
{
    struct job job = {.kind = JOB_IMAGE,
                      .image = image,
                      .manifest = image->root,
                      .wants = image->wants,
                      .want_count = image->want_count,
                      .cut = image->cut};
    struct mir_error err = MIR_ERROR_INIT;

    if (image->try_count == 0 || find_try(image, &job.at)) {
        push(copy, job);
        return;
    }
    copy_tries_error(image, &err);
    copy_image_fail(copy, image, &err);
    atomic_fetch_add(&copy_progress_of(copy)->images_done, 1);
}

static size_t count_planned(const struct copy *copy)
{
    size_t planned = 0;

    for (size_t i = 0; i < copy->image_count; i++)
        planned += copy->images[i]->outcome == COPY_OUTCOME_PLANNED && !copy->images[i]->error;
    return planned;
}

/* What one image's places did not have another's may: the same bytes under another name. */
static bool push_again(struct copy *copy, struct copy_image *image)
{
    struct copy_manifest *root = image->root;

    if (image->error || !root || !root->error || root->bytes || image->was_asked_for)
        return false;
    free(root->error);
    root->error = NULL;
    atomic_fetch_sub(&copy_progress_of(copy)->images_done, 1);
    push_image(copy, image);
    return true;
}

static bool push_all_again(struct copy *copy)
{
    bool any = false;

    for (size_t i = 0; i < copy->image_count && !mir_is_cancelled(copy->options.cancel); i++)
        any |= push_again(copy, copy->images[i]);
    return any;
}

/* Images that are there are read too when others are not: a small manifest tells which layers the
 * others need not send again. */
void copy_resolve(struct copy *copy)
{
    struct copy_progress *progress = copy_progress_of(copy);
    size_t planned;

    atomic_store(&progress->images, copy->image_count);
    copy_find_sites(copy);
    if (copy->destination_client)
        probe_destination(copy);
    planned = count_planned(copy);
    for (size_t i = 0; i < copy->image_count; i++)
        if (!copy->images[i]->error && planned > 0)
            push_image(copy, copy->images[i]);
    run(copy);
    while (push_all_again(copy))
        run(copy);
    copy_note_sites(copy);
}

void copy_probe_resolved(struct copy *copy)
{
    probe_destination(copy);
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];

        if (copy_image_is_planned(image) && image->index_there)
            push(copy, (struct job){.kind = JOB_PROBE_INDEX, .image = image});
    }
    run(copy);
}
