/*
 * Scopes and references: nesting, prefixes, formats.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "icsp/reference_priv.h"
#include "icsp/scope_priv.h"

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

struct nest_row {
    const char *sub, *super;
    bool nested;
};

static const struct nest_row nest_rows[] = {
    {"a.com", "a.com", true},
    {"a.com/b", "a.com", true},
    {"a.com/b/c", "a.com/b", true},
    {"a.com/bc", "a.com/b", false},
    {"a.com:5000", "a.com", false},
    {"a.com", "a.com:5000", false},
    {"a.com:5000/x", "a.com:5000", true},
    {"a.com", "a.com/b", false},
    {"x.a.com", "*.a.com", true},
    {"x.y.a.com/ns", "*.a.com", true},
    {"*.b.a.com", "*.a.com", true},
    {"*.a.com", "*.a.com", true},
    {"*.a.com", "*.b.a.com", false},
    {"a.com", "*.a.com", false},
    {"xa.com", "*.a.com", false},
    {"x.a.com:5000/ns", "*.a.com", true},
    {"x.a.com/ns:tag", "*.a.com", false},
    {"x.a.com/ns@sha256:00", "*.a.com", false},
    {"x.a.com/y.a.com", "*.a.com", true},
    {"b.io/x.a.com", "*.a.com", false},
    {"a.com//x", "a.com/", true},
    {"/x", "", true},
    {"x.", "*.", true},
};

static void scope_nests_by_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(nest_rows); i++) {
        const struct nest_row *row = &nest_rows[i];

        if (icsp_scope_is_nested(mir_span_of(row->sub), mir_span_of(row->super)) != row->nested)
            fail_msg("%s in %s: wrong", row->sub, row->super);
    }
}

/* Does the walk over what contains sub come by super? */
static bool walk_finds(const char *sub, const char *super)
{
    struct icsp_scope_walk walk = icsp_scope_walk_from(mir_span_of(sub));
    struct mir_span found;
    bool wildcard;

    while (icsp_scope_walk_next(&walk, &found, &wildcard)) {
        auto_free char *name = mir_format("%s%.*s", wildcard ? "*" : "", MIR_SPAN_ARG(found));

        if (strcmp(name, super) == 0)
            return true;
    }
    return false;
}

static void scope_walk_finds_exactly_what_contains(void **state)
{
    static const char *const scopes[] = {
        "a.com",           "a.com/b",     "a.com/b/c",     "a.com:5000", "a.com:5000/b", "x.a.com",
        "x.a.com:5000/b",  "*.a.com",     "*.x.a.com",     "*.com",      "x.a.com/b:1",  "com",
        "x.a.com/y.a.com", "a.com/",      "a.com//b",      "",           "*.",           "x.",
        ".a.com",          "x.a.com@1:2", "y:5/x.a.com/b", "*a.com",     "*.a.com/b",    "/"};

    (void)state;
    for (size_t i = 0; i < ROWS(nest_rows); i++)
        assert_int_equal(walk_finds(nest_rows[i].sub, nest_rows[i].super), nest_rows[i].nested);
    for (size_t i = 0; i < ROWS(scopes); i++)
        for (size_t k = 0; k < ROWS(scopes); k++)
            if (walk_finds(scopes[i], scopes[k]) !=
                icsp_scope_is_nested(mir_span_of(scopes[i]), mir_span_of(scopes[k])))
                fail_msg("walk and nesting disagree: %s in %s", scopes[i], scopes[k]);
}

struct prefix_row {
    const char *prefix, *ref;
    int len; /* -1: no match */
};

static void scope_prefix_matches_as_runtimes_do(void **state)
{
    static const struct prefix_row rows[] = {
        {"a.com", "a.com:5000/x", 5},
        {"a.com", "a.com/x", 5},
        {"a.com", "a.com", 5},
        {"a.com/x", "a.com/x@sha256:00", 7},
        {"a.com/x", "a.com/x:1", 7},
        {"a.com/x", "a.com/xy", -1},
        {"a.com/x/y", "a.com/x", -1},
        {"*.a.com", "x.a.com/y", 7},
        {"*.a.com", "x.y.a.com:5000/y", 9},
        {"*.a.com", "a.com/y", -1},
        {"*.a.com", "b.io/x.a.com", -1},
        {"*.a.com", "x.a.comb/y", -1},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        size_t len = 0;
        bool found = icsp_prefix_match(mir_span_of(rows[i].prefix), mir_span_of(rows[i].ref), &len);

        if (found != (rows[i].len >= 0) || (found && len != (size_t)rows[i].len))
            fail_msg("%s against %s: %d, %zu", rows[i].prefix, rows[i].ref, found, len);
    }
}

