/*
 * A scripted HTTP server on a loopback port the system picks: where failure is rehearsed. A test
 * gives it a table of replies, talks to it, and asks afterwards what it was sent. Nothing is
 * asserted in its threads.
 *
 * Threads: start, stop and the questions belong to the main thread; replies may be shared by
 * connections and are counted under a lock.
 */
#ifndef TESTS_LIB_SERVER_H
#define TESTS_LIB_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/span.h"

enum server_fault {
    SERVER_FAULT_NONE,
    SERVER_FAULT_CUT,      /* closes after fault_at bytes of the body; Content-Length is true */
    SERVER_FAULT_RESET,    /* the same with a TCP reset */
    SERVER_FAULT_STALL,    /* sends fault_at bytes, then nothing until the client goes away */
    SERVER_FAULT_ENDLESS,  /* the body, chunked, again and again until the client goes away */
    SERVER_FAULT_LENGTH,   /* Content-Length is fault_at, whatever the body */
    SERVER_FAULT_UNMARKED, /* no Content-Length: the body ends where the connection does */
    SERVER_FAULT_SILENCE,  /* takes the request, closes without an answer */
    SERVER_FAULT_HANG_UP,  /* resets after fault_at bytes of the request's body */
    SERVER_FAULT_CLOG,     /* reads fault_at bytes of the request's body, and no more */
    SERVER_FAULT_EARLY,    /* answers before the request's body, then reads on to its end */
    SERVER_FAULT_LINGER,   /* no Content-Length, the whole body, and then it does not close */
    SERVER_FAULT_DRIP,     /* the body byte by byte, one every fault_at milliseconds */
    SERVER_FAULT_DRIP_ALL, /* the same from the status line on */
    SERVER_FAULT_RAW,      /* the body is the whole answer, status line and all; then it closes */
};

/* The first row that fits a request and is not used up answers it. "{host}" in headers and body
 * stands for the server's own HOST:PORT. */
struct server_reply {
    const char *method; /* NULL: any */
    const char *path;   /* with its query; a final '*' takes any rest; NULL: any */
    const char *needs;  /* text that has to occur in the request's header lines; NULL: none */
    const char *lacks;  /* text that must not occur there; NULL: none */
    unsigned times;     /* how often it may be used; 0: always */
    int status;
    const char *headers; /* whole lines, each ended by "\r\n"; NULL: none */
    const void *body;    /* body_len bytes, or text when body_len is 0; NULL: empty */
    size_t body_len;
    bool ranges; /* honours "Range: bytes=N-" with a 206 */
    enum server_fault fault;
    uint64_t fault_at;
    struct mir_cancel *cancel; /* set once the part of the body before the fault is sent */
};

struct server;
struct server_request;
struct server_identity; /* certs.h */

/** The table is borrowed until server_stop(). Requests that fit no row get 418. Ends the program
 * when no port can be had. */
struct server *server_start(const struct server_reply *replies, size_t count);
/** The same over TLS. */
struct server *server_start_tls(const struct server_reply *replies, size_t count,
                                const struct server_identity *identity);
/* Called in a connection's thread once a request is complete and recorded, before its answer
 * begins. May block: the answer waits for it. */
struct server_hook {
    void (*arrived)(void *ctx, const struct server_request *request);
    void *ctx;
};
/** Before the first request; hook is copied. */
void server_set_hook(struct server *server, const struct server_hook *hook);

/** End its threads and keep its record, which is complete from here on. */
void server_finish(struct server *server);
void server_stop(struct server *server);
void server_auto_stop(struct server **server);
#define auto_server __attribute__((cleanup(server_auto_stop))) struct server

/** "127.0.0.1:PORT"; borrowed. */
const char *server_host(const struct server *server);
/** "http://127.0.0.1:PORT" or https; borrowed. */
const char *server_url(const struct server *server);

/* One request, as it came. */
struct server_request {
    char *method;
    char *path;
    char *headers; /* the lines, with "\r\n" */
    char *body;    /* body_len bytes, NUL after the last */
    size_t body_len;
    const struct server_reply *reply; /* NULL: unscripted */
};

/** How many requests of a method (NULL: any) to a path (as in the table; NULL: any) came. */
size_t server_count(struct server *server, const char *method, const char *path);
/** The n-th request of a kind; NULL when there is none. Borrowed until server_stop(). */
const struct server_request *server_request(struct server *server, const char *method,
                                            const char *path, size_t n);
/** How many connections were made, handshakes included. */
size_t server_connections(struct server *server);
/** A header's value, or NULL; the caller frees. */
char *server_header(const struct server_request *request, const char *name);
/** Does any byte that was sent to the server contain the text? */
bool server_was_told(struct server *server, const char *text);

#endif
