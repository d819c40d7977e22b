/*
 * Any YAML as cluster objects: compiled without a crash; what was accepted gives the same files
 * when it is compiled again, every path stays below the node's etc/, and policy.json is JSON.
 */
#include <stdint.h>

#include "base/mem.h"
#include "base/tree.h"
#include "icsp/icsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool compile(json_t *documents, struct icsp_files *files)
{
    struct icsp_objects *objects = icsp_objects_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_findings findings = {0};
    bool ok = icsp_objects_add(objects, documents, "fuzz", &findings, &err) &&
              icsp_compile(objects, NULL, files, &findings, &err);

    icsp_objects_free(objects);
    if (!ok && err.text[0] == '\0')
        abort();
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *documents = NULL;
    auto_files files = {0};
    auto_files again = {0};

    if (!mir_yaml_parse(mir_span(data, size), "fuzz", &documents, &err) ||
        !compile(documents, &files))
        return 0;
    if (!compile(documents, &again) || files.count != again.count)
        abort();
    for (size_t i = 0; i < files.count; i++)
        check_file(&files.items[i], &again);
    check_policy(&files);
    return 0;
}
