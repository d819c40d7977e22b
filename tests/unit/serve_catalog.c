/*
 * serve/catalog: what a new catalog takes over from the one before, and names under a prefix.
 */
#include "serve/catalog_priv.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/serve_bench.h"

static struct serve_catalog *catalog_of(const struct serve_bench *b, enum serve_verify verify,
                                        const struct serve_catalog *before, const char *prefix)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_catalog_options options = {.readers = &b->reader,
                                            .reader_count = 1,
                                            .prefix = prefix,
                                            .verify = verify,
                                            .jobs = 2,
                                            .before = before};
    struct serve_catalog *catalog;

    if (!serve_catalog_new(&options, &catalog, &err))
        fail_msg("%s", err.text);
    return catalog;
}

static enum serve_proof_state proof_of(const struct serve_bench *b,
                                       const struct serve_catalog *catalog)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_content *content = serve_catalog_find(catalog, &b->layer);
    enum serve_proof_state state;
    struct bundle_stamp stamp;

    assert_non_null(content);
    assert_true(serve_proof_get(content, &state, &stamp, &err));
    return state;
}

/* Somebody wrote to it, at least as far as the file system knows. */
static void touch_layer(const struct serve_bench *b)
{
    auto_free char *path = serve_bench_path(b, &b->layer);
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void nothing_is_known_before_it_is_hashed(void **state)
{
    auto_serve_bench b;
    struct serve_catalog *catalog;
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    serve_bench_init(&b);
    catalog = catalog_of(&b, SERVE_VERIFY_INDEX, NULL, NULL);
    assert_int_equal(proof_of(&b, catalog), SERVE_PROOF_NONE);
    assert_true(serve_proof_make(serve_catalog_find(catalog, &b.layer), NULL, &err));
    assert_int_equal(proof_of(&b, catalog), SERVE_PROOF_SOUND);
    serve_catalog_free(catalog);
}

static void proofs_outlive_a_catalog_unless_files_changed(void **state)
{
    auto_serve_bench b;
    struct serve_catalog *first, *second, *third;

    (void)state;
    serve_bench_init(&b);
    first = catalog_of(&b, SERVE_VERIFY_FULL, NULL, NULL);
    assert_int_equal(proof_of(&b, first), SERVE_PROOF_SOUND);
    second = catalog_of(&b, SERVE_VERIFY_INDEX, first, NULL);
    serve_catalog_free(first);
    assert_int_equal(proof_of(&b, second), SERVE_PROOF_SOUND);
    touch_layer(&b);
    assert_int_equal(proof_of(&b, second), SERVE_PROOF_NONE);
    third = catalog_of(&b, SERVE_VERIFY_INDEX, second, NULL);
    serve_catalog_free(second);
    assert_int_equal(proof_of(&b, third), SERVE_PROOF_NONE);
    serve_catalog_free(third);
}

static void full_ends_when_cancelled(void **state)
{
    auto_serve_bench b;
    struct mir_cancel cancel = {.flag = 1};
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_catalog_options options = {
        .reader_count = 1, .verify = SERVE_VERIFY_FULL, .jobs = 2, .cancel = &cancel};
    struct serve_catalog *catalog;

    (void)state;
    serve_bench_init(&b);
    options.readers = &b.reader;
    assert_false(serve_catalog_new(&options, &catalog, &err));
    assert_int_equal(err.code, MIR_E_CANCELLED);
}

static void a_prefix_stands_before_both_names(void **state)
{
    auto_serve_bench b;
    struct serve_catalog *catalog;
    const struct serve_names *names;

    (void)state;
    serve_bench_init(&b);
    catalog = catalog_of(&b, SERVE_VERIFY_INDEX, NULL, "lab/ocp");
    names = serve_catalog_repos(catalog);
    assert_true(names->count > 0);
    for (size_t i = 0; i < names->count; i++)
        assert_true(mir_starts_with(names->names[i], "lab/ocp/"));
    assert_non_null(serve_catalog_find_repo(catalog, "lab/ocp/team/app"));
    assert_non_null(serve_catalog_find_repo(catalog, "lab/ocp/" SERVE_BENCH_HOST "/team/app"));
    assert_null(serve_catalog_find_repo(catalog, "team/app"));
    serve_catalog_free(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_it_is_hashed),
        cmocka_unit_test(proofs_outlive_a_catalog_unless_files_changed),
        cmocka_unit_test(full_ends_when_cancelled),
        cmocka_unit_test(a_prefix_stands_before_both_names),
    };

    return cmocka_run_group_tests_name("serve/catalog", tests, NULL, NULL);
}
