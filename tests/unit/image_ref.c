/*
 * image/ref: references in, references out, and everything that is none.
 */
#include "image/ref.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#define HEX16  "0123456789abcdef"
#define DIGEST "sha256:" HEX16 HEX16 HEX16 HEX16
#define TEXT16 "aaaaaaaaaaaaaaaa"
#define TAG128 TEXT16 TEXT16 TEXT16 TEXT16 TEXT16 TEXT16 TEXT16 TEXT16

struct good_row {
    const char *text;
    const char *host, *repo, *tag, *digest;
    const char *canonical; /* NULL: as written */
};

static const struct good_row good_rows[] = {
    {"quay.io/a/b", "quay.io", "a/b", NULL, NULL, NULL},
    {"quay.io/a/b:1.0", "quay.io", "a/b", "1.0", NULL, NULL},
    {"quay.io/a/b@" DIGEST, "quay.io", "a/b", NULL, DIGEST, NULL},
    {"quay.io/a/b:1.0@" DIGEST, "quay.io", "a/b", "1.0", DIGEST, NULL},
    {"localhost/a", "localhost", "a", NULL, NULL, NULL},
    {"localhost:5000/a:x", "localhost:5000", "a", "x", NULL, NULL},
    {"reg:5000/a", "reg:5000", "a", NULL, NULL, NULL},
    {"127.0.0.1:5000/a", "127.0.0.1:5000", "a", NULL, NULL, NULL},
    {"[::1]:5000/a:b", "[::1]:5000", "a", "b", NULL, NULL},
    {"[fe80::1]/a", "[fe80::1]", "a", NULL, NULL, NULL},
    {"Quay.IO/a", "Quay.IO", "a", NULL, NULL, NULL},
    {"r.io/a.b/c_d/e__f/g-h/i---j/0", "r.io", "a.b/c_d/e__f/g-h/i---j/0", NULL, NULL, NULL},
    {"r.io/a:" TAG128, "r.io", "a", TAG128, NULL, NULL},
    {"r.io/a:_A-b.C", "r.io", "a", "_A-b.C", NULL, NULL},
    {"docker.io/busybox", "docker.io", "library/busybox", NULL, NULL, "docker.io/library/busybox"},
    {"docker.io/busybox:1@" DIGEST, "docker.io", "library/busybox", "1", DIGEST,
     "docker.io/library/busybox:1@" DIGEST},
    {"docker.io/library/busybox", "docker.io", "library/busybox", NULL, NULL, NULL},
    {"docker.io/user/app", "docker.io", "user/app", NULL, NULL, NULL},
};

static void check_text(const char *text, const char *what, const char *got, const char *wanted)
{
    if ((got == NULL) != (wanted == NULL) || (got && strcmp(got, wanted) != 0))
        fail_msg("%s: %s is %s", text, what, got ? got : "absent");
}

static void check_parts(const struct good_row *row, const struct img_ref *ref)
{
    auto_free char *formatted = img_ref_format(ref);

    check_text(row->text, "host", ref->host, row->host);
    check_text(row->text, "repo", ref->repo, row->repo);
    check_text(row->text, "tag", ref->tag, row->tag);
    check_text(row->text, "digest", ref->has_digest ? ref->digest.text : NULL, row->digest);
    check_text(row->text, "format", formatted, row->canonical ? row->canonical : row->text);
}

static void ref_parse_reads_all_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_rows) / sizeof(good_rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_ref ref = {.host = NULL};

        if (!img_ref_parse(mir_span_of(good_rows[i].text), &ref, &err))
            fail_msg("%s: %s", good_rows[i].text, err.text);
        check_parts(&good_rows[i], &ref);
    }
}

