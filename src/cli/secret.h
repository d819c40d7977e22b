/*
 * Passwords that do not stand on the command line: from a terminal with echo off, or from standard
 * input; and those that do stand there, made unreadable to whoever lists processes.
 *
 * Threads: the main thread, before others start.
 */
#ifndef CLI_SECRET_H
#define CLI_SECRET_H

#include "cli/cli.h"

#define CLI_SECRET_MAX (64u << 10) /* bytes of a password or a USER:PASS line */

/** Standard input is for one reader: who is what errors call this one ("--file -"). The same one
 * may ask twice; who has to outlive cli. err: MIR_E_USAGE, naming both. */
MIR_MUST_CHECK bool cli_claim_stdin(struct cli *cli, const char *who, struct mir_error *err);

/** Overwrite a part of an argument, in place, so that it is not seen in the list of processes any
 * more. from points into what cli_take() got; the caller has a copy. */
void cli_hide_argument(struct cli *cli, const char *from);

/** Is there somebody to ask? */
bool cli_has_terminal(void);

enum cli_echo {
    CLI_ECHO_ON,
    CLI_ECHO_OFF,
};

/** Ask on the terminal and read one line, which may not be empty. The terminal is as it was when
 * this returns, however it does. *out is a secret the caller frees. err: MIR_E_CANCELLED after
 * Ctrl-C; MIR_E_IO without a terminal. */
MIR_MUST_CHECK bool cli_ask(struct cli *cli, const char *prompt, enum cli_echo echo, char **out,
                            struct mir_error *err);

enum cli_stdin {
    CLI_STDIN_LINE, /* the first line */
    CLI_STDIN_ALL,  /* everything, less the line end it ends with: keys in JSON have many lines */
};

/** Read a secret from standard input. who as in cli_claim_stdin(). *out is a secret the caller
 * frees; it is not empty. */
MIR_MUST_CHECK bool cli_read_secret(struct cli *cli, const char *who, enum cli_stdin how,
                                    char **out, struct mir_error *err);

/**
 * Complete what an option says of credentials: "USER:PASS" stays; "USER" lacks the password, "-"
 * both. What is missing comes from the terminal where standard input is one, else from the first
 * line of standard input ("PASS", or "USER:PASS").
 *
 * creds  a secret, replaced by USER:PASS.
 * option "--src-creds", outlives cli.
 */
MIR_MUST_CHECK bool cli_complete_creds(struct cli *cli, const char *option, char **creds,
                                       struct mir_error *err);

#endif
