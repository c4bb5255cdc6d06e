#include "daemon/warm_up.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct warm_up {
    struct model *model;
    const struct config *config;
    struct vn_why *why;
    uint8_t *pixels;                  /* owned: gray, the largest input */
    uint8_t (*levels)[VN_BLOCKS_MAX]; /* owned: by task, of those that stand for others */
    bool *warm;                       /* owned: by part */
    uint32_t part;                    /* the last that was looked at */
    struct vn_infer_result result;
};

static void deinit(struct warm_up *w)
{
    free(w->warm);
    free(w->levels);
    free(w->pixels);
}

static int failed(const struct warm_up *w, uint32_t task, int r)
{
    const char *name = w->model->network->tasks[task].name;
    char part[VN_PART_NAME];

    if (r < 0)
        return vn_because(w->why, MODEL_E_FAILED, "task \"%s\": the warm-up failed: %s", name,
                          strerror(-r));
    if (r != VN_SESSION_E_DAMAGED)
        return vn_because(w->why, MODEL_E_FAILED, "task \"%s\": the warm-up failed (%d)", name, r);
    vn_store_part_name(w->model->store, w->part, part);
    return vn_because(w->why, MODEL_E_FAILED,
                      "%s, which the default path of task \"%s\" needs, does not agree with its "
                      "checksum; put a good file in its place",
                      part, name);
}

static int check_budget(const struct warm_up *w, uint32_t task)
{
    const char *name = w->model->network->tasks[task].name;
    uint64_t budget = config_budget(w->config, name), needed;
    struct vn_plan plan;

    if (!budget || !vn_plan_largest_uniform(w->model->planner, task, budget, 0, &plan, &needed))
        return 0;
    return vn_because(w->why, MODEL_E_FAILED,
                      "task \"%s\": its default budget of %llu bytes is below its smallest path, "
                      "which needs %llu",
                      name, (unsigned long long)budget, (unsigned long long)needed);
}

/* Decides as for a client without wishes, then runs the path at level 1 or below: that passes
 * through every layer at a fraction of the time. ret_levels is the whole path. */
static int decide_and_run(struct warm_up *w, uint32_t task, uint8_t ret_levels[VN_BLOCKS_MAX])
{
    const struct vn_network *n = w->model->network;
    const struct vn_input *in = &n->inputs[n->tasks[task].input];
    const struct vn_image image = {
        .pixels = w->pixels,
        .length = (uint64_t)in->width * in->height,
        .width = in->width,
        .height = in->height,
        .format = VN_PIXELS_GRAY8,
    };
    struct vn_infer_request q = {
        .task = task,
        .image = &image,
        .budget_bytes = config_budget(w->config, n->tasks[task].name),
        .agent = n->agent.kind,
        .plan_only = true,
    };
    const struct vn_control control = {0};
    uint8_t levels[VN_BLOCKS_MAX];
    int r = vn_infer(w->model->sessions[0], &q, &control, &w->result);

    if (r)
        return r;
    memcpy(ret_levels, w->result.plan.level, VN_BLOCKS_MAX);
    for (uint32_t b = 0; b < vn_network_blocks(n); b++)
        levels[b] = ret_levels[b] ? 1 : 0;
    q.levels = levels;
    q.n_levels = vn_network_blocks(n);
    q.plan_only = false;
    return vn_infer(w->model->sessions[0], &q, &control, &w->result);
}

/* The first task of this input and budget; the levels that were decided for it stand for all. */
static uint32_t find_first(const struct warm_up *w, uint32_t task)
{
    const struct vn_task *t = w->model->network->tasks;
    uint64_t budget = config_budget(w->config, t[task].name);
    uint32_t i = 0;

    while (t[i].input != t[task].input || config_budget(w->config, t[i].name) != budget)
        i++;
    return i;
}

/* What a path of these levels needs, if no earlier task did. */
static int warm_slices(struct warm_up *w, uint32_t task, const uint8_t *levels)
{
    const struct vn_network *n = w->model->network;
    int r = 0;

    for (uint32_t b = 0; b < vn_network_blocks(n); b++) {
        for (uint32_t k = 0; k < levels[b] && !r; k++) {
            uint32_t part = vn_store_slice_part(w->model->store, n->tasks[task].order[k], b);

            if (w->warm[part])
                continue;
            w->warm[part] = true;
            w->part = part;
            r = vn_store_warm(w->model->store, part);
        }
    }
    return r > 0 ? VN_SESSION_E_DAMAGED : r;
}

static int warm_up(struct warm_up *w, uint32_t task)
{
    uint32_t first = find_first(w, task);
    int r = 0;

    if (first == task) {
        r = decide_and_run(w, task, w->levels[task]);
        w->part = vn_session_damaged_part(w->model->sessions[0]);
    }
    return r ? r : warm_slices(w, task, w->levels[first]);
}

int model_warm_up(struct model *m, const struct config *c, struct vn_why *why)
{
    _cleanup_(deinit) struct warm_up w = {.model = m, .config = c, .why = why};
    int r = 0;

    w.pixels = malloc(VN_SIDE_MAX * VN_SIDE_MAX);
    w.levels = calloc(m->network->n_tasks, sizeof *w.levels);
    w.warm = calloc(vn_store_checks(m->store).parts, sizeof *w.warm);
    if (!w.pixels || !w.levels || !w.warm)
        return vn_because(why, -ENOMEM, "out of memory");
    memset(w.pixels, 128, VN_SIDE_MAX * VN_SIDE_MAX);
    for (uint32_t t = 0; t < m->network->n_tasks && !r; t++)
        r = check_budget(&w, t);
    for (uint32_t t = 0; t < m->network->n_tasks && !r; t++) {
        r = warm_up(&w, t);
        if (r)
            r = failed(&w, t, r);
    }
    vn_store_release(m->store); /* what waits for work holds what it always needs and no more */
    return r;
}
