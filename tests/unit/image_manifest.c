/*
 * image/manifest: what manifests of the field become, which documents are none, and which children
 * of an index a platform takes.
 */
#include "image/manifest.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#define HEX16 "0123456789abcdef"
#define D1    "sha256:" HEX16 HEX16 HEX16 HEX16
#define D2    "sha256:ff23456789abcdef" HEX16 HEX16 HEX16
#define D3    "sha512:" HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16

#define DESC(type, digest, size)                                                                   \
    "{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":" size "}"
#define CONFIG DESC(IMG_TYPE_OCI_CONFIG, D1, "7")
#define LAYER  DESC("application/vnd.oci.image.layer.v1.tar+gzip", D2, "9")
#define CHILD  DESC(IMG_TYPE_OCI_MANIFEST, D1, "7")

struct good_row {
    const char *label;
    const char *text;
    const char *told; /* type the caller names */
    enum img_manifest_kind kind;
    const char *media_type;
    size_t count; /* layers or children */
};

#define IMAGE IMG_MANIFEST_KIND_IMAGE
#define INDEX IMG_MANIFEST_KIND_INDEX

static const struct good_row good_rows[] = {
    {"OCI image",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST "\",\"config\":" CONFIG
     ",\"layers\":[" LAYER "]}",
     NULL, IMAGE, IMG_TYPE_OCI_MANIFEST, 1},
    {"indented",
     "{\n   \"schemaVersion\": 2,\n   \"config\": " CONFIG ",\n   \"layers\": [\n      " LAYER
     ",\n      " LAYER "\n   ]\n}\n",
     NULL, IMAGE, IMG_TYPE_OCI_MANIFEST, 2},
    {"docker schema 2",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_DOCKER_MANIFEST
     "\",\"config\":" DESC(IMG_TYPE_DOCKER_CONFIG, D1, "7") ",\"layers\":[" LAYER "]}",
     IMG_TYPE_DOCKER_MANIFEST, IMAGE, IMG_TYPE_DOCKER_MANIFEST, 1},
    {"docker list",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_DOCKER_LIST
     "\",\"manifests\":[" DESC(IMG_TYPE_DOCKER_MANIFEST, D1, "7") "]}",
     NULL, INDEX, IMG_TYPE_DOCKER_LIST, 1},
    {"OCI index, type by shape", "{\"schemaVersion\":2,\"manifests\":[" CHILD "," CHILD "]}", NULL,
     INDEX, IMG_TYPE_OCI_INDEX, 2},
    {"type from the caller", "{\"schemaVersion\":2,\"manifests\":[" CHILD "]}",
     IMG_TYPE_DOCKER_LIST, INDEX, IMG_TYPE_DOCKER_LIST, 1},
    {"the type inside wins",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST "\",\"config\":" CONFIG
     ",\"layers\":[]}",
     IMG_TYPE_DOCKER_MANIFEST, IMAGE, IMG_TYPE_OCI_MANIFEST, 0},
    {"caller's type that says nothing", "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[]}",
     "text/plain; charset=utf-8", IMAGE, IMG_TYPE_OCI_MANIFEST, 0},
    {"empty index", "{\"schemaVersion\":2,\"manifests\":[]}", NULL, INDEX, IMG_TYPE_OCI_INDEX, 0},
    {"index with null children",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX "\",\"manifests\":null}", NULL,
     INDEX, IMG_TYPE_OCI_INDEX, 0},
    {"image with null layers", "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":null}", NULL,
     IMAGE, IMG_TYPE_OCI_MANIFEST, 0},
    {"unknown config and layer types",
     "{\"schemaVersion\":2,\"config\":" DESC(
         "application/vnd.x.conf+toml", D1,
         "0") ",\"layers\":[" DESC("text/x-anything", D3, "1125899906842624") ",{\"digest\":\"" D2
                                                                              "\",\"size\":3}]}",
     NULL, IMAGE, IMG_TYPE_OCI_MANIFEST, 2},
    {"artifact",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
     "\",\"artifactType\":\"application/vnd.x\",\"config\":{\"mediaType\":\"" IMG_TYPE_OCI_EMPTY
     "\",\"digest\":\"" D1 "\",\"size\":2,\"data\":\"e30=\"},\"layers\":[" LAYER "]}",
     NULL, IMAGE, IMG_TYPE_OCI_MANIFEST, 1},
    {"unknown type of manifest, shape of an image",
     "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.x+json\",\"config\":" CONFIG
     ",\"layers\":[" LAYER "]}",
     NULL, IMAGE, "application/vnd.x+json", 1},
    {"unknown members", "{\"schemaVersion\":2,\"x\":[{}],\"config\":" CONFIG ",\"layers\":[]}",
     NULL, IMAGE, IMG_TYPE_OCI_MANIFEST, 0},
};

