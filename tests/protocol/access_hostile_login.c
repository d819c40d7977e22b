/*
 * A registry that plays foul when it is asked how to log in, and a token service that does when it
 * is asked for a token. Each case ends, soon, with a message that says what was wrong; no secret is
 * printed at any log level, and none reaches a host that should not have it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/certs.h"
#include "lib/login.h"
#include "lib/secrets.h"

#define PATIENCE_MS 2000 /* with whoever hangs; enough for all others on a busy machine */
#define PASSWORD    "p@ss/w0rd \"hush\""
#define CREDS       "me:" PASSWORD
#define TOKEN       "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2VjcmV0"
#define IDENTITY    "identity-of-me"
#define SHORT       "tok-short" /* short enough for a parser to quote it */

static void know_secrets(struct secrets *secrets)
{
    secrets_add_login(secrets, "me", PASSWORD);
    secrets_add(secrets, TOKEN);
    secrets_add(secrets, IDENTITY);
    secrets_add(secrets, SHORT);
}

/* What a case ends with. */
struct ending {
    const char *label;
    enum mir_code code;
    const char *says;    /* in the error */
    const char *hints;   /* in the hint, or NULL */
    size_t requests_max; /* of all servers */
};

static void judge(const struct ending *ending, struct reg_bench *b, struct server *server)
{
    size_t requests = server_count(server, NULL, NULL);
    auto_secrets secrets = {.count = 0};

    know_secrets(&secrets);
    if (b->err.code != ending->code || !strstr(b->err.text, ending->says) ||
        (ending->hints && !strstr(b->err.hint, ending->hints)))
        fail_msg("%s: %d %s (%s)", ending->label, b->err.code, b->err.text, b->err.hint);
    if (requests > ending->requests_max)
        fail_msg("%s: %zu requests", ending->label, requests);
    must_keep_secrets(&secrets, b);
}

/* One case of a table: the replies are tried, with a password, and nobody is let in. */
static void try_replies(const struct ending *ending, const struct server_reply *replies,
                        size_t count)
{
    auto_server *server = server_start(replies, count);
    auto_reg_bench b;

    reg_bench_start(&b, server,
                    &(struct reg_options){.creds = CREDS, .stall_timeout_ms = PATIENCE_MS});
    if (get_manifest(&b))
        fail_msg("%s: let in", ending->label);
    judge(ending, &b, server);
}

/* ---- challenges ---------------------------------------------------------------------------- */

/* text, n times, between two others. The caller frees. */
static char *repeat(const char *before, const char *text, size_t n, const char *after)
{
    struct mir_buf out;

    mir_buf_init(&out, SIZE_MAX / 2);
    mir_buf_text(&out, before);
    for (size_t i = 0; i < n; i++)
        mir_buf_text(&out, text);
    mir_buf_text(&out, after);
    return mir_buf_take(&out);
}

#define REALM "Bearer realm=\"http://{host}/token\""

