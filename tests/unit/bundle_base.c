/*
 * bundle/base: what a differential leaves out is written to the byte, read strictly, planned,
 * dropped and verified.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/base.h"
#include "bundle/base_priv.h"
#include "lib/bundler.h"
#include "lib/fixture.h"
#include "lib/scratch.h"
#include "lib/tarmaker.h"

#define A  "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B  "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HH "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define C  "sha512:" HH HH

#define HEAD  "{\"version\":1,\"base\":{\"name\":\"old.tar\",\"index\":\"" B "\"},\"leftOut\":[\n"
#define END   "\n]}\n"
#define ENTRY "{\"digest\":\"" A "\",\"size\":1,\"repository\":\"quay.io/a/b\"}"
#define MORE  "{\"digest\":\"" B "\",\"size\":2}"

static void must(bool ok, const struct mir_error *err)
{
    if (!ok)
        fail_msg("%s", err->text);
}

static struct img_digest digest(const char *text)
{
    struct img_digest out;
    struct mir_error err = MIR_ERROR_INIT;

    must(img_digest_parse(mir_span_of(text), &out, &err), &err);
    return out;
}

/* ---- writing and reading ---- */

static void base_is_written_to_the_byte_and_read_back(void **state)
{
    const struct bundle_left_out blobs[] = {
        {.digest = digest(A), .size = 1, .repo = "quay.io/a/b"},
        {.digest = digest(B), .size = IMG_BLOB_BYTES_MAX},
        {.digest = digest(C), .size = 0, .repo = "localhost:5000/x"},
    };
    const struct bundle_base base = {
        .name = "old \"1\".tar", .index = digest(B), .blobs = blobs, .count = 3};
    static const char want[] =
        "{\"version\":1,\"base\":{\"name\":\"old \\\"1\\\".tar\",\"index\":\"" B
        "\"},\"leftOut\":[\n"
        "{\"digest\":\"" A "\",\"size\":1,\"repository\":\"quay.io/a/b\"},\n"
        "{\"digest\":\"" B "\",\"size\":1125899906842624},\n"
        "{\"digest\":\"" C "\",\"size\":0,\"repository\":\"localhost:5000/x\"}\n"
        "]}\n";
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_base_read *read = NULL;
    auto_free char *text = NULL;
    size_t len;

    (void)state;
    must(bundle_base_format(&base, &text, &len, &err), &err);
    assert_string_equal(text, want);
    must(bundle_base_parse(mir_span(text, len), "x", &read, &err), &err);
    assert_string_equal(read->base.name, base.name);
    assert_string_equal(read->base.index.text, B);
    assert_int_equal(read->base.count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct bundle_left_out *found = bundle_base_find(&read->base, &blobs[i].digest);

        assert_ptr_equal(found, &read->base.blobs[i]);
        assert_int_equal(found->size, blobs[i].size);
        assert_int_equal(found->repo != NULL, blobs[i].repo != NULL);
        if (found->repo)
            assert_string_equal(found->repo, blobs[i].repo);
    }
    bundle_base_read_free(read);
}

