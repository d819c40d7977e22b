/*
 * From json_t to the model: every field that matters is looked at for its type here, so that the
 * steps behind it work on plain structs. A field of the wrong type is refused, as the API server
 * would; unknown fields have no effect, as on a cluster.
 */
#include "icsp/model_priv.h"

#include "base/mem.h"

#define NAME_MAX_BYTES                                                                             \
    4096 /* of a scope or mirror: far above what a reference can have, and low                     \
            enough to look at every part of it */

/* What the functions below hand on: the object they are in. */
struct intake {
    struct icsp_objects *objects;
    struct icsp_findings *findings;
    struct mir_error *err;
    const struct icsp_origin *file;
    const struct icsp_origin *origin; /* of the object; before its name is known, of the file */
    const char *name;
    const char *ns;
};

/* ---- small parts ---- */

void icsp_list_add(struct icsp_list *list, const char *item)
{
    mir_grow(&list->items, list->count, &list->capacity, sizeof(*list->items));
    list->items[list->count++] = item;
}

void icsp_list_add_all(struct icsp_list *list, const struct icsp_list *more)
{
    for (size_t i = 0; i < more->count; i++)
        icsp_list_add(list, more->items[i]);
}

void icsp_list_release(struct icsp_list *list)
{
    free(list->items);
    *list = (struct icsp_list){0};
}

/* Remembered as long as the objects are, at one address. */
static struct icsp_origin *new_origin(struct icsp_objects *objects, struct icsp_origin origin)
{
    struct icsp_origin *kept = mir_alloc(sizeof(*kept));

    *kept = origin;
    kept->lines = objects->lines;
    mir_grow(&objects->origins, objects->origin_count, &objects->origin_capacity,
             sizeof(*objects->origins));
    objects->origins[objects->origin_count++] = kept;
    return kept;
}

static const char *keep_file(struct icsp_objects *objects, const char *name)
{
    mir_grow(&objects->files, objects->file_count, &objects->file_capacity,
             sizeof(*objects->files));
    objects->files[objects->file_count] = mir_strdup(name);
    return objects->files[objects->file_count++];
}

static bool wrong_type(struct intake *in, const char *field, const char *expected)
{
    return icsp_reject(
        in->findings, in->err, MIR_E_FORMAT,
        (struct icsp_place){.object = in->origin, .field = field, .rule = "wrong-type"},
        "a value that is no string by its looks needs quotes", "must be %s", expected);
}

/* The member under key; NULL for absent and null. */
static json_t *member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

/* *out is NULL when the member is absent. */
static bool get_object(struct intake *in, const json_t *parent, const char *key, const char *field,
                       json_t **out)
{
    *out = member(parent, key);
    return !*out || json_is_object(*out) || wrong_type(in, field, "an object");
}

static bool get_string(struct intake *in, const json_t *parent, const char *key, const char *field,
                       const char **out)
{
    const json_t *value = member(parent, key);

    *out = json_string_value(value);
    return !value || *out || wrong_type(in, field, "a string");
}

/* A scope or a mirror of sensible length. */
static bool check_name(struct intake *in, const char *name, const char *field)
{
    if (strlen(name) <= NAME_MAX_BYTES)
        return true;
    return icsp_reject(in->findings, in->err, MIR_E_LIMIT,
                       (struct icsp_place){.object = in->origin, .field = field, .rule = "limit"},
                       "no registry has names of that length: correct the entry or leave it out",
                       "longer than %d bytes", NAME_MAX_BYTES);
}

static bool get_list(struct intake *in, const json_t *parent, const char *key, const char *field,
                     struct icsp_list *out)
{
    const json_t *list = member(parent, key);
    const json_t *item;
    size_t i;

