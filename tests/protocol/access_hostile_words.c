/*
 * What a registry, or the store behind it, may say: back what it was sent, what a terminal obeys,
 * what is signed. None of it gets out, and a store whose signatures expire is no end of a transfer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/secrets.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BODY         "0123456789abcdefghijklmnopqrstuvwxyz"
#define PASSWORD     "p@ss/w0rd hush"
#define CREDS        "me:" PASSWORD
#define TOKEN        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2VjcmV0"

static bool get_manifest(struct reg_bench *b)
{
    struct reg_manifest manifest = {.bytes = NULL};
    bool ok;

    mir_error_clear(&b->err);
    ok = reg_manifest_get(b->session, &b->repo, "v1", &manifest, &b->err);
    reg_manifest_release(&manifest);
    return ok;
}

static bool put_blob(struct reg_bench *b)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    enum reg_put_outcome outcome;

    mir_error_clear(&b->err);
    b->content = mir_span_of(BODY);
    return reg_blob_put(b->session, &b->repo, &blob, NULL, &b->blob_source, &outcome, &b->err);
}

static bool get_blob(struct reg_bench *b)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);

    mir_error_clear(&b->err);
    mir_buf_clear(&b->got);
    return reg_blob_get(b->session, &b->repo, &blob, 0, NULL, &b->blob_sink, &b->err);
}

/* From the bench, and to it: whatever the other side does is right. */
static bool relay(struct reg_bench *b, bool to_bench)
{
    static const struct server_reply honest[] = {
        {.method = "GET", .status = 200, .body = BODY, .ranges = true},
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "PUT", .status = 201}};
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    auto_server *server = server_start(honest, COUNT(honest));
    enum reg_put_outcome outcome;
    auto_reg_bench other;

    mir_error_clear(&b->err);
    reg_bench_start(&other, server, NULL);
    return reg_blob_relay(to_bench ? other.session : b->session, to_bench ? &other.repo : &b->repo,
                          to_bench ? b->session : other.session, to_bench ? &b->repo : &other.repo,
                          &blob, NULL, NULL, NULL, &outcome, &b->err);
}

/* ---- what was sent comes back -------------------------------------------------------------- */

/* The bodies of refusals that repeat a login, in the ways a server might. */
#define ECHOES 4
static char *echo(size_t which, const char *value)
{
    static const struct {
        const char *before;
        const char *after;
    } forms[ECHOES] = {
        {"no, not with ", ""},
        {"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"", " is no good\"}]}"},
        {"{\"errors\":[{\"code\":\"", "\",\"message\":\"x\"}]}"},
        {"{\"details\":\"", "\"}"},
    };

    return mir_format("%s%s%s", forms[which].before, value, forms[which].after);
}

static void refuse_and_look(const struct secrets *secrets, const struct server_reply *replies,
                            size_t count, const char *label)
{
    auto_server *server = server_start(replies, count);
    auto_reg_bench b;

    reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS, .retry_times = 1});
    if (get_manifest(&b) || b.err.code == MIR_OK)
        fail_msg("%s: it was let in", label);
    must_keep_secrets(secrets, &b);
    (void)put_blob(&b);
    must_keep_secrets(secrets, &b);
    (void)get_blob(&b);
    must_keep_secrets(secrets, &b);
    (void)relay(&b, false);
    must_keep_secrets(secrets, &b);
    (void)relay(&b, true);
    must_keep_secrets(secrets, &b);
}

