/*
 * serve: how a server lives: it reads again, ends without losses, sheds clients that take too long,
 * and serves many at once.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/bundler.h"
#include "lib/scratch.h"
#include "lib/serve_bench.h"

#define CROWD       200
#define LARGE_BYTES (16u << 20) /* more than sockets hold, so that the server has to wait */

static void begin(struct serve_bench *b)
{
    serve_bench_init(b);
    serve_bench_start(b);
}

/* ---- reading again ---- */

static void rename_image(struct serve_bench *b, const char *name)
{
    struct fixture *f = fixture_new(b->dir);

    fixture_name(f, name, &b->other);
    fixture_free(f);
}

static void reload_serves_what_is_there_now(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_serve_bench b;

    (void)state;
    begin(&b);
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/team/app/manifests/1"), 200);
    rename_image(&b, SERVE_BENCH_HOST "/new/app:3");
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/new/app/manifests/3"), 404);
    if (!serve_reload(b.server, &err))
        fail_msg("%s", err.text);
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/new/app/manifests/3"), 200);
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/team/app/manifests/1"), 404);
    assert_int_equal(serve_repo_count(b.server), 2);
}

static void reload_that_fails_changes_nothing(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_serve_bench b;
    auto_free char *index = NULL;

    (void)state;
    begin(&b);
    index = mir_format("%s/index.json", b.dir);
    scratch_write(index, mir_span_of("no index"));
    assert_false(serve_reload(b.server, &err));
    assert_non_null(strstr(err.text, "index.json"));
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/team/app/manifests/1"), 200);
}

/* ---- the end ---- */

/* A server with a large layer; a connection that has begun to take it. */
struct transfer {
    struct serve_bench bench;
    struct img_digest layer;
    int fd;
};

static void find_large(struct transfer *t)
{
    auto_bundler bundler = {.reader = NULL};

    bundler_init(&bundler, t->bench.dir);
    for (size_t i = 0; i < bundler.blob_count; i++)
        if (bundler.blobs[i].size >= LARGE_BYTES)
            t->layer = bundler.blobs[i].digest;
    assert_int_not_equal(t->layer.text[0], '\0');
}

static void ask_for_layer(struct transfer *t)
{
    auto_free char *request =
        mir_format("GET /v2/team/app/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", t->layer.text);

    t->fd = serve_dial_narrow(t->bench.port);
    serve_send(t->fd, request);
}

static void begin_transfer(struct transfer *t, const struct mir_clock *clock)
{
    struct fixture *f;
    struct fixture_item image;

    *t = (struct transfer){.fd = -1};
    serve_bench_init(&t->bench);
    if (clock)
        t->bench.options.clock = clock;
    f = fixture_new(t->bench.dir);
    image =
        fixture_image(f, .layer_bytes = LARGE_BYTES, .seed = 9, .packing = FIXTURE_PACKING_STORED);
    fixture_name(f, SERVE_BENCH_HOST "/team/app:1", &image);
    fixture_free(f);
    find_large(t);
    serve_bench_start(&t->bench);
    ask_for_layer(t);
}

/* The first bytes of the answer are there: the server is at it. */
static void wait_until_it_sends(const struct transfer *t)
{
    char c;

    assert_int_equal(recv(t->fd, &c, 1, MSG_PEEK), 1);
}

static void end_transfer(struct transfer *t)
{
    (void)close(t->fd);
    serve_bench_release(&t->bench);
}

struct finisher {
    pthread_t thread;
    struct serve_server *server;
    int64_t limit_ms;
    size_t left;
};

static void *run_finisher(void *ctx)
{
    struct finisher *finisher = ctx;

    finisher->left = serve_finish(finisher->server, finisher->limit_ms);
    return NULL;
}

/* New requests are refused once the port is closed, and it is closed soon. */
static void expect_refusals(int fd)
{
    auto_reply reply = {.status = 200};
    auto_free char *code = NULL;

    while (reply.status == 200) {
        serve_reply_release(&reply);
        serve_send(fd, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
        serve_read_reply(fd, true, &reply);
    }
    code = serve_reply_code(&reply);
    assert_int_equal(reply.status, 503);
    assert_string_equal(code, "UNAVAILABLE");
    assert_non_null(strstr(reply.head, "Connection: close"));
}

static void finish_waits_for_what_is_being_sent(void **state)
{
    struct transfer t;
    struct finisher finisher;
    auto_reply first = {.status = 0}, reply = {.status = 0};
    struct img_digest got;
    int other;

    (void)state;
    begin_transfer(&t, mir_clock_real()); /* it has to wait for us */
    wait_until_it_sends(&t);
    other = serve_dial(t.bench.port);
    serve_send(other, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    serve_read_reply(other, true, &first);
    assert_int_equal(first.status, 200);
    finisher = (struct finisher){.server = t.bench.server, .limit_ms = 60000};
    assert_int_equal(pthread_create(&finisher.thread, NULL, run_finisher, &finisher), 0);
    expect_refusals(other);
    serve_widen(t.fd);
    serve_read_reply(t.fd, true, &reply);
    assert_int_equal(pthread_join(finisher.thread, NULL), 0);
    assert_int_equal(finisher.left, 0);
    assert_int_equal(reply.status, 200);
    img_digest_of(MIR_HASH_SHA256, mir_span(reply.body, reply.body_len), &got);
    assert_true(img_digest_equal(&got, &t.layer));
    (void)close(other);
    end_transfer(&t);
}

static void finish_waits_no_longer_than_it_may(void **state)
{
    struct transfer t;
    auto_reply reply = {.status = 0};

    (void)state;
    begin_transfer(&t, NULL);
    wait_until_it_sends(&t);
    assert_int_equal(serve_finish(t.bench.server, 30000), 1); /* the clock runs fast here */
    serve_bench_stop(&t.bench);
    serve_widen(t.fd);
    serve_read_reply(t.fd, true, &reply);
    assert_int_equal(reply.status, 0);
    end_transfer(&t);
}

static void finish_closes_the_port(void **state)
{
    auto_serve_bench b;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    auto_close int fd = -1;

    (void)state;
    begin(&b);
    address.sin_port = htons(b.port);
    assert_int_equal(serve_finish(b.server, 1000), 0);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), -1);
}

