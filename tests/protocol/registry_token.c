/*
 * Tokens: when they are asked for, with what, from whom, and what may come back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/login.h"
#include "lib/scratch.h"

/* ---- when and for what --------------------------------------------------------------------- */

static void token_fetches_a_token_after_401(void **state)
{
    const struct server_reply rows[] = {TOKEN_SERVER};
    auto_server *server = server_start(rows, COUNT(rows));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    assert_int_equal(server_count(server, NULL, NULL), 3);
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), 1);
    assert_int_equal(reg_client_requests(b.client), 3);
    /* Known now: one request each. */
    must_get(&b);
    must_get(&b);
    assert_int_equal(server_count(server, NULL, NULL), 5);
    assert_false(reg_bench_said(&b, "tok-pull"));
}

static void token_asks_ahead_for_other_repositories(void **state)
{
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN, .status = 200, .body = "{\"access_token\":\"tok-pull\"}"},
        {.path = "/token?service=reg&scope=repository:other/app:pull",
         .status = 200,
         .body = "{\"token\":\"tok-other\"}"},
        {.path = "/v2/team/*", .needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
        {.path = "/v2/other/*", .needs = "Bearer tok-other", .status = 200, .body = MANIFEST},
        {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    b.repo.name = "other/app";
    must_get(&b);
    assert_int_equal(server_count(server, NULL, "/v2/other/*"), 1);
}

/* Some want more than a repository's name tells; each of its repositories gets in, not the first
 * alone. */
static void token_is_asked_for_with_what_the_challenge_wants(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token?a=b&scope=repository:team/app:pull&scope=registry:odd:%2A",
         GIVES("tok-app")},
        {.path = "/token?a=b&scope=repository:team/two:pull&scope=registry:odd:%2A",
         GIVES("tok-two")},
        {.path = "/token*", GIVES("tok-poor")},
        {.path = "/v2/team/app/*", .needs = "Bearer tok-app", .status = 200, .body = MANIFEST},
        {.path = "/v2/team/two/*", .needs = "Bearer tok-two", .status = 200, .body = MANIFEST},
        {.status = 401,
         .headers = "WWW-Authenticate: Bearer "
                    "realm=\"http://{host}/token?a=b\",scope=\"registry:odd:*\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    b.repo.name = "team/two";
    must_get(&b);
    must_get(&b);
    assert_int_equal(server_count(server, NULL, "/token*"), 3);
}

/* What is asked for goes without what we would ask for anyway. */
static void token_is_asked_for_without_repeating_a_scope(void **state)
{
    static const struct {
        const char *label;
        const char *wanted;
        const char *asked;
    } rows[] = {
        {"the same", "repository:team/app:pull", ""},
        {"less", "repository:team/app:", ""},
        {"more", "repository:team/app:pull,delete", "&scope=repository:team/app:pull,delete"},
        {"another", "repository:team/base:pull", "&scope=repository:team/base:pull"},
        {"both", "repository:team/app:pull repository:team/base:pull",
         "&scope=repository:team/base:pull"},
        {"twice", "registry:catalog:%2A registry:catalog:%2A", "&scope=registry:catalog:%252A"},
        {"no scope", "everything", "&scope=everything"},
        {"blanks", "  ", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *path = mir_format("/token?scope=repository:team/app:pull%s", rows[i].asked);
        auto_free char *challenge =
            mir_format("WWW-Authenticate: Bearer realm=\"http://{host}/token\",scope=\"%s\"\r\n",
                       rows[i].wanted);
        const struct server_reply replies[] = {
            {.path = path, GIVES("tok")}, LET_IN("tok"), {.status = 401, .headers = challenge}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!get_manifest(&b))
            fail_msg("%s: %s", rows[i].label, b.err.text);
    }
}

/* Two repositories of one registry, each with a realm of its own, as path-based proxies have it. */
static void token_realms_may_differ_by_repository(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/one/token*", GIVES("tok-one")},
        {.path = "/two/token*", GIVES("tok-two")},
        {.path = "/v2/one/*", .needs = "Bearer tok-one", .status = 200, .body = MANIFEST},
        {.path = "/v2/two/*", .needs = "Bearer tok-two", .status = 200, .body = MANIFEST},
        {.path = "/v2/one/*",
         .status = 401,
         .headers = "WWW-Authenticate: Bearer realm=\"/one/token\"\r\n"},
        {.path = "/v2/two/*",
         .status = 401,
         .headers = "WWW-Authenticate: Bearer realm=\"/two/token\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    for (int i = 0; i < 2; i++) {
        b.repo.name = "one/app";
        must_get(&b);
        b.repo.name = "two/app";
        must_get(&b);
    }
}

/* A token for a repository and what is mounted into it is good for the rest of the push. */
static void token_for_more_will_do(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token?service=reg&scope=repository:team/app:pull,push&scope=repository:team/"
                 "base:pull",
         GIVES("tok-both")},
        {.path = "/v2/*", .method = "POST", .needs = "Bearer tok-both", .status = 201},
        {.path = "/v2/*", .method = "PUT", .needs = "Bearer tok-both", .status = 201},
        {.path = "/v2/*", .method = "HEAD", .needs = "Bearer tok-both", .status = 200},
        {.path = "/v2/*", .status = 401, .headers = BEARER}};
    const struct img_descriptor blob = reg_bench_blob_of("blob");
    auto_server *server = server_start(replies, COUNT(replies));
    bool mounted = false;
    bool found = false;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must(reg_blob_mount(b.session, &b.repo, &blob.digest, "team/base", &mounted, &b.err), &b.err);
    assert_true(mounted);
    must(reg_manifest_put(b.session, &b.repo, "v1", "application/json", mir_span_of(MANIFEST),
                          &b.err),
         &b.err);
    must(reg_blob_find(b.session, &b.repo, &blob.digest, &found, &b.err), &b.err);
    assert_int_equal(server_count(server, NULL, "/token*"), 1);
}

