/*
 * A whole copy from a registry that plays foul, or from one behind a bad network: the right
 * outcome, the right message, and never a file under the final name that is not whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/scene.h"
#include "lib/scratch.h"

#define CHAIN_LENGTH (IMG_NESTING_MAX + 4)
#define BIG_MANIFEST (10u << 20)

static void digest_of(const char *text, struct img_digest *out)
{
    img_digest_of(MIR_HASH_SHA256, mir_span_of(text), out);
}

static int set_up(void **state)
{
    *state = scene_new();
    return 0;
}

static int tear_down(void **state)
{
    scene_free(*state);
    return 0;
}

static void expect_nothing_written(struct scene *scene, const char *label)
{
    if (scratch_count(scene->dir) != 0)
        fail_msg("%s: something was left in the directory", label);
}

/* The image failed with this code, and its text says this. */
static void expect_failure(struct scene *scene, enum mir_code code, const char *text)
{
    struct copy_result result;

    copy_get_result(scene->copy, 0, &result);
    if (result.outcome != COPY_OUTCOME_FAILED || !result.error)
        fail_msg("it did not fail");
    if (result.error->code != code || !strstr(result.error->text, text))
        fail_msg("code %d, \"%s\"; expected code %d with \"%s\"", result.error->code,
                 result.error->text, code, text);
    if (scratch_exists(scene->bundle))
        fail_msg("%s: there is a bundle", text);
}

static void expect_whole_bundle(struct scene *scene)
{
    if (!scene_is_whole(scene))
        fail_msg("%s", scene->err.text);
    assert_int_equal(scratch_count(scene->dir), 1);
}

/* ---- what is refused ---- */

static void copy_refuses_a_layer_with_other_bytes(void **state)
{
    struct scene *scene = *state;
    char *other = scene_keep(scene, mir_alloc(SCENE_LAYER_BYTES));

    memcpy(other, scene->layer, SCENE_LAYER_BYTES);
    other[SCENE_LAYER_BYTES / 2] ^= 1;
    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 200,
                                             .body = other,
                                             .body_len = SCENE_LAYER_BYTES});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_DIGEST, scene->layer_digest.text);
}

static void copy_refuses_a_manifest_with_other_bytes(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene,
                (struct server_reply){.path = scene_manifest_path(scene, &scene->manifest_digest),
                                      .status = 200,
                                      .body = "{\"schemaVersion\":2}"});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_DIGEST, scene->manifest_digest.text);
}

static void copy_refuses_a_layer_that_is_too_short(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 200,
                                             .body = scene->layer,
                                             .body_len = SCENE_LAYER_BYTES - 1000});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_DIGEST, scene->layer_digest.text);
}

static void copy_refuses_a_layer_that_is_too_long(void **state)
{
    struct scene *scene = *state;
    char *longer = scene_keep(scene, mir_alloc(SCENE_LAYER_BYTES + 1000));

    memcpy(longer, scene->layer, SCENE_LAYER_BYTES);
    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 200,
                                             .body = longer,
                                             .body_len = SCENE_LAYER_BYTES + 1000});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_DIGEST, scene->layer_digest.text);
}

static void copy_refuses_a_layer_without_end(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 200,
                                             .fault = SERVER_FAULT_ENDLESS});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_DIGEST, scene->layer_digest.text);
}

static void copy_refuses_a_manifest_over_the_limit(void **state)
{
    struct scene *scene = *state;
    char *big = scene_keep(scene, mir_alloc(BIG_MANIFEST));

    memset(big, ' ', BIG_MANIFEST);
    scene_reply(scene,
                (struct server_reply){.path = scene_manifest_path(scene, &scene->manifest_digest),
                                      .status = 200,
                                      .body = big,
                                      .body_len = BIG_MANIFEST});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_LIMIT, "limit");
}

static void copy_refuses_a_manifest_that_is_no_json(void **state)
{
    static const char page[] = "<html>log in to the hotel's network</html>";
    struct scene *scene = *state;
    struct img_digest digest;

    digest_of(page, &digest);
    scene_reply(scene, (struct server_reply){.path = scene_manifest_path(scene, &digest),
                                             .status = 200,
                                             .body = page});
    scene_honest(scene);
    assert_false(scene_copy(scene, &digest));
    expect_failure(scene, MIR_E_FORMAT, digest.text);
}

