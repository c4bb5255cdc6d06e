/* Inside a trunk: what its memory (trunk.c), forward and backward pass share.
 *
 * A block's first convolutions are one: the groups' hidden channels lie side by side, G h in all,
 * and one transform or copy of x serves them. Its second ones are apart, as each has statistics of
 * its own. Rows take some of the groups: passes go over those, adjacent ones together. */
#pragma once

#include <omp.h>
#include <string.h>

#include "train/conv.h"
#include "train/grid.h"
#include "train/norm.h"
#include "train/trunk.h"

struct norm {
    struct vn_norm n;
    struct vn_norm_slope back;
};

struct block {
    struct vn_block dims;
    uint32_t hidden;                  /* G h */
    struct vn_conv_plan conv1, conv2; /* of all groups, of one */
    struct vn_grid grid;              /* of Ho x Wo */
    bool fast1, fast2;                /* by the grid, not directly */
    size_t pixels;                    /* Ho Wo */
    const float *x;                   /* (R, H, W, Ci) borrowed: the previous output */
    float *c1, *d1;                   /* (R, Ho, Wo, G h) conv1 before BN1, and its gradient */
    float *c2[VN_GROUPS_MAX];         /* (R, Ho, Wo, Co) conv2 before BN2 */
    float *y;                         /* (R, Ho, Wo, Co) */
    struct norm norm1, norm2[VN_GROUPS_MAX];
    uint16_t *active;                 /* (R) bit g: the row takes group g */
    uint32_t n_active[VN_GROUPS_MAX]; /* rows */
};

struct stem {
    struct vn_conv_plan conv;
    size_t pixels;
    float *c; /* (R, Ho, Wo, W0) before BN */
    float *y;
    struct norm norm;
};

/* What one thread needs for itself. */
struct lane {
    float *pad1, *pad2, *row1, *row2; /* padded operands, some rows */
    float *v, *d, *m;                 /* a strip's operands in the transformed domain */
    float *zeros;
    float *dw;          /* weight gradients of a block: conv2 of all groups, conv1 */
    double *sums, *sum; /* batch-norm sums of a pass; of one row */
    uint16_t list[VN_GROUPS_MAX][VN_STRIP_TILES];
};

struct vn_trunk {
    struct vn_network network; /* shallow copy: the backbone's, or the agent's derived one */
    const struct vn_trunk_layout *where;
    const struct vn_steps *steps;
    uint32_t input, m, g, max_rows, threads, rows;
    size_t image_floats;
    size_t n_sums; /* doubles */
    struct stem stem;
    struct block block[VN_BLOCKS_MAX];
    float *dy[2];  /* (R, largest activation): gradients, ping-pong */
    float *packed; /* weights of a block's convolution, as one direction wants them */
    float *u;      /* transformed */
    struct lane *lane;
    const struct vn_row *row; /* during a forward and its backward */
    const float *images;
    double flops;
    bool down;   /* this pass takes its rows from the last to the first */
    bool turned; /* so did the last of the forward passes: every backward one begins alike */
};

/* Of the convolutions of all rows in one direction: of a block, of the stem. */
static inline double block_flops(const struct vn_trunk *t, const struct block *b)
{
    double rows = 0;

    for (uint32_t g = 0; g < t->g; g++)
        rows += b->n_active[g];
    return rows * 2 * (double)b->pixels * 9 * b->dims.h * (b->dims.ci + b->dims.co);
}

static inline double stem_flops(const struct vn_trunk *t)
{
    const struct vn_conv *c = &t->stem.conv.shape;

    return t->rows * 2.0 * (double)t->stem.pixels * c->k * c->k * c->ci * c->co;
}

struct pass {
    struct vn_trunk *t;
    struct vn_model *m;
    enum vn_trunk_mode mode;
    float momentum;
};

/* --- sharing rows between threads ------------------------------------------------------------- */

/* Runs the statement that follows for every row; each thread has its own lane and a fixed,
 * contiguous share of the rows. Every pass goes the other way than the one before it: the rows that
 * were last are still in cache. */
