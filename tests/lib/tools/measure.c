/*
 * measure FILE COMMAND...: run a command, exit as it did, and write to FILE what it used, one
 * "name value" per line:
 *
 *     peak_kib     largest resident memory, the command and what it waited for
 *     written      bytes it passed to write calls on files (sockets are not counted)
 *     dirtied      bytes of file pages it made dirty; 0 on file systems without a disk
 *     wall_ms      time
 *
 * Called by the integration tests. The figures are read while the command is a zombie, so nothing
 * of a parent (a shell, this program) is in them. INT, TERM and HUP are passed on.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static volatile sig_atomic_t child_id;

static void pass_on(int number)
{
    if (child_id > 0)
        kill((pid_t)child_id, number);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One figure of /proc/PID/io; 0 when the kernel does not tell. */
static uint64_t io_figure(pid_t pid, const char *name)
{
    auto_free char *path = mir_format("/proc/%d/io", (int)pid);
    char line[128];
    uint64_t value = 0;
    FILE *file = fopen(path, "re");

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file)) {
        size_t len = strlen(name);

        if (strncmp(line, name, len) == 0 && line[len] == ':')
            value = strtoull(line + len + 1, NULL, 10);
    }
    fclose(file);
    return value;
}

static pid_t start(char **command)
{
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    pid_t pid = fork();

    if (pid == 0) {
        execvp(command[0], command);
        fprintf(stderr, "measure: %s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    child_id = pid;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    return pid;
}

int main(int argc, char **argv)
{
    int64_t begin = now_ms();
    uint64_t written, dirtied;
    struct rusage usage;
    siginfo_t info;
    FILE *file;
    int status;
    pid_t pid;

    if (argc < 3) {
        fputs("usage: measure FILE COMMAND...\n", stderr);
        return 2;
    }
    pid = start(argv + 2);
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        continue;
    written = io_figure(pid, "wchar");
    dirtied = io_figure(pid, "write_bytes");
    child_id = 0;
    if (wait4(pid, &status, 0, &usage) != pid)
        return 125;
    file = fopen(argv[1], "we");
    if (!file)
        return 125;
    fprintf(file, "peak_kib %ld\nwritten %" PRIu64 "\ndirtied %" PRIu64 "\nwall_ms %" PRId64 "\n",
            usage.ru_maxrss, written, dirtied, now_ms() - begin);
    if (fclose(file) != 0)
        return 125;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
