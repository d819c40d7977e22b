/*
 * Blobs from registries that play foul: each byte once, and checked.
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

static bool get_blob(struct reg_bench *b, const struct img_descriptor *blob)
{
    mir_error_clear(&b->err);
    mir_buf_clear(&b->got);
    return reg_blob_get(b->session, &b->repo, blob, 0, NULL, &b->blob_sink, &b->err);
}

static void blob_is_checked_as_it_comes(void **state)
{
    const struct {
        const char *label;
        struct server_reply reply;
        enum mir_code code;
        const char *says;
    } rows[] = {
        {"right", {.status = 200, .body = HTTP_BENCH_BODY}, MIR_OK, ""},
        {"right, unmarked",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_UNMARKED},
         MIR_OK,
         ""},
        {"wrong digest",
         {.status = 200, .body = "0123456789abcdefghijklmnopqrstuvwxyZ"},
         MIR_E_DIGEST,
         "digest mismatch"},
        {"too short", {.status = 200, .body = "0123"}, MIR_E_DIGEST, "4 bytes where 36"},
        {"too long",
         {.status = 200, .body = HTTP_BENCH_BODY HTTP_BENCH_BODY},
         MIR_E_DIGEST,
         "72 bytes where 36"},
        {"endless",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_ENDLESS},
         MIR_E_DIGEST,
         "longer than"},
        {"truncated each time",
         {.status = 200, .body = HTTP_BENCH_BODY, .fault = SERVER_FAULT_CUT, .fault_at = 5},
         MIR_E_NETWORK,
         "broke off at byte 5"},
        {"missing", {.status = 404}, MIR_E_NOT_FOUND, "404 Not Found"},
        {"refused", {.status = 403}, MIR_E_AUTH, "403 Forbidden"},
    };
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (get_blob(&b, &blob) != (rows[i].code == MIR_OK) || b.err.code != rows[i].code ||
            !strstr(b.err.text, rows[i].says) || b.got.len > HTTP_BENCH_BODY_LEN)
            fail_msg("%s: %s, %zu bytes", rows[i].label, b.err.text, b.got.len);
    }
}

static void blob_goes_on_from_an_offset(void **state)
{
    const struct server_reply replies[] = {
        {.times = 1,
         .status = 200,
         .body = HTTP_BENCH_BODY,
         .ranges = true,
         .fault = SERVER_FAULT_RESET,
         .fault_at = 3},
        {.status = 200, .body = HTTP_BENCH_BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    auto_hash *hash = mir_hash_new(MIR_HASH_SHA256);
    auto_hash *whole = mir_hash_new(MIR_HASH_SHA256);
    auto_hash *wrong = mir_hash_new(MIR_HASH_SHA256);
    auto_free char *first = NULL;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    mir_hash_update(hash, mir_span(HTTP_BENCH_BODY, 10));
    if (!reg_blob_get(b.session, &b.repo, &blob, 10, hash, &b.blob_sink, &b.err))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.got.ptr, &HTTP_BENCH_BODY[10]);
    first = server_header(server_request(server, NULL, NULL, 0), "Range");
    assert_string_equal(first, "bytes=10-");
    /* All there: nothing is asked, the digest is still checked. */
    mir_hash_update(whole, mir_span_of(HTTP_BENCH_BODY));
    assert_true(
        reg_blob_get(b.session, &b.repo, &blob, HTTP_BENCH_BODY_LEN, whole, &b.blob_sink, &b.err));
    assert_int_equal(server_count(server, NULL, NULL), 2);
    mir_hash_update(wrong, mir_span("x", 1));
    b.blob_sink.restart = NULL;
    assert_false(
        reg_blob_get(b.session, &b.repo, &blob, HTTP_BENCH_BODY_LEN, wrong, &b.blob_sink, &b.err));
    assert_int_equal(b.err.code, MIR_E_DIGEST);
    mir_error_clear(&b.err);
    assert_false(reg_blob_get(b.session, &b.repo, &blob, HTTP_BENCH_BODY_LEN + 1, NULL,
                              &b.blob_sink, &b.err));
    assert_int_equal(b.err.code, MIR_E_DIGEST);
}

static void empty_blob_is_fetched_too(void **state)
{
    const struct server_reply replies[] = {{.status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct img_descriptor blob = reg_bench_blob_of("");
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    if (!get_blob(&b, &blob))
        fail_msg("%s", b.err.text);
    assert_int_equal(server_count(server, "GET", NULL), 1);
}

static void foreign_blob_comes_from_its_urls(void **state)
{
    const struct server_reply there[] = {
        {.path = "/gone", .status = 404},
        {.path = "/layer",
         .times = 1,
         .status = 200,
         .body = HTTP_BENCH_BODY,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 9},
        {.path = "/layer", .status = 200, .body = HTTP_BENCH_BODY, .ranges = true}};
    const struct server_reply here[] = {
        {.needs = "Authorization", .status = 404},
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *store = server_start(there, COUNT(there));
    auto_server *server = server_start(here, COUNT(here));
    auto_free char *gone = mir_format("%s/gone", server_url(store));
    auto_free char *layer = mir_format("%s/layer", server_url(store));
    char file[] = "file:///etc/passwd";
    char *urls[] = {file, gone, layer};
    struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    auto_reg_bench b;

    (void)state;
    blob.urls = urls;
    blob.url_count = COUNT(urls);
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush", .retry_times = 1});
    if (!get_blob(&b, &blob))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.got.ptr, HTTP_BENCH_BODY);
    assert_false(server_was_told(store, "Authorization"));
    blob.url_count = 2;
    assert_false(get_blob(&b, &blob));
    assert_int_equal(b.err.code, MIR_E_NOT_FOUND);
    must_have(b.err.text, "/gone: 404");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blob_is_checked_as_it_comes),
        cmocka_unit_test(blob_goes_on_from_an_offset),
        cmocka_unit_test(empty_blob_is_fetched_too),
        cmocka_unit_test(foreign_blob_comes_from_its_urls),
    };

    return cmocka_run_group_tests_name("registry/blob", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
