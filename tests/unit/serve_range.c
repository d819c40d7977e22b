/*
 * serve/range: the Range header of RFC 9110, held within the blob.
 */
#include "serve/range_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#define WHOLE SERVE_RANGE_WHOLE
#define PART  SERVE_RANGE_PART
#define NONE  SERVE_RANGE_UNSATISFIABLE

struct row {
    const char *header;
    uint64_t size;
    enum serve_range_kind kind;
    uint64_t start, len;
};

static const struct row rows[] = {
    {NULL, 100, WHOLE, 0, 100},
    {"bytes=0-", 100, PART, 0, 100},
    {"bytes=40-", 100, PART, 40, 60},
    {"bytes=99-", 100, PART, 99, 1},
    {"bytes=100-", 100, NONE, 0, 0},
    {"bytes=0-0", 100, PART, 0, 1},
    {"bytes=10-19", 100, PART, 10, 10},
    {"bytes=10-99", 100, PART, 10, 90},
    {"bytes=10-100", 100, PART, 10, 90},
    {"bytes=10-18446744073709551615", 100, PART, 10, 90},
    {"bytes=10-99999999999999999999999", 100, PART, 10, 90},
    {"bytes=99999999999999999999999-", 100, NONE, 0, 0},
    {"bytes=18446744073709551615-18446744073709551615", 100, NONE, 0, 0},
    {"bytes=-1", 100, PART, 99, 1},
    {"bytes=-100", 100, PART, 0, 100},
    {"bytes=-1000", 100, PART, 0, 100},
    {"bytes=-0", 100, NONE, 0, 0},
    {"bytes=0-", 0, NONE, 0, 0},
    {"bytes=-5", 0, NONE, 0, 0},
    {"Bytes= 5-9 ", 100, PART, 5, 5},
    {"bytes=9-5", 100, WHOLE, 0, 100},
    {"bytes=-", 100, WHOLE, 0, 100},
    {"bytes=", 100, WHOLE, 0, 100},
    {"bytes", 100, WHOLE, 0, 100},
    {"", 100, WHOLE, 0, 100},
    {"bytes=a-b", 100, WHOLE, 0, 100},
    {"bytes=0x5-", 100, WHOLE, 0, 100},
    {"bytes=+5-", 100, WHOLE, 0, 100},
    {"bytes=5--7", 100, WHOLE, 0, 100},
    {"bytes=0-1,5-6", 100, WHOLE, 0, 100},
    {"lines=0-1", 100, WHOLE, 0, 100},
    {"bytes=5-9\r\nX: y", 100, WHOLE, 0, 100},
    {"bytes=4294967296-4294967297", UINT64_C(8589934592), PART, UINT64_C(4294967296), 2},
};

static void range_parse_stays_within_the_blob(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct serve_range range = serve_range_parse(row->header, row->size);

        if (range.kind != row->kind || range.start != row->start || range.len != row->len)
            fail_msg("%s: kind %d, %zu bytes at %zu", row->header ? row->header : "none",
                     range.kind, (size_t)range.len, (size_t)range.start);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_parse_stays_within_the_blob),
    };

    return cmocka_run_group_tests_name("serve/range", tests, NULL, NULL);
}
