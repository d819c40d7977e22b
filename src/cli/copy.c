/*
 * mirror copy: read the command line, plan, show the plan or run it, and say what happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/emit.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/sources.h"
#include "cli/secret.h"
#include "copy/copy.h"
#include "copy/list.h"

enum {
    OPT_FILE = 1,
    OPT_JOBS,
    OPT_MAX_PER_HOST,
    OPT_PLATFORM,
    OPT_ALL,
    OPT_REQUIRE_DIGEST,
    OPT_KEEP_HOST,
    OPT_MAX_DEPTH,
    OPT_NO_DIGEST_TAGS,
    OPT_NONDISTRIBUTABLE,
    OPT_SINCE,
    OPT_VOLUME_SIZE,
    OPT_DRY_RUN,
    OPT_REPORT,
    OPT_MAPPING,
    OPT_EMIT_DIR,
    OPT_PROGRESS,
    OPT_QUIET,
};

static const struct cli_option options[] = {
    {"file", 'f', "LIST",
     "read sources from LIST, one a line (\"-\": stdin); a line \"SRC DST\" "
     "or \"SRC=DST\" names its destination; repeatable",
     OPT_FILE},
    {"jobs", 'j', "N",
     "transfer at most N things at a time (default 32); how many each host gets "
     "depends on what it bears",
     OPT_JOBS},
    {"max-per-host", 0, "N", "of these, at most N with one host", OPT_MAX_PER_HOST},
    {"platform", 0, "OS/ARCH[/VARIANT]",
     "take only this platform of an index; repeatable; the "
     "index stays as it is",
     OPT_PLATFORM},
    {"all", 'a', NULL, "take all platforms (the default)", OPT_ALL},
    {"require-digest", 0, NULL, "refuse sources that are not pinned by a digest",
     OPT_REQUIRE_DIGEST},
    {"keep-host", 0, NULL, "below a prefix, put the source's host in front of its path",
     OPT_KEEP_HOST},
    {"max-depth", 0, "N", "join path components deeper than N with '-'", OPT_MAX_DEPTH},
    {"no-digest-tags", 0, NULL, "give images known by digest alone no \"pinned-\" tag",
     OPT_NO_DIGEST_TAGS},
    {"include-nondistributable", 0, NULL, "take layers that are not meant to be redistributed",
     OPT_NONDISTRIBUTABLE},
    {"since", 0, "OLD",
     "leave out configs and layers that OLD holds: an older bundle, the "
     "index.json of one, or a receipt of the mirror",
     OPT_SINCE},
    {"volume-size", 0, "SIZE",
     "cut the bundle into FILE.001, FILE.002, ... of at most SIZE: 4GiB, 700MB, dvd, fat32",
     OPT_VOLUME_SIZE},
    {"dry-run", 'n', NULL, "show the plan and change nothing", OPT_DRY_RUN},
    {"report", 0, "FILE", "write what happened to each image as JSON", OPT_REPORT},
    {"mapping", 0, "FILE", "write a line SOURCE=DESTINATION for each image", OPT_MAPPING},
    {"emit-dir", 0, "DIR", "after a copy into a registry, write cluster objects and node files",
     OPT_EMIT_DIR},
    {"progress", 0, "KIND", "bar, plain, json or none (default: bar on a terminal, else plain)",
     OPT_PROGRESS},
    {"quiet", 'q', NULL, "print errors only", OPT_QUIET},
    CLI_ACCESS_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
    CLI_POLICY_OPTIONS,
};

struct arguments {
    struct copy_options copy;
    struct cli_access access;
    struct cli_sources machine;
    const char **sources;
    size_t source_count, source_capacity;
    const char **lists;
    size_t list_count, list_capacity;
    struct img_platform *platforms;
    size_t platform_capacity;
    const char *report, *mapping, *emit_dir;
    enum cli_progress_kind progress;
    bool dry_run, quiet;
};

static void arguments_release(struct arguments *args)
{
    free(args->sources);
    free(args->lists);
    free(args->platforms);
    cli_access_release(&args->access);
    cli_sources_release(&args->machine);
}

static void add_text(const char ***list, size_t *count, size_t *capacity, const char *text)
{
    mir_grow(list, *count, capacity, sizeof(**list));
    (*list)[(*count)++] = text;
}

static bool add_platform(struct arguments *args, const char *value, struct mir_error *err)
{
    mir_grow(&args->platforms, args->copy.platform_count, &args->platform_capacity,
             sizeof(*args->platforms));
    if (!img_platform_parse(mir_span_of(value), &args->platforms[args->copy.platform_count], err)) {
        err->code = MIR_E_USAGE;
        return mir_context(err, "--platform");
    }
    args->copy.platform_count++;
    args->copy.platforms = args->platforms;
    return true;
}

static bool read_number(const char *name, const char *value, uint64_t max, unsigned *out,
                        struct mir_error *err)
{
    uint64_t number;

    if (!cli_number(name, value, 1, max, &number, err))
        return false;
    *out = (unsigned)number;
    return true;
}

/* One argument; the table above says what each option is for. */
static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;
    bool on;

    switch (id) {
    case CLI_POSITIONAL:
        add_text(&args->sources, &args->source_count, &args->source_capacity, value);
        return true;
    case OPT_FILE:
        add_text(&args->lists, &args->list_count, &args->list_capacity, value);
        return true;
    case OPT_JOBS:
        return read_number("jobs", value, COPY_JOBS_MAX, &args->copy.jobs, err);
    case OPT_MAX_PER_HOST:
        return read_number("max-per-host", value, COPY_JOBS_MAX, &args->copy.max_per_host, err);
    case OPT_PLATFORM:
        return add_platform(args, value, err);
    case OPT_ALL:
        return true;
    case OPT_REQUIRE_DIGEST:
        return cli_bool("require-digest", value, &args->copy.require_digest, err);
    case OPT_KEEP_HOST:
        return cli_bool("keep-host", value, &args->copy.keep_host, err);
    case OPT_MAX_DEPTH:
        return read_number("max-depth", value, 100, &args->copy.max_depth, err);
    case OPT_NO_DIGEST_TAGS:
        if (!cli_bool("no-digest-tags", value, &on, err))
            return false;
        args->copy.digest_tags = !on;
        return true;
    case OPT_NONDISTRIBUTABLE:
        return cli_bool("include-nondistributable", value, &args->copy.nondistributable, err);
    case OPT_VOLUME_SIZE:
        return bundle_volume_size_parse(value, &args->copy.volume_bytes, err) ||
               mir_context(err, "--volume-size");
    case OPT_SINCE:
        args->copy.since = value;
        return true;
    case OPT_DRY_RUN:
        return cli_bool("dry-run", value, &args->dry_run, err);
    case OPT_REPORT:
        args->report = value;
        return true;
    case OPT_MAPPING:
        args->mapping = value;
        return true;
    case OPT_EMIT_DIR:
        args->emit_dir = value;
        return true;
    case OPT_PROGRESS:
        return cli_progress_parse(value, &args->progress, err);
    case OPT_QUIET:
        return cli_bool("quiet", value, &args->quiet, err);
    default:
        if (cli_sources_is_option(id))
            return cli_sources_take(&args->machine, id, value, err);
        return cli_access_take(cli, &args->access, id, value, err);
    }
}

