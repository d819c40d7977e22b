/*
 * Looking images up: what is refused and with which words, who is named for it, where files are
 * found, and what the policy says of files and folders. Places and verdicts themselves are compared
 * row by row in icsp_lookup_golden.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "icsp/lookup.h"
#include "lib/scratch.h"

/* ---- registries.conf ---- */

static void lookup_says_what_is_wrong_with_registries_conf_and_where(void **state)
{
    static const struct {
        const char *label, *text, *error;
    } rows[] = {
        {"scheme", "[[registry]]\n\nlocation = 'http://q.io'",
         "r.conf:1: \"http://q.io\": a location has no http://"},
        {"scheme of a prefix", "[[registry]]\nlocation = 'q.io'\nprefix = 'https://q.io'",
         "r.conf:1: \"https://q.io\": a location has no http://"},
        {"scheme of a mirror",
         "[[registry]]\nlocation = 'q.io'\n[[registry.mirror]]\nlocation = 'http://m.io'",
         "r.conf:3: \"http://m.io\""},
        {"nothing in it", "[[registry]]\n", "r.conf:1: a registry without a location"},
        {"prefix alone", "[[registry]]\nprefix = 'q.io'", "r.conf:1: a registry without a loc"},
        {"mirror without location", "[[registry]]\nlocation = 'q.io'\n[[registry.mirror]]",
         "r.conf:3: a mirror without a location"},
        {"wildcard with a port", "\n[[registry]]\nprefix = '*.q.io:5000'",
         "r.conf:2: \"*.q.io:5000\": a wildcard is *.DOMAIN alone"},
        {"wildcard as a location", "[[registry]]\nlocation = '*.q.io/a'", "r.conf:1: \"*.q.io/a\""},
        {"both digest marks",
         "[[registry]]\nlocation = 'q.io'\nmirror-by-digest-only = true\n"
         "[[registry.mirror]]\nlocation = 'm.io'\npull-from-mirror = 'tag-only'",
         "r.conf:4: mirror \"m.io\": pull-from-mirror excludes mirror-by-digest-only"},
        {"pull of the registry", "[[registry]]\nlocation = 'q.io'\npull-from-mirror = 'all'",
         "r.conf:1: pull-from-mirror is for mirrors"},
        {"insecure twice",
         "[[registry]]\nlocation='q.io'\n[[registry]]\nlocation='q.io'\ninsecure=true",
         "r.conf:3: \"q.io\" stands here twice, with another \"insecure\" than in line 1"},
        {"blocked twice",
         "[[registry]]\nlocation='q.io/'\n[[registry]]\nlocation='q.io'\nblocked=true",
         "r.conf:3: \"q.io\" stands here twice, with another \"blocked\" than in line 1"},
        {"search", "unqualified-search-registries = ['q.io/a']",
         "r.conf: unqualified-search-registries: \"q.io/a\" is no host"},
        {"mode", "short-name-mode = 'none'", "r.conf: short-name-mode: \"none\" is none of"},
        {"alias name", "[aliases]\n'a:1' = 'q.io/a'", "r.conf: alias \"a:1\" is no name without"},
        {"alias target", "[aliases]\na = 'q.io/a@sha256:00'",
         "r.conf: alias a: \"q.io/a@sha256:00\""},
        {"mixture", "[registries.block]\nregistries=['b.io']\n[[registry]]\nlocation='q.io'",
         "r.conf: versions 1 ([registries...]) and 2 of registries.conf are mixed"},
        {"version 1 of a wrong type", "[registries.block]\nregistries='b.io'",
         "r.conf:2:12: registries: expected an array"},
        {"version 1 with a scheme", "[registries.block]\nregistries=['http://b.io']",
         "r.conf:2: \"http://b.io\""},
        {"version 1, nothing", "[registries.block]\nregistries=['']",
         "r.conf:2: a registry without"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_lookup *lookup = icsp_lookup_new();
        struct mir_error err = MIR_ERROR_INIT;

        if (icsp_lookup_add_registries(lookup, mir_span_of(rows[i].text), "r.conf", ICSP_CONF_MAIN,
                                       &err))
            fail_msg("%s: taken", rows[i].label);
        if (strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0)
            fail_msg("%s: got %s", rows[i].label, err.text);
        assert_false(icsp_lookup_has_registries(lookup));
    }
}

static void add(struct icsp_lookup *lookup, const char *name, enum icsp_conf_role role,
                const char *text)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (!icsp_lookup_add_registries(lookup, mir_span_of(text), name, role, &err))
        fail_msg("%s: %s", name, err.text);
}

