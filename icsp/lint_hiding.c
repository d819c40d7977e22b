/*
 * Entries that hide others. A runtime uses the most specific entry for an image and looks at no
 * other, and the operator hands mirrors down only to entries that have none: a narrow entry with
 * mirrors of one kind takes away the broader one's mirrors of the other kind, and a narrow entry
 * below a source that is never to be contacted is contacted.
 */
#include "icsp/lint_priv.h"

#include "base/mem.h"
#include "icsp/scope_priv.h"

static bool has_pull(const struct icsp_registry *registry, enum icsp_pull pull)
{
    for (size_t i = 0; i < registry->mirror_count; i++) {
        enum icsp_pull of = registry->mirrors[i].pull;

        if (of == ICSP_PULL_ALL && registry->digest_only)
            of = ICSP_PULL_DIGEST;
        if (of == pull || of == ICSP_PULL_ALL)
            return true;
    }
    return false;
}

static bool has_location(const struct icsp_registry *registry, const char *location)
{
    for (size_t i = 0; i < registry->mirror_count; i++)
        if (strcmp(registry->mirrors[i].location, location) == 0)
            return true;
    return false;
}

/* Would the mirrors the entry could have been handed down be tried all the same? */
static bool has_all_of(const struct icsp_registry *entry, const struct icsp_registry *broad)
{
    struct mir_span scope = icsp_registry_scope(entry);
    size_t skip = icsp_registry_scope(broad).len;

    if (icsp_scope_is_wildcard(icsp_registry_scope(broad)) || skip > scope.len)
        return true;
    for (size_t i = 0; i < broad->mirror_count; i++) {
        auto_free char *location = mir_format("%s%.*s", broad->mirrors[i].location,
                                              MIR_SPAN_ARG(mir_span_from(scope, skip)));

        if (!has_location(entry, location))
            return false;
    }
    return true;
}

static void say_hidden(struct icsp_lint *lint, const struct icsp_registry *entry,
                       const struct icsp_registry *broad, const char *pulls)
{
    struct mir_span scope = icsp_registry_scope(entry);
    auto_free char *value = mir_strndup(scope.ptr, scope.len);
    auto_free char *field = NULL;
    struct icsp_place place = {.value = value,
                               .rule = pulls ? "mirrors-hidden" : "mirrors-replaced"};

    icsp_lint_place_scope(lint, scope, &place, &field);
    if (pulls)
        icsp_say(lint->findings, ICSP_WARNING, place,
                 "give the narrow source mirrors of both kinds (ImageDigestMirrorSet and "
                 "ImageTagMirrorSet)",
                 "hides the mirrors of \"%.200s\" for pulls by %s: a node uses the most specific "
                 "entry only",
                 icsp_registry_scope(broad).ptr, pulls);
    else
        icsp_say(lint->findings, ICSP_NOTE, place, "list them here too if the images are there",
                 "replaces the mirrors of \"%.200s\": a node uses the most specific entry only, so "
                 "those are not tried",
                 icsp_registry_scope(broad).ptr);
}

static void warn_contacted(struct icsp_lint *lint, const struct icsp_registry *entry,
                           const struct icsp_registry *broad)
{
    struct mir_span scope = icsp_registry_scope(entry);
    auto_free char *value = mir_strndup(scope.ptr, scope.len);
    auto_free char *field = NULL;
    struct icsp_place place = {.value = value, .rule = "never-contact-not-inherited"};

    icsp_lint_place_scope(lint, scope, &place, &field);
    icsp_say(lint->findings, ICSP_WARNING, place,
             "give it mirrorSourcePolicy: NeverContactSource too, or block it",
             "is contacted although it lies inside \"%.200s\" with NeverContactSource: that holds "
             "for the entry itself and not for entries inside it",
             icsp_registry_scope(broad).ptr);
}

/* What is known while the scopes around one entry are walked. */
struct view {
    bool said_digest, said_tag, said_replaced, said_contacted;
};

static void compare(struct icsp_lint *lint, const struct icsp_registry *entry,
                    const struct icsp_registry *broad, struct view *view)
{
    bool lacks_digest = !has_pull(entry, ICSP_PULL_DIGEST) && has_pull(broad, ICSP_PULL_DIGEST);
    bool lacks_tag = !has_pull(entry, ICSP_PULL_TAG) && has_pull(broad, ICSP_PULL_TAG);

    if (broad->blocked && !entry->blocked && !view->said_contacted &&
        icsp_lint_is_source(lint, icsp_registry_scope(broad))) {
        warn_contacted(lint, entry, broad);
        view->said_contacted = true;
    }
    if (entry->mirror_count == 0)
        return;
    if (lacks_digest && !view->said_digest) {
        say_hidden(lint, entry, broad, "digest");
        view->said_digest = true;
    }
    if (lacks_tag && !view->said_tag) {
        say_hidden(lint, entry, broad, "tag");
        view->said_tag = true;
    }
    if (!lacks_digest && !lacks_tag && !view->said_replaced && broad->mirror_count > 0 &&
        !has_all_of(entry, broad)) {
        say_hidden(lint, entry, broad, NULL);
        view->said_replaced = true;
    }
}

static void lint_entry(struct icsp_lint *lint, const struct icsp_registry *entry)
{
    struct icsp_scope_walk walk = icsp_scope_walk_from(icsp_registry_scope(entry));
    struct view view = {0};
    struct mir_span super;
    bool wildcard;

    while (icsp_scope_walk_next(&walk, &super, &wildcard)) {
        auto_free char *name = mir_format("%s%.*s", wildcard ? "*" : "", MIR_SPAN_ARG(super));
        const struct icsp_registry *broad =
            mir_map_find(lint->in->registries->by_scope, mir_span_of(name));

        if (broad && broad != entry)
            compare(lint, entry, broad, &view);
    }
}

void icsp_lint_hiding(struct icsp_lint *lint)
{
    const struct icsp_registries *registries = lint->in->registries;

    for (size_t i = 0; registries && i < registries->count; i++)
        lint_entry(lint, registries->items[i]);
}
