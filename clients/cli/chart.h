/* A line chart as SVG: axes with round numbers, a legend, a mark with a tool tip on every point.
 *
 * Colours come from classes (vn_chart_style), so that a page's own style, light or dark, decides;
 * a series differs from the others by colour, mark and dashes. All text is taken as hostile. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define VN_CHART_SERIES_MAX 6
#define VN_CHART_NAME 64
#define VN_CHART_NOTE 160

enum vn_chart_unit {
    VN_CHART_NUMBER,
    VN_CHART_WHOLE,   /* whole numbers: no ticks between them */
    VN_CHART_PERCENT, /* values are 0 .. 1 */
    VN_CHART_BYTES,   /* shown in KiB or MiB */
    VN_CHART_COUNT,   /* shown as 25K, 1.5M */
};

struct vn_chart_point {
    double x, y; /* what is not finite is left out */
    char note[VN_CHART_NOTE];
};

struct vn_chart_series {
    char name[VN_CHART_NAME];
    uint32_t look;                 /* below VN_CHART_SERIES_MAX: colour, mark and dashes */
    size_t n;                      /* in the order of the line */
    struct vn_chart_point *points; /* owned, n */
};

struct vn_chart_band { /* part of the x axis, behind the lines */
    double from, to;
    const char *name;
};

struct vn_chart {
    const char *title; /* for those who cannot see it */
    const char *x_label, *y_label;
    enum vn_chart_unit x_unit, y_unit;
    char remark[96]; /* in the plot's lower corner; may be empty */
    bool x_from_zero;
    uint32_t n_series;
    struct vn_chart_series series[VN_CHART_SERIES_MAX];
    size_t n_bands;
    const struct vn_chart_band *bands; /* borrowed */
};

/* Appends a point; note as by printf. 0 or -ENOMEM. */
int vn_chart_add(struct vn_chart_series *s, double x, double y, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* By x, for lines through measurements. */
void vn_chart_sort(struct vn_chart_series *s);

/* Frees the points. */
void vn_chart_deinit(struct vn_chart *c);

/* The <svg> element. `alone`: as a file of its own, with the style inside. Nothing is written for a
 * chart without points. */
void vn_chart_draw(FILE *to, const struct vn_chart *c, bool alone);

/* The style of the classes: custom properties for light and dark, and the rules. */
void vn_chart_style(FILE *to);
