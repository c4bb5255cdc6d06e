/* Weights of a block as the passes want them, and their gradients on the way back. */
#include "train/trunk_parts.h"

#define SQUARE 16 /* of a transposition: its rows stay in cache */

static const float *param(const struct pass *p, uint32_t tensor)
{
    return p->m->param + vn_model_at(p->m, tensor);
}

/* to (columns, row) = from (rows, columns) transposed; a row of `to` is `pitch` floats. */
static void transpose(const float *from, uint32_t rows, uint32_t columns, float *to, size_t pitch)
{
    for (uint32_t r0 = 0; r0 < rows; r0 += SQUARE)
        for (uint32_t c0 = 0; c0 < columns; c0 += SQUARE)
            for (uint32_t c = c0; c < columns && c < c0 + SQUARE; c++)
                for (uint32_t r = r0; r < rows && r < r0 + SQUARE; r++)
                    to[c * pitch + r] = from[(size_t)r * columns + c];
}

/* --- packing ---------------------------------------------------------------------------------- */

static struct weights transformed(const struct pass *p, const float *w, uint32_t rows,
                                  uint32_t columns, float *u)
{
    vn_grid_weights(p->t->steps, w, rows, columns, p->t->threads, u);
    return (struct weights){rows, columns, w, u, vn_grid_weights_pitch(rows, columns)};
}

struct weights vn_weights_conv1(const struct pass *p, const struct block *b, uint32_t index)
{
    const uint32_t h = b->dims.h, ci = b->dims.ci;
    float *to = p->t->packed;

    for (uint32_t g = 0; g < p->t->g; g++) {
        const float *from = param(p, p->t->where->slice[g][index].conv1);

        for (size_t r = 0; r < 9 * ci; r++)
            memcpy(to + r * b->hidden + g * h, from + r * h, h * sizeof *to);
    }
    if (b->fast1)
        return transformed(p, to, ci, b->hidden, p->t->u);
    return (struct weights){ci, b->hidden, to, NULL, 0};
}

struct weights vn_weights_conv1_back(const struct pass *p, const struct block *b, uint32_t index)
{
    const uint32_t h = b->dims.h, ci = b->dims.ci;
    const size_t tap = (size_t)ci * h;
    float *to = p->t->packed;

    for (uint32_t g = 0; g < p->t->g; g++) {
        const float *from = param(p, p->t->where->slice[g][index].conv1);

        for (uint32_t t = 0; t < 9; t++)
            transpose(from + (b->fast1 ? t : vn_conv_dx_tap(&b->conv1, t)) * tap, ci, h,
                      to + ((size_t)t * b->hidden + g * h) * ci, ci);
    }
    if (b->fast1)
        return transformed(p, to, b->hidden, ci, p->t->u);
    return (struct weights){b->hidden, ci, to, NULL, 0};
}

void vn_weights_conv2(const struct pass *p, const struct block *b, uint32_t index,
                      struct weights *ret)
{
    const uint32_t h = b->dims.h, co = b->dims.co;

    for (uint32_t g = 0; g < p->t->g; g++) {
        const float *w = param(p, p->t->where->slice[g][index].conv2);

        ret[g] = (struct weights){h, co, w, NULL, 0};
        if (b->fast2)
            ret[g] = transformed(p, w, h, co, p->t->u + g * vn_grid_weights_floats(h, co));
    }
}

void vn_weights_conv2_back(const struct pass *p, const struct block *b, uint32_t index,
                           struct weights *ret)
{
    const uint32_t h = b->dims.h, co = b->dims.co;
    const size_t tap = (size_t)h * co;

