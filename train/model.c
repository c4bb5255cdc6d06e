#include "train/model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rng.h"

#define CACHE_LINE 64
#define HUGE_PAGE ((size_t)2 << 20)

/* Large arrays ask for huge pages: a tile's numbers lie far apart, on more small pages than the
 * processor knows the addresses of. */
float *vn_floats_new(size_t n)
{
    const size_t bytes = (n + 16) * sizeof(float);
    float *f;

    if (n > SIZE_MAX / sizeof *f - 16 ||
        posix_memalign((void **)&f, bytes < HUGE_PAGE ? CACHE_LINE : HUGE_PAGE, bytes))
        return NULL;
    if (bytes >= HUGE_PAGE)
        (void)madvise(f, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return memset(f, 0, bytes);
}

struct vn_model *vn_model_free(struct vn_model *m)
{
    if (!m)
        return NULL;
    free(m->param);
    free(m->grad);
    free(m->velocity);
    free(m->running);
    free(m->average);
    free(m->square);
    free(m->frozen);
    vn_planner_free(m->planner);
    vn_layout_free(m->layout);
    free(m);
    return NULL;
}

/* --- first values ----------------------------------------------------------------------------- */

struct filler {
    struct vn_model *model;
    uint64_t seed;
};

static void fill_normal(const struct filler *f, uint32_t tensor, double deviation)
{
    const struct vn_tensor *t = &f->model->layout->tensors[tensor];
    struct vn_rng r = vn_rng_stream(f->seed, 1, tensor);
    float *p = f->model->param + vn_model_at(f->model, tensor);

    for (size_t i = 0; i < t->bytes / sizeof *p; i++)
        p[i] = (float)(vn_rng_normal(&r) * deviation);
}

/* He: the variance of a ReLU layer's output is kept when weights have variance 2 / fan-in. */
static void fill_conv(const struct filler *f, uint32_t tensor)
{
    const uint32_t *s = f->model->layout->tensors[tensor].shape;

    fill_normal(f, tensor, sqrt(2.0 / (s[0] * s[1] * s[2])));
}

/* A batch-norm tensor is a list of (gamma, beta) rows of `channels` each. */
static void fill_norm(const struct filler *f, uint32_t tensor, double gamma)
{
    const struct vn_tensor *t = &f->model->layout->tensors[tensor];
    size_t channels = t->shape[t->n_dims - 1], at = vn_model_at(f->model, tensor);

    for (size_t i = 0; i < t->bytes / sizeof(float); i++)
        if (i / channels % 2 == 0)
            f->model->param[at + i] = (float)gamma;
        else
            f->model->running[at + i] = 1; /* variance */
}

static void fill_trunk(const struct filler *f, const struct vn_trunk_layout *t, uint32_t inputs,
                       uint32_t groups, uint32_t blocks, double bn2_scale)
{
    for (uint32_t i = 0; i < inputs; i++) {
        fill_conv(f, t->stem_conv[i]);
        fill_norm(f, t->stem_bn[i], 1);
    }
    for (uint32_t g = 0; g < groups; g++)
        for (uint32_t b = 0; b < blocks; b++) {
            fill_conv(f, t->slice[g][b].conv1);
            fill_conv(f, t->slice[g][b].conv2);
            fill_norm(f, t->slice[g][b].bn1, 1);
            fill_norm(f, t->slice[g][b].bn2, bn2_scale);
        }
}

static void fill_agent(const struct filler *f)
{
    const struct vn_network *n = f->model->network;
    const struct vn_layout *l = f->model->layout;
    struct vn_network trunk;

    if (n->agent.kind == VN_AGENT_UNIFORM)
        return;
    fill_normal(f, l->agent_embedding, 0.5);
    fill_normal(f, l->agent_fc1_weight, sqrt(2.0 / vn_agent_inputs(n)));
    if (n->agent.kind != VN_AGENT_CONV)
        return;
    vn_network_of_agent(n, &trunk);
    fill_trunk(f, &l->agent_trunk, n->n_inputs, 1, vn_network_blocks(&trunk), 0.5);
}

static void fill(struct vn_model *m, uint64_t seed, double bn2_scale)
{
    const struct vn_network *n = m->network;
    struct filler f = {m, seed};

    fill_trunk(&f, &m->layout->trunk, n->n_inputs, n->groups, vn_network_blocks(n), bn2_scale);
    for (uint32_t t = 0; t < n->n_tasks; t++)
        fill_normal(&f, m->layout->head_weight[t], sqrt(1.0 / vn_network_width(n)));
    fill_agent(&f);
}

/* Places the auxiliary layers of inputs with several tasks; returns where they end. */
static size_t place_auxiliary(struct vn_model *m, size_t at)
{
    const struct vn_network *n = m->network;

    for (uint32_t i = 0; i < n->n_inputs; i++) {
        struct vn_auxiliary *a = &m->auxiliary[i];
        uint32_t tasks = 0;

        for (uint32_t t = 0; t < n->n_tasks; t++)
            if (n->tasks[t].input == i) {
                a->classes += n->tasks[t].n_labels;
                tasks++;
            }
        if (tasks < 2)
            a->classes = 0;
        a->weight = at;
        a->bias = at + (size_t)vn_network_width(n) * a->classes;
        at = a->bias + a->classes;
    }
    return at;
}

int vn_model_new(const struct vn_network *n, uint64_t seed, double bn2_scale, bool auxiliary,
                 struct vn_why *why, struct vn_model **ret_model)
{
    _cleanup_(vn_model_freep) struct vn_model *m = calloc(1, sizeof *m);
    int r;

    if (!m)
        return -ENOMEM;
    m->network = n;
    r = vn_layout_new(n, why, &m->layout);
    if (r)
        return r;
    r = vn_planner_new(n, m->layout, NULL, &m->planner);
    if (r)
        return r;
    m->n = m->layout->data_bytes / sizeof(float);
    if (auxiliary)
        m->n = place_auxiliary(m, m->n);
    m->param = vn_floats_new(m->n);
    m->grad = vn_floats_new(m->n);
    m->velocity = vn_floats_new(m->n);
    m->running = vn_floats_new(m->n);
    m->average = vn_floats_new(m->n);
    m->square = vn_floats_new(m->n);
    m->frozen = calloc(m->layout->n_tensors, sizeof *m->frozen);
    if (!m->param || !m->grad || !m->velocity || !m->running || !m->average || !m->square ||
        !m->frozen)
        return -ENOMEM;
    fill(m, seed, bn2_scale);
    memcpy(m->average, m->param, m->n * sizeof *m->param);
    *ret_model = m;
    m = NULL;
    return 0;
}
