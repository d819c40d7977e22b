/*
 * What a failed libcurl call means for us: a code that decides on retry, and a text for people.
 *
 * Invariant: libcurl's own words pass through here once, and lose anything that looks like user
 * info of a URL (a proxy's password, say).
 */
#include "http/http.h"

#include "http/http_priv.h"

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

/* A proxy that does not let us through is final, unless it is only busy. */
bool http_fail_proxy(struct mir_error *err, long status)
{
    auto_free char *words = http_status_text((int)status);

    err->sys = (int)status;
    if (status == 407) {
        (void)mir_fail(err, MIR_E_AUTH, "the proxy: %s", words);
        return mir_hint(err, "put user and password into the proxy's URL in the environment");
    }
    return mir_fail(err, http_status_may_pass((int)status) ? MIR_E_NETWORK : MIR_E_PROTOCOL,
                    "the proxy refuses to connect: %s", words);
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

bool http_error_is_handshake(const struct mir_error *err)
{
    return err->code == MIR_E_TLS && err->sys == CURLE_SSL_CONNECT_ERROR;
}

bool http_is_dropped_handshake(const char *curl_text)
{
    return is_dropped_handshake(curl_text);
}

bool http_fail_curl(struct mir_error *err, CURLcode code, const char *curl_text)
{
    auto_free char *text =
        hide_user_info(mir_strdup(curl_text[0] != '\0' ? curl_text : curl_easy_strerror(code)));
    enum mir_code kind = code_of_curl(code);

    if (code == CURLE_SSL_CONNECT_ERROR && is_dropped_handshake(text))
        kind = MIR_E_NETWORK;
    if (kind == MIR_E_TLS)
        (void)mir_fail(err, kind, "TLS: %s", text);
    else if (kind == MIR_E_LIMIT)
        (void)mir_fail(err, kind, "a header of the answer is too long");
    else
        (void)mir_fail(err, kind, "%s", text);
    err->sys = (int)code;
    return false;
}
