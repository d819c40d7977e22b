/*
 * bundle/volumes: one stream in many files. Its bytes are those of the one file, wherever the cuts
 * are; what is begun, renamed and removed is the set's own and nothing else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/bundle.h"
#include "bundle/volumes_priv.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/must.h"
#include "lib/scratch.h"

#define KIB 1024u

/* ---- fixtures ---- */

struct place {
    char *dir;    /* scratch */
    char *layout; /* a fixture layout in it, of 700 KiB */
    char *target; /* where a test writes to; not there yet */
};

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));
    struct fixture *fixture;
    struct fixture_item image;

    place->dir = scratch_new();
    place->layout = mir_format("%s/layout", place->dir);
    place->target = mir_format("%s/april.tar", place->dir);
    fixture = fixture_new(place->layout);
    image = fixture_image(fixture, .layers = 3, .layer_bytes = 150000);
    fixture_name(fixture, "registry.example/z/last", &image);
    image = fixture_image(fixture, .seed = 1, .layers = 8, .layer_bytes = 30000);
    fixture_name(fixture, "registry.example/a/first", &image);
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

/* All volumes of base in a row; the caller frees. *count is how many there are. */
static char *join(const char *base, size_t *len, size_t *count)
{
    char *all = NULL;

    *len = 0;
    for (*count = 0;; (*count)++) {
        auto_free char *name = bundle_volume_name(base, *count + 1, "");
        auto_free char *bytes = NULL;
        size_t size;

        if (!scratch_exists(name))
            return all;
        bytes = scratch_read(name, &size);
        all = mir_realloc_array(all, *len + size + 1, 1);
        memcpy(all + *len, bytes, size);
        *len += size;
    }
}

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + BUNDLE_VOLUME_UNIT - 1) / BUNDLE_VOLUME_UNIT * BUNDLE_VOLUME_UNIT;
}

/* ---- the writer ---- */

static void volumes_in_a_row_are_the_whole(void **state)
{
    struct place *place = *state;
    auto_free char *whole_path = mir_format("%s/whole", place->dir);
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *whole = NULL;
    size_t whole_len;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, whole_path, BUNDLE_FORM_TAR, &err, 0), &err);
    whole = scratch_read(whole_path, &whole_len);
    /* Every cut from the smallest volume on, a block further each time: through headers, through
     * blobs, at their ends, and at the very end of the bundle. */
    for (unsigned size = BUNDLE_VOLUME_MIN; size < BUNDLE_VOLUME_MIN + 80 * 512; size += 512) {
        auto_free char *base = mir_format("%s/v%u", place->dir, size);
        auto_free char *joined = NULL;
        size_t len, count;

        must(bundler_copy(&bundler, base, BUNDLE_FORM_TAR, &err, .volume_bytes = size,
                          .threads = 1 + size % 3, .seed = size, .piece = 50000),
             &err);
        joined = join(base, &len, &count);
        assert_int_equal(count, (whole_len + size - 1) / size);
        assert_int_equal(len, whole_len);
        assert_memory_equal(joined, whole, len);
    }
}

static void volumes_are_all_of_one_size_but_the_last(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan;
    uint64_t bytes, size;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    bytes = bundle_plan_bytes(plan);
    bundle_plan_free(plan);
    size = round_up(bytes / 7 + 1);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, .volume_bytes = size), &err);
    for (size_t number = 1; number <= 7; number++) {
        auto_free char *name = bundle_volume_name(place->target, number, "");

        assert_int_equal(scratch_size(name), number < 7 ? size : bytes - 6 * size);
    }
    assert_int_equal(scratch_count(place->dir), 8); /* the layout and seven volumes */
}

static void volumes_of_the_size_of_the_bundle_are_one(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan;
    auto_bundler bundler;
    auto_free char *first = bundle_volume_name(place->target, 1, "");
    uint64_t bytes;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    bytes = bundle_plan_bytes(plan);
    bundle_plan_free(plan);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, .volume_bytes = bytes), &err);
    assert_int_equal(scratch_size(first), bytes);
    assert_int_equal(scratch_count(place->dir), 2);
}

