/*
 * Bearer tokens: kept until shortly before they expire, shared by all threads. Called by call.c;
 * realm.c fetches them.
 *
 * Invariants: for one (registry, realm, service, scopes, user) one request is under way at a time,
 * the others wait for its result; no lock is held while the network is asked. Tokens of one
 * registry are not shown to another, whatever realm it names.
 */
#include "registry/registry_priv.h"

struct token {
    char *key;
    char *text;       /* secret; NULL: none yet */
    int64_t until_ms; /* when it expires, with the skew taken off */
    bool
        is_denied; /* it was refused when it was new, so it is not good for what it was asked for */
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

/* ---- the cache ----------------------------------------------------------------------------- */

/* What comes before the scopes. */
static void key_begin(const struct reg_token_ask *ask, struct mir_buf *key)
{
    mir_buf_init(key, SIZE_MAX / 2); /* its parts are bounded */
    mir_buf_printf(key, "%s\n%d\n%s\n%s\n%s", ask->host->name, ask->host->insecure, ask->realm,
                   ask->service ? ask->service : "",
                   ask->creds->found && ask->creds->user ? ask->creds->user : "");
}

char *reg_token_key(const struct reg_token_ask *ask)
{
    struct mir_buf key;

    key_begin(ask, &key);
    for (size_t i = 0; i < ask->scope_count; i++)
        mir_buf_printf(&key, "\n%s", ask->scopes[i]);
    return mir_buf_take(&key);
}

/* ---- what a token is good for -------------------------------------------------------------- */

static bool has_action(struct mir_span actions, struct mir_span wanted)
{
    struct mir_span action;

    while (mir_span_next(&actions, ',', &action)) {
        if (mir_span_equal(action, wanted))
            return true;
    }
    return false;
}

bool reg_scope_covers(struct mir_span have, struct mir_span wanted)
{
    struct mir_span actions;
    struct mir_span action;
    size_t ours;
    size_t theirs;

    if (!mir_span_find_last(have, ':', &ours) || !mir_span_find_last(wanted, ':', &theirs) ||
        !mir_span_equal(mir_span_first(have, ours), mir_span_first(wanted, theirs)))
        return false;
    actions = mir_span_from(wanted, theirs + 1);
    while (mir_span_next(&actions, ',', &action)) {
        if (!has_action(mir_span_from(have, ours + 1), action))
            return false;
    }
    return true;
}

/* scopes: a line each. */
static bool has_scope(struct mir_span scopes, const char *wanted)
{
    struct mir_span scope;

    while (mir_span_next(&scopes, '\n', &scope)) {
        if (reg_scope_covers(scope, mir_span_of(wanted)))
            return true;
    }
    return false;
}

/* Was it asked for from the same, for the same user (begin), and at least for these scopes? */
static bool covers(const struct token *token, struct mir_span begin,
                   const struct reg_token_ask *ask)
{
    struct mir_span key = mir_span_of(token->key);
    bool all = key.len > begin.len && mir_span_equal(mir_span_first(key, begin.len), begin) &&
               key.ptr[begin.len] == '\n';

    for (size_t i = 0; all && i < ask->scope_count; i++)
        all = has_scope(mir_span_from(key, begin.len + 1), ask->scopes[i]);
    return all;
}

/* ---- entries ------------------------------------------------------------------------------- */

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

static struct token *find_locked(struct reg_tokens *tokens, const char *key)
{
    struct token *token = tokens->first;

    while (token && strcmp(token->key, key) != 0)
        token = token->next;
    return token;
}

void reg_token_deny(struct reg_tokens *tokens, const char *key, const char *text)
{
    struct token *token;

    (void)pthread_mutex_lock(&tokens->lock);
    token = find_locked(tokens, key);
    if (token && token->text && strcmp(token->text, text) == 0)
        token->is_denied = true;
    (void)pthread_mutex_unlock(&tokens->lock);
}

bool reg_token_is_denied(struct reg_tokens *tokens, const char *key, const char *text,
                         int64_t now_ms)
{
    const struct token *token;
    bool is_denied;

    (void)pthread_mutex_lock(&tokens->lock);
    token = find_locked(tokens, key);
    is_denied = token && token->is_denied && token->text && strcmp(token->text, text) == 0 &&
                now_ms < token->until_ms;
    (void)pthread_mutex_unlock(&tokens->lock);
    return is_denied;
}

static struct token *entry_locked(struct reg_tokens *tokens, const char *key)
{
    struct token *token = find_locked(tokens, key);

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

static bool is_another(const struct token *token, const struct reg_token_ask *ask)
{
    return token->text && (!ask->refused || strcmp(token->text, ask->refused) != 0);
}

static void hand_out(const struct token *token, bool fresh, struct reg_token *out)
{
    out->text = mir_strdup(token->text);
    out->until_ms = token->until_ms;
    out->fresh = fresh;
}

enum claim {
    CLAIM_OURS, /* this thread has to fetch it now */
    CLAIM_DONE, /* out is filled */
    CLAIM_FAILED,
};

/* Wait for a flight that another thread has begun, and take what it brought, however short-lived:
 * asking again would bring nothing newer. OURS: it brought what is known to be of no use. */
static enum claim await_locked(struct reg_tokens *tokens, struct token *token,
                               const struct reg_token_ask *ask, struct reg_token *out,
                               struct mir_error *err)
{
    unsigned flight = token->flights;
    enum claim claim = CLAIM_OURS;

