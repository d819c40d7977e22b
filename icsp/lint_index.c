/*
 * From what stands in a file back to the objects: which set or list named a scope or a mirror
 * first. Built when the first warning needs it, because most inputs have none.
 */
#include "icsp/lint_priv.h"

#include "base/map.h"
#include "base/mem.h"

/* One place: an item of a list of the Image, or a set, or one mirror of a set. */
struct spot {
    const struct icsp_origin *object;
    const char *field;
    size_t index;
    const char *member; /* of the set; NULL for an item of a list */
    size_t mirror;      /* with member "mirrors" */
};

struct icsp_lint_index {
    struct mir_map *scopes;  /* -> spot */
    struct mir_map *mirrors; /* "SOURCE\nMIRROR" -> spot */
    struct spot *spots;
    size_t count;
};

/* The first one wins. */
static void set_first(struct mir_map *map, struct mir_span key, struct spot *spot)
{
    if (!mir_map_find(map, key))
        mir_map_set(map, key, spot);
}

static struct spot *add_spot(struct icsp_lint_index *index, struct spot spot)
{
    index->spots[index->count] = spot;
    return &index->spots[index->count++];
}

static void index_set(struct icsp_lint_index *index, const struct icsp_set *set)
{
    struct spot spot = {
        .object = set->object, .field = set->field, .index = set->index, .member = "source"};

    set_first(index->scopes, mir_span_of(set->source), add_spot(index, spot));
    spot.member = "mirrors";
    for (size_t i = 0; i < set->mirrors.count; i++) {
        auto_free char *name = mir_format("%s\n%s", set->source, set->mirrors.items[i]);

        spot.mirror = i;
        set_first(index->mirrors, mir_span_of(name), add_spot(index, spot));
    }
}

static void index_list(struct icsp_lint_index *index, const struct icsp_origin *object,
                       const char *field, const struct icsp_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        set_first(index->scopes, mir_span_of(list->items[i]),
                  add_spot(index, (struct spot){.object = object, .field = field, .index = i}));
}

static size_t count_spots(const struct icsp_sets *sets)
{
    size_t count = sets->count;

    for (size_t i = 0; i < sets->count; i++)
        count += sets->items[i].mirrors.count;
    return count;
}

static struct icsp_lint_index *index_new(const struct icsp_objects *objects)
{
    const struct icsp_sets *const all[] = {&objects->idms, &objects->icsp, &objects->itms};
    const struct icsp_image_spec *image = &objects->image;
    struct icsp_lint_index *index = mir_alloc(sizeof(*index));
    size_t total = image->blocked.count + image->insecure.count;

    for (size_t k = 0; k < 3; k++)
        total += count_spots(all[k]);
    index->scopes = mir_map_new();
    index->mirrors = mir_map_new();
    index->spots = mir_alloc_array(total, sizeof(*index->spots));
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < all[k]->count; i++)
            index_set(index, &all[k]->items[i]);
    index_list(index, image->object, ICSP_FIELD_BLOCKED, &image->blocked);
    index_list(index, image->object, ICSP_FIELD_INSECURE, &image->insecure);
    return index;
}

void icsp_lint_index_free(struct icsp_lint_index *index)
{
    if (!index)
        return;
    mir_map_free(index->scopes);
    mir_map_free(index->mirrors);
    free(index->spots);
    free(index);
}

static const struct icsp_lint_index *index_of(struct icsp_lint *lint)
{
    if (!lint->index)
        lint->index = index_new(lint->in->objects);
    return lint->index;
}

static void point_at(const struct spot *spot, struct icsp_place *place, char **field)
{
    if (!spot)
        return;
    if (!spot->member)
        *field = mir_format("%s[%zu]", spot->field, spot->index);
    else if (strcmp(spot->member, "mirrors") == 0)
        *field = mir_format("%s[%zu].mirrors[%zu]", spot->field, spot->index, spot->mirror);
    else
        *field = mir_format("%s[%zu].%s", spot->field, spot->index, spot->member);
    place->object = spot->object;
    place->field = *field;
}

void icsp_lint_place_scope(struct icsp_lint *lint, struct mir_span scope, struct icsp_place *place,
                           char **field)
{
    *field = NULL;
    point_at(mir_map_find(index_of(lint)->scopes, scope), place, field);
}

void icsp_lint_place_mirror(struct icsp_lint *lint, struct mir_span source, const char *mirror,
                            struct icsp_place *place, char **field)
{
    auto_free char *name = mir_format("%.*s\n%s", MIR_SPAN_ARG(source), mirror);
    const struct spot *spot = mir_map_find(index_of(lint)->mirrors, mir_span_of(name));

    *field = NULL;
    if (spot)
        point_at(spot, place, field);
    else
        icsp_lint_place_scope(lint, source, place, field);
}

bool icsp_lint_is_source(struct icsp_lint *lint, struct mir_span scope)
{
    const struct spot *spot = mir_map_find(index_of(lint)->scopes, scope);

    return spot && spot->member;
}
