/*
 * Generations: the table itself, what each row does to the steps of the compiler, and random
 * objects through all of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "icsp/guard_priv.h"
#include "icsp/policy_priv.h"
#include "icsp/registries_priv.h"

#define ROUNDS  2000
#define PAYLOAD "quay.io/okd/scos-release@sha256:" HEX16 HEX16 HEX16 HEX16
#define HEX16   "0123456789abcdef"

static const struct icsp_generation *generation(const char *name)
{
    const struct icsp_generation *found = icsp_generation_find(name);

    if (!found)
        fail_msg("no generation %s", name);
    return found;
}

static void generation_is_found_by_name(void **state)
{
    static const char *const names[] = {"4.6", "4.10", "4.12", "4.14", "4.18", "current"};
    static const char *const others[] = {"", "4", "4.1", "4.16", "4.180", "Current", " 4.6"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_string_equal(icsp_generation_name(i), names[i]);
        assert_non_null(icsp_generation_releases(i));
        assert_string_equal(generation(names[i])->name, names[i]);
    }
    assert_null(icsp_generation_name(6));
    assert_null(icsp_generation_releases(6));
    assert_ptr_equal(generation("current"), &icsp_generation_current);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (icsp_generation_find(others[i]))
            fail_msg("\"%s\" was found", others[i]);
}

/* ---- building ---- */

static void entry_text(const struct icsp_registry *entry, struct mir_buf *out)
{
    mir_buf_printf(out, "%s%s%s%s%s%s", entry->prefix, entry->prefix[0] ? "@" : "", entry->location,
                   entry->blocked ? "!" : "", entry->insecure ? "~" : "",
                   entry->digest_only ? "#" : "");
    for (size_t i = 0; i < entry->mirror_count; i++)
        mir_buf_printf(out, ">%s%s", entry->mirrors[i].location,
                       entry->mirrors[i].pull == ICSP_PULL_DIGEST ? "#" : "");
    mir_buf_char(out, ' ');
}

/* source s.io has mirror m.io; *.i.io and s.io/i are insecure; x.i.io, s.io/i/b, b.io are blocked.
 */
static char *build(const struct icsp_generation *by)
{
    struct icsp_set set = {.source = "s.io"};
    const struct icsp_set *sets[] = {&set};
    auto_merged digest;
    struct icsp_merged tag = {0};
    auto_list blocked = {0};
    auto_list insecure = {0};
    auto_registries registries;
    struct icsp_registries_input input = {
        .digest = &digest, .tag = &tag, .blocked = &blocked, .insecure = &insecure};
    const char *wildcard;
    const char *nested;
    struct mir_buf text;

    icsp_list_add(&set.mirrors, "m.io");
    icsp_list_add(&insecure, "*.i.io");
    icsp_list_add(&insecure, "s.io/i");
    icsp_list_add(&blocked, "x.i.io");
    icsp_list_add(&blocked, "s.io/i/b");
    icsp_list_add(&blocked, "b.io");
    icsp_merge(sets, 1, &digest);
    icsp_registries_init(&registries, by);
    assert_true(icsp_registries_build(&registries, &input, &wildcard, &nested));
    mir_buf_init(&text, 4096);
    for (size_t i = 0; i < registries.count; i++)
        entry_text(registries.items[i], &text);
    icsp_list_release(&set.mirrors);
    return mir_buf_take(&text);
}

