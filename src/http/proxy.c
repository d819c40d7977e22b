/*
 * Which proxy a request goes through, if any: from the environment, read once for a client, as the
 * tools of the field that are written in Go read it. Asked for every try, because a redirect may
 * lead from inside the fence to outside.
 *
 * HTTPS_PROXY, HTTP_PROXY, then ALL_PROXY for both (that one is curl's habit); of a name in upper
 * and lower case the upper one; empty is not set. HTTP_PROXY does not count in CGI, where a client
 * can set it. NO_PROXY is a list with commas:
 *   *                       no proxy at all
 *   10.0.0.1, 10.0.0.0/8    addresses, of either family; only hosts written as addresses match
 *   example.com             the host and all below it
 *   .example.com, *.example.com   all below it
 * and each but the first and a network may end in ":PORT".
 *
 * Invariant: loopback has no proxy. Users and passwords reach libcurl and nobody else.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <arpa/inet.h>
#include <strings.h>

#include "base/num.h"

#define NO_PROXY_RULES_MAX 4096

enum rule_kind {
    RULE_ALL,
    RULE_NETWORK,
    RULE_BELOW,     /* ".example.com" */
    RULE_AND_BELOW, /* "example.com" */
};

/* An address, IPv4 mapped into IPv6 so that there is one kind. */
struct address {
    unsigned char bytes[16];
};

struct rule {
    enum rule_kind kind;
    struct address address;
    unsigned bits; /* of the address that count */
    char *suffix;  /* of a name, with its dot */
    char *port;    /* NULL: any */
};

struct http_proxies {
    struct http_proxy plain;
    struct http_proxy tls;
    struct rule *rules;
    size_t rule_count;
    size_t rule_capacity;
};

/* ---- the proxies --------------------------------------------------------------------------- */

/* The first of the names that is set to something. */
static const char *first_set(const char *const names[], size_t count, const char **name)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = getenv(names[i]);

        if (!value || value[0] == '\0')
            continue;
        *name = names[i];
        return value;
    }
    return NULL;
}

static bool is_proxy_scheme(const char *scheme)
{
    static const char *const known[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcasecmp(scheme, known[i]) == 0)
            return true;
    }
    return false;
}

/* As Go has it; libcurl's own idea would be 1080 for all but https. */
static const char *port_of_scheme(const char *scheme)
{
    if (strcasecmp(scheme, "http") == 0)
        return "80";
    return strcasecmp(scheme, "https") == 0 ? "443" : "1080";
}

/* Whole as libcurl wants it, and bare as people may see it. False: no URL of a proxy. */
static bool spell_proxy(CURLU *url, struct http_proxy *out)
{
    auto_text *scheme = NULL;
    auto_text *host = NULL;
    auto_text *port = NULL;
    auto_text *whole = NULL;

    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || !is_proxy_scheme(scheme) ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK || host[0] == '\0')
        return false;
    if (curl_url_get(url, CURLUPART_PORT, &port, 0) != CURLUE_OK &&
        curl_url_set(url, CURLUPART_PORT, port_of_scheme(scheme), 0) != CURLUE_OK)
        return false;
    if (curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
        return false;
    out->url = mir_strdup(whole);
    out->answers = strncasecmp(scheme, "http", 4) == 0;
    out->shown = mir_format("%s://%s:%s", scheme, host, port ? port : port_of_scheme(scheme));
    mir_wipe(whole, strlen(whole));
    return true;
}

/* "http://USER:PASS@HOST:PORT", "HOST:PORT". What is neither is kept as a fault, to be told when
 * the proxy is needed. */
static void read_proxy(const char *const names[], size_t count, struct http_proxy *out)
{
    const char *value = first_set(names, count, &out->variable);
    auto_free_secret char *text = NULL;
    auto_url *url = curl_url();

    if (!value)
        return;
    if (!url)
        abort();
    text = mir_format("%s%s", strstr(value, "://") ? "" : "http://", value);
    out->is_bad = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
                  !spell_proxy(url, out);
}

static void release_proxy(struct http_proxy *proxy)
{
    mir_free_secret(proxy->url);
    free(proxy->shown);
}

/* ---- NO_PROXY ------------------------------------------------------------------------------ */

/* An address without its brackets. False: a name. */
static bool read_address(struct mir_span text, struct address *out)
{
    char word[INET6_ADDRSTRLEN] = "";
    struct in_addr v4;

    if (text.len >= 2 && text.ptr[0] == '[' && mir_span_ends_with(text, "]"))
        text = mir_span(text.ptr + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof(word))
        return false;
    memcpy(word, text.ptr, text.len);
    if (inet_pton(AF_INET6, word, out->bytes) == 1)
        return true;
    if (inet_pton(AF_INET, word, &v4) != 1)
        return false;
    memset(out->bytes, 0, 10);
    memset(out->bytes + 10, 0xff, 2);
    memcpy(out->bytes + 12, &v4, 4);
    return true;
}

