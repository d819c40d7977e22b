/*
 * serve: only what verified goes out. Blobs that are damaged, cut, written to while they are sent,
 * or missing, under each --verify; and every byte that does come is the right one.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/bundler.h"
#include "lib/scratch.h"
#include "lib/serve_bench.h"

#define LARGE_BYTES (16u << 20) /* more than sockets hold, so that the server has to wait */

/* ---- a bench with files that can be damaged ---- */

static void begin(struct serve_bench *b, enum serve_verify verify)
{
    serve_bench_init(b);
    b->options.verify = verify;
}

static char *blob_target(const struct img_digest *digest)
{
    return mir_format("/v2/team/app/blobs/%s", digest->text);
}

/* Time stamps are coarse: two changes in one tick of the clock would look like one. */
static void touch(int fd, int64_t second)
{
    struct timespec times[2] = {{.tv_sec = second}, {.tv_sec = second}};

    assert_int_equal(futimens(fd, times), 0);
}

/* Change one byte, or change it back. */
static void flip(const char *path, off_t at, int64_t second)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char c;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)(c ^ 1);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    touch(fd, second);
    (void)close(fd);
}

static void flip_layer(const struct serve_bench *b, int64_t second)
{
    auto_free char *path = serve_bench_path(b, &b->layer);

    flip(path, 1000, second);
}

static bool is_right(const struct serve_reply *reply, const struct img_digest *digest)
{
    struct img_digest got;

    img_digest_of(MIR_HASH_SHA256, mir_span(reply->body, reply->body_len), &got);
    return img_digest_equal(&got, digest);
}

/* ---- damaged ---- */

static void a_damaged_blob_breaks_off_and_is_refused_from_then_on(void **state)
{
    auto_serve_bench b;
    auto_free char *target = NULL;
    auto_reply first = {.status = 0}, second = {.status = 0}, mended = {.status = 0};
    uint64_t size;

    (void)state;
    begin(&b, SERVE_VERIFY_INDEX);
    size = bundle_reader_find(b.reader, &b.layer)->size;
    flip_layer(&b, 1000);
    serve_bench_start(&b);
    target = blob_target(&b.layer);
    serve_ask(b.port, "GET", target, "", &first);
    assert_int_equal(first.status, 0);
    assert_in_range(first.body_len, 1, size - 1);
    assert_true(serve_bench_said(&b, "digest mismatch"));
    assert_true(serve_bench_said(&b, b.dir));
    serve_ask(b.port, "GET", target, "", &second);
    assert_int_equal(second.status, 500);
    flip_layer(&b, 1001);
    serve_ask(b.port, "GET", target, "", &mended);
    assert_int_equal(mended.status, 200);
    assert_true(is_right(&mended, &b.layer));
}

static void a_damaged_config_is_refused_at_once(void **state)
{
    auto_serve_bench b;
    auto_free char *path = NULL, *target = NULL;
    auto_reply part = {.status = 0};

    (void)state;
    begin(&b, SERVE_VERIFY_INDEX);
    serve_bench_start(&b);
    target = blob_target(&b.child.digest); /* any small blob */
    path = serve_bench_path(&b, &b.child.digest);
    assert_int_equal(serve_bench_status(&b, "GET", target), 200);
    serve_ask(b.port, "GET", target, "Range: bytes=3-6\r\n", &part);
    assert_int_equal(part.status, 206);
    assert_int_equal(part.body_len, 4);
    flip(path, 20, 1000);
    assert_int_equal(serve_bench_status(&b, "GET", target), 500);
    assert_int_equal(serve_bench_status(&b, "HEAD", target), 500);
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/team/app/manifests/1"), 200);
}

