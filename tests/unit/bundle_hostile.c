/*
 * bundle/hostile: archives that want to do harm, or are merely broken, are refused when they are
 * opened, with the file, the entry and the reason in the message; odd but harmless ones are read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/pipe.h"
#include "lib/flow.h"
#include "lib/scratch.h"
#include "lib/tarmaker.h"

#define HEX_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BLOB_A "blobs/sha256/" HEX_A

#define PATH_LONG                                                                                  \
    "blobs/sha512/" HEX_A "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* What comes between the layout's two files and the end of the archive. */
struct row {
    const char *label;
    struct tarmaker_entry entry;
    const char *text; /* part of the message; NULL: it has to be read */
};

static const struct row rows[] = {
    {"a blob", {.name = BLOB_A}, NULL},
    {"leading ./", {.name = "./" BLOB_A}, NULL},
    {"GNU magic", {.name = BLOB_A, .gnu = true}, NULL},
    {"no magic", {.name = BLOB_A, .v7 = true}, NULL},
    {"unknown type, which POSIX calls a file", {.name = BLOB_A, .type = 'Z'}, NULL},
    {"binary size", {.name = BLOB_A, .base256 = true}, NULL},
    {"directory", {.name = "blobs/sha256/", .type = '5'}, NULL},
    {"the directory itself", {.name = "./", .type = '5'}, NULL},
    {"extra file", {.name = "manifest.json"}, NULL},
    {"extra file below", {.name = "ingest/tmp/1"}, NULL},
    {"other algorithm", {.name = "blobs/blake3/abc"}, NULL},

    {"parent", {.name = "../" BLOB_A}, "../blobs"},
    {"parent inside", {.name = "blobs/../../etc/passwd"}, "blobs/../../etc/passwd"},
    {"parent after ./", {.name = "./../x"}, "./../x"},
    {"absolute", {.name = "/etc/passwd"}, "/etc/passwd"},
    {"absolute blob", {.name = "/" BLOB_A}, "/blobs"},
    {"dot inside", {.name = "blobs/./sha256/" HEX_A}, "no place"},
    {"empty part", {.name = "blobs//" HEX_A}, "no place"},
    {"empty name", {.name = ""}, ""},
    {"only a dot", {.name = "."}, "no place"},
    {"parent directory", {.name = "../", .type = '5'}, "../"},
    {"absolute directory", {.name = "/", .type = '5'}, "no place"},
    {"directory with bytes", {.name = "blobs/", .type = '5', .data = {.ptr = "x", .len = 1}}, ""},
    {"blobs is a file", {.name = "blobs"}, "no place"},
    {"no digest", {.name = "blobs/sha256/README"}, "README"},
    {"upper-case digest", {.name = "blobs/sha256/A" HEX_A}, "no place"},
    {"short digest", {.name = "blobs/sha256/aa"}, "no place"},
    {"below a blob", {.name = BLOB_A "/x"}, "no place"},
    {"control characters", {.name = "blobs/sha256/\x1b[2J"}, "?[2J"},

    {"symbolic link", {.name = BLOB_A, .type = '2', .link = "/etc/passwd"}, "is a link"},
    {"hard link", {.name = BLOB_A, .type = '1', .link = "index.json"}, "is a link"},
    {"link elsewhere", {.name = "extra", .type = '2', .link = "x"}, "is a link"},
    {"link without target", {.name = BLOB_A, .type = '2'}, "is a link"},
    {"character device", {.name = BLOB_A, .type = '3'}, "neither a file"},
    {"block device", {.name = BLOB_A, .type = '4'}, "neither a file"},
    {"FIFO", {.name = "extra", .type = '6'}, "neither a file"},

    {"index.json twice", {.name = "index.json"}, "index.json is there twice"},
    {"index.json twice, ./", {.name = "./index.json"}, "is there twice"},
    {"oci-layout twice", {.name = "oci-layout"}, "oci-layout is there twice"},

    {"bad checksum", {.name = BLOB_A, .bad_checksum = true}, "at byte 2048"},
    {"size past the end", {.name = BLOB_A, .has_size = true, .size = 4096}, "reaches past the end"},
    {"size far past the end",
     {.name = BLOB_A, .has_size = true, .size = 1u << 30},
     "reaches past the end"},
    {"size of a small planet",
     {.name = BLOB_A, .has_size = true, .size = INT64_MAX, .base256 = true},
     ""},
    {"negative size", {.name = BLOB_A, .has_size = true, .size = UINT64_MAX, .base256 = true}, ""},
    {"size not octal", {.name = BLOB_A, .has_size = true, .size = 07777777777777}, ""},
    {"a second volume", {.name = BLOB_A, .type = 'M', .gnu = true}, ""},
};

