/*
 * The one queue of a copy. Items are opaque and owned by the plan; a job records its result in the
 * item, so nothing is returned here.
 */
#include "copy/queue.h"

#include <assert.h>

#include "base/mem.h"

#define CAPACITY_START 64

void copy_queue_init(struct copy_queue *queue)
{
    *queue = (struct copy_queue){.capacity = CAPACITY_START};
    queue->items = mir_alloc_array(queue->capacity, sizeof(*queue->items));
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_cond_init(&queue->changed, NULL);
}

void copy_queue_release(struct copy_queue *queue)
{
    (void)pthread_cond_destroy(&queue->changed);
    (void)pthread_mutex_destroy(&queue->lock);
    free(queue->items);
}

/* Where the i-th item stands in the ring. */
static void **slot(const struct copy_queue *queue, size_t i)
{
    assert(queue->capacity > 0);
    return &queue->items[(queue->head + i) % queue->capacity];
}

/* The caller holds the lock. */
static void make_room(struct copy_queue *queue)
{
    size_t capacity = 2 * queue->capacity;
    void **items;

    if (queue->count < queue->capacity)
        return;
    items = mir_alloc_array(capacity, sizeof(*items));
    for (size_t i = 0; i < queue->count; i++)
        items[i] = *slot(queue, i);
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->head = 0;
}

void copy_queue_push(struct copy_queue *queue, void *item)
{
    (void)pthread_mutex_lock(&queue->lock);
    make_room(queue);
    *slot(queue, queue->count) = item;
    queue->count++;
    (void)pthread_cond_signal(&queue->changed);
    (void)pthread_mutex_unlock(&queue->lock);
}

/* The next item, or NULL when there is none and none can come. */
static void *take(struct copy_queue *queue)
{
    void *item = NULL;

    (void)pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && queue->running > 0)
        (void)pthread_cond_wait(&queue->changed, &queue->lock);
    if (queue->count > 0) {
        item = *slot(queue, 0);
        queue->head = (queue->head + 1) % queue->capacity;
        queue->count--;
        queue->running++;
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return item;
}

static void done(struct copy_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->running--;
    if (queue->running == 0)
        (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->lock);
}

struct thread {
    pthread_t id;
    struct copy_queue *queue;
    void *worker;
    void (*job)(void *worker, void *item);
};

static void *work(void *arg)
{
    struct thread *thread = arg;

    for (void *item = take(thread->queue); item; item = take(thread->queue)) {
        thread->job(thread->worker, item);
        done(thread->queue);
    }
    return NULL;
}

void copy_queue_run(struct copy_queue *queue, void *const *workers, size_t worker_count,
                    void (*job)(void *worker, void *item))
{
    auto_free struct thread *threads = mir_alloc_array(worker_count, sizeof(*threads));
    size_t started = 0;

    for (size_t i = 0; i < worker_count; i++) {
        threads[started] = (struct thread){.queue = queue, .worker = workers[i], .job = job};
        if (pthread_create(&threads[started].id, NULL, work, &threads[started]) == 0)
            started++;
    }
    /* A machine that gives no thread at all still gets the work done, here. */
    if (started == 0) {
        threads[0] = (struct thread){.queue = queue, .worker = workers[0], .job = job};
        (void)work(&threads[0]);
    }
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i].id, NULL);
    assert(queue->count == 0 && queue->running == 0);
}
