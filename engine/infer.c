/* A whole request: preprocess, ask the agent, plan, run. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "engine/agent.h"
#include "engine/session_parts.h"

struct inference {
    struct vn_session *s;
    const struct vn_infer_request *request;
    const struct vn_control *control;
    struct vn_infer_result *ret;
    const struct vn_network *network;
    const struct vn_task *task;
    const struct vn_arena *arena;
    enum vn_plan_unit unit;
    uint64_t limit; /* in that unit; UINT64_MAX: none */
    uint64_t image_bytes;
    bool image_ready;
    bool streamed;   /* whatever is run */
    bool has_logits; /* ret->probabilities holds logits of this path: */
    uint8_t logits_path[VN_BLOCKS_MAX];
};

static float *arena_at(const struct inference *i, uint64_t offset)
{
    return (float *)(i->s->arena + offset);
}

static void preprocess(struct inference *i)
{
    if (i->image_ready)
        return;
    vn_image_preprocess(&i->network->inputs[i->task->input], i->request->image,
                        arena_at(i, i->arena->image));
    i->image_ready = true;
}

/* Runs a plan unless its logits are there already. */
static int run(struct inference *i, const struct vn_plan *plan, float *ret_features)
{
    int r;

    if (i->has_logits && !memcmp(i->logits_path, plan->level, plan->n_blocks))
        return 0;
    preprocess(i);
    i->has_logits = false;
    r = vn_session_run(i->s, plan, i->control, i->ret->probabilities, ret_features);
    if (r == VN_SESSION_E_DAMAGED)
        i->ret->damaged_part = i->s->damaged_part;
    if (r)
        return r;
    i->has_logits = true;
    memcpy(i->logits_path, plan->level, plan->n_blocks);
    return 0;
}

/* --- deciding --------------------------------------------------------------------------------- */

static bool fits(const struct inference *i, const struct vn_plan *plan)
{
    uint64_t cost = i->unit == VN_PLAN_BYTES ? vn_bytes_total(&plan->bytes) : vn_plan_params(plan);

    return cost <= i->limit;
}

/* True: the plan is streamed now. */
static bool stream_if_it_fits(const struct inference *i, struct vn_plan *plan)
{
    struct vn_plan streamed = *plan;

    if (!i->request->streaming || i->unit != VN_PLAN_BYTES)
        return false;
    vn_plan_stream(i->s->planner, i->limit, &streamed);
    if (!fits(i, &streamed))
        return false;
    *plan = streamed;
    return true;
}

static int decide_fixed(struct inference *i)
{
    const struct vn_infer_request *q = i->request;
    struct vn_plan *plan = &i->ret->plan;

    if (vn_plan_path(i->s->planner, q->task, q->levels, q->n_levels, i->image_bytes, plan))
        return -EINVAL;
    i->ret->fixed_path = true;
    if (fits(i, plan) || stream_if_it_fits(i, plan))
        return 0;
    if (i->request->streaming)
        vn_plan_stream(i->s->planner, i->limit, plan);
    i->ret->needed_bytes =
        i->unit == VN_PLAN_BYTES ? vn_bytes_total(&plan->bytes) : vn_plan_params(plan);
    return VN_SESSION_E_TOO_SMALL;
}

/* The agent's own trunk looks at the image. */
static int conv_features(struct inference *i, float *features)
{
    static const uint8_t levels[3] = {1, 1, 1}, order[1] = {0};
    struct vn_trunk_run trunk = {&i->s->agent_trunk,
                                 &i->s->store->layout->agent_trunk,
                                 i->task->input,
                                 levels,
                                 order,
                                 false};

    preprocess(i);
    return vn_trunk_run(i->s, &trunk, i->control, features);
}

/* The lowest path of the backbone looks at the image; its answer may be the last word. */
static int shared_features(struct inference *i, const struct vn_plan *probe, float *features)
{
    const uint32_t pooled = vn_agent_pooled(i->network);
    float probabilities[VN_LABELS_MAX];
    int r = run(i, probe, pooled ? features : NULL);

    if (r)
        return r;
    memcpy(probabilities, i->ret->probabilities, i->task->n_labels * sizeof probabilities[0]);
    vn_softmax(probabilities, i->task->n_labels);
    vn_agent_confidence(probabilities, i->task->n_labels, features + pooled);
    return 0;
}

static void ask_policy(struct inference *i, const float *features, float *scores)
{
    const struct vn_store *store = i->s->store;
    const struct vn_layout *l = store->layout;
    const struct vn_policy policy = {
        .embedding = vn_store_tensor(store, l->agent_embedding),
        .w1 = vn_store_tensor(store, l->agent_fc1_weight),
        .b1 = vn_store_tensor(store, l->agent_fc1_bias),
        .w2 = vn_store_tensor(store, l->agent_fc2_weight),
        .b2 = vn_store_tensor(store, l->agent_fc2_bias),
    };
    double thrift = i->request->thrift;
    float budget =
        vn_agent_budget_input(i->s->planner, i->request->task, i->unit, i->limit, i->image_bytes);

    thrift = thrift > 0 ? thrift < 1 ? thrift : 1 : 0;
    vn_policy_scores(i->network, &policy, i->request->task, features, budget, (float)thrift,
                     arena_at(i, i->arena->policy), scores);
}

static bool all_finite(const float *x, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (!isfinite(x[k]))
            return false;
    return true;
}

/* Replaces the uniform plan, which is known to fit, by the agent's; keeps it where the agent cannot
 * speak: no room for its probe, no image, or a store whose numbers give no numbers. */
