/*
 * A registry that answers without end, in drops, with lies about lengths, or with what is no
 * answer. Every try ends, at limits that have names, and nothing wrong is taken for right.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/secrets.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BODY         "0123456789abcdefghijklmnopqrstuvwxyz"
#define BODY_LEN     (sizeof(BODY) - 1)
#define MANIFEST     "{\"schemaVersion\":2}"
#define STALL_MS     120
#define DROP_MS      20  /* one byte: 50 a second, where the floor is at 256 */
#define PATIENCE_MS  500 /* with a pause of half of it */

enum deed {
    GET_MANIFEST,
    FIND_MANIFEST,
    PUT_MANIFEST,
    GET_BLOB,
    FIND_BLOB,
    PUT_BLOB,
    RELAY,
    DEEDS
};

static const char *const names[DEEDS] = {"GET of a manifest",
                                         "HEAD of a manifest",
                                         "PUT of a manifest",
                                         "GET of a blob",
                                         "HEAD of a blob",
                                         "PUT of a blob",
                                         "a relay"};

static bool get_manifest(struct reg_bench *b)
{
    struct reg_manifest manifest = {.bytes = NULL};
    bool ok = reg_manifest_get(b->session, &b->repo, "v1", &manifest, &b->err);

    reg_manifest_release(&manifest);
    return ok;
}

static bool put_blob(struct reg_bench *b)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    enum reg_put_outcome outcome;

    b->content = mir_span_of(BODY);
    return reg_blob_put(b->session, &b->repo, &blob, NULL, &b->blob_source, &outcome, &b->err);
}

static bool get_blob(struct reg_bench *b, const char *content)
{
    const struct img_descriptor blob = reg_bench_blob_of(content);

    mir_buf_clear(&b->got);
    return reg_blob_get(b->session, &b->repo, &blob, 0, NULL, &b->blob_sink, &b->err);
}

static bool relay(struct reg_bench *b)
{
    static const struct server_reply honest[] = {
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "PUT", .status = 201}};
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    auto_server *server = server_start(honest, COUNT(honest));
    enum reg_put_outcome outcome;
    auto_reg_bench to;

    reg_bench_start(&to, server, &(struct reg_options){.stall_timeout_ms = STALL_MS});
    return reg_blob_relay(b->session, &b->repo, to.session, &to.repo, &blob, NULL, NULL, NULL,
                          &outcome, &b->err);
}

static bool run_deed(struct reg_bench *b, enum deed deed)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    struct reg_found manifest;
    bool found;

    mir_error_clear(&b->err);
    switch (deed) {
    case GET_MANIFEST:
        return get_manifest(b);
    case FIND_MANIFEST:
        return reg_manifest_find(b->session, &b->repo, "v1", &manifest, &b->err);
    case PUT_MANIFEST:
        return reg_manifest_put(b->session, &b->repo, "v1", "application/json",
                                mir_span_of(MANIFEST), &b->err);
    case GET_BLOB:
        return get_blob(b, BODY);
    case FIND_BLOB:
        return reg_blob_find(b->session, &b->repo, &blob.digest, &found, &b->err);
    case PUT_BLOB:
        return put_blob(b);
    case RELAY:
        return relay(b);
    case DEEDS:
        break;
    }
    return false;
}

/* ---- drop by drop -------------------------------------------------------------------------- */

struct slow {
    const char *label;
    struct server_reply reply;
    enum deed deeds[4]; /* up to the first DEEDS */
};

static const struct slow slow_ones[] = {
    {"a body in drops",
     {.status = 200, .body = BODY, .fault = SERVER_FAULT_DRIP, .fault_at = DROP_MS},
     {GET_MANIFEST, GET_BLOB, RELAY, DEEDS}},
    {"a header in drops",
     {.status = 200, .body = BODY, .fault = SERVER_FAULT_DRIP_ALL, .fault_at = DROP_MS},
     {GET_MANIFEST, FIND_BLOB, GET_BLOB, RELAY}},
    {"an answer to an upload in drops",
     {.status = 202,
      .headers = "Location: /up\r\n",
      .fault = SERVER_FAULT_DRIP_ALL,
      .fault_at = DROP_MS},
     {PUT_MANIFEST, PUT_BLOB, DEEDS, DEEDS}},
    {"a refusal in drops",
     {.status = 404, .body = BODY BODY, .fault = SERVER_FAULT_DRIP_ALL, .fault_at = DROP_MS},
     {GET_MANIFEST, FIND_BLOB, DEEDS, DEEDS}},
};

