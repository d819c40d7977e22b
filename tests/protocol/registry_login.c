/*
 * Logging in: challenges, tokens, Basic, what is refused and what the refusals say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/certs.h"
#include "lib/reg_bench.h"
#include "lib/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANIFEST     "{\"schemaVersion\":2}"
#define BEARER                                                                                     \
    "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"reg\","                      \
    "scope=\"repository:team/app:pull\"\r\n"
#define PULL_TOKEN "/token?service=reg&scope=repository:team/app:pull"

static const struct server_reply token_server[] = {
    {.path = PULL_TOKEN, .status = 200, .body = "{\"token\":\"tok-pull\",\"expires_in\":300}"},
    {.path = "/v2/*", .needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
    {.path = "/v2/*", .status = 401, .headers = BEARER},
};

static bool get_manifest(struct reg_bench *b, const char *reference)
{
    struct reg_manifest manifest = {.bytes = NULL};
    bool ok;

    mir_error_clear(&b->err);
    ok = reg_manifest_get(b->session, &b->repo, reference, &manifest, &b->err);
    reg_manifest_release(&manifest);
    return ok;
}

static void must_get(struct reg_bench *b)
{
    if (!get_manifest(b, "v1"))
        fail_msg("%s (%s)", b->err.text, b->err.hint);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

/* ---- tokens -------------------------------------------------------------------------------- */

static void login_fetches_a_token_after_401(void **state)
{
    auto_server *server = server_start(token_server, COUNT(token_server));
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

static void login_asks_ahead_for_other_repositories(void **state)
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

static void login_sends_credentials_to_the_realm_only(void **state)
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

static void login_renews_a_token_that_expires(void **state)
{
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN,
         .times = 1,
         .status = 200,
         .body = "{\"token\":\"tok-1\",\"expires_in\":20}"},
        {.path = PULL_TOKEN, .status = 200, .body = "{\"token\":\"tok-2\",\"expires_in\":20}"},
        {.path = "/v2/*", .needs = "Bearer tok-", .status = 200, .body = MANIFEST},
        {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    fake_clock_advance(&b.clock, 10 * 1000);
    must_get(&b);
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), 1);
    /* Within the skew it counts as gone. */
    fake_clock_advance(&b.clock, 6 * 1000);
    must_get(&b);
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), 2);
    assert_int_equal(server_count(server, NULL, "/v2/*"), 4);
}

static void login_renews_a_token_that_is_refused_early(void **state)
{
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN, .times = 1, .status = 200, .body = "{\"token\":\"tok-1\"}"},
        {.path = PULL_TOKEN, .status = 200, .body = "{\"token\":\"tok-2\"}"},
        {.path = "/v2/*", .needs = "Bearer tok-1", .times = 1, .status = 200, .body = MANIFEST},
        {.path = "/v2/*", .needs = "Bearer tok-2", .status = 200, .body = MANIFEST},
        {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    must_get(&b);
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), 2);
}

static void login_gives_up_when_fresh_tokens_are_refused(void **state)
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
    assert_false(get_manifest(&b, "v1"));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    assert_has(b.err.text, "401 Unauthorized: UNAUTHORIZED: go away");
    assert_has(b.err.text, "/v2/team/app/manifests/v1");
    assert_has(b.err.hint, "podman login 127.0.0.1:");
    assert_true(server_count(server, NULL, NULL) <= 4);
}

static void login_goes_on_with_a_blob_when_its_token_ends(void **state)
{
    const char body[] = "0123456789abcdefghij";
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN, .times = 1, .status = 200, .body = "{\"token\":\"tok-1\"}"},
        {.path = PULL_TOKEN, .status = 200, .body = "{\"token\":\"tok-2\"}"},
        {.path = "/v2/*",
         .needs = "Bearer tok-1",
         .times = 1,
         .status = 200,
         .body = body,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 7},
        {.path = "/v2/*", .needs = "Bearer tok-2", .status = 200, .body = body, .ranges = true},
        {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct img_descriptor blob = {.size = sizeof(body) - 1};
    auto_reg_bench b;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of(body), &blob.digest);
    reg_bench_start(&b, server, NULL);
    if (!reg_blob_get(b.session, &b.repo, &blob, 0, NULL, &b.blob_sink, &b.err))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.got.ptr, body);
}

/* What a token server may answer. */
static void login_judges_what_the_realm_answers(void **state)
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
        if (get_manifest(&b, "v1") != (rows[i].code == MIR_OK) || b.err.code != rows[i].code ||
            (rows[i].says && !strstr(b.err.text, rows[i].says)))
            fail_msg("%s: %d %s", rows[i].label, b.err.code, b.err.text);
    }
}

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
    assert_false(get_manifest(&b, "v1"));
    assert_has(b.err.hint, file);
    assert_has(b.err.hint, "/team\"");
    assert_has(b.err.hint, "log in to 127.0.0.1:");
    assert_false(reg_bench_said(&b, "hush"));
}

static void login_uses_an_identity_token(void **state)
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

static void login_takes_no_identity_token_elsewhere(void **state)
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
    assert_false(get_manifest(&b, "v1"));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    assert_int_equal(server_count(other, NULL, NULL), 0);
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
    assert_false(get_manifest(&with, "v1"));
    assert_int_equal(with.err.code, MIR_E_AUTH);
    assert_has(with.err.hint, "credentials of the command line were refused");
    assert_int_equal(server_count(server, NULL, NULL), 2);
    reg_bench_start(&without, server, NULL);
    assert_false(get_manifest(&without, "v1"));
    assert_int_equal(without.err.code, MIR_E_AUTH);
    assert_has(without.err.hint, "podman login");
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
    assert_false(get_manifest(&b, "v1"));
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
        assert_false(get_manifest(&b, "v1"));
        assert_int_equal(b.err.code, MIR_E_AUTH);
        assert_has(b.err.text, "no word on how to log in");
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

