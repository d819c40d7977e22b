/*
 * Any bytes as mirror-base.json, or as a receipt: what is read is in order and fit to be shown, and
 * written again it is read as the same.
 */
#include <stdint.h>

#include "base/mem.h"
#include "bundle/base_priv.h"

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            abort();
}

static void check(const struct bundle_base *base)
{
    if (!bundle_base_is_sorted(base))
        abort();
    if (base->mirror)
        check_plain(base->mirror);
    for (size_t i = 0; i < base->count; i++) {
        if (bundle_base_find(base, &base->blobs[i].digest) != &base->blobs[i] ||
            base->blobs[i].size > IMG_BLOB_BYTES_MAX)
            abort();
        if (base->blobs[i].repo)
            check_plain(base->blobs[i].repo);
    }
}

static void check_again(const struct bundle_base *base)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_base_read *again = NULL;
    auto_free char *text = NULL, *twice = NULL;
    size_t len, twice_len;

    if (!bundle_base_format(base, &text, &len, &err) ||
        !bundle_base_parse(mir_span(text, len), "again", &again, &err) ||
        !bundle_base_format(&again->base, &twice, &twice_len, &err))
        abort();
    if (again->base.count != base->count || twice_len != len || memcmp(text, twice, len) != 0)
        abort();
    bundle_base_read_free(again);
}

static void check_receipt(struct mir_span bytes)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_receipt *receipt = NULL;
    auto_free char *text = NULL;
    size_t len;

    if (!bundle_receipt_parse(bytes, "x", &receipt, &err))
        return;
    check(bundle_receipt_get(receipt));
    if (!bundle_receipt_format(bundle_receipt_get(receipt), &text, &len, &err) ||
        !bundle_is_receipt(mir_span(text, len)))
        abort();
    bundle_receipt_free(receipt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_base_read *read = NULL;

    if (size > INPUT_MAX)
        return 0;
    check_receipt(mir_span(data, size));
    if (bundle_base_parse(mir_span(data, size), "x", &read, &err)) {
        if (!read->base.name || read->base.name[0] == '\0')
            abort();
        check_plain(read->base.name);
        check(&read->base);
        check_again(&read->base);
    } else if (err.code == MIR_OK || err.text[0] == '\0') {
        abort();
    }
    bundle_base_read_free(read);
    return 0;
}
