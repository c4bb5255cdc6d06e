/* Winograd's F(4 x 4, 3 x 3) for one instruction set: VN_ISA names it, VN_LANES floats make a
 * vector and VN_TILES tiles one product. VN_ROWS is 1, or VN_LANES where instructions multiply by
 * one lane of a vector (engine/taps_tile.c). Loops over positions have constant bounds and are
 * unrolled.
 *
 * The interpolation points are 0, +-a, +-b and infinity with a = sqrt(1/2), b = sqrt(2), which keep
 * the rounding errors of the fast algorithm small. What each one-dimensional transform divides by
 * is left out of the weights, whose transform is made for every image, and put into the output's:
 *     B' x:  x0 - 2.5 x2 + x4,  (x4 - 2 x2) +- a (x3 - 2 x1),  (x4 - x2/2) +- b (x3 - x1/2),
 *            x1 - 2.5 x3 + x5
 *     G w:   w0,  (w0 + w2/2) +- a w1,  (w0 + 2 w2) +- b w1,  w2
 *     A' m:  row i: a^i (m1 +- m2) / -1.5 + b^i (m3 +- m4) / 6, and m0 for i = 0, m5 for i = 3 */
#include "engine/winograd_tile.h"
#include "engine/lanes.h"

/* Keeps the compiler from holding one pointer for each of 36 positions, more than there are. */
#define ONE_POINTER(p) __asm__("" : "+r"(p))

#define OUT VN_WINOGRAD_OUT
#define IN VN_WINOGRAD_IN
#define POSITIONS VN_WINOGRAD_POSITIONS

#define A 0.70710678118654752f
#define B 1.41421356237309505f

/* --- transforms of one dimension: of vectors that lie `step` apart, in place ------------------ */

INLINE void input_1d(vec *x, int step)
{
    const vec x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step];
    const vec even_a = x4 - 2 * x2, odd_a = x3 - 2 * x1;
    const vec even_b = x4 - 0.5f * x2, odd_b = x3 - 0.5f * x1;

    x[0] = x0 - 2.5f * x2 + x4;
    x[1 * step] = even_a + A * odd_a;
    x[2 * step] = even_a - A * odd_a;
    x[3 * step] = even_b + B * odd_b;
    x[4 * step] = even_b - B * odd_b;
    x[5 * step] = x1 - 2.5f * x3 + x[5 * step];
}

INLINE void weights_1d(vec w0, vec w1, vec w2, vec *u, int step)
{
    const vec even_a = w0 + 0.5f * w2, even_b = w0 + 2 * w2;

    u[0] = w0;
    u[1 * step] = even_a + A * w1;
    u[2 * step] = even_a - A * w1;
    u[3 * step] = even_b + B * w1;
    u[4 * step] = even_b - B * w1;
    u[5 * step] = w2;
}

/* Six become four. */
INLINE void output_1d(vec *m, int step)
{
    const float a = -2.0f / 3, b = 1.0f / 6;
    const vec sum_a = m[1 * step] + m[2 * step], odd_a = m[1 * step] - m[2 * step];
    const vec sum_b = m[3 * step] + m[4 * step], odd_b = m[3 * step] - m[4 * step];

    m[0] += a * sum_a + b * sum_b;
    m[1 * step] = A * a * odd_a + B * b * odd_b;
    m[2 * step] = A * A * a * sum_a + B * B * b * sum_b;
    m[3 * step] = m[5 * step] + A * A * A * a * odd_a + B * B * B * b * odd_b;
}

/* --- input ------------------------------------------------------------------------------------ */

INLINE void input_vector(const float *const *x, uint32_t c, uint32_t part, float *v, size_t pitch)
{
    vec d[POSITIONS];

    UNROLL for (int j = 0; j < IN; j++)
    {
        UNROLL for (int i = 0; i < IN; i++) d[i * IN + j] = load_some(x[i * IN + j] + c, part);
        input_1d(d + j, IN);
    }
    UNROLL for (int i = 0; i < IN; i++)
    {
        input_1d(d + i * IN, 1);
        UNROLL for (int j = 0; j < IN; j++, v += pitch)
        {
            store(v, d[i * IN + j]);
            ONE_POINTER(v);
        }
    }
}

