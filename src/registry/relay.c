/*
 * A blob from one registry to another without touching the disk: both calls are made ready here,
 * src/http joins them. Each try is a new upload; what is retried within a try is the source's part.
 *
 * Invariant: the destination is not told that the blob is complete before its digest was checked.
 */
#include "registry/registry_priv.h"

#define ROUNDS_MAX 4 /* each side may have to log in, or to log in again */

static const struct http_header octets = {"Content-Type", "application/octet-stream"};

struct transit {
    const struct img_descriptor *blob;
    struct mir_hash *hash;
    void (*moved)(void *ctx, int64_t bytes);
    void *ctx;
    int64_t seen;       /* in this try */
    int64_t renewed_at; /* seen, when the source was last logged in to again */
    unsigned renewals;  /* since it last went on well */
};

/* Both ends of a relay; the source's may move on to where a foreign layer is kept. */
struct ends {
    struct reg_session *from;
    struct reg_session *to;
    struct reg_call get_call;
    struct reg_call put_call;
    struct reg_prepared get;
    struct reg_prepared put;
    char *foreign;       /* the URL in use, or NULL */
    size_t foreign_next; /* index into the descriptor's */
    struct transit *transit;
};

static void ends_release(struct ends *ends)
{
    reg_prepared_release(&ends->get);
    reg_prepared_release(&ends->put);
    free(ends->foreign);
}
#define auto_ends __attribute__((cleanup(ends_release))) struct ends

static void ends_seen(void *ctx, struct mir_span bytes)
{
    const struct ends *ends = ctx;
    struct transit *transit = ends->transit;

    mir_hash_update(transit->hash, bytes);
    transit->seen += (int64_t)bytes.len;
    if (transit->moved)
        transit->moved(transit->ctx, (int64_t)bytes.len);
}

static bool ends_verified(void *ctx, struct mir_error *err)
{
    const struct ends *ends = ctx;
    struct transit *transit = ends->transit;
    struct img_digest got;

    img_digest_from_hash(img_digest_algo(&transit->blob->digest), transit->hash, &got);
    return img_digest_check(&transit->blob->digest, &got, err);
}

static void transit_restart(struct transit *transit)
{
    mir_hash_reset(transit->hash);
    if (transit->moved && transit->seen > 0)
        transit->moved(transit->ctx, -transit->seen);
    transit->seen = 0;
    transit->renewed_at = 0;
}

static void ends_restart(void *ctx)
{
    const struct ends *ends = ctx;

    transit_restart(ends->transit);
}

/* ---- one try ------------------------------------------------------------------------------- */

enum turn {
    TURN_DONE,
    TURN_FAIL,    /* err is set */
    TURN_REPEAT,  /* the same upload, with other authorization or another source */
    TURN_RESTART, /* a new upload; err says why */
};

/* A 401 that can be answered changes what the request is sent with. */
static enum turn after_401(struct reg_session *session, const struct reg_call *call,
                           struct reg_prepared *prepared, const struct http_response *response,
                           struct mir_error *err)
{
    bool again = false;

    if (!reg_call_answer_401(session, call, prepared, response, &again, err))
        return TURN_FAIL;
    if (again)
        return TURN_REPEAT;
    (void)reg_refuse(session, call, response, err);
    return TURN_FAIL;
}

/* The registry does not have a foreign layer: on to the next of its URLs, without credentials. */
static bool next_foreign(struct ends *ends)
{
    const struct img_descriptor *blob = ends->transit->blob;

    while (ends->foreign_next < blob->url_count) {
        const char *url = blob->urls[ends->foreign_next++];
        struct mir_error ignored = MIR_ERROR_INIT; /* the next may do */

        free(ends->foreign);
        ends->foreign = NULL;
        ends->get.request =
            (struct http_request){.method = HTTP_GET, .has_size = true, .size = blob->size};
        if (!http_url_resolve(url, url, &ends->foreign, &ignored) ||
            !reg_url_tls(ends->from, ends->foreign, false, &ends->get.request, &ignored))
            continue;
        ends->get.request.url = ends->foreign;
        return true;
    }
    return false;
}

