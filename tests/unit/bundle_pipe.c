/*
 * bundle/pipe: what goes through a pipe is what lies in a file, byte for byte; what cannot be done
 * with bytes that come and go once is refused, with the way out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/pipe.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/flow.h"
#include "lib/scratch.h"
#include "lib/tarmaker.h"

#define NAME   "the pipe"
#define HEX_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BLOB_A "blobs/sha256/" HEX_A
#define LARGE  (9u << 20) /* more than a writer holds, a reader reads again, or both */

struct place {
    char *dir, *layout, *tar;
    struct bundler bundler;
    struct mir_span bytes; /* of tar */
    size_t large, small;   /* blobs */
};

/* Manifests first, as src/copy has it. */
static void manifests_first(struct bundler *bundler)
{
    for (size_t i = 0; i < bundler->image_count; i++)
        for (size_t b = 0; b < bundler->blob_count; b++)
            if (img_digest_equal(&bundler->blobs[b].digest, &bundler->images[i].digest)) {
                struct bundle_blob kept = bundler->blobs[i];

                bundler->blobs[i] = bundler->blobs[b];
                bundler->blobs[b] = kept;
            }
}

static int set_up(void **state)
{
    static const struct fixture_layer_args layers[] = {{100, 1}, {300000, 2}, {LARGE, 3}, {1, 4}};
    struct place *place = mir_alloc(sizeof(*place));
    struct mir_error err = MIR_ERROR_INIT;
    struct fixture_item a, b;
    struct fixture *fixture;
    size_t len;

    (void)signal(SIGPIPE, SIG_IGN);
    place->dir = scratch_new();
    place->layout = mir_format("%s/layout", place->dir);
    place->tar = mir_format("%s/x.tar", place->dir);
    fixture = fixture_new(place->layout);
    a = fixture_image(fixture, .own_layers = layers, .own_layer_count = 4,
                      .packing = FIXTURE_PACKING_STORED);
    b = fixture_image(fixture, .layers = 3, .seed = 9);
    fixture_name(fixture, "r.example/a:1", &a);
    fixture_name(fixture, "r.example/b:1", &b);
    fixture_free(fixture);
    bundler_init(&place->bundler, place->layout);
    manifests_first(&place->bundler);
    if (!bundler_copy(&place->bundler, place->tar, BUNDLE_FORM_TAR, &err, 0))
        scratch_die("%s", err.text);
    place->bytes.ptr = scratch_read(place->tar, &len);
    place->bytes.len = len;
    place->small = place->bundler.blob_count;
    for (size_t i = 2; i < place->bundler.blob_count; i++)
        if (place->bundler.blobs[i].size > LARGE)
            place->large = i;
        else if (place->bundler.blobs[i].size < 1000 && place->small > i)
            place->small = i;
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    bundler_release(&place->bundler);
    scratch_remove(place->dir);
    free(place->layout);
    free(place->tar);
    free((char *)(uintptr_t)place->bytes.ptr);
    free(place);
    return 0;
}

/* ---- writing ---- */

struct crew {
    const struct bundler *bundler;
    struct bundle_writer *writer;
    atomic_size_t next;
    atomic_bool failed;
};

static void *bring_in_order(void *ctx)
{
    struct crew *crew = ctx;

    for (;;) {
        size_t blob = atomic_fetch_add(&crew->next, 1);
        struct mir_error err = MIR_ERROR_INIT;

        if (blob >= crew->bundler->blob_count)
            return NULL;
        if (!bundle_writer_await(crew->writer, blob, &err) ||
            !bundler_bring(crew->bundler, crew->writer, blob, 30000, &err)) {
            atomic_store(&crew->failed, true);
            bundle_writer_break(crew->writer, &err);
        }
    }
}

static bool bring_all(struct crew *crew, unsigned threads)
{
    pthread_t ids[16];

    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, bring_in_order, crew), 0);
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    return !atomic_load(&crew->failed);
}

