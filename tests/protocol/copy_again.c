/*
 * A copy that is done once more: after a wrong byte, after a bad line, over what stands there.
 * Nothing that is on the disk and right is fetched again, nothing that is wrong is believed, and
 * the figures say what happened.
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

#define TRIES    4     /* of a request: three more after the first */
#define PIECE    25000 /* bytes that come before the line breaks */
#define GOT      (TRIES * PIECE)
#define CONFIG   (strlen(scene_config))
#define MANIFEST (strlen(scene->manifest))

static int set_up(void **state)
{
    *state = scene_new();
    return 0;
}

static int set_up_directory(void **state)
{
    struct scene *scene = scene_new();

    scene->form = "oci";
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    scene_free(*state);
    return 0;
}

static bool is_directory(const struct scene *scene)
{
    return strcmp(scene->form, "oci") == 0;
}

static void expect_copied(struct scene *scene)
{
    if (!scene_copy_honest(scene))
        fail_msg("%s", scene->err.text);
    if (!scene_is_whole(scene))
        fail_msg("%s", scene->err.text);
    assert_int_equal(scratch_count(scene->dir), 1);
}

static void expect_figures(const struct scene *scene, uint64_t moved, uint64_t reused)
{
    const uint64_t all = MANIFEST + CONFIG + SCENE_LAYER_BYTES;
    struct copy_totals totals;

    copy_get_totals(scene->copy, &totals);
    assert_int_equal(totals.bytes_moved, moved);
    assert_int_equal(totals.bytes_reused, reused);
    assert_int_equal(atomic_load(&scene->progress.bytes_done), all);
    assert_int_equal(atomic_load(&scene->progress.bytes), all);
}

/* How often the layer was asked for, and from where on the last time ("" for its beginning). */
static void expect_asked(struct scene *scene, size_t times, const char *last)
{
    const char *path = scene_blob_path(scene, &scene->layer_digest);
    auto_free char *range = NULL;

    assert_int_equal(server_count(scene->server, "GET", path), times);
    range = server_header(server_request(scene->server, "GET", path, times - 1), "Range");
    assert_string_equal(range ? range : "", last);
}

/* The layer as it should not be. */
static char *flipped_layer(struct scene *scene, size_t at)
{
    char *other = scene_keep(scene, mir_alloc(SCENE_LAYER_BYTES));

    memcpy(other, scene->layer, SCENE_LAYER_BYTES);
    other[at] ^= 1;
    return other;
}

static struct server_reply layer_reply(struct scene *scene, const char *layer, unsigned times)
{
    return (struct server_reply){.method = "GET",
                                 .path = scene_blob_path(scene, &scene->layer_digest),
                                 .times = times,
                                 .status = 200,
                                 .body = layer,
                                 .body_len = SCENE_LAYER_BYTES,
                                 .ranges = true};
}

/* ---- in one run ---- */

static void copy_fetches_a_wrong_layer_again(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene, layer_reply(scene, flipped_layer(scene, 1), 2));
    expect_copied(scene);
    expect_asked(scene, 3, "");
    expect_figures(scene, MANIFEST + CONFIG + SCENE_LAYER_BYTES, 0);
}

static void copy_fetches_a_wrong_manifest_again(void **state)
{
    struct scene *scene = *state;

    scene_reply(scene,
                (struct server_reply){.path = scene_manifest_path(scene, &scene->manifest_digest),
                                      .times = 1,
                                      .status = 200,
                                      .body = "{\"schemaVersion\":2}"});
    expect_copied(scene);
}

/* ---- in two ---- */

/* The first run does not get further than GOT bytes into the layer. */
static void fail_in_the_layer(struct scene *scene, const char *layer)
{
    struct server_reply row = layer_reply(scene, layer, TRIES);

    row.fault = SERVER_FAULT_CUT;
    row.fault_at = PIECE;
    scene_reply(scene, row);
}

static void expect_broken_off(struct scene *scene)
{
    assert_false(scene_copy_honest(scene));
    if (!strstr(scene->err.hint, "run the same command again"))
        fail_msg("the hint is \"%s\"", scene->err.hint);
    expect_asked(scene, TRIES, "bytes=75000-");
    /* Nothing is there under a final name. */
    if (!is_directory(scene))
        assert_false(scratch_exists(scene->bundle));
    else
        assert_false(scene_is_whole(scene));
}

/* In a directory the files that were finished have their names already, and are simply there. */
static void expect_second_figures(const struct scene *scene, uint64_t layer_moved)
{
    uint64_t layer_reused = SCENE_LAYER_BYTES - layer_moved;

    if (is_directory(scene))
        expect_figures(scene, layer_moved, layer_reused);
    else
        expect_figures(scene, MANIFEST + layer_moved, CONFIG + layer_reused);
}

