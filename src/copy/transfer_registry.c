/*
 * One blob or manifest into a registry. Bytes go from the socket (or the source file) straight to
 * the destination and are never kept whole. Called by transfer.c.
 *
 * Invariant: no bytes of a blob are sent before the registry was asked to mount it.
 */
#include "base/mem.h"
#include "copy/left_out.h"
#include "copy/stream.h"
#include "copy/transfer_priv.h"

static void relay_moved(void *ctx, int64_t bytes)
{
    copy_count_bytes(ctx, bytes);
}

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
    auto_free char *data = mir_alloc(COPY_CHUNK_BYTES);
    auto_hash *hash = mir_hash_new(algo);
    struct img_digest got;

    for (uint64_t at = 0; at < blob->size;) {
        size_t len = copy_chunk_at(at, blob->size);

        if (!copy_stop_if_cancelled(reading->copy, err) ||
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
    return copy_source_damaged(reading->reader, reading->blob, err);
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
        copy_count_there(copy, task);
        return true;
    }
    if (copy_stream_has_passed(task)) {
        ok = copy_stream_carry(worker, task, &outcome, err);
    } else if (!reading.reader) {
        ok = reg_blob_relay(copy_worker_source(worker, blob->origin), &blob->origin->repo,
                            worker->destination, &task->repo, &descriptor, mount_from(task),
                            relay_moved, copy, &outcome, err);
    } else {
        ok = copy_source_find(blob, &reading.blob, err) &&
             reg_blob_put(worker->destination, &task->repo, &descriptor, mount_from(task), &source,
                          &outcome, err);
    }
    if (!ok)
        return reading.blob && explain_bytes(&reading, err);
    if (outcome == REG_PUT_MOUNTED)
        copy_count_there(copy, task);
    else if (reading.reader)
        copy_count_bytes(copy, (int64_t)blob->size);
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

bool copy_transfer_to_registry(struct copy_worker *worker, struct copy_task *task,
                               struct mir_error *err)
{
    if (task->kind == COPY_TASK_BLOB)
        return blob_to_registry(worker, task, err);
    return manifest_to_registry(worker, task, err);
}
