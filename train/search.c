/* The agent's step: policy gradient (REINFORCE) with the backbone fixed.
 *
 * Each sample gets random wishes (a limit, in bytes or in parameters, and a thrift). The policy's
 * scores, perturbed by Gumbel noise, go through the same knapsack as in the daemon and give the
 * sampled paths; unperturbed they give the daemon's own choice, whose reward is logged. Reward,
 * after the paper's objective with its density term:
 *     R(path) = (1 - s) [the answer is right] - s cross-entropy - rho thrift density^power
 * where density counts parameters and s is loss_reward. The paper has s = 1, but a loss also pays
 * for more certainty where the answer stays the same, and that is most images.
 * A path's advantage is its reward beyond the mean of the image's other sampled paths, scaled over
 * the batch so that the weight of the entropy bonus means the same at every loss. An image's
 * advantages add up to zero: the gradient uses log pi without the limit, and what that leaves out,
 * the log of the feasible paths' mass, is the same for all of them and cancels. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/optimiser.h"
#include "train/policy.h"
#include "train/search_parts.h"

struct vn_search *vn_search_free(struct vn_search *s)
{
    if (!s)
        return NULL;
    vn_search_look_deinit(s);
    free(s->task);
    free(s->wish);
    free(s->feature);
    free(s->policy);
    free(s->score);
    free(s->path);
    free(s->density);
    free(s->outcome);
    free(s->unknown);
    free(s->advantage);
    free(s->dlogits);
    free(s);
    return NULL;
}

static int take_memory(struct vn_search *s)
{
    const size_t rows = s->max_rows;

    s->task = calloc(rows, sizeof *s->task);
    s->wish = calloc(rows, sizeof *s->wish);
    s->feature = vn_floats_new(rows * s->features);
    s->policy = vn_floats_new(rows * s->work);
    s->score = vn_floats_new(rows * s->outputs);
    s->path = calloc(rows, sizeof *s->path);
    s->density = calloc(rows, sizeof *s->density);
    s->outcome = calloc(rows, sizeof *s->outcome);
    s->unknown = calloc(rows, sizeof *s->unknown);
    s->advantage = calloc(rows, sizeof *s->advantage);
    s->dlogits = vn_floats_new(s->outputs);
    return s->task && s->wish && s->feature && s->policy && s->score && s->path && s->density &&
                   s->outcome && s->unknown && s->advantage && s->dlogits
               ? 0
               : -ENOMEM;
}

int vn_search_new(struct vn_trainer *t, struct vn_search **ret_search)
{
    const struct vn_network *n = t->config->network;
    struct vn_search *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->max_rows = t->batch.max_rows;
    s->features = vn_agent_features(n);
    s->work = (uint32_t)vn_agent_work(n);
    s->outputs = vn_agent_outputs(n);
    s->min_level = n->agent.kind == VN_AGENT_SHARED ? n->agent.probe_level : 0;
    if (take_memory(s) || vn_search_look_init(t, s)) {
        vn_search_free(s);
        return -ENOMEM;
    }
    *ret_search = s;
    return 0;
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

/* The path of row r, about sample k. */
static void choose(const struct vn_trainer *t, uint32_t k, const float *scores, uint32_t r)
{
    const struct vn_search *s = t->search;
    const struct wish *w = &s->wish[k];
    struct vn_plan plan;
    uint64_t needed;

    /* the limit was drawn at or above the lowest path's cost: there is always a plan */
    if (vn_plan_choose(t->model->planner, s->task[k], w->unit, w->limit, 0, scores, s->min_level,
                       &plan, &needed))
        vn_plan_uniform(t->model->planner, s->task[k], s->min_level, 0, &plan);
    memcpy(s->path[r], plan.level, plan.n_blocks);
    s->density[r] = plan.density;
}

static void score(const struct vn_trainer *t, uint32_t k)
{
    const struct vn_search *s = t->search;
    const struct wish *w = &s->wish[k];
    struct vn_policy policy = vn_policy_of(t->model);

    vn_policy_scores(t->config->network, &policy, s->task[k],
                     s->features ? s->feature + (size_t)k * s->features : NULL, w->budget,
                     w->thrift, s->policy + (size_t)k * s->work, s->score + (size_t)k * s->outputs);
}

/* Perturb and maximise: without a limit this samples each level with its probability. */
static void choose_sampled(const struct vn_trainer *t, uint32_t k, uint32_t r)
{
    const struct vn_search *s = t->search;
    struct vn_rng *rng = &s->wish[k].rng;
    float noisy[VN_BLOCKS_MAX * VN_LEVELS_MAX];

    for (uint32_t i = 0; i < s->outputs; i++)
        noisy[i] = s->score[(size_t)k * s->outputs + i] -
                   (float)log(-log(1 - 0.999999 * vn_rng_unit(rng) - 5e-7));
    choose(t, k, noisy, r);
}

/* Paths for the n samples: row k is the daemon's own choice for sample k where that is wanted, the
 * rows behind are sampled. */
