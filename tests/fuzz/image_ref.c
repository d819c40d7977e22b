/*
 * References and digests: whatever is taken must read back as itself, and the predicates must agree
 * with the parser.
 */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "image/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ref(const struct img_ref *ref)
{
    auto_free char *text = img_ref_format(ref);
    struct mir_error err = MIR_ERROR_INIT;
    auto_ref again = {.host = NULL};

    assert(img_is_host(mir_span_of(ref->host)));
    assert(img_is_repo(mir_span_of(ref->repo)));
    assert(!ref->tag || img_is_tag(mir_span_of(ref->tag)));
    /* "library/" may have been added, so the text may be over the limit now. */
    if (strlen(text) > IMG_REF_MAX)
        return;
    if (!img_ref_parse(mir_span_of(text), &again, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    assert(strcmp(again.host, ref->host) == 0 && strcmp(again.repo, ref->repo) == 0);
    assert(again.has_digest == ref->has_digest && img_digest_equal(&again.digest, &ref->digest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_span text = mir_span(data, size);
    struct mir_error err = MIR_ERROR_INIT;
    struct img_digest digest;
    auto_ref ref = {.host = NULL};

    if (img_ref_parse(text, &ref, &err))
        check_ref(&ref);
    else
        assert(err.code != MIR_OK && err.text[0] != '\0');
    mir_error_clear(&err);
    if (img_digest_parse(text, &digest, &err))
        assert(mir_span_is(text, digest.text) && strlen(img_digest_hex(&digest)) >= 64);
    return 0;
}
