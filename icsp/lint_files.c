/*
 * What the readers of the node's files refuse although the operator writes it: entries that make a
 * whole file unreadable, and mirrors that are there and will not be used.
 *
 * Reference: "What the consumers refuse". The rules are those of the container library that CRI-O
 * and podman share.
 */
#include "icsp/lint_priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "icsp/policy_priv.h"
#include "icsp/scope_priv.h"

/* ---- policy.json ---- */

static size_t count_slashes(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == '/';
    return count;
}

/* Does the scope get into transport "atomic" and break it? */
static bool breaks_policy(const struct icsp_lint *lint, const char *scope)
{
    bool left_out = !lint->in->generation->atomic_is_docker && count_slashes(scope) >= 3;

    return !left_out && !icsp_policy_is_atomic_scope(scope);
}

static void warn_policy(struct icsp_lint *lint, const struct icsp_origin *object, const char *field,
                        size_t index, const char *scope)
{
    auto_free char *at = mir_format("%s[%zu]", field, index);
    struct icsp_place place = {
        .object = object, .field = at, .value = scope, .rule = "policy-unreadable"};

    icsp_say(lint->findings, ICSP_WARNING, place,
             "leave tag and digest out, or name a repository two levels below its host",
             "makes policy.json unreadable: its transport \"atomic\" takes HOST[/A[/B[:TAG]]] "
             "alone; every pull on the node would fail");
}

static void lint_policy_list(struct icsp_lint *lint, const char *field,
                             const struct icsp_list *list, const struct icsp_list *effective)
{
    for (size_t i = 0; effective->count > 0 && i < list->count; i++)
        if (breaks_policy(lint, list->items[i]))
            warn_policy(lint, lint->image->object, field, i, list->items[i]);
}

static void lint_policy_scopes(struct icsp_lint *lint, const struct icsp_policies *policies,
                               const struct icsp_list *effective)
{
    auto_map *in_effect = mir_map_new();

    for (size_t i = 0; i < effective->count; i++)
        mir_map_set(in_effect, mir_span_of(effective->items[i]), lint);
    for (size_t i = 0; i < policies->count; i++)
        for (size_t k = 0; k < policies->items[i].scopes.count; k++) {
            const char *scope = policies->items[i].scopes.items[k];

            if (breaks_policy(lint, scope) && mir_map_find(in_effect, mir_span_of(scope)))
                warn_policy(lint, policies->items[i].object, "spec.scopes", k, scope);
        }
}

/* ---- registries.conf: refused as a whole ---- */

static void warn_registries(struct icsp_lint *lint, const struct icsp_registry *entry,
                            const char *mirror, const char *hint, const char *text)
{
    auto_free char *scope =
        mir_strndup(icsp_registry_scope(entry).ptr, icsp_registry_scope(entry).len);
    auto_free char *field = NULL;
    struct icsp_place place = {.value = mirror ? mirror : scope, .rule = "registries-unreadable"};

    if (mirror)
        icsp_lint_place_mirror(lint, mir_span_of(scope), mirror, &place, &field);
    else
        icsp_lint_place_scope(lint, mir_span_of(scope), &place, &field);
    icsp_say(lint->findings, ICSP_WARNING, place, hint,
             "makes registries.conf unreadable: %s; every pull on the node would fail", text);
}

static bool has_scheme(const char *location)
{
    return mir_starts_with(location, "http://") || mir_starts_with(location, "https://");
}

/* Generations without wildcards write what begins like one as it is. */
static bool is_bad_wildcard(const char *scope)
{
    return mir_starts_with(scope, "*.") && strpbrk(scope + 2, "/:@");
}

/* The reader drops slashes at the end. */
static bool is_empty(const char *location)
{
    return strspn(location, "/") == strlen(location);
}

/* Control characters that a generation writes as they are; TOML does not have them. */
static bool has_raw_control(const struct icsp_lint *lint, const char *text)
{
    for (; !lint->in->generation->escapes_controls && *text; text++)
        if (((unsigned char)*text < 0x20 && !strchr("\t\n\r", *text)) || *text == 0x7f)
            return true;
    return false;
}

