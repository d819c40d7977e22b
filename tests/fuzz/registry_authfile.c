/*
 * The whole look-up of credentials in any files: up to four texts, each after a form feed, in the
 * order of the standard files; before the first of them a line "HOST REPO", else a few usual ones.
 * The same bytes are also read as what a credential helper answers. No helper is found here.
 */
#include "registry/auth_priv.h"

#define NAME_MAX_BYTES 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void saw(void *ctx, const char *place, const char *outcome)
{
    size_t *seen = ctx;

    if (place[0] == '\0' || outcome[0] == '\0' || strpbrk(outcome, "\n\r\x1b"))
        abort();
    ++*seen;
}

/* What is found has a name and something to log in with. */
static void check(const struct reg_creds *creds)
{
    if (!creds->found)
        return;
    if (!creds->origin || (!creds->identity_token && (!creds->user || !creds->password)))
        abort();
}

static void look(const struct reg_auth *auth, const char *host, const char *repo)
{
    size_t seen = 0;
    const struct reg_auth_trace trace = {.saw = saw, .ctx = &seen};
    struct mir_error err = MIR_ERROR_INIT;
    struct mir_error again = MIR_ERROR_INIT;
    auto_creds creds = {0};
    auto_creds same = {0};
    bool ok = reg_auth_look(auth, host, repo, &trace, &creds, &err);

    check(&creds);
    if (seen == 0 || ok != reg_auth_find(auth, host, repo, &same, &again) ||
        creds.found != same.found || err.code != again.code)
        abort();
}

/* "HOST REPO", in memory of its own. */
static void look_for_line(const struct reg_auth *auth, struct mir_span line)
{
    size_t blank;

    if (line.len <= NAME_MAX_BYTES && mir_span_find(line, ' ', &blank)) {
        auto_free char *host = mir_strndup(line.ptr, blank);
        auto_free char *repo = mir_strndup(line.ptr + blank + 1, line.len - blank - 1);

        look(auth, host, repo);
    }
    look(auth, "docker.io", "library/x");
    look(auth, "h.io", "x/y/z");
    look(auth, "h.io:5000", "x");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_span rest = mir_span(data, size);
    struct mir_span texts[REG_AUTH_FILES] = {{0}};
    struct mir_span line = {0};
    struct reg_auth *auth;
    struct mir_error err = MIR_ERROR_INIT;
    auto_creds answer = {0};

    if (setenv("PATH", "/nonexistent", 1) != 0)
        abort();
    if (reg_helper_read_answer("t", rest, &answer, &err))
        check(&answer);
    if (size > 0 && memchr(data, '\f', size))
        (void)mir_span_next(&rest, '\f', &line);
    for (size_t i = 0; i < REG_AUTH_FILES; i++)
        (void)mir_span_next(&rest, '\f', &texts[i]);
    auth = reg_auth_of_texts(texts);
    look_for_line(auth, line);
    reg_auth_free(auth);
    return 0;
}
