/*
 * What is told of the way in: true when a registry plays foul, harmless to show, and free of
 * secrets; and nothing is left behind that could be taken back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/scratch.h"
#include "lib/secrets.h"
#include "registry/login.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PASSWORD     "p@ss/w0rd hush"
#define CREDS        "me:" PASSWORD
#define CODE         "bWU6cEBzcy93MHJkIGh1c2g="
#define TOKEN        "eyJhbGciOiJub25lIn0.c2VjcmV0"
#define BASIC        "WWW-Authenticate: Basic realm=\"x\"\r\n"
#define MANIFEST     "/v2/team/app/manifests/v1"
#define UPLOADS      "/v2/team/app/blobs/uploads/"

struct told {
    struct reg_bench b;
    json_t *root; /* NULL: nothing was */
    struct mir_error refusal;
};

static void told_release(struct told *told)
{
    json_decref(told->root);
    reg_bench_stop(&told->b);
}
#define auto_told __attribute__((cleanup(told_release))) struct told

/* Explain "team/app" on the server, and see that no secret is in what is told or logged. */
static void explain(struct told *told, struct server *server, const struct reg_options *with,
                    enum reg_explain how)
{
    struct reg_options options = *with;
    auto_secrets secrets = {0};
    char *text;

    *told = (struct told){.root = NULL};
    reg_bench_start(&told->b, server, NULL);
    secrets_add_login(&secrets, "me", PASSWORD);
    secrets_add(&secrets, TOKEN);
    options.clock = &told->b.clock.clock;
    options.sink = &told->b.sink;
    must(reg_explain(&options, &told->b.repo, "v1", how, &told->root, &told->refusal, &told->b.err),
         &told->b.err);
    text = json_dumps(told->root, 0);
    assert_null(secrets_in(&secrets, mir_span_of(text)));
    free(text);
    told->b.err = told->refusal;
    must_keep_secrets(&secrets, &told->b);
}

static const char *text_at(const struct told *told, const char *part, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(told->root, part), key));

    return text ? text : "";
}

static bool is_true(const struct told *told, const char *part, const char *key)
{
    return json_is_true(json_object_get(json_object_get(told->root, part), key));
}

static const struct reg_options as_me = {.creds = CREDS};
static const struct reg_options as_nobody = {.no_creds = true};

