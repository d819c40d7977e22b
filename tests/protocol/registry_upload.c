/*
 * Registries that do not take an upload as they should: each ends in the blob being there by
 * another way the specification has, or in an error that says what to do. The same faults for blobs
 * that come from a file and for those that are relayed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/must.h"
#include "lib/reg_bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BODY         "0123456789abcdefghijklmnopqrstuvwxyz"
#define BODY_LEN     (sizeof(BODY) - 1)
#define UPLOADS      "/v2/team/app/blobs/uploads/"
#define MOUNTS       UPLOADS "?mount=*"
#define ROWS_MAX     6

#define START                                                                                      \
    {                                                                                              \
        .method = "POST", .path = UPLOADS, .status = 202, .headers = "Location: /up\r\n"           \
    }
#define DONE                                                                                       \
    {                                                                                              \
        .method = "PUT", .status = 201                                                             \
    }
#define SAYS(code_, words) "{\"errors\":[{\"code\":\"" code_ "\",\"message\":\"" words "\"}]}"

/* One way in: from a source, or from another registry. */
struct way {
    struct reg_bench to;
    struct server *source;
    struct reg_bench from;
    enum reg_put_outcome outcome;
};

static const struct server_reply honest_source[] = {{.status = 200, .body = BODY, .ranges = true}};

static void way_start(struct way *way, const struct server *server, unsigned retries)
{
    const struct reg_options options = {.creds = "me:hush", .retry_times = retries};

    reg_bench_start(&way->to, server, &options);
    way->source = server_start(honest_source, COUNT(honest_source));
    reg_bench_start(&way->from, way->source, NULL);
}

static void way_stop(struct way *way)
{
    reg_bench_stop(&way->to);
    reg_bench_stop(&way->from);
    server_stop(way->source);
}
#define auto_way __attribute__((cleanup(way_stop))) struct way

static bool bring(struct way *way, bool relayed, const char *mount_from)
{
    const struct img_descriptor blob = reg_bench_blob_of(BODY);

    mir_error_clear(&way->to.err);
    way->to.content = mir_span_of(BODY);
    if (relayed)
        return reg_blob_relay(way->from.session, &way->from.repo, way->to.session, &way->to.repo,
                              &blob, mount_from, NULL, NULL, &way->outcome, &way->to.err);
    return reg_blob_put(way->to.session, &way->to.repo, &blob, mount_from, &way->to.blob_source,
                        &way->outcome, &way->to.err);
}

static const char *name_of(bool relayed)
{
    return relayed ? "relayed" : "put";
}

/* ---- faults -------------------------------------------------------------------------------- */

struct fault {
    const char *label;
    const char *mount_from; /* NULL: nothing to mount */
    struct server_reply replies[ROWS_MAX];
    /* What comes of it: done, or this. */
    enum mir_code code;
    const char *says;
    const char *hints;
    size_t posts;
    size_t puts;
};

static size_t reply_count(const struct fault *fault)
{
    size_t count = 0;

    while (count < ROWS_MAX && (fault->replies[count].status != 0 || fault->replies[count].fault))
        count++;
    return count;
}

static void check_end(const struct fault *fault, bool relayed, struct way *way, bool done)
{
    const struct mir_error *err = &way->to.err;
    bool as_due = fault->code == MIR_OK;

    if (done != as_due || err->code != fault->code ||
        (fault->says && !strstr(err->text, fault->says)) ||
        (fault->hints && !strstr(err->hint, fault->hints)))
        fail_msg("%s, %s: %d \"%s\" (%s)", fault->label, name_of(relayed), (int)err->code,
                 err->text, err->hint);
    if (done && way->outcome != REG_PUT_UPLOADED)
        fail_msg("%s, %s: not uploaded", fault->label, name_of(relayed));
    assert_false(reg_bench_said(&way->to, "hush"));
}

static void run_fault(const struct fault *fault, bool relayed)
{
    auto_server *server = server_start(fault->replies, reply_count(fault));
    auto_way way = {.source = NULL};
    bool done;

    way_start(&way, server, 2);
    done = bring(&way, relayed, fault->mount_from);
    check_end(fault, relayed, &way, done);
    server_finish(server);
    if (server_count(server, "POST", NULL) != fault->posts ||
        server_count(server, "PUT", NULL) != fault->puts)
        fail_msg("%s, %s: %zu POSTs, %zu PUTs", fault->label, name_of(relayed),
                 server_count(server, "POST", NULL), server_count(server, "PUT", NULL));
}

