/*
 * serve: the server as clients see it, over sockets: what is there and what is not, refusals, many
 * clients at once, and files that change under it.
 */
#include "serve/serve.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "bundle/bundle.h"
#include "lib/fixture.h"
#include "lib/scratch.h"

#define HOST        "registry.example.invalid"
#define REPLY_MAX   (8u << 20)
#define CLIENTS     8
#define ROUNDS      25
#define LAYER_BYTES 300000
#define SECONDS_MAX 20 /* no answer may take longer; a test that hangs says nothing */

/* ---- a client ---- */

struct reply {
    unsigned status;
    char *head; /* with the status line; ends in the empty line */
    char *body;
    size_t body_len;
};

static void reply_release(struct reply *reply)
{
    free(reply->head);
    free(reply->body);
    *reply = (struct reply){.status = 0};
}
#define auto_reply __attribute__((cleanup(reply_release))) struct reply

static int dial(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = SECONDS_MAX};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        scratch_die("cannot connect");
    return fd;
}

static void send_text(int fd, const char *text)
{
    size_t len = strlen(text), sent = 0;

    while (sent < len) {
        ssize_t n = send(fd, text + sent, len - sent, MSG_NOSIGNAL);

        if (n <= 0)
            return; /* the server may have refused and closed already */
        sent += (size_t)n;
    }
}

/* The value of a header, or NULL; the caller frees. */
static char *header(const struct reply *reply, const char *name)
{
    auto_free char *key = mir_format("\r\n%s: ", name);
    const char *at = strstr(reply->head, key);

    if (!at)
        return NULL;
    at += strlen(key);
    return mir_strndup(at, strcspn(at, "\r"));
}

static bool read_head(int fd, struct reply *out)
{
    struct mir_buf head;

    mir_buf_init(&head, 65536);
    while (!mir_ends_with(head.ptr, "\r\n\r\n")) {
        char c;

        if (recv(fd, &c, 1, 0) != 1) {
            mir_buf_release(&head);
            return false;
        }
        mir_buf_char(&head, c);
    }
    out->head = mir_buf_take(&head);
    return sscanf(out->head, "HTTP/1.1 %3u ", &out->status) == 1;
}

static bool read_body(int fd, struct reply *out)
{
    auto_free char *length = header(out, "Content-Length");
    uint64_t len = 0;

    if (length && !mir_parse_u64(mir_span_of(length), REPLY_MAX, &len))
        return false;
    out->body = mir_alloc((size_t)len + 1);
    while (out->body_len < len) {
        ssize_t n = recv(fd, out->body + out->body_len, (size_t)len - out->body_len, 0);

        if (n <= 0)
            return false;
        out->body_len += (size_t)n;
    }
    return true;
}

/* One answer off a connection. Status 0: none, or a broken one. */
static void read_reply(int fd, bool has_body, struct reply *out)
{
    *out = (struct reply){.status = 0};
    if (!read_head(fd, out) || (has_body && !read_body(fd, out)))
        out->status = 0;
}

static void ask_raw(uint16_t port, const char *request, struct reply *out)
{
    int fd = dial(port);

    send_text(fd, request);
    read_reply(fd, strncmp(request, "HEAD", 4) != 0, out);
    (void)close(fd);
}

static void ask(uint16_t port, const char *method, const char *target, const char *headers,
                struct reply *out)
{
    auto_free char *request = mir_format("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
                                         method, target, headers);

    ask_raw(port, request, out);
}

/* ---- a server over a layout ---- */

struct world {
    char *dir;
    struct bundle_reader *reader;
    struct serve_server *server;
    uint16_t port;
    struct fixture_item index, child, other, artifact, stray;
    struct img_digest layer; /* of child */
};