static void lint_locations(struct icsp_lint *lint, const struct icsp_registry *entry)
{
    static const char scheme[] = "a location that begins with http:// or https:// is refused";
    static const char empty[] = "a location that is empty, or has slashes alone, is refused";
    static const char control[] = "this generation writes control characters as they are";

    if (has_scheme(icsp_registry_scope(entry).ptr) || has_scheme(entry->location))
        warn_registries(lint, entry, NULL, "leave the scheme out", scheme);
    if (is_bad_wildcard(icsp_registry_scope(entry).ptr))
        warn_registries(lint, entry, NULL, "write *.domain alone",
                        "a wildcard with a port or a path is refused");
    if (is_empty(icsp_registry_scope(entry).ptr))
        warn_registries(lint, entry, NULL, "name a host", empty);
    if (has_raw_control(lint, icsp_registry_scope(entry).ptr))
        warn_registries(lint, entry, NULL, "leave them out", control);
    for (size_t i = 0; i < entry->mirror_count; i++) {
        if (has_scheme(entry->mirrors[i].location))
            warn_registries(lint, entry, entry->mirrors[i].location, "leave the scheme out",
                            scheme);
        if (is_empty(entry->mirrors[i].location))
            warn_registries(lint, entry, entry->mirrors[i].location, "name a host", empty);
        if (has_raw_control(lint, entry->mirrors[i].location))
            warn_registries(lint, entry, entry->mirrors[i].location, "leave them out", control);
    }
}

/* Marks of both generations in one entry: only a base file of one's own can bring the first. */
static void lint_digest_mark(struct icsp_lint *lint, const struct icsp_registry *entry)
{
    bool has_pull = false;

    for (size_t i = 0; i < entry->mirror_count; i++)
        has_pull = has_pull || entry->mirrors[i].pull != ICSP_PULL_ALL;
    if (entry->digest_only && has_pull)
        warn_registries(lint, entry, NULL, "take mirror-by-digest-only out of the base file",
                        "the base file gives this entry mirror-by-digest-only, which excludes "
                        "pull-from-mirror");
}

/* The location as the reader understands it. */
static struct mir_span trimmed_location(const struct icsp_registry *entry)
{
    struct mir_span text =
        entry->location[0] ? mir_span_of(entry->location) : icsp_registry_scope(entry);

    while (text.len > 0 && text.ptr[text.len - 1] == '/')
        text.len--;
    return text;
}

/* Entries of one location, up to slashes at its end, must agree. */
static void lint_same_location(struct icsp_lint *lint, struct icsp_registry *entry,
                               struct mir_map *by_location)
{
    struct mir_span location = trimmed_location(entry);
    const struct icsp_registry *first = mir_map_find(by_location, location);

    if (!first)
        mir_map_set(by_location, location, entry);
    else if (first->blocked != entry->blocked || first->insecure != entry->insecure)
        warn_registries(lint, entry, NULL, "leave the '/' at the end out",
                        first->blocked != entry->blocked
                            ? "the same location stands in it twice, once blocked and once not"
                            : "the same location stands in it twice, once insecure and once not");
}

/* ---- mirrors that will not be used ---- */

/* The entry a runtime uses for a pull from location: the longest prefix, which ends where a part of
 * the name ends. */
static void take_if_longer(const struct icsp_lint *lint, const char *scope,
                           const struct icsp_registry **best)
{
    const struct icsp_registry *found =
        mir_map_find(lint->in->registries->by_scope, mir_span_of(scope));

    if (found && (!*best || icsp_registry_scope(found).len > icsp_registry_scope(*best).len ||
                  (icsp_registry_scope(found).len == icsp_registry_scope(*best).len &&
                   mir_span_compare(icsp_registry_scope(found), icsp_registry_scope(*best)) < 0)))
        *best = found;
}

static const struct icsp_registry *entry_for(const struct icsp_lint *lint, const char *location)
{
    const struct icsp_registry *best = NULL;
    size_t host = strcspn(location, "/:");
    size_t len = strlen(location);

    for (size_t i = 1; i <= len; i++) {
        auto_free char *prefix = NULL;

        if (location[i] && !strchr("/:@", location[i]))
            continue;
        prefix = mir_strndup(location, i);
        take_if_longer(lint, prefix, &best);
    }
    for (size_t i = 0; i < host; i++) {
        auto_free char *wildcard = NULL;

        if (location[i] != '.')
            continue;
        wildcard = mir_format("*%.*s", (int)(host - i), location + i);
        take_if_longer(lint, wildcard, &best);
    }
    return best;
}

