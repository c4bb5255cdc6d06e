/* Backward pass, a block in three passes over the rows:
 *   1 ReLU, sums for BN2   2 back through conv2, sums for BN1   3 back through conv1 */
#include "train/shortcut.h"
#include "train/trunk_parts.h"

/* at: of this input's (gamma, beta) in the tensor. */
static void norm_back(const struct pass *p, const struct vn_norm n, uint32_t tensor, size_t at,
                      uint32_t c, struct vn_sums sums, size_t count, struct vn_norm_slope slope)
{
    if (p->m->frozen[tensor])
        vn_norm_backward_fixed(&n, c, &slope);
    else
        vn_norm_backward(&n, c, sums, count, p->m->param + at, p->m->grad + at, p->m->grad + at + c,
                         &slope);
}

/* dz = dy where the block's output was positive, in place; sums for every branch's BN2. */
static void back_join(const struct pass *p, struct block *b, uint32_t index, float *dy)
{
    struct vn_trunk *t = p->t;
    uint32_t co = b->dims.co;

    sums_clear(t);
    FOR_ROWS(t, r, l)
    {
        const float *x[VN_GROUPS_MAX];
        struct vn_sums sums[VN_GROUPS_MAX];
        uint32_t n = 0;

        FOR_GROUPS(b->active[r], g)
        {
            x[n] = output_row(b, b->c2[g], r);
            sums[n++] = sums_of(l, g, co);
        }
        vn_norm_join_back((struct vn_plane){b->pixels, co, co}, output_row(b, b->y, r),
                          output_row(b, dy, r), n, x, sums, l->sum);
    }
    sums_join(t);
    for (uint32_t g = 0; g < t->g; g++) {
        const uint32_t bn = t->where->slice[g][index].bn2;

        norm_back(p, b->norm2[g].n, bn, norm_at(p, bn, co), co, sums_of(t->lane, g, co),
                  b->n_active[g] * b->pixels, b->norm2[g].back);
    }
}

/* --- conv2 ------------------------------------------------------------------------------------ */

/* One group: gradients of its weights, and of its hidden channels in m. */
static void back_conv2_group(const struct part *part, const struct block *b, uint32_t g,
                             const struct weights *w, float *dz, struct vn_positions v,
                             struct vn_positions d, struct vn_positions m)
{
    const uint32_t h = b->dims.h, co = b->dims.co;

    FOR_STRIP_ROWS(part->strip, r)
    {
        const struct vn_grid_part at = vn_part_row(part, r);

        if (b->active[r] >> g & 1)
            vn_grid_gradient(&at, &(struct vn_gradient){
                                      .dy = {.at = output_row(b, dz, r), .pixel = co},
                                      .x = {.at = output_row(b, b->c2[g], r), .pixel = co},
                                      .a = b->norm2[g].back.a,
                                      .b = b->norm2[g].back.b,
                                      .c0 = b->norm2[g].back.c0,
                                      .channels = co,
                                      .d = d,
                                  });
    }
    part->t->steps->outer(&(struct vn_outer){
        positions_from(v, g * h), d, du_of(part->t, b, part->l, g), h, co, part_tiles(part, g)});
    vn_part_product(part, g, w, d, 0, co, positions_from(m, g * h), 0, h, false);
}

static void back_conv2_fast(struct vn_trunk *t, struct block *b, const struct weights *w, float *dz,
                            struct strip s, struct lane *l)
{
    const uint32_t h = b->dims.h;
    const struct vn_positions v = positions(l->v, b->hidden), d = positions(l->d, b->dims.co);
    const struct vn_positions m = positions(l->m, b->hidden);

    vn_hidden_strip(b, s, l);
    memset(hidden_row(b, b->d1, s.first), 0,
           (s.end - s.first) * b->pixels * b->hidden * sizeof(float));
    FOR_PARTS(part, t, b, l, s)
    {
        vn_hidden_input(&part, v);
        /* the order matters: a group's last vector ends in the place of the next group */
        for (uint32_t g = 0; g < t->g; g++)
            back_conv2_group(&part, b, g, &w[g], dz, v, d, m);
        FOR_STRIP_ROWS(s, r)
        FOR_RUNS(b->active[r], run)
        {
            const struct vn_grid_part at = vn_part_row(&part, r);

            vn_grid_spread(&at, positions_from(m, run.first * h), (run.end - run.first) * h,
                           hidden_row(b, b->d1, r) + run.first * h, b->hidden);
        }
    }
}

static void back_conv2_direct(struct vn_trunk *t, struct block *b, const struct weights *w,
                              float *dz, uint32_t r, struct lane *l)
{
    const uint32_t h = b->dims.h, co = b->dims.co;
    float *d1 = hidden_row(b, b->d1, r);

    vn_hidden_row(b, r, l->row1);
    FOR_GROUPS(b->active[r], g)
    {
        vn_norm_apply_slope((struct vn_plane){b->pixels, co, co}, &b->norm2[g].back,
                            output_row(b, dz, r), output_row(b, b->c2[g], r), l->row2);
        vn_conv_pad(l->row1 + g * h, b->hidden, b->conv2.shape.h, b->conv2.shape.w, h, 1, l->pad1);
        vn_conv_backward_w(&b->conv2, l->pad1, l->row2, l->dw + vn_dw_at(t, b, g));
        vn_conv_pad(l->row2, co, b->conv2.ho, b->conv2.wo, co, 1, l->pad2);
        vn_conv_backward_x(&b->conv2, l->pad2, w[g].w, false, l->row2);
        for (size_t i = 0; i < b->pixels; i++)
            memcpy(d1 + i * b->hidden + g * h, l->row2 + i * h, h * sizeof *d1);
    }
}

