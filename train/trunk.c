/* Forward and backward of a trunk. Each block works in three passes over the rows, because batch
 * statistics of a branch must be complete before its numbers can be used:
 *   forward   1 conv1 and its sums   2 ReLU, conv2 and its sums   3 shortcut + branches, ReLU
 *   backward  1 ReLU, sums for BN2   2 back through conv2, sums for BN1   3 back through conv1 */
#include "train/trunk.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels.h"
#include "train/conv.h"
#include "train/norm.h"
#include "train/shortcut.h"

/* One branch of a block: its convolutions' raw outputs, for the rows that take it. */
struct branch {
    uint32_t n_active;
    uint32_t *place; /* (R) row -> place among the active, or UINT32_MAX */
    float *c1;       /* (active, Ho, Wo, h) conv1 before BN1 */
    float *c2;       /* (active, Ho, Wo, Co) conv2 before BN2 */
    float *d1;       /* (active, Ho, Wo, h) gradient before BN1 */
    struct vn_norm norm1, norm2;
    float *back1, *back2; /* (3, h), (3, Co) coefficients of the backward pass */
    float *wt1, *wt2;     /* packed weights for the input gradients */
};

struct block {
    struct vn_block dims;
    struct vn_conv_plan conv1, conv2;
    size_t pixels;  /* Ho Wo */
    const float *x; /* (R, H, W, Ci) borrowed: the previous output */
    float *y;       /* (R, Ho, Wo, Co) */
    struct branch branch[VN_GROUPS_MAX];
};

struct stem {
    struct vn_conv_plan conv;
    size_t pixels;
    float *c; /* (R, Ho, Wo, W0) before BN */
    float *y;
    struct vn_norm norm;
    float *back;
};

/* What one thread needs for itself. */
struct lane {
    float *pad1, *pad2, *row; /* padded operands, one row's gradient */
    float *dw;                /* weight gradients of the largest block, all groups */
    double *sums;             /* batch-norm sums: (g, 2, widest) */
};

struct vn_trunk {
    struct vn_network network; /* shallow copy: the backbone's, or the agent's derived one */
    const struct vn_trunk_layout *where;
    uint32_t input, m, g, max_rows, threads, rows;
    size_t image_floats;
    size_t sums_stride; /* doubles between the sums of two groups */
    struct stem stem;
    struct block block[VN_BLOCKS_MAX];
    float *dy[2]; /* (R, largest activation): gradients, ping-pong */
    struct lane *lane;
    const struct vn_row *row; /* during a forward and its backward */
    const float *images;
};

/* --- memory ----------------------------------------------------------------------------------- */

static int norm_new(struct vn_norm *n, uint32_t c)
{
    n->mean = vn_floats_new(4 * (size_t)c);
    if (!n->mean)
        return -ENOMEM;
    n->inv = n->mean + c;
    n->scale = n->inv + c;
    n->bias = n->scale + c;
    return 0;
}

static int branch_new(struct branch *r, const struct block *b, uint32_t rows)
{
    uint32_t ci = b->dims.ci, h = b->dims.h, co = b->dims.co;

    r->place = malloc(rows * sizeof *r->place);
    r->c1 = vn_floats_new(rows * b->pixels * h);
    r->c2 = vn_floats_new(rows * b->pixels * co);
    r->d1 = vn_floats_new(rows * b->pixels * h);
    r->back1 = vn_floats_new(3 * (size_t)h);
    r->back2 = vn_floats_new(3 * (size_t)co);
    r->wt1 = vn_floats_new(9 * (size_t)ci * h);
    r->wt2 = vn_floats_new(9 * (size_t)h * co);
    if (!r->place || !r->c1 || !r->c2 || !r->d1 || !r->back1 || !r->back2 || !r->wt1 || !r->wt2)
        return -ENOMEM;
    return norm_new(&r->norm1, h) ? -ENOMEM : norm_new(&r->norm2, co);
}

