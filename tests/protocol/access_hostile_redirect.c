/*
 * A registry that sends us elsewhere: to other hosts, out of TLS, in circles, to what is no place.
 * Whatever it says, credentials stay at home, and no secret is printed at any log level.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/certs.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/secrets.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BODY         "0123456789abcdefghijklmnopqrstuvwxyz"
#define MANIFEST     "{\"schemaVersion\":2}"
#define PASSWORD     "p@ss/w0rd hush"
#define CREDS        "me:" PASSWORD
#define COOKIE       "Set-Cookie: sid=crumb; Path=/; Domain=127.0.0.1\r\n"

/* ---- what is asked of a registry ----------------------------------------------------------- */

enum deed {
    GET_MANIFEST,
    FIND_MANIFEST,
    PUT_MANIFEST,
    GET_BLOB,
    FIND_BLOB,
    START_UPLOAD,
    PUT_BLOB,
    RELAY_FROM, /* it is the source */
    RELAY_TO,
    DEEDS
};

static const struct {
    const char *label;
    const char *method; /* of the request that is sent elsewhere */
    const char *path;
} deeds[DEEDS] = {
    [GET_MANIFEST] = {"GET of a manifest", "GET", "/v2/team/app/manifests/v1"},
    [FIND_MANIFEST] = {"HEAD of a manifest", "HEAD", "/v2/team/app/manifests/v1"},
    [PUT_MANIFEST] = {"PUT of a manifest", "PUT", "/v2/team/app/manifests/v1"},
    [GET_BLOB] = {"GET of a blob", "GET", "/v2/team/app/blobs/*"},
    [FIND_BLOB] = {"HEAD of a blob", "HEAD", "/v2/team/app/blobs/*"},
    [START_UPLOAD] = {"POST of an upload", "POST", "/v2/team/app/blobs/uploads/"},
    [PUT_BLOB] = {"PUT of a blob", "PUT", "/up?*"},
    [RELAY_FROM] = {"GET of a relay", "GET", "/v2/team/app/blobs/*"},
    [RELAY_TO] = {"PUT of a relay", "PUT", "/up?*"},
};

static bool get_manifest(struct reg_bench *b)
{
    struct reg_manifest manifest = {.bytes = NULL};
    bool ok = reg_manifest_get(b->session, &b->repo, "v1", &manifest, &b->err);

    reg_manifest_release(&manifest);
    return ok;
}

static bool put_blob(struct reg_bench *b)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    enum reg_put_outcome outcome;

    b->content = mir_span_of(BODY);
    return reg_blob_put(b->session, &b->repo, &blob, NULL, &b->blob_source, &outcome, &b->err);
}

static bool get_blob(struct reg_bench *b)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);

    mir_buf_clear(&b->got);
    return reg_blob_get(b->session, &b->repo, &blob, 0, NULL, &b->blob_sink, &b->err) &&
           strcmp(b->got.ptr, BODY) == 0;
}

/* Between the bench and an honest registry, either way round. */
static bool relay(struct reg_bench *b, bool bench_is_source)
{
    static const struct server_reply honest[] = {
        {.method = "GET", .status = 200, .body = BODY, .ranges = true},
        {.method = "POST", .status = 202, .headers = "Location: /up\r\n"},
        {.method = "PUT", .status = 201}};
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    auto_server *server = server_start(honest, COUNT(honest));
    enum reg_put_outcome outcome;
    struct reg_bench *from = b, *to = b;
    auto_reg_bench other;
    bool ok;

    reg_bench_start(&other, server, NULL);
    *(bench_is_source ? &to : &from) = &other;
    ok = reg_blob_relay(from->session, &from->repo, to->session, &to->repo, &blob, NULL, NULL, NULL,
                        &outcome, &b->err);
    /* What one side is told, the other may say. */
    mir_buf_add(&b->log, mir_buf_span(&other.log));
    return ok;
}