static void ref_copy_owns_its_strings(void **state)
{
    for (size_t i = 0; i < sizeof(good_rows) / sizeof(good_rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct img_ref ref;
        auto_ref copy = {.host = NULL};

        (void)state;
        assert_true(img_ref_parse(mir_span_of(good_rows[i].text), &ref, &err));
        img_ref_copy(&ref, &copy);
        img_ref_release(&ref);
        check_parts(&good_rows[i], &copy);
    }
}

static void ref_format_repo_leaves_tag_and_digest_out(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_ref ref = {.host = NULL};
    auto_free char *text = NULL;

    (void)state;
    assert_true(img_ref_parse(mir_span_of("docker.io/a:1@" DIGEST), &ref, &err));
    text = img_ref_format_repo(&ref);
    assert_string_equal(text, "docker.io/library/a");
}

struct bad_row {
    const char *label;
    const char *text;
    size_t len; /* 0: strlen */
    enum mir_code code;
    const char *says; /* part of the error */
};

static const struct bad_row bad_rows[] = {
    {"empty", "", 0, MIR_E_FORMAT, "no registry host"},
    {"short name", "busybox", 0, MIR_E_FORMAT, "no registry host"},
    {"short name with a tag", "busybox:1", 0, MIR_E_FORMAT, "no registry host"},
    {"short name with a path", "library/busybox", 0, MIR_E_FORMAT, "no registry host"},
    {"host without a path", "quay.io", 0, MIR_E_FORMAT, "no registry host"},
    {"host and a slash", "quay.io/", 0, MIR_E_FORMAT, "byte 8: the path ends too early"},
    {"only a slash", "/", 0, MIR_E_FORMAT, "no registry host"},
    {"upper-case path", "quay.io/Repo", 0, MIR_E_FORMAT, "byte 8: upper-case letter"},
    {"upper-case later", "quay.io/a/bC", 0, MIR_E_FORMAT, "byte 11"},
    {"empty component", "quay.io/a//b", 0, MIR_E_FORMAT, "byte 10: empty path component"},
    {"empty first component", "quay.io//b", 0, MIR_E_FORMAT, "byte 8: empty path component"},
    {"slash at the end", "quay.io/a/", 0, MIR_E_FORMAT, "byte 10: the path ends too early"},
    {"two dots", "quay.io/a..b", 0, MIR_E_FORMAT, "byte 10: a separator"},
    {"parent directory", "quay.io/../b", 0, MIR_E_FORMAT, "byte 8: a separator"},
    {"three underscores", "quay.io/a___b", 0, MIR_E_FORMAT, "byte 11: a separator"},
    {"mixed separators", "quay.io/a-_b", 0, MIR_E_FORMAT, "byte 10: a separator"},
    {"separator first", "quay.io/-a", 0, MIR_E_FORMAT, "byte 8: a separator"},
    {"separator last", "quay.io/a-", 0, MIR_E_FORMAT, "byte 10: the path ends too early"},
    {"separator before a slash", "quay.io/a./b", 0, MIR_E_FORMAT, "byte 10"},
    {"empty tag", "quay.io/a:", 0, MIR_E_FORMAT, "byte 10: the tag is empty"},
    {"tag over 128", "quay.io/a:" TAG128 "a", 0, MIR_E_FORMAT, "longer than 128"},
    {"tag begins with a dot", "quay.io/a:.1", 0, MIR_E_FORMAT, "byte 10: character"},
    {"tag begins with a dash", "quay.io/a:-1", 0, MIR_E_FORMAT, "byte 10: character"},
    {"tag with a slash", "quay.io/a:b/c", 0, MIR_E_FORMAT, "byte 11: character"},
    {"two tags", "quay.io/a:b:c", 0, MIR_E_FORMAT, "byte 11: character"},
    {"empty digest", "quay.io/a@", 0, MIR_E_FORMAT, "byte 10"},
    {"two digests", "quay.io/a@" DIGEST "@" DIGEST, 0, MIR_E_FORMAT, "is not a digest"},
    {"tag after the digest", "quay.io/a@" DIGEST ":1", 0, MIR_E_FORMAT, "is not a digest"},
    {"short digest", "quay.io/a@sha256:abcd", 0, MIR_E_FORMAT, "4 characters"},
    {"upper-case digest", "quay.io/a@sha256:" HEX16 HEX16 HEX16 "0123456789ABCDEF", 0, MIR_E_FORMAT,
     "lower-case hex"},
    {"other algorithm", "quay.io/a@md5:d41d8cd98f00b204e9800998ecf8427e", 0, MIR_E_UNSUPPORTED,
     "'md5'"},
    {"scheme", "docker://quay.io/a", 0, MIR_E_FORMAT, "not a host name"},
    {"https", "https://quay.io/a", 0, MIR_E_FORMAT, "not a host name"},
    {"user in the host", "user:pw@quay.io/a", 0, MIR_E_FORMAT, ""},
    {"port not a number", "quay.io:x/a", 0, MIR_E_FORMAT, "byte 0: not a host name"},
    {"port zero", "quay.io:0/a", 0, MIR_E_FORMAT, "not a host name"},
    {"port over 65535", "quay.io:65536/a", 0, MIR_E_FORMAT, "not a host name"},
    {"empty port", "quay.io:/a", 0, MIR_E_FORMAT, "not a host name"},
    {"host begins with a dot", ".quay.io/a", 0, MIR_E_FORMAT, "not a host name"},
    {"host ends with a dot", "quay.io./a", 0, MIR_E_FORMAT, "not a host name"},
    {"host with two dots", "quay..io/a", 0, MIR_E_FORMAT, "not a host name"},
    {"label ends with a dash", "quay-.io/a", 0, MIR_E_FORMAT, "not a host name"},
    {"host with an underscore", "q_y.io/a", 0, MIR_E_FORMAT, "not a host name"},
    {"bracket left open", "[::1/a", 0, MIR_E_FORMAT, "not a host name"},
    {"brackets around a name", "[quay.io]/a", 0, MIR_E_FORMAT, "not a host name"},
    {"text after the bracket", "[::1]x/a", 0, MIR_E_FORMAT, "not a host name"},
    {"blank", "quay.io/a b", 0, MIR_E_FORMAT, "byte 9: character"},
    {"newline at the end", "quay.io/a:1\n", 0, MIR_E_FORMAT, "byte 11: character"},
    {"escape sequence", "quay.io/a\x1b[31m", 0, MIR_E_FORMAT, "'quay.io/a?[31m'"},
    {"NUL inside", "quay.io/a\0b", 11, MIR_E_FORMAT, "byte 9: character"},
    {"not ASCII", "quay.io/\xc3\xa9", 0, MIR_E_FORMAT, "byte 8: character"},
    {"percent", "quay.io/a%2fb", 0, MIR_E_FORMAT, "byte 9: character"},
};

static void ref_parse_refuses_what_is_no_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
        const struct bad_row *row = &bad_rows[i];
        struct mir_span text = mir_span(row->text, row->len ? row->len : strlen(row->text));
        struct mir_error err = MIR_ERROR_INIT;
        struct img_ref ref = {.host = NULL};

        if (img_ref_parse(text, &ref, &err))
            fail_msg("%s: was taken", row->label);
        if (err.code != row->code || !strstr(err.text, row->says))
            fail_msg("%s: code %d: %s", row->label, err.code, err.text);
        if (ref.host)
            fail_msg("%s: out was written", row->label);
    }
}

