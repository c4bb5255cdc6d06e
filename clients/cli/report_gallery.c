#include "clients/cli/report_gallery.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/meter.h"

#define TRIAL_IMAGES 200 /* for each thrift of the list */

static const double thrifts[] = {0, 0.1, 0.2, 0.35, 0.5};

#define THRIFTS (sizeof thrifts / sizeof thrifts[0])

struct work {
    struct vn_session *session;
    const struct vn_corpus *corpus;
    struct vn_meter *progress;
    uint64_t done, all;
};

/* --- running ---------------------------------------------------------------------------------- */

static int run_sample(struct work *w, const struct vn_sample *sample, double thrift,
                      struct report_shot *ret)
{
    const struct vn_network *n = vn_session_store(w->session)->network;
    const char *name = w->corpus->config->network->tasks[sample->task].name;
    struct vn_infer_result result;
    struct vn_infer_request request = {
        .task = (uint32_t)vn_network_find_task(n, name),
        .image = vn_corpus_image(w->corpus, sample),
        .thrift = thrift,
        .agent = n->agent.kind,
    };
    uint32_t best;
    int r = vn_infer(w->session, &request, &(struct vn_control){0}, &result);

    if (r)
        return r < 0 ? r : -EINVAL;
    vn_top_k(result.probabilities, result.n_labels, 1, &best);
    *ret = (struct report_shot){
        .image = request.image,
        .task = request.task,
        .label = sample->label,
        .answer = best,
        .probability = result.probabilities[best],
        .params = vn_plan_params(&result.plan),
    };
    memcpy(ret->level, result.plan.level, sizeof ret->level);
    vn_meter_show(w->progress, "gallery", ++w->done, w->all, "");
    return 0;
}

/* The k-th of n samples that are spread evenly over all inputs' lists. */
static const struct vn_sample *pick(const struct vn_corpus *c, uint64_t k, uint64_t n)
{
    uint64_t all = 0, at;

    for (uint32_t i = 0; i < c->config->network->n_inputs; i++)
        all += c->samples[i].n;
    at = k * all / n;
    for (uint32_t i = 0; i < c->config->network->n_inputs; i++) {
        if (at < c->samples[i].n)
            return &c->samples[i].samples[at];
        at -= c->samples[i].n;
    }
    return NULL; /* k < n: not reached */
}

static int run(struct work *w, double thrift, uint32_t n, struct report_shot *shots)
{
    int r = 0;

    for (uint32_t k = 0; k < n && !r; k++) {
        r = run_sample(w, pick(w->corpus, k, n), thrift, &shots[k]);
        shots[k].place = k;
    }
    return r;
}

/* --- which thrift ----------------------------------------------------------------------------- */

static double variance(const struct report_shot *shots, uint32_t n)
{
    double sum = 0, square = 0;

    for (uint32_t i = 0; i < n; i++) {
        sum += (double)shots[i].params;
        square += (double)shots[i].params * (double)shots[i].params;
    }
    return square / n - sum / n * (sum / n);
}

static int choose_thrift(struct work *w, uint32_t n, struct report_shot *shots, double *ret)
{
    double most = -1;

    for (size_t i = 0; i < THRIFTS; i++) {
        int r = run(w, thrifts[i], n, shots);

        if (r)
            return r;
        if (variance(shots, n) <= most * (1 + 1e-9))
            continue;
        most = variance(shots, n);
        *ret = thrifts[i];
    }
    return 0;
}

/* --- rows ------------------------------------------------------------------------------------- */

static int by_cost(const void *a, const void *b)
{
    const struct report_shot *p = a, *q = b;

    if (p->params != q->params)
        return p->params < q->params ? -1 : 1;
    return (p->place > q->place) - (p->place < q->place);
}

/* One row for each cost while there are few of them; else rows of like size, in which equal costs
 * stay together. */
static void divide(struct report_gallery *g)
{
    uint32_t costs = 1;

    for (uint32_t i = 1; i < g->n; i++)
        costs += g->shots[i].params != g->shots[i - 1].params;
    for (uint32_t at = 0; at < g->n;) {
        uint32_t rows_left = REPORT_ROWS - g->n_rows, end = at + 1;
        uint32_t wanted = costs <= REPORT_ROWS ? 1 : (g->n - at + rows_left - 1) / rows_left;

        while (end < g->n &&
               (end - at < wanted || g->shots[end].params == g->shots[end - 1].params))
            end++;
        g->rows[g->n_rows++] = (struct report_row){at, end - at};
        at = end;
    }
}

static uint64_t samples_of(const struct vn_corpus *c)
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < c->config->network->n_inputs; i++)
        all += c->samples[i].n;
    return all;
}

static int gather(struct work *w, double thrift, struct report_gallery *g)
{
    uint32_t trial = g->n < TRIAL_IMAGES ? g->n : TRIAL_IMAGES;
    int r = 0;

    w->all = g->n + (thrift < 0 ? trial * THRIFTS : 0);
    g->thrift = thrift;
    if (thrift < 0)
        r = choose_thrift(w, trial, g->shots, &g->thrift);
    if (!r)
        r = run(w, g->thrift, g->n, g->shots);
    if (r)
        return r;
    qsort(g->shots, g->n, sizeof *g->shots, by_cost);
    divide(g);
    return 0;
}

/* The configuration's tasks are the store's, by name and labels. */
static int check_tasks(const struct vn_network *n, const struct vn_network *wanted,
                       struct vn_why *why)
{
    for (uint32_t t = 0; t < wanted->n_tasks; t++) {
        const struct vn_task *task = &wanted->tasks[t];
        int found = vn_network_find_task(n, task->name);

        if (found < 0 || n->tasks[found].n_labels != task->n_labels ||
            memcmp(n->tasks[found].labels, task->labels, task->n_labels * sizeof *task->labels))
            return vn_because(why, -EINVAL,
                              "the store has no task \"%s\" with the configuration's labels",
                              task->name);
    }
    return 0;
}

int report_gallery_run(struct vn_store *s, const struct vn_corpus *corpus, double thrift,
                       uint32_t images, struct vn_meter *progress, struct vn_why *why,
                       struct report_gallery *ret)
{
    _cleanup_(report_gallery_deinit) struct report_gallery g = {0};
    uint64_t all = samples_of(corpus);
    struct work w = {.corpus = corpus, .progress = progress};
    int r = check_tasks(s->network, corpus->config->network, why);

    if (r)
        return r;
    r = vn_session_new(s, NULL, &w.session);
    g.n = all < images ? (uint32_t)all : images;
    g.shots = calloc(g.n ? g.n : 1, sizeof *g.shots);
    if (!r && !g.shots)
        r = -ENOMEM;
    if (!r)
        r = gather(&w, thrift, &g);
    vn_session_free(w.session);
    if (r)
        return vn_because(why, r, "the gallery's images could not be run: %s", strerror(-r));
    *ret = g;
    g = (struct report_gallery){0};
    return 0;
}

void report_gallery_deinit(struct report_gallery *g)
{
    free(g->shots);
    *g = (struct report_gallery){0};
}
