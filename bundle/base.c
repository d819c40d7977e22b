/*
 * mirror-base.json, written and read, and receipts, which are of the same build. Called by the plan
 * and by the reader; of receipts by src/copy.
 *
 * It is one JSON object, but laid out in lines: the first holds all but the entries, then comes one
 * line for each entry, and "]}" ends it. The reader wants exactly that: so it can take one line at
 * a time, and the tree that a hostile file makes it build is never larger than a line.
 */
#include "bundle/base.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/tree.h"
#include "bundle/base_priv.h"
#include "image/ref.h"

#define VERSION          1
#define HEAD_END         "\"leftOut\":["
#define RECEIPT_HEAD_END "\"blobs\":["
#define NAME_BYTES       1024 /* of a file name */
#define MIRROR_BYTES     IMG_REF_MAX

/* ---- order ---- */

bool bundle_base_is_sorted(const struct bundle_base *base)
{
    for (size_t i = 1; i < base->count; i++)
        if (strcmp(base->blobs[i - 1].digest.text, base->blobs[i].digest.text) >= 0)
            return false;
    return true;
}

static int compare_digest(const void *key, const void *item)
{
    const struct img_digest *digest = key;
    const struct bundle_left_out *entry = item;

    return strcmp(digest->text, entry->digest.text);
}

const struct bundle_left_out *bundle_base_find(const struct bundle_base *base,
                                               const struct img_digest *digest)
{
    if (base->count == 0)
        return NULL;
    return bsearch(digest, base->blobs, base->count, sizeof(*base->blobs), compare_digest);
}

char *bundle_base_describe(const struct bundle_base *base)
{
    if (base->mirror)
        return mir_format("%s (by the receipt %s, %s)", base->mirror, base->name, base->index.text);
    return mir_format("%s (the bundle whose index.json is %s)", base->name, base->index.text);
}

/* ---- writing ---- */

static bool add_value(struct mir_buf *out, json_t *value, struct mir_error *err)
{
    auto_free char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

    if (!text)
        return mir_fail(err, MIR_E_FORMAT, BUNDLE_BASE_FILE ": a name is not UTF-8");
    mir_buf_text(out, text);
    return true;
}

/* The first line: the object as far as the bracket that opens the entries. */
static bool add_head(struct mir_buf *out, const struct bundle_base *base, struct mir_error *err)
{
    auto_json *value = json_pack("{s:s, s:s, s:s*}", "name", base->name, "index", base->index.text,
                                 "mirror", base->mirror);

    mir_buf_printf(out, "{\"version\":%d,\"base\":", VERSION);
    if (!add_value(out, value, err))
        return false;
    mir_buf_text(out, "," HEAD_END);
    return true;
}

static bool add_entry(struct mir_buf *out, const struct bundle_left_out *entry,
                      struct mir_error *err)
{
    auto_json *value =
        json_pack("{s:s, s:I}", "digest", entry->digest.text, "size", (json_int_t)entry->size);

    if (value && entry->repo &&
        json_object_set_new(value, "repository", json_string(entry->repo)) != 0)
        return mir_fail(err, MIR_E_FORMAT, BUNDLE_BASE_FILE ": a repository is not UTF-8");
    return add_value(out, value, err);
}

/* All behind the first line. */
static bool add_entries(struct mir_buf *out, const struct bundle_base *base, const char *name,
                        struct mir_error *err)
{
    for (size_t i = 0; i < base->count; i++) {
        mir_buf_text(out, i == 0 ? "\n" : ",\n");
        if (!add_entry(out, &base->blobs[i], err))
            return false;
    }
    mir_buf_text(out, "\n]}\n");
    return mir_buf_check(out, name, err);
}

bool bundle_base_format(const struct bundle_base *base, char **out, size_t *len,
                        struct mir_error *err)
{
    auto_buf text;

    mir_buf_init(&text, BUNDLE_BASE_MAX);
    if (!add_head(&text, base, err) || !add_entries(&text, base, BUNDLE_BASE_FILE, err))
        return false;
    *len = text.len;
    *out = mir_buf_take(&text);
    return true;
}

bool bundle_receipt_format(const struct bundle_base *receipt, char **out, size_t *len,
                           struct mir_error *err)
{
    auto_json *value = json_pack("{s:s}", "mirror", receipt->mirror);
    auto_buf text;

    mir_buf_init(&text, BUNDLE_BASE_MAX);
    mir_buf_printf(&text, "{\"version\":%d,\"receipt\":", VERSION);
    if (!add_value(&text, value, err))
        return false;
    mir_buf_text(&text, "," RECEIPT_HEAD_END);
    if (!add_entries(&text, receipt, "the receipt", err))
        return false;
    *len = text.len;
    *out = mir_buf_take(&text);
    return true;
}

/* ---- reading ---- */

