/*
 * servefuzz ANSWERS [SEED]: a server and clients in one process, so that sanitizers see both. Until
 * so many answers have come, the clients send requests that are nearly right, a little wrong, or
 * torn, hold every answer against what may come:
 *
 *   - an answer, when one comes, begins with a status line of HTTP/1.1, and its status is known;
 *   - a 200 or 206 that names a digest carries bytes of that digest, and as many as it promised;
 *   - a refusal of ours has a body of the specification's form;
 *   - a request in the middle that is right is answered rightly.
 *
 * It prints a line with the counts, and what was wrong with the first answer that was. Exit status
 * 1 then. The same seed sends the same requests.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "lib/scratch.h"
#include "lib/serve_bench.h"

#define PER_CONNECTION 20   /* requests at most */
#define REQUEST_MAX    6000 /* bytes */
#define WAIT_MS        20000
#define GAP_MS         300 /* a connection that is silent for so long waits for us */
#define RELOAD_EVERY   5000

/* ---- chance ---- */

struct dice {
    uint64_t state;
};

static uint64_t roll(struct dice *dice)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return dice->state;
}

static size_t below(struct dice *dice, size_t limit)
{
    return (size_t)(roll(dice) % limit);
}

static const char *one_of(struct dice *dice, const char *const *words, size_t count)
{
    return words[below(dice, count)];
}
#define ONE_OF(dice, words) one_of(dice, words, sizeof(words) / sizeof((words)[0]))

/* ---- what is fuzzed ---- */

struct fuzz {
    struct serve_bench bench;
    struct dice dice;
    uint64_t requests, connections, answers, right;
    uint64_t by_class[6]; /* of status / 100 */
    char *digests[5];     /* of content that is there */
    char *trouble;        /* the first thing wrong, or NULL */
};

static void complain(struct fuzz *fuzz, const char *fmt, ...) MIR_PRINTF(2, 3);

static void complain(struct fuzz *fuzz, const char *fmt, ...)
{
    char text[2000];
    va_list args;

    if (fuzz->trouble)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fuzz->trouble = mir_strdup(text);
}

/* ---- requests ---- */

static const char *some_digest(struct fuzz *fuzz)
{
    static const char *const odd[] = {SERVE_BENCH_NOBODY,
                                      "sha256:",
                                      "sha256:abc",
                                      "sha512:" SERVE_BENCH_ZEROS,
                                      "md5:" SERVE_BENCH_ZEROS,
                                      "latest",
                                      "1",
                                      "..",
                                      "sha256:" SERVE_BENCH_ZEROS SERVE_BENCH_ZEROS "0"};

    if (below(&fuzz->dice, 4) > 0)
        return fuzz->digests[below(&fuzz->dice, 5)];
    return ONE_OF(&fuzz->dice, odd);
}

static void add_target(struct fuzz *fuzz, struct mir_buf *out)
{
    static const char *const repos[] = {"team/app", SERVE_BENCH_HOST "/team/app",
                                        "elsewhere.invalid/team/sbom"};
    static const char *const odd[] = {"no/such", "Team",      "",
                                      "..",      "a//b",      "team%2fapp",
                                      "%00",     "manifests", "team/app/manifests"};
    static const char *const kinds[] = {"manifests", "manifests", "blobs",          "blobs",
                                        "blobs",     "tags",      "referrers",      "uploads",
                                        "",          "%62lobs",   "blobs/uploads/", "_catalog"};
    static const char *const queries[] = {"",
                                          "",
                                          "?n=1",
                                          "?n=99999999999999999999",
                                          "?n=-1",
                                          "?last=z",
                                          "?n=0",
                                          "?ns=x",
                                          "?ns=" SERVE_BENCH_HOST,
                                          "?%",
                                          "?artifactType=a%2Fb",
                                          "?a=b&c=d",
                                          "?last=%0",
                                          "?n=1&n=2&last=1",
                                          "?=&&=&?",
                                          "#x"};
    static const char *const whole[] = {
        "/v2/",         "/v2",   "/v2/_catalog",         "/healthz", "/", "*", "",
        "http://x/v2/", "//v2/", "/v2/../../etc/passwd", "\xff\xfe"};
    const char *reference;

    if (below(&fuzz->dice, 8) == 0) {
        mir_buf_text(out, ONE_OF(&fuzz->dice, whole));
    } else {
        reference = below(&fuzz->dice, 6) == 0 ? "list" : some_digest(fuzz);
        mir_buf_printf(out, "/v2/%s/%s/%s",
                       below(&fuzz->dice, 4) > 0 ? ONE_OF(&fuzz->dice, repos)
                                                 : ONE_OF(&fuzz->dice, odd),
                       ONE_OF(&fuzz->dice, kinds), reference);
    }
    if (below(&fuzz->dice, 2) == 0)
        mir_buf_text(out, ONE_OF(&fuzz->dice, queries));
}