static void a_part_is_sent_only_of_a_sound_blob(void **state)
{
    auto_serve_bench b;
    auto_free char *target = NULL, *bytes = NULL;
    auto_reply sound = {.status = 0}, damaged = {.status = 0}, end = {.status = 0};
    size_t len;

    (void)state;
    begin(&b, SERVE_VERIFY_INDEX);
    serve_bench_start(&b);
    target = blob_target(&b.layer);
    bytes = serve_bench_load(&b, &b.layer, &len);
    serve_ask(b.port, "GET", target, "Range: bytes=5000-5099\r\n", &sound);
    assert_int_equal(sound.status, 206);
    assert_memory_equal(sound.body, bytes + 5000, 100);
    flip_layer(&b, 1000);
    serve_ask(b.port, "GET", target, "Range: bytes=5000-5099\r\n", &damaged);
    assert_int_equal(damaged.status, 500);
    serve_ask(b.port, "GET", target, "Range: bytes=-10\r\n", &end);
    assert_int_equal(end.status, 500);
}

static void full_withdraws_images_with_damaged_blobs(void **state)
{
    auto_serve_bench b;
    auto_free char *target = NULL, *manifest = NULL;

    (void)state;
    begin(&b, SERVE_VERIFY_FULL);
    flip_layer(&b, 1000);
    serve_bench_start(&b);
    target = blob_target(&b.layer);
    manifest = mir_format("/v2/team/app/manifests/%s", b.child.digest.text);
    assert_int_equal(serve_bench_status(&b, "GET", target), 500);
    assert_int_equal(serve_bench_status(&b, "HEAD", target), 500);
    assert_int_equal(serve_bench_status(&b, "GET", manifest), 404);
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/team/app/manifests/1"), 200);
    assert_int_equal(serve_bench_status(&b, "GET", "/v2/team/app/manifests/sbom"), 200);
    assert_true(serve_bench_said(&b, b.child.digest.text));
}

static void full_takes_the_sound_one_of_two_copies(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_serve_bench b;
    auto_bundler bundler = {.reader = NULL};
    auto_free char *target = NULL, *manifest = NULL, *copy = NULL;
    auto_reply reply = {.status = 0};

    (void)state;
    begin(&b, SERVE_VERIFY_FULL);
    copy = mir_format("%s/copy.tar", b.dir);
    bundler_init(&bundler, b.dir);
    assert_true(bundler_copy(&bundler, copy, BUNDLE_FORM_TAR, &err));
    flip_layer(&b, 1000);
    b.sources[1] = (struct serve_source){.path = copy, .form = BUNDLE_FORM_TAR};
    b.options.source_count = 2;
    serve_bench_start(&b);
    target = blob_target(&b.layer);
    manifest = mir_format("/v2/team/app/manifests/%s", b.child.digest.text);
    serve_ask(b.port, "GET", target, "", &reply);
    assert_int_equal(reply.status, 200);
    assert_true(is_right(&reply, &b.layer));
    assert_int_equal(serve_bench_status(&b, "GET", manifest), 200);
}

static void none_sends_what_lies_there(void **state)
{
    auto_serve_bench b;
    auto_free char *target = NULL;
    auto_reply reply = {.status = 0};

    (void)state;
    begin(&b, SERVE_VERIFY_NONE);
    flip_layer(&b, 1000);
    serve_bench_start(&b);
    target = blob_target(&b.layer);
    serve_ask(b.port, "GET", target, "", &reply);
    assert_int_equal(reply.status, 200);
    assert_false(is_right(&reply, &b.layer));
}

/* ---- missing ---- */

