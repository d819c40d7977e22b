/*
 * serve: the server as clients see it, over sockets: what is there and what is not, refusals, many
 * clients at once, and files that change under it.
 */
#include "serve/serve.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "bundle/bundle.h"
#include "lib/scratch.h"
#include "lib/serve_bench.h"

#define CLIENTS 8
#define ROUNDS  25

/* ---- what is there ---- */

static void check_content(const struct serve_bench *w, const char *target,
                          const struct fixture_item *item)
{
    auto_reply got = {.status = 0}, head = {.status = 0};
    auto_free char *want = NULL, *type = NULL, *digest = NULL, *length = NULL;
    size_t len;

    want = serve_bench_load(w, &item->digest, &len);
    serve_ask(w->port, "GET", target, "", &got);
    serve_ask(w->port, "HEAD", target, "", &head);
    if (got.status != 200 || head.status != 200)
        fail_msg("%s: %u, %u", target, got.status, head.status);
    assert_int_equal(got.body_len, len);
    assert_memory_equal(got.body, want, len);
    type = serve_reply_header(&head, "Content-Type");
    digest = serve_reply_header(&head, "Docker-Content-Digest");
    length = serve_reply_header(&head, "Content-Length");
    assert_string_equal(type, item->media_type);
    assert_string_equal(digest, item->digest.text);
    assert_int_equal(strtoull(length, NULL, 10), len);
}

static void manifests_come_by_tag_and_digest_under_both_names(void **state)
{
    static const char *const repos[] = {"team/app", SERVE_BENCH_HOST "/team/app"};
    const struct serve_bench *w = *state;

    for (size_t i = 0; i < 2; i++) {
        auto_free char *tag = mir_format("/v2/%s/manifests/1", repos[i]);
        auto_free char *digest = mir_format("/v2/%s/manifests/%s", repos[i], w->index.digest.text);
        auto_free char *child = mir_format("/v2/%s/manifests/%s", repos[i], w->child.digest.text);

        check_content(w, tag, &w->index);
        check_content(w, digest, &w->index);
        check_content(w, child, &w->child);
    }
    check_content(w, "/v2/" SERVE_BENCH_HOST "/team/app/manifests/2", &w->other);
    check_content(w, "/v2/elsewhere.invalid/team/app/manifests/2", &w->artifact);
    check_content(w, "/v2/team/app/manifests/2?ns=" SERVE_BENCH_HOST, &w->other);
    check_content(w, "/v2/team/app/manifests/2?ns=elsewhere.invalid", &w->artifact);
}

struct refusal_row {
    const char *method, *target;
    unsigned status;
    const char *code;
};

static const struct refusal_row refusal_rows[] = {
    {"GET", "/v2/no/such/manifests/1", 404, "NAME_UNKNOWN"},
    {"GET", "/v2/no/such/blobs/" SERVE_BENCH_NOBODY, 404, "NAME_UNKNOWN"},
    {"GET", "/v2/no/such/tags/list", 404, "NAME_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/none", 404, "MANIFEST_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/" SERVE_BENCH_NOBODY, 404, "MANIFEST_UNKNOWN"},
    {"GET", "/v2/team/app/blobs/" SERVE_BENCH_NOBODY, 404, "BLOB_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/2", 404, "MANIFEST_UNKNOWN"}, /* two images claim it */
    {"GET", "/v2/team/app/manifests/1?ns=elsewhere.invalid", 404, "MANIFEST_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/1?ns=nowhere.invalid", 404, "NAME_UNKNOWN"},
    {"GET", "/v2/team/app/blobs/latest", 400, "DIGEST_INVALID"},
    {"GET", "/v2/Team/app/tags/list", 400, "NAME_INVALID"},
    {"GET", "/v2/team%2fapp/tags/list", 400, "UNSUPPORTED"},
    {"GET", "/", 404, "UNSUPPORTED"},
    {"GET", "/v2/../index.json", 404, "UNSUPPORTED"},
    {"POST", "/v2/team/app/blobs/uploads/", 405, "UNSUPPORTED"},
    {"PUT", "/v2/team/app/manifests/1", 405, "UNSUPPORTED"},
    {"PATCH", "/v2/team/app/blobs/uploads/1", 405, "UNSUPPORTED"},
    {"DELETE", "/v2/team/app/manifests/1", 405, "UNSUPPORTED"},
    {"OPTIONS", "/v2/", 405, "UNSUPPORTED"},
    {"SPLINE", "/v2/", 405, "UNSUPPORTED"},
};

