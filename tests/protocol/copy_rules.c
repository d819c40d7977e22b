/*
 * A copy by the rules of the machine: places in order, refused ones, credentials that stay at home,
 * and what may not be copied at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "http/http.h"
#include "lib/must.h"
#include "lib/scene.h"
#include "lib/scratch.h"

#define SOURCE     "source.invalid/team/app"
#define MANY       60
#define CREDS      "user:s3cret-word"
#define CREDS_SENT "dXNlcjpzM2NyZXQtd29yZA==" /* in base64 */

/* What the rules say, and how often they were asked. */
struct book {
    const char *sites[4]; /* repositories on the server; a leading '!' is refused, '@' elsewhere */
    const char *host;
    const char *only; /* the tag of the one image that has these sites; others are at none/app */
    bool forbids, forbids_landing, knows_no_place;
    size_t asked;
};

static bool allow(void *ctx, const struct copy_subject *subject, struct mir_error *err)
{
    struct book *book = ctx;

    book->asked++;
    assert_true(subject->image || subject->path);
    return !book->forbids || mir_fail(err, MIR_E_CONFLICT, "the book forbids it");
}

static bool find(void *ctx, const struct img_ref *image, struct copy_sites *out,
                 struct mir_error *err)
{
    const struct book *book = ctx;
    const char *const none[4] = {"none/app"};
    const char *const *sites =
        book->only && strcmp(image->tag, book->only) != 0 ? none : book->sites;

    if (book->knows_no_place)
        return mir_fail(err, MIR_E_FORMAT, "the book knows no place");
    for (size_t i = 0; i < 4 && sites[i]; i++) {
        struct copy_site *site = copy_sites_add(out);
        const char *repo = sites[i];

        if (repo[0] == '!') {
            (void)mir_fail(&site->refused, MIR_E_CONFLICT, "%s is closed", repo + 1);
            continue;
        }
        site->is_elsewhere = repo[0] == '@';
        site->ref.host = mir_strdup(book->host);
        site->ref.repo = mir_strdup(repo + site->is_elsewhere);
    }
    return true;
}

static bool land(void *ctx, const struct img_ref *destination, bool *insecure,
                 struct mir_error *err)
{
    const struct book *book = ctx;

    assert_non_null(destination->host);
    *insecure = false;
    return !book->forbids_landing || mir_fail(err, MIR_E_CONFLICT, "the book closes that harbour");
}

static int set_up(void **state)
{
    *state = scene_new();
    return 0;
}

static int tear_down(void **state)
{
    scene_free(*state);
    return 0;
}

/* Copy images of the source by digest (tags for any, so that they are images of their own). */
static bool copy_by(struct scene *scene, struct book *book, size_t images, const char *creds)
{
    const struct copy_rules rules = {.allow = allow, .find = find, .land = land, .ctx = book};
    auto_free char *destination = mir_format("bundle:%s", scene->bundle);
    const struct copy_options options = {.jobs = 8,
                                         .rules = &rules,
                                         .progress = &scene->progress,
                                         .clock = &scene->clock.clock,
                                         .cancel = &scene->cancel,
                                         .source = {.creds = creds}};

    if (!scene->server)
        scene->server = server_start(scene->replies, scene->count);
    book->host = server_host(scene->server);
    must(copy_new(&options, destination, &scene->copy, &scene->err), &scene->err);
    for (size_t i = 0; i < images; i++) {
        auto_free char *source =
            mir_format("docker://" SOURCE ":t%zu@%s", i, scene->manifest_digest.text);

        must(copy_add(scene->copy, source, NULL, false, &scene->err), &scene->err);
    }
    return copy_plan(scene->copy, &scene->err) && copy_run(scene->copy, &scene->err);
}

/* The one image's own error. */
static const char *error_of(const struct scene *scene)
{
    struct copy_result result;

    copy_get_result(scene->copy, 0, &result);
    return result.error ? result.error->text : "";
}

static const char *served_by(const struct scene *scene)
{
    struct copy_result result;

    copy_get_result(scene->copy, 0, &result);
    return result.served_by ? result.served_by : "";
}

static void expect_served_by(struct scene *scene, const char *repo)
{
    auto_free char *want = mir_format("%s/%s", server_host(scene->server), repo);

    if (scene->err.code != MIR_OK)
        fail_msg("%s: %s", scene->err.text, error_of(scene));
    assert_string_equal(served_by(scene), want);
    if (!scene_is_whole(scene))
        fail_msg("%s", scene->err.text);
}

