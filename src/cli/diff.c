/*
 * mirror diff: what one bundle (or layout, or image in a registry) has that another has not.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/copying.h"
#include "cli/options.h"
#include "cli/sources.h"
#include "copy/copy.h"
#include "copy/diff.h"

enum {
    OPT_JSON = 1,
    OPT_EXIT_CODE,
};

static const struct cli_option options[] = {
    {"json", 0, NULL, "print JSON", OPT_JSON},
    {"exit-code", 0, NULL, "end with status 1 when they differ", OPT_EXIT_CODE},
    CLI_READ_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
};

#define SIDES 2

struct arguments {
    struct cli_access access;
    struct cli_sources machine;
    const char *sides[SIDES];
    size_t count;
    bool json;
    bool exit_code;
};

static void arguments_release(struct arguments *args)
{
    cli_access_release(&args->access);
    cli_sources_release(&args->machine);
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    if (id == OPT_JSON)
        return cli_bool("json", value, &args->json, err);
    if (id == OPT_EXIT_CODE)
        return cli_bool("exit-code", value, &args->exit_code, err);
    if (cli_sources_is_option(id))
        return cli_sources_take(&args->machine, id, value, err);
    if (id != CLI_POSITIONAL)
        return cli_access_take(cli, &args->access, id, value, err);
    if (args->count == SIDES)
        return cli_usage(cli, err, "%s is one too many: two sets of images are compared", value);
    args->sides[args->count++] = value;
    return true;
}

/* ---- text ---- */

static void print_change(const struct copy_change *change)
{
    if (!change->from)
        (void)printf("+ %s %s\n", change->name, change->to);
    else if (!change->to)
        (void)printf("- %s %s\n", change->name, change->from);
    else
        (void)printf("~ %s %s -> %s\n", change->name, change->from, change->to);
}

static void print_contrast(const char *what, const struct copy_contrast *contrast)
{
    char added[MIR_BYTES_TEXT_MAX], removed[MIR_BYTES_TEXT_MAX], same[MIR_BYTES_TEXT_MAX];

    (void)printf("%s: %zu added (%s), %zu removed (%s), %zu the same (%s)\n", what,
                 contrast->added.count, mir_bytes_text(contrast->added.bytes, added),
                 contrast->removed.count, mir_bytes_text(contrast->removed.bytes, removed),
                 contrast->same.count, mir_bytes_text(contrast->same.bytes, same));
}

static void print_text(const struct copy_difference *difference)
{
    size_t added = 0, removed = 0;

    for (size_t i = 0; i < difference->change_count; i++) {
        const struct copy_change *change = &difference->changes[i];

        print_change(change);
        added += change->from ? 0 : 1;
        removed += change->to ? 0 : 1;
    }
    (void)printf("images: %zu added, %zu removed, %zu changed, %zu the same\n", added, removed,
                 difference->change_count - added - removed, difference->same);
    print_contrast("manifests", &difference->manifests);
    print_contrast("blobs", &difference->blobs);
}

/* ---- the command ---- */

static bool read_side(struct cli *cli, const struct copy_options *look, const char *side,
                      struct copy **out, struct mir_error *err)
{
    auto_free char *source = cli_place_of_path(side);

    return cli_claim_source(cli, source, err) && copy_new(look, NULL, out, err) &&
           copy_add(*out, source, NULL, false, err) && copy_plan(*out, err) &&
           (copy_verdict(*out, err) || mir_context(err, "%s", side));
}

static bool print_difference(const struct arguments *args, const struct copy_difference *difference,
                             struct mir_error *err)
{
    auto_json *json = args->json ? copy_difference_json(difference) : NULL;

    if (!args->json)
        print_text(difference);
    else if (!cli_print_json(json, err))
        return false;
    if (!args->exit_code || copy_difference_is_empty(difference))
        return true;
    return mir_fail(err, MIR_E_CONFLICT, "%s and %s differ", args->sides[0], args->sides[1]);
}

static bool diff(struct cli *cli, struct arguments *args, struct copy *sides[SIDES],
                 struct mir_error *err)
{
    struct copy_options look = {
        .nondistributable = true, .cancel = cli->cancel, .sink = &cli->sink};
    auto_difference difference = {0};

    if (!cli_access_sides(cli, &args->access, &look.source, NULL, err) ||
        !cli_sources_look(&args->machine, args->sides, SIDES, &look, err))
        return false;
    for (size_t i = 0; i < SIDES; i++)
        if (!read_side(cli, &look, args->sides[i], &sides[i], err))
            return false;
    copy_diff(sides[0], sides[1], &difference);
    return print_difference(args, &difference, err);
}

static bool run(struct cli *cli, struct mir_error *err)
{
    __attribute__((cleanup(arguments_release))) struct arguments args = {0};
    struct copy *sides[SIDES] = {NULL};
    bool go, ok;

    cli_access_init(&args.access);
    if (!cli_read(cli, take_argument, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (args.count != SIDES)
        return cli_usage(cli, err, "name two sets of images");
    ok = diff(cli, &args, sides, err);
    for (size_t i = 0; i < SIDES; i++)
        copy_free(sides[i]);
    return ok;
}

const struct cli_command cli_diff = {
    .name = "diff",
    .synopsis = "[flags] A B",
    .summary = "show what B has that A has not, and the other way round",
    .help = "Compare two sets of images: names, manifests and blobs. A and B are bundle:FILE,\n"
            "oci:DIR, a path alone, or docker://HOST/REPO[:TAG][@DIGEST]. Nothing but\n"
            "manifests is read.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
