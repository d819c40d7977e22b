/*
 * Requests through a proxy: what it is told, and what is said when it does not let us through.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "http/http.h"
#include "lib/certs.h"
#include "lib/http_bench.h"
#include "lib/must.h"
#include "lib/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static void unset(const char *name)
{
    assert_int_equal(unsetenv(name), 0);
}

static bool get(struct http_bench *b, const char *url, const struct http_tls *tls)
{
    const struct http_request request = {.method = HTTP_GET,
                                         .url = url,
                                         .authorization = "Bearer secret-token",
                                         .tls = tls,
                                         .body_max = 100};

    mir_error_clear(&b->err);
    http_response_release(&b->response);
    return http_send(b->conn, &request, &b->response, &b->err);
}

static void proxies_are_not_asked_for_loopback(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = "direct"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_http_bench b;

    (void)state;
    set("http_proxy", "http://127.0.0.1:1");
    http_bench_start(&b, 0);
    if (!http_bench_get(&b, server, "/x", 0))
        fail_msg("%s", b.err.text);
    assert_null(b.response.via);
    unset("http_proxy");
}

static void proxies_come_from_either_name(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = "by proxy"}};
    auto_server *proxy = server_start(replies, COUNT(replies));
    auto_free char *setting = mir_format("http://me:hu%%40sh@%s", server_host(proxy));
    auto_free char *pair = mir_base64_encode(mir_span_of("me:hu@sh"));
    auto_free char *basic = mir_format("Proxy-Authorization: Basic %s\r\n", pair);
    const char *const names[] = {"http_proxy", "HTTP_PROXY", "ALL_PROXY"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        auto_http_bench b;

        set(names[i], setting);
        http_bench_start(&b, 0);
        if (!get(&b, "http://registry.invalid/x", NULL))
            fail_msg("%s: %s", names[i], b.err.text);
        assert_string_equal(b.response.body.ptr, "by proxy");
        must_have(b.response.via, names[i]);
        assert_null(strstr(b.response.via, "sh@"));
        unset(names[i]);
    }
    assert_int_equal(server_count(proxy, "GET", "http://registry.invalid/x"), COUNT(names));
    assert_true(server_was_told(proxy, basic));
}

/* What the registry asked us for is not for the proxy, nor the other way round. */
static void proxies_are_told_no_more_than_they_need(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = "by proxy"}};
    auto_server *proxy = server_start(replies, COUNT(replies));
    auto_server *server = server_start(replies, COUNT(replies));
    auto_free char *setting = mir_format("http://me:hush@%s", server_host(proxy));
    auto_http_bench b;

    (void)state;
    set("HTTPS_PROXY", setting);
    set("HTTP_PROXY", setting);
    http_bench_start(&b, 0);
    /* The scripted server is no tunnel, so the handshake fails; what it was told counts. */
    assert_false(get(&b, "https://registry.invalid/x", NULL));
    assert_int_equal(server_count(proxy, "CONNECT", "registry.invalid:443"), 1);
    assert_false(server_was_told(proxy, "secret-token"));
    mir_error_clear(&b.err);
    assert_true(http_bench_get(&b, server, "/x", 0));
    assert_false(server_was_told(server, "Proxy-"));
    unset("HTTPS_PROXY");
    unset("HTTP_PROXY");
}

