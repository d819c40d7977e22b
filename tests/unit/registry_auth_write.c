/*
 * Auth files as they are changed: one key in or out, everything else as it was; and files that are
 * none stay what they are.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/must.h"
#include "lib/scratch.h"
#include "registry/login.h"
#include "registry/login_priv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CREDS        "me:pa:ss"
#define CODE         "bWU6cGE6c3M="
#define MINE         "{\"auth\":\"" CODE "\"}"

static char *compact(const char *text)
{
    json_error_t why;
    auto_json *root = json_loads(text, JSON_REJECT_DUPLICATES, &why);

    if (!root)
        fail_msg("not JSON: %s: %s", why.text, text);
    return json_dumps(root, JSON_COMPACT);
}

static void expect(const char *label, const char *path, const char *want)
{
    auto_free char *text = scratch_read(path, NULL);
    auto_free char *got = compact(text);
    struct stat info;

    if (strcmp(got, want) != 0)
        fail_msg("%s: %s instead of %s", label, got, want);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void store_changes_one_key(void **state)
{
    static const struct {
        const char *label, *before, *account, *after;
    } rows[] = {
        {"no file", NULL, "h.io", "{\"auths\":{\"h.io\":" MINE "}}"},
        {"empty", "", "h.io", "{\"auths\":{\"h.io\":" MINE "}}"},
        {"blanks", " \n", "h.io", "{\"auths\":{\"h.io\":" MINE "}}"},
        {"no auths", "{\"a\":1}", "h.io", "{\"a\":1,\"auths\":{\"h.io\":" MINE "}}"},
        {"null", "{\"auths\":null,\"a\":1}", "h.io", "{\"auths\":{\"h.io\":" MINE "},\"a\":1}"},
        {"a part", "{\"auths\":{\"h.io\":{}}}", "h.io/ns",
         "{\"auths\":{\"h.io\":{},\"h.io/ns\":" MINE "}}"},
        {"in its place", "{\"auths\":{\"a\":{},\"h.io\":{\"auth\":\"eDp5\"},\"z\":{}}}", "h.io",
         "{\"auths\":{\"a\":{},\"h.io\":" MINE ",\"z\":{}}}"},
        {"other fields", "{\"auths\":{\"h.io\":{\"email\":\"e\",\"auth\":\"eDp5\",\"x\":[1]}}}",
         "h.io", "{\"auths\":{\"h.io\":{\"email\":\"e\",\"auth\":\"" CODE "\",\"x\":[1]}}}"},
        {"other ways in",
         "{\"auths\":{\"h.io\":{\"identitytoken\":\"t\",\"registrytoken\":\"r\","
         "\"username\":\"u\",\"password\":\"p\"}}}",
         "h.io", "{\"auths\":{\"h.io\":" MINE "}}"},
        {"null entry", "{\"auths\":{\"h.io\":null}}", "h.io", "{\"auths\":{\"h.io\":" MINE "}}"},
        {"docker.io beside docker's", "{\"auths\":{\"https://index.docker.io/v1/\":{}}}",
         "docker.io", "{\"auths\":{\"https://index.docker.io/v1/\":{},\"docker.io\":" MINE "}}"},
        {"numbers and bytes",
         "{\"n\":[0,-1,9007199254740993,1.5,true,null],\"s\":\"\\u00e9\\u0001\\\"\\\\\"}", "h.io",
         "{\"n\":[0,-1,9007199254740993,1.5,true,null],\"s\":\"\xc3\xa9\\u0001\\\"\\\\\",\"auths\":"
         "{\"h.io\":" MINE "}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        auto_free char *path = mir_format("%s/auth.json", dir);
        auto_free char *where = NULL;
        const struct reg_auth_place place = {.path = path};
        struct mir_error err = MIR_ERROR_INIT;

        if (rows[i].before)
            scratch_write(path, mir_span_of(rows[i].before));
        must(reg_auth_store(&place, rows[i].account, CREDS, &where, &err), &err);
        expect(rows[i].label, path, rows[i].after);
        assert_string_equal(where, path);
        assert_int_equal(scratch_count(dir), 1);
    }
}

static void store_keeps_numbers_with_a_point(void **state)
{
    static const char *const rows[] = {"0.1", "2.5e-7", "3.0", "-1234.5", "0.12345678901234566"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        auto_free char *path = mir_format("%s/auth.json", dir);
        auto_free char *before = mir_format("{\"n\":%s}", rows[i]);
        auto_free char *line = mir_format("\n\t\"n\": %s,\n", rows[i]);
        auto_free char *where = NULL;
        auto_free char *after = NULL;
        const struct reg_auth_place place = {.path = path};
        struct mir_error err = MIR_ERROR_INIT;

        scratch_write(path, mir_span_of(before));
        must(reg_auth_store(&place, "h.io", CREDS, &where, &err), &err);
        after = scratch_read(path, NULL);
        must_have(after, line);
    }
}

static void erase_takes_all_spellings_of_a_host(void **state)
{
    static const struct {
        const char *label, *before, *account, *after;
    } rows[] = {
        {"one", "{\"auths\":{\"a\":{},\"h.io\":{},\"z\":{}}}", "h.io",
         "{\"auths\":{\"a\":{},\"z\":{}}}"},
        {"parts stay", "{\"auths\":{\"h.io/ns\":{},\"h.io\":{},\"h.io:1\":{}}}", "h.io",
         "{\"auths\":{\"h.io/ns\":{},\"h.io:1\":{}}}"},
        {"a part alone", "{\"auths\":{\"h.io/ns\":{},\"h.io\":{},\"https://h.io/ns\":{}}}",
         "h.io/ns", "{\"auths\":{\"h.io\":{},\"https://h.io/ns\":{}}}"},
        {"URLs",
         "{\"auths\":{\"https://h.io/v1/\":{},\"http://h.io\":{},\"https://h.io.x\":{}},\"x\":1}",
         "h.io", "{\"auths\":{\"https://h.io.x\":{}},\"x\":1}"},
        {"docker.io",
         "{\"auths\":{\"docker.io\":{},\"https://index.docker.io/v1/\":{},\"docker.io/a\":{}}}",
         "docker.io", "{\"auths\":{\"docker.io/a\":{}}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        auto_free char *path = mir_format("%s/auth.json", dir);
        const struct reg_auth_place place = {.path = path};
        struct mir_error err = MIR_ERROR_INIT;
        bool erased = false;

        scratch_write(path, mir_span_of(rows[i].before));
        must(reg_auth_erase(&place, rows[i].account, &erased, &err), &err);
        assert_true(erased);
        expect(rows[i].label, path, rows[i].after);
        erased = false;
        must(reg_auth_erase(&place, rows[i].account, &erased, &err), &err);
        assert_false(erased);
        must(reg_auth_erase_all(&place, &erased, &err), &err);
        assert_int_equal(scratch_count(dir), 1);
    }
}

static void erase_makes_no_file(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/none/auth.json", dir);
    const struct reg_auth_place place = {.path = path};
    struct mir_error err = MIR_ERROR_INIT;
    bool erased = false;

    (void)state;
    must(reg_auth_erase(&place, "h.io", &erased, &err), &err);
    must(reg_auth_erase_all(&place, &erased, &err), &err);
    assert_false(erased);
    assert_int_equal(scratch_count(dir), 0);
}

static struct mir_span repeat(const char *piece, size_t count, char **out)
{
    size_t len = strlen(piece);

    *out = mir_alloc(len * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(*out + i * len, piece, len);
    return mir_span(*out, len * count);
}

static void files_that_are_none_stay_as_they_are(void **state)
{
    auto_free char *deep = NULL;
    auto_free char *large = NULL;
    const struct {
        const char *label;
        struct mir_span text;
    } rows[] = {
        {"words", mir_span_of("words")},
        {"cut short", mir_span_of("{\"auths\":{\"h.io\":{\"auth\":\"c2VjcmV0")},
        {"a list", mir_span_of("[]")},
        {"auths a list", mir_span_of("{\"auths\":[]}")},
        {"an entry a number", mir_span_of("{\"auths\":{\"x\":1}}")},
        {"a key twice", mir_span_of("{\"auths\":{\"x\":{},\"x\":{}}}")},
        {"two values", mir_span_of("{}{}")},
        {"a NUL", mir_span("{\"a\":\"\0\"}", 9)},
        {"an escaped NUL", mir_span_of("{\"a\":\"\\u0000\"}")},
        {"not UTF-8", mir_span_of("{\"a\":\"\xff\"}")},
        {"a number too large", mir_span_of("{\"a\":99999999999999999999}")},
        {"deep", repeat("[", 100000, &deep)},
        {"large", repeat("        ", 1u << 20, &large)},
        {"helpers a list", mir_span_of("{\"credHelpers\":[]}")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_scratch *dir = scratch_new();
        auto_free char *path = mir_format("%s/auth.json", dir);
        const struct reg_auth_place place = {.path = path};
        struct mir_error err = MIR_ERROR_INIT;
        struct mir_error again = MIR_ERROR_INIT;
        char *where = NULL;
        bool erased = false;
        size_t len;
        char *after;

        scratch_write(path, rows[i].text);
        if (reg_auth_store(&place, "h.io", CREDS, &where, &err) ||
            reg_auth_erase(&place, "h.io", &erased, &again) || erased)
            fail_msg("%s was taken for an auth file", rows[i].label);
        must_have(err.text, "auth.json");
        must_have(err.hint, "mend the file");
        assert_null(strstr(err.text, "c2VjcmV0"));
        after = scratch_read(path, &len);
        assert_true(mir_span_equal(mir_span(after, len), rows[i].text));
        assert_int_equal(scratch_count(dir), 1);
        free(after);
    }
}

static void store_follows_links_and_makes_folders(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/link", dir);
    auto_free char *real = mir_format("%s/a/b/auth.json", dir);
    auto_free char *folder = mir_format("%s/a/b", dir);
    auto_free char *where = NULL;
    const struct reg_auth_place place = {.path = path};
    struct mir_error err = MIR_ERROR_INIT;
    struct stat info;

    (void)state;
    assert_int_equal(symlink("a/b/auth.json", path), 0);
    must(reg_auth_store(&place, "h.io", CREDS, &where, &err), &err);
    assert_int_equal(lstat(path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    expect("through a link", real, "{\"auths\":{\"h.io\":" MINE "}}");
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
}

static void store_says_where_it_cannot_write(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_free char *file = mir_format("%s/file", dir);
    auto_free char *path = mir_format("%s/file/auth.json", dir);
    const struct reg_options options = {.authfile = path, .creds = CREDS};
    struct mir_error err = MIR_ERROR_INIT;
    char *where = NULL;

    (void)state;
    scratch_write(file, mir_span_of("x"));
    assert_false(reg_login_store(&options, "h.io", &where, &err));
    assert_null(where);
    must_have(err.text, file);
    must_have(err.hint, "--authfile");
}

static void login_needs_user_and_password(void **state)
{
    const char *const rows[] = {NULL, "", "me", ":pass"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct reg_options options = {.authfile = "/nonexistent/x", .creds = rows[i]};
        struct mir_error err = MIR_ERROR_INIT;
        char *where = NULL;

        assert_false(reg_login_store(&options, "h.io", &where, &err));
        assert_int_equal(err.code, MIR_E_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_changes_one_key),
        cmocka_unit_test(store_keeps_numbers_with_a_point),
        cmocka_unit_test(erase_takes_all_spellings_of_a_host),
        cmocka_unit_test(erase_makes_no_file),
        cmocka_unit_test(files_that_are_none_stay_as_they_are),
        cmocka_unit_test(store_follows_links_and_makes_folders),
        cmocka_unit_test(store_says_where_it_cannot_write),
        cmocka_unit_test(login_needs_user_and_password),
    };

    return cmocka_run_group_tests_name("registry/auth_write", tests, NULL, NULL);
}
