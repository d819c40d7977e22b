/*
 * What OLD of --since holds. Called by the plan (copy.c, tasks_layout.c) and, when images could not
 * be completed, by run.c.
 *
 * Invariant: all ways of giving OLD say the same. What counts is what its images refer to: not what
 * else lies in the file; never layers that need not be distributed, which an index.json alone
 * cannot tell from those that were left behind.
 */
#include "copy/since.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "copy/copy_priv.h"

#define PATH_MAX_NODES 64 /* manifests on one way down; indexes nest less deeply (check.c) */

/* One blob that OLD holds. */
struct held {
    uint64_t size;
    const char *repo; /* "host/repo" of an image that uses it, or NULL; one of repos, or borrowed
                         from the receipt */
};

struct copy_since {
    char *name;                   /* of OLD's file */
    struct bundle_reader *reader; /* OLD, or its index.json alone; NULL for: */
    struct bundle_receipt *receipt;
    bool has_blobs;   /* it is a bundle */
    struct copy *old; /* its images; NULL once it is known what they hold */
    struct mir_map *repos_by_name;
    char **repos;
    size_t repo_count, repo_capacity;
    struct mir_map *held; /* digest -> items[] */
    struct held **items;
    size_t item_count, item_capacity;
    struct bundle_left_out *left_out; /* found so far; sorted once it is a base */
    size_t left_out_count, left_out_capacity;
    struct bundle_base base;
    bool *keep; /* of left_out, once it is a base */
};

/* ---- opening ---- */

static bool is_directory(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Does the file begin as JSON does? A tar begins with a name. */
static bool is_json(const char *path)
{
    struct stat info;
    auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char start = 0;

    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || pread(fd, &start, 1, 0) != 1)
        return false;
    return start == '{' || start == ' ' || start == '\n' || start == '\t' || start == '\r';
}

static bool has_transport(const char *text)
{
    return mir_starts_with(text, "bundle:") || mir_starts_with(text, "oci:") ||
           mir_starts_with(text, "oci-archive:") || mir_starts_with(text, "docker://");
}

/* The place that is meant, its path at least. */
static bool parse_place(const char *text, struct copy_place *out, struct mir_error *err)
{
    if (!has_transport(text)) {
        if (text[0] == '\0') {
            (void)mir_fail(err, MIR_E_USAGE, "no bundle is named");
            return false;
        }
        *out = (struct copy_place){.kind = COPY_PLACE_LAYOUT,
                                   .form = is_directory(text) ? BUNDLE_FORM_DIR : BUNDLE_FORM_TAR,
                                   .text = mir_strdup(text),
                                   .path = mir_strdup(text)};
        return true;
    }
    if (!copy_place_parse(mir_span_of(text), false, out, err))
        return false;
    if (out->kind == COPY_PLACE_LAYOUT && strcmp(out->path, "-") == 0)
        return mir_fail(err, MIR_E_USAGE, "%s: what is left out has a base with a name, not a pipe",
                        text);
    if (out->kind == COPY_PLACE_LAYOUT && !out->ref)
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "%s is not a whole bundle", text);
    (void)mir_hint(err, "name bundle:FILE, oci:DIR, the index.json of one, or a receipt");
    return false;
}

/* The last part of a path, without the number of a volume. */
static char *file_name(const char *path)
{
    auto_free char *real = realpath(path, NULL);
    auto_free char *text = mir_strdup(path);
    size_t len = strlen(text);
    const char *base;
    char *name;

    while (len > 1 && text[len - 1] == '/')
        text[--len] = '\0';
    base = strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
    if (real && (strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || base[0] == '\0'))
        base = strrchr(real, '/') + 1;
    name = mir_strdup(base[0] != '\0' ? base : "base");
    len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".001") == 0)
        name[len - 4] = '\0';
    return name;
}

/* What is written into the bundle has to be UTF-8 without control characters. */
static char *plain_name(const char *path)
{
    char *name = file_name(path);
    auto_json *value = json_string(name);

    for (char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || (!value && (unsigned char)*c >= 0x80))
            *c = '?';
    return name;
}

/* The index.json of a bundle, or a receipt. */
static bool open_json(struct copy_since *since, const char *path, struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (!mir_file_read(path, BUNDLE_RECEIPT_BYTES_MAX, &text, &len, err))
        return false;
    if (bundle_is_receipt(mir_span(text, len)))
        return bundle_receipt_parse(mir_span(text, len), path, &since->receipt, err);
    return bundle_reader_open_index(path, &since->reader, err);
}

