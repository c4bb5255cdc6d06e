/* Convolution as a matrix product: strips of output pixels are unrolled into rows of a patch matrix
 * (P, K), K = k k Ci in the order of the weights, which are the other operand (K, Co) as they stand
 * in the store. One thread. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/blas.h"
#include "engine/kernels_parts.h"

/* Work space for im2col: as many output pixels as fit 256 KiB (it stays in a second-level cache),
 * but not fewer than 64: a matrix product with few rows spends its time packing the weights. */
#define STRIP_FLOATS 65536
#define STRIP_MIN 64

/* Floats of work per output pixel: its row of the patch matrix, and its products. */
static size_t pixel_floats(const struct vn_conv *c)
{
    return (size_t)c->k * c->k * c->ci + c->co;
}

static size_t strip_pixels(const struct vn_conv *c)
{
    const size_t all = (size_t)vn_conv_side(c->h, c->stride) * vn_conv_side(c->w, c->stride);
    size_t strip = STRIP_FLOATS / pixel_floats(c);

    if (strip < STRIP_MIN)
        strip = STRIP_MIN;
    return strip < all ? strip : all;
}

static size_t work(const struct vn_conv *c, uint32_t threads)
{
    (void)threads;
    return strip_pixels(c) * pixel_floats(c);
}

/* The part of the patch row that one kernel row covers: (k, ci) floats, zero outside the image. */
static void patch_row(const struct vn_conv *c, const struct vn_conv_piece *p, int64_t iy,
                      int64_t ix, float *row)
{
    for (int64_t kx = ix; kx < ix + c->k; kx++, row += p->ci)
        if (iy < 0 || iy >= c->h || kx < 0 || kx >= c->w)
            memset(row, 0, p->ci * sizeof *row);
        else
            memcpy(row, p->x + (iy * c->w + kx) * c->ci, p->ci * sizeof *row);
}

/* Rows of `pixels` output pixels from number `first` on, counted row by row. */
static void unroll(const struct vn_conv *c, const struct vn_conv_piece *p, size_t first,
                   size_t pixels, float *patches)
{
    const int64_t pad = (c->k - 1) / 2;
    const uint32_t wo = vn_conv_side(c->w, c->stride);

    for (size_t i = first; i < first + pixels; i++) {
        int64_t iy = (int64_t)(i / wo * c->stride) - pad, ix = (int64_t)(i % wo * c->stride) - pad;

        for (uint32_t ky = 0; ky < c->k; ky++, patches += (size_t)c->k * p->ci)
            patch_row(c, p, iy + ky, ix, patches);
    }
}

/* c (m, n) = a (m, k) . b (k, n) */
static void multiply(size_t m, size_t n, size_t k, const float *a, const float *b, float *c)
{
    vn_blas_sgemm()(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0f, a,
                    (int)k, b, (int)n, 0.0f, c, (int)n);
}

static void conv_piece(const struct vn_conv *c, const struct vn_conv_run *r,
                       const struct vn_conv_piece *p)
{
    const size_t all = (size_t)vn_conv_side(c->h, c->stride) * vn_conv_side(c->w, c->stride);
    const size_t strip = strip_pixels(c), k = (size_t)c->k * c->k * p->ci;
    float *sum = r->work + strip * k;

    for (size_t first = 0; first < all; first += strip) {
        const size_t pixels = all - first < strip ? all - first : strip;

        unroll(c, p, first, pixels, r->work);
        multiply(pixels, p->co, k, r->work, p->weight, sum);
        for (size_t i = 0; i < pixels; i++) {
            const size_t at = (first + i) * c->co + p->y_channel;

            vn_conv_finish(p, sum + i * p->co, p->add ? p->add + at : NULL, r->y + at);
        }
    }
}

static void conv(const struct vn_kernels *kernels, const struct vn_conv *c,
                 const struct vn_conv_run *r)
{
    (void)kernels;
    vn_conv_assert(c, r);
    for (uint32_t part = 0; part < r->n_parts; part++) {
        const struct vn_conv_piece p = vn_conv_piece(c, r, part);

        conv_piece(c, r, &p);
    }
}

/* The library packs both operands into buffers that it takes at the first product and never gives
 * back; they become resident as far as the largest operands reach. */
static int prepare(const struct vn_conv *c)
{
    const size_t pixels = strip_pixels(c), k = (size_t)c->k * c->k * c->ci, co = c->co;
    const size_t bytes = (pixels * k + k * co + pixels * co) * sizeof(float);
    float *map;

    if (!vn_blas_sgemm())
        return -ELIBACC;
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
               0);
    if (map == MAP_FAILED)
        return -errno;
    multiply(pixels, co, k, map, map + pixels * k, map + pixels * k + k * co);
    munmap(map, bytes);
    return 0;
}

const struct vn_kernels vn_kernels_gemm = {
    .name = "gemm",
    .conv = conv,
    .work = work,
    .prepare = prepare,
};
