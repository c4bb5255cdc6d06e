#include "daemon/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/send.h"
#include "daemon/status.h"
#include "daemon/text.h"
#include "daemon/trace.h"
#include "proto/frame.h"

/* --- errors ----------------------------------------------------------------------------------- */

int refuse(struct refusal *r, Virtualnet__Code code, const char *format, ...)
{
    va_list ap;

    r->code = code;
    va_start(ap, format);
    vsnprintf(r->why.text, sizeof r->why.text, format, ap);
    va_end(ap);
    return 1;
}

struct error_reply {
    Virtualnet__Response response;
    Virtualnet__Error error;
    struct vn_why text;
};

/* *e points into itself and into the refusal. */
static void fill_error(struct error_reply *e, uint64_t id, const struct refusal *refusal)
{
    e->text = refusal->why;
    text_utf8(e->text.text);
    virtualnet__error__init(&e->error);
    e->error.code = refusal->code;
    e->error.message = e->text.text;
    e->error.needed_bytes = refusal->needed_bytes;
    if (refusal->limit_name)
        e->error.limit_name = (char *)refusal->limit_name;
    e->error.limit = refusal->limit;
    e->error.current = refusal->current;
    e->error.retry_after_ms = refusal->retry_after_ms;
    if (refusal->phase)
        e->error.phase = (char *)refusal->phase;
    virtualnet__response__init(&e->response);
    e->response.id = id;
    e->response.result_case = VIRTUALNET__RESPONSE__RESULT_ERROR;
    e->response.error = &e->error;
}

int reply_encode_refusal(struct vn_buffer *b, uint64_t id, const struct refusal *refusal)
{
    struct error_reply e;

    fill_error(&e, id, refusal);
    return vn_frame_append(b, &e.response.base, VN_FRAME_MAX);
}

_Static_assert((int)UNKNOWN_STORE - (int)BAD_FRAME ==
                   (int)VIRTUALNET__CODE__UNKNOWN_STORE - (int)VIRTUALNET__CODE__BAD_FRAME,
               "a counter for every code, in the same order");

static enum daemon_counter code_counter(Virtualnet__Code code)
{
    return (enum daemon_counter)(BAD_FRAME + ((int)code - (int)VIRTUALNET__CODE__BAD_FRAME));
}

void reply_refusal(struct client *c, uint64_t id, const struct refusal *refusal)
{
    struct error_reply e;

    fill_error(&e, id, refusal);
    c->daemon->counters[code_counter(refusal->code)]++;
    trace_request(c, id, code_counter(refusal->code), NULL);
    if (refusal->limit_name && c->user)
        user_log_refusal(c->user, refusal);
    client_send(c, &e.response);
}

void reply_send(struct client *c, Virtualnet__Response *response, enum daemon_counter counter,
                const struct job *job)
{
    struct refusal r = {0};

    if (client_send(c, response) != VN_FRAME_E_TOO_LONG) {
        c->daemon->counters[counter]++;
        trace_request(c, response->id, counter, job);
        return;
    }
    refuse(&r, VIRTUALNET__CODE__BAD_REQUEST,
           "the answer would be longer than frame_limit_bytes (%llu); ask for one task or for "
           "fewer labels",
           (unsigned long long)c->daemon->config->frame_limit_bytes);
    reply_refusal(c, response->id, &r);
}

/* --- infer and plan --------------------------------------------------------------------------- */

static void refuse_too_small(struct refusal *r, const struct job *j)
{
    r->needed_bytes = j->result.needed_bytes;
    refuse(r, VIRTUALNET__CODE__BUDGET_TOO_SMALL,
           "the smallest path of task \"%s\" needs %llu bytes for this image, the budget is %llu; "
           "raise budget_bytes, or leave it out for the default",
           j->model->network->tasks[j->request.task].name,
           (unsigned long long)j->result.needed_bytes, (unsigned long long)j->request.budget_bytes);
}

static void refuse_deadline(struct refusal *r, const struct job *j)
{
    r->phase = j->phase;
    refuse(r, VIRTUALNET__CODE__DEADLINE,
           "the deadline, %lld ms after the request arrived, passed in phase \"%s\"; allow more "
           "time, or state a smaller budget",
           ((long long)j->deadline_ns - (long long)j->arrived_ns) / (long long)VN_NS_PER_MS,
           j->phase);
}

static void refuse_damaged(struct refusal *r, const struct job *j)
{
    char part[VN_PART_NAME];

    vn_store_part_name(j->model->store, j->result.damaged_part, part);
    refuse(r, VIRTUALNET__CODE__STORE_DAMAGED,
           "the store is damaged: %s does not agree with its checksum; put a good file in its "
           "place and reload. Paths without this part are still answered",
           part);
}

static void reply_failed(struct client *c, const struct job *j)
{
    struct refusal r = {0};

    switch (j->outcome) {
    case JOB_TOO_SMALL:
        refuse_too_small(&r, j);
        break;
    case JOB_DEADLINE:
        refuse_deadline(&r, j);
        break;
    case JOB_DAMAGED:
        refuse_damaged(&r, j);
        break;
    case JOB_OVERWRITTEN:
        refuse(&r, VIRTUALNET__CODE__STORE_DAMAGED,
               "the store's file was written to while it is in use; put a good file in its place "
               "by rename and reload");
        break;
    case JOB_NO_ROOM:
        promise_refuse(j, &c->daemon->memory.ledger,
                       schedule_retry_ms(c->daemon, schedule_running(c->daemon)), &r);
        break;
    case JOB_CANCELLED:
        if (c->daemon->stopping)
            refuse(&r, VIRTUALNET__CODE__SHUTTING_DOWN,
                   "the daemon stops and the run was not done in time; send it again");
        else
            refuse(&r, VIRTUALNET__CODE__CANCELLED, "the request was cancelled");
        break;
    default:
        refuse(&r, VIRTUALNET__CODE__INTERNAL, "the run failed: %s", strerror(-j->error));
    }
    reply_refusal(c, j->id, &r);
}

