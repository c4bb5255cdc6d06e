/* A way of choosing paths, to be measured: one row of an evaluation. */
#pragma once

#include <stdbool.h>

#include "engine/plan.h"

enum vn_by {
    VN_BY_LEVEL,   /* a uniform level */
    VN_BY_AGENT,   /* the store's agent under a limit and a thrift */
    VN_BY_OWN,     /* each task on the path that it was trained on (vn_packnet_path) */
    VN_BY_CASCADE, /* uniform levels one after the other until the answer is sure */
    VN_BY_PATH,    /* the same levels for every image */
    VN_BY_RANDOM,  /* an agent that knows nothing: random levels within a limit */
};

struct vn_setting {
    enum vn_by by;
    uint32_t level;  /* of VN_BY_LEVEL */
    double share;    /* limit as a share of the full path (when the two below are 0) */
    uint64_t bytes;  /* limit in bytes */
    uint64_t params; /* limit in parameters */
    double thrift;
    double threshold;  /* cascade: the largest probability from which an answer is sure */
    uint32_t n_levels; /* cascade: how many, rising; path: blocks */
    uint8_t levels[VN_BLOCKS_MAX];
};

#define VN_SETTINGS_MAX 512

/* What is measured when nobody asks for more: 0 .. g uniform, then (stores with an agent) hard
 * limits from what a low path needs to the full path, as shares of the latter, then thrift without
 * a limit. A network that was trained on one path alone (mixed_paths 0) has that one: the full one,
 * or each task's own; an agent that was trained without wishes has its one choice. Returns how
 * many. */
uint32_t vn_settings_default(const struct vn_planner *p, struct vn_setting ret[VN_SETTINGS_MAX]);

/* Adds random static paths, always the same. Returns how many settings there are then. */
uint32_t vn_settings_add_paths(const struct vn_planner *p, uint32_t paths, struct vn_setting *list,
                               uint32_t n);
