#include "clients/cli/evaluate_curves.h"

#include <math.h>

#include "base/bytes.h"
#include "clients/cli/evaluate_print.h"

static const char *const names[VN_CURVES] = {
    [VN_CURVE_LEVELS] = "uniform levels", [VN_CURVE_LIMITS] = "agent, hard limit",
    [VN_CURVE_THRIFT] = "agent, thrift",  [VN_CURVE_CASCADE] = "cascade",
    [VN_CURVE_RANDOM] = "random agent",
};

enum vn_curve vn_curve_of(const struct vn_setting *s)
{
    switch (s->by) {
    case VN_BY_LEVEL:
    case VN_BY_OWN:
        return VN_CURVE_LEVELS;
    case VN_BY_AGENT:
        return s->thrift > 0 ? VN_CURVE_THRIFT : VN_CURVE_LIMITS;
    case VN_BY_CASCADE:
        return VN_CURVE_CASCADE;
    case VN_BY_RANDOM:
        return VN_CURVE_RANDOM;
    case VN_BY_PATH:
        break;
    }
    return VN_CURVES;
}

struct place {
    bool known;
    double accuracy, bytes, params;
};

static struct place place_of(const struct vn_evaluation *e, int task, uint32_t setting)
{
    const struct vn_score *s;
    struct vn_row_mean m;
    double n;

    if (task < 0) {
        m = vn_evaluation_mean(e, setting);
        return (struct place){m.params > 0, m.accuracy, m.bytes, m.params};
    }
    s = vn_evaluation_at(e, (uint32_t)task, setting);
    n = (double)s->n;
    if (!s->n)
        return (struct place){0};
    return (struct place){true, (double)s->correct / n, s->bytes / n, s->params / n};
}

static int add(struct vn_chart *c, struct vn_chart_series *s, const struct vn_evaluation *e,
               uint32_t setting, int task)
{
    char text[VN_SETTING_TEXT], bytes[VN_BYTES_TEXT];
    struct place p = place_of(e, task, setting);

    if (!p.known)
        return 0;
    return vn_chart_add(s, c->x_unit == VN_CHART_BYTES ? p.bytes : p.params, p.accuracy,
                        "%s: %.2f %%, %.1fK parameters, %s",
                        vn_setting_text(&e->settings[setting], text), 100 * p.accuracy,
                        p.params / 1000, vn_bytes_format((uint64_t)p.bytes, bytes));
}

static void name_series(struct vn_chart_series *s, enum vn_curve curve, const struct vn_network *n)
{
    if (curve != VN_CURVE_LIMITS && curve != VN_CURVE_THRIFT)
        snprintf(s->name, sizeof s->name, "%s", names[curve]);
    else
        snprintf(s->name, sizeof s->name, "%s, %s", names[curve],
                 vn_agent_kind_names[n->agent.kind]);
}

/* Level 0 skips all blocks: where it lies further below everything else than that is apart, it is
 * said in words, so that the rest can be told apart. Its setting, or -1 where it stays. */
static int left_out(const struct vn_evaluation *e, int task, struct vn_chart *c)
{
    double low = 1, high = 0, lowest = -1;
    int found = -1;

    for (uint32_t i = 0; i < e->n_settings; i++) {
        struct place p = place_of(e, task, i);

        if (!p.known)
            continue;
        if (e->settings[i].by == VN_BY_LEVEL && !e->settings[i].level) {
            found = (int)i;
            lowest = p.accuracy;
            continue;
        }
        low = fmin(low, p.accuracy);
        high = fmax(high, p.accuracy);
    }
    if (found < 0 || low > high || low - lowest <= high - low)
        return -1;
    snprintf(c->remark, sizeof c->remark, "level 0: %.1f %%, below the picture", 100 * lowest);
    return found;
}

int vn_evaluation_chart(const struct vn_network *n, const struct vn_evaluation *e,
                        enum vn_curve_cost cost, int task, struct vn_chart *ret)
{
    bool bytes = cost == VN_CURVE_BYTES;
    int r = 0, skipped;

    *ret = (struct vn_chart){
        .title = bytes ? "accuracy against resident bytes" : "accuracy against parameters",
        .x_label =
            bytes ? "resident parameter bytes of the path, mean" : "parameters of the path, mean",
        .y_label = task < 0 && n->n_tasks > 1 ? "accuracy, mean over tasks" : "accuracy",
        .x_unit = bytes ? VN_CHART_BYTES : VN_CHART_COUNT,
        .y_unit = VN_CHART_PERCENT,
        .x_from_zero = true,
        .n_series = VN_CURVES,
    };
    skipped = left_out(e, task, ret);
    for (uint32_t k = 0; k < VN_CURVES && !r; k++) {
        struct vn_chart_series *s = &ret->series[k];

        s->look = k;
        name_series(s, (enum vn_curve)k, n);
        for (uint32_t i = 0; i < e->n_settings && !r; i++)
            if (vn_curve_of(&e->settings[i]) == k && (int)i != skipped)
                r = add(ret, s, e, i, task);
        vn_chart_sort(s);
    }
    return r;
}
