/*
 * TLS: what is trusted, what a refusal says, and that nothing goes from https to http.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/certs.h"
#include "lib/fake_clock.h"
#include "lib/scratch.h"
#include "lib/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct bench {
    struct fake_clock clock;
    struct http_client *client;
    struct http_conn *conn;
    struct http_response response;
    struct mir_error err;
};

static void bench_start(struct bench *b, unsigned retry_times)
{
    *b = (struct bench){.client = NULL};
    fake_clock_init(&b->clock);
    b->client = http_client_new(
        &(struct http_options){.retry_times = retry_times, .clock = &b->clock.clock});
    b->conn = http_conn_new(b->client);
}

static void bench_stop(struct bench *b)
{
    http_response_release(&b->response);
    http_conn_free(b->conn);
    http_client_free(b->client);
}
#define auto_bench __attribute__((cleanup(bench_stop))) struct bench

static void auto_tls_free(struct http_tls **tls)
{
    http_tls_free(*tls);
}
#define auto_tls __attribute__((cleanup(auto_tls_free))) struct http_tls

static bool get(struct bench *b, const char *url, const struct http_tls *tls)
{
    const struct http_request request = {.method = HTTP_GET,
                                         .url = url,
                                         .authorization = "Bearer secret-token",
                                         .tls = tls,
                                         .body_max = 1000};

    http_response_release(&b->response);
    mir_error_clear(&b->err);
    return http_send(b->conn, &request, &b->response, &b->err);
}

/* A folder with a CA in ca.crt. */
struct authority {
    char *dir;
    char *ca_file;
    struct server_identity *ca;
};

static void authority_start(struct authority *a, const char *name)
{
    a->dir = scratch_new();
    a->ca_file = mir_format("%s/ca.crt", a->dir);
    a->ca = certs_new(&(struct certs_options){.name = name, .days = 10}, NULL);
    certs_write_cert(a->ca, a->ca_file);
}

static void authority_stop(struct authority *a)
{
    certs_free(a->ca);
    free(a->ca_file);
    scratch_remove(a->dir);
}
#define auto_authority __attribute__((cleanup(authority_stop))) struct authority

static struct http_tls *trusting(const char *ca_file)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct http_tls *tls = NULL;
    const char *const files[] = {ca_file};

    if (!http_tls_new(&(struct http_tls_options){.verify = true, .ca_files = files, .ca_count = 1},
                      &tls, &err))
        fail_msg("%s", err.text);
    return tls;
}

static struct http_tls *unverified(void)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct http_tls *tls = NULL;

    if (!http_tls_new(&(struct http_tls_options){.verify = false}, &tls, &err))
        fail_msg("%s", err.text);
    return tls;
}

static const struct server_reply hello[] = {{.status = 200, .body = "hello"}};

static void tls_trusts_an_added_ca(void **state)
{
    auto_authority a;
    auto_certs *leaf = NULL;
    auto_server *server = NULL;
    auto_tls *tls = NULL;
    auto_bench b;

    (void)state;
    authority_start(&a, "Test CA");
    leaf = certs_new(&(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10},
                     a.ca);
    server = server_start_tls(hello, COUNT(hello), leaf);
    tls = trusting(a.ca_file);
    bench_start(&b, 0);
    if (!get(&b, server_url(server), tls))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.response.body.ptr, "hello");
    assert_true(get(&b, server_url(server), tls));
    assert_int_equal(server_connections(server), 1);
}

