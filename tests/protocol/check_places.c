/*
 * Asking places for images: who is asked in which order, what is asked once, what counts as served,
 * and what is said of everything else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "check/check.h"
#include "image/manifest.h"
#include "lib/fake_clock.h"
#include "lib/http_bench.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LINKS        12 /* of a chain of indexes: more than a way down may have */

/* ---- an image, and who has it ---- */

/* A config, a layer, a manifest of both, and an index with that for linux/amd64. */
struct image {
    struct img_digest config, layer, manifest, index;
    char *manifest_text, *index_text;
    char *paths[4]; /* blob, blob, manifest, manifest: in that order below /v2/a/b */
    char *base;     /* "/v2/a/b" */
};

static void image_init(struct image *image, const char *repo)
{
    const char *kinds[] = {"blobs", "blobs", "manifests", "manifests"};
    const struct img_digest *digests[] = {&image->config, &image->layer, &image->manifest,
                                          &image->index};

    img_digest_of(MIR_HASH_SHA256, mir_span_of("config"), &image->config);
    img_digest_of(MIR_HASH_SHA256, mir_span_of("layer"), &image->layer);
    image->manifest_text = mir_format(
        "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
        "\",\"config\":{\"mediaType\":"
        "\"" IMG_TYPE_OCI_CONFIG "\",\"digest\":\"%s\",\"size\":6},\"layers\":[{\"mediaType\":"
        "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":5}]}",
        image->config.text, image->layer.text);
    img_digest_of(MIR_HASH_SHA256, mir_span_of(image->manifest_text), &image->manifest);
    image->index_text = mir_format(
        "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX
        "\",\"manifests\":[{\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
        "\",\"digest\":\"%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\",\"architecture\":"
        "\"amd64\"}}]}",
        image->manifest.text, strlen(image->manifest_text));
    img_digest_of(MIR_HASH_SHA256, mir_span_of(image->index_text), &image->index);
    image->base = mir_format("/v2/%s", repo);
    for (size_t i = 0; i < COUNT(digests); i++)
        image->paths[i] = mir_format("%s/%s/%s", image->base, kinds[i], digests[i]->text);
}

static void image_release(struct image *image)
{
    free(image->manifest_text);
    free(image->index_text);
    free(image->base);
    for (size_t i = 0; i < COUNT(image->paths); i++)
        free(image->paths[i]);
}
#define auto_image __attribute__((cleanup(image_release))) struct image

#define MANIFEST_TYPE "Content-Type: " IMG_TYPE_OCI_MANIFEST "\r\n"
#define INDEX_TYPE    "Content-Type: " IMG_TYPE_OCI_INDEX "\r\n"

/* Rows of a registry that has all of the image; a test may take some away. */
#define HAS_CONFIG(image)                                                                          \
    {                                                                                              \
        .method = "HEAD", .path = (image).paths[0], .status = 200                                  \
    }
#define HAS_LAYER(image)                                                                           \
    {                                                                                              \
        .method = "HEAD", .path = (image).paths[1], .status = 200                                  \
    }
#define HAS_MANIFEST(image)                                                                        \
    {                                                                                              \
        .method = "GET", .path = (image).paths[2], .status = 200, .headers = MANIFEST_TYPE,        \
        .body = (image).manifest_text                                                              \
    }
#define HAS_INDEX(image)                                                                           \
    {                                                                                              \
        .method = "GET", .path = (image).paths[3], .status = 200, .headers = INDEX_TYPE,           \
        .body = (image).index_text                                                                 \
    }
#define HAS_NOTHING                                                                                \
    {                                                                                              \
        .status = 404, .body = "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"                    \
    }

/* ---- the bench ---- */

struct bench {
    struct fake_clock clock;
    struct mir_cancel cancel;
    struct check_options options;
    struct check *check;
    struct mir_error err;
};

static void bench_start(struct bench *b)
{
    *b = (struct bench){.options = {.depth = CHECK_DEPTH_BLOBS, .jobs = 4}};
    fake_clock_init(&b->clock);
    b->options.clock = &b->clock.clock;
    b->options.cancel = &b->cancel;
    b->options.registry.tls = REG_TLS_NODE;
}

static void bench_open(struct bench *b)
{
    must(check_new(&b->options, &b->check, &b->err), &b->err);
}

