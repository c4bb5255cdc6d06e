/* The numbers being trained, in the same layout as a store: the float at a tensor's offset in
 * `param` becomes the float at the same offset of the file. Where a store holds a folded (scale,
 * bias), `param` holds batch-norm's (gamma, beta) and `running` its (mean, variance). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/layout.h"
#include "engine/network.h"
#include "engine/plan.h"

/* A linear layer (width, classes) and its bias from the pooled features of an input to the labels
 * of all its tasks, one after the other. Lies behind what a store holds; no classes: there is
 * none. */
struct vn_auxiliary {
    uint32_t classes;
    size_t weight, bias;
};

struct vn_model {
    const struct vn_network *network; /* borrowed */
    struct vn_layout *layout;
    struct vn_planner *planner;
    size_t n;        /* floats in each array */
    float *param;    /* */
    float *grad;     /* of the objective, summed by the backward passes */
    float *velocity; /* Nesterov momentum */
    float *running;  /* at batch-norm tensors: mean, variance */
    float *average;  /* exponential mean of param; used when the schedule asks for it */
    float *square;   /* second moments of the agent's gradients (Adam) */
    struct vn_auxiliary auxiliary[VN_INPUTS_MAX];
    bool *frozen; /* (tensors) neither trained nor, of a norm, its statistics followed */
};

/* Fresh numbers: convolutions by He, BN1 and stem scale 1, BN2 scale `bn2_scale`, heads small,
 * the policy's last layer and auxiliary layers zero (every level, every class equally likely).
 * Depends on the seed alone. */
int vn_model_new(const struct vn_network *n, uint64_t seed, double bn2_scale, bool auxiliary,
                 struct vn_why *why, struct vn_model **ret_model);
struct vn_model *vn_model_free(struct vn_model *m);
VN_DEFINE_CLEANUP(struct vn_model *, vn_model_free);

static inline size_t vn_model_at(const struct vn_model *m, uint32_t tensor)
{
    return m->layout->tensors[tensor].offset / sizeof(float);
}

/* Aligned zeroed floats, or NULL; free() frees them. */
float *vn_floats_new(size_t n);
