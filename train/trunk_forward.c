/* Forward pass. Each block works in three passes over the rows, because the batch statistics of a
 * branch must be complete before its numbers can be used:
 *   1 conv1 and its sums   2 ReLU, conv2 and its sums   3 shortcut + branches, ReLU */
#include "engine/kernels.h"
#include "train/trunk_parts.h"

/* at: of this input's (gamma, beta) in the tensor. */
static void norm_ready(const struct pass *p, struct vn_norm n, uint32_t tensor, size_t at,
                       uint32_t c, struct vn_sums sums, size_t count)
{
    const float *gamma = p->m->param + at;
    float *running = p->m->running + at;

    if (p->mode == VN_TRUNK_TRAIN && !p->m->frozen[tensor])
        vn_norm_from_batch(&n, c, sums, count, gamma, gamma + c, p->momentum, running, running + c);
    else
        vn_norm_from_running(&n, c, gamma, gamma + c, running, running + c);
    if (p->mode == VN_TRUNK_MEASURE)
        vn_norm_follow(c, sums, count, p->momentum, p->m->average + at, p->m->average + at + c);
}

static void stem_forward(const struct pass *p)
{
    struct vn_trunk *t = p->t;
    struct stem *s = &t->stem;
    const struct vn_conv *c = &s->conv.shape;
    const struct vn_plane plane = {s->pixels, c->co, c->co};
    const float *w = p->m->param + vn_model_at(p->m, t->where->stem_conv[t->input]);
    const uint32_t bn = t->where->stem_bn[t->input];
    size_t out = s->pixels * c->co;

    sums_clear(t);
    FOR_ROWS(t, r, l)
    {
        vn_conv_pad(t->images + r * t->image_floats, c->ci, c->h, c->w, c->ci, s->conv.pad,
                    l->pad1);
        vn_conv_forward(&s->conv, l->pad1, w, 0, c->co, s->c + r * out);
        vn_norm_sum(plane, s->c + r * out, sums_of(l, 0, c->co));
    }
    sums_join(t);
    norm_ready(p, s->norm.n, bn, vn_model_at(p->m, bn), c->co, sums_of(t->lane, 0, c->co),
               t->rows * s->pixels);
    FOR_ROWS(t, r, l)
    {
        vn_norm_relu(plane, &s->norm.n, s->c + r * out, s->y + r * out);
    }
}

/* Row r takes group g in block b when g is among the first `level` of its order. */
static void groups_activate(struct vn_trunk *t, struct block *b, uint32_t index)
{
    memset(b->n_active, 0, sizeof b->n_active);
    for (uint32_t r = 0; r < t->rows; r++) {
        b->active[r] = 0;
        for (uint32_t i = 0; i < t->row[r].level[index]; i++) {
            const uint32_t g = t->row[r].order[i];

            b->active[r] |= (uint16_t)(1u << g);
            b->n_active[g]++;
        }
    }
}

/* --- conv1 ------------------------------------------------------------------------------------ */

static void conv1_fast(struct vn_trunk *t, struct block *b, const struct weights *w, struct strip s,
                       struct lane *l)
{
    const struct vn_positions v = positions(l->v, b->dims.ci), m = positions(l->m, b->hidden);
    const uint32_t ci = b->dims.ci, h = b->dims.h;

    FOR_PARTS(part, t, b, l, s)
    {
        FOR_STRIP_ROWS(s, r)
        {
            const struct vn_grid_part at = vn_part_row(&part, r);

            vn_grid_input(&at, input_row(b, b->x, r), ci, ci, l->zeros, v);
        }
        FOR_SHARED_RUNS(part, run)
        vn_part_product(&part, run.first, w, v, 0, ci, m, run.first * h, run.end * h, false);
        FOR_STRIP_ROWS(s, r)
        FOR_RUNS(b->active[r], run)
        {
            const struct vn_grid_part at = vn_part_row(&part, r);

            vn_grid_output(&at, positions_from(m, run.first * h), (run.end - run.first) * h,
                           l->zeros, hidden_row(b, b->c1, r) + run.first * h, b->hidden);
        }
    }
}

static void conv1_direct(struct block *b, const struct weights *w, uint32_t r, struct lane *l)
{
    const struct vn_conv *c = &b->conv1.shape;

    vn_conv_pad(input_row(b, b->x, r), c->ci, c->h, c->w, c->ci, 1, l->pad1);
    FOR_RUNS(b->active[r], run)
    vn_conv_forward(&b->conv1, l->pad1, w->w, run.first * b->dims.h, run.end * b->dims.h,
                    hidden_row(b, b->c1, r));
}

static void block_conv1(const struct pass *p, struct block *b, uint32_t index)
{
    struct vn_trunk *t = p->t;
    const uint32_t h = b->dims.h;
    const struct weights w = vn_weights_conv1(p, b, index);

    sums_clear(t);
    FOR_STRIPS(t, b->fast1 ? b->grid.images : 1, s, l)
    {
        if (b->fast1)
            conv1_fast(t, b, &w, s, l);
        else
            conv1_direct(b, &w, s.first, l);
        FOR_STRIP_ROWS(s, r)
        FOR_RUNS(b->active[r], run)
        vn_norm_sum(hidden_plane(b, run), hidden_row(b, b->c1, r) + run.first * h,
                    vn_sums_at(sums_of(l, 0, b->hidden), run.first * h));
    }
    sums_join(t);
    for (uint32_t g = 0; g < t->g; g++) {
        const uint32_t bn = t->where->slice[g][index].bn1;

        norm_ready(p, vn_norm_at(&b->norm1.n, g * h), bn, norm_at(p, bn, h), h,
                   vn_sums_at(sums_of(t->lane, 0, b->hidden), g * h), b->n_active[g] * b->pixels);
    }
}

