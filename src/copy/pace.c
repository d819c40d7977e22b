/*
 * The rule by which a host's share grows and shrinks. Called by the queue when transfers begin and
 * end, and by those who wait for their turn.
 *
 * Invariant: 1 <= limit <= cap.
 */
#include "copy/pace.h"

#include <assert.h>

void copy_pace_init(struct copy_pace *pace, unsigned cap)
{
    *pace = (struct copy_pace){.cap = cap > 0 ? cap : 1, .rest_ms = COPY_PACE_REST_MS};
    pace->limit = pace->cap < COPY_PACE_START ? pace->cap : COPY_PACE_START;
}

static void begin_window(struct copy_pace *pace, int64_t now_ms, struct copy_pace_count count)
{
    pace->is_wanted = false;
    pace->window_ms = now_ms;
    pace->window_bytes = count.bytes;
    pace->window_answers = count.answers;
}

bool copy_pace_may_start(struct copy_pace *pace, int64_t now_ms)
{
    if (now_ms < pace->blocked_ms)
        return false;
    if (pace->running < pace->limit)
        return true;
    pace->is_wanted = true;
    return false;
}

void copy_pace_start(struct copy_pace *pace, int64_t now_ms, struct copy_pace_count count)
{
    /* Time without work says nothing about the host. */
    if (pace->running == 0)
        begin_window(pace, now_ms, count);
    pace->running++;
}

void copy_pace_end(struct copy_pace *pace)
{
    assert(pace->running > 0);
    pace->running--;
}

/* ---- climbing ---- */

static void climb(struct copy_pace *pace, uint64_t rate)
{
    if (pace->limit == pace->cap) {
        pace->state = COPY_PACE_REST;
        return;
    }
    pace->limit = pace->limit > pace->cap / 2 ? pace->cap : pace->limit * 2;
    pace->rate_before = rate;
    pace->state = COPY_PACE_CLIMB;
}

/* Back to what did as well, for longer than the last time. */
static void step_back(struct copy_pace *pace, int64_t now_ms)
{
    pace->limit = (pace->limit + 1) / 2;
    pace->state = COPY_PACE_REST;
    pace->next_ms = now_ms + pace->rest_ms;
    if (pace->rest_ms < COPY_PACE_REST_MAX)
        pace->rest_ms *= 2;
}

static void judge(struct copy_pace *pace, int64_t now_ms, uint64_t rate)
{
    switch (pace->state) {
    case COPY_PACE_CLIMB:
        if (rate < pace->rate_before + pace->rate_before / 5) {
            step_back(pace, now_ms);
            return;
        }
        pace->rest_ms = COPY_PACE_REST_MS;
        climb(pace, rate);
        return;
    case COPY_PACE_REST:
        if (now_ms >= pace->next_ms)
            climb(pace, rate);
        return;
    case COPY_PACE_RECOVER:
        if (now_ms < pace->next_ms)
            return;
        pace->next_ms = now_ms + COPY_PACE_RECOVER_MS;
        if (pace->limit < pace->cap)
            pace->limit++;
        return;
    }
}

void copy_pace_measure(struct copy_pace *pace, int64_t now_ms, struct copy_pace_count count)
{
    int64_t elapsed = now_ms - pace->window_ms;
    uint64_t answers = count.answers - pace->window_answers;
    uint64_t moved = count.bytes - pace->window_bytes + answers * COPY_PACE_ANSWER_BYTES;

    if (elapsed < COPY_PACE_WINDOW_MS || (answers < pace->limit && elapsed < COPY_PACE_WINDOW_MAX))
        return;
    /* Where the limit stopped nobody, what came through is no measure of it. */
    if (pace->is_wanted)
        judge(pace, now_ms, moved * 1000 / (uint64_t)elapsed);
    begin_window(pace, now_ms, count);
}

/* ---- complaints ---- */

void copy_pace_push_back(struct copy_pace *pace, int64_t now_ms, int64_t after_ms)
{
    if (now_ms + after_ms > pace->blocked_ms)
        pace->blocked_ms = now_ms + after_ms;
    pace->next_ms = pace->blocked_ms + COPY_PACE_RECOVER_MS;
    pace->state = COPY_PACE_RECOVER;
    /* What was under way meanwhile meets the same refusal. */
    if (now_ms >= pace->calm_ms)
        pace->limit = (pace->limit + 1) / 2;
    pace->calm_ms = pace->blocked_ms + COPY_PACE_EPISODE_MS;
}

int64_t copy_pace_hold(const struct copy_pace *pace, int64_t now_ms)
{
    return now_ms < pace->blocked_ms ? pace->blocked_ms - now_ms : 0;
}
