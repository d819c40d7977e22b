/*
 * Copying images: plan (what must move), run (workers move it), report (what happened).
 *
 * Life: copy_new -> copy_add ... -> copy_plan -> copy_run -> read the images -> copy_free. One
 * image's failure does not stop the others: it is recorded in that image.
 *
 * Threads: one thread calls these; workers are started and joined inside copy_plan and copy_run.
 * The progress counters alone may be read from any thread meanwhile.
 */
#ifndef COPY_COPY_H
#define COPY_COPY_H

#include <stdatomic.h>
#include <stdint.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "copy/landing.h"
#include "copy/place.h"
#include "copy/rules.h"
#include "image/manifest.h"
#include "image/platform.h"
#include "image/ref.h"
#include "registry/registry.h"

#define COPY_JOBS_DEFAULT 32
#define COPY_JOBS_MAX     128
#define COPY_IMAGES_MAX   1000000

/* Counters for whoever shows progress. Totals grow until planning is done. */
struct copy_progress {
    atomic_int phase; /* enum copy_phase */
    atomic_uint_least64_t images, images_done;
    atomic_uint_least64_t blobs, blobs_done;
    atomic_uint_least64_t bytes, bytes_done;
};

enum copy_phase {
    COPY_PHASE_RESOLVE,
    COPY_PHASE_MOVE,
    COPY_PHASE_FINISH,
};

/* Strings and arrays are borrowed until copy_free(). */
struct copy_options {
    struct reg_options source, destination; /* clock, cancel and sink are those below */
    const struct copy_rules *rules;         /* NULL: every image is where its name says, and free */
    const struct img_platform *platforms;   /* none: all */
    size_t platform_count;
    unsigned jobs;         /* transfers at a time, at most; 0: COPY_JOBS_DEFAULT */
    unsigned max_per_host; /* of those with one host; 0: any number */
    bool require_digest;
    bool keep_host;
    unsigned max_depth; /* 0: any */
    bool digest_tags;
    bool nondistributable;      /* take layers that need not be distributed */
    bool nondistributable_held; /* take those that a layout among the sources has */
    bool dry_run; /* ask the destination for every blob, so that the plan's figures are exact */
    const char *since; /* an older bundle; what it holds is left out of the new one. NULL: none */
    uint64_t volume_bytes; /* cut bundles into volumes of this size; 0: one file */
    int64_t epoch;         /* time stamp of everything in a bundle, seconds */
    struct copy_progress *progress;
    const struct mir_clock *clock;
    const struct mir_cancel *cancel;
    const struct mir_sink *sink;
};

struct copy;

/**
 * destination: NULL when every copy_add() names one, or to look without copying (inspect).
 * err: MIR_E_USAGE.
 */
MIR_MUST_CHECK bool copy_new(const struct copy_options *options, const char *destination,
                             struct copy **out, struct mir_error *err);
void copy_free(struct copy *copy);

/**
 * Add a source; one that names a whole bundle adds all its images.
 *
 * destination  of a mapping line, or NULL.
 * bare         a name without transport is docker:// (list files), else an error.
 * err          MIR_E_USAGE, or what opening a bundle can give.
 */
MIR_MUST_CHECK bool copy_add(struct copy *copy, const char *source, const char *destination,
                             bool bare, struct mir_error *err);

/**
 * Resolve every source to a digest, read all manifests, see what the destination has, and lay out
 * what is to be done. False only when nothing can be done at all: bad destination, two images that
 * would land on one name (MIR_E_CONFLICT), Ctrl-C.
 */
MIR_MUST_CHECK bool copy_plan(struct copy *copy, struct mir_error *err);

/** Do it. err: MIR_E_PARTIAL when some images are missing at the end, another code when all are or
 * the destination itself failed. */
MIR_MUST_CHECK bool copy_run(struct copy *copy, struct mir_error *err);

/** False when images failed: MIR_E_PARTIAL when some, another code when all. */
MIR_MUST_CHECK bool copy_verdict(const struct copy *copy, struct mir_error *err);

/* ---- what the plan says and what happened ---- */

struct copy_totals {
    size_t images, copied, failed, present;
    size_t manifests, blobs; /* unique, of all images that are not present */
    uint64_t bytes;          /* of those */
    uint64_t bytes_present;  /* of those, there already (exact after a dry run) */
    uint64_t bytes_moved;    /* after copy_run(): came from a source */
    uint64_t bytes_reused;   /* after copy_run(): an earlier run had brought them, or they stood
                                under the destination's name */
    size_t blobs_left_out; /* of the blobs: not in the bundle that is written, or in those that are
                              read, because its base has them */
    uint64_t bytes_left_out; /* of those */
    uint64_t requests;       /* still to be sent, as far as the plan can tell */
    uint64_t requests_source, requests_destination; /* sent so far */
    uint64_t disk;                                  /* bytes needed on this machine's disk */
    size_t volumes;  /* files they go into when volumes were asked for, else 0 */
    uint64_t shared; /* bytes saved because images and platforms share blobs */
};
void copy_get_totals(const struct copy *copy, struct copy_totals *out);

enum copy_outcome {
    COPY_OUTCOME_PLANNED,
    COPY_OUTCOME_COPIED,
    COPY_OUTCOME_PRESENT, /* was there already */
    COPY_OUTCOME_FAILED,
};
/** "planned", "copied", "present", "failed". */
const char *copy_outcome_name(enum copy_outcome outcome);

/* One image; everything is borrowed from the copy. */
struct copy_result {
    const char *source; /* as asked for, with transport */
    const char *pinned; /* "host/repo[:tag]@digest", or NULL if it was never resolved */
    const char *digest; /* or NULL */
    const char *destination;
    const char *served_by; /* "host/repo" that was read instead of the source's own, or NULL */
    enum copy_outcome outcome;
    uint64_t bytes;
    const struct mir_error *error; /* NULL unless FAILED */
};
size_t copy_image_count(const struct copy *copy);
void copy_get_result(const struct copy *copy, size_t i, struct copy_result *out);

/** Is standard output the bundle? */
bool copy_takes_stdout(const struct copy *copy);

/** Was a destination registry not verified (http, --dest-tls-verify=false)? Nodes will not verify
 * it either, so the cluster has to be told. */
bool copy_destination_is_relaxed(const struct copy *copy);

/** The report as JSON, one object; format in docs/report-format.md. The caller owns it. */
json_t *copy_report(const struct copy *copy);
/** "source=destination" lines of everything that is at the destination; the caller frees. */
char *copy_mapping(const struct copy *copy);
/** Images, platforms, digests, sizes, shared bytes, for inspect. The caller owns it. */
json_t *copy_survey(const struct copy *copy);

#endif