static enum turn source_refused(struct ends *ends, const struct http_response *response,
                                struct mir_error *err)
{
    if (ends->foreign || response->status == 404) {
        if (next_foreign(ends))
            return TURN_REPEAT;
    }
    if (response->status == 401 && !ends->foreign) {
        enum turn turn = after_401(ends->from, &ends->get_call, &ends->get, response, err);

        /* In the middle of a blob the upload is spoilt; the token is new for the next one. */
        if (turn != TURN_REPEAT || ends->transit->seen == 0)
            return turn;
        (void)reg_refuse(ends->from, &ends->get_call, response, err);
        return TURN_RESTART;
    }
    (void)reg_refuse(ends->from, &ends->get_call, response, err);
    return TURN_FAIL;
}

/* A token that was good for a part of the blob has run out: the upload goes on with the next. */
static bool ends_renew(void *ctx, const struct http_response *refusal, struct http_request *again)
{
    struct ends *ends = ctx;
    struct transit *transit = ends->transit;
    struct mir_error ignored = MIR_ERROR_INIT; /* whoever judges the refusal meets it again */
    bool renewed = false;

    if (refusal->status != 401 || ends->foreign)
        return false;
    if (transit->seen - transit->renewed_at >= (int64_t)REG_PROGRESS_BYTES)
        transit->renewals = 0;
    if (++transit->renewals > ROUNDS_MAX)
        return false;
    transit->renewed_at = transit->seen;
    ends->get.fresh = false;
    if (!reg_call_answer_401(ends->from, &ends->get_call, &ends->get, refusal, &renewed, &ignored))
        return false;
    again->authorization = ends->get.request.authorization;
    return renewed;
}

static enum turn put_answered(struct ends *ends, const struct http_response *response,
                              struct mir_error *err)
{
    bool again = false;

    if (response->status == 401)
        return after_401(ends->to, &ends->put_call, &ends->put, response, err);
    if (reg_upload_judge(ends->to, &ends->put_call, ends->transit->blob, response, &again, err))
        return TURN_DONE;
    return again ? TURN_RESTART : TURN_FAIL;
}

/* What was sent may come back in a refusal, whose words are shown. */
static void scrub(struct http_response *response, const struct reg_prepared *sent)
{
    reg_scrub_authorization(response->body.ptr, response->body.len, sent->authorization);
}

static enum turn relay_turn(struct ends *ends, struct http_response *put_response,
                            struct mir_error *err)
{
    auto_response get_response = HTTP_RESPONSE_INIT;
    struct http_relay relay = {.get = &ends->get.request,
                               .put = &ends->put.request,
                               .get_conn = ends->from->conn,
                               .seen = ends_seen,
                               .verified = ends_verified,
                               .restart = ends_restart,
                               .renew = ends_renew,
                               .ctx = ends};

    transit_restart(ends->transit);
    if (!http_relay_run(ends->to->conn, &relay, &get_response, put_response, err)) {
        /* The bytes of a bad link are as good as none. */
        return mir_may_retry(err) || err->code == MIR_E_DIGEST ? TURN_RESTART : TURN_FAIL;
    }
    scrub(put_response, &ends->put);
    scrub(&get_response, &ends->get);
    if (put_response->status != 0)
        return put_answered(ends, put_response, err);
    return source_refused(ends, &get_response, err);
}

/* Everything after a started upload. */
static enum turn relay_upload(struct ends *ends, struct http_response *put_response,
                              struct mir_error *err)
{
    size_t rounds = ROUNDS_MAX + ends->transit->blob->url_count;
    enum turn turn = TURN_REPEAT;

    if (!reg_call_prepare(ends->from, &ends->get_call, &ends->get, err) ||
        !reg_call_prepare(ends->to, &ends->put_call, &ends->put, err))
        return TURN_FAIL;
    while (turn == TURN_REPEAT && rounds-- > 0)
        turn = relay_turn(ends, put_response, err);
    if (turn != TURN_REPEAT)
        return turn;
    (void)mir_fail(err, MIR_E_AUTH, "relay of %s: every authorization was refused",
                   ends->transit->blob->digest.text);
    return TURN_FAIL;
}

