/*
 * httpproxy [OPTIONS]: an HTTP proxy on a loopback port the system picks, for plain requests and
 * for tunnels (CONNECT). Prints "listening on 127.0.0.1:PORT"; ends on SIGTERM, and when the
 * process that started it does.
 *
 *   --map NAME:PORT=HOST:PORT  where a host is; may be given often. Names that nobody else can
 *                              resolve prove that a request came this way. Anything else gets 403.
 *   --auth USER:PASS           Basic, or 407
 *   --log FILE                 a line for each request:
 *                              STATUS METHOD TARGET name,name,... (its headers, in lower case)
 *
 * A thread for each connection, one request a connection: the server is told to close, so where an
 * answer ends is for it to show. Values of headers are never written down.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"

#define HEAD_MAX   (64u << 10)
#define MAPS_MAX   16
#define PIECE_MAX  (64u << 10)
#define TARGET_MAX 4096

struct map {
    char *name; /* NAME:PORT */
    struct sockaddr_in to;
};

struct proxy {
    struct map maps[MAPS_MAX];
    size_t map_count;
    char *authorization; /* "Basic ..."; NULL: everybody may */
    int log;             /* -1: none */
};

/* Set before the first thread begins. */
static struct proxy proxy = {.log = -1};

struct request {
    struct mir_buf head; /* up to and with the empty line, then what came after it */
    size_t head_len;
    char *method;
    char *target;
    char *authorization; /* Proxy-Authorization, or NULL */
    struct mir_buf names;
    struct mir_buf passed; /* the header lines a server may see */
};

static void request_release(struct request *request)
{
    mir_buf_release(&request->head);
    mir_buf_release(&request->names);
    mir_buf_release(&request->passed);
    free(request->method);
    free(request->target);
    free(request->authorization);
}
#define auto_request __attribute__((cleanup(request_release))) struct request

/* ---- bytes ---- */

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool send_text(int fd, const char *text)
{
    return send_all(fd, text, strlen(text));
}

/* What one side says goes to the other, until both have said it all or one is gone. */
static void splice_both(int a, int b)
{
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    auto_free char *piece = mir_alloc(PIECE_MAX);

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0)
            return;
        for (int i = 0; i < 2; i++) {
            int to = i == 0 ? b : a;
            ssize_t got;

            if (fds[i].fd < 0 || fds[i].revents == 0)
                continue;
            got = recv(fds[i].fd, piece, PIECE_MAX, 0);
            if (got < 0 || (got > 0 && !send_all(to, piece, (size_t)got)))
                return;
            if (got == 0) {
                (void)shutdown(to, SHUT_WR);
                fds[i].fd = -1;
            }
        }
    }
}

/* ---- requests ---- */

/* Lines for the next hop alone stay here. */
static bool is_for_us(const char *name)
{
    return mir_starts_with(name, "proxy-") || strcmp(name, "connection") == 0;
}

static void take_line(struct request *request, struct mir_span line)
{
    auto_free char *name = NULL;
    struct mir_span value;
    size_t at;

    if (!mir_span_find(line, ':', &at))
        return;
    name = mir_strndup(line.ptr, at);
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    mir_buf_printf(&request->names, "%s%s", request->names.len > 0 ? "," : "", name);
    value = mir_span_trim(mir_span_from(line, at + 1));
    if (strcmp(name, "proxy-authorization") == 0 && !request->authorization)
        request->authorization = mir_strndup(value.ptr, value.len);
    if (!is_for_us(name))
        mir_buf_printf(&request->passed, "%.*s\r\n", MIR_SPAN_ARG(line));
}

static bool read_head(int fd, struct request *request)
{
    for (;;) {
        char piece[4096];
        ssize_t got = recv(fd, piece, sizeof(piece), 0);
        const char *end;

        if (got <= 0 || request->head.len + (size_t)got > HEAD_MAX)
            return false;
        mir_buf_add(&request->head, mir_span(piece, (size_t)got));
        end = strstr(request->head.ptr, "\r\n\r\n");
        if (end) {
            request->head_len = (size_t)(end - request->head.ptr) + 4;
            return true;
        }
    }
}

static bool parse_head(struct request *request)
{
    struct mir_span rest = mir_span(request->head.ptr, request->head_len);
    struct mir_span line;
    struct mir_span word;

    if (!mir_span_next(&rest, '\n', &line) || !mir_span_next(&line, ' ', &word))
        return false;
    request->method = mir_strndup(word.ptr, word.len);
    if (!mir_span_next(&line, ' ', &word) || word.len > TARGET_MAX)
        return false;
    request->target = mir_strndup(word.ptr, word.len);
    while (mir_span_next(&rest, '\n', &line)) {
        line = mir_span_trim(line);
        if (line.len > 0)
            take_line(request, line);
    }
    return true;
}

static void note(const struct request *request, int status)
{
    auto_free char *line =
        mir_format("%d %s %s %s\n", status, request->method, request->target, request->names.ptr);

    if (proxy.log >= 0 && write(proxy.log, line, strlen(line)) < 0)
        perror("httpproxy: log");
}

static void refuse(int fd, const struct request *request, int status, const char *lines)
{
    auto_free char *answer =
        mir_format("HTTP/1.1 %d Refused\r\nContent-Length: 8\r\nContent-Type: text/plain\r\n"
                   "Connection: close\r\n%s\r\nthe way\n",
                   status, lines);

    note(request, status);
    (void)send_text(fd, answer);
}