    if (!list)
        return true;
    if (!json_is_array(list))
        return wrong_type(in, field, "a list of strings");
    out->given = true;
    json_array_foreach (list, i, item) {
        auto_free char *place = NULL;

        if (json_is_string(item) && json_string_length(item) <= NAME_MAX_BYTES) {
            icsp_list_add(out, json_string_value(item));
            continue;
        }
        place = mir_format("%s[%zu]", field, i);
        if (!json_is_string(item))
            return wrong_type(in, place, "a string");
        return check_name(in, json_string_value(item), place);
    }
    return true;
}

/* ---- the kinds ---- */

static bool read_image(struct intake *in, const json_t *spec)
{
    struct icsp_image_spec *image = &in->objects->image;
    json_t *sources;
    json_t *ca;

    if (!in->name || strcmp(in->name, "cluster") != 0) {
        icsp_say(in->findings, ICSP_WARNING,
                 (struct icsp_place){.object = in->origin,
                                     .field = "metadata.name",
                                     .value = in->name,
                                     .rule = "no-effect"},
                 "call it cluster", "has no effect: only the Image named cluster is read");
        return true;
    }
    if (image->object)
        return icsp_reject(in->findings, in->err, MIR_E_CONFLICT,
                           (struct icsp_place){.object = in->origin, .rule = "given-twice"},
                           "leave one of them out", "given twice, first in %s",
                           image->object->file);
    image->object = in->origin;
    if (!get_object(in, spec, "registrySources", "spec.registrySources", &sources) ||
        !get_object(in, spec, "additionalTrustedCA", "spec.additionalTrustedCA", &ca))
        return false;
    return get_list(in, sources, "insecureRegistries", ICSP_FIELD_INSECURE, &image->insecure) &&
           get_list(in, sources, "blockedRegistries", ICSP_FIELD_BLOCKED, &image->blocked) &&
           get_list(in, sources, "allowedRegistries", ICSP_FIELD_ALLOWED, &image->allowed) &&
           get_list(in, sources, "containerRuntimeSearchRegistries", ICSP_FIELD_SEARCH,
                    &image->search) &&
           get_string(in, ca, "name", "spec.additionalTrustedCA.name", &image->trusted_ca);
}

static bool read_cluster_version(struct intake *in, const json_t *object)
{
    json_t *status;
    json_t *desired;

    if (!in->name || strcmp(in->name, "version") != 0) {
        icsp_say(in->findings, ICSP_WARNING,
                 (struct icsp_place){.object = in->origin,
                                     .field = "metadata.name",
                                     .value = in->name,
                                     .rule = "no-effect"},
                 "call it version", "has no effect: only the ClusterVersion named version is read");
        return true;
    }
    if (in->objects->release_object)
        return icsp_reject(in->findings, in->err, MIR_E_CONFLICT,
                           (struct icsp_place){.object = in->origin, .rule = "given-twice"},
                           "leave one of them out", "given twice, first in %s",
                           in->objects->release_object->file);
    in->objects->release_object = in->origin;
    return get_object(in, object, "status", "status", &status) &&
           get_object(in, status, "desired", "status.desired", &desired) &&
           get_string(in, desired, "image", "status.desired.image", &in->objects->release_image);
}

static bool read_set_policy(struct intake *in, const json_t *item, const char *field, bool *never)
{
    const char *policy;

    if (!get_string(in, item, "mirrorSourcePolicy", field, &policy))
        return false;
    *never = policy && strcmp(policy, "NeverContactSource") == 0;
    if (!policy || *never || strcmp(policy, "AllowContactingSource") == 0)
        return true;
    return icsp_reject(
        in->findings, in->err, MIR_E_FORMAT,
        (struct icsp_place){
            .object = in->origin, .field = field, .value = policy, .rule = "mirror-source-policy"},
        "write one of the two words, or leave the field out",
        "mirrorSourcePolicy is NeverContactSource or AllowContactingSource");
}

