#include "train/trainer.h"

#include <errno.h>
#include <stdlib.h>

#include "train/auxiliary.h"

const char *const vn_phase_names[] = {"backbone", "agent", "tune", NULL};

struct vn_trainer *vn_trainer_free(struct vn_trainer *t)
{
    if (!t)
        return NULL;
    for (uint32_t i = 0; i < VN_INPUTS_MAX; i++) {
        vn_trunk_free(t->trunk[i]);
        vn_trunk_free(t->agent_trunk[i]);
    }
    vn_batch_deinit(&t->batch);
    free(t->auxiliary);
    vn_agreement_free(t->agreement);
    vn_search_free(t->search);
    vn_corpus_free(t->corpus);
    vn_model_free(t->model);
    json_decref(t->origin.training);
    free(t);
    return NULL;
}

static uint32_t max_rows(const struct vn_train_config *c)
{
    uint32_t backbone = c->schedule.batch * (1 + c->schedule.mixed_paths);
    uint32_t agent = (1 + c->agent_schedule.paths) * c->agent_schedule.batch;

    return c->network->agent.kind != VN_AGENT_UNIFORM && agent > backbone ? agent : backbone;
}

static int take_memory(struct vn_trainer *t)
{
    const struct vn_network *n = t->config->network;
    uint32_t rows = max_rows(t->config);
    size_t auxiliary = vn_auxiliary_floats(t->model, t->config->schedule.batch);
    int r = vn_batch_init(&t->batch, n, rows, t->threads);

    if (!r && auxiliary && !(t->auxiliary = vn_floats_new(auxiliary)))
        r = -ENOMEM;

    if (!r && t->config->schedule.agreement_every && !(t->agreement = vn_agreement_new(t->model)))
        r = -ENOMEM;
    for (uint32_t i = 0; i < n->n_inputs && !r; i++) {
        r = vn_trunk_new(t->model, i, false, rows, t->threads, &t->trunk[i]);
        if (!r && n->agent.kind == VN_AGENT_CONV)
            r = vn_trunk_new(t->model, i, true, rows, t->threads, &t->agent_trunk[i]);
    }
    if (!r && n->agent.kind != VN_AGENT_UNIFORM)
        r = vn_search_new(t, &t->search);
    return r;
}

int vn_trainer_new(const struct vn_train_config *c, const char *data_folder, uint32_t threads,
                   uint32_t limit_images, struct vn_why *why, struct vn_trainer **ret_trainer)
{
    _cleanup_(vn_trainer_freep) struct vn_trainer *t = calloc(1, sizeof *t);
    int r;

    if (!t)
        return vn_because(why, -ENOMEM, "out of memory");
    t->config = c;
    t->threads = threads;
    t->only_task = -1;
    r = vn_model_new(c->network, c->seed, c->schedule.bn2_scale, c->schedule.auxiliary > 0, why,
                     &t->model);
    if (r)
        return r;
    r = vn_corpus_load(c, data_folder, VN_SPLIT_TRAIN, limit_images, why, &t->corpus);
    if (r)
        return r;
    r = take_memory(t);
    if (r)
        return vn_because(why, r, "out of memory for %u rows a step: make \"batch\" smaller",
                          max_rows(c));
    *ret_trainer = t;
    t = NULL;
    return 0;
}

double vn_trainer_flops(const struct vn_trainer *t)
{
    double sum = 0;

    for (uint32_t i = 0; i < t->config->network->n_inputs; i++) {
        sum += vn_trunk_flops(t->trunk[i]);
        if (t->agent_trunk[i])
            sum += vn_trunk_flops(t->agent_trunk[i]);
    }
    return sum;
}
