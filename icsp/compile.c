/*
 * The compiler's main line: which files are written, from what, and in which order things are
 * checked. Every step is a function of another file; this one holds no rule but the order and what
 * several objects mean together.
 *
 * Called by the command line for `mirror node-config` and for the node files of `mirror emit-icsp`.
 */
#include "icsp/icsp.h"

#include "base/mem.h"
#include "icsp/certs_priv.h"
#include "icsp/files_priv.h"
#include "icsp/findings_priv.h"
#include "icsp/guard_priv.h"
#include "icsp/lint_priv.h"
#include "icsp/policy_priv.h"
#include "icsp/registries_priv.h"
#include "icsp/scope_priv.h"
#include "icsp/signature_priv.h"
#include "icsp/sigstore_priv.h"
#include "icsp/validate_priv.h"

#define PATH_REGISTRIES "etc/containers/registries.conf"
#define PATH_POLICY     "etc/containers/policy.json"
#define PATH_SIGSTORE   "etc/containers/registries.d/sigstore-registries.yaml"
#define PATH_SEARCH     "etc/containers/registries.conf.d/01-image-searchRegistries.conf"

/* An ImagePolicy's share: its scopes that no ClusterImagePolicy takes. */
struct local_policy {
    const struct icsp_signature_policy *object;
    struct icsp_list scopes;
    json_t *requirement;
};

struct compilation {
    const struct icsp_generation *generation;
    struct icsp_base_file base_registries, base_policy;
    const struct icsp_objects *objects; /* those that the generation knows */
    struct icsp_findings *findings;
    struct mir_error *err;
    struct icsp_guarded guarded;
    const struct icsp_set **sets; /* IDMS, then ICSP, then ITMS */
    size_t digest_count, set_count;
    struct icsp_merged digest, tag;
    struct icsp_registries registries;
    bool has_registries;                        /* registries.conf is written */
    struct icsp_scoped_requirement *signatures; /* one for each ClusterImagePolicy */
    struct local_policy *locals;                /* one for each ImagePolicy */
    struct icsp_list cluster_scopes;            /* of all ClusterImagePolicies */
    struct icsp_list scopes;                    /* and of all ImagePolicies that have effect */
    json_t *policy;
    struct icsp_files files;
};

static void compilation_release(struct compilation *c)
{
    icsp_guarded_release(&c->guarded);
    free(c->sets);
    icsp_merged_release(&c->digest);
    icsp_merged_release(&c->tag);
    icsp_registries_release(&c->registries);
    for (size_t i = 0; c->signatures && i < c->objects->cluster_policies.count; i++)
        json_decref(c->signatures[i].requirement);
    free(c->signatures);
    for (size_t i = 0; c->locals && i < c->objects->policies.count; i++) {
        icsp_list_release(&c->locals[i].scopes);
        json_decref(c->locals[i].requirement);
    }
    free(c->locals);
    icsp_list_release(&c->cluster_scopes);
    icsp_list_release(&c->scopes);
    json_decref(c->policy);
    icsp_files_release(&c->files);
}
#define auto_compilation __attribute__((cleanup(compilation_release))) struct compilation

static void collect_sets(struct compilation *c)
{
    const struct icsp_objects *objects = c->objects;
    const struct icsp_sets *const all[] = {&objects->idms, &objects->icsp, &objects->itms};
    size_t total = objects->idms.count + objects->icsp.count + objects->itms.count;

    c->sets = mir_alloc_array(total, sizeof(*c->sets));
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < all[k]->count; i++)
            c->sets[c->set_count++] = &all[k]->items[i];
    c->digest_count = objects->idms.count + objects->icsp.count;
    icsp_merge(c->sets, c->digest_count, &c->digest);
    icsp_merge(c->sets + c->digest_count, c->set_count - c->digest_count, &c->tag);
}

/* ---- the base files ---- */

