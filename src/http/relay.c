/*
 * One server to another: a GET fills a ring, a PUT empties it, one multi handle drives both in the
 * calling thread. Called by src/registry for blobs that need not touch the disk.
 *
 * Invariants: the ring is the only memory; whoever finds it full or empty is paused. The PUT does
 * not get the last byte before verified() has said yes. The PUT starts when the first byte has
 * arrived, so a refused GET leaves no upload behind.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <inttypes.h>

#define RING_BYTES (256u << 10) /* measured: larger ones are no faster */

struct relay {
    const struct http_relay *job;
    struct http_conn *conn;
    struct http_request get_request;
    struct http_request put_request;
    struct http_sink sink;
    struct http_source source;
    struct http_gate gate;
    struct http_response *get_response;
    struct http_response *put_response;
    struct http_trail get_trail;
    struct http_trail put_trail;
    struct http_backoff backoff;
    struct http_renewal renewal;
    uint64_t get_from; /* where the running GET began */
    struct http_try get;
    struct http_try put;
    bool get_active;
    bool put_active;
    bool get_whole; /* the running GET asked for the whole body although a part is there */
    bool verified;
    bool over; /* there is an answer to hand back */
    char *ring;
    size_t ring_bytes;
    size_t start;
    size_t len;
};

/* ---- the ring ------------------------------------------------------------------------------ */

static size_t ring_room(void *ctx)
{
    const struct relay *r = ctx;

    return r->ring_bytes - r->len;
}

static size_t ring_ready(void *ctx)
{
    const struct relay *r = ctx;

    return r->verified || r->len == 0 ? r->len : r->len - 1;
}

static bool ring_write(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    struct relay *r = ctx;
    size_t at = (r->start + r->len) % r->ring_bytes;
    size_t first = r->ring_bytes - at < bytes.len ? r->ring_bytes - at : bytes.len;

    if (bytes.len > r->ring_bytes - r->len)
        return mir_fail(err, MIR_E_LIMIT, "more bytes at once than the relay holds");
    memcpy(r->ring + at, bytes.ptr, first);
    memcpy(r->ring, bytes.ptr + first, bytes.len - first);
    r->len += bytes.len;
    r->job->seen(r->job->ctx, bytes);
    return true;
}

static bool ring_read(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    struct relay *r = ctx;
    size_t first = r->ring_bytes - r->start < len ? r->ring_bytes - r->start : len;

    (void)offset;
    if (len > r->len)
        return mir_fail(err, MIR_E_LIMIT, "fewer bytes in the relay than asked for");
    memcpy(data, r->ring + r->start, first);
    memcpy((char *)data + first, r->ring, len - first);
    r->start = (r->start + len) % r->ring_bytes;
    r->len -= len;
    return true;
}

/* ---- starting and giving up ---------------------------------------------------------------- */

static bool add_handle(struct relay *r, CURL *easy, struct mir_error *err)
{
    if (curl_multi_add_handle(r->conn->multi, easy) != CURLM_OK)
        return mir_fail(err, MIR_E_UNSUPPORTED, "libcurl cannot start a transfer");
    return true;
}

static bool start_get(struct relay *r, struct mir_error *err)
{
    if (!http_try_begin(&r->get, r->job->get_conn, r->conn->second, &r->get_request, &r->get_trail,
                        r->get_response, err))
        return false;
    /* What is received at once has to leave the ring some room. */
    if (r->get_request.size > HTTP_BUFFER_BYTES)
        (void)curl_easy_setopt(r->conn->second, CURLOPT_BUFFERSIZE, (long)HTTP_BUFFER_BYTES);
    r->get.gate = &r->gate;
    r->get_from = r->get_response->reached;
    r->get_whole = r->get_response->whole;
    r->get_active = true;
    return add_handle(r, r->conn->second, err);
}

static bool start_put(struct relay *r, struct mir_error *err)
{
    if (!http_try_begin(&r->put, r->conn, r->conn->easy, &r->put_request, &r->put_trail,
                        r->put_response, err))
        return false;
    r->put.gate = &r->gate;
    r->put_active = true;
    return add_handle(r, r->conn->easy, err);
}

static void drop_get(struct relay *r)
{
    if (!r->get_active)
        return;
    (void)curl_multi_remove_handle(r->conn->multi, r->conn->second);
    http_try_drop(&r->get);
    r->get_active = false;
}

static void drop_put(struct relay *r)
{
    if (!r->put_active)
        return;
    (void)curl_multi_remove_handle(r->conn->multi, r->conn->easy);
    http_try_drop(&r->put);
    r->put_active = false;
}

