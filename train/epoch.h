/* The order of an epoch: which samples make up which step. A function of (seed, epoch) alone. */
#pragma once

#include "train/trainer.h"

struct vn_epoch {
    uint32_t batch;
    uint32_t n_steps;
    uint8_t *input;                                /* (n_steps) */
    uint32_t *first;                               /* (n_steps) place in the input's order */
    const struct vn_sample **order[VN_INPUTS_MAX]; /* shuffled */
};

/* Whole batches only, of one task or (-1) of all; inputs alternate in proportion to their sizes.
 * 0 or -ENOMEM. */
int vn_epoch_init(struct vn_epoch *e, const struct vn_corpus *c, uint64_t seed, uint64_t epoch,
                  uint32_t batch, int task);
void vn_epoch_deinit(struct vn_epoch *e);
