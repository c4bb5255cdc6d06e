/* Convolution kernels. One table per implementation; all agree within a tolerance that follows from
 * the length of the sum. A kernel asserts its operands, allocates nothing, keeps no state.
 *
 * Dimensions: H, W input sides; Ho, Wo output sides = ceil(side / stride); k odd kernel side with
 * padding (k - 1) / 2; Ci, Co channels. Activations NHWC, weights HWIO.
 *
 * The weights of a block's convolutions lie in n parts, one for each group of the path, all of the
 * same shape. A block takes its groups in one pass: conv1 as one convolution whose output channels
 * are those of all groups side by side, conv2 as one whose input channels are (algorithm: the sum
 * over branches of conv2_g(relu(conv1_g x)), with each group's scale and bias). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool.h"

struct vn_conv {
    uint32_t h, w;   /* input sides */
    uint32_t ci, co; /* channels, of all parts together */
    uint32_t k;      /* odd */
    uint32_t stride;
};

enum vn_conv_split {
    VN_CONV_OUTPUTS, /* part p makes output channels p Co / n .. (p + 1) Co / n of the result */
    VN_CONV_INPUTS,  /* part p reads input channels p Ci / n .. (p + 1) Ci / n; parts are summed */
};

struct vn_conv_part {
    const float *weight;       /* (k, k, Ci, Co / n) or (k, k, Ci / n, Co) */
    const float *scale, *bias; /* (Co / n) or (Co) */
};

/* y = conv(x), then `+ add`, then max(0, .) where wanted. conv is the sum over an output's parts
 * of scale * sum + bias. */
struct vn_conv_run {
    const float *x; /* (H, W, Ci) */
    const struct vn_conv_part *parts;
    uint32_t n_parts; /* at least 1; divides Co or Ci */
    enum vn_conv_split split;
    const float *add; /* (Ho, Wo, Co), may be y; NULL: nothing is added */
    bool relu;
    float *y;    /* (Ho, Wo, Co) */
    float *work; /* work(c, threads of the pool) floats, contents irrelevant before and after */
    struct vn_pool *pool; /* NULL: the caller's thread alone */
};

struct vn_kernels {
    const char *name;
    void (*conv)(const struct vn_kernels *k, const struct vn_conv *c, const struct vn_conv_run *r);
    size_t (*work)(const struct vn_conv *c, uint32_t threads); /* floats, whatever the parts */

    /* Takes now whatever the implementation will keep for itself once it ran this convolution (the
     * packing buffers of OpenBLAS), so that no later run has to. NULL: it keeps nothing. 0 or a
     * negative errno. */
    int (*prepare)(const struct vn_conv *c);

    /* of those that are made of register tiles, for one instruction set */
    const struct vn_taps_kernels *taps;
    const struct vn_winograd_tiles *winograd;
};

extern const struct vn_kernels vn_kernels_ref;  /* plain loops: the oracle */
extern const struct vn_kernels vn_kernels_gemm; /* im2col strips and OpenBLAS */

/* Register tiles over pixels and channels. isa: "generic", "avx2", "avx512", or NULL for the best
 * of this processor. NULL when there is none of that name, or the processor cannot run it. */
const struct vn_kernels *vn_kernels_direct(const char *isa);

/* Winograd's algorithm for every 3 x 3 convolution of stride 1, and direct for others. */
const struct vn_kernels *vn_kernels_winograd(const char *isa);

/* The faster of the two for each convolution. */
const struct vn_kernels *vn_kernels_auto(const char *isa);

/* By name, "ref", "gemm", "direct", "winograd" or "auto"; NULL: none of these. */
const struct vn_kernels *vn_kernels_find(const char *name);

/* How a session computes, and hence how much scratch it needs. */
struct vn_compute {
    const struct vn_kernels *kernels; /* NULL: "auto" */
    uint32_t threads;                 /* of one run; 0: 1 */
};

/* y = shortcut(x): identity, or average pooling s x s (windows clipped at the edge, divided by the
 * pixels inside) and zero channels at the end. x (H, W, Ci), y (Ho, Wo, Co), Co >= Ci. */
void vn_shortcut(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride, const float *x,
                 float *y);

void vn_relu(float *y, size_t n);

/* y (C) = mean over pixels of x (pixels, C). */
void vn_pool_mean(const float *x, size_t pixels, uint32_t c, float *y);

/* y (n) = x (c) . weight (c, n) + bias (n). */
void vn_linear(const float *x, const float *weight, const float *bias, uint32_t c, uint32_t n,
               float *y);

/* In place, numerically safe. */
void vn_softmax(float *x, uint32_t n);
