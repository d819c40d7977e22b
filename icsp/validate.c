/*
 * Checks of the lists and the mirror sets, in the order in which the operator makes them, so that
 * the first of several errors is the same one. How strict it is depends on the generation.
 * Signature policies are checked in signature.c, what several objects mean together in compile.c.
 */
#include "icsp/validate_priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

static bool is_entry(enum icsp_entry_rule rule, struct mir_span entry)
{
    switch (rule) {
    case ICSP_ENTRY_ANY:
        return true;
    case ICSP_ENTRY_STAR:
        return icsp_scope_has_plain_star(entry);
    case ICSP_ENTRY_STAR_FILLED:
        return icsp_scope_is_list_entry(entry);
    }
    return false;
}

bool icsp_check_list(const struct icsp_generation *generation, const struct icsp_origin *object,
                     const char *field, const struct icsp_list *list,
                     struct icsp_findings *findings, struct mir_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct icsp_place place = {
            .object = object, .field = field, .value = list->items[i], .rule = "list-entry"};

        if (is_entry(generation->entry_rule, mir_span_of(list->items[i])))
            continue;
        return icsp_reject(findings, err, MIR_E_FORMAT, place,
                           "write host[:port][/path], or *.domain without port and path",
                           "an entry is not empty, and a '*' stands only in front, as in "
                           "*.example.com");
    }
    return true;
}

static bool reject_set(const struct icsp_set *set, const char *member, const char *value,
                       const char *rule, struct icsp_findings *findings, struct mir_error *err,
                       enum mir_code code, const char *hint, const char *text)
{
    auto_free char *field = mir_format("%s[%zu].%s", set->field, set->index, member);
    struct icsp_place place = {.object = set->object, .field = field, .value = value, .rule = rule};

    return icsp_reject(findings, err, code, place, hint, "%s", text);
}

/* ---- sources and mirrors ---- */

/* What is wrong with a location, and the way out. */
struct complaint {
    const char *text; /* NULL: nothing is wrong */
    const char *hint;
};

/* The rules of generations that take nearly everything. */
static struct complaint complain_star(struct mir_span location, bool may_be_empty)
{
    size_t at;

    if (location.len == 0 && !may_be_empty)
        return (struct complaint){"empty", "write host[:port][/path]"};
    if (mir_span_find(location, '*', &at))
        return (struct complaint){"this generation takes no '*' in mirror sets",
                                  "name each host, or ask for a newer generation"};
    return (struct complaint){0};
}

static struct complaint complain_format(bool fits, const char *text)
{
    if (fits)
        return (struct complaint){0};
    return (struct complaint){
        text, "write host[:port][/path] without scheme, tag or digest, the path in lower case"};
}

static struct complaint complain(enum icsp_location_rule rule, const char *location, bool is_source)
{
    struct mir_span text = mir_span_of(location);

    switch (rule) {
    case ICSP_LOCATION_ANY:
        break;
    case ICSP_LOCATION_NO_STAR:
        return complain_star(text, true);
    case ICSP_LOCATION_NO_STAR_FILLED:
        return complain_star(text, false);
    case ICSP_LOCATION_FORMAT:
        return is_source ? complain_format(icsp_scope_is_source(text),
                                           "not a source: host[:port][/path] or *.domain")
                         : complain_format(icsp_scope_is_mirror(text), "not a mirror location");
    }
    return (struct complaint){0};
}

static bool check_mirrors(const struct icsp_generation *generation, const struct icsp_set *set,
                          struct icsp_findings *findings, struct mir_error *err)
{
    for (size_t i = 0; i < set->mirrors.count; i++) {
        const char *mirror = set->mirrors.items[i];
        struct complaint wrong = complain(generation->location_rule, mirror, false);

        if (wrong.text)
            return reject_set(set, "mirrors", mirror, "mirror-format", findings, err, MIR_E_FORMAT,
                              wrong.hint, wrong.text);
        if (set->never && strcmp(mirror, set->source) == 0)
            return reject_set(set, "mirrors", mirror, "never-and-source", findings, err,
                              MIR_E_CONFLICT,
                              "take the source out of its mirrors, or allow contacting it",
                              "the source is one of the mirrors, and mirrorSourcePolicy is "
                              "NeverContactSource");
    }
    return true;
}

static bool check_set(const struct icsp_generation *generation, const struct icsp_set *set,
                      struct mir_map *by_source, struct icsp_findings *findings,
                      struct mir_error *err)
{
    const struct icsp_set *first = mir_map_find(by_source, mir_span_of(set->source));
    struct complaint wrong = complain(generation->location_rule, set->source, true);

    if (wrong.text)
        return reject_set(set, "source", set->source, "source-format", findings, err, MIR_E_FORMAT,
                          wrong.hint, wrong.text);
    if (first && first->never != set->never) {
        auto_free char *text = mir_format(
            "another mirrorSourcePolicy is given for the same source in %s", first->object->name);

        return reject_set(set, "source", set->source, "policy-conflict", findings, err,
                          MIR_E_CONFLICT,
                          "give all sets of one source the same policy; an "
                          "ImageContentSourcePolicy always allows contacting the source",
                          text);
    }
    return check_mirrors(generation, set, findings, err);
}

bool icsp_check_sets(const struct icsp_generation *generation, const struct icsp_set *const *sets,
                     size_t count, struct icsp_findings *findings, struct mir_error *err)
{
    auto_map *by_source = mir_map_new();

    for (size_t i = 0; i < count; i++) {
        struct icsp_set *set;

        if (!check_set(generation, sets[i], by_source, findings, err))
            return false;
        /* The map hands out what was put in, and is read through a const pointer above. */
        memcpy((void *)&set, (const void *)&sets[i], sizeof(set));
        if (!mir_map_find(by_source, mir_span_of(set->source)))
            mir_map_set(by_source, mir_span_of(set->source), set);
    }
    return true;
}
