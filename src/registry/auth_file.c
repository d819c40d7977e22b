/*
 * Reading one auth file: auth.json, docker's config.json, an OpenShift pull secret (which is one),
 * or docker's older .dockercfg. Called by auth_look.c when a client is made.
 *
 * Rule: containers-auth.json(5), and what containers/image and docker read beyond it.
 * Invariants: a file that is broken is a trouble for the look-up that gets to it, not before; an
 * entry that is broken, for the repository that needs it; secrets are wiped when they are released.
 */
#include "registry/auth_priv.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/tree.h"

#define ENTRIES_MAX 10000       /* keys of one file */
#define SECRET_MAX  (64u << 10) /* bytes of "auth", of a token, of a password */

/* ---- releasing ----------------------------------------------------------------------------- */

void reg_creds_release(struct reg_creds *creds)
{
    free(creds->user);
    mir_free_secret(creds->password);
    mir_free_secret(creds->identity_token);
    free(creds->origin);
    *creds = (struct reg_creds){0};
}

void reg_auth_file_release(struct reg_auth_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        free(file->entries[i].key);
        free(file->entries[i].user);
        mir_free_secret(file->entries[i].password);
        mir_free_secret(file->entries[i].identity_token);
    }
    free(file->entries);
    free(file->name);
    free(file->store);
    json_decref(file->helpers);
}

/* jansson does not wipe what it frees, and hands its strings out as const. */
void reg_wipe_json(const json_t *value)
{
    union {
        const char *text;
        char *bytes;
    } string = {.text = json_string_value(value)};

    mir_wipe(string.bytes, string.text ? json_string_length(value) : 0);
}

/* ---- one entry ----------------------------------------------------------------------------- */

bool reg_auth_entry_is_empty(const struct reg_auth_entry *entry)
{
    bool has_user = entry->user && entry->user[0] != '\0';
    bool has_password = entry->password && entry->password[0] != '\0';

    return !entry->fault && !has_user && !has_password && !entry->identity_token;
}

/* docker passes over what has no colon, and so does containers/image. */
static void split_pair(struct reg_auth_entry *entry, struct mir_span pair)
{
    size_t colon;

    /* docker once padded with NUL */
    while (pair.len > 0 && pair.ptr[pair.len - 1] == '\0')
        pair.len--;
    if (memchr(pair.ptr, '\0', pair.len))
        entry->fault = "\"auth\" holds a NUL byte";
    else if (mir_span_find(pair, ':', &colon)) {
        entry->user = mir_strndup(pair.ptr, colon);
        entry->password = mir_strndup(pair.ptr + colon + 1, pair.len - colon - 1);
    } else if (pair.len > 0) {
        entry->fault = "\"auth\" does not hold USER:PASSWORD";
        entry->is_passed_over = true;
    }
}

static void decode_auth(struct reg_auth_entry *entry, const json_t *auth)
{
    struct mir_span text = mir_span(json_string_value(auth), json_string_length(auth));
    char *pair = NULL;
    size_t len = 0;

    if (!mir_base64_decode(text, &pair, &len)) {
        entry->fault = "\"auth\" is not base64";
        return;
    }
    split_pair(entry, mir_span(pair, len));
    mir_wipe(pair, len);
    free(pair);
}

/* Null counts as not there. */
static bool is_string(const json_t *value)
{
    return !value || json_is_null(value) || json_is_string(value);
}

static const char *find_fault(const json_t *value)
{
    static const struct {
        const char *name, *wrong_type, *too_long;
    } fields[] = {
        {"auth", "\"auth\" is not a string", "\"auth\" is too long"},
        {"identitytoken", "\"identitytoken\" is not a string", "\"identitytoken\" is too long"},
        {"username", "\"username\" is not a string", "\"username\" is too long"},
        {"password", "\"password\" is not a string", "\"password\" is too long"},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const json_t *field = json_object_get(value, fields[i].name);

        if (!is_string(field))
            return fields[i].wrong_type;
        if (json_string_length(field) > SECRET_MAX)
            return fields[i].too_long;
    }
    return NULL;
}