struct format_row {
    const char *text;
    bool entry, mirror, source;
};

static void scope_formats_are_those_of_the_reference(void **state)
{
    static const struct format_row rows[] = {
        {"a.com", true, true, true},
        {"a", true, true, true},
        {"A.com/x", true, true, true},
        {"a.com:5000/x/y", true, true, true},
        {"a.com/X", true, false, false},
        {"a.com/x:1", true, false, false},
        {"a.com/x@sha256:0", true, false, false},
        {"a.com/", true, false, false},
        {"a.com//x", true, false, false},
        {"a.com:/x", true, false, false},
        {"a.com:5000a", true, false, false},
        {"a..com", true, false, false},
        {"-a.com", true, false, false},
        {"a_b.com", true, false, false},
        {"https://a.com", true, false, false},
        {"a.com/a.b_c__d---e", true, true, true},
        {"a.com/a..b", true, false, false},
        {"a.com/a___b", true, false, false},
        {"a.com/a._b", true, false, false},
        {"a.com/-a", true, false, false},
        {"a.com/a-", true, false, false},
        {"[::1]:5000/x", true, false, false},
        {"b\xc3\xbc.com", true, false, false},
        {"a b", true, false, false},
        {"", false, false, false},
        {"*", false, false, false},
        {"*.", true, false, false},
        {"*.a.com", true, false, true},
        {"*.a.com:5000", false, false, false},
        {"*.a.com/x", false, false, false},
        {"*.a.*", false, false, false},
        {"a.*.com", false, false, false},
        {"*.a@b", false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mir_span text = mir_span_of(rows[i].text);

        if (icsp_scope_is_list_entry(text) != rows[i].entry)
            fail_msg("\"%s\" as list entry", rows[i].text);
        if (icsp_scope_is_mirror(text) != rows[i].mirror)
            fail_msg("\"%s\" as mirror", rows[i].text);
        if (icsp_scope_is_source(text) != rows[i].source)
            fail_msg("\"%s\" as source", rows[i].text);
    }
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void reference_parse_wants_canonical_form(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        const char *repo;
    } rows[] = {
        {"quay.io/a/b@sha256:" HEX64, true, "quay.io/a/b"},
        {"quay.io/a/b:1@sha256:" HEX64, true, "quay.io/a/b"},
        {"localhost/a:1", true, "localhost/a"},
        {"h:5000/a", true, "h:5000/a"},
        {"[::1]:5000/a", true, "[::1]:5000/a"},
        {"[::1]/a", true, "[::1]/a"},
        {"docker.io/library/x:1", true, "docker.io/library/x"},
        {"docker.io/x:1", false, NULL},
        {"index.docker.io/library/x", false, NULL},
        {"okd:latest", false, NULL},
        {"busybox", false, NULL},
        {"quay.io", false, NULL},
        {"quay.io:5000", false, NULL},
        {"okd/x", false, NULL},
        {"quay.io/A", false, NULL},
        {"quay.io/a@sha256:abc", false, NULL},
        {"quay.io/a@md5:" HEX64, false, NULL},
        {"quay.io/a@sha384:" HEX64 HEX64, false, NULL},
        {"quay.io/a@sha512:" HEX64 HEX64, true, "quay.io/a"},
        {"quay.io/a:", false, NULL},
        {"quay.io/a:-x", false, NULL},
        {"quay.io/a/", false, NULL},
        {"quay.io//a", false, NULL},
        {"m.com/v:5000/p", false, NULL},
        {"", false, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct icsp_reference ref;
        bool ok = icsp_reference_parse(mir_span_of(rows[i].text), &ref);

        if (ok != rows[i].ok || (ok && !mir_span_is(ref.repo, rows[i].repo)))
            fail_msg("\"%s\"", rows[i].text);
    }
}

static void reference_is_any_takes_short_names(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"busybox", true},        {"a/b", true},  {"docker.io/x", true}, {"quay.io/a:1", true},
        {"example.com/A", false}, {HEX64, false}, {"", false},           {"a//b", false},
        {"Upper", false},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        if (icsp_reference_is_any(mir_span_of(rows[i].text)) != rows[i].ok)
            fail_msg("\"%s\"", rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scope_nests_by_the_reference),
        cmocka_unit_test(scope_walk_finds_exactly_what_contains),
        cmocka_unit_test(scope_prefix_matches_as_runtimes_do),
        cmocka_unit_test(scope_formats_are_those_of_the_reference),
        cmocka_unit_test(reference_parse_wants_canonical_form),
        cmocka_unit_test(reference_is_any_takes_short_names),
    };

    return cmocka_run_group_tests_name("icsp/scope", tests, NULL, NULL);
}
