/* Winograd's convolution of the trainer against plain loops in double: forward, gradient of the
 * input and of the weights, for sides around a tile's and channels around a vector's, some rows of
 * a strip left out, and every instruction set that this processor has. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "train/grid.h"
#include "train/model.h"

static struct vn_rng rng = {11};

static float *random_floats(size_t n)
{
    float *f = vn_floats_new(n);

    for (size_t i = 0; i < n; i++)
        f[i] = (float)vn_rng_normal(&rng);
    return f;
}

enum { IMAGES = 3 }; /* of a strip; the second does not take part */

struct bench {
    struct vn_conv c;
    struct vn_grid grid;
    const struct vn_steps *steps;
    size_t nx, ny, nw;
    float *x, *dy, *w, *wt, *zeros, *u, *ut; /* x, dy: of all images */
    struct vn_positions v, d, m, du;
    uint16_t tile[IMAGES * VN_STRIP_TILES];
    uint32_t n_tiles;
};

static struct vn_positions positions_new(uint32_t tiles, uint32_t channels)
{
    return vn_positions_of(tiles, channels, vn_floats_new(vn_positions_floats(tiles, channels)));
}

static void bench_init(struct bench *b)
{
    const uint32_t ci = b->c.ci, co = b->c.co;

    b->grid = vn_grid_of(b->c.h, b->c.w, 1);
    b->nx = (size_t)b->c.h * b->c.w * ci;
    b->ny = (size_t)b->c.h * b->c.w * co;
    b->nw = (size_t)9 * ci * co;
    b->x = random_floats(IMAGES * b->nx);
    b->dy = random_floats(IMAGES * b->ny);
    b->w = random_floats(b->nw);
    b->wt = vn_floats_new(b->nw);
    for (size_t t = 0; t < 9; t++)
        for (size_t i = 0; i < ci; i++)
            for (size_t o = 0; o < co; o++)
                b->wt[(t * co + o) * ci + i] = b->w[(t * ci + i) * co + o];
    b->zeros = vn_floats_new(ci > co ? ci : co);
    b->u = vn_floats_new(vn_grid_weights_floats(ci, co));
    b->ut = vn_floats_new(vn_grid_weights_floats(co, ci));
    b->v = positions_new(IMAGES * b->grid.tiles, ci);
    b->d = positions_new(IMAGES * b->grid.tiles, co);
    b->m = positions_new(IMAGES * b->grid.tiles, ci > co ? ci : co);
    b->du = positions_new(ci, co);
    b->n_tiles = 0;
    for (uint32_t i = 0; i < IMAGES * b->grid.tiles; i++)
        if (i / b->grid.tiles != 1)
            b->tile[b->n_tiles++] = (uint16_t)i;
    vn_grid_weights(b->steps, b->w, ci, co, 1, b->u);
    vn_grid_weights(b->steps, b->wt, co, ci, 1, b->ut);
}

static void bench_deinit(struct bench *b)
{
    free(b->x), free(b->dy), free(b->w), free(b->wt), free(b->zeros), free(b->u), free(b->ut);
    free(b->v.at), free(b->d.at), free(b->m.at), free(b->du.at);
}

static struct vn_grid_part image_part(const struct bench *b, uint32_t image)
{
    return (struct vn_grid_part){&b->grid, b->steps, 0, b->grid.tiles, image * b->grid.tiles};
}

/* y, dx and dw of one image are added to. */
static void plain(const struct vn_conv *c, const float *x, const float *w, const float *dy,
                  double *y, double *dx, double *dw)
{
    for (uint32_t p = 0; p < c->h * c->w * 9; p++) {
        const uint32_t pixel = p / 9, t = p % 9;
        /* one pixel before the first wraps to a large number */
        const uint32_t iy = pixel / c->w + t / 3 - 1, ix = pixel % c->w + t % 3 - 1;

        if (iy >= c->h || ix >= c->w)
            continue;
        for (uint32_t k = 0; k < c->ci * c->co; k++) {
            const size_t at_x = ((size_t)iy * c->w + ix) * c->ci + k / c->co;
            const size_t at_y = (size_t)pixel * c->co + k % c->co;
            const size_t at_w = (size_t)t * c->ci * c->co + k;

            y[at_y] += (double)x[at_x] * w[at_w];
            dx[at_x] += (double)dy[at_y] * w[at_w];
            dw[at_w] += (double)x[at_x] * dy[at_y];
        }
    }
}