void reply_fill_bytes(const struct vn_bytes *from, Virtualnet__Bytes *ret_bytes)
{
    virtualnet__bytes__init(ret_bytes);
    ret_bytes->total = vn_bytes_total(from);
    ret_bytes->params = from->params;
    ret_bytes->params_resident = from->params_resident;
    ret_bytes->scratch = from->scratch;
    ret_bytes->io = from->io;
}

struct infer_reply {
    Virtualnet__Response response;
    Virtualnet__InferResponse infer;
    Virtualnet__Bytes bytes;
    uint32_t level[VN_BLOCKS_MAX];
    Virtualnet__Label label[VN_LABELS_MAX];
    Virtualnet__Label *labels[VN_LABELS_MAX];
};

static void fill_path(struct infer_reply *r, const struct job *j)
{
    const struct vn_plan *plan = &j->result.plan;

    for (uint32_t b = 0; b < plan->n_blocks; b++)
        r->level[b] = plan->level[b];
    r->infer.level = r->level;
    r->infer.n_level = plan->n_blocks;
    r->infer.density = plan->density;
    reply_fill_bytes(&plan->bytes, &r->bytes);
    r->infer.bytes = &r->bytes;
    r->infer.budget_bytes = j->request.budget_bytes;
    r->infer.streamed = plan->piece_windows > 0;
    r->infer.replanned = j->replanned;
    r->infer.decided_by =
        (char *)(j->result.fixed_path ? "request" : vn_agent_kind_names[j->result.decided_by]);
}

static void fill_labels(struct infer_reply *r, const struct job *j)
{
    const struct vn_task *task = &j->model->network->tasks[j->request.task];

    for (uint32_t i = 0; i < j->top_k; i++) {
        virtualnet__label__init(&r->label[i]);
        r->label[i].index = j->top[i];
        r->label[i].name = task->labels[j->top[i]];
        r->label[i].probability = j->result.probabilities[j->top[i]];
        r->labels[i] = &r->label[i];
    }
    r->infer.label = r->labels;
    r->infer.n_label = j->top_k;
}

static void count_run(struct client *c, const struct job *j)
{
    const uint64_t times[METRICS_SEND] = {
        [METRICS_QUEUE] = j->started_ns - j->arrived_ns,
        [METRICS_AGENT] = j->result.agent_ns,
        [METRICS_PAGE_IN] = j->result.page_in_ns,
        [METRICS_COMPUTE] = j->result.compute_ns,
    };
    const struct metrics_run run =
        metrics_count(stores_metrics(&c->daemon->stores, j->model),
                      j->model->network->tasks[j->request.task].name, j->request.task,
                      &j->result.plan, times, j->arrived_ns, j->ended_ns);

    client_count_sent(c, &run);
}

static void reply_done(struct client *c, const struct job *j)
{
    struct infer_reply r;

    virtualnet__response__init(&r.response);
    virtualnet__infer_response__init(&r.infer);
    r.response.id = j->id;
    r.response.result_case = VIRTUALNET__RESPONSE__RESULT_INFER;
    r.response.infer = &r.infer;
    r.infer.task = j->model->network->tasks[j->request.task].name;
    r.infer.store = (char *)j->model->settings->name;
    fill_path(&r, j);
    if (!j->request.plan_only)
        fill_labels(&r, j);
    r.infer.queue_ns = j->started_ns - j->arrived_ns;
    r.infer.agent_ns = j->result.agent_ns;
    r.infer.page_in_ns = j->result.page_in_ns;
    r.infer.compute_ns = j->request.plan_only ? 0 : j->result.compute_ns;
    reply_send(c, &r.response, j->request.plan_only ? PLAN_OK : INFER_OK, j);
    if (!j->request.plan_only)
        count_run(c, j);
}

void reply_job(struct client *c, const struct job *j)
{
    if (j->outcome == JOB_DONE)
        reply_done(c, j);
    else
        reply_failed(c, j);
}

/* --- cancel, status and reload ---------------------------------------------------------------- */

void reply_cancelled(struct client *c, uint64_t id, uint32_t requests)
{
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;
    Virtualnet__CancelResponse cancel = VIRTUALNET__CANCEL_RESPONSE__INIT;

    cancel.requests = requests;
    response.id = id;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_CANCEL;
    response.cancel = &cancel;
    reply_send(c, &response, CANCEL_OK, NULL);
}

void reply_status(struct client *c, uint64_t id, const struct status_report *r)
{
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;
    Virtualnet__StatusResponse status;
    struct status_lists lists;
    struct refusal refusal = {0};

    if (status_fill(c->daemon, r, &lists, &status)) {
        refuse(&refusal, VIRTUALNET__CODE__INTERNAL, "out of memory");
        reply_refusal(c, id, &refusal);
        return;
    }
    response.id = id;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_STATUS;
    response.status = &status;
    reply_send(c, &response, STATUS_OK, NULL);
    status_lists_deinit(&lists);
}

void reply_reloaded(struct client *c, uint64_t id, const struct model *m)
{
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;
    Virtualnet__ReloadResponse reload = VIRTUALNET__RELOAD_RESPONSE__INIT;

    reload.store = (char *)m->network->name;
    reload.name = (char *)m->settings->name;
    reload.file_bytes = m->store->file_bytes;
    response.id = id;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_RELOAD;
    response.reload = &reload;
    reply_send(c, &response, RELOAD_OK, NULL);
}
