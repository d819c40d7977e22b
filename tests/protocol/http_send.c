/*
 * One request: what is handed out, its limits, who cannot be reached, cancelling.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/http_bench.h"
#include "lib/must.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- answers ------------------------------------------------------------------------------- */

static void send_hands_out_status_headers_and_body(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/x", .status = 200, .headers = "X-One: a\r\nx-one:  b \r\n", .body = "hello"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 0);
    assert_true(http_bench_get(&b, server, "/x", 0));
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
        auto_http_bench b;

        http_bench_start(&b, 3);
        assert_true(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN));
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
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 0);
    for (int i = 0; i < 20; i++)
        assert_true(http_bench_get(&b, server, "/x", 0));
    assert_int_equal(server_count(server, NULL, NULL), 20);
    assert_int_equal(server_connections(server), 1);
}

static bool read_letters(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    (void)ctx;
    (void)err;
    memcpy(data, &HTTP_BENCH_BODY[offset], len);
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
    struct http_request request = {.method = HTTP_PUT,
                                   .url = server_url(server),
                                   .source = &source,
                                   .source_len = HTTP_BENCH_BODY_LEN};
    auto_http_bench b;
    const struct server_request *last;
    auto_free char *length = NULL;
    auto_free char *expect = NULL;

    (void)state;
    http_bench_start(&b, 3);
    assert_true(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.response.status, 201);
    last = server_request(server, "PUT", NULL, 2);
    assert_non_null(last);
    assert_string_equal(last->body, HTTP_BENCH_BODY);
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
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 5);
    assert_true(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.response.status, 503);
    assert_int_equal(server_count(server, NULL, NULL), 1);
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
    auto_http_bench b;

    (void)state;
    assert_true(fd >= 0);
    http_bench_start(&b, 2);
    assert_false(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    must_have(b.err.text, "GET http://***@127.0.0.1:");
    must_have(b.err.text, "?sig=***: ");
    assert_null(strstr(b.err.text, "secret"));
    assert_int_equal(b.clock.wait_count, 2);
    assert_int_equal(http_client_requests(b.client), 0);
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
        {"longer, as announced",
         {.status = 200, .body = HTTP_BENCH_BODY "!"},
         0,
         "37 bytes where 36"},
        {"shorter, as announced", {.status = 200, .body = "0123"}, 0, "4 bytes where 36"},
        {"endless",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_ENDLESS},
         HTTP_BENCH_BODY_LEN,
         "longer than the 36 bytes expected"},
        {"unmarked and longer",
         {.status = 200, .body = HTTP_BENCH_BODY HTTP_BENCH_BODY, .fault = SERVER_FAULT_UNMARKED},
         HTTP_BENCH_BODY_LEN,
         "longer than the 36 bytes expected"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        auto_http_bench b;

        http_bench_start(&b, 3);
        if (http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN) || b.err.code != MIR_E_DIGEST ||
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
         {.status = 200,
          .body = HTTP_BENCH_BODY,
          .fault = SERVER_FAULT_LENGTH,
          .fault_at = 10u << 20}},
        {"endless", {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_ENDLESS}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        auto_http_bench b;

        http_bench_start(&b, 3);
        if (http_bench_get(&b, server, "/x", 0) || b.err.code != MIR_E_LIMIT)
            fail_msg("%s: %s", rows[i].label, b.err.text);
        must_have(b.err.text, "over the limit of 1000");
        assert_int_equal(server_count(server, NULL, NULL), 1);
    }
}

static void send_cuts_an_endless_refusal(void **state)
{
    const struct server_reply replies[] = {
        {.status = 404, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_ENDLESS}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 3);
    if (!http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN))
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
        auto_http_bench b;

        http_bench_start(&b, 3);
        assert_false(http_bench_get(&b, server, "/x", 0));
        if (b.err.code != MIR_E_LIMIT)
            fail_msg("row %zu: %s", i, b.err.text);
        must_have(b.err.text, "too long");
    }
}

static void send_stops_when_the_sink_fails(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = HTTP_BENCH_BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 3);
    b.sink_fails = true;
    assert_false(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_SPACE);
    must_have(b.err.text, "the disk is full");
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

static void send_refuses_control_bytes_in_headers(void **state)
{
    const struct server_reply replies[] = {{.status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct http_request request = {
        .method = HTTP_GET, .url = server_url(server), .authorization = "Bearer a\r\nX-Evil: yes"};
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 0);
    assert_false(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_int_equal(server_count(server, NULL, NULL), 0);
}

/* ---- cancelling ---------------------------------------------------------------------------- */

static void send_ends_when_cancelled_in_a_transfer(void **state)
{
    struct mir_cancel *cancel = NULL;
    struct server_reply replies[] = {
        {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_STALL, .fault_at = 10}};
    auto_server *server = NULL;
    auto_http_bench b;
    int64_t before;

    (void)state;
    http_bench_start(&b, 5);
    cancel = &b.cancel;
    replies[0].cancel = cancel;
    server = server_start(replies, COUNT(replies));
    before = mir_clock_now(mir_clock_real());
    assert_false(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_true(mir_clock_now(mir_clock_real()) - before < 2000);
    assert_int_equal(b.clock.wait_count, 0);
}

static void send_ends_when_cancelled_in_a_wait(void **state)
{
    const struct server_reply replies[] = {{.status = 503, .headers = "Retry-After: 100\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 5);
    b.clock.cancel = &b.cancel;
    assert_false(http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_int_equal(b.clock.wait_count, 1);
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(send_hands_out_status_headers_and_body),
        cmocka_unit_test(send_leaves_refusals_to_the_caller),
        cmocka_unit_test(send_keeps_one_connection_for_many_requests),
        cmocka_unit_test(send_repeats_a_body_from_its_start),
        cmocka_unit_test(send_tries_a_request_marked_once_only_once),
        cmocka_unit_test(send_says_who_cannot_be_reached),
        cmocka_unit_test(send_refuses_a_body_of_another_size),
        cmocka_unit_test(send_bounds_what_it_keeps),
        cmocka_unit_test(send_cuts_an_endless_refusal),
        cmocka_unit_test(send_bounds_the_header),
        cmocka_unit_test(send_stops_when_the_sink_fails),
        cmocka_unit_test(send_refuses_control_bytes_in_headers),
        cmocka_unit_test(send_ends_when_cancelled_in_a_transfer),
        cmocka_unit_test(send_ends_when_cancelled_in_a_wait),
    };

    return cmocka_run_group_tests_name("http/send", tests, http_bench_set_up, http_bench_tear_down);
}
