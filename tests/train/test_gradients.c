/* Every backward pass against finite differences of its own forward pass. Convolutions, shortcut
 * and heads are linear or smooth, so that central differences are exact to rounding; the trunk has
 * kinks (ReLU) and batch statistics, so that a direction over a whole tensor is compared. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "engine/kernels.h"
#include "train/conv.h"
#include "train/heads.h"
#include "train/norm.h"
#include "train/optimiser.h"
#include "train/policy.h"
#include "train/shortcut.h"
#include "train/trunk.h"

static struct vn_rng rng = {7};

static float *random_floats(size_t n)
{
    float *f = vn_floats_new(n);

    for (size_t i = 0; i < n; i++)
        f[i] = (float)vn_rng_normal(&rng);
    return f;
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* --- convolution ------------------------------------------------------------------------------ */

static void plain_conv(const struct vn_conv *c, const float *x, const float *w, double *y)
{
    int pad = ((int)c->k - 1) / 2, k = (int)c->k;
    uint32_t ho = vn_strided(c->h, c->stride), wo = vn_strided(c->w, c->stride);

    memset(y, 0, sizeof *y * ho * wo * c->co);
    for (uint32_t i = 0; i < ho * wo; i++)
        for (int tap = 0; tap < k * k; tap++) {
            int iy = (int)(i / wo * c->stride) + tap / k - pad;
            int ix = (int)(i % wo * c->stride) + tap % k - pad;

            if (iy < 0 || ix < 0 || iy >= (int)c->h || ix >= (int)c->w)
                continue;
            for (uint32_t a = 0; a < c->ci; a++)
                for (uint32_t b = 0; b < c->co; b++)
                    y[i * c->co + b] +=
                        (double)x[((uint32_t)iy * c->w + (uint32_t)ix) * c->ci + a] *
                        w[((uint32_t)tap * c->ci + a) * c->co + b];
        }
}

/* The weights of the input gradient: (k k, Co, Ci). */
static void pack_dx(const struct vn_conv_plan *p, const float *w, float *wt)
{
    uint32_t ci = p->shape.ci, co = p->shape.co;

    for (uint32_t t = 0; t < p->shape.k * p->shape.k; t++)
        for (uint32_t a = 0; a < ci; a++)
            for (uint32_t b = 0; b < co; b++)
                wt[((size_t)t * co + b) * ci + a] =
                    w[((size_t)vn_conv_dx_tap(p, t) * ci + a) * co + b];
}

/* <dy, conv(x)> must equal <dx, x> and <dw, w>: the passes are adjoint, the map is linear. */
static void check_conv(const struct vn_conv *c)
{
    struct vn_conv_plan p;
    size_t nx = (size_t)c->h * c->w * c->ci, nw = (size_t)c->k * c->k * c->ci * c->co, ny;
    float *x = random_floats(nx), *w = random_floats(nw), *y, *dy, *dx, *dw, *xp, *dyp, *wt;
    double *expected, value, scale;

    cr_assert_eq(vn_conv_plan_init(&p, c), 0);
    ny = (size_t)p.ho * p.wo * c->co;
    y = vn_floats_new(ny);
    dy = random_floats(ny);
    dx = vn_floats_new(nx);
    dw = vn_floats_new(nw);
    wt = vn_floats_new(nw);
    xp = vn_floats_new(p.padded_x);
    dyp = vn_floats_new(p.padded_y);
    expected = calloc(ny, sizeof *expected);
    plain_conv(c, x, w, expected);
    vn_conv_pad(x, c->ci, c->h, c->w, c->ci, p.pad, xp);
    vn_conv_forward(&p, xp, w, 0, c->co, y);
    for (size_t i = 0; i < ny; i++)
        /* k k Ci products of size about 1, each rounded: 1e-6 of the sum of their sizes */
        cr_assert(fabs(y[i] - expected[i]) < 1e-6 * c->k * c->k * c->ci + 1e-5,
                  "%ux%u %u->%u k=%u s=%u at %zu: %g, expected %g", c->h, c->w, c->ci, c->co, c->k,
                  c->stride, i, y[i], expected[i]);
    value = 0;
    for (size_t i = 0; i < ny; i++)
        value += dy[i] * expected[i];
    scale = sqrt((double)ny * c->k * c->k * c->ci);
    pack_dx(&p, w, wt);
    vn_conv_pad(dy, c->co, p.ho, p.wo, c->co, p.pad, dyp);
    vn_conv_backward_x(&p, dyp, wt, false, dx);
    vn_conv_backward_w(&p, xp, dy, dw);
    cr_assert(fabs(dot(dx, x, nx) - value) < 1e-4 * scale, "dx %ux%u %u->%u k=%u s=%u", c->h, c->w,
              c->ci, c->co, c->k, c->stride);
    cr_assert(fabs(dot(dw, w, nw) - value) < 1e-4 * scale, "dw %ux%u %u->%u k=%u s=%u", c->h, c->w,
              c->ci, c->co, c->k, c->stride);
    vn_conv_backward_x(&p, dyp, wt, true, dx);
    cr_assert(fabs(dot(dx, x, nx) - 2 * value) < 2e-4 * scale, "accumulated dx");
    vn_conv_plan_deinit(&p);
    free(x), free(w), free(y), free(dy), free(dx), free(dw), free(wt), free(xp), free(dyp);
    free(expected);
}

