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

/* A convolution with its operands: `parts` parts of the weights, one after the other. */
struct example {
    struct vn_conv c;
    uint32_t parts;
    enum vn_conv_split split;
    bool add, relu;
};

static uint32_t part_co(const struct example *e)
{
    return e->split == VN_CONV_OUTPUTS ? e->c.co / e->parts : e->c.co;
}

static uint32_t part_ci(const struct example *e)
{
    return e->split == VN_CONV_INPUTS ? e->c.ci / e->parts : e->c.ci;
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

static struct operands operands(const struct example *e, uint64_t seed, enum flush flush)
{
    const struct vn_conv *c = &e->c;
    struct vn_rng r = {seed};
    size_t outputs =
        (size_t)((c->h + c->stride - 1) / c->stride) * ((c->w + c->stride - 1) / c->stride) * c->co;

    return (struct operands){
        .x = guarded_normal(&r, (size_t)c->h * c->w * c->ci, 1, flush),
        .weight =
            guarded_normal(&r, (size_t)c->k * c->k * part_ci(e) * part_co(e) * e->parts, 1, flush),
        .scale = guarded_normal(&r, (size_t)part_co(e) * e->parts, 1, flush),
        .bias = guarded_normal(&r, (size_t)part_co(e) * e->parts, 1, flush),
        .start = guarded_normal(&r, outputs, 1, flush),
        .outputs = outputs,
    };
}

/* The definition, number by number: the sum of part `p` for its output channel o. */
static double one_sum(const struct example *e, const struct operands *d, uint32_t p, int64_t oy,
                      int64_t ox, uint32_t o)
{
    const struct vn_conv *c = &e->c;
    const float *w = d->weight.x + (size_t)p * c->k * c->k * part_ci(e) * part_co(e);
    const int64_t pad = (c->k - 1) / 2;
    const uint32_t first = e->split == VN_CONV_INPUTS ? p * part_ci(e) : 0;
    double sum = 0;

    for (int64_t ky = 0; ky < c->k; ky++)
        for (int64_t kx = 0; kx < c->k; kx++)
            for (int64_t i = 0; i < part_ci(e); i++) {
                int64_t y = oy * c->stride + ky - pad, z = ox * c->stride + kx - pad;

                if (y >= 0 && y < c->h && z >= 0 && z < c->w)
                    sum += (double)d->x.x[(y * c->w + z) * c->ci + first + i] *
                           (double)w[((ky * c->k + kx) * part_ci(e) + i) * part_co(e) + o];
            }
    return sum;
}

static double one_output(const struct example *e, const struct operands *d, size_t i)
{
    const uint32_t wo = (e->c.w + e->c.stride - 1) / e->c.stride;
    const uint32_t channel = (uint32_t)(i % e->c.co), co = part_co(e);
    const bool one = e->split == VN_CONV_OUTPUTS; /* part makes a channel */
    const size_t pixel = i / e->c.co;
    double v = e->add ? (double)d->start.x[i] : 0;

    for (uint32_t p = one ? channel / co : 0; p < (one ? channel / co + 1 : e->parts); p++)
        v += (double)d->scale.x[p * co + channel % co] *
                 one_sum(e, d, p, (int64_t)(pixel / wo), (int64_t)(pixel % wo), channel % co) +
             (double)d->bias.x[p * co + channel % co];
    return e->relu && v < 0 ? 0 : v;
}

/* y of one kernel, added to a copy of `start` in place. */
static struct guarded run(const struct vn_kernels *k, const struct example *e,
                          const struct operands *o, struct vn_pool *pool, enum flush flush)
{
    struct guarded y = guarded(o->outputs, flush);
    struct guarded work = guarded(k->work(&e->c, vn_pool_threads(pool)), flush);
    struct vn_conv_part parts[8];

    for (uint32_t p = 0; p < e->parts; p++) {
        parts[p].weight = o->weight.x + (size_t)p * e->c.k * e->c.k * part_ci(e) * part_co(e);
        parts[p].scale = o->scale.x + p * part_co(e);
        parts[p].bias = o->bias.x + p * part_co(e);
    }
    if (e->add)
        memcpy(y.x, o->start.x, o->outputs * sizeof(float));
    else
        memset(y.x, 0xff, o->outputs * sizeof(float));
    memset(work.x, 0xff, work.n * sizeof(float)); /* NaN: contents are irrelevant */
    k->conv(k, &e->c,
            &(struct vn_conv_run){.x = o->x.x,
                                  .parts = parts,
                                  .n_parts = e->parts,
                                  .split = e->split,
                                  .add = e->add ? y.x : NULL,
                                  .relu = e->relu,
                                  .y = y.x,
                                  .work = work.x,
                                  .pool = pool});
    guarded_deinit(&work);
    return y;
}

/* A sum of n products of standard normals grows like sqrt(n); each addition rounds by up to 2^-24
 * of what has been summed. 1e-6 sqrt(n) n^(1/2) = 1e-6 n bounds it generously; the scale (up to
 * about 4) multiplies it. Winograd's transforms multiply by up to 4.5 on either side of the sum and
 * take the differences of such numbers: ten times as much. */
static double tolerance(const struct vn_kernels *k, const struct vn_conv *c)
{
    return (k->winograd ? 4e-5 : 4e-6) * (1 + (double)c->k * c->k * c->ci);
}

/* Every implementation that this processor can run. */
static const struct vn_kernels *implementation(int i)
{
    static const char *const isas[] = {"generic", "avx2", "avx512", "neon"};

    if (i == 0)
        return &vn_kernels_ref;
    if (i == 1)
        return &vn_kernels_gemm;
    return i < 6 ? vn_kernels_direct(isas[i - 2]) : vn_kernels_winograd(isas[i - 6]);
}
#define N_IMPLEMENTATIONS 10
#define FIRST_DIRECT 2
#define FIRST_WINOGRAD 6

static void expect_near(const struct vn_kernels *k, const struct example *e, uint64_t seed,
                        enum flush flush, const struct operands *o, const double *expected)
{
    _cleanup_(guarded_deinit) struct guarded y = run(k, e, o, NULL, flush);
    const struct vn_conv *c = &e->c;

    for (size_t i = 0; i < o->outputs; i++)
        cr_assert(fabs((double)y.x[i] - expected[i]) <= tolerance(k, c),
                  "%s seed=%llu h=%u w=%u ci=%u co=%u k=%u stride=%u parts=%u split=%d add=%d "
                  "relu=%d flush=%d output %zu: %.9g, in double precision %.9g",
                  k->name, (unsigned long long)seed, c->h, c->w, c->ci, c->co, c->k, c->stride,
                  e->parts, (int)e->split, e->add, e->relu, (int)flush, i, (double)y.x[i],
                  expected[i]);
}

static void compare_flush(const struct example *e, uint64_t seed, enum flush flush)
{
    _cleanup_(operands_deinit) struct operands o = operands(e, seed, flush);
    double *expected = malloc(o.outputs * sizeof *expected);

    for (size_t i = 0; i < o.outputs; i++)
        expected[i] = one_output(e, &o, i);
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (implementation(i))
            expect_near(implementation(i), e, seed, flush, &o, expected);
    free(expected);
}

static void compare(const struct example *e, uint64_t seed)
{
    compare_flush(e, seed, AT_END);
    compare_flush(e, seed, AT_START);
}

/* Around every width of a vector and of a tile. */
static const uint32_t channels[] = {1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64};
#define N_CHANNELS (sizeof channels / sizeof channels[0])

Test(kernels, conv_channels, .timeout = 200)
{
    for (size_t i = 0; i < N_CHANNELS; i++)
        for (size_t o = 0; o < N_CHANNELS; o++) {
            struct example e = {.c = {5, 7, channels[i], channels[o], 3, 1u << (i + o) % 3},
                                .parts = 1};

            e.relu = true;
            compare(&e, i * 100 + o);
            e.relu = false;
            e.add = true;
            compare(&e, i * 100 + o);
        }
}

Test(kernels, conv_shapes, .timeout = 200)
{
    static const uint32_t sides[] = {1, 2, 3, 4, 5, 7, 8, 9, 17};

    for (size_t h = 0; h < sizeof sides / sizeof sides[0]; h++)
        for (size_t w = 0; w < sizeof sides / sizeof sides[0]; w++)
            for (uint32_t k = 1; k <= 11; k += 2)
                for (uint32_t stride = 1; stride <= 4; stride++) {
                    struct example e = {.c = {sides[h], sides[w], 2, 3, k, stride}, .parts = 1};

                    e.add = (h + w + k) % 2;
                    e.relu = (h + w) % 3;
                    compare_flush(&e, h * 1000 + w * 100 + k * 10 + stride, (h + stride) % 2);
                }
    compare(&(struct example){{40, 40, 3, 5, 11, 32}, 1, 0, false, true}, 1);
    compare(&(struct example){{23, 19, 3, 33, 11, 2}, 1, 0, true, false}, 2);
    compare(&(struct example){{1, 1, 1, 1, 1, 1}, 1, 0, true, false}, 3);
}

/* Groups whose width is around that of a vector, so that several share one, or one shares several;
 * with and without neighbours in a vector; more of them than columns of a panel. */
Test(kernels, conv_parts, .timeout = 200)
{
    static const uint32_t widths[] = {1, 3, 4, 8, 13, 16, 17, 32, 40};

    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (uint32_t parts = 2; parts <= 8; parts += 3)
            for (uint32_t stride = 1; stride <= 2; stride++) {
                uint32_t all = widths[i] * parts;

                compare(
                    &(struct example){
                        {9, 6, 5, all, 3, stride}, parts, VN_CONV_OUTPUTS, false, true},
                    i);
                compare(
                    &(struct example){
                        {6, 9, all, 19, 3, stride}, parts, VN_CONV_INPUTS, true, true},
                    i);
                compare(
                    &(struct example){
                        {3, 5, all, 6, 1, stride}, parts, VN_CONV_INPUTS, false, false},
                    i);
            }
}

/* A number of the result is the same, to the bit, whatever is computed with it: one column alone
 * and among others, one pixel alone and among others. */
Test(kernels, direct_neighbours)
{
    const struct example all = {{1, 13, 21, 57, 1, 1}, 1, 0, true, false};
    const struct example column = {{1, 13, 21, 1, 1, 1}, 1, 0, true, false};
    const struct example pixel = {{1, 1, 21, 57, 1, 1}, 1, 0, true, false};

    for (int i = FIRST_DIRECT; i < FIRST_WINOGRAD; i++) {
        _cleanup_(operands_deinit) struct operands o = operands(&all, (uint64_t)i, AT_END);
        _cleanup_(guarded_deinit) struct guarded whole = {0};
        float weight[21], start[13];

        if (!implementation(i))
            continue;
        whole = run(implementation(i), &all, &o, NULL, AT_END);
        for (uint32_t c = 0; c < 57; c++) {
            struct operands one = {.x.x = o.x.x,
                                   .weight.x = weight,
                                   .scale.x = o.scale.x + c,
                                   .bias.x = o.bias.x + c,
                                   .start.x = start,
                                   .outputs = 13};
            _cleanup_(guarded_deinit) struct guarded y = {0};

            for (uint32_t r = 0; r < 21; r++)
                weight[r] = o.weight.x[r * 57 + c];
            for (uint32_t p = 0; p < 13; p++)
                start[p] = o.start.x[p * 57 + c];
            y = run(implementation(i), &column, &one, NULL, AT_END);
            for (uint32_t p = 0; p < 13; p++)
                cr_assert(y.x[p] == whole.x[p * 57 + c], "%s column %u pixel %u from %g: %a and %a",
                          implementation(i)->name, c, p, (double)start[p], (double)y.x[p],
                          (double)whole.x[p * 57 + c]);
        }
        for (uint32_t p = 0; p < 13; p++) {
            struct operands one = o;
            _cleanup_(guarded_deinit) struct guarded y = {0};

            one.x.x += p * 21;
            one.start.x += p * 57;
            one.outputs = 57;
            y = run(implementation(i), &pixel, &one, NULL, AT_END);
            cr_assert_arr_eq(y.x, whole.x + p * 57, 57 * sizeof(float));
        }
    }
}

/* However many threads share the work, and whichever way they do, the result is the same to the
 * bit: images of one tile and of more than a strip, of one panel and of many. */
Test(kernels, threads, .timeout = 100)
{
    static const struct vn_conv shapes[] = {
        {4, 4, 33, 200, 3, 1}, {8, 8, 300, 70, 3, 1},  {33, 31, 40, 17, 3, 1},
        {3, 3, 40, 90, 3, 2},  {61, 50, 6, 24, 3, 1},  {9, 9, 5, 3, 5, 2},
        {1, 1, 3, 1, 1, 1},    {70, 9, 300, 64, 3, 1},
    };
    struct vn_pool *two = NULL, *five = NULL;

    cr_assert_eq(vn_pool_new(2, &two), 0);
    cr_assert_eq(vn_pool_new(5, &five), 0);
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int i = 0; i < N_IMPLEMENTATIONS; i++) {
            const struct example e = {shapes[s], 1, 0, true, true};
            _cleanup_(operands_deinit) struct operands o = operands(&e, s, AT_END);
            _cleanup_(guarded_deinit) struct guarded alone = {0}, with_two = {0}, with_five = {0};

            if (!implementation(i))
                continue;
            alone = run(implementation(i), &e, &o, NULL, AT_END);
            with_two = run(implementation(i), &e, &o, two, AT_END);
            with_five = run(implementation(i), &e, &o, five, AT_END);
            cr_assert_arr_eq(with_two.x, alone.x, o.outputs * sizeof(float));
            cr_assert_arr_eq(with_five.x, alone.x, o.outputs * sizeof(float));
        }
    vn_pool_free(two);
    vn_pool_free(five);
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
    static const char *const isas[] = {"generic", "avx2", "avx512", "neon"};

    for (int isa = 0; isa < 4; isa++)
        for (size_t i = 0; i < N_CHANNELS * N_CHANNELS && vn_taps_find(isas[isa]); i++) {
            const struct vn_taps_kernels *k = vn_taps_find(isas[isa]);

            compare_outer(k, channels[i / N_CHANNELS], channels[i % N_CHANNELS], AT_END);
            compare_outer(k, channels[i / N_CHANNELS], channels[i % N_CHANNELS], AT_START);
        }
}

