#include "train/conv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/network.h"
#include "engine/taps.h"

/* --- which pixel sees which taps -------------------------------------------------------------- */

static int taps_init(struct vn_taps *t, uint32_t pixels, uint32_t taps, uint32_t run)
{
    *t = (struct vn_taps){
        .run = run,
        .in_offset = malloc((pixels + 1) * sizeof(uint32_t)),
        .out_offset = malloc((pixels + 1) * sizeof(uint32_t)),
        .tap_offset = malloc((taps + 1) * sizeof(uint32_t)),
        .tap = malloc((taps + 1) * sizeof(uint32_t)),
    };
    return t->in_offset && t->out_offset && t->tap_offset && t->tap ? 0 : -ENOMEM;
}

static void taps_deinit(struct vn_taps *t)
{
    free(t->in_offset);
    free(t->out_offset);
    free(t->tap_offset);
    free(t->tap);
    *t = (struct vn_taps){0};
}

static int forward_init(struct vn_conv_plan *p)
{
    const struct vn_conv *s = &p->shape;
    struct vn_taps *t = &p->forward;
    uint32_t pitch = s->w + 2 * p->pad;
    int r = taps_init(t, p->ho * p->wo, s->k, s->k * s->ci);

    if (r)
        return r;
    for (uint32_t y = 0; y < p->ho; y++)
        for (uint32_t x = 0; x < p->wo; x++) {
            t->in_offset[t->n_pixels] = (y * s->stride * pitch + x * s->stride) * s->ci;
            t->out_offset[t->n_pixels] = t->n_pixels * s->co;
            t->n_pixels++;
        }
    for (uint32_t ky = 0; ky < s->k; ky++) {
        t->tap_offset[t->n_taps] = ky * pitch * s->ci;
        t->tap[t->n_taps++] = ky * s->k;
    }
    return 0;
}

/* Pixels (iy, ix) of the input with (iy + pad) mod s = py see the rows ky = py, py + s, .. of the
 * kernel, at output row (iy + pad - ky) / s; likewise in x. */
static int phase_init(struct vn_conv_plan *p, struct vn_taps *t, uint32_t py, uint32_t px)
{
    const struct vn_conv *s = &p->shape;
    uint32_t pitch = p->wo + 2 * p->pad;
    uint32_t ny = py < s->k ? (s->k - py - 1) / s->stride + 1 : 0;
    uint32_t nx = px < s->k ? (s->k - px - 1) / s->stride + 1 : 0;
    int r = taps_init(t, s->h * s->w, ny * nx, s->co);

    if (r)
        return r;
    for (uint32_t jy = 0; jy < ny; jy++)
        for (uint32_t jx = 0; jx < nx; jx++) {
            /* offsets count from the last tap, the one with the smallest output position */
            t->tap_offset[t->n_taps] = ((ny - 1 - jy) * pitch + (nx - 1 - jx)) * s->co;
            t->tap[t->n_taps++] = (py + jy * s->stride) * s->k + px + jx * s->stride;
        }
    for (uint32_t iy = 0; iy < s->h; iy++)
        for (uint32_t ix = 0; ix < s->w; ix++) {
            if ((iy + p->pad) % s->stride != py || (ix + p->pad) % s->stride != px)
                continue;
            if (t->n_taps) {
                uint32_t oy = (iy + p->pad - py) / s->stride + p->pad - (ny - 1);
                uint32_t ox = (ix + p->pad - px) / s->stride + p->pad - (nx - 1);

                t->in_offset[t->n_pixels] = (oy * pitch + ox) * s->co;
            } else {
                t->in_offset[t->n_pixels] = 0;
            }
            t->out_offset[t->n_pixels++] = (iy * s->w + ix) * s->ci;
        }
    return 0;
}

int vn_conv_plan_init(struct vn_conv_plan *p, const struct vn_conv *shape)
{
    int r;

    *p = (struct vn_conv_plan){.shape = *shape, .pad = (shape->k - 1) / 2};
    p->ho = (shape->h + shape->stride - 1) / shape->stride;
    p->wo = (shape->w + shape->stride - 1) / shape->stride;
    p->padded_x = (size_t)(shape->h + 2 * p->pad) * (shape->w + 2 * p->pad) * shape->ci;
    p->padded_y = (size_t)(p->ho + 2 * p->pad) * (p->wo + 2 * p->pad) * shape->co;
    r = forward_init(p);
    if (shape->stride <= VN_CONV_STRIDE_MAX)
        p->n_phases = shape->stride * shape->stride;
    for (uint32_t i = 0; i < p->n_phases && !r; i++)
        r = phase_init(p, &p->phase[i], i / shape->stride, i % shape->stride);
    if (r)
        vn_conv_plan_deinit(p);
    return r;
}

