/*
 * mkimages DIR SET [OPTIONS]: an OCI layout with images as they occur in the field, for scripts.
 *
 * Called by tests/lib/test.sh (images). Same arguments, same digests, on every run. Prints one
 * line "NAME DIGEST" for each image; names are REPOSITORY:TAG below registry.example.invalid, a
 * host that cannot exist.
 *
 * Sets: odd    one image of every kind that a mirror has to carry (see odd_kinds and make_signed)
 *       plain  app:1 (two platforms), app:2 and base:1, which share layers
 *       many   --count images (default 100), item/N:1, of up to --layers layers (default 3)
 *       big    one image, big/image:1, of --layers layers (default 8) of --layer-bytes each
 * Options: --layer-bytes N, --layers N, --count N, --seed N.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "lib/fixture.h"

#define HOST            "registry.example.invalid"
#define FOREIGN_LAYER   "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
#define EMPTY_TYPE      "application/vnd.oci.empty.v1+json"
#define MANIFEST_MAX    65536
#define COUNT(elements) (sizeof(elements) / sizeof(*(elements)))

struct options {
    uint64_t layer_bytes;
    uint64_t layers;
    uint64_t count;
    uint64_t seed;
};

struct maker {
    struct fixture *fixture;
    struct options options;
};

typedef struct fixture_item make_fn(const struct maker *m);

static void name_item(const struct maker *m, const char *repo, const char *tag,
                      const struct fixture_item *item)
{
    auto_free char *name = mir_format(HOST "/%s:%s", repo, tag);

    fixture_name(m->fixture, name, item);
    printf("%s %s\n", name, item->digest.text);
}

/* ---- one of each kind ---- */

static struct fixture_item make_single(const struct maker *m)
{
    return fixture_image(m->fixture, .layers = 2, .seed = 1);
}

static struct fixture_item make_multi(const struct maker *m)
{
    struct fixture_item children[] = {
        fixture_image(m->fixture, .arch = "amd64", .seed = 2),
        fixture_image(m->fixture, .arch = "arm64", .variant = "v8", .seed = 3),
        fixture_image(m->fixture, .arch = "s390x", .seed = 4),
    };

    return fixture_index(m->fixture, .children = children, .child_count = COUNT(children));
}

static struct fixture_item make_nested(const struct maker *m)
{
    struct fixture_item inner[] = {make_multi(m),
                                   fixture_image(m->fixture, .arch = "riscv64", .seed = 5)};
    struct fixture_item outer[] = {
        fixture_index(m->fixture, .children = inner, .child_count = COUNT(inner)),
        fixture_image(m->fixture, .arch = "ppc64le", .seed = 5),
    };

    return fixture_index(m->fixture, .children = outer, .child_count = COUNT(outer),
                         .annotation = "outermost");
}

static struct fixture_item make_list(const struct maker *m)
{
    struct fixture_item children[] = {
        fixture_image(m->fixture, .docker = true, .arch = "amd64", .seed = 6),
        fixture_image(m->fixture, .docker = true, .arch = "arm", .variant = "v7", .seed = 7),
    };

    return fixture_index(m->fixture, .docker = true, .children = children,
                         .child_count = COUNT(children));
}

static struct fixture_item make_schema2(const struct maker *m)
{
    return fixture_image(m->fixture, .docker = true, .layers = 3, .seed = 8);
}

/* An image stored in a list of the other family, as some builders do. */
static struct fixture_item make_mixed(const struct maker *m)
{
    struct fixture_item children[] = {
        fixture_image(m->fixture, .docker = true, .seed = 9),
        fixture_image(m->fixture, .arch = "arm64", .seed = 10),
    };

    return fixture_index(m->fixture, .children = children, .child_count = COUNT(children));
}

static struct fixture_item make_artifact(const struct maker *m)
{
    return fixture_artifact(m->fixture, .type = "application/vnd.example.sbom");
}

