/*
 * Manifests, in and out, from registries that play foul: right bytes, right words.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/manifest.h"
#include "lib/must.h"
#include "lib/reg_bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANIFEST     "{\"schemaVersion\":2}"

static bool get_manifest(struct reg_bench *b, const char *reference, struct reg_manifest *out)
{
    mir_error_clear(&b->err);
    *out = (struct reg_manifest){.bytes = NULL};
    return reg_manifest_get(b->session, &b->repo, reference, out, &b->err);
}

static void manifest_comes_as_it_is(void **state)
{
    const struct server_reply replies[] = {
        {.status = 200,
         .headers = "Content-Type: application/vnd.oci.image.manifest.v1+json; charset=utf-8\r\n",
         .body = MANIFEST}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct img_digest digest;
    struct reg_manifest manifest;
    auto_free char *accept = NULL;
    auto_reg_bench b;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of(MANIFEST), &digest);
    reg_bench_start(&b, server, NULL);
    if (!get_manifest(&b, digest.text, &manifest))
        fail_msg("%s", b.err.text);
    assert_string_equal(manifest.bytes, MANIFEST);
    assert_int_equal(manifest.len, strlen(MANIFEST));
    assert_string_equal(manifest.media_type, IMG_TYPE_OCI_MANIFEST);
    assert_string_equal(manifest.digest.text, digest.text);
    reg_manifest_release(&manifest);
    accept = server_header(server_request(server, NULL, NULL, 0), "Accept");
    must_have(accept, IMG_TYPE_OCI_INDEX);
    must_have(accept, IMG_TYPE_OCI_MANIFEST);
    must_have(accept, IMG_TYPE_DOCKER_LIST);
    must_have(accept, IMG_TYPE_DOCKER_MANIFEST);
}

static void manifest_is_checked_against_its_digest(void **state)
{
    struct img_digest right;
    struct img_digest wrong;
    auto_free char *header = NULL;
    auto_free char *lie = NULL;
    struct reg_manifest manifest;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of(MANIFEST), &right);
    img_digest_of(MIR_HASH_SHA256, mir_span_of("something else"), &wrong);
    header = mir_format("Docker-Content-Digest: %s\r\n", right.text);
    lie = mir_format("Docker-Content-Digest: %s\r\n", wrong.text);
    {
        const struct {
            const char *label;
            const char *reference;
            const char *headers;
            enum mir_code code;
        } rows[] = {
            {"by tag", "v1", header, MIR_OK},
            {"by tag, not said", "v1", "", MIR_OK},
            {"by tag, odd word", "v1", "Docker-Content-Digest: md5:1\r\n", MIR_OK},
            {"by tag, a lie", "v1", lie, MIR_E_DIGEST},
            {"by digest", right.text, header, MIR_OK},
            {"by digest, the header is not asked", right.text, lie, MIR_OK},
            {"by another digest", wrong.text, lie, MIR_E_DIGEST},
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
            const struct server_reply replies[] = {
                {.status = 200, .headers = rows[i].headers, .body = MANIFEST}};
            auto_server *server = server_start(replies, COUNT(replies));
            auto_reg_bench b;

            reg_bench_start(&b, server, NULL);
            if (get_manifest(&b, rows[i].reference, &manifest) != (rows[i].code == MIR_OK) ||
                b.err.code != rows[i].code)
                fail_msg("%s: %s", rows[i].label, b.err.text);
            if (b.err.code == MIR_E_DIGEST)
                must_have(b.err.text, "/v2/team/app/manifests/");
            reg_manifest_release(&manifest);
        }
    }
}

static void manifest_has_a_limit(void **state)
{
    const size_t len = 10u << 20;
    auto_free char *huge = mir_alloc(len);
    struct server_reply rows[] = {
        {.status = 200, .body = huge, .body_len = len},
        {.status = 200, .body = huge, .body_len = len, .fault = SERVER_FAULT_UNMARKED},
        {.status = 200, .body = huge, .body_len = 65536, .fault = SERVER_FAULT_ENDLESS}};
    struct reg_manifest manifest;

    (void)state;
    memset(huge, ' ', len);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i], 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        assert_false(get_manifest(&b, "v1", &manifest));
        assert_int_equal(b.err.code, MIR_E_LIMIT);
        must_have(b.err.text, "/v2/team/app/manifests/v1");
        must_have(b.err.text, "over the limit of 4194304");
        assert_int_equal(server_count(server, "GET", NULL), 1);
    }
}

static void refusals_name_what_was_asked_and_hint(void **state)
{
    const struct {
        int status;
        const char *body;
        enum mir_code code;
        const char *says;
        const char *hints;
    } rows[] = {
        {404, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}",
         MIR_E_NOT_FOUND, "404 Not Found: MANIFEST_UNKNOWN: manifest unknown", "check the name"},
        {404, "<!DOCTYPE html>", MIR_E_NOT_FOUND, "404 Not Found", "check the name"},
        {403, "{\"errors\":[{\"code\":\"DENIED\"}]}", MIR_E_AUTH, "403 Forbidden: DENIED",
         "may not pull"},
        {429, "slow down", MIR_E_BUSY, "429 Too Many Requests: slow down", "--retry-times"},
        {503, "", MIR_E_SERVER, "503 Service Unavailable", ""},
        {418, "\x1b[31mred\x1b[0m\nsecond line", MIR_E_PROTOCOL, "418: ?[31mred?[0m", ""},
        {302, "", MIR_E_PROTOCOL, "302 Found", ""},
        {407, "", MIR_E_AUTH, "407 Proxy", "proxy"},
        {507, "full", MIR_E_SPACE, "507 Insufficient Storage: full", "no room"},
        {413, "{\"errors\":{}}", MIR_E_LIMIT, "413 Content Too Large", "limit"},
        {400, "{\"errors\":[5]}", MIR_E_PROTOCOL, "400 Bad Request", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {{.status = rows[i].status, .body = rows[i].body}};
        auto_server *server = server_start(replies, COUNT(replies));
        struct reg_manifest manifest;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        assert_false(get_manifest(&b, "v1", &manifest));
        if (b.err.code != rows[i].code || b.err.sys != rows[i].status ||
            !strstr(b.err.text, rows[i].says) || !strstr(b.err.hint, rows[i].hints) ||
            strncmp(b.err.text, "GET http://127.0.0.1:", 21) != 0 || strchr(b.err.text, '\n'))
            fail_msg("%d: %s (%s)", rows[i].status, b.err.text, b.err.hint);
    }
}

static void refusals_are_quoted_within_bounds(void **state)
{
    auto_free char *body = mir_format("{\"errors\":[{\"code\":\"X\",\"message\":\"%05000d\"}]}", 7);
    const struct server_reply replies[] = {{.status = 400, .body = body}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct reg_manifest manifest;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    assert_false(get_manifest(&b, "v1", &manifest));
    assert_true(strlen(b.err.text) < 500);
    must_have(b.err.text, "000...");
}

static void names_are_checked_before_anything_is_sent(void **state)
{
    auto_server *server = server_start(NULL, 0);
    const struct reg_repo repos[] = {{.host = server_host(server), .name = "../admin"},
                                     {.host = server_host(server), .name = "Team/app"},
                                     {.host = "host/path", .name = "team/app"},
                                     {.host = "a b", .name = "team/app"}};
    const char *const references[] = {"a/b", "", "v1?x=y", "sha256:12", "a b"};
    struct reg_manifest manifest;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    for (size_t i = 0; i < COUNT(repos); i++) {
        mir_error_clear(&b.err);
        assert_false(reg_manifest_get(b.session, &repos[i], "v1", &manifest, &b.err));
        assert_int_equal(b.err.code, MIR_E_FORMAT);
    }
    for (size_t i = 0; i < COUNT(references); i++) {
        assert_false(get_manifest(&b, references[i], &manifest));
        assert_int_equal(b.err.code, MIR_E_FORMAT);
    }
    assert_int_equal(server_count(server, NULL, NULL), 0);
}

static void find_takes_absence_for_an_answer(void **state)
{
    struct img_digest digest;
    auto_free char *headers = NULL;
    struct reg_found found;
    bool there = true;
    auto_server *server = NULL;
    auto_reg_bench b;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of(MANIFEST), &digest);
    headers = mir_format("Docker-Content-Digest: %s\r\nContent-Type: %s\r\n", digest.text,
                         IMG_TYPE_OCI_INDEX);
    {
        const struct server_reply replies[] = {
            {.method = "HEAD",
             .path = "/v2/team/app/manifests/v1",
             .status = 200,
             .headers = headers,
             .body = MANIFEST},
            {.method = "HEAD", .path = "/v2/team/app/manifests/v2", .status = 404},
            {.method = "HEAD", .path = "/v2/team/app/manifests/v3", .status = 403},
            {.method = "HEAD", .path = "/v2/team/app/blobs/*", .times = 1, .status = 200},
            {.method = "HEAD", .path = "/v2/team/app/blobs/*", .status = 404}};

        server = server_start(replies, COUNT(replies));
        reg_bench_start(&b, server, NULL);
        assert_true(reg_manifest_find(b.session, &b.repo, "v1", &found, &b.err));
        assert_true(found.is_there);
        assert_string_equal(found.digest.text, digest.text);
        assert_string_equal(found.media_type, IMG_TYPE_OCI_INDEX);
        assert_true(reg_manifest_find(b.session, &b.repo, "v2", &found, &b.err));
        assert_false(found.is_there);
        assert_string_equal(found.digest.text, "");
        assert_false(reg_manifest_find(b.session, &b.repo, "v3", &found, &b.err));
        assert_int_equal(b.err.code, MIR_E_AUTH);
        mir_error_clear(&b.err);
        assert_true(reg_blob_find(b.session, &b.repo, &digest, &there, &b.err));
        assert_true(there);
        assert_true(reg_blob_find(b.session, &b.repo, &digest, &there, &b.err));
        assert_false(there);
        server_finish(server);
    }
}

static void manifest_put_checks_what_is_kept(void **state)
{
    struct img_digest right;
    struct img_digest wrong;
    auto_free char *good = NULL;
    auto_free char *bad = NULL;

    (void)state;
    img_digest_of(MIR_HASH_SHA256, mir_span_of(MANIFEST), &right);
    img_digest_of(MIR_HASH_SHA256, mir_span_of("other"), &wrong);
    good = mir_format("Docker-Content-Digest: %s\r\n", right.text);
    bad = mir_format("Docker-Content-Digest: %s\r\n", wrong.text);
    {
        const struct {
            int status;
            const char *headers;
            enum mir_code code;
        } rows[] = {{201, good, MIR_OK},
                    {201, "", MIR_OK},
                    {201, bad, MIR_E_DIGEST},
                    {400, "", MIR_E_PROTOCOL},
                    {403, "", MIR_E_AUTH}};

        for (size_t i = 0; i < COUNT(rows); i++) {
            const struct server_reply replies[] = {
                {.times = 1, .fault = SERVER_FAULT_SILENCE},
                {.status = rows[i].status, .headers = rows[i].headers}};
            auto_server *server = server_start(replies, COUNT(replies));
            const struct server_request *request;
            auto_free char *type = NULL;
            auto_reg_bench b;

            reg_bench_start(&b, server, NULL);
            if (reg_manifest_put(b.session, &b.repo, "v1", IMG_TYPE_OCI_MANIFEST,
                                 mir_span_of(MANIFEST), &b.err) != (rows[i].code == MIR_OK) ||
                b.err.code != rows[i].code)
                fail_msg("row %zu: %s", i, b.err.text);
            request = server_request(server, "PUT", "/v2/team/app/manifests/v1", 1);
            assert_string_equal(request->body, MANIFEST);
            type = server_header(request, "Content-Type");
            assert_string_equal(type, IMG_TYPE_OCI_MANIFEST);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest_comes_as_it_is),
        cmocka_unit_test(manifest_is_checked_against_its_digest),
        cmocka_unit_test(manifest_has_a_limit),
        cmocka_unit_test(refusals_name_what_was_asked_and_hint),
        cmocka_unit_test(refusals_are_quoted_within_bounds),
        cmocka_unit_test(names_are_checked_before_anything_is_sent),
        cmocka_unit_test(find_takes_absence_for_an_answer),
        cmocka_unit_test(manifest_put_checks_what_is_kept),
    };

    return cmocka_run_group_tests_name("registry/manifest", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