#define PIPED_MAX (8u << 20) /* bytes of a file that is sent through a pipe too */

/* Through a pipe, in odd pieces, to the end. */
static bool pass_it(const char *path, struct mir_error *err)
{
    struct bundle_reader *reader = NULL;
    size_t len;
    auto_free char *bytes = scratch_read(path, &len);
    struct flow flow;
    bool passed;

    flow_feed(&flow, mir_span(bytes, len), 1009);
    passed = bundle_reader_open_pipe(flow.fd, path, NULL, &reader, err) &&
             bundle_reader_drain(reader, err);
    bundle_reader_close(reader);
    flow_end(&flow);
    return passed;
}

/* What is refused of a file is refused of a pipe, and nothing else. */
static bool open_it(const char *path, struct mir_error *err)
{
    struct bundle_reader *reader = NULL;
    struct mir_error piped = MIR_ERROR_INIT;
    bool opened = bundle_reader_open(path, BUNDLE_FORM_TAR, &reader, err);

    bundle_reader_close(reader);
    if (scratch_size(path) > PIPED_MAX)
        return opened;
    if (pass_it(path, &piped) != opened)
        fail_msg("as a file \"%s\", through a pipe \"%s\"", err->text, piped.text);
    if (!opened && (!strstr(piped.text, path) || piped.code == MIR_E_IO))
        fail_msg("through a pipe: code %d, \"%s\"", piped.code, piped.text);
    return opened;
}

static void judge(const char *label, const char *path, const char *text)
{
    struct mir_error err = MIR_ERROR_INIT;
    bool opened = open_it(path, &err);

    if (!text && !opened)
        fail_msg("%s: refused: %s", label, err.text);
    if (!text)
        return;
    if (opened)
        fail_msg("%s: was read", label);
    if (!strstr(err.text, text) || !strstr(err.text, path))
        fail_msg("%s: \"%s\" does not contain \"%s\" and the file", label, err.text, text);
    if (err.code != MIR_E_FORMAT && err.code != MIR_E_LIMIT)
        fail_msg("%s: code %d", label, err.code);
}

static void hostile_entries_are_refused_and_odd_ones_read(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_tarmaker maker;

        tarmaker_init(&maker);
        tarmaker_layout(&maker);
        tarmaker_add_entry(&maker, &rows[i].entry);
        tarmaker_end(&maker);
        tarmaker_write(&maker, path);
        judge(rows[i].label, path, rows[i].text);
    }
}

static void hostile_duplicate_blobs_are_refused(void **state)
{
    static const char *const seconds[] = {BLOB_A, "./" BLOB_A};
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        auto_tarmaker maker;

        tarmaker_init(&maker);
        tarmaker_layout(&maker);
        tarmaker_file(&maker, BLOB_A, "one");
        tarmaker_file(&maker, seconds[i], "two");
        tarmaker_end(&maker);
        tarmaker_write(&maker, path);
        judge(seconds[i], path, "sha256:" HEX_A " is there twice");
    }
}

/* ---- pax ---- */

struct pax_row {
    const char *label;
    const char *records[2];
    size_t count;
    struct tarmaker_entry entry;
    const char *text;
};

