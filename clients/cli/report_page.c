/* The frame of the page: what is said first and last. No script, nothing from outside. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "clients/cli/chart.h"
#include "clients/cli/evaluate_curves.h"
#include "clients/cli/report.h"

/* --- what is said first ----------------------------------------------------------------------- */

static void begin_fact(FILE *to, const char *name, const char *value)
{
    fprintf(to, "<div><dt>%s</dt><dd>", name);
    vn_html_text(to, value);
    fputs("<small>", to);
}

static void end_fact(FILE *to)
{
    fputs("</small></dd></div>\n", to);
}

static void fact(FILE *to, const char *name, const char *value, const char *more)
{
    begin_fact(to, name, value);
    vn_html_text(to, more);
    end_fact(to);
}

static void network_facts(FILE *to, const struct report *r)
{
    const struct vn_network *n = r->network;
    char value[64], more[128], bytes[VN_BYTES_TEXT], fixed[VN_BYTES_TEXT];
    struct vn_plan full;

    vn_plan_uniform(r->planner, 0, n->groups, 0, &full);
    snprintf(value, sizeof value, "%u", n->n_tasks);
    snprintf(more, sizeof more, "%u input%s", n->n_inputs, n->n_inputs == 1 ? "" : "s");
    fact(to, n->n_tasks == 1 ? "task" : "tasks", value, more);
    snprintf(value, sizeof value, "%u × %u", vn_network_blocks(n), n->groups);
    snprintf(more, sizeof more, "in %u stage%s", n->n_stages, n->n_stages == 1 ? "" : "s");
    fact(to, "blocks × groups", value, more);
    snprintf(value, sizeof value, "%.1fK", (double)vn_plan_params(&full) / 1000);
    snprintf(more, sizeof more, "full path of the first task");
    fact(to, "parameters", value, more);
    snprintf(more, sizeof more, "%s serve every path",
             vn_bytes_format(r->store->layout->fixed_bytes, fixed));
    fact(to, "store", vn_bytes_format(r->store->file_bytes, bytes), more);
}

static void accuracy_facts(FILE *to, const struct report *r)
{
    uint32_t picks[REPORT_PICKS], n = report_picks(r, picks);
    char value[64];

    for (uint32_t i = 0; r->evaluation && i < r->evaluation->n_settings; i++) {
        struct vn_row_mean m = vn_evaluation_mean(r->evaluation, i);
        const struct vn_setting *s = &r->evaluation->settings[i];
        bool full = s->by == VN_BY_LEVEL && s->level == r->network->groups;

        if ((!full && !(n && i == picks[n / 2])) || !(m.params > 0))
            continue;
        snprintf(value, sizeof value, "%.1f %%", 100 * m.accuracy);
        begin_fact(to, full ? "accuracy, full path" : "accuracy, agent", value);
        report_setting(to, s);
        fprintf(to, ": %.1fK parameters", m.params / 1000);
        end_fact(to);
    }
}

static void put_links(FILE *to, const struct report *r)
{
    fputs("<nav aria-label=\"sections\">", to);
    if (r->evaluation)
        fputs("<a href=\"#curves\">accuracy</a><a href=\"#budgets\">budgets</a>"
              "<a href=\"#tasks\">tasks</a><a href=\"#levels\">levels</a>",
              to);
    fputs("<a href=\"#images\">images</a>", to);
    if (r->log.agreement.steps > 0)
        fputs("<a href=\"#agreement\">agreement</a>", to);
    fputs("<a href=\"#training\">training</a>"
          "<a href=\"#made\">how it was made</a></nav>\n",
          to);
}

void report_head(FILE *to, const struct report *r)
{
    /* the policy makes sure of what the page promises: nothing is fetched, nothing runs */
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "img-src data:; style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          to);
    vn_html_text(to, r->network->name);
    fputs(": report</title>\n", to);
    report_style(to);
    fputs("</head>\n<body>\n<header>\n<h1><bdi>", to);
    vn_html_text(to, r->network->name);
    fputs("</bdi></h1>\n<p class=\"lead\">", to);
    if (r->network->agent.kind == VN_AGENT_UNIFORM)
        fputs("A network for several memory budgets; all its blocks run the same number of "
              "groups. ",
              to);
    else
        fprintf(to,
                "A network for several memory budgets; an agent of kind “%s” chooses how many "
                "groups of each block run. ",
                vn_agent_kind_names[r->network->agent.kind]);
    vn_html_text(to, r->evaluated);
    fputs("</p>\n", to);
    put_links(to, r);
    fputs("</header>\n<main>\n<dl class=\"facts\">\n", to);
    network_facts(to, r);
    accuracy_facts(to, r);
    fputs("</dl>\n", to);
}

/* --- sections --------------------------------------------------------------------------------- */

void report_section(FILE *to, const char *id, const char *title, const char *sentence)
{
    fprintf(to, "<section id=\"%s\">\n<h2>%s</h2>\n", id, title);
    if (sentence)
        fprintf(to, "<p class=\"note\">%s</p>\n", sentence);
}

void report_section_end(FILE *to)
{
    fputs("</section>\n", to);
}

static void put_configuration(FILE *to, const json_t *training)
{
    char *text = training ? json_dumps(training, JSON_INDENT(2)) : NULL;

    if (!text) {
        fputs("<p>The store does not say.</p>\n", to);
        return;
    }
    fputs("<details><summary>the training record inside the store</summary>\n<pre tabindex=\"0\">",
          to);
    for (char *line = text, *end; line; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        if (end)
            *end = 0;
        vn_html_text(to, line);
        fputc('\n', to);
    }
    fputs("</pre></details>\n", to);
    free(text);
}

void report_foot(FILE *to, const struct report *r)
{
    report_section(to, "made", "How it was made", NULL);
    put_configuration(to, r->network->training);
    report_section_end(to);
    fputs("</main>\n<footer>virtualnet " VN_VERSION ", store <bdi>", to);
    vn_html_text(to, r->store_file);
    fputs("</bdi></footer>\n</body>\n</html>\n", to);
}
