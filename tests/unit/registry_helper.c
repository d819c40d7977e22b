/*
 * Credential helpers: how docker-credential-NAME is found, run, ended, believed and remembered.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/fake_clock.h"
#include "lib/scratch.h"
#include "registry/registry_priv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void auto_auth_free(struct reg_auth **auth)
{
    reg_auth_free(*auth);
}
#define auto_auth __attribute__((cleanup(auto_auth_free))) struct reg_auth

static void note_line(void *ctx, enum mir_level level, const char *line)
{
    struct mir_buf *log = ctx;

    (void)level;
    mir_buf_text(log, line);
    mir_buf_char(log, '\n');
}

/* A helper that is a shell script in dir, which becomes the first folder of PATH. */
static void put_helper(const char *dir, const char *name, const char *script)
{
    auto_free char *path = mir_format("%s/docker-credential-%s", dir, name);
    auto_free char *text = mir_format("#!/bin/sh\n%s\n", script);
    auto_free char *search = mir_format("%s:/usr/bin:/bin", dir);

    scratch_write(path, mir_span_of(text));
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(setenv("PATH", search, 1), 0);
}

/* ---- running ------------------------------------------------------------------------------- */

static void helper_hears_its_input_and_is_heard(void **state)
{
    auto_scratch *dir = scratch_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_buf said;

    (void)state;
    mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
    put_helper(dir, "t", "printf '%s:' \"$1\" \"$#\"; cat");
    if (!reg_helper_run("t", "get", mir_span_of("h.io"), &said, NULL, NULL, &err))
        fail_msg("%s", err.text);
    assert_string_equal(said.ptr, "get:1:h.io");
}

static void helper_failures_have_their_own_words(void **state)
{
    const struct {
        const char *label;
        const char *name;
        const char *script; /* NULL: none */
        enum mir_code code;
        const char *text;
    } rows[] = {
        {"missing", "t", NULL, MIR_E_USAGE, "docker-credential-t: no such program in PATH"},
        {"a path", "../t", "", MIR_E_USAGE, "cannot be called \"../t\""},
        {"an option", "-t", "", MIR_E_USAGE, "cannot be called"},
        {"a command", "t;id", "", MIR_E_USAGE, "cannot be called"},
        {"no name", "", "", MIR_E_USAGE, "cannot be called"},
        {"not found", "t", "echo credentials not found in native keychain; exit 1", MIR_E_NOT_FOUND,
         "credentials not found"},
        {"in words", "t", "echo the keyring is locked; exit 3", MIR_E_AUTH,
         "it failed with status 3: the keyring is locked"},
        {"silent", "t", "exit 7", MIR_E_AUTH, "it failed with status 7"},
        {"its own end", "t", "kill -9 $$", MIR_E_AUTH, "it was ended by signal 9"},
        {"terminal codes", "t", "printf 'a\\033[31mb'; exit 1", MIR_E_AUTH, ": a?[31mb"},
        {"says too much", "t", "exec cat /dev/zero", MIR_E_LIMIT, "it says more than 65536 bytes"},
        {"no program", "t", "exit 0", MIR_OK, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        struct mir_error err = MIR_ERROR_INIT;
        auto_buf said;

        mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
        put_helper(dir, "other", "exit 0");
        if (rows[i].script && rows[i].name[0] == 't')
            put_helper(dir, "t", rows[i].script);
        if (reg_helper_run(rows[i].name, "get", mir_span_of("h"), &said, NULL, NULL, &err) !=
                (rows[i].code == MIR_OK) ||
            err.code != rows[i].code || (rows[i].text && !strstr(err.text, rows[i].text)))
            fail_msg("%s: %d %s", rows[i].label, (int)err.code, err.text);
    }
}

static void helper_in_the_current_folder_is_not_run(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *before = getcwd(NULL, 0);
    const char *const paths[] = {"", ".:/bin", ":/bin", "bin"};

    (void)state;
    put_helper(dir, "t", "exit 0");
    assert_int_equal(chdir(dir), 0);
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_buf said;

        mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
        assert_int_equal(setenv("PATH", paths[i], 1), 0);
        assert_false(reg_helper_run("t", "get", mir_span_of("h"), &said, NULL, NULL, &err));
        assert_int_equal(err.code, MIR_E_USAGE);
    }
    assert_int_equal(chdir(before), 0);
}