static void images_that_lack_something_are_not_served(void **state)
{
    static const struct {
        enum serve_verify verify;
        unsigned image, index;
    } outcomes[] = {{SERVE_VERIFY_INDEX, 404, 200},
                    {SERVE_VERIFY_FULL, 404, 200},
                    {SERVE_VERIFY_NONE, 200, 200}};

    (void)state;
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        auto_serve_bench b;
        auto_free char *path = NULL, *manifest = NULL;

        begin(&b, outcomes[i].verify);
        path = serve_bench_path(&b, &b.layer);
        assert_int_equal(unlink(path), 0);
        serve_bench_start(&b);
        manifest = mir_format("/v2/team/app/manifests/%s", b.child.digest.text);
        assert_int_equal(serve_bench_status(&b, "GET", manifest), outcomes[i].image);
        assert_int_equal(serve_bench_status(&b, "GET", "/v2/team/app/manifests/1"),
                         outcomes[i].index);
        if (outcomes[i].image == 404)
            assert_true(serve_bench_said(&b, "is missing"));
    }
}

static void a_layer_of_another_size_is_none(void **state)
{
    auto_serve_bench b;
    auto_free char *path = NULL, *manifest = NULL;

    (void)state;
    begin(&b, SERVE_VERIFY_INDEX);
    path = serve_bench_path(&b, &b.layer);
    assert_int_equal(truncate(path, 1000), 0);
    serve_bench_start(&b);
    manifest = mir_format("/v2/team/app/manifests/%s", b.child.digest.text);
    assert_int_equal(serve_bench_status(&b, "GET", manifest), 404);
    assert_true(serve_bench_said(&b, "has 1000 bytes"));
}

/* ---- while it is sent ---- */

/* A bundle with one large layer, of which a client has begun to take the first bytes. */
struct transfer {
    char *dir, *path; /* of the bundle */
    struct bundle_reader *reader;
    struct serve_bench bench; /* serves the bundle instead of its layout */
    struct img_digest layer;
    char *bytes; /* of the layer, as they should be */
    size_t len;
    int fd;
};

static void make_large(struct transfer *t)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct fixture *f = fixture_new(t->dir);
    struct fixture_item image =
        fixture_image(f, .layer_bytes = LARGE_BYTES, .seed = 9, .packing = FIXTURE_PACKING_STORED);
    auto_bundler bundler = {.reader = NULL};
    const struct bundle_blob *largest;

    fixture_name(f, SERVE_BENCH_HOST "/team/app:1", &image);
    fixture_free(f);
    bundler_init(&bundler, t->dir);
    largest = &bundler.blobs[0];
    for (size_t i = 1; i < bundler.blob_count; i++)
        if (bundler.blobs[i].size > largest->size)
            largest = &bundler.blobs[i];
    t->layer = largest->digest;
    assert_true(bundler_copy(&bundler, t->path, BUNDLE_FORM_TAR, &err));
    assert_true(bundle_reader_open(t->path, BUNDLE_FORM_TAR, &t->reader, &err));
    assert_true(
        bundle_reader_load(t->reader, &t->layer, 2 * LARGE_BYTES, &t->bytes, &t->len, &err));
}

