/*
 * What is known of one host: where its requests really go, its TLS settings, whether it is spoken
 * to with TLS, and how it wants clients to log in. Found out once, shared by all threads.
 *
 * Invariant: the lock is held for a few lines only; the one thread that asks the network has put
 * the scheme in state ASKING, and leaves that state whatever happens.
 */
#include "registry/registry_priv.h"

#include "image/ref.h"

/* Where references and endpoints differ. */
static const char *endpoint_of(const char *name)
{
    if (strcmp(name, "docker.io") == 0 || strcmp(name, "index.docker.io") == 0)
        return "registry-1.docker.io";
    return name;
}

static bool host_new(struct reg_client *client, const char *name, bool insecure,
                     struct reg_host **out, struct mir_error *err)
{
    struct reg_host *host;
    struct http_tls *tls = NULL;
    struct http_tls *away = NULL;
    enum reg_tls mode = client->options.tls;
    bool careless = mode == REG_TLS_OFF || insecure;
    /* What is loopback's habit does not hold for where it redirects to. */
    bool relaxed =
        careless || (mode == REG_TLS_DEFAULT && http_host_is_loopback(mir_span_of(name)));

    if (!reg_certs_load(client, name, !relaxed, !careless, &tls, &away, err))
        return false;
    host = mir_alloc(sizeof(*host));
    host->name = mir_strdup(name);
    host->insecure = insecure;
    host->endpoint = mir_strdup(endpoint_of(name));
    host->tls = tls;
    host->away_tls = away;
    host->has_certs = reg_certs_exist(client, name);
    host->may_be_plain = relaxed;
    host->scheme = relaxed ? REG_SCHEME_UNKNOWN : REG_SCHEME_HTTPS;
    (void)pthread_mutex_init(&host->lock, NULL);
    (void)pthread_cond_init(&host->changed, NULL);
    *out = host;
    return true;
}

void reg_host_free(struct reg_host *host)
{
    if (!host)
        return;
    (void)pthread_cond_destroy(&host->changed);
    (void)pthread_mutex_destroy(&host->lock);
    http_tls_free(host->tls);
    http_tls_free(host->away_tls);
    free(host->name);
    free(host->endpoint);
    free(host->realm);
    free(host->service);
    for (size_t i = 0; i < host->no_mount_count; i++)
        free(host->no_mounts[i]);
    free(host->no_mounts);
    free(host);
}

static struct reg_host *find_locked(struct reg_client *client, const char *name, bool insecure)
{
    for (struct reg_host *host = client->hosts; host; host = host->next) {
        if (host->insecure == insecure && strcmp(host->name, name) == 0)
            return host;
    }
    return NULL;
}

bool reg_host_get(struct reg_client *client, const char *name, bool insecure, struct reg_host **out,
                  struct mir_error *err)
{
    struct reg_host *made = NULL;
    struct reg_host *host;

    /* What the user says on the command line is the last word. */
    insecure =
        insecure && (client->options.tls == REG_TLS_DEFAULT || client->options.tls == REG_TLS_NODE);
    (void)pthread_mutex_lock(&client->lock);
    host = find_locked(client, name, insecure);
    (void)pthread_mutex_unlock(&client->lock);
    if (!host) {
        if (!host_new(client, name, insecure, &made, err)) {
            (void)mir_context(err, "TLS settings for %s", name);
            return false;
        }
        (void)pthread_mutex_lock(&client->lock);
        host = find_locked(client, name, insecure);
        if (!host) {
            host = mir_steal(&made);
            host->next = client->hosts;
            client->hosts = host;
        }
        (void)pthread_mutex_unlock(&client->lock);
        reg_host_free(made); /* another thread was faster */
    }
    *out = host;
    return true;
}

bool reg_url_tls(struct reg_session *session, const char *url, bool insecure,
                 struct http_request *request, struct mir_error *err)
{
    auto_free char *name = http_url_host(url);
    auto_free char *shown = http_url_redact(url);
    struct reg_host *host = NULL;

