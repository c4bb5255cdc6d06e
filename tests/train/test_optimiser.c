/* Learning rate and update rules against numbers that follow by hand. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "train/optimiser.h"

static const char description[] =
    "{\"name\": \"tiny\", \"stem_width\": 4, \"groups\": 1,"
    "\"inputs\": [{\"name\": \"a\", \"width\": 8, \"height\": 8, \"color\": \"gray\","
    "  \"crop\": \"none\", \"resize\": \"bilinear\", \"mean\": [0], \"std\": [1],"
    "  \"stem_kernel\": 3, \"stem_stride\": 1}],"
    "\"stages\": [{\"blocks\": 1, \"width\": 4, \"stride\": 1, \"group_width\": 4}],"
    "\"tasks\": [{\"name\": \"s\", \"input\": \"a\", \"labels\": [\"x\", \"y\"]}],"
    "\"agent\": {\"kind\": \"task\"}}";

static struct vn_network *network;
static struct vn_model *model;

static void setup(void)
{
    struct vn_why why = {""};

    cr_assert_eq(vn_network_parse(description, strlen(description), &why, &network), 0, "%s",
                 why.text);
    cr_assert_eq(vn_model_new(network, 1, 0.5, true, &why, &model), 0);
}

static void teardown(void)
{
    vn_model_free(model);
    vn_network_free(network);
}

TestSuite(optimiser, .init = setup, .fini = teardown);

static void expect_rate(double progress, double expected)
{
    /* peak 0.4, warm-up of one epoch, ten epochs in two cycles of five */
    double rate = vn_rate_at(0.4, 1, 10, 2, progress);

    cr_expect(fabs(rate - expected) < 1e-12, "at %g: %g, expected %g", progress, rate, expected);
}

Test(optimiser, rate)
{
    expect_rate(0.25, 0.1); /* a quarter of the warm-up */
    expect_rate(1, 0.4);    /* its end */
    expect_rate(3, 0.2);    /* the middle of the cosine from 1 to 5 */
    expect_rate(4.999999, 0.4 * 0.5 * (1 + cos(M_PI * 3.999999 / 4)));
    expect_rate(5, 0.4); /* restarts at the peak, without a warm-up */
    expect_rate(7.5, 0.2);
}

/* Sets one tensor's first number and gradient and returns where it is. */
static size_t prepare(const char *tensor)
{
    int t = vn_layout_find(model->layout, tensor);
    size_t at;

    cr_assert_geq(t, 0, "%s", tensor);
    at = vn_model_at(model, (uint32_t)t);
    model->param[at] = 2;
    model->grad[at] = 0.5f;
    return at;
}

Test(optimiser, nesterov_decays_weights_only)
{
    const struct vn_schedule s = {.momentum = 0.9, .weight_decay = 0.1, .average = 0.5};
    size_t conv = prepare("block.0.group.0.conv1"), bn = prepare("block.0.group.0.bn1");
    size_t head = prepare("task.0.head.weight"), bias = prepare("task.0.head.bias");
    size_t agent = prepare("agent.fc1.weight");

    model->average[conv] = 0;
    vn_backbone_update(model, &s, 0.01, 1000);
    /* d = 0.5 + 0.1 * 2 = 0.7, v = d, step 0.01 (d + 0.9 v) = 0.0133 */
    cr_assert(fabs(model->param[conv] - (2 - 0.0133)) < 1e-6);
    cr_assert(fabs(model->param[head] - (2 - 0.0133)) < 1e-6);
    /* without decay: 0.01 * 0.5 * 1.9 */
    cr_assert(fabs(model->param[bn] - (2 - 0.0095)) < 1e-6);
    cr_assert(fabs(model->param[bias] - (2 - 0.0095)) < 1e-6);
    cr_assert_eq(model->param[agent], 2);
    cr_assert_eq(model->grad[agent], 0.5f);
    cr_assert_eq(model->grad[conv], 0);
    cr_assert(fabs(model->average[conv] - model->param[conv] / 2) < 1e-6);
    vn_backbone_update(model, &s, 0.01, 1001);
    /* second step, gradient 0: d = 0.1 * 1.9867, v = 0.9 * 0.7 + d */
    cr_assert(fabs(model->param[conv] - (1.9867 - 0.01 * (0.19867 + 0.9 * 0.82867))) < 1e-6);
}

/* However long the mean is to be, after a few steps it must not consist of the first weights. */
Test(optimiser, the_mean_begins_short)
{
    const struct vn_schedule s = {.average = 0.9999};
    size_t conv = prepare("block.0.group.0.conv1");

    model->average[conv] = 100;
    model->grad[conv] = 0;
    for (uint64_t step = 1; step <= 50; step++)
        vn_backbone_update(model, &s, 0, step);
    /* what is left of it: the product of (1 + k) / (10 + k) for k to 50, below 1e-7 */
    cr_assert(fabs(model->average[conv] - model->param[conv]) < 1e-4, "%g", model->average[conv]);
    vn_backbone_update(model, &s, 0, UINT64_C(1) << 40);
    model->param[conv] = 12;
    vn_backbone_update(model, &s, 0, UINT64_C(1) << 40);
    cr_assert(fabs(model->average[conv] - (2 + 1e-4 * 10)) < 1e-5);
}

Test(optimiser, adam_touches_the_agent_only)
{
    size_t agent = prepare("agent.fc2.bias"), conv = prepare("block.0.group.0.conv1");

    vn_agent_update(model, 0.01, 1);
    /* bias-corrected: the first step is the rate times the gradient's sign */
    cr_assert(fabs(model->param[agent] - 1.99) < 1e-5);
    cr_assert_eq(model->grad[agent], 0);
    cr_assert_eq(model->param[conv], 2);
    vn_gradients_clear(model);
    cr_assert_eq(model->grad[conv], 0);
}
