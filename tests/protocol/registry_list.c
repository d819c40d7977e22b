/*
 * Lists of tags and repositories: page after page, from registries that list oddly, and from those
 * that would lead us away or round in circles.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lib/must.h"
#include "lib/reg_bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TAGS         "/v2/team/app/tags/list"
#define MANY         100000

static bool list_tags(struct reg_bench *b, struct reg_names *out)
{
    mir_error_clear(&b->err);
    return reg_tag_list(b->session, &b->repo, out, &b->err);
}

static bool list_repos(struct reg_bench *b, struct reg_names *out)
{
    mir_error_clear(&b->err);
    return reg_repo_list(b->session, b->repo.host, false, out, &b->err);
}

/* "a b c" */
static char *joined(const struct reg_names *names)
{
    struct mir_buf text;

    mir_buf_init(&text, 1u << 20);
    for (size_t i = 0; i < names->count; i++)
        mir_buf_printf(&text, "%s%s", i > 0 ? " " : "", names->names[i]);
    mir_buf_text(&text, "");
    return mir_buf_take(&text);
}

static void lists_are_read_as_registries_write_them(void **state)
{
    const struct {
        const char *label, *body, *want;
    } rows[] = {
        {"sorted, each once", "{\"name\":\"x\",\"tags\":[\"b\",\"a\",\"b\"]}", "a b"},
        {"empty", "{\"tags\":[]}", ""},
        {"null", "{\"name\":\"x\",\"tags\":null}", ""},
        {"what is no tag is passed over",
         "{\"tags\":[\"ok\",\"-x\",\"a b\",\"../../x\",7,null,\"\",\"a\\nb\",{}]}", "ok"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply reply = {
            .path = TAGS "?n=1000", .status = 200, .body = rows[i].body};
        auto_server *server = server_start(&reply, 1);
        auto_names names = {0};
        auto_free char *got = NULL;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!list_tags(&b, &names))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        got = joined(&names);
        if (strcmp(got ? got : "", rows[i].want) != 0)
            fail_msg("%s: %s", rows[i].label, got);
    }
}

static void pages_are_followed_to_the_last(void **state)
{
    const struct {
        const char *label, *link;
    } rows[] = {
        {"relative to the host", "Link: <" TAGS "?last=b&n=2>; rel=\"next\"\r\n"},
        {"relative to the page", "Link: <list?last=b&n=2>; rel=\"next\"\r\n"},
        {"absolute", "Link: <http://{host}" TAGS "?last=b&n=2>; rel=\"next\"\r\n"},
        {"without quotes", "Link: <" TAGS "?last=b&n=2>;rel=next\r\n"},
        {"among other parameters",
         "Link: <" TAGS "?last=b&n=2>; title=\"x\"; rel = \"next\"; a=b\r\n"},
        {"the second of two",
         "Link: </first>; rel=\"first\", <" TAGS "?last=b&n=2>; rel=\"next\"\r\n"},
        {"in a header of its own",
         "Link: </first>; rel=\"first\"\r\nLink: <" TAGS "?last=b&n=2>; rel=\"next\"\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.path = TAGS "?n=1000",
             .status = 200,
             .headers = rows[i].link,
             .body = "{\"tags\":[\"a\",\"b\"]}"},
            {.path = TAGS "?last=b&n=2",
             .status = 200,
             .headers = "Link: <" TAGS "?n=1000>; rel=\"prev\"\r\n",
             .body = "{\"tags\":[\"c\"]}"}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_names names = {0};
        auto_free char *got = NULL;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!list_tags(&b, &names))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        got = joined(&names);
        if (strcmp(got, "a b c") != 0)
            fail_msg("%s: %s", rows[i].label, got);
    }
}

