/*
 * One task of a copy: bring one blob or manifest to where it belongs. Bytes go from the socket (or
 * the source file) straight to their place; they are hashed on the way and never kept whole.
 *
 * Invariant: no blob of a layout is finished whose digest was not checked in this run, whoever
 * wrote its bytes. What is on the disk already, of an earlier run too, is hashed and not fetched.
 */
#include <assert.h>

#include "base/mem.h"
#include "copy/copy_priv.h"
#include "copy/left_out.h"
#include "copy/stream.h"

#define CHUNK_BYTES (256u << 10) /* a buffer for each worker */
#define TAKE_BYTES  (16u << 20)  /* from file to file; whole blocks, and still in the cache */

/* ---- progress ---- */

/* Bytes on their way. Negative takes back what a failed try had counted. */
static void show_bytes(struct copy *copy, int64_t bytes)
{
    atomic_fetch_add(&copy_progress_of(copy)->bytes_done, (uint64_t)bytes);
}

/* Bytes that came from a source. */
static void count_bytes(struct copy *copy, int64_t bytes)
{
    show_bytes(copy, bytes);
    atomic_fetch_add(&copy->moved, (uint64_t)bytes);
}

/* Bytes that were on the disk: of an earlier run, or in what stands under the destination's name.
 */
static void count_reused(struct copy *copy, int64_t bytes)
{
    show_bytes(copy, bytes);
    atomic_fetch_add(&copy->reused, (uint64_t)bytes);
}

static void relay_moved(void *ctx, int64_t bytes)
{
    count_bytes(ctx, bytes);
}

static void count_there(struct copy *copy, struct copy_task *task)
{
    if (task->kind == COPY_TASK_MANIFEST) {
        show_bytes(copy, (int64_t)task->manifest->len);
        return;
    }
    task->was_there = true;
    if (task->moves)
        show_bytes(copy, (int64_t)task->blob->size);
}

/* ---- manifests ---- */

static bool read_from_layout(struct bundle_reader *reader, const char *reference,
                             struct reg_manifest *out, struct mir_error *err)
{
    struct img_digest digest;

    if (!img_digest_parse(mir_span_of(reference), &digest, err) ||
        !bundle_reader_load(reader, &digest, IMG_MANIFEST_BYTES_MAX, &out->bytes, &out->len, err))
        return false;
    out->digest = digest;
    out->media_type = mir_strdup("");
    return true;
}

bool copy_read_manifest(struct copy_worker *worker, const struct copy_origin *origin,
                        const char *reference, struct reg_manifest *out, struct mir_error *err)
{
    struct copy_breaker *breaker = &worker->copy->breaker;
    bool ok;

    if (origin->reader)
        return read_from_layout(origin->reader, reference, out, err);
    ok = copy_breaker_may_try(breaker, origin->repo.host, NULL, err) &&
         reg_manifest_get(worker->source, &origin->repo, reference, out, err);
    copy_breaker_note(breaker, origin->repo.host, NULL, err);
    return ok;
}

/* ---- into a layout ---- */

/* A blob that grows where the plan puts it. */
struct landing_place {
    struct copy *copy;
    const struct copy_blob *blob;
    struct mir_hash *hash; /* of the bytes before at, except while reg_blob_get() has it */
    uint64_t at;
    int64_t moved, reused; /* how the bytes before at were counted */
};

static bool put_bytes(struct landing_place *place, struct mir_span bytes, struct mir_error *err)
{
    if (!bundle_writer_write(place->copy->writer, place->blob->planned, place->at, bytes, err))
        return false;
    place->at += bytes.len;
    return true;
}

static void tally_moved(struct landing_place *place, size_t bytes)
{
    place->moved += (int64_t)bytes;
    count_bytes(place->copy, (int64_t)bytes);
}

static void tally_reused(struct landing_place *place, size_t bytes)
{
    place->reused += (int64_t)bytes;
    count_reused(place->copy, (int64_t)bytes);
}

