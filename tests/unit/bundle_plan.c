/*
 * bundle/plan: order, offsets and headers of a bundle, before there is one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/mem.h"
#include "bundle/bundle.h"
#include "lib/scratch.h"

#define GIB (UINT64_C(1) << 30)

/* A digest that is easily told apart: "sha256:" and the same digit 64 times. */
static struct img_digest digest_of(char c)
{
    struct img_digest digest = {.text = "sha256:"};

    memset(digest.text + 7, c, 64);
    return digest;
}

static struct img_digest long_digest_of(char c)
{
    struct img_digest digest = {.text = "sha512:"};

    memset(digest.text + 7, c, 128);
    return digest;
}

static struct bundle_blob blob_of(char c, uint64_t size)
{
    return (struct bundle_blob){.digest = digest_of(c), .size = size};
}

static struct bundle_image image_of(const char *name, char c, uint64_t size)
{
    return (struct bundle_image){
        .name = name, .media_type = IMG_TYPE_OCI_MANIFEST, .digest = digest_of(c), .size = size};
}

static struct bundle_plan *must_plan(const struct bundle_image *images, size_t image_count,
                                     const struct bundle_blob *blobs, size_t blob_count,
                                     int64_t epoch)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;

    if (!bundle_plan_new(images, image_count, blobs, blob_count, epoch, &plan, &err))
        fail_msg("%s", err.text);
    return plan;
}

static void refuse(const struct bundle_image *images, size_t image_count,
                   const struct bundle_blob *blobs, size_t blob_count, enum mir_code code,
                   const char *text)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;

    assert_false(bundle_plan_new(images, image_count, blobs, blob_count, 0, &plan, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not contain \"%s\"", err.text, text);
}

/* The beginning of the file that this plan makes; the caller frees. */
static char *head_of(const struct bundle_plan *plan)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x", dir);
    auto_free char *partial = mir_format("%s.partial", path);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_writer *writer = NULL;
    char *head;

    if (!bundle_writer_begin(path, BUNDLE_FORM_TAR, plan, 0, &writer, &err))
        fail_msg("%s", err.text);
    head = scratch_read(partial, NULL);
    bundle_writer_abort(writer);
    return head;
}

/* ---- tests ---- */

static void plan_of_nothing_is_a_bundle(void **state)
{
    struct bundle_plan *plan = must_plan(NULL, 0, NULL, 0, 0);

    (void)state;
    /* two headers, two small files of one block each, two blocks of zeros */
    assert_int_equal(bundle_plan_bytes(plan), 6 * 512);
    bundle_plan_free(plan);
    bundle_plan_free(NULL);
}

static void plan_counts_headers_and_padding(void **state)
{
    static const struct {
        const char *label;
        uint64_t size;
        uint64_t blocks; /* of header, content and padding */
    } rows[] = {
        {"empty", 0, 1},
        {"one byte", 1, 2},
        {"a block", 512, 2},
        {"a block and a byte", 513, 3},
        {"the largest ustar can say", 8 * GIB - 1, 1 + 8 * GIB / 512},
        {"the smallest that needs pax", 8 * GIB, 3 + 8 * GIB / 512},
        {"a terabyte", 1024 * GIB, 3 + 1024 * GIB / 512},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bundle_blob blob = blob_of('a', rows[i].size);
        struct bundle_plan *plan = must_plan(NULL, 0, &blob, 1, 0);

        if (bundle_plan_bytes(plan) != (6 + rows[i].blocks) * 512)
            fail_msg("%s: %llu bytes", rows[i].label, (unsigned long long)bundle_plan_bytes(plan));
        bundle_plan_free(plan);
    }
}

static void plan_gives_long_names_a_pax_header(void **state)
{
    struct bundle_blob blob = {.digest = long_digest_of('a'), .size = 0};
    struct bundle_plan *plan = must_plan(NULL, 0, &blob, 1, 0);

    (void)state;
    assert_int_equal(bundle_plan_bytes(plan), (6 + 3) * 512);
    bundle_plan_free(plan);
}

static void plan_sorts_images_by_name_nameless_last(void **state)
{
    struct bundle_blob blobs[] = {blob_of('a', 1), blob_of('b', 1), blob_of('c', 1),
                                  blob_of('d', 1)};
    struct bundle_image images[] = {image_of(NULL, 'c', 1), image_of("z", 'a', 1),
                                    image_of(NULL, 'b', 1), image_of("a", 'd', 1)};
    struct bundle_plan *plan = must_plan(images, 4, blobs, 4, 0);
    auto_free char *head = head_of(plan);
    const char *index = head + 3 * 512;

    (void)state;
    assert_true(strstr(index, "sha256:ddd") < strstr(index, "sha256:aaa"));
    assert_true(strstr(index, "sha256:aaa") < strstr(index, "sha256:bbb"));
    assert_true(strstr(index, "sha256:bbb") < strstr(index, "sha256:ccc"));
    bundle_plan_free(plan);
}