static void check_good(const struct good_row *row)
{
    auto_manifest m = {.media_type = NULL};
    struct mir_error err = MIR_ERROR_INIT;
    size_t count;

    if (!img_manifest_parse(mir_span_of(row->text), row->told, &m, &err))
        fail_msg("%s: %s", row->label, err.text);
    count = m.kind == IMAGE ? m.layer_count : m.child_count;
    if (m.kind != row->kind || strcmp(m.media_type, row->media_type) != 0 || count != row->count)
        fail_msg("%s: kind %d, type %s, %zu", row->label, m.kind, m.media_type, count);
    if (m.kind == IMAGE && strcmp(m.config.digest.text, D1) != 0)
        fail_msg("%s: config %s", row->label, m.config.digest.text);
}

static void manifest_parse_reads_manifests_of_the_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_rows) / sizeof(good_rows[0]); i++)
        check_good(&good_rows[i]);
}

static void manifest_parse_reads_all_of_a_descriptor(void **state)
{
    static const char text[] =
        "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"mediaType\":"
        "\"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\",\"digest\":\"" D3
        "\",\"size\":12,\"urls\":[\"https://x/1\",\"https://y/2\"],"
        "\"annotations\":{\"k\":\"v\"},\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\","
        "\"variant\":\"v7\",\"os.features\":[\"x\"]}}],\"subject\":" CHILD "}";
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest m = {.media_type = NULL};
    auto_descriptor layer = {.media_type = NULL};

    (void)state;
    assert_true(img_manifest_parse(mir_span_of(text), NULL, &m, &err));
    img_descriptor_copy(&m.layers[0], &layer);
    assert_true(m.has_subject);
    assert_string_equal(m.subject.digest.text, D1);
    img_manifest_release(&m);
    assert_string_equal(layer.digest.text, D3);
    assert_int_equal(layer.size, 12);
    assert_true(img_type_is_nondistributable(layer.media_type));
    assert_int_equal(layer.url_count, 2);
    assert_string_equal(layer.urls[1], "https://y/2");
    assert_string_equal(img_descriptor_annotation(&layer, "k"), "v");
    assert_null(img_descriptor_annotation(&layer, "other"));
    assert_true(layer.has_platform);
    assert_string_equal(layer.platform.variant, "v7");
}

struct bad_row {
    const char *label;
    const char *text;
    const char *told;
    enum mir_code code;
    const char *says;
};

#define OF_LAYER(layer) "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" layer "]}"