static void explain_takes_its_upload_back(void **state)
{
    const struct server_reply replies[] = {
        {.lacks = "Authorization: Basic " CODE, .status = 401, .headers = BASIC},
        {.method = "POST", .path = UPLOADS, .status = 202, .headers = "Location: /up/1?a=b\r\n"},
        {.method = "DELETE", .path = "/up/1?a=b", .status = 204},
        {.method = "HEAD", .path = MANIFEST, .status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_told told;

    (void)state;
    explain(&told, server, &as_me, REG_EXPLAIN_PUSH);
    assert_int_equal(told.refusal.code, MIR_OK);
    assert_true(is_true(&told, "pull", "allowed") && is_true(&told, "pull", "exists"));
    assert_true(is_true(&told, "push", "allowed") && is_true(&told, "push", "takenBack"));
    assert_string_equal(text_at(&told, "credentials", "user"), "me");
    assert_int_equal(server_count(server, "DELETE", NULL), 1);
    assert_int_equal(server_count(server, "PUT", NULL), 0);
}

static void explain_of_pull_alone_begins_no_upload(void **state)
{
    const struct server_reply replies[] = {{.method = "HEAD", .status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_told told;

    (void)state;
    explain(&told, server, &as_nobody, REG_EXPLAIN_PULL);
    assert_null(json_object_get(told.root, "push"));
    assert_int_equal(server_count(server, NULL, NULL), 2);
}

static void explain_says_when_an_upload_stays(void **state)
{
    static const struct {
        const char *label;
        const char *location;
        int status;
    } rows[] = {
        {"no Location", "X: y\r\n", 204},
        {"not a place", "Location: file:///up\r\n", 204},
        {"no right to delete", "Location: /up\r\n", 401},
        {"no such method", "Location: /up\r\n", 405},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.method = "POST", .status = 202, .headers = rows[i].location},
            {.method = "DELETE", .status = rows[i].status, .headers = BASIC},
            {.method = "HEAD", .status = 200}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_told told;

        explain(&told, server, &as_me, REG_EXPLAIN_PUSH);
        if (!is_true(&told, "push", "allowed") || is_true(&told, "push", "takenBack"))
            fail_msg("%s", rows[i].label);
    }
}

/* The upload's place may be anywhere; our credentials are not for anybody there. */
static void explain_brings_nothing_to_another_host(void **state)
{
    const struct server_reply theirs[] = {{.status = 401, .headers = BASIC}};
    auto_server *other = server_start(theirs, COUNT(theirs));
    auto_free char *away = mir_format("Location: %s/up\r\n", server_url(other));
    const struct server_reply replies[] = {
        {.lacks = "Authorization", .status = 401, .headers = BASIC},
        {.method = "POST", .status = 202, .headers = away},
        {.method = "HEAD", .status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_secrets secrets = {0};
    auto_told told;

    (void)state;
    secrets_add_login(&secrets, "me", PASSWORD);
    explain(&told, server, &as_me, REG_EXPLAIN_PUSH);
    assert_int_equal(server_count(other, "DELETE", NULL), 1);
    must_not_reach(&secrets, other);
}

static void explain_shows_a_challenge_that_is_harmless(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token*", .status = 200, .body = "{\"token\":\"" TOKEN "\"}"},
        {.needs = "Bearer", .status = 403, .body = "{\"errors\":[{\"message\":\"\\u001b[31m\"}]}"},
        {.status = 401,
         .headers = "WWW-Authenticate: Bearer realm=\"http://{host}/token?key=hidden-one\","
                    "service=\"\\\x9b\xc3\xa9 a\",scope=\"repository:team/app:pull\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_told told;
    const json_t *bearer;
    const char *realm, *service;

    (void)state;
    explain(&told, server, &as_me, REG_EXPLAIN_PUSH);
    bearer = json_object_get(json_object_get(told.root, "asNobody"), "bearer");
    realm = json_string_value(json_object_get(bearer, "realm"));
    service = json_string_value(json_object_get(bearer, "service"));
    assert_non_null(realm);
    assert_null(strstr(realm, "hidden-one"));
    assert_string_equal(service, "??? a");
    assert_null(strchr(text_at(&told, "pull", "error"), 0x1b));
    assert_int_equal(told.refusal.code, MIR_E_AUTH);
    must_have(json_string_value(json_array_get(json_object_get(told.root, "advice"), 0)),
              "is known and may not");
}

static void explain_goes_on_after_a_refusal(void **state)
{
    const struct server_reply replies[] = {
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "DELETE", .status = 204},
        {.method = "HEAD", .status = 403}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_told told;

    (void)state;
    explain(&told, server, &as_me, REG_EXPLAIN_PUSH);
    assert_int_equal(told.refusal.code, MIR_E_AUTH);
    assert_false(is_true(&told, "pull", "allowed"));
    must_have(text_at(&told, "pull", "error"), "403");
    assert_true(is_true(&told, "push", "allowed"));
}

static void explain_tells_as_far_as_it_got(void **state)
{
    const struct server_reply replies[] = {{.fault = SERVER_FAULT_SILENCE}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_told told;

    (void)state;
    explain(&told, server, &as_me, REG_EXPLAIN_PUSH);
    assert_int_equal(told.refusal.code, MIR_E_NETWORK);
    assert_true(is_true(&told, "credentials", "found"));
    assert_string_not_equal(text_at(&told, "registry", "error"), "");
    assert_null(json_object_get(told.root, "pull"));
}

/* A file may have any bytes in its keys and user names. */
static void explain_shows_keys_that_are_harmless(void **state)
{
    const struct server_reply replies[] = {{.status = 401, .headers = BASIC}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_scratch *dir = scratch_new();
    auto_free char *file = mir_format("%s/auth.json", dir);
    auto_free char *text = mir_format("{\"auths\":{\"\\u001b[2J%s\\n\":{\"auth\":\"" CODE "\"}}}",
                                      server_host(server));
    const struct reg_options options = {.authfile = file};
    auto_told told;
    char *dump;

    (void)state;
    scratch_write(file, mir_span_of(text));
    explain(&told, server, &options, REG_EXPLAIN_PULL);
    assert_int_equal(told.refusal.code, MIR_E_AUTH);
    dump = json_dumps(told.root, 0);
    must_have(dump, "?[2J127.0.0.1:");
    assert_null(strstr(dump, "\\u001"));
    assert_null(strstr(dump, "\\n"));
    free(dump);
}

static void explain_refuses_names_that_are_none(void **state)
{
    static const struct {
        struct reg_repo repo;
        const char *reference;
    } rows[] = {
        {{.host = "a b", .name = "x"}, NULL},
        {{.host = "localhost:1", .name = "X"}, NULL},
        {{.host = "localhost:1", .name = "x"}, "not a tag"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error refusal = MIR_ERROR_INIT;
        struct mir_error err = MIR_ERROR_INIT;
        json_t *root = NULL;

        assert_false(reg_explain(&as_nobody, &rows[i].repo, rows[i].reference, REG_EXPLAIN_PULL,
                                 &root, &refusal, &err));
        assert_null(root);
        assert_int_equal(err.code, MIR_E_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explain_takes_its_upload_back),
        cmocka_unit_test(explain_of_pull_alone_begins_no_upload),
        cmocka_unit_test(explain_says_when_an_upload_stays),
        cmocka_unit_test(explain_brings_nothing_to_another_host),
        cmocka_unit_test(explain_shows_a_challenge_that_is_harmless),
        cmocka_unit_test(explain_goes_on_after_a_refusal),
        cmocka_unit_test(explain_tells_as_far_as_it_got),
        cmocka_unit_test(explain_shows_keys_that_are_harmless),
        cmocka_unit_test(explain_refuses_names_that_are_none),
    };

    return cmocka_run_group_tests_name("registry/explain", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
