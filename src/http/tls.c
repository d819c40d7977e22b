/*
 * TLS settings: which certificates are trusted, and whether a client certificate is shown. Built
 * once for a host by src/registry, read by every try.
 *
 * The system's trust is a bundle file and a directory. SSL_CERT_FILE takes the place of the file
 * alone, SSL_CERT_DIR that of the directory alone, as in the tools that are written in Go; what
 * cannot be read counts for nothing. Extra CAs come on top, never instead. libcurl takes them as
 * one block of PEM that replaces its bundle file but not its directory; where there is no directory
 * the bundle goes into the block too.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define CA_FILE_MAX      (4u << 20)
#define CA_TOTAL_MAX     (16u << 20)
#define CA_DIR_FILES_MAX 4096 /* in one folder of SSL_CERT_DIR */
#define PAIR_FILE_MAX    (1u << 20)

static const char begin_certificate[] = "-----BEGIN ";

/* ---- the system's trust -------------------------------------------------------------------- */

/* What the environment has instead; NULL where that is nothing, or what would be taken anyway:
 * plenty of machines name the system's own, and reading it once more for each connection is slow.
 */
static const char *instead(const char *variable, const char *systems)
{
    const char *value = getenv(variable);

    if (!value || value[0] == '\0' || (systems && strcmp(value, systems) == 0))
        return NULL;
    return value;
}

static const char *own_file(void)
{
    return instead("SSL_CERT_FILE", curl_version_info(CURLVERSION_NOW)->cainfo);
}

static const char *own_dirs(void)
{
    return instead("SSL_CERT_DIR", curl_version_info(CURLVERSION_NOW)->capath);
}

static bool is_readable(const char *path, int how)
{
    return path && access(path, how) == 0;
}

static void find_system_trust(struct http_tls *tls)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    const char *file = own_file() ? own_file() : info->cainfo;

    if (is_readable(file, R_OK))
        tls->ca_file = mir_strdup(file);
    else if (own_file())
        tls->note = mir_format(" (SSL_CERT_FILE names %s, which cannot be read)", file);
    if (!own_dirs() && is_readable(info->capath, R_OK | X_OK))
        tls->ca_path = mir_strdup(info->capath);
}

static void add_pem(struct mir_buf *blob, struct mir_span text)
{
    mir_buf_add(blob, text);
    mir_buf_char(blob, '\n');
}

/* A file of a folder, if it is a readable certificate: such folders hold other things, too. */
static void add_found(struct mir_buf *blob, const char *dir, const char *name)
{
    auto_free char *path = mir_format("%s/%s", dir, name);
    auto_free char *text = NULL;
    struct mir_error ignored = MIR_ERROR_INIT;
    char target[256];
    ssize_t target_len = readlink(path, target, sizeof(target));
    struct stat st;
    size_t len;

    /* A link within the folder: its target comes by itself. */
    if (target_len > 0 && !memchr(target, '/', (size_t)target_len))
        return;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        !mir_file_read(path, CA_FILE_MAX, &text, &len, &ignored))
        return;
    if (memmem(text, len, "CERTIFICATE-----", 16))
        add_pem(blob, mir_span(text, len));
}

static void add_dir(struct mir_buf *blob, const char *dir)
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        if (i < CA_DIR_FILES_MAX && entries[i]->d_name[0] != '.')
            add_found(blob, dir, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

static void add_dirs(struct mir_buf *blob)
{
    struct mir_span rest = mir_span_of(own_dirs());
    struct mir_span word;

    while (mir_span_next(&rest, ':', &word)) {
        auto_free char *dir = mir_strndup(word.ptr, word.len);

        if (word.len > 0)
            add_dir(blob, dir);
    }
}

/* ---- everything that is trusted ------------------------------------------------------------ */

static bool add_ca(struct mir_buf *blob, const char *path, struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (!mir_file_read(path, CA_FILE_MAX, &text, &len, err))
        return mir_context(err, "CA certificate");
    if (!memmem(text, len, begin_certificate, sizeof(begin_certificate) - 1))
        return mir_fail(err, MIR_E_FORMAT, "CA certificate %s: no PEM inside", path);
    add_pem(blob, mir_span(text, len));
    return true;
}

/* Nothing is added to the system's trust: without a directory libcurl keeps what it parsed of the
 * file, and the system's two say the same. */
static void keep_it_parsed(struct http_tls *tls)
{
    if (own_file() || !tls->ca_file)
        return;
    free(tls->ca_path);
    tls->ca_path = NULL;
}

static bool load_cas(struct http_tls *tls, const struct http_tls_options *options,
                     struct mir_error *err)
{
    auto_buf blob;

    mir_buf_init(&blob, CA_TOTAL_MAX);
    for (size_t i = 0; i < options->ca_count; i++) {
        if (!add_ca(&blob, options->ca_files[i], err))
            return false;
    }
    if (tls->ca_file && (own_file() || !tls->ca_path) && !add_ca(&blob, tls->ca_file, err))
        return false;
    add_dirs(&blob);
    if (!mir_buf_check(&blob, "CA certificates", err))
        return false;
    if (blob.len == 0)
        return true;
    tls->ca_blob_len = blob.len;
    tls->ca_blob = mir_buf_take(&blob);
    return true;
}

static bool load_trust(struct http_tls *tls, const struct http_tls_options *options,
                       struct mir_error *err)
{
    find_system_trust(tls);
    if (options->ca_count > 0 || own_dirs())
        return load_cas(tls, options, err);
    keep_it_parsed(tls);
    return true;
}

/* ---- the client's pair --------------------------------------------------------------------- */

/* What can be said of a file without taking it apart; the rest shows in the handshake. */
static bool check_pem(const char *what, const char *path, const char *kind, struct mir_error *err)
{
    auto_free_secret char *text = NULL;
    size_t len;

    if (!path)
        return true;
    if (!mir_file_read(path, PAIR_FILE_MAX, &text, &len, err))
        return mir_context(err, "client %s", what);
    if (!memmem(text, len, kind, strlen(kind)))
        return mir_fail(err, MIR_E_FORMAT, "client %s %s: no %s in PEM inside", what, path, what);
    if (memmem(text, len, "ENCRYPTED", strlen("ENCRYPTED"))) {
        (void)mir_fail(err, MIR_E_UNSUPPORTED, "client %s %s is locked with a password", what,
                       path);
        return mir_hint(err, "unlock it: openssl pkey -in %s -out NEW.key", path);
    }
    return true;
}

static bool check_pair(const struct http_tls_options *options, struct mir_error *err)
{
    return check_pem("certificate", options->cert_file, "CERTIFICATE-----", err) &&
           check_pem("key", options->key_file, "PRIVATE KEY-----", err);
}

bool http_tls_new(const struct http_tls_options *options, struct http_tls **out,
                  struct mir_error *err)
{
    struct http_tls *tls = mir_alloc(sizeof(*tls));

    tls->verify = options->verify;
    tls->cert_file = mir_strdup(options->cert_file);
    tls->key_file = mir_strdup(options->key_file);
    tls->folder = mir_strdup(options->folder);
    tls->options = mir_strdup(options->options);
    if (!check_pair(options, err) || !load_trust(tls, options, err)) {
        http_tls_free(tls);
        return false;
    }
    *out = tls;
    return true;
}

void http_tls_free(struct http_tls *tls)
{
    if (!tls)
        return;
    free(tls->ca_file);
    free(tls->ca_path);
    free(tls->ca_blob);
    free(tls->cert_file);
    free(tls->key_file);
    free(tls->note);
    free(tls->folder);
    free(tls->options);
    free(tls);
}
