/*
 * What happens on the way into one repository, told: for "mirror auth explain". Each step writes
 * down what it saw; the first that ends the way ends the telling.
 *
 * Invariants: nothing is asked that a copy would not ask too, except for what nobody gets; nothing
 * stays in the registry where it lets an upload be taken back; user names are shown, secrets never.
 */
#include "registry/login.h"

#include <strings.h>

#include "registry/login_priv.h"

#define NEAR_MISSES_MAX 5

struct story {
    struct reg_client *client;
    struct reg_session *session;
    const struct reg_repo *repo;
    const char *reference; /* or NULL */
    struct reg_host *host;
    json_t *root;   /* the whole of it */
    json_t *places; /* borrowed from root, so the next */
    json_t *advice;
    struct reg_creds creds;
};

/* ---- writing down -------------------------------------------------------------------------- */

static void blot(char *text, bool (*is_bad)(unsigned char c))
{
    for (char *c = text; *c != '\0'; c++) {
        if (is_bad((unsigned char)*c))
            *c = '?';
    }
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static bool is_not_ascii(unsigned char c)
{
    return c >= 0x80 || is_control(c);
}

/* Ours and the user's: paths, keys. What a terminal would obey, and what is not UTF-8, is not
 * shown. */
static void set_text(json_t *object, const char *key, const char *text)
{
    auto_free char *clean = mir_strdup(text);
    json_t *value;

    if (!clean) {
        (void)json_object_set_new(object, key, json_null());
        return;
    }
    blot(clean, is_control);
    value = json_string(clean);
    if (!value) {
        blot(clean, is_not_ascii);
        value = json_string(clean);
    }
    (void)json_object_set_new(object, key, value);
}

/* A server's. */
static void set_theirs(json_t *object, const char *key, const char *text)
{
    auto_free char *clean = mir_strdup(text);

    if (!clean)
        return;
    blot(clean, is_not_ascii);
    (void)json_object_set_new(object, key, json_string(clean));
}

static void set_bool(json_t *object, const char *key, bool value)
{
    (void)json_object_set_new(object, key, json_boolean(value));
}

static json_t *set_object(json_t *object, const char *key)
{
    json_t *made = json_object();

    (void)json_object_set_new(object, key, made);
    return made;
}

static void set_error(json_t *object, const struct mir_error *err)
{
    set_text(object, "error", err->text);
    if (err->hint[0] != '\0')
        set_text(object, "hint", err->hint);
}

static void advise(struct story *story, char *taken)
{
    auto_free char *text = taken;
    json_t *holder = json_object();

    set_text(holder, "text", text);
    (void)json_array_append(story->advice, json_object_get(holder, "text"));
    json_decref(holder);
}

/* ---- credentials --------------------------------------------------------------------------- */

static void note_place(void *ctx, const char *place, const char *outcome)
{
    struct story *story = ctx;
    json_t *entry = json_object();

    set_text(entry, "place", place);
    set_text(entry, "outcome", outcome);
    (void)json_array_append_new(story->places, entry);
}

static bool tell_credentials(struct story *story, struct mir_error *refusal)
{
    const struct reg_auth_trace trace = {.saw = note_place, .ctx = story};
    json_t *told = set_object(story->root, "credentials");

    story->places = json_array();
    (void)json_object_set_new(told, "lookedAt", story->places);
    if (!reg_auth_look(story->client->auth, story->repo->host, story->repo->name, &trace,
                       &story->creds, refusal)) {
        set_error(told, refusal);
        return false;
    }
    set_bool(told, "found", story->creds.found);
    if (!story->creds.found)
        return true;
    set_text(told, "user", story->creds.user);
    set_text(told, "kind", story->creds.identity_token ? "identity token" : "password");
    set_text(told, "from", story->creds.origin);
    return true;
}

/* ---- the registry, and what it asks of nobody ---------------------------------------------- */

static char *path_of(const struct story *story)
{
    if (!story->reference)
        return mir_format("%s/tags/list?n=1", story->repo->name);
    return mir_format("%s/manifests/%s", story->repo->name, story->reference);
}

static void tell_challenge(struct story *story, json_t *told, const struct http_response *response)
{
    auto_challenge challenge = {0};
    auto_free char *realm = NULL;
    struct mir_error trouble = MIR_ERROR_INIT;
    json_t *bearer;

    if (!reg_challenges_read(response, story->client->options.sink, &challenge, &trouble))
        set_error(told, &trouble);
    if (challenge.has_basic)
        (void)set_object(told, "basic");
    if (!challenge.has_bearer)
        return;
    bearer = set_object(told, "bearer");
    realm = challenge.realm ? http_url_redact(challenge.realm) : NULL;
    set_theirs(bearer, "realm", realm);
    set_theirs(bearer, "service", challenge.service);
    set_theirs(bearer, "scope", challenge.scope);
}

/* The scheme is found out on the way. */
static bool tell_registry(struct story *story, struct mir_error *refusal)
{
    auto_response response = HTTP_RESPONSE_INIT;
    auto_free char *path = path_of(story);
    auto_free char *folder = reg_certs_folder(story->client, story->host->name);
    json_t *told = set_object(story->root, "registry");
    const char *scheme = NULL;
    json_t *nobody;

    set_text(told, "endpoint", story->host->endpoint);
    if (folder)
        set_text(told, "certificates", folder);
    if (!reg_knock(story->session, story->host, story->reference ? HTTP_HEAD : HTTP_GET, path, NULL,
                   &response, refusal) ||
        !reg_host_scheme(story->session, story->host, &scheme, refusal)) {
        set_error(told, refusal);
        return false;
    }
    set_text(told, "scheme", scheme);
    set_bool(told, "verified", strcmp(scheme, "https") == 0 && !story->host->may_be_plain);
    nobody = set_object(story->root, "asNobody");
    (void)json_object_set_new(nobody, "status", json_integer(response.status));
    if (response.status == 401)
        tell_challenge(story, nobody, &response);
    return true;
}

/* ---- pull and push ------------------------------------------------------------------------- */

static bool find_manifest(struct story *story, json_t *told, struct mir_error *refusal)
{
    struct reg_found found;

    if (!reg_manifest_find(story->session, story->repo, story->reference, &found, refusal))
        return false;
    set_bool(told, "exists", found.is_there);
    if (found.is_there && found.digest.text[0] != '\0')
        set_text(told, "digest", found.digest.text);
    return true;
}

static bool list_tags(struct story *story, json_t *told, struct mir_error *refusal)
{
    auto_response response = HTTP_RESPONSE_INIT;
    const struct reg_call call = {
        .method = HTTP_GET, .repo = story->repo, .path = "tags/list?n=1", .sink = &reg_no_sink};

    if (!reg_call_send(story->session, &call, &response, refusal))
        return false;
    if (response.status != 200 && response.status != 404)
        return reg_refuse(story->session, &call, &response, refusal);
    set_bool(told, "exists", response.status == 200);
    return true;
}

static bool tell_pull(struct story *story, struct mir_error *refusal)
{
    json_t *told = set_object(story->root, "pull");
    bool ok =
        story->reference ? find_manifest(story, told, refusal) : list_tags(story, told, refusal);

    set_bool(told, "allowed", ok);
    if (!ok)
        set_error(told, refusal);
    return ok;
}

/* An upload that was begun to see whether it is allowed. */
static bool take_back(struct story *story, const struct http_response *begun, struct mir_error *err)
{
    const char *location = http_response_header(begun, "Location");
    auto_free char *url = NULL;
    auto_response response = HTTP_RESPONSE_INIT;
    struct reg_call call = {.method = HTTP_DELETE, .repo = story->repo, .access = REG_PUSH};

    if (!location)
        return mir_fail(err, MIR_E_PROTOCOL, "the upload has no Location");
    if (!http_url_resolve(begun->url, location, &url, err))
        return false;
    call.url = url;
    if (!reg_call_send(story->session, &call, &response, err))
        return false;
    return response.status / 100 == 2 || reg_refuse(story->session, &call, &response, err);
}

static void tell_push(struct story *story)
{
    auto_response response = HTTP_RESPONSE_INIT;
    const struct reg_call call = {.method = HTTP_POST, .repo = story->repo, .access = REG_PUSH};
    json_t *told = set_object(story->root, "push");
    struct mir_error trouble = MIR_ERROR_INIT;
    bool ok = reg_upload_post(story->session, story->repo, NULL, NULL, &response, &trouble);

    if (ok && response.status != 202)
        ok = reg_refuse(story->session, &call, &response, &trouble);
    set_bool(told, "allowed", ok);
    if (!ok) {
        set_error(told, &trouble);
        return;
    }
    ok = take_back(story, &response, &trouble);
    set_bool(told, "takenBack", ok);
    if (!ok)
        mir_log(story->client->options.sink, MIR_LEVEL_DEBUG, "%s", trouble.text);
}

/* ---- advice -------------------------------------------------------------------------------- */

/* The longest part of the repository that is worth a login of its own: all but its last name. */
static char *account_of(const struct reg_repo *repo)
{
    const char *slash = strrchr(repo->name, '/');

    return slash ? mir_format("%s/%.*s", repo->host, (int)(slash - repo->name), repo->name)
                 : mir_strdup(repo->host);
}

static bool is_dockercfg(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, ".dockercfg") == 0;
}

