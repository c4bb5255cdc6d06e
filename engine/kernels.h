/* Convolution kernels. One table per implementation; all agree within a tolerance that follows from
 * the length of the sum. A kernel asserts its operands, allocates nothing, keeps no state.
 *
 * Dimensions: H, W input sides; Ho, Wo output sides = ceil(side / stride); k odd kernel side with
 * padding (k - 1) / 2; Ci, Co channels. Activations NHWC, weights HWIO. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct vn_conv {
    uint32_t h, w;   /* input sides */
    uint32_t ci, co; /* channels */
    uint32_t k;      /* odd */
    uint32_t stride;
};

enum vn_epilogue {
    VN_CONV_RELU, /* y  = max(0, scale * conv(x) + bias) */
    VN_CONV_ADD,  /* y += scale * conv(x) + bias */
};

struct vn_kernels {
    const char *name;
    /* x (H, W, Ci), weight (k, k, Ci, Co), scale (Co), bias (Co), y (Ho, Wo, Co);
     * work: vn_conv_work(c) floats, contents irrelevant before and after. */
    void (*conv)(const struct vn_conv *c, enum vn_epilogue epilogue, const float *x,
                 const float *weight, const float *scale, const float *bias, float *y, float *work);

    /* Takes now whatever the implementation will keep for itself once it ran this convolution (the
     * packing buffers of OpenBLAS), so that no later run has to. NULL: it keeps nothing. 0 or a
     * negative errno. */
    int (*prepare)(const struct vn_conv *c);
};

extern const struct vn_kernels vn_kernels_ref;  /* plain loops: the oracle */
extern const struct vn_kernels vn_kernels_gemm; /* im2col strips and OpenBLAS */

/* Register tiles over pixels and channels. isa: "generic", "avx2", "avx512", or NULL for the best
 * of this processor. NULL when there is none of that name, or the processor cannot run it. */
const struct vn_kernels *vn_kernels_direct(const char *isa);

/* By name, "ref", "gemm" or "direct", or NULL; "auto" is the fastest: "direct". */
const struct vn_kernels *vn_kernels_find(const char *name);

/* Floats of work space that any implementation needs for this convolution. */
size_t vn_conv_work(const struct vn_conv *c);

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
