#include "clients/cli/evaluate_settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "clients/cli/cli.h"

struct list {
    const struct vn_network *network;
    struct vn_setting *setting;
    uint32_t n;
};

static int append(struct list *l, const struct vn_setting *s)
{
    if (l->n == VN_SETTINGS_MAX)
        return vn_cli_usage("evaluate", "at most %d settings", VN_SETTINGS_MAX);
    l->setting[l->n++] = *s;
    return 0;
}

/* Calls read(context, item) for each of a list with commas, until one does not return 0. */
static int each(const char *text, int (*read)(void *context, const char *item), void *context)
{
    _cleanup_(vn_freep) char *copy = strdup(text);
    char *keep;
    int code = copy ? 0 : vn_cli_sorry(false, VN_EXIT_SYSTEM, NULL, "out of memory");

    for (char *item = copy ? strtok_r(copy, ",", &keep) : NULL; item && !code;
         item = strtok_r(NULL, ",", &keep))
        code = read(context, item);
    return code;
}

/* --- budgets and thrift ----------------------------------------------------------------------- */

/* One budget: "40%" of the full path, "25K-params", or a size in bytes. */
static bool read_limit(const char *text, struct vn_setting *s)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || !(value > 0))
        return false;
    if (!strcmp(end, "%")) {
        s->share = value / 100;
        return value <= 100;
    }
    if (!strcmp(end, "K-params") || !strcmp(end, "-params")) {
        s->params = (uint64_t)(value * (end[0] == 'K' ? 1000 : 1));
        return s->params > 0;
    }
    return !vn_bytes_parse(text, &s->bytes) && s->bytes > 0;
}

struct budgets {
    struct list *list;
    const char *thrift;
    struct vn_setting now;
};

static int read_thrift(void *context, const char *text)
{
    struct budgets *b = context;

    if (!vn_cli_number(text, 0, 1, &b->now.thrift))
        return vn_cli_usage("evaluate", "a thrift is a number from 0 to 1, not '%s'", text);
    return append(b->list, &b->now);
}

static int read_budget(void *context, const char *text)
{
    struct budgets *b = context;

    b->now = (struct vn_setting){.by = b->now.by};
    if (!read_limit(text, &b->now))
        return vn_cli_usage("evaluate", "a budget is 40%%, 25K-params or 1.5MiB, not '%s'", text);
    return b->thrift ? each(b->thrift, read_thrift, b) : append(b->list, &b->now);
}

static int add_agent(struct list *l, const struct vn_settings_wish *w)
{
    struct budgets b = {l, w->thrift ? w->thrift : "0", {.by = VN_BY_AGENT}};

    if (l->network->agent.kind != VN_AGENT_UNIFORM)
        return each(w->budgets ? w->budgets : "100%", read_budget, &b);
    if (w->random && !w->thrift)
        return 0; /* the budgets are the random agent's */
    return vn_cli_usage("evaluate", "this store has no agent: --budgets and --thrift need one");
}

static int add_random(struct list *l, const struct vn_settings_wish *w,
                      const struct vn_planner *planner)
{
    struct budgets b = {l, NULL, {.by = VN_BY_RANDOM}};

    l->n = vn_settings_add_paths(planner, w->random, l->setting, l->n);
    return each(w->budgets ? w->budgets : "100%", read_budget, &b);
}

/* --- cascades --------------------------------------------------------------------------------- */

#define THRESHOLDS                                                                                 \
    "0.25,0.3,0.35,0.4,0.45,0.5,0.55,0.6,0.65,0.7,0.75,0.8,0.85,0.9,0.95,0.98,0.99,0.999"

struct cascade {
    struct list *list;
    struct vn_setting now;
};

static int read_threshold(void *context, const char *text)
{
    struct cascade *c = context;

    if (!vn_cli_number(text, 0, 1, &c->now.threshold))
        return vn_cli_usage("evaluate", "a threshold is a number from 0 to 1, not '%s'", text);
    return append(c->list, &c->now);
}

/* "1:2:4": rising levels. */
static bool read_levels(const char *text, uint32_t groups, struct vn_setting *s)
{
    _cleanup_(vn_freep) char *copy = strdup(text);
    char *keep;
    uint32_t level;

    for (char *item = copy ? strtok_r(copy, ":", &keep) : NULL; item;
         item = strtok_r(NULL, ":", &keep)) {
        if (!vn_cli_u32(item, 0, groups, &level) ||
            (s->n_levels && level <= s->levels[s->n_levels - 1]))
            return false;
        s->levels[s->n_levels++] = (uint8_t)level; /* rising: at most groups + 1 of them */
    }
    return s->n_levels > 1;
}

static int add_cascade(struct list *l, const char *levels, const char *thresholds)
{
    struct cascade c = {l, {.by = VN_BY_CASCADE}};

    if (!read_levels(levels, l->network->groups, &c.now))
        return vn_cli_usage("evaluate",
                            "a cascade is a row of rising levels like 1:%u, each at most %u, "
                            "not '%s'",
                            l->network->groups, l->network->groups, levels);
    return each(thresholds ? thresholds : THRESHOLDS, read_threshold, &c);
}

int vn_settings_read(const struct vn_settings_wish *w, const struct vn_planner *planner,
                     struct vn_setting list[VN_SETTINGS_MAX], uint32_t *ret_n)
{
    struct list l = {vn_planner_network(planner), list, vn_settings_default(planner, list)};
    int code = 0;

    if (w->thresholds && !w->n_cascades)
        return vn_cli_usage("evaluate", "--thresholds is for --cascade");
    if (w->budgets || w->thrift || w->n_cascades || w->random)
        while (l.n && list[l.n - 1].by == VN_BY_AGENT)
            l.n--;
    if (w->budgets || w->thrift)
        code = add_agent(&l, w);
    for (uint32_t i = 0; i < w->n_cascades && !code; i++)
        code = add_cascade(&l, w->cascade[i], w->thresholds);
    if (w->random && !code)
        code = add_random(&l, w, planner);
    if (!code)
        *ret_n = l.n;
    return code;
}
