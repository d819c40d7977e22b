/*
 * Reading registries.conf (version 2) into the value that registries.c builds on: the file that
 * every node has, or the one given in its stead. What the container library would pass over
 * (unknown keys) is warned of, because a file that is written again loses it; what it would refuse
 * is refused, with line and column. The library takes keys in any case of letters.
 */
#include "icsp/registries_priv.h"

#include <assert.h>
#include <strings.h>

#include "base/mem.h"
#include "base/toml.h"
#include "icsp/findings_priv.h"

const char icsp_base_registries[] =
    "unqualified-search-registries = ['registry.access.redhat.com', 'docker.io']\n";

struct reader {
    const struct mir_toml *doc;
    struct icsp_registries *out;
    struct icsp_findings *findings;
    struct mir_error *err;
};

/* ---- keys ---- */

static bool is_key(struct mir_span key, const char *word)
{
    return key.len == strlen(word) && strncasecmp(key.ptr, word, key.len) == 0;
}

static bool is_among(struct mir_span key, const char *const *known)
{
    for (; *known; known++)
        if (is_key(key, *known))
            return true;
    return false;
}

const char *icsp_registries_key(const struct mir_toml_table *table, const char *key)
{
    if (mir_toml_find(table, key))
        return key;
    for (size_t i = 0; i < table->count; i++)
        if (is_key(table->entries[i]->key, key))
            return table->entries[i]->key.ptr;
    return key;
}

static void warn_unknown(const struct reader *r, const struct mir_toml_table *table,
                         const char *const *known)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct mir_toml_entry *entry = table->entries[i];
        struct icsp_origin origin = {.file = mir_toml_name(r->doc), .line = entry->key_at.line};
        auto_free char *key = NULL;

        if (is_among(entry->key, known))
            continue;
        key = mir_strndup(entry->key.ptr, entry->key.len);
        icsp_say(r->findings, ICSP_WARNING,
                 (struct icsp_place){.object = &origin, .field = key, .rule = "unknown-key"},
                 "check the spelling, or take it out",
                 "unknown key: a node passes over it, and it is lost when the file is written");
    }
}

/* A copy of the string under key; "" when there is none. */
static bool copy_string(const struct reader *r, const struct mir_toml_table *table, const char *key,
                        char **out)
{
    const char *text = "";

    if (!mir_toml_get_string(r->doc, table, icsp_registries_key(table, key), &text, r->err))
        return false;
    free(*out);
    *out = mir_strdup(text);
    return true;
}

static bool copy_strings(const struct reader *r, const struct mir_toml_table *table,
                         const char *key, struct icsp_strings *out)
{
    const struct mir_toml_array *array = NULL;

    if (!mir_toml_get_array_of(r->doc, table, icsp_registries_key(table, key), MIR_TOML_STRING,
                               &array, r->err))
        return false;
    out->given = array != NULL;
    for (size_t i = 0; array && i < array->count; i++)
        icsp_strings_add(out, array->items[i].string);
    return true;
}

static bool get_flag(const struct reader *r, const struct mir_toml_table *table, const char *key,
                     bool *out)
{
    return mir_toml_get_boolean(r->doc, table, icsp_registries_key(table, key), out, r->err);
}

/* NULL when there are none. */
static bool get_tables(const struct reader *r, const struct mir_toml_table *table, const char *key,
                       const struct mir_toml_array **out)
{
    *out = NULL;
    return mir_toml_get_array_of(r->doc, table, icsp_registries_key(table, key), MIR_TOML_TABLE,
                                 out, r->err);
}

/* ---- entries ---- */

static bool read_pull(const struct reader *r, const struct mir_toml_table *table,
                      struct icsp_mirror *mirror)
{
    static const struct {
        const char *word;
        enum icsp_pull pull;
    } words[] = {{"", ICSP_PULL_ALL},
                 {"all", ICSP_PULL_ALL},
                 {"digest-only", ICSP_PULL_DIGEST},
                 {"tag-only", ICSP_PULL_TAG}};
    const char *key = icsp_registries_key(table, "pull-from-mirror");
    const char *word = "";

    if (!mir_toml_get_string(r->doc, table, key, &word, r->err))
        return false;
    mirror->says_all = strcmp(word, "all") == 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(word, words[i].word) == 0) {
            mirror->pull = words[i].pull;
            return true;
        }
    return mir_toml_fail(r->doc, mir_toml_find(table, key)->at, r->err,
                         "pull-from-mirror: \"%.100s\" is none of all, digest-only, tag-only",
                         word);
}

