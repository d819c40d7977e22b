/*
 * What must hold for any objects. They are made up from a seed, from small pools of names so that
 * scopes nest, sources meet and orders contradict each other; a failure names the run, and a run is
 * the same every time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/toml.h"
#include "base/tree.h"
#include "icsp/generation_priv.h"
#include "icsp/icsp.h"
#include "icsp/merge_priv.h"
#include "icsp/policy_priv.h"
#include "icsp/registries_priv.h"

#define RUNS     10000
#define SETS_MAX 6

/* ---- chance ---- */

struct chance {
    uint64_t state;
    unsigned run;
};

static struct chance chance_of(unsigned run)
{
    return (struct chance){.state = 0x9e3779b97f4a7c15u * (run + 1), .run = run};
}

/* 0 to below - 1 */
static unsigned roll(struct chance *chance, unsigned below)
{
    chance->state ^= chance->state << 13;
    chance->state ^= chance->state >> 7;
    chance->state ^= chance->state << 17;
    return (unsigned)(chance->state >> 33) % below;
}

#define PICK(chance, pool) (pool)[roll((chance), sizeof(pool) / sizeof((pool)[0]))]

/* ---- objects ---- */

static const char *const scopes[] = {
    "a.io",        "a.io/x",   "a.io/x/y",       "a.io/x/y/z",
    "b.a.io",      "b.a.io/x", "c.b.a.io:50",    "a.io:50",
    "a.io:50/x/y", "*.a.io",   "quay.io",        "quay.io/ns",
    "q.io/x",      "q.io/x/y", "localhost:5000", "quay.io/ns/release",
};
static const char *const mirrors[] = {
    "m.io", "m.io/x", "m.io/x/y", "n.io:5000/a", "o.io/b/c", "p.a.io", "a.io/x", "q.io/x/y",
};
static const char *const odd[] = {
    "",
    "*",
    "A.io",
    "a.io/B",
    "http://m.io",
    "a.io/x:1",
    "\xc3\xa9.io",
    "a\"b\\c",
    "a.io\t\x7f",
    "a.io/x/",
    "*.a.io:50",
    "a b",
    "\xe2\x80\xa8",
    "12:30",
    "a.io/x/y/z@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
};
static const char *const releases[] = {
    "quay.io/ns/release@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "a.io/x/y:v1",
    "r.io/release:v1",
};

/* How likely something odd is, in percent. */
static json_t *text_from(struct chance *chance, const char *const *pool, size_t count,
                         unsigned oddness)
{
    bool is_odd = roll(chance, 100) < oddness;

    return json_string(is_odd ? PICK(chance, odd) : pool[roll(chance, (unsigned)count)]);
}

static json_t *scope_list(struct chance *chance, unsigned max, unsigned oddness)
{
    json_t *list = json_array();

    for (unsigned n = roll(chance, max + 1); n > 0; n--)
        json_array_append_new(
            list, text_from(chance, scopes, sizeof(scopes) / sizeof(scopes[0]), oddness));
    return list;
}

static json_t *object_of(const char *version, const char *kind, const char *name, json_t *spec)
{
    return json_pack("{s:s, s:s, s:{s:s}, s:o}", "apiVersion", version, "kind", kind, "metadata",
                     "name", name, "spec", spec);
}

static void set_list(struct chance *chance, json_t *target, const char *key, unsigned percent,
                     unsigned oddness)
{
    if (roll(chance, 100) < percent)
        json_object_set_new(target, key, scope_list(chance, 4, oddness));
}

static json_t *random_image(struct chance *chance, unsigned oddness)
{
    json_t *sources = json_object();
    unsigned both = roll(chance, 8);

    set_list(chance, sources, "insecureRegistries", 50, oddness);
    set_list(chance, sources, "blockedRegistries", both < 4 ? 80 : 0, oddness);
    set_list(chance, sources, "allowedRegistries", both == 0 || both > 5 ? 80 : 0, oddness);
    set_list(chance, sources, "containerRuntimeSearchRegistries", 20, oddness);
    return object_of("config.openshift.io/v1", "Image", "cluster",
                     json_pack("{s:o}", "registrySources", sources));
}