static void branch_free(struct branch *r)
{
    free(r->place);
    free(r->c1);
    free(r->c2);
    free(r->d1);
    free(r->back1);
    free(r->back2);
    free(r->wt1);
    free(r->wt2);
    free(r->norm1.mean);
    free(r->norm2.mean);
}

struct vn_trunk *vn_trunk_free(struct vn_trunk *t)
{
    if (!t)
        return NULL;
    for (uint32_t b = 0; b < t->m; b++) {
        for (uint32_t g = 0; g < t->g; g++)
            branch_free(&t->block[b].branch[g]);
        free(t->block[b].y);
        vn_conv_plan_deinit(&t->block[b].conv1);
        vn_conv_plan_deinit(&t->block[b].conv2);
    }
    free(t->stem.c);
    free(t->stem.y);
    free(t->stem.norm.mean);
    free(t->stem.back);
    vn_conv_plan_deinit(&t->stem.conv);
    free(t->dy[0]);
    free(t->dy[1]);
    for (uint32_t i = 0; t->lane && i < t->threads; i++) {
        free(t->lane[i].pad1);
        free(t->lane[i].pad2);
        free(t->lane[i].row);
        free(t->lane[i].dw);
        free(t->lane[i].sums);
    }
    free(t->lane);
    free(t);
    return NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct sizes {
    size_t padded, activation, weights;
    uint32_t width;
};

static void sizes_add(struct sizes *s, const struct vn_conv_plan *c)
{
    s->padded = larger(s->padded, larger(c->padded_x, c->padded_y));
    s->activation = larger(s->activation, larger((size_t)c->shape.h * c->shape.w * c->shape.ci,
                                                 (size_t)c->ho * c->wo * c->shape.co));
    s->width = (uint32_t)larger(s->width, c->shape.co);
}

static int stem_new(struct vn_trunk *t, struct sizes *s)
{
    const struct vn_input *in = &t->network.inputs[t->input];
    struct vn_conv shape = {
        in->height,      in->width,      vn_color_channels(in->color), t->network.stem_width,
        in->stem_kernel, in->stem_stride};
    int r = vn_conv_plan_init(&t->stem.conv, &shape);

    if (r)
        return r;
    sizes_add(s, &t->stem.conv);
    s->weights = (size_t)shape.k * shape.k * shape.ci * shape.co;
    t->image_floats = (size_t)shape.h * shape.w * shape.ci;
    t->stem.pixels = (size_t)t->stem.conv.ho * t->stem.conv.wo;
    t->stem.c = vn_floats_new(t->max_rows * t->stem.pixels * shape.co);
    t->stem.y = vn_floats_new(t->max_rows * t->stem.pixels * shape.co);
    t->stem.back = vn_floats_new(3 * (size_t)shape.co);
    return !t->stem.c || !t->stem.y || !t->stem.back ? -ENOMEM : norm_new(&t->stem.norm, shape.co);
}

static int block_new(struct vn_trunk *t, uint32_t i, uint32_t h, uint32_t w, struct sizes *s)
{
    struct block *b = &t->block[i];
    int r;

    b->dims = vn_network_block(&t->network, i);
    r = vn_conv_plan_init(&b->conv1,
                          &(struct vn_conv){h, w, b->dims.ci, b->dims.h, 3, b->dims.stride});
    if (r)
        return r;
    r = vn_conv_plan_init(&b->conv2,
                          &(struct vn_conv){b->conv1.ho, b->conv1.wo, b->dims.h, b->dims.co, 3, 1});
    if (r)
        return r;
    sizes_add(s, &b->conv1);
    sizes_add(s, &b->conv2);
    s->weights = larger(s->weights, (size_t)t->g * 9 * b->dims.h * (b->dims.ci + b->dims.co));
    b->pixels = (size_t)b->conv1.ho * b->conv1.wo;
    b->y = vn_floats_new(t->max_rows * b->pixels * b->dims.co);
    for (uint32_t g = 0; g < t->g && !r; g++)
        r = branch_new(&b->branch[g], b, t->max_rows);
    return !b->y ? -ENOMEM : r;
}

static int lanes_new(struct vn_trunk *t, const struct sizes *s)
{
    t->sums_stride = 2 * (size_t)s->width;
    t->lane = calloc(t->threads, sizeof *t->lane);
    if (!t->lane)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->threads; i++) {
        struct lane *l = &t->lane[i];

        l->pad1 = vn_floats_new(s->padded);
        l->pad2 = vn_floats_new(s->padded);
        l->row = vn_floats_new(s->activation);
        l->dw = vn_floats_new(s->weights);
        l->sums = calloc(t->g * t->sums_stride, sizeof *l->sums);
        if (!l->pad1 || !l->pad2 || !l->row || !l->dw || !l->sums)
            return -ENOMEM;
    }
    return 0;
}

