/* The register tiles of training's convolutions, written once over GCC's vector types and compiled
 * for each instruction set (VN_ISA names it). Eight pixels share each weight vector; sixteen, then
 * eight output channels make a vector, the rest goes one by one. */
#include "train/conv.h"

#include <string.h>

#define TILE 8 /* pixels (apply) or input channels (outer): independent chains of additions */
#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)
#define INLINE static inline __attribute__((always_inline))

typedef float vec16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float vec8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float vec1 __attribute__((vector_size(4), aligned(4), may_alias));

/* out[p][0 .. width) for `n` <= TILE pixels; `n` is a constant where it matters. */
#define DEFINE_TILES(vec)                                                                          \
    INLINE void apply_##vec(const struct vn_taps *t, uint32_t first, int n, const float *in,       \
                            uint32_t ci, uint32_t co, const float *w, bool accumulate, float *out) \
    {                                                                                              \
        const float *x[TILE];                                                                      \
        vec sum[TILE];                                                                             \
                                                                                                   \
        _Pragma("GCC unroll 8") for (int p = 0; p < n; p++)                                        \
        {                                                                                          \
            x[p] = in + t->in_offset[first + (uint32_t)p];                                         \
            sum[p] = (vec){0};                                                                     \
        }                                                                                          \
        for (uint32_t tap = 0; tap < t->n_taps; tap++) {                                           \
            size_t at = t->tap_offset[tap];                                                        \
            const float *row = w + (size_t)tap * ci * co;                                          \
                                                                                                   \
            for (uint32_t c = 0; c < ci; c++, row += co) {                                         \
                vec weight = *(const vec *)row;                                                    \
                                                                                                   \
                _Pragma("GCC unroll 8") for (int p = 0; p < n; p++) sum[p] +=                      \
                    weight * x[p][at + c];                                                         \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 8") for (int p = 0; p < n; p++)                                        \
        {                                                                                          \
            vec *y = (vec *)(out + t->out_offset[first + (uint32_t)p]);                            \
                                                                                                   \
            if (accumulate)                                                                        \
                sum[p] += *y;                                                                      \
            *y = sum[p];                                                                           \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    INLINE void apply_all_##vec(const struct vn_taps *t, const float *in, uint32_t ci,             \
                                uint32_t co, const float *w, bool accumulate, float *out)          \
    {                                                                                              \
        uint32_t p = 0;                                                                            \
                                                                                                   \
        for (; p + TILE <= t->n_pixels; p += TILE)                                                 \
            apply_##vec(t, p, TILE, in, ci, co, w, accumulate, out);                               \
        for (; p + 4 <= t->n_pixels; p += 4)                                                       \
            apply_##vec(t, p, 4, in, ci, co, w, accumulate, out);                                  \
        for (; p < t->n_pixels; p++)                                                               \
            apply_##vec(t, p, 1, in, ci, co, w, accumulate, out);                                  \
    }                                                                                              \
                                                                                                   \
    /* dw[c][0 .. width) += sum over pixels of in[p][c] dy[p], for n <= TILE channels c. */        \
    INLINE void outer_##vec(const struct vn_taps *t, const float *in, int n, uint32_t co,          \
                            const float *dy, float *dw)                                            \
    {                                                                                              \
        vec sum[TILE];                                                                             \
                                                                                                   \
        _Pragma("GCC unroll 8") for (int c = 0; c < n; c++) sum[c] = (vec){0};                     \
        for (uint32_t p = 0; p < t->n_pixels; p++) {                                               \
            const float *x = in + t->in_offset[p];                                                 \
            vec d = *(const vec *)(dy + (size_t)p * co);                                           \
                                                                                                   \
            _Pragma("GCC unroll 8") for (int c = 0; c < n; c++) sum[c] += d * x[c];                \
        }                                                                                          \
        _Pragma("GCC unroll 8") for (int c = 0; c < n; c++) * (vec *)(dw + (size_t)c * co) +=      \
            sum[c];                                                                                \
    }                                                                                              \
                                                                                                   \
    INLINE void outer_all_##vec(const struct vn_taps *t, const float *in, uint32_t ci,             \
                                uint32_t co, const float *dy, float *dw)                           \
    {                                                                                              \
        for (uint32_t tap = 0; tap < t->n_taps; tap++) {                                           \
            const float *x = in + t->tap_offset[tap];                                              \
            float *d = dw + (size_t)t->tap[tap] * ci * co;                                         \
            uint32_t c = 0;                                                                        \
                                                                                                   \
            for (; c + TILE <= ci; c += TILE)                                                      \
                outer_##vec(t, x + c, TILE, co, dy, d + (size_t)c * co);                           \
            for (; c < ci; c++)                                                                    \
                outer_##vec(t, x + c, 1, co, dy, d + (size_t)c * co);                              \
        }                                                                                          \
    }                                                                                              \
    struct vn_semicolon_please

DEFINE_TILES(vec16);
DEFINE_TILES(vec8);
DEFINE_TILES(vec1);

static void apply(const struct vn_taps *t, const float *in, uint32_t ci, uint32_t co,
                  const float *w, bool accumulate, float *out)
{
    uint32_t o = 0;

    for (; o + 16 <= co; o += 16)
        apply_all_vec16(t, in, ci, co, w + o, accumulate, out + o);
    for (; o + 8 <= co; o += 8)
        apply_all_vec8(t, in, ci, co, w + o, accumulate, out + o);
    for (; o < co; o++)
        apply_all_vec1(t, in, ci, co, w + o, accumulate, out + o);
}

static void outer(const struct vn_taps *t, const float *in, uint32_t ci, uint32_t co,
                  const float *dy, float *dw)
{
    uint32_t o = 0;

    for (; o + 16 <= co; o += 16)
        outer_all_vec16(t, in, ci, co, dy + o, dw + o);
    for (; o + 8 <= co; o += 8)
        outer_all_vec8(t, in, ci, co, dy + o, dw + o);
    for (; o < co; o++)
        outer_all_vec1(t, in, ci, co, dy + o, dw + o);
}

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const struct vn_taps_kernels CONCAT(vn_taps_kernels_, VN_ISA) = {STRING(VN_ISA), apply, outer};
