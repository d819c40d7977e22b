/*
 * Is a policy.json one that the container library takes? It refuses a file as a whole for anything
 * it does not know, and so do we: a word that is misspelt must not let an image in.
 *
 * What signature requirements say is checked for its form; keys and certificates are not opened.
 */
#include "icsp/policy_priv.h"

#include "base/mem.h"
#include "icsp/binary_priv.h"
#include "icsp/findings_priv.h"
#include "icsp/reference_priv.h"

struct checker {
    const char *name;
    const struct mir_lines *lines; /* NULL: not known */
    struct mir_error *err;
};

#define refuse(c, line, ...) icsp_refuse_line((c)->err, (c)->name, line, __VA_ARGS__)

/* ---- objects by their tables ---- */

enum kind {
    KIND_TEXT,
    KIND_TEXTS, /* at least one */
    KIND_DATA,  /* base64 */
    KIND_DATAS,
    KIND_KEY_TYPE,
    KIND_IDENTITY,
    KIND_FULCIO,
    KIND_PKI,
    KIND_REFERENCE,  /* with tag or digest */
    KIND_REPOSITORY, /* with neither */
    KIND_PREFIX,     /* of a repository: a host at least */
};

/* Of the members with one letter there has to be: a lower-case one: at most one; an upper-case one:
 * exactly one; '+': at least one of all that have it; '!': this one; 0: does not matter. */
struct member {
    const char *key;
    enum kind kind;
    char group;
};

struct shape {
    const char *type; /* the word under "type"; NULL: it has no "type" */
    const struct member *members;
    size_t count;
};

static bool check_object(const struct checker *c, json_t *object, const struct shape *shapes,
                         size_t shape_count, const char *what, unsigned line);

#define MEMBERS(list) (list), sizeof(list) / sizeof((list)[0])

static bool check_identity(const struct checker *c, json_t *value, unsigned line)
{
    static const struct member reference[] = {{"dockerReference", KIND_REFERENCE, '!'}};
    static const struct member repository[] = {{"dockerRepository", KIND_REPOSITORY, '!'}};
    static const struct member remap[] = {{"prefix", KIND_PREFIX, '!'},
                                          {"signedPrefix", KIND_PREFIX, '!'}};
    static const struct shape shapes[] = {
        {"matchExact", NULL, 0},
        {"matchRepoDigestOrExact", NULL, 0},
        {"matchRepository", NULL, 0},
        {"exactReference", MEMBERS(reference)},
        {"exactRepository", MEMBERS(repository)},
        {"remapIdentity", MEMBERS(remap)},
    };

    return check_object(c, value, MEMBERS(shapes), "identity", line);
}

static bool check_fulcio(const struct checker *c, json_t *value, unsigned line)
{
    static const struct member members[] = {
        {"caPath", KIND_TEXT, 'A'},
        {"caData", KIND_DATA, 'A'},
        {"oidcIssuer", KIND_TEXT, '!'},
        {"subjectEmail", KIND_TEXT, '!'},
    };
    static const struct shape shape = {NULL, MEMBERS(members)};

    return check_object(c, value, &shape, 1, "fulcio", line);
}

static bool check_pki(const struct checker *c, json_t *value, unsigned line)
{
    static const struct member members[] = {
        {"caRootsPath", KIND_TEXT, 'A'},         {"caRootsData", KIND_DATA, 'A'},
        {"caIntermediatesPath", KIND_TEXT, 'b'}, {"caIntermediatesData", KIND_DATA, 'b'},
        {"subjectEmail", KIND_TEXT, '+'},        {"subjectHostname", KIND_TEXT, '+'},
    };
    static const struct shape shape = {NULL, MEMBERS(members)};

    return check_object(c, value, &shape, 1, "pki", line);
}

static bool is_filled_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) > 0;
}

static bool is_data(const json_t *value)
{
    auto_free char *bytes = NULL;
    size_t len;

    return is_filled_text(value) && icsp_base64_decode(json_string_value(value), &bytes, &len);
}

static bool is_list_of(const json_t *list, bool (*is_one)(const json_t *))
{
    const json_t *item;
    size_t i;

    json_array_foreach (list, i, item)
        if (!is_one(item))
            return false;
    return json_array_size(list) > 0;
}

static bool is_key_type(const json_t *value)
{
    static const char *const types[] = {"GPGKeys", "signedByGPGKeys", "X509Certificates",
                                        "signedByX509CAs"};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (json_is_string(value) && strcmp(json_string_value(value), types[i]) == 0)
            return true;
    return false;
}

static bool is_reference(const json_t *value, bool is_tied)
{
    auto_free char *text = NULL;
    struct icsp_reference ref;
    struct mir_span given = mir_span_of(json_string_value(value));

    if (!is_filled_text(value) || !icsp_reference_normalise(given, &text, &ref))
        return false;
    return is_tied !=
           (icsp_reference_is_plain(given, true) || icsp_reference_is_plain(given, false));
}

