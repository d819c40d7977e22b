/*
 * The server: a socket, a few threads of libmicrohttpd, and the catalog they read. Nothing changes
 * after the start, so the threads share everything and lock nothing.
 *
 * A request passes through three callbacks: note_target() keeps the URL as it was sent, access()
 * answers, completed() writes the log line. What belongs to one request lives in struct request.
 */
#include "serve/serve.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>

#include <microhttpd.h>

#include "base/mem.h"
#include "serve/answer_priv.h"
#include "serve/catalog_priv.h"
#include "serve/content_priv.h"
#include "serve/listen_priv.h"

#define THREADS          4
#define CONNECTIONS_MAX  400         /* each may hold two descriptors; 1024 is a usual limit */
#define IDLE_SECONDS     60          /* a connection without progress is closed */
#define CONNECTION_BYTES (32 * 1024) /* headers of a request; more is refused with 431 */
#define TARGET_SHOWN_MAX 400         /* of a URL, in the log */
#define ADDRESS_TEXT_MAX (SERVE_HOST_MAX + 16)

struct serve_server {
    struct serve_catalog *catalog;
    struct MHD_Daemon *daemon;
    const struct mir_sink *sink;
    uint16_t port;
    char address[ADDRESS_TEXT_MAX];
};

struct request {
    struct serve_exchange exchange;
    char *target;
    char method[16];
    bool is_seen; /* access() was called for it */
};

/* ---- one request ---- */

static void *note_target(void *ctx, const char *target, struct MHD_Connection *connection)
{
    const struct serve_server *server = ctx;
    struct request *request = mir_alloc(sizeof(*request));

    request->exchange.catalog = server->catalog;
    request->exchange.sink = server->sink;
    request->exchange.connection = connection;
    request->target = mir_strdup(target);
    return request;
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return true;
    return length && strcmp(length, "0") != 0;
}

static bool answer(struct request *request)
{
    struct serve_route route;
    enum serve_problem problem;

    if (!serve_route_parse(mir_span_of(request->target), &route, &problem))
        return serve_answer_problem(&request->exchange, problem);
    return serve_answer_route(&request->exchange, &route);
}

/* Called once when the headers are there, and again when the (empty) body is. Answering at the
 * second call keeps the connection; answering at the first closes it, which is what a request with
 * a body gets: nobody reads that body. */
static enum MHD_Result access_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload,
                                      size_t *upload_bytes, void **request_ctx)
{
    struct request *request = *request_ctx;
    bool is_read =
        strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    bool ok = true;

    (void)ctx;
    (void)url; /* decoded by the library; request->target is what was sent */
    (void)version;
    (void)upload;
    (void)upload_bytes;
    if (!request->is_seen) {
        request->is_seen = true;
        (void)snprintf(request->method, sizeof(request->method), "%s", method);
        if (!is_read)
            ok = serve_answer_problem(&request->exchange, SERVE_PROBLEM_METHOD);
        else if (has_body(connection))
            ok = serve_answer_problem(&request->exchange, SERVE_PROBLEM_BODY);
    } else {
        ok = answer(request);
    }
    return ok ? MHD_YES : MHD_NO;
}

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

static void completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
                      enum MHD_RequestTerminationCode code)
{
    const struct serve_server *server = ctx;
    struct request *request = *request_ctx;
    char client[NI_MAXHOST];

    if (!request)
        return;
    client_text(connection, client);
    if (request->exchange.status != 0)
        mir_log(server->sink, MIR_LEVEL_INFO, "%s %s %.*s %u %" PRIu64 "%s", client,
                request->method, TARGET_SHOWN_MAX, request->target, request->exchange.status,
                request->exchange.bytes,
                code == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : " (broken off)");
    free(request->target);
    free(request);
    *request_ctx = NULL;
}

/* ---- the daemon ---- */

static void library_log(void *ctx, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void library_log(void *ctx, const char *fmt, va_list args)
{
    const struct serve_server *server = ctx;
    char line[256];
    int len = vsnprintf(line, sizeof(line), fmt, args);

    if (len > 0)
        mir_log(server->sink, MIR_LEVEL_DEBUG, "http: %s", line);
}

/* Takes fd on success; on failure the caller still has it. */
static bool start_daemon(struct serve_server *server, int fd, struct mir_error *err)
{
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, access_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, library_log, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_URI_LOG_CALLBACK,
        note_target, server, MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_END);
    if (!server->daemon)
        return mir_fail(err, MIR_E_IO, "the HTTP server does not start");
    return true;
}

static void name_address(struct serve_server *server, const struct serve_address *address)
{
    bool is_ipv6 = strchr(address->host, ':') != NULL;

    (void)snprintf(server->address, sizeof(server->address), "%s%s%s:%u", is_ipv6 ? "[" : "",
                   address->host[0] ? address->host : "0.0.0.0", is_ipv6 ? "]" : "",
                   (unsigned)server->port);
}

bool serve_check_listen(const char *listen, struct mir_error *err)
{
    struct serve_address ignored;

    return serve_address_parse(listen, &ignored, err);
}

static bool open_server(struct serve_server *server, const struct serve_options *options,
                        struct mir_error *err)
{
    struct serve_address address;
    auto_close int fd = -1;

    if (!serve_address_parse(options->listen, &address, err) ||
        !serve_listen(&address, &fd, &server->port, err) ||
        !serve_catalog_new(options->readers, options->reader_count, options->sink, options->cancel,
                           &server->catalog, err) ||
        !start_daemon(server, fd, err))
        return false;
    (void)mir_steal_fd(&fd); /* the daemon closes it */
    name_address(server, &address);
    return true;
}

bool serve_start(const struct serve_options *options, struct serve_server **out,
                 struct mir_error *err)
{
    struct serve_server *server = mir_alloc(sizeof(*server));

    server->sink = options->sink;
    if (!open_server(server, options, err)) {
        serve_stop(server);
        return false;
    }
    serve_warn_of_bases(options->readers, options->reader_count, options->sink);
    *out = server;
    return true;
}

const char *serve_address(const struct serve_server *server)
{
    return server->address;
}

uint16_t serve_port(const struct serve_server *server)
{
    return server->port;
}

size_t serve_repo_count(const struct serve_server *server)
{
    return serve_catalog_repos(server->catalog)->count;
}

void serve_stop(struct serve_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    serve_catalog_free(server->catalog);
    free(server);
}
