/*
 * Bearer tokens: fetched from the realm a challenge names, kept until shortly before they expire,
 * shared by all threads. Called by call.c.
 *
 * Invariants: for one (realm, service, scopes, user) one request is under way at a time, the others
 * wait for its result; no lock is held while the network is asked; a password that belongs to a
 * registry reached over https never goes to a realm without TLS.
 * Rule: Docker Registry token authentication specification; OAuth2 form of the same for identity
 * tokens.
 */
#include "registry/registry_priv.h"

#include <inttypes.h>

#include "base/base64.h"
#include "base/tree.h"

#define TOKEN_LIFE_MS     (60 * 1000) /* when the realm does not say */
#define TOKEN_LIFE_MAX_MS (24 * 3600 * 1000)
#define TOKEN_SKEW_MS     (10 * 1000) /* at most; a quarter of short lives */
#define TOKEN_ASK_MAX     (32u << 10) /* bytes of a request's URL or form */

struct token {
    char *key;
    char *text;         /* secret; NULL: none yet */
    int64_t expires_ms; /* with the skew taken off */
    bool fetching;
    unsigned flights; /* fetches ended so far */
    unsigned waiters;
    struct mir_error failure; /* of the last flight; code MIR_OK if it succeeded */
    uint64_t used;
    struct token *next;
};

struct reg_tokens {
    pthread_mutex_t lock;
    pthread_cond_t landed;
    struct token *first;
    size_t count;
    uint64_t uses;
};

struct reg_tokens *reg_tokens_new(void)
{
    struct reg_tokens *tokens = mir_alloc(sizeof(*tokens));

    (void)pthread_mutex_init(&tokens->lock, NULL);
    (void)pthread_cond_init(&tokens->landed, NULL);
    return tokens;
}

static void token_free(struct token *token)
{
    mir_free_secret(token->text);
    free(token->key);
    free(token);
}

void reg_tokens_free(struct reg_tokens *tokens)
{
    if (!tokens)
        return;
    while (tokens->first) {
        struct token *token = tokens->first;

        tokens->first = token->next;
        token_free(token);
    }
    (void)pthread_cond_destroy(&tokens->landed);
    (void)pthread_mutex_destroy(&tokens->lock);
    free(tokens);
}

/* ---- asking the realm ---------------------------------------------------------------------- */

static void add_field(struct mir_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    if (out->len > 0 && !strchr("?&", out->ptr[out->len - 1]))
        mir_buf_char(out, '&');
    mir_buf_printf(out, "%s=", name);
    http_url_escape(out, mir_span_of(value));
}

static char *basic_header(const struct reg_creds *creds)
{
    auto_free_secret char *pair = mir_format("%s:%s", creds->user, creds->password);
    auto_free_secret char *code = mir_base64_encode(mir_span_of(pair));

    return mir_format("Basic %s", code);
}

/* The URL of a GET: what the realm has as query stays. */
static bool ask_url(const struct reg_token_ask *ask, struct mir_buf *url, struct mir_error *err)
{
    mir_buf_init(url, TOKEN_ASK_MAX);
    mir_buf_text(url, ask->realm);
    mir_buf_char(url, strchr(ask->realm, '?') ? '&' : '?');
    add_field(url, "service", ask->service);
    for (size_t i = 0; i < ask->scope_count; i++)
        add_field(url, "scope", ask->scopes[i]);
    if (ask->creds->found && ask->creds->user && !ask->creds->identity_token)
        add_field(url, "account", ask->creds->user);
    return mir_buf_check(url, "the token request", err);
}

static bool ask_form(const struct reg_token_ask *ask, struct mir_buf *form, struct mir_error *err)
{
    auto_buf scopes;

    mir_buf_init(&scopes, TOKEN_ASK_MAX);
    for (size_t i = 0; i < ask->scope_count; i++)
        mir_buf_printf(&scopes, "%s%s", i > 0 ? " " : "", ask->scopes[i]);
    mir_buf_init(form, TOKEN_ASK_MAX);
    add_field(form, "grant_type", "refresh_token");
    add_field(form, "service", ask->service);
    add_field(form, "scope", scopes.ptr);
    add_field(form, "client_id", "mirror");
    add_field(form, "refresh_token", ask->creds->identity_token);
    return mir_buf_check(form, "the token request", err);
}

static bool form_read(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    const struct mir_buf *form = ctx;

    (void)err;
    memcpy(data, form->ptr + offset, len);
    return true;
}

static bool send_get(struct reg_session *session, const struct reg_token_ask *ask,
                     const struct http_request *request, struct http_response *response,
                     struct mir_error *err)
{
    auto_buf url = {0};
    auto_free_secret char *basic =
        ask->creds->found && ask->creds->user ? basic_header(ask->creds) : NULL;
    struct http_request get = *request;

