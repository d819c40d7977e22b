/*
 * The header of an answer: kept within bounds, looked up, and judged before the first byte of the
 * body is taken. Called from the header callback of a try.
 *
 * Invariant: a body reaches the sink only when the answer said 200 or 206 and, where it named them,
 * the size and the range that were asked for.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <inttypes.h>
#include <strings.h>

#include "base/num.h"

/* ---- what the caller sees ------------------------------------------------------------------ */

void http_response_release(struct http_response *response)
{
    free(response->url);
    free(response->via);
    mir_buf_release(&response->headers);
    mir_buf_release(&response->body);
    *response = (struct http_response){0};
}

void http_response_clear(struct http_response *response)
{
    response->status = 0;
    mir_buf_clear(&response->headers);
    mir_buf_clear(&response->body);
}

void http_response_start(struct http_response *response, uint64_t offset)
{
    http_response_release(response);
    mir_buf_init(&response->headers, HTTP_HEADER_BYTES_MAX);
    mir_buf_init(&response->body, SIZE_MAX / 2); /* bounded by http_answer_begin() */
    response->reached = offset;
}

/* Headers are kept as NAME NUL VALUE NUL. */
const char *http_response_header_at(const struct http_response *response, const char *name,
                                    size_t n)
{
    const char *at = response->headers.ptr;
    const char *end = at + response->headers.len;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcasecmp(at, name) == 0 && n-- == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    return http_response_header_at(response, name, 0);
}

bool http_response_date(const struct http_response *response, int64_t *seconds)
{
    const char *text = http_response_header(response, "Date");

    *seconds = text ? (int64_t)curl_getdate(text, NULL) : -1;
    return *seconds >= 0;
}

/* ---- taking lines -------------------------------------------------------------------------- */

static bool refuse(struct http_try *t, enum mir_code code, const char *why)
{
    t->fatal = true;
    return mir_fail(&t->err, code, "%s", why);
}

bool http_answer_header(struct http_try *t, struct mir_span line)
{
    struct mir_buf *headers = &t->response->headers;
    struct mir_span text = mir_span_trim(line);
    struct mir_span name;
    size_t colon;

    t->header_bytes += line.len;
    if (t->header_bytes > HTTP_HEADER_BYTES_MAX)
        return refuse(t, MIR_E_LIMIT, "the header of the answer is too long");
    if (mir_span_starts_with(line, "HTTP/")) {
        mir_buf_clear(headers);
        t->head_done = false;
        return true;
    }
    /* After the empty line come trailers; nothing in them is for us. */
    if (t->head_done || !mir_span_find(text, ':', &colon))
        return true;
    name = mir_span_trim(mir_span_first(text, colon));
    if (memchr(text.ptr, '\0', text.len))
        return refuse(t, MIR_E_PROTOCOL, "a NUL byte in the header of the answer");
    mir_buf_add(headers, name);
    mir_buf_char(headers, '\0');
    mir_buf_add(headers, mir_span_trim(mir_span_from(text, colon + 1)));
    mir_buf_char(headers, '\0');
    return true;
}

/* ---- judging ------------------------------------------------------------------------------- */

static bool is_chunked(const struct http_response *response)
{
    return http_response_header(response, "Transfer-Encoding") != NULL;
}

static bool content_length(const struct http_response *response, uint64_t *out)
{
    const char *text = http_response_header(response, "Content-Length");

    return !is_chunked(response) && text && mir_parse_u64(mir_span_of(text), INT64_MAX, out);
}

