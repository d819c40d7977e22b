/*
 * bundle/writer: what lands on disk, in both forms, and what is left when it does not work out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/bundle.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/scratch.h"

#define NAME_A "registry.example/a/app:1@sha256:" HEX_A
#define HEX_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* ---- fixtures ---- */

struct place {
    char *dir;    /* scratch */
    char *layout; /* a fixture layout in it */
    char *target; /* where a test writes to; not there yet */
};

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));
    struct fixture *fixture;
    struct fixture_item image, children[2], index;

    place->dir = scratch_new();
    place->layout = mir_format("%s/layout", place->dir);
    place->target = mir_format("%s/target", place->dir);
    fixture = fixture_new(place->layout);
    image = fixture_image(fixture, .layers = 3, .layer_bytes = 70000);
    fixture_name(fixture, "registry.example/z/last", &image);
    image = fixture_image(fixture, .seed = 1, .docker = true);
    fixture_name(fixture, NAME_A, &image);
    children[0] = fixture_image(fixture, .arch = "arm64", .seed = 2);
    children[1] = fixture_image(fixture, .seed = 3, .layer_bytes = 1);
    index = fixture_index(fixture, .children = children, .child_count = 2);
    fixture_name(fixture, "registry.example/m/multi:2", &index);
    fixture_free(fixture);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    scratch_remove(place->dir);
    free(place->layout);
    free(place->target);
    free(place);
    return 0;
}

static void must(bool done, const struct mir_error *err)
{
    if (!done)
        fail_msg("%s", err->text);
}

static void problem(void *ctx, const char *text)
{
    (void)ctx;
    print_message("%s\n", text);
}

static void assert_sound(const char *path, enum bundle_form form, size_t images, size_t blobs)
{
    struct bundle_verify_sink sink = {.problem = problem};
    struct bundle_verify_totals totals;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader = NULL;

    must(bundle_reader_open(path, form, &reader, &err), &err);
    must(bundle_verify(reader, 2, &sink, &totals, &err), &err);
    assert_int_equal(totals.problems, 0);
    assert_int_equal(totals.unused, 0);
    assert_int_equal(totals.images, images);
    assert_int_equal(totals.blobs, blobs);
    bundle_reader_close(reader);
}

/* ---- tests ---- */

static void writer_tar_is_sound_and_as_long_as_planned(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, 0), &err);
    plan = bundler_plan(&bundler, 0);
    assert_int_equal(scratch_size(place->target), bundle_plan_bytes(plan));
    bundle_plan_free(plan);
    assert_sound(place->target, BUNDLE_FORM_TAR, 3, bundler.blob_count);
    assert_int_equal(scratch_count(place->dir), 2); /* the layout and the bundle: no .partial */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(writer_tar_is_sound_and_as_long_as_planned, set_up, tear_down),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/writer", tests, NULL, NULL);
}
