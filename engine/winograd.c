/* Winograd's algorithm F(4 x 4, 3 x 3) (Lavin and Gray, "Fast algorithms for convolutional neural
 * networks", 2016): 36 multiplications for 16 output pixels instead of 144.
 *
 * For each tile of 4 x 4 output pixels, in 36 positions: V = B' x B of the 6 x 6 pixels under it,
 * U = G w G' of the 3 x 3 weights, M = V . U summed over input channels, y = A' M A.
 *
 * Weights are transformed anew for every image, a panel of columns at a time, into scratch that
 * stays in the second-level cache: kept, they would be four times as large as the store's own. That
 * costs about as much as three tiles; images of fewer tiles go the direct way. The transform also
 * brings groups together that do not lie side by side: columns of conv1 from all groups, rows of
 * conv2 from all groups, each with its scale.
 *
 * Loops: strips of tiles (V of one strip) > panels of columns > steps of rows (U of one step) >
 * chunks of tiles (M of one chunk, or of the strip where there are several steps). */
#include <string.h>

#include "engine/kernels_parts.h"
#include "engine/taps.h"
#include "engine/winograd_tile.h"

#define POSITIONS VN_WINOGRAD_POSITIONS
#define OUT VN_WINOGRAD_OUT
#define IN VN_WINOGRAD_IN
#define PANEL_MAX (VN_WINOGRAD_VECTORS * VN_WINOGRAD_LANES_MAX)
#define TAPS 9

#define STEP 64             /* rows of U at a time: 300 KB with a panel of 32 columns */
#define STRIP_FLOATS 300000 /* of V, about: 1.2 MB */
#define STRIP_TILES 128     /* enough that transforming weights for each strip costs little */
#define GATHERED 16         /* rows that are brought together at a time */
#define APART 16            /* floats between positions, so that they do not share cache sets */

/* --- sizes ------------------------------------------------------------------------------------ */