    if (!ask_url(ask, &url, err))
        return false;
    get.method = HTTP_GET;
    get.url = url.ptr;
    get.authorization = basic;
    return http_send(session->conn, &get, response, err);
}

static bool send_post(struct reg_session *session, const struct reg_token_ask *ask,
                      const struct http_request *request, struct http_response *response,
                      struct mir_error *err)
{
    auto_buf form = {0};
    const struct http_header type = {"Content-Type", "application/x-www-form-urlencoded"};
    struct http_source source = {.read = form_read, .ctx = &form};
    struct http_request post = *request;
    bool ok = ask_form(ask, &form, err);

    post.method = HTTP_POST;
    post.url = ask->realm;
    post.headers = &type;
    post.header_count = 1;
    post.source = &source;
    post.source_len = form.len;
    post.home_only = true;
    ok = ok && http_send(session->conn, &post, response, err);
    mir_wipe(form.ptr, form.len);
    return ok;
}

static bool refuse_ask(const struct reg_token_ask *ask, const struct http_response *response,
                       struct mir_error *err)
{
    char message[REG_MESSAGE_TEXT_MAX];
    auto_free char *realm = http_url_redact(ask->realm);
    auto_free char *words = http_status_text(response->status);
    bool login = response->status == 401 || response->status == 403 || response->status == 400;
    enum mir_code code = login ? MIR_E_AUTH : MIR_E_PROTOCOL;

    (void)reg_message(mir_buf_span(&response->body), message);
    if (http_status_may_pass(response->status))
        code = response->status == 429 ? MIR_E_BUSY : MIR_E_SERVER;
    (void)mir_fail(err, code, "token from %s: %s%s%s", realm, words, message[0] ? ": " : "",
                   message);
    err->sys = response->status;
    if (login && ask->creds->found)
        return mir_hint(err, "the credentials of %s were refused: log in to %s again",
                        ask->creds->origin, ask->host->name);
    if (login)
        return mir_hint(err, "log in to %s (podman login %s), or name an auth file or credentials",
                        ask->host->name, ask->host->name);
    return false;
}

/* ---- reading the answer -------------------------------------------------------------------- */

static bool is_token_text(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
            return false;
    }
    return len > 0 && len <= REG_TOKEN_MAX;
}

static int64_t life_ms(const json_t *root)
{
    const json_t *value = json_object_get(root, "expires_in");
    double seconds = json_is_number(value) ? json_number_value(value) : 0;
    int64_t life = TOKEN_LIFE_MS;

    if (seconds > TOKEN_LIFE_MAX_MS / 1000.0)
        life = TOKEN_LIFE_MAX_MS;
    else if (seconds > 0)
        life = (int64_t)(seconds * 1000);
    return life - (life / 4 < TOKEN_SKEW_MS ? life / 4 : TOKEN_SKEW_MS);
}

static bool read_token(const struct reg_token_ask *ask, const struct http_response *response,
                       char **text, int64_t *life, struct mir_error *err)
{
    auto_free char *realm = http_url_redact(ask->realm);
    auto_json *root = NULL;
    const json_t *token;

    if (!mir_json_parse(mir_buf_span(&response->body), "token", &root, err)) {
        err->code = MIR_E_PROTOCOL;
        return mir_context(err, "token from %s", realm);
    }
    token = json_object_get(root, "token");
    if (json_string_length(token) == 0)
        token = json_object_get(root, "access_token");
    if (!json_is_string(token) || !is_token_text(json_string_value(token)))
        return mir_fail(err, MIR_E_PROTOCOL, "token from %s: the answer has no usable token",
                        realm);
    *text = mir_strdup(json_string_value(token));
    *life = life_ms(root);
    reg_wipe_json(token);
    return true;
}

static bool check_realm(const struct reg_token_ask *ask, bool registry_is_https,
                        struct mir_error *err)
{
    auto_free char *realm = http_url_redact(ask->realm);

    if (!ask->creds->found || !registry_is_https || http_url_is_https(ask->realm))
        return true;
    (void)mir_fail(err, MIR_E_AUTH,
                   "%s sends us to %s for a token, which is not https: the credentials stay here",
                   ask->host->name, realm);
    return mir_hint(err,
                    "ask whoever runs %s to offer its token service over https, or pull "
                    "without credentials",
                    ask->host->name);
}

static bool fetch(struct reg_session *session, const struct reg_token_ask *ask, char **text,
                  int64_t *life, struct mir_error *err)
{
    struct http_request request = {.body_max = REG_TOKEN_BODY_MAX};
    auto_response response = HTTP_RESPONSE_INIT;
    const char *scheme = NULL;
    bool ok;

    if (!reg_host_scheme(session, ask->host, &scheme, err) ||
        !check_realm(ask, strcmp(scheme, "https") == 0, err) ||
        !reg_url_tls(session, ask->realm, ask->host->insecure, &request, err))
        return false;
    if (ask->creds->identity_token)
        ok = send_post(session, ask, &request, &response, err);
    else
        ok = send_get(session, ask, &request, &response, err);
    if (!ok)
        return false;
    if (response.status != 200)
        return refuse_ask(ask, &response, err);
    ok = read_token(ask, &response, text, life, err);
    mir_wipe(response.body.ptr, response.body.len);
    return ok;
}

