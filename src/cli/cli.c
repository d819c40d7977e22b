/*
 * The frame all commands share: the command table, reading options from their declaration, help,
 * the log on stderr, and the exit status. Only this directory prints and only main() exits.
 */
#include "cli/cli.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "cli/progress.h"

#define HELP_WIDTH  80
#define HELP_INDENT 30

/* What the next argument is, besides an id and CLI_POSITIONAL. */
enum step {
    END = 0,
    BAD = -2,  /* err is set */
    HELP = -3, /* --help was printed */
};

enum common_id {
    ID_HELP = 1000000,
    ID_VERBOSE,
    ID_DEBUG,
};

static const struct cli_option common_options[] = {
    {"verbose", 'v', NULL, "say more; twice for requests", ID_VERBOSE},
    {"debug", 0, NULL, "the same as -vv", ID_DEBUG},
    {"help", 'h', NULL, "show this help", ID_HELP},
};
#define COMMON_COUNT (sizeof(common_options) / sizeof(common_options[0]))

const struct cli_command *const *cli_commands(size_t *count)
{
    static const struct cli_command *const commands[] = {
        &cli_copy,       &cli_emit_icsp, &cli_node_config, &cli_migrate_icsp, &cli_serve,
        &cli_verify,     &cli_resolve,   &cli_check,       &cli_inspect,      &cli_diff,
        &cli_receipt,    &cli_merge,     &cli_login,       &cli_logout,       &cli_auth,
        &cli_completion, &cli_version,
    };

    *count = sizeof(commands) / sizeof(commands[0]);
    return commands;
}

/* ---- the log ---- */

static const char *prefix_of(enum mir_level level)
{
    switch (level) {
    case MIR_LEVEL_ERROR:
        return "mirror: ";
    case MIR_LEVEL_WARN:
        return "warning: ";
    case MIR_LEVEL_INFO:
        return "";
    case MIR_LEVEL_DEBUG:
    case MIR_LEVEL_TRACE:
        return "debug: ";
    }
    return "";
}

static void emit_line(void *ctx, enum mir_level level, const char *line)
{
    struct cli *cli = ctx;

    (void)pthread_mutex_lock(&cli->lock);
    cli_progress_hide(cli->progress);
    (void)fprintf(stderr, "%s%s\n", prefix_of(level), line);
    (void)pthread_mutex_unlock(&cli->lock);
}

void cli_print_error(struct cli *cli, const struct mir_error *err)
{
    (void)pthread_mutex_lock(&cli->lock);
    cli_progress_hide(cli->progress);
    (void)fprintf(stderr, "mirror: %s\n", err->text);
    if (err->hint[0] != '\0')
        (void)fprintf(stderr, "hint: %s\n", err->hint);
    (void)pthread_mutex_unlock(&cli->lock);
}

/* ---- options ---- */

static const struct cli_option *find_long(const struct cli *cli, struct mir_span name)
{
    for (size_t i = 0; i < cli->command->option_count; i++)
        if (mir_span_is(name, cli->command->options[i].name))
            return &cli->command->options[i];
    for (size_t i = 0; i < COMMON_COUNT; i++)
        if (mir_span_is(name, common_options[i].name))
            return &common_options[i];
    return NULL;
}

static const struct cli_option *find_letter(const struct cli *cli, char letter)
{
    for (size_t i = 0; i < cli->command->option_count; i++)
        if (cli->command->options[i].letter == letter)
            return &cli->command->options[i];
    for (size_t i = 0; i < COMMON_COUNT; i++)
        if (common_options[i].letter == letter)
            return &common_options[i];
    return NULL;
}

