/* How much a run computes: multiply-adds of convolutions and linear layers, counted as the direct
 * algorithm does them. What happens once per number (norms, ReLU, pooling) is not counted. */
#pragma once

#include "engine/network.h"

/* Stem, the selected groups and head of a path. levels: (m). */
uint64_t vn_work_path(const struct vn_network *n, uint32_t task, const uint8_t *levels);
uint64_t vn_work_uniform(const struct vn_network *n, uint32_t task, uint32_t level);

/* A question to the store's agent: its own trunk, or the low path of the backbone that it looks
 * through, and the policy. 0 for the kind uniform. */
uint64_t vn_work_agent(const struct vn_network *n, uint32_t task);
