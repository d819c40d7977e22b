/*
 * Choosing scopes. One entry for a whole registry is short, and wrong as soon as one image lies
 * elsewhere than the entry says: a node uses the most specific entry that contains the image's
 * name, and no other. So the coarse scopes that the mirror's paths suggest are only a proposal. It
 * is played through for every repository of the mapping, the way a node would; what would go to the
 * wrong place gets a scope of its own, a coarse scope that two places claim is given up, and the
 * proposal is played through again until every repository resolves to where it is. That ends,
 * because each round gives up something, and at the finest level every repository has its own
 * scope.
 *
 * Left to itself (ICSP_SCOPE_AUTO) it begins with the whole host, goes finer one path component at
 * a time, and where places clash only the fewer make way. What the cluster has besides is taken
 * into account by the proof: all objects are compiled together, and what does not resolve then goes
 * finer, too.
 */
#include "icsp/cover_plan_priv.h"

#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

static void repo_release(struct icsp_cover_repo *repo)
{
    free(repo->source);
    for (size_t i = 0; i < repo->mirror_count; i++)
        free(repo->mirrors[i]);
    free(repo->mirrors);
}

static void plan_release(struct icsp_cover_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        repo_release(&plan->repos[i]);
    free(plan->repos);
    mir_map_free(plan->given_up);
    icsp_list_release(&plan->rescued);
    mir_map_free(plan->by_scope);
    icsp_cover_release(&plan->cover);
}
#define auto_plan __attribute__((cleanup(plan_release))) struct icsp_cover_plan

static void kept_release(struct icsp_cover_kept *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        free(kept->items[i]);
    free(kept->items);
}

static void scope_release(struct icsp_cover_scope *scope)
{
    free(scope->source);
    for (size_t i = 0; i < scope->mirror_count; i++)
        free(scope->mirrors[i]);
    free(scope->mirrors);
    kept_release(&scope->kept_digest);
    kept_release(&scope->kept_tag);
}

void icsp_cover_release(struct icsp_cover *cover)
{
    for (size_t i = 0; i < cover->count; i++)
        scope_release(&cover->items[i]);
    free(cover->items);
    *cover = (struct icsp_cover){0};
}

/* ---- the repositories ---- */

/* One line of the mapping: texts made, not yet grouped. */
struct line {
    char *source, *mirror;
    size_t host_len;
    bool has_tag;
};

static int compare_lines(const void *a, const void *b)
{
    const struct line *left = a;
    const struct line *right = b;
    int order = strcmp(left->source, right->source);

    return order != 0 ? order : strcmp(left->mirror, right->mirror);
}

static bool check_names(const struct line *line, struct icsp_findings *findings,
                        struct mir_error *err)
{
    if (!icsp_scope_is_mirror(mir_span_of(line->source)))
        return icsp_reject(findings, err, MIR_E_FORMAT,
                           (struct icsp_place){.field = "source", .value = line->source},
                           "use a host name or an IPv4 address",
                           "no cluster takes this as the source of a mirror");
    if (!icsp_scope_is_mirror(mir_span_of(line->mirror)))
        return icsp_reject(findings, err, MIR_E_FORMAT,
                           (struct icsp_place){.field = "mirror", .value = line->mirror},
                           "use a host name or an IPv4 address",
                           "no cluster takes this as a mirror");
    return true;
}

static struct icsp_cover_repo *add_repo(struct icsp_cover_plan *plan, struct line *line)
{
    struct icsp_cover_repo *repo;

    mir_grow(&plan->repos, plan->count, &plan->capacity, sizeof(*plan->repos));
    repo = &plan->repos[plan->count++];
    *repo = (struct icsp_cover_repo){.host_len = line->host_len};
    repo->source = mir_steal(&line->source);
    return repo;
}

/* lines are sorted; their texts move to the repositories. */
static void group_lines(struct icsp_cover_plan *plan, struct line *lines, size_t count)
{
    struct icsp_cover_repo *repo = NULL;

    for (size_t i = 0; i < count; i++) {
        struct line *line = &lines[i];

        if (strcmp(line->source, line->mirror) == 0)
            continue;
        if (!repo || strcmp(repo->source, line->source) != 0)
            repo = add_repo(plan, line);
        repo->has_tag = repo->has_tag || line->has_tag;
        if (repo->mirror_count > 0 &&
            strcmp(repo->mirrors[repo->mirror_count - 1], line->mirror) == 0)
            continue;
        mir_grow(&repo->mirrors, repo->mirror_count, &repo->mirror_capacity,
                 sizeof(*repo->mirrors));
        repo->mirrors[repo->mirror_count++] = mir_steal(&line->mirror);
    }
}

