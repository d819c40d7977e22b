/*
 * Numbers from strangers and numbers for people.
 */
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>

bool mir_parse_u64(struct mir_span text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c < '0' || c > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
            return false;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

const char *mir_bytes_text(uint64_t bytes, char text[MIR_BYTES_TEXT_MAX])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        (void)snprintf(text, MIR_BYTES_TEXT_MAX, "%" PRIu64 " B", bytes);
        return text;
    }
    while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, MIR_BYTES_TEXT_MAX, "%.1f %s", value, units[unit]);
    return text;
}
