/*
 * Credentials: which file, which key, and what is wrong with a file that cannot be used.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
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
#define A "\"auth\":\"YTpwdw==\""
#define B "\"auth\":\"Yjpwdw==\""
#define C "\"auth\":\"Yzpwdw==\""

/* ---- keys ---------------------------------------------------------------------------------- */

static void auth_prefers_the_most_specific_key(void **state)
{
    const struct {
        const char *label;
        const char *auths;
        const char *host;
        const char *repo;
        const char *user; /* NULL: none */
    } rows[] = {
        {"host", "\"h.io\":{" A "}", "h.io", "x/y", "a"},
        {"another host", "\"h.io\":{" A "}", "g.io", "x/y", NULL},
        {"a longer host", "\"h.io\":{" A "}", "h.io.evil", "x/y", NULL},
        {"port", "\"h.io:5000\":{" A "}", "h.io:5000", "x/y", "a"},
        {"port left out", "\"h.io\":{" A "}", "h.io:5000", "x/y", NULL},
        {"repository", "\"h.io\":{" A "},\"h.io/x/y\":{" B "}", "h.io", "x/y", "b"},
        {"namespace", "\"h.io\":{" A "},\"h.io/x\":{" B "}", "h.io", "x/y", "b"},
        {"namespace under repository", "\"h.io/x\":{" A "},\"h.io/x/y\":{" B "}", "h.io", "x/y/z",
         "b"},
        {"no part of a name", "\"h.io/x\":{" A "}", "h.io", "xy/z", NULL},
        {"another namespace", "\"h.io/x\":{" A "}", "h.io", "y/z", NULL},
        {"old URL", "\"https://h.io/v1/\":{" A "}", "h.io", "x", "a"},
        {"old URL, http", "\"http://h.io\":{" A "}", "h.io", "x", "a"},
        {"old URL, port", "\"https://h.io:5000/v2/\":{" A "}", "h.io:5000", "x", "a"},
        {"plain before URL", "\"https://h.io/v1/\":{" A "},\"h.io\":{" B "}", "h.io", "x", "b"},
        {"docker.io, old", "\"https://index.docker.io/v1/\":{" A "}", "docker.io", "library/x",
         "a"},
        {"docker.io, plain", "\"docker.io\":{" A "}", "docker.io", "library/x", "a"},
        {"docker.io, its server", "\"registry-1.docker.io\":{" A "}", "docker.io", "library/x",
         "a"},
        {"docker.io, namespace",
         "\"docker.io/library\":{" A "},\"https://index.docker.io/v1/\":{" B "}", "docker.io",
         "library/x", "a"},
        {"an empty entry hides shorter keys", "\"h.io/x\":{},\"h.io\":{" A "}", "h.io", "x/y",
         NULL},
        {"an empty URL hides nothing", "\"https://h.io\":{},\"http://h.io\":{" A "}", "h.io", "x",
         "a"},
        {"empty auth is none", "\"h.io\":{\"auth\":\"\"}", "h.io", "x", NULL},
        {"user and password", "\"h.io\":{\"username\":\"c\",\"password\":\"pw\"}", "h.io", "x",
         "c"},
        {"auth before them", "\"h.io\":{" A ",\"username\":\"c\",\"password\":\"pw\"}", "h.io", "x",
         "a"},
        {"nothing", "", "h.io", "x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = mir_format("{\"auths\":{%s}}", rows[i].auths);
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds creds = {0};

        if (!reg_auth_parse(mir_span_of(text), "auth.json", &auth, &err) ||
            !reg_auth_find(auth, rows[i].host, rows[i].repo, &creds, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        if (creds.found != (rows[i].user != NULL) ||
            (creds.found &&
             (strcmp(creds.user, rows[i].user) != 0 || strcmp(creds.password, "pw") != 0)))
            fail_msg("%s: got %s", rows[i].label, creds.found ? creds.user : "none");
        if (creds.found)
            assert_non_null(strstr(creds.origin, "auth.json, key \""));
    }
}

static void auth_reads_passwords_as_they_are(void **state)
{
    const struct {
        const char *label;
        const char *auth;
        const char *password;
    } rows[] = {
        {"colons", "dTphOmI6Yw==", "a:b:c"},
        {"empty", "dTo=", ""},
        {"padded with NUL", "dTphYgAA", "ab"},
        {"UTF-8", "dTrDpMO2", "\xc3\xa4\xc3\xb6"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = mir_format("{\"auths\":{\"h\":{\"auth\":\"%s\"}}}", rows[i].auth);
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds creds = {0};

        assert_true(reg_auth_parse(mir_span_of(text), "f", &auth, &err));
        assert_true(reg_auth_find(auth, "h", "x", &creds, &err));
        if (!creds.found || strcmp(creds.password, rows[i].password) != 0)
            fail_msg("%s: %s", rows[i].label, creds.password);
    }
}

static void auth_names_the_fault_of_the_key_it_needs(void **state)
{
    const char *const faults[] = {"\"auth\":\"***\"", "\"auth\":5", "\"auth\":\"dTphAGI=\""};

    (void)state;
    for (size_t i = 0; i < COUNT(faults); i++) {
        auto_free char *text =
            mir_format("{\"auths\":{\"bad.io\":{%s},\"h.io\":{" A "}}}", faults[i]);
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds good = {0};
        auto_creds bad = {0};

        assert_true(reg_auth_parse(mir_span_of(text), "auth.json", &auth, &err));
        assert_true(reg_auth_find(auth, "h.io", "x", &good, &err));
        assert_true(good.found);
        assert_false(reg_auth_find(auth, "bad.io", "x", &bad, &err));
        assert_int_equal(err.code, MIR_E_USAGE);
        assert_non_null(strstr(err.text, "auth.json: \"bad.io\": \"auth\""));
    }
}

static void auth_refuses_files_that_are_none(void **state)
{
    const struct {
        const char *label;
        const char *text;
        bool ok;
    } rows[] = {
        {"empty", "", true},
        {"blank", " \n", true},
        {"empty object", "{}", true},
        {"no auths", "{\"credsStore\":\"x\"}", true},
        {"not JSON", "hello", false},
        {"cut off", "{\"auths\":{", false},
        {"array", "[]", false},
        {"auths is a list", "{\"auths\":[]}", false},
        {"entry is text", "{\"auths\":{\"h\":\"x\"}}", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;

        if (reg_auth_parse(mir_span_of(rows[i].text), "auth.json", &auth, &err) != rows[i].ok)
            fail_msg("%s: %s", rows[i].label, err.text);
        if (!rows[i].ok && !strstr(err.text, "auth.json"))
            fail_msg("%s: the file is not named: %s", rows[i].label, err.text);
    }
}

/* ---- files --------------------------------------------------------------------------------- */

static void put(const char *dir, const char *name, const char *text)
{
    auto_free char *path = mir_format("%s/%s", dir, name);
    struct mir_error err = MIR_ERROR_INIT;

    if (!mir_make_parent_dirs(path, &err))
        fail_msg("%s", err.text);
    scratch_write(path, mir_span_of(text));
}

static void set(const char *name, const char *dir, const char *below)
{
    auto_free char *value = dir ? mir_format("%s/%s", dir, below) : NULL;

    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* Which files there are, which variables are set, who wins. */
static void auth_looks_into_the_files_in_order(void **state)
{
    enum {
        RUNTIME = 1,
        CONFIG = 2,
        HOME_CONFIG = 4,
        DOCKER = 8,
        HOME_DOCKER = 16,
        CFG = 32,
        NAMED = 64
    };
    const struct {
        const char *label;
        unsigned files;
        bool xdg_config, docker_config, named;
        const char *from; /* part of the path of the winner; NULL: none */
    } rows[] = {
        {"none", 0, false, false, false, NULL},
        {"runtime first", RUNTIME | HOME_CONFIG | HOME_DOCKER | CFG, false, false, false,
         "/run/containers/auth.json"},
        {"then config", HOME_CONFIG | HOME_DOCKER | CFG, false, false, false,
         "/.config/containers/auth.json"},
        {"XDG_CONFIG_HOME instead", CONFIG | HOME_CONFIG, true, false, false,
         "/xdg/containers/auth.json"},
        {"XDG_CONFIG_HOME, not there", HOME_CONFIG, true, false, false, NULL},
        {"then docker", HOME_DOCKER | CFG, false, false, false, "/.docker/config.json"},
        {"DOCKER_CONFIG instead", DOCKER | HOME_DOCKER, false, true, false, "/docker/config.json"},
        {"DOCKER_CONFIG, not there", HOME_DOCKER, false, true, false, NULL},
        {"then dockercfg", CFG, false, false, false, "/.dockercfg"},
        {"REGISTRY_AUTH_FILE alone", RUNTIME | HOME_DOCKER | NAMED, false, false, true,
         "/named.json"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        struct mir_error err = MIR_ERROR_INIT;
        const struct reg_options options = {.creds = NULL};
        const char *text = "{\"auths\":{\"h.io\":{" A "}}}";
        auto_auth *auth = NULL;
        auto_creds creds = {0};

        if (rows[i].files & RUNTIME)
            put(dir, "run/containers/auth.json", text);
        if (rows[i].files & CONFIG)
            put(dir, "xdg/containers/auth.json", text);
        if (rows[i].files & HOME_CONFIG)
            put(dir, ".config/containers/auth.json", text);
        if (rows[i].files & DOCKER)
            put(dir, "docker/config.json", text);
        if (rows[i].files & HOME_DOCKER)
            put(dir, ".docker/config.json", text);
        if (rows[i].files & CFG)
            put(dir, ".dockercfg", "{\"https://h.io/v1/\":{" A "}}");
        if (rows[i].files & NAMED)
            put(dir, "named.json", text);
        set("HOME", dir, "");
        set("XDG_RUNTIME_DIR", dir, "run");
        set("XDG_CONFIG_HOME", rows[i].xdg_config ? dir : NULL, "xdg");
        set("DOCKER_CONFIG", rows[i].docker_config ? dir : NULL, "docker");
        set("REGISTRY_AUTH_FILE", rows[i].named ? dir : NULL, "named.json");
        if (!reg_auth_load(&options, &auth, &err) ||
            !reg_auth_find(auth, "h.io", "x", &creds, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        if (creds.found != (rows[i].from != NULL) ||
            (creds.found && !strstr(creds.origin, rows[i].from)))
            fail_msg("%s: %s", rows[i].label, creds.found ? creds.origin : "none");
    }
    set("REGISTRY_AUTH_FILE", NULL, "");
    set("DOCKER_CONFIG", NULL, "");
    set("XDG_CONFIG_HOME", NULL, "");
}

static void auth_goes_on_to_the_next_file_without_a_match(void **state)
{
    auto_scratch *dir = scratch_new();
    const struct reg_options options = {.creds = NULL};
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;
    auto_creds first = {0};
    auto_creds second = {0};

    (void)state;
    put(dir, "run/containers/auth.json", "{\"auths\":{\"h.io\":{" A "}}}");
    put(dir, ".docker/config.json", "{\"auths\":{\"h.io/x\":{" B "},\"g.io\":{" C "}}}");
    set("HOME", dir, "");
    set("XDG_RUNTIME_DIR", dir, "run");
    assert_true(reg_auth_load(&options, &auth, &err));
    /* The first file with any match wins over a better key in the second. */
    assert_true(reg_auth_find(auth, "h.io", "x", &first, &err));
    assert_string_equal(first.user, "a");
    assert_true(reg_auth_find(auth, "g.io", "x", &second, &err));
    assert_string_equal(second.user, "c");
}

static void auth_prefers_what_was_given(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/auth.json", dir);
    const struct {
        struct reg_options options;
        const char *user;
        const char *password;
    } rows[] = {
        {{.creds = "me:pa:ss", .authfile = "/nonexistent"}, "me", "pa:ss"},
        {{.creds = "me", .authfile = path}, "me", ""},
        {{.no_creds = true, .authfile = path}, NULL, NULL},
        {{.authfile = path}, "a", "pw"},
    };

    (void)state;
    put(dir, "auth.json", "{\"auths\":{\"h.io\":{" A "}}}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;
        auto_creds creds = {0};

        if (!reg_auth_load(&rows[i].options, &auth, &err) ||
            !reg_auth_find(auth, "h.io", "x", &creds, &err))
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(creds.found, rows[i].user != NULL);
        if (creds.found) {
            assert_string_equal(creds.user, rows[i].user);
            assert_string_equal(creds.password, rows[i].password);
        }
    }
}

static void note_line(void *ctx, enum mir_level level, const char *line)
{
    struct mir_buf *log = ctx;

    (void)level;
    mir_buf_text(log, line);
}

/* As docker and containers/image do. */
static void auth_passes_over_what_has_no_colon(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_buf log;
    const struct mir_sink sink = {.emit = note_line, .ctx = &log, .level = MIR_LEVEL_WARN};
    const struct reg_options options = {.sink = &sink};
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;

    (void)state;
    mir_buf_init(&log, 10000);
    put(dir, "run/containers/auth.json", "{\"auths\":{\"h.io\":{\"auth\":\"YWJj\"}}}");
    put(dir, ".docker/config.json", "{\"auths\":{\"h.io\":{" B "}}}");
    set("HOME", dir, "");
    set("XDG_RUNTIME_DIR", dir, "run");
    assert_true(reg_auth_load(&options, &auth, &err));
    for (int i = 0; i < 2; i++) {
        auto_creds creds = {0};

        assert_true(reg_auth_find(auth, "h.io", "x", &creds, &err));
        assert_string_equal(creds.user, "b");
    }
    assert_non_null(strstr(log.ptr, "run/containers/auth.json: \"h.io\": \"auth\" does not hold"));
    assert_null(strstr(strstr(log.ptr, "does not hold") + 1, "does not hold"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auth_prefers_the_most_specific_key),
        cmocka_unit_test(auth_reads_passwords_as_they_are),
        cmocka_unit_test(auth_names_the_fault_of_the_key_it_needs),
        cmocka_unit_test(auth_refuses_files_that_are_none),
        cmocka_unit_test(auth_looks_into_the_files_in_order),
        cmocka_unit_test(auth_goes_on_to_the_next_file_without_a_match),
        cmocka_unit_test(auth_prefers_what_was_given),
        cmocka_unit_test(auth_passes_over_what_has_no_colon),
    };

    return cmocka_run_group_tests_name("registry/auth", tests, NULL, NULL);
}
