#include "clients/cli/chart.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/chart_axis.h"
#include "clients/cli/html.h"

/* The picture in its own units: as wide as a column of text, so that on a telephone nothing has to
 * be made much smaller. */
#define WIDTH 480.0
#define LEFT 66.0
#define RIGHT 18.0
#define TOP 26.0 /* the y axis's label */
#define LEGEND_ROW 18.0
#define PLOT 210.0
#define BOTTOM 46.0
#define LETTER 7.3 /* of the legend, where a narrow screen has the text larger: 6.4 elsewhere */

/* --- points ----------------------------------------------------------------------------------- */

int vn_chart_add(struct vn_chart_series *s, double x, double y, const char *format, ...)
{
    struct vn_chart_point *p = s->points;
    va_list ap;

    if (!isfinite(x) || !isfinite(y))
        return 0;
    if (!(s->n & (s->n - 1))) { /* room for a power of two */
        p = reallocarray(p, s->n ? 2 * s->n : 1, sizeof *p);
        if (!p)
            return -ENOMEM;
        s->points = p;
    }
    p[s->n].x = x;
    p[s->n].y = y;
    va_start(ap, format);
    vsnprintf(p[s->n].note, sizeof p[s->n].note, format, ap);
    va_end(ap);
    s->n++;
    return 0;
}

static int by_x(const void *a, const void *b)
{
    const struct vn_chart_point *p = a, *q = b;

    return p->x != q->x ? (p->x > q->x) - (p->x < q->x) : (p->y > q->y) - (p->y < q->y);
}

void vn_chart_sort(struct vn_chart_series *s)
{
    if (s->n)
        qsort(s->points, s->n, sizeof *s->points, by_x);
}

void vn_chart_deinit(struct vn_chart *c)
{
    for (uint32_t i = 0; i < c->n_series; i++) {
        free(c->series[i].points);
        c->series[i].points = NULL;
        c->series[i].n = 0;
    }
}

/* --- where things are ------------------------------------------------------------------------- */

struct frame {
    FILE *to;
    const struct vn_chart *c;
    struct vn_axis x, y;
    double top, bottom; /* of the plot */
    double height;
};

static double at_x(const struct frame *f, double value)
{
    return LEFT + vn_axis_place(&f->x, value) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const struct frame *f, double value)
{
    return f->bottom - vn_axis_place(&f->y, value) * PLOT;
}

/* False: no points. */
static bool measure(struct frame *f)
{
    double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;

    for (uint32_t i = 0; i < f->c->n_series; i++)
        for (size_t k = 0; k < f->c->series[i].n; k++) {
            const struct vn_chart_point *p = &f->c->series[i].points[k];

            x0 = fmin(x0, p->x);
            x1 = fmax(x1, p->x);
            y0 = fmin(y0, p->y);
            y1 = fmax(y1, p->y);
        }
    if (x0 > x1)
        return false;
    f->x = vn_axis_make(f->c->x_unit, x0, x1, f->c->x_from_zero, 5);
    f->y = vn_axis_make(f->c->y_unit, y0, y1, false, 5);
    return true;
}

/* --- marks ------------------------------------------------------------------------------------ */

/* Shapes around (0, 0), by look: circle, square, triangle, diamond, cross, bar. */
static const char *const shapes[VN_CHART_SERIES_MAX] = {
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-4.8L4.6,3.4H-4.6z",
    "M0,-5L5,0L0,5L-5,0z",
    "M-4,-1.3h2.7v-2.7h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7z",
    "M-1.6,-5h3.2v10h-3.2z",
};

static void draw_line(const struct frame *f, const struct vn_chart_series *s)
{
    if (s->n < 2)
        return;
    fprintf(f->to, "<path class=\"line s%u\" d=\"", s->look);
    for (size_t i = 0; i < s->n; i++)
        fprintf(f->to, "%c%.1f,%.1f", i ? 'L' : 'M', at_x(f, s->points[i].x),
                at_y(f, s->points[i].y));
    fputs("\"/>\n", f->to);
}