static void commit_replaces_a_longer_set(void **state)
{
    struct place *place = *state;
    auto_free char *stale = mir_format("%s.012", place->target);
    auto_free char *other = mir_format("%s.012.txt", place->target);
    auto_free char *joined = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    auto_bundler bundler;
    size_t len, count;

    bundler_init(&bundler, place->layout);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err,
                      .volume_bytes = BUNDLE_VOLUME_MIN),
         &err);
    scratch_write(stale, mir_span_of("of an older, longer set, with a gap"));
    scratch_write(other, mir_span_of("somebody's"));
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, .volume_bytes = 256u * KIB),
         &err);
    joined = join(place->target, &len, &count);
    assert_int_equal(count, 3);
    assert_false(scratch_exists(stale));
    assert_true(scratch_exists(other));
    assert_int_equal(scratch_count(place->dir), 1 + 3 + 1);
}

static void abort_leaves_what_stood_there(void **state)
{
    struct place *place = *state;
    auto_free char *first = bundle_volume_name(place->target, 1, "");
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    scratch_write(first, mir_span_of("old"));
    must(
        bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, BUNDLE_VOLUME_MIN, &writer, &err),
        &err);
    bundle_writer_abort(writer);
    assert_int_equal(scratch_count(place->dir), 2);
    assert_int_equal(scratch_size(first), 3);
    bundle_plan_free(plan);
}

static void drop_makes_a_shorter_set(void **state)
{
    struct place *place = *state;
    auto_free char *whole = mir_format("%s/whole", place->dir);
    const char *const targets[] = {whole, place->target};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan;
    auto_bundler bundler;
    auto_free char *bytes = NULL, *joined = NULL;
    size_t len, joined_len, count;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    for (size_t t = 0; t < 2; t++) {
        auto_free bool *keep = mir_alloc_array(bundler.blob_count, sizeof(*keep));
        const bool none[2] = {false, false};
        struct bundle_writer *writer = NULL;

        must(bundle_writer_begin(targets[t], BUNDLE_FORM_TAR, plan, t ? BUNDLE_VOLUME_MIN : 0,
                                 &writer, &err),
             &err);
        for (size_t i = 0; i < bundler.blob_count; i++) {
            keep[i] = i % 3 == 0;
            if (keep[i])
                must(bundler_bring(&bundler, writer, i, 65536, &err), &err);
        }
        must(bundle_writer_drop(writer, none, keep, &err), &err);
        must(bundle_writer_commit(writer, &err), &err);
    }
    bundle_plan_free(plan);
    bytes = scratch_read(whole, &len);
    joined = join(place->target, &joined_len, &count);
    assert_int_equal(joined_len, len);
    assert_memory_equal(joined, bytes, len);
    assert_int_equal(count, (len + BUNDLE_VOLUME_MIN - 1) / BUNDLE_VOLUME_MIN);
    assert_int_equal(scratch_count(place->dir), 2 + count);
}

static void begin_refuses_what_a_reader_could_not_tell_apart(void **state)
{
    struct place *place = *state;
    auto_free char *first = bundle_volume_name(place->target, 1, "");
    auto_free char *second = bundle_volume_name(place->target, 2, "");
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    scratch_write(first, mir_span_of("a volume"));
    assert_false(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err));
    assert_int_equal(err.code, MIR_E_CONFLICT);
    assert_non_null(strstr(err.text, "april.tar.001 is there"));
    assert_true(err.hint[0] != '\0');
    (void)unlink(first);
    mir_error_clear(&err);
    scratch_write(place->target, mir_span_of("a file"));
    assert_false(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, BUNDLE_VOLUME_MIN,
                                     &writer, &err));
    assert_int_equal(err.code, MIR_E_CONFLICT);
    assert_non_null(strstr(err.text, "april.tar is there"));
    mir_error_clear(&err);
    scratch_write(second, mir_span_of("a volume"));
    assert_false(bundle_writer_begin(first, BUNDLE_FORM_TAR, plan, 0, &writer, &err));
    assert_int_equal(err.code, MIR_E_CONFLICT);
    assert_non_null(strstr(err.text, "april.tar.002 is there"));
    (void)unlink(second);
    assert_int_equal(scratch_count(place->dir), 2);
    bundle_plan_free(plan);
}

