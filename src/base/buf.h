/*
 * A growing string with a maximum. It remembers its first failure, so that a text can be built by
 * many appends and checked once at the end. ptr is always NUL-terminated.
 *
 * Threads: plain values.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/error.h"
#include "base/span.h"

struct mir_buf {
    char *ptr; /* NUL-terminated; never NULL after init */
    size_t len;
    size_t capacity;
    size_t max;    /* bytes, without the NUL */
    bool overflow; /* something did not fit; nothing was appended since */
};

void mir_buf_init(struct mir_buf *buf, size_t max);
void mir_buf_release(struct mir_buf *buf);
#define auto_buf __attribute__((cleanup(mir_buf_release))) struct mir_buf

void mir_buf_add(struct mir_buf *buf, struct mir_span bytes);
void mir_buf_text(struct mir_buf *buf, const char *text);
void mir_buf_char(struct mir_buf *buf, char c);
void mir_buf_printf(struct mir_buf *buf, const char *fmt, ...) MIR_PRINTF(2, 3);
/** Empty it, keeping the memory; forgets an overflow. */
void mir_buf_clear(struct mir_buf *buf);

static inline struct mir_span mir_buf_span(const struct mir_buf *buf)
{
    return mir_span(buf->ptr, buf->len);
}

/** Did everything fit? If not, MIR_E_LIMIT naming what. */
MIR_MUST_CHECK bool mir_buf_check(const struct mir_buf *buf, const char *what,
                                  struct mir_error *err);

/** The text, which the caller frees; the buffer is empty afterwards and must be initialised again
 * before another use. */
char *mir_buf_take(struct mir_buf *buf);

#endif