static void run_faults(const struct fault *faults, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run_fault(&faults[i], false);
        run_fault(&faults[i], true);
    }
}

static void upload_survives_a_lost_session(void **state)
{
    static const struct fault faults[] = {
        {.label = "404 on the PUT",
         .replies = {START,
                     {.method = "PUT",
                      .times = 1,
                      .status = 404,
                      .body = SAYS("BLOB_UPLOAD_UNKNOWN", "upload unknown")},
                     DONE},
         .posts = 2,
         .puts = 2},
        {.label = "416",
         .replies = {START, {.method = "PUT", .times = 1, .status = 416}, DONE},
         .posts = 2,
         .puts = 2},
        {.label = "lost each time",
         .replies = {START,
                     {.method = "PUT",
                      .status = 404,
                      .body = SAYS("BLOB_UPLOAD_UNKNOWN", "upload unknown")}},
         .code = MIR_E_NOT_FOUND,
         .says = "BLOB_UPLOAD_UNKNOWN",
         .posts = 3,
         .puts = 3},
        {.label = "the digest is said to be wrong",
         .replies = {START,
                     {.method = "PUT",
                      .times = 1,
                      .status = 400,
                      .body = SAYS("DIGEST_INVALID", "provided digest did not match")},
                     DONE},
         .posts = 2,
         .puts = 2},
    };

    (void)state;
    run_faults(faults, COUNT(faults));
}

/* 202 to the PUT: finished later, or to be closed, or never. */
static void upload_completes_what_was_only_accepted(void **state)
{
    static const struct fault faults[] = {
        {.label = "there at once",
         .replies = {START, {.method = "PUT", .status = 202}, {.method = "HEAD", .status = 200}},
         .posts = 1,
         .puts = 1},
        {.label = "there after a while",
         .replies = {START,
                     {.method = "PUT", .status = 202},
                     {.method = "HEAD", .times = 2, .status = 404},
                     {.method = "HEAD", .status = 200}},
         .posts = 1,
         .puts = 1},
        {.label = "taken for one of several pieces",
         .replies =
             {START,
              {.method = "PUT", .path = "/up?*", .status = 202, .headers = "Location: /on\r\n"},
              {.method = "PUT", .path = "/on?digest=sha256:*", .status = 201},
              {.method = "HEAD", .status = 404}},
         .posts = 1,
         .puts = 2},
        {.label = "nobody may look",
         .replies =
             {START,
              {.method = "PUT", .path = "/up?*", .status = 202, .headers = "Location: /on\r\n"},
              {.method = "PUT", .path = "/on?*", .status = 204},
              {.method = "HEAD", .status = 403}},
         .posts = 1,
         .puts = 2},
        {.label = "never",
         .replies = {START,
                     {.method = "PUT", .status = 202, .headers = "Location: /up\r\n"},
                     {.method = "HEAD", .status = 404}},
         .code = MIR_E_PROTOCOL,
         .says = "202 Accepted where 201 Created is due",
         .hints = "--retry-times",
         .posts = 1,
         .puts = 2},
    };

    (void)state;
    run_faults(faults, COUNT(faults));
}

