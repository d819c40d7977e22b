/*
 * Handshakes that fail, each with words of its own: which certificate, what is wrong with it, and
 * what mends it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/authority.h"
#include "lib/http_bench.h"
#include "lib/must.h"
#include "lib/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OFF          "--src-tls-verify=false"

static const struct server_reply hello[] = {{.status = 200, .body = "hello"}};

static bool get(struct http_bench *b, const char *url, const struct http_tls *tls)
{
    const struct http_request request = {.method = HTTP_GET, .url = url, .tls = tls, .body_max = 9};

    http_response_release(&b->response);
    mir_error_clear(&b->err);
    return http_send(b->conn, &request, &b->response, &b->err);
}

/* Refused at once, without a request. */
static void must_refuse(const char *label, const struct server_identity *identity,
                        const struct http_tls *tls, struct mir_error *err)
{
    auto_server *server = server_start_tls(hello, COUNT(hello), identity);
    auto_http_bench b;

    http_bench_start(&b, 3);
    if (get(&b, server_url(server), tls) || b.err.code != MIR_E_TLS)
        fail_msg("%s: %d %s", label, b.err.code, b.err.text);
    assert_int_equal(b.clock.wait_count, 0);
    assert_int_equal(server_count(server, NULL, NULL), 0);
    *err = b.err;
}

static void must_say(const char *label, const struct mir_error *err, const char *const says[3],
                     const char *hint)
{
    for (size_t i = 0; i < 3 && says[i]; i++) {
        if (!strstr(err->text, says[i]))
            fail_msg("%s: \"%s\" without \"%s\"", label, err->text, says[i]);
    }
    if (!strstr(err->hint, hint))
        fail_msg("%s: hint \"%s\" without \"%s\"", label, err->hint, hint);
}

enum issuer { GOOD, RIVAL, ITSELF };

static void certificate_is_refused_with_words_of_its_own(void **state)
{
    const struct {
        struct certs_options leaf;
        enum issuer issuer;
        const char *says[3];
        const char *hint;
    } rows[] = {
        {{.name = "expired", .host = "IP:127.0.0.1", .days = -1},
         GOOD,
         {"(CN = expired, issued by CN = Test CA)", "has expired on 20", " UTC"},
         "have it renewed, if this machine's clock is right"},
        {{.name = "early", .host = "IP:127.0.0.1", .days = 9, .wait_days = 5},
         GOOD,
         {"(CN = early, issued by CN = Test CA)", "is not valid before 20", " UTC"},
         "set this machine's clock, if it is wrong: it says 20"},
        {{.name = "other name", .host = "DNS:registry.example,DNS:*.two.example", .days = 9},
         GOOD,
         {"is for another host: registry.example, *.two.example (CN = other name"},
         "or have one issued for this name; or do not verify: " OFF},
        {{.name = "other address", .host = "IP:127.0.0.9", .days = 9},
         GOOD,
         {"is for another host: 127.0.0.9 (CN = other address"},
         OFF},
        {{.name = "no host", .host = "email:a@b.example", .days = 9},
         GOOD,
         {"is for another host: it names none (CN = no host"},
         OFF},
        {{.name = "alone", .host = "IP:127.0.0.1", .days = 9},
         ITSELF,
         {"shows a self-signed certificate (CN = alone), which is not trusted here"},
         "put it into /certs/ca.crt; or do not verify: " OFF},
        {{.name = "stranger", .host = "IP:127.0.0.1", .days = 9},
         RIVAL,
         {"(CN = stranger) is signed by CN = Rival CA, which is not trusted here"},
         "put the CA's certificate into /certs/ca.crt; or do not verify: " OFF},
        {{.name = "whole chain", .host = "IP:127.0.0.1", .days = 9, .sends_ca = true},
         RIVAL,
         {"(CN = whole chain) is signed by the CA CN = Rival CA, which is not trusted here"},
         "put the CA's certificate into /certs/ca.crt"},
        {{.name = "old", .host = "IP:127.0.0.1", .days = 9, .tls_max = TLS1_1_VERSION},
         GOOD,
         {"speaks older versions only, and 1.2 is the least"},
         "brought up to date"},
        {{.name = "evil\x1b[31m", .host = "DNS:a\x07.example", .days = 9},
         GOOD,
         {"is for another host: a?.example (CN = evil\\1B[31m"},
         OFF},
    };
    auto_authority good;
    auto_authority rival;
    auto_tls *tls = NULL;

    (void)state;
    authority_start(&good, "Test CA");
    authority_start(&rival, "Rival CA");
    tls = authority_trusting(good.ca_file);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_identity *issuers[] = {good.ca, rival.ca, NULL};
        auto_certs *leaf = certs_new(&rows[i].leaf, issuers[rows[i].issuer]);
        struct mir_error err;

        must_refuse(rows[i].leaf.name, leaf, tls, &err);
        must_have(err.text, "TLS: ");
        for (const char *c = err.text; *c; c++)
            assert_true(*c >= 0x20 && *c < 0x7f);
        must_have(err.text, "127.0.0.1:");
        must_say(rows[i].leaf.name, &err, rows[i].says, rows[i].hint);
    }
}

