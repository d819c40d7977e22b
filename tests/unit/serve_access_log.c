/*
 * serve/access_log: lines, whatever clients send, and the file they go to.
 */
#include "serve/access_log_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/scratch.h"

static struct serve_log_entry usual(void)
{
    return (struct serve_log_entry){.client = "192.0.2.7",
                                    .user = "pilot",
                                    .when = 1795375200,
                                    .method = "GET",
                                    .target = "/v2/",
                                    .version = "HTTP/1.1",
                                    .status = 200,
                                    .bytes = 2,
                                    .agent = "podman/4.3",
                                    .took_ms = 3};
}

static char *line_of(const struct serve_log_entry *entry)
{
    struct mir_buf out;

    mir_buf_init(&out, SERVE_LOG_LINE_MAX);
    serve_log_format(entry, &out);
    assert_false(out.overflow);
    return mir_buf_take(&out);
}

static void lines_are_those_of_web_servers(void **state)
{
    struct serve_log_entry entry = usual();
    auto_free char *first = NULL, *second = NULL;

    (void)state;
    first = line_of(&entry);
    assert_string_equal(first, "192.0.2.7 - pilot [22/Nov/2026:19:20:00 +0000] \"GET /v2/ "
                               "HTTP/1.1\" 200 2 \"-\" \"podman/4.3\" 3 +\n");
    entry.user = NULL;
    entry.agent = NULL;
    entry.is_broken_off = true;
    second = line_of(&entry);
    assert_string_equal(second, "192.0.2.7 - - [22/Nov/2026:19:20:00 +0000] \"GET /v2/ HTTP/1.1\" "
                                "200 2 \"-\" \"-\" 3 X\n");
}

static void what_clients_send_stays_in_its_quotes(void **state)
{
    struct serve_log_entry entry = usual();
    auto_free char *line = NULL;

    (void)state;
    entry.user = "a b\nc";
    entry.target = "/v2/\"\r\n\x1b[31m\xff\\";
    entry.agent = "x\" 200\n192.0.2.1";
    line = line_of(&entry);
    assert_string_equal(line, "192.0.2.7 - a+b\\x0ac [22/Nov/2026:19:20:00 +0000] "
                              "\"GET /v2/\\x22\\x0d\\x0a\\x1b[31m\\xff\\x5c HTTP/1.1\" 200 2 \"-\" "
                              "\"x\\x22 200\\x0a192.0.2.1\" 3 +\n");
}

static void a_long_line_keeps_its_form(void **state)
{
    struct serve_log_entry entry = usual();
    auto_free char *bytes = mir_alloc(100001);
    auto_free char *line = NULL;

    (void)state;
    memset(bytes, '\x01', 100000);
    entry.user = entry.method = entry.target = entry.version = entry.agent = bytes;
    line = line_of(&entry);
    assert_true(mir_ends_with(line, "\" 3 +\n"));
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
}

struct target_row {
    const char *target, *shown;
};

static const struct target_row target_rows[] = {
    {"/v2/", "/v2/"},
    {"/v2/_catalog?n=5&last=a%2Fb", "/v2/_catalog?n=5&last=a%2Fb"},
    {"/v2/a/manifests/1?ns=docker.io", "/v2/a/manifests/1?ns=docker.io"},
    {"/v2/a/referrers/x?artifactType=a/b", "/v2/a/referrers/x?artifactType=a/b"},
    {"/v2/?token=s3cret", "/v2/?token=..."},
    {"/v2/?n=1&X-Amz-Signature=s3cret&last=a", "/v2/?n=1&X-Amz-Signature=...&last=a"},
    {"/v2/?N=s3cret", "/v2/?N=..."},
    {"http://user:s3cret@host/v2/", "/v2/"},
    {"http://user:s3cret@host", "/"},
    {"/v2/x?", "/v2/x"},
    {"*", "*"},
    {"", ""},
};

static void targets_are_shown_without_secrets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(target_rows) / sizeof(target_rows[0]); i++) {
        auto_free char *shown = serve_log_target(target_rows[i].target);

        assert_string_equal(shown, target_rows[i].shown);
    }
}

static void a_file_moved_away_is_begun_anew(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_log_entry entry = usual();
    auto_scratch *dir = scratch_new();
    auto_free char *path = mir_format("%s/log", dir);
    auto_free char *old = mir_format("%s/log.1", dir);
    auto_free char *first = NULL, *second = NULL;
    struct serve_access_log *log;

    (void)state;
    scratch_write(path, mir_span_of("before\n"));
    assert_true(serve_access_log_open(path, &log, &err));
    serve_access_log_write(log, &entry);
    assert_int_equal(rename(path, old), 0);
    serve_access_log_write(log, &entry);
    assert_true(serve_access_log_reopen(log, &err));
    entry.status = 404;
    serve_access_log_write(log, &entry);
    serve_access_log_close(log);
    first = scratch_read(old, NULL);
    second = scratch_read(path, NULL);
    assert_true(mir_starts_with(first, "before\n192.0.2.7"));
    assert_null(strstr(first, "404"));
    assert_non_null(strstr(second, "404"));
    assert_null(strstr(second, "\" 200 "));
}

static void a_file_that_cannot_be_opened_is_named(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_access_log *log;

    (void)state;
    assert_false(serve_access_log_open("/nonexistent/log", &log, &err));
    assert_non_null(strstr(err.text, "/nonexistent/log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_those_of_web_servers),
        cmocka_unit_test(what_clients_send_stays_in_its_quotes),
        cmocka_unit_test(a_long_line_keeps_its_form),
        cmocka_unit_test(targets_are_shown_without_secrets),
        cmocka_unit_test(a_file_moved_away_is_begun_anew),
        cmocka_unit_test(a_file_that_cannot_be_opened_is_named),
    };

    return cmocka_run_group_tests_name("serve/access_log", tests, NULL, NULL);
}
