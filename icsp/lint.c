/*
 * Warnings that no cluster gives: settings that are accepted, written, and then keep pods from
 * starting. Each names the entry, what would fail, and the way out. Here: what the lists of the
 * Image mean together; lint_files.c, lint_hiding.c and lint_api.c have the rest.
 */
#include "icsp/lint_priv.h"

#include "base/map.h"
#include "base/mem.h"
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

static void warn(struct icsp_lint *lint, const char *rule, const char *field, const char *value,
                 const char *hint, const char *text)
{
    struct icsp_place place = {
        .object = lint->image->object, .field = field, .value = value, .rule = rule};

    icsp_say(lint->findings, ICSP_WARNING, place, hint, "%s", text);
}

/* The first entry of the list that contains the scope, or NULL. */
static const char *containing(const struct icsp_list *list, const char *scope)
{
    for (size_t i = 0; i < list->count; i++)
        if (icsp_scope_is_nested(mir_span_of(scope), mir_span_of(list->items[i])))
            return list->items[i];
    return NULL;
}

/* Is everything rejected that no entry allows? Blocked entries in policy.json undo that. */
static bool is_restricted(const struct icsp_lint *lint)
{
    return lint->in->guarded->allowed.count > 0 && lint->in->guarded->policy_blocked.count == 0;
}

/* ---- the internal registry ---- */

static void lint_internal_registry(struct icsp_lint *lint)
{
    const struct icsp_guarded *guarded = lint->in->guarded;
    const char *blocked = containing(&guarded->blocked, INTERNAL_REGISTRY);

    if (is_restricted(lint) && lint->image->allowed.count > 0 &&
        !containing(&guarded->allowed, INTERNAL_REGISTRY))
        warn(lint, "internal-registry", ICSP_FIELD_ALLOWED, INTERNAL_REGISTRY,
             "add " INTERNAL_REGISTRY " to allowedRegistries",
             "the internal registry is not allowed: pods from image streams and builds will fail "
             "to pull");
    if (blocked)
        warn(lint, "internal-registry", ICSP_FIELD_BLOCKED, blocked, "leave the entry out",
             "the internal registry is blocked: pods from image streams and builds will fail to "
             "pull");
}

/* ---- the release ---- */

static bool is_release_allowed(const struct icsp_lint *lint, const struct release *release)
{
    return containing(&lint->in->guarded->allowed, release->repos[0]) &&
           containing(&lint->in->guarded->allowed, release->repos[1]);
}

/* The release that the payload belongs to; NULL when the payload is unknown or lives elsewhere. */
static const struct release *release_of(const char *payload)
{
    for (size_t i = 0; payload && i < RELEASE_COUNT; i++)
        if (strcmp(releases[i].repos[0], payload) == 0)
            return &releases[i];
    return NULL;
}

/* A repository of the release that is not allowed; NULL when all is well. */
static const char *missing_repository(const struct icsp_lint *lint)
{
    const struct icsp_list *allowed = &lint->in->guarded->allowed;
    const char *payload = lint->in->guarded->payload;
    const struct release *release = release_of(payload);

    if (payload && !containing(allowed, payload))
        return payload;
    if (release && !containing(allowed, release->repos[1]))
        return release->repos[1];
    for (size_t i = 0; i < RELEASE_COUNT; i++)
        if (payload || is_release_allowed(lint, &releases[i]))
            return NULL;
    return releases[0].repos[0];
}

static void lint_allowed_release(struct icsp_lint *lint)
{
    const char *missing = is_restricted(lint) ? missing_repository(lint) : NULL;

    if (missing && lint->image->allowed.count > 0)
        warn(lint, "release-not-allowed", ICSP_FIELD_ALLOWED, missing,
             "add the registries of your release (quay.io/openshift-release-dev, or quay.io/okd "
             "for OKD)",
             "a release payload's registry is not allowed: the cluster's own pods will fail to "
             "pull, on the next restart or upgrade at the latest");
}

/* The guard allows the payload when its own repository is blocked and mirrored, and an allow list
 * rejects everything else. */
