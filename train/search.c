/* The agent's step: policy gradient (REINFORCE) with the backbone fixed.
 *
 * Each sample gets random wishes (a limit, in bytes or in parameters, and a thrift). The policy's
 * scores, perturbed by Gumbel noise, go through the same knapsack as in the daemon and give the
 * sampled paths; unperturbed they give the daemon's own choice, which is run beside them
 * (self-critical). Reward, after the paper's objective with its density term:
 *     R(path) = (1 - s) [the answer is right] - s cross-entropy - rho thrift density^power
 * where density counts parameters and s is loss_reward. The paper has s = 1, but a loss also pays
 * for more certainty where the answer stays the same, and that is most images.
 * A path's advantage is its reward beyond the mean of all that the image took, then centred and
 * scaled over the batch. Centred, because the gradient uses log pi without the limit: what that
 * leaves out, the log of the feasible paths' mass, is the same for every path and cancels only
 * against a mean of zero. Scaled, so that the weight of the entropy bonus means the same at every
 * loss. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels.h"
#include "train/heads.h"
#include "train/optimiser.h"
#include "train/policy.h"
#include "train/trainer.h"

#define ADVANTAGE_MAX 2.0 /* standard deviations */

struct wish {
    enum vn_plan_unit unit;
    uint64_t limit;
    float budget, thrift; /* as the policy sees them */
    struct vn_rng rng;
};

struct vn_search {
    uint32_t features, work, outputs, min_level, max_samples;
    float *feature;     /* (samples, F) */
    float *dfeature;    /* (samples, F) */
    float *policy;      /* (samples, work): inputs and hidden layer */
    float *score;       /* (samples, m (g + 1)) log probabilities */
    float *dlogits;     /* (m (g + 1)) */
    struct wish *wish;  /* (samples) */
    double *density;    /* (rows) */
    double *advantage;  /* (rows) of sampled paths */
    struct vn_row *row; /* (samples) of the agent's own trunk */
    uint8_t full[VN_BLOCKS_MAX], order[VN_GROUPS_MAX];
};

struct vn_search *vn_search_free(struct vn_search *s)
{
    if (!s)
        return NULL;
    free(s->feature);
    free(s->dfeature);
    free(s->policy);
    free(s->score);
    free(s->dlogits);
    free(s->wish);
    free(s->density);
    free(s->advantage);
    free(s->row);
    free(s);
    return NULL;
}

int vn_search_new(struct vn_trainer *t, struct vn_search **ret_search)
{
    const struct vn_network *n = t->config->network;
    struct vn_search *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->max_samples = t->batch.max_rows;
    s->features = vn_agent_features(n);
    s->work = (uint32_t)vn_agent_work(n);
    s->outputs = vn_agent_outputs(n);
    s->min_level = n->agent.kind == VN_AGENT_SHARED ? n->agent.probe_level : 0;
    memset(s->full, 1, sizeof s->full); /* the conv agent's blocks have one group, always on */
    s->feature = vn_floats_new((size_t)s->max_samples * s->features);
    s->dfeature = vn_floats_new((size_t)s->max_samples * s->features);
    s->policy = vn_floats_new((size_t)s->max_samples * s->work);
    s->score = vn_floats_new((size_t)s->max_samples * s->outputs);
    s->dlogits = vn_floats_new(s->outputs);
    s->wish = calloc(s->max_samples, sizeof *s->wish);
    s->density = calloc(s->max_samples, sizeof *s->density);
    s->advantage = calloc(s->max_samples, sizeof *s->advantage);
    s->row = calloc(s->max_samples, sizeof *s->row);
    if (!s->feature || !s->dfeature || !s->policy || !s->score || !s->dlogits || !s->wish ||
        !s->density || !s->advantage || !s->row) {
        vn_search_free(s);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < s->max_samples; i++)
        s->row[i] = (struct vn_row){s->order, s->full};
    *ret_search = s;
    return 0;
}

/* --- what the agent sees ---------------------------------------------------------------------- */

static void probe(struct vn_trainer *t, uint32_t input, uint32_t n)
{
    const struct vn_network *net = t->config->network;
    struct vn_search *s = t->search;
    struct vn_batch *b = &t->batch;
    const uint32_t width = vn_network_width(net), pooled = vn_agent_pooled(net);

    for (uint32_t r = 0; r < n; r++)
        vn_row_uniform(b, r, vn_network_blocks(net), net->agent.probe_level);
    vn_trunk_forward(t->trunk[input], t->model, VN_TRUNK_EVAL, 0, n, b->row, b->images, b->pooled);
    vn_heads_forward(t->model, n, b->task, b->pooled, b->labels_stride, b->logits);
    for (uint32_t r = 0; r < n; r++) {
        float *f = s->feature + (size_t)r * s->features;
        float *p = b->logits + (size_t)r * b->labels_stride;
        uint32_t labels = net->tasks[b->task[r]].n_labels;

        memcpy(f, b->pooled + (size_t)r * width, pooled * sizeof *f);
        vn_softmax(p, labels);
        vn_agent_confidence(p, labels, f + pooled);
    }
}

