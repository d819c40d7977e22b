/*
 * The operation as callers see it: sources in, plan, run, figures out. The work itself is in
 * resolve.c (reading), check.c (completeness), land.c (names), tasks.c and tasks_layout.c (what to
 * do), run.c, transfer.c, transfer_layout.c and transfer_registry.c (doing it).
 */
#include "copy/copy.h"

#include <errno.h>

#include "base/mem.h"
#include "bundle/pipe.h"
#include "copy/copy_priv.h"
#include "copy/left_out.h"
#include "copy/since.h"
#include "copy/stream.h"

/* ---- life ---- */

/* The queue never runs more jobs than there are workers. */
static unsigned host_cap(const struct copy_options *options)
{
    return options->max_per_host > 0 ? options->max_per_host : COPY_JOBS_MAX;
}

bool copy_new(const struct copy_options *options, const char *destination, struct copy **out,
              struct mir_error *err)
{
    struct copy *copy = mir_alloc(sizeof(*copy));

    copy->options = *options;
    if (copy->options.jobs == 0)
        copy->options.jobs = COPY_JOBS_DEFAULT;
    if (!copy->options.clock)
        copy->options.clock = mir_clock_real();
    copy->images_by_key = mir_map_new();
    copy_graph_init(&copy->graph);
    copy_queue_init(&copy->queue, copy->options.clock, copy->options.cancel, host_cap(options));
    copy_breaker_init(&copy->breaker);
    (void)pthread_mutex_init(&copy->lock, NULL);
    if (destination &&
        !copy_place_parse(mir_span_of(destination), false, &copy->destination, err)) {
        copy_free(copy);
        return mir_context(err, "destination");
    }
    copy->has_destination = destination != NULL;
    *out = copy;
    return true;
}

static void free_image(struct copy_image *image)
{
    for (size_t i = 0; i < image->try_count; i++)
        free(image->tries[i].error);
    free(image->tries);
    free(image->served_by);
    free(image->asked);
    img_ref_release(&image->source);
    free(image->name);
    free(image->pinned);
    free(image->own_wants);
    img_ref_release(&image->destination);
    free(image->landing);
    free(image->platforms);
    free(image->error);
    free(image);
}

static void free_workers(struct copy *copy)
{
    for (size_t i = 0; i < copy->worker_count; i++) {
        reg_session_free(copy->workers[i]->source);
        reg_session_free(copy->workers[i]->destination);
        reg_session_free(copy->workers[i]->elsewhere);
        reg_session_free(copy->workers[i]->again);
        free(copy->workers[i]);
    }
    free(copy->workers);
    reg_client_free(copy->source_client);
    reg_client_free(copy->destination_client);
    reg_client_free(copy->elsewhere_client);
}

void copy_free(struct copy *copy)
{
    if (!copy)
        return;
    bundle_writer_suspend(copy->writer);
    bundle_plan_free(copy->bundle_plan);
    copy_since_free(copy->since);
    free(copy->planned_images);
    free(copy->planned_blobs);
    bundle_reader_close(copy->standing);
    free_workers(copy);
    for (size_t i = 0; i < copy->task_count; i++)
        copy_task_free(copy->tasks[i]);
    free(copy->tasks);
    for (size_t i = 0; i < copy->image_count; i++)
        free_image(copy->images[i]);
    free(copy->images);
    for (size_t i = 0; i < copy->reader_count; i++)
        bundle_reader_close(copy->readers[i]);
    free(copy->readers);
    free(copy->reader_origins);
    mir_map_free(copy->images_by_key);
    copy_graph_release(&copy->graph);
    copy_queue_release(&copy->queue);
    copy_breaker_release(&copy->breaker);
    (void)pthread_mutex_destroy(&copy->lock);
    copy_place_release(&copy->destination);
    free(copy);
}

/* ---- sources ---- */

void copy_image_fail(struct copy *copy, struct copy_image *image, const struct mir_error *err)
{
    (void)pthread_mutex_lock(&copy->lock);
    if (!image->error) {
        image->error = mir_alloc(sizeof(*image->error));
        *image->error = *err;
    }
    image->outcome = COPY_OUTCOME_FAILED;
    (void)pthread_mutex_unlock(&copy->lock);
}

struct copy_image *copy_image_new(struct copy *copy, const char *asked, const char *destination)
{
    auto_free char *key = mir_format("%s %s", asked, destination ? destination : "");
    struct copy_image *image;