static void run_slow(const struct slow *slow, enum deed deed)
{
    auto_server *server = server_start(&slow->reply, 1);
    auto_reg_bench b;

    reg_bench_start(&b, server,
                    &(struct reg_options){.retry_times = 1, .stall_timeout_ms = STALL_MS});
    /* A header counts line by line: between two there may be silence. */
    if (run_deed(&b, deed) || b.err.code != MIR_E_NETWORK ||
        (!strstr(b.err.text, "too slow: only ") && !strstr(b.err.text, "no byte came or went")))
        fail_msg("%s, %s: %s", slow->label, names[deed], b.err.text);
    assert_true(b.clock.wait_count >= 1);
}

static void answers_in_drops_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(slow_ones); i++) {
        for (size_t n = 0; n < 4 && slow_ones[i].deeds[n] != DEEDS; n++)
            run_slow(&slow_ones[i], slow_ones[i].deeds[n]);
    }
}

/* Who takes an upload and stops to read it ends it as well, from a file or relayed. */
static void uploads_that_are_not_read_end(void **state)
{
    const size_t len = 12u << 20; /* more than lies between two sockets */
    auto_free char *content = mir_alloc(len + 1);
    struct server_reply source = {.status = 200, .body = content, .body_len = len};
    static const struct server_reply clogged[] = {
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "PUT", .fault = SERVER_FAULT_CLOG, .fault_at = 100}};
    struct img_descriptor blob;
    enum reg_put_outcome outcome;

    (void)state;
    memset(content, 'x', len);
    blob = reg_bench_blob_of(content);
    for (int relayed = 0; relayed <= 1; relayed++) {
        auto_server *server = server_start(clogged, COUNT(clogged));
        auto_server *from_server = server_start(&source, 1);
        const struct reg_options options = {.retry_times = 1, .stall_timeout_ms = PATIENCE_MS};
        auto_reg_bench b, from;

        reg_bench_start(&b, server, &options);
        reg_bench_start(&from, from_server, &options);
        b.content = mir_span(content, len);
        if (relayed)
            assert_false(reg_blob_relay(from.session, &from.repo, b.session, &b.repo, &blob, NULL,
                                        NULL, NULL, &outcome, &b.err));
        else
            assert_false(
                reg_blob_put(b.session, &b.repo, &blob, NULL, &b.blob_source, &outcome, &b.err));
        assert_int_equal(b.err.code, MIR_E_NETWORK);
        must_have(b.err.text, "no byte came or went");
        assert_int_equal(server_count(server, "POST", NULL), 2);
    }
}

/* Each try ends, and the next goes on where it got to. */
static void body_in_drops_is_still_of_use(void **state)
{
    static const struct server_reply replies[] = {{.times = 2,
                                                   .status = 200,
                                                   .body = BODY,
                                                   .ranges = true,
                                                   .fault = SERVER_FAULT_DRIP,
                                                   .fault_at = DROP_MS},
                                                  {.status = 200, .body = BODY, .ranges = true}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_free char *range = NULL;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server,
                    &(struct reg_options){.retry_times = 3, .stall_timeout_ms = STALL_MS});
    must(get_blob(&b, BODY), &b.err);
    assert_string_equal(b.got.ptr, BODY);
    range = server_header(server_request(server, NULL, NULL, 1), "Range");
    assert_non_null(range);
}

/* Who thinks for long and then answers at once is not slow: the floor is for what moves. */
static void pause(void *ctx, const struct server_request *request)
{
    const struct timespec half_of_it = {.tv_nsec = PATIENCE_MS * 500000L};

    (void)ctx;
    (void)request;
    (void)nanosleep(&half_of_it, NULL);
}

static void answers_after_a_pause_are_taken(void **state)
{
    static const struct server_reply replies[] = {
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "PUT", .status = 201},
        {.status = 200, .body = BODY}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    server_set_hook(server, &(struct server_hook){.arrived = pause});
    reg_bench_start(&b, server, &(struct reg_options){.stall_timeout_ms = PATIENCE_MS});
    for (enum deed deed = GET_BLOB; deed < RELAY; deed++) {
        if (!run_deed(&b, deed))
            fail_msg("%s: %s", names[deed], b.err.text);
    }
}

/* Who asks for little does not complain that it is. */
static void answers_as_slow_as_the_limit_are_taken(void **state)
{
    static const struct server_reply reply = {
        .status = 200, .body = BODY, .fault = SERVER_FAULT_DRIP, .fault_at = DROP_MS};
    auto_server *server = server_start(&reply, 1);
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server,
                    &(struct reg_options){.stall_timeout_ms = PATIENCE_MS, .limit_rate = 2048});
    must(get_blob(&b, BODY), &b.err);
    assert_string_equal(b.got.ptr, BODY);
    assert_int_equal(server_count(server, NULL, NULL), 1);
}

/* ---- without end --------------------------------------------------------------------------- */