static const struct bad_row bad_rows[] = {
    {"empty", "", NULL, MIR_E_FORMAT, ""},
    {"not JSON", "<html>", NULL, MIR_E_FORMAT, ""},
    {"cut", "{\"schemaVersion\":2,\"config\":", NULL, MIR_E_FORMAT, ""},
    {"text after the end", "{\"schemaVersion\":2,\"manifests\":[]} x", NULL, MIR_E_FORMAT, ""},
    {"array", "[]", NULL, MIR_E_FORMAT, "not a JSON object"},
    {"string", "\"x\"", NULL, MIR_E_FORMAT, "not a JSON object"},
    {"nothing of it", "{\"schemaVersion\":2}", NULL, MIR_E_FORMAT, "neither"},
    {"no version", "{\"manifests\":[]}", NULL, MIR_E_FORMAT, "schemaVersion"},
    {"version 3", "{\"schemaVersion\":3,\"manifests\":[]}", NULL, MIR_E_FORMAT, "schemaVersion"},
    {"version as a string", "{\"schemaVersion\":\"2\",\"manifests\":[]}", NULL, MIR_E_FORMAT,
     "schemaVersion"},
    {"duplicate key", "{\"schemaVersion\":2,\"manifests\":[" CHILD "],\"manifests\":[]}", NULL,
     MIR_E_FORMAT, ""},
    {"duplicate key in a descriptor",
     OF_LAYER("{\"digest\":\"" D1 "\",\"digest\":\"" D2 "\",\"size\":1}"), NULL, MIR_E_FORMAT, ""},
    {"layers and manifests",
     "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"manifests\":[]}", NULL,
     MIR_E_FORMAT, "ambiguous"},
    {"config and manifests", "{\"schemaVersion\":2,\"config\":" CONFIG ",\"manifests\":[]}", NULL,
     MIR_E_FORMAT, "ambiguous"},
    {"layers in other letters",
     "{\"schemaVersion\":2,\"manifests\":[],\"Layers\":[" LAYER "],\"Config\":" CONFIG "}", NULL,
     MIR_E_FORMAT, "some clients take it"},
    {"digest in other letters",
     OF_LAYER("{\"digest\":\"" D1 "\",\"Digest\":\"" D2 "\",\"size\":1}"), NULL, MIR_E_FORMAT,
     "'Digest'"},
    {"called an index, image inside",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX "\",\"config\":" CONFIG
     ",\"layers\":[]}",
     NULL, MIR_E_FORMAT, "called an index"},
    {"called an image, index inside",
     "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_DOCKER_MANIFEST "\",\"manifests\":[]}", NULL,
     MIR_E_FORMAT, "called an image"},
    {"told an index, image inside", "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[]}",
     IMG_TYPE_DOCKER_LIST, MIR_E_FORMAT, "called an index"},
    {"mediaType not a string", "{\"schemaVersion\":2,\"mediaType\":5,\"manifests\":[]}", NULL,
     MIR_E_FORMAT, "mediaType is not a string"},
    {"mediaType with a line break",
     "{\"schemaVersion\":2,\"mediaType\":\"a/b\\r\\nX: y\",\"manifests\":[]}", NULL, MIR_E_FORMAT,
     "control"},
    {"schema 1",
     "{\"schemaVersion\":1,\"name\":\"a\",\"tag\":\"b\",\"fsLayers\":[],\"history\":[]}", NULL,
     MIR_E_UNSUPPORTED, "schema 1"},
    {"schema 1 by type", "{\"schemaVersion\":1}", IMG_TYPE_DOCKER_SCHEMA1_SIGNED, MIR_E_UNSUPPORTED,
     "schema 1"},
    {"withdrawn artifact manifest",
     "{\"mediaType\":\"application/vnd.oci.artifact.manifest.v1+json\",\"blobs\":[]}", NULL,
     MIR_E_UNSUPPORTED, "artifact"},
    {"config missing", "{\"schemaVersion\":2,\"layers\":[" LAYER "]}", NULL, MIR_E_FORMAT,
     "config is missing"},
    {"config not an object", "{\"schemaVersion\":2,\"config\":\"x\",\"layers\":[]}", NULL,
     MIR_E_FORMAT, "config: a descriptor"},
    {"layers not an array", "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":{}}", NULL,
     MIR_E_FORMAT, "layers is not an array"},
    {"manifests not an array", "{\"schemaVersion\":2,\"manifests\":{}}", NULL, MIR_E_FORMAT,
     "manifests is not an array"},
    {"layer null", OF_LAYER("null"), NULL, MIR_E_FORMAT, "layers[0]"},
    {"subject wrong", "{\"schemaVersion\":2,\"manifests\":[],\"subject\":{}}", NULL, MIR_E_FORMAT,
     "subject: digest"},
    {"digest missing", OF_LAYER("{\"size\":1}"), NULL, MIR_E_FORMAT, "layers[0]: digest"},
    {"digest a number", OF_LAYER("{\"digest\":1,\"size\":1}"), NULL, MIR_E_FORMAT, "digest"},
    {"digest upper-case", OF_LAYER("{\"digest\":\"SHA256:00\",\"size\":1}"), NULL, MIR_E_FORMAT,
     "layers[0]"},
    {"digest of another algorithm", OF_LAYER("{\"digest\":\"md5:00\",\"size\":1}"), NULL,
     MIR_E_UNSUPPORTED, "layers[0]"},
    {"size missing", OF_LAYER("{\"digest\":\"" D1 "\"}"), NULL, MIR_E_FORMAT, "size"},
    {"size negative", OF_LAYER(LAYER "," DESC("x/y", D1, "-1")), NULL, MIR_E_FORMAT,
     "layers[1]: size -1 is negative"},
    {"size a fraction", OF_LAYER(DESC("x/y", D1, "1.5")), NULL, MIR_E_FORMAT, "size"},
    {"size with an exponent", OF_LAYER(DESC("x/y", D1, "1e3")), NULL, MIR_E_FORMAT, "size"},
    {"size a string", OF_LAYER(DESC("x/y", D1, "\"1\"")), NULL, MIR_E_FORMAT, "size"},
    {"size over the limit", OF_LAYER(DESC("x/y", D1, "1125899906842625")), NULL, MIR_E_LIMIT,
     "size"},
    {"size over 63 bits", OF_LAYER(DESC("x/y", D1, "9223372036854775808")), NULL, MIR_E_FORMAT, ""},
    {"size over 64 bits", OF_LAYER(DESC("x/y", D1, "99999999999999999999")), NULL, MIR_E_FORMAT,
     ""},
    {"layer type not a string", OF_LAYER("{\"mediaType\":{},\"digest\":\"" D1 "\",\"size\":1}"),
     NULL, MIR_E_FORMAT, "layers[0]: mediaType"},
    {"annotations not an object", OF_LAYER("{\"annotations\":[],\"digest\":\"" D1 "\",\"size\":1}"),
     NULL, MIR_E_FORMAT, "annotations"},
    {"annotation not a string",
     OF_LAYER("{\"annotations\":{\"a\":1},\"digest\":\"" D1 "\",\"size\":1}"), NULL, MIR_E_FORMAT,
     "annotation 'a'"},
    {"urls not an array", OF_LAYER("{\"urls\":\"x\",\"digest\":\"" D1 "\",\"size\":1}"), NULL,
     MIR_E_FORMAT, "urls"},
    {"url not a string", OF_LAYER("{\"urls\":[\"a\",1],\"digest\":\"" D1 "\",\"size\":1}"), NULL,
     MIR_E_FORMAT, "urls"},
    {"url with a line break",
     OF_LAYER("{\"urls\":[\"http://a/\\n\"],\"digest\":\"" D1 "\",\"size\":1}"), NULL, MIR_E_FORMAT,
     "urls"},
    {"platform not an object", OF_LAYER("{\"platform\":\"x\",\"digest\":\"" D1 "\",\"size\":1}"),
     NULL, MIR_E_FORMAT, "platform"},
    {"platform too long",
     OF_LAYER("{\"platform\":{\"os\":\"" HEX16 HEX16 "\"},\"digest\":\"" D1 "\",\"size\":1}"), NULL,
     MIR_E_FORMAT, "platform: os"},
    {"NUL in a string", OF_LAYER("{\"mediaType\":\"a\\u0000b\",\"digest\":\"" D1 "\",\"size\":1}"),
     NULL, MIR_E_FORMAT, ""},
};

