/* Tiles of one vector width for one instruction set: VN_ISA names it, VN_LANES floats make a vector
 * and VN_PIXELS pixels a tile, so many that with two vectors of columns for each the sums, the
 * weights and one operand just fit the registers. VN_ROWS is 1, or VN_LANES where instructions
 * multiply by one lane of a vector: then a pixel's operand is loaded for so many rows at once (in
 * NEON 87 instructions for 64 multiplications, not 116). Loops over pixels and vectors have
 * constant bounds and are unrolled; `part` is the number of columns in the last vector where that
 * is not whole, else VN_LANES. */
#include <stdbool.h>

#include "engine/lanes.h"
#include "engine/taps.h"

/* How many of `rows` rows of co floats can be read from `column` on by `width` floats at once
 * without leaving the operand. */
INLINE size_t whole_rows(size_t rows, uint32_t co, uint32_t column, uint32_t width)
{
    size_t floats = rows * co;

    return floats < column + width ? 0 : (floats - column - width) / co + 1;
}

INLINE vec finish(unsigned how, vec sum, vec scale, vec bias, vec before)
{
    if (how & VN_TAPS_SCALE)
        sum = scale * sum + bias;
    if (how & VN_TAPS_ADD)
        sum += before;
    if (how & VN_TAPS_RELU)
        sum = (vec)((mask)sum & (mask)(sum > 0));
    return sum;
}

/* Column vector `column` of all wanted pixels; `part` columns of it are stored. */
INLINE void end_vector(const struct vn_taps_tile *t, const vec *sum, int pixels, int vectors,
                       uint32_t column, uint32_t part)
{
    vec scale = {0}, bias = {0};

    if (t->finish & VN_TAPS_SCALE) {
        scale = load_some(t->scale + column, part);
        bias = load_some(t->bias + column, part);
    }
    UNROLL for (int p = 0; p < pixels; p++)
    {
        vec before = {0};

        if ((uint32_t)p >= t->n)
            return;
        if (t->finish & VN_TAPS_ADD)
            before = load_some(t->add[p] + column, part);
        store_some(t->y[p] + column, finish(t->finish, sum[p * vectors], scale, bias, before),
                   part);
    }
}

/* The end of a run for rows that vectors cannot read without leaving the operand; `part` columns
 * of the last vector exist. Out of line, so that it leaves the registers of the others alone. */
static __attribute__((noinline)) void last_rows(vec *sum, const float *const *x, size_t n,
                                                const float *row, uint32_t co, uint32_t part,
                                                int pixels, int vectors)
{
    for (size_t c = 0; c < n; c++, row += co) {
        vec weight[2];

        if (vectors == 2)
            weight[0] = load(row);
        weight[vectors - 1] = load_part(row + (vectors - 1) * VN_LANES, part);
        for (int p = 0; p < pixels; p++)
            for (int v = 0; v < vectors; v++)
                sum[p * vectors + v] += weight[v] * x[p][c];
    }
}

/* The sums of `rows` rows of weights, the first at `row`; pixel p's operand starts at x[p] + c. */
INLINE void add_rows(vec *sum, const float *const *x, size_t c, const float *row, uint32_t co,
                     int rows, int pixels, int vectors)
{
    vec weight[2], operand[VN_PIXELS];

    UNROLL for (int p = 0; p < pixels && rows > 1; p++) operand[p] = load(x[p] + c);
    UNROLL for (int i = 0; i < rows; i++, row += co)
    {
        UNROLL for (int v = 0; v < vectors; v++) weight[v] = load(row + v * VN_LANES);
        UNROLL for (int p = 0; p < pixels; p++)
        {
            UNROLL for (int v = 0; v < vectors; v++) sum[p * vectors + v] +=
                weight[v] * (rows > 1 ? operand[p][i] : x[p][c]);
        }
    }
}

/* Hints for `rows` rows of weights that are needed next; returns where the next ones are. */
INLINE const float *ask(const float *ahead, uint32_t rows, uint32_t co, int vectors)
{
    for (uint32_t r = 0; r < rows; r++, ahead += co) {
        __builtin_prefetch(ahead, 0, 2);
        if (vectors * VN_LANES > 16) /* floats of a cache line */
            __builtin_prefetch(ahead + 16, 0, 2);
    }
    return ahead;
}

INLINE void tile(const struct vn_taps_tile *t, int pixels, int vectors, uint32_t column,
                 uint32_t columns)
{
    const uint32_t width = (uint32_t)vectors * VN_LANES, part = columns - width + VN_LANES;
    const uint32_t co = t->co;
    size_t whole = whole_rows((size_t)t->n_runs * t->run, co, column, width);
    const float *row = t->w + column, *ahead = t->ahead + column;
    vec sum[VN_PIXELS * 2];

    UNROLL for (int i = 0; i < pixels * vectors; i++) sum[i] = (vec){0};
    for (uint32_t r = 0; r < t->n_runs; r++) {
        const size_t fast = whole < t->run ? whole : t->run;
        const float *x[VN_PIXELS];
        size_t c = 0;

        UNROLL for (int p = 0; p < pixels; p++) x[p] = t->x[r * VN_PIXELS + (uint32_t)p];
        while (c < fast) {
            const size_t stop = c + VN_TAPS_STEP < fast ? c + VN_TAPS_STEP : fast;

            ahead = ask(ahead, t->ahead_rows, co, vectors);
            for (; VN_ROWS > 1 && c + VN_ROWS <= stop; c += VN_ROWS, row += VN_ROWS * co)
                add_rows(sum, x, c, row, co, VN_ROWS, pixels, vectors);
            for (; c < stop; c++, row += co)
                add_rows(sum, x, c, row, co, 1, pixels, vectors);
        }
        whole -= fast;
        if (fast < t->run) {
            const float *rest[VN_PIXELS];
            vec sums[VN_PIXELS * 2];

            UNROLL for (int p = 0; p < pixels; p++) rest[p] = x[p] + fast;
            UNROLL for (int i = 0; i < pixels * vectors; i++) sums[i] = sum[i];
            last_rows(sums, rest, t->run - fast, row, co, part, pixels, vectors);
            UNROLL for (int i = 0; i < pixels * vectors; i++) sum[i] = sums[i];
            row += (t->run - fast) * co;
        }
    }
    if (vectors == 2)
        end_vector(t, sum, pixels, vectors, column, VN_LANES);
    column += (uint32_t)(vectors - 1) * VN_LANES;
    end_vector(t, sum + vectors - 1, pixels, vectors, column, part);
}

