#include "daemon/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/daemon.h"

/* The number behind "\nname:", 0 when there is none. */
static uint64_t find_kib(const char *text, const char *name)
{
    char key[32];
    const char *at;

    snprintf(key, sizeof key, "\n%s:", name);
    at = strstr(text, key);
    return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

struct status_memory status_memory(void)
{
    char text[4096];

    cgroup_read_file("/proc/self/smaps_rollup", text, sizeof text);
    return (struct status_memory){
        .pss = find_kib(text, "Pss"),
        .pss_anon = find_kib(text, "Pss_Anon"),
        /* files on tmpfs count as shared memory */
        .pss_file = find_kib(text, "Pss_File") + find_kib(text, "Pss_Shmem"),
        .rss = find_kib(text, "Rss"),
        .cgroup = cgroup_memory(),
    };
}

void status_report(const struct daemon *d, struct status_report *ret_report)
{
    _Static_assert(N_COUNTERS <= STATUS_COUNTERS_MAX, "every counter has a place in the reply");

    *ret_report = (struct status_report){
        .books = memory_report(d),
        .queue_length = d->queue.length,
        .running = schedule_running(d),
        .connections = d->n_clients,
    };
    memcpy(ret_report->counters, d->counters, sizeof d->counters);
}

static void fill_counters(const struct status_report *r, struct status_lists *l,
                          Virtualnet__StatusResponse *s)
{
    for (size_t i = 0; i < N_COUNTERS; i++) {
        virtualnet__counter__init(&l->counter[i]);
        l->counter[i].name = (char *)counter_names[i];
        l->counter[i].value = r->counters[i];
        l->counters[i] = &l->counter[i];
    }
    s->counter = l->counters;
    s->n_counter = N_COUNTERS;
}

struct status_task {
    Virtualnet__TaskStatus message;
    Virtualnet__Times times[METRICS_TIMES];
    Virtualnet__Times *list[METRICS_TIMES];
};

static void fill_times(struct metrics_task *from, struct status_task *t)
{
    for (int i = 0; i < METRICS_TIMES; i++) {
        virtualnet__times__init(&t->times[i]);
        t->times[i].phase = (char *)(i < METRICS_PHASES ? metrics_phase_names[i] : "total");
        t->times[i].sum_ns = from->times[i].sum_ns;
        t->times[i].count = from->times[i].count;
        t->times[i].n_count = METRICS_BUCKETS;
        t->list[i] = &t->times[i];
    }
    t->message.times = t->list;
    t->message.n_times = METRICS_TIMES;
}

static void fill_task(const struct daemon *d, const struct store *s, struct metrics_task *from,
                      struct status_task *t)
{
    virtualnet__task_status__init(&t->message);
    t->message.name = from->name;
    t->message.store = (char *)s->settings->name;
    t->message.groups = s->model->network->groups;
    t->message.default_budget_bytes = config_budget(d->config, s->settings, from->name);
    t->message.runs = from->runs;
    t->message.level_sum = from->levels;
    t->message.n_level_sum = from->n_blocks;
    fill_times(from, t);
}

static bool is_wanted(const struct status_report *r, const struct store *s)
{
    return !r->store || r->store == s;
}

static int make_tasks(const struct daemon *d, const struct status_report *r, struct status_lists *l)
{
    size_t n = 1; /* a store that is not loaded has none */

    for (uint32_t i = 0; i < d->stores.n; i++)
        n += is_wanted(r, &d->stores.list[i]) ? d->stores.list[i].metrics.n_tasks : 0;
    l->task = calloc(n, sizeof *l->task);
    l->tasks = calloc(n, sizeof *l->tasks);
    if (l->task && l->tasks)
        return 0;
    status_lists_deinit(l);
    return -ENOMEM;
}

static int fill_tasks(const struct daemon *d, const struct status_report *r, struct status_lists *l,
                      Virtualnet__StatusResponse *s)
{
    int error = make_tasks(d, r, l);

    if (error)
        return error;
    for (uint32_t i = 0; i < d->stores.n; i++) {
        const struct store *store = &d->stores.list[i];

        for (uint32_t t = 0; is_wanted(r, store) && t < store->metrics.n_tasks; t++) {
            fill_task(d, store, &store->metrics.tasks[t], &l->task[s->n_task]);
            l->tasks[s->n_task] = &l->task[s->n_task].message;
            s->n_task++;
        }
    }
    s->task = l->tasks;
    s->bucket_ns = (uint64_t *)metrics_bounds_ns;
    s->n_bucket_ns = METRICS_BUCKETS - 1;
    return 0;
}

static void fill_model(const struct model *m, Virtualnet__StoreStatus *s)
{
    const struct vn_store_checks checks = model_checks(m);

    s->loaded = true;
    s->network = (char *)m->network->name;
    s->file_bytes = m->store->file_bytes;
    s->parts = checks.parts;
    s->parts_verified = checks.good;
    s->parts_damaged = checks.damaged;
    s->tasks = m->network->n_tasks;
    s->blocks = vn_network_blocks(m->network);
    s->groups = m->network->groups;
    s->resident_bytes = vn_store_resident_bytes(m->store);
}

static void fill_stores(const struct daemon *d, struct status_lists *l,
                        Virtualnet__StatusResponse *s)
{
    for (uint32_t i = 0; i < d->stores.n; i++) {
        const struct store *from = &d->stores.list[i];

        virtualnet__store_status__init(&l->store[i]);
        l->store[i].name = (char *)from->settings->name;
        l->store[i].loads = from->loads;
        l->store[i].failed_loads = from->failed_loads;
        if (from->model) {
            l->store[i].loaded_since_ns = vn_now_ns() - from->loaded_ns;
            fill_model(from->model, &l->store[i]);
        }
        l->stores[i] = &l->store[i];
    }
    s->store_status = l->stores;
    s->n_store_status = d->stores.n;
}

void status_lists_deinit(struct status_lists *l)
{
    free(l->task);
    free(l->tasks);
    l->task = NULL;
    l->tasks = NULL;
}

static void fill_memory(const struct status_report *r, Virtualnet__StatusResponse *s)
{
    const struct memory_report *b = &r->books;

    s->memory_limit_bytes = b->limit;
    s->fixed_bytes = b->fixed;
    s->scratch_bytes = b->scratch;
    s->buffer_bytes = b->buffers;
    s->promised_bytes = b->promised;
    s->resident_bytes = b->resident;
    s->accounted_bytes = b->accounted;
    s->pressure_share = b->share;
    s->pressure_events = b->events;
    s->pss_bytes = r->memory.pss;
    s->pss_anon_bytes = r->memory.pss_anon;
    s->pss_file_bytes = r->memory.pss_file;
    s->rss_bytes = r->memory.rss;
    s->cgroup_bytes = r->memory.cgroup.charged;
    s->cgroup_reclaimable_bytes = r->memory.cgroup.reclaimable;
}

int status_fill(const struct daemon *d, const struct status_report *r,
                struct status_lists *ret_lists, Virtualnet__StatusResponse *ret_status)
{
    const struct vn_store_checks checks = stores_checks(&d->stores);

    virtualnet__status_response__init(ret_status);
    ret_status->version = (char *)VN_VERSION;
    ret_status->store = (char *)d->stores.list[0].model->network->name;
    ret_status->uptime_ns = vn_now_ns() - d->started_ns;
    fill_memory(r, ret_status);
    ret_status->queue_length = r->queue_length;
    ret_status->queue_limit = d->queue.limit;
    ret_status->running = r->running;
    ret_status->workers = d->pool.n_workers;
    ret_status->connections = r->connections;
    ret_status->parts = checks.parts;
    ret_status->parts_verified = checks.good;
    ret_status->parts_damaged = checks.damaged;
    ret_status->groups = d->stores.list[0].model->network->groups;
    fill_counters(r, ret_lists, ret_status);
    fill_stores(d, ret_lists, ret_status);
    return fill_tasks(d, r, ret_lists, ret_status);
}