static void relay_release(struct relay *r)
{
    drop_get(r);
    drop_put(r);
    http_trail_release(&r->get_trail);
    http_trail_release(&r->put_trail);
    free(r->ring);
}
#define auto_relay __attribute__((cleanup(relay_release))) struct relay

/* ---- a transfer has ended ------------------------------------------------------------------ */

static bool fail_at(enum http_method method, const char *url, struct mir_error *err)
{
    auto_free char *shown = http_url_redact(url);

    return mir_context(err, "%s %s", http_method_name(method), shown);
}

/* The body is whole: the PUT may have its last byte, if the caller says so. */
static bool get_complete(struct relay *r, struct mir_error *err)
{
    if (!r->job->verified(r->job->ctx, err))
        return fail_at(HTTP_GET, r->job->get->url, err);
    r->verified = true;
    return true;
}

static bool get_from_home(struct relay *r, struct mir_error *err)
{
    free(r->get_trail.url);
    r->get_trail = (struct http_trail){.url = mir_strdup(r->job->get->url)};
    return start_get(r, err);
}

/* Wait and go on from the byte reached, or give up with *trouble. */
static bool get_again(struct relay *r, bool answered, const struct mir_error *trouble,
                      struct mir_error *err)
{
    struct mir_error reason = *trouble;

    if (r->get_response->reached - r->get_from >= HTTP_PROGRESS_BYTES)
        r->backoff.tries = 0;
    if (!http_backoff_wait(r->job->get_conn, &r->backoff, answered ? r->get_response : NULL,
                           &reason)) {
        r->over = answered && reason.code != MIR_E_CANCELLED;
        *err = reason;
        if (r->over)
            mir_error_clear(err);
        return r->over;
    }
    /* The wait was ours: the destination was silent because it was not listened to. */
    r->put.seen_ms = mir_clock_now(r->conn->client->clock);
    return get_from_home(r, err);
}

static bool get_answered(struct relay *r, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;
    int status = r->get_response->status;
    enum http_step step = http_redirect(r->job->get, r->get_response, &r->get_trail, err);

    if (step == HTTP_STEP_FAIL)
        return fail_at(HTTP_GET, r->job->get->url, err);
    if (step == HTTP_STEP_FOLLOW)
        return start_get(r, err);
    if (status >= 200 && status <= 299)
        return get_complete(r, err);
    if (http_renew(r->job->get_conn, r->job->get, r->get_response, &r->renewal))
        return get_from_home(r, err);
    if (http_status_may_pass(status)) {
        auto_free char *words = http_status_text(status);

        (void)mir_fail(&trouble, MIR_E_SERVER, "%s", words);
        (void)fail_at(HTTP_GET, r->job->get->url, &trouble);
        return get_again(r, true, &trouble, err);
    }
    if (r->job->renew && r->get_response->reached > 0 &&
        r->job->renew(r->job->ctx, r->get_response, &r->get_request))
        return get_from_home(r, err);
    r->over = true;
    return true;
}

static bool get_ended(struct relay *r, CURLcode code, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;
    bool answered;

    (void)curl_multi_remove_handle(r->conn->multi, r->conn->second);
    r->get_active = false;
    answered = http_try_end(&r->get, code, &trouble);
    if (r->get_response->whole && !r->get_whole)
        return get_from_home(r, err); /* its ranges are not to be trusted */
    if (answered)
        return get_answered(r, err);
    (void)fail_at(HTTP_GET, r->get_response->url, &trouble);
    if (!r->get.fatal && mir_may_retry(&trouble))
        return get_again(r, false, &trouble, err);
    *err = trouble;
    return false;
}

/* What the ring held is gone, so the source begins anew; the PUT follows when its first byte is
 * there. */
static bool start_over(struct relay *r, struct mir_error *err)
{
    drop_get(r);
    r->start = r->len = 0;
    r->verified = false;
    http_response_start(r->get_response, 0);
    r->job->restart(r->job->ctx);
    return get_from_home(r, err);
}

static bool put_ended(struct relay *r, CURLcode code, struct mir_error *err)
{
    enum http_step step;

    (void)curl_multi_remove_handle(r->conn->multi, r->conn->easy);
    r->put_active = false;
    if (!http_try_end(&r->put, code, err))
        return fail_at(HTTP_PUT, r->job->put->url, err);
    step = http_redirect(r->job->put, r->put_response, &r->put_trail, err);
    if (step == HTTP_STEP_FAIL)
        return fail_at(HTTP_PUT, r->job->put->url, err);
    if (step == HTTP_STEP_FOLLOW)
        return start_over(r, err);
    r->over = true;
    return true;
}