static const struct {
    const char *label, *text;
    enum mir_code code; /* MIR_OK: it is read */
    const char *says;
} texts[] = {
    {"one entry", HEAD ENTRY END, MIR_OK, ""},
    {"two entries", HEAD ENTRY ",\n" MORE END, MIR_OK, ""},
    {"none", HEAD "]}\n", MIR_OK, ""},
    {"no newline at the end", HEAD ENTRY "\n]}", MIR_OK, ""},
    {"members of a later writer",
     "{\"version\":1,\"extra\":[1],\"base\":{\"name\":\"o\",\"index\":\"" B "\"},\"leftOut\":[\n"
     "{\"digest\":\"" A "\",\"size\":1,\"why\":{}}" END,
     MIR_OK, ""},

    {"nothing", "", MIR_E_FORMAT, "empty"},
    {"a blank line", "\n", MIR_E_FORMAT, "line 1"},
    {"no JSON", "hello\n", MIR_E_FORMAT, "line 1"},
    {"an array", "[\"leftOut\":[\n]}\n", MIR_E_FORMAT, "x:1:"},
    {"a later version", "{\"version\":2,\"leftOut\":[\n]}\n", MIR_E_UNSUPPORTED, "version 1"},
    {"no version", "{\"leftOut\":[\n]}\n", MIR_E_UNSUPPORTED, "version 1"},
    {"a version of text", "{\"version\":\"1\",\"leftOut\":[\n]}\n", MIR_E_UNSUPPORTED, "version"},
    {"no base", "{\"version\":1,\"leftOut\":[\n]}\n", MIR_E_FORMAT, "no name"},
    {"a name of several parts",
     "{\"version\":1,\"base\":{\"name\":\"../o\",\"index\":\"" B "\"},\"leftOut\":[\n]}\n",
     MIR_E_FORMAT, "no name"},
    {"a name with an escape sequence",
     "{\"version\":1,\"base\":{\"name\":\"\\u001b[2J\",\"index\":\"" B "\"},\"leftOut\":[\n]}\n",
     MIR_E_FORMAT, "no name"},
    {"no index", "{\"version\":1,\"base\":{\"name\":\"o\"},\"leftOut\":[\n]}\n", MIR_E_FORMAT,
     "no digest"},
    {"two names",
     "{\"version\":1,\"base\":{\"name\":\"o\",\"name\":\"p\",\"index\":\"" B
     "\"},\"leftOut\":[\n]}\n",
     MIR_E_FORMAT, "duplicate"},
    {"all in one line",
     "{\"version\":1,\"base\":{\"name\":\"o\",\"index\":\"" B "\"},\"leftOut\":[]}", MIR_E_FORMAT,
     "line 1"},

    {"an entry twice", HEAD ENTRY ",\n" ENTRY END, MIR_E_FORMAT,
     "line 3: the digest is there twice"},
    {"out of order", HEAD MORE ",\n" ENTRY END, MIR_E_FORMAT, "line 3"},
    {"no comma", HEAD ENTRY "\n" MORE END, MIR_E_FORMAT, "line 3: a comma"},
    {"a comma too many", HEAD ENTRY "," END, MIR_E_FORMAT, "line 3: an entry is missing"},
    {"no end", HEAD ENTRY "\n", MIR_E_FORMAT, "end is missing"},
    {"cut short", HEAD ENTRY ",\n{\"digest\":\"sha2", MIR_E_FORMAT, "line 3"},
    {"something after the end", HEAD ENTRY END "{}\n", MIR_E_FORMAT, "follows the end"},
    {"a blank line between", HEAD ENTRY ",\n\n" MORE END, MIR_E_FORMAT, "line 3"},
    {"an entry of another kind", HEAD "[]" END, MIR_E_FORMAT, "no digest"},
    {"no digest", HEAD "{\"size\":1}" END, MIR_E_FORMAT, "no digest"},
    {"not a digest", HEAD "{\"digest\":\"sha256:abc\",\"size\":1}" END, MIR_E_FORMAT, "line 2"},
    {"another algorithm", HEAD "{\"digest\":\"md5:" HH "\",\"size\":1}" END, MIR_E_UNSUPPORTED,
     "line 2"},
    {"no size", HEAD "{\"digest\":\"" A "\"}" END, MIR_E_FORMAT, "no size"},
    {"a negative size", HEAD "{\"digest\":\"" A "\",\"size\":-1}" END, MIR_E_FORMAT, "no size"},
    {"a broken size", HEAD "{\"digest\":\"" A "\",\"size\":1.5}" END, MIR_E_FORMAT, "no size"},
    {"a size of text", HEAD "{\"digest\":\"" A "\",\"size\":\"1\"}" END, MIR_E_FORMAT, "no size"},
    {"a size over a petabyte", HEAD "{\"digest\":\"" A "\",\"size\":1125899906842625}" END,
     MIR_E_FORMAT, "no size"},
    {"a size over all", HEAD "{\"digest\":\"" A "\",\"size\":99999999999999999999}" END,
     MIR_E_FORMAT, "line 2"},
    {"a repository with a tag",
     HEAD "{\"digest\":\"" A "\",\"size\":1,\"repository\":\"quay.io/a:1\"}" END, MIR_E_FORMAT,
     "repository"},
    {"a repository without a host",
     HEAD "{\"digest\":\"" A "\",\"size\":1,\"repository\":\"a/b\"}" END, MIR_E_FORMAT,
     "repository"},
    {"a repository that climbs",
     HEAD "{\"digest\":\"" A "\",\"size\":1,\"repository\":\"quay.io/../b\"}" END, MIR_E_FORMAT,
     "repository"},
    {"a repository of another kind", HEAD "{\"digest\":\"" A "\",\"size\":1,\"repository\":7}" END,
     MIR_E_FORMAT, "repository"},
};

