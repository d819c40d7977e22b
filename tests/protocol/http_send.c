/*
 * One request against a server that plays foul: retries, ranges, redirects, limits, cancelling.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/fake_clock.h"
#include "lib/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BODY         "0123456789abcdefghijklmnopqrstuvwxyz"
#define BODY_LEN     (sizeof(BODY) - 1)

/* ---- the bench ----------------------------------------------------------------------------- */

struct bench {
    struct fake_clock clock;
    struct mir_cancel cancel;
    struct http_client *client;
    struct http_conn *conn;
    struct http_response response;
    struct mir_error err;
    struct mir_buf got; /* what the sink saw */
    bool sink_fails;
};

static void bench_start_with(struct bench *b, struct http_options options)
{
    *b = (struct bench){.cancel = {0}};
    fake_clock_init(&b->clock);
    options.clock = &b->clock.clock;
    options.cancel = &b->cancel;
    b->client = http_client_new(&options);
    b->conn = http_conn_new(b->client);
    mir_buf_init(&b->got, 64u << 20);
}

static void bench_start(struct bench *b, unsigned retry_times)
{
    bench_start_with(b, (struct http_options){.retry_times = retry_times});
}

static void bench_stop(struct bench *b)
{
    http_response_release(&b->response);
    http_conn_free(b->conn);
    http_client_free(b->client);
    mir_buf_release(&b->got);
}
#define auto_bench __attribute__((cleanup(bench_stop))) struct bench

static bool take(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    struct bench *b = ctx;

    if (b->sink_fails)
        return mir_fail(err, MIR_E_SPACE, "the disk is full");
    mir_buf_add(&b->got, bytes);
    return true;
}

/* GET path; with a sink when size is not 0. */
static bool get(struct bench *b, const struct server *server, const char *path, uint64_t size)
{
    auto_free char *url = mir_format("%s%s", server_url(server), path);
    const struct http_sink sink = {.write = take, .ctx = b};
    const struct http_request request = {.method = HTTP_GET,
                                         .url = url,
                                         .authorization = "Bearer secret-token",
                                         .sink = size > 0 ? &sink : NULL,
                                         .has_size = size > 0,
                                         .size = size,
                                         .body_max = 1000};

    mir_error_clear(&b->err);
    http_response_release(&b->response);
    mir_buf_clear(&b->got);
    return http_send(b->conn, &request, &b->response, &b->err);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static void assert_got_body(const struct bench *b)
{
    if (b->err.code != MIR_OK)
        fail_msg("%s", b->err.text);
    assert_string_equal(b->got.ptr, BODY);
    assert_int_equal(b->response.reached, BODY_LEN);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void send_hands_out_status_headers_and_body(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/x", .status = 200, .headers = "X-One: a\r\nx-one:  b \r\n", .body = "hello"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    assert_true(get(&b, server, "/x", 0));
    assert_int_equal(b.response.status, 200);
    assert_string_equal(b.response.body.ptr, "hello");
    assert_string_equal(http_response_header(&b.response, "X-ONE"), "a");
    assert_string_equal(http_response_header_at(&b.response, "X-One", 1), "b");
    assert_null(http_response_header_at(&b.response, "X-One", 2));
    assert_null(http_response_header(&b.response, "X-Two"));
    assert_int_equal(http_client_requests(b.client), 1);
}

static void send_leaves_refusals_to_the_caller(void **state)
{
    const int statuses[] = {400, 401, 403, 404, 416, 501, 507};

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        const struct server_reply replies[] = {{.status = statuses[i], .body = "no"}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_bench b;

        bench_start(&b, 3);
        assert_true(get(&b, server, "/x", BODY_LEN));
        assert_int_equal(b.response.status, statuses[i]);
        assert_string_equal(b.response.body.ptr, "no");
        assert_int_equal(b.got.len, 0);
        assert_int_equal(server_count(server, NULL, NULL), 1);
    }
}

static void send_keeps_one_connection_for_many_requests(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = "x", .headers = ""}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    for (int i = 0; i < 20; i++)
        assert_true(get(&b, server, "/x", 0));
    assert_int_equal(server_count(server, NULL, NULL), 20);
    assert_int_equal(server_connections(server), 1);
}

static bool read_letters(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    (void)ctx;
    (void)err;
    memcpy(data, &BODY[offset], len);
    return true;
}

static void send_repeats_a_body_from_its_start(void **state)
{
    const struct server_reply replies[] = {
        {.method = "PUT", .times = 1, .fault = SERVER_FAULT_HANG_UP, .fault_at = 7},
        {.method = "PUT", .times = 1, .status = 503},
        {.method = "PUT", .status = 201}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct http_source source = {.read = read_letters};
    struct http_request request = {
        .method = HTTP_PUT, .url = server_url(server), .source = &source, .source_len = BODY_LEN};
    auto_bench b;
    const struct server_request *last;
    auto_free char *length = NULL;
    auto_free char *expect = NULL;

    (void)state;
    bench_start(&b, 3);
    assert_true(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.response.status, 201);
    last = server_request(server, "PUT", NULL, 2);
    assert_non_null(last);
    assert_string_equal(last->body, BODY);
    length = server_header(last, "Content-Length");
    assert_string_equal(length, "36");
    expect = server_header(last, "Expect");
    assert_null(expect);
}

static void send_tries_a_request_marked_once_only_once(void **state)
{
    const struct server_reply replies[] = {{.status = 503}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct http_request request = {
        .method = HTTP_POST, .url = server_url(server), .once = true};
    auto_bench b;

    (void)state;
    bench_start(&b, 5);
    assert_true(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.response.status, 503);
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

/* ---- retries ------------------------------------------------------------------------------- */

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
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_RESET, .fault_at = 0}},
        {"reset in the body",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_RESET, .fault_at = 5}},
        {"cut body", {.status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 9}},
        {"unmarked and short",
         {.status = 200, .body = "0123456789", .fault = SERVER_FAULT_UNMARKED}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct server_reply replies[] = {rows[i].fault,
                                         {.status = 200, .body = BODY, .ranges = true}};
        auto_server *server = NULL;
        auto_bench b;

        replies[0].times = 2;
        server = server_start(replies, COUNT(replies));
        bench_start(&b, 2);
        if (!get(&b, server, "/blob", BODY_LEN) || strcmp(b.got.ptr, BODY) != 0 ||
            b.clock.wait_count != 2 || server_count(server, "GET", "/blob") != 3)
            fail_msg("%s: %s, \"%s\", %zu waits, %zu requests", rows[i].label, b.err.text,
                     b.got.ptr, b.clock.wait_count, server_count(server, NULL, NULL));
    }
}