static bool read_base(struct compilation *c, const struct icsp_options *options)
{
    c->base_registries = options && options->base_registries
                             ? *options->base_registries
                             : (struct icsp_base_file){.name = PATH_REGISTRIES,
                                                       .text = mir_span_of(icsp_base_registries)};
    c->base_policy =
        options && options->base_policy
            ? *options->base_policy
            : (struct icsp_base_file){.name = PATH_POLICY, .text = mir_span_of(icsp_base_policy)};
    icsp_registries_init(&c->registries, c->generation);
    if (!icsp_registries_read(&c->registries, c->base_registries.text, c->base_registries.name,
                              c->findings, c->err)) {
        icsp_findings_add_error(c->findings, c->base_registries.name, c->err);
        return false;
    }
    if (!icsp_policy_read(c->base_policy.text, c->base_policy.name, &c->policy, c->err)) {
        icsp_findings_add_error(c->findings, c->base_policy.name, c->err);
        return false;
    }
    return true;
}

/* ---- step 1: the release guard ---- */

static bool guard(struct compilation *c, const struct icsp_options *options)
{
    const char *release =
        options && options->release_image ? options->release_image : c->objects->release_image;

    if (!release && c->objects->release_object)
        release = "";
    if (!release)
        icsp_say(c->findings, c->objects->image.blocked.count > 0 ? ICSP_NOTE : ICSP_DETAIL,
                 (struct icsp_place){.rule = "no-release-image"},
                 "give the ClusterVersion, or --release-image",
                 "no release image is known: blocked registries are taken as they are, without the "
                 "check that the cluster's own image stays reachable");
    return icsp_guard(c->generation, &c->objects->image, release, &c->digest, &c->guarded,
                      c->findings, c->err);
}

/* ---- step 2: signature policies ---- */

static const char *cluster_scope_over(const struct compilation *c, const char *scope)
{
    for (size_t i = 0; i < c->cluster_scopes.count; i++)
        if (icsp_scope_is_nested(mir_span_of(scope), mir_span_of(c->cluster_scopes.items[i])))
            return c->cluster_scopes.items[i];
    return NULL;
}

static void take_local_scopes(struct compilation *c, struct local_policy *local)
{
    const struct icsp_list *scopes = &local->object->scopes;
    struct icsp_place place = {
        .object = local->object->object, .field = "spec.scopes", .rule = "policy-scope-left-out"};

    for (size_t i = 0; i < scopes->count; i++) {
        const char *over = cluster_scope_over(c, scopes->items[i]);

        if (!over) {
            icsp_list_add(&local->scopes, scopes->items[i]);
            icsp_list_add(&c->scopes, scopes->items[i]);
            continue;
        }
        place.value = scopes->items[i];
        icsp_say(c->findings, ICSP_WARNING, place, NULL,
                 "left out: the scope lies inside \"%.200s\" of a ClusterImagePolicy, and that "
                 "policy alone holds there",
                 over);
    }
}

static bool signatures(struct compilation *c)
{
    const struct icsp_policies *cluster = &c->objects->cluster_policies;
    const struct icsp_policies *local = &c->objects->policies;

    c->signatures = mir_alloc_array(cluster->count, sizeof(*c->signatures));
    c->locals = mir_alloc_array(local->count, sizeof(*c->locals));
    for (size_t i = 0; i < cluster->count; i++) {
        c->signatures[i].scopes = &cluster->items[i].scopes;
        icsp_list_add_all(&c->cluster_scopes, &cluster->items[i].scopes);
        icsp_list_add_all(&c->scopes, &cluster->items[i].scopes);
        if (!icsp_signature_requirement(c->generation, &cluster->items[i],
                                        &c->signatures[i].requirement, c->findings, c->err))
            return false;
    }
    for (size_t i = 0; i < local->count; i++) {
        c->locals[i].object = &local->items[i];
        if (!icsp_signature_requirement(c->generation, &local->items[i], &c->locals[i].requirement,
                                        c->findings, c->err))
            return false;
        take_local_scopes(c, &c->locals[i]);
    }
    return true;
}

