/*
 * Ranges, so that a broken download of a layer can go on where it stopped. The result always lies
 * within the blob.
 */
#include "serve/range_priv.h"

#include <strings.h>

#include "base/span.h"

/* Digits only; what is too large becomes the largest number, which no blob reaches. */
static bool parse_position(struct mir_span text, uint64_t *out)
{
    uint64_t value = 0;
    bool too_large = false;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        too_large |= __builtin_mul_overflow(value, UINT64_C(10), &value);
        too_large |= __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value);
    }
    *out = too_large ? UINT64_MAX : value;
    return true;
}

static struct serve_range part(uint64_t start, uint64_t end, uint64_t size)
{
    if (start >= size)
        return (struct serve_range){.kind = SERVE_RANGE_UNSATISFIABLE};
    if (end > size)
        end = size;
    return (struct serve_range){SERVE_RANGE_PART, start, end - start};
}

/* "bytes=-N": the last N bytes. */
static struct serve_range suffix(uint64_t len, uint64_t size)
{
    if (len == 0)
        return (struct serve_range){.kind = SERVE_RANGE_UNSATISFIABLE};
    return part(len < size ? size - len : 0, size, size);
}

struct serve_range serve_range_parse(const char *header, uint64_t size)
{
    struct serve_range whole = {SERVE_RANGE_WHOLE, 0, size};
    struct mir_span spec, first, last;
    uint64_t from, to;
    size_t dash;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return whole;
    spec = mir_span_trim(mir_span_of(header + 6));
    if (!mir_span_find(spec, '-', &dash))
        return whole;
    first = mir_span_first(spec, dash);
    last = mir_span_from(spec, dash + 1);
    if (first.len == 0)
        return parse_position(last, &to) ? suffix(to, size) : whole;
    if (!parse_position(first, &from))
        return whole;
    if (last.len == 0)
        return part(from, size, size);
    if (!parse_position(last, &to) || to < from)
        return whole;
    return part(from, to < UINT64_MAX ? to + 1 : to, size);
}
