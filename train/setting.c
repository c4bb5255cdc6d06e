#include "train/setting.h"

#include <math.h>

#include "base/rng.h"
#include "train/packnet.h"

#define PATHS_SEED UINT64_C(0x7061746873)

/* The lowest limit at which the agent has a choice, as a share of the full path: what a path of
 * level 1 (of the probe's level, where there is a probe) needs, for the task that needs most. */
static double lowest_share(const struct vn_planner *p)
{
    const struct vn_network *n = vn_planner_network(p);
    uint32_t level = n->agent.kind == VN_AGENT_SHARED ? n->agent.probe_level : 1;
    double share = 0;

    for (uint32_t t = 0; t < n->n_tasks; t++) {
        struct vn_plan low, full;

        vn_plan_uniform(p, t, level, 0, &low);
        vn_plan_uniform(p, t, n->groups, 0, &full);
        share =
            fmax(share, (double)vn_bytes_total(&low.bytes) / (double)vn_bytes_total(&full.bytes));
    }
    return fmin(share, 1);
}

/* A setting of the configuration that made the backbone, here or in the store it came from. */
static const json_t *backbone_setting(const struct vn_network *n, const char *key)
{
    const json_t *record = n->training, *before;

    while ((before = json_object_get(record, "backbone")))
        record = before;
    record = json_object_get(record, "configuration");
    return json_object_get(json_object_get(record, "training"), key);
}

static bool has_one_path(const struct vn_network *n)
{
    const json_t *paths = backbone_setting(n, "mixed_paths");

    return json_is_integer(paths) && json_integer_value(paths) == 0;
}

static bool has_own_paths(const struct vn_network *n)
{
    return json_is_true(backbone_setting(n, "packnet"));
}

/* An agent that was trained without wishes has heard of no other than these. */
static bool hears_no_wishes(const struct vn_network *n)
{
    const json_t *record = json_object_get(n->training, "configuration");

    return json_is_false(json_object_get(json_object_get(record, "agent_training"), "wishes"));
}

static uint32_t add_agent(const struct vn_planner *p, struct vn_setting *ret)
{
    static const double limits[] = {0, 0.2, 0.4, 0.6, 0.8, 1};
    static const double thrifts[] = {0.1, 0.2, 0.35, 0.5, 0.75, 1};
    double low = lowest_share(p);
    uint32_t k = 0;

    if (hears_no_wishes(vn_planner_network(p))) {
        ret[0] = (struct vn_setting){.by = VN_BY_AGENT, .share = 1, .thrift = 1};
        return 1;
    }
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        /* in whole per cent, upwards, so that the table reads well and the lowest still fits */
        double share = ceil(100 * (low + (1 - low) * limits[i]) - 1e-9) / 100;

        ret[k++] = (struct vn_setting){.by = VN_BY_AGENT, .share = share};
    }
    for (size_t i = 0; i < sizeof thrifts / sizeof thrifts[0]; i++)
        ret[k++] = (struct vn_setting){.by = VN_BY_AGENT, .share = 1, .thrift = thrifts[i]};
    return k;
}

uint32_t vn_settings_default(const struct vn_planner *p, struct vn_setting ret[VN_SETTINGS_MAX])
{
    const struct vn_network *n = vn_planner_network(p);
    uint32_t k = 0;

    if (has_own_paths(n)) {
        ret[0] = (struct vn_setting){.by = VN_BY_OWN};
        return 1;
    }
    for (uint32_t level = has_one_path(n) ? n->groups : 0; level <= n->groups; level++)
        ret[k++] = (struct vn_setting){.by = VN_BY_LEVEL, .level = level};
    return n->agent.kind == VN_AGENT_UNIFORM ? k : k + add_agent(p, ret + k);
}

uint32_t vn_settings_add_paths(const struct vn_planner *p, uint32_t paths, struct vn_setting *list,
                               uint32_t n)
{
    const struct vn_network *network = vn_planner_network(p);
    uint32_t m = vn_network_blocks(network);

    for (uint32_t i = 0; i < paths && n < VN_SETTINGS_MAX; i++) {
        struct vn_rng rng = vn_rng_stream(PATHS_SEED, i, 0);

        list[n] = (struct vn_setting){.by = VN_BY_PATH, .n_levels = m};
        for (uint32_t b = 0; b < m; b++)
            list[n].levels[b] = (uint8_t)vn_rng_below(&rng, network->groups + 1);
        n++;
    }
    return n;
}
