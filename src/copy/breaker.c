/*
 * One counter for each pair of ends. Which end was at fault is not asked: what matters is whether
 * anything comes through between the two.
 */
#include "copy/breaker.h"

#include "base/mem.h"

struct copy_breaker_way {
    unsigned failures; /* in a row */
    struct mir_error first;
};

void copy_breaker_init(struct copy_breaker *breaker)
{
    *breaker = (struct copy_breaker){.ways = mir_map_new()};
    (void)pthread_mutex_init(&breaker->lock, NULL);
}

void copy_breaker_release(struct copy_breaker *breaker)
{
    for (size_t i = 0; i < breaker->count; i++)
        free(breaker->list[i]);
    free(breaker->list);
    mir_map_free(breaker->ways);
    (void)pthread_mutex_destroy(&breaker->lock);
}

/* The caller holds the lock. */
static struct copy_breaker_way *way_of(struct copy_breaker *breaker, const char *source,
                                       const char *destination)
{
    auto_free char *key = mir_format("%s>%s", source ? source : "", destination ? destination : "");
    struct copy_breaker_way *way = mir_map_find(breaker->ways, mir_span_of(key));

    if (way)
        return way;
    way = mir_alloc(sizeof(*way));
    mir_grow(&breaker->list, breaker->count, &breaker->capacity, sizeof(*breaker->list));
    breaker->list[breaker->count++] = way;
    mir_map_set(breaker->ways, mir_span_of(key), way);
    return way;
}

bool copy_breaker_may_try(struct copy_breaker *breaker, const char *source, const char *destination,
                          struct mir_error *err)
{
    const struct copy_breaker_way *way;
    bool open;

    (void)pthread_mutex_lock(&breaker->lock);
    way = way_of(breaker, source, destination);
    open = way->failures >= COPY_BREAKER_FAILURES;
    if (open) {
        (void)mir_fail(err, MIR_E_NETWORK, "not tried, after %u failures in a row: %s",
                       way->failures, way->first.text);
        (void)mir_hint(err, "when the way is open again, run the same command; what is there "
                            "already is not sent again");
    }
    (void)pthread_mutex_unlock(&breaker->lock);
    return !open;
}

void copy_breaker_note(struct copy_breaker *breaker, const char *source, const char *destination,
                       const struct mir_error *err)
{
    struct copy_breaker_way *way;

    (void)pthread_mutex_lock(&breaker->lock);
    way = way_of(breaker, source, destination);
    if (err->code != MIR_E_NETWORK) {
        way->failures = 0;
    } else if (way->failures < COPY_BREAKER_FAILURES) {
        if (way->failures == 0)
            way->first = *err;
        way->failures++;
    }
    (void)pthread_mutex_unlock(&breaker->lock);
}
