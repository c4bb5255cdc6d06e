#include "engine/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/knapsack.h"
#include "engine/plan_costs.h"
#include "engine/session.h"
#include "engine/stream.h"

struct vn_planner {
    const struct vn_network *network;
    const struct vn_layout *layout;
    struct vn_task_costs *costs; /* owned, by task */
    uint64_t scratch[VN_INPUTS_MAX];
    uint64_t least_piece; /* windows */
};

int vn_planner_new(const struct vn_network *n, const struct vn_layout *l,
                   const struct vn_compute *compute, struct vn_planner **ret_planner)
{
    _cleanup_(vn_planner_freep) struct vn_planner *p = calloc(1, sizeof *p);
    int r;

    if (!p)
        return -ENOMEM;
    p->network = n;
    p->layout = l;
    p->costs = calloc(n->n_tasks, sizeof p->costs[0]);
    if (!p->costs)
        return -ENOMEM;
    for (uint32_t t = 0; t < n->n_tasks; t++) {
        r = vn_task_costs_init(&p->costs[t], n, l, t);
        if (r)
            return r;
    }
    for (uint32_t i = 0; i < n->n_inputs; i++)
        p->scratch[i] = vn_scratch_bytes(n, i, compute);
    p->least_piece = vn_stream_least_piece(n, l);
    *ret_planner = p;
    p = NULL;
    return 0;
}

struct vn_planner *vn_planner_free(struct vn_planner *p)
{
    if (!p)
        return NULL;
    for (uint32_t t = 0; p->costs && t < p->network->n_tasks; t++)
        vn_task_costs_deinit(&p->costs[t]);
    free(p->costs);
    free(p);
    return NULL;
}

const struct vn_network *vn_planner_network(const struct vn_planner *p)
{
    return p->network;
}

/* --- bytes of a path -------------------------------------------------------------------------- */

static uint64_t io_bytes(const struct vn_planner *p, uint32_t task, uint64_t image_bytes)
{
    const struct vn_task *t = &p->network->tasks[task];
    const struct vn_input *in = &p->network->inputs[t->input];

    if (!image_bytes)
        image_bytes = (uint64_t)in->width * in->height * vn_color_channels(in->color);
    return image_bytes + t->n_labels * sizeof(float);
}

static uint64_t path_params(const struct vn_task_costs *c, const uint8_t *levels)
{
    uint64_t params = c->fixed_params;

    for (uint32_t b = 0; b < c->m; b++)
        params += vn_choice_at(c, b, levels[b])->params;
    return params;
}

static uint64_t path_windows(const struct vn_task_costs *c, const uint8_t *levels)
{
    uint64_t windows = c->fixed_windows, touched = 0;

    for (uint32_t b = 0; b < c->m; b++) {
        const struct vn_choice *choice = vn_choice_at(c, b, levels[b]);

        windows += choice->windows + (uint64_t)__builtin_popcountll(choice->bits & ~touched);
        touched = (touched | choice->bits) & ~c->closing[b];
    }
    return windows;
}

/* The plan of levels that are known to be legal. */
static void make_plan(const struct vn_planner *p, uint32_t task, const uint8_t *levels,
                      uint64_t image_bytes, struct vn_plan *ret)
{
    const struct vn_task_costs *c = &p->costs[task];
    uint64_t params = path_params(c, levels), full = c->fixed_params;
    struct vn_plan plan = {.task = task, .n_blocks = c->m};

    for (uint32_t b = 0; b < c->m; b++)
        full += vn_choice_at(c, b, c->levels - 1)->params;
    memcpy(plan.level, levels, c->m);
    plan.bytes = (struct vn_bytes){
        .params = params * sizeof(float),
        .params_resident = path_windows(c, levels) * VN_WINDOW_BYTES,
        .scratch = p->scratch[p->network->tasks[task].input],
        .io = io_bytes(p, task, image_bytes),
    };
    plan.density = (double)params / (double)full;
    *ret = plan;
}

int vn_plan_path(const struct vn_planner *p, uint32_t task, const uint8_t *levels,
                 uint32_t n_levels, uint64_t image_bytes, struct vn_plan *ret_plan)
{
    if (n_levels != p->costs[task].m)
        return VN_PLAN_E_PATH;
    for (uint32_t b = 0; b < n_levels; b++)
        if (levels[b] > p->network->groups)
            return VN_PLAN_E_PATH;
    make_plan(p, task, levels, image_bytes, ret_plan);
    return 0;
}

void vn_plan_uniform(const struct vn_planner *p, uint32_t task, uint32_t level,
                     uint64_t image_bytes, struct vn_plan *ret_plan)
{
    uint8_t levels[VN_BLOCKS_MAX];

    memset(levels, (int)level, sizeof levels);
    make_plan(p, task, levels, image_bytes, ret_plan);
}

void vn_plan_stream(const struct vn_planner *p, uint64_t budget_bytes, struct vn_plan *plan)
{
    const uint64_t fixed = p->costs[plan->task].fixed_windows * VN_WINDOW_BYTES;
    const uint64_t rest = fixed + plan->bytes.scratch + plan->bytes.io;
    uint64_t room = budget_bytes > rest ? (budget_bytes - rest) / 2 / VN_WINDOW_BYTES : 0;
    uint64_t share = p->layout->data_bytes / VN_STREAM_SHARE / VN_WINDOW_BYTES;

    room = room < share ? room : share;
    plan->piece_windows = room > p->least_piece ? room : p->least_piece;
    if (plan->bytes.params_resident > fixed + 2 * plan->piece_windows * VN_WINDOW_BYTES)
        plan->bytes.params_resident = fixed + 2 * plan->piece_windows * VN_WINDOW_BYTES;
}

