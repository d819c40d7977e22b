/*
 * How many transfers a host gets at a time.
 *
 * A host starts with a few. While there is more to do than it may, its throughput is measured in
 * windows; as long as twice as many transfers bring clearly more, they are doubled again. When they
 * do not, one step is taken back, and after a rest (longer each time it was in vain) another
 * doubling is tried, because what is asked of a host changes: small things need many, large ones
 * few.
 *
 * A host that answers 429 or 503 gets half as many at once, nothing at all as long as its
 * Retry-After says, and from then on one more every few seconds, until it complains again.
 *
 * Throughput is bytes, and for each answer a number of bytes that stands for its cost.
 *
 * Threads: the caller locks. Time is given, so that it can be tested: monotonic milliseconds.
 */
#ifndef COPY_PACE_H
#define COPY_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define COPY_PACE_START        4    /* transfers of a host nothing is known of */
#define COPY_PACE_WINDOW_MS    100  /* the shortest time that is measured over */
#define COPY_PACE_WINDOW_MAX   1000 /* the longest: large transfers give no answers meanwhile */
#define COPY_PACE_REST_MS      500  /* after a doubling that brought nothing */
#define COPY_PACE_REST_MAX     4000 /* when it happens again and again */
#define COPY_PACE_EPISODE_MS   1000 /* complaints that come so close together are one */
#define COPY_PACE_RECOVER_MS   2000 /* one more each time this has passed in peace */
#define COPY_PACE_ANSWER_BYTES (32u << 10)

enum copy_pace_state {
    COPY_PACE_CLIMB,   /* the last doubling is being judged */
    COPY_PACE_REST,    /* it brought nothing, or there is nowhere to go */
    COPY_PACE_RECOVER, /* the host has complained */
};

struct copy_pace {
    unsigned cap;   /* limit never exceeds it; at least 1 */
    unsigned limit; /* transfers at a time, for now */
    unsigned running;
    enum copy_pace_state state;
    bool is_wanted; /* in this window somebody had to wait because of the limit */
    int64_t window_ms;
    uint64_t window_bytes, window_answers; /* where the counts stood when the window began */
    uint64_t rate_before; /* bytes a second before the last doubling; 0: none yet */
    int64_t rest_ms;      /* the length of the next rest */
    int64_t next_ms;      /* REST, RECOVER: when the next step may be taken */
    int64_t blocked_ms;   /* nothing before then */
    int64_t calm_ms;      /* complaints before then belong to one that was heard already */
};

/* What came from and went to a host since the beginning. */
struct copy_pace_count {
    uint64_t bytes, answers;
};

/** cap 0 counts as 1. */
void copy_pace_init(struct copy_pace *pace, unsigned cap);
/** May one more begin? If it may not because of the limit, that is remembered. */
bool copy_pace_may_start(struct copy_pace *pace, int64_t now_ms);
void copy_pace_start(struct copy_pace *pace, int64_t now_ms, struct copy_pace_count count);
/** One ended. */
void copy_pace_end(struct copy_pace *pace);
/** Look at what has been moved and change the limit if it is time to; cheap, call it often. */
void copy_pace_measure(struct copy_pace *pace, int64_t now_ms, struct copy_pace_count count);
/** The host asks for less: 429 or 503. after_ms is what its Retry-After says; 0: nothing. */
void copy_pace_push_back(struct copy_pace *pace, int64_t now_ms, int64_t after_ms);
/** For how long nothing may be asked of the host; 0: it may. */
int64_t copy_pace_hold(const struct copy_pace *pace, int64_t now_ms);

#endif
