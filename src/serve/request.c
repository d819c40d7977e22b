/*
 * One request, through the callbacks of the HTTP library: begin keeps the URL as it was sent,
 * access answers, completed writes the log line and lets go.
 *
 * What takes long (a password that is not known yet, hashing a blob of which a part is asked for)
 * happens at a desk, while the connection is suspended; when it is resumed, access is called again
 * and goes on from what the desk found. Between suspending and resuming only the desk touches the
 * request.
 */
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>

#include "base/mem.h"
#include "serve/answer_priv.h"
#include "serve/server_priv.h"

#define LOGGED_TARGET_MAX 400 /* bytes, in the log that is not the access log */

enum login_state {
    LOGIN_UNKNOWN,
    LOGIN_RIGHT,
    LOGIN_WRONG,
};

struct request {
    struct serve_server *server;
    struct serve_view *view; /* held */
    struct serve_exchange exchange;
    struct serve_job job;
    char *target;
    char *agent; /* or NULL */
    char method[16], version[16];
    int64_t began_ms;
    enum login_state login_state;
    struct serve_login login; /* wiped once it is checked, but for the user */
    bool is_seen;             /* access was called for it */
    bool is_refused;          /* the desk was closing */
};

void *serve_request_begin(void *ctx, const char *target, struct MHD_Connection *connection)
{
    struct serve_server *server = ctx;
    struct request *request = mir_alloc(sizeof(*request));

    request->server = server;
    request->view = serve_server_view(server);
    request->exchange = (struct serve_exchange){.catalog = request->view->catalog,
                                                .prefix = server->options.prefix,
                                                .verify = server->options.verify,
                                                .sink = server->options.sink,
                                                .connection = connection};
    request->target = mir_strdup(target);
    request->began_ms = mir_clock_now(server->clock);
    return request;
}

static const char *header_of(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->exchange.connection, MHD_HEADER_KIND, name);
}

/* ---- at the desks ---- */

/* Hand the request over. From here on it is the desk's. */
static bool wait_for(struct request *request, struct serve_desk *desk,
                     void (*run)(void *ctx, bool is_closing))
{
    request->job = (struct serve_job){.run = run, .ctx = request};
    MHD_suspend_connection(request->exchange.connection);
    if (!serve_desk_put(desk, &request->job))
        run(request, true);
    return true;
}

static void check_login(void *ctx, bool is_closing)
{
    struct request *request = ctx;
    bool is_right = !is_closing && serve_users_check(request->view->users, &request->login);

    mir_wipe(request->login.password, sizeof(request->login.password));
    request->login_state = is_right ? LOGIN_RIGHT : LOGIN_WRONG;
    request->is_refused = is_closing;
    MHD_resume_connection(request->exchange.connection);
}

static void hash_wanted(void *ctx, bool is_closing)
{
    struct request *request = ctx;
    struct serve_content *content = request->exchange.wanted;
    struct mir_error err = MIR_ERROR_INIT;

    /* What it found stands in the content; the answer says what became of it. */
    if (!is_closing && !serve_proof_make(content, &request->server->hashing, &err))
        mir_log(request->exchange.sink, MIR_LEVEL_ERROR, "%s: %s",
                bundle_reader_path(content->reader), err.text);
    request->exchange.wanted = NULL;
    request->exchange.was_hashed = true;
    request->is_refused = is_closing;
    MHD_resume_connection(request->exchange.connection);
}

/* ---- answering ---- */

/* May this client come in? Answers, or waits, when not. */
static bool ask_login(struct request *request)
{
    if (request->login_state != LOGIN_WRONG &&
        serve_login_parse(header_of(request, MHD_HTTP_HEADER_AUTHORIZATION), &request->login))
        return wait_for(request, request->server->passwords, check_login);
    return serve_answer_problem(&request->exchange, SERVE_PROBLEM_LOGIN);
}

static bool is_let_in(struct request *request)
{
    bool is_known;

    if (!request->view->users || request->login_state == LOGIN_RIGHT)
        return true;
    if (request->login_state == LOGIN_WRONG ||
        !serve_login_parse(header_of(request, MHD_HTTP_HEADER_AUTHORIZATION), &request->login))
        return false;
    is_known = serve_users_knows(request->view->users, &request->login);
    mir_wipe(request->login.password, sizeof(request->login.password));
    if (is_known)
        request->login_state = LOGIN_RIGHT;
    return is_known;
}

static bool answer(struct request *request)
{
    struct serve_route route;
    enum serve_problem problem;

    if (request->is_refused)
        return serve_answer_problem(&request->exchange, SERVE_PROBLEM_CLOSING);
    if (!serve_route_parse(mir_span_of(request->target), &route, &problem))
        return serve_answer_problem(&request->exchange, problem);
    if (route.kind != SERVE_ROUTE_HEALTH && !is_let_in(request))
        return ask_login(request);
    if (!serve_answer_route(&request->exchange, &route))
        return false;
    if (request->exchange.wanted)
        return wait_for(request, request->server->hashes, hash_wanted);
    return true;
}