static uint32_t round_up(uint32_t n, uint32_t to)
{
    return (n + to - 1) / to * to;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How a convolution is cut, for products of `tile` tiles. */
struct sizes {
    uint32_t across, tiles; /* of the image: in a row, in all */
    uint32_t chunk;         /* tiles of a product */
    uint32_t strip;         /* chunks of a strip */
    uint32_t steps;         /* of rows */
    uint32_t v_row;         /* floats of one tile at one position */
    size_t v_pitch, v_chunk, u_pitch, m_pitch, m_chunk;
    size_t v, u, m; /* floats: shared, and of each thread */
};

static struct sizes sizes_of(const struct vn_conv *c, uint32_t tile, uint32_t panel)
{
    struct sizes s = {.across = (c->w + OUT - 1) / OUT};
    const uint32_t rows = least(STEP, c->ci);
    uint32_t strip;

    s.tiles = s.across * ((c->h + OUT - 1) / OUT);
    s.v_row = round_up(c->ci, VN_WINOGRAD_LANES_MAX);
    strip = least(STRIP_FLOATS / POSITIONS / s.v_row, STRIP_TILES);
    s.chunk = s.tiles <= 1 ? 1 : s.tiles <= 2 ? 2 : s.tiles <= 4 ? 4 : tile;
    s.strip = least(strip > s.chunk ? strip / s.chunk : 1, (s.tiles + s.chunk - 1) / s.chunk);
    s.steps = (c->ci + STEP - 1) / STEP;
    s.v_pitch = (size_t)s.chunk * s.v_row + APART;
    s.v_chunk = POSITIONS * s.v_pitch;
    s.u_pitch = (size_t)rows * panel + APART;
    s.m_pitch = (size_t)s.chunk * panel + APART;
    s.m_chunk = POSITIONS * s.m_pitch;
    s.v = s.strip * s.v_chunk;
    s.u = POSITIONS * s.u_pitch;
    s.m = (s.steps > 1 ? s.strip : 1) * s.m_chunk;
    return s;
}

/* Costs in multiplications of a vector, for one row and one vector of columns, from measurement:
 * 110 for the weights' transform, and for each tile 200 for a vector of rows and 150 for a vector
 * of columns, which all columns or all rows share. */
static bool pays(const struct vn_conv *c)
{
    const float tiles = (float)((c->w + OUT - 1) / OUT) * (float)((c->h + OUT - 1) / OUT);
    const float transforms = 200.0f / (float)c->co + 150.0f / (float)c->ci;

    return POSITIONS * tiles + 110 + tiles * transforms < TAPS * (float)c->h * (float)c->w;
}

/* The same for every instruction set, so that a plan's promise is too. */
static size_t winograd_work(const struct vn_conv *c, uint32_t threads)
{
    const struct sizes a = sizes_of(c, 6, PANEL_MAX), b = sizes_of(c, 8, PANEL_MAX);
    const size_t v = a.v > b.v ? a.v : b.v, m = a.m > b.m ? a.m : b.m;

    return b.v_row + v + threads * (b.u + m);
}

/* --- one convolution -------------------------------------------------------------------------- */

struct job {
    const struct vn_winograd_tiles *isa;
    const struct vn_conv *c;
    const struct vn_conv_run *r;
    struct sizes s;
    uint32_t panel;              /* columns */
    uint32_t part;               /* columns or rows of a part of the weights */
    ptrdiff_t offset[POSITIONS]; /* of a tile's pixels from the first */
    uint32_t first, end;         /* the strip's tiles */
    uint32_t items;              /* that threads share */
    float *zeros, *v, *own;      /* in work; own: of thread 0 */
    size_t own_floats;           /* of each thread */
};

/* The weights of some rows and a panel of columns, row by row: where they lie in the first tap. */
struct rows {
    uint32_t first, end; /* the panel's columns */
    uint32_t row, n;
    size_t tap;
    const float *w[VN_WINOGRAD_VECTORS][STEP], *scale[VN_WINOGRAD_VECTORS][STEP];
};

/* What a thread has for itself. */
struct own {
    float *u, *m; /* in the scratch */
    float bias[PANEL_MAX];
    float gathered[TAPS * GATHERED * PANEL_MAX], scale[PANEL_MAX]; /* where parts share a vector */
    struct rows rows[2];                                           /* now and next */
};

/* --- input ------------------------------------------------------------------------------------ */

static void point_inside(const struct job *j, const float *first, const float **pixel)
{
    for (int i = 0; i < POSITIONS; i++)
        pixel[i] = first + j->offset[i];
}

/* Pixels outside the image are zeros. */
static void point_edge(const struct job *j, int64_t y0, int64_t x0, const float **pixel)
{
    const struct vn_conv *c = j->c;

    for (int64_t y = y0; y < y0 + IN; y++)
        for (int64_t x = x0; x < x0 + IN; x++)
            *pixel++ = y < 0 || y >= c->h || x < 0 || x >= c->w
                           ? j->zeros
                           : j->r->x + ((size_t)y * c->w + (size_t)x) * c->ci;
}

static void transform_input(const struct job *j, uint32_t tile)
{
    const struct vn_conv *c = j->c;
    const int64_t y = (int64_t)(tile / j->s.across) * OUT - 1;
    const int64_t x = (int64_t)(tile % j->s.across) * OUT - 1;
    const uint32_t place = tile - j->first;
    float *v = j->v + place / j->s.chunk * j->s.v_chunk + place % j->s.chunk * j->s.v_row;
    const float *pixel[POSITIONS];

    if (y >= 0 && x >= 0 && y + IN <= c->h && x + IN <= c->w)
        point_inside(j, j->r->x + (y * c->w + x) * c->ci, pixel);
    else
        point_edge(j, y, x, pixel);
    j->isa->input(pixel, c->ci, v, j->s.v_pitch);
}

/* --- weights ---------------------------------------------------------------------------------- */

/* Parts that make outputs and are no whole number of vectors wide share vectors. */
static bool parts_share_vectors(const struct job *j)
{
    return j->r->split == VN_CONV_OUTPUTS && j->r->n_parts > 1 && j->part % j->isa->lanes;
}

static void find_rows(const struct job *j, struct rows *f)
{
    const uint32_t lanes = j->isa->lanes, co = j->c->co;

    f->tap = j->r->split == VN_CONV_OUTPUTS ? (size_t)j->c->ci * j->part : (size_t)j->part * co;
    for (uint32_t v = 0, column = f->first; column < f->end; v++, column += lanes)
        for (uint32_t i = 0; i < f->n; i++)
            if (j->r->split == VN_CONV_OUTPUTS) {
                const struct vn_conv_part *p = &j->r->parts[column / j->part];

                f->w[v][i] = p->weight + (size_t)(f->row + i) * j->part + column % j->part;
                f->scale[v][i] = p->scale + column % j->part;
            } else {
                const struct vn_conv_part *p = &j->r->parts[(f->row + i) / j->part];

                f->w[v][i] = p->weight + (size_t)((f->row + i) % j->part) * co + column;
                f->scale[v][i] = p->scale + column;
            }
}

/* Brings together the columns of several parts for `n` rows, of which the first is row `row`. */
static void gather(const struct job *j, struct own *o, const struct rows *f, uint32_t row,
                   uint32_t n)
{
    const uint32_t width = f->end - f->first;

    for (uint32_t column = f->first, columns; column < f->end; column += columns) {
        const struct vn_conv_part *p = &j->r->parts[column / j->part];
        const uint32_t in_part = column % j->part, to = column - f->first;

        columns = least(j->part - in_part, f->end - column);
        memcpy(o->scale + to, p->scale + in_part, columns * sizeof *o->scale);
        for (uint32_t t = 0; t < TAPS; t++)
            for (uint32_t r = 0; r < n; r++)
                memcpy(o->gathered + ((size_t)t * n + r) * width + to,
                       p->weight + ((size_t)t * j->c->ci + row + r) * j->part + in_part,
                       columns * sizeof *o->gathered);
    }
}

/* U of rows [first, first + n) of f, from where w, scale and tap say. */
static void transform_rows(const struct job *j, struct own *o, const struct rows *f, uint32_t first,
                           uint32_t n)
{
    const uint32_t lanes = j->isa->lanes, width = f->end - f->first;
    const uint32_t u_row = round_up(width, lanes);

    for (uint32_t v = 0; v * lanes < width; v++)
        j->isa->weights(&(struct vn_winograd_weights){
            .w = f->w[v],
            .scale = f->scale[v],
            .tap = f->tap,
            .rows = n,
            .columns = least(lanes, width - v * lanes),
            .u = o->u + first * u_row + v * lanes,
            .u_row = u_row,
            .pitch = j->s.u_pitch,
        });
}

static void transform_weights(const struct job *j, struct own *o, struct rows *f)
{
    const uint32_t width = f->end - f->first;

    if (!parts_share_vectors(j)) {
        transform_rows(j, o, f, 0, f->n);
        return;
    }
    for (uint32_t first = 0, n; first < f->n; first += n) {
        n = least(GATHERED, f->n - first);
        gather(j, o, f, f->row + first, n);
        f->tap = (size_t)n * width;
        for (uint32_t v = 0; v * j->isa->lanes < width; v++)
            for (uint32_t r = 0; r < n; r++) {
                f->w[v][r] = o->gathered + (size_t)r * width + v * j->isa->lanes;
                f->scale[v][r] = o->scale + v * j->isa->lanes;
            }
        transform_rows(j, o, f, first, n);
    }
}

/* The scale is in the weights; a bias is one number for a column. */
static void find_bias(const struct job *j, struct own *o, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        float *bias = &o->bias[i - first];

        *bias = 0;
        if (j->r->split == VN_CONV_OUTPUTS)
            *bias = j->r->parts[i / j->part].bias[i % j->part];
        else
            for (uint32_t p = 0; p < j->r->n_parts; p++)
                *bias += j->r->parts[p].bias[i];
    }
}

