/*
 * Registries behind a proxy: who is said to have refused, and what is tried where tunnels are not
 * allowed. The scripted server is the proxy; no host of these names is there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANIFEST     "{\"schemaVersion\":2}"
#define HOST         "registry.invalid:5000"
#define PLAIN        "http://" HOST "/v2/team/app/manifests/v1"

static bool get_manifest(struct reg_bench *b)
{
    struct reg_manifest manifest = {.bytes = NULL};
    bool ok;

    mir_error_clear(&b->err);
    ok = reg_manifest_get(b->session, &b->repo, "v1", &manifest, &b->err);
    reg_manifest_release(&manifest);
    return ok;
}

static void use_proxy(const struct server *proxy)
{
    auto_free char *url = mir_format("http://me:hush@%s", server_host(proxy));

    assert_int_equal(setenv("ALL_PROXY", url, 1), 0);
}

static void proxy_that_allows_no_tunnel_is_asked_plainly_for_insecure_hosts(void **state)
{
    const struct server_reply replies[] = {
        {.method = "CONNECT", .status = 403},
        {.path = PLAIN, .status = 200, .body = MANIFEST},
    };
    auto_server *proxy = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    use_proxy(proxy);
    reg_bench_start(&b, proxy, NULL);
    b.repo.host = HOST;
    assert_false(get_manifest(&b));
    must_have(b.err.text, "does not connect us: 403");
    assert_int_equal(server_count(proxy, "GET", NULL), 0);
    b.repo.insecure = true;
    must(get_manifest(&b), &b.err);
    assert_int_equal(server_count(proxy, "GET", PLAIN), 1);
    assert_false(reg_bench_said(&b, "hush"));
}

static void proxy_is_named_where_it_may_have_refused(void **state)
{
    const struct server_reply replies[] = {
        {.method = "CONNECT", .status = 403},
        {.status = 404, .body = "no such thing"},
    };
    auto_server *proxy = server_start(replies, COUNT(replies));
    auto_free char *shown = mir_format(
        "GET " PLAIN " through the proxy http://%s (from ALL_PROXY): 404", server_host(proxy));
    struct reg_options options = {.tls = REG_TLS_OFF};
    auto_reg_bench b;

    (void)state;
    use_proxy(proxy);
    reg_bench_start(&b, proxy, &options);
    b.repo.host = HOST;
    assert_false(get_manifest(&b));
    assert_int_equal(b.err.code, MIR_E_NOT_FOUND);
    must_have(b.err.text, shown);
    assert_false(reg_bench_said(&b, "hush"));
}

static void proxy_that_wants_a_login_ends_it_at_once(void **state)
{
    const struct server_reply replies[] = {{.status = 407}};
    auto_server *proxy = server_start(replies, COUNT(replies));
    const enum reg_tls modes[] = {REG_TLS_DEFAULT, REG_TLS_OFF};

    (void)state;
    use_proxy(proxy);
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct reg_options options = {.tls = modes[i], .retry_times = 3};
        auto_reg_bench b;

        reg_bench_start(&b, proxy, &options);
        b.repo.host = HOST;
        assert_false(get_manifest(&b));
        assert_int_equal(b.err.code, MIR_E_AUTH);
        must_have(b.err.text, "wants a login: 407");
        must_have(b.err.hint, "ALL_PROXY");
        assert_int_equal(b.clock.wait_count, 0);
        assert_false(reg_bench_said(&b, "hush"));
    }
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
    (void)unsetenv("ALL_PROXY");
    scratch_remove(*state);
    http_global_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxy_that_allows_no_tunnel_is_asked_plainly_for_insecure_hosts),
        cmocka_unit_test(proxy_is_named_where_it_may_have_refused),
        cmocka_unit_test(proxy_that_wants_a_login_ends_it_at_once),
    };

    return cmocka_run_group_tests_name("registry/proxies", tests, set_up, tear_down);
}
