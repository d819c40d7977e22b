/*
 * One question for a token to the realm a challenge names: by GET with Basic, or by the OAuth2 POST
 * of the same service. Called by token.c, which sees to it that it is asked once for all threads.
 *
 * Which form: GET, as docker and podman ask, because every token service has it. An identity token
 * is a refresh token, for which there is only POST. A service that does not know GET (404, 405) is
 * sent user and password by POST, and from then on that way only.
 *
 * Invariants: a password that belongs to a registry reached over https never goes to a realm
 * without TLS; a body with a secret never follows a redirect to another origin; what the realm says
 * is never shown with a secret in it.
 * Rule: Docker Registry token authentication specification, and its OAuth2 form.
 */
#include "registry/registry_priv.h"

#include <time.h>

#include "base/tree.h"
#include "image/ref.h"

#define LIFE_MS     (60 * 1000) /* when the realm does not say */
#define LIFE_MAX_MS (24 * 3600 * 1000)
#define SKEW_MS     (10 * 1000) /* at most; a quarter of short lives */
#define ASK_MAX     (32u << 10) /* bytes of a request's URL or form */

/* ---- the question -------------------------------------------------------------------------- */

static void add_field(struct mir_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    if (out->len > 0 && !strchr("?&", out->ptr[out->len - 1]))
        mir_buf_char(out, '&');
    mir_buf_printf(out, "%s=", name);
    http_url_escape(out, mir_span_of(value));
}

