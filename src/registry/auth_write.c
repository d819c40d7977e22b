/*
 * Changing an auth file: one key in or out, everything else as it was. Where the file names a
 * credential helper for a host, that is told instead. Called by login.c.
 *
 * Invariants: the file under its name is always whole, and nobody but its owner may read it; of two
 * programs that change it at the same moment neither undoes what the other did (a lock on its
 * folder, which those of them take that are this program). What was read is wiped.
 * Rule: containers-auth.json(5); written as docker and podman write it, with tabs.
 */
#include "registry/login_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/tree.h"

#define LINKS_MAX 16 /* symbolic links on the way to the file */
#define FILE_MODE 0600
#define DIR_MODE  0700

/* ---- where the file really is -------------------------------------------------------------- */

/* What a symbolic link says; NULL: it is none. The caller frees. */
static char *target_of(const char *path)
{
    char target[4096];
    ssize_t len = readlink(path, target, sizeof(target));
    const char *slash = strrchr(path, '/');

    if (len <= 0 || (size_t)len == sizeof(target))
        return NULL;
    if (target[0] == '/' || !slash)
        return mir_strndup(target, (size_t)len);
    return mir_format("%.*s/%.*s", (int)(slash - path), path, (int)len, target);
}

/* A rename replaces the link, so the file it leads to is what has to be written. */
static bool resolve(const char *path, char **out, struct mir_error *err)
{
    auto_free char *at = mir_strdup(path);

    for (int i = 0; i < LINKS_MAX; i++) {
        char *next = target_of(at);

        if (!next) {
            *out = mir_steal(&at);
            return true;
        }
        free(at);
        at = next;
    }
    return mir_fail(err, MIR_E_IO, "%s: too many symbolic links", path);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mir_strdup(".");
    return slash == path ? mir_strdup("/") : mir_strndup(path, (size_t)(slash - path));
}

static bool make_folder(const char *folder, struct mir_error *err)
{
    if (mkdir(folder, DIR_MODE) == 0 || errno == EEXIST)
        return true;
    if (errno == ENOENT && !mir_make_parent_dirs(folder, err))
        return false;
    return mkdir(folder, DIR_MODE) == 0 || errno == EEXIST ||
           mir_fail_errno(err, "create directory %s", folder);
}

/* ---- the file while it is changed ---------------------------------------------------------- */

struct edit {
    char *path;
    int lock; /* the folder, locked; -1: not there, or no lock to be had */
    json_t *root;
};

static void wipe_strings(json_t *value)
{
    const char *key;
    json_t *child;
    size_t i;

    json_object_foreach (value, key, child)
        wipe_strings(child);
    json_array_foreach (value, i, child)
        wipe_strings(child);
    reg_wipe_json(value);
}

static void edit_release(struct edit *edit)
{
    wipe_strings(edit->root);
    json_decref(edit->root);
    mir_auto_close(&edit->lock);
    free(edit->path);
}
#define auto_edit __attribute__((cleanup(edit_release))) struct edit

/* A file system without locks is no reason not to log in. */
static bool lock_folder(struct edit *edit, struct mir_error *err)
{
    auto_free char *folder = folder_of(edit->path);

    edit->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (edit->lock >= 0 && flock(edit->lock, LOCK_EX) != 0 && errno == EINTR)
        return mir_fail(err, MIR_E_CANCELLED, "stopped while waiting for %s", folder);
    return true;
}

static bool parse(struct edit *edit, struct mir_span text, struct mir_error *err)
{
    json_t *auths;

    /* An empty file is what some tools leave when nobody is logged in. */
    if (mir_span_trim(text).len == 0)
        edit->root = json_object();
    else if (!mir_json_parse_secret(text, edit->path, &edit->root, err))
        return false;
    if (!json_is_object(edit->root))
        return mir_fail(err, MIR_E_FORMAT, "%s: not a JSON object", edit->path);
    auths = json_object_get(edit->root, "auths");
    if (!auths || json_is_null(auths)) {
        auths = json_object();
        (void)json_object_set_new(edit->root, "auths", auths);
    }
    return json_is_object(auths) ||
           mir_fail(err, MIR_E_FORMAT, "%s: \"auths\" is not an object", edit->path);
}

