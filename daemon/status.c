#include "daemon/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/daemon.h"

struct status_memory status_memory(void)
{
    _cleanup_(vn_fclosep) FILE *f = fopen("/proc/self/smaps_rollup", "re");
    struct status_memory m = {0};
    char line[128];
    unsigned long long kib;

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Pss: %llu", &kib) == 1)
            m.pss = kib * 1024;
        else if (sscanf(line, "Pss_Anon: %llu", &kib) == 1)
            m.pss_anon = kib * 1024;
        else if (sscanf(line, "Pss_File: %llu", &kib) == 1)
            m.pss_file += kib * 1024;
        else if (sscanf(line, "Pss_Shmem: %llu", &kib) == 1) /* files on tmpfs */
            m.pss_file += kib * 1024;
        else if (sscanf(line, "Rss: %llu", &kib) == 1)
            m.rss = kib * 1024;
    }
    return m;
}

/* One number in a file; 0 when it cannot be read. */
static uint64_t read_number(const char *file)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "re");
    unsigned long long n;

    return f && fscanf(f, "%llu", &n) == 1 ? n : 0;
}

/* Lines are "0::/path" for the unified hierarchy, "7:memory:/path" for the older one. */
uint64_t status_cgroup_bytes(void)
{
    _cleanup_(vn_fclosep) FILE *f = fopen("/proc/self/cgroup", "re");
    char line[512], file[640];
    uint64_t bytes = 0;

    while (f && !bytes && fgets(line, sizeof line, f)) {
        char *path = strrchr(line, ':');

        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "0::/", 4))
            snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.current", path + 1);
        else if (strstr(line, ":memory:"))
            snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.usage_in_bytes", path + 1);
        else
            continue;
        bytes = read_number(file);
    }
    return bytes;
}

static void fill_counters(const struct daemon *d, struct status_counters *c,
                          Virtualnet__StatusResponse *s)
{
    _Static_assert(N_COUNTERS <= STATUS_COUNTERS_MAX, "every counter has a place in the reply");

    for (size_t i = 0; i < N_COUNTERS; i++) {
        virtualnet__counter__init(&c->counter[i]);
        c->counter[i].name = (char *)counter_names[i];
        c->counter[i].value = d->counters[i];
        c->list[i] = &c->counter[i];
    }
    s->counter = c->list;
    s->n_counter = N_COUNTERS;
}

void status_fill(const struct daemon *d, struct status_counters *c,
                 Virtualnet__StatusResponse *ret_status)
{
    struct vn_store_checks checks = model_checks(d->model);
    struct status_memory m = status_memory();

    virtualnet__status_response__init(ret_status);
    ret_status->version = (char *)VN_VERSION;
    ret_status->store = (char *)d->model->network->name;
    ret_status->uptime_ns = vn_now_ns() - d->started_ns;
    ret_status->promised_bytes = d->ledger.promised;
    ret_status->fixed_bytes = d->fixed_bytes;
    ret_status->pss_bytes = m.pss;
    ret_status->pss_anon_bytes = m.pss_anon;
    ret_status->pss_file_bytes = m.pss_file;
    ret_status->rss_bytes = m.rss;
    ret_status->cgroup_bytes = status_cgroup_bytes();
    ret_status->queue_length = d->queue.length;
    ret_status->queue_limit = d->queue.limit;
    ret_status->running = daemon_running(d);
    ret_status->workers = d->pool.n_workers;
    ret_status->connections = d->n_clients;
    ret_status->parts = checks.parts;
    ret_status->parts_verified = checks.good;
    ret_status->parts_damaged = checks.damaged;
    fill_counters(d, c, ret_status);
}
