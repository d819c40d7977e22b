/*
 * bundle/resume: a writer that is killed at any system call, and the next run with the same path.
 * Whatever it asks for, the result is the file an undisturbed run writes, little is brought twice,
 * and at no moment is anything under the final name that is not whole.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/bundle.h"
#include "lib/bundler.h"
#include "lib/faults.h"
#include "lib/faults_here.h"
#include "lib/fixture.h"
#include "lib/must.h"
#include "lib/scratch.h"

#define KIB    1024u
#define PIECE  (64 * KIB)
#define IMAGES 3
/* Sanitizers make processes slow to start: then only every so-manieth call is one to be killed at.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SAMPLE 5
#else
#define SAMPLE 1
#endif
/* What a kill may cost: what was not noted yet, and the piece at hand. */
#define LOSS_MAX (128 * KIB + PIECE)

/* ---- fixtures ---- */

struct place {
    char *dir;                 /* scratch */
    char *layouts[IMAGES + 1]; /* without image 0, 1, 2; with all */
    struct bundler bundlers[IMAGES + 1];
    char *work;             /* where a test writes; empty between its rounds */
    char *target;           /* in it; not there yet */
    char *wanted;           /* an undisturbed bundle */
    atomic_ullong *brought; /* bytes, shared with children */
};
#define ALL IMAGES

static void make_layout(const char *path, unsigned left_out)
{
    auto_fixture *fixture = fixture_new(path);

    for (unsigned i = 0; i < IMAGES; i++) {
        auto_free char *name = mir_format("registry.example/image:%u", i);
        struct fixture_item image;

        if (i == left_out)
            continue;
        /* image 1 is most of it */
        image = fixture_image(fixture, .seed = i, .layers = 2,
                              .layer_bytes = i == 1 ? 280 * KIB : 24 * KIB,
                              .packing = FIXTURE_PACKING_NONE);
        fixture_name(fixture, name, &image);
    }
}

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));

    faults_clear();
    place->dir = scratch_new();
    place->work = mir_format("%s/work", place->dir);
    place->target = mir_format("%s/x.tar", place->work);
    place->wanted = mir_format("%s/wanted", place->dir);
    for (unsigned i = 0; i <= IMAGES; i++) {
        place->layouts[i] = mir_format("%s/layout%u", place->dir, i);
        make_layout(place->layouts[i], i);
        bundler_init(&place->bundlers[i], place->layouts[i]);
    }
    place->brought = mmap(NULL, sizeof(*place->brought), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(place->brought != MAP_FAILED);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    auto_free char *mounted = mir_format("%s/mount", place->dir);

    faults_clear();
    (void)umount(mounted); /* of a test that failed; there is none otherwise */
    for (unsigned i = 0; i <= IMAGES; i++) {
        bundler_release(&place->bundlers[i]);
        free(place->layouts[i]);
    }
    (void)munmap(place->brought, sizeof(*place->brought));
    scratch_remove(place->dir);
    free(place->work);
    free(place->target);
    free(place->wanted);
    free(place);
    return 0;
}

static void empty_directory(const char *path)
{
    if (scratch_exists(path))
        scratch_remove(mir_strdup(path));
    assert_int_equal(mkdir(path, 0777), 0);
}

static void list(const char *path)
{
    auto_free char *command = mir_format("ls -lR '%s'", path);

    (void)!system(command);
}

/* ---- one run ---- */

/* What a run does. */
struct job {
    const struct place *place;
    unsigned bundler; /* ALL, or without an image */
    enum bundle_form form;
    uint64_t volume_bytes;
    bool reversed; /* blobs in the other order */
    bool drops;    /* image 1 cannot be had: half of its last blob comes, then it is dropped */
};

/* As src/copy does it: what is there is looked at, and gone on with where it is right. */
static bool go_on(const struct job *job, const struct bundler *bundler,
                  struct bundle_writer *writer, size_t blob, uint64_t end, struct mir_error *err)
{
    auto_free char *bytes = mir_alloc(PIECE), *there = mir_alloc(PIECE);
    const struct bundle_blob *source = &bundler->blobs[blob];
    uint64_t reached = bundle_writer_reached(writer, blob), len;