static void decide(struct vn_trainer *t, const struct vn_place *at, uint32_t paths, bool greedy)
{
    struct vn_search *s = t->search;
    const uint32_t n = s->n;

#pragma omp parallel for num_threads((int)t->threads) schedule(static)
    for (uint32_t k = 0; k < n; k++) {
        s->wish[k] = draw_wish(t, s->task[k],
                               vn_rng_stream(vn_purpose_seed(t->config->seed, VN_DRAW_WISHES),
                                             at->epoch, at->step * s->max_rows + k));
        score(t, k);
        if (greedy)
            choose(t, k, s->score + (size_t)k * s->outputs, k);
        for (uint32_t i = 0; i < paths; i++)
            choose_sampled(t, k, (i + greedy) * n + k);
    }
}

void vn_search_sample(struct vn_trainer *t, uint32_t input, const struct vn_place *at,
                      uint32_t first)
{
    struct vn_search *s = t->search;
    struct vn_batch *b = &t->batch;

    s->n = b->n;
    memcpy(s->task, b->task, s->n * sizeof *s->task);
    vn_search_look_at_batch(t, input);
    decide(t, at, 1, false);
    memcpy(b->level[first], s->path, s->n * sizeof *s->path);
}

/* --- the step --------------------------------------------------------------------------------- */

/* Reward of row r, whose sample is r mod n. */
static double reward(const struct vn_trainer *t, uint32_t r)
{
    const struct vn_agent_schedule *a = &t->config->agent_schedule;
    const struct vn_search *s = t->search;
    const struct vn_outcome *o = &s->outcome[r];

    return (1 - a->loss_reward) * o->right - a->loss_reward * (double)o->loss -
           a->density * s->wish[r % s->n].thrift * pow(s->density[r], a->density_power);
}

/* Row i n + k becomes advantage (i - 1) n + k. */
static void find_advantages(struct vn_trainer *t, uint32_t paths)
{
    const uint32_t n = t->search->n;
    double *a = t->search->advantage, square = 0, deviation;

    for (uint32_t k = 0; k < n; k++) {
        /* where only one is sampled, the daemon's own choice is the other */
        double all = paths == 1 ? reward(t, k) : 0;

        for (uint32_t i = 0; i < paths; i++)
            all += a[i * n + k] = reward(t, (1 + i) * n + k);
        for (uint32_t i = 0; i < paths; i++) {
            a[i * n + k] -= all / (paths == 1 ? 2 : paths);
            square += a[i * n + k] * a[i * n + k];
        }
    }
    deviation = sqrt(square / (paths * n)) + 1e-6;
    for (uint32_t i = 0; i < paths * n; i++)
        a[i] /= deviation;
}

/* The gradient of one sample's logits: the mean over its paths. */
static void sample_gradient(struct vn_trainer *t, uint32_t k, uint32_t paths)
{
    const struct vn_search *s = t->search;
    const float weight = 1 / (float)(paths * s->n);
    const float entropy = (float)t->config->agent_schedule.entropy * weight;
    float d[VN_BLOCKS_MAX * VN_LEVELS_MAX];

    memset(s->dlogits, 0, s->outputs * sizeof *s->dlogits);
    for (uint32_t i = 0; i < paths; i++) {
        uint32_t at = i * s->n + k;

        vn_policy_gradient(t->config->network, s->score + (size_t)k * s->outputs, s->min_level,
                           s->path[s->n + at], (float)s->advantage[at] * weight, entropy, d);
        for (uint32_t o = 0; o < s->outputs; o++)
            s->dlogits[o] += d[o];
    }
}

static void learn(struct vn_trainer *t, uint32_t paths, struct vn_step_result *result)
{
    struct vn_search *s = t->search;

    find_advantages(t, paths);
    for (uint32_t k = 0; k < s->n; k++) {
        sample_gradient(t, k, paths);
        vn_policy_backward(t->model, s->task[k], s->policy + (size_t)k * s->work, s->dlogits,
                           s->dfeature ? s->dfeature + (size_t)k * s->features : NULL);
        result->reward += reward(t, k);
        result->density += s->density[k];
    }
    result->n += s->n;
}

void vn_search_step(struct vn_trainer *t, uint32_t input, const struct vn_sample *const *samples,
                    uint32_t n, const struct vn_place *at, struct vn_step_result *result)
{
    const struct vn_agent_schedule *a = &t->config->agent_schedule;
    struct vn_search *s = t->search;

    if (at->progress <= 0)
        vn_search_forget(t);
    s->n = n;
    s->sample = samples;
    for (uint32_t k = 0; k < n; k++)
        s->task[k] = samples[k]->task;
    vn_search_look(t, input);
    decide(t, at, a->paths, true);
    vn_search_run(t, input, (1 + a->paths) * n);
    learn(t, a->paths, result);
    if (t->config->network->agent.kind == VN_AGENT_CONV)
        vn_trunk_backward(t->agent_trunk[input], t->model, s->dfeature);
    vn_agent_update(t->model, vn_rate_at(a->rate, 0, at->epochs, 1, at->progress),
                    ++t->agent_steps);
}
