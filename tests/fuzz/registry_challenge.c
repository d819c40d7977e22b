/*
 * Any bytes as WWW-Authenticate, as one header and as two.
 */
#include "registry/registry_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reg_challenge challenge = {.realm = NULL};
    struct mir_error err = MIR_ERROR_INIT;
    struct mir_span text = mir_span(data, size);

    (void)!reg_challenge_parse(text, &challenge, &err);
    (void)!reg_challenge_parse(mir_span_from(text, size / 2), &challenge, &err);
    reg_challenge_release(&challenge);
    return 0;
}
