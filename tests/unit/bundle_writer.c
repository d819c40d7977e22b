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
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/bundle.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/must.h"
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
    auto_free char *mounted = mir_format("%s/mount", place->dir);

    (void)umount(mounted); /* of a test that failed; there is none otherwise */
    scratch_remove(place->dir);
    free(place->layout);
    free(place->target);
    free(place);
    return 0;
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

static void assert_same_bytes(const char *a, const char *b)
{
    size_t len_a, len_b;
    auto_free char *bytes_a = scratch_read(a, &len_a);
    auto_free char *bytes_b = scratch_read(b, &len_b);

    assert_int_equal(len_a, len_b);
    assert_memory_equal(bytes_a, bytes_b, len_a);
}

/* ---- tar ---- */

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

static void writer_gives_the_same_bytes_whatever_the_order(void **state)
{
    struct place *place = *state;
    auto_free char *other = mir_format("%s/other", place->dir);
    struct mir_error err = MIR_ERROR_INIT;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, 0), &err);
    for (unsigned seed = 1; seed < 6; seed++) {
        struct bundle_image first = bundler.images[0];

        /* The images are asked for in another order each time, too. */
        for (size_t i = 0; i + 1 < bundler.image_count; i++)
            bundler.images[i] = bundler.images[i + 1];
        bundler.images[bundler.image_count - 1] = first;
        must(bundler_copy(&bundler, other, BUNDLE_FORM_TAR, &err, .threads = seed, .seed = seed,
                          .piece = 1000 * seed),
             &err);
        assert_same_bytes(place->target, other);
    }
}

static void writer_keeps_the_old_file_until_commit(void **state)
{
    struct place *place = *state;
    auto_free char *partial = mir_format("%s.partial", place->target);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    scratch_write(place->target, mir_span_of("old"));
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err), &err);
    assert_int_equal(scratch_size(place->target), 3);
    assert_int_equal(scratch_size(partial), bundle_plan_bytes(plan));
    bundle_writer_abort(writer);
    assert_int_equal(scratch_size(place->target), 3);
    assert_false(scratch_exists(partial));
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, 0), &err);
    assert_int_equal(scratch_size(place->target), bundle_plan_bytes(plan));
    bundle_plan_free(plan);
}

static void writer_replaces_a_stale_partial(void **state)
{
    struct place *place = *state;
    auto_free char *partial = mir_format("%s.partial", place->target);
    auto_free char *fresh = mir_format("%s/fresh", place->dir);
    auto_free char *junk = mir_alloc(1u << 20);
    struct mir_error err = MIR_ERROR_INIT;
    auto_bundler bundler;

    memset(junk, 'x', 1u << 20); /* longer than the bundle: nothing of it may show through */
    scratch_write(partial, mir_span(junk, 1u << 20));
    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, 0), &err);
    must(bundler_copy(&bundler, fresh, BUNDLE_FORM_TAR, &err, 0), &err);
    assert_same_bytes(place->target, fresh);
}

static void writer_refuses_a_second_run(void **state)
{
    static const enum bundle_form forms[] = {BUNDLE_FORM_TAR, BUNDLE_FORM_DIR};
    struct place *place = *state;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    for (size_t i = 0; i < 2; i++) {
        auto_free char *path = mir_format("%s%zu", place->target, i);
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *first = NULL, *second = NULL;

        must(bundle_writer_begin(path, forms[i], plan, 0, &first, &err), &err);
        assert_false(bundle_writer_begin(path, forms[i], plan, 0, &second, &err));
        assert_int_equal(err.code, MIR_E_CONFLICT);
        /* The loser left the winner's work alone. */
        for (size_t blob = 0; blob < bundler.blob_count; blob++) {
            struct mir_error bring = MIR_ERROR_INIT;

            must(bundler_bring(&bundler, first, blob, 65536, &bring), &bring);
        }
        mir_error_clear(&err);
        must(bundle_writer_commit(first, &err), &err);
        assert_sound(path, forms[i], 3, bundler.blob_count);
    }
    bundle_plan_free(plan);
}

