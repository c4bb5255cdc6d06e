/* Where a run of one input keeps its numbers: offsets into a session's arena. Computed from the
 * description alone, so that a plan can promise the bytes before any arena exists. */
#pragma once

#include <stdint.h>

#include "engine/kernels.h"
#include "engine/network.h"

struct vn_arena {
    uint64_t image;    /* (H, W, C): the preprocessed image; always at 0 */
    uint64_t trunk[2]; /* a block's input and output, in turns; each the largest of any block */
    uint64_t hidden;   /* a block's hidden activation, of all groups */
    uint64_t work;     /* of the kernels */
    uint64_t pooled;   /* (backbone width): what the heads read */
    uint64_t features; /* the agent's image features */
    uint64_t policy;   /* vn_agent_work floats */
    uint64_t scores;   /* (m, g + 1) */
    uint64_t bytes;    /* all of it, in whole pages */
};

/* compute: NULL is the default. */
void vn_arena_layout(const struct vn_network *n, uint32_t input, const struct vn_compute *compute,
                     struct vn_arena *ret);

/* The convolution of an input's stem; the output sides are those of its blocks' trunk. */
struct vn_conv vn_stem_conv(const struct vn_network *n, uint32_t input);

/* The convolutions of `groups` groups of a block whose input is h x w: conv1 is Ci -> groups h,
 * conv2 has its output sides and is groups h -> Co, stride 1. */
struct vn_conv vn_block_conv1(struct vn_block b, uint32_t groups, uint32_t h, uint32_t w);
struct vn_conv vn_block_conv2(struct vn_block b, uint32_t groups, uint32_t h, uint32_t w);
