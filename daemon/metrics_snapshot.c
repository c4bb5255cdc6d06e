/* A copy of the loop's numbers, for the text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/daemon.h"
#include "daemon/metrics_text.h"

static void take_store(const struct store *from, struct metrics_snapshot_store *s)
{
    const struct model *m = from->model;
    struct vn_store_checks checks;

    memset(s, 0, sizeof *s);
    snprintf(s->name, sizeof s->name, "%s", from->settings->name);
    s->number[METRICS_STORE_LOADED] = m != NULL;
    s->number[METRICS_STORE_LOADS] = from->loads;
    s->number[METRICS_STORE_FAILED_LOADS] = from->failed_loads;
    if (!m)
        return;
    checks = model_checks(m);
    snprintf(s->network, sizeof s->network, "%s", m->network->name);
    s->number[METRICS_STORE_BYTES] = m->store->file_bytes;
    s->number[METRICS_STORE_PARTS] = checks.parts;
    s->number[METRICS_STORE_PARTS_VERIFIED] = checks.good;
    s->number[METRICS_STORE_PARTS_DAMAGED] = checks.damaged;
    s->number[METRICS_STORE_RESIDENT] = vn_store_resident_bytes(m->store);
}

static void take_tasks(const struct daemon *d, uint32_t store, struct metrics_snapshot *s)
{
    const struct store *from = &d->stores.list[store];

    for (uint32_t t = 0; t < from->metrics.n_tasks; t++) {
        struct metrics_snapshot_task *task = &s->tasks[s->n_tasks++];

        task->store = store;
        task->counts = from->metrics.tasks[t];
        task->default_budget_bytes = config_budget(d->config, from->settings, task->counts.name);
    }
}

int metrics_snapshot_take(const struct daemon *d, struct metrics_snapshot *ret_snapshot)
{
    struct metrics_snapshot s = {
        .uptime_ns = vn_now_ns() - d->started_ns,
        .waiting_bytes = d->queue.bytes,
        .waiting_limit = d->queue.limit,
        .workers = d->pool.n_workers,
        .n_stores = d->stores.n,
    };
    size_t n = 0;

    for (uint32_t i = 0; i < s.n_stores; i++)
        n += d->stores.list[i].metrics.n_tasks;
    s.tasks = malloc(n * sizeof *s.tasks);
    if (!s.tasks)
        return -ENOMEM;
    for (uint32_t i = 0; i < s.n_stores; i++) {
        take_store(&d->stores.list[i], &s.stores[i]);
        take_tasks(d, i, &s);
    }
    status_report(d, &s.report);
    *ret_snapshot = s;
    return 0;
}

void metrics_snapshot_deinit(struct metrics_snapshot *s)
{
    free(s->tasks);
    *s = (struct metrics_snapshot){0};
}
