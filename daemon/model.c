#include "daemon/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "daemon/status.h"
#include "daemon/text.h"

static void unrefp(struct model **m)
{
    model_unref(*m);
}

/* Every budget of the configuration names a task that is there. */
static int check_budgets(const struct config *c, const struct vn_network *n, struct vn_why *why)
{
    char tasks[256];

    for (uint32_t i = 0; i < c->n_task_budgets; i++)
        if (vn_network_find_task(n, c->task_budgets[i].task) < 0)
            return vn_because(why, MODEL_E_FAILED,
                              "task_budgets names \"%s\", which the store does not have; it has %s",
                              c->task_budgets[i].task, text_tasks(n, tasks, sizeof tasks));
    return 0;
}

static struct vn_compute compute_of(const struct config *c)
{
    return (struct vn_compute){vn_kernels_find(c->kernels), (uint32_t)c->compute_threads};
}

static int make_sessions(struct model *m, const struct config *c, struct vn_why *why)
{
    const struct vn_compute compute = compute_of(c);
    int r;

    if (!compute.kernels)
        return vn_because(why, MODEL_E_FAILED, "kernels \"%s\" are not in this build", c->kernels);
    m->sessions = calloc(c->workers, sizeof *m->sessions);
    if (!m->sessions)
        return vn_because(why, -ENOMEM, "out of memory");
    for (; m->n_sessions < c->workers; m->n_sessions++) {
        r = vn_session_new(m->store, &compute, &m->sessions[m->n_sessions]);
        if (r)
            return vn_because(why, r, "session %u: %s", m->n_sessions, strerror(-r));
    }
    return 0;
}

/* One run of the task as a client without wishes would ask for it, on a gray image. */
static int warm_up_task(struct model *m, const struct config *c, uint32_t task, uint8_t *pixels,
                        struct vn_infer_result *result, struct vn_why *why)
{
    const struct vn_task *t = &m->network->tasks[task];
    const struct vn_input *in = &m->network->inputs[t->input];
    struct vn_image image = {
        .pixels = pixels,
        .length = (uint64_t)in->width * in->height,
        .width = in->width,
        .height = in->height,
        .format = VN_PIXELS_GRAY8,
    };
    struct vn_infer_request request = {
        .task = task,
        .image = &image,
        .budget_bytes = config_budget(c, t->name),
        .agent = m->network->agent.kind,
    };
    struct vn_control control = {0};
    int r = vn_infer(m->sessions[0], &request, &control, result);

    if (r == VN_SESSION_E_TOO_SMALL)
        return vn_because(why, MODEL_E_FAILED,
                          "task \"%s\": its default budget of %llu bytes is below its smallest "
                          "path, which needs %llu",
                          t->name, (unsigned long long)request.budget_bytes,
                          (unsigned long long)result->needed_bytes);
    if (r)
        return vn_because(why, MODEL_E_FAILED, "task \"%s\": the warm-up run failed (%d)", t->name,
                          r);
    return 0;
}

static int warm_up(struct model *m, const struct config *c, struct vn_why *why)
{
    _cleanup_(vn_freep) struct vn_infer_result *result = malloc(sizeof *result);
    _cleanup_(vn_freep) uint8_t *pixels = malloc(VN_SIDE_MAX * VN_SIDE_MAX);
    int r = 0;

    if (!result || !pixels)
        return vn_because(why, -ENOMEM, "out of memory");
    memset(pixels, 128, VN_SIDE_MAX * VN_SIDE_MAX);
    for (uint32_t t = 0; t < m->network->n_tasks && !r; t++)
        r = warm_up_task(m, c, t, pixels, result, why);
    return r;
}

static int prepare(struct model *m, const struct config *c, struct vn_why *why)
{
    const struct vn_compute compute = compute_of(c);
    int r = c->verify_store ? vn_store_verify(m->store, why, NULL, NULL) : 0;

    if (r)
        return r < 0 ? r : MODEL_E_FAILED;
    r = check_budgets(c, m->network, why);
    if (r)
        return r;
    r = vn_planner_new(m->network, m->store->layout, &compute, &m->planner);
    if (r)
        return vn_because(why, r, "%s", strerror(-r));
    r = make_sessions(m, c, why);
    if (r)
        return r;
    m->idle_pss_bytes = status_memory().pss;
    return warm_up(m, c, why);
}

int model_load(const struct config *c, struct vn_why *why, struct model **ret_model)
{
    _cleanup_(unrefp) struct model *m = calloc(1, sizeof *m);
    int r;

    if (!m)
        return vn_because(why, -ENOMEM, "out of memory");
    m->references = 1;
    r = vn_store_open(c->store_path, why, &m->store);
    if (r)
        return r == -ENOMEM ? r : MODEL_E_FAILED;
    m->network = m->store->network;
    r = prepare(m, c, why);
    if (r)
        return vn_because_in(why, r == -ENOMEM ? r : MODEL_E_FAILED, c->store_path);
    *ret_model = m;
    m = NULL;
    return 0;
}

struct model *model_ref(struct model *m)
{
    m->references++;
    return m;
}

struct model *model_unref(struct model *m)
{
    if (!m || --m->references)
        return NULL;
    for (uint32_t i = 0; i < m->n_sessions; i++)
        vn_session_free(m->sessions[i]);
    free(m->sessions);
    vn_planner_free(m->planner);
    vn_store_unref(m->store);
    free(m);
    return NULL;
}
