/*
 * TLS: what is trusted, who is shown what, and that nothing goes from https to http. What is said
 * of a handshake that fails is in http_certificate.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/http.h"
#include "lib/authority.h"
#include "lib/http_bench.h"
#include "lib/must.h"
#include "lib/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool get(struct http_bench *b, const char *url, const struct http_tls *tls)
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

static const struct server_reply hello[] = {{.status = 200, .body = "hello"}};

static void tls_trusts_an_added_ca(void **state)
{
    auto_authority a;
    auto_certs *leaf = NULL;
    auto_server *server = NULL;
    auto_tls *tls = NULL;
    auto_http_bench b;

    (void)state;
    authority_start(&a, "Test CA");
    leaf = authority_leaf(&a);
    server = server_start_tls(hello, COUNT(hello), leaf);
    tls = authority_trusting(a.ca_file);
    http_bench_start(&b, 0);
    if (!get(&b, server_url(server), tls))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.response.body.ptr, "hello");
    assert_true(get(&b, server_url(server), tls));
    assert_int_equal(server_connections(server), 1);
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
    auto_http_bench b;

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
    http_bench_start(&b, 0);
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
    auto_tls *tls = authority_tls(&(struct http_tls_options){.verify = false});
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 3);
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
    auto_tls *careless = authority_tls(&(struct http_tls_options){.verify = false});
    auto_tls *careful = NULL;
    struct http_request request = {.method = HTTP_GET, .tls = careless, .body_max = 100};
    auto_http_bench b;

    (void)state;
    authority_start(&a, "Test CA");
    leaf = certs_new(&(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10},
                     NULL);
    store = server_start_tls(hello, COUNT(hello), leaf);
    away = mir_format("Location: %s/\r\n", server_url(store));
    redirect[0].headers = away;
    server = server_start_tls(redirect, COUNT(redirect), leaf);
    careful = authority_trusting(a.ca_file);
    request.url = server_url(server);
    request.away_tls = careful;
    http_bench_start(&b, 0);
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
    auto_tls *careless = authority_tls(&(struct http_tls_options){.verify = false});
    bool speaks = false;
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 0);
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

/* Old versions, or a certificate that is missing: TLS all the same, and no case for plain http. */
static void probe_knows_an_alert_for_tls(void **state)
{
    auto_authority a;
    const struct certs_options rows[] = {
        {.name = "old", .host = "IP:127.0.0.1", .days = 9, .tls_max = TLS1_1_VERSION},
        {.name = "mutual", .host = "IP:127.0.0.1", .days = 9, .tls_max = TLS1_2_VERSION},
    };
    auto_tls *careless = authority_tls(&(struct http_tls_options){.verify = false});

    (void)state;
    authority_start(&a, "Test CA");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct certs_options options = rows[i];
        auto_certs *leaf = NULL;
        auto_server *server = NULL;
        bool speaks = false;
        auto_http_bench b;

        options.client_ca = a.ca_file;
        leaf = certs_new(&options, a.ca);
        server = server_start_tls(hello, COUNT(hello), leaf);
        http_bench_start(&b, 0);
        must(http_probe_tls(b.conn, server_url(server), careless, &speaks, &b.err), &b.err);
        assert_true(speaks);
    }
}

/* ---- the environment ----------------------------------------------------------------------- */