static void expect_file(const struct flow *flow, const struct place *place)
{
    assert_int_equal(flow->len, place->bytes.len);
    assert_memory_equal(flow->bytes, place->bytes.ptr, flow->len);
}

static void pipe_gets_the_bytes_of_the_file(void **state)
{
    static const unsigned threads[] = {1, 2, 7, 16};
    const struct place *place = *state;
    struct bundle_plan *plan = bundler_plan(&place->bundler, 0);

    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        struct crew crew = {.bundler = &place->bundler};
        struct mir_error err = MIR_ERROR_INIT;
        struct flow flow;

        flow_collect(&flow, SIZE_MAX);
        assert_true(bundle_writer_begin_pipe(flow.fd, NAME, plan, NULL, &crew.writer, &err));
        assert_true(bring_all(&crew, threads[i]));
        assert_true(bundle_writer_commit(crew.writer, &err));
        flow_end(&flow);
        expect_file(&flow, place);
        flow_release(&flow);
    }
    bundle_plan_free(plan);
}

static void expect_reader_gone(const struct mir_error *trouble)
{
    assert_non_null(trouble);
    assert_int_equal(trouble->code, MIR_E_IO);
    assert_non_null(strstr(trouble->text, NAME));
    assert_non_null(strstr(trouble->hint, "has ended"));
}

static void pipe_says_that_the_reader_is_gone(void **state)
{
    static const size_t limits[] = {1, 5000, 2000000};
    const struct place *place = *state;
    struct bundle_plan *plan = bundler_plan(&place->bundler, 0);

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct crew crew = {.bundler = &place->bundler};
        struct mir_error err = MIR_ERROR_INIT;
        struct flow flow;

        flow_collect(&flow, limits[i]);
        /* A reader that wants little may be gone before the front has been written. */
        if (bundle_writer_begin_pipe(flow.fd, NAME, plan, NULL, &crew.writer, &err)) {
            assert_false(bring_all(&crew, 4));
            expect_reader_gone(bundle_writer_trouble(crew.writer));
            bundle_writer_suspend(crew.writer);
        } else {
            expect_reader_gone(&err);
        }
        flow_end(&flow);
        flow_release(&flow);
    }
    bundle_plan_free(plan);
}

static void pipe_hands_on_what_broke_it(void **state)
{
    const struct place *place = *state;
    struct bundle_plan *plan = bundler_plan(&place->bundler, 0);
    struct crew crew = {.bundler = &place->bundler, .next = 1}; /* the first never comes */
    struct mir_error cause = MIR_ERROR_INIT, err = MIR_ERROR_INIT;
    pthread_t thread;
    struct flow flow;

    (void)mir_fail(&cause, MIR_E_NOT_FOUND, "it is not there");
    flow_collect(&flow, SIZE_MAX);
    assert_true(bundle_writer_begin_pipe(flow.fd, NAME, plan, NULL, &crew.writer, &err));
    assert_int_equal(pthread_create(&thread, NULL, bring_in_order, &crew), 0);
    bundle_writer_break(crew.writer, &cause);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&crew.failed));
    assert_string_equal(bundle_writer_trouble(crew.writer)->text, "it is not there");
    assert_false(bundle_writer_finish(crew.writer, 1, &err));
    assert_string_equal(err.text, "it is not there");
    bundle_writer_abort(crew.writer);
    flow_end(&flow);
    flow_release(&flow);
    bundle_plan_free(plan);
}

static void *cancel_soon(void *ctx)
{
    atomic_store(&((struct mir_cancel *)ctx)->flag, 1);
    return NULL;
}

