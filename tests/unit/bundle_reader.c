/*
 * bundle/reader: finding and reading what is in bundles of our own and of other tools.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/bundle.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/scratch.h"
#include "lib/tarmaker.h"

#define NO_DIGEST "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static const enum bundle_form forms[] = {BUNDLE_FORM_TAR, BUNDLE_FORM_DIR};

struct place {
    char *dir;
    char *paths[2]; /* the same images, by form */
    struct fixture_item image;
};

/* A text whose last '*' is the digest of the image; the caller frees. */
static char *with_digest(const char *text, const struct place *place)
{
    size_t len = strlen(text);

    if (len == 0 || text[len - 1] != '*')
        return mir_strdup(text);
    return mir_format("%.*s%s", (int)len - 1, text, place->image.digest.text);
}

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));
    auto_free char *name = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    struct fixture *fixture;
    auto_bundler bundler;

    place->dir = scratch_new();
    place->paths[0] = mir_format("%s/x.tar", place->dir);
    place->paths[1] = mir_format("%s/layout", place->dir);
    fixture = fixture_new(place->paths[1]);
    place->image = fixture_image(fixture, .layers = 2);
    fixture_name(fixture, "r.example/a:1@sha256:" /* not a reference, and no matter */,
                 &place->image);
    fixture_name(fixture, "r.example/b:1@one", &place->image);
    fixture_name(fixture, "r.example/b:1@two", &place->image);
    fixture_name(fixture, "r.example/b", &place->image);
    fixture_name(fixture, NULL, &place->image);
    name = with_digest("r.example/c/d:7@*", place);
    fixture_name(fixture, name, &place->image);
    fixture_free(fixture);
    bundler_init(&bundler, place->paths[1]);
    if (!bundler_copy(&bundler, place->paths[0], BUNDLE_FORM_TAR, &err, 0))
        scratch_die("%s", err.text);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    scratch_remove(place->dir);
    free(place->paths[0]);
    free(place->paths[1]);
    free(place);
    return 0;
}

static struct bundle_reader *must_open(const char *path, enum bundle_form form)
{
    struct bundle_reader *reader = NULL;
    struct mir_error err = MIR_ERROR_INIT;

    if (!bundle_reader_open(path, form, &reader, &err))
        fail_msg("%s", err.text);
    return reader;
}

/* ---- names ---- */

static void reader_selects_images(void **state)
{
    static const struct {
        const char *ref;
        enum mir_code code;
        const char *name; /* when found */
    } rows[] = {
        {"r.example/b", MIR_OK, "r.example/b"},
        {"r.example/a:1", MIR_OK, "r.example/a:1@sha256:"},
        {"r.example/b:1@two", MIR_OK, "r.example/b:1@two"},
        {"@0", MIR_OK, "r.example/a:1@sha256:"},
        {"@3", MIR_OK, "r.example/b:1@two"},
        {"@5", MIR_OK, NULL},
        {"r.example/b:1", MIR_E_CONFLICT, NULL},
        {"r.example/c/d:7", MIR_OK, "r.example/c/d:7@*"},
        {"r.example/c/d", MIR_OK, "r.example/c/d:7@*"},
        {"r.example/c/d@*", MIR_OK, "r.example/c/d:7@*"},
        {"r.example/c/d:8", MIR_E_NOT_FOUND, NULL},
        {"r.example/c/d:7@" NO_DIGEST, MIR_E_NOT_FOUND, NULL},
        {"r.example/c/d@" NO_DIGEST, MIR_E_NOT_FOUND, NULL},
        {"other.example/c/d", MIR_E_NOT_FOUND, NULL},
        {"r.example/c", MIR_E_NOT_FOUND, NULL},
        {"r.example/", MIR_E_NOT_FOUND, NULL},
        {"", MIR_E_NOT_FOUND, NULL},
        {"@6", MIR_E_NOT_FOUND, NULL},
        {"@", MIR_E_USAGE, NULL},
        {"@-1", MIR_E_USAGE, NULL},
        {"@99999999999999999999", MIR_E_USAGE, NULL},
    };
    struct place *place = *state;
    struct bundle_reader *reader = must_open(place->paths[0], BUNDLE_FORM_TAR);

    assert_int_equal(bundle_reader_image_count(reader), 6);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct bundle_image *image = NULL;
        struct mir_error err = MIR_ERROR_INIT;

        auto_free char *ref = with_digest(rows[i].ref, place);
        auto_free char *name = rows[i].name ? with_digest(rows[i].name, place) : NULL;
        bool found = bundle_reader_select(reader, ref, &image, &err);

        if (err.code != rows[i].code || found != (err.code == MIR_OK) || found != (image != NULL))
            fail_msg("%s: code %d, %s", rows[i].ref, err.code, err.text);
        if (image && name)
            assert_string_equal(image->name, name);
        if (image && !name)
            assert_null(image->name);
        if (err.code == MIR_E_NOT_FOUND && rows[i].ref[0] == 'r')
            assert_non_null(strstr(err.hint, "r.example/a:1"));
    }
    bundle_reader_close(reader);
}