/* Formats users keep: these bytes change only on purpose, together with docs/bundle-format.md. */
static void plan_writes_index_json_as_documented(void **state)
{
    struct bundle_blob blobs[] = {blob_of('a', 7), blob_of('b', 8)};
    struct bundle_image images[] = {image_of(NULL, 'b', 8), image_of("x.y/z:1\"", 'a', 7)};
    struct bundle_plan *plan;
    auto_free char *head = NULL;

    (void)state;
    images[1].platforms = "linux/amd64,linux/arm64/v8";
    plan = must_plan(images, 2, blobs, 2, 0);
    head = head_of(plan);
    assert_string_equal(
        head + 3 * 512,
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
        "\"manifests\":[\n"
        "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"size\":7,"
        "\"annotations\":{\"mirror.platforms\":\"linux/amd64,linux/arm64/v8\","
        "\"org.opencontainers.image.ref.name\":\"x.y/z:1\\\"\"}},\n"
        "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\",\"size\":8}\n"
        "]}\n");
    bundle_plan_free(plan);
}

static void plan_writes_headers_as_documented(void **state)
{
    static const struct {
        const char *field;
        size_t at, len;
        const char *bytes;
    } fields[] = {
        {"name", 0, 11, "oci-layout\0"},
        {"mode", 100, 8, "000644 \0"},
        {"uid", 108, 8, "000000 \0"},
        {"gid", 116, 8, "000000 \0"},
        {"size", 124, 12, "00000000036 "},
        {"mtime", 136, 12, "14524770400 "},
        {"checksum", 148, 8, "011236\0 "},
        {"type", 156, 1, "0"},
        {"linkname", 157, 1, "\0"},
        {"magic", 257, 8, "ustar\00000"},
        {"uname", 265, 1, "\0"},
        {"gname", 297, 1, "\0"},
        {"devmajor", 329, 8, "000000 \0"},
        {"devminor", 337, 8, "000000 \0"},
        {"prefix", 345, 1, "\0"},
        {"content", 512, 31, "{\"imageLayoutVersion\":\"1.0.0\"}\0"},
        {"next name", 1024, 11, "index.json\0"},
    };
    struct bundle_plan *plan = must_plan(NULL, 0, NULL, 0, 1700000000);
    auto_free char *head = head_of(plan);

    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (memcmp(head + fields[i].at, fields[i].bytes, fields[i].len) != 0)
            fail_msg("%s: \"%.*s\"", fields[i].field, (int)fields[i].len, head + fields[i].at);
    bundle_plan_free(plan);
}

static void plan_refuses_two_images_of_one_name(void **state)
{
    struct bundle_blob blobs[] = {blob_of('a', 1), blob_of('b', 1)};
    struct bundle_image images[] = {image_of("x.y/z:1", 'a', 1), image_of("m", 'a', 1),
                                    image_of("x.y/z:1", 'b', 1)};
    struct bundle_image nameless[] = {image_of(NULL, 'a', 1), image_of(NULL, 'a', 1)};

    (void)state;
    refuse(images, 3, blobs, 2, MIR_E_CONFLICT, "x.y/z:1");
    refuse(nameless, 2, blobs, 2, MIR_E_CONFLICT, "sha256:aaa");
}

static void plan_refuses_what_does_not_fit_together(void **state)
{
    struct bundle_blob blobs[] = {blob_of('a', 1), blob_of('b', 1), blob_of('a', 1)};
    struct bundle_image missing = image_of("x.y/z", 'c', 1);
    struct bundle_image wrong_size = image_of("x.y/z", 'a', 2);
    struct bundle_image bad_name = image_of("x.y/\xff", 'a', 1);

    (void)state;
    refuse(NULL, 0, blobs, 3, MIR_E_CONFLICT, "sha256:aaa");
    refuse(&missing, 1, blobs, 2, MIR_E_NOT_FOUND, "x.y/z");
    refuse(&wrong_size, 1, blobs, 2, MIR_E_CONFLICT, "x.y/z");
    refuse(&bad_name, 1, blobs, 2, MIR_E_FORMAT, "UTF-8");
}

static void plan_refuses_sizes_that_overflow(void **state)
{
    struct bundle_blob huge[] = {blob_of('a', INT64_MAX - 100), blob_of('b', 1)};
    struct bundle_blob sum[] = {blob_of('a', INT64_MAX / 2), blob_of('b', INT64_MAX / 2),
                                blob_of('c', INT64_MAX / 2)};
    struct bundle_blob beyond = blob_of('a', UINT64_MAX);

    (void)state;
    refuse(NULL, 0, huge, 2, MIR_E_LIMIT, "too large");
    refuse(NULL, 0, sum, 3, MIR_E_LIMIT, "too large");
    refuse(NULL, 0, &beyond, 1, MIR_E_LIMIT, "too large");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(plan_of_nothing_is_a_bundle),
    cmocka_unit_test(plan_counts_headers_and_padding),
    cmocka_unit_test(plan_gives_long_names_a_pax_header),
    cmocka_unit_test(plan_sorts_images_by_name_nameless_last),
    cmocka_unit_test(plan_writes_index_json_as_documented),
    cmocka_unit_test(plan_writes_headers_as_documented),
    cmocka_unit_test(plan_refuses_two_images_of_one_name),
    cmocka_unit_test(plan_refuses_what_does_not_fit_together),
    cmocka_unit_test(plan_refuses_sizes_that_overflow),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/plan", tests, NULL, NULL);
}