struct parse {
    const char *name; /* of the file, for errors */
    size_t line;      /* from 1 */
    struct bundle_base_read *read;
    size_t capacity; /* of read->blobs */
    struct mir_map *repos;
};

static bool wrong(const struct parse *parse, const char *why, struct mir_error *err)
{
    return mir_fail(err, MIR_E_FORMAT, "%s: line %zu: %s", parse->name, parse->line, why);
}

/* Text that may be shown and written into another file: short, and without control characters. */
static bool is_plain(const char *text, size_t max)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return len > 0 && len <= max;
}

static bool parse_line(const struct parse *parse, struct mir_span line, json_t **out,
                       struct mir_error *err)
{
    auto_free char *name = mir_format("%s: line %zu", parse->name, parse->line);

    if (line.len > BUNDLE_BASE_LINE_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: over the limit of %d bytes", name,
                        BUNDLE_BASE_LINE_MAX);
    return mir_json_parse(line, name, out, err);
}

static bool parse_digest(const struct parse *parse, const json_t *value, struct img_digest *out,
                         struct mir_error *err)
{
    const char *text = json_string_value(value);

    if (!text)
        return wrong(parse, "no digest", err);
    return img_digest_parse(mir_span_of(text), out, err) ||
           mir_context(err, "%s: line %zu", parse->name, parse->line);
}

/* The first line, closed behind its bracket, is an object of its own. */
static bool parse_first(const struct parse *parse, struct mir_span line, const char *end,
                        json_t **out, struct mir_error *err)
{
    auto_json *head = NULL;
    auto_buf text;

    mir_buf_init(&text, BUNDLE_BASE_LINE_MAX + sizeof("]}"));
    if (!mir_span_ends_with(line, end))
        return mir_fail(err, MIR_E_FORMAT, "%s: line %zu: does not end in %s", parse->name,
                        parse->line, end);
    if (line.len > BUNDLE_BASE_LINE_MAX)
        return wrong(parse, "is too long", err);
    mir_buf_add(&text, line);
    mir_buf_text(&text, "]}");
    if (!mir_json_parse(mir_buf_span(&text), parse->name, &head, err))
        return false;
    if (json_integer_value(json_object_get(head, "version")) != VERSION)
        return mir_fail(err, MIR_E_UNSUPPORTED, "%s: only version %d is known", parse->name,
                        VERSION);
    *out = mir_steal(&head);
    return true;
}

/* Of a receipt, and of a base that is one: which mirror it is of. */
static bool parse_mirror(const struct parse *parse, const json_t *value, struct mir_error *err)
{
    const char *text = json_string_value(value);

    if (!text || !is_plain(text, MIRROR_BYTES) || strchr(text, ' '))
        return wrong(parse, "the mirror has no name", err);
    parse->read->mirror = mir_strdup(text);
    parse->read->base.mirror = parse->read->mirror;
    return true;
}

static bool parse_head(const struct parse *parse, struct mir_span line, struct mir_error *err)
{
    auto_json *head = NULL;
    const json_t *base, *mirror;
    const char *name;

    if (!parse_first(parse, line, HEAD_END, &head, err))
        return false;
    base = json_object_get(head, "base");
    name = json_string_value(json_object_get(base, "name"));
    mirror = json_object_get(base, "mirror");
    if (!name || !is_plain(name, NAME_BYTES) || strchr(name, '/'))
        return wrong(parse, "the base has no name of a file", err);
    parse->read->name = mir_strdup(name);
    parse->read->base.name = parse->read->name;
    if (mirror && !parse_mirror(parse, mirror, err))
        return false;
    return parse_digest(parse, json_object_get(base, "index"), &parse->read->base.index, err);
}

static bool parse_receipt_head(const struct parse *parse, struct mir_span line,
                               struct mir_error *err)
{
    auto_json *head = NULL;

    return parse_first(parse, line, RECEIPT_HEAD_END, &head, err) &&
           parse_mirror(parse, json_object_get(json_object_get(head, "receipt"), "mirror"), err);
}

/* "host/repo"; a tag or digest has no place in it. */
static bool is_repository(const char *text)
{
    struct mir_error ignored = MIR_ERROR_INIT;
    auto_ref ref = {.host = NULL};

    return img_ref_parse(mir_span_of(text), &ref, &ignored) && !ref.tag && !ref.has_digest;
}

/* The one copy of a repository's name; NULL when it is none. */
static const char *keep_repo(struct parse *parse, const char *text)
{
    struct bundle_base_read *read = parse->read;
    char *known = mir_map_find(parse->repos, mir_span_of(text));

    if (known || !is_repository(text))
        return known;
    mir_grow(&read->repos, read->repo_count, &read->repo_capacity, sizeof(*read->repos));
    known = mir_strdup(text);
    read->repos[read->repo_count++] = known;
    mir_map_set(parse->repos, mir_span_of(text), known);
    return known;
}

