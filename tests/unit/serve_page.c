/*
 * serve/page: pages of names, and the way to the next one.
 */
#include "serve/page_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/manifest.h"

static const char *four_names[] = {"a/b", "b", "b/c", "d"};
static const struct serve_names four = {four_names, 4};

struct row {
    const char *target;
    size_t start, count;
    bool has_more;
};

static const struct row rows[] = {
    {"/v2/_catalog", 0, 4, false},
    {"/v2/_catalog?n=4", 0, 4, false},
    {"/v2/_catalog?n=5", 0, 4, false},
    {"/v2/_catalog?n=18446744073709551615", 0, 4, false},
    {"/v2/_catalog?n=1", 0, 1, true},
    {"/v2/_catalog?n=0", 0, 0, false},
    {"/v2/_catalog?n=2&last=a%2Fb", 1, 2, true},
    {"/v2/_catalog?n=2&last=b", 2, 2, false},
    {"/v2/_catalog?last=bb", 3, 1, false}, /* need not be there */
    {"/v2/_catalog?last=d", 4, 0, false},
    {"/v2/_catalog?last=z&n=1", 4, 0, false},
    {"/v2/_catalog?last=A", 0, 4, false},
};

static void pages_start_after_last_and_hold_at_most_n(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct serve_route route;
        enum serve_problem problem;
        struct serve_page page;

        assert_true(serve_route_parse(mir_span_of(rows[i].target), &route, &problem));
        page = serve_page_of(&four, &route);
        if (page.start != rows[i].start || page.count != rows[i].count ||
            page.has_more != rows[i].has_more)
            fail_msg("%s: %zu at %zu, more: %d", rows[i].target, page.count, page.start,
                     page.has_more);
    }
}

static void pages_are_bounded_whatever_is_asked_for(void **state)
{
    size_t count = SERVE_PAGE_MAX + 5;
    auto_free const char **names = mir_alloc_array(count, sizeof(*names));
    struct serve_names many = {names, count};
    struct serve_route route = {.kind = SERVE_ROUTE_CATALOG};
    struct serve_page page;

    (void)state;
    for (size_t i = 0; i < count; i++)
        names[i] = "x";
    page = serve_page_of(&many, &route);
    assert_int_equal(page.count, SERVE_PAGE_MAX);
    assert_true(page.has_more);
    route.has_count = true;
    route.count = count;
    page = serve_page_of(&many, &route);
    assert_int_equal(page.count, SERVE_PAGE_MAX);
    assert_true(page.has_more);
}

static void bodies_are_those_of_the_specification(void **state)
{
    struct serve_page page = {1, 2, true}, none = {4, 0, false};
    auto_free char *catalog = serve_page_catalog(&four, page);
    auto_free char *tags = serve_page_tags("x/y", &four, none);

    (void)state;
    assert_string_equal(catalog, "{\"repositories\":[\"b\",\"b/c\"]}");
    assert_string_equal(tags, "{\"name\":\"x/y\",\"tags\":[]}");
}

static void referrers_are_an_index_that_can_be_filtered(void **state)
{
    static char type[] = "a/b", other[] = "c/d", one[] = "{\"x\":1}", two[] = "{\"x\":2}";
    const struct serve_content manifest = {.kind = SERVE_CONTENT_MANIFEST};
    struct serve_referrer items[] = {{type, one, &manifest}, {other, two, &manifest}};
    struct serve_referrers list = {.items = items, .count = 2};
    auto_free char *all = NULL, *filtered = NULL, *none = NULL;
    bool complete;

    (void)state;
    all = serve_page_referrers(&list, "", &complete);
    assert_true(complete);
    assert_string_equal(all, "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX
                             "\",\"manifests\":[{\"x\":1},{\"x\":2}]}");
    filtered = serve_page_referrers(&list, "c/d", &complete);
    assert_non_null(strstr(filtered, "[{\"x\":2}]"));
    none = serve_page_referrers(NULL, "", &complete);
    assert_non_null(strstr(none, "\"manifests\":[]"));
}

static void a_list_of_referrers_stays_readable(void **state)
{
    auto_free char *large = mir_alloc(IMG_MANIFEST_BYTES_MAX);
    static char type[] = "a/b", small[] = "{}";
    const struct serve_content manifest = {.kind = SERVE_CONTENT_MANIFEST};
    const struct serve_content incomplete = {.kind = SERVE_CONTENT_INCOMPLETE};
    struct serve_referrer items[] = {{type, small, &manifest},
                                     {type, large, &manifest},
                                     {type, small, &incomplete},
                                     {type, small, &manifest}};
    struct serve_referrers list = {.items = items, .count = 4};
    auto_free char *text = NULL;
    bool complete;

    (void)state;
    memset(large, 'x', IMG_MANIFEST_BYTES_MAX - 1);
    text = serve_page_referrers(&list, "", &complete);
    assert_false(complete);
    assert_non_null(strstr(text, "[{},{}]}"));
}

static void links_encode_slashes(void **state)
{
    struct serve_page page = {1, 2, true};
    auto_free char *link = serve_page_link("/v2/_catalog", &four, page);

    (void)state;
    assert_string_equal(link, "</v2/_catalog?last=b%2Fc&n=2>; rel=\"next\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_start_after_last_and_hold_at_most_n),
        cmocka_unit_test(pages_are_bounded_whatever_is_asked_for),
        cmocka_unit_test(bodies_are_those_of_the_specification),
        cmocka_unit_test(referrers_are_an_index_that_can_be_filtered),
        cmocka_unit_test(a_list_of_referrers_stays_readable),
        cmocka_unit_test(links_encode_slashes),
    };

    return cmocka_run_group_tests_name("serve/page", tests, NULL, NULL);
}
