/*
 * From a mapping to cluster objects: the mirror objects of the kinds asked for, all with the same
 * scopes, and the Image and ConfigMap that go with them. Everything is sorted and nothing depends
 * on the time, so that the same mapping gives the same bytes.
 */
#include "icsp/icsp.h"

#include "base/map.h"
#include "base/mem.h"
#include "icsp/emit_priv.h"
#include "icsp/findings_priv.h"
#include "icsp/model_priv.h"
#include "icsp/scope_priv.h"

#define INTERNAL_REGISTRY "image-registry.openshift-image-registry.svc:5000"
#define CA_NAME           "registry-ca"
#define NAME_MAX_BYTES    253
#define NUMBER_MAX_BYTES  8 /* "-1" and so on, behind a name */

static void emission_release(struct icsp_emission *e)
{
    icsp_list_release(&e->image.insecure);
    icsp_list_release(&e->image.blocked);
    icsp_cover_release(&e->cover);
    icsp_object_files_release(&e->files);
}
#define auto_emission __attribute__((cleanup(emission_release))) struct icsp_emission

void icsp_object_files_release(struct icsp_object_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        json_decref(files->items[i].object);
    free(files->items);
    *files = (struct icsp_object_files){0};
}

void icsp_emit_put(struct icsp_emission *e, const char *name, json_t *taken)
{
    struct icsp_object_files *files = &e->files;

    mir_grow(&files->items, files->count, &files->capacity, sizeof(*files->items));
    files->items[files->count++] = (struct icsp_object_file){.name = name, .object = taken};
}

json_t *icsp_emit_object(const char *version, const char *kind, const char *name)
{
    return json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", version, "kind", kind, "metadata", "name",
                     name);
}

/* ---- what is asked for ---- */

static bool is_allowing(const struct icsp_emit_options *options)
{
    return options->allow_only || options->allow.count > 0;
}

static bool is_blocking(const struct icsp_emit_options *options)
{
    return options->block_source || options->block.count > 0;
}

static bool writes_image(const struct icsp_emit_options *options)
{
    return options->ca_count + options->import.count + options->external.count > 0 ||
           options->insecure || is_allowing(options) || is_blocking(options);
}

/* ---- sorted sets of texts ---- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In byte order, each once. */
static void sort_list(struct icsp_list *list)
{
    size_t kept = 0;

    if (list->count == 0)
        return;
    qsort(list->items, list->count, sizeof(*list->items), compare_texts);
    for (size_t i = 0; i < list->count; i++)
        if (i == 0 || strcmp(list->items[i], list->items[kept - 1]) != 0)
            list->items[kept++] = list->items[i];
    list->count = kept;
}

static json_t *json_of(const struct icsp_list *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    return array;
}

static void add_texts(struct icsp_list *list, struct icsp_texts texts)
{
    for (size_t i = 0; i < texts.count; i++)
        icsp_list_add(list, texts.items[i]);
}

static void add_mirror_hosts(const struct icsp_emission *e, struct icsp_list *list)
{
    for (size_t i = 0; i < e->pair_count; i++)
        icsp_list_add(list, e->pairs[i].mirror_host);
}

/* Does another entry of the set contain this one? */
static bool is_within(const char *entry, const struct mir_map *set)
{
    struct icsp_scope_walk walk = icsp_scope_walk_from(mir_span_of(entry));
    struct mir_span super;
    bool wildcard;

    while (icsp_scope_walk_next(&walk, &super, &wildcard)) {
        auto_free char *name = mir_format("%s%.*s", wildcard ? "*" : "", MIR_SPAN_ARG(super));

        if (strcmp(name, entry) != 0 && mir_map_find(set, mir_span_of(name)))
            return true;
    }
    return false;
}

