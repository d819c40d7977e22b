/*
 * Scopes that are chosen by proof: what comes out for known mappings and clusters, and for any of
 * them, that every image resolves when all objects are compiled together, that the cluster's own
 * images still do, and that no entry is written that need not be.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/tree.h"
#include "icsp/icsp.h"
#include "icsp/lookup.h"

#define DIGEST "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define RUNS   2000

#define ICSP  ICSP_KIND_ICSP
#define IDMS  ICSP_KIND_IDMS
#define ITMS  ICSP_KIND_ITMS
#define BOTH  (ICSP_KIND_IDMS | ICSP_KIND_ITMS)
#define PAIRS 12

/* ---- mappings, and clusters, written short ---- */

/* "host/path[:tag]=host/path[:tag] ..." */
struct mapping {
    struct icsp_pair pairs[PAIRS];
    size_t count;
    char *text;
};

static void cut_ref(char *text, const char **host, const char **repo, const char **tag)
{
    char *slash = strchr(text, '/');
    char *colon = strchr(slash, ':');

    *slash = '\0';
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

static json_t *set_json(char *text, bool never)
{
    json_t *mirrors = json_array();
    char *save = NULL;
    const char *source = strtok_r(text, "=,", &save);

    for (char *at = strtok_r(NULL, ",", &save); at; at = strtok_r(NULL, ",", &save))
        json_array_append_new(mirrors, json_string(at));
    return never ? json_pack("{s:s, s:o, s:s}", "source", source, "mirrors", mirrors,
                             "mirrorSourcePolicy", "NeverContactSource")
                 : json_pack("{s:s, s:o}", "source", source, "mirrors", mirrors);
}

static void add_object(json_t *documents, const char *version, const char *kind, const char *name,
                       const char *field, json_t *value)
{
    json_array_append_new(documents,
                          json_pack("{s:s, s:s, s:{s:s}, s:{s:o}}", "apiVersion", version, "kind",
                                    kind, "metadata", "name", name, "spec", field, value));
}

/* Words: i: an ICSP's set, d: an IDMS's, n: one with NeverContactSource, t: an ITMS's, each
 * "x:source=mirror,mirror"; b:scope blocked, u:scope insecure. Each word is an object of its own,
 * named as what follows "@" in front ("@mirror d:..."), or "old". */
static json_t *cluster_of(const char *words)
{
    static const char config[] = "config.openshift.io/v1";
    auto_free char *text = mir_strdup(words);
    json_t *documents = json_array();
    json_t *blocked = json_array();
    json_t *insecure = json_array();
    const char *name = "old";
    char *save = NULL;

    for (char *at = strtok_r(text, " ", &save); at; at = strtok_r(NULL, " ", &save)) {
        char kind = at[0];

        if (kind == '@')
            name = at + 1;
        else if (kind == 'i')
            add_object(documents, "operator.openshift.io/v1alpha1", "ImageContentSourcePolicy",
                       name, "repositoryDigestMirrors", json_pack("[o]", set_json(at + 2, false)));
        else if (kind == 't')
            add_object(documents, config, "ImageTagMirrorSet", name, "imageTagMirrors",
                       json_pack("[o]", set_json(at + 2, false)));
        else if (kind == 'd' || kind == 'n')
            add_object(documents, config, "ImageDigestMirrorSet", name, "imageDigestMirrors",
                       json_pack("[o]", set_json(at + 2, kind == 'n')));
        else
            json_array_append_new(kind == 'b' ? blocked : insecure, json_string(at + 2));
    }
    add_object(
        documents, config, "Image", "cluster", "registrySources",
        json_pack("{s:o, s:o}", "blockedRegistries", blocked, "insecureRegistries", insecure));
    return documents;
}

/* ---- running ---- */

struct outcome {
    bool ok;
    struct mir_error err;
    struct icsp_object_files files;
    struct icsp_findings findings;
};

static void outcome_release(struct outcome *outcome)
{
    icsp_object_files_release(&outcome->files);
    icsp_findings_release(&outcome->findings);
}
#define auto_outcome __attribute__((cleanup(outcome_release))) struct outcome

/* cluster: NULL for none. */
static struct outcome emit(const struct mapping *mapping, json_t *cluster, unsigned kinds,
                           enum icsp_scope_level level)
{
    struct outcome outcome = {.err = MIR_ERROR_INIT};
    struct icsp_objects *objects = icsp_objects_new();
    struct icsp_emit_options options = {
        .kinds = kinds, .level = level, .with = cluster ? objects : NULL};

    outcome.ok = (!cluster ||
                  icsp_objects_add(objects, cluster, "cluster", &outcome.findings, &outcome.err)) &&
                 icsp_emit(mapping->pairs, mapping->count, &options, &outcome.files,
                           &outcome.findings, &outcome.err);
    icsp_objects_free(objects);
    return outcome;
}

static void add_sets(const struct icsp_object_files *files, const char *file, const char *field,
                     const char *mark, struct mir_buf *out)
{
    for (size_t i = 0; i < files->count; i++) {
        const json_t *set;
        size_t k;

        if (strcmp(files->items[i].name, file) != 0)
            continue;
        json_array_foreach (json_object_get(json_object_get(files->items[i].object, "spec"), field),
                            k, set) {
            const json_t *mirror;
            size_t m;

            mir_buf_printf(out, "%s%s%s%s=", out->len > 0 ? " " : "", mark,
                           json_string_value(json_object_get(set, "source")),
                           json_object_get(set, "mirrorSourcePolicy") ? "!" : "");
            json_array_foreach (json_object_get(set, "mirrors"), m, mirror)
                mir_buf_printf(out, "%s%s", m > 0 ? "," : "", json_string_value(mirror));
        }
    }
}

/* What was written: "source=mirror,mirror", "t:" in front of those for tags, '!' for one that is
 * never contacted. */
static char *text_of(const struct icsp_object_files *files)
{
    struct mir_buf text;

    mir_buf_init(&text, 1u << 20);
    add_sets(files, "imagecontentsourcepolicy.yaml", "repositoryDigestMirrors", "", &text);
    add_sets(files, "imagedigestmirrorset.yaml", "imageDigestMirrors", "", &text);
    add_sets(files, "imagetagmirrorset.yaml", "imageTagMirrors", "t:", &text);
    return mir_buf_take(&text);
}

/* ---- known cases ---- */

struct row {
    const char *label, *mapping;
    const char *cluster; /* NULL: none is known */
    unsigned kinds;
    const char *want; /* what is written, or "error: " and a part of it */
};

static const struct row rows[] = {
    {"one image, its whole host", "q.io/a/b=m.io/p/a/b", NULL, IDMS, "q.io=m.io/p"},
    {"the mirror may be a bare host for a host", "q.io/a/b=m.io/a/b", NULL, IDMS, "q.io=m.io"},
    {"but not for a path", "q.io/x/a/b=m.io/a/b", NULL, IDMS, "q.io/x/a=m.io/a"},
    {"only a part of the path is kept", "q.io/x/a/b=m.io/p/a/b", NULL, IDMS, "q.io/x=m.io/p"},
    {"nothing of it is", "q.io/a/b=m.io/c", NULL, IDMS, "q.io/a/b=m.io/c"},
    {"hosts to one mirror", "q.io/a=m.io/q/a r.io/b=m.io/r/b", NULL, ICSP,
     "q.io=m.io/q r.io=m.io/r"},
    {"most win, the others go finer", "q.io/a/b=m.io/p/a/b q.io/a/c=m.io/p/a/c q.io/d/e=n.io/d/e",
     NULL, IDMS, "q.io=m.io/p q.io/d=n.io/d"},
    {"the same number: byte order", "q.io/a/b=n.io/a/b q.io/d/e=m.io/d/e", NULL, IDMS,
     "q.io=m.io q.io/a=n.io/a"},
    {"finer by as little as will do",
     "q.io/a/b/c=m.io/a/b/c q.io/a/d/e=m.io/a/d/e q.io/x/y/z=n.io/x/y/z q.io/x/y/w=n.io/x/y/w "
     "q.io/u=m.io/u",
     NULL, IDMS, "q.io=m.io q.io/x=n.io/x"},
    {"one image elsewhere", "q.io/a/b=m.io/p/a/b q.io/a/c=m.io/p/a/c q.io/a/d=m.io/z", NULL, IDMS,
     "q.io=m.io/p q.io/a/d=m.io/z"},
    {"what lies below an image elsewhere",
     "q.io/a=m.io/z q.io/a/b=m.io/p/a/b q.io/c=m.io/p/c q.io/d=m.io/p/d", NULL, IDMS,
     "q.io=m.io/p q.io/a=m.io/z q.io/a/b=m.io/p/a/b"},
    {"two copies", "q.io/a/b=m.io/a/b q.io/a/b=n.io/x/a/b q.io/a/c=m.io/a/c q.io/a/c=n.io/x/a/c",
     NULL, IDMS, "q.io=m.io,n.io/x"},
    {"tags too", "q.io/a:1=m.io/a:1 q.io/b=m.io/b", NULL, BOTH, "q.io=m.io t:q.io=m.io"},
    /* what the cluster has */
    {"nothing in the way", "q.io/a/b=m.io/a/b", "d:r.io=o.io", IDMS, "q.io=m.io"},
    {"a narrower entry: one as narrow", "q.io/a/b=m.io/a/b q.io/c=m.io/c", "d:q.io/a=o.io/a", IDMS,
     "q.io=m.io q.io/a=m.io/a"},
    {"one for tags hides those for digests", "q.io/a/b=m.io/a/b q.io/c=m.io/c", "t:q.io/a=o.io/a",
     IDMS, "q.io=m.io q.io/a=m.io/a"},
    {"a blocked scope inherits", "q.io/a/b=m.io/a/b q.io/c=m.io/c", "b:q.io/a", IDMS, "q.io=m.io"},
    {"the same source: they are merged", "q.io/a/b=m.io/a/b", "i:q.io=o.io", IDMS, "q.io=m.io"},
    {"a broader entry, whose mirrors are taken along", "q.io/a/b=m.io/z", "d:q.io=o.io/p", IDMS,
     "q.io/a/b=m.io/z,o.io/p/a/b"},
    {"those for tags as well", "q.io/a/b=m.io/z", "t:q.io=o.io/p", BOTH,
     "q.io/a/b=m.io/z t:q.io/a/b=o.io/p/a/b"},
    {"a wildcard entry, whose mirrors are taken along", "x.q.io/a/b=m.io/z", "d:*.q.io=o.io/p",
     IDMS, "x.q.io/a/b=m.io/z,o.io/p/a/b"},
    {"a broader scope would take a blocked scope's mirrors away", "q.io/c=m.io/c",
     "d:q.io/a=o.io/a b:q.io/a/b", IDMS, "q.io/c=m.io/c"},
    {"never contact: the same is said", "q.io/a/b=m.io/a/b", "n:q.io=o.io", IDMS, "q.io!=m.io"},
    {"never contact goes down", "q.io/a/b=m.io/z", "n:q.io=o.io", IDMS,
     "q.io/a/b!=m.io/z,o.io/a/b"},
    {"never contact, where the kind cannot say it", "q.io/a/b=m.io/a/b", "n:q.io=o.io", ICSP,
     "q.io/a=m.io/a,o.io/a"},
    {"and nothing finer can", "q.io/a/b=m.io/a/b", "n:q.io/a/b=o.io", ICSP,
     "error: mirrorSourcePolicy"},
    {"a blocked source is no hindrance", "q.io/a/b=m.io/a/b", "b:q.io", IDMS, "q.io=m.io"},
    {"a blocked mirror is", "q.io/a/b=m.io/a/b", "b:m.io/a", IDMS,
     "error: \"q.io/a/b\": pulled by digest, a node would not ask at m.io/a/b, whatever the "
     "scope: \"m.io/a\" is blocked"},
    {"a mirror no runtime takes", "q.io/a/b=mirror/a/b", NULL, IDMS, "error: whatever the scope"},
    {"a name that a runtime spells otherwise", "docker.io/a=m.io/a", NULL, IDMS,
     "error: library/a"},
    {"a cluster that refuses its own objects", "q.io/a=m.io/a", "d:q.io/A=o.io", IDMS,
     "error: what the cluster has: "},
    {"objects of the same name are replaced", "q.io/a/b=m.io/a/b",
     "@mirror d:q.io/a=o.io/z d:q.io=n.io", IDMS, "q.io=m.io"},
    {"of another kind they are not", "q.io/a/b=m.io/a/b q.io/c=m.io/c", "@mirror i:q.io/a=o.io/a",
     IDMS, "q.io=m.io q.io/a=m.io/a"},
};

static void auto_scopes_are_the_broadest_that_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        auto_json *cluster = row->cluster ? cluster_of(row->cluster) : NULL;
        auto_free char *got = NULL;
        struct mapping mapping;

        mapping_parse(&mapping, row->mapping);
        auto_outcome outcome = emit(&mapping, cluster, row->kinds, ICSP_SCOPE_AUTO);

        got = outcome.ok ? text_of(&outcome.files) : mir_format("error: %s", outcome.err.text);
        if (mir_starts_with(row->want, "error: ")
                ? outcome.ok || !strstr(got, row->want + strlen("error: "))
                : strcmp(got, row->want) != 0)
            fail_msg("%s: %s", row->label, got);
        free(mapping.text);
    }
}

