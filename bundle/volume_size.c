/*
 * How large volumes are: what users write for it, and how many volumes that makes. Called by the
 * command line, the plan of a copy, and the writer.
 */
#include "bundle/bundle.h"

#include <inttypes.h>
#include <strings.h>

#include "base/num.h"
#include "bundle/plan_priv.h"
#include "bundle/volumes_priv.h"

#define HINT "write 4GiB, 700MB, a number of bytes, \"dvd\" or \"fat32\""

static const struct {
    const char *name;
    uint64_t bytes;
} media[] = {
    {"dvd", 4700000000ull / 2048 * 2048},         /* single layer, in its sectors */
    {"fat32", (4ull << 30) - BUNDLE_VOLUME_UNIT}, /* the largest file is one byte under 4 GiB */
};

static const struct {
    const char *name;
    uint64_t bytes;
} units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", 1ull << 10},
    {"MiB", 1ull << 20},
    {"GiB", 1ull << 30},
    {"TiB", 1ull << 40},
    {"KB", 1000ull},
    {"MB", 1000000ull},
    {"GB", 1000000000ull},
    {"TB", 1000000000000ull},
};

static bool is_letter_unit(struct mir_span unit)
{
    return unit.len == 1 && strchr("kKmMgGtT", unit.ptr[0]);
}

static bool unit_bytes(struct mir_span unit, const char *text, uint64_t *bytes,
                       struct mir_error *err)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (unit.len != strlen(units[i].name) ||
            strncasecmp(unit.ptr, units[i].name, unit.len) != 0)
            continue;
        *bytes = units[i].bytes;
        return true;
    }
    (void)mir_fail(err, MIR_E_USAGE, "\"%.100s\" is no size of a volume", text);
    if (is_letter_unit(unit))
        return mir_hint(err, "write %.100siB (steps of 1024) or %.100sB (steps of 1000)", text,
                        text);
    return mir_hint(err, HINT);
}

/* "4", "4.7": a number, and the thousandths behind it. */
static bool read_number(struct mir_span text, uint64_t *whole, uint64_t *thousandths)
{
    struct mir_span fraction = mir_span("", 0);
    size_t dot;
    bool has_dot = mir_span_find(text, '.', &dot);

    *thousandths = 0;
    if (has_dot)
        fraction = mir_span_from(text, dot + 1);
    if (!mir_parse_u64(has_dot ? mir_span_first(text, dot) : text, INT64_MAX, whole))
        return false;
    if (!has_dot)
        return true;
    if (fraction.len > 3 || !mir_parse_u64(fraction, 999, thousandths))
        return false;
    for (size_t i = fraction.len; i < 3; i++)
        *thousandths *= 10;
    return true;
}

static bool read_size(const char *text, uint64_t *bytes, struct mir_error *err)
{
    size_t digits = strspn(text, "0123456789.");
    uint64_t whole, thousandths, unit = 0;

    for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++) {
        if (strcasecmp(text, media[i].name) != 0)
            continue;
        *bytes = media[i].bytes;
        return true;
    }
    if (!unit_bytes(mir_span_of(text + digits), text, &unit, err))
        return false;
    if (!read_number(mir_span(text, digits), &whole, &thousandths)) {
        (void)mir_fail(err, MIR_E_USAGE, "\"%.100s\" is no size of a volume", text);
        return mir_hint(err, HINT);
    }
    if (__builtin_mul_overflow(whole, unit, bytes) ||
        __builtin_add_overflow(*bytes, unit / 1000 * thousandths + unit % 1000 * thousandths / 1000,
                               bytes) ||
        *bytes > INT64_MAX)
        return mir_fail(err, MIR_E_USAGE, "\"%.100s\" is larger than any file", text);
    return true;
}

bool bundle_volume_size_parse(const char *text, uint64_t *bytes, struct mir_error *err)
{
    uint64_t size = 0;

    if (!read_size(text, &size, err))
        return false;
    if (size < BUNDLE_VOLUME_MIN) {
        (void)mir_fail(err, MIR_E_USAGE, "volumes of %" PRIu64 " bytes are too small", size);
        return mir_hint(err, "take at least 64KiB");
    }
    *bytes = size - size % BUNDLE_VOLUME_UNIT;
    return true;
}

/* The least size that does, in a form that can be typed in. */
static uint64_t least_mebibytes(uint64_t bytes)
{
    return (bytes / BUNDLE_VOLUMES_MAX >> 20) + 1;
}

bool bundle_volumes_count(uint64_t bytes, uint64_t volume_bytes, size_t *count,
                          struct mir_error *err)
{
    uint64_t needed = bundle_volumes_needed(bytes, volume_bytes);

    if (needed > BUNDLE_VOLUMES_MAX) {
        (void)mir_fail(err, MIR_E_USAGE,
                       "%" PRIu64 " bytes in volumes of %" PRIu64 " are %" PRIu64
                       " volumes, and only %d can be numbered",
                       bytes, volume_bytes, needed, BUNDLE_VOLUMES_MAX);
        return mir_hint(err, "take volumes of at least %" PRIu64 "MiB", least_mebibytes(bytes));
    }
    *count = (size_t)needed;
    return true;
}

bool bundle_plan_volumes(const struct bundle_plan *plan, uint64_t volume_bytes, size_t *count,
                         struct mir_error *err)
{
    return bundle_volumes_count(plan->bytes, volume_bytes, count, err);
}
