/*
 * Loading a differential into a scripted registry: what it leaves out is mounted, or found in
 * place, or brought from where the base went, or missed with the name of the base.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/base.h"
#include "copy/copy.h"
#include "lib/fake_clock.h"
#include "lib/fixture.h"
#include "lib/scratch.h"
#include "lib/server.h"

#define REPLIES_MAX 16
#define INDEX       "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* One image, r.example/app:1, whose layer the bundle leaves out; the base has it in r.example/base.
 */
struct stage {
    char *dir, *layout;
    struct img_digest layer;
    char *bytes; /* of the layer */
    size_t len;
    struct server_reply replies[REPLIES_MAX];
    char *paths[REPLIES_MAX];
    size_t count;
    struct server *server;
    struct fake_clock clock;
    struct copy *copy;
    struct mir_error err;
};

/* Take the largest blob out of the layout. */
static void take_layer(struct stage *stage)
{
    struct bundle_reader *reader = NULL;
    auto_free char *bytes = NULL, *path = NULL;
    struct img_descriptor found;
    size_t len;
    json_t *manifest, *layer;

    assert_true(bundle_reader_open(stage->layout, BUNDLE_FORM_DIR, &reader, &stage->err));
    assert_true(bundle_reader_load(reader, &bundle_reader_image(reader, 0)->digest, 1u << 20,
                                   &bytes, &len, &stage->err));
    manifest = json_loadb(bytes, len, 0, NULL);
    layer = json_array_get(json_object_get(manifest, "layers"), 0);
    assert_true(img_descriptor_parse(layer, &found, &stage->err));
    stage->layer = found.digest;
    img_descriptor_release(&found);
    json_decref(manifest);
    bundle_reader_close(reader);
    path = mir_format("%s/blobs/sha256/%s", stage->layout, img_digest_hex(&stage->layer));
    stage->bytes = scratch_read(path, &stage->len);
    assert_int_equal(unlink(path), 0);
}

static void leave_out(const struct stage *stage, const char *repo)
{
    auto_free char *path = mir_format("%s/mirror-base.json", stage->layout);
    auto_free char *text = mir_format(
        "{\"version\":1,\"base\":{\"name\":\"old.tar\",\"index\":\"" INDEX "\"},\"leftOut\":[\n"
        "{\"digest\":\"%s\",\"size\":%zu,\"repository\":\"%s\"}\n]}\n",
        stage->layer.text, stage->len, repo);

    scratch_write(path, mir_span_of(text));
}

static int set_up(void **state)
{
    struct stage *stage = mir_alloc(sizeof(*stage));
    struct fixture *fixture;
    struct fixture_item image;

    stage->dir = scratch_new();
    stage->layout = mir_format("%s/layout", stage->dir);
    fixture = fixture_new(stage->layout);
    image = fixture_image(fixture, .layer_bytes = 5000);
    fixture_name(fixture, "r.example/app:1", &image);
    fixture_free(fixture);
    take_layer(stage);
    leave_out(stage, "r.example/base");
    fake_clock_init(&stage->clock);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    copy_free(stage->copy);
    server_stop(stage->server);
    for (size_t i = 0; i < stage->count; i++)
        free(stage->paths[i]);
    scratch_remove(stage->dir);
    free(stage->layout);
    free(stage->bytes);
    free(stage);
    return 0;
}

/* "LAYER" in a path stands for its digest. */
static struct server_reply *reply(struct stage *stage, const char *method, const char *path,
                                  int status)
{
    struct server_reply *row = &stage->replies[stage->count];
    const char *at = path ? strstr(path, "LAYER") : NULL;
    char *full = at ? mir_format("%.*s%s%s", (int)(at - path), path, stage->layer.text, at + 5)
                    : mir_strdup(path);

    assert_true(stage->count < REPLIES_MAX);
    *row = (struct server_reply){.method = method, .path = full, .status = status};
    stage->paths[stage->count++] = full;
    return row;
}

/* Everything else is taken, and nothing else is there. */
static bool run_copy(struct stage *stage)
{
    const struct copy_options options = {
        .jobs = 2,
        .clock = &stage->clock.clock,
        .destination = {.retry_times = 0, .no_creds = true, .tls = REG_TLS_OFF}};
    auto_free char *destination = NULL, *source = mir_format("oci:%s", stage->layout);

    reply(stage, "POST", "/v2/mir/app/blobs/uploads/*", 202)->headers = "Location: /up/1\r\n";
    reply(stage, "PUT", NULL, 201);
    reply(stage, NULL, NULL, 404);
    stage->server = server_start(stage->replies, stage->count);
    destination = mir_format("docker://%s/mir/", server_host(stage->server));
    return copy_new(&options, destination, &stage->copy, &stage->err) &&
           copy_add(stage->copy, source, NULL, false, &stage->err) &&
           copy_plan(stage->copy, &stage->err) && copy_run(stage->copy, &stage->err);
}