    if (mir_map_find(copy->images_by_key, mir_span_of(key)))
        return NULL;
    image = mir_alloc(sizeof(*image));
    image->asked = mir_strdup(asked);
    image->landing = mir_strdup(destination);
    image->has_landing = destination != NULL;
    image->cut = "";
    image->wants = copy->options.platforms;
    image->want_count = copy->options.platform_count;
    mir_grow(&copy->images, copy->image_count, &copy->image_capacity, sizeof(*copy->images));
    copy->images[copy->image_count++] = image;
    mir_map_set(copy->images_by_key, mir_span_of(key), image);
    return image;
}

static bool require_digest(const struct copy *copy, const char *asked, bool has_digest,
                           struct mir_error *err)
{
    if (has_digest || !copy->options.require_digest)
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "%s is not pinned by a digest, and --require-digest is given",
                   asked);
    return mir_hint(err, "name it as NAME@sha256:...; \"mirror inspect %s\" shows the digest",
                    asked);
}

static bool add_docker(struct copy *copy, const struct copy_place *place, const char *destination,
                       struct mir_error *err)
{
    auto_ref ref = {0};
    auto_free char *asked = mir_format("docker://%s", place->name);
    struct copy_image *image;

    if (!img_ref_parse(mir_span_of(place->name), &ref, err)) {
        err->code = MIR_E_USAGE;
        return mir_context(err, "source");
    }
    if (!require_digest(copy, asked, ref.has_digest, err))
        return false;
    image = copy_image_new(copy, asked, destination);
    if (!image)
        return true;
    image->source = ref;
    ref = (struct img_ref){0};
    if (!image->source.tag && !image->source.has_digest)
        image->source.tag = mir_strdup("latest");
    if (image->source.has_digest)
        image->pinned = img_ref_format(&image->source);
    image->origin = copy_graph_repo(&copy->graph, image->source.host, image->source.repo);
    return true;
}

/* The name of a layout without directories and extension, as a repository. */
static char *layout_repo(const char *path)
{
    const char *base = strrchr(path, '/');
    auto_free char *name = mir_strdup(base && base[1] != '\0' ? base + 1 : path);
    char *dot = strrchr(name, '.');

    if (dot && dot != name)
        *dot = '\0';
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return img_is_repo(mir_span_of(name)) ? mir_steal(&name) : mir_strdup("image");
}

/* What an image of a layout is called: its own full name where it has one, else one made from the
 * file ("localhost/FILE:TAG"). */
static void name_layout_image(const struct bundle_reader *reader, const struct bundle_image *found,
                              struct copy_image *image)
{
    struct img_ref *out = &image->source;
    struct mir_error ignored = MIR_ERROR_INIT;

    if (!found->name || !img_ref_parse(mir_span_of(found->name), out, &ignored)) {
        *out = (struct img_ref){.host = mir_strdup("localhost"),
                                .repo = layout_repo(bundle_reader_path(reader))};
        image->label = found->name ? found->name : found->digest.text;
        if (found->name && img_is_tag(mir_span_of(found->name)))
            out->tag = mir_strdup(found->name);
    }
    /* The bytes decide, not the name. */
    out->digest = found->digest;
    out->has_digest = true;
}

bool copy_image_cut(const struct copy *copy, struct copy_image *image, const char *platforms,
                    struct mir_error *err)
{
    struct mir_span rest = mir_span_of(platforms), one;
    size_t capacity = 0;

    if (!platforms || copy->options.platform_count > 0)
        return true;
    image->want_count = 0;
    image->cut = platforms;
    while (mir_span_next(&rest, ',', &one)) {
        mir_grow(&image->own_wants, image->want_count, &capacity, sizeof(*image->own_wants));
        if (!img_platform_parse(one, &image->own_wants[image->want_count], err))
            return mir_context(err, "%s", image->asked);
        image->want_count++;
    }
    image->wants = image->own_wants;
    return true;
}

static bool add_layout_image(struct copy *copy, const struct copy_place *place, size_t reader,
                             const struct bundle_image *found, const char *destination,
                             struct mir_error *err)
{
    const char *transport = place->form == BUNDLE_FORM_DIR ? "oci" : "bundle";
    auto_free char *asked = mir_format("%s:%s:%s", transport, place->path,
                                       found->name ? found->name : found->digest.text);
    struct copy_image *image = copy_image_new(copy, asked, destination);

