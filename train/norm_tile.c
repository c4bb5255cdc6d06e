/* Batch-norm's passes over pixels (train/norm.h) for one instruction set. Each takes some vectors
 * of channels at a time, whose coefficients and sums stay in registers while it walks the pixels.
 * Sums over the pixels of a call are short enough for float; calls are added in double. */
#include <stdbool.h>

#include "engine/lanes.h"
#include "train/norm.h"

#define BLOCK 4 /* vectors */

/* Runs call(vectors, part) for all channels c of the plane. */
#define EACH_BLOCK(p, call)                                                                        \
    do {                                                                                           \
        uint32_t c = 0;                                                                            \
        for (; c + BLOCK * VN_LANES <= (p).c; c += BLOCK * VN_LANES)                               \
            call(BLOCK, VN_LANES);                                                                 \
        for (; c + VN_LANES <= (p).c; c += VN_LANES)                                               \
            call(1, VN_LANES);                                                                     \
        if (c < (p).c)                                                                             \
            call(1, (p).c - c);                                                                    \
    } while (0)

INLINE void get(vec *v, const float *from, int vectors, uint32_t part)
{
    UNROLL for (int i = 0; i < vectors; i++) v[i] = load_some(from + i * VN_LANES, part);
}

INLINE void put(float *to, const vec *v, int vectors, uint32_t part)
{
    UNROLL for (int i = 0; i < vectors; i++) store_some(to + i * VN_LANES, v[i], part);
}

INLINE void clear(vec *v, int vectors)
{
    UNROLL for (int i = 0; i < vectors; i++) v[i] = (vec){0};
}

INLINE void add_to(double *to, const vec *v, int vectors, uint32_t part)
{
    for (int i = 0; i < vectors; i++) {
        float lanes[VN_LANES];

        store(lanes, v[i]);
        for (uint32_t k = 0; k < part; k++)
            to[(uint32_t)i * VN_LANES + k] += (double)lanes[k];
    }
}

INLINE vec positive(vec condition, vec v)
{
    return (vec)((mask)v & (mask)(condition > 0));
}

/* --- forward ---------------------------------------------------------------------------------- */

INLINE void sum_block(struct vn_plane p, const float *x, struct vn_sums sums, int vectors,
                      uint32_t part)
{
    vec s[BLOCK], q[BLOCK], v[BLOCK];

    clear(s, vectors);
    clear(q, vectors);
    for (size_t i = 0; i < p.pixels; i++, x += p.stride) {
        get(v, x, vectors, part);
        UNROLL for (int k = 0; k < vectors; k++)
        {
            s[k] += v[k];
            q[k] += v[k] * v[k];
        }
    }
    add_to(sums.plain, s, vectors, part);
    add_to(sums.product, q, vectors, part);
}

static void sum(struct vn_plane p, const float *x, struct vn_sums sums)
{
#define CALL(vectors, part) sum_block(p, x + c, vn_sums_at(sums, c), vectors, part)
    EACH_BLOCK(p, CALL);
#undef CALL
}

INLINE void relu_block(struct vn_plane p, const float *scale, const float *bias, const float *x,
                       float *out, int vectors, uint32_t part)
{
    vec s[BLOCK], b[BLOCK], v[BLOCK];

    get(s, scale, vectors, part);
    get(b, bias, vectors, part);
    for (size_t i = 0; i < p.pixels; i++, x += p.stride, out += p.stride) {
        get(v, x, vectors, part);
        UNROLL for (int k = 0; k < vectors; k++)
        {
            v[k] = s[k] * v[k] + b[k];
            v[k] = positive(v[k], v[k]);
        }
        put(out, v, vectors, part);
    }
}

static void relu(struct vn_plane p, const float *scale, const float *bias, const float *x,
                 float *out)
{
#define CALL(vectors, part) relu_block(p, scale + c, bias + c, x + c, out + c, vectors, part)
    EACH_BLOCK(p, CALL);
#undef CALL
}

INLINE void add_block(struct vn_plane p, const float *scale, const float *bias, const float *x,
                      const float *base, float *out, bool last, int vectors, uint32_t part)
{
    vec s[BLOCK], b[BLOCK], v[BLOCK], before[BLOCK];

    get(s, scale, vectors, part);
    get(b, bias, vectors, part);
    for (size_t i = 0; i < p.pixels; i++, x += p.stride, base += p.stride, out += p.stride) {
        get(v, x, vectors, part);
        get(before, base, vectors, part);
        UNROLL for (int k = 0; k < vectors; k++)
        {
            v[k] = before[k] + (s[k] * v[k] + b[k]);
            if (last)
                v[k] = positive(v[k], v[k]);
        }
        put(out, v, vectors, part);
    }
}

#define CALL(vectors, part)                                                                        \
    add_block(p, scale + c, bias + c, x + c, base + c, out + c, last, vectors, part)

INLINE void add_either(struct vn_plane p, const float *scale, const float *bias, const float *x,
                       const float *base, float *out, bool last)
{
    EACH_BLOCK(p, CALL);
}
#undef CALL

