/*
 * The proof of a choice of scopes: what the cluster has and what would be added are compiled
 * together, by the compiler that makes the node files, and images are looked up in the result, by
 * the look-up that does it as a node's runtime. Called by cover.c alone.
 *
 * The objects that would be added exist only as sets here; those of the cluster are borrowed.
 */
#include "icsp/cover_priv.h"

#include "base/buf.h"
#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/lookup_priv.h"
#include "icsp/merge_priv.h"
#include "icsp/model_priv.h"
#include "icsp/scope_priv.h"

#define DIGEST  "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TAG     ":tag"
#define PROBE   "mirror-probe-0" /* a name that no entry is about */
#define WHY_MAX 600

#define PLACES_SAID 3 /* of those that a node asks, in a message */

struct icsp_trial {
    const struct icsp_cover_request *request;
    struct icsp_objects *nothing; /* instead of objects that are not given */
    const struct icsp_objects *with;
    struct icsp_lookup *before, *after;
};

static bool compile(const struct icsp_trial *trial, const struct icsp_objects *objects,
                    struct icsp_lookup **out, struct mir_error *err)
{
    auto_lookup *lookup = icsp_lookup_new();
    auto_findings findings = {0};
    auto_files files = {0};
    const struct icsp_file *file;

    if (!icsp_compile(objects, trial->request->node, &files, &findings, err))
        return false;
    file = &files.items[0]; /* registries.conf, always */
    if (!icsp_lookup_add_registries(lookup, mir_span(file->data, file->len), "registries.conf",
                                    ICSP_CONF_MAIN, err))
        return false;
    *out = mir_steal(&lookup);
    return true;
}

bool icsp_trial_new(const struct icsp_cover_request *request, struct icsp_trial **out,
                    struct mir_error *err)
{
    struct icsp_trial *trial = mir_alloc(sizeof(*trial));

    trial->request = request;
    trial->with = request->with;
    if (!trial->with)
        trial->with = trial->nothing = icsp_objects_new();
    *out = trial;
    return compile(trial, trial->with, &trial->before, err) ||
           mir_context(err, "what the cluster has");
}

void icsp_trial_free(struct icsp_trial *trial)
{
    if (!trial)
        return;
    icsp_objects_free(trial->nothing);
    icsp_lookup_free(trial->before);
    icsp_lookup_free(trial->after);
    free(trial);
}

/* ---- the objects that would be added ---- */

/* One kind: the cluster's sets, and behind them one for each scope. */
struct addition {
    struct icsp_sets all; /* items is owned; of those, mirrors from first on */
    size_t first;
    struct icsp_origin origin;
};

static void addition_release(struct addition *addition)
{
    for (size_t i = addition->first; i < addition->all.count; i++)
        icsp_list_release(&addition->all.items[i].mirrors);
    free(addition->all.items);
    free(addition->origin.name);
}
#define auto_addition __attribute__((cleanup(addition_release))) struct addition

static void add_set(struct addition *addition, const struct icsp_cover_scope *scope,
                    enum icsp_kind_flag kind)
{
    const struct icsp_cover_kept *kept =
        kind == ICSP_KIND_ITMS ? &scope->kept_tag : &scope->kept_digest;
    struct icsp_sets *all = &addition->all;
    struct icsp_set set = {.object = &addition->origin,
                           .field = "spec",
                           .index = all->count - addition->first,
                           .source = scope->source,
                           .never = scope->never};

    for (size_t i = 0; i < scope->mirror_count; i++)
        if (kind != ICSP_KIND_ITMS || scope->has_tag)
            icsp_list_add(&set.mirrors, scope->mirrors[i]);
    for (size_t i = 0; i < kept->count; i++)
        icsp_list_add(&set.mirrors, kept->items[i]);
    all->items[all->count++] = set;
}

static void add_kind(const struct icsp_trial *trial, const struct icsp_cover *cover,
                     enum icsp_kind_flag kind, const char *name, struct icsp_sets *sets,
                     struct addition *out)
{
    *out = (struct addition){.all = *sets, .first = sets->count};
    out->origin.name = mir_format("the %s to be written", name);
    out->all.items = mir_alloc_array(sets->count + cover->count, sizeof(*out->all.items));
    for (size_t i = 0; i < sets->count; i++)
        out->all.items[i] = sets->items[i];
    if (!(trial->request->kinds & kind))
        return;
    out->all.objects++;
    for (size_t i = 0; i < cover->count; i++)
        if (icsp_cover_lists(&cover->items[i], kind == ICSP_KIND_ITMS))
            add_set(out, &cover->items[i], kind);
    *sets = out->all;
}

