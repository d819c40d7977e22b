/*
 * The relay: from one server to another, with either side playing foul.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "http/http.h"
#include "lib/fake_clock.h"
#include "lib/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SMALL        "0123456789abcdefghijklmnopqrstuvwxyz"
#define SMALL_LEN    (sizeof(SMALL) - 1)
#define LARGE_LEN    (9u << 20)

struct bench {
    struct fake_clock clock;
    struct mir_cancel cancel;
    struct http_client *client;
    struct http_conn *get_conn;
    struct http_conn *put_conn;
    struct http_response get;
    struct http_response put;
    struct mir_error err;
    struct mir_buf seen;
    bool refuse; /* verified() says no */
    unsigned verifications;
    unsigned restarts;
};

static void bench_start_stalling(struct bench *b, unsigned retry_times, int64_t stall_ms)
{
    *b = (struct bench){.cancel = {0}};
    fake_clock_init(&b->clock);
    b->client = http_client_new(&(struct http_options){.retry_times = retry_times,
                                                       .stall_timeout_ms = stall_ms,
                                                       .clock = &b->clock.clock,
                                                       .cancel = &b->cancel});
    b->get_conn = http_conn_new(b->client);
    b->put_conn = http_conn_new(b->client);
    mir_buf_init(&b->seen, 64u << 20);
}

static void bench_start(struct bench *b, unsigned retry_times)
{
    bench_start_stalling(b, retry_times, 20 * 1000);
}

static void bench_stop(struct bench *b)
{
    http_response_release(&b->get);
    http_response_release(&b->put);
    http_conn_free(b->get_conn);
    http_conn_free(b->put_conn);
    http_client_free(b->client);
    mir_buf_release(&b->seen);
}
#define auto_bench __attribute__((cleanup(bench_stop))) struct bench

static void note(void *ctx, struct mir_span bytes)
{
    struct bench *b = ctx;

    mir_buf_add(&b->seen, bytes);
}

static void forget(void *ctx)
{
    struct bench *b = ctx;

    b->restarts++;
    mir_buf_clear(&b->seen);
}

static bool verify(void *ctx, struct mir_error *err)
{
    struct bench *b = ctx;

    b->verifications++;
    return !b->refuse || mir_fail(err, MIR_E_DIGEST, "not what was promised");
}

static bool relay(struct bench *b, const struct server *from, const struct server *to,
                  uint64_t size)
{
    auto_free char *source = mir_format("%s/blob", server_url(from));
    auto_free char *sink = mir_format("%s/upload", server_url(to));
    const struct http_request get = {.method = HTTP_GET,
                                     .url = source,
                                     .authorization = "Bearer from",
                                     .has_size = true,
                                     .size = size};
    const struct http_request put = {
        .method = HTTP_PUT, .url = sink, .authorization = "Bearer to", .source_len = size};
    const struct http_relay job = {.get = &get,
                                   .put = &put,
                                   .get_conn = b->get_conn,
                                   .seen = note,
                                   .verified = verify,
                                   .restart = forget,
                                   .ctx = b};

    mir_error_clear(&b->err);
    mir_buf_clear(&b->seen);
    b->verifications = 0;
    return http_relay_run(b->put_conn, &job, &b->get, &b->put, &b->err);
}

static const struct server_reply accepting[] = {{.method = "PUT", .status = 201}};

/* Bytes that differ everywhere. */
static char *large_body(void)
{
    char *body = mir_alloc(LARGE_LEN);

    for (size_t i = 0; i < LARGE_LEN; i++)
        body[i] = (char)((i * 2654435761u) >> 13);
    return body;
}

static void assert_arrived(struct bench *b, struct server *to, const char *body, size_t len)
{
    const struct server_request *request = server_request(to, "PUT", "/upload", 0);

    assert_int_equal(b->put.status, 201);
    assert_int_equal(b->verifications, 1);
    assert_non_null(request);
    assert_int_equal(request->body_len, len);
    assert_memory_equal(request->body, body, len);
    assert_int_equal(b->seen.len, len);
    assert_memory_equal(b->seen.ptr, body, len);
}

static void relay_moves_small_and_large(void **state)
{
    auto_free char *body = large_body();
    const size_t sizes[] = {1,
                            2,
                            4096,
                            65536,
                            (256u << 10) - 1,
                            256u << 10,
                            (256u << 10) + 1,
                            (1u << 20) - 1,
                            1u << 20,
                            (1u << 20) + 1,
                            LARGE_LEN};

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const struct server_reply replies[] = {{.status = 200, .body = body, .body_len = sizes[i]}};
        auto_server *from = server_start(replies, COUNT(replies));
        auto_server *to = server_start(accepting, COUNT(accepting));
        auto_bench b;

        bench_start(&b, 0);
        if (!relay(&b, from, to, sizes[i]))
            fail_msg("%zu bytes: %s", sizes[i], b.err.text);
        assert_arrived(&b, to, body, sizes[i]);
        assert_true(server_was_told(from, "Bearer from"));
        assert_false(server_was_told(from, "Bearer to"));
        assert_false(server_was_told(to, "Bearer from"));
        assert_int_equal(http_client_requests(b.client), 2);
    }
}