static void back_conv2(const struct pass *p, struct block *b, uint32_t index, float *dz)
{
    struct vn_trunk *t = p->t;
    uint32_t h = b->dims.h;
    struct weights w[VN_GROUPS_MAX];

    vn_weights_conv2_back(p, b, index, w);
    sums_clear(t);
    FOR_STRIPS(t, b->fast2 ? b->grid.images : 1, s, l)
    {
        if (b->fast2)
            back_conv2_fast(t, b, w, dz, s, l);
        else
            back_conv2_direct(t, b, w, dz, s.first, l);
        FOR_STRIP_ROWS(s, r)
        FOR_RUNS(b->active[r], run)
        {
            const size_t at = run.first * h;
            const struct vn_norm n = vn_norm_at(&b->norm1.n, at);

            vn_norm_relu_back(hidden_plane(b, run), &n, hidden_row(b, b->c1, r) + at,
                              hidden_row(b, b->d1, r) + at,
                              vn_sums_at(sums_of(l, 0, b->hidden), at));
        }
    }
    sums_join(t);
    for (uint32_t g = 0; g < t->g; g++) {
        const uint32_t bn = t->where->slice[g][index].bn1;

        norm_back(p, vn_norm_at(&b->norm1.n, g * h), bn, norm_at(p, bn, h), h,
                  vn_sums_at(sums_of(t->lane, 0, b->hidden), g * h), b->n_active[g] * b->pixels,
                  vn_slope_at(&b->norm1.back, g * h));
    }
}

/* --- conv1 ------------------------------------------------------------------------------------ */

static void gradients1(const struct part *part, const struct block *b, struct vn_positions d)
{
    FOR_STRIP_ROWS(part->strip, r)
    FOR_RUNS(b->active[r], run)
    {
        const struct vn_grid_part at = vn_part_row(part, r);
        const size_t first = run.first * b->dims.h;
        const struct vn_norm_slope slope = vn_slope_at(&b->norm1.back, first);

        vn_grid_gradient(&at, &(struct vn_gradient){
                                  .dy = {.at = hidden_row(b, b->d1, r) + first, .pixel = b->hidden},
                                  .x = {.at = hidden_row(b, b->c1, r) + first, .pixel = b->hidden},
                                  .a = slope.a,
                                  .b = slope.b,
                                  .c0 = slope.c0,
                                  .channels = (run.end - run.first) * b->dims.h,
                                  .d = positions_from(d, first),
                              });
    }
}

/* m = what comes back to x from all groups. */
static void products1(const struct part *part, const struct weights *w, struct vn_positions d,
                      struct vn_positions m)
{
    const uint32_t h = part->b->dims.h;
    bool all = true;

    for (uint32_t g = 1; g < part->t->g; g++)
        all = all && part->rows_of[g] == part->rows_of[0];
    for (uint32_t i = 0; i < VN_WINOGRAD_POSITIONS && !all; i++)
        memset(m.at + i * m.pitch, 0, m.pitch * sizeof *m.at);
    FOR_SHARED_RUNS(*part, run)
    vn_part_product(part, run.first, w, positions_from(d, run.first * h), run.first * h,
                    (run.end - run.first) * h, m, 0, w->columns, !all);
}

static void back_conv1_fast(struct vn_trunk *t, struct block *b, const struct weights *w, float *dx,
                            struct strip s, struct lane *l)
{
    const uint32_t ci = b->dims.ci, h = b->dims.h;
    const struct vn_positions v = positions(l->v, ci), d = positions(l->d, b->hidden);
    const struct vn_positions m = positions(l->m, ci);

    FOR_PARTS(part, t, b, l, s)
    {
        FOR_STRIP_ROWS(s, r)
        {
            const struct vn_grid_part at = vn_part_row(&part, r);

            if (b->active[r])
                vn_grid_input(&at, input_row(b, b->x, r), ci, ci, l->zeros, v);
        }
        gradients1(&part, b, d);
        FOR_SHARED_RUNS(part, run)
        t->steps->outer(&(struct vn_outer){v, positions_from(d, run.first * h),
                                           positions_from(du_of(t, b, l, t->g), run.first * h), ci,
                                           (run.end - run.first) * h,
                                           part_tiles(&part, run.first)});
        products1(&part, w, d, m);
        FOR_STRIP_ROWS(s, r)
        {
            const struct vn_grid_part at = vn_part_row(&part, r);

            if (b->active[r])
                vn_grid_spread(&at, m, ci, (float *)input_row(b, dx, r), ci);
        }
    }
}

