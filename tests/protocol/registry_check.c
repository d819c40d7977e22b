/*
 * Logging in for good: what is asked of a registry before a password is kept, whom it goes to, and
 * what is said of the answer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/certs.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/secrets.h"
#include "registry/login.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PASSWORD     "p@ss/w0rd hush"
#define CREDS        "me:" PASSWORD
#define CODE         "bWU6cEBzcy93MHJkIGh1c2g="
#define TOKEN        "eyJhbGciOiJub25lIn0.c2VjcmV0"
#define BASIC        "WWW-Authenticate: Basic realm=\"x\"\r\n"
#define BEARER       "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"reg\"\r\n"
#define GIVES        .status = 200, .body = "{\"token\":\"" TOKEN "\"}"

/* Is user "me" let in? What is said is kept by the bench; no form of the password, or of a token,
 * may be in it. */
static bool check(struct reg_bench *b, struct server *server, bool *open)
{
    const struct reg_options options = {.creds = CREDS,
                                        .clock = &b->clock.clock,
                                        .cancel = &b->cancel,
                                        .sink = &b->sink,
                                        .retry_times = 1};
    auto_secrets secrets = {0};
    bool ok;

    secrets_add_login(&secrets, "me", PASSWORD);
    secrets_add(&secrets, TOKEN);
    mir_error_clear(&b->err);
    *open = false;
    ok = reg_login_check(&options, &(struct reg_repo){.host = server_host(server)}, open, &b->err);
    must_keep_secrets(&secrets, b);
    return ok;
}

static void check_asks_as_nobody_first_and_then_with_basic(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/v2/", .needs = "Authorization: Basic " CODE, .status = 200},
        {.path = "/v2/", .status = 401, .headers = BASIC}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;
    bool open;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must(check(&b, server, &open), &b.err);
    assert_false(open);
    assert_int_equal(server_count(server, "GET", "/v2/"), 2);
    assert_non_null(strstr(server_request(server, NULL, NULL, 1)->headers, "Authorization"));
    assert_null(strstr(server_request(server, NULL, NULL, 0)->headers, "Authorization"));
}

