/* Where tasks agree on the weights that they share, and where they pull apart. */
#include "clients/cli/report_agreement.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "clients/cli/report.h"

/* --- reading ---------------------------------------------------------------------------------- */

static int prepare(struct report_agreement *a, const struct vn_network *n)
{
    if (a->ucr)
        return 0;
    a->tasks = n->n_tasks;
    a->blocks = vn_network_blocks(n);
    a->ucr = calloc((size_t)a->tasks * a->blocks, sizeof *a->ucr);
    a->pairs = calloc((size_t)a->tasks * a->tasks, sizeof *a->pairs);
    return a->ucr && a->pairs ? 0 : -ENOMEM;
}

struct mean {
    double sum, n;
};

/* A number in low .. 1, or null. The diagonal of pairs is no news. */
static int read_cell(const struct vn_json_at *item, double low, double steps, bool counts,
                     struct report_cell *cell, struct mean *mean)
{
    double value;
    int r;

    if (json_is_null(item->json))
        return 0;
    r = vn_json_item_number(item, low, 1, &value);
    if (r)
        return r;
    cell->sum += value * steps;
    cell->weight += steps;
    if (counts) {
        mean->sum += value;
        mean->n++;
    }
    return 0;
}

static int read_table(const struct vn_json_at *at, const char *key, uint32_t rows, uint32_t columns,
                      double low, double steps, struct report_cell *cells, double *ret_mean)
{
    struct vn_json_at list;
    struct mean mean = {0};
    size_t n;
    int r = vn_json_array(at, key, rows, rows, &list, &n);

    for (size_t i = 0; i < rows && !r; i++) {
        struct vn_json_at row = vn_json_item(&list, i);

        if (json_array_size(row.json) != columns)
            return vn_json_wrong(&row, "must be a list of %u, as the store has it", columns);
        for (size_t k = 0; k < columns && !r; k++) {
            struct vn_json_at item = vn_json_item(&row, k);

            r = read_cell(&item, low, steps, low >= 0 || i != k, &cells[i * columns + k], &mean);
        }
    }
    *ret_mean = mean.n > 0 ? mean.sum / mean.n : NAN;
    return r;
}

int report_agreement_add(struct report_agreement *a, const struct vn_network *n,
                         const struct vn_json_at *at, double *ret_ucr, double *ret_cosine)
{
    double steps = 0;
    int r = prepare(a, n);

    if (!r)
        r = vn_json_number(at, "steps", VN_JSON_REQUIRED, 1, 1e12, &steps);
    if (!r)
        r = read_table(at, "ucr", a->tasks, a->blocks, 0, steps, a->ucr, ret_ucr);
    if (!r)
        r = read_table(at, "tasks", a->tasks, a->tasks, -1, steps, a->pairs, ret_cosine);
    a->steps += r ? 0 : steps;
    return r;
}

void report_agreement_deinit(struct report_agreement *a)
{
    free(a->ucr);
    free(a->pairs);
    *a = (struct report_agreement){0};
}

/* --- the page --------------------------------------------------------------------------------- */

static double value_of(const struct report_cell *c)
{
    return c->weight > 0 ? c->sum / c->weight : NAN;
}

static void put_name(FILE *to, const struct report *r, uint32_t task)
{
    fputs("<tr><th scope=\"row\" title=\"", to);
    vn_html_text(to, r->network->tasks[task].name);
    fprintf(to, "\">%u <bdi>", task + 1);
    vn_html_text(to, r->network->tasks[task].name);
    fputs("</bdi></th>", to);
}

static void begin_table(FILE *to, const char *title, const char *what, uint32_t columns)
{
    fprintf(to,
            "<div><h3>%s</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
            "aria-label=\"%s\"><table class=\"heat square\"><thead><tr><th scope=\"col\">%s</th>",
            title, title, what);
    for (uint32_t k = 0; k < columns; k++)
        fprintf(to, "<th scope=\"col\">%u</th>", k + 1);
    fputs("</tr></thead><tbody>\n", to);
}