/* ---- step 3: registries.conf ---- */

static bool put(struct compilation *c, const char *path, const struct mir_buf *bytes)
{
    if (!mir_buf_check(bytes, path, c->err))
        return false;
    icsp_files_set(&c->files, path, mir_buf_span(bytes));
    return true;
}

/* Point at the set that has this source first. */
static void place_source(const struct compilation *c, const char *source, struct icsp_place *place,
                         char **field)
{
    place->value = source;
    for (size_t i = 0; i < c->set_count && !place->object; i++) {
        if (strcmp(c->sets[i]->source, source) != 0)
            continue;
        *field = mir_format("%s[%zu].source", c->sets[i]->field, c->sets[i]->index);
        place->object = c->sets[i]->object;
        place->field = *field;
    }
}

static bool build_registries(struct compilation *c)
{
    const struct icsp_image_spec *image = &c->objects->image;
    struct icsp_registries_input input = {.digest = &c->digest,
                                          .tag = &c->tag,
                                          .blocked = &c->guarded.blocked,
                                          .insecure = &image->insecure};
    auto_free char *field = NULL;
    struct icsp_place place = {.rule = "wildcard-inheritance"};
    const char *wildcard = NULL;
    const char *nested = NULL;

    if (icsp_registries_build(&c->registries, &input, &wildcard, &nested))
        return true;
    place_source(c, wildcard, &place, &field);
    return icsp_reject(c->findings, c->err, MIR_E_CONFLICT, place,
                       "give the nested scope mirrors of its own, or the wildcard none",
                       "a wildcard source hands no mirrors down, but \"%.200s\" lies inside it and "
                       "has none",
                       nested);
}

static bool registries(struct compilation *c)
{
    const struct icsp_objects *objects = c->objects;
    auto_buf bytes;

    mir_buf_init(&bytes, ICSP_FILE_MAX);
    c->has_registries = objects->image.insecure.given || c->guarded.blocked.count > 0 ||
                        objects->icsp.objects + objects->idms.objects + objects->itms.objects > 0;
    if (!c->has_registries) {
        icsp_files_set_base(&c->files, PATH_REGISTRIES, c->base_registries.text);
        return true;
    }
    if (!icsp_check_list(c->generation, objects->image.object, ICSP_FIELD_INSECURE,
                         &objects->image.insecure, c->findings, c->err) ||
        !icsp_check_list(c->generation, objects->image.object, ICSP_FIELD_BLOCKED,
                         &c->guarded.blocked, c->findings, c->err) ||
        !icsp_check_sets(c->generation, c->sets, c->set_count, c->findings, c->err) ||
        !build_registries(c))
        return false;
    icsp_registries_format(&c->registries, &bytes);
    return put(c, PATH_REGISTRIES, &bytes);
}

/* ---- step 4: policy.json and what belongs to it ---- */

static bool check_both_lists(struct compilation *c)
{
    const struct icsp_guarded *guarded = &c->guarded;

    if (guarded->allowed.count == 0 || guarded->policy_blocked.count == 0)
        return true;
    if (c->generation->payload_may_be_allowed && guarded->allowed.count == 1 && guarded->payload &&
        strcmp(guarded->allowed.items[0], guarded->payload) == 0)
        return true;
    return icsp_reject(c->findings, c->err, MIR_E_CONFLICT,
                       (struct icsp_place){.object = c->objects->image.object,
                                           .field = "spec.registrySources",
                                           .rule = "allowed-and-blocked"},
                       "keep one of the two lists",
                       "only one of allowedRegistries and blockedRegistries may be given (blocking "
                       "a scope that holds the mirrored payload counts as allowing the payload)");
}