static bool parse_entry(struct parse *parse, const json_t *value, struct bundle_left_out *out,
                        struct mir_error *err)
{
    const json_t *size = json_object_get(value, "size");
    const json_t *repo = json_object_get(value, "repository");

    if (!parse_digest(parse, json_object_get(value, "digest"), &out->digest, err))
        return false;
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        (uint64_t)json_integer_value(size) > IMG_BLOB_BYTES_MAX)
        return wrong(parse, "no size", err);
    out->size = (uint64_t)json_integer_value(size);
    out->repo = json_is_string(repo) ? keep_repo(parse, json_string_value(repo)) : NULL;
    if (repo && !out->repo)
        return wrong(parse, "the repository is none", err);
    return true;
}

static bool add_line(struct parse *parse, struct mir_span line, struct mir_error *err)
{
    struct bundle_base *base = &parse->read->base;
    struct bundle_left_out entry = {.size = 0};
    auto_json *value = NULL;

    if (base->count >= BUNDLE_LEFT_OUT_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: more than %d entries", parse->name,
                        BUNDLE_LEFT_OUT_MAX);
    if (!parse_line(parse, line, &value, err) || !parse_entry(parse, value, &entry, err))
        return false;
    if (base->count > 0 &&
        strcmp(parse->read->blobs[base->count - 1].digest.text, entry.digest.text) >= 0)
        return wrong(parse, "the digest is there twice, or not in order", err);
    mir_grow(&parse->read->blobs, base->count, &parse->capacity, sizeof(entry));
    parse->read->blobs[base->count++] = entry;
    return true;
}

/* All lines from the second on. An entry that others follow ends in a comma. */
static bool parse_entries(struct parse *parse, struct mir_span rest, struct mir_error *err)
{
    struct mir_span line;
    bool more = true; /* another entry has to come */

    while (mir_span_next(&rest, '\n', &line)) {
        parse->line++;
        if (mir_span_is(line, "]}")) {
            if (more && parse->read->base.count > 0)
                return wrong(parse, "an entry is missing after the comma", err);
            return rest.len == 0 || wrong(parse, "something follows the end", err);
        }
        if (!more)
            return wrong(parse, "a comma is missing before it", err);
        more = mir_span_ends_with(line, ",");
        if (!add_line(parse, more ? mir_span_first(line, line.len - 1) : line, err))
            return false;
    }
    return wrong(parse, "the end is missing", err);
}

void bundle_base_read_free(struct bundle_base_read *read)
{
    if (!read)
        return;
    for (size_t i = 0; i < read->repo_count; i++)
        free(read->repos[i]);
    free(read->repos);
    free(read->name);
    free(read->mirror);
    free(read->blobs);
    free(read);
}

static void free_read(struct bundle_base_read **read)
{
    bundle_base_read_free(*read);
}

typedef bool read_head(const struct parse *parse, struct mir_span line, struct mir_error *err);

static bool parse_lines(struct mir_span text, const char *name, read_head *read_first,
                        struct bundle_base_read **out, struct mir_error *err)
{
    __attribute__((cleanup(free_read))) struct bundle_base_read *read = mir_alloc(sizeof(*read));
    auto_map *repos = mir_map_new();
    struct parse parse = {.name = name, .line = 1, .read = read, .repos = repos};
    struct mir_span head;

    if (!mir_span_next(&text, '\n', &head))
        return mir_fail(err, MIR_E_FORMAT, "%s is empty", name);
    if (!read_first(&parse, head, err) || !parse_entries(&parse, text, err))
        return false;
    read->base.blobs = read->blobs;
    *out = mir_steal(&read);
    return true;
}

bool bundle_base_parse(struct mir_span text, const char *name, struct bundle_base_read **out,
                       struct mir_error *err)
{
    return parse_lines(text, name, parse_head, out, err);
}

/* ---- receipts ---- */

struct bundle_receipt {
    struct bundle_base_read *read;
};

bool bundle_is_receipt(struct mir_span text)
{
    struct mir_span line;

    return mir_span_next(&text, '\n', &line) && mir_span_starts_with(line, "{\"version\":") &&
           mir_span_ends_with(line, RECEIPT_HEAD_END);
}

bool bundle_receipt_parse(struct mir_span text, const char *name, struct bundle_receipt **out,
                          struct mir_error *err)
{
    struct bundle_base_read *read = NULL;

    if (!parse_lines(text, name, parse_receipt_head, &read, err))
        return false;
    img_digest_of(MIR_HASH_SHA256, text, &read->base.index);
    *out = mir_alloc(sizeof(**out));
    (*out)->read = read;
    return true;
}

const struct bundle_base *bundle_receipt_get(const struct bundle_receipt *receipt)
{
    return &receipt->read->base;
}

void bundle_receipt_free(struct bundle_receipt *receipt)
{
    if (!receipt)
        return;
    bundle_base_read_free(receipt->read);
    free(receipt);
}
