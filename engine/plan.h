/* A plan: a validated path of one task with its exact estimate, made before any memory is taken.
 *
 * Parameters are counted twice: exactly, and as the union of the 64 KiB windows that a run touches,
 * which is what the kernel makes resident; the budget is held against the latter. Both count the
 * input's stem, the task's head and, in a store that has an agent, the whole of what the agent
 * reads (also when a request overrules it: the promise is then too high, never too low).
 *
 *     total = params_resident + scratch + io
 *
 * A streamed plan counts what is resident at the same moment, at most, instead of the union.
 *
 * Choosing under a budget is a multiple-choice knapsack: maximise the sum of score[b][level_b]
 * subject to cost <= budget, solved exactly (not in every case a sum of slices: neighbours in a
 * small store share windows, which the solver accounts for). Scores are log pi_b(level_b). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/layout.h"
#include "engine/network.h"

enum {
    VN_PLAN_E_TOO_SMALL = 1, /* budget below the smallest path; *ret_needed says how much */
    VN_PLAN_E_PATH,          /* a level above g, or a wrong number of levels */
};

struct vn_bytes {
    uint64_t params;          /* parameter bytes of the path, exact: stem, head, agent included */
    uint64_t params_resident; /* union of the windows they touch */
    uint64_t scratch;         /* activations */
    uint64_t io;              /* image and result */
};

static inline uint64_t vn_bytes_total(const struct vn_bytes *b)
{
    return b->params_resident + b->scratch + b->io;
}

struct vn_plan {
    uint32_t task;
    uint32_t n_blocks;
    uint8_t level[VN_BLOCKS_MAX];
    struct vn_bytes bytes;
    uint64_t piece_windows; /* streamed in pieces of at most so many (engine/stream.h); 0: not */
    double density;         /* parameters of the path / parameters of the task's full path */
};

/* What is known of a network's costs before any request; const after new, shared. */
struct vn_planner;

struct vn_compute; /* engine/kernels.h */

/* For sessions that compute like this, NULL being the default. Borrows the network and the layout
 * for as long as it lives. 0 or -ENOMEM. */
int vn_planner_new(const struct vn_network *n, const struct vn_layout *l,
                   const struct vn_compute *compute, struct vn_planner **ret_planner);
struct vn_planner *vn_planner_free(struct vn_planner *p);
VN_DEFINE_CLEANUP(struct vn_planner *, vn_planner_free);

const struct vn_network *vn_planner_network(const struct vn_planner *p);

/* The plan of a given path. image_bytes: the pixels of the request; 0 = an image of the input's own
 * size. 0 or VN_PLAN_E_PATH. */
int vn_plan_path(const struct vn_planner *p, uint32_t task, const uint8_t *levels,
                 uint32_t n_levels, uint64_t image_bytes, struct vn_plan *ret_plan);

/* Every block at the same level; level <= g. */
void vn_plan_uniform(const struct vn_planner *p, uint32_t task, uint32_t level,
                     uint64_t image_bytes, struct vn_plan *ret_plan);

/* The same path, streamed: params_resident is what is always needed and two pieces, which are as
 * large as the budget allows, up to VN_STREAM_SHARE of the task's full path. When it does not fit,
 * they are as small as they can be. */
void vn_plan_stream(const struct vn_planner *p, uint64_t budget_bytes, struct vn_plan *plan);

enum vn_plan_unit {
    VN_PLAN_BYTES,  /* the limit is a budget: vn_bytes_total */
    VN_PLAN_PARAMS, /* the limit counts parameters of the path, as the papers do */
};

/* The largest uniform level within the budget. 0 or VN_PLAN_E_TOO_SMALL with *ret_needed. */
int vn_plan_largest_uniform(const struct vn_planner *p, uint32_t task, uint64_t budget_bytes,
                            uint64_t image_bytes, struct vn_plan *ret_plan, uint64_t *ret_needed);

/* The same for a limit in either unit; *ret_needed is in that unit. */
int vn_plan_largest_uniform_in(const struct vn_planner *p, uint32_t task, enum vn_plan_unit unit,
                               uint64_t limit, uint64_t image_bytes, struct vn_plan *ret_plan,
                               uint64_t *ret_needed);

/* The best path within the limit. scores: (m, g + 1) row-major, finite. Levels below `min_level`
 * (at most g: a uniform level that is run anyway) are not chosen unless nothing else fits.
 * Of equal scores the cheaper path wins; the same question has the same answer everywhere.
 * 0, VN_PLAN_E_TOO_SMALL with *ret_needed in the limit's unit, or -ENOMEM. Takes microseconds for
 * the usual sizes; no memory that outlives the call. */
int vn_plan_choose(const struct vn_planner *p, uint32_t task, enum vn_plan_unit unit,
                   uint64_t limit, uint64_t image_bytes, const float *scores, uint32_t min_level,
                   struct vn_plan *ret_plan, uint64_t *ret_needed);

/* The budget under which requests, with an image of the input's own size, are answered as a row of
 * the task's accuracy table says: what the level needs, or the row's share of the full path. 0 for
 * a row that says neither. */
uint64_t vn_plan_measured_budget(const struct vn_planner *p, uint32_t task,
                                 const struct vn_measured *row);

/* Parameters (floats) of a plan: params / 4. */
static inline uint64_t vn_plan_params(const struct vn_plan *plan)
{
    return plan->bytes.params / sizeof(float);
}

/* The windows of the data part that a plan's run touches: calls visit(offset, bytes) for each
 * maximal run of windows, in file order, clipped to the data. */
void vn_plan_windows(const struct vn_planner *p, const struct vn_plan *plan,
                     void (*visit)(void *context, uint64_t offset, uint64_t bytes), void *context);
