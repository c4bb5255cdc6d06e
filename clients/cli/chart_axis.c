#include "clients/cli/chart_axis.h"

#include <math.h>

/* The unit in which numbers up to `high` are short. */
static void choose_unit(enum vn_chart_unit unit, double high, struct vn_axis *a)
{
    a->scale = 1;
    a->suffix = a->unit = "";
    if (unit == VN_CHART_PERCENT) {
        a->scale = 0.01;
        a->suffix = " %";
    } else if (unit == VN_CHART_BYTES) {
        a->scale = high >= 0x1p22 ? 0x1p20 : 0x1p10;
        a->unit = high >= 0x1p22 ? " (MiB)" : " (KiB)";
    } else if (unit == VN_CHART_COUNT && high >= 2000) {
        a->scale = high >= 4e6 ? 1e6 : 1e3;
        a->suffix = high >= 4e6 ? "M" : "K";
    }
}

/* 1, 2 or 5 times a power of ten. */
static double round_step(double wanted)
{
    double power = pow(10, floor(log10(wanted))), digit = wanted / power;

    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

struct vn_axis vn_axis_make(enum vn_chart_unit unit, double low, double high, bool from_zero,
                            unsigned ticks)
{
    struct vn_axis a;

    choose_unit(unit, high, &a);
    low = from_zero && low > 0 ? 0 : low / a.scale;
    high /= a.scale;
    if (high - low < 1e-9 * fmax(fabs(high), 1)) {
        double room = fmax(fabs(high) * 0.05, 1e-3);

        low -= from_zero ? 0 : room;
        high += room;
    }
    a.step = round_step((high - low) / ticks);
    if (unit == VN_CHART_WHOLE)
        a.step = fmax(a.step, 1);
    a.from = floor(low / a.step + 1e-9) * a.step;
    a.to = ceil(high / a.step - 1e-9) * a.step;
    a.decimals = (int)fmax(0, -floor(log10(a.step) + 1e-9));
    return a;
}

double vn_axis_place(const struct vn_axis *a, double value)
{
    return (value / a->scale - a->from) / (a->to - a->from);
}

unsigned vn_axis_ticks(const struct vn_axis *a)
{
    return (unsigned)lround((a->to - a->from) / a->step) + 1;
}

const char *vn_axis_label(const struct vn_axis *a, unsigned tick, char text[static VN_AXIS_TEXT])
{
    double value = a->from + tick * a->step;

    if (fabs(value) < a->step / 2)
        value = 0; /* no "-0" */
    snprintf(text, VN_AXIS_TEXT, "%.*f%s", a->decimals > 6 ? 6 : a->decimals, value, a->suffix);
    return text;
}
