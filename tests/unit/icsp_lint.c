/*
 * Warnings that no cluster gives: for every rule what makes it speak, where it points, and what
 * keeps it silent.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/tree.h"
#include "icsp/icsp.h"

/* Rows leave out what is as usual. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define D64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OCP "quay.io/openshift-release-dev/ocp-release@sha256:" D64
#define OWN "own.io/ns/release@sha256:" D64

/* Lines 1 to 4, so that spec is line 4. */
#define HEAD(kind, name)                                                                           \
    "apiVersion: config.openshift.io/v1\nkind: " kind "\nmetadata: {name: " name "}\nspec: "
#define IMAGE(spec) HEAD("Image", "cluster") spec
#define LISTS(text) IMAGE("\n  registrySources:\n" text)
#define IDMS(sets)  HEAD("ImageDigestMirrorSet", "d") "\n  imageDigestMirrors:\n" sets
#define ITMS(sets)  HEAD("ImageTagMirrorSet", "t") "\n  imageTagMirrors:\n" sets
#define ICSP(sets)                                                                                 \
    "apiVersion: operator.openshift.io/v1alpha1\nkind: ImageContentSourcePolicy\n"                 \
    "metadata: {name: i}\nspec:\n  repositoryDigestMirrors:\n" sets
#define CIP(text) HEAD("ClusterImagePolicy", "c") text
#define KEY       "{rootOfTrust: {policyType: PublicKey, publicKey: {keyData: @}}}"
#define MORE      "\n---\n"
#define INTERNAL  "image-registry.openshift-image-registry.svc:5000"
#define RELEASE   "quay.io/openshift-release-dev"

struct row {
    const char *label;
    const char *yaml; /* '@' stands for base64 of a public key's PEM */
    const char *path; /* that the warning points at, or NULL: no such warning */
    unsigned line;
    const char *release;    /* NULL: OCP */
    const char *generation; /* NULL: current */
    const char *base;       /* registries.conf; NULL: the usual one */
};

#define PEM(kind) "-----BEGIN " kind "-----\nMFkw\n-----END " kind "-----\n"

static char *with_key(const char *yaml)
{
    auto_free char *key = mir_base64_encode(mir_span_of(PEM("PUBLIC KEY")));
    struct mir_buf text;

    mir_buf_init(&text, 8u << 20);
    for (; *yaml; yaml++) {
        if (*yaml == '@' && yaml[-1] == ' ')
            mir_buf_text(&text, key);
        else
            mir_buf_char(&text, *yaml);
    }
    return mir_buf_take(&text);
}

static void compile(const struct row *row, struct icsp_findings *findings)
{
    auto_free char *yaml = with_key(row->yaml);
    struct icsp_base_file base = {.name = "base", .text = mir_span_of(row->base)};
    struct icsp_options options = {
        .release_image = row->release ? row->release : OCP,
        .generation = icsp_generation_find(row->generation ? row->generation : "current"),
    };
    struct icsp_objects *objects = icsp_objects_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *documents = NULL;
    auto_files files = {0};

    if (row->base)
        options.base_registries = &base;
    if (!mir_yaml_parse_lines(mir_span_of(yaml), "t", icsp_objects_lines(objects), &documents,
                              &err) ||
        !icsp_objects_add(objects, documents, "t", findings, &err))
        fail_msg("%s: %s", row->label, err.text);
    /* What is rejected is looked at too. */
    (void)!icsp_compile(objects, &options, &files, findings, &err);
    icsp_objects_free(objects);
}

static const struct icsp_finding *find_rule(const struct icsp_findings *findings, const char *rule)
{
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->items[i].rule, rule) == 0)
            return &findings->items[i];
    return NULL;
}

static void show(const struct icsp_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        auto_free char *line = icsp_finding_format(&findings->items[i]);

        print_message("    %s: %s\n", findings->items[i].rule, line);
    }
}

static void check_row(const char *rule, const struct row *row)
{
    auto_findings findings = {0};
    const struct icsp_finding *found;

    compile(row, &findings);
    found = find_rule(&findings, rule);
    if (!!found != !!row->path) {
        show(&findings);
        fail_msg("%s: %s: %s", rule, row->label, found ? "warned" : "not warned");
    }
    if (!found)
        return;
    if (strcmp(row->path, found->field ? found->field : "") != 0 || found->line != row->line)
        fail_msg("%s: %s: at %s, line %u", rule, row->label, found->field, found->line);
    assert_non_null(found->text);
    assert_true(found->severity == ICSP_WARNING || found->severity == ICSP_NOTE);
}

static void check_rows(const char *rule, const struct row *rows, size_t count)
{
    bool hit = false;
    bool miss = false;

    for (size_t i = 0; i < count; i++) {
        check_row(rule, &rows[i]);
        hit = hit || rows[i].path;
        miss = miss || !rows[i].path;
    }
    assert_true(hit && miss);
}
#define CHECK_ROWS(rule, rows) check_rows(rule, rows, sizeof(rows) / sizeof((rows)[0]))

/* ---- lists of the Image ---- */

#define ALLOWED  "spec.registrySources.allowedRegistries"
#define BLOCKED  "spec.registrySources.blockedRegistries"
#define INSECURE "spec.registrySources.insecureRegistries"

