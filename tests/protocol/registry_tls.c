/*
 * Whether a host is spoken to with TLS, and who is trusted: certs.d, options, and hosts that
 * registries.conf calls insecure. The address 0.0.0.0 leads to the scripted server without being
 * loopback, whose own habits would decide otherwise.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/http.h"
#include "lib/certs.h"
#include "lib/must.h"
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

/* ---- TLS or not ---------------------------------------------------------------------------- */

static void scheme_is_found_out_once(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = MANIFEST}};
    auto_certs *leaf = certs_new(
        &(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, NULL);
    auto_server *plain = server_start(replies, COUNT(replies));
    auto_server *tls = server_start_tls(replies, COUNT(replies), leaf);
    const enum reg_tls modes[] = {REG_TLS_DEFAULT, REG_TLS_OFF};

    (void)state;
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct reg_options options = {.tls = modes[i]};
        auto_reg_bench p;
        auto_reg_bench t;
        size_t before = server_connections(plain);

        reg_bench_start(&p, plain, &options);
        must_get(&p);
        must_get(&p);
        /* One handshake, which is answered with something else, then one connection for both. */
        assert_int_equal(server_connections(plain) - before, 2);
        assert_int_equal(reg_client_requests(p.client), 2);
        reg_bench_start(&t, tls, &options);
        must_get(&t);
        assert_int_equal(reg_client_requests(t.client), 1);
    }
}

/* Takes connections and never says a word: nobody accepts them, the kernel does. */
static int listen_silently(char host[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(host, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* How many connections came since the last time. */
static size_t count_connections(int listener)
{
    size_t count = 0;

    for (int fd = accept(listener, NULL, NULL); fd >= 0; fd = accept(listener, NULL, NULL)) {
        (void)close(fd);
        count++;
    }
    return count;
}

/* The first who asks does so with all retries; the others are told what came of it. */
static void scheme_is_asked_for_in_vain_once(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = MANIFEST}};
    auto_server *other = server_start(replies, COUNT(replies));
    struct reg_options options = {.retry_times = 2, .stall_timeout_ms = 50};
    struct mir_error first;
    char host[32];
    int listener = listen_silently(host);
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, other, &options);
    b.repo.host = host;
    assert_false(get_manifest(&b, "v1"));
    assert_int_equal(b.err.code, MIR_E_NETWORK);
    assert_int_equal(count_connections(listener), 3);
    first = b.err;
    for (int i = 0; i < 3; i++) {
        assert_false(get_manifest(&b, "v1"));
        assert_int_equal(b.err.code, MIR_E_NETWORK);
        assert_string_equal(b.err.text, first.text);
    }
    assert_int_equal(count_connections(listener), 0);
    assert_int_equal(b.clock.wait_count, 2);
    b.repo.host = server_host(other);
    must_get(&b);
    (void)close(listener);
}

/* Ctrl-C says nothing about the host. */
static void scheme_is_asked_for_again_after_a_stop(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = MANIFEST}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    atomic_store(&b.cancel.flag, 1);
    assert_false(get_manifest(&b, "v1"));
    assert_int_equal(b.err.code, MIR_E_CANCELLED);
    atomic_store(&b.cancel.flag, 0);
    must_get(&b);
}

static void tls_verify_takes_no_excuse(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = MANIFEST}};
    auto_scratch *dir = scratch_new();
    auto_free char *ca_file = mir_format("%s/ca.crt", dir);
    auto_certs *ca = certs_new(&(struct certs_options){.name = "CA", .days = 10}, NULL);
    auto_certs *leaf =
        certs_new(&(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, ca);
    auto_server *plain = server_start(replies, COUNT(replies));
    auto_server *tls = server_start_tls(replies, COUNT(replies), leaf);
    struct reg_options options = {.tls = REG_TLS_VERIFY, .retry_times = 1};
    auto_reg_bench p;
    auto_reg_bench t;
    auto_reg_bench with_ca;

    (void)state;
    reg_bench_start(&p, plain, &options);
    assert_false(get_manifest(&p, "v1"));
    assert_int_equal(p.err.code, MIR_E_TLS);
    must_have(p.err.hint, "speaks plain http: --src-tls-verify=false");
    assert_int_equal(server_count(plain, NULL, NULL), 0);
    reg_bench_start(&t, tls, &options);
    assert_false(get_manifest(&t, "v1"));
    assert_int_equal(t.err.code, MIR_E_TLS);
    must_have(t.err.text, "is signed by CN = CA, which is not trusted here");
    must_have(t.err.hint, "certs.d/127.0.0.1:");
    must_have(t.err.hint, "--src-tls-verify=false");
    certs_write_cert(ca, ca_file);
    options.cert_dir = dir;
    reg_bench_start(&with_ca, tls, &options);
    must_get(&with_ca);
}

