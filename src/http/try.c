/*
 * One try of a request: a curl handle is set up, its callbacks move bytes and count, and when it
 * has ended one function says what came of it. Driven by send.c (one at a time) and relay.c (two).
 *
 * Invariant: whatever the answer, memory is bounded: headers, kept bodies and refusals each have a
 * limit, and a body for the sink is never longer than the request expects.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <inttypes.h>

#define REFUSAL_DRAIN_MAX (256u << 10) /* beyond it a new connection is cheaper */

/* ---- callbacks ----------------------------------------------------------------------------- */

static bool sink_bytes(struct http_try *t, struct mir_span bytes)
{
    const struct http_request *request = t->request;
    uint64_t left = request->has_size ? request->size - t->response->reached : UINT64_MAX;

    if (t->skip > 0) {
        size_t known = t->skip < bytes.len ? (size_t)t->skip : bytes.len;

        t->skip -= known;
        bytes = mir_span_from(bytes, known);
    }
    if (bytes.len == 0)
        return true;
    if (bytes.len > left) {
        t->fatal = true;
        return mir_fail(&t->err, MIR_E_DIGEST,
                        "the body is longer than the %" PRIu64 " bytes expected", request->size);
    }
    if (!request->sink->write(request->sink->ctx, bytes, &t->err)) {
        t->fatal = true;
        return false;
    }
    t->response->reached += bytes.len;
    return true;
}

static bool keep_bytes(struct http_try *t, struct mir_span bytes)
{
    struct mir_buf *body = &t->response->body;
    size_t max = t->request->body_max > 0 ? t->request->body_max : HTTP_ERROR_BODY_MAX;

    if (bytes.len > max - body->len) {
        t->fatal = true;
        return mir_fail(&t->err, MIR_E_LIMIT, "the body is over the limit of %zu bytes", max);
    }
    mir_buf_add(body, bytes);
    return true;
}

static bool refusal_bytes(struct http_try *t, struct mir_span bytes)
{
    struct mir_buf *body = &t->response->body;
    size_t room = HTTP_ERROR_BODY_MAX - body->len;

    mir_buf_add(body, mir_span_first(bytes, bytes.len < room ? bytes.len : room));
    t->cut = t->body_bytes > REFUSAL_DRAIN_MAX;
    return !t->cut;
}

/* Count what moved, and slow down where a rate is set. */
static void note_bytes(const struct http_try *t, size_t len)
{
    struct mir_meter *meter = t->conn->watch.meter;

    if (meter)
        (void)atomic_fetch_add_explicit(&meter->bytes, len, memory_order_relaxed);
    if (t->client->rate)
        http_rate_spend(t->client->rate, len, t->client->clock, t->client->cancel);
}

static bool take_body(struct http_try *t, struct mir_span bytes)
{
    t->body_bytes += bytes.len;
    note_bytes(t, bytes.len);
    switch (t->mode) {
    case HTTP_BODY_PENDING:
        return mir_fail(&t->err, MIR_E_PROTOCOL, "a body without a header");
    case HTTP_BODY_SINK:
        return sink_bytes(t, bytes);
    case HTTP_BODY_KEEP:
        return keep_bytes(t, bytes);
    case HTTP_BODY_REFUSAL:
        return refusal_bytes(t, bytes);
    }
    return false;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http_try *t = ctx;
    size_t len = size * count;

    if (t->mode == HTTP_BODY_SINK && t->gate && t->gate->room(t->gate->ctx) < len) {
        t->recv_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (mir_is_cancelled(t->client->cancel) || !take_body(t, mir_span(data, len)))
        return 0;
    return len;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct http_try *t = ctx;
    size_t len = size * count;
    long status = 0;

    if (!http_answer_header(t, mir_span(data, len)))
        return 0;
    if (t->head_done || mir_span_trim(mir_span(data, len)).len > 0)
        return len;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return len;
    t->head_done = true;
    t->response->status = (int)status;
    return http_answer_begin(t) ? len : 0;
}

static size_t on_read(char *data, size_t size, size_t count, void *ctx)
{
    struct http_try *t = ctx;
    const struct http_source *source = t->request->source;
    uint64_t left = t->request->source_len - t->sent;
    size_t len = size * count;

    if (len > left)
        len = (size_t)left;
    if (t->client->rate)
        len = http_rate_portion(t->client->rate, len);
    if (len > 0 && t->gate) {
        size_t ready = t->gate->ready(t->gate->ctx);

        if (len > ready)
            len = ready;
        t->send_paused = len == 0;
        if (t->send_paused)
            return CURL_READFUNC_PAUSE;
    }
    if (mir_is_cancelled(t->client->cancel))
        return CURL_READFUNC_ABORT;
    if (len > 0 && !source->read(source->ctx, t->sent, data, len, &t->err)) {
        t->fatal = true;
        return CURL_READFUNC_ABORT;
    }
    t->sent += len;
    note_bytes(t, len);
    return len;
}

/* libcurl rewinds when it repeats a request on a fresh connection. A gated source cannot. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct http_try *t = ctx;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->request->source_len)
        return CURL_SEEKFUNC_FAIL;
    if (t->gate && (uint64_t)offset != t->sent)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- setting up ---------------------------------------------------------------------------- */

/* No more than a body can fill. */
static long buffer_for(uint64_t body_bytes, size_t max)
{
    if (body_bytes >= max)
        return (long)max;
    return body_bytes > HTTP_SMALL_BYTES ? (long)body_bytes : HTTP_SMALL_BYTES;
}

/* Memory is for bodies; everything else fits into little. A handle whose last name could not be
 * resolved still holds the buffer of that time, and libcurl changes nothing about it then: this try
 * goes with what there is. */
static void set_buffers(const struct http_try *t)
{
    const struct http_request *request = t->request;
    uint64_t expected = request->has_size ? request->size : UINT64_MAX;
    long in = request->sink ? buffer_for(expected, HTTP_INTAKE_BYTES) : HTTP_SMALL_BYTES;
    long out = buffer_for(request->source_len, HTTP_BUFFER_BYTES);

    (void)curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, in);
    (void)curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, out);
}