static bool open_reader(struct copy_since *since, const struct copy_place *place,
                        struct mir_error *err)
{
    if (place->form == BUNDLE_FORM_TAR && is_json(place->path))
        return open_json(since, place->path, err);
    since->has_blobs = true;
    return bundle_reader_open(place->path, place->form, &since->reader, err);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;

    if (strcmp(a, b) == 0)
        return true;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Would writing the new bundle take the old one away? Volumes are told by their first. */
static bool is_destination(const struct copy_place *place, const struct copy_place *destination)
{
    auto_free char *old = mir_format("%s.001", place->path);
    auto_free char *new = mir_format("%s.001", destination->path);

    return is_same_file(place->path, destination->path) || is_same_file(old, new) ||
           is_same_file(place->path, new);
}

static bool check_destination(const struct copy *copy, const struct copy_place *place,
                              struct mir_error *err)
{
    const struct copy_place *destination = &copy->destination;

    if (!copy->has_destination || destination->kind != COPY_PLACE_LAYOUT ||
        destination->form == BUNDLE_FORM_DIR) {
        (void)mir_fail(err, MIR_E_USAGE, "a differential is a bundle file, and %s is none",
                       copy->has_destination ? destination->text : "a registry");
        return mir_hint(err, "write it to bundle:FILE; loading it needs no --since");
    }
    if (destination->form == BUNDLE_FORM_PIPE || !is_destination(place, destination))
        return true;
    (void)mir_fail(err, MIR_E_USAGE,
                   "%s is the destination too: it would be replaced by a bundle "
                   "that cannot do without it",
                   place->text);
    return mir_hint(err, "give the new bundle another name");
}

static void hold(struct copy_since *since, const struct img_digest *digest, uint64_t size,
                 const char *repo)
{
    struct held *held = mir_alloc(sizeof(*held));

    *held = (struct held){.size = size, .repo = repo};
    mir_grow(&since->items, since->item_count, &since->item_capacity, sizeof(struct held *));
    since->items[since->item_count++] = held;
    mir_map_set(since->held, mir_span_of(digest->text), held);
}

/* A receipt says itself what there is. */
static void hold_receipt(struct copy_since *since)
{
    const struct bundle_base *receipt = bundle_receipt_get(since->receipt);

    for (size_t i = 0; i < receipt->count; i++)
        hold(since, &receipt->blobs[i].digest, receipt->blobs[i].size, receipt->blobs[i].repo);
}

static bool open_since(struct copy *copy, struct copy_since *since, struct mir_error *err)
{
    auto_place place = {0};
    struct copy_options options = copy->options;

    if (!parse_place(copy->options.since, &place, err) || !check_destination(copy, &place, err) ||
        !open_reader(since, &place, err))
        return false;
    since->name = plain_name(place.path);
    since->held = mir_map_new();
    since->repos_by_name = mir_map_new();
    if (since->receipt) {
        hold_receipt(since);
        return true;
    }
    /* Its own annotations say which platforms it has, whatever is asked for now. */
    options.platforms = NULL;
    options.platform_count = 0;
    options.require_digest = false;
    options.nondistributable = false;
    options.since = NULL;
    options.progress = NULL;
    if (!copy_new(&options, NULL, &since->old, err))
        return false;
    since->old->known = &copy->graph;
    return true;
}

bool copy_since_open(struct copy *copy, struct mir_error *err)
{
    if (!copy->options.since)
        return true;
    copy->since = mir_alloc(sizeof(*copy->since));
    return open_since(copy, copy->since, err) || mir_context(err, "--since");
}

void copy_since_free(struct copy_since *since)
{
    if (!since)
        return;
    copy_free(since->old);
    bundle_reader_close(since->reader);
    bundle_receipt_free(since->receipt);
    mir_map_free(since->held);
    mir_map_free(since->repos_by_name);
    for (size_t i = 0; i < since->repo_count; i++)
        free(since->repos[i]);
    free(since->repos);
    for (size_t i = 0; i < since->item_count; i++)
        free(since->items[i]);
    free(since->items);
    free(since->left_out);
    free(since->keep);
    free(since->name);
    free(since);
}

bool copy_since_asks(const struct copy_since *since)
{
    return since && since->old && !since->has_blobs;
}

/* ---- reading its manifests ---- */

static bool add_image(struct copy_since *since, const struct copy_origin *layout,
                      const struct bundle_image *found, struct mir_error *err)
{
    struct copy *old = since->old;
    struct mir_error why = MIR_ERROR_INIT;
    auto_ref name = {.host = NULL};
    bool is_ref = found->name && img_ref_parse(mir_span_of(found->name), &name, &why);
    struct copy_image *image;

    if (!is_ref && !layout) {
        mir_log(old->options.sink, MIR_LEVEL_WARN,
                "--since %s: %s is not the name of an image in a registry; its blobs are taken "
                "again",
                since->name, found->name ? found->name : found->digest.text);
        return true;
    }
    image = copy_image_new(old, found->name ? found->name : found->digest.text, NULL);
    if (!image)
        return true;
    image->source = name;
    name = (struct img_ref){.host = NULL};
    image->source.digest = found->digest;
    image->source.has_digest = true;
    image->origin =
        layout ? layout : copy_graph_repo(&old->graph, image->source.host, image->source.repo);
    return copy_image_cut(old, image, found->platforms, err);
}

static bool add_images(struct copy_since *since, struct mir_error *err)
{
    const struct copy_origin *layout =
        since->has_blobs ? copy_graph_layout(&since->old->graph, since->reader) : NULL;

    for (size_t i = 0; i < bundle_reader_image_count(since->reader); i++)
        if (!add_image(since, layout, bundle_reader_image(since->reader, i), err))
            return false;
    return true;
}

/* The copy's own workers do it, and their connections are theirs afterwards. */
static void resolve(const struct copy *copy, struct copy *old)
{
    old->source_client = copy->source_client;
    old->elsewhere_client = copy->elsewhere_client;
    old->worker_count = copy->worker_count;
    old->workers = mir_alloc_array(old->worker_count, sizeof(struct copy_worker *));
    for (size_t i = 0; i < old->worker_count; i++) {
        old->workers[i] = mir_alloc(sizeof(*old->workers[i]));
        *old->workers[i] = *copy->workers[i];
        old->workers[i]->copy = old;
    }
    copy_resolve(old);
    for (size_t i = 0; i < old->worker_count; i++) {
        copy->workers[i]->source = old->workers[i]->source;
        copy->workers[i]->destination = old->workers[i]->destination;
        copy->workers[i]->elsewhere = old->workers[i]->elsewhere;
        free(old->workers[i]);
    }
    free(mir_steal(&old->workers));
    old->worker_count = 0;
    old->source_client = NULL;
    old->elsewhere_client = NULL;
}

static bool judge_manifest(const struct copy_since *since, const struct copy_manifest *manifest,
                           struct mir_error *err)
{
    const struct reg_repo *repo = &manifest->origin->repo;