/* Keys that look as if they were meant for this host, and are not. */
static void tell_near_misses(struct story *story, const char *path, size_t *count)
{
    struct reg_auth_file file = {.name = mir_strdup(path), .whole_hosts = is_dockercfg(path)};
    auto_free char *bare = mir_strndup(story->repo->host, strcspn(story->repo->host, ":"));

    reg_auth_file_read(&file);
    for (size_t i = 0; i < file.count && *count < NEAR_MISSES_MAX; i++) {
        const char *key = file.entries[i].key;

        if (bare[0] == '\0' || !strcasestr(key, bare))
            continue;
        ++*count;
        advise(story,
               mir_format("%s has \"%.300s\", which does not stand for %s/%s: a key is HOST, "
                          "or HOST/PATH for all below that path",
                          path, key, story->repo->host, story->repo->name));
    }
    reg_auth_file_release(&file);
}

static const char *text_of(const json_t *place, const char *key)
{
    return json_string_value(json_object_get(place, key));
}

static void advise_nobody(struct story *story)
{
    auto_free char *account = account_of(story->repo);
    const json_t *place;
    size_t i;
    size_t count = 0;

    advise(story, mir_format("nobody is logged in to %s: mirror login %s, or mirror login %s",
                             story->repo->host, story->repo->host, account));
    json_array_foreach (story->places, i, place)
        if (mir_starts_with(text_of(place, "outcome"), "no key for"))
            tell_near_misses(story, text_of(place, "place"), &count);
}

