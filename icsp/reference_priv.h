/*
 * References as MCO's own parser takes them: stricter and laxer than image/ref.h in ways that
 * decide whether a cluster rejects its configuration, so it has a parser of its own.
 */
#ifndef ICSP_REFERENCE_PRIV_H
#define ICSP_REFERENCE_PRIV_H

#include "base/span.h"

/* Borrowed from the text that was parsed; len 0 where absent. */
struct icsp_reference {
    struct mir_span text; /* all of it */
    struct mir_span repo; /* host/path */
    struct mir_span tag;
    struct mir_span digest; /* with the algorithm */
};

/** host/path[:tag][@digest], fully qualified and in canonical form: what Docker's short-name rules
 * would rewrite (docker.io/x, index.docker.io/...) is refused. */
bool icsp_reference_parse(struct mir_span text, struct icsp_reference *out);

/** Does it parse as a Docker reference at all? Short names do. */
bool icsp_reference_is_any(struct mir_span text);

#endif
