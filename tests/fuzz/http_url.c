/*
 * URLs and Locations: two lines of any bytes, the URL that was asked and the reference it answered
 * with. What is followed is http or https without user info, fragment and control bytes, never out
 * of TLS, and another origin is known for one; what is shown has no secret, wherever one is put.
 */
#include <assert.h>

#include "http/http_priv.h"

#define TEXT_MAX 4096
#define SECRET   "Zq9w7secretZ"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

static void check_shown(const char *url)
{
    auto_free char *shown = http_url_redact(url);

    assert(is_plain(shown));
    assert(strlen(shown) <= 500);
    assert(!strstr(shown, SECRET));
}

/* The secret in each place a URL may have one, around the text. */
static void check_redacted(const char *text)
{
    auto_free char *user = mir_format("https://me:" SECRET "@%s", text);
    auto_free char *only = mir_format("//" SECRET "@%s", text);
    auto_free char *query = mir_format("https://host/%s?sig=" SECRET, text);
    auto_free char *more = mir_format("https://host/x?%s&" SECRET, text);
    auto_free char *fragment = mir_format("https://host/x?%s#" SECRET, text);

    check_shown(text);
    check_shown(user);
    check_shown(only);
    check_shown(fragment);
    check_shown(more);
    /* Behind an open parameter its value may go on. */
    if (!strpbrk(text, "?#"))
        check_shown(query);
}

static void check_url(const char *url)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *again = NULL;
    auto_free char *host = http_url_host(url);
    const char *authority = strstr(url, "://") + 3;

    assert(mir_starts_with(url, "http://") || mir_starts_with(url, "https://"));
    assert(is_plain(url) && !strchr(url, '#') && !strchr(url, ' '));
    assert(!memchr(authority, '@', strcspn(authority, "/?")));
    assert(host && host[0] != '\0');
    assert(http_url_same_origin(url, url));
    assert(http_url_is_https(url) == mir_starts_with(url, "https://"));
    if (!http_url_resolve(url, url, &again, &err) || strcmp(url, again) != 0)
        abort();
}

/* A redirect, as the answer to a request. */
static void check_redirect(const char *base, const char *location, bool home_only)
{
    const struct http_request request = {.method = HTTP_GET, .url = base, .home_only = home_only};
    struct http_trail trail = {.url = mir_strdup(base)};
    auto_response response = HTTP_RESPONSE_INIT;
    struct mir_error err = MIR_ERROR_INIT;
    enum http_step step;

    http_response_start(&response, 0);
    response.status = 307;
    mir_buf_add(&response.headers, mir_span("Location", sizeof("Location")));
    mir_buf_add(&response.headers, mir_span(location, strlen(location) + 1));
    step = http_redirect(&request, &response, &trail, &err);
    assert((step == HTTP_STEP_FAIL) == (err.code != MIR_OK));
    assert(is_plain(err.text) && !strstr(err.text, SECRET));
    if (step == HTTP_STEP_FOLLOW) {
        check_url(trail.url);
        assert(!http_url_is_https(base) || http_url_is_https(trail.url));
        assert(trail.left_home == !http_url_same_origin(base, trail.url));
        assert(!trail.left_home || !home_only);
    }
    http_trail_release(&trail);
}

static void check_pair(const char *base, const char *reference)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *out = NULL;

    assert(http_url_same_origin(base, reference) == http_url_same_origin(reference, base));
    if (http_url_resolve(base, reference, &out, &err))
        check_url(out);
    else
        assert(err.code == MIR_E_PROTOCOL && is_plain(err.text));
    check_redirect(base, reference, false);
    check_redirect(base, reference, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_span all = mir_span(data, size < TEXT_MAX ? size : TEXT_MAX);
    struct mir_span line = {0};
    auto_free char *base = NULL;
    auto_free char *reference = NULL;
    auto_free char *marked = NULL;
    struct mir_buf escaped;

    (void)!mir_span_next(&all, '\n', &line);
    /* A NUL ends a text in C, as it does in a header. */
    base = mir_strndup(line.ptr, line.len);
    reference = mir_strndup(all.ptr, all.len);
    /* A mutation may have learned the secret. */
    if (strstr(base, SECRET) || strstr(reference, SECRET))
        return 0;
    check_pair(base, reference);
    check_pair("https://registry.example.com:5000/v2/a/blobs/b", reference);
    check_pair("http://127.0.0.1/v2/", reference);
    marked = mir_format("https://me:" SECRET "@%s", reference);
    check_pair("https://registry.example.com/", marked);
    check_redacted(base);
    check_redacted(reference);
    (void)http_host_is_loopback(mir_span_of(reference));
    mir_buf_init(&escaped, 4 * TEXT_MAX);
    http_url_escape(&escaped, mir_span_of(reference));
    assert(!escaped.overflow && is_plain(escaped.ptr));
    mir_buf_release(&escaped);
    return 0;
}
