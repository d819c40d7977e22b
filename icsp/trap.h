/*
 * Why a node finds no copy of an image, as far as its files tell: before any place is asked.
 *
 * Threads: as lookup.h.
 */
#ifndef ICSP_TRAP_H
#define ICSP_TRAP_H

#include "icsp/lookup.h"

enum icsp_trap {
    ICSP_TRAP_NONE,           /* there is a copy to ask for */
    ICSP_TRAP_REWRITE,        /* a location makes no reference, and the runtime asks nobody */
    ICSP_TRAP_HIDDEN,         /* the entry that wins has no mirror for it, and a broader one has */
    ICSP_TRAP_DIGEST_ONLY,    /* named by tag, and the mirrors are for digests */
    ICSP_TRAP_TAG_ONLY,       /* named by digest, and the mirrors are for tags */
    ICSP_TRAP_MIRROR_BLOCKED, /* the mirrors are blocked themselves */
    ICSP_TRAP_BLOCKED,        /* it is blocked, and has no mirror */
    ICSP_TRAP_NO_MIRROR,      /* nothing leads to a copy */
    ICSP_TRAP_REJECTED,       /* the policy lets nobody have it */
    ICSP_TRAP_SIGNATURE,      /* it needs a signature, which is not looked at */
};
/** "hidden", "digest-only", ...: words that never change their meaning; "" for NONE. */
const char *icsp_trap_name(enum icsp_trap trap);

/** Is this where the image comes from, under its own name, and no copy of it? */
bool icsp_place_is_source(const struct icsp_route *route, const struct icsp_lookup_place *place);

/** why: what stands in which file, and a hint; written when it is not NONE. source_counts: nodes
 * reach the source, so that it is as good as a copy. */
enum icsp_trap icsp_trap_of_route(const struct icsp_lookup *lookup, const struct icsp_route *route,
                                  bool source_counts, struct mir_error *why);
enum icsp_trap icsp_trap_of_judgement(const struct icsp_judgement *judgement,
                                      struct mir_error *why);

#endif
