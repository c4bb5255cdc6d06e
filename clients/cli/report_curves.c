/* Accuracy against cost: the curves, and what was measured as a table. */
#include <string.h>

#include "base/bytes.h"
#include "clients/cli/evaluate_curves.h"
#include "clients/cli/evaluate_print.h"
#include "clients/cli/report.h"

uint32_t report_picks(const struct report *r, uint32_t ret[REPORT_PICKS])
{
    const struct vn_evaluation *e = r->evaluation;
    uint32_t order[VN_SETTINGS_MAX], n = 0, k = 0;

    for (uint32_t i = 0; e && i < e->n_settings; i++) {
        double params = vn_evaluation_mean(e, i).params;
        uint32_t at = n;

        if (!vn_curve_is_agent(&e->settings[i]) || !(params > 0))
            continue;
        for (; at && vn_evaluation_mean(e, order[at - 1]).params > params; at--)
            order[at] = order[at - 1];
        order[at] = i;
        n++;
    }
    for (uint32_t i = 0; i < REPORT_PICKS && i < n; i++) {
        uint32_t place = n <= REPORT_PICKS ? i : i * (n - 1) / (REPORT_PICKS - 1);

        ret[k++] = order[place];
    }
    return k;
}

void report_setting(FILE *to, const struct vn_setting *s)
{
    char text[VN_SETTING_TEXT];
    const char *limit = strstr(vn_setting_text(s, text), "<=");

    if (!limit) {
        vn_html_text(to, text);
        return;
    }
    vn_html_textf(to, "%.*s≤%s", (int)(limit - text), text, limit + 2);
}

/* Evaluations of earlier versions did not. */
static bool counts_work(const struct vn_evaluation *e)
{
    bool any = false;

    for (uint32_t i = 0; i < e->n_settings; i++)
        any |= vn_evaluation_mean(e, i).work > 0;
    return any;
}

static void put_row(FILE *to, const struct report *r, uint32_t setting)
{
    struct vn_row_mean m = vn_evaluation_mean(r->evaluation, setting);
    char bytes[VN_BYTES_TEXT], most[VN_BYTES_TEXT];

    if (!(m.params > 0))
        return;
    fputs("<tr><th scope=\"row\">", to);
    report_setting(to, &r->evaluation->settings[setting]);
    fprintf(to, "</th><td>%.2f %%</td><td>%.2f</td><td>%.1fK</td>", 100 * m.accuracy,
            100 * m.spread, m.params / 1000);
    if (r->counted)
        fprintf(to, "<td>%.1fK</td>", (double)m.params_max / 1000);
    fprintf(to, "<td>%s</td>", vn_bytes_format((uint64_t)m.bytes, bytes));
    if (r->counted)
        fprintf(to, "<td>%s</td><td>%.1f %%</td>", vn_bytes_format(m.bytes_max, most),
                100 * m.agent_share);
    if (counts_work(r->evaluation))
        fprintf(to, "<td>%.2fM</td>", m.work / 1e6);
    fputs("</tr>\n", to);
}

static void put_table(FILE *to, const struct report *r)
{
    fputs("<details><summary>as a table</summary>\n<div class=\"scroll\" tabindex=\"0\" "
          "role=\"region\" aria-label=\"settings\">"
          "<table><thead><tr><th scope=\"col\">paths</th><th scope=\"col\">accuracy</th>"
          "<th scope=\"col\">spread</th><th scope=\"col\">parameters</th>",
          to);
    if (r->counted)
        fputs("<th scope=\"col\">most</th>", to);
    fputs("<th scope=\"col\">resident</th>", to);
    if (r->counted)
        fputs("<th scope=\"col\">most</th><th scope=\"col\">agent’s part</th>", to);
    if (counts_work(r->evaluation))
        fputs("<th scope=\"col\">multiply-adds</th>", to);
    fputs("</tr></thead><tbody>\n", to);
    for (uint32_t i = 0; i < r->evaluation->n_settings; i++)
        put_row(to, r, i);
    fputs("</tbody></table></div></details>\n", to);
}

static int put_chart(FILE *to, const struct report *r, enum vn_curve_cost cost)
{
    _cleanup_(vn_chart_deinit) struct vn_chart chart;
    int result = vn_evaluation_chart(r->network, r->evaluation, cost, -1, &chart);

    if (!result) {
        fputs("<div>", to);
        vn_chart_draw(to, &chart, false);
        fputs("</div>\n", to);
    }
    return result;
}

int report_curves(FILE *to, const struct report *r)
{
    int result;

    if (!r->evaluation)
        return 0;
    report_section(to, "curves", "Accuracy against cost",
                   "A point is one way of choosing paths, over all images: one level in every "
                   "block, or the agent under a limit, or told to save. Cost is the mean of the "
                   "paths, the agent’s own parameters included where it is asked.");
    fputs("<div class=\"pair\">\n", to);
    result = put_chart(to, r, VN_CURVE_PARAMS);
    if (!result)
        result = put_chart(to, r, VN_CURVE_BYTES);
    fputs("</div>\n", to);
    put_table(to, r);
    report_section_end(to);
    return result;
}
