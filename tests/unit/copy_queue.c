/*
 * The queue of a copy: lanes taken in turn, no more at a time than a host bears, and a host that
 * asks for patience holds up nobody else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>

#include "copy/queue.h"
#include "lib/fake_clock.h"

#define WORKERS   16
#define ITEMS_MAX 400

struct item {
    const char *host;
    unsigned children; /* pushed by the job */
    bool complains;    /* pushes back, with Retry-After */
    int64_t began_ms;
    unsigned place; /* in the order of being taken */
    bool is_done;
};

struct bench {
    struct fake_clock clock;
    struct mir_cancel cancel;
    struct copy_queue queue;
    struct item items[ITEMS_MAX];
    atomic_size_t used;
    atomic_uint taken, running, most;
};

#define RETRY_AFTER_MS 60000

static struct bench *bench_new(unsigned cap)
{
    struct bench *b = test_calloc(1, sizeof(*b));

    fake_clock_init(&b->clock);
    copy_queue_init(&b->queue, &b->clock.clock, &b->cancel, cap);
    return b;
}

static void bench_free(struct bench *b)
{
    copy_queue_release(&b->queue);
    test_free(b);
}

static struct item *add(struct bench *b, const char *host)
{
    struct item *item = &b->items[atomic_fetch_add(&b->used, 1)];

    item->host = host;
    return item;
}

static void push(struct bench *b, struct item *item)
{
    copy_queue_push_between(&b->queue, item->host, NULL, item);
}

static void job(void *worker, void *what)
{
    struct bench *b = worker;
    struct item *item = what;
    unsigned running = atomic_fetch_add(&b->running, 1) + 1;
    unsigned most = atomic_load(&b->most);

    while (running > most && !atomic_compare_exchange_weak(&b->most, &most, running)) {
    }
    item->began_ms = mir_clock_now(&b->clock.clock);
    item->place = atomic_fetch_add(&b->taken, 1);
    for (unsigned i = 0; i < item->children; i++)
        push(b, add(b, item->host));
    if (item->complains) {
        struct mir_watch watch = copy_queue_watch(&b->queue, item->host);

        watch.pushed_back(watch.ctx, 429, RETRY_AFTER_MS);
    }
    item->is_done = true;
    atomic_fetch_sub(&b->running, 1);
}

static void run_with(struct bench *b, size_t workers)
{
    void *crew[WORKERS];

    for (size_t i = 0; i < WORKERS; i++)
        crew[i] = b;
    copy_queue_run(&b->queue, crew, workers, job);
    for (size_t i = 0; i < atomic_load(&b->used); i++)
        assert_true(b->items[i].is_done);
}

static void queue_runs_what_jobs_add(void **state)
{
    struct bench *b = bench_new(WORKERS);

    (void)state;
    for (int i = 0; i < 30; i++) {
        struct item *item = add(b, i % 2 ? "a" : NULL);

        item->children = 10;
        push(b, item);
    }
    run_with(b, WORKERS);
    assert_int_equal(atomic_load(&b->used), 330);
    run_with(b, WORKERS); /* nothing: returns */
    bench_free(b);
}

static void queue_gives_a_host_no_more_than_the_cap(void **state)
{
    const unsigned caps[] = {1, 2, 3};

    (void)state;
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct bench *b = bench_new(caps[i]);

        for (int n = 0; n < 200; n++)
            push(b, add(b, "a"));
        run_with(b, WORKERS);
        assert_in_range(atomic_load(&b->most), 1, caps[i]);
        bench_free(b);
    }
}

static void queue_takes_lanes_in_turn(void **state)
{
    struct bench *b = bench_new(WORKERS);

    (void)state;
    for (int i = 0; i < 10; i++)
        push(b, add(b, "a"));
    for (int i = 0; i < 10; i++)
        push(b, add(b, "b"));
    run_with(b, 1);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(b->items[i].place, 2 * i);
        assert_int_equal(b->items[10 + i].place, 2 * i + 1);
    }
    bench_free(b);
}

/* The clock moves only when somebody waits, which the queue does when nothing else is left. */
static void queue_leaves_a_host_alone_and_goes_on_with_others(void **state)
{
    struct bench *b = bench_new(1);
    int64_t start = mir_clock_now(&b->clock.clock);

    (void)state;
    add(b, "a")->complains = true;
    for (int i = 0; i < 5; i++)
        add(b, "a");
    for (int i = 0; i < 50; i++)
        add(b, "b");
    for (size_t i = 0; i < 56; i++)
        push(b, &b->items[i]);
    run_with(b, 2);
    for (size_t i = 1; i < 6; i++)
        assert_true(b->items[i].began_ms - start >= RETRY_AFTER_MS);
    for (size_t i = 6; i < 56; i++)
        assert_true(b->items[i].began_ms - start < RETRY_AFTER_MS);
    bench_free(b);
}

static void queue_tells_sessions_to_hold(void **state)
{
    struct bench *b = bench_new(WORKERS);
    struct mir_watch a = copy_queue_watch(&b->queue, "a");
    struct mir_watch other = copy_queue_watch(&b->queue, "b");

    (void)state;
    assert_int_equal(a.hold(a.ctx), 0);
    a.pushed_back(a.ctx, 429, RETRY_AFTER_MS);
    assert_in_range(a.hold(a.ctx), RETRY_AFTER_MS - 5000, RETRY_AFTER_MS);
    assert_int_equal(other.hold(other.ctx), 0);
    fake_clock_advance(&b->clock, RETRY_AFTER_MS);
    assert_int_equal(a.hold(a.ctx), 0);
    assert_ptr_equal(a.meter, copy_queue_watch(&b->queue, "a").meter);
    bench_free(b);
}

static void queue_hands_out_everything_after_a_cancel(void **state)
{
    struct bench *b = bench_new(1);
    struct mir_watch a = copy_queue_watch(&b->queue, "a");

    (void)state;
    a.pushed_back(a.ctx, 429, RETRY_AFTER_MS);
    for (int i = 0; i < 100; i++)
        push(b, add(b, "a"));
    atomic_store(&b->cancel.flag, 1);
    run_with(b, 4);
    assert_int_equal(b->clock.wait_count, 0);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_runs_what_jobs_add),
        cmocka_unit_test(queue_gives_a_host_no_more_than_the_cap),
        cmocka_unit_test(queue_takes_lanes_in_turn),
        cmocka_unit_test(queue_leaves_a_host_alone_and_goes_on_with_others),
        cmocka_unit_test(queue_tells_sessions_to_hold),
        cmocka_unit_test(queue_hands_out_everything_after_a_cancel),
    };

    return cmocka_run_group_tests_name("copy/queue", tests, NULL, NULL);
}
