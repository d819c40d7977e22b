/*
 * bundle/verify: what is whole is found whole, and what is not is named, with image and digest.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/bundle.h"
#include "image/manifest.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/scratch.h"

/* ---- running it ---- */

struct outcome {
    struct bundle_verify_totals totals;
    struct mir_buf problems; /* one per line */
};

static void note(void *ctx, const char *text)
{
    mir_buf_printf(ctx, "%s\n", text);
}

static void release_outcome(struct outcome *outcome)
{
    mir_buf_release(&outcome->problems);
}
#define auto_outcome __attribute__((cleanup(release_outcome))) struct outcome

static void verify_form(const char *path, enum bundle_form form, unsigned jobs,
                        struct outcome *outcome)
{
    struct bundle_verify_sink sink = {.problem = note, .ctx = &outcome->problems};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader = NULL;

    mir_buf_init(&outcome->problems, 1u << 20);
    if (!bundle_reader_open(path, form, &reader, &err) ||
        !bundle_verify(reader, jobs, &sink, &outcome->totals, &err))
        fail_msg("%s", err.text);
    bundle_reader_close(reader);
}

static void verify(const char *path, struct outcome *outcome)
{
    verify_form(path, BUNDLE_FORM_DIR, 2, outcome);
}

static void expect_sound(const char *label, const char *path)
{
    auto_outcome outcome;

    verify(path, &outcome);
    if (outcome.totals.problems != 0)
        fail_msg("%s: %s", label, outcome.problems.ptr);
}

/* Exactly this one problem, with all of these in its text. */
static void expect_problem(const char *path, const char *image, const char *digest,
                           const char *text)
{
    auto_outcome outcome;

    verify(path, &outcome);
    if (outcome.totals.problems != 1 || !strstr(outcome.problems.ptr, image) ||
        !strstr(outcome.problems.ptr, digest) || !strstr(outcome.problems.ptr, text))
        fail_msg("expected %s, %s, \"%s\"; got %zu:\n%s", image, digest, text,
                 outcome.totals.problems, outcome.problems.ptr);
}

/* ---- fixtures ---- */

struct place {
    char *dir;
    char *layout;
    struct fixture *fixture;
};

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));

    place->dir = scratch_new();
    place->layout = mir_format("%s/layout", place->dir);
    place->fixture = fixture_new(place->layout);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    fixture_free(place->fixture);
    scratch_remove(place->dir);
    free(place->layout);
    free(place);
    return 0;
}

static void remove_blob(const struct place *place, const struct img_digest *digest)
{
    auto_free char *path = fixture_blob_path(place->fixture, digest);

    assert_int_equal(unlink(path), 0);
}

/* The parsed manifest of an item; release it. */
static void read_manifest(const struct place *place, const struct fixture_item *item,
                          struct img_manifest *out)
{
    auto_free char *path = fixture_blob_path(place->fixture, &item->digest);
    struct mir_error err = MIR_ERROR_INIT;
    size_t len;
    auto_free char *bytes = scratch_read(path, &len);

    if (!img_manifest_parse(mir_span(bytes, len), NULL, out, &err))
        fail_msg("%s", err.text);
}

/* ---- sound bundles ---- */

static void verify_accepts_everything_of_the_field(void **state)
{
    struct place *place = *state;
    struct fixture *f = place->fixture;
    struct fixture_item image = fixture_image(f, .layers = 4), nested, items[4];
    auto_free char *tar = mir_format("%s/x.tar", place->dir);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_verify_totals first;
    auto_bundler bundler;

    fixture_name(f, "oci", &image);
    items[0] = fixture_image(f, .docker = true, .seed = 1);
    fixture_name(f, "docker", &items[0]);
    items[1] = fixture_image(f, .docker = true, .arch = "arm64", .seed = 2);
    nested = fixture_index(f, .children = items, .child_count = 2, .docker = true);
    fixture_name(f, "list", &nested);
    items[0] = nested;
    items[1] = image;
    items[2] = fixture_attestation(f, &image);
    items[3] = fixture_image(f, .packing = FIXTURE_PACKING_ZSTD, .arch = "s390x", .seed = 3);
    nested = fixture_index(f, .children = items, .child_count = 4, .no_media_type = true);
    fixture_name(f, "nested", &nested);
    items[0] = fixture_artifact(f, .subject = &image);
    fixture_name(f, "artifact", &items[0]);
    items[0] = fixture_image(f, .foreign = true, .seed = 4);
    fixture_name(f, "foreign", &items[0]);
    items[0] = fixture_image(f, .foreign = true, .docker = true, .seed = 5, .indented = true);
    fixture_name(f, NULL, &items[0]);
    items[0] = fixture_image(f, .no_media_type = true, .no_layers = true, .variant = "v8");
    fixture_name(f, "bare", &items[0]);
    fixture_write(f);
    expect_sound("directory", place->layout);
    bundler_init(&bundler, place->layout);
    if (!bundler_copy(&bundler, tar, BUNDLE_FORM_TAR, &err, 0))
        fail_msg("%s", err.text);
    for (unsigned jobs = 1; jobs < 9; jobs += 7) {
        auto_outcome outcome;

        verify_form(tar, BUNDLE_FORM_TAR, jobs, &outcome);
        assert_string_equal(outcome.problems.ptr, "");
        assert_int_equal(outcome.totals.images, 8);
        assert_int_equal(outcome.totals.blobs, bundler.blob_count);
        assert_int_equal(outcome.totals.manifests, 11);
        assert_int_equal(outcome.totals.unused, 0);
        if (jobs == 1)
            first = outcome.totals;
        assert_memory_equal(&first, &outcome.totals, sizeof(first));
    }
}