int vn_trunk_new(const struct vn_model *m, uint32_t input, bool agent, uint32_t max_rows,
                 uint32_t threads, struct vn_trunk **ret_trunk)
{
    _cleanup_(vn_trunk_freep) struct vn_trunk *t = calloc(1, sizeof *t);
    struct sizes s = {0};
    int r;

    if (!t)
        return -ENOMEM;
    t->network = *m->network;
    if (agent)
        vn_network_of_agent(m->network, &t->network);
    t->where = agent ? &m->layout->agent_trunk : &m->layout->trunk;
    t->input = input;
    t->g = t->network.groups;
    t->max_rows = max_rows;
    t->threads = threads;
    r = stem_new(t, &s);
    for (uint32_t i = 0; i < vn_network_blocks(&t->network) && !r; i++) {
        const struct vn_conv_plan *before = i ? &t->block[i - 1].conv1 : &t->stem.conv;

        t->m = i + 1;
        r = block_new(t, i, before->ho, before->wo, &s);
    }
    if (!r)
        r = lanes_new(t, &s);
    if (r)
        return r;
    t->dy[0] = vn_floats_new(max_rows * s.activation);
    t->dy[1] = vn_floats_new(max_rows * s.activation);
    if (!t->dy[0] || !t->dy[1])
        return -ENOMEM;
    *ret_trunk = t;
    t = NULL;
    return 0;
}

/* --- sharing rows between threads ------------------------------------------------------------- */

/* Runs `body` for every row; each thread has its own lane and a fixed, contiguous share of rows. */
#define FOR_ROWS(t, r, l)                                                                          \
    _Pragma(                                                                                       \
        "omp parallel num_threads((int)(t)->threads)") for (struct lane *l =                       \
                                                                &(t)->lane[omp_get_thread_num()],  \
                                                            *once = l;                             \
                                                            once; once = NULL)                     \
        _Pragma("omp for schedule(static)") for (uint32_t r = 0; r < (t)->rows; r++)

static void sums_clear(struct vn_trunk *t)
{
    for (uint32_t i = 0; i < t->threads; i++)
        memset(t->lane[i].sums, 0, t->g * t->sums_stride * sizeof(double));
}

/* Joins the threads' sums of group g, in thread order; the result is in lane 0. */
static const double *sums_join(struct vn_trunk *t, uint32_t g)
{
    double *to = t->lane[0].sums + g * t->sums_stride;

    for (uint32_t i = 1; i < t->threads; i++)
        for (size_t k = 0; k < t->sums_stride; k++)
            to[k] += t->lane[i].sums[g * t->sums_stride + k];
    return to;
}

static void weights_clear(struct vn_trunk *t, size_t n)
{
    for (uint32_t i = 0; i < t->threads; i++)
        memset(t->lane[i].dw, 0, n * sizeof(float));
}