static json_t *random_set(struct chance *chance, bool with_policy, unsigned oddness)
{
    json_t *source = text_from(chance, scopes, sizeof(scopes) / sizeof(scopes[0]), oddness);
    json_t *list = json_array();
    json_t *set = json_pack("{s:o, s:O}", "mirrors", list, "source", source);

    for (unsigned n = roll(chance, 5); n > 0; n--)
        json_array_append_new(
            list, roll(chance, 12) == 0
                      ? json_incref(source)
                      : text_from(chance, mirrors, sizeof(mirrors) / sizeof(mirrors[0]), oddness));
    /* By source, or nearly every run would have a conflict. */
    if (with_policy && (json_string_value(source)[0] & 3) == 1 && roll(chance, 4) > 0)
        json_object_set_new(set, "mirrorSourcePolicy", json_string("AllowContactingSource"));
    if (with_policy && roll(chance, 40) == 0)
        json_object_set_new(set, "mirrorSourcePolicy", json_string("NeverContactSource"));
    json_decref(source);
    return set;
}

static json_t *random_sets(struct chance *chance, const char *version, const char *kind,
                           const char *key, unsigned oddness)
{
    json_t *list = json_array();

    for (unsigned n = roll(chance, SETS_MAX); n > 0; n--)
        json_array_append_new(list, random_set(chance, version[0] == 'c', oddness));
    return object_of(version, kind, "x", json_pack("{s:o}", key, list));
}

static json_t *random_policy(struct chance *chance, const char *kind, unsigned oddness)
{
    static const char *const matches[] = {"MatchRepository", "MatchRepoDigestOrExact"};
    json_t *policy = json_pack("{s:{s:s, s:{s:s}}}", "rootOfTrust", "policyType", "PublicKey",
                               "publicKey", "keyData", "a2V5");
    json_t *object;

    if (roll(chance, 2))
        json_object_set_new(policy, "signedIdentity",
                            json_pack("{s:s}", "matchPolicy", PICK(chance, matches)));
    object = object_of(
        "config.openshift.io/v1", kind, "p",
        json_pack("{s:o, s:o}", "scopes", scope_list(chance, 3, oddness), "policy", policy));
    if (strcmp(kind, "ImagePolicy") == 0)
        json_object_set_new(json_object_get(object, "metadata"), "namespace",
                            json_string(roll(chance, 2) ? "ns1" : "ns2"));
    return object;
}

static json_t *random_objects(struct chance *chance, unsigned oddness)
{
    json_t *objects = json_array();

    if (roll(chance, 4) > 0)
        json_array_append_new(objects, random_image(chance, oddness));
    json_array_append_new(objects, json_pack("{s:s, s:s, s:{s:s}, s:{s:{s:s}}}", "apiVersion",
                                             "config.openshift.io/v1", "kind", "ClusterVersion",
                                             "metadata", "name", "version", "status", "desired",
                                             "image", PICK(chance, releases)));
    for (unsigned n = roll(chance, 3); n > 0; n--)
        json_array_append_new(objects,
                              random_sets(chance, "config.openshift.io/v1", "ImageDigestMirrorSet",
                                          "imageDigestMirrors", oddness));
    for (unsigned n = roll(chance, 2); n > 0; n--)
        json_array_append_new(objects, random_sets(chance, "operator.openshift.io/v1alpha1",
                                                   "ImageContentSourcePolicy",
                                                   "repositoryDigestMirrors", oddness));
    for (unsigned n = roll(chance, 3); n > 0; n--)
        json_array_append_new(objects,
                              random_sets(chance, "config.openshift.io/v1", "ImageTagMirrorSet",
                                          "imageTagMirrors", oddness));
    for (unsigned n = roll(chance, 8) == 0 ? 2 : roll(chance, 2); n > 0; n--)
        json_array_append_new(objects, random_policy(chance, "ClusterImagePolicy", oddness));
    for (unsigned n = roll(chance, 4) == 0 ? 2 : 0; n > 0; n--)
        json_array_append_new(objects, random_policy(chance, "ImagePolicy", oddness));
    return objects;
}

/* Something else in the place of a value anywhere in a tree. */
static void spoil(struct chance *chance, json_t *value, unsigned depth)
{
    static const char *const texts[] = {"5", "null", "[]", "{}", "true", "\"x\"", "[[null]]"};
    size_t count = json_is_array(value) ? json_array_size(value) : json_object_size(value);
    unsigned at = count > 0 ? roll(chance, (unsigned)count) : 0;
    void *member = json_object_iter(value);
    json_t *child;
    json_t *other;

    for (unsigned i = 0; member && i < at; i++)
        member = json_object_iter_next(value, member);
    child = json_is_array(value) ? json_array_get(value, at)
            : member             ? json_object_iter_value(member)
                                 : NULL;
    if (!child)
        return;
    if ((json_is_array(child) || json_is_object(child)) && depth < 8 && roll(chance, 5) > 0) {
        spoil(chance, child, depth + 1);
        return;
    }
    other = json_loads(PICK(chance, texts), JSON_DECODE_ANY, NULL);
    if (json_is_array(value))
        json_array_set_new(value, at, other);
    else
        json_object_iter_set_new(value, member, other);
}

