/* The plain convolution: what all others are compared with. Letters as in engine/kernels.h. */
#include <string.h>

#include "engine/kernels_parts.h"

/* sum (co) = the products of one output pixel; pixels of x are c->ci apart. */
static void one_pixel(const struct vn_conv *c, const struct vn_conv_piece *p, uint32_t oy,
                      uint32_t ox, float *sum)
{
    const int64_t pad = (c->k - 1) / 2;

    memset(sum, 0, p->co * sizeof *sum);
    for (uint32_t ky = 0; ky < c->k; ky++)
        for (uint32_t kx = 0; kx < c->k; kx++) {
            int64_t iy = (int64_t)oy * c->stride + ky - pad,
                    ix = (int64_t)ox * c->stride + kx - pad;
            const float *w = p->weight + ((size_t)ky * c->k + kx) * p->ci * p->co;

            if (iy < 0 || iy >= c->h || ix < 0 || ix >= c->w)
                continue;
            for (uint32_t i = 0; i < p->ci; i++)
                for (uint32_t o = 0; o < p->co; o++)
                    sum[o] += p->x[((size_t)iy * c->w + (size_t)ix) * c->ci + i] *
                              w[(size_t)i * p->co + o];
        }
}

static void conv(const struct vn_kernels *kernels, const struct vn_conv *c,
                 const struct vn_conv_run *r)
{
    const uint32_t ho = vn_conv_side(c->h, c->stride), wo = vn_conv_side(c->w, c->stride);

    (void)kernels;
    vn_conv_assert(c, r);
    for (uint32_t part = 0; part < r->n_parts; part++) {
        const struct vn_conv_piece p = vn_conv_piece(c, r, part);

        for (size_t i = 0; i < (size_t)ho * wo; i++) {
            const size_t at = i * c->co + p.y_channel;

            one_pixel(c, &p, (uint32_t)(i / wo), (uint32_t)(i % wo), r->work);
            vn_conv_finish(&p, r->work, p.add ? p.add + at : NULL, r->y + at);
        }
    }
}

static size_t work(const struct vn_conv *c, uint32_t threads)
{
    (void)threads;
    return c->co;
}

const struct vn_kernels vn_kernels_ref = {.name = "ref", .conv = conv, .work = work};
