/*
 * A thread that works through a queue. Passwords are checked at one desk and blobs hashed at
 * another, while the connections they are for are suspended: neither slow work nor who sends wrong
 * passwords all day keeps others from getting their bytes.
 */
#include "serve/desk_priv.h"

#include <pthread.h>

#include "base/mem.h"

struct serve_desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct serve_job *first, **last;
    bool is_closing;
    bool is_open; /* the thread is there */
};

/* The next job, or NULL when the desk closes and none waits. */
static struct serve_job *take_job(struct serve_desk *desk, bool *is_closing)
{
    struct serve_job *job;

    (void)pthread_mutex_lock(&desk->lock);
    while (!desk->first && !desk->is_closing)
        (void)pthread_cond_wait(&desk->changed, &desk->lock);
    job = desk->first;
    if (job) {
        desk->first = job->next;
        if (!desk->first)
            desk->last = &desk->first;
    }
    *is_closing = desk->is_closing;
    (void)pthread_mutex_unlock(&desk->lock);
    return job;
}

static void *work(void *ctx)
{
    struct serve_desk *desk = ctx;
    bool is_closing;

    for (;;) {
        struct serve_job *job = take_job(desk, &is_closing);

        if (!job)
            return NULL;
        job->run(job->ctx, is_closing);
    }
}

bool serve_desk_new(struct serve_desk **out, struct mir_error *err)
{
    struct serve_desk *desk = mir_alloc(sizeof(*desk));

    (void)pthread_mutex_init(&desk->lock, NULL);
    (void)pthread_cond_init(&desk->changed, NULL);
    desk->last = &desk->first;
    desk->is_open = pthread_create(&desk->thread, NULL, work, desk) == 0;
    if (!desk->is_open) {
        serve_desk_free(desk);
        return mir_fail(err, MIR_E_IO, "no thread to be had");
    }
    *out = desk;
    return true;
}

bool serve_desk_put(struct serve_desk *desk, struct serve_job *job)
{
    bool is_closing;

    job->next = NULL;
    (void)pthread_mutex_lock(&desk->lock);
    is_closing = desk->is_closing;
    if (!is_closing) {
        *desk->last = job;
        desk->last = &job->next;
        (void)pthread_cond_signal(&desk->changed);
    }
    (void)pthread_mutex_unlock(&desk->lock);
    return !is_closing;
}

void serve_desk_close(struct serve_desk *desk)
{
    if (!desk || !desk->is_open)
        return;
    (void)pthread_mutex_lock(&desk->lock);
    desk->is_closing = true;
    (void)pthread_cond_signal(&desk->changed);
    (void)pthread_mutex_unlock(&desk->lock);
    (void)pthread_join(desk->thread, NULL);
    desk->is_open = false;
}

void serve_desk_free(struct serve_desk *desk)
{
    if (!desk)
        return;
    serve_desk_close(desk);
    (void)pthread_cond_destroy(&desk->changed);
    (void)pthread_mutex_destroy(&desk->lock);
    free(desk);
}