static void relay_goes_on_where_the_source_broke(void **state)
{
    auto_free char *body = large_body();
    const struct server_reply replies[] = {
        {.times = 1,
         .status = 200,
         .body = body,
         .body_len = LARGE_LEN,
         .fault = SERVER_FAULT_RESET,
         .fault_at = 3u << 20},
        {.times = 1, .status = 503},
        {.times = 1,
         .status = 200,
         .body = body,
         .body_len = LARGE_LEN,
         .ranges = true,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 100},
        {.status = 200, .body = body, .body_len = LARGE_LEN, .ranges = true}};
    auto_server *from = server_start(replies, COUNT(replies));
    auto_server *to = server_start(accepting, COUNT(accepting));
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    if (!relay(&b, from, to, LARGE_LEN))
        fail_msg("%s", b.err.text);
    assert_arrived(&b, to, body, LARGE_LEN);
    assert_int_equal(server_count(from, "GET", NULL), 4);
    assert_int_equal(server_count(to, "PUT", NULL), 1);
}

static void relay_follows_the_source_elsewhere(void **state)
{
    const struct server_reply there[] = {{.status = 200, .body = SMALL}};
    auto_server *store = server_start(there, COUNT(there));
    auto_free char *away = mir_format("Location: %s/blob\r\n", server_url(store));
    const struct server_reply here[] = {{.status = 307, .headers = away}};
    auto_server *from = server_start(here, COUNT(here));
    auto_server *to = server_start(accepting, COUNT(accepting));
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    if (!relay(&b, from, to, SMALL_LEN))
        fail_msg("%s", b.err.text);
    assert_arrived(&b, to, SMALL, SMALL_LEN);
    assert_false(server_was_told(store, "Bearer"));
}

static void relay_never_completes_what_is_not_verified(void **state)
{
    const size_t sizes[] = {1, SMALL_LEN, LARGE_LEN};
    auto_free char *body = large_body();

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const struct server_reply replies[] = {{.status = 200, .body = body, .body_len = sizes[i]}};
        auto_server *from = server_start(replies, COUNT(replies));
        auto_server *to = server_start(accepting, COUNT(accepting));
        const struct server_request *request;
        auto_bench b;

        bench_start(&b, 3);
        b.refuse = true;
        assert_false(relay(&b, from, to, sizes[i]));
        assert_int_equal(b.err.code, MIR_E_DIGEST);
        server_finish(to);
        request = server_request(to, "PUT", NULL, 0);
        /* Small ones fail before the PUT begins. */
        assert_true(request || sizes[i] < LARGE_LEN);
        if (request)
            assert_true(request->body_len < sizes[i]);
    }
}

static void relay_withholds_the_last_byte_until_the_source_has_ended(void **state)
{
    /* Every byte is there, but the end is not: the server keeps the connection open. */
    const struct server_reply replies[] = {
        {.status = 200, .body = SMALL, .fault = SERVER_FAULT_LINGER}};
    auto_server *from = server_start(replies, COUNT(replies));
    auto_server *to = server_start(accepting, COUNT(accepting));
    const struct server_request *request;
    auto_bench b;

    (void)state;
    bench_start_stalling(&b, 0, 400);
    assert_false(relay(&b, from, to, SMALL_LEN));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_int_equal(b.verifications, 0);
    server_finish(to);
    request = server_request(to, "PUT", NULL, 0);
    assert_non_null(request);
    assert_int_equal(request->body_len, SMALL_LEN - 1);
}

