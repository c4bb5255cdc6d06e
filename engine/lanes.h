/* Vectors of VN_LANES floats, for the files that are compiled for each instruction set: loads and
 * stores at any address, whole or the first `part` floats. A part touches no memory behind it. */
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef float vec __attribute__((vector_size(4 * VN_LANES), aligned(4), may_alias));
typedef int32_t mask __attribute__((vector_size(4 * VN_LANES), aligned(4), may_alias));

INLINE vec load(const float *from)
{
    return *(const vec *)from;
}

INLINE void store(float *to, vec v)
{
    *(vec *)to = v;
}

/* 0 <= part < VN_LANES */
#if defined(__AVX512F__) && VN_LANES == 16

INLINE vec load_part(const float *from, uint32_t part)
{
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << part) - 1), from);
}

INLINE void store_part(float *to, vec v, uint32_t part)
{
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << part) - 1), (__m512)v);
}

#elif defined(__AVX2__) && VN_LANES == 8

INLINE __m256i first_lanes(uint32_t part)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)part),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE vec load_part(const float *from, uint32_t part)
{
    return (vec)_mm256_maskload_ps(from, first_lanes(part));
}

INLINE void store_part(float *to, vec v, uint32_t part)
{
    _mm256_maskstore_ps(to, first_lanes(part), (__m256)v);
}

#else

static __attribute__((noinline)) vec load_part(const float *from, uint32_t part)
{
    float lanes[VN_LANES] = {0};

    memcpy(lanes, from, part * sizeof *lanes);
    return load(lanes);
}

static __attribute__((noinline)) void store_part(float *to, vec v, uint32_t part)
{
    float lanes[VN_LANES];

    store(lanes, v);
    memcpy(to, lanes, part * sizeof *lanes);
}

#endif

INLINE vec load_some(const float *from, uint32_t part)
{
    return part == VN_LANES ? load(from) : load_part(from, part);
}

INLINE void store_some(float *to, vec v, uint32_t part)
{
    if (part == VN_LANES)
        store(to, v);
    else
        store_part(to, v, part);
}
