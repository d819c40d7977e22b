/*
 * Who is at the other end: the certificates a server shows, for the words of an error. Asked only
 * after its certificate was refused, because libcurl keeps nothing of a chain that it refused.
 *
 * Invariant: one handshake, unverified, without a client certificate; no request is sent, so there
 * is nothing on this connection that anybody could want to read.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <strings.h>
#include <time.h>

#define LOOK_MS     (10 * 1000)
#define SUBJECT_MAX 120 /* bytes of a subject in an error */
#define HOSTS_MAX   160 /* of the hosts a certificate is for */

void http_peer_release(struct http_peer *peer)
{
    for (size_t i = 0; i < peer->count; i++) {
        free(peer->certs[i].subject);
        free(peer->certs[i].issuer);
        free(peer->certs[i].names);
    }
    *peer = (struct http_peer){0};
}

/* ---- reading libcurl's list ---------------------------------------------------------------- */

/* A stranger's text, harmless to show. */
static char *clean(const char *text, size_t max)
{
    struct mir_buf out;

    mir_buf_init(&out, max + 8);
    for (; *text && out.len < max; text++)
        mir_buf_char(&out, *text >= 0x20 && *text < 0x7f ? *text : '?');
    mir_buf_text(&out, *text ? "..." : "");
    return mir_buf_take(&out);
}

static char *subject_of(const char *text)
{
    return clean(text, SUBJECT_MAX);
}

/* "DNS:a.example, IP Address:10.0.0.1" as "a.example, 10.0.0.1". */
static char *names_of(const char *text)
{
    struct mir_span rest = mir_span_of(text);
    struct mir_span word;
    struct mir_buf out;
    char *shown;

    mir_buf_init(&out, strlen(text) + 1);
    while (mir_span_next(&rest, ',', &word)) {
        size_t at;

        word = mir_span_trim(word);
        if (!mir_span_starts_with(word, "DNS:") && !mir_span_starts_with(word, "IP Address:"))
            continue;
        mir_buf_text(&out, out.len > 0 ? ", " : "");
        if (mir_span_find(word, ':', &at))
            mir_buf_add(&out, mir_span_from(word, at + 1));
    }
    shown = clean(out.ptr, HOSTS_MAX);
    mir_buf_release(&out);
    return shown;
}

/* "Nov  2 18:12:16 2026 GMT"; 0 for anything else. */
static int64_t time_of(const char *text)
{
    struct tm parts = {.tm_sec = 0};
    const char *end = strptime(text, "%b %d %H:%M:%S %Y", &parts);

    return end && strcmp(end, " GMT") == 0 ? (int64_t)timegm(&parts) : 0;
}

/* Is this line about that? Then its value is kept, unless there is one. */
static bool take_text(const char *line, const char *label, char *(*read)(const char *), char **out)
{
    if (!mir_starts_with(line, label))
        return false;
    if (!*out)
        *out = read(line + strlen(label));
    return true;
}

static bool take_time(const char *line, const char *label, int64_t *out)
{
    if (!mir_starts_with(line, label))
        return false;
    *out = time_of(line + strlen(label));
    return true;
}

static void read_certificate(const struct curl_slist *lines, struct http_certificate *cert)
{
    for (; lines; lines = lines->next) {
        const char *line = lines->data;

        (void)(take_text(line, "Subject:", subject_of, &cert->subject) ||
               take_text(line, "Issuer:", subject_of, &cert->issuer) ||
               take_text(line, "X509v3 Subject Alternative Name:", names_of, &cert->names) ||
               take_time(line, "Start date:", &cert->from) ||
               take_time(line, "Expire date:", &cert->until));
    }
}

static void read_chain(CURL *easy, struct http_peer *out)
{
    const struct curl_certinfo *info = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info)
        return;
    for (int i = 0; i < info->num_of_certs && out->count < HTTP_PEER_CERTS_MAX; i++)
        read_certificate(info->certinfo[i], &out->certs[out->count++]);
}

/* ---- asking -------------------------------------------------------------------------------- */

static int on_progress(void *ctx, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total,
                       curl_off_t ul)
{
    const struct http_client *client = ctx;

    (void)dl_total, (void)dl, (void)ul_total, (void)ul;
    return mir_is_cancelled(client->cancel);
}

bool http_peer_look(struct http_client *client, const char *url, const struct http_proxy *proxy,
                    struct http_peer *out)
{
    static const struct http_tls careless = {.verify = false};
    CURL *easy = curl_easy_init();
    unsigned bad;

    *out = (struct http_peer){0};
    if (!easy)
        abort();
    bad = http_handle_set(easy, client, url, &careless, false, proxy);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)LOOK_MS);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, client);
    if (!bad && curl_easy_perform(easy) == CURLE_OK)
        read_chain(easy, out);
    curl_easy_cleanup(easy);
    return out->count > 0;
}