/* A connection to where NAME[:PORT] is; -1: it is not in the table, -2: nobody there. */
static int connect_to(struct mir_span host, const char *default_port)
{
    auto_free char *name =
        mir_format("%.*s%s%s", MIR_SPAN_ARG(host), memchr(host.ptr, ':', host.len) ? "" : ":",
                   memchr(host.ptr, ':', host.len) ? "" : default_port);

    for (size_t i = 0; i < proxy.map_count; i++) {
        int fd;

        if (strcasecmp(proxy.maps[i].name, name) != 0)
            continue;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 &&
            connect(fd, (const struct sockaddr *)&proxy.maps[i].to, sizeof(proxy.maps[i].to)) == 0)
            return fd;
        if (fd >= 0)
            (void)close(fd);
        return -2;
    }
    return -1;
}

/* The connection, or -1 after a refusal. */
static int reach(int client, const struct request *request, struct mir_span host,
                 const char *default_port)
{
    int server = connect_to(host, default_port);

    if (server < 0)
        refuse(client, request, server == -1 ? 403 : 502, "");
    return server < 0 ? -1 : server;
}

static void pass_on(int client, int server, const struct request *request)
{
    if (send_all(server, request->head.ptr + request->head_len,
                 request->head.len - request->head_len))
        splice_both(client, server);
    (void)close(server);
}

static void serve_tunnel(int client, const struct request *request)
{
    int server = reach(client, request, mir_span_of(request->target), "443");

    if (server < 0)
        return;
    note(request, 200);
    if (send_text(client, "HTTP/1.1 200 Connected\r\n\r\n"))
        pass_on(client, server, request);
    else
        (void)close(server);
}

static void serve_plain(int client, const struct request *request)
{
    const char *host = request->target + strlen("http://");
    size_t host_len;
    auto_free char *head = NULL;
    int server;

    if (!mir_starts_with(request->target, "http://")) {
        refuse(client, request, 400, "");
        return;
    }
    host_len = strcspn(host, "/?");
    server = reach(client, request, mir_span(host, host_len), "80");
    if (server < 0)
        return;
    note(request, 200);
    head = mir_format("%s %s%s HTTP/1.1\r\n%sConnection: close\r\n\r\n", request->method,
                      host[host_len] == '/' ? "" : "/", host + host_len, request->passed.ptr);
    if (send_text(server, head))
        pass_on(client, server, request);
    else
        (void)close(server);
}

static void *serve(void *ctx)
{
    auto_close int client = (int)(intptr_t)ctx;
    auto_request request = {.method = NULL};

    mir_buf_init(&request.head, 2 * HEAD_MAX);
    mir_buf_init(&request.names, HEAD_MAX);
    mir_buf_init(&request.passed, 2 * HEAD_MAX);
    if (!read_head(client, &request) || !parse_head(&request))
        return NULL;
    if (proxy.authorization &&
        (!request.authorization || strcmp(request.authorization, proxy.authorization) != 0))
        refuse(client, &request, 407, "Proxy-Authenticate: Basic realm=\"proxy\"\r\n");
    else if (strcmp(request.method, "CONNECT") == 0)
        serve_tunnel(client, &request);
    else
        serve_plain(client, &request);
    return NULL;
}

/* ---- the command line ---- */

/* "NAME:PORT=HOST:PORT" */
static bool parse_map(const char *text)
{
    struct map *map = &proxy.maps[proxy.map_count];
    const char *equal = strchr(text, '=');
    const char *colon = equal ? strrchr(equal, ':') : NULL;
    auto_free char *host = NULL;
    uint64_t port;

    if (!colon || proxy.map_count == MAPS_MAX ||
        !mir_parse_u64(mir_span_of(colon + 1), UINT16_MAX, &port))
        return false;
    host = mir_strndup(equal + 1, (size_t)(colon - equal - 1));
    map->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &map->to.sin_addr) != 1)
        return false;
    map->name = mir_strndup(text, (size_t)(equal - text));
    proxy.map_count++;
    return true;
}

static bool parse_option(const char *name, const char *value)
{
    if (strcmp(name, "--map") == 0)
        return parse_map(value);
    if (strcmp(name, "--auth") == 0) {
        auto_free char *code = mir_base64_encode(mir_span_of(value));

        proxy.authorization = mir_format("Basic %s", code);
        return true;
    }
    if (strcmp(name, "--log") != 0)
        return false;
    proxy.log = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return proxy.log >= 0;
}

/* Its port, or 0. */
static unsigned listen_somewhere(int *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);

    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*listener < 0 || bind(*listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(*listener, 128) != 0 ||
        getsockname(*listener, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.sin_port);
}

int main(int argc, char **argv)
{
    int listener = -1;
    unsigned port;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc || !parse_option(argv[i], argv[i + 1])) {
            (void)fprintf(stderr, "httpproxy: %s is not an option\n", argv[i]);
            return 2;
        }
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)signal(SIGPIPE, SIG_IGN);
    port = listen_somewhere(&listener);
    if (port == 0) {
        perror("httpproxy");
        return 1;
    }
    (void)printf("listening on 127.0.0.1:%u\n", port);
    (void)fflush(stdout);
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;

        if (client < 0)
            continue;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) != 0)
            (void)close(client);
        else
            (void)pthread_detach(thread);
    }
}
