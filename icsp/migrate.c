/*
 * ImageContentSourcePolicy to ImageDigestMirrorSet, one object for one object: sources and mirrors
 * are taken over one to one and in their order, metadata too, but for what only a server writes. On
 * a node both kinds mean the same. Called by `mirror migrate-icsp`.
 */
#include "icsp/icsp.h"

#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/lint_priv.h"
#include "icsp/model_priv.h"

#define OLD_KIND    "ImageContentSourcePolicy"
#define OLD_VERSION "operator.openshift.io/v1alpha1"

struct migration {
    const char *file;
    const struct mir_lines *lines;
    struct icsp_findings *findings;
    json_t *olds; /* the objects that are migrated; owned */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Everything but the objects that are migrated stays where it is, and that is said. */
static void say_left(struct migration *m, json_t *object, unsigned line)
{
    const char *kind = text_of(object, "kind");
    const char *name = text_of(json_object_get(object, "metadata"), "name");
    auto_free char *label = mir_format("%s/%s", kind[0] ? kind : "(without kind)", name);
    struct icsp_origin origin = {.name = label, .file = m->file, .line = line};
    bool version = strcmp(kind, OLD_KIND) == 0;

    icsp_say(m->findings, ICSP_WARNING,
             (struct icsp_place){.object = &origin,
                                 .field = version ? "apiVersion" : NULL,
                                 .value = version ? text_of(object, "apiVersion") : NULL,
                                 .rule = "not-migrated"},
             "apply it as before",
             "left as it is: only " OLD_KIND " (" OLD_VERSION ") is migrated");
}

static void collect(struct migration *m, json_t *list, unsigned depth)
{
    json_t *object;
    size_t i;

    json_array_foreach (list, i, object) {
        unsigned line = mir_lines_item(m->lines, list, i);

        if (strcmp(text_of(object, "kind"), "List") == 0 && depth > 0)
            collect(m, json_object_get(object, "items"), depth - 1);
        else if (strcmp(text_of(object, "kind"), OLD_KIND) == 0 &&
                 strcmp(text_of(object, "apiVersion"), OLD_VERSION) == 0)
            json_array_append(m->olds, object);
        else
            say_left(m, object, line);
    }
}

/* ---- one object ---- */

/* What a server sets and refuses, or ignores, in an object that is created. */
static json_t *metadata_of(const json_t *old)
{
    static const char *const servers[] = {"creationTimestamp", "generation", "managedFields",
                                          "resourceVersion",   "selfLink",   "uid"};
    json_t *metadata = json_deep_copy(json_object_get(old, "metadata"));

    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        json_object_del(metadata, servers[i]);
    return metadata;
}

static json_t *mirrors_of(const json_t *old)
{
    json_t *sets = json_array();
    const json_t *item;
    size_t i;

    json_array_foreach (json_object_get(json_object_get(old, "spec"), "repositoryDigestMirrors"), i,
                        item) {
        json_t *set = json_object();
        json_t *mirrors = json_object_get(item, "mirrors");

        if (json_array_size(mirrors) > 0)
            json_object_set_new(set, "mirrors", json_deep_copy(mirrors));
        json_object_set_new(set, "source", json_string(text_of(item, "source")));
        json_array_append_new(sets, set);
    }
    return sets;
}

static json_t *migrate_one(const json_t *old)
{
    return json_pack("{s:s, s:s, s:o, s:{s:o}}", "apiVersion", "config.openshift.io/v1", "kind",
                     "ImageDigestMirrorSet", "metadata", metadata_of(old), "spec",
                     "imageDigestMirrors", mirrors_of(old));
}

/* The name becomes a part of a file name, and an object without one cannot be applied. */
static bool check_name(struct migration *m, const json_t *old, struct mir_error *err)
{
    const char *name = text_of(json_object_get(old, "metadata"), "name");
    struct icsp_origin origin = {.file = m->file};

    return icsp_is_object_name(name) || icsp_reject(m->findings, err, MIR_E_FORMAT,
                                                    (struct icsp_place){.object = &origin,
                                                                        .field = "metadata.name",
                                                                        .value = name,
                                                                        .rule = "object-name"},
                                                    "use lower-case letters, digits, '-' and '.'",
                                                    "not the name of a cluster object");
}

/* ---- the whole ---- */

/* What the new kind's API server is stricter about than the old one's. */
static bool lint(struct migration *m, json_t *made, struct mir_error *err)
{
    struct icsp_objects *objects = icsp_objects_new();
    bool ok = icsp_objects_add(objects, made, m->file, m->findings, err);

    if (ok)
        icsp_lint_api(&icsp_generation_current, objects, m->findings);
    icsp_objects_free(objects);
    return ok;
}

static bool migrate(struct migration *m, struct icsp_objects *objects, json_t **out,
                    struct mir_error *err)
{
    auto_json *made = json_array();
    const json_t *old;
    size_t i;

    if (json_array_size(m->olds) == 0)
        return icsp_reject(m->findings, err, MIR_E_FORMAT,
                           (struct icsp_place){.label = m->file, .rule = "not-migrated"},
                           "name the files that do", "holds no " OLD_KIND);
    /* For the types of the fields. */
    if (!icsp_objects_add(objects, m->olds, m->file, m->findings, err))
        return false;
    json_array_foreach (m->olds, i, old) {
        if (!check_name(m, old, err))
            return false;
        json_array_append_new(made, migrate_one(old));
    }
    if (!lint(m, made, err))
        return false;
    *out = mir_steal(&made);
    return true;
}

bool icsp_migrate(struct icsp_objects *objects, json_t *documents, const char *name, json_t **out,
                  struct icsp_findings *findings, struct mir_error *err)
{
    auto_json *olds = json_array();
    struct migration m = {
        .file = name, .lines = icsp_objects_lines(objects), .findings = findings, .olds = olds};

    collect(&m, documents, ICSP_LISTS_MAX);
    return migrate(&m, objects, out, err);
}
