/*
 * Looking an image up in registries.conf: the entry with the longest prefix, its mirrors that are
 * for such a reference, then its own place; each rewritten, and looked up once more by itself to
 * see whether it is blocked.
 *
 * Invariant: the entries of all files are one list, in which every prefix is there once.
 */
#include "icsp/lookup.h"

#include "base/mem.h"
#include "icsp/lookup_priv.h"
#include "icsp/scope_priv.h"

struct icsp_lookup *icsp_lookup_new(void)
{
    struct icsp_lookup *lookup = mir_alloc(sizeof(*lookup));

    icsp_registries_init(&lookup->registries, &icsp_generation_current);
    return lookup;
}

void icsp_lookup_free(struct icsp_lookup *lookup)
{
    if (!lookup)
        return;
    icsp_registries_release(&lookup->registries);
    for (size_t i = 0; i < lookup->name_count; i++)
        free(lookup->names[i]);
    free(lookup->names);
    json_decref(lookup->policy);
    free(lookup->policy_name);
    free(lookup);
}

void icsp_auto_lookup_free(struct icsp_lookup **lookup)
{
    icsp_lookup_free(*lookup);
}

bool icsp_lookup_has_registries(const struct icsp_lookup *lookup)
{
    return lookup->has_registries;
}

const char *const *icsp_lookup_helpers(const struct icsp_lookup *lookup, size_t *count)
{
    *count = lookup->registries.helpers.count;
    return *count > 0 ? (const char *const *)lookup->registries.helpers.items : NULL;
}

/* ---- several files ---- */

static const char *keep_name(struct icsp_lookup *lookup, const char *name)
{
    mir_grow(&lookup->names, lookup->name_count, &lookup->name_capacity, sizeof(*lookup->names));
    lookup->names[lookup->name_count] = mir_strdup(name);
    return lookup->names[lookup->name_count++];
}

/* Contents change places, so that what is not needed goes with the file it came in. */
static void take_entry(struct icsp_registries *all, struct icsp_registry *entry)
{
    struct icsp_registry *known = mir_map_find(all->by_scope, icsp_registry_scope(entry));
    struct icsp_registry given = *entry;

    if (!known) {
        known = icsp_registries_append(all);
        *known = given;
        *entry = (struct icsp_registry){0};
        icsp_registries_index(all, known);
        return;
    }
    *entry = *known;
    *known = given;
}

/* Of two entries with one prefix in one file the first counts; of two files the later one. */
static void merge(struct icsp_lookup *lookup, struct icsp_registries *file, const char *name)
{
    struct icsp_registries *all = &lookup->registries;

    for (size_t i = 0; i < file->count; i++) {
        struct icsp_registry *entry = file->items[i];

        entry->file = name;
        if (mir_map_find(file->by_scope, icsp_registry_scope(entry)) == entry)
            take_entry(all, entry);
    }
    if (file->helpers.given) {
        struct icsp_strings before = all->helpers;

        all->helpers = file->helpers;
        file->helpers = before;
    }
}

bool icsp_lookup_add_registries(struct icsp_lookup *lookup, struct mir_span text, const char *name,
                                enum icsp_conf_role role, struct mir_error *err)
{
    auto_findings unknown_keys = {0}; /* the runtime passes them over */
    auto_registries file;

    icsp_registries_init(&file, &icsp_generation_current);
    if (!icsp_registries_read_runtime(&file, text, name, role == ICSP_CONF_DROP_IN, &unknown_keys,
                                      err))
        return false;
    merge(lookup, &file, keep_name(lookup, name));
    lookup->has_registries = true;
    return true;
}

/* ---- a route ---- */

static struct icsp_conf_entry entry_of(const struct icsp_registry *registry)
{
    return (struct icsp_conf_entry){.prefix = registry->prefix,
                                    .file = registry->file,
                                    .line = registry->line,
                                    .insecure = registry->insecure,
                                    .blocked = registry->blocked};
}

bool icsp_lookup_find_entry(const struct icsp_lookup *lookup, struct mir_span repo,
                            struct icsp_conf_entry *out)
{
    size_t matched;
    const struct icsp_registry *found = icsp_registries_find(&lookup->registries, repo, &matched);

    if (found)
        *out = entry_of(found);
    return found != NULL;
}

/* What is looked up, and what was found. */
struct walk {
    const struct icsp_lookup *lookup;
    const struct icsp_reference *ref;
    const struct icsp_registry *registry; /* NULL: no entry matches */
    size_t matched;                       /* length of what its prefix matches */
    struct icsp_route *route;
    size_t capacity, skipped_capacity;
};

/* text: the reference there; taken. repo is within it. */
static void add_place(struct walk *w, char *text, struct mir_span repo, const char *location,
                      bool insecure)
{
    struct icsp_route *route = w->route;
    struct icsp_lookup_place *place;

    mir_grow(&route->places, route->place_count, &w->capacity, sizeof(*route->places));
    place = &route->places[route->place_count++];
    *place = (struct icsp_lookup_place){
        .reference = text, .is_mirror = location != NULL, .insecure = insecure};
    place->blocked =
        icsp_lookup_find_entry(w->lookup, repo, &place->blocked_by) && place->blocked_by.blocked;
}

