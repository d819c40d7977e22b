/*
 * Any bytes as WWW-Authenticate, as one header and as two, and what is done with what it says: the
 * realm is resolved and shown, the scopes are compared with ours.
 */
#include "registry/registry_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_realm(const char *realm)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *url = NULL;
    auto_free char *host = NULL;
    auto_free char *shown = NULL;

    if (!realm || !http_url_resolve("https://registry.example.com/v2/", realm, &url, &err))
        return;
    host = http_url_host(url);
    shown = http_url_redact(url);
    /* What is followed is a place, and has nobody's password in it. */
    if (!host || host[0] == '\0' || strchr(host, '@') || !shown)
        abort();
}

static void use_scope(const char *scope)
{
    struct mir_span wanted = mir_span_of(scope);

    if (!scope)
        return;
    /* What has a place for actions allows itself. */
    if (strchr(scope, ':') && !reg_scope_covers(wanted, wanted))
        abort();
    (void)reg_scope_covers(mir_span_of("repository:team/app:pull,push"), wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reg_challenge challenge = {.realm = NULL};
    struct mir_error err = MIR_ERROR_INIT;
    struct mir_span text = mir_span(data, size);

    (void)!reg_challenge_parse(text, &challenge, &err);
    (void)!reg_challenge_parse(mir_span_from(text, size / 2), &challenge, &err);
    if (challenge.realm && (!challenge.has_bearer || challenge.realm[0] == '\0'))
        abort();
    use_realm(challenge.realm);
    use_scope(challenge.scope);
    reg_challenge_release(&challenge);
    return 0;
}
