/*
 * WWW-Authenticate, as servers really write it and as they should not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "registry/registry_priv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void challenge_reads_what_servers_send(void **state)
{
    const struct {
        const char *label;
        const char *header;
        bool basic, bearer;
        const char *realm, *service, *scope, *error;
    } rows[] = {
        {"docker.io",
         "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
         "scope=\"repository:library/a:pull\"",
         false, true, "https://auth.docker.io/token", "registry.docker.io",
         "repository:library/a:pull", NULL},
        {"blanks", "Bearer  realm = \"r\" ,\tservice=\"s\" ", false, true, "r", "s", NULL, NULL},
        {"any case", "bEARER REALM=\"r\", Service=\"s\"", false, true, "r", "s", NULL, NULL},
        {"no quotes", "Bearer realm=https://h/t?a=b,service=s", false, true, "https://h/t?a=b", "s",
         NULL, NULL},
        {"escapes", "Bearer realm=\"a\\\"b\\\\c\"", false, true, "a\"b\\c", NULL, NULL, NULL},
        {"comma in quotes", "Bearer scope=\"a:pull,push b:pull\",realm=\"r\"", false, true, "r",
         NULL, "a:pull,push b:pull", NULL},
        {"error", "Bearer realm=\"r\",error=\"invalid_token\"", false, true, "r", NULL, NULL,
         "invalid_token"},
        {"unknown parameter", "Bearer realm=\"r\",x=\"y\",service=\"s\"", false, true, "r", "s",
         NULL, NULL},
        {"twice: the first", "Bearer realm=\"a\",realm=\"b\"", false, true, "a", NULL, NULL, NULL},
        {"two Bearers: the first", "Bearer realm=\"a\", Bearer realm=\"b\",service=\"s\"", false,
         true, "a", NULL, NULL, NULL},
        {"Basic", "Basic realm=\"x\"", true, false, NULL, NULL, NULL, NULL},
        {"Basic alone", "Basic", true, false, NULL, NULL, NULL, NULL},
        {"both", "Basic realm=\"x\", Bearer realm=\"r\"", true, true, "r", NULL, NULL, NULL},
        {"both, the other way", "Bearer realm=\"r\", Basic realm=\"x\"", true, true, "r", NULL,
         NULL, NULL},
        {"token68 before", "Negotiate YIIabc/+==, Basic realm=\"x\"", true, false, NULL, NULL, NULL,
         NULL},
        {"token68 with one =", "Negotiate YIIabc=, Bearer realm=\"r\"", false, true, "r", NULL,
         NULL, NULL},
        {"scheme list", "Negotiate, NTLM, Basic realm=\"x\"", true, false, NULL, NULL, NULL, NULL},
        {"Digest's parameters are not ours", "Digest realm=\"d\", nonce=\"n\"", false, false, NULL,
         NULL, NULL, NULL},
        {"Bearer without realm", "Bearer service=\"s\"", false, true, NULL, "s", NULL, NULL},
        {"empty value", "Bearer realm=\"\"", false, true, NULL, NULL, NULL, NULL},
        {"empty, then not", "Bearer realm=\"\",realm=\"r\"", false, true, "r", NULL, NULL, NULL},
        {"two Bearers: the first with a realm",
         "Bearer service=\"a\",scope=\"b\", Bearer realm=\"r\",service=\"s\"", false, true, "r",
         "s", NULL, NULL},
        {"no commas", "Bearer realm=\"r\" service=\"s\"", false, true, "r", "s", NULL, NULL},
        {"parameters of nobody", "realm=\"a\", Bearer realm=\"r\"", false, true, "r", NULL, NULL,
         NULL},
        {"schemes nobody knows", "Xyz a=\"b\", Q zzz, HOBA x=\"1\",realm=\"h\", Bearer realm=\"r\"",
         false, true, "r", NULL, NULL, NULL},
        {"quoted pair of a plain byte", "Bearer realm=\"\\r\\,\"", false, true, "r,", NULL, NULL,
         NULL},
        {"nothing", "", false, false, NULL, NULL, NULL, NULL},
        {"commas", " , ,, ", false, false, NULL, NULL, NULL, NULL},
        {"empty elements", "Bearer realm=\"r\",,service=\"s\",", false, true, "r", "s", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reg_challenge got = {.realm = NULL};
        struct mir_error err = MIR_ERROR_INIT;

        if (!reg_challenge_parse(mir_span_of(rows[i].header), &got, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        if (got.has_basic != rows[i].basic || got.has_bearer != rows[i].bearer ||
            !same(got.realm, rows[i].realm) || !same(got.service, rows[i].service) ||
            !same(got.scope, rows[i].scope) || !same(got.error, rows[i].error))
            fail_msg("%s: basic %d bearer %d realm %s service %s scope %s error %s", rows[i].label,
                     got.has_basic, got.has_bearer, got.realm, got.service, got.scope, got.error);
        reg_challenge_release(&got);
    }
}

static void challenge_refuses_what_is_none(void **state)
{
    auto_free char *many = mir_alloc(7 + 1000 * 4 + 1);
    auto_free char *large = mir_alloc((1u << 20) + 1);
    const struct {
        const char *label;
        const char *header;
        enum mir_code code;
    } rows[] = {
        {"quote not closed", "Bearer realm=\"r", MIR_E_PROTOCOL},
        {"quote closed by an escape", "Bearer realm=\"r\\\"", MIR_E_PROTOCOL},
        {"no name", "Bearer a=b, =\"r\"", MIR_E_PROTOCOL},
        {"quote alone", "\"", MIR_E_PROTOCOL},
        {"byte outside", "Bearer\x01", MIR_E_PROTOCOL},
        {"1000 parameters", many, MIR_E_LIMIT},
        {"1 MiB", large, MIR_E_LIMIT},
    };
    char *at = many;

    (void)state;
    memcpy(at, "Bearer ", 7);
    at += 7;
    /* Within the limit of bytes. */
    for (int i = 0; i < 1000; i++, at += 4)
        memcpy(at, "a=b,", 4);
    memset(large, 'a', 1u << 20);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reg_challenge got = {.realm = NULL};
        struct mir_error err = MIR_ERROR_INIT;

        if (reg_challenge_parse(mir_span_of(rows[i].header), &got, &err) ||
            err.code != rows[i].code)
            fail_msg("%s: %d %s", rows[i].label, err.code, err.text);
        reg_challenge_release(&got);
    }
}

static void challenge_keeps_what_stood_before_the_fault(void **state)
{
    struct reg_challenge got = {.realm = NULL};
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    assert_false(reg_challenge_parse(mir_span_of("Bearer realm=\"r\",service=\"s\",scope=\"open"),
                                     &got, &err));
    assert_true(got.has_bearer);
    assert_string_equal(got.realm, "r");
    assert_string_equal(got.service, "s");
    assert_null(got.scope);
    reg_challenge_release(&got);
}

static void challenge_takes_no_nul(void **state)
{
    const char header[] = "Bearer realm=\"a\0b\"";
    struct reg_challenge got = {.realm = NULL};
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    assert_true(reg_challenge_parse(mir_span(header, sizeof(header) - 1), &got, &err));
    assert_true(got.has_bearer);
    assert_null(got.realm);
    reg_challenge_release(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenge_reads_what_servers_send),
        cmocka_unit_test(challenge_refuses_what_is_none),
        cmocka_unit_test(challenge_keeps_what_stood_before_the_fault),
        cmocka_unit_test(challenge_takes_no_nul),
    };

    return cmocka_run_group_tests_name("registry/challenge", tests, NULL, NULL);
}
