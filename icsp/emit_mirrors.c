/*
 * The mirror objects of an emission: one set for each scope, in as many objects as their size
 * takes, under names that stay the same from one run to the next.
 */
#include "icsp/emit_priv.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/tree.h"
#include "icsp/findings_priv.h"

#define DEFAULT_NAME "mirror"

/* ---- mirror objects ---- */

struct mirror_kind {
    enum icsp_kind_flag flag;
    const char *file;
    const char *version;
    const char *kind;
    const char *field;
};

static const struct mirror_kind mirror_kinds[ICSP_MIRROR_KINDS] = {
    {ICSP_KIND_ICSP, "imagecontentsourcepolicy.yaml", "operator.openshift.io/v1alpha1",
     "ImageContentSourcePolicy", "repositoryDigestMirrors"},
    {ICSP_KIND_IDMS, "imagedigestmirrorset.yaml", "config.openshift.io/v1", "ImageDigestMirrorSet",
     "imageDigestMirrors"},
    {ICSP_KIND_ITMS, "imagetagmirrorset.yaml", "config.openshift.io/v1", "ImageTagMirrorSet",
     "imageTagMirrors"},
};

static json_t *mirror_set(const struct icsp_cover_scope *scope, const struct mirror_kind *kind)
{
    bool for_tags = kind->flag == ICSP_KIND_ITMS;
    const struct icsp_cover_kept *kept = for_tags ? &scope->kept_tag : &scope->kept_digest;
    json_t *mirrors = json_array();
    json_t *set;

    for (size_t k = 0; k < scope->mirror_count; k++)
        if (!for_tags || scope->has_tag)
            json_array_append_new(mirrors, json_string(scope->mirrors[k]));
    for (size_t k = 0; k < kept->count; k++)
        json_array_append_new(mirrors, json_string(kept->items[k]));
    set = json_pack("{s:o, s:s}", "mirrors", mirrors, "source", scope->source);
    if (scope->never)
        json_object_set_new(set, "mirrorSourcePolicy", json_string("NeverContactSource"));
    return set;
}

static json_t *mirror_list(const struct icsp_cover *cover, const struct mirror_kind *kind)
{
    json_t *list = json_array();

    for (size_t i = 0; i < cover->count; i++)
        if (icsp_cover_lists(&cover->items[i], kind->flag == ICSP_KIND_ITMS))
            json_array_append_new(list, mirror_set(&cover->items[i], kind));
    return list;
}

/* The first object has the name that was asked for, so that a mapping that grows only adds some. */
static char *numbered(const char *name, size_t number)
{
    return number == 0 ? mir_strdup(name) : mir_format("%s-%zu", name, number);
}

/* How long a value is as YAML, each line indented so far. */
static size_t yaml_len(json_t *value, size_t indent)
{
    auto_buf text;
    size_t lines = 0;

    mir_buf_init(&text, ICSP_FILE_MAX);
    mir_yaml_format(value, &text);
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return text.len + lines * indent;
}

/* One item of a list below "spec": "  - mirrors: ...". */
static size_t item_len(json_t *item)
{
    auto_json *list = json_array();

    json_array_append(list, item);
    return yaml_len(list, 2);
}

/* A list becomes as many objects as it takes for each to stay below what a cluster's tools take. */
static void put_mirrors(struct icsp_emission *e, const struct mirror_kind *kind, const char *name,
                        json_t *list)
{
    json_t *part = NULL;
    json_t *item;
    size_t used = 0;
    size_t number = 0;
    size_t i;

    json_array_foreach (list, i, item) {
        size_t len = item_len(item);

        if (!part || used + len >= ICSP_OBJECT_BYTES_MAX) {
            auto_free char *own = numbered(name, number++);
            json_t *object = icsp_emit_object(kind->version, kind->kind, own);

            part = json_array();
            json_object_set_new(object, "spec", json_pack("{s:o}", kind->field, part));
            used = yaml_len(object, 0);
            icsp_emit_put(e, kind->file, object);
        }
        json_array_append(part, item);
        used += len;
    }
}