/* Is there a process of that id, other than a dead one? */
static bool is_alive(const char *pid_file)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *text = NULL;
    auto_free char *path = NULL;
    auto_free char *stat = NULL;
    size_t len;

    if (!mir_file_read(pid_file, 100, &text, &len, &err))
        fail_msg("%s", err.text);
    path = mir_format("/proc/%ld/stat", strtol(text, NULL, 10));
    return mir_file_read(path, 4096, &stat, &len, &err) && !strstr(stat, ") Z ");
}

static void helper_that_hangs_is_ended_with_what_it_started(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *pids = mir_format("%s/pid", dir);
    auto_free char *script =
        mir_format("sleep 1000 & echo $! >%s.tmp; mv %s.tmp %s; wait", pids, pids, pids);
    struct reg_helper_ask ask = {.name = "t", .verb = "get", .limit_ms = 50};
    struct mir_error err = MIR_ERROR_INIT;
    auto_buf said;

    (void)state;
    mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
    put_helper(dir, "t", script);
    /* Long enough for the script to have begun. */
    while (access(pids, F_OK) != 0) {
        mir_error_clear(&err);
        ask.limit_ms *= 2;
        assert_false(reg_helper_ask(&ask, &said, &err));
        assert_int_equal(err.code, MIR_E_AUTH);
        assert_non_null(strstr(err.text, "no answer within"));
    }
    /* Killed, it may take a moment to be gone. */
    for (int i = 0; i < 5000 && is_alive(pids); i++)
        (void)mir_clock_wait(mir_clock_real(), 1, NULL);
    assert_false(is_alive(pids));
}

static void helper_ends_when_the_user_stops(void **state)
{
    auto_scratch *dir = scratch_new();
    struct mir_cancel cancel = {.flag = 1};
    struct mir_error err = MIR_ERROR_INIT;
    auto_buf said;

    (void)state;
    mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
    put_helper(dir, "t", "sleep 1000");
    assert_false(reg_helper_run("t", "get", mir_span_of("h"), &said, &cancel, NULL, &err));
    assert_int_equal(err.code, MIR_E_CANCELLED);
}

/* An agent that a helper leaves behind has its pipes. */
static void helper_may_leave_a_daemon_behind(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *pids = mir_format("%s/pid", dir);
    auto_free char *script = mir_format("sleep 1000 & echo $! >%s; echo hello", pids);
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *text = NULL;
    size_t len;
    auto_buf said;

    (void)state;
    mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
    put_helper(dir, "t", script);
    if (!reg_helper_run("t", "get", mir_span_of("h"), &said, NULL, NULL, &err))
        fail_msg("%s", err.text);
    assert_string_equal(said.ptr, "hello\n");
    assert_true(is_alive(pids));
    assert_true(mir_file_read(pids, 100, &text, &len, &err));
    assert_int_equal(kill((pid_t)strtol(text, NULL, 10), SIGKILL), 0);
}