static void lookup_names_the_file_and_line_of_the_entry_that_blocks(void **state)
{
    auto_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_conf_entry entry;
    auto_route route = {0};

    (void)state;
    add(lookup, "main.conf", ICSP_CONF_MAIN,
        "[[registry]]\nlocation = 'q.io'\n[[registry.mirror]]\nlocation = 'm.io'\n");
    add(lookup, "drop.conf", ICSP_CONF_DROP_IN,
        "\n\n[[registry]]\nprefix = 'm.io'\n"
        "location = 'm.io'\nblocked = true\n");
    assert_true(icsp_lookup_find(lookup, mir_span_of("q.io/a:1"), &route, &err));
    assert_string_equal(route.entry.file, "main.conf");
    assert_int_equal(route.entry.line, 1);
    assert_int_equal(route.place_count, 2);
    assert_true(route.places[0].is_mirror && route.places[0].blocked);
    assert_string_equal(route.places[0].blocked_by.prefix, "m.io");
    assert_string_equal(route.places[0].blocked_by.file, "drop.conf");
    assert_int_equal(route.places[0].blocked_by.line, 3);
    assert_false(route.places[1].is_mirror || route.places[1].blocked);
    assert_true(icsp_lookup_find_entry(lookup, mir_span_of("m.io/x"), &entry) && entry.blocked);
    assert_false(icsp_lookup_find_entry(lookup, mir_span_of("x.io/x"), &entry));
}

