#include "train/norm.h"

#include <math.h>
#include <string.h>

#include "train/steps.h"

static void set_affine(struct vn_norm *n, uint32_t i, const float *gamma, const float *beta)
{
    n->scale[i] = gamma[i] * n->inv[i];
    n->bias[i] = beta[i] - n->mean[i] * n->scale[i];
}

struct moments {
    double mean, var;
};

static struct moments moments(struct vn_sums sums, uint32_t i, size_t count)
{
    double mean = sums.plain[i] / (double)count;

    return (struct moments){mean, fmax(sums.product[i] / (double)count - mean * mean, 0)};
}

void vn_norm_from_batch(struct vn_norm *n, uint32_t c, struct vn_sums sums, size_t count,
                        const float *gamma, const float *beta, float momentum, float *running_mean,
                        float *running_var)
{
    for (uint32_t i = 0; i < c && count; i++) {
        const struct moments now = moments(sums, i, count);

        n->mean[i] = (float)now.mean;
        n->inv[i] = (float)(1 / sqrt(now.var + VN_NORM_EPS));
        set_affine(n, i, gamma, beta);
    }
    vn_norm_follow(c, sums, count, momentum, running_mean, running_var);
}

void vn_norm_follow(uint32_t c, struct vn_sums sums, size_t count, float momentum,
                    float *running_mean, float *running_var)
{
    for (uint32_t i = 0; i < c && count; i++) {
        const struct moments now = moments(sums, i, count);

        running_mean[i] += momentum * ((float)now.mean - running_mean[i]);
        running_var[i] += momentum * ((float)now.var - running_var[i]);
    }
}

void vn_norm_from_running(struct vn_norm *n, uint32_t c, const float *gamma, const float *beta,
                          const float *running_mean, const float *running_var)
{
    for (uint32_t i = 0; i < c; i++) {
        n->mean[i] = running_mean[i];
        n->inv[i] = 1 / sqrtf(running_var[i] + VN_NORM_EPS);
        set_affine(n, i, gamma, beta);
    }
}

/* With xh = (x - mean) inv, and means over the batch:
 *     dx = gamma inv (dy - mean(dy) - xh mean(dy xh)) */
void vn_norm_backward(const struct vn_norm *n, uint32_t c, struct vn_sums sums, size_t count,
                      const float *gamma, float *dgamma, float *dbeta, struct vn_norm_slope *slope)
{
    for (uint32_t i = 0; i < c && count; i++) {
        double sum_dy = sums.plain[i];
        double sum_dy_xh = (sums.product[i] - n->mean[i] * sum_dy) * n->inv[i];
        double a = (double)gamma[i] * n->inv[i];
        double b = -a * n->inv[i] * sum_dy_xh / (double)count;

        dgamma[i] += (float)sum_dy_xh;
        dbeta[i] += (float)sum_dy;
        slope->a[i] = (float)a;
        slope->b[i] = (float)b;
        slope->c0[i] = (float)(-b * n->mean[i] - a * sum_dy / (double)count);
    }
}

void vn_norm_backward_fixed(const struct vn_norm *n, uint32_t c, struct vn_norm_slope *slope)
{
    for (uint32_t i = 0; i < c; i++) {
        slope->a[i] = n->scale[i];
        slope->b[i] = slope->c0[i] = 0;
    }
}

/* --- passes over a row's pixels --------------------------------------------------------------- */

static const struct vn_norm_loops *loops(void)
{
    return vn_steps_find(NULL)->norm;
}

void vn_norm_sum(struct vn_plane p, const float *x, struct vn_sums sums)
{
    loops()->sum(p, x, sums);
}

void vn_norm_relu(struct vn_plane p, const struct vn_norm *n, const float *x, float *out)
{
    loops()->relu(p, n->scale, n->bias, x, out);
}

#define NUMBERS 4096 /* that several passes take while they are in the first-level cache */

/* The next pixels of so many: NUMBERS / c. */
static struct vn_plane some(struct vn_plane p, size_t first)
{
    size_t most = NUMBERS / p.c + 1;

    if (first + most < p.pixels)
        p.pixels = most;
    else
        p.pixels -= first;
    return p;
}

void vn_norm_join(struct vn_plane p, uint32_t n, const struct vn_norm *const *norm,
                  const float *const *x, const float *base, float *out)
{
    const struct vn_norm_loops *l = loops();
    struct vn_plane now;

    for (size_t first = 0; first < p.pixels; first += now.pixels) {
        const size_t at = first * p.stride;

        now = some(p, first);
        for (uint32_t i = 0; i < n; i++)
            l->add[i + 1 == n](now, norm[i]->scale, norm[i]->bias, x[i] + at, (i ? out : base) + at,
                               out + at);
    }
}

void vn_norm_join_back(struct vn_plane p, const float *y, float *d, uint32_t n,
                       const float *const *x, const struct vn_sums *sums, double *work)
{
    const struct vn_norm_loops *l = loops();
    struct vn_plane now;

    memset(work, 0, p.c * sizeof *work);
    for (size_t first = 0; first < p.pixels; first += now.pixels) {
        const size_t at = first * p.stride;

        now = some(p, first);
        l->mask(now, y + at, d + at, work);
        for (uint32_t i = 0; i < n; i++)
            l->dot(now, d + at, x[i] + at, sums[i].product);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < p.c; k++)
            sums[i].plain[k] += work[k];
}

void vn_norm_relu_back(struct vn_plane p, const struct vn_norm *n, const float *x, float *d,
                       struct vn_sums sums)
{
    loops()->relu_back(p, n->scale, n->bias, x, d, sums);
}

void vn_norm_apply_slope(struct vn_plane p, const struct vn_norm_slope *s, const float *dy,
                         const float *x, float *out)
{
    loops()->slope(p, s, dy, x, out);
}