static void load(struct stage *stage)
{
    struct copy_result result;

    if (run_copy(stage))
        return;
    copy_get_result(stage->copy, 0, &result);
    fail_msg("%s: %s", stage->err.text, result.error ? result.error->text : "");
}

/* Was the layer sent? */
static bool was_uploaded(struct stage *stage)
{
    for (size_t i = 0; i < server_count(stage->server, "PUT", "/up/*"); i++)
        if (strstr(server_request(stage->server, "PUT", "/up/*", i)->path, stage->layer.text))
            return true;
    return false;
}

static void left_out_is_mounted_from_where_the_base_went(void **state)
{
    struct stage *stage = *state;

    reply(stage, "POST", "/v2/mir/app/blobs/uploads/?mount=LAYER&from=mir/base", 201);
    load(stage);
    server_finish(stage->server);
    assert_int_equal(server_count(stage->server, "HEAD", "/v2/mir/app/blobs/*"), 0);
    assert_false(was_uploaded(stage));
    assert_int_equal(server_count(stage->server, "PUT", "/v2/mir/app/manifests/1"), 1);
}

static void left_out_is_found_in_place(void **state)
{
    struct stage *stage = *state;

    reply(stage, "HEAD", "/v2/mir/app/blobs/LAYER", 200);
    load(stage);
    server_finish(stage->server);
    assert_false(was_uploaded(stage));
}

static void left_out_of_its_own_repository_is_one_question(void **state)
{
    struct stage *stage = *state;

    leave_out(stage, "r.example/app");
    reply(stage, "HEAD", "/v2/mir/app/blobs/LAYER", 200);
    load(stage);
    server_finish(stage->server);
    assert_int_equal(server_count(stage->server, NULL, stage->paths[0]), 1);
    for (size_t i = 0; i < server_count(stage->server, "POST", NULL); i++)
        assert_null(
            strstr(server_request(stage->server, "POST", NULL, i)->path, stage->layer.text));
}

static void left_out_is_brought_from_where_the_base_went_if_nothing_mounts(void **state)
{
    struct stage *stage = *state;
    struct server_reply *row;

    reply(stage, "HEAD", "/v2/mir/base/blobs/LAYER", 200);
    row = reply(stage, "GET", "/v2/mir/base/blobs/LAYER", 200);
    row->body = stage->bytes;
    row->body_len = stage->len;
    load(stage);
    server_finish(stage->server);
    assert_true(was_uploaded(stage));
}

static void left_out_and_not_there_names_the_base(void **state)
{
    struct stage *stage = *state;
    struct copy_result result;

    assert_false(run_copy(stage));
    server_finish(stage->server);
    copy_get_result(stage->copy, 0, &result);
    assert_int_equal(result.outcome, COPY_OUTCOME_FAILED);
    if (!strstr(result.error->text, stage->layer.text) || !strstr(result.error->text, "old.tar") ||
        !strstr(result.error->text, INDEX))
        fail_msg("%s", result.error->text);
    assert_string_equal(result.error->hint, "load old.tar first, or give both bundles");
    assert_false(was_uploaded(stage));
    assert_int_equal(server_count(stage->server, "PUT", "/v2/mir/app/manifests/1"), 0);
}

static void left_out_is_not_missing_where_the_registry_does_not_answer(void **state)
{
    struct stage *stage = *state;
    struct copy_result result;

    reply(stage, "HEAD", "/v2/mir/app/blobs/LAYER", 500);
    assert_false(run_copy(stage));
    copy_get_result(stage->copy, 0, &result);
    assert_int_equal(result.error->code, MIR_E_SERVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(left_out_is_mounted_from_where_the_base_went, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(left_out_is_found_in_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(left_out_of_its_own_repository_is_one_question, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            left_out_is_brought_from_where_the_base_went_if_nothing_mounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(left_out_and_not_there_names_the_base, set_up, tear_down),
        cmocka_unit_test_setup_teardown(left_out_is_not_missing_where_the_registry_does_not_answer,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests_name("copy/left_out", tests, NULL, NULL);
}
