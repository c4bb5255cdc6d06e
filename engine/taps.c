#include "engine/taps.h"

#include <stdbool.h>
#include <string.h>

extern const struct vn_taps_width vn_taps_width_generic_4;

const struct vn_taps_kernels vn_taps_generic = {"generic", {&vn_taps_width_generic_4}};

#ifdef __x86_64__
extern const struct vn_taps_width vn_taps_width_avx2_8, vn_taps_width_avx512_8,
    vn_taps_width_avx512_16;

const struct vn_taps_kernels vn_taps_avx2 = {"avx2", {&vn_taps_width_avx2_8}};
const struct vn_taps_kernels vn_taps_avx512 = {
    "avx512",
    {&vn_taps_width_avx512_16, &vn_taps_width_avx512_8},
};

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* The second table is compiled with all of them. */
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && has_avx2();
}
#elif defined(__aarch64__)
extern const struct vn_taps_width vn_taps_width_neon_4;

const struct vn_taps_kernels vn_taps_neon = {"neon", {&vn_taps_width_neon_4}};
#endif

const struct vn_taps_kernels *vn_taps_find(const char *name)
{
#ifdef __x86_64__
    if ((!name || !strcmp(name, vn_taps_avx512.name)) && has_avx512())
        return &vn_taps_avx512;
    if ((!name || !strcmp(name, vn_taps_avx2.name)) && has_avx2())
        return &vn_taps_avx2;
#elif defined(__aarch64__) /* every processor of this kind has it */
    if (!name || !strcmp(name, vn_taps_neon.name))
        return &vn_taps_neon;
#endif
    return !name || !strcmp(name, vn_taps_generic.name) ? &vn_taps_generic : NULL;
}

/* Which tile for the next columns, of which `left` are left. */
struct choice {
    const struct vn_taps_width *width;
    uint32_t vectors;
    uint32_t columns;
};

/* Two vectors share each load of a pixel. A rest that half a vector can hold goes to the narrower
 * width, which costs half as much. */
static struct choice choose(const struct vn_taps_kernels *k, uint32_t left)
{
    const struct vn_taps_width *wide = k->width[0], *narrow = k->width[1];
    uint32_t lanes = wide->lanes;

    if (narrow && left <= lanes / 2)
        return (struct choice){narrow, 1, left};
    if (left <= lanes)
        return (struct choice){wide, 1, left};
    if (narrow && left <= lanes + lanes / 2)
        return (struct choice){wide, 1, lanes};
    return (struct choice){wide, 2, left < 2 * lanes ? left : 2 * lanes};
}

void vn_taps_tile(const struct vn_taps_kernels *k, const struct vn_taps_tile *t)
{
    struct choice c;

    for (uint32_t column = t->first; column < t->end; column += c.columns) {
        c = choose(k, t->end - column);
        c.width->tile[c.vectors - 1](t, column, c.columns);
    }
}

void vn_taps_outer(const struct vn_taps_kernels *k, const struct vn_taps_outer *t)
{
    struct choice c;

    for (uint32_t column = 0; column < t->co; column += c.columns) {
        c = choose(k, t->co - column);
        c.width->outer[c.vectors - 1](t, column, c.columns);
    }
}
