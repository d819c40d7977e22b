/*
 * Time and stopping. Durations are monotonic milliseconds. What waits or measures takes a clock,
 * so that a test can set it, and a cancel flag, so that Ctrl-C ends every wait.
 *
 * Threads: the real clock and the flag may be used from any thread.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Set once by a signal handler (or a test); never cleared while something runs. */
struct mir_cancel {
    atomic_int flag;
};

static inline bool mir_is_cancelled(const struct mir_cancel *cancel)
{
    return cancel && atomic_load_explicit(&cancel->flag, memory_order_relaxed) != 0;
}

struct mir_clock {
    int64_t (*now_ms)(void *ctx);
    /* Sleeps; returns early, and false, once cancel is set. */
    bool (*wait_ms)(void *ctx, int64_t ms, const struct mir_cancel *cancel);
    void *ctx;
};

/** The machine's monotonic clock; static storage. */
const struct mir_clock *mir_clock_real(void);

static inline int64_t mir_clock_now(const struct mir_clock *clock)
{
    return clock->now_ms(clock->ctx);
}

static inline bool mir_clock_wait(const struct mir_clock *clock, int64_t ms,
                                  const struct mir_cancel *cancel)
{
    return clock->wait_ms(clock->ctx, ms, cancel);
}

#endif