/* Of a long series every mark can be touched, but none is seen: they would hide the line. */
#define MARKS_SEEN 60

static void draw_marks(const struct frame *f, const struct vn_chart_series *s)
{
    for (size_t i = 0; i < s->n; i++) {
        fprintf(f->to,
                "<path class=\"mark s%u%s\" transform=\"translate(%.1f,%.1f)\" d=\"%s\"><title>",
                s->look, s->n > MARKS_SEEN ? " hidden" : "", at_x(f, s->points[i].x),
                at_y(f, s->points[i].y), shapes[s->look]);
        vn_html_text(f->to, s->points[i].note);
        fputs("</title></path>\n", f->to);
    }
}

/* --- around them ------------------------------------------------------------------------------ */

/* Draws the legend, or with to == NULL only counts its rows. */
static unsigned legend(FILE *to, const struct vn_chart *c)
{
    double x = LEFT;
    unsigned row = 0;

    for (uint32_t i = 0; i < c->n_series; i++) {
        double width = 30 + LETTER * (double)strlen(c->series[i].name);

        if (!c->series[i].n)
            continue;
        if (x > LEFT && x + width > WIDTH) {
            x = LEFT;
            row++;
        }
        if (to) {
            double y = TOP + LEGEND_ROW * row + 6;

            fprintf(to,
                    "<path class=\"line s%u\" d=\"M%.1f,%.1fh18\"/>"
                    "<path class=\"key s%u\" transform=\"translate(%.1f,%.1f)\" d=\"%s\"/>"
                    "<text x=\"%.1f\" y=\"%.1f\">",
                    c->series[i].look, x, y, c->series[i].look, x + 9, y, shapes[c->series[i].look],
                    x + 23, y + 4);
            vn_html_text(to, c->series[i].name);
            fputs("</text>\n", to);
        }
        x += width;
    }
    return row + 1;
}

