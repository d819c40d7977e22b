/*
 * Any bytes as a journal: what comes out is a set of files that can be, and places in it; and a
 * journal that was read can be kept, and stays one.
 */
#include <assert.h>
#include <stdint.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/journal_priv.h"
#include "bundle/volumes_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const struct bundle_record *record)
{
    uint64_t files = bundle_volumes_needed(record->bytes, record->volume_bytes);

    assert(record->bytes <= INT64_MAX && strlen(record->plan) == 64);
    assert(files >= 1 && files <= BUNDLE_VOLUMES_MAX);
    assert(record->volume_bytes % BUNDLE_VOLUME_UNIT == 0);
    assert(record->volume_bytes > 0 || record->state != BUNDLE_JOURNAL_COMMITTING);
    for (size_t i = 0; i < record->count; i++) {
        const struct bundle_place *place = &record->places[i];

        assert(place->reached == 0 ||
               (place->offset <= record->bytes && place->reached <= record->bytes - place->offset));
    }
}

static void note_in_it(const char *path, const struct bundle_record *before)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;
    auto_record first, after;

    if (!bundle_journal_open(path, &journal, &first, &err))
        abort();
    for (size_t i = 0; i < before->count; i++)
        if (!bundle_journal_note(journal, i, 0, &err))
            abort();
    bundle_journal_close(journal);
    if (!bundle_journal_open(path, &journal, &after, &err))
        abort();
    bundle_journal_close(journal);
    assert(after.count == before->count && bundle_record_reached(&after) == 0);
    for (size_t i = 0; i < before->count; i++)
        assert(after.places[i].key == before->places[i].key &&
               after.places[i].offset == before->places[i].offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_error err = MIR_ERROR_INIT;
    char path[] = "/tmp/mirror-fuzz-XXXXXX";
    auto_record record = {.count = 0};
    auto_close int fd = -1;

    if (!bundle_record_parse(mir_span(data, size), &record, &err)) {
        assert(err.code == MIR_E_FORMAT && err.text[0] != '\0');
        return 0;
    }
    check_record(&record);
    fd = mkstemp(path);
    if (fd < 0 || !mir_write_full(fd, mir_span(data, size), &err))
        abort();
    note_in_it(path, &record);
    (void)unlink(path);
    return 0;
}