static void generation_decides_order_marks_and_inheritance(void **state)
{
    static const struct {
        const char *generation, *entries;
    } rows[] = {
        {"4.6", "s.io#>m.io *.i.io~ s.io/i~ x.i.io! s.io/i/b! b.io! "},
        {"4.10", "s.io#>m.io x.i.io!~ s.io/i/b!~ b.io! *.i.io@~ s.io/i~ "},
        {"4.12", "s.io#>m.io x.i.io!~ s.io/i/b!~#>m.io/i/b b.io! *.i.io@~ s.io/i~#>m.io/i "},
        {"4.14", "s.io>m.io# x.i.io!~ s.io/i/b!~>m.io/i/b# b.io! *.i.io@~ s.io/i~>m.io/i# "},
        {"4.18", "s.io>m.io# x.i.io!~ s.io/i/b!~>m.io/i/b# b.io! *.i.io@~ s.io/i~>m.io/i# "},
        {"current", "s.io>m.io# x.i.io!~ s.io/i/b!~>m.io/i/b# b.io! *.i.io@~ s.io/i~>m.io/i# "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *got = build(generation(rows[i].generation));

        if (strcmp(got, rows[i].entries) != 0)
            fail_msg("%s: got %s", rows[i].generation, got);
    }
}

/* ---- the guard ---- */

static void list_text(const struct icsp_list *list, struct mir_buf *out)
{
    for (size_t i = 0; i < list->count; i++)
        mir_buf_printf(out, "%s ", list->items[i]);
    mir_buf_text(out, "| ");
}

static void generation_decides_what_the_guard_leaves_out(void **state)
{
    static const struct {
        const char *generation, *mirror, *lists;
    } rows[] = {
        {"4.6", NULL, "quay.io quay.io/okd | quay.io quay.io/okd | "},
        {"4.10", "m.io/okd", "quay.io quay.io/okd | quay.io quay.io/okd | "},
        {"4.12", NULL, "| | "},
        {"4.12", "m.io/okd", "quay.io quay.io quay.io/okd | quay.io quay.io quay.io/okd | "},
        {"4.18", "quay.io/other", "| | "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct icsp_image_spec image = {0};
        struct icsp_set set = {.source = "quay.io/okd"};
        const struct icsp_set *sets[] = {&set};
        struct mir_error err = MIR_ERROR_INIT;
        auto_merged digest;
        auto_guarded guarded = {0};
        auto_findings findings = {0};
        auto_buf text;

        mir_buf_init(&text, 4096);
        icsp_list_add(&image.blocked, "quay.io");
        icsp_list_add(&image.blocked, "quay.io");
        icsp_list_add(&image.blocked, "quay.io/okd");
        if (rows[i].mirror)
            icsp_list_add(&set.mirrors, rows[i].mirror);
        icsp_merge(sets, rows[i].mirror ? 1 : 0, &digest);
        assert_true(icsp_guard(generation(rows[i].generation), &image, PAYLOAD, &digest, &guarded,
                               &findings, &err));
        list_text(&guarded.blocked, &text);
        list_text(&guarded.policy_blocked, &text);
        if (strcmp(text.ptr, rows[i].lists) != 0)
            fail_msg("%s, %s: got %s", rows[i].generation, rows[i].mirror, text.ptr);
        icsp_list_release(&image.blocked);
        icsp_list_release(&set.mirrors);
    }
}

/* ---- bytes ---- */

static void generation_decides_the_escapes_of_toml(void **state)
{
    static const char text[] = "\"\\\t\n\r\b\f\x01\x7f\xc3\xa9";
    static const struct {
        const char *generation, *file;
    } rows[] = {
        {"4.6", "[[registry]]\n  prefix = \"\"\n"
                "  location = \"\\\"\\\\\\t\\n\\r\b\f\x01\x7f\xc3\xa9\"\n"},
        {"4.10", "short-name-mode = \"\"\n\n[[registry]]\n  prefix = \"\"\n"
                 "  location = \"\\\"\\\\\\t\\n\\r\\b\\f\\u0001\\u007f\xc3\xa9\"\n"},
        {"current", "short-name-mode = \"\"\nadditional-layer-store-auth-helper = \"\"\n"
                    "\n[[registry]]\n  prefix = \"\"\n"
                    "  location = \"\\\"\\\\\\t\\n\\r\\b\\f\\u0001\\u007f\xc3\xa9\"\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_registries registries;
        struct icsp_registry *entry;
        auto_buf out;

        icsp_registries_init(&registries, generation(rows[i].generation));
        mir_buf_init(&out, 4096);
        entry = icsp_registries_append(&registries);
        entry->prefix = mir_strdup("");
        entry->location = mir_strdup(text);
        icsp_registries_format(&registries, &out);
        if (strcmp(out.ptr, rows[i].file) != 0)
            fail_msg("%s: got %s", rows[i].generation, out.ptr);
    }
}

static void generation_decides_the_layout_of_json(void **state)
{
    static const struct {
        struct icsp_json_style style;
        const char *file;
    } rows[] = {
        {{.indent = 0},
         "{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"a\":{},"
         "\"b\":{\"\\u0008\\u000c\\t\":[]}}}"},
        {{.indent = 1, .short_escapes = true},
         "{\n \"default\": [\n  {\n   \"type\": \"reject\"\n  }\n ],\n \"transports\": {\n"
         "  \"a\": {},\n  \"b\": {\n   \"\\b\\f\\t\": []\n  }\n }\n}"},
        {{.indent = 2, .short_escapes = true},
         "{\n  \"default\": [\n    {\n      \"type\": \"reject\"\n    }\n  ],\n"
         "  \"transports\": {\n    \"a\": {},\n    \"b\": {\n      \"\\b\\f\\t\": []\n    }\n"
         "  }\n}"},
    };
    auto_json *policy = json_pack("{s:[{s:s}], s:{s:{s:[]}, s:{}}}", "default", "type", "reject",
                                  "transports", "b", "\b\f\t", "a");

    (void)state;
    assert_non_null(policy);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_buf out;

        mir_buf_init(&out, 4096);
        icsp_policy_format(policy, rows[i].style, &out);
        assert_string_equal(out.ptr, rows[i].file);
    }
}

/* ---- random objects ---- */

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static const char *any_scope(uint64_t *seed)
{
    static const char *const scopes[] = {
        "a.io",
        "a.io/x",
        "a.io/x/y",
        "a.io/x/y/z",
        "a.io:5000",
        "a.io:5000/x",
        "*.b.io",
        "x.b.io",
        "x.b.io/y",
        "*.x.b.io",
        "m.io",
        "m.io/m",
        "n.io:1/n",
        "quay.io",
        "quay.io/okd",
        "*.io",
        "",
        "*",
        "http://a",
        "a.io/X",
        "a.io/x:1",
        "a.io/\"q\"",
        "a\tb\\c",
        "\xc3\xa9.io",
        "a.io/<&>",
        "m.io/m/",
        "*.b.io/x",
        "localhost/a",
        "p.io/1/2/3",
        "/",
        "quay.io/okd/scos-release",
    };
    size_t count = sizeof(scopes) / sizeof(scopes[0]);

    /* Half of the time a name that every rule takes, so that much is accepted. */
    return scopes[next(seed) % (next(seed) % 2 ? 6 : count)];
}

static json_t *any_list(uint64_t *seed, unsigned most)
{
    json_t *list = json_array();

    for (unsigned i = next(seed) % (most + 1); i > 0; i--)
        json_array_append_new(list, json_string(any_scope(seed)));
    return list;
}

static json_t *any_image(uint64_t *seed)
{
    static const char *const fields[] = {"insecureRegistries", "blockedRegistries",
                                         "allowedRegistries", "containerRuntimeSearchRegistries"};
    json_t *sources = json_object();

    for (size_t i = 0; i < 4; i++)
        if (next(seed) % 3 == 0)
            json_object_set_new(sources, fields[i], any_list(seed, 3));
    return json_pack("{s:s, s:s, s:{s:s}, s:{s:o}}", "apiVersion", "config.openshift.io/v1", "kind",
                     "Image", "metadata", "name", "cluster", "spec", "registrySources", sources);
}

static json_t *any_sets(uint64_t *seed)
{
    static const char *const kinds[][3] = {
        {"operator.openshift.io/v1alpha1", "ImageContentSourcePolicy", "repositoryDigestMirrors"},
        {"config.openshift.io/v1", "ImageDigestMirrorSet", "imageDigestMirrors"},
        {"config.openshift.io/v1", "ImageTagMirrorSet", "imageTagMirrors"},
    };
    const char *const *kind = kinds[next(seed) % 3];
    json_t *list = json_array();

    for (unsigned i = next(seed) % 4; i > 0; i--) {
        json_t *set =
            json_pack("{s:s, s:o}", "source", any_scope(seed), "mirrors", any_list(seed, 3));

        if (next(seed) % 8 == 0)
            json_object_set_new(set, "mirrorSourcePolicy", json_string("NeverContactSource"));
        json_array_append_new(list, set);
    }
    return json_pack("{s:s, s:s, s:{s:s}, s:{s:o}}", "apiVersion", kind[0], "kind", kind[1],
                     "metadata", "name", "m", "spec", kind[2], list);
}

static json_t *any_policy(uint64_t *seed)
{
    bool cluster = next(seed) % 2;

    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[s], s:{s:{s:s, s:{s:s}}}}}", "apiVersion",
                     "config.openshift.io/v1", "kind",
                     cluster ? "ClusterImagePolicy" : "ImagePolicy", "metadata", "name", "p",
                     "namespace", "team", "spec", "scopes", any_scope(seed), "policy",
                     "rootOfTrust", "policyType", "PublicKey", "publicKey", "keyData", "YQ==");
}

