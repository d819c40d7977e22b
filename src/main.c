/*
 * mirror: carry digest-pinned images to where there is no internet, and write what makes a cluster
 * pull from the copy. This file sets up what is process-wide; src/cli has a file for each command.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>

#include <jansson.h>

#include "cli/cli.h"
#include "http/http.h"

#define OPEN_FILES 4096

/* The one object a signal handler may touch. */
static struct mir_cancel cancel;

static void on_signal(int number)
{
    /* A second Ctrl-C does what it does to every other program. */
    if (atomic_exchange_explicit(&cancel.flag, 1, memory_order_relaxed) != 0) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
}

static void set_up_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    /* "nohup" has it ignored, and means that. */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        (void)sigaction(SIGHUP, &action, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL); /* "ulimit -f": an error to report, not the end */
}

/* A bundle may lie in 999 volumes, and be copied from one set to another: with the usual 1024 files
 * at a time that does not go. Nothing here uses select(), which is what that limit is kept for. */
static void allow_open_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= OPEN_FILES)
        return;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES ? limit.rlim_max : OPEN_FILES;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* if not, opening one too many says so */
}

int main(int argc, char **argv)
{
    struct mir_error err = MIR_ERROR_INIT;
    int status;

    set_up_signals();
    allow_open_files();
    json_object_seed(0);
    if (!http_global_init(&err)) {
        (void)fprintf(stderr, "mirror: %s\n", err.text);
        return mir_exit_status(&err);
    }
    status = cli_main(argc, argv, &cancel);
    http_global_cleanup();
    return status;
}