static bool read_set(struct intake *in, const json_t *item, const char *field, size_t index,
                     bool has_policy, struct icsp_sets *sets)
{
    auto_free char *at = mir_format("%s[%zu]", field, index);
    auto_free char *source_at = mir_format("%s.source", at);
    auto_free char *mirrors_at = mir_format("%s.mirrors", at);
    auto_free char *policy_at = mir_format("%s.mirrorSourcePolicy", at);
    struct icsp_set *set;

    if (!json_is_object(item))
        return wrong_type(in, at, "an object");
    mir_grow(&sets->items, sets->count, &sets->capacity, sizeof(*sets->items));
    set = &sets->items[sets->count++];
    *set = (struct icsp_set){.object = in->origin, .field = field, .index = index};
    if (!get_string(in, item, "source", source_at, &set->source) ||
        !get_list(in, item, "mirrors", mirrors_at, &set->mirrors))
        return false;
    if (!set->source)
        set->source = "";
    if (!check_name(in, set->source, source_at))
        return false;
    return !has_policy || read_set_policy(in, item, policy_at, &set->never);
}

static bool read_sets(struct intake *in, const json_t *spec, const char *key, const char *field,
                      bool has_policy, struct icsp_sets *sets)
{
    const json_t *list = member(spec, key);
    const json_t *item;
    size_t i;

    sets->objects++;
    if (list && !json_is_array(list))
        return wrong_type(in, field, "a list of objects");
    json_array_foreach (list, i, item)
        if (!read_set(in, item, field, i, has_policy, sets))
            return false;
    return true;
}

static bool read_icsp(struct intake *in, const json_t *spec)
{
    return read_sets(in, spec, "repositoryDigestMirrors", "spec.repositoryDigestMirrors", false,
                     &in->objects->icsp);
}

static bool read_idms(struct intake *in, const json_t *spec)
{
    return read_sets(in, spec, "imageDigestMirrors", "spec.imageDigestMirrors", true,
                     &in->objects->idms);
}

static bool read_itms(struct intake *in, const json_t *spec)
{
    return read_sets(in, spec, "imageTagMirrors", "spec.imageTagMirrors", true, &in->objects->itms);
}

static bool read_policy(struct intake *in, const json_t *spec, const char *ns,
                        struct icsp_policies *policies)
{
    struct icsp_signature_policy *policy;

    mir_grow(&policies->items, policies->count, &policies->capacity, sizeof(*policies->items));
    policy = &policies->items[policies->count++];
    *policy = (struct icsp_signature_policy){
        .object = in->origin, .name = in->name ? in->name : "", .ns = ns};
    return get_list(in, spec, "scopes", "spec.scopes", &policy->scopes) &&
           get_object(in, spec, "policy", "spec.policy", &policy->policy);
}

static bool read_cluster_image_policy(struct intake *in, const json_t *spec)
{
    return read_policy(in, spec, NULL, &in->objects->cluster_policies);
}

static bool read_image_policy(struct intake *in, const json_t *spec)
{
    return read_policy(in, spec, in->ns ? in->ns : "default", &in->objects->policies);
}

/* data holds texts, binaryData base64: both are objects of strings. */
static bool check_texts(struct intake *in, json_t *texts, const char *field)
{
    const char *key;
    const json_t *value;

    json_object_foreach (texts, key, value) {
        auto_free char *at = NULL;

        if (json_is_string(value))
            continue;
        at = mir_format("%s[\"%.100s\"]", field, key);
        return wrong_type(in, at, "a string");
    }
    return true;
}

static bool read_config_map(struct intake *in, const json_t *object)
{
    struct icsp_objects *objects = in->objects;
    struct icsp_config_map map = {.object = in->origin,
                                  .ns = in->ns ? in->ns : "openshift-config",
                                  .name = in->name ? in->name : ""};

    if (!get_object(in, object, "data", "data", &map.data) ||
        !get_object(in, object, "binaryData", "binaryData", &map.binary) ||
        !check_texts(in, map.data, "data") || !check_texts(in, map.binary, "binaryData"))
        return false;
    mir_grow(&objects->maps, objects->map_count, &objects->map_capacity, sizeof(*objects->maps));
    objects->maps[objects->map_count++] = map;
    return true;
}

