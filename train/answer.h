/* One sample under one setting, through the engine as the daemon runs it. */
#pragma once

#include "engine/session.h"
#include "train/setting.h"

struct vn_answer {
    bool fits; /* false: the limit is below the smallest path, and the rest is not set */
    uint16_t label;
    float confidence;      /* the largest probability */
    uint64_t params;       /* that the run touched: of the path; the agent's where it was asked */
    uint64_t agent_params; /* the part of these */
    uint64_t bytes;        /* resident parameter bytes of the plan */
    uint64_t work;         /* multiply-adds of all that was run, looks at the image included */
    uint8_t level[VN_BLOCKS_MAX];
};

/* What is asked, and what is known of it already. Begin with `level` all zero. */
struct vn_question {
    struct vn_session *session;
    uint32_t task;
    const struct vn_image *image;
    uint64_t number; /* of the image: random settings depend on it and the task alone */
    struct vn_answer level[VN_LEVELS_MAX]; /* at uniform levels; fits: it is there */
};

/* 0 or a negative errno. */
int vn_answer(struct vn_question *q, const struct vn_setting *s, struct vn_answer *ret);
