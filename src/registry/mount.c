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
    auto_response response = HTTP_RESPONSE_INIT;
    const struct reg_call call = {.method = HTTP_POST, .repo = repo, .access = REG_PUSH};
    struct mir_error trouble = MIR_ERROR_INIT;

    *mounted = false;
    if (!reg_check_names(repo, NULL, err))
        return false;
    if (reg_upload_post(session, repo, digest, mount_from, &response, &trouble)) {
        *mounted = reg_upload_is_mounted(&response, digest);
        /* Who may push here need not be allowed to pull there, nor need that repository exist, nor
         * the registry know what mounting is. */
        if (response.status != 429 && (response.status < 500 || response.status == 501))
            return true;
        (void)reg_refuse(session, &call, &response, &trouble);
    }
    /* A login may have failed on the way. */
    if (trouble.code == MIR_E_AUTH || trouble.code == MIR_E_NOT_FOUND)
        return true;
    *err = trouble;
    return false;
}