static struct fixture_item make_chart(const struct maker *m)
{
    return fixture_image(m->fixture, .config_type = "application/vnd.cncf.helm.config.v1+json",
                         .layer_type = "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                         .seed = 11);
}

static struct fixture_item make_unknown(const struct maker *m)
{
    return fixture_image(m->fixture, .config_type = "application/vnd.example.unheard-of.v7",
                         .layer_type = "text/x.nobody+knows; really=yes", .layers = 2, .seed = 12);
}

static struct fixture_item make_zstd(const struct maker *m)
{
    return fixture_image(m->fixture, .packing = FIXTURE_PACKING_ZSTD, .layers = 2, .seed = 13);
}

static struct fixture_item make_uncompressed(const struct maker *m)
{
    return fixture_image(m->fixture, .packing = FIXTURE_PACKING_NONE, .seed = 14);
}

static struct fixture_item make_foreign(const struct maker *m)
{
    return fixture_image(m->fixture, .foreign = true, .seed = 15);
}

static struct fixture_item make_docker_foreign(const struct maker *m)
{
    return fixture_image(m->fixture, .foreign = true, .docker = true, .seed = 16);
}

/* Non-distributable, with an url, and held by the registry all the same. */
static struct fixture_item make_foreign_held(const struct maker *m)
{
    struct fixture_item layer =
        fixture_blob(m->fixture, FOREIGN_LAYER, mir_span_of("a layer with a licence"));
    struct fixture_item config =
        fixture_blob(m->fixture, IMG_TYPE_OCI_CONFIG,
                     mir_span_of("{\"architecture\":\"amd64\",\"os\":\"windows\"}"));
    auto_buf json;

    mir_buf_init(&json, MANIFEST_MAX);
    mir_buf_printf(&json,
                   "{\"schemaVersion\":2,\"mediaType\":\"%s\","
                   "\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%" PRIu64 "},"
                   "\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%" PRIu64 ","
                   "\"urls\":[\"http://layers.example.com/licensed\"]}]}",
                   IMG_TYPE_OCI_MANIFEST, config.media_type, config.digest.text, config.size,
                   layer.media_type, layer.digest.text, layer.size);
    return fixture_blob(m->fixture, IMG_TYPE_OCI_MANIFEST, mir_buf_span(&json));
}

static struct fixture_item make_attested(const struct maker *m)
{
    struct fixture_item children[4] = {
        fixture_image(m->fixture, .arch = "amd64", .seed = 17),
        fixture_image(m->fixture, .arch = "arm64", .seed = 18),
    };

    children[2] = fixture_attestation(m->fixture, &children[0]);
    children[3] = fixture_attestation(m->fixture, &children[1]);
    return fixture_index(m->fixture, .children = children, .child_count = COUNT(children));
}

static struct fixture_item make_untyped(const struct maker *m)
{
    struct fixture_item child = fixture_image(m->fixture, .no_media_type = true, .seed = 19);

    return fixture_index(m->fixture, .children = &child, .child_count = 1, .no_media_type = true);
}

static struct fixture_item make_untyped_image(const struct maker *m)
{
    return fixture_image(m->fixture, .no_media_type = true, .seed = 20);
}

static struct fixture_item make_indented(const struct maker *m)
{
    return fixture_image(m->fixture, .indented = true, .layers = 2, .seed = 21);
}

static struct fixture_item make_layers(const struct maker *m)
{
    return fixture_image(m->fixture, .layers = 127, .layer_bytes = 200, .seed = 22);
}

static struct fixture_item make_empty(const struct maker *m)
{
    return fixture_image(m->fixture, .no_layers = true, .seed = 23);
}

static struct fixture_item make_shared_a(const struct maker *m)
{
    return fixture_image(m->fixture, .layers = 3, .seed = 24, .annotation = "a");
}

static struct fixture_item make_shared_b(const struct maker *m)
{
    return fixture_image(m->fixture, .layers = 4, .seed = 24, .annotation = "b");
}

static struct fixture_item make_referrer(const struct maker *m)
{
    struct fixture_item subject = make_single(m);