static bool collect(struct icsp_cover_plan *plan, struct icsp_findings *findings,
                    struct mir_error *err)
{
    const struct icsp_pair *pairs = plan->request->pairs;
    size_t count = plan->request->count;
    auto_free struct line *lines = mir_alloc_array(count, sizeof(*lines));
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        const struct icsp_pair *pair = &pairs[i];

        lines[i] = (struct line){
            .source = mir_format("%s/%s", pair->source_host, pair->source_repo),
            .mirror = mir_format("%s/%s", pair->mirror_host, pair->mirror_repo),
            .host_len = strlen(pair->source_host),
            .has_tag = pair->source_tag && pair->mirror_tag &&
                       strcmp(pair->source_tag, pair->mirror_tag) == 0,
        };
        ok = ok && check_names(&lines[i], findings, err);
    }
    if (ok) {
        qsort(lines, count, sizeof(*lines), compare_lines);
        group_lines(plan, lines, count);
    }
    for (size_t i = 0; i < count; i++) {
        free(lines[i].source);
        free(lines[i].mirror);
    }
    return ok;
}

/* ---- coarse scopes ---- */

static bool is_auto(const struct icsp_cover_plan *plan)
{
    return plan->request->level == ICSP_SCOPE_AUTO;
}

/* How many bytes the last components of a path are, each with its '/'. */
static size_t tail_len(const char *path, size_t components)
{
    size_t len = strlen(path);
    size_t at = len;

    for (size_t i = 0; i < components; i++)
        while (path[--at] != '/')
            continue;
    return len - at;
}

static size_t count_components(const char *path)
{
    size_t count = 0;

    for (; *path; path++)
        count += *path == '/';
    return count;
}

/* How many components at the end two paths have in common; their hosts are none. */
static size_t common_components(const char *a, const char *b)
{
    size_t count = 0;

    while (count < count_components(a) && count < count_components(b) &&
           strcmp(a + strlen(a) - tail_len(a, count + 1), b + strlen(b) - tail_len(b, count + 1)) ==
               0)
        count++;
    return count;
}

/* The most that can be cut off both ends. What is left of a mirror may be a bare host only where
 * that is so of the source: else names as policies look at them could not be rewritten. */
static size_t cut_max(const struct icsp_cover_repo *repo)
{
    size_t all = count_components(repo->source);
    size_t max = all;

    for (size_t i = 0; i < repo->mirror_count; i++) {
        size_t common = common_components(repo->source, repo->mirrors[i]);

        if (common < all && common == count_components(repo->mirrors[i]))
            common--;
        if (common < max)
            max = common;
    }
    return max;
}

/* Where to begin. The levels that are named take a mirror that keeps the whole source path. */
static void propose(const struct icsp_cover_plan *plan, struct icsp_cover_repo *repo)
{
    size_t all = count_components(repo->source);
    bool whole =
        repo->mirror_count == 1 && mir_ends_with(repo->mirrors[0], repo->source + repo->host_len);

    switch (plan->request->level) {
    case ICSP_SCOPE_REPOSITORY:
        return;
    case ICSP_SCOPE_NAMESPACE:
        repo->cut = whole ? 1 : 0;
        return;
    case ICSP_SCOPE_REGISTRY:
        repo->cut = whole ? all : 0;
        return;
    case ICSP_SCOPE_AUTO:
        repo->cut = cut_max(repo);
        return;
    }
}

void icsp_plan_go_finer(const struct icsp_cover_plan *plan, struct icsp_cover_repo *repo)
{
    repo->cut = is_auto(plan) ? repo->cut - 1 : 0;
}

/* ---- one round ---- */

void icsp_plan_give_up(struct icsp_cover_plan *plan, struct mir_span scope)
{
    mir_map_set(plan->given_up, scope, plan->given_up);
}

static struct mir_span without_tail(const char *path, size_t tail)
{
    return mir_span(path, strlen(path) - tail);
}

struct mir_span icsp_plan_claim(const struct icsp_cover_repo *repo)
{
    return without_tail(repo->source, tail_len(repo->source, repo->cut));
}

static struct icsp_cover_scope *add_scope(struct icsp_cover_plan *plan, struct mir_span source)
{
    struct icsp_cover *cover = &plan->cover;
    struct icsp_cover_scope *scope;

