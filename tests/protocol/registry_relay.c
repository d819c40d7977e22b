/*
 * Blobs from registry to registry: nothing complete that is wrong.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/http_bench.h"
#include "lib/must.h"
#include "lib/reg_bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct tally {
    int64_t bytes;
    int64_t lowest;
};

static void count_moved(void *ctx, int64_t bytes)
{
    struct tally *tally = ctx;

    tally->bytes += bytes;
    if (tally->bytes < tally->lowest)
        tally->lowest = tally->bytes;
}

static const struct server_reply accepting[] = {{.method = "POST",
                                                 .path = "/v2/mirror/app/blobs/uploads/*",
                                                 .status = 202,
                                                 .headers = "Location: /up\r\n"},
                                                {.method = "PUT", .status = 201}};

struct relay_case {
    const struct img_descriptor *blob;
    const char *mount_from;
    enum reg_put_outcome outcome;
    struct tally tally;
};

static bool relay(struct reg_bench *from, struct reg_bench *to, struct relay_case *c)
{
    const struct reg_repo destination = {.host = to->repo.host, .name = "mirror/app"};

    mir_error_clear(&to->err);
    c->tally = (struct tally){0};
    return reg_blob_relay(from->session, &from->repo, to->session, &destination, c->blob,
                          c->mount_from, count_moved, &c->tally, &c->outcome, &to->err);
}

static void relay_moves_a_blob(void **state)
{
    const struct server_reply source[] = {{.times = 1,
                                           .status = 200,
                                           .body = HTTP_BENCH_BODY,
                                           .fault = SERVER_FAULT_RESET,
                                           .fault_at = 11},
                                          {.status = 200, .body = HTTP_BENCH_BODY, .ranges = true}};
    auto_server *left = server_start(source, COUNT(source));
    auto_server *right = server_start(accepting, COUNT(accepting));
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_int_equal(c.outcome, REG_PUT_UPLOADED);
    assert_int_equal(c.tally.bytes, HTTP_BENCH_BODY_LEN);
    assert_string_equal(server_request(right, "PUT", NULL, 0)->body, HTTP_BENCH_BODY);
    assert_int_equal(reg_client_requests(from.client), 2);
    assert_int_equal(reg_client_requests(to.client), 2);
}

static void relay_logs_in_on_both_sides(void **state)
{
    const struct server_reply source[] = {
        {.path = "/token?scope=repository:team/app:pull&account=from",
         .status = 200,
         .body = "{\"token\":\"tok-from\"}"},
        {.needs = "tok-from", .status = 200, .body = HTTP_BENCH_BODY},
        {.status = 401, .headers = "WWW-Authenticate: Bearer realm=\"/token\"\r\n"}};
    const struct server_reply sink[] = {
        {.method = "POST",
         .needs = "Basic dG86dG8=",
         .status = 202,
         .headers = "Location: /up\r\n"},
        {.method = "PUT", .needs = "Basic dG86dG8=", .status = 201},
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *left = server_start(source, COUNT(source));
    auto_server *right = server_start(sink, COUNT(sink));
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, &(struct reg_options){.creds = "from:from"});
    reg_bench_start(&to, right, &(struct reg_options){.creds = "to:to"});
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_string_equal(server_request(right, "PUT", NULL, 0)->body, HTTP_BENCH_BODY);
    assert_int_equal(c.tally.bytes, HTTP_BENCH_BODY_LEN);
    assert_false(server_was_told(right, "tok-from"));
    assert_false(server_was_told(left, "dG86dG8="));
}

static void relay_starts_over_when_the_destination_fails(void **state)
{
    const struct {
        const char *label;
        struct server_reply fault;
    } rows[] = {
        {"session lost", {.method = "PUT", .times = 1, .status = 404}},
        {"500", {.method = "PUT", .times = 1, .status = 500}},
        {"hang up", {.method = "PUT", .times = 1, .fault = SERVER_FAULT_HANG_UP, .fault_at = 5}},
        {"silence", {.method = "PUT", .times = 1, .fault = SERVER_FAULT_SILENCE}},
    };
    const struct server_reply source[] = {{.status = 200, .body = HTTP_BENCH_BODY}};
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply sink[] = {rows[i].fault, accepting[0], accepting[1]};
        auto_server *left = server_start(source, COUNT(source));
        auto_server *right = server_start(sink, COUNT(sink));
        struct relay_case c = {.blob = &blob};
        auto_reg_bench from;
        auto_reg_bench to;

        reg_bench_start(&from, left, NULL);
        reg_bench_start(&to, right, NULL);
        if (!relay(&from, &to, &c))
            fail_msg("%s: %s", rows[i].label, to.err.text);
        assert_int_equal(c.tally.bytes, HTTP_BENCH_BODY_LEN);
        assert_int_equal(c.tally.lowest, 0);
        assert_int_equal(server_count(right, "POST", NULL), 2);
        assert_string_equal(server_request(right, "PUT", NULL, 1)->body, HTTP_BENCH_BODY);
    }
}

static void relay_completes_nothing_that_is_wrong(void **state)
{
    const struct {
        const char *label;
        struct server_reply reply;
        enum mir_code code;
        const char *says;
    } rows[] = {
        {"wrong digest",
         {.status = 200, .body = "0123456789abcdefghijklmnopqrstuvwxyZ"},
         MIR_E_DIGEST,
         "digest mismatch"},
        {"short", {.status = 200, .body = "0123"}, MIR_E_DIGEST, "4 bytes where 36"},
        {"long", {.status = 200, .body = HTTP_BENCH_BODY "!"}, MIR_E_DIGEST, "37 bytes where 36"},
        {"endless",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_ENDLESS},
         MIR_E_DIGEST,
         "longer than the 36"},
        {"truncated each time",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_CUT, .fault_at = 5},
         MIR_E_NETWORK,
         "broke off"},
        {"missing", {.status = 404}, MIR_E_NOT_FOUND, "GET http"},
    };
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *left = server_start(&rows[i].reply, 1);
        auto_server *right = server_start(accepting, COUNT(accepting));
        struct relay_case c = {.blob = &blob};
        auto_reg_bench from;
        auto_reg_bench to;

        reg_bench_start(&from, left, &(struct reg_options){.retry_times = 1});
        reg_bench_start(&to, right, &(struct reg_options){.retry_times = 1});
        if (relay(&from, &to, &c) || to.err.code != rows[i].code ||
            !strstr(to.err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].label, to.err.text);
        assert_int_equal(c.tally.bytes, 0);
        server_finish(right);
        for (size_t n = 0; n < server_count(right, "PUT", NULL); n++)
            assert_true(server_request(right, "PUT", NULL, n)->body_len < HTTP_BENCH_BODY_LEN);
    }
}

static void relay_mounts_without_asking_the_source(void **state)
{
    const struct server_reply sink[] = {{.method = "POST", .status = 201}};
    auto_server *left = server_start(NULL, 0);
    auto_server *right = server_start(sink, COUNT(sink));
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    struct relay_case c = {.blob = &blob, .mount_from = "base/image"};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_int_equal(c.outcome, REG_PUT_MOUNTED);
    assert_int_equal(c.tally.bytes, 0);
    assert_int_equal(server_connections(left), 0);
}

static void relay_moves_an_empty_blob(void **state)
{
    auto_server *left = server_start(NULL, 0);
    auto_server *right = server_start(accepting, COUNT(accepting));
    const struct img_descriptor blob = reg_bench_blob_of("");
    struct img_descriptor liar = reg_bench_blob_of(HTTP_BENCH_BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_int_equal(server_request(right, "PUT", NULL, 0)->body_len, 0);
    liar.size = 0;
    c.blob = &liar;
    assert_false(relay(&from, &to, &c));
    assert_int_equal(to.err.code, MIR_E_DIGEST);
    assert_int_equal(server_count(right, "PUT", NULL), 1);
}

static void relay_takes_a_foreign_blob_from_its_url(void **state)
{
    const struct server_reply there[] = {{.path = "/layer", .status = 200, .body = HTTP_BENCH_BODY},
                                         {.status = 404}};
    const struct server_reply here[] = {{.status = 404}};
    auto_server *store = server_start(there, COUNT(there));
    auto_server *left = server_start(here, COUNT(here));
    auto_server *right = server_start(accepting, COUNT(accepting));
    auto_free char *gone = mir_format("%s/gone", server_url(store));
    auto_free char *layer = mir_format("%s/layer", server_url(store));
    char *urls[] = {gone, layer};
    struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    blob.urls = urls;
    blob.url_count = COUNT(urls);
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_string_equal(server_request(right, "PUT", NULL, 0)->body, HTTP_BENCH_BODY);
    assert_int_equal(server_count(right, "POST", NULL), 1);
    blob.url_count = 1;
    assert_false(relay(&from, &to, &c));
    assert_int_equal(to.err.code, MIR_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relay_moves_a_blob),
        cmocka_unit_test(relay_logs_in_on_both_sides),
        cmocka_unit_test(relay_starts_over_when_the_destination_fails),
        cmocka_unit_test(relay_completes_nothing_that_is_wrong),
        cmocka_unit_test(relay_mounts_without_asking_the_source),
        cmocka_unit_test(relay_moves_an_empty_blob),
        cmocka_unit_test(relay_takes_a_foreign_blob_from_its_url),
    };

    return cmocka_run_group_tests_name("registry/relay", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