static void ref_parse_refuses_over_the_limit(void **state)
{
    auto_free char *text = mir_format("quay.io/%0*d", IMG_REF_MAX, 0);
    struct mir_error err = MIR_ERROR_INIT;
    auto_ref ref = {.host = NULL};

    (void)state;
    assert_false(img_ref_parse(mir_span_of(text), &ref, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    mir_error_clear(&err);
    assert_true(img_ref_parse(mir_span(text, IMG_REF_MAX), &ref, &err));
}

static void ref_parse_says_how_to_write_a_short_name(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct img_ref ref;

    (void)state;
    assert_false(img_ref_parse(mir_span_of("busybox"), &ref, &err));
    assert_non_null(strstr(err.hint, "docker.io/library/"));
}

static void ref_parse_needs_no_end_of_string(void **state)
{
    static const char text[] = {'r', '.', 'i', 'o', '/', 'a', ':', '1', '2'};
    struct mir_error err = MIR_ERROR_INIT;
    auto_ref ref = {.host = NULL};

    (void)state;
    assert_true(img_ref_parse(mir_span(text, sizeof(text) - 1), &ref, &err));
    assert_string_equal(ref.tag, "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ref_parse_reads_all_parts),
        cmocka_unit_test(ref_copy_owns_its_strings),
        cmocka_unit_test(ref_format_repo_leaves_tag_and_digest_out),
        cmocka_unit_test(ref_parse_refuses_what_is_no_reference),
        cmocka_unit_test(ref_parse_refuses_over_the_limit),
        cmocka_unit_test(ref_parse_says_how_to_write_a_short_name),
        cmocka_unit_test(ref_parse_needs_no_end_of_string),
    };

    return cmocka_run_group_tests_name("image/ref", tests, NULL, NULL);
}
