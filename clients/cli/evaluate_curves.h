/* Evaluations as curves: accuracy against what the paths cost, one line for each way of choosing
 * them. */
#pragma once

#include "clients/cli/chart.h"
#include "train/evaluate.h"

/* The ways of choosing paths, a curve each. */
enum vn_curve {
    VN_CURVE_LEVELS, /* one level in every block */
    VN_CURVE_LIMITS, /* the agent under a hard limit */
    VN_CURVE_THRIFT, /* the agent, told to save */
    VN_CURVE_CASCADE,
    VN_CURVE_RANDOM,
    VN_CURVES, /* of a setting: on no curve */
};
enum vn_curve vn_curve_of(const struct vn_setting *s);

static inline bool vn_curve_is_agent(const struct vn_setting *s)
{
    return s->by == VN_BY_AGENT;
}

enum vn_curve_cost {
    VN_CURVE_BYTES,  /* mean resident parameter bytes of the path */
    VN_CURVE_PARAMS, /* mean parameters */
};

/* task: its index, or -1 for the mean over tasks. *ret is ended with vn_chart_deinit, on failure
 * too. 0 or -ENOMEM. */
int vn_evaluation_chart(const struct vn_network *n, const struct vn_evaluation *e,
                        enum vn_curve_cost cost, int task, struct vn_chart *ret);
