/*
 * Bytes in and out of one connection of the scripted server, with or without TLS.
 */
#include "lib/server_priv.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

bool server_write(struct server_conn *conn, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        size_t part = len < (1u << 20) ? len : (1u << 20);
        ssize_t sent = conn->ssl ? SSL_write(conn->ssl, at, (int)part)
                                 : send(conn->fd, at, part, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

size_t server_read(struct server_conn *conn, void *data, size_t len)
{
    size_t part = len < (1u << 20) ? len : (1u << 20);
    ssize_t got = conn->ssl ? SSL_read(conn->ssl, data, (int)part) : recv(conn->fd, data, part, 0);

    return got > 0 ? (size_t)got : 0;
}

void server_reset(struct server_conn *conn)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    /* Without this TLS would say goodbye first. */
    if (conn->ssl)
        SSL_set_quiet_shutdown(conn->ssl, 1);
}

void server_await_close(struct server_conn *conn)
{
    char scrap[4096];

    while (recv(conn->fd, scrap, sizeof(scrap), 0) > 0)
        continue;
}

void server_await_hangup(struct server_conn *conn)
{
    struct pollfd fd = {.fd = conn->fd, .events = POLLRDHUP};

    while (poll(&fd, 1, -1) < 0 && errno == EINTR)
        continue;
}
