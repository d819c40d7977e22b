/*
 * One authorised request to a registry: URL, scheme, authorization sent ahead where it is known
 * what the registry wants, and the answer to a 401. Everything public in src/registry goes through
 * here.
 *
 * Invariants: nothing is asked of a registry only to learn how to log in; the first 401 teaches it
 * for the host. A 401 from anywhere but the registry's own origin teaches nothing.
 */
#include "registry/registry_priv.h"

#include "base/base64.h"

#define ROUNDS_MAX     3 /* without, with a token, with a new token */
#define CHALLENGES_MAX 8 /* WWW-Authenticate headers that are read */
#define SCOPES_MAX     3

struct scopes {
    char *text[SCOPES_MAX];
    size_t count;
};

static void scopes_release(struct scopes *scopes)
{
    for (size_t i = 0; i < scopes->count; i++)
        free(scopes->text[i]);
}
#define auto_scopes __attribute__((cleanup(scopes_release))) struct scopes

void reg_prepared_release(struct reg_prepared *prepared)
{
    free(prepared->url);
    mir_free_secret(prepared->authorization);
    *prepared = (struct reg_prepared){0};
}

/* ---- authorization ------------------------------------------------------------------------- */

static void scopes_of(const struct reg_call *call, struct scopes *out)
{
    out->text[out->count++] = mir_format("repository:%s:%s", call->repo->name,
                                         call->access == REG_PUSH ? "pull,push" : "pull");
    if (call->mount_from && strcmp(call->mount_from, call->repo->name) != 0)
        out->text[out->count++] = mir_format("repository:%s:pull", call->mount_from);
}

/* A registry may want something else than what we would ask for. */
static void add_scope(struct scopes *scopes, const char *wanted)
{
    auto_free char *joined =
        mir_format("%s %s", scopes->text[0], scopes->count > 1 ? scopes->text[1] : "");

    if (!wanted || wanted[0] == '\0' || strcmp(wanted, scopes->text[0]) == 0 ||
        strcmp(wanted, joined) == 0)
        return;
    scopes->text[scopes->count++] = mir_strdup(wanted);
}

struct login {
    enum reg_login kind;
    char *realm;
    char *service;
};

static void login_release(struct login *login)
{
    free(login->realm);
    free(login->service);
}
#define auto_login __attribute__((cleanup(login_release))) struct login

static void login_of(struct reg_host *host, struct login *out)
{
    (void)pthread_mutex_lock(&host->lock);
    *out = (struct login){.kind = host->login,
                          .realm = mir_strdup(host->realm),
                          .service = mir_strdup(host->service)};
    (void)pthread_mutex_unlock(&host->lock);
}

static void remember(struct reg_host *host, const struct login *login)
{
    (void)pthread_mutex_lock(&host->lock);
    free(host->realm);
    free(host->service);
    host->login = login->kind;
    host->realm = mir_strdup(login->realm);
    host->service = mir_strdup(login->service);
    (void)pthread_mutex_unlock(&host->lock);
}

static void set_authorization(struct reg_prepared *prepared, char *value)
{
    mir_free_secret(prepared->authorization);
    prepared->authorization = value;
    prepared->request.authorization = value;
}

static void use_basic(struct reg_prepared *prepared, const struct reg_creds *creds)
{
    auto_free_secret char *pair = NULL;
    auto_free_secret char *code = NULL;

    if (!creds->found || !creds->user)
        return;
    pair = mir_format("%s:%s", creds->user, creds->password);
    code = mir_base64_encode(mir_span_of(pair));
    set_authorization(prepared, mir_format("Basic %s", code));
    prepared->fresh = true;
}

static bool use_token(struct reg_session *session, struct reg_prepared *prepared,
                      const struct login *login, const struct scopes *scopes,
                      const struct reg_creds *creds, const char *refused, struct mir_error *err)
{
    struct reg_token_ask ask = {.host = prepared->host,
                                .realm = login->realm,
                                .service = login->service,
                                .scopes = (const char *const *)scopes->text,
                                .scope_count = scopes->count,
                                .creds = creds,
                                .refused = refused};
    auto_free_secret char *token = NULL;
    bool fresh = false;

    if (!reg_token_get(session, &ask, &token, &fresh, err))
        return false;
    set_authorization(prepared, mir_format("Bearer %s", token));
    prepared->fresh = fresh;
    return true;
}

/* What is known to be wanted is sent ahead. */
static bool authorize_ahead(struct reg_session *session, const struct reg_call *call,
                            struct reg_prepared *prepared, struct mir_error *err)
{
    auto_login login = {0};
    auto_creds creds = {0};
    auto_scopes scopes = {0};

    login_of(prepared->host, &login);
    if (login.kind == REG_LOGIN_UNKNOWN)
        return true;
    if (!reg_auth_find(session->client->auth, call->repo->host, call->repo->name, &creds, err))
        return false;
    if (login.kind == REG_LOGIN_BASIC) {
        use_basic(prepared, &creds);
        return true;
    }
    scopes_of(call, &scopes);
    return use_token(session, prepared, &login, &scopes, &creds, NULL, err);
}

/* ---- preparing ----------------------------------------------------------------------------- */

static bool check_location(const struct reg_call *call, const char *base, struct mir_error *err)
{
    auto_free char *shown = http_url_redact(call->url);

    if (!http_url_is_https(base) || http_url_is_https(call->url))
        return true;
    (void)mir_fail(err, MIR_E_PROTOCOL, "%s leads from https to http (%s), which is not followed",
                   call->repo->host, shown);
    return mir_hint(err, "the proxy in front of the registry has to pass X-Forwarded-Proto on");
}

