/*
 * Objects in and out: what is read of cluster objects, what is refused, and the objects made from a
 * mapping. Above all: whatever the scopes, every image of a mapping is found where it is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/tree.h"
#include "icsp/cover_priv.h"
#include "icsp/icsp.h"
#include "icsp/registries_priv.h"

#define PAIRS_MAX 16

/* ---- objects in ---- */

static bool take_in(const char *yaml, struct icsp_findings *findings, struct mir_error *err)
{
    struct icsp_objects *objects = icsp_objects_new();
    auto_json *documents = NULL;
    bool ok = mir_yaml_parse_lines(mir_span_of(yaml), "t", icsp_objects_lines(objects), &documents,
                                   err) &&
              icsp_objects_add(objects, documents, "t", findings, err);

    icsp_objects_free(objects);
    return ok;
}

#define IMAGE "apiVersion: config.openshift.io/v1\nkind: Image\nmetadata: {name: cluster}\nspec: "
#define IDMS  "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata: {name: x}\n"

static void objects_refuse_fields_of_the_wrong_type(void **state)
{
    static const struct {
        const char *label, *yaml, *text;
    } rows[] = {
        {"a scalar", "just text", "t:1: document: must be an object"},
        {"no kind", "apiVersion: v1", "t:1: an object without kind"},
        {"no version", "kind: Image", "t:1: an object without apiVersion"},
        {"kind that is a number", "kind: 5\napiVersion: v1", "t:1: kind: must be a string"},
        {"name that is a number", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}",
         "t:3: metadata.name: must be a"},
        {"metadata that is a list", "apiVersion: v1\nkind: ConfigMap\nmetadata: []",
         "t:3: metadata: must be an object"},
        {"spec that is a list", IMAGE "[]", "t:4: Image/cluster: spec: must be an object"},
        {"list that is a string", IMAGE "{registrySources: {blockedRegistries: a.io}}",
         "spec.registrySources.blockedRegistries: must be a list of strings"},
        {"entry that is a word of YAML", IMAGE "{registrySources: {blockedRegistries: [a, no]}}",
         "spec.registrySources.blockedRegistries[1]: must be a string"},
        {"null entry", IMAGE "{registrySources: {blockedRegistries: [~]}}",
         "spec.registrySources.blockedRegistries[0]: must be a string"},
        {"sets that are an object", IDMS "spec: {imageDigestMirrors: {}}",
         "spec.imageDigestMirrors: must be a list"},
        {"set that is a string", IDMS "spec: {imageDigestMirrors: [a]}",
         "spec.imageDigestMirrors[0]: must be an object"},
        {"source that is a number", IDMS "spec: {imageDigestMirrors: [{source: 5}]}",
         "spec.imageDigestMirrors[0].source: must be a string"},
        {"policy that is unknown",
         IDMS "spec: {imageDigestMirrors: [{source: a, mirrorSourcePolicy: Never}]}",
         "\"Never\": mirrorSourcePolicy is"},
        {"data that is no text", "apiVersion: v1\nkind: ConfigMap\ndata: {a: 5}",
         "data[\"a\"]: must be a string"},
        {"items that are an object", "apiVersion: v1\nkind: List\nitems: {}",
         "t:3: items: must be a list"},
        {"Lists without end",
         "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: [{apiVersion: "
         "v1, kind: List, items: [{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: "
         "List, items: []}]}]}]}]",
         "List in List"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_findings findings = {0};

        if (take_in(rows[i].yaml, &findings, &err))
            fail_msg("%s: was taken", rows[i].label);
        if (!strstr(err.text, rows[i].text))
            fail_msg("%s: %s", rows[i].label, err.text);
    }
}