    for (uint64_t at = 0; at < end; at += len) {
        len = end - at < PIECE ? end - at : PIECE;
        if (at < reached && len > reached - at)
            len = reached - at;
        if (!bundle_reader_read(bundler->reader, source, at, bytes, len, err))
            return false;
        if (at < reached) {
            if (!bundle_writer_read(writer, blob, at, there, len, err))
                return false;
            if (memcmp(bytes, there, len) == 0)
                continue;
            bundle_writer_reset(writer, blob);
            at = reached = len = 0;
            continue;
        }
        if (!bundle_writer_write(writer, blob, at, mir_span(bytes, len), err))
            return false;
        (void)atomic_fetch_add(job->place->brought, len);
    }
    return true;
}

static void reverse(struct bundler *bundler)
{
    for (size_t i = 0, j = bundler->blob_count; i + 1 < j; i++) {
        struct bundle_blob kept = bundler->blobs[--j];

        bundler->blobs[j] = bundler->blobs[i];
        bundler->blobs[i] = kept;
    }
}

/* Bring all blobs; with job->drops, all but one of image 1, and then drop it. */
static bool bring(const struct job *job, const struct bundler *bundler,
                  struct bundle_writer *writer, struct mir_error *err)
{
    const struct bundle_reader *rest = job->place->bundlers[1].reader;
    bool keep_image[IMAGES] = {true, false, true}, keep_blob[64];
    size_t last = SIZE_MAX;

    for (size_t i = 0; i < bundler->blob_count; i++) {
        keep_blob[i] = bundle_reader_find(rest, &bundler->blobs[i].digest) != NULL;
        if (!keep_blob[i] && bundler->blobs[i].size > 200 * KIB)
            last = i;
    }
    for (size_t i = 0; i < bundler->blob_count; i++) {
        bool whole = !job->drops || i != last;
        uint64_t size = bundler->blobs[i].size;

        if (bundle_writer_has(writer, i))
            continue;
        if (!go_on(job, bundler, writer, i, whole ? size : size / 2, err) ||
            (whole && !bundle_writer_finish(writer, i, err)))
            return false;
    }
    return !job->drops || bundle_writer_drop(writer, keep_image, keep_blob, err);
}

/* One run from begin to commit. */
static bool run(const struct job *job, const char *path, struct mir_error *err)
{
    struct bundler bundler = job->place->bundlers[job->bundler];
    struct bundle_writer *writer = NULL;
    struct bundle_plan *plan;
    bool done;

    if (job->reversed) {
        bundler.blobs = mir_alloc_array(bundler.blob_count, sizeof(*bundler.blobs));
        memcpy(bundler.blobs, job->place->bundlers[job->bundler].blobs,
               bundler.blob_count * sizeof(*bundler.blobs));
        reverse(&bundler);
    }
    plan = bundler_plan(&bundler, 0);
    done = bundle_writer_begin(path, job->form, plan, job->volume_bytes, &writer, err);
    if (done && !bring(job, &bundler, writer, err)) {
        bundle_writer_suspend(writer);
        done = false;
    } else if (done) {
        done = bundle_writer_commit(writer, err);
    }
    bundle_plan_free(plan);
    if (job->reversed)
        free(bundler.blobs);
    return done;
}

/* The same in a process that is killed at its N-th call; false when it had fewer. */
static bool run_killed(const struct job *job, size_t call)
{
    struct mir_error err = MIR_ERROR_INIT;
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        faults_clear();
        faults.kill_at = call;
        if (run(job, job->place->target, &err))
            _exit(0);
        if (err.code == MIR_E_CONFLICT) /* one file and volumes of the same name */
            _exit(2);
        print_error("%s\n", err.text);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2);
    return false;
}

/* ---- what must hold ---- */

static void problem(void *ctx, const char *text)
{
    (void)ctx;
    print_message("%s\n", text);
}

/* What can be read under the final name is whole. */
static void assert_nothing_half(const struct job *job, const char *path)
{
    struct bundle_verify_sink sink = {.problem = problem};
    struct bundle_verify_totals totals;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader = NULL;
    auto_free char *first = mir_format("%s.001", path);
    auto_free char *index = mir_format("%s/index.json", path);

    if (job->form == BUNDLE_FORM_DIR ? !scratch_exists(index)
                                     : !scratch_exists(path) && !scratch_exists(first))
        return;
    must(bundle_reader_open(path, job->form, &reader, &err), &err);
    must(bundle_verify(reader, 1, &sink, &totals, &err), &err);
    bundle_reader_close(reader);
    assert_int_equal(totals.problems, 0);
    assert_true(totals.images >= 2);
}

