/*
 * serve: users and passwords. Who may come in, who not, and who has to wait for whom.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "lib/scratch.h"
#include "lib/serve_bench.h"

#define COST_FAST 4
#define COST_SLOW 11 /* about a tenth of a second */
#define PASSWORD  "correct horse"
#define GUESSES   6

static void write_users(const struct serve_bench *b, const char *user, const char *password,
                        unsigned long cost)
{
    auto_free char *line = serve_bench_user(user, password, cost);

    scratch_write(b->options.htpasswd, mir_span_of(line));
}

struct locked {
    struct serve_bench bench;
    char *path;
};

static void begin(struct locked *l, unsigned long cost)
{
    serve_bench_init(&l->bench);
    l->path = mir_format("%s/users", l->bench.dir);
    l->bench.options.htpasswd = l->path;
    write_users(&l->bench, "pilot", PASSWORD, cost);
    serve_bench_start(&l->bench);
}

static void end(struct locked *l)
{
    serve_bench_release(&l->bench);
    free(l->path);
}
#define auto_locked __attribute__((cleanup(end))) struct locked

static char *authorization(const char *scheme, const char *pair, size_t len)
{
    auto_free char *text = mir_base64_encode(mir_span(pair, len));

    return mir_format("Authorization: %s %s\r\n", scheme, text);
}

static unsigned status_with(const struct locked *l, const char *target, const char *headers)
{
    auto_reply reply = {.status = 0};

    serve_ask(l->bench.port, "GET", target, headers, &reply);
    return reply.status;
}

static unsigned status_of_pair(const struct locked *l, const char *pair)
{
    auto_free char *headers = authorization("Basic", pair, strlen(pair));

    return status_with(l, "/v2/", headers);
}

/* ---- who may come in ---- */

struct pair_row {
    const char *label, *scheme, *pair;
    size_t len; /* 0: that of the string */
    unsigned status;
};

static const struct pair_row pair_rows[] = {
    {"right", "Basic", "pilot:" PASSWORD, 0, 200},
    {"right again", "Basic", "pilot:" PASSWORD, 0, 200},
    {"scheme in lower case", "basic", "pilot:" PASSWORD, 0, 200},
    {"wrong password", "Basic", "pilot:wrong", 0, 401},
    {"password that begins right", "Basic", "pilot:correct", 0, 401},
    {"password with more behind", "Basic", "pilot:" PASSWORD " ", 0, 401},
    {"no password", "Basic", "pilot:", 0, 401},
    {"no colon", "Basic", "pilot", 0, 401},
    {"another user", "Basic", "copilot:" PASSWORD, 0, 401},
    {"no user", "Basic", ":" PASSWORD, 0, 401},
    {"user in upper case", "Basic", "PILOT:" PASSWORD, 0, 401},
    {"a NUL behind", "Basic", "pilot:" PASSWORD "\0x", sizeof("pilot:" PASSWORD "\0x") - 1, 401},
    {"another scheme", "Bearer", "pilot:" PASSWORD, 0, 401},
    {"nothing", "Basic", "", 0, 401},
};

static void only_users_come_in(void **state)
{
    auto_locked l;

    (void)state;
    begin(&l, COST_FAST);
    for (size_t i = 0; i < sizeof(pair_rows) / sizeof(pair_rows[0]); i++) {
        const struct pair_row *row = &pair_rows[i];
        auto_free char *headers =
            authorization(row->scheme, row->pair, row->len > 0 ? row->len : strlen(row->pair));
        unsigned status = status_with(&l, "/v2/team/app/manifests/1", headers);

        if (status != row->status)
            fail_msg("%s: %u", row->label, status);
    }
    assert_int_equal(status_with(&l, "/v2/", "Authorization: Basic ****\r\n"), 401);
    assert_int_equal(status_with(&l, "/v2/", "Authorization:\r\n"), 401);
    assert_int_equal(status_with(&l, "/healthz", ""), 200);
    assert_false(serve_bench_said(&l.bench, PASSWORD));
}

static void strangers_are_asked_who_they_are(void **state)
{
    static const char *const targets[] = {"/v2/", "/v2/_catalog", "/v2/team/app/tags/list",
                                          "/v2/team/app/manifests/1", "/v2/no/such/manifests/1"};
    auto_locked l;

    (void)state;
    begin(&l, COST_FAST);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        auto_reply reply = {.status = 0};
        auto_free char *challenge = NULL, *code = NULL;

        serve_ask(l.bench.port, "GET", targets[i], "", &reply);
        challenge = serve_reply_header(&reply, "WWW-Authenticate");
        code = serve_reply_code(&reply);
        assert_int_equal(reply.status, 401);
        assert_string_equal(challenge, "Basic realm=\"mirror\"");
        assert_string_equal(code, "UNAUTHORIZED");
    }
}

