/* Convolution without unrolling the operand: register tiles of output pixels x channels
 * (engine/taps.h) read image and weights where they lie. A tap outside the image points to zeros.
 * Letters as in engine/kernels.h. */
#include <string.h>

#include "engine/kernels_parts.h"
#include "engine/network.h"
#include "engine/taps.h"

#define TAPS_MAX (VN_KERNEL_MAX * VN_KERNEL_MAX)

struct direct {
    const struct vn_taps_kernels *kernels;
    const struct vn_conv *c;
    const struct vn_conv_run *r;
    uint32_t ho, wo;
    const float *zeros; /* (k, Ci) and (Co) */
    uint32_t items;     /* that threads share */
    bool by_columns;
};

/* One thread's tile on its way over the pixels. */
struct walk {
    const struct direct *d;
    const struct vn_conv *c;
    const struct vn_conv_piece *piece;
    struct vn_taps_tile t;
    uint32_t pixels; /* of a tile */
    /* where the first tap of each pixel lies, modulo 2^32, and its place in x */
    uint32_t iy[VN_TAPS_PIXELS_MAX], ix[VN_TAPS_PIXELS_MAX];
    ptrdiff_t place[VN_TAPS_PIXELS_MAX];
    bool inside; /* the left and right edge, all taps of all pixels */
    const float *at[TAPS_MAX * VN_TAPS_PIXELS_MAX];
    float *out[VN_TAPS_PIXELS_MAX];
    const float *add[VN_TAPS_PIXELS_MAX];
};

/* Places the tile on pixels first .. end; those that do not exist are the last one again. */
static void place(struct walk *w, uint32_t first, uint32_t end)
{
    const struct vn_conv *c = w->c;
    const int64_t pad = (c->k - 1) / 2;
    uint32_t oy = first / w->d->wo, ox = first % w->d->wo;

    w->inside = true;
    w->t.n = end - first < w->pixels ? end - first : w->pixels;
    for (uint32_t p = 0; p < w->t.n; p++) {
        const int64_t iy = (int64_t)oy * c->stride - pad, ix = (int64_t)ox * c->stride - pad;
        const size_t y = (size_t)(first + p) * c->co + w->piece->y_channel;

        w->iy[p] = (uint32_t)iy;
        w->ix[p] = (uint32_t)ix;
        w->place[p] = (iy * c->w + ix) * c->ci;
        w->inside = w->inside && ix >= 0 && ix + c->k <= c->w;
        w->out[p] = w->d->r->y + y;
        w->add[p] = w->piece->add ? w->piece->add + y : NULL;
        if (++ox == w->d->wo) {
            ox = 0;
            oy++;
        }
    }
    for (uint32_t p = w->t.n; p < w->pixels; p++) {
        w->iy[p] = w->iy[p - 1];
        w->ix[p] = w->ix[p - 1];
        w->place[p] = w->place[p - 1];
    }
}

/* A row of taps is one run away from the left and right edge, where the part reads all channels;
 * else a tap is. Where a tap lies outside the image, its position is out of range as an unsigned
 * number. */
static void point(struct walk *w)
{
    const struct vn_conv *c = w->c;
    const uint32_t runs = w->inside && w->piece->ci == c->ci ? 1 : c->k; /* of a row of taps */
    const float **at = w->at;

    for (uint32_t ky = 0; ky < c->k; ky++)
        for (uint32_t kx = 0; kx < runs; kx++, at += w->pixels) {
            const ptrdiff_t tap = ((ptrdiff_t)ky * c->w + kx) * c->ci;

            for (uint32_t p = 0; p < w->pixels; p++) {
                const bool in_image = (w->iy[p] + ky < c->h) & (w->ix[p] + kx < c->w);

                at[p] = in_image ? w->piece->x + (w->place[p] + tap) : w->d->zeros;
            }
        }
    w->t.n_runs = c->k * runs;
    w->t.run = c->k / runs * w->piece->ci;
}

/* A part of the work: columns [first, end) of the pixels [first_pixel, end_pixel). */
struct area {
    uint32_t first_pixel, end_pixel, first, end;
};

static void walk_init(struct walk *w, const struct direct *d, const struct vn_conv_piece *piece,
                      const struct area *a)
{
    w->d = d;
    w->c = d->c;
    w->piece = piece;
    w->pixels = vn_taps_pixels(d->kernels);
    w->t = (struct vn_taps_tile){
        .x = w->at,
        .w = piece->weight,
        .co = piece->co,
        .first = a->first,
        .end = a->end,
        .finish = VN_TAPS_SCALE | (piece->add ? VN_TAPS_ADD : 0) | (piece->relu ? VN_TAPS_RELU : 0),
        .scale = piece->scale,
        .bias = piece->bias,
        .y = w->out,
        .add = w->add,
        .ahead = piece->weight,
    };
}