static void writer_refuses_bytes_beyond_the_blob(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_free char *bytes = NULL;
    auto_bundler bundler;
    uint64_t size;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    size = bundler.blobs[0].size;
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err), &err);
    assert_false(bundle_writer_write(writer, 0, size, mir_span_of("x"), &err));
    assert_int_equal(err.code, MIR_E_DIGEST);
    mir_error_clear(&err);
    assert_false(bundle_writer_write(writer, 0, UINT64_MAX, mir_span_of("x"), &err));
    assert_int_equal(err.code, MIR_E_DIGEST);
    mir_error_clear(&err);
    bytes = mir_alloc(size);
    must(bundle_writer_write(writer, 0, 0, mir_span(bytes, size), &err), &err);
    bundle_writer_abort(writer);
    bundle_plan_free(plan);
}

struct bad_target {
    const char *label;
    enum bundle_form form;
    const char *path; /* below the scratch directory */
    enum mir_code code;
    const char *text; /* part of the message */
    bool has_hint;
};

static void writer_names_what_is_wrong_with_the_target(void **state)
{
    static const struct bad_target rows[] = {
        {"a directory", BUNDLE_FORM_TAR, "layout", MIR_E_USAGE, "is a directory", true},
        {"no such directory", BUNDLE_FORM_TAR, "none/x.tar", MIR_E_NOT_FOUND, "none/x.tar", true},
        {"below a file", BUNDLE_FORM_TAR, "file/x.tar", MIR_E_IO, "file/x.tar", true},
        {"a FIFO", BUNDLE_FORM_TAR, "fifo", MIR_E_USAGE, "not a regular file", false},
        {"a FIFO as .partial", BUNDLE_FORM_TAR, "piped", MIR_E_IO, "in the way", false},
        {"a link as .partial", BUNDLE_FORM_TAR, "linked", MIR_E_IO, "linked.partial", false},
        {"layout: a file", BUNDLE_FORM_DIR, "file", MIR_E_USAGE, "is not a directory", true},
        {"layout: no parent", BUNDLE_FORM_DIR, "none/dir", MIR_E_NOT_FOUND, "none/dir", true},
        {"layout: not one", BUNDLE_FORM_DIR, "", MIR_E_CONFLICT, "neither empty nor", true},
    };
    struct place *place = *state;
    auto_free char *file = mir_format("%s/file", place->dir);
    auto_free char *fifo = mir_format("%s/fifo", place->dir);
    auto_free char *piped = mir_format("%s/piped.partial", place->dir);
    auto_free char *linked = mir_format("%s/linked.partial", place->dir);
    struct bundle_plan *plan;
    auto_bundler bundler;

    scratch_write(file, mir_span_of("file"));
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mkfifo(piped, 0600), 0);
    assert_int_equal(symlink("file", linked), 0);
    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct bad_target *row = &rows[i];
        auto_free char *path = mir_format("%s/%s", place->dir, row->path);
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *writer = NULL;
        size_t count = scratch_count(place->dir);

        if (bundle_writer_begin(path, row->form, plan, 0, &writer, &err))
            fail_msg("%s: was taken", row->label);
        if (err.code != row->code || !strstr(err.text, row->text) ||
            (err.hint[0] != '\0') != row->has_hint)
            fail_msg("%s: code %d, \"%s\", hint \"%s\"", row->label, err.code, err.text, err.hint);
        assert_int_equal(scratch_count(place->dir), count);
    }
    assert_int_equal(scratch_size(file), 4);
    bundle_plan_free(plan);
}