/* ---- clients that take too long ---- */

static void a_request_that_does_not_end_is_cut(void **state)
{
    static const char *const begun[] = {"", "GET /v2/ HT", "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: "};
    auto_serve_bench b;

    (void)state;
    begin(&b);
    for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
        int fd = serve_dial(b.port), other = serve_dial(b.port);
        auto_reply reply = {.status = 0}, late = {.status = 0};

        serve_send(fd, begun[i]);
        /* When this one is answered, the server knows of the first connection too. */
        serve_send(other, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
        serve_read_reply(other, true, &reply);
        assert_int_equal(reply.status, 200);
        fake_clock_advance(&b.clock, 50000);
        serve_tick(b.server);
        assert_int_equal(serve_bench_status(&b, "GET", "/v2/"), 200);
        serve_send(fd, i == 0 ? "GET /v2/ HTTP/1.1\r\nHost: x\r\n" : "x");
        fake_clock_advance(&b.clock, 15000);
        serve_tick(b.server);
        serve_read_reply(fd, true, &late);
        assert_int_equal(late.status, 0);
        (void)close(fd);
        (void)close(other);
    }
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/"), 200);
}

static void a_slow_reader_is_not_cut(void **state)
{
    struct transfer t;
    auto_reply reply = {.status = 0};

    (void)state;
    begin_transfer(&t, NULL);
    wait_until_it_sends(&t);
    fake_clock_advance(&t.bench.clock, 3600000);
    serve_tick(t.bench.server);
    serve_widen(t.fd);
    serve_read_reply(t.fd, true, &reply);
    assert_int_equal(reply.status, 200);
    end_transfer(&t);
}

/* ---- many at once ---- */

struct crowd {
    const struct serve_bench *bench;
    pthread_barrier_t connected; /* nobody asks before all are there */
};

struct member {
    pthread_t thread;
    struct crowd *crowd;
    size_t right;
};

static bool fetch(int fd, const char *kind, const struct img_digest *digest)
{
    auto_free char *request =
        mir_format("GET /v2/team/app/%s/%s HTTP/1.1\r\nHost: x\r\n\r\n", kind, digest->text);
    auto_reply reply = {.status = 0};
    struct img_digest got;

    serve_send(fd, request);
    serve_read_reply(fd, true, &reply);
    img_digest_of(MIR_HASH_SHA256, mir_span(reply.body, reply.body_len), &got);
    return reply.status == 200 && img_digest_equal(&got, digest);
}

static void *pull(void *ctx)
{
    struct member *member = ctx;
    const struct serve_bench *b = member->crowd->bench;
    int fd = serve_dial(b->port);

    (void)pthread_barrier_wait(&member->crowd->connected);
    member->right += fetch(fd, "manifests", &b->index.digest);
    member->right += fetch(fd, "manifests", &b->child.digest);
    member->right += fetch(fd, "blobs", &b->layer);
    (void)close(fd);
    return NULL;
}

static void two_hundred_pull_at_once(void **state)
{
    auto_serve_bench b;
    struct crowd crowd = {.bench = &b};
    auto_free struct member *members = mir_alloc_array(CROWD, sizeof(*members));
    size_t right = 0;

    (void)state;
    begin(&b);
    assert_int_equal(pthread_barrier_init(&crowd.connected, NULL, CROWD), 0);
    for (size_t i = 0; i < CROWD; i++) {
        members[i].crowd = &crowd;
        assert_int_equal(pthread_create(&members[i].thread, NULL, pull, &members[i]), 0);
    }
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
        right += members[i].right;
    }
    (void)pthread_barrier_destroy(&crowd.connected);
    assert_int_equal(right, 3 * CROWD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reload_serves_what_is_there_now),
        cmocka_unit_test(reload_that_fails_changes_nothing),
        cmocka_unit_test(finish_waits_for_what_is_being_sent),
        cmocka_unit_test(finish_waits_no_longer_than_it_may),
        cmocka_unit_test(finish_closes_the_port),
        cmocka_unit_test(a_request_that_does_not_end_is_cut),
        cmocka_unit_test(a_slow_reader_is_not_cut),
        cmocka_unit_test(two_hundred_pull_at_once),
    };

    return cmocka_run_group_tests_name("serve/life", tests, NULL, NULL);
}
