/*
 * What a registry's refusal means: a code that decides, a text that names what was asked and quotes
 * the registry, and a hint. The one place where statuses become errors.
 *
 * Invariant: a registry's words are bounded and harmless to show: no control bytes, no bytes
 * outside ASCII.
 */
#include "registry/registry_priv.h"

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
                    "log in to %s (podman login %s), or name an auth file or credentials; "
                    "some registries say this of what does not exist",
                    call->repo->host, call->repo->host);
}

static bool hint_status(struct reg_session *session, const struct reg_call *call, int status,
                        struct mir_error *err)
{
    switch (status) {
    case 401:
        return hint_login(session, call, err);
    case 403:
        return mir_hint(err,
                        "the account may not %s %s/%s, or a quota is used up: ask whoever "
                        "runs the registry",
                        call->access == REG_PUSH ? "push to" : "pull", call->repo->host,
                        call->repo->name);
    case 404:
        if (call->access == REG_PUSH)
            return mir_hint(err, "some registries want %s to be created first", call->repo->name);
        return mir_hint(err, "check the name; some registries hide what needs a login");
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
        return false;
    }
}

bool reg_refuse(struct reg_session *session, const struct reg_call *call,
                const struct http_response *response, struct mir_error *err)
{
    char message[REG_MESSAGE_TEXT_MAX];
    auto_free char *shown = http_url_redact(response->url);
    auto_free char *words = http_status_text(response->status);

    (void)reg_message(mir_buf_span(&response->body), message);
    (void)mir_fail(err, code_of_status(response->status), "%s %s: %s%s%s",
                   http_method_name(call->method), shown, words, message[0] ? ": " : "", message);
    err->sys = response->status;
    return hint_status(session, call, response->status, err);
}

bool reg_tls_hint(const struct reg_host *host, struct mir_error *err)
{
    if (err->code != MIR_E_TLS)
        return false;
    if (http_error_is_handshake(err))
        return mir_hint(err,
                        "if %s speaks plain http: --src-tls-verify=false or "
                        "--dest-tls-verify=false",
                        host->name);
    return mir_hint(err,
                    "put the CA into /etc/containers/certs.d/%s/ca.crt or a folder named by "
                    "--src-cert-dir or --dest-cert-dir; or do not verify: --src-tls-verify=false, "
                    "--dest-tls-verify=false",
                    host->name);
}
