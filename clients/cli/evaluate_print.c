#include "clients/cli/evaluate_print.h"

#include <stdio.h>

#include "base/bytes.h"
#include "clients/cli/cli.h"

const char *vn_setting_text(const struct vn_setting *s, char text[static VN_SETTING_TEXT])
{
    char limit[32], bytes[VN_BYTES_TEXT];

    if (!s->agent) {
        snprintf(text, VN_SETTING_TEXT, "level %u", s->level);
        return text;
    }
    if (s->params)
        snprintf(limit, sizeof limit, "%.6gK params", (double)s->params / 1000);
    else if (s->bytes)
        snprintf(limit, sizeof limit, "%s", vn_bytes_format(s->bytes, bytes));
    else
        snprintf(limit, sizeof limit, "%.6g %%", 100 * s->share);
    if (s->thrift > 0)
        snprintf(text, VN_SETTING_TEXT, "agent <= %s, thrift %g", limit, s->thrift);
    else
        snprintf(text, VN_SETTING_TEXT, "agent <= %s", limit);
    return text;
}

/* --- table ------------------------------------------------------------------------------------ */

static void print_means(const struct vn_evaluation *e)
{
    char text[VN_SETTING_TEXT], mean[VN_BYTES_TEXT], most[VN_BYTES_TEXT];

    printf("mean over %u task%s\n", e->n_tasks, e->n_tasks == 1 ? "" : "s");
    printf("  %-28s %9s %7s %9s %9s %10s %10s %7s\n", "paths", "accuracy", "spread", "params",
           "max", "bytes", "max", "agent");
    for (uint32_t i = 0; i < e->n_settings; i++) {
        struct vn_row_mean m = vn_evaluation_mean(e, i);

        printf("  %-28s %7.2f %% %7.2f %8.1fK %8.1fK %10s %10s %5.1f %%",
               vn_setting_text(&e->settings[i], text), 100 * m.accuracy, 100 * m.spread,
               m.params / 1000, (double)m.params_max / 1000,
               vn_bytes_format((uint64_t)m.bytes, mean), vn_bytes_format(m.bytes_max, most),
               100 * m.agent_share);
        if (m.too_small)
            printf("  (%llu below the smallest path)", (unsigned long long)m.too_small);
        putchar('\n');
    }
}

static void print_task(const struct vn_network *n, const struct vn_evaluation *e, uint32_t task)
{
    uint64_t samples = 0;

    for (uint32_t i = 0; i < e->n_settings; i++)
        if (vn_evaluation_at(e, task, i)->n > samples)
            samples = vn_evaluation_at(e, task, i)->n;
    if (!samples)
        return;
    printf("  ");
    vn_cli_text(n->tasks[task].name, 30);
    printf(" %6llu ", (unsigned long long)samples);
    for (uint32_t i = 0; i < e->n_settings; i++) {
        const struct vn_score *s = vn_evaluation_at(e, task, i);

        if (s->n)
            printf(" %5.1f", 100 * (double)s->correct / (double)s->n);
        else
            printf("     -");
    }
    putchar('\n');
}

void vn_evaluation_print(const struct vn_network *n, const struct vn_evaluation *e)
{
    print_means(e);
    printf("\naccuracy in %% per task, in the order of the rows above\n  %-30s %6s\n", "task",
           "images");
    for (uint32_t t = 0; t < e->n_tasks; t++)
        print_task(n, e, t);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *setting_json(const struct vn_network *n, const struct vn_setting *s)
{
    if (!s->agent)
        return json_pack("{s:s, s:i}", "by", "uniform", "level", (int)s->level);
    return json_pack("{s:s, s:f, s:I, s:I, s:f}", "by", vn_agent_kind_names[n->agent.kind],
                     "budget_share", s->bytes || s->params ? 0.0 : s->share, "budget_bytes",
                     (json_int_t)s->bytes, "budget_params", (json_int_t)s->params, "thrift",
                     s->thrift);
}

static json_t *score_json(const struct vn_network *n, const struct vn_score *s, const char *task)
{
    double samples = (double)(s->n ? s->n : 1);
    json_t *levels = json_array();

    for (uint32_t b = 0; b < vn_network_blocks(n); b++)
        json_array_append_new(levels, json_real(s->level[b] / samples));
    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:f, s:I, s:f, s:o}", "task", task,
                     "images", (json_int_t)s->n, "correct", (json_int_t)s->correct, "too_small",
                     (json_int_t)s->too_small, "accuracy", (double)s->correct / samples,
                     "params_mean", s->params / samples, "params_max", (json_int_t)s->params_max,
                     "bytes_mean", s->bytes / samples, "bytes_max", (json_int_t)s->bytes_max,
                     "agent_params", s->agent_params / samples, "mean_levels", levels);
}

static json_t *row_json(const struct vn_network *n, const struct vn_evaluation *e, uint32_t i)
{
    struct vn_row_mean m = vn_evaluation_mean(e, i);
    json_t *tasks = json_array();

    for (uint32_t t = 0; t < e->n_tasks; t++)
        json_array_append_new(tasks, score_json(n, vn_evaluation_at(e, t, i), n->tasks[t].name));
    return json_pack("{s:o, s:f, s:f, s:f, s:I, s:f, s:I, s:f, s:I, s:o}", "setting",
                     setting_json(n, &e->settings[i]), "accuracy", m.accuracy, "spread", m.spread,
                     "params_mean", m.params, "params_max", (json_int_t)m.params_max, "bytes_mean",
                     m.bytes, "bytes_max", (json_int_t)m.bytes_max, "agent_share", m.agent_share,
                     "too_small", (json_int_t)m.too_small, "tasks", tasks);
}

json_t *vn_evaluation_json(const struct vn_network *n, const struct vn_evaluation *e)
{
    json_t *rows = json_array();

    for (uint32_t i = 0; i < e->n_settings; i++)
        json_array_append_new(rows, row_json(n, e, i));
    return json_pack("{s:s, s:s, s:o}", "network", n->name, "agent",
                     vn_agent_kind_names[n->agent.kind], "rows", rows);
}
