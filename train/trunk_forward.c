/* Forward pass. Each block works in three passes over the rows, because the batch statistics of a
 * branch must be complete before its numbers can be used:
 *   1 conv1 and its sums   2 ReLU, conv2 and its sums   3 shortcut + branches, ReLU */
#include "engine/kernels.h"
#include "train/trunk_parts.h"

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
        vn_norm_sum(l->sums, s->c + r * out, s->c + r * out, s->pixels, c->co);
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
            vn_norm_sum(l->sums + g * t->sums_stride, out, out, b->pixels, c->co);
        }
    }
    for (uint32_t g = 0; g < t->g; g++)
        norm_ready(p, &b->branch[g].norm1, norm_at(p, t->where->slice[g][index].bn1, c->co), c->co,
                   sums_join(t, g), b->branch[g].n_active * b->pixels);
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
            vn_norm_sum(l->sums + g * t->sums_stride, out, out, b->pixels, co);
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
