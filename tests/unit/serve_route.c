/*
 * serve/route: which URLs mean what, and that encodings smuggle nothing.
 */
#include "serve/route_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#define HEX16 "0123456789abcdef"
#define D256  "sha256:" HEX16 HEX16 HEX16 HEX16
#define D512  "sha512:" HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16

struct good_row {
    const char *target;
    enum serve_route_kind kind;
    const char *name, *tag, *digest;
};

static const struct good_row good_rows[] = {
    {"/v2/", SERVE_ROUTE_BASE, "", "", ""},
    {"/v2", SERVE_ROUTE_BASE, "", "", ""},
    {"/v2/?x=y", SERVE_ROUTE_BASE, "", "", ""},
    {"/v2/_catalog", SERVE_ROUTE_CATALOG, "", "", ""},
    {"/v2/a/tags/list", SERVE_ROUTE_TAGS, "a", "", ""},
    {"/v2/a/b/tags/list?n=3", SERVE_ROUTE_TAGS, "a/b", "", ""},
    {"/v2/a/manifests/1", SERVE_ROUTE_MANIFEST, "a", "1", ""},
    {"/v2/quay.io/a/b/manifests/v1.0_x", SERVE_ROUTE_MANIFEST, "quay.io/a/b", "v1.0_x", ""},
    {"/v2/a/manifests/" D256, SERVE_ROUTE_MANIFEST, "a", "", D256},
    {"/v2/a/manifests/" D512, SERVE_ROUTE_MANIFEST, "a", "", D512},
    {"/v2/a/blobs/" D256, SERVE_ROUTE_BLOB, "a", "", D256},
    {"/v2/a/blobs/sha256%3A" HEX16 HEX16 HEX16 HEX16, SERVE_ROUTE_BLOB, "a", "", D256},
    {"/v2/a/blobs/sha256%3a" HEX16 HEX16 HEX16 HEX16, SERVE_ROUTE_BLOB, "a", "", D256},
    {"/v2/%61/manifests/%31", SERVE_ROUTE_MANIFEST, "a", "1", ""},
    {"/v2/a/manifests/manifests/tags", SERVE_ROUTE_MANIFEST, "a/manifests", "tags", ""},
    {"/v2/a/tags/list/tags/list", SERVE_ROUTE_TAGS, "a/tags/list", "", ""},
    {"/v2/a/manifests/tags/list", SERVE_ROUTE_TAGS, "a/manifests", "", ""},
    {"/v2/blobs/blobs/" D256, SERVE_ROUTE_BLOB, "blobs", "", D256},
    {"/v2/a/b/referrers/" D256 "?artifactType=a%2Fb", SERVE_ROUTE_REFERRERS, "a/b", "", D256},
    {"/v2/a/referrers/referrers/" D256, SERVE_ROUTE_REFERRERS, "a/referrers", "", D256},
    {"http://127.0.0.1:5000/v2/a/tags/list", SERVE_ROUTE_TAGS, "a", "", ""},
    {"https://127.0.0.1:5000/v2/a/tags/list", SERVE_ROUTE_TAGS, "a", "", ""},
    {"/healthz", SERVE_ROUTE_HEALTH, "", "", ""},
    {"/healthz?x=y", SERVE_ROUTE_HEALTH, "", "", ""},
};

static void route_parse_reads_every_endpoint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_rows) / sizeof(good_rows[0]); i++) {
        const struct good_row *row = &good_rows[i];
        struct serve_route route;
        enum serve_problem problem;

        if (!serve_route_parse(mir_span_of(row->target), &route, &problem))
            fail_msg("%s: refused as %s", row->target, serve_problem_message(problem));
        if (route.kind != row->kind || strcmp(route.name, row->name) != 0 ||
            strcmp(route.tag, row->tag) != 0 || strcmp(route.digest.text, row->digest) != 0)
            fail_msg("%s: kind %d, name %s, tag %s, digest %s", row->target, route.kind, route.name,
                     route.tag, route.digest.text);
    }
}

struct bad_row {
    const char *label;
    const char *target;
    enum serve_problem problem;
};

