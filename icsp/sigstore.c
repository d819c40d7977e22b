/*
 * Where signatures lie: a runtime looks for the signature of an image beside the copy it pulls, so
 * every mirror of a scope that a policy names has to be listed too, and every scope below it that
 * has mirrors of its own.
 *
 * Mirrors are found as a node finds them: a reference below the scope is made up and rewritten for
 * every place a pull would try.
 */
#include "icsp/sigstore_priv.h"

#include <stdint.h>

#include "base/mem.h"
#include "base/tree.h"
#include "icsp/findings_priv.h"
#include "icsp/scope_priv.h"

#define SAMPLE_DIGEST "sha256:0000000000000000000000000000000000000000000000000000000000000000"

struct sigstore {
    const struct icsp_objects *objects;
    const struct icsp_registries *registries;
    json_t *names; /* object used as a set */
    struct icsp_findings *findings;
    struct mir_error *err;
};

static void add_name(struct sigstore *s, struct mir_span name)
{
    json_object_setn_new(s->names, name.ptr, name.len, json_true());
}

/* The policy that names the scope, or the first that names one around it. */
static const struct icsp_origin *object_of(const struct icsp_objects *objects, const char *scope)
{
    const struct icsp_policies *const both[] = {&objects->cluster_policies, &objects->policies};
    const struct icsp_origin *around = NULL;

    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < both[b]->count; i++)
            for (size_t k = 0; k < both[b]->items[i].scopes.count; k++) {
                const char *named = both[b]->items[i].scopes.items[k];

                if (strcmp(named, scope) == 0)
                    return both[b]->items[i].object;
                if (!around && icsp_scope_is_nested(mir_span_of(scope), mir_span_of(named)))
                    around = both[b]->items[i].object;
            }
    return around;
}

static bool reject_scope(struct sigstore *s, const char *scope, const char *text)
{
    struct icsp_place place = {.object = object_of(s->objects, scope),
                               .field = "spec.scopes",
                               .value = scope,
                               .rule = "mirror-rewriting"};

    return icsp_reject(s->findings, s->err, MIR_E_FORMAT, place,
                       "give the mirror a path, or name a scope that does not cross a wildcard "
                       "source",
                       "the places of its mirrors cannot be told: \"%.300s\" is no reference",
                       text);
}

/* ---- the places of one scope ---- */

/* A repository below the scope, made up where the scope is no repository. */
struct sample {
    const char *scope;
    char *repo;
    bool dummy; /* "/a" was appended */
};

static void sample_init(struct sample *sample, struct mir_span scope)
{
    size_t at;
    bool wildcard = scope.len > 0 && scope.ptr[0] == '*';

    sample->dummy = !mir_span_find(scope, '/', &at);
    sample->repo =
        mir_format("%s%.*s%s", wildcard ? "matched" : "",
                   MIR_SPAN_ARG(mir_span_from(scope, wildcard ? 1 : 0)), sample->dummy ? "/a" : "");
}

static bool add_place(struct sigstore *s, const struct sample *sample, struct mir_span ref,
                      size_t matched, const char *location)
{
    auto_free char *text = NULL;
    struct icsp_reference place;

    if (!icsp_rewrite(ref, matched, location, &text, &place))
        return reject_scope(s, sample->scope, text);
    if (sample->dummy && mir_span_ends_with(place.repo, "/a"))
        place.repo.len -= 2;
    add_name(s, place.repo);
    return true;
}

/* All places that a pull of ref would try. */
static bool add_places(struct sigstore *s, const struct sample *sample, const char *ref_text,
                       const struct icsp_registry *registry)
{
    struct mir_span text = mir_span_of(ref_text);
    struct icsp_reference ref;
    size_t matched;

    if (!icsp_reference_parse(text, &ref) ||
        !icsp_prefix_match(icsp_registry_scope(registry), text, &matched))
        return reject_scope(s, sample->scope, ref_text);
    for (size_t i = 0; i < registry->mirror_count; i++)
        if (icsp_mirror_applies(registry, &registry->mirrors[i], &ref) &&
            !add_place(s, sample, text, matched, registry->mirrors[i].location))
            return false;
    return !registry->location[0] || add_place(s, sample, text, matched, registry->location);
}

static bool add_scope(struct sigstore *s, struct mir_span scope,
                      const struct icsp_registry *registry)
{
    auto_free char *scope_text = mir_strndup(scope.ptr, scope.len);
    struct sample sample = {.scope = scope_text};
    auto_free char *repo = NULL;
    auto_free char *by_digest = NULL;
    auto_free char *by_tag = NULL;
    struct icsp_reference ref;

    sample_init(&sample, scope);
    repo = sample.repo;
    if (!icsp_reference_parse(mir_span_of(repo), &ref))
        return reject_scope(s, scope_text, repo);
    by_digest = mir_format("%.*s@" SAMPLE_DIGEST, MIR_SPAN_ARG(ref.repo));
    by_tag = mir_format("%.*s:tag", MIR_SPAN_ARG(ref.repo));
    return add_places(s, &sample, by_digest, registry) && add_places(s, &sample, by_tag, registry);
}