static void begin_refuses_sizes_that_make_no_volumes(void **state)
{
    struct place *place = *state;
    static const struct {
        const char *label;
        uint64_t bytes;
        enum bundle_form form;
    } rows[] = {
        {"odd", BUNDLE_VOLUME_MIN + 1, BUNDLE_FORM_TAR},
        {"too small", BUNDLE_VOLUME_MIN - 512, BUNDLE_FORM_TAR},
        {"too large", UINT64_MAX - 511, BUNDLE_FORM_TAR},
        {"a directory", BUNDLE_VOLUME_MIN, BUNDLE_FORM_DIR},
    };
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *writer = NULL;

        if (bundle_writer_begin(place->target, rows[i].form, plan, rows[i].bytes, &writer, &err))
            fail_msg("%s: was taken", rows[i].label);
        assert_int_equal(err.code, MIR_E_USAGE);
    }
    assert_int_equal(scratch_count(place->dir), 1);
    bundle_plan_free(plan);
}

/* ---- the set itself ---- */

static struct bundle_volumes *new_set(const char *base, const char *suffix, uint64_t bytes)
{
    struct bundle_volumes *set = bundle_volumes_new(base, suffix, BUNDLE_VOLUME_MIN, bytes);
    struct mir_error err = MIR_ERROR_INIT;

    must(bundle_volumes_lock(set, &err) && bundle_volumes_create(set, &err) &&
             bundle_volumes_claim(set, &err),
         &err);
    return set;
}

static void ranges_are_copied_between_sets(void **state)
{
    struct place *place = *state;
    auto_free char *other = mir_format("%s/other", place->dir);
    struct bundle_volumes *from = new_set(place->target, ".partial.old", 400000);
    struct bundle_volumes *to = new_set(other, ".partial", 300000);
    struct mir_error err = MIR_ERROR_INIT;
    char bytes[200000], got[200000];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 251);
    must(bundle_volumes_pwrite(from, mir_span(bytes, sizeof(bytes)), 60001, &err), &err);
    must(bundle_volumes_copy(from, 60001, to, 99999, sizeof(bytes), &err), &err);
    must(bundle_volumes_pread(to, got, sizeof(got), 99999, &err), &err);
    assert_memory_equal(got, bytes, sizeof(got));
    bundle_volumes_punch(from, 60001, sizeof(bytes));
    must(bundle_volumes_pread(from, got, 1, 60000, &err), &err);
    assert_int_equal(got[0], 0);
    bundle_volumes_remove(from);
    bundle_volumes_remove(to);
    bundle_volumes_free(from);
    bundle_volumes_free(to);
    assert_int_equal(scratch_count(place->dir), 1);
}

static void a_rename_that_was_interrupted_is_finished(void **state)
{
    struct place *place = *state;
    /* Killed after so many of the steps: unlink the old first, 2, 3, 4, and 1. */
    for (size_t done = 0; done <= 5; done++) {
        struct bundle_volumes *set = new_set(place->target, ".partial", 200000);
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *old = bundle_volume_name(place->target, 1, "");
        auto_free char *stale = bundle_volume_name(place->target, 5, "");
        size_t len, count;
        char *joined;

        must(bundle_volumes_pwrite(set, mir_span_of("new"), 0, &err), &err);
        bundle_volumes_free(set);
        scratch_write(stale, mir_span_of("stale"));
        if (done == 0)
            scratch_write(old, mir_span_of("old"));
        for (size_t number = 2; number <= done; number++) {
            size_t which = number <= 4 ? number : 1;
            auto_free char *from = bundle_volume_name(place->target, which, ".partial");
            auto_free char *to = bundle_volume_name(place->target, which, "");

            assert_int_equal(rename(from, to), 0);
        }
        set = bundle_volumes_new(place->target, ".partial", BUNDLE_VOLUME_MIN, 200000);
        must(bundle_volumes_rename(set, "", &err), &err);
        bundle_volumes_free(set);
        joined = join(place->target, &len, &count);
        assert_int_equal(count, 4);
        assert_int_equal(len, 200000);
        assert_memory_equal(joined, "new", 3);
        free(joined);
        assert_int_equal(scratch_count(place->dir), 5);
        bundle_volumes_remove_above(place->target, "", 0);
    }
}

