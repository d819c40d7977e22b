/*
 * What a registry's refusal means: a code that decides, a text that names what was asked and quotes
 * the registry, and a hint. The one place where statuses become errors.
 *
 * Invariant: a registry's words are bounded and harmless to show: no control bytes, no bytes
 * outside ASCII.
 */
#include "registry/registry_priv.h"

#include <strings.h>

#include "base/tree.h"

/* ---- the registry's own words -------------------------------------------------------------- */

static void add_clean(char text[REG_MESSAGE_TEXT_MAX], const char *words, size_t len)
{
    size_t at = strlen(text);

    for (size_t i = 0; i < len && at < REG_MESSAGE_MAX; i++) {
        unsigned char c = (unsigned char)words[i];

        text[at++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    text[at] = '\0';
    if (at == REG_MESSAGE_MAX)
        memcpy(text + at, "...", sizeof("..."));
}

bool reg_says(const struct http_response *response, const char *code)
{
    auto_json *root = NULL;
    struct mir_error ignored = MIR_ERROR_INIT;
    size_t i;
    const json_t *one;

    if (!response->body.ptr ||
        !mir_json_parse(mir_buf_span(&response->body), "error", &root, &ignored))
        return false;
    json_array_foreach (json_object_get(root, "errors"), i, one) {
        const char *text = json_string_value(json_object_get(one, "code"));

        if (text && strcasecmp(text, code) == 0)
            return true;
    }
    return false;
}

/* {"errors":[{"code":"...","message":"..."}]}: the first one. */
static bool message_of_json(struct mir_span body, char text[REG_MESSAGE_TEXT_MAX])
{
    auto_json *root = NULL;
    struct mir_error ignored = MIR_ERROR_INIT;
    const json_t *first;
    const char *code;
    const char *message;

    if (!mir_json_parse(body, "error", &root, &ignored))
        return false;
    first = json_array_get(json_object_get(root, "errors"), 0);
    if (!first)
        first = root;
    code = json_string_value(json_object_get(first, "code"));
    message = json_string_value(json_object_get(first, "message"));
    if (!message)
        message = json_string_value(json_object_get(first, "details"));
    if (code)
        add_clean(text, code, strlen(code));
    if (code && message)
        add_clean(text, ": ", 2);
    if (message)
        add_clean(text, message, strlen(message));
    return code || message;
}

const char *reg_message(struct mir_span body, char text[REG_MESSAGE_TEXT_MAX])
{
    struct mir_span line = mir_span_trim(body);
    size_t end;

    text[0] = '\0';
    if (line.len == 0 || message_of_json(line, text))
        return text;
    /* A page for browsers says nothing in its first line. */
    if (line.ptr[0] == '<' || line.ptr[0] == '{')
        return text;
    if (mir_span_find(line, '\n', &end))
        line = mir_span_trim(mir_span_first(line, end));
    add_clean(text, line.ptr, line.len);
    return text;
}

/* ---- codes and hints ----------------------------------------------------------------------- */

static enum mir_code code_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
        return MIR_E_AUTH;
    case 404:
        return MIR_E_NOT_FOUND;
    case 413:
        return MIR_E_LIMIT;
    case 429:
        return MIR_E_BUSY;
    case 507:
        return MIR_E_SPACE;
    default:
        return status == 408 || status >= 500 ? MIR_E_SERVER : MIR_E_PROTOCOL;
    }
}

static bool hint_login(struct reg_session *session, const struct reg_call *call,
                       struct mir_error *err)
{
    auto_creds creds = {0};
    struct mir_error ignored = MIR_ERROR_INIT;

    /* A fault in the file has been reported when the login was tried. */
    if (reg_auth_find(session->client->auth, call->repo->host, call->repo->name, &creds,
                      &ignored) &&
        creds.found)
        return mir_hint(err, "the credentials of %s were refused: log in to %s again", creds.origin,
                        call->repo->host);
    return mir_hint(err,
                    "log in to %s (mirror login %s), or name an auth file or credentials; "
                    "\"mirror auth explain\" tells more; some registries say this of what does "
                    "not exist",
                    call->repo->host, call->repo->host);
}

/* Did somebody else than the registry answer? Then its host, which the caller frees. */
static char *other_host(struct reg_session *session, const struct reg_call *call,
                        const struct http_response *response)
{
    struct mir_error ignored = MIR_ERROR_INIT;
    struct reg_host *host = NULL;
    auto_free char *asked = http_url_host(response->url);
    auto_free char *url = NULL;
    auto_free char *own = NULL;

    if (!asked ||
        !reg_host_get(session->client, call->repo->host, call->repo->insecure, &host, &ignored))
        return NULL;
    url =
        mir_format("%s://%s/", http_url_is_https(response->url) ? "https" : "http", host->endpoint);
    own = http_url_host(url);
    return own && strcasecmp(own, asked) == 0 ? NULL : mir_steal(&asked);
}

