/*
 * bundle/odd_ground: disks that are full, limited, slow of understanding or cannot do what others
 * do. The outcome is the same file, or an error that names the way out and loses nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/bundle.h"
#include "lib/bundler.h"
#include "lib/faults.h"
#include "lib/faults_here.h"
#include "lib/fixture.h"
#include "lib/must.h"
#include "lib/scratch.h"

#define KIB   1024u
#define PIECE (64 * KIB)

/* ---- fixtures ---- */

struct place {
    char *dir; /* scratch */
    char *layout;
    char *work;   /* where a test writes */
    char *target; /* in it; not there yet */
    char *wanted; /* an undisturbed bundle */
    struct bundler bundler;
    struct bundle_plan *plan;
    size_t largest; /* blob */
};

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));
    struct mir_error err = MIR_ERROR_INIT;
    struct fixture *fixture;
    struct fixture_item image;

    faults_clear();
    place->dir = scratch_new();
    place->layout = mir_format("%s/layout", place->dir);
    place->work = mir_format("%s/work", place->dir);
    place->target = mir_format("%s/x.tar", place->work);
    place->wanted = mir_format("%s/wanted", place->dir);
    assert_int_equal(mkdir(place->work, 0777), 0);
    fixture = fixture_new(place->layout);
    image = fixture_image(fixture, .layers = 3, .layer_bytes = 700 * KIB,
                          .packing = FIXTURE_PACKING_NONE);
    fixture_name(fixture, "registry.example/large", &image);
    image = fixture_image(fixture, .seed = 1, .layers = 12, .layer_bytes = 3000);
    fixture_name(fixture, "registry.example/small", &image);
    fixture_free(fixture);
    bundler_init(&place->bundler, place->layout);
    place->plan = bundler_plan(&place->bundler, 0);
    for (size_t i = 0; i < place->bundler.blob_count; i++)
        if (place->bundler.blobs[i].size > place->bundler.blobs[place->largest].size)
            place->largest = i;
    assert_true(bundler_copy(&place->bundler, place->wanted, BUNDLE_FORM_TAR, &err, 0));
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    faults_clear();
    (void)umount(place->work); /* of a test that failed; it is no mount otherwise */
    bundle_plan_free(place->plan);
    bundler_release(&place->bundler);
    scratch_remove(place->dir);
    free(place->layout);
    free(place->work);
    free(place->target);
    free(place->wanted);
    free(place);
    return 0;
}

/* Go on with what is there, unchecked, because on this ground it is right. */
static bool bring(const struct bundler *bundler, struct bundle_writer *writer, size_t blob,
                  struct mir_error *err)
{
    const struct bundle_blob *source = &bundler->blobs[blob];
    auto_free char *bytes = mir_alloc(PIECE);

    for (uint64_t at = bundle_writer_reached(writer, blob), len; at < source->size; at += len) {
        len = source->size - at < PIECE ? source->size - at : PIECE;
        if (!bundle_reader_read(bundler->reader, source, at, bytes, len, err) ||
            !bundle_writer_write(writer, blob, at, mir_span(bytes, len), err))
            return false;
    }
    return bundle_writer_finish(writer, blob, err);
}

static bool run(const struct place *place, enum bundle_form form, uint64_t volume_bytes,
                struct mir_error *err)
{
    struct bundle_writer *writer = NULL;

    if (!bundle_writer_begin(place->target, form, place->plan, volume_bytes, &writer, err))
        return false;
    for (size_t i = 0; i < place->bundler.blob_count; i++)
        if (!bundle_writer_has(writer, i) && !bring(&place->bundler, writer, i, err)) {
            bundle_writer_suspend(writer);
            return false;
        }
    return bundle_writer_commit(writer, err);
}

static void assert_as_wanted(const struct place *place)
{
    size_t len, wanted_len;
    auto_free char *bytes = scratch_read(place->target, &len);
    auto_free char *wanted = scratch_read(place->wanted, &wanted_len);

    assert_int_equal(len, wanted_len);
    assert_memory_equal(bytes, wanted, len);
    assert_int_equal(scratch_count(place->work), 1);
}

/* ---- writes that do not go through at once ---- */

static void odd_ground_short_and_interrupted_writes_are_completed(void **state)
{
    static const struct {
        size_t write_max, interrupt_every;
        int allocate_error;
    } rows[] = {
        {1000, 0, 0}, {0, 2, 0}, {777, 3, 0}, {512, 5, EOPNOTSUPP}, {0, 0, ENOSYS},
    };
    const struct place *place = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;

        faults_clear();
        faults.write_max = rows[i].write_max;
        faults.interrupt_every = rows[i].interrupt_every;
        faults.allocate_error = rows[i].allocate_error;
        must(run(place, BUNDLE_FORM_TAR, 0, &err), &err);
        faults_clear();
        assert_as_wanted(place);
        assert_int_equal(unlink(place->target), 0);
    }
}

static void odd_ground_each_byte_is_written_once(void **state)
{
    static const uint64_t volumes[] = {0, 500 * KIB};
    const struct place *place = *state;

    for (size_t i = 0; i < 2; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        uint64_t bytes = bundle_plan_bytes(place->plan);

        faults_clear();
        must(run(place, BUNDLE_FORM_TAR, volumes[i], &err), &err);
        assert_in_range(atomic_load(&faults.written), bytes / 2, bytes + bytes / 1000);
        (void)unlink(place->target);
    }
}

/* ---- no room ---- */

struct full_row {
    const char *label;
    enum bundle_form form;
    uint64_t volume_bytes;
    int error;
};

/* The disk fills up, or the quota does, although there was room at the beginning: others write too,
 * and some file systems cannot reserve. */
