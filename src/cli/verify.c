/*
 * mirror verify: is everything in a bundle, and is it what it should be?
 */
#include <inttypes.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "bundle/pipe.h"
#include "cli/cli.h"
#include "copy/place.h"

#define JOBS_MAX 64

enum {
    OPT_BASE = 1,
    OPT_JOBS,
    OPT_JSON,
};

static const struct cli_option options[] = {
    {"base", 0, "BUNDLE",
     "look here for what a differential leaves out, and check it too; "
     "repeatable",
     OPT_BASE},
    {"jobs", 'j', "N", "hash with N threads (default: one for each processor)", OPT_JOBS},
    {"json", 0, NULL, "print one JSON object", OPT_JSON},
};

struct arguments {
    const char *source;
    const char **bases;
    size_t base_count, base_capacity;
    uint64_t jobs;
    bool json;
};

static void arguments_release(struct arguments *args)
{
    free(args->bases);
}

/* ---- what is found ---- */

static void print_problem(void *ctx, const char *text)
{
    (void)ctx;
    (void)printf("%s\n", text);
}

static void note_problem(void *ctx, const char *text)
{
    (void)json_array_append_new(ctx, json_string(text));
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_base(const char *path, const struct bundle_base *base)
{
    auto_free char *what = bundle_base_describe(base);

    (void)printf("%s needs its base, %s\n", path, what);
}

static void print_totals(const struct arguments *args, const struct bundle_reader *reader,
                         const struct bundle_verify_totals *totals)
{
    const char *path = bundle_reader_path(reader);
    char bytes[MIR_BYTES_TEXT_MAX], left_out[MIR_BYTES_TEXT_MAX];

    (void)printf("%s: %zu image%s, %zu manifest%s, %zu blob%s, %s hashed", path, totals->images,
                 plural(totals->images), totals->manifests, plural(totals->manifests),
                 totals->blobs, plural(totals->blobs), mir_bytes_text(totals->bytes, bytes));
    if (totals->unused > 0)
        (void)printf(", %zu blob%s that no image uses", totals->unused, plural(totals->unused));
    if (totals->left_out > 0)
        (void)printf(", %zu blob%s (%s) left out", totals->left_out, plural(totals->left_out),
                     mir_bytes_text(totals->bytes_left_out, left_out));
    if (totals->problems == 0)
        (void)printf(": sound\n");
    else
        (void)printf(": %zu problem%s\n", totals->problems, plural(totals->problems));
    if (totals->left_out > 0 && args->base_count == 0)
        print_base(path, bundle_reader_base(reader));
    else if (totals->left_out > 0 && totals->problems == 0)
        (void)printf("%s is whole together with the base%s given\n", path,
                     plural(args->base_count));
}

/* The base of a differential; NULL for a whole bundle. The caller owns it. */
static json_t *base_json(const struct bundle_reader *reader)
{
    const struct bundle_base *base = bundle_reader_base(reader);

    if (!base)
        return NULL;
    return json_pack("{s:s, s:s, s:s*}", "name", base->name, "index", base->index.text, "mirror",
                     base->mirror);
}

static bool print_json(const char *source, const struct bundle_reader *reader,
                       const struct bundle_verify_totals *totals, json_t *problems,
                       struct mir_error *err)
{
    auto_json *base = base_json(reader);
    auto_json *result =
        json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O*, s:O}", "source", source,
                  "sound", totals->problems == 0, "images", (json_int_t)totals->images, "manifests",
                  (json_int_t)totals->manifests, "blobs", (json_int_t)totals->blobs, "bytes",
                  (json_int_t)totals->bytes, "unusedBlobs", (json_int_t)totals->unused,
                  "blobsLeftOut", (json_int_t)totals->left_out, "bytesLeftOut",
                  (json_int_t)totals->bytes_left_out, "base", base, "problems", problems);

    return cli_print_json(result, err);
}

/* ---- the command ---- */

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    switch (id) {
    case OPT_BASE:
        mir_grow(&args->bases, args->base_count, &args->base_capacity, sizeof(*args->bases));
        args->bases[args->base_count++] = value;
        return true;
    case OPT_JOBS:
        return cli_number("jobs", value, 1, JOBS_MAX, &args->jobs, err);
    case OPT_JSON:
        return cli_bool("json", value, &args->json, err);
    default:
        break;
    }
    if (args->source)
        return cli_usage(cli, err, "verify takes one bundle, not %s and %s", args->source, value);
    args->source = value;
    return true;
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (!args->source)
        return cli_usage(cli, err, "name a bundle to verify");
    return true;
}

