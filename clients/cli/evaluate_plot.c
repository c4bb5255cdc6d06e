/* The picture of an evaluation, as an SVG file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/evaluate_curves.h"
#include "clients/cli/evaluate_print.h"

int vn_evaluation_plot(const char *file, const struct vn_network *n, const struct vn_evaluation *e,
                       struct vn_why *why)
{
    _cleanup_(vn_chart_deinit) struct vn_chart chart;
    int r = vn_evaluation_chart(n, e, VN_CURVE_BYTES, -1, &chart);
    FILE *to;

    if (r)
        return vn_because(why, r, "out of memory");
    to = fopen(file, "we");
    if (!to)
        return vn_because(why, -errno, "%s: %s", file, strerror(errno));
    vn_chart_draw(to, &chart, true);
    r = ferror(to) ? -EIO : 0;
    if (fclose(to) || r)
        return vn_because(why, -EIO, "%s cannot be written", file);
    return 0;
}