static int decide_by_agent(struct inference *i, enum vn_agent_kind kind)
{
    float *features = arena_at(i, i->arena->features), *scores = arena_at(i, i->arena->scores);
    uint32_t min_level = 0;
    uint64_t needed;
    int r = 0;

    if (kind != VN_AGENT_TASK && !i->request->image)
        return 0;
    if (kind == VN_AGENT_CONV)
        r = conv_features(i, features);
    if (kind == VN_AGENT_SHARED) {
        struct vn_plan probe;

        min_level = i->network->agent.probe_level;
        vn_plan_uniform(i->s->planner, i->request->task, min_level, i->image_bytes, &probe);
        if (i->streamed)
            vn_plan_stream(i->s->planner, i->request->budget_bytes, &probe);
        if (!fits(i, &probe))
            return 0;
        r = shared_features(i, &probe, features);
    }
    if (r)
        return r;
    ask_policy(i, features, scores);
    if (!all_finite(scores, vn_agent_outputs(i->network)))
        return 0;
    r = vn_plan_choose(i->s->planner, i->request->task, i->unit, i->limit, i->image_bytes, scores,
                       min_level, &i->ret->plan, &needed);
    if (r < 0)
        return r;
    i->ret->decided_by = kind; /* r is 0: the uniform plan fits, so something fits */
    return 0;
}

/* The best accuracy of the task's table among rows that this budget allows; -1: there is none. */
static double accuracy_within(const struct inference *i, uint64_t budget)
{
    double best = -1;

    for (uint32_t k = 0; k < i->task->n_measured; k++) {
        const struct vn_measured *row = &i->task->measured[k];
        uint64_t needed = vn_plan_measured_budget(i->s->planner, i->request->task, row);

        if (needed && needed <= budget && row->accuracy > best)
            best = row->accuracy;
    }
    return best;
}

/* Whether slicing alone, within the limit, would cost accuracy: by the store's table, or without
 * one because it is not the full path. */
static bool slicing_costs(const struct inference *i, bool any_fits)
{
    if (!any_fits)
        return true;
    if (!i->task->n_measured)
        return i->ret->plan.density < 1;
    return accuracy_within(i, i->limit) < accuracy_within(i, UINT64_MAX);
}

/* Streamed, any path fits or none does: the choice is made as if there was no limit. */
static bool decide_to_stream(struct inference *i, bool any_fits)
{
    struct vn_plan full;

    vn_plan_uniform(i->s->planner, i->request->task, i->network->groups, i->image_bytes, &full);
    if (fits(i, &full) || !stream_if_it_fits(i, &full) || !slicing_costs(i, any_fits))
        return false;
    i->ret->plan = full;
    i->limit = UINT64_MAX;
    return true;
}

static int decide(struct inference *i)
{
    int r;

    if (i->request->levels)
        return decide_fixed(i);
    r = vn_plan_largest_uniform_in(i->s->planner, i->request->task, i->unit, i->limit,
                                   i->image_bytes, &i->ret->plan, &i->ret->needed_bytes);
    i->streamed = decide_to_stream(i, !r);
    if (r && !i->streamed)
        return VN_SESSION_E_TOO_SMALL;
    r = i->request->agent == VN_AGENT_UNIFORM ? 0 : decide_by_agent(i, i->request->agent);
    if (i->streamed)
        vn_plan_stream(i->s->planner, i->request->budget_bytes, &i->ret->plan);
    return r;
}

/* --- the whole -------------------------------------------------------------------------------- */

static bool legal(const struct vn_network *n, const struct vn_infer_request *q)
{
    return q->task < n->n_tasks && (q->image || q->plan_only) &&
           (q->agent == VN_AGENT_UNIFORM || q->agent == n->agent.kind);
}

static struct inference inference(struct vn_session *s, const struct vn_infer_request *q,
                                  const struct vn_control *control, struct vn_infer_result *ret)
{
    const struct vn_network *n = s->store->network;
    uint64_t limit = q->limit_params ? q->limit_params : q->budget_bytes;

    return (struct inference){
        .s = s,
        .request = q,
        .control = control,
        .ret = ret,
        .network = n,
        .task = &n->tasks[q->task],
        .arena = &s->layout[n->tasks[q->task].input],
        .unit = q->limit_params ? VN_PLAN_PARAMS : VN_PLAN_BYTES,
        .limit = limit ? limit : UINT64_MAX,
        .image_bytes = q->image ? q->image->length : 0,
    };
}

int vn_infer(struct vn_session *s, const struct vn_infer_request *request,
             const struct vn_control *control, struct vn_infer_result *ret)
{
    uint64_t start = vn_now_ns(), decided, paged_in;
    struct inference i;
    int r;

    if (!legal(s->store->network, request))
        return -EINVAL;
    i = inference(s, request, control, ret);
    ret->decided_by = VN_AGENT_UNIFORM;
    ret->fixed_path = false;
    ret->needed_bytes = 0;
    ret->compute_ns = ret->page_in_ns = 0;
    s->page_in_ns = 0;
    ret->n_labels = i.task->n_labels;
    r = decide(&i);
    decided = vn_now_ns();
    paged_in = ret->page_in_ns = s->page_in_ns;
    ret->agent_ns = decided - start - paged_in;
    if (r || request->plan_only)
        return r;
    r = run(&i, &ret->plan, NULL);
    if (r)
        return r;
    vn_softmax(ret->probabilities, ret->n_labels);
    ret->page_in_ns = s->page_in_ns;
    ret->compute_ns = vn_now_ns() - decided - (s->page_in_ns - paged_in);
    return 0;
}

void vn_top_k(const float *values, uint32_t n, uint32_t k, uint32_t *ret_indices)
{
    uint32_t have = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = have < k ? have++ : k;

        while (at && values[i] > values[ret_indices[at - 1]]) {
            if (at < k)
                ret_indices[at] = ret_indices[at - 1];
            at--;
        }
        if (at < k)
            ret_indices[at] = i;
    }
}