static void a_set_is_opened_again_as_it_is(void **state)
{
    struct place *place = *state;
    struct bundle_volumes *set = new_set(place->target, ".partial", 200000), *again, *third;
    struct mir_error err = MIR_ERROR_INIT;
    char got[3];

    must(bundle_volumes_pwrite(set, mir_span_of("abc"), BUNDLE_VOLUME_MIN - 1, &err), &err);
    again = bundle_volumes_new(place->target, ".partial", BUNDLE_VOLUME_MIN, 200000);
    assert_false(bundle_volumes_lock(again, &err));
    assert_int_equal(err.code, MIR_E_CONFLICT);
    mir_error_clear(&err);
    bundle_volumes_free(set);
    must(bundle_volumes_lock(again, &err) && bundle_volumes_open_all(again, &err) &&
             bundle_volumes_claim(again, &err),
         &err);
    must(bundle_volumes_pread(again, got, 3, BUNDLE_VOLUME_MIN - 1, &err), &err);
    assert_memory_equal(got, "abc", 3);
    third = bundle_volumes_new(place->target, ".partial", BUNDLE_VOLUME_MIN, 300000);
    assert_false(bundle_volumes_open_all(third, &err)); /* a fifth is not there */
    assert_int_equal(err.code, MIR_E_NOT_FOUND);
    bundle_volumes_free(third);
    bundle_volumes_free(again);
}

/* ---- the reader ---- */

static void note_problem(void *ctx, const char *text)
{
    (void)snprintf(ctx, 2048, "%s", text);
}

#define SIZE (96u * KIB) /* of each volume in these tests */

struct set {
    struct place *place;
    size_t count;
    uint64_t bytes;
    struct bundle_reader *whole; /* the same bundle in one file */
};

static void write_set(struct set *set, struct place *place)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *whole = mir_format("%s/whole", place->dir);
    struct bundle_plan *plan;
    auto_bundler bundler;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    set->place = place;
    set->bytes = bundle_plan_bytes(plan);
    set->count = (size_t)bundle_volumes_needed(set->bytes, SIZE);
    bundle_plan_free(plan);
    must(bundler_copy(&bundler, place->target, BUNDLE_FORM_TAR, &err, .volume_bytes = SIZE), &err);
    must(bundler_copy(&bundler, whole, BUNDLE_FORM_TAR, &err, 0), &err);
    must(bundle_reader_open(whole, BUNDLE_FORM_TAR, &set->whole, &err), &err);
}

static void set_release(struct set *set)
{
    bundle_reader_close(set->whole);
}
#define auto_set __attribute__((cleanup(set_release))) struct set

static char *volume(const struct set *set, size_t number)
{
    return bundle_volume_name(set->place->target, number, "");
}

static void assert_opens(const char *path)
{
    struct bundle_verify_sink sink = {.problem = NULL};
    struct bundle_verify_totals totals;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader;

    must(bundle_reader_open(path, BUNDLE_FORM_TAR, &reader, &err), &err);
    must(bundle_verify(reader, 2, &sink, &totals, &err), &err);
    assert_int_equal(totals.problems, 0);
    assert_int_equal(totals.images, 2);
    bundle_reader_close(reader);
}

/* Opening fails with these words, in which "%" followed by three digits is a volume's name. */
static void assert_refused(const struct set *set, const char *label, enum mir_code code,
                           const char *words)
{
    auto_buf expected;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader;

    mir_buf_init(&expected, 4096);
    for (const char *c = words; *c; c++)
        if (*c == '%')
            mir_buf_printf(&expected, "%s.", set->place->target);
        else
            mir_buf_char(&expected, *c);
    if (bundle_reader_open(set->place->target, BUNDLE_FORM_TAR, &reader, &err))
        fail_msg("%s: was taken", label);
    if (err.code != code || !strstr(err.text, expected.ptr))
        fail_msg("%s: code %d, \"%s\", not \"%s\"", label, err.code, err.text, expected.ptr);
}