bool reg_call_prepare(struct reg_session *session, const struct reg_call *call,
                      struct reg_prepared *out, struct mir_error *err)
{
    auto_free char *base = NULL;
    const char *scheme = NULL;

    *out = (struct reg_prepared){0};
    if (!reg_host_get(session->client, call->repo->host, call->repo->insecure, &out->host, err))
        return false;
    if (!reg_host_scheme(session, out->host, &scheme, err))
        return reg_tls_hint(out->host, err);
    base = mir_format("%s://%s/v2/%s/", scheme, out->host->endpoint, call->repo->name);
    if (call->url && !check_location(call, base, err))
        return false;
    out->url = call->url ? mir_strdup(call->url) : mir_format("%s%s", base, call->path);
    out->home = http_url_same_origin(base, out->url);
    out->request = (struct http_request){.method = call->method,
                                         .url = out->url,
                                         .headers = call->headers,
                                         .header_count = call->header_count,
                                         .source = call->source,
                                         .source_len = call->source_len,
                                         .tls = out->home ? out->host->tls : out->host->away_tls,
                                         .away_tls = out->host->away_tls,
                                         .sink = call->sink,
                                         .offset = call->offset,
                                         .has_size = call->has_size,
                                         .size = call->size,
                                         .body_max = call->body_max,
                                         .once = call->once};
    return !out->home || authorize_ahead(session, call, out, err);
}

/* ---- 401 ----------------------------------------------------------------------------------- */

static void read_challenges(struct reg_session *session, const struct http_response *response,
                            struct reg_challenge *out)
{
    for (size_t i = 0; i < CHALLENGES_MAX; i++) {
        const char *text = http_response_header_at(response, "WWW-Authenticate", i);
        struct mir_error err = MIR_ERROR_INIT;

        if (!text)
            return;
        /* What could be read of a faulty one still counts; without any the 401 stands. */
        if (!reg_challenge_parse(mir_span_of(text), out, &err))
            mir_log(session->client->options.sink, MIR_LEVEL_DEBUG, "%s", err.text);
    }
}

static bool without_challenge(const struct reg_prepared *prepared, struct mir_error *err)
{
    auto_free char *shown = http_url_redact(prepared->url);

    (void)mir_fail(err, MIR_E_AUTH, "%s %s: 401 Unauthorized, and no word on how to log in",
                   http_method_name(prepared->request.method), shown);
    return mir_hint(err, "is %s a registry, and not something in front of it?",
                    prepared->host->name);
}

static bool answer_basic(struct reg_prepared *prepared, const struct reg_creds *creds, bool *again)
{
    struct login login = {.kind = REG_LOGIN_BASIC};

    *again = creds->found && creds->user && !prepared->fresh;
    remember(prepared->host, &login);
    if (*again)
        use_basic(prepared, creds);
    return true;
}

static bool answer_bearer(struct reg_session *session, const struct reg_call *call,
                          struct reg_prepared *prepared, const struct http_response *response,
                          const struct reg_challenge *challenge, const struct reg_creds *creds,
                          bool *again, struct mir_error *err)
{
    auto_login login = {.kind = REG_LOGIN_BEARER, .service = mir_strdup(challenge->service)};
    auto_scopes scopes = {0};
    auto_free_secret char *refused = NULL;
    const char *sent = prepared->authorization;

    if (sent && mir_starts_with(sent, "Bearer "))
        refused = mir_strdup(sent + strlen("Bearer "));
    if (refused && prepared->fresh) {
        *again = false;
        return true;
    }
    if (!http_url_resolve(response->url, challenge->realm, &login.realm, err))
        return mir_context(err, "realm");
    remember(prepared->host, &login);
    scopes_of(call, &scopes);
    add_scope(&scopes, challenge->scope);
    *again = true;
    return use_token(session, prepared, &login, &scopes, creds, refused, err);
}

bool reg_call_answer_401(struct reg_session *session, const struct reg_call *call,
                         struct reg_prepared *prepared, const struct http_response *response,
                         bool *again, struct mir_error *err)
{
    auto_challenge challenge = {0};
    auto_creds creds = {0};

    *again = false;
    if (!prepared->home || !http_url_same_origin(prepared->url, response->url))
        return true;
    read_challenges(session, response, &challenge);
    if (!reg_auth_find(session->client->auth, call->repo->host, call->repo->name, &creds, err))
        return false;
    if (challenge.has_bearer && challenge.realm)
        return answer_bearer(session, call, prepared, response, &challenge, &creds, again, err);
    if (challenge.has_basic)
        return answer_basic(prepared, &creds, again);
    return without_challenge(prepared, err);
}

/* ---- sending ------------------------------------------------------------------------------- */

bool reg_call_send(struct reg_session *session, const struct reg_call *call,
                   struct http_response *response, struct mir_error *err)
{
    auto_prepared prepared = {0};

    if (!reg_call_prepare(session, call, &prepared, err))
        return false;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        bool again = false;

        if (!http_send(session->conn, &prepared.request, response, err))
            return reg_tls_hint(prepared.host, err);
        if (response->status != 401)
            return true;
        /* What was good for a part of the blob has run out since: go on where the sink stands. */
        if (response->reached > prepared.request.offset) {
            prepared.request.offset = response->reached;
            prepared.fresh = false;
            round = 0;
        }
        if (!reg_call_answer_401(session, call, &prepared, response, &again, err))
            return false;
        if (!again)
            return true;
    }
    return true;
}
