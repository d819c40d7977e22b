/*
 * http_send(): tries, redirects and retries of one request, read from top to bottom.
 *
 * Invariant: Authorization and the client certificate leave for the origin of request->url only.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <inttypes.h>

void http_trail_release(struct http_trail *trail)
{
    free(trail->url);
}

char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *words;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status)
            return mir_format("%d %s", status, known[i].words);
    }
    return mir_format("%d", status);
}

/* ---- one transfer -------------------------------------------------------------------------- */

/* The result of the only transfer in the multi handle. */
static CURLcode transfer_result(CURLM *multi)
{
    int left = 0;
    const CURLMsg *message = curl_multi_info_read(multi, &left);

    return message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_RECV_ERROR;
}

/* False: given up (cancelled, stalled), err is set. */
static bool run_transfer(struct http_conn *conn, struct http_try *t, CURLcode *code,
                         struct mir_error *err)
{
    int64_t wait = conn->client->stall_timeout_ms;
    int running = 1;

    if (wait > HTTP_POLL_MS)
        wait = HTTP_POLL_MS;
    while (running > 0) {
        CURLMcode bad = curl_multi_perform(conn->multi, &running);

        if (running > 0 && bad == CURLM_OK)
            bad = curl_multi_poll(conn->multi, NULL, 0, (int)wait, NULL);
        if (bad != CURLM_OK)
            return mir_fail(err, MIR_E_NETWORK, "libcurl: %s", curl_multi_strerror(bad));
        if (running > 0 && !http_try_watch(t, err))
            return false;
    }
    *code = transfer_result(conn->multi);
    return true;
}

/* Run the prepared handle. False: given up, err is set and the try is dropped. */
static bool transfer(struct http_conn *conn, struct http_try *t, CURLcode *code,
                     struct mir_error *err)
{
    bool ended = false;

    if (curl_multi_add_handle(conn->multi, conn->easy) == CURLM_OK)
        ended = run_transfer(conn, t, code, err);
    else
        (void)mir_fail(err, MIR_E_UNSUPPORTED, "libcurl cannot start a transfer");
    (void)curl_multi_remove_handle(conn->multi, conn->easy);
    if (!ended)
        http_try_drop(t);
    return ended;
}

/* One request and its answer, or none. fatal: trying again is pointless whatever err says. */
static bool one_try(struct http_conn *conn, const struct http_request *request,
                    const struct http_trail *trail, struct http_response *response, bool *fatal,
                    struct mir_error *err)
{
    struct http_try t;
    CURLcode code = CURLE_OK;
    bool answered;

    if (!http_hold(conn, err) ||
        !http_try_begin(&t, conn, conn->easy, request, trail, response, err) ||
        !transfer(conn, &t, &code, err))
        return false;
    answered = http_try_end(&t, code, err);
    *fatal = t.fatal;
    return answered;
}

/* ---- redirects ----------------------------------------------------------------------------- */

static bool is_redirect(enum http_method method, int status)
{
    if (status == 307 || status == 308)
        return true;
    return (method == HTTP_GET || method == HTTP_HEAD) &&
           (status == 301 || status == 302 || status == 303);
}

enum http_step http_redirect(const struct http_request *request,
                             const struct http_response *response, struct http_trail *trail,
                             struct mir_error *err)
{
    const char *location = http_response_header(response, "Location");
    auto_free char *next = NULL;

    if (!is_redirect(request->method, response->status) || !location)
        return HTTP_STEP_ANSWER;
    if (!http_url_resolve(trail->url, location, &next, err))
        return HTTP_STEP_FAIL;
    if (++trail->hops > HTTP_REDIRECTS_MAX) {
        (void)mir_fail(err, MIR_E_PROTOCOL, "more than %d redirects", HTTP_REDIRECTS_MAX);
        return HTTP_STEP_FAIL;
    }
    if (http_url_is_https(trail->url) && !http_url_is_https(next)) {
        auto_free char *shown = http_url_redact(next);

        (void)mir_fail(err, MIR_E_PROTOCOL, "redirect from https to http is not followed (%s)",
                       shown);
        return HTTP_STEP_FAIL;
    }
    trail->left_home = trail->left_home || !http_url_same_origin(request->url, next);
    if (trail->left_home && request->home_only) {
        (void)mir_fail(err, MIR_E_PROTOCOL,
                       "a redirect to another host is not followed with what "
                       "is sent here");
        return HTTP_STEP_FAIL;
    }
    free(trail->url);
    trail->url = mir_steal(&next);
    return HTTP_STEP_FOLLOW;
}

static bool is_stale(const struct http_request *request, const struct http_response *response)
{
    bool refused = response->status == 400 || response->status == 401 || response->status == 403 ||
                   response->status == 410;

    return refused && !request->once &&
           (request->method == HTTP_GET || request->method == HTTP_HEAD) &&
           !http_url_same_origin(request->url, response->url);
}

bool http_renew(struct http_conn *conn, const struct http_request *request,
                const struct http_response *response, struct http_renewal *renewal)
{
    auto_free char *shown = NULL;

    if (!is_stale(request, response) || (renewal->done && renewal->reached == response->reached))
        return false;
    *renewal = (struct http_renewal){.done = true, .reached = response->reached};
    shown = http_url_redact(response->url);
    mir_log(conn->client->sink, MIR_LEVEL_DEBUG,
            "%s %s: %d; its signature may have expired, asking for a new one",
            http_method_name(request->method), shown, response->status);
    return true;
}