static void swap_files(const char *a, const char *b)
{
    auto_free char *between = mir_format("%s.between", a);

    assert_int_equal(rename(a, between), 0);
    assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(between, b), 0);
}

static void a_set_is_read_as_the_whole(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader;
    auto_free char *first = NULL;
    auto_bundler bundler;

    write_set(&set, place);
    bundler_init(&bundler, place->layout);
    must(bundle_reader_open(place->target, BUNDLE_FORM_TAR, &reader, &err), &err);
    for (size_t i = 0; i < bundler.blob_count; i++) {
        const struct bundle_blob *blob = bundle_reader_find(reader, &bundler.blobs[i].digest);
        auto_free char *bytes = NULL;
        size_t len;

        assert_non_null(blob);
        must(bundle_reader_load(reader, &blob->digest, 1u << 20, &bytes, &len, &err), &err);
        assert_int_equal(len, bundler.blobs[i].size);
    }
    bundle_reader_close(reader);
    assert_opens(place->target);
    first = volume(&set, 1);
    assert_opens(first);
}

static void a_file_goes_before_volumes_of_its_name(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *second = NULL;
    auto_free char *whole = mir_format("%s/whole", place->dir);

    write_set(&set, place);
    second = volume(&set, 2);
    scratch_write(second, mir_span_of("not looked at"));
    assert_int_equal(rename(whole, place->target), 0);
    assert_opens(place->target);
}

static void a_volume_named_alone_leads_to_the_set(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *whole = mir_format("%s/whole", place->dir);
    auto_free char *alone = mir_format("%s/bundle.002", place->dir);

    write_set(&set, place);
    for (size_t number = 2; number <= set.count; number++) {
        auto_free char *name = volume(&set, number);
        auto_free char *words = mir_format("%s is one volume of %s", name, place->target);
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_reader *reader;

        assert_false(bundle_reader_open(name, BUNDLE_FORM_TAR, &reader, &err));
        assert_string_equal(err.text, words);
        assert_non_null(strstr(err.hint, place->target));
    }
    /* A number at the end of a bundle's own name is fine. */
    assert_int_equal(rename(whole, alone), 0);
    assert_opens(alone);
}

static void a_part_of_a_blob_is_handed_out_when_it_lies_in_one_volume(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader;
    auto_bundler bundler;
    size_t in_one = 0, in_more = 0;

    write_set(&set, place);
    bundler_init(&bundler, place->layout);
    must(bundle_reader_open(place->target, BUNDLE_FORM_TAR, &reader, &err), &err);
    for (size_t i = 0; i < bundler.blob_count; i++) {
        const struct bundle_blob *blob = &bundler.blobs[i];

        for (uint64_t at = 0; at + 512 <= blob->size; at += 512) {
            char expected[512], got[512];
            auto_close int fd = -1;
            uint64_t offset;

            must(bundle_reader_read(set.whole, blob, at, expected, 512, &err), &err);
            must(bundle_reader_open_range(reader, blob, at, 512, &fd, &offset, &err), &err);
            if (fd >= 0)
                assert_int_equal(pread(fd, got, 512, (off_t)offset), 512);
            else
                must(bundle_reader_read(reader, blob, at, got, 512, &err), &err);
            assert_memory_equal(got, expected, 512);
            in_one += fd >= 0;
        }
        if (blob->size > SIZE) {
            int fd = 7;
            uint64_t offset;

            must(bundle_reader_open_range(reader, blob, 0, blob->size, &fd, &offset, &err), &err);
            assert_int_equal(fd, -1);
            in_more++;
        }
    }
    assert_true(in_one > 100 && in_more == 3);
    bundle_reader_close(reader);
}

