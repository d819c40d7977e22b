/*
 * One authorised request to a registry: URL, scheme, authorization sent ahead where it is known
 * what the registry wants, and the answer to a 401. Everything public in src/registry goes through
 * here.
 *
 * Invariants: nothing is asked of a registry only to learn how to log in; the first 401 teaches it
 * for the host. A 401 from anywhere but the registry's own origin teaches nothing.
 */
#include "registry/registry_priv.h"

#include <stdint.h>

#include "base/base64.h"

#define ROUNDS_MAX 4 /* without, with a token, with a new token, with what it really wants */
#define SCOPES_MAX 8
#define BASIC      "Basic"     /* what prepared->asked is for it */
#define NEW_MS     (10 * 1000) /* a token that is refused later may well have worked first */

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
    free(prepared->asked);
    *prepared = (struct reg_prepared){0};
}

/* ---- authorization ------------------------------------------------------------------------- */

static void scopes_of(const struct reg_call *call, struct scopes *out)
{
    if (call->scope) {
        out->text[out->count++] = mir_strdup(call->scope);
        return;
    }
    out->text[out->count++] = mir_format("repository:%s:%s", call->repo->name,
                                         call->access == REG_PUSH ? "pull,push" : "pull");
    if (call->mount_from && strcmp(call->mount_from, call->repo->name) != 0)
        out->text[out->count++] = mir_format("repository:%s:pull", call->mount_from);
}

/* A registry may want something else than what we would ask for; what goes beyond it is added. */
static void add_wanted(struct scopes *scopes, const char *wanted)
{
    struct mir_span rest = mir_span_of(wanted);
    struct mir_span scope;

    while (scopes->count < SCOPES_MAX && mir_span_next(&rest, ' ', &scope)) {
        bool known = scope.len == 0;

        for (size_t i = 0; i < scopes->count && !known; i++)
            known = reg_scope_covers(mir_span_of(scopes->text[i]), scope);
        if (!known)
            scopes->text[scopes->count++] = mir_strndup(scope.ptr, scope.len);
    }
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
    if (!host->realm || !login->realm || strcmp(host->realm, login->realm) != 0)
        host->realm_posts = false;
    free(host->realm);
    free(host->service);
    host->login = login->kind;
    host->realm = mir_strdup(login->realm);
    host->service = mir_strdup(login->service);
    (void)pthread_mutex_unlock(&host->lock);
}

char *reg_basic(const struct reg_creds *creds)
{
    auto_free_secret char *pair =
        mir_format("%s:%s", creds->user, creds->password ? creds->password : "");
    auto_free_secret char *code = mir_base64_encode(mir_span_of(pair));

    return mir_format("Basic %s", code);
}

/* Both texts are taken. */
static void set_authorization(struct reg_prepared *prepared, char *value, char *asked)
{
    mir_free_secret(prepared->authorization);
    free(prepared->asked);
    prepared->authorization = value;
    prepared->asked = asked;
    prepared->request.authorization = value;
}

static void use_basic(struct reg_prepared *prepared, const struct reg_creds *creds)
{
    if (!creds->found || !creds->user)
        return;
    set_authorization(prepared, reg_basic(creds), mir_strdup(BASIC));
    prepared->new_until_ms = INT64_MAX;
    prepared->fresh = true;
}

/* Is there no use in asking for it again: the same was fetched for this very request, and refused
 * while it was new; or that happened to another worker? token: what was refused, or NULL. */
static bool was_refused(const struct reg_session *session, const struct reg_prepared *prepared,
                        const char *asked, const char *token)
{
    struct reg_tokens *tokens = session->client->tokens;
    int64_t now = mir_clock_now(session->client->options.clock);

    if (!token)
        return false;
    if (!prepared->fresh || !prepared->asked || strcmp(prepared->asked, asked) != 0 ||
        now >= prepared->new_until_ms)
        return reg_token_is_denied(tokens, asked, token, now);
    reg_token_deny(tokens, asked, token);
    return true;
}

/* *again stays false where the token that would be asked for is the one that was refused. */
static bool use_token(struct reg_session *session, struct reg_prepared *prepared,
                      const struct login *login, const struct scopes *scopes,
                      const struct reg_creds *creds, bool *again, struct mir_error *err)
{
    const char *sent = prepared->authorization;
    bool had_token = sent && mir_starts_with(sent, "Bearer ");
    struct reg_token_ask ask = {.host = prepared->host,
                                .realm = login->realm,
                                .service = login->service,
                                .scopes = (const char *const *)scopes->text,
                                .scope_count = scopes->count,
                                .creds = creds,
                                .refused = had_token ? sent + strlen("Bearer ") : NULL};
    struct reg_token token = {.text = NULL};
    char *asked = reg_token_key(&ask);

    *again = !was_refused(session, prepared, asked, ask.refused);
    if (!*again || !reg_token_get(session, &ask, &token, err)) {
        free(asked);
        return !*again;
    }
    set_authorization(prepared, mir_format("Bearer %s", token.text), asked);
    prepared->new_until_ms = mir_clock_now(session->client->options.clock) + NEW_MS;
    if (token.until_ms < prepared->new_until_ms)
        prepared->new_until_ms = token.until_ms;
    prepared->fresh = token.fresh;
    mir_free_secret(token.text);
    return true;
}