/* Each tile at once with all weights. */
static void walk(const struct direct *d, const struct vn_conv_piece *piece, const struct area *a)
{
    struct walk w;

    walk_init(&w, d, piece, a);
    for (uint32_t p = a->first_pixel; p < a->end_pixel; p += w.pixels) {
        place(&w, p, a->end_pixel);
        point(&w);
        vn_taps_tile(d->kernels, &w.t);
    }
}

/* --- few pixels, many weights ----------------------------------------------------------------- */

#define SLAB 64 /* rows of weights */

/* The tile at its place with rows [row, row + rows) of tap number `tap` only; what the first ones
 * add and the last ones end, those between leave alone. */
static void run_slab(struct walk *w, uint32_t tap, uint32_t row, uint32_t rows)
{
    const uint32_t ky = tap / w->c->k, kx = tap % w->c->k, ci = w->piece->ci;
    const bool first = !tap && !row, last = tap + 1 == w->c->k * w->c->k && row + rows == ci;
    const ptrdiff_t at = ((ptrdiff_t)ky * w->c->w + kx) * w->c->ci;
    struct vn_taps_tile t = w->t;

    for (uint32_t p = 0; p < w->pixels; p++) {
        const bool in_image = (w->iy[p] + ky < w->c->h) & (w->ix[p] + kx < w->c->w);

        w->at[p] = in_image ? w->piece->x + (w->place[p] + at) + row : w->d->zeros;
    }
    t.n_runs = 1;
    t.run = rows;
    t.w = w->piece->weight + ((size_t)tap * ci + row) * t.co;
    if (!first) {
        t.finish |= VN_TAPS_ADD;
        t.add = (const float *const *)w->out;
        t.bias = w->d->zeros;
    }
    if (!last)
        t.finish &= ~(unsigned)VN_TAPS_RELU;
    vn_taps_tile(w->d->kernels, &t);
}

/* All tiles with some weights, then with the next, which lie behind them and are asked for
 * meanwhile: each weight comes from memory once, and in order. */
static void walk_slabs(const struct direct *d, const struct vn_conv_piece *piece,
                       const struct area *a)
{
    const uint32_t taps = d->c->k * d->c->k, tile = vn_taps_pixels(d->kernels);
    const uint32_t tiles = (a->end_pixel - a->first_pixel + tile - 1) / tile;
    struct walk w;

    walk_init(&w, d, piece, a);
    w.t.ahead_rows = (VN_TAPS_STEP + tiles - 1) / tiles;
    for (uint32_t tap = 0; tap < taps; tap++)
        for (uint32_t row = 0, rows; row < piece->ci; row += rows) {
            const float *next;

            rows = piece->ci - row < SLAB ? piece->ci - row : SLAB;
            next = piece->weight + ((size_t)tap * piece->ci + row + rows) * piece->co;
            for (uint32_t i = 0; i < tiles; i++) {
                place(&w, a->first_pixel + i * tile, a->end_pixel);
                w.t.ahead = next + (size_t)i * rows / tiles * piece->co;
                run_slab(&w, tap, row, rows);
            }
        }
}

/* Up to this many tiles use a weight, and there are more weights than a second-level cache keeps */
#define SLAB_TILES 8
#define SLAB_FLOATS 65536