    token->waiters++;
    while (token->flights == flight)
        (void)pthread_cond_wait(&tokens->landed, &tokens->lock);
    token->waiters--;
    if (token->failure.code != MIR_OK) {
        *err = token->failure;
        claim = CLAIM_FAILED;
    } else if (is_another(token, ask)) {
        hand_out(token, true, out);
        claim = CLAIM_DONE;
    }
    return claim;
}

/* One that will do: the entry's own, or one for more. */
static struct token *find_good(struct reg_tokens *tokens, struct token *own,
                               const struct reg_token_ask *ask, int64_t now)
{
    auto_buf begin = {0};

    if (is_another(own, ask) && now < own->until_ms)
        return own;
    /* Where one was refused, it has to be the very one. */
    if (ask->refused)
        return NULL;
    key_begin(ask, &begin);
    for (struct token *token = tokens->first; token; token = token->next) {
        if (is_another(token, ask) && now < token->until_ms && !token->is_denied &&
            covers(token, mir_buf_span(&begin), ask))
            return token;
    }
    return NULL;
}

static enum claim claim_locked(struct reg_tokens *tokens, struct token *own,
                               const struct reg_token_ask *ask, const struct mir_clock *clock,
                               struct reg_token *out, struct mir_error *err)
{
    for (;;) {
        struct token *good = find_good(tokens, own, ask, mir_clock_now(clock));
        enum claim claim;

        if (good) {
            good->used = ++tokens->uses;
            /* Who was refused before has the newest there is now. */
            hand_out(good, good->is_denied || ask->refused, out);
            return CLAIM_DONE;
        }
        if (!own->fetching) {
            own->fetching = true;
            return CLAIM_OURS;
        }
        claim = await_locked(tokens, own, ask, out, err);
        if (claim != CLAIM_OURS)
            return claim;
    }
}

/* The end of a flight. text is taken; NULL with failure when it brought nothing. */
static void land(struct reg_tokens *tokens, struct token *token, char *text, int64_t until_ms,
                 const struct mir_error *failure)
{
    (void)pthread_mutex_lock(&tokens->lock);
    token->is_denied = token->is_denied && text && strcmp(token->text, text) == 0;
    mir_free_secret(token->text);
    token->text = text;
    token->until_ms = until_ms;
    token->failure = *failure;
    token->fetching = false;
    token->flights++;
    (void)pthread_cond_broadcast(&tokens->landed);
    (void)pthread_mutex_unlock(&tokens->lock);
}

/* The flight: from now on the entry is this thread's until it lands. */
static bool fly(struct reg_session *session, const struct reg_token_ask *ask, struct token *token,
                struct reg_token *out, struct mir_error *err)
{
    struct reg_tokens *tokens = session->client->tokens;
    int64_t now = mir_clock_now(session->client->options.clock);
    struct mir_error failure = MIR_ERROR_INIT;
    char *text = NULL;
    int64_t life = 0;

    if (!reg_realm_ask(session, ask, &text, &life, &failure)) {
        land(tokens, token, NULL, 0, &failure);
        *err = failure;
        return false;
    }
    *out = (struct reg_token){.text = mir_strdup(text), .until_ms = now + life, .fresh = true};
    land(tokens, token, text, now + life, &failure);
    return true;
}

bool reg_token_get(struct reg_session *session, const struct reg_token_ask *ask,
                   struct reg_token *out, struct mir_error *err)
{
    struct reg_tokens *tokens = session->client->tokens;
    auto_free char *key = reg_token_key(ask);
    struct token *token;
    enum claim claim;

    (void)pthread_mutex_lock(&tokens->lock);
    token = entry_locked(tokens, key);
    claim = claim_locked(tokens, token, ask, session->client->options.clock, out, err);
    (void)pthread_mutex_unlock(&tokens->lock);
    if (claim != CLAIM_OURS)
        return claim == CLAIM_DONE;
    return fly(session, ask, token, out, err);
}
