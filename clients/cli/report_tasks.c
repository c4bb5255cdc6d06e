/* Accuracy per task, and the levels that the agent gives each block for each task. */
#include <math.h>

#include "clients/cli/evaluate_curves.h"
#include "clients/cli/report.h"

static void put_name(FILE *to, const char *name)
{
    fputs("<th scope=\"row\" title=\"", to);
    vn_html_text(to, name);
    fputs("\"><bdi>", to);
    vn_html_text(to, name);
    fputs("</bdi></th>", to);
}

/* --- accuracy --------------------------------------------------------------------------------- */

/* The columns: all uniform levels, then the agent's picks. */
static uint32_t columns(const struct report *r, uint32_t ret[VN_SETTINGS_MAX + REPORT_PICKS],
                        uint32_t *ret_picked)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->evaluation->n_settings; i++)
        if (vn_curve_of(&r->evaluation->settings[i]) == VN_CURVE_LEVELS)
            ret[n++] = i;
    *ret_picked = report_picks(r, ret + n);
    return n + *ret_picked;
}

struct span {
    double low, high;
};

/* Of the accuracies that are shown, so that the shades tell them apart. */
static struct span span_of(const struct vn_evaluation *e, const uint32_t *column, uint32_t n)
{
    struct span s = {1, 0};

    for (uint32_t t = 0; t < e->n_tasks; t++)
        for (uint32_t i = 0; i < n; i++) {
            const struct vn_score *score = vn_evaluation_at(e, t, column[i]);
            double accuracy = (double)score->correct / (double)score->n;

            if (!score->n)
                continue;
            s.low = fmin(s.low, accuracy);
            s.high = fmax(s.high, accuracy);
        }
    return s;
}

static void put_accuracy(FILE *to, const struct span *s, double accuracy)
{
    double share = s->high > s->low ? (accuracy - s->low) / (s->high - s->low) : 0.5;

    fprintf(to, "<td class=\"q%u\">%.1f</td>", report_shade(share), 100 * accuracy);
}

static void put_task(FILE *to, const struct report *r, uint32_t task, const uint32_t *column,
                     uint32_t n, const struct span *s)
{
    uint64_t images = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t here = vn_evaluation_at(r->evaluation, task, column[i])->n;

        images = here > images ? here : images;
    }
    if (!images)
        return;
    fputs("<tr>", to);
    put_name(to, r->network->tasks[task].name);
    if (r->counted)
        fprintf(to, "<td>%llu</td>", (unsigned long long)images);
    for (uint32_t i = 0; i < n; i++) {
        const struct vn_score *score = vn_evaluation_at(r->evaluation, task, column[i]);

        if (score->n)
            put_accuracy(to, s, (double)score->correct / (double)score->n);
        else
            fputs("<td>–</td>", to);
    }
    fputs("</tr>\n", to);
}

void report_tasks(FILE *to, const struct report *r)
{
    uint32_t column[VN_SETTINGS_MAX + REPORT_PICKS], n, picked;
    struct span s;

    if (!r->evaluation)
        return;
    n = columns(r, column, &picked);
    s = span_of(r->evaluation, column, n);
    report_section(to, "tasks", "Accuracy per task",
                   "In per cent; the stronger the colour, the nearer to the best of the table.");
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"accuracy per "
          "task\"><table class=\"heat\"><thead><tr>"
          "<th scope=\"col\">task</th>",
          to);
    if (r->counted)
        fputs("<th scope=\"col\">images</th>", to);
    for (uint32_t i = 0; i < n; i++) {
        fputs(i < n - picked ? "<th scope=\"col\">" : "<th scope=\"col\" class=\"long\">", to);
        report_setting(to, &r->evaluation->settings[column[i]]);
        fputs("</th>", to);
    }
    fputs("</tr></thead><tbody>\n", to);
    for (uint32_t t = 0; t < r->evaluation->n_tasks; t++)
        put_task(to, r, t, column, n, &s);
    fputs("</tbody></table></div>\n", to);
    report_section_end(to);
}

#define MANY_BLOCKS 12 /* more are shown in narrower columns, one table below the other */

/* --- levels ----------------------------------------------------------------------------------- */

