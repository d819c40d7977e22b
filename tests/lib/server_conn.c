/*
 * One connection of the scripted server: requests are read, recorded and answered as the table
 * says, faults included, until either side has had enough.
 */
#include "lib/server_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/num.h"

/* What was read beyond the request in hand. */
struct input {
    struct server_conn *conn;
    struct mir_buf bytes;
};

static bool fill_more(struct input *in)
{
    char chunk[64 << 10];
    size_t got = server_read(in->conn, chunk, sizeof(chunk));

    mir_buf_add(&in->bytes, mir_span(chunk, got));
    return got > 0;
}

static void drop_front(struct input *in, size_t len)
{
    memmove(in->bytes.ptr, in->bytes.ptr + len, in->bytes.len - len + 1);
    in->bytes.len -= len;
}

static char *header_of(const struct server_request *request, const char *name)
{
    return server_header(request, name);
}

/* The header, with its empty line, is in the buffer. */
static struct server_request *read_head(struct input *in)
{
    struct server_request *request;
    char *end = strstr(in->bytes.ptr, "\r\n\r\n");
    size_t head, method, path, line;

    while (!end) {
        if (in->bytes.len > SERVER_HEADER_MAX || !fill_more(in))
            return NULL;
        end = strstr(in->bytes.ptr, "\r\n\r\n");
        /* What is no text, a TLS handshake say, is no request. */
        if (!end && (in->bytes.ptr[0] < 'A' || in->bytes.ptr[0] > 'Z'))
            return NULL;
    }
    head = (size_t)(end - in->bytes.ptr) + 4;
    line = strcspn(in->bytes.ptr, "\r");
    method = strcspn(in->bytes.ptr, " ");
    if (method >= line)
        return NULL;
    path = strcspn(in->bytes.ptr + method + 1, " ");
    request = mir_alloc(sizeof(*request));
    request->method = mir_strndup(in->bytes.ptr, method);
    request->path = mir_strndup(in->bytes.ptr + method + 1, path);
    request->headers = mir_strndup(in->bytes.ptr + line + 2, head - line - 4);
    drop_front(in, head);
    return request;
}

static size_t body_len_of(const struct server_request *request)
{
    auto_free char *text = header_of(request, "Content-Length");
    uint64_t len = 0;

    if (!text || !mir_parse_u64(mir_span_of(text), 1u << 30, &len))
        return 0;
    return (size_t)len;
}

/* limit: stop after so many bytes. False when the client ended first; what came is kept. */
static bool read_body(struct input *in, struct server_request *request, size_t limit)
{
    size_t want = body_len_of(request);
    bool whole = true;

    if (want > limit)
        want = limit;
    while (whole && in->bytes.len < want)
        whole = fill_more(in);
    if (!whole)
        want = in->bytes.len;
    request->body = mir_strndup(in->bytes.ptr, want);
    request->body_len = want;
    drop_front(in, want);
    return whole;
}

/* ---- answering ----------------------------------------------------------------------------- */

struct answer {
    const struct server_reply *reply;
    struct mir_span body;
    size_t first; /* of the range sent */
    bool partial;
    bool keep; /* the connection may serve another request */
};

static bool wants_range(const struct server_request *request, size_t len, size_t *first)
{
    auto_free char *range = header_of(request, "Range");
    struct mir_span text = mir_span_of(range);
    uint64_t from;

    if (!range || !mir_span_starts_with(text, "bytes=") || !mir_span_ends_with(text, "-"))
        return false;
    text = mir_span_first(mir_span_from(text, 6), text.len - 7);
    if (!mir_parse_u64(text, len, &from) || from >= len)
        return false;
    *first = (size_t)from;
    return true;
}

static void add_length(struct mir_buf *head, const struct answer *answer)
{
    const struct server_reply *reply = answer->reply;

    if (reply->fault == SERVER_FAULT_ENDLESS)
        mir_buf_text(head, "Transfer-Encoding: chunked\r\n");
    else if (reply->fault == SERVER_FAULT_UNMARKED || reply->fault == SERVER_FAULT_LINGER)
        mir_buf_text(head, "Connection: close\r\n");
    else
        mir_buf_printf(head, "Content-Length: %" PRIu64 "\r\n",
                       reply->fault == SERVER_FAULT_LENGTH ? reply->fault_at
                                                           : (uint64_t)answer->body.len);
}

/* Whole, or in drops. */
static bool send_bytes(struct server_conn *conn, struct mir_span bytes, bool drip, uint64_t ms)
{
    if (!drip)
        return server_write(conn, bytes.ptr, bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        if (!server_write(conn, bytes.ptr + i, 1))
            return false;
        (void)usleep((useconds_t)ms * 1000);
    }
    return true;
}

static bool send_head(struct server_conn *conn, const struct answer *answer)
{
    const struct server_reply *reply = answer->reply;
    auto_free char *lines = server_fill(conn->server, reply->headers ? reply->headers : "");
    auto_buf head;

    mir_buf_init(&head, 4u << 20);
    mir_buf_printf(&head, "HTTP/1.1 %d Scripted\r\n", answer->partial ? 206 : reply->status);
    add_length(&head, answer);
    if (answer->partial)
        mir_buf_printf(&head, "Content-Range: bytes %zu-%zu/%zu\r\n", answer->first,
                       answer->first + answer->body.len - 1, answer->first + answer->body.len);
    mir_buf_text(&head, lines);
    mir_buf_text(&head, "\r\n");
    return send_bytes(conn, mir_buf_span(&head), reply->fault == SERVER_FAULT_DRIP_ALL,
                      reply->fault_at);
}