    mir_grow(&cover->items, cover->count, &cover->capacity, sizeof(*cover->items));
    scope = &cover->items[cover->count++];
    *scope = (struct icsp_cover_scope){.source = mir_strndup(source.ptr, source.len)};
    return scope;
}

static void add_mirror(struct icsp_cover_scope *scope, struct mir_span mirror)
{
    mir_grow(&scope->mirrors, scope->mirror_count, &scope->mirror_capacity,
             sizeof(*scope->mirrors));
    scope->mirrors[scope->mirror_count++] = mir_strndup(mirror.ptr, mirror.len);
}

/* A claim of one repository: this scope is answered by its mirrors, all without their tails. */
struct claim {
    struct icsp_cover_repo *repo;
    struct mir_span scope;
    size_t tail;
};

static int compare_mirrors(const struct claim *a, const struct claim *b)
{
    for (size_t i = 0; i < a->repo->mirror_count && i < b->repo->mirror_count; i++) {
        int order = mir_span_compare(without_tail(a->repo->mirrors[i], a->tail),
                                     without_tail(b->repo->mirrors[i], b->tail));

        if (order != 0)
            return order;
    }
    return (a->repo->mirror_count > b->repo->mirror_count) -
           (a->repo->mirror_count < b->repo->mirror_count);
}

static int compare_claims(const void *a, const void *b)
{
    const struct claim *left = a;
    const struct claim *right = b;
    int order = mir_span_compare(left->scope, right->scope);

    return order != 0 ? order : compare_mirrors(left, right);
}

static struct claim *make_claims(struct icsp_cover_plan *plan)
{
    struct claim *claims = mir_alloc_array(plan->count, sizeof(*claims));

    for (size_t i = 0; i < plan->count; i++) {
        struct icsp_cover_repo *repo = &plan->repos[i];
        size_t tail = tail_len(repo->source, repo->cut);

        while (repo->cut > 0 && mir_map_find(plan->given_up, without_tail(repo->source, tail))) {
            icsp_plan_go_finer(plan, repo);
            tail = tail_len(repo->source, repo->cut);
        }
        claims[i] =
            (struct claim){.repo = repo, .scope = without_tail(repo->source, tail), .tail = tail};
    }
    qsort(claims, plan->count, sizeof(*claims), compare_claims);
    return claims;
}

/* The end of a run of claims that agree with the first one, on scope and mirrors or on the scope.
 */
static size_t run_end(const struct claim *claims, size_t from, size_t end, bool on_mirrors)
{
    size_t at = from + 1;

    while (at < end && mir_span_equal(claims[at].scope, claims[from].scope) &&
           (!on_mirrors || compare_mirrors(&claims[at], &claims[from]) == 0))
        at++;
    return at;
}

/* Those who lose their claim go finer. */
static void make_way(const struct icsp_cover_plan *plan, const struct claim *claims, size_t from,
                     size_t end)
{
    for (size_t i = from; i < end; i++)
        if (claims[i].repo->cut > 0)
            icsp_plan_go_finer(plan, claims[i].repo);
}

/* Several places claim one scope, from..end. Where nobody has a better right, most win; a
 * repository has the best right to the scope that is its name. */
static void settle_clash(struct icsp_cover_plan *plan, const struct claim *claims, size_t from,
                         size_t end)
{
    size_t best = from;
    size_t best_end = from;

    for (size_t i = from; i < end; i++)
        if (claims[i].repo->cut == 0) {
            icsp_plan_give_up(plan, claims[i].scope);
            return;
        }
    if (!is_auto(plan)) {
        icsp_plan_give_up(plan, claims[from].scope);
        return;
    }
    for (size_t at = from; at < end;) {
        size_t next = run_end(claims, at, end, true);

        if (next - at > best_end - best) {
            best = at;
            best_end = next;
        }
        at = next;
    }
    make_way(plan, claims, from, best);
    make_way(plan, claims, best_end, end);
}

/* Write the proposal. False: places claim one scope, and some have made way; start over. */
static bool build(struct icsp_cover_plan *plan)
{
    auto_free struct claim *claims = make_claims(plan);
    bool ok = true;

    icsp_cover_release(&plan->cover);
    for (size_t at = 0; at < plan->count;) {
        const struct claim *claim = &claims[at];
        size_t end = run_end(claims, at, plan->count, false);
        struct icsp_cover_scope *scope;

        if (run_end(claims, at, end, true) != end) {
            settle_clash(plan, claims, at, end);
            ok = false;
        }
        scope = add_scope(plan, claim->scope);
        for (size_t k = 0; k < claim->repo->mirror_count; k++)
            add_mirror(scope, without_tail(claim->repo->mirrors[k], claim->tail));
        at = end;
    }
    return ok;
}

