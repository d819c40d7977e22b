/*
 * Tokens among many workers: one question for all of them, for each repository, each time one runs
 * out; a failure and Ctrl-C are for all of them too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/login.h"

#define WORKERS 8

struct worker {
    struct reg_bench *bench;
    struct reg_session *session; /* kept from round to round */
    const char *repo;
    int times;
    pthread_t thread;
    bool ok;
    struct mir_error err;
};

static void *work(void *ctx)
{
    struct worker *w = ctx;
    const struct reg_repo repo = {.host = w->bench->repo.host, .name = w->repo};

    w->ok = true;
    for (int i = 0; i < w->times && w->ok; i++) {
        struct reg_manifest manifest = {.bytes = NULL};

        w->ok = reg_manifest_get(w->session, &repo, "v1", &manifest, &w->err);
        reg_manifest_release(&manifest);
    }
    return NULL;
}

static void hire(struct worker workers[WORKERS], struct reg_bench *b)
{
    for (size_t i = 0; i < WORKERS; i++)
        workers[i] = (struct worker){
            .bench = b, .session = reg_session_new(b->client), .repo = "team/app", .times = 5};
}

/* All at the same time, until all are done. */
static void run(struct worker workers[WORKERS])
{
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

static void must_all(const struct worker workers[WORKERS])
{
    for (size_t i = 0; i < WORKERS; i++)
        must(workers[i].ok, &workers[i].err);
}

static void dismiss(struct worker workers[WORKERS])
{
    for (size_t i = 0; i < WORKERS; i++)
        reg_session_free(workers[i].session);
}

static void token_shares_one_token_among_threads(void **state)
{
    const struct server_reply rows[] = {TOKEN_SERVER};
    auto_server *server = server_start(rows, COUNT(rows));
    struct worker workers[WORKERS];
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    hire(workers, &b);
    run(workers);
    must_all(workers);
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), 1);
    dismiss(workers);
}

static void token_shares_a_failure_among_threads(void **state)
{
    const struct server_reply replies[] = {{.path = "/token*", .status = 403, .body = "closed"},
                                           {.status = 401, .headers = BEARER}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct worker workers[WORKERS];
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    hire(workers, &b);
    run(workers);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_false(workers[i].ok);
        assert_int_equal(workers[i].err.code, MIR_E_AUTH);
        must_have(workers[i].err.text, "closed");
    }
    dismiss(workers);
}

static void token_ends_for_all_threads_when_cancelled(void **state)
{
    struct server_reply replies[] = {{.path = "/token*",
                                      .status = 200,
                                      .body = "{}",
                                      .fault = SERVER_FAULT_STALL,
                                      .fault_at = 1},
                                     {.status = 401, .headers = BEARER}};
    auto_server *server = NULL;
    auto_server *never = server_start(NULL, 0);
    struct worker workers[WORKERS];
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, never, &(struct reg_options){.retry_times = 5});
    replies[0].cancel = &b.cancel;
    server = server_start(replies, COUNT(replies));
    b.repo.host = server_host(server);
    hire(workers, &b);
    run(workers);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_false(workers[i].ok);
        assert_int_equal(workers[i].err.code, MIR_E_CANCELLED);
    }
    assert_int_equal(server_count(server, NULL, "/token*"), 1);
    dismiss(workers);
}

#define ROUNDS 40

/* Tokens of 2 s, and time that passes between the rounds: each round asks once for each of two
 * repositories, whoever comes first. */
static void token_is_asked_for_once_each_time_it_runs_out(void **state)
{
    static const char two[] = "/token?service=reg&scope=repository:team/two:pull";
    const struct server_reply replies[] = {
        {.path = PULL_TOKEN, .status = 200, .body = "{\"token\":\"tok-app\",\"expires_in\":2}"},
        {.path = two, .status = 200, .body = "{\"token\":\"tok-two\",\"expires_in\":2}"},
        {.path = "/v2/team/app/*", .needs = "Bearer tok-app", .status = 200, .body = MANIFEST},
        {.path = "/v2/team/two/*", .needs = "Bearer tok-two", .status = 200, .body = MANIFEST},
        {.status = 401,
         .headers = "WWW-Authenticate: Bearer realm=\"/token\",service=\"reg\"\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    struct worker workers[WORKERS];
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    hire(workers, &b);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].repo = i % 2 == 0 ? "team/app" : "team/two";
        workers[i].times = 2;
    }
    for (int round = 0; round < ROUNDS; round++) {
        run(workers);
        must_all(workers);
        fake_clock_advance(&b.clock, 2000);
    }
    assert_int_equal(server_count(server, NULL, PULL_TOKEN), ROUNDS);
    assert_int_equal(server_count(server, NULL, two), ROUNDS);
    dismiss(workers);
}

/* Nobody is let in, and the service would give out tokens for ever. */
static void token_that_is_refused_costs_the_workers_one_question(void **state)
{
    const struct server_reply replies[] = {{.path = "/token*", GIVES("tok-poor")}, REFUSE_OTHERS};
    auto_server *server = server_start(replies, COUNT(replies));
    struct worker workers[WORKERS];
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    hire(workers, &b);
    run(workers);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_false(workers[i].ok);
        assert_int_equal(workers[i].err.code, MIR_E_AUTH);
    }
    /* Those who began before it was refused may ask once more, most of them together. */
    assert_true(server_count(server, NULL, "/token*") < WORKERS);
    dismiss(workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_shares_one_token_among_threads),
        cmocka_unit_test(token_shares_a_failure_among_threads),
        cmocka_unit_test(token_ends_for_all_threads_when_cancelled),
        cmocka_unit_test(token_is_asked_for_once_each_time_it_runs_out),
        cmocka_unit_test(token_that_is_refused_costs_the_workers_one_question),
    };

    return cmocka_run_group_tests_name("registry/token_threads", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