static void upload_does_without_mounting(void **state)
{
    static const struct fault faults[] = {
        {.label = "202",
         .mount_from = "base/image",
         .replies =
             {{.method = "POST", .path = MOUNTS, .status = 202, .headers = "Location: /up\r\n"},
              DONE},
         .posts = 1,
         .puts = 1},
        {.label = "202 without a place",
         .mount_from = "base/image",
         .replies = {{.method = "POST", .path = MOUNTS, .status = 202}, START, DONE},
         .posts = 2,
         .puts = 1},
        {.label = "405",
         .mount_from = "base/image",
         .replies = {{.method = "POST", .path = MOUNTS, .status = 405}, START, DONE},
         .posts = 2,
         .puts = 1},
        {.label = "400",
         .mount_from = "base/image",
         .replies = {{.method = "POST", .path = MOUNTS, .status = 400}, START, DONE},
         .posts = 2,
         .puts = 1},
        {.label = "501",
         .mount_from = "base/image",
         .replies = {{.method = "POST", .path = MOUNTS, .status = 501}, START, DONE},
         .posts = 2,
         .puts = 1},
        {.label = "500, again and again",
         .mount_from = "base/image",
         .replies = {{.method = "POST", .path = MOUNTS, .status = 500}, START, DONE},
         .posts = 4,
         .puts = 1},
        {.label = "201 for something else",
         .mount_from = "base/image",
         .replies = {{.method = "POST",
                      .path = MOUNTS,
                      .status = 201,
                      .headers = "Docker-Content-Digest: sha256:00\r\n"},
                     START,
                     DONE},
         .posts = 2,
         .puts = 1},
        {.label = "429 is no answer to the question",
         .mount_from = "base/image",
         .replies = {{.method = "POST", .path = MOUNTS, .status = 429}, START, DONE},
         .code = MIR_E_BUSY,
         .says = "429",
         .posts = 3},
    };

    (void)state;
    run_faults(faults, COUNT(faults));
}

static void upload_asks_to_mount_only_who_knows_how(void **state)
{
    static const struct server_reply replies[] = {
        {.method = "POST", .path = MOUNTS, .status = 405}, START, DONE};

    (void)state;
    for (int relayed = 0; relayed <= 1; relayed++) {
        auto_server *server = server_start(replies, COUNT(replies));
        auto_way way = {.source = NULL};

        way_start(&way, server, 0);
        for (int i = 0; i < 3; i++)
            must(bring(&way, relayed, "base/image"), &way.to.err);
        assert_int_equal(server_count(server, "POST", MOUNTS), 1);
        assert_int_equal(server_count(server, "POST", UPLOADS), 3);
    }
}

static void upload_says_what_to_do_where_nothing_is_taken(void **state)
{
    static const struct fault faults[] = {
        {.label = "read-only, 405",
         .replies = {{.method = "POST",
                      .status = 405,
                      .body = SAYS("UNSUPPORTED", "The operation is unsupported.")}},
         .code = MIR_E_PROTOCOL,
         .says = "405 Method Not Allowed: UNSUPPORTED",
         .hints = "it is read-only",
         .posts = 1},
        {.label = "read-only, 403",
         .replies = {{.method = "POST",
                      .status = 403,
                      .body = SAYS("DENIED", "no changes during maintenance")}},
         .code = MIR_E_AUTH,
         .says = "403 Forbidden: DENIED: no changes",
         .hints = "the registry is read-only",
         .posts = 1},
        {.label = "read-only from the PUT on",
         .replies = {START, {.method = "PUT", .status = 405, .body = SAYS("UNSUPPORTED", "no")}},
         .code = MIR_E_PROTOCOL,
         .hints = "it is read-only",
         .posts = 1,
         .puts = 1},
        {.label = "read-only and asked to mount",
         .mount_from = "base/image",
         .replies = {{.method = "POST", .status = 405, .body = SAYS("UNSUPPORTED", "no")}},
         .code = MIR_E_PROTOCOL,
         .hints = "it is read-only",
         .posts = 2},
        {.label = "quota, 403",
         .replies = {START,
                     {.method = "PUT",
                      .status = 403,
                      .body = SAYS("DENIED", "adding 5 GiB will exceed the upper limit")}},
         .code = MIR_E_AUTH,
         .says = "will exceed the upper limit",
         .hints = "a quota of 127.0.0.1:",
         .posts = 1,
         .puts = 1},
        {.label = "quota, 412",
         .replies = {START,
                     {.method = "PUT",
                      .status = 412,
                      .body = SAYS("PRECONDITION", "storage quota used up")}},
         .code = MIR_E_PROTOCOL,
         .says = "412",
         .hints = "make room",
         .posts = 1,
         .puts = 1},
        {.label = "too large, 413",
         .replies = {START,
                     {.method = "PUT",
                      .status = 413,
                      .body = "<html>413 Request Entity Too Large</html>"}},
         .code = MIR_E_LIMIT,
         .says = "413 Content Too Large",
         .hints = "a proxy in front of it has to be raised",
         .posts = 1,
         .puts = 1},
        {.label = "too large, before the content",
         .replies = {START, {.method = "PUT", .status = 413, .fault = SERVER_FAULT_EARLY}},
         .code = MIR_E_LIMIT,
         .says = "413",
         .hints = "raised",
         .posts = 1,
         .puts = 1},
        {.label = "no room",
         .replies = {START, {.method = "PUT", .status = 507}},
         .code = MIR_E_SPACE,
         .says = "507",
         .hints = "no room left",
         .posts = 1,
         .puts = 1},
        {.label = "to be created first",
         .replies = {{.method = "POST",
                      .status = 404,
                      .body = SAYS("NAME_UNKNOWN", "repository name not known to registry")}},
         .code = MIR_E_NOT_FOUND,
         .says = "NAME_UNKNOWN",
         .hints = "create team/app (the project or the repository) on 127.0.0.1:",
         .posts = 1},
        {.label = "to be created first, said late",
         .replies = {START, {.method = "PUT", .status = 404, .body = SAYS("NAME_UNKNOWN", "no")}},
         .code = MIR_E_NOT_FOUND,
         .says = "NAME_UNKNOWN",
         .hints = "create team/app",
         .posts = 1,
         .puts = 1},
        {.label = "no name for it",
         .replies = {{.method = "POST",
                      .status = 400,
                      .body = SAYS("NAME_INVALID", "too many components")}},
         .code = MIR_E_PROTOCOL,
         .says = "too many components",
         .hints = "choose another place",
         .posts = 1},
        {.label = "a page to log in at",
         .replies = {{.method = "POST", .status = 302, .headers = "Location: /login?next=x\r\n"}},
         .code = MIR_E_PROTOCOL,
         .says = "302 Found",
         .hints = "a page to log in at",
         .posts = 1},
        {.label = "created, without a word of what",
         .replies = {{.method = "POST", .status = 201}},
         .code = MIR_E_PROTOCOL,
         .says = "201 Created, which is no answer to this",
         .posts = 1},
    };

    (void)state;
    run_faults(faults, COUNT(faults));
}

