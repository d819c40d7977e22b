/*
 * policy.json: what the lists and the signature policies make of it, and its bytes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "icsp/policy_priv.h"
#include "icsp/signature_priv.h"

static const struct icsp_list none = {0};

/* default's type, then "SCOPE=TYPE+TYPE ..." of docker, then of atomic. */
static void add_transport(const json_t *policy, const char *name, struct mir_buf *out)
{
    json_t *scopes = json_object_get(json_object_get(policy, "transports"), name);
    const char *scope;
    json_t *requirements;
    const json_t *requirement;
    size_t i;

    mir_buf_printf(out, " | %s", scopes ? "" : "-");
    json_object_foreach (scopes, scope, requirements) {
        mir_buf_printf(out, "%s=", scope);
        json_array_foreach (requirements, i, requirement)
            mir_buf_printf(out, "%.3s ", json_string_value(json_object_get(requirement, "type")));
    }
}

static char *policy_text(const struct icsp_policy_input *input)
{
    auto_json *policy = icsp_policy_base();
    struct mir_buf text;

    icsp_policy_build(policy, input);
    mir_buf_init(&text, 4096);
    mir_buf_printf(&text, "%.3s",
                   json_string_value(json_object_get(
                       json_array_get(json_object_get(policy, "default"), 0), "type")));
    add_transport(policy, "docker", &text);
    add_transport(policy, "atomic", &text);
    assert_non_null(json_object_get(json_object_get(policy, "transports"), "docker-daemon"));
    return mir_buf_take(&text);
}

static void policy_follows_the_lists(void **state)
{
    auto_list some = {0};
    auto_list other = {0};
    struct icsp_policy_input input = {
        .generation = &icsp_generation_current, .allowed = &none, .blocked = &none};
    auto_free char *nothing = policy_text(&input);
    auto_free char *allowed = NULL;
    auto_free char *blocked = NULL;
    auto_free char *both = NULL;

    (void)state;
    icsp_list_add(&some, "a.io");
    icsp_list_add(&some, "a.io/x/y/z");
    icsp_list_add(&other, "b.io");
    assert_string_equal(nothing, "ins |  | ");
    input.allowed = &some;
    allowed = policy_text(&input);
    assert_string_equal(allowed, "rej | a.io=ins a.io/x/y/z=ins  | a.io=ins ");
    input.allowed = &none;
    input.blocked = &some;
    blocked = policy_text(&input);
    assert_string_equal(blocked, "ins | a.io=rej a.io/x/y/z=rej  | a.io=rej ");
    input.allowed = &other;
    both = policy_text(&input);
    assert_string_equal(both, "ins | b.io=ins a.io=rej a.io/x/y/z=rej  | b.io=ins a.io=rej ");
}

static void policy_appends_signatures(void **state)
{
    auto_json *first = json_pack("{s:s}", "type", "one");
    auto_json *second = json_pack("{s:s}", "type", "two");
    auto_list allowed = {0};
    auto_list scopes = {0};
    struct icsp_scoped_requirement signatures[] = {{.scopes = &scopes, .requirement = first},
                                                   {.scopes = &scopes, .requirement = second}};
    struct icsp_policy_input input = {.generation = &icsp_generation_current,
                                      .allowed = &allowed,
                                      .blocked = &none,
                                      .signatures = signatures,
                                      .signature_count = 2};
    auto_free char *text = NULL;

    (void)state;
    icsp_list_add(&allowed, "a.io");
    icsp_list_add(&allowed, "b.io");
    icsp_list_add(&scopes, "a.io");
    icsp_list_add(&scopes, "a.io");
    text = policy_text(&input);
    assert_string_equal(text,
                        "rej | b.io=ins a.io=one one two two  | b.io=ins a.io=one one two two ");
}

static void policy_is_encoded_to_the_byte(void **state)
{
    auto_json *policy =
        json_loads("{\"transports\": {\"z\": {}, \"a\": {"
                   "\"b<\": [{\"type\": \"x\", \"k\": \"\\u2028\\u007f&>\\b\\u0001\"}],"
                   "\"B\": []}}, \"default\": [{\"type\": \"reject\"}]}",
                   0, NULL);
    auto_json *bare = json_loads("{\"default\": []}", 0, NULL);
    auto_buf text;

    (void)state;
    mir_buf_init(&text, 4096);
    icsp_policy_format(policy, icsp_generation_current.policy_style, &text);
    assert_string_equal(text.ptr,
                        "{\n  \"default\": [\n    {\n      \"type\": \"reject\"\n    }\n  ],\n"
                        "  \"transports\": {\n    \"a\": {\n      \"B\": [],\n"
                        "      \"b\\u003c\": [\n        {\n          \"type\": \"x\",\n"
                        "          \"k\": \"\\u2028\x7f\\u0026\\u003e\\b\\u0001\"\n        }\n"
                        "      ]\n    },\n    \"z\": {}\n  }\n}");
    mir_buf_clear(&text);
    icsp_policy_format(bare, icsp_generation_current.policy_style, &text);
    assert_string_equal(text.ptr, "{\n  \"default\": [],\n  \"transports\": {}\n}");
}

/* ---- signature policies ---- */

struct signature_row {
    const char *label;
    const char *policy;
    const char *requirement; /* or what the error contains */
};

static bool make(const char *policy_text_json, json_t **out, struct mir_error *err)
{
    auto_json *tree = json_loads(policy_text_json, 0, NULL);
    struct icsp_signature_policy policy = {.policy = tree};
    auto_findings findings = {0};

    assert_non_null(tree);
    return icsp_signature_requirement(&icsp_generation_current, &policy, out, &findings, err);
}

