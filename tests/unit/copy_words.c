/*
 * copy: places, list files and the landing rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "copy/landing.h"
#include "copy/list.h"
#include "copy/place.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- places ---- */

static void place_parse_reads_every_transport(void **state)
{
    static const struct {
        const char *text;
        enum copy_place_kind kind;
        enum bundle_form form;
        const char *path, *ref, *name;
    } rows[] = {
        {"docker://quay.io/a/b:1", COPY_PLACE_DOCKER, BUNDLE_FORM_TAR, NULL, NULL, "quay.io/a/b:1"},
        {"bundle:out.tar", COPY_PLACE_LAYOUT, BUNDLE_FORM_TAR, "out.tar", NULL, NULL},
        {"bundle:d/x.tar:quay.io:443/a:1", COPY_PLACE_LAYOUT, BUNDLE_FORM_TAR, "d/x.tar",
         "quay.io:443/a:1", NULL},
        {"oci-archive:x:@3", COPY_PLACE_LAYOUT, BUNDLE_FORM_TAR, "x", "@3", NULL},
        {"oci:dir:latest", COPY_PLACE_LAYOUT, BUNDLE_FORM_DIR, "dir", "latest", NULL},
        {"bundle:-", COPY_PLACE_LAYOUT, BUNDLE_FORM_PIPE, "-", NULL, NULL},
        {"oci-archive:-:@0", COPY_PLACE_LAYOUT, BUNDLE_FORM_PIPE, "-", "@0", NULL},
        {"bundle:-:quay.io/a:1", COPY_PLACE_LAYOUT, BUNDLE_FORM_PIPE, "-", "quay.io/a:1", NULL},
        {"bundle:./-", COPY_PLACE_LAYOUT, BUNDLE_FORM_TAR, "./-", NULL, NULL},
        {"oci:-", COPY_PLACE_LAYOUT, BUNDLE_FORM_DIR, "-", NULL, NULL},
        {"quay.io/a", COPY_PLACE_DOCKER, BUNDLE_FORM_TAR, NULL, NULL, "quay.io/a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_place place = {0};

        if (!copy_place_parse(mir_span_of(rows[i].text), true, &place, &err))
            fail_msg("%s: %s", rows[i].text, err.text);
        assert_int_equal(place.kind, rows[i].kind);
        assert_string_equal(place.text, rows[i].text);
        assert_string_equal(place.path ? place.path : "-", rows[i].path ? rows[i].path : "-");
        assert_string_equal(place.ref ? place.ref : "-", rows[i].ref ? rows[i].ref : "-");
        assert_string_equal(place.name ? place.name : "-", rows[i].name ? rows[i].name : "-");
        if (place.kind == COPY_PLACE_LAYOUT)
            assert_int_equal(place.form, rows[i].form);
    }
}

static void place_parse_refuses_what_names_nothing(void **state)
{
    static const char *const rows[] = {"docker://", "bundle:", "oci::x", "bundle:x:", "quay.io/a"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_place place = {0};

        if (copy_place_parse(mir_span_of(rows[i]), false, &place, &err))
            fail_msg("%s was accepted", rows[i]);
        assert_int_equal(err.code, MIR_E_USAGE);
    }
}

/* ---- lists ---- */

static void list_parse_reads_sources_mappings_and_comments(void **state)
{
    static const char text[] = "# all we need\n"
                               "\n"
                               "quay.io/a:1\n"
                               "  quay.io/b:1   # trailing\r\n"
                               "quay.io/c@sha256:x=host/c:1\n"
                               "quay.io/d host/d:1 host/e:1\n"
                               "quay.io/f#not-a-comment";
    static const struct {
        const char *source, *destination;
        unsigned line;
    } rows[] = {
        {"quay.io/a:1", NULL, 3},
        {"quay.io/b:1", NULL, 4},
        {"quay.io/c@sha256:x", "host/c:1", 5},
        {"quay.io/d", "host/d:1", 6},
        {"quay.io/d", "host/e:1", 6},
        {"quay.io/f#not-a-comment", NULL, 7},
    };
    struct mir_error err = MIR_ERROR_INIT;
    auto_list list = {0};

    (void)state;
    assert_true(copy_list_parse(mir_span_of(text), "list", &list, &err));
    assert_int_equal(list.count, sizeof(rows) / sizeof(rows[0]));
    for (size_t i = 0; i < list.count; i++) {
        assert_string_equal(list.items[i].source, rows[i].source);
        assert_int_equal(list.items[i].line, rows[i].line);
        assert_string_equal(list.items[i].destination ? list.items[i].destination : "-",
                            rows[i].destination ? rows[i].destination : "-");
    }
}

static void list_parse_names_the_line_of_a_half_mapping(void **state)
{
    static const char *const rows[] = {"ok\n=host/a\n", "ok\nquay.io/a=\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_list list = {0};

        assert_false(copy_list_parse(mir_span_of(rows[i]), "list", &list, &err));
        assert_int_equal(err.code, MIR_E_USAGE);
        assert_non_null(strstr(err.text, "list:2: "));
    }
}

static void list_parse_refuses_nul_bytes(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_list list = {0};

    (void)state;
    assert_false(copy_list_parse(mir_span("a\0b\n", 4), "list", &list, &err));
}

/* ---- landing ---- */

struct landing_row {
    const char *label, *prefix, *exact, *source;
    bool keep_host;
    unsigned max_depth;
    const char *lands; /* repository:tag, "" for no tag */
};

static const struct landing_row landing_rows[] = {
    {"bare host keeps the path", "m.test:5000", NULL, "quay.io/a/b:1", false, 0, "a/b:1"},
    {"prefix", "m.test/mirror/", NULL, "quay.io/a/b:1", false, 0, "mirror/a/b:1"},
    {"prefix without slash", "m.test/x/y", NULL, "quay.io/a:1", false, 0, "x/y/a:1"},
    {"host in front", "m.test/x", NULL, "quay.io/a:1", true, 0, "x/quay.io/a:1"},
    {"host with port", "m.test", NULL, "LocalHost:5000/a:1", true, 0, "localhost-5000/a:1"},
    {"depth joins the rest", "m.test/x", NULL, "quay.io/a/b/c:1", false, 2, "x/a-b-c:1"},
    {"depth one", "m.test", NULL, "quay.io/a/b:1", false, 1, "a-b:1"},
    {"depth not reached", "m.test/x", NULL, "quay.io/a:1", false, 5, "x/a:1"},
    {"exact", NULL, "m.test/r/s:t", "quay.io/a:1", true, 1, "r/s:t"},
    {"exact without tag takes the source's", NULL, "m.test/r", "quay.io/a:1", false, 0, "r:1"},
    {"digest alone is pinned", "m.test", NULL, "quay.io/a@sha256:" HEX, false, 0,
     "a:pinned-0123456789abcdef"},
    {"tag and digest keep the tag", "m.test", NULL, "quay.io/a:v@sha256:" HEX, false, 0, "a:v"},
    {"exact and digest alone", NULL, "m.test/r", "quay.io/a@sha256:" HEX, false, 0,
     "r:pinned-0123456789abcdef"},
};

static void landing_puts_images_where_the_rule_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(landing_rows) / sizeof(landing_rows[0]); i++) {
        const struct landing_row *row = &landing_rows[i];
        struct mir_error err = MIR_ERROR_INIT;
        auto_landing landing = {
            .keep_host = row->keep_host, .max_depth = row->max_depth, .digest_tags = true};
        auto_ref source = {0}, out = {0};
        auto_free char *got = NULL;

        assert_true(row->exact ? copy_landing_parse_exact(row->exact, &landing, &err)
                               : copy_landing_parse_prefix(row->prefix, &landing, &err));
        assert_true(img_ref_parse(mir_span_of(row->source), &source, &err));
        if (!copy_landing_of(&landing, &source, &out, &err))
            fail_msg("%s: %s", row->label, err.text);
        got = mir_format("%s:%s", out.repo, out.tag ? out.tag : "");
        if (strcmp(got, row->lands) != 0)
            fail_msg("%s: lands on %s, not %s", row->label, got, row->lands);
    }
}

