/*
 * A thread at the other end of a pipe. It ends when it has written all, when nobody reads any more,
 * when the test's end is closed, or at its limit; so flow_end() always returns.
 */
#include "lib/flow.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/scratch.h"

static void *feed(void *ctx)
{
    struct flow *flow = ctx;
    struct mir_span left = flow->source;
    sigset_t pipe;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (left.len > 0) {
        ssize_t put = write(flow->other, left.ptr, left.len < flow->piece ? left.len : flow->piece);

        if (put < 0 && errno != EINTR)
            break; /* nobody reads any more */
        if (put > 0)
            left = mir_span_from(left, (size_t)put);
    }
    (void)close(flow->other);
    return NULL;
}

static void *collect(void *ctx)
{
    struct flow *flow = ctx;
    size_t capacity = 0;

    while (flow->len < flow->limit) {
        ssize_t got;

        if (capacity - flow->len < 65536) {
            capacity = 2 * capacity + 65536;
            flow->bytes = mir_realloc_array(flow->bytes, capacity, 1);
        }
        got = read(flow->other, flow->bytes + flow->len,
                   flow->limit - flow->len < 65536 ? flow->limit - flow->len : 65536);
        if (got == 0)
            break;
        if (got > 0)
            flow->len += (size_t)got;
    }
    (void)close(flow->other);
    return NULL;
}

static void begin(struct flow *flow, void *(*run)(void *ctx))
{
    if (pthread_create(&flow->thread, NULL, run, flow) != 0)
        scratch_die("flow: no thread");
}

void flow_feed(struct flow *flow, struct mir_span bytes, size_t piece)
{
    int fds[2];

    if (pipe(fds) != 0)
        scratch_die("flow: no pipe");
    *flow = (struct flow){.fd = fds[0], .other = fds[1], .source = bytes, .piece = piece};
    begin(flow, feed);
}

void flow_collect(struct flow *flow, size_t limit)
{
    int fds[2];

    if (pipe(fds) != 0)
        scratch_die("flow: no pipe");
    *flow = (struct flow){.fd = fds[1], .other = fds[0], .limit = limit};
    begin(flow, collect);
}

void flow_end(struct flow *flow)
{
    (void)close(flow->fd);
    (void)pthread_join(flow->thread, NULL);
}

void flow_release(struct flow *flow)
{
    free(flow->bytes);
}
