/*
 * Redirects: who is followed where, and what does not go along.
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
            {.path = "/there", .status = 200, .body = HTTP_BENCH_BODY}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_http_bench b;
        auto_free char *sent = NULL;

        http_bench_start(&b, 0);
        if (!http_bench_get(&b, server, "/here", HTTP_BENCH_BODY_LEN))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        http_bench_must_have_body(&b);
        assert_true(strstr(b.response.url, "/there") != NULL);
        sent = server_header(server_request(server, NULL, "/there", 0), "Authorization");
        assert_string_equal(sent, "Bearer secret-token");
        assert_int_equal(http_client_requests(b.client), 2);
    }
}

static void send_takes_no_authorization_elsewhere(void **state)
{
    const struct server_reply there[] = {
        {.path = "/blob?sig=x", .status = 200, .body = HTTP_BENCH_BODY},
        {.path = "/back", .status = 302, .headers = "Location: http://127.0.0.1:1/\r\n"}};
    auto_server *other = server_start(there, COUNT(there));
    auto_free char *away =
        mir_format("Location: %s/blob?sig=x\r\nSet-Cookie: a=b\r\n", server_url(other));
    const struct server_reply here[] = {{.status = 307, .headers = away}};
    auto_server *server = server_start(here, COUNT(here));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 0);
    (void)http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN);
    http_bench_must_have_body(&b);
    assert_true(server_was_told(server, "secret-token"));
    assert_false(server_was_told(other, "secret-token"));
    assert_false(server_was_told(other, "Authorization"));
    assert_false(server_was_told(other, "Cookie"));
    assert_false(server_was_told(other, "Referer"));
}

static void send_takes_no_authorization_back_home(void **state)
{
    struct server_reply here[] = {{.path = "/x", .status = 307},
                                  {.path = "/blob", .status = 200, .body = HTTP_BENCH_BODY}};
    struct server_reply there[] = {{.status = 307}};
    auto_server *server = server_start(here, COUNT(here));
    auto_free char *home = mir_format("Location: %s/blob\r\n", server_url(server));
    auto_server *other = NULL;
    auto_free char *away = NULL;
    auto_free char *sent = NULL;
    auto_http_bench b;

    (void)state;
    there[0].headers = home;
    other = server_start(there, COUNT(there));
    away = mir_format("Location: %s/y\r\n", server_url(other));
    here[0].headers = away;
    http_bench_start(&b, 0);
    (void)http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN);
    http_bench_must_have_body(&b);
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
         .body = HTTP_BENCH_BODY,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 3},
        {.path = "/signed1", .status = 403},
        {.path = "/signed2", .status = 200, .body = HTTP_BENCH_BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 1);
    (void)http_bench_get(&b, server, "/x", HTTP_BENCH_BODY_LEN);
    http_bench_must_have_body(&b);
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
        auto_http_bench b;

        http_bench_start(&b, 3);
        if (http_bench_get(&b, server, "/loop", HTTP_BENCH_BODY_LEN) ||
            b.err.code != MIR_E_PROTOCOL || !strstr(b.err.text, rows[i].says) ||
            strstr(b.err.text, "hush"))
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
        auto_http_bench b;

        http_bench_start(&b, 0);
        assert_true(http_send(b.conn, &request, &b.response, &b.err));
        assert_int_equal(b.response.status, statuses[i] >= 307 ? 202 : statuses[i]);
        assert_int_equal(server_count(server, "POST", "/there"), statuses[i] >= 307);
        assert_int_equal(server_count(server, "GET", NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(send_follows_redirects),
        cmocka_unit_test(send_takes_no_authorization_elsewhere),
        cmocka_unit_test(send_takes_no_authorization_back_home),
        cmocka_unit_test(send_asks_at_home_again_after_a_break),
        cmocka_unit_test(send_refuses_bad_redirects),
        cmocka_unit_test(send_turns_a_post_only_by_307_and_308),
    };

    return cmocka_run_group_tests_name("http/redirect", tests, http_bench_set_up,
                                       http_bench_tear_down);
}