/* Scopes of signature policies have to lie inside what is allowed and outside what is blocked. */
static bool check_scopes(struct compilation *c, const struct icsp_signature_policy *policy,
                         const struct icsp_list *scopes)
{
    const struct icsp_list *allowed = &c->guarded.allowed;
    const struct icsp_list *blocked = &c->guarded.policy_blocked;

    for (size_t i = 0; i < scopes->count; i++) {
        struct mir_span scope = mir_span_of(scopes->items[i]);
        struct icsp_place place = {.object = policy->object,
                                   .field = "spec.scopes",
                                   .value = scopes->items[i],
                                   .rule = "scope-outside-allowed"};
        bool inside = allowed->count == 0;

        for (size_t k = 0; k < allowed->count && !inside; k++)
            inside = icsp_scope_is_nested(scope, mir_span_of(allowed->items[k]));
        if (!inside)
            return icsp_reject(c->findings, c->err, MIR_E_CONFLICT, place,
                               "add the scope to allowedRegistries",
                               "the scope is not nested inside any of allowedRegistries");
        place.rule = "scope-in-blocked";
        for (size_t k = 0; k < blocked->count; k++)
            if (icsp_scope_is_nested(scope, mir_span_of(blocked->items[k])))
                return icsp_reject(c->findings, c->err, MIR_E_CONFLICT, place,
                                   "leave one of the two out",
                                   "the scope is nested inside \"%.200s\" of blockedRegistries",
                                   blocked->items[k]);
    }
    return true;
}

static bool check_policy(struct compilation *c)
{
    const struct icsp_policies *cluster = &c->objects->cluster_policies;

    if (!check_both_lists(c))
        return false;
    for (size_t i = 0; i < cluster->count; i++)
        if (!check_scopes(c, &cluster->items[i], &cluster->items[i].scopes))
            return false;
    if (!icsp_check_list(c->generation, c->objects->image.object, ICSP_FIELD_BLOCKED,
                         &c->guarded.policy_blocked, c->findings, c->err) ||
        !icsp_check_list(c->generation, c->objects->image.object, ICSP_FIELD_ALLOWED,
                         &c->guarded.allowed, c->findings, c->err))
        return false;
    for (size_t i = 0; i < c->objects->policies.count; i++)
        if (!check_scopes(c, c->locals[i].object, &c->locals[i].scopes))
            return false;
    return true;
}

/* Is there a list that policy.json depends on? */
static bool has_policy_lists(const struct compilation *c)
{
    if (c->generation->empty_allowed_is_given && c->objects->image.allowed.given)
        return true;
    return c->guarded.allowed.count > 0 || c->guarded.policy_blocked.count > 0;
}

/* ImagePolicies alone leave the cluster's file as it is. */
static bool write_policy(struct compilation *c)
{
    struct icsp_policy_input input = {.generation = c->generation,
                                      .allowed = &c->guarded.allowed,
                                      .blocked = &c->guarded.policy_blocked,
                                      .signatures = c->signatures,
                                      .signature_count = c->objects->cluster_policies.count};
    auto_buf bytes;

    mir_buf_init(&bytes, ICSP_FILE_MAX);
    if (!has_policy_lists(c) && c->cluster_scopes.count == 0) {
        icsp_files_set_base(&c->files, PATH_POLICY, c->base_policy.text);
        return true;
    }
    icsp_policy_build(c->policy, &input);
    icsp_policy_format(c->policy, c->generation->policy_style, &bytes);
    return put(c, PATH_POLICY, &bytes);
}

static bool policy(struct compilation *c)
{
    if ((has_policy_lists(c) || c->scopes.count > 0) && !check_policy(c))
        return false;
    return write_policy(c);
}

static bool sigstore(struct compilation *c)
{
    auto_buf bytes;

    mir_buf_init(&bytes, ICSP_FILE_MAX);
    if (c->scopes.count == 0)
        return true;
    if (!icsp_sigstore_format(c->objects, &c->scopes, c->has_registries ? &c->registries : NULL,
                              &bytes, c->findings, c->err))
        return false;
    return put(c, PATH_SIGSTORE, &bytes);
}