Test(gradients, conv)
{
    static const uint32_t channels[] = {1, 3, 7, 8, 9, 15, 16, 17, 24};

    for (uint32_t i = 0; i < 9; i++)
        for (uint32_t stride = 1; stride <= 4; stride *= 2)
            for (uint32_t k = 1; k <= 5; k += 2)
                check_conv(
                    &(struct vn_conv){5 + i, 11 - i, channels[i], channels[8 - i], k, stride});
}

/* --- shortcut and batch-norm ----------------------------------------------------------------- */

Test(gradients, shortcut)
{
    for (uint32_t stride = 1; stride <= 4; stride *= 2)
        for (uint32_t side = 4; side < 10; side++) {
            uint32_t out = vn_strided(side, stride);
            size_t nx = (size_t)side * side * 3, ny = (size_t)out * out * 5;
            float *x = random_floats(nx), *y = vn_floats_new(ny), *dy = random_floats(ny);
            float *dx = vn_floats_new(nx);

            vn_shortcut(side, side, 3, 5, stride, x, y);
            vn_shortcut_backward(side, side, 3, 5, stride, dy, dx);
            cr_assert(fabs(dot(dx, x, nx) - dot(dy, y, ny)) < 1e-4, "side %u stride %u", side,
                      stride);
            free(x), free(y), free(dy), free(dx);
        }
}

/* y = BN(x) in batch mode as one function of x, gamma and beta. */
static double norm_value(const float *x, const float *gamma, const float *dy, size_t pixels,
                         uint32_t c)
{
    double sum = 0;

    for (uint32_t i = 0; i < c; i++) {
        double mean = 0, var = 0;

        for (size_t p = 0; p < pixels; p++)
            mean += x[p * c + i] / (double)pixels;
        for (size_t p = 0; p < pixels; p++)
            var += (x[p * c + i] - mean) * (x[p * c + i] - mean) / (double)pixels;
        for (size_t p = 0; p < pixels; p++)
            sum += dy[p * c + i] *
                   (gamma[i] * (x[p * c + i] - mean) / sqrt(var + VN_NORM_EPS) + gamma[c + i]);
    }
    return sum;
}

Test(gradients, norm)
{
    enum { PIXELS = 50, C = 70 }; /* more channels than one chunk of the sums */
    float *x = random_floats(PIXELS * C), *dy = random_floats(PIXELS * C);
    float *gamma = random_floats(2 * C), *dgamma = vn_floats_new(2 * C);
    float *numbers = vn_floats_new(4 * C), *running = vn_floats_new(2 * C);
    float *slopes = vn_floats_new(3 * C), *dx = vn_floats_new(PIXELS * C);
    const struct vn_plane plane = {PIXELS, C, C};
    float *ones = vn_floats_new(PIXELS * C); /* outputs that are positive: ReLU passes all */
    struct vn_norm n = {numbers, numbers + C, numbers + 2 * C, numbers + 3 * C};
    struct vn_norm_slope slope = {slopes, slopes + C, slopes + 2 * C};
    double numbers_of_sums[5 * C] = {0}, *sums = numbers_of_sums;
    struct vn_sums forward = {sums, sums + C}, backward = {sums + 2 * C, sums + 3 * C};
    const float *branch = x;

    for (size_t i = 0; i < PIXELS * C; i++)
        ones[i] = 1;
    vn_norm_sum(plane, x, forward);
    vn_norm_from_batch(&n, C, forward, PIXELS, gamma, gamma + C, 0.5f, running, running + C);
    vn_norm_join_back(plane, ones, dy, 1, &branch, &backward, sums + 4 * C);
    vn_norm_backward(&n, C, backward, PIXELS, gamma, dgamma, dgamma + C, &slope);
    vn_norm_apply_slope(plane, &slope, dy, x, dx);
    for (uint32_t k = 0; k < 40; k++) {
        float *at = k < 20 ? &x[vn_rng_below(&rng, PIXELS * C)] : &gamma[vn_rng_below(&rng, 2 * C)];
        float analytic = k < 20 ? dx[at - x] : dgamma[at - gamma], was = *at;
        double up, down, step = 1e-3;

        *at = (float)(was + step);
        up = norm_value(x, gamma, dy, PIXELS, C);
        *at = (float)(was - step);
        down = norm_value(x, gamma, dy, PIXELS, C);
        *at = was;
        cr_assert(fabs((up - down) / (2 * step) - analytic) < 2e-3 * (1 + fabs(analytic)),
                  "number %u: %g, expected %g", k, analytic, (up - down) / (2 * step));
    }
    /* running statistics: half of the way from 0 to the batch's */
    cr_assert(fabs(running[3] - 0.5 * n.mean[3]) < 1e-6);
    free(x), free(dy), free(gamma), free(dgamma), free(numbers), free(running);
    free(slopes), free(dx), free(ones);
}

