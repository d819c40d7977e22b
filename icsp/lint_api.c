/*
 * What the API server refuses before the operator sees it, and the operator does not look at: a
 * file can be compiled here that no cluster would take. Only warnings, because an object may have
 * been stored by an older API server.
 *
 * Reference: "What the API server refuses before MCO sees it".
 */
#include "icsp/lint_priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "icsp/binary_priv.h"
#include "icsp/scope_priv.h"

#define LIST_MAX         1024
#define ENTRY_MAX_CHARS  256
#define SCOPES_MAX       256
#define SCOPE_MAX_CHARS  512
#define DATA_MAX_CHARS   8192
#define TAG_MAX_BYTES    128
#define DIGEST_MIN_BYTES 32

struct api {
    struct icsp_findings *findings;
    char *rejected; /* the object and path of the error among the findings; NULL if none */
};

/* ---- saying it ---- */

static char *place_name(const char *object, const char *field)
{
    return mir_format("%s\n%s", object ? object : "", field ? field : "");
}

/* Does an error say something about this very place? */
static bool is_rejected(const struct api *api, const struct icsp_place *place)
{
    auto_free char *path = NULL;
    auto_free char *name = NULL;
    unsigned line;

    if (!api->rejected)
        return false;
    icsp_place_find(place, &path, &line);
    name = place_name(place->object ? place->object->name : NULL, path);
    return strcmp(name, api->rejected) == 0;
}

static void warn(struct api *api, const struct icsp_origin *object, const char *field,
                 const char *value, const char *rule, const char *hint, const char *text)
{
    struct icsp_place place = {.object = object, .field = field, .value = value, .rule = rule};

    if (!is_rejected(api, &place))
        icsp_say(api->findings, ICSP_WARNING, place, hint, "the API server refuses %s", text);
}

/* About one item of a list. */
static void warn_item(struct api *api, const struct icsp_origin *object, const char *list,
                      size_t index, const char *value, const char *rule, const char *hint,
                      const char *text)
{
    auto_free char *field = mir_format("%s[%zu]", list, index);

    warn(api, object, field, value, rule, hint, text);
}

