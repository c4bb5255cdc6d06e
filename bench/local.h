/* The same request as talk.h's, as a call of the engine in this process. */
#pragma once

#include "bench/talk.h"
#include "engine/session.h"

struct local {
    struct vn_store *store;
    struct vn_session *session;
    struct vn_image image;
    struct vn_infer_request request;
    struct vn_infer_result result;
    uint8_t pixels[TALK_PIXELS];
    uint8_t levels[TALK_LEVELS_MAX];
};

/* A session on the first task of a store; *l stays where it is. 0, or an outcome with why set. */
int local_init(struct local *l, struct vn_store *store, const uint32_t *levels, uint32_t n_levels);
void local_deinit(struct local *l);

/* One request. 0 or what vn_infer says. */
int local_run(struct local *l);