/* --- a whole network ------------------------------------------------------------------------- */

static const char description[] =
    "{\"name\": \"tiny\", \"stem_width\": 6, \"groups\": 3,"
    "\"inputs\": [{\"name\": \"a\", \"width\": %u, \"height\": %u, \"color\": \"rgb\", \"crop\": "
    "\"none\", \"resize\": \"bilinear\","
    "  \"mean\": [0, 0, 0], \"std\": [1, 1, 1], \"stem_kernel\": 3, \"stem_stride\": 1},"
    " {\"name\": \"b\", \"width\": 8, \"height\": 8, \"color\": \"gray\", \"crop\": \"none\", "
    "\"resize\": \"bilinear\","
    "  \"mean\": [0], \"std\": [1], \"stem_kernel\": 5, \"stem_stride\": 1}],"
    "\"stages\": [{\"blocks\": 1, \"width\": 6, \"stride\": 1, \"group_width\": 4},"
    " {\"blocks\": 2, \"width\": 9, \"stride\": %u, \"group_width\": 5}],"
    "\"tasks\": [{\"name\": \"s\", \"input\": \"a\", \"labels\": [\"x\", \"y\", \"z\"]},"
    " {\"name\": \"t\", \"input\": \"b\", \"labels\": [\"u\", \"v\"]}],"
    "\"agent\": {\"kind\": \"%s\"}}";

struct sides {
    uint32_t width, height, stride; /* of input a; of the second stage */
};

static const struct sides usual = {9, 7, 2};

static struct vn_network *make_network(const char *kind, struct sides s)
{
    struct vn_network *n = NULL;
    struct vn_why why = {""};
    char text[2048];

    snprintf(text, sizeof text, description, s.width, s.height, s.stride, kind);
    cr_assert_eq(vn_network_parse(text, strlen(text), &why, &n), 0, "%s", why.text);
    return n;
}

enum { ROWS = 12 };

struct bench {
    struct vn_network *network;
    struct vn_model *model;
    struct vn_trunk *trunk;
    struct vn_row row[ROWS];
    uint8_t level[ROWS][VN_BLOCKS_MAX];
    float *images, *pooled, *dpooled;
    size_t n;
};

static const uint8_t only_group[VN_GROUPS_MAX] = {0};

static void bench_init(struct bench *b, const char *kind, struct sides sides, uint32_t input,
                       bool agent, uint32_t threads)
{
    struct vn_why why = {""};
    size_t image;

    b->network = make_network(kind, sides);
    image = (size_t)b->network->inputs[input].width * b->network->inputs[input].height *
            vn_color_channels(b->network->inputs[input].color);
    cr_assert_eq(vn_model_new(b->network, 3, 0.5, false, &why, &b->model), 0);
    cr_assert_eq(vn_trunk_new(b->model, input, agent, ROWS, threads, &b->trunk), 0);
    for (uint32_t r = 0; r < ROWS; r++) {
        b->row[r] = (struct vn_row){b->network->tasks[r % 2].order, b->level[r]};
        for (uint32_t i = 0; i < 3; i++) /* all levels occur, 0 included */
            b->level[r][i] = agent ? 1 : (uint8_t)((r + i) % 4);
    }
    if (agent)
        for (uint32_t r = 0; r < ROWS; r++)
            b->row[r].order = only_group;
    b->n = (size_t)ROWS * (agent ? b->network->agent.width : vn_network_width(b->network));
    b->images = random_floats(ROWS * image);
    b->pooled = vn_floats_new(b->n);
    b->dpooled = random_floats(b->n);
}

