/*
 * Checks of the lists and the mirror sets, in the order in which the operator makes them, so that
 * the first of several errors is the same one. Signature policies are checked in signature.c, what
 * several objects mean together in compile.c.
 */
#include "icsp/validate_priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

bool icsp_check_list(const char *object, const char *field, const struct icsp_list *list,
                     struct icsp_findings *findings, struct mir_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct icsp_place place = {.object = object, .field = field, .value = list->items[i]};

        if (icsp_scope_is_list_entry(mir_span_of(list->items[i])))
            continue;
        return icsp_reject(findings, err, MIR_E_FORMAT, place,
                           "write host[:port][/path], or *.domain without port and path",
                           "an entry is not empty, and a '*' stands only in front, as in "
                           "*.example.com");
    }
    return true;
}

static bool reject_set(const struct icsp_set *set, const char *member, const char *value,
                       struct icsp_findings *findings, struct mir_error *err, enum mir_code code,
                       const char *hint, const char *text)
{
    auto_free char *field = mir_format("%s[%zu].%s", set->field, set->index, member);
    struct icsp_place place = {.object = set->object, .field = field, .value = value};

    return icsp_reject(findings, err, code, place, hint, "%s", text);
}

static bool check_mirrors(const struct icsp_set *set, struct icsp_findings *findings,
                          struct mir_error *err)
{
    for (size_t i = 0; i < set->mirrors.count; i++) {
        const char *mirror = set->mirrors.items[i];

        if (!icsp_scope_is_mirror(mir_span_of(mirror)))
            return reject_set(set, "mirrors", mirror, findings, err, MIR_E_FORMAT,
                              "write host[:port][/path] without scheme, tag or digest, the path in "
                              "lower case",
                              "not a mirror location");
        if (set->never && strcmp(mirror, set->source) == 0)
            return reject_set(set, "mirrors", mirror, findings, err, MIR_E_CONFLICT,
                              "take the source out of its mirrors, or allow contacting it",
                              "the source is one of the mirrors, and mirrorSourcePolicy is "
                              "NeverContactSource");
    }
    return true;
}

static bool check_set(const struct icsp_set *set, struct mir_map *by_source,
                      struct icsp_findings *findings, struct mir_error *err)
{
    const struct icsp_set *first = mir_map_find(by_source, mir_span_of(set->source));

    if (!icsp_scope_is_source(mir_span_of(set->source)))
        return reject_set(set, "source", set->source, findings, err, MIR_E_FORMAT,
                          "write host[:port][/path] without scheme, tag or digest, the path in "
                          "lower case, or *.domain",
                          "not a source");
    if (first && first->never != set->never) {
        auto_free char *text = mir_format(
            "another mirrorSourcePolicy is given for the same source in %s", first->object);

        return reject_set(set, "source", set->source, findings, err, MIR_E_CONFLICT,
                          "give all sets of one source the same policy; an "
                          "ImageContentSourcePolicy always allows contacting the source",
                          text);
    }
    return check_mirrors(set, findings, err);
}

bool icsp_check_sets(const struct icsp_set *const *sets, size_t count,
                     struct icsp_findings *findings, struct mir_error *err)
{
    auto_map *by_source = mir_map_new();

    for (size_t i = 0; i < count; i++) {
        struct icsp_set *set;

        if (!check_set(sets[i], by_source, findings, err))
            return false;
        /* The map hands out what was put in, and is read through a const pointer above. */
        memcpy((void *)&set, (const void *)&sets[i], sizeof(set));
        if (!mir_map_find(by_source, mir_span_of(set->source)))
            mir_map_set(by_source, mir_span_of(set->source), set);
    }
    return true;
}
