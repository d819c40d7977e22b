/*
 * The settings that every curl handle has, whatever it is used for: where to, through which proxy,
 * and whom to trust on the way. Called for each try and for a look at a stranger's certificate.
 *
 * Invariant: nothing of libcurl's own reading of the environment is left to chance: proxies and
 * trust are said explicitly.
 */
#include "http/http.h"

#include "http/http_priv.h"

/* HTTP/2 would be chosen here. */
#define HTTP_VERSION_WANTED CURL_HTTP_VERSION_1_1

static unsigned set_trust(CURL *easy, const struct http_tls *tls)
{
    unsigned bad = 0;

    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_blob ? NULL : tls->ca_file);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CAPATH, tls->ca_path);
    if (tls->ca_blob) {
        struct curl_blob blob = {.data = tls->ca_blob, .len = tls->ca_blob_len};

        bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
    }
    return bad;
}

static unsigned set_tls(CURL *easy, const struct http_tls *tls, bool shows_client)
{
    long verify = !tls || tls->verify;
    unsigned bad = 0;

    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2 * verify);
    if (!tls)
        return bad;
    bad |= set_trust(easy, tls);
    if (!shows_client)
        return bad;
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_file);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
    /* Or OpenSSL would ask the terminal. */
    return bad | (unsigned)curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
}

/* A proxy is not the registry: it is trusted as the system says, always verified. */
static unsigned set_proxy(CURL *easy, const struct http_tls *tls, const struct http_proxy *proxy)
{
    unsigned bad = 0;

    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_PROXY, proxy ? proxy->url : "");
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    if (!proxy || !tls || !mir_starts_with(proxy->url, "https:"))
        return bad;
    bad |=
        (unsigned)curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, tls->ca_file);
    return bad | (unsigned)curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, tls->ca_path);
}

unsigned http_handle_set(CURL *easy, const struct http_client *client, const char *url,
                         const struct http_tls *tls, bool shows_client,
                         const struct http_proxy *proxy)
{
    unsigned bad = 0;

    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_URL, url);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)HTTP_VERSION_WANTED);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                                      (long)client->connect_timeout_ms);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
    bad |= set_tls(easy, tls, shows_client);
    return bad | set_proxy(easy, tls, proxy);
}