static void lint_internal_registry(void **state)
{
    static const struct row rows[] = {
        {"not allowed", LISTS("    allowedRegistries:\n    - " RELEASE "\n"), ALLOWED, 7},
        {"allowed", LISTS("    allowedRegistries: [" RELEASE ", '" INTERNAL "']\n"), NULL, 0},
        {"its host alone is another name",
         LISTS("    allowedRegistries:\n    - image-registry.openshift-image-registry.svc\n"),
         ALLOWED, 7},
        {"by a wildcard", LISTS("    allowedRegistries: [\"*.svc\"]\n"), NULL, 0},
        {"blocked by a wildcard", LISTS("    blockedRegistries:\n    - a.io\n    - \"*.svc\"\n"),
         BLOCKED "[1]", 8},
        {"others blocked", LISTS("    blockedRegistries: [a.io]\n"), NULL, 0},
        {"no list", LISTS("    insecureRegistries: [a.io]\n"), NULL, 0},
    };

    (void)state;
    CHECK_ROWS("internal-registry", rows);
}

static void lint_release_not_allowed(void **state)
{
    static const struct row rows[] = {
        {"payload missing", LISTS("    allowedRegistries: [a.io]\n"), ALLOWED, 6},
        {"components missing",
         LISTS("    allowedRegistries: [quay.io/openshift-release-dev/ocp-release]\n"), ALLOWED, 6},
        {"namespace", LISTS("    allowedRegistries: [" RELEASE "]\n"), NULL, 0},
        {"own payload missing", LISTS("    allowedRegistries: [quay.io]\n"), ALLOWED, 6, OWN},
        {"own payload", LISTS("    allowedRegistries: [own.io/ns]\n"), NULL, 0, OWN},
        {"no list", LISTS("    insecureRegistries: [a.io]\n"), NULL, 0},
        {"the guard gave up, nothing is restricted",
         LISTS("    blockedRegistries: [quay.io]\n    allowedRegistries: [a.io]\n") MORE IDMS(
             "  - source: quay.io/openshift-release-dev/ocp-release\n    mirrors: ['m:5000']\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("release-not-allowed", rows);
}

static void lint_payload_alone_allowed(void **state)
{
    static const struct row rows[] = {
        {"exactly the payload, mirrored",
         LISTS("    blockedRegistries:\n    - own.io/ns/release\n")
             MORE IDMS("  - source: own.io/ns\n    mirrors: [m.io/ns]\n"),
         BLOCKED "[0]", 7, OWN},
        {"its namespace",
         LISTS("    blockedRegistries: [own.io/ns]\n")
             MORE IDMS("  - source: own.io/ns\n    mirrors: [m.io/ns]\n"),
         NULL, 0, OWN},
        {"not mirrored", LISTS("    blockedRegistries: [own.io/ns/release]\n"), NULL, 0, OWN},
    };

    (void)state;
    CHECK_ROWS("payload-alone-allowed", rows);
}

static void lint_release_blocked(void **state)
{
    static const struct row rows[] = {
        {"components",
         LISTS("    blockedRegistries:\n    - quay.io/openshift-release-dev/ocp-v4.0-art-dev\n"),
         BLOCKED "[0]", 7},
        {"components, mirrored",
         LISTS("    blockedRegistries: [quay.io/openshift-release-dev/ocp-v4.0-art-dev]\n")
             MORE IDMS("  - source: quay.io/openshift-release-dev/ocp-v4.0-art-dev\n    mirrors: "
                       "[m.io/x]\n"),
         NULL, 0},
        {"of another release", LISTS("    blockedRegistries: [quay.io/okd]\n"), NULL, 0},
    };

    (void)state;
    CHECK_ROWS("release-blocked", rows);
}

static void lint_insecure_not_allowed(void **state)
{
    static const struct row rows[] = {
        {"missing",
         LISTS("    insecureRegistries:\n    - a.io\n    - b.io\n    allowedRegistries: [a.io]\n"),
         INSECURE "[1]", 8},
        {"inside", LISTS("    insecureRegistries: [a.io/x]\n    allowedRegistries: [a.io]\n"), NULL,
         0},
        {"a port is another registry",
         LISTS("    insecureRegistries: ['a.io:5000']\n    allowedRegistries: [a.io]\n"),
         INSECURE "[0]", 6},
        {"no allow list", LISTS("    insecureRegistries: [a.io]\n"), NULL, 0},
    };

    (void)state;
    CHECK_ROWS("insecure-not-allowed", rows);
}

/* ---- files that are refused ---- */

static void lint_policy_unreadable(void **state)
{
    static const struct row rows[] = {
        {"tag below the host", LISTS("    allowedRegistries:\n    - a.io\n    - a.io/b:1\n"),
         ALLOWED "[1]", 8},
        {"digest below the host", LISTS("    blockedRegistries: [\"a.io/b@sha256:" D64 "\"]\n"),
         BLOCKED "[0]", 6},
        {"tag at the third level", LISTS("    allowedRegistries: [a.io/b/c:1]\n"), NULL, 0},
        {"digest at the third level",
         LISTS("    allowedRegistries: [\"a.io/b/c@sha256:" D64 "\"]\n"), NULL, 0},
        {"tag and digest at the third level",
         LISTS("    allowedRegistries: [\"a.io/b/c:1@sha256:" D64 "\"]\n"), ALLOWED "[0]", 6},
        {"tag deeper, left out of atomic", LISTS("    allowedRegistries: [a.io/b/c/d:1]\n"), NULL,
         0},
        {"deep scopes, when atomic was as docker", LISTS("    allowedRegistries: [a.io/b/c/d]\n"),
         ALLOWED "[0]", 6, NULL, "4.12"},
        {"port", LISTS("    allowedRegistries: ['a.io:5000', 'a.io:5000/b']\n"), NULL, 0},
        {"insecure entries are not in it", LISTS("    insecureRegistries: [a.io/b:1]\n"), NULL, 0},
        {"scope of a policy", CIP("{scopes: [a.io, a.io/b:1], policy: " KEY "}"), "spec.scopes[1]",
         4},
        {"scope of a local policy",
         HEAD("ImagePolicy", "c") "{scopes: [a.io/b:1], policy: " KEY "}", "spec.scopes[0]", 4},
        {"local scope without effect",
         HEAD("ImagePolicy", "c") "{scopes: [a.io/b:1], policy: " KEY
                                  "}" MORE CIP("{scopes: [a.io], policy: " KEY "}"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("policy-unreadable", rows);
}

static void lint_registries_unreadable(void **state)
{
    static const struct row rows[] = {
        {"scheme", LISTS("    insecureRegistries:\n    - a.io\n    - https://a.io\n"),
         INSECURE "[1]", 8},
        {"scheme in capitals", LISTS("    insecureRegistries: [HTTPS://a.io]\n"), NULL, 0},
        {"scheme of a mirror",
         ICSP("  - source: a.io\n    mirrors:\n    - m.io\n    - http://m.io\n"),
         "spec.repositoryDigestMirrors[0].mirrors[1]", 9, NULL, "4.12"},
        {"two that differ by a slash, and in a flag",
         LISTS("    insecureRegistries: [a.io/b/]\n    blockedRegistries: [a.io/b]\n"),
         INSECURE "[0]", 6},
        {"two that differ by a slash alone", LISTS("    insecureRegistries: [a.io/b/, a.io/b]\n"),
         NULL, 0},
        {"wildcard with a path", LISTS("    insecureRegistries: [\"*.a.io/b\"]\n"), INSECURE "[0]",
         6, NULL, "4.6"},
        {"wildcard that is a name", LISTS("    insecureRegistries: [\"*.a.io\"]\n"), NULL, 0, NULL,
         "4.6"},
        {"control character that is not escaped",
         LISTS("    insecureRegistries: [\"a\\x01.io\"]\n"), INSECURE "[0]", 6, NULL, "4.6"},
        {"control character that is", LISTS("    insecureRegistries: [\"a\\x01.io\"]\n"), NULL, 0},
        {"tab, escaped always", LISTS("    insecureRegistries: [\"a\\t.io\"]\n"), NULL, 0, NULL,
         "4.6"},
        {"empty", LISTS("    insecureRegistries: ['']\n"), INSECURE "[0]", 6, NULL, "4.10"},
        {"slashes alone", LISTS("    insecureRegistries: [/]\n"), INSECURE "[0]", 6},
        {"mark of an old base file", IDMS("  - source: a.io\n    mirrors: [m.io]\n"),
         "spec.imageDigestMirrors[0].source", 6, NULL, NULL,
         "[[registry]]\nlocation = \"a.io\"\nmirror-by-digest-only = true\n"},
        {"the mark where no mirrors come in", IDMS("  - source: b.io\n    mirrors: [m.io]\n"), NULL,
         0, NULL, NULL, "[[registry]]\nlocation = \"a.io\"\nmirror-by-digest-only = true\n"},
    };

    (void)state;
    CHECK_ROWS("registries-unreadable", rows);
}

static void lint_mirror_blocked(void **state)
{
    static const struct row rows[] = {
        {"by a list",
         LISTS("    blockedRegistries: [m.io]\n")
             MORE IDMS("  - source: a.io\n    mirrors: [n.io, m.io/x]\n"),
         "spec.imageDigestMirrors[0].mirrors[1]", 15},
        {"by a wildcard",
         LISTS("    blockedRegistries: [\"*.m.io\"]\n")
             MORE IDMS("  - source: a.io\n    mirrors:\n    - x.m.io:5000/x\n"),
         "spec.imageDigestMirrors[0].mirrors[0]", 16},
        {"a port inside the host, as the reader sees it",
         LISTS("    blockedRegistries: [m.io]\n")
             MORE IDMS("  - source: a.io\n    mirrors:\n    - m.io:5000/x\n"),
         "spec.imageDigestMirrors[0].mirrors[0]", 16},
        {"by NeverContactSource",
         IDMS("  - source: a.io\n    mirrors: [b.io]\n  - source: b.io\n    mirrors: [c.io]\n    "
              "mirrorSourcePolicy: NeverContactSource\n"),
         "spec.imageDigestMirrors[0].mirrors[0]", 7},
        {"a longer entry is open",
         LISTS("    blockedRegistries: [m.io]\n") MORE IDMS(
             "  - source: a.io\n    mirrors: [\"m.io:5000/x\"]\n  - source: m.io:5000\n    "
             "mirrors: [n.io]\n"),
         NULL, 0},
        {"others blocked",
         LISTS("    blockedRegistries: [m.io/y, mm.io]\n")
             MORE IDMS("  - source: a.io\n    mirrors: [m.io/x]\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("mirror-blocked", rows);
}

static void lint_mirror_not_insecure(void **state)
{
    static const struct row rows[] = {
        {"handed down",
         LISTS("    insecureRegistries: [m.io/a/b]\n    blockedRegistries:\n    - a.io/b\n")
             MORE IDMS("  - source: a.io\n    mirrors: [m.io/a]\n"),
         BLOCKED "[0]", 8},
        {"insecure as a whole",
         LISTS("    insecureRegistries: [m.io]\n    blockedRegistries: [a.io/b]\n")
             MORE IDMS("  - source: a.io\n    mirrors: [m.io/a]\n"),
         NULL, 0},
        {"named",
         LISTS("    insecureRegistries: [m.io/a/b]\n")
             MORE IDMS("  - source: a.io/b\n    mirrors: [m.io/a/b]\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("mirror-not-insecure", rows);
}

/* ---- hiding ---- */

static void lint_mirrors_hidden(void **state)
{
    static const struct row rows[] = {
        {"tag set below a digest set",
         IDMS("  - source: a.io/b\n    mirrors: [m.io/b]\n")
             MORE ITMS("  - source: a.io/b/c\n    mirrors: [m.io/b/c]\n"),
         "spec.imageTagMirrors[0].source", 15},
        {"digest set below a tag set",
         ITMS("  - source: a.io/b\n    mirrors: [m.io/b]\n")
             MORE IDMS("  - source: a.io/b/c\n    mirrors: [m.io/b/c]\n"),
         "spec.imageDigestMirrors[0].source", 15},
        {"below a wildcard",
         IDMS("  - source: \"*.b.io\"\n    mirrors: [m.io/b]\n")
             MORE ITMS("  - source: a.b.io\n    mirrors: [m.io/b/c]\n"),
         "spec.imageTagMirrors[0].source", 15},
        {"two levels up",
         IDMS("  - source: a.io\n    mirrors: [m.io]\n")
             MORE ITMS("  - source: a.io/b/c\n    mirrors: [m.io/b/c]\n"),
         "spec.imageTagMirrors[0].source", 15},
        {"one of both kinds",
         IDMS("  - source: a.io/b\n    mirrors: [m.io/b]\n  - source: a.io/b/c\n    mirrors: "
              "[m.io/b/c]\n") MORE ITMS("  - source: a.io/b/c\n    mirrors: [m.io/b/c]\n"),
         NULL, 0},
        {"the same source",
         IDMS("  - source: a.io/b\n    mirrors: [m.io/b]\n")
             MORE ITMS("  - source: a.io/b\n    mirrors: [m.io/b]\n"),
         NULL, 0},
        {"beside each other",
         IDMS("  - source: a.io/b\n    mirrors: [m.io/b]\n")
             MORE ITMS("  - source: a.io/bc\n    mirrors: [m.io/b/c]\n"),
         NULL, 0},
        {"entry without mirrors inherits",
         IDMS("  - source: a.io/b\n    mirrors: [m.io/b]\n")
             MORE LISTS("    insecureRegistries: [a.io/b/c]\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("mirrors-hidden", rows);
}

static void lint_mirrors_replaced(void **state)
{
    static const struct row rows[] = {
        {"other mirrors",
         IDMS("  - source: a.io/b\n    mirrors: [m.io/b]\n  - source: a.io/b/c\n    mirrors: "
              "[n.io/c]\n"),
         "spec.imageDigestMirrors[1].source", 8},
        {"the same, deeper",
         IDMS("  - source: a.io/b\n    mirrors: [m.io/b]\n  - source: a.io/b/c\n    mirrors: "
              "[n.io/c, m.io/b/c]\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("mirrors-replaced", rows);
}

static void lint_never_contact_not_inherited(void **state)
{
    static const struct row rows[] = {
        {"below",
         IDMS("  - source: a.io\n    mirrors: [m.io]\n    mirrorSourcePolicy: NeverContactSource\n"
              "  - source: a.io/b\n    mirrors: [m.io/b]\n"),
         "spec.imageDigestMirrors[1].source", 9},
        {"below, in a list",
         IDMS("  - source: a.io\n    mirrors: [m.io]\n    mirrorSourcePolicy: NeverContactSource\n")
             MORE LISTS("    insecureRegistries:\n    - a.io/b\n"),
         INSECURE "[0]", 17},
        {"both",
         IDMS("  - source: a.io\n    mirrors: [m.io]\n    mirrorSourcePolicy: NeverContactSource\n"
              "  - source: a.io/b\n    mirrors: [m.io/b]\n    mirrorSourcePolicy: "
              "NeverContactSource\n"),
         NULL, 0},
        {"blocked by a list",
         IDMS("  - source: a.io\n    mirrors: [m.io]\n")
             MORE LISTS("    blockedRegistries: [a.io, a.io/b]\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("never-contact-not-inherited", rows);
}

/* ---- the API server ---- */

/* BEFORE r0.io, r1.io, ... AFTER */
static char *repeated(const char *before, size_t count, const char *after)
{
    struct mir_buf text;

    mir_buf_init(&text, 8u << 20);
    mir_buf_text(&text, before);
    for (size_t i = 0; i < count; i++)
        mir_buf_printf(&text, "r%zu.io, ", i);
    mir_buf_text(&text, after);
    return mir_buf_take(&text);
}

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16

static void lint_api_lists(void **state)
{
    auto_free char *most = repeated(LISTS("    insecureRegistries: ["), 1024, "]\n");
    auto_free char *too_many = repeated(LISTS("    insecureRegistries: ["), 1025, "]\n");
    auto_free char *most_scopes = repeated(CIP("{scopes: ["), 256, "], policy: " KEY "}");
    auto_free char *too_many_scopes = repeated(CIP("{scopes: ["), 257, "], policy: " KEY "}");
    const struct row lengths[] = {
        {"1024 entries", most, NULL, 0},
        {"1025 entries", too_many, INSECURE, 6},
        {"1025 entries, before there was a limit", too_many, NULL, 0, NULL, "4.18"},
        {"256 scopes", most_scopes, NULL, 0},
        {"257 scopes", too_many_scopes, "spec.scopes", 4},
    };
    static const struct row entry_lengths[] = {
        {"256 characters",
         LISTS("    insecureRegistries: [a/" X64 X64 X64 X16 X16 X16 "xxxxxxxxxxxxxx]\n"), NULL, 0},
        {"257 characters",
         LISTS("    insecureRegistries: [a/" X64 X64 X64 X16 X16 X16 "xxxxxxxxxxxxxxx]\n"),
         INSECURE "[0]", 6},
    };

    (void)state;
    CHECK_ROWS("api-list-length", lengths);
    CHECK_ROWS("api-entry-length", entry_lengths);
}

static void lint_api_entry_format(void **state)
{
    static const struct row rows[] = {
        {"tag", LISTS("    allowedRegistries:\n    - a.io/b/c\n    - a.io/b/c:1\n"), ALLOWED "[1]",
         8},
        {"digest", LISTS("    blockedRegistries: [\"a.io/b/c@sha256:" D64 "\"]\n"), BLOCKED "[0]",
         6},
        {"scheme", LISTS("    insecureRegistries: [\"http://a.io\"]\n"), INSECURE "[0]", 6},
        {"upper case path", LISTS("    insecureRegistries: [a.io/B]\n"), INSECURE "[0]", 6},
        {"slash at the end", LISTS("    insecureRegistries: [a.io/]\n"), INSECURE "[0]", 6},
        {"blank", LISTS("    insecureRegistries: [\"a .io\"]\n"), INSECURE "[0]", 6},
        {"old API server", LISTS("    allowedRegistries: [a.io/b/c:1]\n"), NULL, 0, NULL, "4.18"},
        {"plain ones", LISTS("    insecureRegistries: [a, A.io, 'a.io:5000/b-c__d', \"*.a.io\"]\n"),
         NULL, 0},
        {"what is rejected is not warned of again",
         LISTS("    insecureRegistries: [\"*.a.io:5000\"]\n"), NULL, 0},
        {"search registries are not looked at",
         LISTS("    containerRuntimeSearchRegistries: [\"a .io\"]\n"), NULL, 0},
    };

    (void)state;
    CHECK_ROWS("api-entry-format", rows);
}

static void lint_api_presence(void **state)
{
    static const struct row both[] = {
        {"one empty", LISTS("    allowedRegistries: []\n    blockedRegistries: [a.io]\n"),
         "spec.registrySources", 6},
        {"both empty", LISTS("    allowedRegistries: []\n    blockedRegistries: []\n"),
         "spec.registrySources", 6},
        {"null is absent", LISTS("    allowedRegistries: ~\n    blockedRegistries: [a.io]\n"), NULL,
         0},
        {"one", LISTS("    allowedRegistries: []\n"), NULL, 0},
        {"rejected as it is",
         LISTS("    allowedRegistries: [a.io]\n    blockedRegistries: [b.io]\n"), NULL, 0},
    };
    static const struct row empty[] = {
        {"empty", LISTS("    containerRuntimeSearchRegistries: []\n"),
         "spec.registrySources.containerRuntimeSearchRegistries", 6},
        {"one", LISTS("    containerRuntimeSearchRegistries: [a.io]\n"), NULL, 0},
        {"absent", LISTS("    insecureRegistries: []\n"), NULL, 0},
    };
    static const struct row source[] = {
        {"absent, where the operator does not look", ICSP("  - mirrors: [a.io]\n"),
         "spec.repositoryDigestMirrors[0].source", 6, NULL, "4.10"},
        {"there", ICSP("  - mirrors: [a.io]\n    source: b.io\n"), NULL, 0, NULL, "4.10"},
        {"rejected as it is", ICSP("  - mirrors: [a.io]\n"), NULL, 0},
    };

    (void)state;
    CHECK_ROWS("api-both-lists", both);
    CHECK_ROWS("api-empty-list", empty);
    CHECK_ROWS("api-source-missing", source);
}

static void lint_api_duplicates(void **state)
{
    static const struct row rows[] = {
        {"search", LISTS("    containerRuntimeSearchRegistries: [a.io, b.io, a.io]\n"),
         "spec.registrySources.containerRuntimeSearchRegistries[2]", 6},
        {"mirrors", IDMS("  - source: a.io\n    mirrors:\n    - m.io\n    - m.io\n"),
         "spec.imageDigestMirrors[0].mirrors[1]", 9},
        {"mirrors for tags", ITMS("  - source: a.io\n    mirrors:\n    - m.io\n    - m.io\n"),
         "spec.imageTagMirrors[0].mirrors[1]", 9},
        {"scopes", CIP("{scopes: [a.io,\n a.io], policy: " KEY "}"), "spec.scopes[1]", 5},
        {"mirrors of an ICSP", ICSP("  - source: a.io\n    mirrors: [m.io, m.io]\n"), NULL, 0},
        {"registry lists", LISTS("    insecureRegistries: [a.io, a.io]\n"), NULL, 0},
        {"in two lists",
         IDMS("  - source: a.io\n    mirrors: [m.io]\n  - source: b.io\n    mirrors: [m.io]\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("api-duplicate", rows);
}

static void lint_api_set_formats(void **state)
{
    static const struct row sources[] = {
        {"tag, where the operator does not look",
         IDMS("  - source: 'a.io/b:1'\n    mirrors: [m.io]\n"), "spec.imageDigestMirrors[0].source",
         6, NULL, "4.14"},
        {"wildcard", IDMS("  - source: a.io\n    mirrors: [m.io]\n"), NULL, 0, NULL, "4.14"},
        {"ICSP", ICSP("  - source: 'a.io/b:1'\n    mirrors: [m.io]\n"), NULL, 0, NULL, "4.14"},
        {"rejected as it is", IDMS("  - source: 'a.io/b:1'\n    mirrors: [m.io]\n"), NULL, 0},
    };
    static const struct row mirrors[] = {
        {"scheme, where the operator does not look",
         IDMS("  - source: a.io\n    mirrors: [m.io, 'https://m.io']\n"),
         "spec.imageDigestMirrors[0].mirrors[1]", 7, NULL, "4.14"},
        {"plain", IDMS("  - source: a.io\n    mirrors: [m.io]\n"), NULL, 0, NULL, "4.14"},
        {"ICSP", ICSP("  - source: a.io\n    mirrors: ['https://m.io']\n"), NULL, 0, NULL, "4.14"},
    };

    (void)state;
    CHECK_ROWS("api-source-format", sources);
    CHECK_ROWS("api-mirror-format", mirrors);
}

static void lint_api_scopes(void **state)
{
    static const struct row formats[] = {
        {"no dot", CIP("{scopes: [a/b], policy: " KEY "}"), "spec.scopes[0]", 4},
        {"upper case", CIP("{scopes: [a.io/B], policy: " KEY "}"), "spec.scopes[0]", 4},
        {"bad tag", CIP("{scopes: ['a.io/b/c:-1'], policy: " KEY "}"), "spec.scopes[0]", 4},
        {"short digest", CIP("{scopes: ['a.io/b/c@sha256:0123'], policy: " KEY "}"),
         "spec.scopes[0]", 4},
        {"wildcard with port", CIP("{scopes: [\"*.a.io:5000\"], policy: " KEY "}"),
         "spec.scopes[0]", 4},
        {"star alone", CIP("{scopes: [\"*\"], policy: " KEY "}"), "spec.scopes[0]", 4},
        {"all that is right",
         CIP("{scopes: [\"*.a.io\", a.io, localhost, 'localhost:5000/a', 'a.io:5000/b', "
             "'a.io/b/c:v1.0', \"a.io/b/c@sha256:" D64 "\", \"a.io/b/c:1@sha256:" D64
             "\"], policy: " KEY "}"),
         NULL, 0},
    };
    static const struct row lengths[] = {
        {"512",
         CIP("{scopes: [a.io/b" X64 X64 X64 X64 X64 X64 X64 X16 X16 X16 "xxxxxxxxxx], policy: " KEY
             "}"),
         NULL, 0},
        {"513",
         CIP("{scopes: [a.io/b" X64 X64 X64 X64 X64 X64 X64 X16 X16 X16 "xxxxxxxxxxx], policy: " KEY
             "}"),
         "spec.scopes[0]", 4},
    };

    (void)state;
    CHECK_ROWS("api-scope-format", formats);
    CHECK_ROWS("api-scope-length", lengths);
}

/* A policy object around one PEM of each place; NULL takes the right one. */
static char *policy_with(const char *type, const char *path, const char *data)
{
    auto_free char *key = mir_base64_encode(mir_span_of(PEM("PUBLIC KEY")));
    auto_free char *ca = mir_base64_encode(mir_span_of(PEM("CERTIFICATE")));
    auto_free char *other = mir_base64_encode(mir_span_of(data));

#define AT(name, right) strcmp(path, name) == 0 ? other : (right)
    return mir_format(
        CIP("\n  scopes: [a.io/b/c]\n  policy:\n    rootOfTrust:\n      policyType: %s\n"
            "      publicKey:\n        keyData: %s\n        rekorKeyData: %s\n"
            "      fulcioCAWithRekor:\n        fulcioCAData: %s\n        rekorKeyData: %s\n"
            "        fulcioSubject: {oidcIssuer: 'https://a.io', signedEmail: a@b.io}\n"
            "      pki:\n        caRootsData: %s\n        caIntermediatesData: %s\n"
            "        pkiCertificateSubject: {email: a@b.io}\n"),
        type, AT("keyData", key), AT("rekorKeyData", key), AT("fulcioCAData", ca),
        AT("rekor2", key), AT("caRootsData", ca), AT("caIntermediatesData", ca));
#undef AT
}

static void lint_api_data(void **state)
{
    static const struct {
        const char *label, *type, *at, *data, *path;
        unsigned line;
    } rows[] = {
        {"all right", "PublicKey", "", "", NULL, 0},
        {"no newline at the end", "PublicKey", "keyData",
         "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", NULL, 0},
        {"no PEM", "PublicKey", "keyData", "MFkw", "spec.policy.rootOfTrust.publicKey.keyData", 10},
        {"another kind", "PublicKey", "keyData", PEM("CERTIFICATE"),
         "spec.policy.rootOfTrust.publicKey.keyData", 10},
        {"no footer", "PublicKey", "rekorKeyData", "-----BEGIN PUBLIC KEY-----\nMFkw\n",
         "spec.policy.rootOfTrust.publicKey.rekorKeyData", 11},
        {"text in front", "FulcioCAWithRekor", "fulcioCAData", "x\n" PEM("CERTIFICATE"),
         "spec.policy.rootOfTrust.fulcioCAWithRekor.fulcioCAData", 13},
        {"key for a certificate", "FulcioCAWithRekor", "rekor2", PEM("CERTIFICATE"),
         "spec.policy.rootOfTrust.fulcioCAWithRekor.rekorKeyData", 14},
        {"roots", "PKI", "caRootsData", PEM("PUBLIC KEY"),
         "spec.policy.rootOfTrust.pki.caRootsData", 17},
        {"intermediates", "PKI", "caIntermediatesData", PEM("PUBLIC KEY"),
         "spec.policy.rootOfTrust.pki.caIntermediatesData", 18},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *yaml = policy_with(rows[i].type, rows[i].at, rows[i].data);
        struct row row = {rows[i].label, yaml, rows[i].path, rows[i].line};

        check_row("api-data-format", &row);
    }
}

static void lint_api_data_length(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        /* base64 of 6144 bytes has 8192 characters */
        size_t fill = 6144 - strlen(PEM("PUBLIC KEY")) + extra;
        auto_free char *middle = mir_alloc(fill + 1);
        auto_free char *pem = NULL;
        auto_free char *yaml = NULL;
        struct row row = {extra ? "8196" : "8192", NULL,
                          extra ? "spec.policy.rootOfTrust.publicKey.keyData" : NULL, 10};

        memset(middle, 'A', fill);
        pem = mir_format("-----BEGIN PUBLIC KEY-----\nMFkw%s\n-----END PUBLIC KEY-----\n", middle);
        yaml = policy_with("PublicKey", "keyData", pem);
        row.yaml = yaml;
        check_row("api-data-length", &row);
    }
}

static void lint_api_subjects(void **state)
{
#define FULCIO(subject)                                                                            \
    CIP("\n  scopes: [a.io]\n  policy: {rootOfTrust: {policyType: FulcioCAWithRekor, "             \
        "fulcioCAWithRekor: {fulcioCAData: aa==, rekorKeyData: @, fulcioSubject:\n    " subject    \
        "}}}\n")
#define PKI(subject)                                                                               \
    CIP("\n  scopes: [a.io]\n  policy: {rootOfTrust: {policyType: PKI, pki: {caRootsData: aa==,"   \
        " pkiCertificateSubject:\n    " subject "}}}\n")
#define FULCIO_AT "spec.policy.rootOfTrust.fulcioCAWithRekor.fulcioSubject."
    static const struct row urls[] = {
        {"a name", FULCIO("{oidcIssuer: a.io, signedEmail: a@b}"), FULCIO_AT "oidcIssuer", 7},
        {"no host", FULCIO("{oidcIssuer: 'https:///x', signedEmail: a@b}"), FULCIO_AT "oidcIssuer",
         7},
        {"blank", FULCIO("{oidcIssuer: 'https://a b', signedEmail: a@b}"), FULCIO_AT "oidcIssuer",
         7},
        {"URL", FULCIO("{oidcIssuer: 'https://a.io/x?y', signedEmail: a@b}"), NULL, 0},
    };
    static const struct row emails[] = {
        {"no at", FULCIO("{oidcIssuer: 'https://a', signedEmail: ab}"), FULCIO_AT "signedEmail", 7},
        {"nothing in front", FULCIO("{oidcIssuer: 'https://a', signedEmail: '@b'}"),
         FULCIO_AT "signedEmail", 7},
        {"of a certificate", PKI("{email: ab}"),
         "spec.policy.rootOfTrust.pki.pkiCertificateSubject.email", 7},
        {"right", FULCIO("{oidcIssuer: 'https://a', signedEmail: a@b}"), NULL, 0},
        {"host name alone", PKI("{hostname: a.io}"), NULL, 0},
    };

    (void)state;
    CHECK_ROWS("api-url", urls);
    CHECK_ROWS("api-email", emails);
}

static void lint_api_identity(void **state)
{
#define IDENTITY(text)                                                                             \
    CIP("\n  scopes: [a.io]\n  policy:\n    rootOfTrust: {policyType: PublicKey, publicKey: "      \
        "{keyData: @}}\n    signedIdentity:\n" text)
#define AT "spec.policy.signedIdentity"
    static const struct row presence[] = {
        {"exact without its policy",
         IDENTITY(
             "      matchPolicy: MatchRepository\n      exactRepository: {repository: a.io/b}\n"),
         AT ".exactRepository", 10},
        {"remap without its policy",
         IDENTITY("      remapIdentity: {prefix: a.io, signedPrefix: b.io}\n"), AT ".remapIdentity",
         9},
        {"both right",
         IDENTITY(
             "      matchPolicy: ExactRepository\n      exactRepository: {repository: a.io/b}\n"),
         NULL, 0},
        {"null is absent",
         IDENTITY("      matchPolicy: MatchRepository\n      exactRepository: ~\n"), NULL, 0},
        {"none", IDENTITY("      matchPolicy: MatchRepository\n"), NULL, 0},
    };
    static const struct row names[] = {
        {"tag",
         IDENTITY("      matchPolicy: ExactRepository\n      exactRepository:\n        repository: "
                  "'a.io/b:1'\n"),
         AT ".exactRepository.repository", 11},
        {"short name",
         IDENTITY("      matchPolicy: ExactRepository\n      exactRepository: {repository: b}\n"),
         AT ".exactRepository.repository", 10},
        {"prefix without dot",
         IDENTITY(
             "      matchPolicy: RemapIdentity\n      remapIdentity: {prefix: a, signedPrefix: "
             "b.io}\n"),
         AT ".remapIdentity.prefix", 10},
        {"signed prefix",
         IDENTITY("      matchPolicy: RemapIdentity\n      remapIdentity:\n        prefix: a.io\n"
                  "        signedPrefix: b\n"),
         AT ".remapIdentity.signedPrefix", 12},
        {"right",
         IDENTITY("      matchPolicy: RemapIdentity\n      remapIdentity: {prefix: 'a.io:5000', "
                  "signedPrefix: localhost/b}\n"),
         NULL, 0},
    };

    (void)state;
    CHECK_ROWS("api-identity", presence);
    CHECK_ROWS("api-identity-format", names);
}

/* ---- what the operator says ---- */

/* Errors and warnings of the operator's own have rule, path and line too. */
static void findings_of_the_operator_have_places(void **state)
{
    static const struct {
        const char *label, *rule, *yaml, *path;
        unsigned line;
        const char *release;
    } rows[] = {
        {"list entry", "list-entry", LISTS("    blockedRegistries:\n    - a.io\n    - \"*\"\n"),
         BLOCKED "[1]", 8, NULL},
        {"source", "source-format", IDMS("  - mirrors: [m.io]\n    source: A/B\n"),
         "spec.imageDigestMirrors[0].source", 7, NULL},
        {"mirror", "mirror-format", ICSP("  - source: a\n    mirrors:\n    - b\n    - b:c\n"),
         "spec.repositoryDigestMirrors[0].mirrors[1]", 9, NULL},
        {"policies", "policy-conflict",
         IDMS("  - {source: a, mirrors: [m]}\n  - {source: a, mirrorSourcePolicy: "
              "NeverContactSource}\n"),
         "spec.imageDigestMirrors[1].source", 7, NULL},
        {"never", "never-and-source",
         IDMS("  - source: a\n    mirrorSourcePolicy: NeverContactSource\n    mirrors: [b, a]\n"),
         "spec.imageDigestMirrors[0].mirrors[1]", 8, NULL},
        {"wildcard", "wildcard-inheritance",
         LISTS("    blockedRegistries: [x.a.io]\n")
             MORE IDMS("  - source: \"*.a.io\"\n    mirrors: [m]\n"),
         "spec.imageDigestMirrors[0].source", 14, NULL},
        {"both lists", "allowed-and-blocked",
         LISTS("    blockedRegistries: [a]\n    allowedRegistries: [b]\n"), "spec.registrySources",
         6, NULL},
        {"scope outside", "scope-outside-allowed",
         LISTS("    allowedRegistries: [b.io]\n") MORE CIP("{scopes: [a.io], policy: " KEY "}"),
         "spec.scopes[0]", 12, NULL},
        {"scope inside", "scope-in-blocked",
         LISTS("    blockedRegistries: [a.io]\n") MORE CIP("{scopes: [a.io/b], policy: " KEY "}"),
         "spec.scopes[0]", 12, NULL},
        {"payload", "payload-not-blocked", LISTS("    blockedRegistries:\n    - quay.io\n"),
         BLOCKED "[0]", 7, NULL},
        {"guard", "guard-failed",
         LISTS("    blockedRegistries: [own.io]\n")
             MORE IDMS("  - source: own.io/ns/release\n    mirrors: ['m:5000']\n"),
         "spec.registrySources", 6, OWN},
        {"left out", "policy-scope-left-out",
         CIP("{scopes: [a.io], policy: " KEY "}")
             MORE HEAD("ImagePolicy", "p") "\n  scopes:\n  - a.io/b\n  policy: " KEY,
         "spec.scopes[0]", 11, NULL},
        {"rewriting", "mirror-rewriting",
         CIP("{scopes: [a.io/b], policy: " KEY "}")
             MORE IDMS("  - source: a.io/b\n    mirrors: ['m:5000']\n"),
         "spec.scopes[0]", 4, NULL},
        {"signature", "signature-policy",
         CIP("\n  scopes: [a.io]\n  policy:\n    rootOfTrust: {}\n"),
         "spec.policy.rootOfTrust.policyType", 7, NULL},
        {"no map", "no-config-map", IMAGE("{additionalTrustedCA:\n {name: x}}"),
         "spec.additionalTrustedCA.name", 5, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct row row = {rows[i].label, rows[i].yaml, rows[i].path, rows[i].line, rows[i].release};
        auto_findings findings = {0};
        const struct icsp_finding *found;

        compile(&row, &findings);
        found = find_rule(&findings, rows[i].rule);
        if (!found) {
            show(&findings);
            fail_msg("%s: %s is missing", rows[i].label, rows[i].rule);
            return;
        }
        if (strcmp(row.path, found->field ? found->field : "") != 0 || found->line != row.line)
            fail_msg("%s: at %s, line %u", rows[i].label, found->field, found->line);
        assert_string_equal(found->file, "t");
        assert_non_null(found->object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lint_internal_registry),
        cmocka_unit_test(lint_release_not_allowed),
        cmocka_unit_test(lint_payload_alone_allowed),
        cmocka_unit_test(lint_release_blocked),
        cmocka_unit_test(lint_insecure_not_allowed),
        cmocka_unit_test(lint_policy_unreadable),
        cmocka_unit_test(lint_registries_unreadable),
        cmocka_unit_test(lint_mirror_blocked),
        cmocka_unit_test(lint_mirror_not_insecure),
        cmocka_unit_test(lint_mirrors_hidden),
        cmocka_unit_test(lint_mirrors_replaced),
        cmocka_unit_test(lint_never_contact_not_inherited),
        cmocka_unit_test(lint_api_lists),
        cmocka_unit_test(lint_api_entry_format),
        cmocka_unit_test(lint_api_presence),
        cmocka_unit_test(lint_api_duplicates),
        cmocka_unit_test(lint_api_set_formats),
        cmocka_unit_test(lint_api_scopes),
        cmocka_unit_test(lint_api_data),
        cmocka_unit_test(lint_api_data_length),
        cmocka_unit_test(lint_api_subjects),
        cmocka_unit_test(lint_api_identity),
        cmocka_unit_test(findings_of_the_operator_have_places),
    };

    return cmocka_run_group_tests_name("icsp/lint", tests, NULL, NULL);
}
