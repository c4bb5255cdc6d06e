/* Evaluations from elsewhere than a run over images: the JSON that `virtualnet evaluate` printed,
 * and the table inside a store. */
#pragma once

#include "train/evaluate.h"

enum {
    VN_EVALUATION_E_INVALID = 1, /* not an evaluation, or one of another network */
};

/* Tasks are found by their names; rows of a kind that is not known here are left out.
 * *ret_has_levels: every row has the mean levels of its paths. 0, VN_EVALUATION_E_INVALID or a
 * negative errno; why is set. */
int vn_evaluation_read(const char *file, const struct vn_network *n, struct vn_why *why,
                       bool *ret_has_levels, struct vn_evaluation **ret);

/* From the tasks' measured rows: accuracy and mean costs, as of a million images; no levels but
 * those of uniform rows. NULL in *ret where no task has a row. 0 or -ENOMEM. */
int vn_evaluation_of_table(const struct vn_network *n, struct vn_evaluation **ret);
