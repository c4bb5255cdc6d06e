/* A session runs paths: one worker's scratch arena (one anonymous map, sized once for the widest
 * path of the widest input) over a shared store, and the threads that share a run's work. Not
 * thread-safe; make one per worker.
 *
 * Between convolutions it looks at the cancel flag and the deadline. It never logs, never allocates
 * per run, and touches no parameter outside the plan's slices. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "engine/image.h"
#include "engine/kernels.h"
#include "engine/plan.h"
#include "engine/store.h"

enum {
    VN_SESSION_E_CANCELLED = 1,
    VN_SESSION_E_DEADLINE,
    VN_SESSION_E_TOO_SMALL, /* vn_infer: ret->needed_bytes says what the smallest path needs */
    VN_SESSION_E_DAMAGED,   /* a part of the store does not agree with its checksum */
};

struct vn_session;

struct vn_control {
    const atomic_bool *cancel; /* NULL: cannot be cancelled */
    uint64_t deadline_ns;      /* vn_now_ns clock; 0: none */
    atomic_ulong *progress;    /* counted up at each convolution; NULL: nobody watches */
};

/* Takes its own reference to the store. compute NULL is the default. Everything that runs keep
 * besides the arena (packing buffers of the kernels) is taken here, so that a run's growth is its
 * plan's. 0 or a negative errno. */
int vn_session_new(struct vn_store *s, const struct vn_compute *compute,
                   struct vn_session **ret_session);
struct vn_session *vn_session_free(struct vn_session *s);
VN_DEFINE_CLEANUP(struct vn_session *, vn_session_free);

const struct vn_planner *vn_session_planner(const struct vn_session *s);
const struct vn_store *vn_session_store(const struct vn_session *s);

/* Bytes of arena that a run of this input touches at most: the plan's `scratch`. */
uint64_t vn_scratch_bytes(const struct vn_network *n, uint32_t input,
                          const struct vn_compute *compute);

/* Gives the arena's pages back until a run touches them again. */
void vn_session_rest(struct vn_session *s);

/* Where preprocessing puts the image, (H, W, C) floats of the task's input, kept until the next. */
float *vn_session_image(struct vn_session *s, uint32_t task);

/* Runs the plan on the session's image. ret_logits (n_labels). ret_features (backbone width), the
 * pooled trunk, may be NULL. Where the store checks at use, slices that no run used before are
 * compared with their checksums first. 0, VN_SESSION_E_CANCELLED, VN_SESSION_E_DEADLINE or
 * VN_SESSION_E_DAMAGED, which is about vn_session_damaged_part. */
int vn_session_run(struct vn_session *s, const struct vn_plan *plan,
                   const struct vn_control *control, float *ret_logits, float *ret_features);

uint32_t vn_session_damaged_part(const struct vn_session *s);

/* The whole of a request: preprocess, ask the agent, plan, run. */
struct vn_infer_request {
    uint32_t task;
    const struct vn_image *image; /* checked; NULL allowed with plan_only: then a kind that looks at
                                     the image leaves the choice to the uniform rule */
    uint64_t budget_bytes;        /* 0: no limit */
    uint64_t limit_params;        /* when not 0: a limit in parameters instead (evaluation) */
    double thrift;                /* 0 .. 1: how much to save below the limit on easy images */
    const uint8_t *levels;        /* a fixed path instead of the agent's, n_levels; or NULL */
    uint32_t n_levels;
    enum vn_agent_kind agent; /* the store's own kind, or VN_AGENT_UNIFORM to overrule it */
    bool plan_only;           /* stop before the final run */
    bool streaming;           /* the path may be streamed (engine/stream.h) where the budget would
                                 cost accuracy by the task's table; where there is none, or the path
                                 is fixed: where the full or fixed path does not fit */
};

struct vn_infer_result {
    struct vn_plan plan;
    enum vn_agent_kind decided_by; /* uniform also where the budget left no room for the agent */
    bool fixed_path;               /* levels came with the request */
    uint64_t needed_bytes;         /* with VN_SESSION_E_TOO_SMALL (parameters if limit_params) */
    uint32_t damaged_part;         /* with VN_SESSION_E_DAMAGED */
    uint32_t n_labels;
    float probabilities[VN_LABELS_MAX]; /* softmax; not set with plan_only */
    uint64_t agent_ns, compute_ns;      /* deciding (probe included), running */
    uint64_t page_in_ns;                /* beside them: waiting for slices to be resident, which is
                                           known for stores that are accounted and streamed runs */
};

/* 0, one of the outcomes above, -ENOMEM, or -EINVAL: no such task, path, or kind of agent, or no
 * image. The result is whole only with 0; with VN_SESSION_E_TOO_SMALL needed_bytes is set, with
 * VN_SESSION_E_DAMAGED damaged_part. */
int vn_infer(struct vn_session *s, const struct vn_infer_request *request,
             const struct vn_control *control, struct vn_infer_result *ret);

/* Indices of the k largest, best first; equal values in index order. k <= n. */
void vn_top_k(const float *values, uint32_t n, uint32_t k, uint32_t *ret_indices);
