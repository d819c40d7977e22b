/*
 * Addresses to listen on, read and opened.
 */
#include "serve/listen_priv.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"

#define BACKLOG 1024 /* clients that wait for a connection; the system may allow fewer */

static bool bad_address(const char *text, struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_USAGE, "'%s' is not an address to listen on", text);
    return mir_hint(err, "write ADDR:PORT, for example 127.0.0.1:5000");
}

bool serve_address_parse(const char *text, struct serve_address *out, struct mir_error *err)
{
    struct mir_span host = mir_span_of(text), inner;
    uint64_t port;
    size_t colon;

    if (!mir_span_find_last(host, ':', &colon) ||
        !mir_parse_u64(mir_span_from(host, colon + 1), UINT16_MAX, &port))
        return bad_address(text, err);
    host = mir_span_first(host, colon);
    inner = host;
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        inner = mir_span(host.ptr + 1, host.len - 2);
    else if (mir_span_find(host, ':', &colon))
        return bad_address(text, err); /* IPv6 without brackets */
    if (inner.len >= SERVE_HOST_MAX)
        return bad_address(text, err);
    *out = (struct serve_address){.port = (uint16_t)port};
    memcpy(out->host, inner.ptr, inner.len);
    return true;
}

static void free_addresses(struct addrinfo **found)
{
    if (*found)
        freeaddrinfo(*found);
}

static bool taken(struct mir_error *err)
{
    (void)mir_fail_errno(err, "cannot be listened on");
    return mir_hint(err, "choose another address or port with --listen; port 0 picks a free one");
}

/* A socket bound to one of the addresses a name has. */
static bool open_socket(const struct addrinfo *found, int *fd, struct mir_error *err)
{
    auto_close int opened = socket(
        found->ai_family, found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, found->ai_protocol);
    int on = 1;

    if (opened < 0)
        return mir_fail_errno(err, "open a socket");
    if (setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(opened, found->ai_addr, found->ai_addrlen) != 0)
        return taken(err);
    *fd = mir_steal_fd(&opened);
    return true;
}

static bool port_of(int fd, uint16_t *port, struct mir_error *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound;
    socklen_t len = sizeof(bound);

    memset(&bound, 0, sizeof(bound));
    if (getsockname(fd, &bound.any, &len) != 0)
        return mir_fail_errno(err, "ask for the port");
    *port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    return true;
}

bool serve_listen_begin(int fd, struct mir_error *err)
{
    return listen(fd, BACKLOG) == 0 || taken(err);
}

bool serve_listen(const struct serve_address *address, int *fd, uint16_t *port,
                  struct mir_error *err)
{
    static const struct addrinfo wanted = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    __attribute__((cleanup(free_addresses))) struct addrinfo *found = NULL;
    auto_close int opened = -1;
    char service[8];
    int status;

    (void)snprintf(service, sizeof(service), "%u", (unsigned)address->port);
    status = getaddrinfo(address->host[0] ? address->host : "0.0.0.0", service, &wanted, &found);
    if (status != 0)
        return mir_fail(err, MIR_E_USAGE, "%s: %s", address->host, gai_strerror(status));
    if (!open_socket(found, &opened, err) || !port_of(opened, port, err))
        return mir_context(err, "%s:%s", address->host, service);
    *fd = mir_steal_fd(&opened);
    return true;
}
