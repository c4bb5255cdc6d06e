/* Every item of every turn is run once, by whoever is free, before vn_pool_run returns. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/pool.h"

#define ITEMS_MAX 64

struct count {
    atomic_uint item[ITEMS_MAX];
    atomic_uint thread[VN_POOL_THREADS_MAX];
    unsigned plain; /* written by one item only: is its writing seen by the caller? */
};

static void count(void *context, uint32_t item, uint32_t thread)
{
    struct count *c = context;

    atomic_fetch_add(&c->item[item], 1);
    atomic_fetch_add(&c->thread[thread], 1);
    if (item == 0)
        c->plain++;
}

static void expect_turns(uint32_t threads, unsigned turns, long pause_ns, bool rest)
{
    struct vn_pool *pool = NULL;
    struct count c = {0};

    cr_assert_eq(vn_pool_new(threads, &pool), 0);
    cr_assert_eq(vn_pool_threads(pool), threads);
    for (unsigned t = 0; t < turns; t++) {
        const uint32_t items = t % (ITEMS_MAX + 1);

        for (uint32_t i = 0; i < ITEMS_MAX; i++)
            c.item[i] = 0;
        c.plain = 0;
        vn_pool_run(pool, items, count, &c);
        for (uint32_t i = 0; i < ITEMS_MAX; i++)
            cr_assert_eq(c.item[i], i < items, "%u threads, turn %u of %u items: item %u ran %u x",
                         threads, t, items, i, c.item[i]);
        cr_assert_eq(c.plain, items != 0);
        if (rest)
            vn_pool_rest(pool);
        if (pause_ns)
            nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
    }
    for (uint32_t i = threads; i < VN_POOL_THREADS_MAX; i++)
        cr_assert_eq(c.thread[i], 0); /* numbers are those of scratch that there is */
    vn_pool_free(pool);
}

Test(pool, every_item_once, .timeout = 60)
{
    expect_turns(1, 100, 0, false);
    expect_turns(2, 20000, 0, false);
    expect_turns(3, 5000, 0, false);
    expect_turns(9, 500, 0, false); /* more than there are processors */
}

/* Long enough between turns that helpers sleep. */
Test(pool, sleepers_are_woken, .timeout = 60)
{
    expect_turns(2, 300, 2 * VN_POOL_SPIN_NS, false);
    expect_turns(5, 100, 2 * VN_POOL_SPIN_NS, false);
}

/* Sleep begins at once, and the next turn ends it. */
Test(pool, rest, .timeout = 60)
{
    expect_turns(2, 2000, 0, true);
    expect_turns(3, 300, VN_POOL_SPIN_NS / 2, true);
}

/* Helpers do take part: two items that wait for each other end only if two threads run them. */
static void meet(void *context, uint32_t item, uint32_t thread)
{
    atomic_uint *here = context;

    (void)item;
    (void)thread;
    atomic_fetch_add(here, 1);
    while (atomic_load(here) < 2)
        nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

Test(pool, helpers_help, .timeout = 60)
{
    struct vn_pool *pool = NULL;

    cr_assert_eq(vn_pool_new(2, &pool), 0);
    for (int i = 0; i < 100; i++) {
        atomic_uint here = 0;

        vn_pool_run(pool, 2, meet, &here);
        cr_assert_eq(here, 2);
    }
    vn_pool_free(pool);
}

Test(pool, limits)
{
    struct vn_pool *pool = NULL;

    cr_assert_eq(vn_pool_new(0, &pool), -EINVAL);
    cr_assert_eq(vn_pool_new(VN_POOL_THREADS_MAX + 1, &pool), -EINVAL);
    cr_assert_null(pool);
    cr_assert_eq(vn_pool_threads(NULL), 1);
    cr_assert_null(vn_pool_free(NULL));
}
