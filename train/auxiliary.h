/* A second loss while the backbone trains: the pooled features of every row must tell all labels of
 * an input apart, also those of other tasks. Its layer (struct vn_auxiliary) is not exported. */
#pragma once

#include "train/batch.h"
#include "train/config.h"

/* Scratch for batches of n samples: floats; 0: no input has such a layer. */
size_t vn_auxiliary_floats(const struct vn_model *m, uint32_t n);

/* Adds s->auxiliary times the loss's gradient to b->dpooled and the model's gradients. The batch's
 * rows have passed the trunk. Returns the sum over samples of the mean loss of their paths. */
double vn_auxiliary_step(float *scratch, struct vn_model *m, uint32_t input,
                         const struct vn_schedule *s, struct vn_batch *b);