static void objects_pass_over_what_has_no_effect(void **state)
{
    static const struct {
        const char *label, *yaml;
        enum icsp_severity severity;
    } rows[] = {
        {"another kind", "apiVersion: v1\nkind: Pod", ICSP_DETAIL},
        {"another Image", "apiVersion: image.openshift.io/v1\nkind: Image", ICSP_WARNING},
        {"an Image of another name",
         "apiVersion: config.openshift.io/v1\nkind: Image\nmetadata: {name: x}", ICSP_WARNING},
        {"a ClusterVersion of another name",
         "apiVersion: config.openshift.io/v1\nkind: ClusterVersion\nmetadata: {name: x}",
         ICSP_WARNING},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_findings findings = {0};

        if (!take_in(rows[i].yaml, &findings, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        if (findings.count != 1 || findings.items[0].severity != rows[i].severity)
            fail_msg("%s: %zu findings", rows[i].label, findings.count);
    }
}

/* ---- scopes for a mapping ---- */

/* A mapping written as "source=mirror source=mirror", "host/path[:tag]" each. */
struct mapping {
    struct icsp_pair pairs[PAIRS_MAX];
    size_t count;
    char *text;
};

static void cut_ref(char *text, const char **host, const char **repo, const char **tag)
{
    char *slash = strchr(text, '/');
    char *colon;

    *slash = '\0';
    colon = strchr(slash + 1, ':');
    if (colon)
        *colon = '\0';
    *host = text;
    *repo = slash + 1;
    *tag = colon ? colon + 1 : NULL;
}

static void mapping_parse(struct mapping *mapping, const char *text)
{
    char *save = NULL;

    *mapping = (struct mapping){.text = mir_strdup(text)};
    for (char *at = strtok_r(mapping->text, " ", &save); at; at = strtok_r(NULL, " ", &save)) {
        struct icsp_pair *pair = &mapping->pairs[mapping->count++];
        char *mirror = strchr(at, '=');

        *mirror++ = '\0';
        cut_ref(at, &pair->source_host, &pair->source_repo, &pair->source_tag);
        cut_ref(mirror, &pair->mirror_host, &pair->mirror_repo, &pair->mirror_tag);
    }
}

static char *cover_text(const struct icsp_cover *cover)
{
    struct mir_buf text;

    mir_buf_init(&text, 1 << 16);
    for (size_t i = 0; i < cover->count; i++) {
        mir_buf_printf(&text, "%s%s%s=", i > 0 ? " " : "", cover->items[i].source,
                       cover->items[i].has_tag ? "#" : "");
        for (size_t k = 0; k < cover->items[i].mirror_count; k++)
            mir_buf_printf(&text, "%s%s", k > 0 ? "," : "", cover->items[i].mirrors[k]);
    }
    return mir_buf_take(&text);
}

static char *choose(const char *mapping_text, enum icsp_scope_level level)
{
    struct mapping mapping;
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_cover cover = {0};

    mapping_parse(&mapping, mapping_text);
    if (!icsp_cover(&(struct icsp_cover_request){.pairs = mapping.pairs,
                                                 .count = mapping.count,
                                                 .level = level,
                                                 .kinds = ICSP_KIND_IDMS | ICSP_KIND_ITMS},
                    &cover, &findings, &err))
        fail_msg("%s: %s", mapping_text, err.text);
    free(mapping.text);
    return cover_text(&cover);
}

static void cover_is_coarse_only_where_that_is_right(void **state)
{
    static const struct {
        const char *label, *mapping;
        enum icsp_scope_level level;
        const char *scopes;
    } rows[] = {
        {"repository", "q.io/a/b=m/x/a/b q.io/a/c=m/x/a/c", ICSP_SCOPE_REPOSITORY,
         "q.io/a/b=m/x/a/b q.io/a/c=m/x/a/c"},
        {"namespace", "q.io/a/b=m/x/a/b q.io/a/c=m/x/a/c", ICSP_SCOPE_NAMESPACE, "q.io/a=m/x/a"},
        {"registry", "q.io/a/b=m/x/a/b q.io/c=m/x/c", ICSP_SCOPE_REGISTRY, "q.io=m/x"},
        {"registry without prefix", "q.io/a/b=m/a/b", ICSP_SCOPE_REGISTRY, "q.io=m"},
        {"namespace of one component is the host", "q.io/a=m/x/a", ICSP_SCOPE_NAMESPACE,
         "q.io=m/x"},
        {"another path at the mirror", "q.io/a/b=m/x/b", ICSP_SCOPE_NAMESPACE, "q.io/a/b=m/x/b"},
        {"a path that only looks alike", "q.io/a/b=m/xa/b", ICSP_SCOPE_NAMESPACE,
         "q.io/a/b=m/xa/b"},
        {"two places claim one scope", "q.io/a/b=m/x/a/b q.io/a/c=m/y/a/c", ICSP_SCOPE_NAMESPACE,
         "q.io/a/b=m/x/a/b q.io/a/c=m/y/a/c"},
        {"one image lies elsewhere", "q.io/a/b=m/x/a/b q.io/a/c=m/y", ICSP_SCOPE_NAMESPACE,
         "q.io/a=m/x/a q.io/a/c=m/y"},
        {"an entry of its own would catch what lies below it",
         "q.io/a=m/other q.io/a/b=m/a/b q.io/c=m/c", ICSP_SCOPE_REGISTRY,
         "q.io=m q.io/a=m/other q.io/a/b=m/a/b"},
        {"a coarse scope of that name belongs to others",
         "q.io/a/b=m/p/a/b q.io/a/b/c=m/z/a/b/c q.io/a/d=m/p/a/d", ICSP_SCOPE_NAMESPACE,
         "q.io/a=m/p/a q.io/a/b/c=m/z/a/b/c"},
        {"two copies of one repository", "q.io/a/b=m/x/a/b q.io/a/b=n/a/b", ICSP_SCOPE_NAMESPACE,
         "q.io/a/b=m/x/a/b,n/a/b"},
        {"an image that is its own mirror", "q.io/a=q.io/a q.io/b=m/b", ICSP_SCOPE_REPOSITORY,
         "q.io/b=m/b"},
        {"tags", "q.io/a:1=m/a:1 q.io/b:1=m/b:2 q.io/c=m/c:1", ICSP_SCOPE_REPOSITORY,
         "q.io/a#=m/a q.io/b=m/b q.io/c=m/c"},
        {"tags go down, so that nothing hides them", "q.io/a:1=m/x:1 q.io/a/b=m/y",
         ICSP_SCOPE_REPOSITORY, "q.io/a#=m/x q.io/a/b#=m/y"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *got = choose(rows[i].mapping, rows[i].level);

        if (strcmp(got, rows[i].scopes) != 0)
            fail_msg("%s: got %s", rows[i].label, got);
    }
}

static uint32_t next(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % below;
}

/* A random mapping over few names, so that scopes nest and clash; no source twice. */
static void random_mapping(uint32_t *seed, struct mir_buf *text)
{
    uint32_t count = 1 + next(seed, 10);

    mir_buf_clear(text);
    for (uint32_t i = 0; i < count; i++) {
        auto_buf path;
        uint32_t depth = 1 + next(seed, 3);

        mir_buf_init(&path, 256);
        for (uint32_t d = 0; d < depth; d++)
            mir_buf_printf(&path, "%s%c", d > 0 ? "/" : "", (char)('a' + next(seed, 3)));
        mir_buf_printf(text, "%sq%u.io/%s=", i > 0 ? " " : "", next(seed, 2), path.ptr);
        if (next(seed, 4) == 0)
            mir_buf_printf(text, "m.io/%c", (char)('a' + next(seed, 3)));
        else
            mir_buf_printf(text, "m.io/p%u/%s", next(seed, 2), path.ptr);
    }
}

/* What a node asks for when it pulls this repository by digest, or NULL. */
static bool node_would_ask(const struct icsp_registries *registries, const struct icsp_pair *pair,
                           bool by_digest)
{
    auto_free char *ref = mir_format(
        "%s/%s%s", pair->source_host, pair->source_repo,
        by_digest ? "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                  : ":tag");
    auto_free char *want = mir_format("%s/%s", pair->mirror_host, pair->mirror_repo);
    size_t matched;
    const struct icsp_registry *found =
        icsp_registries_find(registries, mir_span_of(ref), &matched);
    size_t tail = matched;
    size_t len = strlen(ref) - (by_digest ? 72 : 4);

    for (size_t i = 0; found && i < found->mirror_count; i++) {
        auto_free char *got = NULL;

        if (found->mirrors[i].pull != (by_digest ? ICSP_PULL_DIGEST : ICSP_PULL_TAG))
            continue;
        got = mir_format("%s%.*s", found->mirrors[i].location, (int)(len - tail), ref + tail);
        if (strcmp(got, want) == 0)
            return true;
    }
    return false;
}

static void merged_of(const struct icsp_cover *cover, bool tags, struct icsp_merged *out)
{
    *out = (struct icsp_merged){0};
    for (size_t i = 0; i < cover->count; i++) {
        struct icsp_merged_set *set;

        if (tags && !cover->items[i].has_tag)
            continue;
        mir_grow(&out->items, out->count, &out->capacity, sizeof(*out->items));
        set = &out->items[out->count++];
        *set = (struct icsp_merged_set){.source = cover->items[i].source};
        for (size_t k = 0; k < cover->items[i].mirror_count; k++)
            icsp_list_add(&set->mirrors, cover->items[i].mirrors[k]);
    }
}

static void check_cover(const char *text, const struct mapping *mapping,
                        const struct icsp_cover *cover)
{
    static const struct icsp_list none = {0};
    auto_registries registries;
    auto_merged digest;
    auto_merged tag;
    struct icsp_registries_input input = {
        .digest = &digest, .tag = &tag, .blocked = &none, .insecure = &none};
    const char *wildcard;
    const char *nested;

    merged_of(cover, false, &digest);
    merged_of(cover, true, &tag);
    icsp_registries_init(&registries, &icsp_generation_current);
    assert_true(icsp_registries_build(&registries, &input, &wildcard, &nested));
    for (size_t i = 0; i < mapping->count; i++) {
        const struct icsp_pair *pair = &mapping->pairs[i];

        if (!node_would_ask(&registries, pair, true))
            fail_msg("%s: %s/%s is not found by digest", text, pair->source_host,
                     pair->source_repo);
        if (pair->source_tag && !node_would_ask(&registries, pair, false))
            fail_msg("%s: %s/%s is not found by tag", text, pair->source_host, pair->source_repo);
    }
}

/* The promise of the whole file, played through with the node's own look-up. */
static void cover_finds_every_image_where_it_is(void **state)
{
    uint32_t seed = 3;
    auto_buf text;

    (void)state;
    mir_buf_init(&text, 1 << 16);
    for (int round = 0; round < 6000; round++) {
        struct mapping mapping;
        struct mir_error err = MIR_ERROR_INIT;
        auto_findings findings = {0};
        auto_cover cover = {0};

        random_mapping(&seed, &text);
        mapping_parse(&mapping, text.ptr);
        for (size_t i = 0; i < mapping.count; i++)
            if (next(&seed, 2) == 0)
                mapping.pairs[i].source_tag = mapping.pairs[i].mirror_tag = "t";
        if (!icsp_cover(&(struct icsp_cover_request){.pairs = mapping.pairs,
                                                     .count = mapping.count,
                                                     .level = (enum icsp_scope_level)(round % 4),
                                                     .kinds = ICSP_KIND_IDMS | ICSP_KIND_ITMS},
                        &cover, &findings, &err))
            fail_msg("%s: %s", text.ptr, err.text);
        check_cover(text.ptr, &mapping, &cover);
        free(mapping.text);
    }
}

static void cover_does_not_look_at_the_order_of_pairs(void **state)
{
    auto_free char *one = choose("q/a=m/a q/b=n/b q/c/d=m/c/d q/a=o/a", ICSP_SCOPE_NAMESPACE);
    auto_free char *two = choose("q/a=o/a q/c/d=m/c/d q/b=n/b q/a=m/a", ICSP_SCOPE_NAMESPACE);

    (void)state;
    assert_string_equal(one, two);
}

/* ---- objects out ---- */

static bool emit(const char *mapping_text, const struct icsp_emit_options *options,
                 struct icsp_object_files *files, struct icsp_findings *findings,
                 struct mir_error *err)
{
    struct mapping mapping;
    bool ok;

    mapping_parse(&mapping, mapping_text);
    ok = icsp_emit(mapping.pairs, mapping.count, options, files, findings, err);
    free(mapping.text);
    return ok;
}

static const json_t *emitted(const struct icsp_object_files *files, const char *name)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i].name, name) == 0)
            return files->items[i].object;
    return NULL;
}

