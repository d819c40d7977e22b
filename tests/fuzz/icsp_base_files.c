/*
 * Any text as a base file: what is read as registries.conf or policy.json and written again reads
 * back to the same bytes; what is refused says why.
 */
#include <stdint.h>

#include "base/mem.h"
#include "icsp/policy_priv.h"
#include "icsp/registries_priv.h"

#define WRITTEN_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False when it is refused. */
static bool rewrite_registries(const struct icsp_generation *by, struct mir_span text,
                               struct mir_buf *out)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_registries registries;

    icsp_registries_init(&registries, by);
    if (!icsp_registries_read(&registries, text, "fuzz", &findings, &err)) {
        if (!strstr(err.text, "fuzz:"))
            abort();
        return false;
    }
    icsp_registries_format(&registries, out);
    return true;
}

static void check_registries(const char *generation, struct mir_span text)
{
    const struct icsp_generation *by = icsp_generation_find(generation);
    auto_buf once;
    auto_buf twice;

    mir_buf_init(&once, WRITTEN_MAX);
    mir_buf_init(&twice, WRITTEN_MAX);
    if (!rewrite_registries(by, text, &once))
        return;
    if (!rewrite_registries(by, mir_buf_span(&once), &twice) || strcmp(once.ptr, twice.ptr) != 0)
        abort();
}

static bool rewrite_policy(struct mir_span text, struct mir_buf *out)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *policy = NULL;

    if (!icsp_policy_read(text, "fuzz", &policy, &err)) {
        if (!strstr(err.text, "fuzz:"))
            abort();
        return false;
    }
    icsp_policy_format(policy, icsp_generation_current.policy_style, out);
    return true;
}

static void check_policy(struct mir_span text)
{
    auto_buf once;
    auto_buf twice;

    mir_buf_init(&once, WRITTEN_MAX);
    mir_buf_init(&twice, WRITTEN_MAX);
    if (!rewrite_policy(text, &once))
        return;
    if (!rewrite_policy(mir_buf_span(&once), &twice) || strcmp(once.ptr, twice.ptr) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_span text = mir_span(data, size);

    check_registries("4.10", text);
    check_registries("current", text);
    check_policy(text);
    return 0;
}
