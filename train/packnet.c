#include "train/packnet.h"

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