static void helper_words_are_for_debug_and_without_the_secret(void **state)
{
    const struct {
        const char *label;
        const char *input;
        const char *script;
        const char *shown; /* NULL: nothing */
    } rows[] = {
        {"words", "h", "echo unlocking >&2; echo '{}'", "docker-credential-t says: unlocking"},
        {"the secret of the answer", "h",
         "echo 'got hunter2, aHVudGVyMg== and bWU6aHVudGVyMg== ' >&2;"
         "echo '{\"Username\":\"me\",\"Secret\":\"hunter2\"}'",
         "says: got *******, ************ and **************** "},
        {"the secret of the input", "{\"Username\":\"me\",\"Secret\":\"hunter2\"}",
         "echo storing hunter2 >&2", "says: storing *******"},
        {"an answer cut short", "h",
         "echo hunter2 >&2; echo '{\"Username\":\"me\",\"Secret\":\"hunter2'", NULL},
        {"a refusal with the secret", "{\"Username\":\"me\",\"Secret\":\"hunter2\"}",
         "echo cannot store hunter2; exit 1", NULL},
        {"a refusal that is an answer", "h",
         "echo '{\"Username\":\"me\",\"Secret\":\"hunter2\"}'; exit 1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        struct mir_error err = MIR_ERROR_INIT;
        auto_buf log;
        auto_buf said;
        const struct mir_sink sink = {.emit = note_line, .ctx = &log, .level = MIR_LEVEL_TRACE};

        mir_buf_init(&log, 10000);
        mir_buf_init(&said, REG_HELPER_OUTPUT_MAX);
        put_helper(dir, "t", rows[i].script);
        (void)!reg_helper_run("t", "store", mir_span_of(rows[i].input), &said, NULL, &sink, &err);
        if (rows[i].shown ? !strstr(log.ptr, rows[i].shown) : log.len > 0)
            fail_msg("%s: %s", rows[i].label, log.ptr);
        if (strstr(log.ptr, "hunter2") || strstr(err.text, "hunter2"))
            fail_msg("%s: %s%s", rows[i].label, log.ptr, err.text);
    }
}

/* ---- believed ------------------------------------------------------------------------------ */

/* Asks for h.io/x/y with that text as the only auth file. */
static bool find(const char *dir, const char *text, const struct mir_sink *sink,
                 struct reg_creds *out, struct mir_error *err)
{
    auto_free char *path = mir_format("%s/auth.json", dir);
    const struct reg_options options = {.authfile = path, .sink = sink};
    auto_auth *auth = NULL;

    scratch_write(path, mir_span_of(text));
    return reg_auth_load(&options, &auth, err) && reg_auth_find(auth, "h.io", "x/y", out, err);
}

#define ANSWER(user, secret)                                                                       \
    "printf '{\"ServerURL\":\"%s\",\"Username\":\"" user "\",\"Secret\":\"" secret "\"}' "         \
    "\"$(cat)\""
#define NOT_FOUND "echo credentials not found in native keychain; exit 1"
#define A         "\"auth\":\"YTpwdw==\"" /* a:pw */

static void helper_answers_are_what_files_say(void **state)
{
    const struct {
        const char *label;
        const char *file;
        const char *script;
        const char *user; /* NULL: none */
        const char *password;
        const char *token;
    } rows[] = {
        {"host", "{\"credHelpers\":{\"h.io\":\"t\"}}", ANSWER("u", "p:w"), "u", "p:w", NULL},
        {"before the keys of its file",
         "{\"credHelpers\":{\"h.io\":\"t\"},\"auths\":{\"h.io/x\":{" A "}}}", ANSWER("u", "p"), "u",
         "p", NULL},
        {"nothing, and then the keys of its file do not count",
         "{\"credHelpers\":{\"h.io\":\"t\"},\"auths\":{\"h.io/x\":{" A "}}}", NOT_FOUND, NULL, NULL,
         NULL},
        {"of whole hosts", "{\"credHelpers\":{\"h.io/x\":\"t\"}}", ANSWER("u", "p"), NULL, NULL,
         NULL},
        {"of another host", "{\"credHelpers\":{\"g.io\":\"t\"}}", ANSWER("u", "p"), NULL, NULL,
         NULL},
        {"identity token", "{\"credHelpers\":{\"h.io\":\"t\"}}", ANSWER("<token>", "idt"), NULL,
         NULL, "idt"},
        {"empty answer", "{\"credHelpers\":{\"h.io\":\"t\"}}", ANSWER("", ""), NULL, NULL, NULL},
        {"store", "{\"credsStore\":\"t\"}", ANSWER("u", "p"), "u", "p", NULL},
        {"store behind an empty entry", "{\"auths\":{\"h.io\":{}},\"credsStore\":\"t\"}",
         ANSWER("u", "p"), "u", "p", NULL},
        {"a key before the store", "{\"auths\":{\"h.io\":{" A "}},\"credsStore\":\"t\"}",
         ANSWER("u", "p"), "a", "pw", NULL},
        {"helper before the store", "{\"credHelpers\":{\"h.io\":\"t\"},\"credsStore\":\"other\"}",
         ANSWER("u", "p"), "u", "p", NULL},
        {"a store that fails", "{\"credsStore\":\"t\"}", "echo locked; exit 1", NULL, NULL, NULL},
        {"a store that is not there", "{\"credsStore\":\"nope\"}", "", NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        struct mir_error err = MIR_ERROR_INIT;
        auto_creds creds = {0};

        put_helper(dir, "t", rows[i].script);
        if (!find(dir, rows[i].file, NULL, &creds, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        if (creds.found != (rows[i].user || rows[i].token) ||
            (rows[i].user && (!creds.user || strcmp(creds.user, rows[i].user) != 0 ||
                              strcmp(creds.password, rows[i].password) != 0)) ||
            (rows[i].token &&
             (!creds.identity_token || strcmp(creds.identity_token, rows[i].token) != 0)))
            fail_msg("%s: %s", rows[i].label, creds.found ? creds.origin : "none");
    }
}

static void helper_answers_that_are_none_are_errors(void **state)
{
    const struct {
        const char *label;
        const char *script;
        enum mir_code code;
        const char *text;
    } rows[] = {
        {"no JSON", "echo hunter2", MIR_E_FORMAT, "docker-credential-t: its answer is not JSON"},
        {"empty", "exit 0", MIR_E_FORMAT, "its answer is not JSON"},
        {"a list", "echo '[\"hunter2\"]'", MIR_E_FORMAT, "its answer is not JSON"},
        {"no secret", "echo '{\"Username\":\"u\"}'", MIR_E_FORMAT,
         "no \"Username\" and \"Secret\""},
        {"wrong types", "echo '{\"Username\":1,\"Secret\":\"hunter2\"}'", MIR_E_FORMAT,
         "no \"Username\" and \"Secret\""},
        {"failed", "echo locked; exit 1", MIR_E_AUTH, "auth.json: docker-credential-t: it failed"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        struct mir_error err = MIR_ERROR_INIT;
        auto_creds creds = {0};
        auto_buf log;
        const struct mir_sink sink = {.emit = note_line, .ctx = &log, .level = MIR_LEVEL_TRACE};

        mir_buf_init(&log, 10000);
        put_helper(dir, "t", rows[i].script);
        if (find(dir, "{\"credHelpers\":{\"h.io\":\"t\"}}", &sink, &creds, &err) ||
            err.code != rows[i].code || !strstr(err.text, rows[i].text))
            fail_msg("%s: %d %s", rows[i].label, (int)err.code, err.text);
        if (strstr(log.ptr, "hunter2") || strstr(err.text, "hunter2"))
            fail_msg("%s: %s%s", rows[i].label, log.ptr, err.text);
    }
}

static void helper_knows_docker_io_by_its_url_too(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/auth.json", dir);
    const struct reg_options options = {.authfile = path};
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;
    auto_creds creds = {0};

    (void)state;
    put_helper(dir, "t",
               "h=$(cat); [ \"$h\" = https://index.docker.io/v1/ ] || { " NOT_FOUND
               "; }; echo '{\"Username\":\"u\",\"Secret\":\"p\"}'");
    scratch_write(path, mir_span_of("{\"credHelpers\":{\"https://index.docker.io/v1/\":\"t\"}}"));
    assert_true(reg_auth_load(&options, &auth, &err));
    if (!reg_auth_find(auth, "docker.io", "library/x", &creds, &err))
        fail_msg("%s", err.text);
    assert_string_equal(creds.user, "u");
}

/* ---- remembered ---------------------------------------------------------------------------- */

/* How often a helper that adds a byte to a file was run. */
static size_t runs(const char *dir)
{
    auto_free char *path = mir_format("%s/runs", dir);
    auto_free char *text = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    size_t len = 0;

    return mir_file_read(path, 100000, &text, &len, &err) ? len : 0;
}

struct asker {
    const struct reg_auth *auth;
    bool ok;
};

static void *ask_often(void *ctx)
{
    struct asker *asker = ctx;

    asker->ok = true;
    for (int i = 0; i < 50; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_creds creds = {0};

        asker->ok = asker->ok && reg_auth_find(asker->auth, "h.io", "x", &creds, &err) &&
                    creds.found && strcmp(creds.password, "p") == 0;
    }
    return NULL;
}

static void helper_is_run_once_for_all_threads(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/auth.json", dir);
    auto_free char *script = mir_format("printf x >>%s/runs; %s", dir, ANSWER("u", "p"));
    const struct reg_options options = {.authfile = path};
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;
    pthread_t threads[8];
    struct asker askers[COUNT(threads)];

    (void)state;
    put_helper(dir, "t", script);
    scratch_write(path, mir_span_of("{\"credHelpers\":{\"h.io\":\"t\"}}"));
    assert_true(reg_auth_load(&options, &auth, &err));
    for (size_t i = 0; i < COUNT(threads); i++) {
        askers[i].auth = auth;
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(askers[i].ok);
    }
    assert_int_equal(runs(dir), 1);
}

static void helper_is_run_again_when_its_answer_is_old(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/auth.json", dir);
    auto_free char *broken = mir_format("%s/broken", dir);
    auto_free char *script =
        mir_format("printf x >>%s/runs; [ ! -e %s ] || exit 1; %s", dir, broken, ANSWER("u", "p"));
    struct fake_clock clock;
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;

    (void)state;
    fake_clock_init(&clock);
    put_helper(dir, "t", script);
    scratch_write(path, mir_span_of("{\"credHelpers\":{\"h.io\":\"t\"}}"));
    assert_true(
        reg_auth_load(&(struct reg_options){.authfile = path, .clock = &clock.clock}, &auth, &err));
    for (size_t i = 1; i <= 3; i++) {
        auto_creds creds = {0};
        auto_creds again = {0};

        /* The third time it fails, and what it said before stays good. */
        if (i == 3)
            scratch_write(broken, mir_span_of(""));
        assert_true(reg_auth_find(auth, "h.io", "x", &creds, &err));
        assert_true(reg_auth_find(auth, "h.io", "x", &again, &err));
        assert_string_equal(again.user, "u");
        assert_int_equal(runs(dir), i);
        assert_true(mir_clock_wait(&clock.clock, 3600 * 1000, NULL));
    }
}

static void helper_that_fails_is_not_run_for_each_image(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/auth.json", dir);
    auto_free char *script = mir_format("printf x >>%s/runs; exit 1", dir);
    const struct reg_options options = {.authfile = path};
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;

    (void)state;
    put_helper(dir, "t", script);
    scratch_write(path, mir_span_of("{\"credHelpers\":{\"h.io\":\"t\"}}"));
    assert_true(reg_auth_load(&options, &auth, &err));
    for (int i = 0; i < 3; i++) {
        struct mir_error why = MIR_ERROR_INIT;
        auto_creds creds = {0};

        assert_false(reg_auth_find(auth, "h.io", "x", &creds, &why));
        assert_int_equal(why.code, MIR_E_AUTH);
    }
    assert_int_equal(runs(dir), 1);
}

/* ---- registries.conf ----------------------------------------------------------------------- */

static void helpers_of_registries_conf_are_asked_in_order(void **state)
{
    const struct {
        const char *label;
        const char *order[3];
        size_t count;
        const char *user; /* NULL: an error */
    } rows[] = {
        {"files alone", {"containers-auth.json"}, 1, "a"},
        {"a helper first", {"t", "containers-auth.json"}, 2, "u"},
        {"files first", {"containers-auth.json", "t"}, 2, "a"},
        {"helper alone", {"t"}, 1, "u"},
        {"one that has nothing", {"empty", "containers-auth.json"}, 2, "a"},
        {"one that fails", {"broken", "containers-auth.json"}, 2, "a"},
        {"one that is not there", {"nope", "t"}, 2, "u"},
        {"one that fails, and nothing else", {"broken", "empty"}, 2, NULL},
        {"none", {NULL}, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        auto_free char *path = mir_format("%s/auth.json", dir);
        const struct reg_options options = {
            .authfile = path, .helpers = rows[i].order, .helper_count = rows[i].count};
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds creds = {0};
        bool ok;

        put_helper(dir, "t", ANSWER("u", "p"));
        put_helper(dir, "empty", NOT_FOUND);
        put_helper(dir, "broken", "exit 1");
        scratch_write(path, mir_span_of("{\"auths\":{\"h.io\":{" A "}}}"));
        assert_true(reg_auth_load(&options, &auth, &err));
        ok = reg_auth_find(auth, "h.io", "x", &creds, &err);
        if (ok != (rows[i].user != NULL) ||
            (ok && strcmp(creds.found ? creds.user : "", rows[i].user) != 0))
            fail_msg("%s: %s", rows[i].label, ok ? creds.user : err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(helper_hears_its_input_and_is_heard),
        cmocka_unit_test(helper_failures_have_their_own_words),
        cmocka_unit_test(helper_in_the_current_folder_is_not_run),
        cmocka_unit_test(helper_that_hangs_is_ended_with_what_it_started),
        cmocka_unit_test(helper_ends_when_the_user_stops),
        cmocka_unit_test(helper_may_leave_a_daemon_behind),
        cmocka_unit_test(helper_words_are_for_debug_and_without_the_secret),
        cmocka_unit_test(helper_answers_are_what_files_say),
        cmocka_unit_test(helper_answers_that_are_none_are_errors),
        cmocka_unit_test(helper_knows_docker_io_by_its_url_too),
        cmocka_unit_test(helper_is_run_once_for_all_threads),
        cmocka_unit_test(helper_is_run_again_when_its_answer_is_old),
        cmocka_unit_test(helper_that_fails_is_not_run_for_each_image),
        cmocka_unit_test(helpers_of_registries_conf_are_asked_in_order),
    };

    return cmocka_run_group_tests_name("registry/helper", tests, NULL, NULL);
}
