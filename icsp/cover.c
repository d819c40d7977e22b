/*
 * Choosing scopes. One entry for a whole registry is short, and wrong as soon as one image lies
 * elsewhere than the entry says: a node uses the most specific entry that contains the image's
 * name, and no other. So the coarse scopes that the mirror's paths suggest are only a proposal. It
 * is played through for every repository of the mapping, the way a node would; what would go to the
 * wrong place gets a scope of its own, a coarse scope that two places claim is given up, and the
 * proposal is played through again until every repository resolves to where it is. That ends,
 * because each round gives up something, and at the finest level every repository has its own
 * scope.
 */
#include "icsp/cover_priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

/* One source repository of the mapping. */
struct repo {
    char *source; /* host/path */
    size_t host_len;
    char **mirrors; /* host/path, sorted, each once */
    size_t mirror_count, mirror_capacity;
    bool has_tag;
    char *coarse; /* the scope it could share; NULL: none keeps its path */
    char *coarse_mirror;
    bool is_own; /* gets a scope of its own */
};

struct plan {
    struct repo *repos; /* in byte order of source */
    size_t count, capacity;
    struct mir_map *given_up; /* coarse scopes that are not used; values: any */
    struct icsp_cover cover;  /* the present proposal */
    struct mir_map *by_scope; /* its entries */
    size_t clashes;           /* coarse scopes given up */
};

static void repo_release(struct repo *repo)
{
    free(repo->source);
    for (size_t i = 0; i < repo->mirror_count; i++)
        free(repo->mirrors[i]);
    free(repo->mirrors);
    free(repo->coarse);
    free(repo->coarse_mirror);
}

static void plan_release(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        repo_release(&plan->repos[i]);
    free(plan->repos);
    mir_map_free(plan->given_up);
    mir_map_free(plan->by_scope);
    icsp_cover_release(&plan->cover);
}
#define auto_plan __attribute__((cleanup(plan_release))) struct plan