static char *whole_file(const char *path, uint64_t volume_bytes, size_t *len)
{
    auto_free char *command = mir_format("cat '%s'.??? > '%s.joined'", path, path);
    auto_free char *joined = mir_format("%s.joined", path);
    char *bytes;

    if (volume_bytes == 0)
        return scratch_read(path, len);
    assert_int_equal(system(command), 0);
    bytes = scratch_read(joined, len);
    assert_int_equal(unlink(joined), 0);
    return bytes;
}

/* The file is what an undisturbed run writes, and nothing else is left. */
static void assert_as_wanted(const struct job *job, const char *label, size_t call)
{
    const struct place *place = job->place;
    struct job undisturbed = *job;
    size_t len, wanted_len;
    auto_free char *bytes = whole_file(place->target, job->volume_bytes, &len);
    auto_free char *path =
        mir_format("%s%u%d%d", place->wanted, job->bundler, job->reversed, job->drops);
    auto_free char *wanted = NULL;
    unsigned long long brought = atomic_load(place->brought);
    struct mir_error err = MIR_ERROR_INIT;
    size_t files = 1;

    undisturbed.volume_bytes = 0;
    if (!scratch_exists(path))
        must(run(&undisturbed, path, &err), &err);
    atomic_store(place->brought, brought);
    wanted = scratch_read(path, &wanted_len);
    if (len != wanted_len || memcmp(bytes, wanted, len) != 0) {
        list(place->work);
        fail_msg("%s, call %zu: other bytes than undisturbed", label, call);
    }
    if (job->volume_bytes > 0)
        files = (size_t)((len + job->volume_bytes - 1) / job->volume_bytes);
    if (!job->drops && scratch_count(place->work) != files) {
        list(place->work);
        fail_msg("%s, call %zu: something is left beside the bundle", label, call);
    }
}

static uint64_t bytes_of(const struct bundler *bundler)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < bundler->blob_count; i++)
        sum += bundler->blobs[i].size;
    return sum;
}

/* Two runs: the first is killed at every step-th call in turn, the second is not. With a limit,
 * both together bring at most that many bytes, unless the first had come to its final name. */
static void kill_everywhere(const struct job *first, const struct job *second, const char *label,
                            size_t step, uint64_t limit)
{
    const struct place *place = first->place;

    for (size_t call = 1;; call += step * SAMPLE) {
        struct mir_error err = MIR_ERROR_INIT;
        bool killed, stood;

        empty_directory(place->work);
        atomic_store(place->brought, 0);
        killed = run_killed(first, call);
        stood = scratch_count(place->work) > 0 && scratch_exists(place->target);
        assert_nothing_half(first, place->target);
        if (!killed && first->volume_bytes != second->volume_bytes)
            break; /* the two would be in each other's way, rightly */
        if (!run(second, place->target, &err)) {
            if (err.code == MIR_E_CONFLICT && first->volume_bytes != second->volume_bytes)
                continue; /* so they are when the first had begun to take its name */
            list(place->work);
            fail_msg("%s, call %zu: %s", label, call, err.text);
        }
        if (second->form == BUNDLE_FORM_TAR)
            assert_as_wanted(second, label, call);
        else
            assert_nothing_half(second, place->target);
        if (limit > 0 && !stood && atomic_load(place->brought) > limit)
            fail_msg("%s, call %zu: %llu bytes were brought", label, call,
                     (unsigned long long)atomic_load(place->brought));
        if (!killed)
            break;
    }
}

/* ---- killed, and done again ---- */

static void resume_is_the_same_file_wherever_it_was_killed(void **state)
{
    const struct job job = {.place = *state, .bundler = ALL};

    kill_everywhere(&job, &job, "same plan", 1, bytes_of(&job.place->bundlers[ALL]) + LOSS_MAX);
}

static void resume_finishes_volumes(void **state)
{
    const struct job job = {.place = *state, .bundler = ALL, .volume_bytes = 300 * KIB};

    kill_everywhere(&job, &job, "volumes", 1, 0);
}