static void look(struct vn_trainer *t, uint32_t input, uint32_t n, enum vn_trunk_mode mode)
{
    switch (t->config->network->agent.kind) {
    case VN_AGENT_SHARED:
        probe(t, input, n);
        break;
    case VN_AGENT_CONV:
        vn_trunk_forward(t->agent_trunk[input], t->model, mode, 0.1f, n, t->search->row,
                         t->batch.images, t->search->feature);
        break;
    default:
        break;
    }
}

/* --- wishes and choices ----------------------------------------------------------------------- */

static struct wish draw_wish(const struct vn_trainer *t, uint32_t task, struct vn_rng rng)
{
    const struct vn_planner *p = t->model->planner;
    double share = t->config->agent_schedule.min_budget;
    struct vn_plan low, full;
    struct wish w = {.rng = rng};
    uint64_t least, most;

    vn_plan_uniform(p, task, t->config->network->groups, 0, &full);
    if (!t->config->agent_schedule.wishes)
        return (struct wish){VN_PLAN_PARAMS, vn_plan_params(&full), 1, 1, rng};
    w.unit = vn_rng_below(&w.rng, 2) ? VN_PLAN_BYTES : VN_PLAN_PARAMS;
    share += (1 - share) * vn_rng_unit(&w.rng);
    w.thrift = vn_rng_below(&w.rng, 3) ? (float)vn_rng_unit(&w.rng) : 0;
    if (!vn_rng_below(&w.rng, 3))
        share = 1;
    vn_plan_uniform(p, task, t->search->min_level, 0, &low);
    least = w.unit == VN_PLAN_BYTES ? vn_bytes_total(&low.bytes) : vn_plan_params(&low);
    most = w.unit == VN_PLAN_BYTES ? vn_bytes_total(&full.bytes) : vn_plan_params(&full);
    w.limit = least + (uint64_t)(share * (double)(most - least));
    w.budget = vn_agent_budget_input(p, task, w.unit, w.limit, 0);
    return w;
}

static void choose(const struct vn_trainer *t, uint32_t sample, const float *scores,
                   uint8_t *ret_level, double *ret_density)
{
    const struct vn_search *s = t->search;
    const struct wish *w = &s->wish[sample];
    struct vn_plan plan;
    uint64_t needed;

    /* the limit was drawn at or above the lowest path's cost: there is always a plan */
    if (vn_plan_choose(t->model->planner, t->batch.task[sample], w->unit, w->limit, 0, scores,
                       s->min_level, &plan, &needed))
        vn_plan_uniform(t->model->planner, t->batch.task[sample], s->min_level, 0, &plan);
    memcpy(ret_level, plan.level, plan.n_blocks);
    *ret_density = plan.density;
}

static void score(const struct vn_trainer *t, uint32_t sample)
{
    const struct vn_search *s = t->search;
    const struct wish *w = &s->wish[sample];
    struct vn_policy policy = vn_policy_of(t->model);

    vn_policy_scores(t->config->network, &policy, t->batch.task[sample],
                     s->features ? s->feature + (size_t)sample * s->features : NULL, w->budget,
                     w->thrift, s->policy + (size_t)sample * s->work,
                     s->score + (size_t)sample * s->outputs);
}

/* Perturb and maximise: without a limit this samples each level with its probability. */
static void choose_sampled(const struct vn_trainer *t, uint32_t sample, uint8_t *ret_level,
                           double *ret_density)
{
    const struct vn_search *s = t->search;
    struct vn_rng *rng = &s->wish[sample].rng;
    float noisy[VN_BLOCKS_MAX * VN_LEVELS_MAX];

    for (uint32_t i = 0; i < s->outputs; i++)
        noisy[i] = s->score[(size_t)sample * s->outputs + i] -
                   (float)log(-log(1 - 0.999999 * vn_rng_unit(rng) - 5e-7));
    choose(t, sample, noisy, ret_level, ret_density);
}

/* Rows `first` + i n + k take sample k's i-th sampled path; greedy: row k the daemon's own. */
static void decide(struct vn_trainer *t, uint32_t n, const struct vn_place *at, uint32_t first,
                   uint32_t paths, bool greedy)
{
    struct vn_search *s = t->search;
    struct vn_batch *b = &t->batch;

#pragma omp parallel for num_threads((int)t->threads) schedule(static)
    for (uint32_t k = 0; k < n; k++) {
        s->wish[k] = draw_wish(t, b->task[k],
                               vn_rng_stream(vn_purpose_seed(t->config->seed, VN_DRAW_WISHES),
                                             at->epoch, at->step * b->max_rows + k));
        score(t, k);
        if (greedy)
            choose(t, k, s->score + (size_t)k * s->outputs, b->level[k], &s->density[k]);
        for (uint32_t i = 0; i < paths; i++) {
            uint32_t r = first + i * n + k;

            choose_sampled(t, k, b->level[r], &s->density[r]);
        }
    }
}

void vn_search_sample(struct vn_trainer *t, uint32_t input, const struct vn_place *at,
                      uint32_t first)
{
    look(t, input, t->batch.n, VN_TRUNK_EVAL);
    decide(t, t->batch.n, at, first, 1, false);
}

