/* ref against loops in double precision, all others likewise; operands lie against guard pages, at
 * their end and at their start, so that an access outside them ends the test. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kernels.h"
#include "engine/taps.h"
#include "support.h"

/* Floats between pages without access: they end where one starts, or start where one ends.
 * Four-byte alignment is all that kernels may expect. */
struct guarded {
    float *x;
    size_t n;
    void *map;
    size_t bytes;
};

enum flush { AT_END, AT_START };

static struct guarded guarded(size_t n, enum flush flush)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = (n * sizeof(float) + page - 1) / page * page;
    uint8_t *map = mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    float *x = (float *)(map + page);

    cr_assert_neq(map, MAP_FAILED);
    cr_assert_eq(mprotect(x, bytes, PROT_READ | PROT_WRITE), 0);
    if (flush == AT_END)
        x = (float *)(map + page + bytes) - n;
    return (struct guarded){x, n, map, bytes + 2 * page};
}

static void guarded_deinit(struct guarded *g)
{
    munmap(g->map, g->bytes);
}

static struct guarded guarded_normal(struct vn_rng *r, size_t n, float scale, enum flush flush)
{
    struct guarded g = guarded(n, flush);

    fill_normal(r, g.x, n, scale);
    return g;
}

/* The definition, number by number. */
static double one_sum(const struct vn_conv *c, const float *x, const float *w, int64_t oy,
                      int64_t ox, uint32_t o)
{
    int64_t pad = (c->k - 1) / 2;
    double sum = 0;

    for (int64_t ky = 0; ky < c->k; ky++)
        for (int64_t kx = 0; kx < c->k; kx++)
            for (int64_t i = 0; i < c->ci; i++) {
                int64_t y = oy * c->stride + ky - pad, z = ox * c->stride + kx - pad;

                if (y >= 0 && y < c->h && z >= 0 && z < c->w)
                    sum += (double)x[(y * c->w + z) * c->ci + i] *
                           (double)w[((ky * c->k + kx) * c->ci + i) * c->co + o];
            }
    return sum;
}

struct operands {
    struct guarded x, weight, scale, bias, start;
    size_t outputs;
};

static void operands_deinit(struct operands *o)
{
    guarded_deinit(&o->x);
    guarded_deinit(&o->weight);
    guarded_deinit(&o->scale);
    guarded_deinit(&o->bias);
    guarded_deinit(&o->start);
}

static struct operands operands(const struct vn_conv *c, uint64_t seed, enum flush flush)
{
    struct vn_rng r = {seed};
    size_t outputs =
        (size_t)((c->h + c->stride - 1) / c->stride) * ((c->w + c->stride - 1) / c->stride) * c->co;

    return (struct operands){
        .x = guarded_normal(&r, (size_t)c->h * c->w * c->ci, 1, flush),
        .weight = guarded_normal(&r, (size_t)c->k * c->k * c->ci * c->co, 1, flush),
        .scale = guarded_normal(&r, c->co, 1, flush),
        .bias = guarded_normal(&r, c->co, 1, flush),
        .start = guarded_normal(&r, outputs, 1, flush),
        .outputs = outputs,
    };
}

/* y of one kernel, from a copy of `start`. */
static struct guarded run(const struct vn_kernels *k, const struct vn_conv *c, enum vn_epilogue e,
                          const struct operands *o, enum flush flush)
{
    struct guarded y = guarded(o->outputs, flush), work = guarded(vn_conv_work(c), flush);

    memcpy(y.x, o->start.x, o->outputs * sizeof(float));
    memset(work.x, 0xff, work.n * sizeof(float)); /* NaN: contents are irrelevant */
    k->conv(c, e, o->x.x, o->weight.x, o->scale.x, o->bias.x, y.x, work.x);
    guarded_deinit(&work);
    return y;
}

/* A sum of n products of standard normals grows like sqrt(n); each addition rounds by up to 2^-24
 * of what has been summed. 1e-6 sqrt(n) n^(1/2) = 1e-6 n bounds it generously; the scale (up to
 * about 4) multiplies it. */
static double tolerance(const struct vn_conv *c)
{
    return 4e-6 * (1 + (double)c->k * c->k * c->ci);
}

/* Every implementation that this processor can run. */
static const struct vn_kernels *implementation(int i)
{
    static const char *const isas[] = {"generic", "avx2", "avx512"};

    return i == 0 ? &vn_kernels_ref : i == 1 ? &vn_kernels_gemm : vn_kernels_direct(isas[i - 2]);
}
#define N_IMPLEMENTATIONS 5