static void copy_goes_on_in_the_middle_of_a_layer(void **state)
{
    struct scene *scene = *state;

    fail_in_the_layer(scene, scene->layer);
    expect_broken_off(scene);
    expect_copied(scene);
    expect_asked(scene, TRIES + 1, "bytes=100000-");
    expect_second_figures(scene, SCENE_LAYER_BYTES - GOT);
}

/* The blobs are in a store, behind signed URLs that last for one run, or not even that. */
static void copy_goes_on_with_a_new_signature(void **state)
{
    static const char *const paths[] = {"/b?sig=first", "/b?sig=stale", "/b?sig=fresh"};
    struct scene *scene = *state;
    struct server_reply there[] = {layer_reply(scene, scene->layer, TRIES),
                                   {.path = paths[1], .status = 403},
                                   layer_reply(scene, scene->layer, 1),
                                   {.status = 403}};

    there[0].path = paths[0];
    there[0].fault = SERVER_FAULT_CUT;
    there[0].fault_at = PIECE;
    there[2].path = paths[2];
    scene->elsewhere = server_start(there, sizeof(there) / sizeof(there[0]));
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        scene_reply(scene, (struct server_reply){
                               .method = "GET",
                               .path = scene_blob_path(scene, &scene->layer_digest),
                               .times = i == 0 ? TRIES : 1,
                               .status = 307,
                               .headers = scene_keep(scene, mir_format("Location: %s%s\r\n",
                                                                       server_url(scene->elsewhere),
                                                                       paths[i]))});
    expect_broken_off(scene);
    expect_copied(scene);
    expect_asked(scene, TRIES + 2, "bytes=100000-");
    expect_second_figures(scene, SCENE_LAYER_BYTES - GOT);
    assert_int_equal(server_count(scene->elsewhere, "GET", paths[2]), 1);
    assert_false(server_was_told(scene->elsewhere, "Authorization"));
    /* Its table ends here. */
    server_stop(scene->elsewhere);
    scene->elsewhere = NULL;
}

/* What the first run got was wrong, and only the whole digest can tell. */
static void copy_believes_nothing_of_an_earlier_run(void **state)
{
    struct scene *scene = *state;

    fail_in_the_layer(scene, flipped_layer(scene, GOT / 2));
    expect_broken_off(scene);
    expect_copied(scene);
    expect_asked(scene, TRIES + 2, "");
    expect_second_figures(scene, SCENE_LAYER_BYTES);
}

static void copy_goes_on_where_ranges_are_not_known(void **state)
{
    struct scene *scene = *state;
    struct server_reply all;

    fail_in_the_layer(scene, scene->layer);
    all = layer_reply(scene, scene->layer, 1);
    all.ranges = false;
    scene_reply(scene, all);
    expect_broken_off(scene);
    expect_copied(scene);
    expect_second_figures(scene, SCENE_LAYER_BYTES - GOT);
}

/* Another source may bring the rest: here a bundle of the same image, made before. What the broken
 * run left is right, or wrong. */
static void go_on_from_a_bundle(struct scene *scene, const char *left, uint64_t moved)
{
    auto_scratch *elsewhere = scratch_new();
    auto_free char *file = mir_format("%s/in.tar", elsewhere);
    auto_free char *source = mir_format("bundle:%s", file);

    scene_reply(scene, layer_reply(scene, scene->layer, 1));
    fail_in_the_layer(scene, left);
    expect_copied(scene);
    assert_int_equal(rename(scene->bundle, file), 0);
    assert_false(scene_copy_honest(scene));
    expect_asked(scene, 1 + TRIES, "bytes=75000-");
    scene->source = source;
    expect_copied(scene);
    expect_asked(scene, 1 + TRIES, "bytes=75000-");
    expect_figures(scene, MANIFEST + moved, CONFIG + SCENE_LAYER_BYTES - moved);
}

static void copy_goes_on_from_a_bundle(void **state)
{
    struct scene *scene = *state;

    go_on_from_a_bundle(scene, scene->layer, SCENE_LAYER_BYTES - GOT);
}

static void copy_from_a_bundle_believes_nothing_of_an_earlier_run(void **state)
{
    struct scene *scene = *state;

    go_on_from_a_bundle(scene, flipped_layer(scene, GOT / 2), SCENE_LAYER_BYTES);
}

