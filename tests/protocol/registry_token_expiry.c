/*
 * Tokens that run out: before a request, under way, in the middle of a blob that comes, goes or is
 * relayed. What was begun goes on with the next token.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/login.h"

#define GIVES_FOR(token, seconds)                                                                  \
    .status = 200, .body = "{\"token\":\"" token "\",\"expires_in\":" #seconds "}"
#define BODY "0123456789abcdefghij"

static void token_renews_a_token_that_expires(void **state)
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

static void token_renews_a_token_that_is_refused_early(void **state)
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

/* ---- for how long ------------------------------------------------------------------------- */

/* How long a token is used, by what was said of it: the skew is a quarter, 10 s at most, and one
 * that was kept somewhere before it was sent has that time behind it, by the sender's clock. */
static void token_is_used_for_as_long_as_it_says(void **state)
{
    static const struct {
        const char *label;
        const char *more; /* fields of the answer */
        const char *date;
        unsigned used_s; /* and not a second longer; 0: for one request */
    } rows[] = {
        {"300 s", "\"expires_in\":300", NULL, 290},
        {"2 s and a half", "\"expires_in\":2.6", NULL, 2},
        {"nothing", "\"a\":0", NULL, 50},
        {"0", "\"expires_in\":0", NULL, 50},
        {"negative", "\"expires_in\":-5", NULL, 50},
        {"text", "\"expires_in\":\"300\"", NULL, 50},
        {"forever", "\"expires_in\":1e18", NULL, 24 * 3600 - 10},
        {"issued before", "\"expires_in\":300,\"issued_at\":\"2026-01-01T00:00:00Z\"",
         "Thu, 01 Jan 2026 00:01:40 GMT", 190},
        {"a fraction", "\"expires_in\":300,\"issued_at\":\"2026-01-01T00:00:00.123456789Z\"",
         "Thu, 01 Jan 2026 00:01:40 GMT", 190},
        {"an offset", "\"expires_in\":300,\"issued_at\":\"2026-01-01T05:30:00+05:30\"",
         "Thu, 01 Jan 2026 00:01:40 GMT", 190},
        {"an offset to the west", "\"expires_in\":300,\"issued_at\":\"2025-12-31T19:00:00-05:00\"",
         "Thu, 01 Jan 2026 00:01:40 GMT", 190},
        {"issued later", "\"expires_in\":300,\"issued_at\":\"2027-01-01T00:00:00Z\"",
         "Thu, 01 Jan 2026 00:01:40 GMT", 290},
        {"no date", "\"expires_in\":300,\"issued_at\":\"2026-01-01T00:00:00Z\"", NULL, 290},
        {"no moment", "\"expires_in\":300,\"issued_at\":\"yesterday\"",
         "Thu, 01 Jan 2026 00:01:40 GMT", 290},
        {"over already", "\"expires_in\":60,\"issued_at\":\"2026-01-01T00:00:00Z\"",
         "Thu, 01 Jan 2026 00:01:40 GMT", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *body = mir_format("{\"token\":\"tok\",%s}", rows[i].more);
        auto_free char *date = mir_format("Date: %s\r\n", rows[i].date ? rows[i].date : "");
        const struct server_reply replies[] = {{.path = PULL_TOKEN,
                                                .status = 200,
                                                .headers = rows[i].date ? date : NULL,
                                                .body = body},
                                               LET_IN("tok"),
                                               REFUSE_OTHERS};
        auto_server *server = server_start(replies, COUNT(replies));
        size_t before;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        must_get(&b);
        if (rows[i].used_s > 0)
            fake_clock_advance(&b.clock, (rows[i].used_s - 1) * 1000);
        must_get(&b);
        before = server_count(server, NULL, PULL_TOKEN);
        fake_clock_advance(&b.clock, 1000);
        must_get(&b);
        if (before != (rows[i].used_s > 0 ? 1 : 2) ||
            server_count(server, NULL, PULL_TOKEN) != before + 1)
            fail_msg("%s: asked %zu times, then %zu", rows[i].label, before,
                     server_count(server, NULL, PULL_TOKEN));
    }
}

/* ---- under way ----------------------------------------------------------------------------- */

/* Lets time pass when a request with the first token arrives. */
struct delay {
    struct fake_clock *clock;
    int64_t ms;
};

static void pass_time(void *ctx, const struct server_request *request)
{
    struct delay *delay = ctx;

    if (strstr(request->headers, "Bearer tok-1"))
        fake_clock_advance(delay->clock, delay->ms);
}

/* It was good when it was sent, and is not when it is looked at. */
static void token_that_runs_out_under_a_request_is_renewed(void **state)
{
    static const struct {
        const char *label;
        int64_t ms; /* that the registry takes to refuse it */
        bool renewed;
    } rows[] = {
        {"at once", 0, false},
        {"just within its life", 1000, false},
        {"after its life", 2000, true},
        {"much later", 30 * 1000, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.path = PULL_TOKEN, .times = 1, GIVES_FOR("tok-1", 2)},
            {.path = PULL_TOKEN, GIVES_FOR("tok-2", 2)},
            LET_IN("tok-2"),
            REFUSE_OTHERS};
        auto_server *server = server_start(replies, COUNT(replies));
        struct delay delay = {.ms = rows[i].ms};
        const struct server_hook hook = {pass_time, &delay};
        auto_reg_bench b;

        delay.clock = &b.clock;
        server_set_hook(server, &hook);
        reg_bench_start(&b, server, NULL);
        if (get_manifest(&b) != rows[i].renewed)
            fail_msg("%s: %s", rows[i].label, b.err.text);
    }
}