static void lists_that_lead_astray_are_refused(void **state)
{
    const struct {
        const char *label, *link, *body, *says;
        enum mir_code code;
    } rows[] = {
        {"to another host", "Link: <http://127.0.0.2:1/v2/x>; rel=\"next\"\r\n", "{\"tags\":[]}",
         "elsewhere, at http://127.0.0.2:1/", MIR_E_PROTOCOL},
        {"to another scheme", "Link: <https://{host}" TAGS ">; rel=\"next\"\r\n", "{\"tags\":[]}",
         "elsewhere", MIR_E_PROTOCOL},
        {"to a file", "Link: <file:///etc/passwd>; rel=\"next\"\r\n", "{\"tags\":[]}",
         "the next page", MIR_E_PROTOCOL},
        {"with a user in the URL", "Link: <http://a:b@{host}" TAGS ">; rel=\"next\"\r\n",
         "{\"tags\":[]}", "the next page", MIR_E_PROTOCOL},
        {"to itself", "Link: <" TAGS "?n=1000>; rel=\"next\"\r\n", "{\"tags\":[\"a\"]}", "circles",
         MIR_E_PROTOCOL},
        {"no JSON", NULL, "<html>", "the answer", MIR_E_FORMAT},
        {"no list", NULL, "{\"names\":[]}", "no list \"tags\"", MIR_E_PROTOCOL},
        {"a list of another kind", NULL, "{\"tags\":{\"a\":1}}", "no list \"tags\"",
         MIR_E_PROTOCOL},
        {"an array alone", NULL, "[\"a\"]", "no list \"tags\"", MIR_E_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply reply = {
            .path = TAGS "*", .status = 200, .headers = rows[i].link, .body = rows[i].body};
        auto_server *server = server_start(&reply, 1);
        auto_names names = {0};
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (list_tags(&b, &names) || b.err.code != rows[i].code || names.count != 0 ||
            !strstr(b.err.text, rows[i].says) || !strstr(b.err.text, "GET "))
            fail_msg("%s: %d %s", rows[i].label, (int)b.err.code, b.err.text);
    }
}

static void endless_lists_end(void **state)
{
    enum { PAGES = 300 };
    static struct server_reply replies[PAGES];
    static char *texts[PAGES][2];
    auto_server *server = NULL;
    auto_names names = {0};
    auto_reg_bench b;

    (void)state;
    for (size_t i = 0; i < PAGES; i++) {
        texts[i][0] = i == 0 ? mir_strdup(TAGS "?n=1000") : mir_format(TAGS "?at=%zu", i);
        texts[i][1] = mir_format("Link: <" TAGS "?at=%zu>; rel=\"next\"\r\n", i + 1);
        replies[i] = (struct server_reply){.path = texts[i][0],
                                           .status = 200,
                                           .headers = texts[i][1],
                                           .body = "{\"tags\":[\"a\"]}"};
    }
    server = server_start(replies, PAGES);
    reg_bench_start(&b, server, NULL);
    assert_false(list_tags(&b, &names));
    assert_int_equal(b.err.code, MIR_E_LIMIT);
    must_have(b.err.text, "does not end");
    assert_in_range(server_count(server, "GET", NULL), 50, 150);
    server_finish(server);
    for (size_t i = 0; i < PAGES; i++) {
        free(texts[i][0]);
        free(texts[i][1]);
    }
}

static void a_hundred_thousand_names_are_read(void **state)
{
    struct mir_buf body;
    struct server_reply reply = {.path = "/v2/_catalog*", .status = 200};
    auto_server *server = NULL;
    auto_names names = {0};
    auto_reg_bench b;

    (void)state;
    mir_buf_init(&body, 16u << 20);
    mir_buf_text(&body, "{\"repositories\":[\"zero\"");
    for (size_t i = 0; i < MANY; i++)
        mir_buf_printf(&body, ",\"team/name-of-a-repository-%06zu\"", i);
    mir_buf_text(&body, "]}");
    reply.body = body.ptr;
    reply.body_len = body.len;
    server = server_start(&reply, 1);
    reg_bench_start(&b, server, NULL);
    if (!list_repos(&b, &names))
        fail_msg("%s", b.err.text);
    assert_int_equal(names.count, MANY + 1);
    assert_string_equal(names.names[0], "team/name-of-a-repository-000000");
    assert_string_equal(names.names[MANY], "zero");
    server_finish(server);
    mir_buf_release(&body);
}

static void fewer_are_taken_where_a_thousand_are_too_many(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/v2/_catalog?n=1000",
         .status = 400,
         .body = "{\"errors\":[{\"code\":\"PAGINATION_NUMBER_INVALID\"}]}"},
        {.path = "/v2/_catalog", .status = 200, .body = "{\"repositories\":[\"a/b\"]}"}};
    const struct server_reply never[] = {{.status = 400}};
    auto_names names = {0}, none = {0};

    (void)state;
    {
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!list_repos(&b, &names))
            fail_msg("%s", b.err.text);
        assert_int_equal(names.count, 1);
    }
    {
        auto_server *server = server_start(never, COUNT(never));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        assert_false(list_repos(&b, &none));
        must_have(b.err.text, "400 Bad Request");
        assert_int_equal(server_count(server, "GET", NULL), 2);
    }
}

static void refusals_say_what_to_do(void **state)
{
    const struct {
        const char *label;
        int status;
        enum mir_code code;
    } rows[] = {
        {"not found", 404, MIR_E_NOT_FOUND},
        {"forbidden", 403, MIR_E_AUTH},
        {"not allowed", 405, MIR_E_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply reply = {.path = "/v2/_catalog*", .status = rows[i].status};
        auto_server *server = server_start(&reply, 1);
        auto_names names = {0};
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (list_repos(&b, &names) || b.err.code != rows[i].code ||
            !strstr(b.err.hint, "which repositories are meant"))
            fail_msg("%s: %s; %s", rows[i].label, b.err.text, b.err.hint);
    }
}

static void the_catalog_has_a_scope_of_its_own(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/v2/_catalog?n=1000",
         .needs = "Authorization: Bearer good",
         .status = 200,
         .headers = "Link: </v2/_catalog?last=a&n=1000>; rel=\"next\"\r\n",
         .body = "{\"repositories\":[\"a\"]}"},
        {.path = "/v2/_catalog?last=a&n=1000",
         .needs = "Authorization: Bearer good",
         .status = 200,
         .body = "{\"repositories\":[\"b\"]}"},
        {.path = "/v2/_catalog*",
         .status = 401,
         .headers = "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\","
                    "scope=\"registry:catalog:*\"\r\n"},
        {.path = "/token?*", .status = 200, .body = "{\"token\":\"good\",\"expires_in\":300}"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_names names = {0};
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush"});
    if (!list_repos(&b, &names))
        fail_msg("%s", b.err.text);
    assert_int_equal(names.count, 2);
    assert_int_equal(server_count(server, "GET", "/token*"), 1);
    must_have(server_request(server, "GET", "/token*", 0)->path, "scope=registry:catalog:%2A");
    assert_null(strstr(server_request(server, "GET", "/token*", 0)->path, "repository"));
    assert_false(reg_bench_said(&b, "hush"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_as_registries_write_them),
        cmocka_unit_test(pages_are_followed_to_the_last),
        cmocka_unit_test(lists_that_lead_astray_are_refused),
        cmocka_unit_test(endless_lists_end),
        cmocka_unit_test(a_hundred_thousand_names_are_read),
        cmocka_unit_test(fewer_are_taken_where_a_thousand_are_too_many),
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(the_catalog_has_a_scope_of_its_own),
    };

    return cmocka_run_group_tests_name("registry/list", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