static void add_header(struct fuzz *fuzz, struct mir_buf *out)
{
    static const char *const headers[] = {"Range: bytes=0-9",
                                          "Range: bytes=-1",
                                          "Range: bytes=5-2",
                                          "Range: bytes=0-0,2-3",
                                          "Range: bytes=99999999-",
                                          "Range: bytes=18446744073709551615-",
                                          "Range: lines=1-2",
                                          "Range:",
                                          "If-None-Match: *",
                                          "If-Range: \"x\"",
                                          "Accept: */*",
                                          "Content-Length: 0",
                                          "Connection: keep-alive",
                                          "Expect: 100-continue",
                                          "Authorization: Basic cGlsb3Q6d3Jvbmc=",
                                          "Authorization: Basic !!!",
                                          "Authorization: Bearer x",
                                          "Cookie: a=b; c",
                                          "Upgrade: h2c",
                                          "Host: y",
                                          "Accept-Encoding: gzip"};
    /* After these the connection is closed, or waits for more. */
    static const char *const closing[] = {"Connection: close",
                                          "Content-Length: 5",
                                          "Content-Length: -1",
                                          "Content-Length: 99999999999999999999",
                                          "Transfer-Encoding: chunked",
                                          "X: \x01\x02",
                                          "no colon at all",
                                          " folded",
                                          ": empty"};

    switch (below(&fuzz->dice, 16)) {
    case 0:
        mir_buf_printf(out, "%s\r\n", ONE_OF(&fuzz->dice, closing));
        break;
    case 1:
        mir_buf_printf(out, "If-None-Match: \"%s\"\r\n", some_digest(fuzz));
        break;
    case 2:
        mir_buf_printf(out, "X-Long: %0*d\r\n", (int)below(&fuzz->dice, REQUEST_MAX / 2), 0);
        break;
    default:
        mir_buf_printf(out, "%s\r\n", ONE_OF(&fuzz->dice, headers));
        break;
    }
}

/* Change, drop or double a few bytes of what was added since start. */
static void tear(struct fuzz *fuzz, struct mir_buf *out, size_t start)
{
    size_t times = 1 + below(&fuzz->dice, 4);

    for (size_t i = 0; i < times && out->len > start; i++) {
        size_t at = start + below(&fuzz->dice, out->len - start);

        switch (below(&fuzz->dice, 3)) {
        case 0:
            out->ptr[at] = (char)roll(&fuzz->dice);
            break;
        case 1:
            memmove(out->ptr + at, out->ptr + at + 1, out->len - at);
            out->len--;
            break;
        default:
            out->len = at; /* cut */
            out->ptr[at] = '\0';
            break;
        }
    }
}

