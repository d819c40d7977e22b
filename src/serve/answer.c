/*
 * Answers. Manifests are read whole and held against their digest before a byte of them is sent;
 * blobs go from the file to the socket by offset (or, where they lie in more than one volume,
 * through a buffer), so memory does not grow with their size and the client checks their digest, as
 * it has to anyway.
 */
#include "serve/answer_priv.h"

#include <inttypes.h>

#include <microhttpd.h>

#include "base/mem.h"
#include "image/manifest.h"
#include "serve/page_priv.h"
#include "serve/range_priv.h"

#define TYPE_JSON "application/json"
#define TYPE_BLOB "application/octet-stream"

#define PART_CHUNK (256u << 10) /* of a blob that cannot go from one file to the socket */

static void add_header(struct MHD_Response *answer, const char *name, const char *value)
{
    /* It fails when memory is out, or for bytes no header may hold; neither occurs in ours. */
    (void)MHD_add_response_header(answer, name, value);
}

/* Send it off. Takes answer, which may be NULL. */
static bool queue(struct serve_exchange *exchange, unsigned status, uint64_t bytes,
                  struct MHD_Response *answer)
{
    enum MHD_Result queued;

    if (!answer)
        return false;
    add_header(answer, "Docker-Distribution-Api-Version", "registry/2.0");
    queued = MHD_queue_response(exchange->connection, status, answer);
    MHD_destroy_response(answer);
    exchange->status = status;
    exchange->bytes = bytes;
    return queued == MHD_YES;
}

/* Takes text, which malloc() made. */
static struct MHD_Response *response_of_text(char *text, size_t len, const char *type)
{
    struct MHD_Response *answer = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);

    if (!answer)
        free(text);
    else
        add_header(answer, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return answer;
}

