/*
 * Credentials: which files are read, in which order files and helpers are asked for a repository.
 * Loaded once when a client is made, then asked for every login.
 *
 * Order: an explicit user; then the helpers of registries.conf in their order, of which one, and
 * without that list the only one, is the auth files: an explicit file (then no other is read), else
 * the standard files. The first with a match wins. In one file: the helper its credHelpers name for
 * the host, the keys from most to least specific, its credsStore.
 * Rule: containers-auth.json(5), and what containers/image does beyond it; credsStore, which it
 * does not read, is asked last, and a store that does not work is no more than a warning.
 *
 * Invariant: what was loaded does not change; what the helpers said, and what has been logged, have
 * locks of their own.
 */
#include "registry/auth_priv.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/map.h"

#define BUILT_IN      "containers-auth.json"
#define GIVEN_ORIGIN  "the command line"
#define OUTCOME_BYTES 700
#define PASSWD_BYTES  4096

/* The repositories of which it has been logged whose credentials are used. */
struct told {
    pthread_mutex_t lock;
    struct mir_map *repos;
};

struct reg_auth {
    struct reg_creds given; /* --creds */
    bool nobody;
    struct reg_auth_file files[REG_AUTH_FILES];
    size_t file_count;
    const char *const *order; /* helpers of registries.conf; borrowed */
    size_t order_count;
    struct reg_helpers *helpers;
    const struct mir_sink *sink;
    struct told *told;
};

void reg_auth_free(struct reg_auth *auth)
{
    if (!auth)
        return;
    reg_creds_release(&auth->given);
    for (size_t i = 0; i < auth->file_count; i++)
        reg_auth_file_release(&auth->files[i]);
    reg_helpers_free(auth->helpers);
    (void)pthread_mutex_destroy(&auth->told->lock);
    mir_map_free(auth->told->repos);
    free(auth->told);
    free(auth);
}

/* ---- which files --------------------------------------------------------------------------- */

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

/* podman and skopeo write where DOCKER_CONFIG says, although they read the runtime file first. */
char *reg_auth_default_file(void)
{
    const char *named = environment("REGISTRY_AUTH_FILE");
    const char *docker = environment("DOCKER_CONFIG");

    if (named)
        return mir_strdup(named);
    return docker ? mir_format("%s/config.json", docker) : runtime_file();
}

/* A service may have no HOME. */
static char *home_dir(void)
{
    const char *home = environment("HOME");
    char text[PASSWD_BYTES];
    struct passwd entry, *found = NULL;

    if (home)
        return mir_strdup(home);
    if (getpwuid_r(getuid(), &entry, text, sizeof(text), &found) != 0 || !found)
        return mir_strdup("");
    return mir_strdup(found->pw_dir);
}

/* Takes path. */
static struct reg_auth_file *add_file(struct reg_auth *auth, char *path)
{
    struct reg_auth_file *file = &auth->files[auth->file_count++];

    file->name = path;
    return file;
}

static void add_standard_files(struct reg_auth *auth)
{
    const char *config = environment("XDG_CONFIG_HOME");
    const char *docker = environment("DOCKER_CONFIG");
    auto_free char *home = home_dir();

    reg_auth_file_read(add_file(auth, runtime_file()));
    reg_auth_file_read(add_file(auth, config
                                          ? mir_format("%s/containers/auth.json", config)
                                          : mir_format("%s/.config/containers/auth.json", home)));
    reg_auth_file_read(add_file(auth, docker ? mir_format("%s/config.json", docker)
                                             : mir_format("%s/.docker/config.json", home)));
    add_file(auth, mir_format("%s/.dockercfg", home))->whole_hosts = true;
    reg_auth_file_read(&auth->files[auth->file_count - 1]);
}

/* A broken file is configuration that has to be mended. */
static bool trouble_of(const struct reg_auth_file *file, struct mir_error *err)
{
    *err = file->trouble;
    err->code = MIR_E_USAGE;
    return mir_context(err, "credentials");
}

