/*
 * The table of generations. A row is the newest state of the branch it is named after; releases
 * between two rows write what one of them writes, for ordinary objects.
 *
 * Reference: "What changed between versions".
 */
#include "icsp/generation_priv.h"

#include "icsp/findings_priv.h"

static const struct icsp_generation older[] = {
    {
        .name = "4.6",
        .releases = "4.2 to 4.8",
        .empty_allowed_is_given = true,
        .entry_rule = ICSP_ENTRY_ANY,
        .location_rule = ICSP_LOCATION_ANY,
        .guard = ICSP_GUARD_HOST,
        .scope_is_location = true,
        .insecure_before_blocked = true,
        .digest_mark = ICSP_MARK_ENTRY,
        .atomic_is_docker = true,
    },
    {
        .name = "4.10",
        .releases = "4.9 and 4.10",
        .knows_search = true,
        .empty_allowed_is_given = true,
        .entry_rule = ICSP_ENTRY_STAR,
        .location_rule = ICSP_LOCATION_NO_STAR,
        .guard = ICSP_GUARD_HOST,
        .has_wildcards = true,
        .digest_mark = ICSP_MARK_ENTRY,
        .writes_settings = true,
        .escapes_controls = true,
        .atomic_is_docker = true,
        .drain_rule = ICSP_DRAIN_BY_ENTRY,
    },
    {
        .name = "4.12",
        .releases = "4.11 and 4.12",
        .knows_search = true,
        .entry_rule = ICSP_ENTRY_STAR_FILLED,
        .location_rule = ICSP_LOCATION_NO_STAR_FILLED,
        .payload_may_be_allowed = true,
        .guard = ICSP_GUARD_PAYLOAD,
        .has_wildcards = true,
        .hands_mirrors_down = true,
        .digest_mark = ICSP_MARK_ENTRY,
        .writes_settings = true,
        .escapes_controls = true,
        .atomic_is_docker = true,
        .drain_rule = ICSP_DRAIN_BY_ENTRY,
        .drain_is_known = true,
    },
    {
        .name = "4.14",
        .releases = "4.13 to 4.16",
        .knows_sets = true,
        .knows_search = true,
        .entry_rule = ICSP_ENTRY_STAR_FILLED,
        .location_rule = ICSP_LOCATION_NO_STAR_FILLED,
        .payload_may_be_allowed = true,
        .guard = ICSP_GUARD_PAYLOAD,
        .has_wildcards = true,
        .hands_mirrors_down = true,
        .digest_mark = ICSP_MARK_MIRROR,
        .writes_settings = true,
        .escapes_controls = true,
        .drain_rule = ICSP_DRAIN_BY_MIRROR,
        .drain_is_known = true,
    },
    {
        .name = "4.18",
        .releases = "4.17 and 4.18",
        .knows_sets = true,
        .knows_policies = true,
        .knows_search = true,
        .empty_identity_is_default = true,
        .entry_rule = ICSP_ENTRY_STAR_FILLED,
        .location_rule = ICSP_LOCATION_FORMAT,
        .payload_may_be_allowed = true,
        .guard = ICSP_GUARD_PAYLOAD,
        .has_wildcards = true,
        .hands_mirrors_down = true,
        .digest_mark = ICSP_MARK_MIRROR,
        .writes_settings = true,
        .escapes_controls = true,
        .policy_style = {.indent = 2, .short_escapes = true},
        .namespace_style = {.indent = 1, .short_escapes = true},
        .drain_rule = ICSP_DRAIN_BY_MIRROR,
        .drain_is_known = true,
    },
};
#define OLDER_COUNT (sizeof(older) / sizeof(older[0]))

const struct icsp_generation icsp_generation_current = {
    .name = "current",
    .releases = "4.19 and later",
    .knows_sets = true,
    .knows_policies = true,
    .knows_pki = true,
    .api_checks_lists = true,
    .knows_search = true,
    .entry_rule = ICSP_ENTRY_STAR_FILLED,
    .location_rule = ICSP_LOCATION_FORMAT,
    .payload_may_be_allowed = true,
    .guard = ICSP_GUARD_PAYLOAD,
    .has_wildcards = true,
    .hands_mirrors_down = true,
    .digest_mark = ICSP_MARK_MIRROR,
    .writes_settings = true,
    .writes_layer_helper = true,
    .escapes_controls = true,
    .policy_style = {.indent = 2, .short_escapes = true},
    .namespace_style = {.indent = 2, .short_escapes = true},
    .drain_rule = ICSP_DRAIN_BY_MIRROR,
    .drain_is_known = true,
    .namespaces_reload = true,
};

/* ---- looking one up ---- */

static const struct icsp_generation *row(size_t index)
{
    if (index < OLDER_COUNT)
        return &older[index];
    return index == OLDER_COUNT ? &icsp_generation_current : NULL;
}

const struct icsp_generation *icsp_generation_find(const char *name)
{
    for (size_t i = 0; row(i); i++)
        if (strcmp(row(i)->name, name) == 0)
            return row(i);
    return NULL;
}

const char *icsp_generation_name(size_t index)
{
    const struct icsp_generation *found = row(index);

    return found ? found->name : NULL;
}

const char *icsp_generation_releases(size_t index)
{
    const struct icsp_generation *found = row(index);

    return found ? found->releases : NULL;
}

/* ---- what it knows of the objects ---- */

static void say_unknown(const struct icsp_generation *generation, const char *what, size_t count,
                        struct icsp_findings *findings)
{
    if (count > 0)
        icsp_say(findings, ICSP_WARNING, (struct icsp_place){.label = what, .rule = "unknown-kind"},
                 "leave it out, or ask for another generation",
                 "has no effect: generation %s (%s) does not know this kind (objects: %zu)",
                 generation->name, generation->releases, count);
}

struct icsp_objects icsp_generation_narrow(const struct icsp_generation *generation,
                                           const struct icsp_objects *objects,
                                           struct icsp_findings *findings)
{
    struct icsp_objects known = *objects;

    if (!generation->knows_sets) {
        say_unknown(generation, "ImageDigestMirrorSet", objects->idms.objects, findings);
        say_unknown(generation, "ImageTagMirrorSet", objects->itms.objects, findings);
        known.idms = known.itms = (struct icsp_sets){0};
    }
    if (!generation->knows_policies) {
        say_unknown(generation, "ClusterImagePolicy", objects->cluster_policies.count, findings);
        say_unknown(generation, "ImagePolicy", objects->policies.count, findings);
        known.cluster_policies = known.policies = (struct icsp_policies){0};
    }
    if (!generation->knows_search && known.image.search.given) {
        icsp_say(findings, ICSP_WARNING,
                 (struct icsp_place){.object = known.image.object,
                                     .field = ICSP_FIELD_SEARCH,
                                     .rule = "unknown-field"},
                 "leave it out, or ask for another generation",
                 "has no effect: generation %s (%s) does not know this field", generation->name,
                 generation->releases);
        known.image.search = (struct icsp_list){0};
    }
    return known;
}