/* A file that is not there is an empty one. */
static bool edit_begin(struct edit *edit, const char *path, struct mir_error *err)
{
    auto_free_secret char *text = NULL;
    size_t len = 0;
    bool ok;

    if (!resolve(path, &edit->path, err) || !lock_folder(edit, err))
        return false;
    if (access(edit->path, F_OK) != 0 && errno == ENOENT)
        return parse(edit, mir_span_of(""), err);
    if (!mir_file_read(edit->path, REG_AUTHFILE_MAX, &text, &len, err))
        return false;
    ok = parse(edit, mir_span(text, len), err);
    mir_wipe(text, len);
    return ok;
}

/* jansson indents with blanks; a line end inside a string is written \n, so every line begins with
 * its indent. */
static void blanks_to_tabs(char *text)
{
    bool indent = true;

    for (char *c = text; *c != '\0'; c++) {
        if (indent && *c == ' ')
            *c = '\t';
        else
            indent = *c == '\n';
    }
}

static bool means(const char *text, const json_t *root)
{
    json_t *read = json_loads(text, 0, NULL);
    bool same = json_equal(read, root);

    wipe_strings(read);
    json_decref(read);
    return same;
}

/* 17 digits are always enough for a number and turn 0.1 into 0.10000000000000001; 15 mostly do. */
static char *text_of(const json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(15));

    if (text && means(text, root))
        return text;
    mir_free_secret(text);
    return json_dumps(root, JSON_INDENT(1));
}

static bool edit_commit(const struct edit *edit, struct mir_error *err)
{
    auto_free_secret char *text = text_of(edit->root);

    if (!text)
        return mir_fail(err, MIR_E_LIMIT, "%s cannot be written as JSON", edit->path);
    blanks_to_tabs(text);
    return mir_file_write(edit->path, mir_span_of(text), FILE_MODE, err);
}

static json_t *auths_of(const struct edit *edit)
{
    return json_object_get(edit->root, "auths");
}

/* ---- helpers ------------------------------------------------------------------------------- */

/* What it answers is of no interest, and might be what it was told. */
static bool tell(const struct reg_auth_place *place, const char *name, const char *verb,
                 const char *input, struct mir_error *err)
{
    auto_buf answer = {0};
    bool ok;

    mir_buf_init(&answer, REG_HELPER_OUTPUT_MAX);
    ok = reg_helper_run(name, verb, mir_span_of(input), &answer, place->cancel, place->sink, err);
    mir_wipe(answer.ptr, answer.len);
    return ok;
}

bool reg_helper_store(const struct reg_auth_place *place, const char *name, const char *server,
                      const char *creds, struct mir_error *err)
{
    size_t user = strcspn(creds, ":");
    auto_json *message = json_object();
    auto_free_secret char *text = NULL;

    (void)json_object_set_new(message, "ServerURL", json_string(server));
    (void)json_object_set_new(message, "Username", json_stringn(creds, user));
    (void)json_object_set_new(message, "Secret", json_string(creds + user + 1));
    if (json_object_size(message) == 3)
        text = json_dumps(message, JSON_COMPACT);
    reg_wipe_json(json_object_get(message, "Secret"));
    if (!text)
        return mir_fail(err, MIR_E_USAGE,
                        "docker-credential-%s takes UTF-8 only: the user or password is not", name);
    return tell(place, name, "store", text, err);
}

bool reg_helper_erase(const struct reg_auth_place *place, const char *name, const char *server,
                      bool *erased, struct mir_error *err)
{
    struct mir_error trouble = MIR_ERROR_INIT;

    if (tell(place, name, "erase", server, &trouble)) {
        *erased = true;
        return true;
    }
    if (trouble.code == MIR_E_NOT_FOUND)
        return true;
    *err = trouble;
    return false;
}

