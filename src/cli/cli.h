/*
 * The command line: a table of commands, options declared once, and what they print.
 *
 * Each command is one file of this directory that defines one `const struct cli_command`. Options
 * are a table; --help, shell completion and the check against the man pages derive from it.
 * Commands hold no logic worth testing alone: they read options, call a library, print.
 *
 * Threads: commands run in the main thread; the log may be written from any.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"

struct cli;
struct cli_progress;

struct cli_option {
    const char *name;  /* long name without dashes */
    char letter;       /* short form, or 0 */
    const char *value; /* what the help calls the value ("FILE"), or NULL for a switch */
    const char *help;  /* one sentence, no full stop; continuation lines are broken by us */
    int id;            /* what cli_take() gets; > 0, unique within the command */
};

struct cli_command {
    const char *name;
    const char *synopsis; /* "[flags] SOURCE... DESTINATION" */
    const char *summary;  /* one line for the list of commands */
    const char *help;     /* paragraphs before the options; lines broken at 80; may be NULL */
    const struct cli_option *options;
    size_t option_count;
    /* Do it. False with err set ends the program with mir_exit_status(err). */
    bool (*run)(struct cli *cli, struct mir_error *err);
};

/* What every command gets. */
struct cli {
    const struct cli_command *command;
    int argc;
    char **argv;
    int next;                        /* private to cli_read() */
    const char *letters_left;        /* private too */
    bool only_positional;            /* after "--" */
    const char *stdin_reader;        /* private to secret.c: what reads standard input, or NULL */
    struct mir_sink sink;            /* emits to stderr, at the level of --verbose and --quiet */
    const struct mir_cancel *cancel; /* set by SIGINT, SIGTERM and SIGHUP */
    pthread_mutex_t lock;            /* one line at a time on stderr */
    struct cli_progress *progress;   /* a bar to step aside for, or NULL */
};

#define CLI_POSITIONAL (-1) /* the id of an argument that is no option */

/* Takes one option (by its id) or positional argument (CLI_POSITIONAL). value is borrowed from
 * argv; of a switch it is "true" or "false". args is what cli_read() was given. */
typedef bool cli_take(struct cli *cli, int id, const char *value, void *args,
                      struct mir_error *err);

/**
 * Read the whole command line, options and positional arguments in any order; "--" ends options.
 * Switches accept "--name" and "--name=true|false"; options with a value accept "--name=V" and
 * "--name V", letters "-nV" and "-n V". --help, --verbose (-v, repeatable) and --debug are common
 * to all commands and handled here.
 *
 * *go is false when --help was printed and nothing more is to be done. err: MIR_E_USAGE.
 */
MIR_MUST_CHECK bool cli_read(struct cli *cli, cli_take *take, void *args, bool *go,
                             struct mir_error *err);

/** "true" or "false" (also 1, 0, yes, no). err: MIR_E_USAGE naming the option. */
bool cli_bool(const char *option, const char *value, bool *out, struct mir_error *err);
/** A whole number from min to max. err: MIR_E_USAGE naming the option and the range. */
bool cli_number(const char *option, const char *value, uint64_t min, uint64_t max, uint64_t *out,
                struct mir_error *err);
/** MIR_E_USAGE, with a hint to --help of the command. */
bool cli_usage(struct cli *cli, struct mir_error *err, const char *fmt, ...) MIR_PRINTF(3, 4);

/** One JSON value on stdout, indented, with a newline. err: MIR_E_LIMIT; also when value is NULL.
 */
bool cli_print_json(const json_t *value, struct mir_error *err);

/** Flush stdout and see that everything reached it (a full disk, a closed pipe). */
bool cli_finish_output(struct mir_error *err);

/** Print an error and its hint to stderr as "mirror: TEXT" and "hint: TEXT". */
void cli_print_error(struct cli *cli, const struct mir_error *err);

/** All commands, in the order of the help. */
const struct cli_command *const *cli_commands(size_t *count);

/** Read argv, run the command, print the error; returns the exit status. */
int cli_main(int argc, char **argv, const struct mir_cancel *cancel);

extern const struct cli_command cli_copy, cli_emit_icsp, cli_node_config, cli_migrate_icsp,
    cli_serve, cli_verify, cli_resolve, cli_check, cli_inspect, cli_diff, cli_receipt, cli_merge,
    cli_login, cli_logout, cli_auth, cli_completion, cli_version;

#endif