/* --- choosing --------------------------------------------------------------------------------- */

/* A path's cost in the unit of a limit. */
static uint64_t cost_in(enum vn_plan_unit unit, const struct vn_plan *plan)
{
    return unit == VN_PLAN_BYTES ? vn_bytes_total(&plan->bytes) : vn_plan_params(plan);
}

int vn_plan_largest_uniform(const struct vn_planner *p, uint32_t task, uint64_t budget_bytes,
                            uint64_t image_bytes, struct vn_plan *ret_plan, uint64_t *ret_needed)
{
    return vn_plan_largest_uniform_in(p, task, VN_PLAN_BYTES, budget_bytes, image_bytes, ret_plan,
                                      ret_needed);
}

int vn_plan_largest_uniform_in(const struct vn_planner *p, uint32_t task, enum vn_plan_unit unit,
                               uint64_t limit, uint64_t image_bytes, struct vn_plan *ret_plan,
                               uint64_t *ret_needed)
{
    struct vn_plan plan;

    for (uint32_t level = p->network->groups + 1; level-- > 0;) {
        vn_plan_uniform(p, task, level, image_bytes, &plan);
        if (cost_in(unit, &plan) <= limit) {
            *ret_plan = plan;
            return 0;
        }
    }
    *ret_needed = cost_in(unit, &plan);
    return VN_PLAN_E_TOO_SMALL;
}

uint64_t vn_plan_measured_budget(const struct vn_planner *p, uint32_t task,
                                 const struct vn_measured *row)
{
    uint32_t groups = p->network->groups;
    bool uniform = !strcmp(row->by, vn_agent_kind_names[VN_AGENT_UNIFORM]);
    struct vn_plan plan;

    if (!(row->setting >= 0 && row->setting <= (uniform ? groups : 1)))
        return 0;
    vn_plan_uniform(p, task, uniform ? (uint32_t)row->setting : groups, 0, &plan);
    return uniform ? vn_bytes_total(&plan.bytes)
                   : (uint64_t)(row->setting * (double)vn_bytes_total(&plan.bytes));
}

int vn_plan_choose(const struct vn_planner *p, uint32_t task, enum vn_plan_unit unit,
                   uint64_t limit, uint64_t image_bytes, const float *scores, uint32_t min_level,
                   struct vn_plan *ret_plan, uint64_t *ret_needed)
{
    const struct vn_task_costs *c = &p->costs[task];
    uint8_t levels[VN_BLOCKS_MAX];
    struct vn_plan plan;
    int r;

    vn_plan_uniform(p, task, 0, image_bytes, &plan);
    if (cost_in(unit, &plan) > limit) {
        *ret_needed = cost_in(unit, &plan);
        return VN_PLAN_E_TOO_SMALL;
    }
    limit -= cost_in(unit, &plan); /* what is left for the slices */
    if (unit == VN_PLAN_BYTES)
        limit /= VN_WINDOW_BYTES;
    r = vn_knapsack(c, unit, limit, scores, min_level, levels, NULL);
    if (r == VN_KNAPSACK_E_TOO_SMALL)
        r = vn_knapsack(c, unit, limit, scores, 0, levels, NULL);
    if (r)
        return r;
    make_plan(p, task, levels, image_bytes, ret_plan);
    return 0;
}

/* --- windows ---------------------------------------------------------------------------------- */

/* Joins ranges in file order into maximal runs of windows. */
struct joiner {
    uint64_t data_bytes;
    uint64_t start, end; /* of the open run; equal: none is open */
    void (*visit)(void *context, uint64_t offset, uint64_t bytes);
    void *context;
};

static void joiner_close(struct joiner *j)
{
    uint64_t end = j->end < j->data_bytes ? j->end : j->data_bytes;

    if (j->end > j->start)
        j->visit(j->context, j->start, end - j->start);
    j->start = j->end;
}

static void joiner_add(struct joiner *j, struct vn_range r)
{
    uint64_t start = r.offset / VN_WINDOW_BYTES * VN_WINDOW_BYTES;
    uint64_t end = (r.offset + r.bytes + VN_WINDOW_BYTES - 1) / VN_WINDOW_BYTES * VN_WINDOW_BYTES;

    if (start > j->end || j->start == j->end) {
        joiner_close(j);
        j->start = start < j->end ? j->end : start;
        j->end = j->start;
    }
    if (end > j->end)
        j->end = end;
}

static bool uses_group(const struct vn_task *t, uint32_t level, uint32_t group)
{
    for (uint32_t k = 0; k < level; k++)
        if (t->order[k] == group)
            return true;
    return false;
}

void vn_plan_windows(const struct vn_planner *p, const struct vn_plan *plan,
                     void (*visit)(void *context, uint64_t offset, uint64_t bytes), void *context)
{
    const struct vn_layout *l = p->layout;
    const struct vn_task *t = &p->network->tasks[plan->task];
    struct joiner j = {.data_bytes = l->data_bytes, .visit = visit, .context = context};
    struct vn_range ranges[VN_FIXED_RANGES];
    uint32_t n = vn_fixed_ranges(p->network, l, plan->task, ranges);

    for (uint32_t i = 0; i < n; i++)
        joiner_add(&j, ranges[i]);
    for (uint32_t g = 0; g < p->network->groups; g++)
        for (uint32_t b = 0; b < plan->n_blocks; b++) {
            if (!uses_group(t, plan->level[b], g))
                continue;
            joiner_add(&j, vn_slice_range(&l->trunk.slice[g][b]));
        }
    joiner_close(&j);
}