/* What it holds: {"SERVER": "USER", ...}. */
bool reg_helper_erase_all(const struct reg_auth_place *place, const char *name, bool *erased,
                          struct mir_error *err)
{
    auto_buf answer = {0};
    auto_json *servers = NULL;
    const char *server;
    json_t *user;

    mir_buf_init(&answer, REG_HELPER_OUTPUT_MAX);
    if (!reg_helper_run(name, "list", mir_span_of(""), &answer, place->cancel, place->sink, err) ||
        !mir_json_parse_secret(mir_buf_span(&answer), name, &servers, err))
        return false;
    json_object_foreach (servers, server, user)
        if (!reg_helper_erase(place, name, server, erased, err))
            return false;
    return true;
}

/* docker and podman have different names for docker.io in helpers; each file is its tool's. */
static const char *server_of(const struct reg_auth_file *file, const char *host)
{
    if (!reg_auth_is_docker_io(host) || json_object_get(file->helpers, host))
        return host;
    return REG_DOCKER_IO_URL;
}

/* The helper for a whole host: one that is named for it, or the store of all. NULL: the file
 * itself. Borrowed from file. */
static const char *helper_of(const struct reg_auth_file *file, const struct reg_account *account)
{
    const char *name = reg_auth_file_helper(file, account->host);

    if (account->path[0] != '\0')
        return NULL;
    return name ? name : file->store;
}

/* A look-up asks the helper of a host before it looks at keys, and helpers keep whole hosts. */
static bool check_part(const struct reg_auth_file *file, const struct reg_account *account,
                       struct mir_error *err)
{
    const char *name = reg_auth_file_helper(file, account->host);

    if (account->path[0] == '\0' || !name)
        return true;
    (void)mir_fail(err, MIR_E_USAGE,
                   "%s names docker-credential-%s for %s, so a login to %s/%s would not be found",
                   file->name, name, account->host, account->host, account->path);
    return mir_hint(err, "log in to %s as a whole, or name another file with --authfile",
                    account->host);
}

#define auto_file __attribute__((cleanup(reg_auth_file_release))) struct reg_auth_file

/* ---- one entry ----------------------------------------------------------------------------- */

/* All keys that a look-up for a host takes for it; of a part of a host there is one spelling. */
static bool is_key_of(const struct reg_auth_file *file, const char *key, const char *text,
                      const struct reg_account *account)
{
    return strcmp(key, text) == 0 ||
           (account->path[0] == '\0' && reg_auth_key_is_host(file, key, account->host));
}

static bool remove_entry(const struct reg_auth_file *file, const char *text,
                         const struct reg_account *account, bool *erased, struct mir_error *err)
{
    auto_edit edit = {.lock = -1};
    const char *key;
    json_t *entry;
    void *next;
    bool any = false;

    if (!edit_begin(&edit, file->name, err))
        return false;
    json_object_foreach_safe (auths_of(&edit), next, key, entry) {
        if (!is_key_of(file, key, text, account))
            continue;
        wipe_strings(entry);
        (void)json_object_del(auths_of(&edit), key);
        any = true;
    }
    *erased = *erased || any;
    return !any || edit_commit(&edit, err);
}

/* What other tools wrote into the entry stays, except other ways to log in. */
static bool set_entry(struct edit *edit, const char *account, const char *creds,
                      struct mir_error *err)
{
    static const char *const others[] = {"username", "password", "identitytoken", "registrytoken"};
    auto_free_secret char *code = mir_base64_encode(mir_span_of(creds));
    json_t *entry = json_object_get(auths_of(edit), account);

    if (!json_is_object(entry)) {
        entry = json_object();
        if (json_object_set_new(auths_of(edit), account, entry) != 0)
            return mir_fail(err, MIR_E_USAGE, "\"%s\" cannot be a key", account);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        reg_wipe_json(json_object_get(entry, others[i]));
        (void)json_object_del(entry, others[i]);
    }
    reg_wipe_json(json_object_get(entry, "auth"));
    (void)json_object_set_new(entry, "auth", json_string(code));
    return true;
}