static void tls_says_what_is_wrong_with_a_certificate(void **state)
{
    auto_authority good;
    auto_authority other;
    const struct {
        const char *label;
        const char *host;
        int days;
        bool self_signed;
        bool other_ca;
        const char *says;
    } rows[] = {
        {"expired", "IP:127.0.0.1", -1, false, false, "certificate has expired"},
        {"another host", "DNS:registry.example", 10, false, false,
         "no alternative certificate subject name"},
        {"another address", "IP:127.0.0.9", 10, false, false,
         "no alternative certificate subject name"},
        {"signs itself", "IP:127.0.0.1", 10, true, false, "self-signed certificate"},
        {"another CA", "IP:127.0.0.1", 10, false, true, "unable to get local issuer"},
    };
    auto_tls *tls = NULL;

    (void)state;
    authority_start(&good, "Test CA");
    authority_start(&other, "Rival CA");
    tls = trusting(good.ca_file);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct certs_options options = {
            .name = rows[i].label, .host = rows[i].host, .days = rows[i].days};
        auto_certs *leaf = certs_new(&options, rows[i].self_signed ? NULL
                                               : rows[i].other_ca  ? other.ca
                                                                   : good.ca);
        auto_server *server = server_start_tls(hello, COUNT(hello), leaf);
        auto_tls *careless = unverified();
        auto_bench b;

        bench_start(&b, 3);
        if (get(&b, server_url(server), tls) || b.err.code != MIR_E_TLS ||
            !strstr(b.err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        assert_int_equal(b.clock.wait_count, 0);
        assert_int_equal(server_count(server, NULL, NULL), 0);
        if (!get(&b, server_url(server), careless))
            fail_msg("%s, unverified: %s", rows[i].label, b.err.text);
    }
}

static void tls_shows_a_client_certificate_at_home_only(void **state)
{
    auto_authority a;
    auto_certs *leaf = NULL;
    auto_certs *client = NULL;
    auto_server *server = NULL;
    auto_server *entrance = NULL;
    auto_free char *cert = NULL;
    auto_free char *key = NULL;
    auto_free char *away = NULL;
    struct server_reply redirect[] = {{.status = 307}};
    struct http_tls_options options = {.verify = true, .ca_count = 1};
    const char *files[1];
    struct mir_error err = MIR_ERROR_INIT;
    auto_tls *with = NULL;
    auto_tls *without = NULL;
    auto_bench b;

    (void)state;
    authority_start(&a, "Test CA");
    leaf = certs_new(
        &(struct certs_options){
            .name = "leaf", .host = "IP:127.0.0.1", .days = 10, .client_ca = a.ca_file},
        a.ca);
    client = certs_new(&(struct certs_options){.name = "me", .host = "DNS:me", .days = 10}, a.ca);
    cert = mir_format("%s/me.cert", a.dir);
    key = mir_format("%s/me.key", a.dir);
    certs_write_cert(client, cert);
    certs_write_key(client, key);
    files[0] = a.ca_file;
    options.ca_files = files;
    assert_true(http_tls_new(&options, &without, &err));
    options.cert_file = cert;
    options.key_file = key;
    assert_true(http_tls_new(&options, &with, &err));

    server = server_start_tls(hello, COUNT(hello), leaf);
    bench_start(&b, 0);
    if (!get(&b, server_url(server), with))
        fail_msg("%s", b.err.text);
    assert_false(get(&b, server_url(server), without));
    /* Redirected from elsewhere the certificate is not shown, so the server hangs up. */
    away = mir_format("Location: %s/\r\n", server_url(server));
    redirect[0].headers = away;
    entrance = server_start(redirect, COUNT(redirect));
    assert_false(get(&b, server_url(entrance), with));
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

static void tls_refuses_the_way_from_https_to_http(void **state)
{
    auto_server *plain = server_start(hello, COUNT(hello));
    auto_free char *away = mir_format("Location: %s/x\r\n", server_url(plain));
    const struct server_reply replies[] = {{.status = 302, .headers = away}};
    auto_certs *leaf = certs_new(
        &(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, NULL);
    auto_server *server = server_start_tls(replies, COUNT(replies), leaf);
    auto_tls *tls = unverified();
    auto_bench b;

    (void)state;
    bench_start(&b, 3);
    assert_false(get(&b, server_url(server), tls));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_non_null(strstr(b.err.text, "from https to http"));
    assert_int_equal(server_count(plain, NULL, NULL), 0);
}

static void tls_settings_apply_away_from_home(void **state)
{
    auto_authority a;
    auto_certs *leaf = NULL;
    auto_server *store = NULL;
    auto_server *server = NULL;
    auto_free char *away = NULL;
    struct server_reply redirect[] = {{.status = 307}};
    auto_tls *careless = unverified();
    auto_tls *careful = NULL;
    struct http_request request = {.method = HTTP_GET, .tls = careless, .body_max = 100};
    auto_bench b;

    (void)state;
    authority_start(&a, "Test CA");
    leaf = certs_new(&(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10},
                     NULL);
    store = server_start_tls(hello, COUNT(hello), leaf);
    away = mir_format("Location: %s/\r\n", server_url(store));
    redirect[0].headers = away;
    server = server_start_tls(redirect, COUNT(redirect), leaf);
    careful = trusting(a.ca_file);
    request.url = server_url(server);
    request.away_tls = careful;
    bench_start(&b, 0);
    assert_false(http_send(b.conn, &request, &b.response, &b.err));
    assert_int_equal(b.err.code, MIR_E_TLS);
    request.away_tls = careless;
    mir_error_clear(&b.err);
    if (!http_send(b.conn, &request, &b.response, &b.err))
        fail_msg("%s", b.err.text);
}

static void tls_names_a_ca_file_it_cannot_use(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *empty = mir_format("%s/empty.crt", dir);
    const char *const missing[] = {"/nonexistent/ca.crt"};
    const char *const useless[] = {empty};
    struct http_tls_options options = {.verify = true, .ca_files = missing, .ca_count = 1};
    struct mir_error err = MIR_ERROR_INIT;
    struct http_tls *tls = NULL;

    (void)state;
    scratch_write(empty, mir_span_of("not a certificate"));
    assert_false(http_tls_new(&options, &tls, &err));
    assert_non_null(strstr(err.text, "/nonexistent/ca.crt"));
    mir_error_clear(&err);
    options.ca_files = useless;
    assert_false(http_tls_new(&options, &tls, &err));
    assert_int_equal(err.code, MIR_E_FORMAT);
    assert_non_null(strstr(err.text, empty));
}

static void probe_tells_tls_from_http(void **state)
{
    auto_certs *leaf = certs_new(
        &(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, NULL);
    auto_server *tls_server = server_start_tls(hello, COUNT(hello), leaf);
    auto_server *plain = server_start(hello, COUNT(hello));
    auto_free char *url = mir_format("https://%s/v2/", server_host(plain));
    auto_tls *careless = unverified();
    bool speaks = false;
    auto_bench b;

    (void)state;
    bench_start(&b, 0);
    assert_true(http_probe_tls(b.conn, server_url(tls_server), careless, &speaks, &b.err));
    assert_true(speaks);
    assert_true(http_probe_tls(b.conn, url, careless, &speaks, &b.err));
    assert_false(speaks);
    /* A certificate that is refused is no answer. */
    assert_false(http_probe_tls(b.conn, server_url(tls_server), NULL, &speaks, &b.err));
    assert_int_equal(b.err.code, MIR_E_TLS);
    assert_int_equal(http_client_requests(b.client), 0);
    /* The connection serves as before. */
    mir_error_clear(&b.err);
    assert_true(get(&b, server_url(plain), NULL));
    assert_int_equal(http_client_requests(b.client), 1);
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
        cmocka_unit_test(tls_trusts_an_added_ca),
        cmocka_unit_test(tls_says_what_is_wrong_with_a_certificate),
        cmocka_unit_test(tls_shows_a_client_certificate_at_home_only),
        cmocka_unit_test(tls_refuses_the_way_from_https_to_http),
        cmocka_unit_test(tls_settings_apply_away_from_home),
        cmocka_unit_test(tls_names_a_ca_file_it_cannot_use),
        cmocka_unit_test(probe_tells_tls_from_http),
    };

    return cmocka_run_group_tests_name("http/tls", tests, set_up, tear_down);
}
