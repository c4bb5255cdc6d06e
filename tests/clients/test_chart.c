/* Charts and text for pages: axes hold their values and stay readable, no text becomes markup. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "clients/cli/chart_axis.h"
#include "clients/cli/html.h"

struct text {
    char *bytes;
    size_t n;
    FILE *to;
};

static void text_deinit(struct text *t)
{
    free(t->bytes);
}

/* --- axes ------------------------------------------------------------------------------------- */

static void holds(const struct vn_axis *a, double low, double high)
{
    char first[VN_AXIS_TEXT], second[VN_AXIS_TEXT];
    unsigned n = vn_axis_ticks(a);

    cr_assert(vn_axis_place(a, low) > -1e-6 && vn_axis_place(a, high) < 1 + 1e-6, "%g %g", low,
              high);
    cr_assert(n >= 2 && n <= 12, "%u ticks from %g to %g", n, low, high);
    for (unsigned i = 1; i < n; i++)
        cr_assert(strcmp(vn_axis_label(a, i - 1, first), vn_axis_label(a, i, second)), "%s twice",
                  first);
}

Test(axis, random_ranges)
{
    struct vn_rng r = vn_rng_stream(3, 0, 0);

    for (int i = 0; i < 20000; i++) {
        double size = pow(10, 7 * vn_rng_unit(&r) - 3), low = (vn_rng_unit(&r) - 0.3) * size;
        double high = low + vn_rng_unit(&r) * size;
        enum vn_chart_unit unit = (enum vn_chart_unit)vn_rng_below(&r, VN_CHART_COUNT + 1);
        struct vn_axis a = vn_axis_make(unit, low, high, false, 5);

        if (a.decimals <= 6) /* labels are not longer */
            holds(&a, low, high);
    }
}

Test(axis, round_numbers)
{
    struct vn_axis a = vn_axis_make(VN_CHART_PERCENT, 0.404, 0.582, false, 5);
    char text[VN_AXIS_TEXT];

    /* 17.8 points in about five steps: 5 is nearest, from 40 to 60 */
    cr_expect_str_eq(vn_axis_label(&a, 0, text), "40 %");
    cr_expect_str_eq(vn_axis_label(&a, vn_axis_ticks(&a) - 1, text), "60 %");
    cr_expect_eq(vn_axis_ticks(&a), 5);
    a = vn_axis_make(VN_CHART_BYTES, 5 << 20, 9 << 20, true, 5);
    cr_expect_str_eq(a.unit, " (MiB)");
    cr_expect_str_eq(vn_axis_label(&a, 1, text), "2");
    cr_expect_eq(a.from, 0);
    a = vn_axis_make(VN_CHART_WHOLE, 19, 20, false, 5);
    cr_expect_eq(vn_axis_ticks(&a), 2);
    a = vn_axis_make(VN_CHART_NUMBER, -0.3, 0.3, false, 5);
    for (unsigned i = 0; i < vn_axis_ticks(&a); i++)
        cr_expect_neq(strcmp(vn_axis_label(&a, i, text), "-0.0"), 0);
}

Test(axis, equal_values_have_room)
{
    const double values[] = {0, 1, -5, 1e-12, 1e9, 0.9};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct vn_axis a = vn_axis_make(VN_CHART_NUMBER, values[i], values[i], false, 5);

        holds(&a, values[i], values[i]);
    }
}

/* --- charts ----------------------------------------------------------------------------------- */

Test(chart, hostile_text_and_numbers)
{
    _cleanup_(text_deinit) struct text t = {0};
    _cleanup_(vn_chart_deinit) struct vn_chart c = {
        .title = "<t>", .x_label = "a&b", .y_label = "\"y\"", .n_series = 2};

    strcpy(c.series[0].name, "</svg><script>");
    for (int i = 0; i < 100; i++)
        cr_assert_eq(vn_chart_add(&c.series[0], i, i % 7, "%s %d", "'<&>", i), 0);
    cr_assert_eq(vn_chart_add(&c.series[0], NAN, 1, "no"), 0);
    cr_assert_eq(vn_chart_add(&c.series[0], 1, INFINITY, "no"), 0);
    cr_expect_eq(c.series[0].n, 100);
    t.to = open_memstream(&t.bytes, &t.n);
    vn_chart_draw(t.to, &c, true);
    fclose(t.to);
    cr_expect_not(strstr(t.bytes, "<script>"));
    cr_expect(strstr(t.bytes, "&lt;/svg&gt;&lt;script&gt;"));
    cr_expect(strstr(t.bytes, "&#39;&lt;&amp;&gt; 99"));
    cr_expect_not(strstr(t.bytes, "nan"));
    cr_expect_not(strstr(t.bytes, "inf"));
}

Test(chart, without_points_there_is_none)
{
    _cleanup_(text_deinit) struct text t = {0};
    struct vn_chart c = {.title = "t", .x_label = "x", .y_label = "y", .n_series = 1};

    t.to = open_memstream(&t.bytes, &t.n);
    vn_chart_draw(t.to, &c, false);
    fclose(t.to);
    cr_expect_eq(t.n, 0);
}

Test(chart, lines_through_measurements_are_sorted)
{
    struct vn_chart c = {.n_series = 1};
    const double x[] = {3, 1, 2, 1};

    for (int i = 0; i < 4; i++)
        cr_assert_eq(vn_chart_add(&c.series[0], x[i], i, "%d", i), 0);
    vn_chart_sort(&c.series[0]);
    cr_expect_str_eq(c.series[0].points[0].note, "1");
    cr_expect_str_eq(c.series[0].points[1].note, "3", "equal x by y");
    cr_expect_str_eq(c.series[0].points[3].note, "0");
    vn_chart_deinit(&c);
    cr_expect_eq(c.series[0].n, 0);
}

/* --- text ------------------------------------------------------------------------------------- */

static void becomes(const char *text, const char *expected)
{
    _cleanup_(text_deinit) struct text t = {0};

    t.to = open_memstream(&t.bytes, &t.n);
    vn_html_text(t.to, text);
    fclose(t.to);
    cr_expect_str_eq(t.bytes, expected);
}

Test(html, text)
{
    becomes("<a href=\"x\">'&'</a>", "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    becomes("fünf ✗", "fünf ✗");
    becomes("f\xfcnf <", "f?nf &lt;"); /* Latin-1 is not UTF-8 */
    becomes("a\x1b[2J\n\x7f", "a?[2J??");
    becomes("", "");
}

Test(html, base64)
{
    static const char *const expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE="};

    for (size_t n = 0; n < 6; n++) { /* the vectors of RFC 4648 */
        _cleanup_(text_deinit) struct text t = {0};

        t.to = open_memstream(&t.bytes, &t.n);
        vn_html_base64(t.to, (const uint8_t *)"fooba", n);
        fclose(t.to);
        cr_expect_str_eq(t.bytes, expected[n]);
    }
}
