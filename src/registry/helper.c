/*
 * Running docker-credential-NAME: no shell, what it is told on its standard input, what it answers
 * bounded, a time limit, and an end for its whole process group when it is over that. Called by
 * auth_helper.c for "get", by auth_write.c for "store" and "erase".
 * Rule: the protocol of docker-credential-helpers: errors come on standard output with a status.
 *
 * Invariants: no process is left behind by a failure; neither what is sent nor what comes back is
 * shown, except the first line of a refusal, and the helper's standard error at debug with every
 * secret that is known by then blotted out.
 */
#include "registry/registry_priv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/tree.h"

#define NAME_BYTES_MAX  64
#define STDERR_MAX      (16u << 10) /* bytes; the rest is dropped */
#define STDERR_LINES    20
#define LOOK_UP_MS      50 /* how often Ctrl-C and the time are looked at */
#define LAST_WAIT_MS    2  /* the same once it has closed its pipes, and is about to end */
#define PATH_DEFAULT    "/usr/local/bin:/usr/bin:/bin"
#define PROGRAM_PREFIX  "docker-credential-"
#define NOT_FOUND_WORDS "credentials not found"

extern char **environ;

/* What a pipe from the helper has brought so far. */
struct ear {
    int fd; /* -1: closed */
    char *data;
    size_t len, max;
    bool full; /* there was more */
};

struct run {
    pid_t pid; /* 0: none, or waited for */
    int status;
    struct ear output;
    struct ear words;
};

static void ear_release(struct ear *ear)
{
    mir_auto_close(&ear->fd);
    mir_wipe(ear->data, ear->max);
    free(ear->data);
}

/* Whatever is still running of it ends here. */
static void run_release(struct run *run)
{
    if (run->pid > 0) {
        (void)kill(-run->pid, SIGKILL);
        while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    ear_release(&run->output);
    ear_release(&run->words);
}

/* ---- which program ------------------------------------------------------------------------- */

static bool is_plain_word(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    }
    return len > 0 && len <= NAME_BYTES_MAX && name[0] != '.' && name[0] != '-';
}

/* Only folders with an absolute path count: what lies in the current one is not asked for secrets.
 */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    struct mir_span rest = mir_span_of(path && path[0] != '\0' ? path : PATH_DEFAULT);
    struct mir_span dir;

    while (mir_span_next(&rest, ':', &dir)) {
        auto_free char *program = NULL;

        if (!mir_span_starts_with(dir, "/"))
            continue;
        program = mir_format("%.*s/" PROGRAM_PREFIX "%s", MIR_SPAN_ARG(dir), name);
        if (access(program, X_OK) == 0)
            return mir_steal(&program);
    }
    return NULL;
}

/* NULL with err. */
static char *find(const char *name, struct mir_error *err)
{
    char *program = is_plain_word(name) ? find_program(name) : NULL;

    if (!is_plain_word(name))
        (void)mir_fail(err, MIR_E_USAGE, "a credential helper cannot be called \"%.100s\"", name);
    else if (!program) {
        (void)mir_fail(err, MIR_E_USAGE, PROGRAM_PREFIX "%s: no such program in PATH", name);
        (void)mir_hint(err, "install " PROGRAM_PREFIX "%s, or take the helper out of the file",
                       name);
    }
    return program;
}

/* ---- starting ------------------------------------------------------------------------------ */

/* A file in memory: nobody has to write while the helper reads, or minds if it does not. */
static bool hold_input(struct mir_span input, int *fd, struct mir_error *err)
{
    *fd = memfd_create("input", MFD_CLOEXEC);
    if (*fd < 0)
        return mir_fail_errno(err, "memory for a credential helper's input");
    if (!mir_write_full(*fd, input, err))
        return false;
    return lseek(*fd, 0, SEEK_SET) == 0 ||
           mir_fail_errno(err, "memory for a credential helper's input");
}

static bool open_ear(struct ear *ear, size_t max, int *far_end, struct mir_error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return mir_fail_errno(err, "a pipe to a credential helper");
    ear->fd = ends[0];
    ear->data = mir_alloc(max);
    ear->max = max;
    *far_end = ends[1];
    return true;
}

/* A group of its own, so that what it starts can be ended with it; signals as a shell gives them.
 */