static void signature_makes_one_requirement(void **state)
{
    static const struct signature_row rows[] = {
        {"public key",
         "{\"rootOfTrust\":{\"policyType\":\"PublicKey\",\"publicKey\":{\"keyData\":\"YWI=\"}}}",
         "{\"type\":\"sigstoreSigned\",\"keyData\":\"YWI=\","
         "\"signedIdentity\":{\"type\":\"matchRepoDigestOrExact\"}}"},
        {"spare bits and line breaks are dropped",
         "{\"rootOfTrust\":{\"policyType\":\"PublicKey\",\"publicKey\":{\"keyData\":\"YW\\nJ=\","
         "\"rekorKeyData\":\"Yw==\"}},\"signedIdentity\":{\"matchPolicy\":\"MatchRepository\"}}",
         "{\"type\":\"sigstoreSigned\",\"keyData\":\"YWI=\",\"rekorPublicKeyData\":\"Yw==\","
         "\"signedIdentity\":{\"type\":\"matchRepository\"}}"},
        {"fulcio",
         "{\"rootOfTrust\":{\"policyType\":\"FulcioCAWithRekor\",\"fulcioCAWithRekor\":{"
         "\"rekorKeyData\":\"Yw==\",\"fulcioCAData\":\"YQ==\",\"fulcioSubject\":{\"oidcIssuer\":"
         "\"https://i\",\"signedEmail\":\"a@b\"}}},\"signedIdentity\":{\"matchPolicy\":"
         "\"ExactRepository\",\"exactRepository\":{\"repository\":\"busybox\"}}}",
         "{\"type\":\"sigstoreSigned\",\"fulcio\":{\"caData\":\"YQ==\",\"oidcIssuer\":"
         "\"https://i\",\"subjectEmail\":\"a@b\"},\"rekorPublicKeyData\":\"Yw==\","
         "\"signedIdentity\":{\"type\":\"exactRepository\",\"dockerRepository\":\"busybox\"}}"},
        {"pki",
         "{\"rootOfTrust\":{\"policyType\":\"PKI\",\"pki\":{\"caRootsData\":\"YQ==\","
         "\"pkiCertificateSubject\":{\"hostname\":\"h\"}}},\"signedIdentity\":{\"matchPolicy\":"
         "\"RemapIdentity\",\"remapIdentity\":{\"prefix\":\"a.io/x\",\"signedPrefix\":\"b.io\"}}}",
         "{\"type\":\"sigstoreSigned\",\"pki\":{\"caRootsData\":\"YQ==\",\"subjectHostname\":"
         "\"h\"},\"signedIdentity\":{\"type\":\"remapIdentity\",\"prefix\":\"a.io/x\","
         "\"signedPrefix\":\"b.io\"}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_json *requirement = NULL;
        auto_free char *text = NULL;

        if (!make(rows[i].policy, &requirement, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        text = json_dumps(requirement, JSON_COMPACT);
        if (strcmp(text, rows[i].requirement) != 0)
            fail_msg("%s: got %s", rows[i].label, text);
    }
}

static void signature_refuses(void **state)
{
    static const struct signature_row rows[] = {
        {"no type", "{}", "spec.policy.rootOfTrust.policyType: \"\": policyType is"},
        {"unknown type", "{\"rootOfTrust\":{\"policyType\":\"Trust\"}}", "\"Trust\""},
        {"type of another type", "{\"rootOfTrust\":{\"policyType\":5}}",
         "rootOfTrust.policyType: must be a string"},
        {"root that is a list", "{\"rootOfTrust\":[]}",
         "spec.policy.rootOfTrust: must be an object"},
        {"not base64",
         "{\"rootOfTrust\":{\"policyType\":\"PublicKey\",\"publicKey\":{\"keyData\":\"a b\"}}}",
         "spec.policy.rootOfTrust.publicKey.keyData: not valid base64"},
        {"no subject",
         "{\"rootOfTrust\":{\"policyType\":\"PKI\",\"pki\":{\"caRootsData\":\"YQ==\"}}}",
         "spec.policy.rootOfTrust.pki.pkiCertificateSubject: one of email and hostname is "
         "required"},
        {"match policy",
         "{\"rootOfTrust\":{\"policyType\":\"PublicKey\"},\"signedIdentity\":{\"matchPolicy\":"
         "\"Exact\"}}",
         "spec.policy.signedIdentity.matchPolicy: \"Exact\""},
        {"exact repository",
         "{\"rootOfTrust\":{\"policyType\":\"PublicKey\"},\"signedIdentity\":{\"matchPolicy\":"
         "\"ExactRepository\",\"exactRepository\":{\"repository\":\"A\"}}}",
         "spec.policy.signedIdentity.exactRepository.repository: \"A\": not an image repository"},
        {"remap",
         "{\"rootOfTrust\":{\"policyType\":\"PublicKey\"},\"signedIdentity\":{\"matchPolicy\":"
         "\"RemapIdentity\",\"remapIdentity\":{\"prefix\":\"a.io/X\",\"signedPrefix\":\"b\"}}}",
         "spec.policy.signedIdentity.remapIdentity.prefix: \"a.io/X\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_json *requirement = NULL;

        if (make(rows[i].policy, &requirement, &err))
            fail_msg("%s: was taken", rows[i].label);
        if (!strstr(err.text, rows[i].requirement) || !mir_starts_with(err.text, "spec.policy"))
            fail_msg("%s: %s", rows[i].label, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_follows_the_lists),
        cmocka_unit_test(policy_appends_signatures),
        cmocka_unit_test(policy_is_encoded_to_the_byte),
        cmocka_unit_test(signature_makes_one_requirement),
        cmocka_unit_test(signature_refuses),
    };

    return cmocka_run_group_tests_name("icsp/policy_json", tests, NULL, NULL);
}
