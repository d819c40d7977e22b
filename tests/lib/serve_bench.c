/*
 * The bench of the tests of serve.
 */
#include "lib/serve_bench.h"

#include <arpa/inet.h>
#include <crypt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "lib/scratch.h"

#define REPLY_MAX    (64u << 20)
#define HEAD_MAX     65536
#define SECONDS_MAX  20
#define NARROW_BYTES 4096
#define WIDE_BYTES   (1 << 20)

/* ---- replies ---- */

void serve_reply_release(struct serve_reply *reply)
{
    free(reply->head);
    free(reply->body);
    *reply = (struct serve_reply){.status = 0};
}

char *serve_reply_header(const struct serve_reply *reply, const char *name)
{
    auto_free char *key = mir_format("\r\n%s: ", name);
    const char *at = reply->head ? strstr(reply->head, key) : NULL;

    if (!at)
        return NULL;
    at += strlen(key);
    return mir_strndup(at, strcspn(at, "\r"));
}

char *serve_reply_code(const struct serve_reply *reply)
{
    auto_json *root = json_loads(reply->body ? reply->body : "", 0, NULL);
    const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
    const char *code = json_string_value(json_object_get(first, "code"));

    return mir_strdup(code ? code : "");
}

static bool read_head(int fd, struct serve_reply *out)
{
    struct mir_buf head;

    mir_buf_init(&head, HEAD_MAX);
    while (!mir_ends_with(head.ptr, "\r\n\r\n")) {
        char c;

        if (head.overflow || recv(fd, &c, 1, 0) != 1) {
            mir_buf_release(&head);
            return false;
        }
        mir_buf_char(&head, c);
    }
    out->head = mir_buf_take(&head);
    return sscanf(out->head, "HTTP/1.1 %3u ", &out->status) == 1;
}

static bool read_body(int fd, struct serve_reply *out)
{
    auto_free char *length = serve_reply_header(out, "Content-Length");
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

void serve_read_reply(int fd, bool has_body, struct serve_reply *out)
{
    *out = (struct serve_reply){.status = 0};
    if (!read_head(fd, out))
        out->status = 0;
    else if (has_body && out->status != 304 && !read_body(fd, out))
        out->status = 0;
}

/* ---- requests ---- */

static int dial(uint16_t port, int receive_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = SECONDS_MAX};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (receive_bytes > 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        scratch_die("cannot connect");
    return fd;
}

int serve_dial(uint16_t port)
{
    return dial(port, 0);
}

int serve_dial_narrow(uint16_t port)
{
    return dial(port, NARROW_BYTES);
}

void serve_widen(int fd)
{
    int bytes = WIDE_BYTES;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

void serve_send(int fd, const char *text)
{
    size_t len = strlen(text), sent = 0;

    while (sent < len) {
        ssize_t n = send(fd, text + sent, len - sent, MSG_NOSIGNAL);

        if (n <= 0)
            return; /* the server may have refused and closed already */
        sent += (size_t)n;
    }
}

void serve_ask_raw(uint16_t port, const char *request, struct serve_reply *out)
{
    int fd = serve_dial(port);

    serve_send(fd, request);
    serve_read_reply(fd, strncmp(request, "HEAD", 4) != 0, out);
    (void)close(fd);
}

void serve_ask(uint16_t port, const char *method, const char *target, const char *headers,
               struct serve_reply *out)
{
    auto_free char *request = mir_format("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
                                         method, target, headers);

    serve_ask_raw(port, request, out);
}

/* ---- the layout ---- */

static void make_layout(struct serve_bench *b)
{
    struct fixture *f = fixture_new(b->dir);
    struct fixture_item children[2];

    children[0] = fixture_image(f, .layers = 2, .layer_bytes = SERVE_BENCH_LAYER_BYTES);
    children[1] = fixture_image(f, .arch = "arm64", .seed = 2);
    b->child = children[0];
    b->index = fixture_index(f, .children = children, .child_count = 2);
    b->other = fixture_image(f, .docker = true, .seed = 3);
    b->artifact = fixture_artifact(f, .type = "application/vnd.x");
    b->stray = fixture_blob(f, "text/plain", mir_span_of("nobody refers to this"));
    fixture_name(f, SERVE_BENCH_HOST "/team/app:1", &b->index);
    fixture_name(f, SERVE_BENCH_HOST "/team/app:2", &b->other);
    fixture_name(f, "elsewhere.invalid/team/app:2", &b->artifact);
    fixture_name(f, "elsewhere.invalid/team/sbom:1", &b->artifact);
    b->sbom = fixture_artifact(f, .type = "application/vnd.x.sbom", .subject = &b->index);
    fixture_name(f, SERVE_BENCH_HOST "/team/app:sbom", &b->sbom);
    fixture_name(f, "latest", &b->other);
    fixture_free(f);
}

char *serve_bench_load(const struct serve_bench *bench, const struct img_digest *digest,
                       size_t *len)
{
    struct mir_error err = MIR_ERROR_INIT;
    char *bytes;

    if (!bundle_reader_load(bench->reader, digest, REPLY_MAX, &bytes, len, &err))
        scratch_die("%s", err.text);
    return bytes;
}

char *serve_bench_path(const struct serve_bench *bench, const struct img_digest *digest)
{
    return mir_format("%s/blobs/sha256/%s", bench->dir, img_digest_hex(digest));
}

static void find_layer(struct serve_bench *b)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *root = NULL;
    auto_free char *bytes = NULL;
    const json_t *layer;
    size_t len;

    bytes = serve_bench_load(b, &b->child.digest, &len);
    root = json_loadb(bytes, len, 0, NULL);
    layer = json_array_get(json_object_get(root, "layers"), 0);
    if (!img_digest_parse(mir_span_of(json_string_value(json_object_get(layer, "digest"))),
                          &b->layer, &err))
        scratch_die("%s", err.text);
}

/* ---- the bench ---- */

static void note_line(void *ctx, enum mir_level level, const char *line)
{
    struct serve_bench *bench = ctx;

    (void)level;
    (void)pthread_mutex_lock(&bench->log_lock);
    mir_buf_printf(&bench->log, "%s\n", line);
    (void)pthread_mutex_unlock(&bench->log_lock);
}

bool serve_bench_said(struct serve_bench *bench, const char *text)
{
    bool said;

    (void)pthread_mutex_lock(&bench->log_lock);
    said = strstr(bench->log.ptr, text) != NULL;
    (void)pthread_mutex_unlock(&bench->log_lock);
    return said;
}

char *serve_bench_user(const char *user, const char *password, unsigned long cost)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    auto_free struct crypt_data *data = mir_alloc(sizeof(*data));

    if (!crypt_gensalt_rn("$2y$", cost, NULL, 0, salt, sizeof(salt)))
        scratch_die("no salt");
    return mir_format("%s:%s\n", user, crypt_r(password, salt, data));
}