static bool source_date_epoch(int64_t *out, struct mir_error *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    uint64_t value = 0;

    /* What a tar header can hold in octal. */
    if (text && !mir_parse_u64(mir_span_of(text), 077777777777, &value))
        return mir_fail(err, MIR_E_USAGE, "SOURCE_DATE_EPOCH: \"%s\" is no number of seconds",
                        text);
    *out = (int64_t)value;
    return true;
}

/* ---- adding sources ---- */

static bool add_list(struct copy *copy, const char *path, struct mir_error *err)
{
    auto_list list = {0};

    if (!copy_list_read(path, &list, err))
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (!copy_add(copy, list.items[i].source, list.items[i].destination, true, err))
            return mir_context(err, "%s:%u", list.name, list.items[i].line);
    return true;
}

/* Do the lists name every destination themselves? Then all positional arguments are sources; there
 * are none, since a source without a destination has nowhere to go. */
static bool needs_destination(const struct arguments *args)
{
    return args->list_count == 0 || args->source_count > 0;
}

/* The last positional argument, or NULL. */
static const char *destination_of(const struct arguments *args)
{
    return needs_destination(args) && args->source_count > 0 ? args->sources[args->source_count - 1]
                                                             : NULL;
}

static size_t count_sources(const struct arguments *args)
{
    return destination_of(args) ? args->source_count - 1 : 0;
}

