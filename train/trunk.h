/* A trunk in training: stem, blocks and pooling over a batch of rows, forward and backward, where
 * every row takes its own path. Serves the backbone and the conv agent's feature extractor.
 *
 * Threads (OpenMP) take different rows; between the three passes of a block the batch-norm sums of
 * all rows are joined in thread order, so that a run repeats exactly for a thread count.
 *
 * Dimensions: R rows, (H, W, C) the input, (Ho, Wo, Co) a block's output, m blocks, g groups. */
#pragma once

#include <stdint.h>

#include "train/model.h"

#define VN_THREADS_MAX 256

struct vn_row {
    const uint8_t *order; /* (g) the task's order */
    const uint8_t *level; /* (m) levels 0 .. g */
};

enum vn_trunk_mode {
    VN_TRUNK_TRAIN,   /* batch statistics; running statistics follow */
    VN_TRUNK_EVAL,    /* running statistics, as the exported store will use them */
    VN_TRUNK_MEASURE, /* as EVAL, while the batch's statistics go into m->average, as into the
                         running ones otherwise: what a store's numbers were made with */
};

struct vn_trunk;

/* For one input of the model. agent: the conv agent's trunk instead of the backbone's. Memory for
 * max_rows rows is taken now. 0 or -ENOMEM. */
int vn_trunk_new(const struct vn_model *m, uint32_t input, bool agent, uint32_t max_rows,
                 uint32_t threads, struct vn_trunk **ret_trunk);
struct vn_trunk *vn_trunk_free(struct vn_trunk *t);
VN_DEFINE_CLEANUP(struct vn_trunk *, vn_trunk_free);

/* images (R, H, W, C). ret_pooled (R, width). momentum: of the running statistics (TRAIN). */
void vn_trunk_forward(struct vn_trunk *t, struct vn_model *m, enum vn_trunk_mode mode,
                      float momentum, uint32_t rows, const struct vn_row *row, const float *images,
                      float *ret_pooled);

/* Adds to m->grad. Follows a forward in mode TRAIN of the same rows, any number of times.
 * dpooled (R, width). */
void vn_trunk_backward(struct vn_trunk *t, struct vn_model *m, const float *dpooled);

/* Floating-point operations of the convolutions since the trunk is there, counted as the direct
 * algorithm does them: two for each product. */
double vn_trunk_flops(const struct vn_trunk *t);
