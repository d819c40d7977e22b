/*
 * Credentials: which files are read, which key of them is used for a repository. Called once when a
 * client is made, then for every login.
 *
 * Order: an explicit user; an explicit file (then no other is read); else the standard files, the
 * first with a match wins. Keys from most to least specific: host/ns/repo, host/ns, host; then keys
 * in the form of URLs, as docker wrote them.
 * Rule: containers-auth.json(5), and what containers/image does beyond it.
 *
 * Invariant: nothing here changes after loading; secrets are wiped when they are released.
 */
#include "registry/registry_priv.h"

#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/tree.h"

#define ENTRIES_MAX 10000 /* keys of one file */

struct entry {
    char *key;
    char *user;
    char *password;
    char *identity_token;
    char *fault; /* why it cannot be used; NULL if it can */
};

struct auth_file {
    char *name;
    bool whole_hosts; /* ~/.dockercfg: every key is a host, whatever follows */
    struct entry *entries;
    size_t count;
    json_t *helpers; /* key -> program, or NULL */
    char *store;     /* credsStore, or NULL */
};

struct reg_auth {
    struct reg_creds given; /* --creds */
    bool nobody;
    struct auth_file files[4];
    size_t file_count;
    const struct mir_sink *sink;
};

/* ---- releasing ----------------------------------------------------------------------------- */

void reg_creds_release(struct reg_creds *creds)
{
    free(creds->user);
    mir_free_secret(creds->password);
    mir_free_secret(creds->identity_token);
    free(creds->origin);
    *creds = (struct reg_creds){0};
}

static void file_release(struct auth_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        free(file->entries[i].key);
        free(file->entries[i].user);
        mir_free_secret(file->entries[i].password);
        mir_free_secret(file->entries[i].identity_token);
        free(file->entries[i].fault);
    }
    free(file->entries);
    free(file->name);
    free(file->store);
    json_decref(file->helpers);
}

void reg_auth_free(struct reg_auth *auth)
{
    if (!auth)
        return;
    reg_creds_release(&auth->given);
    for (size_t i = 0; i < auth->file_count; i++)
        file_release(&auth->files[i]);
    free(auth);
}

/* ---- reading one file ---------------------------------------------------------------------- */

/* jansson does not wipe what it frees, and hands its strings out as const. */
void reg_wipe_json(const json_t *value)
{
    union {
        const char *text;
        char *bytes;
    } string = {.text = json_string_value(value)};

    mir_wipe(string.bytes, string.text ? json_string_length(value) : 0);
}

static void split_pair(struct entry *entry, struct mir_span pair)
{
    size_t colon;

    if (!mir_span_find(pair, ':', &colon)) {
        entry->fault = mir_strdup("\"auth\" does not hold USER:PASSWORD");
        return;
    }
    entry->user = mir_strndup(pair.ptr, colon);
    entry->password = mir_strndup(pair.ptr + colon + 1, pair.len - colon - 1);
}

static void decode_auth(struct entry *entry, const json_t *auth)
{
    char *pair = NULL;
    size_t len = 0;

    if (!mir_base64_decode(mir_span(json_string_value(auth), json_string_length(auth)), &pair,
                           &len)) {
        entry->fault = mir_strdup("\"auth\" is not base64");
        return;
    }
    if (memchr(pair, '\0', len))
        len = strlen(pair); /* docker once padded with NUL */
    split_pair(entry, mir_span(pair, len));
    mir_wipe(pair, len);
    free(pair);
}

static void read_entry(struct entry *entry, const char *key, const json_t *value)
{
    const json_t *auth = json_object_get(value, "auth");
    const json_t *token = json_object_get(value, "identitytoken");
    const char *user = json_string_value(json_object_get(value, "username"));
    const char *password = json_string_value(json_object_get(value, "password"));

    entry->key = mir_strdup(key);
    if (json_string_length(auth) > 0)
        decode_auth(entry, auth);
    else if (user && user[0] != '\0' && password) {
        entry->user = mir_strdup(user);
        entry->password = mir_strdup(password);
    }
    if (json_string_length(token) > 0)
        entry->identity_token = mir_strdup(json_string_value(token));
    reg_wipe_json(auth);
    reg_wipe_json(token);
    reg_wipe_json(json_object_get(value, "password"));
}

