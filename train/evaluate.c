#include "train/evaluate.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/meter.h"

#define THREADS_MAX 64

/* The lowest limit at which the agent has a choice, as a share of the full path: what a path of
 * level 1 (of the probe's level, where there is a probe) needs, for the task that needs most. */
static double lowest_share(const struct vn_planner *p)
{
    const struct vn_network *n = vn_planner_network(p);
    uint32_t level = n->agent.kind == VN_AGENT_SHARED ? n->agent.probe_level : 1;
    double share = 0;

    for (uint32_t t = 0; t < n->n_tasks; t++) {
        struct vn_plan low, full;

        vn_plan_uniform(p, t, level, 0, &low);
        vn_plan_uniform(p, t, n->groups, 0, &full);
        share =
            fmax(share, (double)vn_bytes_total(&low.bytes) / (double)vn_bytes_total(&full.bytes));
    }
    return fmin(share, 1);
}

uint32_t vn_settings_default(const struct vn_planner *p, struct vn_setting *ret)
{
    static const double limits[] = {0, 0.2, 0.4, 0.6, 0.8, 1};
    static const double thrifts[] = {0.1, 0.2, 0.35, 0.5, 0.75, 1};
    const struct vn_network *n = vn_planner_network(p);
    double low = lowest_share(p);
    uint32_t k = 0;

    for (uint32_t level = 0; level <= n->groups; level++)
        ret[k++] = (struct vn_setting){.level = level};
    if (n->agent.kind == VN_AGENT_UNIFORM)
        return k;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        /* in whole per cent, upwards, so that the table reads well and the lowest still fits */
        double share = ceil(100 * (low + (1 - low) * limits[i]) - 1e-9) / 100;

        ret[k++] = (struct vn_setting){.agent = true, .share = share};
    }
    for (size_t i = 0; i < sizeof thrifts / sizeof thrifts[0]; i++)
        ret[k++] = (struct vn_setting){.agent = true, .share = 1, .thrift = thrifts[i]};
    return k;
}

struct vn_evaluation *vn_evaluation_free(struct vn_evaluation *e)
{
    if (!e)
        return NULL;
    free(e->settings);
    free(e->scores);
    free(e);
    return NULL;
}

/* --- one sample ------------------------------------------------------------------------------- */

static uint64_t share_of_full(const struct vn_planner *p, uint32_t task, double share)
{
    struct vn_plan full;

    vn_plan_uniform(p, task, vn_planner_network(p)->groups, 0, &full);
    return (uint64_t)(share * (double)vn_bytes_total(&full.bytes));
}

static struct vn_infer_request make_request(const struct vn_session *session, uint32_t task,
                                            const struct vn_setting *setting,
                                            const struct vn_image *image,
                                            uint8_t levels[VN_BLOCKS_MAX])
{
    const struct vn_network *n = vn_session_store(session)->network;
    struct vn_infer_request r = {.task = task, .image = image, .agent = n->agent.kind};

    if (!setting->agent) {
        memset(levels, (int)setting->level, VN_BLOCKS_MAX);
        r.levels = levels;
        r.n_levels = vn_network_blocks(n);
        return r;
    }
    r.thrift = setting->thrift;
    r.limit_params = setting->params;
    if (setting->bytes)
        r.budget_bytes = setting->bytes;
    else if (!setting->params && setting->share < 1)
        r.budget_bytes = share_of_full(vn_session_planner(session), task, setting->share);
    return r;
}

static void add(struct vn_score *score, const struct vn_infer_result *r, bool correct,
                uint64_t agent_params)
{
    uint64_t params = vn_plan_params(&r->plan), bytes = r->plan.bytes.params_resident;

    score->n++;
    score->correct += correct;
    score->params += (double)params;
    score->bytes += (double)bytes;
    score->agent_params += (double)agent_params;
    if (params > score->params_max)
        score->params_max = params;
    if (bytes > score->bytes_max)
        score->bytes_max = bytes;
    for (uint32_t b = 0; b < r->plan.n_blocks; b++)
        score->level[b] += r->plan.level[b];
}

struct work {
    const struct vn_corpus *corpus;
    struct vn_evaluation *e;
    int task_of[VN_TASKS_MAX]; /* configuration's task -> store's */
};

static int run_sample(const struct work *w, struct vn_session *session,
                      const struct vn_sample *sample, struct vn_score *scores)
{
    const struct vn_store *store = vn_session_store(session);
    uint32_t task = (uint32_t)w->task_of[sample->task];
    const struct vn_image *image = vn_corpus_image(w->corpus, sample);
    uint64_t agent_params =
        vn_layout_agent_params(store->network, store->layout, store->network->tasks[task].input);

    for (uint32_t i = 0; i < w->e->n_settings; i++) {
        struct vn_score *score = &scores[(size_t)task * w->e->n_settings + i];
        uint8_t levels[VN_BLOCKS_MAX];
        struct vn_infer_request request =
            make_request(session, task, &w->e->settings[i], image, levels);
        struct vn_infer_result result;
        uint32_t best;
        int r = vn_infer(session, &request, &(struct vn_control){0}, &result);

        if (r == VN_SESSION_E_TOO_SMALL) {
            score->too_small++;
            continue;
        }
        if (r)
            return r < 0 ? r : -EINVAL;
        vn_top_k(result.probabilities, result.n_labels, 1, &best);
        add(score, &result, best == sample->label, agent_params);
    }
    return 0;
}

/* --- all samples ------------------------------------------------------------------------------ */