static void make_layout(struct world *w)
{
    struct fixture *f = fixture_new(w->dir);
    struct fixture_item children[2], sbom;

    children[0] = fixture_image(f, .layers = 2, .layer_bytes = LAYER_BYTES);
    children[1] = fixture_image(f, .arch = "arm64", .seed = 2);
    w->child = children[0];
    w->index = fixture_index(f, .children = children, .child_count = 2);
    w->other = fixture_image(f, .docker = true, .seed = 3);
    w->artifact = fixture_artifact(f, .type = "application/vnd.x");
    w->stray = fixture_blob(f, "text/plain", mir_span_of("nobody refers to this"));
    fixture_name(f, HOST "/team/app:1", &w->index);
    fixture_name(f, HOST "/team/app:2", &w->other);
    fixture_name(f, "elsewhere.invalid/team/app:2", &w->artifact);
    fixture_name(f, "elsewhere.invalid/team/sbom:1", &w->artifact);
    sbom = fixture_artifact(f, .type = "application/vnd.x.sbom", .subject = &w->index);
    fixture_name(f, HOST "/team/app:sbom", &sbom);
    fixture_name(f, "latest", &w->other);
    fixture_free(f);
}

static char *load(const struct world *w, const struct img_digest *digest, size_t *len)
{
    struct mir_error err = MIR_ERROR_INIT;
    char *bytes;

    if (!bundle_reader_load(w->reader, digest, REPLY_MAX, &bytes, len, &err))
        scratch_die("%s", err.text);
    return bytes;
}

static void find_layer(struct world *w)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *root = NULL;
    auto_free char *bytes = NULL;
    const json_t *layer;
    size_t len;

    bytes = load(w, &w->child.digest, &len);
    root = json_loadb(bytes, len, 0, NULL);
    layer = json_array_get(json_object_get(root, "layers"), 0);
    if (!img_digest_parse(mir_span_of(json_string_value(json_object_get(layer, "digest"))),
                          &w->layer, &err))
        scratch_die("%s", err.text);
}

static int start(void **state)
{
    struct world *w = mir_alloc(sizeof(*w));
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_source source = {.form = BUNDLE_FORM_DIR};
    struct serve_options options = {
        .listen = "127.0.0.1:0", .sources = &source, .source_count = 1};

    w->dir = scratch_new();
    source.path = w->dir;
    make_layout(w);
    if (!bundle_reader_open(w->dir, BUNDLE_FORM_DIR, &w->reader, &err) ||
        !serve_start(&options, &w->server, &err))
        scratch_die("%s", err.text);
    w->port = serve_port(w->server);
    find_layer(w);
    *state = w;
    return 0;
}

static int stop(void **state)
{
    struct world *w = *state;

    serve_stop(w->server);
    bundle_reader_close(w->reader);
    scratch_remove(w->dir);
    free(w);
    return 0;
}

/* ---- what is there ---- */

static void check_content(const struct world *w, const char *target,
                          const struct fixture_item *item)
{
    auto_reply got = {.status = 0}, head = {.status = 0};
    auto_free char *want = NULL, *type = NULL, *digest = NULL, *length = NULL;
    size_t len;

    want = load(w, &item->digest, &len);
    ask(w->port, "GET", target, "", &got);
    ask(w->port, "HEAD", target, "", &head);
    if (got.status != 200 || head.status != 200)
        fail_msg("%s: %u, %u", target, got.status, head.status);
    assert_int_equal(got.body_len, len);
    assert_memory_equal(got.body, want, len);
    type = header(&head, "Content-Type");
    digest = header(&head, "Docker-Content-Digest");
    length = header(&head, "Content-Length");
    assert_string_equal(type, item->media_type);
    assert_string_equal(digest, item->digest.text);
    assert_int_equal(strtoull(length, NULL, 10), len);
}

