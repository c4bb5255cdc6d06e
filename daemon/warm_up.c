#include "daemon/warm_up.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/residency.h"

struct warm_up {
    struct model *model;
    const struct config *config;
    struct vn_why *why;
    uint8_t *pixels;                  /* owned: gray, the largest input */
    uint8_t (*levels)[VN_BLOCKS_MAX]; /* owned: by task, of those that stand for others */
    bool *warm;                       /* owned: by part */
    uint32_t part;                    /* the last that was looked at */
    uint64_t left;                    /* bytes that may still be read */
    uint64_t resident;                /* of them, not yet given back */
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

static uint64_t budget_of(const struct warm_up *w, uint32_t task)
{
    return config_budget(w->config, w->model->settings, w->model->network->tasks[task].name);
}

static int check_budget(const struct warm_up *w, uint32_t task)
{
    const char *name = w->model->network->tasks[task].name;
    uint64_t budget = budget_of(w, task), needed;
    struct vn_plan plan;

    if (!budget || !vn_plan_largest_uniform(w->model->planner, task, budget, 0, &plan, &needed))
        return 0;
    return vn_because(w->why, MODEL_E_FAILED,
                      "task \"%s\": its default budget of %llu bytes is below its smallest path, "
                      "which needs %llu",
                      name, (unsigned long long)budget, (unsigned long long)needed);
}

static uint32_t slice_part(const struct warm_up *w, uint32_t task, uint32_t k, uint32_t block)
{
    return vn_store_slice_part(w->model->store, w->model->network->tasks[task].order[k], block);
}

static int infer(struct warm_up *w, uint32_t task, const uint8_t *levels)
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
    const struct vn_infer_request q = {
        .task = task,
        .image = &image,
        .budget_bytes = budget_of(w, task),
        .agent = n->agent.kind,
        .levels = levels,
        .n_levels = levels ? vn_network_blocks(n) : 0,
        .plan_only = !levels,
    };
    int r = vn_infer(w->model->sessions[0], &q, &(struct vn_control){0}, &w->result);

    w->part = vn_session_damaged_part(w->model->sessions[0]);
    return r;
}

/* As for a client without wishes; an agent may look at the image. */
static int decide(struct warm_up *w, uint32_t task)
{
    int r = infer(w, task, NULL);

    if (!r)
        memcpy(w->levels[task], w->result.plan.level, VN_BLOCKS_MAX);
    return r;
}

/* Passes through every layer at a fraction of the time: level 1 where that slice was read. */
static int run(struct warm_up *w, uint32_t task)
{
    uint8_t levels[VN_BLOCKS_MAX];

    for (uint32_t b = 0; b < vn_network_blocks(w->model->network); b++)
        levels[b] = w->levels[task][b] && w->warm[slice_part(w, task, 0, b)];
    w->resident = WARM_UP_BYTES; /* with what it touched, there is room for no more */
    return infer(w, task, levels);
}

/* The first task of this input and budget; the levels that were decided for it stand for all. */
static uint32_t find_first(const struct warm_up *w, uint32_t task)
{
    const struct vn_task *t = w->model->network->tasks;
    uint64_t budget = budget_of(w, task);
    uint32_t i = 0;

    while (t[i].input != t[task].input || budget_of(w, i) != budget)
        i++;
    return i;
}

/* Reads a slice that no earlier task needed, while there is something left to read. */
static int warm_slice(struct warm_up *w, uint32_t part)
{
    const uint64_t bytes = vn_store_part_bytes(w->model->store, part);

    if (w->warm[part] || bytes > w->left)
        return 0;
    if (w->resident + bytes > WARM_UP_BYTES) {
        vn_residency_clear(w->model->store);
        w->resident = 0;
    }
    w->resident += bytes;
    w->left -= bytes;
    w->warm[part] = true;
    w->part = part;
    return vn_store_warm(w->model->store, part);
}

/* What a path of these levels needs, the first groups of all blocks first. */
static int warm_slices(struct warm_up *w, uint32_t task, const uint8_t *levels)
{
    int r = 0;

    for (uint32_t k = 0; k < w->model->network->groups; k++)
        for (uint32_t b = 0; b < vn_network_blocks(w->model->network) && !r; b++)
            if (k < levels[b])
                r = warm_slice(w, slice_part(w, task, k, b));
    return r > 0 ? VN_SESSION_E_DAMAGED : r;
}

static int warm_up(struct warm_up *w, uint32_t task)
{
    const uint32_t first = find_first(w, task);
    int r = first == task ? decide(w, task) : 0;

    if (!r)
        r = warm_slices(w, task, w->levels[first]);
    return !r && first == task ? run(w, task) : r;
}

int model_warm_up(struct model *m, const struct config *c, uint64_t bytes, struct vn_why *why)
{
    _cleanup_(deinit) struct warm_up w = {.model = m, .config = c, .why = why, .left = bytes};
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
    vn_session_rest(m->sessions[0]);
    vn_residency_clear(m->store); /* what waits for work holds what it always needs and no more */
    return r;
}