static void send_endless(struct server_conn *conn, const struct answer *answer)
{
    auto_free char *chunk = NULL;
    char head[32];
    struct mir_span body = answer->body.len > 0 ? answer->body : mir_span("endless ", 8);

    (void)snprintf(head, sizeof(head), "%zx\r\n", body.len);
    chunk = mir_format("%s%.*s\r\n", head, MIR_SPAN_ARG(body));
    while (server_write(conn, chunk, strlen(chunk)))
        continue;
}

/* The body up to where the fault strikes. */
static struct mir_span part_before_fault(const struct answer *answer)
{
    switch (answer->reply->fault) {
    case SERVER_FAULT_CUT:
    case SERVER_FAULT_RESET:
    case SERVER_FAULT_STALL:
        if (answer->reply->fault_at < answer->body.len)
            return mir_span_first(answer->body, (size_t)answer->reply->fault_at);
        break;
    case SERVER_FAULT_NONE:
    case SERVER_FAULT_ENDLESS:
    case SERVER_FAULT_LENGTH:
    case SERVER_FAULT_UNMARKED:
    case SERVER_FAULT_SILENCE:
    case SERVER_FAULT_HANG_UP:
    case SERVER_FAULT_CLOG:
    case SERVER_FAULT_EARLY:
    case SERVER_FAULT_LINGER:
    case SERVER_FAULT_DRIP:
    case SERVER_FAULT_DRIP_ALL:
    case SERVER_FAULT_RAW:
        break;
    }
    return answer->body;
}

static void send_body(struct server_conn *conn, struct answer *answer)
{
    struct mir_span part = part_before_fault(answer);
    enum server_fault fault = answer->reply->fault;

    answer->keep = fault == SERVER_FAULT_NONE;
    if (fault == SERVER_FAULT_ENDLESS) {
        send_endless(conn, answer);
        return;
    }
    answer->keep =
        send_bytes(conn, part, fault == SERVER_FAULT_DRIP || fault == SERVER_FAULT_DRIP_ALL,
                   answer->reply->fault_at) &&
        answer->keep;
    if (answer->reply->cancel)
        atomic_store(&answer->reply->cancel->flag, 1);
    if (fault == SERVER_FAULT_STALL || fault == SERVER_FAULT_LINGER || fault == SERVER_FAULT_EARLY)
        server_await_close(conn);
    if (fault == SERVER_FAULT_RESET)
        server_reset(conn);
}

static bool answer_request(struct server_conn *conn, const struct server_request *request,
                           const struct server_reply *reply)
{
    static const struct server_reply unscripted = {.status = 418, .body = "unscripted request"};
    struct answer answer = {.reply = reply ? reply : &unscripted};
    auto_free char *filled = NULL;

    reply = answer.reply;
    if (reply->body && reply->body_len == 0)
        filled = server_fill(conn->server, reply->body);
    answer.body = filled ? mir_span_of(filled) : mir_span(reply->body, reply->body_len);
    if (reply->ranges && wants_range(request, answer.body.len, &answer.first)) {
        answer.partial = true;
        answer.body = mir_span_from(answer.body, answer.first);
    }
    if (reply->fault == SERVER_FAULT_RAW) {
        (void)server_write(conn, answer.body.ptr, answer.body.len);
        return false;
    }
    if (!send_head(conn, &answer))
        return false;
    if (strcmp(request->method, "HEAD") == 0) {
        if (reply->cancel)
            atomic_store(&reply->cancel->flag, 1);
        return reply->fault == SERVER_FAULT_NONE;
    }
    send_body(conn, &answer);
    return answer.keep;
}

/* ---- one request --------------------------------------------------------------------------- */

/* Which reply it gets decides how much of its body is read, so it is recorded in between; the body
 * joins the record before the record is handed out. False: the connection is done. */
static bool serve_one(struct input *in)
{
    struct server_conn *conn = in->conn;
    struct server_request *request = read_head(in);
    const struct server_reply *reply;
    size_t limit = SIZE_MAX;
    bool whole;

    if (!request)
        return false;
    reply = server_choose(conn->server, request);
    if (reply && (reply->fault == SERVER_FAULT_HANG_UP || reply->fault == SERVER_FAULT_CLOG))
        limit = (size_t)reply->fault_at;
    if (reply && reply->fault == SERVER_FAULT_EARLY)
        limit = 0;
    whole = read_body(in, request, limit);
    server_record(conn->server, request);
    server_tell_hook(conn->server, request);
    if (whole && reply && reply->fault == SERVER_FAULT_CLOG)
        server_await_hangup(conn);
    if (!whole ||
        (reply && (reply->fault == SERVER_FAULT_SILENCE || reply->fault == SERVER_FAULT_CLOG)))
        return false;
    if (reply && reply->fault == SERVER_FAULT_HANG_UP) {
        server_reset(conn);
        return false;
    }
    return answer_request(conn, request, reply);
}

static void finish(struct server_conn *conn)
{
    if (conn->ssl) {
        (void)SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
        conn->ssl = NULL;
    }
    /* The descriptor is closed under the lock, so that server_stop() never meets another's. */
    (void)pthread_mutex_lock(&conn->server->lock);
    (void)close(conn->fd);
    conn->fd = -1;
    (void)pthread_mutex_unlock(&conn->server->lock);
}

void *server_conn_main(void *ctx)
{
    struct server_conn *conn = ctx;
    struct input in = {.conn = conn};

    mir_buf_init(&in.bytes, 1u << 30);
    if (!conn->ssl || SSL_accept(conn->ssl) == 1) {
        while (serve_one(&in))
            continue;
    }
    if (!conn->ssl && in.bytes.len > 0 && in.bytes.ptr[0] == 0x16)
        (void)server_write(conn, "HTTP/1.0 400 Bad Request\r\n\r\n", 28);
    mir_buf_release(&in.bytes);
    finish(conn);
    return NULL;
}
