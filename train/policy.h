/* Backward pass of the policy network (engine/agent.h), and the policy gradient. */
#pragma once

#include <stdint.h>

#include "engine/agent.h"
#include "train/model.h"

struct vn_policy vn_policy_of(const struct vn_model *m);

/* dlogits (m, g + 1) -> m->grad; work as vn_policy_scores left it; dfeatures (F) may be NULL. */
void vn_policy_backward(struct vn_model *m, uint32_t task, const float *work, const float *dlogits,
                        float *ret_dfeatures);

/* REINFORCE with an entropy bonus (Auto-VirtualNet: policy gradient; the bonus is ours): the
 * gradient of  -advantage sum_b log pi_b(level_b) - entropy_weight sum_b H(pi_b)  with respect to
 * the logits, for log probabilities `scores` (m, g + 1). pi is taken among the levels from
 * min_level up, the only ones that are sampled: else every bad sample would feed the others. */
void vn_policy_gradient(const struct vn_network *n, const float *scores, uint32_t min_level,
                        const uint8_t *level, float advantage, float entropy_weight,
                        float *ret_dlogits);
