/*
 * One request that fails on the way: retries, waits, going on where a body broke.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/http_bench.h"
#include "lib/must.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- retries ------------------------------------------------------------------------------- */

/* Too long for a name, so no resolver of the machine is troubled with it. */
#define NOBODY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid"

static void send_tries_again_where_a_name_is_not_found(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = HTTP_BENCH_BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;
    const struct http_request request = {.method = HTTP_GET, .url = "http://" NOBODY "/"};

    (void)state;
    http_bench_start(&b, 2);
    assert_false(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    must_have(b.err.text, "resolve");
    assert_int_equal(b.clock.wait_count, 2);
    /* And the connection serves as before. */
    must(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN), &b.err);
    http_bench_must_have_body(&b);
}

static void send_tries_again_what_may_pass(void **state)
{
    const struct {
        const char *label;
        struct server_reply fault;
    } rows[] = {
        {"500", {.status = 500}},
        {"502", {.status = 502}},
        {"503", {.status = 503}},
        {"504", {.status = 504}},
        {"408", {.status = 408}},
        {"429", {.status = 429}},
        {"silence", {.fault = SERVER_FAULT_SILENCE}},
        {"reset before the body",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_RESET, .fault_at = 0}},
        {"reset in the body",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_RESET, .fault_at = 5}},
        {"cut body",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_CUT, .fault_at = 9}},
        {"unmarked and short",
         {.status = 200, .body = "0123456789", .fault = SERVER_FAULT_UNMARKED}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct server_reply replies[] = {rows[i].fault,
                                         {.status = 200, .body = HTTP_BENCH_BODY, .ranges = true}};
        auto_server *server = NULL;
        auto_http_bench b;

        replies[0].times = 2;
        server = server_start(replies, COUNT(replies));
        http_bench_start(&b, 2);
        if (!http_bench_get(&b, server, "/blob", HTTP_BENCH_BODY_LEN) ||
            strcmp(b.got.ptr, HTTP_BENCH_BODY) != 0 || b.clock.wait_count != 2 ||
            server_count(server, "GET", "/blob") != 3)
            fail_msg("%s: %s, \"%s\", %zu waits, %zu requests", rows[i].label, b.err.text,
                     b.got.ptr, b.clock.wait_count, server_count(server, NULL, NULL));
    }
}

static void send_gives_up_after_retry_times(void **state)
{
    const struct server_reply refusing[] = {{.status = 500, .body = "sorry"}};
    const struct server_reply cutting[] = {
        {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_CUT, .fault_at = 4}};
    auto_server *one = server_start(refusing, COUNT(refusing));
    auto_server *two = server_start(cutting, COUNT(cutting));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 3);
    assert_true(http_bench_get(&b, one, "/x", 0));
    assert_int_equal(b.response.status, 500);
    assert_string_equal(b.response.body.ptr, "sorry");
    assert_int_equal(server_count(one, NULL, NULL), 4);
    assert_false(http_bench_get(&b, two, "/x", HTTP_BENCH_BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_int_equal(server_count(two, NULL, NULL), 4);
}

static void send_waits_longer_each_time_and_never_the_same(void **state)
{
    const struct server_reply replies[] = {{.status = 500}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 9);
    assert_true(http_bench_get(&b, server, "/x", 0));
    assert_int_equal(b.clock.wait_count, 9);
    for (size_t i = 0; i < b.clock.wait_count; i++) {
        int64_t step = (int64_t)500 << i;

        if (step > 30000)
            step = 30000;
        assert_in_range(b.clock.waits[i], step / 2, step);
    }
}

static void send_waits_as_retry_after_says(void **state)
{
    const struct {
        const char *label;
        const char *headers;
        int64_t least, most;
    } rows[] = {
        {"seconds", "Retry-After: 7\r\n", 7000, 7000},
        {"a date",
         "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 12:00:42 GMT\r\n",
         42000, 42000},
        {"capped", "Retry-After: 86400\r\n", HTTP_RETRY_AFTER_MAX_MS, HTTP_RETRY_AFTER_MAX_MS},
        {"a far date",
         "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2036 12:00:42 GMT\r\n",
         HTTP_RETRY_AFTER_MAX_MS, HTTP_RETRY_AFTER_MAX_MS},
        {"nonsense", "Retry-After: soon\r\n", 250, 500},
        {"the past",
         "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 11:00:42 GMT\r\n",
         250, 500},
        {"too large to be a number", "Retry-After: 99999999999999999999999\r\n", 250, 500},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.times = 1, .status = 429, .headers = rows[i].headers}, {.status = 200}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_http_bench b;

        http_bench_start(&b, 1);
        assert_true(http_bench_get(&b, server, "/x", 0));
        if (b.clock.wait_count != 1 || b.clock.waits[0] < rows[i].least ||
            b.clock.waits[0] > rows[i].most)
            fail_msg("%s: waited %lld ms", rows[i].label, (long long)b.clock.waits[0]);
    }
}

