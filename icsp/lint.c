/*
 * Warnings that no cluster gives: settings that are accepted, written, and then keep pods from
 * starting. Each names the entry, what would fail, and the way out.
 */
#include "icsp/lint_priv.h"

#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

#define INTERNAL_REGISTRY "image-registry.openshift-image-registry.svc:5000"

/* The repositories a release consists of: the payload's and its components'. */
struct release {
    const char *name;
    const char *repos[2];
};

static const struct release releases[] = {
    {"OpenShift",
     {"quay.io/openshift-release-dev/ocp-release",
      "quay.io/openshift-release-dev/ocp-v4.0-art-dev"}},
    {"OKD on SCOS", {"quay.io/okd/scos-release", "quay.io/okd/scos-content"}},
    {"OKD", {"quay.io/openshift/okd", "quay.io/openshift/okd-content"}},
};
#define RELEASE_COUNT (sizeof(releases) / sizeof(releases[0]))

struct lint {
    const struct icsp_objects *objects;
    const struct icsp_image_spec *image;
    const struct icsp_guarded *guarded;
    struct icsp_findings *findings;
};

static void warn(const struct lint *l, const char *field, const char *value, const char *hint,
                 const char *text)
{
    icsp_say(l->findings, ICSP_WARNING,
             (struct icsp_place){.object = l->image->object, .field = field, .value = value}, hint,
             "%s", text);
}

/* The first entry of the list that contains the scope, or NULL. */
static const char *containing(const struct icsp_list *list, const char *scope)
{
    for (size_t i = 0; i < list->count; i++)
        if (icsp_scope_is_nested(mir_span_of(scope), mir_span_of(list->items[i])))
            return list->items[i];
    return NULL;
}

/* ---- the internal registry ---- */

static void lint_internal_registry(const struct lint *l)
{
    const char *blocked = containing(&l->guarded->blocked, INTERNAL_REGISTRY);

    if (l->image->allowed.count > 0 && !containing(&l->image->allowed, INTERNAL_REGISTRY))
        warn(l, ICSP_FIELD_ALLOWED, INTERNAL_REGISTRY,
             "add " INTERNAL_REGISTRY " to allowedRegistries",
             "the internal registry is not allowed: pods from image streams and builds will fail "
             "to pull");
    if (blocked)
        warn(l, ICSP_FIELD_BLOCKED, blocked, "leave the entry out",
             "the internal registry is blocked: pods from image streams and builds will fail to "
             "pull");
}

/* ---- the release ---- */

static bool is_release_allowed(const struct lint *l, const struct release *release)
{
    return containing(&l->image->allowed, release->repos[0]) &&
           containing(&l->image->allowed, release->repos[1]);
}

/* The release that the payload belongs to; NULL when the payload is unknown or lives elsewhere. */
static const struct release *release_of(const char *payload)
{
    for (size_t i = 0; payload && i < RELEASE_COUNT; i++)
        if (strcmp(releases[i].repos[0], payload) == 0)
            return &releases[i];
    return NULL;
}

static void lint_allowed_release(const struct lint *l)
{
    const struct release *release = release_of(l->guarded->payload);
    const char *missing = l->guarded->payload;

    if (l->image->allowed.count == 0)
        return;
    if (!missing) {
        for (size_t i = 0; i < RELEASE_COUNT; i++)
            if (is_release_allowed(l, &releases[i]))
                return;
        missing = releases[0].repos[0];
    } else if (!containing(&l->image->allowed, missing)) {
        /* The payload itself is missing. */
    } else if (release && !containing(&l->image->allowed, release->repos[1])) {
        missing = release->repos[1];
    } else {
        return;
    }
    warn(l, ICSP_FIELD_ALLOWED, missing,
         "add the registries of your release (quay.io/openshift-release-dev, or quay.io/okd for "
         "OKD)",
         "a release payload's registry is not allowed: the cluster's own pods will fail to pull, "
         "on the next restart or upgrade at the latest");
}

static bool has_mirror_for(const struct lint *l, const char *repo)
{
    const struct icsp_sets *const both[] = {&l->objects->icsp, &l->objects->idms};

    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < both[b]->count; i++)
            if (icsp_scope_is_nested(mir_span_of(repo), mir_span_of(both[b]->items[i].source)))
                return true;
    return false;
}

