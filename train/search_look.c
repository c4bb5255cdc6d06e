#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/agent.h"
#include "engine/kernels.h"
#include "engine/session.h"
#include "train/heads.h"
#include "train/search_parts.h"

/* --- memory ----------------------------------------------------------------------------------- */

int vn_search_look_init(struct vn_trainer *t, struct vn_search *s)
{
    const struct vn_network *n = t->config->network;
    size_t largest = 0;
    int r = vn_outcomes_new(vn_network_blocks(n), &s->outcomes);

    s->list = calloc(s->max_rows, sizeof *s->list);
    if (!s->list)
        return -ENOMEM;
    for (uint32_t i = 0; !r && i < n->n_inputs; i++) {
        const struct vn_input *in = &n->inputs[i];
        const size_t floats = (size_t)in->width * in->height * vn_color_channels(in->color);
        const size_t samples = t->corpus->samples[i].n;

        largest = floats > largest ? floats : largest;
        if (n->agent.kind != VN_AGENT_SHARED)
            continue;
        s->seen[i] = vn_floats_new(samples * s->features);
        s->is_seen[i] = calloc(samples, sizeof *s->is_seen[i]);
        r = s->seen[i] && s->is_seen[i] ? 0 : -ENOMEM;
    }
    if (r || n->agent.kind != VN_AGENT_CONV)
        return r;
    memset(s->full, 1, sizeof s->full); /* the conv agent's blocks have one group, always on */
    s->images = vn_floats_new(s->max_rows * largest);
    s->dfeature = vn_floats_new((size_t)s->max_rows * s->features);
    s->row = calloc(s->max_rows, sizeof *s->row);
    if (!s->images || !s->dfeature || !s->row)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->max_rows; i++)
        s->row[i] = (struct vn_row){s->order, s->full};
    return 0;
}

void vn_search_look_deinit(struct vn_search *s)
{
    for (uint32_t i = 0; i < VN_INPUTS_MAX; i++) {
        free(s->seen[i]);
        free(s->is_seen[i]);
    }
    vn_outcomes_free(s->outcomes);
    free(s->list);
    free(s->images);
    free(s->dfeature);
    free(s->row);
}

void vn_search_forget(struct vn_trainer *t)
{
    struct vn_search *s = t->search;

    vn_outcomes_forget(s->outcomes);
    for (uint32_t i = 0; i < t->config->network->n_inputs; i++)
        if (s->is_seen[i])
            memset(s->is_seen[i], 0, t->corpus->samples[i].n * sizeof *s->is_seen[i]);
}

/* --- running ---------------------------------------------------------------------------------- */

/* The batch's first n rows, on the levels that they have. */
static void run(struct vn_trainer *t, uint32_t input, uint32_t n)
{
    struct vn_batch *b = &t->batch;

    vn_trunk_forward(t->trunk[input], t->model, VN_TRUNK_EVAL, 0, n, b->row, b->images, b->pooled);
    vn_heads_forward(t->model, n, b->task, b->pooled, b->labels_stride, b->logits);
}

static void fill(struct vn_trainer *t, uint32_t input, const struct vn_sample *const *samples,
                 uint32_t n)
{
    vn_batch_fill(&t->batch, t->corpus, input, samples, n, &(struct vn_augmentation){0});
}

/* --- what the agent sees ---------------------------------------------------------------------- */

static void run_probe(struct vn_trainer *t, uint32_t input, uint32_t n)
{
    const struct vn_network *net = t->config->network;

    for (uint32_t r = 0; r < n; r++)
        vn_row_uniform(&t->batch, r, vn_network_blocks(net), net->agent.probe_level);
    run(t, input, n);
}

/* Features of a row that was just probed; its logits become probabilities. */
static void see(const struct vn_trainer *t, uint32_t r, float *ret_feature)
{
    const struct vn_network *n = t->config->network;
    const struct vn_batch *b = &t->batch;
    const uint32_t width = vn_network_width(n), pooled = vn_agent_pooled(n);
    const uint32_t labels = n->tasks[b->task[r]].n_labels;
    float *p = b->logits + (size_t)r * b->labels_stride;

    memcpy(ret_feature, b->pooled + (size_t)r * width, pooled * sizeof *ret_feature);
    vn_softmax(p, labels);
    vn_agent_confidence(p, labels, ret_feature + pooled);
}

static size_t number(const struct vn_trainer *t, uint32_t input, const struct vn_sample *sample)
{
    return (size_t)(sample - t->corpus->samples[input].samples);
}