static void add_request(struct fuzz *fuzz, struct mir_buf *out)
{
    static const char *const methods[] = {"PUT", "POST",  "DELETE", "get",     "OPTIONS",
                                          "",    "PATCH", "G\x01T", "CONNECT", "TRACE"};
    static const char *const versions[] = {"HTTP/1.0", "HTTP/2.0", "http/1.1", "", "HTTP/1.1 x"};
    size_t start = out->len, headers = below(&fuzz->dice, 4);

    if (below(&fuzz->dice, 40) == 0)
        mir_buf_text(out, ONE_OF(&fuzz->dice, methods));
    else
        mir_buf_text(out, below(&fuzz->dice, 3) == 0 ? "HEAD" : "GET");
    mir_buf_char(out, ' ');
    add_target(fuzz, out);
    mir_buf_printf(out, " %s\r\nHost: x\r\n",
                   below(&fuzz->dice, 40) == 0 ? ONE_OF(&fuzz->dice, versions) : "HTTP/1.1");
    if (below(&fuzz->dice, 8) > 0)
        mir_buf_text(out, "Authorization: Basic cGlsb3Q6c2VjcmV0\r\n");
    for (size_t i = 0; i < headers; i++)
        add_header(fuzz, out);
    mir_buf_text(out, "\r\n");
    if (below(&fuzz->dice, 20) == 0)
        tear(fuzz, out, start);
    fuzz->requests++;
}

/* ---- answers ---- */

static bool is_known_status(unsigned status)
{
    static const unsigned known[] = {100, 200, 206, 304, 400, 401, 404, 405,
                                     411, 413, 414, 416, 417, 431, 501, 505};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i] == status)
            return true;
    return false;
}

/* What came on one connection, answer for answer. */
struct stream {
    char *bytes;
    size_t len, at;
};

static char *header_of(const char *head, size_t len, const char *name)
{
    auto_free char *text = mir_strndup(head, len);
    auto_free char *key = mir_format("\r\n%s: ", name);
    const char *found = strcasestr(text, key);

    if (!found)
        return NULL;
    found += strlen(key);
    return mir_strndup(found, strcspn(found, "\r"));
}

static void check_content(struct fuzz *fuzz, unsigned status, const char *digest,
                          struct mir_span body, const char *range)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct img_digest named, got;
    auto_free char *want = NULL;
    uint64_t start;
    size_t len;

    if (!img_digest_parse(mir_span_of(digest), &named, &err)) {
        complain(fuzz, "a digest that is none: %s", digest);
        return;
    }
    if (status == 200) {
        img_digest_of(img_digest_algo(&named), body, &got);
        if (!img_digest_equal(&got, &named))
            complain(fuzz, "%s: %zu bytes of %s", digest, body.len, got.text);
        fuzz->right++;
        return;
    }
    want = serve_bench_load(&fuzz->bench, &named, &len);
    if (!range || sscanf(range, "bytes %" SCNu64 "-", &start) != 1 || start + body.len > len ||
        memcmp(want + start, body.ptr, body.len) != 0)
        complain(fuzz, "%s: wrong part %s", digest, range ? range : "");
    fuzz->right++;
}

static void check_refusal(struct fuzz *fuzz, unsigned status, const char *type,
                          struct mir_span body)
{
    auto_json *root = json_loadb(body.ptr, body.len, 0, NULL);
    const json_t *code =
        json_object_get(json_array_get(json_object_get(root, "errors"), 0), "code");

    /* The library speaks HTML when it refuses itself. */
    if (type && strcmp(type, "application/json") == 0 && !json_is_string(code))
        complain(fuzz, "status %u with the body %.*s", status, MIR_SPAN_ARG(body));
}

/* One answer. False: that was all, or the rest cannot be told apart. An answer to HEAD has no body,
 * and we do not keep track of which one that is: a body is there if no status line follows. */