static void send_does_not_count_a_try_that_brought_much(void **state)
{
    const size_t len = 5u << 20;
    auto_free char *body = mir_alloc(len);
    struct server_reply replies[] = {{.status = 200,
                                      .body = body,
                                      .body_len = len,
                                      .ranges = true,
                                      .fault = SERVER_FAULT_CUT,
                                      .fault_at = (1u << 20) + 1}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    memset(body, 'x', len);
    http_bench_start(&b, 1);
    if (!http_bench_get(&b, server, "/big", len))
        fail_msg("%s", b.err.text);
    assert_int_equal(b.got.len, len);
    assert_int_equal(server_count(server, NULL, NULL), 5);
}

static void send_ends_a_stalled_transfer_and_goes_on(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1,
         .status = 200,
         .body = HTTP_BENCH_BODY,
         .fault = SERVER_FAULT_STALL,
         .fault_at = 10},
        {.status = 200, .body = HTTP_BENCH_BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;
    auto_free char *range = NULL;

    (void)state;
    http_bench_start_with(&b, (struct http_options){.retry_times = 9, .stall_timeout_ms = 400});
    (void)http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN);
    http_bench_must_have_body(&b);
    assert_true(b.clock.wait_count >= 1);
    range = server_header(server_request(server, NULL, NULL, 1), "Range");
    assert_string_equal(range, "bytes=10-");
}

/* ---- ranges -------------------------------------------------------------------------------- */

static void send_goes_on_where_the_body_broke(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1,
         .status = 200,
         .body = HTTP_BENCH_BODY,
         .fault = SERVER_FAULT_RESET,
         .fault_at = 10},
        {.times = 1,
         .status = 200,
         .body = HTTP_BENCH_BODY,
         .ranges = true,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 10},
        {.status = 200, .body = HTTP_BENCH_BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;
    auto_free char *first = NULL;
    auto_free char *third = NULL;

    (void)state;
    http_bench_start(&b, 2);
    (void)http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN);
    http_bench_must_have_body(&b);
    first = server_header(server_request(server, NULL, NULL, 0), "Range");
    assert_null(first);
    third = server_header(server_request(server, NULL, NULL, 2), "Range");
    assert_string_equal(third, "bytes=20-");
}

static void send_skips_what_it_has_when_range_is_ignored(void **state)
{
    const struct server_reply replies[] = {{.times = 1,
                                            .status = 200,
                                            .body = HTTP_BENCH_BODY,
                                            .fault = SERVER_FAULT_CUT,
                                            .fault_at = 10},
                                           {.times = 1,
                                            .status = 200,
                                            .body = HTTP_BENCH_BODY,
                                            .fault = SERVER_FAULT_CUT,
                                            .fault_at = 5},
                                           {.status = 200, .body = HTTP_BENCH_BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 3);
    (void)http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN);
    http_bench_must_have_body(&b);
}

static const struct lie {
    const char *label;
    int status;
    const char *headers;
} range_lies[] = {
    {"another start", 206, "Content-Range: bytes 9-35/36\r\n"},
    {"from zero", 206, "Content-Range: bytes 0-35/36\r\n"},
    {"another total", 206, "Content-Range: bytes 10-36/37\r\n"},
    {"not to the end", 206, "Content-Range: bytes 10-20/36\r\n"},
    {"none", 206, ""},
    {"nonsense", 206, "Content-Range: bytes x-y/z\r\n"},
    {"backwards", 206, "Content-Range: bytes 20-10/36\r\n"},
    {"overflow", 206, "Content-Range: bytes 10-99999999999999999999/36\r\n"},
    {"not satisfiable", 416, "Content-Range: bytes */36\r\n"},
};