static void read_entry(struct reg_auth_entry *entry, const char *key, const json_t *value)
{
    const json_t *auth = json_object_get(value, "auth");
    const json_t *token = json_object_get(value, "identitytoken");
    const char *user = json_string_value(json_object_get(value, "username"));
    const char *password = json_string_value(json_object_get(value, "password"));

    entry->key = mir_strdup(key);
    entry->fault = find_fault(value);
    if (!entry->fault && json_string_length(auth) > 0)
        decode_auth(entry, auth);
    else if (!entry->fault && user && user[0] != '\0' && password) {
        entry->user = mir_strdup(user);
        entry->password = mir_strdup(password);
    }
    if (!entry->fault && json_string_length(token) > 0)
        entry->identity_token = mir_strdup(json_string_value(token));
    reg_wipe_json(auth);
    reg_wipe_json(token);
    reg_wipe_json(json_object_get(value, "password"));
}

/* ---- the file ------------------------------------------------------------------------------ */

static bool read_entries(struct reg_auth_file *file, json_t *auths, struct mir_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(auths))
        return mir_fail(err, MIR_E_FORMAT, "%s: \"auths\" is not an object", file->name);
    if (json_object_size(auths) > ENTRIES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: over %d entries", file->name, ENTRIES_MAX);
    file->entries = mir_alloc_array(json_object_size(auths) + 1, sizeof(*file->entries));
    json_object_foreach (auths, key, value) {
        if (!json_is_object(value) && !json_is_null(value))
            return mir_fail(err, MIR_E_FORMAT, "%s: the entry of \"%.200s\" is not an object",
                            file->name, key);
        read_entry(&file->entries[file->count++], key, value);
    }
    return true;
}

static bool read_helpers(struct reg_auth_file *file, json_t *root, struct mir_error *err)
{
    json_t *helpers = json_object_get(root, "credHelpers");
    const json_t *store = json_object_get(root, "credsStore");
    const char *key;
    json_t *value;

    if (!is_string(store))
        return mir_fail(err, MIR_E_FORMAT, "%s: \"credsStore\" is not a string", file->name);
    if (json_string_length(store) > 0)
        file->store = mir_strdup(json_string_value(store));
    if (!helpers || json_is_null(helpers))
        return true;
    if (!json_is_object(helpers))
        return mir_fail(err, MIR_E_FORMAT, "%s: \"credHelpers\" is not an object", file->name);
    json_object_foreach (helpers, key, value) {
        if (!json_is_string(value))
            return mir_fail(err, MIR_E_FORMAT, "%s: the helper of \"%.200s\" is not a string",
                            file->name, key);
    }
    file->helpers = json_incref(helpers);
    return true;
}

bool reg_auth_file_parse(struct reg_auth_file *file, struct mir_span text, struct mir_error *err)
{
    auto_json *root = NULL;
    json_t *auths;

    /* An empty file is what some tools leave when nobody is logged in. */
    if (mir_span_trim(text).len == 0)
        return true;
    if (!mir_json_parse_secret(text, file->name, &root, err))
        return false;
    if (!json_is_object(root))
        return mir_fail(err, MIR_E_FORMAT, "%s: not a JSON object", file->name);
    if (file->whole_hosts)
        return read_entries(file, root, err);
    if (!read_helpers(file, root, err))
        return false;
    auths = json_object_get(root, "auths");
    return !auths || json_is_null(auths) || read_entries(file, auths, err);
}

static bool load(struct reg_auth_file *file, struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len = 0;
    bool ok;

    if (!mir_file_read(file->name, REG_AUTHFILE_MAX, &text, &len, err))
        return false;
    ok = reg_auth_file_parse(file, mir_span(text, len), err);
    mir_wipe(text, len);
    return ok;
}

void reg_auth_file_read(struct reg_auth_file *file)
{
    struct stat about;
    int failed = stat(file->name, &about) == 0 ? 0 : errno;

    /* What cannot even be looked for may be there. */
    file->is_there = failed != ENOENT && failed != ENOTDIR;
    errno = failed;
    if (failed != 0)
        (void)mir_fail_errno(&file->trouble, "%s", file->name);
    file->is_broken = file->is_there && (failed != 0 || !load(file, &file->trouble));
}