/* With the cluster's objects, the levels that are named give way too. */
static void named_levels_mind_the_cluster(void **state)
{
    auto_json *cluster = cluster_of("d:q.io/a=o.io/a");
    auto_free char *got = NULL;
    struct mapping mapping;

    (void)state;
    mapping_parse(&mapping, "q.io/a/b=m.io/a/b q.io/c=m.io/c");
    auto_outcome outcome = emit(&mapping, cluster, IDMS, ICSP_SCOPE_REGISTRY);

    assert_true(outcome.ok);
    got = text_of(&outcome.files);
    assert_string_equal(got, "q.io=m.io q.io/a/b=m.io/a/b,o.io/a/b");
    free(mapping.text);
}

/* ---- any mapping, any cluster ---- */

static unsigned roll(uint64_t *state, unsigned below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 33) % below;
}

static void random_path(uint64_t *chance, struct mir_buf *out)
{
    for (unsigned depth = 1 + roll(chance, 3); depth > 0; depth--)
        mir_buf_printf(out, "/%c", 'a' + (int)roll(chance, 3));
}

static void random_mapping(uint64_t *chance, struct mir_buf *out)
{
    for (unsigned n = 1 + roll(chance, 8); n > 0; n--) {
        auto_buf path;
        bool tagged = roll(chance, 2) == 0;

        mir_buf_init(&path, 100);
        random_path(chance, &path);
        mir_buf_printf(out, "%sq%u.io%s%s=", out->len > 0 ? " " : "", roll(chance, 2), path.ptr,
                       tagged ? ":t" : "");
        if (roll(chance, 4) == 0)
            mir_buf_printf(out, "m.io/%c%s", 'x' + (int)roll(chance, 2), tagged ? ":t" : "");
        else
            mir_buf_printf(out, "m.io%s%s%s", roll(chance, 2) ? "/p" : "", path.ptr,
                           tagged ? ":t" : "");
    }
}

