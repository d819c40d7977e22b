/*
 * Work for a fixed set of threads: a queue that jobs may add to, and workers that run it dry.
 *
 * Threads: push, and the job function, from any worker; the rest from the owner.
 */
#ifndef COPY_QUEUE_H
#define COPY_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct copy_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void **items; /* ring */
    size_t capacity, head, count;
    size_t running; /* jobs taken and not done */
};

void copy_queue_init(struct copy_queue *queue);
void copy_queue_release(struct copy_queue *queue);
void copy_queue_push(struct copy_queue *queue, void *item);

/**
 * Run job(worker, item) for every item, those added meanwhile included, on worker_count threads;
 * returns when the queue is empty and nobody works. After Ctrl-C what is left goes to the job
 * function all the same: it sees the flag and records that it was stopped.
 */
void copy_queue_run(struct copy_queue *queue, void *const *workers, size_t worker_count,
                    void (*job)(void *worker, void *item));

#endif
