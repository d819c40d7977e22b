/*
 * Merging the mirror sets of several objects into one list for each source.
 */
#ifndef ICSP_MERGE_PRIV_H
#define ICSP_MERGE_PRIV_H

#include "icsp/model_priv.h"

struct icsp_merged_set {
    const char *source;
    struct icsp_list mirrors; /* in the order a node tries them */
    bool never;
};

/* In byte order of the source, each source once. */
struct icsp_merged {
    struct icsp_merged_set *items;
    size_t count, capacity;
};

/** Merge sets (borrowed pointers). Never fails: exact opposite orders break a cycle by rule. */
void icsp_merge(const struct icsp_set *const *sets, size_t count, struct icsp_merged *out);
void icsp_merged_release(struct icsp_merged *merged);
#define auto_merged __attribute__((cleanup(icsp_merged_release))) struct icsp_merged

/** Does the set name a mirror other than its own source? */
bool icsp_set_has_real_mirror(const struct icsp_set *set);

#endif