static void relay_stops_when_sizes_differ(void **state)
{
    const struct {
        const char *label;
        struct server_reply reply;
    } rows[] = {
        {"longer", {.status = 200, .body = SMALL "!"}},
        {"shorter", {.status = 200, .body = "0123"}},
        {"endless", {.status = 200, .body = SMALL, .fault = SERVER_FAULT_ENDLESS}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *from = server_start(&rows[i].reply, 1);
        auto_server *to = server_start(accepting, COUNT(accepting));
        auto_bench b;

        bench_start(&b, 3);
        if (relay(&b, from, to, SMALL_LEN) || b.err.code != MIR_E_DIGEST)
            fail_msg("%s: %s", rows[i].label, b.err.text);
        assert_int_equal(b.verifications, 0);
        assert_int_equal(server_count(from, NULL, NULL), 1);
    }
}

static void relay_hands_out_what_the_source_refuses_with(void **state)
{
    const int statuses[] = {401, 403, 404, 500};

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        const struct server_reply replies[] = {{.status = statuses[i], .body = "no"}};
        auto_server *from = server_start(replies, COUNT(replies));
        auto_server *to = server_start(accepting, COUNT(accepting));
        auto_bench b;

        bench_start(&b, 1);
        if (!relay(&b, from, to, SMALL_LEN))
            fail_msg("%d: %s", statuses[i], b.err.text);
        assert_int_equal(b.get.status, statuses[i]);
        assert_int_equal(b.put.status, 0);
        assert_string_equal(b.get.body.ptr, "no");
        assert_int_equal(server_count(to, NULL, NULL), 0);
    }
}

static void relay_hands_out_what_the_destination_refuses_with(void **state)
{
    auto_free char *body = large_body();
    const struct server_reply replies[] = {{.status = 200, .body = body, .body_len = LARGE_LEN}};
    const struct server_reply refusing[] = {{.status = 404, .body = "gone"}};
    const struct server_reply early[] = {
        {.status = 413, .body = "too large", .fault = SERVER_FAULT_EARLY}};
    auto_server *from = server_start(replies, COUNT(replies));
    auto_server *late = server_start(refusing, COUNT(refusing));
    auto_server *hasty = server_start(early, COUNT(early));
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    if (!relay(&b, from, late, LARGE_LEN))
        fail_msg("%s", b.err.text);
    assert_int_equal(b.put.status, 404);
    assert_string_equal(b.put.body.ptr, "gone");
    if (!relay(&b, from, hasty, LARGE_LEN))
        fail_msg("%s", b.err.text);
    assert_int_equal(b.put.status, 413);
}

static void relay_lets_no_early_success_spare_the_rest(void **state)
{
    auto_free char *body = large_body();
    const struct server_reply replies[] = {{.status = 200, .body = body, .body_len = LARGE_LEN}};
    const struct server_reply early[] = {{.status = 201, .fault = SERVER_FAULT_EARLY}};
    auto_server *from = server_start(replies, COUNT(replies));
    auto_server *to = server_start(early, COUNT(early));
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    /* Either it is not believed, or everything was sent and verified all the same. */
    if (relay(&b, from, to, LARGE_LEN))
        assert_int_equal(b.verifications, 1);
    else
        assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    b.refuse = true;
    assert_false(relay(&b, from, to, LARGE_LEN));
}

static void relay_fails_when_the_destination_hangs_up(void **state)
{
    auto_free char *body = large_body();
    const struct server_reply replies[] = {{.status = 200, .body = body, .body_len = LARGE_LEN}};
    const struct server_reply resetting[] = {{.fault = SERVER_FAULT_HANG_UP, .fault_at = 2u << 20}};
    auto_server *from = server_start(replies, COUNT(replies));
    auto_server *to = server_start(resetting, COUNT(resetting));
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    assert_false(relay(&b, from, to, LARGE_LEN));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_int_equal(server_count(to, NULL, NULL), 1);
    /* The same connections serve the next one. */
    server_stop(to);
    to = server_start(accepting, COUNT(accepting));
    b.verifications = 0;
    if (!relay(&b, from, to, LARGE_LEN))
        fail_msg("%s", b.err.text);
    assert_arrived(&b, to, body, LARGE_LEN);
}

static void relay_ends_when_cancelled(void **state)
{
    struct server_reply replies[] = {
        {.status = 200, .body = SMALL, .fault = SERVER_FAULT_STALL, .fault_at = 10}};
    auto_server *from = NULL;
    auto_server *to = server_start(accepting, COUNT(accepting));
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    replies[0].cancel = &b.cancel;
    from = server_start(replies, COUNT(replies));
    assert_false(relay(&b, from, to, SMALL_LEN));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_int_equal(b.clock.wait_count, 0);
}

static void relay_goes_on_where_the_source_drips(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1, .status = 200, .body = SMALL, .fault = SERVER_FAULT_DRIP, .fault_at = 30},
        {.status = 200, .body = SMALL, .ranges = true}};
    auto_server *from = server_start(replies, COUNT(replies));
    auto_server *to = server_start(accepting, COUNT(accepting));
    auto_bench b;

    (void)state;
    bench_start_stalling(&b, 9, 300);
    if (!relay(&b, from, to, SMALL_LEN))
        fail_msg("%s", b.err.text);
    assert_arrived(&b, to, SMALL, SMALL_LEN);
    assert_int_equal(server_count(from, NULL, NULL), 2);
}

