#include "train/evaluate.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/meter.h"
#include "train/answer.h"

#define THREADS_MAX 64

struct vn_evaluation *vn_evaluation_free(struct vn_evaluation *e)
{
    if (!e)
        return NULL;
    free(e->settings);
    free(e->scores);
    free(e->images);
    free(e);
    return NULL;
}

/* --- one sample ------------------------------------------------------------------------------- */

static void add(struct vn_score *score, const struct vn_answer *a, uint32_t blocks, bool correct)
{
    if (!a->fits) {
        score->too_small++;
        return;
    }
    score->n++;
    score->correct += correct;
    score->params += (double)a->params;
    score->bytes += (double)a->bytes;
    score->agent_params += (double)a->agent_params;
    score->work += (double)a->work;
    if (a->params > score->params_max)
        score->params_max = a->params;
    if (a->bytes > score->bytes_max)
        score->bytes_max = a->bytes;
    for (uint32_t b = 0; b < blocks; b++)
        score->level[b] += a->level[b];
}

static uint8_t *put(uint8_t *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> 8 * i);
    return to + bytes;
}

static uint8_t *put_answer(uint8_t *to, const struct vn_answer *a, uint32_t blocks)
{
    uint32_t confidence;

    memcpy(&confidence, &a->confidence, sizeof confidence);
    to = put(to, a->fits ? a->label : VN_NO_ANSWER, 2);
    to = put(to, confidence, 4);
    to = put(to, a->params, 4);
    to = put(to, a->work, 8);
    memcpy(to, a->level, blocks);
    return to + blocks;
}

struct work {
    const struct vn_corpus *corpus;
    struct vn_evaluation *e;
    int task_of[VN_TASKS_MAX]; /* configuration's task -> store's */
};

/* image: the sample's record, or NULL. */
static int run_sample(const struct work *w, struct vn_session *session,
                      const struct vn_sample *sample, struct vn_score *scores, uint8_t *image)
{
    const uint32_t task = (uint32_t)w->task_of[sample->task];
    const uint32_t blocks = vn_network_blocks(vn_session_store(session)->network);
    struct vn_question q = {
        session, task, vn_corpus_image(w->corpus, sample), sample->image, {{0}}};

    if (image)
        image = put(put(put(image, sample->image, 4), task, 2), sample->label, 2);
    for (uint32_t i = 0; i < w->e->n_settings; i++) {
        struct vn_answer answer = {.fits = false};
        int r = vn_answer(&q, &w->e->settings[i], &answer);

        if (r)
            return r;
        add(&scores[(size_t)task * w->e->n_settings + i], &answer, blocks,
            answer.label == sample->label);
        if (image)
            image = put_answer(image, &answer, blocks);
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
        to[i].work += from[i].work;
        to[i].params_max =
            to[i].params_max > from[i].params_max ? to[i].params_max : from[i].params_max;
        to[i].bytes_max = to[i].bytes_max > from[i].bytes_max ? to[i].bytes_max : from[i].bytes_max;
        for (uint32_t b = 0; b < VN_BLOCKS_MAX; b++)
            to[i].level[b] += from[i].level[b];
    }
}

static uint8_t *record_of(const struct vn_evaluation *e, uint64_t sample)
{
    return e->images ? e->images + sample * e->image_bytes : NULL;
}

/* done: samples of inputs before this one and of this one so far. */
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
            int r = run_sample(w, session[lane], &samples->samples[i], part + (size_t)lane * cells,
                               record_of(w->e, *done - first + i));

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

static int keep_images(struct vn_evaluation *e, const struct vn_network *n, uint64_t samples)
{
    if (samples > UINT32_MAX)
        return -EOVERFLOW;
    e->n_samples = (uint32_t)samples;
    e->image_bytes =
        VN_IMAGE_HEAD + (size_t)e->n_settings * (VN_IMAGE_ANSWER + vn_network_blocks(n));
    e->images = calloc(e->n_samples, e->image_bytes);
    return e->images ? 0 : -ENOMEM;
}

static int evaluate(struct vn_store *s, const struct vn_corpus *corpus,
                    const struct vn_setting *settings, uint32_t n_settings, uint32_t threads,
                    bool images, struct vn_meter *progress, struct vn_why *why,
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
    if (!r && images)
        r = keep_images(e, s->network, all);
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

int vn_evaluate(struct vn_store *s, const struct vn_corpus *corpus,
                const struct vn_setting *settings, uint32_t n_settings, uint32_t threads,
                struct vn_meter *progress, struct vn_why *why,
                struct vn_evaluation **ret_evaluation)
{
    return evaluate(s, corpus, settings, n_settings, threads, false, progress, why, ret_evaluation);
}

int vn_evaluate_images(struct vn_store *s, const struct vn_corpus *corpus,
                       const struct vn_setting *settings, uint32_t n_settings, uint32_t threads,
                       struct vn_meter *progress, struct vn_why *why,
                       struct vn_evaluation **ret_evaluation)
{
    return evaluate(s, corpus, settings, n_settings, threads, true, progress, why, ret_evaluation);
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
        m.work += s->work / n;
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
    m.work /= tasks;
    m.agent_share /= tasks;
    return m;
}
