/*
 * certs.d: certificates for one host, in the folders other tools of the field use. The first folder
 * that exists is used, alone; *.crt are CAs trusted beside the system's, NAME.cert with NAME.key is
 * the client certificate.
 *
 * Rule: containers-certs.d(5).
 */
#include "registry/registry_priv.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERT_FILES_MAX 256 /* in one folder */

struct cert_set {
    const struct mir_sink *sink;
    bool was_named; /* the folder: by an option; else it is one of certs.d */
    char **cas;
    size_t ca_count;
    size_t ca_capacity;
    char *cert;
    char *key;
};

static void cert_set_release(struct cert_set *set)
{
    for (size_t i = 0; i < set->ca_count; i++)
        free(set->cas[i]);
    free(set->cas);
    free(set->cert);
    free(set->key);
}
#define auto_cert_set __attribute__((cleanup(cert_set_release))) struct cert_set

static const char system_dir[] = "/etc/containers/certs.d";

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The folder for a host, or NULL. The caller frees. */
static char *find_dir(const char *host)
{
    static const char *const system[] = {system_dir, "/etc/docker/certs.d"};
    const char *home = getenv("HOME");
    char *path;

    /* A host may come from a challenge; it is one folder's name and nothing else. */
    if (host[0] == '.' || strchr(host, '/'))
        return NULL;
    path = mir_format("%s/.config/containers/certs.d/%s", home ? home : "", host);
    if (home && is_dir(path))
        return path;
    free(path);
    for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
        path = mir_format("%s/%s", system[i], host);
        if (is_dir(path))
            return path;
        free(path);
    }
    return NULL;
}

/* Where certificates for a host would be looked for, for hints. The caller frees. */
static char *proposed_dir(const char *host)
{
    const char *home = getenv("HOME");

    if (geteuid() != 0 && home)
        return mir_format("%s/.config/containers/certs.d/%s", home, host);
    return mir_format("%s/%s", system_dir, host);
}

/* "NAME.cert" has to have its "NAME.key" and the other way round. */
static bool check_partner(const char *dir, const char *name, const char *ending,
                          const char *partner_ending, struct mir_error *err)
{
    size_t stem = strlen(name) - strlen(ending);
    auto_free char *partner = mir_format("%s/%.*s%s", dir, (int)stem, name, partner_ending);
    struct stat st;

    if (stat(partner, &st) == 0)
        return true;
    return mir_fail(err, MIR_E_USAGE, "%s/%s needs %s beside it", dir, name, partner);
}

/* Packages leave links in such folders to what another one would bring; one that leads nowhere is
 * no reason to fail. */
static void take_ca(struct cert_set *set, const char *dir, const char *name)
{
    auto_free char *path = mir_format("%s/%s", dir, name);
    struct stat st;

    if (stat(path, &st) != 0 && errno == ENOENT) {
        mir_log(set->sink, MIR_LEVEL_DEBUG, "%s leads nowhere", path);
        return;
    }
    mir_grow(&set->cas, set->ca_count, &set->ca_capacity, sizeof(*set->cas));
    set->cas[set->ca_count++] = mir_steal(&path);
}

static bool take_file(struct cert_set *set, const char *dir, const char *name,
                      struct mir_error *err)
{
    if (mir_ends_with(name, ".crt")) {
        take_ca(set, dir, name);
        return true;
    }
    if (mir_ends_with(name, ".key"))
        return check_partner(dir, name, ".key", ".cert", err);
    if (!mir_ends_with(name, ".cert"))
        return true;
    if (!check_partner(dir, name, ".cert", ".key", err))
        return false;
    if (!set->cert) {
        set->cert = mir_format("%s/%s", dir, name);
        set->key = mir_format("%s/%.*s.key", dir, (int)(strlen(name) - 5), name);
    }
    return true;
}

static void free_entries(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

static bool read_dir(const char *dir, struct cert_set *set, struct mir_error *err)
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);
    bool ok = true;

    if (count < 0 && errno == EACCES && !set->was_named) {
        mir_log(set->sink, MIR_LEVEL_DEBUG, "%s may not be read", dir);
        return true;
    }
    if (count < 0)
        return mir_fail_errno(err, "certificates in %s", dir);
    if (count > CERT_FILES_MAX)
        ok = mir_fail(err, MIR_E_LIMIT, "%s: over %d files", dir, CERT_FILES_MAX);
    for (int i = 0; ok && i < count; i++)
        ok = take_file(set, dir, entries[i]->d_name, err);
    free_entries(entries, count);
    return ok;
}

char *reg_certs_folder(const struct reg_client *client, const char *host)
{
    return client->options.cert_dir ? mir_strdup(client->options.cert_dir) : find_dir(host);
}

bool reg_certs_load(const struct reg_client *client, const char *host, bool verify,
                    bool verify_away, struct http_tls **tls, struct http_tls **away,
                    struct mir_error *err)
{
    auto_free char *dir = reg_certs_folder(client, host);
    auto_cert_set set = {.sink = client->options.sink,
                         .was_named = client->options.cert_dir != NULL};
    auto_free char *folder = dir ? mir_strdup(dir) : proposed_dir(host);
    struct http_tls_options options = {
        .verify = verify, .folder = folder, .options = client->options.option_prefix};
    struct http_tls *home = NULL;

    if (dir && !read_dir(dir, &set, err))
        return false;
    options.ca_files = (const char *const *)set.cas;
    options.ca_count = set.ca_count;
    options.cert_file = set.cert;
    options.key_file = set.key;
    if (!http_tls_new(&options, &home, err))
        return false;
    options.cert_file = NULL;
    options.key_file = NULL;
    options.verify = verify_away;
    if (!http_tls_new(&options, away, err)) {
        http_tls_free(home);
        return false;
    }
    *tls = home;
    return true;
}

bool reg_certs_exist(const struct reg_client *client, const char *host)
{
    auto_free char *dir = reg_certs_folder(client, host);

    return dir != NULL;
}
