#include "daemon/trace.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/client.h"
#include "daemon/job.h"

#define PATH_TEXT (3 * VN_BLOCKS_MAX + 1)

static const char *path(const struct vn_plan *plan, char text[static PATH_TEXT])
{
    size_t n = 0;

    text[0] = 0;
    for (uint32_t b = 0; b < plan->n_blocks; b++)
        n += (size_t)snprintf(text + n, PATH_TEXT - n, b ? ",%u" : "%u", plan->level[b]);
    return text;
}

static double ms(uint64_t ns)
{
    return (double)ns / (double)VN_NS_PER_MS;
}

static void trace_run(const struct client *c, uint64_t id, const char *outcome, const struct job *j)
{
    const struct vn_infer_result *r = &j->result;
    char text[PATH_TEXT];

    vn_log_debug(
        "request %llu of connection %llu (uid %u): %s, store %s, task %s, path %s, promised %llu "
        "bytes, queue %.3f ms, agent %.3f ms, page-in %.3f ms, compute %.3f ms",
        (unsigned long long)id, (unsigned long long)c->number, c->uid, outcome,
        j->model->settings->name, j->model->network->tasks[j->request.task].name,
        path(&r->plan, text), (unsigned long long)vn_bytes_total(&r->plan.bytes),
        ms(j->started_ns - j->arrived_ns), ms(r->agent_ns), ms(r->page_in_ns), ms(r->compute_ns));
}

void trace_request(const struct client *c, uint64_t id, enum daemon_counter outcome,
                   const struct job *job)
{
    if (!vn_log_wants(VN_LOG_DEBUG))
        return;
    if (job && job->outcome == JOB_DONE)
        trace_run(c, id, counter_names[outcome], job);
    else
        vn_log_debug("request %llu of connection %llu (uid %u): %s", (unsigned long long)id,
                     (unsigned long long)c->number, c->uid, counter_names[outcome]);
}