bool icsp_trial_run(struct icsp_trial *trial, const struct icsp_cover *cover, struct mir_error *err)
{
    struct icsp_objects together = *trial->with;
    auto_addition icsp = {0};
    auto_addition idms = {0};
    auto_addition itms = {0};

    icsp_lookup_free(trial->after);
    trial->after = NULL;
    add_kind(trial, cover, ICSP_KIND_ICSP, "ImageContentSourcePolicy", &together.icsp, &icsp);
    add_kind(trial, cover, ICSP_KIND_IDMS, "ImageDigestMirrorSet", &together.idms, &idms);
    add_kind(trial, cover, ICSP_KIND_ITMS, "ImageTagMirrorSet", &together.itms, &itms);
    if (trial->request->image)
        together.image = *trial->request->image;
    return compile(trial, &together, &trial->after, err);
}

/* ---- what the cluster's own entries say of a scope ---- */

static const struct icsp_set *find_set(const struct icsp_sets *sets, const char *source)
{
    for (size_t i = 0; i < sets->count; i++)
        if (strcmp(sets->items[i].source, source) == 0 && icsp_set_has_real_mirror(&sets->items[i]))
            return &sets->items[i];
    return NULL;
}

static bool is_never(const struct icsp_objects *objects, const char *source)
{
    const struct icsp_sets *const all[] = {&objects->icsp, &objects->idms, &objects->itms};

    for (size_t i = 0; i < 3; i++) {
        const struct icsp_set *set = find_set(all[i], source);

        if (set && set->never)
            return true;
    }
    return false;
}

bool icsp_trial_excludes(const struct icsp_trial *trial, const char *source)
{
    return (trial->request->kinds & ICSP_KIND_ICSP) && is_never(trial->with, source);
}

/* Something inside a scope, as it would be pulled. */
static char *inside(struct mir_span scope, bool by_tag)
{
    bool wildcard = icsp_scope_is_wildcard(scope);

    if (wildcard)
        scope = mir_span_from(scope, 1);
    return mir_format("%s%.*s/" PROBE "%s", wildcard ? PROBE : "", MIR_SPAN_ARG(scope),
                      by_tag ? TAG : DIGEST);
}

static bool has_text(char *const *items, size_t count, struct mir_span text)
{
    for (size_t i = 0; i < count; i++)
        if (mir_span_is(text, items[i]))
            return true;
    return false;
}

/* The mirrors that a node asks now for what is in the scope, but those the scope has itself. */
static void keep_places(const struct icsp_trial *trial, const struct icsp_cover_scope *scope,
                        bool by_tag, struct icsp_cover_kept *out)
{
    auto_free char *image = inside(mir_span_of(scope->source), by_tag);
    size_t tail = strlen("/" PROBE) + strlen(by_tag ? TAG : DIGEST);
    struct mir_error ignored = MIR_ERROR_INIT; /* no node can ask for what is no reference */
    auto_route route = {0};

    if (!icsp_lookup_find(trial->before, mir_span_of(image), &route, &ignored))
        return;
    for (size_t i = 0; i < route.place_count; i++) {
        const struct icsp_lookup_place *place = &route.places[i];
        struct mir_span mirror =
            mir_span_first(mir_span_of(place->reference), strlen(place->reference) - tail);

        if (!place->is_mirror || place->blocked || mir_span_is(mirror, scope->source) ||
            has_text(scope->mirrors, scope->mirror_count, mirror) ||
            has_text(out->items, out->count, mirror))
            continue;
        mir_grow(&out->items, out->count, &out->capacity, sizeof(*out->items));
        out->items[out->count++] = mir_strndup(mirror.ptr, mirror.len);
    }
}

/* Is the source of the entry that a node uses now never contacted? That does not go down by itself.
 */
static bool never_around(const struct icsp_trial *trial, const char *source)
{
    auto_free char *image = mir_format("%s/" PROBE, source);
    struct icsp_conf_entry entry;

    return icsp_lookup_find_entry(trial->before, mir_span_of(image), &entry) &&
           is_never(trial->with, entry.prefix);
}