static bool check_answer(struct fuzz *fuzz, struct stream *stream)
{
    const char *head = stream->bytes + stream->at, *end = strstr(head, "\r\n\r\n");
    auto_free char *length = NULL, *digest = NULL, *range = NULL, *type = NULL;
    size_t left = stream->len - stream->at, head_len;
    unsigned status;
    uint64_t len = 0;
    struct mir_span body;

    if (left == 0)
        return false;
    if (sscanf(head, "HTTP/1.%*1[01] %3u ", &status) != 1 || !is_known_status(status)) {
        complain(fuzz, "no answer: %.60s", head);
        return false;
    }
    if (!end)
        return false; /* torn, because the connection was closed */
    head_len = (size_t)(end - head) + 4;
    fuzz->answers++;
    fuzz->by_class[status / 100]++;
    length = header_of(head, head_len, "Content-Length");
    digest = header_of(head, head_len, "Docker-Content-Digest");
    range = header_of(head, head_len, "Content-Range");
    type = header_of(head, head_len, "Content-Type");
    if (length && !mir_parse_u64(mir_span_of(length), 1u << 30, &len))
        complain(fuzz, "length %s", length);
    stream->at += head_len;
    left -= head_len;
    if (status == 100 || status == 304 || len == 0 || left == 0 ||
        strncmp(stream->bytes + stream->at, "HTTP/1.", 7) == 0)
        return true;
    body = mir_span(stream->bytes + stream->at, left < len ? left : (size_t)len);
    if (left < len)
        return false; /* closed in the middle: our doing, or a request that was refused */
    stream->at += (size_t)len;
    if (status < 300 && digest)
        check_content(fuzz, status, digest, body, range);
    if (status >= 400)
        check_refusal(fuzz, status, type, body);
    return true;
}

/* ---- connections ---- */

/* Take what there is, until the server closes or is silent. False: it has closed. */
static bool take(int fd, struct mir_buf *got, int wait_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    char bytes[65536];

    while (poll(&poller, 1, wait_ms) > 0) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        if (n <= 0)
            return false;
        mir_buf_add(got, mir_span(bytes, (size_t)n));
    }
    return true;
}