/* Sums of `length` products of normal numbers: rounding grows with the root of the length, and the
 * transforms multiply it by about ten. The worst of these is 4e-6. */
static void check(const struct bench *b, const char *what, const float *got, const double *expected,
                  size_t n, double length)
{
    for (size_t i = 0; i < n; i++)
        cr_assert(fabs(got[i] - expected[i]) < 8e-6 * sqrt(length),
                  "%s %s %ux%u %u->%u at %zu: %g, expected %g, %g times the root of the length",
                  b->steps->name, what, b->c.h, b->c.w, b->c.ci, b->c.co, i, (double)got[i],
                  expected[i], fabs(got[i] - expected[i]) / sqrt(length));
}

static struct vn_product product(const struct bench *b, struct vn_positions v, const float *u,
                                 uint32_t rows, uint32_t columns)
{
    return (struct vn_product){.v = v,
                               .m = b->m,
                               .u = u,
                               .u_pitch = vn_grid_weights_pitch(rows, columns),
                               .u_rows = rows,
                               .columns = columns,
                               .rows = rows,
                               .end = columns,
                               .tiles = {b->tile, b->n_tiles}};
}

/* The second image's m stays as it was: nothing. */
static void check_forward(const struct bench *b, const double *expected)
{
    const struct vn_product p = product(b, b->v, b->u, b->c.ci, b->c.co);
    float *y = vn_floats_new(IMAGES * b->ny);

    for (uint32_t i = 0; i < IMAGES; i++) {
        const struct vn_grid_part part = image_part(b, i);

        vn_grid_input(&part, b->x + i * b->nx, b->c.ci, b->c.ci, b->zeros, b->v);
    }
    b->steps->product(&p);
    for (uint32_t i = 0; i < IMAGES; i++) {
        const struct vn_grid_part part = image_part(b, i);

        vn_grid_output(&part, b->m, b->c.co, b->zeros, y + i * b->ny, b->c.co);
    }
    check(b, "forward", y, expected, IMAGES * b->ny, 9 * b->c.ci);
    free(y);
}

/* In two products of half the rows each, added to an image of zeros. */
static void check_input_gradient(const struct bench *b, const double *expected)
{
    struct vn_product p = product(b, b->d, b->ut, b->c.co, b->c.ci);
    float *dx = vn_floats_new(IMAGES * b->nx);

    memset(b->m.at, 0, VN_WINOGRAD_POSITIONS * b->m.pitch * sizeof *b->m.at);
    p.rows = b->c.co / 2;
    b->steps->product(&p);
    p.v.at += p.rows;
    p.first_row = p.rows;
    p.rows = b->c.co - p.rows;
    p.add = true;
    b->steps->product(&p);
    for (uint32_t i = 0; i < IMAGES; i++) {
        const struct vn_grid_part part = image_part(b, i);

        vn_grid_spread(&part, b->m, b->c.ci, dx + i * b->nx, b->c.ci);
    }
    check(b, "dx", dx, expected, IMAGES * b->nx, 9 * b->c.co);
    free(dx);
}

static void check_weight_gradient(const struct bench *b, const double *expected)
{
    const float *const du = b->du.at;
    const struct vn_outer o = {b->v, b->d, b->du, b->c.ci, b->c.co, {b->tile, b->n_tiles}};
    float *dw = vn_floats_new(b->nw);

    b->steps->outer(&o);
    b->steps->weights_back(&(struct vn_weights_back){
        &du, 1, b->du.row, b->du.pitch, b->c.ci, b->c.co, dw, (size_t)b->c.ci * b->c.co, b->c.co});
    check(b, "dw", dw, expected, b->nw, 2.0 * b->c.h * b->c.w);
    free(dw);
}

