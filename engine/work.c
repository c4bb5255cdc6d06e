#include "engine/work.h"

#include <string.h>

/* Stem and blocks for one input. */
static uint64_t trunk_work(const struct vn_network *n, uint32_t input, const uint8_t *levels)
{
    const struct vn_input *in = &n->inputs[input];
    uint64_t w = vn_strided(in->width, in->stem_stride),
             h = vn_strided(in->height, in->stem_stride);
    uint64_t sum =
        w * h * in->stem_kernel * in->stem_kernel * vn_color_channels(in->color) * n->stem_width;

    for (uint32_t b = 0; b < vn_network_blocks(n); b++) {
        const struct vn_block dims = vn_network_block(n, b);

        w = vn_strided((uint32_t)w, dims.stride);
        h = vn_strided((uint32_t)h, dims.stride);
        sum += levels[b] * w * h * 9 * dims.h * (dims.ci + dims.co);
    }
    return sum;
}

uint64_t vn_work_path(const struct vn_network *n, uint32_t task, const uint8_t *levels)
{
    const struct vn_task *t = &n->tasks[task];

    return trunk_work(n, t->input, levels) + (uint64_t)vn_network_width(n) * t->n_labels;
}

uint64_t vn_work_uniform(const struct vn_network *n, uint32_t task, uint32_t level)
{
    uint8_t levels[VN_BLOCKS_MAX];

    memset(levels, (int)level, sizeof levels);
    return vn_work_path(n, task, levels);
}

uint64_t vn_work_agent(const struct vn_network *n, uint32_t task)
{
    static const uint8_t all[VN_BLOCKS_MAX] = {1, 1, 1};
    struct vn_network trunk;
    uint64_t policy;

    if (n->agent.kind == VN_AGENT_UNIFORM)
        return 0;
    policy = (uint64_t)n->agent.hidden * (vn_agent_inputs(n) + vn_agent_outputs(n));
    if (n->agent.kind == VN_AGENT_SHARED)
        return policy + vn_work_uniform(n, task, n->agent.probe_level);
    if (n->agent.kind != VN_AGENT_CONV)
        return policy;
    vn_network_of_agent(n, &trunk);
    return policy + trunk_work(&trunk, n->tasks[task].input, all);
}