static bool read_mirror(const struct reader *r, const struct mir_toml_table *table,
                        struct icsp_registry *registry)
{
    static const char *const known[] = {"location", "insecure", "pull-from-mirror", NULL};
    struct icsp_mirror *mirror;

    mir_grow(&registry->mirrors, registry->mirror_count, &registry->mirror_capacity,
             sizeof(*registry->mirrors));
    mirror = &registry->mirrors[registry->mirror_count++];
    *mirror = (struct icsp_mirror){.pull = ICSP_PULL_ALL, .line = table->at.line};
    warn_unknown(r, table, known);
    return copy_string(r, table, "location", &mirror->location) &&
           get_flag(r, table, "insecure", &mirror->insecure) && read_pull(r, table, mirror);
}

/* An entry itself is not a mirror; settling refuses it, the operator passes it over. */
static void note_pull(const struct mir_toml_table *table, struct icsp_registry *registry)
{
    const char *key = icsp_registries_key(table, "pull-from-mirror");
    const struct mir_toml_value *value = mir_toml_find(table, key);

    registry->says_pull = value && value->kind == MIR_TOML_STRING && value->string.len > 0;
}

static bool read_registry(const struct reader *r, const struct mir_toml_table *table)
{
    static const char *const known[] = {
        "prefix", "location", "insecure", "blocked", "mirror-by-digest-only", "mirror", NULL};
    struct icsp_registry *registry = icsp_registries_append(r->out);
    const struct mir_toml_array *mirrors = NULL;

    registry->line = table->at.line;
    warn_unknown(r, table, known);
    note_pull(table, registry);
    if (!copy_string(r, table, "prefix", &registry->prefix) ||
        !copy_string(r, table, "location", &registry->location) ||
        !get_flag(r, table, "insecure", &registry->insecure) ||
        !get_flag(r, table, "blocked", &registry->blocked) ||
        !get_flag(r, table, "mirror-by-digest-only", &registry->digest_only) ||
        !get_tables(r, table, "mirror", &mirrors))
        return false;
    for (size_t i = 0; mirrors && i < mirrors->count; i++)
        if (!read_mirror(r, mirrors->items[i].table, registry))
            return false;
    icsp_registries_index(r->out, registry);
    return true;
}

static bool read_entries(const struct reader *r, const struct mir_toml_table *root)
{
    const struct mir_toml_array *array = NULL;

    if (!get_tables(r, root, "registry", &array))
        return false;
    for (size_t i = 0; array && i < array->count; i++)
        if (!read_registry(r, array->items[i].table))
            return false;
    return true;
}

/* ---- aliases ---- */

static int compare_aliases(const void *a, const void *b)
{
    return strcmp(((const struct icsp_alias *)a)->name, ((const struct icsp_alias *)b)->name);
}

static bool read_alias(const struct reader *r, const struct mir_toml_entry *entry)
{
    struct icsp_registries *out = r->out;
    struct mir_span value = entry->value.string;

    if (entry->value.kind != MIR_TOML_STRING)
        return mir_toml_fail(r->doc, entry->value.at, r->err, "alias %.*s: expected %s, found %s",
                             MIR_SPAN_ARG(entry->key), mir_toml_kind_text(MIR_TOML_STRING),
                             mir_toml_kind_text(entry->value.kind));
    if (memchr(entry->key.ptr, '\0', entry->key.len) || memchr(value.ptr, '\0', value.len))
        return mir_toml_fail(r->doc, entry->key_at, r->err, "alias with a NUL in it");
    mir_grow(&out->aliases, out->alias_count, &out->alias_capacity, sizeof(*out->aliases));
    out->aliases[out->alias_count++] =
        (struct icsp_alias){.name = mir_strndup(entry->key.ptr, entry->key.len),
                            .target = mir_strndup(value.ptr, value.len)};
    return true;
}