static void resume_goes_on_in_a_directory(void **state)
{
    const struct job job = {.place = *state, .bundler = ALL, .form = BUNDLE_FORM_DIR};

    kill_everywhere(&job, &job, "directory", 1, bytes_of(&job.place->bundlers[ALL]) + LOSS_MAX);
}

struct plan_row {
    const char *label;
    struct job first, second;
    bool has_limit; /* what the first needs, the second needs too */
};

static void resume_takes_blobs_over_to_another_plan(void **state)
{
    const struct place *place = *state;
    const struct plan_row rows[] = {
        {"longer", {.bundler = 0}, {.bundler = ALL}, true},
        {"shorter", {.bundler = ALL}, {.bundler = 0}, false},
        {"another image", {.bundler = 0}, {.bundler = 2}, false},
        {"reordered", {.bundler = ALL}, {.bundler = ALL, .reversed = true}, true},
        {"cut into volumes", {.bundler = ALL}, {.bundler = ALL, .volume_bytes = 192 * KIB}, true},
        {"joined", {.bundler = ALL, .volume_bytes = 192 * KIB}, {.bundler = ALL}, false},
        {"cut elsewhere",
         {.bundler = ALL, .volume_bytes = 192 * KIB},
         {.bundler = ALL, .volume_bytes = 256 * KIB},
         false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct job first = rows[i].first, second = rows[i].second;

        first.place = second.place = place;
        kill_everywhere(&first, &second, rows[i].label, 3,
                        rows[i].has_limit ? bytes_of(&place->bundlers[second.bundler]) + LOSS_MAX
                                          : 0);
    }
}

static void resume_survives_kills_while_it_takes_blobs_over(void **state)
{
    const struct job first = {.place = *state, .bundler = 0};
    const struct job second = {.place = *state, .bundler = ALL, .reversed = true};

    for (size_t early = 20; early <= 40; early += 10)
        for (size_t call = 1;; call += 2 * SAMPLE) {
            struct mir_error err = MIR_ERROR_INIT;
            bool killed;

            empty_directory(first.place->work);
            assert_true(run_killed(&first, early));
            killed = run_killed(&second, call);
            assert_nothing_half(&second, second.place->target);
            atomic_store(first.place->brought, 0);
            must(run(&second, second.place->target, &err), &err);
            assert_as_wanted(&second, "taking over", call);
            if (!killed)
                break;
        }
}

/* Plans come and go, all killed at moments drawn from a seed; the last one is let finish. */
static void resume_survives_any_history(void **state)
{
    const struct place *place = *state;
    uint64_t random = 4711;

    for (unsigned round = 0; round < 60 / SAMPLE; round++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct job job = {.place = place, .bundler = ALL};

        empty_directory(place->work);
        for (unsigned i = 0; i < 5; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            job.bundler = (unsigned)(random >> 60) % (IMAGES + 1);
            job.reversed = random >> 59 & 1;
            job.volume_bytes = random >> 58 & 1 ? 200 * KIB : 0;
            job.drops = job.bundler == ALL && (random >> 57 & 1);
            if (!run_killed(&job, 1 + (random >> 33) % 60))
                break;
            assert_nothing_half(&job, place->target);
        }
        job.drops = false;
        if (run(&job, place->target, &err))
            assert_as_wanted(&job, "history", round);
        else /* a finished one of the other kind is in the way */
            assert_int_equal(err.code, MIR_E_CONFLICT);
    }
}

/* ---- many threads ---- */

struct thread_job {
    const struct job *job;
    const struct bundler *bundler;
    struct bundle_writer *writer;
    atomic_size_t next;
    atomic_bool failed;
};

static void *go_on_with_some(void *ctx)
{
    struct thread_job *work = ctx;
    struct mir_error err = MIR_ERROR_INIT;

    for (;;) {
        size_t blob = atomic_fetch_add(&work->next, 1);

        if (blob >= work->bundler->blob_count)
            return NULL;
        if (!go_on(work->job, work->bundler, work->writer, blob, work->bundler->blobs[blob].size,
                   &err) ||
            !bundle_writer_finish(work->writer, blob, &err))
            atomic_store(&work->failed, true);
    }
}

static void resume_takes_blobs_over_in_many_threads(void **state)
{
    const struct place *place = *state;
    const struct job first = {.place = place, .bundler = ALL, .volume_bytes = 128 * KIB};
    const struct job second = {.place = place, .bundler = ALL};
    struct thread_job work = {.job = &second, .bundler = &place->bundlers[ALL]};
    struct bundle_plan *plan = bundler_plan(work.bundler, 0);
    struct mir_error err = MIR_ERROR_INIT;
    pthread_t threads[4];

    empty_directory(place->work);
    assert_true(run_killed(&first, 40));
    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &work.writer, &err), &err);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, go_on_with_some, &work), 0);
    for (size_t i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    assert_false(atomic_load(&work.failed));
    must(bundle_writer_commit(work.writer, &err), &err);
    assert_as_wanted(&second, "threads", 0);
    bundle_plan_free(plan);
}

