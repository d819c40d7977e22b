/*
 * What a differential leaves out, seen by verify: it may be missing, but has to be listed with the
 * right size; and where bases are given it has to be in one of them, sound. Called by verify.c and
 * verify_walk.c.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "bundle/verify_priv.h"

/* Which entries of a base does the bundle need? Those that no base before it has. */
static bool *find_wanted(const struct bundle_check *check, const struct bundle_reader *base)
{
    bool *wanted = mir_alloc_array(base->entry_count, sizeof(*wanted));

    for (size_t i = 0; i < base->entry_count; i++) {
        const struct img_digest *digest = &base->entries[i].blob.digest;

        wanted[i] = bundle_reader_leaves_out(check->reader, digest) != NULL;
        for (size_t j = 0; j < check->base_count && wanted[i]; j++)
            wanted[i] = !bundle_reader_entry(check->bases[j].reader, digest);
    }
    return wanted;
}

bool bundle_check_bases(struct bundle_check *check, struct bundle_reader *const *bases,
                        size_t base_count, unsigned jobs, struct mir_error *err)
{
    check->bases = mir_alloc_array(base_count, sizeof(*check->bases));
    for (size_t i = 0; i < base_count; i++) {
        struct bundle_check *base = &check->bases[i];
        bool *wanted = find_wanted(check, bases[i]);

        *base =
            (struct bundle_check){.reader = bases[i],
                                  .sink = check->sink,
                                  .totals = check->totals,
                                  .trouble = mir_alloc_array(bases[i]->entry_count, sizeof(char *)),
                                  .wanted = wanted,
                                  .used = wanted};
        check->base_count++;
        if (!bundle_check_hashes(base, jobs, err))
            return false;
    }
    return true;
}

void bundle_check_release_bases(struct bundle_check *check)
{
    for (size_t i = 0; i < check->base_count; i++) {
        struct bundle_check *base = &check->bases[i];

        for (size_t j = 0; j < base->reader->entry_count; j++)
            free(base->trouble[j]);
        free(base->trouble);
        free(base->used);
    }
    free(check->bases);
}

/* In the first base that has it; the others were not hashed for it. */
static char *check_in_bases(const struct bundle_check *check, const struct bundle_left_out *entry)
{
    for (size_t i = 0; i < check->base_count; i++) {
        const struct bundle_check *base = &check->bases[i];
        const struct bundle_entry *found = bundle_reader_entry(base->reader, &entry->digest);
        const char *trouble;

        if (!found)
            continue;
        trouble = base->trouble[found - base->reader->entries];
        if (trouble)
            return mir_format("is left out, and in %s %s", bundle_reader_path(base->reader),
                              trouble);
        if (found->blob.size != entry->size)
            return mir_format("is left out, and has %" PRIu64 " bytes in %s, not %" PRIu64,
                              found->blob.size, bundle_reader_path(base->reader), entry->size);
        return NULL;
    }
    if (check->base_count == 0)
        return NULL;
    return mir_strdup("is left out, and not in the bases given");
}

char *bundle_check_left_out(struct bundle_check *check, const struct bundle_left_out *entry,
                            uint64_t size)
{
    const struct bundle_base *base = bundle_reader_base(check->reader);
    size_t index = (size_t)(entry - base->blobs);

    if (entry->size != size)
        return mir_format("is left out with %" PRIu64 " bytes, not the %" PRIu64
                          " it was announced with",
                          entry->size, size);
    if (!check->seen[index]) {
        check->seen[index] = true;
        check->totals->left_out++;
        check->totals->bytes_left_out += entry->size;
    }
    return check_in_bases(check, entry);
}
