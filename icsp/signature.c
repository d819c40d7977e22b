/*
 * Signature policies: spec.policy of an object becomes one "sigstoreSigned" requirement. Key and
 * certificate data are base64 in the object and base64 again in the file.
 */
#include "icsp/signature_priv.h"

#include "base/base64.h"
#include "base/mem.h"
#include "icsp/binary_priv.h"
#include "icsp/findings_priv.h"
#include "icsp/reference_priv.h"
#include "icsp/scope_priv.h"

#define ROOT_PATH     "spec.policy.rootOfTrust"
#define IDENTITY_PATH "spec.policy.signedIdentity"

struct signer {
    const struct icsp_generation *generation;
    const struct icsp_signature_policy *policy;
    struct icsp_findings *findings;
    struct mir_error *err;
    json_t *out;      /* the requirement */
    const char *path; /* of the object that is being read */
};

/* member is of the object that is being read. */
static bool reject(struct signer *s, const char *member, const char *value, const char *hint,
                   const char *text)
{
    auto_free char *field = mir_format("%s.%s", s->path, member);
    struct icsp_place place = {
        .object = s->policy->object, .field = field, .value = value, .rule = "signature-policy"};

    return icsp_reject(s->findings, s->err, MIR_E_FORMAT, place, hint, "%s", text);
}

/* The object under key of parent; NULL when absent. */
static bool get_object(struct signer *s, const json_t *parent, const char *key, json_t **out)
{
    json_t *value = json_object_get(parent, key);

    *out = json_is_null(value) ? NULL : value;
    return !*out || json_is_object(*out) || reject(s, key, NULL, NULL, "must be an object");
}

/* A string; *out is "" when absent. */
static bool get_string(struct signer *s, const json_t *parent, const char *key, const char **out)
{
    const json_t *value = json_object_get(parent, key);

    *out = value && !json_is_null(value) ? json_string_value(value) : "";
    return *out || reject(s, key, NULL, NULL, "must be a string");
}

/* Put parent's base64 under key into target as name. An empty one is left out unless it is needed.
 */
static bool copy_data(struct signer *s, const json_t *parent, const char *key, bool needed,
                      json_t *target, const char *name)
{
    auto_free char *bytes = NULL;
    auto_free char *text = NULL;
    const char *value;
    size_t len;

    if (!get_string(s, parent, key, &value))
        return false;
    if (!icsp_base64_decode(value, &bytes, &len))
        return reject(s, key, NULL, "put the PEM text through base64", "not valid base64");
    if (len == 0 && !needed)
        return true;
    text = mir_base64_encode(mir_span(bytes, len));
    json_object_set_new(target, name, json_string(text));
    return true;
}

static bool copy_text(struct signer *s, const json_t *parent, const char *key, bool needed,
                      json_t *target, const char *name)
{
    const char *value;

    if (!get_string(s, parent, key, &value))
        return false;
    if (needed || *value)
        json_object_set_new(target, name, json_string(value));
    return true;
}

static bool add_public_key(struct signer *s, const json_t *root)
{
    json_t *key;

    if (!get_object(s, root, "publicKey", &key))
        return false;
    s->path = ROOT_PATH ".publicKey";
    return copy_data(s, key, "keyData", true, s->out, "keyData") &&
           copy_data(s, key, "rekorKeyData", false, s->out, "rekorPublicKeyData");
}

static bool add_fulcio(struct signer *s, const json_t *root)
{
    json_t *fulcio = json_object();
    json_t *from;
    json_t *subject;

    json_object_set_new(s->out, "fulcio", fulcio);
    if (!get_object(s, root, "fulcioCAWithRekor", &from))
        return false;
    s->path = ROOT_PATH ".fulcioCAWithRekor";
    if (!get_object(s, from, "fulcioSubject", &subject) ||
        !copy_data(s, from, "fulcioCAData", true, fulcio, "caData"))
        return false;
    s->path = ROOT_PATH ".fulcioCAWithRekor.fulcioSubject";
    if (!copy_text(s, subject, "oidcIssuer", true, fulcio, "oidcIssuer") ||
        !copy_text(s, subject, "signedEmail", true, fulcio, "subjectEmail"))
        return false;
    s->path = ROOT_PATH ".fulcioCAWithRekor";
    return copy_data(s, from, "rekorKeyData", true, s->out, "rekorPublicKeyData");
}

static bool add_pki(struct signer *s, const json_t *root)
{
    json_t *pki = json_object();
    json_t *from;
    json_t *subject;

    json_object_set_new(s->out, "pki", pki);
    if (!get_object(s, root, "pki", &from))
        return false;
    s->path = ROOT_PATH ".pki";
    if (!get_object(s, from, "pkiCertificateSubject", &subject) ||
        !copy_data(s, from, "caRootsData", true, pki, "caRootsData") ||
        !copy_data(s, from, "caIntermediatesData", false, pki, "caIntermediatesData"))
        return false;
    s->path = ROOT_PATH ".pki.pkiCertificateSubject";
    if (!copy_text(s, subject, "email", false, pki, "subjectEmail") ||
        !copy_text(s, subject, "hostname", false, pki, "subjectHostname"))
        return false;
    if (json_object_get(pki, "subjectEmail") || json_object_get(pki, "subjectHostname"))
        return true;
    s->path = ROOT_PATH ".pki";
    return reject(s, "pkiCertificateSubject", NULL,
                  "name the email or the hostname of the signer's certificate",
                  "one of email and hostname is required");
}