/* Characters, not bytes. */
static size_t count_chars(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void check_duplicates(struct api *api, const struct icsp_origin *object, const char *field,
                             const struct icsp_list *list)
{
    auto_map *seen = mir_map_new();

    for (size_t i = 0; i < list->count; i++) {
        if (mir_map_find(seen, mir_span_of(list->items[i])))
            warn_item(api, object, field, i, list->items[i], "api-duplicate", "leave it out",
                      "an entry that is in the list before");
        mir_map_set(seen, mir_span_of(list->items[i]), seen);
    }
}

/* ---- the Image ---- */

static void check_entry(struct api *api, const struct icsp_origin *object, const char *field,
                        size_t index, const char *entry)
{
    size_t chars = count_chars(entry);

    if (chars == 0 || chars > ENTRY_MAX_CHARS)
        warn_item(api, object, field, index, entry, "api-entry-length", NULL,
                  "an entry that is empty or longer than 256 characters");
    else if (!icsp_scope_is_source(mir_span_of(entry)))
        warn_item(api, object, field, index, entry, "api-entry-format",
                  "write host[:port][/path] without scheme, tag or digest, the path in lower case, "
                  "or *.domain",
                  "this entry from 4.23 and 5.0 on");
}

static void check_registry_list(struct api *api, const struct icsp_origin *object,
                                const char *field, const struct icsp_list *list)
{
    if (list->count > LIST_MAX)
        warn(api, object, field, NULL, "api-list-length", "name registries, not repositories",
             "a list of more than 1024 entries");
    for (size_t i = 0; i < list->count; i++)
        check_entry(api, object, field, i, list->items[i]);
}

static void check_registry_lists(struct api *api, const struct icsp_image_spec *image)
{
    check_registry_list(api, image->object, ICSP_FIELD_INSECURE, &image->insecure);
    check_registry_list(api, image->object, ICSP_FIELD_BLOCKED, &image->blocked);
    check_registry_list(api, image->object, ICSP_FIELD_ALLOWED, &image->allowed);
    if (image->blocked.given && image->allowed.given)
        warn(api, image->object, "spec.registrySources", NULL, "api-both-lists",
             "leave one of the two out",
             "blockedRegistries beside allowedRegistries, empty or not");
}

static void check_search(struct api *api, const struct icsp_image_spec *image)
{
    if (image->search.given && image->search.count == 0)
        warn(api, image->object, ICSP_FIELD_SEARCH, NULL, "api-empty-list", "leave it out",
             "an empty list");
    check_duplicates(api, image->object, ICSP_FIELD_SEARCH, &image->search);
}

/* ---- mirror sets ---- */

static void check_locations(struct api *api, const struct icsp_set *set, const char *source_at,
                            const char *mirrors_at)
{
    static const char hint[] =
        "write host[:port][/path] without scheme, tag or digest, the path in lower case";

    if (*set->source && !icsp_scope_is_source(mir_span_of(set->source)))
        warn(api, set->object, source_at, set->source, "api-source-format", hint, "this source");
    for (size_t i = 0; i < set->mirrors.count; i++)
        if (!icsp_scope_is_mirror(mir_span_of(set->mirrors.items[i])))
            warn_item(api, set->object, mirrors_at, i, set->mirrors.items[i], "api-mirror-format",
                      hint, "this mirror");
    check_duplicates(api, set->object, mirrors_at, &set->mirrors);
}

/* is_icsp: of an ImageContentSourcePolicy the API server looks at the source's presence alone. */
static void check_sets(struct api *api, const struct icsp_sets *sets, bool is_icsp)
{
    for (size_t i = 0; i < sets->count; i++) {
        const struct icsp_set *set = &sets->items[i];
        auto_free char *source_at = mir_format("%s[%zu].source", set->field, set->index);
        auto_free char *mirrors_at = mir_format("%s[%zu].mirrors", set->field, set->index);

        if (!*set->source)
            warn(api, set->object, source_at, NULL, "api-source-missing", "name the source",
                 "a mirror set without source");
        if (!is_icsp)
            check_locations(api, set, source_at, mirrors_at);
    }
}

/* ---- signature policies: scopes ---- */

/* host[:port][/path], where the host has a dot or is localhost. */
static bool is_name(struct mir_span text)
{
    struct mir_span host = text;
    size_t at;

    if (!icsp_scope_is_mirror(text))
        return false;
    if (mir_span_find(host, '/', &at))
        host = mir_span_first(host, at);
    if (mir_span_find(host, ':', &at))
        host = mir_span_first(host, at);
    return mir_span_find(host, '.', &at) || mir_span_is(host, "localhost");
}

static bool is_word(struct mir_span text, const char *more)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
                    text.ptr[i]) &&
            !strchr(more, text.ptr[i]))
            return false;
    return text.len > 0;
}

static bool is_tag(struct mir_span tag)
{
    return is_word(tag, "_.-") && tag.len <= TAG_MAX_BYTES && tag.ptr[0] != '.' &&
           tag.ptr[0] != '-';
}

/* ALGORITHM:HEX */
static bool is_digest(struct mir_span digest)
{
    struct mir_span hex;
    size_t at;

    if (!mir_span_find(digest, ':', &at) || !is_word(mir_span_first(digest, at), "_.+-"))
        return false;
    hex = mir_span_from(digest, at + 1);
    for (size_t i = 0; i < hex.len; i++)
        if (!strchr("0123456789abcdefABCDEF", hex.ptr[i]))
            return false;
    return hex.len >= DIGEST_MIN_BYTES;
}

static bool is_policy_scope(struct mir_span scope)
{
    size_t at;

    if (icsp_scope_is_wildcard(scope))
        return icsp_scope_is_source(scope);
    if (mir_span_find(scope, '@', &at)) {
        if (!is_digest(mir_span_from(scope, at + 1)))
            return false;
        scope = mir_span_first(scope, at);
    }
    if (is_name(scope))
        return true;
    return mir_span_find_last(scope, ':', &at) && is_tag(mir_span_from(scope, at + 1)) &&
           is_name(mir_span_first(scope, at));
}

