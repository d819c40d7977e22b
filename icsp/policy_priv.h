/*
 * policy.json: building and encoding it. A policy is a json_t: {"default": [...], "transports":
 * {NAME: {SCOPE: [requirement, ...]}}}.
 */
#ifndef ICSP_POLICY_PRIV_H
#define ICSP_POLICY_PRIV_H

#include "base/buf.h"
#include "base/tree.h"
#include "icsp/generation_priv.h"

/* The bytes of the file that every node has. */
extern const char icsp_base_policy[];

/* One policy object's share: its scopes and what they require. Borrowed. */
struct icsp_scoped_requirement {
    const struct icsp_list *scopes;
    json_t *requirement;
};

struct icsp_policy_input {
    const struct icsp_generation *generation;
    const struct icsp_list *allowed;
    const struct icsp_list *blocked;
    const struct icsp_scoped_requirement *signatures; /* in the order of the objects */
    size_t signature_count;
};

/** That file as a tree; the caller owns it. */
json_t *icsp_policy_base(void);
/** A file given in its stead, as the operator would write it again; the caller owns *out. err:
 * "NAME:LINE: ...", for what is no JSON or has not the shape of a policy. */
MIR_MUST_CHECK bool icsp_policy_read(struct mir_span text, const char *name, json_t **out,
                                     struct mir_error *err);
/** The same, and everything in it is something the container library knows: an unknown key, type or
 * scope is an error, as it is there. */
MIR_MUST_CHECK bool icsp_policy_read_strict(struct mir_span text, const char *name, json_t **out,
                                            struct mir_error *err);
/** That check alone, of what icsp_policy_read() gave. lines may be NULL. */
MIR_MUST_CHECK bool icsp_policy_check(json_t *policy, const char *name,
                                      const struct mir_lines *lines, struct mir_error *err);
/** What transport "atomic" takes as a scope: HOST[/A[/B[:TAG]]], no ':' in A. */
bool icsp_policy_is_atomic_scope(const char *scope);
/** Change policy by the lists and requirements: transports docker and atomic are replaced. */
void icsp_policy_build(json_t *policy, const struct icsp_policy_input *input);
/** Append one requirement to a scope of transports docker and atomic, making what is missing. */
void icsp_policy_append(json_t *policy, const char *scope, json_t *requirement);
/** Make sure that transports docker and atomic are there. */
void icsp_policy_add_transports(json_t *policy);

/** The bytes of the file, without a newline at the end. */
void icsp_policy_format(json_t *policy, struct icsp_json_style style, struct mir_buf *out);

#endif
