/*
 * Secrets taken out of what a server says: one that repeats what it was sent must not bring it into
 * our errors and logs. Called wherever a refusal's words may be shown.
 *
 * Invariant: the text keeps its length; only bytes of the secret change.
 */
#include "registry/registry_priv.h"

#include "base/base64.h"

static void scrub(char *text, size_t len, const char *secret)
{
    size_t secret_len = secret ? strlen(secret) : 0;
    char *at = text;

    while (secret_len > 0 && len >= secret_len) {
        char *found = memmem(at, len, secret, secret_len);

        if (!found)
            return;
        memset(found, '*', secret_len);
        len -= (size_t)(found - at) + secret_len;
        at = found + secret_len;
    }
}

static void scrub_escaped(char *text, size_t len, const char *secret)
{
    auto_buf escaped = {0};

    mir_buf_init(&escaped, SIZE_MAX / 2);
    http_url_escape(&escaped, mir_span_of(secret));
    scrub(text, len, escaped.ptr);
    mir_wipe(escaped.ptr, escaped.len);
}

/* USER:PASS in base64: the whole of it, and the password. */
static void scrub_pair(char *text, size_t len, const char *code)
{
    auto_free_secret char *pair = NULL;
    size_t pair_len = 0;
    const char *colon;

    if (!mir_base64_decode(mir_span_of(code), &pair, &pair_len))
        return;
    scrub(text, len, pair);
    colon = strchr(pair, ':');
    if (!colon)
        return;
    scrub(text, len, colon + 1);
    scrub_escaped(text, len, colon + 1);
}

void reg_scrub_authorization(char *text, size_t len, const char *authorization)
{
    const char *blank = authorization ? strchr(authorization, ' ') : NULL;

    if (!text || !blank)
        return;
    scrub(text, len, blank + 1);
    if (mir_starts_with(authorization, "Basic "))
        scrub_pair(text, len, blank + 1);
}

void reg_scrub_creds(char *text, size_t len, const struct reg_creds *creds)
{
    const char *const secrets[] = {creds->password, creds->identity_token};

    if (!text || !creds->found)
        return;
    if (creds->user && creds->password) {
        auto_free_secret char *basic = reg_basic(creds);

        reg_scrub_authorization(text, len, basic);
    }
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (!secrets[i])
            continue;
        scrub(text, len, secrets[i]);
        scrub_escaped(text, len, secrets[i]);
    }
}