static void random_cluster(uint64_t *chance, struct mir_buf *out)
{
    static const char kinds[] = "iddddttttnbbuu";

    for (unsigned n = 1 + roll(chance, 6); n > 0; n--) {
        char kind = kinds[roll(chance, sizeof(kinds) - 1)];
        auto_buf scope;

        mir_buf_init(&scope, 100);
        mir_buf_printf(&scope, "q%u.io", roll(chance, 2));
        if (roll(chance, 4) > 0)
            random_path(chance, &scope);
        mir_buf_printf(out, " %c:%s", kind, scope.ptr);
        if (kind != 'b' && kind != 'u')
            mir_buf_printf(out, "=o%u.io/%c", roll(chance, 2), 'u' + (int)roll(chance, 3));
    }
}

/* A node's look-up after all objects were compiled. NULL: they are refused. */
static struct icsp_lookup *compile(json_t *cluster, const struct icsp_object_files *files)
{
    struct icsp_objects *objects = icsp_objects_new();
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_lookup *lookup = NULL;
    auto_findings findings = {0};
    auto_json *all = json_copy(cluster);
    auto_files node = {0};
    bool ok;

    for (size_t i = 0; files && i < files->count; i++)
        json_array_append(all, files->items[i].object);
    ok = icsp_objects_add(objects, all, "all", &findings, &err) &&
         icsp_compile(objects, NULL, &node, &findings, &err);
    icsp_objects_free(objects);
    if (!ok)
        return NULL;
    lookup = icsp_lookup_new();
    assert_true(icsp_lookup_add_registries(lookup, mir_span(node.items[0].data, node.items[0].len),
                                           "registries.conf", ICSP_CONF_MAIN, &err));
    return lookup;
}