/* A request and what it is redirected to, once. */
static bool try_along(struct http_conn *conn, const struct http_request *request,
                      struct http_response *response, bool *fatal, struct mir_error *err)
{
    auto_trail trail = {.url = mir_strdup(request->url)};

    for (;;) {
        enum http_step step;

        if (!one_try(conn, request, &trail, response, fatal, err)) {
            auto_free char *shown = http_url_redact(trail.url);

            return mir_context(err, "%s %s", http_method_name(request->method), shown);
        }
        step = http_redirect(request, response, &trail, err);
        if (step == HTTP_STEP_ANSWER)
            return true;
        if (step == HTTP_STEP_FAIL) {
            auto_free char *shown = http_url_redact(request->url);

            *fatal = true;
            return mir_context(err, "%s %s", http_method_name(request->method), shown);
        }
    }
}

/* ---- retries ------------------------------------------------------------------------------- */

static void describe_refusal(const struct http_request *request,
                             const struct http_response *response, struct mir_error *err)
{
    auto_free char *shown = http_url_redact(request->url);
    auto_free char *words = http_status_text(response->status);

    (void)mir_fail(err, MIR_E_SERVER, "%s %s: %s", http_method_name(request->method), shown, words);
}

static void trace(const struct mir_sink *sink, const struct http_request *request,
                  const struct http_response *response)
{
    auto_free char *shown = NULL;

    if (!sink || sink->level < MIR_LEVEL_TRACE)
        return;
    shown = http_url_redact(response->url);
    mir_log(sink, MIR_LEVEL_TRACE, "%s %s: %d", http_method_name(request->method), shown,
            response->status);
}

/* Has the last answer shown that this server's ranges are not to be trusted? That is no failed try:
 * the next one asks for the whole body. */
static bool turned_whole(const struct http_conn *conn, const struct http_response *response,
                         bool before)
{
    auto_free char *shown = NULL;

    if (before || !response->whole)
        return false;
    shown = http_url_redact(response->url);
    mir_log(conn->client->sink, MIR_LEVEL_DEBUG,
            "GET %s: a range was answered wrongly; asking for the whole", shown);
    return true;
}

bool http_send(struct http_conn *conn, const struct http_request *request,
               struct http_response *response, struct mir_error *err)
{
    struct http_backoff backoff = {0};
    struct http_renewal renewal = {0};

    http_response_start(response, request->offset);
    for (;;) {
        struct mir_error trouble = MIR_ERROR_INIT;
        uint64_t before = response->reached;
        bool whole = response->whole;
        bool fatal = false;
        bool answered = try_along(conn, request, response, &fatal, &trouble);

        if (answered)
            trace(conn->client->sink, request, response);
        if (turned_whole(conn, response, whole) ||
            (answered && http_renew(conn, request, response, &renewal)))
            continue;
        if (answered && !http_status_may_pass(response->status))
            return true;
        if (answered)
            describe_refusal(request, response, &trouble);
        if (response->reached - before >= HTTP_PROGRESS_BYTES)
            backoff.tries = 0;
        if (request->once || fatal || !mir_may_retry(&trouble) ||
            !http_backoff_wait(conn, &backoff, answered ? response : NULL, &trouble)) {
            if (answered && trouble.code != MIR_E_CANCELLED)
                return true;
            *err = trouble;
            return false;
        }
    }
}

/* ---- does it speak TLS? -------------------------------------------------------------------- */

/* *dropped: *speaks is false only because the handshake broke off. */
static bool probe_once(struct http_conn *conn, const char *url, const struct http_tls *tls,
                       bool *speaks, bool *dropped, struct mir_error *err)
{
    struct http_request request = {.method = HTTP_HEAD, .url = url, .tls = tls};
    auto_response response = HTTP_RESPONSE_INIT;
    auto_trail trail = {.url = mir_strdup(url)};
    struct http_try t;
    CURLcode code = CURLE_OK;

    http_response_start(&response, 0);
    if (!http_try_begin(&t, conn, conn->easy, &request, &trail, &response, err))
        return false;
    (void)curl_easy_setopt(conn->easy, CURLOPT_CONNECT_ONLY, 1L);
    if (!transfer(conn, &t, &code, err))
        return false;
    /* An alert is TLS, if no welcome: what it is about is for the request to find out. */
    *speaks = code == CURLE_OK || http_is_tls_alert(t.curl_text);
    *dropped = code == CURLE_SSL_CONNECT_ERROR && http_is_dropped_handshake(t.curl_text);
    if (code != CURLE_OK && code != CURLE_SSL_CONNECT_ERROR)
        (void)http_fail_try(&t, code, err);
    http_try_drop(&t);
    return err->code == MIR_OK;
}

bool http_probe_tls(struct http_conn *conn, const char *url, const struct http_tls *tls,
                    bool *speaks, struct mir_error *err)
{
    struct http_backoff backoff = {0};
    bool was_dropped = false;

    for (;;) {
        struct mir_error trouble = MIR_ERROR_INIT;
        bool dropped = false;
        bool connected = probe_once(conn, url, tls, speaks, &dropped, &trouble);

        if (connected && (!dropped || was_dropped))
            return true;
        was_dropped |= dropped;
        if (connected)
            continue;
        if (!mir_may_retry(&trouble) || !http_backoff_wait(conn, &backoff, NULL, &trouble)) {
            auto_free char *shown = http_url_redact(url);

            *err = trouble;
            return mir_context(err, "connect to %s", shown);
        }
    }
}
