/*
 * The server's parts as its callbacks see them. Private to server.c, request.c and guests.c.
 */
#ifndef SERVE_SERVER_PRIV_H
#define SERVE_SERVER_PRIV_H

#include <stdatomic.h>
#include <stdio.h>

#include <microhttpd.h>

#include "serve/access_log_priv.h"
#include "serve/desk_priv.h"
#include "serve/listen_priv.h"
#include "serve/serve.h"
#include "serve/view_priv.h"

#define SERVE_ADDRESS_TEXT_MAX (SERVE_HOST_MAX + 16)

/* A connection. */
struct serve_guest {
    struct serve_guest *next, *previous;
    int fd;
    int64_t since_ms; /* it has to bring a whole request */
    bool is_busy;     /* it has */
};

/* All connections that are open. */
struct serve_guests {
    pthread_mutex_t lock;
    struct serve_guest *first;
};

struct serve_server {
    struct serve_options options;
    const struct mir_clock *clock;
    struct MHD_Daemon *daemon;
    struct serve_access_log *log; /* or NULL */
    struct serve_desk *passwords, *hashes;
    struct mir_cancel hashing; /* ends what is under way at the second desk */
    struct serve_guests guests;
    atomic_size_t active; /* requests that are being answered */
    atomic_bool is_finishing;
    uint16_t port;
    char address[SERVE_ADDRESS_TEXT_MAX];

    pthread_mutex_t lock; /* for what follows */
    struct serve_view *view;
    char library_text[256]; /* what the HTTP library said last */
};

/** The view of this moment, held for the caller. */
struct serve_view *serve_server_view(struct serve_server *server);

/* ---- callbacks of the HTTP library (request.c, guests.c); ctx is the server ---- */

void *serve_request_begin(void *ctx, const char *target, struct MHD_Connection *connection);
enum MHD_Result serve_request_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *upload,
                                     size_t *upload_bytes, void **request_ctx);
void serve_request_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
                             enum MHD_RequestTerminationCode code);
void serve_guests_note(void *ctx, struct MHD_Connection *connection, void **guest,
                       enum MHD_ConnectionNotificationCode code);

/* ---- connections (guests.c) ---- */

void serve_guests_init(struct serve_guests *guests);
void serve_guests_release(struct serve_guests *guests);
/** Its request is there, or answered. */
void serve_guest_set_busy(struct serve_server *server, struct MHD_Connection *connection,
                          bool is_busy);
/** Cut those that have kept us waiting. */
void serve_guests_tick(struct serve_guests *guests, int64_t now_ms);

#endif
