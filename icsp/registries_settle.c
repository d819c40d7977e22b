/*
 * What the container library makes of the entries of one file once they are read: every entry gets
 * a prefix, slashes at the end go, and what it refuses, it refuses for the file as a whole. After
 * this a file can be looked things up in.
 *
 * Invariant: by_scope holds for every prefix the first entry that has it.
 */
#include "icsp/registries_priv.h"

#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

struct settler {
    const char *name;
    struct mir_error *err;
};

#define refuse(s, line, ...) icsp_refuse_line((s)->err, (s)->name, line, __VA_ARGS__)

static bool settle_location(const struct settler *s, unsigned line, char *location)
{
    size_t len = strlen(location);

    if (mir_starts_with(location, "http://") || mir_starts_with(location, "https://")) {
        (void)refuse(s, line, "\"%.200s\": a location has no http:// or https:// in front",
                     location);
        return mir_hint(s->err, "leave the scheme out; \"insecure = true\" allows http");
    }
    while (len > 0 && location[len - 1] == '/')
        location[--len] = '\0';
    return true;
}

static bool settle_mirrors(const struct settler *s, const struct icsp_registry *registry)
{
    for (size_t i = 0; i < registry->mirror_count; i++) {
        struct icsp_mirror *mirror = &registry->mirrors[i];

        if (!settle_location(s, mirror->line, mirror->location))
            return false;
        if (mirror->location[0] == '\0')
            return refuse(s, mirror->line, "a mirror without a location");
        if (registry->digest_only && (mirror->says_all || mirror->pull != ICSP_PULL_ALL))
            return refuse(s, mirror->line,
                          "mirror \"%.200s\": pull-from-mirror excludes mirror-by-digest-only of "
                          "its registry",
                          mirror->location);
    }
    return true;
}

static bool settle_registry(const struct settler *s, struct icsp_registry *registry)
{
    if (!settle_location(s, registry->line, registry->location) ||
        !settle_location(s, registry->line, registry->prefix))
        return false;
    if (registry->location[0] == '\0' && !icsp_scope_is_wildcard(mir_span_of(registry->prefix)))
        return refuse(s, registry->line, "a registry without a location");
    if (icsp_scope_is_wildcard(icsp_registry_scope(registry)) &&
        strpbrk(icsp_registry_scope(registry).ptr, "/:@"))
        return refuse(s, registry->line, "\"%.200s\": a wildcard is *.DOMAIN alone",
                      icsp_registry_scope(registry).ptr);
    if (registry->says_pull)
        return refuse(s, registry->line, "pull-from-mirror is for mirrors, not for a registry");
    if (registry->prefix[0] == '\0') {
        free(registry->prefix);
        registry->prefix = mir_strdup(registry->location);
    }
    return settle_mirrors(s, registry);
}

/* Entries of one location have to agree on what it is. */
static bool check_agreement(const struct settler *s, const struct icsp_registries *registries)
{
    auto_map *by_location = mir_map_new();

    for (size_t i = 0; i < registries->count; i++) {
        struct icsp_registry *registry = registries->items[i];
        struct mir_span location =
            mir_span_of(registry->location[0] ? registry->location : registry->prefix);
        const struct icsp_registry *other = mir_map_find(by_location, location);

        if (!other)
            mir_map_set(by_location, location, registry);
        else if (other->insecure != registry->insecure || other->blocked != registry->blocked)
            return refuse(
                s, registry->line,
                "\"%.200s\" stands here twice, with another \"%s\" than in line %u", location.ptr,
                other->insecure != registry->insecure ? "insecure" : "blocked", other->line);
    }
    return true;
}

static bool settle_search(const struct settler *s, const struct icsp_strings *search)
{
    for (size_t i = 0; i < search->count; i++) {
        if (!settle_location(s, 0, search->items[i]))
            return false;
        if (!icsp_reference_is_host(mir_span_of(search->items[i])))
            return refuse(s, 0, "unqualified-search-registries: \"%.200s\" is no host",
                          search->items[i]);
    }
    return true;
}

static bool check_mode(const struct settler *s, const char *mode)
{
    static const char *const modes[] = {"", "disabled", "enforcing", "permissive"};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(mode, modes[i]) == 0)
            return true;
    return refuse(s, 0, "short-name-mode: \"%.100s\" is none of disabled, enforcing, permissive",
                  mode);
}

/* A short name stands for a full one; an empty one takes an earlier alias away. */
static bool check_aliases(const struct settler *s, const struct icsp_registries *registries)
{
    for (size_t i = 0; i < registries->alias_count; i++) {
        const struct icsp_alias *alias = &registries->aliases[i];

        if (!icsp_reference_is_plain(mir_span_of(alias->name), false))
            return refuse(s, 0, "alias \"%.200s\" is no name without registry, tag and digest",
                          alias->name);
        if (alias->target[0] && !icsp_reference_is_plain(mir_span_of(alias->target), true))
            return refuse(s, 0, "alias %.200s: \"%.200s\" is no repository with its registry",
                          alias->name, alias->target);
    }
    return true;
}

bool icsp_registries_settle(struct icsp_registries *registries, const char *name,
                            struct mir_error *err)
{
    const struct settler s = {.name = name, .err = err};

    for (size_t i = 0; i < registries->count; i++)
        if (!settle_registry(&s, registries->items[i]))
            return false;
    if (!check_agreement(&s, registries) || !settle_search(&s, &registries->search) ||
        !check_mode(&s, registries->mode) || !check_aliases(&s, registries))
        return false;
    mir_map_free(registries->by_scope);
    registries->by_scope = mir_map_new();
    for (size_t i = 0; i < registries->count; i++)
        icsp_registries_index(registries, registries->items[i]);
    return true;
}
