/*
 * Auth files that nobody wrote in good faith: every one is refused, or read without harm, and no
 * message repeats what may be a secret.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "lib/scratch.h"
#include "registry/registry_priv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void auto_auth_free(struct reg_auth **auth)
{
    reg_auth_free(*auth);
}
#define auto_auth __attribute__((cleanup(auto_auth_free))) struct reg_auth

/* What a look-up for h.io/x/y makes of a text: the user's name, "none", or an error. */
static void look(struct mir_span text, char **user, struct mir_error *err)
{
    auto_auth *auth = NULL;
    auto_creds creds = {0};

    *user = NULL;
    if (reg_auth_parse(text, "auth.json", &auth, err) &&
        reg_auth_find(auth, "h.io", "x/y", &creds, err))
        *user = mir_strdup(!creds.found ? "none" : creds.user ? creds.user : "token");
}

static void hostile_entries_are_refused_or_do_no_harm(void **state)
{
    const struct {
        const char *label;
        const char *text;
        const char *user; /* NULL: an error */
        const char *says; /* of the error */
    } rows[] = {
        {"auth is a number", "{\"auths\":{\"h.io\":{\"auth\":5}}}", NULL,
         "\"auth\" is not a string"},
        {"auth is a list", "{\"auths\":{\"h.io\":{\"auth\":[\"YTpi\"]}}}", NULL, "is not a string"},
        {"auth is null", "{\"auths\":{\"h.io\":{\"auth\":null}}}", "none", NULL},
        {"token is an object", "{\"auths\":{\"h.io\":{\"auth\":\"YTpi\",\"identitytoken\":{}}}}",
         NULL, "\"identitytoken\" is not a string"},
        {"user is true", "{\"auths\":{\"h.io\":{\"username\":true,\"password\":\"x\"}}}", NULL,
         "\"username\" is not a string"},
        {"password is a number", "{\"auths\":{\"h.io\":{\"username\":\"u\",\"password\":1}}}", NULL,
         "\"password\" is not a string"},
        {"a user without a password", "{\"auths\":{\"h.io\":{\"username\":\"u\"}}}", "none", NULL},
        {"the entry is null", "{\"auths\":{\"h.io\":null}}", "none", NULL},
        {"the entry is a string", "{\"auths\":{\"h.io\":\"YTpi\"}}", NULL,
         "the entry of \"h.io\" is not an object"},
        {"auths is a string", "{\"auths\":\"YTpi\"}", NULL, "\"auths\" is not an object"},
        {"helpers is a list", "{\"credHelpers\":[]}", NULL, "\"credHelpers\" is not an object"},
        {"a helper is a number", "{\"credHelpers\":{\"g.io\":1}}", NULL,
         "the helper of \"g.io\" is not a string"},
        {"helpers is null", "{\"credHelpers\":null}", "none", NULL},
        {"the store is a list", "{\"credsStore\":[\"x\"]}", NULL, "\"credsStore\" is not a string"},
        {"a helper is a path", "{\"credHelpers\":{\"h.io\":\"../../bin/sh\"}}", NULL,
         "cannot be called \"../../bin/sh\""},
        {"a helper is a command", "{\"credHelpers\":{\"h.io\":\"x; id\"}}", NULL,
         "cannot be called"},
        {"a helper has no name", "{\"credHelpers\":{\"h.io\":\"\"}}", NULL,
         "cannot be called \"\""},
        {"a store is a path", "{\"credsStore\":\"/bin/sh\"}", "none", NULL},
        {"no colon", "{\"auths\":{\"h.io\":{\"auth\":\"YWJj\"}}}", "none", NULL},
        {"only a colon", "{\"auths\":{\"h.io\":{\"auth\":\"Og==\"}}}", "none", NULL},
        {"only NULs", "{\"auths\":{\"h.io\":{\"auth\":\"AAAA\"}}}", "none", NULL},
        {"a NUL inside", "{\"auths\":{\"h.io\":{\"auth\":\"YTphAGI=\"}}}", NULL,
         "holds a NUL byte"},
        {"base64 of the other alphabet", "{\"auths\":{\"h.io\":{\"auth\":\"YTp_-w==\"}}}", NULL,
         "is not base64"},
        {"base64 without its padding", "{\"auths\":{\"h.io\":{\"auth\":\"YTpiYg\"}}}", NULL,
         "is not base64"},
        {"an escaped NUL in a value", "{\"auths\":{\"h.io\":{\"auth\":\"YTpi\\u0000\"}}}", NULL,
         "auth.json:1:"},
        {"an escaped NUL in a key", "{\"auths\":{\"h.io\\u0000\":{\"auth\":\"YTpi\"}}}", NULL,
         "auth.json:1:"},
        {"not UTF-8", "{\"auths\":{\"h.io\":{\"auth\":\"\xff\"}}}", NULL, "auth.json:1:"},
        {"a key twice", "{\"auths\":{\"h.io\":{\"auth\":\"YTpi\"},\"h.io\":{\"auth\":\"YTpi\"}}}",
         NULL, "duplicate object key"},
        {"keys that are nothing", "{\"auths\":{\"\":{\"auth\":\"YTpi\"},\"/\":{},\"https://\":{}}}",
         "none", NULL},
        {"terminal codes in a key", "{\"auths\":{\"https://h.io/\\u001b[2J\":{\"auth\":\"***\"}}}",
         NULL, "\"https://h.io/?[2J\": \"auth\" is not base64"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *user = NULL;

        look(mir_span_of(rows[i].text), &user, &err);
        if ((user != NULL) != (rows[i].user != NULL) ||
            (user ? strcmp(user, rows[i].user) != 0 : !strstr(err.text, rows[i].says)))
            fail_msg("%s: %s", rows[i].label, user ? user : err.text);
        if (!user && !strstr(err.text, "auth.json") && !strstr(err.text, "docker-credential-"))
            fail_msg("%s: the file is not named: %s", rows[i].label, err.text);
    }
}

/* jansson says what stands near a fault, and near a fault stands the password. */
static void hostile_faults_do_not_repeat_the_secret(void **state)
{
    const char *const texts[] = {
        "{\"auths\":{\"h.io\":{\"auth\":\"bWU6aHVudGVyMg==",
        "{\"auths\":{\"h.io\":{\"auth\":\"bWU6aHVudGVyMg==\n\"}}}",
        "{\"auths\":{\"h.io\":{\"auth\":bWU6aHVudGVyMg==}}}",
        "{\"auths\":{\"h.io\":{\"auth\":\"x\" \"bWU6aHVudGVyMg==\"}}}",
        "{\"auths\":{\"h.io\":{\"auth\":\"bWU6aHVudGVyMg==\\q\"}}}",
        "{\"auths\":{\"h.io\":{\"bWU6aHVudGVyMg==\":1,\"bWU6aHVudGVyMg==\":1}}}",
        "{\"auths\":{}} \"bWU6aHVudGVyMg==\"",
        "\"bWU6aHVudGVyMg==\"",
        "bWU6aHVudGVyMg==",
        "{\"auths\":{\"h.io\":{\"auth\":\"*bWU6aHVudGVyMg==\"}}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *user = NULL;

        look(mir_span_of(texts[i]), &user, &err);
        if (user || strstr(err.text, "aHVudGVy") || !strstr(err.text, "auth.json"))
            fail_msg("row %zu: %s", i, user ? user : err.text);
    }
}

static void hostile_nesting_ends(void **state)
{
    const struct {
        const char *open, *close;
        size_t times;
    } rows[] = {
        {"[", "]", 100000},
        {"{\"auths\":", "}", 100000},
        {"{\"auths\":{\"h.io\":", "}}", 1000},
        {"{\"auths\":{\"h.io\":", "}}", 33},
        {"[", "", 1000000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *user = NULL;
        auto_buf text;

        mir_buf_init(&text, REG_AUTHFILE_MAX);
        for (size_t n = 0; n < rows[i].times; n++)
            mir_buf_text(&text, rows[i].open);
        mir_buf_text(&text, "{}");
        for (size_t n = 0; n < rows[i].times; n++)
            mir_buf_text(&text, rows[i].close);
        look(mir_buf_span(&text), &user, &err);
        if (user || !strstr(err.text, "auth.json"))
            fail_msg("row %zu: %s", i, user ? user : err.text);
    }
}

/* A file of that many entries, of which the last is the one for h.io. */
static void add_entries(struct mir_buf *text, size_t count)
{
    mir_buf_text(text, "{\"auths\":{");
    for (size_t i = 0; i + 1 < count; i++)
        mir_buf_printf(text, "\"h.io/n%zu\":{\"auth\":\"YTpi\"},", i);
    mir_buf_text(text, "\"h.io\":{\"auth\":\"bTpi\"}}}");
}

static void hostile_numbers_of_entries_have_a_limit(void **state)
{
    const struct {
        size_t count;
        const char *user; /* NULL: an error */
    } rows[] = {{1, "m"}, {10000, "m"}, {10001, NULL}, {100000, NULL}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *user = NULL;
        auto_buf text;

        mir_buf_init(&text, 8u << 20);
        add_entries(&text, rows[i].count);
        assert_false(text.overflow);
        look(mir_buf_span(&text), &user, &err);
        if (rows[i].user ? !user || strcmp(user, rows[i].user) != 0 : err.code != MIR_E_LIMIT)
            fail_msg("%zu entries: %s", rows[i].count, user ? user : err.text);
    }
}

static void hostile_secrets_have_a_limit(void **state)
{
    const struct {
        const char *label;
        const char *before; /* of LEN letters A */
        const char *says;
    } rows[] = {
        {"auth", "{\"auths\":{\"h.io\":{\"auth\":\"", "\"auth\" is too long"},
        {"token", "{\"auths\":{\"h.io\":{\"identitytoken\":\"", "\"identitytoken\" is too long"},
        {"user", "{\"auths\":{\"h.io\":{\"password\":\"x\",\"username\":\"", "is too long"},
        {"password", "{\"auths\":{\"h.io\":{\"username\":\"x\",\"password\":\"", "is too long"},
    };
    auto_free char *letters = mir_alloc(1u << 20);

    (void)state;
    memset(letters, 'A', (1u << 20) - 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = mir_format("%s%s\"}}}", rows[i].before, letters);
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *user = NULL;

        look(mir_span_of(text), &user, &err);
        if (user || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].label, user ? user : err.text);
    }
}

static void hostile_files_have_a_limit(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/auth.json", dir);
    auto_free char *blanks = mir_alloc(REG_AUTHFILE_MAX + 1);
    const struct {
        const char *path;
        const char *says;
    } rows[] = {{path, "auth.json"}, {"/dev/zero", "/dev/zero"}};

    (void)state;
    memset(blanks, ' ', REG_AUTHFILE_MAX + 1);
    scratch_write(path, mir_span(blanks, REG_AUTHFILE_MAX + 1));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_auth *auth = NULL;

        assert_false(reg_auth_load(&(struct reg_options){.authfile = rows[i].path}, &auth, &err));
        assert_int_equal(err.code, MIR_E_USAGE);
        assert_non_null(strstr(err.text, rows[i].says));
    }
}