/* ---- the cache ----------------------------------------------------------------------------- */

static char *key_of(const struct reg_token_ask *ask)
{
    struct mir_buf key;

    mir_buf_init(&key, TOKEN_ASK_MAX);
    mir_buf_printf(&key, "%s\n%s\n%s", ask->realm, ask->service ? ask->service : "",
                   ask->creds->found && ask->creds->user ? ask->creds->user : "");
    for (size_t i = 0; i < ask->scope_count; i++)
        mir_buf_printf(&key, "\n%s", ask->scopes[i]);
    return mir_buf_take(&key);
}

/* Unlink the one that was not used for the longest time, if any may go. */
static void evict_locked(struct reg_tokens *tokens)
{
    struct token **oldest = NULL;
    struct token *gone;

    for (struct token **at = &tokens->first; *at; at = &(*at)->next) {
        if (!(*at)->fetching && (*at)->waiters == 0 && (!oldest || (*at)->used < (*oldest)->used))
            oldest = at;
    }
    if (!oldest)
        return;
    gone = *oldest;
    *oldest = gone->next;
    tokens->count--;
    token_free(gone);
}

static struct token *entry_locked(struct reg_tokens *tokens, const char *key)
{
    struct token *token = tokens->first;

    while (token && strcmp(token->key, key) != 0)
        token = token->next;
    if (!token) {
        if (tokens->count >= REG_TOKENS_KEPT)
            evict_locked(tokens);
        token = mir_alloc(sizeof(*token));
        token->key = mir_strdup(key);
        token->next = tokens->first;
        tokens->first = token;
        tokens->count++;
    }
    token->used = ++tokens->uses;
    return token;
}

static bool is_good(const struct token *token, const struct reg_token_ask *ask, int64_t now)
{
    return token->text && now < token->expires_ms &&
           (!ask->refused || strcmp(token->text, ask->refused) != 0);
}

/* Wait for a flight that another thread has begun. False with what it failed with. */
static bool await_locked(struct reg_tokens *tokens, struct token *token, struct mir_error *err)
{
    unsigned flight = token->flights;
    bool ok;

    token->waiters++;
    while (token->flights == flight)
        (void)pthread_cond_wait(&tokens->landed, &tokens->lock);
    token->waiters--;
    ok = token->failure.code == MIR_OK;
    if (!ok)
        *err = token->failure;
    return ok;
}

/* Under the lock: the token, or NULL and *ours says whether this thread has to fetch it now. */
static char *take_or_claim(struct reg_tokens *tokens, struct token *token,
                           const struct reg_token_ask *ask, int64_t now, bool *ours,
                           struct mir_error *err)
{
    *ours = false;
    while (token->fetching) {
        if (!await_locked(tokens, token, err))
            return NULL;
    }
    if (is_good(token, ask, now))
        return mir_strdup(token->text);
    token->fetching = true;
    *ours = true;
    return NULL;
}

/* text is taken; NULL with failure when the fetch did not succeed. */
static void land(struct reg_tokens *tokens, struct token *token, char *text, int64_t expires_ms,
                 const struct mir_error *failure)
{
    (void)pthread_mutex_lock(&tokens->lock);
    mir_free_secret(token->text);
    token->text = text;
    token->expires_ms = expires_ms;
    token->failure = *failure;
    token->fetching = false;
    token->flights++;
    (void)pthread_cond_broadcast(&tokens->landed);
    (void)pthread_mutex_unlock(&tokens->lock);
}

bool reg_token_get(struct reg_session *session, const struct reg_token_ask *ask, char **out,
                   bool *fresh, struct mir_error *err)
{
    struct reg_tokens *tokens = session->client->tokens;
    auto_free char *key = key_of(ask);
    int64_t now = mir_clock_now(session->client->options.clock);
    struct mir_error failure = MIR_ERROR_INIT;
    struct token *token;
    char *text;
    int64_t life = 0;
    bool ours = false;

    (void)pthread_mutex_lock(&tokens->lock);
    token = entry_locked(tokens, key);
    text = take_or_claim(tokens, token, ask, now, &ours, err);
    (void)pthread_mutex_unlock(&tokens->lock);
    *fresh = ours;
    if (!ours) {
        *out = text;
        return text != NULL;
    }
    if (!fetch(session, ask, &text, &life, &failure)) {
        land(tokens, token, NULL, 0, &failure);
        *err = failure;
        return false;
    }
    *out = mir_strdup(text);
    land(tokens, token, text, now + life, &failure);
    return true;
}
