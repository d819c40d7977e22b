/*
 * URLs: comparing, resolving what a server sends, and the one function through which they reach
 * errors and logs. Called by the rest of src/http and by src/registry.
 *
 * Invariant: nothing that came as user info or as a query value (signed URLs carry their secret
 * there) is in a redacted text, except the few values that name what is asked for.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>

#define URL_TEXT_MAX 400 /* of a redacted URL */

static bool is_open_parameter(struct mir_span name)
{
    static const char *const open[] = {"digest", "mount", "from", "scope", "service", "n", "last"};

    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        if (mir_span_is(name, open[i]))
            return true;
    }
    return false;
}

/* Names and digests, and no further parameter behind a separator we do not split at. */
static bool is_open_value(struct mir_span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (!isalnum((unsigned char)value.ptr[i]) && !strchr("-._~:/,%+*", value.ptr[i]))
            return false;
    }
    return true;
}

static void add_visible(struct mir_buf *out, struct mir_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        mir_buf_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static void redact_query(struct mir_buf *out, struct mir_span query)
{
    struct mir_span piece;
    size_t at;
    char mark = '?';

    while (mir_span_next(&query, '&', &piece)) {
        mir_buf_char(out, mark);
        mark = '&';
        if (!mir_span_find(piece, '=', &at)) {
            mir_buf_text(out, "***");
            continue;
        }
        add_visible(out, mir_span_first(piece, at + 1));
        if (is_open_parameter(mir_span_first(piece, at)) &&
            is_open_value(mir_span_from(piece, at + 1)))
            add_visible(out, mir_span_from(piece, at + 1));
        else
            mir_buf_text(out, "***");
    }
}

/* Where the authority begins: behind a scheme, if there is one, and all slashes. What is taken for
 * a URL may be anything, a reference without a scheme, say. */
static size_t authority_start(struct mir_span url)
{
    size_t at = 0;

    while (at < url.len && (isalnum((unsigned char)url.ptr[at]) || strchr("+-.", url.ptr[at])))
        at++;
    if (at == url.len || url.ptr[at] != ':' || at + 1 == url.len || !strchr("/\\", url.ptr[at + 1]))
        at = 0;
    else
        at++;
    while (at < url.len && strchr("/\\", url.ptr[at]))
        at++;
    return at;
}

/* "host:" and no number: rather a password with a slash in it. */
static bool has_odd_port(struct mir_span authority)
{
    size_t at;

    if (!mir_span_find_last(authority, ':', &at) || mir_span_ends_with(authority, "]"))
        return false;
    for (at++; at < authority.len; at++) {
        if (!isdigit((unsigned char)authority.ptr[at]))
            return true;
    }
    return false;
}

/* Everything up to the path, user info replaced. Returns what is left. */
static struct mir_span redact_authority(struct mir_buf *out, struct mir_span url)
{
    size_t start = authority_start(url);
    struct mir_span rest = mir_span_from(url, start);
    size_t end = 0;
    size_t at;

    while (end < rest.len && !strchr("/?#", rest.ptr[end]))
        end++;
    if (has_odd_port(mir_span_first(rest, end))) {
        while (end < rest.len && rest.ptr[end] != '?')
            end++;
    }
    add_visible(out, mir_span_first(url, start));
    if (mir_span_find_last(mir_span_first(rest, end), '@', &at)) {
        mir_buf_text(out, "***@");
        rest = mir_span_from(rest, at + 1);
        end -= at + 1;
    }
    if (has_odd_port(mir_span_first(rest, end))) {
        (void)mir_span_find(rest, ':', &at);
        add_visible(out, mir_span_first(rest, at + 1));
        mir_buf_text(out, "***");
        return mir_span_from(rest, end);
    }
    add_visible(out, mir_span_first(rest, end));
    return mir_span_from(rest, end);
}

char *http_url_redact(const char *url)
{
    struct mir_buf out;
    struct mir_span rest = mir_span_of(url);
    struct mir_span query = {0};
    size_t at;

    /* Every byte of the URL may become "***" at most; the cut comes at the end. */
    mir_buf_init(&out, 8 * rest.len + 16);
    if (mir_span_find(rest, '#', &at))
        rest = mir_span_first(rest, at);
    rest = redact_authority(&out, rest);
    if (mir_span_find(rest, '?', &at)) {
        query = mir_span_from(rest, at + 1);
        rest = mir_span_first(rest, at);
    }
    add_visible(&out, rest);
    redact_query(&out, query);
    if (out.len > URL_TEXT_MAX) {
        char *cut = mir_format("%.*s...", URL_TEXT_MAX, out.ptr);

        mir_buf_release(&out);
        return cut;
    }
    return mir_buf_take(&out);
}

/* ---- origins ------------------------------------------------------------------------------- */

void http_curlu_free(CURLU **url)
{
    curl_url_cleanup(*url);
}

void http_curl_text_free(char **text)
{
    curl_free(*text);
}

void http_origin_release(struct http_origin *origin)
{
    curl_free(origin->host);
    curl_free(origin->port);
}

static bool url_is_plain_or_tls(CURLU *url, bool *https)
{
    auto_text *scheme = NULL;

    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return false;
    *https = strcasecmp(scheme, "https") == 0;
    return *https || strcasecmp(scheme, "http") == 0;
}

bool http_origin_of(const char *text, struct http_origin *out)
{
    auto_url *url = curl_url();

    if (!url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
        return false;
    return url_is_plain_or_tls(url, &out->https) &&
           curl_url_get(url, CURLUPART_HOST, &out->host, 0) == CURLUE_OK &&
           curl_url_get(url, CURLUPART_PORT, &out->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
}

bool http_url_same_origin(const char *a, const char *b)
{
    auto_origin left = {0};
    auto_origin right = {0};

    return http_origin_of(a, &left) && http_origin_of(b, &right) && left.https == right.https &&
           strcasecmp(left.host, right.host) == 0 && strcmp(left.port, right.port) == 0;
}

bool http_url_is_https(const char *url)
{
    auto_origin origin = {0};

    return http_origin_of(url, &origin) && origin.https;
}

char *http_url_host(const char *url)
{
    auto_origin origin = {0};

    if (!http_origin_of(url, &origin))
        return NULL;
    if (strcmp(origin.port, origin.https ? "443" : "80") == 0)
        return mir_strdup(origin.host);
    return mir_format("%s:%s", origin.host, origin.port);
}

/* ---- resolving ----------------------------------------------------------------------------- */

static bool resolve_fail(const char *base, const char *reference, const char *why,
                         struct mir_error *err)
{
    auto_free char *from = http_url_redact(base);
    auto_free char *to = http_url_redact(reference);

    return mir_fail(err, MIR_E_PROTOCOL, "%s leads to \"%s\": %s", from, to, why);
}

bool http_url_resolve(const char *base, const char *reference, char **out, struct mir_error *err)
{
    auto_url *url = curl_url();
    auto_text *text = NULL;
    bool https = false;
    CURLUcode code;

    if (!url || curl_url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK)
        return resolve_fail(base, reference, "the base is no URL", err);
    code =
        curl_url_set(url, CURLUPART_URL, reference, CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER);
    if (code == CURLUE_USER_NOT_ALLOWED)
        return resolve_fail(base, reference, "a URL with credentials inside is not followed", err);
    if (code != CURLUE_OK)
        return resolve_fail(base, reference, "no valid URL", err);
    if (!url_is_plain_or_tls(url, &https))
        return resolve_fail(base, reference, "only http and https are followed", err);
    if (curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return resolve_fail(base, reference, "no valid URL", err);
    *out = mir_strdup(text);
    return true;
}

void http_url_escape(struct mir_buf *out, struct mir_span text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~:/,";

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\0' && strchr(plain, text.ptr[i]))
            mir_buf_char(out, text.ptr[i]);
        else
            mir_buf_printf(out, "%%%02X", (unsigned)(unsigned char)text.ptr[i]);
    }
}

/* ---- loopback ------------------------------------------------------------------------------ */

/* The name without port and brackets. */
static struct mir_span bare_host(struct mir_span host)
{
    size_t at;

    if (host.len > 0 && host.ptr[0] == '[') {
        if (!mir_span_find(host, ']', &at))
            return host;
        return mir_span_from(mir_span_first(host, at), 1);
    }
    return mir_span_find(host, ':', &at) ? mir_span_first(host, at) : host;
}

bool http_host_is_loopback(struct mir_span host)
{
    struct mir_span name = bare_host(host);
    char text[INET6_ADDRSTRLEN] = "";
    struct in_addr v4;
    struct in6_addr v6;
    static const struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
    const char local[] = "localhost";
    const size_t local_len = sizeof(local) - 1;

    if (name.len >= local_len &&
        strncasecmp(name.ptr + name.len - local_len, local, local_len) == 0 &&
        (name.len == local_len || name.ptr[name.len - local_len - 1] == '.'))
        return true;
    if (name.len >= sizeof(text))
        return false;
    memcpy(text, name.ptr, name.len);
    if (inet_pton(AF_INET, text, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6))
        return v6.s6_addr[12] == 127;
    return memcmp(&v6, &loopback6, sizeof(v6)) == 0;
}
