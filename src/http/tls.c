/*
 * TLS settings: which certificates are trusted, and whether a client certificate is shown. Built
 * once for a host by src/registry, read by every try.
 *
 * Extra CAs come on top of the system's trust, never instead of it. libcurl takes them as one block
 * of PEM that replaces its bundle file but not its directory; where there is no directory the
 * bundle goes into the block too.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <unistd.h>

#include "base/file.h"

#define CA_FILE_MAX  (4u << 20)
#define CA_TOTAL_MAX (16u << 20)

static char *setting(const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);

    return mir_strdup(value && value[0] != '\0' ? value : otherwise);
}

static void find_system_trust(struct http_tls *tls)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    tls->ca_file = setting("SSL_CERT_FILE", info->cainfo);
    tls->ca_path = setting("SSL_CERT_DIR", info->capath);
    tls->wants_path = getenv("SSL_CERT_DIR") != NULL;
    if (tls->ca_file && !getenv("SSL_CERT_FILE") && access(tls->ca_file, R_OK) != 0) {
        free(tls->ca_file);
        tls->ca_file = NULL;
    }
    if (tls->ca_path && access(tls->ca_path, R_OK | X_OK) != 0) {
        free(tls->ca_path);
        tls->ca_path = NULL;
    }
}

static bool add_ca(struct mir_buf *blob, const char *path, struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (!mir_file_read(path, CA_FILE_MAX, &text, &len, err))
        return mir_context(err, "CA certificate");
    if (!memmem(text, len, "-----BEGIN ", 11))
        return mir_fail(err, MIR_E_FORMAT, "CA certificate %s: no PEM inside", path);
    mir_buf_add(blob, mir_span(text, len));
    mir_buf_char(blob, '\n');
    return true;
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
    if (!tls->ca_path && tls->ca_file && !add_ca(&blob, tls->ca_file, err))
        return false;
    if (!mir_buf_check(&blob, "CA certificates", err))
        return false;
    tls->ca_blob_len = blob.len;
    tls->ca_blob = mir_buf_take(&blob);
    return true;
}

static bool check_pair(const struct http_tls_options *options, struct mir_error *err)
{
    const char *const files[] = {options->cert_file, options->key_file};

    for (size_t i = 0; i < 2; i++) {
        if (files[i] && access(files[i], R_OK) != 0)
            return mir_fail_errno(err, "client certificate %s", files[i]);
    }
    return true;
}

bool http_tls_new(const struct http_tls_options *options, struct http_tls **out,
                  struct mir_error *err)
{
    struct http_tls *tls = mir_alloc(sizeof(*tls));

    tls->verify = options->verify;
    find_system_trust(tls);
    tls->cert_file = mir_strdup(options->cert_file);
    tls->key_file = mir_strdup(options->key_file);
    if (!check_pair(options, err) || (options->ca_count > 0 && !load_cas(tls, options, err))) {
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
    free(tls);
}