/* value: for the colour, -1 .. 1; shown: the number in the cell. */
static void put_cell(FILE *to, const struct report *r, uint32_t task, const char *with,
                     double value, double shown)
{
    if (!isfinite(value)) {
        fputs("<td>–</td>", to);
        return;
    }
    fprintf(to, "<td class=\"mark d%u\" title=\"", report_shade_signed(value));
    vn_html_text(to, r->network->tasks[task].name);
    fputs(", ", to);
    vn_html_text(to, with);
    shown = fabs(shown) < 0.5 ? 0 : shown; /* no "-0" */
    fprintf(to, ": %.0f\">%.0f</td>", shown, shown);
}

/* Of all pairs; at least a little, so that noise stays pale. */
static double largest(const struct report_agreement *a)
{
    double most = 0.05;

    for (uint32_t i = 0; i < a->tasks; i++)
        for (uint32_t k = 0; k < i; k++)
            most = fmax(most, fabs(value_of(&a->pairs[i * a->tasks + k])));
    return most;
}

#define PAIRS_SHOWN 64 /* tasks; more would make a page that nobody can load or read */

static void put_pairs(FILE *to, const struct report *r)
{
    const struct report_agreement *a = &r->log.agreement;
    double most = largest(a);

    if (a->tasks > PAIRS_SHOWN)
        return;
    begin_table(to, "cosine between the gradients of two tasks, in hundredths", "task", a->tasks);
    for (uint32_t i = 0; i < a->tasks; i++) {
        put_name(to, r, i);
        for (uint32_t k = 0; k < a->tasks; k++) {
            double value = i == k ? NAN : value_of(&a->pairs[i * a->tasks + k]);

            put_cell(to, r, i, r->network->tasks[k].name, value / most, 100 * value);
        }
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table></div></div>\n", to);
}

static void put_ucr(FILE *to, const struct report *r)
{
    const struct report_agreement *a = &r->log.agreement;
    char block[32];

    begin_table(to, "updates that helped, % of steps", "block", a->blocks);
    for (uint32_t i = 0; i < a->tasks; i++) {
        put_name(to, r, i);
        for (uint32_t b = 0; b < a->blocks; b++) {
            double value = value_of(&a->ucr[i * a->blocks + b]);

            snprintf(block, sizeof block, "block %u", b + 1);
            put_cell(to, r, i, block, 2 * value - 1, 100 * value);
        }
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table></div></div>\n", to);
}

struct pair {
    uint32_t a, b;
    double value; /* NAN: none was found */
};

/* The pair with the largest (sign 1) or smallest (-1) cosine. */
static struct pair extreme(const struct report_agreement *a, int sign)
{
    struct pair best = {.value = NAN};

    for (uint32_t i = 0; i < a->tasks; i++)
        for (uint32_t k = 0; k < i; k++) {
            double value = value_of(&a->pairs[i * a->tasks + k]);

            if (isfinite(value) && !(sign * value <= sign * best.value))
                best = (struct pair){k, i, value};
        }
    return best;
}

static void put_pair(FILE *to, const struct report *r, const char *words, int sign)
{
    struct pair p = extreme(&r->log.agreement, sign);

    if (!isfinite(p.value))
        return;
    fprintf(to, "%s <bdi>", words);
    vn_html_text(to, r->network->tasks[p.a].name);
    fputs("</bdi> and <bdi>", to);
    vn_html_text(to, r->network->tasks[p.b].name);
    fprintf(to, "</bdi> (%.2f). ", p.value);
}

void report_agreement(FILE *to, const struct report *r)
{
    const struct report_agreement *a = &r->log.agreement;

    if (!(a->steps > 0))
        return;
    report_section(to, "agreement", "Where tasks agree", NULL);
    fprintf(
        to,
        "<p class=\"note\">Each task’s own gradient on the shared weights of the blocks, looked "
        "at in %.0f steps of the training. Blue: two tasks pull the same way, or the joint "
        "update helps the task; orange: against each other. ",
        a->steps);
    put_pair(to, r, "Nearest are", 1);
    put_pair(to, r, "Farthest apart are", -1);
    fputs("</p>\n<div class=\"row\">\n", to);
    put_pairs(to, r);
    put_ucr(to, r);
    fputs("</div>\n", to);
    report_section_end(to);
}
