/*
 * From the target of a request ("/v2/a/b/manifests/1?n=5") to what is asked for. Pure: no I/O, no
 * knowledge of what is there.
 *
 * Spec: OCI distribution 1.1, "Endpoints" and "Error codes".
 */
#ifndef SERVE_ROUTE_PRIV_H
#define SERVE_ROUTE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "image/digest.h"
#include "image/ref.h"

#define SERVE_TARGET_MAX 2048 /* bytes of a request's target */

/* Why a request gets no content. serve_problem_status() and _code() say how it is answered. */
enum serve_problem {
    SERVE_PROBLEM_NONE,
    SERVE_PROBLEM_ENDPOINT, /* no such URL */
    SERVE_PROBLEM_TARGET,   /* encoding that cannot be read */
    SERVE_PROBLEM_TOO_LONG, /* over SERVE_TARGET_MAX */
    SERVE_PROBLEM_NAME,     /* not a repository name */
    SERVE_PROBLEM_DIGEST,   /* not a digest */
    SERVE_PROBLEM_COUNT,    /* ?n= is no number */
    SERVE_PROBLEM_BODY,     /* a request with a body */
    SERVE_PROBLEM_METHOD,   /* anything but GET and HEAD */
    SERVE_PROBLEM_NO_REPO,  /* repository unknown */
    SERVE_PROBLEM_NO_MANIFEST,
    SERVE_PROBLEM_NO_BLOB,
    SERVE_PROBLEM_INTERNAL, /* the bundle could not be read */
    SERVE_PROBLEM_DAMAGED,  /* the bytes there are not what their digest says */
    SERVE_PROBLEM_LOGIN,    /* not known who asks */
    SERVE_PROBLEM_CLOSING,  /* the server ends */
};

unsigned serve_problem_status(enum serve_problem problem);
/** The code in the body of the answer; static storage. */
const char *serve_problem_code(enum serve_problem problem);
const char *serve_problem_message(enum serve_problem problem);

enum serve_route_kind {
    SERVE_ROUTE_BASE,      /* /v2/ */
    SERVE_ROUTE_MANIFEST,  /* /v2/NAME/manifests/REF */
    SERVE_ROUTE_BLOB,      /* /v2/NAME/blobs/DIGEST */
    SERVE_ROUTE_TAGS,      /* /v2/NAME/tags/list */
    SERVE_ROUTE_REFERRERS, /* /v2/NAME/referrers/DIGEST */
    SERVE_ROUTE_CATALOG,   /* /v2/_catalog */
    SERVE_ROUTE_HEALTH,    /* /healthz */
};

struct serve_route {
    enum serve_route_kind kind;
    char name[SERVE_TARGET_MAX + 1]; /* follows the grammar; empty for BASE, CATALOG and HEALTH */
    char tag[IMG_TAG_MAX + 1];       /* MANIFEST: asked for by tag; else empty */
    struct img_digest digest;        /* empty for lists, and when asked for by tag */
    /* from the query: */
    bool has_count;
    uint64_t count;                           /* ?n= */
    char last[SERVE_TARGET_MAX + 1];          /* ?last=; empty: from the beginning */
    char artifact_type[SERVE_TARGET_MAX + 1]; /* ?artifactType=: of referrers; or empty */
    char ns[SERVE_TARGET_MAX + 1]; /* ?ns=: the host containerd wants the name from; or empty */
};

/** target is the raw text between method and version. False: *problem says how to refuse. */
bool serve_route_parse(struct mir_span target, struct serve_route *out,
                       enum serve_problem *problem);

#endif
