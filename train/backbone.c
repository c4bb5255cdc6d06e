/* The backbone's step (VirtualNet's objective: all tasks, all levels), with the sandwich rule and
 * in-place distillation of slimmable networks: the full path learns the labels, the other paths a
 * mix of labels and the full path's detached softmax. All paths of a batch go through together, so
 * that batch statistics mix paths the way running statistics do. */
#include <string.h>

#include "train/auxiliary.h"
#include "train/heads.h"
#include "train/optimiser.h"
#include "train/packnet.h"
#include "train/trainer.h"

/* Row r on the path of a level. With packnet, a task has only one. */
static void set_level(struct vn_trainer *t, uint32_t r, uint32_t level)
{
    const struct vn_network *n = t->config->network;

    if (t->config->schedule.packnet)
        vn_packnet_path(n, t->batch.task[r], t->batch.level[r]);
    else
        vn_row_uniform(&t->batch, r, vn_network_blocks(n), level);
}

static void choose_paths(struct vn_trainer *t, uint32_t input, const struct vn_place *at, bool tune)
{
    const struct vn_schedule *s = &t->config->schedule;
    const struct vn_network *n = t->config->network;
    struct vn_batch *b = &t->batch;
    uint32_t m = vn_network_blocks(n);

    if (tune)
        vn_search_sample(t, input, at, b->n);
    for (uint32_t r = 0; r < b->rows; r++) {
        struct vn_rng rng = vn_rng_stream(vn_purpose_seed(t->config->seed, VN_DRAW_PATHS),
                                          at->epoch, at->step * b->max_rows + r);

        if (r < b->n)
            set_level(t, r, n->groups);
        else if (vn_rng_unit(&rng) < s->lowest_share)
            vn_row_uniform(b, r, m, s->lowest_level);
        else if (!tune || r >= 2 * b->n)
            vn_row_random(b, r, m, n->groups, &rng);
    }
}

static struct vn_target target_of(const struct vn_trainer *t, uint32_t r)
{
    const struct vn_schedule *s = &t->config->schedule;
    const struct vn_batch *b = &t->batch;

    return (struct vn_target){.label = b->label[r],
                              .smooth = (float)s->label_smoothing,
                              .mix = r < b->n ? 0 : (float)s->distill,
                              .teacher = b->probabilities + (size_t)(r % b->n) * b->labels_stride};
}