/* ---- compiling ---- */

struct outcome {
    bool ok;
    struct icsp_files files;
    struct mir_error err;
};

static void outcome_release(struct outcome *outcome)
{
    icsp_files_release(&outcome->files);
}
#define auto_outcome __attribute__((cleanup(outcome_release))) struct outcome

static const char *rule_of_error(const struct icsp_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].severity == ICSP_ERROR)
            return findings->items[i].rule;
    return NULL;
}

static struct outcome compile(json_t *documents, const struct chance *chance)
{
    struct outcome outcome = {.err = MIR_ERROR_INIT};
    struct icsp_objects *objects = icsp_objects_new();
    auto_findings findings = {0};

    outcome.ok = icsp_objects_add(objects, documents, "random", &findings, &outcome.err) &&
                 icsp_compile(objects, NULL, &outcome.files, &findings, &outcome.err);
    icsp_objects_free(objects);
    if (!outcome.ok && (!outcome.err.text[0] || !rule_of_error(&findings)))
        fail_msg("run %u: failed without saying why: %s", chance->run, outcome.err.text);
    for (size_t i = 0; i < findings.count; i++)
        if (!findings.items[i].rule || !findings.items[i].text)
            fail_msg("run %u: a finding without rule or text", chance->run);
    return outcome;
}

static struct mir_span file_of(const struct outcome *outcome, const char *path)
{
    const struct icsp_file *file = icsp_files_find(&outcome->files, path);

    return file ? mir_span(file->data, file->len) : (struct mir_span){0};
}

/* ---- the bytes are what our own readers take for the same thing ---- */

static void check_same(const struct chance *chance, const char *what, struct mir_span written,
                       const struct mir_buf *again)
{
    if (!mir_span_equal(written, mir_buf_span(again)))
        fail_msg("run %u: %s reads back as something else:\n%.*s\nwas\n%.*s", chance->run, what,
                 MIR_SPAN_ARG(mir_buf_span(again)), MIR_SPAN_ARG(written));
}

static void check_registries(const struct chance *chance, struct mir_span text,
                             struct icsp_registries *read)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_toml *toml = NULL;
    auto_buf again;

    icsp_registries_init(read, &icsp_generation_current);
    mir_buf_init(&again, 1u << 20);
    if (!mir_toml_parse(text, "registries.conf", &toml, &err) ||
        !icsp_registries_read(read, text, "registries.conf", &findings, &err))
        fail_msg("run %u: %s", chance->run, err.text);
    icsp_registries_format(read, &again);
    if (!mir_span_starts_with(text, "unqualified-search-registries = ['"))
        check_same(chance, "registries.conf", text, &again);
}

static void check_policy(const struct chance *chance, struct mir_span text)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *read = NULL;
    auto_buf again;

    mir_buf_init(&again, 1u << 20);
    if (!icsp_policy_read(text, "policy.json", &read, &err))
        fail_msg("run %u: %s", chance->run, err.text);
    icsp_policy_format(read, icsp_generation_current.policy_style, &again);
    if (!mir_span_equal(text, mir_span_of(icsp_base_policy)))
        check_same(chance, "policy.json", text, &again);
}

static void check_sigstore(const struct chance *chance, struct mir_span text)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *documents = NULL;
    auto_buf again;

    mir_buf_init(&again, 1u << 20);
    if (text.len == 0)
        return;
    if (!mir_yaml_parse(text, "sigstore", &documents, &err))
        fail_msg("run %u: %s", chance->run, err.text);
    mir_yaml_format(json_array_get(documents, 0), &again);
    check_same(chance, "registries.d", text, &again);
}

/* The mirrors of one entry as "LOCATION PULL" lines. */
static void list_mirrors(const struct icsp_mirror *items, size_t count, struct mir_buf *out)
{
    for (size_t i = 0; i < count; i++)
        mir_buf_printf(out, "%s %d\n", items[i].location, (int)items[i].pull);
}

