/* Convolution without unrolling the operand: register tiles of output pixels x channels
 * (engine/taps.h) read image and weights where they lie. A tap outside the image points to zeros.
 * Letters as in engine/kernels.h. */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "engine/kernels_parts.h"
#include "engine/network.h"
#include "engine/taps.h"

#define TAPS_MAX (VN_KERNEL_MAX * VN_KERNEL_MAX)

struct direct {
    const struct vn_conv *c;
    const float *x;
    const float *zeros; /* (k, Ci) */
    float *y;
    uint32_t tile; /* pixels of a tile */
    uint32_t ho, wo;
    uint32_t oy, ox; /* the next tile's first pixel */
    struct vn_taps_tile t;
    /* where the first tap of each pixel lies, modulo 2^32, and its place in x */
    uint32_t iy[VN_TAPS_PIXELS_MAX], ix[VN_TAPS_PIXELS_MAX];
    ptrdiff_t place[VN_TAPS_PIXELS_MAX];
    bool inside; /* the left and right edge, all taps of all pixels */
    const float *at[TAPS_MAX * VN_TAPS_PIXELS_MAX];
    float *out[VN_TAPS_PIXELS_MAX];
};

/* Places the tile on the next pixels; those that do not exist are the last one again. */
static void place(struct direct *d)
{
    const struct vn_conv *c = d->c;
    const int64_t pad = (c->k - 1) / 2;

    d->inside = true;
    d->t.n = 0;
    for (uint32_t p = 0; p < d->tile; p++) {
        if (d->oy < d->ho) {
            const int64_t iy = (int64_t)d->oy * c->stride - pad,
                          ix = (int64_t)d->ox * c->stride - pad;

            d->iy[p] = (uint32_t)iy;
            d->ix[p] = (uint32_t)ix;
            d->place[p] = (iy * c->w + ix) * c->ci;
            d->inside = d->inside && ix >= 0 && ix + c->k <= c->w;
            d->out[p] = d->y + ((size_t)d->oy * d->wo + d->ox) * c->co;
            d->t.n++;
            if (++d->ox == d->wo) {
                d->ox = 0;
                d->oy++;
            }
        } else {
            d->iy[p] = d->iy[p - 1];
            d->ix[p] = d->ix[p - 1];
            d->place[p] = d->place[p - 1];
        }
    }
}

/* Runs of a row of taps away from the left and right edge, else of one tap. Where a tap lies
 * outside the image, its position is out of range as an unsigned number. */
static void point(struct direct *d)
{
    const struct vn_conv *c = d->c;
    const uint32_t runs = d->inside ? 1 : c->k; /* of a row of taps */
    const float **at = d->at;

    for (uint32_t ky = 0; ky < c->k; ky++)
        for (uint32_t kx = 0; kx < runs; kx++, at += d->tile) {
            const ptrdiff_t tap = ((ptrdiff_t)ky * c->w + kx) * c->ci;

            for (uint32_t p = 0; p < d->tile; p++) {
                const bool in_image = (d->iy[p] + ky < c->h) & (d->ix[p] + kx < c->w);

                at[p] = in_image ? d->x + (d->place[p] + tap) : d->zeros;
            }
        }
    d->t.n_runs = c->k * runs;
    d->t.run = c->k / runs * c->ci;
}

static void conv(const struct vn_taps_kernels *kernels, const struct vn_conv *c,
                 enum vn_epilogue epilogue, const float *x, const float *weight, const float *scale,
                 const float *bias, float *y, float *work)
{
    struct direct d;

    assert(c->k % 2 == 1 && c->k <= VN_KERNEL_MAX && c->stride && c->ci && c->co);
    assert(x && weight && scale && bias && y && work && x != y);
    d.c = c;
    d.x = x;
    d.zeros = work;
    d.y = y;
    d.tile = vn_taps_pixels(kernels);
    d.ho = vn_conv_side(c->h, c->stride);
    d.wo = vn_conv_side(c->w, c->stride);
    d.oy = d.ox = 0;
    d.t = (struct vn_taps_tile){
        .x = d.at,
        .w = weight,
        .co = c->co,
        .end = epilogue == VN_CONV_ADD ? VN_TAPS_SCALE_ADD : VN_TAPS_SCALE_RELU,
        .scale = scale,
        .bias = bias,
        .y = d.out,
    };
    memset(work, 0, (size_t)c->k * c->ci * sizeof *work);
    while (d.oy < d.ho) {
        place(&d);
        point(&d);
        vn_taps_tile(kernels, &d.t);
    }
}

#define DEFINE(isa)                                                                                \
    static void conv_##isa(const struct vn_conv *c, enum vn_epilogue epilogue, const float *x,     \
                           const float *weight, const float *scale, const float *bias, float *y,   \
                           float *work)                                                            \
    {                                                                                              \
        conv(&vn_taps_##isa, c, epilogue, x, weight, scale, bias, y, work);                        \
    }                                                                                              \
    static const struct vn_kernels direct_##isa = {.name = "direct-" #isa, .conv = conv_##isa}

DEFINE(generic);
#ifdef __x86_64__
DEFINE(avx2);
DEFINE(avx512);
#endif

const struct vn_kernels *vn_kernels_direct(const char *isa)
{
    const struct vn_taps_kernels *found = vn_taps_find(isa);

#ifdef __x86_64__
    if (found == &vn_taps_avx512)
        return &direct_avx512;
    if (found == &vn_taps_avx2)
        return &direct_avx2;
#endif
    return found ? &direct_generic : NULL;
}