static void reload_forgets_old_passwords(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_locked l;

    (void)state;
    begin(&l, COST_FAST);
    assert_int_equal(status_of_pair(&l, "pilot:" PASSWORD), 200);
    write_users(&l.bench, "pilot", "another", COST_FAST);
    assert_int_equal(status_of_pair(&l, "pilot:" PASSWORD), 200);
    assert_true(serve_reload(l.bench.server, &err));
    assert_int_equal(status_of_pair(&l, "pilot:" PASSWORD), 401);
    assert_int_equal(status_of_pair(&l, "pilot:another"), 200);
    scratch_write(l.path, mir_span_of("pilot:plain\n"));
    assert_false(serve_reload(l.bench.server, &err));
    assert_non_null(strstr(err.text, "line 1"));
    assert_int_equal(status_of_pair(&l, "pilot:another"), 200);
}

/* ---- who has to wait ---- */

/* Requests with wrong passwords, which take the server a while each. */
static void send_guesses(const struct locked *l, int fds[GUESSES])
{
    for (int i = 0; i < GUESSES; i++) {
        auto_free char *pair = mir_format("pilot:guess %d", i);
        auto_free char *header = authorization("Basic", pair, strlen(pair));
        auto_free char *request = mir_format("GET /v2/ HTTP/1.1\r\nHost: x\r\n%s\r\n", header);

        fds[i] = serve_dial(l->bench.port);
        serve_send(fds[i], request);
    }
}

static size_t count_answered(const int fds[GUESSES])
{
    size_t count = 0;
    char c;

    for (int i = 0; i < GUESSES; i++)
        count += recv(fds[i], &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    return count;
}

static void close_all(const int fds[GUESSES])
{
    for (int i = 0; i < GUESSES; i++)
        (void)close(fds[i]);
}

static void who_is_known_does_not_wait_for_guesses(void **state)
{
    auto_locked l;
    int fds[GUESSES];

    (void)state;
    begin(&l, COST_SLOW);
    assert_int_equal(status_of_pair(&l, "pilot:" PASSWORD), 200);
    send_guesses(&l, fds);
    assert_int_equal(status_of_pair(&l, "pilot:" PASSWORD), 200);
    assert_true(count_answered(fds) < GUESSES);
    for (int i = 0; i < GUESSES; i++) {
        auto_reply reply = {.status = 0};

        serve_read_reply(fds[i], true, &reply);
        assert_int_equal(reply.status, 401);
    }
    close_all(fds);
}

static void a_server_can_end_while_passwords_wait(void **state)
{
    auto_locked l;
    int fds[GUESSES];

    (void)state;
    begin(&l, COST_SLOW);
    send_guesses(&l, fds);
    assert_int_equal(status_with(&l, "/healthz", ""), 200);
    serve_bench_stop(&l.bench);
    close_all(fds);
}

static void a_client_may_go_while_its_password_waits(void **state)
{
    auto_locked l;
    int fds[GUESSES];

    (void)state;
    begin(&l, COST_SLOW);
    send_guesses(&l, fds);
    close_all(fds);
    assert_int_equal(status_of_pair(&l, "pilot:" PASSWORD), 200);
}

static void a_file_that_is_none_is_said_at_the_start(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_serve_bench b;
    auto_free char *path = NULL;
    struct serve_server *server;

    (void)state;
    serve_bench_init(&b);
    path = mir_format("%s/users", b.dir);
    b.options.htpasswd = path;
    assert_false(serve_start(&b.options, &server, &err));
    assert_int_equal(err.code, MIR_E_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_users_come_in),
        cmocka_unit_test(strangers_are_asked_who_they_are),
        cmocka_unit_test(reload_forgets_old_passwords),
        cmocka_unit_test(who_is_known_does_not_wait_for_guesses),
        cmocka_unit_test(a_server_can_end_while_passwords_wait),
        cmocka_unit_test(a_client_may_go_while_its_password_waits),
        cmocka_unit_test(a_file_that_is_none_is_said_at_the_start),
    };

    return cmocka_run_group_tests_name("serve/login", tests, NULL, NULL);
}
