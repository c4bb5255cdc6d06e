#include <string.h>

#include "train/data.h"

/* Row y of the shifted image is row y - dy of the old one; zeros come in from outside. */
static void shift_row(const float *old, float *row, int w, int c, int dx)
{
    int from = dx > 0 ? dx : 0, to = dx < 0 ? w + dx : w;

    memset(row, 0, (size_t)(w * c) * sizeof *row);
    if (from < to)
        memcpy(row + from * c, old + (from - dx) * c, (size_t)((to - from) * c) * sizeof *row);
}

static void mirror_row(const float *old, float *row, int w, int c)
{
    for (int x = 0; x < w; x++)
        memcpy(row + x * c, old + (w - 1 - x) * c, (size_t)c * sizeof *row);
}

void vn_augment(float *image, uint32_t h, uint32_t w, uint32_t c, int dx, int dy, bool flip,
                float *work)
{
    size_t row = (size_t)w * c;

    for (int y = 0; y < (int)h; y++) {
        int from = y - dy;

        if (from < 0 || from >= (int)h)
            memset(work + (size_t)y * row, 0, row * sizeof *work);
        else
            shift_row(image + (size_t)from * row, work + (size_t)y * row, (int)w, (int)c, dx);
    }
    if (!flip) {
        memcpy(image, work, h * row * sizeof *image);
        return;
    }
    for (uint32_t y = 0; y < h; y++)
        mirror_row(work + y * row, image + y * row, (int)w, (int)c);
}
