/*
 * Every blob against its digest, without a word on images: for who serves a bundle and wants to
 * know of each blob whether it may go out. The hashing is that of verify.
 */
#include "bundle/bundle.h"

#include "base/mem.h"
#include "bundle/verify_priv.h"

static void release_troubles(struct bundle_check *check)
{
    for (size_t i = 0; i < check->reader->entry_count; i++)
        free(check->trouble[i]);
    free(check->trouble);
}

bool bundle_reader_hash_all(const struct bundle_reader *reader, unsigned jobs,
                            const struct mir_cancel *cancel, bundle_hashed *hashed, void *ctx,
                            struct mir_error *err)
{
    struct bundle_verify_sink sink = {.cancel = cancel};
    struct bundle_verify_totals totals = {.bytes = 0};
    __attribute__((cleanup(release_troubles))) struct bundle_check check = {
        .reader = reader,
        .sink = &sink,
        .totals = &totals,
        .trouble = mir_alloc_array(reader->entry_count, sizeof(char *)),
    };

    if (!bundle_check_hashes(&check, jobs, err))
        return false;
    for (size_t i = 0; i < reader->entry_count; i++)
        hashed(ctx, &reader->entries[i].blob, check.trouble[i]);
    return true;
}