static bool is_prefix(const json_t *value)
{
    struct mir_span text = mir_span_of(json_string_value(value));

    return is_filled_text(value) &&
           (icsp_reference_is_host(text) || icsp_reference_is_plain(text, true));
}

static bool check_value(const struct checker *c, enum kind kind, json_t *value, const char *key,
                        unsigned line)
{
    bool ok = false;

    switch (kind) {
    case KIND_IDENTITY:
        return check_identity(c, value, line);
    case KIND_FULCIO:
        return check_fulcio(c, value, line);
    case KIND_PKI:
        return check_pki(c, value, line);
    case KIND_TEXT:
        ok = is_filled_text(value);
        break;
    case KIND_TEXTS:
        ok = is_list_of(value, is_filled_text);
        break;
    case KIND_DATA:
        ok = is_data(value);
        break;
    case KIND_DATAS:
        ok = is_list_of(value, is_data);
        break;
    case KIND_KEY_TYPE:
        ok = is_key_type(value);
        break;
    case KIND_REFERENCE:
    case KIND_REPOSITORY:
        ok = is_reference(value, kind == KIND_REFERENCE);
        break;
    case KIND_PREFIX:
        ok = is_prefix(value);
        break;
    }
    return ok || refuse(c, line, "\"%.100s\" has not the value that is wanted there", key);
}

static size_t count_group(const json_t *object, const struct shape *shape, char group)
{
    size_t count = 0;

    for (size_t i = 0; i < shape->count; i++)
        count += shape->members[i].group == group &&
                 json_object_get(object, shape->members[i].key) != NULL;
    return count;
}

static bool check_group(const struct checker *c, const json_t *object, const struct shape *shape,
                        const struct member *member, unsigned line)
{
    size_t count = count_group(object, shape, member->group);
    char group = member->group;

    if (group == '!' && !json_object_get(object, member->key))
        return refuse(c, line, "\"%.100s\" is missing", member->key);
    if (group == '+' && count == 0)
        return refuse(c, line, "\"%.100s\" or another of its kind is missing", member->key);
    if (group >= 'A' && group <= 'Z' && count != 1)
        return refuse(c, line, "exactly one of \"%.100s\" and others of its kind has to be there",
                      member->key);
    if (group >= 'a' && group <= 'z' && count > 1)
        return refuse(c, line, "at most one of \"%.100s\" and others of its kind can be there",
                      member->key);
    return true;
}

static const struct member *find_member(const struct shape *shape, const char *key)
{
    for (size_t i = 0; i < shape->count; i++)
        if (strcmp(shape->members[i].key, key) == 0)
            return &shape->members[i];
    return NULL;
}

static bool check_members(const struct checker *c, json_t *object, const struct shape *shape,
                          unsigned line)
{
    const char *key;
    json_t *value;

    json_object_foreach (object, key, value) {
        const struct member *member = find_member(shape, key);
        unsigned at = mir_lines_member(c->lines, object, key);

        if (!member && !(shape->type && strcmp(key, "type") == 0))
            return refuse(c, at > 0 ? at : line, "unknown key \"%.100s\"%s%s", key,
                          shape->type ? " in " : "", shape->type ? shape->type : "");
        if (member && !check_value(c, member->kind, value, key, at > 0 ? at : line))
            return false;
    }
    for (size_t i = 0; i < shape->count; i++)
        if (!check_group(c, object, shape, &shape->members[i], line))
            return false;
    return true;
}

/* An object of the shape that its "type" names, or of the only one. */
static bool check_object(const struct checker *c, json_t *object, const struct shape *shapes,
                         size_t shape_count, const char *what, unsigned line)
{
    const json_t *type = json_object_get(object, "type");

    if (!json_is_object(object))
        return refuse(c, line, "%s must be an object", what);
    if (!shapes[0].type)
        return check_members(c, object, &shapes[0], line);
    if (!json_is_string(type))
        return refuse(c, line, "%s without a \"type\"", what);
    for (size_t i = 0; i < shape_count; i++)
        if (strcmp(json_string_value(type), shapes[i].type) == 0)
            return check_members(c, object, &shapes[i], line);
    return refuse(c, line, "unknown %s type \"%.100s\"", what, json_string_value(type));
}

/* ---- requirements ---- */

static const struct member signed_by[] = {
    {"keyType", KIND_KEY_TYPE, '!'},      {"keyPath", KIND_TEXT, 'A'},
    {"keyPaths", KIND_TEXTS, 'A'},        {"keyData", KIND_DATA, 'A'},
    {"signedIdentity", KIND_IDENTITY, 0},
};

static const struct member signed_base_layer[] = {{"baseLayerIdentity", KIND_IDENTITY, '!'}};

