/*
 * Copying a layout through the bundle writer, for tests. Threads take blobs from a shuffled list,
 * so that the order of writing never is the order of the file.
 */
#include "lib/bundler.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "lib/scratch.h"

#define THREADS_MAX 32

static int compare_blobs(const void *a, const void *b)
{
    const struct bundle_blob *x = a, *y = b;

    return strcmp(x->digest.text, y->digest.text);
}

static void collect_blobs(struct bundler *bundler, const char *layout_dir)
{
    auto_free char *path = mir_format("%s/blobs/sha256", layout_dir);
    struct mir_error ignored = MIR_ERROR_INIT;
    DIR *stream = opendir(path);
    size_t capacity = 0;

    if (!stream)
        scratch_die("open %s: %s", path, strerror(errno));
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        auto_free char *text = mir_format("sha256:%s", entry->d_name);
        struct img_digest digest;

        if (!img_digest_parse(mir_span_of(text), &digest, &ignored))
            continue;
        mir_grow(&bundler->blobs, bundler->blob_count, &capacity, sizeof(*bundler->blobs));
        bundler->blobs[bundler->blob_count++] = *bundle_reader_find(bundler->reader, &digest);
    }
    (void)closedir(stream);
    qsort(bundler->blobs, bundler->blob_count, sizeof(*bundler->blobs), compare_blobs);
}

void bundler_init(struct bundler *bundler, const char *layout_dir)
{
    struct mir_error err = MIR_ERROR_INIT;

    *bundler = (struct bundler){.reader = NULL};
    if (!bundle_reader_open(layout_dir, BUNDLE_FORM_DIR, &bundler->reader, &err))
        scratch_die("bundler: %s", err.text);
    bundler->image_count = bundle_reader_image_count(bundler->reader);
    bundler->images = mir_alloc_array(bundler->image_count, sizeof(*bundler->images));
    for (size_t i = 0; i < bundler->image_count; i++)
        bundler->images[i] = *bundle_reader_image(bundler->reader, i);
    collect_blobs(bundler, layout_dir);
}

void bundler_release(struct bundler *bundler)
{
    bundle_reader_close(bundler->reader);
    free(bundler->images);
    free(bundler->blobs);
}

struct bundle_plan *bundler_plan(const struct bundler *bundler, int64_t epoch)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;

    if (!bundle_plan_new(bundler->images, bundler->image_count, bundler->blobs, bundler->blob_count,
                         epoch, &plan, &err))
        scratch_die("bundler: %s", err.text);
    return plan;
}

bool bundler_bring(const struct bundler *bundler, struct bundle_writer *writer, size_t blob,
                   size_t piece, struct mir_error *err)
{
    const struct bundle_blob *source = &bundler->blobs[blob];
    auto_free char *bytes = mir_alloc(piece);
    uint64_t offset = 0;

    while (offset < source->size) {
        size_t len = source->size - offset < piece ? (size_t)(source->size - offset) : piece;

        if (!bundle_reader_read(bundler->reader, source, offset, bytes, len, err) ||
            !bundle_writer_write(writer, blob, offset, mir_span(bytes, len), err))
            return false;
        offset += len;
    }
    return bundle_writer_finish(writer, blob, err);
}

/* ---- many threads ---- */

struct work {
    const struct bundler *bundler;
    struct bundle_writer *writer;
    size_t *order;
    size_t piece;
    atomic_size_t next;
};

struct worker {
    struct work *work;
    pthread_t thread;
    struct mir_error err;
};

static void *bring_some(void *ctx)
{
    struct worker *worker = ctx;
    struct work *work = worker->work;

    for (;;) {
        size_t place = atomic_fetch_add(&work->next, 1);

        if (place >= work->bundler->blob_count)
            return NULL;
        if (bundle_writer_has(work->writer, work->order[place]))
            continue;
        if (!bundler_bring(work->bundler, work->writer, work->order[place], work->piece,
                           &worker->err))
            return NULL;
    }
}

static size_t *shuffled(size_t count, unsigned seed)
{
    size_t *order = mir_alloc_array(count, sizeof(*order));
    uint64_t state = seed * 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; seed != 0 && i > 1; i--) {
        size_t j, kept = order[i - 1];

        state = state * 6364136223846793005u + 1442695040888963407u;
        j = (size_t)(state >> 33) % i;
        order[i - 1] = order[j];
        order[j] = kept;
    }
    return order;
}

static bool bring_all(struct work *work, unsigned threads, struct mir_error *err)
{
    struct worker workers[THREADS_MAX] = {{.work = NULL}};
    bool brought = true;

    for (unsigned i = 0; i < threads; i++) {
        workers[i].work = work;
        if (pthread_create(&workers[i].thread, NULL, bring_some, &workers[i]) != 0)
            scratch_die("bundler: no thread");
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        if (workers[i].err.code != MIR_OK && brought) {
            *err = workers[i].err;
            brought = false;
        }
    }
    return brought;
}

bool bundler_copy_with(const struct bundler *bundler, const char *path, enum bundle_form form,
                       const struct bundler_args *args, struct mir_error *err)
{
    struct bundle_plan *plan = bundler_plan(bundler, args->epoch);
    auto_free size_t *order = shuffled(bundler->blob_count, args->seed);
    struct work work = {
        .bundler = bundler, .order = order, .piece = args->piece ? args->piece : 65536};
    bool done = bundle_writer_begin(path, form, plan, args->volume_bytes, &work.writer, err);

    if (done && !bring_all(&work, args->threads ? args->threads : 1, err)) {
        bundle_writer_abort(work.writer);
        done = false;
    } else if (done) {
        done = bundle_writer_commit(work.writer, err);
    }
    bundle_plan_free(plan);
    return done;
}
