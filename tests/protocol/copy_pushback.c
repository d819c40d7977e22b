/*
 * Registries that ask for patience, in whole copies: what they are asked while they want to be left
 * alone, how much at a time afterwards, and whether all arrives nevertheless.
 *
 * Time stands still unless somebody waits, so nothing here depends on how fast the machine is: the
 * registry gathers as many requests as it may get, refuses some of them, and answers the others
 * only when the refusal was heard. Then the copy is given a while in which it could do wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/bundle.h"
#include "copy/copy.h"
#include "copy/pace.h"
#include "http/http.h"
#include "lib/scratch.h"
#include "lib/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LAYERS       20
#define BLOBS        (LAYERS + 1)
#define BLOB_BYTES   3000
#define REPLIES_MAX  (BLOBS + 8)
#define JOBS         8
#define RETRY_MS     7000 /* what "Retry-After: 7" means */
#define LINGER_MS    250  /* for what must not come while a registry is left alone */
#define TOGETHER_MS  20   /* for one request too many at a time */
#define STUCK_MS     30000

struct world;

/* A registry, as it sees things. */
struct host {
    struct world *world;
    struct server *server;
    struct server_reply replies[REPLIES_MAX];
    size_t reply_count;
    char blobs[BLOBS][BLOB_BYTES]; /* the last is the config */
    struct img_digest digests[BLOBS], manifest_digest;
    char *manifest;
    char *paths[BLOBS + 1];
    /* What it does: */
    const char *method, *path; /* the requests it gathers and refuses */
    unsigned gather;           /* so many at a time; 0: it does not gather */
    unsigned refuses;          /* of those it gathered first */
    unsigned bears;            /* afterwards so many; one more is too many */
    int64_t step_ms;           /* time passes with each request */
    /* What it saw, under the world's lock: */
    unsigned in_flight, peak, peak_after;
    unsigned gathered; /* requests of the kind it gathers */
    unsigned early;    /* came although it was to be left alone */
    bool is_open;      /* as many as it gathers were there */
};

struct world {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct mir_clock clock;
    int64_t now_ms;
    int64_t alone_ms; /* before then the first host is to be left alone */
    unsigned heard;   /* waits begun: a refusal was heard */
    int64_t linger_until;
    bool is_stuck;
    struct host hosts[2]; /* the first complains */
    char *dir, *bundle;
    struct copy *copy;
    struct mir_error err;
};

/* ---- time ---- */

/* Until something changes, or real time has come so far. The lock is held. */
static void await_change(struct world *world, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000,
                                   .tv_nsec = until_ms % 1000 * 1000000L};

    (void)pthread_cond_timedwait(&world->changed, &world->lock, &until);
}

static int64_t real_now(void)
{
    return mir_clock_now(mir_clock_real());
}

static int64_t still_now(void *ctx)
{
    struct world *world = ctx;
    int64_t now;

    (void)pthread_mutex_lock(&world->lock);
    now = world->now_ms;
    (void)pthread_mutex_unlock(&world->lock);
    return now;
}

/* Is there a second host that has not been asked for everything? */
static bool is_other_busy(const struct world *world)
{
    return world->hosts[1].server && world->hosts[1].gathered < BLOBS;
}

/* Those who wait at the same time wait for the same time to pass. */
static bool still_wait(void *ctx, int64_t ms, const struct mir_cancel *cancel)
{
    struct world *world = ctx;
    int64_t stuck = real_now() + STUCK_MS;
    int64_t until;

    (void)pthread_mutex_lock(&world->lock);
    until = world->now_ms + ms;
    if (world->heard++ == 0)
        world->linger_until = real_now() + LINGER_MS;
    (void)pthread_cond_broadcast(&world->changed);
    while (real_now() < world->linger_until)
        await_change(world, world->linger_until);
    while (is_other_busy(world) && !world->is_stuck) {
        await_change(world, stuck);
        world->is_stuck |= real_now() >= stuck;
    }
    if (world->now_ms < until)
        world->now_ms = until;
    (void)pthread_mutex_unlock(&world->lock);
    return !mir_is_cancelled(cancel);
}

/* ---- a registry's view; the lock is held ---- */

static bool is_gathered_kind(const struct host *host, const struct server_request *request)
{
    return strcmp(request->method, host->method) == 0 &&
           strncmp(request->path, host->path, strlen(host->path)) == 0;
}

