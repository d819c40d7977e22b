/*
 * What the files of this directory share: the operation itself, its images, tasks and workers.
 */
#ifndef COPY_COPY_PRIV_H
#define COPY_COPY_PRIV_H

#include "copy/breaker.h"
#include "copy/copy.h"
#include "copy/graph.h"
#include "copy/queue.h"

struct copy_since;
struct intake;

/* One place where an image is asked for. */
struct copy_try {
    const struct copy_origin *origin; /* NULL: it is refused */
    struct mir_error *error;          /* owned; NULL until it failed */
};

/* One image that was asked for. */
struct copy_image {
    char *asked; /* source with its transport, as the user wrote it */
    struct img_ref source;
    char *name;        /* in a bundle, when it is not the formatted source; else NULL */
    const char *label; /* its name in a layout, or its digest, when that is no reference and source
                          is made up; borrowed. Else NULL */
    char *pinned;      /* source with its digest, once that is known */
    const struct img_platform *wants; /* platforms to take of an index; borrowed */
    size_t want_count;
    struct img_platform *own_wants; /* behind wants, where they are the image's own */
    const char *cut;                /* names the choice where it is not the options'; "" usually */
    const struct copy_origin *origin; /* with tries: the one that has it, once that is known */
    struct copy_try *tries;           /* none: its own place alone */
    size_t try_count;
    bool was_asked_for; /* at its own places; images of one digest share what one of them got */
    char *served_by;    /* "host/repo", when it is not the image's own; else NULL */
    struct img_ref destination; /* docker only; host NULL until it is known */
    bool lands_insecure;        /* the destination's host is */
    char *landing;              /* destination as text */
    bool has_landing;           /* destination was given with the image */
    struct copy_manifest *root; /* NULL until resolved */
    char *platforms;            /* what an index was cut to, or NULL */
    bool is_probed;             /* the destination was asked */
    bool is_known;              /* PRESENT, and all its manifests could be read */
    bool index_there;           /* an index of this digest stands at the destination */
    enum copy_outcome outcome;
    uint64_t bytes;
    uint64_t apart;          /* bytes if none of its manifests shared a blob */
    struct mir_error *error; /* owned; NULL while all is well */
    struct copy_task *task;  /* docker: the push of the root */
    size_t planned;          /* layout: place among the plan's images */
};

enum copy_task_kind {
    COPY_TASK_BLOB,
    COPY_TASK_MANIFEST,
};

enum copy_task_state {
    COPY_TASK_WAITING,
    COPY_TASK_DONE,
    COPY_TASK_FAILED,
};

/* One thing to bring to one place. */
struct copy_task {
    enum copy_task_kind kind;
    struct copy_blob *blob;
    struct copy_manifest *manifest;
    struct reg_repo repo;    /* docker: destination; interned strings */
    const char *tag;         /* docker manifests: NULL means by digest; borrowed from an image */
    struct copy_task *after; /* a blob task whose repository this one can mount from, or NULL */
    const char *mount_repo;  /* a repository of the host that has the blob already, or NULL */
    const char *base_repo;   /* of a blob that is left out: where the base's copy brought it */
    bool moves;              /* the first of its blob: its bytes count */
    /* Run time, under the scheduler's lock: */
    enum copy_task_state state;
    bool was_there; /* nothing had to be moved */
    size_t waiting_for;
    struct copy_task **dependents; /* hard: they fail with this one */
    size_t dependent_count, dependent_capacity;
    struct copy_task **followers; /* soft: they wait, and go on either way */
    size_t follower_count, follower_capacity;
    struct mir_error *error;             /* owned; NULL unless this very task failed */
    const struct copy_task *failed_with; /* the task whose error this one inherited */
};

struct copy {
    struct copy_options options;
    struct copy_graph graph;
    bool has_destination;
    struct copy_place destination; /* kind LAYOUT, or DOCKER with name a reference or prefix */
    struct copy_image **images;
    size_t image_count, image_capacity;
    size_t probed;                 /* images asked for at the destination */
    struct mir_map *images_by_key; /* the same source to the same destination is one image */
    bool has_many;                 /* some source stands for more than one image */
    bool has_mapping;              /* some source came with its own destination */
    size_t source_count;
    struct bundle_reader **readers; /* opened sources, closed with the copy */
    const struct copy_origin **reader_origins;
    size_t reader_count, reader_capacity;
    struct copy_since *since;       /* --since, or NULL */
    const struct copy_graph *known; /* manifests that need not be fetched again; NULL: none */

    struct reg_client *source_client, *destination_client;
    struct reg_client *elsewhere_client; /* for origins that credentials of the command line are not
                                            for; NULL where none were given */
    struct copy_worker **workers;
    size_t worker_count;

    struct copy_task **tasks;
    size_t task_count, task_capacity;

    struct bundle_plan *bundle_plan;
    struct bundle_image *planned_images; /* borrowed by bundle_plan */
    struct bundle_blob *planned_blobs;   /* borrowed by bundle_plan */
    size_t planned_image_count, planned_blob_count;
    struct bundle_writer *writer;
    struct bundle_reader *standing; /* what stands under the destination's name, or NULL */

    struct copy_queue queue;
    struct copy_breaker breaker;
    pthread_mutex_t lock; /* tasks' run-time fields, image errors while workers run */
    atomic_uint_least64_t moved, reused;
    struct mir_error cut;              /* why a pipe did not bring what it should, if so */
    bool is_suspended;                 /* what was brought waits for the next run */
    struct copy_progress own_progress; /* used when the caller passed none */
    struct copy_totals totals;
};

