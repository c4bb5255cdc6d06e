/* PackNet (CVPR 2018) in groups, a baseline: tasks in sequence; each trains only slices that are
 * still free, which are fixed from then on and read by all later tasks.
 *
 * A slice is a (group, block). Slices are given out group by group, within a group from the first
 * block to the last, so that what the first tasks have is a prefix of every block's groups: with
 * the order 0, 1, 2 ... for every task, a task's path is a level per block, and its own slices are
 * what its path has beyond the task's before it. All tasks get the same number of slices but for
 * rounding; where there are more tasks than slices each of the first gets one, and those after
 * them train their head alone. */
#pragma once

#include "train/model.h"

/* Slices that the first t tasks have. */
uint32_t vn_packnet_slices(const struct vn_network *n, uint32_t t);

/* The levels (m) of a task's path: its own slices and those of all tasks before it. */
void vn_packnet_path(const struct vn_network *n, uint32_t task, uint8_t *ret_levels);

/* Leaves the task's own slices and its head free, and the stem for the first task. */
void vn_packnet_freeze(struct vn_model *m, uint32_t task);