static void writer_takes_blobs_of_sha512(void **state)
{
    static const enum bundle_form forms[] = {BUNDLE_FORM_TAR, BUNDLE_FORM_DIR};
    struct place *place = *state;
    struct bundle_verify_sink sink = {.problem = problem};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_blob blobs[2] = {{.size = 5}, {.size = 0}};
    struct bundle_plan *plan = NULL;

    img_digest_of(MIR_HASH_SHA512, mir_span_of("hello"), &blobs[0].digest);
    img_digest_of(MIR_HASH_SHA512, mir_span_of(""), &blobs[1].digest);
    must(bundle_plan_new(NULL, 0, blobs, 2, 0, &plan, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        auto_free char *path = mir_format("%s%zu", place->target, i);
        struct bundle_verify_totals totals;
        struct bundle_writer *writer = NULL;
        struct bundle_reader *reader = NULL;

        must(bundle_writer_begin(path, forms[i], plan, 0, &writer, &err), &err);
        must(bundle_writer_write(writer, 0, 0, mir_span_of("hello"), &err), &err);
        must(bundle_writer_finish(writer, 0, &err), &err);
        must(bundle_writer_finish(writer, 1, &err), &err); /* empty: never written to */
        must(bundle_writer_commit(writer, &err), &err);
        must(bundle_reader_open(path, forms[i], &reader, &err), &err);
        must(bundle_verify(reader, 1, &sink, &totals, &err), &err);
        assert_int_equal(totals.problems, 0);
        assert_int_equal(totals.blobs, 2);
        bundle_reader_close(reader);
    }
    bundle_plan_free(plan);
}

static void writer_keeps_everything_when_the_rename_fails(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err), &err);
    for (size_t i = 0; i < bundler.blob_count; i++)
        must(bundler_bring(&bundler, writer, i, 65536, &err), &err);
    assert_int_equal(mkdir(place->target, 0777), 0);
    assert_false(bundle_writer_commit(writer, &err));
    assert_non_null(strstr(err.text, place->target));
    assert_int_equal(rmdir(place->target), 0);
    mir_error_clear(&err);
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err), &err);
    for (size_t i = 0; i < bundler.blob_count; i++) {
        assert_int_equal(bundle_writer_reached(writer, i), bundler.blobs[i].size);
        must(bundle_writer_finish(writer, i, &err), &err);
    }
    must(bundle_writer_commit(writer, &err), &err);
    assert_sound(place->target, BUNDLE_FORM_TAR, 3, bundler.blob_count);
    assert_int_equal(scratch_count(place->dir), 2); /* the layout, and the bundle */
    bundle_plan_free(plan);
}

/* ---- dropping ---- */

/* Keep the images but one, and the blobs they need: those of the layout without that image. */
static void drop_image(const struct bundler *all, const struct bundler *rest, const char *target,
                       enum bundle_form form)
{
    auto_free bool *keep_image = mir_alloc_array(all->image_count, sizeof(bool));
    auto_free bool *keep_blob = mir_alloc_array(all->blob_count, sizeof(bool));
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan = bundler_plan(all, 0);

    for (size_t i = 0; i < all->image_count; i++)
        for (size_t j = 0; j < rest->image_count; j++)
            if (strcmp(all->images[i].name, rest->images[j].name) == 0)
                keep_image[i] = true;
    must(bundle_writer_begin(target, form, plan, 0, &writer, &err), &err);
    for (size_t i = 0; i < all->blob_count; i++) {
        keep_blob[i] = bundle_reader_find(rest->reader, &all->blobs[i].digest) != NULL;
        if (keep_blob[i])
            must(bundler_bring(all, writer, i, 65536, &err), &err);
        else /* half of it came, then it failed */
            must(bundle_writer_write(writer, i, 0, mir_span_of("x"), &err), &err);
    }
    must(bundle_writer_drop(writer, keep_image, keep_blob, &err), &err);
    must(bundle_writer_commit(writer, &err), &err);
    bundle_plan_free(plan);
}

/* The fixture with one of three images left out; large layers, so that moving takes many pieces. */
static void make_layout(const char *path, unsigned left_out)
{
    auto_fixture *fixture = fixture_new(path);

    for (unsigned i = 0; i < 3; i++) {
        auto_free char *name = mir_format("registry.example/image:%u", i);
        struct fixture_item image;

        if (i == left_out)
            continue;
        image = fixture_image(fixture, .seed = i, .layers = 2, .layer_bytes = 3u << 20);
        fixture_name(fixture, name, &image);
    }
}