static const struct bad_row bad_rows[] = {
    {"empty", "", SERVE_PROBLEM_ENDPOINT},
    {"root", "/", SERVE_PROBLEM_ENDPOINT},
    {"star", "*", SERVE_PROBLEM_ENDPOINT},
    {"version 1", "/v1/_ping", SERVE_PROBLEM_ENDPOINT},
    {"no slash in front", "v2/", SERVE_PROBLEM_ENDPOINT},
    {"version 20", "/v20/", SERVE_PROBLEM_ENDPOINT},
    {"upper-case version", "/V2/", SERVE_PROBLEM_ENDPOINT},
    {"below health", "/healthz/", SERVE_PROBLEM_ENDPOINT},
    {"two slashes in front", "//v2/", SERVE_PROBLEM_ENDPOINT},
    {"only a name", "/v2/a", SERVE_PROBLEM_ENDPOINT},
    {"no name for tags", "/v2/tags/list", SERVE_PROBLEM_ENDPOINT},
    {"no name for manifests", "/v2/manifests/1", SERVE_PROBLEM_ENDPOINT},
    {"empty name", "/v2//manifests/1", SERVE_PROBLEM_NAME},
    {"other word", "/v2/a/uploads/1", SERVE_PROBLEM_ENDPOINT},
    {"uploads", "/v2/a/blobs/uploads/", SERVE_PROBLEM_ENDPOINT},
    {"slash at the end of a tag", "/v2/a/manifests/1/", SERVE_PROBLEM_ENDPOINT},
    {"catalog of a name", "/v2/a/_catalog", SERVE_PROBLEM_ENDPOINT},
    {"upper-case name", "/v2/A/manifests/1", SERVE_PROBLEM_NAME},
    {"two slashes in the name", "/v2/a//b/manifests/1", SERVE_PROBLEM_NAME},
    {"dots", "/v2/../etc/manifests/1", SERVE_PROBLEM_NAME},
    {"dots at the end", "/v2/a/../manifests/1", SERVE_PROBLEM_NAME},
    {"colon in the name", "/v2/a:5000/b/manifests/1", SERVE_PROBLEM_NAME},
    {"tag of dots", "/v2/a/manifests/..", SERVE_PROBLEM_NO_MANIFEST},
    {"tag that cannot be", "/v2/a/manifests/.INVALID_MANIFEST_NAME", SERVE_PROBLEM_NO_MANIFEST},
    {"empty tag", "/v2/a/manifests/", SERVE_PROBLEM_NO_MANIFEST},
    {"short digest", "/v2/a/manifests/sha256:00", SERVE_PROBLEM_DIGEST},
    {"upper-case digest", "/v2/a/blobs/sha256:" HEX16 HEX16 HEX16 "0123456789ABCDEF",
     SERVE_PROBLEM_DIGEST},
    {"other algorithm", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", SERVE_PROBLEM_DIGEST},
    {"referrers of a tag", "/v2/a/referrers/latest", SERVE_PROBLEM_DIGEST},
    {"blob by tag", "/v2/a/blobs/latest", SERVE_PROBLEM_DIGEST},
    {"encoded slash", "/v2/a%2Fb/manifests/1", SERVE_PROBLEM_TARGET},
    {"encoded slash, lower case", "/v2/a/manifests%2f1", SERVE_PROBLEM_TARGET},
    {"encoded dots and slash", "/v2/%2e%2e%2fetc/manifests/1", SERVE_PROBLEM_TARGET},
    {"encoded dots", "/v2/%2e%2e/manifests/1", SERVE_PROBLEM_NAME},
    {"encoded percent", "/v2/a%252Fb/manifests/1", SERVE_PROBLEM_TARGET},
    {"encoded NUL", "/v2/a/manifests/1%00", SERVE_PROBLEM_TARGET},
    {"encoded line break", "/v2/a/manifests/1%0d%0aX:y", SERVE_PROBLEM_TARGET},
    {"encoded question mark", "/v2/_catalog%3Fn=1", SERVE_PROBLEM_TARGET},
    {"encoded blank", "/v2/a/manifests/%20", SERVE_PROBLEM_TARGET},
    {"half an encoding", "/v2/a/manifests/1%2", SERVE_PROBLEM_TARGET},
    {"only the percent", "/v2/a/manifests/%", SERVE_PROBLEM_TARGET},
    {"not hex", "/v2/a/manifests/%zz", SERVE_PROBLEM_TARGET},
    {"encoded above ASCII", "/v2/a/manifests/%c3%a9", SERVE_PROBLEM_TARGET},
    {"above ASCII", "/v2/a/manifests/\xc3\xa9", SERVE_PROBLEM_TARGET},
    {"control byte", "/v2/a/manifests/\x1b[31m", SERVE_PROBLEM_TARGET},
    {"fragment", "/v2/a/manifests/1#x", SERVE_PROBLEM_NO_MANIFEST},
    {"n is no number", "/v2/_catalog?n=x", SERVE_PROBLEM_COUNT},
    {"n is negative", "/v2/_catalog?n=-1", SERVE_PROBLEM_COUNT},
    {"n is empty", "/v2/_catalog?n=", SERVE_PROBLEM_COUNT},
    {"n over 64 bits", "/v2/_catalog?n=99999999999999999999", SERVE_PROBLEM_COUNT},
    {"n in a tag list", "/v2/a/tags/list?last=x&n=1e3", SERVE_PROBLEM_COUNT},
    {"last with a NUL", "/v2/_catalog?last=a%00", SERVE_PROBLEM_TARGET},
    {"last cut", "/v2/_catalog?last=a%", SERVE_PROBLEM_TARGET},
    {"proxy form without a path", "http://h", SERVE_PROBLEM_ENDPOINT},
};

static void route_parse_refuses_what_is_no_endpoint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
        struct serve_route route;
        enum serve_problem problem;

        if (serve_route_parse(mir_span_of(bad_rows[i].target), &route, &problem))
            fail_msg("%s: was taken", bad_rows[i].label);
        if (problem != bad_rows[i].problem)
            fail_msg("%s: refused as %s", bad_rows[i].label, serve_problem_message(problem));
    }
}