static void pipe_wait_ends_with_ctrl_c(void **state)
{
    const struct place *place = *state;
    struct bundle_plan *plan = bundler_plan(&place->bundler, 0);
    struct mir_cancel cancel = {0};
    struct bundle_writer *writer;
    struct mir_error err = MIR_ERROR_INIT;
    char *bytes = mir_alloc(LARGE);
    pthread_t thread;
    int fds[2];

    assert_int_equal(pipe(fds), 0); /* nobody reads */
    assert_true(bundle_writer_begin_pipe(fds[1], NAME, plan, &cancel, &writer, &err));
    bundle_writer_prefer(writer, place->large);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
    assert_false(bundle_writer_write(writer, place->large, 0, mir_span(bytes, LARGE), &err));
    assert_int_equal(err.code, MIR_E_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    bundle_writer_abort(writer);
    (void)close(fds[0]);
    (void)close(fds[1]);
    free(bytes);
    bundle_plan_free(plan);
}

static void pipe_takes_small_blobs_back_and_large_ones_not(void **state)
{
    const struct place *place = *state;
    struct bundle_plan *plan = bundler_plan(&place->bundler, 0);
    struct crew crew = {.bundler = &place->bundler};
    struct mir_error err = MIR_ERROR_INIT;
    const struct mir_error *trouble;
    char wrong[1000] = "wrong", *bytes = mir_alloc(LARGE);
    struct flow flow;

    flow_collect(&flow, SIZE_MAX);
    assert_true(bundle_writer_begin_pipe(flow.fd, NAME, plan, NULL, &crew.writer, &err));
    assert_true(bundle_writer_write(crew.writer, place->small, 0, mir_span(wrong, 50), &err));
    assert_int_equal(bundle_writer_reached(crew.writer, place->small), 50);
    bundle_writer_reset(crew.writer, place->small);
    assert_int_equal(bundle_writer_reached(crew.writer, place->small), 0);
    assert_true(bring_all(&crew, 3));
    assert_true(bundle_writer_commit(crew.writer, &err));
    flow_end(&flow);
    expect_file(&flow, place);
    flow_release(&flow);

    flow_collect(&flow, SIZE_MAX);
    assert_true(bundle_writer_begin_pipe(flow.fd, NAME, plan, NULL, &crew.writer, &err));
    bundle_writer_prefer(crew.writer, place->large);
    assert_true(bundle_writer_write(crew.writer, place->large, 0, mir_span(bytes, LARGE), &err));
    assert_false(bundle_writer_read(crew.writer, place->large, 0, wrong, 1, &err));
    bundle_writer_reset(crew.writer, place->large);
    trouble = bundle_writer_trouble(crew.writer);
    assert_non_null(trouble);
    assert_non_null(strstr(trouble->text, "cannot be taken back"));
    assert_non_null(strstr(trouble->text, place->bundler.blobs[place->large].digest.text));
    bundle_writer_suspend(crew.writer);
    flow_end(&flow);
    flow_release(&flow);
    free(bytes);
    bundle_plan_free(plan);
}

static void pipe_output_has_to_be_one(void **state)
{
    const struct place *place = *state;
    auto_close int in = open(place->tar, O_RDONLY | O_CLOEXEC);
    auto_close int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    auto_close int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct bundle_plan *plan = bundler_plan(&place->bundler, 0);
    struct bundle_writer *writer;
    struct mir_error err = MIR_ERROR_INIT;

    assert_false(bundle_pipe_check_output(in, &err));
    assert_int_equal(err.code, MIR_E_USAGE);
    mir_error_clear(&err);
    assert_false(bundle_pipe_check_output(-1, &err));
    assert_int_equal(err.code, MIR_E_USAGE);
    mir_error_clear(&err);
    if (terminal >= 0) {
        assert_false(bundle_pipe_check_output(terminal, &err));
        assert_int_equal(err.code, MIR_E_USAGE);
        assert_non_null(strstr(err.hint, "> FILE"));
        mir_error_clear(&err);
    }
    if (full >= 0) {
        assert_false(bundle_writer_begin_pipe(full, NAME, plan, NULL, &writer, &err));
        assert_int_equal(err.code, MIR_E_SPACE);
    }
    bundle_plan_free(plan);
}

/* ---- reading ---- */

struct intake {
    struct flow flow;
    struct bundle_reader *reader;
};

static void must_open(struct intake *intake, struct mir_span bytes, size_t piece)
{
    struct mir_error err = MIR_ERROR_INIT;

    flow_feed(&intake->flow, bytes, piece);
    if (!bundle_reader_open_pipe(intake->flow.fd, NAME, NULL, &intake->reader, &err))
        fail_msg("%s", err.text);
    assert_true(bundle_reader_is_pipe(intake->reader));
}

static void done(struct intake *intake)
{
    bundle_reader_close(intake->reader);
    flow_end(&intake->flow);
}

static const struct bundle_blob *must_next(struct intake *intake)
{
    struct mir_error err = MIR_ERROR_INIT;
    const struct bundle_blob *blob = NULL;

    if (!bundle_reader_next(intake->reader, &blob, &err))
        fail_msg("%s", err.text);
    return blob;
}

/* The next large blob: what stands in front of it is passed over. */
static const struct bundle_blob *find_large(struct intake *intake)
{
    const struct bundle_blob *blob;

    do
        blob = must_next(intake);
    while (blob && blob->size <= LARGE);
    assert_non_null(blob);
    return blob;
}

static void expect_part(const struct place *place, const struct intake *intake,
                        const struct bundle_blob *blob, uint64_t offset, size_t len)
{
    auto_free char *want = mir_alloc(len + 1), *got = mir_alloc(len + 1);
    struct mir_error err = MIR_ERROR_INIT;

    assert_true(bundle_reader_read(place->bundler.reader, blob, offset, want, len, &err));
    if (!bundle_reader_read(intake->reader, blob, offset, got, len, &err))
        fail_msg("%s", err.text);
    assert_memory_equal(got, want, len);
}

static void pipe_brings_every_blob_in_any_pieces(void **state)
{
    static const size_t pieces[] = {4093, 65536, 10000000};
    const struct place *place = *state;

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct intake intake;
        const struct bundle_blob *blob;
        size_t count = 0;

        must_open(&intake, place->bytes, pieces[i]);
        assert_int_equal(bundle_reader_image_count(intake.reader), 2);
        for (size_t m = 0; m < 2; m++)
            expect_part(place, &intake, &place->bundler.blobs[m], 0,
                        (size_t)place->bundler.blobs[m].size);
        for (blob = must_next(&intake); blob; blob = must_next(&intake), count++)
            for (uint64_t at = 0; at < blob->size; at += 100000)
                expect_part(place, &intake, blob, at,
                            blob->size - at < 100000 ? (size_t)(blob->size - at) : 100000);
        assert_int_equal(count, place->bundler.blob_count - 2);
        assert_null(must_next(&intake));
        done(&intake);
    }
}