static void print_option(const struct cli_option *option)
{
    char left[64];
    const char *rest = option->help;
    size_t room = HELP_WIDTH - HELP_INDENT;
    int len;

    len = snprintf(left, sizeof(left), "  %c%c%s--%s%s%s", option->letter ? '-' : ' ',
                   option->letter ? option->letter : ' ', option->letter ? ", " : "  ",
                   option->name, option->value ? " " : "", option->value ? option->value : "");
    (void)printf("%-*s", HELP_INDENT, left);
    if (len >= HELP_INDENT)
        (void)printf("\n%*s", HELP_INDENT, "");
    while (strlen(rest) > room) {
        size_t cut = room;

        while (cut > 0 && rest[cut] != ' ')
            cut--;
        (void)printf("%.*s\n%*s", (int)cut, rest, HELP_INDENT, "");
        rest += cut + 1;
    }
    (void)printf("%s\n", rest);
}

static void print_command_help(const struct cli_command *command)
{
    (void)printf("usage: mirror %s %s\n\n", command->name, command->synopsis);
    (void)printf("%s\n", command->help ? command->help : command->summary);
    (void)printf("\noptions:\n");
    for (size_t i = 0; i < command->option_count; i++)
        print_option(&command->options[i]);
    for (size_t i = 0; i < COMMON_COUNT; i++)
        print_option(&common_options[i]);
}

/* Options every command has; returns true when id was one of them. */
static bool is_handled(struct cli *cli, int id)
{
    switch (id) {
    case ID_VERBOSE:
        if (cli->sink.level < MIR_LEVEL_TRACE)
            cli->sink.level++;
        return true;
    case ID_DEBUG:
        cli->sink.level = MIR_LEVEL_TRACE;
        return true;
    default:
        return false;
    }
}

static int found(struct cli *cli, const struct cli_option *option)
{
    if (option->id != ID_HELP)
        return option->id;
    print_command_help(cli->command);
    return HELP;
}

static int next_long(struct cli *cli, const char *arg, const char **value, struct mir_error *err)
{
    const char *equals = strchr(arg, '=');
    struct mir_span name = mir_span(arg, equals ? (size_t)(equals - arg) : strlen(arg));
    const struct cli_option *option = find_long(cli, name);

    if (!option) {
        (void)cli_usage(cli, err, "unknown option --%.*s", MIR_SPAN_ARG(name));
        return BAD;
    }
    if (!option->value) {
        bool on;

        *value = equals ? equals + 1 : "true";
        return cli_bool(option->name, *value, &on, err) ? found(cli, option) : BAD;
    }
    if (!equals && cli->next >= cli->argc) {
        (void)cli_usage(cli, err, "--%s needs a value (%s)", option->name, option->value);
        return BAD;
    }
    *value = equals ? equals + 1 : cli->argv[cli->next++];
    return found(cli, option);
}

static int next_letter(struct cli *cli, const char **value, struct mir_error *err)
{
    char letter = *cli->letters_left++;
    const struct cli_option *option = find_letter(cli, letter);

    if (!option) {
        (void)cli_usage(cli, err, "unknown option -%c", letter);
        return BAD;
    }
    *value = "true";
    if (!option->value)
        return found(cli, option);
    if (*cli->letters_left != '\0') {
        *value = cli->letters_left;
    } else if (cli->next < cli->argc) {
        *value = cli->argv[cli->next++];
    } else {
        (void)cli_usage(cli, err, "-%c needs a value (%s)", letter, option->value);
        return BAD;
    }
    cli->letters_left = "";
    return found(cli, option);
}

/* The next option or positional argument, or one of enum step. */
static int next_argument(struct cli *cli, const char **value, struct mir_error *err)
{
    const char *arg;

    if (*cli->letters_left != '\0')
        return next_letter(cli, value, err);
    if (cli->next >= cli->argc)
        return END;
    arg = cli->argv[cli->next++];
    if (!cli->only_positional && strcmp(arg, "--") == 0) {
        cli->only_positional = true;
        return next_argument(cli, value, err);
    }
    if (cli->only_positional || arg[0] != '-' || arg[1] == '\0') {
        *value = arg;
        return CLI_POSITIONAL;
    }
    if (arg[1] == '-')
        return next_long(cli, arg + 2, value, err);
    cli->letters_left = arg + 1;
    return next_letter(cli, value, err);
}

