#include "daemon/promise.h"

#include "daemon/job.h"
#include "daemon/reply.h"

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static struct vn_plan uniform(const struct job *j, uint32_t level)
{
    struct vn_plan plan;

    vn_plan_uniform(j->model->planner, j->request.task, level, j->image.length, &plan);
    return plan;
}

int promise_refuse(const struct job *j, const struct ledger *l, uint32_t retry_ms,
                   struct refusal *r)
{
    uint64_t needed = ledger_bytes(&j->promise), possible = ledger_possible(l);
    bool never = needed > possible;
    uint64_t left = never ? possible : ledger_left(l);

    r->limit_name = "memory_limit_bytes";
    r->limit = l->limit;
    r->current = l->limit - left;
    r->needed_bytes = needed;
    r->retry_after_ms = never ? 0 : retry_ms;
    return refuse(
        r, VIRTUALNET__CODE__BUSY,
        "the run may need %llu bytes beside its scratch, and memory_limit_bytes, which is %llu, "
        "leaves %llu%s; %s",
        (unsigned long long)needed, (unsigned long long)l->limit, (unsigned long long)left,
        never ? "" : " beside the runs that are on",
        never ? "state a smaller budget_bytes, allow streaming, or set when_full to REPLAN"
              : "try again, or state a smaller budget_bytes");
}

/* --- a path that the request fixes ------------------------------------------------------------ */

static int refuse_path(const struct job *j, uint64_t needed, struct refusal *r)
{
    r->needed_bytes = needed;
    return refuse(r, VIRTUALNET__CODE__BUDGET_TOO_SMALL,
                  "the path that level states needs %llu bytes%s, budget_bytes is %llu; raise it, "
                  "or leave one of the two out",
                  (unsigned long long)needed, j->request.streaming ? ", streamed" : "",
                  (unsigned long long)job_call(j)->budget_bytes);
}

/* Its bytes exactly; streamed where that is allowed and needed. */
static int promise_path(struct job *j, uint64_t possible, struct refusal *r)
{
    struct vn_infer_request *q = &j->request;
    const uint64_t stated = q->budget_bytes ? q->budget_bytes : UINT64_MAX;
    struct vn_plan plan;
    uint64_t most;

    vn_plan_path(j->model->planner, q->task, q->levels, q->n_levels, j->image.length, &plan);
    most = sum(possible, plan.bytes.scratch);
    most = most < stated ? most : stated;
    if (q->streaming && vn_bytes_total(&plan.bytes) > most) {
        vn_plan_stream(j->model->planner, most, &plan);
        q->budget_bytes = most; /* the run comes to the same plan */
    }
    j->promise = (struct ledger_promise){plan.bytes.params_resident, plan.bytes.io};
    return vn_bytes_total(&plan.bytes) > stated ? refuse_path(j, vn_bytes_total(&plan.bytes), r)
                                                : 0;
}

/* --- a path that is chosen in the run --------------------------------------------------------- */

/* Pressure lowers the budget of who states none, but not below the smallest path. */
static void apply_share(struct job *j, double share)
{
    struct vn_infer_request *q = &j->request;
    const struct vn_plan full = uniform(j, j->model->network->groups), least = uniform(j, 0);
    uint64_t most = q->budget_bytes ? q->budget_bytes : vn_bytes_total(&full.bytes);

    if (share >= 1 || job_call(j)->budget_bytes)
        return;
    q->budget_bytes = (uint64_t)((double)most * share);
    if (q->budget_bytes < vn_bytes_total(&least.bytes))
        q->budget_bytes = vn_bytes_total(&least.bytes);
}

/* Beside its scratch, of the smallest path. */
static uint64_t least_bytes(const struct job *j)
{
    const struct vn_plan least = uniform(j, 0);

    return least.bytes.params_resident + least.bytes.io;
}

/* As if `bytes` beside the scratch were all that there is. */
static void shrink(struct job *j, uint64_t bytes)
{
    j->promise.params = bytes - j->promise.io;
    j->request.budget_bytes = sum(bytes, uniform(j, 0).bytes.scratch);
    j->replanned = job_call(j)->budget_bytes > 0;
}

bool promise_shrink(struct job *j, uint64_t bytes)
{
    if (j->when_full != MEMORY_FULL_REPLAN || j->request.levels || least_bytes(j) > bytes)
        return false;
    shrink(j, bytes);
    j->replanned = true;
    return true;
}

/* The most that it can be: the full path, or as much of it as the budget holds. */
static void promise_choice(struct job *j, uint64_t possible)
{
    const uint64_t budget = j->request.budget_bytes;
    struct vn_bytes b = uniform(j, j->model->network->groups).bytes;
    uint64_t others = b.scratch + b.io;

    if (budget && budget < vn_bytes_total(&b))
        b.params_resident = budget > others ? budget - others : 0;
    j->promise = (struct ledger_promise){b.params_resident, b.io};
    if (ledger_bytes(&j->promise) <= possible || least_bytes(j) > possible)
        return;
    if (!job_call(j)->budget_bytes || j->when_full == MEMORY_FULL_REPLAN)
        shrink(j, possible);
}

/* --- all -------------------------------------------------------------------------------------- */

int promise_make(struct job *j, const struct promise_terms *terms, struct refusal *r)
{
    const Virtualnet__InferRequest *call = job_call(j);
    const uint64_t possible = ledger_possible(terms->ledger);
    int fits;

    if (!protobuf_c_enum_descriptor_get_value(&virtualnet__when_full__descriptor,
                                              (int)call->when_full))
        return refuse(r, VIRTUALNET__CODE__BAD_REQUEST,
                      "when_full is %d; it must be 1 (WAIT), 2 (REPLAN) or 3 (REFUSE)",
                      (int)call->when_full);
    j->when_full =
        call->when_full ? (enum memory_full)((int)call->when_full - 1) : terms->when_full;
    j->request.streaming = call->streaming;
    if (j->request.levels && promise_path(j, possible, r))
        return 1;
    if (!j->request.levels) {
        apply_share(j, terms->default_share);
        promise_choice(j, possible);
    }
    fits = ledger_fits(terms->ledger, &j->promise);
    if (fits == LEDGER_E_NEVER || (fits && j->when_full == MEMORY_FULL_REFUSE))
        return promise_refuse(j, terms->ledger, terms->retry_ms, r);
    return 0;
}