/* --- the step --------------------------------------------------------------------------------- */

/* Reward of row r, whose sample is r mod n. */
static double reward(const struct vn_trainer *t, uint32_t r)
{
    const struct vn_agent_schedule *a = &t->config->agent_schedule;
    const struct vn_batch *b = &t->batch;
    const struct vn_search *s = t->search;
    const float *logits = b->logits + (size_t)r * b->labels_stride;
    uint32_t labels = t->config->network->tasks[b->task[r]].n_labels, best = 0;
    float p[VN_LABELS_MAX], d[VN_LABELS_MAX];
    float ce = vn_cross_entropy(logits, labels, NULL, b->label[r], 0, p, d);

    for (uint32_t i = 1; i < labels; i++)
        if (logits[i] > logits[best])
            best = i;
    return (1 - a->loss_reward) * (best == b->label[r]) - a->loss_reward * ce -
           a->density * s->wish[r % b->n].thrift * pow(s->density[r], a->density_power);
}

/* Of each sampled path: its reward beyond the mean of all that this image took, then centred and
 * scaled over the batch. Row i n + k becomes advantage (i - 1) n + k. */
static void find_advantages(struct vn_trainer *t, uint32_t paths)
{
    const uint32_t n = t->batch.n;
    double *a = t->search->advantage, sum = 0, square = 0, mean, deviation;

    for (uint32_t k = 0; k < n; k++) {
        double all = reward(t, k);

        for (uint32_t i = 0; i < paths; i++)
            all += a[i * n + k] = reward(t, (1 + i) * n + k);
        for (uint32_t i = 0; i < paths; i++)
            a[i * n + k] -= all / (1 + paths);
    }
    for (uint32_t i = 0; i < paths * n; i++) {
        sum += a[i];
        square += a[i] * a[i];
    }
    mean = sum / (paths * n);
    deviation = sqrt(fmax(square / (paths * n) - mean * mean, 0)) + 1e-6;
    for (uint32_t i = 0; i < paths * n; i++)
        /* a few images whose reward jumps must not decide for all the others */
        a[i] = fmin(fmax((a[i] - mean) / deviation, -ADVANTAGE_MAX), ADVANTAGE_MAX);
}

/* The gradient of one sample's logits: the mean over its paths. */
static void sample_gradient(struct vn_trainer *t, uint32_t k, uint32_t paths)
{
    const struct vn_search *s = t->search;
    const float weight = 1 / (float)(paths * t->batch.n);
    const float entropy = (float)t->config->agent_schedule.entropy * weight;
    float d[VN_BLOCKS_MAX * VN_LEVELS_MAX];

    memset(s->dlogits, 0, s->outputs * sizeof *s->dlogits);
    for (uint32_t i = 0; i < paths; i++) {
        uint32_t at = i * t->batch.n + k;

        vn_policy_gradient(t->config->network, s->score + (size_t)k * s->outputs, s->min_level,
                           t->batch.level[t->batch.n + at], (float)s->advantage[at] * weight,
                           entropy, d);
        for (uint32_t o = 0; o < s->outputs; o++)
            s->dlogits[o] += d[o];
    }
}

static void learn(struct vn_trainer *t, uint32_t paths, struct vn_step_result *result)
{
    struct vn_search *s = t->search;

    find_advantages(t, paths);
    for (uint32_t k = 0; k < t->batch.n; k++) {
        sample_gradient(t, k, paths);
        vn_policy_backward(t->model, t->batch.task[k], s->policy + (size_t)k * s->work, s->dlogits,
                           s->dfeature + (size_t)k * s->features);
        result->reward += reward(t, k);
        result->density += s->density[k];
    }
    result->n += t->batch.n;
}

void vn_search_step(struct vn_trainer *t, uint32_t input, const struct vn_sample *const *samples,
                    uint32_t n, const struct vn_place *at, struct vn_step_result *result)
{
    const struct vn_schedule *s = &t->config->schedule;
    const struct vn_agent_schedule *a = &t->config->agent_schedule;
    struct vn_batch *b = &t->batch;
    struct vn_augmentation augmentation = {s->pad, s->flip,
                                           vn_purpose_seed(t->config->seed, VN_DRAW_AUGMENT),
                                           at->epoch, at->step * b->max_rows};

    vn_batch_fill(b, t->corpus, input, samples, n, &augmentation);
    look(t, input, n, VN_TRUNK_TRAIN);
    vn_batch_repeat(b, t->config->network, 1 + a->paths);
    decide(t, n, at, n, a->paths, true);
    vn_trunk_forward(t->trunk[input], t->model, VN_TRUNK_EVAL, 0, b->rows, b->row, b->images,
                     b->pooled);
    vn_heads_forward(t->model, b->rows, b->task, b->pooled, b->labels_stride, b->logits);
    learn(t, a->paths, result);
    if (t->config->network->agent.kind == VN_AGENT_CONV)
        vn_trunk_backward(t->agent_trunk[input], t->model, t->search->dfeature);
    vn_agent_update(t->model, vn_rate_at(a->rate, 0, at->epochs, 1, at->progress),
                    ++t->agent_steps);
}