static void writer_drops_images_as_if_never_asked_for(void **state)
{
    struct place *place = *state;
    auto_free char *whole = mir_format("%s/whole", place->dir);
    auto_bundler all;

    make_layout(whole, 3);
    bundler_init(&all, whole);
    for (unsigned i = 0; i < 3; i++) {
        auto_free char *part = mir_format("%s/part%u", place->dir, i);
        auto_free char *dropped = mir_format("%s/dropped%u", place->dir, i);
        auto_free char *straight = mir_format("%s/straight%u", place->dir, i);
        struct mir_error err = MIR_ERROR_INIT;
        auto_bundler rest;

        make_layout(part, i);
        bundler_init(&rest, part);
        drop_image(&all, &rest, dropped, BUNDLE_FORM_TAR);
        must(bundler_copy(&rest, straight, BUNDLE_FORM_TAR, &err, 0), &err);
        assert_same_bytes(dropped, straight);
    }
}

static void writer_drops_everything(void **state)
{
    struct place *place = *state;
    const bool none[16] = {false};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err), &err);
    must(bundle_writer_drop(writer, none, none, &err), &err);
    must(bundle_writer_commit(writer, &err), &err);
    assert_sound(place->target, BUNDLE_FORM_TAR, 0, 0);
    bundle_plan_free(plan);
}

/* ---- directories ---- */

static void writer_makes_a_layout_in_a_directory(void **state)
{
    struct place *place = *state;
    auto_free char *blobs = mir_format("%s/blobs/sha256", place->target);
    struct mir_error err = MIR_ERROR_INIT;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_DIR, &err, .threads = 4, .seed = 3),
         &err);
    assert_sound(place->target, BUNDLE_FORM_DIR, 3, bundler.blob_count);
    assert_int_equal(scratch_count(blobs), bundler.blob_count); /* no .partial left */
    assert_int_equal(scratch_count(place->target), 3);
}

static void writer_adds_to_a_layout(void **state)
{
    struct place *place = *state;
    auto_free char *other = mir_format("%s/other", place->dir);
    auto_free char *index = mir_format("%s/index.json", place->target);
    auto_free char *text = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    struct fixture *fixture = fixture_new(other);
    struct fixture_item replaced = fixture_image(fixture, .seed = 50);
    struct fixture_item added = fixture_image(fixture, .seed = 51);
    auto_bundler first, second;

    fixture_name(fixture, "registry.example/m/multi:2", &replaced);
    fixture_name(fixture, "registry.example/b/new", &added);
    fixture_free(fixture);
    bundler_init(&first, place->layout);
    bundler_init(&second, other);
    must(bundler_copy(&first, place->target, BUNDLE_FORM_DIR, &err, 0), &err);
    must(bundler_copy(&second, place->target, BUNDLE_FORM_DIR, &err, 0), &err);
    text = scratch_read(index, NULL);
    assert_non_null(strstr(text, NAME_A));
    assert_non_null(strstr(text, "registry.example/z/last"));
    assert_non_null(strstr(text, "registry.example/b/new"));
    assert_non_null(strstr(text, replaced.digest.text));
    /* sorted: a, b, m, z; and m/multi:2 once */
    assert_true(strstr(text, "/a/app") < strstr(text, "/b/new"));
    assert_true(strstr(text, "/b/new") < strstr(text, "/m/multi"));
    assert_true(strstr(text, "/m/multi") < strstr(text, "/z/last"));
    assert_null(strstr(strstr(text, "/m/multi") + 1, "/m/multi"));
}

static void writer_has_blobs_that_stand_in_the_layout(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;
    auto_free char *short_one = NULL, *wrong_one = NULL;

    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_DIR, &err, 0), &err);
    short_one =
        mir_format("%s/blobs/sha256/%s", place->target, img_digest_hex(&bundler.blobs[0].digest));
    wrong_one =
        mir_format("%s/blobs/sha256/%s", place->target, img_digest_hex(&bundler.blobs[1].digest));
    assert_int_equal(truncate(short_one, 1), 0);
    {
        auto_free char *wrong = mir_alloc((size_t)bundler.blobs[1].size);

        scratch_write(wrong_one, mir_span(wrong, (size_t)bundler.blobs[1].size));
    }
    plan = bundler_plan(&bundler, 0);
    must(bundle_writer_begin(place->target, BUNDLE_FORM_DIR, plan, 0, &writer, &err), &err);
    for (size_t i = 0; i < bundler.blob_count; i++)
        assert_int_equal(bundle_writer_has(writer, i), i >= 2);
    bundle_writer_abort(writer);
    bundle_plan_free(plan);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_DIR, &err, 0), &err);
    assert_sound(place->target, BUNDLE_FORM_DIR, 3, bundler.blob_count);
}