static void bench_stop(struct bench *b)
{
    check_free(b->check);
}
#define auto_bench __attribute__((cleanup(bench_stop))) struct bench

/* Add an image that is asked for at each of the servers, in repository a/b, by digest. */
static void add(struct bench *b, struct server *const *servers, size_t count,
                const struct img_digest *digest)
{
    auto_free struct img_ref *refs = mir_alloc_array(count, sizeof(*refs));
    auto_free struct check_place *places = mir_alloc_array(count, sizeof(*places));

    for (size_t i = 0; i < count; i++) {
        auto_free char *text = mir_format("%s/a/b@%s", server_host(servers[i]), digest->text);

        must(img_ref_parse(mir_span_of(text), &refs[i], &b->err), &b->err);
        places[i] = (struct check_place){.ref = &refs[i], .insecure = true};
    }
    check_add(b->check, places, count);
    for (size_t i = 0; i < count; i++)
        img_ref_release(&refs[i]);
}

static struct check_result result_of(const struct bench *b, size_t image)
{
    struct check_result result;

    check_get_result(b->check, image, &result);
    return result;
}

/* The image at one server ends so; the error has these words. */
static void must_end(struct bench *b, struct server *server, const struct img_digest *digest,
                     enum check_fault fault, const char *words)
{
    struct check_result result;

    bench_open(b);
    add(b, &server, 1, digest);
    must(check_run(b->check, &b->err), &b->err);
    result = result_of(b, 0);
    if (result.tries[0].fault != fault)
        fail_msg("%s: %s", check_fault_name(result.tries[0].fault),
                 result.tries[0].error ? result.tries[0].error->text : "sound");
    if (fault != CHECK_SOUND)
        must_have(result.tries[0].error->text, words);
}

/* ---- one place ---- */

static void check_passes_what_is_whole(void **state)
{
    auto_image image;
    auto_bench b;

    (void)state;
    image_init(&image, "a/b");
    {
        const struct server_reply replies[] = {HAS_CONFIG(image), HAS_LAYER(image),
                                               HAS_MANIFEST(image), HAS_INDEX(image), HAS_NOTHING};
        auto_server *server = server_start(replies, COUNT(replies));

        bench_start(&b);
        must_end(&b, server, &image.index, CHECK_SOUND, "");
        assert_int_equal(result_of(&b, 0).served_by, 0);
        for (size_t i = 0; i < COUNT(image.paths); i++)
            assert_int_equal(server_count(server, NULL, image.paths[i]), 1);
    }
}

static void check_asks_no_deeper_than_it_is_told(void **state)
{
    const struct {
        enum check_depth depth;
        size_t configs, layers;
    } rows[] = {
        {CHECK_DEPTH_MANIFEST, 0, 0}, {CHECK_DEPTH_CONFIG, 1, 0}, {CHECK_DEPTH_BLOBS, 1, 1}};
    auto_image image;

    (void)state;
    image_init(&image, "a/b");
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {HAS_CONFIG(image), HAS_LAYER(image),
                                               HAS_MANIFEST(image), HAS_INDEX(image), HAS_NOTHING};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_bench b;

        bench_start(&b);
        b.options.depth = rows[i].depth;
        must_end(&b, server, &image.index, CHECK_SOUND, "");
        assert_int_equal(server_count(server, NULL, image.paths[0]), rows[i].configs);
        assert_int_equal(server_count(server, NULL, image.paths[1]), rows[i].layers);
        assert_int_equal(server_count(server, NULL, image.paths[2]), 1);
    }
}

static void check_names_what_is_missing(void **state)
{
    auto_image image;

    (void)state;
    image_init(&image, "a/b");
    for (size_t gone = 0; gone < COUNT(image.paths); gone++) {
        const struct server_reply replies[] = {{.path = image.paths[gone], .status = 404},
                                               HAS_CONFIG(image),
                                               HAS_LAYER(image),
                                               HAS_MANIFEST(image),
                                               HAS_INDEX(image),
                                               HAS_NOTHING};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_bench b;

        bench_start(&b);
        must_end(&b, server, &image.index, gone == 3 ? CHECK_ABSENT : CHECK_INCOMPLETE,
                 strrchr(image.paths[gone], '/') + 1);
        assert_int_equal(result_of(&b, 0).served_by, gone == 3 ? SIZE_MAX : 0);
    }
}

