/* What is done with a model before the first request, so that requests take their normal time from
 * the first one on, and without one run of the whole network for every task. */
#pragma once

#include "daemon/model.h"

/* Slices that a start reads, so that it takes the same time for a store of any size; and that are
 * in memory at once, whatever a reload reads. */
#define WARM_UP_BYTES (UINT64_C(8) << 20)

/* For every task: finds out that its default budget can be met. For every input and default budget:
 * lets the agent decide, on a gray image. For every order of the groups: reads what the decided
 * levels need, the first groups first and `bytes` in all, and compares it with its checksums where
 * the store checks at use. Runs each decided path at level 1, where that was read, or 0. What was
 * not read, or what an agent decides otherwise for another task or image, is left to the first run
 * that needs it. In the end only the file cache holds what was read. 0, MODEL_E_FAILED or -ENOMEM;
 * why is set. */
int model_warm_up(struct model *m, const struct config *c, uint64_t bytes, struct vn_why *why);
