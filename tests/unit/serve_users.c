/*
 * serve/users: files of users, and what clients send.
 */
#include "serve/users_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "lib/serve_bench.h"

#define SALT "abcdefghijklmnopqrstuu"
#define REST "5nDp4rAyfrgzrsnNnVCmNGsKjAHBXZe"
#define HASH "$2y$05$" SALT REST

struct file_row {
    const char *label, *text, *said; /* said: in the error; NULL: it is read */
};

static const struct file_row file_rows[] = {
    {"nobody", "", NULL},
    {"one", "pilot:" HASH "\n", NULL},
    {"no newline at the end", "pilot:" HASH, NULL},
    {"carriage returns", "pilot:" HASH "\r\n", NULL},
    {"comments and blank lines", "# who\n\npilot:" HASH "\n\n", NULL},
    {"two", "pilot:" HASH "\nother:" HASH "\n", NULL},
    {"variant a", "pilot:$2a$05$" SALT REST "\n", NULL},
    {"variant b", "pilot:$2b$05$" SALT REST "\n", NULL},
    {"no colon", "pilot\n", "line 1: not USER:HASH"},
    {"no user", ":" HASH "\n", "line 1: not USER:HASH"},
    {"one twice", "pilot:" HASH "\npilot:" HASH "\n", "line 2: a user who is there already"},
    {"MD5", "a:" HASH "\npilot:$apr1$abcdefgh$0123456789012345678901\n", "line 2: not a bcrypt"},
    {"SHA-1", "pilot:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n", "line 1: not a bcrypt"},
    {"plain", "pilot:secret\n", "line 1: not a bcrypt"},
    {"too short", "pilot:$2y$05$" SALT "\n", "line 1: not a bcrypt"},
    {"too long", "pilot:" HASH "x\n", "line 1: not a bcrypt"},
    {"unknown variant", "pilot:$2x$05$" SALT REST "\n", "line 1: not a bcrypt"},
    {"cost of years", "pilot:$2y$31$" SALT REST "\n", "cost 4 to 17"},
    {"no cost", "pilot:$2y$xx$" SALT REST "\n", "line 1: not a bcrypt"},
    {"odd characters", "pilot:$2y$05$" SALT "!nDp4rAyfrgzrsnNnVCmNGsKjAHBXZe\n",
     "line 1: not a bcrypt"},
    {"a tab in the name", "pi\tlot:" HASH "\n", "line 1: not the name of a user"},
};

static void users_parse_takes_bcrypt_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(file_rows) / sizeof(file_rows[0]); i++) {
        const struct file_row *row = &file_rows[i];
        struct mir_error err = MIR_ERROR_INIT;
        struct serve_users *users = NULL;
        bool ok = serve_users_parse(mir_span_of(row->text), "users", &users, &err);

        if (ok != (row->said == NULL))
            fail_msg("%s: %s", row->label, ok ? "was read" : err.text);
        if (!ok && (err.code != MIR_E_FORMAT || !strstr(err.text, row->said) ||
                    !mir_starts_with(err.text, "users: ") || err.hint[0] == '\0'))
            fail_msg("%s: '%s', hint '%s'", row->label, err.text, err.hint);
        serve_users_free(users);
    }
}

/* Errors name the line and not what stands in it. */
static void errors_do_not_tell_hashes(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_users *users;

    (void)state;
    assert_false(serve_users_parse(mir_span_of("pilot:s3cret\n"), "users", &users, &err));
    assert_null(strstr(err.text, "s3cret"));
    assert_null(strstr(err.text, "pilot"));
}

struct login_row {
    const char *label, *pair;
    size_t len;
    const char *user, *password; /* NULL: it is none */
};

#define PAIR(text) text, sizeof(text) - 1

