/*
 * How a look-up goes, step by step, as whoever explains it is told: every place in its order, and
 * what was there. And what a look-up costs: nothing but the files it gets to can spoil it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/scratch.h"
#include "registry/registry_priv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void auto_auth_free(struct reg_auth **auth)
{
    reg_auth_free(*auth);
}
#define auto_auth __attribute__((cleanup(auto_auth_free))) struct reg_auth

/* base64 of "USER:pw" for users one letter long. */
#define A     "\"auth\":\"YTpwdw==\""
#define B     "\"auth\":\"Yjpwdw==\""
#define AUTHS "{\"auths\":{\"h.io\":{" A "}}}"

static void put(const char *dir, const char *name, const char *text)
{
    auto_free char *path = mir_format("%s/%s", dir, name);
    struct mir_error err = MIR_ERROR_INIT;

    if (!mir_make_parent_dirs(path, &err))
        fail_msg("%s", err.text);
    scratch_write(path, mir_span_of(text));
}

static void put_helper(const char *dir, const char *answer)
{
    auto_free char *path = mir_format("%s/docker-credential-t", dir);
    auto_free char *script = mir_format("#!/bin/sh\n%s\n", answer);
    auto_free char *search = mir_format("%s:/usr/bin:/bin", dir);

    scratch_write(path, mir_span_of(script));
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(setenv("PATH", search, 1), 0);
}

/* The four standard files are below dir. */
static void live_in(const char *dir)
{
    auto_free char *run = mir_format("%s/run", dir);

    assert_int_equal(setenv("HOME", dir, 1), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", run, 1), 0);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    assert_int_equal(unsetenv("DOCKER_CONFIG"), 0);
    assert_int_equal(unsetenv("REGISTRY_AUTH_FILE"), 0);
}

/* ---- what is told -------------------------------------------------------------------------- */

struct notes {
    const char *dir;
    struct mir_buf text;
};

/* A line for each; paths without the folder. */
static void note(void *ctx, const char *place, const char *outcome)
{
    struct notes *notes = ctx;
    size_t skip = mir_starts_with(place, notes->dir) ? strlen(notes->dir) + 1 : 0;

    mir_buf_printf(&notes->text, "%s: %s\n", place + skip, outcome);
}

struct told {
    const char *label;
    const char *runtime, *config, *docker, *legacy; /* texts of files; NULL: not there */
    const char *helper;                             /* script of docker-credential-t, or NULL */
    const char *story;
};

#define NO_HELPER NULL
#define NOT_FOUND "echo credentials not found in native keychain; exit 1"

static const struct told stories[] = {
    {"nothing", NULL, NULL, NULL, NULL, NO_HELPER,
     "run/containers/auth.json: not there\n"
     ".config/containers/auth.json: not there\n"
     ".docker/config.json: not there\n"
     ".dockercfg: not there\n"},
    {"the last", "{}", "", "{\"auths\":{\"g.io\":{" A "}}}", "{\"h.io\":{" A "}}", NO_HELPER,
     "run/containers/auth.json: no key for h.io/x/y\n"
     ".config/containers/auth.json: no key for h.io/x/y\n"
     ".docker/config.json: no key for h.io/x/y\n"
     ".dockercfg: key \"h.io\": user a\n"},
    {"the first, and what it hides", AUTHS, "{\"auths\":{\"h.io/x\":{" B "}}}",
     "{\"credHelpers\":{\"h.io\":\"t\"}}", "[]", NO_HELPER,
     "run/containers/auth.json: key \"h.io\": user a\n"
     ".config/containers/auth.json: not needed: key \"h.io/x\"\n"
     ".docker/config.json: not needed: docker-credential-t for h.io\n"
     ".dockercfg: not needed, and broken: {dir}/.dockercfg: not a JSON object\n"},
    {"a long key", "{\"auths\":{\"h.io/x/y\":{" A "},\"h.io\":{" B "}}}", NULL, NULL, "{}",
     NO_HELPER,
     "run/containers/auth.json: key \"h.io/x/y\": user a\n"
     ".config/containers/auth.json: not there\n"
     ".docker/config.json: not there\n"
     ".dockercfg: not needed: no key for h.io/x/y\n"},
    {"entries without use", "{\"auths\":{\"h.io\":{}}}",
     "{\"auths\":{\"https://h.io/v1/\":{\"auth\":\"YWJj\"}}}",
     "{\"auths\":{\"h.io\":{\"identitytoken\":\"idt\"}}}", NULL, NO_HELPER,
     "run/containers/auth.json: key \"h.io\": empty\n"
     ".config/containers/auth.json: key \"https://h.io/v1/\": \"auth\" does not hold "
     "USER:PASSWORD; passed over\n"
     ".docker/config.json: key \"h.io\": an identity token\n"
     ".dockercfg: not there\n"},
    {"helpers", "{\"credHelpers\":{\"h.io\":\"t\"}}", "{\"credsStore\":\"t\"}", NULL, NULL,
     NOT_FOUND,
     "run/containers/auth.json: docker-credential-t: no credentials for h.io\n"
     ".config/containers/auth.json: no key for h.io/x/y\n"
     ".config/containers/auth.json: docker-credential-t: no credentials for h.io\n"
     ".docker/config.json: not there\n"
     ".dockercfg: not there\n"},
    {"a helper that knows", "{\"credHelpers\":{\"h.io\":\"t\"}}", NULL, NULL, NULL,
     "echo '{\"Username\":\"u\\u001b[2J\",\"Secret\":\"hunter2\"}'",
     "run/containers/auth.json: docker-credential-t: user u?[2J\n"
     ".config/containers/auth.json: not there\n"
     ".docker/config.json: not there\n"
     ".dockercfg: not there\n"},
    {"a helper with a token", "{\"credHelpers\":{\"h.io\":\"t\"}}", NULL, NULL, NULL,
     "echo '{\"Username\":\"<token>\",\"Secret\":\"hunter2\"}'",
     "run/containers/auth.json: docker-credential-t: an identity token\n"
     ".config/containers/auth.json: not there\n"
     ".docker/config.json: not there\n"
     ".dockercfg: not there\n"},
    {"a broken file", "[]", AUTHS, NULL, NULL, NO_HELPER,
     "run/containers/auth.json: {dir}/run/containers/auth.json: not a JSON object\n"},
    {"a broken entry", "{\"auths\":{\"h.io/x\":{\"auth\":\"***\"}}}", AUTHS, NULL, NULL, NO_HELPER,
     "run/containers/auth.json: key \"h.io/x\": \"auth\" is not base64\n"},
    {"a helper that fails", "{\"credHelpers\":{\"h.io\":\"t\"}}", AUTHS, NULL, NULL,
     "echo locked; exit 1",
     "run/containers/auth.json: docker-credential-t: it failed with status 1: locked\n"},
};

/* "{dir}" replaced. */
static void expect_story(const char *label, const char *dir, const char *want, const char *got)
{
    auto_buf text;

    mir_buf_init(&text, 10000);
    for (const char *c = want; *c;) {
        if (mir_starts_with(c, "{dir}")) {
            mir_buf_text(&text, dir);
            c += strlen("{dir}");
        } else
            mir_buf_char(&text, *c++);
    }
    if (strcmp(text.ptr, got) != 0)
        fail_msg("%s: expected\n%sgot\n%s", label, text.ptr, got);
}

static void look_tells_every_place_in_its_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(stories); i++) {
        const struct told *row = &stories[i];
        auto_scratch *dir = scratch_new();
        struct notes notes = {.dir = dir};
        const struct reg_auth_trace trace = {.saw = note, .ctx = &notes};
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds creds = {0};

        mir_buf_init(&notes.text, 10000);
        live_in(dir);
        if (row->runtime)
            put(dir, "run/containers/auth.json", row->runtime);
        if (row->config)
            put(dir, ".config/containers/auth.json", row->config);
        if (row->docker)
            put(dir, ".docker/config.json", row->docker);
        if (row->legacy)
            put(dir, ".dockercfg", row->legacy);
        if (row->helper)
            put_helper(dir, row->helper);
        assert_true(reg_auth_load(&(struct reg_options){.creds = NULL}, &auth, &err));
        (void)!reg_auth_look(auth, "h.io", "x/y", &trace, &creds, &err);
        expect_story(row->label, dir, row->story, notes.text.ptr);
        mir_buf_release(&notes.text);
    }
}

