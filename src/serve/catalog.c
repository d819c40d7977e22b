/*
 * Repositories and tags. Every image claims one or two repositories and perhaps a tag in them; the
 * claims are sorted, and each run of one repository becomes a struct serve_repo. Which claim wins a
 * tag does not depend on the order of the bundles: a full name beats a short one, and two equals
 * with different digests lose both.
 */
#include "serve/catalog_priv.h"

#include "base/mem.h"
#include "serve/content_priv.h"
#include "serve/name_priv.h"

#define WARNINGS_MAX 20 /* about tags; a large bundle may have thousands of one kind */

struct claim {
    char *repo;
    char *tag;    /* NULL: the repository exists, the image is there by digest */
    bool is_full; /* repo has the host in front */
    const struct serve_content *content;
};

struct serve_catalog {
    struct serve_catalog_options options;
    struct serve_store *store;
    struct claim *claims; /* own the names of repositories and tags */
    size_t claim_count, claim_capacity;
    struct serve_names names;
    struct serve_repo *repos; /* one for each of names */
    size_t ambiguous;         /* tags left out */
};

/* ---- claims ---- */

/* Takes repo and tag. */
static void add_claim(struct serve_catalog *catalog, char *repo, char *tag, bool is_full,
                      const struct serve_content *content)
{
    const char *prefix = catalog->options.prefix;

    if (prefix) {
        char *prefixed = mir_format("%s/%s", prefix, repo);

        free(repo);
        repo = prefixed;
    }
    mir_grow(&catalog->claims, catalog->claim_count, &catalog->claim_capacity,
             sizeof(*catalog->claims));
    catalog->claims[catalog->claim_count++] =
        (struct claim){.repo = repo, .tag = tag, .is_full = is_full, .content = content};
}

static void claim_names(struct serve_catalog *catalog, const char *image_name, const char *path,
                        const struct serve_content *content)
{
    struct serve_name name;

    serve_name_init(image_name, path, &name);
    if (name.full)
        add_claim(catalog, mir_steal(&name.full), mir_strdup(name.tag), true, content);
    add_claim(catalog, mir_steal(&name.repo), mir_steal(&name.tag), false, content);
    serve_name_release(&name);
}

static bool claim_images(struct serve_catalog *catalog, const struct bundle_reader *reader,
                         struct mir_error *err)
{
    for (size_t i = 0; i < bundle_reader_image_count(reader); i++) {
        const struct bundle_image *image = bundle_reader_image(reader, i);
        const struct serve_content *content;

        if (!serve_store_add(catalog->store, image, &content, err))
            return false;
        if (content)
            claim_names(catalog, image->name, bundle_reader_path(reader), content);
    }
    return true;
}

static void release_claim(struct claim *claim)
{
    free(claim->repo);
    free(claim->tag);
}

/* Images that were withdrawn claim nothing. */
static void drop_empty_claims(struct serve_catalog *catalog)
{
    size_t kept = 0;

    for (size_t i = 0; i < catalog->claim_count; i++) {
        if (catalog->claims[i].content->kind == SERVE_CONTENT_MANIFEST)
            catalog->claims[kept++] = catalog->claims[i];
        else
            release_claim(&catalog->claims[i]);
    }
    catalog->claim_count = kept;
}

static int compare_text(const char *a, const char *b)
{
    if (!a || !b)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

/* By repository, then tag (none first), then full names first. */
static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->repo, y->repo);

    if (order == 0)
        order = compare_text(x->tag, y->tag);
    return order != 0 ? order : (int)y->is_full - (int)x->is_full;
}

/* ---- from claims to repositories ---- */

static bool is_same(const struct serve_content *a, const struct serve_content *b)
{
    return img_digest_equal(&a->blob->digest, &b->blob->digest);
}

/* Do all claims as strong as the first agree? They stand together. */
static bool is_settled(const struct claim *claims, size_t count)
{
    for (size_t i = 1; i < count && claims[i].is_full == claims[0].is_full; i++) {
        if (!is_same(claims[0].content, claims[i].content))
            return false;
    }
    return true;
}

static void warn_ambiguous(struct serve_catalog *catalog, const struct claim *claim)
{
    catalog->ambiguous++;
    if (catalog->ambiguous <= WARNINGS_MAX)
        mir_log(catalog->options.sink, MIR_LEVEL_WARN,
                "%s:%s means different images and is not served; ask by digest or full name",
                claim->repo, claim->tag);
}

static size_t run_of_tag(const struct claim *claims, size_t count)
{
    size_t len = 1;

    while (len < count && compare_text(claims[len].tag, claims[0].tag) == 0)
        len++;
    return len;
}