static void manifest_parse_refuses_what_is_no_manifest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
        const struct bad_row *row = &bad_rows[i];
        struct img_manifest m = {.media_type = NULL};
        struct mir_error err = MIR_ERROR_INIT;

        if (img_manifest_parse(mir_span_of(row->text), row->told, &m, &err))
            fail_msg("%s: was taken", row->label);
        if (err.code != row->code || !strstr(err.text, row->says))
            fail_msg("%s: code %d: %s", row->label, err.code, err.text);
        if (m.media_type)
            fail_msg("%s: out was written", row->label);
        if (err.code == MIR_E_UNSUPPORTED && strstr(row->says, "schema 1") && !err.hint[0])
            fail_msg("%s: no hint", row->label);
    }
}

static char *manifest_of_layers(size_t count)
{
    struct mir_buf text;

    mir_buf_init(&text, 64u << 20);
    mir_buf_text(&text, "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[");
    for (size_t i = 0; i < count; i++)
        mir_buf_printf(&text, "%s{\"digest\":\"%s\",\"size\":%zu}", i ? "," : "", D1, i);
    mir_buf_text(&text, "]}");
    return mir_buf_take(&text);
}

static void manifest_parse_bounds_the_number_of_descriptors(void **state)
{
    auto_free char *most = manifest_of_layers(IMG_DESCRIPTORS_MAX);
    auto_free char *over = manifest_of_layers(IMG_DESCRIPTORS_MAX + 1);
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest m = {.media_type = NULL};

    (void)state;
    assert_false(img_manifest_parse(mir_span_of(over), NULL, &m, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    mir_error_clear(&err);
    assert_true(img_manifest_parse(mir_span_of(most), NULL, &m, &err));
    assert_int_equal(m.layer_count, IMG_DESCRIPTORS_MAX);
    assert_int_equal(m.layers[IMG_DESCRIPTORS_MAX - 1].size, IMG_DESCRIPTORS_MAX - 1);
}

static void manifest_parse_bounds_the_bytes(void **state)
{
    static const char start[] = "{\"schemaVersion\":2,\"manifests\":[]}";
    auto_free char *text = mir_alloc(IMG_MANIFEST_BYTES_MAX + 1);
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest m = {.media_type = NULL};

    (void)state;
    memset(text, ' ', IMG_MANIFEST_BYTES_MAX + 1);
    memcpy(text, start, sizeof(start) - 1);
    assert_false(img_manifest_parse(mir_span(text, IMG_MANIFEST_BYTES_MAX + 1), NULL, &m, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    mir_error_clear(&err);
    assert_true(img_manifest_parse(mir_span(text, IMG_MANIFEST_BYTES_MAX), NULL, &m, &err));
}

static void manifest_parse_bounds_the_depth(void **state)
{
    auto_free char *text = mir_alloc(200002);
    struct mir_error err = MIR_ERROR_INIT;
    struct img_manifest m;

    (void)state;
    memset(text, '[', 200000);
    assert_false(img_manifest_parse(mir_span(text, 200000), NULL, &m, &err));
}

struct label_row {
    const char *label;
    const char *text;
    const char *artifact_type;
    const char *annotation; /* value of "k"; NULL: none */
};

static const struct label_row label_rows[] = {
    {"artifactType",
     "{\"schemaVersion\":2,\"artifactType\":\"a/b\",\"config\":" CONFIG
     ",\"annotations\":{\"k\":\"v\"}}",
     "a/b", "v"},
    {"type of the config", "{\"schemaVersion\":2,\"config\":" CONFIG "}", IMG_TYPE_OCI_CONFIG,
     NULL},
    {"plain index", "{\"schemaVersion\":2,\"manifests\":[]}", "", NULL},
    {"index with a type", "{\"schemaVersion\":2,\"artifactType\":\"a/b\",\"manifests\":[]}", "a/b",
     NULL},
    {"of wrong types, which does not matter",
     "{\"schemaVersion\":2,\"artifactType\":7,\"annotations\":[1],\"manifests\":[]}", "", NULL},
};

static void manifest_parse_keeps_what_referrers_show(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(label_rows) / sizeof(label_rows[0]); i++) {
        const struct label_row *row = &label_rows[i];
        struct mir_error err = MIR_ERROR_INIT;
        auto_manifest m = {.media_type = NULL};
        const char *value;

        if (!img_manifest_parse(mir_span_of(row->text), NULL, &m, &err))
            fail_msg("%s: %s", row->label, err.text);
        value = json_string_value(json_object_get(m.annotations, "k"));
        if (strcmp(m.artifact_type, row->artifact_type) != 0 ||
            (value == NULL) != (row->annotation == NULL) ||
            (value && strcmp(value, row->annotation) != 0))
            fail_msg("%s: type %s, k %s", row->label, m.artifact_type, value ? value : "absent");
    }
}

/* ---- choosing children ---- */

#define PLATFORM(os, arch) "\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define D(c)               "sha256:" c "123456789abcdef" HEX16 HEX16 HEX16
#define CHILD_OF(digest, more)                                                                     \
    "{\"mediaType\":\"x/y\",\"digest\":\"" digest "\",\"size\":1," more "}"

static const char index_text[] =
    "{\"schemaVersion\":2,\"manifests\":[" CHILD_OF(D("a"), PLATFORM("linux", "amd64")) "," CHILD_OF(D("b"), PLATFORM("linux", "arm64")) "," CHILD_OF(
        D("c"),
        PLATFORM(
            "unknown",
            "unknown") ",\"annotations\":{"
                       "\"vnd.docker.reference.type\":\"attestation-manifest\","
                       "\"vnd.docker.reference.digest\":\"" D(
                           "a") "\"}") "," CHILD_OF(D("d"),
                                                    PLATFORM(
                                                        "unknown",
                                                        "unknown") ",\"annotations\":{"
                                                                   "\"vnd.docker.reference.type\":"
                                                                   "\"attestation-manifest\","
                                                                   "\"vnd.docker.reference."
                                                                   "digest\":\"" D(
                                                                       "b") "\"}") "," CHILD_OF(D("e"),
                                                                                                "\""
                                                                                                "ar"
                                                                                                "ti"
                                                                                                "fa"
                                                                                                "ct"
                                                                                                "Ty"
                                                                                                "pe"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "x/"
                                                                                                "z"
                                                                                                "\"") ","
                                                                                                      "{\"mediaType\":\"" IMG_TYPE_OCI_INDEX
                                                                                                      "\",\"digest\":\"" D("f") "\",\"size\":1}," CHILD_OF(
                                                                                                          D("0"),
                                                                                                          PLATFORM(
                                                                                                              "unknown",
                                                                                                              "unknown")) "]}";

struct select_row {
    const char *wants[3];
    const char *kept; /* one letter a child */
};

static const struct select_row select_rows[] = {
    {{NULL}, "yyyyyyy"},
    {{"linux/amd64"}, "y-y--y-"},
    {{"linux/arm64/v8"}, "-y-y-y-"},
    {{"linux/arm64", "linux/amd64"}, "yyyy-y-"},
    {{"linux/s390x"}, "-----y-"},
    {{"unknown/unknown"}, "--yy-yy"},
};

static void check_select(const struct img_manifest *index, const struct select_row *row)
{
    struct img_platform wants[3];
    struct mir_error err = MIR_ERROR_INIT;
    bool keep[7];
    size_t count = 0;

    for (; row->wants[count]; count++)
        assert_true(img_platform_parse(mir_span_of(row->wants[count]), &wants[count], &err));
    img_manifest_select(index, wants, count, keep);
    for (size_t i = 0; i < 7; i++) {
        if (keep[i] != (row->kept[i] == 'y'))
            fail_msg("%s: child %zu", row->wants[0] ? row->wants[0] : "no wants", i);
    }
}

static void manifest_select_keeps_platforms_and_their_attestations(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest index = {.media_type = NULL};

    (void)state;
    assert_true(img_manifest_parse(mir_span_of(index_text), NULL, &index, &err));
    assert_int_equal(index.child_count, 7);
    for (size_t i = 0; i < sizeof(select_rows) / sizeof(select_rows[0]); i++)
        check_select(&index, &select_rows[i]);
}

static void attestations_are_told_from_images(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_manifest index = {.media_type = NULL};

    (void)state;
    assert_true(img_manifest_parse(mir_span_of(index_text), NULL, &index, &err));
    assert_false(img_is_attestation(&index.children[0]));
    assert_true(img_is_attestation(&index.children[2]));
    assert_false(img_is_attestation(&index.children[4]));
    assert_false(img_is_attestation(&index.children[6])); /* unknown/unknown, but speaks of none */
}

static void types_are_told_apart(void **state)
{
    (void)state;
    assert_true(img_type_is_index(IMG_TYPE_OCI_INDEX));
    assert_true(img_type_is_index(IMG_TYPE_DOCKER_LIST));
    assert_false(img_type_is_index(IMG_TYPE_OCI_MANIFEST));
    assert_true(img_type_is_manifest(IMG_TYPE_DOCKER_MANIFEST));
    assert_false(img_type_is_manifest(IMG_TYPE_DOCKER_SCHEMA1));
    assert_true(img_type_is_schema1(IMG_TYPE_DOCKER_SCHEMA1_SIGNED));
    assert_false(img_type_is_schema1(""));
    assert_true(img_type_is_nondistributable(
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"));
    assert_false(img_type_is_nondistributable("application/vnd.oci.image.layer.v1.tar+zstd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest_parse_reads_manifests_of_the_field),
        cmocka_unit_test(manifest_parse_reads_all_of_a_descriptor),
        cmocka_unit_test(manifest_parse_refuses_what_is_no_manifest),
        cmocka_unit_test(manifest_parse_bounds_the_number_of_descriptors),
        cmocka_unit_test(manifest_parse_bounds_the_bytes),
        cmocka_unit_test(manifest_parse_bounds_the_depth),
        cmocka_unit_test(manifest_parse_keeps_what_referrers_show),
        cmocka_unit_test(manifest_select_keeps_platforms_and_their_attestations),
        cmocka_unit_test(attestations_are_told_from_images),
        cmocka_unit_test(types_are_told_apart),
    };

    return cmocka_run_group_tests_name("image/manifest", tests, NULL, NULL);
}
