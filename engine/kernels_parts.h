/* Shared by the implementations of engine/kernels.h; nobody else includes this. */
#pragma once

#include <assert.h>

#include "engine/kernels.h"

/* Multiplications (some 20 microseconds) from which threads share a convolution. */
#define VN_CONV_SHARED 1e6

static inline uint32_t vn_conv_side(uint32_t side, uint32_t stride)
{
    return (side + stride - 1) / stride;
}

/* One part as a convolution of its own, on channels of a larger image. */
struct vn_conv_piece {
    uint32_t ci, co;           /* of the part */
    const float *x;            /* the first pixel's first channel that the part reads */
    const float *weight;       /* (k, k, ci, co) */
    const float *scale, *bias; /* (co) */
    size_t y_channel;          /* the first that the part makes */
    const float *add;          /* NULL or where the result is added to, at y's layout */
    bool relu;
};

/* Parts that make outputs are independent; of those that are summed, the first adds to what the
 * caller gave and the last one ends the sum. */
static inline struct vn_conv_piece vn_conv_piece(const struct vn_conv *c,
                                                 const struct vn_conv_run *r, uint32_t part)
{
    const bool outputs = r->split == VN_CONV_OUTPUTS;
    const uint32_t ci = outputs ? c->ci : c->ci / r->n_parts;
    const uint32_t co = outputs ? c->co / r->n_parts : c->co;

    return (struct vn_conv_piece){
        .ci = ci,
        .co = co,
        .x = r->x + (outputs ? 0 : (size_t)part * ci),
        .weight = r->parts[part].weight,
        .scale = r->parts[part].scale,
        .bias = r->parts[part].bias,
        .y_channel = outputs ? (size_t)part * co : 0,
        .add = outputs || !part ? r->add : r->y,
        .relu = r->relu && (outputs || part + 1 == r->n_parts),
    };
}

static inline void vn_conv_assert(const struct vn_conv *c, const struct vn_conv_run *r)
{
    assert(c->k % 2 == 1 && c->stride && c->ci && c->co && r->n_parts);
    assert((r->split == VN_CONV_OUTPUTS ? c->co : c->ci) % r->n_parts == 0);
    assert(r->x && r->parts && r->y && r->work && r->x != r->y);
    (void)c;
    (void)r;
}

/* One pixel's results from its sums: y (co) = [max(0,] scale * sum + bias [+ add] [)]. */
static inline void vn_conv_finish(const struct vn_conv_piece *p, const float *sum, const float *add,
                                  float *y)
{
    for (uint32_t i = 0; i < p->co; i++) {
        float v = p->scale[i] * sum[i] + p->bias[i];

        if (add)
            v += add[i];
        y[i] = p->relu && v < 0 ? 0 : v;
    }
}

/* Also the way of winograd for what that algorithm cannot do. k->taps says which tiles. */
void vn_direct_conv(const struct vn_kernels *k, const struct vn_conv *c,
                    const struct vn_conv_run *r);
size_t vn_direct_work(const struct vn_conv *c, uint32_t threads);

/* What engine/kernels.h has beside convolutions, for one instruction set; operands are checked. */
struct vn_small {
    void (*shortcut)(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride,
                     const float *x, float *y);
    void (*pool_mean)(const float *x, size_t pixels, uint32_t c, float *y);
    void (*linear)(const float *x, const float *weight, const float *bias, uint32_t c, uint32_t n,
                   float *y);
    void (*relu)(float *y, size_t n);
};
