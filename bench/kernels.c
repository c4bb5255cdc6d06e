/* Times every convolution kernel on layers of the reference networks, interleaved in one run, and
 * prints the median of each as a ratio to `gemm`: machines differ, ratios less.
 *
 *   ninja -C build bench/kernels && build/bench/kernels */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/kernels.h"

#define ROUNDS 21
#define ROUND_NS (2 * VN_NS_PER_MS) /* of repetitions in a round: long against the clock */

static const struct vn_conv layers[] = {
    {32, 32, 16, 16, 3, 1},  {32, 32, 64, 16, 3, 1},   {32, 32, 16, 64, 3, 1},
    {32, 32, 64, 64, 3, 1},  {32, 32, 128, 128, 3, 1}, {16, 16, 128, 32, 3, 1},
    {16, 16, 32, 128, 3, 1}, {16, 16, 128, 128, 3, 1}, {16, 16, 256, 256, 3, 1},
    {8, 8, 256, 64, 3, 1},   {8, 8, 64, 256, 3, 1},    {8, 8, 256, 256, 3, 1},
    {8, 8, 512, 512, 3, 1},  {4, 4, 512, 128, 3, 1},   {4, 4, 512, 512, 3, 1},
    {32, 32, 64, 128, 3, 2}, {32, 32, 3, 64, 3, 1},    {96, 96, 3, 64, 7, 2},
};
static const char *const names[] = {"gemm", "direct", "winograd"};

enum { KERNELS = 3 };

static float *random_floats(struct vn_rng *r, size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);

    for (size_t i = 0; x && i < n; i++)
        x[i] = (float)vn_rng_normal(r);
    return x;
}

struct operands {
    float *x, *weight, *scale, *bias, *y, *work;
};

/* Nanoseconds of one convolution, over as many as fill a round. */
static double time_once(const struct vn_kernels *k, const struct vn_conv *c,
                        const struct operands *o)
{
    const struct vn_conv_part part = {o->weight, o->scale, o->bias};
    const struct vn_conv_run run = {
        .x = o->x, .parts = &part, .n_parts = 1, .relu = true, .y = o->y, .work = o->work};
    uint64_t start = vn_now_ns(), now;
    unsigned n = 0;

    do {
        k->conv(k, c, &run);
        now = vn_now_ns();
        n++;
    } while (now - start < ROUND_NS);
    return (double)(now - start) / n;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int bench(const struct vn_conv *c, struct vn_rng *r)
{
    uint32_t ho = (c->h + c->stride - 1) / c->stride, wo = (c->w + c->stride - 1) / c->stride;
    size_t work = 0;
    double flops = 2.0 * ho * wo * c->co * c->k * c->k * c->ci, took[KERNELS][ROUNDS];
    for (int k = 0; k < KERNELS; k++) {
        size_t needs = vn_kernels_find(names[k])->work(c, 1);

        work = needs > work ? needs : work;
    }
    struct operands o = {
        random_floats(r, (size_t)c->h * c->w * c->ci),
        random_floats(r, (size_t)c->k * c->k * c->ci * c->co),
        random_floats(r, c->co),
        random_floats(r, c->co),
        random_floats(r, (size_t)ho * wo * c->co),
        random_floats(r, work),
    };

    if (!o.x || !o.weight || !o.scale || !o.bias || !o.y || !o.work)
        return 1;
    for (int round = -1; round < ROUNDS; round++) /* the first is not counted */
        for (int k = 0; k < KERNELS; k++)
            took[k][round < 0 ? 0 : round] = time_once(vn_kernels_find(names[k]), c, &o);
    printf("%3ux%-3u k%u s%u %4u->%-4u", c->w, c->h, c->k, c->stride, c->ci, c->co);
    for (int k = 0; k < KERNELS; k++)
        qsort(took[k], ROUNDS, sizeof took[k][0], by_value);
    for (int k = 0; k < KERNELS; k++)
        printf("  %s %6.1f GFLOP/s x%.2f", names[k], flops / took[k][ROUNDS / 2],
               took[0][ROUNDS / 2] / took[k][ROUNDS / 2]);
    putchar('\n');
    free(o.x), free(o.weight), free(o.scale), free(o.bias), free(o.y), free(o.work);
    return 0;
}

int main(void)
{
    struct vn_rng r = {1};

    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        if (bench(&layers[i], &r))
            return 1;
    return 0;
}
