/* The plain convolution: what all others are compared with. Letters as in engine/kernels.h. */
#include <assert.h>
#include <string.h>

#include "engine/kernels_parts.h"

/* sum (Co) = the products of one output pixel. */
static void one_pixel(const struct vn_conv *c, const float *x, const float *weight, uint32_t oy,
                      uint32_t ox, float *sum)
{
    const int64_t pad = (c->k - 1) / 2;

    memset(sum, 0, c->co * sizeof *sum);
    for (uint32_t ky = 0; ky < c->k; ky++)
        for (uint32_t kx = 0; kx < c->k; kx++) {
            int64_t iy = (int64_t)oy * c->stride + ky - pad,
                    ix = (int64_t)ox * c->stride + kx - pad;
            const float *w = weight + ((size_t)ky * c->k + kx) * c->ci * c->co;

            if (iy < 0 || iy >= c->h || ix < 0 || ix >= c->w)
                continue;
            for (uint32_t i = 0; i < c->ci; i++)
                for (uint32_t o = 0; o < c->co; o++)
                    sum[o] +=
                        x[((size_t)iy * c->w + (size_t)ix) * c->ci + i] * w[(size_t)i * c->co + o];
        }
}

static void conv(const struct vn_conv *c, enum vn_epilogue epilogue, const float *x,
                 const float *weight, const float *scale, const float *bias, float *y, float *work)
{
    uint32_t ho = vn_conv_side(c->h, c->stride), wo = vn_conv_side(c->w, c->stride);

    assert(c->k % 2 == 1 && c->stride && c->ci && c->co);
    assert(x && weight && scale && bias && y && work && x != y);
    for (uint32_t oy = 0; oy < ho; oy++)
        for (uint32_t ox = 0; ox < wo; ox++) {
            one_pixel(c, x, weight, oy, ox, work);
            vn_conv_finish(epilogue, 1, c->co, work, scale, bias,
                           y + ((size_t)oy * wo + ox) * c->co);
        }
}

const struct vn_kernels vn_kernels_ref = {.name = "ref", .conv = conv};
