#include "train/answer.h"

#include <errno.h>
#include <string.h>

#include "base/rng.h"
#include "engine/work.h"
#include "train/packnet.h"

#define RANDOM_SEED UINT64_C(0x72616e646f6d)
#define RANDOM_TRIES 1000 /* paths that are drawn before the largest uniform one that fits */

static const struct vn_network *network_of(const struct vn_question *q)
{
    return vn_session_store(q->session)->network;
}

static uint64_t agent_params(const struct vn_question *q)
{
    const struct vn_store *s = vn_session_store(q->session);

    return vn_layout_agent_params(s->network, s->layout, s->network->tasks[q->task].input);
}

/* The parts of an answer that do not depend on how its path was found. */
static void fill(const struct vn_infer_result *r, struct vn_answer *ret)
{
    uint32_t best;

    vn_top_k(r->probabilities, r->n_labels, 1, &best);
    *ret = (struct vn_answer){.fits = true,
                              .label = (uint16_t)best,
                              .confidence = r->probabilities[best],
                              .params = vn_plan_params(&r->plan),
                              .bytes = r->plan.bytes.params_resident};
    memcpy(ret->level, r->plan.level, r->plan.n_blocks);
}

/* --- given paths ------------------------------------------------------------------------------ */

/* A plan counts the agent also where nobody asks it: that is taken off again. */
static int run_path(const struct vn_question *q, const uint8_t *levels, struct vn_answer *ret)
{
    const struct vn_network *n = network_of(q);
    const struct vn_infer_request request = {.task = q->task,
                                             .image = q->image,
                                             .levels = levels,
                                             .n_levels = vn_network_blocks(n),
                                             .agent = n->agent.kind};
    struct vn_infer_result result;
    int r = vn_infer(q->session, &request, &(struct vn_control){0}, &result);

    if (r)
        return r < 0 ? r : -EIO;
    fill(&result, ret);
    ret->params -= agent_params(q);
    ret->work = vn_work_path(n, q->task, levels);
    return 0;
}

static int run_level(struct vn_question *q, uint32_t level, struct vn_answer *ret)
{
    uint8_t levels[VN_BLOCKS_MAX];
    int r = 0;

    memset(levels, (int)level, sizeof levels);
    if (!q->level[level].fits)
        r = run_path(q, levels, &q->level[level]);
    *ret = q->level[level];
    return r;
}

/* Groups are nested: what the last path touches includes what those before it touched. */
static int run_cascade(struct vn_question *q, const struct vn_setting *s, struct vn_answer *ret)
{
    uint64_t work = 0;

    for (uint32_t i = 0; i < s->n_levels; i++) {
        int r = run_level(q, s->levels[i], ret);

        if (r)
            return r;
        work += ret->work;
        if (ret->confidence >= s->threshold)
            break;
    }
    ret->work = work;
    return 0;
}

static int run_own(const struct vn_question *q, struct vn_answer *ret)
{
    uint8_t levels[VN_BLOCKS_MAX];

    vn_packnet_path(network_of(q), q->task, levels);
    return run_path(q, levels, ret);
}

/* --- limits ----------------------------------------------------------------------------------- */

struct limit {
    enum vn_plan_unit unit;
    uint64_t value; /* 0: none */
};

static struct limit limit_of(const struct vn_question *q, const struct vn_setting *s)
{
    const struct vn_planner *p = vn_session_planner(q->session);
    struct vn_plan full;

    if (s->params)
        return (struct limit){VN_PLAN_PARAMS, s->params};
    if (s->bytes || s->share >= 1)
        return (struct limit){VN_PLAN_BYTES, s->bytes};
    vn_plan_uniform(p, q->task, network_of(q)->groups, 0, &full);
    return (struct limit){VN_PLAN_BYTES,
                          1 + (uint64_t)(s->share * (double)vn_bytes_total(&full.bytes))};
}

static bool in_limit(const struct vn_plan *plan, struct limit l)
{
    uint64_t cost = l.unit == VN_PLAN_BYTES ? vn_bytes_total(&plan->bytes) : vn_plan_params(plan);

    return !l.value || cost <= l.value;
}

static int run_random(const struct vn_question *q, const struct vn_setting *s,
                      struct vn_answer *ret)
{
    const struct vn_planner *p = vn_session_planner(q->session);
    const struct vn_network *n = network_of(q);
    const struct limit limit = limit_of(q, s);
    struct vn_rng rng = vn_rng_stream(RANDOM_SEED, q->task, q->number);
    uint64_t needed;
    struct vn_plan plan;

    for (uint32_t i = 0; i < RANDOM_TRIES; i++) {
        uint8_t levels[VN_BLOCKS_MAX];

        for (uint32_t b = 0; b < vn_network_blocks(n); b++)
            levels[b] = (uint8_t)vn_rng_below(&rng, n->groups + 1);
        vn_plan_path(p, q->task, levels, vn_network_blocks(n), q->image->length, &plan);
        if (in_limit(&plan, limit))
            return run_path(q, levels, ret);
    }
    if (vn_plan_largest_uniform_in(p, q->task, limit.unit, limit.value, q->image->length, &plan,
                                   &needed))
        return 0;
    return run_path(q, plan.level, ret);
}

/* --- the agent -------------------------------------------------------------------------------- */

static bool is_uniform(const struct vn_answer *a, uint32_t blocks, uint32_t level)
{
    for (uint32_t b = 0; b < blocks; b++)
        if (a->level[b] != level)
            return false;
    return true;
}

/* The probe's answer is the last word where the agent asks for no more. */
static uint64_t agent_work(const struct vn_question *q, const struct vn_answer *a,
                           enum vn_agent_kind decided_by)
{
    const struct vn_network *n = network_of(q);
    uint64_t path = vn_work_path(n, q->task, a->level);

    if (decided_by != n->agent.kind)
        return path;
    if (decided_by == VN_AGENT_SHARED && is_uniform(a, vn_network_blocks(n), n->agent.probe_level))
        path = 0;
    return path + vn_work_agent(n, q->task);
}

static int run_agent(const struct vn_question *q, const struct vn_setting *s, struct vn_answer *ret)
{
    const struct vn_network *n = network_of(q);
    const struct limit limit = limit_of(q, s);
    struct vn_infer_request request = {
        .task = q->task, .image = q->image, .agent = n->agent.kind, .thrift = s->thrift};
    struct vn_infer_result result;
    int r;

    if (limit.unit == VN_PLAN_PARAMS)
        request.limit_params = limit.value;
    else
        request.budget_bytes = limit.value;
    r = vn_infer(q->session, &request, &(struct vn_control){0}, &result);
    if (r == VN_SESSION_E_TOO_SMALL)
        return 0;
    if (r)
        return r < 0 ? r : -EIO;
    fill(&result, ret);
    ret->agent_params = agent_params(q);
    ret->work = agent_work(q, ret, result.decided_by);
    return 0;
}

int vn_answer(struct vn_question *q, const struct vn_setting *s, struct vn_answer *ret)
{
    *ret = (struct vn_answer){.fits = false};
    switch (s->by) {
    case VN_BY_LEVEL:
        return run_level(q, s->level, ret);
    case VN_BY_AGENT:
        return run_agent(q, s, ret);
    case VN_BY_OWN:
        return run_own(q, ret);
    case VN_BY_CASCADE:
        return run_cascade(q, s, ret);
    case VN_BY_PATH:
        return run_path(q, s->levels, ret);
    case VN_BY_RANDOM:
        return run_random(q, s, ret);
    }
    return -EINVAL;
}