/* Standard input brings a list, a bundle or a password. */
static bool claim_stdin(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    for (size_t i = 0; i < args->list_count; i++)
        if (strcmp(args->lists[i], "-") == 0 && !cli_claim_stdin(cli, "--file -", err))
            return false;
    for (size_t i = 0; i < count_sources(args); i++)
        if (!cli_claim_source(cli, args->sources[i], err))
            return false;
    return true;
}

static bool check_places(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    const char *destination = destination_of(args);

    if (!destination && args->list_count == 0)
        return cli_usage(cli, err, "name a source and a destination");
    if (count_sources(args) == 0 && args->list_count == 0)
        return cli_usage(cli, err, "name a destination after the source %s", destination);
    return claim_stdin(cli, args, err);
}

/* Is a registry asked for anything? What is in a list is seen only when it is read. */
static bool needs_registry(const struct arguments *args)
{
    bool needs = args->list_count > 0 || args->copy.since;

    for (size_t i = 0; i < args->source_count; i++)
        needs = needs || mir_starts_with(args->sources[i], "docker://");
    return needs;
}

/* What this machine's files say of the copy. */
static bool read_machine(struct arguments *args, struct mir_error *err)
{
    if (needs_registry(args) && !cli_sources_read_registries(&args->machine, err))
        return false;
    if (!cli_sources_read_policy(&args->machine, err))
        return false;
    args->copy.rules = cli_sources_rules(&args->machine);
    cli_sources_set_helpers(&args->machine, &args->copy.source);
    cli_sources_set_helpers(&args->machine, &args->copy.destination);
    return true;
}

static bool open_copy(const struct arguments *args, struct copy **out, struct mir_error *err)
{
    if (!copy_new(&args->copy, destination_of(args), out, err))
        return false;
    for (size_t i = 0; i < count_sources(args); i++)
        if (!copy_add(*out, args->sources[i], NULL, false, err))
            return false;
    for (size_t i = 0; i < args->list_count; i++)
        if (!add_list(*out, args->lists[i], err))
            return false;
    return true;
}

/* ---- saying what happened ---- */

/* A bundle on standard output leaves no room for words there. */
static FILE *output_of(const struct copy *copy)
{
    return copy_takes_stdout(copy) ? stderr : stdout;
}

static void print_plan(const struct copy *copy)
{
    FILE *to = output_of(copy);
    struct copy_totals totals;
    char bytes[MIR_BYTES_TEXT_MAX], present[MIR_BYTES_TEXT_MAX], disk[MIR_BYTES_TEXT_MAX];
    char left_out[MIR_BYTES_TEXT_MAX];
    uint64_t moving;

    copy_get_totals(copy, &totals);
    for (size_t i = 0; i < copy_image_count(copy); i++) {
        struct copy_result result;

        copy_get_result(copy, i, &result);
        (void)fprintf(to, "%s %s -> %s\n", copy_outcome_name(result.outcome),
                      result.pinned ? result.pinned : result.source, result.destination);
    }
    moving = totals.bytes - totals.bytes_present - totals.bytes_left_out;
    (void)fprintf(to, "images:        %zu (%zu present, %zu failed)\n", totals.images,
                  totals.present, totals.failed);
    (void)fprintf(to, "unique blobs:  %zu, and %zu manifests\n", totals.blobs, totals.manifests);
    (void)fprintf(to, "bytes to move: %llu (%s)\n", (unsigned long long)moving,
                  mir_bytes_text(moving, bytes));
    (void)fprintf(to, "bytes present: %llu (%s)\n", (unsigned long long)totals.bytes_present,
                  mir_bytes_text(totals.bytes_present, present));
    if (totals.blobs_left_out > 0)
        (void)fprintf(to, "left out:      %llu (%s), %zu blobs that the base has\n",
                      (unsigned long long)totals.bytes_left_out,
                      mir_bytes_text(totals.bytes_left_out, left_out), totals.blobs_left_out);
    (void)fprintf(to, "requests:      %llu\n", (unsigned long long)totals.requests);
    (void)fprintf(to, "disk needed:   %llu (%s)\n", (unsigned long long)totals.disk,
                  mir_bytes_text(totals.disk, disk));
    if (totals.volumes > 0)
        (void)fprintf(to, "volumes:       %zu\n", totals.volumes);
}

