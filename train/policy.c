#include "train/policy.h"

#include <math.h>
#include <stddef.h>

struct vn_policy vn_policy_of(const struct vn_model *m)
{
    const struct vn_layout *l = m->layout;

    return (struct vn_policy){
        .embedding = m->param + vn_model_at(m, l->agent_embedding),
        .w1 = m->param + vn_model_at(m, l->agent_fc1_weight),
        .b1 = m->param + vn_model_at(m, l->agent_fc1_bias),
        .w2 = m->param + vn_model_at(m, l->agent_fc2_weight),
        .b2 = m->param + vn_model_at(m, l->agent_fc2_bias),
    };
}

void vn_policy_backward(struct vn_model *m, uint32_t task, const float *work, const float *dlogits,
                        float *ret_dfeatures)
{
    const struct vn_network *n = m->network;
    const struct vn_layout *l = m->layout;
    uint32_t in = vn_agent_inputs(n), hidden = n->agent.hidden, out = vn_agent_outputs(n);
    uint32_t features = vn_agent_features(n);
    const float *input = work, *h = work + in;
    size_t w1 = vn_model_at(m, l->agent_fc1_weight), b1 = vn_model_at(m, l->agent_fc1_bias);
    size_t w2 = vn_model_at(m, l->agent_fc2_weight), b2 = vn_model_at(m, l->agent_fc2_bias);
    size_t embedding = vn_model_at(m, l->agent_embedding) + (size_t)task * n->agent.embedding;

    for (uint32_t i = 0; ret_dfeatures && i < features; i++)
        ret_dfeatures[i] = 0;
    for (uint32_t o = 0; o < out; o++)
        m->grad[b2 + o] += dlogits[o];
    for (uint32_t j = 0; j < hidden; j++) {
        float d = 0;

        for (uint32_t o = 0; o < out; o++) {
            d += m->param[w2 + (size_t)j * out + o] * dlogits[o];
            m->grad[w2 + (size_t)j * out + o] += h[j] * dlogits[o];
        }
        if (h[j] <= 0)
            continue;
        m->grad[b1 + j] += d;
        for (uint32_t i = 0; i < in; i++) {
            size_t at = w1 + (size_t)i * hidden + j;

            m->grad[at] += input[i] * d;
            if (i < features) {
                if (ret_dfeatures)
                    ret_dfeatures[i] += m->param[at] * d;
            } else if (i < features + n->agent.embedding) {
                m->grad[embedding + i - features] += m->param[at] * d;
            }
        }
    }
}

void vn_policy_gradient(const struct vn_network *n, const float *scores, uint32_t min_level,
                        const uint8_t *level, float advantage, float entropy_weight,
                        float *ret_dlogits)
{
    uint32_t levels = n->groups + 1;

    for (uint32_t b = 0; b < vn_network_blocks(n); b++, scores += levels, ret_dlogits += levels) {
        float mass = 0, entropy = 0;

        for (uint32_t k = 0; k < levels; k++) {
            ret_dlogits[k] = 0;
            mass += k < min_level ? 0 : expf(scores[k]);
        }
        mass = fmaxf(mass, 1e-30f);
        for (uint32_t k = min_level; k < levels; k++)
            entropy -= expf(scores[k]) / mass * (scores[k] - logf(mass));
        for (uint32_t k = min_level; k < levels; k++) {
            float p = expf(scores[k]) / mass;

            ret_dlogits[k] = advantage * (p - (float)(k == level[b])) +
                             entropy_weight * p * (scores[k] - logf(mass) + entropy);
        }
    }
}