static void weights_join(struct vn_trunk *t, size_t from, size_t n, float *grad)
{
    for (uint32_t i = 0; i < t->threads; i++)
        for (size_t k = 0; k < n; k++)
            grad[k] += t->lane[i].dw[from + k];
}

/* --- forward ---------------------------------------------------------------------------------- */

struct pass {
    struct vn_trunk *t;
    struct vn_model *m;
    enum vn_trunk_mode mode;
    float momentum;
};

/* The (gamma, beta) row of this trunk's input in a [inputs, 2, c] tensor, as an index. */
static size_t norm_at(const struct pass *p, uint32_t tensor, uint32_t c)
{
    return vn_model_at(p->m, tensor) + (size_t)p->t->input * 2 * c;
}

static void norm_ready(const struct pass *p, struct vn_norm *n, size_t at, uint32_t c,
                       const double *sums, size_t count)
{
    const float *gamma = p->m->param + at;
    float *running = p->m->running + at;

    if (p->mode == VN_TRUNK_TRAIN)
        vn_norm_from_batch(n, c, sums, count, gamma, gamma + c, p->momentum, running, running + c);
    else
        vn_norm_from_running(n, c, gamma, gamma + c, running, running + c);
}

static void stem_forward(const struct pass *p)
{
    struct vn_trunk *t = p->t;
    struct stem *s = &t->stem;
    const struct vn_conv *c = &s->conv.shape;
    const float *w = p->m->param + vn_model_at(p->m, t->where->stem_conv[t->input]);
    size_t out = s->pixels * c->co;

    sums_clear(t);
    FOR_ROWS(t, r, l)
    {
        vn_conv_pad(t->images + r * t->image_floats, c->h, c->w, c->ci, s->conv.pad, l->pad1);
        vn_conv_forward(&s->conv, l->pad1, w, s->c + r * out);
        vn_norm_add_forward(l->sums, s->c + r * out, s->pixels, c->co);
    }
    norm_ready(p, &s->norm, vn_model_at(p->m, t->where->stem_bn[t->input]), c->co, sums_join(t, 0),
               t->rows * s->pixels);
    FOR_ROWS(t, r, l)
    {
        vn_norm_relu(&s->norm, s->c + r * out, s->pixels, c->co, s->y + r * out);
    }
}

/* Row r takes group g in block b when g is among the first `level` of its order. */
static void branches_activate(struct vn_trunk *t, struct block *b, uint32_t index)
{
    for (uint32_t g = 0; g < t->g; g++) {
        b->branch[g].n_active = 0;
        memset(b->branch[g].place, 0xff, t->rows * sizeof(uint32_t));
    }
    for (uint32_t r = 0; r < t->rows; r++)
        for (uint32_t i = 0; i < t->row[r].level[index]; i++) {
            struct branch *a = &b->branch[t->row[r].order[i]];

            a->place[r] = a->n_active++;
        }
}

/* Walks the branches that row r takes. */
#define FOR_BRANCHES(t, b, r, g, a)                                                                \
    for (uint32_t g = 0; g < (t)->g; g++)                                                          \
        for (struct branch *a = &(b)->branch[g]; a && a->place[r] != UINT32_MAX; a = NULL)

static float *branch_row(float *base, const struct branch *a, uint32_t r, size_t floats)
{
    return base + a->place[r] * floats;
}

static void block_conv1(const struct pass *p, struct block *b, uint32_t index)
{
    struct vn_trunk *t = p->t;
    const struct vn_conv *c = &b->conv1.shape;
    size_t in = (size_t)c->h * c->w * c->ci, hidden = b->pixels * c->co;

    sums_clear(t);
    FOR_ROWS(t, r, l)
    {
        vn_conv_pad(b->x + r * in, c->h, c->w, c->ci, 1, l->pad1);
        FOR_BRANCHES(t, b, r, g, a)
        {
            float *out = branch_row(a->c1, a, r, hidden);

            vn_conv_forward(&b->conv1, l->pad1,
                            p->m->param + vn_model_at(p->m, t->where->slice[g][index].conv1), out);
            vn_norm_add_forward(l->sums + g * t->sums_stride, out, b->pixels, c->co);
        }
    }
    for (uint32_t g = 0; g < t->g; g++)
        norm_ready(p, &b->branch[g].norm1, norm_at(p, t->where->slice[g][index].bn1, c->co), c->co,
                   sums_join(t, g), b->branch[g].n_active * b->pixels);
}

