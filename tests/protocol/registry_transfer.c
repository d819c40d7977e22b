/*
 * Manifests, blobs, uploads and relays against registries that play foul: right outcome, right
 * words, nothing complete that is wrong.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "image/manifest.h"
#include "lib/reg_bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANIFEST     "{\"schemaVersion\":2}"
#define BODY         "0123456789abcdefghijklmnopqrstuvwxyz"
#define BODY_LEN     (sizeof(BODY) - 1)
#define UPLOADS      "/v2/team/app/blobs/uploads/"

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static void digest_of(const char *text, struct img_digest *out)
{
    img_digest_of(MIR_HASH_SHA256, mir_span_of(text), out);
}

static struct img_descriptor blob_of(const char *text)
{
    struct img_descriptor blob = {.size = strlen(text)};

    digest_of(text, &blob.digest);
    return blob;
}

/* ---- manifests ----------------------------------------------------------------------------- */

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
    digest_of(MANIFEST, &digest);
    reg_bench_start(&b, server, NULL);
    if (!get_manifest(&b, digest.text, &manifest))
        fail_msg("%s", b.err.text);
    assert_string_equal(manifest.bytes, MANIFEST);
    assert_int_equal(manifest.len, strlen(MANIFEST));
    assert_string_equal(manifest.media_type, IMG_TYPE_OCI_MANIFEST);
    assert_string_equal(manifest.digest.text, digest.text);
    reg_manifest_release(&manifest);
    accept = server_header(server_request(server, NULL, NULL, 0), "Accept");
    assert_has(accept, IMG_TYPE_OCI_INDEX);
    assert_has(accept, IMG_TYPE_OCI_MANIFEST);
    assert_has(accept, IMG_TYPE_DOCKER_LIST);
    assert_has(accept, IMG_TYPE_DOCKER_MANIFEST);
}

static void manifest_is_checked_against_its_digest(void **state)
{
    struct img_digest right;
    struct img_digest wrong;
    auto_free char *header = NULL;
    auto_free char *lie = NULL;
    struct reg_manifest manifest;

    (void)state;
    digest_of(MANIFEST, &right);
    digest_of("something else", &wrong);
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
                assert_has(b.err.text, "/v2/team/app/manifests/");
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
        assert_has(b.err.text, "/v2/team/app/manifests/v1");
        assert_has(b.err.text, "over the limit of 4194304");
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
    assert_has(b.err.text, "000...");
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
    digest_of(MANIFEST, &digest);
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
    digest_of(MANIFEST, &right);
    digest_of("other", &wrong);
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

/* ---- blobs in ------------------------------------------------------------------------------ */

static bool get_blob(struct reg_bench *b, const struct img_descriptor *blob)
{
    mir_error_clear(&b->err);
    mir_buf_clear(&b->got);
    return reg_blob_get(b->session, &b->repo, blob, 0, NULL, &b->blob_sink, &b->err);
}

static void blob_is_checked_as_it_comes(void **state)
{
    const struct {
        const char *label;
        struct server_reply reply;
        enum mir_code code;
        const char *says;
    } rows[] = {
        {"right", {.status = 200, .body = BODY}, MIR_OK, ""},
        {"right, unmarked",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_UNMARKED},
         MIR_OK,
         ""},
        {"wrong digest",
         {.status = 200, .body = "0123456789abcdefghijklmnopqrstuvwxyZ"},
         MIR_E_DIGEST,
         "digest mismatch"},
        {"too short", {.status = 200, .body = "0123"}, MIR_E_DIGEST, "4 bytes where 36"},
        {"too long", {.status = 200, .body = BODY BODY}, MIR_E_DIGEST, "72 bytes where 36"},
        {"endless",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS},
         MIR_E_DIGEST,
         "longer than"},
        {"truncated each time",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 5},
         MIR_E_NETWORK,
         "broke off at byte 5"},
        {"missing", {.status = 404}, MIR_E_NOT_FOUND, "404 Not Found"},
        {"refused", {.status = 403}, MIR_E_AUTH, "403 Forbidden"},
    };
    const struct img_descriptor blob = blob_of(BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (get_blob(&b, &blob) != (rows[i].code == MIR_OK) || b.err.code != rows[i].code ||
            !strstr(b.err.text, rows[i].says) || b.got.len > BODY_LEN)
            fail_msg("%s: %s, %zu bytes", rows[i].label, b.err.text, b.got.len);
    }
}

