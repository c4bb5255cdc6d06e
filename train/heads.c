#include "train/heads.h"

#include <math.h>
#include <string.h>

#include "engine/kernels.h"

void vn_heads_forward(const struct vn_model *m, uint32_t rows, const uint16_t *task,
                      const float *pooled, uint32_t stride, float *ret_logits)
{
    uint32_t width = vn_network_width(m->network);

    for (uint32_t r = 0; r < rows; r++) {
        uint32_t t = task[r];

        vn_linear(pooled + (size_t)r * width, m->param + vn_model_at(m, m->layout->head_weight[t]),
                  m->param + vn_model_at(m, m->layout->head_bias[t]), width,
                  m->network->tasks[t].n_labels, ret_logits + (size_t)r * stride);
    }
}

void vn_linear_backward(const float *x, const float *w, const float *dy, uint32_t c, uint32_t n,
                        float *dx, float *dw, float *db)
{
    for (uint32_t i = 0; i < c; i++) {
        float sum = 0;

        for (uint32_t o = 0; o < n; o++) {
            sum += w[(size_t)i * n + o] * dy[o];
            dw[(size_t)i * n + o] += x[i] * dy[o];
        }
        dx[i] += sum;
    }
    for (uint32_t o = 0; o < n; o++)
        db[o] += dy[o];
}

void vn_heads_backward(struct vn_model *m, uint32_t rows, const uint16_t *task, const float *pooled,
                       uint32_t stride, const float *dlogits, float *ret_dpooled)
{
    uint32_t width = vn_network_width(m->network);

    memset(ret_dpooled, 0, (size_t)rows * width * sizeof *ret_dpooled);
    for (uint32_t r = 0; r < rows; r++) {
        size_t w = vn_model_at(m, m->layout->head_weight[task[r]]);
        size_t b = vn_model_at(m, m->layout->head_bias[task[r]]);

        vn_linear_backward(pooled + (size_t)r * width, m->param + w, dlogits + (size_t)r * stride,
                           width, m->network->tasks[task[r]].n_labels,
                           ret_dpooled + (size_t)r * width, m->grad + w, m->grad + b);
    }
}

void vn_target(const struct vn_target *t, uint32_t n, float *ret_q)
{
    for (uint32_t i = 0; i < n; i++) {
        float hard = (1 - t->smooth) * (float)(i == t->label) + t->smooth / (float)n;

        ret_q[i] = (1 - t->mix) * hard + (t->mix ? t->mix * t->teacher[i] : 0);
    }
}

float vn_cross_entropy(const float *logits, uint32_t n, const float *q, uint32_t label,
                       float weight, float *ret_probabilities, float *ret_dlogits)
{
    double max = logits[0], sum = 0, loss = 0;

    /* log softmax in double, so that a logit that is no number makes a loss that is none */
    for (uint32_t i = 1; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (uint32_t i = 0; i < n; i++)
        sum += exp(logits[i] - max);
    memcpy(ret_probabilities, logits, n * sizeof *logits);
    vn_softmax(ret_probabilities, n);
    for (uint32_t i = 0; i < n; i++) {
        float target = q ? q[i] : (float)(i == label);

        loss -= target * (logits[i] - max - log(sum));
        ret_dlogits[i] = weight * (ret_probabilities[i] - target);
    }
    return (float)loss;
}