static void index_scopes(struct icsp_cover_plan *plan)
{
    mir_map_free(plan->by_scope);
    plan->by_scope = mir_map_new();
    for (size_t i = 0; i < plan->cover.count; i++)
        mir_map_set(plan->by_scope, mir_span_of(plan->cover.items[i].source),
                    &plan->cover.items[i]);
}

/* The entry a node would use: the longest that contains the name. */
static struct icsp_cover_scope *winner(const struct icsp_cover_plan *plan, const char *source)
{
    struct mir_span name = mir_span_of(source);

    for (;;) {
        struct icsp_cover_scope *found = mir_map_find(plan->by_scope, name);
        size_t at;

        if (found)
            return found;
        if (!mir_span_find_last(name, '/', &at))
            return NULL;
        name = mir_span_first(name, at);
    }
}

/* Would a node, asking for this repository, look where its copies are? */
static bool resolves(const struct icsp_cover_repo *repo, const struct icsp_cover_scope *scope)
{
    const char *rest = repo->source + strlen(scope->source);

    if (scope->mirror_count != repo->mirror_count)
        return false;
    for (size_t i = 0; i < repo->mirror_count; i++) {
        size_t len = strlen(scope->mirrors[i]);

        if (strncmp(repo->mirrors[i], scope->mirrors[i], len) != 0 ||
            strcmp(repo->mirrors[i] + len, rest) != 0)
            return false;
    }
    return true;
}

/* False: some repositories would be looked for elsewhere; they get scopes of their own. */
static bool play_through(struct icsp_cover_plan *plan)
{
    bool ok = true;

    index_scopes(plan);
    for (size_t i = 0; i < plan->count; i++) {
        struct icsp_cover_repo *repo = &plan->repos[i];
        const struct icsp_cover_scope *scope = winner(plan, repo->source);

        if (resolves(repo, scope))
            continue;
        /* A scope of that very name belongs to others: they have to give it up. */
        if (strcmp(scope->source, repo->source) == 0)
            icsp_plan_give_up(plan, mir_span_of(scope->source));
        if (repo->cut > 0)
            icsp_plan_go_finer(plan, repo);
        ok = false;
    }
    return ok;
}

/* ---- the result ---- */

/* Does the entry around this one lead to the same places? */
static bool is_redundant(const struct icsp_cover_plan *plan, const struct icsp_cover_scope *scope)
{
    struct icsp_cover_repo as_repo = {
        .source = scope->source, .mirrors = scope->mirrors, .mirror_count = scope->mirror_count};
    const struct icsp_cover_scope *around = NULL;
    struct mir_span name = mir_span_of(scope->source);
    size_t at;

    while (!around && mir_span_find_last(name, '/', &at)) {
        name = mir_span_first(name, at);
        around = mir_map_find(plan->by_scope, name);
    }
    return around && resolves(&as_repo, around);
}

struct icsp_cover_scope *icsp_plan_scope(const struct icsp_cover_plan *plan,
                                         const struct icsp_cover_repo *repo)
{
    return mir_map_find(plan->by_scope, icsp_plan_claim(repo));
}

/* Rounds can leave entries that say what the one around them says. Whether an entry is redundant
 * does not depend on whether the one around it is. */
static void drop_redundant(struct icsp_cover_plan *plan)
{
    struct icsp_cover *cover = &plan->cover;
    auto_free bool *drop = mir_alloc_array(cover->count, sizeof(*drop));
    size_t kept = 0;

    for (size_t i = 0; i < cover->count; i++)
        drop[i] = is_redundant(plan, &cover->items[i]);
    for (size_t i = 0; i < plan->count; i++) {
        const struct icsp_cover_scope *scope = icsp_plan_scope(plan, &plan->repos[i]);

        if (plan->repos[i].is_pinned && scope)
            drop[scope - cover->items] = false;
    }
    for (size_t i = 0; i < cover->count; i++) {
        if (drop[i])
            scope_release(&cover->items[i]);
        else
            cover->items[kept++] = cover->items[i];
    }
    cover->count = kept;
    index_scopes(plan);
}