    return fixture_artifact(m->fixture, .type = "application/vnd.example.signature",
                            .subject = &subject);
}

/* An image whose layers are one and the same, twice. */
static struct fixture_item make_duplicate(const struct maker *m)
{
    const struct fixture_layer_args twice[] = {{.bytes = 3000, .seed = 25},
                                               {.bytes = 3000, .seed = 25}};

    return fixture_image(m->fixture, .own_layers = twice, .own_layer_count = COUNT(twice));
}

/* An artifact that is all in its manifest: its config and its layer are the empty blob "{}", and
 * the config's bytes stand in its descriptor. */
static struct fixture_item make_blank_artifact(const struct maker *m)
{
    struct fixture_item empty = fixture_blob(m->fixture, EMPTY_TYPE, mir_span_of("{}"));
    auto_buf json;

    mir_buf_init(&json, MANIFEST_MAX);
    mir_buf_printf(&json,
                   "{\"schemaVersion\":2,\"mediaType\":\"%s\","
                   "\"artifactType\":\"application/vnd.example.blank\","
                   "\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":2,"
                   "\"data\":\"e30=\"},"
                   "\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":2}]}",
                   IMG_TYPE_OCI_MANIFEST, EMPTY_TYPE, empty.digest.text, EMPTY_TYPE,
                   empty.digest.text);
    return fixture_blob(m->fixture, IMG_TYPE_OCI_MANIFEST, mir_buf_span(&json));
}

static const struct {
    const char *repo;
    make_fn *make;
} odd_kinds[] = {
    {"odd/single", make_single},
    {"odd/multi", make_multi},
    {"odd/nested", make_nested},
    {"odd/list", make_list},
    {"odd/schema2", make_schema2},
    {"odd/mixed", make_mixed},
    {"odd/artifact", make_artifact},
    {"odd/chart", make_chart},
    {"odd/unknown", make_unknown},
    {"odd/zstd", make_zstd},
    {"odd/uncompressed", make_uncompressed},
    {"odd/foreign", make_foreign},
    {"odd/docker-foreign", make_docker_foreign},
    {"odd/foreign-held", make_foreign_held},
    {"odd/attested", make_attested},
    {"odd/untyped", make_untyped},
    {"odd/untyped-image", make_untyped_image},
    {"odd/indented", make_indented},
    {"odd/layers", make_layers},
    {"odd/empty", make_empty},
    {"odd/shared-a", make_shared_a},
    {"odd/shared-b", make_shared_b},
    {"odd/referrer", make_referrer},
    {"odd/duplicate", make_duplicate},
    {"odd/blank-artifact", make_blank_artifact},
};

/* What signing tools put beside an image: a signature under a tag made of the image's digest, and
 * for registries without the referrers API an index of all that refers to it, under another. */
static void make_signed(const struct maker *m)
{
    struct fixture_item image = fixture_image(m->fixture, .layers = 2, .seed = 26);
    struct fixture_item signature =
        fixture_image(m->fixture, .layer_type = "application/vnd.dev.cosign.simplesigning.v1+json",
                      .packing = FIXTURE_PACKING_NONE, .seed = 27);
    struct fixture_item referrers[] = {
        fixture_artifact(m->fixture, .type = "application/spdx+json",
                         .content = "a bill of material", .subject = &image),
        fixture_artifact(m->fixture, .type = "application/vnd.example.signature",
                         .content = "a signature", .subject = &image),
    };
    struct fixture_item index =
        fixture_index(m->fixture, .children = referrers, .child_count = COUNT(referrers));
    auto_free char *tag = mir_format("sha256-%s", img_digest_hex(&image.digest));
    auto_free char *signature_tag = mir_format("%s.sig", tag);

    name_item(m, "odd/signed", "1", &image);
    name_item(m, "odd/signed", signature_tag, &signature);
    name_item(m, "odd/signed", tag, &index);
}

/* ---- the sets ---- */

static void set_odd(const struct maker *m)
{
    for (size_t i = 0; i < COUNT(odd_kinds); i++) {
        struct fixture_item item = odd_kinds[i].make(m);

        name_item(m, odd_kinds[i].repo, "1", &item);
    }
    make_signed(m);
}