/* The padded hidden activation of one row and branch. */
static void hidden_padded(const struct block *b, const struct branch *a, uint32_t r, struct lane *l)
{
    const struct vn_conv *c = &b->conv2.shape;

    vn_norm_relu(&a->norm1, branch_row(a->c1, a, r, b->pixels * c->ci), b->pixels, c->ci, l->row);
    vn_conv_pad(l->row, c->h, c->w, c->ci, 1, l->pad1);
}

static void block_conv2(const struct pass *p, struct block *b, uint32_t index)
{
    struct vn_trunk *t = p->t;
    uint32_t co = b->dims.co;

    sums_clear(t);
    FOR_ROWS(t, r, l)
    {
        FOR_BRANCHES(t, b, r, g, a)
        {
            float *out = branch_row(a->c2, a, r, b->pixels * co);

            hidden_padded(b, a, r, l);
            vn_conv_forward(&b->conv2, l->pad1,
                            p->m->param + vn_model_at(p->m, t->where->slice[g][index].conv2), out);
            vn_norm_add_forward(l->sums + g * t->sums_stride, out, b->pixels, co);
        }
    }
    for (uint32_t g = 0; g < t->g; g++)
        norm_ready(p, &b->branch[g].norm2, norm_at(p, t->where->slice[g][index].bn2, co), co,
                   sums_join(t, g), b->branch[g].n_active * b->pixels);
}

static void block_join(struct vn_trunk *t, struct block *b)
{
    const struct vn_conv *c = &b->conv1.shape;
    uint32_t co = b->dims.co;
    size_t in = (size_t)c->h * c->w * c->ci, out = b->pixels * co;

    FOR_ROWS(t, r, l)
    {
        float *y = b->y + r * out;

        vn_shortcut(c->h, c->w, c->ci, co, c->stride, b->x + r * in, y);
        FOR_BRANCHES(t, b, r, g, a)
        {
            vn_norm_add(&a->norm2, branch_row(a->c2, a, r, out), b->pixels, co, y);
        }
        vn_relu(y, out);
    }
}

void vn_trunk_forward(struct vn_trunk *t, struct vn_model *m, enum vn_trunk_mode mode,
                      float momentum, uint32_t rows, const struct vn_row *row, const float *images,
                      float *ret_pooled)
{
    struct pass p = {t, m, mode, momentum};
    const float *x = t->stem.y;
    const struct block *last = &t->block[t->m - 1];

    t->rows = rows;
    t->row = row;
    t->images = images;
    stem_forward(&p);
    for (uint32_t i = 0; i < t->m; i++) {
        struct block *b = &t->block[i];

        b->x = x;
        branches_activate(t, b, i);
        block_conv1(&p, b, i);
        block_conv2(&p, b, i);
        block_join(t, b);
        x = b->y;
    }
    for (uint32_t r = 0; r < rows; r++)
        vn_pool_mean(last->y + r * last->pixels * last->dims.co, last->pixels, last->dims.co,
                     ret_pooled + (size_t)r * last->dims.co);
}

/* --- backward --------------------------------------------------------------------------------- */

static void norm_back(const struct pass *p, const struct vn_norm *n, size_t at, uint32_t c,
                      const double *sums, size_t count, float *coefficients)
{
    vn_norm_backward(n, c, sums, count, p->m->param + at, p->m->grad + at, p->m->grad + at + c,
                     coefficients);
}