static bool add_if_found(struct sigstore *s, struct mir_span scope)
{
    size_t matched;
    const struct icsp_registry *found = icsp_registries_find(s->registries, scope, &matched);

    return !found || add_scope(s, scope, found);
}

static bool add_policy_scope(struct sigstore *s, const char *scope)
{
    struct mir_span policy_scope = mir_span_of(scope);

    if (!add_if_found(s, policy_scope))
        return false;
    for (size_t i = 0; i < s->registries->count; i++) {
        struct mir_span below = icsp_registry_scope(s->registries->items[i]);

        if (mir_span_equal(below, policy_scope) || !icsp_scope_is_nested(below, policy_scope))
            continue;
        if (!add_if_found(s, below))
            return false;
    }
    return true;
}

/* ---- the order of the names ---- */

static unsigned next_char(const char **text)
{
    unsigned char first = (unsigned char)**text;
    unsigned extra = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    unsigned c = extra == 0 ? first : first & (0x3fu >> extra);

    (*text)++;
    for (; extra > 0 && **text; extra--, (*text)++)
        c = c << 6 | ((unsigned char)**text & 0x3f);
    return c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Names are host names and paths: outside ASCII there is nothing but letters. */
static bool is_letter(unsigned c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
}

/* A run of digits as a number that wraps, begun with 1 where a zero inside a number is read. */
static int64_t read_number(const char *text, bool inside, size_t *digits)
{
    uint64_t value = inside ? 1 : 0;

    for (*digits = 0; is_digit(text[*digits]); (*digits)++)
        value = value * 10 + (uint64_t)(text[*digits] - '0');
    return (int64_t)value;
}

/* At the first difference: is the zero here a digit within a number? start is the whole name. */
static bool is_inside_number(const char *start, const char *at, const char *left, const char *right)
{
    if (*left != '0' && *right != '0')
        return false;
    for (; at > start && is_digit(at[-1]); at--)
        if (at[-1] != '0')
            return true;
    return false;
}

/* Two names that differ at this place, of which neither has a letter there. */
static int compare_numbers(const char *start, const char *left, const char *right, unsigned x,
                           unsigned y)
{
    bool inside = is_inside_number(start, left, left, right);
    size_t left_digits;
    size_t right_digits;
    int64_t n = read_number(left, inside, &left_digits);
    int64_t m = read_number(right, inside, &right_digits);

    if (n != m)
        return n < m ? -1 : 1;
    if (left_digits != right_digits)
        return left_digits < right_digits ? -1 : 1;
    return x < y ? -1 : 1;
}

/* The natural order of the operator's YAML writer. */
static int compare_names(const void *a, const void *b)
{
    const char *start = *(const char *const *)a;
    const char *left = start;
    const char *right = *(const char *const *)b;

    while (*left && *right) {
        const char *left_at = left;
        const char *right_at = right;
        unsigned x = next_char(&left);
        unsigned y = next_char(&right);

        if (x == y)
            continue;
        if (is_letter(x) && is_letter(y))
            return x < y ? -1 : 1;
        if (is_letter(x) || is_letter(y))
            return is_letter(x) ? 1 : -1;
        return compare_numbers(start, left_at, right_at, x, y);
    }
    return (*left != '\0') - (*right != '\0');
}

static json_t *sorted_names(json_t *names)
{
    auto_free const char **keys = mir_alloc_array(json_object_size(names), sizeof(*keys));
    json_t *sorted = json_object();
    const char *key;
    const json_t *value;
    size_t count = 0;

    json_object_foreach (names, key, value) {
        (void)value;
        keys[count++] = key;
    }
    qsort(keys, count, sizeof(*keys), compare_names);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(sorted, keys[i], json_pack("{s:b}", "use-sigstore-attachments", 1));
    return sorted;
}

bool icsp_sigstore_format(const struct icsp_objects *objects, const struct icsp_list *scopes,
                          const struct icsp_registries *registries, struct mir_buf *out,
                          struct icsp_findings *findings, struct mir_error *err)
{
    auto_json *names = json_object();
    auto_json *file = NULL;
    struct sigstore s = {.objects = objects,
                         .registries = registries,
                         .names = names,
                         .findings = findings,
                         .err = err};

    for (size_t i = 0; i < scopes->count; i++)
        add_name(&s, mir_span_of(scopes->items[i]));
    for (size_t i = 0; registries && i < scopes->count; i++)
        if (!add_policy_scope(&s, scopes->items[i]))
            return false;
    file = json_pack("{s:o}", "docker", sorted_names(names));
    mir_yaml_format(file, out);
    return true;
}