static void set_plain(const struct maker *m)
{
    unsigned seed = (unsigned)m->options.seed;
    uint64_t bytes = m->options.layer_bytes;
    struct fixture_item platforms[] = {
        fixture_image(m->fixture, .arch = "amd64", .layers = 2, .seed = seed, .layer_bytes = bytes),
        fixture_image(m->fixture, .arch = "arm64", .layers = 2, .seed = seed + 1,
                      .layer_bytes = bytes),
    };
    struct fixture_item app1 =
        fixture_index(m->fixture, .children = platforms, .child_count = COUNT(platforms));
    struct fixture_item app2 = fixture_image(m->fixture, .layers = 3, .seed = seed,
                                             .layer_bytes = bytes, .annotation = "second");
    struct fixture_item base = fixture_image(m->fixture, .layers = 1, .seed = seed,
                                             .layer_bytes = bytes, .annotation = "base");

    name_item(m, "team/app", "1", &app1);
    name_item(m, "team/app", "2", &app2);
    name_item(m, "base", "1", &base);
}

/* Four neighbours share layers, as images built on one base do. */
static void set_many(const struct maker *m)
{
    uint64_t count = m->options.count ? m->options.count : 100;
    uint64_t layers = m->options.layers ? m->options.layers : 3;

    for (uint64_t i = 0; i < count; i++) {
        auto_free char *repo = mir_format("item/%" PRIu64, i);
        auto_free char *note = mir_format("%" PRIu64, i);
        struct fixture_item item =
            fixture_image(m->fixture, .seed = (unsigned)(m->options.seed + i / 4),
                          .layers = (unsigned)(1 + i % layers),
                          .layer_bytes = m->options.layer_bytes, .annotation = note);

        name_item(m, repo, "1", &item);
    }
}

static void set_big(const struct maker *m)
{
    uint64_t layers = m->options.layers ? m->options.layers : 8;
    uint64_t bytes = m->options.layer_bytes ? m->options.layer_bytes : 1 << 20;
    struct fixture_item item =
        fixture_image(m->fixture, .layers = (unsigned)layers, .layer_bytes = bytes,
                      .packing = FIXTURE_PACKING_NONE, .seed = (unsigned)m->options.seed + 100);

    name_item(m, "big/image", "1", &item);
}

static const struct {
    const char *name;
    void (*make)(const struct maker *m);
} sets[] = {{"odd", set_odd}, {"plain", set_plain}, {"many", set_many}, {"big", set_big}};

/* ---- the command line ---- */

static bool parse_option(const char *name, const char *value, struct options *options)
{
    struct {
        const char *name;
        uint64_t *value;
    } known[] = {{"--layer-bytes", &options->layer_bytes},
                 {"--layers", &options->layers},
                 {"--count", &options->count},
                 {"--seed", &options->seed}};

    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcmp(name, known[i].name) == 0)
            return mir_parse_u64(mir_span_of(value), UINT64_MAX, known[i].value);
    }
    return false;
}

int main(int argc, char **argv)
{
    struct maker m = {.options = {.layers = 0}};

    if (argc < 3 || argc % 2 == 0) {
        fputs("usage: mkimages DIR SET [--layer-bytes N] [--layers N] [--count N] [--seed N]\n",
              stderr);
        return 2;
    }
    for (int i = 3; i < argc; i += 2) {
        if (!parse_option(argv[i], argv[i + 1], &m.options)) {
            fprintf(stderr, "mkimages: %s %s is not an option\n", argv[i], argv[i + 1]);
            return 2;
        }
    }
    for (size_t i = 0; i < COUNT(sets); i++) {
        if (strcmp(argv[2], sets[i].name) != 0)
            continue;
        m.fixture = fixture_new(argv[1]);
        sets[i].make(&m);
        fixture_free(m.fixture);
        return 0;
    }
    fprintf(stderr, "mkimages: there is no set %s\n", argv[2]);
    return 2;
}