static void route_parse_bounds_the_target(void **state)
{
    auto_free char *target = mir_format("/v2/%0*d/tags/list", SERVE_TARGET_MAX, 0);
    struct serve_route route;
    enum serve_problem problem;

    (void)state;
    assert_false(serve_route_parse(mir_span_of(target), &route, &problem));
    assert_int_equal(problem, SERVE_PROBLEM_TOO_LONG);
    assert_int_equal(serve_problem_status(problem), 414);
    target[strlen(target) - 14] = '\0'; /* not the whole ending any more */
    memcpy(target + SERVE_TARGET_MAX - 10, "/tags/list", 11);
    assert_true(serve_route_parse(mir_span_of(target), &route, &problem));
    assert_int_equal(strlen(route.name), SERVE_TARGET_MAX - 14);
}

static void route_parse_reads_the_query(void **state)
{
    struct serve_route route;
    enum serve_problem problem;

    (void)state;
    assert_true(serve_route_parse(
        mir_span_of("/v2/_catalog?n=12&last=a%2Fb&ns=docker.io&&x&y=&artifactType=a/b%2Bc"), &route,
        &problem));
    assert_true(route.has_count);
    assert_int_equal(route.count, 12);
    assert_string_equal(route.last, "a/b");
    assert_string_equal(route.ns, "docker.io");
    assert_string_equal(route.artifact_type, "a/b+c");
    assert_true(serve_route_parse(mir_span_of("/v2/_catalog?n=0"), &route, &problem));
    assert_true(route.has_count);
    assert_int_equal(route.count, 0);
    assert_true(serve_route_parse(mir_span_of("/v2/_catalog"), &route, &problem));
    assert_false(route.has_count);
    assert_string_equal(route.last, "");
}

static void every_problem_has_a_status_and_a_code(void **state)
{
    (void)state;
    for (int problem = SERVE_PROBLEM_NONE + 1; problem <= SERVE_PROBLEM_INTERNAL; problem++) {
        assert_in_range(serve_problem_status((enum serve_problem)problem), 400, 599);
        assert_true(strlen(serve_problem_code((enum serve_problem)problem)) > 0);
        assert_true(strlen(serve_problem_message((enum serve_problem)problem)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route_parse_reads_every_endpoint),
        cmocka_unit_test(route_parse_refuses_what_is_no_endpoint),
        cmocka_unit_test(route_parse_bounds_the_target),
        cmocka_unit_test(route_parse_reads_the_query),
        cmocka_unit_test(every_problem_has_a_status_and_a_code),
    };

    return cmocka_run_group_tests_name("serve/route", tests, NULL, NULL);
}
