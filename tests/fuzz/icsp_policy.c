/*
 * Any text as the policy.json that the compiler starts from: refused with a reason, or the result
 * is a policy again, has the scopes of our objects, and keeps what other transports had, in the
 * layout of every generation.
 */
#include <stdint.h>

#include "base/mem.h"
#include "base/tree.h"
#include "icsp/policy_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char objects_text[] =
    "apiVersion: config.openshift.io/v1\n"
    "kind: Image\n"
    "metadata: {name: cluster}\n"
    "spec: {registrySources: {blockedRegistries: [b.io, b.io/1/2/3]}}\n"
    "---\n"
    "apiVersion: config.openshift.io/v1\n"
    "kind: ImagePolicy\n"
    "metadata: {name: p, namespace: ns}\n"
    "spec: {scopes: [s.io/x], policy: {rootOfTrust: {policyType: PublicKey, publicKey: {keyData: "
    "a2V5}}}}\n";

static json_t *read_back(const struct icsp_files *files, const char *path)
{
    const struct icsp_file *file = icsp_files_find(files, path);
    struct mir_error err = MIR_ERROR_INIT;
    json_t *policy = NULL;

    if (!file || !icsp_policy_read(mir_span(file->data, file->len), "written", &policy, &err)) {
        (void)fprintf(stderr, "%s: %s\n", path, err.text);
        abort();
    }
    return policy;
}

/* What only the base file decides is as it was. */
static void check_kept(json_t *base, json_t *policy)
{
    json_t *before = json_object_get(base, "transports");
    json_t *after = json_object_get(policy, "transports");
    const char *name;
    const json_t *scopes;

    json_object_foreach (before, name, scopes)
        if (strcmp(name, "docker") != 0 && strcmp(name, "atomic") != 0 &&
            !json_equal(scopes, json_object_get(after, name)))
            abort();
    if (!json_object_get(json_object_get(after, "docker"), "b.io"))
        abort();
}

static bool compile(struct icsp_options *options, struct icsp_files *files)
{
    struct icsp_objects *objects = icsp_objects_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *documents = NULL;
    auto_findings findings = {0};
    bool ok = mir_yaml_parse(mir_span_of(objects_text), "objects", &documents, &err) &&
              icsp_objects_add(objects, documents, "objects", &findings, &err);

    if (!ok)
        abort();
    ok = icsp_compile(objects, options, files, &findings, &err);
    icsp_objects_free(objects);
    if (!ok && !strstr(err.text, "fuzz"))
        abort();
    return ok;
}

static void check_generation(const char *name, struct mir_span text, json_t *base)
{
    struct icsp_base_file file = {.name = "fuzz", .text = text};
    struct icsp_options options = {.generation = icsp_generation_find(name), .base_policy = &file};
    auto_files files = {0};
    auto_json *policy = NULL;

    if (compile(&options, &files) != !!base)
        abort();
    if (!base)
        return;
    policy = read_back(&files, "etc/containers/policy.json");
    check_kept(base, policy);
    if (icsp_files_find(&files, "etc/crio/policies/ns.json")) {
        auto_json *of_namespace = read_back(&files, "etc/crio/policies/ns.json");

        check_kept(base, of_namespace);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const generations[] = {"4.6", "4.14", "4.18", "current"};
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *base = NULL;

    if (!icsp_policy_read(mir_span(data, size), "fuzz", &base, &err) && !err.text[0])
        abort();
    for (size_t i = 0; i < sizeof(generations) / sizeof(generations[0]); i++)
        check_generation(generations[i], mir_span(data, size), base);
    return 0;
}
