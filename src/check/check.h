/*
 * Proof that images can be pulled: for each, the places a node would ask are asked in order, and
 * the first that has its manifest has to have everything below it too. Nothing is moved but
 * manifests.
 *
 * What a node's files say of an image is not this library's business: it is given places.
 *
 * Life: check_new -> check_add ... -> check_run -> read the images -> check_free.
 *
 * Threads: one thread calls these; workers are started and joined inside check_run().
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "image/platform.h"
#include "image/ref.h"
#include "registry/registry.h"

enum check_depth {
    CHECK_DEPTH_MANIFEST, /* manifests and the children of indexes */
    CHECK_DEPTH_CONFIG,   /* configs too */
    CHECK_DEPTH_BLOBS,    /* layers too: all a pull needs */
};

/* Borrowed until check_free(). */
struct check_options {
    struct reg_options registry;          /* clock, cancel and sink are those below */
    const struct img_platform *platforms; /* what is needed of an index; none: all it has */
    size_t platform_count;
    enum check_depth depth;
    unsigned jobs; /* requests at a time, at most; 0: as many as a copy */
    const struct mir_clock *clock;
    const struct mir_cancel *cancel;
    const struct mir_sink *sink;
};

struct check;

/** err: MIR_E_USAGE. */
MIR_MUST_CHECK bool check_new(const struct check_options *options, struct check **out,
                              struct mir_error *err);
void check_free(struct check *check);

/* Where an image is asked for. */
struct check_place {
    const struct img_ref *ref; /* with a tag or a digest; copied */
    bool insecure;             /* https unverified, then http */
};

/** Add an image; its index is the number of those added before. */
void check_add(struct check *check, const struct check_place *places, size_t count);

/** Ask. err: MIR_E_CANCELLED; what is wrong with an image is recorded in it. */
MIR_MUST_CHECK bool check_run(struct check *check, struct mir_error *err);

enum check_fault {
    CHECK_SOUND,
    CHECK_ABSENT,      /* the place has no such manifest */
    CHECK_INCOMPLETE,  /* it has the manifest, and not all below it */
    CHECK_PLATFORM,    /* the index has not all that is needed */
    CHECK_PLAIN_HTTP,  /* it speaks http, and only https is allowed */
    CHECK_CERTIFICATE, /* it speaks TLS, and is not trusted */
    CHECK_LOGIN,       /* it does not let us in */
    CHECK_UNREACHABLE, /* nobody answers */
    CHECK_BROKEN,      /* what it sends cannot be used */
};
/** "sound", "absent", ...: words that never change their meaning. */
const char *check_fault_name(enum check_fault fault);

/* What came of one place. */
struct check_try {
    bool is_asked; /* else an earlier place has the manifest */
    enum check_fault fault;
    const struct mir_error *error; /* borrowed; NULL when SOUND, or not asked */
};

struct check_result {
    size_t served_by; /* the place that has the manifest, whatever is below it; SIZE_MAX: none */
    const struct check_try *tries; /* one for each place */
};
void check_get_result(const struct check *check, size_t image, struct check_result *out);

uint64_t check_requests(const struct check *check);

#endif