static void begin_transfer(struct transfer *t, bool is_proved)
{
    auto_free char *target = NULL, *request = NULL;

    *t = (struct transfer){.dir = scratch_new()};
    t->path = mir_format("%s/b.tar", t->dir);
    make_large(t);
    serve_bench_init(&t->bench);
    t->bench.sources[0] = (struct serve_source){.path = t->path, .form = BUNDLE_FORM_TAR};
    serve_bench_start(&t->bench);
    target = blob_target(&t->layer);
    if (is_proved)
        assert_int_equal(serve_bench_status(&t->bench, "GET", target), 200);
    request = mir_format("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target);
    t->fd = serve_dial_narrow(t->bench.port);
    serve_send(t->fd, request);
}

static void end_transfer(struct transfer *t)
{
    (void)close(t->fd);
    serve_bench_release(&t->bench);
    bundle_reader_close(t->reader);
    scratch_remove(t->dir);
    free(t->path);
    free(t->bytes);
}

/* Where the layer's bytes lie in the bundle. */
static uint64_t layer_offset(const struct transfer *t)
{
    struct mir_error err = MIR_ERROR_INIT;
    const struct bundle_blob *blob = bundle_reader_find(t->reader, &t->layer);
    uint64_t offset;
    int fd;

    assert_true(bundle_reader_open_range(t->reader, blob, 0, blob->size, &fd, &offset, &err));
    (void)close(fd);
    return offset;
}

/* Take the rest: it is not the whole. With is_prefix every byte of it is right, else those up to
 * where the file was changed. */
static void expect_broken_off(struct transfer *t, size_t right)
{
    auto_reply reply = {.status = 0};

    serve_widen(t->fd);
    serve_read_reply(t->fd, true, &reply);
    assert_int_equal(reply.status, 0);
    assert_non_null(reply.head); /* it had begun */
    assert_true(reply.body_len < t->len);
    if (reply.body_len < right)
        right = reply.body_len;
    assert_memory_equal(reply.body, t->bytes, right);
    assert_int_equal(serve_bench_status(&t->bench, "GET", "/v2/"), 200);
}

static void a_bundle_cut_while_it_is_sent_breaks_off(void **state)
{
    (void)state;
    for (int is_proved = 0; is_proved < 2; is_proved++) {
        struct transfer t;

        begin_transfer(&t, is_proved);
        assert_int_equal(truncate(t.path, (off_t)(layer_offset(&t) + t.len - 1000)), 0);
        expect_broken_off(&t, t.len);
        assert_true(serve_bench_said(&t.bench, "broken off"));
        end_transfer(&t);
    }
}

static void a_bundle_written_to_while_it_is_sent_breaks_off(void **state)
{
    (void)state;
    for (int is_proved = 0; is_proved < 2; is_proved++) {
        struct transfer t;

        begin_transfer(&t, is_proved);
        flip(t.path, (off_t)(layer_offset(&t) + t.len - 1000), 1000);
        expect_broken_off(&t, t.len - 1000);
        end_transfer(&t);
    }
}

static void a_bundle_replaced_while_it_is_sent_is_sent_to_its_end(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    for (int is_proved = 0; is_proved < 2; is_proved++) {
        struct transfer t;
        auto_reply reply = {.status = 0};
        auto_bundler bundler = {.reader = NULL};
        auto_free char *other = NULL, *target = NULL;

        begin_transfer(&t, is_proved);
        other = mir_format("%s/other.tar", t.dir);
        bundler_init(&bundler, t.bench.dir);
        assert_true(bundler_copy(&bundler, other, BUNDLE_FORM_TAR, &err));
        assert_int_equal(rename(other, t.path), 0);
        assert_true(serve_reload(t.bench.server, &err));
        target = blob_target(&t.layer);
        assert_int_equal(serve_bench_status(&t.bench, "GET", target), 404);
        assert_int_equal(serve_bench_status(&t.bench, "GET", "/v2/team/app/manifests/sbom"), 200);
        serve_widen(t.fd);
        serve_read_reply(t.fd, true, &reply);
        assert_int_equal(reply.status, 200);
        assert_true(is_right(&reply, &t.layer));
        end_transfer(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_blob_breaks_off_and_is_refused_from_then_on),
        cmocka_unit_test(a_damaged_config_is_refused_at_once),
        cmocka_unit_test(a_part_is_sent_only_of_a_sound_blob),
        cmocka_unit_test(full_withdraws_images_with_damaged_blobs),
        cmocka_unit_test(full_takes_the_sound_one_of_two_copies),
        cmocka_unit_test(none_sends_what_lies_there),
        cmocka_unit_test(images_that_lack_something_are_not_served),
        cmocka_unit_test(a_layer_of_another_size_is_none),
        cmocka_unit_test(a_bundle_cut_while_it_is_sent_breaks_off),
        cmocka_unit_test(a_bundle_written_to_while_it_is_sent_breaks_off),
        cmocka_unit_test(a_bundle_replaced_while_it_is_sent_is_sent_to_its_end),
    };

    return cmocka_run_group_tests_name("serve/verify", tests, NULL, NULL);
}