static void a_missing_volume_is_named(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *away = mir_format("%s/away", place->dir);

    write_set(&set, place);
    assert_true(set.count > 6 && set.count < 10);
    for (size_t number = 1; number <= set.count; number++) {
        auto_free char *name = volume(&set, number);
        auto_free char *words = mir_format("%%%03zu is missing", number);

        assert_int_equal(rename(name, away), 0);
        assert_refused(&set, name, MIR_E_NOT_FOUND, words);
        assert_int_equal(rename(away, name), 0);
    }
    assert_opens(place->target);
    /* All but the first: no size to compare with. */
    for (size_t number = 2; number <= set.count; number++) {
        auto_free char *name = volume(&set, number);

        assert_int_equal(unlink(name), 0);
    }
    assert_refused(&set, "only one", MIR_E_FORMAT, "%002 is missing, or %001 was cut short");
}

static void what_was_not_finished_is_said_to_be(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *first = NULL, *partial = NULL;
    auto_free char *one = mir_format("%s/one", place->dir);
    auto_free char *one_partial = mir_format("%s/one.partial", place->dir);
    const char *const paths[] = {place->target, one};

    /* Stopped between the renames of the second and the first; and one file that never came. */
    write_set(&set, place);
    first = volume(&set, 1);
    partial = mir_format("%s.partial", first);
    assert_int_equal(rename(first, partial), 0);
    scratch_write(one_partial, mir_span_of("begun"));
    for (size_t i = 0; i < 2; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_reader *reader;

        assert_false(bundle_reader_open(paths[i], BUNDLE_FORM_TAR, &reader, &err));
        assert_int_equal(err.code, MIR_E_NOT_FOUND);
        assert_non_null(strstr(err.hint, "run it again"));
    }
}

static void a_missing_end_is_named_wherever_volumes_are_cut(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    auto_bundler bundler;
    struct bundle_plan *plan;
    uint64_t bytes;

    bundler_init(&bundler, place->layout);
    plan = bundler_plan(&bundler, 0);
    bytes = bundle_plan_bytes(plan);
    bundle_plan_free(plan);
    /* The last volume holds 512, 1024, 1536, ... bytes: half of the final zeros, all of them, ...
     */
    for (uint64_t rest = 512; rest <= 4096; rest += 512) {
        struct set set = {.place = place};
        auto_free char *words = NULL, *last = NULL;
        uint64_t size = (bytes - rest) / 5;
        auto_free char *base = mir_format("%s/cut%u", place->dir, (unsigned)rest);
        struct place there = {.target = base};

        size -= size % 512;
        must(bundler_copy(&bundler, base, BUNDLE_FORM_TAR, &err, .volume_bytes = size), &err);
        set.place = &there;
        set.count = (size_t)bundle_volumes_needed(bytes, size);
        last = volume(&set, set.count);
        assert_int_equal(unlink(last), 0);
        words = mir_format("%%%03zu is missing", set.count);
        assert_refused(&set, base, MIR_E_NOT_FOUND, words);
    }
}

static void volumes_of_an_odd_size_are_named(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};

    write_set(&set, place);
    for (size_t number = 1; number < set.count; number++) {
        auto_free char *name = volume(&set, number);
        auto_free char *words =
            mir_format("%%%03zu has %u bytes, and not the %u", number, SIZE - 512, SIZE);
        size_t len;
        auto_free char *bytes = scratch_read(name, &len);

        assert_int_equal(truncate(name, SIZE - 512), 0);
        assert_refused(&set, name, MIR_E_FORMAT, words);
        assert_int_equal(truncate(name, 0), 0);
        assert_refused(&set, name, MIR_E_FORMAT, "is empty");
        scratch_write(name, mir_span(bytes, len));
    }
    assert_opens(place->target);
}