static void proxies_that_refuse_are_named(void **state)
{
    const struct {
        const char *url;
        int status;
        enum mir_code code;
        const char *says;
        const char *hint;
        size_t tries;
    } rows[] = {
        {"https://registry.invalid/x", 407, MIR_E_AUTH,
         "wants a login: 407 Proxy Authentication Required", "into HTTPS_PROXY", 1},
        {"https://registry.invalid/x", 403, MIR_E_PROTOCOL, "does not connect us: 403 Forbidden",
         "NO_PROXY=registry.invalid", 1},
        {"https://registry.invalid/x", 405, MIR_E_PROTOCOL, "does not connect us: 405",
         "allow this host and port", 1},
        {"https://registry.invalid/x", 503, MIR_E_NETWORK, "does not connect us: 503",
         "can the proxy reach this host", 2},
        {"http://registry.invalid/x", 407, MIR_E_AUTH,
         "wants a login: 407 Proxy Authentication Required", "into HTTP_PROXY", 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {{.status = rows[i].status}};
        auto_server *proxy = server_start(replies, COUNT(replies));
        auto_free char *setting = mir_format("http://me:hush@%s", server_host(proxy));
        auto_free char *shown = mir_format("the proxy http://%s (from HTTP", server_host(proxy));
        auto_http_bench b;

        set("HTTPS_PROXY", setting);
        set("HTTP_PROXY", setting);
        http_bench_start(&b, 1);
        if (get(&b, rows[i].url, NULL) || b.err.code != rows[i].code ||
            !strstr(b.err.text, rows[i].says) || !strstr(b.err.text, shown) ||
            !strstr(b.err.hint, rows[i].hint) || strstr(b.err.text, "hush") ||
            strstr(b.err.hint, "hush"))
            fail_msg("%d: %d %s (%s)", rows[i].status, b.err.code, b.err.text, b.err.hint);
        assert_int_equal(server_count(proxy, NULL, NULL), rows[i].tries);
    }
    unset("HTTPS_PROXY");
    unset("HTTP_PROXY");
}

/* Each ends soon, names the proxy, and sends nothing of ours. */
static void proxies_that_play_foul_are_done_with(void **state)
{
    static char lines[200 << 10];
    const struct {
        const char *label;
        struct server_reply reply;
        enum mir_code code;
    } rows[] = {
        {"leads away",
         {.status = 302, .headers = "Location: http://{host}/elsewhere\r\n"},
         MIR_E_PROTOCOL},
        {"no tunnel, but words", {.status = 200, .body = "<html>Welcome</html>"}, MIR_E_TLS},
        {"never answers", {.fault = SERVER_FAULT_SILENCE}, MIR_E_NETWORK},
        {"stalls",
         {.status = 403, .body = "x", .fault = SERVER_FAULT_STALL, .fault_at = 0},
         MIR_E_PROTOCOL},
        {"many headers", {.status = 200, .headers = lines}, MIR_E_TLS},
        {"refuses without end",
         {.status = 403, .body = "xxxxxxxxxxxxxxxx", .fault = SERVER_FAULT_ENDLESS},
         MIR_E_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i + 8 < sizeof(lines); i += 8)
        memcpy(lines + i, "X: abc\r\n", 8);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *proxy = server_start(&rows[i].reply, 1);
        auto_free char *setting = mir_format("http://me:hush@%s", server_host(proxy));
        auto_http_bench b;

        set("HTTPS_PROXY", setting);
        http_bench_start(&b, 0);
        if (get(&b, "https://registry.invalid/x", NULL) || b.err.code != rows[i].code ||
            !strstr(b.err.text, server_host(proxy)) || strstr(b.err.text, "hush"))
            fail_msg("%s: %d %s", rows[i].label, b.err.code, b.err.text);
        assert_false(server_was_told(proxy, "secret-token"));
        assert_int_equal(server_count(proxy, NULL, NULL), server_count(proxy, "CONNECT", NULL));
    }
    unset("HTTPS_PROXY");
}

static void proxies_that_are_not_there_are_named(void **state)
{
    const char *const urls[] = {"http://registry.invalid/x", "https://registry.invalid/x"};
    auto_http_bench b;

    (void)state;
    set("ALL_PROXY", "http://me:hush@127.0.0.1:1");
    http_bench_start(&b, 1);
    for (size_t i = 0; i < COUNT(urls); i++) {
        assert_false(get(&b, urls[i], NULL));
        assert_int_equal(b.err.code, MIR_E_NETWORK);
        must_have(b.err.text, "the proxy http://127.0.0.1:1 (from ALL_PROXY): ");
        must_have(b.err.hint, "NO_PROXY=registry.invalid");
        assert_null(strstr(b.err.text, "hush"));
    }
    assert_int_equal(b.clock.wait_count, 2);
    unset("ALL_PROXY");
}

static void proxy_settings_that_are_none_are_refused_unseen(void **state)
{
    const char *const values[] = {"ftp://me:hush@p:1", "http://me:hush hush@p:1", "hush://",
                                  "http://me:hush@"};

    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        auto_http_bench b;

        set("HTTP_PROXY", values[i]);
        http_bench_start(&b, 3);
        assert_false(get(&b, "http://registry.invalid/x", NULL));
        assert_int_equal(b.err.code, MIR_E_USAGE);
        must_have(b.err.text, "HTTP_PROXY names no proxy");
        assert_null(strstr(b.err.text, "hush"));
        assert_int_equal(b.clock.wait_count, 0);
    }
    unset("HTTP_PROXY");
}