static void manifests_come_by_tag_and_digest_under_both_names(void **state)
{
    static const char *const repos[] = {"team/app", HOST "/team/app"};
    const struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        auto_free char *tag = mir_format("/v2/%s/manifests/1", repos[i]);
        auto_free char *digest = mir_format("/v2/%s/manifests/%s", repos[i], w->index.digest.text);
        auto_free char *child = mir_format("/v2/%s/manifests/%s", repos[i], w->child.digest.text);

        check_content(w, tag, &w->index);
        check_content(w, digest, &w->index);
        check_content(w, child, &w->child);
    }
    check_content(w, "/v2/" HOST "/team/app/manifests/2", &w->other);
    check_content(w, "/v2/elsewhere.invalid/team/app/manifests/2", &w->artifact);
    check_content(w, "/v2/team/app/manifests/2?ns=" HOST, &w->other);
    check_content(w, "/v2/team/app/manifests/2?ns=elsewhere.invalid", &w->artifact);
}

static unsigned status_of(const struct world *w, const char *method, const char *target)
{
    auto_reply reply = {.status = 0};

    ask(w->port, method, target, "", &reply);
    return reply.status;
}

struct refusal_row {
    const char *method, *target;
    unsigned status;
    const char *code;
};

#define ZEROS  "00000000000000000000000000000000"
#define NOBODY "sha256:" ZEROS ZEROS

static const struct refusal_row refusal_rows[] = {
    {"GET", "/v2/no/such/manifests/1", 404, "NAME_UNKNOWN"},
    {"GET", "/v2/no/such/blobs/" NOBODY, 404, "NAME_UNKNOWN"},
    {"GET", "/v2/no/such/tags/list", 404, "NAME_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/none", 404, "MANIFEST_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/" NOBODY, 404, "MANIFEST_UNKNOWN"},
    {"GET", "/v2/team/app/blobs/" NOBODY, 404, "BLOB_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/2", 404, "MANIFEST_UNKNOWN"}, /* two images claim it */
    {"GET", "/v2/team/app/manifests/1?ns=elsewhere.invalid", 404, "MANIFEST_UNKNOWN"},
    {"GET", "/v2/team/app/manifests/1?ns=nowhere.invalid", 404, "NAME_UNKNOWN"},
    {"GET", "/v2/team/app/blobs/latest", 400, "DIGEST_INVALID"},
    {"GET", "/v2/Team/app/tags/list", 400, "NAME_INVALID"},
    {"GET", "/v2/team%2fapp/tags/list", 400, "UNSUPPORTED"},
    {"GET", "/", 404, "UNSUPPORTED"},
    {"GET", "/v2/../index.json", 404, "UNSUPPORTED"},
    {"POST", "/v2/team/app/blobs/uploads/", 405, "UNSUPPORTED"},
    {"PUT", "/v2/team/app/manifests/1", 405, "UNSUPPORTED"},
    {"PATCH", "/v2/team/app/blobs/uploads/1", 405, "UNSUPPORTED"},
    {"DELETE", "/v2/team/app/manifests/1", 405, "UNSUPPORTED"},
    {"OPTIONS", "/v2/", 405, "UNSUPPORTED"},
    {"SPLINE", "/v2/", 405, "UNSUPPORTED"},
};

static void refusals_carry_the_codes_of_the_specification(void **state)
{
    const struct world *w = *state;

    for (size_t i = 0; i < sizeof(refusal_rows) / sizeof(refusal_rows[0]); i++) {
        const struct refusal_row *row = &refusal_rows[i];
        auto_reply reply = {.status = 0};
        auto_json *root = NULL;
        const json_t *code;

        ask(w->port, row->method, row->target, "", &reply);
        root = json_loads(reply.body ? reply.body : "", 0, NULL);
        code = json_object_get(json_array_get(json_object_get(root, "errors"), 0), "code");
        if (reply.status != row->status || !json_is_string(code) ||
            strcmp(json_string_value(code), row->code) != 0)
            fail_msg("%s %s: %u %s", row->method, row->target, reply.status, reply.body);
    }
}