static void input(const float *const *x, uint32_t ci, float *v, size_t pitch)
{
    uint32_t c = 0;

    for (; c + VN_LANES <= ci; c += VN_LANES)
        input_vector(x, c, VN_LANES, v + c, pitch);
    if (c < ci)
        input_vector(x, c, ci - c, v + c, pitch);
}

/* --- weights ---------------------------------------------------------------------------------- */

INLINE void weights_row(const float *w, size_t tap, uint32_t part, vec scale, float *u,
                        size_t pitch)
{
    vec t[IN * 3];

    UNROLL for (int j = 0; j < 3; j++)
    {
        const float *column = w + (size_t)j * tap;

        weights_1d(scale * load_some(column, part), scale * load_some(column + 3 * tap, part),
                   scale * load_some(column + 6 * tap, part), t + j, 3);
    }
    UNROLL for (int i = 0; i < IN; i++)
    {
        vec out[IN];

        weights_1d(t[i * 3], t[i * 3 + 1], t[i * 3 + 2], out, 1);
        UNROLL for (int j = 0; j < IN; j++, u += pitch)
        {
            store(u, out[j]);
            ONE_POINTER(u);
        }
    }
}

static void weights(const struct vn_winograd_weights *p)
{
    float *u = p->u;

    for (uint32_t r = 0; r < p->rows; r++, u += p->u_row)
        if (p->columns == VN_LANES)
            weights_row(p->w[r], p->tap, VN_LANES, load(p->scale[r]), u, p->pitch);
        else
            weights_row(p->w[r], p->tap, p->columns, load_part(p->scale[r], p->columns), u,
                        p->pitch);
}

/* --- product ---------------------------------------------------------------------------------- */

/* A position's share of the weights ahead: a quarter of the rows of one tap; and of these, what
 * belongs to step `step`. */
INLINE void ask(const struct vn_winograd_ahead *a, uint32_t position, uint32_t step)
{
    const uint32_t from = position % 4 * a->quarter, first = from + step * a->each;
    const uint32_t most = from + a->quarter < a->rows ? from + a->quarter : a->rows;
    const size_t tap = position / 4 * a->tap;

    for (uint32_t r = first; r < first + a->each && r < most; r++)
        for (uint32_t v = 0; v < a->vectors; v++)
            __builtin_prefetch(a->w[v][r] + tap, 0, 2);
}

/* The sums of `rows` rows, from row r on. */
INLINE void add_rows(vec *sum, const float *const *x, size_t r, const float *u, int rows, int tiles,
                     int vectors)
{
    vec weight[VN_WINOGRAD_VECTORS], operand[VN_TILES];

    UNROLL for (int t = 0; t < tiles && rows > 1; t++) operand[t] = load(x[t] + r);
    UNROLL for (int k = 0; k < rows; k++, u += vectors * VN_LANES)
    {
        UNROLL for (int i = 0; i < vectors; i++) weight[i] = load(u + i * VN_LANES);
        UNROLL for (int t = 0; t < tiles; t++)
        {
            UNROLL for (int i = 0; i < vectors; i++) sum[t * vectors + i] +=
                weight[i] * (rows > 1 ? operand[t][k] : x[t][r]);
        }
    }
}