static void list_merged(const struct icsp_merged *merged, const char *source, enum icsp_pull pull,
                        struct mir_buf *out)
{
    for (size_t i = 0; i < merged->count; i++)
        for (size_t k = 0;
             strcmp(merged->items[i].source, source) == 0 && k < merged->items[i].mirrors.count;
             k++)
            mir_buf_printf(out, "%s %d\n", merged->items[i].mirrors.items[k], (int)pull);
}

static void merge_all(const struct icsp_sets *const *lists, size_t count, struct icsp_merged *out)
{
    const struct icsp_set *all[64];
    size_t total = 0;

    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < lists[k]->count; i++)
            all[total++] = &lists[k]->items[i];
    icsp_merge(all, total, out);
}

static void check_source(const struct chance *chance, const struct icsp_registries *read,
                         const struct icsp_merged *digest, const struct icsp_merged *tag,
                         const char *source)
{
    const struct icsp_registry *entry = mir_map_find(read->by_scope, mir_span_of(source));
    auto_buf want;
    auto_buf got;

    mir_buf_init(&want, 1u << 16);
    mir_buf_init(&got, 1u << 16);
    list_merged(digest, source, ICSP_PULL_DIGEST, &want);
    list_merged(tag, source, ICSP_PULL_TAG, &want);
    if (entry)
        list_mirrors(entry->mirrors, entry->mirror_count, &got);
    if (strcmp(want.ptr, got.ptr) != 0)
        fail_msg("run %u: mirrors of %s: merged\n%swritten\n%s", chance->run, source, want.ptr,
                 got.ptr);
}

/* Every source has, in the file, the mirrors that merging gives it, digest first. */
static void check_model(const struct chance *chance, json_t *documents,
                        const struct icsp_registries *read)
{
    struct icsp_objects *objects = icsp_objects_new();
    const struct icsp_sets *const by_digest[] = {&objects->idms, &objects->icsp};
    const struct icsp_sets *const by_tag[] = {&objects->itms};
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_merged digest = {0};
    auto_merged tag = {0};

    assert_true(icsp_objects_add(objects, documents, "random", &findings, &err));
    merge_all(by_digest, 2, &digest);
    merge_all(by_tag, 1, &tag);
    for (size_t i = 0; i < digest.count; i++)
        check_source(chance, read, &digest, &tag, digest.items[i].source);
    for (size_t i = 0; i < tag.count; i++)
        check_source(chance, read, &digest, &tag, tag.items[i].source);
    icsp_objects_free(objects);
}

static void check_outcome(const struct chance *chance, json_t *documents,
                          const struct outcome *outcome)
{
    auto_registries read;

    check_registries(chance, file_of(outcome, "etc/containers/registries.conf"), &read);
    check_model(chance, documents, &read);
    check_policy(chance, file_of(outcome, "etc/containers/policy.json"));
    check_sigstore(chance,
                   file_of(outcome, "etc/containers/registries.d/sigstore-registries.yaml"));
    for (size_t i = 0; i < outcome->files.count; i++)
        if (mir_starts_with(outcome->files.items[i].path, "etc/crio/policies/"))
            check_policy(chance,
                         mir_span(outcome->files.items[i].data, outcome->files.items[i].len));
}

static void property_output_reads_back(void **state)
{
    unsigned accepted = 0;

    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        struct chance chance = chance_of(run);
        auto_json *documents = random_objects(&chance, run % 4 == 0 ? 3 : 0);
        auto_outcome outcome = compile(documents, &chance);

        if (!outcome.ok)
            continue;
        accepted++;
        check_outcome(&chance, documents, &outcome);
    }
    print_message("%u of %u accepted\n", accepted, RUNS);
    assert_true(accepted > RUNS / 4 && accepted < RUNS);
}

/* ---- any tree at all ---- */

static void property_spoilt_objects_never_crash(void **state)
{
    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        struct chance chance = chance_of(run + RUNS);
        auto_json *documents = random_objects(&chance, 20);
        auto_outcome outcome = {0};

        for (unsigned n = 1 + roll(&chance, 3); n > 0; n--)
            spoil(&chance, documents, 0);
        outcome = compile(documents, &chance);
        if (outcome.ok)
            check_policy(&chance, file_of(&outcome, "etc/containers/policy.json"));
    }
}

/* ---- the order of the objects ---- */

static json_t *shuffled(struct chance *chance, const json_t *documents)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)documents);

    for (size_t i = json_array_size(copy); i > 1; i--) {
        size_t k = roll(chance, (unsigned)i);
        auto_json *last = json_incref(json_array_get(copy, i - 1));

        json_array_set(copy, i - 1, json_array_get(copy, k));
        json_array_set(copy, k, last);
    }
    return copy;
}

