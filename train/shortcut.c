#include "train/shortcut.h"

#include <stddef.h>
#include <string.h>

void vn_shortcut_backward(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride,
                          const float *dy, float *dx)
{
    uint32_t wo = (w + stride - 1) / stride;

    if (stride == 1 && ci == co) {
        memcpy(dx, dy, (size_t)h * w * ci * sizeof *dx);
        return;
    }
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++, dx += ci) {
            uint32_t oy = y / stride, ox = x / stride;
            uint32_t rows = h - oy * stride < stride ? h - oy * stride : stride;
            uint32_t columns = w - ox * stride < stride ? w - ox * stride : stride;
            const float *d = dy + ((size_t)oy * wo + ox) * co;

            for (uint32_t c = 0; c < ci; c++)
                dx[c] = d[c] / (float)(rows * columns);
        }
}