static void pipe_manifests_can_be_loaded_at_any_time(void **state)
{
    const struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct intake intake;
    size_t len;

    must_open(&intake, place->bytes, 65536);
    assert_true(bundle_reader_drain(intake.reader, &err));
    for (size_t i = 0; i < 2; i++) {
        auto_free char *bytes = NULL;

        assert_true(bundle_reader_load(intake.reader, &place->bundler.images[i].digest, 1u << 20,
                                       &bytes, &len, &err));
        assert_int_equal(len, place->bundler.images[i].size);
    }
    done(&intake);
}

static void expect_passed(const struct intake *intake, const struct bundle_blob *blob,
                          uint64_t offset)
{
    struct mir_error err = MIR_ERROR_INIT;
    char byte;

    assert_false(bundle_reader_read(intake->reader, blob, offset, &byte, 1, &err));
    assert_int_equal(err.code, MIR_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, blob->digest.text));
    assert_non_null(strstr(err.hint, "to a file first"));
}

static void pipe_start_of_a_blob_can_be_read_again(void **state)
{
    const struct place *place = *state;
    const struct bundle_blob *blob;
    struct intake intake;

    must_open(&intake, place->bytes, 65536);
    blob = find_large(&intake);
    expect_part(place, &intake, blob, 0, 1000);
    expect_part(place, &intake, blob, 0, 5000);    /* from what was read, and on */
    expect_part(place, &intake, blob, 4000, 2000); /* the same, from the middle */
    expect_part(place, &intake, blob, 100000, 10); /* ahead */
    expect_part(place, &intake, blob, 3, 100000);
    expect_part(place, &intake, blob, BUNDLE_PIPE_REPLAY_MAX - 10, 10);
    expect_part(place, &intake, blob, 0, 10);
    expect_part(place, &intake, blob, BUNDLE_PIPE_REPLAY_MAX, 10);
    expect_passed(&intake, blob, 0);
    expect_passed(&intake, blob, BUNDLE_PIPE_REPLAY_MAX);
    expect_part(place, &intake, blob, BUNDLE_PIPE_REPLAY_MAX + 10, 10); /* it goes on */
    must_next(&intake);
    expect_passed(&intake, blob, 0);
    done(&intake);
}