static void hostile_pax_headers_get_no_further(void **state)
{
    static const struct pax_row pax_rows[] = {
        {"a long name", {"path=" PATH_LONG}, 1, {.name = "short"}, NULL},
        {"path climbs", {"path=../../etc/passwd"}, 1, {.name = BLOB_A}, "../../etc/passwd"},
        {"path is absolute", {"path=/etc/passwd"}, 1, {.name = BLOB_A}, "/etc/passwd"},
        {"link by pax", {"linkpath=/etc/passwd"}, 1, {.name = BLOB_A, .type = '2'}, "is a link"},
        {"size past the end", {"size=99999999"}, 1, {.name = BLOB_A}, "reaches past the end"},
        {"negative size", {"size=-1"}, 1, {.name = BLOB_A}, ""},
        {"GNU sparse 0.1",
         {"GNU.sparse.size=4096", "GNU.sparse.map=0,1,4095,1"},
         2,
         {.name = BLOB_A, .data = {.ptr = "xy", .len = 2}},
         ""},
        {"real size of a sparse file",
         {"GNU.sparse.realsize=4096", "GNU.sparse.name=" BLOB_A},
         2,
         {.name = "y", .data = {.ptr = "xy", .len = 2}},
         ""},
    };
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);

    (void)state;
    for (size_t i = 0; i < sizeof(pax_rows) / sizeof(pax_rows[0]); i++) {
        auto_tarmaker maker;

        tarmaker_init(&maker);
        tarmaker_layout(&maker);
        tarmaker_pax(&maker, pax_rows[i].records, pax_rows[i].count);
        tarmaker_add_entry(&maker, &pax_rows[i].entry);
        tarmaker_end(&maker);
        tarmaker_write(&maker, path);
        judge(pax_rows[i].label, path, pax_rows[i].text);
    }
}

static void hostile_chains_of_extensions_end(void **state)
{
    static const char *const record[] = {"comment=x"};
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    auto_tarmaker maker;

    (void)state;
    tarmaker_init(&maker);
    tarmaker_layout(&maker);
    for (int i = 0; i < 100000; i++)
        tarmaker_pax(&maker, record, 1);
    tarmaker_file(&maker, BLOB_A, "x");
    tarmaker_end(&maker);
    tarmaker_write(&maker, path);
    judge("pax after pax", path, "");
}

static void hostile_giant_extensions_are_not_loaded(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    auto_free char *junk = mir_alloc(64u << 20);
    auto_tarmaker maker;

    (void)state;
    memset(junk, 'x', 64u << 20);
    tarmaker_init(&maker);
    tarmaker_layout(&maker);
    tarmaker_add(&maker, .name = "long", .type = 'L', .gnu = true,
                 .data = mir_span(junk, 64u << 20));
    tarmaker_file(&maker, BLOB_A, "x");
    tarmaker_end(&maker);
    tarmaker_write(&maker, path);
    judge("a name of 64 MiB", path, "");
}

/* ---- cut and mangled files ---- */

static void make_plain(struct tarmaker *maker)
{
    tarmaker_init(maker);
    tarmaker_layout(maker);
    tarmaker_file(maker, BLOB_A, "some content");
    tarmaker_end(maker);
}

static void hostile_cut_files_are_refused_wherever_they_are_cut(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    auto_tarmaker maker;

    (void)state;
    make_plain(&maker);
    tarmaker_write(&maker, path);
    judge("whole", path, NULL);
    /* One block of zeros is enough of an end, as it is for tar. */
    for (off_t size = (off_t)maker.bytes.len - 513; size >= 0; size -= 37) {
        auto_free char *label = mir_format("cut at %lld", (long long)size);

        assert_int_equal(truncate(path, size), 0);
        judge(label, path, "");
    }
}

static void hostile_flipped_headers_are_refused(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    auto_tarmaker maker;

    (void)state;
    make_plain(&maker);
    for (size_t at = 2048; at < 2048 + 345; at++) {
        auto_free char *label = mir_format("bit at %zu", at);
        char kept = maker.bytes.ptr[at];

        if (at >= 2048 + 148 && at < 2048 + 156)
            continue; /* the checksum itself; blanks and NULs are the same to it */
        maker.bytes.ptr[at] = (char)(kept ^ 0x10);
        tarmaker_write(&maker, path);
        judge(label, path, "");
        maker.bytes.ptr[at] = kept;
    }
}

