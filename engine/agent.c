#include "engine/agent.h"

#include <math.h>
#include <string.h>

#include "engine/kernels.h"

void vn_agent_confidence(const float *probabilities, uint32_t n, float ret[VN_AGENT_CONFIDENCE])
{
    float first = 0, second = 0, entropy = 0;

    for (uint32_t i = 0; i < n; i++) {
        float p = probabilities[i];

        if (p > first) {
            second = first;
            first = p;
        } else if (p > second) {
            second = p;
        }
        if (p > 0)
            entropy -= p * logf(p);
    }
    ret[0] = 0.5f * fminf(fmaxf(logf(first / (1 - first + 1e-9f) + 1e-9f), -8), 8);
    ret[1] = vn_agent_spread(first - second);
    ret[2] = vn_agent_spread(n > 1 ? entropy / logf((float)n) : 0);
}

float vn_agent_budget_input(const struct vn_planner *p, uint32_t task, enum vn_plan_unit unit,
                            uint64_t limit, uint64_t image_bytes)
{
    struct vn_plan full;
    double whole;

    vn_plan_uniform(p, task, vn_planner_network(p)->groups, image_bytes, &full);
    whole =
        unit == VN_PLAN_BYTES ? (double)vn_bytes_total(&full.bytes) : (double)vn_plan_params(&full);
    return limit && (double)limit < whole ? (float)((double)limit / whole) : 1.0f;
}

size_t vn_agent_work(const struct vn_network *n)
{
    return n->agent.kind == VN_AGENT_UNIFORM ? 0 : (size_t)vn_agent_inputs(n) + n->agent.hidden;
}

/* In place: logits of one block to log probabilities. */
static void log_softmax(float *x, uint32_t n)
{
    float largest = x[0], sum = 0;

    for (uint32_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (uint32_t i = 0; i < n; i++)
        sum += expf(x[i] - largest);
    for (uint32_t i = 0; i < n; i++)
        x[i] -= largest + logf(sum);
}

void vn_policy_scores(const struct vn_network *n, const struct vn_policy *p, uint32_t task,
                      const float *features, float budget, float thrift, float *work,
                      float *ret_scores)
{
    const uint32_t f = vn_agent_features(n), e = n->agent.embedding, inputs = vn_agent_inputs(n);
    const uint32_t hidden = n->agent.hidden, m = vn_network_blocks(n), levels = n->groups + 1;
    float *h = work + inputs;

    if (f)
        memcpy(work, features, f * sizeof *work);
    memcpy(work + f, p->embedding + (size_t)task * e, e * sizeof *work);
    work[f + e] = vn_agent_spread(budget);
    work[f + e + 1] = vn_agent_spread(thrift);
    vn_linear(work, p->w1, p->b1, inputs, hidden, h);
    vn_relu(h, hidden);
    vn_linear(h, p->w2, p->b2, hidden, m * levels, ret_scores);
    for (uint32_t b = 0; b < m; b++)
        log_softmax(ret_scores + (size_t)b * levels, levels);
}
