/* Winograd's steps of training (train/steps.h) for one instruction set: VN_ISA names it, VN_LANES
 * floats make a vector, VN_TILES tiles or rows and two vectors of columns are held in registers.
 * The one-dimensional transforms are those of engine/winograd_tile.c, transposed. */
#include "engine/lanes.h"
#include "train/steps.h"

/* Keeps the compiler from holding one pointer for each of 36 positions, more than there are. */
#define ONE_POINTER(p) __asm__("" : "+r"(p))

#define OUT VN_WINOGRAD_OUT
#define IN VN_WINOGRAD_IN
#define POSITIONS VN_WINOGRAD_POSITIONS
#define VECTORS VN_WINOGRAD_VECTORS
#define PANEL (VECTORS * VN_LANES)

#define A 0.70710678118654752f
#define B 1.41421356237309505f

/* --- product ---------------------------------------------------------------------------------- */

/* `tiles` tiles from number `first` of the list, one panel, one position. */
INLINE void product_tile(const struct vn_product *p, const float *v, const float *u, float *m,
                         uint32_t first, int tiles, int vectors)
{
    const uint16_t *tile = p->tiles.tile + first;
    const float *x[VN_TILES];
    vec sum[VN_TILES * VECTORS], weight[VECTORS];

    UNROLL for (int t = 0; t < tiles; t++)
    {
        x[t] = v + (size_t)tile[t] * p->v.row;
        UNROLL for (int i = 0; i < vectors; i++) sum[t * vectors + i] =
            p->add ? load(m + (size_t)tile[t] * p->m.row + i * VN_LANES) : (vec){0};
    }
    for (size_t r = 0; r < p->rows; r++, u += vectors * VN_LANES) {
        UNROLL for (int i = 0; i < vectors; i++) weight[i] = load(u + i * VN_LANES);
        UNROLL for (int t = 0; t < tiles; t++)
        {
            UNROLL for (int i = 0; i < vectors; i++) sum[t * vectors + i] += weight[i] * x[t][r];
        }
    }
    UNROLL for (int t = 0; t < tiles; t++)
    {
        UNROLL for (int i = 0; i < vectors; i++)
            store(m + (size_t)tile[t] * p->m.row + i * VN_LANES, sum[t * vectors + i]);
    }
}

INLINE void product_panel(const struct vn_product *p, const float *v, const float *u, float *m,
                          int vectors)
{
    uint32_t i = 0;

    for (; i + VN_TILES <= p->tiles.n; i += VN_TILES)
        product_tile(p, v, u, m, i, VN_TILES, vectors);
    for (; i + 4 <= p->tiles.n; i += 4)
        product_tile(p, v, u, m, i, 4, vectors);
    for (; i < p->tiles.n; i++)
        product_tile(p, v, u, m, i, 1, vectors);
}

static void product(const struct vn_product *p)
{
    for (uint32_t i = 0; i < POSITIONS; i++) {
        const float *v = p->v.at + i * p->v.pitch, *u = p->u + i * p->u_pitch;
        float *m = p->m.at + i * p->m.pitch;

        for (uint32_t c = p->column / PANEL * PANEL; c < p->end; c += PANEL) {
            const float *panel = u + (size_t)c * p->u_rows;

            if (p->columns - c > VN_LANES)
                product_panel(p, v, panel + (size_t)p->first_row * PANEL, m + c, VECTORS);
            else
                product_panel(p, v, panel + (size_t)p->first_row * VN_LANES, m + c, 1);
        }
    }
}

/* --- gradient of the transformed weights ------------------------------------------------------ */

INLINE void outer_tile(const struct vn_outer *o, const float *v, const float *d, float *du,
                       int rows, int vectors, uint32_t part)
{
    vec sum[VN_TILES * VECTORS], x[VECTORS];

    UNROLL for (int i = 0; i < rows * vectors; i++) sum[i] = (vec){0};
    for (uint32_t t = 0; t < o->tiles.n; t++) {
        const float *from = v + (size_t)o->tiles.tile[t] * o->v.row;
        const float *to = d + (size_t)o->tiles.tile[t] * o->d.row;

        UNROLL for (int i = 0; i < vectors; i++) x[i] = load(to + i * VN_LANES);
        UNROLL for (int r = 0; r < rows; r++)
        {
            UNROLL for (int i = 0; i < vectors; i++) sum[r * vectors + i] += x[i] * from[r];
        }
    }
    UNROLL for (int r = 0; r < rows; r++, du += o->du.row)
    {
        float *last = du + (vectors - 1) * VN_LANES;

        if (vectors == 2)
            store(du, load(du) + sum[r * vectors]);
        store_some(last, load_some(last, part) + sum[r * vectors + vectors - 1], part);
    }
}