/* (clang-format takes pragmas in macros apart) */
/* clang-format off */
#define FOR_ROWS(t, r, l)                                                                          \
    FOR_STRIPS(t, 1, r##_strip, l)                                                                 \
        for (uint32_t r = r##_strip.first; r < r##_strip.end; r++)

/* The same for some rows at a time: strip s. */
#define FOR_STRIPS(t, images, s, l)                                                                \
    (t)->down = !(t)->down;                                                                        \
    _Pragma("omp parallel num_threads((int)(t)->threads)")                                         \
    for (struct lane *l = &(t)->lane[omp_get_thread_num()], *once = l; once; once = NULL)          \
        for (struct strip s = strip_none(t); strip_next(t, images, &s);)
/* clang-format on */

struct strip {
    uint32_t first, end; /* rows */
    uint32_t left, stop; /* of the thread's share: those that are still to come */
};

/* Before the first strip of this thread's share. */
static inline struct strip strip_none(const struct vn_trunk *t)
{
    const uint64_t thread = (uint64_t)omp_get_thread_num(), n = (uint64_t)omp_get_num_threads();

    return (struct strip){.left = (uint32_t)(t->rows * thread / n),
                          .stop = (uint32_t)(t->rows * (thread + 1) / n)};
}

static inline bool strip_next(const struct vn_trunk *t, uint32_t images, struct strip *s)
{
    const uint32_t n = s->stop - s->left < images ? s->stop - s->left : images;

    s->first = t->down ? s->stop - n : s->left;
    s->end = s->first + n;
    if (t->down)
        s->stop -= n;
    else
        s->left += n;
    return n > 0;
}

/* --- groups ----------------------------------------------------------------------------------- */

/* After {0}, the next adjacent groups [first, end) of a set. */
struct run {
    uint32_t first, end;
};

static inline bool run_next(uint32_t set, struct run *r)
{
    if (!(set >> r->end))
        return false;
    r->first = r->end + (uint32_t)__builtin_ctz(set >> r->end);
    r->end = r->first + (uint32_t)__builtin_ctz(~(set >> r->first));
    return true;
}

#define FOR_RUNS(set, run) for (struct run run = {0}; run_next(set, &run);)

#define FOR_GROUPS(set, g)                                                                         \
    for (uint32_t g = 0, set_##g = (set); set_##g >> g; g++)                                       \
        if (set_##g >> g & 1)

/* --- sums ------------------------------------------------------------------------------------- */

static inline void sums_clear(struct vn_trunk *t)
{
    for (uint32_t i = 0; i < t->threads; i++)
        memset(t->lane[i].sums, 0, t->n_sums * sizeof(double));
}

/* Joins the threads' sums, in thread order; the result is in lane 0. */
static inline void sums_join(struct vn_trunk *t)
{
    for (uint32_t i = 1; i < t->threads; i++)
        for (size_t k = 0; k < t->n_sums; k++)
            t->lane[0].sums[k] += t->lane[i].sums[k];
}

/* Of c channels; the c after those of group g where groups are apart. */
static inline struct vn_sums sums_of(const struct lane *l, uint32_t g, uint32_t c)
{
    return (struct vn_sums){l->sums + (size_t)2 * g * c, l->sums + (size_t)(2 * g + 1) * c};
}

/* --- one row --------------------------------------------------------------------------------- */

/* The (gamma, beta) row of this trunk's input in a [inputs, 2, c] tensor, as an index. */
static inline size_t norm_at(const struct pass *p, uint32_t tensor, uint32_t c)
{
    return vn_model_at(p->m, tensor) + (size_t)p->t->input * 2 * c;
}

/* The channels of a run of groups, in a row's hidden activation. */
static inline struct vn_plane hidden_plane(const struct block *b, struct run run)
{
    return (struct vn_plane){b->pixels, b->hidden, (run.end - run.first) * b->dims.h};
}

static inline float *hidden_row(const struct block *b, float *base, uint32_t r)
{
    return base + r * b->pixels * b->hidden;
}

static inline float *output_row(const struct block *b, float *base, uint32_t r)
{
    return base + r * b->pixels * b->dims.co;
}

static inline const float *input_row(const struct block *b, const float *base, uint32_t r)
{
    return base + (size_t)r * b->conv1.shape.h * b->conv1.shape.w * b->dims.ci;
}

/* --- strips of a convolution by the grid: trunk_strip.c --------------------------------------- */

/* What a thread transforms at a time: the strip's images, or the same tiles of each. Tiles of the
 * rows that take group g are lane->list[g]. */
struct part {
    const struct vn_trunk *t;
    const struct block *b;
    struct lane *l;
    struct strip strip;
    uint32_t first, end;             /* tiles of an image */
    uint64_t rows_of[VN_GROUPS_MAX]; /* bit i: row strip.first + i takes the group */
};

/* After vn_part_of, the next part; false: none. */
struct part vn_part_of(const struct vn_trunk *t, const struct block *b, struct lane *l,
                       struct strip s);
bool vn_part_next(struct part *p);

#define FOR_PARTS(part, t, b, l, s)                                                                \
    for (struct part part = vn_part_of(t, b, l, s); vn_part_next(&part);)

/* Row r's tiles. */
struct vn_grid_part vn_part_row(const struct part *p, uint32_t r);

/* After {0}, the next adjacent groups that the same rows take. */
bool vn_part_run_next(const struct part *p, struct run *r);

#define FOR_SHARED_RUNS(part, run) for (struct run run = {0}; vn_part_run_next(&part, &run);)

static inline struct vn_tile_list part_tiles(const struct part *p, uint32_t g)
{
    return (struct vn_tile_list){p->l->list[g], (uint32_t)__builtin_popcountll(p->rows_of[g]) *
                                                    (p->end - p->first)};
}

#define FOR_STRIP_ROWS(s, r) for (uint32_t r = (s).first; r < (s).end; r++)

/* Operands of a strip. */
static inline struct vn_positions positions(float *at, uint32_t channels)
{
    return vn_positions_of(VN_STRIP_TILES, channels, at);
}

static inline struct vn_positions positions_from(struct vn_positions p, size_t channel)
{
    p.at += channel;
    return p;
}

/* --- weights of a block: trunk_weights.c ------------------------------------------------------ */

/* Weights of one direction. Fast: u, transformed. Direct: w, in the taps' order. */
struct weights {
    uint32_t rows, columns;
    const float *w, *u;
    size_t u_pitch;
};

/* conv1 of all groups: Ci rows, G h columns; and transposed, for the input gradient. They hold
 * until the next of these calls. */
struct weights vn_weights_conv1(const struct pass *p, const struct block *b, uint32_t index);
struct weights vn_weights_conv1_back(const struct pass *p, const struct block *b, uint32_t index);

/* conv2 of every group: ret[g], h rows, Co columns; and transposed. */
void vn_weights_conv2(const struct pass *p, const struct block *b, uint32_t index,
                      struct weights *ret);
void vn_weights_conv2_back(const struct pass *p, const struct block *b, uint32_t index,
                           struct weights *ret);

/* Floats that these need in t->packed and t->u. */
size_t vn_weights_packed_floats(const struct block *b);
size_t vn_weights_u_floats(const struct vn_trunk *t, const struct block *b);

/* A lane's weight gradients of a block: conv2 of group g, or conv1 of all groups with g = G; and
 * what they take in all. */
size_t vn_dw_at(const struct vn_trunk *t, const struct block *b, uint32_t g);
size_t vn_dw_floats(const struct vn_trunk *t, const struct block *b);

static inline struct vn_positions du_of(const struct vn_trunk *t, const struct block *b,
                                        const struct lane *l, uint32_t g)
{
    const uint32_t rows = g == t->g ? b->dims.ci : b->dims.h;

    return vn_positions_of(rows, g == t->g ? b->hidden : b->dims.co, l->dw + vn_dw_at(t, b, g));
}

void vn_dw_clear(struct vn_trunk *t, const struct block *b);
/* Adds all lanes' to the model's gradients, in the order of lanes. */
void vn_dw_join(const struct pass *p, const struct block *b, uint32_t index);

/* m = or += v . w of the tiles of group g's rows: rows and columns of w as in struct vn_product. */
void vn_part_product(const struct part *p, uint32_t g, const struct weights *w,
                     struct vn_positions v, uint32_t first_row, uint32_t rows,
                     struct vn_positions m, uint32_t column, uint32_t end, bool add);

/* --- hidden activations: trunk_forward.c ------------------------------------------------------ */

/* relu(BN1(c1)) of a row's groups; of a strip's rows in lane->row1; transformed. */
void vn_hidden_row(const struct block *b, uint32_t r, float *to);
void vn_hidden_strip(const struct block *b, struct strip s, struct lane *l);
void vn_hidden_input(const struct part *part, struct vn_positions v);
