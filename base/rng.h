/* A small, fast, reproducible generator (splitmix64). A stream is a seed; independent streams come
 * from vn_rng_stream, so that work split over threads draws the same numbers in any order. */
#pragma once

#include <math.h>
#include <stdint.h>

struct vn_rng {
    uint64_t state;
};

static inline uint64_t vn_rng_u64(struct vn_rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Stream number (a, b) of a seed, for example (epoch, sample). */
static inline struct vn_rng vn_rng_stream(uint64_t seed, uint64_t a, uint64_t b)
{
    struct vn_rng r = {seed};

    r.state = vn_rng_u64(&r) ^ a;
    r.state = vn_rng_u64(&r) ^ b;
    return r;
}

/* Uniform in [0, 1). */
static inline double vn_rng_unit(struct vn_rng *r)
{
    return (double)(vn_rng_u64(r) >> 11) * 0x1p-53;
}

/* Uniform in 0 .. n-1; n > 0. The bias of the multiplication is below n / 2^32. */
static inline uint32_t vn_rng_below(struct vn_rng *r, uint32_t n)
{
    return (uint32_t)(((vn_rng_u64(r) >> 32) * n) >> 32);
}

/* Standard normal (Box-Muller, one of the pair). */
static inline double vn_rng_normal(struct vn_rng *r)
{
    double u = 1.0 - vn_rng_unit(r), v = vn_rng_unit(r);

    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
