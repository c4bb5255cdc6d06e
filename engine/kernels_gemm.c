/* Convolution as a matrix product: strips of output pixels are unrolled into rows of a patch matrix
 * (P, K), K = k k Ci in the order of the weights, which are the other operand (K, Co) as they stand
 * in the store. The library must run single-threaded (engine/blas.h). */
#include <assert.h>
#include <cblas.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/kernels_parts.h"

/* The part of the patch row that one kernel row covers: (k, Ci) floats, zero outside the image. */
static void patch_row(const struct vn_conv *c, const float *x, int64_t iy, int64_t ix, float *row)
{
    int64_t left = ix < 0 ? -ix : 0, end = c->k;

    if (end > c->w - ix)
        end = c->w - ix;
    if (iy < 0 || iy >= c->h) {
        memset(row, 0, (size_t)c->k * c->ci * sizeof *row);
        return;
    }
    memset(row, 0, (size_t)left * c->ci * sizeof *row);
    memcpy(row + left * c->ci, x + (iy * c->w + ix + left) * c->ci,
           (size_t)(end - left) * c->ci * sizeof *row);
    memset(row + end * c->ci, 0, (size_t)(c->k - end) * c->ci * sizeof *row);
}

/* Rows of `pixels` output pixels from number `first` on, counted row by row. */
static void unroll(const struct vn_conv *c, const float *x, size_t first, size_t pixels,
                   float *patches)
{
    const int64_t pad = (c->k - 1) / 2;
    const uint32_t wo = vn_conv_side(c->w, c->stride);

    for (size_t p = first; p < first + pixels; p++) {
        int64_t iy = (int64_t)(p / wo * c->stride) - pad, ix = (int64_t)(p % wo * c->stride) - pad;

        for (uint32_t ky = 0; ky < c->k; ky++, patches += (size_t)c->k * c->ci)
            patch_row(c, x, iy + ky, ix, patches);
    }
}

static void conv(const struct vn_conv *c, enum vn_epilogue epilogue, const float *x,
                 const float *weight, const float *scale, const float *bias, float *y, float *work)
{
    const size_t all = (size_t)vn_conv_side(c->h, c->stride) * vn_conv_side(c->w, c->stride);
    const size_t strip = vn_conv_strip(c), k = (size_t)c->k * c->k * c->ci, co = c->co;

    assert(c->k % 2 == 1 && c->stride && c->ci && c->co);
    assert(x && weight && scale && bias && y && work && x != y);
    for (size_t first = 0; first < all; first += strip) {
        size_t pixels = all - first < strip ? all - first : strip;
        float *out = y + first * co;
        float *sum = epilogue == VN_CONV_ADD ? work + strip * k : out;

        unroll(c, x, first, pixels, work);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)pixels, (int)co, (int)k, 1.0f,
                    work, (int)k, weight, (int)co, 0.0f, sum, (int)co);
        vn_conv_finish(epilogue, pixels, c->co, sum, scale, bias, out);
    }
}

/* The library packs both operands into buffers that it takes at the first product and never gives
 * back; they become resident as far as the largest operands reach. */
static int prepare(const struct vn_conv *c)
{
    const size_t pixels = vn_conv_strip(c), k = (size_t)c->k * c->k * c->ci, co = c->co;
    const size_t bytes = (pixels * k + k * co + pixels * co) * sizeof(float);
    float *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)pixels, (int)co, (int)k, 1.0f, map,
                (int)k, map + pixels * k, (int)co, 0.0f, map + pixels * k + k * co, (int)co);
    munmap(map, bytes);
    return 0;
}

const struct vn_kernels vn_kernels_gemm = {.name = "gemm", .conv = conv, .prepare = prepare};