static char *index_of(const char *digest, size_t size)
{
    return mir_format("{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX
                      "\",\"manifests\":[{\"mediaType\":\"" IMG_TYPE_OCI_INDEX
                      "\",\"digest\":\"%s\",\"size\":%zu}]}",
                      digest, size);
}

static void copy_refuses_indexes_nested_too_deep(void **state)
{
    struct scene *scene = *state;
    char *text = scene->manifest;
    struct img_digest digest = scene->manifest_digest;

    for (int i = 0; i < CHAIN_LENGTH; i++) {
        text = scene_keep(scene, index_of(digest.text, strlen(text)));
        digest_of(text, &digest);
        scene_reply(scene, (struct server_reply){.path = scene_manifest_path(scene, &digest),
                                                 .status = 200,
                                                 .body = text});
    }
    scene_honest(scene);
    assert_false(scene_copy(scene, &digest));
    expect_failure(scene, MIR_E_LIMIT, "nested deeper");
}

static void copy_ends_on_an_index_that_names_itself(void **state)
{
    struct scene *scene = *state;
    struct img_digest child;
    char *text;

    /* No bytes can hold their own digest, so the registry has to lie about one of them. */
    digest_of("some other bytes", &child);
    text = scene_keep(scene, index_of(child.text, 16));
    scene_reply(scene, (struct server_reply){.path = scene_manifest_path(scene, &child),
                                             .status = 200,
                                             .body = text});
    digest_of(text, &child);
    scene_reply(scene, (struct server_reply){.path = scene_manifest_path(scene, &child),
                                             .status = 200,
                                             .body = text});
    scene_honest(scene);
    assert_false(scene_copy(scene, &child));
    expect_failure(scene, MIR_E_DIGEST, "digest");
}

static void copy_refuses_a_child_of_another_size_than_promised(void **state)
{
    struct scene *scene = *state;
    char *text =
        scene_keep(scene, index_of(scene->manifest_digest.text, strlen(scene->manifest) + 1));
    struct img_digest digest;

    digest_of(text, &digest);
    scene_reply(scene, (struct server_reply){.path = scene_manifest_path(scene, &digest),
                                             .status = 200,
                                             .body = text});
    scene_honest(scene);
    assert_false(scene_copy(scene, &digest));
    expect_failure(scene, MIR_E_DIGEST, scene->manifest_digest.text);
}

static void copy_refuses_schema_1_with_a_way_out(void **state)
{
    static const char old[] = "{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[],\"history\":[]}";
    struct scene *scene = *state;
    struct copy_result result;
    struct img_digest digest;

    digest_of(old, &digest);
    scene_reply(scene,
                (struct server_reply){.path = scene_manifest_path(scene, &digest),
                                      .status = 200,
                                      .headers = "Content-Type: " IMG_TYPE_DOCKER_SCHEMA1 "\r\n",
                                      .body = old});
    scene_honest(scene);
    assert_false(scene_copy(scene, &digest));
    expect_failure(scene, MIR_E_UNSUPPORTED, "schema");
    copy_get_result(scene->copy, 0, &result);
    assert_true(result.error->hint[0] != '\0');
}

static void copy_reports_401_without_a_challenge(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene,
                (struct server_reply){.path = scene_manifest_path(scene, &scene->manifest_digest),
                                      .status = 401});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_AUTH, "401");
}

static void copy_reports_a_missing_image(void **state)
{
    struct scene *scene = *state;
    struct img_digest digest;

    digest_of("nobody has this", &digest);
    scene_honest(scene);
    assert_false(scene_copy(scene, &digest));
    expect_failure(scene, MIR_E_NOT_FOUND, digest.text);
}

static void copy_gives_up_after_the_retries(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 200,
                                             .body = scene->layer,
                                             .body_len = SCENE_LAYER_BYTES,
                                             .fault = SERVER_FAULT_CUT,
                                             .fault_at = 0});
    assert_false(scene_copy_honest(scene));
    expect_failure(scene, MIR_E_NETWORK, scene->layer_digest.text);
}

/* ---- what is overcome ---- */

