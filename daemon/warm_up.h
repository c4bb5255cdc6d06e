/* What is done with a model before the first request, so that requests take their normal time from
 * the first one on, and without one run of the whole network for every task. */
#pragma once

#include "daemon/model.h"

/* For every task: finds out that its default budget can be met. For every input and default budget:
 * lets the agent decide, on a gray image, and runs that path at level 1 or below. For every order
 * of the groups: reads what the decided levels need, and compares it with its checksums where the
 * store checks at use. What an agent decides otherwise for another task or image is left to the
 * first run. In the end only the file cache holds what was read. 0, MODEL_E_FAILED or -ENOMEM; why
 * is set. */
int model_warm_up(struct model *m, const struct config *c, struct vn_why *why);
