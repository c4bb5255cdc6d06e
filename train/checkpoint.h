/* Checkpoints: everything that a run needs to go on to the same final store. One file, written
 * beside the old one and renamed, checked by length and xxh3 when read. */
#pragma once

#include "train/trainer.h"

enum {
    VN_CHECKPOINT_E_INVALID = 1, /* why: broken, or of another configuration */
};

/* The position is the next step to be taken. 0 or a negative errno; why is set. */
int vn_checkpoint_write(const char *file, const struct vn_trainer *t, uint64_t epoch, uint64_t step,
                        struct vn_why *why);

/* 0, VN_CHECKPOINT_E_INVALID or a negative errno (-ENOENT: there is none); why is set. */
int vn_checkpoint_read(const char *file, struct vn_trainer *t, struct vn_why *why,
                       uint64_t *ret_epoch, uint64_t *ret_step);
