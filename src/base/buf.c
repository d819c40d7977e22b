/*
 * struct mir_buf: a string that grows up to a maximum and remembers the first thing that did not
 * fit. Invariant: ptr[len] is NUL.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void mir_buf_init(struct mir_buf *buf, size_t max)
{
    *buf = (struct mir_buf){.max = max, .capacity = 64};
    buf->ptr = mir_alloc(buf->capacity);
}

void mir_buf_release(struct mir_buf *buf)
{
    free(buf->ptr);
    *buf = (struct mir_buf){0};
}

/* Make room for len more bytes and the NUL; false once anything is over the maximum. */
static bool reserve(struct mir_buf *buf, size_t len)
{
    size_t need;

    if (buf->overflow || len > buf->max - buf->len) {
        buf->overflow = true;
        return false;
    }
    need = buf->len + len + 1;
    if (need <= buf->capacity)
        return true;
    buf->capacity = buf->capacity * 2 > need ? buf->capacity * 2 : need;
    buf->ptr = mir_realloc_array(buf->ptr, buf->capacity, 1);
    return true;
}

void mir_buf_add(struct mir_buf *buf, struct mir_span bytes)
{
    if (bytes.len == 0 || !reserve(buf, bytes.len))
        return;
    memcpy(buf->ptr + buf->len, bytes.ptr, bytes.len);
    buf->len += bytes.len;
    buf->ptr[buf->len] = '\0';
}

void mir_buf_text(struct mir_buf *buf, const char *text)
{
    mir_buf_add(buf, mir_span_of(text));
}

void mir_buf_char(struct mir_buf *buf, char c)
{
    mir_buf_add(buf, mir_span(&c, 1));
}

void mir_buf_printf(struct mir_buf *buf, const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0) {
        buf->overflow = true;
        return;
    }
    if (!reserve(buf, (size_t)len))
        return;
    va_start(args, fmt);
    (void)vsnprintf(buf->ptr + buf->len, (size_t)len + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)len;
}

void mir_buf_clear(struct mir_buf *buf)
{
    buf->len = 0;
    buf->ptr[0] = '\0';
    buf->overflow = false;
}

bool mir_buf_check(const struct mir_buf *buf, const char *what, struct mir_error *err)
{
    if (buf->overflow)
        return mir_fail(err, MIR_E_LIMIT, "%s is over the limit of %zu bytes", what, buf->max);
    return true;
}

char *mir_buf_take(struct mir_buf *buf)
{
    char *text = mir_steal(&buf->ptr);

    *buf = (struct mir_buf){0};
    return text;
}
