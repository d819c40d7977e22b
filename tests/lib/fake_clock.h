/*
 * A clock for tests: waiting takes no time, moves the clock on, and is recorded. Without waits it
 * runs as the machine's does.
 *
 * Threads: may be used from any.
 */
#ifndef TESTS_LIB_FAKE_CLOCK_H
#define TESTS_LIB_FAKE_CLOCK_H

#include <pthread.h>
#include <stddef.h>

#include "base/clock.h"

#define FAKE_CLOCK_WAITS_MAX 256

struct fake_clock {
    struct mir_clock clock; /* hand out a pointer to this */
    pthread_mutex_t lock;
    int64_t ahead_ms;
    int64_t waits[FAKE_CLOCK_WAITS_MAX];
    size_t wait_count;
    struct mir_cancel *cancel; /* is set at the first wait; NULL: never */
};

void fake_clock_init(struct fake_clock *fake);
/** Let time pass. */
void fake_clock_advance(struct fake_clock *fake, int64_t ms);

#endif