static void verify_counts_blobs_nobody_uses(void **state)
{
    struct place *place = *state;
    struct fixture_item image = fixture_image(place->fixture, .layers = 1);
    auto_outcome outcome;

    fixture_name(place->fixture, "image", &image);
    (void)fixture_blob(place->fixture, "", mir_span_of("left behind"));
    fixture_write(place->fixture);
    verify(place->layout, &outcome);
    assert_int_equal(outcome.totals.problems, 0);
    assert_int_equal(outcome.totals.unused, 1);
}

/* ---- what is missing ---- */

static void verify_names_missing_blobs(void **state)
{
    struct place *place = *state;
    struct fixture_item image = fixture_image(place->fixture, .layers = 2);
    struct fixture_item children[] = {image, fixture_image(place->fixture, .seed = 1)};
    struct fixture_item index =
        fixture_index(place->fixture, .children = children, .child_count = 2);
    auto_manifest manifest = {.media_type = NULL};

    read_manifest(place, &image, &manifest);
    fixture_name(place->fixture, "r.example/app:1", &index);
    fixture_write(place->fixture);
    expect_sound("before", place->layout);
    remove_blob(place, &manifest.layers[1].digest);
    expect_problem(place->layout, "r.example/app:1", manifest.layers[1].digest.text,
                   "layer 2, sha256:");
    fixture_add_image(place->fixture, &(struct fixture_image_args){.layers = 2});
    remove_blob(place, &manifest.config.digest);
    expect_problem(place->layout, "r.example/app:1", manifest.config.digest.text, "is missing");
    remove_blob(place, &image.digest);
    expect_problem(place->layout, "r.example/app:1", image.digest.text, index.digest.text);
    remove_blob(place, &index.digest);
    expect_problem(place->layout, "r.example/app:1", index.digest.text, "is missing");
}

static void verify_honours_the_platforms_that_were_taken(void **state)
{
    struct place *place = *state;
    struct fixture *f = place->fixture;
    struct fixture_item children[] = {fixture_image(f, .arch = "amd64", .seed = 1),
                                      fixture_image(f, .arch = "arm64", .seed = 2),
                                      fixture_image(f, .arch = "s390x", .seed = 3)};
    struct fixture_item index = fixture_index(f, .children = children, .child_count = 3);
    auto_manifest arm = {.media_type = NULL};

    read_manifest(place, &children[1], &arm);
    fixture_name_platforms(f, "r.example/app:1", &index, "linux/amd64,linux/s390x");
    fixture_write(f);
    expect_sound("all there", place->layout);
    remove_blob(place, &children[1].digest);
    remove_blob(place, &arm.config.digest);
    remove_blob(place, &arm.layers[0].digest);
    expect_sound("one left out", place->layout);
    remove_blob(place, &children[2].digest);
    expect_problem(place->layout, "r.example/app:1", children[2].digest.text, "is missing");
    /* The same index under another name, with all platforms: that one needs arm64 too. */
    (void)fixture_image(f, .arch = "s390x", .seed = 3);
    fixture_name(f, "r.example/app:whole", &index);
    fixture_write(f);
    expect_problem(place->layout, "r.example/app:whole", children[1].digest.text, "is missing");
}

static void verify_refuses_platforms_it_cannot_read(void **state)
{
    struct place *place = *state;
    struct fixture_item image = fixture_image(place->fixture, .layers = 1);

    fixture_name_platforms(place->fixture, "r.example/app:1", &image, "linux/amd64,,x");
    fixture_write(place->fixture);
    expect_problem(place->layout, "r.example/app:1", "mirror.platforms", "");
}

/* ---- what is wrong ---- */

static void verify_names_changed_blobs(void **state)
{
    struct place *place = *state;
    struct fixture_item image = fixture_image(place->fixture, .layers = 2);
    struct fixture_item unused = fixture_blob(place->fixture, "", mir_span_of("unused"));
    auto_manifest manifest = {.media_type = NULL};
    const struct img_digest *digests[] = {&image.digest, &unused.digest, NULL, NULL};

    read_manifest(place, &image, &manifest);
    digests[2] = &manifest.layers[0].digest;
    digests[3] = &manifest.config.digest;
    fixture_name(place->fixture, "r.example/app:1", &image);
    fixture_write(place->fixture);
    for (size_t i = 0; i < 4; i++) {
        auto_free char *path = fixture_blob_path(place->fixture, digests[i]);
        size_t len;
        auto_free char *bytes = scratch_read(path, &len);

        bytes[len / 2] ^= 1;
        scratch_write(path, mir_span(bytes, len));
        expect_problem(place->layout, digests[i] == &unused.digest ? "no image" : "app:1",
                       digests[i]->text, "other content");
        bytes[len / 2] ^= 1;
        scratch_write(path, mir_span(bytes, len));
    }
    expect_sound("mended", place->layout);
}

