#include "engine/network.h"

#include <stdlib.h>
#include <string.h>

const char *const vn_agent_kind_names[] = {"uniform", "task", "conv", "shared", NULL};
const char *const vn_color_names[] = {"gray", "rgb", "bgr", NULL};
const char *const vn_crop_names[] = {"none", "center", NULL};

struct vn_network *vn_network_free(struct vn_network *n)
{
    if (!n)
        return NULL;
    for (uint32_t t = 0; n->tasks && t < n->n_tasks; t++) {
        free(n->tasks[t].labels);
        free(n->tasks[t].measured);
    }
    free(n->tasks);
    json_decref(n->training);
    free(n);
    return NULL;
}

uint32_t vn_network_blocks(const struct vn_network *n)
{
    uint32_t m = 0;

    for (uint32_t s = 0; s < n->n_stages; s++)
        m += n->stages[s].blocks;
    return m;
}

struct vn_block vn_network_block(const struct vn_network *n, uint32_t b)
{
    uint32_t ci = n->stem_width, s = 0;

    while (b >= n->stages[s].blocks) {
        b -= n->stages[s].blocks;
        ci = n->stages[s++].width;
    }
    return (struct vn_block){
        .ci = b ? n->stages[s].width : ci,
        .co = n->stages[s].width,
        .h = n->stages[s].group_width,
        .stride = b ? 1 : n->stages[s].stride,
    };
}

uint32_t vn_network_width(const struct vn_network *n)
{
    return n->n_stages ? n->stages[n->n_stages - 1].width : n->stem_width;
}

int vn_network_find_task(const struct vn_network *n, const char *name)
{
    for (uint32_t t = 0; t < n->n_tasks; t++)
        if (!strcmp(n->tasks[t].name, name))
            return (int)t;
    return -1;
}

int vn_network_find_input(const struct vn_network *n, const char *name)
{
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (!strcmp(n->inputs[i].name, name))
            return (int)i;
    return -1;
}

void vn_order_cyclic(uint32_t groups, uint32_t t, uint32_t tasks, uint8_t order[VN_GROUPS_MAX])
{
    uint32_t start = t * groups / tasks;

    for (uint32_t k = 0; k < groups; k++)
        order[k] = (uint8_t)((start + k) % groups);
}

void vn_network_of_agent(const struct vn_network *n, struct vn_network *ret_trunk)
{
    struct vn_network trunk = {
        .stem_width = n->agent.width,
        .groups = 1,
        .n_inputs = n->n_inputs,
        .n_stages = 2,
        /* strides 1, 2, 1: a block, then a halving and another block */
        .stages = {{1, n->agent.width, 1, n->agent.width}, {2, n->agent.width, 2, n->agent.width}},
    };

    memcpy(trunk.name, n->name, sizeof trunk.name);
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        trunk.inputs[i] = n->inputs[i];
        trunk.inputs[i].stem_kernel = n->agent.stem_kernel;
        trunk.inputs[i].stem_stride = n->agent.stem_stride;
    }
    *ret_trunk = trunk;
}

uint32_t vn_agent_pooled(const struct vn_network *n)
{
    return n->agent.kind == VN_AGENT_SHARED && n->agent.pooled ? vn_network_width(n) : 0;
}

uint32_t vn_agent_features(const struct vn_network *n)
{
    switch (n->agent.kind) {
    case VN_AGENT_CONV:
        return n->agent.width;
    case VN_AGENT_SHARED:
        return vn_agent_pooled(n) + VN_AGENT_CONFIDENCE;
    case VN_AGENT_UNIFORM:
    case VN_AGENT_TASK:
        break;
    }
    return 0;
}