static void only_what_the_index_leads_to_is_there(void **state)
{
    const struct world *w = *state;
    auto_free char *stray = mir_format("/v2/team/app/blobs/%s", w->stray.digest.text);
    auto_free char *manifest = mir_format("/v2/team/app/manifests/%s", w->stray.digest.text);
    auto_free char *layer = mir_format("/v2/team/app/manifests/%s", w->layer.text);

    assert_non_null(bundle_reader_find(w->reader, &w->stray.digest));
    assert_int_equal(status_of(w, "GET", stray), 404);
    assert_int_equal(status_of(w, "GET", manifest), 404);
    assert_int_equal(status_of(w, "GET", layer), 404); /* a layer is no manifest */
}

static void lists_have_every_name_once(void **state)
{
    const struct world *w = *state;
    auto_reply catalog = {.status = 0}, tags = {.status = 0}, page = {.status = 0};
    auto_free char *link = NULL;

    ask(w->port, "GET", "/v2/_catalog?n=4", "", &catalog);
    assert_int_equal(catalog.status, 200);
    assert_non_null(strstr(catalog.body, "\"elsewhere.invalid/team/app\""));
    ask(w->port, "GET", "/v2/team/app/tags/list", "", &tags);
    assert_string_equal(tags.body, "{\"name\":\"team/app\",\"tags\":[\"1\",\"sbom\"]}");
    ask(w->port, "GET", "/v2/" HOST "/team/app/tags/list?n=1", "", &page);
    assert_string_equal(page.body, "{\"name\":\"" HOST "/team/app\",\"tags\":[\"1\"]}");
    link = header(&page, "Link");
    assert_string_equal(link, "</v2/" HOST "/team/app/tags/list?last=1&n=1>; rel=\"next\"");
    assert_int_equal(serve_repo_count(w->server), 6);
}

static void referrers_lead_back_to_what_refers(void **state)
{
    const struct world *w = *state;
    auto_free char *of_index = mir_format("/v2/team/app/referrers/%s", w->index.digest.text);
    auto_free char *of_other = mir_format("/v2/team/app/referrers/%s", w->other.digest.text);
    auto_free char *filtered = mir_format("%s?artifactType=application/vnd.other", of_index);
    auto_reply all = {.status = 0}, none = {.status = 0}, filter = {.status = 0};
    auto_json *root = NULL;
    const json_t *first;

    ask(w->port, "GET", of_index, "", &all);
    root = json_loads(all.body, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "manifests")), 1);
    first = json_array_get(json_object_get(root, "manifests"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "artifactType")),
                        "application/vnd.x.sbom");
    ask(w->port, "GET", of_other, "", &none);
    assert_int_equal(none.status, 200);
    assert_non_null(strstr(none.body, "\"manifests\":[]"));
    ask(w->port, "GET", filtered, "", &filter);
    assert_non_null(strstr(filter.body, "\"manifests\":[]"));
    assert_non_null(strstr(filter.head, "OCI-Filters-Applied: artifactType"));
}

/* ---- blobs ---- */

struct range_row {
    const char *headers;
    unsigned status;
    size_t start, len; /* len 0: to the end */
};

static const struct range_row range_rows[] = {
    {"", 200, 0, 0},
    {"Range: bytes=0-\r\n", 206, 0, 0},
    {"Range: bytes=1000-\r\n", 206, 1000, 0},
    {"Range: bytes=10-29\r\n", 206, 10, 20},
    {"Range: bytes=0-1,5-6\r\n", 200, 0, 0},
    {"Range: bytes=10-29\r\nIf-Range: \"other\"\r\n", 200, 0, 0},
};

static void check_range(const struct world *w, const struct range_row *row)
{
    auto_free char *target = mir_format("/v2/team/app/blobs/%s", w->layer.text);
    auto_free char *want = NULL, *range = NULL;
    auto_reply reply = {.status = 0};
    size_t size, len;

    want = load(w, &w->layer, &size);
    len = row->len > 0 ? row->len : size - row->start;
    ask(w->port, "GET", target, row->headers, &reply);
    if (reply.status != row->status || reply.body_len != len ||
        memcmp(reply.body, want + row->start, len) != 0)
        fail_msg("%s: %u, %zu bytes", row->headers, reply.status, reply.body_len);
    range = header(&reply, "Content-Range");
    assert_int_equal(range != NULL, row->status == 206);
    if (range) {
        auto_free char *expected =
            mir_format("bytes %zu-%zu/%zu", row->start, row->start + len - 1, size);

        assert_string_equal(range, expected);
    }
}

