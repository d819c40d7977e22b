/*
 * Targets of requests, read. The path is decoded once, and a byte that would change its structure
 * ('/', '%', control bytes) may not come encoded: what is matched is what was sent. The pieces are
 * then held against the grammars of names, tags and digests, so that nothing else travels further.
 */
#include "serve/route_priv.h"

#include "base/num.h"

struct problem_row {
    unsigned status;
    const char *code;
    const char *message;
};

static const struct problem_row problem_rows[] = {
    [SERVE_PROBLEM_NONE] = {200, "", ""},
    [SERVE_PROBLEM_ENDPOINT] = {404, "UNSUPPORTED", "no such endpoint"},
    [SERVE_PROBLEM_TARGET] = {400, "UNSUPPORTED", "the URL cannot be read"},
    [SERVE_PROBLEM_TOO_LONG] = {414, "UNSUPPORTED", "the URL is too long"},
    [SERVE_PROBLEM_NAME] = {400, "NAME_INVALID", "invalid repository name"},
    [SERVE_PROBLEM_DIGEST] = {400, "DIGEST_INVALID", "invalid or unsupported digest"},
    [SERVE_PROBLEM_COUNT] = {400, "PAGINATION_NUMBER_INVALID", "n is not a whole number"},
    [SERVE_PROBLEM_BODY] = {400, "UNSUPPORTED", "a request to read has no body"},
    [SERVE_PROBLEM_METHOD] = {405, "UNSUPPORTED", "this registry is read-only"},
    [SERVE_PROBLEM_NO_REPO] = {404, "NAME_UNKNOWN", "repository name not known to registry"},
    [SERVE_PROBLEM_NO_MANIFEST] = {404, "MANIFEST_UNKNOWN", "manifest unknown"},
    [SERVE_PROBLEM_NO_BLOB] = {404, "BLOB_UNKNOWN", "blob unknown to registry"},
    [SERVE_PROBLEM_INTERNAL] = {500, "UNKNOWN", "the bundle cannot be read; see the server's log"},
    [SERVE_PROBLEM_DAMAGED] = {500, "UNKNOWN", "damaged in the bundle; see the server's log"},
    [SERVE_PROBLEM_LOGIN] = {401, "UNAUTHORIZED", "authentication required"},
    [SERVE_PROBLEM_CLOSING] = {503, "UNAVAILABLE", "this registry is shutting down"},
};

unsigned serve_problem_status(enum serve_problem problem)
{
    return problem_rows[problem].status;
}

const char *serve_problem_code(enum serve_problem problem)
{
    return problem_rows[problem].code;
}

const char *serve_problem_message(enum serve_problem problem)
{
    return problem_rows[problem].message;
}

/* ---- decoding ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One byte, encoded or not, off the front of *rest. */
static bool next_byte(struct mir_span *rest, char *out, bool *encoded)
{
    int high, low;

    *encoded = rest->ptr[0] == '%';
    *out = rest->ptr[0];
    if (!*encoded) {
        *rest = mir_span_from(*rest, 1);
        return true;
    }
    if (rest->len < 3)
        return false;
    high = hex_value(rest->ptr[1]);
    low = hex_value(rest->ptr[2]);
    if (high < 0 || low < 0)
        return false;
    *out = (char)(high * 16 + low);
    *rest = mir_span_from(*rest, 3);
    return true;
}

/* out holds SERVE_TARGET_MAX + 1 bytes; text is no longer than SERVE_TARGET_MAX. forbidden lists
 * bytes that may not come encoded. */