/* What is there is wrong. */
static void start_over(struct landing_place *place)
{
    mir_log(place->copy->options.sink, MIR_LEVEL_DEBUG, "blob %s starts over",
            place->blob->digest.text);
    bundle_writer_reset(place->copy->writer, place->blob->planned);
    mir_hash_reset(place->hash);
    count_bytes(place->copy, -place->moved);
    count_reused(place->copy, -place->reused);
    place->at = 0;
    place->moved = 0;
    place->reused = 0;
}

static bool check_place(const struct landing_place *place, struct mir_error *err)
{
    const struct img_digest *digest = &place->blob->digest;
    struct img_digest got;

    img_digest_from_hash(img_digest_algo(digest), place->hash, &got);
    return img_digest_check(digest, &got, err);
}

static bool stop_if_cancelled(const struct copy *copy, struct mir_error *err)
{
    return !mir_is_cancelled(copy->options.cancel) || mir_fail(err, MIR_E_CANCELLED, "stopped");
}

static size_t chunk_at(uint64_t at, uint64_t end)
{
    return end - at < CHUNK_BYTES ? (size_t)(end - at) : CHUNK_BYTES;
}

/* Hash what is on the disk of the blob. */
static bool hash_up(struct landing_place *place,
                    void (*tally)(struct landing_place *place, size_t bytes), struct mir_error *err)
{
    struct bundle_writer *writer = place->copy->writer;
    size_t planned = place->blob->planned;
    uint64_t reached = bundle_writer_reached(writer, planned);
    auto_free char *data = place->at < reached ? mir_alloc(CHUNK_BYTES) : NULL;

    while (place->at < reached) {
        size_t len = chunk_at(place->at, reached);

        if (!stop_if_cancelled(place->copy, err) ||
            !bundle_writer_read(writer, planned, place->at, data, len, err))
            return false;
        mir_hash_update(place->hash, mir_span(data, len));
        place->at += len;
        tally(place, len);
    }
    return true;
}

/* Go on from what an earlier run left of the blob. Bytes that cannot be read are fetched. False
 * only when the user stops us. */
static bool take_up(struct landing_place *place, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;

    if (hash_up(place, tally_reused, &trouble))
        return true;
    if (trouble.code == MIR_E_CANCELLED) {
        *err = trouble;
        return false;
    }
    mir_log(place->copy->options.sink, MIR_LEVEL_DEBUG, "%s", trouble.text);
    start_over(place);
    return true;
}

/* From file to file, if that goes; if not, whoever copies by hand finds out why. */
static bool take_piece(struct landing_place *place, const struct bundle_reader *reader,
                       const struct bundle_blob *from)
{
    struct bundle_writer *writer = place->copy->writer;
    size_t planned = place->blob->planned;
    struct mir_error ignored = MIR_ERROR_INIT;
    uint64_t left = from->size - place->at;

    /* Bytes that were there and could not be read are written anew, not built upon. */
    return bundle_writer_reached(writer, planned) == place->at &&
           bundle_writer_take(writer, planned, reader, from, left < TAKE_BYTES ? left : TAKE_BYTES,
                              &ignored);
}

static bool copy_piece(struct landing_place *place, const struct bundle_reader *reader,
                       const struct bundle_blob *from, char *data,
                       void (*tally)(struct landing_place *place, size_t bytes),
                       struct mir_error *err)
{
    const struct mir_span bytes = mir_span(data, chunk_at(place->at, from->size));

    if (!bundle_reader_read(reader, from, place->at, data, bytes.len, err) ||
        !put_bytes(place, bytes, err))
        return false;
    mir_hash_update(place->hash, bytes);
    tally(place, bytes.len);
    return true;
}

/* The rest of a blob from a layout. */
static bool copy_rest(struct landing_place *place, const struct bundle_reader *reader,
                      const struct bundle_blob *from,
                      void (*tally)(struct landing_place *place, size_t bytes),
                      struct mir_error *err)
{
    auto_free char *data = NULL;

