/*
 * Receipts of registries that lack things, keep some of them to themselves, or lie: what is not
 * seen to be there is not written down, and nothing else is lost by it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/base.h"
#include "copy/receipt.h"
#include "image/manifest.h"
#include "lib/fake_clock.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REPLIES_MAX  64

/* An image of a config and a layer, and an index of two, of which the second is often missing. */
struct bench {
    struct img_digest config, layer, manifest, other_layer, other, index;
    char *manifest_text, *other_text, *index_text;
    struct server_reply replies[REPLIES_MAX];
    size_t reply_count;
    char *texts[REPLIES_MAX * 4];
    size_t text_count;
    struct server *server;
    struct fake_clock clock;
    struct mir_cancel cancel;
    struct copy_receipt_options options;
    struct copy_receipt *receipt;
    struct copy_receipt_totals totals;
    struct mir_error err;
};

static char *keep(struct bench *b, char *text)
{
    b->texts[b->text_count++] = text;
    return text;
}

static char *manifest_of(const struct img_digest *config, const struct img_digest *layer)
{
    return mir_format("{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
                      "\",\"config\":{\"mediaType\":\"" IMG_TYPE_OCI_CONFIG
                      "\",\"digest\":\"%s\",\"size\":6},\"layers\":[{\"mediaType\":"
                      "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":5}]}",
                      config->text, layer->text);
}

static char *index_of(const struct img_digest *first, const struct img_digest *second, size_t len)
{
    return mir_format("{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX
                      "\",\"manifests\":[{\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
                      "\",\"digest\":\"%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\","
                      "\"architecture\":\"amd64\"}},{\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
                      "\",\"digest\":\"%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\","
                      "\"architecture\":\"arm64\"}}]}",
                      first->text, len, second->text, len);
}

static void bench_init(struct bench *b)
{
    *b = (struct bench){.options = {.jobs = 4}};
    fake_clock_init(&b->clock);
    b->options.clock = &b->clock.clock;
    b->options.cancel = &b->cancel;
    img_digest_of(MIR_HASH_SHA256, mir_span_of("config"), &b->config);
    img_digest_of(MIR_HASH_SHA256, mir_span_of("layer"), &b->layer);
    img_digest_of(MIR_HASH_SHA256, mir_span_of("other"), &b->other_layer);
    b->manifest_text = keep(b, manifest_of(&b->config, &b->layer));
    b->other_text = keep(b, manifest_of(&b->config, &b->other_layer));
    img_digest_of(MIR_HASH_SHA256, mir_span_of(b->manifest_text), &b->manifest);
    img_digest_of(MIR_HASH_SHA256, mir_span_of(b->other_text), &b->other);
    b->index_text = keep(b, index_of(&b->manifest, &b->other, strlen(b->manifest_text)));
    img_digest_of(MIR_HASH_SHA256, mir_span_of(b->index_text), &b->index);
}

static void bench_stop(struct bench *b)
{
    copy_receipt_free(b->receipt);
    server_stop(b->server);
    for (size_t i = 0; i < b->text_count; i++)
        free(b->texts[i]);
}
#define auto_bench __attribute__((cleanup(bench_stop))) struct bench

/* ---- what the registry has; rows that come first win ---- */

static void reply(struct bench *b, const char *method, char *path, int status, const char *headers,
                  const char *body)
{
    b->replies[b->reply_count++] = (struct server_reply){.method = method,
                                                         .path = keep(b, path),
                                                         .status = status,
                                                         .headers = headers,
                                                         .body = body};
}

static void has_tag(struct bench *b, const char *repo, const char *tag, const char *type,
                    const char *text)
{
    reply(b, "GET", mir_format("/v2/%s/tags/list*", repo), 200, NULL,
          keep(b, mir_format("{\"tags\":[\"%s\"]}", tag)));
    reply(b, "GET", mir_format("/v2/%s/manifests/%s", repo, tag), 200, type, text);
}

static void has_manifest(struct bench *b, const char *repo, const struct img_digest *digest,
                         const char *text)
{
    reply(b, "GET", mir_format("/v2/%s/manifests/%s", repo, digest->text), 200,
          "Content-Type: " IMG_TYPE_OCI_MANIFEST "\r\n", text);
}

static void has_blob(struct bench *b, const char *repo, const struct img_digest *digest)
{
    reply(b, "HEAD", mir_format("/v2/%s/blobs/%s", repo, digest->text), 200, NULL, NULL);
}

static void has_image(struct bench *b, const char *repo)
{
    has_tag(b, repo, "1", "Content-Type: " IMG_TYPE_OCI_MANIFEST "\r\n", b->manifest_text);
    has_blob(b, repo, &b->config);
    has_blob(b, repo, &b->layer);
}

