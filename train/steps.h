/* The loops of training that are compiled for each instruction set: the steps of a Winograd
 * convolution that inference does not have, and batch-norm's passes over activations.
 *
 * Winograd's F(4 x 4, 3 x 3) is y = A' (sum over channels (G w G') . (B' x B)) A, with a matrix for
 * each of 36 positions (engine/winograd.c). What is linear is turned round by transposing:
 *     D = A dy A'    dU = V' D (over tiles), dw = G' dU G    dx = B (D U') B', overlaps added
 * so that one transform of dy serves both gradients. Forward and input gradient are products with
 * weights that are transformed once for a batch.
 *
 * Operands in the transformed domain are (tiles, row) for each position, `pitch` floats apart. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/winograd_tile.h"

/* One matrix for each position. */
struct vn_positions {
    float *at;
    uint32_t row; /* floats of a tile, or of a row of weights */
    size_t pitch; /* floats of a position */
};

/* Tiles of a strip by number, in any order, each once. */
struct vn_tile_list {
    const uint16_t *tile;
    uint32_t n;
};

/* m[tile] (columns) = or += v[tile] (rows) . u (rows, columns), at every position. u lies in panels
 * of two vectors, the last one of one where that is enough: (panels, u_rows, width). Panels that
 * hold a column of [column, end) are computed whole, into m at their place. */
struct vn_product {
    struct vn_positions v, m;
    const float *u;
    size_t u_pitch;
    uint32_t u_rows, columns; /* of u in all */
    uint32_t first_row, rows; /* that are taken; v's numbers begin with the first of them */
    uint32_t column, end;
    struct vn_tile_list tiles;
    bool add;
};

/* du (rows, columns) += sum over tiles of v[tile] (rows) times d[tile] (columns), at every
 * position. Rows of d may be read up to the next whole vector. */
struct vn_outer {
    struct vn_positions v, d, du;
    uint32_t rows, columns;
    struct vn_tile_list tiles;
};

/* An image with pixels `pixel` floats apart. */
struct vn_pixels {
    float *at;
    size_t row, pixel;
};

/* d = A g A' of the tile's pixels (rows, columns) that exist, with g = a dy + b x + c0 as
 * batch-norm wants it. d: at the tile. */
struct vn_gradient {
    struct vn_pixels dy, x; /* x.at NULL: g = dy */
    const float *a, *b, *c0;
    uint32_t rows, columns, channels;
    struct vn_positions d;
};

/* The 6 x 6 pixels of dx += B m B'; of these, rows and columns [first, end) exist. dx.at: the first
 * that exists. */
struct vn_spread {
    struct vn_positions m;
    struct vn_pixels dx;
    uint32_t first_row, end_row, first_column, end_column, channels;
};

/* dw[tap] (rows, columns) += G' du G of the sum of n operands; dw's taps are `tap` floats apart. */
struct vn_weights_back {
    const float *const *du;
    uint32_t n, du_row;
    size_t du_pitch;
    uint32_t rows, columns;
    float *dw;
    size_t tap;
    uint32_t dw_row;
};

struct vn_steps {
    const char *name;
    uint32_t lanes;
    const struct vn_winograd_tiles *tiles;
    const struct vn_norm_loops *norm;
    void (*product)(const struct vn_product *p);
    void (*outer)(const struct vn_outer *o);
    void (*gradient)(const struct vn_gradient *g);
    void (*spread)(const struct vn_spread *s);
    void (*weights_back)(const struct vn_weights_back *w);
};

/* By name; NULL: no such table, or not for this processor. NULL finds the best. */
const struct vn_steps *vn_steps_find(const char *name);