/* More pixels than a strip has, in gemm (33 x 31 of 9 * 40 + 17 floats are 365,211, a strip has at
 * most 65,536) and in winograd (72 x 9 tiles of 300 channels: strips of 27); and longer sums than
 * are done at a time (128 rows). */
Test(kernels, conv_strips, .timeout = 200)
{
    const struct vn_kernels *gemm = &vn_kernels_gemm;

    compare(&(struct example){{33, 31, 40, 17, 3, 1}, 1, 0, false, true}, 1);
    compare(&(struct example){{33, 31, 40, 17, 3, 1}, 1, 0, true, false}, 2);
    compare(&(struct example){{9, 9, 300, 6, 3, 1}, 1, 0, true, false}, 3);
    compare(&(struct example){{25, 27, 300, 6, 3, 1}, 3, VN_CONV_INPUTS, true, true}, 4);
    cr_assert_leq(gemm->work(&(struct vn_conv){33, 31, 40, 17, 3, 1}, 1), 65536);
    cr_assert_eq(gemm->work(&(struct vn_conv){9, 9, 300, 6, 3, 1}, 1), 64 * (9 * 300 + 6));
    cr_assert_eq(gemm->work(&(struct vn_conv){3, 3, 300, 6, 3, 1}, 1), 9 * (9 * 300 + 6));
}

