/*
 * mirror completion: a completion script for bash, made from the same tables as the help.
 */
#include <string.h>

#include "cli/cli.h"

static const char *const COMMON = "--verbose --debug --help";

static void print_options(const struct cli_command *command)
{
    (void)printf("    %s) words=\"", command->name);
    for (size_t i = 0; i < command->option_count; i++)
        (void)printf("--%s ", command->options[i].name);
    (void)printf("%s\" ;;\n", COMMON);
}

static void print_bash(void)
{
    size_t count;
    const struct cli_command *const *commands = cli_commands(&count);

    (void)printf("# bash completion for mirror; source it, or put it into\n"
                 "# /usr/share/bash-completion/completions/mirror\n"
                 "_mirror() {\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} words=\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                 "        words=\"");
    for (size_t i = 0; i < count; i++)
        (void)printf("%s%s", commands[i]->name, i + 1 < count ? " " : "");
    (void)printf("\"\n"
                 "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                 "        return\n"
                 "    fi\n"
                 "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < count; i++)
        print_options(commands[i]);
    (void)printf("    esac\n"
                 "    case $word in\n"
                 "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
                 "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
                 "    esac\n"
                 "}\n"
                 "complete -o filenames -F _mirror mirror\n");
}

static bool take_shell(struct cli *cli, int id, const char *value, void *into,
                       struct mir_error *err)
{
    const char **shell = into;

    (void)id;
    if (*shell)
        return cli_usage(cli, err, "one shell at a time");
    *shell = value;
    return true;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    const char *shell = NULL;
    bool go;

    if (!cli_read(cli, take_shell, &shell, &go, err) || !go)
        return err->code == MIR_OK;
    if (!shell || strcmp(shell, "bash") != 0)
        return cli_usage(cli, err, "name a shell: bash");
    print_bash();
    return true;
}

const struct cli_command cli_completion = {
    .name = "completion",
    .synopsis = "bash",
    .summary = "print a completion script for a shell",
    .run = run,
};