/* Names with every byte: nothing is sent as it is, and nothing reaches a terminal. */
static void hostile_users_are_kept_as_they_are(void **state)
{
    auto_free char *code = mir_base64_encode(mir_span_of("a\r\nX: y\x1b[2J:p\nw"));
    auto_free char *text = mir_format("{\"auths\":{\"h.io\":{\"auth\":\"%s\"}}}", code);
    struct mir_error err = MIR_ERROR_INIT;
    auto_auth *auth = NULL;
    auto_creds creds = {0};

    (void)state;
    assert_true(reg_auth_parse(mir_span_of(text), "auth.json", &auth, &err));
    assert_true(reg_auth_find(auth, "h.io", "x", &creds, &err));
    /* The first colon ends the user, as in every reader of such files. */
    assert_string_equal(creds.user, "a\r\nX");
    assert_string_equal(creds.password, " y\x1b[2J:p\nw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_entries_are_refused_or_do_no_harm),
        cmocka_unit_test(hostile_faults_do_not_repeat_the_secret),
        cmocka_unit_test(hostile_nesting_ends),
        cmocka_unit_test(hostile_numbers_of_entries_have_a_limit),
        cmocka_unit_test(hostile_secrets_have_a_limit),
        cmocka_unit_test(hostile_files_have_a_limit),
        cmocka_unit_test(hostile_users_are_kept_as_they_are),
    };

    return cmocka_run_group_tests_name("registry/auth_hostile", tests, NULL, NULL);
}
