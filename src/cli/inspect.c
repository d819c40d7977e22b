/*
 * mirror inspect: what images are made of, in a bundle or a registry, and what they share.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/sources.h"
#include "copy/copy.h"

enum {
    OPT_JSON = 1,
};

static const struct cli_option options[] = {
    {"json", 0, NULL, "print JSON", OPT_JSON},
    CLI_READ_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
};

/* ---- text ---- */

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

static uint64_t blobs_bytes(const json_t *manifest)
{
    uint64_t sum = 0;
    const json_t *blob;
    size_t i;

    json_array_foreach (json_object_get(manifest, "blobs"), i, blob)
        sum += number(blob, "size");
    return sum;
}

static void print_manifest(const json_t *manifest, int depth)
{
    char size[MIR_BYTES_TEXT_MAX];
    const char *platform = text(manifest, "platform");
    const json_t *children = json_object_get(manifest, "manifests");
    const json_t *child;
    size_t i;

    (void)printf("%*s%s  %s", 2 * depth, "", text(manifest, "digest"), text(manifest, "mediaType"));
    if (platform[0] != '\0')
        (void)printf("  %s", platform);
    if (json_array_size(json_object_get(manifest, "blobs")) > 0)
        (void)printf("  %zu blobs, %s", json_array_size(json_object_get(manifest, "blobs")),
                     mir_bytes_text(blobs_bytes(manifest), size));
    (void)printf("\n");
    json_array_foreach (children, i, child)
        print_manifest(child, depth + 1);
}

static void print_base(const json_t *base)
{
    const char *bundle = text(base, "bundle"), *name = text(base, "name");
    const char *index = text(base, "index");

    if (json_object_get(base, "mirror"))
        (void)printf("%s is a differential; its base is %s (by the receipt %s, %s)\n", bundle,
                     text(base, "mirror"), name, index);
    else
        (void)printf("%s is a differential; its base is %s (the bundle whose index.json is %s)\n",
                     bundle, name, index);
}

static void print_bases(const json_t *survey)
{
    const json_t *bases = json_object_get(survey, "bases");
    const json_t *base;
    char bytes[MIR_BYTES_TEXT_MAX];
    size_t i;

    json_array_foreach (bases, i, base)
        print_base(base);
    if (number(survey, "blobsLeftOut") > 0)
        (void)printf("%llu blobs, %s, are left out\n",
                     (unsigned long long)number(survey, "blobsLeftOut"),
                     mir_bytes_text(number(survey, "bytesLeftOut"), bytes));
}

static void print_text(const json_t *survey)
{
    const json_t *images = json_object_get(survey, "images");
    const json_t *image;
    char bytes[MIR_BYTES_TEXT_MAX], shared[MIR_BYTES_TEXT_MAX];
    size_t i;

    json_array_foreach (images, i, image) {
        const char *name = text(image, "image");

        (void)printf("%s\n", name[0] != '\0' ? name : text(image, "source"));
        if (json_object_get(image, "manifest"))
            print_manifest(json_object_get(image, "manifest"), 1);
    }
    (void)printf("%zu image%s, %llu manifests, %llu blobs, %s; %s saved by sharing\n",
                 json_array_size(images), json_array_size(images) == 1 ? "" : "s",
                 (unsigned long long)number(survey, "manifests"),
                 (unsigned long long)number(survey, "blobs"),
                 mir_bytes_text(number(survey, "bytes"), bytes),
                 mir_bytes_text(number(survey, "sharedBytes"), shared));
    print_bases(survey);
}

/* ---- the command ---- */

struct arguments {
    struct cli_access access;
    struct cli_sources machine;
    const char **sources;
    size_t count, capacity;
    bool json;
};

static void arguments_release(struct arguments *args)
{
    free(args->sources);
    cli_sources_release(&args->machine);
    cli_access_release(&args->access);
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    if (id == OPT_JSON)
        return cli_bool("json", value, &args->json, err);
    if (cli_sources_is_option(id))
        return cli_sources_take(&args->machine, id, value, err);
    if (id != CLI_POSITIONAL)
        return cli_access_take(cli, &args->access, id, value, err);
    mir_grow(&args->sources, args->count, &args->capacity, sizeof(*args->sources));
    args->sources[args->count++] = value;
    return true;
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (args->count == 0)
        return cli_usage(cli, err, "name an image or a bundle");
    for (size_t i = 0; i < args->count; i++)
        if (!cli_claim_source(cli, args->sources[i], err))
            return false;
    return true;
}

static void report_failures(struct cli *cli, const struct copy *copy)
{
    for (size_t i = 0; i < copy_image_count(copy); i++) {
        struct copy_result result;

        copy_get_result(copy, i, &result);
        if (result.error)
            mir_log(&cli->sink, MIR_LEVEL_ERROR, "%s: %s", result.source, result.error->text);
        if (result.error && result.error->hint[0] != '\0')
            mir_log(&cli->sink, MIR_LEVEL_INFO, "hint: %s", result.error->hint);
    }
}

static bool inspect(struct cli *cli, const struct arguments *args, struct copy *copy,
                    struct mir_error *err)
{
    auto_json *survey = NULL;

    for (size_t i = 0; i < args->count; i++)
        if (!copy_add(copy, args->sources[i], NULL, false, err))
            return false;
    if (!copy_plan(copy, err))
        return false;
    survey = copy_survey(copy);
    if (args->json) {
        if (!cli_print_json(survey, err))
            return false;
    } else {
        print_text(survey);
    }
    report_failures(cli, copy);
    return copy_verdict(copy, err);
}

static bool run(struct cli *cli, struct mir_error *err)
{
    __attribute__((cleanup(arguments_release))) struct arguments args = {0};
    struct copy_options look = {
        .nondistributable = true, .cancel = cli->cancel, .sink = &cli->sink};
    struct copy *copy = NULL;
    bool go, ok;

    cli_access_init(&args.access);
    if (!read_arguments(cli, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (!cli_access_sides(cli, &args.access, &look.source, NULL, err) ||
        !cli_sources_look(&args.machine, args.sources, args.count, &look, err) ||
        !copy_new(&look, NULL, &copy, err))
        return false;
    ok = inspect(cli, &args, copy, err);
    copy_free(copy);
    return ok;
}

const struct cli_command cli_inspect = {
    .name = "inspect",
    .synopsis = "[flags] IMAGE...",
    .summary = "show images, platforms, digests, sizes and shared bytes",
    .help = "Show what images are made of. IMAGE is docker://HOST/REPO[:TAG][@DIGEST],\n"
            "bundle:FILE[:REF] or oci:DIR[:REF]; a bundle without REF shows all its images.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