static bool run_deed(struct reg_bench *b, enum deed deed)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);
    struct reg_found manifest;
    bool found;

    mir_error_clear(&b->err);
    switch (deed) {
    case GET_MANIFEST:
        return get_manifest(b);
    case FIND_MANIFEST:
        return reg_manifest_find(b->session, &b->repo, "v1", &manifest, &b->err);
    case PUT_MANIFEST:
        return reg_manifest_put(b->session, &b->repo, "v1", "application/json",
                                mir_span_of(MANIFEST), &b->err);
    case GET_BLOB:
        return get_blob(b);
    case FIND_BLOB:
        return reg_blob_find(b->session, &b->repo, &blob.digest, &found, &b->err) && found;
    case START_UPLOAD:
    case PUT_BLOB:
        return put_blob(b);
    case RELAY_FROM:
    case RELAY_TO:
        return relay(b, deed == RELAY_FROM);
    case DEEDS:
        break;
    }
    return false;
}

/* A registry that wants a login, answers a deed with `answer`, and does all else as it should. */
#define HOME_ROWS 4
static void home_rows(enum deed deed, struct server_reply answer, struct server_reply *rows)
{
    answer.method = deeds[deed].method;
    answer.path = deeds[deed].path;
    rows[0] = (struct server_reply){.lacks = "Authorization: Basic",
                                    .status = 401,
                                    .headers = COOKIE "WWW-Authenticate: Basic realm=\"x\"\r\n"};
    rows[1] = answer;
    rows[2] = (struct server_reply){
        .method = "POST", .status = 202, .headers = COOKIE "Location: /up\r\n"};
    rows[3] = (struct server_reply){.method = "PUT", .status = 201, .headers = COOKIE};
}

/* Everything a redirect may lead to. */
static const struct server_reply store_rows[] = {
    {.method = "GET", .path = "/manifest*", .status = 200, .headers = COOKIE, .body = MANIFEST},
    {.method = "GET", .status = 200, .headers = COOKIE, .body = BODY, .ranges = true},
    {.method = "HEAD", .status = 200, .headers = COOKIE},
    {.method = "POST", .status = 202, .headers = COOKIE "Location: /up\r\n"},
    {.method = "PUT", .status = 201, .headers = COOKIE},
};

static void our_secrets(struct secrets *secrets)
{
    secrets_add_login(secrets, "me", PASSWORD);
    secrets_add(secrets, "very-signed");
    secrets_add(secrets, "crumb");
}

static char *location(const struct server *store, enum deed deed)
{
    return mir_format(COOKIE "Location: %s/%s?X-Amz-Signature=very-signed\r\n", server_url(store),
                      deed == GET_MANIFEST ? "manifest" : "x");
}

/* ---- to another host ----------------------------------------------------------------------- */

static void redirect_takes_no_credentials_to_another_host(void **state)
{
    auto_secrets secrets = {.count = 0};

    (void)state;
    secrets_add_login(&secrets, "me", PASSWORD);
    secrets_add(&secrets, "crumb");
    for (enum deed deed = 0; deed < DEEDS; deed++) {
        auto_server *store = server_start(store_rows, COUNT(store_rows));
        auto_free char *away = location(store, deed);
        struct server_reply home[HOME_ROWS];
        auto_server *server = NULL;
        auto_reg_bench b;

        home_rows(deed, (struct server_reply){.status = 307, .headers = away}, home);
        server = server_start(home, HOME_ROWS);
        reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS});
        if (!run_deed(&b, deed))
            fail_msg("%s: %s", deeds[deed].label, b.err.text);
        if (server_count(store, deeds[deed].method, NULL) == 0)
            fail_msg("%s: nobody went there", deeds[deed].label);
        must_not_reach(&secrets, store);
        must_keep_secrets(&secrets, &b);
        assert_false(reg_bench_said(&b, "very-signed"));
        assert_false(server_was_told(server, "Cookie"));
    }
}

static void redirect_does_not_lead_out_of_tls(void **state)
{
    auto_certs *identity = certs_new(
        &(struct certs_options){.name = "registry", .host = "IP:127.0.0.1", .days = 2}, NULL);
    auto_secrets secrets = {.count = 0};

    (void)state;
    our_secrets(&secrets);
    for (enum deed deed = 0; deed < DEEDS; deed++) {
        auto_server *store = server_start(store_rows, COUNT(store_rows));
        auto_free char *away = location(store, deed);
        struct server_reply home[HOME_ROWS];
        auto_server *server = NULL;
        auto_reg_bench b;

        home_rows(deed, (struct server_reply){.status = 307, .headers = away}, home);
        server = server_start_tls(home, HOME_ROWS, identity);
        reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS});
        if (run_deed(&b, deed) || b.err.code != MIR_E_PROTOCOL ||
            !strstr(b.err.text, "redirect from https to http"))
            fail_msg("%s: %s", deeds[deed].label, b.err.text);
        assert_int_equal(server_connections(store), 0);
        must_keep_secrets(&secrets, &b);
    }
}

