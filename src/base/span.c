/*
 * Borrowed runs of bytes: comparing, searching, cutting. No allocation anywhere.
 */
#include "base/span.h"

#include <assert.h>

struct mir_span mir_span_from(struct mir_span span, size_t offset)
{
    assert(offset <= span.len);
    return mir_span(span.len > 0 ? span.ptr + offset : span.ptr, span.len - offset);
}

struct mir_span mir_span_first(struct mir_span span, size_t len)
{
    assert(len <= span.len);
    return mir_span(span.ptr, len);
}

bool mir_span_equal(struct mir_span a, struct mir_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool mir_span_is(struct mir_span span, const char *text)
{
    return mir_span_equal(span, mir_span_of(text));
}

bool mir_span_starts_with(struct mir_span span, const char *prefix)
{
    size_t len = strlen(prefix);

    return span.len >= len && (len == 0 || memcmp(span.ptr, prefix, len) == 0);
}

bool mir_span_ends_with(struct mir_span span, const char *suffix)
{
    size_t len = strlen(suffix);

    return span.len >= len && (len == 0 || memcmp(span.ptr + span.len - len, suffix, len) == 0);
}

int mir_span_compare(struct mir_span a, struct mir_span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool mir_span_find(struct mir_span span, char c, size_t *at)
{
    const char *hit = span.len > 0 ? memchr(span.ptr, c, span.len) : NULL;

    if (!hit)
        return false;
    *at = (size_t)(hit - span.ptr);
    return true;
}

bool mir_span_find_last(struct mir_span span, char c, size_t *at)
{
    const char *hit = span.len > 0 ? memrchr(span.ptr, c, span.len) : NULL;

    if (!hit)
        return false;
    *at = (size_t)(hit - span.ptr);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct mir_span mir_span_trim(struct mir_span span)
{
    while (span.len > 0 && is_blank(span.ptr[0]))
        span = mir_span_from(span, 1);
    while (span.len > 0 && is_blank(span.ptr[span.len - 1]))
        span.len--;
    return span;
}

bool mir_span_next(struct mir_span *rest, char separator, struct mir_span *piece)
{
    size_t at;

    if (rest->len == 0)
        return false;
    if (mir_span_find(*rest, separator, &at)) {
        *piece = mir_span_first(*rest, at);
        *rest = mir_span_from(*rest, at + 1);
    } else {
        *piece = *rest;
        *rest = mir_span_from(*rest, rest->len);
    }
    return true;
}

bool mir_starts_with(const char *text, const char *prefix)
{
    return mir_span_starts_with(mir_span_of(text), prefix);
}

bool mir_ends_with(const char *text, const char *suffix)
{
    return mir_span_ends_with(mir_span_of(text), suffix);
}
