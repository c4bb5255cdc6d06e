/* Shared by the implementations of engine/kernels.h; nobody else includes this. */
#pragma once

#include "engine/kernels.h"

/* Work space for im2col: as many output pixels as fit 256 KiB (it stays in a second-level cache),
 * but not fewer than 64: a matrix product with few rows spends its time packing the weights. */
#define VN_CONV_STRIP_FLOATS 65536
#define VN_CONV_STRIP_MIN 64

static inline uint32_t vn_conv_side(uint32_t side, uint32_t stride)
{
    return (side + stride - 1) / stride;
}

/* Floats of work per output pixel: its row of the patch matrix, and its products. */
static inline size_t vn_conv_pixel_floats(const struct vn_conv *c)
{
    return (size_t)c->k * c->k * c->ci + c->co;
}

size_t vn_conv_strip(const struct vn_conv *c); /* output pixels per strip */

/* y (n pixels, Co) from the products sum (the same shape; may be y itself with VN_CONV_RELU). */
static inline void vn_conv_finish(enum vn_epilogue epilogue, size_t pixels, uint32_t co,
                                  const float *sum, const float *scale, const float *bias, float *y)
{
    for (size_t p = 0; p < pixels; p++, sum += co, y += co)
        for (uint32_t c = 0; c < co; c++) {
            float v = scale[c] * sum[c] + bias[c];

            if (epilogue == VN_CONV_ADD)
                y[c] += v;
            else
                y[c] = v > 0 ? v : 0;
        }
}
