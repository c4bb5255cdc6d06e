#include "train/export.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/meter.h"
#include "train/norm.h"

float *vn_export_fold(const struct vn_model *m)
{
    float *out = vn_floats_new(m->n);

    if (!out)
        return NULL;
    memcpy(out, m->param, m->n * sizeof *out);
    for (uint32_t i = 0; i < m->layout->n_tensors; i++) {
        const struct vn_tensor *t = &m->layout->tensors[i];
        size_t at = t->offset / sizeof(float), c = t->shape[t->n_dims - 1];

        if (t->padding || !strstr(t->name, ".bn"))
            continue;
        /* rows of (gamma, beta) with (mean, variance) at the same place of `running` */
        for (size_t row = at; row < at + t->bytes / sizeof(float); row += 2 * c)
            for (size_t k = row; k < row + c; k++) {
                out[k] = m->param[k] / sqrtf(m->running[k + c] + VN_NORM_EPS);
                out[k + c] = m->param[k + c] - m->running[k] * out[k];
            }
    }
    return out;
}

struct source {
    const float *numbers;
};

static const float *tensor_numbers(void *context, const struct vn_layout *l, uint32_t tensor)
{
    const struct source *s = context;

    return s->numbers + l->tensors[tensor].offset / sizeof(float);
}

/* --- the table -------------------------------------------------------------------------------- */

static int keep_rows(struct vn_network *n, const struct vn_evaluation *e)
{
    for (uint32_t t = 0; t < n->n_tasks; t++) {
        struct vn_task *task = &n->tasks[t];

        free(task->measured);
        task->n_measured = 0;
        task->measured = calloc(e->n_settings, sizeof *task->measured);
        if (!task->measured)
            return -ENOMEM;
        for (uint32_t i = 0; i < e->n_settings && i < VN_MEASURED_MAX; i++) {
            const struct vn_score *s = vn_evaluation_at(e, t, i);
            const struct vn_setting *set = &e->settings[i];
            struct vn_measured *row = &task->measured[task->n_measured];
            const bool agent = set->by == VN_BY_AGENT;

            /* thrift has no column of its own: hard limits only; nor have paths of other kinds */
            if (!s->n || set->thrift > 0 || (!agent && set->by != VN_BY_LEVEL))
                continue;
            snprintf(row->by, sizeof row->by, "%s",
                     vn_agent_kind_names[agent ? n->agent.kind : VN_AGENT_UNIFORM]);
            row->setting = agent ? set->share : set->level;
            row->accuracy = (double)s->correct / (double)s->n;
            row->params = s->params / (double)s->n;
            row->bytes = s->bytes / (double)s->n;
            task->n_measured++;
        }
    }
    return 0;
}

static int measure(const char *file, const struct vn_corpus *validation,
                   const struct vn_planner *planner, struct vn_network *n, uint32_t threads,
                   struct vn_meter *progress, struct vn_why *why)
{
    _cleanup_(vn_store_unrefp) struct vn_store *s = NULL;
    _cleanup_(vn_evaluation_freep) struct vn_evaluation *e = NULL;
    struct vn_setting settings[VN_SETTINGS_MAX];
    int r = vn_store_open(file, why, &s);

    if (r)
        return r;
    r = vn_evaluate(s, validation, settings, vn_settings_default(planner, settings), threads,
                    progress, why, &e);
    return r ? r : keep_rows(n, e);
}

static json_t *training_record(const struct vn_trainer *t)
{
    uint64_t samples = 0;
    json_t *record;

    for (uint32_t i = 0; i < t->config->network->n_inputs; i++)
        samples += t->corpus->samples[i].n;
    record =
        json_pack("{s:s, s:O, s:I, s:i}", "tool", "virtualnet " VN_VERSION, "configuration",
                  t->config->source, "samples", (json_int_t)samples, "threads", (int)t->threads);
    /* the configuration's "training" says nothing about this backbone: */
    if (record && t->origin.sum)
        json_object_set(record, "backbone", t->origin.training ? t->origin.training : json_null());
    return record;
}

int vn_export(struct vn_trainer *t, const struct vn_corpus *validation, const char *file,
              struct vn_meter *progress, struct vn_why *why)
{
    _cleanup_(vn_freep) float *numbers = vn_export_fold(t->model);
    struct vn_network *n = t->config->network;
    struct source source = {numbers};
    int r;

    if (!numbers)
        return vn_because(why, -ENOMEM, "out of memory");
    json_decref(n->training);
    n->training = training_record(t);
    r = vn_store_write(file, n, tensor_numbers, &source, why);
    if (r || !validation)
        return r;
    r = measure(file, validation, t->model->planner, n, t->threads, progress, why);
    return r ? r : vn_store_write(file, n, tensor_numbers, &source, why);
}
