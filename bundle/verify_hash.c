/*
 * Hashing every blob of a bundle with several threads. Called by verify.c.
 *
 * The queue is an order of the entries and one atomic counter. Large blobs go first, so that no
 * thread is left alone with one at the end; within the large and within the small ones the order is
 * that of the file, which is what disks and DVDs like.
 */
#include "bundle/verify_priv.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"

#define CHUNK      (1u << 20)
#define LARGE      (16u << 20) /* bytes; a second or less of hashing */
#define JOBS_LIMIT 256

struct queue {
    struct bundle_check *check;
    size_t *order; /* indexes into the reader's entries */
    atomic_size_t next;
    atomic_uint_fast64_t bytes;
};

static int compare_places(const void *a, const void *b, void *ctx)
{
    const struct bundle_entry *entries = ctx;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    bool large_i = entries[i].blob.size >= LARGE, large_j = entries[j].blob.size >= LARGE;

    if (large_i != large_j)
        return large_i ? -1 : 1;
    if (entries[i].offset != entries[j].offset)
        return entries[i].offset < entries[j].offset ? -1 : 1;
    return i < j ? -1 : i > j;
}

static bool hash_blob(const struct bundle_reader *reader, const struct bundle_blob *blob,
                      const struct mir_cancel *cancel, char *chunk, struct img_digest *got,
                      struct mir_error *err)
{
    enum mir_hash_algo algo = img_digest_algo(&blob->digest);
    auto_hash *hash = mir_hash_new(algo);
    uint64_t offset = 0;

    while (offset < blob->size) {
        uint64_t left = blob->size - offset;
        size_t len = left < CHUNK ? (size_t)left : CHUNK;

        if (mir_is_cancelled(cancel))
            return mir_fail(err, MIR_E_CANCELLED, "cancelled");
        if (!bundle_reader_read(reader, blob, offset, chunk, len, err))
            return false;
        mir_hash_update(hash, mir_span(chunk, len));
        offset += len;
    }
    img_digest_from_hash(algo, hash, got);
    return true;
}

bool bundle_reader_hash(const struct bundle_reader *reader, const struct bundle_blob *blob,
                        const struct mir_cancel *cancel, struct img_digest *out,
                        struct mir_error *err)
{
    auto_free char *chunk = mir_alloc(CHUNK);

    return hash_blob(reader, blob, cancel, chunk, out, err);
}

static void check_entry(struct queue *queue, size_t index, char *chunk)
{
    const struct bundle_entry *entry = &queue->check->reader->entries[index];
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *where = bundle_reader_where(queue->check->reader, &entry->blob.digest);
    struct img_digest got;

    if (!hash_blob(queue->check->reader, &entry->blob, queue->check->sink->cancel, chunk, &got,
                   &err)) {
        queue->check->trouble[index] = mir_format("cannot be read: %s", err.text);
        return;
    }
    atomic_fetch_add(&queue->bytes, entry->blob.size);
    if (!img_digest_equal(&got, &entry->blob.digest))
        queue->check->trouble[index] =
            mir_format("has other content than its digest says (%s)%s", got.text, where);
}

static void *work(void *ctx)
{
    struct queue *queue = ctx;
    auto_free char *chunk = mir_alloc(CHUNK);

    while (!mir_is_cancelled(queue->check->sink->cancel)) {
        size_t place = atomic_fetch_add(&queue->next, 1);

        if (place >= queue->check->reader->entry_count)
            break;
        if (queue->check->wanted && !queue->check->wanted[queue->order[place]])
            continue;
        check_entry(queue, queue->order[place], chunk);
    }
    return NULL;
}

/* The calling thread works too; if the system gives us fewer threads, they do it all. */
static void work_with(struct queue *queue, unsigned jobs)
{
    pthread_t threads[JOBS_LIMIT];
    unsigned started = 0;

    while (started + 1 < jobs && started < JOBS_LIMIT &&
           pthread_create(&threads[started], NULL, work, queue) == 0)
        started++;
    (void)work(queue);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
}

bool bundle_check_hashes(struct bundle_check *check, unsigned jobs, struct mir_error *err)
{
    const struct bundle_reader *reader = check->reader;
    auto_free size_t *order = mir_alloc_array(reader->entry_count, sizeof(*order));
    struct queue queue = {.check = check, .order = order};

    for (size_t i = 0; i < reader->entry_count; i++)
        order[i] = i;
    qsort_r(order, reader->entry_count, sizeof(*order), compare_places, reader->entries);
    work_with(&queue, jobs);
    if (mir_is_cancelled(check->sink->cancel))
        return mir_fail(err, MIR_E_CANCELLED, "verify %s: cancelled", reader->path);
    check->totals->bytes += atomic_load(&queue.bytes);
    return true;
}