static void pipe_keeps_small_blobs_until_they_are_forgotten(void **state)
{
    const struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    const struct bundle_blob *blob, *found;
    struct intake intake;

    must_open(&intake, place->bytes, 65536);
    blob = must_next(&intake);
    assert_true(bundle_reader_may_hold(intake.reader, &place->bundler.blobs[place->large].digest));
    assert_null(bundle_reader_find(intake.reader, &place->bundler.blobs[place->large].digest));
    assert_true(bundle_reader_keep(intake.reader, &err));
    assert_true(bundle_reader_drain(intake.reader, &err));
    expect_part(place, &intake, blob, 0, (size_t)blob->size);
    found = bundle_reader_find(intake.reader, &blob->digest);
    assert_ptr_equal(found, blob);
    bundle_reader_forget(intake.reader, blob);
    expect_passed(&intake, blob, 0);
    done(&intake);
}

static void pipe_that_is_cut_says_so_each_time(void **state)
{
    const struct place *place = *state;
    /* In a blob, in front of the end, and behind the first header. */
    const size_t cuts[] = {place->bytes.len / 2, place->bytes.len - 1024, 600, 1, 0};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT, again = MIR_ERROR_INIT;
        struct bundle_reader *reader = NULL;
        struct flow flow;
        bool opened;

        flow_feed(&flow, mir_span(place->bytes.ptr, cuts[i]), 5000);
        opened = bundle_reader_open_pipe(flow.fd, NAME, NULL, &reader, &err);
        assert_int_equal(opened, i < 2);
        if (opened) {
            assert_false(bundle_reader_drain(reader, &err));
            assert_false(bundle_reader_drain(reader, &again));
            assert_string_equal(again.text, err.text);
        }
        assert_int_equal(err.code, MIR_E_FORMAT);
        if (i < 3 && !strstr(err.text, NAME " is cut short"))
            fail_msg("cut at %zu: %s", cuts[i], err.text);
        bundle_reader_close(reader);
        flow_end(&flow);
    }
}