    if (!name || !img_is_host(mir_span_of(name)))
        return mir_fail(err, MIR_E_PROTOCOL, "%s names no host", shown);
    if (!reg_host_get(session->client, name, insecure, &host, err))
        return false;
    request->tls = host->tls;
    request->away_tls = host->away_tls;
    return true;
}

bool reg_client_is_relaxed(struct reg_client *client, const char *name)
{
    bool relaxed = false;

    (void)pthread_mutex_lock(&client->lock);
    for (const struct reg_host *host = client->hosts; host; host = host->next)
        relaxed = relaxed || (host->may_be_plain && strcmp(host->name, name) == 0);
    (void)pthread_mutex_unlock(&client->lock);
    return relaxed;
}

/* ---- https or http ------------------------------------------------------------------------- */

static bool has_port(const char *endpoint)
{
    const char *bracket = strrchr(endpoint, ']');

    return strchr(bracket ? bracket : endpoint, ':') != NULL;
}

static bool ask_network(struct reg_session *session, const struct reg_host *host, bool *https,
                        struct mir_error *err)
{
    auto_free char *url = mir_format("https://%s/v2/", host->endpoint);
    struct mir_error trouble = MIR_ERROR_INIT;

    if (!http_probe_tls(session->conn, url, host->tls, https, &trouble)) {
        /* Nobody at port 443 says nothing about port 80; and many a proxy allows tunnels to port
         * 443 alone, but plain requests to any. */
        if ((trouble.code == MIR_E_NETWORK && !has_port(host->endpoint)) ||
            trouble.code == MIR_E_PROTOCOL) {
            *https = false;
            return true;
        }
        *err = trouble;
        return false;
    }
    return true;
}

/* trouble: why it is FAILED, else NULL. */
static void set_scheme(struct reg_host *host, enum reg_scheme_state state,
                       const struct mir_error *trouble)
{
    (void)pthread_mutex_lock(&host->lock);
    host->scheme = state;
    if (trouble)
        host->scheme_error = *trouble;
    (void)pthread_cond_broadcast(&host->changed);
    (void)pthread_mutex_unlock(&host->lock);
}

/* The state, after any other thread that is asking has finished. UNKNOWN: it is ours to ask, and
 * the state is ASKING from now on. */
static enum reg_scheme_state claim_scheme(struct reg_host *host)
{
    enum reg_scheme_state state;

    (void)pthread_mutex_lock(&host->lock);
    while (host->scheme == REG_SCHEME_ASKING)
        (void)pthread_cond_wait(&host->changed, &host->lock);
    state = host->scheme;
    if (state == REG_SCHEME_UNKNOWN)
        host->scheme = REG_SCHEME_ASKING;
    (void)pthread_mutex_unlock(&host->lock);
    return state;
}

/* The failure of one is that of all: a host that takes connections and says nothing costs its
 * timeouts once, not once for each image. */
static bool find_scheme(struct reg_session *session, struct reg_host *host,
                        enum reg_scheme_state *state, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;
    bool https = false;

    if (ask_network(session, host, &https, &trouble)) {
        *state = https ? REG_SCHEME_HTTPS : REG_SCHEME_HTTP;
        set_scheme(host, *state, NULL);
        mir_log(session->client->options.sink, MIR_LEVEL_DEBUG, "%s speaks %s", host->name,
                https ? "https" : "http");
        return true;
    }
    *err = trouble;
    if (trouble.code == MIR_E_CANCELLED)
        set_scheme(host, REG_SCHEME_UNKNOWN, NULL);
    else
        set_scheme(host, REG_SCHEME_FAILED, &trouble);
    return false;
}

bool reg_host_scheme(struct reg_session *session, struct reg_host *host, const char **scheme,
                     struct mir_error *err)
{
    enum reg_scheme_state state = claim_scheme(host);

    if (state == REG_SCHEME_UNKNOWN && !find_scheme(session, host, &state, err))
        return false;
    if (state == REG_SCHEME_FAILED) {
        *err = host->scheme_error;
        return false;
    }
    *scheme = state == REG_SCHEME_HTTPS ? "https" : "http";
    return true;
}