/* --- products and output ---------------------------------------------------------------------- */

static void output_chunk(const struct job *j, const struct own *o, const float *m, uint32_t first,
                         uint32_t end, uint32_t tile, uint32_t tiles)
{
    const struct vn_conv *c = j->c;
    const uint32_t width = round_up(end - first, j->isa->lanes);

    for (uint32_t i = tile; i < tile + tiles; i++, m += width) {
        const uint32_t y = i / j->s.across * OUT, x = i % j->s.across * OUT;
        const size_t at = ((size_t)y * c->w + x) * c->co + first;

        j->isa->output(&(struct vn_winograd_output){
            .m = m,
            .m_pitch = j->s.m_pitch,
            .bias = o->bias,
            .add = j->r->add ? j->r->add + at : NULL,
            .y = j->r->y + at,
            .y_row = (size_t)c->w * c->co,
            .y_pixel = c->co,
            .rows = least(OUT, c->h - y),
            .columns = least(OUT, c->w - x),
            .channels = end - first,
            .relu = j->r->relu,
        });
    }
}

/* Chunks [chunk, end_chunk) of the strip with the weights `now`; `next` comes after them. */
static void products(const struct job *j, const struct own *o, const struct rows *now,
                     const struct vn_winograd_ahead *next, uint32_t chunk, uint32_t end_chunk)
{
    static const struct vn_winograd_ahead nothing;
    const struct sizes *s = &j->s;

    for (uint32_t i = chunk; i < end_chunk; i++) {
        const uint32_t tile = j->first + i * s->chunk;
        const struct vn_winograd_product p = {
            .v = j->v + i * s->v_chunk + now->row,
            .u = o->u,
            .m = o->m + (s->steps > 1 ? i * s->m_chunk : 0),
            .v_pitch = s->v_pitch,
            .u_pitch = s->u_pitch,
            .m_pitch = s->m_pitch,
            .v_row = s->v_row,
            .tiles = least(s->chunk, j->end - tile),
            .rows = now->n,
            .vectors = (now->end - now->first + j->isa->lanes - 1) / j->isa->lanes,
            .add = now->row != 0,
            .ahead = i + 1 == end_chunk ? next : &nothing,
        };

        j->isa->product(&p);
        if (now->row + now->n == j->c->ci)
            output_chunk(j, o, p.m, now->first, now->end, tile, p.tiles);
    }
}