static void back_conv1_direct(struct vn_trunk *t, struct block *b, const struct weights *w,
                              float *dx, uint32_t r, struct lane *l)
{
    const struct vn_conv *c = &b->conv1.shape;

    memset(l->row1, 0, b->pixels * b->hidden * sizeof *l->row1);
    FOR_RUNS(b->active[r], run)
    {
        const size_t at = run.first * b->dims.h;
        const struct vn_norm_slope slope = vn_slope_at(&b->norm1.back, at);

        vn_norm_apply_slope(hidden_plane(b, run), &slope, hidden_row(b, b->d1, r) + at,
                            hidden_row(b, b->c1, r) + at, l->row1 + at);
    }
    vn_conv_pad(input_row(b, b->x, r), c->ci, c->h, c->w, c->ci, 1, l->pad1);
    vn_conv_backward_w(&b->conv1, l->pad1, l->row1, l->dw + vn_dw_at(t, b, t->g));
    vn_conv_pad(l->row1, c->co, b->conv1.ho, b->conv1.wo, c->co, 1, l->pad2);
    vn_conv_backward_x(&b->conv1, l->pad2, w->w, true, (float *)input_row(b, dx, r));
}

static void back_conv1(const struct pass *p, struct block *b, uint32_t index, const float *dz,
                       float *dx)
{
    struct vn_trunk *t = p->t;
    const struct vn_conv *c = &b->conv1.shape;
    const struct weights w = vn_weights_conv1_back(p, b, index);

    FOR_STRIPS(t, b->fast1 ? b->grid.images : 1, s, l)
    {
        FOR_STRIP_ROWS(s, r)
        vn_shortcut_backward(c->h, c->w, c->ci, b->dims.co, c->stride,
                             dz + r * b->pixels * b->dims.co, (float *)input_row(b, dx, r));
        if (b->fast1)
            back_conv1_fast(t, b, &w, dx, s, l);
        else if (b->active[s.first])
            back_conv1_direct(t, b, &w, dx, s.first, l);
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static void block_backward(const struct pass *p, uint32_t index, float *dy, float *dx)
{
    struct vn_trunk *t = p->t;
    struct block *b = &t->block[index];

    vn_dw_clear(t, b);
    back_join(p, b, index, dy);
    back_conv2(p, b, index, dy);
    back_conv1(p, b, index, dy, dx);
    vn_dw_join(p, b, index);
}

static void stem_join(const struct pass *p, size_t n)
{
    struct vn_trunk *t = p->t;
    float *grad = p->m->grad + vn_model_at(p->m, t->where->stem_conv[t->input]);

    for (uint32_t i = 0; i < t->threads; i++)
        for (size_t k = 0; k < n; k++)
            grad[k] += t->lane[i].dw[k];
}

static void stem_backward(const struct pass *p, float *dy)
{
    struct vn_trunk *t = p->t;
    struct stem *s = &t->stem;
    const struct vn_conv *c = &s->conv.shape;
    const struct vn_plane plane = {s->pixels, c->co, c->co};
    const uint32_t bn = t->where->stem_bn[t->input];
    size_t out = s->pixels * c->co, weights = (size_t)c->k * c->k * c->ci * c->co;

    sums_clear(t);
    for (uint32_t i = 0; i < t->threads; i++)
        memset(t->lane[i].dw, 0, weights * sizeof(float));
    FOR_ROWS(t, r, l)
    {
        vn_norm_relu_back(plane, &s->norm.n, s->c + r * out, dy + r * out, sums_of(l, 0, c->co));
    }
    sums_join(t);
    norm_back(p, s->norm.n, bn, vn_model_at(p->m, bn), c->co, sums_of(t->lane, 0, c->co),
              t->rows * s->pixels, s->norm.back);
    FOR_ROWS(t, r, l)
    {
        float *d = dy + r * out;

        vn_norm_apply_slope(plane, &s->norm.back, d, s->c + r * out, d);
        vn_conv_pad(t->images + r * t->image_floats, c->ci, c->h, c->w, c->ci, s->conv.pad,
                    l->pad1);
        vn_conv_backward_w(&s->conv, l->pad1, d, l->dw);
    }
    stem_join(p, weights);
}

void vn_trunk_backward(struct vn_trunk *t, struct vn_model *m, const float *dpooled)
{
    struct pass p = {t, m, VN_TRUNK_TRAIN, 0};
    const struct block *last = &t->block[t->m - 1];
    uint32_t width = last->dims.co;
    float *dy = t->dy[0], *dx = t->dy[1];

    t->down = t->turned;
    FOR_ROWS(t, r, l)
    {
        float *d = dy + r * last->pixels * width;

        for (size_t i = 0; i < last->pixels * width; i++)
            d[i] = dpooled[r * width + i % width] / (float)last->pixels;
    }
    for (uint32_t i = t->m; i-- > 0;) {
        float *done = dy;

        block_backward(&p, i, dy, dx);
        t->flops += 2 * block_flops(t, &t->block[i]); /* input and weights */
        dy = dx;
        dx = done;
    }
    stem_backward(&p, dy);
    t->flops += stem_flops(t);
}