static json_t *any_documents(uint64_t *seed)
{
    json_t *documents = json_array();

    json_array_append_new(documents, any_image(seed));
    for (unsigned i = next(seed) % 3; i > 0; i--)
        json_array_append_new(documents, any_sets(seed));
    for (unsigned i = next(seed) % 4; i > 2; i--)
        json_array_append_new(documents, any_policy(seed));
    return documents;
}

/* What is refused is said; warnings may come before and after. */
static bool has_error(const struct icsp_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].severity == ICSP_ERROR)
            return true;
    return false;
}

static bool compile(json_t *documents, const struct icsp_generation *by, struct icsp_files *files)
{
    struct icsp_options options = {.generation = by, .release_image = PAYLOAD};
    struct icsp_objects *objects = icsp_objects_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    bool ok = icsp_objects_add(objects, documents, "random", &findings, &err) &&
              icsp_compile(objects, &options, files, &findings, &err);

    icsp_objects_free(objects);
    assert_true(ok || err.text[0]);
    assert_true(ok || has_error(&findings));
    return ok;
}

/* What was written reads back to what gives the same bytes. */
static void check_registries(const struct icsp_file *file, const struct icsp_generation *by)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_registries registries;
    auto_buf again;

    icsp_registries_init(&registries, by);
    mir_buf_init(&again, 1u << 20);
    if (!icsp_registries_read(&registries, mir_span(file->data, file->len), "written", &findings,
                              &err))
        fail_msg("%s: %s\n%s", by->name, err.text, file->data);
    assert_int_equal(findings.count, 0);
    if (file->is_base)
        return;
    icsp_registries_format(&registries, &again);
    assert_string_equal(again.ptr, file->data);
}

