/*
 * Blobs going out: one POST that mounts or starts an upload, one PUT with the whole content. When
 * the PUT does not succeed the session it used is of no use any more, so each try is a new POST.
 *
 * Registries differ in what they know of mounting, so whatever one answers to it, an upload begins
 * without; only being asked for patience (429) is passed on.
 *
 * Spec: OCI distribution 1.1, "Pushing blobs", "POST then PUT" and "Mounting a blob from another
 * repository".
 */
#include "registry/registry_priv.h"

#define NO_MOUNTS_MAX 256 /* pairs of repositories that are remembered */

static const struct http_header octets = {"Content-Type", "application/octet-stream"};

/* ---- starting ------------------------------------------------------------------------------ */

bool reg_upload_url(const struct http_response *response, enum http_method method,
                    const struct img_digest *digest, char **out, struct mir_error *err)
{
    const char *location = http_response_header(response, "Location");
    auto_free char *shown = http_url_redact(response->url);
    auto_free char *url = NULL;

    if (!location)
        return mir_fail(err, MIR_E_PROTOCOL, "%s %s: the upload has no Location",
                        http_method_name(method), shown);
    if (!http_url_resolve(response->url, location, &url, err))
        return mir_context(err, "%s %s", http_method_name(method), shown);
    *out = mir_format("%s%sdigest=%s", url, strchr(url, '?') ? "&" : "?", digest->text);
    return true;
}

static struct reg_call post_call(const struct reg_repo *repo, const char *mount_from)
{
    return (struct reg_call){
        .method = HTTP_POST, .repo = repo, .access = REG_PUSH, .mount_from = mount_from};
}

bool reg_upload_post(struct reg_session *session, const struct reg_repo *repo,
                     const struct img_digest *digest, const char *mount_from,
                     struct http_response *response, struct mir_error *err)
{
    struct reg_call call = post_call(repo, mount_from);
    auto_buf path;

    mir_buf_init(&path, 4096);
    mir_buf_text(&path, "blobs/uploads/");
    if (mount_from) {
        mir_buf_printf(&path, "?mount=%s&from=", digest->text);
        http_url_escape(&path, mir_span_of(mount_from));
    }
    call.path = path.ptr;
    return mir_buf_check(&path, "the name to mount from", err) &&
           reg_call_send(session, &call, response, err);
}

bool reg_upload_is_mounted(const struct http_response *response, const struct img_digest *digest)
{
    const char *claimed = http_response_header(response, "Docker-Content-Digest");

    return response->status == 201 && (!claimed || strcmp(claimed, digest->text) == 0);
}

static bool start_plain(struct reg_session *session, const struct reg_repo *repo,
                        const struct img_digest *digest, char **location, struct mir_error *err)
{
    auto_response response = HTTP_RESPONSE_INIT;
    const struct reg_call call = post_call(repo, NULL);

    if (!reg_upload_post(session, repo, digest, NULL, &response, err))
        return false;
    if (response.status != 202)
        return reg_refuse(session, &call, &response, err);
    return reg_upload_url(&response, HTTP_POST, digest, location, err);
}

static bool has_pair(const struct reg_host *host, const char *pair)
{
    for (size_t i = 0; i < host->no_mount_count; i++) {
        if (strcmp(host->no_mounts[i], pair) == 0)
            return true;
    }
    return false;
}

/* A registry that does not know the word is not asked again, and one that does not let us read
 * there, or whose token service does not, is not for the next blob. */
static void note_no_mount(struct reg_host *host, const char *pair, const struct mir_error *refused)
{
    (void)pthread_mutex_lock(&host->lock);
    if (refused->sys == 405 || refused->sys == 501)
        host->never_mounts = true;
    if (refused->code == MIR_E_AUTH && host->no_mount_count < NO_MOUNTS_MAX &&
        !has_pair(host, pair)) {
        mir_grow(&host->no_mounts, host->no_mount_count, &host->no_mount_capacity,
                 sizeof(*host->no_mounts));
        host->no_mounts[host->no_mount_count++] = mir_strdup(pair);
    }
    (void)pthread_mutex_unlock(&host->lock);
}

static bool never_mounts(struct reg_host *host, const char *pair)
{
    bool never;

    (void)pthread_mutex_lock(&host->lock);
    never = host->never_mounts || has_pair(host, pair);
    (void)pthread_mutex_unlock(&host->lock);
    return never;
}

/* True without mounted and location: it has to be uploaded, and nothing is begun yet. */
static bool start_mount(struct reg_session *session, const struct reg_repo *repo,
                        const struct img_digest *digest, const char *mount_from, bool *mounted,
                        char **location, struct mir_error *err)
{
    auto_response response = HTTP_RESPONSE_INIT;
    const struct reg_call call = post_call(repo, mount_from);
    auto_free char *pair = mir_format("%s %s", repo->name, mount_from);
    struct mir_error refused = MIR_ERROR_INIT;
    struct reg_host *host = NULL;
    bool posted;

    if (!reg_host_get(session->client, repo->host, repo->insecure, &host, err))
        return false;
    if (never_mounts(host, pair))
        return true;
    posted = reg_upload_post(session, repo, digest, mount_from, &response, &refused);
    *mounted = posted && reg_upload_is_mounted(&response, digest);
    if (*mounted)
        return true;
    if (posted && response.status == 202 && http_response_header(&response, "Location"))
        return reg_upload_url(&response, HTTP_POST, digest, location, err);
    if (posted)
        (void)reg_refuse(session, &call, &response, &refused);
    /* A token service that does not let us read there may well let us write here. */
    if (posted ? response.status == 429 : refused.code != MIR_E_AUTH) {
        *err = refused;
        return false;
    }
    note_no_mount(host, pair, &refused);
    mir_log(session->client->options.sink, MIR_LEVEL_DEBUG, "%s; uploading instead", refused.text);
    return true;
}

