/*
 * Copies from a pipe into a registry that is not as it should be: one that does not mount, and one
 * that breaks off. What came by once is fetched from where it went, or was kept, or the image that
 * needs it fails and says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "copy/copy.h"
#include "http/http.h"
#include "lib/bundler.h"
#include "lib/fake_clock.h"
#include "lib/fixture.h"
#include "lib/flow.h"
#include "lib/scratch.h"
#include "lib/server.h"

#define REPLIES_MAX 32
#define LARGE       (9u << 20) /* more than a pipe's reader keeps of a blob */

struct stage {
    char *dir;
    struct mir_span bytes; /* of the bundle */
    struct bundler bundler;
    size_t layer; /* the one layer, among its blobs */
    struct server_reply replies[REPLIES_MAX];
    char *paths[REPLIES_MAX], *bodies[REPLIES_MAX];
    size_t count;
    struct server *server;
    struct fake_clock clock;
    struct copy *copy;
    struct mir_error err;
};

/* One image of a config and a layer under two names, so that both repositories need all of it. */
static struct stage *stage_new(uint64_t layer_bytes)
{
    struct stage *stage = mir_alloc(sizeof(*stage));
    auto_free char *layout = NULL;
    auto_free char *tar = NULL;
    struct fixture_item image;
    struct fixture *fixture;
    size_t len;

    stage->dir = scratch_new();
    layout = mir_format("%s/layout", stage->dir);
    tar = mir_format("%s/x.tar", stage->dir);
    fixture = fixture_new(layout);
    image = fixture_image(fixture, .layer_bytes = layer_bytes, .packing = FIXTURE_PACKING_STORED);
    fixture_name(fixture, "r.example/a:1", &image);
    fixture_name(fixture, "r.example/b:1", &image);
    fixture_free(fixture);
    bundler_init(&stage->bundler, layout);
    for (size_t i = 0; i < stage->bundler.blob_count; i++) {
        struct bundle_blob *blobs = stage->bundler.blobs, first = blobs[0];

        if (!img_digest_equal(&blobs[i].digest, &image.digest))
            continue;
        blobs[0] = blobs[i];
        blobs[i] = first;
    }
    stage->layer = stage->bundler.blobs[1].size > stage->bundler.blobs[2].size ? 1 : 2;
    if (!bundler_copy(&stage->bundler, tar, BUNDLE_FORM_TAR, &stage->err, 0))
        scratch_die("%s", stage->err.text);
    stage->bytes.ptr = scratch_read(tar, &len);
    stage->bytes.len = len;
    fake_clock_init(&stage->clock);
    return stage;
}

static int set_up(void **state)
{
    *state = stage_new(200000);
    return 0;
}

static int set_up_large(void **state)
{
    *state = stage_new(LARGE);
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    copy_free(stage->copy);
    server_stop(stage->server);
    for (size_t i = 0; i < stage->count; i++) {
        free(stage->paths[i]);
        free(stage->bodies[i]);
    }
    bundler_release(&stage->bundler);
    scratch_remove(stage->dir);
    free((char *)(uintptr_t)stage->bytes.ptr);
    free(stage);
    return 0;
}

static struct server_reply *reply(struct stage *stage, const char *method, char *path, int status)
{
    struct server_reply *row = &stage->replies[stage->count];

    assert_true(stage->count < REPLIES_MAX);
    *row = (struct server_reply){.method = method, .path = path, .status = status};
    stage->paths[stage->count++] = path;
    return row;
}

/* A registry that takes everything, and mounts nothing. */
static void be_honest(struct stage *stage)
{
    reply(stage, "POST", mir_strdup("/v2/mir/a/blobs/uploads/*"), 202)->headers =
        "Location: /up/a?x=1\r\n";
    reply(stage, "POST", mir_strdup("/v2/mir/b/blobs/uploads/*"), 202)->headers =
        "Location: /up/b?x=1\r\n";
    reply(stage, "PUT", mir_strdup("/up/*"), 201);
    reply(stage, "PUT", mir_strdup("/v2/mir/*"), 201);
    for (size_t i = 0; i < stage->bundler.blob_count; i++) {
        const struct bundle_blob *blob = &stage->bundler.blobs[i];
        char *bytes = mir_alloc((size_t)blob->size + 1);
        struct server_reply *row;

        assert_true(bundle_reader_read(stage->bundler.reader, blob, 0, bytes, (size_t)blob->size,
                                       &stage->err));
        stage->bodies[stage->count] = bytes;
        row = reply(stage, "GET", mir_format("/v2/mir/a/blobs/%s", blob->digest.text), 200);
        row->body = bytes;
        row->body_len = (size_t)blob->size;
    }
    reply(stage, NULL, NULL, 404);
}