static void count_arrival(struct host *host, bool is_kind)
{
    struct world *world = host->world;

    host->gathered += is_kind;
    host->in_flight++;
    if (host->in_flight > host->peak)
        host->peak = host->in_flight;
    if (world->heard > 0 && world->now_ms < world->alone_ms && host == &world->hosts[0])
        host->early++;
    /* From the first that began after the refusals; before, those it refused come back. */
    if (host->gathered > host->gather + host->refuses && host->in_flight > host->peak_after)
        host->peak_after = host->in_flight;
    if (host->gather > 0 && host->in_flight >= host->gather)
        host->is_open = true;
    world->now_ms += host->step_ms;
    (void)pthread_cond_broadcast(&world->changed);
}

/* The first are answered when there are as many as there may be, and those among them that are not
 * refused when the refusals were heard. Where time passes it goes on doing so. */
static void gather(struct host *host, bool is_refused)
{
    struct world *world = host->world;
    int64_t stuck = real_now() + STUCK_MS;

    while (!world->is_stuck && (!host->is_open || (!is_refused && world->heard < host->refuses))) {
        int64_t soon = real_now() + 50;

        await_change(world, soon);
        if (real_now() >= soon)
            world->now_ms += host->step_ms;
        world->is_stuck |= real_now() >= stuck;
    }
}

/* Afterwards it gets less at a time, but that much. */
static void gather_again(struct host *host)
{
    struct world *world = host->world;
    int64_t stuck = real_now() + STUCK_MS;

    while (!world->is_stuck && host->peak_after < host->bears) {
        await_change(world, stuck);
        world->is_stuck |= real_now() >= stuck;
    }
}

static void give_room_for_one_too_many(struct host *host)
{
    int64_t until = real_now() + TOGETHER_MS;

    while (host->in_flight <= host->bears && real_now() < until)
        await_change(host->world, until);
}

static void arrived(void *ctx, const struct server_request *request)
{
    struct host *host = ctx;
    struct world *world = host->world;
    bool is_kind = is_gathered_kind(host, request);
    bool is_refused = request->reply && http_status_may_pass(request->reply->status);

    (void)pthread_mutex_lock(&world->lock);
    count_arrival(host, is_kind);
    /* Where nothing is refused, those of the first moment are let through, so that it can be seen
     * that more is borne. */
    if (is_kind && host->gather > 0 && (host->refuses > 0 || host->gathered > COPY_PACE_START))
        gather(host, is_refused);
    if (is_kind && host->refuses > 0 && host->gathered > host->gather + host->refuses)
        gather_again(host);
    give_room_for_one_too_many(host);
    /* Its answer may be there before this thread goes on, so it counts no more. */
    host->in_flight--;
    (void)pthread_mutex_unlock(&world->lock);
}

/* ---- what they have ---- */

static struct server_reply *reply(struct host *host, const char *method, const char *path,
                                  int status)
{
    struct server_reply *row = &host->replies[host->reply_count++];

    assert_true(host->reply_count <= REPLIES_MAX);
    *row = (struct server_reply){.method = method, .path = path, .status = status};
    return row;
}

static void make_blobs(struct host *host, const char *seed)
{
    for (size_t i = 0; i < BLOBS; i++) {
        for (size_t at = 0; at < BLOB_BYTES; at++)
            host->blobs[i][at] = (char)(at * 31 + i * 7 + (size_t)seed[0]);
        (void)snprintf(host->blobs[i], 32, i == LAYERS ? "{\"author\":\"%s%zu\"" : "%s%zu", seed,
                       i);
        if (i == LAYERS) {
            memset(host->blobs[i] + strlen(host->blobs[i]), ' ', BLOB_BYTES / 2);
            memset(host->blobs[i] + BLOB_BYTES / 2, ' ', BLOB_BYTES / 2);
            host->blobs[i][BLOB_BYTES - 1] = '}';
        }
        img_digest_of(MIR_HASH_SHA256, mir_span(host->blobs[i], BLOB_BYTES), &host->digests[i]);
    }
}

