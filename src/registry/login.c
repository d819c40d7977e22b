/*
 * Logging in and out: is the user let in, what do the files say already, and where are credentials
 * kept. Called by the command line only.
 *
 * Invariant: what is kept has been given to the registry first, and was not refused.
 * Rule: what podman and skopeo do: /v2/ is asked, no repository; the first of registries.conf's
 * credential helpers that takes the credentials has them.
 */
#include "registry/login.h"

#include <errno.h>
#include <unistd.h>

#include "image/ref.h"
#include "registry/login_priv.h"

#define BUILT_IN   "containers-auth.json" /* the auth files, among registries.conf's helpers */
#define EMPTY_FILE "/dev/null"

/* ---- accounts ------------------------------------------------------------------------------ */

struct reg_account reg_account_of(const char *text)
{
    size_t host = strcspn(text, "/");

    return (struct reg_account){.host = mir_strndup(text, host),
                                .path = mir_strdup(text[host] == '/' ? text + host + 1 : "")};
}

void reg_account_release(struct reg_account *account)
{
    free(account->host);
    free(account->path);
    *account = (struct reg_account){0};
}

bool reg_account_check(const char *text, struct mir_error *err)
{
    auto_account account = reg_account_of(text);

    if (!img_is_host(mir_span_of(account.host)))
        return mir_fail(err, MIR_E_USAGE, "\"%s\": \"%s\" is no host", text, account.host);
    if (!strchr(text, '/') || img_is_repo(mir_span_of(account.path)))
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "\"%s\": \"%s\" is no path of repositories", text,
                   account.path);
    return mir_hint(err, "name HOST or HOST/NAMESPACE, without a tag");
}

/* ---- asking the registry ------------------------------------------------------------------- */

static bool drop(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    (void)ctx;
    (void)bytes;
    (void)err;
    return true;
}

const struct http_sink reg_no_sink = {.write = drop};

bool reg_knock(struct reg_session *session, struct reg_host *host, enum http_method method,
               const char *path, const char *authorization, struct http_response *response,
               struct mir_error *err)
{
    const char *scheme = NULL;
    auto_free char *url = NULL;
    struct http_request request = {.method = method,
                                   .authorization = authorization,
                                   .headers = &reg_accept_manifests,
                                   .header_count = 1,
                                   .sink = &reg_no_sink,
                                   .tls = host->tls,
                                   .away_tls = host->away_tls};

    if (!reg_host_scheme(session, host, &scheme, err))
        return false;
    url = mir_format("%s://%s/v2/%s", scheme, host->endpoint, path);
    request.url = url;
    return http_send(session->conn, &request, response, err);
}

static bool no_registry(const struct reg_host *host, const struct http_response *response,
                        struct mir_error *err)
{
    auto_free char *shown = http_url_redact(response->url);
    auto_free char *words = http_status_text(response->status);

    (void)mir_fail(err, response->status >= 500 ? MIR_E_SERVER : MIR_E_PROTOCOL, "GET %s: %s",
                   shown, words);
    return mir_hint(err, "is %s a registry, and not something in front of it?", host->name);
}

/* Somebody else's challenge, at the end of a redirect, is not for the user's password. */
static bool is_from(struct reg_session *session, struct reg_host *host,
                    const struct http_response *response)
{
    const char *scheme = NULL;
    struct mir_error ignored = MIR_ERROR_INIT; /* it has been found before */
    auto_free char *home = NULL;

    if (!reg_host_scheme(session, host, &scheme, &ignored))
        return false;
    home = mir_format("%s://%s/", scheme, host->endpoint);
    return http_url_same_origin(home, response->url);
}