/* ---- bytes ---- */

static void reader_reads_within_a_blob_and_not_beyond(void **state)
{
    struct place *place = *state;

    for (size_t i = 0; i < 2; i++) {
        struct bundle_reader *reader = must_open(place->paths[i], forms[i]);
        const struct bundle_blob *blob = bundle_reader_find(reader, &place->image.digest);
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *whole = NULL;
        char part[10];
        size_t len;

        assert_non_null(blob);
        assert_int_equal(blob->size, place->image.size);
        assert_true(bundle_reader_load(reader, &blob->digest, 4096, &whole, &len, &err));
        assert_int_equal(len, blob->size);
        assert_true(bundle_reader_read(reader, blob, 5, part, sizeof(part), &err));
        assert_memory_equal(part, whole + 5, sizeof(part));
        assert_true(bundle_reader_read(reader, blob, blob->size, part, 0, &err));
        assert_false(bundle_reader_read(reader, blob, blob->size - 9, part, 10, &err));
        mir_error_clear(&err);
        assert_false(bundle_reader_read(reader, blob, UINT64_MAX, part, 10, &err));
        bundle_reader_close(reader);
    }
}

static void reader_hands_out_a_file_and_an_offset(void **state)
{
    struct place *place = *state;

    for (size_t i = 0; i < 2; i++) {
        struct bundle_reader *reader = must_open(place->paths[i], forms[i]);
        const struct bundle_blob *blob = bundle_reader_find(reader, &place->image.digest);
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *whole = NULL, *again = NULL;
        auto_close int fd = -1;
        uint64_t offset = 1;
        size_t len;

        assert_true(bundle_reader_load(reader, &blob->digest, 4096, &whole, &len, &err));
        assert_true(bundle_reader_open_range(reader, blob, 7, 100, &fd, &offset, &err));
        assert_false(bundle_reader_open_range(reader, blob, 0, len + 1, &fd, &offset, &err));
        bundle_reader_close(reader); /* the descriptor lives on */
        mir_error_clear(&err);
        again = mir_alloc(100);
        assert_true(mir_pread_full(fd, again, 100, offset, &err));
        assert_memory_equal(whole + 7, again, 100);
    }
}

static void reader_names_the_blob_it_lacks(void **state)
{
    struct place *place = *state;
    struct bundle_blob blob = {.size = 1};

    img_digest_of(MIR_HASH_SHA256, mir_span_of("not there"), &blob.digest);
    for (size_t i = 0; i < 2; i++) {
        struct bundle_reader *reader = must_open(place->paths[i], forms[i]);
        struct mir_error err = MIR_ERROR_INIT;
        char *bytes = NULL;
        uint64_t offset;
        size_t len;
        int fd;

        assert_null(bundle_reader_find(reader, &blob.digest));
        assert_false(bundle_reader_load(reader, &blob.digest, 100, &bytes, &len, &err));
        assert_int_equal(err.code, MIR_E_NOT_FOUND);
        assert_non_null(strstr(err.text, blob.digest.text));
        assert_non_null(strstr(err.text, place->paths[i]));
        mir_error_clear(&err);
        assert_false(bundle_reader_read(reader, &blob, 0, &len, 1, &err));
        mir_error_clear(&err);
        assert_false(bundle_reader_open_range(reader, &blob, 0, 1, &fd, &offset, &err));
        bundle_reader_close(reader);
    }
}