static void print_images(const struct copy *copy)
{
    FILE *to = output_of(copy);

    for (size_t i = 0; i < copy_image_count(copy); i++) {
        struct copy_result result;

        copy_get_result(copy, i, &result);
        if (result.outcome != COPY_OUTCOME_FAILED)
            (void)fprintf(to, "%s %s -> %s\n", copy_outcome_name(result.outcome), result.pinned,
                          result.destination);
    }
}

/* Every failure once more at the end, where it is read. */
static void print_failures(struct cli *cli, const struct copy *copy)
{
    for (size_t i = 0; i < copy_image_count(copy); i++) {
        struct copy_result result;

        copy_get_result(copy, i, &result);
        if (result.outcome != COPY_OUTCOME_FAILED || !result.error)
            continue;
        mir_log(&cli->sink, MIR_LEVEL_ERROR, "copy %s: %s", result.source, result.error->text);
        if (result.error->hint[0] != '\0')
            mir_log(&cli->sink, MIR_LEVEL_INFO, "hint: %s", result.error->hint);
    }
}

/* What the base has: of the bundle that was written, or of those that were loaded. */
static void print_left_out(struct cli *cli, const char *since, const struct copy_totals *totals)
{
    char bytes[MIR_BYTES_TEXT_MAX];
    const char *s = totals->blobs_left_out == 1 ? "" : "s";

    (void)mir_bytes_text(totals->bytes_left_out, bytes);
    if (since && totals->blobs > 0 && totals->blobs == totals->blobs_left_out)
        mir_log(
            &cli->sink, MIR_LEVEL_INFO,
            "nothing is new since %s: the bundle holds manifests only, %zu blob%s (%s) left out",
            since, totals->blobs_left_out, s, bytes);
    else if (since)
        mir_log(&cli->sink, MIR_LEVEL_INFO, "%zu blob%s (%s) left out, which %s has",
                totals->blobs_left_out, s, bytes, since);
    else if (totals->blobs_left_out > 0)
        mir_log(&cli->sink, MIR_LEVEL_INFO, "%zu blob%s (%s) left out by the bundle, not moved",
                totals->blobs_left_out, s, bytes);
}

static void print_summary(struct cli *cli, const char *since, const struct copy *copy)
{
    struct copy_totals totals;
    char moved[MIR_BYTES_TEXT_MAX], reused[MIR_BYTES_TEXT_MAX];
    uint64_t requests;

    copy_get_totals(copy, &totals);
    requests = totals.requests_source + totals.requests_destination;
    (void)mir_bytes_text(totals.bytes_reused, reused);
    mir_log(&cli->sink, MIR_LEVEL_INFO,
            "%zu image%s: %zu copied, %zu present, %zu failed; %s moved, %s%s%llu requests",
            totals.images, totals.images == 1 ? "" : "s", totals.copied, totals.present,
            totals.failed, mir_bytes_text(totals.bytes_moved, moved),
            totals.bytes_reused > 0 ? reused : "",
            totals.bytes_reused > 0 ? " reused from the disk, " : "", (unsigned long long)requests);
    print_left_out(cli, since, &totals);
}

static bool write_report(const struct copy *copy, const char *path, struct mir_error *err)
{
    auto_json *report = copy_report(copy);
    auto_free char *text = json_dumps(report, JSON_INDENT(2));
    auto_free char *lines = text ? mir_format("%s\n", text) : NULL;

    if (!lines)
        return mir_fail(err, MIR_E_LIMIT, "the report cannot be written as JSON");
    return mir_file_write(path, mir_span_of(lines), 0644, err) || mir_context(err, "report");
}

