/*
 * measure [OPTIONS] FILE COMMAND...: run a command, exit as it did, and write to FILE what it used,
 * one "name value" per line:
 *
 *     status       its exit status, 128 and the signal's number when one ended it
 *     wall_ms      time
 *     user_ms, sys_ms   processor time of the command and of what it waited for
 *     peak_kib     largest resident memory of one process, among the command and those it and its
 *                  children waited for (ru_maxrss of wait4); not less than this program's own, 2
 * MiB written      bytes it passed to write calls on files (sockets are not counted) dirtied bytes
 * of file pages it made dirty; 0 on file systems without a disk others_ms    processor time used
 * meanwhile by anybody but it and the servers named
 *
 *     --space DIR             also space_bytes: the most space in use on DIR's file system, above
 *                             what was in use at the start, sampled every 20 ms
 *     --server NAME PID LOG   (repeatable) also NAME_cpu_ms, NAME_requests, NAME_GET, ... of a
 *                             docker-registry on this machine with this access log
 *
 * Called by the integration tests and tests/bench. The figures are read while the command is a
 * zombie, so nothing of a parent (a shell, this program) is in them. INT, TERM and HUP are passed
 * on.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/watch.h"

#define SERVERS_MAX 4
#define SAMPLE_MS   20

struct options {
    const char *space;
    struct watch_server servers[SERVERS_MAX];
    size_t server_count;
    const char *file;
    char **command;
};

struct figures {
    int status;
    int64_t wall_ms;
    int64_t busy_ms; /* of the machine */
    uint64_t written;
    uint64_t dirtied;
    uint64_t space;
    struct rusage usage;
};

static volatile sig_atomic_t child_id;

static void pass_on(int number)
{
    if (child_id > 0)
        kill((pid_t)child_id, number);
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

/* Until the command has ended, which it is told by without being waited for. */
static uint64_t sample_space(pid_t pid, const char *dir)
{
    uint64_t before = watch_space(dir), most = before;
    auto_close int end = pidfd_open(pid, 0);
    struct pollfd ended = {.fd = end, .events = POLLIN};

    while (end >= 0 && poll(&ended, 1, SAMPLE_MS) <= 0) {
        uint64_t now = watch_space(dir);

        most = now > most ? now : most;
    }
    return most - before;
}

static bool run(const struct options *options, struct figures *figures)
{
    int64_t begin = watch_now_ms(), busy = watch_cpu().busy_ms;
    pid_t pid = start(options->command);
    siginfo_t info;
    int status;

    if (options->space)
        figures->space = sample_space(pid, options->space);
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        continue;
    figures->wall_ms = watch_now_ms() - begin;
    figures->busy_ms = watch_cpu().busy_ms - busy;
    figures->written = watch_io(pid, "wchar");
    figures->dirtied = watch_io(pid, "write_bytes");
    child_id = 0;
    if (wait4(pid, &status, 0, &figures->usage) != pid)
        return false;
    figures->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

static int64_t time_ms(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000 + time.tv_usec / 1000;
}

static bool print(const struct options *options, const struct figures *figures)
{
    int64_t user = time_ms(figures->usage.ru_utime), system = time_ms(figures->usage.ru_stime);
    int64_t others = figures->busy_ms - user - system;
    FILE *file = fopen(options->file, "we");

    if (!file)
        return false;
    fprintf(file, "status %d\nwall_ms %" PRId64 "\nuser_ms %" PRId64 "\nsys_ms %" PRId64 "\n",
            figures->status, figures->wall_ms, user, system);
    fprintf(file, "peak_kib %ld\nwritten %" PRIu64 "\ndirtied %" PRIu64 "\n",
            figures->usage.ru_maxrss, figures->written, figures->dirtied);
    if (options->space)
        fprintf(file, "space_bytes %" PRIu64 "\n", figures->space);
    for (size_t i = 0; i < options->server_count; i++)
        others -= watch_server_print(&options->servers[i], file);
    fprintf(file, "others_ms %" PRId64 "\n", others > 0 ? others : 0);
    return fclose(file) == 0;
}

static bool parse(int argc, char **argv, struct options *options)
{
    int i = 1;

    while (i < argc && argv[i][0] == '-') {
        if (strcmp(argv[i], "--space") == 0 && i + 1 < argc) {
            options->space = argv[i + 1];
            i += 2;
        } else if (strcmp(argv[i], "--server") == 0 && i + 3 < argc &&
                   options->server_count < SERVERS_MAX) {
            options->servers[options->server_count++] =
                (struct watch_server){.name = argv[i + 1],
                                      .pid = (pid_t)strtol(argv[i + 2], NULL, 10),
                                      .log = argv[i + 3]};
            i += 4;
        } else {
            return false;
        }
    }
    if (i + 1 >= argc)
        return false;
    options->file = argv[i];
    options->command = argv + i + 1;
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.space = NULL};
    struct figures figures = {.status = 0};

    if (!parse(argc, argv, &options)) {
        fputs("usage: measure [--space DIR] [--server NAME PID LOG]... FILE COMMAND...\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < options.server_count; i++)
        watch_server_begin(&options.servers[i]);
    if (!run(&options, &figures) || !print(&options, &figures))
        return 125;
    return figures.status;
}