static void writer_abort_leaves_a_layout_as_it_was(void **state)
{
    struct place *place = *state;
    auto_free char *small = mir_format("%s/small", place->dir);
    auto_free char *index = mir_format("%s/index.json", small);
    auto_free char *before = NULL, *after = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct fixture *fixture = fixture_new(small);
    struct fixture_item image = fixture_image(fixture, .layers = 3, .layer_bytes = 70000);
    struct bundle_plan *plan;
    size_t brought = 0;
    auto_bundler bundler;

    fixture_name(fixture, "registry.example/z/last", &image);
    fixture_free(fixture);
    before = scratch_read(index, NULL);
    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    must(bundle_writer_begin(small, BUNDLE_FORM_DIR, plan, 0, &writer, &err), &err);
    for (size_t i = 0; i < bundler.blob_count; i++)
        if (!bundle_writer_has(writer, i) && brought++ < 3)
            must(bundler_bring(&bundler, writer, i, 65536, &err), &err);
        else if (!bundle_writer_has(writer, i))
            must(bundle_writer_write(writer, i, 0, mir_span_of("x"), &err), &err);
    bundle_writer_abort(writer);
    bundle_plan_free(plan);
    assert_true(brought > 3);
    after = scratch_read(index, NULL);
    assert_string_equal(before, after);
    assert_sound(small, BUNDLE_FORM_DIR, 1, 5);
}

static void writer_abort_removes_a_new_layout(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    must(bundle_writer_begin(place->target, BUNDLE_FORM_DIR, plan, 0, &writer, &err), &err);
    must(bundler_bring(&bundler, writer, 0, 65536, &err), &err);
    bundle_writer_abort(writer);
    assert_false(scratch_exists(place->target));
    bundle_plan_free(plan);
}

static void writer_drops_images_of_a_layout(void **state)
{
    struct place *place = *state;
    auto_free char *whole = mir_format("%s/whole", place->dir);
    auto_free char *part = mir_format("%s/part", place->dir);
    auto_bundler all, rest;

    make_layout(whole, 3);
    make_layout(part, 1);
    bundler_init(&all, whole);
    bundler_init(&rest, part);
    drop_image(&all, &rest, place->target, BUNDLE_FORM_DIR);
    assert_sound(place->target, BUNDLE_FORM_DIR, 2, rest.blob_count);
}

/* ---- room ---- */

/* A file system of its own on the scratch directory's "mount", or the test is skipped. */
static char *mount_small(const struct place *place, const char *type, const char *options)
{
    char *path = mir_format("%s/mount", place->dir);

    assert_int_equal(mkdir(path, 0777), 0);
    if (mount(type, path, type, 0, options) != 0) {
        print_message("skipped: cannot mount %s here: %s\n", type, strerror(errno));
        free(path);
        skip();
    }
    return path;
}

static void unmount(char *path)
{
    assert_int_equal(umount(path), 0);
    free(path);
}