/* The URL of a GET: what the realm has as query stays. */
static bool ask_url(const struct reg_token_ask *ask, struct mir_buf *url, struct mir_error *err)
{
    mir_buf_init(url, ASK_MAX);
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
    const struct reg_creds *creds = ask->creds;
    auto_buf scopes = {0};

    mir_buf_init(&scopes, ASK_MAX);
    for (size_t i = 0; i < ask->scope_count; i++)
        mir_buf_printf(&scopes, "%s%s", i > 0 ? " " : "", ask->scopes[i]);
    mir_buf_init(form, ASK_MAX);
    add_field(form, "grant_type", creds->identity_token ? "refresh_token" : "password");
    add_field(form, "service", ask->service);
    add_field(form, "scope", scopes.ptr);
    add_field(form, "client_id", "mirror");
    if (creds->identity_token) {
        add_field(form, "refresh_token", creds->identity_token);
    } else {
        add_field(form, "username", creds->user);
        add_field(form, "password", creds->password);
    }
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
        ask->creds->found && ask->creds->user ? reg_basic(ask->creds) : NULL;
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

/* ---- GET or POST --------------------------------------------------------------------------- */

static bool is_unknown_there(int status)
{
    return status == 404 || status == 405;
}

static bool has_password(const struct reg_creds *creds)
{
    return creds->found && creds->user && creds->password && !creds->identity_token;
}

static bool wants_post(struct reg_host *host)
{
    bool wants;

    (void)pthread_mutex_lock(&host->lock);
    wants = host->realm_posts;
    (void)pthread_mutex_unlock(&host->lock);
    return wants;
}

static void note_post(struct reg_host *host)
{
    (void)pthread_mutex_lock(&host->lock);
    host->realm_posts = true;
    (void)pthread_mutex_unlock(&host->lock);
}

static bool send_ask(struct reg_session *session, const struct reg_token_ask *ask,
                     const struct http_request *request, struct http_response *response,
                     struct mir_error *err)
{
    if (ask->creds->identity_token)
        return send_post(session, ask, request, response, err);
    if (!has_password(ask->creds))
        return send_get(session, ask, request, response, err);
    if (!wants_post(ask->host)) {
        if (!send_get(session, ask, request, response, err))
            return false;
        if (!is_unknown_there(response->status))
            return true;
    }
    if (!send_post(session, ask, request, response, err))
        return false;
    if (response->status == 200)
        note_post(ask->host);
    return true;
}

/* ---- refusals ------------------------------------------------------------------------------ */

static bool hint_refused(const struct reg_token_ask *ask, int status, struct mir_error *err)
{
    const char *name = ask->host->name;

    if (is_unknown_there(status) && ask->creds->identity_token)
        return mir_hint(err,
                        "this token service takes no identity tokens: log in to %s with user "
                        "and password",
                        name);
    if (is_unknown_there(status))
        return mir_hint(err, "%s names a token service that is not there: ask whoever runs it",
                        name);
    if (err->code != MIR_E_AUTH)
        return false;
    if (ask->creds->found)
        return mir_hint(err, "the credentials of %s were refused: log in to %s again",
                        ask->creds->origin, name);
    return mir_hint(err, "log in to %s (mirror login %s), or name an auth file or credentials",
                    name, name);
}

static bool refuse_ask(const struct reg_token_ask *ask, struct http_response *response,
                       struct mir_error *err)
{
    char message[REG_MESSAGE_TEXT_MAX];
    auto_free char *realm = http_url_redact(ask->realm);
    auto_free char *words = http_status_text(response->status);
    bool login = response->status == 401 || response->status == 403 || response->status == 400;
    enum mir_code code = login ? MIR_E_AUTH : MIR_E_PROTOCOL;

    reg_scrub_creds(response->body.ptr, response->body.len, ask->creds);
    (void)reg_message(mir_buf_span(&response->body), message);
    /* JSON may have spelt it otherwise. */
    reg_scrub_creds(message, strlen(message), ask->creds);
    if (http_status_may_pass(response->status))
        code = response->status == 429 ? MIR_E_BUSY : MIR_E_SERVER;
    (void)mir_fail(err, code, "token from %s: %s%s%s", realm, words, message[0] ? ": " : "",
                   message);
    err->sys = response->status;
    return hint_refused(ask, response->status, err);
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

/* "2026-01-31T12:00:00.5+01:00" as seconds since 1970; false for anything else (RFC 3339). */
static bool parse_moment(const char *text, int64_t *seconds)
{
    struct tm tm = {.tm_isdst = 0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int sign;

    if (!rest)
        return false;
    *seconds = (int64_t)timegm(&tm);
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (strcmp(rest, "Z") == 0)
        return true;
    sign = *rest == '-' ? 1 : -1;
    rest = *rest == '-' || *rest == '+' ? strptime(rest + 1, "%H:%M", &tm) : NULL;
    if (!rest || *rest != '\0')
        return false;
    *seconds += sign * (tm.tm_hour * 3600 + tm.tm_min * 60);
    return true;
}

/* How old the token was when it was sent, by the clock of the one who sent it: ours may be wrong.
 */
static int64_t age_ms(const json_t *root, const struct http_response *response)
{
    const char *text = json_string_value(json_object_get(root, "issued_at"));
    int64_t issued = 0;
    int64_t sent = 0;

    if (!parse_moment(text, &issued) || !http_response_date(response, &sent) || sent <= issued)
        return 0;
    return sent - issued > LIFE_MAX_MS / 1000 ? LIFE_MAX_MS : (sent - issued) * 1000;
}

/* For how long it is good from when it was asked for, the skew taken off. 0: for once. */
static int64_t life_ms(const json_t *root, const struct http_response *response)
{
    const json_t *value = json_object_get(root, "expires_in");
    double seconds = json_is_number(value) ? json_number_value(value) : 0;
    int64_t life = LIFE_MS;

    if (seconds > LIFE_MAX_MS / 1000.0)
        life = LIFE_MAX_MS;
    else if (seconds > 0)
        life = (int64_t)(seconds * 1000);
    life -= age_ms(root, response);
    if (life <= 0)
        return 0;
    return life - (life / 4 < SKEW_MS ? life / 4 : SKEW_MS);
}

static bool read_token(const struct reg_token_ask *ask, const struct http_response *response,
                       char **text, int64_t *life, struct mir_error *err)
{
    auto_free char *realm = http_url_redact(ask->realm);
    auto_json *root = NULL;
    struct mir_error why = MIR_ERROR_INIT; /* quotes the text, and there a token may be */
    const json_t *token;

    if (!mir_json_parse(mir_buf_span(&response->body), "token", &root, &why))
        return mir_fail(err, MIR_E_PROTOCOL, "token from %s: the answer is no valid JSON", realm);
    token = json_object_get(root, "token");
    if (json_string_length(token) == 0)
        token = json_object_get(root, "access_token");
    if (!json_is_string(token) || !is_token_text(json_string_value(token)))
        return mir_fail(err, MIR_E_PROTOCOL, "token from %s: the answer has no usable token",
                        realm);
    *text = mir_strdup(json_string_value(token));
    *life = life_ms(root, response);
    reg_wipe_json(token);
    return true;
}

/* ---- where it goes ------------------------------------------------------------------------- */

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

static bool find_host(struct reg_session *session, const struct reg_token_ask *ask,
                      struct reg_host **out, struct mir_error *err)
{
    auto_free char *name = http_url_host(ask->realm);
    auto_free char *shown = http_url_redact(ask->realm);

    if (!name || !img_is_host(mir_span_of(name)))
        return mir_fail(err, MIR_E_PROTOCOL, "%s names no host", shown);
    return reg_host_get(session->client, name, ask->host->insecure, out, err);
}

/* The settings of the realm's own host. Where nothing is known of it, the CA that is trusted for
 * the registry is good for its token service too, as docker and podman have it; the client
 * certificate is for the registry alone. */
static void choose_tls(const struct reg_host *registry, const struct reg_host *realm,
                       struct http_request *request)
{
    bool borrow = !realm->has_certs && registry->has_certs && !realm->may_be_plain;

    request->tls = borrow ? registry->away_tls : realm->tls;
    request->away_tls = borrow ? registry->away_tls : realm->away_tls;
}

/* Who is asked, and how. */
static bool prepare(struct reg_session *session, const struct reg_token_ask *ask,
                    struct http_request *request, struct mir_error *err)
{
    auto_free char *home = NULL;
    const char *scheme = NULL;
    struct reg_host *host = ask->host;

    if (!reg_host_scheme(session, ask->host, &scheme, err) ||
        !check_realm(ask, strcmp(scheme, "https") == 0, err))
        return false;
    home = mir_format("%s://%s/", scheme, ask->host->endpoint);
    if (!http_url_same_origin(home, ask->realm) && !find_host(session, ask, &host, err))
        return false;
    *request = (struct http_request){.body_max = REG_TOKEN_BODY_MAX};
    choose_tls(ask->host, host, request);
    return true;
}

bool reg_realm_ask(struct reg_session *session, const struct reg_token_ask *ask, char **text,
                   int64_t *life, struct mir_error *err)
{
    struct http_request request;
    auto_response response = HTTP_RESPONSE_INIT;
    bool ok;

    if (!prepare(session, ask, &request, err))
        return false;
    if (!send_ask(session, ask, &request, &response, err))
        return mir_context(err, "token for %s", ask->host->name);
    if (response.status != 200)
        return refuse_ask(ask, &response, err);
    ok = read_token(ask, &response, text, life, err);
    mir_wipe(response.body.ptr, response.body.len);
    return ok;
}