bool cli_read(struct cli *cli, cli_take *take, void *args, bool *go, struct mir_error *err)
{
    const char *value = NULL;

    *go = false;
    for (int id = next_argument(cli, &value, err); id != END;
         id = next_argument(cli, &value, err)) {
        if (id == BAD)
            return false;
        if (id == HELP)
            return true;
        if (!is_handled(cli, id) && !take(cli, id, value, args, err))
            return mir_hint(err, "see \"mirror %s --help\"", cli->command->name);
    }
    *go = true;
    return true;
}

bool cli_bool(const char *option, const char *value, bool *out, struct mir_error *err)
{
    static const char *const on[] = {"true", "1", "yes"};
    static const char *const off[] = {"false", "0", "no"};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(value, on[i]) == 0 || strcmp(value, off[i]) == 0) {
            *out = strcmp(value, on[i]) == 0;
            return true;
        }
    }
    return mir_fail(err, MIR_E_USAGE, "--%s: \"%s\" is neither true nor false", option, value);
}

bool cli_number(const char *option, const char *value, uint64_t min, uint64_t max, uint64_t *out,
                struct mir_error *err)
{
    uint64_t number;

    if (!mir_parse_u64(mir_span_of(value), max, &number) || number < min)
        return mir_fail(err, MIR_E_USAGE, "--%s: \"%s\" is not a whole number from %llu to %llu",
                        option, value, (unsigned long long)min, (unsigned long long)max);
    *out = number;
    return true;
}

bool cli_usage(struct cli *cli, struct mir_error *err, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)mir_fail(err, MIR_E_USAGE, "%s", text);
    return mir_hint(err, "see \"mirror %s --help\"", cli->command->name);
}

bool cli_print_json(const json_t *value, struct mir_error *err)
{
    auto_free char *lines = value ? json_dumps(value, JSON_INDENT(2)) : NULL;

    if (!lines)
        return mir_fail(err, MIR_E_LIMIT, "the answer cannot be written as JSON");
    (void)printf("%s\n", lines);
    return true;
}

bool cli_finish_output(struct mir_error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return mir_fail_errno(err, "write to standard output");
    return true;
}

/* ---- the program ---- */

static void print_overview(FILE *to)
{
    size_t count;
    const struct cli_command *const *commands = cli_commands(&count);

    (void)fprintf(to, "usage: mirror COMMAND [flags] [arguments]\n\n"
                      "Carry digest-pinned images to where there is no internet, and write what "
                      "makes\na cluster pull from the copy.\n\ncommands:\n");
    for (size_t i = 0; i < count; i++)
        (void)fprintf(to, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    (void)fprintf(to, "\n\"mirror COMMAND --help\" tells more of each.\n"
                      "exit status: 0 all done, 1 failed, 2 bad command line, 3 some images are "
                      "missing\n");
}

static const struct cli_command *find_command(const char *name)
{
    size_t count;
    const struct cli_command *const *commands = cli_commands(&count);

    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* The end of everything that went well so far, or of what err says. */
static int finish(struct cli *cli, bool ok, struct mir_error *err)
{
    if (ok && cli_finish_output(err))
        return 0;
    cli_print_error(cli, err);
    return mir_exit_status(err);
}

int cli_main(int argc, char **argv, const struct mir_cancel *cancel)
{
    struct cli cli = {
        .argc = argc,
        .argv = argv,
        .next = 2,
        .letters_left = "",
        .sink = {.emit = emit_line, .level = MIR_LEVEL_INFO},
        .cancel = cancel,
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    struct mir_error err = MIR_ERROR_INIT;

    cli.sink.ctx = &cli;
    if (argc < 2) {
        print_overview(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_overview(stdout);
        return finish(&cli, true, &err);
    }
    cli.command = find_command(argv[1]);
    if (!cli.command) {
        (void)fprintf(stderr, "mirror: there is no command \"%s\"\nhint: see \"mirror --help\"\n",
                      argv[1]);
        return 2;
    }
    return finish(&cli, cli.command->run(&cli, &err), &err);
}
