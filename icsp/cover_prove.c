/*
 * Proving a choice of scopes, and changing it until the proof succeeds: every image of the mapping
 * has to be asked for where it is, and what the cluster finds by itself it has to find still. What
 * fails goes finer. Each round changes something for good, and at the finest level there is nothing
 * left to change, so that it ends: with scopes that are right, or with the image for which none is.
 */
#include "icsp/cover_plan_priv.h"

#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

/* A repository that does not resolve: first its scope stays, then it goes finer. False when there
 * is nothing left to try. */
static bool try_another(const struct icsp_cover_plan *plan, struct icsp_cover_repo *repo)
{
    if (!repo->is_pinned) {
        repo->is_pinned = true;
        return true;
    }
    if (repo->cut == 0)
        return false;
    repo->is_pinned = false;
    icsp_plan_go_finer(plan, repo);
    return true;
}

static bool refuse(const struct icsp_cover_repo *repo, const char *mirror, bool by_tag,
                   const char *why, struct icsp_findings *findings, struct mir_error *err)
{
    return icsp_reject(findings, err, MIR_E_CONFLICT,
                       (struct icsp_place){.field = "source", .value = repo->source},
                       "change what the cluster has, or mirror to another place",
                       "pulled by %s, a node would not ask at %s, whatever the scope: %s",
                       by_tag ? "tag" : "digest", mirror, why);
}

/* *moved: it does not resolve, and another scope is tried. */
static bool check_repo(const struct icsp_cover_plan *plan, const struct icsp_trial *trial,
                       struct icsp_cover_repo *repo, bool by_tag, bool *moved,
                       struct icsp_findings *findings, struct mir_error *err)
{
    for (size_t i = 0; i < repo->mirror_count; i++) {
        auto_free char *why = NULL;

        if (icsp_trial_reaches(trial, repo->source, repo->mirrors[i], by_tag, &why))
            continue;
        if (!try_another(plan, repo))
            return refuse(repo, repo->mirrors[i], by_tag, why, findings, err);
        *moved = true;
        return true;
    }
    return true;
}

static bool check_repos(const struct icsp_cover_plan *plan, const struct icsp_trial *trial,
                        bool *moved, struct icsp_findings *findings, struct mir_error *err)
{
    unsigned kinds = plan->request->kinds;

    for (size_t i = 0; i < plan->count; i++) {
        struct icsp_cover_repo *repo = &plan->repos[i];
        bool before = *moved;

        *moved = false;
        if ((kinds & (ICSP_KIND_ICSP | ICSP_KIND_IDMS)) &&
            !check_repo(plan, trial, repo, false, moved, findings, err))
            return false;
        if ((kinds & ICSP_KIND_ITMS) && repo->has_tag && !*moved &&
            !check_repo(plan, trial, repo, true, moved, findings, err))
            return false;
        *moved = *moved || before;
    }
    return true;
}

/* The broadest coarse scope around that is written is given up. */
static bool give_up_around(struct icsp_cover_plan *plan, struct mir_span scope)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct icsp_cover_repo *repo = &plan->repos[i];
        struct mir_span claimed = icsp_plan_claim(repo);

        if (repo->cut > 0 && icsp_scope_is_nested(scope, claimed)) {
            icsp_plan_give_up(plan, claimed);
            return true;
        }
    }
    return false;
}

/* An entry of the cluster that has no mirrors of its own can get another scope's than before: then
 * it is given those it had. */
static bool rescue(struct icsp_cover_plan *plan, const struct icsp_trial *trial, const char *scope)
{
    if (mir_map_find(plan->by_scope, mir_span_of(scope)) ||
        icsp_scope_is_wildcard(mir_span_of(scope)) || icsp_trial_excludes(trial, scope))
        return false;
    icsp_list_add(&plan->rescued, scope);
    return true;
}

/* What the cluster has must go on working: a scope that takes a place away is given up where
 * another one can do. Where none can, the warnings about the files say what is hidden. */
static bool gives_back(struct icsp_cover_plan *plan, const struct icsp_trial *trial)
{
    bool for_digests = (plan->request->kinds & (ICSP_KIND_ICSP | ICSP_KIND_IDMS)) != 0;
    bool for_tags = (plan->request->kinds & ICSP_KIND_ITMS) != 0;
    bool by_tag;
    size_t at = 0;
    const char *lost = icsp_trial_next_lost(trial, &plan->cover, &at, &by_tag);
    bool changed = false;

    for (; lost; lost = icsp_trial_next_lost(trial, &plan->cover, &at, &by_tag))
        if (by_tag ? for_tags : for_digests)
            changed =
                give_up_around(plan, mir_span_of(lost)) || rescue(plan, trial, lost) || changed;
    return changed;
}

/* The cluster would refuse all of it together: nobody says which scope is to blame. */
static bool all_finer(struct icsp_cover_plan *plan)
{
    bool changed = false;

    for (size_t i = 0; i < plan->count; i++) {
        if (plan->repos[i].cut == 0)
            continue;
        icsp_plan_go_finer(plan, &plan->repos[i]);
        changed = true;
    }
    return changed;
}

/* A coarse scope that the cluster would refuse for what it says of that source. */
static bool give_up_excluded(struct icsp_cover_plan *plan, const struct icsp_trial *trial)
{
    bool changed = false;

    for (size_t i = 0; i < plan->count; i++) {
        struct icsp_cover_repo *repo = &plan->repos[i];
        const struct icsp_cover_scope *scope = icsp_plan_scope(plan, repo);

        if (repo->cut == 0 || !scope || !icsp_trial_excludes(trial, scope->source))
            continue;
        icsp_plan_go_finer(plan, repo);
        changed = true;
    }
    return changed;
}

bool icsp_plan_prove(struct icsp_cover_plan *plan, struct icsp_trial *trial,
                     struct icsp_findings *findings, struct mir_error *err)
{
    for (;;) {
        struct mir_error why = MIR_ERROR_INIT;
        bool moved = false;

        icsp_plan_settle(plan);
        if (give_up_excluded(plan, trial))
            continue;
        icsp_trial_keep(trial, &plan->cover);
        if (!icsp_trial_run(trial, &plan->cover, &why)) {
            if (all_finer(plan))
                continue;
            *err = why;
            return mir_context(err, "together with what the cluster has");
        }
        if (!check_repos(plan, trial, &moved, findings, err))
            return false;
        if (!moved && (!plan->request->with || !gives_back(plan, trial)))
            return true;
    }
}
