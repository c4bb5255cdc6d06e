/* The four steps of a Winograd convolution for one instruction set; engine/winograd.c has the
 * method and calls them, engine/winograd_tile.c is compiled for each instruction set and vector
 * width.
 *
 * A tile is 4 x 4 output pixels, computed from 6 x 6 input pixels: POSITIONS numbers in the
 * transformed domain. Operands there are one matrix for each position, `pitch` floats apart. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VN_WINOGRAD_OUT 4
#define VN_WINOGRAD_IN 6
#define VN_WINOGRAD_POSITIONS 36

#define VN_WINOGRAD_LANES_MAX 16
#define VN_WINOGRAD_TILES_MAX 8
#define VN_WINOGRAD_VECTORS 2 /* of columns in a panel */
#define VN_WINOGRAD_STEP 16   /* rows of a product between hints */

/* Rows of the weights, one vector of columns: u[position][row] = G (scale * w) G', zero beyond
 * `columns`. */
struct vn_winograd_weights {
    const float *const *w;     /* (rows) each points to the row's columns in the first tap */
    const float *const *scale; /* (rows) likewise */
    size_t tap;                /* floats from one tap to the next */
    uint32_t rows, columns;
    float *u;
    size_t u_row, pitch;
};

/* Weights that are needed next and asked for while products are computed: they come from memory in
 * an order that the processor does not foresee. A hint may point anywhere. */
struct vn_winograd_ahead {
    const float *const *w[VN_WINOGRAD_VECTORS]; /* as above, of each vector of columns */
    uint32_t vectors, rows;
    uint32_t quarter, each; /* of the rows; of a quarter, at each step: 0 when nothing is needed */
    size_t tap;
};

/* m[position] (tiles, vectors * lanes) = or += v[position] (tiles, rows) . u[position] (rows,
 * vectors * lanes). Rows of v may be read for up to VN_WINOGRAD_TILES_MAX tiles. */
struct vn_winograd_product {
    const float *v, *u;
    float *m;
    size_t v_pitch, u_pitch, m_pitch;
    uint32_t v_row; /* floats from one tile to the next */
    uint32_t tiles, rows, vectors;
    bool add;
    const struct vn_winograd_ahead *ahead;
};

/* One tile's results: y = [max(0,] [add +] A' m A + bias [)] for the output pixels (rows, columns)
 * that exist, `channels` each. */
struct vn_winograd_output {
    const float *m; /* of the tile, (lanes * vectors) at each position */
    size_t m_pitch;
    const float *bias;      /* (channels) */
    const float *add;       /* laid out as y; NULL: nothing */
    float *y;               /* the first pixel */
    size_t y_row, y_pixel;  /* floats from one to the next */
    uint32_t rows, columns; /* of pixels, at most 4 */
    uint32_t channels;      /* at most vectors * lanes */
    bool relu;
};

struct vn_winograd_tiles {
    const char *name;
    uint32_t lanes; /* floats in a vector */
    uint32_t tiles; /* the best number for one product */
    /* v[position] (ci rounded up to lanes) = B' x B of the pixels x[y * 6 + x] (ci). */
    void (*input)(const float *const *x, uint32_t ci, float *v, size_t pitch);
    void (*weights)(const struct vn_winograd_weights *w);
    void (*product)(const struct vn_winograd_product *p);
    void (*output)(const struct vn_winograd_output *o);
};