static void refusals_carry_the_codes_of_the_specification(void **state)
{
    const struct serve_bench *w = *state;

    for (size_t i = 0; i < sizeof(refusal_rows) / sizeof(refusal_rows[0]); i++) {
        const struct refusal_row *row = &refusal_rows[i];
        auto_reply reply = {.status = 0};
        auto_json *root = NULL;
        const json_t *code;

        serve_ask(w->port, row->method, row->target, "", &reply);
        root = json_loads(reply.body ? reply.body : "", 0, NULL);
        code = json_object_get(json_array_get(json_object_get(root, "errors"), 0), "code");
        if (reply.status != row->status || !json_is_string(code) ||
            strcmp(json_string_value(code), row->code) != 0)
            fail_msg("%s %s: %u %s", row->method, row->target, reply.status, reply.body);
    }
}

static void only_what_the_index_leads_to_is_there(void **state)
{
    const struct serve_bench *w = *state;
    auto_free char *stray = mir_format("/v2/team/app/blobs/%s", w->stray.digest.text);
    auto_free char *manifest = mir_format("/v2/team/app/manifests/%s", w->stray.digest.text);
    auto_free char *layer = mir_format("/v2/team/app/manifests/%s", w->layer.text);

    assert_non_null(bundle_reader_find(w->reader, &w->stray.digest));
    assert_int_equal(serve_bench_status(w, "GET", stray), 404);
    assert_int_equal(serve_bench_status(w, "GET", manifest), 404);
    assert_int_equal(serve_bench_status(w, "GET", layer), 404); /* a layer is no manifest */
}

static void lists_have_every_name_once(void **state)
{
    const struct serve_bench *w = *state;
    auto_reply catalog = {.status = 0}, tags = {.status = 0}, page = {.status = 0};
    auto_free char *link = NULL;

    serve_ask(w->port, "GET", "/v2/_catalog?n=4", "", &catalog);
    assert_int_equal(catalog.status, 200);
    assert_non_null(strstr(catalog.body, "\"elsewhere.invalid/team/app\""));
    serve_ask(w->port, "GET", "/v2/team/app/tags/list", "", &tags);
    assert_string_equal(tags.body, "{\"name\":\"team/app\",\"tags\":[\"1\",\"sbom\"]}");
    serve_ask(w->port, "GET", "/v2/" SERVE_BENCH_HOST "/team/app/tags/list?n=1", "", &page);
    assert_string_equal(page.body, "{\"name\":\"" SERVE_BENCH_HOST "/team/app\",\"tags\":[\"1\"]}");
    link = serve_reply_header(&page, "Link");
    assert_string_equal(link,
                        "</v2/" SERVE_BENCH_HOST "/team/app/tags/list?last=1&n=1>; rel=\"next\"");
    assert_int_equal(serve_repo_count(w->server), 6);
}

static void referrers_lead_back_to_what_refers(void **state)
{
    const struct serve_bench *w = *state;
    auto_free char *of_index = mir_format("/v2/team/app/referrers/%s", w->index.digest.text);
    auto_free char *of_other = mir_format("/v2/team/app/referrers/%s", w->other.digest.text);
    auto_free char *filtered = mir_format("%s?artifactType=application/vnd.other", of_index);
    auto_reply all = {.status = 0}, none = {.status = 0}, filter = {.status = 0};
    auto_json *root = NULL;
    const json_t *first;

    serve_ask(w->port, "GET", of_index, "", &all);
    root = json_loads(all.body, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "manifests")), 1);
    first = json_array_get(json_object_get(root, "manifests"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "artifactType")),
                        "application/vnd.x.sbom");
    serve_ask(w->port, "GET", of_other, "", &none);
    assert_int_equal(none.status, 200);
    assert_non_null(strstr(none.body, "\"manifests\":[]"));
    serve_ask(w->port, "GET", filtered, "", &filter);
    assert_non_null(strstr(filter.body, "\"manifests\":[]"));
    assert_non_null(strstr(filter.head, "OCI-Filters-Applied: artifactType"));
}

/* ---- blobs ---- */

struct range_row {
    const char *headers;
    unsigned status;
    size_t start, len; /* len 0: to the end */
};

static const struct range_row range_rows[] = {
    {"", 200, 0, 0},
    {"Range: bytes=0-\r\n", 206, 0, 0},
    {"Range: bytes=1000-\r\n", 206, 1000, 0},
    {"Range: bytes=10-29\r\n", 206, 10, 20},
    {"Range: bytes=0-1,5-6\r\n", 200, 0, 0},
    {"Range: bytes=10-29\r\nIf-Range: \"other\"\r\n", 200, 0, 0},
};