static bool write_entry(const char *path, const char *account, const char *creds,
                        struct mir_error *err)
{
    auto_edit edit = {.lock = -1};

    return edit_begin(&edit, path, err) && set_entry(&edit, account, creds, err) &&
           edit_commit(&edit, err);
}

/* ---- storing ------------------------------------------------------------------------------- */

/* An entry of the file would be found before what the store of all holds. */
static bool store_in_helper(const struct reg_auth_place *place, const struct reg_auth_file *file,
                            const char *name, const char *text, const char *creds,
                            struct mir_error *err)
{
    auto_account account = reg_account_of(text);
    bool ignored = false;

    return reg_helper_store(place, name, server_of(file, account.host), creds, err) &&
           remove_entry(file, text, &account, &ignored, err);
}

/* A file that a look-up cannot read is not made worse. */
static bool read_file(const struct reg_auth_place *place, struct reg_auth_file *file,
                      struct mir_error *err)
{
    file->name = mir_strdup(place->path);
    reg_auth_file_read(file);
    if (!file->is_broken)
        return true;
    *err = file->trouble;
    (void)mir_hint(err, "mend the file, or name another with --authfile");
    return false;
}

/* There is nothing yet but perhaps links to where it will be. */
static bool make_room(const char *path, struct mir_error *err)
{
    auto_free char *real = NULL;
    auto_free char *folder = NULL;

    if (!resolve(path, &real, err))
        return false;
    folder = folder_of(real);
    return make_folder(folder, err);
}

bool reg_auth_store(const struct reg_auth_place *place, const char *text, const char *creds,
                    char **where, struct mir_error *err)
{
    auto_account account = reg_account_of(text);
    auto_file file = {0};
    const char *helper;

    if (!read_file(place, &file, err) || !check_part(&file, &account, err))
        return false;
    helper = helper_of(&file, &account);
    if (helper) {
        if (!store_in_helper(place, &file, helper, text, creds, err))
            return mir_context(err, "%s", place->path);
        *where = mir_format("docker-credential-%s, which %s names", helper, place->path);
        return true;
    }
    if (!make_room(place->path, err) || !write_entry(place->path, text, creds, err))
        return false;
    *where = mir_strdup(place->path);
    return true;
}

/* ---- erasing ------------------------------------------------------------------------------- */

bool reg_auth_erase(const struct reg_auth_place *place, const char *text, bool *erased,
                    struct mir_error *err)
{
    auto_account account = reg_account_of(text);
    auto_file file = {0};
    const char *helper;

    if (!read_file(place, &file, err))
        return false;
    helper = helper_of(&file, &account);
    if (helper && !reg_helper_erase(place, helper, server_of(&file, account.host), erased, err))
        return mir_context(err, "%s", place->path);
    return remove_entry(&file, text, &account, erased, err);
}

static bool empty_helpers(const struct reg_auth_place *place, const struct reg_auth_file *file,
                          bool *erased, struct mir_error *err)
{
    const char *server;
    json_t *name;

    json_object_foreach (file->helpers, server, name)
        if (json_is_string(name) &&
            !reg_helper_erase(place, json_string_value(name), server, erased, err))
            return false;
    return !file->store || reg_helper_erase_all(place, file->store, erased, err);
}

bool reg_auth_erase_all(const struct reg_auth_place *place, bool *erased, struct mir_error *err)
{
    auto_file file = {0};
    auto_edit edit = {.lock = -1};

    if (!read_file(place, &file, err))
        return false;
    if (!empty_helpers(place, &file, erased, err))
        return mir_context(err, "%s", place->path);
    if (!edit_begin(&edit, place->path, err))
        return false;
    if (json_object_size(auths_of(&edit)) == 0)
        return true;
    *erased = true;
    wipe_strings(auths_of(&edit));
    (void)json_object_clear(auths_of(&edit));
    return edit_commit(&edit, err);
}