/* The place for the PUT is no redirect, and no way out either. */
static void upload_does_not_lead_out_of_tls(void **state)
{
    auto_certs *identity = certs_new(
        &(struct certs_options){.name = "registry", .host = "IP:127.0.0.1", .days = 2}, NULL);
    auto_server *store = server_start(store_rows, COUNT(store_rows));
    auto_free char *away = location(store, START_UPLOAD);
    const struct server_reply home[] = {{.method = "POST", .status = 202, .headers = away}};
    auto_server *server = server_start_tls(home, COUNT(home), identity);
    auto_secrets secrets = {.count = 0};
    auto_reg_bench b;

    (void)state;
    our_secrets(&secrets);
    reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS});
    assert_false(put_blob(&b));
    assert_int_equal(b.err.code, MIR_E_PROTOCOL);
    must_have(b.err.text, "from https to http");
    must_have(b.err.hint, "X-Forwarded-Proto");
    assert_int_equal(server_connections(store), 0);
    must_keep_secrets(&secrets, &b);
}

/* ---- in circles ---------------------------------------------------------------------------- */

static void redirects_end_though_they_lead_in_circles(void **state)
{
    auto_secrets secrets = {.count = 0};

    (void)state;
    our_secrets(&secrets);
    for (enum deed deed = 0; deed < DEEDS; deed++) {
        struct server_reply there[] = {{.status = 307}};
        struct server_reply home[HOME_ROWS];
        auto_free char *away = NULL, *back = NULL;
        auto_server *server = NULL, *store = NULL;
        auto_reg_bench b;

        /* Each row may be changed until its server is asked. */
        store = server_start(there, COUNT(there));
        away = mir_format("Location: %s/x\r\n", server_url(store));
        home_rows(deed, (struct server_reply){.status = 307, .headers = away}, home);
        if (strchr(home[1].path, '?'))
            home[1].path = "/up*";
        server = server_start(home, HOME_ROWS);
        back = mir_format("Location: %s%.*s\r\n", server_url(server),
                          (int)strcspn(home[1].path, "*"), home[1].path);
        there[0].headers = back;
        reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS, .retry_times = 2});
        if (run_deed(&b, deed) || b.err.code == MIR_OK ||
            server_count(store, NULL, NULL) > HTTP_REDIRECTS_MAX)
            fail_msg("%s: %s, after %zu there", deeds[deed].label, b.err.text,
                     server_count(store, NULL, NULL));
        must_not_reach(&secrets, store);
        assert_int_equal(b.clock.wait_count, 0);
    }
}

static void redirect_to_itself_ends(void **state)
{
    (void)state;
    for (enum deed deed = 0; deed < DEEDS; deed++) {
        struct server_reply home[HOME_ROWS];
        auto_server *server = NULL;
        auto_reg_bench b;

        home_rows(deed, (struct server_reply){.status = 308, .headers = "Location: ?\r\n"}, home);
        if (strchr(home[1].path, '?'))
            home[1].path = "/up*";
        server = server_start(home, HOME_ROWS);
        reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS, .retry_times = 2});
        if (run_deed(&b, deed) || !strstr(b.err.text, "more than 8 redirects"))
            fail_msg("%s: %s", deeds[deed].label, b.err.text);
        assert_true(server_count(server, deeds[deed].method, NULL) <= HTTP_REDIRECTS_MAX + 2);
    }
}

/* ---- to what is no place ------------------------------------------------------------------- */

struct place {
    const char *label;
    const char *location;
    const char *says; /* NULL: it may lead somewhere */
};

