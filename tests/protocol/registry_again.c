/*
 * What arrives wrong is asked for again: blobs, manifests, uploads and relays over links that flip
 * bits, and from servers whose content changes under way. Bounded, and never believed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "image/manifest.h"
#include "lib/reg_bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANIFEST     "{\"schemaVersion\":2}"
#define BODY         "0123456789abcdefghijklmnopqrstuvwxyz"
#define FLIPPED      "0123456789abcdefghijklmnopqrstuvwxyZ"
#define BODY_LEN     (sizeof(BODY) - 1)

static struct img_descriptor blob_of(const char *text)
{
    struct img_descriptor blob = {.size = strlen(text)};

    img_digest_of(MIR_HASH_SHA256, mir_span_of(text), &blob.digest);
    return blob;
}

/* ---- blobs --------------------------------------------------------------------------------- */

/* The first bytes are there already, right or not. */
static bool get_blob_after(struct reg_bench *b, const char *there)
{
    const struct img_descriptor blob = blob_of(BODY);
    auto_hash *hash = mir_hash_new(MIR_HASH_SHA256);

    mir_hash_update(hash, mir_span_of(there));
    mir_buf_text(&b->got, there);
    return reg_blob_get(b->session, &b->repo, &blob, strlen(there), hash, &b->blob_sink, &b->err);
}

static void blob_that_arrives_wrong_is_fetched_again(void **state)
{
    const struct {
        const char *label;
        const char *there; /* from an earlier run */
        struct server_reply first;
        size_t requests;
        size_t waits;
    } rows[] = {
        {"a flipped bit", "", {.status = 200, .body = FLIPPED}, 2, 1},
        {"another size", "", {.status = 200, .body = BODY "!"}, 2, 1},
        {"too short", "", {.status = 200, .body = "0123"}, 2, 1},
        {"no end", "", {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS}, 2, 1},
        {"a flipped bit on the disk", "0123x", {.status = 200, .body = BODY, .ranges = true}, 2, 0},
        {"all on the disk, and wrong", FLIPPED, {.status = 200, .body = BODY}, 1, 0},
        {"right on the disk, wrong then",
         "01234",
         {.status = 200, .body = FLIPPED, .ranges = true},
         2,
         0},
        {"right on the disk, another size then", "01234", {.status = 200, .body = "0123"}, 2, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct server_reply replies[] = {rows[i].first, {.status = 200, .body = BODY}};
        auto_server *server = NULL;
        auto_reg_bench b;

        replies[0].times = 1;
        server = server_start(replies, COUNT(replies));
        reg_bench_start(&b, server, NULL);
        if (!get_blob_after(&b, rows[i].there) || strcmp(b.got.ptr, BODY) != 0 || b.restarts != 1 ||
            server_count(server, NULL, NULL) != rows[i].requests ||
            b.clock.wait_count != rows[i].waits)
            fail_msg("%s: \"%s\" %s, %zu requests, %zu waits", rows[i].label, b.got.ptr, b.err.text,
                     server_count(server, NULL, NULL), b.clock.wait_count);
    }
}

static void blob_that_stays_wrong_is_given_up(void **state)
{
    const struct {
        const char *label;
        const char *there;
        unsigned retry_times;
        bool restarts;
        size_t requests;
    } rows[] = {
        {"no tries", "", 0, true, 1},
        {"two more", "", 2, true, 3},
        {"what was there is no try", "01234", 2, true, 4},
        {"the sink cannot", "", 2, false, 1},
        {"the sink cannot, with bytes there", "01234", 2, false, 1},
    };
    const struct server_reply replies[] = {{.status = 200, .body = FLIPPED, .ranges = true}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.retry_times = rows[i].retry_times});
        if (!rows[i].restarts)
            b.blob_sink.restart = NULL;
        if (get_blob_after(&b, rows[i].there) || b.err.code != MIR_E_DIGEST ||
            server_count(server, NULL, NULL) != rows[i].requests)
            fail_msg("%s: %s, %zu requests", rows[i].label, b.err.text,
                     server_count(server, NULL, NULL));
    }
}

/* What a server calls a blob by its digest cannot change; if it does, the ETag need not say so, and
 * if the ETag changes (another machine behind the same name), the blob need not. */
