/*
 * The clock that tests can set.
 */
#include "lib/fake_clock.h"

static int64_t fake_now(void *ctx)
{
    struct fake_clock *fake = ctx;
    int64_t now;

    (void)pthread_mutex_lock(&fake->lock);
    now = mir_clock_now(mir_clock_real()) + fake->ahead_ms;
    (void)pthread_mutex_unlock(&fake->lock);
    return now;
}

static bool fake_wait(void *ctx, int64_t ms, const struct mir_cancel *cancel)
{
    struct fake_clock *fake = ctx;

    (void)pthread_mutex_lock(&fake->lock);
    fake->ahead_ms += ms;
    if (fake->wait_count < FAKE_CLOCK_WAITS_MAX)
        fake->waits[fake->wait_count++] = ms;
    if (fake->cancel)
        atomic_store(&fake->cancel->flag, 1);
    (void)pthread_mutex_unlock(&fake->lock);
    return !mir_is_cancelled(cancel);
}

void fake_clock_init(struct fake_clock *fake)
{
    *fake = (struct fake_clock){.clock = {.now_ms = fake_now, .wait_ms = fake_wait, .ctx = fake}};
    (void)pthread_mutex_init(&fake->lock, NULL);
}

void fake_clock_advance(struct fake_clock *fake, int64_t ms)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->ahead_ms += ms;
    (void)pthread_mutex_unlock(&fake->lock);
}
