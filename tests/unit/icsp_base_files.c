/*
 * Base files: registries.conf and policy.json as users write them, read and written again, and what
 * is refused with its place.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "icsp/policy_priv.h"
#include "icsp/registries_priv.h"

static bool read_registries(const char *text, struct icsp_registries *out,
                            struct icsp_findings *findings, struct mir_error *err)
{
    icsp_registries_init(out, &icsp_generation_current);
    return icsp_registries_read(out, mir_span_of(text), "r.conf", findings, err);
}

static void base_registries_are_read_and_written_again(void **state)
{
#define MODES "short-name-mode = \"\"\nadditional-layer-store-auth-helper = \"\"\n"
    static const struct {
        const char *label, *in, *out;
    } rows[] = {
        {"nothing", "", MODES},
        {"the usual file", "unqualified-search-registries = ['a.io', 'b.io']",
         "unqualified-search-registries = [\"a.io\", \"b.io\"]\n" MODES},
        {"an empty list is kept", "credential-helpers = []", "credential-helpers = []\n" MODES},
        {"strings of all kinds",
         "short-name-mode = \"\"\"\nen\\\n   forcing\"\"\"\n"
         "\"additional-layer-store-auth-helper\" = '''a'b'''",
         "short-name-mode = \"enforcing\"\nadditional-layer-store-auth-helper = \"a'b\"\n"},
        {"false flags and comments go",
         "[[registry]] # one\nlocation = \"a.io\" # two\ninsecure = false\nblocked = true\n",
         MODES "\n[[registry]]\n  prefix = \"\"\n  location = \"a.io\"\n  blocked = true\n"},
        {"keys in another order",
         "[[registry]]\nmirror-by-digest-only = true\nlocation = \"a.io\"\nprefix = \"p.io\"\n",
         MODES "\n[[registry]]\n  prefix = \"p.io\"\n  location = \"a.io\"\n"
               "  mirror-by-digest-only = true\n"},
        {"inline tables", "registry = [{location = \"a.io\", mirror = [{location = \"m.io\"}]}]",
         MODES "\n[[registry]]\n  prefix = \"\"\n  location = \"a.io\"\n"
               "\n  [[registry.mirror]]\n    location = \"m.io\"\n"},
        {"what mirrors are for",
         "[[registry]]\nlocation = \"a.io\"\n"
         "[[registry.mirror]]\nlocation = \"1.io\"\npull-from-mirror = \"all\"\n"
         "[[registry.mirror]]\nlocation = \"2.io\"\npull-from-mirror = \"digest-only\"\n"
         "[[registry.mirror]]\nlocation = \"3.io\"\npull-from-mirror = \"\"\ninsecure = true\n",
         MODES "\n[[registry]]\n  prefix = \"\"\n  location = \"a.io\"\n"
               "\n  [[registry.mirror]]\n    location = \"1.io\"\n    pull-from-mirror = \"all\"\n"
               "\n  [[registry.mirror]]\n    location = \"2.io\"\n"
               "    pull-from-mirror = \"digest-only\"\n"
               "\n  [[registry.mirror]]\n    location = \"3.io\"\n    insecure = true\n"},
        {"aliases by name, quoted where needed",
         "[aliases]\nz = \"q.io/z\"\n\"a.b\" = \"q.io/a\"\n\"\" = \"e\"\n",
         MODES "\n[aliases]\n  \"\" = \"e\"\n  \"a.b\" = \"q.io/a\"\n  z = \"q.io/z\"\n"},
        {"a table of aliases without any", "aliases = {}", MODES "\n[aliases]\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_findings findings = {0};
        auto_registries registries;
        auto_buf out;

        mir_buf_init(&out, 4096);
        if (!read_registries(rows[i].in, &registries, &findings, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        icsp_registries_format(&registries, &out);
        if (strcmp(out.ptr, rows[i].out) != 0)
            fail_msg("%s: got\n%s", rows[i].label, out.ptr);
        assert_int_equal(findings.count, 0);
    }
#undef MODES
}

static void base_registries_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *in, *text;
    } rows[] = {
        {"a = ", "r.conf:1:"},
        {"unqualified-search-registries = 'a'",
         "r.conf:1:33: unqualified-search-registries: expected an array"},
        {"\nshort-name-mode = 1", "r.conf:2:19: short-name-mode: expected a string"},
        {"credential-helpers = ['a',\n 1]", "r.conf:2:2: credential-helpers"},
        {"registry = 1", "r.conf:1:12: registry: expected an array"},
        {"[registry]\nlocation = 'a'", "r.conf:1:1: registry: expected an array"},
        {"[[registry]]\ninsecure = 'yes'", "r.conf:2:12: insecure: expected a boolean"},
        {"[[registry]]\n[registry.mirror]\n", "r.conf:2:1: mirror: expected an array"},
        {"[[registry]]\n[[registry.mirror]]\npull-from-mirror = 'none'",
         "r.conf:3:20: pull-from-mirror: \"none\" is none of all, digest-only, tag-only"},
        {"[aliases]\na = ['b']", "r.conf:2:5: alias a: expected a string, found an array"},
        {"[aliases]\n\"a\\u0000\" = 'b'", "r.conf:2:1: alias with a NUL"},
        {"[registries.search]\nregistries = []", "r.conf:1:2: [registries...] is version 1"},
        {"registries = 1", "r.conf:1:1: [registries...] is version 1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_findings findings = {0};
        auto_registries registries;

        if (read_registries(rows[i].in, &registries, &findings, &err))
            fail_msg("taken: %s", rows[i].in);
        if (strncmp(err.text, rows[i].text, strlen(rows[i].text)) != 0)
            fail_msg("%s: got %s", rows[i].in, err.text);
    }
}

static void base_registries_with_unknown_keys_are_warned_of(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_registries registries;

    (void)state;
    assert_true(read_registries("a = 1\n[[registry]]\nb = 2\n[[registry.mirror]]\nc = 3\n"
                                "[aliases]\nd = 'e'\n",
                                &registries, &findings, &err));
    assert_int_equal(findings.count, 3);
    for (size_t i = 0; i < 3; i++) {
        const char field[] = {(char)('a' + i), '\0'};

        assert_int_equal(findings.items[i].severity, ICSP_WARNING);
        assert_string_equal(findings.items[i].field, field);
        assert_string_equal(findings.items[i].file, "r.conf");
        assert_int_equal(findings.items[i].line, 1 + 2 * i);
    }
}

static void base_policy_is_read_in_the_order_of_the_operator(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {icsp_base_policy,
         "{\"default\":[{\"type\":\"insecureAcceptAnything\"}],\"transports\":{\"docker-daemon\":"
         "{\"\":[{\"type\":\"insecureAcceptAnything\"}]}}}"},
        {"{\"default\": [{\"type\": \"reject\"}]}",
         "{\"default\":[{\"type\":\"reject\"}],\"transports\":{}}"},
        {"{\"transports\": {\"b\": {}, \"a\": {\"z\": [{\"signedIdentity\": {\"dockerRepository\": "
         "\"r\", \"type\": \"exactRepository\"}, \"keyPaths\": [\"1\", \"0\"], \"type\": "
         "\"sigstoreSigned\"}]}}, \"default\": [{\"new\": 1, \"keyPath\": \"k\", \"type\": "
         "\"signedBy\"}]}",
         "{\"default\":[{\"type\":\"signedBy\",\"keyPath\":\"k\",\"signedIdentity\":"
         "{\"type\":\"matchRepoDigestOrExact\"},\"new\":1}],\"transports\":{\"a\":{\"z\":[{"
         "\"type\":"
         "\"sigstoreSigned\",\"keyPaths\":[\"1\",\"0\"],\"signedIdentity\":{\"type\":"
         "\"exactRepository\",\"dockerRepository\":\"r\"}}]},\"b\":{}}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_json *policy = NULL;
        auto_buf out;

        mir_buf_init(&out, 4096);
        if (!icsp_policy_read(mir_span_of(rows[i].in), "p.json", &policy, &err))
            fail_msg("%s: %s", rows[i].in, err.text);
        icsp_policy_format(policy, (struct icsp_json_style){0}, &out);
        assert_string_equal(out.ptr, rows[i].out);
    }
}

static void base_policy_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *in, *text;
    } rows[] = {
        {"", "p.json:1:"},
        {"{\"default\": [],}", "p.json:1:"},
        {"[]", "p.json:1: policy: must be an object"},
        {"{}", "p.json:1: policy: \"default\" is missing"},
        {"{\"default\": [{\"type\":\"reject\"}],\n\"Transports\": {}}",
         "p.json:2: Transports: unknown"},
        {"{\n\"default\": {}}", "p.json:2: default: must be a list"},
        {"{\n\"default\": []}", "p.json:2: default: must be a list of at least one"},
        {"{\n\"default\": [\n{\"type\": 1}]}", "p.json:3: default: a requirement"},
        {"{\"default\": [{\"type\":\"reject\"}],\n\"transports\": []}",
         "p.json:2: transports: must be an object"},
        {"{\"default\": [{\"type\":\"reject\"}],\n\"transports\": {\n\"docker\": 1}}",
         "p.json:3: docker: must be an object of scopes"},
        {"{\"default\": [{\"type\":\"reject\"}],\n\"transports\": {\n\"docker\": {\n\"a\": null}}}",
         "p.json:4: a: must be a list"},
        {"{\"default\": [{\"type\":\"reject\"}], \"default\": 1}", "p.json:1:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_json *policy = NULL;

        if (icsp_policy_read(mir_span_of(rows[i].in), "p.json", &policy, &err))
            fail_msg("taken: %s", rows[i].in);
        if (strncmp(err.text, rows[i].text, strlen(rows[i].text)) != 0)
            fail_msg("%s: got %s", rows[i].in, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_registries_are_read_and_written_again),
        cmocka_unit_test(base_registries_are_refused_with_their_place),
        cmocka_unit_test(base_registries_with_unknown_keys_are_warned_of),
        cmocka_unit_test(base_policy_is_read_in_the_order_of_the_operator),
        cmocka_unit_test(base_policy_is_refused_with_its_place),
    };

    return cmocka_run_group_tests_name("icsp/base_files", tests, NULL, NULL);
}
