/*
 * Messages in a stream (see framing.h). A head is looked for byte by byte at its end only, so a
 * head that comes in many pieces costs no more than one that comes whole.
 */
#include "lib/framing.h"

#include <strings.h>

#include "base/num.h"

#define HEAD_MAX (64u << 10)

void framing_init(struct framing *framing)
{
    mir_buf_init(&framing->head, HEAD_MAX);
    framing->body_left = 0;
    framing->in_head = false;
    framing->opaque = false;
}

void framing_release(struct framing *framing)
{
    mir_buf_release(&framing->head);
}

bool framing_find(const struct framing *framing, const char *name, struct mir_span *value)
{
    struct mir_span rest = mir_buf_span(&framing->head);
    struct mir_span line;

    while (mir_span_next(&rest, '\n', &line)) {
        size_t colon;

        if (!mir_span_find(line, ':', &colon) || colon != strlen(name) ||
            strncasecmp(line.ptr, name, colon) != 0)
            continue;
        *value = mir_span_trim(mir_span_from(line, colon + 1));
        return true;
    }
    return false;
}

unsigned framing_status(const struct framing *framing)
{
    struct mir_span head = mir_buf_span(&framing->head);
    uint64_t status;

    if (!mir_span_starts_with(head, "HTTP/1.") || head.len < 12 ||
        !mir_parse_u64(mir_span(head.ptr + 9, 3), 999, &status))
        return 0;
    return (unsigned)status;
}

/* Is it a message whose end can be told? Sets the length of its body. */
static bool understand(struct framing *framing)
{
    struct mir_span value;

    framing->body_left = 0;
    if (framing_find(framing, "Transfer-Encoding", &value) ||
        mir_span_starts_with(mir_buf_span(&framing->head), "PRI "))
        return false;
    if (framing_find(framing, "Content-Length", &value))
        return mir_parse_u64(value, UINT64_MAX, &framing->body_left);
    /* A response without a length ends with the connection, unless it has no body at all. */
    return framing_status(framing) == 0 || framing_status(framing) < 200 ||
           framing_status(framing) == 204 || framing_status(framing) == 304;
}

/* Bytes up to the blank line that ends the head, or all. */
static size_t gather(struct framing *framing, struct mir_span bytes, bool *whole)
{
    struct mir_buf *head = &framing->head;

    *whole = false;
    for (size_t i = 0; i < bytes.len; i++) {
        mir_buf_char(head, bytes.ptr[i]);
        if (head->len >= 4 && memcmp(head->ptr + head->len - 4, "\r\n\r\n", 4) == 0) {
            *whole = true;
            return i + 1;
        }
    }
    return bytes.len;
}

size_t framing_take(struct framing *framing, struct mir_span bytes, enum framing_piece *piece)
{
    size_t taken;
    bool whole;

    *piece = FRAMING_OPAQUE;
    if (framing->opaque)
        return bytes.len;
    *piece = FRAMING_BODY;
    if (framing->body_left > 0) {
        taken = framing->body_left < bytes.len ? (size_t)framing->body_left : bytes.len;
        framing->body_left -= taken;
        return taken;
    }
    if (!framing->in_head)
        mir_buf_clear(&framing->head);
    taken = gather(framing, bytes, &whole);
    framing->in_head = !whole;
    *piece = whole ? FRAMING_HEAD : FRAMING_PART;
    /* TLS begins with this byte, which begins no word. */
    framing->opaque =
        framing->head.overflow || framing->head.ptr[0] == 0x16 || (whole && !understand(framing));
    if (framing->opaque)
        *piece = FRAMING_OPAQUE;
    return taken;
}