static char *manifest_path(struct scene *scene, const char *repo)
{
    return scene_keep(scene, mir_format("/v2/%s/manifests/%s", repo, scene->manifest_digest.text));
}

/* ---- places ---- */

static void copy_takes_everything_from_the_first_place_that_has_it(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"none/app", "ns/app", "later/app"}};

    scene_honest(scene);
    (void)copy_by(scene, &book, 1, NULL);
    expect_served_by(scene, "ns/app");
    assert_int_equal(server_count(scene->server, "GET", manifest_path(scene, "none/app")), 1);
    assert_int_equal(server_count(scene->server, NULL, "/v2/none/app/blobs/*"), 0);
    assert_int_equal(server_count(scene->server, NULL, "/v2/later/app/*"), 0);
}

static void copy_goes_on_to_the_next_place_whatever_is_wrong_with_one(void **state)
{
    static const struct server_reply wrongs[] = {
        {.status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"},
        {.status = 403},
        {.status = 500},
        {.status = 200, .body = "{\"schemaVersion\": 2}"},
        {.status = 200, .body = "not even JSON"},
        {.status = 302, .headers = "Location: ftp://x/\r\n"},
        {.fault = SERVER_FAULT_SILENCE},
        {.fault = SERVER_FAULT_RESET, .status = 200, .body = "abcdef", .fault_at = 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct scene *scene = scene_new();
        struct book book = {.sites = {"bad/app", "ns/app"}};
        struct server_reply row = wrongs[i];

        row.path = "/v2/bad/*";
        scene_reply(scene, row);
        scene_honest(scene);
        (void)copy_by(scene, &book, 1, NULL);
        expect_served_by(scene, "ns/app");
        scene_free(scene);
    }
}

static void copy_names_all_places_when_none_has_it(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"one/app", "!two/app", "three/app"}};

    scene_honest(scene);
    assert_false(copy_by(scene, &book, 1, NULL));
    must_have(error_of(scene), "/v2/three/app/manifests/");
    must_have(error_of(scene), "(before that: ");
    must_have(error_of(scene), "/v2/one/app/manifests/");
    must_have(error_of(scene), "; two/app is closed)");
    assert_string_equal(served_by(scene), "");
}

static void copy_asks_no_place_that_is_refused(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"!closed/app", "ns/app"}};

    scene_honest(scene);
    (void)copy_by(scene, &book, 1, NULL);
    expect_served_by(scene, "ns/app");
    assert_int_equal(server_count(scene->server, NULL, "/v2/closed/app/*"), 0);
}

static void copy_fails_without_a_request_when_all_places_are_refused(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"!one/app", "!two/app"}};

    scene_honest(scene);
    assert_false(copy_by(scene, &book, 1, NULL));
    assert_string_equal(error_of(scene), "two/app is closed (before that: one/app is closed)");
    assert_int_equal(server_count(scene->server, NULL, NULL), 0);
}

static void copy_fails_alone_what_has_no_place(void **state)
{
    struct scene *scene = *state;
    struct book book = {.knows_no_place = true};

    scene_honest(scene);
    assert_false(copy_by(scene, &book, 1, NULL));
    assert_string_equal(error_of(scene), "the book knows no place");
    assert_int_equal(server_count(scene->server, NULL, NULL), 0);
}

/* Images of one digest share what is read; whoever reads it goes through all of its places. */
static void copy_of_many_images_shares_what_one_place_had(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"none/app", "@void/app", "ns/app"}};
    struct copy_totals totals;

    scene_honest(scene);
    if (!copy_by(scene, &book, MANY, CREDS))
        fail_msg("%s: %s", scene->err.text, error_of(scene));
    copy_get_totals(scene->copy, &totals);
    assert_int_equal(totals.copied, MANY);
    assert_int_equal(book.asked, MANY);
    assert_int_equal(server_count(scene->server, "GET", manifest_path(scene, "ns/app")), 1);
}

