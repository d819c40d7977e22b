/*
 * Who is at the other end, for the words of an error: the certificates a server shows, and why it
 * does not like ours. Asked only after something has failed, because libcurl keeps nothing of a
 * chain that it refused, and because TLS 1.3 tells a client after the handshake what is wrong with
 * its certificate: by then our request may have met a closed connection, and nobody read the alert.
 *
 * Invariant: one more handshake; no request is sent, so there is nothing on this connection that
 * anybody could want to read. Strangers are not shown our certificate.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <poll.h>
#include <stdio.h>
#include <time.h>

#define ALERT_MS    500 /* an alert that is to come follows the handshake at once */
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

/* The settings of both: a handshake and no more, bounded, ended by the user. */
static unsigned set_look(CURL *easy, struct http_client *client)
{
    unsigned bad = 0;

    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)LOOK_MS);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    return bad | (unsigned)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, client);
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
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    bad |= set_look(easy, client);
    if (!bad && curl_easy_perform(easy) == CURLE_OK)
        read_chain(easy, out);
    curl_easy_cleanup(easy);
    return out->count > 0;
}

/* Wait for what the server says unasked. An error is an alert, or the end of the connection. */
static void await_alert(CURL *easy)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    CURLcode code = CURLE_AGAIN;

    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
        return;
    /* Tickets for later sessions may come first; they are nothing to read. */
    for (int i = 0; i < 4 && code == CURLE_AGAIN; i++) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        char byte;
        size_t got;

        if (poll(&one, 1, ALERT_MS) <= 0)
            return;
        code = curl_easy_recv(easy, &byte, 1, &got);
    }
}

/* libcurl keeps the first words of a failure, and they can be about the connection that is gone;
 * here are all of them. */
static int on_words(CURL *easy, curl_infotype kind, char *data, size_t len, void *ctx)
{
    auto_free char *line = NULL;
    char *text = ctx;

    (void)easy;
    if (kind != CURLINFO_TEXT || text[0] != '\0')
        return 0;
    line = mir_strndup(data, len);
    line[strcspn(line, "\n")] = '\0';
    if (http_is_client_alert(line))
        (void)snprintf(text, CURL_ERROR_SIZE, "%s", line);
    return 0;
}

bool http_peer_alert(const struct http_try *t, char text[CURL_ERROR_SIZE])
{
    CURL *easy = curl_easy_init();
    unsigned bad;

    text[0] = '\0';
    if (!easy)
        abort();
    bad = http_handle_set(easy, t->client, t->response->url, t->tls, t->shows_client, t->proxy);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_words);
    bad |= (unsigned)curl_easy_setopt(easy, CURLOPT_DEBUGDATA, text);
    bad |= set_look(easy, t->client);
    if (!bad && curl_easy_perform(easy) == CURLE_OK)
        await_alert(easy);
    curl_easy_cleanup(easy);
    return text[0] != '\0';
}