/* The next rows of the panel, or the first of the next panel; false: there are no more. */
static bool step_on(const struct job *j, const struct rows *now, struct rows *next)
{
    const uint32_t end = j->c->co;

    next->first = now->first;
    next->end = now->end;
    next->row = now->row + now->n;
    if (next->row == j->c->ci) {
        next->first = now->end;
        next->end = least(now->end + j->panel, end);
        next->row = 0;
    }
    next->n = least(STEP, j->c->ci - next->row);
    if (next->first >= end)
        return false;
    find_rows(j, next);
    return true;
}

/* What to ask for while `now` is multiplied. */
static struct vn_winograd_ahead ahead(const struct job *j, const struct rows *now,
                                      const struct rows *next)
{
    const uint32_t quarter = (next->n + 3) / 4;
    const uint32_t steps = (now->n + VN_WINOGRAD_STEP - 1) / VN_WINOGRAD_STEP;

    return (struct vn_winograd_ahead){
        .w = {next->w[0], next->w[1]},
        .vectors = (next->end - next->first + j->isa->lanes - 1) / j->isa->lanes,
        .rows = next->n,
        .quarter = quarter,
        .each = (quarter + steps - 1) / steps,
        .tap = next->tap,
    };
}

/* Columns [first, end), chunks [chunk, end_chunk) of the strip. What lies behind `end` is asked for
 * all the same: the thread goes on there. */
static void panels(const struct job *j, struct own *o, uint32_t first, uint32_t end, uint32_t chunk,
                   uint32_t end_chunk)
{
    struct rows *now = &o->rows[0], *next = &o->rows[1];
    bool more;

    *now = (struct rows){.first = first, .end = first};
    now->row = j->c->ci;
    more = step_on(j, now, next);
    while (more && next->first < end) {
        struct vn_winograd_ahead a = {0};
        struct rows *done = now;

        now = next;
        next = done;
        if (!now->row)
            find_bias(j, o, now->first, now->end);
        transform_weights(j, o, now);
        more = step_on(j, now, next);
        if (more && !parts_share_vectors(j))
            a = ahead(j, now, next);
        products(j, o, now, &a, chunk, end_chunk);
    }
}

/* --- threads ---------------------------------------------------------------------------------- */

static void own_init(const struct job *j, uint32_t thread, struct own *ret)
{
    ret->u = j->own + thread * j->own_floats;
    ret->m = ret->u + j->s.u;
}

static uint32_t n_panels(const struct job *j)
{
    return (j->c->co + j->panel - 1) / j->panel;
}

static uint32_t n_chunks(const struct job *j)
{
    return (j->end - j->first + j->s.chunk - 1) / j->s.chunk;
}

/* Some chunks, from image to result: nobody waits for anybody, but each item transforms all
 * weights. */
static void run_chunks(void *context, uint32_t item, uint32_t thread)
{
    const struct job *j = context;
    uint32_t first, end;
    struct own o;

    own_init(j, thread, &o);
    vn_pool_share(n_chunks(j), item, j->items, &first, &end);
    for (uint32_t t = first * j->s.chunk; t < end * j->s.chunk && j->first + t < j->end; t++)
        transform_input(j, j->first + t);
    panels(j, &o, 0, j->c->co, first, end);
}

static void run_input(void *context, uint32_t item, uint32_t thread)
{
    const struct job *j = context;
    uint32_t first, end;

    (void)thread;
    vn_pool_share(j->end - j->first, item, j->items, &first, &end);
    for (uint32_t t = first; t < end; t++)
        transform_input(j, j->first + t);
}

static void run_panel(void *context, uint32_t item, uint32_t thread)
{
    const struct job *j = context;
    struct own o;

    own_init(j, thread, &o);
    panels(j, &o, item * j->panel, least((item + 1) * j->panel, j->c->co), 0, n_chunks(j));
}

/* What the slowest thread does, in tiles and panels: the weights' transform is worth four tiles. */
static bool chunks_balance_better(const struct job *j, uint32_t threads)
{
    const uint32_t chunks = n_chunks(j), all = n_panels(j);
    const uint32_t by_chunks = all * (4 + j->s.chunk * ((chunks + threads - 1) / threads));
    const uint32_t by_panels = (all + threads - 1) / threads * (4 + j->s.chunk * chunks);

    return by_chunks <= by_panels;
}