/* Which entries take the release away is the guard's work when the release image is known. */
static void lint_blocked_release(const struct lint *l)
{
    for (size_t i = 0; i < RELEASE_COUNT; i++)
        for (size_t k = 0; k < 2; k++) {
            const char *repo = releases[i].repos[k];
            const char *blocked = containing(&l->guarded->blocked, repo);

            if (!blocked || has_mirror_for(l, repo))
                continue;
            if (l->guarded->payload && !release_of(l->guarded->payload))
                continue;
            if (l->guarded->payload && release_of(l->guarded->payload) != &releases[i])
                continue;
            icsp_say(l->findings, ICSP_WARNING,
                     (struct icsp_place){
                         .object = l->image->object, .field = ICSP_FIELD_BLOCKED, .value = blocked},
                     "mirror the release by digest, or leave the entry out",
                     "a release payload's registry (%s of %s) is blocked and has no mirror: the "
                     "cluster's own pods will fail to pull",
                     repo, releases[i].name);
            return;
        }
}

/* ---- lists against each other ---- */

static void lint_insecure_allowed(const struct lint *l)
{
    for (size_t i = 0; l->image->allowed.count > 0 && i < l->image->insecure.count; i++)
        if (!containing(&l->image->allowed, l->image->insecure.items[i]))
            warn(l, ICSP_FIELD_INSECURE, l->image->insecure.items[i],
                 "add it to allowedRegistries if images are pulled from it by name",
                 "insecure but not allowed: images named by it are rejected (mirrors need not be "
                 "allowed, pulls through the source name work)");
}

/* policy.json: scopes of transport "atomic" are host[/namespace[/stream[:tag]]]. */
static void lint_policy_scopes(const struct lint *l, const char *field,
                               const struct icsp_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct mir_span scope = mir_span_of(list->items[i]);
        struct mir_span rest;
        size_t slash;
        size_t colon;

        if (!mir_span_find(scope, '/', &slash))
            continue;
        rest = mir_span_from(scope, slash + 1);
        if (mir_span_find(rest, '/', &slash) || !mir_span_find(rest, ':', &colon))
            continue;
        warn(l, field, list->items[i], "leave tag and digest out",
             "a tag or digest directly below the host makes policy.json unreadable: every pull on "
             "the node would fail");
    }
}

/* ---- entries that hide others ---- */

static bool has_pull(const struct icsp_registry *registry, enum icsp_pull pull)
{
    for (size_t i = 0; i < registry->mirror_count; i++)
        if (registry->mirrors[i].pull == pull || registry->mirrors[i].pull == ICSP_PULL_ALL)
            return true;
    return false;
}

static void warn_hidden(const struct lint *l, struct mir_span narrow, const char *broad,
                        enum icsp_pull pull)
{
    auto_free char *source = mir_strndup(narrow.ptr, narrow.len);

    icsp_say(l->findings, ICSP_WARNING, (struct icsp_place){.field = "source", .value = source},
             "give the narrow source mirrors of both kinds",
             "hides the mirrors of \"%.200s\" for pulls by %s: a node uses the most specific entry "
             "only",
             broad, pull == ICSP_PULL_DIGEST ? "digest" : "tag");
}

/* Does an entry that contains this one have mirrors of a kind that this one lacks? */
static void lint_entry(const struct lint *l, const struct icsp_registries *registries,
                       const struct icsp_registry *entry)
{
    static const enum icsp_pull pulls[] = {ICSP_PULL_DIGEST, ICSP_PULL_TAG};
    struct mir_span scope = icsp_registry_scope(entry);

    for (size_t p = 0; p < 2; p++) {
        struct icsp_scope_walk walk = icsp_scope_walk_from(scope);
        struct mir_span super;
        bool wildcard;

        if (entry->mirror_count == 0 || has_pull(entry, pulls[p]))
            continue;
        while (icsp_scope_walk_next(&walk, &super, &wildcard)) {
            auto_free char *name = mir_format("%s%.*s", wildcard ? "*" : "", MIR_SPAN_ARG(super));
            const struct icsp_registry *broad =
                mir_map_find(registries->by_scope, mir_span_of(name));

            if (!broad || broad == entry || !has_pull(broad, pulls[p]))
                continue;
            warn_hidden(l, scope, name, pulls[p]);
            break;
        }
    }
}

void icsp_lint(const struct icsp_objects *objects, const struct icsp_guarded *guarded,
               const struct icsp_registries *registries, struct icsp_findings *findings)
{
    struct lint l = {
        .objects = objects, .image = &objects->image, .guarded = guarded, .findings = findings};

    lint_internal_registry(&l);
    lint_allowed_release(&l);
    lint_blocked_release(&l);
    lint_insecure_allowed(&l);
    lint_policy_scopes(&l, ICSP_FIELD_ALLOWED, &guarded->allowed);
    lint_policy_scopes(&l, ICSP_FIELD_BLOCKED, &guarded->policy_blocked);
    for (size_t i = 0; registries && i < registries->count; i++)
        lint_entry(&l, registries, registries->items[i]);
}