static void base_is_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_base_read *read = NULL;
        bool ok = bundle_base_parse(mir_span_of(texts[i].text), "x", &read, &err);

        bundle_base_read_free(read);
        if (ok != (texts[i].code == MIR_OK) || err.code != texts[i].code ||
            !strstr(err.text, texts[i].says))
            fail_msg("%s: code %d, \"%s\"", texts[i].label, err.code, err.text);
    }
}

static void base_refuses_lines_without_end_and_depth(void **state)
{
    static const char begin[] = HEAD "{\"digest\":\"" A "\",\"size\":1,\"deep\":";
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_base_read *read = NULL;
    auto_buf text;

    (void)state;
    mir_buf_init(&text, 8u << 20);
    mir_buf_text(&text, begin);
    for (int i = 0; i < 1000000; i++)
        mir_buf_char(&text, '[');
    assert_false(bundle_base_parse(mir_buf_span(&text), "x", &read, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);

    mir_buf_clear(&text);
    mir_error_clear(&err);
    mir_buf_text(&text, begin);
    for (int i = 0; i < 100; i++)
        mir_buf_char(&text, '[');
    for (int i = 0; i < 100; i++)
        mir_buf_char(&text, ']');
    mir_buf_text(&text, "}" END);
    assert_false(bundle_base_parse(mir_buf_span(&text), "x", &read, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);

    mir_buf_clear(&text);
    mir_error_clear(&err);
    mir_buf_text(&text, "{\"version\":1,\"pad\":\"");
    for (int i = 0; i < 5000; i++)
        mir_buf_char(&text, 'x');
    mir_buf_text(&text, "\",\"leftOut\":[\n]}\n");
    assert_false(bundle_base_parse(mir_buf_span(&text), "x", &read, &err));
    assert_non_null(strstr(err.text, "too long"));
}

static void base_reads_a_million_entries(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_base_read *read = NULL;
    struct img_digest last;
    auto_buf text;
    size_t count = 1000000;

    (void)state;
    mir_buf_init(&text, 1u << 28);
    mir_buf_text(&text, HEAD);
    for (size_t i = 0; i < count; i++)
        mir_buf_printf(&text,
                       "%s{\"digest\":\"sha256:%064zx\",\"size\":%zu,\"repository\":\"h.io/%zu\"}",
                       i == 0 ? "" : ",\n", i, i, i % 1000);
    mir_buf_text(&text, END);
    must(mir_buf_check(&text, "text", &err), &err);
    must(bundle_base_parse(mir_buf_span(&text), "x", &read, &err), &err);
    assert_int_equal(read->base.count, count);
    assert_int_equal(read->repo_count, 1000);
    last = read->base.blobs[count - 1].digest;
    assert_int_equal(bundle_base_find(&read->base, &last)->size, count - 1);
    bundle_base_read_free(read);
}

/* ---- planning ---- */

static struct bundle_blob blob_a(void)
{
    return (struct bundle_blob){.digest = digest(A), .size = 600};
}

static uint64_t planned_bytes(const struct bundle_base *base)
{
    const struct bundle_blob blob = blob_a();
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;
    uint64_t bytes;

    must(bundle_plan_new_since(NULL, 0, &blob, 1, base, 0, &plan, &err), &err);
    bytes = bundle_plan_bytes(plan);
    bundle_plan_free(plan);
    return bytes;
}

static void plan_of_a_whole_bundle_has_no_base(void **state)
{
    const struct bundle_left_out left_out = {.digest = digest(B), .size = 1};
    struct bundle_base base = {.name = "old.tar", .index = digest(B), .blobs = &left_out};
    uint64_t whole = planned_bytes(NULL);

    (void)state;
    assert_int_equal(planned_bytes(&base), whole);
    base.count = 1;
    assert_int_equal(planned_bytes(&base), whole + 2 * 512);
}

static void plan_refuses_a_blob_that_is_left_out_too(void **state)
{
    const struct bundle_left_out left_out = {.digest = digest(A), .size = 600};
    const struct bundle_base base = {
        .name = "old.tar", .index = digest(B), .blobs = &left_out, .count = 1};
    const struct bundle_blob blob = blob_a();
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;

    (void)state;
    assert_false(bundle_plan_new_since(NULL, 0, &blob, 1, &base, 0, &plan, &err));
    assert_int_equal(err.code, MIR_E_CONFLICT);
    assert_non_null(strstr(err.text, A));
}

/* ---- readers ---- */

static struct bundle_reader *open_tar(const struct tarmaker *maker, struct mir_error *err)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    struct bundle_reader *reader = NULL;

    tarmaker_write(maker, path);
    (void)!bundle_reader_open(path, BUNDLE_FORM_TAR, &reader, err);
    return reader;
}

static void reader_knows_its_base(void **state)
{
    const struct img_digest a = digest(A), b = digest(B), c = digest(C);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader;
    auto_tarmaker maker;

    (void)state;
    tarmaker_init(&maker);
    tarmaker_layout(&maker);
    tarmaker_file(&maker, "./mirror-base.json", HEAD ENTRY ",\n" MORE END);
    tarmaker_file(&maker,
                  "blobs/sha256/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                  "there all the same");
    tarmaker_end(&maker);
    reader = open_tar(&maker, &err);
    must(reader != NULL, &err);
    assert_string_equal(bundle_reader_base(reader)->name, "old.tar");
    assert_int_equal(bundle_reader_leaves_out(reader, &a)->size, 1);
    assert_null(bundle_reader_leaves_out(reader, &b)); /* what is there is there */
    assert_null(bundle_reader_leaves_out(reader, &c));
    assert_null(bundle_reader_find(reader, &a));
    bundle_reader_close(reader);
}

static void reader_refuses_a_bad_base(void **state)
{
    static const struct {
        const char *label, *first, *second, *says;
    } rows[] = {
        {"twice", HEAD ENTRY END, HEAD ENTRY END, "entry mirror-base.json is there twice"},
        {"damaged", HEAD ENTRY, NULL, "mirror-base.json: line 2: the end is missing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct bundle_reader *reader;
        auto_tarmaker maker;

        tarmaker_init(&maker);
        tarmaker_layout(&maker);
        tarmaker_file(&maker, "mirror-base.json", rows[i].first);
        if (rows[i].second)
            tarmaker_file(&maker, "mirror-base.json", rows[i].second);
        tarmaker_end(&maker);
        reader = open_tar(&maker, &err);
        if (reader || err.code != MIR_E_FORMAT || !strstr(err.text, rows[i].says))
            fail_msg("%s: \"%s\"", rows[i].label, err.text);
    }
}

static void reader_of_an_index_alone_has_names_and_nothing_else(void **state)
{
    static const char index[] =
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/x\",\"digest\":\"" A
        "\",\"size\":3,\"annotations\":{\"org.opencontainers.image.ref.name\":\"quay.io/a:1\"}}]}";
    const struct img_digest a = digest(A);
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/index.json", dir);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader = NULL;
    struct img_digest of_index;
    auto_free char *bytes = NULL;
    size_t len;

    (void)state;
    scratch_write(path, mir_span_of(index));
    must(bundle_reader_open_index(path, &reader, &err), &err);
    assert_int_equal(bundle_reader_image_count(reader), 1);
    assert_string_equal(bundle_reader_image(reader, 0)->name, "quay.io/a:1");
    assert_null(bundle_reader_find(reader, &a));
    assert_null(bundle_reader_base(reader));
    assert_false(bundle_reader_load(reader, &a, 100, &bytes, &len, &err));
    assert_int_equal(err.code, MIR_E_NOT_FOUND);
    img_digest_of(MIR_HASH_SHA256, mir_span_of(index), &of_index);
    assert_string_equal(bundle_reader_index_digest(reader)->text, of_index.text);
    bundle_reader_close(reader);

    mir_error_clear(&err);
    scratch_write(path, mir_span_of("{}"));
    assert_false(bundle_reader_open_index(path, &reader, &err));
    assert_int_equal(err.code, MIR_E_FORMAT);
}

static void reader_follows_no_link_to_a_base(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *layout = mir_format("%s/layout", dir);
    auto_free char *file = mir_format("%s/elsewhere", dir);
    auto_free char *base = mir_format("%s/mirror-base.json", layout);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_reader *reader = NULL;

    (void)state;
    fixture_free(fixture_new(layout));
    scratch_write(file, mir_span_of(HEAD ENTRY END));
    assert_int_equal(symlink(file, base), 0);
    assert_false(bundle_reader_open(layout, BUNDLE_FORM_DIR, &reader, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
}

/* ---- a layout whose one image lacks a layer ---- */

struct scene {
    char *dir, *layout, *full;
    struct img_digest manifest, layer; /* of the image */
    uint64_t layer_bytes;
};

/* The last blob that is neither the manifest nor, being small, the config. */
static void find_layer(struct scene *scene, const struct bundler *bundler)
{
    for (size_t i = 0; i < bundler->blob_count; i++) {
        if (bundler->blobs[i].size < scene->layer_bytes)
            continue;
        scene->layer = bundler->blobs[i].digest;
        scene->layer_bytes = bundler->blobs[i].size;
    }
}

static void make_layout(const char *path, struct img_digest *manifest)
{
    auto_fixture *fixture = fixture_new(path);
    struct fixture_item image = fixture_image(fixture, .seed = 7, .layer_bytes = 9000);

    fixture_name(fixture, "registry.example/image:1", &image);
    *manifest = image.digest;
}

static int set_up(void **state)
{
    struct scene *scene = mir_alloc(sizeof(*scene));
    auto_bundler bundler;

    scene->dir = scratch_new();
    scene->layout = mir_format("%s/layout", scene->dir);
    scene->full = mir_format("%s/full", scene->dir);
    make_layout(scene->layout, &scene->manifest);
    make_layout(scene->full, &scene->manifest);
    bundler_init(&bundler, scene->full);
    find_layer(scene, &bundler);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    scratch_remove(scene->dir);
    free(scene->layout);
    free(scene->full);
    free(scene);
    return 0;
}

static void remove_blob(const char *layout, const struct img_digest *blob)
{
    auto_free char *path = mir_format("%s/blobs/sha256/%s", layout, img_digest_hex(blob));

    assert_int_equal(unlink(path), 0);
}

static void leave_out(const struct scene *scene, const struct img_digest *blob, uint64_t size)
{
    const struct bundle_left_out entry = {.digest = *blob, .size = size};
    const struct bundle_base base = {
        .name = "old.tar", .index = digest(B), .blobs = &entry, .count = 1};
    auto_free char *path = mir_format("%s/mirror-base.json", scene->layout);
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *text = NULL;
    size_t len;

    must(bundle_base_format(&base, &text, &len, &err), &err);
    scratch_write(path, mir_span(text, len));
}

static void note(void *ctx, const char *text)
{
    mir_buf_printf(ctx, "%s\n", text);
}

/* The problems, one a line; the caller frees. */
static char *verify(const struct scene *scene, const char *base,
                    struct bundle_verify_totals *totals)
{
    struct bundle_reader *readers[2] = {NULL, NULL};
    struct mir_error err = MIR_ERROR_INIT;
    struct mir_buf problems;
    struct bundle_verify_sink sink = {.problem = note, .ctx = &problems};

    mir_buf_init(&problems, 1u << 20);
    must(bundle_reader_open(scene->layout, BUNDLE_FORM_DIR, &readers[0], &err), &err);
    if (base)
        must(bundle_reader_open(base, BUNDLE_FORM_DIR, &readers[1], &err), &err);
    must(bundle_verify_with(readers[0], readers + 1, base ? 1 : 0, 2, &sink, totals, &err), &err);
    bundle_reader_close(readers[0]);
    bundle_reader_close(readers[1]);
    return mir_buf_take(&problems);
}

static void verify_accepts_what_is_left_out(void **state)
{
    const struct scene *scene = *state;
    struct bundle_verify_totals totals;
    auto_free char *problems = NULL;

    remove_blob(scene->layout, &scene->layer);
    leave_out(scene, &scene->layer, scene->layer_bytes);
    problems = verify(scene, NULL, &totals);
    assert_string_equal(problems, "");
    assert_int_equal(totals.left_out, 1);
    assert_int_equal(totals.bytes_left_out, scene->layer_bytes);
}

static void verify_finds_what_is_left_out_in_the_base(void **state)
{
    const struct scene *scene = *state;
    struct bundle_verify_totals alone, together;
    auto_free char *first = NULL, *second = NULL;

    remove_blob(scene->layout, &scene->layer);
    leave_out(scene, &scene->layer, scene->layer_bytes);
    first = verify(scene, NULL, &alone);
    second = verify(scene, scene->full, &together);
    assert_string_equal(second, "");
    assert_int_equal(together.bytes, alone.bytes + scene->layer_bytes);
}

static void expect_problem(const struct scene *scene, const char *base, const char *text)
{
    struct bundle_verify_totals totals;
    auto_free char *problems = verify(scene, base, &totals);

    if (totals.problems != 1 || !strstr(problems, text))
        fail_msg("expected \"%s\", got %zu: %s", text, totals.problems, problems);
}

static void verify_names_what_the_base_lacks(void **state)
{
    const struct scene *scene = *state;

    remove_blob(scene->layout, &scene->layer);
    remove_blob(scene->full, &scene->layer);
    leave_out(scene, &scene->layer, scene->layer_bytes);
    expect_problem(scene, scene->full, "is left out, and not in the bases given");
}

static void verify_names_what_is_damaged_in_the_base(void **state)
{
    const struct scene *scene = *state;
    auto_free char *path =
        mir_format("%s/blobs/sha256/%s", scene->full, img_digest_hex(&scene->layer));
    auto_free char *bytes = scratch_read(path, NULL);

    remove_blob(scene->layout, &scene->layer);
    leave_out(scene, &scene->layer, scene->layer_bytes);
    bytes[100] ^= 1;
    scratch_write(path, mir_span(bytes, (size_t)scene->layer_bytes));
    expect_problem(scene, scene->full, "is left out, and in ");
    scratch_write(path, mir_span("short", 5));
    expect_problem(scene, scene->full, "is left out, and in ");
}

static void verify_compares_the_size_that_is_left_out(void **state)
{
    const struct scene *scene = *state;

    remove_blob(scene->layout, &scene->layer);
    leave_out(scene, &scene->layer, scene->layer_bytes + 1);
    expect_problem(scene, NULL, "is left out with");
}

static void verify_lets_no_manifest_be_left_out(void **state)
{
    const struct scene *scene = *state;

    remove_blob(scene->layout, &scene->manifest);
    leave_out(scene, &scene->manifest, 1);
    expect_problem(scene, NULL, "is missing");
}

static void verify_takes_what_is_there_for_there(void **state)
{
    const struct scene *scene = *state;
    struct bundle_verify_totals totals;
    auto_free char *problems = NULL;

    leave_out(scene, &scene->layer, 12345);
    problems = verify(scene, NULL, &totals);
    assert_string_equal(problems, "");
    assert_int_equal(totals.left_out, 0);
}

/* ---- writing and dropping ---- */

static bool is_kept_image(const struct bundle_image *image)
{
    return strstr(image->name, "kept") != NULL;
}

/* Two images, each with a layer that is left out, and a third that both have. */
struct pair {
    struct bundler all;
    struct bundle_left_out left_out[3];
    struct bundle_base base;
    struct bundle_blob *blobs; /* what is not left out */
    size_t blob_count;
    bool of_kept[3]; /* by left_out */
};

static int by_digest(const void *a, const void *b)
{
    return strcmp(((const struct bundle_left_out *)a)->digest.text,
                  ((const struct bundle_left_out *)b)->digest.text);
}

static void make_pair(const char *layout, bool with_dropped)
{
    const struct fixture_layer_args kept[] = {{9000, 1}, {9001, 2}};
    const struct fixture_layer_args dropped[] = {{9000, 1}, {9002, 3}};
    auto_fixture *fixture = fixture_new(layout);
    struct fixture_item image =
        fixture_image(fixture, .own_layers = kept, .own_layer_count = 2, .annotation = "kept");

    fixture_name(fixture, "registry.example/kept:1", &image);
    if (!with_dropped)
        return;
    image =
        fixture_image(fixture, .own_layers = dropped, .own_layer_count = 2, .annotation = "not");
    fixture_name(fixture, "registry.example/dropped:1", &image);
}

/* Leave out every layer; rest, if not NULL, holds what is kept. */
static void plan_pair(struct pair *pair, const char *layout, const struct bundler *rest)
{
    size_t count = 0;

    bundler_init(&pair->all, layout);
    pair->blobs = mir_alloc_array(pair->all.blob_count, sizeof(*pair->blobs));
    pair->blob_count = 0;
    for (size_t i = 0; i < pair->all.blob_count; i++) {
        const struct bundle_blob *blob = &pair->all.blobs[i];

        if (blob->size > 8000)
            pair->left_out[count++] =
                (struct bundle_left_out){.digest = blob->digest, .size = blob->size};
        else
            pair->blobs[pair->blob_count++] = *blob;
    }
    qsort(pair->left_out, count, sizeof(pair->left_out[0]), by_digest);
    for (size_t i = 0; i < count; i++)
        pair->of_kept[i] = !rest || bundle_reader_find(rest->reader, &pair->left_out[i].digest);
    pair->base = (struct bundle_base){
        .name = "old.tar", .index = digest(B), .blobs = pair->left_out, .count = count};
}

static void release_pair(struct pair *pair)
{
    bundler_release(&pair->all);
    free(pair->blobs);
}

static void bring(const struct pair *pair, struct bundle_writer *writer, size_t i)
{
    struct mir_error err = MIR_ERROR_INIT;
    const struct bundle_blob *blob = bundle_reader_find(pair->all.reader, &pair->blobs[i].digest);
    auto_free char *bytes = mir_alloc(blob->size + 1);

    must(bundle_reader_read(pair->all.reader, blob, 0, bytes, (size_t)blob->size, &err), &err);
    must(bundle_writer_write(writer, i, 0, mir_span(bytes, (size_t)blob->size), &err), &err);
    must(bundle_writer_finish(writer, i, &err), &err);
}

/* Write the pair to path; what rest does not hold is dropped. */
static void write_pair(const struct pair *pair, const char *path, const struct bundler *rest)
{
    auto_free bool *keep_image = mir_alloc_array(pair->all.image_count, sizeof(bool));
    auto_free bool *keep_blob = mir_alloc_array(pair->blob_count, sizeof(bool));
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;
    struct bundle_writer *writer = NULL;

    must(bundle_plan_new_since(pair->all.images, pair->all.image_count, pair->blobs,
                               pair->blob_count, &pair->base, 0, &plan, &err),
         &err);
    must(bundle_writer_begin(path, BUNDLE_FORM_TAR, plan, 0, &writer, &err), &err);
    for (size_t i = 0; i < pair->blob_count; i++) {
        keep_blob[i] = !rest || bundle_reader_find(rest->reader, &pair->blobs[i].digest);
        if (keep_blob[i])
            bring(pair, writer, i);
    }
    for (size_t i = 0; i < pair->all.image_count; i++)
        keep_image[i] = is_kept_image(&pair->all.images[i]);
    if (rest) {
        bundle_writer_keep_left_out(writer, pair->of_kept);
        must(bundle_writer_drop(writer, keep_image, keep_blob, &err), &err);
    }
    must(bundle_writer_commit(writer, &err), &err);
    bundle_plan_free(plan);
}

static void writer_drops_the_base_of_what_it_drops(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *both = mir_format("%s/both", dir), *one = mir_format("%s/one", dir);
    auto_free char *dropped = mir_format("%s/dropped.tar", dir);
    auto_free char *straight = mir_format("%s/straight.tar", dir);
    auto_free char *got = NULL, *want = NULL;
    size_t got_len, want_len;
    struct pair all, rest;

    (void)state;
    make_pair(both, true);
    make_pair(one, false);
    plan_pair(&rest, one, NULL);
    plan_pair(&all, both, &rest.all);
    assert_int_equal(all.base.count, 3);
    assert_int_equal(rest.base.count, 2);
    write_pair(&all, dropped, &rest.all);
    write_pair(&rest, straight, NULL);
    got = scratch_read(dropped, &got_len);
    want = scratch_read(straight, &want_len);
    assert_int_equal(got_len, want_len);
    assert_memory_equal(got, want, want_len);
    assert_non_null(memmem(got, got_len, "mirror-base.json", 16));
    release_pair(&all);
    release_pair(&rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_is_written_to_the_byte_and_read_back),
        cmocka_unit_test(base_is_read_strictly),
        cmocka_unit_test(base_refuses_lines_without_end_and_depth),
        cmocka_unit_test(base_reads_a_million_entries),
        cmocka_unit_test(plan_of_a_whole_bundle_has_no_base),
        cmocka_unit_test(plan_refuses_a_blob_that_is_left_out_too),
        cmocka_unit_test(reader_knows_its_base),
        cmocka_unit_test(reader_refuses_a_bad_base),
        cmocka_unit_test(reader_of_an_index_alone_has_names_and_nothing_else),
        cmocka_unit_test(reader_follows_no_link_to_a_base),
        cmocka_unit_test_setup_teardown(verify_accepts_what_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_finds_what_is_left_out_in_the_base, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(verify_names_what_the_base_lacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_names_what_is_damaged_in_the_base, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(verify_compares_the_size_that_is_left_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(verify_lets_no_manifest_be_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_takes_what_is_there_for_there, set_up, tear_down),
        cmocka_unit_test(writer_drops_the_base_of_what_it_drops),
    };

    return cmocka_run_group_tests_name("bundle/base", tests, NULL, NULL);
}