static int spawn(struct run *run, const char *program, const char *verb, const int fds[3])
{
    char *const argv[] = {mir_strdup(program), mir_strdup(verb), NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int failed;

    (void)posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++)
        (void)posix_spawn_file_actions_adddup2(&actions, fds[i], i);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)sigemptyset(&signals);
    (void)posix_spawnattr_setsigmask(&attributes, &signals);
    (void)sigaddset(&signals, SIGPIPE);
    (void)sigaddset(&signals, SIGXFSZ);
    (void)posix_spawnattr_setsigdefault(&attributes, &signals);
    failed = posix_spawn(&run->pid, program, &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(argv[0]);
    free(argv[1]);
    return failed;
}

static bool start(struct run *run, const char *program, const char *verb, struct mir_span input,
                  struct mir_error *err)
{
    auto_close int in = -1;
    auto_close int out = -1;
    auto_close int words = -1;
    int failed;

    if (!hold_input(input, &in, err) || !open_ear(&run->output, REG_HELPER_OUTPUT_MAX, &out, err) ||
        !open_ear(&run->words, STDERR_MAX, &words, err))
        return false;
    failed = spawn(run, program, verb, (const int[]){in, out, words});
    if (failed != 0) {
        run->pid = 0;
        errno = failed;
        (void)mir_fail_errno(err, "run %s", program);
        err->code = MIR_E_USAGE;
        return false;
    }
    return true;
}

/* ---- listening ----------------------------------------------------------------------------- */

/* One read; what does not fit is dropped and remembered. */
static void hear(struct ear *ear)
{
    char beyond[4096];
    bool room = ear->len < ear->max;
    ssize_t got = room ? read(ear->fd, ear->data + ear->len, ear->max - ear->len)
                       : read(ear->fd, beyond, sizeof(beyond));

    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        mir_auto_close(&ear->fd);
        ear->fd = -1;
    } else if (room)
        ear->len += (size_t)got;
    else {
        ear->full = true;
        mir_wipe(beyond, (size_t)got);
    }
}

/* Take what comes within wait_ms. False: nothing did. */
static bool listen_once(struct run *run, int wait_ms)
{
    struct pollfd polls[] = {{.fd = run->output.fd, .events = POLLIN},
                             {.fd = run->words.fd, .events = POLLIN}};

    if (poll(polls, 2, wait_ms) <= 0)
        return false;
    if (polls[0].revents != 0)
        hear(&run->output);
    if (polls[1].revents != 0)
        hear(&run->words);
    return polls[0].revents != 0 || polls[1].revents != 0;
}

static bool has_ended(struct run *run)
{
    if (waitpid(run->pid, &run->status, WNOHANG) != run->pid)
        return false;
    run->pid = 0;
    return true;
}

/* Until the program itself ends. What it left behind may keep its pipes open for ever. */
static bool listen_to(struct run *run, int64_t limit_ms, const struct mir_cancel *cancel,
                      struct mir_error *err)
{
    int64_t deadline_ms = mir_clock_now(mir_clock_real()) + limit_ms;

    while (!has_ended(run)) {
        if (mir_is_cancelled(cancel))
            return mir_fail(err, MIR_E_CANCELLED, "stopped");
        if (mir_clock_now(mir_clock_real()) >= deadline_ms)
            return mir_fail(err, MIR_E_AUTH, "no answer within %d s", (int)(limit_ms / 1000));
        (void)listen_once(run, run->output.fd < 0 && run->words.fd < 0 ? LAST_WAIT_MS : LOOK_UP_MS);
        if (run->output.full)
            break;
    }
    while (!run->output.full && !run->words.full && listen_once(run, 0))
        ;
    return !run->output.full || mir_fail(err, MIR_E_LIMIT, "it says more than %u bytes",
                                         (unsigned)REG_HELPER_OUTPUT_MAX);
}

/* ---- what it said -------------------------------------------------------------------------- */

static void blot_out(struct ear *words, const char *secret)
{
    size_t len = secret ? strlen(secret) : 0;
    size_t from = 0;

    while (len > 0 && from + len <= words->len) {
        char *at = memmem(words->data + from, words->len - from, secret, len);

        if (!at)
            return;
        memset(at, '*', len);
        from = (size_t)(at - words->data) + len;
    }
}

/* The secret of a message of the protocol, as it is and as Basic would send it. False: there may be
 * one, and nobody can say where. */
