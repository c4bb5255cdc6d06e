/* The tasks' heads and the loss over a batch of rows. Pooled features (R, width); logits and
 * targets are (R, stride) with stride >= the labels of any task; a row uses its own task's n. */
#pragma once

#include <stdint.h>

#include "train/model.h"

void vn_heads_forward(const struct vn_model *m, uint32_t rows, const uint16_t *task,
                      const float *pooled, uint32_t stride, float *ret_logits);

/* Adds to m->grad; dpooled (R, width) is written. */
void vn_heads_backward(struct vn_model *m, uint32_t rows, const uint16_t *task, const float *pooled,
                       uint32_t stride, const float *dlogits, float *ret_dpooled);

/* y = W' x + b of n outputs and c inputs on its way back: adds to dx, dw and db. */
void vn_linear_backward(const float *x, const float *w, const float *dy, uint32_t c, uint32_t n,
                        float *dx, float *dw, float *db);

/* What a row is to answer: its label, `smooth` of it spread over all; and `mix` of the teacher's
 * probabilities (n) in place of as much of that. */
struct vn_target {
    uint32_t label;
    float smooth, mix;
    const float *teacher; /* NULL when mix is 0 */
};

void vn_target(const struct vn_target *t, uint32_t n, float *ret_q);

/* Cross-entropy -sum q log softmax(logits) of one row; dlogits = weight (softmax - q), may alias
 * nothing. probabilities (n) is written. q may be NULL: then one-hot at `label`. */
float vn_cross_entropy(const float *logits, uint32_t n, const float *q, uint32_t label,
                       float weight, float *ret_probabilities, float *ret_dlogits);