    if (!image)
        return true;
    name_layout_image(copy->readers[reader], found, image);
    image->pinned = img_ref_format(&image->source);
    image->origin = copy->reader_origins[reader];
    return copy_image_cut(copy, image, found->platforms, err);
}

/* The reader of a layout, opened once however often it is named. */
static bool open_layout(struct copy *copy, const struct copy_place *place, size_t *at,
                        struct mir_error *err)
{
    bool is_pipe = place->form == BUNDLE_FORM_PIPE;
    const char *path = is_pipe ? BUNDLE_STDIN : place->path;
    struct bundle_reader *reader;

    for (*at = 0; *at < copy->reader_count; (*at)++)
        if (strcmp(bundle_reader_path(copy->readers[*at]), path) == 0)
            return true;
    if (is_pipe ? !copy_stream_open(copy, &reader, err)
                : !bundle_reader_open(path, place->form, &reader, err))
        return mir_context(err, "source %s", place->text);
    if (copy->reader_count == copy->reader_capacity) {
        copy->reader_capacity = copy->reader_capacity * 2 + 4;
        copy->readers =
            mir_realloc_array(copy->readers, copy->reader_capacity, sizeof(struct bundle_reader *));
        copy->reader_origins = mir_realloc_array(copy->reader_origins, copy->reader_capacity,
                                                 sizeof(struct copy_origin *));
    }
    copy->reader_origins[copy->reader_count] = copy_graph_layout(&copy->graph, reader);
    copy->readers[copy->reader_count++] = reader;
    return true;
}

static bool add_layout(struct copy *copy, const struct copy_place *place, const char *destination,
                       struct mir_error *err)
{
    const struct bundle_reader *reader;
    const struct bundle_image *found;
    size_t at;

    if (!open_layout(copy, place, &at, err))
        return false;
    reader = copy->readers[at];
    if (place->ref) {
        if (!bundle_reader_select(reader, place->ref, &found, err))
            return mir_context(err, "source %s", place->text);
        return add_layout_image(copy, place, at, found, destination, err);
    }
    if (destination && bundle_reader_image_count(reader) != 1)
        return mir_fail(err, MIR_E_USAGE, "%s holds %zu images and cannot go to the one name %s",
                        place->text, bundle_reader_image_count(reader), destination);
    /* A whole bundle is many images even when it happens to hold one; a layout directory with one
     * image is that image, as skopeo has it. */
    if (place->form != BUNDLE_FORM_DIR || bundle_reader_image_count(reader) != 1)
        copy->has_many = true;
    for (size_t i = 0; i < bundle_reader_image_count(reader); i++)
        if (!add_layout_image(copy, place, at, bundle_reader_image(reader, i), destination, err))
            return false;
    return true;
}

bool copy_add(struct copy *copy, const char *source, const char *destination, bool bare,
              struct mir_error *err)
{
    auto_place place = {0};

    if (!copy_place_parse(mir_span_of(source), bare, &place, err))
        return mir_context(err, "source");
    if (!destination && !copy->has_destination && copy->has_mapping)
        return mir_fail(err, MIR_E_USAGE, "%s has no destination, and the command line names none",
                        source);
    if (copy->image_count >= COPY_IMAGES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "more than %d images", COPY_IMAGES_MAX);
    copy->source_count++;
    copy->has_mapping |= destination != NULL;
    switch (place.kind) {
    case COPY_PLACE_DOCKER:
        return add_docker(copy, &place, destination, err);
    case COPY_PLACE_LAYOUT:
        return add_layout(copy, &place, destination, err);
    }
    return true;
}

/* ---- the plan ---- */

static struct reg_options side_options(const struct copy *copy, const struct reg_options *side)
{
    struct reg_options options = *side;

    options.clock = copy->options.clock;
    options.cancel = copy->options.cancel;
    options.sink = copy->options.sink;
    return options;
}

/* Credentials of the command line are for the hosts that sources name, not for the places that the
 * rules have for them: those are asked with what auth files say. */
static bool open_elsewhere(struct copy *copy, struct mir_error *err)
{
    struct reg_options options = side_options(copy, &copy->options.source);

    if (!options.creds || !copy->options.rules)
        return true;
    options.creds = NULL;
    return reg_client_new(&options, &copy->elsewhere_client, err);
}