/* Both are in use: few multiplications for large images, none to spare for one of 2 x 2. */
Test(kernels, automatic)
{
    const struct vn_kernels *k = vn_kernels_auto(NULL), *winograd = vn_kernels_winograd(NULL);
    const struct vn_conv large = {32, 32, 64, 64, 3, 1}, small = {2, 2, 64, 64, 3, 1};
    const struct vn_conv strided = {32, 32, 64, 64, 3, 2};

    cr_assert_eq(k->work(&large, 2), winograd->work(&large, 2));
    cr_assert_lt(k->work(&small, 1), winograd->work(&small, 1));
    cr_assert_eq(k->work(&strided, 1), vn_kernels_direct(NULL)->work(&strided, 1));
}

Test(kernels, find)
{
    cr_assert_eq(vn_kernels_find("ref"), &vn_kernels_ref);
    cr_assert_eq(vn_kernels_find("gemm"), &vn_kernels_gemm);
    cr_assert_not_null(vn_kernels_direct(NULL));
    cr_assert_eq(vn_kernels_find("direct"), vn_kernels_direct(NULL));
    cr_assert_eq(vn_kernels_find("winograd"), vn_kernels_winograd(NULL));
    cr_assert_eq(vn_kernels_find("auto"), vn_kernels_auto(NULL));
    cr_assert_str_eq(vn_kernels_direct("generic")->name, "direct-generic"); /* runs anywhere */
    cr_assert_str_eq(vn_kernels_winograd("generic")->name, "winograd-generic");
    cr_assert_null(vn_kernels_direct("mmx"));
    cr_assert_null(vn_kernels_auto("mmx"));
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