static char *repeated(const char *head, const char *piece, size_t count)
{
    struct mir_buf out;

    mir_buf_init(&out, 16u << 20);
    mir_buf_text(&out, head);
    for (size_t i = 0; i < count; i++)
        mir_buf_text(&out, piece);
    return mir_buf_take(&out);
}

struct endless {
    const char *label;
    struct server_reply reply;
    enum deed deed;
    enum mir_code code;
    const char *says;
};

static void check_endless(const struct endless *one)
{
    auto_server *server = server_start(&one->reply, 1);
    auto_reg_bench b;

    reg_bench_start(&b, server, &(struct reg_options){.retry_times = 1});
    if (run_deed(&b, one->deed) || b.err.code != one->code || !strstr(b.err.text, one->says))
        fail_msg("%s, %s: %d %s", one->label, names[one->deed], (int)b.err.code, b.err.text);
}

static void answers_without_end_are_cut(void **state)
{
    auto_free char *headers = repeated("", "X-More: abcdefghijklmnopqrstuvwxyz\r\n", 40000);
    auto_free char *interim = repeated("", "HTTP/1.1 102 Processing\r\n\r\n", 40000);
    auto_free char *trailers =
        repeated("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
                 "X-More: abcdefghijklmnopqrstuvwxyz\r\n", 40000);
    auto_free char *folded = repeated("HTTP/1.1 200 OK\r\nX-More: a\r\n", " and more\r\n", 40000);
    auto_free char *chunks =
        repeated("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "extension=x;", 40000);
    const struct endless rows[] = {
        {"a body",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS},
         GET_MANIFEST,
         MIR_E_LIMIT,
         "limit"},
        {"a body",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS},
         GET_BLOB,
         MIR_E_DIGEST,
         "longer than the 36"},
        {"a body",
         {.status = 200, .body = BODY, .fault = SERVER_FAULT_ENDLESS},
         RELAY,
         MIR_E_DIGEST,
         "longer than the 36"},
        {"a body where none is due",
         {.status = 202, .headers = "Location: /up\r\n", .fault = SERVER_FAULT_ENDLESS},
         PUT_BLOB,
         MIR_E_LIMIT,
         "limit"},
        {"a refusal",
         {.status = 404, .fault = SERVER_FAULT_ENDLESS},
         GET_MANIFEST,
         MIR_E_NOT_FOUND,
         "404"},
        {"a redirect's page",
         {.status = 302, .fault = SERVER_FAULT_ENDLESS},
         GET_BLOB,
         MIR_E_PROTOCOL,
         "302"},
        {"a header", {.status = 200, .headers = headers}, FIND_BLOB, MIR_E_LIMIT, "too long"},
        {"answers before the answer",
         {.body = interim, .fault = SERVER_FAULT_RAW},
         GET_MANIFEST,
         MIR_E_LIMIT,
         "too long"},
        {"trailers",
         {.body = trailers, .fault = SERVER_FAULT_RAW},
         GET_MANIFEST,
         MIR_E_LIMIT,
         "too long"},
        {"a folded header",
         {.body = folded, .fault = SERVER_FAULT_RAW},
         GET_MANIFEST,
         MIR_E_LIMIT,
         "too long"},
        {"the head of a chunk",
         {.body = chunks, .fault = SERVER_FAULT_RAW},
         GET_BLOB,
         MIR_E_NETWORK,
         "/v2/team/app/blobs/"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_endless(&rows[i]);
}

/* ---- lies ---------------------------------------------------------------------------------- */

#define OK_LINE "HTTP/1.1 200 OK\r\n"

/* Bytes that are not those of the digest are refused whatever was said of their number; those that
 * are may be taken however that was said. */
static void lengths_that_are_lies_harm_nobody(void **state)
{
    static const char *const rows[] = {
        OK_LINE "Content-Length: 5\r\n\r\n" BODY,
        OK_LINE "Content-Length: 5\r\nContent-Length: 36\r\n\r\n" BODY,
        OK_LINE "Content-Length: 360\r\n\r\n" BODY,
        OK_LINE "Content-Length: -1\r\n\r\n" BODY "!",
        OK_LINE "Content-Length: 18446744073709551652\r\n\r\n" BODY "!",
        OK_LINE "Content-Length: 9223372036854775807\r\n\r\n" BODY "!",
        OK_LINE "Content-Length: 0x24\r\n\r\n" BODY "!",
        OK_LINE "Content-Length: 36, 36\r\n\r\n" BODY "!",
        OK_LINE "Content-Length: 36\r\nTransfer-Encoding: chunked\r\n\r\n" BODY,
        OK_LINE "Transfer-Encoding: chunked\r\n\r\n24\r\n" BODY "!!\r\n0\r\n\r\n",
        OK_LINE "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" BODY,
        OK_LINE "Transfer-Encoding: chunked\r\n\r\n-24\r\n" BODY,
        OK_LINE "Transfer-Encoding: gzip\r\n\r\n" BODY,
        ("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-35/36\r\n\r\n" BODY),
    };
    size_t taken = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply reply = {.body = rows[i], .fault = SERVER_FAULT_RAW};
        auto_server *server = server_start(&reply, 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.retry_times = 2});
        if (get_blob(&b, BODY)) {
            taken++;
            assert_string_equal(b.got.ptr, BODY);
        } else if (b.err.code == MIR_OK || !strstr(b.err.text, "/v2/team/app/blobs/")) {
            fail_msg("row %zu: %s", i, b.err.text);
        }
        assert_true(server_count(server, NULL, NULL) <= 3 * 2);
        assert_true(b.got.len <= BODY_LEN);
    }
    assert_true(taken <= 2);
}