static void make_manifest(struct host *host)
{
    struct mir_buf text;

    mir_buf_init(&text, 1u << 20);
    mir_buf_printf(&text,
                   "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
                   "\",\"config\":{\"mediaType\":\"" IMG_TYPE_OCI_CONFIG
                   "\",\"digest\":\"%s\",\"size\":%d},\"layers\":[",
                   host->digests[LAYERS].text, BLOB_BYTES);
    for (size_t i = 0; i < LAYERS; i++)
        mir_buf_printf(&text,
                       "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
                       "\"digest\":\"%s\",\"size\":%d}",
                       i > 0 ? "," : "", host->digests[i].text, BLOB_BYTES);
    mir_buf_text(&text, "]}");
    host->manifest = mir_buf_take(&text);
    img_digest_of(MIR_HASH_SHA256, mir_span_of(host->manifest), &host->manifest_digest);
}

static void add_image(struct host *host)
{
    struct server_reply *row;

    for (size_t i = 0; i < BLOBS; i++) {
        host->paths[i] = mir_format("/v2/ns/app/blobs/%s", host->digests[i].text);
        row = reply(host, "GET", host->paths[i], 200);
        row->body = host->blobs[i];
        row->body_len = BLOB_BYTES;
    }
    host->paths[BLOBS] = mir_format("/v2/ns/app/manifests/%s", host->manifest_digest.text);
    row = reply(host, "GET", host->paths[BLOBS], 200);
    row->headers = "Content-Type: " IMG_TYPE_OCI_MANIFEST "\r\n";
    row->body = host->manifest;
}

static void add_uploads(struct host *host)
{
    reply(host, "POST", "/v2/ns/app/blobs/uploads/*", 202)->headers = "Location: /up/1\r\n";
    reply(host, "PUT", "/up/1*", 201);
    reply(host, "PUT", "/v2/ns/app/manifests/*", 201);
}

static void open_host(struct host *host)
{
    const struct server_hook hook = {.arrived = arrived, .ctx = host};

    reply(host, NULL, NULL, 404);
    host->server = server_start(host->replies, host->reply_count);
    server_set_hook(host->server, &hook);
}

/* ---- copies ---- */