/* Who may write here and not read there uploads; that is found out once, not for each blob, whether
 * it is the token service that says so or the registry. */
static void token_denied_for_a_mount_is_no_end(void **state)
{
    static const char both[] = "/token?service=reg&scope=repository:team/app:pull,push&scope="
                               "repository:secret/base:pull";
    static const char alone[] = "/token?service=reg&scope=repository:team/app:pull,push";
    const struct server_reply services[] = {{.path = both, .status = 403, .body = "not there"},
                                            {.path = both, GIVES("tok-poor")}};
    const char *const contents[] = {"one blob", "another blob", "a third"};

    (void)state;
    for (size_t i = 0; i < COUNT(services); i++) {
        const struct server_reply replies[] = {
            services[i],
            {.path = alone, GIVES("tok-push")},
            {.method = "POST",
             .path = "/v2/team/app/blobs/uploads/?mount=*",
             .status = 401,
             .headers = BEARER},
            {.method = "POST",
             .needs = "Bearer tok-push",
             .status = 202,
             .headers = "Location: /up\r\n"},
            {.method = "PUT", .needs = "Bearer tok-push", .status = 201},
            {.status = 401, .headers = BEARER}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        for (size_t n = 0; n < COUNT(contents); n++) {
            const struct img_descriptor blob = reg_bench_blob_of(contents[n]);
            enum reg_put_outcome outcome;

            b.content = mir_span_of(contents[n]);
            must(reg_blob_put(b.session, &b.repo, &blob, "secret/base", &b.blob_source, &outcome,
                              &b.err),
                 &b.err);
            assert_int_equal(outcome, REG_PUT_UPLOADED);
        }
        assert_int_equal(server_count(server, NULL, both), 1);
        assert_true(server_count(server, "POST", "/v2/team/app/blobs/uploads/?mount=*") <= 2);
    }
}

/* ---- from whom ----------------------------------------------------------------------------- */

static void token_sends_credentials_to_the_realm_only(void **state)
{
    const struct server_reply realm[] = {
        {.path = "/token?service=reg&scope=repository:team/app:pull&account=me",
         .needs = "Basic bWU6aHVzaA==",
         .status = 200,
         .body = "{\"token\":\"tok-pull\"}"}};
    auto_server *tokens = server_start(realm, COUNT(realm));
    auto_free char *challenge = mir_format(
        "WWW-Authenticate: Bearer realm=\"%s/token\",service=\"reg\"\r\n", server_url(tokens));
    const struct server_reply replies[] = {
        {.needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
        {.status = 401, .headers = challenge}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush"});
    must_get(&b);
    assert_false(server_was_told(server, "bWU6aHVzaA=="));
    assert_false(reg_bench_said(&b, "hush"));
    assert_false(reg_bench_said(&b, "bWU6aHVzaA=="));
}

static void token_uses_an_identity_token(void **state)
{
    const struct server_reply replies[] = {
        {.method = "POST",
         .path = "/token",
         .status = 200,
         .body = "{\"access_token\":\"tok-pull\"}"},
        {.path = "/v2/*", .needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
        {.path = "/v2/*", .status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_scratch *dir = scratch_new();
    auto_free char *file = mir_format("%s/auth.json", dir);
    auto_free char *text =
        mir_format("{\"auths\":{\"%s\":{\"auth\":\"bWU6\",\"identitytoken\":\"long lived&\"}}}",
                   server_host(server));
    auto_reg_bench b;

    (void)state;
    scratch_write(file, mir_span_of(text));
    reg_bench_start(&b, server, &(struct reg_options){.authfile = file});
    must_get(&b);
    assert_string_equal(
        server_request(server, "POST", "/token", 0)->body,
        "grant_type=refresh_token&service=reg&scope=repository:team/app:pull&client_id=mirror&"
        "refresh_token=long%20lived%26");
    assert_false(reg_bench_said(&b, "long"));
}

static void token_takes_no_identity_token_elsewhere(void **state)
{
    const struct server_reply there[] = {
        {.status = 200, .body = "{\"access_token\":\"tok-pull\"}"}};
    auto_server *other = server_start(there, COUNT(there));
    auto_free char *away = mir_format("Location: %s/token\r\n", server_url(other));
    const struct server_reply replies[] = {
        {.method = "POST", .path = "/token", .status = 307, .headers = away},
        {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_scratch *dir = scratch_new();
    auto_free char *file = mir_format("%s/auth.json", dir);
    auto_free char *text =
        mir_format("{\"auths\":{\"%s\":{\"identitytoken\":\"longlived\"}}}", server_host(server));
    auto_reg_bench b;

    (void)state;
    scratch_write(file, mir_span_of(text));
    reg_bench_start(&b, server, &(struct reg_options){.authfile = file});
    assert_false(get_manifest(&b));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_int_equal(server_count(other, NULL, NULL), 0);
}

/* A service that knows OAuth2 alone gets the password by POST, and is not asked by GET again. */
static void token_is_asked_for_by_post_where_get_is_unknown(void **state)
{
    static const int unknown[] = {404, 405};

    (void)state;
    for (size_t i = 0; i < COUNT(unknown); i++) {
        const struct server_reply replies[] = {
            {.method = "GET", .path = "/token*", .status = unknown[i]},
            {.method = "POST",
             .path = "/token",
             .status = 200,
             .body = "{\"access_token\":\"tok\",\"expires_in\":300,\"token_type\":\"Bearer\"}"},
            LET_IN("tok"),
            REFUSE_OTHERS};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.creds = "m&e:hu sh="});
        must_get(&b);
        b.repo.name = "other/app";
        must_get(&b);
        assert_int_equal(server_count(server, "GET", "/token*"), 1);
        assert_int_equal(server_count(server, "POST", "/token*"), 2);
        assert_string_equal(server_request(server, "POST", "/token", 0)->body,
                            "grant_type=password&service=reg&scope=repository:team/app:pull&"
                            "client_id=mirror&username=m%26e&password=hu%20sh%3D");
        assert_false(reg_bench_said(&b, "hu sh") || reg_bench_said(&b, "hu%20sh"));
    }
}

static void token_services_that_are_not_there_are_named(void **state)
{
    static const struct {
        const char *label;
        const char *creds;
        const char *entry; /* of an auth file, or NULL */
        const char *hint;
        size_t requests;
    } rows[] = {
        {"nobody", NULL, NULL, "names a token service that is not there", 1},
        {"a password", "me:hush", NULL, "names a token service that is not there", 2},
        {"an identity token", NULL, "{\"identitytoken\":\"longlived\"}",
         "takes no identity tokens: log in to 127.0.0.1:", 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {{.path = "/token*", .status = 404}, REFUSE_OTHERS};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_scratch *dir = scratch_new();
        auto_free char *file = mir_format("%s/auth.json", dir);
        struct reg_options options = {.creds = rows[i].creds};
        auto_reg_bench b;

        if (rows[i].entry) {
            write_auth_file(file, server_host(server), rows[i].entry);
            options.authfile = file;
        }
        reg_bench_start(&b, server, &options);
        if (get_manifest(&b) || b.err.code != MIR_E_PROTOCOL ||
            !strstr(b.err.text, "token from http://") || !strstr(b.err.hint, rows[i].hint) ||
            server_count(server, NULL, "/token*") != rows[i].requests)
            fail_msg("%s: %s (%s)", rows[i].label, b.err.text, b.err.hint);
    }
}

/* A registry cannot have a token that was given for another, by naming the same realm: not even if
 * the users have the same name there. */
static void token_of_one_registry_is_not_shown_to_another(void **state)
{
    const struct server_reply realm[] = {
        {.path = "/token*", .needs = "Basic bWU6aHVzaA==", GIVES("tok-good")},
        {.path = "/token*", .needs = "Basic bWU6b3RoZXI=", GIVES("tok-evil")}};
    auto_server *tokens = server_start(realm, COUNT(realm));
    auto_free char *challenge = mir_format(
        "WWW-Authenticate: Bearer realm=\"%s/token\",service=\"good\"\r\n", server_url(tokens));
    const struct server_reply good[] = {LET_IN("tok-good"), {.status = 401, .headers = challenge}};
    const struct server_reply bad[] = {LET_IN("tok-"), {.status = 401, .headers = challenge}};
    auto_server *server = server_start(good, COUNT(good));
    auto_server *evil = server_start(bad, COUNT(bad));
    auto_scratch *dir = scratch_new();
    auto_free char *file = mir_format("%s/auth.json", dir);
    auto_free char *text = mir_format("{\"auths\":{\"%s\":{\"auth\":\"bWU6aHVzaA==\"},"
                                      "\"%s\":{\"auth\":\"bWU6b3RoZXI=\"}}}",
                                      server_host(server), server_host(evil));
    auto_reg_bench b;

    (void)state;
    scratch_write(file, mir_span_of(text));
    reg_bench_start(&b, server, &(struct reg_options){.authfile = file});
    must_get(&b);
    b.repo.host = server_host(evil);
    must_get(&b);
    assert_int_equal(server_count(tokens, NULL, NULL), 2);
    assert_false(server_was_told(evil, "tok-good"));
}

/* ---- what comes back ----------------------------------------------------------------------- */

/* What a token server may answer. */
static void token_judges_what_the_realm_answers(void **state)
{
    auto_free char *huge = mir_format("{\"token\":\"%070000d\"}", 7);
    const struct {
        const char *label;
        int status;
        const char *body;
        enum mir_code code; /* MIR_OK: the token is used */
        const char *says;
    } rows[] = {
        {"token", 200, "{\"token\":\"tok-pull\"}", MIR_OK, NULL},
        {"access_token", 200, "{\"access_token\":\"tok-pull\"}", MIR_OK, NULL},
        {"both", 200, "{\"token\":\"tok-pull\",\"access_token\":\"x\"}", MIR_OK, NULL},
        {"empty token", 200, "{\"token\":\"\",\"access_token\":\"tok-pull\"}", MIR_OK, NULL},
        {"odd expiry", 200, "{\"token\":\"tok-pull\",\"expires_in\":\"soon\"}", MIR_OK, NULL},
        {"huge expiry", 200, "{\"token\":\"tok-pull\",\"expires_in\":1e300}", MIR_OK, NULL},
        {"neither", 200, "{}", MIR_E_PROTOCOL, "no usable token"},
        {"not JSON", 200, "<html>", MIR_E_PROTOCOL, "token from http://"},
        {"line break", 200, "{\"token\":\"a\\r\\nX: y\"}", MIR_E_PROTOCOL, "no usable token"},
        {"huge", 200, huge, MIR_E_PROTOCOL, "no usable token"},
        {"number", 200, "{\"token\":5}", MIR_E_PROTOCOL, "no usable token"},
        {"401", 401, "{\"details\":\"incorrect username\"}", MIR_E_AUTH, "incorrect username"},
        {"403", 403, "no\x01way\nmore", MIR_E_AUTH, "403 Forbidden: no?way"},
        {"404", 404, "", MIR_E_PROTOCOL, "404 Not Found"},
        {"500", 500, "", MIR_E_SERVER, "500 Internal"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.path = "/token*", .status = rows[i].status, .body = rows[i].body},
            {.path = "/v2/*", .needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
            {.status = 401, .headers = BEARER}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (get_manifest(&b) != (rows[i].code == MIR_OK) || b.err.code != rows[i].code ||
            (rows[i].says && !strstr(b.err.text, rows[i].says)))
            fail_msg("%s: %d %s", rows[i].label, b.err.code, b.err.text);
    }
}

static void token_gives_up_when_fresh_tokens_are_refused(void **state)
{
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN, .status = 200, .body = "{\"token\":\"tok-1\"}"},
        {.status = 401,
         .headers = BEARER,
         .body = "{\"errors\":[{\"code\":\"UNAUTHORIZED\","
                 "\"message\":\"go away\"}]}"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    assert_false(get_manifest(&b));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    must_have(b.err.text, "401 Unauthorized: UNAUTHORIZED: go away");
    must_have(b.err.text, "/v2/team/app/manifests/v1");
    must_have(b.err.hint, "mirror login 127.0.0.1:");
    assert_true(server_count(server, NULL, NULL) <= 4);
}

/* A refusal that is not for want of freshness costs one token, however often it is met. */
static void token_that_was_refused_is_not_asked_for_again(void **state)
{
    const struct server_reply replies[] = {{.path = "/token*", GIVES("tok-poor")}, REFUSE_OTHERS};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    for (int i = 0; i < 5; i++) {
        assert_false(get_manifest(&b));
        assert_int_equal(b.err.code, MIR_E_AUTH);
    }
    assert_int_equal(server_count(server, NULL, "/token*"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_fetches_a_token_after_401),
        cmocka_unit_test(token_asks_ahead_for_other_repositories),
        cmocka_unit_test(token_is_asked_for_with_what_the_challenge_wants),
        cmocka_unit_test(token_is_asked_for_without_repeating_a_scope),
        cmocka_unit_test(token_realms_may_differ_by_repository),
        cmocka_unit_test(token_for_more_will_do),
        cmocka_unit_test(token_denied_for_a_mount_is_no_end),
        cmocka_unit_test(token_sends_credentials_to_the_realm_only),
        cmocka_unit_test(token_uses_an_identity_token),
        cmocka_unit_test(token_takes_no_identity_token_elsewhere),
        cmocka_unit_test(token_is_asked_for_by_post_where_get_is_unknown),
        cmocka_unit_test(token_services_that_are_not_there_are_named),
        cmocka_unit_test(token_of_one_registry_is_not_shown_to_another),
        cmocka_unit_test(token_judges_what_the_realm_answers),
        cmocka_unit_test(token_gives_up_when_fresh_tokens_are_refused),
        cmocka_unit_test(token_that_was_refused_is_not_asked_for_again),
    };

    return cmocka_run_group_tests_name("registry/token", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