static const struct place places[] = {
    {"a file", "file:///etc/passwd", "only http and https"},
    {"ftp", "ftp://{host}/x", "only http and https"},
    {"gopher", "gopher://{host}/x", "only http and https"},
    {"a script", "javascript://{host}/%0aalert(1)", "only http and https"},
    {"credentials", "http://me:loose-tongue@{host}/x", "credentials inside"},
    {"credentials of its own", "http://" CREDS "@{host}/x", ""},
    {"credentials, no scheme", "//me:loose-tongue@{host}/x", "credentials inside"},
    {"a user alone", "http://loose-tongue@{host}/x", "credentials inside"},
    {"an open bracket", "http://[::1/x", "no valid URL"},
    {"no host", "http:///", "no valid URL"},
    {"a port that is none", "http://127.0.0.1:99999/x", "no valid URL"},
    {"a control byte",
     "/a\x01"
     "b",
     "no valid URL"},
    {"a tab", "/a\tb", "no valid URL"},
    {"a blank", "http://{host}/a b", "no valid URL"},
    {"a backslash", "http://{host}\\@127.0.0.1:1/x", "credentials inside"},
};

/* As the answer to a GET, a POST and a PUT, and as the place for an upload. */
static void location_that_is_no_place_is_refused(void **state)
{
    static const enum deed ways[] = {GET_BLOB, FIND_MANIFEST, START_UPLOAD, PUT_BLOB, RELAY_TO};
    auto_secrets secrets = {.count = 0};

    (void)state;
    our_secrets(&secrets);
    secrets_add(&secrets, "loose-tongue");
    for (size_t i = 0; i < COUNT(places) * (COUNT(ways) + 1); i++) {
        const struct place *place = &places[i % COUNT(places)];
        size_t way = i / COUNT(places);
        enum deed deed = way < COUNT(ways) ? ways[way] : START_UPLOAD;
        int status = way < COUNT(ways) ? 307 : 202;
        auto_free char *header = mir_format("Location: %s\r\n", place->location);
        struct server_reply home[HOME_ROWS];
        auto_server *server = NULL;
        auto_reg_bench b;

        home_rows(deed, (struct server_reply){.status = status, .headers = header}, home);
        server = server_start(home, HOME_ROWS);
        reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS, .retry_times = 2});
        if (run_deed(&b, deed) || b.err.code != MIR_E_PROTOCOL || !strstr(b.err.text, place->says))
            fail_msg("%s, %s: %s", place->label, deeds[deed].label, b.err.text);
        must_keep_secrets(&secrets, &b);
        assert_int_equal(b.clock.wait_count, 0);
    }
}

static void location_is_taken_as_a_reference(void **state)
{
    static const struct {
        const char *label;
        const char *location;
        const char *path; /* what is asked for then */
    } rows[] = {
        {"absolute", "http://{host}/x", "/x"},
        {"upper case", "HTTP://{host}/x", "/x"},
        {"a path", "/x?y=z", "/x?y=z"},
        {"relative", "x", "/v2/team/app/blobs/x"},
        {"upwards", "../x", "/v2/team/app/x"},
        {"far upwards", "../../../../../../x", "/x"},
        {"no scheme", "//{host}/x", "/x"},
        {"a query alone", "?sig=very-signed", NULL},
        {"a fragment", "/x#very-signed", "/x"},
        {"a fragment with a host", "/x#@127.0.0.1:1/", "/x"},
        {"a host in the query", "/x?@127.0.0.1:1/", "/x?@127.0.0.1:1/"},
    };
    auto_secrets secrets = {.count = 0};

    (void)state;
    our_secrets(&secrets);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *header = mir_format("Location: %s\r\n", rows[i].location);
        const struct server_reply home[] = {
            {.path = rows[i].path ? rows[i].path : "*?sig=very-signed",
             .status = 200,
             .body = BODY},
            {.path = "/v2/team/app/blobs/sha256:*", .times = 1, .status = 307, .headers = header},
            {.status = 200, .body = BODY}};
        auto_server *server = server_start(home, COUNT(home));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (!get_blob(&b) || server_count(server, NULL, NULL) != 2 ||
            (rows[i].path && server_count(server, "GET", rows[i].path) != 1))
            fail_msg("%s: %s", rows[i].label, b.err.text);
        must_keep_secrets(&secrets, &b);
    }
}