/* Files behind the one that won, which have something too. */
static void advise_refused(struct story *story, const struct mir_error *refusal)
{
    static const char behind[] = "not needed: ";
    const char *user = story->creds.user ? story->creds.user : "of the identity token";
    const json_t *place;
    size_t i;

    if (refusal->sys == 403)
        advise(story, mir_format("user %s is known and may not: ask whoever runs %s, or log in as "
                                 "another (%s)",
                                 user, story->repo->host, story->creds.origin));
    else
        advise(story, mir_format("user %s was refused: log in again, or take the entry out (%s)",
                                 user, story->creds.origin));
    json_array_foreach (story->places, i, place) {
        const char *outcome = text_of(place, "outcome");

        if (mir_starts_with(outcome, behind) && !strstr(outcome, "no key for"))
            advise(story, mir_format("%s is not looked at as long as %s comes first (it has %s)",
                                     text_of(place, "place"), story->creds.origin,
                                     outcome + strlen(behind)));
    }
}

/* Somebody has looked at the credentials, or at their absence, and said no. */
static void tell_advice(struct story *story, const struct mir_error *refusal)
{
    if (refusal->code != MIR_E_AUTH || refusal->sys == 0)
        return;
    if (story->creds.found)
        advise_refused(story, refusal);
    else
        advise_nobody(story);
}

/* ---- the whole of it ----------------------------------------------------------------------- */

static void tell(struct story *story, enum reg_explain how, struct mir_error *refusal)
{
    if (!tell_credentials(story, refusal))
        return;
    if (!reg_host_get(story->client, story->repo->host, story->repo->insecure, &story->host,
                      refusal)) {
        set_error(set_object(story->root, "registry"), refusal);
        return;
    }
    if (!tell_registry(story, refusal))
        return;
    (void)tell_pull(story, refusal); /* who may not pull may still push */
    if (how == REG_EXPLAIN_PUSH && refusal->code != MIR_E_CANCELLED)
        tell_push(story);
    tell_advice(story, refusal);
}

static struct story story_begin(struct reg_client *client, const struct reg_repo *repo,
                                const char *reference)
{
    struct story story = {.client = client,
                          .session = reg_session_new(client),
                          .repo = repo,
                          .reference = reference,
                          .root = json_object(),
                          .advice = json_array()};

    set_text(story.root, "host", repo->host);
    set_text(story.root, "repository", repo->name);
    if (reference)
        set_text(story.root, "reference", reference);
    return story;
}

bool reg_explain(const struct reg_options *options, const struct reg_repo *repo,
                 const char *reference, enum reg_explain how, json_t **out,
                 struct mir_error *refusal, struct mir_error *err)
{
    struct reg_client *client = NULL;
    struct story story;

    if (!reg_check_names(repo, reference, err) || !reg_client_new(options, &client, err))
        return false;
    story = story_begin(client, repo, reference);
    tell(&story, how, refusal);
    (void)json_object_set_new(story.root, "advice", story.advice);
    *out = story.root;
    reg_creds_release(&story.creds);
    reg_session_free(story.session);
    reg_client_free(client);
    return true;
}