/* claims are all of one repository. */
static void fill_repo(struct serve_catalog *catalog, const struct claim *claims, size_t count,
                      struct serve_repo *repo)
{
    repo->tags.names = mir_alloc_array(count, sizeof(*repo->tags.names));
    repo->tagged = mir_alloc_array(count, sizeof(*repo->tagged));
    for (size_t i = 0; i < count; i += run_of_tag(claims + i, count - i)) {
        if (!claims[i].tag)
            continue;
        if (!is_settled(claims + i, run_of_tag(claims + i, count - i))) {
            warn_ambiguous(catalog, &claims[i]);
            continue;
        }
        repo->tags.names[repo->tags.count] = claims[i].tag;
        repo->tagged[repo->tags.count++] = claims[i].content;
    }
}

static size_t run_of_repo(const struct claim *claims, size_t count)
{
    size_t len = 1;

    while (len < count && strcmp(claims[len].repo, claims[0].repo) == 0)
        len++;
    return len;
}

static void fill_repos(struct serve_catalog *catalog)
{
    size_t count = catalog->claim_count;

    if (count > 0)
        qsort(catalog->claims, count, sizeof(*catalog->claims), compare_claims);
    catalog->names.names = mir_alloc_array(count, sizeof(*catalog->names.names));
    catalog->repos = mir_alloc_array(count, sizeof(*catalog->repos));
    for (size_t i = 0; i < count;) {
        size_t len = run_of_repo(catalog->claims + i, count - i);

        catalog->names.names[catalog->names.count] = catalog->claims[i].repo;
        fill_repo(catalog, catalog->claims + i, len, &catalog->repos[catalog->names.count++]);
        i += len;
    }
    if (catalog->ambiguous > WARNINGS_MAX)
        mir_log(catalog->options.sink, MIR_LEVEL_WARN,
                "%zu more tags mean different images and are not served",
                catalog->ambiguous - WARNINGS_MAX);
}

static bool fill_catalog(struct serve_catalog *catalog, struct mir_error *err)
{
    const struct serve_catalog_options *options = &catalog->options;

    for (size_t i = 0; i < options->reader_count; i++)
        if (!claim_images(catalog, options->readers[i], err))
            return false;
    if (!serve_store_settle(catalog->store, err))
        return false;
    drop_empty_claims(catalog);
    fill_repos(catalog);
    return true;
}

bool serve_catalog_new(const struct serve_catalog_options *options, struct serve_catalog **out,
                       struct mir_error *err)
{
    struct serve_catalog *catalog = mir_alloc(sizeof(*catalog));

    catalog->options = *options;
    catalog->store = serve_store_new(&catalog->options);
    if (!fill_catalog(catalog, err)) {
        serve_catalog_free(catalog);
        return false;
    }
    catalog->options.before = NULL; /* it may go before this one does */
    *out = catalog;
    return true;
}

void serve_catalog_free(struct serve_catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; i < catalog->names.count; i++) {
        free(catalog->repos[i].tags.names);
        free(catalog->repos[i].tagged);
    }
    for (size_t i = 0; i < catalog->claim_count; i++)
        release_claim(&catalog->claims[i]);
    free(catalog->repos);
    free(catalog->names.names);
    free(catalog->claims);
    serve_store_free(catalog->store);
    free(catalog);
}

/* ---- asking ---- */

static int compare_name(const void *key, const void *element)
{
    const char *const *name = element;

    return strcmp(key, *name);
}

/* Is it there, and at which place? */
static bool find_name(const struct serve_names *names, const char *name, size_t *at)
{
    const char **found;

    if (names->count == 0)
        return false;
    found = bsearch(name, names->names, names->count, sizeof(*names->names), compare_name);
    if (!found)
        return false;
    *at = (size_t)(found - names->names);
    return true;
}

const struct serve_names *serve_catalog_repos(const struct serve_catalog *catalog)
{
    return &catalog->names;
}

const struct serve_repo *serve_catalog_find_repo(const struct serve_catalog *catalog,
                                                 const char *name)
{
    size_t at;

    return find_name(&catalog->names, name, &at) ? &catalog->repos[at] : NULL;
}

const struct serve_content *serve_catalog_find_tag(const struct serve_repo *repo, const char *tag)
{
    size_t at;

    return find_name(&repo->tags, tag, &at) ? repo->tagged[at] : NULL;
}

struct serve_content *serve_catalog_find(const struct serve_catalog *catalog,
                                         const struct img_digest *digest)
{
    return serve_store_find(catalog->store, digest);
}

const struct serve_referrers *serve_catalog_find_referrers(const struct serve_catalog *catalog,
                                                           const struct img_digest *subject)
{
    return serve_store_find_referrers(catalog->store, subject);
}