static void check_object(const struct icsp_object_files *files, const char *name, const char *json)
{
    const json_t *object = emitted(files, name);
    auto_free char *text = object ? json_dumps(object, JSON_COMPACT) : mir_strdup("nothing");

    assert_string_equal(text, json);
}

static void emit_writes_one_object_for_each_kind(void **state)
{
    static const char *const allow[] = {"x.io", "q.io/a/c", "x.io"};
    static const char *const import[] = {"m:5000", "i.io"};
    char host[] = "m:5000";
    char pem[] = "-----BEGIN CERTIFICATE-----\n";
    struct icsp_ca ca = {.host = host, .pem = pem};
    struct icsp_emit_options options = {
        .kinds = ICSP_KIND_ICSP | ICSP_KIND_IDMS | ICSP_KIND_ITMS,
        .name = "n",
        .insecure = true,
        .allow_only = true,
        .allow = {.items = allow, .count = 3},
        .import = {.items = import, .count = 2},
        .external = {.items = import, .count = 1},
        .cas = &ca,
        .ca_count = 1,
    };
    struct mir_error err = MIR_ERROR_INIT;
    auto_object_files files = {0};
    auto_findings findings = {0};

    (void)state;
    assert_true(emit("q.io/b=m:5000/b q.io/a:1=m:5000/a:1", &options, &files, &findings, &err));
    assert_int_equal(files.count, 5);
    check_object(&files, "imagecontentsourcepolicy.yaml",
                 "{\"apiVersion\":\"operator.openshift.io/v1alpha1\",\"kind\":"
                 "\"ImageContentSourcePolicy\",\"metadata\":{\"name\":\"n\"},\"spec\":{"
                 "\"repositoryDigestMirrors\":[{\"mirrors\":[\"m:5000/a\"],\"source\":\"q.io/a\"},"
                 "{\"mirrors\":[\"m:5000/b\"],\"source\":\"q.io/b\"}]}}");
    check_object(&files, "imagetagmirrorset.yaml",
                 "{\"apiVersion\":\"config.openshift.io/v1\",\"kind\":\"ImageTagMirrorSet\","
                 "\"metadata\":{\"name\":\"n\"},\"spec\":{\"imageTagMirrors\":[{\"mirrors\":["
                 "\"m:5000/a\"],\"source\":\"q.io/a\"}]}}");
    check_object(&files, "image.yaml",
                 "{\"apiVersion\":\"config.openshift.io/v1\",\"kind\":\"Image\",\"metadata\":{"
                 "\"name\":\"cluster\"},\"spec\":{\"additionalTrustedCA\":{\"name\":"
                 "\"registry-ca\"},\"allowedRegistriesForImport\":[{\"domainName\":\"i.io\","
                 "\"insecure\":false},{\"domainName\":\"m:5000\",\"insecure\":true}],"
                 "\"externalRegistryHostnames\":[\"m:5000\"],\"registrySources\":{"
                 "\"allowedRegistries\":[\"image-registry.openshift-image-registry.svc:5000\","
                 "\"m:5000\",\"q.io/a\",\"q.io/b\",\"x.io\"],\"insecureRegistries\":["
                 "\"m:5000\"]}}}");
    check_object(&files, "configmap-registry-ca.yaml",
                 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                 "\"registry-ca\",\"namespace\":\"openshift-config\"},\"data\":{\"m..5000\":"
                 "\"-----BEGIN CERTIFICATE-----\\n\"}}");
    assert_non_null(emitted(&files, "imagedigestmirrorset.yaml"));
}

