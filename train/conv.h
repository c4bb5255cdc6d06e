/* Convolution for training: forward, gradient of the input, gradient of the weights, for one image
 * at a time (the caller's threads take different images). Direct, without im2col: the image is
 * copied once with a border of zeros, and the register tiles of engine/taps.h walk the taps.
 *
 * Dimensions as in engine/kernels.h: x (H, W, Ci), w (k, k, Ci, Co), y (Ho, Wo, Co). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/kernels.h"

/* A set of pixels that all see the same taps: value[p] = sum over taps and rows c of
 * in[in_offset[p] + tap_offset[t] + c] * w[t][c][...]. Forward has one set, in which the taps of a
 * kernel row are one, as they lie side by side; the input gradient has one for each residue of the
 * stride. */
struct vn_taps {
    uint32_t run; /* rows of a tap */
    uint32_t n_pixels;
    uint32_t *in_offset;  /* (n_pixels) floats into the padded operand */
    uint32_t *out_offset; /* (n_pixels) floats into the result */
    uint32_t n_taps;
    uint32_t *tap_offset; /* (n_taps) floats */
    uint32_t *tap;        /* (n_taps) index ky * k + kx of the (first) weight */
};

#define VN_CONV_STRIDE_MAX 4 /* of convolutions whose input gradient is wanted */

struct vn_conv_plan {
    struct vn_conv shape;
    uint32_t ho, wo, pad;
    size_t padded_x, padded_y; /* floats of the zero-bordered copies */
    struct vn_taps forward;
    uint32_t n_phases; /* 0 when stride > VN_CONV_STRIDE_MAX */
    struct vn_taps phase[VN_CONV_STRIDE_MAX * VN_CONV_STRIDE_MAX];
};

int vn_conv_plan_init(struct vn_conv_plan *p, const struct vn_conv *shape); /* 0 or -ENOMEM */
void vn_conv_plan_deinit(struct vn_conv_plan *p);

/* dst (h + 2 pad, w + 2 pad, c) = src (h, w, c) with zeros around; pixels of src are `pixel` floats
 * apart. */
void vn_conv_pad(const float *src, size_t pixel, uint32_t h, uint32_t w, uint32_t c, uint32_t pad,
                 float *dst);

/* Columns [first, end) of y = conv(x); xp is the padded x. */
void vn_conv_forward(const struct vn_conv_plan *p, const float *xp, const float *w, uint32_t first,
                     uint32_t end, float *y);

/* Which tap of w, transposed to (Co, Ci), is number i of the weights of the input gradient. */
uint32_t vn_conv_dx_tap(const struct vn_conv_plan *p, uint32_t i);

/* dx (H, W, Ci) = or += the gradient; dyp is the padded dy, wt (k k, Co, Ci) the taps in the order
 * of vn_conv_dx_tap. */
void vn_conv_backward_x(const struct vn_conv_plan *p, const float *dyp, const float *wt,
                        bool accumulate, float *dx);

/* dw (k, k, Ci, Co) += the gradient; xp is the padded x, dy (Ho, Wo, Co). */
void vn_conv_backward_w(const struct vn_conv_plan *p, const float *xp, const float *dy, float *dw);