static void a_last_volume_that_was_cut_is_named_with_its_size(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *last = NULL, *before = NULL, *words = NULL, *full = NULL;
    uint64_t size;

    write_set(&set, place);
    last = volume(&set, set.count);
    before = volume(&set, set.count - 1);
    size = scratch_size(last);
    words = mir_format("%%%03zu is cut short: it has %u bytes and should have at least %u",
                       set.count, (unsigned)size - 512, (unsigned)size);
    assert_int_equal(truncate(last, (off_t)size - 512), 0);
    assert_refused(&set, "end", MIR_E_FORMAT, words);
    assert_int_equal(truncate(last, 1), 0);
    assert_refused(&set, "one byte", MIR_E_FORMAT, "is cut short: it has 1 bytes and should");
    assert_int_equal(truncate(last, SIZE + 1), 0);
    assert_refused(&set, "too large", MIR_E_FORMAT, "more than the 98304 of the volumes before it");
    /* Without the last, the one before it is the last, and should be full. */
    assert_int_equal(unlink(last), 0);
    assert_int_equal(truncate(before, 1000), 0);
    full = mir_format("%%%03zu is cut short: it has 1000 bytes and should have", set.count - 1);
    assert_refused(&set, "the one before", MIR_E_FORMAT, full);
}

static void swapped_volumes_are_named(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    size_t told = 0;

    write_set(&set, place);
    for (size_t a = 1; a <= set.count; a++) {
        for (size_t b = a + 1; b <= set.count; b++) {
            auto_free char *name_a = volume(&set, a), *name_b = volume(&set, b);
            auto_free char *words = mir_format("%%%03zu and %%%03zu are swapped", a, b);
            struct mir_error err = MIR_ERROR_INIT;
            struct bundle_reader *reader;

            swap_files(name_a, name_b);
            /* Two volumes in the middle of one blob show when the blob is hashed. */
            if (bundle_reader_open(place->target, BUNDLE_FORM_TAR, &reader, &err)) {
                bundle_reader_close(reader);
            } else {
                assert_refused(&set, words, MIR_E_FORMAT, words);
                told++;
            }
            swap_files(name_a, name_b);
        }
    }
    assert_true(told >= set.count * (set.count - 1) / 2 - 3);
    assert_opens(place->target);
}

static void a_volume_of_another_bundle_is_named(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *name = NULL, *next = NULL, *words = NULL, *padded = NULL;

    write_set(&set, place);
    next = volume(&set, set.count + 1);
    scratch_write(next, mir_span_of("of an older set"));
    words = mir_format("%%%03zu has %u bytes, and not the %u of the other volumes", set.count,
                       (unsigned)(set.bytes - (set.count - 1) * SIZE), SIZE);
    assert_refused(&set, "one more", MIR_E_FORMAT, words);
    /* When the last is full, its size tells nothing. */
    name = volume(&set, set.count);
    assert_int_equal(truncate(name, SIZE), 0);
    padded = mir_format("%%%03zu does not belong to this bundle, which ends in %%%03zu",
                        set.count + 1, set.count);
    assert_refused(&set, "one more behind a full one", MIR_E_FORMAT, padded);
    scratch_write(next, mir_span("\0\0\0\0", 4)); /* zeros at the end are harmless */
    assert_opens(place->target);
    assert_int_equal(unlink(next), 0);
}

static void a_volume_of_noise_is_named(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *noise = mir_alloc(SIZE);
    size_t told = 0;

    write_set(&set, place);
    memset(noise, 'x', SIZE);
    for (size_t number = 1; number < set.count; number++) {
        auto_free char *name = volume(&set, number);
        auto_free char *words = mir_format(
            "%%%03zu is damaged, belongs to another bundle, or is not volume %zu", number, number);
        size_t len;
        auto_free char *bytes = scratch_read(name, &len);
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_reader *reader;

        scratch_write(name, mir_span(noise, SIZE));
        /* One in the middle of a blob shows when the blob is hashed. */
        if (bundle_reader_open(place->target, BUNDLE_FORM_TAR, &reader, &err)) {
            bundle_reader_close(reader);
        } else {
            assert_refused(&set, name, MIR_E_FORMAT, words);
            told++;
        }
        scratch_write(name, mir_span(bytes, len));
    }
    assert_true(told + 4 >= set.count);
}