static bool open_clients(struct copy *copy, struct mir_error *err)
{
    const struct reg_options source = side_options(copy, &copy->options.source);
    const struct reg_options destination = side_options(copy, &copy->options.destination);
    bool from_registry = copy_since_asks(copy->since);

    for (size_t i = 0; i < copy->image_count; i++)
        from_registry |= copy->images[i]->origin->reader == NULL;
    if (from_registry &&
        (!reg_client_new(&source, &copy->source_client, err) || !open_elsewhere(copy, err)))
        return mir_context(err, "source");
    if ((copy->has_mapping || (copy->has_destination && copy_goes_to_registry(copy))) &&
        !reg_client_new(&destination, &copy->destination_client, err))
        return mir_context(err, "destination");
    return true;
}

static void open_workers(struct copy *copy)
{
    copy->worker_count = copy->options.jobs;
    copy->workers = mir_alloc_array(copy->worker_count, sizeof(struct copy_worker *));
    for (size_t i = 0; i < copy->worker_count; i++) {
        struct copy_worker *worker = mir_alloc(sizeof(*worker));

        worker->copy = copy;
        copy->workers[i] = worker;
    }
}

static void open_door(struct reg_session **session, struct reg_client *client,
                      struct copy_queue *queue, const char *host)
{
    const struct mir_watch watch = copy_queue_watch(queue, host);

    if (!*session)
        *session = reg_session_new(client);
    reg_session_watch(*session, &watch);
}

void copy_worker_open(struct copy_worker *worker, const char *source, const char *destination)
{
    struct copy *copy = worker->copy;

    if (source)
        open_door(&worker->source, copy->source_client, &copy->queue, source);
    if (source && copy->elsewhere_client)
        open_door(&worker->elsewhere, copy->elsewhere_client, &copy->queue, source);
    if (destination)
        open_door(&worker->destination, copy->destination_client, &copy->queue, destination);
}

struct reg_session *copy_worker_source(const struct copy_worker *worker,
                                       const struct copy_origin *origin)
{
    return origin->is_elsewhere && worker->elsewhere ? worker->elsewhere : worker->source;
}

struct reg_session *copy_worker_again(struct copy_worker *worker, const char *host)
{
    struct copy *copy = worker->copy;

    open_door(&worker->again, copy->destination_client, &copy->queue, host);
    return worker->again;
}

/* A layout that stands where the new one goes saves fetching. One that cannot be read is simply
 * replaced when it is a file, and is the writer's to judge when it is a directory. */
static void open_standing(struct copy *copy)
{
    struct mir_error ignored = MIR_ERROR_INIT;

    if (!copy->has_destination || copy_goes_to_registry(copy) ||
        copy->destination.form == BUNDLE_FORM_PIPE)
        return;
    if (!bundle_reader_open(copy->destination.path, copy->destination.form, &copy->standing,
                            &ignored) &&
        ignored.code != MIR_E_NOT_FOUND)
        mir_log(copy->options.sink, MIR_LEVEL_DEBUG, "cannot reuse what stands there: %s",
                ignored.text);
}

static void ask_for_blob(void *context, void *item)
{
    struct copy_worker *worker = context;
    struct copy_task *task = item;
    struct mir_error ignored = MIR_ERROR_INIT;
    bool found = false;

    copy_worker_open(worker, NULL, task->repo.host);
    if (task->kind == COPY_TASK_BLOB && task->moves && task->blob->left_out)
        task->blob->is_missing = !copy_left_out_is_there(worker, task);
    /* A registry that does not answer will be reported by the copy itself. */
    else if (task->kind == COPY_TASK_BLOB && task->moves &&
             reg_blob_find(worker->destination, &task->repo, &task->blob->digest, &found,
                           &ignored) &&
             found)
        task->was_there = true;
}

/* A dry run tells what really would be moved. */
static void ask_for_blobs(struct copy *copy)
{
    for (size_t i = 0; i < copy->task_count; i++)
        copy_queue_push_between(&copy->queue, NULL, copy->tasks[i]->repo.host, copy->tasks[i]);
    copy_queue_run(&copy->queue, (void *const *)copy->workers, copy->worker_count, ask_for_blob);
    for (size_t i = 0; i < copy->task_count; i++) {
        const struct copy_task *task = copy->tasks[i];

        if (!task->was_there)
            continue;
        copy->totals.bytes_present += task->blob->size;
        copy->totals.requests -= task->blob->origin->reader ? 1 : 2;
    }
    copy_left_out_judge(copy);
}