static void blob_that_changes_under_way_is_noticed(void **state)
{
    const struct {
        const char *label;
        const char *rest;
        size_t requests;
    } rows[] = {
        {"another tag, the same bytes", BODY, 2},
        {"another tag, other bytes", FLIPPED, 3},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.times = 1,
             .status = 200,
             .headers = "ETag: \"one\"\r\n",
             .body = BODY,
             .fault = SERVER_FAULT_CUT,
             .fault_at = 10},
            {.times = 1,
             .status = 200,
             .headers = "ETag: \"two\"\r\n",
             .body = rows[i].rest,
             .ranges = true},
            {.status = 200, .headers = "ETag: \"two\"\r\n", .body = BODY}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!get_blob_after(&b, "") || strcmp(b.got.ptr, BODY) != 0 ||
            server_count(server, NULL, NULL) != rows[i].requests)
            fail_msg("%s: %s", rows[i].label, b.err.text);
    }
}

static void blob_is_not_fetched_again_once_cancelled(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = FLIPPED}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    b.clock.cancel = &b.cancel;
    assert_false(get_blob_after(&b, ""));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

/* ---- manifests ----------------------------------------------------------------------------- */

static void manifest_that_arrives_wrong_is_fetched_again(void **state)
{
    const struct img_descriptor right = blob_of(MANIFEST);
    auto_free char *claim = mir_format("Docker-Content-Digest: %s\r\n", right.digest.text);
    const char *const references[] = {right.digest.text, "v1"};

    (void)state;
    for (size_t i = 0; i < COUNT(references); i++) {
        const struct server_reply replies[] = {
            {.times = 2, .status = 200, .headers = claim, .body = "{\"schemaVersion\":3}"},
            {.status = 200, .headers = claim, .body = MANIFEST}};
        auto_server *server = server_start(replies, COUNT(replies));
        struct reg_manifest manifest;
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.retry_times = 1});
        assert_false(reg_manifest_get(b.session, &b.repo, references[i], &manifest, &b.err));
        assert_int_equal(b.err.code, MIR_E_DIGEST);
        assert_int_equal(server_count(server, NULL, NULL), 2);
        mir_error_clear(&b.err);
        if (!reg_manifest_get(b.session, &b.repo, references[i], &manifest, &b.err))
            fail_msg("%s", b.err.text);
        assert_string_equal(manifest.bytes, MANIFEST);
        reg_manifest_release(&manifest);
    }
}

static void manifest_that_is_kept_wrong_is_put_again(void **state)
{
    const struct img_descriptor right = blob_of(MANIFEST), wrong = blob_of("another");
    auto_free char *good = mir_format("Docker-Content-Digest: %s\r\n", right.digest.text);
    auto_free char *bad = mir_format("Docker-Content-Digest: %s\r\n", wrong.digest.text);
    const struct {
        unsigned bad_answers;
        enum mir_code code;
        size_t puts;
    } rows[] = {{1, MIR_OK, 2}, {2, MIR_OK, 3}, {3, MIR_E_DIGEST, 3}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.times = rows[i].bad_answers, .status = 201, .headers = bad},
            {.status = 201, .headers = good}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.retry_times = 2});
        if (reg_manifest_put(b.session, &b.repo, "v1", IMG_TYPE_OCI_MANIFEST, mir_span_of(MANIFEST),
                             &b.err) != (rows[i].code == MIR_OK) ||
            b.err.code != rows[i].code || server_count(server, "PUT", NULL) != rows[i].puts)
            fail_msg("%u: %s", rows[i].bad_answers, b.err.text);
    }
}

/* ---- uploads and relays -------------------------------------------------------------------- */