static void has_index(struct bench *b, const char *repo)
{
    has_tag(b, repo, "1", "Content-Type: " IMG_TYPE_OCI_INDEX "\r\n", b->index_text);
}

/* ---- asking ---- */

static bool ask(struct bench *b, const char *const *repos, size_t count)
{
    reply(b, NULL, mir_strdup("*"), 404, NULL,
          "{\"errors\":[{\"code\":\"NAME_UNKNOWN\",\"message\":\"none\"}]}");
    b->server = server_start(b->replies, b->reply_count);
    must(copy_receipt_new(&b->options, server_host(b->server), &b->receipt, &b->err), &b->err);
    for (size_t i = 0; i < count; i++)
        copy_receipt_add(b->receipt, repos[i], NULL);
    if (count == 0 && !copy_receipt_find(b->receipt, &b->err))
        return false;
    if (!copy_receipt_run(b->receipt, &b->err))
        return false;
    copy_receipt_get_totals(b->receipt, &b->totals);
    return true;
}

/* Does the receipt have this blob in that repository (NULL: not at all)? */
static void must_hold(struct bench *b, const struct img_digest *digest, const char *repo)
{
    struct bundle_receipt *read = NULL;
    const struct bundle_base *base;
    const char *where = NULL;
    auto_free char *text = NULL;
    auto_free char *want = repo ? mir_format("%s/%s", server_host(b->server), repo) : NULL;
    size_t len;

    must(copy_receipt_format(b->receipt, &text, &len, &b->err), &b->err);
    must(bundle_receipt_parse(mir_span(text, len), "x", &read, &b->err), &b->err);
    base = bundle_receipt_get(read);
    for (size_t i = 0; i < base->count; i++)
        if (img_digest_equal(&base->blobs[i].digest, digest))
            where = base->blobs[i].repo;
    if ((where != NULL) != (want != NULL) || (want && strcmp(want, where) != 0))
        fail_msg("%s: %s instead of %s\n%s", digest->text, where ? where : "nowhere",
                 want ? want : "nowhere", text);
    bundle_receipt_free(read);
}

static void a_blob_is_where_a_repository_says_so(void **state)
{
    static const char *const repos[] = {"b/two", "a/one", "c/three"};
    auto_bench b;

    (void)state;
    bench_init(&b);
    has_image(&b, "b/two");
    has_image(&b, "c/three");
    has_tag(&b, "a/one", "1", "Content-Type: " IMG_TYPE_OCI_MANIFEST "\r\n", b.manifest_text);
    has_blob(&b, "a/one", &b.config); /* its layer is lost */
    must(ask(&b, repos, COUNT(repos)), &b.err);
    must_hold(&b, &b.config, "a/one");
    must_hold(&b, &b.layer, "b/two");
    assert_int_equal(b.totals.troubles, 0);
    assert_int_equal(b.totals.blobs, 2);
    assert_int_equal(b.totals.bytes, 11);
    assert_int_equal(b.totals.images, 3);
    assert_int_equal(b.totals.repos, 3);
    /* Once one has it no other is asked. */
    assert_int_equal(server_count(b.server, "HEAD", "/v2/a/one/blobs/*"), 2);
    assert_int_equal(server_count(b.server, "HEAD", "/v2/b/two/blobs/*"), 1);
    assert_int_equal(server_count(b.server, "HEAD", "/v2/c/three/blobs/*"), 0);
    assert_int_equal(server_count(b.server, "GET", "*/blobs/*"), 0);
}

static void what_an_index_lacks_here_may_be_there(void **state)
{
    static const char *const repos[] = {"a", "b"};
    auto_bench b;

    (void)state;
    bench_init(&b);
    has_index(&b, "a");
    has_manifest(&b, "a", &b.manifest, b.manifest_text);
    has_blob(&b, "a", &b.config);
    has_blob(&b, "a", &b.layer);
    has_index(&b, "b");
    has_manifest(&b, "b", &b.other, b.other_text);
    has_blob(&b, "b", &b.config);
    has_blob(&b, "b", &b.other_layer);
    must(ask(&b, repos, COUNT(repos)), &b.err);
    /* An index without all its children is none the worse: copies of some platforms are like that.
     */
    assert_int_equal(b.totals.troubles, 0);
    must_hold(&b, &b.config, "a");
    must_hold(&b, &b.layer, "a");
    must_hold(&b, &b.other_layer, "b");
}

static void what_is_lost_everywhere_is_not_held(void **state)
{
    static const char *const repos[] = {"a"};
    auto_bench b;

    (void)state;
    bench_init(&b);
    has_tag(&b, "a", "1", "Content-Type: " IMG_TYPE_OCI_MANIFEST "\r\n", b.manifest_text);
    has_blob(&b, "a", &b.config);
    must(ask(&b, repos, COUNT(repos)), &b.err);
    must_hold(&b, &b.layer, NULL);
    must_hold(&b, &b.config, "a");
    assert_int_equal(b.totals.troubles, 1);
}

