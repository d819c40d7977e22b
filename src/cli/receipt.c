/*
 * mirror receipt: write down what a mirror holds, for the --since of a later copy.
 */
#include "copy/receipt.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/options.h"
#include "cli/sources.h"
#include "copy/landing.h"

enum {
    OPT_OUTPUT = 1,
    OPT_IMAGES,
    OPT_KEEP_HOST,
    OPT_MAX_DEPTH,
    OPT_DEPTH,
    OPT_JOBS,
};

#define PATH_DEPTH_MAX 100

static const struct cli_option options[] = {
    {"output", 'o', "FILE", "write the receipt to FILE (\"-\": standard output)", OPT_OUTPUT},
    {"images", 0, "WHAT",
     "look where these images were copied to: bundle:FILE, oci:DIR, a list, a mapping or a report "
     "of mirror copy (repeatable)",
     OPT_IMAGES},
    {"keep-host", 0, NULL, "they were copied with --keep-host", OPT_KEEP_HOST},
    {"max-depth", 0, "N", "they were copied with --max-depth N", OPT_MAX_DEPTH},
    {"depth", 0, "WHAT",
     "blobs (default): ask for every config and layer; manifest: trust what manifests refer to",
     OPT_DEPTH},
    {"jobs", 'j', "N", "requests at a time, at most (default 32)", OPT_JOBS},
    CLI_READ_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
};

struct arguments {
    struct cli_access access;
    struct cli_sources machine;
    struct cli_images images;
    const char *mirror, *output;
    const char **repos;
    size_t repo_count, repo_capacity;
    const char **lists;
    size_t list_count, list_capacity;
    bool keep_host, trust;
    uint64_t max_depth, jobs;
};

static void arguments_release(struct arguments *args)
{
    cli_access_release(&args->access);
    cli_sources_release(&args->machine);
    cli_images_release(&args->images);
    free(args->repos);
    free(args->lists);
}

static bool take_positional(struct cli *cli, const char *value, struct arguments *args,
                            struct mir_error *err)
{
    if (args->mirror) {
        mir_grow(&args->repos, args->repo_count, &args->repo_capacity, sizeof(*args->repos));
        args->repos[args->repo_count++] = value;
        return true;
    }
    if (!mir_starts_with(value, "docker://"))
        return cli_usage(cli, err, "%s: the mirror is named as docker://HOST[/PREFIX]", value);
    args->mirror = value + strlen("docker://");
    return true;
}

static bool take_depth(struct cli *cli, const char *value, bool *trust, struct mir_error *err)
{
    if (strcmp(value, "manifest") != 0 && strcmp(value, "blobs") != 0)
        return cli_usage(cli, err, "--depth %.50s: it is manifest or blobs", value);
    *trust = strcmp(value, "manifest") == 0;
    return true;
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    switch (id) {
    case CLI_POSITIONAL:
        return take_positional(cli, value, args, err);
    case OPT_OUTPUT:
        args->output = value;
        return true;
    case OPT_IMAGES:
        mir_grow(&args->lists, args->list_count, &args->list_capacity, sizeof(*args->lists));
        args->lists[args->list_count++] = value;
        return true;
    case OPT_KEEP_HOST:
        return cli_bool("keep-host", value, &args->keep_host, err);
    case OPT_MAX_DEPTH:
        return cli_number("max-depth", value, 1, PATH_DEPTH_MAX, &args->max_depth, err);
    case OPT_DEPTH:
        return take_depth(cli, value, &args->trust, err);
    case OPT_JOBS:
        return cli_number("jobs", value, 1, COPY_JOBS_MAX, &args->jobs, err);
    default:
        break;
    }
    if (cli_sources_is_option(id))
        return cli_sources_take(&args->machine, id, value, err);
    return cli_access_take(cli, &args->access, id, value, err);
}

/* ---- which repositories ---- */

static bool add_named(struct cli *cli, const struct copy_landing *mirror, const char *name,
                      struct copy_receipt *receipt, struct mir_error *err)
{
    auto_free char *repo =
        mir_format("%s%s%s", mirror->path, mirror->path[0] != '\0' ? "/" : "", name);

    if (!img_is_repo(mir_span_of(repo)))
        return cli_usage(cli, err, "\"%s\" is no repository of %s", name, mirror->host);
    copy_receipt_add(receipt, repo, NULL);
    return true;
}

static bool add_image(const struct copy_landing *mirror, const char *name,
                      struct copy_receipt *receipt, struct mir_error *err)
{
    auto_ref source = {.host = NULL};
    auto_ref to = {.host = NULL};