void vn_conv_plan_deinit(struct vn_conv_plan *p)
{
    taps_deinit(&p->forward);
    for (uint32_t i = 0; i < p->n_phases; i++)
        taps_deinit(&p->phase[i]);
    p->n_phases = 0;
}

/* --- forward and backward --------------------------------------------------------------------- */

void vn_conv_pad(const float *src, size_t pixel, uint32_t h, uint32_t w, uint32_t c, uint32_t pad,
                 float *dst)
{
    size_t row = (size_t)w * c, border = (size_t)pad * c, pitch = row + 2 * border;

    memset(dst, 0, pad * pitch * sizeof *dst);
    dst += pad * pitch;
    for (uint32_t y = 0; y < h; y++, dst += pitch, src += w * pixel) {
        memset(dst, 0, border * sizeof *dst);
        if (pixel == c)
            memcpy(dst + border, src, row * sizeof *dst);
        else
            for (uint32_t x = 0; x < w; x++)
                memcpy(dst + border + x * c, src + x * pixel, c * sizeof *dst);
        memset(dst + border + row, 0, border * sizeof *dst);
    }
    memset(dst, 0, pad * pitch * sizeof *dst);
}

#define TAPS_MAX (VN_KERNEL_MAX * VN_KERNEL_MAX)

/* out = or += columns [first, end) of all pixels' values, co each. */
static void apply(const struct vn_taps *t, const float *in, uint32_t co, const float *w,
                  uint32_t first_column, uint32_t end, bool accumulate, float *out)
{
    const struct vn_taps_kernels *kernels = vn_taps_find(NULL);
    const uint32_t pixels = vn_taps_pixels(kernels);
    const float *x[TAPS_MAX * VN_TAPS_PIXELS_MAX];
    float *y[VN_TAPS_PIXELS_MAX];
    struct vn_taps_tile tile = {.n_runs = t->n_taps,
                                .run = t->run,
                                .x = x,
                                .w = w,
                                .co = co,
                                .first = first_column,
                                .end = end,
                                .finish = accumulate ? VN_TAPS_ADD : 0,
                                .y = y,
                                .add = (const float *const *)y};

    for (uint32_t first = 0; first < t->n_pixels; first += pixels) {
        tile.n = t->n_pixels - first < pixels ? t->n_pixels - first : pixels;
        for (uint32_t i = 0; i < pixels; i++) {
            uint32_t p = first + (i < tile.n ? i : 0);

            y[i] = out + t->out_offset[p];
            for (uint32_t tap = 0; tap < t->n_taps; tap++)
                x[tap * pixels + i] = in + t->in_offset[p] + t->tap_offset[tap];
        }
        vn_taps_tile(kernels, &tile);
    }
}

void vn_conv_forward(const struct vn_conv_plan *p, const float *xp, const float *w, uint32_t first,
                     uint32_t end, float *y)
{
    apply(&p->forward, xp, p->shape.co, w, first, end, false, y);
}

uint32_t vn_conv_dx_tap(const struct vn_conv_plan *p, uint32_t i)
{
    const struct vn_taps *t = p->phase;

    while (i >= t->n_taps)
        i -= t++->n_taps;
    return t->tap[i];
}

void vn_conv_backward_x(const struct vn_conv_plan *p, const float *dyp, const float *wt,
                        bool accumulate, float *dx)
{
    uint32_t ci = p->shape.ci, co = p->shape.co;

    for (uint32_t i = 0; i < p->n_phases; i++) {
        apply(&p->phase[i], dyp, ci, wt, 0, ci, accumulate, dx);
        wt += (size_t)p->phase[i].n_taps * ci * co;
    }
}

void vn_conv_backward_w(const struct vn_conv_plan *p, const float *xp, const float *dy, float *dw)
{
    const struct vn_taps_kernels *kernels = vn_taps_find(NULL);
    const struct vn_taps *t = &p->forward;

    for (uint32_t i = 0; i < t->n_taps; i++)
        vn_taps_outer(kernels, &(struct vn_taps_outer){
                                   .n_pixels = t->n_pixels,
                                   .x = xp + t->tap_offset[i],
                                   .offset = t->in_offset,
                                   .rows = t->run,
                                   .co = p->shape.co,
                                   .dy = dy,
                                   .dw = dw + (size_t)t->tap[i] * p->shape.ci * p->shape.co,
                               });
}
