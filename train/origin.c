/* Begins a run with the backbone of a store, so that several agents are trained on the same one.
 *
 * A store has batch-norm folded to (scale, bias): as gamma and beta with mean 0 and variance
 * 1 - eps they give the same function, bit for bit, while the backbone is fixed. To go on training
 * it, gamma must stand beside statistics of its own; training images show these. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "engine/store.h"
#include "train/norm.h"
#include "train/trainer.h"

/* --- is it the same network? ------------------------------------------------------------------ */

static bool same_task(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"name", "input", "labels", "order"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
            return false;
    return true;
}

static int compare_tasks(const struct vn_network *ours, const json_t *a, const json_t *b,
                         const char *file, struct vn_why *why)
{
    if (json_array_size(a) != json_array_size(b))
        return vn_because(why, VN_ORIGIN_E_OTHER, "%s has %zu tasks, the configuration has %zu",
                          file, json_array_size(b), json_array_size(a));
    for (size_t t = 0; t < json_array_size(a); t++)
        if (!same_task(json_array_get(a, t), json_array_get(b, t)))
            return vn_because(why, VN_ORIGIN_E_OTHER,
                              "%s: its task %zu differs from the configuration's, \"%s\", in name, "
                              "input, labels or order",
                              file, t, ours->tasks[t].name);
    return 0;
}

static int compare(const struct vn_network *ours, const struct vn_network *theirs, const char *file,
                   struct vn_why *why)
{
    static const char *const keys[] = {"inputs", "stem_width", "stages", "groups"};
    _cleanup_(json_decrefp) json_t *a = vn_network_to_json(ours);
    _cleanup_(json_decrefp) json_t *b = vn_network_to_json(theirs);

    if (!a || !b)
        return vn_because(why, -ENOMEM, "out of memory");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
            return vn_because(why, VN_ORIGIN_E_OTHER,
                              "%s: its network differs from the configuration's in \"%s\"", file,
                              keys[i]);
    return compare_tasks(ours, json_object_get(a, "tasks"), json_object_get(b, "tasks"), file, why);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool is_backbone(const struct vn_tensor *t)
{
    return !t->padding && strncmp(t->name, "agent.", 6);
}

static bool is_norm(const struct vn_tensor *t)
{
    return is_backbone(t) && strstr(t->name, ".bn");
}

/* Calls set(model, gamma, beta) with the places of every channel's pair. */
static void each_norm(struct vn_model *m,
                      void (*set)(struct vn_model *m, size_t gamma, size_t beta))
{
    for (uint32_t i = 0; i < m->layout->n_tensors; i++) {
        const struct vn_tensor *t = &m->layout->tensors[i];
        size_t at = vn_model_at(m, i), c = t->shape[t->n_dims - 1];

        if (!is_norm(t))
            continue;
        for (size_t row = at; row < at + t->bytes / sizeof(float); row += 2 * c)
            for (size_t k = row; k < row + c; k++)
                set(m, k, k + c);
    }
}

/* As running statistics, so that the norm is gamma x + beta. */
static void set_unit(struct vn_model *m, size_t gamma, size_t beta)
{
    m->running[gamma] = 0;
    m->running[beta] = 1 - VN_NORM_EPS;
}

static int copy(struct vn_model *m, const struct vn_store *s, uint64_t *ret_sum)
{
    XXH3_state_t *state = XXH3_createState();

    if (!state)
        return -ENOMEM;
    XXH3_64bits_reset(state);
    for (uint32_t i = 0; i < m->layout->n_tensors; i++) {
        const struct vn_tensor *t = &m->layout->tensors[i];
        int from = is_backbone(t) ? vn_layout_find(s->layout, t->name) : -1;

        if (from < 0)
            continue;
        memcpy(m->param + vn_model_at(m, i), vn_store_tensor(s, (uint32_t)from), t->bytes);
        XXH3_64bits_update(state, m->param + vn_model_at(m, i), t->bytes);
    }
    *ret_sum = XXH3_64bits_digest(state) | 1; /* never 0 */
    XXH3_freeState(state);
    return 0;
}

/* --- statistics ------------------------------------------------------------------------------- */

/* vn_trunk_forward measures into m->average. */
static void forget(struct vn_model *m, size_t gamma, size_t beta)
{
    m->average[gamma] = 0;
    m->average[beta] = 1 - VN_NORM_EPS;
}

/* scale = gamma / sqrt(var + eps), bias = beta - mean scale: the other way round. */
static void unfold(struct vn_model *m, size_t gamma, size_t beta)
{
    const float mean = m->average[gamma], var = m->average[beta];

    m->param[beta] += mean * m->param[gamma];
    m->param[gamma] *= sqrtf(var + VN_NORM_EPS);
    m->running[gamma] = mean;
    m->running[beta] = var;
}

static bool will_tune(const struct vn_agent_schedule *a)
{
    return a->rounds > 1 && a->backbone_epochs > 0;
}

int vn_origin_take(struct vn_trainer *t, const char *store, struct vn_why *why)
{
    _cleanup_(vn_store_unrefp) struct vn_store *s = NULL;
    struct vn_model *m = t->model;
    int r = vn_store_open(store, why, &s);

    if (!r)
        r = vn_store_verify(s, why, NULL, NULL);
    if (!r)
        r = compare(t->config->network, s->network, store, why);
    if (r)
        return r;
    if (copy(m, s, &t->origin.sum))
        return vn_because(why, -ENOMEM, "out of memory");
    t->origin.training = json_incref(s->network->training);
    each_norm(m, set_unit);
    if (will_tune(&t->config->agent_schedule)) {
        each_norm(m, forget);
        for (uint32_t i = 0; i < t->config->network->n_inputs; i++)
            vn_backbone_estimate(t, i, VN_TRUNK_MEASURE);
        each_norm(m, unfold);
    }
    memcpy(m->average, m->param, m->n * sizeof *m->param);
    return 0;
}