static void add(struct vn_plane p, const float *scale, const float *bias, const float *x,
                const float *base, float *out)
{
    add_either(p, scale, bias, x, base, out, false);
}

static void add_relu(struct vn_plane p, const float *scale, const float *bias, const float *x,
                     const float *base, float *out)
{
    add_either(p, scale, bias, x, base, out, true);
}

/* --- backward --------------------------------------------------------------------------------- */

INLINE void mask_block(struct vn_plane p, const float *y, float *d, double *plain, int vectors,
                       uint32_t part)
{
    vec s[BLOCK], v[BLOCK], condition[BLOCK];

    clear(s, vectors);
    for (size_t i = 0; i < p.pixels; i++, y += p.stride, d += p.stride) {
        get(v, d, vectors, part);
        get(condition, y, vectors, part);
        UNROLL for (int k = 0; k < vectors; k++)
        {
            v[k] = positive(condition[k], v[k]);
            s[k] += v[k];
        }
        put(d, v, vectors, part);
    }
    add_to(plain, s, vectors, part);
}

static void mask_by(struct vn_plane p, const float *y, float *d, double *plain)
{
#define CALL(vectors, part) mask_block(p, y + c, d + c, plain + c, vectors, part)
    EACH_BLOCK(p, CALL);
#undef CALL
}

INLINE void dot_block(struct vn_plane p, const float *a, const float *b, double *product,
                      int vectors, uint32_t part)
{
    vec q[BLOCK], v[BLOCK], w[BLOCK];

    clear(q, vectors);
    for (size_t i = 0; i < p.pixels; i++, a += p.stride, b += p.stride) {
        get(v, a, vectors, part);
        get(w, b, vectors, part);
        UNROLL for (int k = 0; k < vectors; k++) q[k] += v[k] * w[k];
    }
    add_to(product, q, vectors, part);
}

static void dot(struct vn_plane p, const float *a, const float *b, double *product)
{
#define CALL(vectors, part) dot_block(p, a + c, b + c, product + c, vectors, part)
    EACH_BLOCK(p, CALL);
#undef CALL
}

INLINE void relu_back_block(struct vn_plane p, const float *scale, const float *bias,
                            const float *x, float *d, struct vn_sums sums, int vectors,
                            uint32_t part)
{
    vec s[BLOCK], b[BLOCK], v[BLOCK], w[BLOCK], plain[BLOCK], product[BLOCK];

    get(s, scale, vectors, part);
    get(b, bias, vectors, part);
    clear(plain, vectors);
    clear(product, vectors);
    for (size_t i = 0; i < p.pixels; i++, x += p.stride, d += p.stride) {
        get(v, x, vectors, part);
        get(w, d, vectors, part);
        UNROLL for (int k = 0; k < vectors; k++)
        {
            w[k] = positive(s[k] * v[k] + b[k], w[k]);
            plain[k] += w[k];
            product[k] += w[k] * v[k];
        }
        put(d, w, vectors, part);
    }
    add_to(sums.plain, plain, vectors, part);
    add_to(sums.product, product, vectors, part);
}

static void relu_back(struct vn_plane p, const float *scale, const float *bias, const float *x,
                      float *d, struct vn_sums sums)
{
#define CALL(vectors, part)                                                                        \
    relu_back_block(p, scale + c, bias + c, x + c, d + c, vn_sums_at(sums, c), vectors, part)
    EACH_BLOCK(p, CALL);
#undef CALL
}

INLINE void slope_block(struct vn_plane p, struct vn_norm_slope s, const float *dy, const float *x,
                        float *out, int vectors, uint32_t part)
{
    vec a[BLOCK], b[BLOCK], c0[BLOCK], v[BLOCK], w[BLOCK];

    get(a, s.a, vectors, part);
    get(b, s.b, vectors, part);
    get(c0, s.c0, vectors, part);
    for (size_t i = 0; i < p.pixels; i++, x += p.stride, dy += p.stride, out += p.stride) {
        get(v, dy, vectors, part);
        get(w, x, vectors, part);
        UNROLL for (int k = 0; k < vectors; k++) v[k] = a[k] * v[k] + (b[k] * w[k] + c0[k]);
        put(out, v, vectors, part);
    }
}

static void slope(struct vn_plane p, const struct vn_norm_slope *s, const float *dy, const float *x,
                  float *out)
{
#define CALL(vectors, part) slope_block(p, vn_slope_at(s, c), dy + c, x + c, out + c, vectors, part)
    EACH_BLOCK(p, CALL);
#undef CALL
}

/* --- the table -------------------------------------------------------------------------------- */

#define TABLE_(isa) vn_norm_loops_##isa
#define TABLE(isa) TABLE_(isa)

extern const struct vn_norm_loops TABLE(VN_ISA);

const struct vn_norm_loops TABLE(VN_ISA) = {
    .sum = sum,
    .relu = relu,
    .add = {add, add_relu},
    .mask = mask_by,
    .dot = dot,
    .relu_back = relu_back,
    .slope = slope,
};