static void check_range(const struct serve_bench *w, const struct range_row *row)
{
    auto_free char *target = mir_format("/v2/team/app/blobs/%s", w->layer.text);
    auto_free char *want = NULL, *range = NULL;
    auto_reply reply = {.status = 0};
    size_t size, len;

    want = serve_bench_load(w, &w->layer, &size);
    len = row->len > 0 ? row->len : size - row->start;
    serve_ask(w->port, "GET", target, row->headers, &reply);
    if (reply.status != row->status || reply.body_len != len ||
        memcmp(reply.body, want + row->start, len) != 0)
        fail_msg("%s: %u, %zu bytes", row->headers, reply.status, reply.body_len);
    range = serve_reply_header(&reply, "Content-Range");
    assert_int_equal(range != NULL, row->status == 206);
    if (range) {
        auto_free char *expected =
            mir_format("bytes %zu-%zu/%zu", row->start, row->start + len - 1, size);

        assert_string_equal(range, expected);
    }
}

static void blobs_come_whole_and_in_parts(void **state)
{
    const struct serve_bench *w = *state;
    auto_free char *target = mir_format("/v2/team/app/blobs/%s", w->layer.text);
    auto_reply over = {.status = 0}, same = {.status = 0};
    auto_free char *range = NULL, *size = NULL, *etag = NULL;

    for (size_t i = 0; i < sizeof(range_rows) / sizeof(range_rows[0]); i++)
        check_range(w, &range_rows[i]);
    serve_ask(w->port, "GET", target, "Range: bytes=99999999-\r\n", &over);
    size = mir_format("bytes */%" PRIu64, bundle_reader_find(w->reader, &w->layer)->size);
    range = serve_reply_header(&over, "Content-Range");
    assert_int_equal(over.status, 416);
    assert_string_equal(range, size);
    etag = mir_format("If-None-Match: \"%s\"\r\n", w->layer.text);
    serve_ask(w->port, "GET", target, etag, &same);
    assert_int_equal(same.status, 304);
}

/* ---- hostile clients ---- */

static void long_urls_and_headers_are_refused(void **state)
{
    const struct serve_bench *w = *state;
    auto_free char *target = mir_format("/v2/%0*d/tags/list", 3000, 0);
    auto_free char *headers = mir_format("X: %0*d\r\n", 100000, 0);
    auto_reply url = {.status = 0}, head = {.status = 0};

    serve_ask(w->port, "GET", target, "", &url);
    assert_int_equal(url.status, 414);
    serve_ask(w->port, "GET", "/v2/", headers, &head);
    assert_in_range(head.status, 400, 499);
}

static void a_body_to_read_is_refused_and_ends_the_connection(void **state)
{
    const struct serve_bench *w = *state;
    auto_reply length = {.status = 0}, chunked = {.status = 0}, none = {.status = 0};

    serve_ask_raw(w->port, "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx",
                  &length);
    assert_int_equal(length.status, 400);
    assert_non_null(strstr(length.head, "Connection: close"));
    serve_ask_raw(w->port,
                  "GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
                  &chunked);
    assert_int_equal(chunked.status, 400);
    serve_ask_raw(w->port, "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &none);
    assert_int_equal(none.status, 200);
}

static void half_requests_and_garbage_do_no_harm(void **state)
{
    static const char *const texts[] = {
        "",
        "\r\n\r\n",
        "GET",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n",
        "GET /v2/ HTTP/1.1\r\nHo",
        "\x16\x03\x01\x02\x01\x01",
        "POST /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nxx",
        "GET /v2/ HTTP/9.9\r\n\r\n",
        "GET  /v2/%00\x01 HTTP/1.1\r\n\r\n",
    };
    const struct serve_bench *w = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int fd = serve_dial(w->port);

        serve_send(fd, texts[i]);
        (void)close(fd);
    }
    assert_int_equal(serve_bench_status(w, "GET", "/v2/"), 200);
}