static void check_all(const char *isa, const struct vn_conv *c)
{
    struct bench b = {.c = *c, .steps = vn_steps_find(isa)};
    double *y, *dx, *dw;

    if (!b.steps)
        return;
    bench_init(&b);
    y = calloc(IMAGES * (b.ny + b.nx) + b.nw, sizeof *y);
    dx = y + IMAGES * b.ny;
    dw = dx + IMAGES * b.nx;
    for (uint32_t i = 0; i < IMAGES; i += 2)
        plain(c, b.x + i * b.nx, b.w, b.dy + i * b.ny, y + i * b.ny, dx + i * b.nx, dw);
    check_forward(&b, y);
    for (uint32_t i = 0; i < IMAGES; i++) {
        const struct vn_grid_part part = image_part(&b, i);

        vn_grid_gradient(&part, &(struct vn_gradient){.dy = {.at = b.dy + i * b.ny, .pixel = c->co},
                                                      .channels = c->co,
                                                      .d = b.d});
    }
    check_input_gradient(&b, dx);
    check_weight_gradient(&b, dw);
    free(y);
    bench_deinit(&b);
}

Test(grid, equals_plain_loops)
{
    static const uint32_t sides[][2] = {{5, 7}, {8, 8}, {9, 6}, {4, 1}, {13, 3}};
    static const uint32_t channels[] = {3, 16, 17, 40};
    static const char *const isas[] = {"generic", "avx2", "avx512", "neon"};

    for (uint32_t a = 0; a < 4; a++)
        for (uint32_t s = 0; s < 5; s++)
            for (uint32_t i = 0; i < 4; i++)
                for (uint32_t o = 0; o < 4; o++)
                    check_all(isas[a], &(struct vn_conv){sides[s][0], sides[s][1], channels[i],
                                                         channels[o], 3, 1});
}

/* a dy + b x + c0 on the way into the transform is the same as before it; beyond the image is
 * nothing, c0 too. */
Test(grid, gradient_applies_a_slope)
{
    enum { H = 6, W = 5, C = 19 };
    const struct vn_grid grid = vn_grid_of(H, W, C);
    const struct vn_grid_part part = {&grid, vn_steps_find(NULL), 0, grid.tiles, 0};
    float *dy = random_floats(H * W * C), *x = random_floats(H * W * C), *s = random_floats(3 * C);
    float *applied = vn_floats_new(H * W * C);
    struct vn_positions d = positions_new(grid.tiles, C), e = positions_new(grid.tiles, C);

    for (uint32_t i = 0; i < H * W * C; i++)
        applied[i] = s[i % C] * dy[i] + s[C + i % C] * x[i] + s[2 * C + i % C];
    vn_grid_gradient(&part, &(struct vn_gradient){.dy = {.at = dy, .pixel = C},
                                                  .x = {.at = x, .pixel = C},
                                                  .a = s,
                                                  .b = s + C,
                                                  .c0 = s + 2 * C,
                                                  .channels = C,
                                                  .d = d});
    vn_grid_gradient(
        &part, &(struct vn_gradient){.dy = {.at = applied, .pixel = C}, .channels = C, .d = e});
    for (uint32_t p = 0; p < VN_WINOGRAD_POSITIONS; p++)
        for (uint32_t t = 0; t < grid.tiles; t++)
            for (uint32_t c = 0; c < C; c++) {
                const size_t at = p * d.pitch + t * d.row + c;

                cr_assert(fabsf(d.at[at] - e.at[at]) < 1e-4f, "position %u, tile %u, channel %u", p,
                          t, c);
            }
    free(dy), free(x), free(s), free(applied), free(d.at), free(e.at);
}

Test(grid, pays_where_tiles_are_mostly_image)
{
    cr_assert(vn_grid_pays(&(struct vn_conv){8, 8, 64, 64, 3, 1}));
    cr_assert(vn_grid_pays(&(struct vn_conv){5, 7, 64, 64, 3, 1}));
    cr_assert_not(vn_grid_pays(&(struct vn_conv){2, 2, 64, 64, 3, 1})); /* a quarter of one tile */
    cr_assert_not(vn_grid_pays(&(struct vn_conv){8, 8, 64, 64, 3, 2}));
    cr_assert_not(vn_grid_pays(&(struct vn_conv){8, 8, 64, 64, 5, 1}));
}