static void run_strip(struct job *j)
{
    const double work = (double)POSITIONS * (j->end - j->first) * j->c->ci * j->c->co;
    const uint32_t threads = work < VN_CONV_SHARED ? 1 : vn_pool_threads(j->r->pool);

    if (threads == 1 || chunks_balance_better(j, threads)) {
        j->items = least(threads, n_chunks(j));
        vn_pool_run(j->r->pool, j->items, run_chunks, j);
    } else {
        j->items = least(4 * threads, j->end - j->first);
        vn_pool_run(j->r->pool, j->items, run_input, j);
        vn_pool_run(j->r->pool, n_panels(j), run_panel, j);
    }
}

/* --- the table -------------------------------------------------------------------------------- */

static void winograd(const struct vn_kernels *k, const struct vn_conv *c,
                     const struct vn_conv_run *r)
{
    struct job j = {
        .isa = k->winograd,
        .c = c,
        .r = r,
        .panel = VN_WINOGRAD_VECTORS * k->winograd->lanes,
        .part = (r->split == VN_CONV_OUTPUTS ? c->co : c->ci) / r->n_parts,
        .zeros = r->work,
    };

    j.s = sizes_of(c, k->winograd->tiles, j.panel);
    j.v = j.zeros + j.s.v_row;
    j.own = j.v + j.s.v;
    j.own_floats = j.s.u + j.s.m;
    for (uint32_t i = 0; i < POSITIONS; i++)
        j.offset[i] = (ptrdiff_t)(((size_t)(i / IN) * c->w + i % IN) * c->ci);
    memset(j.zeros, 0, c->ci * sizeof *j.zeros);
    for (; j.first < j.s.tiles; j.first = j.end) {
        j.end = least(j.first + j.s.strip * j.s.chunk, j.s.tiles);
        run_strip(&j);
    }
}

static bool possible(const struct vn_conv *c)
{
    return c->k == 3 && c->stride == 1;
}

static void conv(const struct vn_kernels *k, const struct vn_conv *c, const struct vn_conv_run *r)
{
    vn_conv_assert(c, r);
    if (possible(c))
        winograd(k, c, r);
    else
        vn_direct_conv(k, c, r);
}

static size_t work(const struct vn_conv *c, uint32_t threads)
{
    return possible(c) ? winograd_work(c, threads) : vn_direct_work(c, threads);
}

static void conv_auto(const struct vn_kernels *k, const struct vn_conv *c,
                      const struct vn_conv_run *r)
{
    vn_conv_assert(c, r);
    if (possible(c) && pays(c))
        winograd(k, c, r);
    else
        vn_direct_conv(k, c, r);
}

static size_t work_auto(const struct vn_conv *c, uint32_t threads)
{
    return possible(c) && pays(c) ? winograd_work(c, threads) : vn_direct_work(c, threads);
}

extern const struct vn_winograd_tiles vn_winograd_tiles_generic;
#ifdef __x86_64__
extern const struct vn_winograd_tiles vn_winograd_tiles_avx2, vn_winograd_tiles_avx512;
#elif defined(__aarch64__)
extern const struct vn_winograd_tiles vn_winograd_tiles_neon;
#endif

#define TABLES(isa)                                                                                \
    {                                                                                              \
        {.name = "winograd-" #isa,                                                                 \
         .conv = conv,                                                                             \
         .work = work,                                                                             \
         .taps = &vn_taps_##isa,                                                                   \
         .winograd = &vn_winograd_tiles_##isa},                                                    \
        {                                                                                          \
            .name = "auto-" #isa, .conv = conv_auto, .work = work_auto, .taps = &vn_taps_##isa,    \
            .winograd = &vn_winograd_tiles_##isa                                                   \
        }                                                                                          \
    }

static const struct vn_kernels tables[][2] = {
#ifdef __x86_64__
    TABLES(avx512),
    TABLES(avx2),
#elif defined(__aarch64__)
    TABLES(neon),
#endif
    TABLES(generic),
};

static const struct vn_kernels *find(const char *isa, int table)
{
    const struct vn_taps_kernels *taps = vn_taps_find(isa);

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (tables[i][table].taps == taps)
            return &tables[i][table];
    return NULL;
}

const struct vn_kernels *vn_kernels_winograd(const char *isa)
{
    return find(isa, 0);
}

const struct vn_kernels *vn_kernels_auto(const char *isa)
{
    return find(isa, 1);
}
