/*
 * An upload that was accepted (202) where it should have been completed (201). Two kinds of
 * registries say so: those that finish it in their own time, and those that took the content as one
 * piece of several and wait for the word that it was the last. Called by reg_upload_judge().
 *
 * Invariant: success means that the registry has said so, or has shown the blob.
 */
#include "registry/registry_priv.h"

/* Who may push need not be allowed to look. */
static bool is_there(struct reg_session *session, const struct reg_repo *repo,
                     const struct img_digest *digest)
{
    struct mir_error ignored = MIR_ERROR_INIT;
    bool found = false;

    return reg_blob_find(session, repo, digest, &found, &ignored) && found;
}

/* A PUT without content closes a session whose pieces have all arrived. */
static bool close_session(struct reg_session *session, const struct reg_call *put,
                          const struct img_digest *digest, const struct http_response *accepted)
{
    struct reg_call call = {.method = HTTP_PUT,
                            .repo = put->repo,
                            .access = REG_PUSH,
                            .mount_from = put->mount_from,
                            .once = true};
    auto_response response = HTTP_RESPONSE_INIT;
    struct mir_error ignored = MIR_ERROR_INIT; /* there is another way */
    auto_free char *url = NULL;

    if (!http_response_header(accepted, "Location") ||
        !reg_upload_url(accepted, HTTP_PUT, digest, &url, &ignored))
        return false;
    call.url = url;
    return reg_call_send(session, &call, &response, &ignored) &&
           reg_upload_is_complete(response.status);
}

bool reg_upload_finish(struct reg_session *session, const struct reg_call *put,
                       const struct img_descriptor *blob, const struct http_response *accepted,
                       bool *again, struct mir_error *err)
{
    struct http_backoff backoff = {0};
    auto_free char *shown = http_url_redact(accepted->url);
    struct mir_error trouble = MIR_ERROR_INIT;

    *again = false;
    if (is_there(session, put->repo, &blob->digest) ||
        close_session(session, put, &blob->digest, accepted))
        return true;
    (void)mir_fail(&trouble, MIR_E_PROTOCOL,
                   "PUT %s: 202 Accepted where 201 Created is due, and the blob is not there",
                   shown);
    while (http_backoff_wait(session->conn, &backoff, NULL, &trouble)) {
        if (is_there(session, put->repo, &blob->digest))
            return true;
    }
    *err = trouble;
    if (err->code == MIR_E_CANCELLED)
        return false;
    return mir_hint(err,
                    "the registry takes uploads and does not complete them: more "
                    "--retry-times give it more time; else ask whoever runs %s",
                    put->repo->host);
}