static void certificate_of_an_expired_ca_is_refused(void **state)
{
    auto_authority old;
    auto_tls *tls = NULL;
    const bool sent[] = {false, true};
    const char *const says[][3] = {
        {"a certificate that 127.0.0.1:", "'s leads to has expired"},
        {"'s CA (CN = Old CA, issued by CN = Old CA) has expired on 20"}};

    (void)state;
    authority_start_with(&old, &(struct certs_options){.name = "Old CA", .days = -1});
    tls = authority_trusting(old.ca_file);
    for (size_t i = 0; i < COUNT(sent); i++) {
        const struct certs_options options = {
            .name = "leaf", .host = "IP:127.0.0.1", .days = 9, .sends_ca = sent[i]};
        auto_certs *leaf = certs_new(&options, old.ca);
        struct mir_error err;

        must_refuse("old CA", leaf, tls, &err);
        must_say("old CA", &err, says[i], "have it renewed");
    }
}

static void certificate_is_not_asked_for_where_nobody_verifies(void **state)
{
    auto_certs *leaf = certs_new(
        &(struct certs_options){.name = "x", .host = "DNS:other.example", .days = -1}, NULL);
    auto_server *server = server_start_tls(hello, COUNT(hello), leaf);
    auto_tls *careless = authority_tls(&(struct http_tls_options){.verify = false});
    auto_http_bench b;

    (void)state;
    http_bench_start(&b, 0);
    must(get(&b, server_url(server), careless), &b.err);
    assert_int_equal(server_connections(server), 1);
}

static void what_is_no_tls_is_told_from_certificates(void **state)
{
    auto_server *plain = server_start(hello, COUNT(hello));
    auto_free char *url = mir_format("https://%s/", server_host(plain));
    auto_authority a;
    auto_tls *tls = NULL;
    auto_http_bench b;

    (void)state;
    authority_start(&a, "Test CA");
    tls = authority_trusting(a.ca_file);
    http_bench_start(&b, 3);
    assert_false(get(&b, url, tls));
    assert_int_equal(b.err.code, MIR_E_TLS);
    must_have(b.err.text, "does not answer with TLS");
    must_have(b.err.hint, "speaks plain http: " OFF);
    assert_int_equal(b.clock.wait_count, 0);
}