static bool decode(struct mir_span text, const char *forbidden, char *out)
{
    size_t len = 0;

    while (text.len > 0) {
        bool encoded;
        char c;

        if (!next_byte(&text, &c, &encoded))
            return false;
        if (c <= 0x20 || c > 0x7e || (encoded && strchr(forbidden, c)))
            return false;
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

/* ---- the query ---- */

static bool query_pair(struct mir_span pair, struct serve_route *out, enum serve_problem *problem)
{
    char number[SERVE_TARGET_MAX + 1];
    size_t equals;
    struct mir_span key = pair, value = mir_span("", 0);

    if (mir_span_find(pair, '=', &equals)) {
        key = mir_span_first(pair, equals);
        value = mir_span_from(pair, equals + 1);
    }
    *problem = SERVE_PROBLEM_TARGET;
    if (mir_span_is(key, "last"))
        return decode(value, "", out->last);
    if (mir_span_is(key, "ns"))
        return decode(value, "", out->ns);
    if (mir_span_is(key, "artifactType"))
        return decode(value, "", out->artifact_type);
    if (!mir_span_is(key, "n"))
        return true;
    *problem = SERVE_PROBLEM_COUNT;
    out->has_count = true;
    return decode(value, "", number) && mir_parse_u64(mir_span_of(number), UINT64_MAX, &out->count);
}

static bool query_parse(struct mir_span query, struct serve_route *out, enum serve_problem *problem)
{
    struct mir_span pair;

    while (mir_span_next(&query, '&', &pair)) {
        if (!query_pair(pair, out, problem))
            return false;
    }
    return true;
}

/* ---- the path ---- */

static bool refuse(enum serve_problem *problem, enum serve_problem why)
{
    *problem = why;
    return false;
}

/* Cut the last component off *path, which keeps no trailing slash. */
static bool take_last(struct mir_span *path, struct mir_span *last)
{
    size_t slash;

    if (!mir_span_find_last(*path, '/', &slash))
        return false;
    *last = mir_span_from(*path, slash + 1);
    *path = mir_span_first(*path, slash);
    return true;
}

static bool set_name(struct mir_span name, struct serve_route *out, enum serve_problem *problem)
{
    if (!img_is_repo(name))
        return refuse(problem, SERVE_PROBLEM_NAME);
    memcpy(out->name, name.ptr, name.len);
    out->name[name.len] = '\0';
    return true;
}

static bool set_digest(struct mir_span text, struct serve_route *out, enum serve_problem *problem)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* the answer names no details of the input */

    if (!img_digest_parse(text, &out->digest, &ignored))
        return refuse(problem, SERVE_PROBLEM_DIGEST);
    return true;
}

static bool set_reference(struct mir_span text, struct serve_route *out,
                          enum serve_problem *problem)
{
    size_t colon;

    if (mir_span_find(text, ':', &colon))
        return set_digest(text, out, problem);
    /* No such tag can exist; the conformance tests of the specification want "unknown" here. */
    if (!img_is_tag(text))
        return refuse(problem, SERVE_PROBLEM_NO_MANIFEST);
    memcpy(out->tag, text.ptr, text.len);
    out->tag[text.len] = '\0';
    return true;
}

/* path is what follows "/v2/". Names may hold any word, "manifests" too, so it is read from its
 * end. */
static bool path_parse(struct mir_span path, struct serve_route *out, enum serve_problem *problem)
{
    struct mir_span last, word;

    if (path.len == 0) {
        out->kind = SERVE_ROUTE_BASE;
        return true;
    }
    if (mir_span_is(path, "_catalog")) {
        out->kind = SERVE_ROUTE_CATALOG;
        return true;
    }
    if (!take_last(&path, &last) || !take_last(&path, &word))
        return refuse(problem, SERVE_PROBLEM_ENDPOINT);
    if (mir_span_is(word, "manifests")) {
        out->kind = SERVE_ROUTE_MANIFEST;
        return set_name(path, out, problem) && set_reference(last, out, problem);
    }
    if (mir_span_is(word, "blobs")) {
        out->kind = SERVE_ROUTE_BLOB;
        return set_name(path, out, problem) && set_digest(last, out, problem);
    }
    if (mir_span_is(word, "referrers")) {
        out->kind = SERVE_ROUTE_REFERRERS;
        return set_name(path, out, problem) && set_digest(last, out, problem);
    }
    if (mir_span_is(word, "tags") && mir_span_is(last, "list")) {
        out->kind = SERVE_ROUTE_TAGS;
        return set_name(path, out, problem);
    }
    return refuse(problem, SERVE_PROBLEM_ENDPOINT);
}

/* "http://host/path", as clients write it to a proxy, counts as "/path". */
static struct mir_span without_authority(struct mir_span target)
{
    struct mir_span rest;
    size_t at;

    if (mir_span_starts_with(target, "http://"))
        rest = mir_span_from(target, strlen("http://"));
    else if (mir_span_starts_with(target, "https://"))
        rest = mir_span_from(target, strlen("https://"));
    else
        return target;
    return mir_span_find(rest, '/', &at) ? mir_span_from(rest, at) : target;
}

bool serve_route_parse(struct mir_span target, struct serve_route *out, enum serve_problem *problem)
{
    char path[SERVE_TARGET_MAX + 1];
    struct mir_span query = mir_span("", 0), raw;
    size_t at;

    *out = (struct serve_route){.kind = SERVE_ROUTE_BASE};
    *problem = SERVE_PROBLEM_NONE;
    if (target.len > SERVE_TARGET_MAX)
        return refuse(problem, SERVE_PROBLEM_TOO_LONG);
    raw = without_authority(target);
    if (mir_span_find(raw, '?', &at)) {
        query = mir_span_from(raw, at + 1);
        raw = mir_span_first(raw, at);
    }
    if (!decode(raw, "/%?#", path))
        return refuse(problem, SERVE_PROBLEM_TARGET);
    raw = mir_span_of(path);
    if (mir_span_is(raw, "/v2"))
        return true;
    if (mir_span_is(raw, "/healthz")) {
        out->kind = SERVE_ROUTE_HEALTH;
        return true;
    }
    if (!mir_span_starts_with(raw, "/v2/"))
        return refuse(problem, SERVE_PROBLEM_ENDPOINT);
    return path_parse(mir_span_from(raw, strlen("/v2/")), out, problem) &&
           query_parse(query, out, problem);
}