static bool has_body(const struct request *request)
{
    const char *length = header_of(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return header_of(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) ||
           (length && strcmp(length, "0") != 0);
}

/* Nothing can be written here. Who tries it under a name that cannot be hears of that first. */
static bool refuse_method(struct request *request)
{
    struct serve_route route;
    enum serve_problem problem;

    if (serve_route_parse(mir_span_of(request->target), &route, &problem) ||
        (problem != SERVE_PROBLEM_NAME && problem != SERVE_PROBLEM_DIGEST))
        problem = SERVE_PROBLEM_METHOD;
    return serve_answer_problem(&request->exchange, problem);
}

/* The headers are there. True with nothing queued: go on. */
static bool begin_answer(struct request *request, const char *method, const char *version)
{
    struct serve_exchange *exchange = &request->exchange;

    (void)snprintf(request->method, sizeof(request->method), "%s", method);
    (void)snprintf(request->version, sizeof(request->version), "%s", version);
    request->agent = mir_strdup(header_of(request, MHD_HTTP_HEADER_USER_AGENT));
    exchange->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    (void)atomic_fetch_add(&request->server->active, 1);
    serve_guest_set_busy(request->server, exchange->connection, true);
    if (atomic_load(&request->server->is_finishing))
        return serve_answer_problem(exchange, SERVE_PROBLEM_CLOSING);
    if (!exchange->is_head && strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return refuse_method(request);
    if (has_body(request))
        return serve_answer_problem(exchange, SERVE_PROBLEM_BODY);
    return true;
}

/* Called once when the headers are there, and again when the (empty) body is. Answering at the
 * second call keeps the connection; answering at the first closes it, which is what a request with
 * a body gets: nobody reads that body. */
enum MHD_Result serve_request_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *upload,
                                     size_t *upload_bytes, void **request_ctx)
{
    struct request *request = *request_ctx;
    bool ok;

    (void)ctx;
    (void)connection;
    (void)url; /* decoded by the library; request->target is what was sent */
    (void)upload;
    (void)upload_bytes;
    if (request->is_seen) {
        ok = answer(request);
    } else {
        request->is_seen = true;
        ok = begin_answer(request, method, version);
    }
    return ok ? MHD_YES : MHD_NO;
}

/* ---- the log ---- */

static void client_text(struct MHD_Connection *connection, char text[NI_MAXHOST])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    socklen_t len = sizeof(struct sockaddr_in);

    (void)snprintf(text, NI_MAXHOST, "-");
    if (!info || !info->client_addr)
        return;
    if (info->client_addr->sa_family == AF_INET6)
        len = sizeof(struct sockaddr_in6);
    if (getnameinfo(info->client_addr, len, text, NI_MAXHOST, NULL, 0, NI_NUMERICHOST) != 0)
        (void)snprintf(text, NI_MAXHOST, "-");
}

static void log_request(const struct request *request, enum MHD_RequestTerminationCode code)
{
    struct serve_server *server = request->server;
    auto_free char *target = serve_log_target(request->target);
    char client[NI_MAXHOST];
    struct serve_log_entry entry = {
        .client = client,
        .user = request->login.user,
        .when = time(NULL),
        .method = request->method,
        .target = target,
        .version = request->version,
        .status = request->exchange.status,
        .bytes = request->exchange.is_head ? 0 : request->exchange.bytes,
        .agent = request->agent,
        .took_ms = mir_clock_now(server->clock) - request->began_ms,
        .is_broken_off = code != MHD_REQUEST_TERMINATED_COMPLETED_OK,
    };

    client_text(request->exchange.connection, client);
    if (server->log)
        serve_access_log_write(server->log, &entry);
    else
        mir_log(server->options.sink, MIR_LEVEL_INFO, "%s %s %.*s %u %" PRIu64 "%s", client,
                request->method, LOGGED_TARGET_MAX, target, entry.status, entry.bytes,
                entry.is_broken_off ? " (broken off)" : "");
}

void serve_request_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
                             enum MHD_RequestTerminationCode code)
{
    struct serve_server *server = ctx;
    struct request *request = *request_ctx;

    if (!request)
        return;
    if (request->exchange.status != 0)
        log_request(request, code);
    if (request->is_seen) {
        serve_guest_set_busy(server, connection, false);
        (void)atomic_fetch_sub(&server->active, 1);
    }
    serve_view_drop(request->view);
    serve_login_wipe(&request->login);
    free(request->agent);
    free(request->target);
    free(request);
    *request_ctx = NULL;
}
