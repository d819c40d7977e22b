/*
 * What mirror copy and mirror merge have in common: a copy that is ready is planned, shown or run,
 * and said to have come to what.
 */
#include "cli/copying.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "cli/emit.h"

/* ---- options ---- */

void cli_copying_init(struct cli *cli, struct cli_copying *how)
{
    how->copy.progress = &how->counters;
    how->copy.cancel = cli->cancel;
    how->copy.sink = &cli->sink;
}

bool cli_copying_is_option(int id)
{
    return id >= CLI_OPT_JOBS && id <= CLI_OPT_QUIET;
}

bool cli_copying_take(struct cli_copying *how, int id, const char *value, struct mir_error *err)
{
    uint64_t jobs;

    switch ((enum cli_copying_option)id) {
    case CLI_OPT_JOBS:
        if (!cli_number("jobs", value, 1, COPY_JOBS_MAX, &jobs, err))
            return false;
        how->copy.jobs = (unsigned)jobs;
        return true;
    case CLI_OPT_VOLUME_SIZE:
        return bundle_volume_size_parse(value, &how->copy.volume_bytes, err) ||
               mir_context(err, "--volume-size");
    case CLI_OPT_DRY_RUN:
        return cli_bool("dry-run", value, &how->copy.dry_run, err);
    case CLI_OPT_REPORT:
        how->report = value;
        return true;
    case CLI_OPT_PROGRESS:
        return cli_progress_parse(value, &how->progress, err);
    case CLI_OPT_QUIET:
        return cli_bool("quiet", value, &how->quiet, err);
    }
    return true;
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

bool cli_copying_begin(struct cli *cli, struct cli_copying *how, struct mir_error *err)
{
    if (how->quiet) {
        cli->sink.level = MIR_LEVEL_WARN;
        how->progress = CLI_PROGRESS_NONE;
    }
    return source_date_epoch(&how->copy.epoch, err);
}

char *cli_place_of_path(const char *text)
{
    struct stat info;

    if (stat(text, &info) != 0)
        return mir_strdup(text);
    return mir_format("%s:%s", S_ISDIR(info.st_mode) ? "oci" : "bundle", text);
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

static bool write_files(struct cli *cli, const struct cli_copying *how, const struct copy *copy,
                        struct mir_error *err)
{
    if (how->report && !write_report(copy, how->report, err))
        return false;
    if (how->mapping && !write_mapping(copy, how->mapping, err))
        return false;
    if (how->emit_dir && !cli_emit_copy(cli, copy, how->emit_dir, err))
        return mir_context(err, "emit");
    return true;
}

/* ---- doing it ---- */

bool cli_copying_run(struct cli *cli, const struct cli_copying *how, struct copy *copy,
                     struct mir_error *err)
{
    struct cli_progress *progress = cli_progress_begin(cli, how->progress, how->copy.progress);
    bool planned = copy_plan(copy, err);
    bool ok = planned;

    if (planned && !how->copy.dry_run)
        ok = copy_run(copy, err);
    cli_progress_end(progress);
    if (!planned)
        return false;
    if (how->copy.dry_run) {
        print_plan(copy);
        print_failures(cli, copy);
        return copy_verdict(copy, err);
    }
    if (!how->quiet)
        print_images(copy);
    print_failures(cli, copy);
    print_summary(cli, how->copy.since, copy);
    /* The first error wins: a report that cannot be written does not hide a failed copy. */
    return write_files(cli, how, copy, err) && ok;
}
