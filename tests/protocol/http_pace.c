/*
 * Requests with consideration: a rate that is kept, a watch that counts, holds and hears of
 * refusals. Time is the fake clock's: what is waited for is added up.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/fake_clock.h"
#include "lib/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BODY_BYTES   400000
#define RATE         100000

struct bench {
    struct fake_clock clock;
    struct http_client *client;
    struct http_conn *conn, *other;
    char *body;
    struct mir_error err;
};

static void bench_start(struct bench *b, uint64_t limit_rate)
{
    *b = (struct bench){.body = mir_alloc(BODY_BYTES)};
    memset(b->body, 'x', BODY_BYTES);
    fake_clock_init(&b->clock);
    b->client = http_client_new(&(struct http_options){
        .retry_times = 3, .limit_rate = limit_rate, .clock = &b->clock.clock});
    b->conn = http_conn_new(b->client);
    b->other = http_conn_new(b->client);
}

static void bench_stop(struct bench *b)
{
    http_conn_free(b->conn);
    http_conn_free(b->other);
    http_client_free(b->client);
    free(b->body);
}
#define auto_bench __attribute__((cleanup(bench_stop))) struct bench

static bool swallow(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    (void)ctx;
    (void)bytes;
    (void)err;
    return true;
}

static bool give(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    const struct bench *b = ctx;

    (void)err;
    memcpy(data, b->body + offset, len);
    return true;
}

static void must_send(struct bench *b, struct http_conn *conn, const struct server *server,
                      enum http_method method, const char *path)
{
    auto_free char *url = mir_format("%s%s", server_url(server), path);
    const struct http_sink sink = {.write = swallow};
    const struct http_source source = {.read = give, .ctx = b};
    const bool is_put = method == HTTP_PUT;
    const struct http_request request = {.method = method,
                                         .url = url,
                                         .sink = is_put ? NULL : &sink,
                                         .has_size = !is_put,
                                         .size = is_put ? 0 : BODY_BYTES,
                                         .source = is_put ? &source : NULL,
                                         .source_len = is_put ? BODY_BYTES : 0};
    auto_response response = HTTP_RESPONSE_INIT;

    if (!http_send(conn, &request, &response, &b->err))
        fail_msg("%s", b->err.text);
    assert_in_range(response.status, 200, 299);
}

/* So many bytes took as long as the rate has it, up to what may come in one burst. Whatever passed
 * in real time was not waited for. */
static void assert_took(const struct bench *b, int64_t since_ms, int64_t waited_before_ms,
                        uint64_t bytes)
{
    int64_t needed_ms = (int64_t)(bytes * 1000 / RATE);

    assert_true(mir_clock_now(&b->clock.clock) - since_ms >= needed_ms - 100);
    assert_true(b->clock.ahead_ms - waited_before_ms <= needed_ms + 50);
}

/* ---- the rate ------------------------------------------------------------------------------ */

static void rate_holds_for_what_comes_and_what_goes(void **state)
{
    int64_t start, waited;
    auto_bench b;

    (void)state;
    bench_start(&b, RATE);
    const struct server_reply replies[] = {
        {.method = "GET", .status = 200, .body = b.body, .body_len = BODY_BYTES},
        {.method = "PUT", .status = 201}};
    auto_server *server = server_start(replies, COUNT(replies));

    start = mir_clock_now(&b.clock.clock);
    must_send(&b, b.conn, server, HTTP_GET, "/x");
    assert_took(&b, start, 0, BODY_BYTES);
    start = mir_clock_now(&b.clock.clock);
    waited = b.clock.ahead_ms;
    must_send(&b, b.conn, server, HTTP_PUT, "/x");
    assert_took(&b, start, waited, BODY_BYTES);
}

static void rate_is_shared_by_connections(void **state)
{
    int64_t start;
    auto_bench b;

    (void)state;
    bench_start(&b, RATE);
    const struct server_reply replies[] = {
        {.method = "GET", .status = 200, .body = b.body, .body_len = BODY_BYTES}};
    auto_server *server = server_start(replies, COUNT(replies));

    start = mir_clock_now(&b.clock.clock);
    must_send(&b, b.conn, server, HTTP_GET, "/x");
    must_send(&b, b.other, server, HTTP_GET, "/x");
    assert_took(&b, start, 0, 2 * BODY_BYTES);
}