static bool asks(const struct icsp_lookup *lookup, const char *image, const char *place)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_route route = {0};

    assert_true(icsp_lookup_find(lookup, mir_span_of(image), &route, &err));
    for (size_t i = 0; i < route.place_count; i++)
        if (route.places[i].is_mirror && !route.places[i].blocked &&
            strcmp(route.places[i].reference, place) == 0)
            return true;
    return false;
}

static bool resolves(const struct icsp_lookup *lookup, const struct icsp_pair *pair,
                     const char *suffix)
{
    auto_free char *image = mir_format("%s/%s%s", pair->source_host, pair->source_repo, suffix);
    auto_free char *place = mir_format("%s/%s%s", pair->mirror_host, pair->mirror_repo, suffix);

    return asks(lookup, image, place);
}

static bool all_resolve(const struct icsp_lookup *lookup, const struct mapping *mapping,
                        unsigned kinds, const char **failed)
{
    for (size_t i = 0; i < mapping->count; i++) {
        const struct icsp_pair *pair = &mapping->pairs[i];

        *failed = pair->source_repo;
        if ((kinds & (ICSP | IDMS)) && !resolves(lookup, pair, DIGEST))
            return false;
        if ((kinds & ITMS) && pair->source_tag && !resolves(lookup, pair, ":t"))
            return false;
    }
    return true;
}