static void landing_gives_no_tag_when_digest_tags_are_off(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_landing landing = {.digest_tags = false};
    auto_ref source = {0}, out = {0};

    (void)state;
    assert_true(copy_landing_parse_prefix("m.test", &landing, &err));
    assert_true(img_ref_parse(mir_span_of("quay.io/a@sha256:" HEX), &source, &err));
    assert_true(copy_landing_of(&landing, &source, &out, &err));
    assert_null(out.tag);
    assert_true(out.has_digest);
}

static void landing_refuses_bad_destinations(void **state)
{
    static const struct {
        const char *prefix, *exact;
    } rows[] = {
        {"", NULL},
        {"/", NULL},
        {"m.test/UPPER", NULL},
        {"m.test//x", NULL},
        {"m.test/x:tag", NULL},
        {"m test/x", NULL},
        {NULL, "m.test/r@sha256:" HEX},
        {NULL, "nohost"},
        {NULL, "m.test/r:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_landing landing = {0};
        bool ok = rows[i].prefix ? copy_landing_parse_prefix(rows[i].prefix, &landing, &err)
                                 : copy_landing_parse_exact(rows[i].exact, &landing, &err);

        if (ok)
            fail_msg("\"%s\" was accepted", rows[i].prefix ? rows[i].prefix : rows[i].exact);
        assert_int_equal(err.code, MIR_E_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_parse_reads_every_transport),
        cmocka_unit_test(place_parse_refuses_what_names_nothing),
        cmocka_unit_test(list_parse_reads_sources_mappings_and_comments),
        cmocka_unit_test(list_parse_names_the_line_of_a_half_mapping),
        cmocka_unit_test(list_parse_refuses_nul_bytes),
        cmocka_unit_test(landing_puts_images_where_the_rule_says),
        cmocka_unit_test(landing_gives_no_tag_when_digest_tags_are_off),
        cmocka_unit_test(landing_refuses_bad_destinations),
    };

    return cmocka_run_group_tests_name("copy/words", tests, NULL, NULL);
}