static bool read_entries(struct auth_file *file, json_t *auths, struct mir_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(auths))
        return mir_fail(err, MIR_E_FORMAT, "%s: \"auths\" is not an object", file->name);
    if (json_object_size(auths) > ENTRIES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: over %d entries", file->name, ENTRIES_MAX);
    file->entries = mir_alloc_array(json_object_size(auths) + 1, sizeof(*file->entries));
    json_object_foreach (auths, key, value) {
        if (!json_is_object(value))
            return mir_fail(err, MIR_E_FORMAT, "%s: the entry of \"%s\" is not an object",
                            file->name, key);
        read_entry(&file->entries[file->count++], key, value);
    }
    return true;
}

/* The file's name has to be set. */
static bool parse_file(struct auth_file *file, struct mir_span text, struct mir_error *err)
{
    auto_json *root = NULL;
    json_t *auths;
    const char *store;

    /* An empty file is what some tools leave when nobody is logged in. */
    if (mir_span_trim(text).len == 0)
        return true;
    if (!mir_json_parse(text, file->name, &root, err))
        return false;
    if (!json_is_object(root))
        return mir_fail(err, MIR_E_FORMAT, "%s: not a JSON object", file->name);
    if (file->whole_hosts)
        return read_entries(file, root, err);
    file->helpers = json_incref(json_object_get(root, "credHelpers"));
    store = json_string_value(json_object_get(root, "credsStore"));
    file->store = mir_strdup(store && store[0] != '\0' ? store : NULL);
    auths = json_object_get(root, "auths");
    return !auths || read_entries(file, auths, err);
}

/* ---- which files --------------------------------------------------------------------------- */

static bool fault(const char *name, struct mir_error *err)
{
    /* A file that was named on the command line or in the environment is configuration. */
    err->code = MIR_E_USAGE;
    (void)name;
    return mir_context(err, "credentials");
}

/* Takes path. A missing file is left out unless it was asked for by name. */
static bool add_file(struct reg_auth *auth, char *path, bool required, bool whole_hosts,
                     struct mir_error *err)
{
    struct auth_file *file = &auth->files[auth->file_count];
    auto_free_secret char *text = NULL;
    size_t len;
    bool ok;

    file->name = path;
    if (!required && access(path, F_OK) != 0) {
        free(path);
        return true;
    }
    auth->file_count++;
    file->whole_hosts = whole_hosts;
    if (!mir_file_read(path, REG_AUTHFILE_MAX, &text, &len, err))
        return fault(path, err);
    ok = parse_file(file, mir_span(text, len), err);
    mir_wipe(text, len);
    return ok || fault(path, err);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] != '\0' ? value : NULL;
}

static char *runtime_file(void)
{
    const char *dir = environment("XDG_RUNTIME_DIR");

    if (dir)
        return mir_format("%s/containers/auth.json", dir);
    return mir_format("/run/containers/%u/auth.json", (unsigned)getuid());
}

static bool add_standard_files(struct reg_auth *auth, struct mir_error *err)
{
    const char *home = environment("HOME");
    const char *config = environment("XDG_CONFIG_HOME");
    const char *docker = environment("DOCKER_CONFIG");

    if (!home)
        home = "";
    if (!add_file(auth, runtime_file(), false, false, err))
        return false;
    if (!add_file(auth,
                  config ? mir_format("%s/containers/auth.json", config)
                         : mir_format("%s/.config/containers/auth.json", home),
                  false, false, err))
        return false;
    if (!add_file(auth,
                  docker ? mir_format("%s/config.json", docker)
                         : mir_format("%s/.docker/config.json", home),
                  false, false, err))
        return false;
    return add_file(auth, mir_format("%s/.dockercfg", home), false, true, err);
}

static void take_given(struct reg_auth *auth, const char *creds)
{
    size_t user = strcspn(creds, ":");

    auth->given.found = true;
    auth->given.user = mir_strndup(creds, user);
    auth->given.password = mir_strdup(creds[user] == ':' ? creds + user + 1 : "");
    auth->given.origin = mir_strdup("the command line");
}

bool reg_auth_load(const struct reg_options *options, struct reg_auth **out, struct mir_error *err)
{
    struct reg_auth *auth = mir_alloc(sizeof(*auth));
    const char *named = options->authfile ? options->authfile : environment("REGISTRY_AUTH_FILE");
    bool ok = true;

    auth->sink = options->sink;
    if (options->no_creds)
        auth->nobody = true;
    else if (options->creds)
        take_given(auth, options->creds);
    else if (named)
        ok = add_file(auth, mir_strdup(named), true, false, err);
    else
        ok = add_standard_files(auth, err);
    if (!ok) {
        reg_auth_free(auth);
        return false;
    }
    *out = auth;
    return true;
}

