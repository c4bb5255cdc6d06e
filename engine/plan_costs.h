/* What each choice costs a task, prepared once so that plans and the knapsack only add.
 *
 * Parameters: a block at level l costs choice.params, exactly, whatever the others do.
 *
 * Windows: a run touches the fixed part's windows, and for every selected slice all that its bytes
 * lie in. Neighbours may share a window, which is counted once. For this every window is one of
 *     paid     also touched by the fixed part: costs nothing more
 *     private  touched by slices of one block only: part of choice.windows
 *     shared   touched by slices of several blocks: a bit that is open from the first of these
 *              blocks to the last; a level touches a set of bits, and a bit costs one window when
 *              it is touched the first time
 * Bits are used again after they close. File order is group-major: a window that holds bytes on
 * both sides of a cut between two blocks holds one of the g places where a group passes the cut, or
 * one of the g - 1 where a group ends and the next begins. So a block meets at most g windows of
 * the cut before it, g of the cut after it and g - 1 of the second kind: 3 g - 1 = 47 bits. */
#pragma once

#include <stdint.h>

#include "engine/layout.h"
#include "engine/network.h"

#define VN_WINDOW_BITS 64

struct vn_choice {
    uint64_t params;   /* floats of the block's slices at this level */
    uint64_t bits;     /* shared windows */
    uint64_t windows;  /* private windows */
    double attributed; /* windows, plus 1 / k for each shared one, k = blocks that can touch it:
                          summed over a path's blocks never more than what the path costs */
};

struct vn_task_costs {
    uint32_t m, levels;             /* blocks, g + 1 */
    uint64_t fixed_params;          /* floats: stem, agent, head */
    uint64_t fixed_windows;         /* touched whatever the path */
    struct vn_choice *choice;       /* owned (m, levels) */
    uint64_t *closing;              /* owned (m): bits that no later block touches */
    float (*later)[VN_WINDOW_BITS]; /* owned (m): of an open bit's window, the part that is
                                        attributed to blocks after this one */
};

static inline const struct vn_choice *vn_choice_at(const struct vn_task_costs *c, uint32_t b,
                                                   uint32_t level)
{
    return &c->choice[b * c->levels + level];
}

/* Windows that a range touches from number *next on; *next becomes the first one after it. Summed
 * over ranges in file order, from *next = 0, this is the size of their union. */
uint64_t vn_range_windows(struct vn_range r, uint64_t *next);

/* The range of a slice: the whole of it, although a run reads only its input's rows of the vectors.
 * The kernel may map all of a slice at a touch (engine/store_map.c). */
static inline struct vn_range vn_slice_range(const struct vn_slice *s)
{
    return (struct vn_range){s->offset, s->bytes};
}

/* The ranges that every run of a task touches, in file order; how many. */
#define VN_FIXED_RANGES 14
uint32_t vn_fixed_ranges(const struct vn_network *n, const struct vn_layout *l, uint32_t task,
                         struct vn_range ret[VN_FIXED_RANGES]);

/* 0 or -ENOMEM; after either, deinit is due. */
int vn_task_costs_init(struct vn_task_costs *c, const struct vn_network *n,
                       const struct vn_layout *l, uint32_t task);
void vn_task_costs_deinit(struct vn_task_costs *c);