static void blobs_come_whole_and_in_parts(void **state)
{
    const struct world *w = *state;
    auto_free char *target = mir_format("/v2/team/app/blobs/%s", w->layer.text);
    auto_reply over = {.status = 0}, same = {.status = 0};
    auto_free char *range = NULL, *size = NULL, *etag = NULL;

    for (size_t i = 0; i < sizeof(range_rows) / sizeof(range_rows[0]); i++)
        check_range(w, &range_rows[i]);
    ask(w->port, "GET", target, "Range: bytes=99999999-\r\n", &over);
    size = mir_format("bytes */%" PRIu64, bundle_reader_find(w->reader, &w->layer)->size);
    range = header(&over, "Content-Range");
    assert_int_equal(over.status, 416);
    assert_string_equal(range, size);
    etag = mir_format("If-None-Match: \"%s\"\r\n", w->layer.text);
    ask(w->port, "GET", target, etag, &same);
    assert_int_equal(same.status, 304);
}

/* ---- hostile clients ---- */

static void long_urls_and_headers_are_refused(void **state)
{
    const struct world *w = *state;
    auto_free char *target = mir_format("/v2/%0*d/tags/list", 3000, 0);
    auto_free char *headers = mir_format("X: %0*d\r\n", 100000, 0);
    auto_reply url = {.status = 0}, head = {.status = 0};

    ask(w->port, "GET", target, "", &url);
    assert_int_equal(url.status, 414);
    ask(w->port, "GET", "/v2/", headers, &head);
    assert_in_range(head.status, 400, 499);
}

static void a_body_to_read_is_refused_and_ends_the_connection(void **state)
{
    const struct world *w = *state;
    auto_reply length = {.status = 0}, chunked = {.status = 0}, none = {.status = 0};

    ask_raw(w->port, "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx",
            &length);
    assert_int_equal(length.status, 400);
    assert_non_null(strstr(length.head, "Connection: close"));
    ask_raw(w->port, "GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
            &chunked);
    assert_int_equal(chunked.status, 400);
    ask_raw(w->port, "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &none);
    assert_int_equal(none.status, 200);
}

static void half_requests_and_garbage_do_no_harm(void **state)
{
    static const char *const texts[] = {
        "",
        "\r\n\r\n",
        "GET",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n",
        "GET /v2/ HTTP/1.1\r\nHo",
        "\x16\x03\x01\x02\x01\x01",
        "POST /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nxx",
        "GET /v2/ HTTP/9.9\r\n\r\n",
        "GET  /v2/%00\x01 HTTP/1.1\r\n\r\n",
    };
    const struct world *w = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int fd = dial(w->port);

        send_text(fd, texts[i]);
        (void)close(fd);
    }
    assert_int_equal(status_of(w, "GET", "/v2/"), 200);
}

/* Bytes that changed after the start must not go out as the manifest they replaced. */
static void damaged_manifests_are_not_sent(void **state)
{
    const struct world *w = *state;
    auto_free char *path =
        mir_format("%s/blobs/sha256/%s", w->dir, img_digest_hex(&w->child.digest));
    auto_free char *target = mir_format("/v2/team/app/manifests/%s", w->child.digest.text);
    auto_free char *bytes = NULL;
    size_t len;

    bytes = scratch_read(path, &len);
    bytes[len / 2] ^= 1;
    scratch_write(path, mir_span(bytes, len));
    assert_int_equal(status_of(w, "GET", target), 500);
    assert_int_equal(status_of(w, "GET", "/v2/team/app/manifests/1"), 200);
    bytes[len / 2] ^= 1;
    scratch_write(path, mir_span(bytes, len));
    assert_int_equal(status_of(w, "GET", target), 200);
}

