/*
 * Building registries.conf, step by step as the reference numbers them: digest mirrors, tag
 * mirrors, blocked entries, insecure flags, blocked flags, and mirrors handed down to nested
 * entries that have none. The order of the steps decides the order of the entries in the file.
 * Where generations differ, the one the registries were made for decides.
 *
 * Invariant: by_scope holds for every scope the first entry that has it.
 */
#include "icsp/registries_priv.h"

#include "base/mem.h"
#include "icsp/scope_priv.h"

void icsp_registries_init(struct icsp_registries *registries,
                          const struct icsp_generation *generation)
{
    *registries = (struct icsp_registries){
        .generation = generation,
        .mode = mir_strdup(""),
        .layer_helper = mir_strdup(""),
        .by_scope = mir_map_new(),
    };
}

void icsp_strings_add(struct icsp_strings *strings, struct mir_span text)
{
    mir_grow(&strings->items, strings->count, &strings->capacity, sizeof(*strings->items));
    strings->items[strings->count++] = mir_strndup(text.ptr, text.len);
}

static void strings_release(struct icsp_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
}

static void registry_free(struct icsp_registry *registry)
{
    free(registry->prefix);
    free(registry->location);
    for (size_t i = 0; i < registry->mirror_count; i++)
        free(registry->mirrors[i].location);
    free(registry->mirrors);
    free(registry);
}

void icsp_registries_release(struct icsp_registries *registries)
{
    strings_release(&registries->search);
    strings_release(&registries->helpers);
    free(registries->mode);
    free(registries->layer_helper);
    for (size_t i = 0; i < registries->alias_count; i++) {
        free(registries->aliases[i].name);
        free(registries->aliases[i].target);
    }
    free(registries->aliases);
    for (size_t i = 0; i < registries->count; i++)
        registry_free(registries->items[i]);
    free(registries->items);
    mir_map_free(registries->by_scope);
    *registries = (struct icsp_registries){0};
}

struct mir_span icsp_registry_scope(const struct icsp_registry *registry)
{
    return mir_span_of(registry->prefix[0] ? registry->prefix : registry->location);
}

/* What an entry is told apart by while the file is built. */
static struct mir_span building_scope(const struct icsp_registries *registries,
                                      const struct icsp_registry *registry)
{
    return registries->generation->scope_is_location ? mir_span_of(registry->location)
                                                     : icsp_registry_scope(registry);
}

struct icsp_registry *icsp_registries_append(struct icsp_registries *registries)
{
    struct icsp_registry *registry = mir_alloc(sizeof(*registry));

    mir_grow(&registries->items, registries->count, &registries->capacity,
             sizeof(*registries->items));
    registries->items[registries->count++] = registry;
    return registry;
}

void icsp_registries_index(struct icsp_registries *registries, struct icsp_registry *registry)
{
    struct mir_span scope = building_scope(registries, registry);

    if (!mir_map_find(registries->by_scope, scope))
        mir_map_set(registries->by_scope, scope, registry);
}

/* The first entry with this scope, appended when there is none. */
static struct icsp_registry *entry(struct icsp_registries *registries, const char *scope)
{
    struct icsp_registry *found = mir_map_find(registries->by_scope, mir_span_of(scope));
    bool wildcard =
        !registries->generation->scope_is_location && icsp_scope_is_wildcard(mir_span_of(scope));

    if (found)
        return found;
    found = icsp_registries_append(registries);
    found->prefix = mir_strdup(wildcard ? scope : "");
    found->location = mir_strdup(wildcard ? "" : scope);
    mir_map_set(registries->by_scope, mir_span_of(scope), found);
    return found;
}

static void add_mirror(struct icsp_registry *registry, struct icsp_mirror mirror)
{
    mir_grow(&registry->mirrors, registry->mirror_count, &registry->mirror_capacity,
             sizeof(*registry->mirrors));
    registry->mirrors[registry->mirror_count++] = mirror;
}

static void add_sets(struct icsp_registries *registries, const struct icsp_merged *merged,
                     enum icsp_pull pull)
{
    bool mark_entry =
        pull == ICSP_PULL_DIGEST && registries->generation->digest_mark == ICSP_MARK_ENTRY;

    for (size_t i = 0; i < merged->count; i++) {
        const struct icsp_merged_set *set = &merged->items[i];
        struct icsp_registry *registry = entry(registries, set->source);

        if (set->never)
            registry->blocked = true;
        if (mark_entry)
            registry->digest_only = true;
        for (size_t k = 0; k < set->mirrors.count; k++)
            add_mirror(registry, (struct icsp_mirror){.location = mir_strdup(set->mirrors.items[k]),
                                                      .pull = mark_entry ? ICSP_PULL_ALL : pull});
    }
}

/* ---- flags of lists ---- */

/* The entries of a list, for looking up. Any value that is not NULL will do. */
static struct mir_map *list_set(const struct icsp_list *list)
{
    struct mir_map *set = mir_map_new();

