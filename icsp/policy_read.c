/*
 * Reading a policy.json that is given as the base file. It has to be JSON and to have the shape
 * that the container library asks for; what the requirements in it mean is left to the node.
 *
 * The operator parses the file into its own types and writes those, so that the keys of a
 * requirement come out in the order of the type, and a signer whose identity is not spelled out
 * gets the usual one.
 */
#include "icsp/policy_priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/tree.h"
#include "icsp/findings_priv.h"

/* ---- shape ---- */

/* What is looked at, and where a message says it stands. */
struct shape {
    const char *name;
    const struct mir_lines *lines; /* NULL: not known */
    bool is_strict;                /* all of it has to be known, not only the outline */
    struct mir_error *err;
};

#define misshapen(s, line, what, rule)                                                             \
    icsp_refuse_line((s)->err, (s)->name, line, "%.200s: %s", what, rule)

static bool check_requirements(const struct shape *s, const json_t *list, unsigned line,
                               const char *what)
{
    const json_t *item;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) == 0)
        return misshapen(s, line, what, "must be a list of at least one requirement");
    json_array_foreach (list, i, item)
        if (!json_is_string(json_object_get(item, "type")))
            return misshapen(s, mir_lines_item(s->lines, list, i), what,
                             "a requirement is an object with a \"type\"");
    return true;
}

static bool check_transport(const struct shape *s, json_t *scopes, unsigned line, const char *name)
{
    const char *scope;
    const json_t *list;

    if (!json_is_object(scopes))
        return misshapen(s, line, name, "must be an object of scopes");
    json_object_foreach (scopes, scope, list)
        if (!check_requirements(s, list, mir_lines_member(s->lines, scopes, scope), scope))
            return false;
    return true;
}

static bool check_transports(const struct shape *s, json_t *transports, unsigned line)
{
    const char *name;
    json_t *scopes;

    if (!json_is_object(transports))
        return misshapen(s, line, "transports", "must be an object");
    json_object_foreach (transports, name, scopes)
        if (!check_transport(s, scopes, mir_lines_member(s->lines, transports, name), name))
            return false;
    return true;
}

static bool check_shape(const struct shape *s, json_t *policy)
{
    json_t *transports = json_object_get(policy, "transports");
    const char *key;
    const json_t *value;

    if (!json_is_object(policy))
        return misshapen(s, 1, "policy", "must be an object");
    json_object_foreach (policy, key, value) {
        (void)value;
        if (strcmp(key, "default") != 0 && strcmp(key, "transports") != 0)
            return misshapen(s, mir_lines_member(s->lines, policy, key), key,
                             "unknown key: a policy has \"default\" and \"transports\"");
    }
    if (!json_object_get(policy, "default"))
        return misshapen(s, 1, "policy", "\"default\" is missing");
    return check_requirements(s, json_object_get(policy, "default"),
                              mir_lines_member(s->lines, policy, "default"), "default") &&
           (!transports ||
            check_transports(s, transports, mir_lines_member(s->lines, policy, "transports"))) &&
           (!s->is_strict || icsp_policy_check(policy, s->name, s->lines, s->err));
}

/* The same complaint, with the line: JSON is YAML, whose reader knows lines. */
static bool complain_with_line(struct mir_span text, const struct shape *shape)
{
    auto_lines *lines = mir_lines_new();
    auto_json *documents = NULL;
    struct mir_error found = MIR_ERROR_INIT;
    struct shape s = *shape;

    s.lines = lines;
    s.err = &found;
    if (mir_yaml_parse_lines(text, s.name, lines, &documents, &found) &&
        !check_shape(&s, json_array_get(documents, 0)))
        *shape->err = found;
    return false;
}

/* ---- requirements as the operator writes them ---- */

static size_t rank_of(const char *key)
{
    static const char *const order[] = {
        "type",
        "keyType",
        "keyPath",
        "keyPaths",
        "keyData",
        "keyDatas",
        "caPath",
        "caData",
        "caRootsPath",
        "caRootsData",
        "caIntermediatesPath",
        "caIntermediatesData",
        "oidcIssuer",
        "subjectEmail",
        "subjectHostname",
        "fulcio",
        "rekorPublicKeyPath",
        "rekorPublicKeyPaths",
        "rekorPublicKeyData",
        "rekorPublicKeyDatas",
        "pki",
        "baseLayerIdentity",
        "dockerReference",
        "dockerRepository",
        "prefix",
        "signedPrefix",
        "signedIdentity",
    };
    size_t rank = 0;

    while (rank < sizeof(order) / sizeof(order[0]) && strcmp(order[rank], key) != 0)
        rank++;
    return rank;
}

static int compare_keys(const void *a, const void *b)
{
    const char *left = *(const char *const *)a;
    const char *right = *(const char *const *)b;
    size_t x = rank_of(left);
    size_t y = rank_of(right);

    if (x != y)
        return x < y ? -1 : 1;
    return strcmp(left, right);
}

/* A copy with the keys of all objects in order; the caller owns it. */
static json_t *ordered(json_t *value)
{
    auto_free const char **keys = NULL;
    json_t *copy;
    const char *key;
    json_t *member;
    size_t count = 0;

    if (!json_is_object(value))
        return json_incref(value);
    keys = mir_alloc_array(json_object_size(value), sizeof(*keys));
    json_object_foreach (value, key, member) {
        (void)member;
        keys[count++] = key;
    }
    if (count > 0)
        qsort(keys, count, sizeof(*keys), compare_keys);
    copy = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set_new(copy, keys[i], ordered(json_object_get(value, keys[i])));
    return copy;
}

static bool is_signer(const json_t *requirement)
{
    const char *type = json_string_value(json_object_get(requirement, "type"));

    return strcmp(type, "signedBy") == 0 || strcmp(type, "sigstoreSigned") == 0;
}

static void normalise_list(json_t *list)
{
    json_t *item;
    size_t i;

    json_array_foreach (list, i, item) {
        auto_json *requirement = json_copy(item);

        if (is_signer(requirement) && !json_object_get(requirement, "signedIdentity"))
            json_object_set_new(requirement, "signedIdentity",
                                json_pack("{s:s}", "type", "matchRepoDigestOrExact"));
        json_array_set_new(list, i, ordered(requirement));
    }
}

static void normalise(json_t *policy)
{
    const char *key;
    json_t *scopes;

    normalise_list(json_object_get(policy, "default"));
    json_object_foreach (json_object_get(policy, "transports"), key, scopes) {
        const char *scope;
        json_t *list;

        json_object_foreach (scopes, scope, list)
            normalise_list(list);
    }
}

static bool read_policy(struct mir_span text, const struct shape *s, json_t **out)
{
    auto_json *policy = NULL;

    if (!mir_json_parse(text, s->name, &policy, s->err))
        return false;
    if (!check_shape(s, policy))
        return complain_with_line(text, s);
    normalise(policy);
    *out = mir_steal(&policy);
    return true;
}

bool icsp_policy_read(struct mir_span text, const char *name, json_t **out, struct mir_error *err)
{
    return read_policy(text, &(struct shape){.name = name, .err = err}, out);
}

bool icsp_policy_read_strict(struct mir_span text, const char *name, json_t **out,
                             struct mir_error *err)
{
    return read_policy(text, &(struct shape){.name = name, .is_strict = true, .err = err}, out);
}