/* One image is complete and is kept; what the other has come to waits for the next run. */
static void copy_goes_on_with_an_image_that_was_left_out(void **state)
{
    struct scene *scene = *state;
    char *small = scene_keep(
        scene, mir_format("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" IMG_TYPE_OCI_CONFIG
                          "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[]}",
                          scene->config_digest.text, CONFIG));
    struct img_digest also;

    img_digest_of(MIR_HASH_SHA256, mir_span_of(small), &also);
    scene->also = &also;
    scene_reply(scene, (struct server_reply){.path = scene_manifest_path(scene, &also),
                                             .status = 200,
                                             .body = small});
    fail_in_the_layer(scene, scene->layer);
    assert_false(scene_copy_honest(scene));
    assert_int_equal(scene->err.code, MIR_E_PARTIAL);
    assert_non_null(strstr(scene->err.hint, "run the same command again"));
    assert_true(scratch_exists(scene->bundle));
    expect_copied(scene);
    expect_asked(scene, TRIES + 1, "bytes=100000-");
}

/* ---- over what stands there ---- */

/* The bundle stands there, with a wrong byte in the layer (none if that is behind its end). */
static void lay_out_standing(struct scene *scene, size_t wrong_at)
{
    expect_copied(scene);
    if (wrong_at < SCENE_LAYER_BYTES) {
        size_t len;
        auto_free char *bytes = scratch_read(scene->bundle, &len);
        char *layer = memmem(bytes, len, scene->layer, 64);

        assert_non_null(layer);
        layer[wrong_at] ^= 1;
        scratch_write(scene->bundle, mir_span(bytes, len));
    }
}

static void copy_takes_what_stands_there(void **state)
{
    struct scene *scene = *state;

    lay_out_standing(scene, SCENE_LAYER_BYTES);
    expect_copied(scene);
    expect_asked(scene, 1, "");
    expect_figures(scene, MANIFEST, CONFIG + SCENE_LAYER_BYTES);
}

static void copy_fetches_what_is_damaged_there(void **state)
{
    struct scene *scene = *state;

    lay_out_standing(scene, 1234);
    expect_copied(scene);
    expect_asked(scene, 2, "");
    expect_figures(scene, MANIFEST + SCENE_LAYER_BYTES, CONFIG);
}

/* What a broken run left and what stands there make the layer together, though each alone could
 * not: no byte is fetched. Until then what stands there stays as it is. */
static void copy_joins_what_stands_there_and_what_was_left(void **state)
{
    struct scene *scene = *state;
    auto_free char *before = NULL, *after = NULL;
    size_t before_len, after_len;

    scene_reply(scene, layer_reply(scene, scene->layer, 1));
    fail_in_the_layer(scene, scene->layer);
    lay_out_standing(scene, 1234);
    before = scratch_read(scene->bundle, &before_len);
    assert_false(scene_copy_honest(scene));
    after = scratch_read(scene->bundle, &after_len);
    assert_int_equal(after_len, before_len);
    assert_memory_equal(after, before, before_len);
    expect_asked(scene, 1 + TRIES, "bytes=75000-");
    expect_copied(scene);
    expect_asked(scene, 1 + TRIES, "bytes=75000-");
    expect_figures(scene, MANIFEST, CONFIG + SCENE_LAYER_BYTES);
}

#define IN_FILE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define IN_DIRECTORY(name)                                                                         \
    {                                                                                              \
#name "_of_a_directory", name, set_up_directory, tear_down, NULL                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FILE(copy_fetches_a_wrong_layer_again),
        IN_DIRECTORY(copy_fetches_a_wrong_layer_again),
        IN_FILE(copy_fetches_a_wrong_manifest_again),
        IN_FILE(copy_goes_on_in_the_middle_of_a_layer),
        IN_DIRECTORY(copy_goes_on_in_the_middle_of_a_layer),
        IN_FILE(copy_goes_on_with_a_new_signature),
        IN_DIRECTORY(copy_goes_on_with_a_new_signature),
        IN_FILE(copy_believes_nothing_of_an_earlier_run),
        IN_DIRECTORY(copy_believes_nothing_of_an_earlier_run),
        IN_FILE(copy_goes_on_where_ranges_are_not_known),
        IN_FILE(copy_goes_on_from_a_bundle),
        IN_FILE(copy_from_a_bundle_believes_nothing_of_an_earlier_run),
        IN_FILE(copy_goes_on_with_an_image_that_was_left_out),
        IN_DIRECTORY(copy_goes_on_with_an_image_that_was_left_out),
        IN_FILE(copy_takes_what_stands_there),
        IN_FILE(copy_fetches_what_is_damaged_there),
        IN_FILE(copy_joins_what_stands_there_and_what_was_left),
    };
    struct mir_error err = MIR_ERROR_INIT;
    int failed;

    if (!http_global_init(&err))
        return 1;
    failed = cmocka_run_group_tests_name("copy/again", tests, NULL, NULL);
    http_global_cleanup();
    return failed;
}
