/* What is the same for every implementation: choice by name, work space, and the operations that
 * are too cheap to have variants. */
#include "engine/kernels.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/kernels_parts.h"

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

/* One output pixel: the mean of the up to s x s input pixels under it. */
static void mean_window(uint32_t h, uint32_t w, uint32_t ci, uint32_t stride, const float *x,
                        uint32_t oy, uint32_t ox, float *y)
{
    uint32_t y1 = oy * stride + stride < h ? oy * stride + stride : h;
    uint32_t x1 = ox * stride + stride < w ? ox * stride + stride : w;
    float share = 1.0f / (float)((y1 - oy * stride) * (x1 - ox * stride));

    for (uint32_t iy = oy * stride; iy < y1; iy++)
        for (uint32_t ix = ox * stride; ix < x1; ix++) {
            const float *in = x + ((size_t)iy * w + ix) * ci;

            for (uint32_t c = 0; c < ci; c++)
                y[c] += in[c];
        }
    for (uint32_t c = 0; c < ci; c++)
        y[c] *= share;
}

void vn_shortcut(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride, const float *x,
                 float *y)
{
    uint32_t ho = vn_conv_side(h, stride), wo = vn_conv_side(w, stride);

    assert(x && y && x != y && ci && co >= ci && stride);
    if (stride == 1 && ci == co) {
        memcpy(y, x, (size_t)h * w * ci * sizeof *y);
        return;
    }
    memset(y, 0, (size_t)ho * wo * co * sizeof *y);
    for (uint32_t oy = 0; oy < ho; oy++)
        for (uint32_t ox = 0; ox < wo; ox++)
            mean_window(h, w, ci, stride, x, oy, ox, y + ((size_t)oy * wo + ox) * co);
}

void vn_relu(float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] > 0 ? y[i] : 0;
}

void vn_pool_mean(const float *x, size_t pixels, uint32_t c, float *y)
{
    float share = 1.0f / (float)pixels;

    assert(x && y && pixels);
    memset(y, 0, c * sizeof *y);
    for (size_t p = 0; p < pixels; p++)
        for (uint32_t i = 0; i < c; i++)
            y[i] += x[p * c + i];
    for (uint32_t i = 0; i < c; i++)
        y[i] *= share;
}

void vn_linear(const float *x, const float *weight, const float *bias, uint32_t c, uint32_t n,
               float *y)
{
    assert(weight && bias && y && (x || !c));
    memcpy(y, bias, n * sizeof *y);
    for (uint32_t i = 0; i < c; i++)
        for (uint32_t j = 0; j < n; j++)
            y[j] += x[i] * weight[(size_t)i * n + j];
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
