/*
 * A borrowed run of bytes. Not NUL-terminated; valid as long as what it points into.
 *
 * Threads: plain values.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct mir_span {
    const char *ptr;
    size_t len;
};

/* For printf: "%.*s", MIR_SPAN_ARG(span). */
#define MIR_SPAN_ARG(span) (int)(span).len, (span).ptr

static inline struct mir_span mir_span(const void *ptr, size_t len)
{
    return (struct mir_span){.ptr = (const char *)ptr, .len = len};
}

/** The bytes of a NUL-terminated string; NULL gives an empty span. */
static inline struct mir_span mir_span_of(const char *text)
{
    return (struct mir_span){.ptr = text, .len = text ? strlen(text) : 0};
}

/** From an offset to the end; offset <= len. */
struct mir_span mir_span_from(struct mir_span span, size_t offset);
/** The first len bytes; len <= span.len. */
struct mir_span mir_span_first(struct mir_span span, size_t len);

bool mir_span_equal(struct mir_span a, struct mir_span b);
bool mir_span_is(struct mir_span span, const char *text);
bool mir_span_starts_with(struct mir_span span, const char *prefix);
bool mir_span_ends_with(struct mir_span span, const char *suffix);

/** Byte order, unsigned; the shorter is first when one is a prefix of the other. Like strcmp. */
int mir_span_compare(struct mir_span a, struct mir_span b);

/** Offset of the first (last) byte c. Writes *at and returns true, or returns false. */
bool mir_span_find(struct mir_span span, char c, size_t *at);
bool mir_span_find_last(struct mir_span span, char c, size_t *at);

/** Without leading and trailing blanks, tabs, CR and LF. */
struct mir_span mir_span_trim(struct mir_span span);

/** Cut the next piece off *rest, up to separator or the end. False when nothing is left. A text
 * that ends in the separator has no empty last piece. */
bool mir_span_next(struct mir_span *rest, char separator, struct mir_span *piece);

bool mir_starts_with(const char *text, const char *prefix);
bool mir_ends_with(const char *text, const char *suffix);

#endif