/* A file that was named has to be there, and in order. */
static bool add_named_file(struct reg_auth *auth, const char *path, struct mir_error *err)
{
    struct reg_auth_file *file = add_file(auth, mir_strdup(path));

    reg_auth_file_read(file);
    return (file->is_there && !file->is_broken) || trouble_of(file, err);
}

static void take_given(struct reg_auth *auth, const char *creds)
{
    size_t user = strcspn(creds, ":");

    auth->given.found = true;
    auth->given.user = mir_strndup(creds, user);
    auth->given.password = mir_strdup(creds[user] == ':' ? creds + user + 1 : "");
    auth->given.origin = mir_strdup(GIVEN_ORIGIN);
}

static struct reg_auth *auth_new(const struct reg_options *options)
{
    static const char *const built_in[] = {BUILT_IN};
    struct reg_auth *auth = mir_alloc(sizeof(*auth));

    auth->sink = options->sink;
    auth->order = options->helpers ? options->helpers : built_in;
    auth->order_count = options->helpers ? options->helper_count : 1;
    auth->helpers = reg_helpers_new(options);
    auth->told = mir_alloc(sizeof(*auth->told));
    auth->told->repos = mir_map_new();
    (void)pthread_mutex_init(&auth->told->lock, NULL);
    return auth;
}

bool reg_auth_load(const struct reg_options *options, struct reg_auth **out, struct mir_error *err)
{
    struct reg_auth *auth = auth_new(options);
    const char *named = options->authfile ? options->authfile : environment("REGISTRY_AUTH_FILE");
    bool ok = true;

    if (options->no_creds)
        auth->nobody = true;
    else if (options->creds)
        take_given(auth, options->creds);
    else if (named)
        ok = add_named_file(auth, named, err);
    else
        add_standard_files(auth);
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
    struct reg_auth *auth = auth_new(&(struct reg_options){.creds = NULL});
    struct reg_auth_file *file = add_file(auth, mir_strdup(name));

    file->is_there = true;
    if (!reg_auth_file_parse(file, text, err)) {
        reg_auth_free(auth);
        return false;
    }
    *out = auth;
    return true;
}

struct reg_auth *reg_auth_of_texts(const struct mir_span texts[REG_AUTH_FILES])
{
    struct reg_auth *auth = auth_new(&(struct reg_options){.creds = NULL});

    for (size_t i = 0; i < REG_AUTH_FILES; i++) {
        struct reg_auth_file *file = add_file(auth, mir_format("file %zu", i + 1));

        file->whole_hosts = i + 1 == REG_AUTH_FILES;
        file->is_there = texts[i].ptr != NULL;
        file->is_broken = file->is_there && !reg_auth_file_parse(file, texts[i], &file->trouble);
    }
    return auth;
}

/* ---- looking up ---------------------------------------------------------------------------- */

struct look {
    const struct reg_auth *auth;
    const char *host;
    const char *repo;
    const struct reg_auth_trace *trace; /* or NULL */
    struct reg_creds *out;
};

static void saw(const struct look *look, const char *place, const char *fmt, ...) MIR_PRINTF(3, 4);

