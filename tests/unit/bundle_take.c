/*
 * bundle/take: blobs that go from one bundle file to another inside the kernel.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "bundle/bundle.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/scratch.h"

#define LAYER_BYTES 300000

struct place {
    char *dir, *layout, *from, *to;
    struct bundler bundler;
    struct bundle_plan *plan;
    struct bundle_reader *reader; /* of from, the bundle in one file */
    struct bundle_writer *writer; /* of to; NULL when it is done */
};

static void must(bool done, const struct mir_error *err)
{
    if (!done)
        fail_msg("%s", err->text);
}

static void begin(struct place *place, uint64_t volume_bytes)
{
    struct mir_error err = MIR_ERROR_INIT;

    must(bundle_writer_begin(place->to, BUNDLE_FORM_TAR, place->plan, volume_bytes, &place->writer,
                             &err),
         &err);
}

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));
    struct mir_error err = MIR_ERROR_INIT;
    struct fixture_item image;
    struct fixture *fixture;

    place->dir = scratch_new();
    place->layout = mir_format("%s/layout", place->dir);
    place->from = mir_format("%s/from.tar", place->dir);
    place->to = mir_format("%s/to.tar", place->dir);
    fixture = fixture_new(place->layout);
    image = fixture_image(fixture, .layers = 3, .layer_bytes = LAYER_BYTES);
    fixture_name(fixture, "registry.example/a:1", &image);
    fixture_free(fixture);
    bundler_init(&place->bundler, place->layout);
    place->plan = bundler_plan(&place->bundler, 0);
    must(bundler_copy(&place->bundler, place->from, BUNDLE_FORM_TAR, &err, .threads = 1), &err);
    must(bundle_reader_open(place->from, BUNDLE_FORM_TAR, &place->reader, &err), &err);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    bundle_writer_abort(place->writer);
    bundle_reader_close(place->reader);
    bundle_plan_free(place->plan);
    bundler_release(&place->bundler);
    scratch_remove(place->dir);
    free(place->layout);
    free(place->from);
    free(place->to);
    free(place);
    return 0;
}

static const struct bundle_blob *blob_of(const struct place *place, size_t blob)
{
    return bundle_reader_find(place->reader, &place->bundler.blobs[blob].digest);
}

/* Take the rest of every blob, read it back, and compare the whole with where it came from. */
static void take_all(struct place *place, uint64_t piece)
{
    struct mir_error err = MIR_ERROR_INIT;

    for (size_t i = 0; i < place->bundler.blob_count; i++) {
        const struct bundle_blob *from = blob_of(place, i);
        auto_free char *want = mir_alloc((size_t)from->size + 1);
        auto_free char *got = mir_alloc((size_t)from->size + 1);

        for (uint64_t at = bundle_writer_reached(place->writer, i); at < from->size;) {
            uint64_t len = from->size - at < piece ? from->size - at : piece;

            must(bundle_writer_take(place->writer, i, place->reader, from, len, &err), &err);
            at += len;
            assert_int_equal(bundle_writer_reached(place->writer, i), at);
        }
        must(bundle_reader_read(place->reader, from, 0, want, (size_t)from->size, &err), &err);
        must(bundle_writer_read(place->writer, i, 0, got, (size_t)from->size, &err), &err);
        assert_memory_equal(got, want, from->size);
        must(bundle_writer_finish(place->writer, i, &err), &err);
    }
}

static void expect_same(const struct place *place)
{
    size_t from_len, to_len;
    auto_free char *from = scratch_read(place->from, &from_len);
    auto_free char *to = scratch_read(place->to, &to_len);

    assert_int_equal(to_len, from_len);
    assert_memory_equal(to, from, from_len);
}

static void take_brings_whole_blobs(void **state)
{
    static const uint64_t pieces[] = {UINT64_MAX, 4096, 100001};
    struct mir_error err = MIR_ERROR_INIT;
    struct place *place = *state;

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        begin(place, 0);
        take_all(place, pieces[i]);
        must(bundle_writer_commit(mir_steal(&place->writer), &err), &err);
        expect_same(place);
    }
}

/* What was written before stays, and what is taken is there for the next run. */
static void take_goes_on_and_can_be_gone_on_from(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct place *place = *state;
    const struct bundle_blob *from;
    size_t blob = 0;
    char start[1000];

    while (place->bundler.blobs[blob].size < LAYER_BYTES)
        blob++;
    from = blob_of(place, blob);
    begin(place, 0);
    must(bundle_reader_read(place->reader, from, 0, start, sizeof(start), &err), &err);
    must(bundle_writer_write(place->writer, blob, 0, mir_span(start, sizeof(start)), &err), &err);
    must(bundle_writer_take(place->writer, blob, place->reader, from, 200000, &err), &err);
    bundle_writer_suspend(mir_steal(&place->writer));
    begin(place, 0);
    assert_int_equal(bundle_writer_reached(place->writer, blob), 201000);
    take_all(place, 50000);
    must(bundle_writer_commit(mir_steal(&place->writer), &err), &err);
    expect_same(place);
}

/* The target's pieces begin where the source has none. */
static void take_crosses_volumes(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct place *place = *state;
    struct bundle_reader *cut;

    begin(place, 128u << 10);
    take_all(place, UINT64_MAX);
    must(bundle_writer_commit(mir_steal(&place->writer), &err), &err);
    must(bundle_reader_open(place->to, BUNDLE_FORM_TAR, &cut, &err), &err);
    for (size_t i = 0; i < place->bundler.blob_count; i++) {
        auto_free char *bytes = NULL;
        size_t len;

        must(bundle_reader_load(cut, &place->bundler.blobs[i].digest, 1u << 20, &bytes, &len, &err),
             &err);
    }
    bundle_reader_close(cut);
}

static void take_needs_files_on_both_sides(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct place *place = *state;
    const struct bundle_blob *blob = &place->bundler.blobs[0];

    begin(place, 0);
    assert_false(bundle_writer_take(place->writer, 0, place->bundler.reader, blob, 1, &err));
    assert_int_equal(err.code, MIR_E_UNSUPPORTED);
    assert_int_equal(bundle_writer_reached(place->writer, 0), 0);
    bundle_writer_abort(mir_steal(&place->writer));
    mir_error_clear(&err);
    must(bundle_writer_begin(place->to, BUNDLE_FORM_DIR, place->plan, 0, &place->writer, &err),
         &err);
    assert_false(bundle_writer_take(place->writer, 0, place->reader, blob_of(place, 0), 1, &err));
    assert_int_equal(err.code, MIR_E_UNSUPPORTED);
}

#define PLACE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE(take_brings_whole_blobs),
        PLACE(take_goes_on_and_can_be_gone_on_from),
        PLACE(take_crosses_volumes),
        PLACE(take_needs_files_on_both_sides),
    };

    return cmocka_run_group_tests_name("bundle/take", tests, NULL, NULL);
}