/* Do two policies of one kind, and of one namespace, share a scope? */
static bool policies_share_a_scope(const json_t *documents)
{
    auto_json *seen = json_object();
    const json_t *document;
    size_t i;

    json_array_foreach (documents, i, document) {
        const char *kind = json_string_value(json_object_get(document, "kind"));
        const json_t *metadata = json_object_get(document, "metadata");
        const char *ns = json_string_value(json_object_get(metadata, "namespace"));
        const json_t *list = json_object_get(json_object_get(document, "spec"), "scopes");
        const json_t *scope;
        size_t k;

        json_array_foreach (list, k, scope) {
            auto_free char *name =
                mir_format("%s/%s/%s", kind, ns ? ns : "", json_string_value(scope));
            json_t *first = json_object_get(seen, name);

            if (first && json_integer_value(first) != (json_int_t)i)
                return true;
            json_object_set_new(seen, name, json_integer((json_int_t)i));
        }
    }
    return false;
}

static void check_same_files(const struct chance *chance, const struct outcome *one,
                             const struct outcome *other, bool policies_too)
{
    assert_int_equal(one->files.count, other->files.count);
    for (size_t i = 0; i < one->files.count; i++) {
        const struct icsp_file *file = &one->files.items[i];

        if (!policies_too && mir_ends_with(file->path, ".json"))
            continue;
        if (!mir_span_equal(mir_span(file->data, file->len), file_of(other, file->path)))
            fail_msg("run %u: %s depends on the order of the objects", chance->run, file->path);
    }
}

static void property_order_of_objects_does_not_matter(void **state)
{
    unsigned compared = 0;

    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        struct chance chance = chance_of(run + 2 * RUNS);
        auto_json *documents = random_objects(&chance, run % 4 == 0 ? 3 : 0);
        auto_json *other_order = shuffled(&chance, documents);
        auto_outcome one = compile(documents, &chance);
        auto_outcome other = compile(other_order, &chance);

        if (one.ok != other.ok)
            fail_msg("run %u: rejected in one order alone: %s", run,
                     one.ok ? other.err.text : one.err.text);
        if (!one.ok)
            continue;
        compared++;
        check_same_files(&chance, &one, &other, !policies_share_a_scope(documents));
    }
    assert_true(compared > RUNS / 4);
}

/* ---- merging ---- */

#define NAMES_MAX 8

struct random_merge {
    struct icsp_set sets[SETS_MAX];
    const struct icsp_set *pointers[SETS_MAX];
    size_t count;
};

static void random_merge_release(struct random_merge *merge)
{
    for (size_t i = 0; i < merge->count; i++)
        icsp_list_release(&merge->sets[i].mirrors);
}
#define auto_random_merge __attribute__((cleanup(random_merge_release))) struct random_merge

/* Sets of two sources over a few names, which are also sources. Lists follow one hidden order, or
 * they do not. */
static struct random_merge random_merge(struct chance *chance, bool ordered)
{
    static const char *const names[NAMES_MAX] = {"a", "b", "c", "d", "e", "f", "g", "s"};
    static const unsigned hidden[NAMES_MAX] = {4, 0, 6, 2, 5, 1, 3, 7};
    struct random_merge merge = {.count = 1 + roll(chance, SETS_MAX)};

    for (size_t i = 0; i < merge.count; i++) {
        struct icsp_set *set = &merge.sets[i];

        set->source = roll(chance, 3) > 0 ? "s" : "t";
        for (unsigned k = 0; k < NAMES_MAX; k++) {
            unsigned at = ordered ? hidden[k] : roll(chance, NAMES_MAX);

            if (roll(chance, 3) == 0)
                icsp_list_add(&set->mirrors, names[at]);
        }
    }
    return merge;
}

static void point_to_sets(struct random_merge *merge)
{
    for (size_t i = 0; i < merge->count; i++)
        merge->pointers[i] = &merge->sets[i];
}

/* Where a name stands; the source, when it is not named, behind all others. */
static size_t position(const struct icsp_merged_set *set, const char *name)
{
    for (size_t i = 0; i < set->mirrors.count; i++)
        if (strcmp(set->mirrors.items[i], name) == 0)
            return i;
    assert_string_equal(name, set->source);
    return set->mirrors.count;
}

