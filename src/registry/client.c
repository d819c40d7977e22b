/*
 * The client of one side and the session of one worker: made, counted, released.
 *
 * Invariant: what a client holds is fixed when reg_client_new() returns, except the list of hosts
 * and the tokens, which have locks of their own.
 */
#include "registry/registry_priv.h"

#include "image/ref.h"

bool reg_client_new(const struct reg_options *options, struct reg_client **out,
                    struct mir_error *err)
{
    struct reg_client *client;
    struct reg_auth *auth = NULL;

    if (options->creds && options->no_creds)
        return mir_fail(err, MIR_E_USAGE, "credentials and no credentials exclude each other");
    if (!reg_auth_load(options, &auth, err))
        return false;
    client = mir_alloc(sizeof(*client));
    client->options = *options;
    if (!client->options.clock)
        client->options.clock = mir_clock_real();
    client->auth = auth;
    client->tokens = reg_tokens_new();
    client->http =
        http_client_new(&(struct http_options){.user_agent = options->user_agent,
                                               .retry_times = options->retry_times,
                                               .stall_timeout_ms = options->stall_timeout_ms,
                                               .limit_rate = options->limit_rate,
                                               .clock = options->clock,
                                               .cancel = options->cancel,
                                               .sink = options->sink});
    (void)pthread_mutex_init(&client->lock, NULL);
    *out = client;
    return true;
}

void reg_client_free(struct reg_client *client)
{
    if (!client)
        return;
    while (client->hosts) {
        struct reg_host *host = client->hosts;

        client->hosts = host->next;
        reg_host_free(host);
    }
    (void)pthread_mutex_destroy(&client->lock);
    reg_tokens_free(client->tokens);
    reg_auth_free(client->auth);
    http_client_free(client->http);
    free(client);
}

uint64_t reg_client_requests(const struct reg_client *client)
{
    return http_client_requests(client->http);
}

struct reg_session *reg_session_new(struct reg_client *client)
{
    struct reg_session *session = mir_alloc(sizeof(*session));

    session->client = client;
    session->conn = http_conn_new(client->http);
    return session;
}

void reg_session_free(struct reg_session *session)
{
    if (!session)
        return;
    http_conn_free(session->conn);
    free(session);
}

void reg_session_watch(struct reg_session *session, const struct mir_watch *watch)
{
    http_conn_watch(session->conn, watch);
}

bool reg_check_names(const struct reg_repo *repo, const char *reference, struct mir_error *err)
{
    struct img_digest digest;
    struct mir_error why = MIR_ERROR_INIT;

    if (!img_is_host(mir_span_of(repo->host)))
        return mir_fail(err, MIR_E_FORMAT, "\"%s\" is no host", repo->host);
    if (!img_is_repo(mir_span_of(repo->name)))
        return mir_fail(err, MIR_E_FORMAT, "\"%s\" is no repository name", repo->name);
    if (!reference || img_is_tag(mir_span_of(reference)) ||
        img_digest_parse(mir_span_of(reference), &digest, &why))
        return true;
    return mir_fail(err, MIR_E_FORMAT, "\"%s\" is neither a tag nor a digest", reference);
}
