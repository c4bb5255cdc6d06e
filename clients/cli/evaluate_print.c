#include "clients/cli/evaluate_print.h"

#include <stdio.h>

#include "base/bytes.h"
#include "clients/cli/cli.h"

/* "1,2,0": the path's or cascade's levels. */
static const char *levels_text(const struct vn_setting *s, char between,
                               char text[static VN_SETTING_TEXT])
{
    size_t n = 0;

    text[0] = 0;
    for (uint32_t i = 0; i < s->n_levels && n < VN_SETTING_TEXT; i++)
        n += (size_t)snprintf(text + n, VN_SETTING_TEXT - n, "%.*s%u", i > 0, &between,
                              s->levels[i]);
    return text;
}

static const char *limit_text(const struct vn_setting *s, const char *who,
                              char text[static VN_SETTING_TEXT])
{
    char limit[32], bytes[VN_BYTES_TEXT];

    if (s->params)
        snprintf(limit, sizeof limit, "%.6gK params", (double)s->params / 1000);
    else if (s->bytes)
        snprintf(limit, sizeof limit, "%s", vn_bytes_format(s->bytes, bytes));
    else
        snprintf(limit, sizeof limit, "%.6g %%", 100 * s->share);
    if (s->thrift > 0)
        snprintf(text, VN_SETTING_TEXT, "%s <= %s, thrift %g", who, limit, s->thrift);
    else
        snprintf(text, VN_SETTING_TEXT, "%s <= %s", who, limit);
    return text;
}

const char *vn_setting_text(const struct vn_setting *s, char text[static VN_SETTING_TEXT])
{
    char levels[VN_SETTING_TEXT];

    switch (s->by) {
    case VN_BY_LEVEL:
        snprintf(text, VN_SETTING_TEXT, "level %u", s->level);
        return text;
    case VN_BY_OWN:
        snprintf(text, VN_SETTING_TEXT, "each task's own path");
        return text;
    case VN_BY_CASCADE:
        snprintf(text, VN_SETTING_TEXT, "cascade %.30s at %g", levels_text(s, ':', levels),
                 s->threshold);
        return text;
    case VN_BY_PATH:
        snprintf(text, VN_SETTING_TEXT, "path %.50s", levels_text(s, ',', levels));
        return text;
    case VN_BY_AGENT:
        return limit_text(s, "agent", text);
    case VN_BY_RANDOM:
        return limit_text(s, "random", text);
    }
    return "";
}

/* --- table ------------------------------------------------------------------------------------ */

static void print_means(const struct vn_evaluation *e)
{
    char text[VN_SETTING_TEXT], mean[VN_BYTES_TEXT], most[VN_BYTES_TEXT];

    printf("mean over %u task%s\n", e->n_tasks, e->n_tasks == 1 ? "" : "s");
    printf("  %-28s %9s %7s %9s %9s %10s %10s %7s %9s\n", "paths", "accuracy", "spread", "params",
           "max", "bytes", "max", "agent", "mult-adds");
    for (uint32_t i = 0; i < e->n_settings; i++) {
        struct vn_row_mean m = vn_evaluation_mean(e, i);

        printf("  %-28s %7.2f %% %7.2f %8.1fK %8.1fK %10s %10s %5.1f %% %8.3fM",
               vn_setting_text(&e->settings[i], text), 100 * m.accuracy, 100 * m.spread,
               m.params / 1000, (double)m.params_max / 1000,
               vn_bytes_format((uint64_t)m.bytes, mean), vn_bytes_format(m.bytes_max, most),
               100 * m.agent_share, m.work / 1e6);
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

static json_t *levels_json(const struct vn_setting *s)
{
    json_t *levels = json_array();

    for (uint32_t i = 0; i < s->n_levels; i++)
        json_array_append_new(levels, json_integer(s->levels[i]));
    return levels;
}

json_t *vn_setting_json(const struct vn_network *n, const struct vn_setting *s)
{
    const char *by = s->by == VN_BY_RANDOM ? "random" : vn_agent_kind_names[n->agent.kind];

    switch (s->by) {
    case VN_BY_LEVEL:
        return json_pack("{s:s, s:i}", "by", "uniform", "level", (int)s->level);
    case VN_BY_OWN:
        return json_pack("{s:s}", "by", "own");
    case VN_BY_CASCADE:
        return json_pack("{s:s, s:o, s:f}", "by", "cascade", "levels", levels_json(s), "threshold",
                         s->threshold);
    case VN_BY_PATH:
        return json_pack("{s:s, s:o}", "by", "path", "levels", levels_json(s));
    default:
        return json_pack("{s:s, s:f, s:I, s:I, s:f}", "by", by, "budget_share",
                         s->bytes || s->params ? 0.0 : s->share, "budget_bytes",
                         (json_int_t)s->bytes, "budget_params", (json_int_t)s->params, "thrift",
                         s->thrift);
    }
}

static json_t *score_json(const struct vn_network *n, const struct vn_score *s, const char *task)
{
    double samples = (double)(s->n ? s->n : 1);
    json_t *levels = json_array();

    for (uint32_t b = 0; b < vn_network_blocks(n); b++)
        json_array_append_new(levels, json_real(s->level[b] / samples));
    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:f, s:I, s:f, s:f, s:o}", "task", task,
                     "images", (json_int_t)s->n, "correct", (json_int_t)s->correct, "too_small",
                     (json_int_t)s->too_small, "accuracy", (double)s->correct / samples,
                     "params_mean", s->params / samples, "params_max", (json_int_t)s->params_max,
                     "bytes_mean", s->bytes / samples, "bytes_max", (json_int_t)s->bytes_max,
                     "agent_params", s->agent_params / samples, "multiply_adds", s->work / samples,
                     "mean_levels", levels);
}

static json_t *row_json(const struct vn_network *n, const struct vn_evaluation *e, uint32_t i)
{
    struct vn_row_mean m = vn_evaluation_mean(e, i);
    json_t *tasks = json_array();

    for (uint32_t t = 0; t < e->n_tasks; t++)
        json_array_append_new(tasks, score_json(n, vn_evaluation_at(e, t, i), n->tasks[t].name));
    return json_pack("{s:o, s:f, s:f, s:f, s:I, s:f, s:I, s:f, s:f, s:I, s:o}", "setting",
                     vn_setting_json(n, &e->settings[i]), "accuracy", m.accuracy, "spread",
                     m.spread, "params_mean", m.params, "params_max", (json_int_t)m.params_max,
                     "bytes_mean", m.bytes, "bytes_max", (json_int_t)m.bytes_max, "agent_share",
                     m.agent_share, "multiply_adds", m.work, "too_small", (json_int_t)m.too_small,
                     "tasks", tasks);
}

json_t *vn_evaluation_json(const struct vn_network *n, const struct vn_evaluation *e)
{
    json_t *rows = json_array();

    for (uint32_t i = 0; i < e->n_settings; i++)
        json_array_append_new(rows, row_json(n, e, i));
    return json_pack("{s:s, s:s, s:o}", "network", n->name, "agent",
                     vn_agent_kind_names[n->agent.kind], "rows", rows);
}