void serve_bench_init(struct serve_bench *bench)
{
    struct mir_error err = MIR_ERROR_INIT;

    *bench = (struct serve_bench){.dir = scratch_new()};
    fake_clock_init(&bench->clock);
    (void)pthread_mutex_init(&bench->log_lock, NULL);
    mir_buf_init(&bench->log, REPLY_MAX);
    bench->sink = (struct mir_sink){.emit = note_line, .ctx = bench, .level = MIR_LEVEL_TRACE};
    make_layout(bench);
    if (!bundle_reader_open(bench->dir, BUNDLE_FORM_DIR, &bench->reader, &err))
        scratch_die("%s", err.text);
    find_layer(bench);
    bench->sources[0] = (struct serve_source){.path = bench->dir, .form = BUNDLE_FORM_DIR};
    bench->options = (struct serve_options){.listen = "127.0.0.1:0",
                                            .sources = bench->sources,
                                            .source_count = 1,
                                            .clock = &bench->clock.clock,
                                            .sink = &bench->sink};
}

void serve_bench_start(struct serve_bench *bench)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (!serve_start(&bench->options, &bench->server, &err))
        scratch_die("%s", err.text);
    bench->port = serve_port(bench->server);
}

void serve_bench_stop(struct serve_bench *bench)
{
    serve_stop(bench->server);
    bench->server = NULL;
}

void serve_bench_release(struct serve_bench *bench)
{
    serve_bench_stop(bench);
    bundle_reader_close(bench->reader);
    scratch_remove(bench->dir);
    mir_buf_release(&bench->log);
    (void)pthread_mutex_destroy(&bench->log_lock);
}

int serve_bench_set_up(void **state)
{
    struct serve_bench *bench = mir_alloc(sizeof(*bench));

    serve_bench_init(bench);
    serve_bench_start(bench);
    *state = bench;
    return 0;
}

int serve_bench_tear_down(void **state)
{
    serve_bench_release(*state);
    free(*state);
    return 0;
}

unsigned serve_bench_status(const struct serve_bench *bench, const char *method, const char *target)
{
    auto_reply reply = {.status = 0};

    serve_ask(bench->port, method, target, "", &reply);
    return reply.status;
}
