/* Operations that cost little beside a convolution, as loops over channels that the compiler turns
 * into vectors; compiled for each instruction set, VN_ISA. */
#include <string.h>

#include "engine/kernels_parts.h"

/* y (c) = the mean of a window of h x w pixels, whose rows are `row` floats apart. */
static void mean(const float *restrict x, uint32_t h, uint32_t w, size_t row, uint32_t c,
                 float *restrict y)
{
    const float share = 1.0f / (float)(h * w);

    memset(y, 0, c * sizeof *y);
    for (uint32_t i = 0; i < h; i++, x += row)
        for (uint32_t k = 0; k < w; k++)
            for (uint32_t j = 0; j < c; j++)
                y[j] += x[(size_t)k * c + j];
    for (uint32_t j = 0; j < c; j++)
        y[j] *= share;
}

/* The usual window, in one pass. */
static void mean_2x2(const float *restrict x, size_t row, uint32_t c, float *restrict y)
{
    for (uint32_t j = 0; j < c; j++)
        y[j] = 0.25f * (x[j] + x[c + j] + x[row + j] + x[row + c + j]);
}

static void shortcut(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride,
                     const float *x, float *y)
{
    for (uint32_t top = 0; top < h; top += stride)
        for (uint32_t left = 0; left < w; left += stride, y += co) {
            const uint32_t high = h - top < stride ? h - top : stride;
            const uint32_t wide = w - left < stride ? w - left : stride;

            const float *window = x + ((size_t)top * w + left) * ci;

            if (high == 2 && wide == 2)
                mean_2x2(window, (size_t)w * ci, ci, y);
            else
                mean(window, high, wide, (size_t)w * ci, ci, y);
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
