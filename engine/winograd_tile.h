/* The four steps of a Winograd convolution for one instruction set; engine/winograd.c has the method
 * and calls them, engine/winograd_tile.c is compiled for each instruction set and vector width.
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

/* Rows of a convolution's weights: u[position][row][column] = G (scale * w) G'. Columns of the last
 * vector beyond `columns` become zero. */
struct vn_winograd_weights {
    const float *w;         /* the first row of the first tap */
    size_t tap, row;        /* floats from one tap, one row to the next */
    const float *scale;     /* (columns) */
    uint32_t rows, columns;
    float *u;
    size_t u_row, pitch;
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
