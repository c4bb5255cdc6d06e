#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "engine/agent.h"
#include "support.h"

Test(agent, confidence)
{
    float c[VN_AGENT_CONFIDENCE];

    vn_agent_confidence((float[]){0.25f, 0.25f, 0.25f, 0.25f}, 4, c);
    cr_assert_float_eq(c[0], 0.5 * log(0.25 / 0.75), 1e-6);
    cr_assert_float_eq(c[1], -4, 1e-6);
    cr_assert_float_eq(c[2], 4, 1e-5); /* as uncertain as four labels allow */
    vn_agent_confidence((float[]){0, 1, 0}, 3, c);
    cr_assert(c[0] == 4 && c[1] == 4 && c[2] == -4);
    vn_agent_confidence((float[]){0.5f, 0.25f, 0.125f, 0.125f}, 4, c);
    cr_assert_float_eq(c[0], 0, 1e-6);
    cr_assert_float_eq(c[1], 8 * 0.25 - 4, 1e-6);
    /* 0.5 * 1 + 0.25 * 2 + 2 * 0.125 * 3 bits of 2 */
    cr_assert_float_eq(c[2], 8 * 1.75 / 2 - 4, 1e-5);
    vn_agent_confidence((float[]){1}, 1, c);
    cr_assert(c[0] == 4 && c[1] == 4 && c[2] == -4);
}

/* The budget is the limit's share of the full path, in either unit. */
Test(agent, budget_input)
{
    struct net_spec spec = {0};
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&spec);
    _cleanup_(vn_layout_freep) struct vn_layout *l = NULL;
    _cleanup_(vn_planner_freep) struct vn_planner *p = NULL;
    struct vn_plan full;
    uint64_t total, params;

    cr_assert_eq(vn_layout_new(n, NULL, &l), 0);
    cr_assert_eq(vn_planner_new(n, l, NULL, &p), 0);
    vn_plan_uniform(p, 1, n->groups, 777, &full);
    total = vn_bytes_total(&full.bytes);
    params = vn_plan_params(&full);
    cr_assert_eq(vn_agent_budget_input(p, 1, VN_PLAN_BYTES, 0, 777), 1);
    cr_assert_eq(vn_agent_budget_input(p, 1, VN_PLAN_BYTES, UINT64_MAX, 777), 1);
    cr_assert_eq(vn_agent_budget_input(p, 1, VN_PLAN_BYTES, total, 777), 1);
    cr_assert_float_eq(vn_agent_budget_input(p, 1, VN_PLAN_BYTES, total / 2, 777), 0.5, 1e-4);
    cr_assert_float_eq(vn_agent_budget_input(p, 1, VN_PLAN_PARAMS, params / 4, 777), 0.25, 1e-3);
}

/* The definition in double precision, with indices spelled out. */
static double expected_logit(const struct vn_network *n, const struct vn_policy *p,
                             const double *inputs, uint32_t output)
{
    uint32_t hidden = n->agent.hidden, outputs = vn_agent_outputs(n);
    double logit = (double)p->b2[output];

    for (uint32_t j = 0; j < hidden; j++) {
        double h = (double)p->b1[j];

        for (uint32_t i = 0; i < vn_agent_inputs(n); i++)
            h += inputs[i] * (double)p->w1[i * hidden + j];
        logit += (h > 0 ? h : 0) * (double)p->w2[j * outputs + output];
    }
    return logit;
}

static float *random_floats(struct vn_rng *r, size_t n)
{
    float *x = calloc(n ? n : 1, sizeof *x);

    fill_normal(r, x, n, 0.5f);
    return x;
}

static void check_policy(const char *agent)
{
    struct net_spec spec = {.agent = agent, .tasks = 3};
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&spec);
    uint32_t f = vn_agent_features(n), e = n->agent.embedding, inputs = vn_agent_inputs(n);
    uint32_t hidden = n->agent.hidden, outputs = vn_agent_outputs(n), levels = n->groups + 1;
    struct vn_rng r = {f};
    _cleanup_(vn_freep) float *embedding = random_floats(&r, 3 * (size_t)e);
    _cleanup_(vn_freep) float *w1 = random_floats(&r, (size_t)inputs * hidden);
    _cleanup_(vn_freep) float *b1 = random_floats(&r, hidden);
    _cleanup_(vn_freep) float *w2 = random_floats(&r, (size_t)hidden * outputs);
    _cleanup_(vn_freep) float *b2 = random_floats(&r, outputs);
    _cleanup_(vn_freep) float *features = random_floats(&r, f);
    _cleanup_(vn_freep) float *work = calloc(vn_agent_work(n), sizeof *work);
    _cleanup_(vn_freep) float *scores = calloc(outputs, sizeof *scores);
    _cleanup_(vn_freep) double *x = calloc(inputs, sizeof *x);
    const struct vn_policy p = {embedding, w1, b1, w2, b2};

    vn_policy_scores(n, &p, 2, f ? features : NULL, 0.25f, 0.75f, work, scores);
    for (uint32_t i = 0; i < inputs; i++)
        x[i] = i < f            ? (double)features[i]
               : i < f + e      ? (double)embedding[2 * e + i - f]
               : i < inputs - 1 ? 8 * 0.25 - 4 /* wishes are spread over -4 .. 4 */
                                : 8 * 0.75 - 4;
    for (uint32_t o = 0; o < outputs; o++) {
        double sum = 0;

        for (uint32_t l = 0; l < levels; l++)
            sum += exp(expected_logit(n, &p, x, o / levels * levels + l));
        cr_assert_float_eq(scores[o], expected_logit(n, &p, x, o) - log(sum), 1e-4, "%s: %u", agent,
                           o);
    }
    for (uint32_t i = 0; i < inputs; i++) /* the backward pass reads the input here */
        cr_assert_eq(work[i], (float)x[i]);
}

Test(agent, policy)
{
    check_policy("{\"kind\":\"task\"}");
    check_policy("{\"kind\":\"conv\",\"width\":5,\"hidden\":7}");
    check_policy("{\"kind\":\"shared\",\"embedding\":3}");
    check_policy("{\"kind\":\"shared\",\"pooled\":false}");
}