/* "bytes FIRST-LAST/TOTAL"; an unknown total ("*") gives has_total false. */
static bool parse_content_range(const char *text, uint64_t *first, uint64_t *last, bool *has_total,
                                uint64_t *total)
{
    struct mir_span rest = mir_span_of(text);
    size_t dash, slash;

    if (!mir_span_starts_with(rest, "bytes "))
        return false;
    rest = mir_span_trim(mir_span_from(rest, 6));
    if (!mir_span_find(rest, '-', &dash) || !mir_span_find(rest, '/', &slash) || slash < dash)
        return false;
    *has_total = !mir_span_is(mir_span_from(rest, slash + 1), "*");
    return mir_parse_u64(mir_span_first(rest, dash), INT64_MAX, first) &&
           mir_parse_u64(mir_span_from(mir_span_first(rest, slash), dash + 1), INT64_MAX, last) &&
           *first <= *last &&
           (!*has_total || mir_parse_u64(mir_span_from(rest, slash + 1), INT64_MAX, total));
}

static bool check_total(struct http_try *t, uint64_t total)
{
    if (!t->request->has_size || total == t->request->size)
        return true;
    t->fatal = true;
    return mir_fail(&t->err, MIR_E_DIGEST,
                    "the server has %" PRIu64 " bytes where %" PRIu64 " are expected", total,
                    t->request->size);
}

/* The server does not do ranges as it should: what is left is asked for without. */
static bool distrust_ranges(struct http_try *t)
{
    t->response->whole = true;
    return false;
}

static bool accept_part(struct http_try *t)
{
    const char *text = http_response_header(t->response, "Content-Range");
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t total = 0;
    bool has_total = false;

    if (!t->ranged)
        return refuse(t, MIR_E_PROTOCOL, "206 for a request without a range");
    if (!text || !parse_content_range(text, &first, &last, &has_total, &total)) {
        (void)mir_fail(&t->err, MIR_E_PROTOCOL, "206 without a valid Content-Range");
        return distrust_ranges(t);
    }
    if (first != t->response->reached || (has_total && last + 1 != total) ||
        (t->request->has_size && last + 1 != t->request->size)) {
        (void)mir_fail(&t->err, MIR_E_PROTOCOL,
                       "asked for the bytes from %" PRIu64 " on, the server answers with \"%s\"",
                       t->response->reached, text);
        return distrust_ranges(t);
    }
    return !has_total || check_total(t, total);
}

static bool accept_whole(struct http_try *t)
{
    uint64_t total;

    t->skip = t->response->reached;
    return !content_length(t->response, &total) || check_total(t, total);
}

/* Where it sends us next would be shown and told to others. */
static bool keeps_login(const struct http_try *t)
{
    static const char *const leading[] = {"Location", "WWW-Authenticate"};

    for (size_t i = 0; i < sizeof(leading) / sizeof(leading[0]); i++) {
        for (size_t n = 0;; n++) {
            const char *value = http_response_header_at(t->response, leading[i], n);

            if (!value)
                break;
            if (http_repeats_login(value, t->request->authorization))
                return false;
        }
    }
    return true;
}

/* The header is complete: what is to happen with the body? */
bool http_answer_begin(struct http_try *t)
{
    int status = t->response->status;
    uint64_t len = 0;

    if (!keeps_login(t))
        return refuse(t, MIR_E_PROTOCOL,
                      "the server puts what we log in with into where it sends us");
    t->has_length = is_chunked(t->response) || content_length(t->response, &len);
    if (status < 200 || status > 299) {
        t->mode = HTTP_BODY_REFUSAL;
        t->response->whole |= t->ranged && status == 416;
        return true;
    }
    if (t->request->sink && t->request->method == HTTP_GET) {
        t->mode = HTTP_BODY_SINK;
        if (status == 206)
            return accept_part(t);
        if (status == 200)
            return accept_whole(t);
        return refuse(t, MIR_E_PROTOCOL, "a success without a body where one is expected");
    }
    t->mode = HTTP_BODY_KEEP;
    if (t->request->method == HTTP_HEAD || t->request->body_max == 0 || len <= t->request->body_max)
        return true;
    t->fatal = true;
    return mir_fail(&t->err, MIR_E_LIMIT, "%" PRIu64 " bytes are over the limit of %zu", len,
                    t->request->body_max);
}