static void check_takes_a_token_for_no_repository(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token?service=reg&account=me", .needs = "Basic " CODE, GIVES},
        {.path = "/v2/", .needs = "Bearer " TOKEN, .status = 200},
        {.path = "/v2/", .status = 401, .headers = BASIC BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;
    bool open;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must(check(&b, server, &open), &b.err);
    assert_int_equal(server_count(server, NULL, NULL), 3);
}

static void check_says_when_everybody_is_let_in(void **state)
{
    const struct server_reply replies[] = {{.path = "/v2/", .status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;
    bool open;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must(check(&b, server, &open), &b.err);
    assert_true(open);
    assert_false(server_was_told(server, "Authorization"));
}

static void check_fails(void **state)
{
    static const struct {
        const char *label;
        struct server_reply replies[3];
        enum mir_code code;
        const char *text;
    } rows[] = {
        {"basic refused",
         {{.status = 401, .headers = BASIC, .body = "no " PASSWORD " here, " CODE}},
         MIR_E_AUTH,
         "refuses user me with this password"},
        {"basic forbidden",
         {{.needs = "Basic", .status = 403}, {.status = 401, .headers = BASIC}},
         MIR_E_AUTH,
         "refuses user me"},
        {"words of JSON",
         {{.needs = "Basic",
           .status = 401,
           .body = "{\"errors\":[{\"code\":\"X\",\"message\":\"p\\u0040ss/w0rd hush\"}]}"},
          {.status = 401, .headers = BASIC}},
         MIR_E_AUTH,
         "X: "},
        {"no token",
         {{.path = "/token*", .status = 401}, {.status = 401, .headers = BEARER}},
         MIR_E_AUTH,
         "token from"},
        {"token for nothing",
         {{.path = "/token*", GIVES}, {.status = 401, .headers = BEARER}},
         MIR_E_AUTH,
         "refuses user me"},
        {"token that is none",
         {{.path = "/token*", .status = 200, .body = "{}"}, {.status = 401, .headers = BEARER}},
         MIR_E_PROTOCOL,
         "no usable token"},
        {"no registry", {{.status = 404}}, MIR_E_PROTOCOL, "404"},
        {"broken", {{.status = 500}}, MIR_E_SERVER, "500"},
        {"no challenge", {{.status = 401}}, MIR_E_PROTOCOL, "401"},
        {"unknown challenge",
         {{.status = 401, .headers = "WWW-Authenticate: Negotiate\r\n"}},
         MIR_E_PROTOCOL,
         "401"},
        {"not 200 in the end",
         {{.needs = "Basic", .status = 302}, {.status = 401, .headers = BASIC}},
         MIR_E_PROTOCOL,
         "302"},
        {"a realm that is no place",
         {{.status = 401, .headers = "WWW-Authenticate: Bearer realm=\"file:///etc/passwd\"\r\n"}},
         MIR_E_PROTOCOL,
         "realm"},
        {"a realm with a user",
         {{.status = 401, .headers = "WWW-Authenticate: Bearer realm=\"http://a:b@{host}/\"\r\n"}},
         MIR_E_PROTOCOL,
         "realm"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(rows[i].replies, COUNT(rows[i].replies));
        auto_reg_bench b;
        bool open;

        reg_bench_start(&b, server, NULL);
        if (check(&b, server, &open) || b.err.code != rows[i].code)
            fail_msg("%s: code %d, %s", rows[i].label, b.err.code, b.err.text);
        must_have(b.err.text, rows[i].text);
    }
}

static void check_brings_nothing_to_another_host(void **state)
{
    const struct server_reply evil[] = {
        {.path = "/token*", GIVES},
        {.status = 401,
         .headers = BASIC "WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n"}};
    auto_server *other = server_start(evil, COUNT(evil));
    auto_free char *away = mir_format("Location: %s/v2/\r\n", server_url(other));
    const struct server_reply replies[] = {{.status = 307, .headers = away}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_secrets secrets = {0};
    auto_reg_bench b;
    bool open;

    (void)state;
    secrets_add_login(&secrets, "me", PASSWORD);
    reg_bench_start(&b, server, NULL);
    assert_false(check(&b, server, &open));
    must_not_reach(&secrets, other);
    must_not_reach(&secrets, server);
    assert_int_equal(server_count(other, NULL, "/token*"), 0);
}

static void check_brings_nothing_to_a_realm_without_tls(void **state)
{
    const struct server_reply plain[] = {{GIVES}};
    auto_server *realm = server_start(plain, COUNT(plain));
    auto_free char *challenge =
        mir_format("WWW-Authenticate: Bearer realm=\"%s/token\"\r\n", server_url(realm));
    const struct server_reply replies[] = {{.status = 401, .headers = challenge}};
    auto_certs *leaf = certs_new(
        &(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, NULL);
    auto_server *server = server_start_tls(replies, COUNT(replies), leaf);
    auto_reg_bench b;
    bool open;

    (void)state;
    reg_bench_start(&b, server, NULL);
    assert_false(check(&b, server, &open));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    must_have(b.err.text, "the credentials stay here");
    assert_int_equal(server_count(realm, NULL, NULL), 0);
}

static void check_stops_when_asked_to(void **state)
{
    const struct server_reply replies[] = {{.status = 503}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;
    bool open;

    (void)state;
    reg_bench_start(&b, server, NULL);
    b.clock.cancel = &b.cancel;
    assert_false(check(&b, server, &open));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
}

static void account_follows_the_grammar(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {{"quay.io", true},
                {"localhost:5000", true},
                {"[::1]:5000/a/b", true},
                {"quay.io/org/app", true},
                {"", false},
                {"/org", false},
                {"quay.io/", false},
                {"quay.io/Org", false},
                {"quay.io/org:1", false},
                {"quay.io//org", false},
                {"qu ay.io", false},
                {"https://quay.io", false},
                {"quay.io/org/../x", false}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;

        if (reg_account_check(rows[i].text, &err) != rows[i].ok)
            fail_msg("\"%s\"", rows[i].text);
        assert_int_equal(err.code, rows[i].ok ? MIR_OK : MIR_E_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_asks_as_nobody_first_and_then_with_basic),
        cmocka_unit_test(check_takes_a_token_for_no_repository),
        cmocka_unit_test(check_says_when_everybody_is_let_in),
        cmocka_unit_test(check_fails),
        cmocka_unit_test(check_brings_nothing_to_another_host),
        cmocka_unit_test(check_brings_nothing_to_a_realm_without_tls),
        cmocka_unit_test(check_stops_when_asked_to),
        cmocka_unit_test(account_follows_the_grammar),
    };

    return cmocka_run_group_tests_name("registry/check", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