static void emit_refuses(void **state)
{
    static const char *const bad_scope[] = {"a b"};
    static const char *const block_mirror[] = {"m"};
    static const struct {
        const char *label, *mapping;
        struct icsp_emit_options options;
        const char *text;
    } rows[] = {
        {"no kind", "q.io/a=m/a", {.kinds = 0}, "no kind of object"},
        {"both lists",
         "q.io/a=m/a",
         {.kinds = ICSP_KIND_ICSP, .allow_only = true, .block_source = true},
         "not both"},
        {"a name with capitals", "q.io/a=m/a", {.kinds = ICSP_KIND_ICSP, .name = "A"}, "\"A\""},
        {"an entry that is none",
         "q.io/a=m/a",
         {.kinds = ICSP_KIND_ICSP, .allow = {bad_scope, 1}},
         "\"a b\""},
        {"nothing to mirror", "q.io/a=q.io/a", {.kinds = ICSP_KIND_ICSP}, "no image that lies"},
        {"a host no cluster takes", "[::1]/a=m/a", {.kinds = ICSP_KIND_ICSP}, "\"[::1]/a\""},
        {"a mirror no cluster takes", "q.io/a=h_h/a", {.kinds = ICSP_KIND_ICSP}, "\"h_h/a\""},
        {"tags alone, and no tag", "q.io/a=m/a", {.kinds = ICSP_KIND_ITMS}, "same tag"},
        {"a mirror that is blocked",
         "q.io/a=m/a",
         {.kinds = ICSP_KIND_ICSP, .block = {block_mirror, 1}},
         "the mirror \"m/a\" lies inside"},
        {"a mirror on its source's host, which is blocked",
         "q.io/a=q.io/copy/a",
         {.kinds = ICSP_KIND_ICSP, .block_source = true},
         "lies inside"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_object_files files = {0};
        auto_findings findings = {0};

        if (emit(rows[i].mapping, &rows[i].options, &files, &findings, &err))
            fail_msg("%s: was taken", rows[i].label);
        if (!strstr(err.text, rows[i].text))
            fail_msg("%s: %s", rows[i].label, err.text);
    }
}

static void emit_checks_certificates(void **state)
{
    char host[] = "m:5000";
    char path[] = "m/x";
    char pem[] = "-----BEGIN CERTIFICATE-----\n";
    char der[] = "0\x82";
    const struct icsp_ca rows[][2] = {{{host, der}}, {{path, pem}}, {{host, pem}, {host, pem}}};
    static const size_t counts[] = {1, 1, 2};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct icsp_emit_options options = {
            .kinds = ICSP_KIND_ICSP, .cas = rows[i], .ca_count = counts[i]};
        struct mir_error err = MIR_ERROR_INIT;
        auto_object_files files = {0};
        auto_findings findings = {0};

        assert_false(emit("q.io/a=m/a", &options, &files, &findings, &err));
        assert_true(mir_starts_with(err.text, "--ca: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_refuse_fields_of_the_wrong_type),
        cmocka_unit_test(objects_pass_over_what_has_no_effect),
        cmocka_unit_test(cover_is_coarse_only_where_that_is_right),
        cmocka_unit_test(cover_finds_every_image_where_it_is),
        cmocka_unit_test(cover_does_not_look_at_the_order_of_pairs),
        cmocka_unit_test(emit_writes_one_object_for_each_kind),
        cmocka_unit_test(emit_refuses),
        cmocka_unit_test(emit_checks_certificates),
    };

    return cmocka_run_group_tests_name("icsp/objects", tests, NULL, NULL);
}