/* ---- the files of namespaces ---- */

/* A namespace becomes a file name. */
static bool check_namespace(struct compilation *c, const struct local_policy *local)
{
    const char *ns = local->object->ns;
    struct icsp_place place = {.object = local->object->object,
                               .field = "metadata.namespace",
                               .value = ns,
                               .rule = "namespace"};
    size_t len = strlen(ns);
    bool ok = len > 0 && len <= 63;

    for (size_t i = 0; i < len; i++)
        ok = ok && strchr("abcdefghijklmnopqrstuvwxyz0123456789-", ns[i]);
    return ok || icsp_reject(c->findings, c->err, MIR_E_FORMAT, place, NULL,
                             "not the name of a namespace");
}

static bool namespace_policy(struct compilation *c, const char *ns)
{
    auto_json *tree = json_deep_copy(c->policy);
    auto_free char *path = mir_format("etc/crio/policies/%s.json", ns);
    auto_buf bytes;

    mir_buf_init(&bytes, ICSP_FILE_MAX);
    if (icsp_files_find(&c->files, path))
        return true;
    icsp_policy_add_transports(tree);
    for (size_t i = 0; i < c->objects->policies.count; i++) {
        const struct local_policy *local = &c->locals[i];

        for (size_t k = 0; strcmp(local->object->ns, ns) == 0 && k < local->scopes.count; k++)
            icsp_policy_append(tree, local->scopes.items[k], local->requirement);
    }
    icsp_policy_format(tree, c->generation->namespace_style, &bytes);
    return put(c, path, &bytes);
}

static bool namespace_policies(struct compilation *c)
{
    for (size_t i = 0; i < c->objects->policies.count; i++)
        if (c->locals[i].scopes.count > 0 &&
            (!check_namespace(c, &c->locals[i]) || !namespace_policy(c, c->locals[i].object->ns)))
            return false;
    return true;
}

static bool search(struct compilation *c)
{
    auto_buf bytes;

    mir_buf_init(&bytes, ICSP_FILE_MAX);
    if (!c->objects->image.search.given)
        return true;
    icsp_search_format(&c->objects->image.search, c->generation, &bytes);
    return put(c, PATH_SEARCH, &bytes);
}

static bool compile(struct compilation *c, const struct icsp_options *options)
{
    return read_base(c, options) && guard(c, options) && signatures(c) && registries(c) &&
           policy(c) && sigstore(c) && namespace_policies(c) && search(c) &&
           icsp_certs(c->objects, &c->files, c->findings, c->err);
}

static void lint(struct compilation *c)
{
    struct icsp_lint_input input = {.generation = c->generation,
                                    .objects = c->objects,
                                    .guarded = &c->guarded,
                                    .registries = c->has_registries ? &c->registries : NULL,
                                    .cluster_scopes = &c->cluster_scopes,
                                    .scopes = &c->scopes};

    icsp_lint(&input, c->findings);
}

bool icsp_compile(const struct icsp_objects *objects, const struct icsp_options *options,
                  struct icsp_files *files, struct icsp_findings *findings, struct mir_error *err)
{
    const struct icsp_generation *generation =
        options && options->generation ? options->generation : &icsp_generation_current;
    struct icsp_objects known = icsp_generation_narrow(generation, objects, findings);
    auto_compilation c = {
        .generation = generation, .objects = &known, .findings = findings, .err = err};

    bool ok;

    collect_sets(&c);
    ok = compile(&c, options);
    icsp_lint_api(generation, &known, findings);
    if (!ok)
        return false;
    lint(&c);
    icsp_files_sort(&c.files);
    *files = c.files;
    c.files = (struct icsp_files){0};
    return true;
}
