#include "train/auxiliary.h"

#include "engine/kernels.h"
#include "train/heads.h"

#define ROW_PARTS 4 /* of one row: logits, targets, gradients, probabilities */

size_t vn_auxiliary_floats(const struct vn_model *m, uint32_t n)
{
    size_t most = 0;

    for (uint32_t i = 0; i < m->network->n_inputs; i++)
        if (m->auxiliary[i].classes > most)
            most = m->auxiliary[i].classes;
    return most * ((size_t)n + ROW_PARTS);
}

/* Where the task's labels begin in the list of all the input's. */
static uint32_t first_class(const struct vn_network *n, uint32_t task)
{
    uint32_t first = 0;

    for (uint32_t t = 0; t < task; t++)
        if (n->tasks[t].input == n->tasks[task].input)
            first += n->tasks[t].n_labels;
    return first;
}

double vn_auxiliary_step(float *scratch, struct vn_model *m, uint32_t input,
                         const struct vn_schedule *s, struct vn_batch *b)
{
    const struct vn_auxiliary *a = &m->auxiliary[input];
    const uint32_t c = a->classes, width = vn_network_width(m->network);
    float *z = scratch, *q = z + c, *d = q + c, *full = d + c, *other = full + (size_t)b->n * c;
    double sum = 0;

    for (uint32_t r = 0; r < b->rows && c; r++) {
        const float *x = b->pooled + (size_t)r * width;
        float *teacher = full + (size_t)(r % b->n) * c;
        const struct vn_target target = {
            .label = first_class(m->network, b->task[r]) + b->label[r],
            .smooth = (float)s->label_smoothing,
            .mix = r < b->n ? 0 : (float)s->distill,
            .teacher = teacher,
        };

        vn_linear(x, m->param + a->weight, m->param + a->bias, width, c, z);
        vn_target(&target, c, q);
        sum += vn_cross_entropy(z, c, q, 0, (float)s->auxiliary / (float)b->n,
                                r < b->n ? teacher : other, d);
        vn_linear_backward(x, m->param + a->weight, d, width, c, b->dpooled + (size_t)r * width,
                           m->grad + a->weight, m->grad + a->bias);
    }
    return sum * b->n / b->rows;
}
