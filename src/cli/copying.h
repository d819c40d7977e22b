/*
 * Copies as commands: the options that mirror copy and mirror merge share, and what is done once
 * sources and destination are known.
 */
#ifndef CLI_COPYING_H
#define CLI_COPYING_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "copy/copy.h"

/* Ids from here on belong to this file. */
enum cli_copying_option {
    CLI_OPT_JOBS = 1200,
    CLI_OPT_VOLUME_SIZE,
    CLI_OPT_DRY_RUN,
    CLI_OPT_REPORT,
    CLI_OPT_PROGRESS,
    CLI_OPT_QUIET,
};

#define CLI_COPYING_OPTIONS                                                                        \
    {"volume-size", 0, "SIZE",                                                                     \
     "cut the bundle into FILE.001, FILE.002, ... of at most SIZE: 4GiB, 700MB, dvd, fat32",       \
     CLI_OPT_VOLUME_SIZE},                                                                         \
        {"dry-run", 'n', NULL, "show the plan and change nothing", CLI_OPT_DRY_RUN},               \
        {"report", 0, "FILE", "write what happened to each image as JSON", CLI_OPT_REPORT},        \
        {"progress", 0, "KIND",                                                                    \
         "bar, plain, json or none (default: bar on a terminal, else plain)", CLI_OPT_PROGRESS},   \
    {                                                                                              \
        "quiet", 'q', NULL, "print errors only", CLI_OPT_QUIET                                     \
    }

struct cli_copying {
    struct copy_options copy;
    struct copy_progress counters; /* copy points to it: do not move this */
    const char *report, *mapping, *emit_dir;
    enum cli_progress_kind progress;
    bool quiet;
};

/** Point to what the command has; the rest stays as it is. */
void cli_copying_init(struct cli *cli, struct cli_copying *how);
bool cli_copying_is_option(int id);
/** Take one of the options above, or CLI_OPT_JOBS. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool cli_copying_take(struct cli_copying *how, int id, const char *value,
                                     struct mir_error *err);
/** After all options were read: what they and the environment say together. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool cli_copying_begin(struct cli *cli, struct cli_copying *how,
                                      struct mir_error *err);

/** Plan, show the plan or run it, print what came of it, write the files that were asked for. err:
 * as copy_plan() and copy_run(). */
MIR_MUST_CHECK bool cli_copying_run(struct cli *cli, const struct cli_copying *how,
                                    struct copy *copy, struct mir_error *err);

/** A path that exists as "bundle:PATH" or "oci:PATH", else the text as it is. The caller frees. */
char *cli_place_of_path(const char *text);

#endif