/* Leave out what another entry contains. */
static void drop_nested(struct icsp_list *list)
{
    auto_map *set = mir_map_new();
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        mir_map_set(set, mir_span_of(list->items[i]), set);
    for (size_t i = 0; i < list->count; i++)
        if (!is_within(list->items[i], set))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

/* ---- tags: what the kinds asked for do not cover ---- */

static void say_tags(const struct icsp_emission *e)
{
    size_t tagged = 0;
    size_t moved = 0;
    const struct icsp_pair *first_moved = NULL;

    for (size_t i = 0; i < e->pair_count; i++) {
        const struct icsp_pair *pair = &e->pairs[i];

        if (!pair->source_tag)
            continue;
        tagged++;
        if (pair->mirror_tag && strcmp(pair->source_tag, pair->mirror_tag) == 0)
            continue;
        first_moved = first_moved ? first_moved : pair;
        moved++;
    }
    if (tagged > 0 && !(e->options->kinds & ICSP_KIND_ITMS))
        icsp_say(e->findings, ICSP_NOTE, (struct icsp_place){0}, "add itms to --kind",
                 "pulls by tag do not use these mirrors, only pulls by digest do (images with a "
                 "tag: %zu)",
                 tagged);
    else if (moved > 0)
        icsp_say(e->findings, ICSP_WARNING,
                 (struct icsp_place){.field = "source", .value = first_moved->source_repo},
                 "copy them with their tag",
                 "has another tag at the mirror than at the source: pulls by tag will not find it "
                 "there (images like this one: %zu)",
                 moved);
}

/* ---- the Image ---- */

static json_t *insecure_list(const struct icsp_emission *e)
{
    auto_list list = {0};

    add_mirror_hosts(e, &list);
    sort_list(&list);
    return json_of(&list);
}

/* A policy looks at the name that is pulled: sources count, and mirrors when they are named. The
 * cluster's own registry has to stay usable in any case. */
static json_t *allowed_list(const struct icsp_emission *e)
{
    auto_list list = {0};

    if (e->options->allow_only) {
        for (size_t i = 0; i < e->cover.count; i++)
            icsp_list_add(&list, e->cover.items[i].source);
        add_mirror_hosts(e, &list);
        icsp_list_add(&list, INTERNAL_REGISTRY);
    }
    add_texts(&list, e->options->allow);
    sort_list(&list);
    drop_nested(&list);
    return json_of(&list);
}

static void add_blocked(const struct icsp_emission *e, struct icsp_list *list)
{
    for (size_t i = 0; e->options->block_source && i < e->pair_count; i++)
        icsp_list_add(list, e->pairs[i].source_host);
    add_texts(list, e->options->block);
    sort_list(list);
}

static json_t *blocked_list(const struct icsp_emission *e)
{
    auto_list list = {0};

    add_blocked(e, &list);
    return json_of(&list);
}

/* The lists that decide where a node asks. */
static void fill_image(struct icsp_emission *e)
{
    add_blocked(e, &e->image.blocked);
    if (e->options->insecure)
        add_mirror_hosts(e, &e->image.insecure);
    sort_list(&e->image.insecure);
    e->image.blocked.given = e->image.blocked.count > 0;
    e->image.insecure.given = e->options->insecure;
}

static json_t *registry_sources(const struct icsp_emission *e)
{
    json_t *sources = json_object();

    if (is_allowing(e->options))
        json_object_set_new(sources, "allowedRegistries", allowed_list(e));
    if (is_blocking(e->options))
        json_object_set_new(sources, "blockedRegistries", blocked_list(e));
    if (e->options->insecure)
        json_object_set_new(sources, "insecureRegistries", insecure_list(e));
    return sources;
}

static bool is_mirror_host(const struct icsp_emission *e, const char *host)
{
    for (size_t i = 0; i < e->pair_count; i++)
        if (strcmp(e->pairs[i].mirror_host, host) == 0)
            return true;
    return false;
}

static json_t *import_list(const struct icsp_emission *e)
{
    auto_list hosts = {0};
    json_t *list = json_array();

    add_texts(&hosts, e->options->import);
    sort_list(&hosts);
    for (size_t i = 0; i < hosts.count; i++) {
        bool insecure = e->options->insecure && is_mirror_host(e, hosts.items[i]);

        json_array_append_new(
            list, json_pack("{s:s, s:b}", "domainName", hosts.items[i], "insecure", insecure));
    }
    return list;
}

static json_t *external_list(const struct icsp_emission *e)
{
    auto_list hosts = {0};

    add_texts(&hosts, e->options->external);
    sort_list(&hosts);
    return json_of(&hosts);
}

static void add_image(struct icsp_emission *e)
{
    const struct icsp_emit_options *options = e->options;
    auto_json *spec = json_object();
    json_t *sources = registry_sources(e);
    json_t *image;

    if (options->ca_count > 0)
        json_object_set_new(spec, "additionalTrustedCA", json_pack("{s:s}", "name", CA_NAME));
    if (options->import.count > 0)
        json_object_set_new(spec, "allowedRegistriesForImport", import_list(e));
    if (options->external.count > 0)
        json_object_set_new(spec, "externalRegistryHostnames", external_list(e));
    json_object_set_new(spec, "registrySources", sources);
    if (json_object_size(sources) == 0)
        json_object_del(spec, "registrySources");
    if (json_object_size(spec) == 0)
        return;
    image = icsp_emit_object("config.openshift.io/v1", "Image", "cluster");
    json_object_set(image, "spec", spec);
    icsp_emit_put(e, "image.yaml", image);
}

/* ---- the ConfigMap ---- */

static int compare_cas(const void *a, const void *b)
{
    const struct icsp_ca *left = *(const struct icsp_ca *const *)a;
    const struct icsp_ca *right = *(const struct icsp_ca *const *)b;

    return strcmp(left->host, right->host);
}

/* A key of a ConfigMap has no ':', so that ".." stands for it. */
static char *ca_key(const char *host)
{
    const char *colon = strchr(host, ':');

    if (!colon)
        return mir_strdup(host);
    return mir_format("%.*s..%s", (int)(colon - host), host, colon + 1);
}

static bool check_ca(struct icsp_emission *e, const struct icsp_ca *ca)
{
    struct icsp_place place = {.label = "--ca", .value = ca->host};

    if (strchr(ca->host, '/') || !icsp_scope_is_mirror(mir_span_of(ca->host)))
        return icsp_reject(e->findings, e->err, MIR_E_USAGE, place, "write HOST[:PORT]=FILE",
                           "not a host with optional port");
    if (!strstr(ca->pem, "-----BEGIN CERTIFICATE-----"))
        return icsp_reject(e->findings, e->err, MIR_E_FORMAT, place,
                           "convert it: openssl x509 -inform der -in FILE",
                           "the file holds no PEM certificate");
    return true;
}

static bool add_cas(struct icsp_emission *e)
{
    const struct icsp_emit_options *options = e->options;
    auto_free const struct icsp_ca **sorted = mir_alloc_array(options->ca_count, sizeof(*sorted));
    auto_json *data = json_object();
    json_t *map;

    for (size_t i = 0; i < options->ca_count; i++)
        sorted[i] = &options->cas[i];
    qsort(sorted, options->ca_count, sizeof(*sorted), compare_cas);
    for (size_t i = 0; i < options->ca_count; i++) {
        auto_free char *key = NULL;

        if (!check_ca(e, sorted[i]))
            return false;
        if (i > 0 && strcmp(sorted[i]->host, sorted[i - 1]->host) == 0)
            return icsp_reject(e->findings, e->err, MIR_E_USAGE,
                               (struct icsp_place){.label = "--ca", .value = sorted[i]->host},
                               "put all certificates of one host into one file", "given twice");
        key = ca_key(sorted[i]->host);
        if (json_object_set_new(data, key, json_string(sorted[i]->pem)) != 0)
            return icsp_reject(e->findings, e->err, MIR_E_FORMAT,
                               (struct icsp_place){.label = "--ca", .value = sorted[i]->host}, NULL,
                               "the file is not UTF-8 text");
    }
    if (options->ca_count == 0)
        return true;
    map = json_pack("{s:s, s:s, s:{s:s, s:s}, s:O}", "apiVersion", "v1", "kind", "ConfigMap",
                    "metadata", "name", CA_NAME, "namespace", "openshift-config", "data", data);
    icsp_emit_put(e, "configmap-registry-ca.yaml", map);
    return true;
}

/* ---- whether it can be ---- */

static bool check_entries(struct icsp_emission *e, const char *option, struct icsp_texts texts)
{
    for (size_t i = 0; i < texts.count; i++)
        if (!icsp_scope_is_source(mir_span_of(texts.items[i])))
            return icsp_reject(e->findings, e->err, MIR_E_USAGE,
                               (struct icsp_place){.label = option, .value = texts.items[i]},
                               "write host[:port][/path] or *.domain", "not a registry scope");
    return true;
}

bool icsp_is_object_name(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        bool edge = i == 0 || i + 1 == len || name[i - 1] == '.' || name[i + 1] == '.';

        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", name[i]) ||
            (edge && name[i] == '-') || (name[i] == '.' && (i == 0 || i + 1 == len)) ||
            (name[i] == '.' && name[i + 1] == '.'))
            return false;
    }
    return len > 0 && len <= NAME_MAX_BYTES;
}

