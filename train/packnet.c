#include "train/packnet.h"

#include <string.h>

uint32_t vn_packnet_slices(const struct vn_network *n, uint32_t t)
{
    const uint32_t slices = vn_network_blocks(n) * n->groups;

    if (n->n_tasks > slices)
        return t < slices ? t : slices;
    return t * slices / n->n_tasks;
}

void vn_packnet_path(const struct vn_network *n, uint32_t task, uint8_t *ret_levels)
{
    const uint32_t m = vn_network_blocks(n), slices = vn_packnet_slices(n, task + 1);

    for (uint32_t b = 0; b < m; b++)
        ret_levels[b] = (uint8_t)(slices / m + (b < slices % m));
}

static void thaw_slice(struct vn_model *m, const struct vn_slice *s)
{
    m->frozen[s->conv1] = m->frozen[s->conv2] = m->frozen[s->bn1] = m->frozen[s->bn2] = false;
}

void vn_packnet_freeze(struct vn_model *m, uint32_t task)
{
    const struct vn_layout *l = m->layout;
    const uint32_t blocks = vn_network_blocks(m->network);
    const uint32_t input = m->network->tasks[task].input;

    memset(m->frozen, true, l->n_tensors * sizeof *m->frozen);
    for (uint32_t i = vn_packnet_slices(m->network, task);
         i < vn_packnet_slices(m->network, task + 1); i++)
        thaw_slice(m, &l->trunk.slice[i / blocks][i % blocks]);
    m->frozen[l->head_weight[task]] = m->frozen[l->head_bias[task]] = false;
    m->frozen[l->trunk.stem_conv[input]] = m->frozen[l->trunk.stem_bn[input]] = task > 0;
}
