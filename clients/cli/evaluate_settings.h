/* Which ways of choosing paths `virtualnet evaluate` measures, by its options. */
#pragma once

#include "train/setting.h"

#define VN_CASCADES_MAX 16

struct vn_settings_wish {
    const char *budgets, *thrift;         /* of the agent and of the random one */
    const char *cascade[VN_CASCADES_MAX]; /* "1:4" */
    uint32_t n_cascades;
    const char *thresholds;
    uint32_t random; /* static paths, and the random agent at each budget; 0: none */
};

/* Uniform levels, then what is wished; without any wish what is usual. An exit code, after saying
 * what is wrong. */
int vn_settings_read(const struct vn_settings_wish *w, const struct vn_planner *planner,
                     struct vn_setting list[VN_SETTINGS_MAX], uint32_t *ret_n);