static void look_through_backbone(struct vn_trainer *t, uint32_t input)
{
    struct vn_search *s = t->search;
    const struct vn_sample **unseen = s->list;
    uint32_t n = 0;

    for (uint32_t k = 0; k < s->n; k++)
        if (!s->is_seen[input][number(t, input, s->sample[k])])
            unseen[n++] = s->sample[k];
    if (n) {
        fill(t, input, unseen, n);
        run_probe(t, input, n);
    }
    for (uint32_t r = 0; r < n; r++) {
        const size_t i = number(t, input, unseen[r]);

        see(t, r, s->seen[input] + i * s->features);
        s->is_seen[input][i] = true;
    }
    for (uint32_t k = 0; k < s->n; k++)
        memcpy(s->feature + (size_t)k * s->features,
               s->seen[input] + number(t, input, s->sample[k]) * s->features,
               s->features * sizeof *s->feature);
}

static void look_with_own_trunk(struct vn_trainer *t, uint32_t input, uint32_t n,
                                enum vn_trunk_mode mode, const float *images)
{
    vn_trunk_forward(t->agent_trunk[input], t->model, mode, 0.1f, n, t->search->row, images,
                     t->search->feature);
}

void vn_search_look(struct vn_trainer *t, uint32_t input)
{
    struct vn_search *s = t->search;

    switch (t->config->network->agent.kind) {
    case VN_AGENT_SHARED:
        look_through_backbone(t, input);
        break;
    case VN_AGENT_CONV: /* its backward pass needs the images again, after others were run */
        fill(t, input, s->sample, s->n);
        memcpy(s->images, t->batch.images, s->n * t->batch.image_floats * sizeof *s->images);
        look_with_own_trunk(t, input, s->n, VN_TRUNK_TRAIN, s->images);
        break;
    default:
        break;
    }
}

void vn_search_look_at_batch(struct vn_trainer *t, uint32_t input)
{
    struct vn_search *s = t->search;

    switch (t->config->network->agent.kind) {
    case VN_AGENT_SHARED:
        run_probe(t, input, t->batch.n);
        for (uint32_t r = 0; r < t->batch.n; r++)
            see(t, r, s->feature + (size_t)r * s->features);
        break;
    case VN_AGENT_CONV:
        look_with_own_trunk(t, input, t->batch.n, VN_TRUNK_EVAL, t->batch.images);
        break;
    default:
        break;
    }
}

/* --- what paths answer ------------------------------------------------------------------------ */

static struct vn_outcome outcome(const struct vn_trainer *t, uint32_t r)
{
    const struct vn_batch *b = &t->batch;
    const float *logits = b->logits + (size_t)r * b->labels_stride;
    const uint32_t labels = t->config->network->tasks[b->task[r]].n_labels;
    float p[VN_LABELS_MAX], d[VN_LABELS_MAX];
    uint32_t best;

    vn_top_k(logits, labels, 1, &best);
    return (struct vn_outcome){vn_cross_entropy(logits, labels, NULL, b->label[r], 0, p, d),
                               best == b->label[r]};
}

/* Runs and remembers the rows of this list. */
static void run_rows(struct vn_trainer *t, uint32_t input, const uint32_t *row, uint32_t n)
{
    struct vn_search *s = t->search;
    struct vn_batch *b = &t->batch;

    for (uint32_t i = 0; i < n; i++)
        s->list[i] = s->sample[row[i] % s->n];
    fill(t, input, s->list, n);
    for (uint32_t i = 0; i < n; i++)
        memcpy(b->level[i], s->path[row[i]], sizeof b->level[i]);
    run(t, input, n);
    for (uint32_t i = 0; i < n; i++) {
        s->outcome[row[i]] = outcome(t, i);
        vn_outcomes_put(s->outcomes, s->list[i], s->path[row[i]], s->outcome[row[i]]);
    }
}

/* The first row in which the same sample takes the same path. */
static uint32_t first_alike(const struct vn_search *s, uint32_t r)
{
    uint32_t i = r % s->n;

    while (i < r && memcmp(s->path[i], s->path[r], sizeof *s->path))
        i += s->n;
    return i;
}

void vn_search_run(struct vn_trainer *t, uint32_t input, uint32_t rows)
{
    struct vn_search *s = t->search;
    uint32_t n = 0;

    for (uint32_t r = 0; r < rows; r++)
        if (first_alike(s, r) == r &&
            !vn_outcomes_find(s->outcomes, s->sample[r % s->n], s->path[r], &s->outcome[r]))
            s->unknown[n++] = r;
    if (n)
        run_rows(t, input, s->unknown, n);
    for (uint32_t r = 0; r < rows; r++)
        s->outcome[r] = s->outcome[first_alike(s, r)];
}
