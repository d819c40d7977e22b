/*
 * One blob or manifest into a layout. Bytes go from the socket (or the source file) straight to
 * their place; they are hashed on the way and never kept whole. Called by transfer.c.
 *
 * Invariant: no blob of a layout is finished whose digest was not checked in this run, whoever
 * wrote its bytes. What is on the disk already, of an earlier run too, is hashed and not fetched.
 */
#include "base/mem.h"
#include "copy/transfer_priv.h"

#define TAKE_BYTES (16u << 20) /* from file to file; whole blocks, and still in the cache */

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
    copy_count_bytes(place->copy, (int64_t)bytes);
}

static void tally_reused(struct landing_place *place, size_t bytes)
{
    place->reused += (int64_t)bytes;
    copy_count_reused(place->copy, (int64_t)bytes);
}

/* What is there is wrong. */
static void start_over(struct landing_place *place)
{
    mir_log(place->copy->options.sink, MIR_LEVEL_DEBUG, "blob %s starts over",
            place->blob->digest.text);
    bundle_writer_reset(place->copy->writer, place->blob->planned);
    mir_hash_reset(place->hash);
    copy_count_bytes(place->copy, -place->moved);
    copy_count_reused(place->copy, -place->reused);
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

/* Hash what is on the disk of the blob. */
static bool hash_up(struct landing_place *place,
                    void (*tally)(struct landing_place *place, size_t bytes), struct mir_error *err)
{
    struct bundle_writer *writer = place->copy->writer;
    size_t planned = place->blob->planned;
    uint64_t reached = bundle_writer_reached(writer, planned);
    auto_free char *data = place->at < reached ? mir_alloc(COPY_CHUNK_BYTES) : NULL;

    while (place->at < reached) {
        size_t len = copy_chunk_at(place->at, reached);

        if (!copy_stop_if_cancelled(place->copy, err) ||
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
    const struct mir_span bytes = mir_span(data, copy_chunk_at(place->at, from->size));

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
        if (!copy_stop_if_cancelled(place->copy, err))
            return false;
        if (!data && take_piece(place, reader, from)) {
            if (!hash_up(place, tally, err))
                return false;
            continue;
        }
        if (!data)
            data = mir_alloc(COPY_CHUNK_BYTES);
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
        return reg_blob_get(copy_worker_source(worker, blob->origin), &blob->origin->repo,
                            &descriptor, place->at, place->hash, &sink, err);
    if (!copy_source_find(blob, &found, err))
        return false;
    return from_layout(place, blob->origin->reader, found, tally_moved, err) ||
           (err->code == MIR_E_DIGEST && copy_source_damaged(blob->origin->reader, found, err));
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

bool copy_transfer_to_layout(struct copy_worker *worker, struct copy_task *task,
                             struct mir_error *err)
{
    struct copy *copy = worker->copy;
    bool is_blob = task->kind == COPY_TASK_BLOB;
    size_t planned = is_blob ? task->blob->planned : task->manifest->planned;

    if (bundle_writer_has(copy->writer, planned)) {
        copy_count_there(copy, task);
        return true;
    }
    if (is_blob) {
        if (!blob_to_layout(worker, task, err))
            return false;
    } else {
        const struct mir_span bytes = mir_span(task->manifest->bytes, task->manifest->len);

        if (!bundle_writer_write(copy->writer, planned, 0, bytes, err))
            return false;
        copy_count_bytes(copy, (int64_t)bytes.len);
    }
    return bundle_writer_finish(copy->writer, planned, err);
}