static bool parse_source(struct cli *cli, const char *source, struct copy_place *place,
                         struct mir_error *err)
{
    if (!copy_place_parse(mir_span_of(source), false, place, err))
        return false;
    if (place->kind != COPY_PLACE_LAYOUT)
        return cli_usage(cli, err, "%s is not a bundle: verify takes bundle:FILE or oci:DIR",
                         source);
    if (place->ref)
        return cli_usage(cli, err, "verify checks the whole of a bundle, not only %s", place->ref);
    return true;
}

static bool hash_and_follow(const struct arguments *args, struct bundle_reader *reader,
                            struct bundle_reader *const *bases,
                            const struct bundle_verify_sink *sink,
                            struct bundle_verify_totals *totals, struct mir_error *err)
{
    if (bundle_reader_is_pipe(reader))
        return bundle_verify_pipe(reader, bases, args->base_count, (unsigned)args->jobs, sink,
                                  totals, err);
    return bundle_verify_with(reader, bases, args->base_count, (unsigned)args->jobs, sink, totals,
                              err);
}

static bool verify(struct cli *cli, const struct arguments *args, struct bundle_reader *reader,
                   struct bundle_reader *const *bases, struct mir_error *err)
{
    auto_json *problems = json_array();
    struct bundle_verify_sink sink = {.problem = args->json ? note_problem : print_problem,
                                      .ctx = problems,
                                      .cancel = cli->cancel};
    struct bundle_verify_totals totals;

    if (!hash_and_follow(args, reader, bases, &sink, &totals, err))
        return false;
    if (!args->json)
        print_totals(args, reader, &totals);
    else if (!print_json(args->source, reader, &totals, problems, err))
        return false;
    if (totals.problems > 0)
        return mir_fail(err, MIR_E_DIGEST, "%s is not sound: %zu problem%s",
                        bundle_reader_path(reader), totals.problems, plural(totals.problems));
    return true;
}

static bool open_bundle(struct cli *cli, const char *source, struct bundle_reader **out,
                        struct mir_error *err)
{
    auto_place place = {.text = NULL};

    return parse_source(cli, source, &place, err) &&
           bundle_reader_open(place.path, place.form, out, err);
}

/* What is verified may come through a pipe; its bases are read in any order. */
static bool open_source(struct cli *cli, const char *source, struct bundle_reader **out,
                        struct mir_error *err)
{
    auto_place place = {.text = NULL};

    if (!parse_source(cli, source, &place, err))
        return false;
    if (place.form == BUNDLE_FORM_PIPE)
        return bundle_reader_open_pipe(STDIN_FILENO, BUNDLE_STDIN, cli->cancel, out, err);
    return bundle_reader_open(place.path, place.form, out, err);
}

/* The bundle and its bases. */
static bool open_and_verify(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    auto_free struct bundle_reader **readers =
        mir_alloc_array(args->base_count + 1, sizeof(struct bundle_reader *));
    size_t opened = 0;
    bool ok = open_source(cli, args->source, &readers[0], err);

    opened += ok;
    while (ok && opened < args->base_count + 1) {
        ok = open_bundle(cli, args->bases[opened - 1], &readers[opened], err) ||
             mir_context(err, "--base");
        opened += ok;
    }
    ok = ok && verify(cli, args, readers[0], readers + 1, err);
    while (opened > 0)
        bundle_reader_close(readers[--opened]);
    return ok;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    __attribute__((cleanup(arguments_release))) struct arguments args = {
        .jobs = processors > 1 && processors <= JOBS_MAX ? processors : 2};
    bool go;

    if (!read_arguments(cli, &args, &go, err) || !go)
        return err->code == MIR_OK;
    return open_and_verify(cli, &args, err);
}

const struct cli_command cli_verify = {
    .name = "verify",
    .synopsis = "[flags] bundle:FILE|oci:DIR",
    .summary = "check that a bundle is whole and nothing in it was changed",
    .help = "Hash every blob of a bundle, read every manifest, and see that everything\n"
            "referred to is there with the size that was promised. Each problem is one line.\n"
            "What a differential leaves out need not be there: with --base it is looked for\n"
            "in its base.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