/* Half a tile where that is enough: small images are few pixels. */
INLINE void tile_of_either(const struct vn_taps_tile *t, int vectors, uint32_t column,
                           uint32_t columns)
{
    if (t->n <= VN_PIXELS / 2)
        tile(t, VN_PIXELS / 2, vectors, column, columns);
    else
        tile(t, VN_PIXELS, vectors, column, columns);
}

/* --- weight gradient -------------------------------------------------------------------------- */

/* Rows `first` .. first + rows of dw. */
INLINE void outer(const struct vn_taps_outer *t, uint32_t first, int rows, int vectors,
                  uint32_t column, uint32_t columns)
{
    const uint32_t part = columns - (uint32_t)(vectors - 1) * VN_LANES, co = t->co;
    const size_t whole = whole_rows(t->n_pixels, co, column, (uint32_t)vectors * VN_LANES);
    vec sum[VN_PIXELS * 2], d[2];
    float *dw = t->dw + (size_t)first * co + column;

    UNROLL for (int i = 0; i < rows * vectors; i++) sum[i] = (vec){0};
    for (size_t p = 0; p < t->n_pixels; p++) {
        const float *x = t->x + t->offset[p] + first, *dy = t->dy + p * co + column;

        if (vectors == 2)
            d[0] = load(dy);
        if (p < whole)
            d[vectors - 1] = load(dy + (vectors - 1) * VN_LANES);
        else
            d[vectors - 1] = load_part(dy + (vectors - 1) * VN_LANES, part);
        UNROLL for (int c = 0; c < rows; c++)
        {
            UNROLL for (int v = 0; v < vectors; v++) sum[c * vectors + v] += d[v] * x[c];
        }
    }
    UNROLL for (int c = 0; c < rows; c++)
    {
        float *to = dw + (size_t)c * co + (vectors - 1) * VN_LANES;

        if (vectors == 2)
            *(vec *)(to - VN_LANES) += sum[c * 2];
        store_some(to, load_some(to, part) + sum[c * vectors + vectors - 1], part);
    }
}

INLINE void outer_all(const struct vn_taps_outer *t, int vectors, uint32_t column, uint32_t columns)
{
    uint32_t row = 0;

    for (; row + VN_PIXELS <= t->rows; row += VN_PIXELS)
        outer(t, row, VN_PIXELS, vectors, column, columns);
    for (; row + 2 <= t->rows; row += 2)
        outer(t, row, 2, vectors, column, columns);
    if (row < t->rows)
        outer(t, row, 1, vectors, column, columns);
}

/* --- the table -------------------------------------------------------------------------------- */

#define NAME_(what, pixels, columns, isa) vn_f32_##what##_##pixels##x##columns##__##isa
#define NAME(what, pixels, columns, isa) NAME_(what, pixels, columns, isa)
#define TABLE_(isa, lanes) vn_taps_width_##isa##_##lanes
#define TABLE(isa, lanes) TABLE_(isa, lanes)

static void NAME(conv, VN_PIXELS, VN_LANES, VN_ISA)(const struct vn_taps_tile *t, uint32_t column,
                                                    uint32_t columns)
{
    tile_of_either(t, 1, column, columns);
}

static void NAME(conv, VN_PIXELS, VN_LANES_2, VN_ISA)(const struct vn_taps_tile *t, uint32_t column,
                                                      uint32_t columns)
{
    tile_of_either(t, 2, column, columns);
}

static void NAME(conv_dw, VN_PIXELS, VN_LANES, VN_ISA)(const struct vn_taps_outer *t,
                                                       uint32_t column, uint32_t columns)
{
    outer_all(t, 1, column, columns);
}

static void NAME(conv_dw, VN_PIXELS, VN_LANES_2, VN_ISA)(const struct vn_taps_outer *t,
                                                         uint32_t column, uint32_t columns)
{
    outer_all(t, 2, column, columns);
}

extern const struct vn_taps_width TABLE(VN_ISA, VN_LANES);
const struct vn_taps_width TABLE(VN_ISA, VN_LANES) = {
    .lanes = VN_LANES,
    .pixels = VN_PIXELS,
    .tile = {NAME(conv, VN_PIXELS, VN_LANES, VN_ISA), NAME(conv, VN_PIXELS, VN_LANES_2, VN_ISA)},
    .outer = {NAME(conv_dw, VN_PIXELS, VN_LANES, VN_ISA),
              NAME(conv_dw, VN_PIXELS, VN_LANES_2, VN_ISA)},
};