    while (place->at < from->size) {
        if (!stop_if_cancelled(place->copy, err))
            return false;
        if (!data && take_piece(place, reader, from)) {
            if (!hash_up(place, tally, err))
                return false;
            continue;
        }
        if (!data)
            data = mir_alloc(CHUNK_BYTES);
        if (!copy_piece(place, reader, from, data, tally, err))
            return false;
    }
    return true;
}

/* The rest of a blob from a layout, checked. If that is wrong, what was there before may be to
 * blame: then all of it. */
static bool from_layout(struct landing_place *place, const struct bundle_reader *reader,
                        const struct bundle_blob *from,
                        void (*tally)(struct landing_place *place, size_t bytes),
                        struct mir_error *err)
{
    for (;;) {
        uint64_t there = place->at;

        if (!copy_rest(place, reader, from, tally, err))
            return false;
        if (check_place(place, err))
            return true;
        start_over(place);
        if (there == 0)
            return false;
        mir_error_clear(err);
    }
}

/* What stands under the destination's name may hold the blob already. What is wrong with it there
 * does not matter, because the source has it too. */
static bool from_standing(struct landing_place *place)
{
    const struct copy *copy = place->copy;
    const struct img_digest *digest = &place->blob->digest;
    struct mir_error ignored = MIR_ERROR_INIT;
    const struct bundle_blob *there =
        copy->standing ? bundle_reader_find(copy->standing, digest) : NULL;

    if (!there || there->size != place->blob->size)
        return false;
    if (from_layout(place, copy->standing, there, tally_reused, &ignored))
        return true;
    mir_log(copy->options.sink, MIR_LEVEL_DEBUG, "blob %s of the bundle that stands there: %s",
            digest->text, ignored.text);
    return false;
}

static bool find_in_source(const struct copy_blob *blob, const struct bundle_blob **out,
                           struct mir_error *err)
{
    *out = bundle_reader_find(blob->origin->reader, &blob->digest);
    if (!*out && blob->left_out)
        return copy_left_out_missing(blob, err);
    if (!*out)
        return mir_fail(err, MIR_E_NOT_FOUND, "%s does not hold it",
                        bundle_reader_path(blob->origin->reader));
    if ((*out)->size != blob->size)
        return mir_fail(err, MIR_E_DIGEST, "%s holds %llu bytes of it, the manifest says %llu",
                        bundle_reader_path(blob->origin->reader), (unsigned long long)(*out)->size,
                        (unsigned long long)blob->size);
    return true;
}

/* Of volumes, those the blob lies in are named: one of them is damaged, or has another's name. */
static bool is_damaged(const struct bundle_reader *reader, const struct bundle_blob *blob,
                       struct mir_error *err)
{
    auto_free char *where = bundle_reader_where(reader, &blob->digest);

    (void)mir_context(err, "%s is damaged%s", bundle_reader_path(reader), where);
    return mir_hint(err, "\"mirror verify\" names everything that is; copy it from the disk again");
}

static bool fetched_bytes(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    if (!put_bytes(ctx, bytes, err))
        return false;
    tally_moved(ctx, bytes.len);
    return true;
}

static void fetched_wrong(void *ctx)
{
    start_over(ctx);
}

static bool from_source(struct copy_worker *worker, struct landing_place *place,
                        struct mir_error *err)
{
    const struct copy_blob *blob = place->blob;
    const struct img_descriptor descriptor = copy_blob_descriptor(blob);
    const struct reg_blob_sink sink = {
        .write = fetched_bytes, .restart = fetched_wrong, .ctx = place};
    const struct bundle_blob *found;