void icsp_trial_keep(const struct icsp_trial *trial, struct icsp_cover *cover)
{
    unsigned kinds = trial->request->kinds;

    for (size_t i = 0; i < cover->count; i++) {
        struct icsp_cover_scope *scope = &cover->items[i];
        bool has_digest = find_set(&trial->with->icsp, scope->source) ||
                          find_set(&trial->with->idms, scope->source);

        /* All kinds have to say the same, and one of them cannot. */
        scope->never = !(kinds & ICSP_KIND_ICSP) && never_around(trial, scope->source);
        /* Sets for one source are merged by the cluster. */
        if ((kinds & (ICSP_KIND_ICSP | ICSP_KIND_IDMS)) && !has_digest)
            keep_places(trial, scope, false, &scope->kept_digest);
        if ((kinds & ICSP_KIND_ITMS) && !find_set(&trial->with->itms, scope->source))
            keep_places(trial, scope, true, &scope->kept_tag);
    }
}

/* ---- looking up ---- */

static char *explain(const struct icsp_route *route, const char *wanted)
{
    struct mir_buf text;

    mir_buf_init(&text, WHY_MAX);
    if (route->trouble.code != MIR_OK)
        mir_buf_text(&text, route->trouble.text);
    for (size_t i = 0; i < route->place_count; i++)
        if (route->places[i].blocked && strcmp(route->places[i].reference, wanted) == 0)
            mir_buf_printf(&text, "\"%s\" is blocked", route->places[i].blocked_by.prefix);
    if (text.len > 0)
        return mir_buf_take(&text);
    mir_buf_printf(&text, "by the entry \"%s\" it asks for",
                   route->has_entry ? route->entry.prefix : "");
    for (size_t i = 0; i < route->place_count && i < PLACES_SAID; i++)
        mir_buf_printf(&text, "%s %s", i > 0 ? "," : "", route->places[i].reference);
    return mir_buf_take(&text);
}

static bool asks(const struct icsp_route *route, const char *wanted)
{
    for (size_t i = 0; i < route->place_count; i++)
        if (route->places[i].is_mirror && !route->places[i].blocked &&
            strcmp(route->places[i].reference, wanted) == 0)
            return true;
    return false;
}

bool icsp_trial_reaches(const struct icsp_trial *trial, const char *source, const char *mirror,
                        bool by_tag, char **why)
{
    auto_free char *image = mir_format("%s%s", source, by_tag ? TAG : DIGEST);
    auto_free char *wanted = mir_format("%s%s", mirror, by_tag ? TAG : DIGEST);
    struct mir_error err = MIR_ERROR_INIT;
    auto_route route = {0};

    if (!icsp_lookup_find(trial->after, mir_span_of(image), &route, &err)) {
        if (why)
            *why = mir_strdup(err.text);
        return false;
    }
    if (asks(&route, wanted))
        return true;
    if (why)
        *why = explain(&route, wanted);
    return false;
}

/* Is a place not asked any more for something in the scope? */
static bool loses(const struct icsp_trial *trial, struct mir_span scope, bool by_tag)
{
    auto_free char *image = inside(scope, by_tag);
    struct mir_error ignored = MIR_ERROR_INIT; /* as above */
    auto_route before = {0};
    auto_route after = {0};

    if (!icsp_lookup_find(trial->before, mir_span_of(image), &before, &ignored) ||
        !icsp_lookup_find(trial->after, mir_span_of(image), &after, &ignored))
        return false;
    for (size_t i = 0; i < before.place_count; i++)
        if (before.places[i].is_mirror && !before.places[i].blocked &&
            !asks(&after, before.places[i].reference))
            return true;
    return false;
}

/* Entries of the cluster, then scopes; each for pulls by digest, then by tag. */
const char *icsp_trial_next_lost(const struct icsp_trial *trial, const struct icsp_cover *cover,
                                 size_t *at, bool *by_tag)
{
    const struct icsp_registries *entries = &trial->before->registries;

    for (; *at < 2 * (entries->count + cover->count); (*at)++) {
        size_t index = *at / 2;
        const char *scope = index < entries->count ? icsp_registry_scope(entries->items[index]).ptr
                                                   : cover->items[index - entries->count].source;

        *by_tag = *at % 2 == 1;
        if (!loses(trial, mir_span_of(scope), *by_tag))
            continue;
        (*at)++;
        return scope;
    }
    return NULL;
}
