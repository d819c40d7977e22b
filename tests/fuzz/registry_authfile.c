/*
 * Any bytes as an auth file, asked for several repositories.
 */
#include "registry/registry_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const hosts[] = {"docker.io", "h.io", "h.io:5000", ""};
    struct mir_error err = MIR_ERROR_INIT;
    struct reg_auth *auth = NULL;

    if (!reg_auth_parse(mir_span(data, size), "auth.json", &auth, &err))
        return 0;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct mir_error why = MIR_ERROR_INIT;
        struct reg_creds creds = {.found = false};

        if (reg_auth_find(auth, hosts[i], "x/y/z", &creds, &why))
            reg_creds_release(&creds);
    }
    reg_auth_free(auth);
    return 0;
}
