/*
 * Work for a fixed crew of threads: jobs stand in lanes, one for each pair of ends (source host,
 * destination host), and the workers take from the lanes in turn, as much at a time as each end
 * bears (pace.h). So a host that is slow or asks for patience holds up its own lanes only. Within a
 * lane the order is that of pushing.
 *
 * A thread is started when there is something it may do and nobody else is free for it.
 *
 * Threads: push, and the job function, from any worker; the rest from the owner.
 */
#ifndef COPY_QUEUE_H
#define COPY_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/watch.h"
#include "copy/pace.h"

/* One end: a host, or this machine's disk. */
struct copy_end {
    struct copy_queue *queue;
    const char *host; /* borrowed; NULL: the disk */
    struct copy_pace pace;
    struct mir_meter meter; /* whoever works for this end adds to it */
};

/* Jobs between the same two ends. The disk counts as an end only where no host takes part. */
struct copy_lane {
    const char *source_host, *destination_host; /* borrowed; NULL: the disk */
    struct copy_end *source, *destination;      /* NULL: does not limit this lane */
    void **items;                               /* ring */
    size_t capacity, head, count;
};

struct copy_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const struct mir_clock *clock;
    const struct mir_cancel *cancel;
    unsigned cap; /* of each host's transfers */
    struct copy_end **ends;
    size_t end_count, end_capacity;
    struct copy_lane **lanes;
    size_t lane_count, lane_capacity;
    size_t next_lane; /* whose turn it is */
    size_t count;     /* items in all lanes */
    size_t running;   /* jobs taken and not done */
    size_t idle;      /* threads that wait */
    /* While it runs: */
    void *const *workers;
    size_t worker_count;
    void (*job)(void *worker, void *item);
    struct copy_thread *threads;
    size_t thread_count;
};

/** clock and cancel are borrowed, cancel may be NULL; cap is what a host gets at most. */
void copy_queue_init(struct copy_queue *queue, const struct mir_clock *clock,
                     const struct mir_cancel *cancel, unsigned cap);
void copy_queue_release(struct copy_queue *queue);

/** Add a job that reads from one host and writes to another; NULL: no host. Names are borrowed as
 * long as the queue lives. */
void copy_queue_push_between(struct copy_queue *queue, const char *source, const char *destination,
                             void *item);
/** The same without any host. */
void copy_queue_push(struct copy_queue *queue, void *item);

/**
 * Run job(worker, item) for every item, those added meanwhile included, on at most worker_count
 * threads; returns when the queue is empty and nobody works. After Ctrl-C what is left goes to the
 * job function all the same and without delay: it sees the flag and records that it was stopped.
 */
void copy_queue_run(struct copy_queue *queue, void *const *workers, size_t worker_count,
                    void (*job)(void *worker, void *item));

/** What a session is to be watched with while it works for a host. Any thread. */
struct mir_watch copy_queue_watch(struct copy_queue *queue, const char *host);

#endif