static void check_scopes(struct api *api, const struct icsp_signature_policy *policy)
{
    static const char field[] = "spec.scopes";
    const struct icsp_list *scopes = &policy->scopes;

    if (scopes->count > SCOPES_MAX)
        warn(api, policy->object, field, NULL, "api-list-length", "use several objects",
             "more than 256 scopes");
    for (size_t i = 0; i < scopes->count; i++) {
        if (count_chars(scopes->items[i]) > SCOPE_MAX_CHARS)
            warn_item(api, policy->object, field, i, scopes->items[i], "api-scope-length", NULL,
                      "a scope of more than 512 characters");
        else if (!is_policy_scope(mir_span_of(scopes->items[i])))
            warn_item(api, policy->object, field, i, scopes->items[i], "api-scope-format",
                      "write *.domain, or a registry, namespace, repository or image with its full "
                      "host name",
                      "this scope");
    }
    check_duplicates(api, policy->object, field, scopes);
}

/* ---- signature policies: what they require ---- */

/* One member of spec.policy, where it stands. */
struct part {
    struct api *api;
    const struct icsp_signature_policy *policy;
    const char *path; /* of the object it is in */
    json_t *object;
};

static struct part part_of(const struct part *parent, const char *path, const char *key)
{
    struct part part = *parent;

    part.path = path;
    part.object = json_object_get(parent->object, key);
    return part;
}

static const char *text_of(const struct part *part, const char *key)
{
    return json_string_value(json_object_get(part->object, key));
}

static void warn_part(const struct part *part, const char *key, const char *value, const char *rule,
                      const char *hint, const char *text)
{
    auto_free char *field = mir_format("%s%s%s", part->path, *key ? "." : "", key);

    warn(part->api, part->policy->object, field, value, rule, hint, text);
}

/* PEM of one kind, in base64. The operator has seen that it is base64. */
static void check_pem(const struct part *part, const char *key, const char *kind)
{
    const char *text = text_of(part, key);
    auto_free char *header = mir_format("-----BEGIN %s-----", kind);
    auto_free char *footer = mir_format("-----END %s-----", kind);
    auto_free char *what = mir_format("data that is no PEM text of a %s", kind);
    auto_free char *bytes = NULL;
    struct mir_span pem;
    size_t len;

    if (!text)
        return;
    if (strlen(text) > DATA_MAX_CHARS)
        warn_part(part, key, NULL, "api-data-length", NULL, "more than 8192 characters of data");
    if (!icsp_base64_decode(text, &bytes, &len))
        return;
    pem = mir_span(bytes, len);
    if (mir_span_ends_with(pem, "\n"))
        pem = mir_span_first(pem, pem.len - 1);
    if (!mir_span_starts_with(pem, header) || !mir_span_ends_with(pem, footer))
        warn_part(part, key, NULL, "api-data-format",
                  "put the whole file, with its BEGIN and END lines, through base64", what);
}

/* SCHEME://HOST... */
static bool is_url(const char *text)
{
    size_t scheme =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

    if (scheme == 0 || strncmp(text + scheme, "://", 3) != 0 || strpbrk(text, " \t\r\n"))
        return false;
    return text[scheme + 3] != '\0' && text[scheme + 3] != '/';
}

static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');

    return at && at != text && at[1] && !strpbrk(text, " \t\r\n");
}

static void check_email(const struct part *part, const char *key)
{
    const char *email = text_of(part, key);

    if (email && *email && !is_email(email))
        warn_part(part, key, email, "api-email", "write NAME@DOMAIN", "this email address");
}

