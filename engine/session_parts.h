/* The inside of a session, for session.c (runs paths) and infer.c (serves requests). */
#pragma once

#include "engine/arena.h"
#include "engine/session.h"
#include "engine/stream.h"

struct vn_session {
    struct vn_store *store;     /* a reference */
    struct vn_planner *planner; /* owned */
    const struct vn_kernels *kernels;
    struct vn_pool *pool;          /* owned; NULL: one thread */
    struct vn_network agent_trunk; /* conv agents: vn_network_of_agent */
    struct vn_arena layout[VN_INPUTS_MAX];
    uint8_t *arena;
    void *map; /* owned: the arena between two guard pages */
    size_t map_bytes;
    uint32_t damaged_part;    /* of the store */
    struct vn_stream *stream; /* owned; NULL until a plan is streamed */
    uint64_t page_in_ns;      /* that runs have waited for slices to be resident */
};

/* What to run: the backbone or a conv agent's trunk, with this input's stem and vectors. */
struct vn_trunk_run {
    const struct vn_network *network;
    const struct vn_trunk_layout *layout;
    uint32_t input;
    const uint8_t *levels; /* by block */
    const uint8_t *order;  /* of groups */
    bool streamed;         /* by the session's stream, which has begun */
};

/* From the session's image to the pooled trunk (network width floats). Outcomes as
 * vn_session_run. */
int vn_trunk_run(struct vn_session *s, const struct vn_trunk_run *run,
                 const struct vn_control *control, float *ret_pooled);
