/*
 * --limit-rate: one line that all bodies of a client pass through, so many bytes a second.
 *
 * Each portion occupies the line for as long as its bytes take; whoever has sent one waits until
 * the line has carried it. Called by the callbacks of a try, only where a rate is set.
 *
 * Invariant: over any stretch of time no more passes than the rate allows, and BURST_MS' worth.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <pthread.h>

#define BURST_MS        50  /* shorter waits are left to the next portion */
#define PORTION_DIVISOR 8   /* of a second's worth at once */
#define PORTION_MIN     512 /* however slow */
#define MICROSECONDS    1000000

struct http_rate {
    uint64_t bytes_per_second;
    pthread_mutex_t lock;
    int64_t free_us; /* when the line has carried all that was spent */
};

struct http_rate *http_rate_new(uint64_t bytes_per_second)
{
    struct http_rate *rate = mir_alloc(sizeof(*rate));

    rate->bytes_per_second = bytes_per_second;
    (void)pthread_mutex_init(&rate->lock, NULL);
    return rate;
}

void http_rate_free(struct http_rate *rate)
{
    if (!rate)
        return;
    (void)pthread_mutex_destroy(&rate->lock);
    free(rate);
}

size_t http_rate_portion(const struct http_rate *rate, size_t len)
{
    uint64_t max = rate->bytes_per_second / PORTION_DIVISOR;

    if (max < PORTION_MIN)
        max = PORTION_MIN;
    return len > max ? (size_t)max : len;
}

/* Book len bytes; returns for how long to wait. */
static int64_t book(struct http_rate *rate, size_t len, int64_t now_us)
{
    /* len is a buffer's at most, so this does not overflow. */
    int64_t cost = (int64_t)(len * (uint64_t)MICROSECONDS / rate->bytes_per_second);
    int64_t wait_us;

    (void)pthread_mutex_lock(&rate->lock);
    if (rate->free_us < now_us)
        rate->free_us = now_us;
    rate->free_us += cost;
    wait_us = rate->free_us - now_us;
    (void)pthread_mutex_unlock(&rate->lock);
    return wait_us / 1000;
}

void http_rate_spend(struct http_rate *rate, size_t len, const struct mir_clock *clock,
                     const struct mir_cancel *cancel)
{
    int64_t wait_ms = book(rate, len, mir_clock_now(clock) * 1000);

    if (wait_ms >= BURST_MS)
        (void)mir_clock_wait(clock, wait_ms, cancel);
}