/* A HEAD has no body, whatever comes behind its header: not even if it looks like the answer to the
 * next request. */
static void body_after_a_head_is_no_answer(void **state)
{
    static const struct server_reply replies[] = {
        {.method = "HEAD",
         .body = OK_LINE "Content-Length: 69\r\n\r\n" OK_LINE "Content-Length: 20\r\n\r\n"
                         "{\"schemaVersion\":666}",
         .fault = SERVER_FAULT_RAW},
        {.method = "GET", .status = 200, .body = MANIFEST}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct reg_manifest manifest = {.bytes = NULL};
    struct reg_found found;
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must(reg_manifest_find(b.session, &b.repo, "v1", &found, &b.err), &b.err);
    must(reg_manifest_get(b.session, &b.repo, "v1", &manifest, &b.err), &b.err);
    assert_string_equal(manifest.bytes, MANIFEST);
    assert_int_equal(server_count(server, "GET", NULL), 1);
    reg_manifest_release(&manifest);
}

/* We ask for no encoding and undo none: what is small on the wire stays small. */
static void bodies_are_not_unpacked(void **state)
{
    static const char *const encodings[] = {"gzip", "deflate", "br", "gzip, gzip, gzip"};
    /* A gzip header, and nothing that could be unpacked. */
    static const char packed[] = "\x1f\x8b\x08 this is what the digest is of";

    (void)state;
    for (size_t i = 0; i < COUNT(encodings); i++) {
        auto_free char *header = mir_format("Content-Encoding: %s\r\n", encodings[i]);
        const struct server_reply reply = {.status = 200, .headers = header, .body = packed};
        auto_server *server = server_start(&reply, 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        must(get_blob(&b, packed), &b.err);
        assert_string_equal(b.got.ptr, packed);
        assert_false(server_was_told(server, "Accept-Encoding"));
        assert_false(server_was_told(server, "TE:"));
    }
}

/* ---- no answer ----------------------------------------------------------------------------- */

static void what_is_no_http_is_no_answer(void **state)
{
    static const char *const rows[] = {
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        "220 mail.example.com ESMTP\r\n",
        "hello",
        "\r\n\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n" BODY,
        "HTTP/1.1 99999 Much\r\n\r\n" BODY,
        "HTTP/9.9 200 OK\r\n\r\n" BODY,
        "HTTP/1.1 000 None\r\n\r\n" BODY,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n",
        "\x15\x03\x03\x00\x02\x02\x28",
        BODY,
    };
    static const enum deed ways[] = {GET_MANIFEST, FIND_BLOB, GET_BLOB, PUT_BLOB, RELAY};

    (void)state;
    for (size_t i = 0; i < COUNT(rows) * COUNT(ways); i++) {
        const struct server_reply reply = {.body = rows[i / COUNT(ways)],
                                           .fault = SERVER_FAULT_RAW};
        auto_server *server = server_start(&reply, 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.retry_times = 1});
        if (run_deed(&b, ways[i % COUNT(ways)]) || b.err.code == MIR_OK ||
            !strstr(b.err.text, server_host(server)))
            fail_msg("row %zu, %s: %s", i / COUNT(ways), names[ways[i % COUNT(ways)]], b.err.text);
        assert_true(server_count(server, NULL, NULL) <= 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_drops_end),
        cmocka_unit_test(uploads_that_are_not_read_end),
        cmocka_unit_test(body_in_drops_is_still_of_use),
        cmocka_unit_test(answers_after_a_pause_are_taken),
        cmocka_unit_test(answers_as_slow_as_the_limit_are_taken),
        cmocka_unit_test(answers_without_end_are_cut),
        cmocka_unit_test(lengths_that_are_lies_harm_nobody),
        cmocka_unit_test(body_after_a_head_is_no_answer),
        cmocka_unit_test(bodies_are_not_unpacked),
        cmocka_unit_test(what_is_no_http_is_no_answer),
    };

    return cmocka_run_group_tests_name("access/hostile body", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
