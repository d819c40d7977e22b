/*
 * How whoever shares out work listens to a connection while it works: what it moves, what it is
 * told, and when it has to wait. Filled in by src/copy, called by src/http.
 *
 * Threads: a watch is called by the thread of its connection; a meter may be read from any.
 */
#ifndef BASE_WATCH_H
#define BASE_WATCH_H

#include <stdatomic.h>
#include <stdint.h>

/* What came and went; only grows. */
struct mir_meter {
    atomic_uint_least64_t bytes;   /* of bodies, either way */
    atomic_uint_least64_t answers; /* requests that were answered, whatever the status */
};

struct mir_watch {
    struct mir_meter *meter; /* NULL: nothing is counted */
    /* Before each try of a request: for how many ms must nothing be asked? Asked again after the
     * wait. NULL: never. */
    int64_t (*hold)(void *ctx);
    /* The server asks for less (429, 503); after_ms is what its Retry-After says, 0 without. */
    void (*pushed_back)(void *ctx, int status, int64_t after_ms);
    void *ctx;
};

#endif
