/*
 * serve/listen: addresses to listen on.
 */
#include "serve/listen_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

struct row {
    const char *text;
    const char *host; /* NULL: refused */
    uint16_t port;
};

static const struct row rows[] = {
    {"127.0.0.1:5000", "127.0.0.1", 5000},
    {"127.0.0.1:0", "127.0.0.1", 0},
    {"localhost:65535", "localhost", 65535},
    {"[::1]:80", "::1", 80},
    {":5000", "", 5000},
    {"", NULL, 0},
    {"127.0.0.1", NULL, 0},
    {"5000", NULL, 0},
    {"127.0.0.1:", NULL, 0},
    {"127.0.0.1:http", NULL, 0},
    {"127.0.0.1:65536", NULL, 0},
    {"127.0.0.1:-1", NULL, 0},
    {"127.0.0.1: 80", NULL, 0},
    {"::1:80", NULL, 0},
    {"http://127.0.0.1:80", NULL, 0},
};

static void address_parse_wants_host_and_port(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        struct serve_address address;
        bool ok = serve_address_parse(rows[i].text, &address, &err);

        if (ok != (rows[i].host != NULL))
            fail_msg("'%s': %s", rows[i].text, ok ? "was taken" : err.text);
        if (ok && (strcmp(address.host, rows[i].host) != 0 || address.port != rows[i].port))
            fail_msg("'%s': %s, %u", rows[i].text, address.host, address.port);
        if (!ok && (err.code != MIR_E_USAGE || err.hint[0] == '\0'))
            fail_msg("'%s': code %d, hint '%s'", rows[i].text, err.code, err.hint);
    }
}

static void listen_says_when_an_address_is_taken(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_address address;
    auto_close int first = -1;
    auto_close int second = -1;
    uint16_t port, ignored;

    (void)state;
    assert_true(serve_address_parse("127.0.0.1:0", &address, &err));
    if (!serve_listen(&address, &first, &port, &err) || !serve_listen_begin(first, &err))
        fail_msg("%s", err.text);
    assert_int_not_equal(port, 0);
    address.port = port;
    assert_false(serve_listen(&address, &second, &ignored, &err));
    assert_int_equal(err.code, MIR_E_IO);
    assert_non_null(strstr(err.text, "127.0.0.1:"));
    assert_int_not_equal(err.hint[0], '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_parse_wants_host_and_port),
        cmocka_unit_test(listen_says_when_an_address_is_taken),
    };

    return cmocka_run_group_tests_name("serve/listen", tests, NULL, NULL);
}
