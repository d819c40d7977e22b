/*
 * Mounting a blob from another repository of the same registry, with nothing to upload if that does
 * not work. Called for blobs that a differential bundle leaves out.
 *
 * A registry that cannot mount begins an upload instead (202). It is left to expire, as the
 * specification has it for uploads that nobody goes on with.
 *
 * Spec: OCI distribution 1.1, "Mounting a blob from another repository".
 */
#include "registry/registry_priv.h"

bool reg_blob_mount(struct reg_session *session, const struct reg_repo *repo,
                    const struct img_digest *digest, const char *mount_from, bool *mounted,
                    struct mir_error *err)
{
    struct mir_buf path;
    auto_free char *text = NULL;
    auto_response response = HTTP_RESPONSE_INIT;
    struct reg_call call = {
        .method = HTTP_POST, .repo = repo, .access = REG_PUSH, .mount_from = mount_from};
    struct mir_error trouble = MIR_ERROR_INIT;

    *mounted = false;
    if (!reg_check_names(repo, NULL, err))
        return false;
    mir_buf_init(&path, 4096);
    mir_buf_printf(&path, "blobs/uploads/?mount=%s&from=", digest->text);
    http_url_escape(&path, mir_span_of(mount_from));
    text = mir_buf_take(&path);
    call.path = text;
    if (reg_call_send(session, &call, &response, &trouble)) {
        *mounted = response.status == 201;
        if (response.status == 201 || response.status == 202)
            return true;
        (void)reg_refuse(session, &call, &response, &trouble);
    }
    /* Who may push here need not be allowed to pull there, nor need that repository exist. */
    if (trouble.code == MIR_E_AUTH || trouble.code == MIR_E_NOT_FOUND)
        return true;
    *err = trouble;
    return false;
}