static void pipe_in_another_order_is_refused_with_the_way_out(void **state)
{
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    static const char index[] = "{\"schemaVersion\":2,\"manifests\":[]}";
    static const char base[] = "{}";
    static const struct {
        const char *names[4], *texts[4], *what;
    } rows[] = {
        {{BLOB_A, "oci-layout", "index.json"}, {"x", layout, index}, "blobs come before"},
        {{"oci-layout", BLOB_A, "index.json"}, {layout, "x", index}, "blobs come before"},
        {{"index.json", BLOB_A, "oci-layout"}, {index, "x", layout}, "blobs come before"},
        {{"oci-layout", "index.json", BLOB_A, "mirror-base.json"},
         {layout, index, "x", base},
         "mirror-base.json comes too late"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_reader *reader = NULL;
        struct flow flow;
        auto_tarmaker maker;

        tarmaker_init(&maker);
        for (size_t n = 0; n < 4 && rows[i].names[n]; n++)
            tarmaker_file(&maker, rows[i].names[n], rows[i].texts[n]);
        tarmaker_end(&maker);
        flow_feed(&flow, mir_buf_span(&maker.bytes), 777);
        assert_false(bundle_reader_open_pipe(flow.fd, NAME, NULL, &reader, &err) &&
                     bundle_reader_drain(reader, &err));
        if (err.code != MIR_E_UNSUPPORTED || !strstr(err.text, rows[i].what) ||
            !strstr(err.hint, "to a file first"))
            fail_msg("row %zu: code %d, \"%s\", hint \"%s\"", i, err.code, err.text, err.hint);
        bundle_reader_close(reader);
        flow_end(&flow);
    }
}

static void pipe_is_read_to_its_end_and_what_follows_ignored(void **state)
{
    const struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    size_t more = 3000000;
    auto_free char *bytes = mir_alloc(place->bytes.len + more);
    struct intake intake;

    memcpy(bytes, place->bytes.ptr, place->bytes.len);
    memset(bytes + place->bytes.len, 'x', more);
    must_open(&intake, mir_span(bytes, place->bytes.len + more), 65536);
    assert_true(bundle_reader_drain(intake.reader, &err));
    done(&intake); /* the feeder has nothing left, or this would not end */
}

static void pipe_reading_ends_with_ctrl_c(void **state)
{
    struct mir_cancel cancel = {0};
    struct bundle_reader *reader;
    struct mir_error err = MIR_ERROR_INIT;
    pthread_t thread;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0); /* nobody writes */
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
    assert_false(bundle_reader_open_pipe(fds[0], NAME, &cancel, &reader, &err));
    assert_int_equal(err.code, MIR_E_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void pipe_that_is_a_file_is_read_in_place(void **state)
{
    const struct place *place = *state;
    auto_close int fd = open(place->tar, O_RDONLY | O_CLOEXEC);
    struct bundle_reader *reader;
    struct mir_error err = MIR_ERROR_INIT;
    char byte;

    assert_true(bundle_reader_open_pipe(fd, NAME, NULL, &reader, &err));
    assert_false(bundle_reader_is_pipe(reader));
    for (size_t i = place->bundler.blob_count; i-- > 0;)
        assert_true(bundle_reader_read(reader, &place->bundler.blobs[i], 0, &byte, 1, &err));
    bundle_reader_close(reader);
    /* Not from its start: then it is taken as it comes. */
    assert_int_equal(lseek(fd, 512, SEEK_SET), 512);
    assert_false(bundle_reader_open_pipe(fd, NAME, NULL, &reader, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe_gets_the_bytes_of_the_file),
        cmocka_unit_test(pipe_says_that_the_reader_is_gone),
        cmocka_unit_test(pipe_hands_on_what_broke_it),
        cmocka_unit_test(pipe_wait_ends_with_ctrl_c),
        cmocka_unit_test(pipe_takes_small_blobs_back_and_large_ones_not),
        cmocka_unit_test(pipe_output_has_to_be_one),
        cmocka_unit_test(pipe_brings_every_blob_in_any_pieces),
        cmocka_unit_test(pipe_manifests_can_be_loaded_at_any_time),
        cmocka_unit_test(pipe_start_of_a_blob_can_be_read_again),
        cmocka_unit_test(pipe_keeps_small_blobs_until_they_are_forgotten),
        cmocka_unit_test(pipe_that_is_cut_says_so_each_time),
        cmocka_unit_test(pipe_in_another_order_is_refused_with_the_way_out),
        cmocka_unit_test(pipe_is_read_to_its_end_and_what_follows_ignored),
        cmocka_unit_test(pipe_reading_ends_with_ctrl_c),
        cmocka_unit_test(pipe_that_is_a_file_is_read_in_place),
    };

    return cmocka_run_group_tests_name("bundle/pipe", tests, set_up, tear_down);
}