    if (!img_ref_parse(mir_span_of(name), &source, err) ||
        !copy_landing_of(mirror, &source, &to, err))
        return false;
    copy_receipt_add(receipt, to.repo, to.has_digest ? &to.digest : NULL);
    return true;
}

static bool add_all(struct cli *cli, struct arguments *args, struct copy_receipt *receipt,
                    struct mir_error *err)
{
    auto_landing mirror = {.keep_host = args->keep_host, .max_depth = (unsigned)args->max_depth};

    if (args->repo_count == 0 && args->list_count == 0)
        return copy_receipt_find(receipt, err);
    if (!copy_landing_parse_prefix(args->mirror, &mirror, err))
        return false;
    for (size_t i = 0; i < args->list_count; i++)
        if (!cli_images_read(cli, args->lists[i], &args->images, err))
            return false;
    for (size_t i = 0; i < args->repo_count; i++)
        if (!add_named(cli, &mirror, args->repos[i], receipt, err))
            return false;
    for (size_t i = 0; i < args->images.count; i++)
        if (!add_image(&mirror, args->images.names[i], receipt, err))
            return false;
    return true;
}

/* ---- the command ---- */

static bool write_text(const char *path, struct mir_span text, struct mir_error *err)
{
    if (strcmp(path, "-") != 0)
        return mir_file_write(path, text, 0644, err) || mir_context(err, "receipt");
    (void)fwrite(text.ptr, 1, text.len, stdout);
    return cli_finish_output(err);
}

static bool write_receipt(struct cli *cli, const struct arguments *args,
                          const struct copy_receipt *receipt, struct mir_error *err)
{
    struct copy_receipt_totals totals;
    auto_free char *text = NULL;
    char bytes[MIR_BYTES_TEXT_MAX];
    size_t len;

    if (!copy_receipt_format(receipt, &text, &len, err) ||
        !write_text(args->output, mir_span(text, len), err))
        return false;
    copy_receipt_get_totals(receipt, &totals);
    mir_log(&cli->sink, MIR_LEVEL_INFO,
            "%s: %zu image%s in %zu repositor%s, %zu blob%s (%s); %llu requests", args->mirror,
            totals.images, totals.images == 1 ? "" : "s", totals.repos,
            totals.repos == 1 ? "y" : "ies", totals.blobs, totals.blobs == 1 ? "" : "s",
            mir_bytes_text(totals.bytes, bytes), (unsigned long long)totals.requests);
    if (totals.troubles == 0)
        return true;
    (void)mir_fail(err, MIR_E_PARTIAL, "%zu thing%s of %s could not be seen, and count as missing",
                   totals.troubles, totals.troubles == 1 ? "" : "s", args->mirror);
    return mir_hint(err, "the receipt is right all the same: a bundle made with it holds more");
}

static bool take_receipt(struct cli *cli, struct arguments *args, struct mir_error *err)
{
    struct copy_receipt_options how = {.jobs = (unsigned)args->jobs,
                                       .trust = args->trust,
                                       .cancel = cli->cancel,
                                       .sink = &cli->sink};
    struct copy_receipt *receipt = NULL;
    bool ok;

    if (!cli_access_sides(cli, &args->access, &how.registry, NULL, err) ||
        !cli_sources_read_registries(&args->machine, err))
        return false;
    how.rules = cli_sources_rules(&args->machine);
    cli_sources_set_helpers(&args->machine, &how.registry);
    if (!copy_receipt_new(&how, args->mirror, &receipt, err))
        return false;
    ok = add_all(cli, args, receipt, err) && copy_receipt_run(receipt, err) &&
         write_receipt(cli, args, receipt, err);
    copy_receipt_free(receipt);
    return ok;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    __attribute__((cleanup(arguments_release))) struct arguments args = {.mirror = NULL};
    bool go;

    cli_access_init(&args.access);
    if (!cli_read(cli, take_argument, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (!args.mirror)
        return cli_usage(cli, err, "name a mirror");
    if (!args.output)
        return cli_usage(cli, err, "name the file to be written with --output");
    return take_receipt(cli, &args, err);
}

const struct cli_command cli_receipt = {
    .name = "receipt",
    .synopsis = "[flags] -o FILE docker://MIRROR[/PREFIX] [REPOSITORY...]",
    .summary = "write down what a mirror holds, for copy --since",
    .help = "Ask a mirror what it holds and write that to a file. \"mirror copy --since FILE\"\n"
            "then leaves it out, so that the old bundles need not be kept. Only what is there\n"
            "is written down: every manifest is read, every config and layer asked for.\n"
            "\n"
            "Without REPOSITORY (below PREFIX) and --images the registry is asked for all it\n"
            "has at PREFIX or below it; many registries do not tell.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
