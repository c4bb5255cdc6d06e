#include "train/steps.h"

#include "engine/taps.h"

extern const struct vn_steps vn_steps_generic;
#ifdef __x86_64__
extern const struct vn_steps vn_steps_avx2, vn_steps_avx512;
#elif defined(__aarch64__)
extern const struct vn_steps vn_steps_neon;
#endif

const struct vn_steps *vn_steps_find(const char *name)
{
    const struct vn_taps_kernels *best = vn_taps_find(name);

#ifdef __x86_64__
    if (best == &vn_taps_avx512)
        return &vn_steps_avx512;
    if (best == &vn_taps_avx2)
        return &vn_steps_avx2;
#elif defined(__aarch64__)
    if (best == &vn_taps_neon)
        return &vn_steps_neon;
#endif
    return best ? &vn_steps_generic : NULL;
}