INLINE void product_tile(const struct vn_winograd_product *p, uint32_t position, int tiles,
                         int vectors)
{
    const float *u = p->u + position * p->u_pitch, *x[VN_TILES];
    const size_t width = (size_t)vectors * VN_LANES;
    float *m = p->m + position * p->m_pitch;
    vec sum[VN_TILES * VN_WINOGRAD_VECTORS];

    UNROLL for (int t = 0; t < tiles; t++) x[t] =
        p->v + position * p->v_pitch + (size_t)t * p->v_row;
    UNROLL for (int i = 0; i < tiles * vectors; i++) sum[i] =
        p->add ? load(m + i * VN_LANES) : (vec){0};
    for (size_t first = 0; first < p->rows; first += VN_WINOGRAD_STEP) {
        const size_t end = first + VN_WINOGRAD_STEP < p->rows ? first + VN_WINOGRAD_STEP : p->rows;
        size_t r = first;

        ask(p->ahead, position, (uint32_t)(first / VN_WINOGRAD_STEP));
        for (; VN_ROWS > 1 && r + VN_ROWS <= end; r += VN_ROWS, u += VN_ROWS * width)
            add_rows(sum, x, r, u, VN_ROWS, tiles, vectors);
        for (; r < end; r++, u += width)
            add_rows(sum, x, r, u, 1, tiles, vectors);
    }
    UNROLL for (int i = 0; i < tiles * vectors; i++) store(m + i * VN_LANES, sum[i]);
}

INLINE void product_all(const struct vn_winograd_product *p, int tiles, int vectors)
{
    for (uint32_t i = 0; i < POSITIONS; i++)
        product_tile(p, i, tiles, vectors);
}

/* The smallest tile that holds all: the others cost as much as if they were wanted. */
INLINE void product_vectors(const struct vn_winograd_product *p, int vectors)
{
    if (p->tiles <= 1)
        product_all(p, 1, vectors);
    else if (p->tiles <= 2)
        product_all(p, 2, vectors);
    else if (p->tiles <= 4)
        product_all(p, 4, vectors);
    else
        product_all(p, VN_TILES, vectors);
}

static void product(const struct vn_winograd_product *p)
{
    if (p->vectors == 2)
        product_vectors(p, 2);
    else
        product_vectors(p, 1);
}

/* --- output ----------------------------------------------------------------------------------- */

INLINE vec finish(const struct vn_winograd_output *o, vec sum, vec before)
{
    sum += before;
    return o->relu ? (vec)((mask)sum & (mask)(sum > 0)) : sum;
}

INLINE void output_vector(const struct vn_winograd_output *o, uint32_t c, uint32_t part)
{
    const vec bias = load_some(o->bias + c, part);
    vec m[POSITIONS];

    UNROLL for (int j = 0; j < IN; j++)
    {
        UNROLL for (int i = 0; i < IN; i++) m[i * IN + j] =
            load(o->m + (size_t)(i * IN + j) * o->m_pitch + c);
        output_1d(m + j, IN);
    }
    UNROLL for (int i = 0; i < OUT; i++)
    {
        if ((uint32_t)i >= o->rows)
            return;
        output_1d(m + i * IN, 1);
        UNROLL for (int j = 0; j < OUT; j++)
        {
            const size_t at = (size_t)i * o->y_row + (size_t)j * o->y_pixel + c;
            vec before = bias;

            if ((uint32_t)j >= o->columns)
                break;
            if (o->add)
                before += load_some(o->add + at, part);
            store_some(o->y + at, finish(o, m[i * IN + j], before), part);
        }
    }
}

static void output(const struct vn_winograd_output *o)
{
    uint32_t c = 0;

    for (; c + VN_LANES <= o->channels; c += VN_LANES)
        output_vector(o, c, VN_LANES);
    if (c < o->channels)
        output_vector(o, c, o->channels - c);
}

/* --- the table -------------------------------------------------------------------------------- */

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define TABLE_(isa) vn_winograd_tiles_##isa
#define TABLE(isa) TABLE_(isa)

extern const struct vn_winograd_tiles TABLE(VN_ISA);

const struct vn_winograd_tiles TABLE(VN_ISA) = {
    .name = STRING(VN_ISA),
    .lanes = VN_LANES,
    .tiles = VN_TILES,
    .input = input,
    .weights = weights,
    .product = product,
    .output = output,
};
