/*
 * Who is trusted, and how far: hosts that registries.conf calls insecure. The address 0.0.0.0 leads
 * to the scripted server without being loopback, whose own habits would decide otherwise.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/certs.h"
#include "lib/reg_bench.h"
#include "lib/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANIFEST     "{\"schemaVersion\":2}"

static const struct server_reply gives[] = {{.status = 200, .body = MANIFEST}};

static bool get_manifest(struct reg_bench *b, const char *reference)
{
    struct reg_manifest manifest = {.bytes = NULL};

    mir_error_clear(&b->err);
    if (!reg_manifest_get(b->session, &b->repo, reference, &manifest, &b->err))
        return false;
    assert_string_equal(manifest.bytes, MANIFEST);
    reg_manifest_release(&manifest);
    return true;
}

static void must_get(struct reg_bench *b)
{
    if (!get_manifest(b, "v1"))
        fail_msg("%s (%s)", b->err.text, b->err.hint);
}

/* The server under an address that is not loopback's. */
static char *elsewhere(const struct server *server)
{
    return mir_format("0.0.0.0%s", strchr(server_host(server), ':'));
}

static struct server_identity *leaf_of(const struct server_identity *ca)
{
    return certs_new(
        &(struct certs_options){.name = "leaf", .host = "IP:0.0.0.0,IP:127.0.0.1", .days = 10}, ca);
}

/* ---- insecure in registries.conf ----------------------------------------------------------- */

static void insecure_host_is_asked_over_any_tls_then_http(void **state)
{
    auto_certs *leaf = leaf_of(NULL);
    auto_server *plain = server_start(gives, COUNT(gives));
    auto_server *tls = server_start_tls(gives, COUNT(gives), leaf);
    struct server *const servers[] = {plain, tls};

    (void)state;
    for (size_t i = 0; i < COUNT(servers); i++) {
        auto_free char *host = elsewhere(servers[i]);
        auto_reg_bench b;

        reg_bench_start(&b, servers[i], NULL);
        b.repo.host = host;
        assert_false(get_manifest(&b, "v1"));
        assert_int_equal(b.err.code, MIR_E_TLS);
        assert_false(reg_client_is_relaxed(b.client, host));
        b.repo.insecure = true;
        must_get(&b);
        assert_true(reg_client_is_relaxed(b.client, host));
        /* What holds for one place of a host is not taken for another. */
        b.repo.insecure = false;
        assert_false(get_manifest(&b, "v1"));
        assert_int_equal(b.err.code, MIR_E_TLS);
    }
}

static void insecure_gives_way_to_the_command_line(void **state)
{
    auto_certs *leaf = leaf_of(NULL);
    auto_server *tls = server_start_tls(gives, COUNT(gives), leaf);
    auto_free char *host = elsewhere(tls);
    struct reg_options options = {.tls = REG_TLS_VERIFY};
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, tls, &options);
    b.repo.host = host;
    b.repo.insecure = true;
    assert_false(get_manifest(&b, "v1"));
    assert_int_equal(b.err.code, MIR_E_TLS);
    assert_false(reg_client_is_relaxed(b.client, host));
}

/* As the runtime does: the realm and the store are the host's own word. */
static void insecure_holds_for_what_the_host_names(void **state)
{
    const struct server_reply tokens[] = {
        {.path = "/token*", .status = 200, .body = "{\"token\":\"t1\"}"},
        {.path = "/blob", .status = 200, .body = MANIFEST},
    };
    auto_certs *leaf = leaf_of(NULL);
    auto_server *helper = server_start_tls(tokens, COUNT(tokens), leaf);
    auto_free char *helper_host = elsewhere(helper);
    auto_free char *challenge = mir_format(
        "WWW-Authenticate: Bearer realm=\"https://%s/token\",service=\"s\"\r\n", helper_host);
    auto_free char *redirect = mir_format("Location: https://%s/blob\r\n", helper_host);
    const struct server_reply replies[] = {
        {.lacks = "Bearer t1", .status = 401, .headers = challenge},
        {.status = 307, .headers = redirect},
    };
    auto_server *registry = server_start_tls(replies, COUNT(replies), leaf);
    auto_free char *host = elsewhere(registry);
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, registry, NULL);
    b.repo.host = host;
    b.repo.insecure = true;
    must_get(&b);
    assert_int_equal(server_count(helper, "GET", "/token*"), 1);
    assert_int_equal(server_count(helper, "GET", "/blob"), 1);
}

static int set_up(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    char *dir = scratch_new();

    *state = dir;
    reg_bench_empty_home(dir);
    return http_global_init(&err) ? 0 : -1;
}

static int tear_down(void **state)
{
    scratch_remove(*state);
    http_global_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insecure_host_is_asked_over_any_tls_then_http),
        cmocka_unit_test(insecure_gives_way_to_the_command_line),
        cmocka_unit_test(insecure_holds_for_what_the_host_names),
    };

    return cmocka_run_group_tests_name("registry/tls", tests, set_up, tear_down);
}