    if (!manifest->error)
        return true;
    if (since->has_blobs) {
        *err = *manifest->error;
        (void)mir_context(err, "manifest %s", manifest->digest.text);
        return mir_hint(err, "\"mirror verify\" names everything that is; take another copy of it");
    }
    mir_log(since->old->options.sink, MIR_LEVEL_WARN,
            "--since %s: manifest %s of %s/%s cannot be read any more, so its blobs are taken "
            "again: %s",
            since->name, manifest->digest.text, repo->host, repo->name, manifest->error->text);
    return true;
}

static bool judge_manifests(const struct copy_since *since, struct mir_error *err)
{
    const struct copy_graph *graph = &since->old->graph;

    if (mir_is_cancelled(since->old->options.cancel))
        return mir_fail(err, MIR_E_CANCELLED, "stopped");
    for (size_t i = 0; i < graph->manifest_count; i++)
        if (!judge_manifest(since, graph->manifests[i], err))
            return false;
    return true;
}

/* ---- what it holds ---- */

/* A bundle has it, or counts as having it because its own base has. */
static bool has_blob(const struct copy_since *since, const struct copy_blob *blob)
{
    const struct bundle_blob *found;
    const struct bundle_left_out *left_out;

    if (!since->has_blobs)
        return true;
    found = bundle_reader_find(since->reader, &blob->digest);
    left_out = bundle_reader_leaves_out(since->reader, &blob->digest);
    return (found && found->size == blob->size) || (left_out && left_out->size == blob->size);
}

static void hold_blob(struct copy_since *since, struct copy_blob *blob, const char *repo)
{
    if (blob->stamp == since->old->graph.stamp)
        return;
    blob->stamp = since->old->graph.stamp;
    if (has_blob(since, blob))
        hold(since, &blob->digest, blob->size, repo);
}

/* Unlike copy_graph_walk() this comes to manifests that lack something below them. */
static void hold_below(struct copy_since *since, struct copy_manifest *manifest, const char *repo,
                       unsigned depth)
{
    if (manifest->stamp == since->old->graph.stamp || depth > PATH_MAX_NODES)
        return;
    manifest->stamp = since->old->graph.stamp;
    if (manifest->error)
        return;
    for (size_t i = 0; i < manifest->blob_count; i++)
        hold_blob(since, manifest->blobs[i], repo);
    for (size_t i = 0; i < manifest->child_count; i++)
        hold_below(since, manifest->children[i].manifest, repo, depth + 1);
}

/* The repository of an image as "host/repo"; NULL when its name is no reference. */
static const char *repo_of(struct copy_since *since, const struct copy_image *image)
{
    auto_free char *text = image->source.host ? img_ref_format_repo(&image->source) : NULL;
    char *known = text ? mir_map_find(since->repos_by_name, mir_span_of(text)) : NULL;

    if (known || !text)
        return known;
    mir_grow(&since->repos, since->repo_count, &since->repo_capacity, sizeof(*since->repos));
    mir_map_set(since->repos_by_name, mir_span_of(text), text);
    known = mir_steal(&text);
    since->repos[since->repo_count++] = known;
    return known;
}

/* Images in the order of index.json, so that it is always the same one that gives the repository;
 * those whose names are no references last, because they give none. */
static void hold_all(struct copy_since *since)
{
    struct copy *old = since->old;

    copy_graph_begin_walk(&old->graph);
    for (int named = 1; named >= 0; named--) {
        for (size_t i = 0; i < old->image_count; i++) {
            const struct copy_image *image = old->images[i];
            const char *repo = repo_of(since, image);

            if (image->root && (named == 1) == (repo != NULL))
                hold_below(since, image->root, repo, 0);
        }
    }
}

static bool read_old(const struct copy *copy, struct copy_since *since, struct mir_error *err)
{
    if (!add_images(since, err))
        return mir_context(err, "--since %s", since->name);
    resolve(copy, since->old);
    if (!judge_manifests(since, err))
        return mir_context(err, "--since");
    hold_all(since);
    copy_free(mir_steal(&since->old));
    return true;
}

bool copy_since_read_bundle(struct copy *copy, struct mir_error *err)
{
    return !copy->since || !copy->since->has_blobs || read_old(copy, copy->since, err);
}

bool copy_since_read_registry(struct copy *copy, struct mir_error *err)
{
    return !copy_since_asks(copy->since) || read_old(copy, copy->since, err);
}

/* ---- what is left out ---- */

bool copy_since_leave_out(struct copy_since *since, struct copy_blob *blob)
{
    const struct held *held =
        since ? mir_map_find(since->held, mir_span_of(blob->digest.text)) : NULL;

    if (!held || held->size != blob->size)
        return false;
    mir_grow(&since->left_out, since->left_out_count, &since->left_out_capacity,
             sizeof(*since->left_out));
    since->left_out[since->left_out_count++] =
        (struct bundle_left_out){.digest = blob->digest, .size = blob->size, .repo = held->repo};
    blob->is_left_out = true;
    return true;
}

static int by_digest(const void *a, const void *b)
{
    const struct bundle_left_out *x = a, *y = b;

    return strcmp(x->digest.text, y->digest.text);
}

const struct bundle_base *copy_since_base(struct copy_since *since)
{
    if (!since)
        return NULL;
    if (since->left_out_count > 0)
        qsort(since->left_out, since->left_out_count, sizeof(*since->left_out), by_digest);
    since->keep = mir_alloc_array(since->left_out_count, sizeof(*since->keep));
    since->base = (struct bundle_base){
        .name = since->name, .blobs = since->left_out, .count = since->left_out_count};
    if (since->receipt) {
        since->base.index = bundle_receipt_get(since->receipt)->index;
        since->base.mirror = bundle_receipt_get(since->receipt)->mirror;
    } else {
        since->base.index = *bundle_reader_index_digest(since->reader);
    }
    return &since->base;
}

const struct bundle_base *copy_since_get_base(const struct copy_since *since)
{
    return since ? &since->base : NULL;
}

void copy_since_keep(struct copy_since *since, const struct img_digest *digest)
{
    const struct bundle_left_out key = {.digest = *digest};
    const struct bundle_left_out *entry =
        bsearch(&key, since->left_out, since->left_out_count, sizeof(*since->left_out), by_digest);

    since->keep[entry - since->left_out] = true;
}

const bool *copy_since_kept(const struct copy_since *since)
{
    return since->keep;
}