INLINE void outer_panel(const struct vn_outer *o, const float *v, const float *d, float *du,
                        int vectors, uint32_t part)
{
    uint32_t r = 0;

    for (; r + VN_TILES <= o->rows; r += VN_TILES)
        outer_tile(o, v + r, d, du + (size_t)r * o->du.row, VN_TILES, vectors, part);
    for (; r + 4 <= o->rows; r += 4)
        outer_tile(o, v + r, d, du + (size_t)r * o->du.row, 4, vectors, part);
    for (; r < o->rows; r++)
        outer_tile(o, v + r, d, du + (size_t)r * o->du.row, 1, vectors, part);
}

static void outer(const struct vn_outer *o)
{
    for (uint32_t i = 0; i < POSITIONS; i++) {
        const float *v = o->v.at + i * o->v.pitch, *d = o->d.at + i * o->d.pitch;
        float *du = o->du.at + i * o->du.pitch;

        for (uint32_t c = 0; c < o->columns; c += PANEL) {
            const uint32_t left = o->columns - c;

            if (left >= PANEL)
                outer_panel(o, v, d + c, du + c, VECTORS, VN_LANES);
            else if (left > VN_LANES)
                outer_panel(o, v, d + c, du + c, VECTORS, left - VN_LANES);
            else
                outer_panel(o, v, d + c, du + c, 1, left);
        }
    }
}

/* --- transforms of gradients ------------------------------------------------------------------ */