static void copy_goes_on_after_a_cut_and_a_reset(void **state)
{
    struct scene *scene = *state;
    char *path = scene_blob_path(scene, &scene->layer_digest);

    scene_reply(scene, (struct server_reply){.path = path,
                                             .times = 1,
                                             .status = 200,
                                             .body = scene->layer,
                                             .body_len = SCENE_LAYER_BYTES,
                                             .ranges = true,
                                             .fault = SERVER_FAULT_CUT,
                                             .fault_at = 100000});
    scene_reply(scene, (struct server_reply){.path = path,
                                             .times = 1,
                                             .status = 200,
                                             .body = scene->layer,
                                             .body_len = SCENE_LAYER_BYTES,
                                             .ranges = true,
                                             .fault = SERVER_FAULT_RESET,
                                             .fault_at = 50000});
    if (!scene_copy_honest(scene))
        fail_msg("%s", scene->err.text);
    expect_whole_bundle(scene);
}

static void copy_waits_as_long_as_429_asks(void **state)
{
    struct scene *scene = *state;
    int64_t waited_ms = 0;

    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .times = 1,
                                             .status = 429,
                                             .headers = "Retry-After: 7\r\n"});
    if (!scene_copy_honest(scene))
        fail_msg("%s", scene->err.text);
    for (size_t i = 0; i < scene->clock.wait_count; i++)
        waited_ms += scene->clock.waits[i];
    assert_true(waited_ms >= 7000);
    expect_whole_bundle(scene);
}

static void copy_survives_server_errors(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene,
                (struct server_reply){.path = scene_manifest_path(scene, &scene->manifest_digest),
                                      .times = 2,
                                      .status = 500});
    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .times = 2,
                                             .status = 503});
    if (!scene_copy_honest(scene))
        fail_msg("%s", scene->err.text);
    expect_whole_bundle(scene);
}

static void copy_follows_a_redirect_without_credentials(void **state)
{
    struct scene *scene = *state;
    const struct server_reply store[] = {{.method = "GET",
                                          .path = "/store/layer*",
                                          .status = 200,
                                          .body = scene->layer,
                                          .body_len = SCENE_LAYER_BYTES}};
    char *headers;

    scene->elsewhere = server_start(store, 1);
    headers = scene_keep(scene, mir_format("Location: http://%s/store/layer?sig=x\r\n",
                                           server_host(scene->elsewhere)));
    scene_reply(scene,
                (struct server_reply){.path = scene_manifest_path(scene, &scene->manifest_digest),
                                      .lacks = "Authorization: Basic",
                                      .status = 401,
                                      .headers = "WWW-Authenticate: Basic realm=\"r\"\r\n"});
    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 307,
                                             .headers = headers});
    if (!scene_copy_honest(scene))
        fail_msg("%s", scene->err.text);
    expect_whole_bundle(scene);
    assert_int_equal(server_count(scene->elsewhere, "GET", NULL), 1);
    assert_false(server_was_told(scene->elsewhere, "Authorization"));
    assert_true(server_was_told(scene->server, "Authorization: Basic"));
}

static void copy_stops_at_once(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene, (struct server_reply){.path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 200,
                                             .body = scene->layer,
                                             .body_len = SCENE_LAYER_BYTES,
                                             .fault = SERVER_FAULT_STALL,
                                             .fault_at = 1000,
                                             .cancel = &scene->cancel});
    assert_false(scene_copy_honest(scene));
    assert_int_equal(scene->err.code, MIR_E_CANCELLED);
    assert_false(scratch_exists(scene->bundle));
}

/* ---- one failing, the others not ---- */

