/*
 * What the credential helpers have for a host, asked once for all threads of a client. Called by
 * auth_look.c.
 *
 * Invariants: for one (helper, host) one program runs at a time, the others wait for its answer; no
 * lock is held while it runs; a failure is remembered like an answer, so that a helper that hangs
 * costs its time limit once and not once for each image. An answer is asked for again when it is
 * old, for helpers of clouds hand out passwords that live for an hour.
 */
#include "registry/auth_priv.h"

#include "base/tree.h"

#define ANSWER_KEPT_MS (10 * 60 * 1000)

struct answer {
    char *name;
    char *host;
    bool asking;
    bool has_one;
    int64_t old_at_ms;
    struct reg_creds creds;
    struct mir_error failure; /* code MIR_OK: none */
    struct answer *next;
};

struct reg_helpers {
    const struct mir_clock *clock;
    const struct mir_cancel *cancel;
    const struct mir_sink *sink;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct answer *first;
};

struct reg_helpers *reg_helpers_new(const struct reg_options *options)
{
    struct reg_helpers *helpers = mir_alloc(sizeof(*helpers));

    helpers->clock = options->clock ? options->clock : mir_clock_real();
    helpers->cancel = options->cancel;
    helpers->sink = options->sink;
    (void)pthread_mutex_init(&helpers->lock, NULL);
    (void)pthread_cond_init(&helpers->answered, NULL);
    return helpers;
}

void reg_helpers_free(struct reg_helpers *helpers)
{
    if (!helpers)
        return;
    while (helpers->first) {
        struct answer *answer = helpers->first;

        helpers->first = answer->next;
        free(answer->name);
        free(answer->host);
        reg_creds_release(&answer->creds);
        free(answer);
    }
    (void)pthread_cond_destroy(&helpers->answered);
    (void)pthread_mutex_destroy(&helpers->lock);
    free(helpers);
}

/* ---- asking -------------------------------------------------------------------------------- */

bool reg_helper_read_answer(const char *name, struct mir_span text, struct reg_creds *out,
                            struct mir_error *err)
{
    auto_json *root = NULL;
    struct mir_error why = MIR_ERROR_INIT;
    const json_t *user, *secret;

    /* What it said is not repeated: there may be a secret in it. */
    if (!mir_json_parse_secret(text, name, &root, &why) || !json_is_object(root))
        return mir_fail(err, MIR_E_FORMAT, "docker-credential-%s: its answer is not JSON", name);
    user = json_object_get(root, "Username");
    secret = json_object_get(root, "Secret");
    if (!json_is_string(user) || !json_is_string(secret)) {
        reg_wipe_json(secret);
        return mir_fail(err, MIR_E_FORMAT,
                        "docker-credential-%s: its answer has no \"Username\" and \"Secret\"",
                        name);
    }
    out->found = json_string_length(user) + json_string_length(secret) > 0;
    if (strcmp(json_string_value(user), "<token>") == 0)
        out->identity_token = mir_strdup(json_string_value(secret));
    else if (out->found) {
        out->user = mir_strdup(json_string_value(user));
        out->password = mir_strdup(json_string_value(secret));
    }
    if (out->found)
        out->origin = mir_format("docker-credential-%s", name);
    reg_wipe_json(secret);
    return true;
}

static bool get(const struct reg_helpers *helpers, const char *name, const char *server,
                struct reg_creds *out, struct mir_error *err)
{
    auto_buf said;
    bool ok;

    mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
    ok = reg_helper_run(name, "get", mir_span_of(server), &said, helpers->cancel, helpers->sink,
                        err);
    ok = ok && reg_helper_read_answer(name, mir_buf_span(&said), out, err);
    mir_wipe(said.ptr, said.len);
    if (ok || err->code != MIR_E_NOT_FOUND)
        return ok;
    mir_error_clear(err);
    return true;
}

/* docker keeps its login to docker.io under a URL. */
static bool ask(const struct reg_helpers *helpers, const char *name, const char *host,
                struct reg_creds *out, struct mir_error *err)
{
    if (!get(helpers, name, host, out, err))
        return false;
    if (out->found || !reg_auth_is_docker_io(host))
        return true;
    return get(helpers, name, REG_DOCKER_IO_URL, out, err);
}

/* ---- remembering --------------------------------------------------------------------------- */

static void creds_copy(const struct reg_creds *from, struct reg_creds *to)
{
    *to = (struct reg_creds){.found = from->found,
                             .user = mir_strdup(from->user),
                             .password = mir_strdup(from->password),
                             .identity_token = mir_strdup(from->identity_token),
                             .origin = mir_strdup(from->origin)};
}

static struct answer *answer_locked(struct reg_helpers *helpers, const char *name, const char *host)
{
    struct answer *answer = helpers->first;

    while (answer && (strcmp(answer->name, name) != 0 || strcmp(answer->host, host) != 0))
        answer = answer->next;
    if (!answer) {
        answer = mir_alloc(sizeof(*answer));
        answer->name = mir_strdup(name);
        answer->host = mir_strdup(host);
        answer->next = helpers->first;
        helpers->first = answer;
    }
    return answer;
}

/* Credentials that were good are kept where they cannot be had anew: a keyring may be locked by
 * then. Takes what is in creds. */
static void keep_locked(struct reg_helpers *helpers, struct answer *answer, bool ok,
                        struct reg_creds *creds, const struct mir_error *failure)
{
    answer->asking = false;
    answer->has_one = ok || failure->code != MIR_E_CANCELLED;
    answer->old_at_ms = mir_clock_now(helpers->clock) + ANSWER_KEPT_MS;
    answer->failure = *failure;
    if (ok) {
        reg_creds_release(&answer->creds);
        answer->creds = *creds;
        *creds = (struct reg_creds){0};
    } else if (answer->creds.found)
        mir_error_clear(&answer->failure);
    (void)pthread_cond_broadcast(&helpers->answered);
}

/* Wait for who is asking. True: it is for this thread to ask now. */
static bool claim_locked(struct reg_helpers *helpers, struct answer *answer)
{
    while (answer->asking)
        (void)pthread_cond_wait(&helpers->answered, &helpers->lock);
    if (answer->has_one && mir_clock_now(helpers->clock) < answer->old_at_ms)
        return false;
    answer->asking = true;
    return true;
}

bool reg_helpers_get(struct reg_helpers *helpers, const char *name, const char *host, bool *fresh,
                     struct reg_creds *out, struct mir_error *err)
{
    struct answer *answer;
    bool ok;

    (void)pthread_mutex_lock(&helpers->lock);
    answer = answer_locked(helpers, name, host);
    *fresh = claim_locked(helpers, answer);
    if (*fresh) {
        struct mir_error failure = MIR_ERROR_INIT;
        auto_creds creds = {0};

        (void)pthread_mutex_unlock(&helpers->lock);
        ok = ask(helpers, name, host, &creds, &failure);
        (void)pthread_mutex_lock(&helpers->lock);
        keep_locked(helpers, answer, ok, &creds, &failure);
    }
    ok = answer->failure.code == MIR_OK;
    if (ok)
        creds_copy(&answer->creds, out);
    else
        *err = answer->failure;
    (void)pthread_mutex_unlock(&helpers->lock);
    return ok;
}
