/* The register tiles that every convolution is made of, forward and backward, in the engine and in
 * training.
 *
 * A tile holds some pixels x some columns (output channels) of the result in registers while it
 * walks the rows of the weights. Rows come in runs: along one run each pixel's operand lies
 * contiguously in memory, so that a run needs one pointer for each pixel:
 *     y[p][o] = finish(sum over runs r and rows c of x[r][p][c] * w[r * run + c][o])
 * Weights are read where they lie, row-major, any number of columns. Nothing outside an operand is
 * read: a vector that reaches beyond the columns of a row ends in the next row, whose numbers go
 * into columns that are never stored, and the last rows are read in parts. Each result is summed in
 * the order of the rows, whatever tile it is in, so that it does not depend on its neighbours.
 *
 * engine/taps_tile.c is written over GCC's vectors and compiled for each instruction set and vector
 * width; a table below is what one processor uses. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VN_TAPS_PIXELS_MAX 8 /* of any table */
#define VN_TAPS_STEP 16      /* rows between two hints */

/* What becomes of a sum, in this order; 0: y = sum. */
enum vn_taps_end {
    VN_TAPS_SCALE = 1, /* scale * sum + bias */
    VN_TAPS_ADD = 2,   /* + add */
    VN_TAPS_RELU = 4,  /* max(0, .) */
};

struct vn_taps_tile {
    uint32_t n_runs, run;    /* rows of w: n_runs * run */
    const float *const *x;   /* (n_runs, pixels of the table): each points to `run` floats */
    const float *w;          /* (n_runs * run, co) */
    uint32_t co;             /* columns */
    uint32_t first, end;     /* the columns that are wanted */
    unsigned finish;         /* enum vn_taps_end */
    const float *scale;      /* (co), unused without SCALE */
    const float *bias;       /* (co), likewise */
    uint32_t n;              /* pixels that are wanted, from the first; others only need pointers */
    float *const *y;         /* (n) each points to co floats */
    const float *const *add; /* (n) likewise, may be y; unused without ADD */

    /* Rows of weights that are needed next, of which some are asked for at every step: a hint, it
     * may point anywhere. 0 rows: nothing. */
    const float *ahead;
    uint32_t ahead_rows;
};

/* dw (rows, co) += sum over pixels p of x[p] (rows) times dy[p] (co). */
struct vn_taps_outer {
    uint32_t n_pixels;
    const float *x;         /* pixel p's operand starts at x + offset[p] */
    const uint32_t *offset; /* (n_pixels) */
    uint32_t rows, co;
    const float *dy; /* (n_pixels, co) */
    float *dw;       /* (rows, co) */
};

/* One vector width. A tile is one or two vectors wide; it covers `columns` from `column` on, fewer
 * than its width where the result ends. */
struct vn_taps_width {
    uint32_t lanes;  /* floats in a vector */
    uint32_t pixels; /* of a tile */
    void (*tile[2])(const struct vn_taps_tile *t, uint32_t column, uint32_t columns);
    void (*outer[2])(const struct vn_taps_outer *t, uint32_t column, uint32_t columns);
};

struct vn_taps_kernels {
    const char *name;                     /* of the instruction set */
    const struct vn_taps_width *width[2]; /* the widest first; the second may be NULL */
};

extern const struct vn_taps_kernels vn_taps_generic;
#ifdef __x86_64__
extern const struct vn_taps_kernels vn_taps_avx2, vn_taps_avx512;
#elif defined(__aarch64__)
extern const struct vn_taps_kernels vn_taps_neon;
#endif

/* By name; NULL: no such table, or not for this processor. NULL finds the best. */
const struct vn_taps_kernels *vn_taps_find(const char *name);

static inline uint32_t vn_taps_pixels(const struct vn_taps_kernels *k)
{
    return k->width[0]->pixels;
}

void vn_taps_tile(const struct vn_taps_kernels *k, const struct vn_taps_tile *t);
void vn_taps_outer(const struct vn_taps_kernels *k, const struct vn_taps_outer *t);