static const struct server_reply accepting[] = {
    {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
    {.method = "PUT", .status = 201}};

static void upload_that_is_kept_wrong_is_sent_again(void **state)
{
    const struct img_descriptor blob = blob_of(BODY), wrong = blob_of("another");
    auto_free char *bad = mir_format("Docker-Content-Digest: %s\r\n", wrong.digest.text);
    const struct server_reply replies[] = {
        {.method = "PUT", .times = 1, .status = 201, .headers = bad}, accepting[0], accepting[1]};
    auto_server *server = server_start(replies, COUNT(replies));
    enum reg_put_outcome outcome;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    b.content = mir_span_of(BODY);
    if (!reg_blob_put(b.session, &b.repo, &blob, NULL, &b.blob_source, &outcome, &b.err))
        fail_msg("%s", b.err.text);
    assert_int_equal(server_count(server, "POST", NULL), 2);
    assert_int_equal(server_count(server, "PUT", NULL), 2);
}

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

static bool relay(struct reg_bench *from, struct reg_bench *to, struct tally *tally)
{
    const struct img_descriptor blob = blob_of(BODY);
    enum reg_put_outcome outcome;

    *tally = (struct tally){0};
    return reg_blob_relay(from->session, &from->repo, to->session, &to->repo, &blob, NULL,
                          count_moved, tally, &outcome, &to->err);
}

static void relay_fetches_again_what_arrives_wrong(void **state)
{
    const struct {
        const char *label;
        struct server_reply first;
        unsigned retry_times;
        enum mir_code code;
    } rows[] = {
        {"a flipped bit", {.times = 1, .status = 200, .body = FLIPPED}, 1, MIR_OK},
        {"a flipped bit, twice", {.times = 2, .status = 200, .body = FLIPPED}, 2, MIR_OK},
        {"always", {.times = 3, .status = 200, .body = FLIPPED}, 2, MIR_E_DIGEST},
        {"another size", {.times = 1, .status = 200, .body = "0123"}, 1, MIR_OK},
        {"no tries", {.times = 1, .status = 200, .body = FLIPPED}, 0, MIR_E_DIGEST},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply source[] = {rows[i].first, {.status = 200, .body = BODY}};
        auto_server *left = server_start(source, COUNT(source));
        auto_server *right = server_start(accepting, COUNT(accepting));
        struct tally tally;
        auto_reg_bench from;
        auto_reg_bench to;
        size_t whole = 0;

        reg_bench_start(&from, left, &(struct reg_options){.retry_times = rows[i].retry_times});
        reg_bench_start(&to, right, &(struct reg_options){.retry_times = rows[i].retry_times});
        if (relay(&from, &to, &tally) != (rows[i].code == MIR_OK) || to.err.code != rows[i].code)
            fail_msg("%s: %s", rows[i].label, to.err.text);
        assert_int_equal(tally.bytes, rows[i].code == MIR_OK ? BODY_LEN : 0);
        assert_int_equal(tally.lowest, 0);
        server_finish(right);
        for (size_t n = 0; n < server_count(right, "PUT", NULL); n++) {
            const struct server_request *put = server_request(right, "PUT", NULL, n);

            assert_true(put->body_len < BODY_LEN || strcmp(put->body, BODY) == 0);
            whole += put->body_len == BODY_LEN;
        }
        assert_int_equal(whole, rows[i].code == MIR_OK);
    }
}

/* The source breaks off, and then does not know what a range is. */
static void relay_goes_on_where_a_range_is_answered_wrongly(void **state)
{
    const struct server_reply source[] = {
        {.times = 1, .status = 200, .body = BODY, .fault = SERVER_FAULT_RESET, .fault_at = 11},
        {.needs = "Range: ",
         .status = 206,
         .headers = "Content-Range: bytes 0-35/36\r\n",
         .body = BODY},
        {.status = 200, .body = BODY}};
    auto_server *left = server_start(source, COUNT(source));
    auto_server *right = server_start(accepting, COUNT(accepting));
    struct tally tally;
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &tally))
        fail_msg("%s", to.err.text);
    assert_int_equal(tally.bytes, BODY_LEN);
    assert_int_equal(server_count(left, NULL, NULL), 3);
    assert_int_equal(server_count(right, "PUT", NULL), 1);
    assert_string_equal(server_request(right, "PUT", NULL, 0)->body, BODY);
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
        cmocka_unit_test(blob_that_arrives_wrong_is_fetched_again),
        cmocka_unit_test(blob_that_stays_wrong_is_given_up),
        cmocka_unit_test(blob_that_changes_under_way_is_noticed),
        cmocka_unit_test(blob_is_not_fetched_again_once_cancelled),
        cmocka_unit_test(manifest_that_arrives_wrong_is_fetched_again),
        cmocka_unit_test(manifest_that_is_kept_wrong_is_put_again),
        cmocka_unit_test(upload_that_is_kept_wrong_is_sent_again),
        cmocka_unit_test(relay_fetches_again_what_arrives_wrong),
        cmocka_unit_test(relay_goes_on_where_a_range_is_answered_wrongly),
    };

    return cmocka_run_group_tests_name("registry/again", tests, set_up, tear_down);
}