static void expect_near(const struct vn_kernels *k, const struct vn_conv *c, enum vn_epilogue e,
                        uint64_t seed, enum flush flush, const struct operands *o,
                        const double *expected)
{
    _cleanup_(guarded_deinit) struct guarded y = run(k, c, e, o, flush);

    for (size_t i = 0; i < o->outputs; i++)
        cr_assert(fabs((double)y.x[i] - expected[i]) <= tolerance(c),
                  "%s seed=%llu h=%u w=%u ci=%u co=%u k=%u stride=%u epilogue=%d flush=%d "
                  "output %zu: %.9g, in double precision %.9g",
                  k->name, (unsigned long long)seed, c->h, c->w, c->ci, c->co, c->k, c->stride,
                  (int)e, (int)flush, i, (double)y.x[i], expected[i]);
}

static void compare_flush(const struct vn_conv *c, enum vn_epilogue e, uint64_t seed,
                          enum flush flush)
{
    _cleanup_(operands_deinit) struct operands o = operands(c, seed, flush);
    double *expected = malloc(o.outputs * sizeof *expected);
    uint32_t wo = (c->w + c->stride - 1) / c->stride;

    for (size_t i = 0; i < o.outputs; i++) {
        uint32_t channel = (uint32_t)(i % c->co);
        size_t p = i / c->co;
        double v = (double)o.scale.x[channel] * one_sum(c, o.x.x, o.weight.x, (int64_t)(p / wo),
                                                        (int64_t)(p % wo), channel) +
                   (double)o.bias.x[channel];

        expected[i] = e == VN_CONV_ADD ? (double)o.start.x[i] + v : v > 0 ? v : 0;
    }
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (implementation(i))
            expect_near(implementation(i), c, e, seed, flush, &o, expected);
    free(expected);
}

static void compare(const struct vn_conv *c, enum vn_epilogue e, uint64_t seed)
{
    compare_flush(c, e, seed, AT_END);
    compare_flush(c, e, seed, AT_START);
}

/* Around every width of a vector and of a tile. */
static const uint32_t channels[] = {1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64};
#define N_CHANNELS (sizeof channels / sizeof channels[0])

Test(kernels, conv_channels, .timeout = 100)
{
    for (size_t i = 0; i < N_CHANNELS; i++)
        for (size_t o = 0; o < N_CHANNELS; o++) {
            uint32_t stride = 1u << (i + o) % 3; /* 1, 2, 4 */
            struct vn_conv c = {5, 7, channels[i], channels[o], 3, stride};

            compare(&c, VN_CONV_RELU, i * 100 + o);
            compare(&c, VN_CONV_ADD, i * 100 + o);
        }
}

Test(kernels, conv_shapes, .timeout = 100)
{
    static const uint32_t sides[] = {1, 2, 3, 7, 8, 9, 17};

    for (size_t h = 0; h < sizeof sides / sizeof sides[0]; h++)
        for (size_t w = 0; w < sizeof sides / sizeof sides[0]; w++)
            for (uint32_t k = 1; k <= 11; k += 2)
                for (uint32_t stride = 1; stride <= 4; stride++) {
                    struct vn_conv c = {sides[h], sides[w], 2, 3, k, stride};

                    compare_flush(&c, (h + w + k) % 2 ? VN_CONV_ADD : VN_CONV_RELU,
                                  h * 1000 + w * 100 + k * 10 + stride, (h + stride) % 2);
                }
    compare(&(struct vn_conv){40, 40, 3, 5, 11, 32}, VN_CONV_RELU, 1);
    compare(&(struct vn_conv){23, 19, 3, 33, 11, 2}, VN_CONV_ADD, 2);
    compare(&(struct vn_conv){1, 1, 1, 1, 1, 1}, VN_CONV_ADD, 3);
}

/* A number of the result is the same, to the bit, whatever is computed with it: one column alone
 * and among others, one pixel alone and among others. */
