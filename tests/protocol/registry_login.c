/*
 * Logging in: challenges and Basic, what is refused and what the refusals say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/certs.h"
#include "lib/scratch.h"
#include "lib/login.h"

static void login_hints_at_credentials_that_are_refused(void **state)
{
    const struct server_reply replies[] = {{.path = "/token*", .status = 401},
                                           {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_scratch *dir = scratch_new();
    auto_free char *file = mir_format("%s/auth.json", dir);
    auto_free char *text =
        mir_format("{\"auths\":{\"%s/team\":{\"auth\":\"bWU6aHVzaA==\"}}}", server_host(server));
    auto_reg_bench b;

    (void)state;
    scratch_write(file, mir_span_of(text));
    reg_bench_start(&b, server, &(struct reg_options){.authfile = file});
    assert_false(get_manifest(&b));
    must_have(b.err.hint, file);
    must_have(b.err.hint, "/team\"");
    must_have(b.err.hint, "log in to 127.0.0.1:");
    assert_false(reg_bench_said(&b, "hush"));
}

/* ---- Basic --------------------------------------------------------------------------------- */

static void login_uses_basic(void **state)
{
    const struct server_reply replies[] = {
        {.needs = "Authorization: Basic bWU6aHVzaA==", .status = 200, .body = MANIFEST},
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush"});
    must_get(&b);
    must_get(&b);
    assert_int_equal(server_count(server, NULL, NULL), 3);
    assert_false(reg_bench_said(&b, "hush"));
}

static void login_gives_up_when_basic_is_refused(void **state)
{
    const struct server_reply replies[] = {
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench with;
    auto_reg_bench without;

    (void)state;
    reg_bench_start(&with, server, &(struct reg_options){.creds = "me:hush", .retry_times = 3});
    assert_false(get_manifest(&with));
    assert_int_equal(with.err.code, MIR_E_AUTH);
    must_have(with.err.hint, "credentials of the command line were refused");
    assert_int_equal(server_count(server, NULL, NULL), 2);
    reg_bench_start(&without, server, NULL);
    assert_false(get_manifest(&without));
    assert_int_equal(without.err.code, MIR_E_AUTH);
    must_have(without.err.hint, "mirror login");
    must_have(without.err.hint, "mirror auth explain");
    assert_int_equal(server_count(server, NULL, NULL), 3);
}

static void login_as_nobody_sends_nothing(void **state)
{
    const struct server_reply replies[] = {
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, &(struct reg_options){.no_creds = true});
    assert_false(get_manifest(&b));
    assert_false(server_was_told(server, "Authorization"));
}

/* ---- challenges ---------------------------------------------------------------------------- */

static void login_reports_a_401_without_challenge(void **state)
{
    const char *const rows[] = {"", "WWW-Authenticate: Negotiate\r\n",
                                "WWW-Authenticate: Bearer service=\"x\"\r\n",
                                "WWW-Authenticate: \"\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {{.status = 401, .headers = rows[i]}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush", .retry_times = 2});
        assert_false(get_manifest(&b));
        assert_int_equal(b.err.code, MIR_E_AUTH);
        must_have(b.err.text, "no word on how to log in");
        assert_int_equal(server_count(server, NULL, NULL), 1);
        assert_false(server_was_told(server, "Authorization"));
    }
}

static void login_takes_the_best_of_several_challenges(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token*", .status = 200, .body = "{\"token\":\"tok-pull\"}"},
        {.path = "/v2/*", .needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
        {.status = 401,
         .headers = "WWW-Authenticate: Negotiate\r\n"
                    "WWW-Authenticate: Basic realm=\"x\", Bearer "
                    "realm=\"/token\", service=\"a\\\"b\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    assert_int_equal(
        server_count(server, NULL, "/token?service=a%22b&scope=repository:team/app:pull"), 1);
}

static void login_learns_nothing_from_another_host(void **state)
{
    const struct server_reply evil[] = {
        {.path = "/token*", .status = 200, .body = "{\"token\":\"tok-evil\"}"},
        {.status = 401,
         .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"
                    "WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n"}};
    auto_server *other = server_start(evil, COUNT(evil));
    auto_free char *away = mir_format("Location: %s/x\r\n", server_url(other));
    const struct server_reply replies[] = {{.status = 307, .headers = away}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush", .retry_times = 2});
    assert_false(get_manifest(&b));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    /* A second time, because the place it was sent to might have expired. */
    assert_int_equal(server_count(other, NULL, NULL), 2);
    assert_int_equal(server_count(other, NULL, "/token*"), 0);
    assert_false(server_was_told(other, "Authorization"));
}

static void login_keeps_the_password_from_a_realm_without_tls(void **state)
{
    const struct server_reply plain[] = {{.status = 200, .body = "{\"token\":\"tok-pull\"}"}};
    auto_server *realm = server_start(plain, COUNT(plain));
    auto_free char *challenge =
        mir_format("WWW-Authenticate: Bearer realm=\"%s/token\"\r\n", server_url(realm));
    const struct server_reply replies[] = {
        {.needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
        {.status = 401, .headers = challenge}};
    auto_certs *leaf = certs_new(
        &(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, NULL);
    auto_server *server = server_start_tls(replies, COUNT(replies), leaf);
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush"});
    assert_false(get_manifest(&b));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    must_have(b.err.text, "not https: the credentials stay here");
    assert_int_equal(server_count(realm, NULL, NULL), 0);
    assert_false(server_was_told(server, "Basic"));
}

static void options_must_not_contradict_each_other(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct reg_client *client = NULL;
    const struct reg_options both = {.creds = "a:b", .no_creds = true};
    const struct reg_options missing = {.authfile = "/nonexistent/auth.json"};

    (void)state;
    assert_false(reg_client_new(&both, &client, &err));
    assert_int_equal(err.code, MIR_E_USAGE);
    mir_error_clear(&err);
    assert_false(reg_client_new(&missing, &client, &err));
    assert_int_equal(err.code, MIR_E_USAGE);
    must_have(err.text, "/nonexistent/auth.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_hints_at_credentials_that_are_refused),
        cmocka_unit_test(login_uses_basic),
        cmocka_unit_test(login_gives_up_when_basic_is_refused),
        cmocka_unit_test(login_as_nobody_sends_nothing),
        cmocka_unit_test(login_reports_a_401_without_challenge),
        cmocka_unit_test(login_takes_the_best_of_several_challenges),
        cmocka_unit_test(login_learns_nothing_from_another_host),
        cmocka_unit_test(login_keeps_the_password_from_a_realm_without_tls),
        cmocka_unit_test(options_must_not_contradict_each_other),
    };

    return cmocka_run_group_tests_name("registry/login", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