static void warn_mirror(struct icsp_lint *lint, const struct icsp_registry *entry,
                        const struct icsp_mirror *mirror, const char *rule, const char *hint,
                        const char *text, struct mir_span other)
{
    auto_free char *field = NULL;
    struct icsp_place place = {.value = mirror->location, .rule = rule};

    icsp_lint_place_mirror(lint, icsp_registry_scope(entry), mirror->location, &place, &field);
    icsp_say(lint->findings, ICSP_WARNING, place, hint, "%s \"%.*s\"", text, MIR_SPAN_ARG(other));
}

static void lint_blocked_mirrors(struct icsp_lint *lint, const struct icsp_registry *entry)
{
    for (size_t i = 0; i < entry->mirror_count; i++) {
        const struct icsp_registry *other = entry_for(lint, entry->mirrors[i].location);

        if (other && other->blocked)
            warn_mirror(lint, entry, &entry->mirrors[i], "mirror-blocked",
                        "block less, or take another mirror",
                        "a node passes this mirror over, because its place is blocked by",
                        icsp_registry_scope(other));
    }
}

/* Only mirrors that were handed down can lack the flag: all others were looked at for it. */
static void lint_insecure_mirrors(struct icsp_lint *lint, const struct icsp_registry *entry,
                                  const struct mir_map *insecure)
{
    if (icsp_lint_is_source(lint, icsp_registry_scope(entry)))
        return;
    for (size_t i = 0; i < entry->mirror_count; i++) {
        struct icsp_scope_walk walk = icsp_scope_walk_from(mir_span_of(entry->mirrors[i].location));
        struct mir_span super;
        bool wildcard;

        if (entry->mirrors[i].insecure)
            continue;
        while (icsp_scope_walk_next(&walk, &super, &wildcard)) {
            auto_free char *name = mir_format("%s%.*s", wildcard ? "*" : "", MIR_SPAN_ARG(super));

            if (!mir_map_find(insecure, mir_span_of(name)))
                continue;
            warn_mirror(lint, entry, &entry->mirrors[i], "mirror-not-insecure",
                        "make the whole mirror insecure, or name mirrors for this scope",
                        "this mirror, handed down from a source around the entry, is asked with "
                        "TLS although insecureRegistries has",
                        mir_span_of(name));
            break;
        }
    }
}

static void lint_use(struct icsp_lint *lint)
{
    const struct icsp_registries *registries = lint->in->registries;
    const struct icsp_list *list = &lint->image->insecure;
    auto_map *insecure = mir_map_new();
    bool has_blocked = false;

    for (size_t i = 0; i < list->count; i++)
        mir_map_set(insecure, mir_span_of(list->items[i]), lint);
    for (size_t i = 0; i < registries->count; i++)
        has_blocked = has_blocked || registries->items[i]->blocked;
    for (size_t i = 0; i < registries->count; i++) {
        if (has_blocked)
            lint_blocked_mirrors(lint, registries->items[i]);
        if (list->count > 0)
            lint_insecure_mirrors(lint, registries->items[i], insecure);
    }
}

static void lint_registries(struct icsp_lint *lint)
{
    const struct icsp_registries *registries = lint->in->registries;
    auto_map *by_location = mir_map_new();

    for (size_t i = 0; i < registries->count; i++) {
        lint_locations(lint, registries->items[i]);
        lint_digest_mark(lint, registries->items[i]);
        lint_same_location(lint, registries->items[i], by_location);
    }
    lint_use(lint);
}

void icsp_lint_files(struct icsp_lint *lint)
{
    const struct icsp_lint_input *in = lint->in;

    lint_policy_list(lint, ICSP_FIELD_ALLOWED, &lint->image->allowed, &in->guarded->allowed);
    lint_policy_list(lint, ICSP_FIELD_BLOCKED, &lint->image->blocked, &in->guarded->policy_blocked);
    lint_policy_scopes(lint, &in->objects->cluster_policies, in->cluster_scopes);
    lint_policy_scopes(lint, &in->objects->policies, in->scopes);
    if (in->registries)
        lint_registries(lint);
}
