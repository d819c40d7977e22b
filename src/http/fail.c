/*
 * What a failed libcurl call means for us: a code that decides on retry, and a text for people.
 *
 * Invariant: libcurl's own words pass through here once, and lose anything that looks like user
 * info of a URL (a proxy's password, say).
 */
#include "http/http.h"

#include "http/http_priv.h"

#define ALERTS_SOUGHT_MAX 3 /* of one connection object */

/* Replace what stands between "//" and "@" in a word. Returns text. */
static char *hide_user_info(char *text)
{
    for (char *at = strstr(text, "//"); at; at = strstr(at + 2, "//")) {
        size_t word = strcspn(at, " '\"");
        char *end = memrchr(at, '@', word);

        for (char *c = at + 2; end && c < end; c++)
            *c = '*';
    }
    return text;
}

static enum mir_code code_of_curl(CURLcode code)
{
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_PROXY:
        return MIR_E_NETWORK;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CLIENTCERT:
        return MIR_E_TLS;
    case CURLE_URL_MALFORMAT:
        return MIR_E_FORMAT;
    case CURLE_OUT_OF_MEMORY: /* a header line over libcurl's own limit */
        return MIR_E_LIMIT;
    default:
        return MIR_E_PROTOCOL;
    }
}

/* A handshake that the network broke may work the next time; libcurl has one code for both. The
 * words are OpenSSL's and libcurl's, not ours. libcurl keeps the first words of a request: they can
 * be those of a broken connection, whose successor then failed in its handshake. */
static bool is_dropped_handshake(const char *text)
{
    return strstr(text, "bad record mac") || strstr(text, "SSL_read") ||
           strstr(text, "SSL_write") || strstr(text, "SSL_ERROR_SYSCALL") ||
           strstr(text, "onnection reset") || strstr(text, "unexpected eof") ||
           strstr(text, "Broken pipe");
}

bool http_is_dropped_handshake(const char *curl_text)
{
    return is_dropped_handshake(curl_text) && !http_is_client_alert(curl_text);
}

/* ---- proxies ------------------------------------------------------------------------------- */

static bool hint_around(const struct http_try *t, const char *what, struct mir_error *err)
{
    auto_origin origin = {0};

    if (!http_origin_of(t->response->url, &origin))
        return false;
    return mir_hint(err, "%s; NO_PROXY=%s goes around it", what, origin.host);
}

/* A proxy that does not let us through is final, unless it is only busy. */
static bool fail_proxy_status(const struct http_try *t, int status, struct mir_error *err)
{
    auto_free char *words = http_status_text(status);
    bool may_pass = http_status_may_pass(status);

    if (status == 407) {
        (void)mir_fail(err, MIR_E_AUTH, "the proxy %s (from %s) wants a login: %s", t->proxy->shown,
                       t->proxy->variable, words);
        err->sys = status;
        return mir_hint(err,
                        "put user and password into %s: http://USER:PASS@HOST:PORT, special "
                        "characters as %%XX",
                        t->proxy->variable);
    }
    (void)mir_fail(err, may_pass ? MIR_E_NETWORK : MIR_E_PROTOCOL,
                   "the proxy %s (from %s) does not connect us: %s", t->proxy->shown,
                   t->proxy->variable, words);
    err->sys = status;
    return hint_around(t,
                       may_pass ? "can the proxy reach this host?"
                                : "ask whoever runs the proxy to allow this host and port",
                       err);
}

/* The proxy itself is not there, or its SOCKS does not want us. */
static bool fail_proxy_reach(const struct http_try *t, CURLcode code, const char *text,
                             struct mir_error *err)
{
    long why = CURLPX_OK;
    bool refused;

    (void)curl_easy_getinfo(t->easy, CURLINFO_PROXY_ERROR, &why);
    refused = code == CURLE_PROXY && (why == CURLPX_USER_REJECTED || why == CURLPX_NO_AUTH);
    (void)mir_fail(err, refused ? MIR_E_AUTH : MIR_E_NETWORK, "the proxy %s (from %s): %s",
                   t->proxy->shown, t->proxy->variable, text);
    err->sys = (int)code;
    if (refused)
        return mir_hint(err, "put user and password into %s", t->proxy->variable);
    return hint_around(t, "is the proxy right, and up?", err);
}

/* ---- one try ------------------------------------------------------------------------------- */

static bool is_proxy_trouble(CURLcode code)
{
    return code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT ||
           code == CURLE_PROXY;
}

static bool fail_plainly(const struct http_try *t, CURLcode code, const char *text,
                         struct mir_error *err)
{
    enum mir_code kind = code_of_curl(code);

    if (code == CURLE_SSL_CONNECT_ERROR && http_is_dropped_handshake(text))
        kind = MIR_E_NETWORK;
    if (http_is_client_alert(text))
        kind = MIR_E_TLS;
    if (kind == MIR_E_TLS)
        (void)http_fail_tls(err, t, code, text);
    else if (kind == MIR_E_LIMIT)
        (void)mir_fail(err, kind, "a header of the answer is too long");
    else
        (void)mir_fail(err, kind, "%s", text);
    if (err->sys == 0)
        err->sys = (int)code;
    if (t->proxy)
        (void)mir_context(err, "through the proxy %s (from %s)", t->proxy->shown,
                          t->proxy->variable);
    return false;
}

/* Has a server of TLS 1.3 closed a new connection on our request before it answered? That is what
 * it does where it does not like the client's certificate, and its alert may have been lost. */
static bool seek_alert(const struct http_try *t, CURLcode code, char text[CURL_ERROR_SIZE])
{
    bool broke = code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING;
    long fresh = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &fresh);
    if (!broke || fresh == 0 || t->header_bytes > 0 || http_is_client_alert(t->curl_text) ||
        !http_url_is_https(t->response->url) || t->conn->alerts_sought >= ALERTS_SOUGHT_MAX)
        return false;
    t->conn->alerts_sought++;
    return http_peer_alert(t, text);
}

bool http_fail_try(const struct http_try *t, CURLcode code, struct mir_error *err)
{
    char alert[CURL_ERROR_SIZE];
    const char *words = t->curl_text[0] != '\0' ? t->curl_text : curl_easy_strerror(code);
    auto_free char *text = NULL;
    long tunnel = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    if (t->proxy && tunnel >= 300)
        return fail_proxy_status(t, (int)tunnel, err);
    if (t->proxy && t->response->via && t->response->status == 407)
        return fail_proxy_status(t, 407, err);
    text = hide_user_info(mir_strdup(seek_alert(t, code, alert) ? alert : words));
    if (t->proxy && is_proxy_trouble(code))
        return fail_proxy_reach(t, code, text, err);
    return fail_plainly(t, code, text, err);
}
