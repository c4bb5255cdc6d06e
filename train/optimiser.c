#include "train/optimiser.h"

#include <math.h>
#include <string.h>

double vn_rate_at(double peak, double warmup_epochs, double epochs, uint32_t cycles,
                  double progress)
{
    double length = epochs / cycles, within = fmod(progress, length), t;

    if (progress >= length) /* only the first cycle warms up */
        warmup_epochs = 0;
    if (within < warmup_epochs)
        return peak * within / warmup_epochs;
    if (length <= warmup_epochs)
        return peak;
    t = (within - warmup_epochs) / (length - warmup_epochs);
    return peak * 0.5 * (1 + cos(M_PI * fmin(t, 1)));
}

static bool is_agent(const struct vn_tensor *t)
{
    return !strncmp(t->name, "agent.", 6);
}

/* Weights have two or more dimensions and belong to no batch-norm. */
static bool is_decayed(const struct vn_tensor *t)
{
    return strstr(t->name, ".conv") || strstr(t->name, ".weight");
}

/* n numbers from `at` on. */
static void sgd(struct vn_model *m, size_t at, size_t n, const struct vn_schedule *s, bool decayed,
                float rate)
{
    float decay = decayed ? (float)s->weight_decay : 0, momentum = (float)s->momentum;
    float *p = m->param + at, *g = m->grad + at, *v = m->velocity + at;

    for (size_t i = 0; i < n; i++) {
        float d = g[i] + decay * p[i];

        v[i] = momentum * v[i] + d;
        p[i] -= rate * (d + momentum * v[i]);
        g[i] = 0;
    }
}

static void follow(struct vn_model *m, const struct vn_tensor *t, float decay)
{
    size_t at = t->offset / sizeof(float), n = t->bytes / sizeof(float);

    for (size_t i = at; i < at + n; i++)
        m->average[i] = decay * m->average[i] + (1 - decay) * m->param[i];
}

/* Over about a ninth of the steps so far, until that is as long as the schedule wants it. */
static float decay_at(double decay, uint64_t step)
{
    return (float)fmin(decay, (1 + (double)step) / (10 + (double)step));
}

void vn_backbone_update(struct vn_model *m, const struct vn_schedule *s, double rate, uint64_t step)
{
    for (uint32_t i = 0; i < m->layout->n_tensors; i++) {
        const struct vn_tensor *t = &m->layout->tensors[i];

        if (t->padding || is_agent(t))
            continue;
        if (m->frozen[i]) {
            memset(m->grad + vn_model_at(m, i), 0, t->bytes);
            continue;
        }
        sgd(m, vn_model_at(m, i), t->bytes / sizeof(float), s, is_decayed(t), (float)rate);
        if (s->average > 0)
            follow(m, t, decay_at(s->average, step));
    }
    for (uint32_t i = 0; i < m->network->n_inputs; i++) {
        const struct vn_auxiliary *a = &m->auxiliary[i];

        sgd(m, a->weight, a->bias - a->weight, s, true, (float)rate);
        sgd(m, a->bias, a->classes, s, false, (float)rate);
    }
}

#define ADAM_BETA1 0.9
#define ADAM_BETA2 0.999
#define ADAM_EPS 1e-8f

void vn_agent_update(struct vn_model *m, double rate, uint64_t step)
{
    double c1 = 1 - pow(ADAM_BETA1, (double)step), c2 = 1 - pow(ADAM_BETA2, (double)step);
    float size = (float)(rate / c1), root = (float)(1 / sqrt(c2));

    for (uint32_t i = 0; i < m->layout->n_tensors; i++) {
        const struct vn_tensor *t = &m->layout->tensors[i];
        size_t at = t->offset / sizeof(float), n = t->bytes / sizeof(float);

        if (t->padding || !is_agent(t))
            continue;
        for (size_t k = at; k < at + n; k++) {
            float g = m->grad[k];

            m->velocity[k] += (float)(1 - ADAM_BETA1) * (g - m->velocity[k]);
            m->square[k] += (float)(1 - ADAM_BETA2) * (g * g - m->square[k]);
            m->param[k] -= size * m->velocity[k] / (root * sqrtf(m->square[k]) + ADAM_EPS);
            m->grad[k] = 0;
        }
    }
}

void vn_gradients_clear(struct vn_model *m)
{
    memset(m->grad, 0, m->n * sizeof *m->grad);
}
