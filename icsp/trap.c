/*
 * The traps of registries.conf and policy.json: what looks as if an image had a mirror, and a
 * runtime sees otherwise.
 */
#include "icsp/trap.h"

#include <string.h>

const char *icsp_trap_name(enum icsp_trap trap)
{
    static const char *const names[] = {
        [ICSP_TRAP_NONE] = "",
        [ICSP_TRAP_REWRITE] = "rewrite",
        [ICSP_TRAP_HIDDEN] = "hidden",
        [ICSP_TRAP_DIGEST_ONLY] = "digest-only",
        [ICSP_TRAP_TAG_ONLY] = "tag-only",
        [ICSP_TRAP_MIRROR_BLOCKED] = "mirror-blocked",
        [ICSP_TRAP_BLOCKED] = "blocked",
        [ICSP_TRAP_NO_MIRROR] = "no-mirror",
        [ICSP_TRAP_REJECTED] = "rejected",
        [ICSP_TRAP_SIGNATURE] = "signature",
    };

    return names[trap];
}

bool icsp_place_is_source(const struct icsp_route *route, const struct icsp_lookup_place *place)
{
    return !place->is_mirror && strcmp(place->reference, route->image) == 0;
}

/* ---- routes ---- */

static bool has_copy(const struct icsp_route *route, bool source_counts)
{
    for (size_t i = 0; i < route->place_count; i++)
        if (!route->places[i].blocked &&
            (source_counts || !icsp_place_is_source(route, &route->places[i])))
            return true;
    return false;
}

static const struct icsp_lookup_place *blocked_copy(const struct icsp_route *route)
{
    for (size_t i = 0; i < route->place_count; i++)
        if (route->places[i].blocked && !icsp_place_is_source(route, &route->places[i]))
            return &route->places[i];
    return NULL;
}

static enum icsp_trap fail_hidden(const struct icsp_route *route,
                                  const struct icsp_conf_entry *broader, struct mir_error *why)
{
    const struct icsp_conf_entry *entry = &route->entry;

    (void)mir_fail(why, MIR_E_NOT_FOUND,
                   "the entry \"%s\" (%s:%u) has no mirror for it and hides \"%s\" (%s:%u), which "
                   "has: a runtime looks at the narrowest entry alone",
                   entry->prefix, entry->file, entry->line, broader->prefix, broader->file,
                   broader->line);
    (void)mir_hint(why, "give \"%s\" the mirrors of \"%s\" too, or no entry of its own",
                   entry->prefix, broader->prefix);
    return ICSP_TRAP_HIDDEN;
}

static enum icsp_trap fail_skipped(const struct icsp_route *route, struct mir_error *why)
{
    const struct icsp_lookup_skipped *skipped = &route->skipped[0];

    (void)mir_fail(why, MIR_E_NOT_FOUND, "%s (%s:%u) is for pulls by %s, and this is one by %s",
                   skipped->location, route->entry.file, route->entry.line,
                   skipped->digest_only ? "digest" : "tag",
                   skipped->digest_only ? "tag" : "digest");
    (void)mir_hint(why, skipped->digest_only
                            ? "name the image by its digest, or add an ImageTagMirrorSet"
                            : "add an ImageDigestMirrorSet");
    return skipped->digest_only ? ICSP_TRAP_DIGEST_ONLY : ICSP_TRAP_TAG_ONLY;
}

static enum icsp_trap fail_blocked(const struct icsp_lookup_place *place, bool is_copy,
                                   struct mir_error *why)
{
    const struct icsp_conf_entry *by = &place->blocked_by;

    (void)mir_fail(why, MIR_E_NOT_FOUND, "%s%s is blocked by \"%s\" (%s:%u)%s",
                   is_copy ? "the mirror " : "", place->reference, by->prefix, by->file, by->line,
                   is_copy ? "" : ", and there is no mirror");
    (void)mir_hint(why, is_copy ? "take it off the blocked registries"
                                : "add a mirror for it, or take it off the blocked registries");
    return is_copy ? ICSP_TRAP_MIRROR_BLOCKED : ICSP_TRAP_BLOCKED;
}

static enum icsp_trap fail_unmirrored(const struct icsp_route *route, struct mir_error *why)
{
    const struct icsp_conf_entry *entry = &route->entry;

    if (route->has_entry)
        (void)mir_fail(why, MIR_E_NOT_FOUND, "the entry \"%s\" (%s:%u) has no mirror",
                       entry->prefix, entry->file, entry->line);
    else
        (void)mir_fail(why, MIR_E_NOT_FOUND, "no entry of registries.conf is for it");
    (void)mir_hint(why, "add a mirror set for it, or say --source-reachable if nodes reach it");
    return ICSP_TRAP_NO_MIRROR;
}

enum icsp_trap icsp_trap_of_route(const struct icsp_lookup *lookup, const struct icsp_route *route,
                                  bool source_counts, struct mir_error *why)
{
    const struct icsp_lookup_place *blocked = blocked_copy(route);
    struct icsp_conf_entry broader;

    if (route->trouble.code != MIR_OK) {
        *why = route->trouble;
        return ICSP_TRAP_REWRITE;
    }
    if (has_copy(route, source_counts))
        return ICSP_TRAP_NONE;
    if (icsp_lookup_find_hidden(lookup, route, &broader))
        return fail_hidden(route, &broader, why);
    if (blocked)
        return fail_blocked(blocked, true, why);
    if (route->skipped_count > 0)
        return fail_skipped(route, why);
    if (route->place_count > 0 && route->places[0].blocked)
        return fail_blocked(&route->places[0], false, why);
    return fail_unmirrored(route, why);
}

/* ---- judgements ---- */

enum icsp_trap icsp_trap_of_judgement(const struct icsp_judgement *judgement, struct mir_error *why)
{
    const char *scope =
        judgement->scope && judgement->scope[0] != '\0' ? judgement->scope : "default";

    switch (judgement->verdict) {
    case ICSP_VERDICT_ACCEPT:
        return ICSP_TRAP_NONE;
    case ICSP_VERDICT_REJECT:
        (void)mir_fail(why, MIR_E_AUTH, "%s rejects it (\"%s\")", judgement->file, scope);
        (void)mir_hint(why, "allow its source in the Image object: policies see the source's name");
        return ICSP_TRAP_REJECTED;
    case ICSP_VERDICT_SIGNATURE:
        (void)mir_fail(why, MIR_E_UNSUPPORTED, "%s asks for a signature (%s of \"%s\")",
                       judgement->file, judgement->requirement, scope);
        (void)mir_hint(why, "signatures are not looked at here");
        return ICSP_TRAP_SIGNATURE;
    }
    return ICSP_TRAP_NONE;
}