    for (uint32_t g = 0; g < p->t->g; g++) {
        const float *from = param(p, p->t->where->slice[g][index].conv2);
        float *to = p->t->packed + g * 9 * tap;

        for (uint32_t t = 0; t < 9; t++)
            transpose(from + (b->fast2 ? t : vn_conv_dx_tap(&b->conv2, t)) * tap, h, co,
                      to + t * tap, h);
        ret[g] = (struct weights){co, h, to, NULL, 0};
        if (b->fast2)
            ret[g] = transformed(p, to, co, h, p->t->u + g * vn_grid_weights_floats(co, h));
    }
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t vn_weights_packed_floats(const struct block *b)
{
    return 9 * (size_t)b->hidden * larger(b->dims.ci, b->dims.co);
}

size_t vn_weights_u_floats(const struct vn_trunk *t, const struct block *b)
{
    const uint32_t h = b->dims.h, ci = b->dims.ci, co = b->dims.co;
    const size_t conv1 =
        larger(vn_grid_weights_floats(ci, b->hidden), vn_grid_weights_floats(b->hidden, ci));
    const size_t conv2 =
        t->g * larger(vn_grid_weights_floats(h, co), vn_grid_weights_floats(co, h));

    return larger(b->fast1 ? conv1 : 0, b->fast2 ? conv2 : 0);
}

/* --- gradients -------------------------------------------------------------------------------- */

static size_t dw_floats(bool fast, uint32_t rows, uint32_t columns)
{
    return fast ? vn_positions_floats(rows, columns) : 9 * (size_t)rows * columns;
}

size_t vn_dw_at(const struct vn_trunk *t, const struct block *b, uint32_t g)
{
    return g * dw_floats(b->fast2, b->dims.h, b->dims.co);
}

size_t vn_dw_floats(const struct vn_trunk *t, const struct block *b)
{
    return vn_dw_at(t, b, t->g) + dw_floats(b->fast1, b->dims.ci, b->hidden);
}

void vn_dw_clear(struct vn_trunk *t, const struct block *b)
{
#pragma omp parallel for num_threads((int)t->threads) schedule(static, 1)
    for (uint32_t i = 0; i < t->threads; i++)
        memset(t->lane[i].dw, 0, vn_dw_floats(t, b) * sizeof(float));
}

/* grad (9, rows, columns) += the sum of all lanes' numbers from `from` on, which are those columns
 * of `all`. */
struct join {
    size_t from;
    bool fast;
    uint32_t rows, all, first, columns;
    float *grad;
};

static void join_fast(struct vn_trunk *t, const struct join *j)
{
    const struct vn_positions du = vn_positions_of(j->rows, j->all, NULL);

#pragma omp parallel for num_threads((int)t->threads) schedule(static)
    for (uint32_t r = 0; r < j->rows; r++) {
        const float *from[VN_THREADS_MAX];

        for (uint32_t i = 0; i < t->threads; i++)
            from[i] = t->lane[i].dw + j->from + (size_t)r * du.row + j->first;
        t->steps->weights_back(&(struct vn_weights_back){
            .du = from,
            .n = t->threads,
            .du_row = du.row,
            .du_pitch = du.pitch,
            .rows = 1,
            .columns = j->columns,
            .dw = j->grad + (size_t)r * j->columns,
            .tap = (size_t)j->rows * j->columns,
            .dw_row = j->columns,
        });
    }
}

static void join(struct vn_trunk *t, const struct join *j)
{
    if (j->fast) {
        join_fast(t, j);
        return;
    }
    for (uint32_t i = 0; i < t->threads; i++)
        for (size_t r = 0; r < 9 * j->rows; r++) {
            const float *from = t->lane[i].dw + j->from + r * j->all + j->first;

            for (uint32_t c = 0; c < j->columns; c++)
                j->grad[r * j->columns + c] += from[c];
        }
}

void vn_dw_join(const struct pass *p, const struct block *b, uint32_t index)
{
    struct vn_trunk *t = p->t;
    const uint32_t h = b->dims.h, ci = b->dims.ci, co = b->dims.co;

    for (uint32_t g = 0; g < t->g; g++) {
        const struct vn_slice *s = &t->where->slice[g][index];

        if (!b->n_active[g])
            continue;
        join(t, &(struct join){vn_dw_at(t, b, g), b->fast2, h, co, 0, co,
                               p->m->grad + vn_model_at(p->m, s->conv2)});
        join(t, &(struct join){vn_dw_at(t, b, t->g), b->fast1, ci, b->hidden, g * h, h,
                               p->m->grad + vn_model_at(p->m, s->conv1)});
    }
}