static bool run_copy(struct stage *stage)
{
    const struct copy_options options = {.jobs = 4,
                                         .clock = &stage->clock.clock,
                                         .destination = {.retry_times = 2, .no_creds = true}};
    auto_free char *destination = NULL;

    stage->server = server_start(stage->replies, stage->count);
    destination = mir_format("docker://%s/mir/", server_host(stage->server));
    return copy_new(&options, destination, &stage->copy, &stage->err) &&
           copy_add(stage->copy, "bundle:-", NULL, false, &stage->err) &&
           copy_plan(stage->copy, &stage->err) && copy_run(stage->copy, &stage->err);
}

/* The bundle comes by standard input meanwhile. */
static bool pass_bundle(struct stage *stage)
{
    int kept = dup(STDIN_FILENO);
    struct flow flow;
    bool ok;

    flow_feed(&flow, stage->bytes, 65536);
    assert_int_equal(dup2(flow.fd, STDIN_FILENO), STDIN_FILENO);
    ok = run_copy(stage);
    if (kept >= 0) {
        assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
        (void)close(kept);
    } else {
        (void)close(STDIN_FILENO);
    }
    flow_end(&flow);
    server_finish(stage->server);
    return ok;
}

static struct copy_result result_of(const struct stage *stage, const char *name)
{
    struct copy_result result = {0};

    for (size_t i = 0; i < copy_image_count(stage->copy); i++) {
        copy_get_result(stage->copy, i, &result);
        if (strstr(result.source, name))
            return result;
    }
    fail_msg("no image %s", name);
    return result;
}

/* Did the whole layer come to this place? */
static bool has_layer(const struct stage *stage, const char *place)
{
    const struct bundle_blob *layer = &stage->bundler.blobs[stage->layer];

    for (size_t i = 0; i < server_count(stage->server, "PUT", place); i++) {
        const struct server_request *put = server_request(stage->server, "PUT", place, i);
        struct img_digest got;

        img_digest_of(MIR_HASH_SHA256, mir_span(put->body, put->body_len), &got);
        if (img_digest_equal(&got, &layer->digest))
            return true;
    }
    return false;
}

static void stream_brings_what_is_not_mounted_from_where_it_went(void **state)
{
    struct stage *stage = *state;

    be_honest(stage);
    if (!pass_bundle(stage))
        fail_msg("%s", stage->err.text);
    assert_true(has_layer(stage, "/up/a*"));
    assert_true(has_layer(stage, "/up/b*"));
    assert_int_equal(server_count(stage->server, "GET", "/v2/mir/a/blobs/*"), 2);
    assert_int_equal(server_count(stage->server, "PUT", "/v2/mir/b/manifests/1"), 1);
}

static void stream_sends_small_blobs_again(void **state)
{
    struct stage *stage = *state;
    struct server_reply *row = reply(stage, "PUT", mir_strdup("/up/a*"), 201);

    row->times = 2;
    row->fault = SERVER_FAULT_HANG_UP;
    row->fault_at = 100;
    be_honest(stage);
    if (!pass_bundle(stage))
        fail_msg("%s", stage->err.text);
    assert_true(has_layer(stage, "/up/a*"));
    assert_true(has_layer(stage, "/up/b*"));
}

/* More of it was read than can be read again. */
static void stream_fails_what_it_cannot_send_again(void **state)
{
    struct stage *stage = *state;
    struct server_reply *row = reply(stage, "PUT", mir_strdup("/up/a*"), 201);
    struct copy_result result;

    stage->bodies[0] = mir_format("Content-Length: %llu",
                                  (unsigned long long)stage->bundler.blobs[stage->layer].size);
    row->needs = stage->bodies[0];
    row->fault = SERVER_FAULT_HANG_UP;
    row->fault_at = LARGE - 1000;
    be_honest(stage);
    assert_false(pass_bundle(stage));
    result = result_of(stage, "r.example/a");
    assert_int_equal(result.outcome, COPY_OUTCOME_FAILED);
    if (!strstr(result.error->text, "cannot be read a second time"))
        fail_msg("%s", result.error->text);
    assert_non_null(strstr(result.error->text, stage->bundler.blobs[stage->layer].digest.text));
    assert_non_null(strstr(result.error->hint, "to a file first"));
}

static void stream_that_ends_early_fails_what_did_not_come(void **state)
{
    struct stage *stage = *state;
    struct copy_result result;

    be_honest(stage);
    stage->bytes.len = stage->bytes.len / 2;
    assert_false(pass_bundle(stage));
    result = result_of(stage, "r.example/b");
    assert_int_equal(result.outcome, COPY_OUTCOME_FAILED);
    if (!strstr(result.error->text, "standard input is cut short"))
        fail_msg("%s", result.error->text);
    assert_int_equal(server_count(stage->server, "PUT", "/v2/mir/a/manifests/1"), 0);
}

int main(void)
{
    struct mir_error err = MIR_ERROR_INIT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stream_brings_what_is_not_mounted_from_where_it_went,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(stream_sends_small_blobs_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stream_fails_what_it_cannot_send_again, set_up_large,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stream_that_ends_early_fails_what_did_not_come, set_up,
                                        tear_down),
    };

    if (!http_global_init(&err))
        scratch_die("%s", err.text);
    return cmocka_run_group_tests_name("copy/stream", tests, NULL, NULL);
}