static void refusal_does_not_repeat_a_password(void **state)
{
    static const int statuses[] = {400, 401, 403, 404, 405, 429, 500, 302};
    auto_free char *pair = mir_base64_encode(mir_span_of(CREDS));
    const char *const values[] = {PASSWORD, pair, CREDS, "p\\u0040ss\\/w0rd hush"};
    auto_secrets secrets = {.count = 0};

    (void)state;
    secrets_add_login(&secrets, "me", PASSWORD);
    for (size_t i = 0; i < COUNT(statuses) * COUNT(values) * ECHOES; i++) {
        size_t which = i % ECHOES, value = i / ECHOES % COUNT(values);
        auto_free char *body = echo(which, values[value]);
        const struct server_reply replies[] = {
            {.lacks = "Authorization: Basic",
             .status = 401,
             .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"},
            {.method = "POST", .times = 1, .status = 202, .headers = "Location: /up\r\n"},
            {.status = statuses[i / ECHOES / COUNT(values)], .body = body}};

        refuse_and_look(&secrets, replies, COUNT(replies), body);
    }
}

static void refusal_does_not_repeat_a_token(void **state)
{
    static const int statuses[] = {400, 401, 403, 404, 405, 429, 500, 302};
    auto_secrets secrets = {.count = 0};

    (void)state;
    secrets_add(&secrets, TOKEN);
    secrets_add_login(&secrets, "me", PASSWORD);
    for (size_t i = 0; i < COUNT(statuses) * ECHOES; i++) {
        auto_free char *body = echo(i % ECHOES, "Bearer " TOKEN);
        const struct server_reply replies[] = {
            {.path = "/token*", .status = 200, .body = "{\"token\":\"" TOKEN "\"}"},
            {.lacks = "Authorization: Bearer",
             .status = 401,
             .headers = "WWW-Authenticate: Bearer realm=\"/token\",service=\"reg\"\r\n"},
            {.method = "POST", .times = 1, .status = 202, .headers = "Location: /up\r\n"},
            {.status = statuses[i / ECHOES], .body = body}};

        refuse_and_look(&secrets, replies, COUNT(replies), body);
    }
}

/* Into where we go next, so that a log, or another host, has it. */
static void location_does_not_take_a_login_along(void **state)
{
    auto_free char *pair = mir_base64_encode(mir_span_of(CREDS));
    auto_free char *spelled = mir_format("%%%02x%s", pair[0], pair + 1);
    const char *const values[] = {pair, spelled, "me:p%40ss%2Fw0rd%20hush"};
    auto_secrets secrets = {.count = 0};

    (void)state;
    secrets_add_login(&secrets, "me", PASSWORD);
    for (size_t i = 0; i < COUNT(values) * 3; i++) {
        auto_server *other = server_start(NULL, 0);
        auto_free char *away =
            mir_format("Location: %s/%s/x?a=b\r\n", server_url(other), values[i / 3]);
        auto_free char *realm = mir_format("WWW-Authenticate: Bearer realm=\"%s/%s\"\r\n",
                                           server_url(other), values[i / 3]);
        const struct server_reply replies[] = {
            {.lacks = "Authorization: Basic",
             .status = 401,
             .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"},
            {.status = i % 3 == 0   ? 307
                       : i % 3 == 1 ? 202
                                    : 401,
             .headers = i % 3 == 2 ? realm : away}};

        refuse_and_look(&secrets, replies, COUNT(replies), values[i / 3]);
        assert_int_equal(server_connections(other), 0);
    }
}

static void refusal_moves_no_terminal(void **state)
{
    static const char *const rows[] = {"\x1b[2J\x1b]0;owned\x07 gone",
                                       ("{\"errors\":[{\"code\":\"\\u001b[31m\",\"message\":"
                                        "\"\\u0000\\u202e\\u009b evil\\r\\n\"}]}"),
                                       "caf\xc3\xa9 \xff\xfe\x80\x9b"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply reply = {.status = 403, .body = rows[i]};
        auto_server *server = server_start(&reply, 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        assert_false(get_manifest(&b));
        for (const char *c = b.err.text; *c; c++)
            assert_in_range((unsigned char)*c, 0x20, 0x7e);
    }
}

/* ---- signed URLs --------------------------------------------------------------------------- */

/* A registry that signs, and a store that takes each signature for so long. */
#define SIGNED_MAX 6
struct signer {
    struct server_reply home[SIGNED_MAX + 1];
    struct server_reply there[SIGNED_MAX];
    char *headers[SIGNED_MAX];
    size_t count;
    struct server *store;
    struct server *registry;
    struct secrets secrets;
};

/* The next signature, and how the store answers those who bring it. */
static void sign(struct signer *signer, const char *path, struct server_reply answer)
{
    answer.path = path;
    signer->there[signer->count++] = answer;
}

static void signer_start(struct signer *signer)
{
    signer->store = server_start(signer->there, signer->count);
    signer->home[0] = (struct server_reply){.lacks = "Authorization: Basic",
                                            .status = 401,
                                            .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"};
    for (size_t i = 0; i < signer->count; i++) {
        bool last = i + 1 == signer->count;

        signer->headers[i] =
            mir_format("Location: %s%s\r\n", server_url(signer->store), signer->there[i].path);
        signer->home[i + 1] =
            (struct server_reply){.times = !last, .status = 307, .headers = signer->headers[i]};
    }
    signer->registry = server_start(signer->home, signer->count + 1);
    secrets_add(&signer->secrets, "SIGNATURE");
    secrets_add_login(&signer->secrets, "me", PASSWORD);
}

static void signer_stop(struct signer *signer)
{
    server_stop(signer->registry);
    server_stop(signer->store);
    for (size_t i = 0; i < signer->count; i++)
        free(signer->headers[i]);
    secrets_release(&signer->secrets);
}
#define auto_signer __attribute__((cleanup(signer_stop))) struct signer

static const struct server_reply whole = {.status = 200, .body = BODY, .ranges = true};
static const struct server_reply cut = {
    .status = 200, .body = BODY, .ranges = true, .fault = SERVER_FAULT_CUT, .fault_at = 10};
static const struct server_reply expired = {
    .status = 403,
    .body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"};
static const struct server_reply expired_token = {.status = 400, .body = "ExpiredToken"};

static void fetch_both_ways(struct signer *signer, struct reg_bench *b, bool relayed)
{
    reg_bench_start(b, signer->registry, &(struct reg_options){.creds = CREDS, .retry_times = 1});
    if (relayed ? !relay(b, false) : !get_blob(b))
        fail_msg("%s", b->err.text);
    if (!relayed)
        assert_string_equal(b->got.ptr, BODY);
    must_keep_secrets(&signer->secrets, b);
    assert_true(server_was_told(signer->registry, "Authorization: Basic"));
    assert_false(server_was_told(signer->store, "Authorization"));
}

static void signature_that_has_expired_is_asked_for_again(void **state)
{
    (void)state;
    for (int relayed = 0; relayed <= 1; relayed++) {
        auto_signer signer = {.count = 0};
        auto_reg_bench b;

        sign(&signer, "/blob?X-Amz-Signature=SIGNATURE1", expired);
        sign(&signer, "/blob?X-Amz-Signature=SIGNATURE2", whole);
        signer_start(&signer);
        fetch_both_ways(&signer, &b, relayed);
        assert_int_equal(server_count(signer.store, NULL, NULL), 2);
        assert_int_equal(b.clock.wait_count, 0);
    }
}

static void signature_that_expires_under_way_is_asked_for_again(void **state)
{
    (void)state;
    for (int relayed = 0; relayed <= 1; relayed++) {
        auto_signer signer = {.count = 0};
        auto_reg_bench b;
        auto_free char *range = NULL;

        sign(&signer, "/blob?sig=SIGNATURE1", cut);
        sign(&signer, "/blob?sig=SIGNATURE2", expired_token);
        sign(&signer, "/blob?sig=SIGNATURE3", whole);
        signer_start(&signer);
        fetch_both_ways(&signer, &b, relayed);
        range = server_header(server_request(signer.store, NULL, NULL, 2), "Range");
        assert_string_equal(range, "bytes=10-");
    }
}

static void store_that_refuses_every_signature_is_named(void **state)
{
    (void)state;
    for (int relayed = 0; relayed <= 1; relayed++) {
        auto_signer signer = {.count = 0};
        auto_reg_bench b;

        sign(&signer, "/blob?sig=SIGNATURE1", expired);
        signer_start(&signer);
        reg_bench_start(&b, signer.registry,
                        &(struct reg_options){.creds = CREDS, .retry_times = 3});
        assert_false(relayed ? relay(&b, false) : get_blob(&b));
        assert_int_equal(b.err.code, MIR_E_AUTH);
        must_have(b.err.text, "?sig=***: 403 Forbidden");
        must_have(b.err.hint, server_host(signer.store));
        must_have(b.err.hint, "a firewall in between");
        assert_int_equal(server_count(signer.store, NULL, NULL), 2);
        must_keep_secrets(&signer.secrets, &b);
    }
}

/* Whoever answers with a little and a refusal in turn is not followed for ever. */
static void store_that_gives_a_little_and_refuses_ends(void **state)
{
    (void)state;
    for (int relayed = 0; relayed <= 1; relayed++) {
        struct server_reply there[] = {{.path = "/a*",
                                        .status = 200,
                                        .body = BODY,
                                        .ranges = true,
                                        .fault = SERVER_FAULT_CUT,
                                        .fault_at = 1},
                                       {.path = "/b*", .status = 403}};
        auto_server *store = server_start(there, COUNT(there));
        auto_free char *one = mir_format("Location: %s/a?s=1\r\n", server_url(store));
        auto_free char *two = mir_format("Location: %s/b?s=1\r\n", server_url(store));
        struct server_reply home[40];
        auto_server *server = NULL;
        auto_reg_bench b;

        for (size_t i = 0; i < COUNT(home); i++)
            home[i] =
                (struct server_reply){.times = 1, .status = 307, .headers = i % 2 ? two : one};
        server = server_start(home, COUNT(home));
        reg_bench_start(&b, server, &(struct reg_options){.retry_times = 3});
        assert_false(relayed ? relay(&b, false) : get_blob(&b));
        assert_int_equal(b.err.code, MIR_E_NETWORK);
        assert_in_range(server_count(server, NULL, NULL), 5, 2 * 4 * (relayed ? 4 : 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusal_does_not_repeat_a_password),
        cmocka_unit_test(refusal_does_not_repeat_a_token),
        cmocka_unit_test(location_does_not_take_a_login_along),
        cmocka_unit_test(refusal_moves_no_terminal),
        cmocka_unit_test(signature_that_has_expired_is_asked_for_again),
        cmocka_unit_test(signature_that_expires_under_way_is_asked_for_again),
        cmocka_unit_test(store_that_refuses_every_signature_is_named),
        cmocka_unit_test(store_that_gives_a_little_and_refuses_ends),
    };

    return cmocka_run_group_tests_name("access/hostile words", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