/* dz = dy where the block's output was positive, in place; sums for every branch's BN2. */
static void back_join(const struct pass *p, struct block *b, uint32_t index, float *dy)
{
    struct vn_trunk *t = p->t;
    uint32_t co = b->dims.co;
    size_t out = b->pixels * co;

    sums_clear(t);
    FOR_ROWS(t, r, l)
    {
        float *d = dy + r * out;
        const float *y = b->y + r * out;

        for (size_t i = 0; i < out; i++)
            d[i] = y[i] > 0 ? d[i] : 0;
        FOR_BRANCHES(t, b, r, g, a)
        {
            vn_norm_add_backward(l->sums + g * t->sums_stride, d, branch_row(a->c2, a, r, out),
                                 b->pixels, co);
        }
    }
    for (uint32_t g = 0; g < t->g; g++)
        norm_back(p, &b->branch[g].norm2, norm_at(p, t->where->slice[g][index].bn2, co), co,
                  sums_join(t, g), b->branch[g].n_active * b->pixels, b->branch[g].back2);
}

/* Weight gradients of a block lie in a lane as conv2 of all groups, then conv1 of all groups. */
static size_t dw2_floats(const struct block *b)
{
    return 9 * (size_t)b->dims.h * b->dims.co;
}

static size_t dw1_floats(const struct block *b)
{
    return 9 * (size_t)b->dims.ci * b->dims.h;
}

static void back_conv2(const struct pass *p, struct block *b, uint32_t index, const float *dz)
{
    struct vn_trunk *t = p->t;
    uint32_t h = b->dims.h, co = b->dims.co;
    size_t out = b->pixels * co, hidden = b->pixels * h;

    for (uint32_t g = 0; g < t->g; g++)
        vn_conv_pack_dx(&b->conv2, p->m->param + vn_model_at(p->m, t->where->slice[g][index].conv2),
                        b->branch[g].wt2);
    sums_clear(t);
    FOR_ROWS(t, r, l)
    {
        FOR_BRANCHES(t, b, r, g, a)
        {
            const float *c1 = branch_row(a->c1, a, r, hidden);
            float *c2 = branch_row(a->c2, a, r, out), *d1 = branch_row(a->d1, a, r, hidden);

            hidden_padded(b, a, r, l);
            /* c2 has done its duty: its place takes the gradient */
            vn_norm_apply_backward(a->back2, dz + r * out, c2, b->pixels, co, c2);
            vn_conv_backward_w(&b->conv2, l->pad1, c2, l->dw + g * dw2_floats(b));
            vn_conv_pad(c2, b->conv2.ho, b->conv2.wo, co, 1, l->pad2);
            vn_conv_backward_x(&b->conv2, l->pad2, a->wt2, false, d1);
            vn_norm_mask(&a->norm1, c1, b->pixels, h, d1);
            vn_norm_add_backward(l->sums + g * t->sums_stride, d1, c1, b->pixels, h);
        }
    }
    for (uint32_t g = 0; g < t->g; g++)
        norm_back(p, &b->branch[g].norm1, norm_at(p, t->where->slice[g][index].bn1, h), h,
                  sums_join(t, g), b->branch[g].n_active * b->pixels, b->branch[g].back1);
}

