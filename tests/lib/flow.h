/*
 * The other end of a pipe, for tests: a thread that writes given bytes, or collects what is
 * written.
 *
 * Threads: one flow, one test; its thread is ended by flow_end().
 */
#ifndef TESTS_LIB_FLOW_H
#define TESTS_LIB_FLOW_H

#include <pthread.h>

#include "base/span.h"

struct flow {
    int fd;    /* the test's end */
    int other; /* the thread's */
    pthread_t thread;
    struct mir_span source; /* to be written */
    size_t piece;           /* bytes written at once */
    char *bytes;            /* collected */
    size_t len, limit;
};

/** Begin to write these bytes, piece by piece, and then close; flow->fd is to be read. The bytes
 * are borrowed. Who stops reading early ends it. */
void flow_feed(struct flow *flow, struct mir_span bytes, size_t piece);

/** Begin to collect what is written to flow->fd, at most limit bytes; then the reader is gone. */
void flow_collect(struct flow *flow, size_t limit);

/** Close the test's end and wait for the thread. What was collected stays until flow_release(). */
void flow_end(struct flow *flow);
void flow_release(struct flow *flow);

#endif
