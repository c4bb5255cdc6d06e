/* Backward pass, a block in three passes over the rows:
 *   1 ReLU, sums for BN2   2 back through conv2, sums for BN1   3 back through conv1 */
#include "train/shortcut.h"
#include "train/trunk_parts.h"

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
            vn_norm_sum(l->sums + g * t->sums_stride, d, branch_row(a->c2, a, r, out), b->pixels,
                        co);
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
            vn_norm_sum(l->sums + g * t->sums_stride, d1, c1, b->pixels, h);
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
        vn_norm_sum(l->sums, dy + r * out, s->c + r * out, s->pixels, c->co);
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