static void lint_payload_alone(struct icsp_lint *lint)
{
    const char *payload = lint->in->guarded->payload;

    if (is_restricted(lint) && lint->image->allowed.count == 0)
        warn(lint, "payload-alone-allowed", ICSP_FIELD_BLOCKED, payload,
             "block the namespace or the registry around it instead, or leave the entry out",
             "blocking exactly the payload's repository makes policy.json reject every image but "
             "the payload");
}

static bool has_mirror_for(const struct icsp_lint *lint, const char *repo)
{
    const struct icsp_sets *const both[] = {&lint->in->objects->icsp, &lint->in->objects->idms};

    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < both[b]->count; i++)
            if (icsp_scope_is_nested(mir_span_of(repo), mir_span_of(both[b]->items[i].source)))
                return true;
    return false;
}

/* May the cluster be of this release? */
static bool may_be_release(const struct icsp_lint *lint, const struct release *release)
{
    const char *payload = lint->in->guarded->payload;

    return !payload || release_of(payload) == release;
}

/* Which entries take the payload itself away is the guard's work when the release is known. */
static void lint_blocked_release(struct icsp_lint *lint)
{
    for (size_t i = 0; i < RELEASE_COUNT; i++)
        for (size_t k = 0; k < 2 && may_be_release(lint, &releases[i]); k++) {
            const char *repo = releases[i].repos[k];
            const char *blocked = containing(&lint->in->guarded->blocked, repo);
            struct icsp_place place = {.object = lint->image->object,
                                       .field = ICSP_FIELD_BLOCKED,
                                       .value = blocked,
                                       .rule = "release-blocked"};

            if (!blocked || has_mirror_for(lint, repo))
                continue;
            icsp_say(lint->findings, ICSP_WARNING, place,
                     "mirror the release by digest, or leave the entry out",
                     "a release payload's registry (%s of %s) is blocked and has no mirror: the "
                     "cluster's own pods will fail to pull",
                     repo, releases[i].name);
            return;
        }
}

/* ---- lists against each other ---- */

/* Both lists can be long: every scope around the entry is looked up. */
static bool is_inside(const struct mir_map *set, const char *scope)
{
    struct icsp_scope_walk walk = icsp_scope_walk_from(mir_span_of(scope));
    struct mir_span super;
    bool wildcard;

    while (icsp_scope_walk_next(&walk, &super, &wildcard)) {
        auto_free char *name = mir_format("%s%.*s", wildcard ? "*" : "", MIR_SPAN_ARG(super));

        if (mir_map_find(set, mir_span_of(name)))
            return true;
    }
    return false;
}

static void lint_insecure_allowed(struct icsp_lint *lint)
{
    const struct icsp_list *insecure = &lint->image->insecure;
    const struct icsp_list *allowed = &lint->in->guarded->allowed;
    auto_map *set = mir_map_new();

    for (size_t i = 0; i < allowed->count; i++)
        mir_map_set(set, mir_span_of(allowed->items[i]), set);
    for (size_t i = 0; is_restricted(lint) && i < insecure->count; i++) {
        auto_free char *field = NULL;

        if (is_inside(set, insecure->items[i]))
            continue;
        field = mir_format("%s[%zu]", ICSP_FIELD_INSECURE, i);
        warn(lint, "insecure-not-allowed", field, insecure->items[i],
             "add it to allowedRegistries if images are pulled from it by name",
             "insecure but not allowed: images named by it are rejected (mirrors need not be "
             "allowed, pulls through the source name work)");
    }
}

void icsp_lint(const struct icsp_lint_input *input, struct icsp_findings *findings)
{
    struct icsp_lint lint = {.in = input, .image = &input->objects->image, .findings = findings};

    lint_internal_registry(&lint);
    lint_allowed_release(&lint);
    lint_payload_alone(&lint);
    lint_blocked_release(&lint);
    lint_insecure_allowed(&lint);
    icsp_lint_files(&lint);
    icsp_lint_hiding(&lint);
    icsp_lint_index_free(lint.index);
}