static void check_wants_the_platforms_it_is_told(void **state)
{
    const struct {
        const char *platform;
        enum check_fault fault;
    } rows[] = {{"linux/amd64", CHECK_SOUND}, {"linux/s390x", CHECK_PLATFORM}};
    auto_image image;

    (void)state;
    image_init(&image, "a/b");
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {HAS_CONFIG(image), HAS_LAYER(image),
                                               HAS_MANIFEST(image), HAS_INDEX(image), HAS_NOTHING};
        auto_server *server = server_start(replies, COUNT(replies));
        struct img_platform platform;
        auto_bench b;

        bench_start(&b);
        must(img_platform_parse(mir_span_of(rows[i].platform), &platform, &b.err), &b.err);
        b.options.platforms = &platform;
        b.options.platform_count = 1;
        must_end(&b, server, &image.index, rows[i].fault, rows[i].platform);
    }
}

static void check_names_how_a_place_fails(void **state)
{
    const struct {
        struct server_reply reply;
        enum check_fault fault;
        const char *words;
    } rows[] = {
        {{.status = 401}, CHECK_LOGIN, "401"},
        {{.status = 403}, CHECK_LOGIN, "403"},
        {{.status = 200, .headers = MANIFEST_TYPE, .body = "{}"}, CHECK_BROKEN, "digest"},
        {{.status = 404}, CHECK_ABSENT, "404"},
    };
    auto_image image;

    (void)state;
    image_init(&image, "a/b");
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i].reply, 1);
        auto_bench b;

        bench_start(&b);
        must_end(&b, server, &image.index, rows[i].fault, rows[i].words);
    }
}

/* ---- several ---- */

static void check_goes_on_to_the_next_place_without_the_manifest(void **state)
{
    auto_image image;
    auto_bench b;

    (void)state;
    image_init(&image, "a/b");
    {
        const struct server_reply nothing[] = {HAS_NOTHING};
        const struct server_reply replies[] = {HAS_CONFIG(image), HAS_LAYER(image),
                                               HAS_MANIFEST(image), HAS_INDEX(image), HAS_NOTHING};
        auto_server *empty = server_start(nothing, COUNT(nothing));
        auto_server *full = server_start(replies, COUNT(replies));
        auto_server *third = server_start(replies, COUNT(replies));
        struct server *const servers[] = {empty, full, third};

        bench_start(&b);
        bench_open(&b);
        add(&b, servers, COUNT(servers), &image.index);
        must(check_run(b.check, &b.err), &b.err);
        assert_int_equal(result_of(&b, 0).served_by, 1);
        assert_int_equal(result_of(&b, 0).tries[0].fault, CHECK_ABSENT);
        assert_int_equal(result_of(&b, 0).tries[1].fault, CHECK_SOUND);
        assert_false(result_of(&b, 0).tries[2].is_asked);
        assert_int_equal(server_connections(third), 0);
    }
}

static void check_stays_where_the_manifest_is(void **state)
{
    auto_image image;
    auto_bench b;

    (void)state;
    image_init(&image, "a/b");
    {
        const struct server_reply lacking[] = {HAS_CONFIG(image), HAS_MANIFEST(image),
                                               HAS_INDEX(image), HAS_NOTHING};
        const struct server_reply replies[] = {HAS_CONFIG(image), HAS_LAYER(image),
                                               HAS_MANIFEST(image), HAS_INDEX(image), HAS_NOTHING};
        auto_server *first = server_start(lacking, COUNT(lacking));
        auto_server *second = server_start(replies, COUNT(replies));
        struct server *const servers[] = {first, second};

        bench_start(&b);
        bench_open(&b);
        add(&b, servers, COUNT(servers), &image.index);
        must(check_run(b.check, &b.err), &b.err);
        assert_int_equal(result_of(&b, 0).served_by, 0);
        assert_int_equal(result_of(&b, 0).tries[0].fault, CHECK_INCOMPLETE);
        assert_int_equal(server_connections(second), 0);
    }
}