struct route {
    struct reg_session *from;
    const struct reg_repo *source;
    struct reg_session *to;
    const struct reg_repo *destination;
    const char *mount_from;
};

static enum turn relay_once(const struct route *route, struct transit *transit,
                            struct http_response *put_response, enum reg_put_outcome *outcome,
                            struct mir_error *err)
{
    const struct img_descriptor *blob = transit->blob;
    const char *mount_from = route->mount_from;
    auto_free char *url = NULL;
    auto_free char *path = mir_format("blobs/%s", blob->digest.text);
    auto_ends ends = {.from = route->from, .to = route->to, .transit = transit};

    if (!reg_upload_start(route->to, route->destination, blob, &mount_from, &url, err))
        return TURN_FAIL;
    *outcome = url ? REG_PUT_UPLOADED : REG_PUT_MOUNTED;
    if (!url)
        return TURN_DONE;
    ends.get_call = (struct reg_call){.method = HTTP_GET,
                                      .repo = route->source,
                                      .path = path,
                                      .has_size = true,
                                      .size = blob->size};
    ends.put_call = (struct reg_call){.method = HTTP_PUT,
                                      .repo = route->destination,
                                      .url = url,
                                      .access = REG_PUSH,
                                      .mount_from = mount_from,
                                      .headers = &octets,
                                      .header_count = 1,
                                      .source_len = blob->size,
                                      .once = true};
    return relay_upload(&ends, put_response, err);
}

/* ---- the call ------------------------------------------------------------------------------ */

static bool read_nothing(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    (void)ctx;
    (void)offset;
    (void)data;
    return len == 0 || mir_fail(err, MIR_E_DIGEST, "an empty blob has no bytes");
}

/* Nothing to fetch: the digest of no bytes is known. */
static bool put_empty(const struct route *route, const struct img_descriptor *blob,
                      enum reg_put_outcome *outcome, struct mir_error *err)
{
    const struct reg_blob_source source = {.read = read_nothing};
    struct img_digest empty;

    img_digest_of(img_digest_algo(&blob->digest), mir_span("", 0), &empty);
    if (!img_digest_check(&blob->digest, &empty, err))
        return mir_context(err, "a blob of 0 bytes");
    return reg_blob_put(route->to, route->destination, blob, route->mount_from, &source, outcome,
                        err);
}

static bool relay_all(const struct route *route, struct transit *transit,
                      enum reg_put_outcome *outcome, struct mir_error *err)
{
    struct http_backoff backoff = {0};

    for (;;) {
        auto_response response = HTTP_RESPONSE_INIT;
        struct mir_error trouble = MIR_ERROR_INIT;
        enum turn turn = relay_once(route, transit, &response, outcome, &trouble);

        if (turn == TURN_DONE)
            return true;
        if (turn == TURN_FAIL ||
            !http_backoff_wait(route->to->conn, &backoff, &response, &trouble)) {
            *err = trouble;
            return false;
        }
    }
}

bool reg_blob_relay(struct reg_session *from, const struct reg_repo *source, struct reg_session *to,
                    const struct reg_repo *destination, const struct img_descriptor *blob,
                    const char *mount_from, void (*moved)(void *ctx, int64_t bytes), void *ctx,
                    enum reg_put_outcome *outcome, struct mir_error *err)
{
    const struct route route = {.from = from,
                                .source = source,
                                .to = to,
                                .destination = destination,
                                .mount_from = mount_from};
    auto_hash *hash = mir_hash_new(img_digest_algo(&blob->digest));
    struct transit transit = {.blob = blob, .hash = hash, .moved = moved, .ctx = ctx};

    if (!reg_check_names(source, NULL, err) || !reg_check_names(destination, NULL, err))
        return false;
    if (blob->size == 0)
        return put_empty(&route, blob, outcome, err);
    if (relay_all(&route, &transit, outcome, err))
        return true;
    /* What did not arrive did not move. */
    transit_restart(&transit);
    return false;
}