static void writer_says_what_room_is_missing(void **state)
{
    static const enum bundle_form forms[] = {BUNDLE_FORM_TAR, BUNDLE_FORM_DIR};
    struct place *place = *state;
    char *mounted = mount_small(place, "tmpfs", "size=131072");
    auto_free char *target = mir_format("%s/bundle", mounted);
    auto_free char *needed = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    needed = mir_format("(%llu bytes)", (unsigned long long)bundle_plan_bytes(plan));
    for (size_t i = 0; i < 2; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *writer = NULL;

        assert_false(bundle_writer_begin(target, forms[i], plan, 0, &writer, &err));
        assert_int_equal(err.code, MIR_E_SPACE);
        assert_non_null(strstr(err.text, " bytes), "));
        if (forms[i] == BUNDLE_FORM_TAR) {
            unsigned long long available = 0;

            assert_non_null(strstr(err.text, needed));
            assert_int_equal(
                sscanf(strstr(err.text, "available ("), "available (%llu bytes)", &available), 1);
            assert_in_range(available, 131072 - 8192, 131072); /* less the journal */
        }
        assert_true(err.hint[0] != '\0');
        assert_int_equal(scratch_count(mounted), 0);
    }
    bundle_plan_free(plan);
    unmount(mounted);
}

/* On the disk; in memory it would take long, and the room is only looked at. */
static void writer_claims_all_blocks_first(void **state)
{
    struct place *place = *state;
    auto_free char *partial = mir_format("%s.partial", place->target);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    struct statfs file_system;
    struct stat info;
    auto_bundler bundler;

    if (statfs(place->dir, &file_system) != 0 ||
        (file_system.f_type != EXT4_SUPER_MAGIC && file_system.f_type != XFS_SUPER_MAGIC)) {
        print_message("skipped: the scratch directory is on no disk\n");
        skip();
    }
    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err), &err);
    assert_int_equal(stat(partial, &info), 0);
    assert_true((uint64_t)info.st_blocks * 512 >= bundle_plan_bytes(plan));
    bundle_writer_abort(writer);
    bundle_plan_free(plan);
}

static void writer_manages_without_fallocate(void **state)
{
    struct place *place = *state;
    char *mounted = mount_small(place, "ramfs", NULL); /* has none */
    auto_free char *target = mir_format("%s/bundle", mounted);
    struct mir_error err = MIR_ERROR_INIT;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, target, BUNDLE_FORM_TAR, &err, .threads = 3, .seed = 1), &err);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, 0), &err);
    assert_same_bytes(place->target, target);
    assert_int_equal(scratch_count(mounted), 1);
    unmount(mounted);
}

static void writer_writes_each_byte_once(void **state)
{
    struct place *place = *state;
    auto_free char *large = mir_format("%s/large", place->dir);
    auto_free char *before = NULL, *after = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    unsigned long long written_before, written_after;
    auto_bundler bundler;

    make_layout(large, 3);
    bundler_init(&bundler, large);
    before = scratch_read("/proc/self/io", NULL);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, .threads = 2, .seed = 2),
         &err);
    after = scratch_read("/proc/self/io", NULL);
    assert_int_equal(sscanf(strstr(before, "wchar:"), "wchar: %llu", &written_before), 1);
    assert_int_equal(sscanf(strstr(after, "wchar:"), "wchar: %llu", &written_after), 1);
    assert_true(written_after - written_before <= scratch_size(place->target));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(writer_tar_is_sound_and_as_long_as_planned),
    TEST(writer_gives_the_same_bytes_whatever_the_order),
    TEST(writer_keeps_the_old_file_until_commit),
    TEST(writer_replaces_a_stale_partial),
    TEST(writer_refuses_a_second_run),
    TEST(writer_refuses_bytes_beyond_the_blob),
    TEST(writer_names_what_is_wrong_with_the_target),
    TEST(writer_takes_blobs_of_sha512),
    TEST(writer_keeps_everything_when_the_rename_fails),
    TEST(writer_drops_images_as_if_never_asked_for),
    TEST(writer_drops_everything),
    TEST(writer_makes_a_layout_in_a_directory),
    TEST(writer_adds_to_a_layout),
    TEST(writer_has_blobs_that_stand_in_the_layout),
    TEST(writer_abort_leaves_a_layout_as_it_was),
    TEST(writer_abort_removes_a_new_layout),
    TEST(writer_drops_images_of_a_layout),
    TEST(writer_says_what_room_is_missing),
    TEST(writer_claims_all_blocks_first),
    TEST(writer_manages_without_fallocate),
    TEST(writer_writes_each_byte_once),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/writer", tests, NULL, NULL);
}