/* The same bytes under many names: it is enough that one of them has a place. */
static void copy_takes_what_any_name_of_a_digest_leads_to(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"ns/app"}, .only = "t7"};
    struct copy_totals totals;

    scene_honest(scene);
    if (!copy_by(scene, &book, 10, NULL))
        fail_msg("%s: %s", scene->err.text, error_of(scene));
    copy_get_totals(scene->copy, &totals);
    assert_int_equal(totals.copied, 10);
    assert_int_equal(atomic_load(&scene->progress.images_done), 10);
    must_have(served_by(scene), "/ns/app");
}

/* ---- credentials ---- */

static void add_login(struct scene *scene, const char *path)
{
    scene_reply(scene,
                (struct server_reply){.path = path,
                                      .lacks = "Authorization: Basic",
                                      .status = 401,
                                      .headers = "WWW-Authenticate: Basic realm=\"here\"\r\n"});
}

static void copy_sends_credentials_to_the_image_s_own_host(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"ns/app"}};

    add_login(scene, "/v2/ns/*");
    scene_honest(scene);
    (void)copy_by(scene, &book, 1, CREDS);
    expect_served_by(scene, "ns/app");
    assert_true(server_was_told(scene->server, CREDS_SENT));
}

static void copy_keeps_credentials_from_places_elsewhere(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"@shut/app", "@ns/app"}};

    add_login(scene, "/v2/shut/*");
    scene_honest(scene);
    (void)copy_by(scene, &book, 1, CREDS);
    expect_served_by(scene, "ns/app");
    assert_true(server_count(scene->server, NULL, "/v2/shut/*") > 0);
    assert_false(server_was_told(scene->server, CREDS_SENT));
    assert_false(server_was_told(scene->server, "Authorization"));
}

/* ---- may it? ---- */

static void copy_asks_nobody_for_what_it_may_not_copy(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"ns/app"}, .forbids = true};

    scene_honest(scene);
    assert_false(copy_by(scene, &book, 1, NULL));
    assert_string_equal(error_of(scene), "the book forbids it");
    assert_int_equal(server_count(scene->server, NULL, NULL), 0);
    assert_int_equal(scratch_count(scene->dir), 0);
}

static void copy_asks_nobody_when_the_destination_is_closed(void **state)
{
    struct scene *scene = *state;
    struct book book = {.sites = {"ns/app"}, .forbids_landing = true};
    const struct copy_rules rules = {.land = land, .ctx = &book};
    const struct copy_options options = {.rules = &rules,
                                         .clock = &scene->clock.clock,
                                         .cancel = &scene->cancel,
                                         .progress = &scene->progress};
    auto_free char *destination = NULL;

    scene_honest(scene);
    scene->server = server_start(scene->replies, scene->count);
    destination = mir_format("docker://%s/in/app:1", server_host(scene->server));
    must(copy_new(&options, destination, &scene->copy, &scene->err), &scene->err);
    must(copy_add(scene->copy, "docker://" SOURCE ":1", NULL, false, &scene->err), &scene->err);
    assert_false(copy_plan(scene->copy, &scene->err) && copy_run(scene->copy, &scene->err));
    assert_string_equal(error_of(scene), "the book closes that harbour");
    assert_int_equal(server_count(scene->server, NULL, NULL), 0);
}

int main(void)
{
#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SCENE(copy_takes_everything_from_the_first_place_that_has_it),
        cmocka_unit_test(copy_goes_on_to_the_next_place_whatever_is_wrong_with_one),
        WITH_SCENE(copy_names_all_places_when_none_has_it),
        WITH_SCENE(copy_asks_no_place_that_is_refused),
        WITH_SCENE(copy_fails_without_a_request_when_all_places_are_refused),
        WITH_SCENE(copy_fails_alone_what_has_no_place),
        WITH_SCENE(copy_of_many_images_shares_what_one_place_had),
        WITH_SCENE(copy_takes_what_any_name_of_a_digest_leads_to),
        WITH_SCENE(copy_sends_credentials_to_the_image_s_own_host),
        WITH_SCENE(copy_keeps_credentials_from_places_elsewhere),
        WITH_SCENE(copy_asks_nobody_for_what_it_may_not_copy),
        WITH_SCENE(copy_asks_nobody_when_the_destination_is_closed),
    };
#undef WITH_SCENE
    struct mir_error err = MIR_ERROR_INIT;
    int failed;

    if (!http_global_init(&err))
        return 1;
    failed = cmocka_run_group_tests_name("copy/rules", tests, NULL, NULL);
    http_global_cleanup();
    return failed;
}