/* Four become six: A, from vectors in[0], in[in_step] .. to out[0], out[step] .. */
INLINE void gradient_1d(const vec *in, int in_step, vec *out, int step)
{
    const float a = -2.0f / 3, b = 1.0f / 6;
    const vec y0 = in[0], y1 = in[in_step], y2 = in[2 * in_step], y3 = in[3 * in_step];
    const vec even_a = a * y0 + (A * A * a) * y2, odd_a = (A * a) * y1 + (A * A * A * a) * y3;
    const vec even_b = b * y0 + (B * B * b) * y2, odd_b = (B * b) * y1 + (B * B * B * b) * y3;

    out[0] = y0;
    out[1 * step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = y3;
}

INLINE void gradient_vector(const struct vn_gradient *g, uint32_t c, uint32_t part)
{
    vec dy[OUT * OUT], half[IN * OUT], a = {0}, b = {0}, c0 = {0};
    float *to = g->d.at + c;

    if (g->x.at) {
        a = load_some(g->a + c, part);
        b = load_some(g->b + c, part);
        c0 = load_some(g->c0 + c, part);
    }
    UNROLL for (int i = 0; i < OUT; i++)
    {
        UNROLL for (int j = 0; j < OUT; j++)
        {
            const size_t y = (size_t)i, x = (size_t)j;
            vec v = {0};

            if (y < g->rows && x < g->columns) {
                v = load_some(g->dy.at + y * g->dy.row + x * g->dy.pixel + c, part);
                if (g->x.at)
                    v = a * v + b * load_some(g->x.at + y * g->x.row + x * g->x.pixel + c, part) +
                        c0;
            }
            dy[i * OUT + j] = v;
        }
    }
    UNROLL for (int j = 0; j < OUT; j++) gradient_1d(dy + j, OUT, half + j, OUT);
    UNROLL for (int i = 0; i < IN; i++)
    {
        vec out[IN];

        gradient_1d(half + i * OUT, 1, out, 1);
        UNROLL for (int j = 0; j < IN; j++, to += g->d.pitch)
        {
            store(to, out[j]);
            ONE_POINTER(to);
        }
    }
}

static void gradient(const struct vn_gradient *g)
{
    uint32_t c = 0;

    for (; c + VN_LANES <= g->channels; c += VN_LANES)
        gradient_vector(g, c, VN_LANES);
    if (c < g->channels)
        gradient_vector(g, c, g->channels - c);
}

/* B, of vectors that lie `step` apart, in place. */
INLINE void spread_1d(vec *m, int step)
{
    const vec m0 = m[0], m5 = m[5 * step];
    const vec sum_a = m[1 * step] + m[2 * step], odd_a = m[1 * step] - m[2 * step];
    const vec sum_b = m[3 * step] + m[4 * step], odd_b = m[3 * step] - m[4 * step];

    m[1 * step] = m5 - 2 * A * odd_a - 0.5f * B * odd_b;
    m[2 * step] = -2.5f * m0 - 2 * sum_a - 0.5f * sum_b;
    m[3 * step] = A * odd_a + B * odd_b - 2.5f * m5;
    m[4 * step] = m0 + sum_a + sum_b;
}

INLINE void spread_vector(const struct vn_spread *s, uint32_t c, uint32_t part)
{
    const float *from = s->m.at + c;
    vec m[POSITIONS];

    UNROLL for (int i = 0; i < IN; i++)
    {
        UNROLL for (int j = 0; j < IN; j++, from += s->m.pitch)
        {
            m[i * IN + j] = load(from);
            ONE_POINTER(from);
        }
        spread_1d(m + i * IN, 1);
    }
    UNROLL for (int j = 0; j < IN; j++) spread_1d(m + j, IN);
    UNROLL for (uint32_t i = 0; i < IN; i++)
    {
        float *row = s->dx.at + (i - s->first_row) * s->dx.row;

        if (i < s->first_row || i >= s->end_row)
            continue;
        UNROLL for (uint32_t j = 0; j < IN; j++)
        {
            float *to = row + c;

            if (j < s->first_column || j >= s->end_column)
                continue;
            store_some(to, load_some(to, part) + m[i * IN + j], part);
            row += s->dx.pixel;
        }
    }
}

static void spread(const struct vn_spread *s)
{
    uint32_t c = 0;

    for (; c + VN_LANES <= s->channels; c += VN_LANES)
        spread_vector(s, c, VN_LANES);
    if (c < s->channels)
        spread_vector(s, c, s->channels - c);
}

/* --- back to the weights ---------------------------------------------------------------------- */

/* Six become three: G'. */
INLINE void weights_back_1d(const vec *u, int step, vec *w, int w_step)
{
    const vec sum_a = u[1 * step] + u[2 * step], odd_a = u[1 * step] - u[2 * step];
    const vec sum_b = u[3 * step] + u[4 * step], odd_b = u[3 * step] - u[4 * step];

    w[0] = u[0] + sum_a + sum_b;
    w[1 * w_step] = A * odd_a + B * odd_b;
    w[2 * w_step] = 0.5f * sum_a + 2 * sum_b + u[5 * step];
}

INLINE void weights_back_vector(const struct vn_weights_back *w, uint32_t row, uint32_t c,
                                uint32_t part)
{
    const size_t at = (size_t)row * w->du_row + c;
    float *to = w->dw + (size_t)row * w->dw_row + c;
    vec half[IN * 3], out[3];

    UNROLL for (int i = 0; i < IN; i++)
    {
        vec u[IN];

        UNROLL for (int j = 0; j < IN; j++)
        {
            const size_t position = (size_t)(i * IN + j) * w->du_pitch + at;

            u[j] = load_some(w->du[0] + position, part);
            for (uint32_t k = 1; k < w->n; k++)
                u[j] += load_some(w->du[k] + position, part);
        }
        weights_back_1d(u, 1, half + i * 3, 1);
    }
    UNROLL for (int j = 0; j < 3; j++)
    {
        weights_back_1d(half + j, 3, out, 1);
        UNROLL for (int i = 0; i < 3; i++)
        {
            float *tap = to + (size_t)(i * 3 + j) * w->tap;

            store_some(tap, load_some(tap, part) + out[i], part);
        }
    }
}

static void weights_back(const struct vn_weights_back *w)
{
    for (uint32_t r = 0; r < w->rows; r++) {
        uint32_t c = 0;

        for (; c + VN_LANES <= w->columns; c += VN_LANES)
            weights_back_vector(w, r, c, VN_LANES);
        if (c < w->columns)
            weights_back_vector(w, r, c, w->columns - c);
    }
}

/* --- the table -------------------------------------------------------------------------------- */

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define NAME_(what, isa) vn_##what##_##isa
#define NAME(what, isa) NAME_(what, isa)

extern const struct vn_winograd_tiles NAME(winograd_tiles, VN_ISA);
extern const struct vn_norm_loops NAME(norm_loops, VN_ISA);
extern const struct vn_steps NAME(steps, VN_ISA);

const struct vn_steps NAME(steps, VN_ISA) = {
    .name = STRING(VN_ISA),
    .lanes = VN_LANES,
    .tiles = &NAME(winograd_tiles, VN_ISA),
    .norm = &NAME(norm_loops, VN_ISA),
    .product = product,
    .outer = outer,
    .gradient = gradient,
    .spread = spread,
    .weights_back = weights_back,
};
