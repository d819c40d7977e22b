/*
 * Any bytes as YAML: read without a crash, and what was read survives writing and reading again.
 * Every value has a line, and it is one of the text.
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

/* Lines as libyaml counts them: CR, LF, CR LF, NEL, LS and PS each end one, and an empty value at
 * the end of the text stands behind the last. */
static unsigned count_lines(struct mir_span text)
{
    unsigned lines = 2;

    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n' || text.ptr[i] == '\r' || (unsigned char)text.ptr[i] == 0x85 ||
                 (unsigned char)text.ptr[i] == 0xa8 || (unsigned char)text.ptr[i] == 0xa9;
    return lines;
}

/* Aliases share what they repeat: a tree is looked at as deep as a text goes, not as wide. */
static void check_lines(const struct mir_lines *lines, json_t *value, unsigned max, unsigned depth)
{
    json_t *child;
    const char *key;
    size_t i;
    size_t at = 0;

    json_array_foreach (value, i, child) {
        assert(mir_lines_item(lines, value, i) >= 1 && mir_lines_item(lines, value, i) <= max);
        if (i < 3 && depth < 8)
            check_lines(lines, child, max, depth + 1);
    }
    json_object_foreach (value, key, child) {
        assert(mir_lines_item(lines, value, at) >= 1 && mir_lines_item(lines, value, at) <= max);
        if (at < 3)
            assert(mir_lines_member(lines, value, key) == mir_lines_item(lines, value, at));
        if (at < 3 && depth < 8)
            check_lines(lines, child, max, depth + 1);
        at++;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_lines *lines = mir_lines_new();
    auto_json *documents = NULL;
    auto_json *value = NULL;
    json_t *document;
    size_t i;

    if (!mir_json_parse(mir_span(data, size), "fuzz", &value, &err))
        assert(err.text[0] != '\0');
    mir_error_clear(&err);
    if (!mir_yaml_parse_lines(mir_span(data, size), "fuzz", lines, &documents, &err)) {
        assert(err.text[0] != '\0');
        return 0;
    }
    check_lines(lines, documents, count_lines(mir_span(data, size)), 0);
    json_array_foreach (documents, i, document)
        check_document(document);
    return 0;
}
