/*
 * Requests answered: from a route and some headers to a response of libmicrohttpd.
 */
#ifndef SERVE_ANSWER_PRIV_H
#define SERVE_ANSWER_PRIV_H

#include "serve/catalog_priv.h"
#include "serve/route_priv.h"

struct MHD_Connection;

/* What an answer is made from, and what the log says of it. */
struct serve_exchange {
    const struct serve_catalog *catalog;
    const char *prefix; /* of all repositories, or NULL */
    enum serve_verify verify;
    const struct mir_sink *sink;
    struct MHD_Connection *connection;
    bool is_head;
    bool was_hashed;              /* what was wanted the last time has been hashed: not again */
    struct serve_content *wanted; /* no answer was queued: hash this first, then ask again */
    unsigned status;              /* once queued */
    uint64_t bytes;               /* of the body; of a HEAD, what a GET would send */
};

/** Queue what the route asks for, or the reason why not, or set wanted. False: the connection has
 * to be closed. */
bool serve_answer_route(struct serve_exchange *exchange, const struct serve_route *route);
bool serve_answer_problem(struct serve_exchange *exchange, enum serve_problem problem);

#endif