static void rate_is_free_unless_it_is_set(void **state)
{
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    const struct server_reply replies[] = {
        {.method = "GET", .status = 200, .body = b.body, .body_len = BODY_BYTES}};
    auto_server *server = server_start(replies, COUNT(replies));

    must_send(&b, b.conn, server, HTTP_GET, "/x");
    assert_int_equal(b.clock.wait_count, 0);
}

/* ---- the watch ----------------------------------------------------------------------------- */

struct watcher {
    struct mir_meter meter;
    int64_t hold_ms; /* what hold answers next; then 0 */
    unsigned asked;
    unsigned complaints;
    int status;
    int64_t after_ms;
};

static int64_t hold(void *ctx)
{
    struct watcher *watcher = ctx;
    int64_t ms = watcher->hold_ms;

    watcher->hold_ms = 0;
    watcher->asked++;
    return ms;
}

static void pushed_back(void *ctx, int status, int64_t after_ms)
{
    struct watcher *watcher = ctx;

    watcher->complaints++;
    watcher->status = status;
    watcher->after_ms = after_ms;
}

static void watch(struct bench *b, struct watcher *watcher)
{
    const struct mir_watch watch = {
        .meter = &watcher->meter, .hold = hold, .pushed_back = pushed_back, .ctx = watcher};

    http_conn_watch(b->conn, &watch);
}

static void watch_hears_of_refusals_and_counts(void **state)
{
    struct watcher watcher = {0};
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    const struct server_reply replies[] = {
        {.times = 1, .status = 429, .headers = "Retry-After: 7\r\n", .body = "slow down"},
        {.times = 1, .status = 503},
        {.times = 1, .status = 500},
        {.status = 200, .body = b.body, .body_len = BODY_BYTES}};
    auto_server *server = server_start(replies, COUNT(replies));

    watch(&b, &watcher);
    must_send(&b, b.conn, server, HTTP_GET, "/x");
    assert_int_equal(watcher.complaints, 2); /* 500 is trouble, not a complaint */
    assert_int_equal(watcher.status, 503);
    assert_int_equal(watcher.after_ms, 0);
    assert_int_equal(watcher.asked, 4);
    assert_int_equal(atomic_load(&watcher.meter.answers), 4);
    assert_in_range(atomic_load(&watcher.meter.bytes), BODY_BYTES, BODY_BYTES + 1000);
}

static void watch_hears_what_retry_after_says(void **state)
{
    const struct {
        const char *header;
        int64_t after_ms;
    } rows[] = {
        {"Retry-After: 7\r\n", 7000},
        {"Retry-After: 0\r\n", 0},
        {"", 0},
        {"Retry-After: 99999999999\r\n", HTTP_RETRY_AFTER_MAX_MS},
        {"Date: Sun, 22 Nov 2026 10:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 10:00:30 GMT\r\n",
         30000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct watcher watcher = {0};
        auto_bench b;

        bench_start(&b, 0);
        const struct server_reply replies[] = {
            {.times = 1, .status = 429, .headers = rows[i].header},
            {.status = 200, .body = b.body, .body_len = BODY_BYTES}};
        auto_server *server = server_start(replies, COUNT(replies));

        watch(&b, &watcher);
        must_send(&b, b.conn, server, HTTP_GET, "/x");
        assert_int_equal(watcher.after_ms, rows[i].after_ms);
    }
}

static void watch_holds_a_request_back(void **state)
{
    struct watcher watcher = {.hold_ms = 5000};
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    const struct server_reply replies[] = {{.status = 200, .body = b.body, .body_len = BODY_BYTES}};
    auto_server *server = server_start(replies, COUNT(replies));

    watch(&b, &watcher);
    must_send(&b, b.conn, server, HTTP_GET, "/x");
    assert_int_equal(b.clock.wait_count, 1);
    assert_int_equal(b.clock.waits[0], 5000);
    assert_int_equal(watcher.asked, 2);
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_holds_for_what_comes_and_what_goes),
        cmocka_unit_test(rate_is_shared_by_connections),
        cmocka_unit_test(rate_is_free_unless_it_is_set),
        cmocka_unit_test(watch_hears_of_refusals_and_counts),
        cmocka_unit_test(watch_hears_what_retry_after_says),
        cmocka_unit_test(watch_holds_a_request_back),
    };
    struct mir_error err = MIR_ERROR_INIT;
    int failed;

    if (!http_global_init(&err))
        return 1;
    failed = cmocka_run_group_tests_name("http/pace", tests, NULL, NULL);
    http_global_cleanup();
    return failed;
}
