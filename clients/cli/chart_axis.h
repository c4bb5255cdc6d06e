/* One axis of a chart: a range of round numbers that holds all values. */
#pragma once

#include "clients/cli/chart.h"

struct vn_axis {
    double from, to, step; /* in shown units */
    double scale;          /* a value divided by this is in shown units */
    const char *suffix;    /* of a tick: " %", "K" or "" */
    const char *unit;      /* behind the axis's label: " (KiB)" or "" */
    int decimals;
};

/* low <= high, both finite; equal ones are given room. from_zero: the range begins at 0. */
struct vn_axis vn_axis_make(enum vn_chart_unit unit, double low, double high, bool from_zero,
                            unsigned ticks);

/* Where a value lies, 0 .. 1. */
double vn_axis_place(const struct vn_axis *a, double value);

unsigned vn_axis_ticks(const struct vn_axis *a);

#define VN_AXIS_TEXT 32
const char *vn_axis_label(const struct vn_axis *a, unsigned tick, char text[static VN_AXIS_TEXT]);