static void bench_deinit(struct bench *b)
{
    vn_trunk_free(b->trunk);
    vn_model_free(b->model);
    vn_network_free(b->network);
    free(b->images);
    free(b->pooled);
    free(b->dpooled);
}

static double bench_value(struct bench *b)
{
    vn_trunk_forward(b->trunk, b->model, VN_TRUNK_TRAIN, 0, ROWS, b->row, b->images, b->pooled);
    return dot(b->pooled, b->dpooled, b->n);
}

/* The derivative along a random direction within one tensor. */
static void check_tensor(struct bench *b, const struct vn_tensor *t)
{
    size_t at = t->offset / sizeof(float), n = t->bytes / sizeof(float);
    float *direction = random_floats(n), *was = vn_floats_new(n);
    double analytic, up, down, step = 3e-4, size;

    memcpy(was, b->model->param + at, n * sizeof *was);
    size = sqrt(dot(direction, direction, n));
    for (size_t i = 0; i < n; i++)
        direction[i] /= (float)size;
    analytic = dot(direction, b->model->grad + at, n);
    for (size_t i = 0; i < n; i++)
        b->model->param[at + i] = was[i] + (float)step * direction[i];
    up = bench_value(b);
    for (size_t i = 0; i < n; i++)
        b->model->param[at + i] = was[i] - (float)step * direction[i];
    down = bench_value(b);
    memcpy(b->model->param + at, was, n * sizeof *was);
    cr_expect(fabs((up - down) / (2 * step) - analytic) < 0.03 * fabs(analytic) + 0.02,
              "%s: %g, expected %g", t->name, analytic, (up - down) / (2 * step));
    free(direction), free(was);
}

/* Every tensor that has gradients; how many. */
static uint32_t check_tensors(struct bench *b)
{
    uint32_t checked = 0;

    for (uint32_t i = 0; i < b->model->layout->n_tensors; i++) {
        const struct vn_tensor *t = &b->model->layout->tensors[i];
        size_t at = t->offset / sizeof(float);
        double size = 0;

        for (size_t k = 0; !t->padding && k < t->bytes / sizeof(float); k++)
            size += fabs(b->model->grad[at + k]);
        if (size == 0) /* heads, the agent, the other input's stem: not part of this pass */
            continue;
        checked++;
        check_tensor(b, t);
    }
    return checked;
}

static void check_trunk(const char *kind, struct sides sides, uint32_t input, bool agent)
{
    struct bench b = {0};

    bench_init(&b, kind, sides, input, agent, 2);
    bench_value(&b);
    vn_trunk_backward(b.trunk, b.model, b.dpooled);
    /* stem conv and bn; four tensors in each of 3 blocks x 3 groups, or of the agent's 3 blocks */
    cr_assert_eq(check_tensors(&b), agent ? 2 + 3 * 4 : 2 + 9 * 4);
    bench_deinit(&b);
}

/* Norms with fixed statistics among others; these must not move, and gradients go through them. */
Test(gradients, trunk_with_frozen_norms)
{
    struct bench b;
    float *running;

    bench_init(&b, "uniform", usual, 0, false, 2);
    running = b.model->running;
    for (size_t i = 0; i < b.model->n; i++)
        running[i] = (float)fabs(vn_rng_normal(&rng)) + 0.5f;
    b.model->frozen[b.model->layout->trunk.stem_bn[0]] = true;
    for (uint32_t i = 0; i < 3; i++) {
        b.model->frozen[b.model->layout->trunk.slice[1][i].bn1] = true;
        b.model->frozen[b.model->layout->trunk.slice[1][i].bn2] = true;
    }
    bench_value(&b);
    vn_gradients_clear(b.model);
    vn_trunk_backward(b.trunk, b.model, b.dpooled);
    cr_assert_eq(check_tensors(&b), 2 + 9 * 4 - (1 + 3 * 2));
    bench_deinit(&b);
}

