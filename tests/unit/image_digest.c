/*
 * image/digest: what a digest may look like, and that content is held to it.
 */
#include "image/digest.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#define HEX16        "0123456789abcdef"
#define HEX64        HEX16 HEX16 HEX16 HEX16
#define HEX128       HEX64 HEX64
#define EMPTY_SHA256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct row {
    const char *label;
    const char *text;
    size_t len; /* 0: strlen */
    enum mir_code code;
};

static const struct row rows[] = {
    {"sha256", "sha256:" HEX64, 0, MIR_OK},
    {"sha512", "sha512:" HEX128, 0, MIR_OK},
    {"empty", "", 0, MIR_E_FORMAT},
    {"no colon", HEX64, 0, MIR_E_FORMAT},
    {"only the algorithm", "sha256:", 0, MIR_E_FORMAT},
    {"only a colon", ":", 0, MIR_E_FORMAT},
    {"no algorithm", ":" HEX64, 0, MIR_E_FORMAT},
    {"one digit short", "sha256:" HEX16 HEX16 HEX16 "0123456789abcde", 0, MIR_E_FORMAT},
    {"one digit over", "sha256:" HEX64 "0", 0, MIR_E_FORMAT},
    {"sha512 with the length of sha256", "sha512:" HEX64, 0, MIR_E_FORMAT},
    {"sha256 with the length of sha512", "sha256:" HEX128, 0, MIR_E_FORMAT},
    {"upper-case hex", "sha256:" HEX16 HEX16 HEX16 "0123456789ABCDEF", 0, MIR_E_FORMAT},
    {"not hex", "sha256:" HEX16 HEX16 HEX16 "0123456789abcdeg", 0, MIR_E_FORMAT},
    {"upper-case algorithm", "SHA256:" HEX64, 0, MIR_E_FORMAT},
    {"blank in front", " sha256:" HEX64, 0, MIR_E_FORMAT},
    {"newline at the end", "sha256:" HEX64 "\n", 0, MIR_E_FORMAT},
    {"NUL inside",
     "sha256:" HEX16 HEX16 HEX16 "\0"
     "123456789abcdef",
     71, MIR_E_FORMAT},
    {"path in the hex", "sha256:../../../../../../../../../../../../../../../../../../../../etc/",
     0, MIR_E_FORMAT},
    {"md5", "md5:d41d8cd98f00b204e9800998ecf8427e", 0, MIR_E_UNSUPPORTED},
    {"blake3", "blake3:" HEX64, 0, MIR_E_UNSUPPORTED},
    {"joined algorithm name", "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564", 0,
     MIR_E_UNSUPPORTED},
    {"algorithm name that ends in a separator", "sha256-:" HEX64, 0, MIR_E_FORMAT},
    {"algorithm name with two separators", "sha256..x:" HEX64, 0, MIR_E_FORMAT},
};

static void digest_parse_takes_only_what_the_grammar_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct mir_span text = mir_span(row->text, row->len ? row->len : strlen(row->text));
        struct img_digest digest = {.text = "untouched"};
        struct mir_error err = MIR_ERROR_INIT;
        bool ok = img_digest_parse(text, &digest, &err);

        if (err.code != row->code || ok != (row->code == MIR_OK))
            fail_msg("%s: code %d, %s", row->label, err.code, err.text);
        if (strcmp(digest.text, ok ? row->text : "untouched") != 0)
            fail_msg("%s: wrote '%s'", row->label, digest.text);
    }
}

static void digest_parse_keeps_control_bytes_out_of_errors(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct img_digest digest;

    (void)state;
    assert_false(img_digest_parse(mir_span_of("sha256:\x1b[31m\n\xff"), &digest, &err));
    assert_null(strchr(err.text, '\x1b'));
    assert_null(strchr(err.text, '\n'));
    assert_non_null(strstr(err.text, "sha256:?[31m??"));
}

static void digest_parts_come_apart(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct img_digest digest;

    (void)state;
    assert_true(img_digest_parse(mir_span_of("sha512:" HEX128), &digest, &err));
    assert_int_equal(img_digest_algo(&digest), MIR_HASH_SHA512);
    assert_string_equal(img_digest_algo_name(&digest), "sha512");
    assert_string_equal(img_digest_hex(&digest), HEX128);
    assert_true(img_digest_parse(mir_span_of("sha256:" HEX64), &digest, &err));
    assert_int_equal(img_digest_algo(&digest), MIR_HASH_SHA256);
    assert_string_equal(img_digest_algo_name(&digest), "sha256");
    assert_string_equal(img_digest_hex(&digest), HEX64);
}

static void digest_of_bytes_and_of_a_stream_agree(void **state)
{
    struct img_digest at_once, streamed;
    auto_hash *hash = mir_hash_new(MIR_HASH_SHA512);

    (void)state;
    mir_hash_update(hash, mir_span_of("mir"));
    mir_hash_update(hash, mir_span_of("ror"));
    img_digest_from_hash(MIR_HASH_SHA512, hash, &streamed);
    img_digest_of(MIR_HASH_SHA512, mir_span_of("mirror"), &at_once);
    assert_true(img_digest_equal(&at_once, &streamed));
    img_digest_of(MIR_HASH_SHA256, mir_span_of(""), &at_once);
    assert_string_equal(at_once.text, EMPTY_SHA256);
    assert_false(img_digest_equal(&at_once, &streamed));
}

static void digest_check_names_both_digests(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct img_digest expected, got;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of("one"), &expected);
    img_digest_of(MIR_HASH_SHA256, mir_span_of("other"), &got);
    assert_true(img_digest_check(&expected, &expected, &err));
    assert_false(img_digest_check(&expected, &got, &err));
    assert_int_equal(err.code, MIR_E_DIGEST);
    assert_non_null(strstr(err.text, expected.text));
    assert_non_null(strstr(err.text, got.text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_parse_takes_only_what_the_grammar_allows),
        cmocka_unit_test(digest_parse_keeps_control_bytes_out_of_errors),
        cmocka_unit_test(digest_parts_come_apart),
        cmocka_unit_test(digest_of_bytes_and_of_a_stream_agree),
        cmocka_unit_test(digest_check_names_both_digests),
    };

    return cmocka_run_group_tests_name("image/digest", tests, NULL, NULL);
}
