/*
 * Process-wide set-up, and the two handles: what all threads of one side share, and what one
 * thread owns.
 *
 * Invariant: a client does not change after http_client_new(), except its atomic counter.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <signal.h>

#define CONNECTIONS_KEPT 16 /* live ones of a thread, over all hosts */

bool http_global_init(struct mir_error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return mir_fail(err, MIR_E_UNSUPPORTED, "libcurl cannot be initialised");
    (void)signal(SIGPIPE, SIG_IGN);
    return true;
}

void http_global_cleanup(void)
{
    curl_global_cleanup();
}

struct http_client *http_client_new(const struct http_options *options)
{
    struct http_client *client = mir_alloc(sizeof(*client));

    client->user_agent =
        mir_strdup(options->user_agent ? options->user_agent : "mirror/" MIRROR_VERSION);
    client->proxies = http_proxies_new();
    client->retry_times = options->retry_times;
    client->connect_timeout_ms =
        options->connect_timeout_ms > 0 ? options->connect_timeout_ms : HTTP_CONNECT_MS;
    client->stall_timeout_ms =
        options->stall_timeout_ms > 0 ? options->stall_timeout_ms : HTTP_STALL_MS;
    client->floor_rate = http_floor_rate(options->limit_rate);
    client->clock = options->clock ? options->clock : mir_clock_real();
    client->cancel = options->cancel;
    client->sink = options->sink;
    if (options->limit_rate > 0)
        client->rate = http_rate_new(options->limit_rate);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    free(client->user_agent);
    http_proxies_free(client->proxies);
    http_rate_free(client->rate);
    free(client);
}

uint64_t http_client_requests(const struct http_client *client)
{
    return atomic_load_explicit(&client->requests, memory_order_relaxed);
}

struct http_conn *http_conn_new(struct http_client *client)
{
    struct http_conn *conn = mir_alloc(sizeof(*conn));

    conn->client = client;
    conn->multi = curl_multi_init();
    conn->easy = curl_easy_init();
    /* Only memory can be missing here, and that ends the program as in mir_alloc(). */
    if (!conn->multi || !conn->easy)
        abort();
    (void)curl_multi_setopt(conn->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return conn;
}

void http_conn_free(struct http_conn *conn)
{
    if (!conn)
        return;
    curl_easy_cleanup(conn->easy);
    curl_easy_cleanup(conn->second);
    (void)curl_multi_cleanup(conn->multi);
    free(conn);
}

void http_conn_watch(struct http_conn *conn, const struct mir_watch *watch)
{
    conn->watch = watch ? *watch : (struct mir_watch){0};
}

const char *http_method_name(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
        return "GET";
    case HTTP_HEAD:
        return "HEAD";
    case HTTP_POST:
        return "POST";
    case HTTP_PUT:
        return "PUT";
    case HTTP_DELETE:
        return "DELETE";
    }
    return "?";
}