/* ---- trouble that passes ---- */

static void resume_throws_nothing_away_for_want_of_files(void **state)
{
    static const uint64_t volumes[] = {0, 128 * KIB};
    const struct place *place = *state;
    const struct bundler *all = &place->bundlers[ALL];
    struct bundle_plan *plan = bundler_plan(all, 0);
    struct rlimit before, few;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < 2; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *writer = NULL;
        uint64_t found = 0;
        bool begun = false;

        empty_directory(place->work);
        must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 128 * KIB, &writer, &err),
             &err);
        for (size_t blob = 0; blob < all->blob_count; blob++)
            must(bundler_bring(all, writer, blob, PIECE, &err), &err);
        bundle_writer_suspend(writer);
        for (few = before, few.rlim_cur = 5; !begun; few.rlim_cur++) {
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
            mir_error_clear(&err);
            begun = bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, volumes[i], &writer,
                                        &err);
            assert_true(begun || err.sys == EMFILE);
        }
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(few.rlim_cur > 10);
        for (size_t blob = 0; blob < all->blob_count; blob++)
            found += bundle_writer_reached(writer, blob);
        assert_int_equal(found, bytes_of(all));
        bundle_writer_abort(writer);
    }
    bundle_plan_free(plan);
}

/* ---- dropping ---- */

static void resume_is_whole_after_a_kill_while_dropping(void **state)
{
    const struct job dropping = {.place = *state, .bundler = ALL, .drops = true};
    const struct job whole = {.place = *state, .bundler = ALL};

    kill_everywhere(&dropping, &whole, "dropping, then all", 1, 0);
    kill_everywhere(&dropping, &dropping, "dropping twice", 1, 0);
}

static void resume_goes_on_with_what_was_dropped(void **state)
{
    static const struct job jobs[] = {
        {.bundler = ALL, .drops = true},
        {.bundler = ALL, .drops = true, .volume_bytes = 128 * KIB},
        {.bundler = ALL, .drops = true, .form = BUNDLE_FORM_DIR},
    };
    const struct place *place = *state;

    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        struct job job = jobs[i];
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *writer = NULL;
        struct bundle_plan *plan = bundler_plan(&place->bundlers[ALL], 0);
        uint64_t reached = 0, missing = 0;

        job.place = place;
        empty_directory(place->work);
        must(run(&job, place->target, &err), &err);
        assert_nothing_half(&job, place->target);
        must(bundle_writer_begin(place->target, job.form, plan, job.volume_bytes, &writer, &err),
             &err);
        for (size_t blob = 0; blob < place->bundlers[ALL].blob_count; blob++) {
            const struct bundle_blob *there = &place->bundlers[ALL].blobs[blob];

            if (bundle_reader_find(place->bundlers[1].reader, &there->digest))
                continue;
            reached += bundle_writer_reached(writer, blob);
            missing += there->size - bundle_writer_reached(writer, blob);
        }
        bundle_writer_suspend(writer);
        bundle_plan_free(plan);
        /* one of two layers is there, and half of the other */
        assert_true(reached > 400 * KIB);
        assert_in_range(missing, 1, 150 * KIB);
    }
}

/* ---- suspending ---- */

static void begin(const struct place *place, struct bundle_plan *plan, struct bundle_writer **out)
{
    struct mir_error err = MIR_ERROR_INIT;

    must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, out, &err), &err);
}

