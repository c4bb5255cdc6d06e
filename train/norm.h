/* Batch normalisation of one branch, over the rows of a batch that take it:
 *     y = gamma (x - mean) / sqrt(var + eps) + beta = scale x + bias
 * The batch's sums are gathered by the caller's loops (they touch the numbers anyway); this file
 * turns sums into scale and bias, and into the coefficients of the backward pass. C = channels. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VN_NORM_EPS 1e-5f

struct vn_norm {
    float *mean, *inv;   /* (C) of the batch or the running statistics; inv = 1 / sqrt(var + eps) */
    float *scale, *bias; /* (C) */
};

/* Adds to the sums of one branch, (2, C) in double: those of a, and of a x. Forward: a = x, for
 * mean and variance. Backward: a = dy. Both (pixels, C). */
void vn_norm_sum(double *sums, const float *a, const float *x, size_t pixels, uint32_t c);

/* Statistics of the batch; running = (1 - momentum) running + momentum batch, unless count = 0. */
void vn_norm_from_batch(struct vn_norm *n, uint32_t c, const double *sums, size_t count,
                        const float *gamma, const float *beta, float momentum, float *running_mean,
                        float *running_var);
void vn_norm_from_running(struct vn_norm *n, uint32_t c, const float *gamma, const float *beta,
                          const float *running_mean, const float *running_var);

/* dx = a dy + b x + c0, from the backward sums; adds to dgamma and dbeta. coefficients: (3, C). */
void vn_norm_backward(const struct vn_norm *n, uint32_t c, const double *sums, size_t count,
                      const float *gamma, float *dgamma, float *dbeta, float *coefficients);

/* out = max(0, scale x + bias), or += without the maximum. (pixels, C) */
void vn_norm_relu(const struct vn_norm *n, const float *x, size_t pixels, uint32_t c, float *out);
void vn_norm_add(const struct vn_norm *n, const float *x, size_t pixels, uint32_t c, float *out);

/* out = a dy + b x + c0 */
void vn_norm_apply_backward(const float *coefficients, const float *dy, const float *x,
                            size_t pixels, uint32_t c, float *out);

/* d = 0 where scale x + bias <= 0: the gradient through vn_norm_relu. */
void vn_norm_mask(const struct vn_norm *n, const float *x, size_t pixels, uint32_t c, float *d);