static const struct member sigstore_signed[] = {
    {"keyPath", KIND_TEXT, 'A'},
    {"keyPaths", KIND_TEXTS, 'A'},
    {"keyData", KIND_DATA, 'A'},
    {"keyDatas", KIND_DATAS, 'A'},
    {"fulcio", KIND_FULCIO, 'A'},
    {"pki", KIND_PKI, 'A'},
    {"rekorPublicKeyPath", KIND_TEXT, 'b'},
    {"rekorPublicKeyPaths", KIND_TEXTS, 'b'},
    {"rekorPublicKeyData", KIND_DATA, 'b'},
    {"rekorPublicKeyDatas", KIND_DATAS, 'b'},
    {"signedIdentity", KIND_IDENTITY, 0},
};

static bool check_requirement(const struct checker *c, json_t *requirement, unsigned line)
{
    static const struct shape shapes[] = {
        {"insecureAcceptAnything", NULL, 0},
        {"reject", NULL, 0},
        {"signedBy", MEMBERS(signed_by)},
        {"signedBaseLayer", MEMBERS(signed_base_layer)},
        {"sigstoreSigned", MEMBERS(sigstore_signed)},
    };
    static const struct shape sigstore = {"sigstoreSigned", MEMBERS(sigstore_signed)};

    if (!check_object(c, requirement, MEMBERS(shapes), "requirement", line))
        return false;
    if (json_object_get(requirement, "fulcio") && count_group(requirement, &sigstore, 'b') == 0)
        return refuse(c, line, "\"fulcio\" needs a \"rekorPublicKey...\" beside it");
    return true;
}

static bool check_requirements(const struct checker *c, json_t *list, unsigned line)
{
    json_t *item;
    size_t i;

    json_array_foreach (list, i, item) {
        unsigned at = mir_lines_item(c->lines, list, i);

        if (!check_requirement(c, item, at > 0 ? at : line))
            return false;
    }
    return true;
}

/* ---- scopes ---- */

static bool has_colons(struct mir_span text, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == ':';
    return count > max;
}

bool icsp_policy_is_atomic_scope(const char *scope)
{
    struct mir_span rest = mir_span_of(scope);
    struct mir_span second;
    size_t at;

    if (!mir_span_find(rest, '/', &at))
        return true;
    rest = mir_span_from(rest, at + 1);
    if (!mir_span_find(rest, '/', &at))
        return !has_colons(rest, 0);
    second = mir_span_first(rest, at);
    rest = mir_span_from(rest, at + 1);
    return !has_colons(second, 0) && !mir_span_find(rest, '/', &at) && !has_colons(rest, 1);
}

/* An absolute path without anything to clean up, and not the root alone. */
static bool is_clean_path(const char *scope)
{
    size_t len = strlen(scope);

    if (scope[0] != '/' || len < 2 || scope[len - 1] == '/')
        return false;
    return !strstr(scope, "//") && !strstr(scope, "/./") && !strstr(scope, "/../") &&
           !mir_ends_with(scope, "/.") && !mir_ends_with(scope, "/..");
}

/* "": the transport's default, always fine. Transports nobody knows may have any scopes. */
static bool is_scope(const char *transport, const char *scope)
{
    static const char *const with_paths[] = {"dir", "oci", "oci-archive", "sif"};
    static const char *const without[] = {"docker-archive", "tarball"};

    if (scope[0] == '\0')
        return true;
    if (strcmp(transport, "atomic") == 0)
        return icsp_policy_is_atomic_scope(scope);
    for (size_t i = 0; i < sizeof(with_paths) / sizeof(with_paths[0]); i++)
        if (strcmp(transport, with_paths[i]) == 0)
            return is_clean_path(scope);
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
        if (strcmp(transport, without[i]) == 0)
            return false;
    return true;
}

static bool check_transport(const struct checker *c, const char *name, json_t *scopes)
{
    const char *scope;
    json_t *list;

    json_object_foreach (scopes, scope, list) {
        unsigned line = mir_lines_member(c->lines, scopes, scope);

        if (!is_scope(name, scope))
            return refuse(c, line, "\"%.200s\" is no scope of transport %.100s", scope, name);
        if (!check_requirements(c, list, line))
            return false;
    }
    return true;
}

bool icsp_policy_check(json_t *policy, const char *name, const struct mir_lines *lines,
                       struct mir_error *err)
{
    const struct checker c = {.name = name, .lines = lines, .err = err};
    json_t *transports = json_object_get(policy, "transports");
    const char *transport;
    json_t *scopes;

    if (!check_requirements(&c, json_object_get(policy, "default"),
                            mir_lines_member(lines, policy, "default")))
        return false;
    json_object_foreach (transports, transport, scopes)
        if (!check_transport(&c, transport, scopes))
            return false;
    return true;
}
