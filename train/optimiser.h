/* Update rules over a model's arrays. Backbone: SGD with Nesterov momentum, weight decay on
 * convolution and head weights only. Agent: Adam. Each touches its own tensors only. */
#pragma once

#include <stdint.h>

#include "train/config.h"
#include "train/model.h"

/* Linear warm-up, then a cosine to zero, in each of `cycles` equal parts of the epochs (warm
 * restarts, SGDR; the warm-up is part of the first). progress and warm-up in epochs;
 * progress < epochs. */
double vn_rate_at(double peak, double warmup_epochs, double epochs, uint32_t cycles,
                  double progress);

/* Step number `step`, from 1, on everything but the agent; clears the gradients it used. The mean
 * (s->average) begins short, so that it does not remember the first, random weights. */
void vn_backbone_update(struct vn_model *m, const struct vn_schedule *s, double rate,
                        uint64_t step);

/* One Adam step (number `step`, from 1) on the agent's tensors; clears the gradients. */
void vn_agent_update(struct vn_model *m, double rate, uint64_t step);

void vn_gradients_clear(struct vn_model *m);