/* Bytes that changed after the start must not go out as the manifest they replaced. */
static void damaged_manifests_are_not_sent(void **state)
{
    const struct serve_bench *w = *state;
    auto_free char *path =
        mir_format("%s/blobs/sha256/%s", w->dir, img_digest_hex(&w->child.digest));
    auto_free char *target = mir_format("/v2/team/app/manifests/%s", w->child.digest.text);
    auto_free char *bytes = NULL;
    size_t len;

    bytes = scratch_read(path, &len);
    bytes[len / 2] ^= 1;
    scratch_write(path, mir_span(bytes, len));
    assert_int_equal(serve_bench_status(w, "GET", target), 500);
    assert_int_equal(serve_bench_status(w, "GET", "/v2/team/app/manifests/1"), 200);
    bytes[len / 2] ^= 1;
    scratch_write(path, mir_span(bytes, len));
    assert_int_equal(serve_bench_status(w, "GET", target), 200);
}

/* ---- many at once ---- */

struct client {
    pthread_t thread;
    const struct serve_bench *world;
    size_t seed;
    size_t wrong; /* answers that were not what was asked for */
};

/* One request on a connection that stays; the digest of what came tells whether it was right. */
static bool fetch_right(int fd, const char *kind, const struct img_digest *digest)
{
    auto_free char *request =
        mir_format("GET /v2/team/app/%s/%s HTTP/1.1\r\nHost: x\r\n\r\n", kind, digest->text);
    auto_reply reply = {.status = 0};
    struct img_digest got;

    serve_send(fd, request);
    serve_read_reply(fd, true, &reply);
    img_digest_of(MIR_HASH_SHA256, mir_span(reply.body, reply.body_len), &got);
    return reply.status == 200 && img_digest_equal(&got, digest);
}

static void *run_client(void *ctx)
{
    struct client *client = ctx;
    const struct serve_bench *w = client->world;
    int fd = serve_dial(w->port);

    for (size_t i = 0; i < ROUNDS; i++) {
        switch ((client->seed + i) % 3) {
        case 0:
            client->wrong += !fetch_right(fd, "manifests", &w->index.digest);
            break;
        case 1:
            client->wrong += !fetch_right(fd, "blobs", &w->layer);
            break;
        default:
            client->wrong += !fetch_right(fd, "manifests", &w->child.digest);
            break;
        }
    }
    (void)close(fd);
    return NULL;
}

static void many_clients_get_what_they_ask_for(void **state)
{
    struct client clients[CLIENTS];
    size_t wrong = 0;

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.world = *state, .seed = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
        wrong += clients[i].wrong;
    }
    assert_int_equal(wrong, 0);
}

static void stop_does_not_wait_for_idle_clients(void **state)
{
    const struct serve_bench *w = *state;
    const struct serve_source source = {.path = w->dir, .form = BUNDLE_FORM_DIR};
    struct serve_options options = {.listen = "127.0.0.1:0", .sources = &source, .source_count = 1};
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_server *server;
    char c;
    int fd;

    if (!serve_start(&options, &server, &err))
        fail_msg("%s", err.text);
    fd = serve_dial(serve_port(server));
    serve_send(fd, "GET /v2/ HTTP/1.1\r\n");
    serve_stop(server);
    assert_true(recv(fd, &c, 1, 0) <= 0);
    (void)close(fd);
}

static void start_ends_when_cancelled(void **state)
{
    const struct serve_bench *w = *state;
    struct mir_cancel cancel = {.flag = 1};
    const struct serve_source source = {.path = w->dir, .form = BUNDLE_FORM_DIR};
    struct serve_options options = {
        .listen = "127.0.0.1:0", .sources = &source, .source_count = 1, .cancel = &cancel};
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_server *server;

    assert_false(serve_start(&options, &server, &err));
    assert_int_equal(err.code, MIR_E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_come_by_tag_and_digest_under_both_names),
        cmocka_unit_test(refusals_carry_the_codes_of_the_specification),
        cmocka_unit_test(only_what_the_index_leads_to_is_there),
        cmocka_unit_test(lists_have_every_name_once),
        cmocka_unit_test(referrers_lead_back_to_what_refers),
        cmocka_unit_test(blobs_come_whole_and_in_parts),
        cmocka_unit_test(long_urls_and_headers_are_refused),
        cmocka_unit_test(a_body_to_read_is_refused_and_ends_the_connection),
        cmocka_unit_test(half_requests_and_garbage_do_no_harm),
        cmocka_unit_test(damaged_manifests_are_not_sent),
        cmocka_unit_test(many_clients_get_what_they_ask_for),
        cmocka_unit_test(stop_does_not_wait_for_idle_clients),
        cmocka_unit_test(start_ends_when_cancelled),
    };

    return cmocka_run_group_tests_name("serve", tests, serve_bench_set_up, serve_bench_tear_down);
}