static void what_is_trusted_may_be_damaged(void **state)
{
    auto_authority a;
    auto_certs *leaf = NULL;
    auto_free char *damaged = NULL;
    auto_tls *tls = NULL;
    struct mir_error err;

    (void)state;
    authority_start(&a, "Test CA");
    leaf = authority_leaf(&a);
    damaged = mir_format("%s/damaged.crt", a.dir);
    scratch_write(damaged, mir_span_of("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                       "-----END CERTIFICATE-----\n"));
    tls = authority_trusting(damaged);
    must_refuse("damaged", leaf, tls, &err);
    must_have(err.text, "to be trusted is damaged");
    must_have(err.hint, "look at the *.crt of /certs");
}

/* ---- our own certificate ------------------------------------------------------------------- */

struct pair {
    char *cert;
    char *key;
};

static void pair_of(const struct authority *cert_of, const char *cert,
                    const struct authority *key_of, const char *key, struct pair *out)
{
    out->cert = mir_format("%s/%s.cert", cert_of->dir, cert);
    out->key = mir_format("%s/%s.key", key_of->dir, key);
}

static void pair_release(struct pair *pair)
{
    free(pair->cert);
    free(pair->key);
}
#define auto_pair __attribute__((cleanup(pair_release))) struct pair

static struct http_tls *showing(const struct authority *a, const struct pair *pair)
{
    const char *const files[] = {a->ca_file};

    return authority_tls(&(struct http_tls_options){.verify = true,
                                                    .ca_files = files,
                                                    .ca_count = 1,
                                                    .cert_file = pair ? pair->cert : NULL,
                                                    .key_file = pair ? pair->key : NULL,
                                                    .folder = "/certs",
                                                    .options = "src-"});
}

static void client_certificate_that_is_refused_is_named(void **state)
{
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    auto_authority good;
    auto_authority rival;
    auto_pair right = {NULL};
    auto_pair wrong = {NULL};
    auto_tls *accepted = NULL;
    auto_tls *refused = NULL;
    auto_tls *none = NULL;

    (void)state;
    authority_start(&good, "Test CA");
    authority_start(&rival, "Rival CA");
    authority_client(&good, "me");
    authority_client(&rival, "me");
    pair_of(&good, "me", &good, "me", &right);
    pair_of(&rival, "me", &rival, "me", &wrong);
    accepted = showing(&good, &right);
    refused = showing(&good, &wrong);
    none = showing(&good, NULL);
    for (size_t i = 0; i < COUNT(versions); i++) {
        const struct certs_options options = {.name = "leaf",
                                              .host = "IP:127.0.0.1",
                                              .days = 10,
                                              .client_ca = good.ca_file,
                                              .tls_max = versions[i]};
        auto_certs *leaf = certs_new(&options, good.ca);
        auto_server *server = server_start_tls(hello, COUNT(hello), leaf);
        auto_http_bench b;
        struct mir_error err;

        http_bench_start(&b, 0);
        must(get(&b, server_url(server), accepted), &b.err);
        must_refuse("none", leaf, none, &err);
        must_have(err.text, "wants a client certificate");
        must_have(err.hint, "NAME.cert and NAME.key, into /certs");
        must_refuse("wrong", leaf, refused, &err);
        must_have(err.text, "refuses the client certificate ");
        must_have(err.text, wrong.cert);
        must_have(err.text, "unknown ca");
        must_have(err.hint, "a pair that it accepts");
    }
}

static void client_key_that_does_not_fit_is_named(void **state)
{
    auto_authority a;
    auto_authority other;
    auto_pair mixed = {NULL};
    auto_tls *tls = NULL;
    auto_certs *leaf = NULL;
    struct mir_error err;

    (void)state;
    authority_start(&a, "Test CA");
    authority_start(&other, "Other CA");
    authority_client(&a, "me");
    authority_client(&other, "me");
    pair_of(&a, "me", &other, "me", &mixed);
    tls = showing(&a, &mixed);
    leaf = authority_leaf(&a);
    must_refuse("mixed", leaf, tls, &err);
    must_have(err.text, mixed.key);
    must_have(err.text, "does not fit");
    must_have(err.text, mixed.cert);
    must_have(err.hint, "belong together");
}

static void client_files_that_are_none_are_refused_when_read(void **state)
{
    static const char *const locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n";
    static const char *const cert = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    static const char *const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n";
    const struct {
        const char *label;
        const char *cert;
        const char *key;
        enum mir_code code;
        const char *says;
    } rows[] = {
        {"no certificate", "hello", key, MIR_E_FORMAT, "me.cert: no certificate in PEM inside"},
        {"no key", cert, "hello", MIR_E_FORMAT, "me.key: no key in PEM inside"},
        {"swapped", key, cert, MIR_E_FORMAT, "me.cert: no certificate in PEM inside"},
        {"locked", cert, locked, MIR_E_UNSUPPORTED, "me.key is locked with a password"},
    };
    auto_scratch *dir = scratch_new();
    auto_free char *cert_file = mir_format("%s/me.cert", dir);
    auto_free char *key_file = mir_format("%s/me.key", dir);
    const struct http_tls_options options = {.cert_file = cert_file, .key_file = key_file};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct http_tls *tls = NULL;

        scratch_write(cert_file, mir_span_of(rows[i].cert));
        scratch_write(key_file, mir_span_of(rows[i].key));
        if (http_tls_new(&options, &tls, &err) || err.code != rows[i].code ||
            !strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].label, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate_is_refused_with_words_of_its_own),
        cmocka_unit_test(certificate_of_an_expired_ca_is_refused),
        cmocka_unit_test(certificate_is_not_asked_for_where_nobody_verifies),
        cmocka_unit_test(what_is_no_tls_is_told_from_certificates),
        cmocka_unit_test(what_is_trusted_may_be_damaged),
        cmocka_unit_test(client_certificate_that_is_refused_is_named),
        cmocka_unit_test(client_key_that_does_not_fit_is_named),
        cmocka_unit_test(client_files_that_are_none_are_refused_when_read),
    };

    return cmocka_run_group_tests_name("http/certificates", tests, http_bench_set_up,
                                       http_bench_tear_down);
}
