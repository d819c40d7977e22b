/*
 * Which disturbance comes when, drawn from a seed. Moments are counts of bytes and requests of one
 * connection, never times, so that a seed means the same again as far as the client does the same.
 *
 * Threads: plain values; the count of what happened belongs to one thread.
 */
#ifndef TESTS_LIB_CHAOS_H
#define TESTS_LIB_CHAOS_H

#include <stdbool.h>
#include <stdint.h>

/* What can happen to a connection, and to a request. */
enum chaos_kind {
    CHAOS_NONE,
    /* at some byte of a direction */
    CHAOS_CUT,    /* end of stream, both ways */
    CHAOS_RESET,  /* a TCP reset, both ways */
    CHAOS_STALL,  /* what follows is late */
    CHAOS_FLIP,   /* the next byte of a body, or of TLS, has a wrong bit */
    CHAOS_FREEZE, /* nothing follows, ever */
    /* at the beginning of a connection */
    CHAOS_REFUSE, /* cut or reset before a byte, or within the first few hundred */
    /* at a request */
    CHAOS_ANSWER,  /* the proxy refuses it with 429 or 5xx; the upstream never sees it */
    CHAOS_LOSE,    /* the upstream does it, and the connection ends before the answer */
    CHAOS_REPLACE, /* the upstream does it, and the answer becomes a 502 */
    CHAOS_KINDS,
};
/** "cut", "reset", ...; static storage. */
const char *chaos_name(enum chaos_kind kind);

struct chaos_options {
    uint64_t seed;
    uint64_t every;    /* bytes of a direction between two disturbances, on average */
    unsigned answers;  /* of 1000 requests */
    unsigned losses;   /* of 1000 requests, and as many again are replaced */
    unsigned refusals; /* of 1000 connections */
    unsigned freezes;  /* of 1000 disturbances at a byte */
    uint64_t stall_ms; /* the longest */
    uint64_t limit;    /* disturbances altogether; after that there is peace */
    bool allowed[CHAOS_KINDS];
};

struct chaos {
    struct chaos_options options;
    uint64_t happened[CHAOS_KINDS];
    uint64_t total;
};

/* One connection. */
struct chaos_conn {
    uint64_t state;
    uint64_t left[2]; /* bytes until the next disturbance, per direction */
    bool refuse_next; /* the first one ends it */
};

/** Everything is allowed but freezing; moderate figures. */
void chaos_init(struct chaos *chaos, uint64_t seed);
/** "cut,flip": these alone. False: no such kind. */
bool chaos_allow(struct chaos *chaos, const char *kinds);

/** The number-th connection. */
void chaos_conn_init(struct chaos_conn *conn, const struct chaos *chaos, uint64_t number);
/** 0 to below - 1; 0 when below is 0. */
uint64_t chaos_draw(struct chaos_conn *conn, uint64_t below);
/** left[direction] came to 0: what happens now. Counts it, and sets left anew. */
enum chaos_kind chaos_strike(struct chaos *chaos, struct chaos_conn *conn, unsigned direction);
/** What happens to a request that begins now; counted. */
enum chaos_kind chaos_request(struct chaos *chaos, struct chaos_conn *conn);

#endif
