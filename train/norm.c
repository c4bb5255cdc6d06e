#include "train/norm.h"

#include <math.h>

/* Sums over one row's pixels are short enough for float; rows are added in double. */
#define CHUNK 64

void vn_norm_sum(double *sums, const float *a, const float *x, size_t pixels, uint32_t c)
{
    float s[CHUNK], q[CHUNK];

    for (uint32_t first = 0; first < c; first += CHUNK) {
        uint32_t n = c - first < CHUNK ? c - first : CHUNK;

        for (uint32_t i = 0; i < n; i++)
            s[i] = q[i] = 0;
        for (size_t p = 0; p < pixels; p++) {
            const float *d = a + p * c + first, *v = x + p * c + first;

            for (uint32_t i = 0; i < n; i++) {
                s[i] += d[i];
                q[i] += d[i] * v[i];
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            sums[first + i] += s[i];
            sums[c + first + i] += q[i];
        }
    }
}

static void set_affine(struct vn_norm *n, uint32_t i, const float *gamma, const float *beta)
{
    n->scale[i] = gamma[i] * n->inv[i];
    n->bias[i] = beta[i] - n->mean[i] * n->scale[i];
}

void vn_norm_from_batch(struct vn_norm *n, uint32_t c, const double *sums, size_t count,
                        const float *gamma, const float *beta, float momentum, float *running_mean,
                        float *running_var)
{
    for (uint32_t i = 0; i < c && count; i++) {
        double mean = sums[i] / (double)count;
        double var = fmax(sums[c + i] / (double)count - mean * mean, 0);

        n->mean[i] = (float)mean;
        n->inv[i] = (float)(1 / sqrt(var + VN_NORM_EPS));
        running_mean[i] += momentum * ((float)mean - running_mean[i]);
        running_var[i] += momentum * ((float)var - running_var[i]);
        set_affine(n, i, gamma, beta);
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
void vn_norm_backward(const struct vn_norm *n, uint32_t c, const double *sums, size_t count,
                      const float *gamma, float *dgamma, float *dbeta, float *coefficients)
{
    for (uint32_t i = 0; i < c && count; i++) {
        double sum_dy = sums[i];
        double sum_dy_xh = (sums[c + i] - n->mean[i] * sum_dy) * n->inv[i];
        double a = (double)gamma[i] * n->inv[i];
        double b = -a * n->inv[i] * sum_dy_xh / (double)count;

        dgamma[i] += (float)sum_dy_xh;
        dbeta[i] += (float)sum_dy;
        coefficients[i] = (float)a;
        coefficients[c + i] = (float)b;
        coefficients[2 * c + i] = (float)(-b * n->mean[i] - a * sum_dy / (double)count);
    }
}

void vn_norm_relu(const struct vn_norm *n, const float *x, size_t pixels, uint32_t c, float *out)
{
    for (size_t p = 0; p < pixels; p++, x += c, out += c)
        for (uint32_t i = 0; i < c; i++) {
            float v = n->scale[i] * x[i] + n->bias[i];

            out[i] = v > 0 ? v : 0;
        }
}

void vn_norm_add(const struct vn_norm *n, const float *x, size_t pixels, uint32_t c, float *out)
{
    for (size_t p = 0; p < pixels; p++, x += c, out += c)
        for (uint32_t i = 0; i < c; i++)
            out[i] += n->scale[i] * x[i] + n->bias[i];
}

void vn_norm_apply_backward(const float *coefficients, const float *dy, const float *x,
                            size_t pixels, uint32_t c, float *out)
{
    const float *a = coefficients, *b = a + c, *c0 = b + c;

    for (size_t p = 0; p < pixels; p++, x += c, dy += c, out += c)
        for (uint32_t i = 0; i < c; i++)
            out[i] = a[i] * dy[i] + b[i] * x[i] + c0[i];
}

void vn_norm_mask(const struct vn_norm *n, const float *x, size_t pixels, uint32_t c, float *d)
{
    for (size_t p = 0; p < pixels; p++, x += c, d += c)
        for (uint32_t i = 0; i < c; i++)
            d[i] = n->scale[i] * x[i] + n->bias[i] > 0 ? d[i] : 0;
}
