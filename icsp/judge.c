/*
 * What policy.json says: of all scopes that contain an image the most specific one decides, then
 * the transport's default, then the file's. All requirements found there have to hold.
 */
#include "icsp/lookup.h"

#include "base/mem.h"
#include "icsp/lookup_priv.h"
#include "icsp/policy_priv.h"

bool icsp_lookup_set_policy(struct icsp_lookup *lookup, struct mir_span text, const char *name,
                            struct mir_error *err)
{
    json_t *policy;

    if (!icsp_policy_read_strict(text, name, &policy, err))
        return false;
    json_decref(lookup->policy);
    free(lookup->policy_name);
    lookup->policy = policy;
    lookup->policy_name = mir_strdup(name);
    return true;
}

bool icsp_lookup_has_policy(const struct icsp_lookup *lookup)
{
    return lookup->policy != NULL;
}

const char *icsp_verdict_name(enum icsp_verdict verdict)
{
    switch (verdict) {
    case ICSP_VERDICT_ACCEPT:
        return "accept";
    case ICSP_VERDICT_REJECT:
        return "reject";
    case ICSP_VERDICT_SIGNATURE:
        return "signature";
    }
    return "";
}

/* ---- one list of requirements ---- */

static enum icsp_verdict verdict_of(const char *type)
{
    if (strcmp(type, "insecureAcceptAnything") == 0)
        return ICSP_VERDICT_ACCEPT;
    if (strcmp(type, "reject") == 0)
        return ICSP_VERDICT_REJECT;
    return ICSP_VERDICT_SIGNATURE;
}

/* The strictest one decides: no signature outweighs a "reject". */
static void weigh(const json_t *requirements, struct icsp_judgement *out)
{
    const json_t *item;
    size_t i;

    json_array_foreach (requirements, i, item) {
        const char *type = json_string_value(json_object_get(item, "type"));
        enum icsp_verdict verdict = verdict_of(type);
        bool stricter = verdict == ICSP_VERDICT_REJECT
                            ? out->verdict != ICSP_VERDICT_REJECT
                            : verdict != ICSP_VERDICT_ACCEPT && out->verdict == ICSP_VERDICT_ACCEPT;

        if (i > 0 && !stricter)
            continue;
        out->verdict = verdict;
        out->requirement = type;
    }
}

/* ---- the scopes of a transport ---- */

struct judge {
    json_t *scopes; /* of the transport; NULL: none */
    struct icsp_judgement *out;
};

static bool try_scope(const struct judge *j, const char *scope)
{
    const char *key;
    json_t *list;

    if (!json_object_get(j->scopes, scope))
        return false;
    json_object_foreach (j->scopes, key, list) {
        if (strcmp(key, scope) != 0)
            continue;
        j->out->scope = key;
        weigh(list, j->out);
        return true;
    }
    return false;
}

/* scope and what is left of it in front of each '/', never "". Cuts scope. */
static bool try_parents(const struct judge *j, char *scope)
{
    for (;;) {
        char *slash = strrchr(scope, '/');

        if (scope[0] != '\0' && try_scope(j, scope))
            return true;
        if (!slash)
            return false;
        *slash = '\0';
    }
}

static bool try_wildcards(const struct judge *j, struct mir_span host)
{
    size_t at;

    if (mir_span_find(host, ':', &at))
        host = mir_span_first(host, at);
    while (mir_span_find(host, '.', &at)) {
        auto_free char *scope = NULL;

        host = mir_span_from(host, at + 1);
        scope = mir_format("*.%.*s", MIR_SPAN_ARG(host));
        if (try_scope(j, scope))
            return true;
    }
    return false;
}

static struct judge begin(const struct icsp_lookup *lookup, const char *transport,
                          struct icsp_judgement *out)
{
    json_t *transports = json_object_get(lookup->policy, "transports");
    const char *key;
    json_t *scopes;

    *out = (struct icsp_judgement){.verdict = ICSP_VERDICT_ACCEPT, .file = lookup->policy_name};
    json_object_foreach (transports, key, scopes) {
        if (strcmp(key, transport) != 0)
            continue;
        out->transport = key;
        return (struct judge){.scopes = scopes, .out = out};
    }
    return (struct judge){.out = out};
}

/* No scope names it. */
static void fall_back(const struct icsp_lookup *lookup, const struct judge *j)
{
    if (!lookup->policy || try_scope(j, ""))
        return;
    j->out->transport = NULL;
    weigh(json_object_get(lookup->policy, "default"), j->out);
}

void icsp_lookup_judge_reference(const struct icsp_lookup *lookup, const struct icsp_reference *ref,
                                 struct icsp_judgement *out)
{
    struct judge j = begin(lookup, "docker", out);
    auto_free char *whole = NULL;
    auto_free char *name = mir_strndup(ref->repo.ptr, ref->repo.len);
    size_t at;

    if (ref->digest.len > 0)
        whole = mir_format("%s@%.*s", name, MIR_SPAN_ARG(ref->digest));
    else
        whole = mir_format("%s:%.*s", name, MIR_SPAN_ARG(ref->tag));
    if (!mir_span_find(ref->repo, '/', &at))
        at = ref->repo.len;
    if (!try_scope(&j, whole) && !try_parents(&j, name) &&
        !try_wildcards(&j, mir_span_first(ref->repo, at)))
        fall_back(lookup, &j);
}

void icsp_lookup_judge_path(const struct icsp_lookup *lookup, const char *transport,
                            const char *path, struct icsp_judgement *out)
{
    struct judge j = begin(lookup, transport, out);
    auto_free char *scope = mir_strdup(path);

    if (!scope || !try_parents(&j, scope))
        fall_back(lookup, &j);
}