/* All at once, or in two pieces; taking answers in between, or neither side could go on. */
static void send_all(struct fuzz *fuzz, int fd, const struct mir_buf *requests, struct mir_buf *got)
{
    size_t sent = 0, piece = below(&fuzz->dice, 3) == 0 ? 1 + below(&fuzz->dice, 2000) : SIZE_MAX;

    while (sent < requests->len) {
        size_t len = requests->len - sent < piece ? requests->len - sent : piece;
        ssize_t n = send(fd, requests->ptr + sent, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            sent += (size_t)n;
        if (!take(fd, got, n > 0 ? 0 : GAP_MS) || n == 0)
            return;
    }
}

/* The last request is right, and ends the connection: no silence to wait for. */
static void add_last(struct mir_buf *out)
{
    mir_buf_text(out, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

static void check_stream(struct fuzz *fuzz, const struct mir_buf *got)
{
    struct stream stream = {.bytes = got->ptr, .len = got->len};

    while (!fuzz->trouble && check_answer(fuzz, &stream))
        continue;
}

static void run_connection(struct fuzz *fuzz)
{
    auto_buf requests;
    auto_buf got;
    size_t count = 1 + below(&fuzz->dice, PER_CONNECTION);
    int fd = serve_dial(fuzz->bench.port);

    mir_buf_init(&requests, (PER_CONNECTION + 1) * (size_t)REQUEST_MAX);
    mir_buf_init(&got, 256u << 20);
    while (count-- > 0)
        add_request(fuzz, &requests);
    add_last(&requests);
    send_all(fuzz, fd, &requests, &got);
    /* Some go without waiting. Most say that they have said all: or else the server would wait for
     * the rest of what was torn. */
    if (below(&fuzz->dice, 8) > 0) {
        (void)shutdown(fd, SHUT_WR);
        (void)take(fd, &got, WAIT_MS);
    }
    check_stream(fuzz, &got);
    (void)close(fd);
    fuzz->connections++;
}

/* In the middle of it all, what is right is answered rightly. */
static void check_alive(struct fuzz *fuzz)
{
    auto_free char *target = mir_format("/v2/team/app/blobs/%s", fuzz->bench.layer.text);
    auto_reply reply = {.status = 0};
    struct img_digest got;

    serve_ask(fuzz->bench.port, "GET", target, "Authorization: Basic cGlsb3Q6c2VjcmV0\r\n", &reply);
    img_digest_of(MIR_HASH_SHA256, mir_span(reply.body, reply.body_len), &got);
    if (reply.status != 200 || !img_digest_equal(&got, &fuzz->bench.layer))
        complain(fuzz, "after %" PRIu64 " requests: status %u", fuzz->requests, reply.status);
}

static void reload(struct fuzz *fuzz)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (!serve_reload(fuzz->bench.server, &err))
        complain(fuzz, "reload: %s", err.text);
}

/* ---- the whole ---- */

static void begin(struct fuzz *fuzz, const char *users, const char *log)
{
    const struct img_digest *there[] = {&fuzz->bench.index.digest, &fuzz->bench.child.digest,
                                        &fuzz->bench.layer, &fuzz->bench.other.digest,
                                        &fuzz->bench.sbom.digest};
    auto_free char *line = serve_bench_user("pilot", "secret", 4);

    serve_bench_init(&fuzz->bench);
    scratch_write(users, mir_span_of(line));
    fuzz->bench.options.htpasswd = users;
    fuzz->bench.options.access_log = log;
    fuzz->bench.options.clock = NULL;
    fuzz->bench.sink.level = MIR_LEVEL_ERROR;
    serve_bench_start(&fuzz->bench);
    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++)
        fuzz->digests[i] = mir_strdup(there[i]->text);
}

static void run(struct fuzz *fuzz, uint64_t limit)
{
    uint64_t checked = 0;

    while (fuzz->answers < limit && !fuzz->trouble) {
        run_connection(fuzz);
        if (fuzz->requests - checked < RELOAD_EVERY)
            continue;
        checked = fuzz->requests;
        check_alive(fuzz);
        reload(fuzz);
        serve_tick(fuzz->bench.server);
    }
    check_alive(fuzz);
}

static void report(const struct fuzz *fuzz)
{
    (void)printf("%" PRIu64 " requests on %" PRIu64 " connections, %" PRIu64
                 " answers (2xx %" PRIu64 ", 3xx %" PRIu64 ", 4xx %" PRIu64 ", 5xx %" PRIu64
                 "), %" PRIu64 " bodies with the right digest\n",
                 fuzz->requests, fuzz->connections, fuzz->answers, fuzz->by_class[2],
                 fuzz->by_class[3], fuzz->by_class[4], fuzz->by_class[5], fuzz->right);
    if (fuzz->trouble)
        (void)printf("wrong: %s\n", fuzz->trouble);
}

int main(int argc, char **argv)
{
    auto_scratch *dir = NULL;
    auto_free char *users = NULL, *log = NULL;
    auto_free struct fuzz *fuzz = mir_alloc(sizeof(*fuzz));
    uint64_t limit, seed = 1;
    bool ok;

    if (argc < 2 || argc > 3 || !mir_parse_u64(mir_span_of(argv[1]), UINT64_MAX, &limit) ||
        (argc > 2 && !mir_parse_u64(mir_span_of(argv[2]), UINT64_MAX, &seed)))
        scratch_die("usage: servefuzz ANSWERS [SEED]");
    dir = scratch_new();
    users = mir_format("%s/users", dir);
    log = mir_format("%s/log", dir);
    fuzz->dice.state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    begin(fuzz, users, log);
    run(fuzz, limit);
    report(fuzz);
    ok = !fuzz->trouble;
    serve_bench_release(&fuzz->bench);
    for (size_t i = 0; i < sizeof(fuzz->digests) / sizeof(fuzz->digests[0]); i++)
        free(fuzz->digests[i]);
    free(fuzz->trouble);
    return ok ? 0 : 1;
}