static bool check_options(struct icsp_emission *e)
{
    const struct icsp_emit_options *options = e->options;

    if (options->kinds == 0)
        return mir_fail(e->err, MIR_E_USAGE, "no kind of object was asked for");
    if (is_allowing(options) && is_blocking(options)) {
        (void)mir_fail(e->err, MIR_E_USAGE,
                       "a cluster takes allowed registries or blocked registries, not both");
        return mir_hint(e->err, "keep --allow-only/--allow or --block-source/--block");
    }
    if (options->name && (!icsp_is_object_name(options->name) ||
                          strlen(options->name) + NUMBER_MAX_BYTES > NAME_MAX_BYTES)) {
        (void)mir_fail(e->err, MIR_E_USAGE, "\"%.100s\" is no name for a cluster object",
                       options->name);
        return mir_hint(e->err, "use lower-case letters, digits, '-' and '.'");
    }
    return check_entries(e, "--allow", options->allow) &&
           check_entries(e, "--block", options->block) &&
           check_entries(e, "--import-from", options->import) &&
           check_entries(e, "--external-hostname", options->external);
}

/* A mirror that falls under a blocked entry is refused by every node. */
static bool check_blocked_mirrors(struct icsp_emission *e)
{
    auto_json *blocked = blocked_list(e);
    const json_t *entry;
    size_t i;

    if (!is_blocking(e->options))
        return true;
    json_array_foreach (blocked, i, entry) {
        struct mir_span super = mir_span_of(json_string_value(entry));

        for (size_t k = 0; k < e->cover.count; k++)
            for (size_t m = 0; m < e->cover.items[k].mirror_count; m++)
                if (icsp_scope_is_nested(mir_span_of(e->cover.items[k].mirrors[m]), super))
                    return icsp_reject(
                        e->findings, e->err, MIR_E_CONFLICT,
                        (struct icsp_place){.field = "blockedRegistries", .value = super.ptr},
                        "block narrower scopes with --block",
                        "the mirror \"%.200s\" lies inside: nodes would refuse it",
                        e->cover.items[k].mirrors[m]);
    }
    return true;
}