static void certs_d_is_found_in_the_home_folder(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = MANIFEST}};
    auto_scratch *dir = scratch_new();
    auto_certs *ca = certs_new(&(struct certs_options){.name = "CA", .days = 10}, NULL);
    auto_certs *leaf =
        certs_new(&(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, ca);
    auto_server *server = server_start_tls(replies, COUNT(replies), leaf);
    auto_free char *file =
        mir_format("%s/.config/containers/certs.d/%s/ca.crt", dir, server_host(server));
    struct mir_error err = MIR_ERROR_INIT;
    auto_reg_bench b;

    reg_bench_empty_home(dir);
    assert_true(mir_make_parent_dirs(file, &err));
    certs_write_cert(ca, file);
    reg_bench_start(&b, server, &(struct reg_options){.tls = REG_TLS_VERIFY});
    must_get(&b);
    reg_bench_empty_home(*state);
}

/* The first folder that exists counts alone, and is what the hint speaks of. */
static void certs_d_hints_name_the_folder_and_the_options(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_scratch *named = scratch_new();
    auto_certs *leaf = leaf_of(NULL);
    auto_server *server = server_start_tls(gives, COUNT(gives), leaf);
    auto_free char *folder =
        mir_format("%s/.config/containers/certs.d/%s", dir, server_host(server));
    auto_free char *file = mir_format("%s/README", folder);
    auto_free char *in_use = mir_format("put it into %s/ca.crt; or do not verify: "
                                        "--dest-tls-verify=false",
                                        folder);
    auto_free char *in_named = mir_format("put it into %s/ca.crt; or do not verify: "
                                          "--tls-verify=false",
                                          named);
    struct reg_options options = {.tls = REG_TLS_VERIFY, .option_prefix = "dest-"};
    struct mir_error err = MIR_ERROR_INIT;
    auto_reg_bench home;
    auto_reg_bench flag;

    reg_bench_empty_home(dir);
    must(mir_make_parent_dirs(file, &err), &err);
    reg_bench_start(&home, server, &options);
    assert_false(get_manifest(&home, "v1"));
    must_have(home.err.hint, in_use);
    options.cert_dir = named;
    options.option_prefix = "";
    reg_bench_start(&flag, server, &options);
    assert_false(get_manifest(&flag, "v1"));
    must_have(flag.err.hint, in_named);
    reg_bench_empty_home(*state);
}

/* A link that leads nowhere, and a folder that is for others: nothing is trusted for them, and
 * nothing else fails. */
static void certs_d_may_hold_what_cannot_be_read(void **state)
{
    auto_scratch *dir = scratch_new();
    auto_server *server = server_start(gives, COUNT(gives));
    auto_free char *folder =
        mir_format("%s/.config/containers/certs.d/%s", dir, server_host(server));
    auto_free char *link = mir_format("%s/redhat-ca.crt", folder);
    const uid_t user = geteuid();
    struct mir_error err = MIR_ERROR_INIT;
    auto_reg_bench b;
    auto_reg_bench locked;

    reg_bench_empty_home(dir);
    must(mir_make_parent_dirs(link, &err), &err);
    assert_int_equal(symlink("/nonexistent/ca.pem", link), 0);
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    assert_true(reg_bench_said(&b, "redhat-ca.crt leads nowhere"));

    assert_int_equal(chmod(dir, 0711), 0);
    assert_int_equal(chmod(folder, 0), 0);
    assert_int_equal(seteuid(user == 0 ? 65534 : user), 0);
    reg_bench_start(&locked, server, NULL);
    if (!get_manifest(&locked, "v1"))
        print_error("%s\n", locked.err.text);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(locked.err.code, MIR_OK);
    assert_true(reg_bench_said(&locked, "may not be read"));
    reg_bench_empty_home(*state);
}

static void cert_dir_pairs_have_to_be_whole(void **state)
{
    const struct server_reply replies[] = {{.status = 200, .body = MANIFEST}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_scratch *dir = scratch_new();
    auto_free char *file = mir_format("%s/client.cert", dir);
    auto_reg_bench b;

    (void)state;
    scratch_write(file, mir_span_of("x"));
    reg_bench_start(&b, server, &(struct reg_options){.cert_dir = dir});
    assert_false(get_manifest(&b, "v1"));
    assert_int_equal(b.err.code, MIR_E_USAGE);
    must_have(b.err.text, "client.key beside it");
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
        cmocka_unit_test(scheme_is_found_out_once),
        cmocka_unit_test(scheme_is_asked_for_in_vain_once),
        cmocka_unit_test(scheme_is_asked_for_again_after_a_stop),
        cmocka_unit_test(tls_verify_takes_no_excuse),
        cmocka_unit_test(certs_d_is_found_in_the_home_folder),
        cmocka_unit_test(certs_d_hints_name_the_folder_and_the_options),
        cmocka_unit_test(certs_d_may_hold_what_cannot_be_read),
        cmocka_unit_test(cert_dir_pairs_have_to_be_whole),
    };

    return cmocka_run_group_tests_name("registry/tls", tests, set_up, tear_down);
}
