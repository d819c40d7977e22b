/*
 * URLs: what may be shown of them, whose they are.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- URLs ---------------------------------------------------------------------------------- */

static void redact_hides_secrets(void **state)
{
    const struct {
        const char *url;
        const char *shown;
    } rows[] = {
        {"https://h/v2/", "https://h/v2/"},
        {"https://u:p@h:5/x", "https://***@h:5/x"},
        {"https://u:p@q@h/x", "https://***@h/x"},
        {"https://h/x?digest=sha256:1&X-Amz-Signature=abc",
         "https://h/x?digest=sha256:1&X-Amz-Signature=***"},
        {"https://h/x?_state=abc", "https://h/x?_state=***"},
        {"https://h/x?token", "https://h/x?***"},
        {"https://h/x?a=1#secret", "https://h/x?a=***"},
        {"https://h?u=a@b", "https://h?u=***"},
        {"h/x\r\ny", "h/x??y"},
        {"//u:p@h/x", "//***@h/x"},
        {"///u:p@h/x", "///***@h/x"},
        {"http:/u:p@h/x", "http:/***@h/x"},
        {"http:\\\\u:p@h/x", "http:\\\\***@h/x"},
        {"http://u:p\\@h/x", "http://***@h/x"},
        {"u:p@h/x", "***@h/x"},
        {"https://u:p/q@h/x?y=z", "https://***@h/x?y=***"},
        {"https://u:p#q@h/x", "https://u:***"},
        {"https://[::1]:5000/x", "https://[::1]:5000/x"},
        {"https://h/a@b", "https://h/a@b"},
        {"https://h/x?digest=sha256:1;sig=abc", "https://h/x?digest=***"},
        {"https://h/x?scope=registry:catalog:*", "https://h/x?scope=registry:catalog:*"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *shown = http_url_redact(rows[i].url);

        assert_string_equal(shown, rows[i].shown);
    }
}

static void urls_know_their_origin(void **state)
{
    (void)state;
    assert_true(http_url_same_origin("https://h/a", "https://H:443/b?c"));
    assert_false(http_url_same_origin("https://h/a", "http://h/a"));
    assert_false(http_url_same_origin("https://h/a", "https://h:444/a"));
    assert_false(http_url_same_origin("https://h/a", "https://h.evil/a"));
    assert_false(http_url_same_origin("https://h/a", "https://h@evil/a"));
    assert_false(http_url_same_origin("x", ""));
    assert_true(http_host_is_loopback(mir_span_of("localhost:5000")));
    assert_true(http_host_is_loopback(mir_span_of("a.localhost")));
    assert_true(http_host_is_loopback(mir_span_of("127.1.2.3:1")));
    assert_true(http_host_is_loopback(mir_span_of("[::1]:5000")));
    assert_false(http_host_is_loopback(mir_span_of("notlocalhost")));
    assert_false(http_host_is_loopback(mir_span_of("127.0.0.1.evil.com")));
    assert_false(http_host_is_loopback(mir_span_of("10.0.0.1")));
    assert_false(http_host_is_loopback(mir_span_of("[::2]")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redact_hides_secrets),
        cmocka_unit_test(urls_know_their_origin),
    };

    return cmocka_run_group_tests_name("http/url", tests, NULL, NULL);
}