static void trouble_in_one_place_is_no_harm_to_others(void **state)
{
    static const struct {
        const char *label, *path;
        int status;
        const char *body;
    } rows[] = {
        {"tags that nobody may see", "/v2/bad/tags/list*", 403, ""},
        {"tags that are no list", "/v2/bad/tags/list*", 200, "{\"tags\":1}"},
        {"a tag without a manifest", "/v2/bad/manifests/1", 404, ""},
        {"a manifest that is none", "/v2/bad/manifests/1", 200, "<html>"},
        {"a registry that is out of order", "/v2/bad/manifests/1", 500, ""},
        {"layers that nobody may see", "/v2/bad/blobs/*", 403, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static const char *const repos[] = {"bad", "good"};
        auto_bench b;

        bench_init(&b);
        reply(&b, NULL, mir_strdup(rows[i].path), rows[i].status, NULL, rows[i].body);
        has_image(&b, "bad");
        has_image(&b, "good");
        must(ask(&b, repos, COUNT(repos)), &b.err);
        must_hold(&b, &b.config, "good");
        must_hold(&b, &b.layer, "good");
        if (b.totals.troubles == 0)
            fail_msg("%s: nothing is said", rows[i].label);
    }
}

static void a_repository_that_is_not_there_holds_nothing(void **state)
{
    static const char *const repos[] = {"none"};
    auto_bench b;

    (void)state;
    bench_init(&b);
    must(ask(&b, repos, COUNT(repos)), &b.err);
    assert_int_equal(b.totals.troubles, 0);
    assert_int_equal(b.totals.blobs, 0);
    assert_int_equal(b.totals.repos, 0);
}

static void nothing_but_trouble_is_an_error(void **state)
{
    static const char *const repos[] = {"a", "b"};
    auto_bench b;

    (void)state;
    bench_init(&b);
    reply(&b, NULL, mir_strdup("*"), 403, NULL, "");
    assert_false(ask(&b, repos, COUNT(repos)));
    assert_int_equal(b.err.code, MIR_E_AUTH);
    must_have(b.err.text, "nothing of ");
}

static void a_catalog_is_taken_at_the_prefix_and_below(void **state)
{
    auto_bench b;

    (void)state;
    bench_init(&b);
    reply(&b, "GET", mir_strdup("/v2/_catalog*"), 200, NULL,
          "{\"repositories\":[\"ocp\",\"ocp/a\",\"ocp2/b\",\"x/ocp\",\"oc\"]}");
    reply(&b, NULL, mir_strdup("*"), 404, NULL, "");
    b.server = server_start(b.replies, b.reply_count);
    {
        auto_free char *mirror = mir_format("%s/ocp/", server_host(b.server));

        must(copy_receipt_new(&b.options, mirror, &b.receipt, &b.err), &b.err);
    }
    must(copy_receipt_find(b.receipt, &b.err), &b.err);
    must(copy_receipt_run(b.receipt, &b.err), &b.err);
    assert_int_equal(server_count(b.server, "GET", "/v2/ocp/tags/list*"), 1);
    assert_int_equal(server_count(b.server, "GET", "/v2/ocp/a/tags/list*"), 1);
    assert_int_equal(server_count(b.server, NULL, NULL), 3);
}

static void a_catalog_that_is_refused_says_what_to_do(void **state)
{
    auto_bench b;

    (void)state;
    bench_init(&b);
    assert_false(ask(&b, NULL, 0));
    must_have(b.err.hint, "which repositories are meant");
}

static void stopping_stops(void **state)
{
    static const char *const repos[] = {"a"};
    auto_bench b;

    (void)state;
    bench_init(&b);
    has_image(&b, "a");
    /* The flag is set when the tags have been listed. */
    b.replies[0].cancel = &b.cancel;
    b.replies[0].fault = SERVER_FAULT_LINGER;
    assert_false(ask(&b, repos, COUNT(repos)));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    assert_int_equal(server_count(b.server, "HEAD", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_is_where_a_repository_says_so),
        cmocka_unit_test(what_an_index_lacks_here_may_be_there),
        cmocka_unit_test(what_is_lost_everywhere_is_not_held),
        cmocka_unit_test(trouble_in_one_place_is_no_harm_to_others),
        cmocka_unit_test(a_repository_that_is_not_there_holds_nothing),
        cmocka_unit_test(nothing_but_trouble_is_an_error),
        cmocka_unit_test(a_catalog_is_taken_at_the_prefix_and_below),
        cmocka_unit_test(a_catalog_that_is_refused_says_what_to_do),
        cmocka_unit_test(stopping_stops),
    };

    return cmocka_run_group_tests_name("copy/receipt", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