/* The value of Authorization that the challenge asks for; a secret the caller frees. */
static bool answer_challenge(struct reg_session *session, struct reg_host *host,
                             const struct http_response *response, const struct reg_creds *creds,
                             char **out, struct mir_error *err)
{
    auto_challenge challenge = {0};
    auto_free char *realm = NULL;
    struct reg_token_ask ask = {.host = host, .creds = creds};
    struct reg_token token = {.text = NULL};

    if (!is_from(session, host, response))
        return no_registry(host, response, err);
    if (!reg_challenges_read(response, session->client->options.sink, &challenge, err))
        return false;
    if (!challenge.has_bearer || !challenge.realm) {
        if (!challenge.has_basic)
            return no_registry(host, response, err);
        *out = reg_basic(creds);
        return true;
    }
    if (!http_url_resolve(response->url, challenge.realm, &realm, err))
        return mir_context(err, "realm");
    ask.realm = realm;
    ask.service = challenge.service;
    if (!reg_token_get(session, &ask, &token, err))
        return false;
    *out = mir_format("Bearer %s", token.text);
    mir_free_secret(token.text);
    return true;
}

static bool judge(const struct reg_host *host, const struct reg_creds *creds,
                  struct http_response *response, struct mir_error *err)
{
    char message[REG_MESSAGE_TEXT_MAX];

    if (response->status == 200)
        return true;
    if (response->status != 401 && response->status != 403)
        return no_registry(host, response, err);
    reg_scrub_creds(response->body.ptr, response->body.len, creds);
    (void)reg_message(mir_buf_span(&response->body), message);
    reg_scrub_creds(message, strlen(message), creds);
    return mir_fail(err, MIR_E_AUTH, "%s refuses user %s with this password%s%s", host->name,
                    creds->user, message[0] ? ": " : "", message);
}

static bool check_at(struct reg_session *session, const struct reg_repo *at, bool *open,
                     struct mir_error *err)
{
    struct reg_host *host = NULL;
    auto_creds creds = {0};
    auto_response first = HTTP_RESPONSE_INIT;
    auto_response second = HTTP_RESPONSE_INIT;
    auto_free_secret char *authorization = NULL;

    if (!reg_auth_find(session->client->auth, at->host, "", &creds, err) ||
        !reg_host_get(session->client, at->host, at->insecure, &host, err) ||
        !reg_knock(session, host, HTTP_GET, "", NULL, &first, err))
        return false;
    *open = first.status == 200;
    if (first.status != 401)
        return *open || no_registry(host, &first, err);
    return answer_challenge(session, host, &first, &creds, &authorization, err) &&
           reg_knock(session, host, HTTP_GET, "", authorization, &second, err) &&
           judge(host, &creds, &second, err);
}

bool reg_login_check(const struct reg_options *options, const struct reg_repo *at, bool *open,
                     struct mir_error *err)
{
    struct reg_client *client = NULL;
    struct reg_session *session;
    bool ok;

    if (!reg_account_check(at->host, err) || !reg_client_new(options, &client, err))
        return false;
    session = reg_session_new(client);
    ok = check_at(session, at, open, err);
    reg_session_free(session);
    reg_client_free(client);
    return ok;
}

/* ---- what is known already ----------------------------------------------------------------- */

void reg_login_found_release(struct reg_login_found *found)
{
    free(found->user);
    mir_free_secret(found->creds);
    free(found->origin);
    *found = (struct reg_login_found){0};
}

static char *file_of(const struct reg_options *options)
{
    return options->authfile ? mir_strdup(options->authfile) : reg_auth_default_file();
}

/* A file that is about to be made. */
static bool is_missing(const struct reg_options *options)
{
    auto_free char *path = file_of(options);

    return (options->authfile || getenv("REGISTRY_AUTH_FILE")) && access(path, F_OK) != 0 &&
           errno == ENOENT;
}

bool reg_login_find(const struct reg_options *options, const char *text,
                    struct reg_login_found *out, struct mir_error *err)
{
    auto_account account = reg_account_of(text);
    auto_creds creds = {0};
    struct reg_options there = *options;
    struct reg_auth *auth = NULL;
    bool ok;

    *out = (struct reg_login_found){0};
    if (is_missing(options))
        there.authfile = EMPTY_FILE;
    if (!reg_account_check(text, err) || !reg_auth_load(&there, &auth, err))
        return false;
    ok = reg_auth_find(auth, account.host, account.path, &creds, err);
    reg_auth_free(auth);
    if (!ok || !creds.found)
        return ok;
    out->user = mir_steal(&creds.user);
    out->origin = mir_steal(&creds.origin);
    if (out->user && !creds.identity_token)
        out->creds = mir_format("%s:%s", out->user, creds.password);
    return true;
}

