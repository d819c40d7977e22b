/*
 * Verifying a bundle that comes through a pipe: every blob is hashed as it passes by, and what was
 * found is kept until all have come; then the images are followed as those of a file. Called by
 * src/cli.
 */
#include "bundle/pipe_priv.h"

#include "base/mem.h"
#include "bundle/verify_priv.h"
#include "image/manifest.h"

#define CHUNK (256u << 10)

/* One blob that was hashed. */
struct hashed {
    struct bundle_blob blob;
    char *trouble; /* or NULL */
};

struct pass {
    struct bundle_reader *reader;
    const struct mir_cancel *cancel;
    struct hashed *blobs;
    size_t count, capacity;
    char *chunk;
};

static void release(struct pass *pass)
{
    for (size_t i = 0; i < pass->count; i++)
        free(pass->blobs[i].trouble);
    free(pass->blobs);
    free(pass->chunk);
}

static bool hash_blob(struct pass *pass, const struct bundle_blob *blob, struct img_digest *got,
                      struct mir_error *err)
{
    enum mir_hash_algo algo = img_digest_algo(&blob->digest);
    auto_hash *hash = mir_hash_new(algo);

    for (uint64_t at = 0; at < blob->size;) {
        uint64_t left = blob->size - at;
        size_t len = left < CHUNK ? (size_t)left : CHUNK;

        if (mir_is_cancelled(pass->cancel))
            return mir_fail(err, MIR_E_CANCELLED, "verify %s: cancelled", pass->reader->path);
        if (!bundle_reader_read(pass->reader, blob, at, pass->chunk, len, err))
            return false;
        mir_hash_update(hash, mir_span(pass->chunk, len));
        at += len;
    }
    img_digest_from_hash(algo, hash, got);
    return true;
}

static bool note_blob(struct pass *pass, const struct bundle_blob *blob, struct mir_error *err)
{
    struct img_digest got;
    struct hashed *hashed;

    if (!hash_blob(pass, blob, &got, err))
        return false;
    mir_grow(&pass->blobs, pass->count, &pass->capacity, sizeof(*pass->blobs));
    hashed = &pass->blobs[pass->count++];
    *hashed = (struct hashed){.blob = *blob};
    if (!img_digest_equal(&got, &blob->digest))
        hashed->trouble = mir_format("has other content than its digest says (%s)", got.text);
    return true;
}

static bool hash_all(struct pass *pass, struct mir_error *err)
{
    const struct bundle_blob *blob;

    for (size_t i = 0; i < bundle_pipe_kept_count(pass->reader->pipe); i++)
        if (!note_blob(pass, bundle_pipe_kept(pass->reader->pipe, i), err))
            return false;
    while (bundle_reader_next(pass->reader, &blob, err)) {
        if (!blob)
            return bundle_reader_drain(pass->reader, err);
        if (!bundle_pipe_check_late(pass->reader, blob, err) || !note_blob(pass, blob, err))
            return false;
    }
    return false;
}

static int by_digest(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;

    return strcmp(x->blob.digest.text, y->blob.digest.text);
}

/* From now on the reader has the entries of what came, as one of a file has, and what is wrong with
 * each. */
static bool hand_over(struct pass *pass, struct mir_error *err)
{
    struct bundle_reader *reader = pass->reader;

    if (pass->count > 0)
        qsort(pass->blobs, pass->count, sizeof(*pass->blobs), by_digest);
    reader->trouble = mir_alloc_array(pass->count, sizeof(char *));
    for (size_t i = 0; i < pass->count; i++) {
        if (!bundle_reader_add(reader, &pass->blobs[i].blob.digest, pass->blobs[i].blob.size, 0,
                               err))
            return false;
        reader->trouble[i] = mir_steal(&pass->blobs[i].trouble);
    }
    return true;
}

bool bundle_verify_pipe(struct bundle_reader *reader, struct bundle_reader *const *bases,
                        size_t base_count, unsigned jobs, const struct bundle_verify_sink *sink,
                        struct bundle_verify_totals *totals, struct mir_error *err)
{
    __attribute__((cleanup(release))) struct pass pass = {
        .reader = reader, .cancel = sink->cancel, .chunk = mir_alloc(CHUNK)};

    return hash_all(&pass, err) && hand_over(&pass, err) &&
           bundle_verify_with(reader, bases, base_count, jobs, sink, totals, err);
}

void bundle_check_take_hashes(struct bundle_check *check)
{
    const struct bundle_reader *reader = check->reader;

    for (size_t i = 0; i < reader->entry_count; i++) {
        check->trouble[i] = mir_strdup(reader->trouble[i]);
        check->totals->bytes += reader->entries[i].blob.size;
    }
}