bool reg_auth_parse(struct mir_span text, const char *name, struct reg_auth **out,
                    struct mir_error *err)
{
    struct reg_auth *auth = mir_alloc(sizeof(*auth));

    auth->file_count = 1;
    auth->files[0].name = mir_strdup(name);
    if (!parse_file(&auth->files[0], text, err)) {
        reg_auth_free(auth);
        return false;
    }
    *out = auth;
    return true;
}

/* ---- looking up ---------------------------------------------------------------------------- */

/* docker.io has three names. */
static struct mir_span canonical_host(struct mir_span host)
{
    if (mir_span_is(host, "docker.io") || mir_span_is(host, "registry-1.docker.io"))
        return mir_span_of("index.docker.io");
    return host;
}

/* What host a key in the form of a URL means; other keys stand for themselves. */
static struct mir_span canonical_key(const struct auth_file *file, const char *key)
{
    struct mir_span text = mir_span_of(key);
    bool url = false;
    size_t slash;

    if (mir_starts_with(key, "http://")) {
        text = mir_span_from(text, strlen("http://"));
        url = true;
    } else if (mir_starts_with(key, "https://")) {
        text = mir_span_from(text, strlen("https://"));
        url = true;
    }
    if ((url || file->whole_hosts) && mir_span_find(text, '/', &slash))
        text = mir_span_first(text, slash);
    return canonical_host(text);
}

static bool is_usable(const struct entry *entry)
{
    return entry->fault || entry->user || entry->identity_token;
}

static const struct entry *find_exact(const struct auth_file *file, struct mir_span key)
{
    for (size_t i = 0; i < file->count; i++) {
        if (mir_span_is(key, file->entries[i].key) && is_usable(&file->entries[i]))
            return &file->entries[i];
    }
    return NULL;
}

static const struct entry *find_by_host(const struct auth_file *file, const char *host)
{
    struct mir_span wanted = canonical_host(mir_span_of(host));

    for (size_t i = 0; i < file->count; i++) {
        if (mir_span_equal(canonical_key(file, file->entries[i].key), wanted) &&
            is_usable(&file->entries[i]))
            return &file->entries[i];
    }
    return NULL;
}

static const struct entry *find_in_file(const struct auth_file *file, const char *host,
                                        const char *repo)
{
    auto_free char *whole = mir_format("%s/%s", host, repo);
    struct mir_span key = mir_span_of(whole);

    for (;;) {
        const struct entry *entry = find_exact(file, key);
        size_t slash;

        if (entry)
            return entry;
        if (!mir_span_find_last(key, '/', &slash))
            return find_by_host(file, host);
        key = mir_span_first(key, slash);
    }
}

static void warn_helpers(const struct reg_auth *auth, const struct auth_file *file,
                         const char *host)
{
    const char *helper = json_string_value(json_object_get(file->helpers, host));

    if (!helper)
        helper = file->store;
    if (helper)
        mir_log(auth->sink, MIR_LEVEL_WARN,
                "%s names the credential helper %s for %s; helpers are not used", file->name,
                helper, host);
}

static bool hand_out(const struct auth_file *file, const struct entry *entry, struct reg_creds *out,
                     struct mir_error *err)
{
    if (entry->fault)
        return mir_fail(err, MIR_E_USAGE, "%s: \"%s\": %s", file->name, entry->key, entry->fault);
    *out = (struct reg_creds){.found = true,
                              .user = mir_strdup(entry->user),
                              .password = mir_strdup(entry->password),
                              .identity_token = mir_strdup(entry->identity_token),
                              .origin = mir_format("%s, key \"%s\"", file->name, entry->key)};
    return true;
}

bool reg_auth_find(const struct reg_auth *auth, const char *host, const char *repo,
                   struct reg_creds *out, struct mir_error *err)
{
    *out = (struct reg_creds){0};
    if (auth->nobody)
        return true;
    if (auth->given.found) {
        *out = (struct reg_creds){.found = true,
                                  .user = mir_strdup(auth->given.user),
                                  .password = mir_strdup(auth->given.password),
                                  .origin = mir_strdup(auth->given.origin)};
        return true;
    }
    for (size_t i = 0; i < auth->file_count; i++) {
        const struct entry *entry = find_in_file(&auth->files[i], host, repo);

        if (entry)
            return hand_out(&auth->files[i], entry, out, err);
        warn_helpers(auth, &auth->files[i], host);
    }
    return true;
}