static int match_tasks(const struct vn_store *s, const struct vn_train_config *c, struct work *w,
                       struct vn_why *why)
{
    for (uint32_t t = 0; t < c->network->n_tasks; t++) {
        const struct vn_task *task = &c->network->tasks[t];
        int found = vn_network_find_task(s->network, task->name);

        if (found < 0)
            return vn_because(why, VN_EVALUATE_E_MISMATCH,
                              "the store has no task \"%s\", which the configuration has",
                              task->name);
        if (s->network->tasks[found].n_labels != task->n_labels ||
            memcmp(s->network->tasks[found].labels, task->labels,
                   task->n_labels * sizeof *task->labels))
            return vn_because(why, VN_EVALUATE_E_MISMATCH,
                              "task \"%s\" has other labels in the store than in the configuration",
                              task->name);
        w->task_of[t] = found;
    }
    return 0;
}

static void join(struct vn_score *to, const struct vn_score *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i].n += from[i].n;
        to[i].correct += from[i].correct;
        to[i].too_small += from[i].too_small;
        to[i].params += from[i].params;
        to[i].bytes += from[i].bytes;
        to[i].agent_params += from[i].agent_params;
        to[i].params_max =
            to[i].params_max > from[i].params_max ? to[i].params_max : from[i].params_max;
        to[i].bytes_max = to[i].bytes_max > from[i].bytes_max ? to[i].bytes_max : from[i].bytes_max;
        for (uint32_t b = 0; b < VN_BLOCKS_MAX; b++)
            to[i].level[b] += from[i].level[b];
    }
}

static int run_input(const struct work *w, struct vn_session *const *session, uint32_t threads,
                     const struct vn_samples *samples, uint64_t *done, uint64_t all,
                     struct vn_meter *progress)
{
    size_t cells = (size_t)w->e->n_tasks * w->e->n_settings;
    struct vn_score *part = calloc(threads * cells, sizeof *part);
    int failed = part ? 0 : -ENOMEM;

    for (uint32_t first = 0; first < samples->n && !failed; first += 512) {
        uint32_t end = first + 512 < samples->n ? first + 512 : samples->n;

#pragma omp parallel for num_threads((int)threads) schedule(static)
        for (uint32_t i = first; i < end; i++) {
            int lane = omp_get_thread_num();
            int r = run_sample(w, session[lane], &samples->samples[i], part + (size_t)lane * cells);

            if (r) {
#pragma omp atomic write
                failed = r;
            }
        }
        *done += end - first;
        if (progress)
            vn_meter_show(progress, "evaluate", *done, all, "");
    }
    for (uint32_t i = 0; i < threads && part; i++)
        join(w->e->scores, part + i * cells, cells);
    free(part);
    return failed;
}

static int evaluation_new(uint32_t tasks, const struct vn_setting *settings, uint32_t n,
                          struct vn_evaluation **ret)
{
    struct vn_evaluation *e = calloc(1, sizeof *e);

    if (!e)
        return -ENOMEM;
    e->n_tasks = tasks;
    e->n_settings = n;
    e->settings = calloc(n, sizeof *e->settings);
    e->scores = calloc((size_t)tasks * n, sizeof *e->scores);
    if (!e->settings || !e->scores) {
        vn_evaluation_free(e);
        return -ENOMEM;
    }
    memcpy(e->settings, settings, n * sizeof *settings);
    *ret = e;
    return 0;
}

int vn_evaluate(struct vn_store *s, const struct vn_corpus *corpus,
                const struct vn_setting *settings, uint32_t n_settings, uint32_t threads,
                struct vn_meter *progress, struct vn_why *why,
                struct vn_evaluation **ret_evaluation)
{
    _cleanup_(vn_evaluation_freep) struct vn_evaluation *e = NULL;
    struct vn_session *session[THREADS_MAX];
    struct work w = {.corpus = corpus};
    uint64_t done = 0, all = 0;
    int r;

    threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
    memset(session, 0, sizeof session);
    r = match_tasks(s, corpus->config, &w, why);
    if (!r)
        r = evaluation_new(s->network->n_tasks, settings, n_settings, &e);
    w.e = e;
    for (uint32_t i = 0; i < threads && !r; i++)
        r = vn_session_new(s, NULL, &session[i]);
    for (uint32_t i = 0; i < corpus->config->network->n_inputs; i++)
        all += corpus->samples[i].n;
    for (uint32_t i = 0; i < corpus->config->network->n_inputs && !r; i++)
        r = run_input(&w, session, threads, &corpus->samples[i], &done, all, progress);
    for (uint32_t i = 0; i < threads; i++)
        vn_session_free(session[i]);
    if (r < 0)
        vn_because(why, r, "evaluation failed: %s", strerror(-r));
    if (r)
        return r;
    *ret_evaluation = e;
    e = NULL;
    return 0;
}

struct vn_row_mean vn_evaluation_mean(const struct vn_evaluation *e, uint32_t setting)
{
    struct vn_row_mean m = {0};
    double square = 0;
    uint32_t tasks = 0;

    for (uint32_t t = 0; t < e->n_tasks; t++) {
        const struct vn_score *s = vn_evaluation_at(e, t, setting);
        double n = (double)s->n, accuracy;

        m.too_small += s->too_small;
        if (!s->n)
            continue;
        accuracy = (double)s->correct / n;
        tasks++;
        m.accuracy += accuracy;
        square += accuracy * accuracy;
        m.params += s->params / n;
        m.bytes += s->bytes / n;
        m.agent_share += s->agent_params / s->params;
        m.params_max = s->params_max > m.params_max ? s->params_max : m.params_max;
        m.bytes_max = s->bytes_max > m.bytes_max ? s->bytes_max : m.bytes_max;
    }
    if (!tasks)
        return m;
    m.accuracy /= tasks;
    m.spread = sqrt(fmax(square / tasks - m.accuracy * m.accuracy, 0));
    m.params /= tasks;
    m.bytes /= tasks;
    m.agent_share /= tasks;
    return m;
}
