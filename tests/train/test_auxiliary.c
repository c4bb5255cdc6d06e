/* The auxiliary loss: its layer's place, its gradients against finite differences. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "train/auxiliary.h"

static const char description[] =
    "{\"name\": \"tiny\", \"stem_width\": 4, \"groups\": 1, \"inputs\": ["
    " {\"name\": \"a\", \"width\": 8, \"height\": 8, \"color\": \"gray\", \"crop\": \"none\","
    "  \"resize\": \"bilinear\", \"mean\": [0], \"std\": [1], \"stem_kernel\": 3,"
    "  \"stem_stride\": 1},"
    " {\"name\": \"b\", \"width\": 8, \"height\": 8, \"color\": \"gray\", \"crop\": \"none\","
    "  \"resize\": \"bilinear\", \"mean\": [0], \"std\": [1], \"stem_kernel\": 3,"
    "  \"stem_stride\": 1}],"
    "\"stages\": [{\"blocks\": 1, \"width\": 5, \"stride\": 1, \"group_width\": 4}],"
    "\"tasks\": [{\"name\": \"p\", \"input\": \"a\", \"labels\": [\"x\", \"y\", \"z\"]},"
    " {\"name\": \"q\", \"input\": \"b\", \"labels\": [\"x\", \"y\"]},"
    " {\"name\": \"r\", \"input\": \"a\", \"labels\": [\"x\", \"y\"]}],"
    "\"agent\": {\"kind\": \"uniform\"}}";

enum { SAMPLES = 3, ROWS = 6, WIDTH = 5 };

static struct vn_network *network;
static struct vn_model *model;
static struct vn_batch batch;
static float *scratch;

static void setup(void)
{
    struct vn_rng rng = {3};
    struct vn_why why = {""};

    cr_assert_eq(vn_network_parse(description, strlen(description), &why, &network), 0, "%s",
                 why.text);
    cr_assert_eq(vn_model_new(network, 1, 0.5, true, &why, &model), 0);
    cr_assert_eq(vn_batch_init(&batch, network, ROWS, 1), 0);
    scratch = vn_floats_new(vn_auxiliary_floats(model, SAMPLES));
    batch.n = SAMPLES;
    batch.rows = ROWS;
    for (uint32_t r = 0; r < ROWS; r++) {
        batch.task[r] = r % SAMPLES == 1 ? 2 : 0;
        batch.label[r] = (uint16_t)(r % SAMPLES % 2);
    }
    for (uint32_t i = 0; i < ROWS * WIDTH; i++)
        batch.pooled[i] = (float)vn_rng_normal(&rng);
    for (size_t i = model->auxiliary[0].weight; i < model->n; i++)
        model->param[i] = (float)vn_rng_normal(&rng);
}

static void teardown(void)
{
    free(scratch);
    vn_batch_deinit(&batch);
    vn_model_free(model);
    vn_network_free(network);
}

TestSuite(auxiliary, .init = setup, .fini = teardown);

Test(auxiliary, lies_behind_what_a_store_holds)
{
    const struct vn_auxiliary *a = &model->auxiliary[0];

    cr_assert_eq(a->classes, 3 + 2); /* both tasks of the input */
    cr_assert_eq(a->weight, model->layout->data_bytes / sizeof(float));
    cr_assert_eq(a->bias, a->weight + WIDTH * 5);
    cr_assert_eq(model->auxiliary[1].classes, 0); /* one task has its head already */
    cr_assert_eq(model->n, a->bias + 5);
}

/* The whole objective: the weight times the mean over samples of the sum over their paths. */
static double value(const struct vn_schedule *s)
{
    double mean = vn_auxiliary_step(scratch, model, 0, s, &batch);

    return s->auxiliary / SAMPLES * mean * (ROWS / SAMPLES);
}

static void check(const struct vn_schedule *s, float *number, float analytic, const char *what)
{
    const float was = *number;
    const double step = 1e-2;
    double up, down;

    *number = (float)(was + step);
    up = value(s);
    *number = (float)(was - step);
    down = value(s);
    *number = was;
    cr_assert(fabs((up - down) / (2 * step) - analytic) < 1e-3, "%s: %g, expected %g", what,
              analytic, (up - down) / (2 * step));
}

Test(auxiliary, gradients)
{
    const struct vn_schedule s = {.auxiliary = 0.7, .label_smoothing = 0.1};
    const size_t first = model->auxiliary[0].weight;
    float grad[WIDTH * 5 + 5], dpooled[ROWS * WIDTH];

    for (uint32_t i = 0; i < ROWS * WIDTH; i++)
        batch.dpooled[i] = 1; /* what the heads left: it is added to */
    value(&s);
    memcpy(grad, model->grad + first, sizeof grad);
    memcpy(dpooled, batch.dpooled, sizeof dpooled);
    for (uint32_t i = 0; i < ROWS * WIDTH; i++)
        check(&s, &batch.pooled[i], dpooled[i] - 1, "feature");
    for (uint32_t i = 0; i < WIDTH * 5 + 5; i++)
        check(&s, &model->param[first + i], grad[i], "weight or bias");
}

/* With distillation alone the other paths follow the full one's answer, whatever the label. */
Test(auxiliary, other_paths_learn_from_the_full_one)
{
    const struct vn_schedule s = {.auxiliary = 1, .distill = 1};

    memcpy(batch.pooled + SAMPLES * WIDTH, batch.pooled, SAMPLES * WIDTH * sizeof(float));
    memset(batch.dpooled, 0, ROWS * WIDTH * sizeof(float));
    vn_auxiliary_step(scratch, model, 0, &s, &batch);
    for (uint32_t i = 0; i < SAMPLES * WIDTH; i++) {
        cr_assert(fabsf(batch.dpooled[i]) > 1e-6f);
        cr_assert(fabsf(batch.dpooled[SAMPLES * WIDTH + i]) < 1e-6f);
    }
}
