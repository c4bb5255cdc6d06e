#include "engine/arena.h"

#include <unistd.h>

#include "engine/agent.h"
#include "engine/session.h"

#define ARENA_ALIGN 64 /* bytes: a cache line, and any vector */

struct vn_conv vn_stem_conv(const struct vn_network *n, uint32_t input)
{
    const struct vn_input *in = &n->inputs[input];

    return (struct vn_conv){
        .h = in->height,
        .w = in->width,
        .ci = vn_color_channels(in->color),
        .co = n->stem_width,
        .k = in->stem_kernel,
        .stride = in->stem_stride,
    };
}

struct vn_conv vn_block_conv1(struct vn_block b, uint32_t groups, uint32_t h, uint32_t w)
{
    return (struct vn_conv){
        .h = h, .w = w, .ci = b.ci, .co = groups * b.h, .k = 3, .stride = b.stride};
}

struct vn_conv vn_block_conv2(struct vn_block b, uint32_t groups, uint32_t h, uint32_t w)
{
    return (struct vn_conv){
        .h = vn_strided(h, b.stride),
        .w = vn_strided(w, b.stride),
        .ci = groups * b.h,
        .co = b.co,
        .k = 3,
        .stride = 1,
    };
}

/* Largest floats of each kind over everything that runs. */
struct needs {
    uint64_t trunk, hidden, work;
};

static void at_least(uint64_t *value, uint64_t other)
{
    *value = *value > other ? *value : other;
}

struct computing {
    const struct vn_kernels *kernels;
    uint32_t threads;
};

static struct computing computing(const struct vn_compute *c)
{
    return (struct computing){
        c && c->kernels ? c->kernels : vn_kernels_find("auto"),
        c && c->threads ? c->threads : 1,
    };
}

/* Any level: more groups do not always need more work space. */
static void block_needs(struct vn_block b, uint32_t groups, uint32_t h, uint32_t w,
                        const struct computing *c, struct needs *needs)
{
    for (uint32_t level = 1; level <= groups; level++) {
        struct vn_conv conv1 = vn_block_conv1(b, level, h, w);
        struct vn_conv conv2 = vn_block_conv2(b, level, h, w);

        at_least(&needs->work, c->kernels->work(&conv1, c->threads));
        at_least(&needs->work, c->kernels->work(&conv2, c->threads));
    }
}

static void trunk_needs(const struct vn_network *n, uint32_t input, const struct computing *c,
                        struct needs *needs)
{
    struct vn_conv stem = vn_stem_conv(n, input);
    uint32_t h = vn_strided(stem.h, stem.stride), w = vn_strided(stem.w, stem.stride);

    at_least(&needs->trunk, (uint64_t)h * w * stem.co);
    at_least(&needs->work, c->kernels->work(&stem, c->threads));
    for (uint32_t i = 0; i < vn_network_blocks(n); i++) {
        struct vn_block b = vn_network_block(n, i);

        block_needs(b, n->groups, h, w, c, needs);
        h = vn_strided(h, b.stride);
        w = vn_strided(w, b.stride);
        at_least(&needs->hidden, (uint64_t)h * w * b.h * n->groups);
        at_least(&needs->trunk, (uint64_t)h * w * b.co);
    }
}

/* Offset of the next `floats`; a side is at most 2^9 and a width 2^11: no sum comes near 2^64. */
static uint64_t take(uint64_t *end, uint64_t floats)
{
    uint64_t start = (*end + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;

    *end = start + floats * sizeof(float);
    return start;
}

void vn_arena_layout(const struct vn_network *n, uint32_t input, const struct vn_compute *compute,
                     struct vn_arena *ret)
{
    const struct computing c = computing(compute);
    const struct vn_input *in = &n->inputs[input];
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct needs needs = {0};
    uint64_t end = 0;

    trunk_needs(n, input, &c, &needs);
    if (n->agent.kind == VN_AGENT_CONV) {
        struct vn_network trunk;

        vn_network_of_agent(n, &trunk);
        trunk_needs(&trunk, input, &c, &needs);
    }
    ret->image = take(&end, (uint64_t)in->height * in->width * vn_color_channels(in->color));
    ret->trunk[0] = take(&end, needs.trunk);
    ret->trunk[1] = take(&end, needs.trunk);
    ret->hidden = take(&end, needs.hidden);
    ret->work = take(&end, needs.work);
    ret->pooled = take(&end, vn_network_width(n));
    ret->features = take(&end, vn_agent_features(n));
    ret->policy = take(&end, vn_agent_work(n));
    ret->scores = take(&end, vn_agent_outputs(n));
    ret->bytes = (end + page - 1) / page * page;
}

uint64_t vn_scratch_bytes(const struct vn_network *n, uint32_t input,
                          const struct vn_compute *compute)
{
    struct vn_arena a;

    vn_arena_layout(n, input, compute, &a);
    return a.bytes;
}