static void hostile_other_files_are_named_for_what_they_are(void **state)
{
    static const struct {
        const char *label;
        struct mir_span bytes;
        enum mir_code code;
        const char *text, *hint;
    } files[] = {
        {"empty", {"", 0}, MIR_E_FORMAT, "is empty", ""},
        {"gzip", {"\x1f\x8b\x08\0\0\0\0\0\0\x03", 10}, MIR_E_UNSUPPORTED, "gzip", "gunzip"},
        {"zstd", {"\x28\xb5\x2f\xfd\x04\0", 6}, MIR_E_UNSUPPORTED, "zstd", "unzstd"},
        {"xz",
         {"\xfd"
          "7zXZ\0",
          6},
         MIR_E_UNSUPPORTED,
         "xz",
         "unxz"},
        {"bzip2", {"BZh91AY", 7}, MIR_E_UNSUPPORTED, "bzip2", "bunzip2"},
        {"zip", {"PK\x03\x04\x14\0", 6}, MIR_E_UNSUPPORTED, "zip", "unzip"},
        {"text", {"#!/bin/sh\nexit 0\n", 17}, MIR_E_FORMAT, "not a sound tar", ""},
        {"one byte", {"x", 1}, MIR_E_FORMAT, "not a sound tar", ""},
    };
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;

        scratch_write(path, files[i].bytes);
        if (open_it(path, &err) || err.code != files[i].code || !strstr(err.text, files[i].text) ||
            !strstr(err.hint, files[i].hint))
            fail_msg("%s: code %d, \"%s\", hint \"%s\"", files[i].label, err.code, err.text,
                     err.hint);
    }
}

/* ---- layout and index ---- */

static void hostile_layout_files_are_refused(void **state)
{
    static const char good_layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    static const char good_index[] = "{\"schemaVersion\":2,\"manifests\":[]}";
    static const struct {
        const char *label, *layout, *index, *text;
    } files[] = {
        {"both fine", good_layout, good_index, NULL},
        {"a later 1.x", "{\"imageLayoutVersion\":\"1.1.0\"}", good_index, NULL},
        {"no manifests yet", good_layout, "{\"schemaVersion\":2}", NULL},
        {"no oci-layout", NULL, good_index, "has no oci-layout"},
        {"no index.json", good_layout, NULL, "has no index.json"},
        {"layout 2", "{\"imageLayoutVersion\":\"2.0.0\"}", good_index, "version 2.0.0"},
        {"layout without version", "{}", good_index, "imageLayoutVersion"},
        {"layout not JSON", "layout", good_index, "oci-layout"},
        {"layout empty", "", good_index, "oci-layout"},
        {"index not JSON", good_layout, "<html>", "index.json"},
        {"index empty", good_layout, "", "index.json"},
        {"index a list", good_layout, "[]", "not an image index"},
        {"index of schema 1", good_layout, "{\"schemaVersion\":1,\"manifests\":[]}", "schemaVer"},
        {"manifests an object", good_layout, "{\"schemaVersion\":2,\"manifests\":{}}",
         "not an image index"},
        {"entry without digest", good_layout, "{\"schemaVersion\":2,\"manifests\":[{\"size\":1}]}",
         "manifests[0]"},
        {"entry with a path as digest", good_layout,
         "{\"schemaVersion\":2,\"manifests\":[{\"size\":1,\"digest\":\"sha256:../../x\"}]}",
         "manifests[0]"},
        {"entry with negative size", good_layout,
         "{\"schemaVersion\":2,\"manifests\":[{\"size\":-1,\"digest\":\"sha256:" HEX_A "\"}]}",
         "negative"},
        {"a name with an escape", good_layout,
         "{\"schemaVersion\":2,\"manifests\":[{\"size\":1,\"digest\":\"sha256:" HEX_A "\","
         "\"annotations\":{\"org.opencontainers.image.ref.name\":\"a\\u001bb\"}}]}",
         "control characters"},
    };
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_tarmaker maker;
        bool opened;

        tarmaker_init(&maker);
        if (files[i].layout)
            tarmaker_file(&maker, "oci-layout", files[i].layout);
        if (files[i].index)
            tarmaker_file(&maker, "index.json", files[i].index);
        tarmaker_end(&maker);
        tarmaker_write(&maker, path);
        opened = open_it(path, &err);
        if (opened != !files[i].text)
            fail_msg("%s: %s", files[i].label, opened ? "was read" : err.text);
        if (!opened && (!strstr(err.text, files[i].text) || !strstr(err.text, path)))
            fail_msg("%s: \"%s\"", files[i].label, err.text);
    }
}