static void resume_finds_every_byte_of_a_suspended_run(void **state)
{
    static const enum bundle_form forms[] = {BUNDLE_FORM_TAR, BUNDLE_FORM_DIR};
    const struct place *place = *state;
    const struct bundler *all = &place->bundlers[ALL];
    auto_free char *blobs = mir_format("%s/blobs/sha256", place->target);

    for (size_t f = 0; f < 2; f++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *writer = NULL;
        struct bundle_plan *plan = bundler_plan(all, 0);

        empty_directory(place->work);
        must(bundle_writer_begin(place->target, forms[f], plan, 0, &writer, &err), &err);
        for (size_t i = 0; i < all->blob_count; i++)
            must(bundle_writer_write(writer, i, 0, mir_span_of("0123456789"), &err), &err);
        must(bundle_writer_write(writer, 1, 10, mir_span_of("abc"), &err), &err);
        bundle_writer_reset(writer, 2);
        bundle_writer_suspend(writer);
        must(bundle_writer_begin(place->target, forms[f], plan, 0, &writer, &err), &err);
        for (size_t i = 0; i < all->blob_count; i++) {
            char bytes[13];
            size_t len = i == 1 ? 13 : i == 2 ? 0 : 10;

            assert_int_equal(bundle_writer_reached(writer, i), len);
            must(bundle_writer_read(writer, i, 0, bytes, len, &err), &err);
            assert_memory_equal(bytes, "0123456789abc", len);
        }
        bundle_writer_abort(writer);
        if (forms[f] == BUNDLE_FORM_DIR)
            assert_int_equal(scratch_count(blobs), 0);
        else
            assert_int_equal(scratch_count(place->work), 0);
        bundle_plan_free(plan);
    }
}

static void resume_leaves_nothing_of_a_run_that_brought_nothing(void **state)
{
    static const enum bundle_form forms[] = {BUNDLE_FORM_TAR, BUNDLE_FORM_DIR};
    const struct place *place = *state;

    for (size_t f = 0; f < 2; f++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_writer *writer = NULL;
        struct bundle_plan *plan = bundler_plan(&place->bundlers[ALL], 0);

        empty_directory(place->work);
        must(bundle_writer_begin(place->target, forms[f], plan, 0, &writer, &err), &err);
        bundle_writer_suspend(writer);
        assert_int_equal(scratch_count(place->work), 0);
        bundle_plan_free(plan);
    }
}

static void resume_keeps_the_leftover_that_holds_more(void **state)
{
    const struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    struct bundle_plan *most = bundler_plan(&place->bundlers[ALL], 0);
    struct bundle_plan *other = bundler_plan(&place->bundlers[0], 0);
    struct bundle_plan *last = bundler_plan(&place->bundlers[1], 0);
    uint64_t found = 0;

    empty_directory(place->work);
    begin(place, most, &writer);
    for (size_t i = 0; i < place->bundlers[ALL].blob_count; i++)
        must(bundler_bring(&place->bundlers[ALL], writer, i, PIECE, &err), &err);
    bundle_writer_suspend(writer);
    begin(place, other, &writer); /* brings little, and asks for nothing */
    must(bundle_writer_write(writer, 0, 0, mir_span_of("x"), &err), &err);
    bundle_writer_suspend(writer);
    begin(place, last, &writer);
    for (size_t i = 0; i < place->bundlers[1].blob_count; i++)
        found += bundle_writer_reached(writer, i);
    assert_int_equal(found, bytes_of(&place->bundlers[1]));
    bundle_writer_abort(writer);
    bundle_plan_free(most);
    bundle_plan_free(other);
    bundle_plan_free(last);
}

/* ---- what stands there is not ours ---- */

/* A run that was stopped when all was there; then somebody does something to its files. */
static void prepare(const struct place *place, struct bundle_plan *plan)
{
    const struct bundler *all = &place->bundlers[ALL];
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;

    empty_directory(place->work);
    begin(place, plan, &writer);
    for (size_t i = 0; i < all->blob_count; i++)
        must(bundler_bring(all, writer, i, PIECE, &err), &err);
    bundle_writer_suspend(writer);
}

struct hostile_row {
    const char *label;
    const char *command; /* of a shell, in the directory */
    bool starts_over;    /* nothing is found reached; else something may be */
};