static void back_conv1(const struct pass *p, struct block *b, uint32_t index, const float *dz,
                       float *dx)
{
    struct vn_trunk *t = p->t;
    const struct vn_conv *c = &b->conv1.shape;
    size_t in = (size_t)c->h * c->w * c->ci, out = b->pixels * b->dims.co;
    size_t hidden = b->pixels * c->co, base = t->g * dw2_floats(b);

    for (uint32_t g = 0; g < t->g; g++)
        vn_conv_pack_dx(&b->conv1, p->m->param + vn_model_at(p->m, t->where->slice[g][index].conv1),
                        b->branch[g].wt1);
    FOR_ROWS(t, r, l)
    {
        vn_shortcut_backward(c->h, c->w, c->ci, b->dims.co, c->stride, dz + r * out, dx + r * in);
        vn_conv_pad(b->x + r * in, c->h, c->w, c->ci, 1, l->pad1);
        FOR_BRANCHES(t, b, r, g, a)
        {
            float *d1 = branch_row(a->d1, a, r, hidden);

            vn_norm_apply_backward(a->back1, d1, branch_row(a->c1, a, r, hidden), b->pixels, c->co,
                                   d1);
            vn_conv_backward_w(&b->conv1, l->pad1, d1, l->dw + base + g * dw1_floats(b));
            vn_conv_pad(d1, b->conv1.ho, b->conv1.wo, c->co, 1, l->pad2);
            vn_conv_backward_x(&b->conv1, l->pad2, a->wt1, true, dx + r * in);
        }
    }
}

static void block_backward(const struct pass *p, uint32_t index, float *dy, float *dx)
{
    struct vn_trunk *t = p->t;
    struct block *b = &t->block[index];
    size_t n1 = dw1_floats(b), n2 = dw2_floats(b);

    weights_clear(t, t->g * (n1 + n2));
    back_join(p, b, index, dy);
    back_conv2(p, b, index, dy);
    back_conv1(p, b, index, dy, dx);
    for (uint32_t g = 0; g < t->g; g++) {
        const struct vn_slice *s = &t->where->slice[g][index];

        weights_join(t, g * n2, n2, p->m->grad + vn_model_at(p->m, s->conv2));
        weights_join(t, t->g * n2 + g * n1, n1, p->m->grad + vn_model_at(p->m, s->conv1));
    }
}

static void stem_backward(const struct pass *p, float *dy)
{
    struct vn_trunk *t = p->t;
    struct stem *s = &t->stem;
    const struct vn_conv *c = &s->conv.shape;
    size_t out = s->pixels * c->co, weights = (size_t)c->k * c->k * c->ci * c->co;

    sums_clear(t);
    weights_clear(t, weights);
    FOR_ROWS(t, r, l)
    {
        vn_norm_mask(&s->norm, s->c + r * out, s->pixels, c->co, dy + r * out);
        vn_norm_add_backward(l->sums, dy + r * out, s->c + r * out, s->pixels, c->co);
    }
    norm_back(p, &s->norm, vn_model_at(p->m, t->where->stem_bn[t->input]), c->co, sums_join(t, 0),
              t->rows * s->pixels, s->back);
    FOR_ROWS(t, r, l)
    {
        float *d = dy + r * out;

        vn_norm_apply_backward(s->back, d, s->c + r * out, s->pixels, c->co, d);
        vn_conv_pad(t->images + r * t->image_floats, c->h, c->w, c->ci, s->conv.pad, l->pad1);
        vn_conv_backward_w(&s->conv, l->pad1, d, l->dw);
    }
    weights_join(t, 0, weights, p->m->grad + vn_model_at(p->m, t->where->stem_conv[t->input]));
}

void vn_trunk_backward(struct vn_trunk *t, struct vn_model *m, const float *dpooled)
{
    struct pass p = {t, m, VN_TRUNK_TRAIN, 0};
    const struct block *last = &t->block[t->m - 1];
    uint32_t width = last->dims.co;
    float *dy = t->dy[0], *dx = t->dy[1];

    FOR_ROWS(t, r, l)
    {
        float *d = dy + r * last->pixels * width;

        for (size_t i = 0; i < last->pixels * width; i++)
            d[i] = dpooled[r * width + i % width] / (float)last->pixels;
    }
    for (uint32_t i = t->m; i-- > 0;) {
        float *done = dy;

        block_backward(&p, i, dy, dx);
        dy = dx;
        dx = done;
    }
    stem_backward(&p, dy);
}
