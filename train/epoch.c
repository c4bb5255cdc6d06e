#include "train/epoch.h"

#include <errno.h>
#include <stdlib.h>

static int shuffle(const struct vn_samples *s, struct vn_rng rng, const struct vn_sample ***ret)
{
    const struct vn_sample **order = malloc((s->n + 1) * sizeof *order);

    if (!order)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t k = vn_rng_below(&rng, i + 1);

        order[i] = order[k];
        order[k] = &s->samples[i];
    }
    *ret = order;
    return 0;
}

/* The input that is furthest behind its share gets the next step. */
static void interleave(struct vn_epoch *e, const uint32_t steps[VN_INPUTS_MAX], uint32_t inputs)
{
    uint32_t done[VN_INPUTS_MAX] = {0};

    for (uint32_t s = 0; s < e->n_steps; s++) {
        uint32_t best = inputs;

        for (uint32_t i = 0; i < inputs; i++)
            if (done[i] < steps[i] &&
                (best == inputs || (uint64_t)(2 * done[i] + 1) * steps[best] <
                                       (uint64_t)(2 * done[best] + 1) * steps[i]))
                best = i;
        e->input[s] = (uint8_t)best;
        e->first[s] = done[best]++ * e->batch;
    }
}

int vn_epoch_init(struct vn_epoch *e, const struct vn_corpus *c, uint64_t seed, uint64_t epoch,
                  uint32_t batch, int task)
{
    uint32_t inputs = c->config->network->n_inputs, steps[VN_INPUTS_MAX];

    *e = (struct vn_epoch){.batch = batch};
    for (uint32_t i = 0; i < inputs; i++) {
        const struct vn_samples some = vn_samples_of(&c->samples[i], task);

        steps[i] = some.n / batch;
        e->n_steps += steps[i];
        if (shuffle(&some, vn_rng_stream(vn_purpose_seed(seed, VN_DRAW_ORDER), epoch, i),
                    &e->order[i]))
            goto fail;
    }
    e->input = malloc(e->n_steps + 1);
    e->first = malloc((e->n_steps + 1) * sizeof *e->first);
    if (!e->input || !e->first)
        goto fail;
    interleave(e, steps, inputs);
    return 0;

fail:
    vn_epoch_deinit(e);
    return -ENOMEM;
}

void vn_epoch_deinit(struct vn_epoch *e)
{
    for (uint32_t i = 0; i < VN_INPUTS_MAX; i++)
        free(e->order[i]);
    free(e->input);
    free(e->first);
    *e = (struct vn_epoch){0};
}