static bool write_mapping(const struct copy *copy, const char *path, struct mir_error *err)
{
    auto_free char *mapping = copy_mapping(copy);

    return mir_file_write(path, mir_span_of(mapping), 0644, err) || mir_context(err, "mapping");
}

static bool write_files(struct cli *cli, const struct arguments *args, const struct copy *copy,
                        struct mir_error *err)
{
    if (args->report && !write_report(copy, args->report, err))
        return false;
    if (args->mapping && !write_mapping(copy, args->mapping, err))
        return false;
    if (args->emit_dir && !cli_emit_copy(cli, copy, args->emit_dir, err))
        return mir_context(err, "emit");
    return true;
}

/* ---- doing it ---- */

static bool plan_and_run(struct cli *cli, struct arguments *args, struct copy *copy,
                         struct mir_error *err)
{
    struct cli_progress *progress = cli_progress_begin(cli, args->progress, args->copy.progress);
    bool planned = copy_plan(copy, err);
    bool ok = planned;

    if (planned && !args->dry_run)
        ok = copy_run(copy, err);
    cli_progress_end(progress);
    if (!planned)
        return false;
    if (args->dry_run) {
        print_plan(copy);
        print_failures(cli, copy);
        return copy_verdict(copy, err);
    }
    if (!args->quiet)
        print_images(copy);
    print_failures(cli, copy);
    print_summary(cli, args->copy.since, copy);
    /* The first error wins: a report that cannot be written does not hide a failed copy. */
    return write_files(cli, args, copy, err) && ok;
}

static bool check_emit(const struct arguments *args, struct mir_error *err)
{
    const char *last = args->source_count > 0 ? args->sources[args->source_count - 1] : "docker://";

    if (!args->emit_dir || mir_starts_with(last, "docker://"))
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "--emit-dir goes with a copy into a registry, not into %s",
                   last);
    return mir_hint(err, "use \"mirror emit-icsp --from bundle:FILE --mirror HOST\"");
}

static bool run(struct cli *cli, struct mir_error *err)
{
    struct copy_progress counters = {0};
    __attribute__((cleanup(arguments_release))) struct arguments args = {
        .copy = {.digest_tags = true,
                 .progress = &counters,
                 .cancel = cli->cancel,
                 .sink = &cli->sink},
    };
    struct copy *copy = NULL;
    bool go, ok;

    cli_access_init(&args.access);
    if (!cli_read(cli, take_argument, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (args.quiet) {
        cli->sink.level = MIR_LEVEL_WARN;
        args.progress = CLI_PROGRESS_NONE;
    }
    args.copy.dry_run = args.dry_run;
    if (!check_emit(&args, err) || !source_date_epoch(&args.copy.epoch, err) ||
        !check_places(cli, &args, err) ||
        !cli_access_sides(cli, &args.access, &args.copy.source, &args.copy.destination, err) ||
        !read_machine(&args, err))
        return false;
    ok = open_copy(&args, &copy, err) && plan_and_run(cli, &args, copy, err);
    copy_free(copy);
    return ok;
}

const struct cli_command cli_copy = {
    .name = "copy",
    .synopsis = "[flags] SOURCE... DESTINATION",
    .summary = "copy images between registries, bundles and OCI layouts",
    .help = "Copy images by digest, every byte as it is.\n"
            "\n"
            "sources:       docker://HOST[:PORT]/REPO[:TAG][@DIGEST], bundle:FILE[:REF],\n"
            "               oci-archive:FILE[:REF] (the same), oci:DIR[:REF], --file LIST;\n"
            "               bundle:-[:REF] (standard input)\n"
            "destinations:  docker://HOST/REPO[:TAG] for one source: exactly there;\n"
            "               docker://HOST[/PREFIX]/, or several sources: the source's path\n"
            "               below it;\n"
            "               bundle:FILE[:REF], bundle:- (standard output), oci:DIR[:REF]\n"
            "\n"
            "TLS: registries are asked over verified https. Hosts on loopback (localhost,\n"
            "127.0.0.0/8, ::1) are asked over https without verification, then over http,\n"
            "as docker does, unless --src-tls-verify or --dest-tls-verify is given; \"=false\"\n"
            "does the same for every host.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