static void verify_names_wrong_sizes(void **state)
{
    struct place *place = *state;
    struct fixture_item image = fixture_image(place->fixture, .layers = 1);
    struct fixture_item lying = image, index;

    lying.size += 1;
    index = fixture_index(place->fixture, .children = &lying, .child_count = 1);
    fixture_name(place->fixture, "r.example/app:1", &index);
    fixture_write(place->fixture);
    expect_problem(place->layout, "r.example/app:1", image.digest.text, "announced");
}

static void verify_names_manifests_that_are_none(void **state)
{
    static const struct {
        const char *label, *text;
    } rows[] = {
        {"not JSON", "hello"},
        {"empty", ""},
        {"a list", "[]"},
        {"nothing in it", "{}"},
        {"a layer without digest",
         "{\"schemaVersion\":2,\"config\":{\"digest\":\"x\",\"size\":1},\"layers\":[{}]}"},
        {"schema 1", "{\"schemaVersion\":1,\"fsLayers\":[],\"name\":\"x\"}"},
    };
    struct place *place = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *layout = mir_format("%s/%zu", place->dir, i);
        auto_fixture *f = fixture_new(layout);
        struct fixture_item item =
            fixture_blob(f, IMG_TYPE_OCI_MANIFEST, mir_span_of(rows[i].text));

        fixture_name(f, rows[i].label, &item);
        fixture_write(f);
        expect_problem(layout, rows[i].label, item.digest.text, "");
    }
}

/* ---- deep and wide ---- */

static void verify_bounds_nesting(void **state)
{
    struct place *place = *state;
    struct fixture_item item = fixture_image(place->fixture, .layers = 1), last = item;

    for (int depth = 0; depth < IMG_NESTING_MAX; depth++)
        item = fixture_index(place->fixture, .children = &item, .child_count = 1);
    fixture_name(place->fixture, "r.example/fine", &item);
    fixture_write(place->fixture);
    expect_sound("as deep as it may be", place->layout);
    item = fixture_index(place->fixture, .children = &item, .child_count = 1);
    fixture_name(place->fixture, "r.example/deep", &item);
    fixture_write(place->fixture);
    expect_problem(place->layout, "r.example/deep", last.digest.text, "deeper");
}

static void verify_visits_woven_indexes_once(void **state)
{
    struct place *place = *state;
    struct fixture_item image = fixture_image(place->fixture, .layers = 1), children[50];
    auto_outcome outcome;

    /* 50 ways from each level to the next: 50^8 paths, nine manifests. */
    for (int depth = 0; depth < IMG_NESTING_MAX; depth++) {
        for (size_t i = 0; i < 50; i++)
            children[i] = image;
        image = fixture_index(place->fixture, .children = children, .child_count = 50);
    }
    fixture_name(place->fixture, "r.example/woven", &image);
    fixture_write(place->fixture);
    verify(place->layout, &outcome);
    assert_int_equal(outcome.totals.problems, 0);
    assert_int_equal(outcome.totals.manifests, IMG_NESTING_MAX + 1);
}

static void verify_stops_when_cancelled(void **state)
{
    struct place *place = *state;
    struct fixture_item image = fixture_image(place->fixture, .layers = 1);
    struct mir_cancel cancel = {.flag = 1};
    struct bundle_verify_sink sink = {.problem = note, .cancel = &cancel};
    struct bundle_verify_totals totals;
    struct bundle_reader *reader = NULL;
    struct mir_error err = MIR_ERROR_INIT;

    fixture_name(place->fixture, "image", &image);
    fixture_write(place->fixture);
    assert_true(bundle_reader_open(place->layout, BUNDLE_FORM_DIR, &reader, &err));
    assert_false(bundle_verify(reader, 4, &sink, &totals, &err));
    assert_int_equal(err.code, MIR_E_CANCELLED);
    bundle_reader_close(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(verify_accepts_everything_of_the_field),
    TEST(verify_counts_blobs_nobody_uses),
    TEST(verify_names_missing_blobs),
    TEST(verify_honours_the_platforms_that_were_taken),
    TEST(verify_refuses_platforms_it_cannot_read),
    TEST(verify_names_changed_blobs),
    TEST(verify_names_wrong_sizes),
    TEST(verify_names_manifests_that_are_none),
    TEST(verify_bounds_nesting),
    TEST(verify_visits_woven_indexes_once),
    TEST(verify_stops_when_cancelled),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/verify", tests, NULL, NULL);
}