static bool take_messages(struct relay *r, struct mir_error *err)
{
    int left = 0;

    for (;;) {
        const CURLMsg *message = curl_multi_info_read(r->conn->multi, &left);
        bool ok;

        if (!message)
            return true;
        if (message->msg != CURLMSG_DONE)
            continue;
        if (message->easy_handle == r->conn->second)
            ok = get_ended(r, message->data.result, err);
        else
            ok = put_ended(r, message->data.result, err);
        if (!ok || r->over)
            return ok;
    }
}

/* ---- the pump ------------------------------------------------------------------------------ */

/* Let go on what can go on. */
static bool unpause(struct relay *r, struct mir_error *err)
{
    CURLcode code = CURLE_OK;

    if (!r->put_active && r->len > 0 && !start_put(r, err))
        return false;
    if (r->put_active && r->put.send_paused && ring_ready(r) > 0) {
        r->put.send_paused = false;
        code = curl_easy_pause(r->conn->easy, CURLPAUSE_CONT);
    }
    if (code == CURLE_OK && r->get_active && r->get.recv_paused &&
        ring_room(r) >= r->ring_bytes / 2) {
        r->get.recv_paused = false;
        code = curl_easy_pause(r->conn->second, CURLPAUSE_CONT);
    }
    /* A failed transfer reports itself through its message. */
    (void)code;
    return true;
}

/* A source that has fallen silent is asked again from the byte reached. */
static bool watch_get(struct relay *r, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;

    if (!r->get_active || http_try_watch(&r->get, &trouble))
        return true;
    drop_get(r);
    (void)fail_at(HTTP_GET, r->get_response->url, &trouble);
    if (mir_may_retry(&trouble))
        return get_again(r, false, &trouble, err);
    *err = trouble;
    return false;
}

static bool watch(struct relay *r, struct mir_error *err)
{
    if (!watch_get(r, err))
        return false;
    if (r->put_active && !http_try_watch(&r->put, err))
        return fail_at(HTTP_PUT, r->put_response->url, err);
    return true;
}

static bool pump(struct relay *r, struct mir_error *err)
{
    int running = 0;
    int wait = HTTP_POLL_MS;

    if (r->conn->client->stall_timeout_ms < wait)
        wait = (int)r->conn->client->stall_timeout_ms;
    for (;;) {
        CURLMcode bad = curl_multi_perform(r->conn->multi, &running);

        if (bad == CURLM_OK && (!take_messages(r, err) || r->over))
            return r->over;
        if (!unpause(r, err) || !watch(r, err))
            return false;
        if (bad == CURLM_OK)
            bad = curl_multi_poll(r->conn->multi, NULL, 0, wait, NULL);
        if (bad != CURLM_OK)
            return mir_fail(err, MIR_E_NETWORK, "libcurl: %s", curl_multi_strerror(bad));
    }
}

bool http_relay_run(struct http_conn *conn, const struct http_relay *relay,
                    struct http_response *get, struct http_response *put, struct mir_error *err)
{
    auto_relay r = {.job = relay,
                    .conn = conn,
                    .ring_bytes = RING_BYTES,
                    .get_request = *relay->get,
                    .put_request = *relay->put,
                    .get_response = get,
                    .put_response = put,
                    .get_trail = {.url = mir_strdup(relay->get->url)},
                    .put_trail = {.url = mir_strdup(relay->put->url)}};

    r.sink = (struct http_sink){.write = ring_write, .ctx = &r};
    r.source = (struct http_source){.read = ring_read, .ctx = &r};
    r.gate = (struct http_gate){.room = ring_room, .ready = ring_ready, .ctx = &r};
    r.get_request.sink = &r.sink;
    r.put_request.source = &r.source;
    /* A small body needs no more than itself, and room for a piece that is too much. */
    if (relay->get->size < RING_BYTES - CURL_MAX_WRITE_SIZE)
        r.ring_bytes = (size_t)relay->get->size + CURL_MAX_WRITE_SIZE;
    r.ring = mir_alloc(r.ring_bytes);
    if (!conn->second)
        conn->second = curl_easy_init();
    if (!conn->second)
        abort();
    http_response_start(get, 0);
    http_response_start(put, 0);
    return http_hold(relay->get_conn, err) && http_hold(conn, err) && start_get(&r, err) &&
           pump(&r, err);
}