/* ---- many at once ---- */

struct client {
    pthread_t thread;
    const struct world *world;
    size_t seed;
    size_t wrong; /* answers that were not what was asked for */
};

/* One request on a connection that stays; the digest of what came tells whether it was right. */
static bool fetch_right(int fd, const char *kind, const struct img_digest *digest)
{
    auto_free char *request =
        mir_format("GET /v2/team/app/%s/%s HTTP/1.1\r\nHost: x\r\n\r\n", kind, digest->text);
    auto_reply reply = {.status = 0};
    struct img_digest got;

    send_text(fd, request);
    read_reply(fd, true, &reply);
    img_digest_of(MIR_HASH_SHA256, mir_span(reply.body, reply.body_len), &got);
    return reply.status == 200 && img_digest_equal(&got, digest);
}

static void *run_client(void *ctx)
{
    struct client *client = ctx;
    const struct world *w = client->world;
    int fd = dial(w->port);

    for (size_t i = 0; i < ROUNDS; i++) {
        switch ((client->seed + i) % 3) {
        case 0:
            client->wrong += !fetch_right(fd, "manifests", &w->index.digest);
            break;
        case 1:
            client->wrong += !fetch_right(fd, "blobs", &w->layer);
            break;
        default:
            client->wrong += !fetch_right(fd, "manifests", &w->child.digest);
            break;
        }
    }
    (void)close(fd);
    return NULL;
}

static void many_clients_get_what_they_ask_for(void **state)
{
    struct client clients[CLIENTS];
    size_t wrong = 0;

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.world = *state, .seed = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
        wrong += clients[i].wrong;
    }
    assert_int_equal(wrong, 0);
}

static void stop_does_not_wait_for_idle_clients(void **state)
{
    const struct world *w = *state;
    const struct serve_source source = {.path = w->dir, .form = BUNDLE_FORM_DIR};
    struct serve_options options = {
        .listen = "127.0.0.1:0", .sources = &source, .source_count = 1};
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_server *server;
    char c;
    int fd;

    if (!serve_start(&options, &server, &err))
        fail_msg("%s", err.text);
    fd = dial(serve_port(server));
    send_text(fd, "GET /v2/ HTTP/1.1\r\n");
    serve_stop(server);
    assert_true(recv(fd, &c, 1, 0) <= 0);
    (void)close(fd);
}

static void start_ends_when_cancelled(void **state)
{
    const struct world *w = *state;
    struct mir_cancel cancel = {.flag = 1};
    const struct serve_source source = {.path = w->dir, .form = BUNDLE_FORM_DIR};
    struct serve_options options = {
        .listen = "127.0.0.1:0", .sources = &source, .source_count = 1, .cancel = &cancel};
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_server *server;

    assert_false(serve_start(&options, &server, &err));
    assert_int_equal(err.code, MIR_E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_come_by_tag_and_digest_under_both_names),
        cmocka_unit_test(refusals_carry_the_codes_of_the_specification),
        cmocka_unit_test(only_what_the_index_leads_to_is_there),
        cmocka_unit_test(lists_have_every_name_once),
        cmocka_unit_test(referrers_lead_back_to_what_refers),
        cmocka_unit_test(blobs_come_whole_and_in_parts),
        cmocka_unit_test(long_urls_and_headers_are_refused),
        cmocka_unit_test(a_body_to_read_is_refused_and_ends_the_connection),
        cmocka_unit_test(half_requests_and_garbage_do_no_harm),
        cmocka_unit_test(damaged_manifests_are_not_sent),
        cmocka_unit_test(many_clients_get_what_they_ask_for),
        cmocka_unit_test(stop_does_not_wait_for_idle_clients),
        cmocka_unit_test(start_ends_when_cancelled),
    };

    return cmocka_run_group_tests_name("serve", tests, start, stop);
}
