/* Plans against an oracle that marks windows one by one, from tensor names alone; the knapsack
 * against all paths there are. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/knapsack.h"
#include "engine/plan.h"
#include "engine/session.h"
#include "support.h"

struct subject {
    struct vn_network *n;
    struct vn_layout *l;
    struct vn_planner *p;
};

static struct subject subject(const struct net_spec *spec)
{
    struct subject s = {.n = spec_network(spec)};
    struct vn_why why = {""};

    cr_assert_eq(vn_layout_new(s.n, &why, &s.l), 0, "%s", why.text);
    cr_assert_eq(vn_planner_new(s.n, s.l, NULL, &s.p), 0);
    return s;
}

static void subject_deinit(struct subject *s)
{
    vn_planner_free(s->p);
    vn_layout_free(s->l);
    vn_network_free(s->n);
}

/* --- oracle ----------------------------------------------------------------------------------- */

struct marks {
    const struct subject *s;
    uint8_t *window; /* by number */
    uint64_t n;
    uint64_t params;
};

static void marks_deinit(struct marks *m)
{
    free(m->window);
}

/* Row `row` of a tensor whose first dimension is rows, or all of it (row < 0). */
static void mark(struct marks *m, int row, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void mark(struct marks *m, int row, const char *format, ...)
{
    const struct vn_tensor *t;
    uint64_t start, bytes;
    char name[128];
    va_list ap;
    int i;

    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    i = vn_layout_find(m->s->l, name);
    cr_assert_geq(i, 0, "%s", name);
    t = &m->s->l->tensors[i];
    bytes = row < 0 ? t->bytes : t->bytes / t->shape[0];
    start = t->offset + (row < 0 ? 0 : (uint64_t)row * bytes);
    m->params += bytes / 4;
    for (uint64_t w = start / 65536; w <= (start + bytes - 1) / 65536; w++) {
        m->n += !m->window[w];
        m->window[w] = 1;
    }
}

/* Resident: the whole slice. Parameters: of the vectors only this input's row. */
static void mark_slice(struct marks *m, int input, const char *prefix, unsigned b, unsigned g)
{
    char start[64];
    uint64_t params;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(start, sizeof start, prefix, b, g);
#pragma GCC diagnostic pop
    mark(m, -1, "%s.conv1", start);
    mark(m, -1, "%s.conv2", start);
    params = m->params;
    mark(m, -1, "%s.bn1", start);
    mark(m, -1, "%s.bn2", start);
    m->params = params;
    mark(m, input, "%s.bn1", start);
    mark(m, input, "%s.bn2", start);
}

static void mark_agent(struct marks *m, uint32_t task, int input)
{
    if (m->s->n->agent.kind == VN_AGENT_UNIFORM)
        return;
    mark(m, (int)task, "agent.embedding");
    mark(m, -1, "agent.fc1.weight");
    mark(m, -1, "agent.fc1.bias");
    mark(m, -1, "agent.fc2.weight");
    mark(m, -1, "agent.fc2.bias");
    if (m->s->n->agent.kind != VN_AGENT_CONV)
        return;
    mark(m, -1, "agent.input.%d.stem.conv", input);
    mark(m, -1, "agent.input.%d.stem.bn", input);
    for (int b = 0; b < 3; b++) {
        mark_slice(m, input, "agent.block.%u", (unsigned)b, 0);
    }
}

static struct marks marks_of(const struct subject *s, uint32_t task, const uint8_t *levels)
{
    const struct vn_task *t = &s->n->tasks[task];
    struct marks m = {.s = s, .window = calloc(s->l->data_bytes / 65536 + 1, 1)};
    int input = (int)t->input;

    mark(&m, -1, "input.%d.stem.conv", input);
    mark(&m, -1, "input.%d.stem.bn", input);
    mark(&m, -1, "task.%u.head.weight", task);
    mark(&m, -1, "task.%u.head.bias", task);
    mark_agent(&m, task, input);
    for (uint32_t b = 0; b < vn_network_blocks(s->n); b++)
        for (uint32_t k = 0; k < levels[b]; k++) {
            mark_slice(&m, input, "block.%u.group.%u", b, t->order[k]);
        }
    return m;
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Slices far below a window, around one, and of several: windows are shared by groups, by blocks,
 * with the fixed part, or not at all. The last but one has vectors of several windows. */
static const struct net_spec specs[] = {
    {.tasks = 3, .random_orders = true, .seed = 1},
    {.inputs = 3, .tasks = 4, .agent = "{\"kind\":\"conv\"}", .random_orders = true, .seed = 2},
    {.groups = 3,
     .stem_width = 32,
     .agent = "{\"kind\":\"shared\"}",
     .stages = "[{\"blocks\":3,\"width\":32,\"stride\":1,\"group_width\":16},"
               "{\"blocks\":2,\"width\":64,\"stride\":2,\"group_width\":32}]",
     .random_orders = true,
     .seed = 3},
    {.groups = 5,
     .inputs = 2,
     .stem_width = 48,
     .agent = "{\"kind\":\"task\"}",
     .stages = "[{\"blocks\":4,\"width\":48,\"stride\":1,\"group_width\":20}]"},
    {.groups = 2,
     .inputs = 8,
     .tasks = 8,
     .stages = "[{\"blocks\":2,\"width\":2048,\"stride\":1,\"group_width\":2}]"},
    {.groups = 2,
     .stem_width = 128,
     .stages = "[{\"blocks\":3,\"width\":128,\"stride\":1,\"group_width\":48}]"},
};
#define N_SPECS (sizeof specs / sizeof specs[0])

struct visited {
    uint64_t windows, end;
};

static void visit(void *context, uint64_t offset, uint64_t bytes)
{
    struct visited *v = context;

    cr_assert_eq(offset % 65536, 0);
    cr_assert(!v->end || offset > v->end, "runs must be in order and maximal");
    v->end = offset + bytes;
    v->windows += (bytes + 65535) / 65536;
}

static void random_levels(struct vn_rng *r, const struct vn_network *n, uint8_t *levels)
{
    for (uint32_t b = 0; b < vn_network_blocks(n); b++)
        levels[b] = (uint8_t)vn_rng_below(r, n->groups + 1);
}

Test(plan, bytes_are_the_union_of_windows)
{
    for (size_t i = 0; i < N_SPECS; i++) {
        _cleanup_(subject_deinit) struct subject s = subject(&specs[i]);
        struct vn_rng r = {i};

        for (int k = 0; k < 60; k++) {
            uint32_t task = vn_rng_below(&r, s.n->n_tasks);
            uint8_t levels[VN_BLOCKS_MAX];
            struct vn_plan plan;
            struct visited v = {0};

            random_levels(&r, s.n, levels);
            _cleanup_(marks_deinit) struct marks m = marks_of(&s, task, levels);
            cr_assert_eq(vn_plan_path(s.p, task, levels, vn_network_blocks(s.n), 0, &plan), 0);
            cr_assert_eq(plan.bytes.params, 4 * m.params, "network %zu path %d", i, k);
            cr_assert_eq(plan.bytes.params_resident, 65536 * m.n, "network %zu path %d", i, k);
            vn_plan_windows(s.p, &plan, visit, &v);
            cr_assert_eq(v.windows, m.n);
            cr_assert_leq(v.end, s.l->data_bytes);
        }
    }
}

Test(plan, other_parts)
{
    _cleanup_(subject_deinit) struct subject s = subject(&specs[0]);
    struct vn_plan small, full;

    vn_plan_uniform(s.p, 1, 0, 0, &small);
    vn_plan_uniform(s.p, 1, 4, 1000, &full);
    /* 12 x 11 pixels of 3 bytes; task 1 has 4 labels of 4 bytes */
    cr_assert_eq(small.bytes.io, 12 * 11 * 3 + 4 * 4);
    cr_assert_eq(full.bytes.io, 1000 + 4 * 4);
    cr_assert_eq(small.bytes.scratch, vn_scratch_bytes(s.n, 0, NULL));
    cr_assert_eq(full.density, 1.0);
    cr_assert_float_eq(small.density, (double)small.bytes.params / (double)full.bytes.params,
                       1e-15);
    cr_assert_eq(vn_bytes_total(&full.bytes),
                 full.bytes.params_resident + full.bytes.scratch + full.bytes.io);
}

Test(plan, budgets_of_measured_rows)
{
    _cleanup_(subject_deinit) struct subject s = subject(&specs[0]);
    struct vn_plan two, full;

    vn_plan_uniform(s.p, 1, 2, 0, &two);
    vn_plan_uniform(s.p, 1, 4, 0, &full);
#define BUDGET(by, setting)                                                                        \
    vn_plan_measured_budget(s.p, 1, &(struct vn_measured){by, setting, 0, 0, 0})
    cr_assert_eq(BUDGET("uniform", 2), vn_bytes_total(&two.bytes));
    cr_assert_eq(BUDGET("shared", 1), vn_bytes_total(&full.bytes));
    cr_assert_eq(BUDGET("task", 0.5), vn_bytes_total(&full.bytes) / 2);
    /* no such level, no such share */
    cr_assert_eq(BUDGET("uniform", 5), 0);
    cr_assert_eq(BUDGET("shared", 2), 0);
    cr_assert_eq(BUDGET("shared", NAN), 0);
#undef BUDGET
}

Test(plan, refuses_illegal_paths)
{
    _cleanup_(subject_deinit) struct subject s = subject(&specs[0]);
    struct vn_plan plan;

    cr_assert_eq(vn_plan_path(s.p, 0, (uint8_t[]){4, 4, 4, 5}, 4, 0, &plan), VN_PLAN_E_PATH);
    cr_assert_eq(vn_plan_path(s.p, 0, (uint8_t[]){4, 4, 4}, 3, 0, &plan), VN_PLAN_E_PATH);
    cr_assert_eq(vn_plan_path(s.p, 0, (uint8_t[]){4, 4, 4, 4, 4}, 5, 0, &plan), VN_PLAN_E_PATH);
    cr_assert_eq(vn_plan_path(s.p, 0, (uint8_t[]){4, 0, 4, 4}, 4, 0, &plan), 0);
}

Test(plan, largest_uniform)
{
    for (size_t i = 0; i < N_SPECS; i++) {
        _cleanup_(subject_deinit) struct subject s = subject(&specs[i]);
        struct vn_plan at[VN_LEVELS_MAX], found;
        uint64_t needed = 0;

        for (uint32_t l = 0; l <= s.n->groups; l++)
            vn_plan_uniform(s.p, 0, l, 0, &at[l]);
        for (uint32_t l = 0; l <= s.n->groups; l++) {
            uint64_t cost = vn_bytes_total(&at[l].bytes);
            uint32_t expected = l;

            while (expected < s.n->groups && vn_bytes_total(&at[expected + 1].bytes) <= cost)
                expected++; /* in a small store a higher level may cost nothing more */
            cr_assert_eq(vn_plan_largest_uniform(s.p, 0, cost, 0, &found, &needed), 0);
            cr_assert_eq(found.level[0], expected);
        }
        cr_assert_eq(
            vn_plan_largest_uniform(s.p, 0, vn_bytes_total(&at[0].bytes) - 1, 0, &found, &needed),
            VN_PLAN_E_TOO_SMALL);
        cr_assert_eq(needed, vn_bytes_total(&at[0].bytes));
        cr_assert_eq(vn_plan_largest_uniform_in(s.p, 0, VN_PLAN_PARAMS, 1, 0, &found, &needed),
                     VN_PLAN_E_TOO_SMALL);
        cr_assert_eq(needed, vn_plan_params(&at[0]));
    }
}

/* --- choosing --------------------------------------------------------------------------------- */

static uint64_t cost_of(const struct vn_plan *p, enum vn_plan_unit unit)
{
    return unit == VN_PLAN_BYTES ? vn_bytes_total(&p->bytes) : vn_plan_params(p);
}

struct best {
    bool found;
    double score;
    uint64_t cost;
};

/* Every path with levels of at least min_level. */
static struct best try_all(const struct subject *s, uint32_t task, enum vn_plan_unit unit,
                           uint64_t limit, const float *scores, uint32_t min_level)
{
    uint32_t m = vn_network_blocks(s->n), levels = s->n->groups + 1;
    struct best best = {.found = false};
    uint8_t path[VN_BLOCKS_MAX];

    memset(path, (int)min_level, m);
    for (;;) {
        struct vn_plan plan;
        double score = 0;
        uint32_t b = 0;

        vn_plan_path(s->p, task, path, m, 0, &plan);
        for (uint32_t i = 0; i < m; i++)
            score += (double)scores[i * levels + path[i]];
        if (cost_of(&plan, unit) <= limit &&
            (!best.found || score > best.score ||
             (score == best.score && cost_of(&plan, unit) < best.cost)))
            best = (struct best){true, score, cost_of(&plan, unit)};
        while (b < m && ++path[b] == levels)
            path[b++] = (uint8_t)min_level;
        if (b == m)
            return best;
    }
}

/* Scores as policies give them (log softmax), or few different ones, so that there are ties. */
static void random_scores(struct vn_rng *r, uint32_t m, uint32_t levels, float *scores)
{
    bool ties = vn_rng_below(r, 4) == 0, rising = vn_rng_below(r, 2) == 0;

    for (uint32_t b = 0; b < m; b++) {
        float sum = 0;

        for (uint32_t l = 0; l < levels; l++) {
            scores[b * levels + l] = ties     ? -(float)vn_rng_below(r, 3)
                                     : rising ? 0.7f * (float)l + 0.3f * (float)vn_rng_normal(r)
                                              : 2.0f * (float)vn_rng_normal(r);
            sum += expf(scores[b * levels + l]);
        }
        for (uint32_t l = 0; l < levels && !ties; l++)
            scores[b * levels + l] -= logf(sum);
    }
}

static void check_choice(const struct subject *s, struct vn_rng *r, size_t spec)
{
    uint32_t m = vn_network_blocks(s->n), levels = s->n->groups + 1;
    uint32_t task = vn_rng_below(r, s->n->n_tasks),
             min_level = vn_rng_below(r, levels < 3 ? levels : 3);
    enum vn_plan_unit unit = vn_rng_below(r, 2) ? VN_PLAN_PARAMS : VN_PLAN_BYTES;
    float scores[VN_BLOCKS_MAX * VN_LEVELS_MAX];
    struct vn_plan full, found;
    uint64_t limit, needed = 0;
    struct best best;
    double score = 0;
    int result;

    vn_plan_uniform(s->p, task, s->n->groups, 0, &full);
    limit = (uint64_t)((double)cost_of(&full, unit) * (0.05 + vn_rng_unit(r)));
    random_scores(r, m, levels, scores);
    best = try_all(s, task, unit, limit, scores, min_level);
    if (!best.found)
        best = try_all(s, task, unit, limit, scores, 0);
    result = vn_plan_choose(s->p, task, unit, limit, 0, scores, min_level, &found, &needed);
    if (!best.found) {
        struct vn_plan smallest;

        vn_plan_uniform(s->p, task, 0, 0, &smallest);
        cr_assert_eq(result, VN_PLAN_E_TOO_SMALL);
        cr_assert_eq(needed, cost_of(&smallest, unit));
        return;
    }
    cr_assert_eq(result, 0);
    for (uint32_t b = 0; b < m; b++)
        score += (double)scores[b * levels + found.level[b]];
    cr_assert_eq(score, best.score, "network %zu unit %d limit %llu: %.17g is not %.17g", spec,
                 (int)unit, (unsigned long long)limit, score, best.score);
    cr_assert_eq(cost_of(&found, unit), best.cost, "network %zu: of equal scores the cheapest",
                 spec);
}

Test(plan, knapsack_is_exact, .timeout = 100)
{
    for (size_t i = 0; i < N_SPECS; i++) {
        _cleanup_(subject_deinit) struct subject s = subject(&specs[i]);
        struct vn_rng r = {100 + i};

        for (int k = 0; k < 40; k++)
            check_choice(&s, &r, i);
    }
}

/* Many small networks with slices from a twentieth of a window to three windows. */
Test(plan, knapsack_is_exact_on_random_networks, .timeout = 100)
{
    struct vn_rng r = {7};

    for (int i = 0; i < 150; i++) {
        char stages[160];
        uint32_t width = 8 + vn_rng_below(&r, 40);
        struct net_spec spec = {.groups = 1 + vn_rng_below(&r, 4),
                                .stem_width = width,
                                .stages = stages,
                                .inputs = 1 + vn_rng_below(&r, 2),
                                .agent = i % 2 ? "{\"kind\":\"task\"}" : NULL,
                                .random_orders = true,
                                .seed = (uint64_t)i};

        snprintf(stages, sizeof stages,
                 "[{\"blocks\":%u,\"width\":%u,\"stride\":1,\"group_width\":%u},"
                 "{\"blocks\":2,\"width\":%u,\"stride\":2,\"group_width\":%u}]",
                 1 + vn_rng_below(&r, 3), width, 1 + vn_rng_below(&r, 40), width * 2,
                 1 + vn_rng_below(&r, 40));
        _cleanup_(subject_deinit) struct subject s = subject(&spec);
        for (int k = 0; k < 6; k++)
            check_choice(&s, &r, (size_t)i);
    }
}

Test(plan, no_limit_takes_the_best_levels)
{
    _cleanup_(subject_deinit) struct subject s = subject(&specs[2]);
    float scores[5 * 4];
    struct vn_plan plan;
    uint64_t needed;

    for (int b = 0; b < 5; b++)
        for (int l = 0; l < 4; l++)
            scores[b * 4 + l] = l == b % 4 ? -0.1f : -3;
    for (int unit = 0; unit < 2; unit++) {
        cr_assert_eq(vn_plan_choose(s.p, 0, unit ? VN_PLAN_PARAMS : VN_PLAN_BYTES, UINT64_MAX, 0,
                                    scores, 0, &plan, &needed),
                     0);
        cr_assert_arr_eq(plan.level, ((uint8_t[]){0, 1, 2, 3, 0}), 5);
    }
}

/* Below the probe's level only when nothing else fits. */
Test(plan, min_level)
{
    _cleanup_(subject_deinit) struct subject s = subject(&specs[5]);
    float scores[3 * 3] = {0, -1, -2, 0, -1, -2, 0, -1, -2}; /* level 0 is best everywhere */
    struct vn_plan one, zero, plan;
    uint64_t needed;

    vn_plan_uniform(s.p, 0, 1, 0, &one);
    vn_plan_uniform(s.p, 0, 0, 0, &zero);
    cr_assert_eq(vn_plan_choose(s.p, 0, VN_PLAN_BYTES, vn_bytes_total(&one.bytes), 0, scores, 1,
                                &plan, &needed),
                 0);
    cr_assert_arr_eq(plan.level, ((uint8_t[]){1, 1, 1}), 3);
    cr_assert_eq(vn_plan_choose(s.p, 0, VN_PLAN_BYTES, vn_bytes_total(&one.bytes) - 1, 0, scores, 1,
                                &plan, &needed),
                 0);
    cr_assert_arr_eq(plan.level, ((uint8_t[]){0, 0, 0}), 3);
    cr_assert_eq(vn_plan_choose(s.p, 0, VN_PLAN_BYTES, vn_bytes_total(&zero.bytes) - 1, 0, scores,
                                1, &plan, &needed),
                 VN_PLAN_E_TOO_SMALL);
}

/* --- time ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct net_spec spec;
} sizes[] = {
    {"2 + 2 blocks x 4 groups, below 1 MB", {.groups = 4}},
    {"15 x 10, 0.5 MB",
     {.groups = 10,
      .stages = "[{\"blocks\":5,\"width\":8,\"stride\":1,\"group_width\":2},"
                "{\"blocks\":5,\"width\":16,\"stride\":2,\"group_width\":2},"
                "{\"blocks\":5,\"width\":32,\"stride\":2,\"group_width\":2}]"}},
    {"15 x 4, 32 MB",
     {.groups = 4,
      .stem_width = 16,
      .stages = "[{\"blocks\":5,\"width\":64,\"stride\":1,\"group_width\":16},"
                "{\"blocks\":5,\"width\":128,\"stride\":2,\"group_width\":32},"
                "{\"blocks\":5,\"width\":256,\"stride\":2,\"group_width\":64}]"}},
    {"15 x 10, 30 MB, shared windows",
     {.groups = 10,
      .stem_width = 16,
      .stages = "[{\"blocks\":5,\"width\":64,\"stride\":1,\"group_width\":6},"
                "{\"blocks\":5,\"width\":128,\"stride\":2,\"group_width\":13},"
                "{\"blocks\":5,\"width\":256,\"stride\":2,\"group_width\":26}]"}},
    {"20 x 10, 129 MB",
     {.groups = 10,
      .stem_width = 64,
      .stages = "[{\"blocks\":5,\"width\":64,\"stride\":1,\"group_width\":7},"
                "{\"blocks\":5,\"width\":128,\"stride\":2,\"group_width\":13},"
                "{\"blocks\":5,\"width\":256,\"stride\":2,\"group_width\":26},"
                "{\"blocks\":5,\"width\":512,\"stride\":2,\"group_width\":52}]"}},
};

/* Networks of the usual kinds stay far below the limit on states, so that answers are exact; times
 * are printed, not judged. */
Test(plan, states_and_time, .timeout = 100)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        _cleanup_(subject_deinit) struct subject s = subject(&sizes[i].spec);
        float scores[VN_BLOCKS_MAX * VN_LEVELS_MAX];
        struct vn_task_costs c;
        struct vn_rng r = {i};
        uint32_t states = 0;

        cr_assert_eq(vn_task_costs_init(&c, s.n, s.l, 1), 0);
        for (int unit = 0; unit < 2; unit++) {
            uint64_t full = 0, ns = 0;

            for (uint32_t b = 0; b < c.m; b++)
                full += unit ? vn_choice_at(&c, b, c.levels - 1)->params
                             : vn_choice_at(&c, b, c.levels - 1)->windows;
            for (int k = 0; k < 100; k++) {
                struct vn_knapsack_facts facts;
                uint8_t levels[VN_BLOCKS_MAX];
                uint64_t start, limit = (uint64_t)(vn_rng_unit(&r) * (double)full);

                random_scores(&r, c.m, c.levels, scores);
                start = vn_now_ns();
                cr_assert_eq(vn_knapsack(&c, unit ? VN_PLAN_PARAMS : VN_PLAN_BYTES, limit, scores,
                                         0, levels, &facts),
                             0);
                ns += vn_now_ns() - start;
                states = facts.states > states ? facts.states : states;
                cr_assert(!facts.cut);
            }
            cr_log_info("%s, %s: mean %.0f us, at most %u states", sizes[i].name,
                        unit ? "parameters" : "bytes", (double)ns / 1e5, states);
        }
        vn_task_costs_deinit(&c);
        cr_assert_lt(states, VN_KNAPSACK_STATES / 2);
    }
}
