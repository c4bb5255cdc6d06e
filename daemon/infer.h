/* Judging an Infer or Plan request: every field against what the model and the configuration
 * allow. What comes out can be run as it stands. */
#pragma once

#include "daemon/config.h"
#include "daemon/job.h"
#include "daemon/promise.h"
#include "daemon/reply.h"

/* Fills the job's request from its message. 0, or 1 with the refusal set. */
int infer_prepare(struct job *j, const struct config *c, const struct promise_terms *terms,
                  struct refusal *refusal);

/* UNKNOWN_TASK with what there is; returns 1. */
int refuse_task(struct refusal *r, const struct vn_network *n, const char *name);