/* What is known to be wanted is sent ahead. */
static bool authorize_ahead(struct reg_session *session, const struct reg_call *call,
                            struct reg_prepared *prepared, struct mir_error *err)
{
    auto_login login = {0};
    auto_creds creds = {0};
    auto_scopes scopes = {0};
    bool again;

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
    return use_token(session, prepared, &login, &scopes, &creds, &again, err);
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
        return false;
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

static bool without_challenge(const struct reg_prepared *prepared, struct mir_error *err)
{
    auto_free char *shown = http_url_redact(prepared->url);

    (void)mir_fail(err, MIR_E_AUTH, "%s %s: 401 Unauthorized, and no word on how to log in",
                   http_method_name(prepared->request.method), shown);
    return mir_hint(err, "is %s a registry, and not something in front of it?",
                    prepared->host->name);
}

static void answer_basic(struct reg_prepared *prepared, const struct reg_creds *creds, bool *again)
{
    struct login login = {.kind = REG_LOGIN_BASIC};

    *again =
        creds->found && creds->user && !(prepared->asked && strcmp(prepared->asked, BASIC) == 0);
    remember(prepared->host, &login);
    if (*again)
        use_basic(prepared, creds);
}

static bool answer_bearer(struct reg_session *session, const struct reg_call *call,
                          struct reg_prepared *prepared, const struct http_response *response,
                          const struct reg_challenge *challenge, const struct reg_creds *creds,
                          bool *again, struct mir_error *err)
{
    auto_login login = {.kind = REG_LOGIN_BEARER, .service = mir_strdup(challenge->service)};
    auto_scopes scopes = {0};

    if (!http_url_resolve(response->url, challenge->realm, &login.realm, err))
        return mir_context(err, "realm");
    remember(prepared->host, &login);
    scopes_of(call, &scopes);
    add_wanted(&scopes, challenge->scope);
    return use_token(session, prepared, &login, &scopes, creds, again, err);
}

static bool over_limit(const struct reg_prepared *prepared, struct mir_error *err)
{
    auto_free char *shown = http_url_redact(prepared->url);

    err->code = MIR_E_AUTH;
    (void)mir_context(err, "%s %s: 401 Unauthorized", http_method_name(prepared->request.method),
                      shown);
    return mir_hint(err, "is %s a registry, and not something in front of it?",
                    prepared->host->name);
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
    if (!reg_challenges_read(response, session->client->options.sink, &challenge, err))
        return over_limit(prepared, err);
    if (!reg_auth_find(session->client->auth, call->repo->host, call->repo->name, &creds, err))
        return false;
    if (challenge.has_bearer && challenge.realm)
        return answer_bearer(session, call, prepared, response, &challenge, &creds, again, err);
    if (!challenge.has_basic)
        return without_challenge(prepared, err);
    answer_basic(prepared, &creds, again);
    return true;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* What was good for a part of the blob has run out since: the next round goes on where the sink
 * stands. Is that part large enough for the round not to count? */
static bool went_on(struct reg_prepared *prepared, const struct http_response *response)
{
    uint64_t moved = response->reached - prepared->request.offset;

    prepared->request.offset = response->reached;
    if (moved > 0)
        prepared->fresh = false;
    return moved >= REG_PROGRESS_BYTES;
}

static bool send_rounds(struct reg_session *session, const struct reg_call *call,
                        struct reg_prepared *prepared, struct http_response *response,
                        struct mir_error *err)
{
    bool again = true;

    for (int round = 0; again; round++) {
        if (!http_send(session->conn, &prepared->request, response, err))
            return false;
        if (response->status != 401 || round >= ROUNDS_MAX)
            return true;
        if (went_on(prepared, response))
            round = 0;
        if (!reg_call_answer_401(session, call, prepared, response, &again, err))
            return false;
    }
    return true;
}

bool reg_call_send(struct reg_session *session, const struct reg_call *call,
                   struct http_response *response, struct mir_error *err)
{
    auto_prepared prepared = {0};

    if (!reg_call_prepare(session, call, &prepared, err) ||
        !send_rounds(session, call, &prepared, response, err))
        return false;
    if (response->status >= 300)
        reg_scrub_authorization(response->body.ptr, response->body.len, prepared.authorization);
    return true;
}