static void check_root(const struct part *policy)
{
    struct part root = part_of(policy, "spec.policy.rootOfTrust", "rootOfTrust");
    struct part key = part_of(&root, "spec.policy.rootOfTrust.publicKey", "publicKey");
    struct part fulcio =
        part_of(&root, "spec.policy.rootOfTrust.fulcioCAWithRekor", "fulcioCAWithRekor");
    struct part signer = part_of(&fulcio, "spec.policy.rootOfTrust.fulcioCAWithRekor.fulcioSubject",
                                 "fulcioSubject");
    struct part pki = part_of(&root, "spec.policy.rootOfTrust.pki", "pki");
    struct part subject =
        part_of(&pki, "spec.policy.rootOfTrust.pki.pkiCertificateSubject", "pkiCertificateSubject");
    const char *issuer = text_of(&signer, "oidcIssuer");

    check_pem(&key, "keyData", "PUBLIC KEY");
    check_pem(&key, "rekorKeyData", "PUBLIC KEY");
    check_pem(&fulcio, "fulcioCAData", "CERTIFICATE");
    check_pem(&fulcio, "rekorKeyData", "PUBLIC KEY");
    check_pem(&pki, "caRootsData", "CERTIFICATE");
    check_pem(&pki, "caIntermediatesData", "CERTIFICATE");
    if (issuer && !is_url(issuer))
        warn_part(&signer, "oidcIssuer", issuer, "api-url", "write https://HOST/...",
                  "an issuer that is no URL");
    check_email(&signer, "signedEmail");
    check_email(&subject, "email");
}

static void check_name(const struct part *part, const char *key)
{
    const char *name = text_of(part, key);

    if (name && !is_name(mir_span_of(name)))
        warn_part(part, key, name, "api-identity-format",
                  "write the full host name and path, without tag or digest", "this name");
}

/* key is there if and only if matchPolicy is the one it belongs to. */
static void check_belongs(const struct part *identity, const char *key, const char *match)
{
    const char *given = text_of(identity, "matchPolicy");
    const json_t *value = json_object_get(identity->object, key);
    bool present = value && !json_is_null(value);
    bool wanted = given && strcmp(given, match) == 0;
    auto_free char *missing = mir_format("matchPolicy %s without %s", match, key);
    auto_free char *surplus = mir_format("%s without matchPolicy %s", key, match);

    if (wanted && !present)
        warn_part(identity, "", NULL, "api-identity", "give both, or neither", missing);
    if (present && !wanted)
        warn_part(identity, key, NULL, "api-identity", "give both, or neither", surplus);
}

static void check_identity(const struct part *policy)
{
    struct part identity = part_of(policy, "spec.policy.signedIdentity", "signedIdentity");
    struct part exact =
        part_of(&identity, "spec.policy.signedIdentity.exactRepository", "exactRepository");
    struct part remap =
        part_of(&identity, "spec.policy.signedIdentity.remapIdentity", "remapIdentity");

    check_belongs(&identity, "exactRepository", "ExactRepository");
    check_belongs(&identity, "remapIdentity", "RemapIdentity");
    check_name(&exact, "repository");
    check_name(&remap, "prefix");
    check_name(&remap, "signedPrefix");
}

static void check_policies(struct api *api, const struct icsp_policies *policies)
{
    for (size_t i = 0; i < policies->count; i++) {
        struct part policy = {.api = api,
                              .policy = &policies->items[i],
                              .path = "spec.policy",
                              .object = policies->items[i].policy};

        check_scopes(api, &policies->items[i]);
        check_root(&policy);
        check_identity(&policy);
    }
}

/* ---- all of it ---- */

static char *rejected_place(const struct icsp_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].severity == ICSP_ERROR)
            return place_name(findings->items[i].object, findings->items[i].field);
    return NULL;
}

void icsp_lint_api(const struct icsp_generation *generation, const struct icsp_objects *objects,
                   struct icsp_findings *findings)
{
    auto_free char *rejected = rejected_place(findings);
    struct api api = {.findings = findings, .rejected = rejected};

    if (generation->api_checks_lists)
        check_registry_lists(&api, &objects->image);
    check_search(&api, &objects->image);
    check_sets(&api, &objects->idms, false);
    check_sets(&api, &objects->icsp, true);
    check_sets(&api, &objects->itms, false);
    check_policies(&api, &objects->cluster_policies);
    check_policies(&api, &objects->policies);
}