Test(kernels, direct_neighbours)
{
    const struct vn_conv all = {1, 13, 21, 57, 1, 1}, pixel = {1, 1, 21, 57, 1, 1};
    const struct vn_conv column = {1, 13, 21, 1, 1, 1};

    for (int i = 2; i < N_IMPLEMENTATIONS; i++) {
        _cleanup_(operands_deinit) struct operands o = operands(&all, (uint64_t)i, AT_END);
        float weight[21], y[13], start[13], work[1 << 12];
        _cleanup_(guarded_deinit) struct guarded whole = guarded(o.outputs, AT_END);

        if (!implementation(i))
            continue;
        memcpy(whole.x, o.start.x, o.outputs * sizeof(float));
        implementation(i)->conv(&all, VN_CONV_ADD, o.x.x, o.weight.x, o.scale.x, o.bias.x, whole.x,
                                work);
        for (uint32_t c = 0; c < 57; c++) {
            for (uint32_t r = 0; r < 21; r++)
                weight[r] = o.weight.x[r * 57 + c];
            for (uint32_t p = 0; p < 13; p++)
                start[p] = y[p] = o.start.x[p * 57 + c];
            implementation(i)->conv(&column, VN_CONV_ADD, o.x.x, weight, o.scale.x + c,
                                    o.bias.x + c, y, work);
            for (uint32_t p = 0; p < 13; p++)
                cr_assert(y[p] == whole.x[p * 57 + c], "%s column %u pixel %u from %g: %a and %a",
                          implementation(i)->name, c, p, (double)start[p], (double)y[p],
                          (double)whole.x[p * 57 + c]);
        }
        for (uint32_t p = 0; p < 13; p++) {
            implementation(i)->conv(&pixel, VN_CONV_ADD, o.x.x + p * 21, o.weight.x, o.scale.x,
                                    o.bias.x, o.start.x + p * 57, work);
            cr_assert_arr_eq(o.start.x + p * 57, whole.x + p * 57, 57 * sizeof(float));
        }
    }
}

/* The weight gradient's tile against its definition. */
static void compare_outer(const struct vn_taps_kernels *k, uint32_t rows, uint32_t co,
                          enum flush flush)
{
    enum { PIXELS = 11 };
    struct vn_rng r = {rows * 100 + co};
    uint32_t offset[PIXELS];
    _cleanup_(guarded_deinit) struct guarded x =
        guarded_normal(&r, (size_t)rows * PIXELS, 1, flush);
    _cleanup_(guarded_deinit) struct guarded dy = guarded_normal(&r, (size_t)co * PIXELS, 1, flush);
    _cleanup_(guarded_deinit) struct guarded dw = guarded_normal(&r, (size_t)rows * co, 1, flush);
    double *expected = malloc((size_t)rows * co * sizeof *expected);

    for (uint32_t p = 0; p < PIXELS; p++)
        offset[p] = (PIXELS - 1 - p) * rows;
    for (uint32_t i = 0; i < rows * co; i++) {
        expected[i] = (double)dw.x[i];
        for (uint32_t p = 0; p < PIXELS; p++)
            expected[i] += (double)x.x[offset[p] + i / co] * (double)dy.x[p * co + i % co];
    }
    vn_taps_outer(k, &(struct vn_taps_outer){PIXELS, x.x, offset, rows, co, dy.x, dw.x});
    for (uint32_t i = 0; i < rows * co; i++) /* 4e-6 for each addition, as above */
        cr_assert(fabs((double)dw.x[i] - expected[i]) < 4e-6 * (PIXELS + 1),
                  "%s rows=%u co=%u flush=%d at %u: %.9g, in double precision %.9g", k->name, rows,
                  co, (int)flush, i, (double)dw.x[i], expected[i]);
    free(expected);
}

Test(kernels, weight_gradient)
{
    static const char *const isas[] = {"generic", "avx2", "avx512"};

    for (int isa = 0; isa < 3; isa++)
        for (size_t i = 0; i < N_CHANNELS * N_CHANNELS && vn_taps_find(isas[isa]); i++) {
            const struct vn_taps_kernels *k = vn_taps_find(isas[isa]);

            compare_outer(k, channels[i / N_CHANNELS], channels[i % N_CHANNELS], AT_END);
            compare_outer(k, channels[i / N_CHANNELS], channels[i % N_CHANNELS], AT_START);
        }
}

/* Larger than one strip of the unrolled operand: 33 x 31 pixels of 9 * 40 + 17 floats are 385,671
 * floats, where a strip has at most 65,536; and a sum long enough for the minimum of 64 pixels. */
