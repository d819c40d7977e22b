/*
 * The machine's monotonic clock. Waiting goes in short slices so that Ctrl-C, which only sets a
 * flag, ends it at once whichever thread the signal reached.
 */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

#define SLICE_MS 50

static int64_t real_now(void *ctx)
{
    struct timespec now;

    (void)ctx;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool real_wait(void *ctx, int64_t ms, const struct mir_cancel *cancel)
{
    int64_t end = real_now(ctx) + ms;

    for (int64_t left = ms; left > 0; left = end - real_now(ctx)) {
        int64_t slice = left < SLICE_MS ? left : SLICE_MS;
        struct timespec pause = {.tv_nsec = (long)slice * 1000000L};

        if (mir_is_cancelled(cancel))
            return false;
        (void)nanosleep(&pause, NULL);
    }
    return !mir_is_cancelled(cancel);
}

const struct mir_clock *mir_clock_real(void)
{
    static const struct mir_clock clock = {.now_ms = real_now, .wait_ms = real_wait};

    return &clock;
}