/* A blob of some size against a wall that only hangs up. */
static void upload_that_always_breaks_hints_at_limits(void **state)
{
    static const struct server_reply replies[] = {
        START, {.method = "PUT", .fault = SERVER_FAULT_HANG_UP, .fault_at = 5}};
    auto_server *server = server_start(replies, COUNT(replies));
    auto_way way = {.source = NULL};

    (void)state;
    way_start(&way, server, 1);
    assert_false(bring(&way, false, NULL));
    assert_int_equal(way.to.err.code, MIR_E_NETWORK);
    must_have(way.to.err.hint, "a proxy in front of it");
    assert_int_equal(server_count(server, "POST", NULL), 2);
}

/* What a source was asked for. */
struct counter {
    uint64_t given;
    uint64_t furthest;
};

static bool give_and_count(void *ctx, uint64_t offset, void *data, size_t len,
                           struct mir_error *err)
{
    struct counter *counter = ctx;

    (void)err;
    memset(data, 'x', len);
    counter->given += len;
    if (offset + len > counter->furthest)
        counter->furthest = offset + len;
    return true;
}

/* 201 before the content is there is a success for nobody: not for a server that reads on, nor for
 * one that wants no more. */
static void upload_that_is_complete_too_soon_is_not_believed(void **state)
{
    const size_t len = 12u << 20;
    auto_free char *content = mir_alloc(len + 1);
    static const char *const headers[] = {"X: y\r\n", "Connection: close\r\n"};
    struct img_descriptor blob;

    (void)state;
    memset(content, 'x', len);
    blob = reg_bench_blob_of(content);
    for (size_t i = 0; i < COUNT(headers); i++) {
        const struct server_reply replies[] = {
            START,
            {.method = "PUT", .status = 201, .headers = headers[i], .fault = SERVER_FAULT_EARLY}};
        auto_server *server = server_start(replies, COUNT(replies));
        struct counter counter = {0};
        const struct reg_blob_source source = {.read = give_and_count, .ctx = &counter};
        enum reg_put_outcome outcome;
        auto_reg_bench b;

        reg_bench_start(&b, server, &(struct reg_options){.retry_times = 0});
        if (reg_blob_put(b.session, &b.repo, &blob, NULL, &source, &outcome, &b.err))
            assert_int_equal(counter.furthest, len);
        else
            must_have(b.err.text, "a body complete that is not");
    }
}