static void only_regular_files_are_volumes(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *second = NULL;
    auto_free char *elsewhere = mir_format("%s/elsewhere", place->dir);

    write_set(&set, place);
    second = volume(&set, 2);
    assert_int_equal(rename(second, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, second), 0);
    assert_opens(place->target); /* DVDs are gathered with links */
    assert_int_equal(unlink(second), 0);
    assert_int_equal(mkfifo(second, 0600), 0);
    assert_refused(&set, "fifo", MIR_E_FORMAT, "%002 is not a regular file");
    assert_int_equal(unlink(second), 0);
    assert_int_equal(mkdir(second, 0700), 0);
    assert_refused(&set, "directory", MIR_E_FORMAT, "%002 is a directory");
    assert_int_equal(rmdir(second), 0);
    assert_int_equal(symlink("nowhere", second), 0);
    assert_refused(&set, "dangling link", MIR_E_NOT_FOUND, "open %002");
}

static void sizes_that_no_file_has_are_refused(void **state)
{
    char dir[] = "/dev/shm/mirror-test-XXXXXX";
    struct place place = {.dir = mkdtemp(dir)};
    struct set set = {.place = &place};

    (void)state;
    if (!place.dir) {
        print_message("skipped: no tmpfs, which takes files of 4 EiB\n");
        skip();
    }
    place.target = mir_format("%s/april.tar", dir);
    for (size_t number = 1; number <= 3; number++) {
        auto_free char *name = volume(&set, number);

        scratch_write(name, mir_span_of("x"));
        if (truncate(name, INT64_MAX / 2) != 0) {
            print_message("skipped: no files of 4 EiB in %s\n", dir);
            skip();
        }
    }
    assert_refused(&set, "three halves", MIR_E_LIMIT, "%003: the volumes up to here are too large");
    free(place.target);
    scratch_remove(mir_strdup(dir));
}

static void verify_names_the_volumes_of_a_damaged_blob(void **state)
{
    struct place *place = *state;
    auto_set set = {.place = NULL};
    auto_free char *second = NULL, *bytes = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_verify_totals totals;
    struct bundle_reader *reader;
    char said[2048] = "", words[1024];
    const char *where;
    size_t first, last;
    struct bundle_verify_sink sink = {.problem = note_problem, .ctx = said};
    size_t len;

    write_set(&set, place);
    second = volume(&set, 2);
    bytes = scratch_read(second, &len);
    bytes[len / 2] ^= 1;
    scratch_write(second, mir_span(bytes, len));
    must(bundle_reader_open(place->target, BUNDLE_FORM_TAR, &reader, &err), &err);
    must(bundle_verify(reader, 1, &sink, &totals, &err), &err);
    assert_int_equal(totals.problems, 1);
    (void)snprintf(words, sizeof(words), ", in %s.", place->target);
    where = strstr(said, words);
    assert_non_null(where);
    first = (size_t)(where[strlen(words) + 2] - '0');
    where = strstr(where + strlen(words), place->target);
    last = where ? (size_t)(where[strlen(place->target) + 3] - '0') : first;
    assert_true(first <= 2 && last >= 2 && last - first <= 2);
    bundle_reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(volumes_in_a_row_are_the_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(volumes_are_all_of_one_size_but_the_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(volumes_of_the_size_of_the_bundle_are_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(commit_replaces_a_longer_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(abort_leaves_what_stood_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drop_makes_a_shorter_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(begin_refuses_what_a_reader_could_not_tell_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(begin_refuses_sizes_that_make_no_volumes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(ranges_are_copied_between_sets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rename_that_was_interrupted_is_finished, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_set_is_opened_again_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_set_is_read_as_the_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_goes_before_volumes_of_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_volume_named_alone_leads_to_the_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_part_of_a_blob_is_handed_out_when_it_lies_in_one_volume,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_volume_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_finished_is_said_to_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_end_is_named_wherever_volumes_are_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(volumes_of_an_odd_size_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_last_volume_that_was_cut_is_named_with_its_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(swapped_volumes_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_volume_of_noise_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_volume_of_another_bundle_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_regular_files_are_volumes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_that_no_file_has_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_names_the_volumes_of_a_damaged_blob, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("bundle/volumes", tests, NULL, NULL);
}