/* The service says 300 s, the registry has another clock: only its 401 tells. */
static void token_that_was_good_for_a_while_is_renewed(void **state)
{
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN, .times = 1, GIVES_FOR("tok-1", 300)},
        {.path = PULL_TOKEN, GIVES_FOR("tok-2", 300)},
        LET_IN("tok-2"),
        REFUSE_OTHERS};
    auto_server *server = server_start(replies, COUNT(replies));
    struct delay delay = {.ms = 11 * 1000};
    const struct server_hook hook = {pass_time, &delay};
    auto_reg_bench b;

    (void)state;
    delay.clock = &b.clock;
    server_set_hook(server, &hook);
    reg_bench_start(&b, server, NULL);
    must_get(&b);
}

/* ---- in the middle of a blob ---------------------------------------------------------------- */

static void token_goes_on_with_a_blob_when_its_token_ends(void **state)
{
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN, .times = 1, .status = 200, .body = "{\"token\":\"tok-1\"}"},
        {.path = PULL_TOKEN, .status = 200, .body = "{\"token\":\"tok-2\"}"},
        {.path = "/v2/*",
         .needs = "Bearer tok-1",
         .times = 1,
         .status = 200,
         .body = BODY,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 7},
        {.path = "/v2/*", .needs = "Bearer tok-2", .status = 200, .body = BODY, .ranges = true},
        {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct img_descriptor blob = {.size = sizeof(BODY) - 1};
    auto_reg_bench b;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of(BODY), &blob.digest);
    reg_bench_start(&b, server, NULL);
    if (!reg_blob_get(b.session, &b.repo, &blob, 0, NULL, &b.blob_sink, &b.err))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.got.ptr, BODY);
}

#define PIECES 12

/* replies: room for 2 * PIECES + 1. Each token is good for a piece of the blob. */
static void script_pieces(struct server_reply *replies, char *tokens[2 * PIECES], const char *body,
                          size_t piece)
{
    for (size_t i = 0; i < PIECES; i++) {
        tokens[2 * i] = mir_format("{\"token\":\"tok-%02zu\"}", i);
        tokens[2 * i + 1] = mir_format("Bearer tok-%02zu", i);
        replies[2 * i] = (struct server_reply){
            .path = PULL_TOKEN, .times = 1, .status = 200, .body = tokens[2 * i]};
        replies[2 * i + 1] = (struct server_reply){.path = "/v2/*",
                                                   .needs = tokens[2 * i + 1],
                                                   .times = 1,
                                                   .status = 200,
                                                   .body = body,
                                                   .ranges = true,
                                                   .fault = SERVER_FAULT_CUT,
                                                   .fault_at = piece};
    }
    replies[2 * PIECES] = (struct server_reply){.status = 401, .headers = BEARER};
}

static bool get_in_pieces(size_t blob_bytes, size_t piece, struct server **server,
                          struct reg_bench *b)
{
    struct server_reply replies[2 * PIECES + 1];
    char *tokens[2 * PIECES];
    auto_free char *body = mir_format("%0*d", (int)blob_bytes, 7);
    const struct img_descriptor blob = reg_bench_blob_of(body);
    bool ok;

    script_pieces(replies, tokens, body, piece);
    *server = server_start(replies, COUNT(replies));
    reg_bench_start(b, *server, &(struct reg_options){.retry_times = 2});
    ok = reg_blob_get(b->session, &b->repo, &blob, 0, NULL, &b->blob_sink, &b->err);
    ok = ok && strcmp(b->got.ptr, body) == 0;
    server_finish(*server);
    for (size_t i = 0; i < 2 * PIECES; i++)
        free(tokens[i]);
    return ok;
}

