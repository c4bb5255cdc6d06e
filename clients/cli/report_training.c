/* The training log as curves: loss, accuracy, and the agent's reward and density. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "clients/cli/chart.h"
#include "clients/cli/report.h"

struct line {
    enum report_column column;
    const char *name;
};

struct plot {
    const char *title, *y_label;
    enum vn_chart_unit unit;
    size_t n;
    struct line lines[3];
};

static const struct plot plots[] = {
    {"accuracy during training",
     "accuracy",
     VN_CHART_PERCENT,
     3,
     {{LOG_VALIDATION_FULL, "validation, full path"},
      {LOG_VALIDATION_HALF, "validation, half"},
      {LOG_ACCURACY_FULL, "training, full path"}}},
    {"loss during training",
     "loss (cross-entropy)",
     VN_CHART_NUMBER,
     3,
     {{LOG_LOSS_FULL, "full path"},
      {LOG_LOSS_MIXED, "random paths"},
      {LOG_LOSS_AUXILIARY, "all labels"}}},
    {"the agent’s reward", "reward", VN_CHART_NUMBER, 1, {{LOG_REWARD, "reward"}}},
    {"density of the agent’s paths",
     "density of the agent’s paths",
     VN_CHART_PERCENT,
     1,
     {{LOG_DENSITY, "density"}}},
    {"updates that helped a task",
     "updates that helped a task (UCR)",
     VN_CHART_PERCENT,
     1,
     {{LOG_UCR, "mean over tasks and blocks"}}},
    {"cosine between tasks",
     "cosine between two tasks’ gradients",
     VN_CHART_NUMBER,
     1,
     {{LOG_COSINE, "mean over pairs"}}},
};

/* Epochs of one phase in a row; on the x axis the epochs of the log are 1, 2, 3 ... */
static size_t bands(const struct report_log *l, struct vn_chart_band *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        if (n && l->epochs[i].phase == l->epochs[i - 1].phase) {
            ret[n - 1].to = (double)i + 1.5;
            continue;
        }
        ret[n++] = (struct vn_chart_band){
            .from = (double)i + 0.5,
            .to = (double)i + 1.5,
            .name = report_phase_names[l->epochs[i].phase],
        };
    }
    return n;
}

static int add_line(struct vn_chart_series *s, const struct report_log *l, const struct line *line)
{
    int r = 0;

    for (size_t i = 0; i < l->n && !r; i++) {
        const struct report_epoch *e = &l->epochs[i];

        r = vn_chart_add(s, (double)i + 1, e->value[line->column], "%s, %s epoch %u: %.4g",
                         line->name, report_phase_names[e->phase], e->number,
                         e->value[line->column]);
    }
    return r;
}

static int put_plot(FILE *to, const struct report_log *l, const struct plot *p,
                    const struct vn_chart_band *band, size_t n_bands)
{
    _cleanup_(vn_chart_deinit) struct vn_chart c = {
        .title = p->title,
        .x_label = "epoch of the log",
        .y_label = p->y_label,
        .x_unit = VN_CHART_WHOLE,
        .y_unit = p->unit,
        .n_series = (uint32_t)p->n,
        .n_bands = n_bands,
        .bands = band,
    };
    int r = 0;

    for (uint32_t i = 0; i < c.n_series && !r; i++) {
        c.series[i].look = i;
        snprintf(c.series[i].name, sizeof c.series[i].name, "%s", p->lines[i].name);
        r = add_line(&c.series[i], l, &p->lines[i]);
    }
    if (r)
        return r;
    vn_chart_draw(to, &c, false);
    return 0;
}

int report_training(FILE *to, const struct report *r)
{
    _cleanup_(vn_freep) struct vn_chart_band *band = calloc(r->log.n + 1, sizeof *band);
    size_t n;
    int result = 0;

    if (!band)
        return -ENOMEM;
    n = bands(&r->log, band);
    report_section(to, "training", "Training",
                   r->log.n ? "Epoch by epoch. Accuracy and loss while training are of augmented "
                              "images; validation is of up to 2000 images of each input."
                            : NULL);
    if (!r->log.n)
        fputs("<p>No log was given, and none lies beside the store.</p>", to);
    fputs("<div class=\"pair\">\n", to);
    for (size_t i = 0; i < sizeof plots / sizeof plots[0] && !result; i++)
        result = put_plot(to, &r->log, &plots[i], band, n);
    fputs("</div>\n", to);
    report_section_end(to);
    return result;
}