static bool add_root(struct signer *s, const json_t *policy)
{
    json_t *root;
    const char *type;

    if (!get_object(s, policy, "rootOfTrust", &root))
        return false;
    s->path = ROOT_PATH;
    if (!get_string(s, root, "policyType", &type))
        return false;
    if (strcmp(type, "PublicKey") == 0)
        return add_public_key(s, root);
    if (strcmp(type, "FulcioCAWithRekor") == 0)
        return add_fulcio(s, root);
    if (!s->generation->knows_pki)
        return reject(s, "policyType", type, NULL,
                      "policyType is PublicKey or FulcioCAWithRekor in this generation");
    if (strcmp(type, "PKI") == 0)
        return add_pki(s, root);
    return reject(s, "policyType", type, NULL, "policyType is PublicKey, FulcioCAWithRekor or PKI");
}

static bool add_exact_repository(struct signer *s, const json_t *from, json_t *identity)
{
    json_t *exact;
    const char *repository;

    if (!get_object(s, from, "exactRepository", &exact))
        return false;
    s->path = IDENTITY_PATH ".exactRepository";
    if (!get_string(s, exact, "repository", &repository))
        return false;
    if (!icsp_reference_is_any(mir_span_of(repository)))
        return reject(s, "repository", repository, NULL, "not an image repository");
    json_object_set_new(identity, "type", json_string("exactRepository"));
    json_object_set_new(identity, "dockerRepository", json_string(repository));
    return true;
}

static bool add_remap(struct signer *s, const json_t *from, json_t *identity)
{
    json_t *remap;
    const char *prefix;
    const char *signed_prefix;

    if (!get_object(s, from, "remapIdentity", &remap))
        return false;
    s->path = IDENTITY_PATH ".remapIdentity";
    if (!get_string(s, remap, "prefix", &prefix) ||
        !get_string(s, remap, "signedPrefix", &signed_prefix))
        return false;
    if (!icsp_scope_is_mirror(mir_span_of(prefix)))
        return reject(s, "prefix", prefix, NULL, "must be host[:port] or host[:port]/path");
    if (!icsp_scope_is_mirror(mir_span_of(signed_prefix)))
        return reject(s, "signedPrefix", signed_prefix, NULL,
                      "must be host[:port] or host[:port]/path");
    json_object_set_new(identity, "type", json_string("remapIdentity"));
    json_object_set_new(identity, "prefix", json_string(prefix));
    json_object_set_new(identity, "signedPrefix", json_string(signed_prefix));
    return true;
}

static bool add_identity(struct signer *s, const json_t *policy)
{
    json_t *identity = json_object();
    json_t *from;
    const char *match;

    json_object_set_new(s->out, "signedIdentity", identity);
    s->path = "spec.policy";
    if (!get_object(s, policy, "signedIdentity", &from))
        return false;
    s->path = IDENTITY_PATH;
    if (!get_string(s, from, "matchPolicy", &match))
        return false;
    if (!*match && (!from || s->generation->empty_identity_is_default))
        match = "MatchRepoDigestOrExact";
    if (strcmp(match, "MatchRepoDigestOrExact") == 0)
        return json_object_set_new(identity, "type", json_string("matchRepoDigestOrExact")) == 0;
    if (strcmp(match, "MatchRepository") == 0)
        return json_object_set_new(identity, "type", json_string("matchRepository")) == 0;
    if (strcmp(match, "ExactRepository") == 0)
        return add_exact_repository(s, from, identity);
    if (strcmp(match, "RemapIdentity") == 0)
        return add_remap(s, from, identity);
    return reject(s, "matchPolicy", match, NULL,
                  "matchPolicy is MatchRepoDigestOrExact, MatchRepository, ExactRepository or "
                  "RemapIdentity");
}

bool icsp_signature_requirement(const struct icsp_generation *generation,
                                const struct icsp_signature_policy *policy, json_t **out,
                                struct icsp_findings *findings, struct mir_error *err)
{
    auto_json *requirement = json_object();
    struct signer s = {.generation = generation,
                       .policy = policy,
                       .findings = findings,
                       .err = err,
                       .out = requirement,
                       .path = "spec.policy"};

    json_object_set_new(requirement, "type", json_string("sigstoreSigned"));
    if (!add_root(&s, policy->policy) || !add_identity(&s, policy->policy))
        return false;
    *out = mir_steal(&requirement);
    return true;
}