static bool is_header_value(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

static bool add_line(struct http_try *t, const char *name, const char *value, struct mir_error *err)
{
    auto_free_secret char *line = NULL;
    struct curl_slist *longer;

    if (!is_header_value(value))
        return mir_fail(err, MIR_E_PROTOCOL, "the value for %s has control bytes", name);
    line = mir_format("%s:%s%s", name, value[0] ? " " : "", value);
    longer = curl_slist_append(t->lines, line);
    if (!longer)
        abort();
    t->lines = longer;
    return true;
}

static bool add_lines(struct http_try *t, bool away, struct mir_error *err)
{
    const struct http_request *request = t->request;

    for (size_t i = 0; i < request->header_count; i++) {
        if (!add_line(t, request->headers[i].name, request->headers[i].value, err))
            return false;
    }
    if (request->authorization && !away &&
        !add_line(t, "Authorization", request->authorization, err))
        return false;
    /* No "Expect: 100-continue": who may write has been settled before a large body is sent. */
    return add_line(t, "Expect", "", err);
}

static unsigned set_method(struct http_try *t)
{
    const struct http_request *request = t->request;
    const char *name = http_method_name(request->method);

    if (request->method == HTTP_HEAD)
        return (unsigned)curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (request->method == HTTP_GET)
        return (unsigned)curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
    if (request->method == HTTP_DELETE)
        return (unsigned)curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L) |
               (unsigned)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, name);
    if (!request->source || request->source_len == 0)
        return (unsigned)curl_easy_setopt(t->easy, CURLOPT_POST, 1L) |
               (unsigned)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE, 0L) |
               (unsigned)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, "") |
               (unsigned)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, name);
    return (unsigned)curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L) |
           (unsigned)curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE,
                                      (curl_off_t)request->source_len) |
           (unsigned)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, name);
}

static unsigned set_range(struct http_try *t)
{
    char range[32];

    t->ranged = t->request->method == HTTP_GET && t->request->sink && t->response->reached > 0 &&
                !t->response->whole;
    if (!t->ranged)
        return 0;
    (void)snprintf(range, sizeof(range), "%" PRIu64 "-", t->response->reached);
    return (unsigned)curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
}

static unsigned set_callbacks(struct http_try *t)
{
    unsigned bad = 0;

    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->curl_text);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_seek);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
    bad |= (unsigned)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->lines);
    return bad;
}

/* Who will have answered. Through a tunnel nobody but the server can. */
static void name_ends(const struct http_try *t, const char *url)
{
    struct http_response *response = t->response;

    free(response->url);
    free(response->via);
    response->url = mir_strdup(url);
    response->via = NULL;
    if (t->proxy && t->proxy->answers && !http_url_is_https(url))
        response->via = mir_format("%s (from %s)", t->proxy->shown, t->proxy->variable);
}

static bool check_proxy(const struct http_proxy *proxy, struct mir_error *err)
{
    if (!proxy || !proxy->is_bad)
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "%s names no proxy that can be used", proxy->variable);
    return mir_hint(err, "write it as http://[USER:PASS@]HOST:PORT, special characters of USER and "
                         "PASS as %%XX");
}

bool http_try_begin(struct http_try *t, struct http_conn *conn, CURL *easy,
                    const struct http_request *request, const struct http_trail *trail,
                    struct http_response *response, struct mir_error *err)
{
    const struct http_tls *tls =
        trail->left_home && request->away_tls ? request->away_tls : request->tls;
    unsigned bad;

    *t = (struct http_try){.conn = conn,
                           .client = conn->client,
                           .request = request,
                           .response = response,
                           .easy = easy,
                           .tls = tls,
                           .shows_client = tls && tls->cert_file && !trail->left_home,
                           .proxy = http_proxy_for(conn->client->proxies, trail->url),
                           .seen_ms = mir_clock_now(conn->client->clock)};
    http_response_clear(response);
    name_ends(t, trail->url);
    curl_easy_reset(easy);
    if (!check_proxy(t->proxy, err) || !add_lines(t, trail->left_home, err)) {
        http_try_drop(t);
        return false;
    }
    bad = http_handle_set(easy, conn->client, trail->url, tls, t->shows_client, t->proxy);
    bad |= set_method(t) | set_range(t) | set_callbacks(t);
    set_buffers(t);
    if (bad) {
        http_try_drop(t);
        return mir_fail(err, MIR_E_UNSUPPORTED, "libcurl refuses a setting (code %u)", bad);
    }
    return true;
}

