/*
 * What a lookup holds; shared by lookup.c (where), judge.c (whether) and lookup_files.c (reading).
 */
#ifndef ICSP_LOOKUP_PRIV_H
#define ICSP_LOOKUP_PRIV_H

#include "icsp/lookup.h"
#include "icsp/registries_priv.h"

struct icsp_lookup {
    struct icsp_registries registries; /* of all files; prefixes are unique */
    bool has_registries;
    char **names; /* of the files; entries borrow them */
    size_t name_count, name_capacity;
    json_t *policy; /* NULL: none */
    char *policy_name;
};

/** The docker transport's part of judging; ref is canonical and has tag or digest. */
void icsp_lookup_judge_reference(const struct icsp_lookup *lookup, const struct icsp_reference *ref,
                                 struct icsp_judgement *out);

#endif
