/*
 * Work that takes too long for the threads that answer: one thread, and what waits for it.
 */
#ifndef SERVE_DESK_PRIV_H
#define SERVE_DESK_PRIV_H

#include "base/error.h"

struct serve_desk;

/* One piece of work, in the caller's memory. */
struct serve_job {
    /* is_closing: the desk closes; do not work, only tell who waits. The job may be gone after. */
    void (*run)(void *ctx, bool is_closing);
    void *ctx;
    struct serve_job *next; /* the desk's */
};

/** err: MIR_E_IO when there is no thread to be had. */
MIR_MUST_CHECK bool serve_desk_new(struct serve_desk **out, struct mir_error *err);
/** Returns at once; jobs run one after another in the order they came. False, and nothing happens,
 * when the desk is closing. */
MIR_MUST_CHECK bool serve_desk_put(struct serve_desk *desk, struct serve_job *job);
/** Run what waits with is_closing, then end the thread. */
void serve_desk_close(struct serve_desk *desk);
/** After close, or instead of it. NULL is fine. */
void serve_desk_free(struct serve_desk *desk);

#endif
