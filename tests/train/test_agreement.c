/* Agreement of tasks: nobody else notices the look, and its numbers follow from symmetry. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "train/agreement.h"

static const char description[] =
    "{\"name\": \"tiny\", \"stem_width\": 4, \"groups\": 2, \"inputs\": ["
    " {\"name\": \"a\", \"width\": 9, \"height\": 7, \"color\": \"gray\", \"crop\": \"none\","
    "  \"resize\": \"bilinear\", \"mean\": [0], \"std\": [1], \"stem_kernel\": 3,"
    "  \"stem_stride\": 1}],"
    "\"stages\": [{\"blocks\": 1, \"width\": 4, \"stride\": 1, \"group_width\": 3},"
    " {\"blocks\": 1, \"width\": 6, \"stride\": 2, \"group_width\": 3}],"
    "\"tasks\": [{\"name\": \"p\", \"input\": \"a\", \"labels\": [\"x\", \"y\"],"
    "  \"order\": [0, 1]},"
    " {\"name\": \"q\", \"input\": \"a\", \"labels\": [\"x\", \"y\"], \"order\": [0, 1]},"
    " {\"name\": \"r\", \"input\": \"a\", \"labels\": [\"x\", \"y\"], \"order\": [0, 1]}],"
    "\"agent\": {\"kind\": \"uniform\"}}";

enum { ROWS = 8, WIDTH = 6, IMAGE = 9 * 7 };

static struct vn_network *network;
static struct vn_model *model;
static struct vn_trunk *trunk;
static struct vn_batch batch;
static struct vn_agreement *agreement;

/* Rows 0 to 3 are the first task's, 4 to 7 the same images for the second. */
static void setup(void)
{
    struct vn_rng rng = {3};
    struct vn_why why = {""};

    cr_assert_eq(vn_network_parse(description, strlen(description), &why, &network), 0, "%s",
                 why.text);
    cr_assert_eq(vn_model_new(network, 1, 0.5, false, &why, &model), 0);
    cr_assert_eq(vn_batch_init(&batch, network, ROWS, 2), 0);
    cr_assert_eq(vn_trunk_new(model, 0, false, ROWS, 2, &trunk), 0);
    agreement = vn_agreement_new(model);
    cr_assert_not_null(agreement);
    batch.n = batch.rows = ROWS;
    for (uint32_t r = 0; r < ROWS; r++) {
        batch.task[r] = r < 4 ? 0 : 1;
        batch.row[r] = (struct vn_row){network->tasks[0].order, batch.level[r]};
        vn_row_uniform(&batch, r, 2, r % 4 ? 2 : 1);
    }
    for (uint32_t i = 0; i < 4 * IMAGE; i++)
        batch.images[4 * IMAGE + i] = batch.images[i] = (float)vn_rng_normal(&rng);
    for (uint32_t i = 0; i < 4 * WIDTH; i++)
        batch.dpooled[4 * WIDTH + i] = batch.dpooled[i] = (float)vn_rng_normal(&rng);
    vn_trunk_forward(trunk, model, VN_TRUNK_TRAIN, 0, ROWS, batch.row, batch.images, batch.pooled);
}

static void teardown(void)
{
    vn_agreement_free(agreement);
    vn_trunk_free(trunk);
    vn_batch_deinit(&batch);
    vn_model_free(model);
    vn_network_free(network);
}

TestSuite(agreement, .init = setup, .fini = teardown);

static void expect_log(const char *expected)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    vn_agreement_log(agreement, f);
    fclose(f);
    cr_expect_str_eq(text, expected);
    free(text);
}

Test(agreement, training_does_not_notice)
{
    const size_t bytes = model->n * sizeof(float);
    const size_t head = vn_model_at(model, model->layout->head_weight[0]);
    float *before = malloc(bytes);

    vn_trunk_backward(trunk, model, batch.dpooled);
    memcpy(before, model->grad, bytes);
    memset(model->grad, 0, bytes);
    vn_trunk_forward(trunk, model, VN_TRUNK_TRAIN, 0, ROWS, batch.row, batch.images, batch.pooled);
    model->grad[head] = before[head] = 3; /* of what came before in the step */
    vn_agreement_step(agreement, trunk, model, &batch);
    vn_trunk_backward(trunk, model, batch.dpooled);
    cr_assert_arr_eq(model->grad, before, bytes);
    free(before);
}

Test(agreement, tasks_that_want_the_same)
{
    vn_agreement_step(agreement, trunk, model, &batch);
    vn_agreement_step(agreement, trunk, model, &batch);
    /* the third task was never there */
    expect_log(", \"agreement\": {\"steps\": 2, "
               "\"ucr\": [[1.000, 1.000], [1.000, 1.000], [null, null]], "
               "\"cosine\": [[1.000, 1.000], [1.000, 1.000], [null, null]], "
               "\"tasks\": [[1.000, 1.000, null], [1.000, 1.000, null], [null, null, null]]}");
    expect_log(""); /* it was forgotten */
}

/* The second task wants twice the opposite of what the first does, and prevails. */
Test(agreement, tasks_that_want_the_opposite)
{
    for (uint32_t i = 0; i < 4 * WIDTH; i++)
        batch.dpooled[4 * WIDTH + i] *= -2;
    vn_agreement_step(agreement, trunk, model, &batch);
    expect_log(", \"agreement\": {\"steps\": 1, "
               "\"ucr\": [[0.000, 0.000], [1.000, 1.000], [null, null]], "
               "\"cosine\": [[-1.000, -1.000], [1.000, 1.000], [null, null]], "
               "\"tasks\": [[1.000, -1.000, null], [-1.000, 1.000, null], [null, null, null]]}");
}