static void put_level(FILE *to, const struct report *r, double level, const char *task, uint32_t b)
{
    fprintf(to, "<td class=\"mark q%u\" title=\"", report_shade(level / r->network->groups));
    vn_html_text(to, task);
    fprintf(to, ", block %u: %.2f of %u groups\">%.1f</td>", b + 1, level, r->network->groups,
            level);
}

static void put_levels_row(FILE *to, const struct report *r, uint32_t task, uint32_t setting)
{
    const struct vn_score *s = vn_evaluation_at(r->evaluation, task, setting);

    if (!s->n)
        return;
    fputs("<tr>", to);
    put_name(to, r->network->tasks[task].name);
    for (uint32_t b = 0; b < vn_network_blocks(r->network); b++)
        put_level(to, r, s->level[b] / (double)s->n, r->network->tasks[task].name, b);
    fputs("</tr>\n", to);
}

static void put_levels_mean(FILE *to, const struct report *r, uint32_t setting)
{
    fputs("<tr class=\"mean\"><th scope=\"row\">mean</th>", to);
    for (uint32_t b = 0; b < vn_network_blocks(r->network); b++) {
        double sum = 0, tasks = 0;

        for (uint32_t t = 0; t < r->evaluation->n_tasks; t++) {
            const struct vn_score *s = vn_evaluation_at(r->evaluation, t, setting);

            if (!s->n)
                continue;
            sum += s->level[b] / (double)s->n;
            tasks++;
        }
        put_level(to, r, tasks > 0 ? sum / tasks : 0, "mean", b);
    }
    fputs("</tr>\n", to);
}

static void put_levels(FILE *to, const struct report *r, uint32_t setting)
{
    struct vn_row_mean m = vn_evaluation_mean(r->evaluation, setting);

    fputs("<div><h3>", to);
    report_setting(to, &r->evaluation->settings[setting]);
    fprintf(to, ": %.1f %% at %.1fK</h3>\n", 100 * m.accuracy, m.params / 1000);
    fprintf(to,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"levels\"><table "
            "class=\"heat%s\"><thead><tr>"
            "<th scope=\"col\">block</th>",
            vn_network_blocks(r->network) > MANY_BLOCKS ? " dense" : "");
    for (uint32_t b = 0; b < vn_network_blocks(r->network); b++)
        fprintf(to, "<th scope=\"col\">%u</th>", b + 1);
    fputs("</tr></thead><tbody>\n", to);
    if (r->network->n_tasks > 1)
        put_levels_mean(to, r, setting);
    for (uint32_t t = 0; t < r->evaluation->n_tasks; t++)
        put_levels_row(to, r, t, setting);
    fputs("</tbody></table></div></div>\n", to);
}

static void put_scale(FILE *to, uint32_t groups)
{
    fputs("<p class=\"legend\">skipped <span>", to);
    for (int i = 0; i < 11; i++)
        fprintf(to, "<i class=\"q%d\"></i>", i);
    fprintf(to, "</span> all %u groups</p>\n", groups);
}

void report_levels(FILE *to, const struct report *r)
{
    uint32_t picks[REPORT_PICKS], n = report_picks(r, picks),
                                  blocks = vn_network_blocks(r->network);

    if (!r->evaluation)
        return;
    report_section(to, "levels", "Levels that the agent chooses",
                   "How many groups of each block an image runs, mean over a task’s images. From "
                   "the cheapest way of asking to the dearest, with accuracy and mean parameters.");
    if (!n)
        fputs("<p>This store has no agent that was evaluated: every block has the same level.</p>",
              to);
    else if (!r->has_levels)
        fputs("<p>The store’s own table does not hold levels. With --data or --evaluation they are "
              "shown here.</p>",
              to);
    else {
        fprintf(to, "<div class=\"pair%s\">\n",
                blocks <= 7            ? " narrow"
                : blocks > MANY_BLOCKS ? " wide"
                                       : "");
        for (uint32_t i = 0; i < n; i++)
            put_levels(to, r, picks[i]);
        fputs("</div>\n", to);
        put_scale(to, r->network->groups);
    }
    report_section_end(to);
}
