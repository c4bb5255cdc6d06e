/* What is the same for every implementation: choice by name, and the operations that cost little
 * beside a convolution. */
#include "engine/kernels.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/kernels_parts.h"
#include "engine/taps.h"

const struct vn_kernels *vn_kernels_find(const char *name)
{
    if (!strcmp(name, "auto"))
        return vn_kernels_auto(NULL);
    if (!strcmp(name, "winograd"))
        return vn_kernels_winograd(NULL);
    if (!strcmp(name, "direct"))
        return vn_kernels_direct(NULL);
    if (!strcmp(name, vn_kernels_gemm.name))
        return &vn_kernels_gemm;
    if (!strcmp(name, vn_kernels_ref.name))
        return &vn_kernels_ref;
    return NULL;
}

extern const struct vn_small vn_small_generic;
#ifdef __x86_64__
extern const struct vn_small vn_small_avx2, vn_small_avx512;
#endif

/* The compiler's own vectors are NEON's where that is all there is. */
static const struct vn_small *small(void)
{
#ifdef __x86_64__
    const struct vn_taps_kernels *best = vn_taps_find(NULL);

    if (best == &vn_taps_avx512)
        return &vn_small_avx512;
    if (best == &vn_taps_avx2)
        return &vn_small_avx2;
#endif
    return &vn_small_generic;
}

void vn_shortcut(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride, const float *x,
                 float *y)
{
    assert(x && y && x != y && ci && co >= ci && stride);
    if (stride == 1 && ci == co)
        memcpy(y, x, (size_t)h * w * ci * sizeof *y);
    else
        small()->shortcut(h, w, ci, co, stride, x, y);
}

void vn_relu(float *y, size_t n)
{
    small()->relu(y, n);
}

void vn_pool_mean(const float *x, size_t pixels, uint32_t c, float *y)
{
    assert(x && y && pixels);
    small()->pool_mean(x, pixels, c, y);
}

void vn_linear(const float *x, const float *weight, const float *bias, uint32_t c, uint32_t n,
               float *y)
{
    assert(weight && bias && y && (x || !c));
    small()->linear(x, weight, bias, c, n, y);
}

void vn_softmax(float *x, uint32_t n)
{
    float largest = x[0], sum = 0;

    for (uint32_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - largest);
        sum += x[i];
    }
    for (uint32_t i = 0; i < n; i++)
        x[i] /= sum;
}
