/*
 * Answers. Manifests and small blobs are read whole and held against their digest before a byte of
 * them is sent; large blobs go out piece by piece (body.c), so memory does not grow with their
 * size. What is known to be damaged is not sent at all.
 */
#include "serve/answer_priv.h"

#include <inttypes.h>

#include <microhttpd.h>

#include "base/mem.h"
#include "image/manifest.h"
#include "serve/body_priv.h"
#include "serve/page_priv.h"
#include "serve/range_priv.h"

#define TYPE_JSON "application/json"
#define TYPE_BLOB "application/octet-stream"

#define TYPE_TEXT "text/plain"

#define SMALL (64u << 10) /* bytes of a blob that is read whole */

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

static void add_problem_headers(struct MHD_Response *answer, enum serve_problem problem)
{
    if (problem == SERVE_PROBLEM_METHOD)
        add_header(answer, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (problem == SERVE_PROBLEM_LOGIN)
        add_header(answer, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"mirror\"");
    if (problem == SERVE_PROBLEM_CLOSING)
        add_header(answer, MHD_HTTP_HEADER_CONNECTION, "close");
}

bool serve_answer_problem(struct serve_exchange *exchange, enum serve_problem problem)
{
    auto_json *root = json_pack("{s:[{s:s, s:s}]}", "errors", "code", serve_problem_code(problem),
                                "message", serve_problem_message(problem));
    char *text = json_dumps(root, JSON_COMPACT);
    size_t len = strlen(text);
    struct MHD_Response *answer = response_of_text(text, len, TYPE_JSON);

    if (answer)
        add_problem_headers(answer, problem);
    return queue(exchange, serve_problem_status(problem), len, answer);
}

static bool answer_base(struct serve_exchange *exchange)
{
    return queue(exchange, MHD_HTTP_OK, 2, response_of_text(mir_strdup("{}"), 2, TYPE_JSON));
}

static bool answer_health(struct serve_exchange *exchange)
{
    return queue(exchange, MHD_HTTP_OK, 3, response_of_text(mir_strdup("ok\n"), 3, TYPE_TEXT));
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

    return known && (strcmp(known, "*") == 0 || strstr(known, etag_of(content).text));
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
    return serve_answer_problem(exchange, err->code == MIR_E_DIGEST ? SERVE_PROBLEM_DAMAGED
                                                                    : SERVE_PROBLEM_INTERNAL);
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

/* A small blob, or a part of it. Damage is found before anything is sent. */
static struct MHD_Response *response_of_small(const struct serve_content *content,
                                              struct serve_range range, struct mir_error *err)
{
    auto_free char *bytes = NULL;
    struct MHD_Response *answer;
    size_t len;

    if (!bundle_reader_load(content->reader, &content->blob->digest, SMALL, &bytes, &len, err))
        return NULL;
    answer = MHD_create_response_from_buffer((size_t)range.len, bytes + range.start,
                                             MHD_RESPMEM_MUST_COPY);
    if (!answer)
        (void)mir_fail(err, MIR_E_IO, "no memory for a response");
    return answer;
}

/* How is a large blob to be checked on its way? False: not at all any more, see err; or it is
 * wanted that it be hashed first, because a part of it says nothing of the whole. */
static bool choose_check(struct serve_exchange *exchange, struct serve_body_options *options,
                         struct mir_error *err)
{
    struct serve_content *content = options->content;
    enum serve_proof_state state;

    if (exchange->verify == SERVE_VERIFY_NONE)
        return true;
    if (!serve_proof_get(content, &state, &options->stamp, err))
        return false;
    options->check = SERVE_BODY_CHECK_STAMP;
    if (state == SERVE_PROOF_DAMAGED)
        return mir_fail(err, MIR_E_DIGEST, "it is damaged");
    if (state == SERVE_PROOF_SOUND || exchange->is_head)
        return true;
    options->check = SERVE_BODY_CHECK_HASH;
    if (options->range.len == content->blob->size)
        return true;
    if (exchange->was_hashed)
        return mir_fail(err, MIR_E_IO, "it cannot be read, or is being written to");
    exchange->wanted = content;
    return false;
}

static struct MHD_Response *response_of_blob(struct serve_exchange *exchange,
                                             struct serve_content *content,
                                             struct serve_range range, struct mir_error *err)
{
    struct serve_body_options options = {.content = content,
                                         .range = range,
                                         .check = SERVE_BODY_CHECK_NONE,
                                         .is_head = exchange->is_head,
                                         .sink = exchange->sink};

    if (content->blob->size <= SMALL && exchange->verify != SERVE_VERIFY_NONE)
        return response_of_small(content, range, err);
    if (range.len == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!choose_check(exchange, &options, err))
        return NULL;
    return serve_body_new(&options, err);
}

/* Takes answer. */
static bool queue_blob(struct serve_exchange *exchange, const struct serve_content *content,
                       struct serve_range range, struct MHD_Response *answer)
{
    unsigned status = MHD_HTTP_OK;

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

static bool answer_blob(struct serve_exchange *exchange, struct serve_content *content)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_range range;
    struct MHD_Response *answer;

    if (!content)
        return serve_answer_problem(exchange, SERVE_PROBLEM_NO_BLOB);
    if (is_known_to_client(exchange, content))
        return answer_not_modified(exchange, content);
    range = range_of(exchange, content);
    if (range.kind == SERVE_RANGE_UNSATISFIABLE)
        return answer_no_such_range(exchange, content);
    answer = response_of_blob(exchange, content, range, &err);
    if (answer)
        return queue_blob(exchange, content, range, answer);
    return exchange->wanted != NULL || answer_unreadable(exchange, content, &err);
}

/* ---- routes ---- */

/* containerd asks its mirrors for ns=HOST beside the bare name: then the name of that host is meant
 * and no other. A name that begins with the host has said so itself. */
static const struct serve_repo *find_repo(const struct serve_exchange *exchange,
                                          const struct serve_route *route)
{
    auto_free char *prefix = exchange->prefix ? mir_format("%s/", exchange->prefix) : NULL;
    size_t skipped = prefix && mir_starts_with(route->name, prefix) ? strlen(prefix) : 0;
    auto_free char *full =
        mir_format("%s%s/%s", skipped > 0 ? prefix : "", route->ns, route->name + skipped);
    auto_free char *start = mir_format("%s/", route->ns);

    if (route->ns[0] == '\0' || mir_starts_with(route->name + skipped, start))
        return serve_catalog_find_repo(exchange->catalog, route->name);
    return serve_catalog_find_repo(exchange->catalog, full);
}

static bool answer_repo(struct serve_exchange *exchange, const struct serve_route *route)
{
    const struct serve_repo *repo = find_repo(exchange, route);

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
    case SERVE_ROUTE_HEALTH:
        return answer_health(exchange);
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
