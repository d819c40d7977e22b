/*
 * certs.d: folders from the keys of ConfigMaps, bytes from their values, and keys that would leave
 * the folder.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/tree.h"
#include "icsp/icsp.h"

#define IMAGE                                                                                      \
    "{apiVersion: config.openshift.io/v1, kind: Image, metadata: {name: cluster}, "                \
    "spec: {additionalTrustedCA: {name: ca}}}\n---\n"
#define MAP "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca, namespace: openshift-config}\n"
#define MANAGED                                                                                    \
    "---\napiVersion: v1\nkind: ConfigMap\n"                                                       \
    "metadata: {name: image-registry-ca, namespace: openshift-config-managed}\n"

static bool compile(const char *yaml, struct icsp_files *files, struct mir_error *err)
{
    struct icsp_objects *objects = icsp_objects_new();
    auto_findings findings = {0};
    auto_json *documents = NULL;
    bool ok = mir_yaml_parse_lines(mir_span_of(yaml), "t", icsp_objects_lines(objects), &documents,
                                   err) &&
              icsp_objects_add(objects, documents, "t", &findings, err) &&
              icsp_compile(objects, NULL, files, &findings, err);

    icsp_objects_free(objects);
    return ok;
}

struct row {
    const char *label, *yaml, *path, *content;
};

static void certs_d_has_a_folder_for_each_key(void **state)
{
    static const struct row rows[] = {
        {"a host", MAP "data: {a.io: te-xt}", "a.io", "te-xt"},
        {"a port", MAP "data: {a.io..5000: te-xt}", "a.io:5000", "te-xt"},
        {"three dots", MAP "data: {a...b: te-xt}", "a:.b", "te-xt"},
        {"four dots", MAP "data: {w....x: te-xt}", "w::x", "te-xt"},
        {"base64 in data", MAP "data: {a.io: abcd}", "a.io", "i\xb7\x1d"},
        {"blanks are no base64", MAP "data: {a.io: 'ab cd'}", "a.io", "ab cd"},
        {"line breaks in base64 are", MAP "data: {a.io: \"YW\\nJj\\n\"}", "a.io", "abc"},
        {"an empty value", MAP "data: {a.io: ''}", "a.io", ""},
        {"binaryData", MAP "binaryData: {a.io: YWJj}", "a.io", "abc"},
        {"binaryData over data", MAP "binaryData: {a.io: YWJj}\ndata: {a.io: x.y}", "a.io", "abc"},
        {"the user's over the managed",
         MAP "data: {a.io: us-er}"
             "\n" MANAGED "data: {a.io: man}",
         "a.io", "us-er"},
        {"the managed beside it",
         MAP "data: {a.io: us-er}"
             "\n" MANAGED "data: {b.io: man}",
         "b.io", "man"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *yaml = mir_format("%s%s", IMAGE, rows[i].yaml);
        auto_free char *path = mir_format("etc/docker/certs.d/%s/ca.crt", rows[i].path);
        struct mir_error err = MIR_ERROR_INIT;
        auto_files files = {0};
        const struct icsp_file *file;

        if (!compile(yaml, &files, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        file = icsp_files_find(&files, path);
        if (!file || file->len != strlen(rows[i].content) ||
            memcmp(file->data, rows[i].content, file->len) != 0)
            fail_msg("%s: %s", rows[i].label, file ? file->data : "no file");
    }
}

static void certs_d_takes_only_the_map_that_is_named(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_files files = {0};

    (void)state;
    assert_true(compile(MAP "data: {a.io: x}\n", &files, &err));
    assert_int_equal(files.count, 2);
}

static void certs_d_refuses_keys_that_leave_the_folder(void **state)
{
    static const char *const keys[] = {"a/b", "/etc/x", "../x",     ".",
                                       "''",  "a b",    "\"a\\n\"", "\"\xc3\xa9\""};

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        auto_free char *yaml = mir_format("%s" MAP "data: {%s: x}\n", IMAGE, keys[i]);
        struct mir_error err = MIR_ERROR_INIT;
        auto_files files = {0};

        if (compile(yaml, &files, &err))
            fail_msg("%s: was taken", keys[i]);
        assert_int_equal(err.code, MIR_E_FORMAT);
        assert_non_null(strstr(err.text, "t:6: ConfigMap/openshift-config/ca: data[\""));
    }
}

static void certs_d_refuses_binary_that_is_not_base64(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_files files = {0};

    (void)state;
    assert_false(compile(IMAGE MAP "binaryData: {a.io: 'not base64'}\n", &files, &err));
    assert_non_null(strstr(err.text, ": binaryData[\"a.io\"]: not valid base64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certs_d_has_a_folder_for_each_key),
        cmocka_unit_test(certs_d_takes_only_the_map_that_is_named),
        cmocka_unit_test(certs_d_refuses_keys_that_leave_the_folder),
        cmocka_unit_test(certs_d_refuses_binary_that_is_not_base64),
    };

    return cmocka_run_group_tests_name("icsp/certs_d", tests, NULL, NULL);
}