/* Every name of a small world: what the cluster finds for it alone, it finds with our objects too.
 */
static void check_kept(const char *label, const struct icsp_lookup *before,
                       const struct icsp_lookup *after, const char *suffix)
{
    for (unsigned name = 0; name < 2 * 3 * 4 * 4; name++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_route route = {0};
        auto_buf image;

        mir_buf_init(&image, 200);
        mir_buf_printf(&image, "q%u.io/%c", name % 2, 'a' + (int)(name / 2 % 3));
        if (name / 6 % 4 < 3)
            mir_buf_printf(&image, "/%c", 'a' + (int)(name / 6 % 4));
        if (name / 24 < 3)
            mir_buf_printf(&image, "/%c", 'a' + (int)(name / 24));
        mir_buf_text(&image, suffix);
        assert_true(icsp_lookup_find(before, mir_buf_span(&image), &route, &err));
        for (size_t i = 0; i < route.place_count; i++)
            if (route.places[i].is_mirror && !route.places[i].blocked &&
                !asks(after, image.ptr, route.places[i].reference))
                fail_msg("%s: %s is not looked for at %s any more", label, image.ptr,
                         route.places[i].reference);
    }
}

static bool is_copy(const struct mapping *mapping, const struct icsp_pair *pair, const char *place)
{
    for (size_t i = 0; i < mapping->count; i++) {
        const struct icsp_pair *other = &mapping->pairs[i];
        auto_free char *copy = mir_format("%s/%s" DIGEST, other->mirror_host, other->mirror_repo);

        if (strcmp(other->source_host, pair->source_host) == 0 &&
            strcmp(other->source_repo, pair->source_repo) == 0 && strcmp(copy, place) == 0)
            return true;
    }
    return false;
}