    if (!blob->origin->reader)
        return reg_blob_get(worker->source, &blob->origin->repo, &descriptor, place->at,
                            place->hash, &sink, err);
    if (!find_in_source(blob, &found, err))
        return false;
    return from_layout(place, blob->origin->reader, found, tally_moved, err) ||
           (err->code == MIR_E_DIGEST && is_damaged(blob->origin->reader, found, err));
}

/* From the nearest place that has it: what an earlier run left, what stands there, the source. */
static bool blob_to_layout(struct copy_worker *worker, struct copy_task *task,
                           struct mir_error *err)
{
    auto_hash *hash = mir_hash_new(img_digest_algo(&task->blob->digest));
    struct landing_place place = {.copy = worker->copy, .blob = task->blob, .hash = hash};
    struct mir_error ignored = MIR_ERROR_INIT;

    if (!take_up(&place, err))
        return false;
    if (place.at == task->blob->size) {
        if (check_place(&place, &ignored))
            return true;
        start_over(&place);
    }
    task->was_there = from_standing(&place);
    return task->was_there || from_source(worker, &place, err);
}

static bool to_layout(struct copy_worker *worker, struct copy_task *task, struct mir_error *err)
{
    struct copy *copy = worker->copy;
    bool is_blob = task->kind == COPY_TASK_BLOB;
    size_t planned = is_blob ? task->blob->planned : task->manifest->planned;

    if (bundle_writer_has(copy->writer, planned)) {
        count_there(copy, task);
        return true;
    }
    if (is_blob) {
        if (!blob_to_layout(worker, task, err))
            return false;
    } else {
        const struct mir_span bytes = mir_span(task->manifest->bytes, task->manifest->len);

        if (!bundle_writer_write(copy->writer, planned, 0, bytes, err))
            return false;
        count_bytes(copy, (int64_t)bytes.len);
    }
    return bundle_writer_finish(copy->writer, planned, err);
}

/* ---- into a registry ---- */

struct reading {
    struct copy *copy;
    const struct bundle_reader *reader;
    const struct bundle_blob *blob;
};

/* Read the blob from end to end and check its digest. */
static bool hash_blob(const struct reading *reading, struct mir_error *err)
{
    const struct bundle_blob *blob = reading->blob;
    enum mir_hash_algo algo = img_digest_algo(&blob->digest);
    auto_free char *data = mir_alloc(CHUNK_BYTES);
    auto_hash *hash = mir_hash_new(algo);
    struct img_digest got;

    for (uint64_t at = 0; at < blob->size;) {
        size_t len = chunk_at(at, blob->size);

        if (!stop_if_cancelled(reading->copy, err) ||
            !bundle_reader_read(reading->reader, blob, at, data, len, err))
            return false;
        mir_hash_update(hash, mir_span(data, len));
        at += len;
    }
    img_digest_from_hash(algo, hash, &got);
    return img_digest_check(&blob->digest, &got, err);
}

/* A registry that refused bytes may have been right: are they what the bundle promised? Asked only
 * after a failure, so that a sound bundle is read once. */
static bool explain_bytes(const struct reading *reading, struct mir_error *err)
{
    struct mir_error damage = MIR_ERROR_INIT;

    if (err->code == MIR_E_CANCELLED || err->code == MIR_E_NETWORK || err->code == MIR_E_AUTH)
        return false;
    if (hash_blob(reading, &damage) || damage.code != MIR_E_DIGEST)
        return false;
    *err = damage;
    return is_damaged(reading->reader, reading->blob, err);
}

static bool get_bytes(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    const struct reading *reading = ctx;

    return bundle_reader_read(reading->reader, reading->blob, offset, data, len, err);
}

/* A repository the registry may know the blob in: one we filled, one of an image that was there
 * before, the source's own if it is the same registry, else the destination itself, which turns
 * the request into "do you have it?". */
static const char *mount_from(const struct copy_task *task)
{
    const struct copy_origin *origin = task->blob->origin;

    if (task->after && task->after->state == COPY_TASK_DONE)
        return task->after->repo.name;
    if (task->mount_repo)
        return task->mount_repo;
    if (!origin->reader && strcmp(origin->repo.host, task->repo.host) == 0)
        return origin->repo.name;
    return task->repo.name;
}

