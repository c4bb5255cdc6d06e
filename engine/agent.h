/* The search agent, inference side: features, task and wishes to log pi_b(level).
 *
 *   input  = [image features (F), embedding of the task (E), 8 budget - 4, 8 thrift - 4]
 *   logits = fc2(relu(fc1(input)))            (m, g + 1), one softmax per block
 * (Auto-VirtualNet, section on the search agent: all blocks in one step; ours: conditioned on
 * task and budget.) budget is the limit as a share of the full path's cost, cut to 0 .. 1. */
#pragma once

#include "engine/network.h"
#include "engine/plan.h"

/* The policy's numbers, wherever they live: in a map, or in the trainer's arrays. */
struct vn_policy {
    const float *embedding; /* (tasks, E) */
    const float *w1, *b1;   /* (inputs, hidden), (hidden) */
    const float *w2, *b2;   /* (hidden, m (g + 1)), (m (g + 1)) */
};

/* A number in 0 .. 1 as an input of fc1: spread over -4 .. 4, because a handful of numbers must
 * make themselves heard among dozens of image features. */
static inline float vn_agent_spread(float x)
{
    return 8 * x - 4;
}

/* How sure a softmax over n >= 1 labels is, each number in -4 .. 4: half of the log odds of the
 * largest probability (cut at 8: 0.9 and 0.999 differ), the margin to the second and the entropy /
 * log n, both spread. */
void vn_agent_confidence(const float *probabilities, uint32_t n, float ret[VN_AGENT_CONFIDENCE]);

/* The budget as the policy sees it: the limit's share of the cost of the task's full path in the
 * same unit, cut to 0 .. 1; 1 when there is no limit (0). Trainer and daemon both use this one. */
float vn_agent_budget_input(const struct vn_planner *p, uint32_t task, enum vn_plan_unit unit,
                            uint64_t limit, uint64_t image_bytes);

/* features: (F) or NULL when F = 0. work: vn_agent_work(n) floats, input and hidden layer left in
 * it (the trainer's backward pass reads them). ret_scores: (m, g + 1) log probabilities. */
void vn_policy_scores(const struct vn_network *n, const struct vn_policy *p, uint32_t task,
                      const float *features, float budget, float thrift, float *work,
                      float *ret_scores);
size_t vn_agent_work(const struct vn_network *n); /* floats: inputs + hidden */