/* At a location; "" leaves the reference as it is. */
static bool rewrite(struct walk *w, const char *location, bool is_mirror, bool insecure,
                    unsigned line)
{
    auto_free char *text = NULL;
    struct icsp_reference there = *w->ref;

    if (location[0] == '\0') {
        text = mir_strndup(w->ref->text.ptr, w->ref->text.len);
    } else if (!icsp_rewrite(w->ref->text, w->matched, location, &text, &there)) {
        (void)mir_fail(&w->route->trouble, MIR_E_FORMAT,
                       "%s:%u: location \"%.200s\" makes \"%.300s\", which is no image reference",
                       w->registry->file, line, location, text);
        return mir_hint(&w->route->trouble, "give the location a path, or mend the prefix");
    }
    add_place(w, mir_steal(&text), there.repo, is_mirror ? location : NULL, insecure);
    return true;
}

static void skip_mirror(struct walk *w, const struct icsp_mirror *mirror)
{
    struct icsp_route *route = w->route;

    mir_grow(&route->skipped, route->skipped_count, &w->skipped_capacity, sizeof(*route->skipped));
    route->skipped[route->skipped_count++] = (struct icsp_lookup_skipped){
        .location = mir_strdup(mirror->location), .digest_only = w->ref->digest.len == 0};
}

static void add_places(struct walk *w)
{
    const struct icsp_registry *registry = w->registry;

    for (size_t i = 0; i < registry->mirror_count; i++) {
        const struct icsp_mirror *mirror = &registry->mirrors[i];

        if (!icsp_mirror_applies(registry, mirror, w->ref))
            skip_mirror(w, mirror);
        else if (!rewrite(w, mirror->location, true, mirror->insecure, mirror->line))
            return;
    }
    (void)rewrite(w, registry->location, false, registry->insecure, registry->line);
}

static void forget_places(struct icsp_route *route)
{
    for (size_t i = 0; i < route->place_count; i++)
        free(route->places[i].reference);
    free(route->places);
    route->places = NULL;
    route->place_count = 0;
}

static bool parse_image(struct mir_span image, char **text, struct icsp_reference *ref,
                        struct mir_error *err)
{
    if (icsp_reference_normalise(image, text, ref))
        return true;
    (void)mir_fail(err, MIR_E_FORMAT, "\"%.*s\" is no image reference",
                   image.len < 300 ? (int)image.len : 300, image.ptr ? image.ptr : "");
    return mir_hint(err, "write HOST[:PORT]/REPOSITORY[:TAG][@DIGEST], in lower case");
}

bool icsp_lookup_find(const struct icsp_lookup *lookup, struct mir_span image,
                      struct icsp_route *out, struct mir_error *err)
{
    struct icsp_reference ref;
    struct walk w = {.lookup = lookup, .ref = &ref, .route = out};
    char *text;

    if (!parse_image(image, &text, &ref, err))
        return false;
    *out = (struct icsp_route){.image = text};
    w.registry = icsp_registries_find(&lookup->registries, ref.repo, &w.matched);
    if (w.registry) {
        out->has_entry = true;
        out->entry = entry_of(w.registry);
        add_places(&w);
    } else {
        add_place(&w, mir_strdup(text), ref.repo, NULL, false);
    }
    if (out->trouble.code != MIR_OK)
        forget_places(out);
    return true;
}

static bool has_mirror_for(const struct icsp_registry *registry, const struct icsp_reference *ref)
{
    for (size_t i = 0; i < registry->mirror_count; i++)
        if (icsp_mirror_applies(registry, &registry->mirrors[i], ref))
            return true;
    return false;
}

bool icsp_lookup_find_hidden(const struct icsp_lookup *lookup, const struct icsp_route *route,
                             struct icsp_conf_entry *out)
{
    const struct icsp_registries *all = &lookup->registries;
    struct icsp_reference ref;
    size_t longest = 0;

    if (!route->has_entry || !icsp_reference_parse(mir_span_of(route->image), &ref))
        return false;
    for (size_t i = 0; i < all->count; i++) {
        struct mir_span scope = icsp_registry_scope(all->items[i]);
        size_t matched;

        if (scope.len <= longest || mir_span_is(scope, route->entry.prefix) ||
            !icsp_prefix_match(scope, ref.repo, &matched) || !has_mirror_for(all->items[i], &ref))
            continue;
        longest = scope.len;
        *out = entry_of(all->items[i]);
    }
    return longest > 0;
}

void icsp_route_release(struct icsp_route *route)
{
    forget_places(route);
    for (size_t i = 0; i < route->skipped_count; i++)
        free(route->skipped[i].location);
    free(route->skipped);
    free(route->image);
    *route = (struct icsp_route){0};
}

bool icsp_lookup_judge_image(const struct icsp_lookup *lookup, struct mir_span image,
                             struct icsp_judgement *out, struct mir_error *err)
{
    auto_free char *text = NULL;
    struct icsp_reference ref;

    if (!parse_image(image, &text, &ref, err))
        return false;
    icsp_lookup_judge_reference(lookup, &ref, out);
    return true;
}