/* ---- keeping and forgetting ---------------------------------------------------------------- */

/* One thing done with one of the stores that registries.conf names, or with the auth file alone. */
struct change {
    const char *account;
    const char *creds; /* to store; NULL: to erase */
    bool all;          /* erase everything */
    bool erased;
    char *where;
};

static bool change_file(const struct reg_auth_place *place, struct change *change,
                        struct mir_error *err)
{
    bool ok;

    if (change->creds)
        return reg_auth_store(place, change->account, change->creds, &change->where, err);
    ok = change->all ? reg_auth_erase_all(place, &change->erased, err)
                     : reg_auth_erase(place, change->account, &change->erased, err);
    if (ok && !change->where)
        change->where = mir_strdup(place->path);
    return ok;
}

static bool change_helper(const struct reg_auth_place *place, const char *name,
                          struct change *change, struct mir_error *err)
{
    if (change->all)
        return reg_helper_erase_all(place, name, &change->erased, err);
    if (strchr(change->account, '/'))
        return mir_fail(err, MIR_E_UNSUPPORTED, "docker-credential-%s keeps whole hosts, not %s",
                        name, change->account);
    if (!change->creds)
        return reg_helper_erase(place, name, change->account, &change->erased, err);
    if (!reg_helper_store(place, name, change->account, change->creds, err))
        return false;
    change->where = mir_format("docker-credential-%s", name);
    return true;
}

static bool change_one(const struct reg_auth_place *place, const char *name, struct change *change,
                       struct mir_error *err)
{
    return strcmp(name, BUILT_IN) == 0 ? change_file(place, change, err)
                                       : change_helper(place, name, change, err);
}

/* What is stored goes to the first that takes it; what is erased is erased everywhere. */
static bool change_in_order(const struct reg_options *options, struct change *change,
                            struct mir_error *err)
{
    static const char *const built_in[] = {BUILT_IN};
    const char *const *names = options->helpers ? options->helpers : built_in;
    size_t count = options->helpers ? options->helper_count : 1;
    auto_free char *path = file_of(options);
    const struct reg_auth_place place = {
        .path = path, .cancel = options->cancel, .sink = options->sink};
    struct mir_error first = MIR_ERROR_INIT;
    bool done = false;

    for (size_t i = 0; i < count && !(done && change->creds); i++) {
        struct mir_error trouble = MIR_ERROR_INIT;

        if (change_one(&place, names[i], change, &trouble))
            done = true;
        else if (first.code == MIR_OK)
            first = trouble;
    }
    if (done && (change->creds || change->erased || first.code == MIR_OK))
        return true;
    *err = first;
    if (err->code == MIR_OK)
        return mir_fail(err, MIR_E_USAGE, "registries.conf names no place for credentials");
    if (err->code == MIR_E_IO)
        (void)mir_hint(err, "name another file with --authfile, or set XDG_RUNTIME_DIR");
    return false;
}

bool reg_login_store(const struct reg_options *options, const char *account, char **where,
                     struct mir_error *err)
{
    struct change change = {.account = account, .creds = options->creds};

    if (!reg_account_check(account, err))
        return false;
    if (!change.creds || !strchr(change.creds, ':') || change.creds[0] == ':')
        return mir_fail(err, MIR_E_USAGE, "user and password are needed for %s", account);
    if (!change_in_order(options, &change, err))
        return false;
    *where = change.where;
    return true;
}

static bool erase(const struct reg_options *options, struct change *change, bool *erased,
                  char **where, struct mir_error *err)
{
    if (!change_in_order(options, change, err)) {
        free(change->where);
        return false;
    }
    *erased = change->erased;
    *where = change->where ? change->where : mir_strdup("the credential helpers");
    return true;
}

bool reg_login_erase(const struct reg_options *options, const char *account, bool *erased,
                     char **where, struct mir_error *err)
{
    struct change change = {.account = account};

    return reg_account_check(account, err) && erase(options, &change, erased, where, err);
}

bool reg_login_erase_all(const struct reg_options *options, bool *erased, char **where,
                         struct mir_error *err)
{
    struct change change = {.all = true};

    return erase(options, &change, erased, where, err);
}
