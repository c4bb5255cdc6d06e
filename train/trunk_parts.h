/* Inside a trunk: what its memory (trunk.c), forward and backward pass share. */
#pragma once

#include <omp.h>
#include <string.h>

#include "train/conv.h"
#include "train/norm.h"
#include "train/trunk.h"

/* One branch of a block: its convolutions' raw outputs, for the rows that take it. */
struct branch {
    uint32_t n_active;
    uint32_t *place; /* (R) row -> place among the active, or UINT32_MAX */
    float *c1;       /* (active, Ho, Wo, h) conv1 before BN1 */
    float *c2;       /* (active, Ho, Wo, Co) conv2 before BN2 */
    float *d1;       /* (active, Ho, Wo, h) gradient before BN1 */
    struct vn_norm norm1, norm2;
    float *back1, *back2; /* (3, h), (3, Co) coefficients of the backward pass */
    float *wt1, *wt2;     /* packed weights for the input gradients */
};

struct block {
    struct vn_block dims;
    struct vn_conv_plan conv1, conv2;
    size_t pixels;  /* Ho Wo */
    const float *x; /* (R, H, W, Ci) borrowed: the previous output */
    float *y;       /* (R, Ho, Wo, Co) */
    struct branch branch[VN_GROUPS_MAX];
};

struct stem {
    struct vn_conv_plan conv;
    size_t pixels;
    float *c; /* (R, Ho, Wo, W0) before BN */
    float *y;
    struct vn_norm norm;
    float *back;
};

/* What one thread needs for itself. */
struct lane {
    float *pad1, *pad2, *row; /* padded operands, one row's gradient */
    float *dw;                /* weight gradients of the largest block, all groups */
    double *sums;             /* batch-norm sums: (g, 2, widest) */
};

struct vn_trunk {
    struct vn_network network; /* shallow copy: the backbone's, or the agent's derived one */
    const struct vn_trunk_layout *where;
    uint32_t input, m, g, max_rows, threads, rows;
    size_t image_floats;
    size_t sums_stride; /* doubles between the sums of two groups */
    struct stem stem;
    struct block block[VN_BLOCKS_MAX];
    float *dy[2]; /* (R, largest activation): gradients, ping-pong */
    struct lane *lane;
    const struct vn_row *row; /* during a forward and its backward */
    const float *images;
};

struct pass {
    struct vn_trunk *t;
    struct vn_model *m;
    enum vn_trunk_mode mode;
    float momentum;
};

/* --- sharing rows between threads ------------------------------------------------------------- */

/* Runs the statement that follows for every row; each thread has its own lane and a fixed,
 * contiguous share of the rows. */
/* (clang-format takes pragmas in macros apart) */
/* clang-format off */
#define FOR_ROWS(t, r, l)                                                                          \
    _Pragma("omp parallel num_threads((int)(t)->threads)")                                         \
    for (struct lane *l = &(t)->lane[omp_get_thread_num()], *once = l; once; once = NULL)          \
        _Pragma("omp for schedule(static)")                                                        \
        for (uint32_t r = 0; r < (t)->rows; r++)
/* clang-format on */

/* Walks the branches that row r takes. */
#define FOR_BRANCHES(t, b, r, g, a)                                                                \
    for (uint32_t g = 0; g < (t)->g; g++)                                                          \
        for (struct branch *a = &(b)->branch[g]; a && a->place[r] != UINT32_MAX; a = NULL)

static inline float *branch_row(float *base, const struct branch *a, uint32_t r, size_t floats)
{
    return base + a->place[r] * floats;
}

static inline void sums_clear(struct vn_trunk *t)
{
    for (uint32_t i = 0; i < t->threads; i++)
        memset(t->lane[i].sums, 0, t->g * t->sums_stride * sizeof(double));
}

/* Joins the threads' sums of group g, in thread order; the result is in lane 0. */
static inline const double *sums_join(struct vn_trunk *t, uint32_t g)
{
    double *to = t->lane[0].sums + g * t->sums_stride;

    for (uint32_t i = 1; i < t->threads; i++)
        for (size_t k = 0; k < t->sums_stride; k++)
            to[k] += t->lane[i].sums[g * t->sums_stride + k];
    return to;
}

/* --- one row --------------------------------------------------------------------------------- */

/* The (gamma, beta) row of this trunk's input in a [inputs, 2, c] tensor, as an index. */
static inline size_t norm_at(const struct pass *p, uint32_t tensor, uint32_t c)
{
    return vn_model_at(p->m, tensor) + (size_t)p->t->input * 2 * c;
}

/* The padded hidden activation of one row and branch. */
static inline void hidden_padded(const struct block *b, const struct branch *a, uint32_t r,
                                 struct lane *l)
{
    const struct vn_conv *c = &b->conv2.shape;

    vn_norm_relu(&a->norm1, branch_row(a->c1, a, r, b->pixels * c->ci), b->pixels, c->ci, l->row);
    vn_conv_pad(l->row, c->h, c->w, c->ci, 1, l->pad1);
}