static bool hint_elsewhere(const struct reg_call *call, const char *host, struct mir_error *err)
{
    if (call->method == HTTP_GET || call->method == HTTP_HEAD)
        return mir_hint(err,
                        "%s keeps this at %s, which is not asked with its credentials: a proxy or "
                        "a firewall in between has to let that host through, too",
                        call->repo->host, host);
    return mir_hint(err,
                    "%s sends uploads to %s, where its credentials do not go: the proxy in front "
                    "of the registry has to pass X-Forwarded-Host and X-Forwarded-Proto on",
                    call->repo->host, host);
}

/* Some say 403 of what is full, and say so. */
static bool is_about_room(const struct http_response *response)
{
    const char *body = response->body.ptr ? response->body.ptr : "";

    return strcasestr(body, "quota") || strcasestr(body, "exceed") || strcasestr(body, "storage");
}

static bool hint_forbidden(const struct reg_call *call, const struct http_response *response,
                           struct mir_error *err)
{
    bool push = call->access == REG_PUSH;

    if (push && is_about_room(response))
        return mir_hint(err,
                        "a quota of %s is used up: make room, or have it raised, then run "
                        "again",
                        call->repo->host);
    return mir_hint(err, "the account may not %s %s/%s%s: ask whoever runs the registry",
                    push ? "push to" : "pull", call->repo->host, call->repo->name,
                    push ? ", or the registry is read-only, or a quota is used up" : "");
}

static bool hint_missing(const struct reg_call *call, const struct http_response *response,
                         struct mir_error *err)
{
    if (call->access != REG_PUSH)
        return mir_hint(err, "check the name; some registries hide what needs a login");
    if (reg_says(response, "NAME_UNKNOWN"))
        return mir_hint(err,
                        "create %s (the project or the repository) on %s first, then run "
                        "again",
                        call->repo->name, call->repo->host);
    return mir_hint(err, "some registries want %s to be created first", call->repo->name);
}

/* What the registry calls the fault, where that says more than the status. */
static bool hint_code(const struct reg_call *call, const struct http_response *response,
                      struct mir_error *err)
{
    if (call->access != REG_PUSH)
        return false;
    if (response->status == 405 || reg_says(response, "UNSUPPORTED"))
        return mir_hint(err,
                        "%s takes nothing in: it is read-only (for maintenance, say), or only "
                        "a cache of another registry",
                        call->repo->host);
    if (reg_says(response, "NAME_INVALID"))
        return mir_hint(err,
                        "%s does not take %s for a name (its depth, say): choose another "
                        "place at the destination",
                        call->repo->host, call->repo->name);
    if (reg_says(response, "MANIFEST_BLOB_UNKNOWN"))
        return mir_hint(err, "%s has lost what was uploaded: run again", call->repo->host);
    return false;
}

static bool hint_status(struct reg_session *session, const struct reg_call *call,
                        const struct http_response *response, struct mir_error *err)
{
    switch (response->status) {
    case 401:
        return hint_login(session, call, err);
    case 403:
    case 412:
        return hint_forbidden(call, response, err);
    case 404:
        return hint_missing(call, response, err);
    case 407:
        return mir_hint(err, "put user and password into the proxy's URL in the environment");
    case 413:
        return mir_hint(err, "a limit of the registry or of a proxy in front of it has to be "
                             "raised");
    case 429:
        return mir_hint(err, "use fewer --jobs, more --retry-times, or log in");
    case 507:
        return mir_hint(err, "the registry has no room left");
    default:
        if (response->status >= 300 && response->status <= 399)
            return mir_hint(err, "is %s a registry, and not a page to log in at in front of it?",
                            call->repo->host);
        return false;
    }
}

static void add_hint(struct reg_session *session, const struct reg_call *call,
                     const struct http_response *response, struct mir_error *err)
{
    auto_free char *other = other_host(session, call, response);

    if (other && (response->status == 401 || response->status == 403))
        (void)hint_elsewhere(call, other, err);
    (void)hint_code(call, response, err);
    (void)hint_status(session, call, response, err);
}

/* Its words are read from JSON, where a secret that came back may have been spelled otherwise. */
static void read_words(struct reg_session *session, const struct reg_call *call,
                       const struct http_response *response, char text[REG_MESSAGE_TEXT_MAX])
{
    auto_creds creds = {0};
    struct mir_error ignored = MIR_ERROR_INIT;

    (void)reg_message(mir_buf_span(&response->body), text);
    if (text[0] != '\0' &&
        reg_auth_find(session->client->auth, call->repo->host, call->repo->name, &creds, &ignored))
        reg_scrub_creds(text, strlen(text), &creds);
}

bool reg_refuse(struct reg_session *session, const struct reg_call *call,
                const struct http_response *response, struct mir_error *err)
{
    const char *via = response->via;
    char message[REG_MESSAGE_TEXT_MAX];
    auto_free char *shown = http_url_redact(response->url);
    auto_free char *words = http_status_text(response->status);

    read_words(session, call, response, message);
    (void)mir_fail(err, code_of_status(response->status), "%s %s%s%s: %s%s%s%s",
                   http_method_name(call->method), shown, via ? " through the proxy " : "",
                   via ? via : "", words,
                   response->status <= 299 ? ", which is no answer to this" : "",
                   message[0] ? ": " : "", message);
    err->sys = response->status;
    add_hint(session, call, response, err);
    return false;
}