static void relay_asks_for_a_new_signature(void **state)
{
    const struct server_reply there[] = {
        {.path = "/signed1",
         .times = 1,
         .status = 200,
         .body = SMALL,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 7},
        {.path = "/signed2", .status = 403, .body = "Request has expired"},
        {.path = "/signed3", .status = 200, .body = SMALL, .ranges = true}};
    auto_server *store = server_start(there, COUNT(there));
    auto_free char *first = mir_format("Location: %s/signed1\r\n", server_url(store));
    auto_free char *second = mir_format("Location: %s/signed2\r\n", server_url(store));
    auto_free char *third = mir_format("Location: %s/signed3\r\n", server_url(store));
    const struct server_reply home[] = {{.times = 1, .status = 307, .headers = first},
                                        {.times = 1, .status = 307, .headers = second},
                                        {.status = 307, .headers = third}};
    auto_server *from = server_start(home, COUNT(home));
    auto_server *to = server_start(accepting, COUNT(accepting));
    auto_bench b;

    (void)state;
    bench_start(&b, 1);
    if (!relay(&b, from, to, SMALL_LEN))
        fail_msg("%s", b.err.text);
    assert_arrived(&b, to, SMALL, SMALL_LEN);
    assert_int_equal(server_count(from, NULL, NULL), 3);
    assert_int_equal(b.clock.wait_count, 1);
}

/* A server may send an upload elsewhere before, or after, it has seen much of it. */
static void relay_follows_the_destination_elsewhere(void **state)
{
    auto_free char *body = large_body();
    const size_t sizes[] = {5, 1000, LARGE_LEN};

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const struct server_reply source[] = {
            {.status = 200, .body = body, .body_len = sizes[i], .ranges = true}};
        auto_server *from = server_start(source, COUNT(source));
        auto_server *away = server_start(accepting, COUNT(accepting));
        auto_free char *headers = mir_format("Location: %s/upload\r\n", server_url(away));
        const struct server_reply home[] = {{.status = 307, .headers = headers}};
        auto_server *to = server_start(home, COUNT(home));
        auto_bench b;

        bench_start(&b, 0);
        if (!relay(&b, from, to, sizes[i]))
            fail_msg("%zu bytes: %s", sizes[i], b.err.text);
        assert_int_equal(b.put.status, 201);
        assert_int_equal(b.restarts, 1);
        assert_int_equal(b.seen.len, sizes[i]);
        assert_memory_equal(server_request(away, "PUT", "/upload", 0)->body, body, sizes[i]);
        assert_true(server_was_told(to, "Bearer to"));
        assert_false(server_was_told(away, "Bearer"));
    }
}

static void relay_goes_on_after_a_stall(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1, .status = 200, .body = SMALL, .fault = SERVER_FAULT_STALL, .fault_at = 10},
        {.status = 200, .body = SMALL, .ranges = true}};
    auto_server *from = server_start(replies, COUNT(replies));
    auto_server *to = server_start(accepting, COUNT(accepting));
    auto_bench b;

    (void)state;
    bench_start_stalling(&b, 9, 400);
    if (!relay(&b, from, to, SMALL_LEN))
        fail_msg("%s", b.err.text);
    assert_arrived(&b, to, SMALL, SMALL_LEN);
}

static int set_up(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    return http_global_init(&err) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_global_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relay_moves_small_and_large),
        cmocka_unit_test(relay_goes_on_where_the_source_broke),
        cmocka_unit_test(relay_follows_the_source_elsewhere),
        cmocka_unit_test(relay_never_completes_what_is_not_verified),
        cmocka_unit_test(relay_withholds_the_last_byte_until_the_source_has_ended),
        cmocka_unit_test(relay_stops_when_sizes_differ),
        cmocka_unit_test(relay_hands_out_what_the_source_refuses_with),
        cmocka_unit_test(relay_hands_out_what_the_destination_refuses_with),
        cmocka_unit_test(relay_lets_no_early_success_spare_the_rest),
        cmocka_unit_test(relay_fails_when_the_destination_hangs_up),
        cmocka_unit_test(relay_ends_when_cancelled),
        cmocka_unit_test(relay_goes_on_after_a_stall),
        cmocka_unit_test(relay_goes_on_where_the_source_drips),
        cmocka_unit_test(relay_asks_for_a_new_signature),
        cmocka_unit_test(relay_follows_the_destination_elsewhere),
    };

    return cmocka_run_group_tests_name("http/relay", tests, set_up, tear_down);
}
