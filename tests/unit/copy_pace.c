/*
 * A host's share of the transfers: what it does over time, for hosts of different kinds. Time is
 * counted, not waited for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "copy/pace.h"

/* A host whose throughput is known: each transfer brings each_bytes a second, all together no more
 * than all_bytes, in answers of answer_bytes. */
struct host {
    struct copy_pace pace;
    struct copy_pace_count count;
    uint64_t each_bytes, all_bytes, answer_bytes;
    uint64_t rest; /* bytes of an answer that is not whole yet */
    int64_t now_ms;
};

#define STEP_MS 10

static void fill(struct host *host)
{
    while (copy_pace_may_start(&host->pace, host->now_ms))
        copy_pace_start(&host->pace, host->now_ms, host->count);
}

/* As the queue does it: transfers end when their answer is whole, and others begin. */
static void live(struct host *host, int64_t ms)
{
    for (int64_t end = host->now_ms + ms; host->now_ms < end; host->now_ms += STEP_MS) {
        uint64_t bytes;

        fill(host);
        bytes = host->pace.running * host->each_bytes;
        bytes = (bytes < host->all_bytes ? bytes : host->all_bytes) * STEP_MS / 1000;
        host->count.bytes += bytes;
        host->rest += bytes;
        for (; host->rest >= host->answer_bytes; host->rest -= host->answer_bytes) {
            host->count.answers++;
            if (host->pace.running > 0)
                copy_pace_end(&host->pace);
        }
        copy_pace_measure(&host->pace, host->now_ms, host->count);
        assert_in_range(host->pace.limit, 1, host->pace.cap);
    }
}

static struct host new_host(uint64_t each, uint64_t all, uint64_t answer, unsigned cap)
{
    struct host host = {.each_bytes = each, .all_bytes = all, .answer_bytes = answer};

    copy_pace_init(&host.pace, cap);
    return host;
}

static void pace_starts_with_a_few_and_never_over_the_cap(void **state)
{
    const unsigned caps[] = {0, 1, 2, COPY_PACE_START, 100};
    const unsigned limits[] = {1, 1, 2, COPY_PACE_START, COPY_PACE_START};

    (void)state;
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct copy_pace pace;

        copy_pace_init(&pace, caps[i]);
        assert_int_equal(pace.limit, limits[i]);
    }
}

static void pace_rises_to_the_cap_while_throughput_rises(void **state)
{
    struct host host = new_host(1 << 20, UINT64_MAX, 20000, 32);

    (void)state;
    live(&host, 1000);
    assert_int_equal(host.pace.limit, 32);
}

static void pace_rises_for_large_transfers_too(void **state)
{
    struct host host = new_host(1 << 20, UINT64_MAX, UINT64_C(1) << 40, 32);

    (void)state;
    live(&host, 5000);
    assert_int_equal(host.pace.limit, 32);
}

/* Eight transfers fill the line: it tries sixteen now and then, and comes back. */
static void pace_stops_when_throughput_does_not_rise(void **state)
{
    struct host host = new_host(1 << 20, 8 << 20, UINT64_C(1) << 40, 64);
    unsigned higher = 0;

    (void)state;
    live(&host, 4000);
    for (int i = 0; i < 100; i++) {
        live(&host, 1000);
        assert_in_range(host.pace.limit, 8, 16);
        higher += host.pace.limit > 8;
    }
    assert_in_range(higher, 1, 40);
}

static void pace_notices_when_more_helps_again(void **state)
{
    struct host host = new_host(1 << 20, 4 << 20, 100000, 32);

    (void)state;
    live(&host, 20000);
    assert_in_range(host.pace.limit, 4, 8);
    host.all_bytes = UINT64_MAX;
    live(&host, COPY_PACE_REST_MAX + 2000);
    assert_int_equal(host.pace.limit, 32);
}

/* Where there is not enough to do, what comes through says nothing about the host. */
static void pace_stays_where_nobody_has_to_wait(void **state)
{
    struct copy_pace pace;
    struct copy_pace_count count = {0};

    (void)state;
    copy_pace_init(&pace, 32);
    copy_pace_start(&pace, 0, count);
    for (int64_t now = 0; now < 60000; now += 50) {
        count.bytes += (uint64_t)now << 10;
        count.answers += 40;
        copy_pace_measure(&pace, now, count);
    }
    assert_int_equal(pace.limit, COPY_PACE_START);
}

static void pace_halves_once_for_complaints_that_come_together(void **state)
{
    struct host host = new_host(1 << 20, UINT64_MAX, 20000, 32);

    (void)state;
    live(&host, 1000);
    for (int i = 0; i < 20; i++)
        copy_pace_push_back(&host.pace, host.now_ms + i, 0);
    assert_int_equal(host.pace.limit, 16);
    copy_pace_push_back(&host.pace, host.now_ms + 20 + COPY_PACE_EPISODE_MS, 0);
    assert_int_equal(host.pace.limit, 8);
}

static void pace_never_falls_below_one(void **state)
{
    struct copy_pace pace;

    (void)state;
    copy_pace_init(&pace, 32);
    for (int64_t now = 0; now < 100000; now += 5000)
        copy_pace_push_back(&pace, now, 1000);
    assert_int_equal(pace.limit, 1);
}

static void pace_starts_nothing_before_retry_after(void **state)
{
    struct copy_pace pace;

    (void)state;
    copy_pace_init(&pace, 32);
    assert_int_equal(copy_pace_hold(&pace, 1000), 0);
    copy_pace_push_back(&pace, 1000, 5000);
    copy_pace_push_back(&pace, 1500, 100); /* the longer wait stays */
    assert_int_equal(copy_pace_hold(&pace, 1500), 4500);
    assert_false(copy_pace_may_start(&pace, 5999));
    assert_int_equal(copy_pace_hold(&pace, 6000), 0);
    assert_true(copy_pace_may_start(&pace, 6000));
    assert_int_equal(pace.limit, COPY_PACE_START / 2);
}

static void pace_recovers_one_by_one(void **state)
{
    struct host host = new_host(1 << 20, UINT64_MAX, 20000, 32);

    (void)state;
    live(&host, 1000);
    copy_pace_push_back(&host.pace, host.now_ms, 3000);
    assert_int_equal(host.pace.limit, 16);
    live(&host, 3000 + COPY_PACE_RECOVER_MS - 500);
    assert_int_equal(host.pace.limit, 16);
    live(&host, 4 * COPY_PACE_RECOVER_MS);
    assert_in_range(host.pace.limit, 19, 20);
    live(&host, 20 * COPY_PACE_RECOVER_MS);
    assert_int_equal(host.pace.limit, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pace_starts_with_a_few_and_never_over_the_cap),
        cmocka_unit_test(pace_rises_to_the_cap_while_throughput_rises),
        cmocka_unit_test(pace_rises_for_large_transfers_too),
        cmocka_unit_test(pace_stops_when_throughput_does_not_rise),
        cmocka_unit_test(pace_notices_when_more_helps_again),
        cmocka_unit_test(pace_stays_where_nobody_has_to_wait),
        cmocka_unit_test(pace_halves_once_for_complaints_that_come_together),
        cmocka_unit_test(pace_never_falls_below_one),
        cmocka_unit_test(pace_starts_nothing_before_retry_after),
        cmocka_unit_test(pace_recovers_one_by_one),
    };

    return cmocka_run_group_tests_name("copy/pace", tests, NULL, NULL);
}