/* Something in front of the registry gives it another name than we know it by. */
static void upload_that_leads_away_says_why_it_is_refused(void **state)
{
    static const struct server_reply there[] = {{.status = 401}};
    auto_server *other = server_start(there, COUNT(there));
    auto_free char *away = mir_format("Location: %s/up\r\n", server_url(other));
    const struct server_reply here[] = {
        {.needs = "Basic", .status = 202, .headers = away},
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"}};

    (void)state;
    for (int relayed = 0; relayed <= 1; relayed++) {
        auto_server *server = server_start(here, COUNT(here));
        auto_way way = {.source = NULL};

        way_start(&way, server, 0);
        assert_false(bring(&way, relayed, NULL));
        assert_int_equal(way.to.err.code, MIR_E_AUTH);
        must_have(way.to.err.hint, "X-Forwarded-Host");
        must_have(way.to.err.hint, server_host(other));
        assert_false(server_was_told(other, "Basic"));
    }
}

/* The blobs may be in, and the manifest is refused. */
static void manifest_that_is_refused_says_what_to_do(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum mir_code code;
        const char *hints;
    } rows[] = {
        {403, SAYS("DENIED", "quota exceeded"), MIR_E_AUTH, "a quota of"},
        {403, SAYS("DENIED", "immutable"), MIR_E_AUTH, "may not push to"},
        {405, SAYS("UNSUPPORTED", "no"), MIR_E_PROTOCOL, "it is read-only"},
        {413, "", MIR_E_LIMIT, "a limit of the registry"},
        {404, SAYS("NAME_UNKNOWN", "no"), MIR_E_NOT_FOUND, "create team/app"},
        {404, SAYS("MANIFEST_BLOB_UNKNOWN", "gone"), MIR_E_NOT_FOUND, "run again"},
        {400, SAYS("MANIFEST_BLOB_UNKNOWN", "gone"), MIR_E_PROTOCOL, "run again"},
        {302, "", MIR_E_PROTOCOL, "a page to log in at"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct server_reply reply = {.status = rows[i].status, .body = rows[i].body};
        auto_server *server = server_start(&reply, 1);
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        if (reg_manifest_put(b.session, &b.repo, "v1", "application/json", mir_span_of("{}"),
                             &b.err) ||
            b.err.code != rows[i].code || !strstr(b.err.hint, rows[i].hints))
            fail_msg("%d: %d %s (%s)", rows[i].status, (int)b.err.code, b.err.text, b.err.hint);
        assert_int_equal(server_count(server, "PUT", NULL), 1);
    }
}

static void mount_takes_any_refusal_for_a_no(void **state)
{
    static const struct server_reply rows[] = {
        {.status = 400},
        {.status = 405},
        {.status = 501},
        {.status = 409},
        {.status = 201, .headers = "Docker-Content-Digest: sha256:00\r\n"}};
    const struct img_descriptor blob = reg_bench_blob_of(BODY);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_server *server = server_start(&rows[i], 1);
        bool mounted = true;
        auto_reg_bench b;

        reg_bench_start(&b, server, NULL);
        must(reg_blob_mount(b.session, &b.repo, &blob.digest, "base/image", &mounted, &b.err),
             &b.err);
        assert_false(mounted);
        assert_int_equal(server_count(server, NULL, NULL), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upload_survives_a_lost_session),
        cmocka_unit_test(upload_completes_what_was_only_accepted),
        cmocka_unit_test(upload_does_without_mounting),
        cmocka_unit_test(upload_asks_to_mount_only_who_knows_how),
        cmocka_unit_test(upload_says_what_to_do_where_nothing_is_taken),
        cmocka_unit_test(upload_that_always_breaks_hints_at_limits),
        cmocka_unit_test(upload_that_is_complete_too_soon_is_not_believed),
        cmocka_unit_test(upload_that_leads_away_says_why_it_is_refused),
        cmocka_unit_test(manifest_that_is_refused_says_what_to_do),
        cmocka_unit_test(mount_takes_any_refusal_for_a_no),
    };

    return cmocka_run_group_tests_name("registry/upload", tests, reg_bench_set_up,
                                       reg_bench_tear_down);
}
