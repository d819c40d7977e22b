/*
 * base: hashing, the map, files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "lib/scratch.h"

/* ---- hash ---- */

static void hash_knows_the_published_vectors(void **state)
{
    char hex[MIR_HASH_HEX_MAX];

    (void)state;
    mir_hash_bytes(MIR_HASH_SHA256, mir_span_of("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    mir_hash_bytes(MIR_HASH_SHA512, mir_span_of("abc"), hex);
    assert_string_equal(hex, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                             "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void hash_of_pieces_is_hash_of_the_whole(void **state)
{
    auto_hash *hash = mir_hash_new(MIR_HASH_SHA256);
    char pieces[MIR_HASH_HEX_MAX], whole[MIR_HASH_HEX_MAX];

    (void)state;
    mir_hash_update(hash, mir_span_of("thrown away"));
    mir_hash_reset(hash);
    mir_hash_update(hash, mir_span_of("one "));
    mir_hash_update(hash, mir_span_of(""));
    mir_hash_update(hash, mir_span_of("two"));
    mir_hash_final(hash, pieces);
    mir_hash_bytes(MIR_HASH_SHA256, mir_span_of("one two"), whole);
    assert_string_equal(pieces, whole);
}

/* ---- map ---- */

static void map_finds_what_was_set_among_many(void **state)
{
    static int values[5000];
    auto_map *map = mir_map_new();
    char key[32];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "key-%d", i);
        mir_map_set(map, mir_span_of(key), &values[i]);
    }
    assert_int_equal(mir_map_count(map), 5000);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "key-%d", i);
        assert_ptr_equal(mir_map_find(map, mir_span_of(key)), &values[i]);
    }
    assert_null(mir_map_find(map, mir_span_of("key-5000")));
}

static void map_borrows_keys_when_told_to(void **state)
{
    char keys[1000][16];
    auto_map *map = mir_map_new_borrowing();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%d", i);
        mir_map_set(map, mir_span_of(keys[i]), &keys[i]);
    }
    assert_int_equal(mir_map_count(map), 1000);
    for (int i = 0; i < 1000; i++)
        assert_ptr_equal(mir_map_find(map, mir_span_of(keys[i])), &keys[i]);
    /* The key is the caller's memory: under other bytes it is another key. */
    keys[7][0] = 'x';
    assert_null(mir_map_find(map, mir_span_of("7")));
}

static void map_replaces_and_tells_prefixes_apart(void **state)
{
    auto_map *map = mir_map_new();
    int a, b;

    (void)state;
    mir_map_set(map, mir_span_of("x"), &a);
    mir_map_set(map, mir_span_of("x"), &b);
    mir_map_set(map, mir_span("x\0y", 3), &a);
    assert_int_equal(mir_map_count(map), 2);
    assert_ptr_equal(mir_map_find(map, mir_span_of("x")), &b);
    assert_ptr_equal(mir_map_find(map, mir_span("x\0y", 3)), &a);
    assert_null(mir_map_find(map, mir_span_of("")));
}

/* ---- file ---- */

static int make_directory(void **state)
{
    *state = scratch_new();
    return 0;
}

static int remove_directory(void **state)
{
    scratch_remove(*state);
    return 0;
}

static void file_write_replaces_whole_and_leaves_nothing_beside(void **state)
{
    auto_free char *path = mir_format("%s/file", (char *)*state);
    auto_free char *data = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    struct stat info;
    size_t len;

    assert_true(mir_file_write(path, mir_span_of("first, and longer"), 0644, &err));
    assert_true(mir_file_write(path, mir_span_of("second"), 0600, &err));
    assert_true(mir_file_read(path, 100, &data, &len, &err));
    assert_string_equal(data, "second");
    assert_int_equal(len, 6);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(scratch_count(*state), 1);
}

static void file_write_into_a_missing_directory_names_it(void **state)
{
    auto_free char *path = mir_format("%s/none/file", (char *)*state);
    struct mir_error err = MIR_ERROR_INIT;

    assert_false(mir_file_write(path, mir_span_of("x"), 0644, &err));
    assert_int_equal(err.code, MIR_E_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
}

static void file_write_over_a_directory_keeps_it(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *path = mir_format("%s/dir", (char *)*state);
    struct stat info;

    assert_true(mir_make_dirs(path, &err));
    assert_false(mir_file_write(path, mir_span_of("x"), 0644, &err));
    assert_int_equal(stat(path, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    assert_int_equal(scratch_count(*state), 1);
}

static void file_read_refuses_what_is_over_the_limit(void **state)
{
    auto_free char *path = mir_format("%s/file", (char *)*state);
    auto_free char *big = mir_alloc(200001);
    auto_free char *data = NULL;
    struct mir_error err = MIR_ERROR_INIT;
    size_t len;

    memset(big, 'b', 200000);
    assert_true(mir_file_write(path, mir_span_of(big), 0644, &err));
    assert_false(mir_file_read(path, 199999, &data, &len, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    mir_error_clear(&err);
    assert_true(mir_file_read(path, 200000, &data, &len, &err));
    assert_int_equal(len, 200000);
    assert_string_equal(data, big);
}

static void make_dirs_makes_all_and_refuses_a_file_in_the_way(void **state)
{
    auto_free char *deep = mir_format("%s/a", (char *)*state);
    auto_free char *file = mir_format("%s/file", (char *)*state);
    auto_free char *below = mir_format("%s/file/x", (char *)*state);
    struct mir_error err = MIR_ERROR_INIT;

    assert_true(mir_make_dirs(deep, &err));
    assert_true(mir_make_dirs(deep, &err));
    assert_true(mir_file_write(file, mir_span_of(""), 0644, &err));
    assert_false(mir_make_dirs(file, &err));
    mir_error_clear(&err);
    assert_false(mir_make_dirs(below, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_knows_the_published_vectors),
        cmocka_unit_test(hash_of_pieces_is_hash_of_the_whole),
        cmocka_unit_test(map_finds_what_was_set_among_many),
        cmocka_unit_test(map_borrows_keys_when_told_to),
        cmocka_unit_test(map_replaces_and_tells_prefixes_apart),
        cmocka_unit_test_setup_teardown(file_write_replaces_whole_and_leaves_nothing_beside,
                                        make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(file_write_into_a_missing_directory_names_it,
                                        make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(file_write_over_a_directory_keeps_it, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(file_read_refuses_what_is_over_the_limit, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(make_dirs_makes_all_and_refuses_a_file_in_the_way,
                                        make_directory, remove_directory),
    };

    return cmocka_run_group_tests_name("base/store", tests, NULL, NULL);
}