static void location_of_a_mebibyte_is_refused(void **state)
{
    auto_free char *header = mir_format("Location: /%0*d\r\n", 1 << 20, 1);
    static const enum deed ways[] = {GET_BLOB, FIND_BLOB, START_UPLOAD, PUT_BLOB, RELAY_TO};

    (void)state;
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct server_reply home[HOME_ROWS];
        auto_server *server = NULL;
        auto_reg_bench b;

        home_rows(ways[i], (struct server_reply){.status = 307, .headers = header}, home);
        server = server_start(home, HOME_ROWS);
        reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS, .retry_times = 2});
        if (run_deed(&b, ways[i]) || b.err.code != MIR_E_LIMIT ||
            !strstr(b.err.text, "header of the answer is too long"))
            fail_msg("%s: %s", deeds[ways[i]].label, b.err.text);
        assert_int_equal(b.clock.wait_count, 0);
    }
}

/* ---- cookies and links --------------------------------------------------------------------- */

static void cookies_are_never_given_back(void **state)
{
    static const struct server_reply home[] = {
        {.lacks = "Authorization",
         .status = 401,
         .headers = COOKIE "WWW-Authenticate: Bearer "
                           "realm=\"/token\"\r\n"},
        {.path = "/token*",
         .status = 200,
         .headers = COOKIE "Set-Cookie2: sid=crumb\r\n",
         .body = "{\"token\":\"very-signed\"}"},
        {.method = "HEAD", .status = 200, .headers = COOKIE},
        {.method = "GET", .path = "/v2/team/app/manifests/*", .status = 200, .headers = COOKIE},
        {.method = "GET", .status = 307, .headers = COOKIE "Location: /token?blob\r\n"},
        {.method = "POST", .status = 202, .headers = COOKIE "Location: /up\r\n"},
        {.method = "PUT", .status = 201, .headers = COOKIE}};
    auto_server *server = server_start(home, COUNT(home));
    auto_secrets secrets = {.count = 0};
    auto_reg_bench b;

    (void)state;
    our_secrets(&secrets);
    reg_bench_start(&b, server, &(struct reg_options){.creds = CREDS});
    for (enum deed deed = 0; deed < RELAY_FROM; deed++)
        (void)run_deed(&b, deed);
    assert_true(server_count(server, NULL, NULL) >= 8);
    assert_false(server_was_told(server, "Cookie"));
    assert_false(server_was_told(server, "crumb"));
    must_keep_secrets(&secrets, &b);
}

/* Only lists have pages (registry_list.c); elsewhere a link means nothing. */
static void links_are_followed_nowhere(void **state)
{
    static const char link[] =
        "Link: </v2/team/app/manifests/v1?n=1&last=a>; rel=\"next\", </v2/_catalog>; rel=next\r\n";

    (void)state;
    for (enum deed deed = 0; deed < RELAY_FROM; deed++) {
        const struct server_reply home[] = {
            {.method = "GET",
             .path = "*/manifests/v1",
             .status = 200,
             .headers = link,
             .body = MANIFEST},
            {.method = "GET", .status = 200, .headers = link, .body = BODY},
            {.method = "HEAD", .status = 200, .headers = link},
            {.method = "POST",
             .status = 202,
             .headers = "Location: /up\r\nLink: </x>; rel=next\r\n"},
            {.method = "PUT", .status = 201, .headers = link}};
        auto_server *server = server_start(home, COUNT(home));
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        (void)run_deed(&b, deed);
        assert_true(server_count(server, NULL, NULL) <= 2);
        assert_int_equal(server_count(server, NULL, "/v2/_catalog"), 0);
        assert_int_equal(server_count(server, NULL, "/x"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirect_takes_no_credentials_to_another_host),
        cmocka_unit_test(redirect_does_not_lead_out_of_tls),
        cmocka_unit_test(upload_does_not_lead_out_of_tls),
        cmocka_unit_test(redirects_end_though_they_lead_in_circles),
        cmocka_unit_test(redirect_to_itself_ends),
        cmocka_unit_test(location_that_is_no_place_is_refused),
        cmocka_unit_test(location_is_taken_as_a_reference),
        cmocka_unit_test(location_of_a_mebibyte_is_refused),
        cmocka_unit_test(cookies_are_never_given_back),
        cmocka_unit_test(links_are_followed_nowhere),
    };

    return cmocka_run_group_tests_name("access/hostile redirect", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