Test(kernels, conv_strips, .timeout = 100)
{
    compare(&(struct vn_conv){33, 31, 40, 17, 3, 1}, VN_CONV_RELU, 1);
    compare(&(struct vn_conv){33, 31, 40, 17, 3, 1}, VN_CONV_ADD, 2);
    compare(&(struct vn_conv){9, 9, 300, 6, 3, 1}, VN_CONV_ADD, 3);
    cr_assert_leq(vn_conv_work(&(struct vn_conv){33, 31, 40, 17, 3, 1}), 65536);
    cr_assert_eq(vn_conv_work(&(struct vn_conv){9, 9, 300, 6, 3, 1}), 64 * (9 * 300 + 6));
    cr_assert_eq(vn_conv_work(&(struct vn_conv){3, 3, 300, 6, 3, 1}), 9 * (9 * 300 + 6));
}

Test(kernels, find)
{
    cr_assert_eq(vn_kernels_find("ref"), &vn_kernels_ref);
    cr_assert_eq(vn_kernels_find("gemm"), &vn_kernels_gemm);
    cr_assert_not_null(vn_kernels_direct(NULL));
    cr_assert_eq(vn_kernels_find("direct"), vn_kernels_direct(NULL));
    cr_assert_eq(vn_kernels_find("auto"), vn_kernels_direct(NULL));
    cr_assert_str_eq(vn_kernels_direct("generic")->name, "direct-generic"); /* runs anywhere */
    cr_assert_null(vn_kernels_direct("mmx"));
    cr_assert_null(vn_kernels_find("fast"));
    cr_assert_eq(vn_kernels_gemm.prepare(&(struct vn_conv){8, 8, 16, 16, 3, 1}), 0);
}

/* Windows clipped at the right and lower edge are divided by the pixels inside. */
Test(kernels, shortcut)
{
    static const uint32_t sides[] = {1, 2, 3, 5, 8};
    struct vn_rng r = {1};

    for (int i = 0; i < 5 * 5 * 3; i++) {
        uint32_t h = sides[i % 5], w = sides[i / 5 % 5], s = 1u << i / 25, ci = 3, co = ci + i % 2;
        uint32_t ho = (h + s - 1) / s, wo = (w + s - 1) / s;
        _cleanup_(guarded_deinit) struct guarded x =
            guarded_normal(&r, (size_t)h * w * ci, 1, AT_END);
        _cleanup_(guarded_deinit) struct guarded y = guarded((size_t)ho * wo * co, AT_END);

        memset(y.x, 0xff, y.n * sizeof(float));
        vn_shortcut(h, w, ci, co, s, x.x, y.x);
        for (uint32_t p = 0; p < ho * wo * co; p++) {
            uint32_t c = p % co, oy = p / co / wo, ox = p / co % wo;
            double sum = 0, n = 0;

            for (uint32_t iy = oy * s; iy < oy * s + s && iy < h; iy++)
                for (uint32_t ix = ox * s; ix < ox * s + s && ix < w; ix++, n++)
                    sum += c < ci ? (double)x.x[(iy * w + ix) * ci + c] : 0;
            cr_assert_float_eq(y.x[p], sum / n, 1e-6, "h=%u w=%u s=%u co=%u at %u", h, w, s, co, p);
        }
    }
}

Test(kernels, small_operations)
{
    float relu[] = {-1, 0, 2, -0.0f}, pooled[2], y[3], soft[] = {1000, 1000, -1000}, one[] = {-5};
    const float x[] = {1, 2, 3, 4, 5, 9}, weight[] = {1, 0, 2, 0, 1, -1}, bias[] = {10, 20, 30};

    vn_relu(relu, 4);
    cr_assert_arr_eq(relu, ((float[]){0, 0, 2, 0}), sizeof relu);
    vn_pool_mean(x, 3, 2, pooled); /* (1 + 3 + 5) / 3, (2 + 4 + 9) / 3 */
    cr_assert_float_eq(pooled[0], 3, 1e-6);
    cr_assert_float_eq(pooled[1], 5, 1e-6);
    vn_linear(x, weight, bias, 2, 3, y); /* 1 (1, 0, 2) + 2 (0, 1, -1) + (10, 20, 30) */
    cr_assert_arr_eq(y, ((float[]){11, 22, 30}), sizeof y);
    vn_softmax(soft, 3); /* neither overflows nor divides by zero */
    cr_assert_arr_eq(soft, ((float[]){0.5f, 0.5f, 0}), sizeof soft);
    vn_softmax(one, 1);
    cr_assert_eq(one[0], 1);
}