bool http_hold(const struct http_conn *conn, struct mir_error *err)
{
    const struct http_client *client = conn->client;

    for (;;) {
        int64_t ms = conn->watch.hold ? conn->watch.hold(conn->watch.ctx) : 0;

        if (mir_is_cancelled(client->cancel))
            return mir_fail(err, MIR_E_CANCELLED, "stopped by the user");
        if (ms <= 0)
            return true;
        (void)mir_clock_wait(client->clock, ms, client->cancel);
    }
}

/* ---- watching and ending ------------------------------------------------------------------- */

bool http_try_watch(struct http_try *t, struct mir_error *err)
{
    uint64_t bytes = t->header_bytes + t->body_bytes + t->sent;
    int64_t now = mir_clock_now(t->client->clock);
    int64_t patience = t->client->stall_timeout_ms;

    if (mir_is_cancelled(t->client->cancel))
        return mir_fail(err, MIR_E_CANCELLED, "stopped by the user");
    if (!http_floor_watch(t, bytes, now, err))
        return false;
    if (bytes != t->seen_bytes || t->recv_paused || t->send_paused) {
        t->seen_bytes = bytes;
        t->seen_ms = now;
        return true;
    }
    if (t->sent > 0 && t->sent == t->request->source_len)
        patience *= HTTP_ANSWER_FACTOR;
    if (now - t->seen_ms <= patience)
        return true;
    return mir_fail(err, MIR_E_NETWORK, "no byte came or went for %" PRId64 " s",
                    (now - t->seen_ms + 999) / 1000);
}

static void count_request(struct http_try *t)
{
    long bytes = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &bytes);
    if (bytes > 0)
        (void)atomic_fetch_add_explicit(&t->client->requests, 1, memory_order_relaxed);
}

void http_try_drop(struct http_try *t)
{
    for (struct curl_slist *line = t->lines; line; line = line->next)
        mir_wipe(line->data, strlen(line->data));
    count_request(t);
    /* The handle outlives the list, the URL and this struct. */
    curl_easy_reset(t->easy);
    curl_slist_free_all(t->lines);
    t->lines = NULL;
}

/* Both bodies have ended, as far as HTTP is concerned: is that what was expected? */
static bool check_end(struct http_try *t, struct mir_error *err)
{
    uint64_t reached = t->response->reached;

    if (t->sent < t->request->source_len) {
        t->fatal = true;
        return mir_fail(err, MIR_E_PROTOCOL, "the server calls a body complete that is not");
    }
    if (t->mode != HTTP_BODY_SINK || !t->request->has_size || reached == t->request->size)
        return true;
    if (!t->has_length)
        return mir_fail(err, MIR_E_NETWORK,
                        "the connection ended after %" PRIu64 " of %" PRIu64 " bytes", reached,
                        t->request->size);
    t->fatal = true;
    return mir_fail(err, MIR_E_DIGEST,
                    "the body has %" PRIu64 " bytes where %" PRIu64 " are expected", reached,
                    t->request->size);
}

static bool judge(struct http_try *t, CURLcode code, struct mir_error *err)
{
    bool refusal = t->head_done && t->mode == HTTP_BODY_REFUSAL;

    if (t->err.code != MIR_OK) {
        *err = t->err;
        return false;
    }
    if (mir_is_cancelled(t->client->cancel))
        return mir_fail(err, MIR_E_CANCELLED, "stopped by the user");
    /* A refusal counts from its header on, also when the peer hangs up on the rest of ours; but a
     * proxy's own is no answer of the server. */
    if (refusal && !(t->response->via && t->response->status == 407))
        return true;
    if (code == CURLE_OK && !t->head_done)
        return mir_fail(err, MIR_E_NETWORK, "the connection ended before an answer");
    if (code == CURLE_OK && !refusal)
        return check_end(t, err);
    if (code == CURLE_PARTIAL_FILE && t->mode == HTTP_BODY_SINK)
        return mir_fail(err, MIR_E_NETWORK, "the body broke off at byte %" PRIu64,
                        t->response->reached);
    return http_fail_try(t, code, err);
}

static void tell_watch(const struct http_try *t)
{
    const struct mir_watch *watch = &t->conn->watch;
    int status = t->response->status;

    if (watch->meter)
        (void)atomic_fetch_add_explicit(&watch->meter->answers, 1, memory_order_relaxed);
    if (watch->pushed_back && (status == 429 || status == 503))
        watch->pushed_back(watch->ctx, status, http_retry_after(t->response));
}

bool http_try_end(struct http_try *t, CURLcode code, struct mir_error *err)
{
    bool answered = judge(t, code, err);

    http_try_drop(t);
    if (answered)
        tell_watch(t);
    return answered;
}
