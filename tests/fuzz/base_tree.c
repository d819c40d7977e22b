/*
 * Any bytes as YAML: read without a crash, and what was read survives writing and reading again.
 */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_document(json_t *document)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *again = NULL;
    auto_buf text;

    mir_buf_init(&text, 64u << 20);
    mir_yaml_format(document, &text);
    if (text.overflow)
        return;
    if (!mir_yaml_parse(mir_buf_span(&text), "fuzz", &again, &err)) {
        (void)fprintf(stderr, "%s\n%s\n", err.text, text.ptr);
        abort();
    }
    if (!json_equal(json_array_get(again, 0), document)) {
        (void)fprintf(stderr, "changed by writing:\n%s\n", text.ptr);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *documents = NULL;
    auto_json *value = NULL;
    json_t *document;
    size_t i;

    if (!mir_json_parse(mir_span(data, size), "fuzz", &value, &err))
        assert(err.text[0] != '\0');
    mir_error_clear(&err);
    if (!mir_yaml_parse(mir_span(data, size), "fuzz", &documents, &err)) {
        assert(err.text[0] != '\0');
        return 0;
    }
    json_array_foreach (documents, i, document)
        check_document(document);
    return 0;
}