static void hostile_large_small_files_are_not_loaded(void **state)
{
    static const char *const names[] = {"oci-layout", "index.json"};
    const uint64_t size = (uint64_t)BUNDLE_INDEX_MAX + 512;
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_tarmaker maker;

        tarmaker_init(&maker);
        if (i == 1)
            tarmaker_file(&maker, names[0], "{\"imageLayoutVersion\":\"1.0.0\"}");
        else
            tarmaker_file(&maker, names[1], "{}");
        tarmaker_add(&maker, .name = names[i], .has_size = true, .size = size);
        tarmaker_write(&maker, path);
        assert_int_equal(truncate(path, (off_t)(maker.bytes.len + size + 1024)), 0);
        assert_false(open_it(path, &err));
        assert_int_equal(err.code, MIR_E_LIMIT);
        assert_non_null(strstr(err.text, names[i]));
    }
}

static void hostile_docker_archives_get_a_hint(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    struct mir_error err = MIR_ERROR_INIT;
    auto_tarmaker maker;

    (void)state;
    tarmaker_init(&maker);
    tarmaker_file(&maker, HEX_A ".json", "{}");
    tarmaker_file(&maker, "manifest.json", "[]");
    tarmaker_end(&maker);
    tarmaker_write(&maker, path);
    assert_false(open_it(path, &err));
    assert_non_null(strstr(err.hint, "docker-archive"));
}

/* ---- many entries ---- */

static long max_resident_kib(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

#define MANY 1000000u

static void make_name(unsigned i, const char *separator, char name[100])
{
    (void)snprintf(name, 100, "%s%064x", separator, i * 2654435761u);
}

static void write_many(const char *path)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct mir_error err = MIR_ERROR_INIT;
    auto_tarmaker maker;
    char name[100];

    tarmaker_init(&maker);
    tarmaker_layout(&maker);
    for (unsigned i = 0; i < MANY; i++) {
        make_name(i, "blobs/sha256/", name);
        tarmaker_add(&maker, .name = name);
        if (maker.bytes.len < 1u << 20)
            continue;
        assert_true(mir_write_full(fd, mir_buf_span(&maker.bytes), &err));
        mir_buf_clear(&maker.bytes);
    }
    tarmaker_end(&maker);
    assert_true(mir_write_full(fd, mir_buf_span(&maker.bytes), &err));
}

/* Opening must neither take long nor much: 10^6 legal names are read, with some 200 bytes each. */
static void hostile_million_entries_stay_bounded(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/x.tar", dir);
    struct bundle_reader *reader = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    struct img_digest digest;
    struct timespec from, to;
    long before;
    char name[100];

    (void)state;
    write_many(path);
    before = max_resident_kib();
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    if (!bundle_reader_open(path, BUNDLE_FORM_TAR, &reader, &err))
        fail_msg("%s", err.text);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    make_name(MANY - 1, "sha256:", name);
    assert_true(img_digest_parse(mir_span_of(name), &digest, &err));
    assert_non_null(bundle_reader_find(reader, &digest));
    bundle_reader_close(reader);
    assert_true(to.tv_sec - from.tv_sec < 60); /* 3 s, and more under sanitizers */
    assert_true(max_resident_kib() - before < 512 * 1024);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hostile_entries_are_refused_and_odd_ones_read),
    cmocka_unit_test(hostile_duplicate_blobs_are_refused),
    cmocka_unit_test(hostile_pax_headers_get_no_further),
    cmocka_unit_test(hostile_chains_of_extensions_end),
    cmocka_unit_test(hostile_giant_extensions_are_not_loaded),
    cmocka_unit_test(hostile_cut_files_are_refused_wherever_they_are_cut),
    cmocka_unit_test(hostile_flipped_headers_are_refused),
    cmocka_unit_test(hostile_other_files_are_named_for_what_they_are),
    cmocka_unit_test(hostile_layout_files_are_refused),
    cmocka_unit_test(hostile_large_small_files_are_not_loaded),
    cmocka_unit_test(hostile_docker_archives_get_a_hint),
    cmocka_unit_test(hostile_million_entries_stay_bounded),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/hostile", tests, NULL, NULL);
}