static void forget_image(const struct icsp_emission *e)
{
    struct icsp_objects *with = e->options->with;

    if (!with || !with->image.object || !writes_image(e->options))
        return;
    icsp_say(e->findings, ICSP_WARNING, (struct icsp_place){.object = with->image.object},
             "take its fields over into image.yaml by hand, or leave out what writes that file",
             "the Image that is written takes its place, with all its settings");
    icsp_list_release(&with->image.insecure);
    icsp_list_release(&with->image.blocked);
    icsp_list_release(&with->image.allowed);
    icsp_list_release(&with->image.search);
    with->image = (struct icsp_image_spec){0};
}

static bool choose_scopes(struct icsp_emission *e)
{
    struct icsp_cover_request request = {.pairs = e->pairs,
                                         .count = e->pair_count,
                                         .level = e->options->level,
                                         .kinds = e->options->kinds,
                                         .with = e->options->with,
                                         .image = writes_image(e->options) ? &e->image : NULL,
                                         .node = e->options->node};

    return icsp_cover(&request, &e->cover, e->findings, e->err);
}

bool icsp_emit(const struct icsp_pair *pairs, size_t count, const struct icsp_emit_options *options,
               struct icsp_object_files *out, struct icsp_findings *findings, struct mir_error *err)
{
    auto_emission e = {
        .pairs = pairs, .pair_count = count, .options = options, .findings = findings, .err = err};

    if (!check_options(&e))
        return false;
    icsp_emit_forget_mirrors(&e);
    forget_image(&e);
    fill_image(&e);
    if (!choose_scopes(&e) || !check_blocked_mirrors(&e) || !icsp_emit_mirrors(&e))
        return false;
    icsp_emit_warn_left(&e);
    say_tags(&e);
    add_image(&e);
    if (!add_cas(&e))
        return false;
    *out = e.files;
    e.files = (struct icsp_object_files){0};
    return true;
}