static void auto_tls_free(struct http_tls **tls)
{
    http_tls_free(*tls);
}
#define auto_tls __attribute__((cleanup(auto_tls_free))) struct http_tls

/* Neither the registry's certs.d nor a registry that is not verified says anything of a proxy. */
static void proxies_behind_tls_are_trusted_as_the_system_says(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = "by proxy"}};
    auto_scratch *dir = scratch_new();
    auto_free char *ca_file = mir_format("%s/ca.crt", dir);
    auto_certs *ca = certs_new(&(struct certs_options){.name = "Proxy CA", .days = 10}, NULL);
    auto_certs *leaf =
        certs_new(&(struct certs_options){.name = "p", .host = "IP:127.0.0.1", .days = 10}, ca);
    auto_server *proxy = server_start_tls(replies, COUNT(replies), leaf);
    const char *const files[] = {ca_file};
    struct http_tls_options options = {.ca_files = files, .ca_count = 1};
    struct mir_error err = MIR_ERROR_INIT;
    auto_tls *registrys = NULL;
    auto_tls *systems = NULL;
    auto_http_bench b;

    (void)state;
    certs_write_cert(ca, ca_file);
    set("HTTP_PROXY", server_url(proxy));
    must(http_tls_new(&options, &registrys, &err), &err);
    set("SSL_CERT_FILE", ca_file);
    must(http_tls_new(&(struct http_tls_options){.verify = true}, &systems, &err), &err);
    unset("SSL_CERT_FILE");
    http_bench_start(&b, 0);
    assert_false(get(&b, "http://registry.invalid/x", registrys));
    assert_int_equal(b.err.code, MIR_E_TLS);
    must_have(b.err.text, "the proxy https://127.0.0.1:");
    must_have(b.err.text, "CN = Proxy CA, which is not trusted here");
    must_have(b.err.hint, "SSL_CERT_FILE");
    assert_int_equal(server_count(proxy, NULL, NULL), 0);
    if (!get(&b, "http://registry.invalid/x", systems))
        fail_msg("%s", b.err.text);
    unset("HTTP_PROXY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxies_are_not_asked_for_loopback),
        cmocka_unit_test(proxies_come_from_either_name),
        cmocka_unit_test(proxies_are_told_no_more_than_they_need),
        cmocka_unit_test(proxies_that_refuse_are_named),
        cmocka_unit_test(proxies_that_play_foul_are_done_with),
        cmocka_unit_test(proxies_that_are_not_there_are_named),
        cmocka_unit_test(proxy_settings_that_are_none_are_refused_unseen),
        cmocka_unit_test(proxies_behind_tls_are_trusted_as_the_system_says),
    };

    return cmocka_run_group_tests_name("http/proxies", tests, http_bench_set_up,
                                       http_bench_tear_down);
}