    for (size_t i = 0; i < list->count; i++)
        mir_map_set(set, mir_span_of(list->items[i]), set);
    return set;
}

/* Is scope nested in any of the set? */
static bool is_in_set(const struct icsp_generation *generation, struct mir_span scope,
                      const struct mir_map *set)
{
    struct icsp_scope_walk walk =
        generation->has_wildcards ? icsp_scope_walk_from(scope) : icsp_scope_walk_plain(scope);
    struct mir_span super;
    bool wildcard;

    while (icsp_scope_walk_next(&walk, &super, &wildcard)) {
        auto_free char *name = NULL;

        if (!wildcard && mir_map_find(set, super))
            return true;
        if (!wildcard)
            continue;
        name = mir_format("*%.*s", MIR_SPAN_ARG(super));
        if (mir_map_find(set, mir_span_of(name)))
            return true;
    }
    return false;
}

static void mark_insecure(struct icsp_registries *registries, const struct icsp_list *insecure)
{
    auto_map *set = list_set(insecure);

    for (size_t i = 0; i < insecure->count; i++)
        (void)entry(registries, insecure->items[i]);
    for (size_t i = 0; i < registries->count; i++) {
        struct icsp_registry *registry = registries->items[i];

        if (is_in_set(registries->generation, building_scope(registries, registry), set))
            registry->insecure = true;
        for (size_t k = 0; k < registry->mirror_count; k++)
            if (is_in_set(registries->generation, mir_span_of(registry->mirrors[k].location), set))
                registry->mirrors[k].insecure = true;
    }
}

static void mark_blocked(struct icsp_registries *registries, const struct icsp_list *blocked)
{
    auto_map *set = list_set(blocked);

    for (size_t i = 0; i < registries->count; i++) {
        struct icsp_registry *registry = registries->items[i];

        if (is_in_set(registries->generation, building_scope(registries, registry), set))
            registry->blocked = true;
    }
}

/* ---- handing mirrors down ---- */

/* The place of every source in the order in which sources hand down: digest sets, then tag sets. */
struct heir_index {
    struct mir_map *ranks;
    size_t *storage;
};

static void index_sources(const struct icsp_registries_input *input, struct heir_index *index)
{
    const struct icsp_merged *const both[] = {input->digest, input->tag};
    size_t next = 0;

    index->ranks = mir_map_new();
    index->storage =
        mir_alloc_array(input->digest->count + input->tag->count, sizeof(*index->storage));
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < both[b]->count; i++, next++) {
            struct mir_span source = mir_span_of(both[b]->items[i].source);

            index->storage[next] = next;
            if (!mir_map_find(index->ranks, source))
                mir_map_set(index->ranks, source, &index->storage[next]);
        }
}

/* The entry of the first source, in order, that contains scope and is not scope. */
static const struct icsp_registry *first_parent(const struct icsp_registries *registries,
                                                const struct heir_index *index,
                                                struct mir_span scope)
{
    struct icsp_scope_walk walk = icsp_scope_walk_from(scope);
    const struct icsp_registry *best = NULL;
    size_t best_rank = 0;
    struct mir_span super;
    bool wildcard;

    while (icsp_scope_walk_next(&walk, &super, &wildcard)) {
        auto_free char *name = mir_format("%s%.*s", wildcard ? "*" : "", MIR_SPAN_ARG(super));
        const size_t *rank;

        if (mir_span_is(scope, name))
            continue;
        rank = mir_map_find(index->ranks, mir_span_of(name));
        if (!rank || (best && *rank >= best_rank))
            continue;
        best_rank = *rank;
        best = mir_map_find(registries->by_scope, mir_span_of(name));
    }
    return best;
}

/* A copy of the parent's mirrors, each one level deeper; and with them what says that they are for
 * digests, where that is not said by the mirrors themselves. */
static void inherit(const struct icsp_generation *generation, struct icsp_registry *heir,
                    const struct icsp_registry *parent)
{
    struct mir_span rest =
        mir_span_from(icsp_registry_scope(heir), icsp_registry_scope(parent).len);

    for (size_t i = 0; i < parent->mirror_count; i++) {
        struct icsp_mirror mirror = parent->mirrors[i];

        mirror.location = mir_format("%s%.*s", mirror.location, MIR_SPAN_ARG(rest));
        add_mirror(heir, mirror);
    }
    if (generation->digest_mark == ICSP_MARK_ENTRY && parent->digest_only)
        heir->digest_only = true;
}

static bool hand_down(struct icsp_registries *registries, const struct icsp_registries_input *input,
                      const char **wildcard, const char **nested)
{
    struct heir_index index;
    bool ok = true;

    index_sources(input, &index);
    /* Sources have mirrors, so an entry without any is no parent, and the order of the entries does
     * not matter. */
    for (size_t i = 0; i < registries->count && ok; i++) {
        struct icsp_registry *heir = registries->items[i];
        const struct icsp_registry *parent;

        if (heir->mirror_count > 0)
            continue;
        parent = first_parent(registries, &index, icsp_registry_scope(heir));
        if (!parent)
            continue;
        if (icsp_scope_is_wildcard(icsp_registry_scope(parent))) {
            *wildcard = icsp_registry_scope(parent).ptr;
            *nested = icsp_registry_scope(heir).ptr;
            ok = false;
            continue;
        }
        inherit(registries->generation, heir, parent);
    }
    mir_map_free(index.ranks);
    free(index.storage);
    return ok;
}