/* ---- dispatch ---- */

struct kind {
    const char *kind;
    const char *versions[3]; /* apiVersions that are read */
    bool whole;              /* read() gets the object, else its spec */
    bool (*read)(struct intake *in, const json_t *value);
};

static const struct kind kinds[] = {
    {"Image", {"config.openshift.io/v1"}, false, read_image},
    {"ClusterVersion", {"config.openshift.io/v1"}, true, read_cluster_version},
    {"ImageContentSourcePolicy", {"operator.openshift.io/v1alpha1"}, false, read_icsp},
    {"ImageDigestMirrorSet", {"config.openshift.io/v1"}, false, read_idms},
    {"ImageTagMirrorSet", {"config.openshift.io/v1"}, false, read_itms},
    {"ClusterImagePolicy",
     {"config.openshift.io/v1", "config.openshift.io/v1alpha1"},
     false,
     read_cluster_image_policy},
    {"ImagePolicy",
     {"config.openshift.io/v1", "config.openshift.io/v1alpha1"},
     false,
     read_image_policy},
    {"ConfigMap", {"v1"}, true, read_config_map},
};

static const struct kind *find_kind(const char *kind, const char *version, bool *known)
{
    *known = false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].kind, kind) != 0)
            continue;
        *known = true;
        for (size_t k = 0; k < 3 && kinds[i].versions[k]; k++)
            if (strcmp(kinds[i].versions[k], version) == 0)
                return &kinds[i];
    }
    return NULL;
}

static bool pass_over(struct intake *in, bool known, const char *version)
{
    if (known)
        icsp_say(in->findings, ICSP_WARNING,
                 (struct icsp_place){.object = in->origin,
                                     .field = "apiVersion",
                                     .value = version,
                                     .rule = "unknown-version"},
                 "check the apiVersion", "passed over: it is not a version that nodes depend on");
    else
        icsp_say(in->findings, ICSP_DETAIL,
                 (struct icsp_place){.object = in->origin, .rule = "no-effect"}, NULL,
                 "passed over: this kind has no effect on a node's registry files");
    return true;
}

static bool add_object(struct intake *in, json_t *object, unsigned line, unsigned depth);

static bool add_items(struct intake *in, const json_t *list, unsigned depth)
{
    json_t *items = member(list, "items");
    json_t *item;
    size_t i;

    if (depth >= ICSP_LISTS_MAX)
        return icsp_reject(in->findings, in->err, MIR_E_LIMIT,
                           (struct icsp_place){.object = in->origin, .rule = "limit"}, NULL,
                           "List in List in List");
    if (items && !json_is_array(items))
        return wrong_type(in, "items", "a list of objects");
    json_array_foreach (items, i, item)
        if (!add_object(in, item, mir_lines_item(in->objects->lines, items, i), depth + 1))
            return false;
    return true;
}

static bool read_metadata(struct intake *in, const json_t *object, const char *kind,
                          struct icsp_origin *origin)
{
    json_t *metadata;

    in->name = NULL;
    in->ns = NULL;
    if (!get_object(in, object, "metadata", "metadata", &metadata) ||
        !get_string(in, metadata, "name", "metadata.name", &in->name) ||
        !get_string(in, metadata, "namespace", "metadata.namespace", &in->ns))
        return false;
    origin->name = mir_format("%s/%s%s%s", kind, in->ns ? in->ns : "", in->ns ? "/" : "",
                              in->name ? in->name : "(without name)");
    return true;
}

