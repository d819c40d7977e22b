/*
 * Connections, and how long they take over a request. The library closes those that are silent; one
 * that sends a byte now and then would stay for ever, and enough of them keep all others out.
 */
#include <sys/socket.h>

#include "base/mem.h"
#include "serve/server_priv.h"

#define REQUEST_MS                                                                                 \
    60000 /* from the connection, or the last answer, to the end of a request's head */

void serve_guests_init(struct serve_guests *guests)
{
    (void)pthread_mutex_init(&guests->lock, NULL);
}

void serve_guests_release(struct serve_guests *guests)
{
    (void)pthread_mutex_destroy(&guests->lock);
}

static struct serve_guest *guest_new(const struct serve_server *server,
                                     struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct serve_guest *guest = mir_alloc(sizeof(*guest));

    guest->fd = info ? info->connect_fd : -1;
    guest->since_ms = mir_clock_now(server->clock);
    return guest;
}

static void add(struct serve_guests *guests, struct serve_guest *guest)
{
    (void)pthread_mutex_lock(&guests->lock);
    guest->next = guests->first;
    if (guest->next)
        guest->next->previous = guest;
    guests->first = guest;
    (void)pthread_mutex_unlock(&guests->lock);
}

/* The library closes the descriptor after this. */
static void take_out(struct serve_guests *guests, struct serve_guest *guest)
{
    (void)pthread_mutex_lock(&guests->lock);
    if (guest->previous)
        guest->previous->next = guest->next;
    else
        guests->first = guest->next;
    if (guest->next)
        guest->next->previous = guest->previous;
    (void)pthread_mutex_unlock(&guests->lock);
}

void serve_guests_note(void *ctx, struct MHD_Connection *connection, void **guest,
                       enum MHD_ConnectionNotificationCode code)
{
    struct serve_server *server = ctx;

    switch (code) {
    case MHD_CONNECTION_NOTIFY_STARTED:
        *guest = guest_new(server, connection);
        add(&server->guests, *guest);
        break;
    case MHD_CONNECTION_NOTIFY_CLOSED:
        take_out(&server->guests, *guest);
        free(*guest);
        *guest = NULL;
        break;
    }
}

void serve_guest_set_busy(struct serve_server *server, struct MHD_Connection *connection,
                          bool is_busy)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct serve_guest *guest = info ? info->socket_context : NULL;

    if (!guest)
        return;
    (void)pthread_mutex_lock(&server->guests.lock);
    guest->is_busy = is_busy;
    guest->since_ms = mir_clock_now(server->clock);
    (void)pthread_mutex_unlock(&server->guests.lock);
}

void serve_guests_tick(struct serve_guests *guests, int64_t now_ms)
{
    (void)pthread_mutex_lock(&guests->lock);
    for (const struct serve_guest *guest = guests->first; guest; guest = guest->next)
        if (!guest->is_busy && now_ms - guest->since_ms > REQUEST_MS && guest->fd >= 0)
            (void)shutdown(guest->fd, SHUT_RDWR); /* the library sees that, and closes it */
    (void)pthread_mutex_unlock(&guests->lock);
}