bool icsp_registries_build(struct icsp_registries *registries,
                           const struct icsp_registries_input *input, const char **wildcard,
                           const char **nested)
{
    add_sets(registries, input->digest, ICSP_PULL_DIGEST);
    add_sets(registries, input->tag, ICSP_PULL_TAG);
    if (registries->generation->insecure_before_blocked)
        mark_insecure(registries, input->insecure);
    for (size_t i = 0; i < input->blocked->count; i++)
        (void)entry(registries, input->blocked->items[i]);
    if (!registries->generation->insecure_before_blocked)
        mark_insecure(registries, input->insecure);
    mark_blocked(registries, input->blocked);
    return !registries->generation->hands_mirrors_down ||
           hand_down(registries, input, wildcard, nested);
}

/* ---- looking up ---- */

/* The search for the entry of one reference. */
struct search {
    const struct icsp_registries *registries;
    struct mir_span ref;
    const struct icsp_registry *best;
    size_t matched;
};

/* The longest scope wins, of two that are as long the smaller, of equal ones the first. */
static void consider(struct search *s, const struct icsp_registry *registry)
{
    struct mir_span scope = icsp_registry_scope(registry);
    struct mir_span best = s->best ? icsp_registry_scope(s->best) : (struct mir_span){0};
    size_t len;

    if (!icsp_prefix_match(scope, s->ref, &len))
        return;
    if (s->best &&
        (scope.len < best.len || (scope.len == best.len && mir_span_compare(scope, best) >= 0)))
        return;
    s->best = registry;
    s->matched = len;
}

static void consider_all(struct search *s)
{
    for (size_t i = 0; i < s->registries->count; i++)
        consider(s, s->registries->items[i]);
}

static void consider_scope(struct search *s, struct mir_span scope)
{
    const struct icsp_registry *found = mir_map_find(s->registries->by_scope, scope);

    if (found)
        consider(s, found);
}

/* Where a scope can end in a reference. */
static bool is_end(struct mir_span ref, size_t at)
{
    return at == ref.len || strchr(":/@", ref.ptr[at]) != NULL;
}

/* All scopes that can match: what the reference begins with, and "*" with a part of its host that
 * begins with a dot. */
static void consider_scopes(struct search *s, size_t host_len)
{
    auto_free char *wildcard = mir_alloc(s->ref.len + 2);

    wildcard[0] = '*';
    for (size_t end = 0; end <= s->ref.len; end++) {
        if (!is_end(s->ref, end))
            continue;
        consider_scope(s, mir_span_first(s->ref, end));
        for (size_t dot = 0; dot < host_len && dot < end; dot++) {
            if (s->ref.ptr[dot] != '.')
                continue;
            memcpy(wildcard + 1, s->ref.ptr + dot, end - dot);
            consider_scope(s, mir_span(wildcard, end - dot + 1));
        }
    }
}

/* How many scopes that would be. */
static size_t count_scopes(struct mir_span ref, size_t host_len)
{
    size_t ends = 0;
    size_t dots = 0;

    for (size_t i = 0; i <= ref.len; i++)
        ends += is_end(ref, i);
    for (size_t i = 0; i < host_len; i++)
        dots += ref.ptr[i] == '.';
    return ends * (dots + 1);
}

const struct icsp_registry *icsp_registries_find(const struct icsp_registries *registries,
                                                 struct mir_span ref, size_t *matched)
{
    struct search s = {.registries = registries, .ref = ref};
    size_t host_len;

    if (!mir_span_find(ref, '/', &host_len))
        host_len = ref.len;
    /* The index is of use where it is by what is looked up, and where there are many entries. */
    if (registries->generation->scope_is_location ||
        registries->count <= count_scopes(ref, host_len))
        consider_all(&s);
    else
        consider_scopes(&s, host_len);
    if (s.best)
        *matched = s.matched;
    return s.best;
}

bool icsp_rewrite(struct mir_span ref, size_t matched, const char *location, char **text,
                  struct icsp_reference *out)
{
    *text = mir_format("%s%.*s", location, MIR_SPAN_ARG(mir_span_from(ref, matched)));
    return icsp_reference_parse(mir_span_of(*text), out);
}

bool icsp_mirror_applies(const struct icsp_registry *registry, const struct icsp_mirror *mirror,
                         const struct icsp_reference *ref)
{
    if (registry->digest_only)
        return ref->digest.len > 0;
    switch (mirror->pull) {
    case ICSP_PULL_ALL:
        return true;
    case ICSP_PULL_DIGEST:
        return ref->digest.len > 0;
    case ICSP_PULL_TAG:
        return ref->digest.len == 0;
    }
    return false;
}