static bool blot_out_secrets(struct ear *words, struct mir_span message)
{
    auto_json *root = NULL;
    struct mir_error ignored = MIR_ERROR_INIT;
    const char *user, *secret;
    auto_free_secret char *pair = NULL;
    auto_free_secret char *basic = NULL;
    auto_free_secret char *alone = NULL;

    message = mir_span_trim(message);
    if (!mir_span_starts_with(message, "{"))
        return true;
    if (!mir_json_parse_secret(message, "", &root, &ignored))
        return false;
    user = json_string_value(json_object_get(root, "Username"));
    secret = json_string_value(json_object_get(root, "Secret"));
    if (secret && secret[0] != '\0') {
        pair = mir_format("%s:%s", user ? user : "", secret);
        basic = mir_base64_encode(mir_span_of(pair));
        alone = mir_base64_encode(mir_span_of(secret));
        blot_out(words, secret);
        blot_out(words, basic);
        blot_out(words, alone);
    }
    reg_wipe_json(json_object_get(root, "Secret"));
    return true;
}

static void log_words(struct run *run, const char *name, struct mir_span input,
                      const struct mir_sink *sink)
{
    struct mir_span output = mir_span(run->output.data, run->output.len);
    struct mir_span rest = mir_span(run->words.data, run->words.len);
    struct mir_span line;

    if (!sink || sink->level < MIR_LEVEL_DEBUG || rest.len == 0)
        return;
    if (!blot_out_secrets(&run->words, input) || !blot_out_secrets(&run->words, output))
        return;
    for (int i = 0; i < STDERR_LINES && mir_span_next(&rest, '\n', &line); i++) {
        if (line.len > 0)
            mir_log(sink, MIR_LEVEL_DEBUG, PROGRAM_PREFIX "%s says: %.*s", name,
                    (int)(line.len < REG_MESSAGE_MAX ? line.len : REG_MESSAGE_MAX), line.ptr);
    }
}

/* The first line of a refusal. What looks like the answer to "get" is not shown. */
static bool refused(struct run *run, struct mir_span input, struct mir_error *err)
{
    struct mir_span said = mir_span_trim(mir_span(run->output.data, run->output.len));
    auto_free char *text = NULL;
    struct mir_span line = {0};

    if (!blot_out_secrets(&run->output, input))
        said.len = 0;
    (void)mir_span_next(&said, '\n', &line);
    text = mir_strndup(line.ptr, line.len < REG_MESSAGE_MAX ? line.len : REG_MESSAGE_MAX);
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    if (mir_starts_with(text, NOT_FOUND_WORDS))
        return mir_fail(err, MIR_E_NOT_FOUND, "%s", text);
    if (WIFSIGNALED(run->status))
        return mir_fail(err, MIR_E_AUTH, "it was ended by signal %d", WTERMSIG(run->status));
    if (text[0] == '\0' || strchr(text, '{'))
        return mir_fail(err, MIR_E_AUTH, "it failed with status %d", WEXITSTATUS(run->status));
    return mir_fail(err, MIR_E_AUTH, "it failed with status %d: %s", WEXITSTATUS(run->status),
                    text);
}

static bool run_through(struct run *run, const struct reg_helper_ask *ask, struct mir_buf *output,
                        struct mir_error *err)
{
    auto_free char *program = find(ask->name, err);

    if (!program)
        return false;
    if (!start(run, program, ask->verb, ask->input, err) ||
        !listen_to(run, ask->limit_ms > 0 ? ask->limit_ms : REG_HELPER_LIMIT_MS, ask->cancel,
                   err)) {
        if (err->code == MIR_E_AUTH)
            (void)mir_hint(err,
                           "see what " PROGRAM_PREFIX "%s waits for: a keyring to be unlocked?",
                           ask->name);
        return mir_context(err, PROGRAM_PREFIX "%s", ask->name);
    }
    log_words(run, ask->name, ask->input, ask->sink);
    if (run->status != 0) {
        (void)refused(run, ask->input, err);
        return mir_context(err, PROGRAM_PREFIX "%s", ask->name);
    }
    mir_buf_add(output, mir_span(run->output.data, run->output.len));
    return true;
}

bool reg_helper_ask(const struct reg_helper_ask *ask, struct mir_buf *output, struct mir_error *err)
{
    struct run run = {.output = {.fd = -1}, .words = {.fd = -1}};
    bool ok = run_through(&run, ask, output, err);

    run_release(&run);
    return ok;
}

bool reg_helper_run(const char *name, const char *verb, struct mir_span input,
                    struct mir_buf *output, const struct mir_cancel *cancel,
                    const struct mir_sink *sink, struct mir_error *err)
{
    const struct reg_helper_ask ask = {
        .name = name, .verb = verb, .input = input, .cancel = cancel, .sink = sink};

    return reg_helper_ask(&ask, output, err);
}
