/*
 * An HTTP connection under test: fake clock, cancel flag, a sink that keeps what came.
 *
 * Threads: one bench, one thread.
 */
#ifndef TESTS_LIB_HTTP_BENCH_H
#define TESTS_LIB_HTTP_BENCH_H

#include "base/buf.h"
#include "http/http.h"
#include "lib/fake_clock.h"
#include "lib/server.h"

#define HTTP_BENCH_BODY     "0123456789abcdefghijklmnopqrstuvwxyz"
#define HTTP_BENCH_BODY_LEN (sizeof(HTTP_BENCH_BODY) - 1)

struct http_bench {
    struct fake_clock clock;
    struct mir_cancel cancel;
    struct http_client *client;
    struct http_conn *conn;
    struct http_response response;
    struct mir_error err;
    struct mir_buf got; /* what http_bench_take() saw */
    bool sink_fails;
};

/** For cmocka groups: libcurl's global state. */
int http_bench_set_up(void **state);
int http_bench_tear_down(void **state);

/** clock and cancel of the options are the bench's. */
void http_bench_start_with(struct http_bench *bench, struct http_options options);
void http_bench_start(struct http_bench *bench, unsigned retry_times);
void http_bench_stop(struct http_bench *bench);
#define auto_http_bench __attribute__((cleanup(http_bench_stop))) struct http_bench

/** A sink's write: ctx is the bench. */
bool http_bench_take(void *ctx, struct mir_span bytes, struct mir_error *err);
/** GET path with an Authorization of "Bearer secret-token"; with a sink when size is not 0. */
bool http_bench_get(struct http_bench *bench, const struct server *server, const char *path,
                    uint64_t size);
/** The last one brought HTTP_BENCH_BODY to the sink, each byte once. */
void http_bench_must_have_body(const struct http_bench *bench);

#endif