static bool blob_to_registry(struct copy_worker *worker, struct copy_task *task,
                             struct mir_error *err)
{
    struct copy *copy = worker->copy;
    const struct copy_blob *blob = task->blob;
    const struct img_descriptor descriptor = copy_blob_descriptor(blob);
    enum reg_put_outcome outcome;
    struct reading reading = {.copy = copy, .reader = blob->origin->reader};
    const struct reg_blob_source source = {.read = get_bytes, .ctx = &reading};
    bool ok;

    if (blob->left_out) {
        if (!copy_left_out_bring(worker, task, err))
            return false;
        count_there(copy, task);
        return true;
    }
    if (copy_stream_has_passed(task)) {
        ok = copy_stream_carry(worker, task, &outcome, err);
    } else if (!reading.reader) {
        ok = reg_blob_relay(worker->source, &blob->origin->repo, worker->destination, &task->repo,
                            &descriptor, mount_from(task), relay_moved, copy, &outcome, err);
    } else {
        ok = find_in_source(blob, &reading.blob, err) &&
             reg_blob_put(worker->destination, &task->repo, &descriptor, mount_from(task), &source,
                          &outcome, err);
    }
    if (!ok)
        return reading.blob && explain_bytes(&reading, err);
    if (outcome == REG_PUT_MOUNTED)
        count_there(copy, task);
    else if (reading.reader)
        count_bytes(copy, (int64_t)blob->size);
    return true;
}

/* Why a registry may refuse a manifest that is as its source had it. */
static bool explain_refusal(const struct copy_manifest *manifest, struct mir_error *err)
{
    if (manifest->is_sparse)
        return mir_hint(err, "--platform left out manifests of this index, and some registries "
                             "want all of them: copy all platforms, or use a registry that takes "
                             "sparse indexes");
    if (manifest->has_foreign)
        return mir_hint(err, "it has non-distributable layers: let the registry accept their URLs "
                             "(docker-registry: validation.manifests.urls.allow)");
    return false;
}

static bool manifest_to_registry(struct copy_worker *worker, const struct copy_task *task,
                                 struct mir_error *err)
{
    const struct copy_manifest *manifest = task->manifest;
    const char *reference = task->tag ? task->tag : manifest->digest.text;
    const struct mir_span bytes = mir_span(manifest->bytes, manifest->len);

    return reg_manifest_put(worker->destination, &task->repo, reference, manifest->media_type,
                            bytes, err) ||
           explain_refusal(manifest, err);
}

static bool to_registry(struct copy_worker *worker, struct copy_task *task, struct mir_error *err)
{
    if (task->kind == COPY_TASK_BLOB)
        return blob_to_registry(worker, task, err);
    return manifest_to_registry(worker, task, err);
}

static bool bring(struct copy_worker *worker, struct copy_task *task, struct mir_error *err)
{
    return worker->copy->writer ? to_layout(worker, task, err) : to_registry(worker, task, err);
}

bool copy_transfer(struct copy_worker *worker, struct copy_task *task, struct mir_error *err)
{
    bool is_blob = task->kind == COPY_TASK_BLOB;
    const char *digest = is_blob ? task->blob->digest.text : task->manifest->digest.text;
    const char *source = is_blob ? task->blob->origin->repo.host : NULL;
    struct copy_breaker *breaker = &worker->copy->breaker;
    bool ok;

    if (!stop_if_cancelled(worker->copy, err))
        return false;
    ok = copy_breaker_may_try(breaker, source, task->repo.host, err) && bring(worker, task, err);
    copy_breaker_note(breaker, source, task->repo.host, err);
    return ok || mir_context(err, "%s %s", is_blob ? "blob" : "manifest", digest);
}