bool reg_upload_start(struct reg_session *session, const struct reg_repo *repo,
                      const struct img_descriptor *blob, const char **mount_from, char **location,
                      struct mir_error *err)
{
    bool mounted = false;

    *location = NULL;
    if (*mount_from &&
        !start_mount(session, repo, &blob->digest, *mount_from, &mounted, location, err))
        return false;
    if (mounted || *location)
        return true;
    *mount_from = NULL;
    return start_plain(session, repo, &blob->digest, location, err);
}

/* ---- judging ------------------------------------------------------------------------------- */

/* Refusals that a new session may be spared: the old one is gone, or in a state nobody knows. Some
 * of those statuses also say that no session will do. */
static bool is_session_trouble(const struct http_response *response)
{
    static const char *const final[] = {"NAME_UNKNOWN", "NAME_INVALID", "DENIED", "UNAUTHORIZED",
                                        "UNSUPPORTED"};

    if (response->status != 400 && response->status != 404 && response->status != 409 &&
        response->status != 416)
        return false;
    for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++) {
        if (reg_says(response, final[i]))
            return false;
    }
    return true;
}

bool reg_upload_is_complete(int status)
{
    return status == 201 || status == 200 || status == 204;
}

bool reg_upload_judge(struct reg_session *session, const struct reg_call *call,
                      const struct img_descriptor *blob, const struct http_response *response,
                      bool *again, struct mir_error *err)
{
    const char *claimed = http_response_header(response, "Docker-Content-Digest");
    auto_free char *shown = http_url_redact(response->url);

    *again = is_session_trouble(response) || http_status_may_pass(response->status);
    if (response->status == 202)
        return reg_upload_finish(session, call, blob, response, again, err);
    if (!reg_upload_is_complete(response->status))
        return reg_refuse(session, call, response, err);
    if (!claimed || strcmp(claimed, blob->digest.text) == 0 ||
        !mir_starts_with(claimed, img_digest_algo_name(&blob->digest)))
        return true;
    *again = true;
    return mir_fail(err, MIR_E_DIGEST, "PUT %s: the registry keeps another digest", shown);
}

/* ---- putting ------------------------------------------------------------------------------- */

/* What limits the size of requests often says so by hanging up. */
static bool hint_break(struct mir_error *err)
{
    if (err->code != MIR_E_NETWORK)
        return false;
    return mir_hint(err, "if it is always the large ones that break: a limit (of size or time) of "
                         "the registry, or of a proxy in front of it, has to be raised");
}

static bool put_once(struct reg_session *session, const struct reg_repo *repo,
                     const struct img_descriptor *blob, const char *mount_from,
                     const struct reg_blob_source *source, struct http_response *response,
                     enum reg_put_outcome *outcome, bool *again, struct mir_error *err)
{
    auto_free char *url = NULL;
    struct http_source from = {.read = source->read, .ctx = source->ctx};
    struct reg_call call = {.method = HTTP_PUT,
                            .repo = repo,
                            .access = REG_PUSH,
                            .headers = &octets,
                            .header_count = 1,
                            .source = &from,
                            .source_len = blob->size,
                            .once = true};

    *again = false;
    if (!reg_upload_start(session, repo, blob, &mount_from, &url, err))
        return false;
    *outcome = url ? REG_PUT_UPLOADED : REG_PUT_MOUNTED;
    if (!url)
        return true;
    call.url = url;
    /* The same scopes as for the POST, so the same token. */
    call.mount_from = mount_from;
    if (!reg_call_send(session, &call, response, err)) {
        *again = mir_may_retry(err);
        return hint_break(err);
    }
    return reg_upload_judge(session, &call, blob, response, again, err);
}

bool reg_blob_put(struct reg_session *session, const struct reg_repo *repo,
                  const struct img_descriptor *blob, const char *mount_from,
                  const struct reg_blob_source *source, enum reg_put_outcome *outcome,
                  struct mir_error *err)
{
    struct http_backoff backoff = {0};

    if (!reg_check_names(repo, NULL, err))
        return false;
    for (;;) {
        auto_response response = HTTP_RESPONSE_INIT;
        struct mir_error trouble = MIR_ERROR_INIT;
        bool again = false;

        if (put_once(session, repo, blob, mount_from, source, &response, outcome, &again, &trouble))
            return true;
        if (!again || !http_backoff_wait(session->conn, &backoff, &response, &trouble)) {
            *err = trouble;
            return false;
        }
    }
}
