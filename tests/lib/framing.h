/*
 * Where HTTP/1.1 messages begin and end in a stream of bytes, as far as a proxy has to know: heads
 * are gathered whole, bodies with a Content-Length are counted. Anything else (chunked bodies,
 * bodies that end with the connection, TLS, HTTP/2) makes the rest of the stream opaque.
 *
 * Threads: plain values.
 */
#ifndef TESTS_LIB_FRAMING_H
#define TESTS_LIB_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum framing_piece {
    FRAMING_PART,   /* of a head that is not whole yet; held in head */
    FRAMING_HEAD,   /* the last bytes of a head, which is whole in head now */
    FRAMING_BODY,   /* of a body with a Content-Length */
    FRAMING_OPAQUE, /* whatever; the first time head holds it, and what came of a head before */
};

/* One direction of a connection. */
struct framing {
    struct mir_buf head; /* valid until the next head begins */
    uint64_t body_left;
    bool in_head;
    bool opaque;
};

void framing_init(struct framing *framing);
void framing_release(struct framing *framing);

/** Take the first piece off bytes: its length, at least 1 when there are bytes. After a HEAD,
 * body_left is set; set it to 0 where the request's method says that no body follows. */
size_t framing_take(struct framing *framing, struct mir_span bytes, enum framing_piece *piece);

/** The value of a header line of the whole head, without blanks. False: there is none. */
bool framing_find(const struct framing *framing, const char *name, struct mir_span *value);

/** The status of a response's head; 0 for what is none. */
unsigned framing_status(const struct framing *framing);

#endif