static void lookup_tells_which_mirrors_are_not_for_such_a_reference(void **state)
{
    auto_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_route by_tag = {0};
    auto_route by_digest = {0};

    (void)state;
    add(lookup, "main.conf", ICSP_CONF_MAIN,
        "[[registry]]\nlocation = 'q.io'\n"
        "[[registry.mirror]]\nlocation = 'd.io'\npull-from-mirror = 'digest-only'\n"
        "[[registry.mirror]]\nlocation = 't.io'\npull-from-mirror = 'tag-only'\n");
    assert_true(icsp_lookup_find(lookup, mir_span_of("q.io/a:1"), &by_tag, &err));
    assert_int_equal(by_tag.skipped_count, 1);
    assert_string_equal(by_tag.skipped[0].location, "d.io");
    assert_true(by_tag.skipped[0].digest_only);
    assert_true(icsp_lookup_find(
        lookup,
        mir_span_of("q.io/"
                    "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        &by_digest, &err));
    assert_int_equal(by_digest.skipped_count, 1);
    assert_string_equal(by_digest.skipped[0].location, "t.io");
    assert_false(by_digest.skipped[0].digest_only);
}

static void lookup_says_which_location_makes_no_reference(void **state)
{
    auto_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_route route = {0};

    (void)state;
    add(lookup, "main.conf", ICSP_CONF_MAIN,
        "[[registry]]\nlocation = 'q.io/a'\n[[registry.mirror]]\nlocation = 'm.io'\n");
    assert_true(icsp_lookup_find(lookup, mir_span_of("q.io/a:1"), &route, &err));
    assert_int_equal(route.place_count, 0);
    assert_string_equal(route.trouble.text, "main.conf:3: location \"m.io\" makes \"m.io:1\", "
                                            "which is no image reference");
    assert_false(icsp_lookup_find(lookup, mir_span_of("q.io/A"), &route, &err));
    assert_string_equal(err.text, "\"q.io/A\" is no image reference");
}

static void lookup_keeps_the_last_list_of_credential_helpers(void **state)
{
    auto_lookup *lookup = icsp_lookup_new();
    const char *const *helpers;
    size_t count;

    (void)state;
    assert_null(icsp_lookup_helpers(lookup, &count));
    assert_int_equal(count, 0);
    add(lookup, "main.conf", ICSP_CONF_MAIN, "credential-helpers = ['one', 'two']");
    add(lookup, "1.conf", ICSP_CONF_DROP_IN, "[[registry]]\nlocation = 'q.io'\n");
    helpers = icsp_lookup_helpers(lookup, &count);
    assert_int_equal(count, 2);
    assert_string_equal(helpers[1], "two");
    add(lookup, "2.conf", ICSP_CONF_DROP_IN, "credential-helpers = ['three']");
    helpers = icsp_lookup_helpers(lookup, &count);
    assert_int_equal(count, 1);
    assert_string_equal(helpers[0], "three");
}

/* ---- where files are ---- */

static void put(const char *folder, const char *name, const char *text)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *path = mir_format("%s/%s", folder, name);

    if (!mir_make_parent_dirs(path, &err) || !mir_file_write(path, mir_span_of(text), 0644, &err))
        fail_msg("%s", err.text);
}

#define ENTRY(name) "[[registry]]\nlocation = '" name ".io'\n"

static bool knows(const struct icsp_lookup *lookup, const char *repo)
{
    struct icsp_conf_entry entry;

    return icsp_lookup_find_entry(lookup, mir_span_of(repo), &entry);
}

static struct icsp_lookup *load(const char *conf, const char *folder)
{
    struct icsp_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;

    if (!icsp_lookup_load_registries(lookup, conf, folder, &err))
        fail_msg("%s", err.text);
    return lookup;
}

static void lookup_finds_files_as_the_runtime_does(void **state)
{
    auto_scratch *scratch = scratch_new();
    const char *home = scratch;
    auto_free char *given = mir_format("%s/given.conf", home);
    auto_free char *folder = mir_format("%s/folder", home);
    auto_lookup *own = NULL;
    auto_lookup *named = NULL;
    auto_lookup *alone = NULL;
    auto_lookup *by_variable = NULL;

    (void)state;
    put(home, ".config/containers/registries.conf", ENTRY("own"));
    put(home, ".config/containers/registries.conf.d/b.conf", ENTRY("drop"));
    put(home, ".config/containers/registries.conf.d/b.conf.bak", ENTRY("bak"));
    put(home, ".config/containers/registries.conf.d/sub.conf/c.conf", ENTRY("sub"));
    put(home, "given.conf", ENTRY("given"));
    put(home, "folder/x.conf", ENTRY("folder"));
    assert_int_equal(setenv("HOME", home, 1), 0);
    assert_int_equal(unsetenv("CONTAINERS_REGISTRIES_CONF"), 0);
    own = load(NULL, NULL);
    assert_true(knows(own, "own.io/a") && knows(own, "drop.io/a"));
    assert_false(knows(own, "bak.io/a") || knows(own, "sub.io/a") || knows(own, "given.io/a"));
    named = load(given, folder);
    assert_true(knows(named, "given.io/a") && knows(named, "folder.io/a"));
    assert_false(knows(named, "own.io/a") || knows(named, "drop.io/a"));
    alone = load(given, "");
    assert_true(knows(alone, "given.io/a") && !knows(alone, "drop.io/a"));
    assert_int_equal(setenv("CONTAINERS_REGISTRIES_CONF", given, 1), 0);
    by_variable = load(NULL, NULL);
    assert_true(knows(by_variable, "given.io/a") && knows(by_variable, "drop.io/a"));
    assert_false(knows(by_variable, "own.io/a"));
    assert_int_equal(unsetenv("CONTAINERS_REGISTRIES_CONF"), 0);
}

static void lookup_names_a_file_that_cannot_be_read(void **state)
{
    auto_scratch *scratch = scratch_new();
    const char *home = scratch;
    auto_free char *missing = mir_format("%s/missing.conf", home);
    auto_free char *bad = mir_format("%s/folder", home);
    auto_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    put(home, "folder/bad.conf", "a =");
    assert_false(icsp_lookup_load_registries(lookup, missing, "", &err));
    assert_non_null(strstr(err.text, "/missing.conf: No such file"));
    mir_error_clear(&err);
    assert_false(icsp_lookup_load_registries(lookup, "/dev/null", bad, &err));
    assert_non_null(strstr(err.text, "/folder/bad.conf:1:"));
    mir_error_clear(&err);
    assert_false(icsp_lookup_load_policy(lookup, missing, &err));
    assert_non_null(strstr(err.text, "/missing.conf: No such file"));
    mir_error_clear(&err);
    assert_false(icsp_lookup_load_policy(lookup, "/dev/null", &err));
    assert_non_null(strstr(err.text, "/dev/null:1:"));
}

/* ---- policy.json ---- */

#define ACCEPT  "[{\"type\": \"insecureAcceptAnything\"}]"
#define WITH(x) "{\"default\": [" x "]}"
#define SCOPED(t, s)                                                                               \
    "{\"default\": " ACCEPT ", \"transports\": {\"" t "\": {\"" s "\": " ACCEPT "}}}"
#define SIGNED(x)   WITH("{\"type\": \"signedBy\", \"keyType\": \"GPGKeys\"" x "}")
#define STORE(x)    WITH("{\"type\": \"sigstoreSigned\"" x "}")
#define IDENTITY(x) STORE(", \"keyPath\": \"/k\", \"signedIdentity\": " x)
#define FULCIO(x)                                                                                  \
    STORE(", \"rekorPublicKeyData\": \"a2V5\", \"fulcio\": {\"oidcIssuer\": \"https://i\", "       \
          "\"subjectEmail\": \"e@x\"" x "}")

static void lookup_takes_every_policy_the_library_takes(void **state)
{
    static const char *const rows[] = {
        WITH("{\"type\": \"reject\"}"),
        SIGNED(", \"keyPath\": \"/k\""),
        SIGNED(", \"keyData\": \"a2V5\", \"signedIdentity\": {\"type\": \"matchExact\"}"),
        SIGNED(", \"keyPaths\": [\"/k\", \"/l\"]"),
        WITH("{\"type\": \"signedBaseLayer\", \"baseLayerIdentity\": {\"type\": "
             "\"matchRepository\"}}"),
        STORE(", \"keyPath\": \"/k\""),
        STORE(", \"keyDatas\": [\"a2V5\", \"a2V5\"], \"rekorPublicKeyPath\": \"/r\""),
        FULCIO(", \"caPath\": \"/c\""),
        FULCIO(", \"caData\": \"a2V5\""),
        STORE(", \"pki\": {\"caRootsData\": \"a2V5\", \"subjectHostname\": \"h\"}"),
        STORE(", \"pki\": {\"caRootsPath\": \"/c\", \"caIntermediatesPath\": \"/i\", "
              "\"subjectEmail\": \"e@x\", \"subjectHostname\": \"h\"}"),
        IDENTITY("{\"type\": \"matchRepoDigestOrExact\"}"),
        IDENTITY("{\"type\": \"exactReference\", \"dockerReference\": \"q.io/a:1\"}"),
        IDENTITY("{\"type\": \"exactRepository\", \"dockerRepository\": \"q.io/a\"}"),
        IDENTITY("{\"type\": \"remapIdentity\", \"prefix\": \"m.io:5000\", "
                 "\"signedPrefix\": \"q.io/ns\"}"),
        SCOPED("docker", "anything at all"),
        SCOPED("atomic", "q.io/a/b:1"),
        SCOPED("dir", "/a/b"),
        SCOPED("oci", "/a"),
        SCOPED("oci-archive", "/a.tar"),
        SCOPED("docker-archive", ""),
        SCOPED("nobody-knows", "x"),
        "{\"default\": " ACCEPT ", \"transports\": {}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_lookup *lookup = icsp_lookup_new();
        struct mir_error err = MIR_ERROR_INIT;

        if (!icsp_lookup_set_policy(lookup, mir_span_of(rows[i]), "p.json", &err))
            fail_msg("%s: %s", rows[i], err.text);
        assert_true(icsp_lookup_has_policy(lookup));
    }
}

static void lookup_refuses_what_the_library_refuses_in_a_policy(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"{", "p.json:1:"},
        {"[]", "p.json:1: policy: must be an object"},
        {"{}", "p.json:1: policy: \"default\" is missing"},
        {"{\"default\": []}", "p.json:1: default: must be a list of at least one"},
        {"{\"default\": " ACCEPT ",\n\"default\": " ACCEPT "}", "p.json:"},
        {"{\"default\": " ACCEPT ",\n\"transport\": {}}", "p.json:2: transport: unknown key"},
        {WITH("{\"type\": \"accept\"}"), "p.json:1: unknown requirement type \"accept\""},
        {WITH("{\"type\": \"reject\",\n\"why\": \"x\"}"),
         "p.json:2: unknown key \"why\" in reject"},
        {WITH("{}"), "p.json:1: default: a requirement is an object with a \"type\""},
        {"{\"default\": " ACCEPT ", \"transports\": {\"docker\": {\"q.io\": []}}}",
         "p.json:1: q.io: must be a list of at least one requirement"},
        {SIGNED(""), "p.json:1: exactly one of \"keyPath\""},
        {SIGNED(", \"keyPath\": \"/k\", \"keyData\": \"a2V5\""), "p.json:1: exactly one of"},
        {SIGNED(", \"keyPath\": \"\""), "p.json:1: \"keyPath\" has not the value"},
        {SIGNED(", \"keyData\": \"%%\""), "p.json:1: \"keyData\" has not the value"},
        {SIGNED(", \"keyPaths\": []"), "p.json:1: \"keyPaths\" has not the value"},
        {SIGNED(", \"keyPath\": \"/k\", \"keyDatas\": [\"a2V5\"]"),
         "p.json:1: unknown key \"keyDatas\""},
        {WITH("{\"type\": \"signedBy\", \"keyType\": \"PGP\", \"keyPath\": \"/k\"}"),
         "p.json:1: \"keyType\" has not the value"},
        {WITH("{\"type\": \"signedBy\", \"keyPath\": \"/k\"}"), "p.json:1: \"keyType\" is missing"},
        {WITH("{\"type\": \"signedBaseLayer\"}"), "p.json:1: \"baseLayerIdentity\" is missing"},
        {STORE(", \"keyPath\": \"/k\", \"rekorPublicKeyPath\": \"/r\", \"rekorPublicKeyData\": "
               "\"a2V5\""),
         "p.json:1: at most one of \"rekorPublicKeyPath\""},
        {FULCIO(""), "p.json:1: exactly one of \"caPath\""},
        {STORE(
             ", \"fulcio\": {\"caPath\": \"/c\", \"oidcIssuer\": \"i\", \"subjectEmail\": \"e\"}"),
         "p.json:1: \"fulcio\" needs a \"rekorPublicKey"},
        {STORE(", \"pki\": {\"caRootsPath\": \"/c\"}"), "p.json:1: \"subjectEmail\" or another"},
        {STORE(", \"fulcio\": 1"), "p.json:1: fulcio must be an object"},
        {IDENTITY("{\"type\": \"any\"}"), "p.json:1: unknown identity type \"any\""},
        {IDENTITY("{}"), "p.json:1: identity without a \"type\""},
        {IDENTITY("{\"type\": \"exactReference\", \"dockerReference\": \"q.io/a\"}"),
         "p.json:1: \"dockerReference\" has not the value"},
        {IDENTITY("{\"type\": \"exactRepository\", \"dockerRepository\": \"q.io/a:1\"}"),
         "p.json:1: \"dockerRepository\" has not the value"},
        {IDENTITY("{\"type\": \"remapIdentity\", \"prefix\": \"q.io/a:1\", \"signedPrefix\": "
                  "\"q.io\"}"),
         "p.json:1: \"prefix\" has not the value"},
        {IDENTITY("{\"type\": \"matchExact\", \"x\": 1}"),
         "p.json:1: unknown key \"x\" in matchExact"},
        {SCOPED("atomic", "q.io/a/b/c"),
         "p.json:1: \"q.io/a/b/c\" is no scope of transport atomic"},
        {SCOPED("atomic", "q.io/a:1/b"), "p.json:1: \"q.io/a:1/b\" is no scope"},
        {SCOPED("dir", "a/b"), "p.json:1: \"a/b\" is no scope of transport dir"},
        {SCOPED("dir", "/"), "p.json:1: \"/\" is no scope"},
        {SCOPED("oci", "/a/../b"), "p.json:1: \"/a/../b\" is no scope"},
        {SCOPED("oci-archive", "/a//b"), "p.json:1: \"/a//b\" is no scope"},
        {SCOPED("docker-archive", "/a"),
         "p.json:1: \"/a\" is no scope of transport docker-archive"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_lookup *lookup = icsp_lookup_new();
        struct mir_error err = MIR_ERROR_INIT;

        if (icsp_lookup_set_policy(lookup, mir_span_of(rows[i].text), "p.json", &err))
            fail_msg("taken: %s", rows[i].text);
        if (strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0)
            fail_msg("%s: got %s", rows[i].text, err.text);
        assert_false(icsp_lookup_has_policy(lookup));
    }
}

static void lookup_judges_files_by_their_path_and_says_what_decided(void **state)
{
    static const char policy[] =
        "{\"default\": [{\"type\": \"reject\"}], \"transports\": {"
        "\"oci-archive\": {\"/in\": " ACCEPT ", \"/in/bad.tar\": [{\"type\": \"reject\"}], "
        "\"/in/signed\": [{\"type\": \"signedBy\", \"keyType\": \"GPGKeys\", \"keyPath\": "
        "\"/k\"}]}, "
        "\"oci\": {\"\": " ACCEPT "}}}";
    static const struct {
        const char *transport, *path, *verdict, *by, *scope;
    } rows[] = {
        {"oci-archive", "/in/a.tar", "accept", "oci-archive", "/in"},
        {"oci-archive", "/in/sub/a.tar", "accept", "oci-archive", "/in"},
        {"oci-archive", "/in/bad.tar", "reject", "oci-archive", "/in/bad.tar"},
        {"oci-archive", "/in/signed/a.tar", "signature", "oci-archive", "/in/signed"},
        {"oci-archive", "/inn/a.tar", "reject", NULL, NULL},
        {"oci-archive", NULL, "reject", NULL, NULL},
        {"oci", "/anywhere", "accept", "oci", ""},
        {"oci", NULL, "accept", "oci", ""},
        {"dir", "/in", "reject", NULL, NULL},
    };
    auto_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_judgement got;

    (void)state;
    icsp_lookup_judge_path(lookup, "oci", "/a", &got);
    assert_int_equal(got.verdict, ICSP_VERDICT_ACCEPT);
    assert_null(got.file);
    assert_true(icsp_lookup_set_policy(lookup, mir_span_of(policy), "p.json", &err));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        icsp_lookup_judge_path(lookup, rows[i].transport, rows[i].path, &got);
        if (strcmp(icsp_verdict_name(got.verdict), rows[i].verdict) != 0)
            fail_msg("%s %s: %s", rows[i].transport, rows[i].path, icsp_verdict_name(got.verdict));
        assert_string_equal(got.file, "p.json");
        if (rows[i].by) {
            assert_string_equal(got.transport, rows[i].by);
            assert_string_equal(got.scope, rows[i].scope);
        } else {
            assert_null(got.transport);
            assert_null(got.scope);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_says_what_is_wrong_with_registries_conf_and_where),
        cmocka_unit_test(lookup_names_the_file_and_line_of_the_entry_that_blocks),
        cmocka_unit_test(lookup_tells_which_mirrors_are_not_for_such_a_reference),
        cmocka_unit_test(lookup_says_which_location_makes_no_reference),
        cmocka_unit_test(lookup_keeps_the_last_list_of_credential_helpers),
        cmocka_unit_test(lookup_finds_files_as_the_runtime_does),
        cmocka_unit_test(lookup_names_a_file_that_cannot_be_read),
        cmocka_unit_test(lookup_takes_every_policy_the_library_takes),
        cmocka_unit_test(lookup_refuses_what_the_library_refuses_in_a_policy),
        cmocka_unit_test(lookup_judges_files_by_their_path_and_says_what_decided),
    };

    return cmocka_run_group_tests_name("icsp/lookup", tests, NULL, NULL);
}
