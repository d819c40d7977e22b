/*
 * Giving up on a way that is down: when many things in a row fail on the network between the same
 * two ends, the others need not each go through all their retries. Any success starts over.
 *
 * Threads: may be used from any.
 */
#ifndef COPY_BREAKER_H
#define COPY_BREAKER_H

#include <pthread.h>

#include "base/error.h"
#include "base/map.h"

#define COPY_BREAKER_FAILURES 16 /* in a row */

struct copy_breaker {
    pthread_mutex_t lock;
    struct mir_map *ways; /* "SOURCE>DESTINATION" -> struct way */
    struct copy_breaker_way **list;
    size_t count, capacity;
};

void copy_breaker_init(struct copy_breaker *breaker);
void copy_breaker_release(struct copy_breaker *breaker);

/** May this way be tried? Else MIR_E_NETWORK with the failure that came first. The names are hosts;
 * NULL for an end that is a file. */
MIR_MUST_CHECK bool copy_breaker_may_try(struct copy_breaker *breaker, const char *source,
                                         const char *destination, struct mir_error *err);
/** Say what came of a try; err MIR_OK is success. Only network trouble counts against a way. */
void copy_breaker_note(struct copy_breaker *breaker, const char *source, const char *destination,
                       const struct mir_error *err);

#endif