/* --- conv2 ------------------------------------------------------------------------------------ */

void vn_hidden_row(const struct block *b, uint32_t r, float *to)
{
    FOR_RUNS(b->active[r], run)
    {
        const size_t at = run.first * b->dims.h;
        const struct vn_norm n = vn_norm_at(&b->norm1.n, at);

        vn_norm_relu(hidden_plane(b, run), &n, hidden_row(b, b->c1, r) + at, to + at);
    }
}

void vn_hidden_strip(const struct block *b, struct strip s, struct lane *l)
{
    FOR_STRIP_ROWS(s, r)
    vn_hidden_row(b, r, hidden_row(b, l->row1, r - s.first));
}

void vn_hidden_input(const struct part *part, struct vn_positions v)
{
    const struct block *b = part->b;
    const uint32_t h = b->dims.h;

    FOR_STRIP_ROWS(part->strip, r)
    FOR_RUNS(b->active[r], run)
    {
        const struct vn_grid_part at = vn_part_row(part, r);

        vn_grid_input(&at, hidden_row(b, part->l->row1, r - part->strip.first) + run.first * h,
                      b->hidden, (run.end - run.first) * h, part->l->zeros,
                      positions_from(v, run.first * h));
    }
}

static void conv2_fast(struct vn_trunk *t, struct block *b, const struct weights *w, struct strip s,
                       struct lane *l)
{
    const uint32_t h = b->dims.h, co = b->dims.co;
    const struct vn_positions v = positions(l->v, b->hidden), m = positions(l->m, co);

    vn_hidden_strip(b, s, l);
    FOR_PARTS(part, t, b, l, s)
    {
        vn_hidden_input(&part, v);
        for (uint32_t g = 0; g < t->g; g++) {
            vn_part_product(&part, g, &w[g], positions_from(v, g * h), 0, h, m, 0, co, false);
            FOR_STRIP_ROWS(s, r)
            {
                const struct vn_grid_part at = vn_part_row(&part, r);

                if (!(b->active[r] >> g & 1))
                    continue;
                vn_grid_output(&at, m, co, l->zeros, output_row(b, b->c2[g], r), co);
                if (part.end == b->grid.tiles)
                    vn_norm_sum((struct vn_plane){b->pixels, co, co}, output_row(b, b->c2[g], r),
                                sums_of(l, g, co));
            }
        }
    }
}

static void conv2_direct(struct block *b, const struct weights *w, uint32_t r, struct lane *l)
{
    const struct vn_conv *c = &b->conv2.shape;

    vn_hidden_row(b, r, l->row1);
    FOR_GROUPS(b->active[r], g)
    {
        vn_conv_pad(l->row1 + g * c->ci, b->hidden, c->h, c->w, c->ci, 1, l->pad1);
        vn_conv_forward(&b->conv2, l->pad1, w[g].w, 0, c->co, output_row(b, b->c2[g], r));
        vn_norm_sum((struct vn_plane){b->pixels, c->co, c->co}, output_row(b, b->c2[g], r),
                    sums_of(l, g, c->co));
    }
}

static void block_conv2(const struct pass *p, struct block *b, uint32_t index)
{
    struct vn_trunk *t = p->t;
    uint32_t co = b->dims.co;
    struct weights w[VN_GROUPS_MAX];

    vn_weights_conv2(p, b, index, w);
    sums_clear(t);
    FOR_STRIPS(t, b->fast2 ? b->grid.images : 1, s, l)
    {
        if (b->fast2)
            conv2_fast(t, b, w, s, l);
        else
            conv2_direct(b, w, s.first, l);
    }
    sums_join(t);
    for (uint32_t g = 0; g < t->g; g++) {
        const uint32_t bn = t->where->slice[g][index].bn2;

        norm_ready(p, b->norm2[g].n, bn, norm_at(p, bn, co), co, sums_of(t->lane, g, co),
                   b->n_active[g] * b->pixels);
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static void block_join(struct vn_trunk *t, struct block *b)
{
    const struct vn_conv *c = &b->conv1.shape;
    uint32_t co = b->dims.co;

    FOR_ROWS(t, r, l)
    {
        const float *base = input_row(b, b->x, r), *x[VN_GROUPS_MAX];
        const struct vn_norm *norm[VN_GROUPS_MAX];
        float *y = output_row(b, b->y, r);
        uint32_t n = 0;

        FOR_GROUPS(b->active[r], g)
        {
            x[n] = output_row(b, b->c2[g], r);
            norm[n++] = &b->norm2[g].n;
        }
        if (c->stride != 1 || c->ci != co || !n) {
            vn_shortcut(c->h, c->w, c->ci, co, c->stride, base, y);
            base = y;
        }
        if (n)
            vn_norm_join((struct vn_plane){b->pixels, co, co}, n, norm, x, base, y);
        else
            vn_relu(y, b->pixels * co);
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
    t->down = false; /* the order of sums is the same in a run that goes on from a checkpoint */
    stem_forward(&p);
    t->flops += stem_flops(t);
    for (uint32_t i = 0; i < t->m; i++) {
        struct block *b = &t->block[i];

        b->x = x;
        groups_activate(t, b, i);
        block_conv1(&p, b, i);
        block_conv2(&p, b, i);
        block_join(t, b);
        t->flops += block_flops(t, b);
        x = b->y;
    }
    t->turned = t->down;
    for (uint32_t r = 0; r < rows; r++)
        vn_pool_mean(last->y + r * last->pixels * last->dims.co, last->pixels, last->dims.co,
                     ret_pooled + (size_t)r * last->dims.co);
}
