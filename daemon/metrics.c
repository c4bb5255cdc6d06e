#include "daemon/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

const char *const metrics_phase_names[METRICS_PHASES] = {"queue", "agent", "page_in", "compute",
                                                         "send"};

/* Two or three a decade, from what a small network takes to what nobody waits for. */
const uint64_t metrics_bounds_ns[METRICS_BUCKETS - 1] = {
    20 * US, 50 * US, 100 * US, 200 * US, 500 * US, 1 * MS,   2 * MS,    5 * MS,
    10 * MS, 20 * MS, 50 * MS,  100 * MS, 200 * MS, 500 * MS, 1000 * MS, 5000 * MS,
};

/* The task's place, looked for first where it most likely is; NULL: it is not served. */
static struct metrics_task *find(const struct metrics *m, const char *name, uint32_t index)
{
    if (index < m->n_tasks && !strcmp(m->tasks[index].name, name))
        return &m->tasks[index];
    for (uint32_t i = 0; i < m->n_tasks; i++)
        if (!strcmp(m->tasks[i].name, name))
            return &m->tasks[i];
    return NULL;
}

/* Levels of blocks that are others now do not add up: they begin anew, and so do the runs. */
static void begin_task(struct metrics_task *t, const struct metrics_task *before, const char *name,
                       uint32_t n_blocks)
{
    if (before && before->n_blocks == n_blocks)
        *t = *before;
    else
        snprintf(t->name, sizeof t->name, "%s", name);
    t->n_blocks = n_blocks;
}

int metrics_serve(struct metrics *m, const struct vn_network *n)
{
    struct metrics_task *tasks = calloc(n->n_tasks, sizeof *tasks);

    if (!tasks)
        return -ENOMEM;
    for (uint32_t i = 0; i < n->n_tasks; i++) {
        const char *name = n->tasks[i].name;

        begin_task(&tasks[i], find(m, name, i), name, vn_network_blocks(n));
    }
    free(m->tasks);
    m->tasks = tasks;
    m->n_tasks = n->n_tasks;
    m->generation++;
    return 0;
}

static void observe(struct metrics_histogram *h, uint64_t ns)
{
    uint32_t i = 0;

    while (i < METRICS_BUCKETS - 1 && ns > metrics_bounds_ns[i])
        i++;
    h->count[i]++;
    h->sum_ns += ns;
}

struct metrics_run metrics_count(struct metrics *m, const char *task, uint32_t index,
                                 const struct vn_plan *plan, const uint64_t time_ns[METRICS_SEND],
                                 uint64_t arrived_ns, uint64_t ended_ns)
{
    struct metrics_task *t = find(m, task, index);

    if (!t || t->n_blocks != plan->n_blocks)
        return (struct metrics_run){.metrics = NULL};
    t->runs++;
    for (uint32_t b = 0; b < t->n_blocks; b++)
        t->levels[b] += plan->level[b];
    for (int i = 0; i < METRICS_SEND; i++)
        observe(&t->times[i], time_ns[i]);
    return (struct metrics_run){
        .metrics = m,
        .generation = m->generation,
        .index = (uint32_t)(t - m->tasks),
        .arrived_ns = arrived_ns,
        .ended_ns = ended_ns,
    };
}

void metrics_sent(const struct metrics_run *run, uint64_t now_ns)
{
    struct metrics_task *t;

    if (!run->metrics || run->generation != run->metrics->generation)
        return;
    t = &run->metrics->tasks[run->index];
    observe(&t->times[METRICS_SEND], now_ns - run->ended_ns);
    observe(&t->times[METRICS_TOTAL], now_ns - run->arrived_ns);
}

void metrics_deinit(struct metrics *m)
{
    free(m->tasks);
    *m = (struct metrics){0};
}