static void reader_loads_only_what_has_its_digest(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader;
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    auto_free char *name = NULL;
    auto_tarmaker maker;
    char *bytes = NULL;
    size_t len;

    name = mir_format("blobs/sha256/%s", img_digest_hex(&place->image.digest));
    tarmaker_init(&maker);
    tarmaker_layout(&maker);
    tarmaker_file(&maker, name, "something else");
    tarmaker_end(&maker);
    tarmaker_write(&maker, path);
    reader = must_open(path, BUNDLE_FORM_TAR);
    assert_false(bundle_reader_load(reader, &place->image.digest, 4096, &bytes, &len, &err));
    assert_int_equal(err.code, MIR_E_DIGEST);
    mir_error_clear(&err);
    assert_false(bundle_reader_load(reader, &place->image.digest, 13, &bytes, &len, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    bundle_reader_close(reader);
}

/* ---- many threads ---- */

struct load {
    const struct bundle_reader *reader;
    const struct img_digest *digest;
    size_t loaded;
};

static void *load_often(void *ctx)
{
    struct load *load = ctx;

    for (int i = 0; i < 200; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *bytes = NULL;
        size_t len;

        if (bundle_reader_load(load->reader, load->digest, 4096, &bytes, &len, &err))
            load->loaded++;
    }
    return NULL;
}

static void reader_serves_many_threads(void **state)
{
    struct place *place = *state;

    for (size_t i = 0; i < 2; i++) {
        struct bundle_reader *reader = must_open(place->paths[i], forms[i]);
        struct load loads[4];
        pthread_t threads[4];

        for (size_t t = 0; t < 4; t++) {
            loads[t] = (struct load){.reader = reader, .digest = &place->image.digest};
            assert_int_equal(pthread_create(&threads[t], NULL, load_often, &loads[t]), 0);
        }
        for (size_t t = 0; t < 4; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
            assert_int_equal(loads[t].loaded, 200);
        }
        bundle_reader_close(reader);
    }
}

/* ---- other tools' archives ---- */

static void run(const char *command)
{
    /* The command is the test's own, of scratch paths. */
    if (system(command) != 0) // NOLINT(cert-env33-c)
        fail_msg("%s", command);
}

static void reader_reads_what_tar_makes_of_a_layout(void **state)
{
    static const char *const formats[] = {"gnu", "ustar", "posix", "oldgnu", "v7"};
    struct place *place = *state;

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        auto_free char *path = mir_format("%s/%s.tar", place->dir, formats[i]);
        auto_free char *command =
            mir_format("tar --format=%s -C %s -cf %s .", formats[i], place->paths[1], path);
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_reader *reader;
        auto_free char *bytes = NULL;
        size_t len;

        run(command);
        reader = must_open(path, BUNDLE_FORM_TAR);
        assert_int_equal(bundle_reader_image_count(reader), 6);
        if (!bundle_reader_load(reader, &place->image.digest, 4096, &bytes, &len, &err))
            fail_msg("%s: %s", formats[i], err.text);
        bundle_reader_close(reader);
    }
}

static unsigned long long bytes_read(void)
{
    auto_free char *io = scratch_read("/proc/self/io", NULL);
    unsigned long long count;

    assert_int_equal(sscanf(strstr(io, "rchar:"), "rchar: %llu", &count), 1);
    return count;
}

static void reader_skips_large_blobs(void **state)
{
    const uint64_t size = UINT64_C(20) << 30; /* needs a pax header */
    struct place *place = *state;
    auto_free char *path = mir_format("%s/large.tar", place->dir);
    struct bundle_blob blobs[2] = {{.digest = place->image.digest, .size = size}};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;
    struct bundle_writer *writer = NULL;
    struct bundle_reader *reader;
    unsigned long long before;
    char end[4] = "";

    img_digest_of(MIR_HASH_SHA256, mir_span_of("last"), &blobs[1].digest);
    blobs[1].size = 4;
    assert_true(bundle_plan_new(NULL, 0, blobs, 2, 0, &plan, &err));
    if (!bundle_writer_begin(path, BUNDLE_FORM_TAR, plan, 0, &writer, &err)) {
        print_message("skipped: %s\n", err.text);
        bundle_plan_free(plan);
        skip();
    }
    assert_true(bundle_writer_finish(writer, 0, &err));
    assert_true(bundle_writer_write(writer, 1, 0, mir_span_of("last"), &err));
    assert_true(bundle_writer_finish(writer, 1, &err));
    assert_true(bundle_writer_commit(writer, &err));
    bundle_plan_free(plan);
    before = bytes_read();
    reader = must_open(path, BUNDLE_FORM_TAR);
    assert_true(bytes_read() - before < 1u << 20);
    assert_int_equal(bundle_reader_find(reader, &blobs[0].digest)->size, size);
    assert_true(bundle_reader_read(reader, &blobs[1], 0, end, 4, &err));
    assert_memory_equal(end, "last", 4);
    bundle_reader_close(reader);
}

/* ---- directories ---- */

static void reader_follows_no_link_in_a_directory(void **state)
{
    struct place *place = *state;
    const char *layout = place->paths[1];
    auto_free char *blob =
        mir_format("%s/blobs/sha256/%s", layout, img_digest_hex(&place->image.digest));
    auto_free char *index = mir_format("%s/index.json", layout);
    struct bundle_reader *reader = NULL;
    struct mir_error err = MIR_ERROR_INIT;

    assert_int_equal(unlink(blob), 0);
    assert_int_equal(symlink("/etc/passwd", blob), 0);
    assert_false(bundle_reader_open(layout, BUNDLE_FORM_DIR, &reader, &err));
    assert_non_null(strstr(err.text, img_digest_hex(&place->image.digest)));
    assert_int_equal(unlink(blob), 0);
    assert_int_equal(unlink(index), 0);
    assert_int_equal(symlink("/etc/passwd", index), 0);
    mir_error_clear(&err);
    assert_false(bundle_reader_open(layout, BUNDLE_FORM_DIR, &reader, &err));
    assert_non_null(strstr(err.text, "index.json"));
}

static void reader_ignores_strange_files_in_a_directory(void **state)
{
    struct place *place = *state;
    auto_free char *note = mir_format("%s/blobs/sha256/README", place->paths[1]);
    auto_free char *temporary = mir_format("%s/blobs/sha256/.x.partial", place->paths[1]);

    scratch_write(note, mir_span_of("note"));
    scratch_write(temporary, mir_span_of("x"));
    bundle_reader_close(must_open(place->paths[1], BUNDLE_FORM_DIR));
}

static void reader_says_what_a_path_is_not(void **state)
{
    struct place *place = *state;
    const struct {
        const char *label, *path;
        enum bundle_form form;
        enum mir_code code;
        const char *text, *hint;
    } rows[] = {
        {"tar: a directory", place->paths[1], BUNDLE_FORM_TAR, MIR_E_FORMAT, "directory", "oci:"},
        {"dir: a file", place->paths[0], BUNDLE_FORM_DIR, MIR_E_FORMAT, "directory", "bundle:"},
        {"dir: no layout", place->dir, BUNDLE_FORM_DIR, MIR_E_FORMAT, "no oci-layout", ""},
        {"tar: missing", "/nonexistent/x", BUNDLE_FORM_TAR, MIR_E_NOT_FOUND, "/nonexistent/x", ""},
        {"dir: missing", "/nonexistent/x", BUNDLE_FORM_DIR, MIR_E_NOT_FOUND, "/nonexistent/x", ""},
        {"tar: a device", "/dev/null", BUNDLE_FORM_TAR, MIR_E_FORMAT, "regular", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bundle_reader *reader = NULL;
        struct mir_error err = MIR_ERROR_INIT;

        if (bundle_reader_open(rows[i].path, rows[i].form, &reader, &err) ||
            err.code != rows[i].code || !strstr(err.text, rows[i].text) ||
            !strstr(err.hint, rows[i].hint))
            fail_msg("%s: code %d, \"%s\", \"%s\"", rows[i].label, err.code, err.text, err.hint);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(reader_selects_images),
    TEST(reader_reads_within_a_blob_and_not_beyond),
    TEST(reader_hands_out_a_file_and_an_offset),
    TEST(reader_names_the_blob_it_lacks),
    TEST(reader_loads_only_what_has_its_digest),
    TEST(reader_serves_many_threads),
    TEST(reader_reads_what_tar_makes_of_a_layout),
    TEST(reader_skips_large_blobs),
    TEST(reader_follows_no_link_in_a_directory),
    TEST(reader_ignores_strange_files_in_a_directory),
    TEST(reader_says_what_a_path_is_not),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/reader", tests, NULL, NULL);
}
