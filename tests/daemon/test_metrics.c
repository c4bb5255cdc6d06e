/* Counting: buckets, tables that follow the network, marks of an older table, and the cost. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/metrics.h"

static struct vn_task tasks[3];

/* A network of these tasks, one letter each, and so many blocks. */
static struct vn_network network(const char *letters, uint32_t blocks)
{
    struct vn_network n = {.tasks = tasks, .n_tasks = (uint32_t)strlen(letters), .n_stages = 1};

    n.stages[0].blocks = blocks;
    for (uint32_t i = 0; i < n.n_tasks; i++)
        snprintf(tasks[i].name, sizeof tasks[i].name, "%c", letters[i]);
    cr_assert_eq(vn_network_blocks(&n), blocks);
    return n;
}

static struct metrics_run count(struct metrics *m, const char *task, uint32_t index,
                                uint32_t blocks, uint64_t ns)
{
    const uint64_t times[METRICS_SEND] = {ns, ns, ns};
    struct vn_plan plan = {.n_blocks = blocks};

    memset(plan.level, 2, blocks);
    return metrics_count(m, task, index, &plan, times, 1000, 2000);
}

Test(metrics, buckets_include_their_bound)
{
    struct vn_network n = network("a", 2);
    struct metrics m = {0};

    cr_assert_eq(metrics_serve(&m, &n), 0);
    for (int i = 0; i < METRICS_BUCKETS - 1; i++) {
        count(&m, "a", 0, 2, metrics_bounds_ns[i]);
        cr_assert_eq(m.tasks[0].times[METRICS_AGENT].count[i], i ? 2 : 1);
        count(&m, "a", 0, 2, metrics_bounds_ns[i] + 1);
        cr_assert_eq(m.tasks[0].times[METRICS_AGENT].count[i + 1], 1);
        cr_assert(!i || metrics_bounds_ns[i] > metrics_bounds_ns[i - 1]);
    }
    cr_assert_eq(m.tasks[0].runs, 2 * (METRICS_BUCKETS - 1));
    cr_assert_eq(m.tasks[0].levels[1], 4 * (METRICS_BUCKETS - 1));
    metrics_deinit(&m);
}

Test(metrics, sent_is_timed_from_the_end_and_from_arrival)
{
    struct vn_network n = network("a", 2);
    struct metrics m = {0};
    struct metrics_run run;

    cr_assert_eq(metrics_serve(&m, &n), 0);
    run = count(&m, "a", 0, 2, 5);
    metrics_sent(&run, 2700);
    cr_assert_eq(m.tasks[0].times[METRICS_SEND].sum_ns, 700);
    cr_assert_eq(m.tasks[0].times[METRICS_TOTAL].sum_ns, 1700);
    metrics_deinit(&m);
}

Test(metrics, the_table_follows_the_network)
{
    struct vn_network n = network("ab", 2);
    struct metrics m = {0};
    struct metrics_run old;

    cr_assert_eq(metrics_serve(&m, &n), 0);
    old = count(&m, "b", 1, 2, 5);
    cr_assert(old.metrics);
    n = network("cb", 2); /* b stays, c is new, a goes */
    cr_assert_eq(metrics_serve(&m, &n), 0);
    cr_assert_str_eq(m.tasks[0].name, "c");
    cr_assert_eq(m.tasks[0].runs, 0);
    cr_assert_eq(m.tasks[1].runs, 1);
    metrics_sent(&old, 9000); /* of the table before: not timed, and nothing is broken */
    cr_assert_eq(m.tasks[1].times[METRICS_SEND].sum_ns, 0);
    cr_assert(!count(&m, "a", 0, 2, 5).metrics, "a run of a task that is gone");
    cr_assert(count(&m, "b", 0, 2, 5).metrics, "a run of the store before, under another index");
    cr_assert_eq(m.tasks[1].runs, 2);
    n = network("b", 3);
    cr_assert_eq(metrics_serve(&m, &n), 0);
    cr_assert_eq(m.tasks[0].runs, 0, "levels of other blocks do not add up");
    cr_assert(!count(&m, "b", 0, 2, 5).metrics);
    metrics_deinit(&m);
}

/* The smallest request takes the daemon 13 us of processor time, one of 28x28 pixels some 200; this
 * takes 0.1. The bound has room for sanitizers and a busy machine; the number is printed. */
Test(metrics, counting_costs_little)
{
    enum { N = 200000 };
    struct vn_network n = network("abc", 32);
    struct metrics m = {0};
    uint64_t best = UINT64_MAX;

    cr_assert_eq(metrics_serve(&m, &n), 0);
    for (int round = 0; round < 5; round++) {
        uint64_t start = vn_now_ns(), took;

        for (uint32_t i = 0; i < N; i++) {
            struct metrics_run run = count(&m, "b", 1, 32, 300000);

            metrics_sent(&run, vn_now_ns());
        }
        took = (vn_now_ns() - start) / N;
        best = took < best ? took : best;
    }
    fprintf(stderr, "a run is counted in %llu ns\n", (unsigned long long)best);
    cr_assert(best < 3000, "%llu ns", (unsigned long long)best);
    metrics_deinit(&m);
}