static bool add_object(struct intake *in, json_t *object, unsigned line, unsigned depth)
{
    struct icsp_origin *origin;
    const char *kind;
    const char *version;
    const struct kind *reader;
    json_t *spec = NULL;
    bool known;

    in->origin = in->file;
    if (++in->objects->count > ICSP_OBJECTS_MAX)
        return icsp_reject(in->findings, in->err, MIR_E_LIMIT,
                           (struct icsp_place){.object = in->file, .rule = "limit"}, NULL,
                           "more than %d objects", ICSP_OBJECTS_MAX);
    origin = new_origin(in->objects,
                        (struct icsp_origin){.file = in->file->file, .tree = object, .line = line});
    in->origin = origin;
    if (!json_is_object(object))
        return wrong_type(in, "document", "an object");
    if (!get_string(in, object, "kind", "kind", &kind) ||
        !get_string(in, object, "apiVersion", "apiVersion", &version))
        return false;
    if (!kind || !version)
        return icsp_reject(in->findings, in->err, MIR_E_FORMAT,
                           (struct icsp_place){.object = in->origin, .rule = "no-kind"},
                           "give cluster objects as oc get -o yaml prints them",
                           "an object without %s", kind ? "apiVersion" : "kind");
    if (strcmp(version, "v1") == 0 && strcmp(kind, "List") == 0)
        return add_items(in, object, depth);
    if (!read_metadata(in, object, kind, origin))
        return false;
    reader = find_kind(kind, version, &known);
    if (!reader)
        return pass_over(in, known, version);
    if (reader->whole)
        return reader->read(in, object);
    return get_object(in, object, "spec", "spec", &spec) && reader->read(in, spec);
}

/* ---- the whole ---- */

struct icsp_objects *icsp_objects_new(void)
{
    struct icsp_objects *objects = mir_alloc(sizeof(*objects));

    objects->documents = json_array();
    objects->lines = mir_lines_new();
    return objects;
}

struct mir_lines *icsp_objects_lines(struct icsp_objects *objects)
{
    return objects->lines;
}

static void origins_release(struct icsp_objects *objects)
{
    for (size_t i = 0; i < objects->origin_count; i++) {
        free(objects->origins[i]->name);
        free(objects->origins[i]);
    }
    free(objects->origins);
    for (size_t i = 0; i < objects->file_count; i++)
        free(objects->files[i]);
    free(objects->files);
}

static void sets_release(struct icsp_sets *sets)
{
    for (size_t i = 0; i < sets->count; i++)
        icsp_list_release(&sets->items[i].mirrors);
    free(sets->items);
}

static void policies_release(struct icsp_policies *policies)
{
    for (size_t i = 0; i < policies->count; i++)
        icsp_list_release(&policies->items[i].scopes);
    free(policies->items);
}

void icsp_objects_free(struct icsp_objects *objects)
{
    if (!objects)
        return;
    icsp_list_release(&objects->image.insecure);
    icsp_list_release(&objects->image.blocked);
    icsp_list_release(&objects->image.allowed);
    icsp_list_release(&objects->image.search);
    sets_release(&objects->icsp);
    sets_release(&objects->idms);
    sets_release(&objects->itms);
    policies_release(&objects->cluster_policies);
    policies_release(&objects->policies);
    free(objects->maps);
    origins_release(objects);
    mir_lines_free(objects->lines);
    json_decref(objects->documents);
    free(objects);
}

bool icsp_objects_add(struct icsp_objects *objects, json_t *documents, const char *name,
                      struct icsp_findings *findings, struct mir_error *err)
{
    struct intake in = {.objects = objects, .findings = findings, .err = err};
    json_t *document;
    size_t i;

    in.file = new_origin(objects, (struct icsp_origin){.file = keep_file(objects, name)});
    json_array_append(objects->documents, documents);
    json_array_foreach (documents, i, document)
        if (!add_object(&in, document, mir_lines_item(objects->lines, documents, i), 0))
            return false;
    return true;
}

bool icsp_objects_has_map(const struct icsp_objects *objects, const char *ns, const char *name)
{
    for (size_t i = 0; i < objects->map_count; i++)
        if (strcmp(objects->maps[i].ns, ns) == 0 && strcmp(objects->maps[i].name, name) == 0)
            return true;
    return false;
}
