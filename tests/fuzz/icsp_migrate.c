/*
 * Any text as a file of cluster objects: what is migrated can be taken in again, and is written in
 * a form that reads back; what is refused says why.
 */
#include <stdint.h>

#include "base/mem.h"
#include "base/tree.h"
#include "icsp/icsp.h"

#define WRITTEN_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const json_t *objects)
{
    json_t *object;
    size_t i;

    if (json_array_size(objects) == 0)
        abort();
    json_array_foreach (objects, i, object) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_json *again = NULL;
        auto_buf text;

        mir_buf_init(&text, WRITTEN_MAX);
        mir_yaml_format(object, &text);
        if (!mir_yaml_parse(mir_buf_span(&text), "again", &again, &err) ||
            !json_equal(json_array_get(again, 0), object))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct icsp_objects *objects = icsp_objects_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_json *documents = NULL;
    auto_json *migrated = NULL;

    if (mir_yaml_parse_lines(mir_span(data, size), "fuzz", icsp_objects_lines(objects), &documents,
                             &err) &&
        icsp_migrate(objects, documents, "fuzz", &migrated, &findings, &err))
        check(migrated);
    else if (!err.text[0])
        abort();
    icsp_objects_free(objects);
    return 0;
}