/* The first answer breaks at byte 10; a range is answered by a lie; what then comes is `last`. */
static void lie_about_range(const struct lie *lie, const struct server_reply *last,
                            struct server_reply replies[3])
{
    replies[0] = (struct server_reply){.times = 1,
                                       .status = 200,
                                       .body = HTTP_BENCH_BODY,
                                       .fault = SERVER_FAULT_CUT,
                                       .fault_at = 10};
    replies[1] = (struct server_reply){.needs = "Range: ",
                                       .status = lie->status,
                                       .headers = lie->headers,
                                       .body = HTTP_BENCH_BODY};
    replies[2] = *last;
}

static void send_asks_for_all_where_a_range_is_answered_wrongly(void **state)
{
    const struct server_reply honest = {.status = 200, .body = HTTP_BENCH_BODY};

    (void)state;
    for (size_t i = 0; i < COUNT(range_lies); i++) {
        struct server_reply replies[3];
        auto_server *server = NULL;
        auto_http_bench b;

        lie_about_range(&range_lies[i], &honest, replies);
        server = server_start(replies, COUNT(replies));
        http_bench_start(&b, 1);
        if (!http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN))
            fail_msg("%s: %s", range_lies[i].label, b.err.text);
        http_bench_must_have_body(&b);
        assert_int_equal(server_count(server, NULL, NULL), 3);
        assert_int_equal(b.clock.wait_count, 1); /* for the cut, not for the lie */
    }
}

/* Without Range a 206 is nothing but wrong, and a liar is not asked for ever. */
static void send_refuses_a_range_that_is_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(range_lies); i++) {
        const struct server_reply again = {.status = range_lies[i].status,
                                           .headers = range_lies[i].headers,
                                           .body = HTTP_BENCH_BODY};
        struct server_reply replies[3];
        auto_server *server = NULL;
        auto_http_bench b;
        bool answered;

        lie_about_range(&range_lies[i], &again, replies);
        server = server_start(replies, COUNT(replies));
        http_bench_start(&b, 5);
        answered = http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN);
        if (answered != (range_lies[i].status == 416) || b.got.len != 10 ||
            (!answered && b.err.code != MIR_E_PROTOCOL))
            fail_msg("%s: %s, %zu bytes", range_lies[i].label, b.err.text, b.got.len);
        assert_int_equal(server_count(server, NULL, NULL), 3);
    }
}

/* A server that breaks off again and again, and has no use for ranges: the sink still gets each
 * byte once, and the tries are bounded. */
static void send_bounds_the_tries_without_ranges(void **state)
{
    const struct server_reply replies[] = {
        {.needs = "Range: ", .status = 416},
        {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_CUT, .fault_at = 10}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 2);
    assert_false(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_int_equal(b.got.len, 10);
    assert_int_equal(server_count(server, NULL, NULL), 4);
}

static void send_refuses_a_success_without_a_body(void **state)
{
    const struct server_reply replies[] = {{.status = 204}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 5);
    assert_false(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_non_null(strstr(b.err.text, "a success without a body"));
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

static void send_refuses_a_part_that_was_not_asked_for(void **state)
{
    const struct server_reply replies[] = {
        {.status = 206, .headers = "Content-Range: bytes 0-35/36\r\n", .body = HTTP_BENCH_BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 0);
    assert_false(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_int_equal(b.got.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(send_tries_again_where_a_name_is_not_found),
        cmocka_unit_test(send_tries_again_what_may_pass),
        cmocka_unit_test(send_gives_up_after_retry_times),
        cmocka_unit_test(send_waits_longer_each_time_and_never_the_same),
        cmocka_unit_test(send_waits_as_retry_after_says),
        cmocka_unit_test(send_does_not_count_a_try_that_brought_much),
        cmocka_unit_test(send_ends_a_stalled_transfer_and_goes_on),
        cmocka_unit_test(send_goes_on_where_the_body_broke),
        cmocka_unit_test(send_skips_what_it_has_when_range_is_ignored),
        cmocka_unit_test(send_asks_for_all_where_a_range_is_answered_wrongly),
        cmocka_unit_test(send_refuses_a_range_that_is_none),
        cmocka_unit_test(send_bounds_the_tries_without_ranges),
        cmocka_unit_test(send_refuses_a_success_without_a_body),
        cmocka_unit_test(send_refuses_a_part_that_was_not_asked_for),
    };

    return cmocka_run_group_tests_name("http/retry", tests, http_bench_set_up,
                                       http_bench_tear_down);
}