static void set(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* Is a server of this authority trusted, with these in the environment? */
static bool trusts(const struct authority *a, const char *file, const char *dir,
                   const char *added_ca, struct mir_error *err)
{
    auto_certs *leaf = authority_leaf(a);
    auto_server *server = server_start_tls(hello, COUNT(hello), leaf);
    auto_tls *tls = NULL;
    auto_http_bench b;
    bool ok;

    set("SSL_CERT_FILE", file);
    set("SSL_CERT_DIR", dir);
    tls = authority_tls(&(struct http_tls_options){
        .verify = true, .ca_files = &added_ca, .ca_count = added_ca ? 1 : 0});
    set("SSL_CERT_FILE", NULL);
    set("SSL_CERT_DIR", NULL);
    http_bench_start(&b, 0);
    ok = get(&b, server_url(server), tls);
    if (!ok)
        assert_int_equal(b.err.code, MIR_E_TLS);
    *err = b.err;
    return ok;
}

static void tls_trusts_what_the_environment_names(void **state)
{
    auto_authority a;
    auto_authority other;
    auto_scratch *empty = scratch_new();
    auto_free char *both = NULL;
    auto_free char *missing = NULL;
    struct mir_error err;

    (void)state;
    authority_start(&a, "Test CA");
    authority_start(&other, "Other CA");
    both = mir_format("%s:/nonexistent::%s", other.dir, a.dir);
    missing = mir_format("%s/none.crt", empty);
    assert_false(trusts(&a, NULL, NULL, NULL, &err));
    must(trusts(&a, a.ca_file, NULL, NULL, &err), &err);
    assert_false(trusts(&a, other.ca_file, NULL, NULL, &err));
    /* Any name will do in a folder, and several folders count. */
    must(trusts(&a, NULL, a.dir, NULL, &err), &err);
    must(trusts(&a, NULL, both, NULL, &err), &err);
    must(trusts(&other, NULL, both, NULL, &err), &err);
    assert_false(trusts(&a, NULL, empty, NULL, &err));
    must(trusts(&a, other.ca_file, a.dir, NULL, &err), &err);
    must(trusts(&other, other.ca_file, a.dir, NULL, &err), &err);
    /* What is added comes on top of it. */
    must(trusts(&a, other.ca_file, NULL, a.ca_file, &err), &err);
    must(trusts(&other, other.ca_file, NULL, a.ca_file, &err), &err);
    must(trusts(&other, NULL, other.dir, a.ca_file, &err), &err);
    must(trusts(&a, missing, empty, a.ca_file, &err), &err);
}

static void tls_says_when_the_environment_names_nothing(void **state)
{
    auto_authority a;
    auto_scratch *empty = scratch_new();
    auto_free char *missing = mir_format("%s/none.crt", empty);
    struct mir_error err;

    (void)state;
    authority_start(&a, "Test CA");
    assert_false(trusts(&a, missing, empty, NULL, &err));
    must_have(err.text, "which is not trusted here (SSL_CERT_FILE names ");
    must_have(err.text, missing);
}

/* A folder full of other things is no reason to fail. */
static void tls_passes_over_what_is_no_certificate(void **state)
{
    auto_authority a;
    auto_free char *readme = NULL;
    auto_free char *link = NULL;
    auto_free char *folder = NULL;
    struct mir_error err;

    (void)state;
    authority_start(&a, "Test CA");
    readme = mir_format("%s/README", a.dir);
    link = mir_format("%s/0a1b2c3d.0", a.dir);
    folder = mir_format("%s/more/x", a.dir);
    scratch_write(readme, mir_span_of("-----BEGIN NOTHING-----\n"));
    assert_int_equal(symlink("ca.crt", link), 0);
    must(mir_make_parent_dirs(folder, &err), &err);
    must(trusts(&a, NULL, a.dir, NULL, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_trusts_an_added_ca),
        cmocka_unit_test(tls_shows_a_client_certificate_at_home_only),
        cmocka_unit_test(tls_refuses_the_way_from_https_to_http),
        cmocka_unit_test(tls_settings_apply_away_from_home),
        cmocka_unit_test(tls_names_a_ca_file_it_cannot_use),
        cmocka_unit_test(probe_tells_tls_from_http),
        cmocka_unit_test(probe_knows_an_alert_for_tls),
        cmocka_unit_test(tls_trusts_what_the_environment_names),
        cmocka_unit_test(tls_says_when_the_environment_names_nothing),
        cmocka_unit_test(tls_passes_over_what_is_no_certificate),
    };

    return cmocka_run_group_tests_name("http/tls", tests, http_bench_set_up, http_bench_tear_down);
}