static bool read_aliases(const struct reader *r, const struct mir_toml_table *root)
{
    const struct mir_toml_table *table = NULL;

    if (!mir_toml_get_table(r->doc, root, icsp_registries_key(root, "aliases"), &table, r->err))
        return false;
    r->out->has_aliases = table != NULL;
    for (size_t i = 0; table && i < table->count; i++)
        if (!read_alias(r, table->entries[i]))
            return false;
    if (r->out->alias_count > 0)
        qsort(r->out->aliases, r->out->alias_count, sizeof(*r->out->aliases), compare_aliases);
    return true;
}

/* ---- the whole ---- */

/* [registries.search] and its like: what was written until 2019. */
static bool reject_version_1(const struct reader *r, const struct mir_toml_table *root)
{
    const struct mir_toml_entry *old = mir_toml_find_entry(root, mir_span_of("registries"));

    if (!old)
        return true;
    (void)mir_toml_fail(r->doc, old->key_at, r->err,
                        "[registries...] is version 1 of registries.conf, which no node of "
                        "OpenShift 4.2 or later has");
    return mir_hint(r->err, "write unqualified-search-registries and [[registry]] entries");
}

static bool read_document(const struct reader *r)
{
    static const char *const known[] = {"unqualified-search-registries",
                                        "credential-helpers",
                                        "short-name-mode",
                                        "additional-layer-store-auth-helper",
                                        "registry",
                                        "registries",
                                        "aliases",
                                        NULL};
    const struct mir_toml_table *root = mir_toml_root(r->doc);

    warn_unknown(r, root, known);
    return copy_strings(r, root, "unqualified-search-registries", &r->out->search) &&
           copy_strings(r, root, "credential-helpers", &r->out->helpers) &&
           copy_string(r, root, "short-name-mode", &r->out->mode) &&
           copy_string(r, root, "additional-layer-store-auth-helper", &r->out->layer_helper) &&
           read_entries(r, root) && read_aliases(r, root);
}

bool icsp_registries_read(struct icsp_registries *registries, struct mir_span text,
                          const char *name, struct icsp_findings *findings, struct mir_error *err)
{
    auto_toml *doc = NULL;
    struct reader r = {.out = registries, .findings = findings, .err = err};

    if (!mir_toml_parse(text, name, &doc, err))
        return false;
    r.doc = doc;
    return reject_version_1(&r, mir_toml_root(doc)) && read_document(&r);
}

/* Anything that counts: a list or table that is there, empty or not; a string that is not empty. */
static bool is_filled(const struct reader *r)
{
    static const char *const keys[] = {"registry", "unqualified-search-registries",
                                       "credential-helpers", "aliases"};
    const struct mir_toml_table *root = mir_toml_root(r->doc);

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (mir_toml_find(root, icsp_registries_key(root, keys[i])))
            return true;
    return r->out->mode[0] || r->out->layer_helper[0];
}

/* Both versions in one file, or version 1 in a drop-in. */
static bool refuse_mixture(const char *name, bool is_drop_in, struct mir_error *err)
{
    if (is_drop_in)
        (void)mir_fail(err, MIR_E_FORMAT,
                       "%s: [registries...] is version 1 of registries.conf, which a drop-in "
                       "cannot have",
                       name);
    else
        (void)mir_fail(err, MIR_E_FORMAT,
                       "%s: versions 1 ([registries...]) and 2 of registries.conf are mixed", name);
    return mir_hint(err, "write unqualified-search-registries and [[registry]] entries alone");
}

bool icsp_registries_read_runtime(struct icsp_registries *registries, struct mir_span text,
                                  const char *name, bool is_drop_in, struct icsp_findings *findings,
                                  struct mir_error *err)
{
    auto_toml *doc = NULL;
    struct reader r = {.out = registries, .findings = findings, .err = err};
    bool old;

    if (!mir_toml_parse(text, name, &doc, err))
        return false;
    r.doc = doc;
    if (!read_document(&r) || !icsp_registries_find_v1(doc, &old, err))
        return false;
    if (old && (is_drop_in || is_filled(&r)))
        return refuse_mixture(name, is_drop_in, err);
    if (old && !icsp_registries_read_v1(registries, doc, err))
        return false;
    return icsp_registries_settle(registries, name, err);
}

void icsp_registries_init_base(struct icsp_registries *registries,
                               const struct icsp_generation *generation)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    bool ok;

    icsp_registries_init(registries, generation);
    ok = icsp_registries_read(registries, mir_span_of(icsp_base_registries), "registries.conf",
                              &findings, &err);
    assert(ok);
    (void)ok;
}
