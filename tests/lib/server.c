/*
 * The scripted server: listening, the table of replies, the record of requests.
 *
 * Invariant: a request is complete before it is in the record, and never changes afterwards; so
 * what the main thread is handed needs no lock.
 */
#include "lib/server.h"

#include "lib/server_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "lib/certs.h"
#include "lib/scratch.h"

/* ---- the table ----------------------------------------------------------------------------- */

static bool path_fits(const char *pattern, const char *path)
{
    size_t len;

    if (!pattern)
        return true;
    len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return strncmp(pattern, path, len - 1) == 0;
    return strcmp(pattern, path) == 0;
}

static bool reply_fits(const struct server_reply *reply, const struct server_request *request)
{
    if (reply->method && strcmp(reply->method, request->method) != 0)
        return false;
    if (reply->needs && !strstr(request->headers, reply->needs))
        return false;
    if (reply->lacks && strstr(request->headers, reply->lacks))
        return false;
    return path_fits(reply->path, request->path);
}

const struct server_reply *server_choose(struct server *server, struct server_request *request)
{
    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->reply_count && !request->reply; i++) {
        const struct server_reply *reply = &server->replies[i];

        if ((reply->times > 0 && server->used[i] >= reply->times) || !reply_fits(reply, request))
            continue;
        server->used[i]++;
        request->reply = reply;
    }
    (void)pthread_mutex_unlock(&server->lock);
    return request->reply;
}

void server_record(struct server *server, struct server_request *request)
{
    (void)pthread_mutex_lock(&server->lock);
    if (server->request_count == SERVER_REQUESTS_MAX)
        scratch_die("the scripted server got too many requests");
    server->requests[server->request_count++] = request;
    (void)pthread_mutex_unlock(&server->lock);
}

void server_set_hook(struct server *server, const struct server_hook *hook)
{
    (void)pthread_mutex_lock(&server->lock);
    server->hook = *hook;
    (void)pthread_mutex_unlock(&server->lock);
}

void server_tell_hook(struct server *server, const struct server_request *request)
{
    struct server_hook hook;

    (void)pthread_mutex_lock(&server->lock);
    hook = server->hook;
    (void)pthread_mutex_unlock(&server->lock);
    if (hook.arrived)
        hook.arrived(hook.ctx, request);
}

char *server_fill(const struct server *server, const char *text)
{
    struct mir_buf out;
    const char *at;

    mir_buf_init(&out, 16u << 20);
    for (at = strstr(text, "{host}"); at; at = strstr(text, "{host}")) {
        mir_buf_add(&out, mir_span(text, (size_t)(at - text)));
        mir_buf_text(&out, server->host);
        text = at + strlen("{host}");
    }
    mir_buf_text(&out, text);
    return mir_buf_take(&out);
}

/* ---- questions ----------------------------------------------------------------------------- */

static bool is_kind(const struct server_request *request, const char *method, const char *path)
{
    return (!method || strcmp(method, request->method) == 0) && path_fits(path, request->path);
}

size_t server_count(struct server *server, const char *method, const char *path)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->request_count; i++)
        count += is_kind(server->requests[i], method, path);
    (void)pthread_mutex_unlock(&server->lock);
    return count;
}

const struct server_request *server_request(struct server *server, const char *method,
                                            const char *path, size_t n)
{
    const struct server_request *found = NULL;

    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->request_count && !found; i++) {
        if (is_kind(server->requests[i], method, path) && n-- == 0)
            found = server->requests[i];
    }
    (void)pthread_mutex_unlock(&server->lock);
    return found;
}

size_t server_connections(struct server *server)
{
    size_t count;

    (void)pthread_mutex_lock(&server->lock);
    count = server->conn_count;
    (void)pthread_mutex_unlock(&server->lock);
    return count;
}

char *server_header(const struct server_request *request, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = request->headers; *line;) {
        size_t end = strcspn(line, "\r");

        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            struct mir_span value = mir_span_trim(mir_span_from(mir_span(line, end), len + 1));

            return mir_strndup(value.ptr, value.len);
        }
        line += end;
        line += strspn(line, "\r\n");
    }
    return NULL;
}