static void saw(const struct look *look, const char *place, const char *fmt, ...)
{
    char outcome[OUTCOME_BYTES];
    va_list args;

    if (!look->trace)
        return;
    va_start(args, fmt);
    (void)vsnprintf(outcome, sizeof(outcome), fmt, args);
    va_end(args);
    for (char *c = outcome; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    look->trace->saw(look->trace->ctx, place, outcome);
}

/* What a helper has, which nothing but itself can say. place: the file that names it, or itself. */
static bool look_in_helper(const struct look *look, const char *name, const char *place,
                           bool *fresh, struct mir_error *err)
{
    if (!reg_helpers_get(look->auth->helpers, name, look->host, fresh, look->out, err)) {
        saw(look, place, "%s", err->text);
        return false;
    }
    if (!look->out->found)
        saw(look, place, "docker-credential-%s: no credentials for %s", name, look->host);
    else if (look->out->identity_token)
        saw(look, place, "docker-credential-%s: an identity token", name);
    else
        saw(look, place, "docker-credential-%s: user %s", name, look->out->user);
    return true;
}

/* A helper that a file names, for this host or as the store of all. */
static bool look_behind_file(const struct look *look, const struct reg_auth_file *file,
                             const char *name, bool *fresh, struct mir_error *err)
{
    auto_free char *origin = NULL;

    if (!look_in_helper(look, name, file->name, fresh, err))
        return mir_context(err, "credentials: %s", file->name);
    if (look->out->found) {
        origin = look->out->origin;
        look->out->origin = mir_format("%s, %s", file->name, origin);
    }
    return true;
}

/* docker keeps everything in its store, and skopeo and podman do not know of it: that one does not
 * work here must not hold up what would work without. */
static bool look_in_store(const struct look *look, const struct reg_auth_file *file,
                          struct mir_error *err)
{
    struct mir_error why = MIR_ERROR_INIT;
    bool fresh = false;

    if (!file->store || look_behind_file(look, file, file->store, &fresh, &why))
        return true;
    if (why.code == MIR_E_CANCELLED) {
        *err = why;
        return false;
    }
    if (fresh)
        mir_log(look->auth->sink, MIR_LEVEL_WARN, "%s (credsStore): going on without it", why.text);
    return true;
}

static void use_entry(const struct look *look, const struct reg_auth_file *file,
                      const struct reg_auth_entry *entry)
{
    *look->out = (struct reg_creds){.found = true,
                                    .user = mir_strdup(entry->user),
                                    .password = mir_strdup(entry->password),
                                    .identity_token = mir_strdup(entry->identity_token),
                                    .origin = mir_format("%s, key \"%s\"", file->name, entry->key)};
    saw(look, file->name, "key \"%.300s\": %s%.200s", entry->key,
        entry->identity_token ? "an identity token" : "user ",
        entry->identity_token ? "" : entry->user);
}

static bool look_at_entry(const struct look *look, const struct reg_auth_file *file,
                          struct reg_auth_entry *entry, struct mir_error *err)
{
    if (!entry)
        saw(look, file->name, "no key for %s/%s", look->host, look->repo);
    else if (entry->fault && !entry->is_passed_over) {
        saw(look, file->name, "key \"%.300s\": %s", entry->key, entry->fault);
        (void)mir_fail(err, MIR_E_USAGE, "%s: \"%.300s\": %s", file->name, entry->key,
                       entry->fault);
        return mir_context(err, "credentials");
    } else if (entry->fault) {
        saw(look, file->name, "key \"%.300s\": %s; passed over", entry->key, entry->fault);
        if (!atomic_exchange(&entry->is_known, true))
            mir_log(look->auth->sink, MIR_LEVEL_WARN, "%s: \"%.300s\": %s: passed over", file->name,
                    entry->key, entry->fault);
    } else if (reg_auth_entry_is_empty(entry))
        saw(look, file->name, "key \"%.300s\": empty", entry->key);
    else
        use_entry(look, file, entry);
    return true;
}

static bool look_in_file(const struct look *look, const struct reg_auth_file *file,
                         struct mir_error *err)
{
    const char *helper = reg_auth_file_helper(file, look->host);
    bool fresh = false;

    if (!file->is_there) {
        saw(look, file->name, "not there");
        return true;
    }
    if (file->is_broken) {
        saw(look, file->name, "%s", file->trouble.text);
        return trouble_of(file, err);
    }
    if (helper)
        return look_behind_file(look, file, helper, &fresh, err);
    if (!look_at_entry(look, file, reg_auth_file_find(file, look->host, look->repo), err))
        return false;
    return look->out->found || look_in_store(look, file, err);
}

/* A file behind the one that won: what it would have said, without asking any helper. */
static void look_past(const struct look *look, const struct reg_auth_file *file)
{
    const struct reg_auth_entry *entry = reg_auth_file_find(file, look->host, look->repo);
    const char *helper = reg_auth_file_helper(file, look->host);

    if (!file->is_there)
        saw(look, file->name, "not there");
    else if (file->is_broken)
        saw(look, file->name, "not needed, and broken: %s", file->trouble.text);
    else if (helper)
        saw(look, file->name, "not needed: docker-credential-%s for %s", helper, look->host);
    else if (entry)
        saw(look, file->name, "not needed: key \"%.300s\"", entry->key);
    else
        saw(look, file->name, "not needed: no key for %s/%s", look->host, look->repo);
}

static bool look_in_files(const struct look *look, struct mir_error *err)
{
    for (size_t i = 0; i < look->auth->file_count; i++) {
        const struct reg_auth_file *file = &look->auth->files[i];

        if (look->out->found)
            look_past(look, file);
        else if (!look_in_file(look, file, err))
            return false;
    }
    return true;
}

/* One of the helpers that registries.conf lists. */
static bool look_in_place(const struct look *look, const char *name, struct mir_error *err)
{
    bool fresh = false;

    if (strcmp(name, BUILT_IN) == 0)
        return look_in_files(look, err);
    return look_in_helper(look, name, name, &fresh, err) || mir_context(err, "credentials");
}

/* One that fails is passed over as long as another has something. */
static bool look_in_order(const struct look *look, struct mir_error *err)
{
    struct mir_error first = MIR_ERROR_INIT;

    for (size_t i = 0; i < look->auth->order_count && !look->out->found; i++) {
        struct mir_error why = MIR_ERROR_INIT;

        if (look_in_place(look, look->auth->order[i], &why))
            continue;
        if (first.code == MIR_OK || why.code == MIR_E_CANCELLED)
            first = why;
        if (why.code == MIR_E_CANCELLED)
            break;
    }
    if (look->out->found || first.code == MIR_OK)
        return true;
    *err = first;
    return false;
}

/* Once for each repository, though it is looked up for every request. */
static void tell(const struct reg_auth *auth, const char *host, const char *repo,
                 const struct reg_creds *creds)
{
    auto_free char *name = NULL;
    bool is_new;

    if (!auth->sink || auth->sink->level < MIR_LEVEL_DEBUG)
        return;
    name = mir_format("%s/%s", host, repo);
    (void)pthread_mutex_lock(&auth->told->lock);
    is_new = !mir_map_find(auth->told->repos, mir_span_of(name));
    mir_map_set(auth->told->repos, mir_span_of(name), auth->told);
    (void)pthread_mutex_unlock(&auth->told->lock);
    if (is_new)
        mir_log(auth->sink, MIR_LEVEL_DEBUG, "credentials for %s: %s", name,
                creds->found ? creds->origin : "none");
}

static bool look_everywhere(const struct look *look, struct mir_error *err)
{
    const struct reg_creds *given = &look->auth->given;

    if (look->auth->nobody) {
        saw(look, GIVEN_ORIGIN, "no credentials are to be used");
        return true;
    }
    if (!given->found)
        return look_in_order(look, err);
    *look->out = (struct reg_creds){.found = true,
                                    .user = mir_strdup(given->user),
                                    .password = mir_strdup(given->password),
                                    .origin = mir_strdup(given->origin)};
    saw(look, GIVEN_ORIGIN, "user %s", given->user);
    return true;
}

bool reg_auth_look(const struct reg_auth *auth, const char *host, const char *repo,
                   const struct reg_auth_trace *trace, struct reg_creds *out, struct mir_error *err)
{
    const struct look look = {.auth = auth, .host = host, .repo = repo, .trace = trace, .out = out};

    *out = (struct reg_creds){0};
    if (!look_everywhere(&look, err))
        return false;
    tell(auth, host, repo, out);
    return true;
}

bool reg_auth_find(const struct reg_auth *auth, const char *host, const char *repo,
                   struct reg_creds *out, struct mir_error *err)
{
    return reg_auth_look(auth, host, repo, NULL, out, err);
}