static const struct login_row login_rows[] = {
    {"usual", PAIR("pilot:secret"), "pilot", "secret"},
    {"colons in the password", PAIR("pilot:a:b:"), "pilot", "a:b:"},
    {"empty password", PAIR("pilot:"), "pilot", ""},
    {"blanks", PAIR("a b:c d"), "a b", "c d"},
    {"bytes over 127", PAIR("p\xc3\xa9:\xc3\xa9"), "p\xc3\xa9", "\xc3\xa9"},
    {"no colon", PAIR("pilot"), NULL, NULL},
    {"no user", PAIR(":secret"), NULL, NULL},
    {"nothing", PAIR(""), NULL, NULL},
    {"NUL", PAIR("pilot:se\0cret"), NULL, NULL},
    {"newline", PAIR("pilot:secret\n"), NULL, NULL},
    {"delete", PAIR("pi\x7flot:secret"), NULL, NULL},
};

static void logins_are_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(login_rows) / sizeof(login_rows[0]); i++) {
        const struct login_row *row = &login_rows[i];
        auto_free char *text = mir_base64_encode(mir_span(row->pair, row->len));
        auto_free char *header = mir_format("Basic %s", text);
        struct serve_login login;
        bool ok = serve_login_parse(header, &login);

        if (ok != (row->user != NULL))
            fail_msg("%s: %s", row->label, ok ? "was taken" : "was refused");
        if (ok &&
            (strcmp(login.user, row->user) != 0 || strcmp(login.password, row->password) != 0))
            fail_msg("%s: '%s' '%s'", row->label, login.user, login.password);
    }
}

static void long_logins_are_refused(void **state)
{
    static const size_t lens[] = {SERVE_PASSWORD_MAX, SERVE_PASSWORD_MAX + 1, 10000};
    struct serve_login login;

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        auto_free char *pair = mir_format("u:%0*d", (int)lens[i], 0);
        auto_free char *text = mir_base64_encode(mir_span_of(pair));
        auto_free char *header = mir_format("Basic %s", text);

        assert_int_equal(serve_login_parse(header, &login), lens[i] <= SERVE_PASSWORD_MAX);
    }
    assert_false(serve_login_parse(NULL, &login));
    assert_false(serve_login_parse("Basic", &login));
    assert_false(serve_login_parse("Basic !", &login));
    assert_false(serve_login_parse("Digest cGlsb3Q6c2VjcmV0", &login));
}

static bool check(struct serve_users *users, const char *user, const char *password)
{
    struct serve_login login = {.user = ""};

    memcpy(login.user, user, strlen(user));
    memcpy(login.password, password, strlen(password));
    return serve_users_check(users, &login);
}

static bool knows(struct serve_users *users, const char *user, const char *password)
{
    struct serve_login login = {.user = ""};

    memcpy(login.user, user, strlen(user));
    memcpy(login.password, password, strlen(password));
    return serve_users_knows(users, &login);
}

static void what_was_right_is_known(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *one = serve_bench_user("one", "first", 4);
    auto_free char *two = serve_bench_user("two", "second", 5);
    auto_free char *text = mir_format("%s%s", one, two);
    struct serve_users *users;

    (void)state;
    assert_true(serve_users_parse(mir_span_of(text), "users", &users, &err));
    assert_false(knows(users, "one", "first"));
    assert_true(check(users, "one", "first"));
    assert_true(knows(users, "one", "first"));
    assert_false(check(users, "one", "second"));
    assert_false(check(users, "two", "first"));
    assert_false(knows(users, "one", "second"));
    assert_false(knows(users, "on", "e:first"));
    assert_true(check(users, "two", "second"));
    assert_false(check(users, "three", "first"));
    assert_false(check(users, "three", ""));
    serve_users_free(users);
}

static void nobody_comes_in_where_nobody_may(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_users *users;

    (void)state;
    assert_true(serve_users_parse(mir_span_of(""), "users", &users, &err));
    assert_false(check(users, "", ""));
    assert_false(check(users, "a", "b"));
    serve_users_free(users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_parse_takes_bcrypt_alone),
        cmocka_unit_test(errors_do_not_tell_hashes),
        cmocka_unit_test(logins_are_read_or_refused),
        cmocka_unit_test(long_logins_are_refused),
        cmocka_unit_test(what_was_right_is_known),
        cmocka_unit_test(nobody_comes_in_where_nobody_may),
    };

    return cmocka_run_group_tests_name("serve/users", tests, NULL, NULL);
}
