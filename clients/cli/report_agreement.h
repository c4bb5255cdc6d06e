/* What a training log says about the agreement of tasks (docs/training.md, `agreement_every`):
 * means over its epochs, each counting as often as it was looked. */
#pragma once

#include "base/json.h"
#include "engine/network.h"

struct report_cell {
    double sum, weight; /* weight 0: never there */
};

struct report_agreement {
    uint32_t tasks, blocks;
    double steps;              /* that were looked at; 0: the log has none */
    struct report_cell *ucr;   /* owned, (tasks, blocks): steps whose update helped the task */
    struct report_cell *pairs; /* owned, (tasks, tasks): cosine between two tasks' gradients */
};

/* Adds the object at `at`; *ret_ucr and *ret_cosine are its means over all cells, for the curves
 * (NAN where there is none). 0, VN_JSON_E_INVALID or -ENOMEM. */
int report_agreement_add(struct report_agreement *a, const struct vn_network *n,
                         const struct vn_json_at *at, double *ret_ucr, double *ret_cosine);
void report_agreement_deinit(struct report_agreement *a);
