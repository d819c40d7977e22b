/*
 * What earlier runs brought and this one may use. Called by the writer of tars: at begin, when a
 * blob is asked for, and when images are dropped.
 *
 * Invariant: a leftover goes away only when what it holds is in the set being written, or is worth
 * less than what takes its place.
 */
#include "bundle/leftover_priv.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/tar_priv.h"
#include "bundle/volumes_priv.h"

/* Blocks of smaller ranges are not worth a system call each. */
#define PUNCH_MIN (1u << 20)
/* What a request or two bring is not worth two files beside the bundle. */
#define SAVE_MIN (64u << 10)

struct bundle_leftover {
    struct bundle_volumes *files;
    struct bundle_journal *journal;
    char *journal_name;
    struct bundle_record record;
    size_t *order;        /* indexes into record.places, sorted by key */
    pthread_mutex_t lock; /* over what record.places say is reached */
};

static const char *suffix_of(enum bundle_leftover_kind kind)
{
    switch (kind) {
    case BUNDLE_LEFTOVER_OLD:
        return BUNDLE_LEFTOVER_SUFFIX;
    case BUNDLE_LEFTOVER_SAVED:
        return BUNDLE_PARTIAL_SUFFIX ".saved";
    }
    return "";
}

char *bundle_leftover_journal_name(const char *path, enum bundle_leftover_kind kind)
{
    const char *suffix = suffix_of(kind);

    return mir_format("%s" BUNDLE_JOURNAL_SUFFIX "%s", path,
                      suffix + strlen(BUNDLE_PARTIAL_SUFFIX));
}

/* ---- opening ---- */

static int compare_keys(const void *a, const void *b, void *ctx)
{
    const struct bundle_place *places = ctx;
    uint64_t x = places[*(const size_t *)a].key, y = places[*(const size_t *)b].key;

    return x < y ? -1 : x > y;
}

static void sort_places(struct bundle_leftover *leftover)
{
    size_t count = leftover->record.count;

    leftover->order = mir_alloc_array(count, sizeof(*leftover->order));
    for (size_t i = 0; i < count; i++)
        leftover->order[i] = i;
    qsort_r(leftover->order, count, sizeof(*leftover->order), compare_keys,
            leftover->record.places);
}

void bundle_leftover_close(struct bundle_leftover *leftover)
{
    if (!leftover)
        return;
    bundle_volumes_free(leftover->files);
    bundle_journal_close(leftover->journal);
    bundle_record_release(&leftover->record);
    free(leftover->journal_name);
    free(leftover->order);
    (void)pthread_mutex_destroy(&leftover->lock);
    free(leftover);
}

/* Without a journal nobody knows what the files hold, or how many there are. */
static void remove_stray(const char *path, enum bundle_leftover_kind kind)
{
    const char *suffix = suffix_of(kind);
    auto_free char *journal = bundle_leftover_journal_name(path, kind);
    auto_free char *file = bundle_volume_name(path, 0, suffix);
    auto_free char *volume = bundle_volume_name(path, 1, suffix);
    struct stat info;

    (void)unlink(journal);
    (void)unlink(file);
    if (lstat(volume, &info) == 0)
        bundle_volumes_remove_above(path, suffix, 0);
}

static bool open_both(struct bundle_leftover *leftover, const char *path,
                      enum bundle_leftover_kind kind, struct mir_error *err)
{
    if (!bundle_journal_open(leftover->journal_name, &leftover->journal, &leftover->record, err))
        return false;
    leftover->files = bundle_volumes_new(path, suffix_of(kind), leftover->record.volume_bytes,
                                         leftover->record.bytes);
    return bundle_volumes_open_all(leftover->files, err);
}

bool bundle_leftover_open(const char *path, enum bundle_leftover_kind kind,
                          struct bundle_leftover **out, struct mir_error *err)
{
    struct bundle_leftover *leftover = mir_alloc(sizeof(*leftover));
    struct mir_error trouble = MIR_ERROR_INIT;

    (void)pthread_mutex_init(&leftover->lock, NULL);
    leftover->journal_name = bundle_leftover_journal_name(path, kind);
    if (open_both(leftover, path, kind, &trouble)) {
        sort_places(leftover);
        *out = leftover;
        return true;
    }
    bundle_leftover_close(leftover);
    *out = NULL;
    if (bundle_journal_is_useless(&trouble)) {
        remove_stray(path, kind);
        return true;
    }
    *err = trouble;
    return false;
}

void bundle_leftover_remove(struct bundle_leftover *leftover)
{
    if (!leftover)
        return;
    bundle_volumes_remove(leftover->files);
    (void)unlink(leftover->journal_name);
    bundle_leftover_close(leftover);
}

uint64_t bundle_leftover_reached(const struct bundle_leftover *leftover)
{
    return bundle_record_reached(&leftover->record);
}

/* ---- taking ---- */

