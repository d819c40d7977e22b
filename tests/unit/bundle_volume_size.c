/*
 * bundle/volume_size: what users may write for the size of a volume, and how many that makes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bundle/bundle.h"
#include "bundle/volumes_priv.h"

static void volume_size_parse_takes_what_people_write(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"65536", 65536},        {"65536B", 65536},
        {"1000000", 999936},     {"64KiB", 65536},
        {"64kib", 65536},        {"100KB", 99840},
        {"100kB", 99840},        {"1MiB", 1048576},
        {"700MB", 699999744},    {"4GiB", 4294967296},
        {"4gib", 4294967296},    {"4.7GB", 4699999744},
        {"1.5GiB", 1610612736},  {"0.25MiB", 262144},
        {"2TiB", 2199023255552}, {"2TB", 2000000000000},
        {"dvd", 4699998208},     {"DVD", 4699998208},
        {"fat32", 4294966784},   {"9223372036854775807", 9223372036854775296u},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        uint64_t bytes = 0;

        if (!bundle_volume_size_parse(rows[i].text, &bytes, &err) || bytes != rows[i].bytes)
            fail_msg("%s: %llu, %s", rows[i].text, (unsigned long long)bytes, err.text);
    }
}

static void volume_size_parse_rejects(void **state)
{
    static const struct {
        const char *text, *says, *hint;
    } rows[] = {
        {"", "is no size", "4GiB"},
        {"big", "is no size", "4GiB"},
        {"GiB", "is no size", "4GiB"},
        {"-1", "is no size", "4GiB"},
        {" 4GiB", "is no size", "4GiB"},
        {"4 GiB", "is no size", "4GiB"},
        {"4GiBs", "is no size", "4GiB"},
        {"4G", "is no size", "4GiB (steps of 1024) or 4GB (steps of 1000)"},
        {"0x10000", "is no size", "4GiB"},
        {"1.GiB", "is no size", "4GiB"},
        {".5GiB", "is no size", "4GiB"},
        {"1.2.3GiB", "is no size", "4GiB"},
        {"1.2345GiB", "is no size", "4GiB"},
        {"bluray", "is no size", "dvd"},
        {"0", "too small", "64KiB"},
        {"65535", "too small", "64KiB"},
        {"63.999KiB", "too small", "64KiB"},
        {"9223372036854775808", "is no size", ""},
        {"8388608TiB", "larger than any file", ""},
        {"99999999999TB", "larger than any file", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        uint64_t bytes = 7;

        if (bundle_volume_size_parse(rows[i].text, &bytes, &err))
            fail_msg("\"%s\" was taken", rows[i].text);
        if (err.code != MIR_E_USAGE || bytes != 7 || !strstr(err.text, rows[i].says) ||
            !strstr(err.hint, rows[i].hint))
            fail_msg("\"%s\": %d, %s, hint %s", rows[i].text, err.code, err.text, err.hint);
    }
}

static void volumes_count_is_exact_at_the_edges(void **state)
{
    static const struct {
        uint64_t bytes, volume_bytes;
        size_t count; /* 0: too many */
    } rows[] = {
        {10240, 0, 1},
        {65536, 65536, 1},
        {65537, 65536, 2},
        {131072, 65536, 2},
        {999 * 65536ull, 65536, 999},
        {999 * 65536ull + 1, 65536, 0},
        {INT64_MAX, 65536, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        size_t count = 0;
        bool counted = bundle_volumes_count(rows[i].bytes, rows[i].volume_bytes, &count, &err);

        if (counted != (rows[i].count > 0) || count != rows[i].count)
            fail_msg("row %zu: %zu, %s", i, count, err.text);
        if (!counted) {
            assert_int_equal(err.code, MIR_E_USAGE);
            assert_non_null(strstr(err.hint, "take volumes of at least"));
        }
    }
}

static void the_size_the_hint_names_is_enough(void **state)
{
    (void)state;
    for (uint64_t bytes = 70000000; bytes < INT64_MAX / 3; bytes *= 3) {
        struct mir_error err = MIR_ERROR_INIT;
        char text[32];
        uint64_t size;
        size_t count;

        assert_false(bundle_volumes_count(bytes, BUNDLE_VOLUME_MIN, &count, &err));
        assert_int_equal(sscanf(err.hint, "take volumes of at least %31s", text), 1);
        mir_error_clear(&err);
        assert_true(bundle_volume_size_parse(text, &size, &err));
        assert_true(bundle_volumes_count(bytes, size, &count, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volume_size_parse_takes_what_people_write),
        cmocka_unit_test(volume_size_parse_rejects),
        cmocka_unit_test(volumes_count_is_exact_at_the_edges),
        cmocka_unit_test(the_size_the_hint_names_is_enough),
    };

    return cmocka_run_group_tests_name("bundle/volume_size", tests, NULL, NULL);
}