static void blob_goes_on_from_an_offset(void **state)
{
    const struct server_reply replies[] = {{.times = 1,
                                            .status = 200,
                                            .body = BODY,
                                            .ranges = true,
                                            .fault = SERVER_FAULT_RESET,
                                            .fault_at = 3},
                                           {.status = 200, .body = BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct img_descriptor blob = blob_of(BODY);
    auto_hash *hash = mir_hash_new(MIR_HASH_SHA256);
    auto_hash *whole = mir_hash_new(MIR_HASH_SHA256);
    auto_hash *wrong = mir_hash_new(MIR_HASH_SHA256);
    auto_free char *first = NULL;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    mir_hash_update(hash, mir_span(BODY, 10));
    if (!reg_blob_get(b.session, &b.repo, &blob, 10, hash, &b.blob_sink, &b.err))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.got.ptr, &BODY[10]);
    first = server_header(server_request(server, NULL, NULL, 0), "Range");
    assert_string_equal(first, "bytes=10-");
    /* All there: nothing is asked, the digest is still checked. */
    mir_hash_update(whole, mir_span_of(BODY));
    assert_true(reg_blob_get(b.session, &b.repo, &blob, BODY_LEN, whole, &b.blob_sink, &b.err));
    assert_int_equal(server_count(server, NULL, NULL), 2);
    mir_hash_update(wrong, mir_span("x", 1));
    b.blob_sink.restart = NULL;
    assert_false(reg_blob_get(b.session, &b.repo, &blob, BODY_LEN, wrong, &b.blob_sink, &b.err));
    assert_int_equal(b.err.code, MIR_E_DIGEST);
    mir_error_clear(&b.err);
    assert_false(reg_blob_get(b.session, &b.repo, &blob, BODY_LEN + 1, NULL, &b.blob_sink, &b.err));
    assert_int_equal(b.err.code, MIR_E_DIGEST);
}

static void empty_blob_is_fetched_too(void **state)
{
    const struct server_reply replies[] = {{.status = 200}};
    auto_server *server = server_start(replies, COUNT(replies));
    const struct img_descriptor blob = blob_of("");
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    if (!get_blob(&b, &blob))
        fail_msg("%s", b.err.text);
    assert_int_equal(server_count(server, "GET", NULL), 1);
}

static void foreign_blob_comes_from_its_urls(void **state)
{
    const struct server_reply there[] = {
        {.path = "/gone", .status = 404},
        {.path = "/layer",
         .times = 1,
         .status = 200,
         .body = BODY,
         .fault = SERVER_FAULT_CUT,
         .fault_at = 9},
        {.path = "/layer", .status = 200, .body = BODY, .ranges = true}};
    const struct server_reply here[] = {
        {.needs = "Authorization", .status = 404},
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *store = server_start(there, COUNT(there));
    auto_server *server = server_start(here, COUNT(here));
    auto_free char *gone = mir_format("%s/gone", server_url(store));
    auto_free char *layer = mir_format("%s/layer", server_url(store));
    char file[] = "file:///etc/passwd";
    char *urls[] = {file, gone, layer};
    struct img_descriptor blob = blob_of(BODY);
    auto_reg_bench b;

    (void)state;
    blob.urls = urls;
    blob.url_count = COUNT(urls);
    reg_bench_start(&b, server, &(struct reg_options){.creds = "me:hush", .retry_times = 1});
    if (!get_blob(&b, &blob))
        fail_msg("%s", b.err.text);
    assert_string_equal(b.got.ptr, BODY);
    assert_false(server_was_told(store, "Authorization"));
    blob.url_count = 2;
    assert_false(get_blob(&b, &blob));
    assert_int_equal(b.err.code, MIR_E_NOT_FOUND);
    assert_has(b.err.text, "/gone: 404");
}

/* ---- blobs out ----------------------------------------------------------------------------- */

static bool put_blob(struct reg_bench *b, const char *mount_from, enum reg_put_outcome *outcome)
{
    const struct img_descriptor blob = blob_of(BODY);

    mir_error_clear(&b->err);
    b->content = mir_span_of(BODY);
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
    const struct img_descriptor blob = blob_of(BODY);

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
        assert_string_equal(put->body, BODY);
        length = server_header(put, "Content-Length");
        assert_string_equal(length, "36");
    }
}

static void upload_mounts_where_it_can(void **state)
{
    const struct img_descriptor blob = blob_of(BODY);
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
    const struct img_descriptor blob = blob_of(BODY);
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
    const struct img_descriptor blob = blob_of(BODY);
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
        assert_string_equal(server_request(server, "PUT", "/up/2*", 0)->body, BODY);
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
        {404, 4, MIR_E_NOT_FOUND, "created first"},
        {500, 4, MIR_E_SERVER, ""},
        {403, 1, MIR_E_AUTH, "push to"},
        {413, 1, MIR_E_LIMIT, "limit of the registry"},
        {507, 1, MIR_E_SPACE, "no room"},
        {202, 1, MIR_E_PROTOCOL, ""},
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
    digest_of("other", &other);
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

/* ---- from registry to registry ------------------------------------------------------------- */

struct tally {
    int64_t bytes;
    int64_t lowest;
};

static void count_moved(void *ctx, int64_t bytes)
{
    struct tally *tally = ctx;

    tally->bytes += bytes;
    if (tally->bytes < tally->lowest)
        tally->lowest = tally->bytes;
}

static const struct server_reply accepting[] = {{.method = "POST",
                                                 .path = "/v2/mirror/app/blobs/uploads/*",
                                                 .status = 202,
                                                 .headers = "Location: /up\r\n"},
                                                {.method = "PUT", .status = 201}};

struct relay_case {
    const struct img_descriptor *blob;
    const char *mount_from;
    enum reg_put_outcome outcome;
    struct tally tally;
};

static bool relay(struct reg_bench *from, struct reg_bench *to, struct relay_case *c)
{
    const struct reg_repo destination = {.host = to->repo.host, .name = "mirror/app"};

    mir_error_clear(&to->err);
    c->tally = (struct tally){0};
    return reg_blob_relay(from->session, &from->repo, to->session, &destination, c->blob,
                          c->mount_from, count_moved, &c->tally, &c->outcome, &to->err);
}

static void relay_moves_a_blob(void **state)
{
    const struct server_reply source[] = {
        {.times = 1, .status = 200, .body = BODY, .fault = SERVER_FAULT_RESET, .fault_at = 11},
        {.status = 200, .body = BODY, .ranges = true}};
    auto_server *left = server_start(source, COUNT(source));
    auto_server *right = server_start(accepting, COUNT(accepting));
    const struct img_descriptor blob = blob_of(BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_int_equal(c.outcome, REG_PUT_UPLOADED);
    assert_int_equal(c.tally.bytes, BODY_LEN);
    assert_string_equal(server_request(right, "PUT", NULL, 0)->body, BODY);
    assert_int_equal(reg_client_requests(from.client), 2);
    assert_int_equal(reg_client_requests(to.client), 2);
}

static void relay_logs_in_on_both_sides(void **state)
{
    const struct server_reply source[] = {
        {.path = "/token?scope=repository:team/app:pull&account=from",
         .status = 200,
         .body = "{\"token\":\"tok-from\"}"},
        {.needs = "tok-from", .status = 200, .body = BODY},
        {.status = 401, .headers = "WWW-Authenticate: Bearer realm=\"/token\"\r\n"}};
    const struct server_reply sink[] = {
        {.method = "POST",
         .needs = "Basic dG86dG8=",
         .status = 202,
         .headers = "Location: /up\r\n"},
        {.method = "PUT", .needs = "Basic dG86dG8=", .status = 201},
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};
    auto_server *left = server_start(source, COUNT(source));
    auto_server *right = server_start(sink, COUNT(sink));
    const struct img_descriptor blob = blob_of(BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, &(struct reg_options){.creds = "from:from"});
    reg_bench_start(&to, right, &(struct reg_options){.creds = "to:to"});
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_string_equal(server_request(right, "PUT", NULL, 0)->body, BODY);
    assert_int_equal(c.tally.bytes, BODY_LEN);
    assert_false(server_was_told(right, "tok-from"));
    assert_false(server_was_told(left, "dG86dG8="));
}

static void relay_starts_over_when_the_destination_fails(void **state)
{
    const struct {
        const char *label;
        struct server_reply fault;
    } rows[] = {
        {"session lost", {.method = "PUT", .times = 1, .status = 404}},
        {"500", {.method = "PUT", .times = 1, .status = 500}},
        {"hang up", {.method = "PUT", .times = 1, .fault = SERVER_FAULT_HANG_UP, .fault_at = 5}},
        {"silence", {.method = "PUT", .times = 1, .fault = SERVER_FAULT_SILENCE}},
    };
    const struct server_reply source[] = {{.status = 200, .body = BODY}};
    const struct img_descriptor blob = blob_of(BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply sink[] = {rows[i].fault, accepting[0], accepting[1]};
        auto_server *left = server_start(source, COUNT(source));
        auto_server *right = server_start(sink, COUNT(sink));
        struct relay_case c = {.blob = &blob};
        auto_reg_bench from;
        auto_reg_bench to;

        reg_bench_start(&from, left, NULL);
        reg_bench_start(&to, right, NULL);
        if (!relay(&from, &to, &c))
            fail_msg("%s: %s", rows[i].label, to.err.text);
        assert_int_equal(c.tally.bytes, BODY_LEN);
        assert_int_equal(c.tally.lowest, 0);
        assert_int_equal(server_count(right, "POST", NULL), 2);
        assert_string_equal(server_request(right, "PUT", NULL, 1)->body, BODY);
    }
}

static void relay_completes_nothing_that_is_wrong(void **state)
{
    const struct {
        const char *label;
        struct server_reply reply;
        enum mir_code code;
        const char *says;
    } rows[] = {
        {"wrong digest",
         {.status = 200, .body = "0123456789abcdefghijklmnopqrstuvwxyZ"},
         MIR_E_DIGEST,
         "digest mismatch"},
        {"short", {.status = 200, .body = "0123"}, MIR_E_DIGEST, "4 bytes where 36"},
        {"long", {.status = 200, .body = BODY "!"}, MIR_E_DIGEST, "37 bytes where 36"},
        {"endless",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS},
         MIR_E_DIGEST,
         "longer than the 36"},
        {"truncated each time",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_CUT, .fault_at = 5},
         MIR_E_NETWORK,
         "broke off"},
        {"missing", {.status = 404}, MIR_E_NOT_FOUND, "GET http"},
    };
    const struct img_descriptor blob = blob_of(BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *left = server_start(&rows[i].reply, 1);
        auto_server *right = server_start(accepting, COUNT(accepting));
        struct relay_case c = {.blob = &blob};
        auto_reg_bench from;
        auto_reg_bench to;

        reg_bench_start(&from, left, &(struct reg_options){.retry_times = 1});
        reg_bench_start(&to, right, &(struct reg_options){.retry_times = 1});
        if (relay(&from, &to, &c) || to.err.code != rows[i].code ||
            !strstr(to.err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].label, to.err.text);
        assert_int_equal(c.tally.bytes, 0);
        server_finish(right);
        for (size_t n = 0; n < server_count(right, "PUT", NULL); n++)
            assert_true(server_request(right, "PUT", NULL, n)->body_len < BODY_LEN);
    }
}

static void relay_mounts_without_asking_the_source(void **state)
{
    const struct server_reply sink[] = {{.method = "POST", .status = 201}};
    auto_server *left = server_start(NULL, 0);
    auto_server *right = server_start(sink, COUNT(sink));
    const struct img_descriptor blob = blob_of(BODY);
    struct relay_case c = {.blob = &blob, .mount_from = "base/image"};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_int_equal(c.outcome, REG_PUT_MOUNTED);
    assert_int_equal(c.tally.bytes, 0);
    assert_int_equal(server_connections(left), 0);
}

static void relay_moves_an_empty_blob(void **state)
{
    auto_server *left = server_start(NULL, 0);
    auto_server *right = server_start(accepting, COUNT(accepting));
    const struct img_descriptor blob = blob_of("");
    struct img_descriptor liar = blob_of(BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_int_equal(server_request(right, "PUT", NULL, 0)->body_len, 0);
    liar.size = 0;
    c.blob = &liar;
    assert_false(relay(&from, &to, &c));
    assert_int_equal(to.err.code, MIR_E_DIGEST);
    assert_int_equal(server_count(right, "PUT", NULL), 1);
}

static void relay_takes_a_foreign_blob_from_its_url(void **state)
{
    const struct server_reply there[] = {{.path = "/layer", .status = 200, .body = BODY},
                                         {.status = 404}};
    const struct server_reply here[] = {{.status = 404}};
    auto_server *store = server_start(there, COUNT(there));
    auto_server *left = server_start(here, COUNT(here));
    auto_server *right = server_start(accepting, COUNT(accepting));
    auto_free char *gone = mir_format("%s/gone", server_url(store));
    auto_free char *layer = mir_format("%s/layer", server_url(store));
    char *urls[] = {gone, layer};
    struct img_descriptor blob = blob_of(BODY);
    struct relay_case c = {.blob = &blob};
    auto_reg_bench from;
    auto_reg_bench to;

    (void)state;
    blob.urls = urls;
    blob.url_count = COUNT(urls);
    reg_bench_start(&from, left, NULL);
    reg_bench_start(&to, right, NULL);
    if (!relay(&from, &to, &c))
        fail_msg("%s", to.err.text);
    assert_string_equal(server_request(right, "PUT", NULL, 0)->body, BODY);
    assert_int_equal(server_count(right, "POST", NULL), 1);
    blob.url_count = 1;
    assert_false(relay(&from, &to, &c));
    assert_int_equal(to.err.code, MIR_E_NOT_FOUND);
}

static int set_up(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    reg_bench_empty_home("/nonexistent");
    return http_global_init(&err) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_global_cleanup();
    return 0;
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
        cmocka_unit_test(blob_is_checked_as_it_comes),
        cmocka_unit_test(blob_goes_on_from_an_offset),
        cmocka_unit_test(empty_blob_is_fetched_too),
        cmocka_unit_test(foreign_blob_comes_from_its_urls),
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
        cmocka_unit_test(relay_moves_a_blob),
        cmocka_unit_test(relay_logs_in_on_both_sides),
        cmocka_unit_test(relay_starts_over_when_the_destination_fails),
        cmocka_unit_test(relay_completes_nothing_that_is_wrong),
        cmocka_unit_test(relay_mounts_without_asking_the_source),
        cmocka_unit_test(relay_moves_an_empty_blob),
        cmocka_unit_test(relay_takes_a_foreign_blob_from_its_url),
    };

    return cmocka_run_group_tests_name("registry/transfer", tests, set_up, tear_down);
}