/* Tags go down: a narrow entry without tag mirrors would hide those of the scope around it. */
static void mark_tags(struct icsp_cover_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->repos[i].has_tag)
            winner(plan, plan->repos[i].source)->has_tag = true;
    /* Byte order has every scope before those that it contains. */
    for (size_t i = 0; i < plan->cover.count; i++) {
        struct icsp_cover_scope *scope = &plan->cover.items[i];
        struct mir_span name = mir_span_of(scope->source);
        size_t at;

        while (!scope->has_tag && mir_span_find_last(name, '/', &at)) {
            const struct icsp_cover_scope *around;

            name = mir_span_first(name, at);
            around = mir_map_find(plan->by_scope, name);
            scope->has_tag = around && around->has_tag;
        }
    }
}

static void say_fallbacks(const struct icsp_cover_plan *plan, struct icsp_findings *findings)
{
    const struct icsp_cover_repo *first = NULL;
    size_t own = 0;

    if (plan->request->level == ICSP_SCOPE_REPOSITORY || is_auto(plan))
        return;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->repos[i].cut > 0)
            continue;
        first = first ? first : &plan->repos[i];
        own++;
    }
    if (first)
        icsp_say(findings, ICSP_NOTE,
                 (struct icsp_place){.field = "source", .value = first->source}, NULL,
                 "%zu of %zu repositories get scopes of their own, this one first: a broader scope "
                 "would send them elsewhere than where they are (%s)",
                 own, plan->count, first->mirrors[0]);
}

static void say_kept(const struct icsp_cover_plan *plan, struct icsp_findings *findings)
{
    const struct icsp_cover_scope *first = NULL;
    size_t count = 0;

    for (size_t i = 0; i < plan->cover.count; i++) {
        const struct icsp_cover_scope *scope = &plan->cover.items[i];

        if (scope->kept_digest.count + scope->kept_tag.count == 0)
            continue;
        first = first ? first : scope;
        count++;
    }
    if (first)
        icsp_say(findings, ICSP_NOTE,
                 (struct icsp_place){.field = "source", .value = first->source}, NULL,
                 "takes along mirrors that the cluster has for a broader scope, and that this "
                 "entry would hide (entries like this one: %zu)",
                 count);
}

static int compare_scopes(const void *a, const void *b)
{
    return strcmp(((const struct icsp_cover_scope *)a)->source,
                  ((const struct icsp_cover_scope *)b)->source);
}

/* Scopes without mirrors of their own: what they take along is all they have. */
static void add_rescued(struct icsp_cover_plan *plan)
{
    for (size_t i = 0; i < plan->rescued.count; i++) {
        struct mir_span scope = mir_span_of(plan->rescued.items[i]);

        if (!mir_map_find(plan->by_scope, scope))
            (void)add_scope(plan, scope);
    }
    if (plan->rescued.count == 0)
        return;
    qsort(plan->cover.items, plan->cover.count, sizeof(*plan->cover.items), compare_scopes);
    index_scopes(plan);
}

void icsp_plan_settle(struct icsp_cover_plan *plan)
{
    while (!build(plan) || !play_through(plan))
        continue;
    if (plan->request->level != ICSP_SCOPE_REPOSITORY)
        drop_redundant(plan);
    mark_tags(plan);
    add_rescued(plan);
}

bool icsp_cover_lists(const struct icsp_cover_scope *scope, bool for_tags)
{
    if (for_tags)
        return (scope->has_tag && scope->mirror_count > 0) || scope->kept_tag.count > 0;
    return scope->mirror_count + scope->kept_digest.count > 0;
}

bool icsp_cover(const struct icsp_cover_request *request, struct icsp_cover *out,
                struct icsp_findings *findings, struct mir_error *err)
{
    auto_plan plan = {.request = request, .given_up = mir_map_new()};
    struct icsp_trial *trial = NULL;
    bool ok = true;

    if (!collect(&plan, findings, err))
        return false;
    if (plan.count == 0)
        return mir_fail(err, MIR_E_USAGE,
                        "the mapping names no image that lies elsewhere than at "
                        "its source");
    for (size_t i = 0; i < plan.count; i++)
        propose(&plan, &plan.repos[i]);
    if (request->with || request->level == ICSP_SCOPE_AUTO) {
        ok = icsp_trial_new(request, &trial, err) && icsp_plan_prove(&plan, trial, findings, err);
        icsp_trial_free(trial);
    } else {
        icsp_plan_settle(&plan);
    }
    if (!ok)
        return false;
    say_fallbacks(&plan, findings);
    say_kept(&plan, findings);
    *out = plan.cover;
    plan.cover = (struct icsp_cover){0};
    return true;
}
