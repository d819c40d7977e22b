/*
 * Which volume is wrong, when the headers of a set do not follow each other. Called by reader_tar.c
 * once its walk has failed; nothing here makes a bundle readable, it only finds the words.
 */
#include "bundle/reader_priv.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "bundle/tar_priv.h"
#include "bundle/volumes_priv.h"

/* ---- too short ---- */

static bool next_is_missing(const struct bundle_volumes *set, struct mir_error *err)
{
    auto_free char *last = bundle_volumes_name(set, set->count - 1);
    auto_free char *next = bundle_volume_name(set->base, set->count + 1, "");

    if (set->count == 1)
        (void)mir_fail(err, MIR_E_FORMAT, "%s is missing, or %s was cut short", next, last);
    else
        (void)mir_fail(err, MIR_E_NOT_FOUND, "%s is missing: the bundle goes on after %s", next,
                       last);
    return mir_hint(err, "bring all volumes into one directory");
}

bool bundle_set_is_short(const struct bundle_volumes *set, uint64_t needed, struct mir_error *err)
{
    uint64_t before = (set->count - 1) * set->volume_bytes;
    uint64_t size = set->bytes - before, least = needed - before;
    auto_free char *last = bundle_volumes_name(set, set->count - 1);

    if (size == set->volume_bytes)
        return next_is_missing(set, err);
    if (least >= set->volume_bytes)
        return mir_fail(err, MIR_E_FORMAT,
                        "%s is cut short: it has %" PRIu64 " bytes and should have %" PRIu64, last,
                        size, set->volume_bytes);
    return mir_fail(err, MIR_E_FORMAT,
                    "%s is cut short: it has %" PRIu64 " bytes and should have at least %" PRIu64,
                    last, size, least);
}

/* ---- at the wrong place ---- */

/* A tar header has the sum of its bytes in it, with blanks in place of the sum. */
static bool is_header(const unsigned char block[BUNDLE_TAR_BLOCK])
{
    enum { SUM_AT = 148, SUM_LEN = 8 };
    uint64_t sum = 0, stored = 0;
    size_t at = SUM_AT;

    for (size_t i = 0; i < BUNDLE_TAR_BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : block[i];
    while (at < SUM_AT + SUM_LEN && block[at] == ' ')
        at++;
    for (; at < SUM_AT + SUM_LEN && block[at] >= '0' && block[at] <= '7'; at++)
        stored = 8 * stored + (block[at] - (uint64_t)'0');
    return stored == sum && memcmp(block + 257, "ustar", 5) == 0;
}

static bool has_header_at(const struct bundle_volumes *set, size_t index, uint64_t offset)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* what cannot be read is no candidate */
    unsigned char block[BUNDLE_TAR_BLOCK];
    uint64_t place = index * set->volume_bytes + offset;

    if (offset + sizeof(block) > set->volume_bytes || place + sizeof(block) > set->bytes)
        return false;
    return bundle_volumes_pread(set, block, sizeof(block), place, &ignored) && is_header(block);
}

static void swap(struct bundle_volumes *set, size_t a, size_t b)
{
    int fd = set->fds[a];

    set->fds[a] = set->fds[b];
    set->fds[b] = fd;
}

/* Is all well with these two the other way round? */
static bool is_swapped(struct bundle_volumes *set, size_t a, size_t b)
{
    bool sound;

    swap(set, a, b);
    sound = bundle_tar_is_sound(set);
    swap(set, a, b);
    return sound;
}

/* Does another volume have the header that should be at this place, so that all is well when the
 * two change places? */
static bool find_swapped(struct bundle_volumes *set, uint64_t place, size_t *found)
{
    size_t index = (size_t)(place / set->volume_bytes);

    /* One of the two may be the last, if it is as large. If not, it has shown by its size. */
    for (size_t other = 0; other < set->count; other++) {
        if (other == index || !has_header_at(set, other, place % set->volume_bytes) ||
            !is_swapped(set, index, other))
            continue;
        *found = other;
        return true;
    }
    return false;
}

static bool are_swapped(const struct bundle_volumes *set, size_t a, size_t b, struct mir_error *err)
{
    auto_free char *first = bundle_volumes_name(set, a < b ? a : b);
    auto_free char *second = bundle_volumes_name(set, a < b ? b : a);

    return bundle_volumes_swapped(first, second, err);
}

bool bundle_set_is_misplaced(struct bundle_volumes *set, uint64_t place, struct mir_error *err)
{
    size_t index = (size_t)(place / set->volume_bytes), other;
    auto_free char *here = bundle_volumes_name(set, index);

    if (find_swapped(set, place, &other))
        return are_swapped(set, index, other, err);
    (void)mir_fail(err, MIR_E_FORMAT,
                   "%s is damaged, belongs to another bundle, or is not volume %zu: no header at"
                   " its byte %" PRIu64,
                   here, index + 1, place % set->volume_bytes);
    return mir_hint(err, "copy the volumes again, into an empty directory");
}

/* ---- too long ---- */

/* Some tools fill an archive up with zeros, to a size of their own. */
static bool begins_with_zeros(const struct bundle_volumes *set, size_t index)
{
    struct mir_error ignored = MIR_ERROR_INIT;
    uint64_t place = index * set->volume_bytes;
    char block[BUNDLE_TAR_BLOCK] = "";
    size_t len = set->bytes - place < sizeof(block) ? (size_t)(set->bytes - place) : sizeof(block);

    if (!bundle_volumes_pread(set, block, len, place, &ignored))
        return false;
    for (size_t i = 0; i < len; i++)
        if (block[i] != 0)
            return false;
    return true;
}

bool bundle_set_check_end(struct bundle_volumes *set, uint64_t end, struct mir_error *err)
{
    size_t index = (size_t)((end - 1) / set->volume_bytes), other;
    auto_free char *here = NULL, *next = NULL;

    if (index + 1 >= set->count || begins_with_zeros(set, index + 1))
        return true;
    /* Zeros where a header should be end an archive too. */
    if (find_swapped(set, end - BUNDLE_TAR_END, &other))
        return are_swapped(set, (size_t)((end - BUNDLE_TAR_END) / set->volume_bytes), other, err);
    here = bundle_volumes_name(set, index);
    next = bundle_volumes_name(set, index + 1);
    (void)mir_fail(err, MIR_E_FORMAT, "%s does not belong to this bundle, which ends in %s", next,
                   here);
    return mir_hint(err, "take the volumes of other bundles out of the directory");
}
