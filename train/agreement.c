#include "train/agreement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cell { /* of a task and a block, or of two tasks */
    uint32_t steps, positive;
    double cosine;
};

struct vn_agreement {
    uint32_t tasks, blocks, steps;
    size_t first[VN_BLOCKS_MAX + 1]; /* of each block's weights; the last: of all of them */
    float *grad;                     /* (tasks, all weights) */
    float *joint;                    /* (all weights) */
    float *dpooled;                  /* (rows, width) of one task; grows to the largest batch */
    size_t n_dpooled;
    bool *present;         /* (tasks) in this step */
    struct cell *of_block; /* (tasks, blocks) */
    struct cell *of_pair;  /* (tasks, tasks) */
};

struct vn_agreement *vn_agreement_free(struct vn_agreement *a)
{
    if (!a)
        return NULL;
    free(a->grad);
    free(a->joint);
    free(a->dpooled);
    free(a->present);
    free(a->of_block);
    free(a->of_pair);
    free(a);
    return NULL;
}

static size_t tensor_floats(const struct vn_model *m, uint32_t tensor)
{
    return m->layout->tensors[tensor].bytes / sizeof(float);
}

struct vn_agreement *vn_agreement_new(const struct vn_model *m)
{
    struct vn_agreement *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->tasks = m->network->n_tasks;
    a->blocks = vn_network_blocks(m->network);
    for (uint32_t b = 0; b < a->blocks; b++) {
        const struct vn_slice *s = &m->layout->trunk.slice[0][b]; /* groups are alike */

        a->first[b + 1] = a->first[b] + m->network->groups * (tensor_floats(m, s->conv1) +
                                                              tensor_floats(m, s->conv2));
    }
    a->grad = vn_floats_new(a->tasks * a->first[a->blocks]);
    a->joint = vn_floats_new(a->first[a->blocks]);
    a->present = calloc(a->tasks, sizeof *a->present);
    a->of_block = calloc((size_t)a->tasks * a->blocks, sizeof *a->of_block);
    a->of_pair = calloc((size_t)a->tasks * a->tasks, sizeof *a->of_pair);
    if (!a->grad || !a->joint || !a->present || !a->of_block || !a->of_pair)
        return vn_agreement_free(a);
    return a;
}

/* --- gradients -------------------------------------------------------------------------------- */

static float *gradient_of(const struct vn_agreement *a, uint32_t task)
{
    return a->grad + task * a->first[a->blocks];
}

/* Moves a tensor's gradients to the end of what is there. */
static void take(struct vn_model *m, uint32_t tensor, float **to)
{
    const size_t n = tensor_floats(m, tensor);
    float *from = m->grad + vn_model_at(m, tensor);

    if (to) {
        memcpy(*to, from, n * sizeof *from);
        *to += n;
    }
    memset(from, 0, n * sizeof *from);
}

/* Moves the convolutions' gradients, and forgets those of norms and the stem. */
static void take_all(const struct vn_agreement *a, struct vn_model *m, float *to)
{
    const struct vn_trunk_layout *l = &m->layout->trunk;

    for (uint32_t i = 0; i < m->network->n_inputs; i++) {
        take(m, l->stem_conv[i], NULL);
        take(m, l->stem_bn[i], NULL);
    }
    for (uint32_t b = 0; b < a->blocks; b++)
        for (uint32_t g = 0; g < m->network->groups; g++) {
            take(m, l->slice[g][b].conv1, &to);
            take(m, l->slice[g][b].conv2, &to);
            take(m, l->slice[g][b].bn1, NULL);
            take(m, l->slice[g][b].bn2, NULL);
        }
}

/* The gradients that come back to the task's own rows. */
static bool select_rows(struct vn_agreement *a, const struct vn_batch *b, uint32_t task,
                        uint32_t width)
{
    bool found = false;

    memset(a->dpooled, 0, (size_t)b->rows * width * sizeof *a->dpooled);
    for (uint32_t r = 0; r < b->rows; r++)
        if (b->task[r] == task) {
            memcpy(a->dpooled + (size_t)r * width, b->dpooled + (size_t)r * width,
                   width * sizeof *a->dpooled);
            found = true;
        }
    return found;
}

