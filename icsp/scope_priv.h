/*
 * Scopes: "host[:port][/path...]" or "*.domain". When one lies inside another, which strings are
 * allowed where, and which prefix of registries.conf matches a reference. No string is ever
 * normalised; equal means byte-equal.
 */
#ifndef ICSP_SCOPE_PRIV_H
#define ICSP_SCOPE_PRIV_H

#include "base/span.h"

/** Starts with "*."? */
bool icsp_scope_is_wildcard(struct mir_span scope);

/** Does sub lie inside super (or equal it)? */
bool icsp_scope_is_nested(struct mir_span sub, struct mir_span super);

/* All strings that contain a scope by icsp_scope_is_nested(), itself first. */
struct icsp_scope_walk {
    struct mir_span scope;
    struct mir_span host; /* what wildcards are compared with; empty when none can match */
    size_t path_at;       /* next '/' is looked for from here */
    size_t dot_at;        /* next '.' of host is looked for from here */
    int stage;
};

struct icsp_scope_walk icsp_scope_walk_from(struct mir_span scope);
/** Without wildcards, as before they meant anything: itself and what it has before a '/'. */
struct icsp_scope_walk icsp_scope_walk_plain(struct mir_span scope);
/** The next one: what it is, without its leading '*' when *wildcard is true. False at the end. */
bool icsp_scope_walk_next(struct icsp_scope_walk *walk, struct mir_span *super, bool *wildcard);

/** '*' only as a leading "*." before a plain name, or not at all. */
bool icsp_scope_has_plain_star(struct mir_span entry);
/** An entry of the registry lists: the same, and not empty. */
bool icsp_scope_is_list_entry(struct mir_span entry);
/** host[:port][/path], path in lower case. */
bool icsp_scope_is_mirror(struct mir_span text);
/** The same, or "*.domain". */
bool icsp_scope_is_source(struct mir_span text);

/** Does a prefix of registries.conf match a reference, in the container library's way (looser than
 * nesting: "a.com" matches "a.com:5000/x")? *len is the length of what it matches. */
bool icsp_prefix_match(struct mir_span prefix, struct mir_span ref, size_t *len);

#endif