bool serve_answer_problem(struct serve_exchange *exchange, enum serve_problem problem)
{
    auto_json *root = json_pack("{s:[{s:s, s:s}]}", "errors", "code", serve_problem_code(problem),
                                "message", serve_problem_message(problem));
    char *text = json_dumps(root, JSON_COMPACT);
    size_t len = strlen(text);
    struct MHD_Response *answer = response_of_text(text, len, TYPE_JSON);

    if (answer && problem == SERVE_PROBLEM_METHOD)
        add_header(answer, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    return queue(exchange, serve_problem_status(problem), len, answer);
}

static bool answer_base(struct serve_exchange *exchange)
{
    return queue(exchange, MHD_HTTP_OK, 2, response_of_text(mir_strdup("{}"), 2, TYPE_JSON));
}

/* ---- lists ---- */

/* Takes text. path is what the link to the next page leads to. */
static bool answer_list(struct serve_exchange *exchange, char *text, const char *path,
                        const struct serve_names *names, struct serve_page page)
{
    size_t len = strlen(text);
    struct MHD_Response *answer = response_of_text(text, len, TYPE_JSON);

    if (answer && page.has_more) {
        auto_free char *link = serve_page_link(path, names, page);

        add_header(answer, MHD_HTTP_HEADER_LINK, link);
    }
    return queue(exchange, MHD_HTTP_OK, len, answer);
}

static bool answer_catalog(struct serve_exchange *exchange, const struct serve_route *route)
{
    const struct serve_names *names = serve_catalog_repos(exchange->catalog);
    struct serve_page page = serve_page_of(names, route);

    return answer_list(exchange, serve_page_catalog(names, page), "/v2/_catalog", names, page);
}

static bool answer_tags(struct serve_exchange *exchange, const struct serve_route *route,
                        const struct serve_repo *repo)
{
    auto_free char *path = mir_format("/v2/%s/tags/list", route->name);
    struct serve_page page = serve_page_of(&repo->tags, route);

    return answer_list(exchange, serve_page_tags(route->name, &repo->tags, page), path, &repo->tags,
                       page);
}

/* A repository that is there has a list for any digest, be it empty: so clients need not look for
 * the tags that stood for such a list before OCI 1.1. */
static bool answer_referrers(struct serve_exchange *exchange, const struct serve_route *route)
{
    bool complete;
    char *text =
        serve_page_referrers(serve_catalog_find_referrers(exchange->catalog, &route->digest),
                             route->artifact_type, &complete);
    size_t len = strlen(text);
    struct MHD_Response *answer = response_of_text(text, len, IMG_TYPE_OCI_INDEX);

    if (answer && route->artifact_type[0] != '\0')
        add_header(answer, "OCI-Filters-Applied", "artifactType");
    if (!complete)
        mir_log(exchange->sink, MIR_LEVEL_WARN, "%s: too many referrers for one list",
                route->digest.text);
    return queue(exchange, MHD_HTTP_OK, len, answer);
}

/* ---- content ---- */

struct etag {
    char text[IMG_DIGEST_MAX + 2];
};

static struct etag etag_of(const struct serve_content *content)
{
    struct etag etag;

    (void)snprintf(etag.text, sizeof(etag.text), "\"%s\"", content->blob->digest.text);
    return etag;
}

static void add_content_headers(struct MHD_Response *answer, const struct serve_content *content)
{
    add_header(answer, "Docker-Content-Digest", content->blob->digest.text);
    add_header(answer, MHD_HTTP_HEADER_ETAG, etag_of(content).text);
}

static const char *request_header(const struct serve_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

/* Does the client have it already? An ETag is a digest, so it holds for ever. */
static bool is_known_to_client(const struct serve_exchange *exchange,
                               const struct serve_content *content)
{
    const char *known = request_header(exchange, MHD_HTTP_HEADER_IF_NONE_MATCH);

    return known && strstr(known, etag_of(content).text);
}

static bool answer_not_modified(struct serve_exchange *exchange,
                                const struct serve_content *content)
{
    struct MHD_Response *answer = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (answer)
        add_content_headers(answer, content);
    return queue(exchange, MHD_HTTP_NOT_MODIFIED, 0, answer);
}

/* The file is not what it was when its index was read: cut, replaced, or damaged. */
static bool answer_unreadable(struct serve_exchange *exchange, const struct serve_content *content,
                              const struct mir_error *err)
{
    mir_log(exchange->sink, MIR_LEVEL_ERROR, "%s: %s: %s", bundle_reader_path(content->reader),
            content->blob->digest.text, err->text);
    return serve_answer_problem(exchange, SERVE_PROBLEM_INTERNAL);
}

static bool answer_manifest(struct serve_exchange *exchange, const struct serve_content *content)
{
    struct mir_error err = MIR_ERROR_INIT;
    char *bytes;
    size_t len;
    struct MHD_Response *answer;

    if (!content || content->kind != SERVE_CONTENT_MANIFEST)
        return serve_answer_problem(exchange, SERVE_PROBLEM_NO_MANIFEST);
    if (is_known_to_client(exchange, content))
        return answer_not_modified(exchange, content);
    if (!bundle_reader_load(content->reader, &content->blob->digest, IMG_MANIFEST_BYTES_MAX, &bytes,
                            &len, &err))
        return answer_unreadable(exchange, content, &err);
    answer = response_of_text(bytes, len, content->media_type);
    if (answer)
        add_content_headers(answer, content);
    return queue(exchange, MHD_HTTP_OK, len, answer);
}

static struct serve_range range_of(const struct serve_exchange *exchange,
                                   const struct serve_content *content)
{
    const char *condition = request_header(exchange, MHD_HTTP_HEADER_IF_RANGE);
    const char *range = request_header(exchange, MHD_HTTP_HEADER_RANGE);

    if (condition && strcmp(condition, etag_of(content).text) != 0)
        range = NULL;
    return serve_range_parse(range, content->blob->size);
}

static bool answer_no_such_range(struct serve_exchange *exchange,
                                 const struct serve_content *content)
{
    auto_free char *size = mir_format("bytes */%" PRIu64, content->blob->size);
    struct MHD_Response *answer = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (answer)
        add_header(answer, MHD_HTTP_HEADER_CONTENT_RANGE, size);
    return queue(exchange, MHD_HTTP_RANGE_NOT_SATISFIABLE, 0, answer);
}

/* A part of a blob that lies in more than one file, while it is sent. */
struct part {
    const struct serve_content *content;
    const struct mir_sink *sink;
    uint64_t start;
};

static ssize_t read_part(void *ctx, uint64_t at, char *bytes, size_t max)
{
    const struct part *part = ctx;
    const struct serve_content *content = part->content;
    uint64_t offset = part->start + at, left = content->blob->size - offset;
    struct mir_error err = MIR_ERROR_INIT;
    size_t len = left < max ? (size_t)left : max;

    if (bundle_reader_read(content->reader, content->blob, offset, bytes, len, &err))
        return (ssize_t)len;
    mir_log(part->sink, MIR_LEVEL_ERROR, "%s", err.text);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *response_of_part(const struct serve_exchange *exchange,
                                             const struct serve_content *content,
                                             struct serve_range range)
{
    struct part *part = mir_alloc(sizeof(*part));
    struct MHD_Response *answer;

    *part = (struct part){.content = content, .sink = exchange->sink, .start = range.start};
    answer = MHD_create_response_from_callback(range.len, PART_CHUNK, read_part, part, free);
    if (!answer)
        free(part);
    return answer;
}

/* A part of a blob as a body, or NULL with err. */
static struct MHD_Response *response_of_range(const struct serve_exchange *exchange,
                                              const struct serve_content *content,
                                              struct serve_range range, struct mir_error *err)
{
    auto_close int fd = -1;
    uint64_t offset;
    struct MHD_Response *answer;

    if (range.len == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!bundle_reader_open_range(content->reader, content->blob, range.start, range.len, &fd,
                                  &offset, err))
        return NULL;
    answer = fd < 0 ? response_of_part(exchange, content, range)
                    : MHD_create_response_from_fd_at_offset64(range.len, fd, offset);
    if (!answer) {
        (void)mir_fail(err, MIR_E_IO, "no response from a file");
        return NULL;
    }
    (void)mir_steal_fd(&fd); /* the response closes it */
    return answer;
}

static bool answer_blob(struct serve_exchange *exchange, const struct serve_content *content)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_range range;
    unsigned status = MHD_HTTP_OK;
    struct MHD_Response *answer;

    if (!content)
        return serve_answer_problem(exchange, SERVE_PROBLEM_NO_BLOB);
    if (is_known_to_client(exchange, content))
        return answer_not_modified(exchange, content);
    range = range_of(exchange, content);
    if (range.kind == SERVE_RANGE_UNSATISFIABLE)
        return answer_no_such_range(exchange, content);
    answer = response_of_range(exchange, content, range, &err);
    if (!answer)
        return answer_unreadable(exchange, content, &err);
    if (range.kind == SERVE_RANGE_PART) {
        auto_free char *part = mir_format("bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.start,
                                          range.start + range.len - 1, content->blob->size);

        status = MHD_HTTP_PARTIAL_CONTENT;
        add_header(answer, MHD_HTTP_HEADER_CONTENT_RANGE, part);
    }
    add_header(answer, MHD_HTTP_HEADER_CONTENT_TYPE, TYPE_BLOB);
    add_header(answer, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    add_content_headers(answer, content);
    return queue(exchange, status, range.len, answer);
}

/* ---- routes ---- */

/* containerd asks its mirrors for ns=HOST beside the bare name: then the name of that host is meant
 * and no other. A name that begins with the host has said so itself. */
static const struct serve_repo *find_repo(const struct serve_catalog *catalog,
                                          const struct serve_route *route)
{
    auto_free char *full = mir_format("%s/%s", route->ns, route->name);
    auto_free char *start = mir_format("%s/", route->ns);

    if (route->ns[0] == '\0' || mir_starts_with(route->name, start))
        return serve_catalog_find_repo(catalog, route->name);
    return serve_catalog_find_repo(catalog, full);
}

static bool answer_repo(struct serve_exchange *exchange, const struct serve_route *route)
{
    const struct serve_repo *repo = find_repo(exchange->catalog, route);

    if (!repo)
        return serve_answer_problem(exchange, SERVE_PROBLEM_NO_REPO);
    if (route->kind == SERVE_ROUTE_TAGS)
        return answer_tags(exchange, route, repo);
    if (route->kind == SERVE_ROUTE_REFERRERS)
        return answer_referrers(exchange, route);
    if (route->kind == SERVE_ROUTE_BLOB)
        return answer_blob(exchange, serve_catalog_find(exchange->catalog, &route->digest));
    if (route->tag[0] != '\0')
        return answer_manifest(exchange, serve_catalog_find_tag(repo, route->tag));
    return answer_manifest(exchange, serve_catalog_find(exchange->catalog, &route->digest));
}

bool serve_answer_route(struct serve_exchange *exchange, const struct serve_route *route)
{
    switch (route->kind) {
    case SERVE_ROUTE_BASE:
        return answer_base(exchange);
    case SERVE_ROUTE_CATALOG:
        return answer_catalog(exchange, route);
    case SERVE_ROUTE_MANIFEST:
    case SERVE_ROUTE_BLOB:
    case SERVE_ROUTE_TAGS:
    case SERVE_ROUTE_REFERRERS:
        return answer_repo(exchange, route);
    }
    return false;
}
