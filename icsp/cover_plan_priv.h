/*
 * A choice of scopes while it is made: cover.c makes proposals, cover_prove.c tries them beside
 * what the cluster has.
 */
#ifndef ICSP_COVER_PLAN_PRIV_H
#define ICSP_COVER_PLAN_PRIV_H

#include "base/map.h"
#include "icsp/cover_priv.h"
#include "icsp/model_priv.h"

/* One source repository of the mapping. */
struct icsp_cover_repo {
    char *source; /* host/path */
    size_t host_len;
    char **mirrors; /* host/path, sorted, each once */
    size_t mirror_count, mirror_capacity;
    bool has_tag;
    size_t cut;     /* path components that its scope leaves out; 0: it has one of its own */
    bool is_pinned; /* its scope stays, although the one around it leads to the same places */
};

struct icsp_cover_plan {
    const struct icsp_cover_request *request;
    struct icsp_cover_repo *repos; /* in byte order of source */
    size_t count, capacity;
    struct mir_map *given_up; /* coarse scopes that are not used; values: any */
    struct icsp_list rescued; /* scopes of the cluster that need an entry to stay as they are */
    struct icsp_cover cover;  /* the present proposal */
    struct mir_map *by_scope; /* its entries */
};

/** The scope that a repository claims; a part of its name. */
struct mir_span icsp_plan_claim(const struct icsp_cover_repo *repo);
/** That scope in the present proposal; NULL when it was found redundant. */
struct icsp_cover_scope *icsp_plan_scope(const struct icsp_cover_plan *plan,
                                         const struct icsp_cover_repo *repo);

/** To a narrower scope; not asked of a repository that has its own. */
void icsp_plan_go_finer(const struct icsp_cover_plan *plan, struct icsp_cover_repo *repo);
/** A coarse scope is not to be used any more. */
void icsp_plan_give_up(struct icsp_cover_plan *plan, struct mir_span scope);
/** From what is claimed to a proposal that is right by itself. */
void icsp_plan_settle(struct icsp_cover_plan *plan);

/** Until the proposal is right beside what the cluster has. err: MIR_E_CONFLICT and others, when
 * none is. */
MIR_MUST_CHECK bool icsp_plan_prove(struct icsp_cover_plan *plan, struct icsp_trial *trial,
                                    struct icsp_findings *findings, struct mir_error *err);

#endif
