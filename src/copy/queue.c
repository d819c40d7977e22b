/*
 * The one queue of a copy. Items are opaque and owned by the plan; a job records its result in the
 * item, so nothing is returned here.
 *
 * Invariant: a job runs only while each of its ends bears it, except after Ctrl-C, when jobs end
 * at once.
 */
#include "copy/queue.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

#define CAPACITY_START 64
#define DISK_JOBS      4   /* from disk to disk */
#define LOOK_MS        100 /* how often those who wait look whether an end bears more */

struct copy_thread {
    pthread_t id;
    struct copy_queue *queue;
    void *worker;
};

void copy_queue_init(struct copy_queue *queue, const struct mir_clock *clock,
                     const struct mir_cancel *cancel, unsigned cap)
{
    pthread_condattr_t monotonic;

    *queue = (struct copy_queue){.clock = clock, .cancel = cancel, .cap = cap};
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&queue->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void copy_queue_release(struct copy_queue *queue)
{
    for (size_t i = 0; i < queue->lane_count; i++) {
        free(queue->lanes[i]->items);
        free(queue->lanes[i]);
    }
    for (size_t i = 0; i < queue->end_count; i++)
        free(queue->ends[i]);
    free(queue->lanes);
    free(queue->ends);
    (void)pthread_cond_destroy(&queue->changed);
    (void)pthread_mutex_destroy(&queue->lock);
}

/* ---- ends; the lock is held in all of these ---- */

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct copy_end *end_of(struct copy_queue *queue, const char *host)
{
    unsigned cap = queue->cap;
    struct copy_end *end;

    for (size_t i = 0; i < queue->end_count; i++)
        if (is_same(queue->ends[i]->host, host))
            return queue->ends[i];
    if (!host && cap > DISK_JOBS)
        cap = DISK_JOBS;
    end = mir_alloc(sizeof(*end));
    end->queue = queue;
    end->host = host;
    copy_pace_init(&end->pace, cap);
    mir_grow(&queue->ends, queue->end_count, &queue->end_capacity, sizeof(struct copy_end *));
    queue->ends[queue->end_count++] = end;
    return end;
}

static struct copy_pace_count count_of(const struct copy_end *end)
{
    return (struct copy_pace_count){
        .bytes = atomic_load_explicit(&end->meter.bytes, memory_order_relaxed),
        .answers = atomic_load_explicit(&end->meter.answers, memory_order_relaxed)};
}

static bool end_bears(struct copy_end *end, int64_t now_ms)
{
    if (!end)
        return true;
    copy_pace_measure(&end->pace, now_ms, count_of(end));
    return copy_pace_may_start(&end->pace, now_ms);
}

static void end_start(struct copy_end *end, int64_t now_ms)
{
    if (end)
        copy_pace_start(&end->pace, now_ms, count_of(end));
}

static void end_done(struct copy_end *end)
{
    if (end)
        copy_pace_end(&end->pace);
}

static int64_t end_hold(const struct copy_end *end, int64_t now_ms)
{
    return end ? copy_pace_hold(&end->pace, now_ms) : 0;
}

/* ---- lanes; the lock is held in all of these ---- */

static struct copy_lane *lane_new(struct copy_queue *queue, const char *source,
                                  const char *destination)
{
    struct copy_lane *lane = mir_alloc(sizeof(*lane));

    lane->source_host = source;
    lane->destination_host = destination;
    if (source || !destination)
        lane->source = end_of(queue, source);
    if (destination && !is_same(source, destination))
        lane->destination = end_of(queue, destination);
    lane->capacity = CAPACITY_START;
    lane->items = mir_alloc_array(lane->capacity, sizeof(*lane->items));
    mir_grow(&queue->lanes, queue->lane_count, &queue->lane_capacity, sizeof(struct copy_lane *));
    queue->lanes[queue->lane_count++] = lane;
    return lane;
}

static struct copy_lane *lane_of(struct copy_queue *queue, const char *source,
                                 const char *destination)
{
    for (size_t i = 0; i < queue->lane_count; i++) {
        struct copy_lane *lane = queue->lanes[i];

        if (is_same(lane->source_host, source) && is_same(lane->destination_host, destination))
            return lane;
    }
    return lane_new(queue, source, destination);
}

/* Where the i-th item stands in the ring. */
static void **slot(const struct copy_lane *lane, size_t i)
{
    assert(lane->capacity > 0);
    return &lane->items[(lane->head + i) % lane->capacity];
}

static void make_room(struct copy_lane *lane)
{
    size_t capacity = 2 * lane->capacity;
    void **items;

    if (lane->count < lane->capacity)
        return;
    items = mir_alloc_array(capacity, sizeof(*items));
    for (size_t i = 0; i < lane->count; i++)
        items[i] = *slot(lane, i);
    free(lane->items);
    lane->items = items;
    lane->capacity = capacity;
    lane->head = 0;
}

/* Both ends are looked at, so that each is measured. */
static bool lane_bears(const struct copy_queue *queue, struct copy_lane *lane, int64_t now_ms)
{
    return mir_is_cancelled(queue->cancel) ||
           (end_bears(lane->source, now_ms) && end_bears(lane->destination, now_ms));
}

/* The lane whose turn it is, of those that have something to do and may; or NULL. */
static struct copy_lane *find_lane(struct copy_queue *queue, int64_t now_ms)
{
    for (size_t i = 0; i < queue->lane_count; i++) {
        size_t at = (queue->next_lane + i) % queue->lane_count;
        struct copy_lane *lane = queue->lanes[at];

        if (lane->count == 0 || !lane_bears(queue, lane, now_ms))
            continue;
        queue->next_lane = at + 1;
        return lane;
    }
    return NULL;
}

/* ---- threads ---- */

static void *work(void *arg);

/* There is more to do: somebody who is free is woken, else one more is started, up to the crew's
 * size. The lock is held. A machine that gives no more threads gets the work done with those it
 * gave. */
static void call_another(struct copy_queue *queue)
{
    struct copy_thread *thread;

    if (queue->count == 0 || !queue->threads)
        return;
    if (queue->idle > 0) {
        (void)pthread_cond_signal(&queue->changed);
        return;
    }
    if (queue->thread_count == queue->worker_count)
        return;
    thread = &queue->threads[queue->thread_count];
    *thread = (struct copy_thread){.queue = queue, .worker = queue->workers[queue->thread_count]};
    if (pthread_create(&thread->id, NULL, work, thread) == 0)
        queue->thread_count++;
}

void copy_queue_push_between(struct copy_queue *queue, const char *source, const char *destination,
                             void *item)
{
    struct copy_lane *lane;

    (void)pthread_mutex_lock(&queue->lock);
    lane = lane_of(queue, source, destination);
    make_room(lane);
    *slot(lane, lane->count) = item;
    lane->count++;
    queue->count++;
    call_another(queue);
    (void)pthread_mutex_unlock(&queue->lock);
}

void copy_queue_push(struct copy_queue *queue, void *item)
{
    copy_queue_push_between(queue, NULL, NULL, item);
}

static void wait_and_look_again(struct copy_queue *queue)
{
    struct timespec until;

    queue->idle++;
    if (queue->count == 0) {
        (void)pthread_cond_wait(&queue->changed, &queue->lock);
    } else {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
    }
    queue->idle--;
}

/* Nobody works, and every host that has something to do wants to be left alone. */
static void wait_for_hosts(struct copy_queue *queue, int64_t now_ms)
{
    int64_t shortest = LOOK_MS;

    for (size_t i = 0; i < queue->lane_count; i++) {
        const struct copy_lane *lane = queue->lanes[i];
        int64_t source = end_hold(lane->source, now_ms);
        int64_t destination = end_hold(lane->destination, now_ms);
        int64_t hold = source > destination ? source : destination;

        if (lane->count > 0 && hold < shortest)
            shortest = hold;
    }
    (void)pthread_mutex_unlock(&queue->lock);
    (void)mir_clock_wait(queue->clock, shortest, queue->cancel);
    (void)pthread_mutex_lock(&queue->lock);
}

/* A lane to take from, or NULL when there is nothing left and nothing can come. Locked. */
static struct copy_lane *next_lane(struct copy_queue *queue, int64_t *now_ms)
{
    for (;;) {
        struct copy_lane *lane;

        *now_ms = mir_clock_now(queue->clock);
        lane = find_lane(queue, *now_ms);
        if (lane || (queue->count == 0 && queue->running == 0))
            return lane;
        if (queue->running == 0)
            wait_for_hosts(queue, *now_ms);
        else
            wait_and_look_again(queue);
    }
}

static void *take(struct copy_queue *queue, struct copy_lane **lane)
{
    int64_t now_ms;
    void *item = NULL;

    (void)pthread_mutex_lock(&queue->lock);
    *lane = next_lane(queue, &now_ms);
    if (*lane) {
        item = *slot(*lane, 0);
        (*lane)->head = ((*lane)->head + 1) % (*lane)->capacity;
        (*lane)->count--;
        queue->count--;
        queue->running++;
        end_start((*lane)->source, now_ms);
        end_start((*lane)->destination, now_ms);
        call_another(queue);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return item;
}

static void done(struct copy_queue *queue, const struct copy_lane *lane)
{
    (void)pthread_mutex_lock(&queue->lock);
    end_done(lane->source);
    end_done(lane->destination);
    queue->running--;
    if (queue->running == 0)
        (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->lock);
}

static void *work(void *arg)
{
    const struct copy_thread *thread = arg;
    struct copy_queue *queue = thread->queue;
    struct copy_lane *lane;

    for (void *item = take(queue, &lane); item; item = take(queue, &lane)) {
        queue->job(thread->worker, item);
        done(queue, lane);
    }
    return NULL;
}

/* Joins whoever was started, also by those who are joined meanwhile. */
static void join_all(struct copy_queue *queue)
{
    size_t joined = 0;

    (void)pthread_mutex_lock(&queue->lock);
    while (joined < queue->thread_count) {
        pthread_t id = queue->threads[joined++].id;

        (void)pthread_mutex_unlock(&queue->lock);
        (void)pthread_join(id, NULL);
        (void)pthread_mutex_lock(&queue->lock);
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

void copy_queue_run(struct copy_queue *queue, void *const *workers, size_t worker_count,
                    void (*job)(void *worker, void *item))
{
    auto_free struct copy_thread *threads = mir_alloc_array(worker_count, sizeof(*threads));

    (void)pthread_mutex_lock(&queue->lock);
    queue->workers = workers;
    queue->worker_count = worker_count;
    queue->job = job;
    queue->threads = threads;
    queue->thread_count = 0;
    call_another(queue);
    (void)pthread_mutex_unlock(&queue->lock);
    join_all(queue);
    /* A machine that gives no thread at all still gets the work done, here. */
    if (queue->count > 0) {
        (void)work(&(struct copy_thread){.queue = queue, .worker = workers[0]});
        join_all(queue);
    }
    assert(queue->count == 0 && queue->running == 0);
    queue->threads = NULL;
}

/* ---- what sessions ask and tell ---- */

static int64_t on_hold(void *ctx)
{
    struct copy_end *end = ctx;
    int64_t hold;

    (void)pthread_mutex_lock(&end->queue->lock);
    hold = copy_pace_hold(&end->pace, mir_clock_now(end->queue->clock));
    (void)pthread_mutex_unlock(&end->queue->lock);
    return hold;
}

static void on_push_back(void *ctx, int status, int64_t after_ms)
{
    struct copy_end *end = ctx;

    (void)status;
    (void)pthread_mutex_lock(&end->queue->lock);
    copy_pace_push_back(&end->pace, mir_clock_now(end->queue->clock), after_ms);
    (void)pthread_mutex_unlock(&end->queue->lock);
}

struct mir_watch copy_queue_watch(struct copy_queue *queue, const char *host)
{
    struct copy_end *end;

    (void)pthread_mutex_lock(&queue->lock);
    end = end_of(queue, host);
    (void)pthread_mutex_unlock(&queue->lock);
    return (struct mir_watch){
        .meter = &end->meter, .hold = on_hold, .pushed_back = on_push_back, .ctx = end};
}
