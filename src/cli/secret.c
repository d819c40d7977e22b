/*
 * Reading passwords, for the options that take credentials and for login.
 *
 * Invariants: no secret is left in memory that is given back; a terminal gets its settings back on
 * every way out. SIGINT, SIGTERM and SIGHUP only set a flag (main.c), which is looked at here; the
 * keys that would stop or kill the program without that are out of force while a password is typed.
 */
#include "cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/span.h"

#define LOOK_MS      100
#define LINE_MAX_TTY 4095 /* the kernel drops what a line has beyond that */

/* ---- standard input and arguments ---- */

bool cli_claim_stdin(struct cli *cli, const char *who, struct mir_error *err)
{
    if (!cli->stdin_reader || strcmp(cli->stdin_reader, who) == 0) {
        cli->stdin_reader = who;
        return true;
    }
    return cli_usage(cli, err, "standard input cannot serve both %s and %s", cli->stdin_reader,
                     who);
}

void cli_hide_argument(struct cli *cli, const char *from)
{
    for (int i = 0; i < cli->argc; i++) {
        char *arg = cli->argv[i];

        if (from >= arg && from <= arg + strlen(arg))
            memset(arg + (from - arg), '*', strlen(from));
    }
}

/* ---- reading ---- */

/* As many bytes as are there, at least one; 0 at the end. */
static bool read_some(const struct cli *cli, int fd, char *data, size_t max, size_t *got,
                      struct mir_error *err)
{
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t count;

        if (mir_is_cancelled(cli->cancel))
            return mir_fail(err, MIR_E_CANCELLED, "stopped by the user");
        if (poll(&ready, 1, LOOK_MS) <= 0)
            continue;
        count = read(fd, data, max);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count < 0)
            return mir_fail_errno(err, "read");
        *got = (size_t)count;
        return true;
    }
}

/* Byte by byte where only a line is wanted: what follows it is somebody else's. */
static bool read_text(const struct cli *cli, int fd, enum cli_stdin how, char *text,
                      struct mir_error *err)
{
    size_t used = 0, got = 0;

    do {
        if (used == CLI_SECRET_MAX)
            return mir_fail(err, MIR_E_LIMIT, "over the limit of %u bytes", CLI_SECRET_MAX);
        if (!read_some(cli, fd, text + used, how == CLI_STDIN_LINE ? 1 : CLI_SECRET_MAX - used,
                       &got, err))
            return false;
        used += got;
    } while (got > 0 && (how == CLI_STDIN_ALL || text[used - 1] != '\n'));
    if (memchr(text, '\0', used))
        return mir_fail(err, MIR_E_FORMAT, "there is a NUL byte in it");
    if (used > 0 && text[used - 1] == '\n')
        text[--used] = '\0';
    if (used > 0 && text[used - 1] == '\r')
        text[--used] = '\0';
    return used > 0 || mir_fail(err, MIR_E_USAGE, "it is empty");
}

/* text has CLI_SECRET_MAX + 1 zeroed bytes. */
static bool take_text(char *text, char **out)
{
    *out = mir_strndup(text, strlen(text));
    mir_wipe(text, CLI_SECRET_MAX);
    return true;
}

bool cli_read_secret(struct cli *cli, const char *who, enum cli_stdin how, char **out,
                     struct mir_error *err)
{
    auto_free char *text = mir_alloc(CLI_SECRET_MAX + 1);

    if (!cli_claim_stdin(cli, who, err))
        return false;
    if (read_text(cli, STDIN_FILENO, how, text, err))
        return take_text(text, out);
    mir_wipe(text, CLI_SECRET_MAX);
    (void)mir_context(err, "%s: standard input", who);
    return false;
}

/* ---- the terminal ---- */

struct terminal {
    int fd;
    bool changed;
    struct termios before;
};

static void terminal_close(struct terminal *terminal)
{
    if (terminal->changed)
        (void)tcsetattr(terminal->fd, TCSAFLUSH, &terminal->before);
    if (terminal->fd >= 0)
        (void)close(terminal->fd);
}

bool cli_has_terminal(void)
{
    return isatty(STDIN_FILENO) == 1;
}

