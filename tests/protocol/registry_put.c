/*
 * Blobs into a registry: mounts, uploads, and how they break.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/http_bench.h"
#include "lib/must.h"
#include "lib/reg_bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UPLOADS      "/v2/team/app/blobs/uploads/"

static bool put_blob(struct reg_bench *b, const char *mount_from, enum reg_put_outcome *outcome)
{
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);

    mir_error_clear(&b->err);
    b->content = mir_span_of(HTTP_BENCH_BODY);
    return reg_blob_put(b->session, &b->repo, &blob, mount_from, &b->blob_source, outcome, &b->err);
}

static void upload_takes_two_requests(void **state)
{
    const struct {
        const char *label;
        const char *location;
        const char *path;
    } rows[] = {
        {"absolute", "Location: http://{host}/up/1?_state=abc\r\n", "/up/1?_state=abc&digest="},
        {"path", "Location: /up/1\r\n", "/up/1?digest="},
        {"relative", "Location: 1?x=y\r\n", UPLOADS "1?x=y&digest="},
        {"no scheme", "Location: //{host}/up/1\r\n", "/up/1?digest="},
    };
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.method = "POST", .path = UPLOADS, .status = 202, .headers = rows[i].location},
            {.method = "PUT", .status = 201}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_free char *path = mir_format("%s%s", rows[i].path, blob.digest.text);
        const struct server_request *put;
        enum reg_put_outcome outcome;
        auto_free char *length = NULL;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!put_blob(&b, NULL, &outcome))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        assert_int_equal(outcome, REG_PUT_UPLOADED);
        assert_int_equal(server_count(server, NULL, NULL), 2);
        put = server_request(server, "PUT", NULL, 0);
        assert_string_equal(put->path, path);
        assert_string_equal(put->body, HTTP_BENCH_BODY);
        length = server_header(put, "Content-Length");
        assert_string_equal(length, "36");
    }
}

static void upload_mounts_where_it_can(void **state)
{
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    auto_free char *path = mir_format(UPLOADS "?mount=%s&from=base/image", blob.digest.text);
    const struct server_reply replies[] = {
        {.method = "POST", .path = path, .times = 1, .status = 201},
        {.method = "POST", .path = path, .status = 202, .headers = "Location: /up/1\r\n"},
        {.method = "PUT", .status = 201}};
    auto_server *server = server_start(replies, COUNT(replies));
    enum reg_put_outcome outcome;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    if (!put_blob(&b, "base/image", &outcome))
        fail_msg("%s", b.err.text);
    assert_int_equal(outcome, REG_PUT_MOUNTED);
    assert_int_equal(b.reads, 0);
    assert_true(put_blob(&b, "base/image", &outcome));
    assert_int_equal(outcome, REG_PUT_UPLOADED);
    assert_int_equal(server_count(server, NULL, NULL), 3);
}

static void upload_goes_on_where_mounting_is_not_allowed(void **state)
{
    const struct server_reply rows[] = {
        {.path = UPLOADS "?mount=*",
         .status = 401,
         .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"},
        {.path = UPLOADS "?mount=*", .status = 403},
        {.path = UPLOADS "?mount=*", .status = 404},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            rows[i],
            {.method = "POST", .path = UPLOADS, .status = 202, .headers = "Location: /up\r\n"},
            {.method = "PUT", .status = 201}};
        auto_server *server = server_start(replies, COUNT(replies));
        enum reg_put_outcome outcome;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!put_blob(&b, "base/image", &outcome))
            fail_msg("row %zu: %s", i, b.err.text);
        assert_int_equal(outcome, REG_PUT_UPLOADED);
        assert_int_equal(server_count(server, NULL, NULL), 3);
    }
}

static void upload_asks_for_the_scopes_it_needs(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token?service=reg&scope=repository:team/app:pull,push&scope=repository:base/"
                 "image:pull",
         .status = 200,
         .body = "{\"token\":\"tok-mount\"}"},
        {.needs = "tok-mount", .method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.needs = "tok-mount", .method = "PUT", .status = 201},
        {.status = 401,
         .headers = "WWW-Authenticate: Bearer "
                    "realm=\"http://{host}/token\",service=\"reg\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    enum reg_put_outcome outcome;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    if (!put_blob(&b, "base/image", &outcome))
        fail_msg("%s", b.err.text);
    assert_int_equal(server_count(server, NULL, NULL), 4);
}

static void mount_uploads_nothing(void **state)
{
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    auto_free char *path = mir_format(UPLOADS "?mount=%s&from=base/image", blob.digest.text);
    const struct {
        const char *label;
        struct server_reply reply;
        bool mounted;
    } rows[] = {
        {"mounted", {.method = "POST", .path = path, .status = 201}, true},
        {"not there", {.method = "POST", .status = 202, .headers = "Location: /up/1\r\n"}, false},
        {"no Location either", {.method = "POST", .status = 202}, false},
        {"not allowed",
         {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"},
         false},
        {"forbidden", {.status = 403}, false},
        {"no such repository", {.status = 404}, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        bool mounted = !rows[i].mounted;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!reg_blob_mount(b.session, &b.repo, &blob.digest, "base/image", &mounted, &b.err))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        if (mounted != rows[i].mounted || server_count(server, NULL, NULL) != 1)
            fail_msg("%s: %d after %zu requests", rows[i].label, mounted,
                     server_count(server, NULL, NULL));
    }
}

static void mount_reports_what_is_no_answer(void **state)
{
    const struct img_descriptor blob = reg_bench_blob_of(HTTP_BENCH_BODY);
    const struct server_reply reply = {.status = 500};
    auto_server *server = server_start(&reply, 1);
    const struct reg_options options = {.retry_times = 1};
    auto_reg_bench b;
    bool mounted = true;

    (void)state;
    reg_bench_start(&b, server, &options);
    assert_false(reg_blob_mount(b.session, &b.repo, &blob.digest, "base/image", &mounted, &b.err));
    assert_int_equal(b.err.code, MIR_E_SERVER);
    assert_false(mounted);
    assert_int_equal(server_count(server, NULL, NULL), 2);
}

static void upload_starts_over_when_it_breaks(void **state)
{
    const struct {
        const char *label;
        struct server_reply fault;
    } rows[] = {
        {"session lost", {.status = 404, .body = "BLOB_UPLOAD_UNKNOWN"}},
        {"invalid", {.status = 400}},
        {"conflict", {.status = 409}},
        {"range", {.status = 416}},
        {"500", {.status = 500}},
        {"503 with a wait", {.status = 503, .headers = "Retry-After: 9\r\n"}},
        {"hangs up in the body", {.fault = SERVER_FAULT_HANG_UP, .fault_at = 5}},
        {"says nothing", {.fault = SERVER_FAULT_SILENCE}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct server_reply replies[] = {
            {.method = "POST", .times = 1, .status = 202, .headers = "Location: /up/1\r\n"},
            {.method = "POST", .status = 202, .headers = "Location: /up/2\r\n"},
            rows[i].fault,
            {.method = "PUT", .path = "/up/2*", .status = 201}};
        auto_server *server = NULL;
        enum reg_put_outcome outcome;
        auto_reg_bench b;

        replies[2].path = "/up/1*";
        server = server_start(replies, COUNT(replies));
        reg_bench_start(&b, server, NULL);
        if (!put_blob(&b, NULL, &outcome))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        assert_string_equal(server_request(server, "PUT", "/up/2*", 0)->body, HTTP_BENCH_BODY);
        assert_int_equal(b.clock.wait_count, 1);
        if (rows[i].fault.headers)
            assert_int_equal(b.clock.waits[0], 9000);
    }
}

static void upload_gives_up_in_the_end(void **state)
{
    const struct {
        int status;
        size_t posts;
        enum mir_code code;
        const char *hints;
    } rows[] = {
        {404, 1, MIR_E_NOT_FOUND, "created first"},
        {500, 4, MIR_E_SERVER, ""},
        {403, 1, MIR_E_AUTH, "a quota"},
        {413, 1, MIR_E_LIMIT, "limit of the registry"},
        {507, 1, MIR_E_SPACE, "no room"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
            {.status = rows[i].status,
             .body = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"quota of 5\\u0007 GiB "
                     "is used up\"}]}"}};
        auto_server *server = server_start(replies, COUNT(replies));
        enum reg_put_outcome outcome;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        assert_false(put_blob(&b, NULL, &outcome));
        if (b.err.code != rows[i].code || server_count(server, "POST", NULL) != rows[i].posts ||
            !strstr(b.err.text, "DENIED: quota of 5? GiB is used up") ||
            !strstr(b.err.hint, rows[i].hints))
            fail_msg("%d: %s (%s), %zu tries", rows[i].status, b.err.text, b.err.hint,
                     server_count(server, "POST", NULL));
    }
}

static void upload_refuses_bad_locations(void **state)
{
    const char *const rows[] = {"", "Location: ftp://{host}/up\r\n",
                                "Location: http://a:hush@{host}/up\r\n", "Location: http://[\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.method = "POST", .status = 202, .headers = rows[i]}};
        auto_server *server = server_start(replies, COUNT(replies));
        enum reg_put_outcome outcome;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        assert_false(put_blob(&b, NULL, &outcome));
        assert_int_equal(b.err.code, MIR_E_PROTOCOL);
        assert_false(reg_bench_said(&b, "hush"));
        assert_int_equal(server_count(server, NULL, NULL), 1);
    }
}

static void upload_takes_no_credentials_elsewhere(void **state)
{
    const struct server_reply there[] = {{.method = "PUT", .status = 201}};
    auto_server *store = server_start(there, COUNT(there));
    auto_free char *away = mir_format("Location: %s/up?sig=hidden\r\n", server_url(store));
    const struct server_reply here[] = {
        {.needs = "Basic", .status = 202, .headers = away},
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *server = server_start(here, COUNT(here));
    enum reg_put_outcome outcome;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush"});
    if (!put_blob(&b, NULL, &outcome))
        fail_msg("%s", b.err.text);
    assert_int_equal(server_count(store, "PUT", NULL), 1);
    assert_false(server_was_told(store, "Authorization"));
    assert_false(reg_bench_said(&b, "hidden"));
}

static void upload_notices_another_digest(void **state)
{
    struct img_digest other;
    auto_free char *headers = NULL;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of("other"), &other);
    headers = mir_format("Docker-Content-Digest: %s\r\n", other.text);
    {
        const struct server_reply replies[] = {
            {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
            {.status = 201, .headers = headers}};
        auto_server *server = server_start(replies, COUNT(replies));
        enum reg_put_outcome outcome;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        assert_false(put_blob(&b, NULL, &outcome));
        assert_int_equal(b.err.code, MIR_E_DIGEST);
    }
}

static void upload_ends_when_cancelled(void **state)
{
    struct server_reply replies[] = {
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"}, {.status = 503}};
    auto_server *server = server_start(replies, COUNT(replies));
    enum reg_put_outcome outcome;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    b.clock.cancel = &b.cancel;
    assert_false(put_blob(&b, NULL, &outcome));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_int_equal(b.clock.wait_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upload_takes_two_requests),
        cmocka_unit_test(upload_mounts_where_it_can),
        cmocka_unit_test(upload_goes_on_where_mounting_is_not_allowed),
        cmocka_unit_test(upload_asks_for_the_scopes_it_needs),
        cmocka_unit_test(mount_uploads_nothing),
        cmocka_unit_test(mount_reports_what_is_no_answer),
        cmocka_unit_test(upload_starts_over_when_it_breaks),
        cmocka_unit_test(upload_gives_up_in_the_end),
        cmocka_unit_test(upload_refuses_bad_locations),
        cmocka_unit_test(upload_takes_no_credentials_elsewhere),
        cmocka_unit_test(upload_notices_another_digest),
        cmocka_unit_test(upload_ends_when_cancelled),
    };

    return cmocka_run_group_tests_name("registry/put", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