static bool no_tags(struct icsp_emission *e)
{
    if (e->options->kinds == ICSP_KIND_ITMS)
        return icsp_reject(e->findings, e->err, MIR_E_USAGE,
                           (struct icsp_place){.label = "ImageTagMirrorSet"},
                           "use --kind icsp or --kind idms",
                           "no image of the mapping has the same tag at its source and its mirror");
    icsp_say(e->findings, ICSP_WARNING, (struct icsp_place){.label = "ImageTagMirrorSet"}, NULL,
             "not written: no image of the mapping has the same tag at its source and its mirror");
    return true;
}

static const char *name_of(const struct icsp_emission *e)
{
    return e->options->name ? e->options->name : DEFAULT_NAME;
}

bool icsp_emit_mirrors(struct icsp_emission *e)
{
    for (size_t i = 0; i < ICSP_MIRROR_KINDS; i++) {
        const struct mirror_kind *kind = &mirror_kinds[i];
        auto_json *list = NULL;

        if (!(e->options->kinds & kind->flag))
            continue;
        list = mirror_list(&e->cover, kind);
        if (json_array_size(list) == 0 && !no_tags(e))
            return false;
        put_mirrors(e, kind, name_of(e), list);
    }
    return true;
}

/* ---- what the cluster has already ---- */

/* Is it an object that this run may write: NAME, or NAME-1 and so on? *number is 0 for NAME. */
static bool is_ours(const struct icsp_emission *e, const struct mirror_kind *kind,
                    const struct icsp_origin *origin, size_t *number)
{
    auto_free char *name = mir_format("%s/%s", kind->kind, name_of(e));
    struct mir_span rest = mir_span_of(origin->name);
    uint64_t parsed;

    *number = 0;
    if (!mir_span_starts_with(rest, name))
        return false;
    rest = mir_span_from(rest, strlen(name));
    if (rest.len == 0)
        return true;
    if (rest.ptr[0] != '-' || !mir_parse_u64(mir_span_from(rest, 1), ICSP_OBJECTS_MAX, &parsed))
        return false;
    *number = (size_t)parsed;
    return parsed > 0;
}

/* What has the name of an object to be written is replaced by it. */
static void forget_sets(struct icsp_emission *e, const struct mirror_kind *kind,
                        struct icsp_sets *sets, size_t *highest)
{
    size_t kept = 0;

    for (size_t i = 0; i < sets->count; i++) {
        size_t number;

        if (!is_ours(e, kind, sets->items[i].object, &number)) {
            sets->items[kept++] = sets->items[i];
            continue;
        }
        icsp_list_release(&sets->items[i].mirrors);
        *highest = number > *highest ? number : *highest;
    }
    sets->count = kept;
}

static struct icsp_sets *sets_of(struct icsp_objects *objects, enum icsp_kind_flag kind)
{
    return kind == ICSP_KIND_ICSP   ? &objects->icsp
           : kind == ICSP_KIND_IDMS ? &objects->idms
                                    : &objects->itms;
}

void icsp_emit_forget_mirrors(struct icsp_emission *e)
{
    for (size_t i = 0; e->options->with && i < ICSP_MIRROR_KINDS; i++)
        if (e->options->kinds & mirror_kinds[i].flag)
            forget_sets(e, &mirror_kinds[i], sets_of(e->options->with, mirror_kinds[i].flag),
                        &e->highest[i]);
}

void icsp_emit_warn_left(const struct icsp_emission *e)
{
    for (size_t i = 0; i < ICSP_MIRROR_KINDS; i++) {
        size_t written = 0;
        auto_free char *name = numbered(name_of(e), e->highest[i]);
        auto_free char *label = mir_format("%s/%s", mirror_kinds[i].kind, name);

        for (size_t k = 0; k < e->files.count; k++)
            written += strcmp(e->files.items[k].name, mirror_kinds[i].file) == 0;
        if (e->highest[i] > 0 && e->highest[i] >= written)
            icsp_say(e->findings, ICSP_WARNING, (struct icsp_place){.label = label},
                     "delete it when the new ones are applied",
                     "is in the cluster, and is not written any more: fewer objects are enough");
    }
}
