/*
 * bundle/base: receipts are written to the byte, told from other files, and read strictly; a base
 * that is a receipt says so in mirror-base.json.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "bundle/base.h"
#include "bundle/base_priv.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define RECEIPT_HEAD "{\"version\":1,\"receipt\":{\"mirror\":\"r.example:5000/ocp\"},\"blobs\":[\n"
#define BASE_HEAD                                                                                  \
    "{\"version\":1,\"base\":{\"name\":\"r.json\",\"index\":\"" B                                  \
    "\",\"mirror\":\"r.example:5000/ocp\"},\"leftOut\":[\n"
#define ENTRIES                                                                                    \
    "{\"digest\":\"" A "\",\"size\":1,\"repository\":\"r.example:5000/ocp/a\"},\n"                 \
    "{\"digest\":\"" B "\",\"size\":2,\"repository\":\"r.example:5000/ocp/b\"}\n]}\n"

static struct img_digest digest(const char *text)
{
    struct img_digest out;
    struct mir_error err = MIR_ERROR_INIT;

    if (!img_digest_parse(mir_span_of(text), &out, &err))
        fail_msg("%s", err.text);
    return out;
}

static struct bundle_base example(struct bundle_left_out blobs[2])
{
    blobs[0] =
        (struct bundle_left_out){.digest = digest(A), .size = 1, .repo = "r.example:5000/ocp/a"};
    blobs[1] =
        (struct bundle_left_out){.digest = digest(B), .size = 2, .repo = "r.example:5000/ocp/b"};
    return (struct bundle_base){.mirror = "r.example:5000/ocp", .blobs = blobs, .count = 2};
}

static void receipt_is_written_to_the_byte_and_read_back(void **state)
{
    struct bundle_left_out blobs[2];
    const struct bundle_base receipt = example(blobs);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_receipt *read = NULL;
    const struct bundle_base *got;
    struct img_digest own;
    auto_free char *text = NULL;
    size_t len;

    (void)state;
    assert_true(bundle_receipt_format(&receipt, &text, &len, &err));
    assert_string_equal(text, RECEIPT_HEAD ENTRIES);
    assert_true(bundle_is_receipt(mir_span(text, len)));
    if (!bundle_receipt_parse(mir_span(text, len), "x", &read, &err))
        fail_msg("%s", err.text);
    got = bundle_receipt_get(read);
    img_digest_of(MIR_HASH_SHA256, mir_span(text, len), &own);
    assert_string_equal(got->mirror, receipt.mirror);
    assert_string_equal(got->index.text, own.text);
    assert_int_equal(got->count, 2);
    assert_string_equal(got->blobs[1].digest.text, B);
    assert_int_equal(got->blobs[1].size, 2);
    assert_string_equal(got->blobs[1].repo, "r.example:5000/ocp/b");
    bundle_receipt_free(read);
}

static void base_names_the_mirror_of_its_receipt(void **state)
{
    struct bundle_left_out blobs[2];
    struct bundle_base base = example(blobs);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_base_read *read = NULL;
    auto_free char *text = NULL;
    auto_free char *what = NULL;
    size_t len;

    (void)state;
    base.name = "r.json";
    base.index = digest(B);
    assert_true(bundle_base_format(&base, &text, &len, &err));
    assert_string_equal(text, BASE_HEAD ENTRIES);
    if (!bundle_base_parse(mir_span(text, len), "x", &read, &err))
        fail_msg("%s", err.text);
    assert_string_equal(read->base.mirror, "r.example:5000/ocp");
    what = bundle_base_describe(&read->base);
    assert_string_equal(what, "r.example:5000/ocp (by the receipt r.json, " B ")");
    bundle_base_read_free(read);
}

static void receipt_is_told_from_other_files(void **state)
{
    const struct {
        const char *label, *text;
        bool is;
    } rows[] = {
        {"a receipt", RECEIPT_HEAD ENTRIES, true},
        {"of a later version", "{\"version\":7,\"receipt\":{},\"blobs\":[\n]}\n", true},
        {"nothing", "", false},
        {"an index.json", "{\"schemaVersion\":2,\"manifests\":[]}\n", false},
        {"a base", BASE_HEAD ENTRIES, false},
        {"a report", "{\n  \"version\": 1,\n  \"images\": []\n}\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (bundle_is_receipt(mir_span_of(rows[i].text)) != rows[i].is)
            fail_msg("%s", rows[i].label);
}

static void receipt_is_read_strictly(void **state)
{
    const struct {
        const char *label, *text, *says;
        enum mir_code code;
    } rows[] = {
        {"of a later version", "{\"version\":7,\"receipt\":{},\"blobs\":[\n]}\n", "version 1",
         MIR_E_UNSUPPORTED},
        {"of no mirror", "{\"version\":1,\"receipt\":{},\"blobs\":[\n]}\n", "line 1: the mirror",
         MIR_E_FORMAT},
        {"a mirror that is no text", "{\"version\":1,\"receipt\":{\"mirror\":1},\"blobs\":[\n]}\n",
         "line 1: the mirror", MIR_E_FORMAT},
        {"a mirror of several words",
         "{\"version\":1,\"receipt\":{\"mirror\":\"a b\"},\"blobs\":[\n]}\n", "line 1: the mirror",
         MIR_E_FORMAT},
        {"a mirror with control characters",
         "{\"version\":1,\"receipt\":{\"mirror\":\"a\\u001b[1m\"},\"blobs\":[\n]}\n",
         "line 1: the mirror", MIR_E_FORMAT},
        {"a base", BASE_HEAD ENTRIES, "does not end in \"blobs\":[", MIR_E_FORMAT},
        {"cut short", RECEIPT_HEAD "{\"digest\":\"" A "\",\"size\":1},\n", "the end is missing",
         MIR_E_FORMAT},
        {"twice the same",
         RECEIPT_HEAD "{\"digest\":\"" A "\",\"size\":1},\n{\"digest\":\"" A "\",\"size\":1}\n]}\n",
         "line 3: the digest is there twice", MIR_E_FORMAT},
        {"a repository that is none",
         RECEIPT_HEAD "{\"digest\":\"" A "\",\"size\":1,\"repository\":\"../x\"}\n]}\n",
         "line 2: the repository", MIR_E_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_receipt *read = NULL;

        if (bundle_receipt_parse(mir_span_of(rows[i].text), "x", &read, &err) ||
            err.code != rows[i].code || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].label, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipt_is_written_to_the_byte_and_read_back),
        cmocka_unit_test(base_names_the_mirror_of_its_receipt),
        cmocka_unit_test(receipt_is_told_from_other_files),
        cmocka_unit_test(receipt_is_read_strictly),
    };

    return cmocka_run_group_tests_name("bundle/receipt", tests, NULL, NULL);
}