static void check_lists_kept(unsigned run, const struct random_merge *merge,
                             const struct icsp_merged_set *merged)
{
    for (size_t i = 0; i < merge->count; i++) {
        const struct icsp_set *set = &merge->sets[i];

        if (strcmp(set->source, merged->source) != 0 || !icsp_set_has_real_mirror(set))
            continue;
        for (size_t k = 1; k < set->mirrors.count; k++)
            if (position(merged, set->mirrors.items[k - 1]) >=
                position(merged, set->mirrors.items[k]))
                fail_msg("run %u: %s before %s in a list of %s, not in the merged one", run,
                         set->mirrors.items[k - 1], set->mirrors.items[k], set->source);
    }
}

static void merge_keeps_the_order_of_every_list(void **state)
{
    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        struct chance chance = chance_of(run);
        auto_random_merge merge = random_merge(&chance, true);
        auto_merged merged = {0};

        point_to_sets(&merge);
        icsp_merge(merge.pointers, merge.count, &merged);
        for (size_t i = 0; i < merged.count; i++)
            check_lists_kept(run, &merge, &merged.items[i]);
    }
}

static bool is_same_merge(const struct icsp_merged *one, const struct icsp_merged *other)
{
    if (one->count != other->count)
        return false;
    for (size_t i = 0; i < one->count; i++) {
        const struct icsp_merged_set *left = &one->items[i];
        const struct icsp_merged_set *right = &other->items[i];

        if (strcmp(left->source, right->source) != 0 || left->never != right->never ||
            left->mirrors.count != right->mirrors.count)
            return false;
        for (size_t k = 0; k < left->mirrors.count; k++)
            if (strcmp(left->mirrors.items[k], right->mirrors.items[k]) != 0)
                return false;
    }
    return true;
}

/* What comes out of merging, merged again: also where cycles were broken. */
static void merge_is_idempotent(void **state)
{
    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        struct chance chance = chance_of(run);
        auto_random_merge merge = random_merge(&chance, run % 2);
        struct icsp_set again[2];
        const struct icsp_set *pointers[2] = {&again[0], &again[1]};
        auto_merged once = {0};
        auto_merged twice = {0};

        point_to_sets(&merge);
        icsp_merge(merge.pointers, merge.count, &once);
        assert_true(once.count <= 2);
        for (size_t i = 0; i < once.count; i++)
            again[i] = (struct icsp_set){.source = once.items[i].source,
                                         .mirrors = once.items[i].mirrors,
                                         .never = once.items[i].never};
        icsp_merge(pointers, once.count, &twice);
        if (!is_same_merge(&once, &twice))
            fail_msg("run %u: merging what was merged changes it", run);
    }
}

/* Every name of the sets once, and no other; the order of the sets does not matter. */
static void merge_loses_nothing_in_whatever_order(void **state)
{
    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        struct chance chance = chance_of(run);
        auto_random_merge merge = random_merge(&chance, run % 2);
        const struct icsp_set *reversed[SETS_MAX];
        auto_merged one = {0};
        auto_merged other = {0};

        point_to_sets(&merge);
        for (size_t i = 0; i < merge.count; i++)
            reversed[i] = merge.pointers[merge.count - 1 - i];
        icsp_merge(merge.pointers, merge.count, &one);
        icsp_merge(reversed, merge.count, &other);
        if (!is_same_merge(&one, &other))
            fail_msg("run %u: the order of the sets matters", run);
        for (size_t i = 0; i < one.count; i++)
            for (size_t k = 0; k < one.items[i].mirrors.count; k++)
                assert_int_equal(position(&one.items[i], one.items[i].mirrors.items[k]), k);
        for (size_t i = 0; i < merge.count; i++)
            for (size_t m = 0; m < one.count; m++)
                for (size_t k = 0;
                     strcmp(one.items[m].source, merge.sets[i].source) == 0 &&
                     icsp_set_has_real_mirror(&merge.sets[i]) && k < merge.sets[i].mirrors.count;
                     k++)
                    (void)position(&one.items[m], merge.sets[i].mirrors.items[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(property_output_reads_back),
        cmocka_unit_test(property_spoilt_objects_never_crash),
        cmocka_unit_test(property_order_of_objects_does_not_matter),
        cmocka_unit_test(merge_keeps_the_order_of_every_list),
        cmocka_unit_test(merge_is_idempotent),
        cmocka_unit_test(merge_loses_nothing_in_whatever_order),
    };

    return cmocka_run_group_tests_name("icsp/property", tests, NULL, NULL);
}