static void odd_ground_what_was_written_to_a_full_disk_is_gone_on_with(void **state)
{
    static const struct full_row rows[] = {
        {"disk", BUNDLE_FORM_TAR, 0, ENOSPC},
        {"quota", BUNDLE_FORM_TAR, 0, EDQUOT},
        {"volumes", BUNDLE_FORM_TAR, 500 * KIB, ENOSPC},
        {"directory", BUNDLE_FORM_DIR, 0, EDQUOT},
    };
    const struct place *place = *state;
    uint64_t bytes = bundle_plan_bytes(place->plan);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;

        scratch_remove(mir_strdup(place->work));
        assert_int_equal(mkdir(place->work, 0777), 0);
        faults_clear();
        faults.allocate_error = EOPNOTSUPP;
        faults.write_error = rows[i].error;
        atomic_store(&faults.write_budget, (long long)(bytes / 2));
        assert_false(run(place, rows[i].form, rows[i].volume_bytes, &err));
        if (err.code != MIR_E_SPACE || !strstr(err.text, place->target))
            fail_msg("%s: code %d, %s", rows[i].label, err.code, err.text);
        assert_false(scratch_exists(place->target) && rows[i].form == BUNDLE_FORM_TAR);
        mir_error_clear(&err);
        faults_clear();
        must(run(place, rows[i].form, rows[i].volume_bytes, &err), &err);
        if (atomic_load(&faults.written) > bytes - bytes / 3)
            fail_msg("%s: %llu bytes were written again", rows[i].label,
                     (unsigned long long)atomic_load(&faults.written));
        if (rows[i].form == BUNDLE_FORM_TAR && rows[i].volume_bytes == 0)
            assert_as_wanted(place);
    }
}

static void odd_ground_a_claim_that_fails_keeps_what_is_there(void **state)
{
    const struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    uint64_t size = place->bundler.blobs[place->largest].size;

    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, place->plan, 0, &writer, &err), &err);
    must(bring(&place->bundler, writer, place->largest, &err), &err);
    bundle_writer_suspend(writer);
    writer = NULL;
    for (size_t i = 0; i < 2; i++) {
        faults.allocate_error = i == 0 ? ENOSPC : EDQUOT;
        assert_false(
            bundle_writer_begin(place->target, BUNDLE_FORM_TAR, place->plan, 0, &writer, &err));
        assert_int_equal(err.code, MIR_E_SPACE);
        assert_true(err.hint[0] != '\0');
        if (i == 1)
            assert_non_null(strstr(err.text, "quota"));
        mir_error_clear(&err);
    }
    faults_clear();
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, place->plan, 0, &writer, &err), &err);
    assert_int_equal(bundle_writer_reached(writer, place->largest), size);
    bundle_writer_abort(writer);
    assert_int_equal(scratch_count(place->work), 0);
}

/* ---- a limit on the size of files ---- */

static void odd_ground_a_limit_on_files_names_volumes(void **state)
{
    static const int cannot_allocate[] = {0, EOPNOTSUPP};
    const struct place *place = *state;

    for (size_t i = 0; i < 2; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *first = mir_format("%s.001", place->target);

        faults_clear();
        faults.size_max = 1000 * KIB;
        faults.allocate_error = cannot_allocate[i];
        assert_false(run(place, BUNDLE_FORM_TAR, 0, &err));
        assert_int_equal(err.code, MIR_E_SPACE);
        assert_non_null(strstr(err.text, "takes no file of"));
        assert_non_null(strstr(err.hint, "--volume-size"));
        assert_int_equal(scratch_count(place->work), 0);
        mir_error_clear(&err);
        must(run(place, BUNDLE_FORM_TAR, 1000 * KIB, &err), &err);
        assert_true(scratch_exists(first));
        scratch_remove(mir_strdup(place->work));
        assert_int_equal(mkdir(place->work, 0777), 0);
    }
}

/* ---- nothing may be written ---- */

static void odd_ground_a_read_only_file_system_is_named(void **state)
{
    static const enum bundle_form forms[] = {BUNDLE_FORM_TAR, BUNDLE_FORM_DIR};
    const struct place *place = *state;

    if (mount("tmpfs", place->work, "tmpfs", MS_RDONLY, NULL) != 0) {
        print_message("skipped: cannot mount a tmpfs here: %s\n", strerror(errno));
        skip();
    }
    for (size_t i = 0; i < 2; i++) {
        struct mir_error err = MIR_ERROR_INIT;

        assert_false(run(place, forms[i], 0, &err));
        assert_int_equal(err.code, MIR_E_IO);
        assert_int_equal(err.sys, EROFS);
        assert_non_null(strstr(err.text, place->target));
    }
    assert_int_equal(umount(place->work), 0);
}

static void odd_ground_a_journal_that_cannot_be_written_fails_the_copy(void **state)
{
    const struct place *place = *state;
    auto_free char *journal = mir_format("%s.journal", place->target);
    struct mir_error err = MIR_ERROR_INIT;

    assert_int_equal(mkdir(journal, 0777), 0);
    assert_false(run(place, BUNDLE_FORM_TAR, 0, &err));
    assert_int_equal(err.code, MIR_E_CONFLICT);
    assert_non_null(strstr(err.text, journal));
    assert_int_equal(scratch_count(place->work), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(odd_ground_short_and_interrupted_writes_are_completed),
    TEST(odd_ground_each_byte_is_written_once),
    TEST(odd_ground_what_was_written_to_a_full_disk_is_gone_on_with),
    TEST(odd_ground_a_claim_that_fails_keeps_what_is_there),
    TEST(odd_ground_a_limit_on_files_names_volumes),
    TEST(odd_ground_a_read_only_file_system_is_named),
    TEST(odd_ground_a_journal_that_cannot_be_written_fails_the_copy),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/odd_ground", tests, NULL, NULL);
}