/* Every image is looked for at its copies, and at no other mirror. */
static bool all_resolve_exactly(const struct icsp_lookup *lookup, const struct mapping *mapping)
{
    const char *failed;

    if (!all_resolve(lookup, mapping, IDMS, &failed))
        return false;
    for (size_t i = 0; i < mapping->count; i++) {
        const struct icsp_pair *pair = &mapping->pairs[i];
        auto_free char *image = mir_format("%s/%s" DIGEST, pair->source_host, pair->source_repo);
        struct mir_error err = MIR_ERROR_INIT;
        auto_route route = {0};

        assert_true(icsp_lookup_find(lookup, mir_span_of(image), &route, &err));
        for (size_t k = 0; k < route.place_count; k++)
            if (route.places[k].is_mirror && !is_copy(mapping, pair, route.places[k].reference))
                return false;
    }
    return true;
}

/* No entry can be left out. */
static void check_needed(const char *label, const struct mapping *mapping,
                         struct icsp_object_files *files)
{
    json_t *nothing = json_array();

    for (size_t i = 0; i < files->count; i++) {
        json_t *spec = json_object_get(files->items[i].object, "spec");
        json_t *list = json_object_iter_value(json_object_iter(spec));

        for (size_t k = 0; strstr(files->items[i].name, "digest") && k < json_array_size(list);
             k++) {
            auto_json *set = json_incref(json_array_get(list, k));
            auto_lookup *lookup = NULL;

            json_array_remove(list, k);
            lookup = compile(nothing, files);
            if (all_resolve_exactly(lookup, mapping))
                fail_msg("%s: the entry %s is not needed", label,
                         json_string_value(json_object_get(set, "source")));
            json_array_insert(list, k, set);
        }
    }
    json_decref(nothing);
}

struct tally {
    unsigned proved, refused, rejected;
};

static void check_run(unsigned run, struct tally *tally)
{
    static const unsigned kinds_of[] = {IDMS, ICSP, BOTH, ICSP | ITMS};
    uint64_t chance = 0x9e3779b97f4a7c15u * (run + 1);
    unsigned kinds = kinds_of[run % 4];
    auto_buf mapping_text;
    auto_buf cluster_text;
    auto_free char *label = NULL;
    auto_json *cluster = NULL;
    auto_lookup *before = NULL;
    auto_lookup *after = NULL;
    struct mapping mapping;
    const char *failed;

    mir_buf_init(&mapping_text, 1u << 16);
    mir_buf_init(&cluster_text, 1u << 16);
    random_mapping(&chance, &mapping_text);
    if (run % 5 > 0)
        random_cluster(&chance, &cluster_text);
    label = mir_format("run %u: %s with%s", run, mapping_text.ptr, cluster_text.ptr);
    cluster = cluster_of(cluster_text.ptr);
    mapping_parse(&mapping, mapping_text.ptr);
    auto_outcome outcome = emit(&mapping, run % 5 > 0 ? cluster : NULL, kinds, ICSP_SCOPE_AUTO);

    before = compile(cluster, NULL);
    if (!outcome.ok) {
        auto_outcome finest = emit(&mapping, cluster, kinds, ICSP_SCOPE_REPOSITORY);

        if (before && finest.ok)
            fail_msg("%s: %s, but every repository by itself can", label, outcome.err.text);
        tally->refused += before != NULL;
        tally->rejected += before == NULL;
        free(mapping.text);
        return;
    }
    after = compile(cluster, &outcome.files);
    if (!after)
        fail_msg("%s: the cluster refuses them", label);
    if (!all_resolve(after, &mapping, kinds, &failed))
        fail_msg("%s: %s does not resolve", label, failed);
    check_kept(label, before, after, DIGEST);
    if (kinds & ITMS)
        check_kept(label, before, after, ":t");
    if (run % 5 == 0)
        check_needed(label, &mapping, &outcome.files);
    tally->proved++;
    free(mapping.text);
}

static void auto_scopes_of_any_mapping_and_cluster_are_right(void **state)
{
    struct tally tally = {0};

    (void)state;
    for (unsigned run = 0; run < RUNS; run++)
        check_run(run, &tally);
    /* Most have to be about something. */
    assert_true(tally.proved > RUNS / 2);
    assert_true(tally.refused < RUNS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_scopes_are_the_broadest_that_are_right),
        cmocka_unit_test(named_levels_mind_the_cluster),
        cmocka_unit_test(auto_scopes_of_any_mapping_and_cluster_are_right),
    };

    return cmocka_run_group_tests_name("icsp/auto", tests, NULL, NULL);
}