static bool plan_destination(struct copy *copy, struct mir_error *err)
{
    if (!copy->has_destination && !copy->has_mapping)
        return true;
    if (!copy_goes_to_registry(copy))
        return copy_tasks_for_layout(copy, err);
    copy_tasks_for_registry(copy);
    if (copy->options.dry_run)
        ask_for_blobs(copy);
    return true;
}

static bool check_volumes(const struct copy *copy, struct mir_error *err)
{
    bool is_file = copy->has_destination && !copy_goes_to_registry(copy) &&
                   copy->destination.form == BUNDLE_FORM_TAR;

    if (copy->options.volume_bytes == 0 || is_file)
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "only a bundle's file can be cut into volumes%s%s",
                   copy->has_destination ? ", not " : "",
                   copy->has_destination ? copy->destination.text : "");
    return mir_hint(err, "write to bundle:FILE, or leave --volume-size out");
}

bool copy_plan(struct copy *copy, struct mir_error *err)
{
    if (copy->image_count == 0)
        return mir_fail(err, MIR_E_USAGE, "there is nothing to copy");
    if (!check_volumes(copy, err) || !copy_land(copy, err) || !copy_stream_check(copy, err) ||
        !copy_since_open(copy, err) || !open_clients(copy, err))
        return false;
    copy_apply_rules(copy);
    open_workers(copy);
    open_standing(copy);
    if (!copy_since_read_bundle(copy, err))
        return false;
    copy_resolve(copy);
    if (mir_is_cancelled(copy->options.cancel))
        return mir_fail(err, MIR_E_CANCELLED, "stopped");
    copy_check(copy);
    if (!copy_check_collisions(copy, err) || !copy_since_read_registry(copy, err))
        return false;
    copy_left_out_find(copy);
    if (copy->destination_client)
        copy_probe_resolved(copy);
    copy_add_up(copy);
    return plan_destination(copy, err);
}

/* ---- what the plan says and what happened ---- */

void copy_get_totals(const struct copy *copy, struct copy_totals *out)
{
    *out = copy->totals;
    out->images = copy->image_count;
    for (size_t i = 0; i < copy->image_count; i++) {
        out->copied += copy->images[i]->outcome == COPY_OUTCOME_COPIED;
        out->failed += copy->images[i]->outcome == COPY_OUTCOME_FAILED;
        out->present += copy->images[i]->outcome == COPY_OUTCOME_PRESENT;
    }
    if (copy->source_client)
        out->requests_source = reg_client_requests(copy->source_client);
    if (copy->elsewhere_client)
        out->requests_source += reg_client_requests(copy->elsewhere_client);
    if (copy->destination_client)
        out->requests_destination = reg_client_requests(copy->destination_client);
}

const char *copy_outcome_name(enum copy_outcome outcome)
{
    switch (outcome) {
    case COPY_OUTCOME_PLANNED:
        return "planned";
    case COPY_OUTCOME_COPIED:
        return "copied";
    case COPY_OUTCOME_PRESENT:
        return "present";
    case COPY_OUTCOME_FAILED:
        return "failed";
    }
    return "";
}

size_t copy_image_count(const struct copy *copy)
{
    return copy->image_count;
}

void copy_get_result(const struct copy *copy, size_t i, struct copy_result *out)
{
    const struct copy_image *image = copy->images[i];

    *out = (struct copy_result){
        .source = image->asked,
        .pinned = image->pinned,
        .digest = image->source.has_digest ? image->source.digest.text : NULL,
        .destination = image->landing ? image->landing : copy->destination.text,
        .served_by = image->served_by,
        .outcome = image->outcome,
        .bytes = image->bytes,
        .error = image->error,
    };
}

bool copy_takes_stdout(const struct copy *copy)
{
    return copy->has_destination && !copy_goes_to_registry(copy) &&
           copy->destination.form == BUNDLE_FORM_PIPE;
}

bool copy_destination_is_relaxed(const struct copy *copy)
{
    for (size_t i = 0; i < copy->image_count; i++) {
        const char *host = copy->images[i]->destination.host;

        if (host && copy->destination_client &&
            reg_client_is_relaxed(copy->destination_client, host))
            return true;
    }
    return false;
}