static void send_gives_up_after_retry_times(void **state)
{
    const struct server_reply refusing[] = {{.status = 500, .body = "sorry"}};
    const struct server_reply cutting[] = {
        {.status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 4}};
    auto_server *one = server_start(refusing, COUNT(refusing));
    auto_server *two = server_start(cutting, COUNT(cutting));
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    assert_true(get(&b, one, "/x", 0));
    assert_int_equal(b.response.status, 500);
    assert_string_equal(b.response.body.ptr, "sorry");
    assert_int_equal(server_count(one, NULL, NULL), 4);
    assert_false(get(&b, two, "/x", BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_int_equal(server_count(two, NULL, NULL), 4);
}

static void send_waits_longer_each_time_and_never_the_same(void **state)
{
    const struct server_reply replies[] = {{.status = 500}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 9);
    assert_true(get(&b, server, "/x", 0));
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
        auto_bench b;

        bench_start(&b, 1);
        assert_true(get(&b, server, "/x", 0));
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
    auto_bench b;

    (void)state;
    memset(body, 'x', len);
    bench_start(&b, 1);
    if (!get(&b, server, "/big", len))
        fail_msg("%s", b.err.text);
    assert_int_equal(b.got.len, len);
    assert_int_equal(server_count(server, NULL, NULL), 5);
}

/* A port that is taken, and where nobody listens. */
static int claim_port(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void send_says_who_cannot_be_reached(void **state)
{
    unsigned port = 0;
    auto_close int fd = claim_port(&port);
    auto_free char *url = mir_format("http://user:secret@127.0.0.1:%u/x?sig=secret", port);
    const struct http_request request = {.method = HTTP_GET, .url = url};
    auto_bench b;

    (void)state;
    assert_true(fd >= 0);
    bench_start(&b, 2);
    assert_false(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_has(b.err.text, "GET http://***@127.0.0.1:");
    assert_has(b.err.text, "?sig=***: ");
    assert_null(strstr(b.err.text, "secret"));
    assert_int_equal(b.clock.wait_count, 2);
    assert_int_equal(http_client_requests(b.client), 0);
}

static void send_ends_a_stalled_transfer_and_goes_on(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1, .status = 200, .body = BODY, .fault = SERVER_FAULT_STALL, .fault_at = 10},
        {.status = 200, .body = BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;
    auto_free char *range = NULL;

    (void)state;
    bench_start_with(&b, (struct http_options){.retry_times = 9, .stall_timeout_ms = 400});
    (void)get(&b, server, "/x", BODY_LEN);
    assert_got_body(&b);
    assert_true(b.clock.wait_count >= 1);
    range = server_header(server_request(server, NULL, NULL, 1), "Range");
    assert_string_equal(range, "bytes=10-");
}

/* ---- ranges -------------------------------------------------------------------------------- */

static void send_goes_on_where_the_body_broke(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1, .status = 200, .body = BODY, .fault = SERVER_FAULT_RESET, .fault_at = 10},
        {.times = 1,
         .status = 200,
         .body = BODY,
         .ranges = true,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 10},
        {.status = 200, .body = BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;
    auto_free char *first = NULL;
    auto_free char *third = NULL;

    (void)state;
    bench_start(&b, 2);
    (void)get(&b, server, "/x", BODY_LEN);
    assert_got_body(&b);
    first = server_header(server_request(server, NULL, NULL, 0), "Range");
    assert_null(first);
    third = server_header(server_request(server, NULL, NULL, 2), "Range");
    assert_string_equal(third, "bytes=20-");
}

static void send_skips_what_it_has_when_range_is_ignored(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1, .status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 10},
        {.times = 1, .status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 5},
        {.status = 200, .body = BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    (void)get(&b, server, "/x", BODY_LEN);
    assert_got_body(&b);
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
    replies[0] = (struct server_reply){
        .times = 1, .status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 10};
    replies[1] = (struct server_reply){
        .needs = "Range: ", .status = lie->status, .headers = lie->headers, .body = BODY};
    replies[2] = *last;
}

static void send_asks_for_all_where_a_range_is_answered_wrongly(void **state)
{
    const struct server_reply honest = {.status = 200, .body = BODY};

    (void)state;
    for (size_t i = 0; i < COUNT(range_lies); i++) {
        struct server_reply replies[3];
        auto_server *server = NULL;
        auto_bench b;

        lie_about_range(&range_lies[i], &honest, replies);
        server = server_start(replies, COUNT(replies));
        bench_start(&b, 1);
        if (!get(&b, server, "/x", BODY_LEN))
            fail_msg("%s: %s", range_lies[i].label, b.err.text);
        assert_got_body(&b);
        assert_int_equal(server_count(server, NULL, NULL), 3);
        assert_int_equal(b.clock.wait_count, 1); /* for the cut, not for the lie */
    }
}

/* Without Range a 206 is nothing but wrong, and a liar is not asked for ever. */
static void send_refuses_a_range_that_is_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(range_lies); i++) {
        const struct server_reply again = {
            .status = range_lies[i].status, .headers = range_lies[i].headers, .body = BODY};
        struct server_reply replies[3];
        auto_server *server = NULL;
        auto_bench b;
        bool answered;

        lie_about_range(&range_lies[i], &again, replies);
        server = server_start(replies, COUNT(replies));
        bench_start(&b, 5);
        answered = get(&b, server, "/x", BODY_LEN);
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
        {.status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 10}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 2);
    assert_false(get(&b, server, "/x", BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_int_equal(b.got.len, 10);
    assert_int_equal(server_count(server, NULL, NULL), 4);
}

static void send_refuses_a_success_without_a_body(void **state)
{
    const struct server_reply replies[] = {{.status = 204}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 5);
    assert_false(get(&b, server, "/x", BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_non_null(strstr(b.err.text, "a success without a body"));
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

static void send_refuses_a_part_that_was_not_asked_for(void **state)
{
    const struct server_reply replies[] = {
        {.status = 206, .headers = "Content-Range: bytes 0-35/36\r\n", .body = BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    assert_false(get(&b, server, "/x", BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_int_equal(b.got.len, 0);
}

/* ---- sizes --------------------------------------------------------------------------------- */

static void send_refuses_a_body_of_another_size(void **state)
{
    const struct {
        const char *label;
        struct server_reply reply;
        size_t at_most;
        const char *says;
    } rows[] = {
        {"longer, as announced", {.status = 200, .body = BODY "!"}, 0, "37 bytes where 36"},
        {"shorter, as announced", {.status = 200, .body = "0123"}, 0, "4 bytes where 36"},
        {"endless",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS},
         BODY_LEN,
         "longer than the 36 bytes expected"},
        {"unmarked and longer",
         {.status = 200, .body = BODY BODY, .fault = SERVER_FAULT_UNMARKED},
         BODY_LEN,
         "longer than the 36 bytes expected"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        auto_bench b;

        bench_start(&b, 3);
        if (get(&b, server, "/x", BODY_LEN) || b.err.code != MIR_E_DIGEST ||
            !strstr(b.err.text, rows[i].says) || b.got.len > rows[i].at_most)
            fail_msg("%s: %s, %zu bytes", rows[i].label, b.err.text, b.got.len);
        assert_int_equal(server_count(server, NULL, NULL), 1);
    }
}

static void send_bounds_what_it_keeps(void **state)
{
    const struct {
        const char *label;
        struct server_reply reply;
    } rows[] = {
        {"announced",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_LENGTH, .fault_at = 10u << 20}},
        {"endless", {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        auto_bench b;

        bench_start(&b, 3);
        if (get(&b, server, "/x", 0) || b.err.code != MIR_E_LIMIT)
            fail_msg("%s: %s", rows[i].label, b.err.text);
        assert_has(b.err.text, "over the limit of 1000");
        assert_int_equal(server_count(server, NULL, NULL), 1);
    }
}

static void send_cuts_an_endless_refusal(void **state)
{
    const struct server_reply replies[] = {
        {.status = 404, .body = BODY, .fault = SERVER_FAULT_ENDLESS}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    if (!get(&b, server, "/x", BODY_LEN))
        fail_msg("%s", b.err.text);
    assert_int_equal(b.response.status, 404);
    assert_int_equal(b.response.body.len, HTTP_ERROR_BODY_MAX);
}

static void send_bounds_the_header(void **state)
{
    const size_t len = 200u << 10;
    auto_free char *many = mir_alloc(len + 1);
    auto_free char *one = mir_format("X: %0200000d\r\n", 1);
    const char *const rows[] = {many, one};

    (void)state;
    for (size_t i = 0; i + 10 <= len; i += 10)
        memcpy(many + i, "X: abcde\r\n", 10);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {{.status = 200, .headers = rows[i]}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_bench b;

        bench_start(&b, 3);
        assert_false(get(&b, server, "/x", 0));
        if (b.err.code != MIR_E_LIMIT)
            fail_msg("row %zu: %s", i, b.err.text);
        assert_has(b.err.text, "too long");
    }
}

static void send_stops_when_the_sink_fails(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    b.sink_fails = true;
    assert_false(get(&b, server, "/x", BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_SPACE);
    assert_has(b.err.text, "the disk is full");
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

static void send_refuses_control_bytes_in_headers(void **state)
{
    const struct server_reply replies[] = {{.status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct http_request request = {
        .method = HTTP_GET, .url = server_url(server), .authorization = "Bearer a\r\nX-Evil: yes"};
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    assert_false(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_int_equal(server_count(server, NULL, NULL), 0);
}

/* ---- redirects ----------------------------------------------------------------------------- */

static void send_follows_redirects(void **state)
{
    const struct {
        const char *label;
        int status;
        const char *location;
    } rows[] = {
        {"301 path", 301, "Location: /there\r\n"},
        {"302 relative", 302, "Location: there\r\n"},
        {"303 absolute", 303, "Location: http://{host}/there\r\n"},
        {"307 without scheme", 307, "Location: //{host}/there#part\r\n"},
        {"308 path", 308, "Location: /there\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.path = "/here", .status = rows[i].status, .headers = rows[i].location},
            {.path = "/there", .status = 200, .body = BODY}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_bench b;
        auto_free char *sent = NULL;

        bench_start(&b, 0);
        if (!get(&b, server, "/here", BODY_LEN))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        assert_got_body(&b);
        assert_true(strstr(b.response.url, "/there") != NULL);
        sent = server_header(server_request(server, NULL, "/there", 0), "Authorization");
        assert_string_equal(sent, "Bearer secret-token");
        assert_int_equal(http_client_requests(b.client), 2);
    }
}

static void send_takes_no_authorization_elsewhere(void **state)
{
    const struct server_reply there[] = {
        {.path = "/blob?sig=x", .status = 200, .body = BODY},
        {.path = "/back", .status = 302, .headers = "Location: http://127.0.0.1:1/\r\n"}};
    auto_server *other = server_start(there, COUNT(there));
    auto_free char *away =
        mir_format("Location: %s/blob?sig=x\r\nSet-Cookie: a=b\r\n", server_url(other));
    const struct server_reply here[] = {{.status = 307, .headers = away}};
    auto_server *server = server_start(here, COUNT(here));
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    (void)get(&b, server, "/x", BODY_LEN);
    assert_got_body(&b);
    assert_true(server_was_told(server, "secret-token"));
    assert_false(server_was_told(other, "secret-token"));
    assert_false(server_was_told(other, "Authorization"));
    assert_false(server_was_told(other, "Cookie"));
    assert_false(server_was_told(other, "Referer"));
}

static void send_takes_no_authorization_back_home(void **state)
{
    struct server_reply here[] = {{.path = "/x", .status = 307},
                                  {.path = "/blob", .status = 200, .body = BODY}};
    struct server_reply there[] = {{.status = 307}};
    auto_server *server = server_start(here, COUNT(here));
    auto_free char *home = mir_format("Location: %s/blob\r\n", server_url(server));
    auto_server *other = NULL;
    auto_free char *away = NULL;
    auto_free char *sent = NULL;
    auto_bench b;

    (void)state;
    there[0].headers = home;
    other = server_start(there, COUNT(there));
    away = mir_format("Location: %s/y\r\n", server_url(other));
    here[0].headers = away;
    bench_start(&b, 0);
    (void)get(&b, server, "/x", BODY_LEN);
    assert_got_body(&b);
    sent = server_header(server_request(server, NULL, "/blob", 0), "Authorization");
    assert_null(sent);
}

static void send_asks_at_home_again_after_a_break(void **state)
{
    /* Signed URLs expire: each try gets a new one. */
    const struct server_reply replies[] = {
        {.path = "/x", .times = 1, .status = 307, .headers = "Location: /signed1\r\n"},
        {.path = "/x", .status = 307, .headers = "Location: /signed2\r\n"},
        {.path = "/signed1",
         .times = 1,
         .status = 200,
         .body = BODY,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 3},
        {.path = "/signed1", .status = 403},
        {.path = "/signed2", .status = 200, .body = BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 1);
    (void)get(&b, server, "/x", BODY_LEN);
    assert_got_body(&b);
    assert_int_equal(server_count(server, NULL, "/signed2"), 1);
}

static void send_refuses_bad_redirects(void **state)
{
    const struct {
        const char *label;
        const char *location;
        const char *says;
    } rows[] = {
        {"a file", "Location: file:///etc/passwd\r\n", "only http and https"},
        {"ftp", "Location: ftp://{host}/x\r\n", "only http and https"},
        {"credentials", "Location: http://me:hush@{host}/there\r\n", "credentials inside"},
        {"no URL", "Location: http://[::\r\n", "no valid URL"},
        {"itself", "Location: /loop\r\n", "more than 8 redirects"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.path = "/loop", .status = 302, .headers = rows[i].location}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_bench b;

        bench_start(&b, 3);
        if (get(&b, server, "/loop", BODY_LEN) || b.err.code != MIR_E_PROTOCOL ||
            !strstr(b.err.text, rows[i].says) || strstr(b.err.text, "hush"))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        assert_true(server_count(server, NULL, NULL) <= HTTP_REDIRECTS_MAX + 1);
        assert_int_equal(b.clock.wait_count, 0);
    }
}

static void send_turns_a_post_only_by_307_and_308(void **state)
{
    const int statuses[] = {301, 302, 303, 307, 308};

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        const struct server_reply replies[] = {
            {.path = "/there", .status = 202},
            {.status = statuses[i], .headers = "Location: /there\r\n"}};
        auto_server *server = server_start(replies, COUNT(replies));
        const struct http_request request = {.method = HTTP_POST, .url = server_url(server)};
        auto_bench b;

        bench_start(&b, 0);
        assert_true(http_send(b.conn, &request, &b.response, &b.err));
        assert_int_equal(b.response.status, statuses[i] >= 307 ? 202 : statuses[i]);
        assert_int_equal(server_count(server, "POST", "/there"), statuses[i] >= 307);
        assert_int_equal(server_count(server, "GET", NULL), 0);
    }
}

/* ---- cancelling ---------------------------------------------------------------------------- */

static void send_ends_when_cancelled_in_a_transfer(void **state)
{
    struct mir_cancel *cancel = NULL;
    struct server_reply replies[] = {
        {.status = 200, .body = BODY, .fault = SERVER_FAULT_STALL, .fault_at = 10}};
    auto_server *server = NULL;
    auto_bench b;
    int64_t before;

    (void)state;
    bench_start(&b, 5);
    cancel = &b.cancel;
    replies[0].cancel = cancel;
    server = server_start(replies, COUNT(replies));
    before = mir_clock_now(mir_clock_real());
    assert_false(get(&b, server, "/x", BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_true(mir_clock_now(mir_clock_real()) - before < 2000);
    assert_int_equal(b.clock.wait_count, 0);
}

static void send_ends_when_cancelled_in_a_wait(void **state)
{
    const struct server_reply replies[] = {{.status = 503, .headers = "Retry-After: 100\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    bench_start(&b, 5);
    b.clock.cancel = &b.cancel;
    assert_false(get(&b, server, "/x", BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_int_equal(b.clock.wait_count, 1);
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

/* ---- URLs ---------------------------------------------------------------------------------- */

static void redact_hides_secrets(void **state)
{
    const struct {
        const char *url;
        const char *shown;
    } rows[] = {
        {"https://h/v2/", "https://h/v2/"},
        {"https://u:p@h:5/x", "https://***@h:5/x"},
        {"https://u:p@q@h/x", "https://***@h/x"},
        {"https://h/x?digest=sha256:1&X-Amz-Signature=abc",
         "https://h/x?digest=sha256:1&X-Amz-Signature=***"},
        {"https://h/x?_state=abc", "https://h/x?_state=***"},
        {"https://h/x?token", "https://h/x?***"},
        {"https://h/x?a=1#secret", "https://h/x?a=***"},
        {"https://h?u=a@b", "https://h?u=***"},
        {"h/x\r\ny", "h/x??y"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *shown = http_url_redact(rows[i].url);

        assert_string_equal(shown, rows[i].shown);
    }
}

static void urls_know_their_origin(void **state)
{
    (void)state;
    assert_true(http_url_same_origin("https://h/a", "https://H:443/b?c"));
    assert_false(http_url_same_origin("https://h/a", "http://h/a"));
    assert_false(http_url_same_origin("https://h/a", "https://h:444/a"));
    assert_false(http_url_same_origin("https://h/a", "https://h.evil/a"));
    assert_false(http_url_same_origin("https://h/a", "https://h@evil/a"));
    assert_false(http_url_same_origin("x", ""));
    assert_true(http_host_is_loopback(mir_span_of("localhost:5000")));
    assert_true(http_host_is_loopback(mir_span_of("a.localhost")));
    assert_true(http_host_is_loopback(mir_span_of("127.1.2.3:1")));
    assert_true(http_host_is_loopback(mir_span_of("[::1]:5000")));
    assert_false(http_host_is_loopback(mir_span_of("notlocalhost")));
    assert_false(http_host_is_loopback(mir_span_of("127.0.0.1.evil.com")));
    assert_false(http_host_is_loopback(mir_span_of("10.0.0.1")));
    assert_false(http_host_is_loopback(mir_span_of("[::2]")));
}

static void proxies_are_not_asked_for_loopback(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = "direct"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_bench b;

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    bench_start(&b, 0);
    if (!get(&b, server, "/x", 0))
        fail_msg("%s", b.err.text);
    assert_int_equal(unsetenv("http_proxy"), 0);
}

static void proxies_come_from_either_name(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = "by proxy"}};
    auto_server *proxy = server_start(replies, COUNT(replies));
    auto_free char *setting = mir_format("http://me:hush@%s", server_host(proxy));
    const struct http_request request = {
        .method = HTTP_GET, .url = "http://registry.invalid/x", .body_max = 100};
    const char *const names[] = {"http_proxy", "HTTP_PROXY"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        auto_bench b;

        assert_int_equal(setenv(names[i], setting, 1), 0);
        bench_start(&b, 0);
        if (!http_send(b.conn, &request, &b.response, &b.err))
            fail_msg("%s: %s", names[i], b.err.text);
        assert_string_equal(b.response.body.ptr, "by proxy");
        assert_int_equal(unsetenv(names[i]), 0);
    }
    assert_int_equal(server_count(proxy, "GET", "http://registry.invalid/x"), 2);
    assert_true(server_was_told(proxy, "Proxy-Authorization: Basic"));
}

static void proxies_that_refuse_are_named(void **state)
{
    const struct {
        int status;
        enum mir_code code;
        const char *says;
        size_t tries;
    } rows[] = {
        {407, MIR_E_AUTH, "the proxy: 407 Proxy Authentication Required", 1},
        {403, MIR_E_PROTOCOL, "the proxy refuses to connect: 403 Forbidden", 1},
        {503, MIR_E_NETWORK, "the proxy refuses to connect: 503", 2},
    };
    const struct http_request request = {.method = HTTP_GET, .url = "https://registry.invalid/x"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {{.status = rows[i].status}};
        auto_server *proxy = server_start(replies, COUNT(replies));
        auto_free char *setting = mir_format("http://me:hush@%s", server_host(proxy));
        auto_bench b;

        assert_int_equal(setenv("https_proxy", setting, 1), 0);
        bench_start(&b, 1);
        if (http_send(b.conn, &request, &b.response, &b.err) || b.err.code != rows[i].code ||
            !strstr(b.err.text, rows[i].says) || strstr(b.err.text, "hush"))
            fail_msg("%d: %d %s", rows[i].status, b.err.code, b.err.text);
        assert_int_equal(server_count(proxy, "CONNECT", "registry.invalid:443"), rows[i].tries);
        assert_int_equal(unsetenv("https_proxy"), 0);
    }
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
        cmocka_unit_test(send_hands_out_status_headers_and_body),
        cmocka_unit_test(send_leaves_refusals_to_the_caller),
        cmocka_unit_test(send_keeps_one_connection_for_many_requests),
        cmocka_unit_test(send_repeats_a_body_from_its_start),
        cmocka_unit_test(send_tries_a_request_marked_once_only_once),
        cmocka_unit_test(send_tries_again_what_may_pass),
        cmocka_unit_test(send_gives_up_after_retry_times),
        cmocka_unit_test(send_waits_longer_each_time_and_never_the_same),
        cmocka_unit_test(send_waits_as_retry_after_says),
        cmocka_unit_test(send_does_not_count_a_try_that_brought_much),
        cmocka_unit_test(send_says_who_cannot_be_reached),
        cmocka_unit_test(send_ends_a_stalled_transfer_and_goes_on),
        cmocka_unit_test(send_goes_on_where_the_body_broke),
        cmocka_unit_test(send_skips_what_it_has_when_range_is_ignored),
        cmocka_unit_test(send_asks_for_all_where_a_range_is_answered_wrongly),
        cmocka_unit_test(send_refuses_a_range_that_is_none),
        cmocka_unit_test(send_bounds_the_tries_without_ranges),
        cmocka_unit_test(send_refuses_a_success_without_a_body),
        cmocka_unit_test(send_refuses_a_part_that_was_not_asked_for),
        cmocka_unit_test(send_refuses_a_body_of_another_size),
        cmocka_unit_test(send_bounds_what_it_keeps),
        cmocka_unit_test(send_cuts_an_endless_refusal),
        cmocka_unit_test(send_bounds_the_header),
        cmocka_unit_test(send_stops_when_the_sink_fails),
        cmocka_unit_test(send_refuses_control_bytes_in_headers),
        cmocka_unit_test(send_follows_redirects),
        cmocka_unit_test(send_takes_no_authorization_elsewhere),
        cmocka_unit_test(send_takes_no_authorization_back_home),
        cmocka_unit_test(send_asks_at_home_again_after_a_break),
        cmocka_unit_test(send_refuses_bad_redirects),
        cmocka_unit_test(send_turns_a_post_only_by_307_and_308),
        cmocka_unit_test(send_ends_when_cancelled_in_a_transfer),
        cmocka_unit_test(send_ends_when_cancelled_in_a_wait),
        cmocka_unit_test(redact_hides_secrets),
        cmocka_unit_test(urls_know_their_origin),
        cmocka_unit_test(proxies_are_not_asked_for_loopback),
        cmocka_unit_test(proxies_come_from_either_name),
        cmocka_unit_test(proxies_that_refuse_are_named),
    };

    return cmocka_run_group_tests_name("http/send", tests, set_up, tear_down);
}
