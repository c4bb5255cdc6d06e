/* The store's own accuracy table, turned round: which budget is enough for which accuracy. */
#include "clients/cli/report.h"

static const double shares[] = {0.9, 0.95, 0.99, 1}; /* of the task's best accuracy */

#define SHARES (sizeof shares / sizeof shares[0])

static double best_of(const struct vn_task *t)
{
    double best = 0;

    for (uint32_t i = 0; i < t->n_measured; i++)
        best = t->measured[i].accuracy > best ? t->measured[i].accuracy : best;
    return best;
}

/* The smallest budget that reached the accuracy; 0: none. */
static uint64_t budget_for(const struct report *r, uint32_t task, double accuracy,
                           const struct vn_measured **ret_row)
{
    const struct vn_task *t = &r->network->tasks[task];
    uint64_t best = 0;

    for (uint32_t i = 0; i < t->n_measured; i++) {
        uint64_t budget = vn_plan_measured_budget(r->planner, task, &t->measured[i]);

        if (!budget || t->measured[i].accuracy < accuracy || (best && budget >= best))
            continue;
        best = budget;
        *ret_row = &t->measured[i];
    }
    return best;
}

static void put_task(FILE *to, const struct report *r, uint32_t task)
{
    const struct vn_task *t = &r->network->tasks[task];
    double best = best_of(t);

    fputs("<tr><th scope=\"row\" title=\"", to);
    vn_html_text(to, t->name);
    fputs("\"><bdi>", to);
    vn_html_text(to, t->name);
    fprintf(to, "</bdi></th><td>%.1f %%</td>", 100 * best);
    for (size_t i = 0; i < SHARES; i++) {
        const struct vn_measured *row = NULL;
        uint64_t budget = budget_for(r, task, shares[i] * best - 1e-12, &row);

        if (budget)
            fprintf(to, "<td title=\"%.1f %%, paths by %s\">%llu KiB</td>", 100 * row->accuracy,
                    row->by, (unsigned long long)(budget + 1023) / 1024);
        else
            fputs("<td>–</td>", to);
    }
    fputs("</tr>\n", to);
}

void report_budgets(FILE *to, const struct report *r)
{
    bool any = false;

    for (uint32_t t = 0; t < r->network->n_tasks; t++)
        any |= r->network->tasks[t].n_measured > 0;
    if (!any)
        return;
    report_section(to, "budgets", "Which budget for which accuracy",
                   "From the table inside the store, measured on its validation split: the "
                   "smallest budget (parameters, activations and image) with which a task kept so "
                   "much of its best accuracy. “virtualnet plan --accuracy” picks from the same "
                   "table.");
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
          "aria-label=\"budgets\"><table><thead><tr><th scope=\"col\">task</th>"
          "<th scope=\"col\">best</th>",
          to);
    for (size_t i = 0; i < SHARES; i++)
        fprintf(to, "<th scope=\"col\">%.0f %% of it</th>", 100 * shares[i]);
    fputs("</tr></thead><tbody>\n", to);
    for (uint32_t t = 0; t < r->network->n_tasks; t++)
        if (r->network->tasks[t].n_measured)
            put_task(to, r, t);
    fputs("</tbody></table></div>\n", to);
    report_section_end(to);
}