static void token_is_renewed_as_often_as_a_blob_gets_on(void **state)
{
    auto_server *server = NULL;
    auto_reg_bench b;

    (void)state;
    if (!get_in_pieces(100000 * (PIECES - 1) + 5, 100000, &server, &b))
        fail_msg("%s", b.err.text);
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), PIECES);
}

/* A registry that lets each token have a byte is no registry. */
static void token_is_not_renewed_for_a_few_bytes_without_end(void **state)
{
    auto_server *server = NULL;
    auto_reg_bench b;

    (void)state;
    assert_false(get_in_pieces(1000, 1, &server, &b));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    assert_true(server_count(server, NULL, PULL_TOKEN) <= 5);
}

/* ---- in the middle of an upload ------------------------------------------------------------- */

#define PUSH_TOKEN "/token?service=reg&scope=repository:team/app:pull,push"

/* The answer to a PUT comes when the token it was sent with has run out: it is sent again, to the
 * same session. */
static void token_that_runs_out_under_an_upload_is_renewed(void **state)
{
    const struct server_reply replies[] = {
        {.path = PUSH_TOKEN, .times = 1, GIVES_FOR("tok-1", 2)},
        {.path = PUSH_TOKEN, GIVES_FOR("tok-2", 300)},
        {.method = "POST", .needs = "Bearer tok-1", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "PUT", .needs = "Bearer tok-2", .status = 201},
        {.status = 401, .headers = BEARER}};
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    auto_server *server = server_start(replies, COUNT(replies));
    struct delay delay = {.ms = 1100};
    const struct server_hook hook = {pass_time, &delay};
    enum reg_put_outcome outcome;
    auto_reg_bench b;

    (void)state;
    delay.clock = &b.clock;
    server_set_hook(server, &hook);
    reg_bench_start(&b, server, NULL);
    b.content = mir_span_of(BODY);
    must(reg_blob_put(b.session, &b.repo, &blob, NULL, &b.blob_source, &outcome, &b.err), &b.err);
    /* Once without, once with a token. */
    assert_int_equal(server_count(server, "POST", "/v2/*"), 2);
    assert_int_equal(server_count(server, "PUT", NULL), 2);
    assert_string_equal(server_request(server, "PUT", NULL, 1)->body, BODY);
    assert_int_equal(server_count(server, NULL, PUSH_TOKEN), 2);
}

/* The source's token runs out while the blob passes by: the one upload goes on. */
static void token_that_runs_out_under_a_relay_is_renewed(void **state)
{
    const struct server_reply source[] = {
        {.path = PULL_TOKEN, .times = 1, GIVES_FOR("tok-1", 300)},
        {.path = PULL_TOKEN, GIVES_FOR("tok-2", 300)},
        {.path = "/v2/*",
         .needs = "Bearer tok-1",
         .times = 1,
         .status = 200,
         .body = BODY,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 7},
        {.path = "/v2/*", .needs = "Bearer tok-2", .status = 200, .body = BODY, .ranges = true},
        {.status = 401, .headers = BEARER}};
    const struct server_reply destination[] = {
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "PUT", .status = 201}};
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    auto_server *from = server_start(source, COUNT(source));
    auto_server *to = server_start(destination, COUNT(destination));
    enum reg_put_outcome outcome;
    auto_reg_bench f;
    auto_reg_bench t;

    (void)state;
    reg_bench_start(&f, from, &(struct reg_options){.retry_times = 1});
    reg_bench_start(&t, to, NULL);
    must(reg_blob_relay(f.session, &f.repo, t.session, &t.repo, &blob, NULL, NULL, NULL, &outcome,
                        &t.err),
         &t.err);
    assert_int_equal(server_count(to, "POST", NULL), 1);
    assert_int_equal(server_count(to, "PUT", NULL), 1);
    assert_string_equal(server_request(to, "PUT", NULL, 0)->body, BODY);
    assert_int_equal(server_count(from, NULL, PULL_TOKEN), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_renews_a_token_that_expires),
        cmocka_unit_test(token_renews_a_token_that_is_refused_early),
        cmocka_unit_test(token_is_used_for_as_long_as_it_says),
        cmocka_unit_test(token_that_runs_out_under_a_request_is_renewed),
        cmocka_unit_test(token_that_was_good_for_a_while_is_renewed),
        cmocka_unit_test(token_goes_on_with_a_blob_when_its_token_ends),
        cmocka_unit_test(token_is_renewed_as_often_as_a_blob_gets_on),
        cmocka_unit_test(token_is_not_renewed_for_a_few_bytes_without_end),
        cmocka_unit_test(token_that_runs_out_under_an_upload_is_renewed),
        cmocka_unit_test(token_that_runs_out_under_a_relay_is_renewed),
    };

    return cmocka_run_group_tests_name("registry/token_expiry", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