static void look_tells_of_the_command_line(void **state)
{
    const struct {
        struct reg_options options;
        const char *story;
    } rows[] = {
        {{.creds = "me:hunter2"}, "the command line: user me\n"},
        {{.no_creds = true}, "the command line: no credentials are to be used\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct notes notes = {.dir = "/nowhere"};
        const struct reg_auth_trace trace = {.saw = note, .ctx = &notes};
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds creds = {0};

        mir_buf_init(&notes.text, 10000);
        assert_true(reg_auth_load(&rows[i].options, &auth, &err));
        assert_true(reg_auth_look(auth, "h.io", "x", &trace, &creds, &err));
        assert_string_equal(notes.text.ptr, rows[i].story);
        mir_buf_release(&notes.text);
    }
}

static void look_tells_of_helpers_by_their_name(void **state)
{
    auto_scratch *dir = scratch_new();
    const char *const order[] = {"t", "../t", "containers-auth.json", "never"};
    const struct reg_options options = {.helpers = order, .helper_count = COUNT(order)};
    struct notes notes = {.dir = dir};
    const struct reg_auth_trace trace = {.saw = note, .ctx = &notes};
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;
    auto_creds creds = {0};

    (void)state;
    mir_buf_init(&notes.text, 10000);
    live_in(dir);
    put_helper(dir, NOT_FOUND);
    put(dir, ".dockercfg", "{\"h.io\":{" A "}}");
    assert_true(reg_auth_load(&options, &auth, &err));
    assert_true(reg_auth_look(auth, "h.io", "x", &trace, &creds, &err));
    assert_string_equal(notes.text.ptr, "t: docker-credential-t: no credentials for h.io\n"
                                        "../t: a credential helper cannot be called \"../t\"\n"
                                        "run/containers/auth.json: not there\n"
                                        ".config/containers/auth.json: not there\n"
                                        ".docker/config.json: not there\n"
                                        ".dockercfg: key \"h.io\": user a\n");
    mir_buf_release(&notes.text);
}

static void note_line(void *ctx, enum mir_level level, const char *line)
{
    struct mir_buf *log = ctx;

    (void)level;
    mir_buf_text(log, line);
    mir_buf_char(log, '\n');
}

static void look_is_logged_once_for_each_repository(void **state)
{
    auto_buf log;
    const struct mir_sink sink = {.emit = note_line, .ctx = &log, .level = MIR_LEVEL_DEBUG};
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;

    (void)state;
    mir_buf_init(&log, 10000);
    assert_true(
        reg_auth_load(&(struct reg_options){.creds = "me:hunter2", .sink = &sink}, &auth, &err));
    for (int i = 0; i < 3; i++) {
        auto_creds x = {0};
        auto_creds y = {0};

        assert_true(reg_auth_find(auth, "h.io", "x", &x, &err));
        assert_true(reg_auth_find(auth, "h.io", "y", &y, &err));
    }
    assert_string_equal(log.ptr, "credentials for h.io/x: the command line\n"
                                 "credentials for h.io/y: the command line\n");
}

/* ---- files --------------------------------------------------------------------------------- */

static void look_minds_only_the_files_it_gets_to(void **state)
{
    const struct {
        const char *host;
        const char *text; /* NULL: found */
    } rows[] = {
        {"h.io", NULL},
        {"g.io", "credentials: "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds creds = {0};

        live_in(dir);
        put(dir, "run/containers/auth.json", AUTHS);
        put(dir, ".docker/config.json", "[]");
        assert_true(reg_auth_load(&(struct reg_options){.creds = NULL}, &auth, &err));
        assert_int_equal(reg_auth_find(auth, rows[i].host, "x", &creds, &err), !rows[i].text);
        if (rows[i].text) {
            assert_int_equal(err.code, MIR_E_USAGE);
            assert_non_null(strstr(err.text, "/.docker/config.json: not a JSON object"));
        }
    }
}

static void look_needs_the_file_that_was_named(void **state)
{
    auto_scratch *dir = scratch_new();
    const struct {
        const char *name;
        const char *text;
    } rows[] = {
        {"missing.json", "missing.json: No such file or directory"},
        {"a-file/auth.json", "a-file/auth.json: Not a directory"},
        {"loop", "loop: Too many levels of symbolic links"},
        {"folder", "folder: Is a directory"},
        {"bad.json", "bad.json:1:8: invalid token"},
    };
    auto_free char *loop = mir_format("%s/loop", dir);
    auto_free char *folder = mir_format("%s/folder", dir);

    (void)state;
    put(dir, "a-file", "");
    put(dir, "bad.json", "nonsense");
    assert_int_equal(symlink("loop", loop), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *path = mir_format("%s/%s", dir, rows[i].name);
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;

        assert_false(reg_auth_load(&(struct reg_options){.authfile = path}, &auth, &err));
        if (err.code != MIR_E_USAGE || !strstr(err.text, rows[i].text))
            fail_msg("%s: %d %s", rows[i].name, (int)err.code, err.text);
    }
}

static void look_writes_where_podman_does(void **state)
{
    const struct {
        const char *runtime, *docker, *named;
        const char *file;
    } rows[] = {
        {"/r", NULL, NULL, "/r/containers/auth.json"},
        {"/r", "/d", NULL, "/d/config.json"},
        {"/r", "/d", "/n.json", "/n.json"},
        {"/r", "", "", "/r/containers/auth.json"},
        {NULL, NULL, NULL, NULL},
    };
    auto_free char *of_user = mir_format("/run/containers/%u/auth.json", (unsigned)getuid());

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *file = NULL;

        live_in("/nowhere");
        assert_int_equal(rows[i].runtime ? setenv("XDG_RUNTIME_DIR", rows[i].runtime, 1)
                                         : unsetenv("XDG_RUNTIME_DIR"),
                         0);
        if (rows[i].docker)
            assert_int_equal(setenv("DOCKER_CONFIG", rows[i].docker, 1), 0);
        if (rows[i].named)
            assert_int_equal(setenv("REGISTRY_AUTH_FILE", rows[i].named, 1), 0);
        file = reg_auth_default_file();
        assert_string_equal(file, rows[i].file ? rows[i].file : of_user);
    }
    live_in("/nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(look_tells_every_place_in_its_order),
        cmocka_unit_test(look_tells_of_the_command_line),
        cmocka_unit_test(look_tells_of_helpers_by_their_name),
        cmocka_unit_test(look_is_logged_once_for_each_repository),
        cmocka_unit_test(look_minds_only_the_files_it_gets_to),
        cmocka_unit_test(look_needs_the_file_that_was_named),
        cmocka_unit_test(look_writes_where_podman_does),
    };

    return cmocka_run_group_tests_name("registry/auth_look", tests, NULL, NULL);
}
