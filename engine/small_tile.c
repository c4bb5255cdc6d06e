/* Operations that cost little beside a convolution, as loops over channels that the compiler turns
 * into vectors; compiled for each instruction set, VN_ISA. */
#include <string.h>

#include "engine/kernels_parts.h"

/* y (c) = the mean of a window of h x w pixels, whose rows are `row` floats apart. */
static void mean(const float *restrict x, uint32_t h, uint32_t w, size_t row, uint32_t c,
                 float *restrict y)
{
    const float share = 1.0f / (float)(h * w);

    memcpy(y, x, c * sizeof *y);
    for (uint32_t i = 1; i < h * w; i++) {
        const float *in = x + i / w * row + (size_t)(i % w) * c;

        for (uint32_t j = 0; j < c; j++)
            y[j] += in[j];
    }
    for (uint32_t j = 0; j < c; j++)
        y[j] *= share;
}

static void shortcut(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride,
                     const float *x, float *y)
{
    for (uint32_t top = 0; top < h; top += stride)
        for (uint32_t left = 0; left < w; left += stride, y += co) {
            const uint32_t high = h - top < stride ? h - top : stride;
            const uint32_t wide = w - left < stride ? w - left : stride;

            mean(x + ((size_t)top * w + left) * ci, high, wide, (size_t)w * ci, ci, y);
            memset(y + ci, 0, (co - ci) * sizeof *y);
        }
}

static void pool_mean(const float *restrict x, size_t pixels, uint32_t c, float *restrict y)
{
    const float share = 1.0f / (float)pixels;

    memset(y, 0, c * sizeof *y);
    for (size_t p = 0; p < pixels; p++)
        for (uint32_t i = 0; i < c; i++)
            y[i] += x[p * c + i];
    for (uint32_t i = 0; i < c; i++)
        y[i] *= share;
}

static void linear(const float *restrict x, const float *restrict weight,
                   const float *restrict bias, uint32_t c, uint32_t n, float *restrict y)
{
    memcpy(y, bias, n * sizeof *y);
    for (uint32_t i = 0; i < c; i++)
        for (uint32_t j = 0; j < n; j++)
            y[j] += x[i] * weight[(size_t)i * n + j];
}

static void relu(float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] > 0 ? y[i] : 0;
}

#define TABLE_(isa) vn_small_##isa
#define TABLE(isa) TABLE_(isa)

extern const struct vn_small TABLE(VN_ISA);

const struct vn_small TABLE(VN_ISA) = {
    .shortcut = shortcut,
    .pool_mean = pool_mean,
    .linear = linear,
    .relu = relu,
};