/* The same pass with a momentum: only statistics that are not frozen follow the batch. */
Test(gradients, frozen_statistics_stay)
{
    struct bench b;
    const struct vn_slice *frozen, *free_slice;
    float was[2], now[2];

    bench_init(&b, "uniform", usual, 0, false, 1);
    frozen = &b.model->layout->trunk.slice[1][1];
    free_slice = &b.model->layout->trunk.slice[2][1];
    b.model->frozen[frozen->bn1] = true;
    was[0] = b.model->running[vn_model_at(b.model, frozen->bn1)];
    was[1] = b.model->running[vn_model_at(b.model, free_slice->bn1)];
    vn_trunk_forward(b.trunk, b.model, VN_TRUNK_TRAIN, 0.5f, ROWS, b.row, b.images, b.pooled);
    now[0] = b.model->running[vn_model_at(b.model, frozen->bn1)];
    now[1] = b.model->running[vn_model_at(b.model, free_slice->bn1)];
    cr_assert_eq(was[0], now[0]);
    cr_assert_neq(was[1], now[1]);
    bench_deinit(&b);
}

Test(gradients, trunk)
{
    check_trunk("uniform", usual, 0, false);
    check_trunk("uniform", usual, 1, false);
}

Test(gradients, conv_agent_trunk)
{
    check_trunk("conv", usual, 0, true);
}

/* The second stage has 2 x 2 pixels, too few for tiles: its convolutions go the direct way. */
Test(gradients, trunk_of_tiny_images)
{
    check_trunk("uniform", (struct sides){8, 7, 4}, 0, false);
}

/* An image is more tiles than a strip: 9 x 8. */
Test(gradients, trunk_of_large_images)
{
    check_trunk("uniform", (struct sides){33, 30, 2}, 0, false);
}

Test(gradients, trunk_does_not_depend_on_unused_groups)
{
    struct bench b = {0};
    uint32_t g = 0;

    bench_init(&b, "uniform", usual, 0, false, 1);
    /* only row 0 runs, at level 1 of task 0, whose first group is order[0] */
    memset(b.level[0], 1, 3);
    g = b.network->tasks[0].order[1];
    vn_trunk_forward(b.trunk, b.model, VN_TRUNK_TRAIN, 0, 1, b.row, b.images, b.pooled);
    vn_trunk_backward(b.trunk, b.model, b.dpooled);
    for (uint32_t i = 0; i < 3; i++) {
        size_t unused = vn_model_at(b.model, b.model->layout->trunk.slice[g][i].conv1);
        size_t used = vn_model_at(
            b.model, b.model->layout->trunk.slice[b.network->tasks[0].order[0]][i].conv1);

        cr_assert_eq(b.model->grad[unused], 0);
        cr_assert_neq(b.model->grad[used], 0);
    }
    bench_deinit(&b);
}

Test(gradients, trunk_counts_operations)
{
    /* two for each product: of the stem, 9 x 7 pixels, 3 x 3 x 3 to 6; of one group in each block,
     * 9 x 7 pixels, 6 to 4 to 6, then 5 x 4 pixels, 6 to 5 to 9 and 9 to 5 to 9 */
    const double stem = 2.0 * 63 * 27 * 6;
    const double blocks = 2.0 * 9 * (63 * 4 * (6 + 6) + 20 * 5 * (6 + 9) + 20 * 5 * (9 + 9));
    struct bench b = {0};

    bench_init(&b, "uniform", usual, 0, false, 2);
    memset(b.level[0], 1, 3);
    memset(b.level[1], 0, 3);
    vn_trunk_forward(b.trunk, b.model, VN_TRUNK_TRAIN, 0, 2, b.row, b.images, b.pooled);
    cr_assert_float_eq(vn_trunk_flops(b.trunk), 2 * stem + blocks, 0.5);
    vn_trunk_backward(b.trunk, b.model, b.dpooled);
    cr_assert_float_eq(vn_trunk_flops(b.trunk), 4 * stem + 3 * blocks, 0.5);
    bench_deinit(&b);
}

/* --- heads and policy ------------------------------------------------------------------------ */