/* A thread with its doors, which copy_worker_open() opens. */
struct copy_worker {
    struct copy *copy;
    struct reg_session *source, *destination;
    struct reg_session *elsewhere; /* see copy_worker_source() */
    struct intake *intake;         /* the pipe it reads, or NULL; see stream.c */
    struct reg_session *again; /* to read at the destination what went there; NULL until needed */
};

static inline struct copy_progress *copy_progress_of(struct copy *copy)
{
    return copy->options.progress ? copy->options.progress : &copy->own_progress;
}

static inline bool copy_goes_to_registry(const struct copy *copy)
{
    return !copy->has_destination || copy->destination.kind == COPY_PLACE_DOCKER;
}

/* copy.c */
/** Before a worker asks a host: its session for that side is there, and watched for that host. A
 * worker that is never needed costs nothing. NULL: not asked. */
void copy_worker_open(struct copy_worker *worker, const char *source, const char *destination);
/** The door to an origin in a registry, after copy_worker_open() for its host. */
struct reg_session *copy_worker_source(const struct copy_worker *worker,
                                       const struct copy_origin *origin);
/** A second door to the destination: to read there what another task brought. */
struct reg_session *copy_worker_again(struct copy_worker *worker, const char *host);
/** Record an image's failure; the first one stays. Locks. */
void copy_image_fail(struct copy *copy, struct copy_image *image, const struct mir_error *err);

/* copy.c: for those who add images of their own. */
/** A new image, or NULL when this very source already goes to this very destination. */
struct copy_image *copy_image_new(struct copy *copy, const char *asked, const char *destination);
/** Platforms a bundle's image was cut to (its annotation, or NULL) are taken again, unless others
 * are asked for. */
MIR_MUST_CHECK bool copy_image_cut(const struct copy *copy, struct copy_image *image,
                                   const char *platforms, struct mir_error *err);

/* rules.c: what this machine's configuration says. */
/** Images that may not be copied, or not to where they go, fail. */
void copy_apply_rules(struct copy *copy);
/** Set the tries of every image. */
void copy_find_sites(struct copy *copy);
/** After resolving: remember which place served an image that is not there by its own name. */
void copy_note_sites(struct copy *copy);
/** Record that a place does not have it. */
void copy_try_fail(struct copy_try *attempt, const struct mir_error *err);
/** All tries have failed: one error for all. */
void copy_tries_error(const struct copy_image *image, struct mir_error *err);

/* resolve.c: sources to manifests, in parallel. */
void copy_resolve(struct copy *copy);
/** Ask for images whose digest was not known before, and for every manifest below an index that is
 * at the destination: PRESENT when all are. */
void copy_probe_resolved(struct copy *copy);
/* land.c: the destination of every image (before anything is asked), and collisions (after). */
MIR_MUST_CHECK bool copy_land(struct copy *copy, struct mir_error *err);
/** Where the rule for all images puts this one; out is the caller's to release. */
MIR_MUST_CHECK bool copy_land_source(const struct copy *copy, const struct img_ref *source,
                                     struct img_ref *out, struct mir_error *err);
MIR_MUST_CHECK bool copy_check_collisions(struct copy *copy, struct mir_error *err);
/* check.c: which images are complete, and figures over all that is to be copied, each blob once. */
void copy_check(struct copy *copy);
/** Was something of this index, or of one below it, left out by --platform? */
bool copy_is_cut(const struct copy_manifest *node);
void copy_add_up(struct copy *copy);
/* tasks.c, tasks_layout.c: what is to be done at the destination. */
struct copy_task *copy_task_new(struct copy *copy, enum copy_task_kind kind);
void copy_task_free(struct copy_task *task);
void copy_tasks_for_registry(struct copy *copy);
MIR_MUST_CHECK bool copy_tasks_for_layout(struct copy *copy, struct mir_error *err);
/** Who is asked for what a task brings; NULL: nobody, it is here. */
static inline const char *copy_task_source(const struct copy_task *task)
{
    bool is_elsewhere = task->kind == COPY_TASK_BLOB && !task->blob->left_out;

    return is_elsewhere ? task->blob->origin->repo.host : NULL;
}
/* run.c */
/** Queue a task between the hosts it is about. */
void copy_enqueue(struct copy *copy, struct copy_task *task);
/** Do one task, and record what came of it. */
void copy_run_task(struct copy_worker *worker, struct copy_task *task);
/** Record that a task cannot be done. */
void copy_fail_task(struct copy *copy, struct copy_task *task, const struct mir_error *err);
/** Tell the display how much there is to do, and that it begins. */
void copy_count_work(struct copy *copy);
/** Is this image to be copied: resolved, complete, and not at the destination? */
static inline bool copy_image_is_planned(const struct copy_image *image)
{
    return image->outcome == COPY_OUTCOME_PLANNED && !image->error && image->root;
}
/* transfer.c: one task. */
MIR_MUST_CHECK bool copy_transfer(struct copy_worker *worker, struct copy_task *task,
                                  struct mir_error *err);
/** Read a manifest from where it is, checked against digest. *out is the caller's. */
MIR_MUST_CHECK bool copy_read_manifest(struct copy_worker *worker, const struct copy_origin *origin,
                                       const char *reference, struct reg_manifest *out,
                                       struct mir_error *err);

#endif