static int set_up(void **state)
{
    struct world *world = mir_alloc(sizeof(*world));
    pthread_condattr_t monotonic;

    (void)pthread_mutex_init(&world->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&world->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    world->clock = (struct mir_clock){.now_ms = still_now, .wait_ms = still_wait, .ctx = world};
    world->now_ms = 1000;
    for (size_t i = 0; i < COUNT(world->hosts); i++) {
        struct host *host = &world->hosts[i];

        host->world = world;
        host->method = "GET";
        host->path = "/v2/ns/app/blobs/";
        host->bears = JOBS;
        make_blobs(host, i == 0 ? "a" : "b");
        make_manifest(host);
    }
    world->dir = scratch_new();
    world->bundle = mir_format("%s/out.tar", world->dir);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    copy_free(world->copy);
    for (size_t i = 0; i < COUNT(world->hosts); i++) {
        struct host *host = &world->hosts[i];

        server_stop(host->server);
        free(host->manifest);
        for (size_t n = 0; n < COUNT(host->paths); n++)
            free(host->paths[n]);
    }
    scratch_remove(world->dir);
    free(world->bundle);
    (void)pthread_cond_destroy(&world->changed);
    (void)pthread_mutex_destroy(&world->lock);
    free(world);
    return 0;
}

static void copy_between(struct world *world, const char *const *sources, size_t count,
                         const char *destination, unsigned max_per_host)
{
    const struct copy_options options = {.jobs = JOBS,
                                         .max_per_host = max_per_host,
                                         .clock = &world->clock,
                                         .source = {.retry_times = 3},
                                         .destination = {.retry_times = 3}};
    bool ok = copy_new(&options, destination, &world->copy, &world->err);

    for (size_t i = 0; ok && i < count; i++)
        ok = copy_add(world->copy, sources[i], NULL, false, &world->err);
    if (!ok || !copy_plan(world->copy, &world->err) || !copy_run(world->copy, &world->err))
        fail_msg("%s", world->err.text);
    if (world->is_stuck)
        fail_msg("what the registry waited for did not come");
}

/* The images of all hosts that are open. */
static void pull(struct world *world, unsigned max_per_host)
{
    auto_free char *destination = mir_format("bundle:%s", world->bundle);
    char *sources[COUNT(world->hosts)] = {NULL};
    size_t count = 0;

    for (size_t i = 0; i < COUNT(world->hosts) && world->hosts[i].server; i++, count++)
        sources[i] = mir_format("docker://%s/ns/app@%s", server_host(world->hosts[i].server),
                                world->hosts[i].manifest_digest.text);
    copy_between(world, (const char *const *)sources, count, destination, max_per_host);
    for (size_t i = 0; i < count; i++)
        free(sources[i]);
}

/* ---- what must hold ---- */

static void expect_whole(struct world *world, size_t images)
{
    const struct bundle_verify_sink sink = {0};
    struct bundle_verify_totals totals;
    struct bundle_reader *reader;
    bool ok;

    if (!bundle_reader_open(world->bundle, BUNDLE_FORM_TAR, &reader, &world->err))
        fail_msg("%s", world->err.text);
    ok = bundle_verify(reader, 1, &sink, &totals, &world->err);
    bundle_reader_close(reader);
    if (!ok)
        fail_msg("%s", world->err.text);
    assert_int_equal(totals.problems, 0);
    assert_int_equal(totals.images, images);
    assert_int_equal(scratch_count(world->dir), 1);
}

/* Each blob was served once, and what was refused was asked for once more. */
static void expect_served_once(struct host *host)
{
    size_t asked = 0;

    for (size_t i = 0; i < BLOBS; i++) {
        size_t refused = 0;
        size_t times = server_count(host->server, "GET", host->paths[i]);

        for (size_t n = 0; n < times; n++)
            refused += server_request(host->server, "GET", host->paths[i], n)->reply->status != 200;
        assert_int_equal(times - refused, 1);
        asked += times;
    }
    assert_int_equal(asked, BLOBS + host->refuses);
}

/* Each blob was put once, and is what it should be. */
static void expect_put_once(struct host *host, const struct host *from)
{
    size_t puts = server_count(host->server, "PUT", "/up/1*");

    assert_int_equal(puts, BLOBS);
    for (size_t i = 0; i < BLOBS; i++) {
        const char *hex = strchr(from->digests[i].text, ':') + 1;
        size_t same = 0;

        for (size_t n = 0; n < puts; n++) {
            const struct server_request *put = server_request(host->server, "PUT", "/up/1*", n);

            same += strstr(put->path, hex) && put->body_len == BLOB_BYTES &&
                    memcmp(put->body, from->blobs[i], BLOB_BYTES) == 0;
        }
        assert_int_equal(same, 1);
    }
    assert_int_equal(server_count(host->server, "POST", NULL), BLOBS + host->refuses);
    assert_int_equal(server_count(host->server, "PUT", "/v2/ns/app/manifests/*"), 1);
}

static const struct pushback {
    const char *label;
    unsigned max_per_host; /* 0: not set */
    unsigned at_once;      /* gets so many at a time at first */
    unsigned refuses;      /* of them */
    int status;
    const char *headers;
    int64_t alone_ms;
    unsigned afterwards; /* gets so many at a time */
} pushbacks[] = {
    {"429 with Retry-After", 0, 4, 1, 429, "Retry-After: 7\r\n", RETRY_MS, 2},
    {"429 to all", 0, 4, 4, 429, "Retry-After: 7\r\n", RETRY_MS, 2},
    {"429 without", 0, 4, 1, 429, NULL, 0, 2},
    {"503 with Retry-After", 0, 4, 2, 503, "Retry-After: 7\r\n", RETRY_MS, 2},
    {"503 without", 0, 4, 1, 503, NULL, 0, 2},
    {"503 without, to all", 0, 4, 4, 503, NULL, 0, 2},
    {"three at a time", 3, 3, 1, 429, "Retry-After: 7\r\n", RETRY_MS, 2},
    {"two at a time", 2, 2, 1, 429, "Retry-After: 7\r\n", RETRY_MS, 1},
    {"one at a time", 1, 1, 1, 429, "Retry-After: 7\r\n", RETRY_MS, 1},
};

static void complain(struct host *host, const struct pushback *row)
{
    struct server_reply *refusal = reply(
        host, host->method,
        mir_starts_with(host->method, "P") ? "/v2/ns/app/blobs/uploads/*" : "/v2/ns/app/blobs/*",
        row->status);

    refusal->times = row->refuses;
    refusal->headers = row->headers;
    host->gather = row->at_once;
    host->refuses = row->refuses;
    host->bears = row->afterwards;
    host->world->alone_ms = row->alone_ms > 0 ? host->world->now_ms + row->alone_ms : 0;
}

static void expect_considered(const struct host *host, const struct pushback *row)
{
    if (host->early > 0)
        fail_msg("%s: asked %u times while it was to be left alone", row->label, host->early);
    if (host->peak != row->at_once)
        fail_msg("%s: %u at a time", row->label, host->peak);
    if (host->peak_after != row->afterwards)
        fail_msg("%s: %u at a time afterwards", row->label, host->peak_after);
}

static void each_row(void (*check)(struct world *world, const struct pushback *row))
{
    for (size_t i = 0; i < COUNT(pushbacks); i++) {
        void *state;

        (void)set_up(&state);
        check(state, &pushbacks[i]);
        (void)tear_down(&state);
    }
}

static void check_source(struct world *world, const struct pushback *row)
{
    struct host *host = &world->hosts[0];

    complain(host, row);
    add_image(host);
    open_host(host);
    pull(world, row->max_per_host);
    server_finish(host->server);
    expect_considered(host, row);
    expect_served_once(host);
    expect_whole(world, 1);
}

static void source_that_asks_for_patience_gets_it(void **state)
{
    (void)state;
    each_row(check_source);
}

/* The image comes from a bundle, which the second host filled. */
static void check_destination(struct world *world, const struct pushback *row)
{
    auto_free char *source = mir_format("bundle:%s", world->bundle);
    auto_free char *destination = NULL;
    struct host *from = &world->hosts[1];
    struct host *host = &world->hosts[0];

    host->method = "POST";
    complain(host, row);
    add_uploads(host);
    open_host(host);
    add_image(from);
    open_host(from);
    destination = mir_format("docker://%s", server_host(host->server));
    {
        auto_free char *first = mir_format("docker://%s/ns/app@%s", server_host(from->server),
                                           from->manifest_digest.text);

        copy_between(world, (const char *const[]){first}, 1, source, 0);
    }
    copy_free(world->copy);
    world->copy = NULL;
    copy_between(world, (const char *const[]){source}, 1, destination, row->max_per_host);
    server_finish(host->server);
    expect_considered(host, row);
    expect_put_once(host, from);
}

static void destination_that_asks_for_patience_gets_it(void **state)
{
    (void)state;
    each_row(check_destination);
}

/* The wait for the first host does not end before the second has been asked for everything. */
static void another_host_is_not_held_up(void **state)
{
    struct world *world = *state;

    complain(&world->hosts[0], &pushbacks[0]);
    for (size_t i = 0; i < COUNT(world->hosts); i++) {
        add_image(&world->hosts[i]);
        open_host(&world->hosts[i]);
    }
    pull(world, 0);
    for (size_t i = 0; i < COUNT(world->hosts); i++) {
        server_finish(world->hosts[i].server);
        expect_served_once(&world->hosts[i]);
    }
    expect_considered(&world->hosts[0], &pushbacks[0]);
    expect_whole(world, 2);
}

/* Time passes, so the host gets more at a time, up to the limit. */
static void max_per_host_is_reached_and_never_exceeded(void **state)
{
    const unsigned limits[] = {5, 6, 7};

    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct world *world;
        struct host *host;

        (void)set_up((void **)&world);
        host = &world->hosts[0];
        host->gather = limits[i];
        host->bears = limits[i];
        host->step_ms = 300;
        add_image(host);
        open_host(host);
        pull(world, limits[i]);
        server_finish(host->server);
        assert_int_equal(host->peak, limits[i]);
        expect_served_once(host);
        expect_whole(world, 1);
        (void)tear_down((void **)&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_that_asks_for_patience_gets_it),
        cmocka_unit_test(destination_that_asks_for_patience_gets_it),
        cmocka_unit_test_setup_teardown(another_host_is_not_held_up, set_up, tear_down),
        cmocka_unit_test(max_per_host_is_reached_and_never_exceeded),
    };
    struct mir_error err = MIR_ERROR_INIT;
    int failed;

    if (!http_global_init(&err))
        return 1;
    failed = cmocka_run_group_tests_name("copy/pushback", tests, NULL, NULL);
    http_global_cleanup();
    return failed;
}