static bool echo_off(struct terminal *terminal, struct mir_error *err)
{
    struct termios quiet;

    if (tcgetattr(terminal->fd, &terminal->before) != 0)
        return mir_fail_errno(err, "the settings of the terminal");
    quiet = terminal->before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
    quiet.c_cc[VQUIT] = _POSIX_VDISABLE;
    terminal->changed = true;
    if (tcsetattr(terminal->fd, TCSAFLUSH, &quiet) != 0)
        return mir_fail_errno(err, "switch the terminal's echo off");
    return true;
}

static bool ask_terminal(const struct cli *cli, struct terminal *terminal, const char *prompt,
                         enum cli_echo echo, char *text, struct mir_error *err)
{
    bool answered;

    if (echo == CLI_ECHO_OFF && !echo_off(terminal, err))
        return false;
    if (!mir_write_full(terminal->fd, mir_span_of(prompt), err))
        return false;
    answered = read_text(cli, terminal->fd, CLI_STDIN_LINE, text, err);
    if (echo == CLI_ECHO_OFF || !answered) {
        struct mir_error trouble = MIR_ERROR_INIT;

        if (!mir_write_full(terminal->fd, mir_span_of("\n"), &trouble))
            mir_log(&cli->sink, MIR_LEVEL_DEBUG, "the line end on the terminal: %s", trouble.text);
    }
    if (answered && strlen(text) >= LINE_MAX_TTY)
        return mir_fail(err, MIR_E_LIMIT, "a terminal takes no line as long as this one");
    return answered;
}

bool cli_ask(struct cli *cli, const char *prompt, enum cli_echo echo, char **out,
             struct mir_error *err)
{
    __attribute__((cleanup(terminal_close))) struct terminal terminal = {
        .fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
    auto_free char *text = mir_alloc(CLI_SECRET_MAX + 1);

    if (terminal.fd >= 0 && ask_terminal(cli, &terminal, prompt, echo, text, err))
        return take_text(text, out);
    if (terminal.fd < 0)
        (void)mir_fail_errno(err, "open /dev/tty");
    mir_wipe(text, CLI_SECRET_MAX);
    (void)mir_context(err, "the answer");
    return false;
}

/* ---- credentials of an option ---- */

static bool ask_user(struct cli *cli, const char *option, char **creds, struct mir_error *err)
{
    auto_free char *prompt = mir_format("User (%s): ", option);
    auto_free_secret char *user = NULL;

    if (!cli_ask(cli, prompt, CLI_ECHO_ON, &user, err))
        return mir_context(err, "%s", option);
    if (strchr(user, ':'))
        return mir_fail(err, MIR_E_USAGE, "%s: a user name has no colon", option);
    mir_free_secret(*creds);
    *creds = mir_steal(&user);
    return true;
}

static bool ask_password(struct cli *cli, const char *option, char **creds, struct mir_error *err)
{
    auto_free char *prompt = mir_format("Password of %s (%s): ", *creds, option);
    auto_free_secret char *password = NULL;
    char *pair;

    if (!cli_ask(cli, prompt, CLI_ECHO_OFF, &password, err))
        return mir_context(err, "%s", option);
    pair = mir_format("%s:%s", *creds, password);
    mir_free_secret(*creds);
    *creds = pair;
    return true;
}

static bool read_creds(struct cli *cli, const char *option, char **creds, struct mir_error *err)
{
    auto_free_secret char *line = NULL;
    bool both = strcmp(*creds, "-") == 0;
    char *pair;

    if (!cli_read_secret(cli, option, CLI_STDIN_LINE, &line, err))
        return mir_hint(err,
                        "pipe %s in, or log in with \"mirror login\"; a user without a password "
                        "is \"USER:\"",
                        both ? "a line USER:PASS" : "the password");
    if (both && !strchr(line, ':'))
        return cli_usage(cli, err, "%s: standard input: not USER:PASS", option);
    pair = both ? mir_steal(&line) : mir_format("%s:%s", *creds, line);
    mir_free_secret(*creds);
    *creds = pair;
    return true;
}

bool cli_complete_creds(struct cli *cli, const char *option, char **creds, struct mir_error *err)
{
    if (strchr(*creds, ':'))
        return true;
    if ((*creds)[0] == '\0')
        return mir_fail(err, MIR_E_USAGE, "%s: there is no user name", option);
    if (!cli_has_terminal())
        return read_creds(cli, option, creds, err);
    if (strcmp(*creds, "-") == 0 && !ask_user(cli, option, creds, err))
        return false;
    return ask_password(cli, option, creds, err);
}
