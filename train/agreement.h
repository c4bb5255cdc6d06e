/* Do tasks agree on the weights that they share? At some steps of the backbone each task's own
 * gradient is computed beside the joint one, from the step's own samples and activations, and for
 * the convolutions of each block (all groups) this is added up:
 *     UCR, update compliance ratio (Deep Virtual Networks, CVPR 2019): the share of steps in which
 *         the inner product of the task's gradient and the joint one is above 0
 *     the cosine between these two, and over all blocks between the gradients of any two tasks
 * A task's gradient is that of the loss of its samples on all their paths; the joint one is the sum
 * over tasks. Training does not notice. Memory: a copy of the convolutions for each task. */
#pragma once

#include <stdio.h>

#include "train/batch.h"

struct vn_agreement;

/* NULL: out of memory. */
struct vn_agreement *vn_agreement_new(const struct vn_model *m);
struct vn_agreement *vn_agreement_free(struct vn_agreement *a);

/* After a forward pass in mode TRAIN of the batch's rows, with b->dpooled ready and no gradients in
 * the trunk's tensors, which is how it leaves them. */
void vn_agreement_step(struct vn_agreement *a, struct vn_trunk *t, struct vn_model *m,
                       const struct vn_batch *b);

/* Writes "agreement": {...}, a member of a JSON object, and forgets; nothing without a step. */
void vn_agreement_log(struct vn_agreement *a, FILE *to);
