/*
 * ptyrun [ANSWER PROMPT TEXT]... -- CMD...: run a command on a terminal of its own, and answer what
 * it asks. For each ANSWER, in order, wait until the terminal shows PROMPT, then type TEXT:
 *   echo      and Enter; the terminal has to echo
 *   hidden    and Enter; the terminal must not echo
 *   key       as it is; "^C" is that key, "^Z" and "^\" too
 *   signal    TEXT is TERM or HUP: sent to the command instead
 * Standard input of the command is the terminal, its output and errors are where ours are; what the
 * terminal shows goes to the file named by --shown FILE, given first. At the end the terminal has
 * to be as it was before. Exit status: the command's, 128 + the signal that ended it, or 99 when
 * something about the terminal was not as it has to be (said on stderr).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define SHOWN_MAX  65536
#define PATIENCE_S 20
#define BROKEN     99

struct run {
    int master;
    int slave; /* kept open, so that the settings can be looked at after the command has gone */
    pid_t command;
    struct termios before;
    char shown[SHOWN_MAX];
    size_t len;
    size_t matched; /* what earlier prompts were found in */
};

static void broken(const char *what, const char *detail)
{
    (void)fprintf(stderr, "ptyrun: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
    exit(BROKEN);
}

/* The master is never closed before the end, so a command that goes is seen by waitpid() alone. */
static bool take_output(struct run *run, int timeout_ms)
{
    struct pollfd ready = {.fd = run->master, .events = POLLIN};
    ssize_t got;

    if (poll(&ready, 1, timeout_ms) <= 0)
        return false;
    if (run->len == sizeof(run->shown) - 1)
        broken("too much on the terminal", NULL);
    got = read(run->master, run->shown + run->len, sizeof(run->shown) - 1 - run->len);
    if (got <= 0)
        return false;
    run->len += (size_t)got;
    return true;
}

static bool has_ended(const struct run *run)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)run->command, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

static void wait_for(struct run *run, const char *prompt)
{
    (void)alarm(PATIENCE_S);
    for (;;) {
        const char *at = strstr(run->shown + run->matched, prompt);

        if (at) {
            run->matched = (size_t)(at - run->shown) + strlen(prompt);
            return;
        }
        if (!take_output(run, 100) && has_ended(run))
            broken("the command has gone before it asked", prompt);
    }
}

static void type(const struct run *run, const char *text, size_t len)
{
    if (write(run->master, text, len) != (ssize_t)len)
        broken("write to the terminal", strerror(errno));
}

static bool echoes(const struct run *run)
{
    struct termios now;

    if (tcgetattr(run->slave, &now) != 0)
        broken("tcgetattr", strerror(errno));
    return (now.c_lflag & ECHO) != 0;
}

static void press(const struct run *run, const char *key)
{
    char control = key[0] == '^' && key[1] != '\0' ? (char)(key[1] & 0x1f) : key[0];

    type(run, &control, 1);
}

static void answer(struct run *run, const char *kind, const char *prompt, const char *text)
{
    wait_for(run, prompt);
    if (strcmp(kind, "key") == 0) {
        press(run, text);
        return;
    }
    if (strcmp(kind, "signal") == 0) {
        (void)kill(run->command, strcmp(text, "HUP") == 0 ? SIGHUP : SIGTERM);
        return;
    }
    if (strcmp(kind, "echo") != 0 && strcmp(kind, "hidden") != 0)
        broken("no such answer", kind);
    if (echoes(run) != (strcmp(kind, "echo") == 0))
        broken("the echo is not as it should be at", prompt);
    type(run, text, strlen(text));
    type(run, "\n", 1);
}

static void start(struct run *run, char **command)
{
    if (openpty(&run->master, &run->slave, NULL, NULL, NULL) != 0)
        broken("openpty", strerror(errno));
    if (tcgetattr(run->slave, &run->before) != 0)
        broken("tcgetattr", strerror(errno));
    run->command = fork();
    if (run->command < 0)
        broken("fork", strerror(errno));
    if (run->command > 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close(run->master);
    (void)setsid();
    if (ioctl(run->slave, TIOCSCTTY, 0) != 0 || dup2(run->slave, STDIN_FILENO) < 0)
        _exit(BROKEN);
    (void)close(run->slave);
    (void)execvp(command[0], command);
    _exit(127);
}

static int finish(struct run *run)
{
    struct termios after;
    int status;

    (void)alarm(PATIENCE_S);
    while (waitpid(run->command, &status, WNOHANG) == 0)
        (void)take_output(run, 20);
    while (take_output(run, 0))
        continue;
    if (tcgetattr(run->slave, &after) != 0)
        broken("tcgetattr", strerror(errno));
    if (after.c_lflag != run->before.c_lflag ||
        memcmp(after.c_cc, run->before.c_cc, sizeof(after.c_cc)) != 0)
        broken("the terminal is not as it was", NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void save(const struct run *run, const char *path)
{
    FILE *file = fopen(path, "w");

    if (!file || fwrite(run->shown, 1, run->len, file) != run->len || fclose(file) != 0)
        broken("write", path);
}

static void too_long(int number)
{
    static const char text[] = "ptyrun: nothing happened for too long\n";

    (void)number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(BROKEN);
    _exit(BROKEN);
}

int main(int argc, char **argv)
{
    static struct run run;
    const char *shown = NULL;
    int at = 1, first, status;

    if (argc > 2 && strcmp(argv[1], "--shown") == 0) {
        shown = argv[2];
        at = 3;
    }
    for (first = at; first < argc && strcmp(argv[first], "--") != 0;)
        first += 3;
    if (first + 1 >= argc)
        broken("usage: ptyrun [--shown FILE] [ANSWER PROMPT TEXT]... -- CMD...", NULL);
    (void)signal(SIGALRM, too_long);
    start(&run, argv + first + 1);
    for (; at < first; at += 3)
        answer(&run, argv[at], argv[at + 1], argv[at + 2]);
    status = finish(&run);
    if (shown)
        save(&run, shown);
    return status;
}
