#include "daemon/memory.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/cgroup.h"
#include "daemon/daemon.h"

#define RESERVE_SHARE 8 /* of the group's limit, for the kernel's own: sockets, page tables */
#define LOADING_SHARE 4 /* of the limit, for what is read before the first run */

/* For code that is first touched by later requests, and the heap of connections. */
#define LATER_BYTES (UINT64_C(1) << 20)

int memory_init(struct memory *m, const struct config *c)
{
    uint64_t limit = c->memory_limit_bytes ? c->memory_limit_bytes : cgroup_limit();

    *m = (struct memory){.by_cgroup = !c->memory_limit_bytes && limit};
    if (m->by_cgroup)
        limit -= limit / RESERVE_SHARE;
    ledger_init(&m->ledger, limit);
    if (vn_residency_new(&m->residency))
        return -ENOMEM;
    if (limit)
        vn_residency_set_room(m->residency, limit / LOADING_SHARE);
    return 0;
}

void memory_deinit(struct memory *m)
{
    m->residency = vn_residency_free(m->residency);
}

void memory_add(struct memory *m, struct model *model)
{
    model->memory = m;
    m->ledger.scratch += model->scratch_bytes;
    m->ledger.fixed += model->store->layout->fixed_bytes;
}

void memory_remove(struct memory *m, const struct model *model)
{
    m->ledger.scratch -= model->scratch_bytes;
    m->ledger.fixed -= model->store->layout->fixed_bytes;
}

void memory_begin(struct daemon *d, uint64_t pss_bytes)
{
    d->memory.ledger.fixed = pss_bytes + LATER_BYTES;
    memory_note(d);
}

/* Whether every task's smallest path fits beside what the process holds. */
static void check_tasks(const struct model *m, uint64_t possible)
{
    for (uint32_t t = 0; t < m->network->n_tasks; t++) {
        struct vn_plan least;

        vn_plan_uniform(m->planner, t, 0, 0, &least);
        if (least.bytes.params_resident + least.bytes.io <= possible)
            continue;
        vn_log_warning("store %s, task \"%s\": its smallest path needs %llu bytes beside its "
                       "scratch, and the memory limit leaves %llu; requests will be refused",
                       m->settings->name, m->network->tasks[t].name,
                       (unsigned long long)(least.bytes.params_resident + least.bytes.io),
                       (unsigned long long)possible);
        return;
    }
}

void memory_say(const struct daemon *d)
{
    const struct ledger *l = &d->memory.ledger;
    const uint64_t possible = ledger_possible(l);
    char limit[VN_BYTES_TEXT], left[VN_BYTES_TEXT];

    if (l->limit == UINT64_MAX)
        return;
    vn_log_notice("memory limit %s%s; %s of it for runs and what they keep",
                  vn_bytes_format(l->limit, limit),
                  d->memory.by_cgroup ? " (the control group's less an eighth)" : "",
                  vn_bytes_format(possible, left));
    for (uint32_t i = 0; i < d->stores.n; i++)
        if (d->stores.list[i].model)
            check_tasks(d->stores.list[i].model, possible);
}

void memory_note(struct daemon *d)
{
    struct memory *m = &d->memory;

    m->ledger.buffers = d->queue.bytes + d->input_bytes;
    vn_residency_set_room(m->residency, ledger_room(&m->ledger));
}

struct memory_report memory_report(const struct daemon *d)
{
    const struct ledger *l = &d->memory.ledger;
    struct memory_report r = {
        .limit = l->limit == UINT64_MAX ? 0 : l->limit,
        .fixed = l->fixed > LATER_BYTES ? l->fixed - LATER_BYTES : 0,
        .scratch = l->scratch,
        .buffers = d->queue.bytes + d->input_bytes,
        .promised = ledger_bytes(&l->promised),
        .resident = vn_residency_bytes(d->memory.residency),
        .share = pressure_share(&d->memory.pressure),
        .events = d->memory.pressure.events,
    };

    r.accounted = l->fixed + r.scratch + r.buffers + r.resident + l->promised.io;
    return r;
}