/* --- sums ------------------------------------------------------------------------------------- */

static double dot(const float *x, const float *y, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * y[i];
    return sum;
}

static void add(struct cell *c, const float *x, const float *y, size_t n)
{
    const double product = dot(x, y, n), size = sqrt(dot(x, x, n) * dot(y, y, n));

    if (!(size > 0)) /* a block that no row of the task takes */
        return;
    c->steps++;
    c->positive += product > 0;
    c->cosine += product / size;
}

static void add_all(struct vn_agreement *a)
{
    const size_t n = a->first[a->blocks];

    memset(a->joint, 0, n * sizeof *a->joint);
    for (uint32_t t = 0; t < a->tasks; t++)
        for (size_t i = 0; a->present[t] && i < n; i++)
            a->joint[i] += gradient_of(a, t)[i];
    for (uint32_t t = 0; t < a->tasks; t++) {
        for (uint32_t b = 0; a->present[t] && b < a->blocks; b++)
            add(&a->of_block[t * a->blocks + b], gradient_of(a, t) + a->first[b],
                a->joint + a->first[b], a->first[b + 1] - a->first[b]);
        for (uint32_t s = 0; a->present[t] && s <= t; s++)
            if (a->present[s])
                add(&a->of_pair[t * a->tasks + s], gradient_of(a, t), gradient_of(a, s), n);
    }
    a->steps++;
}

void vn_agreement_step(struct vn_agreement *a, struct vn_trunk *t, struct vn_model *m,
                       const struct vn_batch *b)
{
    const uint32_t width = vn_network_width(m->network);
    const size_t n = (size_t)b->rows * width;

    if (n > a->n_dpooled) {
        free(a->dpooled);
        a->dpooled = vn_floats_new(n);
        a->n_dpooled = a->dpooled ? n : 0;
    }
    if (!a->dpooled) /* a step that is not looked at changes nothing else */
        return;
    for (uint32_t k = 0; k < a->tasks; k++) {
        a->present[k] = select_rows(a, b, k, width);
        if (!a->present[k])
            continue;
        vn_trunk_backward(t, m, a->dpooled);
        take_all(a, m, gradient_of(a, k));
    }
    add_all(a);
}

/* --- log -------------------------------------------------------------------------------------- */

static void put_number(FILE *to, const char *before, const struct cell *c, bool ratio)
{
    if (!c->steps)
        fprintf(to, "%snull", before);
    else
        fprintf(to, "%s%.3f", before, (ratio ? c->positive : c->cosine) / c->steps);
}

/* (rows, columns) cells; square: only those below the diagonal are there, the rest mirrors. */
static void put_table(FILE *to, const char *name, const struct cell *c, uint32_t rows,
                      uint32_t columns, bool ratio, bool square)
{
    fprintf(to, ", \"%s\": [", name);
    for (uint32_t r = 0; r < rows; r++) {
        fputs(r ? ", [" : "[", to);
        for (uint32_t k = 0; k < columns; k++)
            put_number(to, k ? ", " : "", &c[square && k > r ? k * columns + r : r * columns + k],
                       ratio);
        fputc(']', to);
    }
    fputc(']', to);
}

void vn_agreement_log(struct vn_agreement *a, FILE *to)
{
    if (!a->steps)
        return;
    fprintf(to, ", \"agreement\": {\"steps\": %u", a->steps);
    put_table(to, "ucr", a->of_block, a->tasks, a->blocks, true, false);
    put_table(to, "cosine", a->of_block, a->tasks, a->blocks, false, false);
    put_table(to, "tasks", a->of_pair, a->tasks, a->tasks, false, true);
    fputc('}', to);
    a->steps = 0;
    memset(a->of_block, 0, (size_t)a->tasks * a->blocks * sizeof *a->of_block);
    memset(a->of_pair, 0, (size_t)a->tasks * a->tasks * sizeof *a->of_pair);
}