static void resume_trusts_nothing_that_stands_there(void **state)
{
    static const struct hostile_row rows[] = {
        {"no journal", "rm x.tar.journal", true},
        {"no .partial", "rm x.tar.partial", true},
        {"an empty journal", ": >x.tar.journal", true},
        {"a journal cut short", "truncate -s -1 x.tar.journal", true},
        {"a journal of 1 GiB", "truncate -s 1G x.tar.journal", true},
        {"garbage", "head -c 2000 /dev/urandom >x.tar.journal", true},
        {"a journal that is a link", "mv x.tar.journal j; ln -s j x.tar.journal", true},
        {"a journal that is a pipe", "rm x.tar.journal; mkfifo x.tar.journal", true},
        {"an unknown version", "sed -i '1s/journal 1/journal 2/' x.tar.journal", true},
        {"another plan, same places", "sed -i '1s/......$/000000/' x.tar.journal", false},
        {"other digests", "sed -i '2,$s/^....../000000/' x.tar.journal", true},
        {"reached beyond the blobs", "sed -i '3s/ [0-9a-f]*$/ 100000/' x.tar.journal", false},
        {"reached beyond the end", "sed -i '2,$s/ [0-9a-f]*$/ ffffff/' x.tar.journal", true},
        {"committing", "sed -i '1s/writing   /committing/' x.tar.journal", true},
        {"moving", "sed -i '1s/writing   /moving    /' x.tar.journal", false},
        {"a .partial of zeros",
         "s=$(stat -c %s x.tar.partial); : >x.tar.partial;"
         "truncate -s $s x.tar.partial",
         false},
        {"a .partial of junk",
         "s=$(stat -c %s x.tar.partial);"
         "head -c $s /dev/urandom >x.tar.partial",
         false},
        {"a .partial cut short", "truncate -s 300000 x.tar.partial", false},
        {"a longer .partial", "head -c 99999 /dev/urandom >>x.tar.partial", false},
        {"an empty .partial", ": >x.tar.partial", true},
        {"a stray leftover", "head -c 99999 /dev/urandom >x.tar.partial.old", false},
        {"a stray leftover's journal", "cp x.tar.journal x.tar.journal.old", false},
        {"a leftover of nonsense",
         "cp x.tar.journal x.tar.journal.old;"
         "head -c 99999 /dev/urandom >x.tar.partial.old",
         false},
        {"a link as leftover",
         "cp x.tar.journal x.tar.journal.old;"
         "ln -s ../canary x.tar.partial.old",
         false},
        {"a link as what was saved",
         "cp x.tar.journal x.tar.journal.saved;"
         "ln -s ../canary x.tar.partial.saved",
         false},
    };
    const struct place *place = *state;
    const struct job job = {.place = place, .bundler = ALL};
    struct bundle_plan *plan = bundler_plan(&place->bundlers[ALL], 0);
    auto_free char *canary = mir_format("%s/canary", place->dir);

    scratch_write(canary, mir_span_of("unharmed"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *command =
            mir_format("cd '%s' && { %s; } && rm -f j2", place->work, rows[i].command);
        auto_free char *aside = mir_format("%s/j", place->work);
        auto_free char *left = NULL;
        struct mir_error err = MIR_ERROR_INIT;

        prepare(place, plan);
        assert_int_equal(system(command), 0);
        atomic_store(place->brought, 0);
        if (!run(&job, place->target, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        if (rows[i].starts_over && atomic_load(place->brought) != bytes_of(&place->bundlers[ALL]))
            fail_msg("%s: %llu bytes brought", rows[i].label,
                     (unsigned long long)atomic_load(place->brought));
        if (scratch_exists(aside))
            assert_int_equal(unlink(aside), 0);
        assert_as_wanted(&job, rows[i].label, 0);
        left = scratch_read(canary, NULL);
        assert_string_equal(left, "unharmed");
    }
    bundle_plan_free(plan);
}

static void resume_writes_through_no_link(void **state)
{
    const struct place *place = *state;
    auto_free char *partial = mir_format("%s.partial", place->target);
    auto_free char *canary = mir_format("%s/canary", place->dir);
    auto_free char *left = NULL;
    struct bundle_plan *plan = bundler_plan(&place->bundlers[ALL], 0);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;

    scratch_write(canary, mir_span_of("unharmed"));
    prepare(place, plan);
    assert_int_equal(unlink(partial), 0);
    assert_int_equal(symlink("../canary", partial), 0);
    assert_false(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, 0, &writer, &err));
    assert_non_null(strstr(err.text, partial));
    left = scratch_read(canary, NULL);
    assert_string_equal(left, "unharmed");
    bundle_plan_free(plan);
}

static void resume_refuses_while_another_run_of_any_kind_goes_on(void **state)
{
    static const uint64_t volumes[][2] = {
        {0, 0}, {0, 128 * KIB}, {128 * KIB, 0}, {128 * KIB, 128 * KIB}, {128 * KIB, 256 * KIB}};
    const struct place *place = *state;
    struct bundle_plan *plan = bundler_plan(&place->bundlers[ALL], 0);
    struct bundle_plan *other = bundler_plan(&place->bundlers[1], 0);

    for (size_t i = 0; i < sizeof(volumes) / sizeof(volumes[0]); i++)
        for (size_t j = 0; j < 2; j++) {
            struct mir_error err = MIR_ERROR_INIT;
            struct bundle_writer *first = NULL, *second = NULL;

            empty_directory(place->work);
            must(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, plan, volumes[i][0], &first,
                                     &err),
                 &err);
            assert_false(bundle_writer_begin(place->target, BUNDLE_FORM_TAR, j ? other : plan,
                                             volumes[i][1], &second, &err));
            assert_int_equal(err.code, MIR_E_CONFLICT);
            mir_error_clear(&err);
            for (size_t blob = 0; blob < place->bundlers[ALL].blob_count; blob++)
                must(bundler_bring(&place->bundlers[ALL], first, blob, PIECE, &err), &err);
            must(bundle_writer_commit(first, &err), &err);
        }
    bundle_plan_free(plan);
    bundle_plan_free(other);
}

/* ---- room ---- */

/* The disk holds one bundle and a little, and another plan comes: the old file makes room for the
 * new one as its blobs move over. */
static void resume_needs_no_room_for_a_second_copy(void **state)
{
    struct place *place = *state;
    auto_free char *mounted = mir_format("%s/mount", place->dir);
    auto_free char *options = NULL;
    struct job first = {.place = place, .bundler = 0};
    struct job second = {.place = place, .bundler = ALL, .reversed = true};
    struct bundle_plan *plan = bundler_plan(&place->bundlers[ALL], 0);
    struct mir_error err = MIR_ERROR_INIT;
    bool killed;

    options = mir_format("size=%llu", (unsigned long long)(bundle_plan_bytes(plan) + 200 * KIB));
    bundle_plan_free(plan);
    assert_int_equal(mkdir(mounted, 0777), 0);
    if (mount("tmpfs", mounted, "tmpfs", 0, options) != 0) {
        print_message("skipped: cannot mount a tmpfs here: %s\n", strerror(errno));
        skip();
    }
    free(place->target);
    free(place->work);
    place->work = mir_format("%s/work", mounted);
    place->target = mir_format("%s/x.tar", place->work);
    empty_directory(place->work);
    atomic_store(place->brought, 0);
    killed = run_killed(&first, 40);
    assert_true(killed && atomic_load(place->brought) > 300 * KIB);
    must(run(&second, place->target, &err), &err);
    assert_true(atomic_load(place->brought) <= bytes_of(&place->bundlers[ALL]) + LOSS_MAX);
    assert_as_wanted(&second, "tight", 0);
    empty_directory(place->work);
    assert_int_equal(umount(mounted), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(resume_is_the_same_file_wherever_it_was_killed),
    TEST(resume_finishes_volumes),
    TEST(resume_goes_on_in_a_directory),
    TEST(resume_takes_blobs_over_to_another_plan),
    TEST(resume_survives_kills_while_it_takes_blobs_over),
    TEST(resume_survives_any_history),
    TEST(resume_takes_blobs_over_in_many_threads),
    TEST(resume_throws_nothing_away_for_want_of_files),
    TEST(resume_is_whole_after_a_kill_while_dropping),
    TEST(resume_goes_on_with_what_was_dropped),
    TEST(resume_finds_every_byte_of_a_suspended_run),
    TEST(resume_leaves_nothing_of_a_run_that_brought_nothing),
    TEST(resume_keeps_the_leftover_that_holds_more),
    TEST(resume_trusts_nothing_that_stands_there),
    TEST(resume_writes_through_no_link),
    TEST(resume_refuses_while_another_run_of_any_kind_goes_on),
    TEST(resume_needs_no_room_for_a_second_copy),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/resume", tests, NULL, NULL);
}