Test(gradients, heads)
{
    struct vn_network *n = make_network("uniform", usual);
    struct vn_model *m = NULL;
    uint32_t width = vn_network_width(n);
    float *pooled = random_floats(2 * width), *dpooled = vn_floats_new(2 * width);
    float logits[6], dlogits[6], p[6], q[3] = {0.5f, 0.2f, 0.3f};
    const uint16_t task[2] = {0, 1};
    double step = 1e-2;

    cr_assert_eq(vn_model_new(n, 5, 1, false, NULL, &m), 0);
#define VALUE()                                                                                    \
    (vn_heads_forward(m, 2, task, pooled, 3, logits),                                              \
     vn_cross_entropy(logits, 3, q, 0, 1, p, dlogits) +                                            \
         vn_cross_entropy(logits + 3, 2, NULL, 1, 1, p + 3, dlogits + 3))
    VALUE();
    vn_heads_backward(m, 2, task, pooled, 3, dlogits, dpooled);
    for (uint32_t i = 0; i < 2 * width; i++) {
        float was = pooled[i];
        double up, down;

        pooled[i] = (float)(was + step);
        up = VALUE();
        pooled[i] = (float)(was - step);
        down = VALUE();
        pooled[i] = was;
        cr_assert(fabs((up - down) / (2 * step) - dpooled[i]) < 1e-3, "feature %u", i);
    }
    for (uint32_t t = 0; t < 2; t++) {
        float *w = m->param + vn_model_at(m, m->layout->head_weight[t]) + 1, was = *w;
        float analytic = m->grad[vn_model_at(m, m->layout->head_weight[t]) + 1];
        double up, down;

        *w = (float)(was + step);
        up = VALUE();
        *w = (float)(was - step);
        down = VALUE();
        *w = was;
        cr_assert(fabs((up - down) / (2 * step) - analytic) < 1e-3, "head of task %u", t);
    }
#undef VALUE
    vn_model_free(m);
    vn_network_free(n);
    free(pooled), free(dpooled);
}

/* -A sum log pi(level) - e sum H, computed from scratch. */
static double policy_value(const struct vn_model *m, const float *features, const uint8_t *level,
                           float *work, float *scores)
{
    struct vn_policy p = vn_policy_of(m);
    uint32_t levels = m->network->groups + 1;
    double value = 0;

    vn_policy_scores(m->network, &p, 1, features, 0.6f, 0.25f, work, scores);
    for (uint32_t b = 0; b < vn_network_blocks(m->network); b++) {
        value -= 0.7 * scores[b * levels + level[b]];
        for (uint32_t k = 0; k < levels; k++)
            value += 0.3 * exp(scores[b * levels + k]) * scores[b * levels + k];
    }
    return value;
}

Test(gradients, policy)
{
    struct vn_network *n = make_network("shared", usual);
    struct vn_model *m = NULL;
    uint32_t outputs = vn_agent_outputs(n), checked = 0;
    float *features = random_floats(vn_agent_features(n)),
          *df = random_floats(vn_agent_features(n));
    float *work = vn_floats_new(vn_agent_work(n)), *scores = vn_floats_new(outputs);
    float *dlogits = vn_floats_new(outputs);
    const uint8_t level[3] = {0, 3, 2};
    double step = 1e-2;

    cr_assert_eq(vn_model_new(n, 9, 1, false, NULL, &m), 0);
    for (size_t i = 0; i < n->agent.hidden * outputs; i++) /* its last layer begins at zero */
        m->param[vn_model_at(m, m->layout->agent_fc2_weight) + i] = (float)vn_rng_normal(&rng) / 4;
    policy_value(m, features, level, work, scores);
    vn_policy_gradient(n, scores, 0, level, 0.7f, 0.3f, dlogits);
    vn_policy_backward(m, 1, work, dlogits, df);
    for (size_t i = 0; i < m->n; i += 3) {
        float was = m->param[i];
        double up, down;

        if (m->grad[i] == 0)
            continue;
        m->param[i] = (float)(was + step);
        up = policy_value(m, features, level, work, scores);
        m->param[i] = (float)(was - step);
        down = policy_value(m, features, level, work, scores);
        m->param[i] = was;
        cr_assert(fabs((up - down) / (2 * step) - m->grad[i]) < 0.01 + 0.02 * fabs(m->grad[i]),
                  "parameter %zu: %g, expected %g", i, m->grad[i], (up - down) / (2 * step));
        checked++;
    }
    cr_assert_gt(checked, 100);
    for (uint32_t i = 0; i < vn_agent_features(n); i++) {
        float was = features[i];
        double up, down;

        features[i] = (float)(was + step);
        up = policy_value(m, features, level, work, scores);
        features[i] = (float)(was - step);
        down = policy_value(m, features, level, work, scores);
        features[i] = was;
        cr_assert(fabs((up - down) / (2 * step) - df[i]) < 0.01 + 0.02 * fabs(df[i]), "feature %u",
                  i);
    }
    vn_model_free(m);
    vn_network_free(n);
    free(features), free(df), free(work), free(scores), free(dlogits);
}