static void copy_keeps_what_is_complete_and_says_what_is_not(void **state)
{
    struct scene *scene = *state;
    struct copy_options options = {
        .jobs = 3, .clock = &scene->clock.clock, .source = {.retry_times = 0}};
    auto_free char *destination = mir_format("bundle:%s", scene->bundle);
    auto_free char *good = NULL, *bad = NULL;
    struct img_digest bad_digest;
    char *other = scene_keep(
        scene,
        mir_format("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x/y\",\"digest\":\"%s\","
                   "\"size\":%zu},\"layers\":[{\"mediaType\":\"x/z\",\"digest\":\"sha256:"
                   "00000000000000000000000000000000000000000000000000000000deadbeef\","
                   "\"size\":5000}]}",
                   scene->config_digest.text, strlen(scene_config)));
    struct copy_result results[2];

    digest_of(other, &bad_digest);
    scene_reply(scene, (struct server_reply){.path = scene_manifest_path(scene, &bad_digest),
                                             .status = 200,
                                             .body = other});
    scene_honest(scene);
    scene->server = server_start(scene->replies, scene->count);
    bad = mir_format("docker://%s/ns/app:a-bad@%s", server_host(scene->server), bad_digest.text);
    good = mir_format("docker://%s/ns/app:b-good@%s", server_host(scene->server),
                      scene->manifest_digest.text);
    assert_true(copy_new(&options, destination, &scene->copy, &scene->err));
    assert_true(copy_add(scene->copy, bad, NULL, false, &scene->err));
    assert_true(copy_add(scene->copy, good, NULL, false, &scene->err));
    assert_true(copy_plan(scene->copy, &scene->err));
    assert_false(copy_run(scene->copy, &scene->err));
    assert_int_equal(scene->err.code, MIR_E_PARTIAL);
    copy_get_result(scene->copy, 0, &results[0]);
    copy_get_result(scene->copy, 1, &results[1]);
    assert_int_equal(results[0].outcome, COPY_OUTCOME_FAILED);
    assert_non_null(strstr(results[0].error->text, "deadbeef"));
    assert_int_equal(results[1].outcome, COPY_OUTCOME_COPIED);
    expect_whole_bundle(scene);
}

static void copy_gives_up_on_a_way_that_is_down(void **state)
{
    static const struct server_reply dead[] = {{.fault = SERVER_FAULT_SILENCE}};
    struct scene *scene = *state;
    struct copy_options options = {
        .jobs = 1, .clock = &scene->clock.clock, .source = {.retry_times = 1}};
    auto_free char *destination = mir_format("bundle:%s", scene->bundle);
    struct copy_result result;

    scene->server = server_start(dead, 1);
    assert_true(copy_new(&options, destination, &scene->copy, &scene->err));
    for (int i = 0; i < 40; i++) {
        auto_free char *source =
            mir_format("docker://%s/ns/app-%d:1", server_host(scene->server), i);

        assert_true(copy_add(scene->copy, source, NULL, false, &scene->err));
    }
    assert_true(copy_plan(scene->copy, &scene->err));
    assert_false(copy_run(scene->copy, &scene->err));
    copy_get_result(scene->copy, 39, &result);
    assert_int_equal(result.error->code, MIR_E_NETWORK);
    assert_non_null(strstr(result.error->text, "not tried, after 16 failures in a row: "));
    /* Each of the 16 was tried twice; the rest cost nothing. */
    assert_int_equal(server_count(scene->server, "GET", NULL), 32);
    expect_nothing_written(scene, "down");
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(copy_refuses_a_layer_with_other_bytes),
        SCENE(copy_refuses_a_manifest_with_other_bytes),
        SCENE(copy_refuses_a_layer_that_is_too_short),
        SCENE(copy_refuses_a_layer_that_is_too_long),
        SCENE(copy_refuses_a_layer_without_end),
        SCENE(copy_refuses_a_manifest_over_the_limit),
        SCENE(copy_refuses_a_manifest_that_is_no_json),
        SCENE(copy_refuses_indexes_nested_too_deep),
        SCENE(copy_ends_on_an_index_that_names_itself),
        SCENE(copy_refuses_a_child_of_another_size_than_promised),
        SCENE(copy_refuses_schema_1_with_a_way_out),
        SCENE(copy_reports_401_without_a_challenge),
        SCENE(copy_reports_a_missing_image),
        SCENE(copy_gives_up_after_the_retries),
        SCENE(copy_goes_on_after_a_cut_and_a_reset),
        SCENE(copy_waits_as_long_as_429_asks),
        SCENE(copy_survives_server_errors),
        SCENE(copy_follows_a_redirect_without_credentials),
        SCENE(copy_stops_at_once),
        SCENE(copy_keeps_what_is_complete_and_says_what_is_not),
        SCENE(copy_gives_up_on_a_way_that_is_down),
    };
    struct mir_error err = MIR_ERROR_INIT;
    int failed;

    if (!http_global_init(&err))
        return 1;
    failed = cmocka_run_group_tests_name("copy/hostile", tests, NULL, NULL);
    http_global_cleanup();
    return failed;
}