static void draw_bands(const struct frame *f)
{
    for (size_t i = 0; i < f->c->n_bands; i++) {
        const struct vn_chart_band *b = &f->c->bands[i];
        double x0 = fmax(at_x(f, b->from), LEFT), x1 = fmin(at_x(f, b->to), WIDTH - RIGHT);

        if (x1 <= x0)
            continue;
        fprintf(f->to,
                "<rect class=\"band b%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">"
                "<title>",
                i % 2, x0, f->top, x1 - x0, PLOT);
        vn_html_text(f->to, b->name);
        fputs("</title></rect>\n", f->to);
        if (x1 - x0 < 7 * (double)strlen(b->name))
            continue;
        fprintf(f->to, "<text class=\"mute\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                (x0 + x1) / 2, f->bottom - 6);
        vn_html_text(f->to, b->name);
        fputs("</text>\n", f->to);
    }
}

static void draw_y_axis(const struct frame *f)
{
    unsigned n = vn_axis_ticks(&f->y);
    char text[VN_AXIS_TEXT];

    for (unsigned i = 0; i < n; i++) {
        double y = f->bottom - PLOT * i / (n - 1);

        fprintf(f->to,
                "<path class=\"grid\" d=\"M%.1f,%.1fH%.1f\"/>"
                "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, vn_axis_label(&f->y, i, text));
    }
}

static void draw_x_axis(const struct frame *f)
{
    unsigned n = vn_axis_ticks(&f->x);
    char text[VN_AXIS_TEXT];

    for (unsigned i = 0; i < n; i++) {
        double x = LEFT + (WIDTH - LEFT - RIGHT) * i / (n - 1);
        bool wide = i + 1 == n && strlen(vn_axis_label(&f->x, i, text)) > 4; /* and at the edge */

        fprintf(f->to,
                "<path class=\"grid\" d=\"M%.1f,%.1fv5\"/>"
                "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
                x, f->bottom, wide ? WIDTH - 1 : x, f->bottom + 18, wide ? "end" : "middle",
                vn_axis_label(&f->x, i, text));
    }
}

static void draw_labels(const struct frame *f)
{
    fprintf(f->to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
            (LEFT + WIDTH - RIGHT) / 2, f->height - 6);
    vn_html_textf(f->to, "%s%s", f->c->x_label, f->x.unit);
    fputs("</text>\n<text x=\"2\" y=\"14\">", f->to);
    vn_html_textf(f->to, "%s%s", f->c->y_label, f->y.unit);
    fprintf(f->to, "</text>\n<text class=\"mute\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
            WIDTH - RIGHT - 4, f->bottom - 8);
    vn_html_text(f->to, f->c->remark);
    fputs("</text>\n", f->to);
}

void vn_chart_draw(FILE *to, const struct vn_chart *c, bool alone)
{
    struct frame f = {.to = to, .c = c};

    if (!measure(&f))
        return;
    f.top = TOP + LEGEND_ROW * legend(NULL, c) + 4;
    f.bottom = f.top + PLOT;
    f.height = f.bottom + BOTTOM;
    fprintf(to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" "
            "viewBox=\"0 0 %.0f %.0f\"%s aria-label=\"",
            WIDTH, f.height, alone ? " width=\"800\"" : "");
    vn_html_text(to, c->title);
    fputs("\">\n", to);
    if (alone) {
        fputs("<style>\n", to);
        vn_chart_style(to);
        fputs("</style>\n<rect width=\"100%\" height=\"100%\" fill=\"var(--card)\"/>\n", to);
    }
    draw_bands(&f);
    draw_y_axis(&f);
    draw_x_axis(&f);
    draw_labels(&f);
    legend(to, c);
    for (uint32_t i = 0; i < c->n_series; i++)
        draw_line(&f, &c->series[i]);
    for (uint32_t i = 0; i < c->n_series; i++)
        draw_marks(&f, &c->series[i]);
    fputs("</svg>\n", to);
}

/* --- colours ---------------------------------------------------------------------------------- */

/* Okabe and Ito's palette, which stays apart for all kinds of colour vision, darkened for paper and
 * lightened for a dark screen to at least 3 : 1 against the ground; text has 4.5 : 1. */
void vn_chart_style(FILE *to)
{
    fputs(":root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1b1f24;--mute:#59626d;"
          "--rule:#dde1e6;--band:#00000008;--s0:#0067a8;--s1:#c14a00;--s2:#00805c;--s3:#a8437f;"
          "--s4:#7a6200;--s5:#4d5560}\n"
          "@media (prefers-color-scheme:dark){:root{--paper:#101317;--card:#181c21;--ink:#e8eaed;"
          "--mute:#a3acb7;--rule:#323942;--band:#ffffff0a;--s0:#5db7f2;--s1:#ff9a5c;--s2:#35c99a;"
          "--s3:#e495c3;--s4:#e0c04a;--s5:#b6bec8}}\n"
          ".s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}"
          ".s4{--c:var(--s4)}.s5{--c:var(--s5)}\n"
          "svg.chart{display:block;width:100%;height:auto;font:12.5px system-ui,sans-serif}\n"
          "svg.chart text{fill:var(--ink)}svg.chart .tick,svg.chart .mute{fill:var(--mute)}"
          "svg.chart .mute{paint-order:stroke;stroke:var(--card);stroke-width:4px}\n"
          ".grid{stroke:var(--rule);fill:none}.band{fill:transparent}.b1{fill:var(--band)}\n"
          ".line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}\n"
          ".line.s1{stroke-dasharray:7 3}.line.s2{stroke-dasharray:2 3}"
          ".line.s3{stroke-dasharray:9 3 2 3}\n"
          /* the transparent edge makes a mark easy to point at */
          ".mark,.key{fill:var(--c)}.mark{stroke:transparent;stroke-width:12}"
          ".mark.hidden{fill:transparent}.mark:hover{fill:var(--ink)}\n",
          to);
}