static void run_area(const struct direct *d, const struct vn_conv_piece *piece,
                     const struct area *a)
{
    const uint32_t tiles = d->ho * d->wo / vn_taps_pixels(d->kernels);
    const size_t weights = (size_t)d->c->k * d->c->k * piece->ci * piece->co;

    if (a->first_pixel >= a->end_pixel || a->first >= a->end)
        return;
    if (tiles <= SLAB_TILES && weights > SLAB_FLOATS)
        walk_slabs(d, piece, a);
    else
        walk(d, piece, a);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define COLUMNS 32 /* of the widest tile: items are whole numbers of them */
#define ITEMS 4    /* for each thread, so that they end at about the same time */

/* Items are pixels where there are tiles enough, else columns. All parts of an item: what one part
 * leaves in y the next one adds to. */
static void run_item(void *context, uint32_t item, uint32_t thread)
{
    const struct direct *d = context;
    const uint32_t tile = vn_taps_pixels(d->kernels), pixels = d->ho * d->wo;
    const uint32_t tiles = (pixels + tile - 1) / tile;

    (void)thread;
    for (uint32_t part = 0; part < d->r->n_parts; part++) {
        const struct vn_conv_piece p = vn_conv_piece(d->c, d->r, part);
        struct area a = {0, pixels, 0, p.co};

        if (d->by_columns) {
            vn_pool_share((p.co + COLUMNS - 1) / COLUMNS, item, d->items, &a.first, &a.end);
            a.first *= COLUMNS;
            a.end = a.end * COLUMNS < p.co ? a.end * COLUMNS : p.co;
        } else {
            vn_pool_share(tiles, item, d->items, &a.first_pixel, &a.end_pixel);
            a.first_pixel *= tile;
            a.end_pixel = a.end_pixel * tile < pixels ? a.end_pixel * tile : pixels;
        }
        run_area(d, &p, &a);
    }
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void share(struct direct *d)
{
    const uint32_t most = ITEMS * vn_pool_threads(d->r->pool);
    const uint32_t tiles = d->ho * d->wo / vn_taps_pixels(d->kernels);
    const uint32_t co = d->r->split == VN_CONV_OUTPUTS ? d->c->co / d->r->n_parts : d->c->co;
    const double work = (double)d->c->k * d->c->k * d->c->ci * d->c->co * d->ho * d->wo;

    d->by_columns = tiles < most && co / COLUMNS > tiles;
    d->items = d->by_columns ? least(co / COLUMNS, most) : least(tiles, most);
    if (vn_pool_threads(d->r->pool) == 1 || work < VN_CONV_SHARED || !d->items)
        d->items = 1;
    vn_pool_run(d->r->pool, d->items, run_item, d);
}

/* --- narrow parts ----------------------------------------------------------------------------- */

#define JOIN_FLOATS 32768 /* of weights, more than which are read where they lie */

static size_t zeros(const struct vn_conv *c)
{
    return (size_t)c->k * c->ci > c->co ? (size_t)c->k * c->ci : c->co;
}

/* Weights with scale and bias; 0: too many. */
static size_t joined(const struct vn_conv *c)
{
    const size_t weights = (size_t)c->k * c->k * c->ci * c->co;

    return weights <= JOIN_FLOATS ? weights + 2 * (size_t)c->co : 0;
}

/* Parts that do not fill a tile's columns are copied side by side, so that they share it: tiles of
 * half the columns take as long. */
static bool worth_joining(const struct vn_kernels *k, const struct vn_conv *c,
                          const struct vn_conv_run *r)
{
    return r->split == VN_CONV_OUTPUTS && r->n_parts > 1 && joined(c) &&
           c->co / r->n_parts < 2 * k->taps->width[0]->lanes;
}

static struct vn_conv_part join(const struct vn_conv *c, const struct vn_conv_run *r, float *to)
{
    const uint32_t columns = c->co / r->n_parts, rows = c->k * c->k * c->ci;
    float *scale = to + (size_t)rows * c->co, *bias = scale + c->co;

    for (uint32_t p = 0; p < r->n_parts; p++) {
        const struct vn_conv_part *part = &r->parts[p];
        const size_t first = (size_t)p * columns;

        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t o = 0; o < columns; o++)
                to[(size_t)i * c->co + first + o] = part->weight[(size_t)i * columns + o];
        memcpy(scale + first, part->scale, columns * sizeof *scale);
        memcpy(bias + first, part->bias, columns * sizeof *bias);
    }
    return (struct vn_conv_part){to, scale, bias};
}

void vn_direct_conv(const struct vn_kernels *k, const struct vn_conv *c,
                    const struct vn_conv_run *r)
{
    struct vn_conv_run run = *r;
    struct vn_conv_part all;
    struct direct d = {
        .kernels = k->taps,
        .c = c,
        .r = &run,
        .ho = vn_conv_side(c->h, c->stride),
        .wo = vn_conv_side(c->w, c->stride),
        .zeros = r->work,
    };

    vn_conv_assert(c, r);
    assert(c->k <= VN_KERNEL_MAX);
    memset(r->work, 0, zeros(c) * sizeof *r->work);
    if (worth_joining(k, c, r)) {
        all = join(c, r, r->work + zeros(c));
        run.parts = &all;
        run.n_parts = 1;
    }
    share(&d);
}

size_t vn_direct_work(const struct vn_conv *c, uint32_t threads)
{
    (void)threads;
    return zeros(c) + joined(c);
}

#define DIRECT(isa)                                                                                \
    {                                                                                              \
        .name = "direct-" #isa, .conv = vn_direct_conv, .work = vn_direct_work,                    \
        .taps = &vn_taps_##isa                                                                     \
    }

static const struct vn_kernels tables[] = {
#ifdef __x86_64__
    DIRECT(avx512),
    DIRECT(avx2),
#elif defined(__aarch64__)
    DIRECT(neon),
#endif
    DIRECT(generic),
};

const struct vn_kernels *vn_kernels_direct(const char *isa)
{
    const struct vn_taps_kernels *taps = vn_taps_find(isa);

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (tables[i].taps == taps)
            return &tables[i];
    return NULL;
}