/* A place of this blob, or of another with the same key; NULL when there is none. */
static struct bundle_place *find(const struct bundle_leftover *leftover,
                                 const struct bundle_blob *blob)
{
    uint64_t key = bundle_record_key(&blob->digest);
    size_t low = 0, high = leftover->record.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct bundle_place *place = &leftover->record.places[leftover->order[middle]];

        if (place->key == key)
            return place;
        if (place->key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* How many bytes there are of a blob at this place. All of them are tried once, unless max says
 * that the rest comes later. */
static uint64_t claim_bytes(struct bundle_leftover *leftover, struct bundle_place *place,
                            const struct bundle_blob *blob, uint64_t reached, uint64_t max)
{
    uint64_t there;

    (void)pthread_mutex_lock(&leftover->lock);
    there = place->reached;
    if (there <= reached || there > blob->size || there - reached <= max)
        place->reached = 0;
    (void)pthread_mutex_unlock(&leftover->lock);
    if (there <= reached || there > blob->size)
        return 0;
    return there - reached < max ? there - reached : max;
}

bool bundle_leftover_take(struct bundle_leftover *leftover, const struct bundle_blob *blob,
                          const struct bundle_volumes *to, uint64_t to_offset, uint64_t max,
                          uint64_t *reached, struct mir_error *err)
{
    struct bundle_place *place = find(leftover, blob);
    uint64_t len;

    if (!place)
        return true;
    len = claim_bytes(leftover, place, blob, *reached, max);
    if (len == 0)
        return true;
    if (!bundle_volumes_copy(leftover->files, place->offset + *reached, to, to_offset + *reached,
                             len, err))
        return false;
    *reached += len;
    return true;
}

void bundle_leftover_forget(struct bundle_leftover *leftover, const struct bundle_blob *blob,
                            uint64_t end)
{
    const struct bundle_place *place = find(leftover, blob);
    uint64_t left;

    if (!place || place->offset >= leftover->record.bytes)
        return;
    left = leftover->record.bytes - place->offset;
    bundle_volumes_punch(leftover->files, place->offset, end < left ? end : left);
}

void bundle_leftover_punch(struct bundle_leftover *leftover)
{
    const struct bundle_record *record = &leftover->record;

    /* Only there do places follow one another. */
    for (size_t i = 0; i < record->count && record->state == BUNDLE_JOURNAL_WRITING; i++) {
        const struct bundle_place *place = &record->places[i];
        uint64_t begin = place->offset + place->reached;
        uint64_t end = i + 1 < record->count ? record->places[i + 1].offset : record->bytes;

        /* In a journal that is not of our making nothing need be in order. */
        if (begin <= end && end <= record->bytes && end - begin >= PUNCH_MIN)
            bundle_volumes_punch(leftover->files, begin, end - begin);
    }
}

/* ---- saving ---- */

/* Where each blob that is to be saved goes, one behind the other. Its places are those of blobs
 * with something to save, in the order of the plan. */
static void plan_saved(const struct bundle_writer *writer, struct bundle_record *out)
{
    const struct bundle_plan *plan = writer->plan;
    uint64_t at = 0;

    *out = (struct bundle_record){.volume_bytes = writer->volume_bytes};
    out->places = mir_alloc_array(plan->blob_count, sizeof(*out->places));
    for (size_t i = 0; i < plan->blob_count; i++) {
        uint64_t size = writer->reached[i];

        if (writer->kept_blobs[i] || size == 0)
            continue;
        out->places[out->count++] =
            (struct bundle_place){.key = bundle_record_key(&plan->blobs[i].digest), .offset = at};
        at += size + bundle_tar_padding(size); /* less than the plan's bytes */
    }
    out->bytes = at;
    mir_hash_bytes(MIR_HASH_SHA256, mir_span_of("saved"), out->plan); /* no plan fits it */
}

static bool copy_saved(const struct bundle_writer *writer, const struct bundle_record *record,
                       const struct bundle_journal *journal, const struct bundle_volumes *files,
                       struct mir_error *err)
{
    const struct bundle_plan *plan = writer->plan;
    size_t place = 0;

    for (size_t i = 0; i < plan->blob_count; i++) {
        if (writer->kept_blobs[i] || writer->reached[i] == 0)
            continue;
        if (!bundle_volumes_copy(writer->volumes, plan->blob_offsets[i], files,
                                 record->places[place].offset, writer->reached[i], err) ||
            !bundle_journal_note(journal, place, writer->reached[i], err))
            return false;
        place++;
    }
    return true;
}

static void close_journal(struct bundle_journal **journal)
{
    bundle_journal_close(*journal);
}

static void free_files(struct bundle_volumes **files)
{
    bundle_volumes_free(*files);
}

bool bundle_leftover_save(const struct bundle_writer *writer, struct mir_error *err)
{
    const char *suffix = suffix_of(BUNDLE_LEFTOVER_SAVED);
    auto_free char *name = bundle_leftover_journal_name(writer->path, BUNDLE_LEFTOVER_SAVED);
    __attribute__((cleanup(close_journal))) struct bundle_journal *journal = NULL;
    __attribute__((cleanup(free_files))) struct bundle_volumes *files = NULL;
    auto_record record;

    plan_saved(writer, &record);
    remove_stray(writer->path, BUNDLE_LEFTOVER_SAVED);
    if (record.bytes < SAVE_MIN)
        return true;
    files = bundle_volumes_new(writer->path, suffix, writer->volume_bytes, record.bytes);
    if (bundle_volumes_create(files, err) && bundle_volumes_stretch(files, err) &&
        bundle_journal_create(name, &record, &journal, err) &&
        copy_saved(writer, &record, journal, files, err))
        return true;
    bundle_volumes_remove(files);
    (void)unlink(name);
    return false;
}
