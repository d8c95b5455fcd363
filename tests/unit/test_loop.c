/* src/net: timers in order, watches that are removed in time, tasks in order, jobs there and back; memory that is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/epoll.h>

#include "net/pool.h"
#include "net/workers.h"

#define TIMERS 500u
#define JOBS   300u

struct test {
    struct loop *loop;
    unsigned count;
    uint64_t last_ms;
};

struct alarm {
    struct loop_timer timer;
    struct test *test;
};

static void alarm_rings(struct loop_timer *timer) {
    struct test *test = ((struct alarm *)timer)->test;

    assert_true(timer->due_ms >= test->last_ms && timer->due_ms <= loop_now_ms(test->loop));
    assert_int_equal(timer->index, 0);
    test->last_ms = timer->due_ms;
    if (--test->count == 0)
        loop_stop(test->loop);
}

/* Every third is cleared again, every fifth set anew. */
static void timers_expire_in_order(void **state) {
    struct test test = {.loop = loop_new()};
    struct alarm *alarms = calloc(TIMERS, sizeof *alarms);

    (void)state;
    assert_true(test.loop != NULL && alarms != NULL);
    for (unsigned i = 0; i < TIMERS; i++) {
        alarms[i] = (struct alarm){{.expired = alarm_rings}, &test};
        assert_int_equal(loop_timer_set(test.loop, &alarms[i].timer, i * 7919u % 97u), 0);
    }
    for (unsigned i = 0; i < TIMERS; i += 5)
        assert_int_equal(loop_timer_set(test.loop, &alarms[i].timer, i % 31u), 0);
    for (unsigned i = 0; i < TIMERS; i++) {
        if (i % 3 == 0)
            loop_timer_clear(test.loop, &alarms[i].timer);
        else
            test.count++;
    }
    assert_int_equal(loop_run(test.loop), 0);
    assert_int_equal(test.count, 0);
    loop_free(test.loop);
    free(alarms);
}

struct pair {
    struct loop_watch watch;
    struct test *test;
    struct pair *other;
};

static void first_removes_other(struct loop_watch *watch, uint32_t events) {
    struct pair *pair = (struct pair *)watch;

    assert_true((events & EPOLLIN) != 0);
    loop_watch_remove(pair->test->loop, &pair->watch);
    loop_watch_remove(pair->test->loop, &pair->other->watch);
    pair->test->count++;
    loop_stop(pair->test->loop);
}

static void removed_watch_is_not_called(void **state) {
    struct test test = {.loop = loop_new()};
    struct pair pairs[2];
    int ends[2][2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pipe(ends[i]), 0);
        pairs[i] = (struct pair){{ends[i][0], EPOLLIN, first_removes_other}, &test, &pairs[1 - i]};
        assert_int_equal(loop_watch_add(test.loop, &pairs[i].watch), 0);
        assert_int_equal(write(ends[i][1], "x", 1), 1);
    }
    assert_int_equal(loop_run(test.loop), 0);
    assert_int_equal(test.count, 1);
    for (unsigned i = 0; i < 2; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
    loop_free(test.loop);
}

struct work {
    struct job job;
    struct test *test;
    unsigned number, result;
};

static void square(struct job *job) {
    struct work *work = (struct work *)job;

    work->result = work->number * work->number;
}

static void squared(struct job *job) {
    struct work *work = (struct work *)job;

    assert_int_equal(work->result, work->number * work->number);
    if (++work->test->count == JOBS)
        loop_stop(work->test->loop);
}

static void jobs_come_back(void **state) {
    struct test test = {.loop = loop_new()};
    struct workers *workers = workers_new(3);
    struct work works[JOBS];

    (void)state;
    assert_true(test.loop != NULL && workers != NULL);
    for (unsigned i = 0; i < JOBS; i++) {
        works[i] = (struct work){{.loop = test.loop, .work = square, .done = squared}, &test, i, 0};
        assert_true(workers_submit(workers, &works[i].job));
    }
    assert_int_equal(loop_run(test.loop), 0);
    assert_int_equal(test.count, JOBS);
    workers_free(workers);
    loop_free(test.loop);
}

/* Blocks of all sizes, whole and for themselves; the last one that was given back is the next of its size. */
static void blocks_come_back(void **state) {
    struct pool pool = {0};
    void *blocks[24];

    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        blocks[i] = pool_take(&pool, ((size_t)1 << i) + i);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)i, ((size_t)1 << i) + i);
    }
    for (unsigned i = 0; i < 24; i++) {
        assert_int_equal(*(uint8_t *)blocks[i], i);
        pool_give(&pool, blocks[i], ((size_t)1 << i) + i);
        assert_true(pool.kept <= POOL_KEPT_MAX);
    }
    assert_ptr_equal(pool_take(&pool, 4000), blocks[12]);
    pool_give(&pool, blocks[12], 4000);
    pool_empty(&pool);
    assert_int_equal(pool.kept, 0);
}

/* More is given back than is kept. */
static void pool_keeps_no_more(void **state) {
    enum { COUNT = 64, SIZE = 1048576 };
    struct pool pool = {0};
    void *blocks[COUNT];

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        assert_non_null(blocks[i] = pool_take(&pool, SIZE));
    for (unsigned i = 0; i < COUNT; i++)
        pool_give(&pool, blocks[i], SIZE);
    assert_in_range(pool.kept, POOL_KEPT_MAX / 2, POOL_KEPT_MAX);
    pool_empty(&pool);
}

/* What was needed since pool_tidy() was called last is kept, the rest is not. */
static void pool_keeps_what_is_needed(void **state) {
    enum { COUNT = 8, NEEDED = 3, SIZE = 65536 };
    struct pool pool = {0};
    void *blocks[COUNT];
    size_t full;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        assert_non_null(blocks[i] = pool_take(&pool, SIZE));
    for (unsigned i = 0; i < COUNT; i++)
        pool_give(&pool, blocks[i], SIZE);
    full = pool.kept;
    pool_tidy(&pool); /* all were needed */
    assert_int_equal(pool.kept, full);
    for (unsigned i = 0; i < NEEDED; i++)
        assert_non_null(blocks[i] = pool_take(&pool, SIZE));
    for (unsigned i = 0; i < NEEDED; i++)
        pool_give(&pool, blocks[i], SIZE);
    pool_tidy(&pool);
    assert_int_equal(pool.kept, full / COUNT * NEEDED);
    pool_tidy(&pool);
    assert_int_equal(pool.kept, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_expire_in_order),
        cmocka_unit_test(removed_watch_is_not_called),
        cmocka_unit_test(jobs_come_back),
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(pool_keeps_no_more),
        cmocka_unit_test(pool_keeps_what_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
