/*
 * benchimages DIR SET PERCENT: what "make bench" moves: an OCI layout, and a line
 * "REPOSITORY:TAG DIGEST" on standard output for each image.
 *
 * Called by tests/bench/lib/material.sh. Same arguments, same bytes, on every run. At 100 percent:
 *
 *     big    6 images in 6 repositories, 8 layers each from 1 KiB to 300 MiB, three of them
 *            shared by all: 39 blobs, 1.4 GiB. PERCENT scales the layers.
 *     many   200 images in 40 repositories, 5 layers of 10 to 200 KiB, three of them shared with
 *            the images of every fourth repository; every second repository is docker schema 2:
 *            612 blobs. PERCENT scales the number of images.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "lib/fixture.h"
#include "lib/scratch.h"

#define KIB                 1024ull
#define MIB                 (1024 * KIB)
#define BIG_IMAGES          6
#define MANY_IMAGES         200
#define MANY_PER_REPOSITORY 5
#define MANY_BASES          4
#define SHARED_LAYERS       3
#define LAYERS_MAX          8
#define PERCENT_MAX         1000
#define COUNT(elements)     (sizeof(elements) / sizeof(*(elements)))

struct maker {
    struct fixture *fixture;
    uint64_t percent;
};

static void add_image(const struct maker *m, const char *repo, uint64_t number, bool docker,
                      const struct fixture_layer_args *layers, size_t count)
{
    auto_free char *note = mir_format("%" PRIu64, number);
    auto_free char *tag = mir_format("v%" PRIu64, number);
    auto_free char *name = mir_format("registry.example.invalid/%s:%s", repo, tag);
    struct fixture_item item =
        fixture_image(m->fixture, .own_layers = layers, .own_layer_count = count, .docker = docker,
                      .packing = FIXTURE_PACKING_STORED, .annotation = note);

    fixture_name(m->fixture, name, &item);
    printf("%s:%s %s\n", repo, tag, item.digest.text);
}

static void make_big(const struct maker *m)
{
    static const uint64_t shared[SHARED_LAYERS] = {75 * MIB, 20 * MIB, KIB};
    static const uint64_t largest[BIG_IMAGES] = {300, 180, 120, 100, 60, 40};
    static const uint64_t others[] = {60 * MIB, 24 * MIB, 6 * MIB, 256 * KIB};

    for (uint64_t image = 0; image < BIG_IMAGES; image++) {
        auto_free char *repo = mir_format("bench/big%" PRIu64, image);
        struct fixture_layer_args layers[LAYERS_MAX];
        size_t count = 0;

        for (size_t i = 0; i < SHARED_LAYERS; i++, count++)
            layers[count] = (struct fixture_layer_args){shared[i], 1 + i};
        layers[count++] = (struct fixture_layer_args){largest[image] * MIB, 100 + 10 * image};
        for (size_t i = 0; i < COUNT(others); i++, count++)
            layers[count] = (struct fixture_layer_args){others[i], 101 + 10 * image + i};
        for (size_t i = 0; i < count; i++)
            layers[i].bytes = layers[i].bytes * m->percent / 100;
        add_image(m, repo, 1, false, layers, count);
    }
}

/* 10 to 200 KiB, evenly. */
static struct fixture_layer_args small_layer(uint64_t seed)
{
    return (struct fixture_layer_args){.bytes = 10 * KIB + seed * 7919 % 191 * KIB, .seed = seed};
}

static void make_many(const struct maker *m)
{
    uint64_t images = MANY_IMAGES * m->percent / 100;

    for (uint64_t image = 0; image == 0 || image < images; image++) {
        uint64_t place = image / MANY_PER_REPOSITORY;
        auto_free char *repo = mir_format("bench/many%" PRIu64, place);
        struct fixture_layer_args layers[SHARED_LAYERS + 2];

        for (size_t i = 0; i < SHARED_LAYERS; i++)
            layers[i] = small_layer(10000 + place % MANY_BASES * SHARED_LAYERS + i);
        layers[SHARED_LAYERS] = small_layer(20000 + 2 * image);
        layers[SHARED_LAYERS + 1] = small_layer(20001 + 2 * image);
        add_image(m, repo, image, place % 2 == 1, layers, COUNT(layers));
    }
}

static const struct {
    const char *name;
    void (*make)(const struct maker *m);
} sets[] = {{"big", make_big}, {"many", make_many}};

int main(int argc, char **argv)
{
    struct maker m = {.percent = 0};

    if (argc != 4 || !mir_parse_u64(mir_span_of(argv[3]), PERCENT_MAX, &m.percent)) {
        fputs("usage: benchimages DIR big|many PERCENT\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < COUNT(sets); i++) {
        if (strcmp(argv[2], sets[i].name) != 0)
            continue;
        m.fixture = fixture_new(argv[1]);
        sets[i].make(&m);
        fixture_free(m.fixture);
        return 0;
    }
    fprintf(stderr, "benchimages: there is no set %s\n", argv[2]);
    return 2;
}
