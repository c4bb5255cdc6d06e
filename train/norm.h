/* Batch normalisation of one branch or the stem in training: statistics over all rows that take the
 * branch, and the same as one multiply-add per number:
 *     y = gamma (x - mean) / sqrt(var + eps) + beta = scale x + bias
 *
 * Dimensions: C channels of a row's pixels, which lie `stride` floats apart: groups side by side
 * are channels of one image. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VN_NORM_EPS 1e-5f

struct vn_norm {
    float *mean, *inv;   /* (C) of the batch or the running statistics; inv = 1 / sqrt(var + eps) */
    float *scale, *bias; /* (C) */
};

/* The gradient through a norm: dx = a dy + b x + c0. */
struct vn_norm_slope {
    float *a, *b, *c0; /* (C) */
};

/* What a batch's rows add up to. Forward: of x and x x, for mean and variance. Backward: of dy and
 * dy x. */
struct vn_sums {
    double *plain, *product; /* (C) */
};

static inline struct vn_norm vn_norm_at(const struct vn_norm *n, size_t channel)
{
    return (struct vn_norm){n->mean + channel, n->inv + channel, n->scale + channel,
                            n->bias + channel};
}

static inline struct vn_norm_slope vn_slope_at(const struct vn_norm_slope *s, size_t channel)
{
    return (struct vn_norm_slope){s->a + channel, s->b + channel, s->c0 + channel};
}

static inline struct vn_sums vn_sums_at(struct vn_sums s, size_t channel)
{
    return (struct vn_sums){s.plain + channel, s.product + channel};
}

/* Statistics of the batch; running = (1 - momentum) running + momentum batch, unless count = 0. */
void vn_norm_from_batch(struct vn_norm *n, uint32_t c, struct vn_sums sums, size_t count,
                        const float *gamma, const float *beta, float momentum, float *running_mean,
                        float *running_var);
/* That last line alone. */
void vn_norm_follow(uint32_t c, struct vn_sums sums, size_t count, float momentum,
                    float *running_mean, float *running_var);
void vn_norm_from_running(struct vn_norm *n, uint32_t c, const float *gamma, const float *beta,
                          const float *running_mean, const float *running_var);

/* The slope, from the backward sums; adds to dgamma and dbeta. */
void vn_norm_backward(const struct vn_norm *n, uint32_t c, struct vn_sums sums, size_t count,
                      const float *gamma, float *dgamma, float *dbeta, struct vn_norm_slope *slope);

/* The slope where mean and variance are fixed numbers: dx = scale dy. */
void vn_norm_backward_fixed(const struct vn_norm *n, uint32_t c, struct vn_norm_slope *slope);

/* --- passes over a row's pixels --------------------------------------------------------------- */

struct vn_plane {
    size_t pixels, stride;
    uint32_t c;
};

/* sums += those of x and x x. */
void vn_norm_sum(struct vn_plane p, const float *x, struct vn_sums sums);

/* out = max(0, scale x + bias) */
void vn_norm_relu(struct vn_plane p, const struct vn_norm *n, const float *x, float *out);

/* out = max(0, base + sum over n branches of scale x + bias); n > 0. base may be out. */
void vn_norm_join(struct vn_plane p, uint32_t n, const struct vn_norm *const *norm,
                  const float *const *x, const float *base, float *out);

/* The gradient through vn_norm_join: d = 0 where y <= 0; sums += those of d, d x of every branch.
 * work: (C). */
void vn_norm_join_back(struct vn_plane p, const float *y, float *d, uint32_t n,
                       const float *const *x, const struct vn_sums *sums, double *work);

/* The gradient through vn_norm_relu: d = 0 where scale x + bias <= 0; sums += those of d, d x. */
void vn_norm_relu_back(struct vn_plane p, const struct vn_norm *n, const float *x, float *d,
                       struct vn_sums sums);

/* out = a dy + b x + c0 */
void vn_norm_apply_slope(struct vn_plane p, const struct vn_norm_slope *s, const float *dy,
                         const float *x, float *out);

/* --- for one instruction set: norm_tile.c ----------------------------------------------------- */

struct vn_norm_loops {
    void (*sum)(struct vn_plane p, const float *x, struct vn_sums sums);
    void (*relu)(struct vn_plane p, const float *scale, const float *bias, const float *x,
                 float *out);
    /* without, with max(0, .) */
    void (*add[2])(struct vn_plane p, const float *scale, const float *bias, const float *x,
                   const float *base, float *out);
    void (*mask)(struct vn_plane p, const float *y, float *d, double *plain);
    void (*dot)(struct vn_plane p, const float *a, const float *b, double *product);
    void (*relu_back)(struct vn_plane p, const float *scale, const float *bias, const float *x,
                      float *d, struct vn_sums sums);
    void (*slope)(struct vn_plane p, const struct vn_norm_slope *s, const float *dy, const float *x,
                  float *out);
};