static void login_asks_for_what_the_challenge_wants(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token*", .status = 200, .body = "{\"token\":\"tok-pull\"}"},
        {.path = "/v2/*", .needs = "Bearer tok-pull", .status = 200, .body = MANIFEST},
        {.status = 401,
         .headers = "WWW-Authenticate: Bearer "
                    "realm=\"http://{host}/token?a=b\",scope=\"registry:odd:*\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    assert_int_equal(
        server_count(server, NULL,
                     "/token?a=b&scope=repository:team/app:pull&scope=registry:odd:%2A"),
        1);
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
    assert_false(get_manifest(&b, "v1"));
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
    assert_false(get_manifest(&b, "v1"));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    assert_has(b.err.text, "not https: the credentials stay here");
    assert_int_equal(server_count(realm, NULL, NULL), 0);
    assert_false(server_was_told(server, "Basic"));
}

/* ---- many threads -------------------------------------------------------------------------- */

struct worker {
    struct reg_bench *bench;
    pthread_t thread;
    bool ok;
    struct mir_error err;
};

static void *work(void *ctx)
{
    struct worker *w = ctx;
    struct reg_session *session = reg_session_new(w->bench->client);

    w->ok = true;
    for (int i = 0; i < 5 && w->ok; i++) {
        struct reg_manifest manifest = {.bytes = NULL};

        w->ok = reg_manifest_get(session, &w->bench->repo, "v1", &manifest, &w->err);
        reg_manifest_release(&manifest);
    }
    reg_session_free(session);
    return NULL;
}

static void login_shares_one_token_among_threads(void **state)
{
    auto_server *server = server_start(token_server, COUNT(token_server));
    struct worker workers[8] = {{.bench = NULL}};
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i].bench = &b;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (size_t i = 0; i < COUNT(workers); i++) {
        if (!workers[i].ok)
            fail_msg("%s", workers[i].err.text);
    }
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), 1);
}

static void login_shares_a_failure_among_threads(void **state)
{
    const struct server_reply replies[] = {{.path = "/token*", .status = 403, .body = "closed"},
                                           {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct worker workers[8] = {{.bench = NULL}};
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i].bench = &b;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (size_t i = 0; i < COUNT(workers); i++) {
        assert_false(workers[i].ok);
        assert_int_equal(workers[i].err.code, MIR_E_AUTH);
        assert_has(workers[i].err.text, "closed");
    }
}

static void login_ends_for_all_threads_when_cancelled(void **state)
{
    struct server_reply replies[] = {{.path = "/token*",
                                      .status = 200,
                                      .body = "{}",
                                      .fault = SERVER_FAULT_STALL,
                                      .fault_at = 1},
                                     {.status = 401, .headers = BEARER}};
    auto_server *server = NULL;
    auto_server *never = server_start(NULL, 0);
    struct worker workers[4] = {{.bench = NULL}};
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, never, &(struct reg_options){.retry_times = 5});
    replies[0].cancel = &b.cancel;
    server = server_start(replies, COUNT(replies));
    b.repo.host = server_host(server);
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i].bench = &b;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (size_t i = 0; i < COUNT(workers); i++) {
        assert_false(workers[i].ok);
        assert_int_equal(workers[i].err.code, MIR_E_CANCELLED);
    }
    assert_int_equal(server_count(server, NULL, "/token*"), 1);
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
    assert_has(err.text, "/nonexistent/auth.json");
}

static int set_up(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    reg_bench_empty_home("/nonexistent");
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
        cmocka_unit_test(login_fetches_a_token_after_401),
        cmocka_unit_test(login_asks_ahead_for_other_repositories),
        cmocka_unit_test(login_sends_credentials_to_the_realm_only),
        cmocka_unit_test(login_renews_a_token_that_expires),
        cmocka_unit_test(login_renews_a_token_that_is_refused_early),
        cmocka_unit_test(login_gives_up_when_fresh_tokens_are_refused),
        cmocka_unit_test(login_goes_on_with_a_blob_when_its_token_ends),
        cmocka_unit_test(login_judges_what_the_realm_answers),
        cmocka_unit_test(login_hints_at_credentials_that_are_refused),
        cmocka_unit_test(login_uses_an_identity_token),
        cmocka_unit_test(login_takes_no_identity_token_elsewhere),
        cmocka_unit_test(login_uses_basic),
        cmocka_unit_test(login_gives_up_when_basic_is_refused),
        cmocka_unit_test(login_as_nobody_sends_nothing),
        cmocka_unit_test(login_reports_a_401_without_challenge),
        cmocka_unit_test(login_takes_the_best_of_several_challenges),
        cmocka_unit_test(login_asks_for_what_the_challenge_wants),
        cmocka_unit_test(login_learns_nothing_from_another_host),
        cmocka_unit_test(login_keeps_the_password_from_a_realm_without_tls),
        cmocka_unit_test(login_shares_one_token_among_threads),
        cmocka_unit_test(login_shares_a_failure_among_threads),
        cmocka_unit_test(login_ends_for_all_threads_when_cancelled),
        cmocka_unit_test(options_must_not_contradict_each_other),
    };

    return cmocka_run_group_tests_name("registry/login", tests, set_up, tear_down);
}
