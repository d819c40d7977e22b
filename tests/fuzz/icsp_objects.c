/*
 * Any YAML as cluster objects: compiled without a crash; what was accepted gives the same files
 * when it is compiled again, every path stays below the node's etc/, and policy.json is JSON. What
 * is said about an object has its line.
 */
#include <stdint.h>

#include "base/mem.h"
#include "base/tree.h"
#include "icsp/icsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that is said has a rule and a file, and can be said as JSON. */
static void check_findings(const struct icsp_findings *findings, bool ok)
{
    auto_json *json = icsp_findings_json(findings);

    if (json_is_true(json_object_get(json, "rejected")) == ok)
        abort();
    for (size_t i = 0; i < findings->count; i++) {
        auto_free char *line = icsp_finding_format(&findings->items[i]);

        if (!findings->items[i].rule || !*line)
            abort();
        if (findings->items[i].object && findings->items[i].file && findings->items[i].line == 0)
            abort();
    }
}

static bool compile(struct mir_span text, const char *generation, struct icsp_files *files)
{
    struct icsp_options options = {.generation = icsp_generation_find(generation)};
    struct icsp_objects *objects = icsp_objects_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    auto_json *documents = NULL;
    bool ok = mir_yaml_parse_lines(text, "fuzz", icsp_objects_lines(objects), &documents, &err);

    if (!ok)
        icsp_findings_add_error(&findings, "fuzz", &err);
    ok = ok && icsp_objects_add(objects, documents, "fuzz", &findings, &err) &&
         icsp_compile(objects, &options, files, &findings, &err);
    icsp_objects_free(objects);
    if (!ok && err.text[0] == '\0')
        abort();
    check_findings(&findings, ok);
    return ok;
}

static void check_file(const struct icsp_file *file, const struct icsp_files *again)
{
    const struct icsp_file *same = icsp_files_find(again, file->path);

    if (strncmp(file->path, "etc/", 4) != 0 || strstr(file->path, "/../") ||
        strstr(file->path, "/./") || strstr(file->path, "//"))
        abort();
    if (!same || same->len != file->len || memcmp(same->data, file->data, file->len) != 0)
        abort();
}

static void check_policy(const struct icsp_files *files)
{
    const struct icsp_file *file = icsp_files_find(files, "etc/containers/policy.json");
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *policy = NULL;

    if (!file || !mir_json_parse(mir_span(file->data, file->len), "policy", &policy, &err))
        abort();
}

static void check_generation(const char *generation, struct mir_span text)
{
    auto_files files = {0};
    auto_files again = {0};

    if (!compile(text, generation, &files))
        return;
    if (!compile(text, generation, &again) || files.count != again.count)
        abort();
    for (size_t i = 0; i < files.count; i++)
        check_file(&files.items[i], &again);
    check_policy(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_generation("current", mir_span(data, size));
    check_generation("4.10", mir_span(data, size));
    return 0;
}
