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

/** The canonical form of what a user may write: a name without a host is docker.io's, a name alone
 * means ":latest". False when it is no reference. The caller frees *text, which *out borrows from.
 */
bool icsp_reference_normalise(struct mir_span given, char **text, struct icsp_reference *out);

/** host[:port], as references have it. */
bool icsp_reference_is_host(struct mir_span text);

/** A repository without tag and digest: with a host in front, or without one. */
bool icsp_reference_is_plain(struct mir_span text, bool has_host);

#endif