static uint32_t arg_max(const float *x, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static void loss(struct vn_trainer *t, struct vn_step_result *result)
{
    struct vn_batch *b = &t->batch;
    float q[VN_LABELS_MAX], weight = 1 / (float)b->n;

    for (uint32_t r = 0; r < b->rows; r++) {
        uint32_t n = t->config->network->tasks[b->task[r]].n_labels;
        const struct vn_target target = target_of(t, r);
        size_t at = (size_t)r * b->labels_stride;
        float l;

        vn_target(&target, n, q);
        l = vn_cross_entropy(b->logits + at, n, q, 0, weight, b->probabilities + at,
                             b->dlogits + at);
        if (r < b->n) {
            result->loss += l;
            result->correct += arg_max(b->logits + at, n) == b->label[r];
        } else {
            result->mixed_loss += l / (double)(b->rows / b->n - 1);
        }
    }
    result->n += b->n;
}

void vn_backbone_step(struct vn_trainer *t, uint32_t input, const struct vn_sample *const *samples,
                      uint32_t n, const struct vn_place *at, bool tune,
                      struct vn_step_result *result)
{
    const struct vn_schedule *s = &t->config->schedule;
    struct vn_batch *b = &t->batch;
    struct vn_augmentation a = {s->pad, s->flip, vn_purpose_seed(t->config->seed, VN_DRAW_AUGMENT),
                                at->epoch, at->step * b->max_rows};
    double peak = tune ? s->rate / 10 : s->rate;

    if (at->progress <= 0)
        t->backbone_steps = 0;
    vn_batch_fill(b, t->corpus, input, samples, n, &a);
    vn_batch_repeat(b, t->config->network, 1 + s->mixed_paths);
    choose_paths(t, input, at, tune);
    vn_trunk_forward(t->trunk[input], t->model, VN_TRUNK_TRAIN, (float)s->bn_momentum, b->rows,
                     b->row, b->images, b->pooled);
    vn_heads_forward(t->model, b->rows, b->task, b->pooled, b->labels_stride, b->logits);
    loss(t, result);
    vn_heads_backward(t->model, b->rows, b->task, b->pooled, b->labels_stride, b->dlogits,
                      b->dpooled);
    result->auxiliary += vn_auxiliary_step(t->auxiliary, t->model, input, s, b);
    if (t->agreement && at->step % s->agreement_every == 0)
        vn_agreement_step(t->agreement, t->trunk[input], t->model, b);
    vn_trunk_backward(t->trunk[input], t->model, b->dpooled);
    vn_backbone_update(t->model, s,
                       vn_rate_at(peak, tune ? 0 : s->warmup_epochs, at->epochs,
                                  tune ? 1 : s->cycles, at->progress),
                       ++t->backbone_steps);
}

/* --- statistics and evaluation ---------------------------------------------------------------- */

void vn_backbone_estimate(struct vn_trainer *t, uint32_t input, enum vn_trunk_mode mode)
{
    const struct vn_schedule *s = &t->config->schedule;
    const struct vn_samples all = vn_samples_of(&t->corpus->samples[input], t->only_task);
    struct vn_batch *b = &t->batch;
    uint32_t m = vn_network_blocks(t->config->network), batches;
    struct vn_rng rng = vn_rng_stream(vn_purpose_seed(t->config->seed, VN_DRAW_ESTIMATE), input, 0);

    batches = (s->reestimate_images + s->batch - 1) / s->batch;
    for (uint32_t i = 0; i < batches; i++) {
        for (uint32_t k = 0; k < s->batch; k++)
            b->sample[k] = &all.samples[vn_rng_below(&rng, all.n)];
        vn_batch_fill(b, t->corpus, input, b->sample, s->batch, &(struct vn_augmentation){0});
        vn_batch_repeat(b, t->config->network, 1 + s->mixed_paths);
        for (uint32_t r = 0; r < b->rows; r++)
            if (r < b->n)
                set_level(t, r, t->config->network->groups);
            else
                vn_row_random(b, r, m, t->config->network->groups, &rng);
        /* momentum 1, 1/2, 1/3 ..: the plain mean over batches */
        vn_trunk_forward(t->trunk[input], t->model, mode, 1 / (float)(i + 1), b->rows, b->row,
                         b->images, b->pooled);
    }
}

void vn_backbone_finish(struct vn_trainer *t)
{
    struct vn_model *m = t->model;

    if (t->config->schedule.average > 0)
        for (uint32_t i = 0; i < m->layout->n_tensors; i++) {
            const struct vn_tensor *s = &m->layout->tensors[i];
            size_t at = s->offset / sizeof(float);

            if (!s->padding && strncmp(s->name, "agent.", 6))
                memcpy(m->param + at, m->average + at, s->bytes);
        }
    for (uint32_t i = 0; i < t->config->network->n_inputs; i++)
        vn_backbone_estimate(t, i, VN_TRUNK_TRAIN);
}

uint32_t vn_trainer_evaluate(struct vn_trainer *t, const struct vn_corpus *corpus, uint32_t input,
                             const struct vn_sample *const *samples, uint32_t n, uint32_t level)
{
    struct vn_batch *b = &t->batch;
    uint32_t correct = 0;

    for (uint32_t done = 0; done < n; done += b->n) {
        uint32_t count = n - done < b->max_rows ? n - done : b->max_rows;

        vn_batch_fill(b, corpus, input, samples + done, count, &(struct vn_augmentation){0});
        for (uint32_t r = 0; r < count; r++)
            set_level(t, r, level);
        vn_trunk_forward(t->trunk[input], t->model, VN_TRUNK_EVAL, 0, count, b->row, b->images,
                         b->pooled);
        vn_heads_forward(t->model, count, b->task, b->pooled, b->labels_stride, b->logits);
        for (uint32_t r = 0; r < count; r++)
            correct += arg_max(b->logits + (size_t)r * b->labels_stride,
                               t->config->network->tasks[b->task[r]].n_labels) == b->label[r];
    }
    return correct;
}
