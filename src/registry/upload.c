/*
 * Blobs going out: one POST that mounts or starts an upload, one PUT with the whole content. When
 * the PUT does not succeed the session it used is of no use any more, so each try is a new POST.
 *
 * Spec: OCI distribution 1.1, "Pushing blobs", "POST then PUT" and "Mounting a blob from another
 * repository".
 */
#include "registry/registry_priv.h"

static const struct http_header octets = {"Content-Type", "application/octet-stream"};

/* ---- starting ------------------------------------------------------------------------------ */

/* The place for the PUT: Location, absolute or relative, its query kept, and the digest. */
static bool put_url(const struct http_response *response, const struct img_digest *digest,
                    char **out, struct mir_error *err)
{
    const char *location = http_response_header(response, "Location");
    auto_free char *shown = http_url_redact(response->url);
    auto_free char *url = NULL;

    if (!location)
        return mir_fail(err, MIR_E_PROTOCOL, "POST %s: the upload has no Location", shown);
    if (!http_url_resolve(response->url, location, &url, err))
        return mir_context(err, "POST %s", shown);
    *out = mir_format("%s%sdigest=%s", url, strchr(url, '?') ? "&" : "?", digest->text);
    return true;
}

static bool post(struct reg_session *session, const struct reg_repo *repo,
                 const struct img_descriptor *blob, const char *mount_from, char **location,
                 struct mir_error *err)
{
    struct mir_buf path;
    auto_free char *text = NULL;
    auto_response response = HTTP_RESPONSE_INIT;
    struct reg_call call = {
        .method = HTTP_POST, .repo = repo, .access = REG_PUSH, .mount_from = mount_from};

    mir_buf_init(&path, 4096);
    mir_buf_text(&path, "blobs/uploads/");
    if (mount_from) {
        mir_buf_printf(&path, "?mount=%s&from=", blob->digest.text);
        http_url_escape(&path, mir_span_of(mount_from));
    }
    text = mir_buf_take(&path);
    call.path = text;
    if (!reg_call_send(session, &call, &response, err))
        return false;
    *location = NULL;
    if (response.status == 201 && mount_from)
        return true;
    if (response.status != 202)
        return reg_refuse(session, &call, &response, err);
    return put_url(&response, &blob->digest, location, err);
}

bool reg_upload_start(struct reg_session *session, const struct reg_repo *repo,
                      const struct img_descriptor *blob, const char **mount_from, char **location,
                      struct mir_error *err)
{
    struct mir_error refused = MIR_ERROR_INIT;

    if (!*mount_from)
        return post(session, repo, blob, NULL, location, err);
    if (post(session, repo, blob, *mount_from, location, &refused))
        return true;
    /* Who may push here need not be allowed to pull there. */
    if (refused.code != MIR_E_AUTH && refused.code != MIR_E_NOT_FOUND) {
        *err = refused;
        return false;
    }
    mir_log(session->client->options.sink, MIR_LEVEL_DEBUG, "%s; uploading instead", refused.text);
    *mount_from = NULL;
    return post(session, repo, blob, NULL, location, err);
}

/* ---- judging ------------------------------------------------------------------------------- */

/* Refusals that a new session may be spared: the old one is gone, or in a state nobody knows. */
static bool is_session_trouble(int status)
{
    return status == 400 || status == 404 || status == 409 || status == 416;
}

bool reg_upload_judge(struct reg_session *session, const struct reg_call *call,
                      const struct img_descriptor *blob, const struct http_response *response,
                      bool *again, struct mir_error *err)
{
    const char *claimed = http_response_header(response, "Docker-Content-Digest");
    auto_free char *shown = http_url_redact(response->url);

    *again = is_session_trouble(response->status) || http_status_may_pass(response->status);
    if (response->status != 201 && response->status != 200 && response->status != 204)
        return reg_refuse(session, call, response, err);
    if (!claimed || strcmp(claimed, blob->digest.text) == 0 ||
        !mir_starts_with(claimed, img_digest_algo_name(&blob->digest)))
        return true;
    *again = true;
    return mir_fail(err, MIR_E_DIGEST, "PUT %s: the registry keeps another digest", shown);
}

/* ---- putting ------------------------------------------------------------------------------- */

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
        return false;
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