/* Over a limit: nothing of it counts, and nobody is asked for a token. */
static void challenge_bombs_are_refused(void **state)
{
    const struct {
        struct ending ending;
        const char *text;
        size_t times;
        const char *after;
    } rows[] = {
        {{"10^4 parameters", MIR_E_AUTH, "WWW-Authenticate: over 16384 bytes", "is 127.0.0.1:", 1},
         ",a=\"b\"",
         10000,
         ""},
        {{"10^3 parameters", MIR_E_AUTH, "WWW-Authenticate: over 64 parameters",
          "is 127.0.0.1:", 1},
         ",a=b",
         1000,
         ""},
        {{"10^4 quotes", MIR_E_AUTH, "WWW-Authenticate: over 16384 bytes", NULL, 1},
         ",\"\"",
         10000,
         ""},
        {{"a scope of 20 KiB", MIR_E_AUTH, "WWW-Authenticate: over 16384 bytes", NULL, 1},
         "x",
         20 << 10,
         "\""},
        {{"1 MiB", MIR_E_LIMIT, "a header of the answer is too long", NULL, 1}, "a", 1 << 20, ""},
        {{"a million commas", MIR_E_LIMIT, "a header of the answer is too long", NULL, 1},
         ",",
         1000000,
         ""},
        {{"10^4 headers", MIR_E_LIMIT, "the header of the answer is too long", NULL, 1},
         "\r\nWWW-Authenticate: Basic realm=\"x\"",
         10000,
         ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *end = mir_format("%s\r\n", rows[i].after);
        auto_free char *header =
            repeat(i == 3 ? "WWW-Authenticate: " REALM ",scope=\"" : "WWW-Authenticate: " REALM,
                   rows[i].text, rows[i].times, end);
        const struct server_reply replies[] = {{.status = 401, .headers = header}};

        try_replies(&rows[i].ending, replies, COUNT(replies));
    }
}

/* Where there is no place to ask for a token, none is asked for. */
static void realms_that_are_no_place_are_refused(void **state)
{
    const struct {
        struct ending ending;
        const char *challenge;
    } rows[] = {
        {{"a file", MIR_E_PROTOCOL, "only http and https are followed", NULL, 1},
         "Bearer realm=\"file:///etc/passwd\""},
        {{"ftp", MIR_E_PROTOCOL, "only http and https are followed", NULL, 1},
         "Bearer realm=\"ftp://{host}/token\""},
        {{"a script", MIR_E_PROTOCOL, "realm: ", NULL, 1}, "Bearer realm=\"javascript:alert(1)\""},
        {{"credentials inside", MIR_E_PROTOCOL, "credentials inside is not followed", NULL, 1},
         "Bearer realm=\"http://me:"
         "x@{host}/token\""},
        {{"a tab inside", MIR_E_PROTOCOL, "no valid URL", NULL, 1},
         "Bearer realm=\"http://{host}/to\tken\""},
        {{"no port", MIR_E_PROTOCOL, "no valid URL", NULL, 1},
         "Bearer realm=\"http://127.0.0.1:99999/token\""},
        {{"no host", MIR_E_PROTOCOL, "realm: ", NULL, 1}, "Bearer realm=\"http://\""},
        {{"nothing", MIR_E_AUTH, "no word on how to log in", NULL, 1}, "Bearer realm=\"\""},
        {{"a quote that never ends", MIR_E_AUTH, "no word on how to log in", "something in front",
          1},
         "Bearer realm=\"http://{host}/token"},
        {{"an escaped end", MIR_E_AUTH, "no word on how to log in", NULL, 1},
         "Bearer realm=\"http://{host}/token\\\""},
        {{"schemes nobody knows", MIR_E_AUTH, "no word on how to log in", NULL, 1},
         "Negotiate YII=, NTLM, Digest realm=\"x\", Foo"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *header = mir_format("WWW-Authenticate: %s\r\n", rows[i].challenge);
        const struct server_reply replies[] = {
            {.path = "/token*", .status = 200, .body = "{\"token\":\"" TOKEN "\"}"},
            {.status = 401, .headers = header}};

        try_replies(&rows[i].ending, replies, COUNT(replies));
    }
}

/* What could be read before the fault is used, as other clients do. */
static void faults_behind_the_realm_do_no_harm(void **state)
{
    static const char *const rows[] = {REALM ",scope=\"never ends", REALM ",=\"x\"", REALM " \x01",
                                       REALM ";service=\"x\"", REALM ", Basic realm=\"x"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *header = mir_format("WWW-Authenticate: %s\r\n", rows[i]);
        const struct server_reply replies[] = {
            {.path = "/token*", .status = 200, .body = "{\"token\":\"" TOKEN "\"}"},
            LET_IN(TOKEN),
            {.status = 401, .headers = header}};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!get_manifest(&b))
            fail_msg("%s: %s", rows[i], b.err.text);
    }
}

/* ---- where credentials go ------------------------------------------------------------------ */

/* From a registry with TLS to a realm without: neither password nor identity token; as nobody it
 * may be asked. */
static void realm_without_tls_gets_no_secret(void **state)
{
    static const struct {
        const char *label;
        const char *entry; /* of the auth file */
        bool let_in;
    } rows[] = {
        {"a password", "{\"auth\":\"bWU6cEBzcy93MHJkICJodXNoIg==\"}", false},
        {"an identity token", "{\"identitytoken\":\"" IDENTITY "\"}", false},
        {"nobody", "{}", true},
    };
    const struct server_reply plain[] = {{.status = 200, .body = "{\"token\":\"" TOKEN "\"}"}};
    auto_certs *leaf = certs_new(
        &(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10}, NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *realm = server_start(plain, COUNT(plain));
        auto_free char *challenge =
            mir_format("WWW-Authenticate: Bearer realm=\"%s/token\"\r\n", server_url(realm));
        const struct server_reply replies[] = {LET_IN(TOKEN),
                                               {.status = 401, .headers = challenge}};
        const struct ending ending = {rows[i].label, MIR_E_AUTH,
                                      "not https: the credentials stay here", "over https", 1};
        auto_server *server = server_start_tls(replies, COUNT(replies), leaf);
        auto_scratch *dir = scratch_new();
        auto_free char *file = mir_format("%s/auth.json", dir);
        auto_secrets secrets = {.count = 0};
        auto_reg_bench b;

        know_secrets(&secrets);
        write_auth_file(file, server_host(server), rows[i].entry);
        reg_bench_start(&b, server, &(struct reg_options){.authfile = file});
        if (get_manifest(&b) != rows[i].let_in)
            fail_msg("%s: %s", rows[i].label, b.err.text);
        must_not_reach(&secrets, realm);
        if (!rows[i].let_in)
            judge(&ending, &b, server);
    }
}

/* A token service that leads on to another host: a password by GET stays, what would go by POST is
 * not sent at all. */
static void realm_that_leads_elsewhere_takes_no_secret_along(void **state)
{
    static const struct {
        struct ending ending;
        const char *creds;
        int get_status; /* of the realm's answer to GET; POST leads elsewhere */
    } rows[] = {
        {{"GET", MIR_E_PROTOCOL, "418", NULL, 2}, CREDS, 307},
        {{"POST of a password", MIR_E_PROTOCOL, "redirect to another host is not followed", NULL,
          3},
         CREDS,
         405},
        {{"POST of an identity token", MIR_E_PROTOCOL, "redirect to another host is not followed",
          NULL, 2},
         NULL,
         405},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *other = server_start(NULL, 0);
        auto_free char *away = mir_format("Location: %s/token\r\n", server_url(other));
        const struct server_reply replies[] = {
            {.method = "GET", .path = "/token*", .status = rows[i].get_status, .headers = away},
            {.method = "POST", .path = "/token", .status = 307, .headers = away},
            REFUSE_OTHERS};
        auto_server *server = server_start(replies, COUNT(replies));
        auto_scratch *dir = scratch_new();
        auto_free char *file = mir_format("%s/auth.json", dir);
        struct reg_options options = {.creds = rows[i].creds};
        auto_secrets secrets = {.count = 0};
        auto_reg_bench b;

        know_secrets(&secrets);
        write_auth_file(file, server_host(server), "{\"identitytoken\":\"" IDENTITY "\"}");
        if (!rows[i].creds)
            options.authfile = file;
        reg_bench_start(&b, server, &options);
        assert_false(get_manifest(&b));
        judge(&rows[i].ending, &b, server);
        must_not_reach(&secrets, other);
        assert_int_equal(server_count(other, NULL, NULL), i == 0 ? 1 : 0);
    }
}

/* The cookies of a token service, and of the registry, stay in the jar nobody has. */
static void cookies_of_a_login_never_come_back(void **state)
{
    const struct server_reply replies[] = {
        {.path = "/token*",
         .status = 200,
         .headers = "Set-Cookie: sid=crumb; Path=/\r\n",
         .body = "{\"token\":\"" TOKEN "\",\"expires_in\":1}"},
        LET_IN(TOKEN),
        {.path = "/v2/*", .status = 401, .headers = BEARER "Set-Cookie: sid=crumb; Path=/\r\n"}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_reg_bench b;

    (void)state;
    reg_bench_start(&b, server, NULL);
    must_get(&b);
    fake_clock_advance(&b.clock, 2000);
    must_get(&b);
    assert_false(server_was_told(server, "crumb"));
    assert_false(server_was_told(server, "Cookie"));
}

/* ---- what a token service answers ----------------------------------------------------------- */

static void answers_that_are_no_tokens_are_refused(void **state)
{
    auto_free char *mib = repeat("{\"token\":\"", "x", 1 << 20, "\"}");
    auto_free char *large = repeat("{\"token\":\"", "x", 100 << 10, "\"}");
    auto_free char *deep = repeat("", "[", 100000, "");
    const struct {
        struct ending ending;
        struct server_reply answer;
    } rows[] = {
        {{"a token of 1 MiB", MIR_E_LIMIT, "1048588 bytes are over the limit", NULL, 2},
         {.status = 200, .body = mib}},
        {{"one of 100 KiB", MIR_E_PROTOCOL, "no usable token", NULL, 2},
         {.status = 200, .body = large}},
        {{"without end", MIR_E_LIMIT, "over the limit of 262144 bytes", NULL, 2},
         {.status = 200, .body = "{\"token\":\"x", .fault = SERVER_FAULT_ENDLESS}},
        {{"deep", MIR_E_PROTOCOL, "no valid JSON", NULL, 2}, {.status = 200, .body = deep}},
        {{"cut in the token", MIR_E_PROTOCOL, "no valid JSON", NULL, 2},
         {.status = 200, .body = "{\"token\":\"" TOKEN}},
        {{"a colon left out", MIR_E_PROTOCOL, "no valid JSON", NULL, 2},
         {.status = 200, .body = "{\"token\" \"" SHORT "\"}"}},
        {{"a token alone", MIR_E_PROTOCOL, "no valid JSON", NULL, 2},
         {.status = 200, .body = TOKEN}},
        {{"a token twice", MIR_E_PROTOCOL, "no valid JSON", NULL, 2},
         {.status = 200, .body = "{\"token\":\"x\",\"token\":\"" TOKEN "\"}"}},
        {{"a list", MIR_E_PROTOCOL, "no usable token", NULL, 2},
         {.status = 200, .body = "[\"" TOKEN "\"]"}},
        {{"a token in a list", MIR_E_PROTOCOL, "no usable token", NULL, 2},
         {.status = 200, .body = "{\"token\":[\"" TOKEN "\"]}"}},
        {{"a line break", MIR_E_PROTOCOL, "no usable token", NULL, 2},
         {.status = 200, .body = "{\"token\":\"x\\r\\nX-Evil: y\"}"}},
        {{"a zero byte", MIR_E_PROTOCOL, "no valid JSON", NULL, 2},
         {.status = 200, .body = "{\"token\":\"x\0y\"}", .body_len = 15}},
        {{"an escaped zero byte", MIR_E_PROTOCOL, "no valid JSON", NULL, 2},
         {.status = 200, .body = "{\"token\":\"x\\u0000y\"}"}},
        {{"a blank", MIR_E_PROTOCOL, "no usable token", NULL, 2},
         {.status = 200, .body = "{\"token\":\"x y\"}"}},
        {{"no ASCII", MIR_E_PROTOCOL, "no usable token", NULL, 2},
         {.status = 200, .body = "{\"token\":\"\xc3\xbc\"}"}},
        {{"nothing", MIR_E_PROTOCOL, "no valid JSON", NULL, 2}, {.status = 200}},
        {{"a page", MIR_E_PROTOCOL, "no valid JSON", NULL, 2},
         {.status = 200, .body = "<html>log in</html>"}},
        {{"no content", MIR_E_PROTOCOL, "204", NULL, 2}, {.status = 204}},
        {{"a redirect to nowhere", MIR_E_PROTOCOL, "302", NULL, 2}, {.status = 302}},
        {{"in circles", MIR_E_PROTOCOL, "more than 8 redirects", NULL, 10},
         {.status = 302, .headers = "Location: /token\r\n"}},
        {{"to a file", MIR_E_PROTOCOL, "only http and https", NULL, 2},
         {.status = 302, .headers = "Location: file:///etc/passwd\r\n"}},
        {{"silence", MIR_E_NETWORK, "token for 127.0.0.1:", NULL, 2},
         {.status = 200, .body = "{\"token\":", .fault = SERVER_FAULT_STALL}},
        {{"hanging in the middle", MIR_E_NETWORK, "token for 127.0.0.1:", NULL, 2},
         {.status = 200, .body = "{\"token\":", .fault = SERVER_FAULT_STALL, .fault_at = 5}},
        {{"no answer", MIR_E_NETWORK, "token for 127.0.0.1:", NULL, 3},
         {.status = 200, .fault = SERVER_FAULT_SILENCE}},
        {{"less than it says", MIR_E_NETWORK, "token for 127.0.0.1:", NULL, 2},
         {.status = 200,
          .body = "{\"token\":\"" TOKEN "\"}",
          .fault = SERVER_FAULT_CUT,
          .fault_at = 12}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct server_reply replies[] = {rows[i].answer, REFUSE_OTHERS};

        replies[0].path = "/token*";
        try_replies(&rows[i].ending, replies, COUNT(replies));
    }
}

/* Its words are shown, and what it was sent is not, however it spells it. */
static void refusals_that_repeat_the_password_are_shown_without(void **state)
{
    static const struct {
        const char *label;
        const char *body;
    } rows[] = {
        {"plain text", "no such user: me with " PASSWORD},
        {"JSON", "{\"details\":\"no such user: me with p@ss/w0rd \\\"hush\\\"\"}"},
        {"JSON with escapes",
         "{\"details\":\"no such user: me with \\u0070@ss\\/w0rd \\\"hush\\\"\"}"},
        {"base64", "{\"details\":\"no such user: Basic bWU6cEBzcy93MHJkICJodXNoIg==\"}"},
        {"a query", "no such user: user=me&password=p%40ss/w0rd%20%22hush%22"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply replies[] = {
            {.path = "/token*", .status = 401, .body = rows[i].body}, REFUSE_OTHERS};
        const struct ending ending = {rows[i].label, MIR_E_AUTH, "401 Unauthorized: no such user",
                                      "command line were refused", 2};

        try_replies(&ending, replies, COUNT(replies));
    }
}

/* ---- without end --------------------------------------------------------------------------- */

/* Whatever it asks for next, there are few rounds. */
static void registry_that_is_never_content_ends(void **state)
{
    enum { TURNS = 12 };
    static const char *const wants[] = {
        "Bearer realm=\"http://{host}/token\"", /* the same again and again */
        "Bearer realm=\"http://{host}/token%d\"",
        "Bearer realm=\"http://{host}/token\",service=\"%d\"",
        "Bearer realm=\"http://{host}/token\",scope=\"repository:a/b%d:pull\"",
        "Basic realm=\"%d\"",
    };

    (void)state;
    for (size_t w = 0; w < COUNT(wants); w++) {
        struct server_reply replies[TURNS + 2] = {
            {.path = "/token*", .status = 200, .body = "{\"token\":\"" TOKEN "\"}"}};
        char *headers[TURNS];
        const struct ending ending = {wants[w], MIR_E_AUTH, "401 Unauthorized", "were refused", 10};

        for (int i = 0; i < TURNS; i++) {
            auto_free char *number = mir_format("%d", i);
            const char *gap = strstr(wants[w], "%d");

            headers[i] = gap ? mir_format("WWW-Authenticate: %.*s%s%s\r\n", (int)(gap - wants[w]),
                                          wants[w], number, gap + 2)
                             : mir_format("WWW-Authenticate: %s\r\n", wants[w]);
            replies[i + 1] =
                (struct server_reply){.times = 1, .status = 401, .headers = headers[i]};
        }
        replies[TURNS + 1] = (struct server_reply){.status = 200, .body = MANIFEST};
        try_replies(&ending, replies, COUNT(replies));
        for (int i = 0; i < TURNS; i++)
            free(headers[i]);
    }
}

/* The realm is the registry itself, which wants a token for that. */
static void realm_that_wants_a_token_ends(void **state)
{
    const struct server_reply replies[] = {
        {.status = 401,
         .headers =
             "WWW-Authenticate: Bearer realm=\"http://{host}/v2/team/app/manifests/v1\"\r\n"}};
    const struct ending ending = {"the registry itself", MIR_E_AUTH,
                                  "token from http://127.0.0.1:", "command line were refused", 2};

    (void)state;
    try_replies(&ending, replies, COUNT(replies));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenge_bombs_are_refused),
        cmocka_unit_test(realms_that_are_no_place_are_refused),
        cmocka_unit_test(faults_behind_the_realm_do_no_harm),
        cmocka_unit_test(realm_without_tls_gets_no_secret),
        cmocka_unit_test(realm_that_leads_elsewhere_takes_no_secret_along),
        cmocka_unit_test(cookies_of_a_login_never_come_back),
        cmocka_unit_test(answers_that_are_no_tokens_are_refused),
        cmocka_unit_test(refusals_that_repeat_the_password_are_shown_without),
        cmocka_unit_test(registry_that_is_never_content_ends),
        cmocka_unit_test(realm_that_wants_a_token_ends),
    };

    return cmocka_run_group_tests_name("access/hostile_login", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