static bool request_has(const struct server_request *request, const char *text)
{
    return strstr(request->path, text) || strstr(request->headers, text) ||
           (request->body && memmem(request->body, request->body_len, text, strlen(text)));
}

bool server_was_told(struct server *server, const char *text)
{
    bool told = false;

    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->request_count && !told; i++)
        told = request_has(server->requests[i], text);
    (void)pthread_mutex_unlock(&server->lock);
    return told;
}

/* ---- listening ----------------------------------------------------------------------------- */

static void add_conn(struct server *server, int fd)
{
    const int on = 1;
    struct server_conn *conn;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)pthread_mutex_lock(&server->lock);
    if (server->stopping || server->conn_count == SERVER_CONNS_MAX) {
        (void)close(fd);
        (void)pthread_mutex_unlock(&server->lock);
        return;
    }
    conn = mir_alloc(sizeof(*conn));
    conn->server = server;
    conn->fd = fd;
    if (server->tls) {
        conn->ssl = SSL_new(server->tls);
        (void)SSL_set_fd(conn->ssl, fd);
    }
    server->conns[server->conn_count++] = conn;
    if (pthread_create(&conn->thread, NULL, server_conn_main, conn) != 0)
        scratch_die("no thread for the scripted server");
    (void)pthread_mutex_unlock(&server->lock);
}

static void *listen_main(void *ctx)
{
    struct server *server = ctx;

    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            add_conn(server, fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return NULL;
    }
}

static void open_listener(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listener < 0 ||
        bind(server->listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, 128) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &len) != 0)
        scratch_die("the scripted server finds no port: %s", strerror(errno));
    (void)snprintf(server->host, sizeof(server->host), "127.0.0.1:%u", ntohs(address.sin_port));
    (void)snprintf(server->url, sizeof(server->url), "%s://%s", server->tls ? "https" : "http",
                   server->host);
}

static struct server *start(const struct server_reply *replies, size_t count, SSL_CTX *tls)
{
    struct server *server = mir_alloc(sizeof(*server));

    server->replies = replies;
    server->reply_count = count;
    server->used = mir_alloc_array(count + 1, sizeof(*server->used));
    server->tls = tls;
    (void)pthread_mutex_init(&server->lock, NULL);
    open_listener(server);
    if (pthread_create(&server->thread, NULL, listen_main, server) != 0)
        scratch_die("no thread for the scripted server");
    return server;
}

struct server *server_start(const struct server_reply *replies, size_t count)
{
    return start(replies, count, NULL);
}

struct server *server_start_tls(const struct server_reply *replies, size_t count,
                                const struct server_identity *identity)
{
    return start(replies, count, server_identity_context(identity));
}

static void request_free(struct server_request *request)
{
    free(request->method);
    free(request->path);
    free(request->headers);
    free(request->body);
    free(request);
}

static void stop_conns(struct server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->stopping = true;
    for (size_t i = 0; i < server->conn_count; i++) {
        if (server->conns[i]->fd >= 0)
            (void)shutdown(server->conns[i]->fd, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < server->conn_count; i++)
        (void)pthread_join(server->conns[i]->thread, NULL);
}

void server_finish(struct server *server)
{
    if (server->listener < 0)
        return;
    (void)shutdown(server->listener, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->listener);
    server->listener = -1;
    stop_conns(server);
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    server_finish(server);
    for (size_t i = 0; i < server->conn_count; i++)
        free(server->conns[i]);
    for (size_t i = 0; i < server->request_count; i++)
        request_free(server->requests[i]);
    SSL_CTX_free(server->tls);
    (void)pthread_mutex_destroy(&server->lock);
    free(server->used);
    free(server);
}

void server_auto_stop(struct server **server)
{
    server_stop(*server);
}

const char *server_host(const struct server *server)
{
    return server->host;
}

const char *server_url(const struct server *server)
{
    return server->url;
}