/* The same manifest as the root of one image and a child of another; many images, one by one. */
static void check_asks_for_what_is_shared_once(void **state)
{
    auto_image image;
    auto_bench b;

    (void)state;
    image_init(&image, "a/b");
    {
        const struct server_reply replies[] = {HAS_CONFIG(image), HAS_LAYER(image),
                                               HAS_MANIFEST(image), HAS_INDEX(image), HAS_NOTHING};
        auto_server *server = server_start(replies, COUNT(replies));

        bench_start(&b);
        bench_open(&b);
        for (size_t i = 0; i < 20; i++)
            add(&b, &server, 1, i % 2 == 0 ? &image.index : &image.manifest);
        must(check_run(b.check, &b.err), &b.err);
        for (size_t i = 0; i < 20; i++)
            assert_int_equal(result_of(&b, i).tries[0].fault, CHECK_SOUND);
        for (size_t i = 0; i < COUNT(image.paths); i++)
            assert_int_equal(server_count(server, NULL, image.paths[i]), 1);
    }
}

/* ---- hostile ---- */

/* Index in index in index: each is refused that nests too deeply, and nothing runs away, whichever
 * of them are images of their own. */
static void check_bounds_the_way_down(void **state)
{
    struct server_reply replies[LINKS + 1];
    struct img_digest digests[LINKS];
    char *texts[LINKS], *paths[LINKS];

    (void)state;
    for (size_t i = 0; i < LINKS; i++) {
        texts[i] = mir_format("{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX
                              "\",\"manifests\":[{\"mediaType\":\"" IMG_TYPE_OCI_INDEX
                              "\",\"digest\":\"%s\",\"size\":1}]}",
                              i > 0 ? digests[i - 1].text
                                    : "sha256:0000000000000000000000000000"
                                      "000000000000000000000000000000000000");
        img_digest_of(MIR_HASH_SHA256, mir_span_of(texts[i]), &digests[i]);
        paths[i] = mir_format("/v2/a/b/manifests/%s", digests[i].text);
        replies[i] = (struct server_reply){
            .path = paths[i], .status = 200, .headers = INDEX_TYPE, .body = texts[i]};
    }
    replies[LINKS] = (struct server_reply){.status = 404};
    for (size_t roots = 1; roots <= LINKS; roots += LINKS - 1) {
        auto_server *server = server_start(replies, COUNT(replies));
        auto_bench b;

        bench_start(&b);
        bench_open(&b);
        for (size_t i = 0; i < roots; i++)
            add(&b, &server, 1, &digests[LINKS - 1 - i]);
        must(check_run(b.check, &b.err), &b.err);
        assert_int_equal(result_of(&b, 0).served_by, 0);
        assert_int_not_equal(result_of(&b, 0).tries[0].fault, CHECK_SOUND);
    }
    for (size_t i = 0; i < LINKS; i++) {
        free(texts[i]);
        free(paths[i]);
    }
}

static void check_ends_when_cancelled(void **state)
{
    auto_image image;
    auto_bench b;

    (void)state;
    image_init(&image, "a/b");
    bench_start(&b);
    {
        const struct server_reply replies[] = {{.method = "GET",
                                                .path = image.paths[3],
                                                .status = 200,
                                                .headers = INDEX_TYPE,
                                                .body = image.index_text,
                                                .fault = SERVER_FAULT_STALL,
                                                .fault_at = 5,
                                                .cancel = &b.cancel}};
        auto_server *server = server_start(replies, COUNT(replies));

        bench_open(&b);
        add(&b, &server, 1, &image.index);
        assert_false(check_run(b.check, &b.err));
        assert_int_equal(b.err.code, MIR_E_CANCELLED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_passes_what_is_whole),
        cmocka_unit_test(check_asks_no_deeper_than_it_is_told),
        cmocka_unit_test(check_names_what_is_missing),
        cmocka_unit_test(check_wants_the_platforms_it_is_told),
        cmocka_unit_test(check_names_how_a_place_fails),
        cmocka_unit_test(check_goes_on_to_the_next_place_without_the_manifest),
        cmocka_unit_test(check_stays_where_the_manifest_is),
        cmocka_unit_test(check_asks_for_what_is_shared_once),
        cmocka_unit_test(check_bounds_the_way_down),
        cmocka_unit_test(check_ends_when_cancelled),
    };

    return cmocka_run_group_tests_name("check/places", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