static void scope_release(struct icsp_cover_scope *scope)
{
    free(scope->source);
    for (size_t i = 0; i < scope->mirror_count; i++)
        free(scope->mirrors[i]);
    free(scope->mirrors);
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

static struct repo *add_repo(struct plan *plan, struct line *line)
{
    struct repo *repo;

    mir_grow(&plan->repos, plan->count, &plan->capacity, sizeof(*plan->repos));
    repo = &plan->repos[plan->count++];
    *repo = (struct repo){.host_len = line->host_len};
    repo->source = mir_steal(&line->source);
    return repo;
}

/* lines are sorted; their texts move to the repositories. */
static void group_lines(struct plan *plan, struct line *lines, size_t count)
{
    struct repo *repo = NULL;

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

static bool collect(struct plan *plan, const struct icsp_pair *pairs, size_t count,
                    struct icsp_findings *findings, struct mir_error *err)
{
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

/* How much of both ends a coarse scope leaves out: the path, or its last component. */
static size_t tail_len(const struct repo *repo, enum icsp_scope_level level)
{
    size_t len = strlen(repo->source);

    if (level == ICSP_SCOPE_REGISTRY)
        return len - repo->host_len;
    return len - (size_t)(strrchr(repo->source, '/') - repo->source);
}

/* The mirror keeps the whole source path at its end: then what is cut off both ends is the same. */
static void propose(struct repo *repo, enum icsp_scope_level level)
{
    const char *path = repo->source + repo->host_len; /* with its '/' */
    size_t cut;

    if (level == ICSP_SCOPE_REPOSITORY || repo->mirror_count != 1 ||
        !mir_ends_with(repo->mirrors[0], path))
        return;
    cut = tail_len(repo, level);
    repo->coarse = mir_strndup(repo->source, strlen(repo->source) - cut);
    repo->coarse_mirror = mir_strndup(repo->mirrors[0], strlen(repo->mirrors[0]) - cut);
}

/* ---- one round ---- */

static void give_up(struct plan *plan, const char *scope)
{
    if (!mir_map_find(plan->given_up, mir_span_of(scope)))
        plan->clashes++;
    mir_map_set(plan->given_up, mir_span_of(scope), plan->given_up);
}

static bool is_coarse(const struct plan *plan, const struct repo *repo)
{
    return repo->coarse && !repo->is_own &&
           !mir_map_find(plan->given_up, mir_span_of(repo->coarse));
}

static struct icsp_cover_scope *add_scope(struct plan *plan, const char *source)
{
    struct icsp_cover *cover = &plan->cover;
    struct icsp_cover_scope *scope;

    mir_grow(&cover->items, cover->count, &cover->capacity, sizeof(*cover->items));
    scope = &cover->items[cover->count++];
    *scope = (struct icsp_cover_scope){.source = mir_strdup(source)};
    return scope;
}

static void add_mirror(struct icsp_cover_scope *scope, const char *mirror)
{
    mir_grow(&scope->mirrors, scope->mirror_count, &scope->mirror_capacity,
             sizeof(*scope->mirrors));
    scope->mirrors[scope->mirror_count++] = mir_strdup(mirror);
}

/* A claim of one repository: this scope is answered by these mirrors. */
struct claim {
    const char *scope;
    const char *const *mirrors;
    size_t mirror_count;
    bool coarse;
};

static int compare_claims(const void *a, const void *b)
{
    const struct claim *left = a;
    const struct claim *right = b;
    int order = strcmp(left->scope, right->scope);

    return order != 0 ? order : (int)left->coarse - (int)right->coarse;
}

static bool same_mirrors(const struct icsp_cover_scope *scope, const struct claim *claim)
{
    if (scope->mirror_count != claim->mirror_count)
        return false;
    for (size_t i = 0; i < scope->mirror_count; i++)
        if (strcmp(scope->mirrors[i], claim->mirrors[i]) != 0)
            return false;
    return true;
}

static struct claim *make_claims(const struct plan *plan)
{
    struct claim *claims = mir_alloc_array(plan->count, sizeof(*claims));

    for (size_t i = 0; i < plan->count; i++) {
        const struct repo *repo = &plan->repos[i];
        bool coarse = is_coarse(plan, repo);

        claims[i] = (struct claim){
            .scope = coarse ? repo->coarse : repo->source,
            .mirrors = coarse ? (const char *const *)&repo->coarse_mirror
                              : (const char *const *)repo->mirrors,
            .mirror_count = coarse ? 1 : repo->mirror_count,
            .coarse = coarse,
        };
    }
    qsort(claims, plan->count, sizeof(*claims), compare_claims);
    return claims;
}

/* Write the proposal. False: two places claim one scope, which is given up; start over. */
static bool build(struct plan *plan)
{
    auto_free struct claim *claims = make_claims(plan);
    struct icsp_cover_scope *scope = NULL;
    bool ok = true;

    icsp_cover_release(&plan->cover);
    for (size_t i = 0; i < plan->count; i++) {
        const struct claim *claim = &claims[i];

        if (scope && strcmp(scope->source, claim->scope) == 0) {
            /* Only coarse claims can clash: a repository has one claim of its own. */
            if (!same_mirrors(scope, claim)) {
                give_up(plan, claim->scope);
                ok = false;
            }
            continue;
        }
        scope = add_scope(plan, claim->scope);
        for (size_t k = 0; k < claim->mirror_count; k++)
            add_mirror(scope, claim->mirrors[k]);
    }
    return ok;
}

static void index_scopes(struct plan *plan)
{
    mir_map_free(plan->by_scope);
    plan->by_scope = mir_map_new();
    for (size_t i = 0; i < plan->cover.count; i++)
        mir_map_set(plan->by_scope, mir_span_of(plan->cover.items[i].source),
                    &plan->cover.items[i]);
}

/* The entry a node would use: the longest that contains the name. */
static struct icsp_cover_scope *winner(const struct plan *plan, const char *source)
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
static bool resolves(const struct repo *repo, const struct icsp_cover_scope *scope)
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
static bool play_through(struct plan *plan)
{
    bool ok = true;

    index_scopes(plan);
    for (size_t i = 0; i < plan->count; i++) {
        struct repo *repo = &plan->repos[i];
        const struct icsp_cover_scope *scope = winner(plan, repo->source);

        if (resolves(repo, scope))
            continue;
        /* A scope of that very name belongs to others: they have to give it up. */
        if (strcmp(scope->source, repo->source) == 0)
            give_up(plan, scope->source);
        repo->is_own = true;
        ok = false;
    }
    return ok;
}

/* ---- the result ---- */

/* Does the entry around this one lead to the same places? */
static bool is_redundant(const struct plan *plan, const struct icsp_cover_scope *scope)
{
    struct repo as_repo = {
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

/* Rounds can leave entries that say what the one around them says. Whether an entry is redundant
 * does not depend on whether the one around it is. */
static void drop_redundant(struct plan *plan)
{
    struct icsp_cover *cover = &plan->cover;
    auto_free bool *drop = mir_alloc_array(cover->count, sizeof(*drop));
    size_t kept = 0;

    for (size_t i = 0; i < cover->count; i++)
        drop[i] = is_redundant(plan, &cover->items[i]);
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
static void mark_tags(struct plan *plan)
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

static void say_fallbacks(const struct plan *plan, enum icsp_scope_level level,
                          struct icsp_findings *findings)
{
    const struct repo *first = NULL;
    size_t own = 0;

    if (level == ICSP_SCOPE_REPOSITORY)
        return;
    for (size_t i = 0; i < plan->count; i++) {
        if (is_coarse(plan, &plan->repos[i]))
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

bool icsp_cover(const struct icsp_pair *pairs, size_t count, enum icsp_scope_level level,
                struct icsp_cover *out, struct icsp_findings *findings, struct mir_error *err)
{
    auto_plan plan = {.given_up = mir_map_new()};

    if (!collect(&plan, pairs, count, findings, err))
        return false;
    if (plan.count == 0)
        return mir_fail(err, MIR_E_USAGE,
                        "the mapping names no image that lies elsewhere than at "
                        "its source");
    for (size_t i = 0; i < plan.count; i++)
        propose(&plan.repos[i], level);
    while (!build(&plan) || !play_through(&plan))
        continue;
    if (level != ICSP_SCOPE_REPOSITORY)
        drop_redundant(&plan);
    mark_tags(&plan);
    say_fallbacks(&plan, level, findings);
    *out = plan.cover;
    plan.cover = (struct icsp_cover){0};
    return true;
}