/* "10.0.0.0/8", "fd00::/8". */
static bool read_network(struct mir_span text, struct rule *out)
{
    bool is_v6;
    uint64_t bits;
    size_t at;

    if (!mir_span_find(text, '/', &at) || !read_address(mir_span_first(text, at), &out->address))
        return false;
    is_v6 = memchr(text.ptr, ':', at) != NULL;
    if (!mir_parse_u64(mir_span_from(text, at + 1), is_v6 ? 128 : 32, &bits))
        return false;
    out->kind = RULE_NETWORK;
    out->bits = (unsigned)bits + (is_v6 ? 0 : 96);
    return true;
}

/* Takes ":PORT" off the end, unless the colon belongs to an address. */
static struct mir_span take_port(struct mir_span text, struct rule *out)
{
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    size_t first;
    size_t last;

    if (!mir_span_find(text, ':', &first) || !mir_span_find_last(text, ':', &last))
        return text;
    if (bracketed ? text.ptr[last - 1] != ']' : first != last)
        return text;
    out->port = mir_strndup(text.ptr + last + 1, text.len - last - 1);
    return mir_span_first(text, last);
}

/* False: the word says nothing. */
static bool read_rule(struct mir_span text, struct rule *out)
{
    if (mir_span_is(text, "*")) {
        out->kind = RULE_ALL;
        return true;
    }
    if (read_network(text, out))
        return true;
    text = take_port(text, out);
    if (read_address(text, &out->address)) {
        out->kind = RULE_NETWORK;
        out->bits = 128;
        return true;
    }
    if (mir_span_starts_with(text, "*."))
        text = mir_span_from(text, 1);
    if (text.len == 0)
        return false;
    out->kind = text.ptr[0] == '.' ? RULE_BELOW : RULE_AND_BELOW;
    out->suffix = mir_format("%s%.*s", out->kind == RULE_BELOW ? "" : ".", MIR_SPAN_ARG(text));
    return true;
}

static void release_rule(struct rule *rule)
{
    free(rule->suffix);
    free(rule->port);
}

static void read_rules(struct http_proxies *proxies)
{
    static const char *const names[] = {"NO_PROXY", "no_proxy"};
    const char *name;
    struct mir_span rest = mir_span_of(first_set(names, 2, &name));
    struct mir_span word;

    while (proxies->rule_count < NO_PROXY_RULES_MAX && mir_span_next(&rest, ',', &word)) {
        struct rule rule = {.kind = RULE_ALL};

        if (!read_rule(mir_span_trim(word), &rule)) {
            release_rule(&rule);
            continue;
        }
        mir_grow(&proxies->rules, proxies->rule_count, &proxies->rule_capacity,
                 sizeof(*proxies->rules));
        proxies->rules[proxies->rule_count++] = rule;
    }
}

/* ---- asking -------------------------------------------------------------------------------- */

static bool same_bits(const struct address *a, const struct address *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;

    if (memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_below(const char *host, const char *suffix)
{
    size_t host_len = strlen(host);
    size_t len = strlen(suffix);

    return host_len > len && strcasecmp(host + host_len - len, suffix) == 0;
}

static bool rule_fits(const struct rule *rule, const struct http_origin *origin,
                      const struct address *address)
{
    if (rule->port && strcmp(rule->port, origin->port) != 0)
        return false;
    switch (rule->kind) {
    case RULE_ALL:
        return true;
    case RULE_NETWORK:
        return address && same_bits(address, &rule->address, rule->bits);
    case RULE_BELOW:
        return !address && is_below(origin->host, rule->suffix);
    case RULE_AND_BELOW:
        return !address && (is_below(origin->host, rule->suffix) ||
                            strcasecmp(origin->host, rule->suffix + 1) == 0);
    }
    return false;
}

static bool is_excepted(const struct http_proxies *proxies, const struct http_origin *origin)
{
    struct address address;
    bool is_address = read_address(mir_span_of(origin->host), &address);

    for (size_t i = 0; i < proxies->rule_count; i++) {
        if (rule_fits(&proxies->rules[i], origin, is_address ? &address : NULL))
            return true;
    }
    return false;
}

const struct http_proxy *http_proxy_for(const struct http_proxies *proxies, const char *url)
{
    auto_origin origin = {0};
    const struct http_proxy *proxy;

    if (!http_origin_of(url, &origin) || http_host_is_loopback(mir_span_of(origin.host)))
        return NULL;
    proxy = origin.https ? &proxies->tls : &proxies->plain;
    return proxy->variable && !is_excepted(proxies, &origin) ? proxy : NULL;
}

struct http_proxies *http_proxies_new(void)
{
    static const char *const plain[] = {"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"};
    static const char *const tls[] = {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"};
    struct http_proxies *proxies = mir_alloc(sizeof(*proxies));
    size_t skip = getenv("REQUEST_METHOD") ? 1 : 0;

    read_proxy(plain + skip, 4 - skip, &proxies->plain);
    read_proxy(tls, 4, &proxies->tls);
    read_rules(proxies);
    return proxies;
}

void http_proxies_free(struct http_proxies *proxies)
{
    if (!proxies)
        return;
    release_proxy(&proxies->plain);
    release_proxy(&proxies->tls);
    for (size_t i = 0; i < proxies->rule_count; i++)
        release_rule(&proxies->rules[i]);
    free(proxies->rules);
    free(proxies);
}