static void check_policy(const struct icsp_file *file, const struct icsp_generation *by)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *policy = NULL;
    auto_buf again;

    mir_buf_init(&again, 1u << 20);
    if (!icsp_policy_read(mir_span(file->data, file->len), "written", &policy, &err))
        fail_msg("%s: %s\n%s", by->name, err.text, file->data);
    if (file->is_base)
        return;
    icsp_policy_format(policy, by->policy_style, &again);
    assert_string_equal(again.ptr, file->data);
}

static void generation_random_objects_are_refused_or_read_back(void **state)
{
    uint64_t seed = 3;
    size_t accepted[6] = {0};

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        auto_json *documents = any_documents(&seed);

        for (size_t g = 0; icsp_generation_name(g); g++) {
            const struct icsp_generation *by = generation(icsp_generation_name(g));
            auto_files files = {0};

            if (!compile(documents, by, &files))
                continue;
            accepted[g]++;
            assert_true(files.count >= 2);
            check_registries(&files.items[0], by);
            check_policy(&files.items[1], by);
        }
    }
    for (size_t g = 0; g < 6; g++)
        if (accepted[g] < ROUNDS / 10)
            fail_msg("%s: only %zu were accepted", icsp_generation_name(g), accepted[g]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generation_is_found_by_name),
        cmocka_unit_test(generation_decides_order_marks_and_inheritance),
        cmocka_unit_test(generation_decides_what_the_guard_leaves_out),
        cmocka_unit_test(generation_decides_the_escapes_of_toml),
        cmocka_unit_test(generation_decides_the_layout_of_json),
        cmocka_unit_test(generation_random_objects_are_refused_or_read_back),
    };

    return cmocka_run_group_tests_name("icsp/generation", tests, NULL, NULL);
}
